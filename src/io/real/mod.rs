//! The real machine: one thread pinned to each core, whose tasks glommio runs and whose devices and sleep are our own ring's.
//!
//! - [`reactor`] watches descriptors, keeps the timers, and sleeps when no task can run; its task is always ready, so that glommio's
//!   own reactor never parks (where it could park for ever with tasks that could run) and never has to be entered.
//! - **A task that holds the core longer than 1 ms yields** ([`super::Io::yield_if_needed`]) or goes to a helper: nobody preempts it.
//! - **Tasks are detached and end by themselves**; a new task is first polled after its parent has yielded, so that no `RefCell`
//!   borrow of the parent is open.
//! - **Every descriptor is close-on-exec and has one owner** from the system call that made it; sockets are non-blocking, and the first
//!   answer of a call decides: the ring only says when it is worth trying again.
//! - **A waker stays on its core** (see [`super::wake`]), since glommio counts its references without a handshake between threads, and
//!   no signal is delivered to a core's thread.
//!
//! What may block (opening, syncing) runs on [`HELPERS`] helper threads of the core; what also moves much (cold reads, removing, writes
//! when the kernel would throttle them, long computations) on [`PORTERS`] others.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // This is the device; the bans are for the rooms above.

mod bell;
mod core;
mod directory;
mod file;
mod helpers;
mod listener;
mod machine;
mod reactor;
mod signal;
mod socket;
mod start;
mod supervisor;
mod survey;
mod writeback;

pub(super) use self::core::{RealCore, RealRandomness};
pub(super) use directory::RealLock;
pub(super) use file::RealFile;
pub(super) use listener::{RealAccepted, RealListener};
pub use machine::{affinity_cores, check_machine, do_without_huge_pages, hostname, raise_nofile, read_at_start};
pub(super) use socket::RealSocket;
pub use start::{Cores, start};
use std::time::Duration;
pub use supervisor::Supervisor;
pub use survey::{Finding, Severity, survey};

/// Helper threads of a core, for calls that wait for the device.
const HELPERS: usize = 4;
/// Helper threads of a core for what moves or computes much, of less weight than the core.
const PORTERS: usize = 4;

/// The most that one write, sendfile or cold read moves before other tasks get a turn.
const STEP: usize = 256 * 1024;

/// Bytes from `position` of a file to the next multiple of a step, where steps of reads and writes end: no page belongs to two of them.
fn to_step_end(position: u64) -> usize {
    STEP - (position % STEP as u64) as usize
}

/// Which cores the broker runs on and how it waits.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Number of executors; each is pinned to a processor of its own out of those that the process may use.
    pub cores: usize,
    /// How long an executor spins before it parks (`flumen.busy.poll.us`).
    pub busy_poll: Duration,
}

/// Why the broker cannot run on this machine; the text names the limit and the command that lifts it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Turns the -1 of a system call into the error it left.
fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that return a count.
fn check_count(result: isize) -> std::io::Result<usize> {
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error())
}
