//! Decisions on configs, elections and reassignments: the exact records and answers.

use super::tests::{World, assigned, topic};
use super::*;
use crate::model::PartitionIndex;
use crate::protocol::generated::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use crate::protocol::generated::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use crate::protocol::generated::elect_leaders_request::TopicPartitions;
use crate::protocol::generated::{ConfigRecord, PartitionChangeRecord};

fn on(resource: &str) -> ConfigResource {
    match resource.strip_prefix("broker ") {
        Some("") => ConfigResource::Broker(None),
        Some(id) => ConfigResource::Broker(Some(BrokerId(id.parse().unwrap()))),
        None => ConfigResource::Topic(resource.into()),
    }
}

fn set(value: &str) -> ConfigOperation {
    ConfigOperation::Set(value.to_owned())
}

fn change(resource: &str, operations: &[(&str, ConfigOperation)]) -> ConfigAlteration {
    let operations = operations.iter().map(|(name, operation)| ((*name).to_owned(), operation.clone())).collect();
    ConfigAlteration { resource: on(resource), change: ConfigChange::Incremental(operations) }
}

fn replace(resource: &str, configs: &[(&str, &str)]) -> ConfigAlteration {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ConfigAlteration { resource: on(resource), change: ConfigChange::Replace(configs) }
}

fn record(kind: i8, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    let record = ConfigRecord {
        resource_type: kind,
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(Into::into),
        ..ConfigRecord::default()
    };
    record.into()
}

/// What is decided, which is committed.
fn alter(world: &mut World, alterations: Vec<ConfigAlteration>) -> (Vec<MetadataRecord>, Vec<Result<(), Refusal>>) {
    let decision = world.decide(&Command::AlterConfigs { alterations, validate_only: false });
    decision.batches.iter().for_each(|batch| drop(world.commit(batch.clone())));
    match decision.reply {
        Reply::AlterConfigs(results) => (decision.batches.concat(), results),
        other => panic!("{other:?}"),
    }
}

fn refusal(world: &mut World, alteration: ConfigAlteration) -> (ErrorCode, String) {
    let (records, mut results) = alter(world, vec![alteration]);
    assert_eq!(records, []);
    let Refusal(code, text) = results.remove(0).unwrap_err();
    (code, text.unwrap())
}

#[test]
fn operations_on_values_and_lists() {
    use ConfigOperation::{Append, Delete, Subtract};
    let apply = |operation: ConfigOperation, current| operation.apply(current, Some("a")).unwrap();
    let of = |text: &str| Some(text.to_owned());
    assert_eq!((apply(set("x"), None), apply(Delete, Some("x"))), (of("x"), None));
    assert_eq!(apply(Append("b,c,b".into()), None), of("a,b,c"), "where nothing is set, the default is what is added to");
    assert_eq!(apply(Append("b,,".into()), Some("c,")), of("c,b"));
    assert_eq!(apply(Append(String::new()), Some("c")), of("c,"), "for the rule of the key to refuse");
    assert_eq!(apply(Append(",".into()), Some("c")), of("c"));
    assert_eq!(apply(Subtract("b,d".into()), Some("a,b,c,b")), of("a,c,b"));
    assert_eq!(apply(Subtract("a".into()), None), of(""));
    assert_eq!(Append("b".into()).apply(Some("a"), None), Err("APPEND"));
    assert_eq!(Subtract("b".into()).apply(Some("a"), None), Err("SUBTRACT"));
}

#[test]
fn only_what_changes_on_a_topic_is_written_and_everything_of_a_broker() {
    let mut world = World::new(1);
    world.create(vec![topic("t", 1, 1)]);
    let first = change("t", &[("x", set("1")), ("y", set("2")), ("list", ConfigOperation::Append("b".into()))]);
    let records = vec![record(2, "t", "x", Some("1")), record(2, "t", "y", Some("2")), record(2, "t", "list", Some("a,b"))];
    assert_eq!(alter(&mut world, vec![first]), (records, vec![Ok(())]));
    let again = change("t", &[("x", set("1")), ("y", ConfigOperation::Delete), ("z", ConfigOperation::Delete)]);
    assert_eq!(alter(&mut world, vec![again]), (vec![record(2, "t", "y", None)], vec![Ok(())]));
    let names: Vec<String> = world.image().topic_configs("t").keys().cloned().collect();
    assert_eq!(names, ["list", "x"]);
    for (resource, name) in [("broker 1", "1"), ("broker ", "")] {
        for _ in 0..2 {
            let written = vec![record(4, name, "x", Some("1"))];
            assert_eq!(alter(&mut world, vec![change(resource, &[("x", set("1"))])]), (written, vec![Ok(())]));
        }
    }
}

