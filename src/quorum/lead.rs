//! Who leads, and what a new leader does before it acts as one.
//!
//! Raft's leader is not yet, and not always, the one that decides. A node **acts as the leader** of a term when it was elected in it, has
//! applied everything that is in its log (its own first entry is the last of it, so a majority has it), has ended what its predecessor
//! left open, and has begun the metadata if there are none. It stops when another term begins, and for as long as no majority answers:
//! then others may lead already, and nothing can be committed anyway.
//!
//! So every decision is made on all that can ever be in the log before it. One that is under way when this ends is given up
//! ([`QuorumError::NotLeader`]): the next leader commits it or replaces it. What it would have made of the metadata goes with its entry
//! where that is cut off; where it is committed after all, whoever leads, it is applied as the entry that it is.

use super::entry::{broker_id, raft_id};
use super::journal::Journal;
use super::machine::Metadata;
use super::node::Node;
use super::types::{Types, term_of};
use super::{QuorumError, QuorumState, timing};
use crate::model::BrokerId;
use crate::protocol::generated::AbortTransactionRecord;
use futures_util::future::{Either, join_all, select};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{RaftMetrics, ServerState};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Whether this node was elected and everything in its log is applied.
pub(super) fn has_applied_all(now: &RaftMetrics<Types>, journal: &Journal, metadata: &Metadata) -> bool {
    let all = journal.log_state().last_log_id;
    now.state == ServerState::Leader && all.is_some_and(|last| term_of(&last) == now.current_term) && metadata.applied() == all
}

impl Node {
    pub(super) fn now<T>(&self, look: impl FnOnce(&RaftMetrics<Types>) -> T) -> T {
        look(&self.raft.metrics().borrow_watched())
    }

    /// The term in which raft has this node lead, if a majority answers it.
    pub(super) fn leads_in(&self) -> Option<u64> {
        let limit = Duration::from_millis(self.how.timeouts.fetch_ms);
        self.now(|now| {
            let is_answered = now.last_quorum_acked.is_some_and(|at| self.io.now().since(at.mono()) < limit);
            let is_only_one = || self.voters() == [self.how.node];
            let leads = now.running_state.is_ok() && now.state == ServerState::Leader && (is_answered || is_only_one());
            leads.then_some(now.current_term)
        })
    }

    /// The term in which this node acts as the leader.
    pub(super) fn acts_in(&self) -> Option<u64> {
        self.leads_in().filter(|term| self.active.get() == Some(*term))
    }

    pub(super) fn state(&self) -> QuorumState {
        let leads = self.acts_in().is_some();
        self.now(|now| {
            // Known to itself as the leader it is only when it can be asked.
            let leader = now.current_leader.map(broker_id).filter(|leader| *leader != self.how.node || leads);
            QuorumState { leader, epoch: i32::try_from(now.current_term).unwrap_or(i32::MAX), leads }
        })
    }

    /// Why this node cannot go on, if it cannot and was not told to end.
    pub(super) fn failure(&self) -> Option<String> {
        if self.is_closed.get() {
            return None;
        }
        let stopped = self.now(|now| now.running_state.as_ref().err().map(ToString::to_string));
        self.broken.borrow().clone().or_else(|| stopped.map(|said| self.journal.failure_text().unwrap_or(said)))
    }

    /// What a caller is told when this node does not act as the leader, or cannot at all.
    pub(super) fn not_leader(&self) -> QuorumError {
        match self.failure() {
            Some(why) => self.journal.stopped(&why),
            None => QuorumError::NotLeader { leader: self.state().leader.filter(|leader| *leader != self.how.node) },
        }
    }

    /// Waits for anything about raft to change, or for a time after which it may look otherwise.
    pub(super) async fn next_look(&self) {
        let mut metrics = self.raft.metrics();
        drop(metrics.borrow_and_update());
        let pause = self.io.sleep(timing::look(&self.how.timeouts));
        let _ = select(pin!(metrics.changed()), pin!(pause)).await;
    }

    /// Returns when this node does not act as the leader of `term` any more, with what to say.
    pub(super) async fn until_lost(&self, term: u64) -> QuorumError {
        while self.leads_in() == Some(term) {
            self.next_look().await;
        }
        self.not_leader()
    }

