//! Every version of every request about groups, with what foreign clients never say. Both brokers must answer the same.

use super::{PARTITIONS, create};
use crate::support::broker::Broker;
use crate::support::client::Client;
use flumen::model::ErrorCode;
use flumen::protocol::generated::*;
use flumen::protocol::{ApiKey, Request, StrBytes};

fn ask<R: Request>(client: &mut Client, request: &R, version: i16) -> R::Response {
    client
        .call(request, version, R::API_KEY.is_flexible(version))
        .unwrap_or_else(|error| panic!("{} {version}: {error}", R::NAME))
}

fn versions(api: ApiKey) -> std::ops::RangeInclusive<i16> {
    let served = api.served().expect("it is served");
    served.min..=served.max
}

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_code(number).unwrap_or_else(|| panic!("{number} is no error code"))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from(text)
}

/// With one coordinator for all groups, so that there is one to wait for.
fn broker() -> Broker {
    Broker::start(&[
        ("group.initial.rebalance.delay.ms", "300"),
        ("auto.create.topics.enable", "false"),
        ("offsets.topic.num.partitions", "1"),
    ])
}

/// Waits until the broker coordinates `group`, as every client does.
fn find_coordinator(client: &mut Client, port: u16, group: &str) {
    for version in versions(ApiKey::FindCoordinator) {
        let mut request = FindCoordinatorRequest::default();
        match version < 4 {
            true => request.key = text(group),
            false => request.coordinator_keys = vec![text(group)],
        }
        let mut patience = 200;
        let found = loop {
            let found = ask(client, &request, version);
            let error = if version < 4 { found.error_code } else { found.coordinators[0].error_code };
            if error == 0 {
                break found;
            }
            assert_eq!(error, ErrorCode::CoordinatorNotAvailable.code(), "version {version}");
            patience -= 1;
            assert!(patience > 0, "nobody coordinates {group}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        };
        let (node, found_port) = match version < 4 {
            true => (found.node_id, found.port),
            false => (found.coordinators[0].node_id, found.coordinators[0].port),
        };
        assert_eq!((node, found_port), (1, i32::from(port)), "version {version}");
    }
    // It may still be loading.
    let mut request = DescribeGroupsRequest::default();
    request.groups = vec![text(group)];
    let mut patience = 200;
    while ask(client, &request, 0).groups[0].error_code != 0 {
        patience -= 1;
        assert!(patience > 0, "the coordinator of {group} does not begin");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let mut protocol = join_group_request::JoinGroupRequestProtocol::default();
    protocol.name = text("range");
    protocol.metadata = bytes::Bytes::from_static(b"\0\x01\0\0\0\0\xff\xff\xff\xff");
    let mut request = JoinGroupRequest::default();
    request.group_id = text(group);
    request.member_id = text(member);
    request.session_timeout_ms = 10_000;
    request.rebalance_timeout_ms = 10_000;
    request.protocol_type = text("consumer");
    request.protocols = vec![protocol];
    request
}

/// Becomes the only member of a group: its id and generation.
fn become_a_member(client: &mut Client, group: &str, version: i16) -> (StrBytes, i32) {
    // Old versions leave the rebalance timeout to the session timeout, and the field to its default.
    let adapted = |mut request: JoinGroupRequest| {
        if version == 0 {
            request.rebalance_timeout_ms = JoinGroupRequest::default().rebalance_timeout_ms;
        }
        request
    };
    let mut joined = ask(client, &adapted(join(group, "")), version);
    if version >= 4 {
        assert_eq!(joined.error_code, ErrorCode::MemberIdRequired.code(), "version {version}");
        assert_eq!((joined.generation_id, &*joined.leader, joined.members.len()), (-1, "", 0), "version {version}");
        joined = ask(client, &adapted(join(group, &joined.member_id)), version);
    }
    assert_eq!(joined.error_code, 0, "version {version}");
    assert_eq!(joined.leader, joined.member_id, "version {version}");
    assert_eq!(joined.protocol_name.as_deref(), Some("range"), "version {version}");
    assert_eq!(joined.members.len(), 1, "version {version}");
    assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"), "version {version}");
    (joined.member_id, joined.generation_id)
}

fn sync(group: &str, member: &StrBytes, generation: i32, version: i16) -> SyncGroupRequest {
    let mut assignment = sync_group_request::SyncGroupRequestAssignment::default();
    assignment.member_id = member.clone();
    assignment.assignment = bytes::Bytes::from_static(b"all of it");
    let mut request = SyncGroupRequest::default();
    request.group_id = text(group);
    request.generation_id = generation;
    request.member_id = member.clone();
    if version >= 5 {
        request.protocol_type = Some(text("consumer"));
        request.protocol_name = Some(text("range"));
    }
    request.assignments = vec![assignment];
    request
}

fn heartbeat(group: &str, member: &str, generation: i32) -> HeartbeatRequest {
    let mut request = HeartbeatRequest::default();
    request.group_id = text(group);
    request.member_id = text(member);
    request.generation_id = generation;
    request
}

fn leave(group: &str, member: &StrBytes, version: i16) -> LeaveGroupRequest {
    let mut request = LeaveGroupRequest::default();
    request.group_id = text(group);
    match version < 3 {
        true => request.member_id = member.clone(),
        false => {
            let mut identity = leave_group_request::MemberIdentity::default();
            identity.member_id = member.clone();
            request.members = vec![identity];
        }
    }
    request
}

#[test]
fn a_member_lives_its_life_in_every_version() {
    let broker = broker();
    let mut client = Client::connect(broker.address()).unwrap();
    find_coordinator(&mut client, broker.port, "life");
    for version in versions(ApiKey::JoinGroup) {
        let group = format!("life-{version}");
        let (member, generation) = become_a_member(&mut client, &group, version);
        assert_eq!(generation, 1);
        for version in versions(ApiKey::SyncGroup) {
            let synced = ask(&mut client, &sync(&group, &member, generation, version), version);
            assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all of it"[..]), "sync {version}");
            let wrong = ask(&mut client, &sync(&group, &member, generation + 1, version), version);
            assert_eq!(wrong.error_code, ErrorCode::IllegalGeneration.code(), "sync {version}");
            let stranger = ask(&mut client, &sync(&group, &text("stranger"), generation, version), version);
            assert_eq!(stranger.error_code, ErrorCode::UnknownMemberId.code(), "sync {version}");
        }
        for version in versions(ApiKey::Heartbeat) {
            let mut error = |group: &str, member: &str, generation| {
                code(ask(&mut client, &heartbeat(group, member, generation), version).error_code)
            };
            assert_eq!(error(&group, &member, generation), ErrorCode::None, "heartbeat {version}");
            assert_eq!(error(&group, &member, 0), ErrorCode::IllegalGeneration, "heartbeat {version}");
            assert_eq!(error(&group, "stranger", generation), ErrorCode::UnknownMemberId, "heartbeat {version}");
            assert_eq!(error("nobody", &member, generation), ErrorCode::UnknownMemberId, "heartbeat {version}");
            assert_eq!(error("", &member, generation), ErrorCode::InvalidGroupId, "heartbeat {version}");
        }
        let last = *versions(ApiKey::LeaveGroup).end();
        let left = ask(&mut client, &leave(&group, &member, version.min(last)), version.min(last));
        let of_member = if version < 3 { left.error_code } else { left.members[0].error_code };
        assert_eq!((left.error_code, of_member), (0, 0), "leave {version}");
        let again = ask(&mut client, &leave(&group, &member, version.min(last)), version.min(last));
        let of_member = if version < 3 { again.error_code } else { again.members[0].error_code };
        assert_eq!(of_member, ErrorCode::UnknownMemberId.code(), "leave {version}");
    }
}

#[test]
fn a_join_that_cannot_be_is_refused() {
    let broker = broker();
    let mut client = Client::connect(broker.address()).unwrap();
    find_coordinator(&mut client, broker.port, "refused");
    let version = *versions(ApiKey::JoinGroup).end();
    let mut error = |request: JoinGroupRequest| code(ask(&mut client, &request, version).error_code);
    assert_eq!(error(join("", "")), ErrorCode::InvalidGroupId);
    assert_eq!(error(join("refused", "stranger")), ErrorCode::UnknownMemberId);
    let mut short = join("refused", "");
    short.session_timeout_ms = 100;
    assert_eq!(error(short), ErrorCode::InvalidSessionTimeout);
    let mut speechless = join("refused", "");
    speechless.protocols.clear();
    assert_eq!(error(speechless), ErrorCode::InconsistentGroupProtocol);
    let mut typeless = join("refused", "");
    typeless.protocol_type = text("");
    assert_eq!(error(typeless), ErrorCode::InconsistentGroupProtocol);
}

fn commit(
    version: i16,
    topic: &str,
    topic_id: flumen::model::TopicId,
    partitions: &[i32],
    metadata: &str,
) -> OffsetCommitRequest {
    let partition = |&index: &i32| {
        let mut partition = offset_commit_request::OffsetCommitRequestPartition::default();
        partition.partition_index = index;
        partition.committed_offset = 7 + i64::from(index);
        partition.committed_metadata = Some(text(metadata));
        partition
    };
    let mut one = offset_commit_request::OffsetCommitRequestTopic::default();
    match version < 10 {
        true => one.name = text(topic),
        false => one.topic_id = topic_id,
    }
    one.partitions = partitions.iter().map(partition).collect();
    let mut request = OffsetCommitRequest::default();
    request.group_id = text("offsets");
    request.topics = vec![one];
    request
}

/// What a group has committed for some partitions, or for all: error of the group, and topic, partition, offset, metadata, error.
type FetchedOffsets = (i16, Vec<(String, i32, i64, String, i16)>);

fn fetch(
    client: &mut Client,
    version: i16,
    group: &str,
    asked: Option<(&str, flumen::model::TopicId, &[i32])>,
) -> FetchedOffsets {
    let mut request = OffsetFetchRequest::default();
    if version < 8 {
        request.group_id = text(group);
        request.topics = asked.map(|(name, _, partitions)| {
            let mut topic = offset_fetch_request::OffsetFetchRequestTopic::default();
            topic.name = text(name);
            topic.partition_indexes = partitions.to_vec();
            vec![topic]
        });
        let found = ask(client, &request, version);
        let rows = found.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|one| {
                let metadata = one.metadata.as_deref().unwrap_or("null").to_owned();
                (topic.name.to_string(), one.partition_index, one.committed_offset, metadata, one.error_code)
            })
        });
        return (found.error_code, rows.collect());
    }
    let mut one = offset_fetch_request::OffsetFetchRequestGroup::default();
    one.group_id = text(group);
    one.topics = asked.map(|(name, id, partitions)| {
        let mut topic = offset_fetch_request::OffsetFetchRequestTopics::default();
        match version < 10 {
            true => topic.name = text(name),
            false => topic.topic_id = id,
        }
        topic.partition_indexes = partitions.to_vec();
        vec![topic]
    });
    request.groups = vec![one];
    let found = ask(client, &request, version);
    let group = &found.groups[0];
    let rows = group.topics.iter().flat_map(|topic| {
        let name = if version < 10 { topic.name.to_string() } else { format!("{:?}", topic.topic_id) };
        topic.partitions.iter().map(move |one| {
            let metadata = one.metadata.as_deref().unwrap_or("null").to_owned();
            (name.clone(), one.partition_index, one.committed_offset, metadata, one.error_code)
        })
    });
    (group.error_code, rows.collect())
}

