//! Record batches: the unit that producers send, logs hold and consumers receive, byte for byte the same everywhere.
//!
//! **The problem.** A broker must believe nothing that a producer says about a batch (size, checksum, record count, offsets,
//! timestamps, what is inside a compressed payload), must give every record an offset, and must still not move the bytes: a
//! batch is a slice of the buffer that the socket filled, and is written to disk from there.
//!
//! **The design that follows.** Everything here borrows. [`BatchHeader`] decodes 61 bytes, [`Batches`] walks a buffer,
//! [`Records`] walks a payload; none of them allocates, and none panics on any bytes. Numbering touches only the 16 bytes in
//! front of the checksummed part ([`numbered_head`]). Codecs are streams with an output limit ([`Decompressor`]), so that
//! checking a compressed batch holds a window of it, never the whole, and a bomb costs no memory. Batches of our own, and
//! those that have to be rebuilt, come from [`BatchBuilder`]. [`Validator`] applies Kafka's rules to what a client produced.
//!
//! **Where to look.** A field of the header: `header`. Records: `records`. The codecs: `compression`, `lz4`, `snappy`. Markers and
//! other control records: `control`. A new check of produced batches: `validate` for a rule about the batch and for the order
//! of all rules, `rules` for one about each record.
//!
//! Format: KIP-98 (v2), KIP-110 (zstd), KIP-534 (delete horizon). Formats v0 and v1 are recognised and refused: Kafka 4
//! neither takes nor writes them.

mod batches;
mod builder;
mod compression;
mod control;
mod header;
mod lz4;
mod rebuild;
mod records;
mod rules;
mod snappy;
mod stream;
mod validate;
pub mod varint;

pub use batches::{Batch, Batches, next_batch_size};
pub use builder::{BatchBuilder, empty_batch};
pub use compression::{Compression, CompressionError, Compressor, Decompressor, decompress};
pub use control::{CONTROL_KEY_BYTES, CONTROL_KEY_VERSION, ControlKeyError, ControlRecordType, EndTransactionMarker};
pub use header::{
    Attributes, BATCH_HEAD_BYTES, BATCH_HEADER_BYTES, BatchHeader, CURRENT_MAGIC, Codec, HEADER_UP_TO_MAGIC_BYTES,
    LOG_OVERHEAD_BYTES, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, TimestampType, compute_crc, crc_is_valid,
    increment_sequence, numbered_head, patch_base_offset, patch_leader_epoch, patch_max_timestamp, seal,
};
pub use records::{Header, Headers, Record, RecordFormatError, RecordShape, Records, read_record, read_shape, write_record};
pub use rules::MAX_RECORD_ERRORS;
pub use validate::{
    DEFAULT_MAX_DECOMPRESSED_BYTES, RecordError, RecordsError, ValidateOptions, ValidatedBatch, Validator, validate,
};

use crate::model::ErrorCode;

/// Why bytes are not a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the batch takes; more may complete it.
    #[error("a batch of {needed} bytes is cut to {available}")]
    Truncated {
        /// Bytes that the header or batch takes.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field cannot be.
    #[error("batch length {0} is less than the minimum record overhead")]
    InvalidLength(i32),
    /// Not the format v2.
    #[error("invalid magic found in record: {0}")]
    UnsupportedMagic(i8),
    /// The CRC does not hold.
    #[error("record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    BadCrc {
        /// CRC in the header.
        stored: u32,
        /// CRC of the bytes.
        computed: u32,
    },
    /// The attributes name no codec.
    #[error("unknown compression type id: {0}")]
    UnknownCodec(u8),
}

impl BatchError {
    /// The code that a client gets when it asks for the batch; [`validate`] has rules of its own for what it sends.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnsupportedMagic(0 | 1) => ErrorCode::UnsupportedForMessageFormat,
            Self::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
            _ => ErrorCode::CorruptMessage,
        }
    }
}

#[cfg(test)]
mod kafka_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validate_tests;
