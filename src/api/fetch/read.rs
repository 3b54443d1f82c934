//! Reading until there is enough, something to say at once, or no time left.

use super::REPLICA_STATE_SINCE;
use super::budget::trim;
use super::session::{PartitionKey, Wanted};
use crate::api::Call;
use crate::io::Mono;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicIdPartition};
use crate::protocol::generated::fetch_request::FetchRequest;
use crate::shard::{FetchPartition, FetchRead, FetchResult, FetchingReplica, Isolation, Near, QuotaKind, WatchPartition};
use std::sync::Arc;
use std::time::Duration;

/// Broker epoch of a replica in versions that do not have it.
const NO_BROKER_EPOCH: i64 = -1;
/// `isolation_level` of a reader that wants committed transactions only.
const READ_COMMITTED: i8 = 1;
/// Consumers may read from followers since this version (KIP-392).
const FOLLOWERS_SINCE: i16 = 11;

/// Who reads.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) replica: Option<FetchingReplica>,
    leader_only: bool,
    near: Option<Near>,
}

impl Reader {
    pub(super) fn new(call: &Call, request: &FetchRequest) -> Self {
        let version = call.version();
        let (id, broker_epoch) = match version < REPLICA_STATE_SINCE {
            true => (request.replica_id, NO_BROKER_EPOCH),
            false => (request.replica_state.replica_id, request.replica_state.replica_epoch),
        };
        // Kafka takes any other negative number for a consumer, too.
        let replica = (id >= 0).then_some(FetchingReplica { id: BrokerId(id), broker_epoch });
        let leader_only = replica.is_some() || version < FOLLOWERS_SINCE;
        let is_sent_on = !leader_only && !request.rack_id.is_empty() && call.context.shards.is_rack_aware();
        let near = || Near { rack: Arc::from(&*request.rack_id), listener: call.connection.listener.clone() };
        Self { replica, leader_only, near: is_sent_on.then(near) }
    }
}

/// What bounds an answer.
pub(super) struct Limits {
    max_bytes: u64,
    min_bytes: u64,
    deadline: Mono,
    isolation: Isolation,
}

impl Limits {
    pub(super) fn new(call: &Call, request: &FetchRequest, reader: &Reader) -> Self {
        // Quotas are of clients.
        let most_at_once = match reader.replica {
            Some(_) => None,
            None => call.context.shards.most_at_once(QuotaKind::Fetch, call.client_id()),
        };
        let most_at_once = most_at_once.map_or(u64::MAX, |most| most as u64);
        let max_bytes = bytes(request.max_bytes).min(bytes(call.context.config.fetch_max_bytes())).min(most_at_once);
        Self {
            max_bytes,
            // More than may be sent can never be there.
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            deadline: call.context.io.now().after(Duration::from_millis(bytes(request.max_wait_ms))),
            isolation: match request.isolation_level {
                _ if reader.replica.is_some() => Isolation::Replica,
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
        }
    }
}

/// A number of bytes or milliseconds off the wire; a negative one is none.
fn bytes(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A partition that is wanted, looked up in the metadata.
pub(super) struct Asked {
    pub(super) key: PartitionKey,
    pub(super) wanted: Wanted,
    pub(super) found: Result<TopicIdPartition, ErrorCode>,
}

impl Asked {
    pub(super) fn to_read(&self) -> Option<FetchPartition> {
        let id = self.found.ok()?;
        Some(FetchPartition {
            topic_id: id.topic_id,
            partition: id.partition,
            fetch_offset: Offset(self.wanted.fetch_offset),
            max_bytes: bytes(self.wanted.max_bytes),
            current_leader_epoch: LeaderEpoch(self.wanted.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch(self.wanted.last_fetched_epoch),
            log_start_offset: Offset(self.wanted.log_start_offset),
        })
    }
}

/// The results in the order of `partitions`, cut to the budget. `some_missing`: there are others, with an error to tell.
pub(super) async fn read(
    call: &Call,
    reader: Reader,
    partitions: Vec<FetchPartition>,
    some_missing: bool,
    limits: &Limits,
) -> Vec<FetchResult> {
    let context = &call.context;
    let max_bytes = if context.io.planted("fetch ignores max.bytes") { u64::MAX } else { limits.max_bytes };
    let Reader { replica, leader_only, near } = reader;
    let isolation = limits.isolation;
    let mut query = FetchRead { partitions, isolation, max_bytes, replica, leader_only, near, is_repeated: false };
    loop {
        if query.partitions.is_empty() {
            return Vec::new();
        }
        let mut results = context.shards.fetch(query.clone()).await;
        assert!(results.len() == query.partitions.len(), "a result for each partition");
        let found = trim(&mut results, query.partitions.iter().map(|partition| partition.max_bytes), max_bytes);
        let is_urgent = |result: &FetchResult| {
            result.error.is_error() || result.diverging_epoch.is_some() || result.preferred_read_replica.is_some()
        };
        let urgent = some_missing || results.iter().any(is_urgent);
        if urgent || found >= limits.min_bytes || context.io.now() >= limits.deadline {
            return results;
        }
        let watched: Vec<_> = query.partitions.iter().zip(&results).map(watch_partition).collect();
        // Slices keep files open and hold up truncation: nothing of them is kept while this waits.
        drop(results);
        call.rest();
        query.is_repeated = true;
        let watch = context.shards.watch(watched, limits.isolation).await;
        watch.wait(limits.min_bytes - found, limits.deadline).await;
    }
}

fn watch_partition((partition, result): (&FetchPartition, &FetchResult)) -> WatchPartition {
    WatchPartition {
        id: TopicIdPartition { topic_id: partition.topic_id, partition: partition.partition },
        seen: result.readable_end,
        current_leader_epoch: partition.current_leader_epoch,
    }
}
