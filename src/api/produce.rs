//! Produce (0), versions 3 to 13.
//!
//! Stage one, in the order of requests: resolve each partition, check its batch on this core, hand all slices to their owners. Stage
//! two: wait for what acks promises and assemble the answer.

use super::context::text;
use super::{Answer, Call, Finish};
use crate::config::{CompressionType, TopicConfig};
use crate::controller::{MetadataImage, Topic};
use crate::model::{ErrorCode, PartitionIndex, TopicId};
use crate::protocol::Records;
use crate::protocol::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::protocol::generated::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use crate::record::{BatchHeader, Codec, Compression, RecordsError, ValidateOptions, ValidatedBatch, Validator};
use crate::shard::{MAX_SLICES, ProduceResult, ProduceSlice, QuotaKind, in_field};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Cost of one step of validation before other tasks get a turn, in bytes walked.
const STEP: usize = 64 * 1024;
/// Topics are named by id since this version (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// `client.id` of Kafka's admin client, the only one that may write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// Partitions that are looked at before others get a turn, if it is time.
const BETWEEN_YIELDS: usize = 64;

/// Topic and partition in the response of each slice that was handed over.
type Places = Vec<(usize, usize)>;

/// Results on their way.
type Results = Pin<Box<dyn Future<Output = Vec<ProduceResult>>>>;

/// The slices of one request on their way to the partitions.
struct HandOver<'a> {
    call: &'a Call,
    acks: i16,
    timeout: Duration,
    slices: Vec<ProduceSlice>,
    places: Places,
    /// What was too much to be handed over in one go.
    before: Vec<(Places, Results)>,
}

impl HandOver<'_> {
    /// The order in each partition is that of requests though some of a request goes before the rest of it: the next request is
    /// dispatched when all of this one has been handed over.
    fn add(&mut self, slice: ProduceSlice, place: (usize, usize)) {
        if self.slices.len() == MAX_SLICES {
            let slices = std::mem::take(&mut self.slices);
            let results = Box::pin(self.hand_over(slices));
            self.before.push((std::mem::take(&mut self.places), results));
        }
        self.slices.push(slice);
        self.places.push(place);
    }

    fn hand_over(&self, slices: Vec<ProduceSlice>) -> impl Future<Output = Vec<ProduceResult>> + use<> {
        let deadline = self.call.context.io.now().after(self.timeout);
        self.call.context.shards.produce(slices, self.acks, deadline)
    }
}

pub(super) async fn dispatch(call: Call) -> Finish {
    let request = match call.measured(call.decode::<ProduceRequest>()).await {
        Ok(request) => request,
        Err(answer) => {
            call.end();
            return Box::pin(std::future::ready(answer));
        }
    };
    let ProduceRequest { transactional_id, acks, timeout_ms, topic_data, .. } = request;
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let image = call.context.shards.image();
    let topics = call.compute(false, move || without_repetitions(topic_data)).await;
    let (slices, places, before) = Default::default();
    let mut hand_over = HandOver { call: &call, acks, timeout, slices, places, before };
    let mut response = call.measured(check_all(&mut hand_over, &image, topics, transactional_id.is_some())).await;
    let slices = std::mem::take(&mut hand_over.slices);
    let last = hand_over.hand_over(slices);
    let HandOver { places, before, .. } = hand_over;
    call.rest();
    Box::pin(async move {
        for (places, results) in before {
            for (place, result) in places.into_iter().zip(results.await) {
                tell_result(&call, &image, result, &mut response, place);
            }
            call.context.io.yield_if_needed().await;
        }
        for (place, result) in places.into_iter().zip(last.await) {
            tell_result(&call, &image, result, &mut response, place);
        }
        throttle(&call, acks, &mut response).await;
        let answer = answer(&call, acks, response).await;
        call.end();
        answer
    })
}

/// Checks the batch of each partition and gives it to `hand_over`; the response says what is wrong with the others.
async fn check_all(
    hand_over: &mut HandOver<'_>,
    image: &MetadataImage,
    topics: Vec<TopicProduceData>,
    transactional: bool,
) -> ProduceResponse {
    let call = hand_over.call;
    let mut response = ProduceResponse { responses: Vec::with_capacity(topics.len()), ..Default::default() };
    let mut seen = 0;
    for topic_data in topics {
        let TopicProduceData { name, topic_id, partition_data } = topic_data;
        if partition_data.is_empty() {
            // As in Kafka, whose answer is made of partitions.
            continue;
        }
        let topic_place = response.responses.len();
        let topic = find_topic(call, image, &name, topic_id);
        let config = topic.as_ref().ok().map(|topic| call.context.topic_config(image, topic));
        let mut partition_responses = Vec::with_capacity(partition_data.len());
        for (partition_place, PartitionProduceData { index, records }) in partition_data.into_iter().enumerate() {
            let mut partition = PartitionProduceResponse { index, base_offset: -1, ..Default::default() };
            let checked = match (&topic, &config) {
                (Ok(topic), Some(config)) => check(call, transactional, topic, config, index, records).await,
                (Ok(_), None) => unreachable!("a topic has configs"),
                (Err(error), _) => Err(Refusal::from(*error)),
            };
            match checked {
                Ok(_) if !ACKS.contains(&hand_over.acks) => Refusal::from(ErrorCode::InvalidRequiredAcks).tell(&mut partition),
                Ok(slice) => hand_over.add(slice, (topic_place, partition_place)),
                Err(refusal) => refusal.with_acks(hand_over.acks).tell(&mut partition),
            }
            partition_responses.push(partition);
            seen += 1;
            if seen % BETWEEN_YIELDS == 0 {
                call.context.io.yield_if_needed().await;
            }
        }
        response.responses.push(TopicProduceResponse { name, topic_id, partition_responses });
    }
    response
}

