//! A value that tasks of one core watch: they see the latest, not each.

use super::super::local::Notify;
use openraft_rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft_rt::{OptionalSend, OptionalSync};
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

/// Watched values.
pub struct LocalWatch;

struct Watched<T> {
    value: RefCell<T>,
    /// Rises with each change.
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Another version, or nobody who makes one.
    changed: Notify,
}

/// Changes the value.
pub struct Changer<T>(Rc<Watched<T>>);

/// Watches it.
pub struct Watcher<T> {
    watched: Rc<Watched<T>>,
    seen: u64,
}

impl<T> Watched<T> {
    fn change(&self) {
        self.version.set(self.version.get() + 1);
        self.changed.notify_all();
    }

    fn watcher(self: &Rc<Self>, seen: u64) -> Watcher<T> {
        self.receivers.set(self.receivers.get() + 1);
        Watcher { watched: self.clone(), seen }
    }
}

impl Watch for LocalWatch {
    type Sender<T: OptionalSend + OptionalSync> = Changer<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Watcher<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Self::Sender<T>, Self::Receiver<T>) {
        let watched = Rc::new(Watched {
            value: RefCell::new(init),
            version: Cell::new(0),
            senders: Cell::new(1),
            receivers: Cell::new(0),
            changed: Notify::new(),
        });
        let watcher = watched.watcher(0);
        (Changer(watched), watcher)
    }
}

impl<T> WatchSender<LocalWatch, T> for Changer<T>
where
    T: OptionalSend + OptionalSync,
{
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.get() == 0 {
            return Err(SendError(value));
        }
        let before = self.0.value.replace(value);
        self.0.change();
        drop(before);
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = modify(&mut self.0.value.borrow_mut());
        if modified {
            self.0.change();
        }
        modified
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.0.value.borrow()
    }

    fn subscribe(&self) -> Watcher<T> {
        self.0.watcher(self.0.version.get())
    }
}

impl<T> Clone for Changer<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(self.0.clone())
    }
}

impl<T> Drop for Changer<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0 {
            self.0.changed.notify_all();
        }
    }
}

impl<T> WatchReceiver<LocalWatch, T> for Watcher<T>
where
    T: OptionalSend + OptionalSync,
{
    async fn changed(&mut self) -> Result<(), RecvError> {
        loop {
            let changed = self.watched.changed.notified();
            let version = self.watched.version.get();
            if self.seen != version {
                self.seen = version;
                return Ok(());
            }
            if self.watched.senders.get() == 0 {
                return Err(RecvError(()));
            }
            changed.await;
        }
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.watched.value.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.watched.version.get();
        self.watched.value.borrow()
    }
}

impl<T> Clone for Watcher<T> {
    fn clone(&self) -> Self {
        self.watched.watcher(self.seen)
    }
}

impl<T> Drop for Watcher<T> {
    fn drop(&mut self) {
        self.watched.receivers.set(self.watched.receivers.get() - 1);
    }
}
