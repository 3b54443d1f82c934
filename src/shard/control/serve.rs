//! What others ask of this node as a member of the quorum: voters by messages of their own, other nodes for the committed metadata, tools
//! for how far everybody is. And what the cores of this node ask of the first: whether it leads, or who does.

use super::Cluster;
use super::forward::Forwarded;
use crate::config::QuorumVoter;
use crate::controller::{MetadataImage, Refusal};
use crate::io::ReplySender;
use crate::model::{BrokerId, ErrorCode, Offset, TopicId};
use crate::quorum::{self, Found, Member, MemberEndpoint, QuorumError, QuorumHandle, ReplicaProgress, VoterChangeError};
use crate::shard::core::Core;
use bytes::Bytes;
use futures_util::future::select;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of one answer, whatever is asked for.
const MOST_BYTES: usize = 8 << 20;

/// What the first core is asked. An asker whose question is lost (the node is stopping) answers that nobody leads.
pub(in crate::shard) enum QuorumCall {
    /// A message of another voter; no answer where there is no voter.
    Message { request: Bytes, reply: ReplySender<Option<Vec<u8>>> },
    /// Metadata from an offset on.
    Fetch { fetch: MetadataFetch, reply: ReplySender<FetchedMetadata> },
    /// A piece of a snapshot.
    FetchSnapshot { fetch: SnapshotFetch, reply: ReplySender<FetchedSnapshot> },
    /// How far everybody is; nothing where this node does not lead.
    Describe { reply: ReplySender<QuorumView> },
    /// Where the voters' controllers are.
    Voters { reply: ReplySender<Vec<QuorumVoter>> },
    /// The voters are to change.
    Change { change: VoterChange, reply: ReplySender<Result<(), Refusal>> },
    /// The newest metadata that this node knows to be committed, which its cores may be yet to get.
    Image { reply: ReplySender<Arc<MetadataImage>> },
    /// A client's request, for whoever leads.
    Forward { frame: Bytes, client: IpAddr, reply: ReplySender<Forwarded> },
}

/// How the voters are to change (KIP-853).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VoterChange {
    /// A controller becomes one of them.
    Add {
        /// Its `node.id`.
        id: BrokerId,
        /// Directory of its metadata.
        directory: TopicId,
        /// Its controller listeners: name, host and port of each.
        listeners: Vec<(String, String, u16)>,
        /// How long it may take.
        limit: Duration,
    },
    /// One of them is none any more.
    Remove {
        /// Its `node.id`.
        id: BrokerId,
        /// Directory of its metadata.
        directory: TopicId,
    },
    /// One of them listens elsewhere, or knows other levels.
    Update {
        /// Its `node.id`.
        id: BrokerId,
        /// Directory of its metadata.
        directory: TopicId,
        /// Its controller listeners: name, host and port of each.
        listeners: Vec<(String, String, u16)>,
        /// The levels of `kraft.version` that it knows, from and to.
        kraft_versions: (i16, i16),
        /// The epoch of the quorum as it knows it.
        epoch: i32,
    },
}

/// A Fetch of the metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataFetch {
    /// `cluster.id` of who fetches; not checked if it is not told.
    pub cluster_id: Option<String>,
    /// Who fetches.
    pub replica: BrokerId,
    /// Directory id of its metadata log.
    pub directory: TopicId,
    /// The epoch of the quorum as it knows it.
    pub current_leader_epoch: i32,
    /// Where it goes on.
    pub from: Offset,
    /// Epoch of the record before.
    pub last_fetched_epoch: i32,
    /// Bytes that it takes.
    pub max_bytes: usize,
    /// How long it waits for something new.
    pub max_wait: Duration,
}

/// A snapshot's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotId {
    /// Offset behind its last record.
    pub end: Offset,
    /// Epoch of that record.
    pub epoch: i32,
}

