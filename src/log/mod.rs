//! A partition's log: Kafka's partition directory, byte for byte.
//!
//! **The problem.** An acked record must survive SIGKILL (and, where the topic asks for it, power loss); a reader must find any
//! offset among terabytes without holding up the core; and Apache Kafka must be able to open what we wrote and the other way round.
//!
//! **The design that follows.** One core owns a [`Log`]. Batches are written behind each other into segment files; the log end
//! offset moves after the write, the recovery point after `fdatasync`. Small sparse indexes lead from offset and time to a
//! position; reads only *plan*: they return slices of files that a socket sends. After an unclean stop everything behind the
//! recovery point is walked again, and the log is cut at the first batch that is not whole. Nothing that can be checked is
//! believed: an index entry counts only if the batch that it leads to is the one that it names.
//!
//! **Where to look.** Enter by [`Log`] (`log`, `types`). Writing: `append`, `flush`. Reading: `read`, `lookup`. Opening: `startup`,
//! `recovery`, `replay`. Damage: `damage`, `scrub`. Shortening: `retention`, `truncate`. Compaction: `clean`. Moving to another log dir: `future`. Closing files that nobody needs: `descriptors`. Files: `segment`, `scan`, the three indexes, `epochs`, `checkpoint`.
//! A log dir with its lock, identity and checkpoints is [`LogDir`] (`dir`).

mod append;
mod checkpoint;
mod chunks;
mod clean;
mod config;
#[cfg(all(test, feature = "sim"))]
mod cut_tests;
mod damage;
#[cfg(all(test, feature = "sim"))]
mod deletion_tests;
mod descriptors;
mod dir;
mod epochs;
mod error;
mod flush;
#[cfg(test)]
mod follower_tests;
mod future;
#[cfg(feature = "sim")]
mod fuzz;
mod loading;
#[allow(clippy::module_inception)] // a log is what the room is about
mod log;
mod lookup;
mod offset_index;
mod old_format;
mod read;
mod recovery;
mod replay;
mod retention;
mod scan;
mod scrub;
mod segment;
mod startup;
#[cfg(test)]
mod tests;
mod time_index;
mod truncate;
mod txn_index;
mod types;

pub use checkpoint::{OffsetCheckpoint, format_offsets, parse_offsets};
pub use clean::{CleanReport, Cleanable, Cleaner, CleanerLimits};
pub use config::{CleanupPolicy, LogConfig};
pub use damage::{Damage, Hole};
pub use dir::{CheckpointKind, DirError, LogDir, MetaProperties, PartitionDir, PartitionDirKind, may_move};
pub use error::{LogError, StorageFailure};
pub use future::{CopyError, FutureLog, Pause};
#[cfg(feature = "sim")]
pub use fuzz::fuzz_recovery;
pub use log::{Log, LogState};
pub use scrub::Verified;
pub use types::{
    AbortedTxn, AppendBatch, Appended, EpochEndOffset, OpenLog, ReadPlan, ReadRequest, RecoveryProgress, SegmentInfo,
    TimestampAndOffset,
};
