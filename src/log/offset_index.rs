//! The offset index: sparse entries from offset to position, 8 bytes each (offset minus base offset i32, position i32).
//!
//! An entry is made for the first batch that lies more than `index.interval.bytes` behind the last one, and carries that batch's
//! *last* offset and its position. So the entry with the greatest offset not above the one that is looked for leads to a batch at
//! or before it, and whoever arrives there can tell by the batch itself whether the entry is true.

use crate::model::Offset;

/// Bytes of an entry in the file.
pub(super) const OFFSET_ENTRY_BYTES: usize = 8;

/// One entry, relative to the segment's base offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OffsetEntry {
    /// Last offset of the batch minus base offset.
    pub(super) relative: u32,
    /// Where the batch begins.
    pub(super) position: u32,
}

/// The entries of one segment, and how many of them the file has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct OffsetIndex {
    entries: Vec<OffsetEntry>,
    written: usize,
}

impl OffsetIndex {
    /// Decodes a file of a segment whose log has `log_bytes`. Zeros behind the last entry are the room that an active index has.
    /// `None`: this is not an index of that segment.
    pub(super) fn parse(file: &[u8], log_bytes: u64) -> Option<Self> {
        if !file.len().is_multiple_of(OFFSET_ENTRY_BYTES) {
            return None;
        }
        let mut entries: Vec<OffsetEntry> = Vec::new();
        let mut zeros = false;
        for bytes in file.chunks_exact(OFFSET_ENTRY_BYTES) {
            let relative = u32::from_be_bytes(bytes[..4].try_into().expect("4 bytes"));
            let position = u32::from_be_bytes(bytes[4..].try_into().expect("4 bytes"));
            if relative == 0 && position == 0 {
                zeros = true;
                continue;
            }
            let grows = entries.last().is_none_or(|last| relative > last.relative && position > last.position);
            if zeros || !grows || relative > i32::MAX as u32 || u64::from(position) >= log_bytes {
                return None;
            }
            entries.push(OffsetEntry { relative, position });
        }
        let written = entries.len();
        Some(Self { entries, written })
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<OffsetEntry> {
        self.entries.last().copied()
    }

    /// Adds an entry behind the others.
    pub(super) fn push(&mut self, entry: OffsetEntry) {
        debug_assert!(self.last().is_none_or(|last| entry.relative > last.relative && entry.position > last.position));
        self.entries.push(entry);
    }

    /// The entry with the greatest offset not above `relative`.
    pub(super) fn floor(&self, relative: u32) -> Option<OffsetEntry> {
        let above = self.entries.partition_point(|entry| entry.relative <= relative);
        above.checked_sub(1).map(|at| self.entries[at])
    }

    /// Forgets the entries of batches at or behind `position`.
    pub(super) fn truncate_at(&mut self, position: u64) {
        let keep = self.entries.partition_point(|entry| u64::from(entry.position) < position);
        self.entries.truncate(keep);
        self.written = self.written.min(keep);
    }

    /// Entries that the file lacks.
    pub(super) fn unwritten(&self) -> usize {
        self.entries.len() - self.written
    }

    /// The bytes that the file lacks and where they belong.
    pub(super) fn pending(&self) -> (u64, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.unwritten() * OFFSET_ENTRY_BYTES);
        for entry in &self.entries[self.written..] {
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
        }
        ((self.written * OFFSET_ENTRY_BYTES) as u64, bytes)
    }

    /// The file has the first `entries` entries now.
    pub(super) fn mark_written(&mut self, entries: usize) {
        self.written = entries.min(self.entries.len());
    }

    /// Bytes of the trimmed file.
    pub(super) fn file_bytes(&self) -> u64 {
        (self.entries.len() * OFFSET_ENTRY_BYTES) as u64
    }
}

/// `offset` relative to `base`, if the formats can hold it.
pub(super) fn relative_offset(offset: Offset, base: Offset) -> Option<u32> {
    offset
        .0
        .checked_sub(base.0)
        .and_then(|relative| i32::try_from(relative).ok())
        .and_then(|relative| u32::try_from(relative).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(u32, u32)]) -> OffsetIndex {
        let mut index = OffsetIndex::default();
        for &(relative, position) in entries {
            index.push(OffsetEntry { relative, position });
        }
        index
    }

    #[test]
    fn floor_is_the_last_entry_not_above() {
        let index = index(&[(4, 100), (9, 200), (20, 300)]);
        assert_eq!(index.floor(3), None);
        assert_eq!(index.floor(4).unwrap().position, 100);
        assert_eq!(index.floor(19).unwrap().position, 200);
        assert_eq!(index.floor(1000).unwrap().position, 300);
    }

    #[test]
    fn files_round_trip_with_and_without_room_behind() {
        let index = index(&[(4, 100), (9, 200)]);
        let (at, mut bytes) = index.pending();
        assert_eq!((at, bytes.len()), (0, 16));
        let parsed = OffsetIndex::parse(&bytes, 300).unwrap();
        assert_eq!(parsed.entries, index.entries);
        assert_eq!(parsed.unwritten(), 0);
        bytes.resize(64, 0);
        assert_eq!(OffsetIndex::parse(&bytes, 300).unwrap().entries, index.entries);
        assert_eq!(OffsetIndex::parse(&bytes[..63], 300), None);
        assert_eq!(OffsetIndex::parse(&bytes, 200), None, "an entry points behind the log");
        bytes[63] = 1;
        assert_eq!(OffsetIndex::parse(&bytes, 300), None, "an entry behind the room");
    }

    #[test]
    fn truncation_forgets_what_lies_behind() {
        let mut index = index(&[(4, 100), (9, 200), (20, 300)]);
        index.mark_written(3);
        index.truncate_at(200);
        assert_eq!(index.last(), Some(OffsetEntry { relative: 4, position: 100 }));
        assert_eq!(index.unwritten(), 0);
    }
}
