//! Administration with Kafka's own tools: what they print, what they refuse, and that a change is felt.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`), so that what is demanded is what Kafka does.

use crate::support::administration::{complaint, has, lines};
use crate::support::broker::Broker;
use crate::support::client::Client;
use bytes::Bytes;
use flumen::record::{BatchBuilder, Compression};
use std::time::{Duration, Instant};

const CONFIGS: &str = "kafka.admin.ConfigCommand";
const MESSAGE_TOO_LARGE: i16 = 10;

pub fn configs(broker: &Broker, entity: &[&str], arguments: &[&str]) -> Vec<String> {
    lines(broker, CONFIGS, &[entity, arguments].concat())
}

pub fn alter(broker: &Broker, entity: &[&str], arguments: &[&str]) {
    configs(broker, entity, &[&["--alter"], arguments].concat());
}

/// One batch of one record.
fn batch(bytes: usize) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(i64::try_from(now).unwrap(), None, Some(&vec![7; bytes]));
    builder.build()
}

/// The error that a produce of one record gets.
fn produce(client: &mut Client, topic: &str, bytes: usize) -> i16 {
    client.produce(topic, 0, batch(bytes)).unwrap().0
}

/// Waits for what happens in the background.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn topic_configs_are_changed_described_and_felt() {
    let broker = Broker::start(&[("log.retention.check.interval.ms", "200"), ("log.initial.task.delay.ms", "200")]);
    broker.create_topic("felt", 1, &[("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")]);
    let mut client = Client::connect(broker.address()).unwrap();
    assert_eq!(produce(&mut client, "felt", 3000), 0);
    let entity = ["--entity-type", "topics", "--entity-name", "felt"];

    alter(&broker, &entity, &["--add-config", "max.message.bytes=2000,cleanup.policy=[delete,compact]"]);
    assert_eq!(produce(&mut client, "felt", 3000), MESSAGE_TOO_LARGE);
    let described = configs(&broker, &entity, &["--describe"]);
    has(&described, "Dynamic configs for topic felt are:");
    let synonyms = "synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000, DEFAULT_CONFIG:message.max.bytes=1048588}";
    has(&described, &format!("max.message.bytes=2000 sensitive=false {synonyms}"));
    let synonyms = "synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=delete,compact, DEFAULT_CONFIG:log.cleanup.policy=delete}";
    has(&described, &format!("cleanup.policy=delete,compact sensitive=false {synonyms}"));

    alter(&broker, &entity, &["--delete-config", "max.message.bytes,cleanup.policy"]);
    assert!(configs(&broker, &entity, &["--describe"]).iter().all(|line| !line.starts_with("max.message.bytes")));
    for _ in 0..12 {
        assert_eq!(produce(&mut client, "felt", 300_000), 0);
    }
    let start = |client: &mut Client| client.list_offset("felt", 0, -2).unwrap().1;
    assert_eq!(start(&mut client), 0);
    alter(&broker, &entity, &["--add-config", "retention.bytes=1000"]);
    eventually("retention by size", || start(&mut client) > 0);
}

#[test]
fn topic_configs_that_cannot_be_are_refused() {
    let broker = Broker::start(&[]);
    broker.create_topic("strict", 1, &[]);
    let entity = ["--entity-type", "topics", "--entity-name", "strict", "--alter"];
    for (change, text) in [
        ("no.such=1", "Unknown topic config name: no.such"),
        ("retention.ms=soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG"),
        ("cleanup.policy=keep", "Invalid value keep for configuration cleanup.policy: String must be one of: compact, delete"),
    ] {
        let said = complaint(&broker, CONFIGS, &[&entity[..], &["--add-config", change]].concat());
        assert!(said.contains("InvalidConfigurationException") && said.contains(text), "{change}: {said}");
    }
    let missing = ["--entity-type", "topics", "--entity-name", "nope", "--alter", "--add-config", "retention.ms=1"];
    let said = complaint(&broker, CONFIGS, &missing);
    assert!(said.contains("UnknownTopicOrPartitionException") || said.contains("does not exist"), "{said}");
    assert!(configs(&broker, &entity[..4], &["--describe"]).iter().all(|line| !line.contains("retention")));
}

