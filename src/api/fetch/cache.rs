//! The fetch sessions of one core, and who has to go when there are too many.
//!
//! Slots are shared out over the cores. A session's id says which core has it (`id % cores`), so ids never clash; a client that comes
//! back by a connection of another core is told that its session is not known and begins a new one, which KIP-227 allows for.
//!
//! Kafka's rule for a full cache: a session that was not used for [`EVICT_AFTER`] gives way to any new one; else the least valuable
//! of those older than that gives way to a more valuable one. Sessions of other brokers are worth more than those of clients, which
//! give way to them at any age; among equals it is the number of partitions that counts. Kafka bounds sessions only; as their partitions
//! are a client's choice, these are bounded too.

use super::session::{FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, PartitionKey, Session, Wanted, next_epoch};
use crate::io::Mono;
use crate::model::ErrorCode;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A session that was idle this long may be replaced by any other; one younger than this is never replaced while it is used.
pub(super) const EVICT_AFTER: Duration = Duration::from_secs(120);
/// Partitions in the sessions of all cores; some 200 bytes each.
pub(super) const MAX_CACHED_PARTITIONS: usize = 1_000_000;

/// The fetch sessions of one core.
pub(in crate::api) struct SessionCache {
    core: usize,
    cores: usize,
    slots: usize,
    max_partitions: usize,
    entries: RefCell<BTreeMap<i32, Entry>>,
}

struct Entry {
    seat: Rc<Seat>,
    created: Mono,
    used: Mono,
    is_replica: bool,
    /// Number of partitions when it was used last.
    size: usize,
}

/// Where a session is while nobody works on it. A large one is worked on away from the core, and for any other request there is no
/// such session meanwhile: clients have one request of a session under way at a time.
#[derive(Default)]
pub(super) struct Seat(RefCell<Option<Session>>);

impl Seat {
    pub(super) fn take(&self) -> Option<Session> {
        self.0.take()
    }

    pub(super) fn put(&self, session: Session) {
        let before = self.0.replace(Some(session));
        assert!(before.is_none(), "a session is in one place");
    }
}

/// What a request says about sessions.
#[derive(Clone, Debug)]
pub(super) struct SessionRequest {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) uses_topic_ids: bool,
    pub(super) wanted: Vec<(PartitionKey, Wanted)>,
    pub(super) forget: Vec<PartitionKey>,
}

/// How a fetch stands to sessions.
pub(super) enum SessionContext {
    /// None wanted, or none left: everything is named in request and answer.
    None,
    /// Everything is named; the answer may begin a session.
    Full { uses_topic_ids: bool },
    /// Request and answer name changes only. The answer holds only if no other request came in between: then the session still has
    /// `epoch`.
    Incremental { seat: Rc<Seat>, epoch: i32 },
}

/// A fetch that has begun and whose partitions are not known yet: [`Opened::resolve`] may be done anywhere.
pub(super) struct Opened {
    request: SessionRequest,
    /// Of an incremental fetch its session, of another one the session that it ends.
    session: Option<Session>,
}

/// What is to be read, in order.
pub(super) struct Resolved {
    session: Option<Session>,
    pub(super) wanted: Vec<(PartitionKey, Wanted)>,
}

impl Opened {
    /// Partitions that are to be gone through.
    pub(super) fn len(&self) -> usize {
        let SessionRequest { wanted, forget, .. } = &self.request;
        self.session.as_ref().map_or(0, Session::len) + wanted.len() + forget.len()
    }

    pub(super) fn resolve(self) -> Resolved {
        let Self { request, session } = self;
        match session.filter(|_| request.is_incremental()) {
            None => Resolved { session: None, wanted: without_repetitions(request.wanted) },
            Some(mut session) => {
                session.change(request.wanted, &request.forget);
                Resolved { wanted: session.wanted(), session: Some(session) }
            }
        }
    }
}

impl SessionRequest {
    fn is_incremental(&self) -> bool {
        self.epoch != INITIAL_EPOCH && self.epoch != FINAL_EPOCH
    }
}

impl SessionCache {
    /// The sessions of core `core` of `cores`; `slots` is `max.incremental.fetch.session.cache.slots`, of all cores.
    pub(in crate::api) fn new(core: usize, cores: usize, slots: usize) -> Self {
        assert!(core < cores, "a core of the broker");
        // Shared out so that the slots of all cores together are as many as configured.
        let slots = slots / cores + usize::from(core < slots % cores);
        Self { core, cores, slots, max_partitions: MAX_CACHED_PARTITIONS / cores, entries: RefCell::default() }
    }

    /// Begins a fetch. After [`Opened::resolve`] comes [`SessionCache::settle`].
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR when the client went over to naming
    /// topics by id, or back. The answer then says nothing else.
    pub(super) fn open(&self, request: SessionRequest) -> Result<(SessionContext, Opened), ErrorCode> {
        let SessionRequest { id, epoch, uses_topic_ids, .. } = request;
        if !request.is_incremental() {
            // A full request ends the session that it names.
            let session = self.remove(id);
            let context = if epoch == FINAL_EPOCH { SessionContext::None } else { SessionContext::Full { uses_topic_ids } };
            return Ok((context, Opened { request, session }));
        }
        let seat = self.entries.borrow().get(&id).map(|entry| entry.seat.clone());
        let seat = seat.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut session = seat.take().ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let refusal = if session.uses_topic_ids != uses_topic_ids {
            Some(ErrorCode::FetchSessionTopicIdError)
        } else if session.epoch != epoch {
            Some(ErrorCode::InvalidFetchSessionEpoch)
        } else if self.partitions_without(id) + session.len() + request.wanted.len() > self.max_partitions {
            self.remove(id);
            Some(ErrorCode::FetchSessionIdNotFound)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            seat.put(session);
            return Err(refusal);
        }
        session.epoch = next_epoch(epoch);
        let context = SessionContext::Incremental { seat, epoch: session.epoch };
        Ok((context, Opened { request, session: Some(session) }))
    }

