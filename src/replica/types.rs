//! What a replica is told, what it answers with, and the values in both.

use super::Ticket;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};

/// Broker epoch of who does not say one: it is not compared (KIP-903).
pub const NO_BROKER_EPOCH: i64 = -1;

/// How many replicas a produce waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// `acks=0`: there is no answer.
    None,
    /// `acks=1`: the leader's own write (and flush, where the policy asks for it).
    Leader,
    /// `acks=all` (-1): the whole ISR.
    All,
}

impl Acks {
    /// The `acks` of a produce request.
    ///
    /// # Errors
    /// `INVALID_REQUIRED_ACKS` for anything but -1, 0 and 1.
    pub fn from_wire(acks: i16) -> Result<Self, ErrorCode> {
        match acks {
            0 => Ok(Self::None),
            1 => Ok(Self::Leader),
            -1 => Ok(Self::All),
            _ => Err(ErrorCode::InvalidRequiredAcks),
        }
    }
}

/// Which records a reader may see (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Everything in the log: followers.
    Replica,
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// Whether the leader was elected cleanly (KIP-704).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderRecovery {
    /// Its log has what was committed before.
    Recovered,
    /// It was elected uncleanly, and has not said since that it takes its own log for the truth.
    Recovering,
}

/// What the metadata say of this partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Broker that leads, or none.
    pub leader: Option<BrokerId>,
    /// Rises with each leader.
    pub leader_epoch: LeaderEpoch,
    /// Rises with each change of the partition's record.
    pub partition_epoch: i32,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// The replicas that an acked record is on.
    pub isr: Vec<BrokerId>,
    /// Whether the leader was elected cleanly.
    pub recovery: LeaderRecovery,
}

/// What the metadata say of a broker that holds a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokerStatus {
    /// The broker.
    pub id: BrokerId,
    /// Rises with each registration of another incarnation.
    pub epoch: i64,
    /// The controller keeps clients and leaderships away from it.
    pub fenced: bool,
    /// It is in controlled shutdown.
    pub shutting_down: bool,
}

/// Where this replica's log stands when the machine starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// First offset that may be read.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    /// End of what is on the device.
    pub flushed: Offset,
    /// From the checkpoint; taken into `[log_start, log_end]`.
    pub high_watermark: Offset,
    /// Last epoch that the log knows the start of, -1 if none.
    pub last_epoch: LeaderEpoch,
}

/// How long a replica is patient, in milliseconds. Broker-wide and fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// `replica.lag.time.max.ms`: who was not caught up for longer leaves the ISR. Looked at twice as often.
    pub replica_lag_time_max_ms: u64,
    /// `replica.fetch.backoff.ms`: a follower's pause after an error.
    pub fetch_backoff_ms: u64,
    /// The first pause after an error by which the leader says that it knows less than the follower: it will soon. Each further one is
    /// twice as long, up to the other.
    pub leader_behind_ms: u64,
    /// Pause before an `AlterPartition` is sent again.
    pub alter_partition_retry_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { replica_lag_time_max_ms: 30_000, fetch_backoff_ms: 1_000, leader_behind_ms: 20, alter_partition_retry_ms: 50 }
    }
}

/// Where an epoch ends in a log (KIP-101, KIP-279).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEndOffset {
    /// Largest epoch of the log that is not larger than the one asked for; -1 if unknown.
    pub epoch: LeaderEpoch,
    /// Where the next larger epoch begins, or the log end offset; -1 if unknown.
    pub end_offset: Offset,
}

impl EpochEndOffset {
    /// The log knows nothing of the epoch.
    pub const UNKNOWN: Self = Self { epoch: LeaderEpoch::NONE, end_offset: Offset(-1) };
}

/// One partition of another broker's fetch, as the leader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerFetch {
    /// Who fetches.
    pub follower: BrokerId,
    /// Its incarnation, [`NO_BROKER_EPOCH`] in old versions.
    pub broker_epoch: i64,
    /// Epoch of the leadership that it knows; -1 does not say.
    pub current_leader_epoch: LeaderEpoch,
    /// Its log end offset.
    pub offset: Offset,
    /// Last epoch of its log; -1 does not say.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What a follower asks its leader for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPosition {
    /// Whom to ask.
    pub leader: BrokerId,
    /// `currentLeaderEpoch`.
    pub leader_epoch: LeaderEpoch,
    /// `fetchOffset`: our log end offset, and durable where acks wait for the device.
    pub offset: Offset,
    /// `lastFetchedEpoch`: by it the leader sees where the logs part. -1 if our log is empty.
    pub last_fetched_epoch: LeaderEpoch,
    /// Our log start offset.
    pub log_start: Offset,
}

