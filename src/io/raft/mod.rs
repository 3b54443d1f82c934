//! This room's runtime as openraft asks for it.
//!
//! openraft takes its runtime as a type with functions that have no `self`: the clock, the timers and the tasks of "here". A core has
//! these in its [`Io`]. So whoever calls openraft enters a core first ([`Io::enter`]), each task that it spawns is entered in the same
//! way, and the functions here ask [`Io::current`]. Nothing else may: what is ours is handed its `Io`.
//!
//! **Why there is a thread-local.** A function of a type knows its type and its thread, and nothing more. A type for each core is no
//! way: which cores there are is known at run time, and simulated worlds come and go on the threads of the tests. So it is the thread,
//! and since simulated cores share one, what it holds is not the core of the thread but that of the task that is being polled: set for
//! one poll and put back behind it, never across a wait. A wrong one would let a host run on another's clock and disk unseen, so each
//! poll asserts that its core is the one that runs, and without an entered core there is none at all: the call panics. (openraft's own
//! runtimes and its `task_local!` are made in the same way.)
//!
//! Everything stays on its core (openraft's feature `single-threaded`), so the channels are plain cells. They wake in the order in
//! which was waited, selection is by fixed order, the clock and the randomness are the core's: under the simulator the seed decides
//! all that happens. Destructors of openraft ask for nothing here.

mod channels;
mod watch;

use super::core::{Io, Mono};
use super::local::{LocalReceiver, local_reply};
use super::mailbox::Dropped;
use openraft_rt::{AsyncRuntime, OptionalSend};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

thread_local! {
    static CURRENT: RefCell<Option<Io>> = const { RefCell::new(None) };
}

/// A task that openraft is called in, see [`Io::enter`].
pub struct Entered<F> {
    io: Io,
    task: Pin<Box<F>>,
}

/// Puts back what was current before, also when a poll panics.
struct Leave(Option<Io>);

impl Io {
    /// Polls `task` as a part of this core. Needed around every call of openraft.
    pub fn enter<F: Future>(&self, task: F) -> Entered<F> {
        Entered { io: self.clone(), task: Box::pin(task) }
    }

    /// The core that the running task has entered.
    fn current() -> Self {
        CURRENT.with(|current| current.borrow().clone()).expect("openraft is called inside Io::enter")
    }
}

impl<F: Future> Future for Entered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        assert!(self.io.is_running(), "a task is polled on another core than it has entered");
        let here = self.io.clone();
        let _leave = Leave(CURRENT.with(|current| current.replace(Some(here))));
        self.task.as_mut().poll(context)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let before = self.0.take();
        drop(CURRENT.with(|current| current.replace(before)));
    }
}

/// The runtime: a core's tasks, timers, clock and randomness.
#[derive(Debug)]
pub struct RaftRuntime;

/// An instant of a core's monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RaftInstant(Mono);

/// A core's randomness as the `rand` crates ask for it.
pub struct RaftRandom(Io);

/// What a task waits for, but not longer than so long.
pub struct RaftTimeout<F> {
    task: Pin<Box<F>>,
    sleep: RaftSleep,
}

/// The time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

type RaftSleep = Pin<Box<dyn Future<Output = ()>>>;

impl AsyncRuntime for RaftRuntime {
    /// Tasks are never cancelled: nobody answers only when the whole core is gone.
    type JoinError = Dropped;
    type JoinHandle<T: OptionalSend + 'static> = LocalReceiver<T>;
    type Sleep = RaftSleep;
    type Instant = RaftInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = RaftTimeout<T>;
    type ThreadLocalRng = RaftRandom;
    type Mpsc = channels::LocalMpsc;
    type Watch = watch::LocalWatch;
    type Oneshot = channels::LocalOneshot;
    type Mutex<T: OptionalSend + 'static> = channels::LocalMutex<T>;

    fn spawn<T>(task: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let io = Io::current();
        let (ended, end) = local_reply();
        io.spawn(io.enter(async move { ended.send(task.await) }));
        end
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Self::sleep_until(<RaftInstant as openraft_rt::Instant>::now() + duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let io = Io::current();
        Box::pin(async move { io.sleep_until(deadline.0).await })
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, task: F) -> Self::Timeout<R, F> {
        RaftTimeout { task: Box::pin(task), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, task: F) -> Self::Timeout<R, F> {
        RaftTimeout { task: Box::pin(task), sleep: Self::sleep_until(deadline) }
    }

    /// A panic of a task ends its core.
    fn is_panic(_: &Self::JoinError) -> bool {
        false
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        RaftRandom(Io::current())
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    /// Not to be called, and openraft does not: it is there for tests of runtimes that a call can start.
    ///
    /// # Panics
    /// Always.
    fn block_on<F, T>(&mut self, _task: F) -> T
    where
        F: Future<Output = T>,
    {
        panic!("a core runs its tasks by itself: enter it with Io::enter")
    }

    /// In place: no thread may have a core's things, and openraft has no use for it.
    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, std::io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::future::ready(Ok(work()))
    }
}

impl<F: Future> Future for RaftTimeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.task.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        self.sleep.as_mut().poll(context).map(|()| Err(Elapsed))
    }
}

impl RaftInstant {
    /// As the core's clock says it.
    pub fn mono(self) -> Mono {
        self.0
    }
}

impl openraft_rt::Instant for RaftInstant {
    fn now() -> Self {
        Self(Io::current().now())
    }
}

impl Add<Duration> for RaftInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.after(duration))
    }
}

impl AddAssign<Duration> for RaftInstant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for RaftInstant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(Mono(self.0.0.saturating_sub(duration.as_nanos() as u64)))
    }
}

impl SubAssign<Duration> for RaftInstant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for RaftInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }
}

/// Makes it a `rand::Rng`.
impl rand_core::TryRng for RaftRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.random()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let random: [u8; 8] = self.0.random();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
