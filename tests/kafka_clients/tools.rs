//! Kafka's own tools ask about offsets, the cluster and topics: each answer is compared with what was written, or with what the broker
//! says to a client of ours.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`), so that what is demanded is what Kafka does.

use crate::support::administration::{complaint, file_with, has, lines};
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::members::wait_until;
use crate::support::tools;
use flumen::protocol::ApiKey;
use flumen::protocol::generated::api_versions_response::{ApiVersion, SupportedFeatureKey};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::Duration;

const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const REASSIGNMENTS: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
const LIMIT: Duration = Duration::from_secs(30);

/// Some time. It is long ago, so topics with such records must be kept.
const BASE: i64 = 1_700_000_000_000;
pub const KEPT: (&str, &str) = ("retention.ms", "-1");

/// One broker for all tests here and in `tool_clients`, each with topics of its own: most of the time is spent in starting tools.
pub fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(&[("auto.create.topics.enable", "false"), ("group.initial.rebalance.delay.ms", "0")]))
}

pub fn connect() -> Client {
    Client::connect(broker().address()).unwrap()
}

/// Records with the values "0", "1" and so on, at these times after [`BASE`].
fn write(client: &mut Client, topic: &str, partition: i32, times: &[i64]) {
    let values: Vec<String> = (0..times.len()).map(|number| number.to_string()).collect();
    let records: Vec<(i64, &str)> = times.iter().zip(&values).map(|(time, value)| (BASE + time, value.as_str())).collect();
    client.write(topic, partition, &records);
}

#[test]
fn offsets_are_told_by_time_and_place() {
    let mut client = connect();
    client.create_and_await("placed", 3, &[KEPT]);
    client.create_and_await("placed-too", 2, &[KEPT]);
    write(&mut client, "placed", 0, &[0, 1000, 3000, 2000]);
    write(&mut client, "placed", 1, &[5000]);
    let (between, after) = ((BASE + 1500).to_string(), (BASE + 9000).to_string());
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--topic", "placed"], &["placed:0:4", "placed:1:1", "placed:2:0"]),
        (&["--topic", "placed", "--time", "earliest"], &["placed:0:0", "placed:1:0", "placed:2:0"]),
        // An empty partition has no greatest time, and none that is late enough; such a partition has no line.
        (&["--topic", "placed", "--time", "max-timestamp"], &["placed:0:2", "placed:1:0"]),
        (&["--topic", "placed", "--time", &between], &["placed:0:2", "placed:1:0"]),
        (&["--topic", "placed", "--time", &after], &[]),
        (&["--topic", "placed", "--partitions", "1,2", "--time", "-1"], &["placed:1:1", "placed:2:0"]),
        (&["--topic-partitions", "placed:0-2,placed-.*:1"], &["placed-too:1:0", "placed:0:4", "placed:1:1"]),
        (&["--topic-partitions", "__consumer_offsets:0,placed:1", "--exclude-internal-topics"], &["placed:1:1"]),
    ];
    for (arguments, expected) in cases {
        let mut told = lines(broker(), OFFSETS, arguments);
        told.sort();
        assert_eq!(told, expected, "{arguments:?}");
    }
    let said = complaint(broker(), OFFSETS, &["--topic", "absent"]);
    assert!(said.contains("Could not match any topic-partitions with the specified filters"), "{said}");
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let mut client = connect();
    client.create_and_await("cut", 2, &[KEPT]);
    write(&mut client, "cut", 0, &[0; 10]);
    write(&mut client, "cut", 1, &[0; 5]);
    let delete = |first: i64, second: i64| {
        let place = |partition: i32, offset: i64| json!({"topic": "cut", "partition": partition, "offset": offset});
        let plan = file_with(&json!({"version": 1, "partitions": [place(0, first), place(1, second)]}).to_string());
        let path = plan.path().to_str().unwrap();
        let mut told = lines(broker(), "org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", path]);
        told.retain(|line| line.starts_with("partition: "));
        told.sort();
        told
    };
    // -1 is the high watermark.
    assert_eq!(delete(4, -1), ["partition: cut-0\tlow_watermark: 4", "partition: cut-1\tlow_watermark: 5"]);
    assert_eq!(lines(broker(), OFFSETS, &["--topic", "cut", "--time", "earliest"]), ["cut:0:4", "cut:1:5"]);
    assert_eq!(client.list_offset("cut", 0, -1).unwrap(), (0, 10));
    let left: Vec<i64> = client.read("cut", 0, 4, 10).iter().map(|record| record.offset).collect();
    assert_eq!(left, [4, 5, 6, 7, 8, 9]);
    // Beyond the end nothing is deleted, before the start nothing is left to delete.
    let told = delete(100, 2);
    assert!(told[0].starts_with("partition: cut-0\terror: ") && told[0].contains("OffsetOutOfRangeException"), "{told:?}");
    assert_eq!(told[1], "partition: cut-1\tlow_watermark: 5");
    assert_eq!(client.list_offset("cut", 0, -2).unwrap(), (0, 4));
}

