//! One fetch session (KIP-227): the partitions that a client reads, so that neither requests nor answers have to name all of them.

use crate::model::{ErrorCode, TopicId};
use crate::protocol::generated::fetch_request;
use crate::protocol::generated::fetch_response::PartitionData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Epoch by which a client asks for a new session.
pub(super) const INITIAL_EPOCH: i32 = 0;
/// Epoch by which a client says that it wants no session, or no longer.
pub(super) const FINAL_EPOCH: i32 = -1;
/// "No session" in requests and answers.
pub(super) const NO_SESSION: i32 = 0;

/// The epoch of the request after the one of `epoch`: 1 to the greatest number, then 1 again.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        FINAL_EPOCH => FINAL_EPOCH,
        i32::MAX => INITIAL_EPOCH + 1,
        _ => epoch + 1,
    }
}

/// How a request names a topic: by id since version 13, by name before (KIP-516).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TopicKey {
    Id(TopicId),
    Name(Arc<str>),
}

/// A partition as a request names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PartitionKey {
    pub(super) topic: TopicKey,
    pub(super) index: i32,
}

/// What a request says about a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) fetch_offset: i64,
    pub(super) max_bytes: i32,
    pub(super) current_leader_epoch: i32,
    pub(super) last_fetched_epoch: i32,
    pub(super) log_start_offset: i64,
}

impl From<&fetch_request::FetchPartition> for Wanted {
    fn from(partition: &fetch_request::FetchPartition) -> Self {
        Self {
            fetch_offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
            log_start_offset: partition.log_start_offset,
        }
    }
}

/// A partition of a session: what the client wants of it, and what it was told last.
#[derive(Clone, Debug)]
struct Cached {
    key: PartitionKey,
    wanted: Wanted,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Cached {
    /// Takes note of an answer; whether it says anything that the client does not know.
    fn update(&mut self, data: &PartitionData) -> bool {
        let error = data.error_code != ErrorCode::None.code();
        let news = !data.records.is_empty()
            || self.high_watermark != data.high_watermark
            || self.log_start_offset != data.log_start_offset
            || data.preferred_read_replica >= 0
            || data.diverging_epoch.epoch >= 0
            || error;
        // After an error the next answer is sent whatever it says, so that the client sees the error end.
        self.high_watermark = if error { -1 } else { data.high_watermark };
        self.log_start_offset = data.log_start_offset;
        news
    }
}

/// The partitions of a session in the order in which they are read, which goes round: those that gave data go to the end.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: i32,
    /// Epoch that the next request has to have.
    pub(super) epoch: i32,
    /// Another broker's, for its replicas.
    pub(super) is_replica: bool,
    /// Whether its requests name topics by id; it cannot change.
    pub(super) uses_topic_ids: bool,
    places: BTreeMap<PartitionKey, u64>,
    partitions: BTreeMap<u64, Cached>,
    next_place: u64,
}

impl Session {
    /// A session without partitions, nor an id before it is kept.
    pub(super) fn new(uses_topic_ids: bool, is_replica: bool) -> Self {
        Self {
            id: NO_SESSION,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            is_replica,
            places: BTreeMap::new(),
            partitions: BTreeMap::new(),
            next_place: 0,
        }
    }

    /// Number of partitions.
    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Takes over what an incremental request says: partitions that are new or wanted otherwise, and then those to forget.
    pub(super) fn change(&mut self, wanted: Vec<(PartitionKey, Wanted)>, forget: &[PartitionKey]) {
        for (key, wanted) in wanted {
            match self.places.get(&key) {
                Some(place) => self.partitions.get_mut(place).expect("a place holds a partition").wanted = wanted,
                None => self.add(Cached { key, wanted, high_watermark: -1, log_start_offset: -1 }),
            }
        }
        for key in forget {
            if let Some(place) = self.places.remove(key) {
                self.partitions.remove(&place);
            }
        }
        assert!(self.places.len() == self.partitions.len(), "each partition has one place");
    }

    /// Adds a partition of a full request with the answer that the client gets for it.
    pub(super) fn begin(&mut self, key: PartitionKey, wanted: Wanted, answer: &PartitionData) {
        let (high_watermark, log_start_offset) = (answer.high_watermark, answer.log_start_offset);
        self.add(Cached { key, wanted, high_watermark, log_start_offset });
    }

    fn add(&mut self, cached: Cached) {
        let place = self.next_place;
        self.next_place += 1;
        let before = self.places.insert(cached.key.clone(), place);
        assert!(before.is_none(), "a partition is in a session once");
        self.partitions.insert(place, cached);
    }

    /// What is to be read, in order.
    pub(super) fn wanted(&self) -> Vec<(PartitionKey, Wanted)> {
        self.partitions.values().map(|cached| (cached.key.clone(), cached.wanted)).collect()
    }

    /// Whether the client was told the high watermark and the log start offset that `data` tells.
    pub(super) fn knows_ends(&self, key: &PartitionKey, data: &PartitionData) -> bool {
        let cached = self.places.get(key).and_then(|place| self.partitions.get(place));
        cached.is_some_and(|cached| {
            (cached.high_watermark, cached.log_start_offset) == (data.high_watermark, data.log_start_offset)
        })
    }

    /// Takes note of the answer for a partition; whether it has to be sent. One that brings data goes to the end of the order, so
    /// that a small budget does not starve those behind it.
    pub(super) fn answered(&mut self, key: &PartitionKey, data: &PartitionData) -> bool {
        // Another request of the session may have forgotten it meanwhile; then this answer is void, see the epoch.
        let Some(&place) = self.places.get(key) else { return false };
        let cached = self.partitions.get_mut(&place).expect("a place holds a partition");
        let news = cached.update(data);
        if !data.records.is_empty() {
            let cached = self.partitions.remove(&place).expect("a place holds a partition");
            self.partitions.insert(self.next_place, cached);
            self.places.insert(key.clone(), self.next_place);
            self.next_place += 1;
        }
        news
    }
}
