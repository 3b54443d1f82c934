use super::*;
use crate::stamp::topic_number;
use crate::stats::Phase;
use flumen::model::Offset;
use flumen::protocol::frame::AnswerTo;
use flumen::protocol::generated::fetch_response::{FetchResponse, FetchableTopicResponse};
use flumen::protocol::{ApiKey, Chunk, Message};
use flumen::record::{BatchBuilder, Codec, Compression};

const VERSION: i16 = 16;

fn options(verify: bool) -> ConsumerOptions {
    ConsumerOptions {
        topic: "t".to_owned(),
        id: TopicId([3; 16]),
        version: VERSION,
        max_bytes: 1 << 20,
        partition_max_bytes: 1 << 20,
        min_bytes: 1,
        max_wait_ms: 100,
        sessions: true,
        verify,
        rewind: false,
        records: None,
        shared: None,
    }
}

fn from(partition: i32, offset: i64) -> From {
    From { partition, offset, from_start: offset == 0, until: None }
}

/// A batch of stamped records from `first` on.
fn batch(partition: u32, first: u64, count: u64, codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::of(codec)).base_offset(Offset(first as i64));
    for sequence in first..first + count {
        let mut value = vec![1; 80];
        Stamp { topic: topic_number("t"), partition, producer: 9, sequence, intended: 40 }.write(&mut value);
        builder.append(5, None, Some(&value));
    }
    builder.build()
}

/// What the consumer asks now.
fn asked(consumer: &mut Consumer) -> FetchRequest {
    let request = consumer.request();
    // The correlation id of the answer below.
    consumer.correlation = 1;
    consumer.asked = Some(10);
    request
}

