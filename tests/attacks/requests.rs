//! Well-formed requests that ask for too much.

use super::client::{Client, FETCH, fetch_request, produce_request};
use super::{Attack, SHORT, logged};
use bytes::{BufMut, Bytes, BytesMut};
use flumen::protocol::codec::MAX_DECODED_BYTES;
use flumen::protocol::frame::encode_request;
use flumen::protocol::generated::create_partitions_request::CreatePartitionsTopic;
use flumen::protocol::generated::create_topics_request::CreatableTopic;
use flumen::protocol::generated::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use flumen::protocol::generated::delete_topics_request::DeleteTopicState;
use flumen::protocol::generated::describe_configs_request::DescribeConfigsResource;
use flumen::protocol::generated::describe_topic_partitions_request::TopicRequest;
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchTopic};
use flumen::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use flumen::protocol::generated::metadata_request::MetadataRequestTopic;
use flumen::protocol::generated::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use flumen::protocol::generated::produce_request::{PartitionProduceData, TopicProduceData};
use flumen::protocol::generated::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, ListOffsetsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest, ResponseHeader,
};
use flumen::protocol::{Message, Reader, Records, Request, StrBytes};
use std::time::{Duration, Instant};

pub const MANY: usize = 1_000_000;
/// Longest round of a witness on a machine that has nothing else to do; it takes some tens of milliseconds there, though the broker
/// that is tested is not optimised.
const PATIENCE: Duration = Duration::from_secs(1);
/// On a busy machine: which part of the time that the request takes. A core that works through one of these requests without looking
/// up is away for nearly all of it.
const PART: u32 = 3;
/// Anything worse is no fault of the machine.
const WORST: Duration = Duration::from_secs(20);

/// Codes that the answers give.
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub const NONE: i16 = 0;
const INVALID_PARTITIONS: i16 = 37;

/// The largest array of these that is decoded, if a million are too many.
pub fn most<T>() -> usize {
    MANY.min((MAX_DECODED_BYTES - 4096) / size_of::<T>())
}

pub fn name(number: usize) -> StrBytes {
    format!("t{number}").as_str().into()
}

/// One request of its kind, on a broker of its own, with a client beside it on each core. `errors` counts, in the answer, what
/// was named and the code that it got.
pub fn attack<R: Request>(version: i16, request: R, expected: (usize, i16), errors: impl Fn(R::Response) -> Vec<i16>) {
    let frame = encode_request(version, 1, None, &request).expect("it can be said");
    drop(request);
    let answer = exchange(R::NAME, &frame).expect("an answer");
    let mut reader = Reader::with_limit(answer, usize::MAX);
    ResponseHeader::decode(&mut reader, R::API_KEY.response_header_version(version)).expect("a header");
    let errors = errors(R::Response::decode(&mut reader, version).expect("a well-formed answer"));
    assert_eq!(errors.len(), expected.0, "{}: what is named is answered", R::NAME);
    let other = errors.iter().find(|&&code| code != expected.1);
    assert_eq!(other, None, "{}: the first error that is not {}", R::NAME, expected.1);
}

/// What a broker says to a frame: an answer, or the connection is closed and the log says so.
fn exchange(kind: &str, frame: &Bytes) -> Option<Bytes> {
    let (mut answer, mut taken) = (None, Duration::ZERO);
    let slowest = Attack { settings: &[], ceiling_mib: 800, patience: WORST }.run_beside(2, |broker| {
        let mut client = Client::connect(broker.address());
        client.create_topic("few", 2, &[]);
        client.commit("simple", "few");
        let started = Instant::now();
        client.send_bytes(frame).ok();
        let received = client.receive_frame();
        let length = received.as_ref().map(Bytes::len);
        taken = started.elapsed();
        println!("{kind}: {} bytes, {length:?} after {taken:?}", frame.len());
        if let Err(error) = &received {
            let waited = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            assert!(!waited, "neither answered nor closed");
            logged(broker, &["closing", &client.local()]);
        }
        answer = received.ok();
    });
    assert_patience(kind, slowest, taken);
    answer
}