    /// The term to decide in, when all that is in the log is applied: a decision that was given up may still be under way.
    pub(super) async fn ready(&self) -> Result<u64, QuorumError> {
        let term = self.acts_in().ok_or_else(|| self.not_leader())?;
        while self.acts_in() == Some(term) {
            if self.now(|now| has_applied_all(now, &self.journal, &self.metadata)) {
                return Ok(term);
            }
            self.next_look().await;
        }
        Err(self.not_leader())
    }

    /// Does what a new leader does first. Nothing if somebody else leads.
    pub(super) async fn activate(&self) -> Result<(), QuorumError> {
        let Some(term) = self.leads_in().filter(|term| self.active.get() != Some(*term)) else { return Ok(()) };
        if !self.now(|now| has_applied_all(now, &self.journal, &self.metadata)) {
            return Ok(());
        }
        if self.journal.are_voters_in_log() {
            self.name_voters(term).await?;
        }
        if self.loader().in_transaction() {
            // Its leader died before it could end it; nobody ever saw these records.
            self.commit(term, &[AbortTransactionRecord::default().into()]).await?;
        }
        if self.metadata.image().metadata_version().is_none() {
            self.commit(term, &self.bootstrap).await?;
        }
        let image = self.metadata.image();
        self.check_metadata_version(&image)?;
        for (kind, count) in image.not_understood() {
            tracing::warn!(count, "the metadata hold {kind}, which this broker does not act upon");
        }
        self.active.set(Some(term));
        self.active_since.set(self.io.now());
        Ok(())
    }

    /// The voter that is to lead in this node's place: of the others the one that has most. None if this node does not lead.
    pub(super) fn successor(&self) -> Option<BrokerId> {
        let described = self.describe()?;
        let others = described.voters.iter().filter(|voter| voter.id != self.how.node);
        others.max_by_key(|voter| (voter.last_caught_up_ms, voter.log_end)).map(|voter| voter.id)
    }

    /// Asks another voter to lead in this node's place.
    pub(super) async fn give_leadership_to(&self, voter: BrokerId) -> Result<(), QuorumError> {
        let asked = async { self.raft.trigger().transfer_leader(raft_id(voter)).await };
        self.io.enter(asked).await.map_err(|fatal| self.journal.stopped(&fatal))
    }

    /// Keeps up what follows from who leads, and tells of changes, as long as somebody holds the node.
    pub(super) async fn attend(node: Weak<Self>) {
        let mut told = None;
        while let Some(node) = node.upgrade() {
            match node.activate().await {
                Ok(()) | Err(QuorumError::NotLeader { .. }) => {}
                Err(error) => drop(node.broken.borrow_mut().get_or_insert(error.to_string())),
            }
            if !node.stands.get() && node.may_stand().await {
                node.raft.runtime_config().elect(true);
                node.stands.set(true);
            }
            if node.journal.are_voters_in_log() {
                node.peers.learn(&node.members());
            }
            node.note_progress();
            node.forget_learners().await;
            let now = Some((node.state(), node.failure()));
            if now != told {
                if let Some((state, _)) = &now {
                    tracing::info!(leader = ?state.leader.map(|id| id.0), epoch = state.epoch, leads = state.leads, "metadata quorum");
                }
                told = now;
                node.changed.notify_all();
            }
            if node.failure().is_some() || node.is_closed.get() {
                return;
            }
            // Nobody is kept alive by being watched.
            let mut metrics = node.raft.metrics();
            drop(metrics.borrow_and_update());
            let (io, pause) = (node.io.clone(), timing::look(&node.how.timeouts));
            drop(node);
            if let Either::Left((Err(_), _)) = select(pin!(metrics.changed()), pin!(io.sleep(pause))).await {
                return;
            }
        }
    }

    /// Lets a node that began without any data stand for election as soon as that can do no harm: somebody has given it data, or nobody has
    /// any. Otherwise two voters with new disks could elect one of them while the third, which has all of the metadata, is away: a
    /// single node's directory that becomes part of a cluster would be overwritten with nothing.
    async fn may_stand(self: &Rc<Self>) -> bool {
        if self.journal.is_blank() {
            let others = self.voters().into_iter().filter(|voter| *voter != self.how.node);
            let asked = others.map(|voter| async move { self.peers.peer(voter).is_blank().await });
            if !join_all(asked).await.into_iter().all(|is_blank| is_blank) {
                return false;
            }
        }
        true
    }
}
