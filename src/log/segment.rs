//! One segment: a `.log` file with its indexes, named by its first offset in 20 digits.

use super::offset_index::{OFFSET_ENTRY_BYTES, OffsetEntry, OffsetIndex, relative_offset};
use super::time_index::{TIME_ENTRY_BYTES, TimeEntry, TimeIndex};
use super::{LogConfig, LogError};
use crate::io::{File, Io, OpenOptions};
use crate::model::Offset;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(super) const LOG_SUFFIX: &str = "log";
pub(super) const INDEX_SUFFIX: &str = "index";
pub(super) const TIME_INDEX_SUFFIX: &str = "timeindex";
pub(super) const TXN_INDEX_SUFFIX: &str = "txnindex";
pub(super) const SNAPSHOT_SUFFIX: &str = "snapshot";
pub(super) const DELETED_SUFFIX: &str = "deleted";
/// What a segment may consist of besides the producer snapshot at its base offset.
pub(super) const SEGMENT_SUFFIXES: [&str; 4] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// Batches whose place is remembered, so that readers at the tail need no file.
const RECENT_BATCHES: usize = 256;
/// Bytes behind the end that count as just written.
const HOT_BYTES: u64 = 4 << 20;
/// Index entries that gather before they are written to the file (they are also written at each roll, flush of a rolled segment,
/// and close): an index is rebuilt after an unclean stop anyway.
const UNWRITTEN_ENTRIES: usize = 512;
/// Least and most space that is reserved in front of the end of a growing segment.
const PREALLOCATE_MIN: u64 = 64 << 10;
const PREALLOCATE_MAX: u64 = 4 << 20;

/// Where a batch lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Located {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) position: u64,
    pub(super) size: u64,
    pub(super) max_timestamp: i64,
}

/// Greatest timestamp of a segment and the last offset of the first batch that has it.
pub(super) type LargestTimestamp = (i64, Offset);

/// A segment. All that is known of it without its files; files are opened when they are needed.
pub(super) struct Segment {
    pub(super) base: Offset,
    /// The directory of its log, which may move.
    dir: RefCell<Rc<PathBuf>>,
    /// Bytes of whole batches in the log file.
    pub(super) size: Cell<u64>,
    /// Wall clock when this segment was made or found; stands in for timestamps that records lack.
    pub(super) created_ms: i64,
    /// How much earlier than `segment.ms` it rolls.
    pub(super) roll_jitter_ms: i64,
    /// Max timestamp of the first batch, from which the segment's age counts.
    pub(super) first_timestamp: Cell<Option<i64>>,
    /// `None`: not known yet (an old segment that nobody has asked for its timestamps).
    pub(super) largest_timestamp: Cell<Option<LargestTimestamp>>,
    pub(super) bytes_since_index: Cell<u64>,
    /// Offset index if it is loaded; always for the active segment.
    pub(super) index: RefCell<Option<OffsetIndex>>,
    /// Time index; only of the active segment.
    pub(super) time_index: RefCell<TimeIndex>,
    pub(super) recent: RefCell<VecDeque<Located>>,
    hot_from: Cell<u64>,
    preallocated: Cell<u64>,
    log_file: RefCell<Option<File>>,
    index_file: RefCell<Option<File>>,
    time_file: RefCell<Option<File>>,
    /// Producer snapshot that was written when this segment was rolled, not on the device yet.
    pub(super) unsynced_snapshot: RefCell<Option<File>>,
    /// Log and indexes of this segment, which is not active any more, are on the device.
    pub(super) synced: Cell<bool>,
    /// Retention, truncation or compaction took it out of the log.
    pub(super) removed: Cell<bool>,
}

