//! `flumen storage`: log dirs are prepared for a node, and told of, and the program fails when it has to.

use crate::LIMIT;
use crate::support::broker::{Broker, Kind};
use crate::support::client::Client;
use crate::support::process::{self, Finished};
use flumen::protocol::generated::MetadataRequest;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CLUSTER_ID: &str = "W8ptHkmGQTW2JPV79YgmOQ";

/// The settings of a node with two log dirs, neither of which is there.
struct Node {
    home: TempDir,
}

impl Node {
    fn new(lines: &str) -> Self {
        let node = Self { home: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        let dirs = format!("log.dirs={},{}", node.dir("b").display(), node.dir("a").display());
        fs::write(node.config(), format!("node.id=2\n{dirs}\n{lines}\n")).unwrap();
        node
    }

    /// One of three that are broker and controller.
    fn of_a_cluster() -> Self {
        Self::new(
            "process.roles=broker,controller\ncontroller.quorum.voters=1@a.example:9093,2@b.example:9093,3@c.example:9093\n\
             controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
        )
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("server.properties")
    }

    fn storage(&self, command: &str, more: &[&str]) -> Finished {
        process::run(crate::flumen().args(["storage", command, "--config"]).arg(self.config()).args(more), b"", LIMIT)
    }

    fn format(&self, more: &[&str]) -> Finished {
        self.storage("format", &[&["--cluster-id", CLUSTER_ID], more].concat())
    }
}

fn said(finished: &Finished) -> String {
    String::from_utf8(finished.stdout.clone()).unwrap()
}

/// It fails with Kafka's exit code, and says why.
fn assert_fails(finished: &Finished, part: &str) {
    assert_eq!(finished.status.code(), Some(1), "{}{}", said(finished), finished.stderr);
    assert!(finished.stderr.contains(part), "{}", finished.stderr);
}

fn property(dir: &Path, name: &str) -> String {
    let text = fs::read_to_string(dir.join("meta.properties")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn a_node_of_a_cluster_is_formatted_once() {
    let node = Node::of_a_cluster();
    let finished = node.format(&[]);
    assert!(finished.status.success(), "{}", finished.stderr);
    let expected = [
        format!("Formatting data directory {} with metadata.version 4.2-IV1.", node.dir("a").display()),
        format!("Formatting metadata directory {} with metadata.version 4.2-IV1.", node.dir("b").display()),
    ];
    assert_eq!(said(&finished).lines().collect::<Vec<_>>(), expected);
    for name in ["a", "b"] {
        let dir = node.dir(name);
        let found = ["version", "cluster.id", "node.id"].map(|name| property(&dir, name));
        assert_eq!(found, ["1", CLUSTER_ID, "2"]);
        assert!(fs::metadata(dir.join("bootstrap.checkpoint")).unwrap().len() > 0);
    }
    assert_ne!(property(&node.dir("a"), "directory.id"), property(&node.dir("b"), "directory.id"));

    assert_fails(&node.format(&[]), "is already formatted. Use --ignore-formatted");
    let finished = node.format(&["--ignore-formatted"]);
    assert!(finished.status.success());
    assert_eq!(said(&finished), "All of the log directories are already formatted.\n");
    // A new disk in the place of one.
    fs::remove_dir_all(node.dir("a")).unwrap();
    let (id, finished) = (property(&node.dir("b"), "directory.id"), node.format(&["-g", "--release-version", "4.0"]));
    assert!(finished.status.success());
    let line = format!("Formatting data directory {} with metadata.version 4.0-IV3.\n", node.dir("a").display());
    assert_eq!(said(&finished), line);
    assert_eq!(property(&node.dir("b"), "directory.id"), id, "what was there stays");
    assert_fails(&node.storage("format", &["-t", "another", "-g"]), "Invalid cluster.id in");
}

#[test]
fn what_cannot_be_formatted_is_not() {
    let node = Node::of_a_cluster();
    for (arguments, part) in [
        (&["--standalone"][..], "controller.quorum.voters is set"),
        (&["--initial-controllers", "2@b:1:JEXY6aqzQY-32P5TStzaFg"], "controller.quorum.voters is set"),
        (&["--feature", "kraft.version=1"], "Cannot set kraft.version to 1 unless one of the flags"),
        (&["--release-version", "2.8"], "not a supported version"),
        (&["--standalone", "--no-initial-controllers"], "cannot be used with"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        assert_fails(&node.format(arguments), part);
    }
    assert_fails(&node.storage("format", &[]), "--cluster-id");
    assert!(!node.dir("a").exists() && !node.dir("b").exists(), "nothing was made");
    let wrong = Node::new("process.roles=broker");
    assert_fails(&wrong.format(&[]), "controller.quorum.voters");
    let missing = process::run(crate::flumen().args(["storage", "info", "--config", "/none/server.properties"]), b"", LIMIT);
    assert_fails(&missing, "cannot read /none/server.properties");
}

#[test]
fn info_tells_of_the_log_dirs() {
    let node = Node::of_a_cluster();
    let (a, b) = (node.dir("a").display().to_string(), node.dir("b").display().to_string());
    let finished = node.storage("info", &[]);
    assert_eq!(finished.status.code(), Some(1));
    assert_eq!(said(&finished), format!("Found problems:\n  {a} does not exist\n  {b} does not exist\n\n"));
    assert!(node.format(&[]).status.success());
    let finished = node.storage("info", &[]);
    assert!(finished.status.success());
    let id = property(&node.dir("a"), "directory.id");
    let metadata = format!("{{cluster.id={CLUSTER_ID}, directory.id={id}, node.id=2, version=1}}");
    assert_eq!(said(&finished), format!("Found log directories:\n  {a}\n  {b}\n\nFound metadata: {metadata}\n\n"));
}

#[test]
fn a_broker_goes_by_what_its_directory_was_formatted_for() {
    let mut broker = Broker::start_kind(Kind::Flumen, &[]);
    broker.stop();
    fs::remove_dir_all(broker.data_dir()).unwrap();
    let config = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(config.path(), format!("node.id=1\nlog.dirs={}\n", broker.data_dir().display())).unwrap();
    let id = process::run_ok(crate::flumen().args(["storage", "random-uuid"]), b"", LIMIT);
    let id = String::from_utf8(id).unwrap().trim().to_owned();
    assert_eq!(id.len(), 22, "{id}");
    let arguments = ["storage", "format", "--standalone", "--release-version", "4.1", "--cluster-id", &id, "--config"];
    process::run_ok(crate::flumen().args(arguments).arg(config.path()), b"", LIMIT);
    broker.restart();
    let mut client = Client::connect(broker.address()).unwrap();
    let answer = client.call(&MetadataRequest::default(), 12, true).unwrap();
    assert_eq!(answer.cluster_id.as_deref(), Some(id.as_str()));
    let features = client.api_versions().unwrap().finalized_features;
    let level = features.iter().find(|feature| &*feature.name == "metadata.version").expect("it is in force");
    assert_eq!(level.max_version_level, 27, "the level of 4.1");
}
