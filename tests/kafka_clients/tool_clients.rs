//! Kafka's own tools write and read: the performance tools count, the verifiable consumer and the console tools are told from where.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`), so that what is demanded is what Kafka does.

use crate::support::administration::lines;
use crate::support::client::FetchedRecord;
use crate::support::process::{Finished, tail};
use crate::support::tools;
use crate::tools::{KEPT, broker, connect};
use serde_json::Value;
use std::collections::BTreeMap;

const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// Long enough for a group to form.
const PATIENCE_MS: &str = "20000";

fn text(bytes: &Option<Vec<u8>>) -> Option<&str> {
    bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).expect("text"))
}

#[test]
fn the_performance_tools_count_what_they_write_and_read() {
    const COUNT: usize = 5000;
    let mut client = connect();
    client.create_and_await("measured", 1, &[]);
    // The values are the numbers from 0 on.
    let arguments = ["--topic", "measured", "--num-records", "5000", "--payload-monotonic", "--throughput", "-1"];
    let settings = ["--command-property", "linger.ms=5"];
    let told = lines(broker(), "org.apache.kafka.tools.ProducerPerformance", &[&arguments[..], &settings].concat());
    let summary = told.last().expect("a summary");
    assert!(summary.starts_with("5000 records sent, ") && summary.ends_with(" ms 99.9th."), "{told:?}");
    assert_eq!(client.list_offset("measured", 0, -1).unwrap(), (0, COUNT as i64));
    let stored = client.read("measured", 0, 0, COUNT as i64);
    let wanted: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(stored.iter().map(|record| text(&record.value).unwrap()).collect::<Vec<_>>(), wanted);

    let arguments = ["--topic", "measured", "--num-records", "5000", "--timeout", PATIENCE_MS, "--hide-header"];
    let told = lines(broker(), "org.apache.kafka.tools.ConsumerPerformance", &arguments);
    let columns: Vec<&str> = told.last().expect("a summary").split(", ").collect();
    let mebibytes = wanted.iter().map(String::len).sum::<usize>() as f64 / f64::from(1 << 20);
    assert_eq!((columns.len(), columns[2], columns[4]), (10, &*format!("{mebibytes:.4}"), "5000"), "{told:?}");
}

#[test]
fn the_latency_tool_sees_each_of_its_records() {
    let mut client = connect();
    client.create_and_await("latency", 1, &[]);
    let sizes = ["--record-size", "50", "--record-key-size", "8"];
    let headers = ["--num-headers", "2", "--record-header-key-size", "5", "--record-header-size", "6"];
    let arguments = ["--topic", "latency", "--num-records", "200", "--producer-acks", "all"];
    let arguments = [&arguments[..], &sizes, &headers].concat();
    let told = lines(broker(), "org.apache.kafka.tools.EndToEndLatency", &arguments);
    let average = told.iter().find_map(|line| line.strip_prefix("Avg latency: ")?.strip_suffix(" ms")).expect("an average");
    assert!(average.parse::<f64>().unwrap() > 0.0, "{told:?}");
    let percentiles = told.iter().find_map(|line| line.strip_prefix("Percentiles: ")).expect("percentiles");
    let milliseconds: Vec<u64> =
        percentiles.split(", ").map(|one| one.rsplit(" = ").next().and_then(|number| number.parse().ok()).expect(one)).collect();
    assert!(milliseconds.len() == 3 && milliseconds.is_sorted(), "{percentiles}");
    let stored = client.read("latency", 0, 0, 200);
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
    let sizes = |record: &FetchedRecord| (length(&record.key), length(&record.value));
    assert!(stored.iter().map(sizes).all(|sizes| sizes == (Some(8), Some(50))), "keys and values of {stored:?}");
    assert_eq!(client.list_offset("latency", 0, -1).unwrap(), (0, 200));
}

/// A record as the verifiable clients tell it.
type Told = BTreeMap<(i64, i64), String>;

fn events(main: &str, arguments: &[&str]) -> Vec<Value> {
    let told = lines(broker(), main, arguments);
    let event = |line: &String| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", tail(&told.join("\n"))))
    };
    told.iter().map(event).collect()
}

fn records(events: &[Value], name: &str) -> Told {
    let number = |event: &Value, field: &str| event[field].as_i64().unwrap_or_else(|| panic!("no {field} in {event}"));
    let of_name = events.iter().filter(|event| event["name"] == name);
    let record = |event: &Value| {
        ((number(event, "partition"), number(event, "offset")), event["value"].as_str().expect("a value").to_owned())
    };
    of_name.map(record).collect()
}

