//! The metadata log as raft sees it: which batch is which entry, this node's vote, and where the newest snapshot stands.
//!
//! What is on disk is Kafka's directory and nothing else: the batches, `quorum-state`, snapshots. The rest is derived when it is opened:
//! the batches behind the newest snapshot are walked once and numbered from the snapshot's position on (from 0 if there is no snapshot).
//! For raft the log begins there. What is kept before it is kept for others, by Kafka's rules.
//!
//! What a crash can leave, and what a start makes of it:
//! - `quorum-state` knows an epoch that the log does not: it is not led in again.
//! - The log ends in a piece of a batch: recovery cuts it off; nobody was told.
//! - It ends in a whole batch that was not synced: it counts, so recovery writes it again and it is synced before anybody is told of it.
//! - A position without its snapshot goes; a snapshot without a position (older directories, Apache Kafka's) is numbered once.
//! - A snapshot ends behind the log (it was installed, and the log not begun anew yet): the log begins anew at its end.

use super::entry::{self, Place, Voters, broker_id, epoch_of};
use super::members;
use super::places::{Places, bytes_of};
use super::position::{self, Position};
use super::snapshot::{self, SnapshotFile};
use super::state::{self, Elected, Election};
use super::types::{
    Entry, LeaderId, LogId, Membership, Payload, Snapshot, SnapshotMeta, StoredMembership, Vote, log_id, term_of,
};
use super::{METADATA_TOPIC, OpenQuorum, QuorumError};
use crate::io::Io;
use crate::log::{AppendBatch, CleanupPolicy, EpochEndOffset, Log, LogConfig, OpenLog, ReadRequest};
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::record::{BatchHeader, Batches};
use bytes::Bytes;
use openraft::storage::LogState;
use openraft::vote::RaftLeaderId;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Log bytes read at once.
const READ_BYTES: u64 = 1 << 20;

/// Path of the metadata log's directory.
pub(super) fn partition_dir(log_dir: &Path) -> PathBuf {
    log_dir.join(format!("{METADATA_TOPIC}-0"))
}

/// The log, the vote and the newest snapshot of one node.
pub(super) struct Journal {
    pub(super) io: Io,
    pub(super) dir: PathBuf,
    node: BrokerId,
    /// As the directory was formatted, or the configuration says.
    voters: Voters,
    /// This node is the only voter for ever.
    is_alone: bool,
    log: Log,
    state: RefCell<Places>,
    snapshot: RefCell<Option<Snapshot>>,
    /// Bytes of batches behind the newest snapshot.
    unsnapped_bytes: Cell<u64>,
    /// Append time of the last batch.
    last_timestamp: Cell<i64>,
    /// Why openraft was told that storage fails: it passes on a text only.
    failure: RefCell<Option<QuorumError>>,
}

/// A batch that was met in the log.
struct Found {
    base: Offset,
    next: Offset,
    epoch: i32,
    bytes: u64,
    timestamp: i64,
    /// Whom it names as the quorum.
    members: Option<Membership>,
}

impl Journal {
    /// Opens and numbers what is there.
    ///
    /// # Errors
    /// The device fails, or the directory holds what it cannot hold.
    pub(super) async fn open(io: &Io, how: &OpenQuorum, voters: Voters) -> Result<Rc<Self>, QuorumError> {
        let dir = partition_dir(&how.log_dir);
        let log = Log::open(io.clone(), open_log(&dir, how)).await?;
        snapshot::remove_parts(io, &dir).await?;
        let snapshots = snapshot::list(io, &dir).await?;
        position::remove_orphans(io, &dir, &snapshots).await?;
        let journal = Self {
            io: io.clone(),
            dir,
            node: how.node,
            // One that has a listener for controllers can get others.
            is_alone: how.member.is_none() && voters.are_only(how.node),
            voters,
            log,
            state: RefCell::default(),
            snapshot: RefCell::new(None),
            unsnapped_bytes: Cell::new(0),
            last_timestamp: Cell::new(0),
            failure: RefCell::new(None),
        };
        // Begun anew, a log has no epochs any more.
        let epoch = journal.log.latest_epoch().0.max(0);
        journal.find_entries(snapshots).await?;
        journal.find_vote(epoch).await?;
        if !journal.is_alone {
            // A leader is told of what is here without its being written once more.
            journal.log.flush(journal.end_offset()).await?;
        }
        Ok(Rc::new(journal))
    }

