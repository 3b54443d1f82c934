//! Walks the records of a payload while it is being decompressed, holding a window of it and never a whole record. It can
//! stop after any number of bytes and go on later, so that a core may do other work in between.

use super::Codec;
use super::compression::{CompressionError, Decompressor};
use super::records::RecordFormatError;
use super::varint::{MAX_VARINT_BYTES, MAX_VARLONG_BYTES, VarintError, read_varint, read_varlong};
use bytes::Bytes;

/// Bytes of decompressed payload that are held at once.
const WINDOW_BYTES: usize = 16 * 1024;
/// The longest start of a record: size, attributes, timestamp delta, offset delta, key size.
const MAX_HEAD_BYTES: usize = 3 * MAX_VARINT_BYTES + 1 + MAX_VARLONG_BYTES;
const _: () = assert!(MAX_HEAD_BYTES < WINDOW_BYTES);

/// What is known of a record before its key is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHead {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
    /// Bytes after the offset delta: key, value and headers with their sizes.
    pub(super) rest: usize,
}

/// What a walk is for: a sink sees each record's head, then the rest of it, raw, in pieces.
pub(super) trait RecordSink {
    fn head(&mut self, head: &RecordHead);
    fn rest(&mut self, bytes: &[u8]);
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error(transparent)]
    Format(#[from] RecordFormatError),
}

impl From<VarintError> for StreamError {
    fn from(error: VarintError) -> Self {
        Self::Format(error.into())
    }
}

/// The next thing that the stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Record,
    Key,
    Value,
    HeaderCount,
    HeaderKey,
    HeaderValue,
}

/// A walk under way.
pub(super) struct RecordStream {
    source: Decompressor,
    window: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    next: Next,
    /// Bytes of a key, value or header to pass by.
    skip: usize,
    record_left: usize,
    headers_left: i32,
    index: i32,
    count: i32,
}

impl RecordStream {
    /// The `count` records that fill `payload`, of which `limit` uncompressed bytes are read at most.
    pub(super) fn new(codec: Codec, payload: Bytes, count: i32, limit: usize) -> Result<Self, CompressionError> {
        Ok(Self {
            source: Decompressor::new(codec, payload, limit)?,
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
            next: Next::Record,
            skip: 0,
            record_left: 0,
            headers_left: 0,
            index: 0,
            count,
        })
    }

    /// Walks on over about `budget` bytes; true once the last record and the end of the stream have been seen.
    pub(super) fn advance(&mut self, budget: usize, sink: &mut impl RecordSink) -> Result<bool, StreamError> {
        let until = self.consumed().saturating_add(budget.max(1));
        while self.consumed() < until {
            if self.skip > 0 {
                self.pass_by(sink)?;
            } else if self.next == Next::Record {
                if self.index == self.count {
                    self.fill(1)?;
                    return if self.available() == 0 { Ok(true) } else { Err(RecordFormatError::BytesLeftInBatch.into()) };
                }
                self.begin_record(sink)?;
            } else {
                self.read_size(sink)?;
            }
        }
        Ok(false)
    }

    fn consumed(&self) -> usize {
        self.source.produced() - self.available()
    }

    fn available(&self) -> usize {
        self.end - self.start
    }

    /// Makes at least `wanted` bytes available, fewer only at the end of the stream.
    fn fill(&mut self, wanted: usize) -> Result<(), CompressionError> {
        while self.available() < wanted && !self.ended {
            if self.start > 0 {
                self.window.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let read = self.source.read(&mut self.window[self.end..])?;
            self.ended = read == 0;
            self.end += read;
        }
        Ok(())
    }

    fn pass_by(&mut self, sink: &mut impl RecordSink) -> Result<(), StreamError> {
        self.fill(1)?;
        let count = self.available().min(self.skip);
        if count == 0 {
            return Err(VarintError::Incomplete.into());
        }
        sink.rest(&self.window[self.start..self.start + count]);
        self.start += count;
        self.skip -= count;
        self.record_left -= count;
        if self.skip == 0 {
            self.end_record_if_done()?;
        }
        Ok(())
    }

    fn begin_record(&mut self, sink: &mut impl RecordSink) -> Result<(), StreamError> {
        self.fill(MAX_HEAD_BYTES)?;
        if self.available() == 0 {
            return Err(RecordFormatError::MissingRecord(self.index).into());
        }
        let window = &self.window[self.start..self.end];
        let mut at = 0;
        let size = read_varint(window, &mut at)?;
        let Ok(body_size) = usize::try_from(size) else {
            return Err(RecordFormatError::SizeOutOfBounds { size, available: window.len() }.into());
        };
        let body = &window[at..window.len().min(at.saturating_add(body_size))];
        if body.is_empty() {
            return Err(VarintError::Incomplete.into());
        }
        let mut position = 1;
        let timestamp_delta = read_varlong(body, &mut position)?;
        let offset_delta = read_varint(body, &mut position)?;
        let has_key = read_varint(body, &mut position.clone())? >= 0;
        let rest = body_size - position;
        sink.head(&RecordHead { timestamp_delta, offset_delta, has_key, rest });
        self.start += at + position;
        self.record_left = rest;
        self.next = Next::Key;
        Ok(())
    }

    /// Reads the size (or count) that comes next, bounded by what is left of the record.
    fn read_size(&mut self, sink: &mut impl RecordSink) -> Result<(), StreamError> {
        self.fill(MAX_VARINT_BYTES)?;
        let available = self.available().min(self.record_left);
        let view = &self.window[self.start..self.start + available];
        let mut taken = 0;
        let size = read_varint(view, &mut taken)?;
        sink.rest(&view[..taken]);
        self.start += taken;
        self.record_left -= taken;
        let bytes = usize::try_from(size).unwrap_or(0);
        if bytes > self.record_left {
            return Err(match self.next {
                Next::HeaderCount => RecordFormatError::HeaderCount(size).into(),
                _ => RecordFormatError::SizeOutOfBounds { size, available: self.record_left }.into(),
            });
        }
        match self.next {
            Next::Record => unreachable!("a record begins in begin_record"),
            Next::HeaderCount if size < 0 => return Err(RecordFormatError::HeaderCount(size).into()),
            Next::HeaderKey if size < 0 => return Err(RecordFormatError::NullHeaderKey(size).into()),
            Next::HeaderCount => self.headers_left = size,
            Next::HeaderValue => {
                self.headers_left -= 1;
                self.skip = bytes;
            }
            Next::Key | Next::Value | Next::HeaderKey => self.skip = bytes,
        }
        self.next = match self.next {
            Next::Key => Next::Value,
            Next::Value => Next::HeaderCount,
            Next::HeaderKey => Next::HeaderValue,
            _ if self.headers_left > 0 => Next::HeaderKey,
            _ => Next::Record,
        };
        if self.skip == 0 { self.end_record_if_done() } else { Ok(()) }
    }

    fn end_record_if_done(&mut self) -> Result<(), StreamError> {
        if self.next != Next::Record {
            return Ok(());
        }
        if self.record_left > 0 {
            return Err(RecordFormatError::BytesLeftInRecord(self.record_left).into());
        }
        self.index += 1;
        Ok(())
    }
}
