//! The life of a broker in a cluster, as it tells the controller of it (KIP-631): it registers, catches up with the metadata, recovers its
//! logs, serves, gives away what it leads, and goes.
//!
//! It is pure: what happens comes in as an [`Input`] with the time, what is to be done goes out as [`Effect`]s. One request is under way at
//! a time, and the next one is due at a time that depends on what the last one was answered. What Kafka's broker does is done here too,
//! but for two things: a broker whose epoch the controller does not know any more (it was unregistered, or another process has taken its
//! id) registers anew instead of asking in vain; and one that waits for its leaderships to move does not wait longer for a controller that
//! is silent than the controller waits for it: by then it is fenced.
//!
//! | Phase | Answer to a heartbeat | Next | Heartbeat after |
//! |---|---|---|---|
//! | starting | not caught up | starting | 10 ms |
//! | starting | caught up | recovery | 10 ms |
//! | recovery | fenced | recovery | the interval |
//! | recovery | not fenced | running | the interval |
//! | running | any | running | the interval |
//! | controlled shutdown | may not go yet | the same | 50 ms the first time, then the interval |
//! | controlled shutdown | may go | shutting down | none |
//!
//! After an answer that is an error, or none: 100 ms, twice as long each time, up to the session's timeout. At once after a registration,
//! when there is something new to tell, and when the controller is another or has lost the connection.

use crate::model::{ErrorCode, TopicId};
use std::collections::BTreeMap;

/// A broker that catches up asks so often, in milliseconds.
const CATCH_UP_INTERVAL_MS: u64 = 10;
/// First wait of a broker that may not go yet.
const SHUTDOWN_INTERVAL_MS: u64 = 50;
/// Wait after the first failure.
const FIRST_BACKOFF_MS: u64 = 100;

/// How patient a broker is, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timing {
    /// `broker.heartbeat.interval.ms`
    pub(super) heartbeat_interval_ms: u64,
    /// `broker.session.timeout.ms`
    pub(super) session_timeout_ms: u64,
    /// `initial.broker.registration.timeout.ms`
    pub(super) registration_timeout_ms: u64,
    /// How long its leaderships may take to move before it goes.
    pub(super) shutdown_limit_ms: u64,
    /// `log.dir.failure.timeout.ms`: how long the controller may not know of a failed log dir.
    pub(super) dir_failure_timeout_ms: u64,
}

/// Where a broker is in its life; Kafka's `BrokerState`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// It registers, and reads the metadata.
    Starting,
    /// It has the metadata, and opens its logs.
    Recovery,
    /// It may lead.
    Running,
    /// It gives away what it leads.
    ControlledShutdown,
    /// It has nothing more to tell.
    ShuttingDown,
}

/// What the controller says to a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) is_caught_up: bool,
    pub(super) is_fenced: bool,
    pub(super) should_shut_down: bool,
}

/// What happens. An answer that did not come is an error like any other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// Time has passed.
    Tick,
    /// The answer to [`Effect::Register`]: the broker's epoch.
    Registered(Result<i64, ErrorCode>),
    /// The answer to [`Effect::Heartbeat`].
    Heard(Result<Heard, ErrorCode>),
    /// The logs are open: it can lead.
    Loaded,
    /// The controller may have reason to believe that this broker is gone: the connection to it has ended, or it is another one.
    Unheard,
    /// A log dir has failed.
    DirFailed(TopicId),
    /// It is to stop.
    ShutDown,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Ask to be registered.
    Register {
        /// Epoch of the last incarnation if its stop was clean, or of this one's last registration; -1 for none.
        previous_epoch: i64,
    },
    /// Tell how it is. The metadata offset is known to who sends it.
    Heartbeat { epoch: i64, want_fence: bool, want_shut_down: bool, offline_log_dirs: Vec<TopicId> },
    /// The broker cannot go on.
    GiveUp(String),
}

