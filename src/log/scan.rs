//! Walking the batches of a segment file, in chunks, however large a batch claims to be.
//!
//! The walk believes nothing: a length is bounded by the bytes that are left, offsets must go up, and, if asked to, the CRC is
//! computed over the file, in chunks when a batch is larger than one. So memory stays at one chunk whatever the file says.

use crate::io::{File, Io};
use crate::model::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, HEADER_UP_TO_MAGIC_BYTES, next_batch_size};
use bytes::Bytes;

/// Bytes that recovery reads at once.
pub(super) const RECOVERY_CHUNK: usize = 1 << 20;
/// Bytes that a look-up reads at once: more than the distance of two index entries at Kafka's default.
pub(super) const LOOKUP_CHUNK: usize = 16 << 10;
/// The only format that is served.
const MAGIC: u8 = 2;
/// The part of a batch that its CRC covers begins here.
const CRC_COVERS_FROM: u64 = 21;

/// A batch that was found.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    /// Its header.
    pub(super) header: BatchHeader,
    /// Where it begins.
    pub(super) position: u64,
    /// Its size.
    pub(super) size: u64,
    /// All of it, if it was read in one piece.
    pub(super) bytes: Option<Bytes>,
}

impl Scanned {
    /// Offset of the last record.
    pub(super) fn last_offset(&self) -> Offset {
        self.header.base_offset.plus(i64::from(self.header.last_offset_delta))
    }
}

/// What comes next in the file.
pub(super) enum Step {
    /// A batch.
    Batch(Scanned),
    /// The end, at a batch boundary.
    End,
    /// Bytes that are no whole batch.
    Bad(String),
}

/// A walk over `position..end` of a file.
pub(super) struct Scanner {
    file: File,
    position: u64,
    end: u64,
    /// No batch may begin below this offset.
    expected: Offset,
    chunk: usize,
    check_crc: bool,
    buffer: Bytes,
    buffer_at: u64,
}

impl Scanner {
    /// A walk that reads headers.
    pub(super) fn headers(file: File, position: u64, end: u64, expected: Offset, chunk: usize) -> Self {
        assert!(chunk >= BATCH_HEADER_BYTES, "a chunk holds a header");
        Self { file, position, end, expected, chunk, check_crc: false, buffer: Bytes::new(), buffer_at: position }
    }

    /// A walk that computes checksums too.
    pub(super) fn checked(file: File, position: u64, end: u64, expected: Offset) -> Self {
        Self { check_crc: true, ..Self::headers(file, position, end, expected, RECOVERY_CHUNK) }
    }

    /// The same, in smaller pieces.
    pub(super) fn in_chunks_of(self, chunk: usize) -> Self {
        assert!(chunk >= BATCH_HEADER_BYTES, "a chunk holds a header");
        Self { chunk, ..self }
    }