/// A leader's answer to a [`FetchPosition`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchAnswer {
    /// Of the partition, or of the whole fetch, or why it got no answer.
    pub error: ErrorCode,
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start offset.
    pub log_start: Offset,
    /// The logs part.
    pub divergence: Option<Divergence>,
    /// What came, if anything: [`super::accept_batches`] says it.
    pub records: Option<FetchedRecords>,
}

impl FetchAnswer {
    /// Nothing but an error.
    pub fn failed(error: ErrorCode) -> Self {
        Self { error, high_watermark: Offset(-1), log_start: Offset(-1), divergence: None, records: None }
    }
}

/// `divergingEpoch` of an answer, and what our own log knows of that epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// As the leader answered.
    pub leader: EpochEndOffset,
    /// The end of `leader.epoch` in our own log.
    pub own: EpochEndOffset,
}

/// Header fields of a fetched batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchSpan {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset of its last record.
    pub last: Offset,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
}

/// Fetched batches that may be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchedRecords {
    /// How many batches, from the front.
    pub batches: usize,
    /// Offset of the first record.
    pub first: Offset,
    /// Offset behind the last record.
    pub end: Offset,
}

/// An ISR that the leader proposes to the controller (KIP-497).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrProposal {
    /// Names it in [`Input::AlterPartitionAnswered`]; a proposal that is sent again keeps its number.
    pub number: u64,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The record that it changes.
    pub partition_epoch: i32,
    /// The new ISR, with the incarnation that was seen in sync (KIP-903), or [`NO_BROKER_EPOCH`].
    pub isr: Vec<(BrokerId, i64)>,
    /// A leader takes its own log for the truth: always recovered.
    pub recovery: LeaderRecovery,
}

/// The controller's answer to an [`IsrProposal`] that it carried out, or found carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedIsr {
    /// Epoch of the leadership.
    pub leader_epoch: LeaderEpoch,
    /// Epoch of the partition's record now.
    pub partition_epoch: i32,
    /// The ISR now.
    pub isr: Vec<BrokerId>,
    /// Whether the leader has recovered.
    pub recovery: LeaderRecovery,
}

/// First and last offset of a leader's log, as ListOffsets answers them to a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderOffsets {
    /// Its log start offset.
    pub log_start: Offset,
    /// Its log end offset.
    pub log_end: Offset,
}

