//! Whether what was acknowledged is there.

use crate::clock;
use crate::commands::address;
use crate::kafka::{Client, PATIENCE};
use crate::read;
use crate::stamp::{Stamp, topic_number};
use crate::worker::Failure;
use std::time::Duration;

/// Before a partition is read again whose leader went away meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What was found in all partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub records: u64,
    /// Acknowledged records that are not there.
    pub lost: u64,
    /// Records that are there more than once.
    pub repeated: u64,
    /// Records that are there though they were never acknowledged, which is no error.
    pub undecided: u64,
}

/// What is to be found in one partition: the records up to `acked`, each once, and perhaps the `undecided` one.
struct Expected {
    topic: u32,
    partition: u32,
    producer: u32,
    undecided: Option<u64>,
    /// How often each acknowledged record, and the undecided one, was found.
    found: Vec<u64>,
}

impl Expected {
    fn new(topic: &str, partition: u32, producer: u32, acked: u64, undecided: Option<u64>) -> Self {
        let count = acked as usize + usize::from(undecided.is_some());
        Self { topic: topic_number(topic), partition, producer, undecided, found: vec![0; count] }
    }

    fn take(&mut self, offset: i64, value: &[u8]) -> Result<(), String> {
        let told = |what: String| format!("partition {} offset {offset}: {what}", self.partition);
        let stamp = Stamp::read(value).map_err(told)?;
        if (stamp.topic, stamp.partition) != (self.topic, self.partition) {
            return Err(told(format!("a record that was sent to partition {} of topic {:08x}", stamp.partition, stamp.topic)));
        }
        // The topic may have had others before.
        if stamp.producer == self.producer {
            match self.found.get_mut(stamp.sequence as usize) {
                Some(count) => *count += 1,
                None => return Err(told(format!("record {}, which was never sent", stamp.sequence))),
            }
        }
        Ok(())
    }

    fn judge(&self) -> Checked {
        let mut checked = Checked::default();
        for (sequence, count) in self.found.iter().enumerate() {
            let is_undecided = self.undecided == Some(sequence as u64);
            checked.records += count;
            checked.lost += u64::from(*count == 0 && !is_undecided);
            checked.repeated += count.saturating_sub(1);
            checked.undecided += u64::from(is_undecided && *count > 0);
        }
        checked
    }
}

/// Reads all partitions, of each of which so many records of `producer` were acknowledged and one may be undecided.
pub fn read(bootstrap: &str, topic: &str, producer: u32, acked: &[(u64, Option<u64>)]) -> Result<Checked, Failure> {
    let mut all = Checked::default();
    for (partition, (acked, undecided)) in acked.iter().enumerate() {
        let expected = || Expected::new(topic, partition as u32, producer, *acked, *undecided);
        let found = read_partition(bootstrap, topic, partition as i32, expected)?;
        all.records += found.records;
        all.lost += found.lost;
        all.repeated += found.repeated;
        all.undecided += found.undecided;
    }
    Ok(all)
}

/// Reads one partition, from its start again if its leader goes away meanwhile.
fn read_partition(bootstrap: &str, topic: &str, partition: i32, expected: impl Fn() -> Expected) -> Result<Checked, Failure> {
    let deadline = clock::now() + PATIENCE.as_nanos() as u64;
    loop {
        let (mut expected, mut wrong) = (expected(), None);
        let mut attempt = || -> Result<(), Failure> {
            let found = Client::connect(bootstrap)?.topic(topic)?;
            let mut leader = Client::connect(address(&found, found.partitions[partition as usize].leader)?)?;
            read::partition(&mut leader, topic, partition, |offset, record| {
                if let Err(what) = expected.take(offset, record.value.unwrap_or_default()) {
                    wrong.get_or_insert(what);
                }
            })
        };
        match (attempt(), wrong) {
            (_, Some(what)) => return Err(Failure(what)),
            (Ok(()), None) => return Ok(expected.judge()),
            (Err(failure), None) if clock::now() > deadline => return Err(failure),
            (Err(_), None) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(partition: u32, producer: u32, sequence: u64) -> Vec<u8> {
        let mut value = vec![b'.'; 60];
        Stamp { topic: topic_number("t"), partition, producer, sequence, intended: 5 }.write(&mut value);
        value
    }

    /// What is found when these records of producer 7 are there, of which four were acknowledged and the fifth is undecided.
    fn found(sequences: &[u64]) -> Checked {
        let mut expected = Expected::new("t", 2, 7, 4, Some(4));
        for (offset, sequence) in sequences.iter().enumerate() {
            expected.take(offset as i64, &value(2, 7, *sequence)).unwrap();
        }
        expected.judge()
    }

    #[test]
    fn lost_and_repeated_records_are_counted_and_the_undecided_one_may_be_there() {
        assert_eq!(found(&[0, 1, 2, 3]), Checked { records: 4, ..Checked::default() });
        assert_eq!(found(&[0, 1, 2, 3, 4]), Checked { records: 5, undecided: 1, ..Checked::default() });
        assert_eq!(found(&[0, 3]), Checked { records: 2, lost: 2, ..Checked::default() });
        assert_eq!(found(&[0, 1, 1, 1, 2, 3]), Checked { records: 6, repeated: 2, ..Checked::default() });
    }

    #[test]
    fn records_that_nobody_sent_are_errors_and_those_of_others_are_not() {
        let mut expected = Expected::new("t", 2, 7, 1, None);
        expected.take(0, &value(2, 9, 88)).unwrap();
        assert!(expected.take(1, &value(2, 7, 1)).unwrap_err().contains("never sent"));
        assert!(expected.take(2, &value(3, 7, 0)).unwrap_err().contains("partition 3"));
        assert!(expected.take(3, b"something else").unwrap_err().contains("no stamp"));
        let mut damaged = value(2, 7, 0);
        damaged[40] ^= 1;
        assert!(expected.take(4, &damaged).unwrap_err().contains("checksum"));
    }
}