/// The slowest round of a witness beside a request that took so long.
fn assert_patience(kind: &str, slowest: Duration, taken: Duration) {
    let patience = PATIENCE.max(taken / PART);
    assert!(slowest <= patience, "{kind}: a round of a witness took {slowest:?} where {patience:?} are allowed");
}

#[test]
fn a_million_topics_described() {
    let topics =
        (0..most::<MetadataRequestTopic>()).map(|number| MetadataRequestTopic { name: Some(name(number)), ..Default::default() });
    let topics: Vec<_> = topics.collect();
    let expected = (topics.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let request = MetadataRequest { topics: Some(topics), ..Default::default() };
    attack(9, request, expected, |answer| answer.topics.iter().map(|topic| topic.error_code).collect());

    let topics: Vec<_> =
        (0..most::<TopicRequest>()).map(|number| TopicRequest { name: name(number), ..Default::default() }).collect();
    let expected = (topics.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 2000, ..Default::default() };
    attack(0, request, expected, |answer| answer.topics.iter().map(|topic| topic.error_code).collect());

    let resource = |number| DescribeConfigsResource { resource_type: 2, resource_name: name(number), ..Default::default() };
    let resources: Vec<_> = (0..most::<DescribeConfigsResource>()).map(resource).collect();
    let expected = (resources.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let request = DescribeConfigsRequest { resources, ..Default::default() };
    attack(1, request, expected, |answer| answer.results.iter().map(|result| result.error_code).collect());

    let coordinator_keys: Vec<_> = (0..MANY).map(name).collect();
    let request = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
    let errors =
        |answer: <FindCoordinatorRequest as Request>::Response| answer.coordinators.iter().map(|one| one.error_code).collect();
    attack(4, request, (MANY, NONE), errors);
}

#[test]
fn a_million_topics_created_and_deleted() {
    let topic = |number| CreatableTopic { name: name(number), num_partitions: 0, replication_factor: 1, ..Default::default() };
    let topics: Vec<_> = (0..most::<CreatableTopic>()).map(topic).collect();
    let expected = (topics.len(), INVALID_PARTITIONS);
    let request = CreateTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() };
    attack(5, request, expected, |answer| answer.topics.iter().map(|topic| topic.error_code).collect());

    let topic = |number| CreatePartitionsTopic { name: name(number), count: 2, ..Default::default() };
    let topics: Vec<_> = (0..most::<CreatePartitionsTopic>()).map(topic).collect();
    let expected = (topics.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let request = CreatePartitionsRequest { topics, timeout_ms: 30_000, ..Default::default() };
    attack(1, request, expected, |answer| answer.results.iter().map(|result| result.error_code).collect());

    let request = DeleteTopicsRequest { topic_names: (0..MANY).map(name).collect(), timeout_ms: 30_000, ..Default::default() };
    let errors = |answer: <DeleteTopicsRequest as Request>::Response| answer.responses.iter().map(|one| one.error_code).collect();
    attack(5, request, (MANY, UNKNOWN_TOPIC_OR_PARTITION), errors);

    let topic = |number| DeleteTopicState { name: Some(name(number)), ..Default::default() };
    let topics: Vec<_> = (0..most::<DeleteTopicState>()).map(topic).collect();
    let expected = (topics.len(), UNKNOWN_TOPIC_OR_PARTITION);
    attack(6, DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() }, expected, errors);
}

#[test]
fn a_million_partitions_looked_into() {
    // Two of these are there.
    let partition = |index| ListOffsetsPartition { partition_index: index as i32 + 2, timestamp: -1, ..Default::default() };
    let partitions: Vec<_> = (0..most::<ListOffsetsPartition>()).map(partition).collect();
    let expected = (partitions.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let topics = vec![ListOffsetsTopic { name: "few".into(), partitions }];
    let errors = |answer: <ListOffsetsRequest as Request>::Response| {
        answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code)).collect()
    };
    attack(5, ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }, expected, errors);

    // All of them are there, on both cores: this one may name a partition more than once.
    let partition =
        |index| OffsetForLeaderPartition { partition: (index % 2) as i32, current_leader_epoch: -1, ..Default::default() };
    let partitions: Vec<_> = (0..most::<OffsetForLeaderPartition>()).map(partition).collect();
    let expected = (partitions.len(), 0);
    let topics = vec![OffsetForLeaderTopic { topic: "few".into(), partitions }];
    let errors = |answer: <OffsetForLeaderEpochRequest as Request>::Response| {
        answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code)).collect()
    };
    attack(3, OffsetForLeaderEpochRequest { replica_id: -1, topics, ..Default::default() }, expected, errors);

    let partition = |index| DeleteRecordsPartition { partition_index: index as i32 + 2, offset: -1, ..Default::default() };
    let partitions: Vec<_> = (0..most::<DeleteRecordsPartition>()).map(partition).collect();
    let expected = (partitions.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let topics = vec![DeleteRecordsTopic { name: "few".into(), partitions, ..Default::default() }];
    let errors = |answer: <DeleteRecordsRequest as Request>::Response| {
        answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code)).collect()
    };
    attack(1, DeleteRecordsRequest { topics, timeout_ms: 1000, ..Default::default() }, expected, errors);
}

