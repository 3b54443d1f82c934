//! The four codecs, as streams: a batch is never held uncompressed as a whole unless the caller asks for it.
//!
//! What a compressed stream says about its own size is not believed. Output is counted against a limit that the caller
//! states, memory follows what has really been decompressed: gzip and snappy hold one block, lz4 one or two blocks (8 MiB
//! at most), zstd a window (128 MiB at most, its default ceiling, of which only what was written to becomes resident).

use super::Codec;
use super::lz4::Lz4Reader;
use super::snappy::{SnappyReader, SnappyWriter};
use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use std::io::{self, Read, Write};

/// Greatest window that a zstd frame may ask for: 2^27, what every zstd encoder stays within unless told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Output is appended in steps of this size, so that memory grows with what is there.
const CHUNK_BYTES: usize = 16 * 1024;

/// Why a payload could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// The output goes beyond the caller's limit.
    #[error("uncompressed records take more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The attributes of the batch name no codec.
    #[error("unknown compression type")]
    UnknownCodec,
    /// The stream is malformed or cut.
    #[error("malformed {} stream: {source}", codec.name())]
    Malformed {
        /// The codec that was to decode it.
        codec: Codec,
        /// What the codec said.
        source: io::Error,
    },
}

/// A codec with its level: what `compression.type` and `compression.<codec>.level` ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Its level; `None` is the codec's default. gzip: -1 (default), 1 to 9. zstd: -131072 to 22. lz4: 1 to 17, accepted
    /// for Kafka's sake without effect, the encoder here has one level. Others have none.
    pub level: Option<i32>,
}

impl Compression {
    /// Not compressed.
    pub const NONE: Self = Self::of(Codec::None);

    /// The codec at its default level.
    pub const fn of(codec: Codec) -> Self {
        Self { codec, level: None }
    }

    /// The codec at a level.
    ///
    /// # Errors
    /// A level that Kafka refuses for this codec; what is wrong, in words.
    pub fn with_level(codec: Codec, level: i32) -> Result<Self, String> {
        let fits = match codec {
            Codec::Gzip => level == -1 || (1..=9).contains(&level),
            Codec::Lz4 => (1..=17).contains(&level),
            Codec::Zstd => (-131_072..=22).contains(&level),
            Codec::None | Codec::Snappy => false,
        };
        if fits { Ok(Self { codec, level: Some(level) }) } else { Err(format!("{} has no level {level}", codec.name())) }
    }
}

enum Decoder {
    None(Reader<Bytes>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Reader<Bytes>>>),
    Snappy(Box<SnappyReader>),
    Lz4(Box<Lz4Reader>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Reader<Bytes>>>),
}

fn zstd_decoder(payload: Bytes) -> io::Result<zstd::stream::read::Decoder<'static, Reader<Bytes>>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(payload.reader())?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Decompresses a payload as it is read, up to a limit.
pub struct Decompressor {
    decoder: Decoder,
    codec: Codec,
    limit: usize,
    left: usize,
}

impl Decompressor {
    /// A stream of what `payload` (the bytes after a batch header) holds, `limit` bytes at most.
    ///
    /// # Errors
    /// The codec has no memory for its tables, or the stream does not begin as one.
    pub fn new(codec: Codec, payload: Bytes, limit: usize) -> Result<Self, CompressionError> {
        let malformed = |source| CompressionError::Malformed { codec, source };
        let decoder = match codec {
            Codec::None => Decoder::None(payload.reader()),
            Codec::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(payload.reader()))),
            Codec::Snappy => Decoder::Snappy(Box::new(SnappyReader::new(payload))),
            Codec::Lz4 => Decoder::Lz4(Box::new(Lz4Reader::new(payload).map_err(malformed)?)),
            Codec::Zstd => Decoder::Zstd(Box::new(zstd_decoder(payload).map_err(malformed)?)),
        };
        Ok(Self { decoder, codec, limit, left: limit })
    }

    /// Fills at most `out`; 0 is the end of the stream.
    ///
    /// # Errors
    /// Malformed, or more than the limit.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, CompressionError> {
        if out.is_empty() {
            return Ok(0);
        }
        // At the limit one more byte is asked for: only its absence shows that the stream ends in time.
        let mut probe = [0];
        let room = if self.left == 0 {
            &mut probe[..]
        } else {
            let length = out.len().min(self.left);
            &mut out[..length]
        };
        let read = match &mut self.decoder {
            Decoder::None(reader) => reader.read(room),
            Decoder::Gzip(reader) => reader.read(room),
            Decoder::Snappy(reader) => match reader.read(room, self.left) {
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(CompressionError::TooLarge { limit: self.limit });
                }
                read => read,
            },
            Decoder::Lz4(reader) => reader.read(room),
            Decoder::Zstd(reader) => reader.read(room),
        };
        let read = read.map_err(|source| CompressionError::Malformed { codec: self.codec, source })?;
        if self.left == 0 && read > 0 {
            return Err(CompressionError::TooLarge { limit: self.limit });
        }
        self.left -= read;
        Ok(read)
    }

    /// Bytes produced so far.
    pub fn produced(&self) -> usize {
        self.limit - self.left
    }
}

