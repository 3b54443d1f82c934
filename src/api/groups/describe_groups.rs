//! DescribeGroups (15), versions 0 to 6: the state and the members of groups.

use super::give_way;
use crate::api::Call;
use crate::api::context::text;
use crate::api::metadata::NO_OPERATIONS;
use crate::group::{DescribedMember, Description, GroupId};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::describe_groups_request::DescribeGroupsRequest;
use crate::protocol::generated::describe_groups_response::{DescribeGroupsResponse, DescribedGroup, DescribedGroupMember};
use std::rc::Rc;

/// What everybody may do with a group where nothing is forbidden, as bits of Kafka's operation codes: read, delete, describe,
/// describe and alter configs.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// A group that is not there has an error from this version on (KIP-1043); before, it is only dead.
const ERROR_IF_ABSENT: i16 = 6;
/// Kafka's name of the state of a group that is not there.
const DEAD: &str = "Dead";

pub(in crate::api) async fn handle(call: Rc<Call>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let version = call.version();
    let shards = &call.context.shards;
    let mut groups = Vec::with_capacity(request.groups.len());
    for (index, group) in request.groups.into_iter().enumerate() {
        let found = shards.describe_group(&GroupId::from(&*group)).await;
        give_way(&call, index).await;
        let mut told = tell(version, group, found);
        if request.include_authorized_operations && told.error_code == ErrorCode::None.code() {
            told.authorized_operations = GROUP_OPERATIONS;
        }
        groups.push(told);
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

fn tell(version: i16, group_id: StrBytes, found: Result<Option<Description>, ErrorCode>) -> DescribedGroup {
    let nothing = DescribedGroup { group_id, authorized_operations: NO_OPERATIONS, ..Default::default() };
    let member = |member: DescribedMember| DescribedGroupMember {
        member_id: text(&member.member),
        group_instance_id: member.instance.as_deref().map(text),
        client_id: text(&member.client_id),
        client_host: text(&member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..Default::default()
    };
    match found {
        Err(error) => DescribedGroup { error_code: error.code(), ..nothing },
        Ok(None) if version >= ERROR_IF_ABSENT => DescribedGroup {
            error_code: ErrorCode::GroupIdNotFound.code(),
            error_message: Some(format!("Group {} not found.", nothing.group_id).into()),
            group_state: text(DEAD),
            ..nothing
        },
        Ok(None) => DescribedGroup { group_state: text(DEAD), ..nothing },
        Ok(Some(group)) => DescribedGroup {
            group_state: text(group.state.name()),
            protocol_type: text(&group.protocol_type),
            protocol_data: text(&group.protocol),
            members: group.members.into_iter().map(member).collect(),
            ..nothing
        },
    }
}
