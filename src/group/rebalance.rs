//! From one generation to the next: everybody joins again or is given up, a protocol is chosen, a leader named.

use super::classic::{Group, Initial, State};
use super::types::{Answer, MemberId};
use super::{Timer, Waiting, Work, records};
use crate::model::ErrorCode;
use bytes::Bytes;

impl Work<'_> {
    /// Somebody has joined, changed or gone: a rebalance begins, or goes on.
    pub(super) fn rebalance_or_complete(&mut self, group: &mut Group) {
        if group.state == State::PreparingRebalance {
            self.complete_if_all_have_joined(group);
        } else {
            self.prepare(group);
        }
    }

    /// Everybody has to join again. An empty group waits a little for others to come, so that they need not rebalance one by one.
    pub(super) fn prepare(&mut self, group: &mut Group) {
        if group.state == State::CompletingRebalance {
            self.withhold_assignments(group, ErrorCode::RebalanceInProgress);
        }
        self.timers.cancel(&Timer::Sync(group.id.clone()));
        if group.state == State::Empty {
            let delay_ms = self.config.initial_rebalance_delay_ms;
            let remaining_ms = group.rebalance_timeout_ms().saturating_sub(delay_ms);
            group.initial = Some(Initial { joined: false, delay_ms, remaining_ms });
            self.timers.set(Timer::Join(group.id.clone()), self.now.mono_ms + delay_ms);
            group.enter(State::PreparingRebalance, self.now.wall_ms);
            return;
        }
        group.enter(State::PreparingRebalance, self.now.wall_ms);
        if group.all_have_joined() {
            self.complete(group);
        } else {
            self.wait_for_joins(group);
        }
    }

    fn wait_for_joins(&mut self, group: &Group) {
        self.timers.set(Timer::Join(group.id.clone()), self.now.mono_ms + group.rebalance_timeout_ms());
    }

    pub(super) fn complete_if_all_have_joined(&mut self, group: &mut Group) {
        if group.state == State::PreparingRebalance && group.initial.is_none() && group.all_have_joined() {
            self.complete(group);
        }
    }

    pub(super) fn join_time_is_up(&mut self, group: &mut Group) {
        match &mut group.initial {
            Some(initial) if initial.joined && initial.remaining_ms > 0 => {
                let delay_ms = self.config.initial_rebalance_delay_ms.min(initial.remaining_ms);
                let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms);
                *initial = Initial { joined: false, delay_ms, remaining_ms };
                self.timers.set(Timer::Join(group.id.clone()), self.now.mono_ms + delay_ms);
            }
            _ => self.complete(group),
        }
    }

    /// The next generation, of those who have joined and of static members, who may still come back.
    fn complete(&mut self, group: &mut Group) {
        self.timers.cancel(&Timer::Join(group.id.clone()));
        let absent = |(_, member): &(_, &super::Member)| member.join.is_none() && member.instance.is_none();
        let absent: Vec<MemberId> = group.members.iter().filter(absent).map(|(id, _)| id.clone()).collect();
        for id in absent {
            self.timers.cancel(&Timer::Session(group.id.clone(), id.clone()));
            group.remove(&id);
        }
        if !group.members.is_empty() && !elect(group) {
            // Only static members, none of whom has come.
            return self.wait_for_joins(group);
        }
        group.initial = None;
        group.generation += 1;
        group.decided = false;
        group.unsynced.clear();
        if group.members.is_empty() {
            (group.protocol, group.leader) = (None, None);
            group.enter(State::Empty, self.now.wall_ms);
            return self.append(vec![records::group(group, |_, _| Bytes::new())], Waiting::Nothing);
        }
        group.protocol = Some(group.chosen_protocol());
        group.enter(State::CompletingRebalance, self.now.wall_ms);
        self.timers.set(Timer::Sync(group.id.clone()), self.now.mono_ms + group.rebalance_timeout_ms());
        self.tell_generation(group);
    }

    fn tell_generation(&mut self, group: &mut Group) {
        let ids: Vec<MemberId> = group.members.keys().cloned().collect();
        for id in ids {
            let told = group.told(&id, group.is_leader(&id));
            let member = group.members.get_mut(&id).expect("listed above");
            member.is_new = false;
            if let Some(ticket) = member.join.take() {
                self.answer(ticket, Answer::Joined(told));
            }
            self.expect(group.id.clone(), id.clone(), member.session_timeout_ms);
            group.unsynced.insert(id);
        }
    }

    /// Members of a generation that has ended before it had an assignment.
    pub(super) fn withhold_assignments(&mut self, group: &mut Group, error: ErrorCode) {
        for (id, member) in &mut group.members {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.sync.take() {
                self.answer(ticket, Answer::Synced(super::sync::unsynced(error)));
                self.expect(group.id.clone(), id.clone(), member.session_timeout_ms);
            }
        }
    }

    /// Members that have joined but never asked what is theirs.
    pub(super) fn sync_time_is_up(&mut self, group: &mut Group) {
        let silent: Vec<MemberId> = group.unsynced.iter().cloned().collect();
        if silent.is_empty() {
            return;
        }
        for id in &silent {
            self.forget_member(group, id);
        }
        self.rebalance_or_complete(group);
    }

    /// The session of a member has ended. One that waits for others is alive as far as anybody can tell, unless it is new.
    pub(super) fn not_heard_of(&mut self, group: &mut Group, id: &MemberId) {
        let Some(member) = group.members.get(id) else { return };
        if member.is_new || (member.join.is_none() && member.sync.is_none()) {
            self.remove_member(group, id);
        }
    }

    pub(super) fn remove_member(&mut self, group: &mut Group, id: &MemberId) {
        self.forget_member(group, id);
        self.rebalance_or_complete(group);
    }

    /// An id that was given out is no longer waited for; whether it was.
    pub(super) fn forget_pending(&mut self, group: &mut Group, id: &MemberId) -> bool {
        self.timers.cancel(&Timer::Pending(group.id.clone(), id.clone()));
        group.pending.remove(id)
    }

    /// Takes a member out; what it waits for ends with `UNKNOWN_MEMBER_ID`, so that it joins anew if it is still there.
    pub(super) fn forget_member(&mut self, group: &mut Group, id: &MemberId) {
        self.timers.cancel(&Timer::Session(group.id.clone(), id.clone()));
        if let Some(member) = group.remove(id) {
            self.answer_parked(id, member.join, member.sync, ErrorCode::UnknownMemberId);
        }
    }
}

/// Sees to it that the leader is somebody who has joined; false if nobody has.
fn elect(group: &mut Group) -> bool {
    let joined = |id: &MemberId| group.members.get(id).is_some_and(|member| member.join.is_some());
    if group.leader.as_ref().is_some_and(joined) {
        return true;
    }
    let candidate = group.members.keys().find(|id| joined(id)).cloned();
    let found = candidate.is_some();
    if found {
        group.leader = candidate;
    }
    found
}
