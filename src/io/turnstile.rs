//! Whose turn it is: tasks of a core that exclude each other, first come first served.

use super::Notify;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Lets one task at a time through, in the order in which they came. Who gives up waiting leaves the line.
#[derive(Default)]
pub struct Turnstile(Rc<Gate>);

#[derive(Default)]
struct Gate {
    next: Cell<u64>,
    /// Who is through, and behind it who waits.
    line: RefCell<VecDeque<u64>>,
    moved: Notify,
}

/// The right to go on; the next one comes when it is dropped.
pub struct Turn {
    gate: Rc<Gate>,
    ticket: u64,
}

impl Turnstile {
    /// Takes a number at the first poll and waits until it is called.
    pub async fn enter(&self) -> Turn {
        let gate = &self.0;
        let ticket = gate.next.get();
        gate.next.set(ticket + 1);
        gate.line.borrow_mut().push_back(ticket);
        let turn = Turn { gate: gate.clone(), ticket };
        while gate.line.borrow().front() != Some(&ticket) {
            gate.moved.notified().await;
        }
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let was_first = {
            let mut line = self.gate.line.borrow_mut();
            let was_first = line.front() == Some(&self.ticket);
            line.retain(|ticket| *ticket != self.ticket);
            was_first
        };
        if was_first {
            self.gate.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn who_gives_up_waiting_holds_up_nobody() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter().now_or_never().expect("nobody is before it");
        let (mut second, mut third) = (Box::pin(turnstile.enter()), Box::pin(turnstile.enter()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(second);
        assert!((&mut third).now_or_never().is_none(), "the first is still through");
        drop(first);
        let third = third.now_or_never().expect("it is its turn");
        assert!(turnstile.enter().now_or_never().is_none());
        drop(third);
        assert!(turnstile.enter().now_or_never().is_some());
    }
}
