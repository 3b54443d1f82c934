//! Partitions of a cluster: ISR changes, directories, reassignments and elections over several brokers, and what holds whatever happens.

use super::broker_tests::{beat, brokers, dir, led, registration};
use super::tests::{SESSION_MS, World, assigned, config, topic};
use super::*;
use crate::model::PartitionIndex;
use crate::protocol::generated::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use crate::protocol::generated::alter_partition_request::{BrokerState, PartitionData, TopicData};
use crate::protocol::generated::create_topics_request::CreatableTopic;
use crate::protocol::generated::elect_leaders_request::TopicPartitions;
use crate::protocol::generated::{
    ClearElrRecord, ConfigRecord, PartitionChangeRecord, alter_partition_response, assign_replicas_to_dirs_request,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const TOPIC: &str = "t";

/// Replicas of many partitions.
const ON_BOTH: &[i32] = &[1, 2];

/// A cluster of `count` brokers with the partition `t-0` on `replicas`.
fn cluster(count: i32, replicas: &[i32]) -> World {
    let mut world = World::cluster(count);
    assert_eq!(world.code(assigned(TOPIC, &[(0, replicas)])), 0);
    world
}

fn epoch_of(world: &World, id: i32) -> i64 {
    world.image().broker(BrokerId(id)).map_or(-1, |broker| broker.epoch)
}

/// What the leader of `t-0` would propose for the ISR, in version 3.
fn proposal(world: &World, isr: &[i32]) -> PartitionData {
    let partition = world.first(TOPIC);
    let member = |id: &i32| BrokerState { broker_id: *id, broker_epoch: epoch_of(world, *id) };
    PartitionData {
        partition_index: 0,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        new_isr_with_epochs: isr.iter().map(member).collect(),
        ..PartitionData::default()
    }
}

fn alter_request(world: &World, sender: i32, proposals: Vec<PartitionData>) -> AlterPartitionRequest {
    let topics = vec![TopicData { topic_id: world.topic_id(TOPIC), partitions: proposals }];
    AlterPartitionRequest { broker_id: sender, broker_epoch: epoch_of(world, sender), topics }
}

/// What became of the proposals.
fn alter(world: &mut World, request: AlterPartitionRequest) -> Vec<alter_partition_response::PartitionData> {
    let Reply::AlterPartition(response) = world.call(Command::AlterPartition(request)) else { panic!() };
    assert_eq!(response.error_code, 0);
    response.topics.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn propose(world: &mut World, sender: i32, proposal: PartitionData) -> i16 {
    let request = alter_request(world, sender, vec![proposal]);
    alter(world, request)[0].error_code
}

/// The records of the last commit.
fn last(world: &World) -> Vec<MetadataRecord> {
    world.log.last().unwrap().clone()
}

#[test]
fn the_leader_says_who_is_in_sync() {
    let mut world = cluster(3, &[1, 2, 3]);
    let request = alter_request(&world, 1, vec![proposal(&world, &[1, 3])]);
    let told = alter_partition_response::PartitionData {
        partition_index: 0,
        error_code: 0,
        leader_id: 1,
        leader_epoch: 0,
        isr: vec![1, 3],
        leader_recovery_state: 0,
        partition_epoch: 1,
    };
    assert_eq!(alter(&mut world, request), [told.clone()]);
    let change = PartitionChangeRecord { isr: Some(vec![1, 3]), ..world.change_of(TOPIC) };
    assert_eq!(last(&world), vec![MetadataRecord::from(change)]);
    // In version 2 without broker epochs; and the same again changes nothing.
    let by_number = PartitionData { new_isr: vec![1, 3], new_isr_with_epochs: vec![], ..proposal(&world, &[]) };
    let request = alter_request(&world, 1, vec![by_number]);
    let length = world.log.len();
    assert_eq!(alter(&mut world, request), [told]);
    assert_eq!(world.log.len(), length);
    let unchecked = PartitionData {
        new_isr_with_epochs: [1, 2, 3].map(|broker_id| BrokerState { broker_id, broker_epoch: -1 }).to_vec(),
        ..proposal(&world, &[])
    };
    let request = alter_request(&world, 1, vec![unchecked, proposal(&world, &[1])]);
    let codes: Vec<i16> = alter(&mut world, request).iter().map(|told| told.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::InvalidUpdateVersion.code()], "the second speaks of what the first has changed");
    assert_eq!(led(&world.first(TOPIC)), (vec![1, 2, 3], 1));
}

#[test]
fn what_the_leader_says_is_checked_in_order() {
    let mut world = cluster(4, &[1, 2, 3]);
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 3) };
    world.beat(fence);
    let elected = PartitionChangeRecord { leader: 1, ..world.change_of(TOPIC) };
    world.commit(vec![elected.into()]);
    // Partition epoch 2, leader epoch 1, ISR 1 and 2.
    let good = proposal(&world, &[1, 2]);
    let with = |change: &dyn Fn(&mut PartitionData)| {
        let mut proposal = good.clone();
        change(&mut proposal);
        proposal
    };
    let isr = |ids: &[i32]| proposal(&world, ids).new_isr_with_epochs;
    let cases = [
        (1, with(&|p| p.partition_index = 1), ErrorCode::UnknownTopicOrPartition),
        (1, with(&|p| (p.leader_epoch, p.partition_epoch) = (2, 0)), ErrorCode::NotController),
        (1, with(&|p| (p.leader_epoch, p.partition_epoch) = (0, 3)), ErrorCode::NotController),
        (2, with(&|p| p.leader_epoch = 0), ErrorCode::FencedLeaderEpoch),
        (2, with(&|p| p.partition_epoch = 1), ErrorCode::InvalidRequest),
        (1, with(&|p| p.partition_epoch = 1), ErrorCode::InvalidUpdateVersion),
        (1, with(&|p| p.new_isr_with_epochs = vec![]), ErrorCode::InvalidRequest),
        (1, with(&|p| p.new_isr_with_epochs = isr(&[2])), ErrorCode::InvalidRequest),
        (1, with(&|p| p.new_isr_with_epochs = isr(&[1, 4])), ErrorCode::InvalidRequest),
        (1, with(&|p| p.new_isr_with_epochs = isr(&[1, 2, 2])), ErrorCode::InvalidRequest),
        (1, with(&|p| p.leader_recovery_state = 1), ErrorCode::InvalidRequest),
        (1, with(&|p| p.leader_recovery_state = 7), ErrorCode::InvalidRequest),
        (1, with(&|p| p.new_isr_with_epochs = isr(&[1, 2, 3])), ErrorCode::IneligibleReplica),
        (1, with(&|p| p.new_isr_with_epochs[1].broker_epoch += 1), ErrorCode::IneligibleReplica),
        (1, good.clone(), ErrorCode::None),
    ];
    for (sender, refused, code) in cases {
        let shown = format!("{refused:?}");
        assert_eq!(propose(&mut world, sender, refused), code.code(), "{shown}");
    }
    let mut unknown = alter_request(&world, 1, vec![good]);
    unknown.topics[0].topic_id = TopicId([77; 16]);
    assert_eq!(alter(&mut world, unknown.clone())[0].error_code, ErrorCode::UnknownTopicId.code());
    unknown.broker_epoch += 1;
    let Reply::AlterPartition(response) = world.call(Command::AlterPartition(unknown)) else { panic!() };
    assert_eq!((response.error_code, response.topics.len()), (ErrorCode::StaleBrokerEpoch.code(), 0));
}

