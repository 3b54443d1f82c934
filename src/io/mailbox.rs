//! Messages between cores: a lock-free queue that any core may fill and one core empties, and single answers that come back.
//!
//! A mailbox has no bound of its own: what may be under way is bounded where requests are admitted (memory for requests in flight),
//! so a full mailbox can never block the core that would have to empty another one.

use super::wake::{Sleeper, WakeSlot};
use crossbeam_queue::SegQueue;
use std::cell::UnsafeCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

struct Shared<T> {
    queue: SegQueue<T>,
    slot: WakeSlot,
    senders: AtomicUsize,
}

impl<T: Send> Sleeper for Shared<T> {
    fn slot(&self) -> &WakeSlot {
        &self.slot
    }
}

/// Fills a mailbox from any core.
pub struct Sender<T: Send + 'static>(Arc<Shared<T>>);

/// Empties a mailbox; lives on one core once it is polled there.
pub struct Receiver<T: Send + 'static>(Arc<Shared<T>>);

/// A mailbox: messages of one sender arrive in the order they were sent.
pub fn mailbox<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { queue: SegQueue::new(), slot: WakeSlot::default(), senders: AtomicUsize::new(1) });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T: Send + 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            WakeSlot::wake(&self.0);
        }
    }
}

impl<T: Send + 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.slot.leave();
    }
}

impl<T: Send + 'static> Sender<T> {
    /// Puts a message in; never waits.
    pub fn send(&self, message: T) {
        self.0.queue.push(message);
        WakeSlot::wake(&self.0);
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// The next message if there is one already.
    pub fn try_recv(&mut self) -> Option<T> {
        self.0.queue.pop()
    }

    /// How many messages wait now.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// The next message; `None` when every sender is gone and the mailbox is empty.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        if let Some(message) = self.0.queue.pop() {
            self.0.slot.stay_awake();
            return Poll::Ready(Some(message));
        }
        self.0.slot.fall_asleep(context);
        // A message may have come between the look and the registration.
        if let Some(message) = self.0.queue.pop() {
            self.0.slot.stay_awake();
            return Poll::Ready(Some(message));
        }
        if self.0.senders.load(Ordering::Acquire) == 0 { Poll::Ready(self.0.queue.pop()) } else { Poll::Pending }
    }
}

/// The answer will never come: the other side dropped its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side is gone")]
pub struct Dropped;

/// No answer yet; the sender alone may touch the value.
const OPEN: u8 = 0;
/// The value is there; the receiver alone may touch it.
const ANSWERED: u8 = 1;
/// The sender is gone, or the value has been taken.
const CLOSED: u8 = 2;

struct Single<T> {
    value: UnsafeCell<Option<T>>,
    state: AtomicU8,
    slot: WakeSlot,
}

// SAFETY: `state` hands the value from the one sender to the one receiver (release on ANSWERED, acquire before the take), so it is
// never touched by both.
unsafe impl<T: Send> Sync for Single<T> {}

impl<T: Send> Sleeper for Single<T> {
    fn slot(&self) -> &WakeSlot {
        &self.slot
    }
}

/// The half that answers; may have crossed to another core. Dropping it unanswered wakes the asker with [`Dropped`].
pub struct ReplySender<T: Send + 'static>(Arc<Single<T>>);

/// The half that waits for the answer.
pub struct ReplyReceiver<T: Send + 'static>(Arc<Single<T>>);

/// A single answer that may cross cores.
pub fn reply<T: Send + 'static>() -> (ReplySender<T>, ReplyReceiver<T>) {
    let single = Arc::new(Single { value: UnsafeCell::new(None), state: AtomicU8::new(OPEN), slot: WakeSlot::default() });
    (ReplySender(single.clone()), ReplyReceiver(single))
}

impl<T: Send + 'static> ReplySender<T> {
    /// Delivers the answer.
    pub fn send(self, value: T) {
        // SAFETY: the state is OPEN as long as this half exists, so the receiver does not look.
        unsafe { *self.0.value.get() = Some(value) };
        self.0.state.store(ANSWERED, Ordering::Release);
        // Dropping `self` wakes.
    }
}

impl<T: Send + 'static> Drop for ReplySender<T> {
    fn drop(&mut self) {
        // Only this half leaves OPEN, so the exchange fails exactly when an answer was sent.
        let _ = self.0.state.compare_exchange(OPEN, CLOSED, Ordering::Release, Ordering::Relaxed);
        WakeSlot::wake(&self.0);
    }
}

impl<T: Send + 'static> ReplyReceiver<T> {
    fn take(&self) -> Poll<Result<T, Dropped>> {
        match self.0.state.load(Ordering::Acquire) {
            OPEN => Poll::Pending,
            ANSWERED => {
                self.0.state.store(CLOSED, Ordering::Relaxed);
                // SAFETY: ANSWERED was read with acquire, the sender has finished with the value.
                Poll::Ready(unsafe { (*self.0.value.get()).take() }.ok_or(Dropped))
            }
            _ => Poll::Ready(Err(Dropped)),
        }
    }
}

impl<T: Send + 'static> Drop for ReplyReceiver<T> {
    fn drop(&mut self) {
        self.0.slot.leave();
    }
}

impl<T: Send + 'static> Future for ReplyReceiver<T> {
    type Output = Result<T, Dropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let ready @ Poll::Ready(_) = self.take() {
            return ready;
        }
        self.0.slot.fall_asleep(context);
        self.take()
    }
}
