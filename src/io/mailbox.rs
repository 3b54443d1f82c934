//! Messages between cores: a lock-free queue that any core may fill and one core empties, and single answers that come back.
//!
//! A mailbox has no bound of its own: what may be under way is bounded where requests are admitted (memory for requests in flight),
//! so a full mailbox can never block the core that would have to empty another one.

use crossbeam_queue::SegQueue;
use futures_util::task::AtomicWaker;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

struct Shared<T> {
    queue: SegQueue<T>,
    waker: AtomicWaker,
    senders: AtomicUsize,
}

/// Fills a mailbox from any core.
pub struct Sender<T>(Arc<Shared<T>>);

/// Empties a mailbox; lives on one core once it is polled there.
pub struct Receiver<T>(Arc<Shared<T>>);

/// A mailbox: messages of one sender arrive in the order they were sent.
pub fn mailbox<T: Send>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { queue: SegQueue::new(), waker: AtomicWaker::new(), senders: AtomicUsize::new(1) });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.waker.wake();
        }
    }
}

impl<T> Sender<T> {
    /// Puts a message in; never waits.
    pub fn send(&self, message: T) {
        self.0.queue.push(message);
        self.0.waker.wake();
    }
}

impl<T> Receiver<T> {
    /// The next message if there is one already.
    pub fn try_recv(&mut self) -> Option<T> {
        self.0.queue.pop()
    }

    /// The next message; `None` when every sender is gone and the mailbox is empty.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| {
            if let Some(message) = self.0.queue.pop() {
                return Poll::Ready(Some(message));
            }
            self.0.waker.register(context.waker());
            // A message may have come between the look and the registration.
            if let Some(message) = self.0.queue.pop() {
                return Poll::Ready(Some(message));
            }
            if self.0.senders.load(Ordering::Acquire) == 0 { Poll::Ready(self.0.queue.pop()) } else { Poll::Pending }
        })
        .await
    }
}

/// The answer will never come: the other side dropped its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side is gone")]
pub struct Dropped;

/// The half that answers; may have crossed to another core. Dropping it unanswered wakes the asker with [`Dropped`].
pub struct ReplySender<T: Send>(Sender<T>);

/// The half that waits for the answer.
pub struct ReplyReceiver<T: Send>(Receiver<T>);

/// A single answer that may cross cores.
pub fn reply<T: Send>() -> (ReplySender<T>, ReplyReceiver<T>) {
    let (sender, receiver) = mailbox();
    (ReplySender(sender), ReplyReceiver(receiver))
}

impl<T: Send> ReplySender<T> {
    /// Delivers the answer.
    pub fn send(self, value: T) {
        self.0.send(value);
    }
}

impl<T: Send> Future for ReplyReceiver<T> {
    type Output = Result<T, Dropped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let next = std::pin::pin!(self.0.recv());
        next.poll(context).map(|message| message.ok_or(Dropped))
    }
}
