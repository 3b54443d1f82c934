//! Everything that one core may say to another.
//!
//! Mailboxes are unbounded and lose nothing while both cores run; what may be under way is bounded where requests are admitted. Each
//! kind says what happens when the receiver is stopping or gone (its mailbox is dropped, and with it the reply halves in it).

use super::control::{HeartbeatLine, QuorumCall};
use super::coordinator::Said;
use super::dirs::{DirReport, OpenDirError, PartitionOffsets};
use super::handle::Stopping;
use super::load::{LoadReport, Placed};
use super::quota::{Charge, Mutations};
use super::requests::{
    ActiveProducers, DeletedRecords, EpochEnd, EpochEndOffset, FetchRead, FetchResult, Isolation, ListOffset, ListedOffset,
    LogSize, ProduceResult, ProduceSlice,
};
use super::watch::{WatchId, WatchPartition};
use crate::controller::{Command, MetadataDelta, MetadataImage, Reply};
use crate::group::{self, GroupId};
use crate::io::{Mono, ReplySender};
use crate::log::CheckpointKind;
use crate::model::{BrokerId, ErrorCode, Offset, ProducerId, TopicIdPartition, TopicPartition};
use crate::replica::{CommittedIsr, IsrProposal};
use std::ops::Range;
use std::sync::Arc;

/// A message between cores.
pub(super) enum Message {
    // ---- requests of clients ----
    /// Append to partitions of the receiver. Lost: the asker answers NOT_LEADER_OR_FOLLOWER, the client retries.
    Produce { slices: Vec<ProduceSlice>, acks: i16, deadline: Mono, reply: ReplySender<Vec<ProduceResult>> },
    /// Read partitions of the receiver. Lost: NOT_LEADER_OR_FOLLOWER.
    Fetch { read: FetchRead, reply: ReplySender<Vec<FetchResult>> },
    /// Find offsets by time. Lost: NOT_LEADER_OR_FOLLOWER.
    ListOffsets { queries: Vec<ListOffset>, isolation: Isolation, replica_id: BrokerId, reply: ReplySender<Vec<ListedOffset>> },
    /// Find ends of leader epochs. Lost: NOT_LEADER_OR_FOLLOWER.
    EpochEnds { queries: Vec<EpochEnd>, reply: ReplySender<Vec<EpochEndOffset>> },
    /// Delete records. Lost: NOT_LEADER_OR_FOLLOWER; the records may be gone.
    DeleteRecords { partitions: Vec<(TopicIdPartition, Offset)>, reply: ReplySender<Vec<DeletedRecords>> },
    /// Tell who writes to partitions of the receiver with a producer id. Lost: NOT_LEADER_OR_FOLLOWER.
    Producers { partitions: Vec<TopicIdPartition>, reply: ReplySender<Vec<ActiveProducers>> },
    /// Let partitions of the receiver move to log dirs, by their places in `log.dirs`. Lost: NOT_LEADER_OR_FOLLOWER; they may be on their
    /// way.
    AlterLogDirs { partitions: Vec<(TopicIdPartition, usize)>, reply: ReplySender<Vec<ErrorCode>> },
    /// Tell the sizes of the receiver's logs. Lost: they are missing from the answer.
    LogSizes { reply: ReplySender<Vec<LogSize>> },

    /// A client with a quota took something; for how many milliseconds is it to wait? To the home of its rate. Lost: it need not.
    Charge { charge: Charge, reply: ReplySender<u64> },

    // ---- groups ----
    /// Ask the coordinator in a partition of the receiver. Lost: NOT_COORDINATOR.
    Group { id: TopicIdPartition, request: group::Request, reply: ReplySender<Said<group::Answer>> },
    /// Tell what a group has committed. Lost: NOT_COORDINATOR.
    GroupOffsets {
        id: TopicIdPartition,
        group: GroupId,
        wanted: super::coordinator::WantedOffsets,
        reply: ReplySender<Said<super::coordinator::Offsets>>,
    },
    /// Tell all of one group. Lost: NOT_COORDINATOR.
    DescribeGroup { id: TopicIdPartition, group: GroupId, reply: ReplySender<Said<Option<group::Description>>> },
    /// Tell the groups of the receiver. Lost: they are missing from the answer.
    ListGroups { reply: ReplySender<Said<Vec<super::ListedGroup>>> },

    /// Tell all offsets of all groups of the receiver. Lost: they are missing from the answer.
    GroupOffsetsOfAll { reply: ReplySender<Vec<super::coordinator::GroupOffsets>> },
    /// Tell what the receiver has counted. Lost: it is missing from the answer.
    Statistics { reply: ReplySender<super::CoreStatistics> },