#[test]
fn the_cluster_is_told() {
    let bootstrap = broker().bootstrap();
    let cluster = |command: &str, arguments: &[&str]| {
        let arguments = [&[command, "--bootstrap-server", &bootstrap], arguments].concat();
        String::from_utf8(tools::kafka_tool("org.apache.kafka.tools.ClusterTool", &arguments, b"")).unwrap()
    };
    let properties = std::fs::read_to_string(broker().data_dir().join("meta.properties")).unwrap();
    let id = properties.lines().find_map(|line| line.strip_prefix("cluster.id=")).expect("an id");
    assert_eq!(cluster("cluster-id", &[]).trim(), format!("Cluster ID: {id}"));

    let port = broker().port.to_string();
    let table = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let endpoints = cluster("list-endpoints", &[]);
    let expected = [
        vec!["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"],
        vec!["1", "127.0.0.1", &port, "null", "unfenced", "broker"],
    ];
    assert_eq!(table(&endpoints), expected);
    let endpoints = cluster("list-endpoints", &["--include-fenced-brokers"]);
    assert_eq!(table(&endpoints), expected);
}

#[test]
fn the_versions_of_every_api_are_told() {
    let told = lines(broker(), "org.apache.kafka.tools.BrokerApiVersionsCommand", &[]);
    let (head, foot) = (format!("{} (id: 1 rack: null isFenced: false) -> (", broker().bootstrap()), ")");
    assert_eq!((told.first(), told.last().map(String::as_str)), (Some(&head), Some(foot)), "{told:?}");
    let apis = told[1..told.len() - 1].iter().map(|line| line.trim_end_matches(','));
    let (unsupported, supported): (Vec<&str>, Vec<&str>) = apis.partition(|line| line.ends_with("): UNSUPPORTED"));

    let mut served = connect().api_versions().unwrap().api_keys;
    served.sort_by_key(|api| api.api_key);
    let line = |api: &ApiVersion| {
        let ApiVersion { api_key, min_version, max_version, .. } = api;
        let name = ApiKey::from_code(*api_key).unwrap_or_else(|| panic!("an API {api_key}")).name();
        let range = if min_version == max_version { min_version.to_string() } else { format!("{min_version} to {max_version}") };
        format!("{name}({api_key}): {range} [usable: {max_version}]")
    };
    assert_eq!(supported, served.iter().map(line).collect::<Vec<_>>());
    for line in unsupported {
        let number: i16 = line.split(['(', ')']).nth(1).and_then(|number| number.parse().ok()).expect(line);
        assert!(served.iter().all(|api| api.api_key != number), "{line}");
    }
}

/// What the tool calls the versions of the metadata that Kafka 4.2, and Flumen, begin and end with.
fn metadata_version(level: i16) -> &'static str {
    match level {
        7 => "3.3-IV3",
        17 => "3.7-IV2",
        29 => "4.2-IV1",
        other => panic!("metadata.version {other}"),
    }
}

#[test]
fn features_are_told() {
    let served = connect().api_versions().unwrap();
    let level = |name: &str, level: i16| {
        if name == "metadata.version" { metadata_version(level).to_owned() } else { level.to_string() }
    };
    let line = |feature: &SupportedFeatureKey| {
        let SupportedFeatureKey { name, min_version, max_version, .. } = feature;
        let finalized = served.finalized_features.iter().find(|one| one.name == *name).map_or(0, |one| one.max_version_level);
        let [min, max, finalized] = [*min_version, *max_version, finalized].map(|number| level(name, number));
        format!("Feature: {name}\tSupportedMinVersion: {min}\tSupportedMaxVersion: {max}\tFinalizedVersionLevel: {finalized}")
    };
    let mut expected: Vec<String> = served.supported_features.iter().map(line).collect();
    expected.sort();
    assert!(expected.iter().any(|line| line.starts_with("Feature: metadata.version\t")), "{expected:?}");

    let told = lines(broker(), "org.apache.kafka.tools.FeatureCommand", &["describe"]);
    let (features, epochs): (Vec<&str>, Vec<&str>) = told.iter().map(|line| line.rsplit_once("\tEpoch: ").expect(line)).unzip();
    assert_eq!(features, expected);
    // The epoch is an offset of the metadata, which may have grown since.
    assert!(epochs.iter().all(|epoch| epoch.parse::<i64>().unwrap() >= served.finalized_features_epoch), "{epochs:?}");
}

