//! The disk format is Kafka's: Kafka's own tool accepts every file that the broker wrote, and either broker opens what the other
//! wrote and reads it record for record.

#[path = "../support/mod.rs"]
mod support;

mod compaction;
mod damage;

use serde_json::json;
use support::broker::{Broker, Kind};
use support::dump_log::{self, Checked};
use support::exchange::transplant;
use support::peers::{Dump, Peer, Produce, Range};
use support::records::{Random, Record, base_timestamp, varied};

const TOPIC: &str = "exchanged";
const PARTITIONS: i32 = 2;
/// The smallest segment that Kafka allows, so that a few megabytes roll several times.
const SEGMENT_BYTES: &str = "1048576";
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Records that no codec makes smaller.
fn bulk(count: usize, seed: u64) -> Vec<Record> {
    let base = base_timestamp() + i64::try_from(seed).unwrap() * 10_000;
    let mut random = Random(seed);
    let mut record = |index: usize| Record {
        partition: i32::try_from(index % 2).unwrap(),
        offset: -1,
        timestamp: base + i64::try_from(index).unwrap() * 3,
        key: Some(format!("bulk-{index}").into_bytes()),
        value: Some(random.bytes(4000)),
        headers: vec![("seed".to_owned(), Some(seed.to_string().into_bytes()))],
    };
    (0..count).map(&mut record).collect()
}

/// All codecs, idempotent and not, varied and bulky records, in one topic of two partitions: about 4 MB in each.
fn write(broker: &Broker) {
    broker.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", SEGMENT_BYTES)]);
    for (number, peer) in [Peer::Java, Peer::Librdkafka, Peer::FranzGo].into_iter().enumerate() {
        let mut plans = Vec::new();
        for (index, codec) in CODECS.into_iter().enumerate() {
            let seed = (number * CODECS.len() + index) as u64;
            let idempotent = index % 2 == 0;
            let acks = if idempotent { "all" } else { "1" };
            plans.push(Produce { topic: TOPIC.to_owned(), codec, acks, idempotent, records: varied(PARTITIONS, 36, seed) });
            plans.push(Produce { topic: TOPIC.to_owned(), codec, acks: "all", idempotent: true, records: bulk(120, seed) });
        }
        peer.produce(&broker.bootstrap(), plans);
    }
}

/// Records that each partition holds after [`write`].
const WRITTEN: usize = 3 * CODECS.len() * (36 + 60);

fn read(broker: &Broker, peer: Peer, count: usize) -> Dump {
    let range = |partition| Range { topic: TOPIC.to_owned(), partition, from: 0, end: count as i64 };
    let ranges: Vec<Range> = (0..PARTITIONS).map(range).collect();
    peer.consume_with(&broker.bootstrap(), &ranges, json!({"java": {"isolation.level": "read_committed"}}))
}

fn accepted(broker: &Broker) -> Checked {
    dump_log::check(&broker.data_dir())
        .unwrap_or_else(|complaints| panic!("kafka-dump-log complains:\n{}", complaints.join("\n")))
}

fn assert_holds(checked: &Checked, count: usize) {
    for partition in 0..PARTITIONS {
        let directory = format!("{TOPIC}-{partition}");
        assert_eq!(checked.records.get(&directory), Some(&count), "records of {directory}");
        assert!(checked.segments[&directory] >= 3, "{directory} rolled: {} segments", checked.segments[&directory]);
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Clean,
    Killed,
}

/// `from` writes and ends; `to` gets the files, reads them, goes on writing; what it left is read and checked again.
fn exchange(from: Kind, to: Kind, end: End) {
    let mut writer = Broker::start_kind(from, &[]);
    write(&writer);
    let wanted = read(&writer, Peer::Java, WRITTEN);
    match end {
        End::Clean => writer.stop(),
        End::Killed => writer.kill(),
    }
    let mut host = Broker::start_kind(to, &[]);
    host.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", SEGMENT_BYTES)]);
    host.stop();
    transplant(&writer, &host, TOPIC, PARTITIONS);
    host.restart();
    for peer in [Peer::Java, Peer::FranzGo] {
        assert_same(&read(&host, peer, WRITTEN), &wanted, &format!("{peer:?} reads under {to:?} what {from:?} wrote ({end:?})"));
    }
    let plan = Produce { topic: TOPIC.to_owned(), codec: "lz4", acks: "all", idempotent: true, records: bulk(60, 99) };
    let added = Peer::Java.produce(&host.bootstrap(), vec![plan]).remove(0);
    for partition in 0..PARTITIONS {
        let offsets: Vec<i64> = added.iter().filter(|record| record.partition == partition).map(|record| record.offset).collect();
        assert_eq!(offsets, (WRITTEN as i64..WRITTEN as i64 + 30).collect::<Vec<_>>(), "{to:?} goes on where {from:?} ended");
    }
    let all = read(&host, Peer::Librdkafka, WRITTEN + 30);
    for (place, wanted) in &wanted {
        assert_eq!(all[place][..WRITTEN], wanted[..], "{place:?} after more was written");
    }
    host.stop();
    assert_holds(&accepted(&host), WRITTEN + 30);
}

fn assert_same(read: &Dump, wanted: &Dump, what: &str) {
    assert_eq!(read.len(), wanted.len(), "{what}: partitions");
    for (place, wanted) in wanted {
        for (read, wanted) in read[place].iter().zip(wanted) {
            assert_eq!(read, wanted, "{what}: {place:?}");
        }
        assert_eq!(read[place].len(), wanted.len(), "{what}: {place:?}: number of records");
    }
}

#[test]
fn kafka_dump_log_accepts_every_file_after_a_clean_stop() {
    let mut broker = Broker::start(&[]);
    write(&broker);
    broker.stop();
    let checked = accepted(&broker);
    assert_holds(&checked, WRITTEN);
    assert!(checked.files > 20, "only {} files were checked", checked.files);
}

#[test]
fn kafka_dump_log_accepts_every_file_after_sigkill_and_recovery() {
    let mut broker = Broker::start(&[]);
    write(&broker);
    let before = read(&broker, Peer::Java, WRITTEN);
    broker.kill();
    broker.restart();
    assert_same(&read(&broker, Peer::Java, WRITTEN), &before, "after recovery");
    broker.stop();
    assert_holds(&accepted(&broker), WRITTEN);
}

#[test]
fn apache_kafka_opens_what_the_broker_wrote_and_stopped() {
    exchange(Kind::under_test(), Kind::Kafka, End::Clean);
}

#[test]
fn apache_kafka_opens_what_the_broker_wrote_when_it_was_killed() {
    exchange(Kind::under_test(), Kind::Kafka, End::Killed);
}

#[test]
fn the_broker_opens_what_apache_kafka_wrote_and_stopped() {
    exchange(Kind::Kafka, Kind::under_test(), End::Clean);
}

#[test]
fn the_broker_opens_what_apache_kafka_wrote_when_it_was_killed() {
    exchange(Kind::Kafka, Kind::under_test(), End::Killed);
}
