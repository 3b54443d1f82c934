//! What goes into a log and what comes out of it.

use super::LogConfig;
use crate::io::FileSlice;
use crate::model::{LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};
use crate::record::BatchHeader;

use bytes::Bytes;
use std::path::PathBuf;
use std::rc::Rc;

/// How far a recovery is; handed to [`OpenLog::progress`] after each slice of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecoveryProgress {
    /// Log bytes that have been read and checked.
    pub done_bytes: u64,
    /// Log bytes that have to be.
    pub total_bytes: u64,
}

/// What a log is opened with.
pub struct OpenLog {
    /// `<log dir>/<topic>-<partition>`; created if it is absent.
    pub dir: PathBuf,
    /// The partition.
    pub partition: TopicPartition,
    /// Id of the topic; written to `partition.metadata` before any data, or compared with it.
    pub topic_id: TopicId,
    /// Topic configuration.
    pub config: LogConfig,
    /// From the recovery-point checkpoint (0 if absent): everything before it is known to be on the device.
    pub recovery_point: Offset,
    /// From the log-start checkpoint (0 if absent).
    pub log_start_offset: Offset,
    /// From the high-watermark checkpoint (0 if absent, and of a log that has none): what is missing below this and the recovery point
    /// is damage, not the end that an unclean stop has left.
    pub high_watermark: Offset,
    /// From the cleaner checkpoint, if it has the log: compaction has cleaned everything below.
    pub cleaned: Option<Offset>,
    /// The broker stopped cleanly: no recovery.
    pub clean_shutdown: bool,
    /// Told about the progress of a recovery.
    pub progress: Option<Rc<dyn Fn(RecoveryProgress)>>,
}

/// A validated batch on its way into the log.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    /// The whole batch. Where this broker leads, its first 16 bytes (base offset, length, leader epoch) are replaced when it is written;
    /// the rest is written from this buffer.
    pub bytes: Bytes,
    /// Offset of its first record, assigned by the leader: the log end offset, or what follows the batch before.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Epoch of the leader that appends.
    pub leader_epoch: LeaderEpoch,
    /// Greatest timestamp of its records in milliseconds since 1970, or -1.
    pub max_timestamp: i64,
}

impl AppendBatch {
    /// A validated batch with the header `header`, to be numbered from `base_offset` on.
    pub fn new(bytes: Bytes, header: &BatchHeader, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        let last_offset = base_offset.plus(i64::from(header.last_offset_delta));
        Self { bytes, base_offset, last_offset, leader_epoch, max_timestamp: header.max_timestamp }
    }
}

/// What an append did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Log end offset behind the batches of this append.
    pub log_end_offset: Offset,
    /// Whether a new segment was begun, so that the recovery point may move soon.
    pub rolled: bool,
    /// Whether `flush.messages` says that these records have to be synced: call [`super::Log::flush`].
    pub flush_due: bool,
}

/// What a fetch asks of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// First offset wanted; the batch that contains it comes whole.
    pub offset: Offset,
    /// At most this many bytes.
    pub max_bytes: u64,
    /// Nothing at or above this offset (high watermark, last stable offset, or log end offset).
    pub upper: Offset,
    /// The first batch comes whole even if it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
}

/// Where the answer to a fetch lies. Holds descriptors, so it stays good when the segments are deleted meanwhile.
#[derive(Clone)]
pub struct ReadPlan {
    /// Pieces of segment files, in offset order; empty if there is nothing between `offset` and `upper`.
    pub slices: Vec<FileSlice>,
    /// Base offset of the first batch; `offset` itself if there are no slices.
    pub base_offset: Offset,
    /// Size of the first batch, which a budget must not cut when it is the first of a response; 0 if there are no slices.
    pub first_batch_bytes: u64,
    /// Sum of the slices.
    pub bytes: u64,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampAndOffset {
    /// Timestamp of the record in milliseconds since 1970.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// Leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// Answer to OffsetForLeaderEpoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEndOffset {
    /// Largest epoch that is not larger than the one asked for; -1 if unknown.
    pub epoch: LeaderEpoch,
    /// Where the next larger epoch begins, or the log end offset; -1 if unknown.
    pub end_offset: Offset,
}

/// One segment, for DescribeLogDirs and tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// First offset, which names the files.
    pub base_offset: Offset,
    /// Bytes of the `.log` file.
    pub bytes: u64,
    /// Greatest record timestamp, -1 if none.
    pub max_timestamp: i64,
}

/// An aborted transaction that a `read_committed` fetch must know (transaction index).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTxn {
    /// Producer.
    pub producer_id: ProducerId,
    /// First offset of the transaction.
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// Last stable offset when it was aborted.
    pub last_stable_offset: Offset,
}
