//! Everything that was ever acked or read, and what must hold between them.

use super::client::FetchedRecord;
use super::records::{self, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// A record that a writer made: its content follows from these three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub writer: u32,
    pub partition: i32,
    /// Counts the writer's records to this partition from 0.
    pub number: u32,
}

/// An hour before the test began. It must be recent: brokers forget a producer whose newest record is older than
/// `producer.id.expiration.ms`, by the record's own timestamp, when they load its state.
fn base_timestamp() -> i64 {
    static BASE: OnceLock<i64> = OnceLock::new();
    *BASE.get_or_init(records::base_timestamp)
}

impl Identity {
    pub fn timestamp(self) -> i64 {
        base_timestamp() + i64::from(self.number) * 10 + i64::from(self.writer)
    }

    pub fn key(self) -> Vec<u8> {
        [self.writer.to_be_bytes(), self.partition.to_be_bytes(), self.number.to_be_bytes()].concat()
    }

    /// 0 to 2,000 bytes that only this record has.
    pub fn value(self) -> Vec<u8> {
        let mut random =
            Random(u64::from(self.writer) << 48 | u64::from(self.number) << 8 | u64::try_from(self.partition).unwrap());
        let length = if random.below(10) == 0 { random.below(2000) } else { random.below(120) };
        let word = random.next().to_le_bytes();
        (0..length).map(|at| word[usize::try_from(at % 8).unwrap()] ^ u8::try_from(at / 8 % 7).unwrap()).collect()
    }

    /// Which record it is; an error when it is not, byte for byte, one that a writer made.
    fn of(partition: i32, record: &FetchedRecord) -> Result<Identity, String> {
        let key =
            record.key.as_deref().filter(|key| key.len() == 12).ok_or_else(|| format!("a key that nobody wrote: {record:?}"))?;
        let word = |at: usize| u32::from_be_bytes(key[at..at + 4].try_into().unwrap());
        let identity = Identity { writer: word(0), partition: i32::try_from(word(4)).unwrap_or(-1), number: word(8) };
        if identity.partition != partition {
            return Err(format!("{identity:?} is in partition {partition}"));
        }
        if record.timestamp != identity.timestamp() || record.value.as_deref() != Some(&identity.value()) {
            return Err(format!("offset {} of partition {partition} is not what was written as {identity:?}", record.offset));
        }
        Ok(identity)
    }
}

/// Records `first.number` onwards, `count` of them, acked at `base_offset`.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    pub first: Identity,
    pub count: u32,
    pub base_offset: i64,
}

/// What is promised of the order of a writer's records within a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each exactly once and in order: an idempotent producer that retries.
    Gapless,
    /// Each at most once and in order: a producer that does not retry, whose connection ends with its broker.
    Ascending,
    /// Each at most once: a request that its producer gave up may still be carried out, after later ones.
    Once,
}

#[derive(Default)]
pub struct History {
    /// What was read at each offset of each partition: by index, since offsets of this test have no gaps.
    read: BTreeMap<i32, Vec<Identity>>,
    acks: Vec<Ack>,
    /// Acks whose offsets have been compared with what is there.
    checked_acks: usize,
    /// Records that were at an offset that had been read before.
    compared: u64,
}

impl History {
    pub fn acked(&mut self, acks: impl IntoIterator<Item = Ack>) {
        self.acks.extend(acks);
    }

    pub fn acks(&self) -> usize {
        self.acks.len()
    }

    /// Records whose ack has been compared with what is at their offset.
    pub fn promises(&self) -> u64 {
        self.acks[..self.checked_acks].iter().map(|ack| u64::from(ack.count)).sum()
    }

    /// How many records have been compared with what was at their offset before.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    pub fn records(&self) -> usize {
        self.read.values().map(Vec::len).sum()
    }

    /// The offset after the last that was ever read.
    pub fn end(&self, partition: i32) -> i64 {
        self.read.get(&partition).map_or(0, |read| read.len() as i64)
    }

    /// Takes in what one fetch at `from` returned.
    ///
    /// # Errors
    /// A gap, a record that nobody wrote, or an offset that had another value before.
    pub fn saw(&mut self, partition: i32, from: i64, records: &[FetchedRecord]) -> Result<(), String> {
        let read = self.read.entry(partition).or_default();
        for (index, record) in records.iter().enumerate() {
            let offset = from + index as i64;
            if record.offset != offset {
                return Err(format!("partition {partition}: offset {} where {offset} was to come", record.offset));
            }
            let identity = Identity::of(partition, record)?;
            match read.get(usize::try_from(offset).unwrap()) {
                Some(before) if *before != identity => {
                    return Err(format!("partition {partition}: offset {offset} was {before:?} and is {identity:?}"));
                }
                Some(_) => self.compared += 1,
                None if offset == read.len() as i64 => read.push(identity),
                None => return Err(format!("partition {partition}: read from {offset}, but nothing before it")),
            }
        }
        Ok(())
    }

    /// What must hold when everything up to the log end has been read: `ends` are the log ends of the partitions.
    ///
    /// # Errors
    /// The first acked record that is not where its ack said, or the first offset that was read once and is gone.
    pub fn check_nothing_lost(&mut self, ends: &BTreeMap<i32, i64>) -> Result<(), String> {
        for (partition, end) in ends {
            if *end < self.end(*partition) {
                return Err(format!(
                    "partition {partition} ends at {end}, but offset {} was read before",
                    self.end(*partition) - 1
                ));
            }
        }
        self.check_acks()
    }

    /// What must hold when everything that was acked has been read.
    ///
    /// # Errors
    /// The first acked record that is not where its ack said.
    pub fn check_acks(&mut self) -> Result<(), String> {
        // What was at its offset once stays there: `saw` compares every later read with it.
        for ack in &self.acks[self.checked_acks..] {
            for index in 0..ack.count {
                let offset = ack.base_offset + i64::from(index);
                let wanted = Identity { number: ack.first.number + index, ..ack.first };
                let found = self.read.get(&wanted.partition).and_then(|read| read.get(usize::try_from(offset).ok()?));
                if found != Some(&wanted) {
                    return Err(format!("{wanted:?} was acked at offset {offset}, where {found:?} is"));
                }
            }
        }
        self.checked_acks = self.acks.len();
        Ok(())
    }

    /// The records of each writer are there as `order` says of it.
    ///
    /// # Errors
    /// The first record that is doubled, out of order or missing.
    pub fn check_order(&self, order: impl Fn(u32) -> Order) -> Result<(), String> {
        for (partition, read) in &self.read {
            let mut next: BTreeMap<u32, u32> = BTreeMap::new();
            let mut seen: BTreeSet<(u32, u32)> = BTreeSet::new();
            for (offset, identity) in read.iter().enumerate() {
                let order = order(identity.writer);
                if order == Order::Once {
                    if !seen.insert((identity.writer, identity.number)) {
                        return Err(format!("partition {partition}, offset {offset}: {identity:?} again"));
                    }
                    continue;
                }
                let next = next.entry(identity.writer).or_default();
                if identity.number < *next {
                    return Err(format!(
                        "partition {partition}, offset {offset}: {identity:?} again, or late: {next} was to come"
                    ));
                }
                if identity.number > *next && order == Order::Gapless {
                    return Err(format!("partition {partition}, offset {offset}: {identity:?}, but number {next} is missing"));
                }
                *next = identity.number + 1;
            }
        }
        Ok(())
    }
}
