//! Reads Kafka's primitive types off a frame. Lengths are checked against the bytes that are left before anything is allocated.

use super::codec::{DecodeError, MAX_DECODED_BYTES, MAX_STRING_LENGTH, Records, SHORT_MESSAGE};
use super::str_bytes::StrBytes;
use crate::model::TopicId;
use bytes::Bytes;

type Result<T> = std::result::Result<T, DecodeError>;

/// A place in a frame. Strings, bytes and records that it hands out share the frame's buffer.
///
/// Memory is bounded twice: an array of n elements is only begun when n times the least size of an element is still left in the
/// frame, and all arrays of one reader together may take at most its limit ([`MAX_DECODED_BYTES`] unless said otherwise).
#[derive(Clone, Debug)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    /// Where this reader ends: the frame's end, or that of the tagged field being read.
    end: usize,
    /// Bytes of heap that arrays may still take.
    budget: usize,
    /// Where a reader of a short message gives up. It lies further ahead by all opaque bytes that were read: those are not walked.
    stop: usize,
}

impl Reader {
    /// Starts at the first byte of `frame`.
    pub fn new(frame: Bytes) -> Self {
        Self::with_limit(frame, MAX_DECODED_BYTES)
    }

    /// As [`Reader::new`], with arrays allowed to take `limit` bytes of heap. For answers of a trusted peer, which may be large.
    pub fn with_limit(frame: Bytes, limit: usize) -> Self {
        let end = frame.len();
        Self { frame, position: 0, end, budget: limit, stop: usize::MAX }
    }

    /// The same place for one who has no time to lose: from here on, arrays and tagged fields that take more than [`SHORT_MESSAGE`]
    /// bytes end with [`DecodeError::Long`].
    pub fn for_short_message(&self) -> Self {
        Self { stop: self.position + SHORT_MESSAGE, ..self.clone() }
    }

