//! One partition's log: its public face.

use super::{LogConfig, LogError};
use crate::io::{FileSlice, Io};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::producer::ProducerStates;
use crate::record::BatchHeader;
use bytes::Bytes;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
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
    /// The broker stopped cleanly: no recovery.
    pub clean_shutdown: bool,
    /// Told about the progress of a recovery.
    pub progress: Option<Rc<dyn Fn(RecoveryProgress)>>,
}

/// A validated batch on its way into the log.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    /// The whole batch. Its first 16 bytes (base offset, length, leader epoch) are replaced when it is written; the rest is written
    /// from this buffer.
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
    pub producer_id: crate::model::ProducerId,
    /// First offset of the transaction.
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// Last stable offset when it was aborted.
    pub last_stable_offset: Offset,
}

/// One partition's log on the core that owns it. Put it in an `Rc`: reads plan while an append waits.
///
/// What is durable when: `append` returns when the bytes are in the page cache (they survive SIGKILL); `flush(up_to)` returns when
/// everything below `up_to` is on the device. The recovery point moves only by flush.
pub struct Log {
    _io: Io,
}

impl Log {
    /// Creates the directory or recovers what is there.
    pub async fn open(io: Io, open: OpenLog) -> Result<Self, LogError> {
        let _ = (io, open);
        todo!()
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        todo!()
    }

    /// Id of the topic.
    pub fn topic_id(&self) -> TopicId {
        todo!()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        todo!()
    }

    /// Current topic configuration.
    pub fn config(&self) -> Rc<LogConfig> {
        todo!()
    }

    /// Takes a changed topic configuration into use.
    pub fn set_config(&self, config: LogConfig) {
        let _ = config;
        todo!()
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }

    /// Offset behind the last record that was written. Moves after the write.
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }

    /// Everything below is on the device.
    pub fn recovery_point(&self) -> Offset {
        todo!()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// The segments in offset order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }

    /// State of the idempotent producers. The partition judges a batch with [`ProducerStates::check`] and enters it tentatively with
    /// [`ProducerStates::append`] before [`Log::append`]; the log commits it when the write has ended and rolls it back when the
    /// write has failed, so nobody else calls `commit` or `rollback`. Never keep the borrow across an await.
    pub fn producers(&self) -> &RefCell<ProducerStates> {
        todo!()
    }

    /// Why the log takes no more appends, if the device failed.
    pub fn failure(&self) -> Option<LogError> {
        todo!()
    }

    /// Writes the batches, in order, behind the log end offset as one sequential write (more only where a segment is rolled
    /// between them). Calls that overlap are done in the order in which they were first polled.
    ///
    /// On an error none of the batches is in the log: the file is cut back to the last good end, or, if that fails too, the log is
    /// [`Log::failure`] for good.
    pub async fn append(&self, batches: Vec<AppendBatch>) -> Result<Appended, LogError> {
        let _ = batches;
        todo!()
    }

    /// Returns when everything below `up_to` (at most the log end offset) is on the device. Many callers share one `fdatasync`.
    /// A failed one is never retried: the log fails for good.
    pub async fn flush(&self, up_to: Offset) -> Result<(), LogError> {
        let _ = up_to;
        todo!()
    }

    /// Flushes if `flush.messages` or `flush.ms` say that it is time; called at ticks. Returns whether it flushed.
    pub async fn flush_if_due(&self) -> Result<bool, LogError> {
        todo!()
    }

    /// Where the batches from the one that contains `offset` on lie. Reads no file when the batch is one of the last written.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadPlan, LogError> {
        let _ = request;
        todo!()
    }

    /// First record (in offset order) whose timestamp is at least `timestamp`, at or above the log start offset and below `upper`.
    pub async fn offset_for_timestamp(&self, timestamp: i64, upper: Offset) -> Result<Option<TimestampAndOffset>, LogError> {
        let _ = (timestamp, upper);
        todo!()
    }

    /// First record with the greatest timestamp of the log; `None` if the log is empty.
    pub async fn offset_of_max_timestamp(&self) -> Result<Option<TimestampAndOffset>, LogError> {
        todo!()
    }

    /// Epoch of the last batch; -1 if there is none.
    pub fn latest_epoch(&self) -> LeaderEpoch {
        todo!()
    }

    /// Epoch of the batch at `offset`; -1 if unknown.
    pub fn epoch_for_offset(&self, offset: Offset) -> LeaderEpoch {
        let _ = offset;
        todo!()
    }

    /// Where `epoch` ends (KIP-101, KIP-279).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochEndOffset {
        let _ = epoch;
        todo!()
    }

    /// A leader enters its epoch at the log end offset, before its first append.
    pub async fn assign_epoch_start(&self, epoch: LeaderEpoch, start: Offset) -> Result<(), LogError> {
        let _ = (epoch, start);
        todo!()
    }

    /// Aborted transactions that overlap `from..upper`.
    pub async fn aborted_transactions(&self, from: Offset, upper: Offset) -> Result<Vec<AbortedTxn>, LogError> {
        let _ = (from, upper);
        todo!()
    }

    /// Cuts everything at and above `offset`.
    pub async fn truncate_to(&self, offset: Offset) -> Result<(), LogError> {
        let _ = offset;
        todo!()
    }

    /// Drops everything and begins again at `offset`.
    pub async fn truncate_fully_and_start_at(&self, offset: Offset) -> Result<(), LogError> {
        let _ = offset;
        todo!()
    }

    /// Moves the log start offset up (DeleteRecords, or a leader's); whole segments below it go at the next retention pass. The
    /// caller has checked it against the high watermark and checkpoints it before it answers.
    pub fn delete_records(&self, new_log_start: Offset) -> Result<Offset, LogError> {
        let _ = new_log_start;
        todo!()
    }

    /// Deletes segments by `retention.ms`, `retention.bytes` and log start offset, none that reaches above the high watermark.
    /// Returns how many went.
    pub async fn apply_retention(&self, high_watermark: Offset) -> Result<usize, LogError> {
        let _ = high_watermark;
        todo!()
    }

    /// Flushes, trims the files, writes the producer snapshot and closes. The log answers [`LogError::Closed`] afterwards.
    pub async fn close(&self) -> Result<(), LogError> {
        todo!()
    }

    /// Closes and renames the directory to `<topic>-<partition>.<uuid>-delete`; returns the new path, which [`super::LogDir`]
    /// removes later.
    pub async fn delete(&self) -> Result<PathBuf, LogError> {
        todo!()
    }
}
