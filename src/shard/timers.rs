//! When partitions do something by themselves: a produce gives up, a follower goes on after a pause, a leader looks at its ISR.
//!
//! A partition says when it wants to be woken next, and is woken then or earlier; it says so again each time. One task a core sleeps
//! until the first of them, so that a thousand partitions with nothing to do cost nothing.

use super::core::Core;
use crate::io::{Mono, Notify};
use crate::model::TopicIdPartition;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::pin;
use std::rc::Rc;

/// Nanoseconds in a millisecond, on the clock of partitions.
const MILLISECOND: u64 = 1_000_000;

/// The partitions of one core that want to be woken.
#[derive(Default)]
pub(super) struct Timers {
    due: RefCell<BTreeSet<(u64, TopicIdPartition)>>,
    /// Until when the task sleeps; `None` without one.
    sleeps_until_ms: Cell<Option<u64>>,
    sooner: Notify,
}

impl Timers {
    /// Takes out those that are due.
    fn take_due(&self, now_ms: u64) -> Vec<TopicIdPartition> {
        let mut due = self.due.borrow_mut();
        let mut taken = Vec::new();
        while let Some(&(at, id)) = due.first().filter(|(at, _)| *at <= now_ms) {
            due.remove(&(at, id));
            taken.push(id);
        }
        taken
    }

    fn first(&self) -> Option<u64> {
        self.due.borrow().first().map(|&(at, _)| at)
    }
}

impl Core {
    /// Wakes a partition at `due_ms`.
    pub(super) fn wake_partition_at(self: &Rc<Self>, due_ms: u64, id: TopicIdPartition) {
        let timers = &self.timers;
        timers.due.borrow_mut().insert((due_ms, id));
        match timers.sleeps_until_ms.get() {
            Some(until) if until <= due_ms => {}
            Some(_) => timers.sooner.notify_all(),
            None => {
                timers.sleeps_until_ms.set(Some(due_ms));
                let core = self.clone();
                self.io.spawn(async move { core.keep_time().await });
            }
        }
    }

    async fn keep_time(self: Rc<Self>) {
        loop {
            let sooner = self.timers.sooner.notified();
            let now_ms = self.io.now().0 / MILLISECOND;
            for id in self.timers.take_due(now_ms) {
                if let Some(partition) = self.partition(id) {
                    partition.on_due(&self);
                }
                self.io.yield_if_needed().await;
            }
            let first = self.timers.first();
            self.timers.sleeps_until_ms.set(first);
            let Some(first) = first else { return };
            futures_util::future::select(pin!(sooner), pin!(self.io.sleep_until(Mono(first * MILLISECOND)))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionIndex, TopicId};

    #[test]
    fn who_is_due_comes_out_in_order_and_once() {
        let id = |index| TopicIdPartition { topic_id: TopicId::ZERO, partition: PartitionIndex(index) };
        let timers = Timers::default();
        timers.due.borrow_mut().extend([(30, id(1)), (10, id(2)), (20, id(3)), (20, id(1))]);
        assert_eq!((timers.first(), timers.take_due(9)), (Some(10), vec![]));
        assert_eq!(timers.take_due(20), [id(2), id(1), id(3)]);
        assert_eq!((timers.first(), timers.take_due(20)), (Some(30), vec![]));
        assert_eq!((timers.take_due(30), timers.first()), (vec![id(1)], None));
    }
}