#[test]
fn a_leader_recovers_alone() {
    let mut world = cluster(2, &[1, 2]);
    let recovering = PartitionChangeRecord { isr: Some(vec![1]), leader: 1, leader_recovery_state: 1, ..world.change_of(TOPIC) };
    world.commit(vec![recovering.into()]);
    let with = |world: &World, isr: &[i32], state: i8| PartitionData { leader_recovery_state: state, ..proposal(world, isr) };
    let (alone, both) = (with(&world, &[1], 1), with(&world, &[1, 2], 1));
    assert_eq!(propose(&mut world, 1, alone), 0);
    assert_eq!(propose(&mut world, 1, both), ErrorCode::InvalidRequest.code(), "not while it may lack records");
    let recovered = with(&world, &[1, 2], 0);
    assert_eq!(propose(&mut world, 1, recovered), 0);
    let change = PartitionChangeRecord { isr: Some(vec![1, 2]), leader_recovery_state: 0, ..world.change_of(TOPIC) };
    assert_eq!(last(&world), vec![MetadataRecord::from(change)]);
}

fn reassign(world: &mut World, replicas: Option<&[i32]>) -> i16 {
    let wanted = ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: TOPIC.into(), partitions: vec![wanted] }],
        allow_replication_factor_change: true,
        timeout_ms: 1,
    };
    let Reply::AlterPartitionReassignments(response) = world.call(Command::AlterPartitionReassignments(request)) else {
        panic!()
    };
    response.responses[0].partitions[0].error_code
}

