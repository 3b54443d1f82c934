use super::*;
use crate::protocol::StrBytes;
use crate::protocol::generated::fetch_response::{LeaderIdAndEpoch, PartitionData};
use crate::protocol::generated::metadata_request::MetadataRequestTopic;
use crate::protocol::generated::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::generated::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::protocol::generated::{
    ConsumerOffsetsKey, ConsumerOffsetsValue, FetchRequest, FetchResponse, MetadataRequest, OffsetCommitKey, OffsetCommitValue,
    ProduceRequest, ProduceResponse, ProducerSnapshot,
};

#[test]
fn lengths_are_old_or_compact() {
    let mut writer = Writer::contiguous();
    let text = StrBytes::from("abc");
    writer.string(false, &text).unwrap();
    writer.string(true, &text).unwrap();
    writer.nullable_string(false, None).unwrap();
    writer.nullable_string(true, None).unwrap();
    writer.bytes(false, &Bytes::from_static(b"x")).unwrap();
    writer.array(true, &[1i32, 2], |w, x| Ok(w.i32(*x))).unwrap();
    let bytes = writer.into_bytes();
    assert_eq!(&bytes[..], b"\x00\x03abc\x04abc\xff\xff\x00\x00\x00\x00\x01x\x03\x00\x00\x00\x01\x00\x00\x00\x02");

    let mut reader = Reader::new(bytes);
    assert_eq!((reader.string(false), reader.string(true)), (Ok(text.clone()), Ok(text)));
    assert_eq!((reader.nullable_string(false), reader.string(true)), (Ok(None), Err(DecodeError::UnexpectedNull)));
    assert_eq!(reader.bytes(false), Ok(Bytes::from_static(b"x")));
    assert_eq!(reader.array(true, 4, Reader::i32), Ok(vec![1, 2]));
    assert_eq!(reader.remaining(), 0);
}

#[test]
fn varints_take_one_to_five_bytes() {
    for (value, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u32::MAX, 5)] {
        let mut writer = Writer::contiguous();
        writer.uvarint(value);
        assert_eq!(writer.len(), length);
        assert_eq!(Reader::new(writer.into_bytes()).uvarint(), Ok(value));
    }
    assert_eq!(Reader::new(Bytes::from_static(&[0x80; 6])).uvarint(), Err(DecodeError::VarintTooLong));
}

#[test]
fn malformed_utf8_is_repaired_as_kafka_does() {
    let mut reader = Reader::new(Bytes::from_static(b"\x00\x03a\xffb"));
    assert_eq!(reader.string(false).unwrap(), "a\u{fffd}b");
    // Three bytes stand for each that was wrong.
    let longest = |length: usize| {
        let frame = [&(length as i16).to_be_bytes()[..], &vec![0xff; length][..]].concat();
        Reader::new(Bytes::from(frame)).string(false).map(|text| text.len())
    };
    assert_eq!(longest(MAX_STRING_LENGTH / 3), Ok(MAX_STRING_LENGTH / 3 * 3));
    assert_eq!(longest(MAX_STRING_LENGTH / 3 + 1), Err(DecodeError::InvalidLength((MAX_STRING_LENGTH / 3 + 1) as i64 * 3)));
}

#[test]
fn strings_and_batches_share_the_frame() {
    let frame = Bytes::from_static(b"\x00\x03abc");
    let text = Reader::new(frame.clone()).string(false).unwrap();
    assert_eq!(text.as_ptr(), frame[2..].as_ptr());
}