fn answer(session_id: i32, error: i16, partitions: Vec<(i32, i16, Bytes)>) -> Bytes {
    let partition = |(partition_index, error_code, records): (i32, i16, Bytes)| PartitionData {
        partition_index,
        error_code,
        high_watermark: 1_000,
        records: Records::Bytes(records),
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse {
        topic_id: TopicId([3; 16]),
        partitions: partitions.into_iter().map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    let response = FetchResponse { session_id, error_code: error, responses: vec![topic], ..FetchResponse::default() };
    let chunks = AnswerTo { api_key: ApiKey::Fetch, version: VERSION, correlation_id: 1 }.encode(&response).unwrap();
    let bytes: Vec<u8> = chunks
        .into_iter()
        .flat_map(|chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.to_vec(),
            Chunk::External { .. } => unreachable!(),
        })
        .collect();
    Bytes::from(bytes).slice(4..)
}

fn interval() -> Interval {
    Interval::new(Phase::Measured, 0)
}

#[test]
fn records_are_verified_counted_and_gone_on_from() {
    for codec in Codec::ALL {
        let mut consumer = Consumer::new(options(true), &[from(0, 0)]);
        let mut counted = interval();
        asked(&mut consumer);
        let two: Vec<u8> = [batch(0, 0, 3, codec), batch(0, 3, 4, codec)].concat();
        consumer.receive(90, answer(0, 0, vec![(0, 0, Bytes::from(two))]), &mut counted).unwrap();
        assert_eq!((counted.consumed.records, counted.consumed.requests), (7, 1));
        assert_eq!(asked(&mut consumer).topics[0].partitions[0].fetch_offset, 7);
        // A part of a batch at the end of an answer is asked for again.
        let cut = batch(0, 7, 5, codec);
        consumer.receive(90, answer(0, 0, vec![(0, 0, cut.slice(..cut.len() - 1))]), &mut counted).unwrap();
        assert_eq!(asked(&mut consumer).topics[0].partitions[0].fetch_offset, 7);
    }
}

#[test]
fn what_is_not_what_was_sent_fails_the_run() {
    let read = |records: Bytes| {
        let mut consumer = Consumer::new(options(true), &[from(0, 0)]);
        asked(&mut consumer);
        consumer.receive(90, answer(0, 0, vec![(0, 0, records)]), &mut interval()).unwrap_err().0
    };
    let mut damaged = batch(0, 0, 3, Codec::None).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(read(Bytes::from(damaged)).contains("CRC"));
    let mut damaged = batch(0, 0, 3, Codec::None).to_vec();
    let filler = damaged.len() - 10;
    damaged[filler] ^= 1;
    flumen::record::seal(&mut damaged);
    assert!(read(Bytes::from(damaged)).contains("checksum"), "damage that the batch's CRC does not show");
    assert!(read(batch(1, 0, 3, Codec::None)).contains("was sent to partition 1"));
    assert!(read(batch(0, 2, 3, Codec::None)).contains("offset 0 was to come"));
    let again: Vec<u8> = [batch(0, 0, 3, Codec::None), batch(0, 0, 5, Codec::None)].concat();
    // The second batch overlaps: its first records are passed by, as clients do, the rest is right.
    let mut consumer = Consumer::new(options(true), &[from(0, 0)]);
    asked(&mut consumer);
    let mut counted = interval();
    consumer.receive(90, answer(0, 0, vec![(0, 0, Bytes::from(again))]), &mut counted).unwrap();
    assert_eq!(counted.consumed.records, 5);
}

#[test]
fn a_session_asks_for_what_has_changed_and_begins_anew_when_it_is_lost() {
    let mut consumer = Consumer::new(options(false), &[from(0, 0), from(1, 0)]);
    let first = asked(&mut consumer);
    assert_eq!((first.session_id, first.session_epoch, first.topics[0].partitions.len()), (0, 0, 2));
    consumer.receive(90, answer(77, 0, vec![(1, 0, batch(1, 0, 2, Codec::None))]), &mut interval()).unwrap();
    let second = asked(&mut consumer);
    assert_eq!((second.session_id, second.session_epoch), (77, 1));
    let changed: Vec<_> = second.topics[0].partitions.iter().map(|p| (p.partition, p.fetch_offset)).collect();
    assert_eq!(changed, [(1, 2)]);
    consumer.receive(90, answer(77, 0, vec![]), &mut interval()).unwrap();
    assert!(asked(&mut consumer).topics.is_empty());
    let mut counted = interval();
    let lost = flumen::model::ErrorCode::FetchSessionIdNotFound.code();
    consumer.receive(90, answer(0, lost, vec![]), &mut counted).unwrap();
    assert_eq!(counted.errors[&lost], 1);
    let again = asked(&mut consumer);
    assert_eq!((again.session_id, again.session_epoch, again.topics[0].partitions.len()), (0, 0, 2));
}

#[test]
fn errors_that_a_client_would_not_retry_fail_the_run() {
    let read = |code: i16| {
        let mut consumer = Consumer::new(options(false), &[from(0, 0)]);
        asked(&mut consumer);
        consumer.receive(90, answer(0, 0, vec![(0, code, Bytes::new())]), &mut interval())
    };
    assert!(read(1).unwrap_err().0.contains("OFFSET_OUT_OF_RANGE"));
    assert!(read(6).is_ok(), "NOT_LEADER_OR_FOLLOWER is counted");
}

#[test]
fn reading_from_the_middle_of_a_batch_counts_the_records_asked_for() {
    for verify in [false, true] {
        let mut consumer = Consumer::new(options(verify), &[from(0, 4)]);
        asked(&mut consumer);
        let mut counted = interval();
        consumer.receive(90, answer(0, 0, vec![(0, 0, batch(0, 0, 10, Codec::None))]), &mut counted).unwrap();
        assert_eq!(counted.consumed.records, 6);
    }
}

#[test]
fn the_request_can_be_encoded_in_every_version_that_is_spoken() {
    for version in 4..=17 {
        let request = Consumer::new(ConsumerOptions { sessions: false, version, ..options(false) }, &[from(0, 0)]).request();
        request.to_bytes(version).unwrap();
    }
}