#[test]
fn broker_configs_are_changed_for_one_and_for_all() {
    let broker = Broker::start(&[("message.max.bytes", "5000")]);
    broker.create_topic("inherits", 1, &[]);
    let mut client = Client::connect(broker.address()).unwrap();
    let all = ["--entity-type", "brokers", "--entity-default"];
    let one = ["--entity-type", "brokers", "--entity-name", "1"];
    assert_eq!(produce(&mut client, "inherits", 3000), 0);

    alter(&broker, &all, &["--add-config", "message.max.bytes=2000"]);
    eventually("the limit of all brokers", || produce(&mut client, "inherits", 3000) == MESSAGE_TOO_LARGE);
    let synonyms = "synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000}";
    eventually("the description of all brokers", || {
        let described = configs(&broker, &all, &["--describe"]);
        described.contains(&format!("message.max.bytes=2000 sensitive=false {synonyms}"))
    });

    alter(&broker, &one, &["--add-config", "message.max.bytes=4000,log.retention.ms=86400000"]);
    eventually("the limit of this broker", || produce(&mut client, "inherits", 3000) == 0);
    let described = configs(&broker, &one, &["--describe"]);
    let lower = "STATIC_BROKER_CONFIG:message.max.bytes=5000, DEFAULT_CONFIG:message.max.bytes=1048588";
    let synonyms =
        format!("DYNAMIC_BROKER_CONFIG:message.max.bytes=4000, DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000, {lower}");
    has(&described, &format!("message.max.bytes=4000 sensitive=false synonyms={{{synonyms}}}"));
    let synonyms = "synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=86400000, DEFAULT_CONFIG:log.retention.hours=168}";
    has(&described, &format!("log.retention.ms=86400000 sensitive=false {synonyms}"));
    let topic = configs(&broker, &["--entity-type", "topics", "--entity-name", "inherits"], &["--describe", "--all"]);
    let synonyms = "synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=86400000, DEFAULT_CONFIG:log.retention.hours=168}";
    has(&topic, &format!("retention.ms=86400000 sensitive=false {synonyms}"));

    alter(&broker, &one, &["--delete-config", "message.max.bytes,log.retention.ms"]);
    alter(&broker, &all, &["--delete-config", "message.max.bytes"]);
    eventually("the file's limit again", || produce(&mut client, "inherits", 3000) == 0);
    has(&configs(&broker, &all, &["--describe"]), "Default configs for brokers in the cluster are:");
}

#[test]
fn broker_configs_that_cannot_change_are_refused() {
    let broker = Broker::start(&[]);
    let one = ["--entity-type", "brokers", "--entity-name", "1", "--alter", "--add-config"];
    let all = ["--entity-type", "brokers", "--entity-default", "--alter", "--add-config"];
    for (entity, change, text) in [
        (&one, "log.dirs=/x", "Cannot update these configs dynamically: Set(log.dirs)"),
        (&one, "log.retention.hours=1", "Cannot update these configs dynamically: Set(log.retention.hours)"),
        (&one, "log.retention.ms=soon", "Invalid value soon for configuration log.retention.ms: Not a number of type LONG"),
        (&one, "num.io.threads=100", "value should not be greater than double the current value 8"),
        (&one, "ssl.keystore.location=/x", "can be dynamically updated only per-listener using the listener prefix"),
    ] {
        let said = complaint(&broker, CONFIGS, &[&entity[..], &[change]].concat());
        assert!(said.contains("InvalidRequestException") && said.contains(text), "{change}: {said}");
    }
    let said = complaint(&broker, CONFIGS, &[&all[..], &["listeners=PLAINTEXT://:1"]].concat());
    assert!(said.contains("InvalidRequestException") && said.contains("broker id must be specified"), "{said}");
}

