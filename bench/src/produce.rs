//! The role of a producer: one connection, a few partitions of one leader.

use crate::clock;
use crate::kafka::{error_name, is_retriable};
use crate::link::Outbox;
use crate::schedule::Schedule;
use crate::stats::{Counts, Interval, Metric};
use crate::template::{Patch, Template};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use flumen::protocol::frame::decode_response;
use flumen::protocol::generated::produce_request::ProduceRequest;
use flumen::record::increment_sequence;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What producers and consumers of an end-to-end run know of each other.
#[derive(Debug, Default)]
pub struct Shared {
    /// Records sent so far.
    pub sent: AtomicU64,
    /// Records read so far, by all consumers together.
    pub consumed: AtomicU64,
    /// Producers that may still send.
    pub producing: AtomicUsize,
}

/// How a producer was asked to be.
pub struct ProducerOptions {
    /// Requests that it sends, in turn.
    pub templates: Vec<Rc<Template>>,
    pub version: i16,
    pub acks: i16,
    /// Requests without an answer, at most.
    pub in_flight: usize,
    /// Requests to send in all; unlimited without it.
    pub requests: Option<u64>,
    pub schedule: Schedule,
    /// Id and epoch when it is idempotent.
    pub producer_id: Option<(i64, i16)>,
    /// Its number in stamps, when records are stamped.
    pub stamp: Option<u32>,
    pub shared: Option<Arc<Shared>>,
}

struct Sent {
    template: Rc<Template>,
    correlation: i32,
    intended: u64,
    sent: u64,
}

/// One producing connection.
pub struct Producer {
    options: ProducerOptions,
    next: usize,
    correlation: i32,
    outstanding: VecDeque<Sent>,
    left: u64,
    stopped: bool,
    /// Next sequence of the idempotent producer, and of the stamps, by partition.
    sequences: BTreeMap<i32, (i32, u64)>,
}

impl Producer {
    pub fn new(options: ProducerOptions) -> Self {
        if let Some(shared) = &options.shared {
            shared.producing.fetch_add(1, Ordering::Relaxed);
        }
        let left = options.requests.unwrap_or(u64::MAX);
        Self { options, next: 0, correlation: 0, outstanding: VecDeque::new(), left, stopped: false, sequences: BTreeMap::new() }
    }

    fn ended(&mut self) {
        if !self.stopped {
            self.stopped = true;
            if let Some(shared) = &self.options.shared {
                shared.producing.fetch_sub(1, Ordering::Release);
            }
        }
    }

    fn acked(&self, sent: &Sent, now: u64, counts: Counts, counted: &mut Interval) {
        counted.produced.add(counts);
        counted.record(Metric::Ack, now.saturating_sub(sent.intended), 1);
        counted.record(Metric::Service, now.saturating_sub(sent.sent), 1);
    }

    /// Errors of an answer are counted; whether the run can go on after this one.
    fn judge(&self, partition: i32, code: i16, counted: &mut Interval) -> Result<(), Failure> {
        counted.error(code);
        let numbered = self.options.producer_id.is_some() || self.options.stamp.is_some();
        if is_retriable(code) && !numbered {
            return Ok(());
        }
        let why = if numbered { ", and its sequences must not have gaps" } else { "" };
        Err(Failure(format!("produce to partition {partition}: {}{why}", error_name(code))))
    }
}

impl Role for Producer {
    fn begin(&mut self, start: u64) {
        self.options.schedule.begin(start);
    }

    fn due(&self, now: u64) -> Option<u64> {
        let room = self.outstanding.len() < self.options.in_flight && self.left > 0 && !self.stopped;
        room.then(|| self.options.schedule.next(now))
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox, _: &mut Interval) -> Result<(), Failure> {
        let template = self.options.templates[self.next].clone();
        self.next = (self.next + 1) % self.options.templates.len();
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let intended = self.options.schedule.take(now);
        let (id, stamp) = (self.options.producer_id, self.options.stamp);
        let (head, body) = if id.is_none() && stamp.is_none() {
            template.plain(self.correlation)
        } else {
            let timestamp = clock::wall_ms();
            template.patched(self.correlation, outbox.buffer(), |place| {
                let (sequence, stamped) = self.sequences.entry(place.partition).or_default();
                let patch = Patch {
                    timestamp,
                    producer: id.map(|(id, epoch)| (id, epoch, *sequence)),
                    stamp: stamp.map(|number| (number, *stamped, intended)),
                };
                *sequence = increment_sequence(*sequence, place.records as i32);
                *stamped += u64::from(place.records);
                patch
            })
        };
        outbox.push(head, body);
        self.left -= 1;
        if let Some(shared) = &self.options.shared {
            shared.sent.fetch_add(template.records(), Ordering::Relaxed);
        }
        self.outstanding.push_back(Sent { template, correlation: self.correlation, intended, sent: now });
        if self.left == 0 {
            self.ended();
        }
        Ok(())
    }

    fn receive(&mut self, now: u64, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let (correlation, answer) = decode_response::<ProduceRequest>(frame, self.options.version)
            .map_err(|error| Failure(format!("Produce: {error}")))?;
        let Some(sent) = self.outstanding.pop_front().filter(|sent| sent.correlation == correlation) else {
            return Err(Failure(format!("Produce: answer {correlation} is not the one that comes next")));
        };
        let mut counts = Counts { requests: 1, records: sent.template.records(), bytes: sent.template.batch_bytes() };
        let answers = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let mut answered = 0;
        for answer in answers {
            // Not in the order of the request: Kafka answers in the order of a hash map.
            let Some(place) = sent.template.places.iter().find(|place| place.partition == answer.index) else {
                return Err(Failure(format!("Produce: an answer for partition {}, which was not in the request", answer.index)));
            };
            answered += 1;
            if answer.error_code != 0 {
                self.judge(answer.index, answer.error_code, counted)?;
                counts.records -= u64::from(place.records);
                counts.bytes -= place.bytes();
            }
        }
        if answered != sent.template.places.len() {
            return Err(Failure(format!("Produce: {answered} of {} partitions were answered", sent.template.places.len())));
        }
        self.acked(&sent, now, counts, counted);
        Ok(())
    }

    fn flushed(&mut self, now: u64, counted: &mut Interval) {
        if self.options.acks == 0 {
            while let Some(sent) = self.outstanding.pop_front() {
                let counts = Counts { requests: 1, records: sent.template.records(), bytes: sent.template.batch_bytes() };
                self.acked(&sent, now, counts, counted);
            }
        }
    }

    fn stop(&mut self, end: u64, counted: &mut Interval) {
        let records = self.options.templates[0].records();
        for intended in self.options.schedule.overdue(end).take(usize::try_from(self.left).unwrap_or(usize::MAX)) {
            counted.unsent += 1;
            counted.record(Metric::Ack, end - intended, 1);
            if self.options.shared.is_some() {
                counted.record(Metric::EndToEnd, end - intended, records);
            }
        }
        self.ended();
    }

    fn unanswered(&self) -> u64 {
        self.outstanding.len() as u64
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.outstanding.is_empty()
    }
}
