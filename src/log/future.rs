//! A copy of a log in another log dir of the broker, which grows until it takes the log's place (KIP-113).
//!
//! **The problem.** A log moves to another device while it is written, read and shortened at its head, and a stop at any moment must
//! leave one log with every record that was acked.
//!
//! **The design that follows.** As long as the copy is not whole it is nothing: a directory `<topic>-<partition>.<id>-future` that a
//! start throws away. Segments are copied in offset order, whole batches, whose checksums are looked at; a segment that takes no more
//! gets its indexes and is synced, the active one is followed until little is left ([`FutureLog::advance`], [`FutureLog::settle`]).
//! Then the log is paused ([`LogState::pause`]): nothing is appended, flushed, cut or taken away. The rest is copied and synced
//! ([`FutureLog::complete`]), and the copy takes the log's place ([`FutureLog::take_place`]):
//!
//! 1. All of the copy is on the device, its names too.
//! 2. `-future` is renamed to the partition's name, and that log dir is synced.
//! 3. In memory the log is there from now on ([`LogState::moved`]): it keeps indexes, producers and epochs, and opens the new files.
//! 4. The directory that it has left is renamed to `-delete`, and that log dir is synced ([`FutureLog::put_aside`]). The pause ends.
//!
//! Between 2 and 4 two directories have the partition's name, with the same records in them. What a start makes of that, and of a
//! device that fails at one of these steps, stands in `shard::moves`.
//!
//! **What else happens meanwhile.** Retention takes segments away, and the copy follows. Compaction waits until the move is over
//! ([`LogState::pause_cleaning`]), or segments would be copied again and again. When the log is cut at its end the copy is begun anew.
//! An index that is built again, a roll, a snapshot: all are files of a segment, which is copied as it is when it takes no more.

use super::chunks::Chunks;
use super::dir::{deleted_dir_name, future_dir_name, unique_id};
use super::epochs::Epochs;
use super::flush::FlushesOut;
use super::log::LogState;
use super::recovery::Loader;
use super::segment::{
    INDEX_SUFFIX, LOG_SUFFIX, SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_path,
};
use super::{LogError, StorageFailure, checkpoint};
use crate::io::{File, Io, OpenOptions, Turn};
use crate::model::{Offset, TopicPartition};
use crate::record::Batches;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes that are copied at once.
const CHUNK: u64 = 1 << 20;
/// Bytes of the active segment that may be left to copy when the log is paused.
const NEAR: u64 = 1 << 20;
const NEW: OpenOptions = OpenOptions { write: true, create: true, exclusive: false, truncate: true };

/// Whose device failed, or which of the two is damaged.
#[derive(Debug)]
pub enum CopyError {
    /// The log that moves.
    Source(LogError),
    /// The log dir that it moves to.
    Target(LogError),
}

/// While this lives, nothing is appended to a log, flushed, cut or taken away.
pub struct Pause<'a> {
    _no_flush: FlushesOut<'a>,
    _turn: Turn,
}

/// A copy in the making. One task copies; sizes and offsets may be asked at any time.
pub struct FutureLog {
    io: Io,
    partition: TopicPartition,
    dir: Rc<PathBuf>,
    parts: RefCell<Parts>,
    /// How often the log had been cut when the copy was begun.
    cuts: Cell<u64>,
    bytes: Cell<u64>,
    end: Cell<Offset>,
    synced: Cell<Offset>,
    /// What the checkpoint of the copy says.
    epochs: RefCell<Option<Epochs>>,
}

/// Segments of the copy, by base offset.
type Parts = BTreeMap<Offset, Part>;

/// One segment of the copy.
struct Part {
    segment: Rc<Segment>,
    /// Bytes of its log file that are there.
    copied: u64,
    /// What it is copied with; `None` once it is whole, with its indexes, and on the device.
    files: Option<(Chunks, File)>,
}

impl LogState {
    /// Waits until whoever changes the log has ended, and lets nobody begin.
    ///
    /// # Errors
    /// The log has failed or is closed.
    pub async fn pause(&self) -> Result<Pause<'_>, LogError> {
        let turn = self.writer.enter().await;
        let no_flush = self.keep_flushes_out().await;
        self.check_usable()?;
        Ok(Pause { _no_flush: no_flush, _turn: turn })
    }

    /// The log is not compacted until [`LogState::resume_cleaning`]; a round that is under way has ended when this returns.
    pub async fn pause_cleaning(&self) {
        self.moving.set(true);
        while self.cleaning.get() {
            self.cleaning_ended.notified().await;
        }
    }

    /// The log may be compacted again.
    pub fn resume_cleaning(&self) {
        self.moving.set(false);
    }
}