#[test]
fn replicas_move_and_the_leader_that_goes_is_told_to_look_for_the_new_one() {
    let mut world = cluster(4, &[1, 2]);
    assert_eq!(reassign(&mut world, Some(&[3, 4])), 0);
    let begun = PartitionChangeRecord {
        replicas: Some(vec![3, 4, 1, 2]),
        adding_replicas: Some(vec![3, 4]),
        removing_replicas: Some(vec![1, 2]),
        directories: Some([3, 4, 1, 2].map(|id| dir(id, 1)).to_vec()),
        ..world.change_of(TOPIC)
    };
    assert_eq!(last(&world), vec![MetadataRecord::from(begun)]);
    let half = proposal(&world, &[1, 2, 3]);
    assert_eq!(propose(&mut world, 1, half), 0);
    assert_eq!(led(&world.first(TOPIC)), (vec![1, 2, 3], 1));
    let all = proposal(&world, &[1, 2, 3, 4]);
    assert_eq!(propose(&mut world, 1, all), ErrorCode::NewLeaderElected.code());
    let done = PartitionChangeRecord {
        isr: Some(vec![3, 4]),
        leader: 3,
        replicas: Some(vec![3, 4]),
        adding_replicas: Some(vec![]),
        removing_replicas: Some(vec![]),
        directories: Some(vec![dir(3, 1), dir(4, 1)]),
        ..world.change_of(TOPIC)
    };
    assert_eq!(last(&world), vec![MetadataRecord::from(done)]);
}

#[test]
fn a_reassignment_is_replaced_or_cancelled() {
    let mut world = cluster(4, &[1, 2]);
    assert_eq!(reassign(&mut world, None), ErrorCode::NoReassignmentInProgress.code());
    assert_eq!(reassign(&mut world, Some(&[1, 3])), 0);
    assert_eq!(reassign(&mut world, Some(&[3, 4])), 0);
    let moving = world.first(TOPIC);
    assert_eq!((moving.replicas, moving.adding_replicas), (brokers(&[3, 4, 1, 2]), brokers(&[4])));
    assert_eq!(moving.removing_replicas, brokers(&[1, 2]));
    let caught_up = proposal(&world, &[1, 2, 3]);
    assert_eq!(propose(&mut world, 1, caught_up), 0);
    assert_eq!(reassign(&mut world, None), 0);
    let after = world.first(TOPIC);
    assert_eq!(led(&after), (vec![1, 2, 3], 1));
    assert_eq!((&after.replicas, after.is_reassigning()), (&brokers(&[3, 1, 2]), false), "what the first has added stays");
}

