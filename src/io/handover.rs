//! Values that are made before the cores start and taken by one of them each.

use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// One value for each core, taken once by it: the receiving ends of mailboxes, mostly. Clones share the values.
pub struct Handover<T>(Arc<[ArrayQueue<T>]>);

impl<T> Clone for Handover<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send> Handover<T> {
    /// Lays out a value for each core.
    pub fn new(values: impl IntoIterator<Item = T>) -> Self {
        let lay_out = |value| {
            let place = ArrayQueue::new(1);
            assert!(place.push(value).is_ok(), "a fresh place is empty");
            place
        };
        Self(values.into_iter().map(lay_out).collect())
    }

    /// Takes the value of `core`.
    ///
    /// # Panics
    /// If it was taken before: two cores believe to be the same.
    pub fn take(&self, core: usize) -> T {
        self.0[core].pop().expect("each core takes its value once")
    }
}
