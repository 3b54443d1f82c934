//! A bound on the bytes that a core holds for its clients.
//!
//! Requests that wait for a disk or for another core hold their buffers meanwhile; without a bound, clients that send faster than
//! the disk writes would fill the memory. A connection reserves before it reads a request and goes on reading only then, so that
//! what cannot be held stays in the client's socket.

use crate::io::Notify;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes that may be held at once by this core's requests. Clones share it.
#[derive(Clone)]
pub struct Budget(Rc<Inner>);

struct Inner {
    capacity: u64,
    used: Cell<u64>,
    /// Tickets of those that wait, first come first served: a large request is not starved by small ones.
    queue: RefCell<VecDeque<u64>>,
    next_ticket: Cell<u64>,
    changed: Notify,
}

/// A held part of a [`Budget`], given back on drop.
pub struct Reservation {
    budget: Rc<Inner>,
    bytes: u64,
}

impl Budget {
    /// Nothing is held yet.
    pub fn new(capacity: u64) -> Self {
        assert!(capacity > 0, "a budget of nothing admits nothing");
        Self(Rc::new(Inner {
            capacity,
            used: Cell::new(0),
            queue: RefCell::default(),
            next_ticket: Cell::new(0),
            changed: Notify::new(),
        }))
    }

    /// Bytes held now.
    pub fn used(&self) -> u64 {
        self.0.used.get()
    }

    /// Bytes that may be held.
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    /// Holds `bytes` if there is room and nobody waits. What is larger than the whole budget counts as the whole budget: it goes
    /// alone.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let inner = &self.0;
        if inner.queue.borrow().is_empty() { inner.take(bytes) } else { None }
    }

    /// Waits its turn until `bytes` are free.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        if let Some(reservation) = self.try_reserve(bytes) {
            return reservation;
        }
        let inner = &self.0;
        let ticket = inner.next_ticket.get();
        inner.next_ticket.set(ticket + 1);
        inner.queue.borrow_mut().push_back(ticket);
        let _leave = Leave { budget: inner, ticket };
        loop {
            let changed = inner.changed.notified();
            if inner.queue.borrow().front() == Some(&ticket)
                && let Some(reservation) = inner.take(bytes)
            {
                return reservation;
            }
            changed.await;
        }
    }
}

/// Gives up a place in the queue, also when the waiting future is dropped.
struct Leave<'a> {
    budget: &'a Rc<Inner>,
    ticket: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.budget.queue.borrow_mut().retain(|&other| other != self.ticket);
        self.budget.changed.notify_all();
    }
}

impl Inner {
    fn take(self: &Rc<Self>, bytes: u64) -> Option<Reservation> {
        let bytes = bytes.min(self.capacity);
        let used = self.used.get().checked_add(bytes)?;
        (used <= self.capacity).then(|| {
            self.used.set(used);
            Reservation { budget: self.clone(), bytes }
        })
    }
}

impl Reservation {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is above `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.budget.used.set(self.budget.used.get() - (self.bytes - bytes));
            self.bytes = bytes;
            self.budget.changed.notify_all();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.bytes);
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn a_large_request_is_not_starved_and_goes_alone() {
        let budget = Budget::new(10);
        let small = budget.try_reserve(4).expect("room");
        let mut large = Box::pin(budget.reserve(100));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(budget.try_reserve(1).is_none(), "who waits goes first");
        drop(small);
        let held = large.as_mut().now_or_never().expect("its turn");
        assert_eq!((held.bytes(), budget.used()), (10, 10));
        drop(large);
        drop(held);
        assert_eq!(budget.used(), 0);
        assert!(budget.try_reserve(10).is_some());
    }

    #[test]
    fn a_waiter_that_gives_up_lets_the_next_through() {
        let budget = Budget::new(10);
        let held = budget.try_reserve(6).expect("room");
        let mut first = Box::pin(budget.reserve(8));
        let mut second = Box::pin(budget.reserve(3));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(second.as_mut().now_or_never().expect("its turn").bytes(), 3);
        drop(held);
    }
}
