//! Which batch is which entry: the memory beside the log, of one node's [`super::journal::Journal`].

use super::types::{Entry, LogId, Membership, MetadataBatch, Payload, Vote, log_id};
use crate::model::Offset;
use std::collections::VecDeque;

/// Entries that are remembered after they were appended, so that applying and sending them reads no file: so many, or so many bytes, but
/// always the last one.
const MOST_RECENT: usize = 64;
const MOST_RECENT_BYTES: usize = 1 << 20;

/// What a start finds, an append adds to and a cut takes from.
#[derive(Default)]
pub(super) struct Places {
    pub(super) vote: Option<Vote>,
    /// Term and node of the vote on the device.
    pub(super) saved: Option<(u64, u64)>,
    /// The last entry that raft knows to be in a snapshot and asks for no more.
    pub(super) purged: Option<LogId>,
    /// Index of the first entry behind it.
    pub(super) first: u64,
    /// Base offset and epoch of each batch from that entry on.
    pub(super) batches: VecDeque<(Offset, i32)>,
    /// Who was in the quorum from which entry on, as far as the log and the snapshot before it name them.
    pub(super) members: Vec<(u64, Membership)>,
    /// Where the last of them ends; the log is ahead of it while an append is under way.
    pub(super) end: Offset,
    /// The last entries.
    recent: VecDeque<Entry>,
    recent_bytes: usize,
}

impl Places {
    pub(super) fn next_index(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    pub(super) fn last(&self) -> Option<LogId> {
        match self.batches.back() {
            Some(&(_, epoch)) => Some(log_id(epoch as u64, self.next_index() - 1)),
            None => self.purged,
        }
    }

    pub(super) fn base_of(&self, index: u64) -> Option<Offset> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.batches.get(at).map(|&(base, _)| base)
    }

    pub(super) fn epoch_of(&self, index: u64) -> Option<i32> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.batches.get(at).map(|&(_, epoch)| epoch)
    }

    pub(super) fn remember(&mut self, entry: Entry) {
        self.recent_bytes += bytes_of(&entry);
        self.recent.push_back(entry);
        while self.recent.len() > 1 && (self.recent.len() > MOST_RECENT || self.recent_bytes > MOST_RECENT_BYTES) {
            let gone = self.recent.pop_front().map_or(0, |entry| bytes_of(&entry));
            self.recent_bytes = self.recent_bytes.saturating_sub(gone);
        }
    }

    /// Index of the first entry that is remembered.
    pub(super) fn recent_from(&self) -> u64 {
        self.recent.front().map_or(self.next_index(), |entry| entry.log_id.index())
    }

    pub(super) fn remembered(&self, index: u64) -> Option<&Entry> {
        let at = usize::try_from(index.checked_sub(self.recent_from())?).ok()?;
        self.recent.get(at)
    }

    /// Forgets what is below `first` or not below `next`.
    pub(super) fn forget_outside(&mut self, first: u64, next: u64) {
        self.recent.retain(|entry| (first..next).contains(&entry.log_id.index()));
        self.recent_bytes = self.recent.iter().map(bytes_of).sum();
    }
}

/// What an entry holds in memory; but for batches it is next to nothing.
pub(super) fn bytes_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Batch(MetadataBatch { bytes, .. }) | Payload::Voters(_, Some(bytes)) => bytes.len(),
        _ => 0,
    }
}
