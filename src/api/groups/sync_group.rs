//! SyncGroup (14), versions 0 to 5: the leader says what is whose, and everybody hears what is his.

use super::caller;
use crate::api::Call;
use crate::api::context::text;
use crate::group::{Answer, Request, SyncGroup, Synced};
use crate::model::ErrorCode;
use crate::protocol::generated::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::protocol::generated::sync_group_response::SyncGroupResponse;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// Members that an assignment may name.
const MOST_MEMBERS: usize = 20_000;
/// The protocol must be named from this version on (KIP-559).
const NAMES_PROTOCOL: i16 = 5;

pub(in crate::api) async fn handle(call: Rc<Call>, request: SyncGroupRequest) -> SyncGroupResponse {
    if call.version() >= NAMES_PROTOCOL && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    if request.assignments.len() > MOST_MEMBERS {
        return refused(ErrorCode::InvalidRequest);
    }
    let group = request.group_id.clone();
    let sync = sync(request);
    call.rest();
    match call.context.shards.ask_group(&group, Request::Sync(sync)).await {
        Ok(Answer::Synced(synced)) => respond(synced),
        Ok(other) => unreachable!("a sync was answered with {other:?}"),
        Err(error) => refused(error),
    }
}

fn sync(request: SyncGroupRequest) -> SyncGroup {
    let instance = request.group_instance_id.as_ref();
    let owned = |name: &crate::protocol::StrBytes| Arc::<str>::from(&**name);
    let assignment = |one: &SyncGroupRequestAssignment| ((&*one.member_id).into(), Bytes::copy_from_slice(&one.assignment));
    SyncGroup {
        caller: caller(&request.group_id, &request.member_id, instance, request.generation_id),
        protocol_type: request.protocol_type.as_ref().map(owned),
        protocol: request.protocol_name.as_ref().map(owned),
        assignments: request.assignments.iter().map(assignment).collect(),
    }
}

fn respond(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: synced.error.code(),
        protocol_type: synced.protocol_type.as_deref().map(text),
        protocol_name: synced.protocol.as_deref().map(text),
        assignment: synced.assignment,
        ..Default::default()
    }
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..Default::default() }
}
