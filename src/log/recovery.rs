//! Opening a partition's directory: make it, take it as a clean stop left it, or find out what an unclean stop left.
//!
//! After an unclean stop the segments from the recovery point on are walked batch by batch. Indexes, transaction index, producer
//! state and epochs are built again on the way; the log is cut before the first batch that is not whole, and what lies behind it
//! is dropped. What lies before the recovery point is on the device and is not looked at. After a clean stop only the last index
//! interval is walked; if anything is odd there, the last segment is recovered as after an unclean stop.

use super::epochs::Epochs;
use super::loading::{Loading, NO_LIMIT};
use super::log::{Log, Recovered};
use super::offset_index::{OffsetIndex, relative_offset};
use super::old_format::{MAX_CHECKED_OLD_MESSAGE, OLD_HEAD_BYTES, crc32, old_message};
use super::read::find_by_index;
use super::replay::replay;
use super::retention::discard;
use super::scan::{Scanned, Scanner, Step};
use super::segment::{
    INDEX_SUFFIX, LOG_SUFFIX, Located, SNAPSHOT_SUFFIX, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_path,
};
use super::time_index::TimeIndex;
use super::types::{AbortedTxn, OpenLog};
use super::{Hole, LogConfig, LogError, checkpoint, txn_index};
use crate::io::{FoundFile, Io, OpenOptions};
use crate::model::{Offset, TopicId};
use crate::producer::ProducerStates;
use bytes::Bytes;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Reads and repairs a partition's directory.
pub(super) struct Loader {
    pub(super) io: Io,
    pub(super) dir: Rc<PathBuf>,
    pub(super) config: LogConfig,
    /// Below, offsets may be missing whatever the configuration says by now: compaction has been there.
    pub(super) gaps_below: Offset,
    pub(super) found: RefCell<Found>,
}

/// What is known of the files in the directory.
#[derive(Default)]
pub(super) enum Found {
    /// Nobody has looked.
    #[default]
    Unread,
    /// Names, and what is in the small ones. A start after a clean stop needs no more than that and the last segment.
    Read(Rc<Vec<FoundFile>>),
    /// They are being changed, so each look is a new one.
    Changing,
}

/// Bytes read and written at once where a start writes again what may have missed the device.
const REWRITE_CHUNK: u64 = 1 << 20;

impl Log {
    /// Creates the directory or recovers what is there.
    ///
    /// # Errors
    /// The device fails, the directory belongs to another topic id, or what is there cannot be repaired without losing records
    /// that were acked.
    pub async fn open(io: Io, open: OpenLog) -> Result<Self, LogError> {
        let dir = Rc::new(open.dir.clone());
        let gaps_below = open.cleaned.unwrap_or(Offset::ZERO);
        let loader =
            Loader { io: io.clone(), dir: dir.clone(), config: open.config.clone(), gaps_below, found: RefCell::default() };
        loader.prepare_dir(open.topic_id).await?;
        let recovered = loader.load(&open).await?;
        let log = Self::assemble(io, open.partition, open.topic_id, dir, open.config, recovered);
        Ok(log)
    }
}

impl Loader {
    /// Makes the directory and `partition.metadata`, both durable before there is any data, or checks whose directory it is.
    pub(super) async fn prepare_dir(&self, topic_id: TopicId) -> Result<(), LogError> {
        let storage = |operation: &'static str| move |path: &Path, e: std::io::Error| LogError::storage(path, operation, &e);
        let path = self.dir.join(checkpoint::PARTITION_METADATA_FILE);
        match self.read_optional(&path).await? {
            Some(content) => {
                let found = checkpoint::parse_partition_metadata(&content).map_err(|reason| LogError::corrupt(&path, reason))?;
                let expected = topic_id;
                if found == expected { Ok(()) } else { Err(LogError::InconsistentTopicId { found, expected }) }
            }
            None => {
                self.changing();
                // Without this file nobody has made sure yet that the directory itself would outlive a power loss.
                self.io.create_dir_all(&self.dir).await.map_err(|e| storage("create directory")(&self.dir, e))?;
                if let Some(parent) = self.dir.parent() {
                    self.io.sync_dir(parent).await.map_err(|e| storage("fsync")(parent, e))?;
                }
                let content = Bytes::from(checkpoint::format_partition_metadata(topic_id));
                self.io.replace_file(&path, content).await.map_err(|e| storage("replace")(&path, e))
            }
        }
    }

