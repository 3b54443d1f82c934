//! Administration as it is on the wire: what Kafka's tools do not ask, and what they do not show of an answer.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`).

use crate::admin::eventually;
use crate::support::broker::Broker;
use crate::support::client::{Client, produce_answer, produce_request};
use flumen::config::is_dynamic;
use flumen::model::{ProducerId, TopicId};
use flumen::protocol::generated::alter_configs_request::{
    AlterConfigsRequest, AlterConfigsResource as LegacyResource, AlterableConfig as LegacyConfig,
};
use flumen::protocol::generated::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen::protocol::generated::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use flumen::protocol::generated::describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequest};
use flumen::protocol::generated::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use flumen::protocol::generated::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use flumen::protocol::generated::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use flumen::protocol::generated::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use flumen::protocol::generated::list_config_resources_request::ListConfigResourcesRequest;
use flumen::protocol::generated::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use flumen::record::{BatchBuilder, Compression};
use std::collections::BTreeMap;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

const UNKNOWN_TOPIC: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const ELECTION_NOT_NEEDED: i16 = 84;
const NO_REASSIGNMENT: i16 = 85;

/// A change of one key: name, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let config = |(name, operation, value): &Change<'_>| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
    };
    AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: changes.iter().map(config).collect() }
}

/// What became of each resource: error code and message.
fn alter(client: &mut Client, resources: Vec<AlterConfigsResource>, validate_only: bool) -> Vec<(i16, Option<String>)> {
    let asked: Vec<_> = resources.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
    let request = IncrementalAlterConfigsRequest { resources, validate_only };
    let answer = client.call(&request, 1, true).unwrap();
    let told: Vec<_> = answer.responses.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
    assert_eq!(told, asked, "an answer for each resource, in order");
    answer.responses.into_iter().map(|r| (r.error_code, r.error_message.map(|message| message.to_string()))).collect()
}

