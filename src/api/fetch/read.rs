//! Reading until there is enough, something to say at once, or no time left.

use super::budget::trim;
use super::session::{PartitionKey, Wanted};
use crate::api::Call;
use crate::io::Mono;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicIdPartition};
use crate::protocol::generated::fetch_request::FetchRequest;
use crate::shard::{FetchPartition, FetchRead, FetchResult, Isolation, QuotaKind, WatchPartition};
use std::time::Duration;

/// `isolation_level` of a reader that wants committed transactions only.
const READ_COMMITTED: i8 = 1;
/// Shards know consumers by this replica id.
const CONSUMER: BrokerId = BrokerId(-1);

/// What bounds an answer.
pub(super) struct Limits {
    max_bytes: u64,
    min_bytes: u64,
    deadline: Mono,
    isolation: Isolation,
}

impl Limits {
    pub(super) fn new(call: &Call, request: &FetchRequest) -> Self {
        let most_at_once =
            call.context.shards.most_at_once(QuotaKind::Fetch, call.client_id()).map_or(u64::MAX, |most| most as u64);
        let max_bytes = bytes(request.max_bytes).min(bytes(call.context.config.fetch_max_bytes())).min(most_at_once);
        Self {
            max_bytes,
            // More than may be sent can never be there.
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            deadline: call.context.io.now().after(Duration::from_millis(bytes(request.max_wait_ms))),
            isolation: match request.isolation_level {
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
pub(super) async fn read(call: &Call, partitions: Vec<FetchPartition>, some_missing: bool, limits: &Limits) -> Vec<FetchResult> {
    let context = &call.context;
    let max_bytes = if context.io.planted("fetch ignores max.bytes") { u64::MAX } else { limits.max_bytes };
    let query = FetchRead { partitions, isolation: limits.isolation, max_bytes, replica_id: CONSUMER };
    loop {
        if query.partitions.is_empty() {
            return Vec::new();
        }
        let mut results = context.shards.fetch(query.clone()).await;
        assert!(results.len() == query.partitions.len(), "a result for each partition");
        let found = trim(&mut results, query.partitions.iter().map(|partition| partition.max_bytes), max_bytes);
        let urgent = some_missing || results.iter().any(|r| r.error.is_error() || r.diverging_epoch.is_some());
        if urgent || found >= limits.min_bytes || context.io.now() >= limits.deadline {
            return results;
        }
        let watched: Vec<_> = query.partitions.iter().zip(&results).map(watch_partition).collect();
        // Slices keep files open and hold up truncation: nothing of them is kept while this waits.
        drop(results);
        call.rest();
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