#[test]
fn a_value_that_the_version_cannot_carry_is_refused() {
    // Version 11 says nothing of a leader's epoch of the last fetched record: not ignorable.
    let mut request = FetchRequest { cluster_id: Some("x".into()), rack_id: "r".into(), ..Default::default() };
    assert!(request.to_bytes(4).is_ok(), "cluster id and rack are ignorable and dropped");
    request.forgotten_topics_data = vec![Default::default()];
    let refused = EncodeError::FieldNotInVersion { field: "FetchRequest.ForgottenTopicsData", version: 4 };
    assert_eq!(request.to_bytes(4), Err(refused));

    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(all.to_bytes(0), Err(EncodeError::NullNotInVersion { field: "MetadataRequest.Topics", version: 0 }));
    let by_id = MetadataRequestTopic { name: None, ..Default::default() };
    let by_id = MetadataRequest { topics: Some(vec![by_id]), ..Default::default() };
    assert_eq!(by_id.to_bytes(9), Err(EncodeError::NullNotInVersion { field: "MetadataRequestTopic.Name", version: 9 }));
    assert!(by_id.to_bytes(10).is_ok());
    let unknown = EncodeError::UnsupportedVersion { message: "MetadataRequest", version: 14 };
    assert_eq!(by_id.to_bytes(14), Err(unknown));
    let long = MetadataRequestTopic { name: Some("x".repeat(MAX_STRING_LENGTH + 1).into()), ..Default::default() };
    let long = MetadataRequest { topics: Some(vec![long]), ..Default::default() };
    assert_eq!(long.to_bytes(13), Err(EncodeError::StringTooLong(MAX_STRING_LENGTH + 1)));
}

#[test]
fn a_leader_hint_is_a_tagged_field_left_out_by_default() {
    let answer = |hint: bool| {
        let mut partition = PartitionProduceResponse { index: 1, base_offset: 5, ..Default::default() };
        if hint {
            partition.current_leader.leader_id = 3;
        }
        let topic = TopicProduceResponse { partition_responses: vec![partition], ..Default::default() };
        ProduceResponse { responses: vec![topic], ..Default::default() }
    };
    let (without, with) = (answer(false).to_bytes(13).unwrap(), answer(true).to_bytes(13).unwrap());
    assert_eq!(with.len(), without.len() + 2 + 9, "tag, size, leader id, epoch, no tags");
    assert_eq!(ProduceResponse::from_bytes(with, 13), Ok(answer(true)));
    let refused = EncodeError::FieldNotInVersion { field: "PartitionProduceResponse.CurrentLeader", version: 9 };
    assert_eq!(answer(true).to_bytes(9), Err(refused), "not ignorable: whoever answers an older client leaves it out");
}

#[test]
fn tagged_fields_are_read_whatever_their_order_and_must_fill_their_size() {
    let read = |tags: &[u8]| {
        // Index, error, high watermark, last stable offset, log start offset, no aborted, no replica, no records.
        let head = [&[0, 0, 0, 1, 0, 0][..], &[0; 24], &[1], &[255; 4], &[0]].concat();
        PartitionData::read(&mut Reader::new(Bytes::from([&head, tags].concat())), 12)
    };
    let hint = LeaderIdAndEpoch { leader_id: 2, leader_epoch: 7 };
    let leader = [1, 9, 0, 0, 0, 2, 0, 0, 0, 7, 0];
    let expected =
        PartitionData { partition_index: 1, aborted_transactions: Some(vec![]), current_leader: hint, ..Default::default() };
    let expected = PartitionData { last_stable_offset: 0, log_start_offset: 0, ..expected };
    assert_eq!(read(&[&[1][..], &leader].concat()).as_ref(), Ok(&expected));
    assert_eq!(read(&[&[2, 99, 2, 5, 5][..], &leader].concat()).as_ref(), Ok(&expected), "an unknown tag is skipped");
    assert_eq!(read(&[1, 1, 10, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0]), Err(DecodeError::TagSize { tag: 1 }));
    assert!(matches!(read(&[1, 1, 8, 0, 0, 0, 2, 0, 0, 0, 7, 0]), Err(DecodeError::Truncated { .. })));
}

#[test]
fn empty_fetch_responses_have_no_records_but_not_null_ones() {
    let response = FetchResponse::default();
    assert_eq!(FetchResponse::from_bytes(response.to_bytes(18).unwrap(), 18), Ok(response));
    assert_eq!(Records::External { len: 5, index: 0 }.len(), 5);
    assert!(Records::Null.is_empty() && Records::Bytes(Bytes::new()) != Records::Null);
}

