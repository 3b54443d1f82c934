//! The records of a batch, once uncompressed. Everything borrows from the buffer; every length is checked against the bytes
//! that are left, and a record must fill exactly the size it declares.
//!
//! ```text
//! size varint | attributes i8 | timestampDelta varlong | offsetDelta varint | keySize varint, key | valueSize varint, value
//!             | headerCount varint, then each: keySize varint, key | valueSize varint, value
//! ```
//! A size of -1 is null; a header's key is never null. Kafka takes any negative size as null, and so do we.

use super::varint::{VarintError, read_varint, read_varlong, varint_len, varlong_len, write_varint, write_varlong};

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordFormatError {
    /// A variable-length integer is malformed or cut.
    #[error("found invalid record structure: {0}")]
    Varint(#[from] VarintError),
    /// A size goes past the end of the record or of the batch.
    #[error("found invalid record structure: a size of {size} with {available} bytes left")]
    SizeOutOfBounds {
        /// Declared size.
        size: i32,
        /// Bytes that are there.
        available: usize,
    },
    /// The record has bytes after its last header.
    #[error("invalid record size: {0} bytes are left over in the record")]
    BytesLeftInRecord(usize),
    /// The batch has bytes after its last record.
    #[error("incorrect declared batch size, records still remaining in file")]
    BytesLeftInBatch,
    /// The batch ends before its last record.
    #[error("incorrect declared record count, the batch ends before record {0}")]
    MissingRecord(i32),
    /// The number of headers is negative, or there are more than bytes.
    #[error("found invalid number of record headers {0}")]
    HeaderCount(i32),
    /// The key of a header is null.
    #[error("invalid negative header key size {0}")]
    NullHeaderKey(i32),
}

/// One header of a record.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record, borrowed from its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Not used by any format so far, kept as it is.
    pub attributes: i8,
    /// Milliseconds after the base timestamp of the batch, possibly negative.
    pub timestamp_delta: i64,
    /// Offsets after the base offset of the batch.
    pub offset_delta: i32,
    /// Key, or null.
    pub key: Option<&'a [u8]>,
    /// Value, or null (a tombstone on a compacted topic).
    pub value: Option<&'a [u8]>,
    /// Headers; checked, so that iterating cannot fail.
    pub headers: Headers<'a>,
}

/// The headers of a record: count and bytes, checked when the record was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Self = Self { left: 0, bytes: &[] };
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let mut position = 0;
        let key = read_bytes(self.bytes, &mut position).expect("headers were checked").expect("header keys are not null");
        let value = read_bytes(self.bytes, &mut position).expect("headers were checked");
        self.bytes = &self.bytes[position..];
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// What checking a batch needs of a record: the rest is skipped, though its sizes are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordShape {
    /// Attributes as they are.
    pub attributes: i8,
    /// Milliseconds after the base timestamp of the batch.
    pub timestamp_delta: i64,
    /// Offsets after the base offset of the batch.
    pub offset_delta: i32,
    /// Whether the key is not null.
    pub has_key: bool,
    /// Whether the value is not null.
    pub has_value: bool,
}

#[inline]
fn read_bytes<'a>(body: &'a [u8], position: &mut usize) -> Result<Option<&'a [u8]>, RecordFormatError> {
    let size = read_varint(body, position)?;
    if size < 0 {
        return Ok(None);
    }
    let available = body.len() - *position;
    if size as usize > available {
        return Err(RecordFormatError::SizeOutOfBounds { size, available });
    }
    let start = *position;
    *position += size as usize;
    Ok(Some(&body[start..*position]))
}

/// Reads the size at `*position` and gives the record's body, moving past it.
#[inline]
fn read_body<'a>(payload: &'a [u8], position: &mut usize) -> Result<&'a [u8], RecordFormatError> {
    let mut at = *position;
    let size = read_varint(payload, &mut at)?;
    let available = payload.len() - at;
    if size < 0 || size as usize > available {
        return Err(RecordFormatError::SizeOutOfBounds { size, available });
    }
    *position = at + size as usize;
    Ok(&payload[at..*position])
}

fn skip_headers(body: &[u8], position: &mut usize, count: i32) -> Result<(), RecordFormatError> {
    // Each header takes two bytes at least, but Kafka compares with the bytes.
    if count < 0 || count as usize > body.len() - *position {
        return Err(RecordFormatError::HeaderCount(count));
    }
    for _ in 0..count {
        let mut peek = *position;
        let key_size = read_varint(body, &mut peek)?;
        if key_size < 0 {
            return Err(RecordFormatError::NullHeaderKey(key_size));
        }
        read_bytes(body, position)?;
        read_bytes(body, position)?;
    }
    Ok(())
}