#[test]
fn offsets_are_committed_and_fetched_in_every_version() {
    let broker = broker();
    create(&broker, "committed", PARTITIONS);
    let mut client = Client::connect(broker.address()).unwrap();
    find_coordinator(&mut client, broker.port, "offsets");
    let topic_id = client.topic_id("committed").unwrap().expect("it was created");
    let unknown_id = flumen::model::TopicId([7; 16]);
    for version in versions(ApiKey::OffsetCommit) {
        let metadata = format!("by version {version}");
        let mut errors = |request: OffsetCommitRequest| {
            let answer = ask(&mut client, &request, version);
            answer.topics.iter().flat_map(|t| t.partitions.iter().map(|p| (p.partition_index, p.error_code))).collect::<Vec<_>>()
        };
        assert_eq!(errors(commit(version, "committed", topic_id, &[0, 3], &metadata)), [(0, 0), (3, 0)], "version {version}");
        let missing = if version < 10 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId }.code();
        assert_eq!(errors(commit(version, "no-such", unknown_id, &[0], "")), [(0, missing)], "version {version}");
        let beyond = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(
            errors(commit(version, "committed", topic_id, &[0, 99], &metadata)),
            [(99, beyond), (0, 0)],
            "version {version}"
        );
        let large = ErrorCode::OffsetMetadataTooLarge.code();
        assert_eq!(errors(commit(version, "committed", topic_id, &[1], &"m".repeat(5000))), [(1, large)], "version {version}");
        let mut member = commit(version, "committed", topic_id, &[0], "");
        member.generation_id_or_member_epoch = 3;
        member.member_id = text("stranger");
        assert_eq!(errors(member), [(0, ErrorCode::UnknownMemberId.code())], "version {version}");
        let mut elsewhere = commit(version, "committed", topic_id, &[0], "");
        elsewhere.group_id = text("never-seen");
        elsewhere.generation_id_or_member_epoch = 3;
        elsewhere.member_id = text("stranger");
        let absent = if version < 9 { ErrorCode::IllegalGeneration } else { ErrorCode::GroupIdNotFound }.code();
        assert_eq!(errors(elsewhere), [(0, absent)], "version {version}");
        for version in versions(ApiKey::OffsetFetch) {
            let name = if version < 10 { "committed".to_owned() } else { format!("{topic_id:?}") };
            let row = |partition: i32, offset: i64, metadata: &str| (name.clone(), partition, offset, metadata.to_owned(), 0);
            let asked: &[i32] = &[3, 5, 0];
            let found = fetch(&mut client, version, "offsets", Some(("committed", topic_id, asked)));
            assert_eq!(found, (0, vec![row(3, 10, &metadata), row(5, -1, ""), row(0, 7, &metadata)]), "fetch {version}");
            let found = fetch(&mut client, version, "never-seen", Some(("committed", topic_id, asked)));
            assert_eq!(found, (0, asked.iter().map(|&partition| row(partition, -1, "")).collect()), "fetch {version}");
            if version >= 2 {
                let (error, mut rows) = fetch(&mut client, version, "offsets", None);
                rows.sort();
                assert_eq!((error, rows), (0, vec![row(0, 7, &metadata), row(3, 10, &metadata)]), "fetch {version}");
                assert_eq!(fetch(&mut client, version, "never-seen", None), (0, vec![]), "fetch {version}");
            }
            if version >= 10 {
                let (error, rows) = fetch(&mut client, version, "offsets", Some(("", unknown_id, &[0])));
                assert_eq!((error, rows[0].4), (0, ErrorCode::UnknownTopicId.code()));
            }
        }
    }
}

