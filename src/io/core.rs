//! A core's handle to its devices.

use super::{DirEntry, File, FileLock, Listener, OpenOptions, Socket};
use bytes::Bytes;
use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Nanoseconds of the monotonic clock since some start; never goes back, says nothing about the time of day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The instant `d` later.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d.as_nanos() as u64))
    }

    /// Time from `earlier` to this instant, zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One core's clock, tasks, files and sockets. Clone freely; it stays on its core.
#[derive(Clone)]
pub struct Io {
    _todo: std::rc::Rc<()>,
}

impl Io {
    /// Index of this core among the broker's cores, from 0.
    pub fn core(&self) -> usize {
        todo!()
    }

    /// How many cores the broker runs on.
    pub fn cores(&self) -> usize {
        todo!()
    }

    /// The monotonic clock, for timers and latencies.
    pub fn now(&self) -> Mono {
        todo!()
    }

    /// Milliseconds since the Unix epoch, for timestamps in records and files. May jump.
    pub fn wall_clock_ms(&self) -> i64 {
        todo!()
    }

    /// Random bytes (cryptographic quality on a real machine, seeded in a simulation).
    pub fn random<const N: usize>(&self) -> [u8; N] {
        todo!()
    }

    /// Runs `task` on this core until it ends by itself.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let _ = task;
        todo!()
    }

    /// Waits at least `duration`.
    pub async fn sleep(&self, duration: Duration) {
        let _ = duration;
        todo!()
    }

    /// Waits until the monotonic clock has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Mono) {
        let _ = deadline;
        todo!()
    }

    /// Lets other tasks run if this one has had the core for long (about 100 µs); call it in loops.
    pub async fn yield_if_needed(&self) {
        todo!()
    }

    /// Runs `work` on this core's helper thread (in a simulation: in place, at a simulated delay). For what would hold up the
    /// core and has no other way: closing a huge file, walking a directory.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _ = work;
        todo!()
    }

    // ---- files -------------------------------------------------------------------------------------------------------------

    /// Opens or creates a file.
    pub async fn open(&self, path: &Path, options: OpenOptions) -> Result<File> {
        let _ = (path, options);
        todo!()
    }

    /// Reads a whole (small) file.
    pub async fn read_file(&self, path: &Path) -> Result<Bytes> {
        let _ = path;
        todo!()
    }

    /// Replaces a small file so that a crash leaves the old content or the new: writes `<path>.tmp`, fsyncs, renames, fsyncs the
    /// directory.
    pub async fn replace_file(&self, path: &Path, content: Bytes) -> Result<()> {
        let _ = (path, content);
        todo!()
    }

    /// Entries of a directory, sorted by name.
    pub async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let _ = path;
        todo!()
    }

    /// Whether anything exists at `path`.
    pub async fn exists(&self, path: &Path) -> Result<bool> {
        let _ = path;
        todo!()
    }

    /// Creates a directory and its missing parents.
    pub async fn create_dir_all(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Renames a file or directory; durable only after [`Io::sync_dir`] of the parent(s).
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let _ = (from, to);
        todo!()
    }

    /// Removes a file. Off the core: unlinking a large file is slow.
    pub async fn remove_file(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Removes a directory and what is in it.
    pub async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Makes creations, renames and removals in this directory durable.
    pub async fn sync_dir(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Takes the exclusive lock of a lock file (created if absent), `None` when another process holds it.
    pub async fn lock_file(&self, path: &Path) -> Result<Option<FileLock>> {
        let _ = path;
        todo!()
    }

    // ---- network -----------------------------------------------------------------------------------------------------------

    /// Listens on `address`. `shared` sets SO_REUSEPORT, so that each core can listen on the same port.
    pub fn listen(&self, address: SocketAddr, shared: bool) -> Result<Listener> {
        let _ = (address, shared);
        todo!()
    }

    /// Connects to `address`.
    pub async fn connect(&self, address: SocketAddr) -> Result<Socket> {
        let _ = address;
        todo!()
    }
}
