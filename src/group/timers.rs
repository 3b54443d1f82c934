//! Deadlines by name: one for each thing that may be waited for, set anew or cancelled at any time.

use std::collections::{BTreeMap, BTreeSet};

/// Deadlines on a clock in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Timers<K> {
    deadlines: BTreeMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { deadlines: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// `key` is due at `deadline_ms`, whatever was said of it before.
    pub(super) fn set(&mut self, key: K, deadline_ms: u64) {
        if let Some(before) = self.deadlines.insert(key.clone(), deadline_ms) {
            self.order.remove(&(before, key.clone()));
        }
        self.order.insert((deadline_ms, key));
    }

    pub(super) fn cancel(&mut self, key: &K) {
        if let Some(deadline) = self.deadlines.remove(key) {
            self.order.remove(&(deadline, key.clone()));
        }
    }

    /// Takes the next key that is due at `now_ms`.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<K> {
        if self.next()? > now_ms {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.order.first().map(|&(deadline, _)| deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set("b", 20);
        timers.set("a", 10);
        timers.set("c", 30);
        timers.set("a", 25);
        timers.cancel(&"c");
        timers.cancel(&"unknown");
        assert_eq!(timers.next(), Some(20));
        assert_eq!(timers.take_due(19), None);
        assert_eq!((timers.take_due(25), timers.take_due(25), timers.take_due(100)), (Some("b"), Some("a"), None));
        assert_eq!(timers.next(), None);
    }
}
