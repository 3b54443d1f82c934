//! One executor's own things: clock, tasks, helpers, counters.

use super::super::core::{Mono, Signal};
use super::super::counters::{Counters, Counting, Stalls};
use super::writeback::WriteBack;
use crate::io::Notify;
use glommio::timer::Timer;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::Result;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Distance of ticks while there is traffic. An executor that parked wrongly comes back within one of them.
const TICK: Duration = Duration::from_millis(5);
/// Distance of ticks on an idle core; a wake-up costs about 100 µs of processor time, most of it the barrier before parking.
const IDLE_TICK: Duration = Duration::from_millis(200);
/// Timers behind the tick, for the time that it takes to be armed again.
const GUARDS: [Duration; 6] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// Ticks without traffic after which a core counts as idle.
const TICKS_TO_IDLE: u32 = 20;

/// The kernel's random bytes.
pub(in crate::io) struct RealRandomness;

/// The devices of one real core.
pub(in crate::io) struct RealCore {
    index: usize,
    cores: usize,
    start: Instant,
    pub(super) counting: Counting,
    pub(super) write_back: WriteBack,
    /// Files that were opened here and are not closed; they may be closed on another core.
    pub(super) open_files: Arc<AtomicUsize>,
    /// The tick is slow; the first input or output ends that.
    idle: Cell<bool>,
    roused: Notify,
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
    pub(super) fn new(index: usize, cores: usize, start: Instant, write_back: WriteBack) -> Self {
        Self {
            index,
            cores,
            start,
            counting: Counting::default(),
            write_back,
            open_files: Arc::default(),
            idle: Cell::new(false),
            roused: Notify::new(),
        }
    }

    /// Traffic has begun: tick at full pace.
    #[inline]
    pub(super) fn rouse(&self) {
        if self.idle.replace(false) {
            self.roused.notify_all();
        }
    }

    pub(in crate::io) fn core(&self) -> usize {
        self.index
    }

    pub(in crate::io) fn cores(&self) -> usize {
        self.cores
    }

    pub(in crate::io) fn now(&self) -> Mono {
        Mono(self.start.elapsed().as_nanos() as u64)
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

    pub(in crate::io) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(Later { polled: false, task }).detach();
    }

    pub(in crate::io) async fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return self.yield_now().await;
        }
        Timer::new(duration).await;
    }

    pub(in crate::io) async fn yield_if_needed(&self) {
        glommio::yield_if_needed().await;
    }

    pub(in crate::io) async fn yield_now(&self) {
        glommio::executor().yield_now().await;
    }

    pub(in crate::io) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let done = glommio::executor().spawn_blocking(move || catch_unwind(AssertUnwindSafe(work))).await;
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    pub(in crate::io) async fn signal(&self) -> Signal {
        super::signal::next().await
    }

    pub(in crate::io) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        self.blocking(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
    }
}

/// Keeps a timer armed for as long as the core runs, and measures by how much it comes too late.
///
/// One timer is not enough: when it fires, nothing is armed until this task has run, and it may be the very task that the executor
/// parks with. So guards stand behind it, each later than the one before, and all are pushed back whenever this task runs.
pub(super) async fn tick(core: Rc<RealCore>) {
    let mut quiet = 0;
    let mut seen = core.counting.get();
    let mut timer = Timer::new(TICK);
    let mut guards: Vec<Timer> = GUARDS.iter().map(|&after| Timer::new(after)).collect();
    loop {
        let distance = if quiet < TICKS_TO_IDLE { TICK } else { IDLE_TICK };
        core.idle.set(distance == IDLE_TICK);
        timer.reset(distance);
        for (guard, &after) in guards.iter_mut().zip(&GUARDS) {
            guard.reset(distance + after);
        }
        let begin = Instant::now();
        let mut roused = pin!(core.roused.notified());
        let ticked = poll_fn(|context| {
            for guard in &mut guards {
                // To arm it; that it fired has done its work already.
                let _ = Pin::new(guard).poll(context);
            }
            match (Pin::new(&mut timer).poll(context), roused.as_mut().poll(context)) {
                (Poll::Ready(_), _) => Poll::Ready(true),
                (_, Poll::Ready(())) => Poll::Ready(false),
                _ => Poll::Pending,
            }
        })
        .await;
        if !ticked {
            quiet = 0;
            continue;
        }
        let late = begin.elapsed().saturating_sub(distance).as_micros() as u64;
        core.counting.ticked(late);
        let now = core.counting.get();
        let work = |all: &Counters| (all.receive_calls, all.write_calls, all.send_calls, all.sendfile_calls, all.mail_calls);
        quiet = if work(&now) == work(&seen) { quiet.saturating_add(1) } else { 0 };
        seen = now;
    }
}

/// A task whose first poll only yields, because glommio polls a new task inside the call that spawns it.
struct Later<F> {
    polled: bool,
    task: F,
}

impl<F: Future<Output = ()>> Future for Later<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `task` is pinned with `self` and never moved out; `polled` is plain data.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.polled {
            this.polled = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // SAFETY: see above.
        unsafe { Pin::new_unchecked(&mut this.task) }.poll(context)
    }
}
