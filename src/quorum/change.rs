//! Voters come, go and move while the quorum runs (KIP-853, `kraft.version` 1).
//!
//! One at a time, so that the old majority and the new one always have somebody in common, and each change waits until the one before is
//! committed. Who comes is given the log first, and votes when it has caught up: otherwise everything could wait for its disk. A leader
//! that is taken out leads until that is committed, and is nobody then.
//!
//! Nothing else is written while an entry of the voters is (`deciding`): a decision is made for the offset behind all that is in the log.

use super::QuorumError;
use super::codec::{Answer, Message};
use super::entry::raft_id;
use super::members::{self, Member};
use super::node::Node;
use super::observers::FORGOTTEN_AFTER;
use super::timing;
use super::types::{LeaderId, Membership, Payload, Types};
use crate::io::Mono;
use crate::model::{BrokerId, TopicId};
use futures_util::future::{Either, select};
use openraft::ChangeMembers;
use openraft::RaftMetrics;
use openraft::entry::RaftPayload as _;
use openraft::raft::Precondition;
use openraft::vote::RaftLeaderId as _;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Weak;
use std::time::Duration;

/// Controllers that do not vote and are given the log. Nobody has more.
const MOST_LEARNERS: usize = 100;

/// Why the voters are not changed, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum VoterChangeError {
    /// The quorum's voters are fixed.
    #[error("Cluster doesn't support changing voters because the kraft.version feature is 0")]
    Fixed,
    /// Something that takes its time is not done yet; it may still happen.
    #[error("{0}")]
    TimedOut(String),
    /// The voter's id is there already.
    #[error("The voter id {0} is already part of the set of voters")]
    Duplicate(BrokerId),
    /// There is no such voter.
    #[error("There is no voter {0} with the directory {1}")]
    NotFound(BrokerId, TopicId),
    /// It cannot be done.
    #[error("{0}")]
    Invalid(String),
    /// This node does not lead, or the quorum has stopped.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

/// The right to change the voters.
struct Turn<'a>(&'a Node);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.changing.set(false);
    }
}

impl Node {
    /// Makes a node a voter, when it has everything: within `limit`.
    pub(super) async fn add_voter(&self, id: BrokerId, member: Member, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let (term, _turn) = self.begin_change()?;
        let before = self.members();
        if before.voter_ids().any(|voter| voter == raft_id(id)) {
            return Err(VoterChangeError::Duplicate(id));
        }
        if member.endpoints.is_empty() {
            return Err(VoterChangeError::Invalid("a voter needs a listener".to_owned()));
        }
        self.begin_to_learn(term, id, member, deadline).await?;
        self.until_caught_up(term, id, deadline).await?;
        let voting = members::with_voter(&self.members(), raft_id(id)).map_err(VoterChangeError::Invalid)?;
        self.write_members(term, voting, deadline).await
    }

    /// A controller that does not vote wants the log (KIP-853's observers): this node gives it to it if it leads, or hands on who asks.
    pub(super) async fn let_join(&self, sender: BrokerId, id: BrokerId, member: Member) -> Result<(), String> {
        if self.acts_in().is_none() {
            let leader = self.state().leader.filter(|leader| sender == id && *leader != id);
            let leader = leader.ok_or("this node does not lead, and knows of nobody who does")?;
            return match self.peers.peer(leader).ask(&Message::Join { id, member }).await? {
                Answer::Joined => Ok(()),
                other => Err(format!("the answer {other:?} to something else")),
            };
        }
        let known = self.members();
        if known.voter_ids().any(|voter| voter == raft_id(id)) {
            // It hears of this node again, if it is the one that votes.
            return Ok(());
        }
        if known.learner_ids().count() >= MOST_LEARNERS {
            return Err(format!("there are {MOST_LEARNERS} already who do not vote"));
        }
        let deadline = self.io.now().after(Duration::from_millis(self.how.timeouts.request_ms));
        let (term, _turn) = self.begin_change().map_err(|error| error.to_string())?;
        self.begin_to_learn(term, id, member, deadline).await.map_err(|error| error.to_string())
    }

