//! Fetch sessions (KIP-227): a client with many partitions names them once, and afterwards only what has changed.
//!
//! A session lives on the core of the connection that made it; its id says which (id modulo cores). A connection that lands on
//! another core gets FETCH_SESSION_ID_NOT_FOUND and starts anew with a full fetch, which every client does by itself. So sessions
//! need neither locks nor messages.

use crate::io::Mono;
use crate::model::{ErrorCode, TopicId};
use crate::protocol::StrBytes;
use crate::protocol::generated::fetch_request::{FetchPartition, FetchRequest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Session id of a fetch without a session.
pub(super) const NO_SESSION: i32 = 0;
/// Epoch of a full fetch that wants a session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a full fetch that wants none.
const FINAL_EPOCH: i32 = -1;
/// First version that names topics by id.
pub(super) const TOPIC_IDS_SINCE: i16 = 13;
/// An unused session this old gives way to a new one.
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// "Not sent yet" for offsets in a cached partition.
const UNSENT: i64 = -1;

/// A partition as the client names it: by name up to version 12, by id since.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) topic_id: TopicId,
    pub(super) topic: StrBytes,
    pub(super) partition: i32,
}

/// What a fetch asks of a partition, and what its session has told the client already.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) ask: FetchPartition,
    sent_high_watermark: i64,
    sent_log_start: i64,
}

/// Partitions in the order of service.
#[derive(Clone, Default, Debug)]
pub(super) struct Wishes {
    by_place: BTreeMap<u64, Wanted>,
    places: BTreeMap<Key, u64>,
    next_place: u64,
}

impl Wishes {
    /// All partitions of a request; of a partition that is named twice the last wins.
    fn of(request: &FetchRequest) -> Self {
        let mut wishes = Self::default();
        wishes.update(request);
        wishes
    }

    fn update(&mut self, request: &FetchRequest) {
        for topic in &request.topics {
            for ask in &topic.partitions {
                let key = Key { topic_id: topic.topic_id, topic: topic.topic.clone(), partition: ask.partition };
                self.set(key, ask.clone());
            }
        }
        for topic in &request.forgotten_topics_data {
            for &partition in &topic.partitions {
                let key = Key { topic_id: topic.topic_id, topic: topic.topic.clone(), partition };
                if let Some(place) = self.places.remove(&key) {
                    self.by_place.remove(&place);
                }
            }
        }
    }

    fn set(&mut self, key: Key, ask: FetchPartition) {
        if let Some(wanted) = self.places.get(&key).and_then(|place| self.by_place.get_mut(place)) {
            wanted.ask = ask;
            return;
        }
        let place = self.take_place();
        self.places.insert(key.clone(), place);
        self.by_place.insert(place, Wanted { key, ask, sent_high_watermark: UNSENT, sent_log_start: UNSENT });
    }

    fn take_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    /// In the order of service.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Wanted> {
        self.by_place.values()
    }

    fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Notes what an answer tells about a partition; whether an incremental answer has to name it at all.
    fn tell(&mut self, told: &Told) -> bool {
        let Some(&place) = self.places.get(&told.key) else { return false };
        let wanted = self.by_place.get_mut(&place).expect("places point to partitions");
        let failed = told.error != ErrorCode::None;
        let news = told.bytes > 0
            || failed
            || told.diverging
            || wanted.sent_high_watermark != told.high_watermark
            || wanted.sent_log_start != told.log_start;
        // After an error the watermark is told again, whatever it is.
        wanted.sent_high_watermark = if failed { UNSENT } else { told.high_watermark };
        wanted.sent_log_start = told.log_start;
        if told.bytes > 0 {
            // Who got something is served last next time, so that a small budget goes round.
            let wanted = self.by_place.remove(&place).expect("looked at");
            let last = self.take_place();
            self.places.insert(told.key.clone(), last);
            self.by_place.insert(last, wanted);
        }
        news
    }
}

/// What an answer says of a partition, as far as sessions care.
pub(super) struct Told {
    pub(super) key: Key,
    pub(super) error: ErrorCode,
    pub(super) diverging: bool,
    pub(super) bytes: u64,
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
}

struct Session {
    wishes: Wishes,
    epoch: i32,
    uses_topic_ids: bool,
    /// Followers before consumers.
    privileged: bool,
    created: Mono,
    last_used: Mono,
}

/// How a request relates to sessions.
pub(super) enum Context {
    /// No session, before or after.
    Sessionless(Wishes),
    /// Everything is asked for, and a session is wanted.
    Full(Wishes),
    /// The next request of a session.
    Incremental {
        wishes: Wishes,
        session_id: i32,
        /// Epoch that the session has to have when the answer is made: another request may have come in between.
        epoch: i32,
    },
}

