//! Accepting: every core listens on the same port, and the kernel's hash decides which of them sees a new connection. Hashing
//! alone leaves some cores with many more connections than others, so the accepting core hands each to the least loaded one.

use super::registry::Registry;
use crate::io::{Accepted, Io, Listener, Sender};
use crate::shard::Shards;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Pause after a failed accept: out of descriptors, most likely, and the connection stays in the kernel's queue meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many failed accepts are passed over between two log lines.
const QUIET_FAILURES: u64 = 100;

/// A connection on its way to the core that will serve it.
pub(super) struct Handoff {
    pub(super) accepted: Accepted,
    /// Name of the listener it came in by.
    pub(super) listener: Arc<str>,
}

/// Connections of each core; the only number that cores share, and only to choose by it.
pub(super) struct Loads {
    per_core: Vec<AtomicUsize>,
}

impl Loads {
    pub(super) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self { per_core: (0..cores).map(|_| AtomicUsize::new(0)).collect() })
    }

    /// Counts a new connection for the least loaded core, the accepting one if it is among them; `None` if the broker has
    /// `max_connections` already.
    fn place(&self, here: usize, max_connections: usize) -> Option<usize> {
        let loads: Vec<usize> = self.per_core.iter().map(|load| load.load(Ordering::Relaxed)).collect();
        if loads.iter().sum::<usize>() >= max_connections {
            return None;
        }
        let least = *loads.iter().min()?;
        let core = if loads[here] == least { here } else { loads.iter().position(|&load| load == least)? };
        self.per_core[core].fetch_add(1, Ordering::Relaxed);
        Some(core)
    }

    /// A connection of `core` has ended.
    pub(super) fn left(&self, core: usize) {
        let before = self.per_core[core].fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more connections ended than began");
    }
}

/// What an accepting task needs.
pub(super) struct Accepting {
    pub(super) io: Io,
    pub(super) listener: Rc<Listener>,
    /// Name of the listener.
    pub(super) name: Arc<str>,
    pub(super) registry: Rc<Registry>,
    /// Knows the limit of the moment.
    pub(super) shards: Shards,
    pub(super) loads: Arc<Loads>,
    /// Where each core takes its connections.
    pub(super) cores: Vec<Sender<Handoff>>,
}

/// Accepts until the broker stops.
pub(super) async fn accept(Accepting { io, listener, name, registry, shards, loads, cores }: Accepting) {
    let mut failures = 0_u64;
    loop {
        match listener.accept().await {
            Ok(accepted) => match loads.place(io.core(), shards.live_config().max_connections) {
                Some(core) => cores[core].send(Handoff { accepted, listener: name.clone() }),
                None => {
                    tracing::warn!(peer = %accepted.peer_addr(), "refusing a connection: max.connections is reached");
                }
            },
            Err(_) if registry.is_stopping() => return,
            Err(error) => {
                if failures.is_multiple_of(QUIET_FAILURES) {
                    tracing::error!(listener = %name, %error, failures, "cannot accept a connection");
                }
                failures += 1;
                io.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_connections_go_to_the_least_loaded_core() {
        let loads = Loads::new(3);
        assert_eq!(loads.place(1, 5), Some(1));
        assert_eq!(loads.place(1, 5), Some(0));
        assert_eq!(loads.place(1, 5), Some(2));
        loads.left(2);
        assert_eq!(loads.place(0, 5), Some(2));
        assert_eq!(loads.place(2, 5), Some(2), "among equals the accepting core");
        assert_eq!(loads.place(0, 5), Some(0));
        assert_eq!(loads.place(0, 5), None, "max.connections");
        assert_eq!(loads.place(0, 6), Some(1), "which may change");
    }
}
