//! What is known of one group of the classic protocol (KIP-62, KIP-345): its members, their votes, its state. Nothing here answers
//! anybody or sets a timer.

use super::types::{GroupId, InstanceId, JoinGroup, Joined, JoinedMember, MemberId, Protocol, Ticket};
use crate::model::ErrorCode;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a group does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No members; maybe offsets.
    Empty,
    /// Waits for all members to join again.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
}

impl State {
    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) instance: Option<InstanceId>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// It has not been in a generation yet: waiting does not keep it alive.
    pub(super) is_new: bool,
    /// The request that waits for the rebalance.
    pub(super) join: Option<Ticket>,
    /// The request that waits for the assignment.
    pub(super) sync: Option<Ticket>,
}

impl Member {
    pub(super) fn of(request: &JoinGroup) -> Self {
        Self {
            instance: request.instance.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            is_new: true,
            join: None,
            sync: None,
        }
    }

    /// What it said about a protocol.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|one| &*one.name == protocol).map_or_else(Bytes::new, |one| one.metadata.clone())
    }

    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|one| &*one.name == protocol)
    }
}

/// One group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) state: State,
    /// When it got into its state, in milliseconds since 1970.
    pub(super) since_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) instances: BTreeMap<InstanceId, MemberId>,
    /// Ids that were given out and have not joined yet.
    pub(super) pending: BTreeSet<MemberId>,
    /// Members of this generation that have not asked for their assignment.
    pub(super) unsynced: BTreeSet<MemberId>,
    /// The leader's assignment is being written: it is decided, whatever the leader says after it.
    pub(super) decided: bool,
    /// The members of the generation that is being prepared come to an empty group: others may follow shortly, so it waits for them.
    pub(super) initial: Option<Initial>,
}

/// The first rebalance of an empty group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Initial {
    /// Somebody joined since the delay began.
    pub(super) joined: bool,
    /// How long the present delay is.
    pub(super) delay_ms: u64,
    /// How much longer it may be drawn out after it.
    pub(super) remaining_ms: u64,
}

impl Group {
    pub(super) fn new(id: GroupId, wall_ms: i64) -> Self {
        Self {
            id,
            state: State::Empty,
            since_ms: wall_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            decided: false,
            initial: None,
        }
    }

    pub(super) fn enter(&mut self, state: State, wall_ms: i64) {
        self.state = state;
        self.since_ms = wall_ms;
    }

    /// Whether somebody with these protocols can be a member: of the group's type, with one that all members support.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(|one| self.all_support(&one.name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }

    /// Each member votes for the first of its protocols that all support; the one with most votes.
    ///
    /// # Panics
    /// If no protocol has everybody's support, which [`Self::supports`] prevents.
    pub(super) fn chosen_protocol(&self) -> Arc<str> {
        let mut votes: Vec<(Arc<str>, usize)> = Vec::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|one| self.all_support(&one.name)).expect("a protocol that all support");
            match votes.iter_mut().find(|(name, _)| *name == vote.name) {
                Some((_, count)) => *count += 1,
                None => votes.push((vote.name.clone(), 1)),
            }
        }
        // Of equals the one that was voted for first.
        let most = votes.iter().map(|&(_, count)| count).max().expect("the group has members");
        votes.into_iter().find(|&(_, count)| count == most).expect("somebody has most votes").0
    }

    /// Members whose join waits.
    pub(super) fn joining(&self) -> usize {
        self.members.values().filter(|member| member.join.is_some()).count()
    }

    /// Whether nobody has to be waited for.
    pub(super) fn all_have_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.join.is_some())
    }

    /// The longest time that members ask for to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms.max(0) as u64).max().unwrap_or(0)
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// Whether there is room for a (further) join of `member`.
    pub(super) fn has_room_for(&self, member: &str, max_size: usize) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                self.members.get(member).is_some_and(|known| known.join.is_some()) || self.joining() < max_size
            }
            State::CompletingRebalance | State::Stable => self.members.contains_key(member) || self.members.len() < max_size,
        }
    }

    /// Takes in a member, as leader if there is none.
    pub(super) fn add(&mut self, id: MemberId, member: Member, protocol_type: &Arc<str>) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
    }

    /// Forgets a member; the next one in order leads if it led.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        self.unsynced.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// A static member has come back under a new id, which takes over all that the old one was.
    pub(super) fn rename(&mut self, instance: &InstanceId, from: &MemberId, to: MemberId) {
        let member = self.members.remove(from).expect("an instance is a member");
        self.members.insert(to.clone(), member);
        self.instances.insert(instance.clone(), to.clone());
        if self.unsynced.remove(from) {
            self.unsynced.insert(to.clone());
        }
        if self.is_leader(from) {
            self.leader = Some(to);
        }
    }

    /// Whether `member` (of this instance) is who it says: `UNKNOWN_MEMBER_ID` or `FENCED_INSTANCE_ID` otherwise.
    pub(super) fn check_member(&self, member: &str, instance: Option<&InstanceId>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if &**known != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// The group as it is told to one of its members.
    pub(super) fn told(&self, member: &MemberId, with_members: bool) -> Joined {
        Joined {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map_or_else(|| Arc::from(""), Arc::from),
            member: member.clone(),
            skip_assignment: false,
            members: if with_members { self.metadata() } else { Vec::new() },
        }
    }

    fn metadata(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .iter()
            .map(|(id, one)| JoinedMember {
                member: id.clone(),
                instance: one.instance.clone(),
                metadata: one.metadata(protocol),
            })
            .collect()
    }
}
