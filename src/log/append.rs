//! Writing behind the end: one gathered write for all that waits, rolls in between.
//!
//! A leader numbers what it appends and its offsets have no holes. A follower appends what its leader has, as it is: offsets and epochs
//! are the leader's, and where the leader's log was compacted some offsets are missing.

use super::log::LogState;
use super::replay::replay;
use super::scan::Scanned;
use super::segment::TXN_INDEX_SUFFIX;
use super::segment::{Located, SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, Segment, file_path};
use super::txn_index;
use super::types::{AbortedTxn, AppendBatch, Appended};
use super::{LogConfig, LogError};
use crate::io::OpenOptions;
use crate::model::Offset;
use crate::record::{BATCH_HEAD_BYTES, BATCH_HEADER_BYTES, BatchHeader, numbered_head};
use bytes::{Bytes, BytesMut};
use std::rc::Rc;

/// A compacted segment is on the device before the next one begins; not to wait long then, it is flushed this often before.
const FLUSHES_PER_SEGMENT: u64 = 8;

/// Who has numbered the batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbered {
    /// This broker, just now: heads are written anew, and the producers have the batches tentatively.
    Here,
    /// The leader that they were fetched from.
    ByLeader,
}

impl LogState {
    /// Writes the batches, in order, behind the log end offset as one sequential write (more only where a segment is rolled
    /// between them). Calls that overlap are done in the order in which they were first polled.
    ///
    /// On an error, batches below [`LogState::log_end_offset`] are in the log (where a segment was rolled between them and the
    /// ones that failed) and the others are not: the file is cut back to the last good end, or, if that fails too, the log has
    /// [`LogState::failure`] for good. Everything tentative in [`LogState::producers`] is forgotten then.
    pub async fn append(&self, batches: Vec<AppendBatch>) -> Result<Appended, LogError> {
        let _turn = self.writer.enter().await;
        let result = self.append_in_turn(&batches, Numbered::Here).await;
        if result.is_err() {
            self.producers.borrow_mut().rollback();
        }
        result
    }

    /// The same with batches that a leader has, which are written as they are; their checksums have been looked at. The first one begins
    /// at the log end offset or, where compaction has taken offsets away, behind it. They are entered into [`LogState::producers`] and,
    /// where a transaction ends with them, into the transaction index.
    ///
    /// # Errors
    /// As [`LogState::append`]; what is below the log end offset then is in the log.
    pub async fn append_as_follower(&self, batches: Vec<AppendBatch>) -> Result<Appended, LogError> {
        let _turn = self.writer.enter().await;
        self.append_in_turn(&batches, Numbered::ByLeader).await
    }

    async fn append_in_turn(&self, batches: &[AppendBatch], numbered: Numbered) -> Result<Appended, LogError> {
        self.check_usable()?;
        let config = self.config();
        self.check_batches(batches, numbered, &config)?;
        self.last_used.set(self.io.now());
        let mut rolled = false;
        let mut rest = batches;
        while let Some(first) = rest.first() {
            if self.must_roll(first, &config) {
                self.skip_to(first.base_offset);
                self.roll(first.base_offset, &config).await?;
                rolled = true;
            }
            let active = self.active();
            if active.open_files() == 0 {
                self.wait_for_descriptors().await;
            }
            active.open_indexes(&self.io).await?;
            active.write_indexes(&self.io, false).await?;
            let (group, behind) = rest.split_at(self.fitting(rest, &active, &config));
            self.write_group(group, numbered, &active, &config).await?;
            rest = behind;
        }
        let unflushed = self.log_end.get().0 - self.recovery_point.get().0;
        Ok(Appended { log_end_offset: self.log_end.get(), rolled, flush_due: unflushed >= config.flush_messages })
    }

