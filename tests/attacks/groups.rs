//! Requests to the coordinator of groups that name too much.

use super::requests::{MANY, NONE, attack, most, name};
use flumen::protocol::Request;
use flumen::protocol::generated::leave_group_request::MemberIdentity;
use flumen::protocol::generated::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use flumen::protocol::generated::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use flumen::protocol::generated::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use flumen::protocol::generated::{
    DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};

/// Each of them is asked for by itself, which takes 50 microseconds when the broker is not optimised.
const MANY_GROUPS: usize = 200_000;

const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_COMMIT_OFFSET_SIZE: i16 = 28;
const GROUP_ID_NOT_FOUND: i16 = 69;

#[test]
fn many_groups_described_and_deleted() {
    let request = DescribeGroupsRequest { groups: (0..MANY_GROUPS).map(name).collect(), ..Default::default() };
    let errors = |answer: <DescribeGroupsRequest as Request>::Response| answer.groups.iter().map(|one| one.error_code).collect();
    attack(6, request, (MANY_GROUPS, GROUP_ID_NOT_FOUND), errors);

    let request = DeleteGroupsRequest { groups_names: (0..MANY_GROUPS).map(name).collect(), ..Default::default() };
    let errors = |answer: <DeleteGroupsRequest as Request>::Response| answer.results.iter().map(|one| one.error_code).collect();
    attack(2, request, (MANY_GROUPS, GROUP_ID_NOT_FOUND), errors);
}

#[test]
fn a_million_members_that_leave() {
    let member = |number| MemberIdentity { member_id: name(number), ..Default::default() };
    let members: Vec<_> = (0..most::<MemberIdentity>()).map(member).collect();
    let expected = (members.len(), UNKNOWN_MEMBER_ID);
    let request = LeaveGroupRequest { group_id: "simple".into(), members, ..Default::default() };
    attack(5, request, expected, |answer| answer.members.iter().map(|one| one.error_code).collect());
}

#[test]
fn a_million_offsets_committed_fetched_and_deleted() {
    let partition =
        OffsetCommitRequestPartition { partition_index: 1, committed_metadata: Some("".into()), ..Default::default() };
    let partitions = vec![partition; most::<OffsetCommitRequestPartition>()];
    let expected = (partitions.len(), INVALID_COMMIT_OFFSET_SIZE);
    let topics = vec![OffsetCommitRequestTopic { name: "few".into(), partitions, ..Default::default() }];
    let request =
        OffsetCommitRequest { group_id: "simple".into(), generation_id_or_member_epoch: -1, topics, ..Default::default() };
    attack(9, request, expected, |answer| answer.topics[0].partitions.iter().map(|one| one.error_code).collect());

    let topics = vec![OffsetFetchRequestTopics { name: "few".into(), partition_indexes: vec![0; MANY], ..Default::default() }];
    let group =
        OffsetFetchRequestGroup { group_id: "simple".into(), topics: Some(topics), member_epoch: -1, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let errors = |answer: <OffsetFetchRequest as Request>::Response| {
        answer.groups[0].topics[0].partitions.iter().map(|one| one.error_code).collect()
    };
    attack(9, request, (MANY, NONE), errors);

    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }; MANY];
    let topics = vec![OffsetDeleteRequestTopic { name: "few".into(), partitions }];
    let request = OffsetDeleteRequest { group_id: "simple".into(), topics };
    let errors = |answer: <OffsetDeleteRequest as Request>::Response| {
        answer.topics[0].partitions.iter().map(|one| one.error_code).collect()
    };
    attack(0, request, (MANY, NONE), errors);
}
