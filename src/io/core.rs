//! A core's handle to its devices.

use super::real::{RealCore, RealRandomness};
use super::{Counters, DirEntry, DiskSpace, File, FileLock, FoundFile, ListenOptions, Listener, OpenOptions, Socket, Stalls};
use bytes::Bytes;
use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Nanoseconds of the monotonic clock since some start; never goes back, says nothing about the time of day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The instant `d` later.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this instant, zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One core's clock, tasks, files and sockets. Clone freely; it stays on its core.
#[derive(Clone)]
pub struct Io {
    pub(super) kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Real(Rc<RealCore>),
    #[cfg(feature = "sim")]
    Sim(Rc<super::sim::SimCore>),
}

/// Random bytes of the same quality as [`Io::random`]'s, for any thread.
pub struct Randomness(RandomKind);

pub(super) enum RandomKind {
    Real(RealRandomness),
    #[cfg(feature = "sim")]
    Sim(super::sim::SimRandomness),
}

impl From<RealRandomness> for RandomKind {
    fn from(real: RealRandomness) -> Self {
        Self::Real(real)
    }
}

#[cfg(feature = "sim")]
impl From<super::sim::SimRandomness> for RandomKind {
    fn from(sim: super::sim::SimRandomness) -> Self {
        Self::Sim(sim)
    }
}

impl Randomness {
    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        each!(&self.0, RandomKind, it => it.fill(&mut bytes));
        bytes
    }
}

