//! ListGroups (16), versions 0 to 5: the groups that this broker coordinates.

use crate::api::Call;
use crate::api::context::text;
use crate::protocol::StrBytes;
use crate::protocol::generated::list_groups_request::ListGroupsRequest;
use crate::protocol::generated::list_groups_response::{ListGroupsResponse, ListedGroup};
use crate::shard;
use std::rc::Rc;

/// The type of all groups that are served.
const CLASSIC: &str = "classic";
/// Groups that are told in one go.
const MANY: usize = 1000;

pub(in crate::api) async fn handle(call: Rc<Call>, request: ListGroupsRequest) -> ListGroupsResponse {
    match call.context.shards.list_groups().await {
        Ok(groups) => call.compute(groups.len() > MANY, move || tell(&request, &groups)).await,
        Err(error) => ListGroupsResponse { error_code: error.code(), ..Default::default() },
    }
}

/// Those of the states and types that are asked for, whatever their case; of all if none is.
fn tell(request: &ListGroupsRequest, groups: &[shard::ListedGroup]) -> ListGroupsResponse {
    let asked = |filter: &[StrBytes], name: &str| filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(name));
    let groups = match asked(&request.types_filter, CLASSIC) {
        true => groups,
        false => &[],
    };
    let told = |group: &shard::ListedGroup| ListedGroup {
        group_id: text(&group.group),
        protocol_type: text(&group.protocol_type),
        group_state: text(group.state.name()),
        group_type: text(CLASSIC),
        ..Default::default()
    };
    let groups = groups.iter().filter(|group| asked(&request.states_filter, group.state.name())).map(told).collect();
    ListGroupsResponse { groups, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::State;
    use std::sync::Arc;

    #[test]
    fn filters_know_no_case_and_an_unknown_type_is_nobodys() {
        let group = |name: &str, state| shard::ListedGroup { group: name.into(), state, protocol_type: Arc::from("consumer") };
        let groups = [group("a", State::Stable), group("b", State::Empty)];
        let told = |states: &[&str], types: &[&str]| {
            let texts = |names: &[&str]| names.iter().map(|name| text(name)).collect();
            let request = ListGroupsRequest { states_filter: texts(states), types_filter: texts(types), ..Default::default() };
            tell(&request, &groups).groups.iter().map(|group| group.group_id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(told(&[], &[]), ["a", "b"]);
        assert_eq!(told(&["stable"], &[]), ["a"]);
        assert_eq!(told(&["EMPTY", "Dead"], &["Classic", "consumer"]), ["b"]);
        assert_eq!(told(&[], &["consumer"]), [""; 0]);
    }
}