/// A partition that a request names twice is written once, with the records that come last, as in Kafka.
fn without_repetitions(topics: Vec<TopicProduceData>) -> Vec<TopicProduceData> {
    if let [topic] = &topics[..]
        && topic.partition_data.len() == 1
    {
        return topics;
    }
    let mut merged: Vec<TopicProduceData> = Vec::with_capacity(topics.len());
    let mut topic_places = BTreeMap::new();
    let mut partition_places = BTreeMap::new();
    for TopicProduceData { name, topic_id, partition_data } in topics {
        let place = *topic_places.entry((name.clone(), topic_id)).or_insert_with(|| {
            merged.push(TopicProduceData { name, topic_id, partition_data: Vec::with_capacity(partition_data.len()) });
            merged.len() - 1
        });
        let partitions = &mut merged[place].partition_data;
        for partition in partition_data {
            match partition_places.entry((place, partition.index)) {
                Entry::Vacant(entry) => {
                    entry.insert(partitions.len());
                    partitions.push(partition);
                }
                Entry::Occupied(entry) => partitions[*entry.get()] = partition,
            }
        }
    }
    merged
}

/// Counts what the request took; its client is held off, and told so, if it was too much.
async fn throttle(call: &Call, acks: i16, response: &mut ProduceResponse) {
    let of_bytes = call.charge(QuotaKind::Produce, call.request.size as f64).await;
    // As in Kafka, whose clients do not wait for an answer to acks=0.
    let of_time = if acks == 0 { 0 } else { call.charge_time().await };
    let wait_ms = of_bytes.max(of_time);
    call.hold_off(wait_ms);
    response.throttle_time_ms = in_field(wait_ms);
}

/// With acks=0 there is no answer; an error is told by closing the connection, as Kafka does, so that the client looks for
/// new metadata.
async fn answer(call: &Call, acks: i16, response: ProduceResponse) -> Answer {
    if acks != 0 || call.context.io.planted("acks=0 answered") {
        return call.respond(response).await;
    }
    let first_error = move || {
        let mut codes = response.responses.iter().flat_map(|topic| &topic.partition_responses).map(|one| one.error_code);
        codes.find(|code| *code != 0)
    };
    match call.compute(false, first_error).await {
        Some(code) => {
            let error = ErrorCode::from_code(code).map_or("an error", ErrorCode::name);
            Answer::Close(format!("a produce with acks=0 met {error}"))
        }
        None => Answer::Nothing,
    }
}

/// The topic that is meant, or what is wrong with all its partitions.
fn find_topic(call: &Call, image: &MetadataImage, name: &str, id: TopicId) -> Result<Arc<Topic>, ErrorCode> {
    let topic = if call.version() >= TOPIC_IDS_SINCE {
        image.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    if super::is_internal(&topic.name) && call.request.client_id.as_deref() != Some(ADMIN_CLIENT) {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(topic.clone())
}

/// Every `acks` that there is.
const ACKS: std::ops::RangeInclusive<i16> = -1..=1;

/// Why a partition's batch is not appended.
struct Refusal {
    error: ErrorCode,
    message: Option<String>,
    record_errors: Vec<(i32, String)>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None, record_errors: Vec::new() }
    }
}

impl From<RecordsError> for Refusal {
    fn from(error: RecordsError) -> Self {
        let record_errors = error.record_errors.into_iter().map(|record| (record.batch_index, record.message)).collect();
        Self { error: error.code, message: Some(error.message), record_errors }
    }
}

impl Refusal {
    /// Kafka looks at the shape of what is to be written first, then at `acks`, then at checksums.
    fn with_acks(self, acks: i16) -> Self {
        match self.error {
            ErrorCode::CorruptMessage if !ACKS.contains(&acks) => ErrorCode::InvalidRequiredAcks.into(),
            _ => self,
        }
    }

    fn tell(self, partition: &mut PartitionProduceResponse) {
        partition.error_code = self.error.code();
        partition.error_message = self.message.as_deref().map(text);
        let record_error = |(batch_index, message): (i32, String)| BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: Some(text(&message)),
        };
        partition.record_errors = self.record_errors.into_iter().map(record_error).collect();
    }
}

