//! Voters come, go and move while the quorum runs (KIP-853, `kraft.version` 1).
//!
//! One at a time, so that the old majority and the new one always have somebody in common, and each change waits until the one before is
//! committed. Who comes is given the log first, and votes when it has caught up: otherwise everything could wait for its disk. A leader
//! that is to be taken out hands over first, and its successor takes it out.
//!
//! Nothing else is written while an entry of the voters is (`deciding`): a decision is made for the offset behind all that is in the log.

use super::QuorumError;
use super::codec::{Answer, Message};
use super::entry::raft_id;
use super::members::{self, KRAFT_VERSION_DYNAMIC, Member};
use super::node::Node;
use super::observers::FORGOTTEN_AFTER;
use super::types::{LeaderId, Membership, Payload, Types};
use crate::io::Mono;
use crate::model::{BrokerId, TopicId};
use futures_util::future::{Either, join_all, select};
use openraft::ChangeMembers;
use openraft::RaftMetrics;
use openraft::entry::RaftPayload as _;
use openraft::raft::Precondition;
use openraft::vote::RaftLeaderId as _;
use std::future::Future;
use std::pin::pin;
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
            let is_same = known.get_node(&raft_id(id)).is_some_and(|voter| voter.directory == member.directory);
            // It hears of this node again, where the log says that it is.
            return if is_same {
                Ok(())
            } else {
                Err(format!("node {id} votes with another disk, and is to be taken out first"))
            };
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

    /// The leader sends nothing any more to who does not vote and was not heard of for long.
    pub(super) async fn forget_learners(&self) {
        let Some(_) = self.acts_in().filter(|_| self.journal.are_voters_in_log()) else { return };
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

    /// Takes a voter out. A leader that is to go lets another one lead first, which is then the one to ask: so nobody waits until somebody
    /// finds out that there is no leader any more.
    pub(super) async fn remove_voter(&self, id: BrokerId, directory: TopicId, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let (term, _turn) = self.begin_change()?;
        let before = self.members();
        let is_voter = before.voter_ids().any(|voter| voter == raft_id(id));
        if !is_voter || before.get_node(&raft_id(id)).is_none_or(|member| member.directory != directory) {
            return Err(VoterChangeError::NotFound(id, directory));
        }
        let after = members::without(&before, raft_id(id)).map_err(VoterChangeError::Invalid)?;
        if id == self.how.node {
            return Err(self.hand_over_before_it_goes(term, deadline).await);
        }
        self.write_members(term, after, deadline).await
    }

    /// What to say to whoever wants this leader to be no voter any more.
    async fn hand_over_before_it_goes(&self, term: u64, deadline: Mono) -> VoterChangeError {
        // What is being decided is to come to its end.
        let _turn = self.deciding.enter().await;
        let asked = match self.successor() {
            Some(next) => self.give_leadership_to(next).await,
            None => return VoterChangeError::TimedOut("no other voter could lead".to_owned()),
        };
        if let Err(error) = asked {
            return error.into();
        }
        while self.leads_in() == Some(term) || self.state().leader.is_none() {
            if self.io.now() >= deadline {
                return VoterChangeError::TimedOut("no other voter took over the leadership".to_owned());
            }
            self.next_look().await;
        }
        self.not_leader().into()
    }

    /// A voter listens elsewhere, or knows other versions.
    pub(super) async fn update_voter(&self, id: BrokerId, member: Member, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let (term, _turn) = self.begin_change()?;
        let (min, max) = member.kraft_versions;
        if !(min..=max).contains(&KRAFT_VERSION_DYNAMIC) {
            let why = format!("kraft.version {KRAFT_VERSION_DYNAMIC} is in force, and the voter knows {min} to {max}");
            return Err(VoterChangeError::Invalid(why));
        }
        let before = self.members();
        let known = before.get_node(&raft_id(id)).filter(|known| known.directory == member.directory);
        let is_voter = before.voter_ids().any(|voter| voter == raft_id(id));
        let Some(known) = known.filter(|_| is_voter) else {
            return Err(VoterChangeError::NotFound(id, member.directory));
        };
        if *known == member {
            return Ok(());
        }
        self.set_members(term, [(id, member)], deadline).await
    }

    /// What a quorum of fixed voters becomes when `kraft.version` is raised (KIP-853): the log names the voters, the same as ever, each with
    /// its disk and where it listens, as it says itself. From the moment that this is in a node's log, the settings count for nothing there.
    pub(super) async fn raise_kraft_version(&self, validate_only: bool, limit: Duration) -> Result<(), VoterChangeError> {
        let deadline = self.io.now().after(limit);
        let term = self.acts_in().ok_or_else(|| self.not_leader())?;
        if self.journal.are_voters_in_log() {
            return Ok(());
        }
        let _turn = self.take_turn()?;
        let Some(own) = &self.how.member else {
            return Err(VoterChangeError::Invalid("This node is alone: it has no listener for other controllers.".to_owned()));
        };
        let described = self.voters().into_iter().map(|voter| async move {
            if voter == self.how.node { Ok((voter, own.clone())) } else { self.described(voter).await.map(|it| (voter, it)) }
        });
        let described: Result<Vec<_>, _> = join_all(described).await.into_iter().collect();
        let described = described?;
        if validate_only { Ok(()) } else { self.set_members(term, described, deadline).await }
    }

    /// A voter by its own word, if it can be one of a quorum whose voters can change.
    async fn described(&self, voter: BrokerId) -> Result<Member, VoterChangeError> {
        let invalid = |why: String| VoterChangeError::Invalid(format!("Voter {voter}: {why}"));
        let member = self.peers.peer(voter).describe().await.map_err(invalid)?;
        let (min, max) = member.kraft_versions;
        if !(min..=max).contains(&KRAFT_VERSION_DYNAMIC) {
            return Err(invalid(format!("it only supports versions {min}-{max}.")));
        }
        if member.endpoints.is_empty() || member.directory == TopicId::default() {
            return Err(invalid("it has no listener, or no directory id.".to_owned()));
        }
        Ok(member)
    }

    /// The first leader writes into the log who the voters are, and each one where it listens itself, if that is new.
    pub(super) async fn name_voters(&self, term: u64) -> Result<(), QuorumError> {
        // Nothing can be decided before, so there is no hurry.
        let (members, deadline) = (self.members(), self.io.now().after(Duration::from_secs(24 * 3600)));
        let own = self.how.member.clone().unwrap_or_default();
        let known = members.get_node(&raft_id(self.how.node)).filter(|known| known.directory == own.directory);
        let changed = match known {
            Some(known) if *known != own => self.set_members(term, [(self.how.node, own)], deadline).await,
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
        if !self.journal.are_voters_in_log() {
            return Err(VoterChangeError::Fixed);
        }
        Ok((term, self.take_turn()?))
    }

    fn take_turn(&self) -> Result<Turn<'_>, VoterChangeError> {
        if self.changing.replace(true) {
            let why = "Request timed out waiting for leader to handle previous voter change request";
            return Err(VoterChangeError::TimedOut(why.to_owned()));
        }
        Ok(Turn(self))
    }

    /// Writes what is new of some who vote or learn.
    async fn set_members(
        &self,
        term: u64,
        members: impl IntoIterator<Item = (BrokerId, Member)>,
        deadline: Mono,
    ) -> Result<(), VoterChangeError> {
        let change = ChangeMembers::SetNodes(members.into_iter().map(|(id, member)| (raft_id(id), member)).collect());
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
