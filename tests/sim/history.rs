//! What all clients of a seed know together: the input of the invariants.

use crate::invariants::Invariants;
use flumen::io::Mono;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Topic and partition.
pub type Tp = (String, i32);

#[derive(Default)]
pub struct History {
    pub invariants: Invariants,
    /// Values given out so far; each is written once.
    pub values: u64,
    /// What happened, by name: faults, answers, states that were reached.
    pub counts: BTreeMap<&'static str, u64>,
    /// Nothing was done to the broker, its disk or the network since then.
    pub calm_since: Option<Mono>,
    /// The broker's host loses power now and then.
    pub loses_power: bool,
    /// Clients are to come to an end.
    pub over: bool,
}

pub type Shared = Rc<RefCell<History>>;

impl History {
    pub fn value(&mut self) -> String {
        self.values += 1;
        format!("v{}", self.values)
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Whether the broker has been left alone for `time`.
    pub fn calm_for(&self, now: Mono, time: Duration) -> bool {
        self.calm_since.is_some_and(|since| now.since(since) >= time)
    }
}
