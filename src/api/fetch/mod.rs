//! Fetch (1), versions 4 to 18: records, without copying them.
//!
//! One read asks every owner core once for slices of files; the answer's budget is then dealt out in the order of the request
//! (`budget`), and what is sent leaves the page cache by `sendfile` in the gaps of the encoded response. A fetch that found too
//! little waits until its partitions grow and reads again. `session` is what a client need not repeat (KIP-227).

mod budget;
mod session;

pub(super) use session::SessionCache;

use super::{Answer, Call};
use crate::controller::MetadataImage;
use crate::io::{FileSlice, Mono, Piece};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicIdPartition};
use crate::protocol::Records;
use crate::protocol::generated::fetch_request::FetchRequest;
use crate::protocol::generated::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::shard::{FetchPartition, FetchRead, FetchResult, Isolation, WatchPartition, Woken};
use budget::Budget;
use bytes::Bytes;
use session::{By, Context, TOPIC_IDS_SINCE, Told, Wanted};
use std::time::Duration;

pub(super) async fn answer(call: Call) -> Answer {
    let request = match call.decode::<FetchRequest>() {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let context = &call.context;
    let begun = context.sessions.begin(&request, call.version(), context.io.now());
    let session = match begun {
        Ok(session) => session,
        Err(error) => return refuse(&call, error),
    };
    let replica_id = BrokerId(if call.version() < 15 { request.replica_id } else { request.replica_state.replica_id });
    let image = context.shards.image();
    let wanted: Vec<Wanted> = match &session {
        Context::Sessionless(wishes) | Context::Full(wishes) | Context::Incremental { wishes, .. } => {
            wishes.iter().cloned().collect()
        }
    };
    let asked: Vec<Asked> = wanted.into_iter().map(|wanted| Asked::new(&call, &image, wanted)).collect();
    let limits = Limits::new(&call, &request);
    let mut results = read(&call, &asked, &limits, replica_id).await;
    let mut budget = Budget::new(limits.max_bytes);
    for (asked, result) in asked.iter().zip(&mut results) {
        budget.trim(result, asked.max_bytes());
    }
    let told: Vec<Told> = asked.iter().zip(&results).map(|(asked, result)| asked.told(result)).collect();
    let by = By {
        privileged: replica_id.0 >= 0,
        uses_topic_ids: call.version() >= TOPIC_IDS_SINCE,
        now: context.io.now(),
        random: u64::from_le_bytes(context.io.random()),
    };
    let (session_id, named) = match context.sessions.finish(session, &told, by) {
        Ok(finished) => finished,
        Err(error) => return refuse(&call, error),
    };
    let kept = asked.into_iter().zip(results).zip(named).filter(|(_, named)| *named).map(|(both, _)| both);
    respond(&call, &image, session_id, kept)
}

/// An answer without partitions: the session is not what the client believes.
fn refuse(call: &Call, error: ErrorCode) -> Answer {
    call.respond(&FetchResponse { error_code: error.code(), ..Default::default() })
}

/// What bounds an answer.
struct Limits {
    max_bytes: u64,
    min_bytes: u64,
    deadline: Mono,
    isolation: Isolation,
}

impl Limits {
    fn new(call: &Call, request: &FetchRequest) -> Self {
        let unsigned = |value: i32| u64::try_from(value).unwrap_or(0);
        let max_bytes = unsigned(request.max_bytes).min(unsigned(call.context.config.fetch_max_bytes()));
        let wait = Duration::from_millis(unsigned(request.max_wait_ms));
        Self {
            max_bytes,
            min_bytes: unsigned(request.min_bytes).min(max_bytes),
            deadline: call.context.io.now().after(wait),
            isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        }
    }
}

/// A wanted partition, looked up in the metadata.
struct Asked {
    wanted: Wanted,
    found: Result<TopicIdPartition, ErrorCode>,
}

impl Asked {
    fn new(call: &Call, image: &MetadataImage, wanted: Wanted) -> Self {
        let by_id = call.version() >= TOPIC_IDS_SINCE;
        let topic = match by_id {
            true => image.topic_by_id(wanted.key.topic_id).ok_or(ErrorCode::UnknownTopicId),
            false => image.topic_by_name(&wanted.key.topic).ok_or(ErrorCode::UnknownTopicOrPartition),
        };
        let index = PartitionIndex(wanted.key.partition);
        let found = topic.and_then(|topic| match topic.partitions.contains_key(&index) {
            true => Ok(TopicIdPartition { topic_id: topic.id, partition: index }),
            false => Err(ErrorCode::UnknownTopicOrPartition),
        });
        Self { wanted, found }
    }

    fn max_bytes(&self) -> u64 {
        u64::try_from(self.wanted.ask.partition_max_bytes).unwrap_or(0)
    }

    fn to_read(&self, id: TopicIdPartition) -> FetchPartition {
        let ask = &self.wanted.ask;
        FetchPartition {
            topic_id: id.topic_id,
            partition: id.partition,
            fetch_offset: Offset(ask.fetch_offset),
            max_bytes: self.max_bytes(),
            current_leader_epoch: LeaderEpoch(ask.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch(ask.last_fetched_epoch),
            log_start_offset: Offset(ask.log_start_offset),
        }
    }

    fn told(&self, result: &FetchResult) -> Told {
        Told {
            key: self.wanted.key.clone(),
            error: result.error,
            diverging: result.diverging_epoch.is_some(),
            bytes: result.bytes,
            high_watermark: result.high_watermark.0,
            log_start: result.log_start_offset.0,
        }
    }
}

/// Reads until there is enough, something to report at once, or no time left. The results are in the order of `asked`.
async fn read(call: &Call, asked: &[Asked], limits: &Limits, replica_id: BrokerId) -> Vec<FetchResult> {
    let shards = &call.context.shards;
    let partitions: Vec<FetchPartition> = asked.iter().filter_map(|asked| asked.found.ok().map(|id| asked.to_read(id))).collect();
    let some_missing = partitions.len() < asked.len();
    let query = FetchRead { partitions, isolation: limits.isolation, max_bytes: limits.max_bytes, replica_id };
    let results = loop {
        let results = shards.fetch(query.clone()).await;
        let bytes: u64 = results.iter().map(|result| result.bytes).sum();
        let urgent = |result: &FetchResult| result.error.is_error() || result.diverging_epoch.is_some();
        let enough = bytes >= limits.min_bytes || some_missing || results.is_empty() || results.iter().any(urgent);
        if enough || call.context.io.now() >= limits.deadline {
            break results;
        }
        let watched = query.partitions.iter().zip(&results).map(|(partition, result)| WatchPartition {
            id: TopicIdPartition { topic_id: partition.topic_id, partition: partition.partition },
            seen: result.readable_end,
            current_leader_epoch: partition.current_leader_epoch,
        });
        let watch = shards.watch(watched.collect(), limits.isolation);
        let woken = watch.wait(limits.min_bytes - bytes, limits.deadline).await;
        // Somebody who waits for a single byte has missed nothing when the time is over.
        if woken == Woken::Deadline && limits.min_bytes <= 1 {
            break results;
        }
    };
    let mut results = results.into_iter();
    let result_of = |asked: &Asked| match asked.found {
        Ok(_) => results.next().expect("a result for each partition that was read"),
        Err(error) => FetchResult::failed(error),
    };
    asked.iter().map(result_of).collect()
}

/// Puts the answer together; the records become gaps that slices of files fill.
fn respond(call: &Call, image: &MetadataImage, session_id: i32, kept: impl Iterator<Item = (Asked, FetchResult)>) -> Answer {
    let mut response = FetchResponse { session_id, ..Default::default() };
    let mut gaps: Vec<Vec<FileSlice>> = Vec::new();
    for (asked, mut result) in kept {
        if let Some(leader) = result.current_leader.filter(|_| call.version() >= 16)
            && !response.node_endpoints.iter().any(|node| node.node_id == leader.leader_id.0)
            && let Some(node) = call.context.node(image, leader.leader_id, &call.connection)
        {
            response.node_endpoints.push(NodeEndpoint { node_id: node.id.0, host: node.host, port: node.port, rack: node.rack });
        }
        let records = match result.bytes {
            0 => Records::Bytes(Bytes::new()),
            bytes => {
                gaps.push(std::mem::take(&mut result.slices));
                Records::External { len: bytes as usize, index: gaps.len() - 1 }
            }
        };
        let partition = describe(call.version(), asked.wanted.key.partition, &result, records);
        let same_topic =
            |last: &FetchableTopicResponse| last.topic == asked.wanted.key.topic && last.topic_id == asked.wanted.key.topic_id;
        match response.responses.last_mut() {
            Some(last) if same_topic(last) => last.partitions.push(partition),
            _ => response.responses.push(FetchableTopicResponse {
                topic: asked.wanted.key.topic,
                topic_id: asked.wanted.key.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    call.respond_with(&response, |pieces, index| pieces.extend(gaps[index].drain(..).map(Piece::File)))
}

fn describe(version: i16, index: i32, result: &FetchResult, records: Records) -> PartitionData {
    let mut data = PartitionData {
        partition_index: index,
        error_code: result.error.code(),
        high_watermark: result.high_watermark.0,
        last_stable_offset: result.last_stable_offset.0,
        log_start_offset: result.log_start_offset.0,
        records,
        ..Default::default()
    };
    data.aborted_transactions = result.aborted.as_ref().map(|aborted| {
        let entry = |transaction: &crate::shard::AbortedTransaction| AbortedTransaction {
            producer_id: transaction.producer_id.0,
            first_offset: transaction.first_offset.0,
        };
        aborted.iter().map(entry).collect()
    });
    if version >= 12 {
        if let Some(diverging) = result.diverging_epoch {
            data.diverging_epoch = EpochEndOffset { epoch: diverging.epoch.0, end_offset: diverging.end_offset.0 };
        }
        if let Some(leader) = result.current_leader {
            data.current_leader = LeaderIdAndEpoch { leader_id: leader.leader_id.0, leader_epoch: leader.leader_epoch.0 };
        }
    }
    data
}