    /// Whoever does not vote gets the log from now on. One of this id may be another than before.
    async fn begin_to_learn(&self, term: u64, id: BrokerId, member: Member, deadline: Mono) -> Result<(), VoterChangeError> {
        let before = self.members();
        if before.get_node(&raft_id(id)) == Some(&member) {
            return Ok(());
        }
        let base = members::without(&before, raft_id(id)).map_err(VoterChangeError::Invalid)?;
        if base != before {
            self.write_members(term, base.clone(), deadline).await?;
        }
        let learning = members::with_learner(&base, raft_id(id), member).map_err(VoterChangeError::Invalid)?;
        self.write_members(term, learning, deadline).await
    }

    /// A controller that nobody sends the log to asks for it: it was not added yet, or was taken out.
    pub(super) async fn ask_for_the_log(node: Weak<Self>) {
        loop {
            let Some(this) = node.upgrade().filter(|this| !this.is_closed.get()) else { return };
            let (io, limit) = (this.io.clone(), Duration::from_millis(this.how.timeouts.fetch_ms));
            let is_silent = this.members().voter_ids().next().is_none() || io.now().since(this.heard.get()) > limit;
            if is_silent && this.leads_in().is_none() {
                this.ask_everybody().await;
            }
            drop(this);
            io.sleep(limit / 4).await;
        }
    }

    async fn ask_everybody(&self) {
        let Some(member) = self.how.member.clone() else { return };
        let message = Message::Join { id: self.how.node, member };
        let known = self.peers.known_servers();
        for (host, port) in self.how.servers.iter().chain(&known) {
            match self.peers.ask_once(host, *port, &message).await {
                Ok(Answer::Joined) => return,
                Ok(other) => tracing::debug!("{host}:{port} answers {other:?}"),
                Err(why) => tracing::debug!("{host}:{port} does not let this controller follow: {why}"),
            }
        }
    }

    /// The leader sends nothing any more to who does not vote and was not heard of for long.
    pub(super) async fn forget_learners(&self) {
        let Some(_) = self.acts_in().filter(|_| self.journal.voters.are_in_log()) else { return };
        let known = self.members();
        let now = self.io.now();
        let is_gone = |id: &u64| {
            let heard = self.now(|all| all.heartbeat.as_ref().and_then(|all| all.get(id).copied().flatten()).map(|at| at.mono()));
            let since = heard.unwrap_or(Mono(0)).max(self.active_since.get());
            now.since(since) >= FORGOTTEN_AFTER
        };
        let gone = known.learner_ids().find(is_gone);
        let Some(id) = gone else { return };
        let (Ok((term, _turn)), Ok(after)) = (self.begin_change(), members::without(&known, id)) else { return };
        tracing::info!(node = id, "does not vote and was not heard of for long, and is forgotten");
        let deadline = now.after(Duration::from_millis(self.how.timeouts.request_ms));
        if let Err(error) = self.write_members(term, after, deadline).await {
            tracing::warn!("a node that does not vote is not forgotten: {error}");
        }
    }

    /// Takes a voter out.
    pub(super) async fn remove_voter(&self, id: BrokerId, directory: TopicId, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let (term, _turn) = self.begin_change()?;
        let before = self.members();
        let is_voter = before.voter_ids().any(|voter| voter == raft_id(id));
        if !is_voter || before.get_node(&raft_id(id)).is_none_or(|member| member.directory != directory) {
            return Err(VoterChangeError::NotFound(id, directory));
        }
        let after = members::without(&before, raft_id(id)).map_err(VoterChangeError::Invalid)?;
        let written = self.write_members(term, after.clone(), deadline).await;
        if id == self.how.node && written.is_err() {
            // It leads no more as soon as this is committed, which is what it is to find out.
            self.io.sleep(timing::look(&self.how.timeouts)).await;
            if *self.metadata.membership().membership() == after {
                return Ok(());
            }
        }
        written
    }

    /// A voter listens elsewhere, or knows other versions.
    pub(super) async fn update_voter(&self, id: BrokerId, member: Member, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let (term, _turn) = self.begin_change()?;
        let before = self.members();
        let known = before.get_node(&raft_id(id)).filter(|known| known.directory == member.directory);
        let is_voter = before.voter_ids().any(|voter| voter == raft_id(id));
        let Some(known) = known.filter(|_| is_voter) else {
            return Err(VoterChangeError::NotFound(id, member.directory));
        };
        if *known == member {
            return Ok(());
        }
        self.set_member(term, id, member, deadline).await
    }

