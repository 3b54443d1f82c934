//! Snappy as Kafka's Java clients frame it (snappy-java's stream format), which is not the official snappy framing:
//!
//! ```text
//! 82 "SNAPPY" 00 | version i32 = 1 | compatible version i32 = 1 | then blocks: length i32, raw snappy block
//! ```
//! Some clients send one raw block without any of this; like the Java client, anything that does not begin with the magic is
//! taken for one. Streams may be concatenated: a header where a length is expected is skipped.

use bytes::{Buf, Bytes};
use std::io;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSION: i32 = 1;
const STREAM_HEADER_BYTES: usize = 16;
const _: () = assert!(STREAM_HEADER_BYTES == MAGIC.len() + 8);
/// Uncompressed bytes in a block that we write; what snappy-java does.
const BLOCK_BYTES: usize = 32 * 1024;
/// A snappy block grows by less than this factor: its best element makes 64 bytes out of 3.
const MAX_EXPANSION: usize = 22;

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads either framing, a block at a time.
pub(super) struct SnappyReader {
    input: Bytes,
    framed: Option<bool>,
    block: Vec<u8>,
    position: usize,
}

impl SnappyReader {
    pub(super) fn new(input: Bytes) -> Self {
        Self { input, framed: None, block: Vec::new(), position: 0 }
    }

    /// Fills at most `out`; 0 is the end. A block of more than `left` bytes is not begun (`FileTooLarge`).
    pub(super) fn read(&mut self, out: &mut [u8], left: usize) -> io::Result<usize> {
        while self.position == self.block.len() {
            let Some(compressed) = self.next_block()? else { return Ok(0) };
            self.decode(&compressed, left)?;
        }
        let count = out.len().min(self.block.len() - self.position);
        out[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }

    fn next_block(&mut self) -> io::Result<Option<Bytes>> {
        let framed = *self.framed.get_or_insert_with(|| self.input.starts_with(&MAGIC));
        if !framed {
            return Ok((!self.input.is_empty()).then(|| std::mem::take(&mut self.input)));
        }
        while self.input.starts_with(&MAGIC) {
            if self.input.len() < STREAM_HEADER_BYTES {
                return Err(malformed("the stream header is cut"));
            }
            self.input.advance(MAGIC.len() + 4);
            if self.input.get_i32() < VERSION {
                return Err(malformed("a stream of an older format"));
            }
        }
        if self.input.is_empty() {
            return Ok(None);
        }
        if self.input.len() < 4 {
            return Err(malformed("a block length is cut"));
        }
        let length = self.input.get_i32();
        match usize::try_from(length) {
            Ok(length) if length <= self.input.len() => Ok(Some(self.input.split_to(length))),
            _ => Err(malformed("a block goes past the end of the stream")),
        }
    }

    fn decode(&mut self, compressed: &[u8], left: usize) -> io::Result<()> {
        self.position = 0;
        self.block.clear();
        if compressed.is_empty() {
            return Ok(());
        }
        let claimed = snap::raw::decompress_len(compressed).map_err(io::Error::other)?;
        // The block says how long it is; no block can grow more than its best element does.
        if claimed > compressed.len().saturating_mul(MAX_EXPANSION) {
            return Err(malformed("a block claims more than it can hold"));
        }
        if claimed > left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.block.resize(claimed, 0);
        let decoded = snap::raw::Decoder::new().decompress(compressed, &mut self.block);
        let length = decoded.map_err(io::Error::other)?;
        self.block.truncate(length);
        Ok(())
    }
}

/// Writes the Java framing.
pub(super) struct SnappyWriter {
    out: Vec<u8>,
    block: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl SnappyWriter {
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&VERSION.to_be_bytes());
        Self { out, block: Vec::with_capacity(BLOCK_BYTES), encoder: snap::raw::Encoder::new() }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = bytes.len().min(BLOCK_BYTES - self.block.len());
            self.block.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.block.len() == BLOCK_BYTES {
                self.flush_block();
            }
        }
    }

    fn flush_block(&mut self) {
        let start = self.out.len();
        self.out.resize(start + 4 + snap::raw::max_compress_len(self.block.len()), 0);
        let length = self.encoder.compress(&self.block, &mut self.out[start + 4..]).expect("there is room for the worst case");
        self.out[start..start + 4].copy_from_slice(&(length as i32).to_be_bytes());
        self.out.truncate(start + 4 + length);
        self.block.clear();
    }

    pub(super) fn written(&self) -> usize {
        self.out.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.block.is_empty() {
            self.flush_block();
        }
        self.out
    }
}
