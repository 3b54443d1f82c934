//! Starting and joining the executors.

use super::super::Io;
use super::super::core::Kind;
use super::super::local_reply;
use super::core::{RealCore, Threads};
use super::helpers::Helpers;
use super::machine::{affinity, pin};
use super::reactor::{Reactor, drive};
use super::signal::without_signals;
use super::writeback::WriteBack;
use super::{HELPERS, PORTERS, StartError, Topology};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// glommio's own reactor has nothing to do here: it is to look no sooner than this.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// Entries of each of its rings.
const RING_DEPTH: usize = 16;
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
        let (executor, core) = match self.executor() {
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
        core.reactor.home().install();
        executor.run(async move {
            let reactor = core.reactor.clone();
            glommio::spawn_local(drive(reactor.clone(), core.clone())).detach();
            let (ended, end) = local_reply();
            let spawner = core.clone();
            spawner.spawn(async move {
                main(Io { kind: Kind::Real(core) }).await;
                ended.send(());
            });
            let _ = end.await;
            reactor.end();
        });
    }

    fn executor(&self) -> Result<(LocalExecutor, Rc<RealCore>), String> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(RING_MEMORY)
            .ring_depth(RING_DEPTH)
            .preempt_timer(NEVER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map_err(|error| format!("core {}: cannot set up io_uring: {error}", self.index))?;
        let reactor =
            Reactor::new(self.busy_poll).map_err(|error| format!("core {}: cannot set up io_uring: {error}", self.index))?;
        let threads = |error| format!("core {}: cannot start a thread: {error}", self.index);
        let threads = Threads {
            helpers: Helpers::start(self.index, "helper", HELPERS, false).map_err(threads)?,
            porters: Helpers::start(self.index, "porter", PORTERS, true).map_err(threads)?,
            write_back: WriteBack::start(self.index).map_err(threads)?,
        };
        // After the helpers have been started, which must not share the one processor.
        pin(self.processor)
            .map_err(|error| format!("cannot pin core {} to processor {}: {error}", self.index, self.processor))?;
        Ok((executor, Rc::new(RealCore::new(self.index, self.cores, self.begin, reactor, threads))))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
