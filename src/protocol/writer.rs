//! Writes Kafka's primitive types into a buffer that can have gaps for record data that lies elsewhere.

use super::codec::{EncodeError, MAX_STRING_LENGTH, Records, SHORT_MESSAGE};
use super::str_bytes::StrBytes;
use crate::model::TopicId;
use bytes::{BufMut, Bytes, BytesMut};

type Result<T> = std::result::Result<T, EncodeError>;

/// Record data of at least this many bytes becomes a chunk of its own instead of being copied.
pub const SHARE_RECORDS_FROM: usize = 1024;

/// First allocation of a writer, in bytes; most answers fit.
const INITIAL_CAPACITY: usize = 512;

/// Part of an encoded message, in wire order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// These bytes.
    Bytes(Bytes),
    /// `len` bytes from elsewhere: those that [`Records::External`] of this index stands for.
    External { len: usize, index: usize },
}

#[derive(Debug)]
enum Part {
    Own(BytesMut),
    Done(Chunk),
}

/// Appends to an encoded message.
#[derive(Debug)]
pub struct Writer {
    /// What lies before `tail`, `done` bytes in all.
    parts: Vec<Part>,
    done: usize,
    tail: BytesMut,
    /// Whether record data may become a part of its own.
    gaps: bool,
    /// Length of `tail` at which a writer of a short message gives up; what is in `parts` has been taken off.
    stop: usize,
}

/// A struct's section of tagged fields while it is written.
#[derive(Debug)]
pub struct TagSection {
    start: usize,
    count: u32,
    /// Where the field being written has its size.
    field: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer whose message may come out in several chunks.
    pub fn new() -> Self {
        Self { parts: Vec::new(), done: 0, tail: BytesMut::with_capacity(INITIAL_CAPACITY), gaps: true, stop: usize::MAX }
    }

    /// A writer with no time to lose: arrays that take more than [`SHORT_MESSAGE`] bytes end with [`EncodeError::Long`]. Record data
    /// that become chunks of their own do not count.
    pub fn for_short_message() -> Self {
        Self { stop: SHORT_MESSAGE, ..Self::new() }
    }

    /// A writer that copies record data, so that the message is one buffer.
    pub fn contiguous() -> Self {
        Self { gaps: false, ..Self::new() }
    }

