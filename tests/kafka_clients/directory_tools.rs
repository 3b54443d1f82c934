//! Kafka's tools that look at the directory of a broker that is down: what it is, and what its metadata hold.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`), so that what is demanded is what Kafka does.

use crate::support::administration::{file_with, lines};
use crate::support::broker::{Broker, free_port};
use crate::support::client::Client;
use crate::support::members::wait_until;
use crate::support::{process, tools};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// What the metadata shell sees in a log or snapshot of the metadata: the path of each leaf below `/image`, and what is there.
fn image(file: &Path) -> BTreeMap<String, String> {
    let arguments = ["--snapshot", file.to_str().unwrap(), "tree", "/image"];
    let tree = String::from_utf8(tools::kafka_tool("org.apache.kafka.shell.MetadataShell", &arguments, b"")).unwrap();
    let (mut path, mut leaves): (Vec<&str>, _) = (Vec::new(), BTreeMap::new());
    for line in tree.lines() {
        let text = line.trim_start();
        // Two spaces for each level.
        path.truncate((line.len() - text.len()) / 2);
        match text.strip_suffix(':') {
            Some(name) => path.push(name),
            None => assert_eq!(leaves.insert(path.join("/"), text.to_owned()), None, "{line} in\n{tree}"),
        }
    }
    assert!(!leaves.is_empty(), "the shell says nothing of {}: {tree}", file.display());
    leaves
}

/// A topic with two partitions and a config, one that was deleted, and a config of the broker.
fn change(broker: &Broker, client: &mut Client) {
    client.create_and_await("shown", 2, &[("retention.ms", "60000")]);
    client.create_and_await("gone", 1, &[("retention.ms", "60000")]);
    lines(broker, "org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", "gone"]);
    let arguments = ["--entity-type", "brokers", "--entity-name", "1", "--alter", "--add-config", "log.retention.ms=86400000"];
    lines(broker, "kafka.admin.ConfigCommand", &arguments);
}

/// That an image holds what [`change`] has made.
fn check(image: &BTreeMap<String, String>, port: u16, topic_id: &str) {
    let at = |path: &str| image.get(path).unwrap_or_else(|| panic!("no {path} in {image:#?}")).as_str();
    assert_eq!((at("topics/byName/shown/name"), at("topics/byName/shown/id")), ("shown", topic_id));
    assert_eq!(at(&format!("topics/byId/{topic_id}/name")), "shown");
    for partition in 0..2 {
        let registration = at(&format!("topics/byName/shown/{partition}"));
        assert!(registration.starts_with("PartitionRegistration(replicas=[1], "), "{registration}");
        assert!(registration.contains("isr=[1], "), "{registration}");
    }
    assert!(!image.contains_key("topics/byName/shown/2"), "two partitions");
    assert!(!image.keys().any(|path| path.contains("gone")), "the deleted topic and its configs are gone: {image:#?}");
    assert_eq!(at("configs/TOPIC:shown/retention.ms"), "60000");
    assert_eq!(at("configs/BROKER:1/log.retention.ms"), "86400000");
    let broker = at("cluster/brokers/1");
    assert!(broker.starts_with("BrokerRegistration(id=1, ") && broker.contains("127.0.0.1"), "{broker}");
    assert!(broker.contains(&format!("port={port}")), "{broker}");
    assert!(at("features/metadataVersion").contains("4.2-IV1"), "{}", at("features/metadataVersion"));
}

#[test]
fn the_shell_reads_the_log_of_the_metadata() {
    let mut broker = Broker::start(&[("auto.create.topics.enable", "false")]);
    let mut client = Client::connect(broker.address()).unwrap();
    change(&broker, &mut client);
    let id = client.topic_id("shown").unwrap().expect("its id").to_string();
    broker.stop();
    check(&image(&broker.partition_dir("__cluster_metadata", 0).join("00000000000000000000.log")), broker.port, &id);
}

/// The newest snapshot of the metadata, and the offset at which it ends; its name is `OFFSET-EPOCH.checkpoint`.
fn snapshot(broker: &Broker) -> Option<(i64, PathBuf)> {
    let entries = std::fs::read_dir(broker.partition_dir("__cluster_metadata", 0)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "checkpoint"));
    paths.filter_map(|path| Some((path.file_stem()?.to_str()?.split_once('-')?.0.parse().ok()?, path))).max()
}

