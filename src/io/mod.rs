//! Everything that touches the machine: cores, clock, randomness, files, sockets, messages between cores.
//!
//! The rest of the house must run unchanged on a real machine and in a simulation with a virtual clock, network and disk, and must
//! not depend on which reactor is below. So this room is the only one that names glommio, libc or io_uring, and every type here is
//! concrete, with one implementation in a release build and a second, simulated one beside it under the feature `sim`.
//!
//! - [`Io`] is a core's handle to its devices: cheap to clone, never leaves its core. Everything that waits takes it.
//! - [`File`], [`Accepted`], [`Sender`], [`ReplySender`] may cross cores; [`Socket`], [`Receiver`], [`Notify`] stay on one.
//! - Tasks are never cancelled ([`Io::spawn`] detaches): end them by a message or by [`Socket::shutdown`]. A future of this room must
//!   be polled to its end once it was polled (`select` over a pending `accept` or `read` leaks); wait with [`Notify`] and deadlines.
//! - `raft/` is this room as openraft asks for a runtime; its tasks enter a core by [`Io::enter`].
//!
//! Enter by [`Io`], then [`file`] and [`net`]; `real/` holds the rules of glommio that this room keeps, `sim/` the simulated world.

/// Runs a call on the implementation behind a face.
macro_rules! each {
    ($on:expr, $kind:ident, $it:ident => $call:expr) => {
        match $on {
            $kind::Real($it) => $call,
            #[cfg(feature = "sim")]
            $kind::Sim($it) => $call,
        }
    };
}

mod core;
mod counters;
mod file;
mod handover;
mod local;
mod mailbox;
mod net;
mod raft;
mod real;
#[cfg(feature = "sim")]
pub mod sim;
mod turnstile;
mod wake;

pub use core::{Io, Mono, Randomness, Signal};
pub use counters::{Counters, Stalls};
pub use file::{DirEntry, DiskSpace, File, FileLock, FileSlice, FoundFile, OpenOptions, SMALL_FILE};
pub use handover::Handover;
pub use local::{LocalReceiver, LocalSender, Notify, local_reply};
pub use mailbox::{Dropped, Receiver, ReplyReceiver, ReplySender, Sender, mailbox, reply};
pub use net::{Accepted, ListenOptions, Listener, Piece, Socket};
pub use raft::{Entered, RaftRuntime};
pub use real::{
    Cores, Finding, Severity, StartError, Supervisor, Topology, affinity_cores, check_machine, do_without_huge_pages, hostname,
    raise_nofile, read_at_start, start, survey,
};
pub use turnstile::{Turn, Turnstile};
