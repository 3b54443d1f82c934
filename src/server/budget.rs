//! Memory for requests in flight, counted per core.

use std::cell::Cell;
use std::rc::Rc;

/// What one core may hold for requests that are being read or served, in bytes.
pub(super) struct Budget {
    limit: usize,
    used: Cell<usize>,
}

/// A part of the budget, given back on drop.
pub(super) struct Share {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { limit, used: Cell::new(0) })
    }

    /// Takes `bytes` if they are left, or if nobody holds anything: a single request larger than the budget is still served.
    fn try_take(&self, bytes: usize) -> bool {
        let used = self.used.get();
        let fits = used == 0 || used.saturating_add(bytes) <= self.limit;
        if fits {
            self.used.set(used + bytes);
        }
        fits
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.used.get()
    }
}

impl Share {
    /// Holds nothing yet.
    pub(super) fn empty(budget: &Rc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Grows to `bytes` in all, or says no and stays as it is.
    pub(super) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        // What this share holds itself must not count against a request that is larger than the whole budget.
        let alone = self.budget.used.get() == self.bytes;
        if alone {
            self.budget.used.set(self.budget.used.get() + more);
        } else if !self.budget.try_take(more) {
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let used = self.budget.used.get();
            assert!(used >= self.bytes, "more memory given back than was taken");
            self.budget.used.set(used - self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_limit_and_come_back() {
        let budget = Budget::new(100);
        let mut first = Share::empty(&budget);
        assert!(first.try_grow_to(60));
        let mut second = Share::empty(&budget);
        assert!(!second.try_grow_to(50));
        assert!(second.try_grow_to(40));
        drop(first);
        assert_eq!(budget.used(), 40);
        assert!(second.try_grow_to(1000), "alone, a request larger than the budget is served");
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
