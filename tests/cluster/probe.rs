//! How soon a cluster makes progress by itself: a client for each partition that comes anew and tries until a record of its own is acked by
//! all in-sync replicas and served. The [`writer`](crate::writer)s and readers have connections from before a fault, and wait for
//! answers that will not come, as long as clients do; this one has neither, so that what it waits for is the cluster.

use crate::support::history::{Ack, Identity};
use crate::support::router::{Place, Router};
use flumen::model::TopicId;
use flumen::record::{BatchBuilder, Compression};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Of acks=all without retries, as [`Kind::of`](crate::writer::Kind::of) says of it; no writer has this number.
pub const WRITER: u32 = 1000;
/// For an answer: then who leads is asked again.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const BACKOFF: Duration = Duration::from_millis(20);
const FETCH_BYTES: i32 = 1 << 16;
const FETCH_WAIT_MS: i32 = 50;

pub struct Probe<'a> {
    pub topic: (&'a str, TopicId),
    pub partition: i32,
    pub router: Router,
    /// The next record's number, of all probes of a test: an attempt whose answer is not known is not made again.
    pub numbers: &'a AtomicU32,
    /// Set when it has tried for long enough.
    pub give_up: &'a AtomicBool,
}

impl Probe<'_> {
    /// Tries until a record is acked and served; `None` when it has to give up before.
    pub fn run(mut self) -> Option<Ack> {
        let mut acked = None;
        while !self.give_up.load(Ordering::Relaxed) {
            // What goes wrong is what a fault does; only that it ends matters here.
            if acked.is_none() {
                acked = self.write().ok().flatten();
            }
            if acked.is_some_and(|ack| self.is_served(ack).unwrap_or(false)) {
                return acked;
            }
            std::thread::sleep(BACKOFF);
        }
        None
    }

    fn write(&mut self) -> io::Result<Option<Ack>> {
        let (_, mut client) = self.router.connect_to_leader(self.topic.0, self.partition)?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let first = Identity { writer: WRITER, partition: self.partition, number };
        let mut batch = BatchBuilder::new(Compression::NONE);
        batch.append(first.timestamp(), Some(&first.key()), Some(&first.value()));
        let (error, base_offset) = client.produce(self.topic.0, self.partition, batch.build())?;
        Ok((error == 0).then_some(Ack { first, count: 1, base_offset }))
    }

    fn is_served(&mut self, ack: Ack) -> io::Result<bool> {
        let (leader, mut client) = self.router.connect_to_leader(self.topic.0, self.partition)?;
        let place = Place { partition: self.partition, offset: ack.base_offset, leader_epoch: leader.epoch };
        let (error, answers) = client.fetch_at(self.topic.1, &[place], FETCH_BYTES, FETCH_WAIT_MS)?;
        Ok(error == 0 && answers.iter().any(|answer| answer.error == 0 && !answer.records.is_empty()))
    }
}
