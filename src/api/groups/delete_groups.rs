//! DeleteGroups (42), versions 0 to 2: groups without members go, with their offsets.

use super::done;
use crate::api::Call;
use crate::group::{GroupId, Request};
use crate::protocol::generated::delete_groups_request::DeleteGroupsRequest;
use crate::protocol::generated::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use std::collections::BTreeSet;
use std::rc::Rc;

pub(in crate::api) async fn handle(call: Rc<Call>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let shards = &call.context.shards;
    let ask = |group: &crate::protocol::StrBytes| shards.ask_group(group, Request::DeleteGroup(GroupId::from(&**group)));
    // Each group once, as in Kafka.
    let mut seen = BTreeSet::new();
    let groups: Vec<_> = request.groups_names.into_iter().filter(|group| seen.insert(group.clone())).collect();
    let asked: Vec<_> = groups.iter().map(ask).collect();
    let mut results = Vec::with_capacity(asked.len());
    for (group_id, answer) in groups.into_iter().zip(asked) {
        results.push(DeletableGroupResult { group_id, error_code: done(answer.await).code(), ..Default::default() });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
