//! What one core runs: its partitions and everything around them, and a handle to the partitions of all cores.
//!
//! **The problem.** A partition must be changed by one core only, without locks, but a client's request names partitions of any core;
//! and a write must be decided at once, in order, while the write before it is still on its way to the disk.
//!
//! **The design that follows.** [`Shards`] is the same on every core: it finds the owner of a partition ([`placement`]), calls it when
//! that is this core, and sends one message with all its slices when it is another. Asking is synchronous, answering is a future, so
//! the order of calls on one core is the order in each partition. A partition decides tentatively, one writer at a time carries out,
//! and the replica machine says what may be answered and read.
//!
//! **A turn of a core**, in order:
//! 1. connections and the mailbox hand slices to partitions: each is judged, numbered, queued (`core`, `partition`);
//! 2. the writer of each partition that has a queue puts all of it into the log in one write (`write`);
//! 3. what the write made true goes to `replica`, which answers produces and raises the high watermark (`partition`);
//! 4. readers that wait for those bytes are told (`watch`), and read them (`read`).
//!
//! **Files.** `handle` the calls that the api makes, `requests` what is asked and answered; `message` all that cores say to each other, `core` the state of a core and its mailbox, `gather` one answer out of many; `placement` who owns what;
//! `partition`, `write`, `read`, `watch` as above; `coordinator` the groups of this core's partitions of `__consumer_offsets`; `dirs` log
//! dirs, checkpoints and failed devices; `control` the controller and the way to it, `metadata` and `apply` what a core makes of an image;
//! `moves` partitions on their way to another log dir;
//! `fetcher` what this core's followers ask their leaders for, `follow` what becomes of the answers, `isr` what leaders tell the controller, `throttle` which of them wait;
//! `timers` when partitions do something by themselves;
//! `start`, `load`, `stop` from disk to service and back; `statistics` what is counted; `ticks` what happens without anybody asking,
//! `clean` of it the compaction of logs; `quota` what
//! clients may take; `settings` what of the configuration matters here.

mod apply;
mod clean;
mod control;
mod coordinator;
mod core;
#[cfg(all(test, feature = "sim"))]
mod crash_tests;
mod dirs;
mod fetcher;
mod follow;
mod gather;
mod handle;
mod isr;
mod load;
mod message;
mod metadata;
mod moves;
mod partition;
pub mod placement;
mod quota;
mod read;
mod repair;
mod requests;
mod scrub;
mod settings;
#[cfg(all(test, feature = "sim"))]
mod settings_tests;
mod start;
mod statistics;
mod stop;
#[cfg(test)]
mod tests;
mod throttle;
mod ticks;
mod timers;
mod watch;
mod write;

pub use crate::controller::MetadataImage;
pub use crate::quorum::RAFT_API_KEY;
pub use crate::record::ValidatedBatch;
pub use control::{
    FetchedMetadata, FetchedSnapshot, Forwarded, HeartbeatLine, MetadataFetch, ObservedReplica, QuorumView, SnapshotFetch,
    SnapshotId, VoterChange, WhatIsFetched,
};
pub use coordinator::{ListedGroup, OFFSETS_TOPIC, WantedOffsets, group_partition};
pub use handle::{MAX_SLICES, Shards, Stopping};
pub use quota::{QuotaKind, in_field};
pub use requests::{
    AbortedTransaction, ActiveProducer, ActiveProducers, CurrentLeader, DeletedRecords, DivergingEpoch, EpochEnd, EpochEndOffset,
    FetchPartition, FetchRead, FetchResult, FetchingReplica, Isolation, ListOffset, ListedOffset, LogDirState, LogSize, Near,
    ProduceResult, ProduceSlice,
};
pub use settings::Settings;
pub use start::{OpenError, Seats};
pub use statistics::{CoreStatistics, GroupLag};
pub use watch::{Watch, WatchPartition, Woken};
