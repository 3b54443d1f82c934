//! Consecutive batches in a buffer: what a produce request, a fetch response, or a piece of a segment holds.

use super::header::{BatchHeader, HEADER_UP_TO_MAGIC_BYTES, LOG_OVERHEAD_BYTES};
use super::records::{Record, Records};
use super::{BATCH_HEADER_BYTES, BatchError, CURRENT_MAGIC, Codec, CompressionError, crc_is_valid, decompress};
use bytes::Bytes;
use std::borrow::Cow;

/// Least batch length in any format (a v0 message without key or value); less is a corrupt size whatever the magic says.
const MIN_LENGTH_OF_ANY_FORMAT: i32 = 14;

/// One whole batch in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// Where it starts in the buffer; a `Bytes` of the buffer is sliced by this and `bytes.len()`.
    pub position: usize,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The first batch of `bytes`, whole.
    ///
    /// # Errors
    /// Truncated, corrupt, or of another format.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size_in_bytes();
        match bytes.get(..size) {
            Some(bytes) => Ok(Self { header, position: 0, bytes }),
            None => Err(BatchError::Truncated { needed: size, available: bytes.len() }),
        }
    }

    /// The bytes after the header, compressed or not.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[BATCH_HEADER_BYTES..]
    }

    /// Whether the CRC holds; one pass over the bytes.
    pub fn crc_is_valid(&self) -> bool {
        crc_is_valid(self.bytes)
    }

    /// The uncompressed payload, for [`Records::new`]: borrowed if it is not compressed, else at most `limit` bytes.
    ///
    /// # Errors
    /// An unknown codec or a malformed stream; more than `limit`.
    pub fn uncompressed_payload(&self, limit: usize) -> Result<Cow<'a, [u8]>, CompressionError> {
        match self.header.attributes.codec() {
            Ok(Codec::None) => Ok(Cow::Borrowed(self.payload())),
            Ok(codec) => decompress(codec, Bytes::copy_from_slice(self.payload()), limit).map(Cow::Owned),
            Err(_) => Err(CompressionError::UnknownCodec),
        }
    }

    /// The records, if they are not compressed; otherwise see [`Batch::uncompressed_payload`].
    pub fn records(&self) -> Option<Records<'a>> {
        (!self.header.attributes.is_compressed()).then(|| Records::new(self.payload(), self.header.records_count))
    }

    /// Offset of one of its records.
    pub fn offset_of(&self, record: &Record<'_>) -> crate::model::Offset {
        crate::model::Offset(self.header.base_offset.0.wrapping_add(i64::from(record.offset_delta)))
    }
}

/// Iterates over the batches of a buffer. Yields whole v2 batches; ends silently before a partial one at the end, and with
/// one error at a size or format that cannot be, after which nothing can be found any more.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    buffer: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Batches from the start of `buffer` on.
    pub fn new(buffer: &'a [u8]) -> Self {
        Self { buffer, position: 0, failed: false }
    }

    /// Bytes of the batches seen so far. After the end: where the partial batch, if any, begins.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not seen. After the end: those of the partial (or unreadable) batch.
    pub fn remaining(&self) -> usize {
        self.buffer.len() - self.position
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'a>>, BatchError> {
        let rest = &self.buffer[self.position..];
        let Some(size) = next_batch_size(rest)? else { return Ok(None) };
        let Some(bytes) = rest.get(..size) else { return Ok(None) };
        let header = BatchHeader::parse(bytes)?;
        let position = self.position;
        self.position += size;
        Ok(Some(Batch { header, position, bytes }))
    }
}

/// Bytes of the batch at the start of `buffer`, in whatever format, or `None` if too little of it is there to know.
///
/// # Errors
/// A length or a magic that no format has.
pub fn next_batch_size(buffer: &[u8]) -> Result<Option<usize>, BatchError> {
    if buffer.len() < HEADER_UP_TO_MAGIC_BYTES {
        return Ok(None);
    }
    let length = i32::from_be_bytes(buffer[8..12].try_into().expect("4 bytes"));
    let magic = buffer[16] as i8;
    if length < MIN_LENGTH_OF_ANY_FORMAT {
        return Err(BatchError::InvalidLength(length));
    }
    if !(0..=CURRENT_MAGIC).contains(&magic) {
        return Err(BatchError::UnsupportedMagic(magic));
    }
    Ok(Some(length as usize + LOG_OVERHEAD_BYTES))
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_batch();
        self.failed = next.is_err();
        next.transpose()
    }
}