impl Segment {
    /// A segment whose log file has `size` good bytes.
    pub(super) fn new(dir: Rc<PathBuf>, base: Offset, size: u64, created_ms: i64, roll_jitter_ms: i64) -> Self {
        Self {
            base,
            dir: RefCell::new(dir),
            size: Cell::new(size),
            created_ms,
            roll_jitter_ms,
            first_timestamp: Cell::new(None),
            largest_timestamp: Cell::new(None),
            bytes_since_index: Cell::new(0),
            index: RefCell::new(None),
            time_index: RefCell::new(TimeIndex::default()),
            recent: RefCell::new(VecDeque::new()),
            hot_from: Cell::new(size),
            preallocated: Cell::new(size),
            log_file: RefCell::new(None),
            index_file: RefCell::new(None),
            time_file: RefCell::new(None),
            unsynced_snapshot: RefCell::new(None),
            synced: Cell::new(false),
            removed: Cell::new(false),
        }
    }

    /// An empty segment with its files; what lies at their names is overwritten.
    pub(super) async fn create(
        io: &Io,
        dir: Rc<PathBuf>,
        base: Offset,
        config: &LogConfig,
        roll_jitter_ms: i64,
    ) -> Result<Self, LogError> {
        let segment = Self::new(dir, base, 0, io.wall_clock_ms(), roll_jitter_ms);
        *segment.index.borrow_mut() = Some(OffsetIndex::default());
        segment.largest_timestamp.set(Some((-1, base)));
        let path = segment.path(LOG_SUFFIX);
        let options = OpenOptions { write: true, create: true, exclusive: false, truncate: true };
        let file = io.open(&path, options).await.map_err(|e| LogError::storage(&path, "create", &e))?;
        if config.preallocate {
            let bytes = u64::from(config.segment_bytes);
            file.preallocate(io, 0, bytes).await.map_err(|e| LogError::storage(&path, "preallocate", &e))?;
            segment.preallocated.set(bytes);
        }
        *segment.log_file.borrow_mut() = Some(file);
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            let path = segment.path(suffix);
            io.open(&path, options).await.map_err(|e| LogError::storage(&path, "create", &e))?;
        }
        segment.open_indexes(io).await?;
        Ok(segment)
    }

    /// Path of one of its files.
    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        file_path(&self.dir(), self.base, suffix)
    }

    fn dir(&self) -> Rc<PathBuf> {
        self.dir.borrow().clone()
    }

    /// The log file, opened if it is not.
    pub(super) async fn file(&self, io: &Io) -> Result<File, LogError> {
        loop {
            if let Some(file) = self.log_file.borrow().as_ref() {
                return Ok(file.clone());
            }
            let dir = self.dir();
            let path = file_path(&dir, self.base, LOG_SUFFIX);
            let opened = if self.removed.get() { Err(not_found()) } else { io.open(&path, OpenOptions::WRITE).await };
            if !Rc::ptr_eq(&dir, &self.dir()) {
                // The log has moved meanwhile: this is the file that it has left, where nothing may be written any more.
                continue;
            }
            // Looked at again: compaction may have put another file at this name meanwhile.
            let opened = if self.removed.get() { Err(not_found()) } else { opened };
            let file = opened.map_err(|e| LogError::storage(&path, "open", &e))?;
            *self.log_file.borrow_mut() = Some(file.clone());
            return Ok(file);
        }
    }

    /// Its files are found in `dir` from now on. All of them are on the device there, but for the index files of the active segment,
    /// which are yet to be written.
    pub(super) fn moved(&self, dir: Rc<PathBuf>, is_active: bool) {
        *self.dir.borrow_mut() = dir;
        self.close_files();
        *self.unsynced_snapshot.borrow_mut() = None;
        self.preallocated.set(self.size.get());
        if !is_active {
            self.release();
            return self.synced.set(true);
        }
        if let Some(index) = self.index.borrow_mut().as_mut() {
            index.mark_written(0);
        }
        self.time_index.borrow_mut().mark_written(0);
    }

    /// Is read through a file that is open already, whatever its name is by now.
    pub(super) fn adopt(&self, file: File) {
        *self.log_file.borrow_mut() = Some(file);
    }

    /// Gives descriptors and index back; slices that were handed out keep theirs.
    pub(super) fn release(&self) {
        self.close_files();
        *self.index.borrow_mut() = None;
        self.recent.borrow_mut().clear();
    }

    /// How many of its files are open.
    pub(super) fn open_files(&self) -> usize {
        [&self.log_file, &self.index_file, &self.time_file].iter().filter(|file| file.borrow().is_some()).count()
    }

    /// Closes the files and keeps everything else that is in memory.
    pub(super) fn close_files(&self) {
        for file in [&self.log_file, &self.index_file, &self.time_file] {
            *file.borrow_mut() = None;
        }
    }

    /// Syncs the index files, if they are open.
    pub(super) async fn sync_indexes(&self, io: &Io) -> Result<(), LogError> {
        for (file, suffix) in [(&self.index_file, INDEX_SUFFIX), (&self.time_file, TIME_INDEX_SUFFIX)] {
            let Some(file) = file.borrow().clone() else { continue };
            file.sync_data(io).await.map_err(|e| LogError::storage(&self.path(suffix), "fdatasync", &e))?;
        }
        Ok(())
    }

    /// Opens the index files for writing.
    pub(super) async fn open_indexes(&self, io: &Io) -> Result<(), LogError> {
        if self.index_file.borrow().is_some() {
            return Ok(());
        }
        let mut files = Vec::with_capacity(2);
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            let path = self.path(suffix);
            files.push(io.open(&path, OpenOptions::CREATE).await.map_err(|e| LogError::storage(&path, "open", &e))?);
        }
        *self.time_file.borrow_mut() = files.pop();
        *self.index_file.borrow_mut() = files.pop();
        Ok(())
    }

    /// Entries that still fit into both indexes. The time index keeps one in reserve for the roll.
    pub(super) fn index_room(&self, config: &LogConfig) -> usize {
        let offsets = self.index.borrow().as_ref().map_or(0, OffsetIndex::len);
        let times = self.time_index.borrow().len();
        let room = |entry: usize, used: usize| max_entries(config, entry).saturating_sub(used);
        room(OFFSET_ENTRY_BYTES, offsets).min(room(TIME_ENTRY_BYTES, times).saturating_sub(1))
    }

    /// Reserves space in front of the end for `incoming` bytes, in steps that grow with the segment.
    pub(super) async fn reserve(&self, io: &Io, file: &File, incoming: u64, config: &LogConfig) -> Result<(), LogError> {
        let (end, reserved) = (self.size.get() + incoming, self.preallocated.get());
        if end <= reserved {
            return Ok(());
        }
        let step = self.size.get().clamp(PREALLOCATE_MIN, PREALLOCATE_MAX);
        let until = (end + step).min(u64::from(config.segment_bytes)).max(end);
        let path = self.path(LOG_SUFFIX);
        file.preallocate(io, reserved, until - reserved).await.map_err(|e| LogError::storage(&path, "preallocate", &e))?;
        self.preallocated.set(until);
        Ok(())
    }

    /// Cuts the log file to its good bytes, which also gives reserved space back.
    pub(super) async fn trim_log(&self, io: &Io) -> Result<(), LogError> {
        let file = self.file(io).await?;
        let path = self.path(LOG_SUFFIX);
        file.set_len(io, self.size.get()).await.map_err(|e| LogError::storage(&path, "truncate", &e))?;
        self.preallocated.set(self.size.get());
        Ok(())
    }

    /// A batch has been written at the end: enters it into the indexes (`LogSegment.append`) and the memory of recent batches.
    pub(super) fn wrote(&self, located: Located, config: &LogConfig) {
        assert_eq!(located.position, self.size.get(), "batches lie behind each other");
        self.note(located, u64::from(config.index_interval_bytes));
        let mut recent = self.recent.borrow_mut();
        if recent.len() == RECENT_BATCHES {
            recent.pop_front();
        }
        recent.push_back(located);
        self.size.set(located.position + located.size);
    }

    /// Index entries for a batch at the end of those noted so far; used by appends and recovery alike.
    pub(super) fn note(&self, located: Located, interval: u64) {
        let relative = relative_offset(located.last, self.base).expect("a segment is rolled before offsets overflow");
        if self.first_timestamp.get().is_none() {
            self.first_timestamp.set(Some(located.max_timestamp));
        }
        let largest = self.largest_timestamp.get().unwrap_or((-1, self.base));
        if located.max_timestamp > largest.0 {
            self.largest_timestamp.set(Some((located.max_timestamp, located.last)));
        } else {
            self.largest_timestamp.set(Some(largest));
        }
        if self.bytes_since_index.get() > interval {
            let position = u32::try_from(located.position).expect("a segment is smaller than 2 GiB");
            if let Some(index) = self.index.borrow_mut().as_mut() {
                index.push(OffsetEntry { relative, position });
            }
            self.note_largest_timestamp();
            self.bytes_since_index.set(0);
        }
        self.bytes_since_index.set(self.bytes_since_index.get() + located.size);
    }

    /// The next batch that is noted gets an index entry, however near the last one is.
    pub(super) fn index_next_batch(&self) {
        self.bytes_since_index.set(u64::MAX >> 1);
    }

    /// Time index entry for the greatest timestamp so far; also made when the segment is rolled or closed.
    pub(super) fn note_largest_timestamp(&self) {
        if let Some((timestamp, offset)) = self.largest_timestamp.get() {
            let relative = relative_offset(offset, self.base).expect("an offset of this segment");
            self.time_index.borrow_mut().maybe_push(TimeEntry { timestamp, relative });
        }
    }

    /// Writes index entries that the files lack, if they are many or `all` are wanted. Unlike Kafka, which maps its index files and
    /// so has to extend an active one to `segment.index.bytes`, nothing stands behind the last entry: then Kafka's own tools find
    /// no fault with a file of a running or killed broker.
    pub(super) async fn write_indexes(&self, io: &Io, all: bool) -> Result<(), LogError> {
        let unwritten = self.index.borrow().as_ref().map_or(0, OffsetIndex::unwritten) + self.time_index.borrow().unwritten();
        if unwritten == 0 || (!all && unwritten < UNWRITTEN_ENTRIES) {
            return Ok(());
        }
        let (index_file, time_file) = (self.index_file.borrow().clone(), self.time_file.borrow().clone());
        let (Some(index_file), Some(time_file)) = (index_file, time_file) else { return Ok(()) };
        let pending = self.index.borrow().as_ref().map(|index| (index.len(), index.pending()));
        if let Some((entries, (at, bytes))) = pending {
            write(io, &index_file, &self.path(INDEX_SUFFIX), at, bytes).await?;
            if let Some(index) = self.index.borrow_mut().as_mut() {
                index.mark_written(entries);
            }
        }
        let (entries, (at, bytes)) = {
            let index = self.time_index.borrow();
            (index.len(), index.pending())
        };
        write(io, &time_file, &self.path(TIME_INDEX_SUFFIX), at, bytes).await?;
        self.time_index.borrow_mut().mark_written(entries);
        Ok(())
    }

    /// The segment takes no more batches: last time index entry, all entries written, all files cut to what they hold.
    pub(super) async fn finish(&self, io: &Io) -> Result<(), LogError> {
        self.open_indexes(io).await?;
        self.note_largest_timestamp();
        self.write_indexes(io, true).await?;
        self.trim_indexes(io).await?;
        self.trim_log(io).await
    }

    /// Cuts the index files to their entries.
    pub(super) async fn trim_indexes(&self, io: &Io) -> Result<(), LogError> {
        let index_bytes = self.index.borrow().as_ref().map_or(0, OffsetIndex::file_bytes);
        let time_bytes = self.time_index.borrow().file_bytes();
        for (file, suffix, bytes) in
            [(&self.index_file, INDEX_SUFFIX, index_bytes), (&self.time_file, TIME_INDEX_SUFFIX, time_bytes)]
        {
            let Some(file) = file.borrow().clone() else { continue };
            file.set_len(io, bytes).await.map_err(|e| LogError::storage(&self.path(suffix), "truncate", &e))?;
        }
        Ok(())
    }

    /// Syncs all files of a finished segment.
    pub(super) async fn sync_all(&self, io: &Io) -> Result<(), LogError> {
        if self.synced.get() || self.removed.get() {
            return Ok(());
        }
        for suffix in SEGMENT_SUFFIXES {
            let path = self.path(suffix);
            let open = match suffix {
                LOG_SUFFIX => self.log_file.borrow().clone(),
                INDEX_SUFFIX => self.index_file.borrow().clone(),
                TIME_INDEX_SUFFIX => self.time_file.borrow().clone(),
                _ => None,
            };
            let file = match open {
                Some(file) => file,
                None => match io.open(&path, OpenOptions::WRITE).await {
                    Ok(file) => file,
                    Err(error)
                        if error.kind() == std::io::ErrorKind::NotFound && (suffix != LOG_SUFFIX || self.removed.get()) =>
                    {
                        continue;
                    }
                    Err(error) => return Err(LogError::storage(&path, "open", &error)),
                },
            };
            file.sync_data(io).await.map_err(|e| LogError::storage(&path, "fdatasync", &e))?;
        }
        let snapshot = self.unsynced_snapshot.borrow().clone();
        if let Some(file) = snapshot {
            file.sync_data(io).await.map_err(|e| LogError::storage(&self.dir(), "fdatasync of a snapshot", &e))?;
            *self.unsynced_snapshot.borrow_mut() = None;
        }
        self.synced.set(true);
        *self.index_file.borrow_mut() = None;
        *self.time_file.borrow_mut() = None;
        Ok(())
    }

    /// The first recent batch that ends at or behind `offset`, if it is sure that none before it does.
    pub(super) fn find_recent(&self, offset: Offset) -> Option<Located> {
        let recent = self.recent.borrow();
        let first = recent.front()?;
        // The segment's very first batch also answers for the offsets before it.
        if offset < first.base && first.position > 0 {
            return None;
        }
        let at = recent.partition_point(|batch| batch.last < offset);
        recent.get(at).copied()
    }

    /// Whether the bytes from `position` on were written a short while ago by this process.
    pub(super) fn is_hot(&self, position: u64) -> bool {
        position >= self.hot_from.get() && position + HOT_BYTES >= self.size.get()
    }

    /// Takes batches at or behind `position` (the first of which begins with or covers `offset`) out of everything in memory.
    pub(super) fn forget_from(&self, position: u64, offset: Offset) {
        self.size.set(position);
        self.hot_from.set(self.hot_from.get().min(position));
        self.recent.borrow_mut().retain(|batch| batch.position < position);
        self.bytes_since_index.set(0);
        if let Some(index) = self.index.borrow_mut().as_mut() {
            index.truncate_at(position);
        }
        self.time_index.borrow_mut().truncate_at(relative_offset(offset, self.base).unwrap_or(0));
        self.synced.set(false);
    }
}

fn not_found() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

/// Path of a segment's file.
pub(super) fn file_path(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{:020}.{suffix}", base.0))
}

/// Base offset and suffix of a segment's file name: twenty digits, a dot, and one of the suffixes.
pub(super) fn parse_file_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    let legal = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    legal.then(|| digits.parse().ok().map(|base| (Offset(base), suffix))).flatten()
}

/// Entries that an index of `segment.index.bytes` holds.
pub(super) fn max_entries(config: &LogConfig, entry_bytes: usize) -> usize {
    config.segment_index_bytes as usize / entry_bytes
}

async fn write(io: &Io, file: &File, path: &Path, at: u64, bytes: Vec<u8>) -> Result<(), LogError> {
    if bytes.is_empty() {
        return Ok(());
    }
    file.write_at(io, at, &[Bytes::from(bytes)]).await.map_err(|e| LogError::storage(path, "write", &e))
}
