//! From an offset to slices of files.
//!
//! The last batches are remembered with their places, so a consumer at the tail costs no file read. Older offsets go through the
//! offset index and a walk over at most `index.interval.bytes` of headers. An index entry is believed only if the batch that it
//! leads to is the one that it names; otherwise the index is built again from the log.

use super::LogError;
use super::log::LogState;
use super::offset_index::{OffsetIndex, relative_offset};
use super::recovery::too_far;
use super::scan::{LOOKUP_CHUNK, Scanner, Step};
use super::segment::{INDEX_SUFFIX, LOG_SUFFIX, Located, Segment};
use super::types::{ReadPlan, ReadRequest};
use crate::io::{FileSlice, Io};
use crate::model::Offset;
use crate::record::NO_TIMESTAMP;
use bytes::Bytes;
use std::rc::Rc;

/// Inactive segments of one log that keep descriptor and index in memory.
const OPEN_SEGMENTS: usize = 3;
/// Segments that one plan crosses at most.
const SLICES: usize = 8;

impl LogState {
    /// Where the batches from the one that contains `offset` on lie. Reads no file when the batch is one of the last written.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadPlan, LogError> {
        self.consistent(async || self.read_once(request).await).await
    }

    async fn read_once(&self, request: ReadRequest) -> Result<ReadPlan, LogError> {
        let ReadRequest { offset, max_bytes, at_least_one_batch, .. } = request;
        let (start, end) = (self.log_start.get(), self.log_end.get());
        self.check_usable()?;
        if offset < start || offset > end {
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        self.last_used.set(self.io.now());
        let upper = self.whole_from(offset, request.upper.min(end))?;
        let mut plan = ReadPlan { slices: Vec::new(), base_offset: offset, first_batch_bytes: 0, bytes: 0 };
        let mut next = if offset < upper { self.segment_of(offset) } else { None };
        while let Some(segment) = next {
            if plan.slices.len() == SLICES || segment.base >= upper {
                break;
            }
            let found = if plan.slices.is_empty() { self.locate(&segment, offset).await } else { Ok(None) };
            let found = found.map_err(|error| self.gone(&segment, offset, error))?;
            let position = match found {
                Some(first) if plan.slices.is_empty() && first.base >= upper => break,
                Some(first) => {
                    plan.base_offset = first.base;
                    plan.first_batch_bytes = first.size;
                    first.position
                }
                None if plan.slices.is_empty() => {
                    next = self.segment_after(segment.base); // Compaction may leave nothing behind `offset` here.
                    continue;
                }
                None => 0,
            };
            let limit = self.position_of_upper(&segment, upper).await.map_err(|error| self.gone(&segment, offset, error))?;
            let first = plan.slices.is_empty() && at_least_one_batch;
            let budget = if first { max_bytes.max(plan.first_batch_bytes) } else { max_bytes - plan.bytes };
            let len = limit.saturating_sub(position).min(budget);
            if len > 0 {
                let file = segment.file(&self.io).await.map_err(|error| self.gone(&segment, offset, error))?;
                self.touch(&segment);
                plan.slices.push(FileSlice { file, position, len, hot: segment.is_hot(position) });
                plan.bytes += len;
            }
            if plan.bytes >= max_bytes {
                break;
            }
            next = self.segment_after(segment.base);
        }
        Ok(plan)
    }

    /// A file of a segment that retention took away while it was being looked at is not a failure of the device, nor is one of a log that
    /// was deleted.
    pub(super) fn gone(&self, segment: &Segment, offset: Offset, error: LogError) -> LogError {
        if self.closed.get() {
            return LogError::Closed;
        }
        if !segment.removed.get() {
            return error;
        }
        LogError::OffsetOutOfRange { offset, start: self.log_start.get(), end: self.log_end.get() }
    }

    /// Where the bytes of the segment that may be served end.
    async fn position_of_upper(&self, segment: &Rc<Segment>, upper: Offset) -> Result<u64, LogError> {
        if let Some(position) = self.hole_at(segment, upper) {
            return Ok(position);
        }
        if upper >= self.end_of(segment) {
            return Ok(segment.size.get());
        }
        // The size as it is after the walk: the end may have been cut meanwhile.
        Ok(self.locate(segment, upper).await?.map_or_else(|| segment.size.get(), |batch| batch.position))
    }

    /// The first batch of the segment that ends at or behind `offset`.
    pub(super) async fn locate(&self, segment: &Rc<Segment>, offset: Offset) -> Result<Option<Located>, LogError> {
        if let Some(found) = segment.find_recent(offset) {
            return Ok(Some(found));
        }
        if let Ok(found) = self.locate_by_index(segment, offset).await? {
            return Ok(found);
        }
        tracing::warn!(partition = %self.partition, segment = %segment.base, "the offset index does not fit the log; building it again");
        self.rebuild_index(segment).await?;
        match self.locate_by_index(segment, offset).await? {
            Ok(found) => Ok(found),
            Err(reason) => Err(LogError::corrupt(&segment.path(LOG_SUFFIX), reason)),
        }
    }

    async fn locate_by_index(&self, segment: &Rc<Segment>, offset: Offset) -> Result<Result<Option<Located>, String>, LogError> {
        self.load_index(segment).await?;
        // No walk leads over damaged headers, and one may lead astray.
        let behind = self.hole_before(segment, offset).unwrap_or(0);
        find_by_index(&self.io, segment, offset, behind).await
    }

    /// Makes sure that the segment's offset index is in memory.
    pub(super) async fn load_index(&self, segment: &Rc<Segment>) -> Result<(), LogError> {
        self.touch(segment);
        if segment.index.borrow().is_some() {
            return Ok(());
        }
        let parsed = match self.io.read_file(&segment.path(INDEX_SUFFIX)).await {
            Ok(content) => OffsetIndex::parse(&content, segment.size.get()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(LogError::storage(&segment.path(INDEX_SUFFIX), "read", &error)),
        };
        match parsed {
            Some(index) => {
                segment.index.borrow_mut().get_or_insert(index);
                Ok(())
            }
            None => self.rebuild_index(segment).await,
        }
    }

    /// Builds the offset index from the log, in slices, and replaces the file.
    async fn rebuild_index(&self, segment: &Rc<Segment>) -> Result<(), LogError> {
        let interval = u64::from(self.config().index_interval_bytes);
        let file = segment.file(&self.io).await?;
        let size = segment.size.get();
        let mut scanner = Scanner::headers(file, 0, size, segment.base, super::scan::RECOVERY_CHUNK);
        let copy = Segment::new(self.dir(), segment.base, 0, 0, 0);
        *copy.index.borrow_mut() = Some(OffsetIndex::default());
        loop {
            match scanner.next(&self.io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "read", &e))? {
                Step::Batch(batch) => {
                    if let Some(reason) = too_far(&copy, &batch) {
                        return Err(LogError::corrupt(&segment.path(LOG_SUFFIX), reason));
                    }
                    copy.note(Located::from(&batch), interval);
                }
                Step::End => break,
                Step::Bad(reason) => {
                    let reason = format!("position {}: {reason}", scanner.position());
                    return Err(LogError::corrupt(&segment.path(LOG_SUFFIX), reason));
                }
            }
        }
        if segment.base == self.active().base || segment.removed.get() || segment.size.get() != size {
            // Appended to or cut meanwhile: what was built is not all, and without entries the walk begins at the front.
            *segment.index.borrow_mut() = Some(OffsetIndex::default());
            return Ok(());
        }
        let index = copy.index.borrow_mut().take().expect("made above");
        let (_, content) = index.pending();
        let path = segment.path(INDEX_SUFFIX);
        self.io.replace_file(&path, Bytes::from(content)).await.map_err(|e| LogError::storage(&path, "replace", &e))?;
        *segment.index.borrow_mut() = Some(index);
        Ok(())
    }

    /// Remembers that the segment is in use, and gives back what the least recently used one holds.
    ///
    /// What is not on the device yet stays open: the kernel tells a failed write-back to each file that was open then, so an
    /// `fdatasync` of one that is opened later may say that all is well.
    pub(super) fn touch(&self, segment: &Rc<Segment>) {
        if segment.base == self.active().base {
            return;
        }
        let mut open = self.open_segments.borrow_mut();
        if open.back().is_some_and(|last| Rc::ptr_eq(last, segment)) {
            return;
        }
        open.retain(|other| !Rc::ptr_eq(other, segment));
        open.push_back(segment.clone());
        // A segment that is being swapped in is not found by its name yet.
        if open.len() > OPEN_SEGMENTS && !self.swapping.get() {
            let flushed = |other: &Rc<Segment>| self.end_of(other) <= self.recovery_point.get();
            if let Some(oldest) = open.iter().position(flushed).and_then(|at| open.remove(at))
                && oldest.base != self.active().base
            {
                oldest.release();
            }
        }
    }
}

