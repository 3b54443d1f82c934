//! Well-formed requests that ask for too much.

use super::client::{Client, FETCH, fetch_request, produce_request};
use super::{Attack, logged};
use bytes::Bytes;
use flumen::protocol::Request;
use flumen::protocol::frame::encode_request;
use flumen::protocol::generated::create_topics_request::CreatableTopic;
use flumen::protocol::generated::fetch_request::FetchPartition;
use flumen::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use flumen::protocol::generated::metadata_request::MetadataRequestTopic;
use flumen::protocol::generated::{CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest};
use std::time::{Duration, Instant};

const MANY: usize = 1_000_000;
/// A core that works on one of these does nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

/// It is answered, or the connection is closed.
fn asks<R: Request>(broker: &super::Broker, version: i16, request: &R) {
    let frame = encode_request(version, 1, None, request).expect("it can be said");
    let mut client = Client::connect(broker.address());
    let started = Instant::now();
    client.send_bytes(&frame).ok();
    let answer = client.receive_frame();
    println!("{}: {} bytes, {:?} after {:?}", R::NAME, frame.len(), answer.as_ref().map(|frame| frame.len()), started.elapsed());
    match answer {
        Ok(_) => {}
        Err(error) => {
            let waited = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            assert!(!waited, "neither answered nor closed");
            logged(broker, &["closing", &client.local()]);
        }
    }
}

#[test]
fn a_million_topics_or_partitions_in_one_request() {
    Attack { settings: &[], ceiling_mib: 800, patience: PATIENCE }.run(|broker| {
        Client::connect(broker.address()).create_topic("few", 2, &[]);
        let name = |number: usize| format!("t{number}").as_str().into();
        let topics = (0..MANY).map(|number| MetadataRequestTopic { name: Some(name(number)), ..Default::default() }).collect();
        asks(broker, 9, &MetadataRequest { topics: Some(topics), ..Default::default() });

        let mut fetch = fetch_request("few", 0, 0, 1 << 20);
        let partition =
            |partition: usize| FetchPartition { partition: partition as i32, partition_max_bytes: 1, ..Default::default() };
        fetch.topics[0].partitions = (0..MANY).map(partition).collect();
        fetch.max_wait_ms = 0;
        asks::<FetchRequest>(broker, FETCH, &fetch);

        let partitions =
            (0..MANY).map(|index| ListOffsetsPartition { partition_index: index as i32, timestamp: -1, ..Default::default() });
        let topic = ListOffsetsTopic { name: "few".into(), partitions: partitions.collect() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        asks(broker, 5, &request);

        let mut produce = produce_request("few", 0, 1, Bytes::new());
        let one = produce.topic_data[0].partition_data[0].clone();
        produce.topic_data[0].partition_data = vec![one; MANY];
        asks::<ProduceRequest>(broker, 8, &produce);
    });
}

#[test]
fn topics_by_the_hundred_thousand() {
    Attack { settings: &[], ceiling_mib: 800, patience: PATIENCE }.run(|broker| {
        let topic = |number: usize| CreatableTopic {
            name: format!("t{number}").as_str().into(),
            num_partitions: 10,
            replication_factor: 1,
            ..Default::default()
        };
        let topics: Vec<CreatableTopic> = (0..100_000).map(topic).collect();
        let mut client = Client::connect(broker.address());
        let answer = client.call(5, &CreateTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() });
        if let Ok(answer) = answer {
            assert!(answer.topics.iter().all(|topic| topic.error_code != 0), "a million partitions are not made at once");
        }
        let one = CreatableTopic { num_partitions: i32::MAX, ..topic(0) };
        let answer = client.call(5, &CreateTopicsRequest { topics: vec![one], timeout_ms: 30_000, ..Default::default() });
        assert_ne!(answer.expect("an answer").topics[0].error_code, 0, "nor two thousand million");
    });
}