impl FutureLog {
    /// Makes the directory of a copy of `log` in `log_dir`; a start finds it from here on. [`super::may_move`] says whether the name has
    /// room.
    ///
    /// # Errors
    /// The device of `log_dir` fails.
    pub async fn begin(log: &LogState, log_dir: &Path) -> Result<Self, LogError> {
        let io = log.io.clone();
        let dir = Rc::new(log_dir.join(future_dir_name(&log.partition, &unique_id(&io))));
        let loader = Loader {
            io: io.clone(),
            dir: dir.clone(),
            config: (*log.config()).clone(),
            gaps_below: Offset::ZERO,
            found: RefCell::default(),
        };
        loader.prepare_dir(log.topic_id).await?;
        Ok(Self {
            io,
            partition: log.partition.clone(),
            dir,
            parts: RefCell::default(),
            cuts: Cell::new(log.cuts.get()),
            bytes: Cell::new(0),
            end: Cell::new(log.log_start_offset()),
            synced: Cell::new(Offset::ZERO),
            epochs: RefCell::default(),
        })
    }

    /// Bytes of the log files that have been copied.
    pub fn size(&self) -> u64 {
        self.bytes.get()
    }

    /// Offset behind the last record that has been copied.
    pub fn end_offset(&self) -> Offset {
        self.end.get()
    }

    /// Everything below is on the device: the recovery point that a start may go by once the copy has taken the log's place.
    pub fn synced_offset(&self) -> Offset {
        self.synced.get()
    }

    /// Copies a part of what is lacking and returns its bytes; `None` when little is left, all of it of the active segment.
    ///
    /// # Errors
    /// A device fails, or the log is damaged.
    pub async fn advance(&self, log: &LogState) -> Result<Option<u64>, CopyError> {
        self.advance_to(log, NEAR).await
    }

    /// Whether [`FutureLog::advance`] has nothing to do now.
    pub fn is_near(&self, log: &LogState) -> bool {
        self.cuts.get() == log.cuts.get() && lacking(log, &self.parts.borrow(), NEAR).is_none()
    }

    /// Makes what has been copied durable, so that a pause has little to do.
    ///
    /// # Errors
    /// The device fails.
    pub async fn settle(&self, log: &LogState) -> Result<(), CopyError> {
        let end = self.end.get();
        self.write_epochs(log).await?;
        self.sync().await?;
        self.synced.set(end);
        Ok(())
    }

    /// Copies all that is lacking and makes it durable.
    ///
    /// # Errors
    /// A device fails, or the log is damaged.
    pub async fn complete(&self, log: &LogState, _pause: &Pause<'_>) -> Result<(), CopyError> {
        while self.advance_to(log, 0).await?.is_some() {}
        self.write_epochs(log).await?;
        self.sync().await?;
        let has = |(base, part): (&Offset, &Part)| (*base, part.copied);
        let (copied, of_log): (Vec<_>, Vec<_>) =
            (self.parts.borrow().iter().map(has).collect(), log.segments().iter().map(|s| (s.base_offset, s.bytes)).collect());
        if copied != of_log {
            return Err(CopyError::Target(LogError::corrupt(&self.dir, "the copy does not hold what the log holds")));
        }
        self.end.set(log.log_end_offset());
        self.synced.set(log.log_end_offset());
        Ok(())
    }

    /// Puts the copy, which is complete, in the place of the log. Returns the directory that the log has left, to be put aside before the
    /// pause ends.
    ///
    /// # Errors
    /// The log is where it was. Unless the error is of storage, nothing is left under the partition's name.
    pub async fn take_place(&self, log: &LogState, _pause: &Pause<'_>) -> Result<Rc<PathBuf>, CopyError> {
        let live = self.log_dir().join(self.partition.to_string());
        let target = |operation: &'static str, e: &std::io::Error| CopyError::Target(LogError::storage(&live, operation, e));
        if self.io.exists(&live).await.map_err(|e| target("stat", &e))? {
            return Err(CopyError::Target(LogError::corrupt(&live, "there is a directory of the partition's name already")));
        }
        self.io.rename(&self.dir, &live).await.map_err(|e| target("rename", &e))?;
        if let Err(error) = self.io.sync_dir(self.log_dir()).await {
            return Err(CopyError::Target(self.take_back(&live, &error).await));
        }
        let left = log.dir();
        log.moved(live);
        Ok(left)
    }

    /// Gives the copy up: no start finds it any more when this returns. What has to be removed is returned.
    ///
    /// # Errors
    /// The device fails.
    pub async fn discard(&self) -> Result<PathBuf, LogError> {
        self.put_aside(&self.dir).await
    }

    fn log_dir(&self) -> &Path {
        self.dir.parent().expect("a partition's directory lies in a log dir")
    }

