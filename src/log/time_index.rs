//! The time index: sparse entries from timestamp to offset, 12 bytes each (timestamp i64, offset minus base offset i32).
//!
//! An entry says: the greatest timestamp up to here is this, and it is in the batch with this last offset. Timestamps and offsets
//! grow from entry to entry; a batch that brings no greater timestamp makes none.

/// Bytes of an entry in the file.
pub(super) const TIME_ENTRY_BYTES: usize = 12;

/// One entry, relative to the segment's base offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeEntry {
    /// Greatest timestamp so far, milliseconds since 1970.
    pub(super) timestamp: i64,
    /// Last offset of the first batch that has it, minus base offset.
    pub(super) relative: u32,
}

/// The entries of one segment, and how many of them the file has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TimeIndex {
    entries: Vec<TimeEntry>,
    written: usize,
}

impl TimeIndex {
    /// Decodes a file. Zeros behind the last entry are the room that an active index has. `None`: this is no time index.
    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        if !file.len().is_multiple_of(TIME_ENTRY_BYTES) {
            return None;
        }
        let mut entries: Vec<TimeEntry> = Vec::new();
        let mut zeros = false;
        for (at, bytes) in file.chunks_exact(TIME_ENTRY_BYTES).enumerate() {
            let timestamp = i64::from_be_bytes(bytes[..8].try_into().expect("8 bytes"));
            let relative = u32::from_be_bytes(bytes[8..].try_into().expect("4 bytes"));
            if timestamp == 0 && relative == 0 {
                // A record of 1970 at the base offset makes such an entry, too; only as the first one.
                let next = file.get((at + 1) * TIME_ENTRY_BYTES..(at + 2) * TIME_ENTRY_BYTES);
                if at == 0 && next.is_some_and(|next| next.iter().any(|&byte| byte != 0)) {
                    entries.push(TimeEntry { timestamp, relative });
                } else {
                    zeros = true;
                }
                continue;
            }
            let grows = entries.last().is_none_or(|last| timestamp > last.timestamp && relative >= last.relative);
            if zeros || !grows || timestamp < 0 || relative > i32::MAX as u32 {
                return None;
            }
            entries.push(TimeEntry { timestamp, relative });
        }
        let written = entries.len();
        Some(Self { entries, written })
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<TimeEntry> {
        self.entries.last().copied()
    }

    /// Adds an entry if its timestamp is greater than the last one's.
    pub(super) fn maybe_push(&mut self, entry: TimeEntry) {
        if entry.timestamp > self.last().map_or(-1, |last| last.timestamp) {
            self.entries.push(entry);
        }
    }

    /// The entry with the greatest timestamp below `timestamp`: no batch up to there has `timestamp` or a later one.
    pub(super) fn below(&self, timestamp: i64) -> Option<TimeEntry> {
        let from = self.entries.partition_point(|entry| entry.timestamp < timestamp);
        from.checked_sub(1).map(|at| self.entries[at])
    }

    /// Forgets the entries of offsets at or above `relative`.
    pub(super) fn truncate_at(&mut self, relative: u32) {
        let keep = self.entries.partition_point(|entry| entry.relative < relative);
        self.entries.truncate(keep);
        self.written = self.written.min(keep);
    }

    /// Entries that the file lacks.
    pub(super) fn unwritten(&self) -> usize {
        self.entries.len() - self.written
    }

    /// The bytes that the file lacks and where they belong.
    pub(super) fn pending(&self) -> (u64, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.unwritten() * TIME_ENTRY_BYTES);
        for entry in &self.entries[self.written..] {
            bytes.extend_from_slice(&entry.timestamp.to_be_bytes());
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
        }
        ((self.written * TIME_ENTRY_BYTES) as u64, bytes)
    }

    /// The file has the first `entries` entries now.
    pub(super) fn mark_written(&mut self, entries: usize) {
        self.written = entries.min(self.entries.len());
    }

    /// Bytes of the trimmed file.
    pub(super) fn file_bytes(&self) -> u64 {
        (self.entries.len() * TIME_ENTRY_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_greater_timestamps_make_entries() {
        let mut index = TimeIndex::default();
        for (timestamp, relative) in [(-1, 0), (10, 3), (10, 7), (5, 9), (30, 12)] {
            index.maybe_push(TimeEntry { timestamp, relative });
        }
        assert_eq!(index.len(), 2);
        assert_eq!(index.below(10), None);
        assert_eq!(index.below(11).unwrap().relative, 3);
        assert_eq!(index.below(31).unwrap().relative, 12);
        index.truncate_at(12);
        assert_eq!(index.last().unwrap().relative, 3);
    }

    #[test]
    fn files_round_trip() {
        let mut index = TimeIndex::default();
        index.maybe_push(TimeEntry { timestamp: 10, relative: 3 });
        index.maybe_push(TimeEntry { timestamp: 20, relative: 8 });
        let (_, mut bytes) = index.pending();
        assert_eq!(TimeIndex::parse(&bytes).unwrap().entries, index.entries);
        bytes.resize(48, 0);
        assert_eq!(TimeIndex::parse(&bytes).unwrap().entries, index.entries);
        bytes.pop();
        assert_eq!(TimeIndex::parse(&bytes), None);
    }
}