    /// A walk from elsewhere in the same file, with the same expectations.
    pub(super) fn checked_from(&self, position: u64) -> Self {
        Self { chunk: self.chunk, ..Self::checked(self.file.clone(), position, self.end, self.expected) }
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where the batch at the current position ends, if it is one only as far as its length goes.
    pub(super) async fn behind_header(&self, io: &Io) -> std::io::Result<Option<u64>> {
        let head = self.file.read_at(io, self.position, HEADER_UP_TO_MAGIC_BYTES).await?;
        let size = (head.len() == HEADER_UP_TO_MAGIC_BYTES).then(|| next_batch_size(&head).ok().flatten()).flatten();
        Ok(size.map(|size| self.position + size as u64).filter(|&next| next < self.end))
    }

    /// The first place at or behind `from` that looks like the header of a batch that may come next.
    pub(super) async fn next_candidate(&self, io: &Io, from: u64) -> std::io::Result<Option<u64>> {
        let mut at = from;
        while at + BATCH_HEADER_BYTES as u64 <= self.end {
            let want = self.chunk.max(2 * BATCH_HEADER_BYTES).min((self.end - at) as usize);
            let bytes = self.file.read_at(io, at, want).await?;
            let places = (bytes.len() + 1).saturating_sub(BATCH_HEADER_BYTES);
            if places == 0 {
                break;
            }
            if let Some(place) = (0..places).find(|&place| self.looks_like_header(&bytes[place..], at + place as u64)) {
                return Ok(Some(at + place as u64));
            }
            at += places as u64;
            io.yield_if_needed().await;
        }
        Ok(None)
    }

    fn looks_like_header(&self, here: &[u8], position: u64) -> bool {
        let base = i64::from_be_bytes(here[..8].try_into().expect("eight bytes"));
        let is_near = (self.expected.0..self.expected.0.saturating_add(i64::from(i32::MAX))).contains(&base);
        is_near && here[HEADER_UP_TO_MAGIC_BYTES - 1] == MAGIC && {
            let size = next_batch_size(&here[..HEADER_UP_TO_MAGIC_BYTES]).ok().flatten();
            size.is_some_and(|size| size as u64 <= self.end - position)
        }
    }

    /// Makes sure that `len` bytes from the current position are buffered; `len` is at most a chunk and within the file.
    async fn buffered(&mut self, io: &Io, len: usize) -> std::io::Result<bool> {
        let from = (self.position - self.buffer_at) as usize;
        if from < self.buffer.len() && self.buffer.len() - from >= len {
            return Ok(true);
        }
        let want = self.chunk.min((self.end - self.position) as usize);
        self.buffer = self.file.read_at(io, self.position, want).await?;
        self.buffer_at = self.position;
        Ok(self.buffer.len() >= len)
    }

    fn here(&self) -> &[u8] {
        &self.buffer[(self.position - self.buffer_at) as usize..]
    }

    /// The next batch. After [`Step::Bad`] the position is where the bad bytes begin.
    pub(super) async fn next(&mut self, io: &Io) -> std::io::Result<Step> {
        io.yield_if_needed().await;
        let left = self.end - self.position;
        if left == 0 {
            return Ok(Step::End);
        }
        if left < BATCH_HEADER_BYTES as u64 {
            return Ok(Step::Bad(format!("{left} bytes are less than a batch header")));
        }
        if !self.buffered(io, BATCH_HEADER_BYTES).await? {
            return Ok(Step::Bad("the file is shorter than it was".into()));
        }
        let header = match self.header(left) {
            Ok(header) => header,
            Err(reason) => return Ok(Step::Bad(reason)),
        };
        let size = header.size_in_bytes() as u64;
        let whole = size <= self.chunk as u64 && {
            // What is in a control batch matters to the producer state.
            let wanted = if self.check_crc || header.attributes.is_control() { size as usize } else { BATCH_HEADER_BYTES };
            self.buffered(io, wanted).await? && self.here().len() as u64 >= size
        };
        let from = (self.position - self.buffer_at) as usize;
        let bytes = whole.then(|| self.buffer.slice(from..from + size as usize));
        if self.check_crc
            && !io.planted("recovery trusts checksums")
            && self.crc(io, size, bytes.as_deref()).await? != Some(header.crc)
        {
            return Ok(Step::Bad(format!("the CRC of the batch at offset {} does not hold", header.base_offset)));
        }
        let scanned = Scanned { header, position: self.position, size, bytes };
        self.expected = scanned.last_offset().plus(1);
        self.position += size;
        Ok(Step::Batch(scanned))
    }

    /// The header at the current position, if it can be one.
    fn header(&self, left: u64) -> Result<BatchHeader, String> {
        let here = self.here();
        let size = next_batch_size(&here[..HEADER_UP_TO_MAGIC_BYTES]).map_err(|error| error.to_string())?;
        let header = BatchHeader::parse(here).map_err(|error| error.to_string())?;
        if size.is_none_or(|size| size as u64 > left) {
            return Err(format!("a batch of {} bytes is cut to {left}", header.size_in_bytes()));
        }
        if header.last_offset_delta < 0 || header.base_offset < self.expected {
            let base = header.base_offset;
            return Err(format!("offset {base} (delta {}) where {} is the least", header.last_offset_delta, self.expected));
        }
        if header.base_offset.0.checked_add(i64::from(header.last_offset_delta) + 1).is_none() {
            return Err(format!("offset {} is out of range", header.base_offset));
        }
        Ok(header)
    }

    /// CRC-32C of the batch at the current position; `None` if the file ends.
    async fn crc(&self, io: &Io, size: u64, whole: Option<&[u8]>) -> std::io::Result<Option<u32>> {
        if let Some(batch) = whole {
            return Ok(Some(crc32c::crc32c(&batch[CRC_COVERS_FROM as usize..])));
        }
        let (mut at, end) = (self.position + CRC_COVERS_FROM, self.position + size);
        let mut crc = 0;
        while at < end {
            let bytes = self.file.read_at(io, at, self.chunk.min((end - at) as usize)).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            crc = crc32c::crc32c_append(crc, &bytes);
            at += bytes.len() as u64;
            io.yield_if_needed().await;
        }
        Ok(Some(crc))
    }
}