#[test]
fn topics_are_managed() {
    let topics = |arguments: &[&str]| lines(broker(), TOPICS, arguments);
    let create =
        ["--create", "--topic", "managed", "--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=60000"];
    has(&topics(&create), "Created topic managed.");
    let said = complaint(broker(), TOPICS, &create);
    assert!(said.contains("Topic 'managed' already exists"), "{said}");
    topics(&[&create[..], &["--if-not-exists"]].concat());

    // Kafka has more columns than these when it keeps eligible leader replicas.
    let places = |described: &[String]| -> Vec<String> {
        let partitions = described.iter().filter(|line| line.starts_with("Topic: managed\tPartition: "));
        partitions.map(|line| line.split('\t').take(5).collect::<Vec<_>>().join("\t")).collect()
    };
    let place = |partition: i32| format!("Topic: managed\tPartition: {partition}\tLeader: 1\tReplicas: 1\tIsr: 1");
    let described = topics(&["--describe", "--topic", "managed"]);
    assert!(described[0].starts_with("Topic: managed\tTopicId: "), "{described:?}");
    assert!(described[0].contains("\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: "), "{described:?}");
    assert!(described[0].contains("retention.ms=60000"), "{described:?}");
    assert_eq!(places(&described), (0..2).map(place).collect::<Vec<_>>());

    let alter = |partitions: &'static str| ["--alter", "--topic", "managed", "--partitions", partitions];
    topics(&alter("5"));
    let said = complaint(broker(), TOPICS, &alter("3"));
    assert!(said.contains("InvalidPartitionsException"), "{said}");
    assert_eq!(places(&topics(&["--describe", "--topic", "managed", "--at-min-isr-partitions"])).len(), 5);
    assert_eq!(places(&topics(&["--describe", "--topic", "managed", "--under-replicated-partitions"])).len(), 0);
    let changed = topics(&["--describe", "--topics-with-overrides"]);
    assert!(changed.iter().any(|line| line.starts_with("Topic: managed\t")) && places(&changed).is_empty(), "{changed:?}");

    topics(&["--delete", "--topic", "managed"]);
    wait_until("the topic to be gone", LIMIT, || !topics(&["--list"]).iter().any(|topic| topic == "managed"));
    let said = complaint(broker(), TOPICS, &["--delete", "--topic", "managed"]);
    assert!(said.contains("Topic 'managed' does not exist as expected"), "{said}");
    topics(&["--delete", "--topic", "managed", "--if-exists"]);
}

#[test]
fn reassignments_are_planned_and_cancelled() {
    connect().create_and_await("planned", 2, &[]);
    let topics = file_with(r#"{"version":1,"topics":[{"topic":"planned"}]}"#);
    let topics = topics.path().to_str().unwrap();
    let told = lines(broker(), REASSIGNMENTS, &["--generate", "--topics-to-move-json-file", topics, "--broker-list", "1"]);
    let plans: Vec<&String> = told.iter().filter(|line| line.starts_with('{')).collect();
    assert_eq!(plans.len(), 2, "how it is, and how it should be: {told:?}");
    let log_dir = broker().data_dir().display().to_string();
    for (plan, dir) in plans.iter().zip([&*log_dir, "any"]) {
        let plan: Value = serde_json::from_str(plan).unwrap();
        let mut places: Vec<String> = plan["partitions"].as_array().unwrap().iter().map(Value::to_string).collect();
        places.sort();
        let place =
            |partition: i32| json!({"topic": "planned", "partition": partition, "replicas": [1], "log_dirs": [dir]}).to_string();
        assert_eq!(places, [place(0), place(1)]);
    }
    let plan = file_with(plans[1]);
    let told = lines(broker(), REASSIGNMENTS, &["--cancel", "--reassignment-json-file", plan.path().to_str().unwrap()]);
    has(&told, "None of the specified partition reassignments are active.");
}