    async fn load(&self, open: &OpenLog) -> Result<Recovered, LogError> {
        self.complete_swaps().await?;
        let segments = self.find_segments().await?;
        let damage = self.known_damage(open.recovery_point.min(open.high_watermark)).await?;
        let mut loading = Loading::of(segments, Epochs::default());
        (loading.damage, loading.progress) = (damage, open.progress.clone());
        self.load_epochs(&mut loading).await?;
        let mut clean = open.clean_shutdown;
        let mut end = None;
        if clean && let Some(last) = loading.segments.last().cloned() {
            end = self.open_last(&last, &loading.epochs).await?;
            if end.is_none() {
                tracing::warn!(path = %last.path(LOG_SUFFIX).display(), "not as a clean stop leaves it; recovering the segment");
                clean = false;
            }
        }
        let checkpointed = open.log_start_offset;
        let first_base = loading.segments.first().map_or(checkpointed, |segment| segment.base);
        let mut producers = None;
        if !clean && let Some(last) = loading.segments.last() {
            let from = if open.clean_shutdown { last.base } else { open.recovery_point.min(last.base).max(first_base) };
            let (at, states) = self.recover(&mut loading, from, checkpointed.max(first_base)).await?;
            (end, producers) = (Some(at), Some(states));
        }
        let mut log_start = checkpointed.max(first_base);
        let mut log_end = end.unwrap_or(log_start);
        if log_start > log_end && !loading.segments.is_empty() {
            // This broker moves the log start only below what is synced, so this is damage. (Kafka would delete all that is there.)
            let reason = format!(
                "the log start offset {log_start} is above the log end offset {log_end}: records are lost, or the checkpoint is damaged; \
                 take the partition's line out of log-start-offset-checkpoint to open what is there"
            );
            return Err(LogError::corrupt(&self.dir, reason));
        }
        if loading.segments.is_empty() {
            log_start = checkpointed;
            let jitter = roll_jitter(&self.io, &self.config);
            let segment = Segment::create(&self.io, self.dir.clone(), log_start, &self.config, jitter).await?;
            loading.segments.push(Rc::new(segment));
            (log_end, producers) = (log_start, None);
        }
        self.finish(open, loading, producers, log_start, log_end, clean).await
    }

    /// Producer state, epochs and recovery point to the log that was found.
    async fn finish(
        &self,
        open: &OpenLog,
        mut loading: Loading,
        producers: Option<ProducerStates>,
        log_start: Offset,
        log_end: Offset,
        clean: bool,
    ) -> Result<Recovered, LogError> {
        let damage = self.settle_damage(std::mem::take(&mut loading.damage), log_end).await?;
        self.remove_stray_snapshots(&loading.segments, log_end).await?;
        let producers = match producers {
            Some(states) => states,
            None => self.producers_at(log_end, log_start, &loading.segments).await?,
        };
        assert_eq!(producers.end_offset(), log_end, "the producer state is as of the log end");
        // A leader that has written nothing leaves an epoch that begins at the log end, and the next one begins there too. Such epochs
        // are known at each start: the file is not worth a sync before something is appended.
        let cut = loading.epochs.truncate_from_end(log_end);
        loading.epochs_changed |= loading.epochs.truncate_from_start(log_start);
        if loading.epochs_changed {
            self.changing();
            let path = self.dir.join(checkpoint::EPOCH_FILE);
            let content = Bytes::from(checkpoint::format_epochs(loading.epochs.entries()));
            self.io.replace_file(&path, content).await.map_err(|e| LogError::storage(&path, "replace", &e))?;
        }
        for segment in loading.segments.iter().rev().skip(1) {
            segment.release();
        }
        let recovery_point = if clean { log_end } else { open.recovery_point.min(log_end) };
        let segments = loading.segments.into_iter().map(|segment| (segment.base, segment)).collect();
        let epochs_unsaved = cut && !loading.epochs_changed;
        let (cleaned, epochs) = (open.cleaned, loading.epochs);
        Ok(Recovered { segments, log_start, log_end, recovery_point, cleaned, epochs, epochs_unsaved, producers, damage })
    }