#[test]
fn a_reassignment_that_is_replaced_by_one_that_adds_nothing_is_as_in_kafka() {
    let mut world = cluster(4, &[1, 2]);
    assert_eq!(reassign(&mut world, Some(&[1, 3])), 0);
    assert_eq!(reassign(&mut world, Some(&[3, 1])), 0);
    let moving = world.first(TOPIC);
    assert_eq!((moving.replicas, moving.adding_replicas), (brokers(&[3, 1, 2]), brokers(&[3])), "3 is still on its way");
    assert_eq!(reassign(&mut world, Some(&[1, 2])), 0);
    let back = world.first(TOPIC);
    assert_eq!((&back.replicas, back.is_reassigning(), led(&back)), (&brokers(&[1, 2]), false, (vec![1, 2], 1)));
}

#[test]
fn a_cancel_that_would_lose_records_needs_to_be_allowed() {
    for (allows_unclean, code) in [(false, ErrorCode::InvalidReplicaAssignment.code()), (true, 0)] {
        let mut world = cluster(3, &[1, 2]);
        world.allows_unclean = allows_unclean;
        assert_eq!(reassign(&mut world, Some(&[3])), 0);
        let only_new = PartitionChangeRecord { isr: Some(vec![3]), leader: 3, ..world.change_of(TOPIC) };
        world.commit(vec![only_new.into()]);
        assert_eq!(reassign(&mut world, None), code);
        if allows_unclean {
            let after = world.first(TOPIC);
            assert_eq!((led(&after), &after.replicas), ((vec![1], 1), &brokers(&[1, 2])));
        }
    }
}

#[test]
fn replicas_tell_their_directories() {
    let mut world = cluster(1, &[1]);
    world.register(BrokerRegistration { log_dirs: vec![dir(2, 1), dir(2, 2)], ..registration(2, 1) }).unwrap();
    world.unfence(2);
    assert_eq!(world.code(assigned("u", &[(0, &[2, 1])])), 0);
    let in_dir = |world: &World, id: TopicId, partitions: &[(&str, i32)]| {
        let topic = |(name, index): &(&str, i32)| assign_replicas_to_dirs_request::TopicData {
            topic_id: world.image().topic_by_name(name).map_or(TopicId([77; 16]), |topic| topic.id),
            partitions: vec![assign_replicas_to_dirs_request::PartitionData { partition_index: *index }],
        };
        assign_replicas_to_dirs_request::DirectoryData { id, topics: partitions.iter().map(topic).collect() }
    };
    let assign = |world: &mut World, directories: Vec<assign_replicas_to_dirs_request::DirectoryData>| -> Vec<i16> {
        let broker_epoch = epoch_of(world, 2);
        let request = AssignReplicasToDirsRequest { broker_id: 2, broker_epoch, directories };
        let Reply::AssignReplicasToDirs(told) = world.call(Command::AssignReplicasToDirs(request)) else { panic!() };
        let topics = told.directories.iter().flat_map(|directory| &directory.topics);
        topics.flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).collect()
    };
    let first = in_dir(&world, dir(2, 1), &[("u", 0), ("nope", 0), ("u", 7), (TOPIC, 0), ("u", 0)]);
    let codes = [ErrorCode::None, ErrorCode::UnknownTopicId, ErrorCode::UnknownTopicOrPartition];
    let more = [ErrorCode::NotLeaderOrFollower, ErrorCode::InvalidRequest];
    assert_eq!(assign(&mut world, vec![first]), codes.iter().chain(&more).map(|code| code.code()).collect::<Vec<_>>());
    let placed = PartitionChangeRecord { directories: Some(vec![dir(2, 1), dir(1, 1)]), ..world.change_of("u") };
    assert_eq!(last(&world), vec![MetadataRecord::from(placed)]);
    // A directory that is not online takes the replica out of the ISR by the same record.
    let lost = in_dir(&world, DIRECTORY_LOST, &[("u", 0)]);
    assert_eq!(assign(&mut world, vec![lost]), [0]);
    let moved = PartitionChangeRecord {
        isr: Some(vec![1]),
        leader: 1,
        directories: Some(vec![DIRECTORY_LOST, dir(1, 1)]),
        ..world.change_of("u")
    };
    assert_eq!(last(&world), vec![MetadataRecord::from(moved)]);
    let stale = AssignReplicasToDirsRequest { broker_id: 2, broker_epoch: 0, directories: vec![] };
    let Reply::AssignReplicasToDirs(told) = world.call(Command::AssignReplicasToDirs(stale)) else { panic!() };
    assert_eq!(told.error_code, ErrorCode::StaleBrokerEpoch.code());
}

