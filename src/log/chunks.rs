//! A segment's batches in pieces, for whoever goes through all of it.

use super::LogError;
use super::segment::{LOG_SUFFIX, Segment};
use crate::io::{File, Io, OpenOptions};
use crate::record::next_batch_size;
use bytes::Bytes;
use std::rc::Rc;

/// Whole batches of a segment, in pieces. The file is opened for this alone, so that readers keep the descriptors that are kept for them.
pub(super) struct Chunks {
    segment: Rc<Segment>,
    file: File,
    position: u64,
    chunk: u64,
}

impl Chunks {
    /// From the start of the segment, `chunk` bytes at once.
    pub(super) async fn open(io: &Io, segment: &Rc<Segment>, chunk: u64) -> Result<Self, LogError> {
        let path = segment.path(LOG_SUFFIX);
        let file = io.open(&path, OpenOptions::READ).await.map_err(|e| LogError::storage(&path, "open", &e))?;
        Ok(Self { segment: segment.clone(), file, position: 0, chunk })
    }

    /// The next whole batches before `end`, where one ends; one at least, which may be larger than a chunk; `None` at the end.
    pub(super) async fn next(&mut self, io: &Io, end: u64) -> Result<Option<Bytes>, LogError> {
        io.yield_if_needed().await;
        let mut wanted = self.chunk.min(end - self.position);
        while self.position < end {
            let path = || self.segment.path(LOG_SUFFIX);
            let read = self.file.read_at(io, self.position, wanted as usize).await;
            let bytes = read.map_err(|e| LogError::storage(&path(), "read", &e))?;
            let bad = |reason: String| LogError::corrupt(&path(), format!("position {}: {reason}", self.position));
            if (bytes.len() as u64) < wanted {
                return Err(bad("the file is shorter than it was".into()));
            }
            let (whole, next) = whole_batches(&bytes).map_err(&bad)?;
            if whole > 0 {
                self.position += whole as u64;
                return Ok(Some(bytes.slice(..whole)));
            }
            // The first batch is larger than what was read, and lies within the file.
            let needed = next.map_or(u64::MAX, |size| size as u64);
            if needed > end - self.position || needed <= wanted {
                return Err(bad(format!("a batch is cut to {} bytes", end - self.position)));
            }
            wanted = needed;
        }
        Ok(None)
    }
}

/// Bytes of the whole batches at the start of `bytes`, and the size of the one that is cut, if so much of it is there.
fn whole_batches(bytes: &[u8]) -> Result<(usize, Option<usize>), String> {
    let mut at = 0;
    loop {
        match next_batch_size(&bytes[at..]).map_err(|error| error.to_string())? {
            Some(size) if size <= bytes.len() - at => at += size,
            next => return Ok((at, next)),
        }
    }
}