    /// The first leader writes into the log who the voters are, and each one where it listens itself, if that is new.
    pub(super) async fn name_voters(&self, term: u64) -> Result<(), QuorumError> {
        // Nothing can be decided before, so there is no hurry.
        let (members, deadline) = (self.members(), self.io.now().after(Duration::from_secs(24 * 3600)));
        let own = self.how.member.clone().unwrap_or_default();
        let known = members.get_node(&raft_id(self.how.node)).filter(|known| known.directory == own.directory);
        let changed = match known {
            Some(known) if *known != own => self.set_member(term, self.how.node, own, deadline).await,
            _ if self.journal.names_members() => Ok(()),
            _ => self.write_members(term, members, deadline).await,
        };
        changed.map_err(|error| match error {
            VoterChangeError::Quorum(error) => error,
            // It is tried again as long as this node leads.
            other => {
                tracing::warn!("who votes is not in the log yet: {other}");
                self.not_leader()
            }
        })
    }

    fn begin_change(&self) -> Result<(u64, Turn<'_>), VoterChangeError> {
        let term = self.acts_in().ok_or_else(|| self.not_leader())?;
        if !self.journal.voters.are_in_log() {
            return Err(VoterChangeError::Fixed);
        }
        if self.changing.replace(true) {
            let why = "Request timed out waiting for leader to handle previous voter change request";
            return Err(VoterChangeError::TimedOut(why.to_owned()));
        }
        Ok((term, Turn(self)))
    }

    async fn set_member(&self, term: u64, id: BrokerId, member: Member, deadline: Mono) -> Result<(), VoterChangeError> {
        let change = ChangeMembers::SetNodes(BTreeMap::from([(raft_id(id), member)]));
        let written = async { self.raft.change_membership_if(change, true, [self.only_in(term)]).await.map(drop) };
        self.wait_for_members(term, written, deadline).await
    }

    async fn write_members(&self, term: u64, members: Membership, deadline: Mono) -> Result<(), VoterChangeError> {
        let written = async { self.raft.append_membership(members, Payload::blank(), [self.only_in(term)]).await.map(drop) };
        self.wait_for_members(term, written, deadline).await
    }

    fn only_in(&self, term: u64) -> Precondition<Types> {
        let committed_leader_id = LeaderId::new(term, raft_id(self.how.node)).to_committed();
        Precondition::CommittedLeaderId { committed_leader_id }
    }

    /// Waits until an entry of the voters is committed and applied, and for all that was decided before to be in the log.
    async fn wait_for_members<E: std::fmt::Display>(
        &self,
        term: u64,
        written: impl Future<Output = Result<(), E>>,
        deadline: Mono,
    ) -> Result<(), VoterChangeError> {
        let _turn = self.deciding.enter().await;
        let (written, late) = (pin!(self.io.enter(written)), pin!(self.io.sleep_until(deadline)));
        match select(select(written, late), pin!(self.until_lost(term))).await {
            Either::Left((Either::Left((Ok(()), _)), _)) => Ok(()),
            Either::Left((Either::Left((Err(error), _)), _)) => match self.leads_in() == Some(term) {
                true => Err(VoterChangeError::TimedOut(error.to_string())),
                false => Err(self.not_leader().into()),
            },
            Either::Left((Either::Right(_), _)) => {
                Err(VoterChangeError::TimedOut("Request timed out waiting for the voters to be committed".to_owned()))
            }
            Either::Right((lost, _)) => Err(lost.into()),
        }
    }

    /// Waits until somebody who learns has what was there when this was asked, and then what had come by then.
    async fn until_caught_up(&self, term: u64, id: BrokerId, deadline: Mono) -> Result<(), VoterChangeError> {
        for _ in 0..2 {
            let all = self.journal.log_state().last_log_id.map(|last| last.index());
            let has_all = |now: &RaftMetrics<Types>| {
                let matching = now.replication.as_ref().and_then(|all| all.get(&raft_id(id)).copied().flatten());
                matching.map(|last| last.index()) >= all
            };
            while !self.now(has_all) {
                if self.leads_in() != Some(term) {
                    return Err(self.not_leader().into());
                }
                if self.io.now() >= deadline {
                    let why = format!("Aborted add voter operation for {id} since it is lagging behind");
                    return Err(VoterChangeError::TimedOut(why));
                }
                self.next_look().await;
            }
        }
        Ok(())
    }
}