    /// Takes the last segment as a clean stop left it and returns the log end offset; `None` if it is not like that.
    async fn open_last(&self, segment: &Rc<Segment>, epochs: &Epochs) -> Result<Option<Offset>, LogError> {
        let size = segment.size.get();
        let index = self.read_optional(&segment.path(INDEX_SUFFIX)).await?.and_then(|c| OffsetIndex::parse(&c, size.max(1)));
        let times = self.read_optional(&segment.path(TIME_INDEX_SUFFIX)).await?.and_then(|c| TimeIndex::parse(&c));
        let (Some(index), Some(times)) = (index, times) else { return Ok(None) };
        let last_entry = index.last();
        *segment.index.borrow_mut() = Some(index);
        let last_time = times.last();
        *segment.time_index.borrow_mut() = times;
        segment.largest_timestamp.set(Some((-1, segment.base)));
        if let Some(entry) = last_time {
            let offset = segment.base.plus(i64::from(entry.relative));
            match find_by_index(&self.io, segment, offset, 0).await? {
                Ok(Some(batch)) if batch.last == offset && batch.max_timestamp == entry.timestamp => {}
                _ => return Ok(None),
            }
            segment.largest_timestamp.set(Some((entry.timestamp, offset)));
        }
        if let Ok(Some(first)) = find_by_index(&self.io, segment, segment.base, 0).await? {
            segment.first_timestamp.set(Some(first.max_timestamp));
        }
        let from = last_entry.map_or(0, |entry| u64::from(entry.position));
        let mut expected = last_entry.map(|entry| segment.base.plus(i64::from(entry.relative)));
        let mut end = segment.base;
        let file = segment.file(&self.io).await?;
        let mut scanner = Scanner::checked(file, from, size, segment.base);
        loop {
            match scanner.next(&self.io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "read", &e))? {
                Step::Batch(batch) => {
                    let base = batch.header.base_offset;
                    let gap = base != end && expected.is_none() && !self.may_have_gap(base);
                    end = batch.last_offset().plus(1);
                    let largest = segment.largest_timestamp.get().map_or(-1, |(timestamp, _)| timestamp);
                    if gap || epochs.at(base) != batch.header.partition_leader_epoch {
                        return Ok(None);
                    }
                    let timestamp = Located::from(&batch).max_timestamp;
                    if expected.take().is_some_and(|offset| offset.plus(1) != end) || timestamp > largest {
                        return Ok(None);
                    }
                }
                Step::End => break,
                Step::Bad(_) => return Ok(None),
            }
        }
        segment.bytes_since_index.set(size - from);
        Ok(Some(end))
    }

    /// Walks the segments from the one that holds `from` on. Returns the log end offset and the producer state there.
    async fn recover(
        &self,
        loading: &mut Loading,
        from: Offset,
        log_start: Offset,
    ) -> Result<(Offset, ProducerStates), LogError> {
        self.changing();
        let first = loading.segments.iter().rposition(|segment| segment.base <= from).unwrap_or(0);
        let base = loading.segments[first].base;
        loading.read.total_bytes = loading.segments[first..].iter().map(|segment| segment.size.get()).sum();
        loading.report();
        let mut states = self.producers_at(base, log_start, &loading.segments[..first]).await?;
        let mut end = base;
        let (mut at, mut was_cut) = (first, false);
        while at < loading.segments.len() {
            let segment = loading.segments[at].clone();
            // A hole between two segments that were never synced is records that the device lost. (Compaction makes holes, too.)
            if segment.base > end && at > first && (was_cut || !self.may_have_gap(segment.base)) {
                tracing::warn!(segment = %segment.path(LOG_SUFFIX).display(), log_end = %end, "records are missing before this segment");
                if !loading.damage.is_hole(end) {
                    break;
                }
                let start = loading.segments[at - 1].size.get();
                loading.damage.push(Hole { from: end, to: Some(segment.base), start, end: 0 });
            }
            let limit = loading.segments.get(at + 1).map(|next| next.base);
            let (segment_end, whole) = self.recover_segment(loading, &segment, limit, &mut states).await?;
            if self.config.sync_every_append() {
                self.write_again(&segment, from).await?;
            }
            end = segment_end;
            at += 1;
            was_cut = !whole;
            if was_cut && !loading.damage.is_hole(end) {
                break;
            }
        }
        loading.adopt_walked_epochs(base);
        for segment in loading.segments.split_off(at) {
            tracing::warn!(segment = %segment.path(LOG_SUFFIX).display(), log_end = %end, "dropping a segment behind the end");
            discard(&self.io, &self.dir, &segment, self.config.file_delete_delay()).await?;
        }
        states.advance_end(end);
        Ok((end, states))
    }

    /// Writes what lies behind the recovery point once more. After a failed `fdatasync` the page cache may hold, as clean, what the
    /// device never got: this start would find it good, and no later sync would write it.
    async fn write_again(&self, segment: &Segment, from: Offset) -> Result<(), LogError> {
        let relative = relative_offset(from.max(segment.base), segment.base);
        let floor = relative.and_then(|relative| segment.index.borrow().as_ref().and_then(|index| index.floor(relative)));
        let mut position = floor.map_or(0, |entry| u64::from(entry.position));
        let (path, file) = (segment.path(LOG_SUFFIX), segment.file(&self.io).await?);
        while position < segment.size.get() {
            let wanted = (segment.size.get() - position).min(REWRITE_CHUNK);
            let bytes = file.read_at(&self.io, position, wanted as usize).await;
            let bytes = bytes.map_err(|e| LogError::storage(&path, "read", &e))?;
            if bytes.is_empty() {
                return Err(LogError::corrupt(&path, "the file is shorter than it was"));
            }
            let read = bytes.len() as u64;
            file.write_at(&self.io, position, &[bytes]).await.map_err(|e| LogError::storage(&path, "write", &e))?;
            position += read;
        }
        Ok(())
    }

    /// Walks a segment and builds everything beside it again. Returns the offset behind its last batch, and whether nothing had to
    /// be cut.
    async fn recover_segment(
        &self,
        loading: &mut Loading,
        segment: &Rc<Segment>,
        limit: Option<Offset>,
        states: &mut ProducerStates,
    ) -> Result<(Offset, bool), LogError> {
        let path = segment.path(LOG_SUFFIX);
        let (file, found) = (segment.file(&self.io).await?, segment.size.get());
        *segment.index.borrow_mut() = Some(OffsetIndex::default());
        *segment.time_index.borrow_mut() = TimeIndex::default();
        segment.first_timestamp.set(None);
        segment.largest_timestamp.set(Some((-1, segment.base)));
        segment.bytes_since_index.set(0);
        let mut aborted = Vec::new();
        let (mut end, mut good) = (segment.base, 0);
        let before = loading.read.done_bytes;
        let mut scanner = Scanner::checked(file, 0, found, segment.base);
        // One batch is held back: whether its epoch is true may show only by the next one.
        let mut held: Option<Scanned> = None;
        let bad = loop {
            let step = scanner.next(&self.io).await.map_err(|e| LogError::storage(&path, "read", &e))?;
            let expected = held.as_ref().map_or(end, |batch| batch.last_offset().plus(1));
            let (next, ended) = match step {
                Step::Batch(batch) => match self.out_of_range(segment, &batch, expected, limit) {
                    Some(reason) => (None, Some(Some(reason))),
                    None => (Some(batch), None),
                },
                Step::End => (None, Some(None)),
                Step::Bad(reason) => (None, Some(Some(reason))),
            };
            if let Some(batch) = held.take() {
                if let Some(reason) = loading.untrue_epoch(&batch, next.as_ref(), limit.is_none()) {
                    break Some(reason);
                }
                loading.walked(&batch);
                aborted.extend(replay(states, &batch));
                segment.note(Located::from(&batch), u64::from(self.config.index_interval_bytes));
                (end, good) = (batch.last_offset().plus(1), batch.position + batch.size);
                loading.read.done_bytes = before + good;
                loading.report();
            }
            match ended {
                None => held = next,
                Some(None) => break None,
                Some(Some(reason)) => match self.step_over(&mut loading.damage, segment, limit, (end, good)).await? {
                    Some((next, behind)) => {
                        tracing::warn!(path = %path.display(), %reason, position = good, from = %end, to = %next, "a hole in the log");
                        (end, scanner) = (next, behind);
                    }
                    None => break Some(reason),
                },
            }
        };
        if let Some(reason) = &bad {
            self.refuse_old_format(segment, good).await?;
            let path = path.display();
            tracing::warn!(%path, %reason, position = good, cut = found - good, log_end = %end, "cutting the log at the first bad batch");
        }
        loading.read.done_bytes = before + found;
        loading.report();
        segment.size.set(good);
        segment.trim_log(&self.io).await?;
        self.write_indexes(segment, &aborted).await?;
        Ok((end, bad.is_none()))
    }

    /// Builds the indexes of a segment again that was cut and is active now. The batches are good; they are read all the same, since
    /// truncation is rare and an index that was cut by guess would mislead for good.
    pub(super) async fn rescan(&self, segment: &Rc<Segment>, epochs: Epochs) -> Result<(), LogError> {
        let mut loading = Loading::of(Vec::new(), epochs);
        // Which transactions were aborted here is known only from where the producer state begins.
        let others: Vec<_> = self.find_segments().await?.into_iter().filter(|other| other.base < segment.base).collect();
        let mut states = self.producers_at(segment.base, segment.base, &others).await?;
        let size = segment.size.get();
        segment.release();
        let (_, whole) = self.recover_segment(&mut loading, segment, None, &mut states).await?;
        if whole && segment.size.get() == size {
            return Ok(());
        }
        Err(LogError::corrupt(&segment.path(LOG_SUFFIX), "a batch before the cut is not whole"))
    }

    /// Whether offsets may be missing in front of `base`: only compaction takes some away.
    fn may_have_gap(&self, base: Offset) -> bool {
        self.config.cleanup_policy.compact || base <= self.gaps_below
    }

    /// What a batch of another segment, or of none, looks like.
    fn out_of_range(&self, segment: &Segment, batch: &Scanned, expected: Offset, limit: Option<Offset>) -> Option<String> {
        let (base, last) = (batch.header.base_offset, batch.last_offset());
        if limit.is_some_and(|next| last >= next) {
            return Some(format!("offset {last} belongs into the next segment"));
        }
        // Base offsets are not under the CRC.
        if base != expected && !self.may_have_gap(base) {
            return Some(format!("offset {base} where {expected} has to follow"));
        }
        too_far(segment, batch)
    }

    /// A log of Kafka's old message formats is not a torn tail: it is refused, not cut.
    async fn refuse_old_format(&self, segment: &Segment, good: u64) -> Result<(), LogError> {
        if good > 0 {
            return Ok(());
        }
        let path = segment.path(LOG_SUFFIX);
        let file = segment.file(&self.io).await?;
        let read = |len: u64| file.read_at(&self.io, 0, len as usize);
        let storage = |e: std::io::Error| LogError::storage(&path, "read", &e);
        let head = read(OLD_HEAD_BYTES).await.map_err(storage)?;
        let Some((length, magic)) = old_message(&head) else { return Ok(()) };
        let end = 12 + u64::from(length);
        if end > segment.size.get() {
            return Ok(());
        }
        // The head of a new batch that was torn behind its length looks the same, but for the checksum.
        if length <= MAX_CHECKED_OLD_MESSAGE {
            let message = read(end).await.map_err(storage)?;
            if message.get(12..16) != Some(&crc32(message.get(16..).unwrap_or_default()).to_be_bytes()) {
                return Ok(());
            }
        }
        Err(LogError::corrupt(&path, format!("message format v{magic} is not supported")))
    }

    /// Replaces the index files of a recovered segment.
    async fn write_indexes(&self, segment: &Segment, aborted: &[AbortedTxn]) -> Result<(), LogError> {
        segment.note_largest_timestamp();
        let (_, offsets) = segment.index.borrow().as_ref().expect("built before").pending();
        let (_, times) = segment.time_index.borrow().pending();
        let txns: Vec<u8> = aborted.iter().flat_map(txn_index::encode).collect();
        let options = OpenOptions { write: true, create: true, exclusive: false, truncate: true };
        for (suffix, content) in [(INDEX_SUFFIX, offsets), (TIME_INDEX_SUFFIX, times), (TXN_INDEX_SUFFIX, txns)] {
            let path = segment.path(suffix);
            if suffix == TXN_INDEX_SUFFIX && content.is_empty() {
                self.remove_optional(&path).await?;
                continue;
            }
            let file = self.io.open(&path, options).await.map_err(|e| LogError::storage(&path, "create", &e))?;
            if !content.is_empty() {
                file.write_at(&self.io, 0, &[content.into()]).await.map_err(|e| LogError::storage(&path, "write", &e))?;
            }
        }
        if let Some(index) = segment.index.borrow_mut().as_mut() {
            index.mark_written(usize::MAX);
        }
        segment.time_index.borrow_mut().mark_written(usize::MAX);
        segment.synced.set(false);
        Ok(())
    }

    /// Epochs from the checkpoint, or from the log if that is absent or damaged.
    async fn load_epochs(&self, loading: &mut Loading) -> Result<(), LogError> {
        let path = self.dir.join(checkpoint::EPOCH_FILE);
        let content = self.read_optional(&path).await?;
        if let Some(content) = &content {
            let parsed = checkpoint::parse_epochs(content);
            match parsed.and_then(|entries| Epochs::new(entries).ok_or_else(|| "the epochs do not grow".to_owned())) {
                Ok(epochs) => {
                    loading.epoch_limit = if epochs.entries().is_empty() { NO_LIMIT } else { epochs.latest() };
                    loading.epochs = epochs;
                    return Ok(());
                }
                Err(reason) => tracing::warn!(path = %path.display(), reason, "damaged; finding the epochs in the log"),
            }
        }
        loading.epochs_changed = content.is_some();
        for segment in &loading.segments {
            let file = segment.file(&self.io).await?;
            let mut scanner = Scanner::headers(file, 0, segment.size.get(), segment.base, super::scan::RECOVERY_CHUNK);
            while let Step::Batch(batch) =
                scanner.next(&self.io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "read", &e))?
            {
                if batch.header.partition_leader_epoch > loading.epochs.latest() {
                    let (epoch, start) = (batch.header.partition_leader_epoch, batch.header.base_offset);
                    loading.epochs_changed |= loading.epochs.assign(epoch, start);
                }
            }
            segment.release();
        }
        Ok(())
    }

    /// Snapshots that belong to no segment, except the newest, and those behind the log end.
    async fn remove_stray_snapshots(&self, segments: &[Rc<Segment>], log_end: Offset) -> Result<(), LogError> {
        let offsets = self.snapshots().await?;
        let newest = offsets.iter().rev().copied().find(|&offset| offset <= log_end);
        for offset in offsets {
            let of_a_segment = segments.iter().any(|segment| segment.base == offset);
            if offset > log_end || (!of_a_segment && Some(offset) != newest) {
                tracing::info!(path = %file_path(&self.dir, offset, SNAPSHOT_SUFFIX).display(), "removing a stray producer snapshot");
                self.remove_snapshot(offset).await?;
            }
        }
        Ok(())
    }

    /// From here on files come and go.
    pub(super) fn changing(&self) {
        *self.found.borrow_mut() = Found::Changing;
    }

    /// The files of the directory, unless they are being changed or there is no directory.
    pub(super) async fn found_files(&self) -> Result<Option<Rc<Vec<FoundFile>>>, LogError> {
        match &*self.found.borrow() {
            Found::Unread => {}
            Found::Read(files) => return Ok(Some(files.clone())),
            Found::Changing => return Ok(None),
        }
        let is_read_at_a_start = |name: &str| !name.ends_with(LOG_SUFFIX) && !name.ends_with(TXN_INDEX_SUFFIX);
        match self.io.read_small_files(&self.dir, is_read_at_a_start).await {
            Ok(files) => {
                let files = Rc::new(files);
                *self.found.borrow_mut() = Found::Read(files.clone());
                Ok(Some(files))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::storage(&self.dir, "read directory", &error)),
        }
    }

    /// A file of the directory, if it is there.
    pub(super) async fn read_optional(&self, path: &Path) -> Result<Option<Bytes>, LogError> {
        if let Some(files) = self.found_files().await? {
            match files.iter().find(|file| path.file_name().is_some_and(|name| name == &*file.name)) {
                None => return Ok(None),
                Some(FoundFile { content: Some(content), .. }) => return Ok(Some(content.clone())),
                // Too long, or it has an error to tell.
                Some(FoundFile { content: None, .. }) => {}
            }
        }
        match self.io.read_file(path).await {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::storage(path, "read", &error)),
        }
    }

    pub(super) async fn remove_optional(&self, path: &Path) -> Result<(), LogError> {
        self.changing();
        match self.io.remove_file(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LogError::storage(path, "remove", &error)),
            _ => Ok(()),
        }
    }
}

/// A batch whose offset or position the indexes cannot hold.
pub(super) fn too_far(segment: &Segment, batch: &Scanned) -> Option<String> {
    let last = batch.last_offset();
    let fits = relative_offset(last, segment.base).is_some() && u32::try_from(batch.position).is_ok();
    (!fits).then(|| format!("offset {last} at {} is too far from the segment's base offset", batch.position))
}

/// A random part of `segment.jitter.ms`, by which a segment rolls early.
pub(super) fn roll_jitter(io: &Io, config: &LogConfig) -> i64 {
    let limit = config.segment_jitter_ms.min(config.max_segment_ms());
    if limit <= 0 { 0 } else { (u64::from_le_bytes(io.random::<8>()) % limit as u64) as i64 }
}
