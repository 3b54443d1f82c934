use super::*;
use crate::model::TopicId;
use crate::protocol::Records;
use crate::protocol::generated::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::protocol::generated::{ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest};

/// What kcat sends first, byte for byte: ApiVersions 3 of librdkafka.
const API_VERSIONS_V3: &[u8] = b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x062.0.2\x00";

#[test]
fn a_real_request_is_taken_apart() {
    let frame = RequestFrame::parse(Bytes::from_static(API_VERSIONS_V3)).unwrap();
    assert_eq!((frame.api_key, frame.version, frame.correlation_id), (ApiKey::ApiVersions, 3, 1));
    assert_eq!(frame.client_id.as_deref(), Some("rdkafka"));
    let request: ApiVersionsRequest = frame.decode().unwrap();
    assert_eq!((&*request.client_software_name, &*request.client_software_version), ("librdkafka", "2.0.2"));
}

#[test]
fn a_request_of_our_own_is_what_we_parse() {
    let request = MetadataRequest { topics: None, ..Default::default() };
    let bytes = encode_request(13, 7, Some("me".into()), &request).unwrap();
    assert_eq!(bytes[..4], (bytes.len() as u32 - 4).to_be_bytes());
    let frame = RequestFrame::parse(bytes.slice(4..)).unwrap();
    assert_eq!((frame.correlation_id, frame.client_id.as_deref()), (7, Some("me")));
    assert_eq!(frame.decode::<MetadataRequest>().unwrap(), request);
}

#[test]
fn unknown_apis_and_versions_close_but_api_versions_is_answered() {
    let parse = |key: i16, version: i16| {
        let bytes = [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 9, 255, 255, 0]].concat();
        RequestFrame::parse(Bytes::from(bytes))
    };
    assert_eq!(parse(999, 0).unwrap_err(), FrameError::UnknownApi(999));
    assert_eq!(parse(-1, 0).unwrap_err(), FrameError::UnknownApi(-1));
    assert_eq!(parse(0, 2).unwrap_err(), FrameError::NotServed { api_key: ApiKey::Produce, version: 2 });
    assert_eq!(parse(1, 19).unwrap_err(), FrameError::NotServed { api_key: ApiKey::Fetch, version: 19 });
    assert_eq!(parse(3, -1).unwrap_err(), FrameError::NotServed { api_key: ApiKey::Metadata, version: -1 });
    let ahead = parse(18, 99).unwrap();
    assert!(!ahead.is_version_served());
    assert_eq!((ahead.correlation_id, ahead.client_id), (9, None));
}

#[test]
fn every_truncation_of_a_header_is_an_error() {
    for end in 0..17 {
        let frame = Bytes::from_static(&API_VERSIONS_V3[..end]);
        assert!(matches!(RequestFrame::parse(frame), Err(FrameError::Header(DecodeError::Truncated { .. }))), "{end}");
    }
}

#[test]
fn api_versions_is_answered_with_the_old_header_in_every_version() {
    for version in 0..=4 {
        let chunks = AnswerTo { api_key: ApiKey::ApiVersions, version, correlation_id: 5 }
            .encode(&ApiVersionsResponse::default())
            .unwrap();
        let [Chunk::Bytes(bytes)] = chunks.as_slice() else { panic!("{chunks:?}") };
        assert_eq!(bytes[4..10], [0, 0, 0, 5, 0, 0], "correlation id, then at once the error code");
    }
}

#[test]
fn a_fetch_response_leaves_gaps_for_records_that_lie_elsewhere() {
    let partition = |index, records| PartitionData { partition_index: index, records, ..Default::default() };
    let hot = Records::External { len: 1_000_000, index: 3 };
    let cold = Records::Bytes(Bytes::from(vec![7; 2000]));
    let small = Records::Bytes(Bytes::from(vec![8; 10]));
    let topic = |records: [Records; 3]| FetchableTopicResponse {
        topic_id: TopicId([1; 16]),
        partitions: records.into_iter().enumerate().map(|(i, r)| partition(i as i32, r)).collect(),
        ..Default::default()
    };
    let response = |records| FetchResponse { responses: vec![topic(records)], ..Default::default() };
    let chunks = AnswerTo { api_key: ApiKey::Fetch, version: 18, correlation_id: 5 }
        .encode(&response([hot, cold.clone(), small.clone()]))
        .unwrap();

    // Filled in, it is what the same answer is with its records in memory.
    let fill = |chunk: &Chunk| match chunk {
        Chunk::Bytes(bytes) => bytes.to_vec(),
        Chunk::External { len, index: 3 } => vec![9; *len],
        Chunk::External { .. } => panic!("another index"),
    };
    let filled = Bytes::from(chunks.iter().flat_map(fill).collect::<Vec<u8>>());
    assert_eq!(filled[..4], (filled.len() as u32 - 4).to_be_bytes());
    let in_memory = response([Records::Bytes(Bytes::from(vec![9; 1_000_000])), cold, small]);
    assert_eq!(decode_response::<FetchRequest>(filled.slice(4..), 18), Ok((5, in_memory)));
    let kinds: Vec<bool> = chunks.iter().map(|chunk| matches!(chunk, Chunk::External { .. })).collect();
    assert_eq!(kinds, [false, true, false, false, false], "header, gap, prefix, shared records, the small ones copied");
}
