//! The clients that read. Each must hand out exactly what the Java consumer handed out.

use crate::support::peers::{Dump, Peer, all_peers};
use crate::support::process;
use crate::support::records::Record;
use crate::support::tools;
use crate::world;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The log end offset, as kcat asks for it (ListOffsets with timestamp -1).
pub fn end_offset(bootstrap: &str, topic: &str, partition: i32) -> i64 {
    let output =
        process::run_ok(Command::new("kcat").args(["-Q", "-b", bootstrap, "-t", &format!("{topic}:{partition}:-1")]), b"", LIMIT);
    let text = String::from_utf8(output).unwrap();
    text.rsplit(' ').next().and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("kcat -Q said {text}"))
}

fn assert_same(reader: &str, read: &Dump, wanted: &Dump) {
    for (place, wanted) in wanted {
        let read = read.get(place).unwrap_or_else(|| panic!("{reader} read nothing of {place:?}"));
        for (read, wanted) in read.iter().zip(wanted) {
            assert_eq!(read, wanted, "{reader}, {place:?}");
        }
        assert_eq!(read.len(), wanted.len(), "{reader}, {place:?}: number of records");
    }
    assert_eq!(read.len(), wanted.len(), "{reader}: number of partitions");
}

fn assert_reads_everything(peer: Peer) {
    let world = world();
    assert_same(&format!("{peer:?}"), &peer.consume(&world.broker.bootstrap(), &world.ranges()), &world.dump);
}

#[test]
fn librdkafka_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::Librdkafka);
}

#[test]
fn franz_go_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::FranzGo);
}

#[test]
fn aiokafka_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::Aiokafka);
}

#[test]
fn sarama_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::Sarama);
}

#[test]
fn kafka_python_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::KafkaPython);
}

#[test]
fn kafkajs_reads_what_everybody_wrote() {
    assert_reads_everything(Peer::KafkaJs);
}

/// Consumers may start anywhere, also inside a batch: the client drops what lies before.
#[test]
fn every_client_starts_in_the_middle_of_a_batch() {
    let world = world();
    for peer in all_peers() {
        let mut ranges = world.ranges();
        ranges.retain(|range| range.end > 10);
        let mut wanted = Dump::new();
        for (index, range) in ranges.iter_mut().enumerate() {
            range.from = 1 + (index as i64 * 13) % (range.end - 1);
            let place = (range.topic.clone(), range.partition);
            wanted.insert(place.clone(), world.dump[&place][usize::try_from(range.from).unwrap()..].to_vec());
        }
        assert_same(&format!("{peer:?} from the middle"), &peer.consume(&world.broker.bootstrap(), &ranges), &wanted);
    }
}

#[test]
fn kcat_reads_what_everybody_wrote() {
    let world = world();
    let mut compared = 0;
    for ((topic, partition), wanted) in &world.dump {
        let mut command = Command::new("kcat");
        command.args(["-C", "-q", "-b", &world.broker.bootstrap(), "-t", topic, "-p", &partition.to_string(), "-o", "beginning"]);
        command.args(["-c", &wanted.len().to_string(), "-f", "%p %o %T %K %S %h\\n%k%s\\n", "-X", "check.crcs=true"]);
        let output = process::run_ok(&mut command, b"", LIMIT);
        let text: Vec<u8> = wanted.iter().flat_map(as_kcat_prints).collect();
        assert_same_text("kcat", topic, *partition, &output, &text);
        compared += wanted.len();
    }
    assert!(compared > 5000, "only {compared} records were compared");
}

fn as_kcat_prints(record: &Record) -> Vec<u8> {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap());
    let Record { partition, offset, timestamp, key, value, .. } = record;
    let mut line = format!("{partition} {offset} {timestamp} {} {} ", length(key), length(value)).into_bytes();
    for (index, (name, value)) in record.headers.iter().enumerate() {
        line.extend_from_slice(if index == 0 { b"" } else { b"," });
        line.extend_from_slice(name.as_bytes());
        line.push(b'=');
        // kcat prints a header's value up to its first zero byte.
        line.extend(value.as_deref().unwrap_or(b"NULL").iter().take_while(|byte| **byte != 0));
    }
    line.push(b'\n');
    line.extend_from_slice(key.as_deref().unwrap_or_default());
    line.extend_from_slice(value.as_deref().unwrap_or_default());
    line.push(b'\n');
    line
}

/// One partition of a topic of each writer and codec would be a JVM each; so each writer once, each codec at least once.
#[test]
fn the_console_consumer_reads_a_partition() {
    let world = world();
    let topics = [
        "Java-gzip-acks-all",
        "Librdkafka-snappy-acks-all",
        "FranzGo-zstd-acks-all",
        "kcat-lz4",
        "console-none",
        "verifiable-gzip",
    ];
    for topic in topics {
        let place = world.dump.keys().filter(|(name, _)| name == topic).max_by_key(|place| world.dump[*place].len());
        let (_, partition) = place.unwrap_or_else(|| panic!("no topic {topic}"));
        let wanted = &world.dump[&(topic.to_owned(), *partition)];
        let (number, count, bootstrap) = (partition.to_string(), wanted.len().to_string(), world.broker.bootstrap());
        let place = ["--bootstrap-server", &bootstrap, "--topic", topic, "--partition", &number, "--offset", "earliest"];
        let mut arguments: Vec<String> = place.iter().chain(&["--max-messages", &count]).map(|part| (*part).to_owned()).collect();
        for property in ["timestamp=true", "partition=true", "offset=true", "headers=true", "key=true", "value=true"] {
            arguments.extend(["--formatter-property".to_owned(), format!("print.{property}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = tools::kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, b"");
        let text: Vec<u8> = wanted.iter().flat_map(as_console_consumer_prints).collect();
        assert_same_text("the console consumer", topic, *partition, &output, &text);
    }
}

fn as_console_consumer_prints(record: &Record) -> Vec<u8> {
    let mut line =
        format!("CreateTime:{}\tPartition:{}\tOffset:{}\t", record.timestamp, record.partition, record.offset).into_bytes();
    if record.headers.is_empty() {
        line.extend_from_slice(b"NO_HEADERS");
    }
    for (index, (name, value)) in record.headers.iter().enumerate() {
        line.extend_from_slice(if index == 0 { b"" } else { b"," });
        line.extend_from_slice(name.as_bytes());
        line.push(b':');
        line.extend_from_slice(value.as_deref().unwrap_or(b"null"));
    }
    for part in [&record.key, &record.value] {
        line.push(b'\t');
        line.extend_from_slice(part.as_deref().unwrap_or(b"null"));
    }
    line.push(b'\n');
    line
}

fn assert_same_text(reader: &str, topic: &str, partition: i32, read: &[u8], wanted: &[u8]) {
    if read == wanted {
        return;
    }
    let at = read.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(read.len().min(wanted.len()));
    let around = |bytes: &[u8]| bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())].escape_ascii().to_string();
    panic!(
        "{reader}, {topic}-{partition}: byte {at} of {} (wanted {}):\nread   {}\nwanted {}",
        read.len(),
        wanted.len(),
        around(read),
        around(wanted)
    );
}
