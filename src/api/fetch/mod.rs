//! Fetch (1), versions 4 to 18: records, without copying them.
//!
//! **The problem.** A consumer of ten thousand partitions asks for all of them many times a second, mostly finds nothing, and must
//! neither poll nor starve any of them; and what it does find may be a hundred megabytes that no process should touch.
//!
//! **The design that follows.** Each owner core is asked once, by one message, and answers with slices of files. What of them goes
//! into the answer is decided here, in the order of the request (`budget`); they fill gaps of the encoded answer and leave by `sendfile`. A
//! fetch that finds too little drops what it found, so that nobody waits for its files, registers for growth, and reads again when
//! there is enough (`read`). What need not be said again, in either direction, is remembered by a session (`session`; who may have
//! one: `cache`; KIP-227).
//!
//! A new field of the answer goes to [`Response::add`]; a new limit to [`Limits`]; a new error before reading to [`find`].

mod budget;
mod cache;
mod read;
mod session;
#[cfg(test)]
mod tests;

pub(super) use cache::SessionCache;

use super::{Answer, Call};
use crate::controller::MetadataImage;
use crate::io::{FileSlice, Piece};
use crate::model::{ErrorCode, Offset, PartitionIndex, TopicId, TopicIdPartition};
use crate::protocol::generated::fetch_request::FetchRequest;
use crate::protocol::generated::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::protocol::{Records, StrBytes};
use crate::shard::FetchResult;
use bytes::Bytes;
use cache::{SessionContext, SessionRequest};
use read::{Asked, Limits};
use session::{NO_SESSION, PartitionKey, TopicKey, Wanted};
use std::sync::Arc;

/// Topics are named by id since this version (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// The replica id is in a tagged field of its own since this version (KIP-903).
const REPLICA_STATE_SINCE: i16 = 15;
/// The leader is told to clients of another broker since this version (KIP-951).
const LEADER_HINTS_SINCE: i16 = 16;
/// Clients below this version do not know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_SINCE: i16 = 6;

pub(super) async fn answer(call: Call) -> Answer {
    let request = match call.decode::<FetchRequest>() {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let context = &call.context;
    let begun = context.sessions.begin(session_request(&request, call.version()), context.io.now());
    let (session, wanted) = match begun {
        Ok(begun) => begun,
        Err(error) => return call.respond(&FetchResponse { error_code: error.code(), ..Default::default() }),
    };
    let replica_id = if call.version() < REPLICA_STATE_SINCE { request.replica_id } else { request.replica_state.replica_id };
    let image = context.shards.image();
    let asked = |(key, wanted): (PartitionKey, Wanted)| Asked { found: find(&image, &key, &wanted, replica_id), key, wanted };
    let mut asked: Vec<Asked> = wanted.into_iter().map(asked).collect();
    // What cannot be read stands last in the answer, as from Kafka.
    asked.sort_by_key(|asked| asked.found.is_err());
    let results = read::read(call.context.as_ref(), &asked, &Limits::new(&call, &request)).await;
    let mut response = Response { call: &call, image: &image, message: FetchResponse::default(), gaps: Vec::new() };
    let told: Vec<(Asked, PartitionData, Vec<FileSlice>)> =
        asked.into_iter().zip(results).map(|(asked, result)| response.describe(asked, result)).collect();
    match session {
        SessionContext::None => told.into_iter().for_each(|told| response.add(told)),
        SessionContext::Full { uses_topic_ids } => {
            let random = u32::from_le_bytes(context.io.random());
            response.message.session_id =
                context.sessions.create(uses_topic_ids, told.len(), context.io.now(), random, |session| {
                    told.iter().for_each(|(asked, data, _)| session.begin(asked.key.clone(), asked.wanted, data));
                });
            told.into_iter().for_each(|told| response.add(told));
        }
        SessionContext::Incremental { session, epoch } => {
            let mut session = session.borrow_mut();
            response.message.session_id = session.id;
            if session.epoch == epoch {
                let only_ends = context.io.planted("fetch session forgets records");
                let is_news = |(asked, data, _): &(Asked, PartitionData, Vec<FileSlice>)| {
                    let known = only_ends && session.knows_ends(&asked.key, data);
                    session.answered(&asked.key, data) && !known
                };
                told.into_iter().filter(is_news).for_each(|told| response.add(told));
            } else {
                response.message.error_code = ErrorCode::InvalidFetchSessionEpoch.code();
            }
        }
    }
    response.finish()
}

/// What a request says about sessions and partitions. Names are copied: a session must not keep the frame that they came in.
fn session_request(request: &FetchRequest, version: i16) -> SessionRequest {
    let uses_topic_ids = version >= TOPIC_IDS_SINCE;
    let topic_key = |id: TopicId, name: &StrBytes| match uses_topic_ids {
        true => TopicKey::Id(id),
        false => TopicKey::Name(Arc::from(&**name)),
    };
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let key = topic_key(topic.topic_id, &topic.topic);
        let partition = |p| (PartitionKey { topic: key.clone(), index: fetch_index(p) }, Wanted::from(p));
        wanted.extend(topic.partitions.iter().map(partition));
    }
    let mut forget = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = topic_key(topic.topic_id, &topic.topic);
        forget.extend(topic.partitions.iter().map(|&index| PartitionKey { topic: key.clone(), index }));
    }
    SessionRequest { id: request.session_id, epoch: request.session_epoch, uses_topic_ids, wanted, forget }
}