/// The machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lifecycle {
    timing: Timing,
    phase: Phase,
    /// The broker's epoch while it is registered as far as it knows.
    epoch: Option<i64>,
    previous_epoch: i64,
    was_registered: bool,
    is_loaded: bool,
    /// Failed log dirs: none once the controller knows, else since when.
    failed_dirs: BTreeMap<TopicId, Option<u64>>,
    /// Those that the request under way tells of.
    told_dirs: Vec<TopicId>,
    begun_ms: u64,
    is_asking: bool,
    /// There is something new to tell as soon as the request under way is answered.
    is_urgent: bool,
    due_ms: u64,
    failures: u32,
    /// Since when it is to stop, and when the controller last answered after that.
    shutdown_ms: Option<(u64, u64)>,
    was_told_to_wait: bool,
    has_given_up: bool,
}

impl Lifecycle {
    /// A broker that starts at `now_ms`. `previous_epoch` is that of its last incarnation if that was stopped cleanly, else -1.
    pub(super) fn new(timing: Timing, previous_epoch: i64, now_ms: u64) -> Self {
        Self {
            timing,
            phase: Phase::Starting,
            epoch: None,
            previous_epoch,
            was_registered: false,
            is_loaded: false,
            failed_dirs: BTreeMap::new(),
            told_dirs: vec![],
            begun_ms: now_ms,
            is_asking: false,
            is_urgent: false,
            due_ms: now_ms,
            failures: 0,
            shutdown_ms: None,
            was_told_to_wait: false,
            has_given_up: false,
        }
    }

