//! Waiting for each other on one core.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Lets every other task that is ready run first, where tasks run in the order in which they were woken.
pub(super) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Wakes tasks of the same core: a waiter returns after the next [`Notify::notify_all`] that follows the creation of its future.
#[derive(Clone, Default)]
pub struct Notify {
    inner: Rc<NotifyInner>,
}

#[derive(Default)]
struct NotifyInner {
    generation: Cell<u64>,
    waiting: RefCell<Waiting>,
}

/// In the order in which they came. Mostly there is one, who needs no room of his own.
#[derive(Default)]
struct Waiting {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Waiting {
    fn enter(&mut self, waker: &Waker) {
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) if self.others.iter().any(|other| other.will_wake(waker)) => {}
            Some(_) => self.others.push(waker.clone()),
        }
    }
}

impl Notify {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes everybody who waits now.
    pub fn notify_all(&self) {
        self.inner.generation.set(self.inner.generation.get() + 1);
        let waiting = std::mem::take(&mut *self.inner.waiting.borrow_mut());
        if let Some(first) = waiting.first {
            first.wake();
        }
        for waker in waiting.others {
            waker.wake();
        }
    }

    /// Waits for the next notification; counts from this call, not from the first poll.
    pub fn notified(&self) -> impl Future<Output = ()> + use<> {
        let inner = self.inner.clone();
        let start = inner.generation.get();
        poll_fn(move |context| {
            if inner.generation.get() != start {
                return Poll::Ready(());
            }
            inner.waiting.borrow_mut().enter(context.waker());
            Poll::Pending
        })
    }
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_gone: bool,
}

/// The sending half of a single answer between tasks of one core.
pub struct LocalSender<T>(Rc<RefCell<Slot<T>>>);

/// The receiving half: a future of the answer, `Err` when the sender was dropped without one.
pub struct LocalReceiver<T>(Rc<RefCell<Slot<T>>>);

/// A single answer between two tasks of one core.
pub fn local_reply<T>() -> (LocalSender<T>, LocalReceiver<T>) {
    let slot = Rc::new(RefCell::new(Slot { value: None, waker: None, sender_gone: false }));
    (LocalSender(slot.clone()), LocalReceiver(slot))
}

impl<T> LocalSender<T> {
    /// Whether somebody can still receive the answer.
    pub fn is_awaited(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Delivers the answer.
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for LocalSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.sender_gone = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for LocalReceiver<T> {
    type Output = Result<T, super::Dropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.borrow_mut();
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Ok(value));
        }
        if slot.sender_gone {
            return Poll::Ready(Err(super::Dropped));
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
