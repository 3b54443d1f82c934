//! The clients that write, each into topics of its own, and the tests that the broker holds what each of them wrote.

use crate::support::peers::{Peer, Produce, all_peers};
use crate::support::process;
use crate::support::records::{Record, printable, varied};
use crate::support::tools;
use crate::{CODECS, PARTITIONS, Topic, world};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Records of each partition: with the sizes of the plan, several batches of 16 KiB.
const PER_PARTITION: usize = 120;

pub fn write_all(bootstrap: &str) -> Vec<Topic> {
    // Two writers at a time, as many as there are cores: most of the time is spent in starting them.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let mut topics: Vec<Topic> = all_peers().flat_map(|peer| write_with_peer(peer, bootstrap)).collect();
            topics.extend(write_with_kcat(bootstrap));
            topics
        });
        let second = scope.spawn(|| {
            let mut topics = write_with_console_producer(bootstrap);
            topics.extend(write_with_verifiable_producer(bootstrap));
            topics
        });
        let mut topics = first.join().expect("the clients write");
        topics.extend(second.join().expect("Kafka's tools write"));
        topics
    })
}

/// Idempotent with each codec, as these clients are by default, and once each with acks 1 and acks 0 without idempotence.
fn write_with_peer(peer: Peer, bootstrap: &str) -> Vec<Topic> {
    let kinds = CODECS.iter().map(|codec| (*codec, "all", true)).chain([("lz4", "1", false), ("none", "0", false)]);
    let mut plans = Vec::new();
    let mut topics = Vec::new();
    for (seed, (codec, acks, idempotent)) in kinds.enumerate() {
        let name = format!("{peer:?}-{codec}-acks-{acks}");
        let records = peer.sayable(varied(PARTITIONS, PER_PARTITION, seed as u64));
        plans.push(Produce { topic: name.clone(), codec, acks, idempotent, records });
        topics.push(Topic { name, codec, written: Vec::new(), partitioned_by_key: false, knows_timestamps: true });
    }
    for (topic, written) in topics.iter_mut().zip(peer.produce(bootstrap, plans)) {
        topic.written = written;
    }
    topics
}

fn write_with_kcat(bootstrap: &str) -> Vec<Topic> {
    let write = |codec: &'static str| {
        let name = format!("kcat-{codec}");
        let mut written = printable(PARTITIONS, PER_PARTITION);
        for (index, record) in written.iter_mut().enumerate() {
            record.headers = vec![("by".to_owned(), Some(b"kcat".to_vec())), ("codec".to_owned(), Some(codec.into()))];
            match index % 10 {
                3 => record.key = None,
                6 => record.value = None,
                _ => {}
            }
        }
        for partition in 0..PARTITIONS {
            let lines: Vec<u8> =
                written.iter().filter(|record| record.partition == partition).flat_map(|r| line(r, b'|', b"")).collect();
            let mut command = Command::new("kcat");
            command.args(["-P", "-b", bootstrap, "-t", &name, "-p", &partition.to_string(), "-z", codec]);
            command.args(["-K", "|", "-Z", "-H", "by=kcat", "-H", &format!("codec={codec}"), "-X", "enable.idempotence=true"]);
            process::run_ok(&mut command, &lines, LIMIT);
        }
        Topic { name, codec, written, partitioned_by_key: false, knows_timestamps: false }
    };
    CODECS.into_iter().map(write).collect()
}

/// A line of a tool's input; a null is written as `null`.
fn line(record: &Record, separator: u8, null: &[u8]) -> Vec<u8> {
    let mut line = record.key.as_deref().unwrap_or(null).to_vec();
    line.push(separator);
    line.extend_from_slice(record.value.as_deref().unwrap_or(null));
    line.push(b'\n');
    line
}

fn write_with_console_producer(bootstrap: &str) -> Vec<Topic> {
    let write = |codec: &'static str| {
        let name = format!("console-{codec}");
        let mut written = printable(1, PER_PARTITION);
        let mut input = Vec::new();
        for (index, record) in written.iter_mut().enumerate() {
            record.headers =
                vec![("n".to_owned(), Some(index.to_string().into_bytes())), ("by".to_owned(), Some(b"console".to_vec()))];
            record.key = Some(format!("key{}", index % 17).into_bytes());
            if index % 10 == 6 {
                record.value = None;
            }
            input.extend_from_slice(format!("n:{index},by:console\t").as_bytes());
            input.extend(line(record, b'|', b"NULL"));
        }
        let mut arguments = vec!["--bootstrap-server", bootstrap, "--topic", &name, "--compression-codec", codec];
        for property in ["parse.key=true", "key.separator=|", "parse.headers=true", "null.marker=NULL"] {
            arguments.extend(["--reader-property", property]);
        }
        tools::kafka_tool("org.apache.kafka.tools.ConsoleProducer", &arguments, &input);
        Topic { name, codec, written, partitioned_by_key: true, knows_timestamps: false }
    };
    CODECS.into_iter().map(write).collect()
}