/// What a Fetch of the metadata is answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedMetadata {
    /// `None`, or why there is nothing.
    pub error: ErrorCode,
    /// Who leads, and in which epoch: told in any case.
    pub leader: (Option<BrokerId>, i32),
    /// Everything before it is committed; -1 where it is not known.
    pub high_watermark: Offset,
    /// Where the log begins; -1 where it is not known.
    pub log_start: Offset,
    /// What was found.
    pub what: WhatIsFetched,
}

impl FetchedMetadata {
    /// An answer without anything but who leads.
    pub fn refused(error: ErrorCode, leader: (Option<BrokerId>, i32)) -> Self {
        let (high_watermark, log_start) = (Offset(-1), Offset(-1));
        Self { error, leader, high_watermark, log_start, what: WhatIsFetched::Batches(Bytes::new()) }
    }

    /// The answer of a node that knows nothing of a quorum.
    pub fn nobody() -> Self {
        Self::refused(ErrorCode::NotLeaderOrFollower, (None, -1))
    }
}

/// What is found at an offset of the metadata log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhatIsFetched {
    /// Whole batches, or none.
    Batches(Bytes),
    /// The logs part: the largest epoch here that is not above the asker's ends there.
    Diverging {
        /// The epoch.
        epoch: i32,
        /// Its end.
        end: Offset,
    },
    /// The asker is to begin with a snapshot.
    Snapshot(SnapshotId),
}

/// A FetchSnapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotFetch {
    /// As in [`MetadataFetch`].
    pub cluster_id: Option<String>,
    /// As in [`MetadataFetch`].
    pub current_leader_epoch: i32,
    /// Which one.
    pub snapshot: SnapshotId,
    /// From which byte on.
    pub position: i64,
    /// Bytes that the asker takes.
    pub max_bytes: usize,
}

/// What a FetchSnapshot is answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedSnapshot {
    /// `None`, or why there is nothing.
    pub error: ErrorCode,
    /// As in [`FetchedMetadata`].
    pub leader: (Option<BrokerId>, i32),
    /// Bytes of the whole.
    pub size: i64,
    /// A piece of it.
    pub bytes: Bytes,
}

impl FetchedSnapshot {
    /// An answer without anything but who leads.
    pub fn refused(error: ErrorCode, leader: (Option<BrokerId>, i32)) -> Self {
        Self { error, leader, size: 0, bytes: Bytes::new() }
    }

    /// The answer of a node that knows nothing of a quorum.
    pub fn nobody() -> Self {
        Self::refused(ErrorCode::NotLeaderOrFollower, (None, -1))
    }
}

/// How far a replica of the metadata log is. Times are milliseconds since 1970; -1 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedReplica {
    /// The node.
    pub id: BrokerId,
    /// Directory id of its log.
    pub directory: TopicId,
    /// End of what it has.
    pub log_end_offset: Offset,
    /// When it last asked.
    pub last_fetch_ms: i64,
    /// When it last had everything.
    pub last_caught_up_ms: i64,
}

/// The quorum as its leader sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuorumView {
    /// Whether this node leads; if not, nothing else is known.
    pub leads: bool,
    /// Who leads, and in which epoch.
    pub leader: (Option<BrokerId>, i32),
    /// Everything before it is committed.
    pub high_watermark: Offset,
    /// Who votes.
    pub voters: Vec<ObservedReplica>,
    /// Who follows without voting.
    pub observers: Vec<ObservedReplica>,
}

impl Core {
    /// Answers what is asked of the quorum; on the first core.
    pub(in crate::shard) fn on_quorum_call(self: &Rc<Self>, call: QuorumCall) {
        let core = self.clone();
        self.io.spawn(async move {
            match call {
                QuorumCall::Message { request, reply } => {
                    let member = core.cluster.get().and_then(|cluster| cluster.member.clone());
                    match member {
                        Some(member) => reply.send(Some(member.receive(request).await)),
                        None => reply.send(None),
                    }
                }
                QuorumCall::Fetch { fetch, reply } => reply.send(core.serve_metadata(fetch).await),
                QuorumCall::FetchSnapshot { fetch, reply } => reply.send(core.serve_snapshot(fetch).await),
                QuorumCall::Describe { reply } => reply.send(core.view_of_quorum()),
                QuorumCall::Voters { reply } => reply.send(core.cluster.get().map_or_else(Vec::new, |cluster| cluster.voters())),
                QuorumCall::Change { change, reply } => reply.send(core.change_voters(change).await),
                QuorumCall::Image { reply } => {
                    let known = core.cluster.get().map(|cluster| cluster.image());
                    reply.send(known.unwrap_or_else(|| core.image.borrow().clone()));
                }
                QuorumCall::Forward { frame, client, reply } => match core.cluster.get() {
                    Some(_) => reply.send(core.forward(frame, client).await),
                    None => reply.send(Forwarded::Here),
                },
            }
        });
    }

