//! What members say within a generation: SyncGroup, Heartbeat, LeaveGroup.

use super::classic::{Group, State};
use super::types::{Answer, Caller, Leaving, MemberId, SyncGroup, Synced, Ticket};
use super::{GroupId, Groups, Timer, Waiting, Work, records};
use crate::model::ErrorCode;
use bytes::Bytes;
use std::collections::BTreeMap;

/// An answer without an assignment.
pub(super) fn unsynced(error: ErrorCode) -> Synced {
    Synced { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
}

fn synced(group: &Group, assignment: Bytes) -> Synced {
    Synced { error: ErrorCode::None, protocol_type: group.protocol_type.clone(), protocol: group.protocol.clone(), assignment }
}

/// Whether the caller is a member of the group's present generation.
pub(super) fn check(group: &Group, caller: &Caller) -> Result<(), ErrorCode> {
    group.check_member(&caller.member, caller.instance.as_ref())?;
    if caller.generation == group.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
}

impl Work<'_> {
    pub(super) fn sync(&mut self, groups: &mut Groups, ticket: Ticket, request: SyncGroup) {
        let checked = match groups.get_mut(&request.caller.group) {
            None => Err(ErrorCode::UnknownMemberId),
            Some(group) => check_sync(group, &request).map(|()| group),
        };
        match checked {
            Ok(group) => self.sync_member(group, ticket, request),
            Err(error) => self.answer(ticket, Answer::Synced(unsynced(error))),
        }
    }

    fn sync_member(&mut self, group: &mut Group, ticket: Ticket, request: SyncGroup) {
        let id = &request.caller.member;
        group.unsynced.remove(id);
        if group.unsynced.is_empty() {
            self.timers.cancel(&Timer::Sync(group.id.clone()));
        }
        if group.state == State::Stable {
            let assignment = group.members[id].assignment.clone();
            return self.answer(ticket, Answer::Synced(synced(group, assignment)));
        }
        let member = group.members.get_mut(id).expect("it was checked");
        if let Some(earlier) = member.sync.replace(ticket) {
            self.answer(earlier, Answer::Synced(unsynced(ErrorCode::RebalanceInProgress)));
        }
        if group.is_leader(id) && !group.decided {
            group.decided = true;
            // Whom the leader does not name gets nothing, and is told so.
            let mut given: BTreeMap<MemberId, Bytes> = request.assignments.into_iter().collect();
            let assignments: BTreeMap<MemberId, Bytes> =
                group.members.keys().map(|id| (id.clone(), given.remove(id).unwrap_or_default())).collect();
            let record = records::group(group, |id, _| assignments[id].clone());
            let (group, generation) = (group.id.clone(), group.generation);
            self.append(vec![record], Waiting::Assignment { group, generation, assignments });
        }
    }

    /// The leader's decision is in the log, or could not be written: then everybody joins again.
    pub(super) fn assigned(
        &mut self,
        group: &mut Group,
        generation: i32,
        mut assignments: BTreeMap<MemberId, Bytes>,
        error: ErrorCode,
    ) {
        if group.state != State::CompletingRebalance || group.generation != generation {
            return;
        }
        if error != ErrorCode::None {
            self.withhold_assignments(group, error);
            return self.prepare(group);
        }
        group.enter(State::Stable, self.now.wall_ms);
        let ids: Vec<MemberId> = group.members.keys().cloned().collect();
        for id in ids {
            let assignment = assignments.remove(&id).unwrap_or_default();
            let told = synced(group, assignment.clone());
            let member = group.members.get_mut(&id).expect("listed above");
            member.assignment = assignment;
            if let Some(ticket) = member.sync.take() {
                self.answer(ticket, Answer::Synced(told));
                self.expect(group.id.clone(), id, member.session_timeout_ms);
            }
        }
    }

    pub(super) fn heartbeat(&mut self, groups: &Groups, caller: &Caller) -> Result<(), ErrorCode> {
        let group = groups.get(&caller.group).ok_or(ErrorCode::UnknownMemberId)?;
        check(group, caller)?;
        self.expect(group.id.clone(), caller.member.clone(), group.members[&caller.member].session_timeout_ms);
        match group.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
            State::Empty => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub(super) fn leave(&mut self, groups: &mut Groups, id: &GroupId, members: &[Leaving]) -> Result<Vec<ErrorCode>, ErrorCode> {
        let group = groups.get_mut(id).ok_or(ErrorCode::UnknownMemberId)?;
        let had = group.members.len();
        let errors = members.iter().map(|leaving| self.leave_one(group, leaving).err().unwrap_or(ErrorCode::None)).collect();
        if group.members.len() < had {
            self.rebalance_or_complete(group);
        } else {
            self.complete_if_all_have_joined(group);
        }
        Ok(errors)
    }

    fn leave_one(&mut self, group: &mut Group, leaving: &Leaving) -> Result<(), ErrorCode> {
        let member = match &leaving.instance {
            // By instance id alone: an administrator's removal.
            Some(instance) if leaving.member.is_empty() => {
                group.instances.get(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?
            }
            None if self.forget_pending(group, &leaving.member) => return Ok(()),
            instance => {
                group.check_member(&leaving.member, instance.as_ref())?;
                leaving.member.clone()
            }
        };
        self.forget_member(group, &member);
        Ok(())
    }
}

fn check_sync(group: &Group, request: &SyncGroup) -> Result<(), ErrorCode> {
    check(group, &request.caller)?;
    let differs = |said: &Option<_>, known: &Option<_>| said.is_some() && said != known;
    if differs(&request.protocol_type, &group.protocol_type) || differs(&request.protocol, &group.protocol) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    match group.state {
        State::Empty => Err(ErrorCode::UnknownMemberId),
        State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
        State::CompletingRebalance | State::Stable => Ok(()),
    }
}
