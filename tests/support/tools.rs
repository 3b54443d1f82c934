//! Where the runner put the foreign clients and Apache Kafka's tools.

use super::process;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A JVM on a busy machine with two cores.
const TOOL_LIMIT: Duration = Duration::from_secs(120);

fn tool(part: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(part);
    assert!(path.exists(), "{} is missing: `tests/run tools` installs it", path.display());
    path
}

pub fn python(script: &str) -> Command {
    let mut command = Command::new(tool("python/bin/python"));
    command.arg(clients_dir().join("python").join(script));
    command
}

pub fn go_client(name: &str) -> Command {
    Command::new(tool(name).join("client"))
}

/// The tests of a client, built from its sources: `franz-go` or `sarama`.
pub fn client_suite(name: &str) -> Command {
    let directory = tool(&format!("{name}-suite"));
    let mut command = Command::new(directory.join("suite"));
    command.current_dir(directory);
    command
}

/// A job for Spark, with the jars that it needs for Kafka.
pub fn spark(script: &str) -> Command {
    let libs = tool("spark/libs");
    let jars = std::fs::read_dir(&libs).expect("the jars").map(|entry| entry.unwrap().path().display().to_string());
    let jars: Vec<String> = jars.collect();
    let mut command = Command::new(tool("spark/venv/bin/python"));
    command.env("SPARK_LOCAL_IP", "127.0.0.1").env_remove("SPARK_HOME");
    command.arg(clients_dir().join("spark").join(script)).arg(jars.join(","));
    command
}

pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", tool("node/node_modules")).arg(clients_dir().join("js").join(script));
    command
}

pub fn clients_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka_clients")
}

/// A JVM that starts fast and stays small.
fn jvm(heap_mib: u32, log_level: &str) -> Command {
    let mut command = Command::new("java");
    command.args([format!("-Xmx{heap_mib}m"), format!("-Dtest.log.level={log_level}")]).args([
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-Djava.awt.headless=true",
    ]);
    command
}

/// With Kafka's jars and our peers on its class path.
pub fn java(main: &str, heap_mib: u32, log_level: &str) -> Command {
    let mut command = jvm(heap_mib, log_level);
    command
        .arg(format!("-Dlog4j2.configurationFile={}", clients_dir().join("java/log4j2.properties").display()))
        .arg("-cp")
        .arg(format!("{}:{}/*", tool("java").display(), tool("kafka/libs").display()))
        .arg(main);
    command
}

/// Runs one of Kafka's command line tools; its standard output. Panics when it fails.
pub fn kafka_tool(main: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    process::run_ok(java(main, 256, "warn").args(arguments), input, TOOL_LIMIT)
}

/// As [`kafka_tool`], for a call that may fail: everything that it said, and how it ended.
pub fn kafka_tool_finished(main: &str, arguments: &[&str], input: &[u8]) -> process::Finished {
    process::run(java(main, 256, "warn").args(arguments), input, TOOL_LIMIT)
}

/// As [`kafka_tool`], a tool of Apache Kafka 3.5.2.
pub fn old_kafka_tool(main: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = jvm(256, "error");
    command
        .arg(format!("-Dlog4j.configuration=file:{}", clients_dir().join("java-3.5/log4j.properties").display()))
        .arg("-cp")
        .arg(format!("{}/*", tool("kafka-3.5/libs").display()))
        .arg(main);
    process::run_ok(command.args(arguments), input, TOOL_LIMIT)
}