/// What may happen to a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The metadata have changed.
    Metadata(Assignment),
    /// What the metadata say of the brokers that hold replicas, this one included; takes the place of what was said before. Comes
    /// before the [`Input::Metadata`] of the same change.
    Brokers(Vec<BrokerStatus>),
    /// Topic configs: `min.insync.replicas`, and whether `flush.messages` is 1, so that acks wait for the device.
    SetPolicy {
        /// As configured; never taken as more than there are replicas.
        min_insync_replicas: usize,
        /// Whether a write counts only once it is flushed.
        flush_gated: bool,
    },
    /// Whether a write of produced records is under way. Meanwhile no epoch changes: what is written would carry the old one.
    Busy(bool),
    /// Produced records have been written: the log ends at `end`.
    Appended {
        /// The new log end offset.
        end: Offset,
    },
    /// The log is on the device up to `end`: the log as it is now, not one that a flush saw before a cut.
    Flushed {
        /// End of the flushed part.
        end: Offset,
    },
    /// A produce that was admitted is in the log (or was there already), up to `end`, exclusive. Comes after its
    /// [`Input::Appended`].
    Produced {
        /// Returned with the answer.
        ticket: Ticket,
        /// What it waits for.
        acks: Acks,
        /// Offset behind its last record.
        end: Offset,
        /// When `acks=all` gives up, on the clock of `now_ms`.
        deadline_ms: u64,
    },
    /// A follower has fetched from `log_end`, and so has everything before it. Comes in the same turn as the
    /// [`super::Replica::check_follower_fetch`] that found nothing against it.
    FollowerFetched {
        /// The follower.
        follower: BrokerId,
        /// Its incarnation, or [`NO_BROKER_EPOCH`].
        broker_epoch: i64,
        /// Its log end offset.
        log_end: Offset,
        /// Its log start offset.
        log_start: Offset,
    },
    /// The controller has answered a proposal, or the way to it has failed.
    AlterPartitionAnswered {
        /// Of the [`IsrProposal`].
        number: u64,
        /// What it answered: the partition's error, or the request's.
        result: Result<CommittedIsr, ErrorCode>,
    },
    /// The answer to an [`Effect::Fetch`], or why there is none.
    Fetched {
        /// What was asked.
        asked: FetchPosition,
        /// What came back.
        answer: FetchAnswer,
    },
    /// The answer to an [`Effect::AskOffsets`].
    LeaderOffsets {
        /// The epoch in which they were asked for.
        leader_epoch: LeaderEpoch,
        /// What came back.
        result: Result<LeaderOffsets, ErrorCode>,
    },
    /// An [`Effect::Append`] has ended; if it ended early, with fewer batches.
    Replicated {
        /// The new log end offset.
        end: Offset,
        /// Last epoch of the log.
        last_epoch: LeaderEpoch,
    },
    /// The log lacks committed records from `to` on: a follower cuts it there and copies it again. Nothing, if it does not follow or is
    /// busy; then it is to be said again.
    Repair {
        /// First offset that goes; of a `whole` log the offset that it begins with.
        to: Offset,
        /// All of it goes: offsets are missing in it, so what is left would not show where it parts from the leader's.
        whole: bool,
    },
    /// An [`Effect::Append`] or a cut was refused and has changed nothing. (A device that failed is [`Input::StorageFailed`].)
    LogRefused,
    /// An [`Effect::Truncate`] or [`Effect::RestartAt`] has ended, durably.
    Truncated {
        /// The log start offset.
        log_start: Offset,
        /// The log end offset.
        end: Offset,
        /// Last epoch of the log, -1 if it is empty.
        last_epoch: LeaderEpoch,
    },
    /// Records before `offset` are gone (retention or DeleteRecords).
    LogStartMoved {
        /// The new log start offset.
        offset: Offset,
    },
    /// A write or flush failed, or the log dir is gone: nobody leads here any more until a restart.
    StorageFailed,
    /// The replica is not on this broker any more, or the broker stops: the machine ends.
    Stopped,
    /// Time has passed; see [`super::Replica::next_tick_ms`].
    Tick,
}

/// What is to be done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// This broker leads from here: the log notes the epoch before it appends anything.
    LeaderEpochStarted {
        /// The new epoch.
        epoch: LeaderEpoch,
        /// Offset of its first record: the log end offset.
        start: Offset,
    },
    /// This broker does not lead: another does, or nobody. What was asked of an earlier leader is void.
    BecameFollower {
        /// The leader to fetch from.
        leader: Option<BrokerId>,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// The high watermark has risen to this offset: more may be read.
    HighWatermark(Offset),
    /// A produce can be answered.
    Answer {
        /// As given in [`Input::Produced`].
        ticket: Ticket,
        /// `None` is success; the records stay in the log either way.
        error: ErrorCode,
    },
    /// Send this to the controller; there is one at a time.
    AlterPartition(IsrProposal),
    /// Ask the leader once; [`Input::Fetched`] is the answer, and names the position.
    Fetch(FetchPosition),
    /// Ask the leader for its first and last offset; [`Input::LeaderOffsets`] is the answer.
    AskOffsets {
        /// Whom to ask.
        leader: BrokerId,
        /// In which epoch.
        leader_epoch: LeaderEpoch,
    },
    /// Append what has just been fetched; [`Input::Replicated`] is the answer.
    Append {
        /// Our log is empty and the first batch begins before it (a leader whose log starts within a batch): begin again there
        /// first.
        restart_at: Option<Offset>,
    },
    /// Cut the log, and forget epochs that begin at or behind `to`, even if there is no record to cut; [`Input::Truncated`] is
    /// the answer.
    Truncate {
        /// The new log end offset.
        to: Offset,
    },
    /// Drop the whole log and begin again; [`Input::Truncated`] is the answer.
    RestartAt {
        /// The new log start offset and log end offset.
        offset: Offset,
    },
    /// The leader's log starts later than ours: delete what lies before. [`Input::LogStartMoved`] follows.
    MoveLogStart {
        /// The new log start offset.
        offset: Offset,
    },
}
