//! Whether what was written long ago is still what was written.
//!
//! A segment is read from its front, checksums and all, past the page cache (long reads leave no pages in it that they had to fetch, see
//! `io`). What is bad is looked at a second time before it counts, and does not count if the segment has changed meanwhile.

use super::LogError;
use super::damage::Hole;
use super::log::LogState;
use super::scan::{Scanner, Step};
use super::segment::{LOG_SUFFIX, Segment};
use crate::io::{File, OpenOptions};
use crate::model::Offset;
use std::rc::Rc;

/// Bytes that are read at once: enough to count as a read that passes by.
const CHUNK: usize = 256 << 10;

/// What a look at a segment has found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Bytes that were read and are good.
    pub bytes: u64,
    /// What is bad of the committed records.
    pub holes: Vec<Hole>,
}

/// A look at one segment.
struct Look {
    segment: Rc<Segment>,
    file: File,
    /// Bytes of the segment when the look began.
    size: u64,
    /// Base offset of the segment behind it, or the log end.
    limit: Offset,
    /// Offset behind the last good batch, and where that ends.
    end: Offset,
    good: u64,
}

impl LogState {
    /// Base offsets of the segments that nobody writes to and all of whose records are below `upper`.
    pub fn cold_segments(&self, upper: Offset) -> Vec<Offset> {
        let segments = self.segments.borrow();
        let ends = segments.keys().skip(1);
        segments.keys().zip(ends).filter(|&(_, &end)| end <= upper).map(|(&base, _)| base).collect()
    }

    /// Base offset of the segment that an error speaks of, if it says that the segment is damaged.
    pub fn segment_in(&self, error: &LogError) -> Option<Offset> {
        let LogError::Corrupt { path, .. } = error else { return None };
        let (base, _) = super::segment::parse_file_name(path.file_name()?.to_str()?)?;
        self.segments.borrow().contains_key(&base).then_some(base)
    }

    /// Reads the segment that begins at `base` and says what is bad of it below `upper`. `pace` is told after each piece how many bytes
    /// were read, may let time pass, and says whether to go on.
    ///
    /// # Errors
    /// The segment cannot be opened. A part that cannot be read is bad.
    pub async fn verify(&self, base: Offset, upper: Offset, pace: impl AsyncFn(u64) -> bool) -> Result<Verified, LogError> {
        let mut verified = Verified::default();
        let Some(segment) = self.segments.borrow().get(&base).cloned() else { return Ok(verified) };
        let path = segment.path(LOG_SUFFIX);
        // For this alone: readers keep the descriptors that are kept for them.
        let file = match self.io.open(&path, OpenOptions::READ).await {
            Ok(file) => file,
            Err(_) if segment.removed.get() => return Ok(verified),
            Err(error) => return Err(LogError::storage(&path, "open", &error)),
        };
        let (size, limit) = (segment.size.get(), self.end_of(&segment));
        let seen = (self.replacements.get(), self.cuts.get());
        let mut look = Look { segment, file, size, limit, end: base, good: 0 };
        let mut scanner = look.scanner(0, base);
        let mut unpaced = 0;
        loop {
            let before = scanner.position();
            let is_good = match scanner.next(&self.io).await {
                Ok(Step::End) => {
                    verified.holes.extend(self.lost_end(&look));
                    break;
                }
                Ok(Step::Batch(batch)) if self.follows(&look, batch.header.base_offset, batch.last_offset()) => {
                    look.end = batch.last_offset().plus(1);
                    look.good = batch.position + batch.size;
                    true
                }
                Ok(_) | Err(_) => false,
            };
            if is_good {
                verified.bytes += look.good - before;
                unpaced += look.good - before;
                if unpaced >= CHUNK as u64 && !pace(std::mem::take(&mut unpaced)).await {
                    return Ok(verified);
                }
                continue;
            }
            if self.is_good_again(&look).await {
                tracing::warn!(path = %path.display(), position = look.good, "it reads well at the second try");
                scanner = look.scanner(look.good, look.end);
                continue;
            }
            let (hole, next) = self.hole_from(&look).await;
            verified.holes.push(hole);
            let Some(next) = next else { break };
            (look.end, look.good) = (hole.to.unwrap_or(look.end), hole.end);
            scanner = next;
        }
        let is_same = look.size <= look.segment.size.get() && !look.segment.removed.get();
        if !is_same || seen != (self.replacements.get(), self.cuts.get()) {
            verified.holes.clear();
        }
        let log_start = self.log_start.get();
        verified.holes.retain(|hole| hole.from < upper && hole.to.is_none_or(|to| to > log_start));
        Ok(verified)
    }

    /// Whether a batch may come next.
    fn follows(&self, look: &Look, base: Offset, last: Offset) -> bool {
        let may_have_gap = self.config().cleanup_policy.compact || base <= self.gaps_below.get();
        (base == look.end || may_have_gap) && last < look.limit
    }

    /// What lies between the last batch of a segment that has ended and the next segment.
    fn lost_end(&self, look: &Look) -> Option<Hole> {
        let may_have_gap = self.config().cleanup_policy.compact || look.limit <= self.gaps_below.get();
        let is_over = self.segment_after(look.segment.base).is_some_and(|next| next.base == look.limit);
        let is_lost = is_over && !may_have_gap && look.end < look.limit;
        is_lost.then_some(Hole { from: look.end, to: Some(look.limit), start: look.good, end: 0 })
    }

    /// Whether the batch that was bad is good when it is read once more.
    async fn is_good_again(&self, look: &Look) -> bool {
        match look.scanner(look.good, look.end).next(&self.io).await {
            Ok(Step::Batch(batch)) => self.follows(look, batch.header.base_offset, batch.last_offset()),
            Ok(Step::End) => true,
            Ok(Step::Bad(_)) | Err(_) => false,
        }
    }

    /// The hole that begins here, and the walk behind it if it goes on in this segment.
    async fn hole_from(&self, look: &Look) -> (Hole, Option<Scanner>) {
        let hole = Hole { from: look.end, to: Some(look.limit), start: look.good, end: 0 };
        let mut scanner = look.scanner(look.good, look.end);
        match scanner.skip_damage(&self.io, Some(look.limit)).await {
            Ok(Some(next)) if next.header.base_offset > look.end => {
                (Hole { to: Some(next.header.base_offset), end: next.position, ..hole }, Some(scanner))
            }
            // What cannot be read hides all behind it.
            Ok(_) | Err(_) => (hole, None),
        }
    }
}

impl Look {
    fn scanner(&self, position: u64, expected: Offset) -> Scanner {
        Scanner::checked(self.file.clone(), position, self.size, expected).in_chunks_of(CHUNK)
    }
}
