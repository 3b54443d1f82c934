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

use super::context::Node;
use super::{Answer, ApiContext, Call};
use crate::controller::MetadataImage;
use crate::io::{FileSlice, Piece};
use crate::model::{BrokerId, ErrorCode, Offset, PartitionIndex, TopicId, TopicIdPartition};
use crate::protocol::generated::fetch_request::FetchRequest;
use crate::protocol::generated::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::protocol::{Records, StrBytes};
use crate::shard::{FetchPartition, FetchResult, QuotaKind, in_field};
use bytes::Bytes;
use cache::{SessionContext, SessionRequest};
use read::{Asked, Limits, Reader};
use session::{NO_SESSION, PartitionKey, Session, TopicKey, Wanted};
use std::rc::Rc;
use std::sync::Arc;

/// Topics are named by id since this version (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// The replica id is in a tagged field of its own since this version (KIP-903).
const REPLICA_STATE_SINCE: i16 = 15;
/// The leader is told to clients of another broker since this version (KIP-951).
const LEADER_HINTS_SINCE: i16 = 16;
/// Clients below this version do not know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_SINCE: i16 = 6;

/// Partitions that are gone through in one go.
const MANY: usize = 1000;

pub(super) async fn answer(call: Call) -> Answer {
    let answer = match call.decode::<FetchRequest>().await {
        Ok(request) => answer_request(&call, request).await,
        Err(answer) => answer,
    };
    call.end();
    answer
}

async fn answer_request(call: &Call, request: FetchRequest) -> Answer {
    let (context, version) = (&call.context, call.version());
    let reader = Reader::new(call, &request);
    let (limits, is_replica) = (Limits::new(call, &request, &reader), reader.replica.is_some());
    let request = call.compute(false, move || session_request(&request, version)).await;
    let (session, opened) = match context.sessions.open(request) {
        Ok(opened) => opened,
        Err(error) => return call.respond(FetchResponse { error_code: error.code(), ..Default::default() }).await,
    };
    let resolved = call.compute(opened.len() > MANY, move || opened.resolve()).await;
    let (session, wanted) = context.sessions.settle(session, resolved, context.io.now());
    let image = context.shards.image();
    let (is_long, known) = (wanted.len() > MANY, image.clone());
    let (asked, partitions) = call.compute(is_long, move || look_up(&known, wanted)).await;
    let some_missing = partitions.len() < asked.len();
    let results = call.measured(read::read(call, reader, partitions, some_missing, &limits)).await;
    // Quotas are of clients; what other brokers copy does not count.
    let wait_ms = if is_replica { 0 } else { throttle(call, &results).await };
    let telling = match begin_telling(context, &session, asked.len(), is_replica) {
        Ok(telling) => telling,
        Err(error) => return call.respond(FetchResponse { error_code: error.code(), ..Default::default() }).await,
    };
    if wait_ms > 0 {
        // The client gets nothing now, and asks for the same again.
        let telling = match telling {
            Telling::News { .. } => telling,
            Telling::First(_) | Telling::All => Telling::All,
        };
        call.compute(is_long, move || drop((asked, results))).await;
        let session_id = end_telling(context, session, telling);
        return call.respond(FetchResponse { throttle_time_ms: in_field(wait_ms), session_id, ..Default::default() }).await;
    }
    let (mut response, telling) = call.compute(is_long, move || Response::tell(version, asked, results, telling)).await;
    response.message.session_id = end_telling(context, session, telling);
    response.add_nodes(call, &image);
    assert!(response.message.session_id >= NO_SESSION, "session ids are positive");
    let mut gaps = response.gaps;
    call.respond_with(response.message, |pieces, index| pieces.extend(gaps[index].drain(..).map(Piece::File))).await
}

/// Counts what the answer takes; milliseconds for which the client is held off if that is too much.
async fn throttle(call: &Call, results: &[FetchResult]) -> u64 {
    let of_time = call.charge_time().await;
    let bytes: u64 = results.iter().map(|result| result.bytes).sum();
    let of_bytes = if of_time > 0 || bytes == 0 { 0 } else { call.charge(QuotaKind::Fetch, bytes as f64).await };
    let wait_ms = of_time.max(of_bytes);
    call.hold_off(wait_ms);
    wait_ms
}

/// What is to be asked and told, and what is to be read of it; what cannot be read stands last in the answer, as from Kafka.
fn look_up(image: &MetadataImage, wanted: Vec<(PartitionKey, Wanted)>) -> (Vec<Asked>, Vec<FetchPartition>) {
    let asked = |(key, wanted): (PartitionKey, Wanted)| Asked { found: find(image, &key, &wanted), key, wanted };
    let mut asked: Vec<Asked> = wanted.into_iter().map(asked).collect();
    asked.sort_by_key(|asked| asked.found.is_err());
    let partitions = asked.iter().filter_map(Asked::to_read).collect();
    (asked, partitions)
}

/// How an answer goes on with what its session knows.
enum Telling {
    /// All is told, and nothing remembered.
    All,
    /// All is told, and remembered in this new session.
    First(Session),
    /// What is new is told; with a planted bug only new ends are.
    News { session: Session, forgets: bool },
}

