//! Settings of a broker, each with something that a client or the disk shows of it.

use crate::LIMIT;
use crate::support::broker::{Broker, Kind};
use crate::support::client::{Client, produce_request};
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::generated::create_topics_request::CreatableTopic;
use flumen::protocol::generated::delete_topics_request::DeleteTopicState;
use flumen::protocol::generated::describe_topic_partitions_request::TopicRequest;
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchTopic};
use flumen::protocol::generated::join_group_request::JoinGroupRequestProtocol;
use flumen::protocol::generated::metadata_request::MetadataRequestTopic;
use flumen::protocol::generated::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use flumen::protocol::generated::produce_response::PartitionProduceResponse;
use flumen::protocol::generated::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest,
    JoinGroupRequest, MetadataRequest, MetadataResponse, OffsetCommitRequest,
};
use flumen::record::{BatchBuilder, Compression};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PRODUCE: i16 = 12;

const UNKNOWN_TOPIC: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const INVALID_SESSION_TIMEOUT: i16 = 26;
const INVALID_TIMESTAMP: i16 = 32;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const TOPIC_DELETION_DISABLED: i16 = 73;
const GROUP_MAX_SIZE_REACHED: i16 = 81;

fn start(settings: &[(&str, &str)]) -> (Broker, Client) {
    let broker = Broker::start_kind(Kind::Flumen, settings);
    let client = Client::connect(broker.address()).unwrap();
    (broker, client)
}

pub fn create(client: &mut Client, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    assert_eq!(client.create_topic(topic, partitions, configs).unwrap(), 0, "creating {topic}");
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn batch(timestamp: i64, values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    for value in values {
        builder.append(timestamp, None, Some(value));
    }
    builder.build()
}

fn produce_batch(client: &mut Client, topic: &str, batch: Bytes) -> PartitionProduceResponse {
    let request = produce_request(topic, TopicId::ZERO, 0, -1, batch, PRODUCE);
    client.call(&request, PRODUCE, true).unwrap().responses.remove(0).partition_responses.remove(0)
}

/// What becomes of one batch of these values.
pub fn produce(client: &mut Client, topic: &str, values: &[&[u8]]) -> PartitionProduceResponse {
    produce_batch(client, topic, batch(now_ms(), values))
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Files of a partition whose names end so, by name.
fn files(broker: &Broker, topic: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(broker.partition_dir(topic, 0)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().unwrap().ends_with(ending));
    paths.sort();
    paths
}

fn metadata(client: &mut Client, topic: &str) -> MetadataResponse {
    let topics = Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]);
    let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
    client.call(&request, 12, true).unwrap()
}

#[test]
fn topics_come_and_stay_as_the_settings_say() {
    let settings = [("num.partitions", "3"), ("delete.topic.enable", "false"), ("broker.rack", "r7")];
    let (_broker, mut client) = start(&settings);
    let made = metadata(&mut client, "made");
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 3));
    assert_eq!(made.brokers[0].rack.as_deref(), Some("r7"));
    let topics = vec![DeleteTopicState { name: Some("made".into()), ..Default::default() }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() };
    let deleted = client.call(&request, 6, true).unwrap();
    assert_eq!(deleted.responses[0].error_code, TOPIC_DELETION_DISABLED);

    let (_broker, mut client) = start(&[("auto.create.topics.enable", "false"), ("default.replication.factor", "2")]);
    assert_eq!(metadata(&mut client, "unmade").topics[0].error_code, UNKNOWN_TOPIC);
    let topic = CreatableTopic { name: "two".into(), num_partitions: 1, replication_factor: -1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let refused = client.call(&request, 7, true).unwrap();
    assert_eq!(refused.topics[0].error_code, INVALID_REPLICATION_FACTOR, "there is one broker");
}

/// Keys and values of a broker, or of a topic.
type Configs = &'static [(&'static str, &'static str)];

