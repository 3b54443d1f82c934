//! JoinGroup (11), versions 0 to 9: becoming a member, or staying one in the next generation.

use super::{MANY, client_host, instance_id};
use crate::api::Call;
use crate::api::context::text;
use crate::group::{Answer, JoinGroup, Joined, JoinedMember, MemberId, Protocol, Request};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::join_group_request::JoinGroupRequest;
use crate::protocol::generated::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// A dynamic member gets its id first from this version on (KIP-394).
const MEMBER_ID_FIRST: i16 = 4;
/// The protocol's name may be null from this version on.
const NULLABLE_PROTOCOL: i16 = 7;
/// A leader can be told not to assign from this version on (KIP-814).
const SKIP_ASSIGNMENT: i16 = 9;

pub(in crate::api) async fn handle(call: Rc<Call>, request: JoinGroupRequest) -> JoinGroupResponse {
    let (group, member) = (request.group_id.clone(), request.member_id.clone());
    if request.protocols.len() > MANY {
        // Whom all support is looked for in one go.
        return respond(call.version(), Joined::refused(MemberId::from(&*member), ErrorCode::InconsistentGroupProtocol));
    }
    let join = join(&call, request);
    call.rest();
    let joined = match call.context.shards.ask_group(&group, Request::Join(join)).await {
        Ok(Answer::Joined(joined)) => joined,
        Ok(other) => unreachable!("a join was answered with {other:?}"),
        Err(error) => Joined::refused(MemberId::from(&*member), error),
    };
    respond(call.version(), joined)
}

/// What the member says, in memory of its own: it is kept for as long as the member is one.
fn join(call: &Call, request: JoinGroupRequest) -> JoinGroup {
    let version = call.version();
    let protocol = |protocol: &crate::protocol::generated::join_group_request::JoinGroupRequestProtocol| Protocol {
        name: Arc::from(&*protocol.name),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    JoinGroup {
        group: (&*request.group_id).into(),
        member: (&*request.member_id).into(),
        instance: instance_id(request.group_instance_id.as_ref()),
        client_id: Arc::from(call.request.client_id.as_deref().unwrap_or_default()),
        client_host: client_host(call.connection.peer),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        protocol_type: Arc::from(&*request.protocol_type),
        protocols: request.protocols.iter().map(protocol).collect(),
        needs_member_id: version >= MEMBER_ID_FIRST,
        can_skip_assignment: version >= SKIP_ASSIGNMENT,
        unique: u128::from_be_bytes(call.context.io.random()),
    }
}

fn respond(version: i16, joined: Joined) -> JoinGroupResponse {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: text(&member.member),
        group_instance_id: member.instance.as_deref().map(text),
        metadata: member.metadata,
        ..Default::default()
    };
    let protocol_name = joined.protocol.as_deref().map(text);
    JoinGroupResponse {
        error_code: joined.error.code(),
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_deref().map(text),
        protocol_name: if version < NULLABLE_PROTOCOL { protocol_name.or(Some(StrBytes::EMPTY)) } else { protocol_name },
        leader: text(&joined.leader),
        skip_assignment: joined.skip_assignment,
        member_id: text(&joined.member),
        members: joined.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}