/// Sessions of one core.
pub(in crate::api) struct SessionCache {
    sessions: RefCell<BTreeMap<i32, Session>>,
    core: usize,
    cores: usize,
    slots: usize,
}

impl SessionCache {
    /// `slots` is `max.incremental.fetch.session.cache.slots` of the broker, shared out over its cores.
    pub(in crate::api) fn new(core: usize, cores: usize, slots: usize) -> Self {
        Self { sessions: RefCell::default(), core, cores, slots: slots.div_ceil(cores) }
    }

    /// Finds out what a request wants. The session's epoch moves here, so that a repeated request is refused.
    pub(super) fn begin(&self, request: &FetchRequest, version: i16, now: Mono) -> Result<Context, ErrorCode> {
        let mut sessions = self.sessions.borrow_mut();
        if matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            sessions.remove(&request.session_id);
            let wishes = Wishes::of(request);
            return Ok(if request.session_epoch == FINAL_EPOCH { Context::Sessionless(wishes) } else { Context::Full(wishes) });
        }
        let session = sessions.get_mut(&request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != (version >= TOPIC_IDS_SINCE) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.wishes.update(request);
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        let (wishes, epoch) = (session.wishes.clone(), session.epoch);
        if wishes.len() == 0 {
            sessions.remove(&request.session_id);
            return Ok(Context::Sessionless(wishes));
        }
        Ok(Context::Incremental { wishes, session_id: request.session_id, epoch })
    }

    /// Ends a request: which session the answer names, and which of `told` it leaves out (`false`).
    pub(super) fn finish(&self, context: Context, told: &[Told], by: By) -> Result<(i32, Vec<bool>), ErrorCode> {
        match context {
            Context::Sessionless(_) => Ok((NO_SESSION, vec![true; told.len()])),
            Context::Full(mut wishes) => {
                for told in told {
                    wishes.tell(told);
                }
                Ok((self.create(wishes, by), vec![true; told.len()]))
            }
            Context::Incremental { session_id, epoch, .. } => {
                let mut sessions = self.sessions.borrow_mut();
                let session = sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
                if session.epoch != epoch {
                    return Err(ErrorCode::InvalidFetchSessionEpoch);
                }
                Ok((session_id, told.iter().map(|told| session.wishes.tell(told)).collect()))
            }
        }
    }

    /// Makes a session if there is room or somebody gives way; [`NO_SESSION`] is legal too, the client goes on with full fetches.
    fn create(&self, wishes: Wishes, by: By) -> i32 {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() >= self.slots {
            let Some(victim) = victim(&sessions, by.privileged, wishes.len(), by.now) else { return NO_SESSION };
            sessions.remove(&victim);
        }
        let ids = i32::MAX as u64 / self.cores as u64;
        let mut seed = by.random;
        let id = loop {
            // Ids of this core are those that leave its index when divided by the number of cores.
            let id = ((seed % ids) * self.cores as u64 + self.core as u64) as i32;
            if id != NO_SESSION && !sessions.contains_key(&id) {
                break id;
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        };
        let session = Session {
            wishes,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids: by.uses_topic_ids,
            privileged: by.privileged,
            created: by.now,
            last_used: by.now,
        };
        sessions.insert(id, session);
        id
    }
}

/// Who asks for a session, and when.
pub(super) struct By {
    pub(super) privileged: bool,
    pub(super) uses_topic_ids: bool,
    pub(super) now: Mono,
    pub(super) random: u64,
}

/// Who gives way to a new session of `size` partitions: one that was not used for long; else, among those that a consumer may
/// displace when they are old, and a follower always if they are consumers', the smallest, if the new one is larger.
fn victim(sessions: &BTreeMap<i32, Session>, privileged: bool, size: usize, now: Mono) -> Option<i32> {
    let (id, oldest) = sessions.iter().min_by_key(|(_, session)| session.last_used)?;
    if now.since(oldest.last_used) > EVICTION_AGE {
        return Some(*id);
    }
    let displaceable = |session: &Session| now.since(session.created) > EVICTION_AGE || (privileged && !session.privileged);
    let smallest = sessions
        .iter()
        .filter(|(_, session)| displaceable(session))
        .min_by_key(|(id, session)| (session.privileged, session.wishes.len(), **id))?;
    let (id, session) = smallest;
    ((privileged, size) > (session.privileged, session.wishes.len())).then_some(*id)
}

/// Epochs count from 1 and start there again.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests;
