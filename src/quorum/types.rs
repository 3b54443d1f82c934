//! What openraft is told of this quorum: who its nodes are, what an entry holds and what applying one gives.

use super::members::Member;
use super::snapshot::SnapshotFile;
use crate::controller::{Loader, MetadataDelta};
use crate::io::RaftRuntime;
use crate::model::Offset;
use bytes::Bytes;
use openraft::entry::RaftPayload;
use openraft::type_config::alias;
use openraft::vote::RaftLeaderId;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

openraft::declare_raft_types!(
    /// The metadata quorum. A node is its `node.id`, a term is an epoch (both fit 31 bits), and a term has one leader.
    pub(super) Types:
        D = MetadataBatch,
        R = Applied,
        NodeId = u64,
        Node = Member,
        Payload = Payload,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = RaftRuntime,
);

pub(super) type Entry = alias::EntryOf<Types>;
pub(super) type LogId = alias::LogIdOf<Types>;
pub(super) type Vote = alias::VoteOf<Types>;
pub(super) type LeaderId = alias::LeaderIdOf<Types>;
pub(super) type Membership = openraft::Membership<u64, Member>;
pub(super) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub(super) type Snapshot = alias::SnapshotOf<Types, SnapshotFile>;

/// What an entry holds: one batch of the log, or what is to become one.
#[derive(Clone)]
pub(super) enum Payload {
    /// A leader's first entry: its batch is made where it is appended first, and is a [`Payload::Batch`] from then on.
    Blank,
    /// Records that were decided, or a control batch that names no voters.
    Batch(MetadataBatch),
    /// Who is in the quorum from now on; its batch, once there is one.
    Voters(Membership, Option<Bytes>),
}

impl RaftPayload for Payload {
    type D = MetadataBatch;
    type NodeId = u64;
    type Node = Member;

    fn blank() -> Self {
        Self::Blank
    }

    fn with_normal(self, data: MetadataBatch) -> Self {
        Self::Batch(data)
    }

    fn with_membership(self, membership: Membership) -> Self {
        Self::Voters(membership, None)
    }

    fn get_membership(&self) -> Option<Membership> {
        match self {
            Self::Voters(membership, _) => Some(membership.clone()),
            _ => None,
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Batch(batch) => fmt::Debug::fmt(batch, f),
            Self::Voters(membership, _) => write!(f, "voters {membership}"),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A finished record batch: what one normal entry holds. Base offset and epoch are the log's when it is appended, and those for which it
/// was decided.
#[derive(Clone)]
pub(super) struct MetadataBatch {
    pub(super) bytes: Bytes,
    /// What the leader that decided on it knows of it already. It stays in memory: elsewhere, and after a restart, the bytes are read.
    judged: Option<Rc<Cell<Option<Judged>>>>,
}

/// What a batch makes of the metadata that it was decided on.
pub(super) struct Judged {
    /// Where those ended, and in which epoch.
    pub(super) on: (Offset, i32),
    pub(super) loader: Loader,
    pub(super) delta: MetadataDelta,
}

/// What applying an entry has changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    pub(super) delta: MetadataDelta,
}

impl MetadataBatch {
    /// As it stands in the log.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, judged: None }
    }

    /// One whose records have been tried on the metadata.
    pub(super) fn judged(bytes: Bytes, judged: Judged) -> Self {
        Self { bytes, judged: Some(Rc::new(Cell::new(Some(judged)))) }
    }

    /// What is known of it; once.
    pub(super) fn take_judged(&self) -> Option<Judged> {
        self.judged.as_ref()?.take()
    }
}

impl fmt::Debug for MetadataBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.bytes.len())
    }
}

impl fmt::Display for MetadataBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which entry it is: the leader of a term is the only one, so the term names it.
pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 0).to_committed(), index)
}

/// The term of an entry.
pub(super) fn term_of(log_id: &LogId) -> u64 {
    log_id.committed_leader_id().term
}
