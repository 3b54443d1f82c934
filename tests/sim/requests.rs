//! The requests of the clients, and what their answers say.

use crate::client::{Client, Lost};
use crate::verdict::violated;
use bytes::Bytes;
use flumen::protocol::Records;
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use flumen::protocol::generated::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use flumen::protocol::generated::delete_topics_request::DeleteTopicsRequest;
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use flumen::protocol::generated::fetch_response::PartitionData;
use flumen::protocol::generated::init_producer_id_request::InitProducerIdRequest;
use flumen::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use flumen::protocol::generated::list_offsets_response::ListOffsetsPartitionResponse;
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen::protocol::generated::produce_response::ProduceResponse;
use flumen::record::{BatchBuilder, Batches, Compression};
use std::collections::BTreeMap;

/// Versions that name topics by their names.
const PRODUCE: i16 = 11;
const FETCH: i16 = 12;

/// "No session" in a fetch, and the epochs that begin one and that want none.
pub const NO_SESSION: i32 = 0;
pub const INITIAL_EPOCH: i32 = 0;
pub const FINAL_EPOCH: i32 = -1;

pub const UNKNOWN_TOPIC: i16 = 3;
pub const OUT_OF_RANGE: i16 = 1;
pub const ALREADY_EXISTS: i16 = 36;
pub const OUT_OF_ORDER_SEQUENCE: i16 = 45;
pub const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
pub const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
pub const FENCED_LEADER_EPOCH: i16 = 74;
pub const UNKNOWN_LEADER_EPOCH: i16 = 75;

/// A batch of values, with the same timestamp each.
pub fn batch(values: &[String], timestamp: i64, producer: Option<(i64, i16, i32)>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(flumen::model::ProducerId(id), epoch, sequence);
    }
    for value in values {
        builder.append(timestamp, None, Some(value.as_bytes()));
    }
    builder.build()
}

pub fn produce(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition =
        PartitionProduceData { index: partition, records: Records::Bytes(records), ..PartitionProduceData::default() };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![partition], ..TopicProduceData::default() };
    ProduceRequest { acks, timeout_ms: 5000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// Error and base offset of each.
pub async fn send(client: &mut Client, requests: &[ProduceRequest]) -> Result<Vec<(i16, i64)>, Lost> {
    Ok(send_and_ask_why(client, requests).await?.into_iter().map(|(error, base, _)| (error, base)).collect())
}

/// Error, base offset and the error's message of each.
pub async fn send_and_ask_why(client: &mut Client, requests: &[ProduceRequest]) -> Result<Vec<(i16, i64, String)>, Lost> {
    let answers = client.pipeline(PRODUCE, requests).await?;
    let of = |answer: &ProduceResponse| {
        let partition = &answer.responses[0].partition_responses[0];
        let why = partition.error_message.as_ref().map(ToString::to_string);
        (partition.error_code, partition.base_offset, why.unwrap_or_default())
    };
    Ok(answers.iter().map(of).collect())
}

/// Sends a batch with acks=0.
pub async fn send_without_answer(client: &mut Client, topic: &str, partition: i32, records: Bytes) -> Result<(), Lost> {
    client.tell(PRODUCE, &produce(topic, partition, 0, records)).await
}

/// What a fetch asks of one partition.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub partition: i32,
    pub offset: i64,
    pub epoch: i32,
}

pub struct Limits {
    pub max_bytes: i32,
    pub max_wait_ms: i32,
    pub committed: bool,
}

/// A fetch without a session.
pub async fn fetch(client: &mut Client, topic: &str, wanted: &[Wanted], limits: &Limits) -> Result<Vec<PartitionData>, Lost> {
    let (error, _, partitions) = fetch_in_session(client, topic, (NO_SESSION, FINAL_EPOCH), wanted, &[], limits).await?;
    hold!(error == 0, "a fetch without a session has error {error} of its own");
    Ok(partitions)
}

