//! What every generated message shares: the [`Message`] and [`Request`] traits, the two error types, and the shape of record
//! data inside a message.

use super::generated::ApiKey;
use super::{Chunk, Reader, Writer};
use bytes::Bytes;

/// Most heap that the arrays of one decoded frame may take, in bytes; see [`Reader`].
///
/// The tightest arrays grow about thirtyfold from wire to memory (a one-byte empty string becomes a 32-byte handle), so without
/// this a 100 MiB frame could ask for gigabytes. A Fetch of 300,000 partitions stays below it.
pub const MAX_DECODED_BYTES: usize = 64 << 20;

/// Most bytes that are read or written in one go by a core that has other things to do; a message that takes more is one for a helper
/// thread. Record data and other opaque bytes do not count: they are shared, not walked.
pub const SHORT_MESSAGE: usize = 64 << 10;

/// Longest string on the wire, in bytes: Kafka bounds the compact form by the range of the old 16-bit length as well.
pub const MAX_STRING_LENGTH: usize = i16::MAX as usize;

/// A message or record of Kafka's schemas: one struct for all its versions.
///
/// Fields that a version lacks keep the schema's default when decoded. When encoding, a field that the version lacks must have its
/// default, unless the schema calls it ignorable: then it is dropped.
pub trait Message: Sized + Default {
    /// Kafka's name of the schema.
    const NAME: &'static str;
    /// Lowest version that exists.
    const MIN_VERSION: i16;
    /// Highest version that exists, stable or not.
    const MAX_VERSION: i16;

    /// Reads the message in `version` and leaves the reader behind it.
    ///
    /// Bytes after the message are not an error here: Kafka 4.2 parses a request and lets what follows lie. A caller that wants
    /// them to be one asks [`Reader::remaining`].
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Appends the message in `version`. After an error the writer holds a torn message and is to be dropped.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Says in an answer for how long its client is held off (`throttle_time_ms`); an answer without that field stays as it is.
    fn set_throttle_time_ms(&mut self, _milliseconds: i32) {}

    /// Reads the message from the start of `frame`, whose record data and strings it then shares.
    fn from_bytes(frame: Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(frame), version)
    }

    /// The message as one contiguous buffer; record data is copied in.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        self.encode(&mut writer, version)?;
        Ok(writer.into_bytes())
    }

    /// The message with gaps where [`Records::External`] stands; longer record data is shared, not copied.
    fn to_chunks(&self, version: i16) -> Result<Vec<Chunk>, EncodeError> {
        let mut writer = Writer::new();
        self.encode(&mut writer, version)?;
        Ok(writer.into_chunks())
    }
}

/// A [`Message`] that asks for an answer.
pub trait Request: Message {
    /// Its number and name among the APIs.
    const API_KEY: ApiKey;
    /// What it is answered with, in the same version.
    type Response: Message;
}

/// The bytes are not the message that they claim to be. None of these is worth a retry: the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field needs more bytes than the frame has left.
    #[error("a field needs {needed} bytes where {left} are left")]
    Truncated { needed: usize, left: usize },
    /// A length or element count below -1, or beyond what its type can say.
    #[error("a length of {0} is not possible")]
    InvalidLength(i64),
    /// An array claims more elements than the bytes left can hold.
    #[error("an array claims {elements} elements where {left} bytes are left")]
    ArrayTooLong { elements: usize, left: usize },
    /// The arrays of this frame would take more memory than [`MAX_DECODED_BYTES`] or the reader's own limit.
    #[error("the arrays of the frame would take more than the memory allowed to one frame")]
    TooLarge,
    /// A reader of short messages met one that is longer than [`SHORT_MESSAGE`]; a reader without that limit may find nothing wrong.
    #[error("the message takes longer to read than a core may take in one go")]
    Long,
    /// Null where the version does not allow it.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// A variable-length integer of more than five bytes.
    #[error("a variable-length integer runs over five bytes")]
    VarintTooLong,
    /// A tagged field does not fill the size that it announces.
    #[error("tagged field {tag} does not have the size that it announces")]
    TagSize { tag: u32 },
    /// The schema has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    /// A record value goes on after its record.
    #[error("{left} bytes follow the record")]
    TrailingBytes { left: usize },
    /// A record or control record of a kind that Kafka 4.2 does not have, or an envelope around it that is not known.
    #[error("record kind {0} is not known")]
    UnknownKind(i32),
}

/// The message cannot be said in this version. Always a bug of the caller, never the peer's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field has a value that this version cannot carry.
    #[error("{field} has a value that version {version} cannot carry")]
    FieldNotInVersion { field: &'static str, version: i16 },
    /// A field is null where this version does not allow it.
    #[error("{field} is null, which version {version} does not allow")]
    NullNotInVersion { field: &'static str, version: i16 },
    /// A writer of short messages met one that is longer than [`SHORT_MESSAGE`]; for a writer without that limit nothing is wrong.
    #[error("the message takes longer to write than a core may take in one go")]
    Long,
    /// A string is longer than [`MAX_STRING_LENGTH`].
    #[error("a string of {0} bytes is too long")]
    StringTooLong(usize),
    /// An array or a byte field is longer than a 32-bit length can say.
    #[error("a length of {0} does not fit 31 bits")]
    TooLong(usize),
    /// An unknown tagged field has the number of a known one.
    #[error("tag {0} is taken by a field of the schema")]
    DuplicateTag(u32),
    /// The schema has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
}

/// Record batches inside a message: null, bytes that are here, or bytes that somebody else will send in this place.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Records {
    /// No records field at all; distinct from an empty one.
    #[default]
    Null,
    /// The batches, shared with the frame that they came in.
    Bytes(Bytes),
    /// `len` bytes that are not in memory; the encoder leaves a gap that carries `index`, the caller's own number for them.
    External { len: usize, index: usize },
}

impl Records {
    /// The bytes, when they are here. `None` for [`Records::Null`].
    ///
    /// Panics for [`Records::External`], which no decoder makes.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Null => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::External { .. } => panic!("external records have no bytes in memory"),
        }
    }

    /// Length on the wire, without its prefix; 0 for null.
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::External { len, .. } => *len,
        }
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
