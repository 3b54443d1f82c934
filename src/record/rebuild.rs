//! Writes a validated batch anew: with another codec (`compression.type`), or because its records were not numbered 0, 1, 2 …
//! Records go from the old stream to the new one in pieces, so memory is the output (which has a limit) and two windows.

use super::compression::{Compression, Compressor};
use super::header::{BATCH_HEADER_BYTES, BatchHeader, TimestampType, seal};
use super::rules::stamp_of;
use super::stream::{RecordHead, RecordSink, RecordStream, StreamError};
use super::varint::{varint_len, varlong_len, write_varint, write_varlong};
use bytes::Bytes;

/// A batch being rewritten.
pub(super) struct Rebuild {
    stream: RecordStream,
    writer: RecordWriter,
    header: BatchHeader,
    target: Compression,
}

struct RecordWriter {
    out: Compressor,
    source_base_timestamp: i64,
    stamped: Option<i64>,
    base_timestamp: Option<i64>,
    index: i32,
    head: Vec<u8>,
}

impl RecordSink for RecordWriter {
    fn head(&mut self, head: &RecordHead) {
        let timestamp = self.stamped.unwrap_or_else(|| self.source_base_timestamp.wrapping_add(head.timestamp_delta));
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let size = 1 + varlong_len(timestamp_delta) + varint_len(self.index) + head.rest;
        self.head.clear();
        write_varint(&mut self.head, i32::try_from(size).expect("a record within the limit stays below 2 GiB"));
        self.head.push(0);
        write_varlong(&mut self.head, timestamp_delta);
        write_varint(&mut self.head, self.index);
        self.out.write(&self.head);
        self.index += 1;
    }

    fn rest(&mut self, bytes: &[u8]) {
        self.out.write(bytes);
    }
}

impl Rebuild {
    /// Begins to rewrite the records of `stream`, which `header` describes, for `target`.
    pub(super) fn new(stream: RecordStream, header: &BatchHeader, target: Compression) -> Self {
        let writer = RecordWriter {
            out: Compressor::new(target, vec![0; BATCH_HEADER_BYTES]),
            source_base_timestamp: header.base_timestamp,
            stamped: stamp_of(header),
            base_timestamp: None,
            index: 0,
            head: Vec::new(),
        };
        Self { stream, writer, header: *header, target }
    }

    /// Goes on over about `budget` uncompressed bytes; true when all records are written.
    pub(super) fn advance(&mut self, budget: usize) -> Result<bool, StreamError> {
        self.stream.advance(budget, &mut self.writer)
    }

    /// Bytes of the new batch so far, less what is still inside the codec.
    pub(super) fn written(&self) -> usize {
        self.writer.out.written()
    }

    /// The new batch.
    pub(super) fn finish(self, timestamp_type: TimestampType, max_timestamp: i64) -> Bytes {
        let header = BatchHeader {
            attributes: self
                .header
                .attributes
                .with_codec(self.target.codec)
                .with_timestamp_type(timestamp_type)
                .with_delete_horizon(false)
                .known(),
            last_offset_delta: self.writer.index - 1,
            base_timestamp: self.writer.base_timestamp.expect("a validated batch has records"),
            max_timestamp,
            records_count: self.writer.index,
            ..self.header
        };
        let mut batch = self.writer.out.finish();
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
        seal(&mut batch);
        Bytes::from(batch)
    }
}