/// A fetch with the session of this id and epoch: error, session id and partitions.
pub async fn fetch_in_session(
    client: &mut Client,
    topic: &str,
    (session_id, session_epoch): (i32, i32),
    wanted: &[Wanted],
    forgotten: &[i32],
    limits: &Limits,
) -> Result<(i16, i32, Vec<PartitionData>), Lost> {
    let partition = |wanted: &Wanted| FetchPartition {
        partition: wanted.partition,
        current_leader_epoch: wanted.epoch,
        fetch_offset: wanted.offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let forgotten = match forgotten {
        [] => vec![],
        some => vec![ForgottenTopic { topic: topic.into(), partitions: some.to_vec(), ..ForgottenTopic::default() }],
    };
    let topics = match wanted {
        [] => vec![],
        some => {
            vec![FetchTopic { topic: topic.into(), partitions: some.iter().map(partition).collect(), ..FetchTopic::default() }]
        }
    };
    let request = FetchRequest {
        max_wait_ms: limits.max_wait_ms,
        min_bytes: 1,
        max_bytes: limits.max_bytes,
        isolation_level: i8::from(limits.committed),
        session_id,
        session_epoch,
        topics,
        forgotten_topics_data: forgotten,
        ..FetchRequest::default()
    };
    let answer = client.call(FETCH, &request).await?;
    let partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions).collect();
    Ok((answer.error_code, answer.session_id, partitions))
}

/// The whole batches of an answer: values by offset from `from` on, and how many batches or pieces of one there were.
pub fn values(data: &PartitionData, from: i64) -> (BTreeMap<i64, String>, usize) {
    let mut values = BTreeMap::new();
    let Some(bytes) = data.records.bytes() else { return (values, 0) };
    let mut batches = Batches::new(bytes);
    let mut count = 0;
    while let Some(batch) = batches.next() {
        let Ok(batch) = batch else { violated(format!("what was fetched is no batch behind {:?}", values.last_key_value())) };
        hold!(batch.crc_is_valid(), "a batch at {} has a wrong checksum", batch.header.base_offset);
        count += 1;
        for record in batch.records().expect("nothing is compressed") {
            let record = record.expect("a batch holds its records");
            let value = String::from_utf8(record.value.expect("records have values").to_vec()).expect("values are text");
            values.insert(batch.offset_of(&record).0, value);
        }
    }
    values.retain(|offset, _| *offset >= from);
    (values, count + usize::from(batches.remaining() > 0))
}

pub async fn list_offset(
    client: &mut Client,
    topic: &str,
    partition: i32,
    timestamp: i64,
) -> Result<ListOffsetsPartitionResponse, Lost> {
    let asked = ListOffsetsPartition {
        partition_index: partition,
        current_leader_epoch: -1,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![asked], ..ListOffsetsTopic::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let mut answer = client.call(7, &request).await?;
    Ok(answer.topics.remove(0).partitions.remove(0))
}

pub async fn create_topic(client: &mut Client, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<i16, Lost> {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..CreatableTopicConfig::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..CreateTopicsRequest::default() };
    Ok(client.call(7, &request).await?.topics[0].error_code)
}

pub async fn delete_topic(client: &mut Client, name: &str) -> Result<i16, Lost> {
    let request = DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: 5000, ..DeleteTopicsRequest::default() };
    Ok(client.call(5, &request).await?.responses[0].error_code)
}

pub async fn topic_error(client: &mut Client, name: &str) -> Result<i16, Lost> {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let request = MetadataRequest { allow_auto_topic_creation: false, ..request };
    Ok(client.call(12, &request).await?.topics[0].error_code)
}

/// Error and low watermark.
pub async fn delete_records(client: &mut Client, topic: &str, partition: i32, offset: i64) -> Result<(i16, i64), Lost> {
    let partition = DeleteRecordsPartition { partition_index: partition, offset, ..DeleteRecordsPartition::default() };
    let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition], ..DeleteRecordsTopic::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5000, ..DeleteRecordsRequest::default() };
    let answer = client.call(2, &request).await?;
    let result = &answer.topics[0].partitions[0];
    Ok((result.error_code, result.low_watermark))
}

/// Error, producer id and epoch.
pub async fn init_producer_id(client: &mut Client) -> Result<(i16, i64, i16), Lost> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 1000, ..InitProducerIdRequest::default() };
    let answer = client.call(4, &request).await?;
    Ok((answer.error_code, answer.producer_id, answer.producer_epoch))
}