#[inline]
fn read_attributes(body: &[u8], position: &mut usize) -> Result<i8, RecordFormatError> {
    let attributes = *body.get(*position).ok_or(VarintError::Incomplete)?;
    *position += 1;
    Ok(attributes as i8)
}

/// Reads the record at `*position` of an uncompressed payload and moves past it.
///
/// # Errors
/// Whatever is wrong with the record; `*position` is then of no use.
pub fn read_record<'a>(payload: &'a [u8], position: &mut usize) -> Result<Record<'a>, RecordFormatError> {
    let body = read_body(payload, position)?;
    let mut at = 0;
    let attributes = read_attributes(body, &mut at)?;
    let timestamp_delta = read_varlong(body, &mut at)?;
    let offset_delta = read_varint(body, &mut at)?;
    let key = read_bytes(body, &mut at)?;
    let value = read_bytes(body, &mut at)?;
    let count = read_varint(body, &mut at)?;
    let headers_start = at;
    skip_headers(body, &mut at, count)?;
    if at != body.len() {
        return Err(RecordFormatError::BytesLeftInRecord(body.len() - at));
    }
    let headers = Headers { left: count, bytes: &body[headers_start..at] };
    Ok(Record { attributes, timestamp_delta, offset_delta, key, value, headers })
}

/// Reads only the shape of the record at `*position` and moves past it; checks as much as [`read_record`].
///
/// # Errors
/// As [`read_record`].
#[inline]
pub fn read_shape(payload: &[u8], position: &mut usize) -> Result<RecordShape, RecordFormatError> {
    let body = read_body(payload, position)?;
    let mut at = 0;
    let attributes = read_attributes(body, &mut at)?;
    let timestamp_delta = read_varlong(body, &mut at)?;
    let offset_delta = read_varint(body, &mut at)?;
    let has_key = read_bytes(body, &mut at)?.is_some();
    let has_value = read_bytes(body, &mut at)?.is_some();
    let count = read_varint(body, &mut at)?;
    if count != 0 {
        skip_headers(body, &mut at, count)?;
    }
    if at != body.len() {
        return Err(RecordFormatError::BytesLeftInRecord(body.len() - at));
    }
    Ok(RecordShape { attributes, timestamp_delta, offset_delta, has_key, has_value })
}

/// Iterates over the records of an uncompressed payload: exactly as many as the batch declares, which must fill it. Ends
/// after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    payload: &'a [u8],
    position: usize,
    index: i32,
    count: i32,
}

impl<'a> Records<'a> {
    /// The `count` records that fill `payload`.
    pub fn new(payload: &'a [u8], count: i32) -> Self {
        Self { payload, position: 0, index: 0, count }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordFormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            // Once: the batch has more bytes than records.
            let left = self.position < self.payload.len();
            self.position = self.payload.len();
            return left.then_some(Err(RecordFormatError::BytesLeftInBatch));
        }
        let record = if self.position == self.payload.len() {
            Err(RecordFormatError::MissingRecord(self.index))
        } else {
            read_record(self.payload, &mut self.position)
        };
        self.index += 1;
        if record.is_err() {
            self.index = self.count;
            self.position = self.payload.len();
        }
        Some(record)
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint_len(-1), |bytes| varint_len(bytes.len() as i32) + bytes.len())
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            let size = i32::try_from(bytes.len()).expect("a key, value or header is smaller than 2 GiB");
            write_varint(out, size);
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends a record to an uncompressed payload.
///
/// # Panics
/// On a record of 2 GiB or more, which no format can hold.
pub fn write_record(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = (impl AsRef<[u8]>, Option<impl AsRef<[u8]>>)> + Clone,
) {
    let count = i32::try_from(headers.len()).expect("fewer than 2^31 headers");
    let mut size = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta) + bytes_len(key) + bytes_len(value);
    size += varint_len(count);
    for (key, value) in headers.clone() {
        size += bytes_len(Some(key.as_ref())) + bytes_len(value.as_ref().map(AsRef::as_ref));
    }
    write_varint(out, i32::try_from(size).expect("a record is smaller than 2 GiB"));
    out.push(0);
    write_varlong(out, timestamp_delta);
    write_varint(out, offset_delta);
    write_bytes(out, key);
    write_bytes(out, value);
    write_varint(out, count);
    for (key, value) in headers {
        write_bytes(out, Some(key.as_ref()));
        write_bytes(out, value.as_ref().map(AsRef::as_ref));
    }
}