/// A request to end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Io {
    /// Index of this core among the broker's cores, from 0.
    pub fn core(&self) -> usize {
        each!(&self.kind, Kind, it => it.core())
    }

    /// Whether the task that is being polled is one of this core's.
    pub(super) fn is_running(&self) -> bool {
        each!(&self.kind, Kind, it => it.is_running())
    }

    /// How many cores the broker runs on.
    pub fn cores(&self) -> usize {
        each!(&self.kind, Kind, it => it.cores())
    }

    /// The monotonic clock, for timers and deadlines, as it was when the running task got the core: it does not see it move.
    pub fn now(&self) -> Mono {
        each!(&self.kind, Kind, it => it.now())
    }

    /// For how long the running task has had the core: what [`Io::now`] does not tell, since it stands still meanwhile. Nothing in a
    /// simulation.
    pub fn held(&self) -> Duration {
        each!(&self.kind, Kind, it => it.held())
    }

    /// Milliseconds since the Unix epoch, for timestamps in records and files. May jump.
    pub fn wall_clock_ms(&self) -> i64 {
        each!(&self.kind, Kind, it => it.wall_clock_ms())
    }

    /// Random bytes (cryptographic quality on a real machine, seeded in a simulation).
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        each!(&self.kind, Kind, it => it.fill_random(&mut bytes));
        bytes
    }

    /// Whether this is a simulated world with the bug `name` planted, to prove that its checks find bugs; never on a real machine,
    /// and decided at compile time without the simulator.
    #[inline]
    pub fn planted(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Real(_) => {
                let _ = name;
                false
            }
            #[cfg(feature = "sim")]
            Kind::Sim(core) => core.planted(name),
        }
    }

    /// How many files this core may have open: its part of the half of what the process may (`RLIMIT_NOFILE`, soft, as it is now); the
    /// other half is for connections.
    pub fn open_files_share(&self) -> usize {
        each!(&self.kind, Kind, it => it.open_files_limit()) / 2 / self.cores()
    }

    /// How many files are open that this core has opened.
    pub fn open_files(&self) -> usize {
        each!(&self.kind, Kind, it => it.open_files())
    }

    /// What this core has done so far.
    pub fn counters(&self) -> Counters {
        each!(&self.kind, Kind, it => it.counters())
    }

    /// How long tasks held this core, each time so far; a simulation does not say.
    pub fn stalls(&self) -> Stalls {
        each!(&self.kind, Kind, it => it.stalls())
    }

    /// Runs `task` on this core until it ends by itself. It is first polled after the caller has yielded, never inside this call.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        each!(&self.kind, Kind, it => it.spawn(task));
    }

    /// Waits at least `duration`.
    pub async fn sleep(&self, duration: Duration) {
        each!(&self.kind, Kind, it => it.sleep(duration).await)
    }

    /// Looks every 10 ms whether something is so. A bound for what hangs, not for what a busy machine is slow at.
    ///
    /// # Panics
    /// It is not so after `limit`.
    #[cfg(test)]
    pub async fn until(&self, limit: Duration, what: &str, mut done: impl AsyncFnMut() -> bool) {
        const STEP: Duration = Duration::from_millis(10);
        for _ in 0..limit.as_millis() / STEP.as_millis() {
            if done().await {
                return;
            }
            self.sleep(STEP).await;
        }
        panic!("not within {limit:?}: {what}");
    }

    /// Waits until the monotonic clock has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Mono) {
        self.sleep(deadline.since(self.now())).await;
        // The timer goes by the clock itself. Whoever looks at `now` after this is to find the deadline passed, or would wait once more
        // for what is over.
        while self.now() < deadline {
            self.yield_now().await;
        }
    }

    /// Lets other tasks run if this one has had the core for long (about 1 ms); call it in loops.
    pub async fn yield_if_needed(&self) {
        each!(&self.kind, Kind, it => it.yield_if_needed().await)
    }

    /// Lets every other task that is ready run first.
    pub async fn yield_now(&self) {
        each!(&self.kind, Kind, it => it.yield_now().await)
    }

    /// Runs `work` on a helper thread of this core (in a simulation: in place). For what would hold up the core and has no other way:
    /// closing a huge file, walking a directory. A panic of `work` goes on in the caller.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        each!(&self.kind, Kind, it => it.blocking(work).await)
    }

    /// The same for what keeps a processor busy for long.
    async fn toil<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match &self.kind {
            Kind::Real(core) => core.toil(work).await,
            #[cfg(feature = "sim")]
            Kind::Sim(core) => core.blocking(work).await,
        }
    }

    /// Computes something that needs nothing but what `work` holds: here when it is short, and on a helper thread of this core when it
    /// `is_long`, so that the core serves others meanwhile. What is dropped inside `work` is dropped there too.
    pub async fn compute<T: Send + 'static>(&self, is_long: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
        if is_long { Box::pin(self.toil(work)).await } else { work() }
    }

    /// Drops what takes long to drop, away from the core. Nobody waits for it.
    pub fn discard(&self, garbage: impl Send + 'static) {
        let io = self.clone();
        self.spawn(async move { io.toil(move || drop(garbage)).await });
    }

    /// A source of random bytes for [`Io::compute`].
    pub fn randomness(&self) -> Randomness {
        Randomness(each!(&self.kind, Kind, it => it.randomness().into()))
    }

    /// Waits for the next SIGTERM or SIGINT. One task of the process waits at a time.
    pub async fn signal(&self) -> Signal {
        each!(&self.kind, Kind, it => it.signal().await)
    }

    // ---- files -------------------------------------------------------------------------------------------------------------

    /// Opens or creates a file.
    pub async fn open(&self, path: &Path, options: OpenOptions) -> Result<File> {
        each!(&self.kind, Kind, it => it.open(path, options).await.map(File::from))
    }

    /// Reads a whole (small) file.
    pub async fn read_file(&self, path: &Path) -> Result<Bytes> {
        each!(&self.kind, Kind, it => it.read_file(path).await)
    }

    /// Replaces a small file so that a crash leaves the old content or the new: writes `<path>.tmp`, fsyncs, renames, fsyncs the
    /// directory.
    pub async fn replace_file(&self, path: &Path, content: Bytes) -> Result<()> {
        each!(&self.kind, Kind, it => it.replace_file(path, content).await)
    }

    /// Entries of a directory, sorted by name.
    pub async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        each!(&self.kind, Kind, it => it.read_dir(path).await)
    }

    /// Entries of a directory, sorted by name, with the content of the `wanted` files that are no longer than [`SMALL_FILE`]: one trip to
    /// a helper instead of one for each. What cannot be read has no content here, and tells its error to who reads it by itself.
    pub async fn read_small_files(&self, path: &Path, wanted: fn(&str) -> bool) -> Result<Vec<FoundFile>> {
        each!(&self.kind, Kind, it => it.read_small_files(path, wanted).await)
    }

    /// Whether anything exists at `path`.
    pub async fn exists(&self, path: &Path) -> Result<bool> {
        each!(&self.kind, Kind, it => it.exists(path).await)
    }

    /// Creates a directory and its missing parents.
    pub async fn create_dir_all(&self, path: &Path) -> Result<()> {
        each!(&self.kind, Kind, it => it.create_dir_all(path).await)
    }

    /// Renames a file or directory; durable only after [`Io::sync_dir`] of the parent(s).
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        each!(&self.kind, Kind, it => it.rename(from, to).await)
    }

    /// Removes a file. Off the core: unlinking a large file is slow.
    pub async fn remove_file(&self, path: &Path) -> Result<()> {
        each!(&self.kind, Kind, it => it.remove_file(path).await)
    }

    /// Removes a directory and what is in it.
    pub async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        each!(&self.kind, Kind, it => it.remove_dir_all(path).await)
    }

    /// How much room the file system of `path` has.
    pub async fn disk_space(&self, path: &Path) -> Result<DiskSpace> {
        each!(&self.kind, Kind, it => it.disk_space(path).await)
    }

    /// Makes creations, renames and removals in this directory durable.
    pub async fn sync_dir(&self, path: &Path) -> Result<()> {
        each!(&self.kind, Kind, it => it.sync_dir(path).await)
    }

    /// Takes the exclusive lock of a lock file (created if absent), `None` when somebody else holds it. Excludes Apache Kafka too.
    pub async fn lock_file(&self, path: &Path) -> Result<Option<FileLock>> {
        each!(&self.kind, Kind, it => it.lock_file(path).await.map(|lock| lock.map(FileLock::from)))
    }

    // ---- network -----------------------------------------------------------------------------------------------------------

    /// Listens on `address`. `shared` sets SO_REUSEPORT, so that each core can listen on the same port: probe the port first
    /// ([`Io::probe_port`]), or a second broker would start and take away connections.
    pub fn listen(&self, address: SocketAddr, shared: bool) -> Result<Listener> {
        self.listen_with(address, ListenOptions { shared, ..ListenOptions::default() })
    }

    /// The same with more to say of the listener and its connections.
    pub fn listen_with(&self, address: SocketAddr, options: ListenOptions) -> Result<Listener> {
        each!(&self.kind, Kind, it => it.listen(address, options).map(Listener::from))
    }

    /// Listens on `address` for a moment without SO_REUSEPORT: an error (`AddrInUse`) when anybody listens there already.
    pub fn probe_port(&self, address: SocketAddr) -> Result<()> {
        each!(&self.kind, Kind, it => it.probe_port(address))
    }

    /// Connects to `address`, within 30 seconds.
    pub async fn connect(&self, address: SocketAddr) -> Result<Socket> {
        each!(&self.kind, Kind, it => it.connect(address).await.map(Socket::from))
    }

    /// The addresses of a host name, best first. Off the core: it may ask a name server.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        each!(&self.kind, Kind, it => it.resolve(host, port).await)
    }
}