    /// The rename may not be on the device, so it is undone: while the log goes on elsewhere, nothing here may have its name.
    async fn take_back(&self, live: &Path, why: &std::io::Error) -> LogError {
        let undone = async {
            self.io.rename(live, &self.dir).await?;
            self.io.sync_dir(self.log_dir()).await
        };
        match undone.await {
            Ok(()) => LogError::storage(self.log_dir(), "fsync", why),
            // Whatever the system says of it: this log dir is not to be used on.
            Err(error) => {
                let message = format!("a log that has not moved cannot be renamed back: {error}");
                LogError::Storage(Rc::new(StorageFailure { path: live.to_owned(), message }))
            }
        }
    }

    /// Renames a directory of the partition to `-delete`, durably; returns what has to be removed.
    ///
    /// # Errors
    /// The device fails.
    pub async fn put_aside(&self, dir: &Path) -> Result<PathBuf, LogError> {
        let parent = dir.parent().expect("a partition's directory lies in a log dir");
        let to = parent.join(deleted_dir_name(&self.partition, &unique_id(&self.io)));
        self.io.rename(dir, &to).await.map_err(|e| LogError::storage(dir, "rename", &e))?;
        self.io.sync_dir(parent).await.map_err(|e| LogError::storage(parent, "fsync", &e))?;
        Ok(to)
    }

    async fn advance_to(&self, log: &LogState, leave: u64) -> Result<Option<u64>, CopyError> {
        let mut parts = self.parts.take();
        let advanced = self.step(log, &mut parts, leave).await;
        self.bytes.set(parts.values().map(|part| part.copied).sum());
        *self.parts.borrow_mut() = parts;
        advanced
    }

    async fn step(&self, log: &LogState, parts: &mut Parts, leave: u64) -> Result<Option<u64>, CopyError> {
        let cuts = log.cuts.get();
        if self.cuts.replace(cuts) != cuts {
            self.synced.set(Offset::ZERO);
            self.end.set(log.log_start_offset());
            self.forget(parts, |_| true).await?;
        }
        self.forget(parts, |part| part.segment.removed.get()).await?;
        let Some(segment) = lacking(log, parts, leave) else { return Ok(None) };
        let stepped = async {
            let mut part = match parts.remove(&segment.base) {
                Some(part) => part,
                None => self.begin_part(&segment).await?,
            };
            let copied = self.copy_some(log, &segment, &mut part).await;
            parts.insert(segment.base, part);
            copied
        };
        match stepped.await {
            // It was taken away or cut meanwhile, which the next step finds out.
            Err(CopyError::Source(_)) if segment.removed.get() || log.cuts.get() != cuts => Ok(Some(0)),
            stepped => stepped.map(Some),
        }
    }

    /// The files of a segment, with the producer snapshot at its base offset, which is older than its first record.
    async fn begin_part(&self, segment: &Rc<Segment>) -> Result<Part, CopyError> {
        self.copy_file(segment, SNAPSHOT_SUFFIX).await?;
        let source = Chunks::open(&self.io, segment, CHUNK).await.map_err(CopyError::Source)?;
        let path = self.path(segment, LOG_SUFFIX);
        let target = self.io.open(&path, NEW).await.map_err(|e| target_failed(&path, "create", &e))?;
        Ok(Part { segment: segment.clone(), copied: 0, files: Some((source, target)) })
    }

    /// The next batches of a segment; behind the last one its indexes, if it takes no more.
    async fn copy_some(&self, log: &LogState, segment: &Rc<Segment>, part: &mut Part) -> Result<u64, CopyError> {
        let (size, end, is_active) = (segment.size.get(), log.end_of(segment), segment.base == log.active().base);
        let Some((source, target)) = part.files.as_mut().filter(|_| part.copied <= size) else { return Ok(0) };
        let Some(chunk) = source.next(&self.io, size).await.map_err(CopyError::Source)? else {
            self.end.set(end);
            return if is_active { Ok(0) } else { self.finish_part(segment, part).await };
        };
        let bytes = chunk.len() as u64;
        let check = move || {
            let end = end_of(&chunk);
            (chunk, end)
        };
        let (chunk, copied_end) = self.io.compute(true, check).await;
        let copied_end = copied_end.map_err(|reason| CopyError::Source(LogError::corrupt(&segment.path(LOG_SUFFIX), reason)))?;
        let written = target.write_at(&self.io, part.copied, &[chunk]).await;
        written.map_err(|e| target_failed(&self.path(segment, LOG_SUFFIX), "write", &e))?;
        part.copied += bytes;
        self.end.set(copied_end);
        Ok(bytes)
    }

