//! Looking into a partition: fetch, offsets by time, ends of epochs; and moving its start.

use super::core::Core;
use super::partition::Partition;
use super::requests::{
    AbortedTransaction, ActiveProducer, ActiveProducers, DeletedRecords, DivergingEpoch, EpochEnd, EpochEndOffset,
    FetchPartition, FetchRead, FetchResult, FetchingReplica, Isolation, ListOffset, ListedOffset, LogSize, Near,
};
use super::throttle::Side;
use crate::controller::Broker;
use crate::log::{AbortedTxn, LogError, ReadRequest};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicIdPartition};
use crate::replica::{self, FollowerFetch, Input};
use std::rc::Rc;
use std::sync::Arc;

/// ListOffsets' special timestamps (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Partitions that are looked into before others get a turn, if it is time.
const BETWEEN_YIELDS: usize = 32;

/// Whether it is gone through in one go.
pub(super) fn is_short<T>(list: &[T]) -> bool {
    list.len() < BETWEEN_YIELDS
}

/// The offsets of a partition at one moment, taken before anything is read.
struct View {
    log_start: Offset,
    high_watermark: Offset,
    last_stable: Offset,
    readable: Offset,
}

impl Core {
    /// Reads partitions of this core, in order, within the budget of the whole fetch.
    pub(super) async fn fetch(self: &Rc<Self>, read: FetchRead) -> Vec<FetchResult> {
        let mut results = Vec::with_capacity(read.partitions.len());
        let mut left = read.max_bytes;
        let mut empty = true;
        for wanted in &read.partitions {
            let id = TopicIdPartition { topic_id: wanted.topic_id, partition: wanted.partition };
            let result = match self.partition(id) {
                Some(partition) => partition.fetch(self, wanted, &read, left, empty).await,
                None => {
                    let error = self.missing(id);
                    FetchResult { current_leader: self.leader_in_image(id, error), ..FetchResult::failed(error) }
                }
            };
            left = left.saturating_sub(result.bytes);
            empty &= result.bytes == 0;
            results.push(result);
            self.yield_at_times(results.len()).await;
        }
        results
    }

    pub(super) async fn list_offsets(
        self: &Rc<Self>,
        queries: Vec<ListOffset>,
        isolation: Isolation,
        replica_id: BrokerId,
    ) -> Vec<ListedOffset> {
        let mut results = Vec::with_capacity(queries.len());
        for query in queries {
            results.push(match self.partition(query.id) {
                Some(partition) => partition.list_offset(self, &query, isolation, replica_id).await,
                None => ListedOffset::nothing(self.missing(query.id)),
            });
            self.yield_at_times(results.len()).await;
        }
        results
    }

    pub(super) async fn epoch_ends(&self, queries: Vec<EpochEnd>) -> Vec<EpochEndOffset> {
        let mut results = Vec::with_capacity(queries.len());
        for query in queries {
            results.push(self.epoch_end(&query));
            self.yield_at_times(results.len()).await;
        }
        results
    }

    pub(super) fn epoch_end(&self, query: &EpochEnd) -> EpochEndOffset {
        match self.partition(query.id) {
            Some(partition) => partition.epoch_end(query),
            None => EpochEndOffset::nothing(self.missing(query.id)),
        }
    }

    pub(super) async fn delete_records(self: &Rc<Self>, partitions: Vec<(TopicIdPartition, Offset)>) -> Vec<DeletedRecords> {
        let mut results = Vec::with_capacity(partitions.len());
        for (id, offset) in partitions {
            results.push(match self.partition(id) {
                Some(partition) => partition.delete_records(self, offset).await,
                None => DeletedRecords::failed(self.missing(id)),
            });
            self.yield_at_times(results.len()).await;
        }
        results
    }

    /// In a loop over what one request names, after the `count`th: now and then others get a turn.
    async fn yield_at_times(&self, count: usize) {
        if count.is_multiple_of(BETWEEN_YIELDS) {
            self.io.yield_if_needed().await;
        }
    }

    pub(super) async fn log_sizes(&self) -> Vec<LogSize> {
        let partitions = self.all_partitions();
        let mut sizes = Vec::with_capacity(partitions.len());
        for partition in partitions.into_iter().filter(|partition| !partition.is_closed()) {
            let (log_dir, bytes) = (partition.dir(), partition.log.size());
            sizes.push(LogSize { id: partition.id, log_dir, bytes, is_future: false, offset_lag: 0 });
            self.yield_at_times(sizes.len()).await;
        }
        sizes.extend(self.copy_sizes());
        sizes
    }