    fn check_batches(&self, batches: &[AppendBatch], numbered: Numbered, config: &LogConfig) -> Result<(), LogError> {
        let mut expected = self.log_end.get();
        for batch in batches {
            let fits = match numbered {
                Numbered::Here => batch.base_offset == expected,
                Numbered::ByLeader => batch.base_offset >= expected,
            };
            if !fits {
                return Err(LogError::UnexpectedAppendOffset { offset: batch.base_offset, expected });
            }
            assert!(batch.bytes.len() >= BATCH_HEADER_BYTES, "a batch has a header");
            assert!(batch.last_offset >= batch.base_offset, "a batch covers an offset");
            // What a leader has taken stays as it is: a larger one has a segment of its own.
            if numbered == Numbered::Here && batch.bytes.len() > config.segment_bytes as usize {
                return Err(LogError::RecordListTooLarge { bytes: batch.bytes.len(), limit: config.segment_bytes });
            }
            expected = batch.last_offset.plus(1);
        }
        Ok(())
    }

    /// Kafka's `LogSegment.shouldRoll`.
    fn must_roll(&self, batch: &AppendBatch, config: &LogConfig) -> bool {
        let active = self.active();
        let size = active.size.get();
        let full = size > 0 && size + batch.bytes.len() as u64 > u64::from(config.segment_bytes);
        let overflow = batch.last_offset.0 - active.base.0 > i64::from(i32::MAX);
        let aged = size > 0 && age(&active, batch, self.io.wall_clock_ms()) > config.max_segment_ms() - active.roll_jitter_ms;
        full || overflow || aged || (size > 0 && active.index_room(config) == 0)
    }

