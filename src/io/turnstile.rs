//! Whose turn it is: tasks of a core that exclude each other, first come first served.

use super::Notify;
use std::cell::Cell;
use std::rc::Rc;

/// Lets one task at a time through, in the order in which they came. A task that waits here must not be dropped (tasks never are).
#[derive(Default)]
pub struct Turnstile(Rc<Gate>);

#[derive(Default)]
struct Gate {
    next: Cell<u64>,
    serving: Cell<u64>,
    moved: Notify,
}

/// The right to go on; the next one comes when it is dropped.
pub struct Turn(Rc<Gate>);

impl Turnstile {
    /// Takes a number at the first poll and waits until it is called.
    pub async fn enter(&self) -> Turn {
        let gate = &self.0;
        let ticket = gate.next.get();
        gate.next.set(ticket + 1);
        while gate.serving.get() != ticket {
            gate.moved.notified().await;
        }
        Turn(gate.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.serving.set(self.0.serving.get() + 1);
        self.0.moved.notify_all();
    }
}
