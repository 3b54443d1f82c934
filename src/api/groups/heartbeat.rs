//! Heartbeat (12), versions 0 to 4: a member is alive, and hears whether it has to join again.

use super::{caller, done};
use crate::api::Call;
use crate::group::Request;
use crate::model::ErrorCode;
use crate::protocol::generated::heartbeat_request::HeartbeatRequest;
use crate::protocol::generated::heartbeat_response::HeartbeatResponse;
use std::rc::Rc;

pub(in crate::api) async fn handle(call: Rc<Call>, request: HeartbeatRequest) -> HeartbeatResponse {
    let caller = caller(&request.group_id, &request.member_id, request.group_instance_id.as_ref(), request.generation_id);
    let error = match request.group_id.is_empty() {
        true => ErrorCode::InvalidGroupId,
        false => done(call.context.shards.ask_group(&request.group_id, Request::Heartbeat(caller)).await),
    };
    HeartbeatResponse { error_code: error.code(), ..Default::default() }
}