    /// A segment that takes no more is whole with its indexes.
    async fn finish_part(&self, segment: &Rc<Segment>, part: &mut Part) -> Result<u64, CopyError> {
        let mut bytes = 0;
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX] {
            bytes += self.copy_file(segment, suffix).await?;
        }
        if let Some((_, target)) = &part.files {
            self.sync_log(segment, target).await?;
        }
        part.files = None;
        Ok(bytes)
    }

    /// Copies and syncs one of a segment's small files, if there is one.
    async fn copy_file(&self, segment: &Segment, suffix: &str) -> Result<u64, CopyError> {
        let (from, to) = (segment.path(suffix), self.path(segment, suffix));
        let source = match self.io.open(&from, OpenOptions::READ).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(source_failed(&from, "open", &error)),
        };
        let len = source.len(&self.io).await.map_err(|e| source_failed(&from, "stat", &e))?;
        let target = self.io.open(&to, NEW).await.map_err(|e| target_failed(&to, "create", &e))?;
        let mut at = 0;
        while at < len {
            let wanted = CHUNK.min(len - at) as usize;
            let bytes = source.read_at(&self.io, at, wanted).await.map_err(|e| source_failed(&from, "read", &e))?;
            if bytes.is_empty() {
                break;
            }
            let read = bytes.len() as u64;
            target.write_at(&self.io, at, &[bytes]).await.map_err(|e| target_failed(&to, "write", &e))?;
            at += read;
        }
        target.sync_data(&self.io).await.map_err(|e| target_failed(&to, "fdatasync", &e))?;
        Ok(at)
    }

    /// Removes the files of segments that the log does not have any more.
    async fn forget(&self, parts: &mut Parts, is_gone: impl Fn(&Part) -> bool) -> Result<(), CopyError> {
        let gone: Vec<Offset> = parts.iter().filter(|(_, part)| is_gone(part)).map(|(&base, _)| base).collect();
        for base in gone {
            parts.remove(&base);
            for suffix in SEGMENT_SUFFIXES.into_iter().chain([SNAPSHOT_SUFFIX]) {
                let path = file_path(&self.dir, base, suffix);
                match self.io.remove_file(&path).await {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(target_failed(&path, "remove", &error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Brings the epochs of the log, as they are, into the copy.
    async fn write_epochs(&self, log: &LogState) -> Result<(), CopyError> {
        let epochs = log.epochs.borrow().clone();
        if self.epochs.borrow().as_ref() == Some(&epochs) {
            return Ok(());
        }
        let path = self.dir.join(checkpoint::EPOCH_FILE);
        let content = checkpoint::format_epochs(epochs.entries());
        self.io.replace_file(&path, content.into()).await.map_err(|e| target_failed(&path, "replace", &e))?;
        *self.epochs.borrow_mut() = Some(epochs);
        Ok(())
    }

    /// Syncs the segments that are not whole yet, and all names.
    async fn sync(&self) -> Result<(), CopyError> {
        let growing = |part: &Part| Some((part.segment.clone(), part.files.as_ref()?.1.clone()));
        let growing: Vec<_> = self.parts.borrow().values().filter_map(growing).collect();
        for (segment, file) in growing {
            self.sync_log(&segment, &file).await?;
        }
        self.io.sync_dir(&self.dir).await.map_err(|e| target_failed(&self.dir, "fsync", &e))
    }

    async fn sync_log(&self, segment: &Segment, file: &File) -> Result<(), CopyError> {
        file.sync_data(&self.io).await.map_err(|e| target_failed(&self.path(segment, LOG_SUFFIX), "fdatasync", &e))
    }

    /// Path of one of the copy's files.
    fn path(&self, segment: &Segment, suffix: &str) -> PathBuf {
        file_path(&self.dir, segment.base, suffix)
    }
}

fn source_failed(path: &Path, operation: &str, error: &std::io::Error) -> CopyError {
    CopyError::Source(LogError::storage(path, operation, error))
}

fn target_failed(path: &Path, operation: &str, error: &std::io::Error) -> CopyError {
    CopyError::Target(LogError::storage(path, operation, error))
}

/// The first segment of which something is lacking; of the active one, more than `leave` bytes.
fn lacking(log: &LogState, parts: &Parts, leave: u64) -> Option<Rc<Segment>> {
    let active = log.active().base;
    let lacks = |segment: &&Rc<Segment>| match parts.get(&segment.base) {
        Some(part) if segment.base == active => part.copied + leave < segment.size.get(),
        Some(part) => part.files.is_some(),
        None => true,
    };
    log.segments.borrow().values().find(lacks).cloned()
}

/// Offset behind the last record of some batches, if all of them are as they were written.
fn end_of(batches: &Bytes) -> Result<Offset, String> {
    let mut end = None;
    for batch in Batches::new(batches) {
        let header = match batch {
            Ok(batch) if batch.crc_is_valid() => batch.header,
            Ok(batch) => return Err(format!("the CRC of the batch at offset {} does not hold", batch.header.base_offset)),
            Err(error) => return Err(error.to_string()),
        };
        end = Some(header.next_offset());
    }
    end.ok_or_else(|| "no batch".to_owned())
}
