//! One partition as a good producer sees it: one record under way at a time, sent again until it is acknowledged. No I/O, no clock.
//!
//! ```text
//! Resting --sent--> Sent --acked--> Resting
//!                   Sent --an error to retry, the connection is lost, another leader is known--> Wanting --sent--> Sent
//!                   Sent --any other error--> Ended
//! ```
//!
//! A producer does as Kafka's Java client does: what it knows of a leader has an epoch and only grows (KIP-320); an error that names a newer
//! leader (KIP-951) lets it send there at once, any other only after a pause. It numbers its records, so that a record that is sent twice is
//! there once (KIP-98). Beyond that client it does not sit out its request timeout before a silent leader when others already know a new
//! one: what is measured is the cluster's outage, not a setting of the client.

use crate::schedule::Schedule;
use flumen::model::ErrorCode;

/// The longest times without an acknowledgement that are kept of a partition.
const KEPT_GAPS: usize = 5;

/// From one acknowledgement to the next, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
}

impl Gap {
    pub fn length(self) -> u64 {
        self.to - self.from
    }
}

/// Who leads, and since which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// `None` while nobody does.
    pub id: Option<i32>,
    pub epoch: i32,
}

/// What becomes of the record that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none; the next leaves by the timetable.
    Resting,
    /// It was sent to this broker at this time.
    Sent { broker: i32, at: u64 },
    /// It is to be sent again, not before this time.
    Wanting { not_before: u64 },
    /// It has failed with this error, which an application would have seen. No other follows.
    Ended { code: i16 },
}

/// One partition.
#[derive(Debug)]
pub struct Line {
    pub leader: Leader,
    pub state: State,
    schedule: Schedule,
    /// When the record that is under way was meant to leave.
    intended: u64,
    /// Records that were acknowledged, and so the number of the one that is under way or comes next.
    pub acked: u64,
    /// How often a record was sent again.
    pub retries: u64,
    /// The number of the last sending: only its answer counts.
    pub attempt: u64,
    /// Whether the leader has to be looked up before the record is sent again.
    is_lost: bool,
    last_ack: Option<u64>,
    /// The longest first.
    gaps: Vec<Gap>,
}

impl Line {
    pub fn new(leader: Leader, schedule: Schedule) -> Self {
        Self {
            leader,
            state: State::Resting,
            schedule,
            intended: 0,
            acked: 0,
            retries: 0,
            attempt: 0,
            is_lost: leader.id.is_none(),
            last_ack: None,
            gaps: Vec::new(),
        }
    }

    pub fn begin(&mut self, start: u64) {
        self.schedule.begin(start);
    }

    /// When its record is meant to leave; `None` if none is. New ones are only begun while `is_open`.
    pub fn due(&self, now: u64, is_open: bool) -> Option<u64> {
        match self.state {
            State::Resting => is_open.then(|| self.schedule.next(now)),
            State::Wanting { not_before } => Some(not_before),
            State::Sent { .. } | State::Ended { .. } => None,
        }
    }

    /// Whether it needs to hear who leads: nobody is known, an error said that it is somebody else, or the leader has been silent for
    /// `silence` nanoseconds.
    pub fn needs_leader(&self, now: u64, silence: u64) -> bool {
        match self.state {
            State::Sent { at, .. } => now.saturating_sub(at) >= silence,
            State::Wanting { .. } | State::Resting => self.is_lost,
            State::Ended { .. } => false,
        }
    }

    /// Its record leaves for the leader.
    pub fn sent(&mut self, broker: i32, now: u64) {
        match self.state {
            State::Resting => self.intended = self.schedule.take(now),
            State::Wanting { .. } => self.retries += 1,
            State::Sent { .. } | State::Ended { .. } => unreachable!("one record at a time"),
        }
        self.attempt += 1;
        self.state = State::Sent { broker, at: now };
    }

    /// Whether this sending is the one whose answer is awaited, and not one that was given up for another.
    pub fn awaits(&self, attempt: u64) -> bool {
        matches!(self.state, State::Sent { .. }) && self.attempt == attempt
    }

    /// Fails the record under way if it was meant to leave more than `limit` nanoseconds ago; whether no record can follow.
    pub fn expire(&mut self, now: u64, limit: u64) -> bool {
        let is_under_way = matches!(self.state, State::Sent { .. } | State::Wanting { .. });
        if is_under_way && now.saturating_sub(self.intended) > limit {
            self.state = State::Ended { code: ErrorCode::RequestTimedOut.code() };
        }
        matches!(self.state, State::Ended { .. })
    }

    /// The leader cannot be sent to: it is looked up again.
    pub fn unreachable(&mut self) {
        self.is_lost = true;
    }

    /// The record under way was acknowledged: for how long, counted from when it was meant to leave.
    fn acknowledged(&mut self, now: u64) -> u64 {
        self.state = State::Resting;
        self.acked += 1;
        self.close_gap(now);
        self.last_ack = Some(now);
        now.saturating_sub(self.intended)
    }

    /// An answer to the record that is under way at `broker`: its latency if it is an acknowledgement. `hint` is whom the answer names.
    pub fn answered(&mut self, code: i16, hint: Option<Leader>, now: u64, pause: u64) -> Option<u64> {
        // The record had been written, and only its acknowledgement was lost.
        let is_written = code == 0 || code == ErrorCode::DuplicateSequenceNumber.code();
        if is_written {
            return Some(self.acknowledged(now));
        }
        if !ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) {
            self.state = State::Ended { code };
            return None;
        }
        self.state = State::Wanting { not_before: now + pause };
        self.is_lost = true;
        if let Some(hint) = hint {
            self.learned(hint, now);
        }
        None
    }

    /// The connection to a broker was lost: what is under way there has to be sent again.
    pub fn lost(&mut self, broker: i32, now: u64, pause: u64) {
        if matches!(self.state, State::Sent { broker: at, .. } if at == broker) {
            self.state = State::Wanting { not_before: now + pause };
            self.is_lost = true;
        }
    }

    /// Somebody says who leads. Older knowledge is no news; the same again is an answer to who asked, and lets it try again.
    pub fn learned(&mut self, leader: Leader, now: u64) {
        if leader.epoch < self.leader.epoch {
            return;
        }
        let is_new = leader.epoch > self.leader.epoch;
        self.leader = leader;
        self.is_lost = leader.id.is_none();
        let Some(id) = leader.id.filter(|_| is_new) else { return };
        match self.state {
            State::Wanting { .. } => self.state = State::Wanting { not_before: now },
            // Whoever was asked leads no more, and may never answer.
            State::Sent { broker, .. } if broker != id => self.state = State::Wanting { not_before: now },
            State::Resting | State::Sent { .. } | State::Ended { .. } => {}
        }
    }

    /// A time without acknowledgements is over. Before the first there was none.
    pub fn close_gap(&mut self, now: u64) {
        let Some(from) = self.last_ack else { return };
        let gap = Gap { from, to: now };
        let place = self.gaps.partition_point(|other| other.length() >= gap.length());
        if place < KEPT_GAPS {
            self.gaps.insert(place, gap);
            self.gaps.truncate(KEPT_GAPS);
        }
    }

    /// The longest times without an acknowledgement, the longest first.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The number of the record that may be there though it was never acknowledged.
    pub fn undecided(&self) -> Option<u64> {
        (self.state != State::Resting).then_some(self.acked)
    }

    /// Intended send time of the record that is under way.
    pub fn intended(&self) -> u64 {
        self.intended
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