#[test]
fn a_limit_of_connections_holds_from_when_it_is_set() {
    let broker = Broker::start(&[]);
    let all = ["--entity-type", "brokers", "--entity-default"];
    let mut held: Vec<Client> = (0..8).map(|_| Client::connect(broker.address()).unwrap()).collect();
    assert!(held.iter_mut().all(|client| client.topic_id("none").is_ok()));
    // The tool needs some for itself, so the limit is above what is held, and reached by more.
    alter(&broker, &all, &["--add-config", "max.connections=20"]);
    let mut refused = false;
    for _ in 0..30 {
        let mut client = Client::connect(broker.address()).unwrap();
        client.limit(Duration::from_secs(2));
        match client.topic_id("none") {
            Ok(_) => held.push(client),
            Err(_) => {
                refused = true;
                break;
            }
        }
    }
    assert!(refused && held.len() >= 12 && held.len() <= 20, "{} connections were served", held.len());
}

/// Nothing receives what clients would report, here or in Apache Kafka without a plugin: a subscription is kept and described.
#[test]
fn subscriptions_of_client_metrics_are_kept_and_described() {
    let mut broker = Broker::start(&[]);
    let entity = ["--entity-type", "client-metrics", "--entity-name", "watched"];
    let metrics = "metrics=[org.apache.kafka.producer.,org.apache.kafka.consumer.]";
    alter(&broker, &entity, &["--add-config", &format!("interval.ms=1000,{metrics},match=[client_id=a.*]")]);
    let expected =
        [("interval.ms", "1000"), ("match", "client_id=a.*"), ("metrics", &metrics["metrics=[".len()..metrics.len() - 1])];
    let are_described = |broker: &Broker| {
        let described = configs(broker, &entity, &["--describe"]);
        expected.iter().all(|(name, value)| {
            let synonyms = format!("synonyms={{DYNAMIC_CLIENT_METRICS_CONFIG:{name}={value}}}");
            described.contains(&format!("{name}={value} sensitive=false {synonyms}"))
        })
    };
    eventually("the description", || are_described(&broker));
    broker.stop();
    broker.restart();
    eventually("the description after a restart", || are_described(&broker));
    let tool = "org.apache.kafka.tools.ClientMetricsCommand";
    has(&lines(&broker, tool, &["--list"]), "watched");
    alter(&broker, &entity, &["--delete-config", "interval.ms,metrics,match"]);
    eventually("the end of it", || !lines(&broker, tool, &["--list"]).contains(&"watched".to_owned()));
    for (change, exception, text) in [
        ("interval.ms=5", "InvalidRequestException", "interval must be between 100 and 3600000 (1 hour)"),
        ("interval.ms=soon", "InvalidConfigurationException", "Not a number of type INT"),
        ("match=[color=red]", "InvalidConfigurationException", "Illegal client matching pattern: color=red"),
    ] {
        let said = complaint(&broker, CONFIGS, &[&entity[..], &["--alter", "--add-config", change]].concat());
        assert!(said.contains(exception) && said.contains(text), "{change}: {said}");
    }
}

#[test]
fn loggers_have_levels() {
    let broker = Broker::start(&[]);
    let loggers = ["--entity-type", "broker-loggers", "--entity-name", "1"];
    alter(&broker, &loggers, &["--add-config", "root=WARN"]);
    has(&configs(&broker, &loggers, &["--describe"]), "root=WARN sensitive=false synonyms={}");
    alter(&broker, &loggers, &["--add-config", "root=INFO"]);
    has(&configs(&broker, &loggers, &["--describe"]), "root=INFO sensitive=false synonyms={}");
    for (change, text) in [
        (["--add-config", "no.such=INFO"], "Invalid broker logger(s): no.such"),
        (["--add-config", "root=LOUD"], "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"),
        (["--delete-config", "root"], "Removing the log level of the root logger is not allowed"),
    ] {
        let said = complaint(&broker, CONFIGS, &[&loggers[..], &["--alter"], &change].concat());
        assert!(said.contains(text), "{change:?}: {said}");
    }
}

