//! The role of a client of a floor server: the same bytes, connections and pacing as against a broker.

use crate::args::FloorKind;
use crate::link::{Body, HEAD_BYTES, Outbox};
use crate::schedule::Schedule;
use crate::stats::{Counts, Interval, Metric};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::Rc;

pub struct FloorOptions {
    pub kind: FloorKind,
    /// Bytes of a request, its size prefix included; of a fetch always 12.
    pub request_bytes: usize,
    /// Fetches read the file in steps of `answer_bytes` up to `file_bytes`.
    pub answer_bytes: usize,
    pub file_bytes: u64,
    pub in_flight: usize,
    pub schedule: Schedule,
}

/// One connection to a floor server.
pub struct FloorClient {
    options: FloorOptions,
    body: Rc<Vec<u8>>,
    number: u32,
    position: u64,
    outstanding: VecDeque<(u64, u64, u32)>,
    stopped: bool,
}

impl FloorClient {
    pub fn new(mut options: FloorOptions) -> Self {
        options.request_bytes = if options.kind == FloorKind::Fetch { HEAD_BYTES } else { options.request_bytes.max(HEAD_BYTES) };
        let body = Rc::new(vec![0xa5; options.request_bytes - HEAD_BYTES]);
        Self { options, body, number: 0, position: 0, outstanding: VecDeque::new(), stopped: false }
    }

    fn check(&self, frame: &[u8], number: u32) -> Result<(), Failure> {
        let options = &self.options;
        let right = match options.kind {
            FloorKind::Echo => frame.len() == options.request_bytes - 4 && frame[4..8] == number.to_be_bytes(),
            FloorKind::Produce => frame.len() >= 8,
            FloorKind::Fetch => frame.len() == options.answer_bytes,
        };
        if right { Ok(()) } else { Err(Failure(format!("an answer of {} bytes is not the one that comes next", frame.len()))) }
    }
}

impl Role for FloorClient {
    fn begin(&mut self, start: u64) {
        self.options.schedule.begin(start);
    }

    fn due(&self, now: u64) -> Option<u64> {
        (self.outstanding.len() < self.options.in_flight && !self.stopped).then(|| self.options.schedule.next(now))
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox, _: &mut Interval) -> Result<(), Failure> {
        self.number = self.number.wrapping_add(1);
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&(self.options.request_bytes as u32 - 4).to_be_bytes());
        if self.options.kind == FloorKind::Fetch {
            head[4..].copy_from_slice(&self.position.to_be_bytes());
            let next = self.position + self.options.answer_bytes as u64;
            self.position = if next + self.options.answer_bytes as u64 > self.options.file_bytes { 0 } else { next };
        } else {
            head[8..].copy_from_slice(&self.number.to_be_bytes());
        }
        outbox.push(head, Body::Shared(self.body.clone()));
        self.outstanding.push_back((self.options.schedule.take(now), now, self.number));
        Ok(())
    }

    fn receive(&mut self, now: u64, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let Some((intended, sent, number)) = self.outstanding.pop_front() else {
            return Err(Failure("an answer that was not asked for".to_owned()));
        };
        self.check(&frame, number)?;
        if self.options.kind == FloorKind::Fetch {
            counted.consumed.add(Counts { requests: 1, records: 0, bytes: frame.len() as u64 });
        } else {
            counted.produced.add(Counts { requests: 1, records: 0, bytes: self.options.request_bytes as u64 });
        }
        counted.record(Metric::Ack, now.saturating_sub(intended), 1);
        counted.record(Metric::Service, now.saturating_sub(sent), 1);
        Ok(())
    }

    fn stop(&mut self, end: u64, counted: &mut Interval) {
        self.stopped = true;
        for intended in self.options.schedule.overdue(end) {
            counted.unsent += 1;
            counted.record(Metric::Ack, end - intended, 1);
        }
    }

    fn unanswered(&self) -> u64 {
        self.outstanding.len() as u64
    }

    fn is_done(&self) -> bool {
        false
    }
}