#[test]
fn timestamps_are_judged_or_replaced() {
    let judging: [(Configs, Configs); 2] = [
        (&[("log.message.timestamp.before.max.ms", "60000"), ("log.message.timestamp.after.max.ms", "60000")], &[]),
        (&[], &[("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")]),
    ];
    for (settings, configs) in judging {
        let (_broker, mut client) = start(settings);
        create(&mut client, "judged", 1, configs);
        for (shift, error) in [(0, 0), (-30_000, 0), (-120_000, INVALID_TIMESTAMP), (120_000, INVALID_TIMESTAMP)] {
            let answer = produce_batch(&mut client, "judged", batch(now_ms() + shift, &[b"x"]));
            assert_eq!((answer.error_code, answer.log_append_time_ms), (error, -1), "{shift} ms from now, {configs:?}");
        }
    }
    let replacing: [(Configs, Configs); 2] =
        [(&[("log.message.timestamp.type", "LogAppendTime")], &[]), (&[], &[("message.timestamp.type", "LogAppendTime")])];
    for (settings, configs) in replacing {
        let (_broker, mut client) = start(settings);
        create(&mut client, "replaced", 1, configs);
        let answer = produce_batch(&mut client, "replaced", batch(1, &[b"x"]));
        assert!(answer.error_code == 0 && (now_ms() - answer.log_append_time_ms).abs() < 60_000, "{answer:?}");
    }
}

/// Words of a small language, so that it matters how hard somebody looks for repetitions.
fn prose(bytes: usize) -> Vec<u8> {
    let (mut text, mut state) = (Vec::new(), 1_u64);
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let word = (state >> 33) % 3000;
        text.extend(format!("{:x}{:o} ", word * word, word).bytes());
    }
    text
}

#[test]
fn records_are_compressed_as_hard_as_the_settings_say() {
    let values = prose(600_000);
    // The keys of the broker and of the topic have the same names.
    let sizes = |configs: &[(&str, &str)]| {
        [(configs, &[][..]), (&[][..], configs)].map(|(settings, configs)| {
            let (_broker, mut client) = start(settings);
            create(&mut client, "packed", 1, configs);
            assert_eq!(produce(&mut client, "packed", &[&values]).error_code, 0);
            let id = client.topic_id("packed").unwrap().unwrap();
            client.fetch(id, &[(0, 0)], 1 << 20, 500).unwrap()[0].bytes
        })
    };
    assert!(sizes(&[])[0] > values.len(), "as the producer sent it");
    for (codec, fast, hard) in [("gzip", "1", "9"), ("zstd", "1", "19")] {
        let key = format!("compression.{codec}.level");
        let [fast, hard] = [fast, hard].map(|level| sizes(&[("compression.type", codec), (key.as_str(), level)]));
        for (fast, hard) in fast.into_iter().zip(hard) {
            assert!(hard < fast && fast < values.len(), "{codec}: {hard} and {fast} of {}", values.len());
        }
    }
}

#[test]
fn segments_and_their_indexes_are_as_large_as_the_settings_say() {
    let index_bytes = |settings: Configs, configs: Configs| {
        let (mut broker, mut client) = start(settings);
        create(&mut client, "cut", 1, configs);
        for _ in 0..30 {
            assert_eq!(produce(&mut client, "cut", &[b"some bytes"]).error_code, 0);
        }
        let segments = files(&broker, "cut", ".log").len();
        broker.stop();
        (segments, files(&broker, "cut", ".index")[0].metadata().unwrap().len())
    };
    let (segments, sparse) = index_bytes(&[], &[]);
    assert_eq!(segments, 1);
    let often: [(Configs, Configs); 2] =
        [(&[("log.index.interval.bytes", "100")], &[]), (&[], &[("index.interval.bytes", "100")])];
    for (settings, configs) in often {
        let (segments, dense) = index_bytes(settings, configs);
        assert!(segments == 1 && dense > sparse + 40, "{dense} bytes of index, and {sparse} by default, {configs:?}");
    }
    let small: [(Configs, Configs); 2] = [
        (&[("log.index.interval.bytes", "1"), ("log.index.size.max.bytes", "80")], &[]),
        (&[], &[("index.interval.bytes", "1"), ("segment.index.bytes", "80")]),
    ];
    for (settings, configs) in small {
        let (segments, _) = index_bytes(settings, configs);
        assert!(segments > 2, "a full index ends its segment: {segments}, {configs:?}");
    }

    let allocated = |settings: Configs, configs: Configs| {
        let (broker, mut client) = start(settings);
        create(&mut client, "spacious", 1, configs);
        assert_eq!(produce(&mut client, "spacious", &[b"x"]).error_code, 0);
        files(&broker, "spacious", ".log")[0].metadata().unwrap().blocks() * 512
    };
    assert!(allocated(&[("log.segment.bytes", "33554432"), ("log.preallocate", "true")], &[]) >= 32 << 20);
    assert!(allocated(&[], &[("segment.bytes", "33554432"), ("preallocate", "true")]) >= 32 << 20);
    assert!(allocated(&[("log.segment.bytes", "33554432")], &[]) < 32 << 20);
}

