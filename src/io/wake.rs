//! Waking a task of another core.
//!
//! glommio counts the references of a task without a handshake between threads, so a waker that is cloned and dropped on foreign
//! threads can race with the end of its task. Here a waker never leaves its core: every core has one [`Home`], a task that never ends
//! (the mailman). A foreign sender puts the sleeping mailbox on the mailman's list and wakes the mailman only, at most once however
//! many mailboxes wait; the mailman wakes the tasks on their own core. A receiver that is awake costs a sender one atomic exchange.
//! Threads without a mailman (helpers, tests, the simulation) are woken directly.

use crossbeam_queue::SegQueue;
use futures_util::task::AtomicWaker;
use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// One core's list of mailboxes to be woken.
#[derive(Default)]
pub(super) struct Home {
    ready: SegQueue<Arc<dyn Sleeper>>,
    /// The mailman has been woken and has not looked yet.
    called: AtomicBool,
    mailman: OnceLock<Waker>,
}

/// Something with a [`WakeSlot`] that a mailman can wake.
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

    /// The mailman of this core; never ends. `called` is told of each call.
    pub(super) async fn deliver(self: Arc<Self>, called: impl Fn()) {
        poll_fn(|context| {
            self.mailman.get_or_init(|| context.waker().clone());
            // The exchange reads what a caller wrote after its push, so a caller that found the flag up is seen below.
            if self.called.swap(false, Ordering::AcqRel) {
                called();
            }
            while let Some(sleeper) = self.ready.pop() {
                sleeper.slot().waker.wake();
            }
            Poll::Pending
        })
        .await
    }

    /// Wakes the mailman for nothing, from any thread: a core that parked though it had work goes on with it.
    pub(super) fn nudge(&self) {
        if let Some(mailman) = self.mailman.get() {
            mailman.wake_by_ref();
        }
    }

    fn call(&self, sleeper: Arc<dyn Sleeper>) {
        self.ready.push(sleeper);
        if !self.called.swap(true, Ordering::AcqRel)
            && let Some(mailman) = self.mailman.get()
        {
            mailman.wake_by_ref();
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
