//! One executor's own things: clock, tasks, helpers, counters.

use super::super::core::{Mono, Signal};
use super::super::counters::{Counters, Counting, Stalls};
use super::super::local::yield_once;
use super::super::mailbox::reply;
use super::helpers::Helpers;
use super::reactor::Reactor;
use super::writeback::WriteBack;
use std::future::Future;
use std::io::Result;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest time that a task which asks keeps the core before the others get a turn.
const SLICE: Duration = Duration::from_millis(1);

/// The kernel's random bytes.
pub(in crate::io) struct RealRandomness;

/// The threads that work for a core.
pub(super) struct Threads {
    pub(super) helpers: Helpers,
    pub(super) porters: Helpers,
    pub(super) write_back: WriteBack,
}

/// The devices of one real core.
pub(in crate::io) struct RealCore {
    index: usize,
    cores: usize,
    start: Instant,
    pub(super) counting: Counting,
    pub(super) reactor: Rc<Reactor>,
    /// For calls that wait for the device and have little to do.
    helpers: Helpers,
    /// For what moves or computes much.
    porters: Helpers,
    pub(super) write_back: WriteBack,
    /// Files that were opened here and are not closed; they may be closed on another core.
    pub(super) open_files: Arc<AtomicUsize>,
}

impl RealRandomness {
    pub(in crate::io) fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            // SAFETY: the pointer and length are those of a live slice.
            let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
            assert!(got > 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR), "no random bytes");
            filled += got.max(0) as usize;
        }
    }
}

impl RealCore {
    pub(super) fn new(index: usize, cores: usize, start: Instant, reactor: Rc<Reactor>, threads: Threads) -> Self {
        let Threads { helpers, porters, write_back } = threads;
        Self {
            index,
            cores,
            start,
            counting: Counting::default(),
            reactor,
            helpers,
            porters,
            write_back,
            open_files: Arc::default(),
        }
    }

    pub(in crate::io) fn core(&self) -> usize {
        self.index
    }

    /// A real core has its thread for itself, and no handle to it leaves the thread.
    pub(in crate::io) fn is_running(&self) -> bool {
        true
    }

    pub(in crate::io) fn cores(&self) -> usize {
        self.cores
    }

    pub(in crate::io) fn now(&self) -> Mono {
        Mono(self.reactor.now().saturating_duration_since(self.start).as_nanos() as u64)
    }

    pub(in crate::io) fn held(&self) -> Duration {
        self.reactor.now().elapsed()
    }

    pub(in crate::io) fn wall_clock_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }

    pub(in crate::io) fn fill_random(&self, bytes: &mut [u8]) {
        RealRandomness.fill(bytes);
    }

    pub(in crate::io) fn randomness(&self) -> RealRandomness {
        RealRandomness
    }

    pub(in crate::io) fn open_files_limit(&self) -> usize {
        super::machine::open_files_limit()
    }

    pub(in crate::io) fn open_files(&self) -> usize {
        self.open_files.load(Ordering::Relaxed)
    }

    pub(in crate::io) fn counters(&self) -> Counters {
        self.counting.get()
    }

    pub(in crate::io) fn stalls(&self) -> Stalls {
        self.counting.stalls()
    }

    pub(in crate::io) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(Task { polled: false, core: self.clone(), task }).detach();
    }

    pub(in crate::io) async fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return self.yield_now().await;
        }
        self.reactor.sleep(duration).await;
    }

    pub(in crate::io) async fn yield_if_needed(&self) {
        if self.reactor.is_time_over(SLICE) {
            self.yield_now().await;
        }
    }

    pub(in crate::io) async fn yield_now(&self) {
        yield_once().await;
    }

    pub(in crate::io) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        Self::done_by(&self.helpers, work).await
    }

    /// The same for work that keeps a processor busy for long: the core goes first where they share one.
    pub(in crate::io) fn toil<T, F>(&self, work: F) -> impl Future<Output = T> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Self::done_by(&self.porters, work)
    }

    /// The work begins at once, not only when what is returned is awaited.
    fn done_by<T, F>(helpers: &Helpers, work: F) -> impl Future<Output = T> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, done) = reply();
        helpers.give(move || sender.send(catch_unwind(AssertUnwindSafe(work))));
        async move {
            let done = done.await.expect("a helper answers");
            done.unwrap_or_else(|panic| resume_unwind(panic))
        }
    }

    pub(in crate::io) async fn signal(&self) -> Signal {
        super::signal::next(self).await
    }

    pub(in crate::io) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        self.blocking(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
    }
}

/// A task of a core. Its first poll only yields, because glommio polls a new task inside the call that spawns it.
struct Task<F> {
    polled: bool,
    core: Rc<RealCore>,
    task: F,
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `task` is pinned with `self` and never moved out; the rest is plain data.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.polled {
            this.polled = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.core.reactor.task_begins(&this.core.counting);
        // SAFETY: see above.
        unsafe { Pin::new_unchecked(&mut this.task) }.poll(context)
    }
}