#[test]
fn the_shell_reads_a_snapshot_of_the_metadata() {
    let settings = [("auto.create.topics.enable", "false"), ("metadata.log.max.record.bytes.between.snapshots", "1")];
    let mut broker = Broker::start(&settings);
    let mut client = Client::connect(broker.address()).unwrap();
    change(&broker, &mut client);
    let id = client.topic_id("shown").unwrap().expect("its id").to_string();
    // A snapshot that ends behind what was changed; more changes make the next one due.
    let changed = client.api_versions().unwrap().finalized_features_epoch;
    let mut topics = 0;
    wait_until("a snapshot", LIMIT, || {
        client.create_and_await(&format!("later-{topics}"), 1, &[]);
        topics += 1;
        snapshot(&broker).is_some_and(|(end, _)| end > changed)
    });
    broker.stop();
    let (_, path) = snapshot(&broker).expect("a snapshot");
    check(&image(&path), broker.port, &id);
}

#[test]
fn the_storage_tool_knows_the_directory() {
    let mut broker = Broker::start(&[]);
    broker.stop();
    let (dir, port) = (broker.data_dir().display().to_string(), free_port());
    let config = file_with(&format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{port}\n\
         listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={dir}\n",
        broker.port
    ));
    let arguments = ["info", "--config", config.path().to_str().unwrap()];
    let told = String::from_utf8(tools::kafka_tool("kafka.tools.StorageTool", &arguments, b"")).unwrap();
    let properties = std::fs::read_to_string(broker.data_dir().join("meta.properties")).unwrap();
    let property = |name: &str| {
        let found = properties.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with('='));
        found.unwrap_or_else(|| panic!("no {name} in {properties}"))
    };
    let [cluster, directory, node, version] = ["cluster.id", "directory.id", "node.id", "version"].map(property);
    let expected: [&str; 5] = [
        "Found log directory:",
        &format!("  {dir}"),
        "",
        &format!("Found metadata: {{{cluster}, {directory}, {node}, {version}}}"),
        "",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let ours = process::run_ok(Command::new(env!("CARGO_BIN_EXE_flumen")).arg("storage").args(arguments), b"", LIMIT);
    assert_eq!(String::from_utf8(ours).unwrap(), told, "flumen storage says the same");
}

/// Each tool takes what the other has formatted for formatted.
#[test]
fn the_storage_tool_and_flumen_format_alike() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (cluster_id, theirs) = ("W8ptHkmGQTW2JPV79YgmOQ", "kafka.tools.StorageTool");
    for flumen_first in [true, false] {
        let dirs = format!("{0}/a-{flumen_first},{0}/b-{flumen_first}", home.path().display());
        let config = file_with(&format!(
            "process.roles=broker,controller\nnode.id=2\ncontroller.quorum.voters=1@a.example:9093,2@b.example:9093,3@c.example:9093\n\
             listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={dirs}\n"
        ));
        let path = config.path().to_str().unwrap();
        let format = ["format", "--config", path, "--cluster-id", cluster_id, "--release-version", "4.1", "--ignore-formatted"];
        let ours = |arguments: &[&str]| {
            let told = process::run_ok(Command::new(env!("CARGO_BIN_EXE_flumen")).arg("storage").args(arguments), b"", LIMIT);
            String::from_utf8(told).unwrap()
        };
        let theirs = |arguments: &[&str]| String::from_utf8(tools::kafka_tool(theirs, arguments, b"")).unwrap();
        let formatted = |told: &str| told.lines().filter(|line| line.ends_with("with metadata.version 4.1-IV1.")).count();
        let (first, second) = if flumen_first { (ours(&format), theirs(&format)) } else { (theirs(&format), ours(&format)) };
        assert_eq!(formatted(&first), 2, "{first}");
        assert!(second.contains("All of the log directories are already formatted."), "{second}");
        let info = ["info", "--config", path];
        assert_eq!(ours(&info), theirs(&info));
    }
}