/// Decompresses a whole payload. Memory grows with what comes out, up to `limit` bytes.
///
/// # Errors
/// As [`Decompressor::read`].
pub fn decompress(codec: Codec, payload: Bytes, limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut stream = Decompressor::new(codec, payload, limit)?;
    let mut out = Vec::new();
    loop {
        let start = out.len();
        out.resize(start + CHUNK_BYTES, 0);
        let read = stream.read(&mut out[start..])?;
        out.truncate(start + read);
        if read == 0 {
            return Ok(out);
        }
    }
}

enum Encoder {
    None(Vec<u8>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Snappy(Box<SnappyWriter>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

/// Compresses a payload as it is written, after what the sink holds already. Writes to memory, so it cannot fail.
pub struct Compressor {
    encoder: Encoder,
}

/// Why memory is the sink: no write to it fails.
const INFALLIBLE: &str = "compressing into memory does not fail";

impl Compressor {
    /// Appends to `sink`.
    pub fn new(compression: Compression, sink: Vec<u8>) -> Self {
        let encoder = match compression.codec {
            Codec::None => Encoder::None(sink),
            Codec::Gzip => {
                let level = match compression.level {
                    None | Some(-1) => flate2::Compression::default(),
                    Some(level) => flate2::Compression::new(level as u32),
                };
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(sink, level)))
            }
            Codec::Snappy => Encoder::Snappy(Box::new(SnappyWriter::new(sink))),
            Codec::Lz4 => {
                // Kafka's clients read independent blocks only; 64 KiB is what they write.
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_mode(lz4_flex::frame::BlockMode::Independent)
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                Encoder::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(info, sink)))
            }
            Codec::Zstd => {
                let level = compression.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                Encoder::Zstd(Box::new(zstd::stream::write::Encoder::new(sink, level).expect(INFALLIBLE)))
            }
        };
        Self { encoder }
    }

    /// Compresses `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.encoder {
            Encoder::None(out) => out.extend_from_slice(bytes),
            Encoder::Gzip(encoder) => encoder.write_all(bytes).expect(INFALLIBLE),
            Encoder::Snappy(encoder) => encoder.write(bytes),
            Encoder::Lz4(encoder) => encoder.write_all(bytes).expect(INFALLIBLE),
            Encoder::Zstd(encoder) => encoder.write_all(bytes).expect(INFALLIBLE),
        }
    }

    /// Bytes in the sink so far; some of what was written may still be inside the codec.
    pub fn written(&self) -> usize {
        match &self.encoder {
            Encoder::None(out) => out.len(),
            Encoder::Gzip(encoder) => encoder.get_ref().len(),
            Encoder::Snappy(encoder) => encoder.written(),
            Encoder::Lz4(encoder) => encoder.get_ref().len(),
            Encoder::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// Ends the stream and gives the sink back.
    pub fn finish(self) -> Vec<u8> {
        match self.encoder {
            Encoder::None(out) => out,
            Encoder::Gzip(encoder) => encoder.finish().expect(INFALLIBLE),
            Encoder::Snappy(encoder) => encoder.finish(),
            Encoder::Lz4(encoder) => encoder.finish().expect(INFALLIBLE),
            Encoder::Zstd(encoder) => encoder.finish().expect(INFALLIBLE),
        }
    }
}
