//! A consumer of one partition that reads along through the faults of a cluster, and looks at every answer.

use crate::support::client::Fetched;
use crate::support::history::History;
use crate::support::router::{Place, Router};
use flumen::model::TopicId;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FETCH_BYTES: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 200;
/// A leader that is well answers when the wait is over.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(100);
/// Somebody else may lead by now: one that was cut off from the controller goes on answering those who ask. (Kafka's clients ask for
/// newer metadata after `metadata.max.age.ms`, five minutes.)
const STALE: Duration = Duration::from_secs(2);
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What a reader has seen, for who watches it; the records are in the history.
#[derive(Default)]
pub struct Seen {
    /// High watermarks that were compared with the highest of their leader epoch.
    pub high_watermarks: u64,
    /// What no consumer should see. The reader has ended then.
    pub complaint: Option<String>,
}

pub struct Reader {
    pub partition: i32,
    pub topic: (String, TopicId),
    pub router: Router,
    pub history: Arc<Mutex<History>>,
    pub seen: Arc<Mutex<Seen>>,
    /// The highest high watermark that was seen in each leader epoch.
    pub high_watermarks: BTreeMap<i32, i64>,
}

impl Reader {
    /// Reads until `stop` or until something is wrong.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) && self.seen.lock().unwrap().complaint.is_none() {
            // A failed connection is what faults are about; the next one goes to whoever leads then.
            self.session(stop).ok();
            std::thread::sleep(BACKOFF);
        }
    }

    fn session(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let (leader, mut client) = self.router.connect_to_leader(&self.topic.0, self.partition)?;
        let mut last_records = Instant::now();
        while !stop.load(Ordering::Relaxed) && last_records.elapsed() < STALE {
            let offset = self.history.lock().unwrap().end(self.partition);
            let place = Place { partition: self.partition, offset, leader_epoch: leader.epoch };
            let (error, mut answers) = client.fetch_at(self.topic.1, &[place], FETCH_BYTES, FETCH_WAIT_MS)?;
            let answer = answers.pop().filter(|answer| error == 0 && answer.partition == self.partition);
            let Some(answer) = answer else { return Ok(()) };
            match self.take(leader.epoch, offset, &answer) {
                Ok(true) if answer.records.is_empty() => {}
                Ok(true) => last_records = Instant::now(),
                Ok(false) => return Ok(()),
                Err(wrong) => {
                    let partition = self.partition;
                    let wrong = format!("reader of partition {partition} from {leader:?}: {wrong}");
                    self.seen.lock().unwrap().complaint = Some(wrong);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What one fetch at `offset` brought. False: ask who leads.
    ///
    /// # Errors
    /// What no consumer may see.
    fn take(&mut self, epoch: i32, offset: i64, answer: &Fetched) -> Result<bool, String> {
        if answer.error == OFFSET_OUT_OF_RANGE {
            let Fetched { log_start, high_watermark, .. } = answer;
            return Err(format!(
                "read before {offset}, which is out of range now: log start {log_start}, high watermark {high_watermark}"
            ));
        }
        if answer.error != 0 {
            return Ok(false);
        }
        let highest = self.high_watermarks.entry(epoch).or_insert(0);
        if answer.high_watermark < *highest {
            return Err(format!("the high watermark fell from {highest} to {} within epoch {epoch}", answer.high_watermark));
        }
        *highest = answer.high_watermark;
        self.seen.lock().unwrap().high_watermarks += 1;
        self.history.lock().unwrap().saw(self.partition, offset, &answer.records)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::client::FetchedRecord;
    use crate::support::history::Identity;

    fn reader() -> Reader {
        Reader {
            partition: 0,
            topic: ("t".to_owned(), TopicId::ZERO),
            router: Router::new(vec![([127, 0, 0, 1], 1).into()], 0, Duration::from_secs(1)),
            history: Arc::default(),
            seen: Arc::default(),
            high_watermarks: BTreeMap::new(),
        }
    }

    fn fetched(error: i16, high_watermark: i64, offsets: std::ops::Range<u32>) -> Fetched {
        let record = |number: u32| {
            let identity = Identity { writer: 0, partition: 0, number };
            let (key, value) = (Some(identity.key()), Some(identity.value()));
            FetchedRecord { offset: number.into(), timestamp: identity.timestamp(), key, value }
        };
        Fetched { partition: 0, error, high_watermark, log_start: 0, records: offsets.map(record).collect(), bytes: 0 }
    }

    #[test]
    fn a_high_watermark_may_fall_between_epochs_only() {
        let mut reader = reader();
        assert_eq!(reader.take(4, 0, &fetched(0, 3, 0..3)), Ok(true));
        assert_eq!(reader.take(5, 3, &fetched(0, 2, 0..0)), Ok(true), "a new leader may know less at first");
        assert!(reader.take(4, 3, &fetched(0, 2, 0..0)).is_err());
    }

    #[test]
    fn what_was_read_is_never_out_of_range() {
        assert!(reader().take(4, 3, &fetched(OFFSET_OUT_OF_RANGE, 2, 0..0)).is_err());
        assert_eq!(reader().take(4, 3, &fetched(6, -1, 0..0)), Ok(false), "not the leader");
    }
}