    /// `epoch` is the latest that the log knows.
    async fn find_vote(&self, epoch: i32) -> Result<(), QuorumError> {
        let found = state::read(&self.io, &self.dir).await?;
        let last = self.state.borrow().last().map_or(0, |last| term_of(&last));
        let in_log = epoch.max(epoch_of(last)?);
        let (epoch, known) = match found {
            Some(Election { epoch, node }) if epoch >= in_log => (epoch, node),
            // Entries of an epoch that no file knows: whoever led in it, nobody else gets this node's vote for it.
            _ => (in_log, None),
        };
        if epoch > 0 || known.is_some() {
            let (term, node) = (epoch as u64, entry::raft_id(known.unwrap_or(self.node)));
            let mut state = self.state.borrow_mut();
            state.vote = Some(Vote::new(term, node));
            state.saved = known.map(|_| (term, node));
        }
        Ok(())
    }

    async fn find_entries(&self, snapshots: Vec<SnapshotFile>) -> Result<(), QuorumError> {
        let start = self.log.log_start_offset();
        let newest = snapshots.into_iter().rfind(|one| one.end >= start);
        let mut next = start;
        match newest {
            Some(snapshot) => {
                next = snapshot.end;
                self.go_on_from(snapshot).await?;
            }
            None if start > Offset::ZERO => {
                return Err(self.invalid(format!("the log begins at {start} and no snapshot says what was before")));
            }
            None => {}
        }
        let found = self.scan(next, self.end_offset()).await?;
        self.unsnapped_bytes.set(found.iter().map(|batch| batch.bytes).sum());
        self.last_timestamp.set(found.last().map_or(0, |batch| batch.timestamp));
        if let Some(wrong) = found.iter().find(|batch| batch.epoch < 0) {
            return Err(self.invalid(format!("the batch at {} has the epoch {}", wrong.base, wrong.epoch)));
        }
        let mut state = self.state.borrow_mut();
        let first = state.first;
        for (index, batch) in (first..).zip(&found) {
            state.members.extend(batch.members.clone().map(|members| (index, members)));
        }
        state.batches = found.into_iter().map(|batch| (batch.base, batch.epoch)).collect();
        state.end = self.end_offset();
        Ok(())
    }

    /// What raft knows begins with this snapshot.
    async fn go_on_from(&self, snapshot: SnapshotFile) -> Result<(), QuorumError> {
        let position = match position::read(&self.io, &snapshot).await? {
            Some(position) => position,
            None => {
                let index = self.index_before(snapshot.end).await?;
                let membership = self.membership_in(&snapshot, index).await?;
                let position = Position { index, membership };
                // Written down, so that the entries have these numbers for ever.
                position::write(&self.io, &snapshot, &position).await?;
                position
            }
        };
        if snapshot.end > self.end_offset() {
            // What there is of a log goes only for what can be read.
            snapshot::load(&self.io, &snapshot).await?;
            self.log.truncate_fully_and_start_at(snapshot.end).await?;
        }
        let last = log_id(snapshot.epoch.max(0) as u64, position.index);
        {
            let mut state = self.state.borrow_mut();
            state.purged = Some(last);
            state.first = position.index + 1;
            let named = position.membership.as_ref().map(|stored| (position.index, stored.membership().clone()));
            state.members.extend(named);
        }
        let last_membership = position.membership.unwrap_or_else(|| self.first_membership());
        let meta = SnapshotMeta { last_log_id: Some(last), last_membership };
        self.set_snapshot(Snapshot { meta, snapshot });
        Ok(())
    }

    /// Whom a snapshot, whose last entry has this index, names as the quorum.
    async fn membership_in(&self, snapshot: &SnapshotFile, index: u64) -> Result<Option<StoredMembership>, QuorumError> {
        if self.is_alone {
            return Ok(None);
        }
        let loaded = snapshot::load(&self.io, snapshot).await?;
        let last = log_id(snapshot.epoch.max(0) as u64, index);
        Ok(loaded.members.map(|members| StoredMembership::new(Some(last), members)))
    }

    /// The index of the last batch before `end`. If the head of the log is gone, any number will do that is not too small: each batch has
    /// a record, so there were not more of them than offsets.
    async fn index_before(&self, end: Offset) -> Result<u64, QuorumError> {
        let most = (end.0 - 1).max(0) as u64;
        if self.log.log_start_offset() > Offset::ZERO || end > self.end_offset() {
            return Ok(most);
        }
        let batches = self.scan(Offset::ZERO, self.end_offset()).await?;
        let before = batches.iter().filter(|batch| batch.next <= end).count() as u64;
        Ok(before.checked_sub(1).unwrap_or(most))
    }