fn begin_telling(
    context: &ApiContext,
    session: &SessionContext,
    partitions: usize,
    is_replica: bool,
) -> Result<Telling, ErrorCode> {
    match session {
        SessionContext::Full { uses_topic_ids } if context.sessions.has_room(partitions, is_replica, context.io.now()) => {
            Ok(Telling::First(Session::new(*uses_topic_ids, is_replica)))
        }
        SessionContext::None | SessionContext::Full { .. } => Ok(Telling::All),
        SessionContext::Incremental { seat, epoch } => match seat.take() {
            Some(session) if session.epoch == *epoch => {
                Ok(Telling::News { session, forgets: context.io.planted("fetch session forgets records") })
            }
            // Another request came in between.
            other => {
                other.into_iter().for_each(|session| seat.put(session));
                Err(ErrorCode::InvalidFetchSessionEpoch)
            }
        },
    }
}

/// The id of the session that the answer names.
fn end_telling(context: &ApiContext, session: SessionContext, telling: Telling) -> i32 {
    let discard = |session: Option<Session>| {
        if let Some(session) = session.filter(|session| session.len() > MANY) {
            context.io.discard(session);
        }
    };
    match (telling, session) {
        (Telling::First(session), _) => {
            let random = u32::from_le_bytes(context.io.random());
            let (id, garbage) = context.sessions.keep(session, context.io.now(), random);
            discard(garbage);
            id
        }
        (Telling::News { session, .. }, SessionContext::Incremental { seat, .. }) => {
            let id = session.id;
            seat.put(session);
            // The session may have been ended meanwhile: then nobody else has its seat.
            discard(Rc::into_inner(seat).and_then(|seat| seat.take()));
            id
        }
        _ => NO_SESSION,
    }
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
fn find(image: &MetadataImage, key: &PartitionKey, wanted: &Wanted) -> Result<TopicIdPartition, ErrorCode> {
    let topic = match &key.topic {
        TopicKey::Id(id) => image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
        TopicKey::Name(name) => image.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
    };
    let partition = PartitionIndex(key.index);
    if !topic.partitions.contains_key(&partition) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if wanted.max_bytes < 0 {
        return Err(ErrorCode::UnknownServerError);
    }
    Ok(TopicIdPartition { topic_id: topic.id, partition })
}

/// An answer that is being put together.
#[derive(Default)]
struct Response {
    message: FetchResponse,
    /// What fills the gaps of the encoded message.
    gaps: Vec<Vec<FileSlice>>,
    /// Brokers that the answer names as leaders.
    leaders: Vec<i32>,
}

impl Response {
    /// Tells the results, which are those of the partitions that were found, in the order of `asked`.
    fn tell(version: i16, asked: Vec<Asked>, results: Vec<FetchResult>, mut telling: Telling) -> (Self, Telling) {
        let mut response = Self::default();
        let mut results = results.into_iter();
        for asked in asked {
            let result = match asked.found {
                Ok(_) => results.next().expect("a result for each partition that was read"),
                Err(error) => FetchResult::failed(error),
            };
            let mut data = describe(version, asked.key.index, &result);
            if asked.found.is_err() {
                // Kafka says nothing of aborted transactions where a partition was looked into in vain, and that there are none where
                // it was not found.
                data.aborted_transactions = Some(Vec::new());
            }
            if let Some(leader) = result.current_leader.filter(|_| version >= LEADER_HINTS_SINCE) {
                data.current_leader = LeaderIdAndEpoch { leader_id: leader.leader_id.0, leader_epoch: leader.leader_epoch.0 };
            }
            let is_told = match &mut telling {
                Telling::All => true,
                Telling::First(session) => {
                    session.begin(asked.key.clone(), asked.wanted, &data);
                    true
                }
                Telling::News { session, forgets } => {
                    let known = *forgets && session.knows_ends(&asked.key, &data);
                    session.answered(&asked.key, &data) && !known
                }
            };
            if is_told {
                response.add(&asked.key.topic, data, result.slices);
            }
        }
        (response, telling)
    }

    /// Adds a partition behind the others; only neighbours share a topic entry, since the order of partitions matters.
    fn add(&mut self, topic: &TopicKey, mut data: PartitionData, slices: Vec<FileSlice>) {
        if let Records::External { len, .. } = data.records {
            data.records = Records::External { len, index: self.gaps.len() };
            self.gaps.push(slices);
        }
        let leader = data.current_leader.leader_id;
        if leader >= 0 && !self.leaders.contains(&leader) {
            self.leaders.push(leader);
        }
        let (topic, topic_id) = match topic {
            TopicKey::Id(id) => (StrBytes::EMPTY, *id),
            TopicKey::Name(name) => (StrBytes::from(name), TopicId::ZERO),
        };
        match self.message.responses.last_mut() {
            Some(last) if last.topic == topic && last.topic_id == topic_id => last.partitions.push(data),
            _ => self.message.responses.push(FetchableTopicResponse { topic, topic_id, partitions: vec![data] }),
        }
    }

    /// Tells where the leaders are that were named (KIP-951).
    fn add_nodes(&mut self, call: &Call, image: &MetadataImage) {
        let nodes = self.leaders.iter().filter_map(|leader| call.context.node(image, BrokerId(*leader), &call.connection));
        let endpoint = |node: Node| NodeEndpoint { node_id: node.id.0, host: node.host, port: node.port, rack: node.rack };
        self.message.node_endpoints = nodes.map(endpoint).collect();
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
    data.preferred_read_replica = result.preferred_read_replica.map_or(-1, |replica| replica.0);
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
