//! What the api asks of the partitions and what they answer: plain owned values that may cross cores.

use crate::io::FileSlice;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicIdPartition};
use crate::record::ValidatedBatch;
use std::path::PathBuf;
use std::sync::Arc;

/// Who leads a partition, told to a client that asked the wrong broker (KIP-951).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurrentLeader {
    /// Broker that leads, -1 when nobody does.
    pub leader_id: BrokerId,
    /// Epoch of its leadership.
    pub leader_epoch: LeaderEpoch,
}

/// One batch for one partition. Its checks (shape, CRC, timestamps, compression) have been made on the connection's core.
#[derive(Debug)]
pub struct ProduceSlice {
    /// Topic.
    pub topic_id: TopicId,
    /// Partition of the topic.
    pub partition: PartitionIndex,
    /// The batch.
    pub batch: ValidatedBatch,
}

/// What became of a [`ProduceSlice`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceResult {
    /// `None` when the promise of the request's acks is fulfilled.
    pub error: ErrorCode,
    /// What the error was, for the client's log; Kafka's `ErrorMessage`.
    pub message: Option<String>,
    /// Offset of the first record, -1 on an error.
    pub base_offset: Offset,
    /// Time of the append in ms when the topic's timestamp type is LogAppendTime, else -1.
    pub log_append_time: i64,
    /// First offset of the log, -1 when unknown.
    pub log_start_offset: Offset,
    /// Set with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<CurrentLeader>,
}

impl ProduceResult {
    /// A refusal.
    pub fn failed(error: ErrorCode, message: Option<String>) -> Self {
        assert!(error.is_error(), "a refusal has an error");
        Self { error, message, base_offset: Offset(-1), log_append_time: -1, log_start_offset: Offset(-1), current_leader: None }
    }
}

/// How far a reader may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// Up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset, with the list of aborted transactions.
    ReadCommitted,
    /// Everything in the log: another broker that copies it.
    Replica,
}

/// One fetch of one connection, to be split over the owners. Each owner answers up to the whole budget; trimming over partitions in
/// request order is the asker's.
#[derive(Clone, Debug)]
pub struct FetchRead {
    /// Partitions in request order.
    pub partitions: Vec<FetchPartition>,
    /// How far the reader may see.
    pub isolation: Isolation,
    /// Bytes over all partitions; the first batch of the first partition that has data comes whole even if it is larger (KIP-74).
    pub max_bytes: u64,
    /// Another broker that copies; with [`Isolation::Replica`].
    pub replica: Option<FetchingReplica>,
    /// Only the leader may answer: other brokers, and consumers that do not know of followers (KIP-392).
    pub leader_only: bool,
    /// Where a consumer is that may be sent to a replica near it (KIP-392).
    pub near: Option<Near>,
    /// It was read before, and too little was there: what it says of the reader is known.
    pub is_repeated: bool,
}

/// A broker that fetches for its replicas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchingReplica {
    /// Who it is.
    pub id: BrokerId,
    /// Its incarnation (KIP-903), -1 in old versions.
    pub broker_epoch: i64,
}

/// Where a consumer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    /// Its rack.
    pub rack: Arc<str>,
    /// Name of the listener that it came in by: whoever it is sent to has one of that name.
    pub listener: Arc<str>,
}

/// One partition of a [`FetchRead`].
#[derive(Clone, Copy, Debug)]
pub struct FetchPartition {
    /// Topic.
    pub topic_id: TopicId,
    /// Partition of the topic.
    pub partition: PartitionIndex,
    /// First offset wanted; the batch that holds it comes whole.
    pub fetch_offset: Offset,
    /// Bytes of this partition; a first batch that is larger comes whole only when the reply is empty so far.
    pub max_bytes: u64,
    /// Leader epoch that the reader knows, [`LeaderEpoch::NONE`] for no check.
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch of the reader's last record, [`LeaderEpoch::NONE`] for no check (KIP-595 truncation detection).
    pub last_fetched_epoch: LeaderEpoch,
    /// First offset of a follower's log, -1 for a consumer.
    pub log_start_offset: Offset,
}

/// Where the reader's log and ours part (KIP-595).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DivergingEpoch {
    /// Largest epoch not above the reader's.
    pub epoch: LeaderEpoch,
    /// Offset behind its last record.
    pub end_offset: Offset,
}

/// An aborted transaction that a `read_committed` reader has to skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Producer of the transaction.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
}