#[test]
fn groups_are_listed_described_and_deleted_in_every_version() {
    let broker = broker();
    let mut client = Client::connect(broker.address()).unwrap();
    find_coordinator(&mut client, broker.port, "seen");
    let (member, generation) = become_a_member(&mut client, "seen", 9);
    assert_eq!(ask(&mut client, &sync("seen", &member, generation, 5), 5).error_code, 0);
    for version in versions(ApiKey::ListGroups) {
        let listed = ask(&mut client, &ListGroupsRequest::default(), version);
        let state = if version < 4 { "" } else { "Stable" };
        let kind = if version < 5 { "" } else { "classic" };
        let rows: Vec<_> =
            listed.groups.iter().map(|g| (&*g.group_id, &*g.protocol_type, &*g.group_state, &*g.group_type)).collect();
        assert_eq!((listed.error_code, rows), (0, vec![("seen", "consumer", state, kind)]), "version {version}");
    }
    for version in versions(ApiKey::DescribeGroups) {
        let mut request = DescribeGroupsRequest::default();
        request.groups = vec![text("seen"), text("absent")];
        request.include_authorized_operations = version >= 3;
        let described = ask(&mut client, &request, version);
        let (seen, absent) = (&described.groups[0], &described.groups[1]);
        assert_eq!((seen.error_code, &*seen.group_state, &*seen.protocol_data), (0, "Stable", "range"), "version {version}");
        let one = &seen.members[0];
        assert_eq!((&*one.member_id, &*one.client_id, &*one.client_host), (&*member, "tests", "/127.0.0.1"), "version {version}");
        assert_eq!(&one.member_assignment[..], b"all of it", "version {version}");
        let operations = if version < 3 { i32::MIN } else { 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 };
        assert_eq!(seen.authorized_operations, operations, "version {version}");
        let error = if version < 6 { ErrorCode::None } else { ErrorCode::GroupIdNotFound };
        assert_eq!((absent.error_code, &*absent.group_state), (error.code(), "Dead"), "version {version}");
        assert_eq!(absent.error_message.as_deref(), (version >= 6).then_some("Group absent not found."), "version {version}");
    }
    for version in versions(ApiKey::DeleteGroups) {
        let mut request = DeleteGroupsRequest::default();
        request.groups_names = vec![text("seen"), text("absent")];
        let deleted = ask(&mut client, &request, version);
        let rows: Vec<_> = deleted.results.iter().map(|one| (&*one.group_id, one.error_code)).collect();
        let mut rows = rows;
        rows.sort();
        let expected = [("absent", ErrorCode::GroupIdNotFound.code()), ("seen", ErrorCode::NonEmptyGroup.code())];
        assert_eq!(rows, expected, "version {version}");
    }
}