    pub(super) async fn active_producers(&self, partitions: Vec<TopicIdPartition>) -> Vec<ActiveProducers> {
        let mut results = Vec::with_capacity(partitions.len());
        for id in partitions {
            results.push(match self.partition(id) {
                Some(partition) => partition.check(LeaderEpoch::NONE).map(|()| partition.active_producers()),
                None => Err(self.missing(id)),
            });
            self.yield_at_times(results.len()).await;
        }
        results
    }
}

impl ListedOffset {
    /// No offset: with `ErrorCode::None`, because no record is as young as asked.
    pub fn nothing(error: ErrorCode) -> Self {
        Self { error, timestamp: -1, offset: Offset(-1), leader_epoch: LeaderEpoch::NONE, current_leader: None }
    }
}

impl EpochEndOffset {
    /// No end: with `ErrorCode::None`, because no such epoch is known.
    pub fn nothing(error: ErrorCode) -> Self {
        Self { error, leader_epoch: LeaderEpoch::NONE, end_offset: Offset(-1) }
    }
}

impl From<replica::EpochEndOffset> for DivergingEpoch {
    fn from(end: replica::EpochEndOffset) -> Self {
        Self { epoch: end.epoch, end_offset: end.end_offset }
    }
}

impl Partition {
    fn view(&self, isolation: crate::replica::Isolation) -> View {
        let state = self.state();
        let last_stable = self.last_stable_offset(&state);
        View {
            log_start: state.replica.log_start(),
            high_watermark: state.replica.high_watermark(),
            last_stable,
            readable: state.replica.readable_end(isolation, last_stable),
        }
    }

    fn check(&self, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if self.is_closed() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        self.state().replica.check_leader(epoch)
    }

    async fn fetch(
        self: &Rc<Self>,
        core: &Rc<Core>,
        wanted: &FetchPartition,
        read: &FetchRead,
        left: u64,
        at_least_one_batch: bool,
    ) -> FetchResult {
        let admitted = match read.replica {
            Some(replica) => self.admit_follower(core, wanted, replica, read.is_repeated),
            None => self.admit_consumer(core, wanted, read.leader_only),
        };
        let diverging_epoch = match admitted {
            Ok(diverging_epoch) => diverging_epoch,
            Err(error) => return FetchResult { current_leader: self.leader_hint(error), ..FetchResult::failed(error) },
        };
        // Taken before anything is read: what is answered never says more than what these ends allow.
        let mut view = self.view(read.isolation.into());
        if core.io.planted("read above the high watermark") {
            view.readable = self.log.log_end_offset();
        }
        let mut result = FetchResult {
            error: ErrorCode::None,
            high_watermark: view.high_watermark.plus(i64::from(core.io.planted("high watermark plus one"))),
            last_stable_offset: view.last_stable,
            log_start_offset: view.log_start,
            aborted: (read.isolation == Isolation::ReadCommitted).then(Vec::new),
            readable_end: view.readable,
            diverging_epoch,
            preferred_read_replica: read.near.as_ref().and_then(|near| self.preferred_replica(core, near, wanted.fetch_offset)),
            ..FetchResult::failed(ErrorCode::UnknownServerError)
        };
        if diverging_epoch.is_some() || result.preferred_read_replica.is_some() || self.holds_back(core, read.replica) {
            return result;
        }
        let outcome = self.read_into(core, &mut result, wanted, &view, left, at_least_one_batch).await;
        if let Err(error) = outcome {
            self.device_failed(core, "read", &error);
            return FetchResult {
                error: error.code(),
                slices: Vec::new(),
                bytes: 0,
                first_batch_bytes: 0,
                aborted: result.aborted.map(|_| Vec::new()),
                ..result
            };
        }
        if read.replica.is_some() && self.throttled.get().as_leader {
            core.count_copied(Side::Leader, result.bytes);
        }
        result
    }