    /// Puts the session of an incremental fetch back. One that has lost its last partition ends.
    pub(super) fn settle(
        &self,
        context: SessionContext,
        resolved: Resolved,
        now: Mono,
    ) -> (SessionContext, Vec<(PartitionKey, Wanted)>) {
        let Resolved { session, wanted } = resolved;
        match (context, session) {
            (SessionContext::Incremental { .. }, Some(session)) if session.len() == 0 => {
                self.remove(session.id);
                (SessionContext::None, Vec::new())
            }
            (SessionContext::Incremental { seat, epoch }, Some(session)) => {
                self.touch(session.id, session.len(), now);
                seat.put(session);
                (SessionContext::Incremental { seat, epoch }, wanted)
            }
            (context, _) => (context, wanted),
        }
    }

    /// Whether a session of so many partitions would be kept.
    pub(super) fn has_room(&self, partitions: usize, is_replica: bool, now: Mono) -> bool {
        let entries = self.entries.borrow();
        let has_slot = entries.len() < self.slots || self.to_evict(&entries, partitions, is_replica, now).is_some();
        has_slot && self.partitions_without(NO_SESSION) + partitions <= self.max_partitions
    }

    /// Keeps the session of a full request that has been answered, if there is room: its id, or [`NO_SESSION`]. `random` spreads ids,
    /// so that those from before a restart are not taken for new ones. What has to go, be it the session itself, comes back.
    pub(super) fn keep(&self, mut session: Session, now: Mono, random: u32) -> (i32, Option<Session>) {
        let (size, is_replica) = (session.len(), session.is_replica);
        if !self.has_room(size, is_replica, now) {
            return (NO_SESSION, Some(session));
        }
        let evicted = if self.entries.borrow().len() < self.slots {
            None
        } else {
            self.to_evict(&self.entries.borrow(), size, is_replica, now)
        };
        let evicted = evicted.and_then(|id| self.remove(id));
        let id = self.new_id(random);
        session.id = id;
        let seat = Rc::new(Seat::default());
        seat.put(session);
        self.entries.borrow_mut().insert(id, Entry { seat, created: now, used: now, is_replica, size });
        (id, evicted)
    }

    /// Number of sessions.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Ends a session. It comes back, for dropping a large one takes its time; unless a request has it or is about to.
    fn remove(&self, id: i32) -> Option<Session> {
        let entry = self.entries.borrow_mut().remove(&id)?;
        Rc::into_inner(entry.seat)?.take()
    }

    fn touch(&self, id: i32, size: usize, now: Mono) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.used = now;
            entry.size = size;
        }
    }

    fn partitions_without(&self, id: i32) -> usize {
        self.entries.borrow().iter().filter(|(other, _)| **other != id).map(|(_, entry)| entry.size).sum()
    }

    /// The session that gives way to one of so many partitions where no slot is free.
    fn to_evict(&self, entries: &BTreeMap<i32, Entry>, partitions: usize, is_replica: bool, now: Mono) -> Option<i32> {
        let (&stale, entry) = entries.iter().min_by_key(|(id, entry)| (entry.used, **id))?;
        if now.since(entry.used) > EVICT_AFTER {
            return Some(stale);
        }
        let is_evictable = |entry: &Entry| now.since(entry.created) > EVICT_AFTER || (is_replica && !entry.is_replica);
        let evictable = entries.iter().filter(|(_, entry)| is_evictable(entry));
        let (&least, entry) = evictable.min_by_key(|(id, entry)| (entry.is_replica, entry.size, **id))?;
        ((is_replica, partitions) > (entry.is_replica, entry.size)).then_some(least)
    }

    /// An id that says which core has the session, and that nobody has.
    fn new_id(&self, random: u32) -> i32 {
        let (core, cores) = (self.core as i32, self.cores as i32);
        let rounds = i32::MAX / cores;
        let mut round = (random % rounds as u32) as i32;
        let entries = self.entries.borrow();
        loop {
            let id = round * cores + core;
            if id != NO_SESSION && !entries.contains_key(&id) {
                return id;
            }
            round = (round + 1) % rounds;
        }
    }
}

/// A partition that a request names twice is read once, at its first place, as it is described last.
fn without_repetitions(wanted: Vec<(PartitionKey, Wanted)>) -> Vec<(PartitionKey, Wanted)> {
    let mut places = BTreeMap::new();
    let mut result: Vec<(PartitionKey, Wanted)> = Vec::with_capacity(wanted.len());
    for (key, wanted) in wanted {
        match places.get(&key) {
            Some(&place) => {
                let (_, described): &mut (PartitionKey, Wanted) = &mut result[place];
                *described = wanted;
            }
            None => {
                places.insert(key.clone(), result.len());
                result.push((key, wanted));
            }
        }
    }
    result
}