fn elect(world: &mut World, election_type: i8) -> i16 {
    let topic_partitions = Some(vec![TopicPartitions { topic: TOPIC.into(), partitions: vec![0] }]);
    let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 1 };
    let Reply::ElectLeaders(response) = world.call(Command::ElectLeaders(request)) else { panic!() };
    response.replica_election_results[0].partition_result[0].error_code
}

#[test]
fn leaders_are_elected_among_those_that_are_there() {
    let mut world = cluster(3, &[1, 2, 3]);
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    world.beat(fence);
    assert_eq!(led(&world.first(TOPIC)), (vec![2, 3], 2));
    assert_eq!(elect(&mut world, 0), ErrorCode::PreferredLeaderNotAvailable.code());
    assert_eq!(elect(&mut world, 1), ErrorCode::ElectionNotNeeded.code());
    world.unfence(1);
    assert_eq!(elect(&mut world, 0), ErrorCode::PreferredLeaderNotAvailable.code(), "it has not caught up");
    let caught_up = proposal(&world, &[2, 3, 1]);
    assert_eq!(propose(&mut world, 2, caught_up), 0);
    assert_eq!(elect(&mut world, 0), 0);
    assert_eq!(led(&world.first(TOPIC)), (vec![2, 3, 1], 1));
}

#[test]
fn an_unclean_election_takes_who_is_there() {
    let mut world = cluster(2, &[1, 2]);
    let alone = proposal(&world, &[1]);
    assert_eq!(propose(&mut world, 1, alone), 0);
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    world.beat(fence);
    assert_eq!(led(&world.first(TOPIC)), (vec![1], 0), "nobody else has the records");
    assert_eq!(world.call(Command::ElectUncleanLeaders), Reply::Ticked { more: false });
    assert_eq!(led(&world.first(TOPIC)), (vec![1], 0), "the topic would rather wait");
    world.allows_unclean = true;
    assert_eq!(world.call(Command::ElectUncleanLeaders), Reply::Ticked { more: false });
    let elected = PartitionChangeRecord { isr: Some(vec![2]), leader: 2, leader_recovery_state: 1, ..world.change_of(TOPIC) };
    assert_eq!(last(&world), vec![MetadataRecord::from(elected)]);
}

#[test]
fn what_a_topic_says_of_unclean_elections_wins() {
    let mut world = World::cluster(2);
    world.allows_unclean = true;
    for (name, value) in [("may", None), ("may not", Some("false"))] {
        let name = name.replace(' ', "-");
        let configs = value.map(|value| config("unclean.leader.election.enable", Some(value))).into_iter().collect();
        assert_eq!(world.code(CreatableTopic { configs, ..assigned(&name, &[(0, &[1, 2])]) }), 0);
        let alone = PartitionChangeRecord { isr: Some(vec![1]), ..world.change_of(&name) };
        world.commit(vec![alone.into()]);
    }
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    world.beat(fence);
    assert_eq!((led(&world.first("may")), led(&world.first("may-not"))), ((vec![2], 2), (vec![1], 0)));
    let on_all = ConfigRecord {
        resource_type: 4,
        name: "unclean.leader.election.enable".into(),
        value: Some("true".into()),
        ..ConfigRecord::default()
    };
    world.commit(vec![on_all.into()]);
    world.call(Command::ElectUncleanLeaders);
    assert_eq!(led(&world.first("may-not")), (vec![1], 0), "what is set on the topic itself");
}

