//! A partition of many segments is read by the Java, librdkafka and Go consumers: from offset 0 while it is written, from the middle of
//! batches and by time afterwards, with fetch limits from 1 byte to 50 MB, and while retention deletes its head. Every record, in order,
//! with the content that belongs to its offset.
//!
//! 3 GB; `FLUMEN_LARGE_PARTITION_MB` sets another size for experiments.

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use support::broker::Broker;
use support::peers::{PEERS, Peer};
use support::process::is_long;
use support::records::{Random, base_timestamp};

/// Least bytes of a record's value; up to 996 more follow from its number.
const SIZE: u64 = 9_500;
const SEGMENT_BYTES: u64 = 256 << 20;
const LIMIT: Duration = Duration::from_secs(540);

/// Timestamp of record 0, the same for everybody: every record lies in the past and within the retention time.
fn base() -> i64 {
    static BASE: OnceLock<i64> = OnceLock::new();
    *BASE.get_or_init(base_timestamp)
}

fn megabytes() -> u64 {
    std::env::var("FLUMEN_LARGE_PARTITION_MB").map_or(3072, |text| text.parse().expect("a number of MB"))
}

fn write(bootstrap: &str, topic: &str, count: u64) {
    let task = json!({"do": "produce_numbered", "topic": topic, "count": count, "size": SIZE, "base_timestamp": base()});
    Peer::Java.run_within(bootstrap, &[task], LIMIT);
}

/// The task of reading to before `end`, beginning as `start` says.
fn verify(topic: &str, start: Value, end: u64, fetch_bytes: u64) -> Value {
    let mut task = json!({
        "do": "verify_numbered", "topic": topic, "end": end, "size": SIZE, "base_timestamp": base(), "seconds": LIMIT.as_secs(),
        "java": {"fetch.max.bytes": fetch_bytes.to_string(), "max.partition.fetch.bytes": fetch_bytes.to_string()},
        "librdkafka": {"fetch.message.max.bytes": fetch_bytes, "fetch.max.bytes": fetch_bytes.max(1 << 20), "queued.max.messages.kbytes": 65536},
        "go": {"fetch_max_bytes": fetch_bytes, "fetch_max_partition_bytes": fetch_bytes},
    });
    task.as_object_mut().unwrap().extend(start.as_object().expect("an object").clone());
    task
}

fn count_of(answer: &Value) -> u64 {
    answer["count"].as_u64().unwrap_or_else(|| panic!("no count in {answer}"))
}

/// librdkafka takes no message limit below 1,000 bytes; a batch is larger than that anyway.
fn least(peer: Peer) -> u64 {
    if peer == Peer::Librdkafka { 1000 } else { 1 }
}

#[test]
fn every_record_is_read_in_order() {
    let broker = Broker::start(&[]);
    let (bootstrap, topic) = (broker.bootstrap(), "large");
    let segment_bytes = SEGMENT_BYTES.min((megabytes() << 20) / 12).to_string();
    broker.create_topic(topic, 1, &[("segment.bytes", &segment_bytes)]);
    let count = (megabytes() << 20) / (SIZE + 498);
    thread::scope(|scope| {
        scope.spawn(|| write(&bootstrap, topic, count));
        for peer in PEERS {
            let bootstrap = &bootstrap;
            scope.spawn(move || {
                let task = verify(topic, json!({"from": 0}), count, 50 << 20);
                let answers = peer.run_within(bootstrap, &[task], LIMIT);
                assert_eq!(count_of(&answers[0]), count, "{peer:?} read everything while it was written");
            });
        }
    });
    let segments = std::fs::read_dir(broker.partition_dir(topic, 0)).unwrap();
    let logs = segments.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "log")).count();
    assert!(logs >= 11, "{logs} segments");
    read_pieces(&bootstrap, topic, count);
}

/// Short reads that begin anywhere: most offsets lie in the middle of a batch, some at the seam of two segments.
fn read_pieces(bootstrap: &str, topic: &str, count: u64) {
    let mut random = Random(7);
    for peer in PEERS {
        let mut tasks = Vec::new();
        for fetch_bytes in [least(peer), 1000, 100_000, 1 << 20, 50 << 20] {
            for by_time in [false, true] {
                let from = random.below(count - 200);
                let start = if by_time { json!({"from_number_by_time": from}) } else { json!({"from": from}) };
                tasks.push((from, verify(topic, start, from + 100 + random.below(100), fetch_bytes)));
            }
        }
        // One batch an answer, over two seams of segments, or over everything.
        let from = if is_long() { 0 } else { count / 2 };
        let end = if is_long() { count } else { from + count / 6 };
        tasks.push((from, verify(topic, json!({"from": from}), end, least(peer))));
        let (starts, tasks): (Vec<u64>, Vec<Value>) = tasks.into_iter().unzip();
        let answers = peer.run_within(bootstrap, &tasks, LIMIT);
        for ((from, task), answer) in starts.iter().zip(&tasks).zip(&answers) {
            assert_eq!(count_of(answer), task["end"].as_u64().unwrap() - from, "{peer:?}: {task}");
        }
    }
}

#[test]
fn retention_deletes_the_head_under_the_readers() {
    let settings = [
        ("log.retention.check.interval.ms", "300"),
        ("log.segment.delete.delay.ms", "500"),
        ("log.initial.task.delay.ms", "100"),
    ];
    let broker = Broker::start(&settings);
    let (bootstrap, topic) = (broker.bootstrap(), "shrinking");
    let (total, segment) = (megabytes() << 19, (megabytes() << 20) / 96);
    let retained = (segment * 6).to_string();
    broker.create_topic(topic, 1, &[("segment.bytes", &segment.to_string()), ("retention.bytes", &retained)]);
    let count = total / (SIZE + 498);
    thread::scope(|scope| {
        scope.spawn(|| write(&bootstrap, topic, count));
        for peer in PEERS {
            let bootstrap = &bootstrap;
            scope.spawn(move || {
                let task = verify(topic, json!({"from": 0, "may_jump": true}), count, 4 << 20);
                let answer = peer.run_within(bootstrap, &[task], LIMIT).remove(0);
                let jumped = answer["jumped"].as_u64().expect("a number");
                println!("{peer:?}: {} records, {jumped} deleted before they were read", count_of(&answer));
                assert_eq!(count_of(&answer) + jumped, count, "{peer:?}");
            });
        }
    });
    let left: u64 = support::broker::files_below(&broker.partition_dir(topic, 0))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .map(|path| path.metadata().map_or(0, |file| file.len()))
        .sum();
    assert!(left < total / 2, "retention has deleted the head: {left} of {total} bytes are left");
}
