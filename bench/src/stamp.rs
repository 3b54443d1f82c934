//! What a record says about itself, so that whoever reads it back knows whether it is the right one.
//!
//! ```text
//!  0 magic u32            16 sequence u64   of this producer in this partition, from 0
//!  4 topic u32            24 intended u64   nanoseconds of the monotonic clock at which it was meant to be sent
//!  8 partition u32        32 crc u32        CRC-32C of the whole value but for this field
//! 12 producer u32         36 filler
//! ```
//!
//! Lost, repeated, reordered and damaged records, and records of another partition, each break one of the checks of a [`Verifier`].

use std::collections::BTreeMap;

/// Bytes of a stamp; a stamped value is at least that long.
pub const STAMP_BYTES: usize = 36;
const MAGIC: u32 = 0x464c_4d42; // "FLMB"
const CRC_AT: usize = 32;

/// The fields of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub topic: u32,
    pub partition: u32,
    pub producer: u32,
    pub sequence: u64,
    pub intended: u64,
}

/// The number of a topic in its stamps.
pub fn topic_number(topic: &str) -> u32 {
    crc32c::crc32c(topic.as_bytes())
}

fn crc(value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value[..CRC_AT]), &value[STAMP_BYTES..])
}

impl Stamp {
    /// Writes the stamp over the start of `value`, whose filler is covered by the checksum.
    ///
    /// # Panics
    /// If the value is shorter than a stamp.
    pub fn write(&self, value: &mut [u8]) {
        value[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        value[4..8].copy_from_slice(&self.topic.to_be_bytes());
        value[8..12].copy_from_slice(&self.partition.to_be_bytes());
        value[12..16].copy_from_slice(&self.producer.to_be_bytes());
        value[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        value[24..32].copy_from_slice(&self.intended.to_be_bytes());
        let crc = crc(value);
        value[CRC_AT..STAMP_BYTES].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads the stamp of a value; what is wrong with it otherwise.
    pub fn read(value: &[u8]) -> Result<Self, String> {
        if value.len() < STAMP_BYTES {
            return Err(format!("a value of {} bytes has no stamp", value.len()));
        }
        let u32_at = |at: usize| u32::from_be_bytes(value[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        if u32_at(0) != MAGIC {
            return Err("the value has no stamp".to_owned());
        }
        if u32_at(CRC_AT) != crc(value) {
            return Err("the value's checksum does not hold".to_owned());
        }
        Ok(Self { topic: u32_at(4), partition: u32_at(8), producer: u32_at(12), sequence: u64_at(16), intended: u64_at(24) })
    }
}

/// Checks the records that one consumer reads from one partition.
#[derive(Clone, Debug)]
pub struct Verifier {
    topic: u32,
    partition: u32,
    /// The offset that must come next.
    offset: i64,
    /// Whether each producer's first record has been seen, so that a sequence must begin at 0.
    from_start: bool,
    /// The sequence that must come next from each producer.
    sequences: BTreeMap<u32, u64>,
}

impl Verifier {
    /// Reading begins at `offset`. `from_start`: nothing was produced to the partition before that offset.
    pub fn new(topic: &str, partition: i32, offset: i64, from_start: bool) -> Self {
        Self { topic: topic_number(topic), partition: partition as u32, offset, from_start, sequences: BTreeMap::new() }
    }

    /// Checks the next record and returns its stamp; what is wrong otherwise.
    pub fn check(&mut self, offset: i64, value: &[u8]) -> Result<Stamp, String> {
        let told = |what: String| format!("partition {} offset {offset}: {what}", self.partition);
        if offset != self.offset {
            return Err(told(format!("offset {} was to come", self.offset)));
        }
        let stamp = Stamp::read(value).map_err(told)?;
        if (stamp.topic, stamp.partition) != (self.topic, self.partition) {
            return Err(told(format!("the record was sent to partition {} of topic {:08x}", stamp.partition, stamp.topic)));
        }
        let first = if self.from_start { 0 } else { stamp.sequence };
        let wanted = *self.sequences.get(&stamp.producer).unwrap_or(&first);
        if stamp.sequence != wanted {
            return Err(told(format!(
                "sequence {} of producer {:08x} where {wanted} was to come",
                stamp.sequence, stamp.producer
            )));
        }
        self.sequences.insert(stamp.producer, wanted + 1);
        self.offset += 1;
        Ok(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(partition: u32, producer: u32, sequence: u64) -> Vec<u8> {
        let mut value = vec![7; 100];
        Stamp { topic: topic_number("t"), partition, producer, sequence, intended: 5 }.write(&mut value);
        value
    }

    fn verifier() -> Verifier {
        Verifier::new("t", 3, 0, true)
    }

    #[test]
    fn records_of_several_producers_in_order_are_right() {
        let mut verifier = verifier();
        for (offset, (producer, sequence)) in [(1, 0), (2, 0), (1, 1), (1, 2), (2, 1)].into_iter().enumerate() {
            let stamp = verifier.check(offset as i64, &value(3, producer, sequence)).unwrap();
            assert_eq!((stamp.producer, stamp.sequence, stamp.intended), (producer, sequence, 5));
        }
    }

    #[test]
    fn each_kind_of_wrong_record_is_found() {
        let check = |records: &[(i64, Vec<u8>)]| {
            let mut verifier = verifier();
            records.iter().try_for_each(|(offset, value)| verifier.check(*offset, value).map(|_| ())).unwrap_err()
        };
        let first = (0, value(3, 1, 0));
        assert!(check(&[first.clone(), (1, value(3, 1, 2))]).contains("sequence 2"), "a lost record");
        assert!(check(&[first.clone(), (1, value(3, 1, 0))]).contains("sequence 0"), "a repeated record");
        assert!(check(&[first.clone(), (2, value(3, 1, 1))]).contains("offset 1 was to come"), "a gap of offsets");
        assert!(check(&[first.clone(), (0, value(3, 1, 1))]).contains("offset 1 was to come"), "an offset served twice");
        assert!(check(&[(0, value(3, 1, 5))]).contains("where 0 was to come"), "a lost beginning");
        assert!(check(&[(0, value(4, 1, 0))]).contains("partition 4"), "a record of another partition");
        let mut other = value(3, 1, 0);
        Stamp { topic: 9, partition: 3, producer: 1, sequence: 0, intended: 5 }.write(&mut other);
        assert!(check(&[(0, other)]).contains("00000009"), "a record of another topic");
        for at in [0, 17, 33, 99] {
            let mut damaged = value(3, 1, 0);
            damaged[at] ^= 1;
            let said = check(&[(0, damaged)]);
            assert!(said.contains("checksum") || said.contains("no stamp"), "damage at {at}: {said}");
        }
        assert!(check(&[(0, vec![0; 20])]).contains("no stamp"));
    }

    #[test]
    fn reading_from_the_middle_accepts_any_first_sequence() {
        let mut verifier = Verifier::new("t", 3, 10, false);
        verifier.check(10, &value(3, 1, 70)).unwrap();
        verifier.check(11, &value(3, 1, 71)).unwrap();
        assert!(verifier.check(12, &value(3, 1, 73)).is_err());
    }
}