fn alter_one(client: &mut Client, kind: i8, name: &str, changes: &[Change<'_>]) -> (i16, Option<String>) {
    alter(client, vec![resource(kind, name, changes)], false).remove(0)
}

/// What is set on a topic.
fn topic_configs(client: &mut Client, topic: &str) -> BTreeMap<String, String> {
    const FROM_TOPIC: i8 = 1;
    let resource = DescribeConfigsResource { resource_type: TOPIC, resource_name: topic.into(), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: false };
    let mut answer = client.call(&request, 4, true).unwrap();
    let result = answer.results.remove(0);
    assert_eq!((result.error_code, result.resource_type), (0, TOPIC));
    let set = result.configs.into_iter().filter(|config| config.config_source == FROM_TOPIC);
    set.map(|config| (config.name.to_string(), config.value.expect("a topic has no secrets").to_string())).collect()
}

/// Waits until a topic has these configs and no others: Kafka answers before its broker has applied a change.
fn await_configs(client: &mut Client, topic: &str, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    eventually(&format!("{expected:?} on {topic}"), || topic_configs(client, topic) == expected);
}

fn connect(broker: &Broker) -> Client {
    Client::connect(broker.address()).unwrap()
}

#[test]
fn operations_change_lists_and_values() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_topic("t", 1, &[("retention.ms", "5")]).unwrap();
    let mut policy = |changes: &[Change<'_>], code: i16, expected: &[(&str, &str)]| {
        assert_eq!(alter_one(&mut client, TOPIC, "t", changes).0, code, "{changes:?}");
        await_configs(&mut client, "t", expected);
    };
    const KEY: &str = "cleanup.policy";
    let and_retention = |value| [(KEY, value), ("retention.ms", "5")];
    policy(&[(KEY, APPEND, Some("compact,delete"))], 0, &and_retention("delete,compact"));
    policy(&[(KEY, SUBTRACT, Some("delete,none"))], 0, &and_retention("compact"));
    policy(&[(KEY, APPEND, Some("keep"))], INVALID_CONFIG, &and_retention("compact"));
    policy(&[(KEY, SUBTRACT, Some("compact"))], 0, &and_retention(""));
    policy(&[(KEY, DELETE, None)], 0, &[("retention.ms", "5")]);
    policy(&[(KEY, DELETE, Some("x"))], 0, &[("retention.ms", "5")]);
    policy(&[(KEY, SET, Some("compact")), ("retention.ms", DELETE, None)], 0, &[(KEY, "compact")]);
    for (kind, name, key) in [(BROKER, "", "log.cleanup.policy"), (TOPIC, "t", KEY)] {
        for value in ["", "delete,delete", "compact"] {
            assert_eq!(alter_one(&mut client, kind, name, &[(key, SET, Some(value))]), (0, None), "{key}={value}");
        }
    }
    for value in ["delete,", "keep"] {
        assert_eq!(alter_one(&mut client, TOPIC, "t", &[(KEY, SET, Some(value))]).0, INVALID_CONFIG, "{value}");
    }
    assert_eq!(client.create_topic("kept", 1, &[(KEY, "")]).unwrap(), 0);
    let not_a_list = "Can't APPEND to key retention.ms because its type is not LIST.".to_owned();
    assert_eq!(alter_one(&mut client, TOPIC, "t", &[("retention.ms", APPEND, Some("6"))]), (INVALID_CONFIG, Some(not_a_list)));
    let outcome = alter(&mut client, vec![resource(TOPIC, "t", &[("retention.ms", SET, Some("7"))])], true);
    assert_eq!(outcome, [(0, None)]);
    assert!(!topic_configs(&mut client, "t").contains_key("retention.ms"), "it was only validated");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_topic("t", 1, &[]).unwrap();
    let x: &[Change<'_>] = &[("retention.ms", SET, Some("5"))];
    for (kind, name, changes, code, text) in [
        (TOPIC, "t", &[("retention.ms", SET, None)][..], INVALID_REQUEST, "Null value not supported for : retention.ms"),
        (TOPIC, "nope", x, UNKNOWN_TOPIC, "The topic 'nope' does not exist."),
        (TOPIC, "", x, INVALID_REQUEST, "Default topic resources are not allowed."),
        (77, "t", x, INVALID_REQUEST, "Unknown resource type 77"),
        (BROKER, "x", x, INVALID_REQUEST, "Node id must be an integer, but it is: x"),
        (BROKER, "7", x, INVALID_REQUEST, "Unexpected broker id, expected 1, but received 7"),
        (BROKER_LOGGER, "7", x, INVALID_REQUEST, "Unexpected node id. Expected 1, but received 7"),
        (
            BROKER,
            "1",
            &[("max.connections", APPEND, Some("5"))],
            INVALID_CONFIG,
            "Config value append is not allowed for config key: max.connections",
        ),
        (CLIENT_METRICS, "m", x, INVALID_REQUEST, "Unknown client metrics configuration: retention.ms"),
        (GROUP, "g", x, INVALID_CONFIG, "Unknown group config name: retention.ms"),
        (GROUP, "", x, INVALID_REQUEST, "Default group resources are not allowed."),
    ] {
        assert_eq!(alter_one(&mut client, kind, name, changes), (code, Some(text.to_owned())), "{kind} {name}");
    }
    assert_eq!(alter_one(&mut client, TOPIC, "no/name", x).0, INVALID_TOPIC);
}

#[test]
fn a_resource_or_key_that_comes_twice_is_refused_and_the_others_are_not() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    for name in ["a", "b", "c"] {
        client.create_topic(name, 1, &[]).unwrap();
    }
    let set = |name: &str, value| resource(TOPIC, name, &[("retention.ms", SET, Some(value))]);
    let twice = resource(TOPIC, "c", &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)]);
    let outcome = alter(&mut client, vec![set("a", "1"), set("b", "2"), set("a", "3"), twice], false);
    let once = Some("Each resource must appear at most once.".to_owned());
    let keys = Some("Error due to duplicate config keys".to_owned());
    assert_eq!(outcome, [(INVALID_REQUEST, once.clone()), (0, None), (INVALID_REQUEST, once), (INVALID_REQUEST, keys)]);
    await_configs(&mut client, "b", &[("retention.ms", "2")]);
    await_configs(&mut client, "a", &[]);
    await_configs(&mut client, "c", &[]);
}