    /// Bytes on the wire so far, external ones included.
    pub fn len(&self) -> usize {
        self.done + self.tail.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything written, as one buffer. Panics if the writer was not made by [`Writer::contiguous`] and has gaps.
    pub fn into_bytes(self) -> Bytes {
        assert!(self.parts.is_empty(), "the message has gaps; ask for its chunks");
        self.tail.freeze()
    }

    /// Everything written, in order; neighbours are never both small.
    pub fn into_chunks(mut self) -> Vec<Chunk> {
        if !self.tail.is_empty() {
            self.parts.push(Part::Own(self.tail));
        }
        let frozen = |part| match part {
            Part::Own(bytes) => Chunk::Bytes(bytes.freeze()),
            Part::Done(chunk) => chunk,
        };
        self.parts.into_iter().map(frozen).collect()
    }

    /// Overwrites four bytes at the very start, where the size of a frame stands. Panics if there are none.
    pub fn set_first_i32(&mut self, value: i32) {
        let first = match self.parts.first_mut() {
            Some(Part::Own(bytes)) => bytes,
            Some(Part::Done(_)) => panic!("a frame starts with its size"),
            None => &mut self.tail,
        };
        first[..4].copy_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    pub fn bool(&mut self, value: bool) {
        self.tail.put_u8(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.tail.put_u16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.tail.put_u32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    pub fn f64(&mut self, value: f64) {
        self.tail.put_f64(value);
    }

    pub fn uuid(&mut self, value: TopicId) {
        self.tail.put_slice(&value.0);
    }

    /// An unsigned variable-length integer: see [`super::Reader::uvarint`].
    pub fn uvarint(&mut self, value: u32) {
        let (bytes, n) = uvarint_bytes(value);
        self.tail.put_slice(&bytes[..n]);
    }

    fn length(&mut self, flexible: bool, short: bool, length: Option<usize>) -> Result<()> {
        let n = match length {
            Some(n) => i32::try_from(n).ok().filter(|&n| n < i32::MAX).ok_or(EncodeError::TooLong(n))?,
            None => -1,
        };
        match (flexible, short) {
            (true, _) => self.uvarint((n + 1) as u32),
            (false, true) => self.i16(n as i16),
            (false, false) => self.i32(n),
        }
        Ok(())
    }

    pub fn string(&mut self, flexible: bool, value: &StrBytes) -> Result<()> {
        self.nullable_string(flexible, Some(value))
    }

    pub fn nullable_string(&mut self, flexible: bool, value: Option<&StrBytes>) -> Result<()> {
        let length = value.map(|s| s.len());
        if length > Some(MAX_STRING_LENGTH) {
            return Err(EncodeError::StringTooLong(length.unwrap_or_default()));
        }
        self.length(flexible, true, length)?;
        self.raw(value.map_or(&[], |s| s.as_bytes()));
        Ok(())
    }

    pub fn bytes(&mut self, flexible: bool, value: &Bytes) -> Result<()> {
        self.nullable_bytes(flexible, Some(value))
    }

    pub fn nullable_bytes(&mut self, flexible: bool, value: Option<&Bytes>) -> Result<()> {
        self.length(flexible, false, value.map(Bytes::len))?;
        self.raw(value.map_or(&[], |b| b));
        Ok(())
    }

    /// Record data: copied when short, otherwise a chunk of its own. Panics if it is external and the writer allows no gaps.
    pub fn records(&mut self, flexible: bool, value: &Records) -> Result<()> {
        let length = (*value != Records::Null).then(|| value.len());
        self.length(flexible, false, length)?;
        match value {
            Records::Null => {}
            Records::Bytes(bytes) if !self.gaps || bytes.len() < SHARE_RECORDS_FROM => self.raw(bytes),
            Records::Bytes(bytes) => self.chunk(Chunk::Bytes(bytes.clone()), bytes.len()),
            Records::External { len, index } => {
                assert!(self.gaps, "external records in a message that must be contiguous");
                self.chunk(Chunk::External { len: *len, index: *index }, *len);
            }
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk, len: usize) {
        if !self.tail.is_empty() {
            self.done += self.tail.len();
            self.stop = self.stop.saturating_sub(self.tail.len());
            let own = std::mem::replace(&mut self.tail, BytesMut::with_capacity(INITIAL_CAPACITY / 4));
            self.parts.push(Part::Own(own));
        }
        self.done += len;
        self.parts.push(Part::Done(chunk));
    }

    pub fn array<T>(&mut self, flexible: bool, value: &[T], element: impl FnMut(&mut Self, &T) -> Result<()>) -> Result<()> {
        self.nullable_array(flexible, Some(value), element)
    }

    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        value: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        self.length(flexible, false, value.map(<[T]>::len))?;
        for item in value.unwrap_or_default() {
            element(self, item)?;
            if self.tail.len() > self.stop {
                return Err(EncodeError::Long);
            }
        }
        Ok(())
    }

    /// A struct that may be null: a byte of 1 before it, or -1 alone.
    pub fn nullable_struct<T>(&mut self, value: Option<&T>, body: impl FnOnce(&mut Self, &T) -> Result<()>) -> Result<()> {
        self.i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| body(self, value))
    }

    /// A struct in a tagged field that may be null: a varint of 1 before it, or 0 alone.
    pub fn nullable_tagged_struct<T>(&mut self, value: Option<&T>, body: impl FnOnce(&mut Self, &T) -> Result<()>) -> Result<()> {
        self.uvarint(u32::from(value.is_some()));
        value.map_or(Ok(()), |value| body(self, value))
    }

    /// Begins the tagged fields of a struct. They are written in ascending order of tag; none of them holds record data.
    pub fn begin_tags(&mut self) -> TagSection {
        let start = self.tail.len();
        self.tail.put_u8(0);
        TagSection { start, count: 0, field: 0 }
    }

    /// Begins the field with this tag; its body follows.
    pub fn begin_tag(&mut self, section: &mut TagSection, tag: u32) {
        self.uvarint(tag);
        section.count += 1;
        section.field = self.tail.len();
    }

    /// Ends the field begun last: puts its size before its body.
    pub fn end_tag(&mut self, section: &TagSection) {
        assert!(self.tail.len() >= section.field, "record data inside a tagged field");
        let size = self.tail.len() - section.field;
        let (bytes, n) = uvarint_bytes(u32::try_from(size).expect("a tagged field below 4 GiB"));
        self.insert(section.field, &bytes[..n]);
    }

    /// Ends the tagged fields: puts their count before them.
    pub fn end_tags(&mut self, section: TagSection) {
        let (bytes, n) = uvarint_bytes(section.count);
        self.tail[section.start] = bytes[0];
        if n > 1 {
            self.insert(section.start + 1, &bytes[1..n]);
        }
    }

    fn insert(&mut self, at: usize, bytes: &[u8]) {
        let end = self.tail.len();
        self.tail.extend_from_slice(bytes);
        self.tail.copy_within(at..end, at + bytes.len());
        self.tail[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes the kept unknown fields with tags below that of the next known field (all of them when there is none) and advances
    /// `unknown` past them. They are ascending, as they were read.
    pub fn unknown_tags(&mut self, section: &mut TagSection, unknown: &mut &[(u32, Bytes)], next: Option<u32>) -> Result<()> {
        while let Some(((tag, field), rest)) = unknown.split_first() {
            match next {
                Some(next) if *tag > next => break,
                Some(next) if *tag == next => return Err(EncodeError::DuplicateTag(next)),
                _ => {}
            }
            self.begin_tag(section, *tag);
            self.raw(field);
            self.end_tag(section);
            *unknown = rest;
        }
        Ok(())
    }
}

fn uvarint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut n = 0;
    while value >= 0x80 {
        bytes[n] = (value as u8) | 0x80;
        value >>= 7;
        n += 1;
    }
    bytes[n] = value as u8;
    (bytes, n + 1)
}