#[test]
fn a_replacement_deletes_what_it_does_not_name() {
    let mut world = World::new(1);
    world.create(vec![topic("t", 1, 1)]);
    alter(&mut world, vec![change("t", &[("x", set("1")), ("y", set("2"))])]);
    let records = vec![record(2, "t", "z", Some("3")), record(2, "t", "x", None)];
    assert_eq!(alter(&mut world, vec![replace("t", &[("y", "2"), ("z", "3")])]), (records, vec![Ok(())]));
    assert_eq!(alter(&mut world, vec![replace("t", &[("y", "2"), ("z", "3")])]).0, []);
    let all = vec![record(2, "t", "y", None), record(2, "t", "z", None)];
    assert_eq!(alter(&mut world, vec![replace("t", &[])]), (all, vec![Ok(())]));
    assert!(world.image().configured().all(|resource| *resource != on("t")));
}

#[test]
fn each_resource_fails_or_succeeds_as_a_whole() {
    let mut world = World::new(1);
    world.create(vec![topic("t", 1, 1)]);
    let wanted = vec![change("t", &[("x", set("1")), ("bad", set("1"))]), change("broker ", &[("x", set("1"))])];
    let (records, results) = alter(&mut world, wanted);
    assert_eq!(records, [record(4, "", "x", Some("1"))]);
    let bad = Refusal::new(ErrorCode::InvalidConfig, "Unknown topic config name: bad");
    assert_eq!(results, [Err(bad), Ok(())]);
    let command = Command::AlterConfigs { alterations: vec![change("t", &[("x", set("1"))])], validate_only: true };
    assert_eq!(world.decide(&command), Decision { batches: vec![], reply: Reply::AlterConfigs(vec![Ok(())]) });
}

#[test]
fn configs_are_refused_in_kafkas_words() {
    let mut world = World::new(1);
    world.create(vec![topic("t", 1, 1)]);
    let other = |kind: i8, name: &str, operations: &[(&str, ConfigOperation)]| ConfigAlteration {
        resource: ConfigResource::Other(kind, name.into()),
        ..change("t", operations)
    };
    let x = [("x", set("1"))];
    let long = "x".repeat(32768);
    for (alteration, code, text) in [
        (change("nope", &x), ErrorCode::UnknownTopicOrPartition, "The topic 'nope' does not exist."),
        (change("", &x), ErrorCode::InvalidRequest, "Default topic resources are not allowed."),
        (change("broker 7", &x), ErrorCode::BrokerIdNotRegistered, "No node with id 7 found."),
        (
            change("t", &[("x", ConfigOperation::Append("1".into()))]),
            ErrorCode::InvalidConfig,
            "Can't APPEND to key x because its type is not LIST.",
        ),
        (
            change("t", &[("x", set(&long))]),
            ErrorCode::InvalidConfig,
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ),
        (other(16, "", &[]), ErrorCode::InvalidRequest, "Subscription name can't be empty"),
        (other(16, "m", &[("bad", set("1"))]), ErrorCode::InvalidRequest, "Unknown client metrics configuration: bad"),
        (
            other(16, "m", &[("x", ConfigOperation::Append("1".into()))]),
            ErrorCode::InvalidConfig,
            "Can't APPEND to key x because its type is not LIST.",
        ),
        (other(32, "", &[]), ErrorCode::InvalidRequest, "Default group resources are not allowed."),
        (other(32, "g", &x), ErrorCode::InvalidConfig, "Unknown group config name: x"),
    ] {
        assert_eq!(refusal(&mut world, alteration), (code, text.to_owned()));
    }
    assert_eq!(refusal(&mut world, change("no/name", &x)).0, ErrorCode::InvalidTopicException);
    assert_eq!(alter(&mut world, vec![other(32, "g", &[("x", ConfigOperation::Delete)])]), (vec![], vec![Ok(())]));
    let kept = vec![record(16, "m", "x", Some("1"))];
    assert_eq!(alter(&mut world, vec![other(16, "m", &x)]), (kept, vec![Ok(())]));
    assert_eq!(alter(&mut world, vec![other(16, "m", &x)]).0, [], "as it is already");
    assert!(world.image().configured().any(|resource| *resource == ConfigResource::Other(16, "m".into())));
}

#[test]
fn what_is_too_much_for_a_batch_is_refused_as_a_whole() {
    let mut world = World::new(1);
    let value = set(&"v".repeat(32_000));
    let names: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let operations: Vec<(&str, ConfigOperation)> = names.iter().map(|name| (name.as_str(), value.clone())).collect();
    let (records, results) = alter(&mut world, vec![change("broker ", &operations), change("broker 1", &[("x", set("1"))])]);
    assert_eq!(records, []);
    assert!(results.iter().all(|result| result.as_ref().unwrap_err().0 == ErrorCode::PolicyViolation));
}

