//! openraft's log store on the [`Journal`].

use super::journal::Journal;
use super::types::{Entry, LogId, Types, Vote};
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use std::fmt::Debug;
use std::io::Result;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

/// Entries that a follower is sent, or that are applied, at once: so many, and no more than take so many bytes, but one.
const MOST_ENTRIES: u64 = 64;
const MOST_BYTES: usize = 256 << 10;

/// The log store and its readers, which are all the same.
#[derive(Clone)]
pub(super) struct LogStore(pub(super) Rc<Journal>);

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.0.entries(start, end, usize::MAX).await.map_err(|error| self.0.failed(error))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>> {
        Ok(self.0.vote())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>> {
        let end = end.min(start.saturating_add(MOST_ENTRIES));
        self.0.entries(start, end, MOST_BYTES).await.map_err(|error| self.0.failed(error))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>> {
        Ok(self.0.log_state())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<()> {
        self.0.save_vote(vote).await.map_err(|error| self.0.failed(error))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>> {
        Ok(self.0.committed())
    }

    /// The entries are on the device when this returns: the next decision waits for them anyway.
    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.0.append(entries).await.map_err(|error| self.0.failed(error))?;
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<()> {
        self.0.truncate_after(last_log_id).await.map_err(|error| self.0.failed(error))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<()> {
        self.0.purge(log_id).await.map_err(|error| self.0.failed(error))
    }
}