#[test]
fn what_is_too_much_goes_and_its_files_stay_for_a_while() {
    let retained = |settings: &[(&str, &str)], configs: &[(&str, &str)]| {
        let (broker, mut client) = start(&[settings, &[("log.retention.check.interval.ms", "100")]].concat());
        create(&mut client, "kept", 1, configs);
        for _ in 0..4 {
            assert_eq!(produce(&mut client, "kept", &[&[7; 600_000]]).error_code, 0);
        }
        eventually("retention by size", || client.list_offset("kept", 0, -2).unwrap().1 > 0);
        (broker, client)
    };
    let both = |delay: &str| {
        let settings =
            [("log.retention.bytes", "1000"), ("log.segment.bytes", "1048576"), ("log.segment.delete.delay.ms", delay)];
        let configs = [("retention.bytes", "1000"), ("segment.bytes", "1048576"), ("file.delete.delay.ms", delay)];
        [retained(&settings, &[]), retained(&[], &configs)]
    };
    for (broker, _client) in both("0") {
        eventually("the end of the files", || files(&broker, "kept", ".deleted").is_empty());
    }
    let kept = both("600000");
    std::thread::sleep(Duration::from_millis(500));
    for (broker, _client) in &kept {
        assert!(!files(broker, "kept", ".log.deleted").is_empty());
    }
}

#[test]
fn answers_have_limits_of_the_brokers_own() {
    let (_broker, mut client) = start(&[("fetch.max.bytes", "2000"), ("max.request.partition.size.limit", "2")]);
    create(&mut client, "long", 5, &[]);
    for _ in 0..10 {
        assert_eq!(produce(&mut client, "long", &[&[7; 1400]]).error_code, 0);
    }
    let id = client.topic_id("long").unwrap().unwrap();
    let fetched = &client.fetch(id, &[(0, 0)], 1 << 20, 500).unwrap()[0];
    assert!(fetched.records.len() == 1 && fetched.bytes <= 2000, "{} bytes", fetched.bytes);
    let topics = vec![TopicRequest { name: "long".into() }];
    let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 2000, cursor: None };
    let described = client.call(&request, 0, true).unwrap();
    assert_eq!((described.topics[0].partitions.len(), described.next_cursor.unwrap().partition_index), (2, 2));
}

#[test]
fn fetch_sessions_are_as_many_as_there_are_slots() {
    let session = |settings: &[(&str, &str)]| {
        let (_broker, mut client) = start(settings);
        create(&mut client, "watched", 1, &[]);
        let id = client.topic_id("watched").unwrap().unwrap();
        let partition = FetchPartition { partition_max_bytes: 1000, ..Default::default() };
        let topic = FetchTopic { topic_id: id, partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { max_wait_ms: 1, min_bytes: 1, max_bytes: 1000, topics: vec![topic], ..Default::default() };
        // Epoch 0 asks for a session.
        let answer = client.call(&FetchRequest { session_id: 0, session_epoch: 0, ..request }, 13, true).unwrap();
        assert_eq!(answer.error_code, 0);
        answer.session_id
    };
    assert_ne!(session(&[]), 0);
    assert_eq!(session(&[("max.incremental.fetch.session.cache.slots", "0")]), 0);
}

/// Waits until the broker coordinates groups.
fn coordinate(client: &mut Client) {
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    eventually("a coordinator", || client.call(&request, 4, true).unwrap().coordinators[0].error_code == 0);
}

/// The error of a coordinator that is there: it may be loading when it is found.
fn once_it_is_there(mut ask: impl FnMut() -> i16) -> i16 {
    let mut error = 0;
    eventually("an answer of the coordinator", || {
        error = ask();
        !matches!(error, 14..=16)
    });
    error
}

fn join(client: &mut Client, session_timeout_ms: i32) -> i16 {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(b"any") };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms,
        rebalance_timeout_ms: 1000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    // The newest version that needs no id from an earlier try.
    once_it_is_there(|| client.call(&request, 3, false).unwrap().error_code)
}