#[test]
fn what_is_set_on_the_deciding_node_goes_before_what_is_set_on_all() {
    let mut world = cluster(2, &[1, 2]);
    let alone = proposal(&world, &[1]);
    assert_eq!(propose(&mut world, 1, alone), 0);
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    world.beat(fence);
    let set = |node: &str, value: &str| ConfigRecord {
        resource_type: 4,
        resource_name: node.into(),
        name: "unclean.leader.election.enable".into(),
        value: Some(value.into()),
        ..ConfigRecord::default()
    };
    // Node 1 decides.
    world.commit(vec![set("", "false").into(), set("2", "true").into()]);
    world.call(Command::ElectUncleanLeaders);
    assert_eq!(led(&world.first(TOPIC)), (vec![1], 0));
    world.commit(vec![set("1", "true").into()]);
    world.call(Command::ElectUncleanLeaders);
    assert_eq!(led(&world.first(TOPIC)), (vec![2], 2));
}

#[test]
fn leaderships_go_back_some_at_a_time() {
    let mut world = World::cluster(2);
    let many = elections::MAX_ELECTIONS as i32 + 1;
    let replicas: Vec<(i32, &[i32])> = (0..many).map(|index| (index, ON_BOTH)).collect();
    assert_eq!(world.code(assigned(TOPIC, &replicas)), 0);
    let fence = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    world.beat(fence);
    world.unfence(1);
    let led_by_1 = |world: &World| {
        let topic = world.image().topic_by_name(TOPIC).unwrap();
        topic.partitions.values().filter(|partition| partition.leader == Some(BrokerId(1))).count()
    };
    assert_eq!(world.call(Command::BalanceLeaders), Reply::Ticked { more: false });
    assert_eq!(led_by_1(&world), 0, "it is in no ISR");
    let topic_id = world.topic_id(TOPIC);
    let joined = |partition_id: i32| PartitionChangeRecord {
        partition_id,
        topic_id,
        isr: Some(vec![2, 1]),
        ..PartitionChangeRecord::default()
    };
    world.commit((0..many).map(|index| joined(index).into()).collect());
    assert_eq!(world.call(Command::BalanceLeaders), Reply::Ticked { more: true });
    assert_eq!(led_by_1(&world), elections::MAX_ELECTIONS);
    assert_eq!(world.call(Command::BalanceLeaders), Reply::Ticked { more: false });
    assert_eq!(led_by_1(&world), many as usize);
    let length = world.log.len();
    assert_eq!(world.call(Command::BalanceLeaders), Reply::Ticked { more: false });
    assert_eq!(world.log.len(), length, "nothing is left to do");
}