#[test]
fn with_eligible_leader_replicas_the_cluster_says_how_many_are_in_sync() {
    let mut world = World::new(1);
    let min = [("min.insync.replicas", set("1"))];
    assert_eq!(alter(&mut world, vec![change("broker 1", &min)]).1, [Ok(())]);
    let elr = FeatureLevelRecord { name: "eligible.leader.replicas.version".into(), feature_level: 1, ..Default::default() };
    world.commit(vec![elr.into()]);
    assert_eq!(refusal(&mut world, change("broker 1", &min)).0, ErrorCode::InvalidConfig);
    assert_eq!(alter(&mut world, vec![change("broker ", &min)]).1, [Ok(())]);
    let removal = change("broker ", &[("min.insync.replicas", ConfigOperation::Delete)]);
    assert_eq!(refusal(&mut world, removal).0, ErrorCode::InvalidConfig);
}

fn elect(world: &mut World, election_type: i8, partitions: Option<&[(&str, i32)]>) -> Vec<(i32, i16)> {
    let named = |(topic, index): &(&str, i32)| TopicPartitions { topic: (*topic).into(), partitions: vec![*index] };
    let topic_partitions = partitions.map(|partitions| partitions.iter().map(named).collect());
    let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 1 };
    let Reply::ElectLeaders(response) = world.call(Command::ElectLeaders(request)) else { panic!() };
    let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
    results.map(|result| (result.partition_id, result.error_code)).collect()
}

/// Topic `t` with one partition on brokers 1 and 2, where `change` has happened.
fn two_replicas(change: PartitionChangeRecord) -> World {
    let mut world = World::new(2);
    world.create(vec![assigned("t", &[(0, &[1, 2])])]);
    let topic_id = world.image().topic_by_name("t").unwrap().id;
    world.commit(vec![PartitionChangeRecord { partition_id: 0, topic_id, ..change }.into()]);
    world
}

fn partition(world: &World) -> Partition {
    world.image().topic_by_name("t").unwrap().partitions[&PartitionIndex(0)].clone()
}

#[test]
fn elections_are_held_where_they_are_needed() {
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    let mut world = two_replicas(PartitionChangeRecord::default());
    assert_eq!(elect(&mut world, 0, Some(&[("t", 0), ("t", 1), ("u", 0)])), [(0, not_needed), (1, 3), (0, 3)]);
    assert_eq!((elect(&mut world, 1, Some(&[("t", 0)])), elect(&mut world, 0, None)), (vec![(0, not_needed)], vec![]));
    let mut world = two_replicas(PartitionChangeRecord { leader: 2, ..Default::default() });
    let epoch = partition(&world).leader_epoch.0;
    assert_eq!(elect(&mut world, 0, None), [(0, 0)]);
    assert_eq!((partition(&world).leader, partition(&world).leader_epoch.0), (Some(BrokerId(1)), epoch + 1));
    let mut world = two_replicas(PartitionChangeRecord { leader: 2, isr: Some(vec![2]), ..Default::default() });
    assert_eq!(elect(&mut world, 0, None), [(0, ErrorCode::PreferredLeaderNotAvailable.code())]);
    assert_eq!(elect(&mut world, 7, Some(&[("t", 0)])), [(0, ErrorCode::InvalidRequest.code())]);
}

#[test]
fn an_unclean_election_makes_the_leader_the_only_one_in_sync() {
    let mut world = two_replicas(PartitionChangeRecord { leader: -1, isr: Some(vec![]), ..Default::default() });
    assert_eq!(elect(&mut world, 0, None), [(0, ErrorCode::PreferredLeaderNotAvailable.code())]);
    assert_eq!(elect(&mut world, 1, None), [(0, 0)]);
    let partition = partition(&world);
    assert_eq!((partition.leader, partition.isr, partition.recovering), (Some(BrokerId(1)), vec![BrokerId(1)], true));
}

fn reassign(world: &mut World, replicas: Option<&[i32]>, may_change_factor: bool) -> (i16, Option<String>) {
    let wanted = ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: "t".into(), partitions: vec![wanted] }],
        allow_replication_factor_change: may_change_factor,
        timeout_ms: 1,
    };
    let Reply::AlterPartitionReassignments(response) = world.call(Command::AlterPartitionReassignments(request)) else {
        panic!()
    };
    let told = &response.responses[0].partitions[0];
    (told.error_code, told.error_message.as_ref().map(ToString::to_string))
}

