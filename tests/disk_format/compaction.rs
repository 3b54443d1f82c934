//! Compacted logs: what foreign clients wrote is the map that they read back, Kafka's own tool accepts the files, and either broker
//! opens, reads and compacts on what the other has compacted.

use super::support::broker::{Broker, Kind};
use super::support::dump_log;
use super::support::exchange::transplant;
use super::support::peers::{Peer, Produce, Range};
use super::support::records::{Random, Record, base_timestamp};
use super::{CODECS, PARTITIONS, SEGMENT_BYTES};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

const TOPIC: &str = "states";
const KEYS: u64 = 40;
const LIMIT: Duration = Duration::from_secs(60);
const BROKER: [(&str, &str); 2] = [("log.cleaner.backoff.ms", "100"), ("log.initial.task.delay.ms", "0")];
const CONFIGS: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", SEGMENT_BYTES), ("min.cleanable.dirty.ratio", "0.01")];

/// Everything that was written, by partition and offset.
type Written = BTreeMap<i32, BTreeMap<i64, Record>>;

/// Records of few keys, one in six of them a tombstone, which no codec makes smaller.
fn plan(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random(seed);
    let mut record = |index: usize| Record {
        partition: i32::try_from(index % 2).unwrap(),
        offset: -1,
        timestamp: base_timestamp() + i64::try_from(index).unwrap(),
        key: Some(format!("key {}", random.below(KEYS)).into_bytes()),
        value: (random.below(6) > 0).then(|| random.bytes(4000)),
        headers: vec![("seed".to_owned(), Some(seed.to_string().into_bytes()))],
    };
    (0..count).map(&mut record).collect()
}

fn write(broker: &Broker, peers: &[Peer], count: usize, seed: u64, written: &mut Written) {
    for (number, peer) in peers.iter().enumerate() {
        let plans = CODECS.into_iter().enumerate().map(|(index, codec)| Produce {
            topic: TOPIC.to_owned(),
            codec,
            acks: "all",
            idempotent: index % 2 == 0,
            records: plan(count, seed + (number * CODECS.len() + index) as u64),
        });
        for record in peer.produce(&broker.bootstrap(), plans.collect()).into_iter().flatten() {
            written.entry(record.partition).or_default().insert(record.offset, record);
        }
    }
}

