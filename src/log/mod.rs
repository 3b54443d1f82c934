//! A partition's log: Kafka's partition directory, byte for byte.
//!
//! **The problem.** An acked record must survive SIGKILL (and, where the topic asks for it, power loss); a reader must find any
//! offset among terabytes without holding up the core; and Apache Kafka must be able to open what we wrote and the other way round.
//!
//! **The design that follows.** One core owns a [`Log`]. Batches are written behind each other into segment files; the log end
//! offset moves after the write, the recovery point after `fdatasync`. Small sparse indexes lead from offset and time to a
//! position; reads only *plan*: they return slices of files that a socket sends. After an unclean stop everything behind the
//! recovery point is walked again, and the log is cut at the first batch that is not whole.
//!
//! Enter by [`Log`]; a log dir with its lock, identity and checkpoints is [`LogDir`].

mod config;
mod dir;
mod error;
#[allow(clippy::module_inception)] // a log is what the room is about
mod log;

pub use config::{CleanupPolicy, LogConfig};
pub use dir::{CheckpointKind, DirError, LogDir, MetaProperties, OffsetCheckpoint, PartitionDir, PartitionDirKind};
pub use error::{LogError, StorageFailure};
pub use log::{
    AbortedTxn, AppendBatch, Appended, EpochEndOffset, Log, OpenLog, ReadPlan, ReadRequest, RecoveryProgress, SegmentInfo,
    TimestampAndOffset,
};