/// Checks a partition's batch on this core.
async fn check(
    call: &Call,
    transactional: bool,
    topic: &Topic,
    config: &TopicConfig,
    index: i32,
    records: Records,
) -> Result<ProduceSlice, Refusal> {
    let partition = PartitionIndex(index);
    if !topic.partitions.contains_key(&partition) {
        return Err(ErrorCode::UnknownTopicOrPartition.into());
    }
    let bytes = records.bytes().cloned().unwrap_or_default();
    let io = &call.context.io;
    let is_compressed = BatchHeader::parse(&bytes).is_ok_and(|header| header.attributes.is_compressed());
    let mut turn = None;
    let mut validator = Validator::new(bytes, options(config, call.version(), io.wall_clock_ms()));
    let batch: ValidatedBatch = loop {
        match validator.step(STEP) {
            Some(verdict) => break verdict?,
            // A hostile batch may take 128 MiB to decompress, so those that are not done at once go one after the other.
            None if is_compressed && turn.is_none() => turn = Some(call.context.long_decompression.enter().await),
            None => io.yield_if_needed().await,
        }
    };
    if batch.header.attributes.is_transactional() {
        return Err(refuse_transaction(transactional));
    }
    Ok(ProduceSlice { topic_id: topic.id, partition, batch })
}

/// Transactions need a coordinator, and this broker has none yet. A producer is told what Kafka tells it whose coordinator cannot be
/// reached; it may try again, and finds no coordinator to begin with.
fn refuse_transaction(has_id: bool) -> Refusal {
    if !has_id {
        return ErrorCode::TransactionalIdAuthorizationFailed.into();
    }
    let cause = ErrorCode::CoordinatorNotAvailable;
    let message = format!("cannot verify that the partition belongs to the transaction: {cause}");
    Refusal { message: Some(message), ..ErrorCode::NotEnoughReplicas.into() }
}

fn options(config: &TopicConfig, produce_version: i16, now_ms: i64) -> ValidateOptions {
    let level = |codec| match codec {
        Codec::Gzip => Some(config.compression_gzip_level),
        Codec::Lz4 => Some(config.compression_lz4_level),
        Codec::Zstd => Some(config.compression_zstd_level),
        Codec::None | Codec::Snappy => None,
    };
    let compression = match config.compression_type {
        CompressionType::Producer => None,
        CompressionType::Codec(codec) => {
            let leveled = level(codec).and_then(|level| Compression::with_level(codec, level).ok());
            Some(leveled.unwrap_or(Compression::of(codec)))
        }
    };
    ValidateOptions {
        max_message_bytes: config.max_message_bytes as usize,
        segment_bytes: config.segment_bytes as usize,
        timestamp_type: config.message_timestamp_type,
        before_max_ms: config.message_timestamp_before_max_ms,
        after_max_ms: config.message_timestamp_after_max_ms,
        compacted: config.cleanup_compact,
        compression,
        produce_version,
        ..ValidateOptions::new(now_ms)
    }
}

/// Puts what became of a slice into the response; a client that asked the wrong broker learns the right one (KIP-951).
fn tell_result(call: &Call, image: &MetadataImage, result: ProduceResult, response: &mut ProduceResponse, place: (usize, usize)) {
    let partition = &mut response.responses[place.0].partition_responses[place.1];
    let error = if call.version() >= TOPIC_IDS_SINCE { result.error } else { super::for_names(result.error) };
    partition.error_code = error.code();
    partition.error_message = result.message.as_deref().map(text);
    partition.base_offset = result.base_offset.0;
    partition.log_append_time_ms = result.log_append_time;
    partition.log_start_offset = result.log_start_offset.0;
    let Some(leader) = result.current_leader.filter(|_| call.version() >= 10) else { return };
    partition.current_leader = LeaderIdAndEpoch { leader_id: leader.leader_id.0, leader_epoch: leader.leader_epoch.0 };
    let known = response.node_endpoints.iter().any(|node| node.node_id == leader.leader_id.0);
    let Some(node) = call.context.node(image, leader.leader_id, &call.connection).filter(|_| !known) else { return };
    response.node_endpoints.push(NodeEndpoint { node_id: node.id.0, host: node.host, port: node.port, rack: node.rack });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn topic(name: &'static str, partitions: &[(i32, &'static str)]) -> TopicProduceData {
        let partition = |&(index, records)| PartitionProduceData {
            index,
            records: Records::Bytes(Bytes::from_static(str::as_bytes(records))),
        };
        TopicProduceData { name: text(name), partition_data: partitions.iter().map(partition).collect(), ..Default::default() }
    }

    #[test]
    fn what_is_named_twice_is_written_once_with_the_last_records() {
        let twice = vec![topic("a", &[(0, "x"), (1, "y"), (0, "z")]), topic("b", &[(0, "b")]), topic("a", &[(1, "w"), (2, "v")])];
        let once = vec![topic("a", &[(0, "z"), (1, "w"), (2, "v")]), topic("b", &[(0, "b")])];
        assert_eq!(without_repetitions(twice), once);
        assert_eq!(without_repetitions(vec![topic("a", &[(3, "x")])]), [topic("a", &[(3, "x")])]);
        assert_eq!(without_repetitions(Vec::new()), []);
    }
}