/// Base offsets of a partition's segments.
fn segments(broker: &Broker, partition: i32) -> Vec<i64> {
    let entries = fs::read_dir(broker.partition_dir(TOPIC, partition)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut bases: Vec<i64> = names.filter_map(|name| name.strip_suffix(".log").and_then(|base| base.parse().ok())).collect();
    bases.sort_unstable();
    bases
}

/// Waits until everything but the active segments is compacted.
fn wait_until_compacted(broker: &Broker) {
    let until = Instant::now() + LIMIT;
    loop {
        let checkpoint = fs::read_to_string(broker.data_dir().join("cleaner-offset-checkpoint")).unwrap_or_default();
        let is_compacted = |partition: i32| {
            let active = segments(broker, partition).last().copied().unwrap_or(-1);
            active > 0 && checkpoint.lines().any(|line| line == format!("{TOPIC} {partition} {active}"))
        };
        if (0..PARTITIONS).all(is_compacted) {
            return;
        }
        assert!(Instant::now() < until, "not compacted after {LIMIT:?}: {checkpoint}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What `peer` reads from the start: it ends with the newest record of each key that is no tombstone, at the offset where it was written.
fn check(broker: &Broker, peer: Peer, written: &Written, what: &str) -> usize {
    let range = |(&partition, records): (&i32, &BTreeMap<i64, Record>)| Range {
        topic: TOPIC.to_owned(),
        partition,
        from: 0,
        end: records.last_key_value().unwrap().0 + 1,
    };
    let ranges: Vec<Range> = written.iter().map(range).collect();
    let read = peer.consume(&broker.bootstrap(), &ranges);
    let newest = |records: &mut dyn Iterator<Item = Record>| {
        let mut map = BTreeMap::new();
        for record in records {
            match record.value {
                Some(_) => drop(map.insert(record.key.clone(), record)),
                None => drop(map.remove(&record.key)),
            }
        }
        map
    };
    let mut count = 0;
    for (partition, records) in written {
        let read = &read[&(TOPIC.to_owned(), *partition)];
        count += read.len();
        for record in read {
            assert_eq!(Some(record), records.get(&record.offset), "{what}: {peer:?} reads what was not written there");
        }
        assert!(read.is_sorted_by(|a, b| a.offset < b.offset), "{what}: {peer:?}: offsets go up");
        assert_eq!(
            newest(&mut read.iter().cloned()),
            newest(&mut records.values().cloned()),
            "{what}: {peer:?}: partition {partition}"
        );
    }
    count
}

fn total(written: &Written) -> usize {
    written.values().map(BTreeMap::len).sum()
}

/// What Kafka's tool counts in the partitions of the topic.
fn dumped(broker: &Broker) -> usize {
    let checked = dump_log::check_compacted(&broker.data_dir(), TOPIC)
        .unwrap_or_else(|complaints| panic!("kafka-dump-log complains:\n{}", complaints.join("\n")));
    (0..PARTITIONS).map(|partition| checked.records[&format!("{TOPIC}-{partition}")]).sum()
}

#[test]
fn a_compacted_topic_is_read_as_the_map_that_was_written_and_kafka_dump_log_agrees() {
    let mut broker = Broker::start(&BROKER);
    broker.create_topic(TOPIC, PARTITIONS, &CONFIGS);
    let mut written = Written::new();
    write(&broker, &[Peer::Java, Peer::Librdkafka, Peer::FranzGo], 140, 1, &mut written);
    wait_until_compacted(&broker);
    let mut left = 0;
    for peer in [Peer::Java, Peer::FranzGo] {
        left = check(&broker, peer, &written, "after compaction");
        assert!(left < total(&written) / 2, "{left} of {} records are left", total(&written));
    }
    broker.kill();
    broker.restart();
    assert_eq!(check(&broker, Peer::Java, &written, "after a kill"), left);
    write(&broker, &[Peer::Java], 140, 100, &mut written);
    wait_until_compacted(&broker);
    let left = check(&broker, Peer::Java, &written, "after more");
    broker.stop();
    assert_eq!(dumped(&broker), left, "the tool counts what a reader sees");
    broker.restart();
    assert_eq!(check(&broker, Peer::Java, &written, "after a clean stop"), left);
}

/// `from` compacts what it gets; `to` gets the files, reads them, and compacts on.
fn exchange(from: Kind, to: Kind) {
    let mut writer = Broker::start_kind(from, &BROKER);
    writer.create_topic(TOPIC, PARTITIONS, &CONFIGS);
    let mut written = Written::new();
    write(&writer, &[Peer::Java, Peer::FranzGo], 140, 1, &mut written);
    wait_until_compacted(&writer);
    let left = check(&writer, Peer::Java, &written, "before");
    assert!(left < total(&written), "nothing was compacted");
    writer.stop();
    if from == Kind::Flumen {
        assert_eq!(dumped(&writer), left);
    }
    let mut host = Broker::start_kind(to, &BROKER);
    host.create_topic(TOPIC, PARTITIONS, &CONFIGS);
    host.stop();
    transplant(&writer, &host, TOPIC, PARTITIONS);
    host.restart();
    check(&host, Peer::Java, &written, &format!("{to:?} opens what {from:?} has compacted"));
    write(&host, &[Peer::Java], 140, 200, &mut written);
    wait_until_compacted(&host);
    let left = check(&host, Peer::FranzGo, &written, &format!("{to:?} compacts on"));
    assert!(left < total(&written) / 2, "{left} of {} records are left", total(&written));
    host.stop();
    if to == Kind::Flumen {
        assert_eq!(dumped(&host), left);
    }
}

#[test]
fn apache_kafka_opens_what_the_broker_has_compacted() {
    exchange(Kind::under_test(), Kind::Kafka);
}

#[test]
fn the_broker_opens_what_apache_kafka_has_compacted() {
    exchange(Kind::Kafka, Kind::under_test());
}