    /// The same place for one who has all the time.
    pub fn for_any_message(&self) -> Self {
        Self { stop: usize::MAX, ..self.clone() }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `n` bytes, shared with the frame.
    pub fn take(&mut self, n: usize) -> Result<Bytes> {
        self.need(n)?;
        let taken = self.frame.slice(self.position..self.position + n);
        self.position += n;
        Ok(taken)
    }

    fn need(&self, n: usize) -> Result<()> {
        let left = self.remaining();
        if n > left { Err(DecodeError::Truncated { needed: n, left }) } else { Ok(()) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.frame[self.position..self.end].first_chunk::<N>() {
            Some(bytes) => {
                let bytes = *bytes;
                self.position += N;
                Ok(bytes)
            }
            None => Err(DecodeError::Truncated { needed: N, left: self.remaining() }),
        }
    }

    /// One byte; anything but zero is true, as in Kafka.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// The next two numbers, which stay to be read.
    pub fn peek_i16s(&self) -> Result<(i16, i16)> {
        let Some(&[a, b, c, d]) = self.frame[self.position..self.end].first_chunk::<4>() else {
            return Err(DecodeError::Truncated { needed: 4, left: self.remaining() });
        };
        Ok((i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    pub fn uuid(&mut self) -> Result<TopicId> {
        Ok(TopicId(self.fixed()?))
    }

    /// An unsigned variable-length integer of up to five bytes, seven bits each, low ones first.
    pub fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Length of a string, bytes or array: the compact form is a varint of the length plus one, 0 being null; the old form has
    /// -1 for null, in 16 bits for strings and 32 for the rest.
    fn length(&mut self, flexible: bool, short: bool) -> Result<Option<usize>> {
        let length = match (flexible, short) {
            (true, _) => i64::from(self.uvarint()?) - 1,
            (false, true) => i64::from(self.i16()?),
            (false, false) => i64::from(self.i32()?),
        };
        match length {
            -1 => Ok(None),
            0..=0x7fff_ffff => Ok(Some(length as usize)),
            _ => Err(DecodeError::InvalidLength(length)),
        }
    }

    pub fn string(&mut self, flexible: bool) -> Result<StrBytes> {
        self.nullable_string(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<StrBytes>> {
        let Some(length) = self.length(flexible, true)? else { return Ok(None) };
        if length > MAX_STRING_LENGTH {
            return Err(DecodeError::InvalidLength(length as i64));
        }
        let text = StrBytes::from_utf8_lossy(self.take(length)?);
        // What is repaired grows, and nobody could write it down any more.
        if text.len() > MAX_STRING_LENGTH {
            return Err(DecodeError::InvalidLength(text.len() as i64));
        }
        Ok(Some(text))
    }

    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes> {
        self.nullable_bytes(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>> {
        match self.length(flexible, false)? {
            Some(length) => {
                let bytes = self.take(length)?;
                self.stop = self.stop.saturating_add(length);
                Ok(Some(bytes))
            }
            None => Ok(None),
        }
    }

    pub fn records(&mut self, flexible: bool) -> Result<Records> {
        Ok(Records::Bytes(self.bytes(flexible)?))
    }

    pub fn nullable_records(&mut self, flexible: bool) -> Result<Records> {
        Ok(self.nullable_bytes(flexible)?.map_or(Records::Null, Records::Bytes))
    }

    /// An array whose elements take at least `least` bytes each on the wire.
    pub fn array<T>(&mut self, flexible: bool, least: usize, element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.nullable_array(flexible, least, element)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// As [`Reader::array`], or null.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        least: usize,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(elements) = self.length(flexible, false)? else { return Ok(None) };
        assert!(least > 0, "elements without a byte would let a frame name any count");
        if elements > self.remaining() / least {
            return Err(DecodeError::ArrayTooLong { elements, left: self.remaining() });
        }
        if elements * least > self.stop.saturating_sub(self.position) {
            return Err(DecodeError::Long);
        }
        self.charge(elements.saturating_mul(size_of::<T>()))?;
        let mut array = Vec::with_capacity(elements);
        for _ in 0..elements {
            array.push(element(self)?);
            self.go_on()?;
        }
        Ok(Some(array))
    }

    #[inline]
    fn go_on(&self) -> Result<()> {
        if self.position > self.stop { Err(DecodeError::Long) } else { Ok(()) }
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(DecodeError::TooLarge)?;
        Ok(())
    }

    /// A struct that may be null: one byte says -1 for null, anything else for present.
    pub fn nullable_struct<T>(&mut self, mut body: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.i8()? < 0 { Ok(None) } else { Ok(Some(body(self)?)) }
    }

    /// A struct in a tagged field that may be null: a varint of 0 for null, anything else before the struct.
    pub fn nullable_tagged_struct<T>(&mut self, mut body: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.uvarint()? == 0 { Ok(None) } else { Ok(Some(body(self)?)) }
    }

    /// The tagged fields at the end of a struct (KIP-482). `known` reads the field of a tag and says true, or says false for a
    /// tag that it does not have, which is then skipped. A field that does not fill its announced size is an error.
    pub fn tags(&mut self, mut known: impl FnMut(u32, &mut Self) -> Result<bool>) -> Result<()> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            self.need(size)?;
            let (outer_end, end) = (self.end, self.position + size);
            self.end = end;
            let is_known = known(tag, self)?;
            if is_known && self.position != end {
                return Err(DecodeError::TagSize { tag });
            }
            (self.position, self.end) = (end, outer_end);
            self.go_on()?;
        }
        Ok(())
    }

    /// Keeps the tagged field being read in `unknown`, for records that must survive a rewrite.
    pub fn keep_tag(&mut self, tag: u32, unknown: &mut Vec<(u32, Bytes)>) -> Result<bool> {
        self.charge(size_of::<(u32, Bytes)>())?;
        let field = self.take(self.remaining())?;
        unknown.push((tag, field));
        Ok(true)
    }
}
