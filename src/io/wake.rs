//! Waking a task of another core.
//!
//! glommio counts the references of a task without a handshake between threads, so a waker that is cloned and dropped on foreign
//! threads can race with the end of its task. Here a waker never leaves its core: every core has one [`Home`], where a foreign sender
//! leaves the mailbox that is to be woken, and the core wakes the tasks itself whenever it looks ([`Home::deliver`]). Only a core that
//! sleeps has to be called, by a bell, once however many mailboxes wait. A receiver that is awake costs a sender one atomic exchange.
//! Threads without a home (helpers, tests, the simulation) are woken directly.

use crossbeam_queue::SegQueue;
use futures_util::task::AtomicWaker;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::Context;

/// One core's list of mailboxes to be woken.
pub(super) struct Home {
    ready: SegQueue<Arc<dyn Sleeper>>,
    /// The core looks no more before the bell has rung.
    asleep: AtomicBool,
    ring_bell: Box<dyn Fn() + Send + Sync>,
}

/// Something with a [`WakeSlot`] that its core can wake.
pub(super) trait Sleeper: Send + Sync {
    fn slot(&self) -> &WakeSlot;
}

thread_local! {
    static HOME: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
}

impl Home {
    /// Makes this the home of the current thread.
    pub(super) fn install(self: &Arc<Self>) {
        HOME.with(|home| *home.borrow_mut() = Some(self.clone()));
    }

    /// A home whose core is woken by `ring_bell`, from any thread.
    pub(super) fn new(ring_bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self { ready: SegQueue::new(), asleep: AtomicBool::new(false), ring_bell: Box::new(ring_bell) }
    }

    /// Wakes the tasks that others have work for; how many. To be called on the core itself.
    pub(super) fn deliver(&self) -> usize {
        let mut woken = 0;
        while let Some(sleeper) = self.ready.pop() {
            sleeper.slot().waker.wake();
            woken += 1;
        }
        woken
    }

    /// Says that the core is about to sleep; false when there is something to deliver first.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        // A caller pushes before it looks at the flag: either it is seen here, or it sees the flag.
        fence(Ordering::SeqCst);
        if self.ready.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// The core is awake, however that came about.
    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn ring(&self) {
        (self.ring_bell)();
    }

    fn call(&self, sleeper: Arc<dyn Sleeper>) {
        self.ready.push(sleeper);
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            (self.ring_bell)();
        }
    }
}

/// Where one task sleeps until any thread wakes it.
#[derive(Default)]
pub(super) struct WakeSlot {
    waker: AtomicWaker,
    /// The owner found nothing and is about to sleep or sleeps.
    asleep: AtomicBool,
    home: OnceLock<Option<Arc<Home>>>,
}

impl WakeSlot {
    /// Announces sleep; the owner must look for work once more afterwards.
    pub(super) fn fall_asleep(&self, context: &Context<'_>) {
        let home = self.home.get_or_init(|| HOME.with(|home| home.borrow().clone()));
        debug_assert!(
            HOME.with(|here| here.borrow().as_ref().map(Arc::as_ptr) == home.as_ref().map(Arc::as_ptr)),
            "polled on two cores"
        );
        self.waker.register(context.waker());
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The owner is awake: senders need not wake it.
    pub(super) fn stay_awake(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.asleep.store(false, Ordering::Relaxed);
        }
    }

    /// The owner goes away; its waker must not be dropped on another core.
    pub(super) fn leave(&self) {
        self.waker.take();
    }

    /// Wakes the owner if it sleeps. Call it after the work has been made visible.
    pub(super) fn wake<S: Sleeper + 'static>(sleeper: &Arc<S>) {
        let slot = sleeper.slot();
        fence(Ordering::SeqCst);
        if !slot.asleep.load(Ordering::SeqCst) || !slot.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        match slot.home.get() {
            Some(Some(home)) => {
                let at_home = HOME.try_with(|here| here.borrow().as_ref().is_some_and(|here| Arc::ptr_eq(here, home)));
                if at_home.unwrap_or(false) {
                    slot.waker.wake();
                } else {
                    home.call(sleeper.clone());
                }
            }
            _ => slot.waker.wake(),
        }
    }
}