    /// Whether a consumer may read here, and where its log and ours part (KIP-595): said before the fetch offset is looked at.
    fn admit_consumer(
        &self,
        core: &Core,
        wanted: &FetchPartition,
        leader_only: bool,
    ) -> Result<Option<DivergingEpoch>, ErrorCode> {
        let stale = core.io.planted("stale epoch accepted");
        let epoch = if stale { LeaderEpoch::NONE } else { wanted.current_leader_epoch };
        if leader_only || self.is_closed() {
            self.check(epoch)?;
        } else {
            self.state().replica.check_replica(epoch)?;
        }
        let (offset, last_epoch) = (wanted.fetch_offset, wanted.last_fetched_epoch);
        let (log_start, log_end) = (self.state().replica.log_start(), self.log.log_end_offset());
        let diverging = replica::check_position(offset, last_epoch, self.end_of_epoch(last_epoch), log_start, log_end)?;
        Ok(diverging.map(DivergingEpoch::from))
    }

    /// The same for another broker; if there is nothing against it, it has what lies before the offset that it fetches from.
    fn admit_follower(
        self: &Rc<Self>,
        core: &Rc<Core>,
        wanted: &FetchPartition,
        replica: FetchingReplica,
        is_repeated: bool,
    ) -> Result<Option<DivergingEpoch>, ErrorCode> {
        if self.is_closed() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let FetchingReplica { id: follower, broker_epoch } = replica;
        let fetch = FollowerFetch {
            follower,
            broker_epoch,
            current_leader_epoch: wanted.current_leader_epoch,
            offset: wanted.fetch_offset,
            last_fetched_epoch: wanted.last_fetched_epoch,
        };
        let known = self.end_of_epoch(wanted.last_fetched_epoch);
        let diverging = self.state().replica.check_follower_fetch(&fetch, known)?;
        if diverging.is_none() && !is_repeated {
            let (log_end, log_start) = (wanted.fetch_offset, wanted.log_start_offset);
            self.on_event(core, Input::FollowerFetched { follower, broker_epoch, log_end, log_start });
        }
        Ok(diverging.map(DivergingEpoch::from))
    }

