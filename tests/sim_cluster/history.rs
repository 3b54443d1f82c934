//! What all clients of a seed know together: the input of the invariants.

use crate::invariants::Invariants;
use crate::topics;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Topic and partition.
pub type Tp = (String, i32);

#[derive(Default)]
pub struct History {
    pub invariants: Invariants,
    /// Values given out so far; each is written once.
    pub values: u64,
    /// What happened, by name: answers, states that were reached.
    pub counts: BTreeMap<&'static str, u64>,
    /// What a broker had of its log was lost: topics without other replicas promise nothing any more.
    pub lost_a_disk: bool,
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

    /// Whether what is committed there stays.
    pub fn keeps(&self, tp: &Tp) -> bool {
        let topic = topics::find(&tp.0);
        !topic.unclean && (topic.replicas > 1 || !self.lost_a_disk)
    }

    /// Whether what this ack tells of stays. The ack of a leader alone may be lost with it.
    pub fn promises(&self, tp: &Tp, acks: i16) -> bool {
        self.keeps(tp) && (acks == -1 || topics::find(&tp.0).replicas == 1)
    }
}