#[test]
fn the_verifiable_consumer_goes_on_where_it_has_committed() {
    connect().create_and_await("verified", 3, &[]);
    for count in ["400", "100"] {
        let arguments = ["--topic", "verified", "--max-messages", count, "--acks", "-1"];
        let sent = records(&events("org.apache.kafka.tools.VerifiableProducer", &arguments), "producer_send_success");
        assert_eq!(sent.len().to_string(), count, "every record was acked, at an offset of its own");

        let group = ["--group-id", "verifiers", "--reset-policy", "earliest", "--verbose"];
        let arguments = [&["--topic", "verified", "--max-messages", count], &group[..]].concat();
        let received = events("org.apache.kafka.tools.VerifiableConsumer", &arguments);
        assert_eq!(records(&received, "record_data"), sent, "what was sent since, and nothing else");
        let named = |name: &'static str| received.iter().filter(move |event| event["name"] == name);
        let assigned = named("partitions_assigned").last().expect("an assignment");
        assert_eq!(assigned["partitions"].as_array().map(Vec::len), Some(3), "{assigned}");
        assert!(named("offsets_committed").count() > 0 && named("offsets_committed").all(|event| event["success"] == true));
        assert_eq!(received.last().map(|event| &event["name"]), Some(&"shutdown_complete".into()));
    }
}

/// What the console consumer hands out, line by line.
fn console(arguments: &[&str]) -> Vec<String> {
    lines(broker(), CONSOLE_CONSUMER, arguments)
}

#[test]
fn the_console_tools_parse_and_print_what_they_are_told_to() {
    let mut client = connect();
    client.create_and_await("typed", 1, &[]);
    let bootstrap = broker().bootstrap();
    let properties = [
        "parse.headers=true",
        "headers.delimiter=;",
        "headers.separator=&",
        "headers.key.separator=!",
        "parse.key=true",
        "key.separator=|",
        "null.marker=~",
    ];
    let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", "typed", "--sync", "--request-required-acks", "all"];
    arguments.extend(properties.iter().flat_map(|property| ["--reader-property", property]));
    tools::kafka_tool(CONSOLE_PRODUCER, &arguments, b"a!1&b!~;key 1|value 1\n~;~|value 2\nc!3;key 3|~\n");
    let stored = client.read("typed", 0, 0, 3);
    let content: Vec<_> = stored.iter().map(|record| (text(&record.key), text(&record.value))).collect();
    assert_eq!(content, [(Some("key 1"), Some("value 1")), (None, Some("value 2")), (Some("key 3"), None)]);

    let properties = [
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.key=true",
        "print.value=true",
        "key.separator=/",
        "headers.separator=&",
        "null.literal=nothing",
    ];
    let print: Vec<&str> = properties.iter().flat_map(|property| ["--formatter-property", property]).collect();
    let read = |from: &[&str]| console(&[&["--topic", "typed"], from, &print[..]].concat());
    let expected = [
        "Partition:0/Offset:0/a:1&b:nothing/key 1/value 1",
        "Partition:0/Offset:1/NO_HEADERS/nothing/value 2",
        "Partition:0/Offset:2/c:3/key 3/nothing",
    ];
    assert_eq!(read(&["--partition", "0", "--offset", "earliest", "--max-messages", "3"]), expected);
    assert_eq!(read(&["--partition", "0", "--offset", "1", "--max-messages", "1"]), expected[1..2]);
    assert_eq!(read(&["--partition", "0", "--offset", "latest", "--timeout-ms", "1000"]), [""; 0]);
}

#[test]
fn the_console_consumer_remembers_its_group_and_finds_topics_by_name() {
    let mut client = connect();
    for (topic, values) in [("chosen-a", &["a0", "a1"][..]), ("chosen-b", &["b0"][..]), ("unchosen", &["u0", "u1", "u2"][..])] {
        client.create_and_await(topic, 1, &[KEPT]);
        let records: Vec<(i64, &str)> = values.iter().map(|value| (1_700_000_000_000, *value)).collect();
        client.write(topic, 0, &records);
    }
    let group = ["--group", "console-readers", "--from-beginning"];
    let first = [&["--include", "chosen-.*", "--max-messages", "3", "--timeout-ms", PATIENCE_MS], &group[..]].concat();
    let mut read = console(&first);
    read.sort();
    assert_eq!(read, ["a0", "a1", "b0"]);

    // What was read is not read again: the offsets were committed when the tool ended.
    client.write("chosen-b", 0, &[(1_700_000_000_001, "b1")]);
    let again = [&["--include", "chosen-.*", "--timeout-ms", "5000"], &group[..]].concat();
    let Finished { status, stdout, stderr } = crate::support::administration::run(broker(), CONSOLE_CONSUMER, &again);
    assert!(status.success() && stderr.contains("Processed a total of 1 messages"), "{stderr}");
    assert_eq!(String::from_utf8(stdout).unwrap(), "b1\n");
}
