//! What is asked of group coordinators beside the load: where they are, what they have, and that members go.

use crate::clock;
use crate::kafka::{Client, PATIENCE, error_name, fail, is_retriable};
use crate::worker::Failure;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::find_coordinator_request::FindCoordinatorRequest;
use flumen::protocol::generated::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use flumen::protocol::generated::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use std::collections::BTreeMap;
use std::time::Duration;

/// Groups that one request asks for.
const AT_ONCE: usize = 500;
/// Before the same is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// The highest version that names a topic by its name.
const OFFSET_FETCH_VERSION: i16 = 9;

/// The address of each group's coordinator, in the order of the groups. The broker makes its topic of groups when it is first asked, which
/// is waited for. Needs KIP-699 (Kafka 3.0).
pub fn coordinators(client: &mut Client, groups: &[StrBytes]) -> Result<Vec<String>, Failure> {
    let mut addresses = Vec::with_capacity(groups.len());
    for some in groups.chunks(AT_ONCE) {
        let found = coordinators_of(client, some)?;
        for group in some {
            match found.get(group) {
                Some(address) => addresses.push(address.clone()),
                None => return fail(format!("FindCoordinator: no answer for {group}")),
            }
        }
    }
    Ok(addresses)
}

fn coordinators_of(client: &mut Client, groups: &[StrBytes]) -> Result<BTreeMap<StrBytes, String>, Failure> {
    let request = FindCoordinatorRequest { coordinator_keys: groups.to_vec(), ..Default::default() };
    let deadline = clock::now() + PATIENCE.as_nanos() as u64;
    loop {
        let found = client.call(&request, 5)?.coordinators;
        match found.iter().find(|one| one.error_code != 0) {
            None => return Ok(found.iter().map(|one| (one.key.clone(), format!("{}:{}", one.host, one.port))).collect()),
            Some(wrong) if is_retriable(wrong.error_code) && clock::now() < deadline => std::thread::sleep(PAUSE),
            Some(wrong) => return fail(format!("the coordinator of {}: {}", wrong.key, error_name(wrong.error_code))),
        }
    }
}

/// What a group has committed, by partition; -1 where there is nothing. A coordinator that is loading is waited for. Needs KIP-709
/// (Kafka 3.0).
pub fn committed(client: &mut Client, group: &StrBytes, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, Failure> {
    let asked =
        OffsetFetchRequestTopics { name: StrBytes::from(topic), partition_indexes: partitions.to_vec(), ..Default::default() };
    let asked = OffsetFetchRequestGroup { group_id: group.clone(), topics: Some(vec![asked]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
    let deadline = clock::now() + PATIENCE.as_nanos() as u64;
    loop {
        let answer = client.call(&request, OFFSET_FETCH_VERSION)?;
        let Some(found) = answer.groups.first() else { return fail(format!("OffsetFetch: no answer for {group}")) };
        let partitions = || found.topics.iter().flat_map(|topic| &topic.partitions);
        let errors = partitions().map(|partition| partition.error_code);
        match std::iter::once(found.error_code).chain(errors).find(|code| *code != 0) {
            None => return Ok(partitions().map(|found| (found.partition_index, found.committed_offset)).collect()),
            Some(code) if is_retriable(code) && clock::now() < deadline => std::thread::sleep(PAUSE),
            Some(code) => return fail(format!("the offsets of {group}: {}", error_name(code))),
        }
    }
}

/// Takes all these members out of their group. Needs KIP-345 (Kafka 2.4).
pub fn leave(client: &mut Client, group: &StrBytes, members: Vec<StrBytes>) -> Result<(), Failure> {
    let members = members.into_iter().map(|member_id| MemberIdentity { member_id, ..Default::default() }).collect();
    let request = LeaveGroupRequest { group_id: group.clone(), members, ..Default::default() };
    let answer = client.call(&request, 5)?;
    let errors = answer.members.iter().map(|member| member.error_code);
    match std::iter::once(answer.error_code).chain(errors).find(|code| *code != 0) {
        None => Ok(()),
        Some(code) => fail(format!("leaving {group}: {}", error_name(code))),
    }
}
