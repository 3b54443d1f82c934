//! DeleteGroups (42), versions 0 to 2: groups without members go, with their offsets.

use super::{done, give_way};
use crate::api::Call;
use crate::group::{GroupId, Request};
use crate::protocol::generated::delete_groups_request::DeleteGroupsRequest;
use crate::protocol::generated::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use std::collections::BTreeSet;
use std::rc::Rc;

pub(in crate::api) async fn handle(call: Rc<Call>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let shards = &call.context.shards;
    // Each group once, as in Kafka.
    let mut seen = BTreeSet::new();
    let names = request.groups_names;
    let unique = move || names.into_iter().filter(|group| seen.insert(group.clone())).collect::<Vec<_>>();
    let groups = call.compute(false, unique).await;
    let mut results = Vec::with_capacity(groups.len());
    for (index, group_id) in groups.into_iter().enumerate() {
        let answer = shards.ask_group(&group_id, Request::DeleteGroup(GroupId::from(&*group_id))).await;
        results.push(DeletableGroupResult { group_id, error_code: done(answer).code(), ..Default::default() });
        give_way(&call, index).await;
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