    async fn serve_metadata(&self, fetch: MetadataFetch) -> FetchedMetadata {
        let refused = FetchedMetadata::refused;
        let Some((cluster, member)) = self.member() else { return FetchedMetadata::nobody() };
        let is_sane = fetch.from >= Offset::ZERO
            && fetch.last_fetched_epoch >= 0
            && fetch.last_fetched_epoch <= fetch.current_leader_epoch.max(0);
        if !is_sane {
            return refused(ErrorCode::InvalidRequest, cluster.leader());
        }
        let until = self.io.now().after(fetch.max_wait);
        loop {
            let stopping = self.changed.notified();
            if let Err(error) = check(cluster, &member, fetch.cluster_id.as_deref(), fetch.current_leader_epoch) {
                return refused(error, cluster.leader());
            }
            // Whoever has nothing has no last epoch, whatever is said of it.
            let last_epoch = if fetch.from == Offset::ZERO { -1 } else { fetch.last_fetched_epoch };
            let (changed, bytes) = (member.changed(), fetch.max_bytes.min(MOST_BYTES) as u64);
            let read = match member.read_committed(fetch.from, last_epoch, bytes).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(%error, "the metadata log cannot be read");
                    return refused(ErrorCode::KafkaStorageError, cluster.leader());
                }
            };
            if fetch.replica.0 >= 0 && !member.is_voter(fetch.replica) {
                member.note_observer(fetch.replica, fetch.directory, fetch.from);
            }
            let what = match read.found {
                Found::Snapshot(id) => WhatIsFetched::Snapshot(SnapshotId { end: id.end, epoch: id.epoch }),
                Found::Diverging { epoch, end } => WhatIsFetched::Diverging { epoch, end },
                Found::Batches(batches) => WhatIsFetched::Batches(batches),
            };
            let is_news = !matches!(&what, WhatIsFetched::Batches(batches) if batches.is_empty());
            if is_news || self.io.now() >= until || self.is_stopping() {
                let (high_watermark, log_start) = (read.high_watermark, read.log_start);
                return FetchedMetadata { error: ErrorCode::None, leader: cluster.leader(), high_watermark, log_start, what };
            }
            select(select(pin!(changed), pin!(stopping)), pin!(self.io.sleep_until(until))).await;
        }
    }

    async fn serve_snapshot(&self, fetch: SnapshotFetch) -> FetchedSnapshot {
        let refused = FetchedSnapshot::refused;
        let Some((cluster, member)) = self.member() else { return FetchedSnapshot::nobody() };
        if let Err(error) = check(cluster, &member, fetch.cluster_id.as_deref(), fetch.current_leader_epoch) {
            return refused(error, cluster.leader());
        }
        let Ok(position) = u64::try_from(fetch.position) else {
            return refused(ErrorCode::PositionOutOfRange, cluster.leader());
        };
        let id = quorum::SnapshotId { end: fetch.snapshot.end, epoch: fetch.snapshot.epoch };
        match member.read_snapshot(id, position, fetch.max_bytes.min(MOST_BYTES)).await {
            Ok(Some(piece)) if position >= piece.size => refused(ErrorCode::PositionOutOfRange, cluster.leader()),
            Ok(Some(piece)) => {
                let (leader, size) = (cluster.leader(), piece.size as i64);
                FetchedSnapshot { error: ErrorCode::None, leader, size, bytes: piece.bytes }
            }
            Ok(None) => refused(ErrorCode::SnapshotNotFound, cluster.leader()),
            Err(error) => {
                tracing::error!(%error, "a snapshot of the metadata cannot be read");
                refused(ErrorCode::KafkaStorageError, cluster.leader())
            }
        }
    }

    async fn change_voters(&self, change: VoterChange) -> Result<(), Refusal> {
        if self.cluster.get().is_none() {
            // A node that is alone is the only voter, and stays that.
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, VoterChangeError::Fixed.to_string()));
        }
        let Some((cluster, member)) = self.member() else { return Err(Refusal(ErrorCode::NotLeaderOrFollower, None)) };
        let limit_of_requests = Duration::from_millis(u64::try_from(self.config.quorum_request_timeout_ms()).unwrap_or(0));
        let endpoint = |(listener, host, port)| MemberEndpoint { listener, host, port };
        let changed = match change {
            VoterChange::Add { id, listeners, directory, limit } => {
                let member_to_be = Member::new(directory, listeners.into_iter().map(endpoint).collect());
                member.add_voter(id, member_to_be, limit).await
            }
            VoterChange::Remove { id, directory } => member.remove_voter(id, directory, limit_of_requests).await,
            VoterChange::Update { id, directory, listeners, kraft_versions, epoch } => {
                check(cluster, &member, None, epoch).map_err(|error| Refusal(error, None))?;
                let moved = Member { directory, endpoints: listeners.into_iter().map(endpoint).collect(), kraft_versions };
                member.update_voter(id, moved, limit_of_requests).await
            }
        };
        changed.map_err(|error| match &error {
            VoterChangeError::Fixed => Refusal::new(ErrorCode::UnsupportedVersion, error.to_string()),
            VoterChangeError::TimedOut(_) => Refusal::new(ErrorCode::RequestTimedOut, error.to_string()),
            VoterChangeError::Duplicate(_) => Refusal::new(ErrorCode::DuplicateVoter, error.to_string()),
            VoterChangeError::NotFound(..) => Refusal::new(ErrorCode::VoterNotFound, error.to_string()),
            VoterChangeError::Invalid(_) => Refusal::new(ErrorCode::InvalidRequest, error.to_string()),
            VoterChangeError::Quorum(QuorumError::NotLeader { .. }) => Refusal(ErrorCode::NotLeaderOrFollower, None),
            VoterChangeError::Quorum(_) => Refusal::new(ErrorCode::UnknownServerError, error.to_string()),
        })
    }

    fn view_of_quorum(&self) -> QuorumView {
        let Some((cluster, member)) = self.member() else { return QuorumView::default() };
        let leader = cluster.leader();
        let Some(described) = member.describe() else { return QuorumView { leader, ..QuorumView::default() } };
        let told = |one: &ReplicaProgress| ObservedReplica {
            id: one.id,
            directory: one.directory,
            log_end_offset: one.log_end.unwrap_or(Offset(-1)),
            last_fetch_ms: one.last_fetch_ms.unwrap_or(-1),
            last_caught_up_ms: one.last_caught_up_ms.unwrap_or(-1),
        };
        QuorumView {
            leads: true,
            leader: (Some(described.leader), described.epoch),
            high_watermark: described.high_watermark,
            voters: described.voters.iter().map(told).collect(),
            observers: described.observers.iter().map(told).collect(),
        }
    }

    fn member(&self) -> Option<(&Rc<Cluster>, QuorumHandle)> {
        let cluster = self.cluster.get()?;
        Some((cluster, cluster.member.clone()?))
    }
}

/// Whether somebody of this cluster asks the leader, in the leader's epoch: Kafka's checks, in their order.
fn check(cluster: &Cluster, member: &QuorumHandle, cluster_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
    if cluster_id.is_some_and(|id| id != cluster.id) {
        return Err(ErrorCode::InconsistentClusterId);
    }
    let state = member.state();
    if epoch < state.epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if epoch > state.epoch {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    if state.leads { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
}
