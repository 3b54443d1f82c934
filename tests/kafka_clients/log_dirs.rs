//! A partition moves from log dir to log dir, by Kafka's own tool and by requests, while the Java client writes and reads it.
//!
//! Passes against Apache Kafka 4.2.0 too, but for what a broker of ours does after a kill.

use crate::admin::eventually;
use crate::support::broker::{Broker, Kind};
use crate::support::client::Client;
use crate::support::peers::Peer;
use crate::support::process::Finished;
use crate::support::records::base_timestamp;
use crate::support::tools;
use flumen::protocol::generated::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use flumen::protocol::generated::describe_log_dirs_request::DescribeLogDirsRequest;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const TOPIC: &str = "moving";
/// Least bytes of a record's value; up to 996 more follow from its number.
const SIZE: u64 = 500;
const RECORDS: u64 = 250_000;
const LIMIT: Duration = Duration::from_secs(120);
const VERSION: i16 = 2;
const DESCRIBE_VERSION: i16 = 4;
const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
const UNKNOWN_TOPIC: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const LOG_DIR_NOT_FOUND: i16 = 57;

/// A broker with two log dirs, which go away with the second value.
fn with_two_dirs(settings: &[(&str, &str)]) -> (Broker, tempfile::TempDir, [PathBuf; 2]) {
    let home = tempfile::Builder::new().prefix("flumen-dirs-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dirs = ["first", "second"].map(|name| home.path().join(name));
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let both = format!("{},{}", dirs[0].display(), dirs[1].display());
    let settings: Vec<_> =
        [("log.dirs", both.as_str()), ("flumen.cores", "2")].into_iter().chain(settings.iter().copied()).collect();
    (Broker::start(&settings), home, dirs)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs a tool of Kafka's against the broker; everything that it printed.
fn tool(broker: &Broker, tool: &str, arguments: &[&str]) -> String {
    let bootstrap = broker.bootstrap();
    let arguments: Vec<&str> = ["--bootstrap-server", &bootstrap].into_iter().chain(arguments.iter().copied()).collect();
    let Finished { status, stdout, stderr } = tools::kafka_tool_finished(tool, &arguments, b"");
    let said = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{arguments:?}: {said}\n{stderr}");
    said
}

/// Which log dirs have the partition, and whether as a copy on its way, by what `kafka-log-dirs` prints.
fn described_by_tool(broker: &Broker) -> Vec<(String, bool)> {
    let said = tool(broker, "org.apache.kafka.tools.LogDirsCommand", &["--describe", "--topic-list", TOPIC]);
    let json = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
    let all: Value = serde_json::from_str(json).unwrap();
    let mut found = Vec::new();
    for dir in all["brokers"][0]["logDirs"].as_array().unwrap() {
        let path = dir["logDir"].as_str().unwrap().to_owned();
        found.extend(dir["partitions"].as_array().unwrap().iter().map(|p| (path.clone(), p["isFuture"].as_bool().unwrap())));
    }
    found
}

/// The same by a request.
fn described(client: &mut Client) -> Vec<(String, bool)> {
    let answer = client.call(&DescribeLogDirsRequest { topics: None }, DESCRIBE_VERSION, true).unwrap();
    let mut found = Vec::new();
    for dir in &answer.results {
        let partitions = dir.topics.iter().filter(|topic| topic.name == TOPIC).flat_map(|topic| &topic.partitions);
        found.extend(partitions.map(|partition| (dir.log_dir.to_string(), partition.is_future_key)));
    }
    found
}

/// The error of each partition, by topic and index.
fn alter(client: &mut Client, path: &str, topics: &[(&str, &[i32])]) -> Vec<(String, i32, i16)> {
    let topic =
        |(name, partitions): &(&str, &[i32])| AlterReplicaLogDirTopic { name: (*name).into(), partitions: partitions.to_vec() };
    let dir = AlterReplicaLogDir { path: path.into(), topics: topics.iter().map(topic).collect() };
    let answer = client.call(&AlterReplicaLogDirsRequest { dirs: vec![dir] }, VERSION, true).unwrap();
    let mut errors: Vec<_> = answer
        .results
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_name.to_string(), p.partition_index, p.error_code)))
        .collect();
    errors.sort();
    errors
}

/// Directories that have the partition's name, or begin with it.
fn directories(dirs: &[PathBuf; 2]) -> Vec<String> {
    let all = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()));
    let mut names: Vec<String> = all.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with(TOPIC)).collect();
    names.sort();
    names
}

fn read_all(bootstrap: &str, base: i64) -> Value {
    let task = json!({
        "do": "verify_numbered", "topic": TOPIC, "end": RECORDS, "size": SIZE, "base_timestamp": base, "seconds": LIMIT.as_secs(),
    });
    Peer::Java.run_within(bootstrap, &[task], LIMIT).remove(0)
}