/// What a partition answers to a fetch.
#[derive(Clone)]
pub struct FetchResult {
    /// `None`, or why there is nothing.
    pub error: ErrorCode,
    /// High watermark, -1 when unknown.
    pub high_watermark: Offset,
    /// Last stable offset, -1 when unknown.
    pub last_stable_offset: Offset,
    /// First offset of the log, -1 when unknown.
    pub log_start_offset: Offset,
    /// With [`Isolation::ReadCommitted`]: aborted transactions that overlap what was read.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// Set when the reader has to truncate; then nothing was read.
    pub diverging_epoch: Option<DivergingEpoch>,
    /// Set with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<CurrentLeader>,
    /// Another replica that this consumer should read from; then nothing was read (KIP-392).
    pub preferred_read_replica: Option<BrokerId>,
    /// Whole batches, in offset order.
    pub slices: Vec<FileSlice>,
    /// Sum of the slices' lengths.
    pub bytes: u64,
    /// Size of the first batch, 0 when there is none: what has to be sent at least for the reader to get on.
    pub first_batch_bytes: u64,
    /// End of what this reader may see: hand it to [`super::WatchPartition::seen`].
    pub readable_end: Offset,
}

impl FetchResult {
    /// A refusal.
    pub fn failed(error: ErrorCode) -> Self {
        assert!(error.is_error(), "a refusal has an error");
        Self {
            error,
            high_watermark: Offset(-1),
            last_stable_offset: Offset(-1),
            log_start_offset: Offset(-1),
            aborted: None,
            diverging_epoch: None,
            current_leader: None,
            preferred_read_replica: None,
            slices: Vec::new(),
            bytes: 0,
            first_batch_bytes: 0,
            readable_end: Offset(-1),
        }
    }
}

/// What a ListOffsets asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ListOffset {
    /// Topic and partition.
    pub id: TopicIdPartition,
    /// Leader epoch that the asker knows, [`LeaderEpoch::NONE`] for no check.
    pub current_leader_epoch: LeaderEpoch,
    /// A time in ms, or one of the special values: -1 latest, -2 earliest, -3 max timestamp, -4 earliest local, -5 latest tiered,
    /// -6 earliest pending upload.
    pub timestamp: i64,
}

/// Answer to a [`ListOffset`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    /// `None` also when no record is as young as asked; the offset is -1 then.
    pub error: ErrorCode,
    /// Timestamp of the record found, -1 for the special values.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Set with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<CurrentLeader>,
}

/// What an OffsetForLeaderEpoch asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct EpochEnd {
    /// Topic and partition.
    pub id: TopicIdPartition,
    /// Leader epoch that the asker knows, [`LeaderEpoch::NONE`] for no check.
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch whose end is asked for.
    pub leader_epoch: LeaderEpoch,
}

/// Answer to an [`EpochEnd`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEndOffset {
    /// `None`, or why there is no answer.
    pub error: ErrorCode,
    /// Largest epoch not above the one asked for, [`LeaderEpoch::NONE`] when there is none.
    pub leader_epoch: LeaderEpoch,
    /// Offset behind the last record of that epoch, -1 when there is none.
    pub end_offset: Offset,
}

/// Answer to a DeleteRecords of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeletedRecords {
    /// `None`, or why nothing was deleted.
    pub error: ErrorCode,
    /// First offset that is left on all replicas that are alive, -1 on an error.
    pub low_watermark: Offset,
    /// First offset that is left here, -1 on an error. Other replicas follow.
    pub log_start: Offset,
}

impl DeletedRecords {
    /// A refusal.
    pub fn failed(error: ErrorCode) -> Self {
        Self { error, low_watermark: Offset(-1), log_start: Offset(-1) }
    }
}

/// What a partition's log takes on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSize {
    /// Topic and partition.
    pub id: TopicIdPartition,
    /// Index of its log dir in `log.dirs`.
    pub log_dir: usize,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Whether it is a copy on its way to another log dir, which will be the log.
    pub is_future: bool,
    /// Offsets by which a copy is behind the log; 0 of the log itself.
    pub offset_lag: i64,
}

/// A log dir of this broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirState {
    /// As configured.
    pub path: PathBuf,
    /// Whether its device has failed.
    pub is_offline: bool,
}

/// Who writes to a partition with a producer id, or why that cannot be told.
pub type ActiveProducers = Result<Vec<ActiveProducer>, ErrorCode>;

/// A producer that a partition knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record, -1 before the first.
    pub last_sequence: i32,
    /// Timestamp of its last batch or marker.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 before the first.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 without one.
    pub current_txn_start_offset: Offset,
}
