//! Produces that are in the log and wait: for their flush (`acks=1` under `flush.messages=1`) or for the high watermark (`acks=all`).
//!
//! Answers leave in offset order. Only `acks=all` has a deadline: a write of our own ends, one way or the other.

use super::Effect;
use crate::model::{ErrorCode, Offset};
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Names a waiting produce; the caller's to choose, unique among those that wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// By the offset behind their last record; no deadline.
    durable: BTreeSet<(Offset, Ticket)>,
    /// By the offset behind their last record, with the deadline.
    high_watermark: BTreeMap<(Offset, Ticket), u64>,
    /// The same, by deadline.
    deadlines: BTreeSet<(u64, Ticket, Offset)>,
}

impl Waiting {
    pub(super) fn park_for_durable(&mut self, ticket: Ticket, end: Offset) {
        assert!(self.durable.insert((end, ticket)), "ticket {ticket:?} waits once");
    }

    pub(super) fn park_for_high_watermark(&mut self, ticket: Ticket, end: Offset, deadline_ms: u64) {
        assert!(self.high_watermark.insert((end, ticket), deadline_ms).is_none(), "ticket {ticket:?} waits once");
        self.deadlines.insert((deadline_ms, ticket, end));
    }

    /// Answers everybody whose wait is over; `all_error` goes to those that waited for the high watermark.
    pub(super) fn wake(&mut self, durable: Offset, high_watermark: Offset, all_error: ErrorCode, effects: &mut Vec<Effect>) {
        while let Some(&(end, ticket)) = self.durable.first()
            && end <= durable
        {
            self.durable.pop_first();
            effects.push(Effect::Answer { ticket, error: ErrorCode::None });
        }
        while let Some((&(end, ticket), &deadline)) = self.high_watermark.first_key_value()
            && end <= high_watermark
        {
            self.high_watermark.pop_first();
            assert!(self.deadlines.remove(&(deadline, ticket, end)), "who waits has a deadline");
            effects.push(Effect::Answer { ticket, error: all_error });
        }
    }

    /// Answers `REQUEST_TIMED_OUT` where the deadline has passed. The records stay, and may yet be replicated.
    pub(super) fn time_out(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        while let Some(&(deadline, ticket, end)) = self.deadlines.first()
            && deadline <= now_ms
        {
            self.deadlines.pop_first();
            assert!(self.high_watermark.remove(&(end, ticket)).is_some(), "a deadline is somebody's");
            effects.push(Effect::Answer { ticket, error: ErrorCode::RequestTimedOut });
        }
    }

    pub(super) fn fail_all(&mut self, error: ErrorCode, effects: &mut Vec<Effect>) {
        let all = std::mem::take(self);
        effects.extend(all.durable.into_iter().map(|(_, ticket)| Effect::Answer { ticket, error }));
        effects.extend(all.high_watermark.into_keys().map(|(_, ticket)| Effect::Answer { ticket, error }));
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|&(deadline, ..)| deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.durable.len() + self.high_watermark.len()
    }
}
