//! From log dirs on a disk to partitions that take requests, and back at a clean stop.

use super::Shards;
use super::seam::BrokerConfig;
use crate::io::Io;
use std::sync::Arc;

/// The mailboxes of all cores, made before the cores start; each core takes its own with [`Shards::open`].
#[derive(Clone)]
pub struct Seats {
    _todo: Arc<()>,
}

/// Why the broker cannot start; the text says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

impl Seats {
    /// One seat for each of `cores` cores.
    pub fn new(cores: usize) -> Self {
        let _ = cores;
        todo!()
    }
}

impl Shards {
    /// Joins this core to the others: opens and recovers log dirs (shared out over the cores), metadata and this core's partitions.
    /// Returns when all cores are ready, so that what is served afterwards sees every partition. To be called once on every core.
    ///
    /// # Errors
    /// A log dir that is locked by another process or belongs to another broker, no log dir left, unreadable metadata: every core
    /// returns an error then.
    pub async fn open(io: Io, seats: Seats, config: Arc<BrokerConfig>) -> Result<Self, OpenError> {
        let _ = (io, seats, config);
        todo!()
    }

    /// Stops cleanly: refuses new work, finishes writes, flushes and closes logs, writes checkpoints and, when every log is flushed,
    /// the clean-shutdown marker. To be called on every core, after its connections have ended; returns when all cores have stopped.
    pub async fn stop(&self) {
        todo!()
    }
}