fn fetch_index(partition: &crate::protocol::generated::fetch_request::FetchPartition) -> i32 {
    partition.partition
}

/// The partition that is meant, or why it cannot be read.
fn find(image: &MetadataImage, key: &PartitionKey, wanted: &Wanted, replica_id: i32) -> Result<TopicIdPartition, ErrorCode> {
    let topic = match &key.topic {
        TopicKey::Id(id) => image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
        TopicKey::Name(name) => image.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
    };
    let partition = PartitionIndex(key.index);
    if !topic.partitions.contains_key(&partition) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if replica_id >= 0 {
        // Who calls itself a replica would read beyond the high watermark. No other broker has replicas of our partitions yet, and
        // this is what Kafka tells one that has none.
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    if wanted.max_bytes < 0 {
        return Err(ErrorCode::UnknownServerError);
    }
    Ok(TopicIdPartition { topic_id: topic.id, partition })
}

/// An answer that is being put together.
struct Response<'a> {
    call: &'a Call,
    image: &'a MetadataImage,
    message: FetchResponse,
    /// What fills the gaps of the encoded message.
    gaps: Vec<Vec<FileSlice>>,
}

impl Response<'_> {
    /// What the answer says of a partition, if it says anything; the records' gap has no number yet.
    fn describe(&self, asked: Asked, result: FetchResult) -> (Asked, PartitionData, Vec<FileSlice>) {
        let mut data = describe(self.call.version(), asked.key.index, &result);
        if let Some(leader) = result.current_leader.filter(|_| self.call.version() >= LEADER_HINTS_SINCE) {
            data.current_leader = LeaderIdAndEpoch { leader_id: leader.leader_id.0, leader_epoch: leader.leader_epoch.0 };
        }
        (asked, data, result.slices)
    }

    /// Adds a partition behind the others; only neighbours share a topic entry, since the order of partitions matters.
    fn add(&mut self, (asked, mut data, slices): (Asked, PartitionData, Vec<FileSlice>)) {
        if let Records::External { len, .. } = data.records {
            data.records = Records::External { len, index: self.gaps.len() };
            self.gaps.push(slices);
        }
        let leader = data.current_leader.leader_id;
        let known = leader < 0 || self.message.node_endpoints.iter().any(|node| node.node_id == leader);
        if !known && let Some(node) = self.call.context.node(self.image, crate::model::BrokerId(leader), &self.call.connection) {
            let node = NodeEndpoint { node_id: node.id.0, host: node.host, port: node.port, rack: node.rack };
            self.message.node_endpoints.push(node);
        }
        let (topic, topic_id) = match &asked.key.topic {
            TopicKey::Id(id) => (StrBytes::EMPTY, *id),
            TopicKey::Name(name) => (StrBytes::from(name), TopicId::ZERO),
        };
        match self.message.responses.last_mut() {
            Some(last) if last.topic == topic && last.topic_id == topic_id => last.partitions.push(data),
            _ => self.message.responses.push(FetchableTopicResponse { topic, topic_id, partitions: vec![data] }),
        }
    }

    fn finish(self) -> Answer {
        assert!(self.message.error_code == 0 || self.message.responses.is_empty(), "an error says nothing of partitions");
        assert!(self.message.session_id >= NO_SESSION, "session ids are positive");
        let mut gaps = self.gaps;
        self.call.respond_with(&self.message, |pieces, index| pieces.extend(gaps[index].drain(..).map(Piece::File)))
    }
}

/// What the answer says of a partition. An error comes without offsets, as in Kafka.
fn describe(version: i16, partition_index: i32, result: &FetchResult) -> PartitionData {
    let mut data = PartitionData {
        partition_index,
        error_code: error_for(version, result.error).code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        aborted_transactions: None,
        records: Records::Bytes(Bytes::new()),
        ..Default::default()
    };
    if result.error.is_error() {
        return data;
    }
    let number = |offset: Offset| offset.0;
    data.high_watermark = number(result.high_watermark);
    data.last_stable_offset = number(result.last_stable_offset);
    data.log_start_offset = number(result.log_start_offset);
    let aborted = |transaction: &crate::shard::AbortedTransaction| AbortedTransaction {
        producer_id: transaction.producer_id.0,
        first_offset: transaction.first_offset.0,
    };
    data.aborted_transactions = result.aborted.as_ref().map(|list| list.iter().map(aborted).collect());
    if let Some(diverging) = result.diverging_epoch {
        data.diverging_epoch = EpochEndOffset { epoch: diverging.epoch.0, end_offset: diverging.end_offset.0 };
    }
    if result.bytes > 0 {
        let len = usize::try_from(result.bytes).expect("an answer fits in memory");
        data.records = Records::External { len, index: 0 };
    }
    data
}

/// The error in terms that a client of this version knows. It would take any other for a fatal one, and these are worth a retry.
fn error_for(version: i16, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::KafkaStorageError if version < STORAGE_ERROR_SINCE => ErrorCode::NotLeaderOrFollower,
        error if version < TOPIC_IDS_SINCE => super::for_names(error),
        error => error,
    }
}