    // ---- long polling ----
    /// Report growth of partitions of the receiver to `watch`. Lost: the watch ends at its deadline.
    Watch { watch: WatchId, partitions: Vec<WatchPartition>, isolation: Isolation },
    /// The watch is over. Lost: the receiver is gone and its watches with it.
    Unwatch { watch: WatchId, partitions: Vec<TopicIdPartition> },
    /// `bytes` more can be read ([`super::watch::WAKE`]: read again, whatever the size). Lost: the watch ends at its deadline.
    Growth { watch: WatchId, bytes: u64 },

    // ---- metadata ----
    /// Decide and commit; to the controller's core. Lost: the asker gets [`Stopping`].
    /// With `mutations`, as far as the client's quota allows.
    Controller { command: Command, mutations: Option<Mutations>, reply: ReplySender<Result<Reply, Stopping>> },
    /// The same for what other nodes ask of this one's controller: it is decided here or not at all. Lost, or another leads: the asker
    /// gets [`Stopping`].
    ControllerHere { command: Command, mutations: Option<Mutations>, reply: ReplySender<Result<Reply, Stopping>> },
    /// The heartbeats of a broker come by this connection from here on; to the controller's core. Lost: a session ends by time.
    HeartbeatsBegin { broker: BrokerId, line: HeartbeatLine },
    /// The connection by which they came was closed by its other end; likewise.
    HeartbeatsEnded { broker: BrokerId, epoch: i64, line: HeartbeatLine },
    /// Ask the quorum by way of the controller's core. Lost: see [`QuorumCall`].
    Quorum(QuorumCall),
    /// Give out a block of producer ids; to the controller's core. Lost: the asker gets [`Stopping`].
    ProducerIds { reply: ReplySender<Result<Range<ProducerId>, Stopping>> },
    /// The leader of a partition of the core `from` proposes an ISR; to the controller's core. Lost: the broker is stopping.
    ProposeIsr { id: TopicIdPartition, proposal: IsrProposal, from: usize },
    /// What became of proposal `number` of a partition of the receiver. Lost: the receiver is stopping.
    IsrAnswered { id: TopicIdPartition, number: u64, result: Result<CommittedIsr, ErrorCode> },
    /// Create the logs of partitions that are new in an image. Lost: the receiver is stopping and needs it no more.
    Prepare { image: Arc<MetadataImage>, delta: Arc<MetadataDelta>, reply: ReplySender<()> },
    /// Apply a committed image, show it to clients, delete what it lacks. Lost: the receiver is stopping and needs it no more.
    Image { image: Arc<MetadataImage>, delta: Arc<MetadataDelta>, reply: ReplySender<()> },
    /// Tell which of the partitions that have changed are in other log dirs than the image says. Lost: the receiver is stopping.
    Misplaced { image: Arc<MetadataImage>, delta: Arc<MetadataDelta>, reply: ReplySender<Vec<Placed>> },

    // ---- log dirs ----
    /// Open, lock and list a log dir of which the receiver is the home. Lost: the broker does not start.
    OpenDir { dir: usize, cluster_id: String, reply: ReplySender<Result<DirReport, OpenDirError>> },
    /// Open the receiver's partitions. Lost: the broker does not start.
    Load { image: Arc<MetadataImage>, dirs: Arc<Vec<Option<DirReport>>>, reply: ReplySender<LoadReport> },
    /// The dirs of which the receiver is the home are in use from here; answered with those that failed, and why. Lost: the broker does
    /// not start.
    InUse { reply: ReplySender<Vec<(usize, String)>> },
    /// The log dirs and the quorum are open (with the cluster's id) or are not: [`super::Shards::join`] returns on the receiver. Lost: it
    /// is gone already.
    Joined(Result<String, String>),
    /// Everything is ready or is not: [`super::Shards::ready`] returns on the receiver. Lost: it is gone already.
    Ready(Result<(), String>),
    /// Offsets of the sender's partitions in a log dir, for its checkpoints; to the dir's home. With `write`, write that one now and say
    /// whether it is written.
    /// Lost: the checkpoints stay older than they could be; recovery reads more of the log.
    Offsets {
        dir: usize,
        from: usize,
        offsets: Arc<Vec<(TopicPartition, PartitionOffsets)>>,
        write: Option<(CheckpointKind, ReplySender<bool>)>,
    },
    /// A device failed: the log dir is offline for everybody. Lost: the receiver is stopping.
    DirFailed { dir: usize, reason: String },
    /// A deleted partition's directory is to be removed; to the dir's home. Lost: removed at the next start.
    RemoveDir { dir: usize, path: std::path::PathBuf, delay_ms: u64 },

    // ---- the end ----
    /// All logs of the sender are closed (`clean`: without an error); to core 0. Lost: cannot be, core 0 stops last.
    Closed { clean: bool },
    /// Every core has closed its logs: write the last checkpoints and, if all went well, the clean-shutdown markers
    /// with the epoch of the broker. Lost: the next
    /// start recovers.
    CloseDirs { broker_epoch: Option<i64>, reply: ReplySender<()> },
    /// The broker has stopped: no more messages. Lost: cannot be, every core waits for it.
    Halt,
}
