//! The tools of Apache Kafka 3.5.2, which scripts of that age call, with the options that have been removed since.

use crate::CODECS;
use crate::support::broker::Broker;
use crate::support::process;
use crate::support::tools::old_kafka_tool;
use serde_json::Value;

const TOPIC: &str = "kafka.admin.TopicCommand";
const GROUPS: &str = "kafka.admin.ConsumerGroupCommand";
const OFFSETS: &str = "kafka.tools.GetOffsetShell";

/// Calls a tool with the broker's address in the option `address` before all others; what it prints.
fn run(broker: &Broker, main: &str, address: &str, arguments: &[&str], input: &[u8]) -> String {
    let bootstrap = broker.bootstrap();
    let arguments = [&[address, &bootstrap], arguments].concat();
    String::from_utf8(old_kafka_tool(main, &arguments, input)).unwrap()
}

/// The number at the end of each line of an answer such as `old:0:17`.
fn ends(answer: &str) -> Vec<i64> {
    answer.lines().map(|line| line.rsplit(':').next().and_then(|number| number.parse().ok()).expect(line)).collect()
}

#[test]
fn old_console_tools_write_read_and_manage() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false"), ("group.initial.rebalance.delay.ms", "0")]);
    let topics = |arguments: &[&str]| run(&broker, TOPIC, "--bootstrap-server", arguments, b"");
    topics(&["--create", "--topic", "old", "--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=3600000"]);
    topics(&["--alter", "--topic", "old", "--partitions", "3"]);
    let described = topics(&["--describe", "--topic", "old"]);
    assert!(described.contains("PartitionCount: 3") && described.contains("retention.ms=3600000"), "{described}");

    let mut written = Vec::new();
    for codec in CODECS {
        let lines: Vec<String> = (0..20).map(|number| format!("key {number}|{codec} {number}")).collect();
        let options =
            ["--topic", "old", "--compression-codec", codec, "--property", "parse.key=true", "--property", "key.separator=|"];
        run(&broker, "kafka.tools.ConsoleProducer", "--broker-list", &options, format!("{}\n", lines.join("\n")).as_bytes());
        written.extend(lines);
    }
    let offsets = |time: &str| ends(&run(&broker, OFFSETS, "--broker-list", &["--topic", "old", "--time", time], b""));
    assert_eq!(offsets("-2"), [0, 0, 0]);
    assert_eq!(offsets("-1").iter().sum::<i64>(), written.len() as i64);

    let count = written.len().to_string();
    let options =
        ["--topic", "old", "--group", "old-readers", "--from-beginning", "--max-messages", &count, "--timeout-ms", "30000"];
    let properties = ["--property", "print.key=true", "--property", "key.separator=|"];
    let read = run(&broker, "kafka.tools.ConsoleConsumer", "--bootstrap-server", &[&options[..], &properties].concat(), b"");
    let mut read: Vec<&str> = read.lines().collect();
    read.sort_unstable();
    written.sort_unstable();
    assert_eq!(read, written);

    let groups = |arguments: &[&str]| run(&broker, GROUPS, "--bootstrap-server", arguments, b"");
    assert_eq!(groups(&["--list"]).trim(), "old-readers");
    let lags = |described: &str| -> Vec<String> {
        let rows = described.lines().filter(|line| line.starts_with("old-readers"));
        rows.map(|row| row.split_whitespace().nth(5).unwrap().to_owned()).collect()
    };
    let described = groups(&["--describe", "--group", "old-readers"]);
    assert_eq!(lags(&described), ["0", "0", "0"], "{described}");
    groups(&["--reset-offsets", "--to-earliest", "--execute", "--topic", "old", "--group", "old-readers"]);
    let described = groups(&["--describe", "--group", "old-readers"]);
    assert_eq!(lags(&described).iter().map(|lag| lag.parse::<usize>().unwrap()).sum::<usize>(), written.len(), "{described}");
    groups(&["--delete", "--group", "old-readers"]);
    assert_eq!(groups(&["--list"]).trim(), "");

    topics(&["--delete", "--topic", "old"]);
    assert!(!topics(&["--list"]).lines().any(|topic| topic == "old"));
}

#[test]
fn old_verifiable_clients_agree() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false"), ("group.initial.rebalance.delay.ms", "0")]);
    run(
        &broker,
        TOPIC,
        "--bootstrap-server",
        &["--create", "--topic", "verified", "--partitions", "3", "--replication-factor", "1"],
        b"",
    );
    let events = |main: &str, arguments: &[&str]| -> Vec<Value> {
        let output = run(&broker, main, "--broker-list", arguments, b"");
        output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", process::tail(&output)))).collect()
    };
    let options = ["--topic", "verified", "--max-messages", "400", "--acks", "-1"];
    let sent = events("org.apache.kafka.tools.VerifiableProducer", &options);
    assert_eq!(sent.iter().filter(|event| event["name"] == "producer_send_success").count(), 400);
    let options = ["--topic", "verified", "--max-messages", "400", "--group-id", "verifiers", "--reset-policy", "earliest"];
    let received = events("org.apache.kafka.tools.VerifiableConsumer", &options);
    let read = received.iter().filter(|event| event["name"] == "records_consumed").map(|event| event["count"].as_i64().unwrap());
    assert_eq!(read.sum::<i64>(), 400);
    assert!(received.iter().filter(|event| event["name"] == "offsets_committed").all(|event| event["success"] == true));
}
