//! What one core runs: its partitions and everything around them, and a handle to the partitions of all cores.
//!
//! **The problem.** A partition must be changed by one core only, without locks, but a client's request names partitions of any core.
//!
//! **The design that follows.** [`Shards`] is the same on every core: it finds the owner of a partition ([`placement`]), calls it when
//! that is this core, and sends one message with all its slices when it is another. Asking is synchronous, answering is a future, so
//! the order of calls on one core is the order in each partition.
//!
//! **Files.** `requests` what is asked and answered; `handle` the calls; `watch` long polling; `placement` who owns what; `budget` the
//! bound on memory; `start` opening, recovery and clean stop.

mod budget;
mod handle;
pub mod placement;
mod requests;
mod seam;
mod start;
mod watch;

pub use budget::{Budget, Reservation};
pub use handle::{ConnectionGuard, Shards, Stopping};
pub use requests::{
    AbortedTransaction, CurrentLeader, DeletedRecords, DivergingEpoch, EpochEnd, EpochEndOffset, FetchPartition, FetchRead,
    FetchResult, Isolation, ListOffset, ListedOffset, LogSize, ProduceResult, ProduceSlice,
};
pub use seam::{BrokerConfig, ControllerCommand, ControllerReply, MetadataImage, ValidatedBatch};
pub use start::{OpenError, Seats};
pub use watch::{Watch, WatchPartition, Woken};
