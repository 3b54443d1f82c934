//! Quotas of clients: set with Kafka's own tool, and felt as with Apache Kafka (`FLUMEN_TEST_TARGET=kafka`).

use crate::admin::{alter, configs, eventually};
use crate::support::administration::complaint;
use crate::support::broker::{Broker, Kind};
use crate::support::client::{Client, produce_request};
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::Message;
use flumen::protocol::generated::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use flumen::protocol::generated::create_topics_response::CreateTopicsResponse;
use flumen::protocol::generated::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::protocol::generated::fetch_response::FetchResponse;
use flumen::protocol::generated::produce_response::ProduceResponse;
use flumen::record::{BatchBuilder, Compression};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 13;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;

/// Clients with quotas: 10,000 bytes a second in and out, so little time that any request is too long, and one partition a second.
const QUOTAS: [(&str, &str); 5] = [
    ("producing", "producer_byte_rate=10000"),
    ("spreading", "producer_byte_rate=10000"),
    ("fetching", "consumer_byte_rate=10000"),
    ("busy", "request_percentage=0.0001"),
    ("creating", "controller_mutation_rate=1"),
];

/// A broker where they are in force.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        let broker = Broker::start(&[("num.partitions", "1"), ("auto.create.topics.enable", "true")]);
        for (client, quota) in QUOTAS {
            alter(&broker, &["--entity-type", "clients", "--entity-name", client], &["--add-config", quota]);
        }
        if broker.kind == Kind::Kafka {
            // Its parts learn of a change one after the other.
            std::thread::sleep(Duration::from_secs(2));
        }
        broker
    })
}

fn connect(client_id: &str) -> Client {
    Client::connect(broker().address()).unwrap().named(client_id)
}

fn batch(bytes: usize) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(i64::try_from(now).unwrap(), None, Some(&vec![7; bytes]));
    builder.build()
}

/// Waits until a topic is there that has been asked for.
fn ready(topic: &str) {
    let mut client = connect("nobody");
    eventually("the topic", || client.topic_id(topic).unwrap().is_some());
}

/// Produces one record; milliseconds for which the client is told that it is held off.
fn produce(client: &mut Client, topic: &str, bytes: usize) -> i32 {
    let request = produce_request(topic, TopicId::ZERO, 0, 1, batch(bytes), PRODUCE_VERSION);
    client.send(&request, PRODUCE_VERSION, true).unwrap();
    let answer = ProduceResponse::from_bytes(client.receive(true).unwrap().1, PRODUCE_VERSION).unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "what is too much is taken all the same");
    answer.throttle_time_ms
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

#[test]
fn quotas_are_set_described_and_taken_back() {
    let broker = broker();
    // The tool prints them in no order.
    let of = |entity: &[&str]| {
        let lines = configs(broker, entity, &["--describe"]);
        let (whose, quotas) = lines.first()?.split_once(" are ")?;
        let mut quotas: Vec<_> = quotas.split(", ").map(str::to_owned).collect();
        quotas.sort_unstable();
        Some(format!("{whose}: {}", quotas.join(" ")))
    };
    let client = ["--entity-type", "clients", "--entity-name", "quick"];
    alter(broker, &client, &["--add-config", "producer_byte_rate=1024,consumer_byte_rate=2048"]);
    let told = of(&client).unwrap();
    assert_eq!(told, "Quota configs for client-id 'quick': consumer_byte_rate=2048.0 producer_byte_rate=1024.0");
    alter(broker, &client, &["--add-config", "request_percentage=12.5", "--delete-config", "consumer_byte_rate"]);
    let told = of(&client).unwrap();
    assert_eq!(told, "Quota configs for client-id 'quick': producer_byte_rate=1024.0 request_percentage=12.5");

    let both = ["--entity-type", "users", "--entity-name", "alice", "--entity-type", "clients", "--entity-default"];
    alter(broker, &both, &["--add-config", "controller_mutation_rate=0.5"]);
    let told = of(&both).unwrap();
    assert_eq!(told, "Quota configs for user-principal 'alice', the default client-id: controller_mutation_rate=0.5");
    alter(broker, &both, &["--delete-config", "controller_mutation_rate"]);
    assert_eq!(of(&both), None);

    let refused =
        complaint(broker, "kafka.admin.ConfigCommand", &[&client[..], &["--alter", "--add-config", "no_such_rate=1"]].concat());
    assert!(refused.contains("no_such_rate"), "{refused}");
    alter(broker, &client, &["--delete-config", "producer_byte_rate,request_percentage"]);
    assert_eq!(of(&client), None);
}

#[test]
fn who_writes_too_much_is_told_and_held_off() {
    let (mut client, mut other) = (connect("producing"), connect("nobody"));
    ready("produced");
    assert_eq!(produce(&mut other, "produced", 10), 0);
    // A second holds 10,000, and the average is over ten.
    assert_eq!([1, 2].map(|_| produce(&mut client, "produced", 45_000)), [0, 0]);
    let (held_off, answered) = timed(|| produce(&mut client, "produced", 45_000));
    assert!((3_000..=4_500).contains(&held_off), "135,000 bytes are paid for in 13.5 s, not {held_off} ms more than ten");
    assert!(answered < Duration::from_secs(2), "the answer itself comes at once, not after {answered:?}");
    let (_, others) = timed(|| produce(&mut other, "produced", 45_000));
    assert!(others < Duration::from_secs(2), "nobody else waits, not even {others:?}");
    let (again, waited) = timed(|| produce(&mut client, "produced", 10));
    assert!(waited > Duration::from_millis(held_off as u64 - 500), "the next was taken after {waited:?}, not {held_off} ms");
    // It counts for eleven seconds, and by then it is over little more than ten.
    assert!((2_000..=4_500).contains(&again), "{again}");
}