#[test]
fn the_older_request_sets_all_configs_at_once() {
    let broker = Broker::start(&[]);
    let (mut client, mut other) = (connect(&broker), connect(&broker));
    client.create_topic("t", 1, &[("retention.ms", "5"), ("segment.ms", "6")]).unwrap();
    let mut replace = |kind: i8, name: &str, configs: &[(&str, &str)]| {
        let config = |(name, value): &(&str, &str)| LegacyConfig { name: (*name).into(), value: Some((*value).into()) };
        let configs = configs.iter().map(config).collect();
        let resources = vec![LegacyResource { resource_type: kind, resource_name: name.into(), configs }];
        client.call(&AlterConfigsRequest { resources, validate_only: false }, 2, true).unwrap().responses[0].error_code
    };
    assert_eq!(replace(TOPIC, "t", &[("segment.ms", "7"), ("cleanup.policy", "compact")]), 0);
    await_configs(&mut other, "t", &[("cleanup.policy", "compact"), ("segment.ms", "7")]);
    assert_eq!(replace(TOPIC, "t", &[]), 0);
    await_configs(&mut other, "t", &[]);
    assert_eq!(replace(TOPIC, "t", &[("segment.ms", "x")]), INVALID_CONFIG);
    assert_eq!(replace(BROKER_LOGGER, "1", &[("root", "INFO")]), INVALID_REQUEST);
    assert_eq!(replace(BROKER, "1", &[("log.dirs", "/x")]), INVALID_REQUEST);
}

#[test]
fn resources_with_configs_are_listed() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_and_await("t", 1, &[]);
    let mut list = |types: &[i8], version: i16| {
        let answer = client.call(&ListConfigResourcesRequest { resource_types: types.to_vec() }, version, true).unwrap();
        let mut listed: Vec<_> = answer.config_resources.iter().map(|r| (r.resource_type, r.resource_name.to_string())).collect();
        listed.sort();
        (answer.error_code, listed)
    };
    let of = |kind, name: &str| (kind, name.to_owned());
    assert_eq!(list(&[], 0), (0, vec![]), "client metrics only");
    assert_eq!(list(&[TOPIC], 1), (0, vec![of(TOPIC, "t")]));
    let all = vec![of(TOPIC, "t"), of(BROKER, "1"), of(BROKER_LOGGER, "1")];
    assert_eq!(list(&[], 1), (0, all));
    assert_eq!(list(&[TOPIC, 77], 1).0, UNSUPPORTED_VERSION);
}

#[test]
fn loggers_and_unknown_brokers_are_described() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    let mut describe = |kind: i8, name: &str, keys: Option<&[&str]>| {
        let configuration_keys = keys.map(|keys| keys.iter().map(|key| (*key).into()).collect());
        let resource = DescribeConfigsResource { resource_type: kind, resource_name: name.into(), configuration_keys };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        client.call(&request, 4, true).unwrap().results.remove(0)
    };
    let root = describe(BROKER_LOGGER, "1", Some(&["root"]));
    assert_eq!((root.error_code, root.configs.len()), (0, 1));
    let config = &root.configs[0];
    assert_eq!((&*config.name, config.value.as_deref(), config.config_source), ("root", Some("INFO"), 6));
    assert_eq!((config.read_only, config.is_sensitive, config.config_type, config.synonyms.len()), (false, false, 0, 0));
    for (kind, name, code, text) in [
        (BROKER_LOGGER, "", INVALID_REQUEST, Some("Broker id must not be empty")),
        (BROKER_LOGGER, "7", INVALID_REQUEST, Some("Unexpected broker id, expected 1 but received 7")),
        (BROKER, "7", INVALID_REQUEST, Some("Unexpected broker id, expected 1 or empty string, but received 7")),
        (BROKER, "x", INVALID_REQUEST, Some("Broker id must be an integer, but it is: x")),
        (TOPIC, "nope", UNKNOWN_TOPIC, Some("")),
    ] {
        let result = describe(kind, name, None);
        assert_eq!((result.error_code, result.error_message.as_deref()), (code, text), "{kind} {name}");
    }
    let broker = describe(BROKER, "1", None);
    assert!(broker.configs.len() > 300);
    for config in &broker.configs {
        assert_eq!(config.read_only, !is_dynamic(&config.name), "{}", config.name);
    }
}

