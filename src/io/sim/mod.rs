//! The simulated machine: any number of hosts with their cores, disks and network on one thread, under a virtual clock.
//!
//! A broker's hardest faults come from the order of things: a crash between two writes, a sync that fails, an answer that arrives
//! after its connection was given up. Here all of that is drawn from one seed. The clock moves only when nobody can run, so a minute
//! takes what its events take; who runs next is drawn; and the same seed does the same things again, which [`World::trace`] proves.
//! Which faults are legal stands at the head of [`disk`] and [`net`]; nothing else goes wrong by itself.
//!
//! Code under simulation must take clock, chance, files and sockets from its [`Io`] only, must not start threads, and must not let
//! the order of a hash map decide anything.
//!
//! ```
//! use flumen::io::sim::{Crash, Options, World};
//! use flumen::io::{OpenOptions, Piece};
//! use bytes::{Bytes, BytesMut};
//! use std::{path::Path, time::Duration};
//!
//! let world = World::new(7, Options::default());
//! let broker = world.add_host("broker", 2);
//! let client = world.add_host("client", 1);
//! // What runs on each of the two cores: store the first message of each connection, then answer.
//! let main = |io: flumen::io::Io| async move {
//!     io.create_dir_all(Path::new("/data")).await.unwrap();
//!     let listener = io.listen("0.0.0.0:9092".parse().unwrap(), true).unwrap();
//!     while let Ok(accepted) = listener.accept().await {
//!         let socket = accepted.attach(&io).unwrap();
//!         let mut message = BytesMut::with_capacity(100);
//!         if socket.read(&mut message).await.unwrap_or(0) == 0 {
//!             continue;
//!         }
//!         let file = io.open(Path::new("/data/log"), OpenOptions::CREATE).await.unwrap();
//!         file.write_at(&io, 0, &[message.freeze()]).await.unwrap();
//!         file.sync_data(&io).await.unwrap();
//!         io.sync_dir(Path::new("/data")).await.unwrap();
//!         io.sync_dir(Path::new("/")).await.unwrap();
//!         let _ = socket.send(&[Piece::Bytes(Bytes::from_static(b"stored"))]).await;
//!     }
//! };
//! world.start(broker, main);
//! let answer = world.run(client, |io| async move {
//!     let broker = io.resolve("broker", 9092).await.unwrap()[0];
//!     let socket = io.connect(broker).await.unwrap();
//!     socket.send(&[Piece::Bytes(Bytes::from_static(b"m"))]).await.unwrap();
//!     let mut answer = BytesMut::with_capacity(100);
//!     while socket.read(&mut answer).await.unwrap() > 0 && answer.len() < 6 {}
//!     answer
//! });
//! assert_eq!(&answer[..], b"stored");
//! world.run_for(Duration::from_secs(60));
//! world.crash(broker, Crash::PowerLoss);
//! world.start(broker, main); // restart on what the disk has kept
//! assert_eq!(world.disk(broker).read("/data/log").unwrap(), b"m");
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // One thread runs it all; the lock is never contended.

mod core;
mod disk;
mod executor;
mod files;
mod net;
mod options;
mod rng;
mod sockets;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub(super) use self::core::{SimCore, SimRandomness};
pub(super) use files::{SimFile, SimLock};
pub use options::{Crash, DiskFault, DiskOp, DiskOptions, Faults, NetOptions, Options};
pub use rng::Happened;
pub(super) use sockets::{SimAccepted, SimListener, SimSocket};
pub use state::HostId;
pub use view::DiskView;

use super::core::Kind;
use super::{Io, Mono, Signal};
use executor::Executor;
use state::{Shared, State, address_of};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Virtual time after which [`World::run`] calls it a hang.
const PATIENCE: Duration = Duration::from_secs(600);

/// A simulated world. Clones are the same world; tasks may hold one, to crash hosts in the middle of things.
#[derive(Clone)]
pub struct World {
    inner: Rc<Inner>,
}