#[test]
fn one_client_has_one_quota_whatever_its_connections() {
    ready("spread");
    let mut clients: Vec<Client> = (0..8).map(|_| connect("spreading")).collect();
    let held_off: Vec<i32> = clients.iter_mut().map(|client| produce(client, "spread", 20_000)).collect();
    assert_eq!(held_off[..4], [0; 4]);
    assert!((5_000..=7_000).contains(&held_off[7]), "160,000 bytes are paid for in 16 s: {held_off:?}");
}

#[test]
fn who_reads_too_much_gets_nothing_for_a_while() {
    ready("fetched");
    let mut writer = connect("nobody");
    for _ in 0..40 {
        produce(&mut writer, "fetched", 8_000);
    }
    let topic_id = writer.topic_id("fetched").unwrap().unwrap();
    let mut client = connect("fetching");
    let mut fetch = |fetch_offset: i64| {
        let partition = FetchPartition { partition: 0, fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
        let topics = vec![FetchTopic { topic_id, partitions: vec![partition], ..Default::default() }];
        let request = FetchRequest { max_wait_ms: 100, min_bytes: 1, max_bytes: 1 << 20, topics, ..Default::default() };
        let answer: FetchResponse = client.call(&request, FETCH_VERSION, true).unwrap();
        assert_eq!(answer.error_code, 0);
        let bytes: usize =
            answer.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.records.len()).sum();
        // Each batch has one record.
        (answer.throttle_time_ms, bytes, fetch_offset + (bytes / 8_000) as i64)
    };
    let (held_off, bytes, next) = fetch(0);
    assert_eq!(held_off, 0);
    assert!((50_000..=100_000).contains(&bytes), "one answer has what the quota allows in ten seconds, not {bytes}");
    let mut total = bytes;
    let (mut place, mut pauses, begun) = (next, 0, Instant::now());
    while total < 170_000 {
        let (held_off, bytes, next) = fetch(place);
        assert!(held_off == 0 || bytes == 0, "{bytes} bytes for who has to wait {held_off} ms");
        pauses += i32::from(held_off > 0);
        (total, place) = (total + bytes, next);
        assert!(begun.elapsed() < Duration::from_secs(60), "{total} bytes after a minute");
    }
    assert!(pauses > 0);
    assert!(begun.elapsed() > Duration::from_secs(4), "{total} bytes in {:?}", begun.elapsed());
}

#[test]
fn who_takes_too_much_time_is_held_off_for_a_second_at_most() {
    let mut client = connect("busy");
    // Whatever it asks, it has asked too much before.
    client.topic_id("anything").unwrap();
    let (_, waited) = timed(|| client.topic_id("anything").unwrap());
    assert!(waited > Duration::from_millis(800) && waited < Duration::from_secs(3), "{waited:?}");
}

fn create(client: &mut Client, name: &str, num_partitions: i32, version: i16) -> CreateTopicsResponse {
    let topic = CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, ..Default::default() };
    client
        .call(&CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false }, version, version >= 5)
        .unwrap()
}

#[test]
fn who_creates_too_many_partitions_is_refused_and_old_clients_wait() {
    let mut client = connect("creating");
    let first = create(&mut client, "created-0", 13, 7);
    assert_eq!((first.topics[0].error_code, first.throttle_time_ms), (0, 0), "a burst may go beyond what is there");
    let second = create(&mut client, "created-1", 1, 7);
    assert_eq!(second.topics[0].error_code, THROTTLING_QUOTA_EXCEEDED);
    assert!(
        (500..=2_000).contains(&second.throttle_time_ms),
        "two partitions are paid for in two seconds: {}",
        second.throttle_time_ms
    );

    // It was held off for as long as it was told, so that something is there again.
    let (third, waited) = timed(|| create(&mut client, "created-2", 6, 5));
    assert!(waited > Duration::from_millis(second.throttle_time_ms as u64 - 300), "{waited:?}");
    assert_eq!(third.topics[0].error_code, 0, "old clients do not know the error");
    assert!((4_000..=7_000).contains(&third.throttle_time_ms), "{}", third.throttle_time_ms);

    let mut client = connect("creating");
    let topic = CreatePartitionsTopic { name: "created-0".into(), count: 14, assignments: None };
    let more =
        client.call(&CreatePartitionsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false }, 3, true).unwrap();
    assert_eq!(more.results[0].error_code, THROTTLING_QUOTA_EXCEEDED);
    let mut client = connect("creating");
    let topics = vec![DeleteTopicState { name: Some("created-0".into()), ..Default::default() }];
    let gone = client.call(&DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() }, 6, true).unwrap();
    assert_eq!(gone.responses[0].error_code, THROTTLING_QUOTA_EXCEEDED);
    // Others are not concerned.
    assert_eq!(create(&mut connect("nobody"), "created-3", 20, 7).topics[0].error_code, 0);
}