#[test]
fn log_dirs_have_sizes() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_and_await("t", 2, &[]);
    let mut describe = |topics: Option<Vec<(&str, &[i32])>>, version: i16| {
        let topic =
            |(topic, partitions): (&str, &[i32])| DescribableLogDirTopic { topic: topic.into(), partitions: partitions.to_vec() };
        let request = DescribeLogDirsRequest { topics: topics.map(|topics| topics.into_iter().map(topic).collect()) };
        client.call(&request, version, version >= 2).unwrap()
    };
    for version in 1..=4 {
        let answer = describe(None, version);
        let [dir] = &answer.results[..] else { panic!("{answer:?}") };
        assert_eq!((answer.error_code, dir.error_code), (0, 0));
        assert_eq!(dir.topics[0].partitions.len(), 2);
        match version {
            4 => assert!(dir.total_bytes >= dir.usable_bytes && dir.usable_bytes > 0),
            _ => assert_eq!((dir.total_bytes, dir.usable_bytes), (-1, -1)),
        }
    }
    let some = describe(Some(vec![("t", &[1, 9]), ("nope", &[0])]), 4);
    let found: Vec<_> = some.results[0].topics.iter().map(|t| (t.name.to_string(), t.partitions.len())).collect();
    assert_eq!(found, [("t".to_owned(), 1)]);
    assert!(describe(Some(vec![]), 4).results[0].topics.is_empty());
}

#[test]
fn producers_are_described() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_and_await("t", 2, &[]);
    let mut given = (1, -1, -1);
    eventually("a producer id", || {
        given = client.init_producer_id().unwrap();
        given.0 == 0
    });
    let (_, id, epoch) = given;
    let mut builder = BatchBuilder::new(Compression::NONE).producer(ProducerId(id), epoch, 0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    for _ in 0..3 {
        builder.append(now, None, Some(b"x"));
    }
    let request = produce_request("t", TopicId::ZERO, 0, -1, builder.build(), 12);
    client.send(&request, 12, true).unwrap();
    assert_eq!(produce_answer(client.receive(true).unwrap().1, 12), (0, 0));
    let topic = |name: &str, indexes: &[i32]| TopicRequest { name: name.into(), partition_indexes: indexes.to_vec() };
    let request = DescribeProducersRequest { topics: vec![topic("t", &[0, 1, 9]), topic("nope", &[0]), topic("no/name", &[0])] };
    let answer = client.call(&request, 0, true).unwrap();
    let partitions: Vec<_> = answer.topics.iter().flat_map(|topic| &topic.partitions).collect();
    let told: Vec<_> = partitions.iter().map(|p| (p.partition_index, p.error_code, p.active_producers.len())).collect();
    assert_eq!(told, [(0, 0, 1), (1, 0, 0), (9, UNKNOWN_TOPIC, 0), (0, UNKNOWN_TOPIC, 0), (0, INVALID_TOPIC, 0)]);
    let producer = &partitions[0].active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (id, i32::from(epoch), 2));
    assert_eq!((producer.last_timestamp, producer.coordinator_epoch, producer.current_txn_start_offset), (now, -1, -1));
    let messages: Vec<_> = partitions.iter().map(|p| p.error_message.as_deref()).collect();
    assert_eq!(messages[..3], [None; 3]);
}

#[test]
fn the_quorum_has_one_voter() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    let mut ask = |topic: &str, partition: i32, version: i16| {
        let partitions = vec![PartitionData { partition_index: partition }];
        let request = DescribeQuorumRequest { topics: vec![TopicData { topic_name: topic.into(), partitions }] };
        client.call(&request, version, true).unwrap()
    };
    for version in 0..=2 {
        let answer = ask("__cluster_metadata", 0, version);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((answer.error_code, partition.error_code, partition.leader_id), (0, 0, 1));
        assert!(partition.high_watermark > 0 && partition.leader_epoch > 0);
        assert_eq!((partition.current_voters.len(), partition.observers.len()), (1, 0));
        let voter = &partition.current_voters[0];
        assert_eq!((voter.replica_id, voter.replica_directory_id), (1, TopicId::ZERO));
        assert!(voter.log_end_offset >= partition.high_watermark);
        if version >= 1 {
            assert!(voter.last_fetch_timestamp > 0 && voter.last_fetch_timestamp == voter.last_caught_up_timestamp);
        }
        assert_eq!(answer.nodes.iter().map(|node| node.node_id).collect::<Vec<_>>(), if version < 2 { vec![] } else { vec![1] });
    }
    for (topic, partition) in [("t", 0), ("__cluster_metadata", 1)] {
        let answer = ask(topic, partition, 2);
        assert_eq!((answer.error_code, answer.topics[0].partitions[0].error_code), (0, UNKNOWN_TOPIC), "{topic}-{partition}");
    }
}

