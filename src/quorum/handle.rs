//! The quorum for those who do not decide: they follow what is committed, pass on what other voters say, and answer who reads along.

use super::QuorumError;
use super::change::VoterChangeError;
use super::entry::raft_id;
use super::members::{KRAFT_VERSION_DYNAMIC, Member};
use super::node::Node;
use super::observers::QuorumDescription;
use super::reads::{CommittedRead, SnapshotBytes, SnapshotId};
use crate::controller::{MetadataDelta, MetadataImage};
use crate::io::local_reply;
use crate::model::{BrokerId, Offset, TopicId};
use bytes::Bytes;
use futures_util::future::select;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuorumState {
    /// The leader; none while there is none that can act as one.
    pub leader: Option<BrokerId>,
    /// The latest epoch that is known.
    pub epoch: i32,
    /// This node leads, and decisions can be made here.
    pub leads: bool,
}

/// This node's member of the quorum, also while a decision is in flight. It stays on its core; clones are the same.
#[derive(Clone)]
pub struct QuorumHandle {
    node: Rc<Node>,
}

impl QuorumHandle {
    pub(super) fn new(node: Rc<Node>) -> Self {
        node.metadata.follow();
        Self { node }
    }

    /// Who leads.
    pub fn state(&self) -> QuorumState {
        self.node.state()
    }

    /// Why this node cannot go on (its disk fails, or the metadata are not for it), if it cannot. It has to stop then.
    pub fn failure(&self) -> Option<String> {
        self.node.failure()
    }

    /// Waits until who leads, the committed metadata or whether this node can go on has changed since this call.
    pub fn changed(&self) -> impl Future<Output = ()> + use<> {
        let (of_node, of_metadata) = (self.node.changed.notified(), self.node.metadata.changed().notified());
        async move {
            select(pin!(of_node), pin!(of_metadata)).await;
        }
    }

    /// The metadata as committed.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.node.metadata.image()
    }

    /// The metadata as committed, if they are others than at the last call (of any handle), and the sum of what has changed since then.
    /// The first time that is everything there is.
    pub fn take_committed(&self) -> Option<(Arc<MetadataImage>, Arc<MetadataDelta>)> {
        self.node.metadata.take_changes()
    }

    /// The answer to what another voter has sent under [`super::RAFT_API_KEY`].
    pub async fn receive(&self, request: Bytes) -> Vec<u8> {
        self.node.receive(request).await
    }

    /// Reads committed batches from `offset` on, for a broker that does not vote and whose last record has `last_epoch` (-1 for none): no
    /// more than `max_bytes`, but one batch.
    ///
    /// # Errors
    /// The device fails.
    pub async fn read_committed(&self, offset: Offset, last_epoch: i32, max_bytes: u64) -> Result<CommittedRead, QuorumError> {
        self.node.read_committed(offset, last_epoch, max_bytes).await
    }

    /// Reads a piece of a snapshot; none if there is no such snapshot (any more).
    ///
    /// # Errors
    /// The device fails.
    pub async fn read_snapshot(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: usize,
    ) -> Result<Option<SnapshotBytes>, QuorumError> {
        self.node.read_snapshot(id, position, max_bytes).await
    }

    /// Notes that a broker that does not vote has everything up to `log_end`; `directory` is that of its metadata.
    pub fn note_observer(&self, id: BrokerId, directory: TopicId, log_end: Offset) {
        self.node.note_observer(id, directory, log_end);
    }

    /// Makes a node a voter as soon as it has everything, within `limit`.
    ///
    /// # Errors
    /// See [`VoterChangeError`].
    pub async fn add_voter(&self, id: BrokerId, member: Member, limit: Duration) -> Result<(), VoterChangeError> {
        self.change(async move |node: &Node| node.add_voter(id, member, limit).await).await
    }

    /// Takes a voter out of the quorum.
    ///
    /// # Errors
    /// See [`VoterChangeError`].
    pub async fn remove_voter(&self, id: BrokerId, directory: TopicId, limit: Duration) -> Result<(), VoterChangeError> {
        self.change(async move |node: &Node| node.remove_voter(id, directory, limit).await).await
    }

    /// Notes where a voter listens now, and what it knows.
    ///
    /// # Errors
    /// See [`VoterChangeError`].
    pub async fn update_voter(&self, id: BrokerId, member: Member, limit: Duration) -> Result<(), VoterChangeError> {
        self.change(async move |node: &Node| node.update_voter(id, member, limit).await).await
    }

    /// Raises `kraft.version` to 1: from now on the log names the voters, each as it describes itself, and they can change. All of them have
    /// to answer and to know the level. Nothing is written if it is only to be validated, or is so already.
    ///
    /// # Errors
    /// See [`VoterChangeError`].
    pub async fn raise_kraft_version(&self, validate_only: bool, limit: Duration) -> Result<(), VoterChangeError> {
        self.change(async move |node: &Node| node.raise_kraft_version(validate_only, limit).await).await
    }

    /// A change goes on to its end, also when nobody waits for it any more.
    async fn change(
        &self,
        change: impl AsyncFnOnce(&Node) -> Result<(), VoterChangeError> + 'static,
    ) -> Result<(), VoterChangeError> {
        let (node, (sender, done)) = (self.node.clone(), local_reply());
        self.node.io.spawn(async move { sender.send(change(&node).await) });
        done.await.unwrap_or_else(|_| Err(QuorumError::Consensus("the node has ended".to_owned()).into()))
    }

    /// Who votes, with what the log says of them; nothing of those that are a setting.
    pub fn voters(&self) -> Vec<(BrokerId, Member)> {
        let members = self.node.members();
        let member = |id: BrokerId| (id, members.get_node(&raft_id(id)).cloned().unwrap_or_default());
        self.node.voters().into_iter().map(member).collect()
    }

    /// Whether a node votes.
    pub fn is_voter(&self, id: BrokerId) -> bool {
        self.node.voters().contains(&id)
    }

    /// Level of `kraft.version`: whether voters can change.
    pub fn kraft_version(&self) -> i16 {
        if self.node.journal.are_voters_in_log() { KRAFT_VERSION_DYNAMIC } else { 0 }
    }

    /// How far everybody is; none if this node does not lead.
    pub fn describe(&self) -> Option<QuorumDescription> {
        self.node.describe()
    }

    /// The voter that could best lead in this node's place; none if this node does not lead.
    pub fn successor(&self) -> Option<BrokerId> {
        self.node.successor()
    }

    /// Asks another voter to lead in this node's place, which has to lead: before it stops, so that nobody waits for a timeout. Who leads
    /// then shows in [`QuorumHandle::state`].
    ///
    /// # Errors
    /// The quorum has stopped.
    pub async fn give_leadership_to(&self, voter: BrokerId) -> Result<(), QuorumError> {
        self.node.give_leadership_to(voter).await
    }
}