#[test]
fn coordinator_records_say_kind_and_version_first() {
    let commit = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
    let key = ConsumerOffsetsKey::OffsetCommit(commit);
    let bytes = key.to_bytes().unwrap();
    assert_eq!(&bytes[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x03");
    assert_eq!(ConsumerOffsetsKey::from_bytes(bytes), Ok(key));
    let later = ConsumerOffsetsKey::from_bytes(Bytes::from_static(&[0, 99]));
    assert_eq!(later, Err(DecodeError::UnknownKind(99)));

    let value = ConsumerOffsetsValue::OffsetCommit(OffsetCommitValue { offset: 9, ..Default::default() });
    let bytes = value.to_bytes(4).unwrap();
    assert_eq!(bytes[..10], [0, 4, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(ConsumerOffsetsValue::from_bytes(1, bytes), Ok(value));
}

#[test]
fn an_empty_producer_snapshot_has_kafkas_length() {
    assert_eq!(ProducerSnapshot::default().to_bytes(1).unwrap().len(), 8, "crc and count; the version stands before it");
}

/// Names that take a little more than a short message.
fn many_topics() -> MetadataRequest {
    let topics = (0..SHORT_MESSAGE / 8)
        .map(|number| MetadataRequestTopic { name: Some(format!("{number:08}").into()), ..Default::default() });
    MetadataRequest { topics: Some(topics.collect()), ..Default::default() }
}

#[test]
fn what_takes_long_to_read_is_found_out_in_time() {
    let (few, many) = (MetadataRequest::default(), many_topics());
    for version in [8, 9] {
        let short = |frame: &Bytes| MetadataRequest::decode(&mut Reader::new(frame.clone()).for_short_message(), version);
        assert_eq!(short(&few.to_bytes(version).unwrap()), Ok(few.clone()));
        let frame = many.to_bytes(version).unwrap();
        assert_eq!(short(&frame), Err(DecodeError::Long));
        let mut reader = Reader::new(frame).for_short_message().for_any_message();
        assert_eq!(MetadataRequest::decode(&mut reader, version), Ok(many.clone()));
    }
    // Sixty thousand tagged fields of which nobody knows anything.
    let tags = [&[1, 0, 0, 0x80 | 0x20, 0x80 | 0x7f, 0x3][..], &[99, 0].repeat(0xffa0)].concat();
    let read = |mut reader: Reader| MetadataRequest::decode(&mut reader, 11).map(|_| ());
    assert_eq!(read(Reader::new(tags.clone().into()).for_short_message()), Err(DecodeError::Long));
    assert_eq!(read(Reader::new(tags.into())), Ok(()));
}

#[test]
fn records_are_not_what_takes_long() {
    let partition =
        |index| PartitionProduceData { index, records: Records::Bytes(vec![7; 1 << 20].into()), ..Default::default() };
    let topic = TopicProduceData { partition_data: (0..5).map(partition).collect(), ..Default::default() };
    let request = ProduceRequest { topic_data: vec![topic], ..Default::default() };
    for version in [8, 9] {
        let mut reader = Reader::new(request.to_bytes(version).unwrap()).for_short_message();
        assert_eq!(ProduceRequest::decode(&mut reader, version), Ok(request.clone()));
        let mut writer = Writer::for_short_message();
        assert_eq!(request.encode(&mut writer, version), Ok(()));
    }
    let empty = PartitionProduceData { records: Records::Bytes(Bytes::new()), ..Default::default() };
    let topic = TopicProduceData { partition_data: vec![empty; 5], ..Default::default() };
    let many = ProduceRequest { topic_data: vec![topic; 4000], ..Default::default() };
    let mut reader = Reader::new(many.to_bytes(9).unwrap()).for_short_message();
    assert_eq!(ProduceRequest::decode(&mut reader, 9), Err(DecodeError::Long));
}

#[test]
fn what_takes_long_to_write_is_found_out_in_time() {
    let mut writer = Writer::for_short_message();
    assert_eq!(many_topics().encode(&mut writer, 9), Err(EncodeError::Long));
    assert!(writer.len() < SHORT_MESSAGE + 100, "{} bytes were written before", writer.len());
    assert!(many_topics().encode(&mut Writer::new(), 9).is_ok());
}