    /// The batches from the one that holds `from` on, up to `end`.
    async fn scan(&self, from: Offset, end: Offset) -> Result<Vec<Found>, QuorumError> {
        let mut found = Vec::new();
        let mut next = from;
        while next < end {
            let bytes = self.read(next, end).await?;
            let before = next;
            for batch in Batches::new(&bytes) {
                let batch = batch.map_err(|error| self.invalid(error.to_string()))?;
                let header = batch.header;
                if header.next_offset() <= next {
                    continue;
                }
                next = header.next_offset();
                let named = if self.is_alone { Ok(None) } else { members::named_in(&batch) };
                let members = named.map_err(|reason| self.invalid(reason))?;
                found.push(Found {
                    base: header.base_offset,
                    next,
                    epoch: header.partition_leader_epoch.0,
                    bytes: batch.bytes.len() as u64,
                    timestamp: header.max_timestamp,
                    members,
                });
            }
            if next == before {
                return Err(self.unreadable(next));
            }
            self.io.yield_if_needed().await;
        }
        Ok(found)
    }

    /// Bytes of the batches from `offset` on that end before `upper`.
    async fn read(&self, offset: Offset, upper: Offset) -> Result<Bytes, QuorumError> {
        self.read_up_to(offset, upper, READ_BYTES).await
    }

    /// The same, no more than so many bytes, but one batch.
    pub(super) async fn read_up_to(&self, offset: Offset, upper: Offset, max_bytes: u64) -> Result<Bytes, QuorumError> {
        let request = ReadRequest { offset, max_bytes, upper, at_least_one_batch: true };
        let plan = self.log.read(request).await?;
        let mut bytes = Vec::with_capacity(plan.bytes as usize);
        for slice in &plan.slices {
            let part = slice.file.read_at(&self.io, slice.position, slice.len as usize).await;
            bytes.extend_from_slice(&part.map_err(|error| QuorumError::File { path: self.dir.clone(), error })?);
        }
        Ok(Bytes::from(bytes))
    }

    // ---- what is known -----------------------------------------------------------------------------------------------------------

    pub(super) fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    pub(super) fn start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    /// The batches that raft knows, with their numbers.
    #[cfg(all(test, feature = "sim"))]
    pub(super) fn numbers(&self) -> Vec<(Offset, u64)> {
        let state = self.state.borrow();
        state.batches.iter().map(|place| place.0).zip(state.first..).collect()
    }

    pub(super) fn size(&self) -> u64 {
        self.log.size()
    }

    pub(super) fn unsnapped_bytes(&self) -> u64 {
        self.unsnapped_bytes.get()
    }

    pub(super) fn last_timestamp(&self) -> i64 {
        self.last_timestamp.get()
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        self.state.borrow().vote
    }

    pub(super) fn log_state(&self) -> LogState<super::types::Types> {
        let state = self.state.borrow();
        LogState { last_purged_log_id: state.purged, last_log_id: state.last() }
    }

    /// The last entry that is surely committed: the last one, where nobody else has to agree.
    pub(super) fn committed(&self) -> Option<LogId> {
        if self.is_alone { self.state.borrow().last() } else { None }
    }

    /// Whether this node is the only voter for ever.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Whether the log says who votes (`kraft.version` 1): the directory was formatted so, or a leader has written it.
    pub(super) fn are_voters_in_log(&self) -> bool {
        self.voters.are_in_log() || self.names_members()
    }

    /// Whether there is nothing here, as on a new disk.
    pub(super) fn is_blank(&self) -> bool {
        self.state.borrow().last().is_none()
    }

    /// The last entry of an epoch or an earlier one, and where it ends: what Kafka compares logs by.
    pub(super) fn end_of_epoch(&self, epoch: i32) -> EpochEndOffset {
        self.log.end_offset_for_epoch(LeaderEpoch(epoch))
    }