#[test]
fn another_minimum_in_sync_clears_who_is_eligible() {
    let mut world = cluster(2, &[1, 2]);
    world.finalize("eligible.leader.replicas.version", 1);
    let set = |resource: ConfigResource, value: &str| Command::AlterConfigs {
        alterations: vec![ConfigAlteration {
            resource,
            change: ConfigChange::Incremental(vec![("min.insync.replicas".to_owned(), ConfigOperation::Set(value.to_owned()))]),
        }],
        validate_only: false,
    };
    let cleared = |name: &str| MetadataRecord::from(ClearElrRecord { topic_name: name.into(), ..ClearElrRecord::default() });
    world.call(set(ConfigResource::Topic(TOPIC.into()), "2"));
    assert_eq!(last(&world)[1..], [cleared(TOPIC)]);
    let alone = proposal(&world, &[1]);
    assert_eq!(propose(&mut world, 1, alone), 0);
    assert_eq!(world.first(TOPIC).eligible_leader_replicas, brokers(&[2]));
    world.call(set(ConfigResource::Broker(None), "1"));
    assert_eq!(last(&world)[1..], [cleared("")]);
    assert!(world.first(TOPIC).eligible_leader_replicas.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, i32, i16),
    Restart(i32, bool),
    Silence(i32),
    Beat(i32, bool, bool),
    Isr(u8, i32, Vec<i32>),
    Reassign(Option<Vec<i32>>),
    Elect(i8),
    Balance,
    Unclean,
    LoseDir(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let some_brokers = || prop::sample::subsequence(vec![1, 2, 3, 4], 1..=4).prop_shuffle();
    prop_oneof![
        2 => (0u8..3, 1i32..4, 1i16..4).prop_map(|(name, count, factor)| Step::Create(name, count, factor)),
        2 => (1i32..5, any::<bool>()).prop_map(|(id, clean)| Step::Restart(id, clean)),
        1 => (1i32..5).prop_map(Step::Silence),
        8 => (1i32..5, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(id, fence, stop)| Step::Beat(id, fence, stop)),
        6 => (0u8..3, 0i32..3, some_brokers()).prop_map(|(name, index, isr)| Step::Isr(name, index, isr)),
        2 => prop::option::of(some_brokers()).prop_map(Step::Reassign),
        1 => (0i8..2).prop_map(Step::Elect),
        1 => Just(Step::Balance),
        1 => Just(Step::Unclean),
        1 => (1i32..5).prop_map(Step::LoseDir),
    ]
}

impl Step {
    fn run(self, world: &mut World, lives: &mut [u8; 5]) {
        match self {
            Self::Create(name, count, factor) => drop(world.create(vec![topic(&format!("t{name}"), count, factor)])),
            Self::Restart(id, clean) => {
                let previous_epoch = if clean { epoch_of(world, id) } else { -1 };
                lives[id as usize] += 1;
                let life = registration(id, lives[id as usize]);
                // Refused while the last life has a session.
                let _ = world.register(BrokerRegistration { previous_epoch, log_dirs: both_dirs(id), ..with_elr(life) });
            }
            Self::Silence(id) => {
                world.now_ms += SESSION_MS / 2;
                for other in (1..5).filter(|other| *other != id) {
                    let request = BrokerHeartbeatRequest { want_fence: is_fenced(world, other), ..beat(world, other) };
                    world.beat(request);
                }
                world.fence_silent();
            }
            Self::Beat(id, want_fence, want_shut_down) => {
                let request = BrokerHeartbeatRequest { want_fence, want_shut_down, ..beat(world, id) };
                world.beat(request);
            }
            Self::Isr(name, index, isr) => propose_isr(world, &format!("t{name}"), index, &isr),
            Self::Reassign(replicas) => drop(reassign_first(world, replicas)),
            Self::Elect(election_type) => {
                let request = ElectLeadersRequest { election_type, topic_partitions: None, timeout_ms: 1 };
                world.call(Command::ElectLeaders(request));
            }
            Self::Balance => drop(world.call(Command::BalanceLeaders)),
            Self::Unclean => drop(world.call(Command::ElectUncleanLeaders)),
            Self::LoseDir(id) => {
                assign_all(world, id, dir(id, 2));
                let request = BrokerHeartbeatRequest {
                    want_fence: is_fenced(world, id),
                    offline_log_dirs: vec![dir(id, 2)],
                    ..beat(world, id)
                };
                world.beat(request);
            }
        }
    }
}

/// The first partition of every topic is in `directory` of the broker, if it has a replica of it.
fn assign_all(world: &mut World, id: i32, directory: TopicId) {
    let first = || vec![assign_replicas_to_dirs_request::PartitionData { partition_index: 0 }];
    let of =
        |topic: &std::sync::Arc<Topic>| assign_replicas_to_dirs_request::TopicData { topic_id: topic.id, partitions: first() };
    let topics = world.image().topics().map(of).collect();
    let directories = vec![assign_replicas_to_dirs_request::DirectoryData { id: directory, topics }];
    let request = AssignReplicasToDirsRequest { broker_id: id, broker_epoch: epoch_of(world, id), directories };
    world.call(Command::AssignReplicasToDirs(request));
}

fn both_dirs(id: i32) -> Vec<TopicId> {
    vec![dir(id, 1), dir(id, 2)]
}

fn with_elr(mut registration: BrokerRegistration) -> BrokerRegistration {
    registration.features.push(("eligible.leader.replicas.version".into(), 0, 1));
    registration
}

fn is_fenced(world: &World, id: i32) -> bool {
    world.image().broker(BrokerId(id)).is_none_or(|broker| broker.fenced)
}

/// As the leader of a partition would: those of `isr` that are its replicas, itself among them.
fn propose_isr(world: &mut World, name: &str, index: i32, isr: &[i32]) {
    let Some(topic) = world.image().topic_by_name(name) else { return };
    let Some(partition) = topic.partitions.get(&PartitionIndex(index)) else { return };
    let Some(leader) = partition.leader else { return };
    let replicas: BTreeSet<i32> = isr.iter().copied().filter(|id| partition.replicas.contains(&BrokerId(*id))).collect();
    let members = replicas.into_iter().chain([leader.0]).collect::<BTreeSet<i32>>();
    let proposal = PartitionData {
        partition_index: index,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        new_isr_with_epochs: members.into_iter().map(|broker_id| BrokerState { broker_id, broker_epoch: -1 }).collect(),
        ..PartitionData::default()
    };
    let topics = vec![TopicData { topic_id: topic.id, partitions: vec![proposal] }];
    let request = AlterPartitionRequest { broker_id: leader.0, broker_epoch: epoch_of(world, leader.0), topics };
    let _ = alter(world, request);
}

fn reassign_first(world: &mut World, replicas: Option<Vec<i32>>) -> Reply {
    let wanted = ReassignablePartition { partition_index: 0, replicas };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: "t0".into(), partitions: vec![wanted] }],
        allow_replication_factor_change: true,
        timeout_ms: 1,
    };
    world.call(Command::AlterPartitionReassignments(request))
}

