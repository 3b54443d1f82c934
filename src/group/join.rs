//! JoinGroup: who may become a member or stay one, and whether that begins a rebalance.

use super::classic::{Group, Member, State};
use super::types::{Answer, GroupId, InstanceId, JoinGroup, Joined, MemberId, Ticket};
use super::{Groups, Replaced, Timer, Waiting, Work, records};
use crate::model::ErrorCode;
use std::sync::Arc;

/// How long a new member's first join may be parked: no heartbeat can come from it meanwhile, and nobody else would notice its end.
const NEW_MEMBER_JOIN_MS: u64 = 5 * 60 * 1000;

impl Work<'_> {
    pub(super) fn join(&mut self, groups: &mut Groups, ticket: Ticket, request: JoinGroup) {
        let timeouts = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if request.group.is_empty() {
            return self.refuse(ticket, request.member, ErrorCode::InvalidGroupId);
        }
        if !timeouts.contains(&request.session_timeout_ms) {
            return self.refuse(ticket, request.member, ErrorCode::InvalidSessionTimeout);
        }
        let is_new_group = !groups.contains_key(&request.group);
        if is_new_group && !request.member.is_empty() {
            return self.refuse(ticket, request.member, ErrorCode::UnknownMemberId);
        }
        let id = request.group.clone();
        let wall_ms = self.now.wall_ms;
        let group = groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone(), wall_ms));
        if !group.has_room_for(&request.member, self.config.max_size) {
            return self.turn_away(group, ticket, request.member);
        }
        if request.member.is_empty() {
            self.join_new(group, ticket, request);
        } else {
            self.join_known(group, ticket, request);
        }
        if is_new_group {
            // It is there also if nobody has become a member, as in Kafka, until offsets are looked at for their age.
            let empty = records::group(&Group::new(id.clone(), wall_ms), |_, member| member.assignment.clone());
            self.append(vec![empty], Waiting::NewGroup(id));
        }
    }

    fn refuse(&mut self, ticket: Ticket, member: MemberId, error: ErrorCode) {
        self.answer(ticket, Answer::Joined(Joined::refused(member, error)));
    }

    /// The group is full.
    fn turn_away(&mut self, group: &mut Group, ticket: Ticket, member: MemberId) {
        self.forget_pending(group, &member);
        if group.members.contains_key(&member) {
            self.remove_member(group, &member);
        }
        self.complete_if_all_have_joined(group);
        self.refuse(ticket, member, ErrorCode::GroupMaxSizeReached);
    }

    fn join_new(&mut self, group: &mut Group, ticket: Ticket, request: JoinGroup) {
        if !group.supports(&request.protocol_type, &request.protocols) {
            return self.refuse(ticket, request.member, ErrorCode::InconsistentGroupProtocol);
        }
        let member = new_member_id(&request);
        match &request.instance {
            Some(instance) => match group.instances.get(instance).cloned() {
                Some(old) => self.replace_static(group, ticket, &request, instance, old, member),
                None => self.add_member(group, ticket, &request, member),
            },
            None if request.needs_member_id => {
                let deadline = self.now.mono_ms + request.session_timeout_ms as u64;
                self.timers.set(Timer::Pending(group.id.clone(), member.clone()), deadline);
                group.pending.insert(member.clone());
                self.refuse(ticket, member, ErrorCode::MemberIdRequired);
            }
            None => self.add_member(group, ticket, &request, member),
        }
    }

    fn join_known(&mut self, group: &mut Group, ticket: Ticket, request: JoinGroup) {
        let id = request.member.clone();
        if !group.supports(&request.protocol_type, &request.protocols) {
            return self.refuse(ticket, id, ErrorCode::InconsistentGroupProtocol);
        }
        if group.pending.contains(&id) && request.instance.is_none() {
            return self.add_member(group, ticket, &request, id);
        }
        if let Err(error) = group.check_member(&id, request.instance.as_ref()) {
            return self.refuse(ticket, id, error);
        }
        let unchanged = group.members[&id].protocols == request.protocols;
        let leads = group.is_leader(&id);
        match group.state {
            // Its answer was lost, or it does not know yet that others have gone on without a change for it.
            State::CompletingRebalance if unchanged => self.answer(ticket, Answer::Joined(group.told(&id, leads))),
            State::Stable if unchanged && !leads => self.answer(ticket, Answer::Joined(group.told(&id, false))),
            State::Empty => self.refuse(ticket, id, ErrorCode::UnknownMemberId),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update_member(group, ticket, &request, &id);
                self.rebalance_or_complete(group);
            }
        }
    }

    fn add_member(&mut self, group: &mut Group, ticket: Ticket, request: &JoinGroup, id: MemberId) {
        let member = Member { join: Some(ticket), ..Member::of(request) };
        if let Some(initial) = &mut group.initial {
            initial.joined = true;
        }
        self.forget_pending(group, &id);
        self.timers.set(Timer::Session(group.id.clone(), id.clone()), self.now.mono_ms + NEW_MEMBER_JOIN_MS);
        group.add(id, member, &request.protocol_type);
        self.rebalance_or_complete(group);
    }

    /// What the member says of itself now; its request waits for the rebalance.
    fn update_member(&mut self, group: &mut Group, ticket: Ticket, request: &JoinGroup, id: &MemberId) {
        let member = group.members.get_mut(id).expect("the member is known");
        member.protocols = request.protocols.clone();
        (member.session_timeout_ms, member.rebalance_timeout_ms) = (request.session_timeout_ms, request.rebalance_timeout_ms);
        if let Some(earlier) = member.join.replace(ticket) {
            self.refuse(earlier, id.clone(), ErrorCode::RebalanceInProgress);
        }
    }

    /// A static member comes back without knowing its id (KIP-345): it gets a new one, and whoever still has the old one is fenced. If
    /// that changes nothing for the others, there is no rebalance.
    fn replace_static(
        &mut self,
        group: &mut Group,
        ticket: Ticket,
        request: &JoinGroup,
        instance: &InstanceId,
        old: MemberId,
        new: MemberId,
    ) {
        let leader_before = group.leader.clone();
        let parked = group.members.get_mut(&old).map(|member| (member.join.take(), member.sync.take()));
        let (join, sync) = parked.expect("an instance is a member");
        self.answer_parked(&old, join, sync, ErrorCode::FencedInstanceId);
        let before = group.members[&old].clone();
        self.timers.cancel(&Timer::Session(group.id.clone(), old.clone()));
        group.rename(instance, &old, new.clone());
        self.expect(group.id.clone(), new.clone(), request.session_timeout_ms);
        self.update_member(group, ticket, request, &new);
        if group.state != State::Stable || Some(&group.chosen_protocol()) != group.protocol.as_ref() {
            return self.rebalance_or_complete(group);
        }
        group.members.get_mut(&new).expect("it was renamed").join = None;
        let leads = group.is_leader(&new);
        let mut answer = group.told(&new, leads && request.can_skip_assignment);
        if request.can_skip_assignment {
            answer.skip_assignment = leads;
        } else if let Some(leader) = leader_before {
            // A client of an older version assigns if it is named as leader, which would be an assignment within a generation.
            answer.leader = Arc::from(&*leader);
        }
        let record = records::group(group, |_, member| member.assignment.clone());
        let (group, instance) = (group.id.clone(), instance.clone());
        let replaced = Replaced { group, ticket, instance, old, new, before, answer };
        self.append(vec![record], Waiting::Replaced(Box::new(replaced)));
    }

    /// The new id of a static member is written, or it has the old one again.
    pub(super) fn replaced(&mut self, groups: &mut Groups, replaced: Replaced, error: ErrorCode) {
        let Replaced { group: id, ticket, instance, old, new, before, answer } = replaced;
        if error == ErrorCode::None {
            return self.answer(ticket, Answer::Joined(answer));
        }
        if let Some(group) = groups.get_mut(&id)
            && group.instances.get(&instance) == Some(&new)
        {
            self.take_back(group, &id, &instance, &new, old, before);
        }
        self.refuse(ticket, MemberId::from(""), error);
    }

    fn take_back(
        &mut self,
        group: &mut Group,
        id: &GroupId,
        instance: &InstanceId,
        new: &MemberId,
        old: MemberId,
        before: Member,
    ) {
        self.timers.cancel(&Timer::Session(id.clone(), new.clone()));
        group.rename(instance, new, old.clone());
        let member = group.members.get_mut(&old).expect("it was renamed");
        let parked = (member.join.take(), member.sync.take());
        self.expect(id.clone(), old.clone(), before.session_timeout_ms);
        *member = Member { assignment: member.assignment.clone(), ..before };
        self.answer_parked(new, parked.0, parked.1, ErrorCode::UnknownMemberId);
    }

    /// Ends what a member waits for.
    pub(super) fn answer_parked(&mut self, member: &MemberId, join: Option<Ticket>, sync: Option<Ticket>, error: ErrorCode) {
        if let Some(ticket) = join {
            self.refuse(ticket, member.clone(), error);
        }
        if let Some(ticket) = sync {
            self.answer(ticket, Answer::Synced(super::sync::unsynced(error)));
        }
    }
}

/// Nobody else has this name: the client's, or the instance's, and something unique.
fn new_member_id(request: &JoinGroup) -> MemberId {
    let name = request.instance.as_deref().unwrap_or(&request.client_id);
    let hex = format!("{:032x}", request.unique);
    MemberId::from(&*format!("{name}-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