    /// The term of an entry that is here, or of the last one before.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        let state = self.state.borrow();
        match state.purged.filter(|purged| purged.index() == index) {
            Some(purged) => Some(term_of(&purged)),
            None => state.epoch_of(index).map(|epoch| epoch as u64),
        }
    }

    /// Where the batch of an entry ends, of which raft knows.
    pub(super) fn end_of(&self, index: u64) -> Option<Offset> {
        let state = self.state.borrow();
        state.base_of(index)?;
        Some(state.base_of(index + 1).unwrap_or(state.end))
    }

    /// The same, also of the last entry that raft need not know any more.
    pub(super) fn end_of_known(&self, index: u64) -> Option<Offset> {
        let state = self.state.borrow();
        let is_purged = state.purged.is_some_and(|purged| purged.index() == index);
        let after = || state.base_of(index + 1).unwrap_or(state.end);
        (is_purged || state.base_of(index).is_some()).then(after)
    }

    /// Who is in the quorum by the last entry that is here, committed or not.
    pub(super) fn members(&self) -> Membership {
        let state = self.state.borrow();
        state.members.last().map_or_else(|| self.voters.membership(), |(_, members)| members.clone())
    }

    /// Whether the log, or the snapshot before it, names them.
    pub(super) fn names_members(&self) -> bool {
        !self.state.borrow().members.is_empty()
    }

    /// Who votes as long as the log has not said so.
    pub(super) fn first_membership(&self) -> StoredMembership {
        StoredMembership::new(None, self.voters.membership())
    }

    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// A snapshot, whose last entry has this index, names these as the quorum.
    pub(super) fn is_snapped(&self, index: u64, members: Membership) {
        let mut state = self.state.borrow_mut();
        state.members.retain(|(later, _)| *later > index);
        state.members.insert(0, (index, members));
    }

    pub(super) fn set_snapshot(&self, snapshot: Snapshot) {
        *self.snapshot.borrow_mut() = Some(snapshot);
    }

    /// So many bytes of the log are in a snapshot now.
    pub(super) fn snapped(&self, bytes: u64) {
        self.unsnapped_bytes.set(self.unsnapped_bytes.get().saturating_sub(bytes));
    }

    /// The entries from `start` to before `end`, as far as they are here, without a gap: no more of them than take `most_bytes`, but one.
    pub(super) async fn entries(&self, start: u64, end: u64, most_bytes: usize) -> Result<Vec<Entry>, QuorumError> {
        let (mut next, end) = {
            let state = self.state.borrow();
            (start.max(state.first), end.min(state.next_index()))
        };
        let (mut entries, mut bytes_so_far) = (Vec::new(), 0);
        while next < end && bytes_so_far < most_bytes {
            let (from, upper, until) = {
                let state = self.state.borrow();
                if let Some(entry) = state.remembered(next) {
                    bytes_so_far += bytes_of(entry);
                    entries.push(entry.clone());
                    next += 1;
                    continue;
                }
                let until = end.min(state.recent_from());
                (state.base_of(next), state.base_of(until).unwrap_or(state.end), until)
            };
            // What a purge has taken away meanwhile lies before all that can be asked for.
            let Some(from) = from else { break };
            let bytes = self.read(from, upper).await?;
            let before = next;
            for batch in Batches::new(&bytes) {
                let batch = batch.map_err(|error| self.invalid(error.to_string()))?;
                if next == until || bytes_so_far >= most_bytes {
                    break;
                }
                if batch.header.next_offset() <= from {
                    continue;
                }
                let own = bytes.slice(batch.position..batch.position + batch.bytes.len());
                bytes_so_far += own.len();
                entries.push(entry::decode(&batch, own, next, !self.is_alone).map_err(|reason| self.invalid(reason))?);
                next += 1;
            }
            if next == before {
                return Err(self.unreadable(from));
            }
        }
        Ok(entries)
    }

    // ---- what changes ------------------------------------------------------------------------------------------------------------

    /// Keeps a vote. It is on the device when this returns; that the vote has become a leader's need not be: a start asks for votes anew.
    pub(super) async fn save_vote(&self, vote: &Vote) -> Result<(), QuorumError> {
        let leader: &LeaderId = vote.leader_id();
        let (term, id) = (leader.term(), *leader.node_id());
        let is_saved = self.state.borrow().saved == Some((term, id));
        if !is_saved {
            let node = broker_id(id);
            // Who needs no other vote leads with its own.
            let leads = vote.is_committed() || (self.is_alone && node == self.node);
            let election = Elected { epoch: epoch_of(term)?, node, leads };
            let members = self.members();
            if self.are_voters_in_log() {
                let directory = members.get_node(&id).map_or(TopicId::default(), |member| member.directory);
                state::write_dynamic(&self.io, &self.dir, directory, election).await?;
            } else {
                let voters: Vec<BrokerId> = members.voter_ids().map(broker_id).collect();
                state::write(&self.io, &self.dir, &voters, election).await?;
            }
        }
        let mut state = self.state.borrow_mut();
        (state.vote, state.saved) = (Some(*vote), Some((term, id)));
        Ok(())
    }

    /// Appends entries, each as one batch; they are on the device when this returns. Whoever reads them gets the batches, also those that
    /// were made here: other voters' logs are the same to the byte.
    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<(), QuorumError> {
        let (mut batches, mut places, mut remembered) = (Vec::new(), Vec::new(), Vec::new());
        let (mut base, mut expected) = (self.end_offset(), None);
        let known = {
            let state = self.state.borrow();
            (!state.batches.is_empty() || state.purged.is_some()).then(|| state.next_index())
        };
        let (now_ms, mut members) = (self.io.wall_clock_ms(), self.members());
        let (mut named, are_named, mut are_in_log) = (Vec::new(), self.names_members(), self.are_voters_in_log());
        for entry in &entries {
            let index = entry.log_id.index();
            if expected.or(known).is_some_and(|expected| index != expected) {
                return Err(self.invalid(format!("entry {index} does not follow the last one")));
            }
            expected = Some(index + 1);
            let term = term_of(&entry.log_id);
            let names_first = !are_named && named.is_empty();
            let place = Place { base, epoch: epoch_of(term)?, leader: self.leader_of(term), now_ms, names_first, are_in_log };
            let bytes = entry::encode(entry, place, &members).map_err(|reason| self.invalid(reason))?;
            if let Payload::Voters(those, _) = &entry.payload {
                (members, are_in_log) = (those.clone(), true);
                named.push((index, those.clone()));
            }
            let header = BatchHeader::parse(&bytes).map_err(|error| self.invalid(error.to_string()))?;
            remembered.push(entry::as_written(entry, &bytes));
            let batch = AppendBatch::new(bytes, &header, base, LeaderEpoch(place.epoch));
            places.push((base, place.epoch));
            base = batch.last_offset.plus(1);
            batches.push(batch);
        }
        let Some(first) = entries.first().map(|entry| entry.log_id.index()) else { return Ok(()) };
        let bytes: u64 = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
        let last_timestamp = batches.last().map_or(now_ms, |batch| batch.max_timestamp);
        let end = self.log.append(batches).await?.log_end_offset;
        if !named.is_empty() && !self.are_voters_in_log() {
            self.note_that_voters_are_in_log().await?;
        }
        {
            let mut state = self.state.borrow_mut();
            if state.batches.is_empty() {
                state.first = first;
            }
            state.batches.extend(places);
            state.members.extend(named);
            state.end = end;
            for entry in remembered {
                state.remember(entry);
            }
        }
        self.unsnapped_bytes.set(self.unsnapped_bytes.get() + bytes);
        self.last_timestamp.set(last_timestamp);
        if !self.io.planted("metadata told before they are flushed") {
            self.log.flush(end).await?;
        }
        Ok(())
    }

    /// From here on the log names the voters, and not the settings: so says `quorum-state`, whatever becomes of the settings.
    async fn note_that_voters_are_in_log(&self) -> Result<(), QuorumError> {
        let Some(vote) = self.vote() else { return Ok(()) };
        let (epoch, node) = (epoch_of(vote.leader_id().term())?, broker_id(*vote.leader_id().node_id()));
        let elected = Elected { epoch, node, leads: vote.is_committed() };
        state::write_dynamic(&self.io, &self.dir, TopicId::default(), elected).await
    }

    /// Who leads in a term: whoever has this node's vote for it.
    fn leader_of(&self, term: u64) -> BrokerId {
        let voted = self.vote().filter(|vote| vote.leader_id().term() == term);
        voted.map_or(self.node, |vote| broker_id(*vote.leader_id().node_id()))
    }

    /// Cuts off what follows an entry, durably.
    pub(super) async fn truncate_after(&self, last: Option<LogId>) -> Result<(), QuorumError> {
        let (keep, cut) = {
            let state = self.state.borrow();
            let keep = last.map_or(0, |last| last.index() + 1).max(state.first);
            (keep, state.base_of(keep))
        };
        let Some(cut) = cut else { return Ok(()) };
        let size = self.log.size();
        let end = self.log.truncate_to(cut).await?;
        self.snapped(size.saturating_sub(self.log.size()));
        let mut state = self.state.borrow_mut();
        state.end = end;
        let left = (keep - state.first) as usize;
        state.batches.truncate(left);
        state.members.retain(|(index, _)| *index < keep);
        state.forget_outside(0, keep);
        Ok(())
    }

    /// Raft will not ask for what is up to an entry any more: it is in a snapshot. The batches stay as long as Kafka's rules want them,
    /// but for those of a log that the snapshot is ahead of.
    pub(super) async fn purge(&self, up_to: LogId) -> Result<(), QuorumError> {
        let is_behind = up_to.index() >= self.state.borrow().next_index();
        let ahead = self.snapshot().filter(|found| is_behind && found.meta.last_log_id == Some(up_to));
        if let Some(Snapshot { snapshot, .. }) = ahead
            && snapshot.end > self.end_offset()
        {
            self.log.truncate_fully_and_start_at(snapshot.end).await?;
            self.unsnapped_bytes.set(0);
            self.state.borrow_mut().end = snapshot.end;
        }
        let mut state = self.state.borrow_mut();
        while state.first <= up_to.index() && !state.batches.is_empty() {
            state.batches.pop_front();
            state.first += 1;
        }
        if is_behind {
            state.first = up_to.index() + 1;
        }
        let first = state.first;
        state.forget_outside(first, u64::MAX);
        state.purged = Some(up_to);
        // Of those that are in the snapshot the last ones count.
        let before = state.members.iter().filter(|(index, _)| *index < first).count();
        state.members.drain(..before.saturating_sub(1));
        Ok(())
    }

    /// Moves the start of the log to `offset`, as far as whole segments lie before it and raft has no use for what they hold: it keeps
    /// what it is sending to somebody who lags behind, also when a snapshot has it.
    pub(super) async fn forget_before(&self, offset: Offset) -> Result<(), QuorumError> {
        let known_from = {
            let state = self.state.borrow();
            state.base_of(state.first).unwrap_or(state.end)
        };
        let to = if self.io.planted("metadata cut off behind a voter that lags") { offset } else { offset.min(known_from) };
        self.log.delete_records(to).await?;
        self.log.apply_retention(self.end_offset()).await?;
        Ok(())
    }

    /// Nothing can be appended afterwards.
    pub(super) async fn close(&self) -> Result<(), QuorumError> {
        Ok(self.log.close().await?)
    }

    // ---- what goes wrong ---------------------------------------------------------------------------------------------------------

    /// What openraft is told of a failure; [`Journal::stopped`] gives it back.
    pub(super) fn failed(&self, error: QuorumError) -> std::io::Error {
        let text = error.to_string();
        self.failure.borrow_mut().get_or_insert(error);
        std::io::Error::other(text)
    }

    /// Why openraft has stopped; `said` is its own word.
    pub(super) fn stopped(&self, said: &dyn Display) -> QuorumError {
        self.failure.borrow_mut().take().unwrap_or_else(|| QuorumError::Consensus(said.to_string()))
    }

    /// What storage has said, if that is why openraft has stopped.
    pub(super) fn failure_text(&self) -> Option<String> {
        self.failure.borrow().as_ref().map(ToString::to_string)
    }

    pub(super) fn invalid(&self, reason: String) -> QuorumError {
        QuorumError::Invalid { path: self.dir.clone(), reason }
    }

    fn unreadable(&self, offset: Offset) -> QuorumError {
        self.invalid(format!("no batch can be read at {offset}"))
    }
}

fn open_log(dir: &Path, how: &OpenQuorum) -> OpenLog {
    // Nothing goes by size or age of the records: only what a snapshot holds may, by the log start offset.
    let cleanup_policy = CleanupPolicy { delete: false, compact: false };
    // Whatever a start finds is told, so it has to be on the device whatever became of the sync of whoever wrote it: with a flush for
    // each message, recovery writes what it finds again, and the first flush, of the batch that begins an epoch, comes before all else.
    let flush_messages = 1;
    let config = LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        flush_messages,
        cleanup_policy,
        segment_bytes: how.segment_bytes as u32,
        segment_ms: how.segment_ms,
        ..LogConfig::default()
    };
    OpenLog {
        dir: dir.to_owned(),
        partition: TopicPartition::new(METADATA_TOPIC, PartitionIndex(0)),
        topic_id: TopicId::METADATA,
        config,
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown: how.clean_shutdown,
        progress: None,
    }
}
