//! Channels between tasks of one core: many senders and one receiver, one answer, and a lock.

use super::super::local::{LocalReceiver, LocalSender, Notify, local_reply};
use super::super::mailbox::Dropped;
use openraft_rt::OptionalSend;
use openraft_rt::mpsc::{Mpsc, MpscReceiver, MpscSender, MpscWeakSender, SendError, TryRecvError};
use openraft_rt::mutex::Mutex;
use openraft_rt::oneshot::{Oneshot, OneshotSender};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};

/// Queues of messages.
pub struct LocalMpsc;

struct Queue<T> {
    waiting: RefCell<VecDeque<T>>,
    capacity: usize,
    senders: Cell<usize>,
    receiver_gone: Cell<bool>,
    /// Something has come, or nothing will any more.
    came: Notify,
    /// There is room, or nobody who makes it.
    left: Notify,
}

/// Puts messages into a queue.
pub struct QueueSender<T>(Rc<Queue<T>>);

/// Takes them out.
pub struct QueueReceiver<T>(Rc<Queue<T>>);

/// Does not keep a queue open.
pub struct WeakQueueSender<T>(Weak<Queue<T>>);

impl Mpsc for LocalMpsc {
    type Sender<T: OptionalSend> = QueueSender<T>;
    type Receiver<T: OptionalSend> = QueueReceiver<T>;
    type WeakSender<T: OptionalSend> = WeakQueueSender<T>;

    fn channel<T: OptionalSend>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        let queue = Rc::new(Queue {
            waiting: RefCell::default(),
            capacity: capacity.max(1),
            senders: Cell::new(1),
            receiver_gone: Cell::new(false),
            came: Notify::new(),
            left: Notify::new(),
        });
        (QueueSender(queue.clone()), QueueReceiver(queue))
    }
}

impl<T> MpscSender<LocalMpsc, T> for QueueSender<T>
where
    T: OptionalSend,
{
    async fn send(&self, message: T) -> Result<(), SendError<T>> {
        let queue = &self.0;
        loop {
            let left = queue.left.notified();
            if queue.receiver_gone.get() {
                return Err(SendError(message));
            }
            if queue.waiting.borrow().len() < queue.capacity {
                break;
            }
            left.await;
        }
        queue.waiting.borrow_mut().push_back(message);
        queue.came.notify_all();
        Ok(())
    }

    fn downgrade(&self) -> WeakQueueSender<T> {
        WeakQueueSender(Rc::downgrade(&self.0))
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(self.0.clone())
    }
}

impl<T> Drop for QueueSender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0 {
            self.0.came.notify_all();
        }
    }
}

impl<T> MpscWeakSender<LocalMpsc, T> for WeakQueueSender<T>
where
    T: OptionalSend,
{
    fn upgrade(&self) -> Option<QueueSender<T>> {
        let queue = self.0.upgrade().filter(|queue| queue.senders.get() > 0)?;
        queue.senders.set(queue.senders.get() + 1);
        Some(QueueSender(queue))
    }
}

impl<T> Clone for WeakQueueSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> MpscReceiver<T> for QueueReceiver<T>
where
    T: OptionalSend,
{
    async fn recv(&mut self) -> Option<T> {
        loop {
            let came = self.0.came.notified();
            match self.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => came.await,
            }
        }
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let message = self.0.waiting.borrow_mut().pop_front();
        match message {
            Some(message) => {
                self.0.left.notify_all();
                Ok(message)
            }
            None if self.0.senders.get() == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }
}

impl<T> Drop for QueueReceiver<T> {
    fn drop(&mut self) {
        self.0.receiver_gone.set(true);
        // Whoever waits for an answer to one of them learns that there is none.
        let unread = self.0.waiting.take();
        drop(unread);
        self.0.left.notify_all();
    }
}

/// Single answers.
pub struct LocalOneshot;

impl Oneshot for LocalOneshot {
    type Sender<T: OptionalSend> = LocalSender<T>;
    type Receiver<T: OptionalSend> = LocalReceiver<T>;
    type ReceiverError = Dropped;

    fn channel<T>() -> (Self::Sender<T>, Self::Receiver<T>)
    where
        T: OptionalSend,
    {
        local_reply()
    }
}

impl<T> OneshotSender<T> for LocalSender<T>
where
    T: OptionalSend,
{
    fn send(self, value: T) -> Result<(), T> {
        if !self.is_awaited() {
            return Err(value);
        }
        LocalSender::send(self, value);
        Ok(())
    }
}

/// A value that tasks hold across waits, one after the other.
pub struct LocalMutex<T> {
    value: RefCell<T>,
    released: Notify,
}

/// The value while it is held.
pub struct Held<'a, T> {
    value: RefMut<'a, T>,
    released: &'a Notify,
}

impl<T> Mutex<T> for LocalMutex<T>
where
    T: OptionalSend + 'static,
{
    type Guard<'a> = Held<'a, T>;

    fn new(value: T) -> Self {
        Self { value: RefCell::new(value), released: Notify::new() }
    }

    async fn lock(&self) -> Held<'_, T> {
        loop {
            let released = self.released.notified();
            if let Ok(value) = self.value.try_borrow_mut() {
                return Held { value, released: &self.released };
            }
            released.await;
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // Those who are woken look when this task has yielded, and the value has been let go.
        self.released.notify_all();
    }
}