#[test]
fn elections_and_reassignments_find_nothing_to_do() {
    let broker = Broker::start(&[]);
    let mut client = connect(&broker);
    client.create_topic("t", 1, &[]).unwrap();
    let mut elect = |election_type: i8, partitions: Option<&[(&str, i32)]>| {
        let named = |(topic, index): &(&str, i32)| TopicPartitions { topic: (*topic).into(), partitions: vec![*index] };
        let topic_partitions = partitions.map(|partitions| partitions.iter().map(named).collect());
        let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 10_000 };
        let answer = client.call(&request, 2, true).unwrap();
        let results = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        (
            answer.error_code,
            results.map(|result| (result.error_code, result.error_message.as_deref().map(str::to_owned))).collect::<Vec<_>>(),
        )
    };
    let of = |code: i16, text: &str| (code, Some(text.to_owned()));
    for election in [0, 1] {
        let expected = vec![
            of(ELECTION_NOT_NEEDED, "Leader election not needed for topic partition."),
            of(UNKNOWN_TOPIC, "No such partition as t-9"),
            of(UNKNOWN_TOPIC, "No such topic as nope"),
        ];
        assert_eq!(elect(election, Some(&[("t", 0), ("t", 9), ("nope", 0)])), (0, expected));
        assert_eq!(elect(election, None), (0, vec![]));
    }
    assert_eq!(elect(7, Some(&[("t", 0)])).0, INVALID_REQUEST);

    let mut reassign = |topic: &str, index: i32, replicas: Option<&[i32]>, version: i16, may_change_factor: bool| {
        let partition = ReassignablePartition { partition_index: index, replicas: replicas.map(<[i32]>::to_vec) };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic { name: topic.into(), partitions: vec![partition] }],
            allow_replication_factor_change: may_change_factor,
            timeout_ms: 10_000,
        };
        let answer = client.call(&request, version, true).unwrap();
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        let result = &answer.responses[0].partitions[0];
        (result.error_code, result.error_message.as_deref().map(str::to_owned))
    };
    assert_eq!(reassign("t", 0, Some(&[1]), 1, true), (0, None));
    assert_eq!(reassign("t", 0, Some(&[1]), 0, true), (0, None));
    assert_eq!(reassign("t", 0, None, 1, true), (NO_REASSIGNMENT, None));
    assert_eq!(reassign("nope", 0, Some(&[1]), 1, true), of(UNKNOWN_TOPIC, "Unable to find a topic named nope."));
    assert_eq!(reassign("t", 9, Some(&[1]), 1, true), of(UNKNOWN_TOPIC, "Unable to find partition t:9."));
    let unknown = "The manual partition assignment includes broker 2, but no such broker is registered.";
    assert_eq!(reassign("t", 0, Some(&[2]), 1, true), of(INVALID_REPLICA_ASSIGNMENT, unknown));
    assert_eq!(reassign("t", 0, Some(&[]), 1, true).0, INVALID_REPLICA_ASSIGNMENT);

    for topics in [None, Some(vec![("t", vec![0]), ("nope", vec![0])])] {
        let named = |(name, indexes): (&str, Vec<i32>)| ListPartitionReassignmentsTopics {
            name: name.into(),
            partition_indexes: indexes,
        };
        let topics = topics.map(|topics| topics.into_iter().map(named).collect());
        let answer = client.call(&ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics }, 0, true).unwrap();
        assert_eq!((answer.error_code, answer.error_message, answer.topics.len()), (0, None, 0));
    }
}