    /// How many of the batches the active segment takes; the first one always.
    fn fitting(&self, batches: &[AppendBatch], active: &Segment, config: &LogConfig) -> usize {
        let mut size = active.size.get();
        let first_timestamp = active.first_timestamp.get().unwrap_or(batches[0].max_timestamp);
        let mut count = 0;
        for batch in batches.iter().take(active.index_room(config).max(1)) {
            size += batch.bytes.len() as u64;
            let overflow = batch.last_offset.0 - active.base.0 > i64::from(i32::MAX);
            let aged = first_timestamp >= 0
                && batch.max_timestamp.saturating_sub(first_timestamp) > config.max_segment_ms() - active.roll_jitter_ms;
            if count > 0 && (overflow || aged || size > u64::from(config.segment_bytes)) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Compaction has taken what lies between the log end and `offset`, on the leader: the log ends there from now on.
    fn skip_to(&self, offset: Offset) {
        if offset > self.log_end.get() {
            self.note_gap_before(offset);
            self.log_end.set(offset);
            self.producers.borrow_mut().advance_end(offset);
        }
    }

    /// A start must not take missing offsets for a loss, also if the topic is not a compacted one any more.
    fn note_gap_before(&self, offset: Offset) {
        self.gaps_below.set(self.gaps_below.get().max(offset));
        if !self.config().cleanup_policy.compact {
            self.cleaned.set(self.cleaned.get().max(Some(offset)));
        }
    }

    /// One gathered write, then the new end.
    async fn write_group(
        &self,
        group: &[AppendBatch],
        numbered: Numbered,
        active: &Segment,
        config: &LogConfig,
    ) -> Result<(), LogError> {
        for batch in group.iter().filter(|batch| batch.leader_epoch > self.latest_epoch()) {
            self.assign_epoch(batch.leader_epoch, batch.base_offset).await?;
        }
        if self.epochs_unsaved.get() {
            self.save_epochs().await?;
        }
        let position = active.size.get();
        let (pieces, bytes) = match numbered {
            Numbered::Here => gather(group),
            Numbered::ByLeader => gather_as_it_is(group),
        };
        let file = active.file(&self.io).await?;
        active.reserve(&self.io, &file, bytes, config).await?;
        if let Err(error) = file.write_at(&self.io, position, &pieces).await {
            let error = LogError::storage(&active.path(super::segment::LOG_SUFFIX), "write", &error);
            // An unknown part has been written. What a reader of the file must never find goes now, or the log is of no use.
            if !self.io.planted("failed write left in the file")
                && let Err(cut) = active.trim_log(&self.io).await
            {
                self.fail(&cut);
            }
            return Err(error);
        }
        let mut position = position;
        for batch in group {
            let size = batch.bytes.len() as u64;
            let (base, last, max_timestamp) = (batch.base_offset, batch.last_offset, batch.max_timestamp);
            active.wrote(Located { base, last, position, size, max_timestamp }, config);
            position += size;
        }
        let end = group.last().expect("a group has a batch").last_offset.plus(1);
        let replays = numbered == Numbered::ByLeader && !self.io.planted("producers forgotten by followers");
        let aborted = if replays { self.replay_group(group) } else { Vec::new() };
        self.log_end.set(end);
        self.producers.borrow_mut().commit(end);
        if !aborted.is_empty() {
            self.note_aborted(active, &aborted).await?;
        }
        self.unflushed_bytes.set(self.unflushed_bytes.get() + bytes);
        let is_much = self.unflushed_bytes.get() >= u64::from(config.segment_bytes) / FLUSHES_PER_SEGMENT;
        if config.cleanup_policy.compact && is_much && !self.flushing.get() {
            self.flush_in_background(end);
        }
        Ok(())
    }

    /// What a leader's batches say of producers; the aborted transactions that end with them come out.
    fn replay_group(&self, group: &[AppendBatch]) -> Vec<AbortedTxn> {
        let mut expected = self.log_end.get();
        let mut aborted = Vec::new();
        for batch in group {
            if batch.base_offset > expected {
                self.note_gap_before(batch.base_offset);
            }
            expected = batch.last_offset.plus(1);
            let Ok(header) = BatchHeader::parse(&batch.bytes) else { continue };
            let (size, bytes) = (batch.bytes.len() as u64, Some(batch.bytes.clone()));
            aborted.extend(replay(&mut self.producers.borrow_mut(), &Scanned { header, position: 0, size, bytes }));
        }
        aborted
    }

    /// Adds to the transaction index of a segment. What is lost of it with a power loss a start finds again in the log.
    async fn note_aborted(&self, segment: &Segment, aborted: &[AbortedTxn]) -> Result<(), LogError> {
        let path = segment.path(TXN_INDEX_SUFFIX);
        let options = OpenOptions { write: true, create: true, exclusive: false, truncate: false };
        let content: Vec<u8> = aborted.iter().flat_map(txn_index::encode).collect();
        let file = self.io.open(&path, options).await.map_err(|e| LogError::storage(&path, "open", &e))?;
        let end = file.len(&self.io).await.map_err(|e| LogError::storage(&path, "stat", &e))?;
        file.write_at(&self.io, end, &[content.into()]).await.map_err(|e| LogError::storage(&path, "write", &e))?;
        self.dir_unsynced.set(true);
        Ok(())
    }

    fn flush_in_background(&self, up_to: Offset) {
        let log = self.clone_handle();
        self.io.spawn(async move {
            // A failure is kept by the log, and told to whoever listens.
            let _ = log.flush(up_to).await;
        });
    }

    /// Begins a new segment at `base`, the log end offset. The old one is finished here and synced in the background; that of a
    /// compacted log before the new one is there.
    pub(super) async fn roll(&self, base: Offset, config: &LogConfig) -> Result<(), LogError> {
        assert_eq!(base, self.log_end.get(), "a segment begins at the log end offset");
        let old = self.active();
        assert!(base > old.base, "a segment without records is not rolled");
        let no_flush = self.keep_flushes_out().await;
        old.finish(&self.io).await?;
        *old.unsynced_snapshot.borrow_mut() = Some(self.write_snapshot(base).await?);
        if config.cleanup_policy.compact && !self.io.planted("new segment before the old one is on the device") {
            // A start takes offsets that are missing between two segments for compaction's work: no power loss may take any there.
            self.sync().await?;
        }
        if self.recovery_point.get() >= base {
            // A restart will look at nothing before the new segment then, so the old one's indexes must be safe before it exists.
            let synced = old.sync_all(&self.io).await;
            synced.inspect_err(|error| {
                if error.is_storage() {
                    self.fail(error)
                }
            })?;
        }
        let new = match Segment::create(&self.io, self.dir(), base, config, self.jitter(config)).await {
            Ok(new) => new,
            Err(error) => return Err(self.forget_segment(base, error).await),
        };
        self.segments.borrow_mut().insert(base, Rc::new(new));
        self.dir_unsynced.set(true);
        drop(no_flush);
        self.touch(&old);
        self.flush_in_background(base);
        Ok(())
    }

    /// A segment could not be made. What there is of it must go: at a restart it would claim offsets that the old one may get yet.
    async fn forget_segment(&self, base: Offset, error: LogError) -> LogError {
        for suffix in SEGMENT_SUFFIXES {
            let path = file_path(&self.dir(), base, suffix);
            match self.io.remove_file(&path).await {
                Err(left) if left.kind() != std::io::ErrorKind::NotFound => self.fail(&LogError::storage(&path, "remove", &left)),
                _ => {}
            }
        }
        error
    }

    /// Writes the committed producer state to `<offset>.snapshot`; it is on the device when the returned file is synced.
    pub(super) async fn write_snapshot(&self, offset: Offset) -> Result<crate::io::File, LogError> {
        let content = {
            let producers = self.producers.borrow();
            assert_eq!(producers.end_offset(), offset, "a snapshot holds what was written before its offset");
            producers.snapshot()
        };
        let path = file_path(&self.dir(), offset, SNAPSHOT_SUFFIX);
        let options = OpenOptions { write: true, create: true, exclusive: false, truncate: true };
        let file = self.io.open(&path, options).await.map_err(|e| LogError::storage(&path, "create", &e))?;
        file.write_at(&self.io, 0, &[content.into()]).await.map_err(|e| LogError::storage(&path, "write", &e))?;
        self.dir_unsynced.set(true);
        Ok(file)
    }

    /// A random part of `segment.jitter.ms`.
    pub(super) fn jitter(&self, config: &LogConfig) -> i64 {
        super::recovery::roll_jitter(&self.io, config)
    }
}

/// Time that the oldest records of the segment have waited for a roll: record time if they have it, else the clock's.
fn age(active: &Segment, batch: &AppendBatch, now_ms: i64) -> i64 {
    match active.first_timestamp.get() {
        Some(first) if first >= 0 => batch.max_timestamp.saturating_sub(first),
        _ => now_ms.saturating_sub(active.created_ms),
    }
}

/// What is written for the batches: a numbered head of 16 bytes, then the rest of the buffer that came from the socket.
fn gather(group: &[AppendBatch]) -> (Vec<Bytes>, u64) {
    let mut heads = BytesMut::with_capacity(group.len() * BATCH_HEAD_BYTES);
    for batch in group {
        heads.extend_from_slice(&numbered_head(&batch.bytes, batch.base_offset, batch.leader_epoch));
    }
    let mut heads = heads.freeze();
    let mut pieces = Vec::with_capacity(group.len() * 2);
    let mut bytes = 0;
    for batch in group {
        pieces.push(heads.split_to(BATCH_HEAD_BYTES));
        pieces.push(batch.bytes.slice(BATCH_HEAD_BYTES..));
        bytes += batch.bytes.len() as u64;
    }
    (pieces, bytes)
}

/// Batches that have their numbers.
fn gather_as_it_is(group: &[AppendBatch]) -> (Vec<Bytes>, u64) {
    let bytes = group.iter().map(|batch| batch.bytes.len() as u64).sum();
    (group.iter().map(|batch| batch.bytes.clone()).collect(), bytes)
}