#[test]
fn replicas_that_are_there_stay_and_others_are_given_up_at_once() {
    let mut world = two_replicas(PartitionChangeRecord::default());
    let before = partition(&world);
    assert_eq!((reassign(&mut world, Some(&[1, 2]), true), partition(&world)), ((0, None), before.clone()));
    let (code, text) = reassign(&mut world, Some(&[2]), false);
    assert_eq!((code, text.as_deref()), (38, Some("The replication factor is changed from 2 to 1")));
    assert_eq!(reassign(&mut world, None, true), (85, None));
    assert_eq!(reassign(&mut world, Some(&[3]), true).0, 39);
    assert_eq!(reassign(&mut world, Some(&[2]), true), (0, None));
    let after = partition(&world);
    assert_eq!((after.replicas, after.isr, after.leader), (vec![BrokerId(2)], vec![BrokerId(2)], Some(BrokerId(2))));
    assert_eq!((after.directories.len(), after.leader_epoch.0), (1, before.leader_epoch.0 + 1));
    assert_eq!(reassign(&mut world, Some(&[1]), true).0, 39, "it would have to be copied");
}

#[test]
fn each_wish_for_a_partition_is_judged_and_one_of_them_changes_it() {
    let mut world = two_replicas(PartitionChangeRecord::default());
    let wish = |replicas: Option<&[i32]>| ReassignableTopic {
        name: "t".into(),
        partitions: vec![ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) }],
    };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![wish(None), wish(Some(&[])), wish(Some(&[1, 2])), wish(Some(&[2])), wish(Some(&[1])), wish(Some(&[1, 2]))],
        allow_replication_factor_change: true,
        timeout_ms: 1,
    };
    let Reply::AlterPartitionReassignments(response) = world.call(Command::AlterPartitionReassignments(request)) else {
        panic!()
    };
    let codes: Vec<i16> = response.responses.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [85, 39, 0, 0, 42, 0]);
    assert_eq!(partition(&world).replicas, vec![BrokerId(2)]);
}

#[test]
fn a_reassignment_that_somebody_else_began_can_be_cancelled() {
    let begun = PartitionChangeRecord { adding_replicas: Some(vec![2]), ..Default::default() };
    let mut world = two_replicas(begun);
    assert_eq!(reassign(&mut world, None, true), (0, None));
    let after = partition(&world);
    assert_eq!((after.replicas, after.adding_replicas, after.leader), (vec![BrokerId(1)], vec![], Some(BrokerId(1))));
}

fn assign_dirs(world: &mut World, epoch: i64, directory: u8, partitions: &[(TopicId, i32)]) -> (i16, Vec<i16>) {
    let topic = |&(topic_id, partition_index): &(TopicId, i32)| TopicData {
        topic_id,
        partitions: vec![PartitionData { partition_index }],
    };
    let directory = DirectoryData { id: TopicId([directory; 16]), topics: partitions.iter().map(topic).collect() };
    let request = AssignReplicasToDirsRequest { broker_id: 1, broker_epoch: epoch, directories: vec![directory] };
    let Reply::AssignReplicasToDirs(told) = world.call(Command::AssignReplicasToDirs(request)) else { panic!() };
    let codes = told.directories.iter().flat_map(|directory| &directory.topics).flat_map(|topic| &topic.partitions);
    (told.error_code, codes.map(|partition| partition.error_code).collect())
}

#[test]
fn a_broker_says_in_which_directory_its_replica_is() {
    let mut world = two_replicas(PartitionChangeRecord::default());
    let epoch = world.image().broker(BrokerId(1)).unwrap().epoch;
    let (topic_id, before) = (world.image().topic_by_name("t").unwrap().id, partition(&world));
    assert_eq!(assign_dirs(&mut world, epoch - 1, 9, &[(topic_id, 0)]), (ErrorCode::StaleBrokerEpoch.code(), vec![]));
    let named = [(topic_id, 0), (TopicId([77; 16]), 0), (topic_id, 5)];
    assert_eq!(assign_dirs(&mut world, epoch, 9, &named), (0, vec![0, 100, 3]));
    let after = partition(&world);
    let place = before.replicas.iter().position(|id| id.0 == 1).unwrap();
    let expected: Vec<_> =
        (0..before.directories.len()).map(|at| if at == place { TopicId([9; 16]) } else { before.directories[at] }).collect();
    assert_eq!((&after.directories, after.leader_epoch), (&expected, before.leader_epoch), "the leader leads on");
    let epoch_of_partition = after.partition_epoch;
    assert_eq!(assign_dirs(&mut world, epoch, 9, &[(topic_id, 0)]), (0, vec![0]));
    assert_eq!(partition(&world).partition_epoch, epoch_of_partition, "what is so already makes no record");
    // It has not registered that directory; alone as it is, it leads on in it whatever is asked for.
    let same: Vec<i32> = after.replicas.iter().map(|id| id.0).collect();
    assert_eq!((reassign(&mut world, Some(&same), true), partition(&world)), ((0, None), after));
}