fn check(world: &World, has_elr: bool) -> Result<(), TestCaseError> {
    for topic in world.image().topics() {
        for (index, partition) in &topic.partitions {
            let shown = format!("{}-{index}: {partition:?}", topic.name);
            let all: BTreeSet<_> = partition.replicas.iter().collect();
            prop_assert_eq!(all.len(), partition.replicas.len(), "{}", shown);
            prop_assert_eq!(partition.directories.len(), partition.replicas.len(), "{}", shown);
            let members: Vec<_> = partition.isr.iter().chain(&partition.eligible_leader_replicas).collect();
            prop_assert!(members.iter().all(|id| all.contains(*id)), "{}", shown);
            prop_assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), members.len(), "{}", shown);
            prop_assert!(has_elr || !partition.isr.is_empty(), "{}", shown);
            prop_assert!(!partition.recovering || partition.isr.len() <= 1, "{}", shown);
            if let Some(leader) = partition.leader {
                prop_assert!(partition.isr.contains(&leader) && world.image().is_active(leader), "{}", shown);
            }
            // A broker that may not serve is in an ISR only as the last one that has the records.
            let is_stale = |id: &BrokerId| !world.image().is_active(*id);
            prop_assert!(!partition.isr.iter().any(is_stale) || partition.isr.len() == 1, "{}", shown);
        }
    }
    Ok(())
}

proptest! {
    /// Whatever happens to brokers and whatever is asked for: every partition is sound after each step, and the log, read again, gives
    /// the same image.
    #[test]
    fn a_cluster_stays_sound(
        steps in prop::collection::vec(step(), 1..60),
        has_elr in any::<bool>(),
        allows_unclean in any::<bool>(),
    ) {
        let mut world = World::cluster(0);
        (world.allows_unclean, world.min_isr) = (allows_unclean, 2);
        if has_elr {
            world.finalize("eligible.leader.replicas.version", 1);
        }
        for id in 1..5 {
            world.register(BrokerRegistration { log_dirs: both_dirs(id), ..with_elr(registration(id, 1)) }).unwrap();
            world.unfence(id);
        }
        let mut lives = [1; 5];
        for step in steps {
            let shown = format!("{step:?}");
            step.run(&mut world, &mut lives);
            check(&world, has_elr).map_err(|error| TestCaseError::fail(format!("after {shown}: {error}")))?;
        }
        let all: Vec<MetadataRecord> = world.log.concat();
        let mut replayed = Loader::default();
        replayed.load(&all, world.image().next_offset(), 1).unwrap();
        prop_assert_eq!(&**replayed.image(), world.image());
    }
}