#[test]
fn log_dirs_are_described() {
    let broker = Broker::start(&[]);
    broker.create_topic("sized", 2, &[]);
    broker.create_topic("other", 1, &[]);
    let mut client = Client::connect(broker.address()).unwrap();
    assert_eq!(produce(&mut client, "sized", 1000), 0);
    let described = |arguments: &[&str]| {
        let lines = lines(&broker, "org.apache.kafka.tools.LogDirsCommand", &[&["--describe"], arguments].concat());
        let json = lines.iter().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{lines:?}"));
        serde_json::from_str::<serde_json::Value>(json).unwrap()
    };
    let all = described(&[]);
    let dir = &all["brokers"][0]["logDirs"][0];
    assert_eq!((&dir["logDir"], &dir["error"]), (&broker.data_dir().to_str().unwrap().into(), &serde_json::Value::Null));
    let mut partitions: Vec<(String, bool)> = dir["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["partition"].as_str().unwrap().to_owned(), p["size"].as_u64().unwrap() > 1000))
        .collect();
    partitions.sort();
    assert_eq!(partitions, [("other-0".to_owned(), false), ("sized-0".to_owned(), true), ("sized-1".to_owned(), false)]);
    let partition = &dir["partitions"][0];
    assert_eq!((&partition["offsetLag"], &partition["isFuture"]), (&0.into(), &false.into()));
    let some = described(&["--topic-list", "other"]);
    assert_eq!(some["brokers"][0]["logDirs"][0]["partitions"].as_array().unwrap().len(), 1);
}

#[test]
fn the_quorum_is_described() {
    let broker = Broker::start(&[]);
    let tool = "org.apache.kafka.tools.MetadataQuorumCommand";
    let status = lines(&broker, tool, &["describe", "--status"]);
    let value = |name: &str| {
        let line = status.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {status:?}"));
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    assert_eq!((value("LeaderId"), value("CurrentObservers"), value("MaxFollowerLag")), ("1".into(), "[]".into(), "0".into()));
    assert!(value("HighWatermark").parse::<i64>().unwrap() > 0 && value("LeaderEpoch").parse::<i32>().unwrap() > 0);
    assert!(value("CurrentVoters").contains('1'));
    let replication = lines(&broker, tool, &["describe", "--replication"]);
    let rows: Vec<Vec<&str>> = replication
        .iter()
        .map(|line| line.split_whitespace().collect())
        .filter(|row: &Vec<&str>| row.first() == Some(&"1"))
        .collect();
    assert_eq!(rows.len(), 1, "{replication:?}");
    assert_eq!((rows[0][3], *rows[0].last().unwrap()), ("0", "Leader"));
}

#[test]
fn leaders_and_replicas_of_one_broker_stay_where_they_are() {
    let broker = Broker::start(&[]);
    broker.create_topic("still", 1, &[]);
    let tool = "org.apache.kafka.tools.LeaderElectionCommand";
    let one = ["--election-type", "preferred", "--topic", "still", "--partition", "0"];
    let said = lines(&broker, tool, &one);
    has(&said, "Valid replica already elected for partitions still-0");
    lines(&broker, tool, &["--election-type", "preferred", "--all-topic-partitions"]);
    let tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    has(&lines(&broker, tool, &["--list"]), "No partition reassignments found.");
    let file = tempfile::NamedTempFile::new().unwrap();
    let plan = r#"{"version":1,"partitions":[{"topic":"still","partition":0,"replicas":[1]}]}"#;
    std::fs::write(file.path(), plan).unwrap();
    let path = file.path().to_str().unwrap();
    has(
        &lines(&broker, tool, &["--execute", "--reassignment-json-file", path]),
        "Successfully started partition reassignment for still-0",
    );
    has(
        &lines(&broker, tool, &["--verify", "--reassignment-json-file", path]),
        "Reassignment of partition still-0 is completed.",
    );
    std::fs::write(file.path(), plan.replace("[1]", "[9]")).unwrap();
    let said = complaint(&broker, tool, &["--execute", "--reassignment-json-file", path]);
    assert!(said.contains('9'), "{said}");
}