/// It prints partition and offset of each ack, which become the plan.
fn write_with_verifiable_producer(bootstrap: &str) -> Vec<Topic> {
    let write = |codec: &'static str| {
        let name = format!("verifiable-{codec}");
        let settings = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(settings.path(), format!("compression.type={codec}\n")).unwrap();
        let file = settings.path().display().to_string();
        let arguments = [
            "--bootstrap-server",
            bootstrap,
            "--topic",
            &name,
            "--max-messages",
            "400",
            "--acks",
            "-1",
            "--value-prefix",
            "7",
            "--repeating-keys",
            "5",
            "--command-config",
            &file,
        ];
        let output = tools::kafka_tool("org.apache.kafka.tools.VerifiableProducer", &arguments, b"");
        let output = String::from_utf8(output).unwrap();
        let events = output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an event"));
        let mut written: Vec<Record> = events
            .filter(|event| event["name"] == "producer_send_success")
            .map(|event| Record {
                partition: i32::try_from(event["partition"].as_i64().unwrap()).unwrap(),
                offset: event["offset"].as_i64().unwrap(),
                timestamp: -1,
                key: event["key"].as_str().map(|key| key.as_bytes().to_vec()),
                value: event["value"].as_str().map(|value| value.as_bytes().to_vec()),
                headers: Vec::new(),
            })
            .collect();
        assert_eq!(written.len(), 400, "every message was acked:\n{}", process::tail(&output));
        written.sort_by_key(|record| (record.partition, record.offset));
        Topic { name, codec, written, partitioned_by_key: false, knows_timestamps: false }
    };
    CODECS.into_iter().map(write).collect()
}

/// Topics whose name begins so hold exactly what was written, at the offsets that were acked.
fn check_written_by(prefix: &str, expected_topics: usize) {
    let world = world();
    let topics: Vec<&Topic> = world.topics.iter().filter(|topic| topic.name.starts_with(prefix)).collect();
    assert_eq!(topics.len(), expected_topics, "topics of {prefix}");
    for topic in topics {
        if topic.partitioned_by_key { check_by_key(topic) } else { check_in_order(topic) }
    }
}

fn stored(topic: &Topic, partition: i32) -> Vec<Record> {
    world().dump.get(&(topic.name.clone(), partition)).cloned().unwrap_or_default()
}

fn check_in_order(topic: &Topic) {
    for partition in 0..PARTITIONS {
        let stored = stored(topic, partition);
        let written: Vec<&Record> = topic.written.iter().filter(|record| record.partition == partition).collect();
        assert_eq!(stored.len(), written.len(), "{}-{partition}: number of records", topic.name);
        for (index, (stored, written)) in stored.iter().zip(written).enumerate() {
            let offset = index as i64;
            assert!(
                written.offset == offset || written.offset == -1,
                "{}-{partition}: acked {} for {offset}",
                topic.name,
                written.offset
            );
            let mut wanted = Record { offset, ..written.clone() };
            if !topic.knows_timestamps {
                wanted.timestamp = stored.timestamp;
            }
            assert_eq!(*stored, wanted, "{}-{partition}", topic.name);
        }
    }
}

fn check_by_key(topic: &Topic) {
    type Content = (Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);
    let by_key = |records: &mut dyn Iterator<Item = Record>| {
        let mut map: BTreeMap<Option<Vec<u8>>, Vec<Content>> = BTreeMap::new();
        for record in records {
            map.entry(record.key).or_default().push((record.value, record.headers));
        }
        map
    };
    let all: Vec<Vec<Record>> = (0..PARTITIONS).map(|partition| stored(topic, partition)).collect();
    for (partition, records) in all.iter().enumerate() {
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..records.len() as i64).collect::<Vec<_>>(), "{}-{partition}: offsets without a gap", topic.name);
    }
    assert!(all.iter().filter(|records| !records.is_empty()).count() > 1, "{}: keys spread over partitions", topic.name);
    assert_eq!(by_key(&mut all.into_iter().flatten()), by_key(&mut topic.written.iter().cloned()), "{}", topic.name);
}

#[test]
fn the_java_client_writes() {
    check_written_by("Java-", 7);
}

#[test]
fn librdkafka_writes() {
    check_written_by("Librdkafka-", 7);
}

#[test]
fn franz_go_writes() {
    check_written_by("FranzGo-", 7);
}

#[test]
fn aiokafka_writes() {
    check_written_by("Aiokafka-", 7);
}

#[test]
fn sarama_writes() {
    check_written_by("Sarama-", 7);
}

#[test]
fn kafka_python_writes() {
    check_written_by("KafkaPython-", 7);
}

#[test]
fn kafkajs_writes() {
    check_written_by("KafkaJs-", 7);
}

#[test]
fn kcat_writes() {
    check_written_by("kcat-", 5);
}

#[test]
fn the_console_producer_writes() {
    check_written_by("console-", 5);
}

#[test]
fn the_verifiable_producer_writes() {
    check_written_by("verifiable-", 5);
}

/// What the clients were told to use is what lies in the log: the codec is in the low three bits of a batch's attributes.
#[test]
fn every_codec_lies_in_the_log_as_the_client_sent_it() {
    let world = world();
    for topic in &world.topics {
        let code = CODECS.iter().position(|codec| *codec == topic.codec).unwrap();
        let mut seen = 0;
        for partition in 0..PARTITIONS {
            let log = std::fs::read(world.broker.partition_dir(&topic.name, partition).join("00000000000000000000.log")).unwrap();
            let mut at = 0;
            while at + 61 <= log.len() {
                let length = i32::from_be_bytes(log[at + 8..at + 12].try_into().unwrap());
                if length <= 0 {
                    break;
                }
                let attributes = log[at + 22];
                // A client may leave a batch uncompressed when compressing does not make it smaller.
                let may = |peer: &Peer| peer.may_leave_uncompressed() && topic.name.starts_with(&format!("{peer:?}-"));
                let kept = attributes & 7 == 0 && (all_peers().any(|peer| may(&peer)) || topic.name.starts_with("kcat"));
                assert!(usize::from(attributes & 7) == code || kept, "{}-{partition} at byte {at}", topic.name);
                seen += usize::from(usize::from(attributes & 7) == code);
                at += 12 + usize::try_from(length).unwrap();
            }
        }
        assert!(seen > 0, "{}: no batch with {}", topic.name, topic.codec);
    }
}
