//! LZ4 frames as Kafka's Java client reads them: one frame, of independent blocks, that ends with an end mark. The decoder
//! below takes more than that (linked blocks, legacy frames, a missing end), and what no consumer can read must not get in.

use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use std::io::{self, Read};

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
const INDEPENDENT_BLOCKS: u8 = 0x20;

/// The compressed bytes, noting whether more of them were wanted than there are.
struct Input {
    reader: Reader<Bytes>,
    ran_out: bool,
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(out)?;
        self.ran_out |= read == 0 && !out.is_empty();
        Ok(read)
    }
}

/// Reads one frame.
pub(super) struct Lz4Reader {
    decoder: lz4_flex::frame::FrameDecoder<Input>,
    ended: bool,
}

impl Lz4Reader {
    /// The frame at the start of `payload`; what follows it is not looked at.
    pub(super) fn new(payload: Bytes) -> io::Result<Self> {
        let descriptor = payload.get(MAGIC.len()).copied().unwrap_or_default();
        if !payload.starts_with(&MAGIC) || descriptor & INDEPENDENT_BLOCKS == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an LZ4 frame of independent blocks"));
        }
        let input = Input { reader: payload.reader(), ran_out: false };
        Ok(Self { decoder: lz4_flex::frame::FrameDecoder::new(input), ended: false })
    }

    /// Fills at most `out`; 0 is the end of the frame.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let read = self.decoder.read(out)?;
        if read == 0 && self.decoder.get_ref().ran_out {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the frame has no end mark"));
        }
        self.ended = read == 0;
        Ok(read)
    }
}