    /// Where it is.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes in what has happened.
    pub(super) fn on_input(&mut self, input: Input, now_ms: u64, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Registered(outcome) => self.on_registered(outcome, now_ms),
            Input::Heard(outcome) => self.on_heard(outcome, now_ms),
            Input::Loaded => {
                self.is_loaded = true;
                self.hurry(now_ms);
            }
            Input::Unheard => {
                if !self.is_asking && self.epoch.is_some() {
                    self.hurry(now_ms);
                }
            }
            Input::DirFailed(dir) => {
                self.failed_dirs.entry(dir).or_insert(Some(now_ms));
                if self.epoch.is_some() {
                    self.hurry(now_ms);
                }
            }
            Input::ShutDown => self.on_shut_down(now_ms),
        }
        self.look_at_the_clock(now_ms, effects);
        self.ask_if_due(now_ms, effects);
    }

    /// Whether it has nothing more to do, whatever happens.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::ShuttingDown || self.has_given_up
    }

    /// When it wants [`Input::Tick`]; `u64::MAX` for not before something else happens.
    pub(super) fn next_ms(&self) -> u64 {
        if self.is_over() {
            return u64::MAX;
        }
        let ask = if self.is_asking { u64::MAX } else { self.due_ms };
        let registration = if self.was_registered { u64::MAX } else { self.registration_deadline() };
        let shutdown = self.shutdown_deadline().unwrap_or(u64::MAX);
        let dirs = self.dirs_deadline().unwrap_or(u64::MAX);
        ask.min(registration).min(shutdown).min(dirs)
    }

    // ---- what happens --------------------------------------------------------------------------------------------------------

    fn on_registered(&mut self, outcome: Result<i64, ErrorCode>, now_ms: u64) {
        self.is_asking = false;
        match outcome {
            Ok(epoch) => {
                (self.epoch, self.previous_epoch) = (Some(epoch), epoch);
                (self.failures, self.was_registered) = (0, true);
                self.note_answer(now_ms);
                self.due_ms = now_ms;
                self.is_urgent = false;
            }
            Err(_) => self.after_failure(now_ms),
        }
    }

    fn on_heard(&mut self, outcome: Result<Heard, ErrorCode>, now_ms: u64) {
        self.is_asking = false;
        let told = std::mem::take(&mut self.told_dirs);
        let heard = match outcome {
            Ok(heard) => heard,
            Err(ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) => {
                self.epoch = None;
                if self.phase == Phase::ControlledShutdown {
                    // Who is not registered leads nothing.
                    self.phase = Phase::ShuttingDown;
                }
                return self.after_failure(now_ms);
            }
            Err(_) => return self.after_failure(now_ms),
        };
        self.failures = 0;
        self.note_answer(now_ms);
        for dir in told {
            self.failed_dirs.insert(dir, None);
        }
        let mut wait_ms = self.timing.heartbeat_interval_ms;
        match self.phase {
            Phase::Starting => {
                if heard.is_caught_up {
                    self.phase = Phase::Recovery;
                }
                wait_ms = CATCH_UP_INTERVAL_MS;
            }
            Phase::Recovery if !heard.is_fenced => self.phase = Phase::Running,
            Phase::ControlledShutdown if heard.should_shut_down => self.phase = Phase::ShuttingDown,
            Phase::ControlledShutdown => {
                if !std::mem::replace(&mut self.was_told_to_wait, true) {
                    wait_ms = wait_ms.min(SHUTDOWN_INTERVAL_MS);
                }
            }
            Phase::Recovery | Phase::Running | Phase::ShuttingDown => {}
        }
        self.ask_after(wait_ms, now_ms);
    }

    fn on_shut_down(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Running if self.epoch.is_some() => {
                self.phase = Phase::ControlledShutdown;
                self.shutdown_ms = Some((now_ms, now_ms));
                self.hurry(now_ms);
            }
            Phase::ControlledShutdown => {}
            // It leads nothing.
            _ => self.phase = Phase::ShuttingDown,
        }
    }

    /// What is there to tell does not wait for the interval.
    fn hurry(&mut self, now_ms: u64) {
        self.is_urgent = self.is_asking;
        if !self.is_asking {
            self.due_ms = self.due_ms.min(now_ms);
        }
    }

    fn ask_after(&mut self, wait_ms: u64, now_ms: u64) {
        let wait_ms = if std::mem::take(&mut self.is_urgent) { 0 } else { wait_ms };
        self.due_ms = now_ms.saturating_add(wait_ms);
    }

    fn after_failure(&mut self, now_ms: u64) {
        let backoff = FIRST_BACKOFF_MS.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.is_urgent = false;
        self.ask_after(backoff.min(self.timing.session_timeout_ms.max(FIRST_BACKOFF_MS)), now_ms);
    }

    fn note_answer(&mut self, now_ms: u64) {
        if let Some((_, answered)) = &mut self.shutdown_ms {
            *answered = now_ms;
        }
    }

    // ---- what is due ---------------------------------------------------------------------------------------------------------

    fn registration_deadline(&self) -> u64 {
        self.begun_ms.saturating_add(self.timing.registration_timeout_ms)
    }

    fn shutdown_deadline(&self) -> Option<u64> {
        let (begun, answered) = self.shutdown_ms?;
        let silent = answered.saturating_add(self.timing.session_timeout_ms);
        Some(begun.saturating_add(self.timing.shutdown_limit_ms).min(silent))
    }

    fn dirs_deadline(&self) -> Option<u64> {
        let oldest = self.failed_dirs.values().flatten().min()?;
        Some(oldest.saturating_add(self.timing.dir_failure_timeout_ms))
    }

    fn look_at_the_clock(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.is_over() {
            return;
        }
        if self.shutdown_deadline().is_some_and(|deadline| now_ms >= deadline) {
            self.phase = Phase::ShuttingDown;
            return;
        }
        let why = if !self.was_registered && now_ms >= self.registration_deadline() {
            format!("the controller has not registered this broker within {} ms", self.timing.registration_timeout_ms)
        } else if self.dirs_deadline().is_some_and(|deadline| now_ms >= deadline) {
            let limit = self.timing.dir_failure_timeout_ms;
            format!("the controller has not heard of a failed log dir within {limit} ms, and may leave leaderships in it")
        } else {
            return;
        };
        self.has_given_up = true;
        effects.push(Effect::GiveUp(why));
    }

    fn ask_if_due(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.is_asking || self.is_over() || now_ms < self.due_ms {
            return;
        }
        self.is_asking = true;
        effects.push(match self.epoch {
            None => Effect::Register { previous_epoch: self.previous_epoch },
            Some(epoch) => {
                self.told_dirs = self.failed_dirs.keys().copied().collect();
                Effect::Heartbeat {
                    epoch,
                    want_fence: !self.is_loaded,
                    want_shut_down: self.phase == Phase::ControlledShutdown,
                    offline_log_dirs: self.told_dirs.clone(),
                }
            }
        });
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
