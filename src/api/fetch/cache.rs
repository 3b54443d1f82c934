//! The fetch sessions of one core, and who has to go when there are too many.
//!
//! Slots are shared out over the cores. A session's id says which core has it (`id % cores`), so ids never clash; a client that comes
//! back by a connection of another core is told that its session is not known and begins a new one, which KIP-227 allows for.
//!
//! Kafka's rule for a full cache: a session that was not used for [`EVICT_AFTER`] gives way to any new one; else the least valuable
//! of those older than that gives way to a more valuable one, value being the number of partitions. (Followers, which Kafka
//! prefers, have no sessions here yet.) Kafka bounds sessions only; as their partitions are a client's choice, these are bounded too.

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
    session: Rc<RefCell<Session>>,
    created: Mono,
    used: Mono,
    /// Number of partitions when it was used last.
    size: usize,
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
    Incremental { session: Rc<RefCell<Session>>, epoch: i32 },
}

impl SessionCache {
    /// The sessions of core `core` of `cores`; `slots` is `max.incremental.fetch.session.cache.slots`, of all cores.
    pub(in crate::api) fn new(core: usize, cores: usize, slots: usize) -> Self {
        assert!(core < cores, "a core of the broker");
        // Shared out so that the slots of all cores together are as many as configured.
        let slots = slots / cores + usize::from(core < slots % cores);
        Self { core, cores, slots, max_partitions: MAX_CACHED_PARTITIONS / cores, entries: RefCell::default() }
    }

    /// Begins a fetch: what is to be read, in order, and how it stands to sessions.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR when the client went over to naming
    /// topics by id, or back. The answer then says nothing else.
    pub(super) fn begin(
        &self,
        request: SessionRequest,
        now: Mono,
    ) -> Result<(SessionContext, Vec<(PartitionKey, Wanted)>), ErrorCode> {
        let SessionRequest { id, epoch, uses_topic_ids, wanted, forget } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            // A full request ends the session that it names.
            self.remove(id);
            let context = if epoch == FINAL_EPOCH { SessionContext::None } else { SessionContext::Full { uses_topic_ids } };
            return Ok((context, without_repetitions(wanted)));
        }
        let session = self.entries.borrow().get(&id).map(|entry| entry.session.clone());
        let session = session.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut open = session.borrow_mut();
        if open.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if open.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if self.partitions_without(id) + open.len() + wanted.len() > self.max_partitions {
            self.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        open.change(wanted, &forget);
        if open.len() == 0 {
            self.remove(id);
            return Ok((SessionContext::None, Vec::new()));
        }
        open.epoch = next_epoch(epoch);
        self.touch(id, open.len(), now);
        let (wanted, epoch) = (open.wanted(), open.epoch);
        drop(open);
        Ok((SessionContext::Incremental { session, epoch }, wanted))
    }

    /// Keeps a session for a full request that has been answered, if there is room; its id, or [`NO_SESSION`]. `random` spreads ids,
    /// so that those from before a restart are not taken for new ones. `fill` puts the partitions in.
    pub(super) fn create(
        &self,
        uses_topic_ids: bool,
        partitions: usize,
        now: Mono,
        random: u32,
        fill: impl FnOnce(&mut Session),
    ) -> i32 {
        if !self.has_partitions_left(partitions) || !self.make_room(partitions, now) {
            return NO_SESSION;
        }
        let id = self.new_id(random);
        let mut session = Session::new(id, uses_topic_ids);
        fill(&mut session);
        assert!(session.len() == partitions, "the session has the partitions that room was made for");
        let session = Rc::new(RefCell::new(session));
        self.entries.borrow_mut().insert(id, Entry { session, created: now, used: now, size: partitions });
        id
    }

    /// Number of sessions.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    fn remove(&self, id: i32) {
        self.entries.borrow_mut().remove(&id);
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

    fn has_partitions_left(&self, more: usize) -> bool {
        self.partitions_without(NO_SESSION) + more <= self.max_partitions
    }

    /// Frees a slot if none is; whether there is one now.
    fn make_room(&self, partitions: usize, now: Mono) -> bool {
        let mut entries = self.entries.borrow_mut();
        if entries.len() < self.slots {
            return true;
        }
        let stale = entries.iter().min_by_key(|(id, entry)| (entry.used, **id));
        let Some((&stale, entry)) = stale else { return false };
        if now.since(entry.used) > EVICT_AFTER {
            entries.remove(&stale);
            return true;
        }
        let evictable = entries.iter().filter(|(_, entry)| now.since(entry.created) > EVICT_AFTER);
        let least = evictable.min_by_key(|(id, entry)| (entry.size, **id)).map(|(id, entry)| (*id, entry.size));
        match least {
            Some((id, size)) if partitions > size => entries.remove(&id).is_some(),
            _ => false,
        }
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