    /// Whether a replica has to wait that is not in sync, since too much is being copied.
    fn holds_back(&self, core: &Core, replica: Option<FetchingReplica>) -> bool {
        let Some(replica) = replica.filter(|_| self.throttled.get().as_leader) else { return false };
        !self.state().replica.isr().contains(&replica.id) && core.is_over_rate(Side::Leader)
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> replica::EpochEndOffset {
        let known = self.log.end_offset_for_epoch(epoch);
        replica::EpochEndOffset { epoch: known.epoch, end_offset: known.end_offset }
    }

    /// KIP-392: the replica near a consumer that it should read from, if that is not this one.
    fn preferred_replica(&self, core: &Core, near: &Near, offset: Offset) -> Option<BrokerId> {
        let image = core.image.borrow().clone();
        let is_there = |broker: &&Arc<Broker>| !broker.fenced && broker.endpoint(&near.listener).is_some();
        let rack_of = |id| image.broker(id).filter(is_there).and_then(|broker| broker.rack.as_deref());
        self.state().replica.preferred_read_replica(Some(&near.rack), offset, rack_of)
    }

    async fn read_into(
        &self,
        core: &Core,
        result: &mut FetchResult,
        wanted: &FetchPartition,
        view: &View,
        left: u64,
        at_least_one_batch: bool,
    ) -> Result<(), LogError> {
        // Between the readable end and the log end there is nothing to read yet, which is no error.
        if wanted.fetch_offset >= view.readable || (left == 0 && !at_least_one_batch) {
            return Ok(());
        }
        let max_bytes = wanted.max_bytes.min(left);
        let skipped = i64::from(core.io.planted("fetch skips an offset") && wanted.fetch_offset.plus(1) < view.readable);
        let request =
            ReadRequest { offset: wanted.fetch_offset.plus(skipped), max_bytes, upper: view.readable, at_least_one_batch };
        let plan = loop {
            let before = self.log.replacements();
            let plan = self.log.read(request).await?;
            if let Some(aborted) = &mut result.aborted
                && plan.bytes > 0
                && view.last_stable > wanted.fetch_offset
            {
                // Up to the readable end rather than to what was read: a reader skips only what it meets.
                let found = self.log.aborted_transactions(wanted.fetch_offset, view.readable).await?;
                let told = |txn: &AbortedTxn| AbortedTransaction { producer_id: txn.producer_id, first_offset: txn.first_offset };
                *aborted = found.iter().map(told).collect();
            }
            // Compaction takes records of aborted transactions away, and then their entries: one must not be seen without the other.
            if self.log.replacements() == before {
                break plan;
            }
        };
        result.slices = plan.slices;
        result.bytes = plan.bytes;
        result.first_batch_bytes = plan.first_batch_bytes;
        Ok(())
    }

    async fn list_offset(
        self: &Rc<Self>,
        core: &Rc<Core>,
        query: &ListOffset,
        isolation: Isolation,
        replica_id: BrokerId,
    ) -> ListedOffset {
        if let Err(error) = self.check(query.current_leader_epoch) {
            return ListedOffset { current_leader: self.leader_hint(error), ..ListedOffset::nothing(error) };
        }
        let from_client = replica_id.0 < 0;
        let isolation = if from_client { isolation.into() } else { crate::replica::Isolation::Replica };
        let view = self.view(isolation);
        let (leader_epoch, lags) = {
            let state = self.state();
            (state.replica.leader_epoch(), from_client && state.replica.high_watermark_lags_election())
        };
        let special = |offset, leader_epoch| ListedOffset { offset, leader_epoch, ..ListedOffset::nothing(ErrorCode::None) };
        match query.timestamp {
            EARLIEST | EARLIEST_LOCAL => special(view.log_start, self.log.epoch_for_offset(view.log_start)),
            // Nothing is ever uploaded, so nothing is tiered and nothing pends.
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => ListedOffset::nothing(ErrorCode::None),
            LATEST if lags => ListedOffset::nothing(ErrorCode::OffsetNotAvailable),
            LATEST => special(view.readable, leader_epoch),
            _ if core.io.planted("search by time finds the start") => special(view.log_start, leader_epoch),
            timestamp => {
                let found = if timestamp == MAX_TIMESTAMP {
                    self.log.offset_of_max_timestamp().await
                } else {
                    self.log.offset_for_timestamp(timestamp, view.readable).await
                };
                match found {
                    Ok(Some(found)) if found.offset < view.readable => ListedOffset {
                        timestamp: found.timestamp,
                        offset: found.offset,
                        leader_epoch: found.leader_epoch,
                        ..ListedOffset::nothing(ErrorCode::None)
                    },
                    // The record may be there, but above what this leader knows to be safe.
                    Ok(_) if lags => ListedOffset::nothing(ErrorCode::OffsetNotAvailable),
                    Ok(_) => ListedOffset::nothing(ErrorCode::None),
                    Err(error) => {
                        self.device_failed(core, "search by timestamp", &error);
                        ListedOffset::nothing(error.code())
                    }
                }
            }
        }
    }

    fn active_producers(&self) -> Vec<ActiveProducer> {
        let producers = self.log.producers().borrow();
        let active = producers.iter().map(|(producer_id, entry)| ActiveProducer {
            producer_id,
            producer_epoch: entry.epoch(),
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp(),
            coordinator_epoch: entry.coordinator_epoch(),
            current_txn_start_offset: entry.current_txn_first_offset().unwrap_or(Offset(-1)),
        });
        active.collect()
    }

    fn epoch_end(&self, query: &EpochEnd) -> EpochEndOffset {
        if let Err(error) = self.check(query.current_leader_epoch) {
            return EpochEndOffset::nothing(error);
        }
        let end = self.log.end_offset_for_epoch(query.leader_epoch);
        EpochEndOffset { error: ErrorCode::None, leader_epoch: end.epoch, end_offset: end.end_offset }
    }

    async fn delete_records(self: &Rc<Self>, core: &Rc<Core>, offset: Offset) -> DeletedRecords {
        let refused = DeletedRecords::failed;
        if let Err(error) = self.check(LeaderEpoch::NONE) {
            return refused(error);
        }
        if !self.log.config().cleanup_policy.delete {
            return refused(ErrorCode::PolicyViolation);
        }
        let target = match self.state().replica.check_delete_records(offset) {
            Ok(target) => target,
            Err(error) => return refused(error),
        };
        match self.log.delete_records(target).await {
            Ok(_) => {
                self.on_log_start_moved(core);
                core.checkpoint_log_start(self).await;
                let (low_watermark, log_start) = (self.state().replica.low_watermark(), self.log.log_start_offset());
                DeletedRecords { error: ErrorCode::None, low_watermark, log_start }
            }
            Err(error) => {
                self.device_failed(core, "delete records", &error);
                refused(error.code())
            }
        }
    }
}