struct Inner {
    seed: u64,
    shared: Shared,
    executor: Rc<Executor>,
    /// For each host that was started: how many of its mains have not returned.
    running: RefCell<BTreeMap<HostId, Rc<Cell<usize>>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Tasks hold the executor, which holds the tasks.
        let hosts = self.shared.lock().hosts.len();
        for host in (0..hosts).map(HostId) {
            self.shared.lock().hosts[host.0].epoch += 1;
            self.executor.kill(host, None);
        }
    }
}

impl World {
    /// A world without hosts.
    pub fn new(seed: u64, options: Options) -> Self {
        let shared = Shared::new(State::new(seed, options));
        let executor = Rc::new(Executor::new(shared.clone()));
        Self { inner: Rc::new(Inner { seed, shared, executor, running: RefCell::default() }) }
    }

    /// Changes delays and rates of faults from now on.
    pub fn set_options(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.inner.shared.lock().options);
    }

    /// The seed it was made of.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    // ---- hosts -----------------------------------------------------------------------------------------------------------------

    /// Adds a host, switched off, with an empty disk. Others resolve it by its name.
    pub fn add_host(&self, name: &str, cores: usize) -> HostId {
        self.inner.shared.lock().add_host(name, cores)
    }

    /// Gives a host another number of cores, as if its disk were moved to another machine.
    ///
    /// # Panics
    /// If a process runs there.
    pub fn set_cores(&self, host: HostId, cores: usize) {
        assert!(cores > 0 && !self.is_running(host), "cores come and go while nothing runs");
        self.inner.shared.lock().hosts[host.0].cores = cores;
    }

    /// The address of a host.
    pub fn address(&self, host: HostId) -> IpAddr {
        address_of(host)
    }

    /// Starts a process on a host: `main` on each of its cores. When a main returns, its core's other tasks end with it.
    ///
    /// # Panics
    /// If a process runs there already.
    pub fn start<F: Future<Output = ()> + 'static>(&self, host: HostId, main: impl Fn(Io) -> F) {
        assert!(!self.is_running(host), "a process runs on host {} already", host.0);
        self.boot(host, true);
        let cores = self.inner.shared.lock().hosts[host.0].cores;
        let left = Rc::new(Cell::new(cores));
        self.inner.running.borrow_mut().insert(host, left.clone());
        for core in 0..cores {
            let running = main(self.new_io(host, core));
            let (executor, shared, left) = (Rc::downgrade(&self.inner.executor), self.inner.shared.clone(), left.clone());
            self.inner.executor.spawn(host, core, async move {
                running.await;
                left.set(left.get() - 1);
                if left.get() == 0 {
                    end_process(&shared, host);
                }
                if let Some(executor) = executor.upgrade() {
                    executor.kill(host, Some(core));
                }
            });
        }
    }

    /// Whether a started process still has a main that has not returned.
    pub fn is_running(&self, host: HostId) -> bool {
        self.inner.running.borrow().get(&host).is_some_and(|left| left.get() > 0)
    }

    /// A handle to a core, for tasks of a test; switches the host on if need be.
    pub fn io(&self, host: HostId, core: usize) -> Io {
        self.boot(host, false);
        self.new_io(host, core)
    }

    fn new_io(&self, host: HostId, core: usize) -> Io {
        let core = SimCore::new(self.inner.shared.clone(), self.inner.executor.clone(), host, core);
        Io { kind: Kind::Sim(Rc::new(core)) }
    }

    fn boot(&self, host: HostId, new_process: bool) {
        let mut state = self.inner.shared.lock();
        let it = &mut state.hosts[host.0];
        if !it.powered || new_process {
            it.powered = true;
            it.epoch += 1;
            state.fold(Happened::Started, &[host.0 as u64]);
        }
    }

    /// Ends a host's process. What a power loss does to its disk is drawn now.
    pub fn crash(&self, host: HostId, how: Crash) {
        {
            let mut state = self.inner.shared.lock();
            let state = &mut *state;
            state.fold(Happened::Crashed, &[host.0 as u64, how as u64]);
            if how == Crash::PowerLoss {
                state.hosts[host.0].powered = false;
            }
            state.drop_host(host);
            let it = &mut state.hosts[host.0];
            it.epoch += 1;
            it.signal = None;
            it.signal_waker = None;
            it.paused_until = 0;
            match how {
                Crash::Kill => {
                    state.faults.kills += 1;
                    it.disk.process_died();
                }
                Crash::PowerLoss => {
                    state.faults.power_losses += 1;
                    it.disk.lose_power(&mut state.disk_rng, &mut state.faults);
                }
            }
        }
        self.inner.running.borrow_mut().remove(&host);
        self.inner.executor.kill(host, None);
    }

    /// Sends a signal to a host's process.
    pub fn signal(&self, host: HostId, signal: Signal) {
        let mut state = self.inner.shared.lock();
        let host = &mut state.hosts[host.0];
        host.signal = Some(signal);
        if let Some(waker) = host.signal_waker.take() {
            waker.wake();
        }
    }

    /// Stops all tasks of a host for a time, as a stopped process or a stalled virtual machine.
    pub fn pause(&self, host: HostId, duration: Duration) {
        let mut state = self.inner.shared.lock();
        state.faults.pauses += 1;
        let until = state.now + duration.as_nanos() as u64;
        state.hosts[host.0].paused_until = until;
        state.fold(Happened::Paused, &[host.0 as u64, until]);
    }

    /// Moves a host's wall clock by so many milliseconds, either way.
    pub fn jump_clock(&self, host: HostId, by_ms: i64) {
        let mut state = self.inner.shared.lock();
        state.faults.clock_jumps += 1;
        state.hosts[host.0].wall_offset_ms += by_ms;
        state.fold(Happened::Jumped, &[host.0 as u64, by_ms as u64]);
    }

    // ---- disks and network -------------------------------------------------------------------------------------------------------

    /// A host's disk, to look at and to tamper with.
    pub fn disk(&self, host: HostId) -> DiskView {
        DiskView::new(self.inner.shared.clone(), host)
    }

    /// Plans a fault of a host's disk.
    pub fn fail_disk(&self, host: HostId, fault: DiskFault) {
        self.inner.shared.lock().hosts[host.0].disk.planned.push(fault);
    }

    /// Lets syncs of a host's files whose paths contain a text take so much longer.
    pub fn slow_disk(&self, host: HostId, path_contains: &str, sync: Duration) {
        self.inner.shared.lock().hosts[host.0].disk.slow = Some((path_contains.to_owned(), sync.as_nanos() as u64));
    }

    /// Forgets the planned faults of a host's disk, and its slowness.
    pub fn repair_disk(&self, host: HostId) {
        let disk = &mut self.inner.shared.lock().hosts[host.0].disk;
        disk.planned.clear();
        disk.slow = None;
    }

    /// Sets how many bytes a host's disk holds.
    pub fn set_capacity(&self, host: HostId, bytes: u64) {
        self.inner.shared.lock().hosts[host.0].disk.capacity = bytes;
    }

    /// Stops all traffic between two hosts, both ways.
    pub fn partition(&self, a: HostId, b: HostId) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Stops what one host sends to another.
    pub fn cut(&self, from: HostId, to: HostId) {
        self.inner.shared.lock().cut(from, to);
    }

    /// Lets traffic between two hosts flow again.
    pub fn heal(&self, a: HostId, b: HostId) {
        let mut state = self.inner.shared.lock();
        state.heal(a, b);
        state.heal(b, a);
    }

    /// Breaks the connections between two hosts; how many.
    pub fn reset_connections(&self, a: HostId, b: HostId) -> usize {
        let mut state = self.inner.shared.lock();
        let ids: Vec<u64> = state
            .net
            .connections
            .iter()
            .filter(|(_, both)| {
                let ends = (both.ends[0].host, both.ends[1].host);
                ends == (a, b) || ends == (b, a)
            })
            .map(|(&id, _)| id)
            .collect();
        for &id in &ids {
            state.break_connection(id);
        }
        ids.len()
    }

    /// The next accepts of a host find no descriptor (EMFILE); their connections are closed.
    pub fn refuse_accepts(&self, host: HostId, count: u32) {
        self.inner.shared.lock().hosts[host.0].refuse_accepts = count;
    }

    // ---- time ----------------------------------------------------------------------------------------------------------------------

    /// Virtual time since the world began.
    pub fn now(&self) -> Mono {
        Mono(self.inner.shared.lock().now)
    }

    /// Runs everybody for a time.
    pub fn run_for(&self, duration: Duration) {
        let until = self.now().after(duration);
        self.drive(until, || false);
    }

    /// Runs everybody until `done`; false when that took longer than `limit`, or when nothing was left to happen.
    pub fn run_until(&self, limit: Duration, done: impl Fn() -> bool) -> bool {
        let until = self.now().after(limit);
        self.drive(until, done)
    }

    /// Runs `task` on the first core of a host, and everybody with it, until it ends.
    ///
    /// # Panics
    /// If it has not ended after ten virtual minutes.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(&self, host: HostId, task: impl FnOnce(Io) -> F) -> T {
        let io = self.io(host, 0);
        let result = Rc::new(Cell::new(None));
        let slot = result.clone();
        let running = task(io.clone());
        self.inner.executor.spawn(host, 0, async move { slot.set(Some(running.await)) });
        let ended = Rc::new(Cell::new(false));
        let check = {
            let (result, ended) = (result.clone(), ended.clone());
            move || {
                let value = result.take();
                ended.set(value.is_some());
                result.set(value);
                ended.get()
            }
        };
        let ended = self.run_until(PATIENCE, check);
        assert!(ended, "seed {}: a task hangs at {:?}", self.inner.seed, self.now());
        result.take().expect("it has ended")
    }

    fn drive(&self, until: Mono, done: impl Fn() -> bool) -> bool {
        match catch_unwind(AssertUnwindSafe(|| self.inner.executor.run(until.0, done))) {
            Ok(result) => result,
            Err(panic) => {
                let ms = self.now().0 / 1_000_000;
                eprintln!(
                    "seed {}: panicked at {ms} ms of virtual time; faults so far: {:?}",
                    self.inner.seed,
                    self.faults().seen()
                );
                resume_unwind(panic)
            }
        }
    }

    // ---- what happened -------------------------------------------------------------------------------------------------------------

    /// All that has happened, folded into one number: equal for two runs of a seed, or something does not depend on the seed alone.
    pub fn trace(&self) -> u64 {
        self.inner.shared.lock().trace.hash()
    }

    /// How many events the trace holds.
    pub fn events(&self) -> u64 {
        self.inner.shared.lock().trace.count
    }

    /// The first event in which two runs of a seed differ: its number, time and kind here. Needs [`Options::keep_trace`] in both.
    pub fn first_difference(&self, other: &World) -> Option<(usize, Mono, Happened)> {
        let (mine, others) = (self.inner.shared.lock(), other.inner.shared.lock());
        let (mine, others) = (mine.trace.kept.as_ref()?, others.trace.kept.as_ref()?);
        let index = (0..mine.len()).find(|&index| others.get(index) != Some(&mine[index]))?;
        Some((index, Mono(mine[index].0), mine[index].1))
    }

    /// How often each fault has happened.
    pub fn faults(&self) -> Faults {
        self.inner.shared.lock().faults
    }
}

/// A process has returned from all its mains: its kernel cleans up.
fn end_process(shared: &Shared, host: HostId) {
    let mut state = shared.lock();
    state.drop_host(host);
    state.hosts[host.0].epoch += 1;
    state.hosts[host.0].disk.process_died();
}
