//! All tasks of all hosts on one thread: whoever is ready runs in an order drawn from the seed, and when nobody is, the clock moves
//! to the next event.

use super::rng::Happened;
use super::state::{HostId, Shared};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Ready = Arc<Mutex<Vec<u64>>>;

/// Wakes one task; a plain waker, so a message may be sent from anywhere.
struct TaskWaker {
    task: u64,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        }
    }
}

struct Task {
    host: HostId,
    core: usize,
    /// Away while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Arc<TaskWaker>,
}

pub(super) struct Executor {
    shared: Shared,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next: Cell<u64>,
    ready: Ready,
    runnable: RefCell<Vec<u64>>,
    /// Whose task is being polled.
    running: Cell<Option<(HostId, usize)>>,
}

impl Executor {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            tasks: RefCell::default(),
            next: Cell::new(1),
            ready: Ready::default(),
            runnable: RefCell::default(),
            running: Cell::new(None),
        }
    }

    /// Whether a task of this core is being polled.
    pub(super) fn is_running(&self, host: HostId, core: usize) -> bool {
        self.running.get() == Some((host, core))
    }

    /// Adds a task; it is polled in a later turn.
    pub(super) fn spawn(&self, host: HostId, core: usize, future: impl Future<Output = ()> + 'static) {
        let task = self.next.replace(self.next.get() + 1);
        let waker = Arc::new(TaskWaker { task, queued: AtomicBool::new(false), ready: self.ready.clone() });
        waker.clone().wake();
        self.tasks.borrow_mut().insert(task, Task { host, core, future: Some(Box::pin(future)), waker });
    }

    /// Drops the tasks of a host, or of one of its cores.
    pub(super) fn kill(&self, host: HostId, core: Option<usize>) {
        let doomed: Vec<u64> = self
            .tasks
            .borrow()
            .iter()
            .filter(|(_, task)| task.host == host && core.is_none_or(|core| task.core == core))
            .map(|(&id, _)| id)
            .collect();
        for id in doomed {
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task); // its destructors may wake and spawn
        }
        // What the destructors left behind goes too.
        self.tasks.borrow_mut().retain(|_, task| task.host != host || core.is_some_and(|core| task.core != core));
    }

    /// Gives one ready task a turn; false when none is ready.
    pub(super) fn turn(&self) -> bool {
        let mut runnable = self.runnable.borrow_mut();
        runnable.append(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        if runnable.is_empty() {
            return false;
        }
        let id = {
            let mut state = self.shared.lock();
            let index = state.schedule.below(runnable.len() as u64) as usize;
            runnable.swap_remove(index)
        };
        drop(runnable);
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(&id) else { return true };
        let waker = task.waker.clone();
        {
            let mut state = self.shared.lock();
            let until = state.hosts[task.host.0].paused_until;
            if until > state.now {
                state.wake_at(until, Waker::from(waker.clone()));
                waker.queued.store(false, Ordering::Relaxed);
                return true;
            }
            state.fold(Happened::Ran, &[id]);
            let to = state.now + state.options.turn.as_nanos() as u64;
            state.advance(to);
        }
        let Some(mut future) = task.future.take() else { return true };
        self.running.set(Some((task.host, task.core)));
        drop(tasks);
        waker.queued.store(false, Ordering::Relaxed);
        let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker)));
        self.running.set(None);
        let finished = {
            let mut tasks = self.tasks.borrow_mut();
            match (polled, tasks.get_mut(&id)) {
                (Poll::Pending, Some(task)) => {
                    task.future = Some(future);
                    None
                }
                // It ended, or its host was killed while it ran.
                _ => Some((future, tasks.remove(&id))),
            }
        };
        drop(finished);
        true
    }

    /// Runs until `done` or until the clock reaches `until`; false when the time was up, or when nothing will ever happen.
    pub(super) fn run(&self, until: u64, done: impl Fn() -> bool) -> bool {
        loop {
            if done() {
                return true;
            }
            if self.shared.lock().now >= until {
                return false;
            }
            if self.turn() {
                continue;
            }
            let mut state = self.shared.lock();
            match state.next_event() {
                Some(at) if at <= until => state.advance(at),
                _ => {
                    state.advance(until);
                    return done();
                }
            }
        }
    }
}