#[test]
fn a_million_partitions_fetched() {
    let errors = |answer: <FetchRequest as Request>::Response| {
        answer.responses.iter().flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code)).collect()
    };
    // Without a session, and with one that has all of them.
    for session_epoch in [-1, 0] {
        let mut fetch = FetchRequest { max_wait_ms: 0, session_epoch, ..fetch_request("few", 0, 0, 1 << 20) };
        let partition =
            |partition| FetchPartition { partition: partition as i32 + 2, partition_max_bytes: 1, ..Default::default() };
        fetch.topics[0].partitions = (0..most::<FetchPartition>()).map(partition).collect();
        let expected = (fetch.topics[0].partitions.len(), UNKNOWN_TOPIC_OR_PARTITION);
        attack(FETCH, fetch, expected, errors);
    }

    let one = FetchPartition { partition: 0, partition_max_bytes: 1, ..Default::default() };
    let each = size_of::<FetchTopic>() + size_of::<FetchPartition>();
    let topic = |number| FetchTopic { topic: name(number), partitions: vec![one.clone()], ..Default::default() };
    let topics: Vec<_> = (0..MAX_DECODED_BYTES / each - 100).map(topic).collect();
    let expected = (topics.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let fetch = FetchRequest { max_wait_ms: 0, topics, ..fetch_request("few", 0, 0, 1 << 20) };
    attack(FETCH, fetch, expected, errors);

    // More than is decoded: the connection is closed, and that takes its time too.
    let topics: Vec<_> = (0..MAX_DECODED_BYTES / each + 1000).map(topic).collect();
    let fetch = FetchRequest { max_wait_ms: 0, topics, ..fetch_request("few", 0, 0, 1 << 20) };
    let frame = encode_request(FETCH, 1, None, &fetch).expect("it can be said");
    assert!(exchange("a fetch that is not decoded", &frame).is_none(), "it does not fit");
}

#[test]
fn a_million_partitions_produced_to() {
    let errors = |answer: <flumen::protocol::generated::ProduceRequest as Request>::Response| {
        answer.responses.iter().flat_map(|topic| topic.partition_responses.iter().map(|partition| partition.error_code)).collect()
    };
    let partition =
        |index| PartitionProduceData { index: index as i32 + 2, records: Records::Bytes(Bytes::new()), ..Default::default() };
    let mut produce = produce_request("few", 0, 1, Bytes::new());
    produce.topic_data[0].partition_data = (0..most::<PartitionProduceData>()).map(partition).collect();
    let expected = (produce.topic_data[0].partition_data.len(), UNKNOWN_TOPIC_OR_PARTITION);
    attack(8, produce, expected, errors);

    let each = size_of::<TopicProduceData>() + size_of::<PartitionProduceData>();
    let topic = |number| TopicProduceData { name: name(number), partition_data: vec![partition(0)], ..Default::default() };
    let topic_data: Vec<_> = (0..MAX_DECODED_BYTES / each - 100).map(topic).collect();
    let expected = (topic_data.len(), UNKNOWN_TOPIC_OR_PARTITION);
    let mut produce = produce_request("few", 0, 1, Bytes::new());
    produce.topic_data = topic_data;
    attack(8, produce, expected, errors);

    // The same partition again and again is one partition, written once or not at all.
    let mut produce = produce_request("few", 0, 1, Bytes::new());
    let one = produce.topic_data[0].partition_data[0].clone();
    produce.topic_data[0].partition_data = vec![one; most::<PartitionProduceData>()];
    let frame = encode_request(8, 1, None, &produce).expect("it can be said");
    assert!(exchange("one partition, often", &frame).is_some_and(|answer| answer.len() < 200), "one answer");
}

