//! A producer of one partition that lives through the faults of a cluster: up to five batches under way, and an exact record of what
//! was acked.

use crate::support::client::{Client, produce_answer, produce_request};
use crate::support::history::{Ack, Identity, Order};
use crate::support::records::Random;
use crate::support::router::Router;
use bytes::Bytes;
use flumen::model::{ProducerId, TopicId};
use flumen::record::{BatchBuilder, Codec, Compression};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What an idempotent producer may have under way for a broker to recognise a retry (Kafka's limit).
const IN_FLIGHT: usize = 5;
/// A leader that is well answers at once, and when a replica has failed, as soon as it is no longer in sync: after a session.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// Kafka's `retry.backoff.ms`.
const BACKOFF: Duration = Duration::from_millis(100);
/// Between a batch and the next: the brokers share two cores with the tests, and are not to be measured here.
const PACE: Duration = Duration::from_millis(80);
/// What is under way when the load ends must be acked within this time.
const LAST_LIMIT: Duration = Duration::from_secs(120);
/// OUT_OF_ORDER_SEQUENCE_NUMBER and DUPLICATE_SEQUENCE_NUMBER.
const SEQUENCE_ERRORS: [i16; 2] = [45, 46];
/// Kafka's retriable errors that a producer can meet: unknown topic or partition, leader not available, not leader, timed out, not enough
/// replicas (before and after the append), storage error, leader epochs, unknown and inconsistent topic id, coordinator loading or not there.
const RETRIABLE: [i16; 13] = [3, 5, 6, 7, 14, 15, 19, 20, 56, 74, 75, 100, 103];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// acks=all with retries: each record exactly once, and what was acked is promised.
    Idempotent,
    /// acks=all without retries: each record at most once, and what was acked is promised.
    Plain,
    /// acks=1 without retries: each record at most once; an ack promises nothing when a leader fails.
    Unsafe,
}

impl Kind {
    /// The writers of a partition. Writer `number` writes partition `number / 3`.
    pub const ALL: [Kind; 3] = [Kind::Idempotent, Kind::Plain, Kind::Unsafe];

    pub fn of(number: u32) -> Kind {
        Kind::ALL[usize::try_from(number).unwrap() % Kind::ALL.len()]
    }

    fn acks(self) -> i16 {
        if self == Kind::Unsafe { 1 } else { -1 }
    }

    pub fn order(self) -> Order {
        if self == Kind::Idempotent { Order::Gapless } else { Order::Once }
    }
}

/// What a writer has seen, for who watches it.
#[derive(Default)]
pub struct Told {
    /// Acks that promise something and have not been fetched yet.
    pub acks: Vec<Ack>,
    /// Batches that were acked, whatever that promises.
    pub batches: u64,
    /// The records in them.
    pub records: u64,
    /// Batches of who does not retry whose answer did not come or was an error.
    pub given_up: u64,
    /// Answers that asked to try again, by error code.
    pub retries: BTreeMap<i16, u64>,
    /// Connections that were made or tried.
    pub sessions: u64,
    pub duplicates_without_offset: u64,
    /// What no client should see. The writer has ended then.
    pub complaint: Option<String>,
}

struct Pending {
    first: Identity,
    count: u32,
    batch: Bytes,
    /// It was sent on a connection that ended: whether it was written is not known.
    in_doubt: bool,
}

pub struct Writer {
    number: u32,
    kind: Kind,
    partition: i32,
    topic: (String, TopicId),
    router: Router,
    producer: Option<(i64, i16)>,
    next: u32,
    acked_once: bool,
    pending: VecDeque<Pending>,
    random: Random,
    told: Arc<Mutex<Told>>,
}

/// How a session ended, unless by a failed connection.
enum End {
    /// Nothing is under way, and the load is over.
    Done,
    /// The broker asked to try again.
    Retry,
}

