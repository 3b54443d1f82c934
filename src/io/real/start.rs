//! Starting and joining the executors.

use super::super::Io;
use super::super::core::Kind;
use super::super::wake::Home;
use super::core::{RealCore, tick};
use super::machine::{affinity, pin};
use super::signal::without_signals;
use super::writeback::WriteBack;
use super::{HELPERS, StartError, Topology};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time a task keeps the core before waiting input and output is looked at.
const PREEMPT: Duration = Duration::from_millis(1);
/// Distance of the wake-ups by the thread that watches a core: the longest that it can be parked with work to do.
const NUDGE: Duration = Duration::from_millis(500);
/// Entries of each of the three rings of a core; more operations than this wait in memory.
const RING_DEPTH: usize = 256;
/// Registered memory of each ring: the least that glommio takes, since our buffers are our own.
pub(super) const RING_MEMORY: usize = 64 * 1024;

/// The running executors.
pub struct Cores {
    count: usize,
    ended: Receiver<(usize, Result<(), String>)>,
}

/// Starts one executor per core and runs `main(io)` on each, after all of them have come up.
pub fn start<F>(topology: &Topology, main: impl Fn(Io) -> F + Send + Sync + Clone + 'static) -> Result<Cores, StartError>
where
    F: Future<Output = ()> + 'static,
{
    let processors = affinity();
    if topology.cores == 0 || topology.cores > processors.len() {
        return Err(StartError(format!(
            "flumen.cores is {}, but this process may run on {} processor(s): set flumen.cores to at most that, or allow more \
             with `taskset`, the container's cpuset or `CPUAffinity=` of the systemd unit",
            topology.cores,
            processors.len()
        )));
    }
    let begin = Instant::now();
    let (up_sender, up) = channel();
    let (end_sender, ended) = channel();
    let mut gates = Vec::new();
    without_signals(|| -> Result<(), StartError> {
        for (index, &processor) in processors.iter().enumerate().take(topology.cores) {
            let (gate, open) = channel::<()>();
            gates.push(gate);
            let launch = Launch {
                index,
                cores: topology.cores,
                processor,
                busy_poll: topology.busy_poll,
                begin,
                up: up_sender.clone(),
                open,
            };
            let (main, end_sender) = (main.clone(), end_sender.clone());
            std::thread::Builder::new()
                .name(format!("flumen-{index}"))
                .spawn(move || {
                    let result = catch_unwind(AssertUnwindSafe(|| launch.run(main)));
                    let result = result.map_err(|panic| panic_text(panic.as_ref()));
                    let _ = end_sender.send((index, result));
                })
                .map_err(|error| StartError(format!("cannot start a thread for core {index}: {error}")))?;
        }
        Ok(())
    })?;
    drop(up_sender);
    for _ in 0..topology.cores {
        match up.recv() {
            Ok(Ok(())) => {}
            Ok(Err(text)) => return Err(StartError(text)),
            Err(_) => return Err(StartError("an executor ended while it started".to_owned())),
        }
    }
    for gate in gates {
        let _ = gate.send(());
    }
    Ok(Cores { count: topology.cores, ended })
}

impl Cores {
    /// Waits until `main` has returned on every core; an error as soon as one of them has panicked.
    pub fn join(self) -> Result<(), StartError> {
        for _ in 0..self.count {
            match self.ended.recv() {
                Ok((_, Ok(()))) => {}
                Ok((index, Err(text))) => return Err(StartError(format!("core {index} panicked: {text}"))),
                Err(_) => return Err(StartError("a core ended without a word".to_owned())),
            }
        }
        Ok(())
    }
}

struct Launch {
    index: usize,
    cores: usize,
    processor: usize,
    busy_poll: Duration,
    begin: Instant,
    up: Sender<Result<(), String>>,
    open: Receiver<()>,
}

impl Launch {
    fn run<F: Future<Output = ()> + 'static>(self, main: impl Fn(Io) -> F + 'static) {
        let (executor, write_back) = match self.executor() {
            Ok(made) => made,
            Err(text) => {
                let _ = self.up.send(Err(text));
                return;
            }
        };
        let _ = self.up.send(Ok(()));
        drop(self.up);
        if self.open.recv().is_err() {
            return; // another core could not start
        }
        let home = Arc::new(Home::default());
        home.install();
        let _watch = Watch::start(self.index, &home);
        let core = Rc::new(RealCore::new(self.index, self.cores, self.begin, write_back));
        executor.run(async move {
            let told = core.clone();
            let called = move || {
                told.rouse();
                told.counting.add(|all| all.mail_calls += 1);
            };
            glommio::spawn_local(home.deliver(called)).detach();
            glommio::spawn_local(tick(core.clone())).detach();
            main(Io { kind: Kind::Real(core) }).await;
        });
    }

    fn executor(&self) -> Result<(LocalExecutor, WriteBack), String> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(RING_MEMORY)
            .ring_depth(RING_DEPTH)
            .preempt_timer(PREEMPT)
            .spin_before_park(self.busy_poll)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(HELPERS))
            .make()
            .map_err(|error| format!("core {}: cannot set up io_uring: {error}", self.index))?;
        let write_back = WriteBack::start(self.index).map_err(|error| format!("core {}: {error}", self.index))?;
        // After the helpers have been started, which must not share the one processor.
        pin(self.processor)
            .map_err(|error| format!("cannot pin core {} to processor {}: {error}", self.index, self.processor))?;
        Ok((executor, write_back))
    }
}

/// A thread that wakes a core now and then, for as long as this lives.
///
/// The core's own timers keep it from parking for good, but all of them may fire while the processor is taken away for longer than
/// the last of them waits; whoever watches must not depend on the ring that is watched.
struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(core: usize, home: &Arc<Home>) -> Self {
        let (over, home) = (Arc::new(AtomicBool::new(false)), home.clone());
        let ends = over.clone();
        let watch = move || {
            while !ends.load(Ordering::Acquire) {
                std::thread::park_timeout(NUDGE);
                home.nudge();
            }
        };
        // Without it the core runs all the same.
        let thread = std::thread::Builder::new().name(format!("watch-{core}")).spawn(watch);
        Self { over, thread: thread.inspect_err(|error| tracing::warn!(core, %error, "no thread watches this core")).ok() }
    }
}

impl Drop for Watch {
    /// Nobody is woken any more when this returns: the executor may go.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