#[test]
fn a_partition_moves_while_clients_go_on() {
    let (mut broker, _home, dirs) = with_two_dirs(&[]);
    broker.create_topic(TOPIC, 1, &[("segment.bytes", "16777216"), ("file.delete.delay.ms", "0")]);
    let (bootstrap, base) = (broker.bootstrap(), base_timestamp());
    let of_writer = bootstrap.clone();
    let task = json!({"do": "produce_numbered", "topic": TOPIC, "count": RECORDS, "size": SIZE, "base_timestamp": base});
    let writer = std::thread::spawn(move || Peer::Java.run_within(&of_writer, &[task], LIMIT).remove(0));
    let of_reader = bootstrap.clone();
    let reader = std::thread::spawn(move || read_all(&of_reader, base));

    let before = described_by_tool(&broker);
    let [(source, false)] = &before[..] else { panic!("{before:?}") };
    let other = |path: &str| text(dirs.iter().find(|dir| text(dir) != path).unwrap());
    let target = other(source);
    let plan =
        json!({"version": 1, "partitions": [{"topic": TOPIC, "partition": 0, "replicas": [1], "log_dirs": [target.clone()]}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plan.to_string()).unwrap();
    let path = text(file.path());
    let said = tool(&broker, REASSIGN, &["--execute", "--reassignment-json-file", &path]);
    assert!(
        said.contains(&format!("Successfully started moving log directory to {target} for replica moving-0 with broker 1")),
        "{said}"
    );
    let mut said = String::new();
    eventually("the move", || {
        said = tool(&broker, REASSIGN, &["--verify", "--preserve-throttles", "--reassignment-json-file", &path]);
        let is_over = said.contains("Reassignment of replica moving-0-1 completed successfully.");
        assert!(is_over || said.contains("Reassignment of replica moving-0-1 is still in progress"), "{said}");
        is_over
    });
    assert_eq!(described_by_tool(&broker), [(target.clone(), false)]);

    // And on, for as long as something is written.
    let mut client = Client::connect(broker.address()).unwrap();
    let (mut at, mut moves) = (target, 0);
    while moves < 2 || (!writer.is_finished() && moves < 50) {
        let to = other(&at);
        assert_eq!(alter(&mut client, &to, &[(TOPIC, &[0])]), [(TOPIC.to_owned(), 0, 0)]);
        eventually("another move", || described(&mut client) == [(to.clone(), false)]);
        (at, moves) = (to, moves + 1);
    }
    assert_eq!(writer.join().unwrap(), json!({"count": RECORDS}));
    assert_eq!(reader.join().unwrap(), json!({"count": RECORDS, "jumped": 0}));
    eventually("the removal", || directories(&dirs) == ["moving-0"]);
    if broker.kind == Kind::Flumen {
        broker.kill();
        broker.restart();
        assert_eq!(described(&mut Client::connect(broker.address()).unwrap()), [(at, false)]);
        assert_eq!(read_all(&bootstrap, base), json!({"count": RECORDS, "jumped": 0}));
    }
}

#[test]
fn a_throttled_move_can_be_seen_and_given_up() {
    let (broker, _home, dirs) = with_two_dirs(&[]);
    broker.create_topic(TOPIC, 1, &[]);
    let (bootstrap, base) = (broker.bootstrap(), base_timestamp());
    let task = json!({"do": "produce_numbered", "topic": TOPIC, "count": 40_000, "size": SIZE, "base_timestamp": base});
    Peer::Java.run_within(&bootstrap, &[task], LIMIT);
    let mut client = Client::connect(broker.address()).unwrap();
    let before = described(&mut client);
    let [(source, false)] = &before[..] else { panic!("{before:?}") };
    let target = text(dirs.iter().find(|dir| text(dir) != *source).unwrap());
    let plan =
        json!({"version": 1, "partitions": [{"topic": TOPIC, "partition": 0, "replicas": [1], "log_dirs": [target.clone()]}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plan.to_string()).unwrap();
    let path = text(file.path());
    let execute = ["--execute", "--reassignment-json-file", path.as_str(), "--replica-alter-log-dirs-throttle", "100000"];
    let said = tool(&broker, REASSIGN, &execute);
    assert!(said.contains("The replica-alter-dir throttle limit was set to 100000 B/s"), "{said}");
    let mut both = described_by_tool(&broker);
    both.sort();
    let mut expected = vec![(source.clone(), false), (target.clone(), true)];
    expected.sort();
    assert_eq!(both, expected, "40 MB take longer than that");
    let said = tool(&broker, REASSIGN, &["--verify", "--preserve-throttles", "--reassignment-json-file", &path]);
    assert!(said.contains("Reassignment of replica moving-0-1 is still in progress"), "{said}");
    assert_eq!(alter(&mut client, source, &[(TOPIC, &[0])]), [(TOPIC.to_owned(), 0, 0)]);
    eventually("the end of the move", || described(&mut client) == [(source.clone(), false)]);
    let said = tool(&broker, REASSIGN, &["--verify", "--preserve-throttles", "--reassignment-json-file", &path]);
    assert!(said.contains("is not being moved from log dir"), "{said}");
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let (broker, _home, dirs) = with_two_dirs(&[]);
    broker.create_topic(TOPIC, 1, &[]);
    let mut client = Client::connect(broker.address()).unwrap();
    let (first, long) = (text(&dirs[0]), "l".repeat(220));
    let with_slash = format!("{first}/");
    let named: [(&str, &[i32]); 3] = [(TOPIC, &[1, -1]), ("absent", &[0]), (long.as_str(), &[0])];
    let unknown = |name: &str, partition: i32| (name.to_owned(), partition, UNKNOWN_TOPIC);
    let expected = [unknown("absent", 0), (long.clone(), 0, INVALID_TOPIC), unknown(TOPIC, -1), unknown(TOPIC, 1)];
    assert_eq!(alter(&mut client, &first, &named), expected);
    for path in ["", "first", "/nowhere", with_slash.as_str()] {
        assert_eq!(alter(&mut client, path, &[(TOPIC, &[0])]), [(TOPIC.to_owned(), 0, LOG_DIR_NOT_FOUND)], "{path:?}");
    }
    assert!(alter(&mut client, &first, &[(TOPIC, &[])]).is_empty());
}
