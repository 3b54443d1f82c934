//! The real machine: glommio executors, one pinned to each core.

use super::Io;
use std::future::Future;
use std::time::Duration;

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

/// The running executors.
pub struct Cores {
    _todo: (),
}

/// Number of processors that the process may use (affinity mask).
/// Checks what the broker needs of kernel and limits: io_uring allowed, `memlock` for `cores` rings, `nofile`.
pub fn check_machine(topology: &Topology) -> Result<(), StartError> {
    let _ = topology;
    todo!()
}

/// Starts one executor per core and runs `main(io)` on each.
pub fn start<F>(topology: &Topology, main: impl Fn(Io) -> F + Send + Sync + Clone + 'static) -> Result<Cores, StartError>
where
    F: Future<Output = ()> + 'static,
{
    let _ = (topology, main);
    todo!()
}

impl Cores {
    /// Waits until `main` has returned on every core.
    pub fn join(self) -> Result<(), StartError> {
        todo!()
    }
}