/// What becomes of an offset that somebody commits who is no member of a group.
fn commit(client: &mut Client, metadata: &str) -> i16 {
    let partition = OffsetCommitRequestPartition { committed_metadata: Some(metadata.into()), ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "read".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "alone".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    once_it_is_there(|| client.call(&request, 8, true).unwrap().topics[0].partitions[0].error_code)
}

#[test]
fn groups_have_limits() {
    let (broker, mut client) = start(&[
        ("group.max.size", "1"),
        ("group.max.session.timeout.ms", "7000"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offset.metadata.max.bytes", "4"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.compression.codec", "1"),
    ]);
    create(&mut client, "read", 1, &[]);
    coordinate(&mut client);
    assert_eq!(join(&mut client, 8000), INVALID_SESSION_TIMEOUT);
    assert_eq!((commit(&mut client, "four"), commit(&mut client, "fives")), (0, OFFSET_METADATA_TOO_LARGE));
    // What the coordinator has written says by which codec: the lowest three bits of a batch's attributes.
    let log = std::fs::read(&files(&broker, "__consumer_offsets", ".log")[0]).unwrap();
    assert_eq!(log[22] & 7, 1, "gzip");
    assert_eq!(join(&mut client, 7000), 0);
    let mut other = Client::connect(broker.address()).unwrap();
    assert_eq!(join(&mut other, 7000), GROUP_MAX_SIZE_REACHED);
}

#[test]
fn the_topic_of_offsets_is_as_the_settings_say() {
    let (broker, mut client) = start(&[
        ("offsets.topic.num.partitions", "3"),
        ("offsets.topic.segment.bytes", "1048576"),
        ("offset.metadata.max.bytes", "30000"),
    ]);
    create(&mut client, "read", 1, &[]);
    coordinate(&mut client);
    let topic = metadata(&mut client, "__consumer_offsets").topics.remove(0);
    assert_eq!(topic.partitions.len(), 3);
    let words = "x".repeat(30_000);
    for _ in 0..40 {
        assert_eq!(commit(&mut client, &words), 0);
    }
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "log");
    let segments = |partition: i32| {
        let entries = std::fs::read_dir(broker.partition_dir("__consumer_offsets", partition)).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(is_segment).count()
    };
    assert_eq!((0..3).map(segments).sum::<usize>(), 4, "more than a megabyte, all of one group");

    let (broker, mut client) = start(&[("offsets.topic.replication.factor", "2")]);
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    assert_eq!(client.call(&request, 4, true).unwrap().coordinators[0].error_code, COORDINATOR_NOT_AVAILABLE);
    eventually("a word in the log", || broker.log().contains("groups cannot be served"));
}

#[test]
fn the_metadata_are_written_down_as_a_snapshot_as_often_as_the_settings_say() {
    let snapshots = |broker: &Broker| {
        let entries = std::fs::read_dir(broker.data_dir().join("__cluster_metadata-0")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|suffix| suffix == "checkpoint")).count()
    };
    let after_topics = |settings: &[(&str, &str)]| {
        let (broker, mut client) = start(settings);
        for number in 0..10 {
            create(&mut client, &format!("t{number}"), 1, &[]);
        }
        snapshots(&broker)
    };
    assert_eq!(after_topics(&[]), 0);
    assert!(after_topics(&[("metadata.log.max.record.bytes.between.snapshots", "1000")]) > 0);
    assert!(after_topics(&[("metadata.log.max.snapshot.interval.ms", "1")]) > 0);
}

#[test]
fn compaction_can_be_turned_off() {
    let start_of_keys = |enabled: &str| {
        let (broker, mut client) = start(&[("log.cleaner.enable", enabled), ("log.cleaner.backoff.ms", "20")]);
        let configs = [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.01")];
        create(&mut client, "states", 1, &configs);
        for _ in 0..4 {
            let mut builder = BatchBuilder::new(Compression::NONE);
            builder.append(now_ms(), Some(b"key"), Some(&[7; 600_000]));
            assert_eq!(produce_batch(&mut client, "states", builder.build()).error_code, 0);
        }
        (broker, client)
    };
    let records = |client: &mut Client| {
        let id = client.topic_id("states").unwrap().unwrap();
        client.fetch(id, &[(0, 0)], 8 << 20, 500).unwrap()[0].records.len()
    };
    let (_broker, mut client) = start_of_keys("true");
    eventually("compaction", || records(&mut client) < 4);
    let (_broker, mut client) = start_of_keys("false");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(records(&mut client), 4);
}
