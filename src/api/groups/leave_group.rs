//! LeaveGroup (13), versions 0 to 5: members go, or are removed by an administrator.

use super::{instance_id, parts};
use crate::api::Call;
use crate::group::{Answer, GroupId, Leaving, Request};
use crate::model::ErrorCode;
use crate::protocol::generated::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use crate::protocol::generated::leave_group_response::{LeaveGroupResponse, MemberResponse};
use std::rc::Rc;

/// Several members a request from this version on (KIP-345).
const SEVERAL: i16 = 3;

pub(in crate::api) async fn handle(call: Rc<Call>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let LeaveGroupRequest { group_id, member_id, members, .. } = request;
    let members = match call.version() < SEVERAL {
        true => vec![MemberIdentity { member_id, ..Default::default() }],
        false => members,
    };
    let leaving = |one: &MemberIdentity| Leaving {
        member: (&*one.member_id).into(),
        instance: instance_id(one.group_instance_id.as_ref()),
    };
    let mut errors = Vec::with_capacity(members.len());
    for part in parts(&members) {
        let request = Request::Leave { group: GroupId::from(&*group_id), members: part.iter().map(leaving).collect() };
        match call.context.shards.ask_group(&group_id, request).await {
            Ok(Answer::Left(Ok(more))) => errors.extend(more),
            Ok(Answer::Left(Err(error))) | Err(error) => return refused(error),
            Ok(other) => unreachable!("a leave was answered with {other:?}"),
        }
    }
    if call.version() < SEVERAL {
        return refused(errors.first().copied().unwrap_or(ErrorCode::None));
    }
    let told = |(one, error): (MemberIdentity, ErrorCode)| MemberResponse {
        member_id: one.member_id,
        group_instance_id: one.group_instance_id,
        error_code: error.code(),
        ..Default::default()
    };
    LeaveGroupResponse { members: members.into_iter().zip(errors).map(told).collect(), ..Default::default() }
}

fn refused(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..Default::default() }
}