/// Tagged fields that nobody knows take two bytes each and are skipped, in the header as in the message.
#[test]
fn tagged_fields_by_the_ten_million() {
    const TAGS: u32 = 20_000_000;
    let request =
        ApiVersionsRequest { client_software_name: "attack".into(), client_software_version: "1".into(), ..Default::default() };
    let frame = encode_request(3, 1, None, &request).expect("it can be said");
    // The header is ten bytes and two of a null client id, behind the frame's size; then one for no tagged field.
    let header_tags = 4 + 10;
    assert_eq!((frame[header_tags], frame[frame.len() - 1]), (0, 0));
    for at in [header_tags, frame.len() - 1] {
        let mut long = BytesMut::from(&frame[..at]);
        let mut count = TAGS;
        while count >= 0x80 {
            long.put_u8(count as u8 | 0x80);
            count >>= 7;
        }
        long.put_u8(count as u8);
        // Each a number above those in use, and a size of 0.
        (0..TAGS).for_each(|_| long.put_slice(&[99, 0]));
        long.put_slice(&frame[at + 1..]);
        let size = (long.len() - 4) as i32;
        long[..4].copy_from_slice(&size.to_be_bytes());
        assert!(exchange("tagged fields", &long.freeze()).is_some_and(|answer| answer.len() > 100), "the APIs are told");
    }
}

/// Long requests of a core go one after the other, so one whose turn it is has to end though its client does not take its answers.
#[test]
fn long_answers_that_nobody_reads() {
    let partition =
        |index| PartitionProduceData { index: index + 2, records: Records::Bytes(Bytes::new()), ..Default::default() };
    let mut produce = produce_request("few", 0, 1, Bytes::new());
    produce.topic_data[0].partition_data = (0..200_000).map(partition).collect();
    let frame = encode_request(8, 1, None, &produce).expect("it can be said");
    let coordinator_keys = (0..20_000).map(name).collect();
    let question = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
    Attack { settings: &[], ceiling_mib: 800, patience: SHORT }.run_beside(2, |broker| {
        let mut mute: Vec<Client> = (0..4).map(|_| Client::connect(broker.address())).collect();
        for client in &mut mute {
            (0..4).for_each(|_| client.send_bytes(&frame).expect("the broker reads on"));
        }
        // Among these are some of each core.
        let mut others: Vec<Client> = (0..4).map(|_| Client::connect(broker.address())).collect();
        std::thread::sleep(Duration::from_secs(5));
        for client in &mut others {
            let answer = client.call(4, &question).expect("an answer");
            assert_eq!(answer.coordinators.len(), 20_000);
        }
    });
}

#[test]
fn topics_by_the_hundred_thousand() {
    let mut taken = Duration::ZERO;
    let slowest = Attack { settings: &[], ceiling_mib: 800, patience: WORST }.run_beside(2, |broker| {
        let topic = |number: usize| CreatableTopic {
            name: name(number),
            num_partitions: 10,
            replication_factor: 1,
            ..Default::default()
        };
        let topics: Vec<CreatableTopic> = (0..100_000).map(topic).collect();
        let mut client = Client::connect(broker.address());
        let started = Instant::now();
        let answer = client.call(5, &CreateTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() });
        taken = started.elapsed();
        if let Ok(answer) = answer {
            assert!(answer.topics.iter().all(|topic| topic.error_code != 0), "a million partitions are not made at once");
        }
        let one = CreatableTopic { num_partitions: i32::MAX, ..topic(0) };
        let answer = client.call(5, &CreateTopicsRequest { topics: vec![one], timeout_ms: 30_000, ..Default::default() });
        assert_ne!(answer.expect("an answer").topics[0].error_code, 0, "nor two thousand million");
    });
    assert_patience("CreateTopics", slowest, taken);
}