impl Writer {
    pub fn new(number: u32, topic: (String, TopicId), router: Router, told: Arc<Mutex<Told>>) -> Writer {
        let writers_of_a_partition = u32::try_from(Kind::ALL.len()).unwrap();
        Writer {
            number,
            kind: Kind::of(number),
            partition: i32::try_from(number / writers_of_a_partition).unwrap(),
            topic,
            router,
            producer: None,
            next: 0,
            acked_once: false,
            pending: VecDeque::new(),
            random: Random(u64::from(number).wrapping_mul(0x1234_5678_9abc_def1)),
            told,
        }
    }

    /// Writes until `stop`, and then until nothing is under way any more.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut stopped = None;
        loop {
            self.told.lock().unwrap().sessions += 1;
            match self.session(stop) {
                Ok(End::Done) => return,
                Ok(End::Retry) | Err(_) => self.forget_what_is_in_doubt(),
            }
            if self.told.lock().unwrap().complaint.is_some() {
                return;
            }
            if stop.load(Ordering::Relaxed) {
                let since = *stopped.get_or_insert_with(Instant::now);
                if self.pending.is_empty() {
                    return;
                }
                if since.elapsed() > LAST_LIMIT {
                    return self.complain(format!("{} batches are not acked after {LAST_LIMIT:?}", self.pending.len()));
                }
            }
            std::thread::sleep(BACKOFF);
        }
    }

    fn complain(&self, what: String) {
        let (number, kind, partition) = (self.number, self.kind, self.partition);
        self.told.lock().unwrap().complaint = Some(format!("writer {number} ({kind:?}, partition {partition}): {what}"));
    }

    /// One connection to the leader.
    fn session(&mut self, stop: &AtomicBool) -> io::Result<End> {
        if self.kind == Kind::Idempotent && self.producer.is_none() {
            let (error, id, epoch) = self.router.connect_to_any()?.init_producer_id()?;
            if error != 0 {
                return Ok(self.refused(error));
            }
            self.producer = Some((id, epoch));
        }
        let (_, mut client) = self.router.connect_to_leader(&self.topic.0, self.partition)?;
        for index in 0..self.pending.len() {
            self.send(&mut client, index)?;
        }
        loop {
            while self.pending.len() < self.most_in_flight() && !stop.load(Ordering::Relaxed) {
                let pending = self.make_batch();
                self.pending.push_back(pending);
                self.send(&mut client, self.pending.len() - 1)?;
            }
            if self.pending.is_empty() {
                return Ok(End::Done);
            }
            let (_, body) = client.receive(true)?;
            let (error, base_offset) = produce_answer(body, self.version());
            if let Some(end) = self.answered(error, base_offset) {
                return Ok(end);
            }
            std::thread::sleep(PACE);
        }
    }

    /// A broker takes any first sequence of a producer that it does not know: were the first batch refused and the second taken, the first
    /// could never be written. So the first goes alone.
    fn most_in_flight(&self) -> usize {
        if self.kind == Kind::Idempotent && !self.acked_once { 1 } else { IN_FLIGHT }
    }

    /// Some name the topic, some give its id.
    fn version(&self) -> i16 {
        if self.partition % 2 == 0 { 13 } else { 12 }
    }

    fn send(&self, client: &mut Client, index: usize) -> io::Result<()> {
        let Pending { batch, .. } = &self.pending[index];
        let (name, id) = &self.topic;
        let request = produce_request(name, *id, self.partition, self.kind.acks(), batch.clone(), self.version());
        client.send(&request, self.version(), true).map(|_| ())
    }

    /// The answer to the oldest batch. `Some`: it was not written, and what comes after it has to be sent again too.
    fn answered(&mut self, error: i16, base_offset: i64) -> Option<End> {
        let in_doubt = self.pending.front().expect("an answer to a request").in_doubt;
        let is_duplicate = SEQUENCE_ERRORS.contains(&error) && in_doubt;
        if error != 0 && !is_duplicate {
            return Some(self.refused(error));
        }
        let done = self.pending.pop_front().expect("the oldest one");
        self.acked_once = true;
        let mut told = self.told.lock().unwrap();
        if is_duplicate {
            // The broker knows that it has newer batches of this producer, but no longer where this one is: a snapshot of the producers'
            // state holds the last batch only. That it is there is checked by reading.
            told.duplicates_without_offset += 1;
            return None;
        }
        told.batches += 1;
        told.records += u64::from(done.count);
        if self.kind.acks() == -1 {
            told.acks.push(Ack { first: done.first, count: done.count, base_offset });
        }
        None
    }

    fn refused(&self, error: i16) -> End {
        if RETRIABLE.contains(&error) {
            *self.told.lock().unwrap().retries.entry(error).or_default() += 1;
        } else {
            self.complain(format!("error {error}, which no client can retry"));
        }
        End::Retry
    }

    /// Who does not retry gives up what was under way: it may or may not be there.
    fn forget_what_is_in_doubt(&mut self) {
        if self.kind != Kind::Idempotent {
            self.told.lock().unwrap().given_up += self.pending.len() as u64;
            self.pending.clear();
        }
        for pending in &mut self.pending {
            pending.in_doubt = true;
        }
    }

    fn make_batch(&mut self) -> Pending {
        let count =
            1 + u32::try_from(if self.random.below(8) == 0 { self.random.below(40) } else { self.random.below(6) }).unwrap();
        let codecs = [Codec::None, Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let codec = codecs[usize::try_from(self.random.below(6)).unwrap()];
        let first = Identity { writer: self.number, partition: self.partition, number: self.next };
        self.next += count;
        let mut builder = BatchBuilder::new(Compression::of(codec));
        if let Some((id, epoch)) = self.producer {
            builder = builder.producer(ProducerId(id), epoch, i32::try_from(first.number).unwrap());
        }
        for number in first.number..first.number + count {
            let identity = Identity { number, ..first };
            builder.append(identity.timestamp(), Some(&identity.key()), Some(&identity.value()));
        }
        Pending { first, count, batch: builder.build(), in_doubt: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(number: u32) -> Writer {
        let router = Router::new(vec![([127, 0, 0, 1], 1).into()], 0, Duration::from_secs(1));
        Writer::new(number, ("t".to_owned(), TopicId::ZERO), router, Arc::default())
    }

    fn with_a_batch(number: u32) -> Writer {
        let mut writer = writer(number);
        let pending = writer.make_batch();
        writer.pending.push_back(pending);
        writer
    }

    #[test]
    fn only_what_promises_something_counts_as_acked() {
        for number in 0..3 {
            let mut writer = with_a_batch(number);
            assert!(writer.answered(0, 7).is_none());
            let told = writer.told.lock().unwrap();
            let acks: Vec<i64> = told.acks.iter().map(|ack| ack.base_offset).collect();
            assert_eq!(acks, if Kind::of(number) == Kind::Unsafe { vec![] } else { vec![7] });
            assert_eq!((told.batches, &told.complaint), (1, &None));
        }
    }

    #[test]
    fn an_error_that_cannot_be_retried_is_a_complaint() {
        let mut writer = with_a_batch(0);
        assert!(writer.answered(6, -1).is_some(), "not the leader: again");
        assert_eq!(writer.told.lock().unwrap().retries, BTreeMap::from([(6, 1)]));
        assert!(writer.answered(45, -1).is_some(), "a batch that was sent once is no duplicate");
        assert!(writer.told.lock().unwrap().complaint.is_some());
    }

    #[test]
    fn a_duplicate_without_an_offset_is_an_answer_only_when_in_doubt() {
        let mut writer = with_a_batch(0);
        writer.forget_what_is_in_doubt();
        assert!(writer.answered(45, -1).is_none());
        let told = writer.told.lock().unwrap();
        assert_eq!((told.duplicates_without_offset, told.batches, told.acks.len()), (1, 0, 0));
        assert!(writer.pending.is_empty());
    }

    #[test]
    fn who_does_not_retry_forgets() {
        for (number, left) in [(0, 1), (1, 0), (2, 0)] {
            let mut writer = with_a_batch(number);
            writer.forget_what_is_in_doubt();
            assert_eq!(writer.pending.len(), left);
            assert_eq!(writer.told.lock().unwrap().given_up, 1 - left as u64);
        }
    }
}