/// The first batch of the segment that ends at or behind `offset`, by the index that is in memory; a batch begins at `behind`, and none
/// before that is asked for. The inner error: the index leads
/// to something else than it says, or the log is corrupt behind it.
pub(super) async fn find_by_index(
    io: &Io,
    segment: &Segment,
    offset: Offset,
    behind: u64,
) -> Result<Result<Option<Located>, String>, LogError> {
    // An offset too large for an entry is behind all of them.
    let relative = relative_offset(offset, segment.base).unwrap_or(if offset < segment.base { 0 } else { u32::MAX });
    let entry = segment.index.borrow().as_ref().and_then(|index| index.floor(relative));
    let entry = entry.filter(|entry| u64::from(entry.position) >= behind);
    let position = entry.map_or(behind, |entry| u64::from(entry.position));
    let ends_at = entry.map(|entry| segment.base.plus(i64::from(entry.relative)));
    walk_to(io, segment, position, offset, ends_at).await
}

/// The first batch from `position` on that ends at or behind `offset`; the one at `position` has to end at `expected_last`, if that is
/// known.
async fn walk_to(
    io: &Io,
    segment: &Segment,
    position: u64,
    offset: Offset,
    mut expected_last: Option<Offset>,
) -> Result<Result<Option<Located>, String>, LogError> {
    let file = segment.file(io).await?;
    let size = segment.size.get();
    if position > size {
        return Ok(Err(format!("an index entry leads to {position} of {size} bytes")));
    }
    let mut scanner = Scanner::headers(file, position, size, segment.base, LOOKUP_CHUNK);
    loop {
        let step = scanner.next(io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "read", &e))?;
        let batch = match step {
            Step::Batch(batch) => batch,
            Step::End => return Ok(Ok(None)),
            Step::Bad(reason) => return Ok(Err(format!("position {}: {reason}", scanner.position()))),
        };
        let last = batch.last_offset();
        if expected_last.take().is_some_and(|expected| expected != last) {
            return Ok(Err(format!("an index entry leads to the batch that ends at {last}")));
        }
        if last >= offset {
            return Ok(Ok(Some(Located::from(&batch))));
        }
    }
}

impl From<&super::scan::Scanned> for Located {
    fn from(batch: &super::scan::Scanned) -> Self {
        Self {
            base: batch.header.base_offset,
            last: batch.last_offset(),
            position: batch.position,
            size: batch.size,
            // What compaction has emptied has no time that anybody could look for.
            max_timestamp: if batch.header.records_count == 0 { NO_TIMESTAMP } else { batch.header.max_timestamp },
        }
    }
}
