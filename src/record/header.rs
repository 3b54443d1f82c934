//! The 61 bytes in front of every record batch (format v2, KIP-98), and what a broker may change in them.
//!
//! ```text
//!  0 baseOffset i64          21 attributes i16         43 producerId i64
//!  8 batchLength i32         23 lastOffsetDelta i32    51 producerEpoch i16
//! 12 partitionLeaderEpoch    27 baseTimestamp i64      53 baseSequence i32
//! 16 magic i8 = 2            35 maxTimestamp i64       57 recordsCount i32
//! 17 crc u32 (CRC-32C of everything from 21 on)        61 records
//! ```
//!
//! Base offset and leader epoch lie before the part that the CRC covers, so numbering a batch touches 16 bytes and no
//! checksum. Timestamp type and max timestamp lie behind it: changing them costs a pass over the batch.

use super::BatchError;
use crate::model::{LeaderEpoch, Offset, ProducerId};

/// Bytes of the header of a v2 batch.
pub const BATCH_HEADER_BYTES: usize = 61;
/// `baseOffset` and `batchLength`, which `batchLength` itself does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Bytes in front of the CRC part that a broker writes when it numbers a batch: base offset, length, leader epoch.
pub const BATCH_HEAD_BYTES: usize = 16;
/// Bytes up to and including `magic`, the least that tells which format follows.
pub const HEADER_UP_TO_MAGIC_BYTES: usize = 17;
/// The format that Kafka has written since 0.11.
pub const CURRENT_MAGIC: i8 = 2;
/// "No timestamp" in a batch or record.
pub const NO_TIMESTAMP: i64 = -1;
/// "No sequence" in a batch of a producer that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;
/// "No epoch" in a batch of a producer that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;

const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORDS_COUNT_AT: usize = 57;
const _: () = assert!(RECORDS_COUNT_AT + 4 == BATCH_HEADER_BYTES);
const _: () = assert!(LEADER_EPOCH_AT + 4 == BATCH_HEAD_BYTES && BATCH_HEAD_BYTES <= CRC_AT);
const _: () = assert!(MAGIC_AT + 1 == HEADER_UP_TO_MAGIC_BYTES);

/// How the records of a batch are compressed: bits 0 to 2 of the attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Codec {
    /// Not compressed.
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// Snappy blocks in the framing of snappy-java.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard frames (KIP-110).
    Zstd = 4,
}

impl Codec {
    /// Every codec, by id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this id, if there is one.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in `compression.type` and in the tools' output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who set the timestamps of a batch (KIP-32): bit 3 of the attributes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// The producer; records carry their own.
    CreateTime,
    /// The broker, when it appended; max timestamp holds for every record.
    LogAppendTime,
}

/// The attributes of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC_MASK: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec, or the id that names none (5 to 7).
    pub fn codec(self) -> Result<Codec, BatchError> {
        let id = (self.0 & Self::CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec(id))
    }

    /// Whether the records are compressed, by whatever codec.
    pub const fn is_compressed(self) -> bool {
        self.0 & Self::CODEC_MASK != 0
    }

    /// Who set the timestamps.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the records belong to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records instead of a client's.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether `base_timestamp` is the time after which compaction may drop tombstones and markers (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// These attributes without the bits that have no meaning yet; so Kafka writes whatever it changes.
    #[must_use]
    pub const fn known(self) -> Self {
        Self(self.0 & 0x7f)
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }

    /// These attributes with another codec.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC_MASK | codec as i16)
    }

    /// These attributes with another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, matches!(timestamp_type, TimestampType::LogAppendTime))
    }

    /// These attributes, transactional or not.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// These attributes, control or not.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// These attributes, with a delete horizon or not.
    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// The header of a v2 batch, decoded. What it says is the producer's word until the batch has been validated; only `magic`
/// and the least value of `batch_length` have been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record; 0 on its way from a producer.
    pub base_offset: Offset,
    /// Bytes after this field; see [`BatchHeader::size_in_bytes`].
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch, -1 before.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// Offset of the last record, counted from `base_offset`. Survives compaction, so that the log has no holes at its end.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970 from which the records' deltas count, or the delete horizon.
    pub base_timestamp: i64,
    /// Greatest timestamp of a record, or the append time.
    pub max_timestamp: i64,
    /// Idempotent producer, or none.
    pub producer_id: ProducerId,
    /// Epoch of the producer, -1 without one.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 without a producer.
    pub base_sequence: i32,
    /// Records in the batch; fewer than the offsets it covers once compacted.
    pub records_count: i32,
}

fn at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    bytes[position..position + N].try_into().expect("slice of N bytes")
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// Fewer than 61 bytes; a batch length that cannot hold a header; another format than v2.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_UP_TO_MAGIC_BYTES {
            return Err(BatchError::Truncated { needed: BATCH_HEADER_BYTES, available: bytes.len() });
        }
        let magic = bytes[MAGIC_AT] as i8;
        if magic != CURRENT_MAGIC {
            return Err(BatchError::UnsupportedMagic(magic));
        }
        let batch_length = i32::from_be_bytes(at(bytes, LENGTH_AT));
        if i64::from(batch_length) < (BATCH_HEADER_BYTES - LOG_OVERHEAD_BYTES) as i64 {
            return Err(BatchError::InvalidLength(batch_length));
        }
        if bytes.len() < BATCH_HEADER_BYTES {
            return Err(BatchError::Truncated { needed: BATCH_HEADER_BYTES, available: bytes.len() });
        }
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(at(bytes, 0))),
            batch_length,
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(at(bytes, LEADER_EPOCH_AT))),
            crc: u32::from_be_bytes(at(bytes, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(at(bytes, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(at(bytes, LAST_OFFSET_DELTA_AT)),
            base_timestamp: i64::from_be_bytes(at(bytes, BASE_TIMESTAMP_AT)),
            max_timestamp: i64::from_be_bytes(at(bytes, MAX_TIMESTAMP_AT)),
            producer_id: ProducerId(i64::from_be_bytes(at(bytes, PRODUCER_ID_AT))),
            producer_epoch: i16::from_be_bytes(at(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(at(bytes, BASE_SEQUENCE_AT)),
            records_count: i32::from_be_bytes(at(bytes, RECORDS_COUNT_AT)),
        })
    }

    /// The header as bytes. Length and CRC are written as the fields say; [`seal`] makes them fit a finished batch.
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        let mut put = |position: usize, bytes: &[u8]| out[position..position + bytes.len()].copy_from_slice(bytes);
        put(0, &self.base_offset.0.to_be_bytes());
        put(LENGTH_AT, &self.batch_length.to_be_bytes());
        put(LEADER_EPOCH_AT, &self.partition_leader_epoch.0.to_be_bytes());
        put(MAGIC_AT, &CURRENT_MAGIC.to_be_bytes());
        put(CRC_AT, &self.crc.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes.0.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(PRODUCER_ID_AT, &self.producer_id.0.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &self.producer_epoch.to_be_bytes());
        put(BASE_SEQUENCE_AT, &self.base_sequence.to_be_bytes());
        put(RECORDS_COUNT_AT, &self.records_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, this header included: 61 at least.
    pub const fn size_in_bytes(&self) -> usize {
        self.batch_length as usize + LOG_OVERHEAD_BYTES
    }

    /// Offset of the last record. Wraps on a batch that lies, as Kafka's arithmetic does.
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.wrapping_add(self.last_offset_delta as i64))
    }

    /// Offset after the last record. Wraps on a batch that lies.
    pub const fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// Whether the producer is idempotent or transactional.
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// Sequence of the last record, -1 without one. Sequences go from `i32::MAX` to 0.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            NO_SEQUENCE
        } else {
            increment_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// The delete horizon in milliseconds, if compaction has set one (KIP-534).
    pub const fn delete_horizon_ms(&self) -> Option<i64> {
        if self.attributes.has_delete_horizon() { Some(self.base_timestamp) } else { None }
    }
}

/// The sequence `increment` records after `sequence`, going from `i32::MAX` to 0.
pub const fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = sequence as i64 + increment as i64;
    (if sum > i32::MAX as i64 { sum - i32::MAX as i64 - 1 } else { sum }) as i32
}

/// Whether the CRC of `batch` (one whole batch, header included) holds. One pass over the bytes.
pub fn crc_is_valid(batch: &[u8]) -> bool {
    batch.len() >= BATCH_HEADER_BYTES && u32::from_be_bytes(at(batch, CRC_AT)) == compute_crc(batch)
}

/// CRC-32C of the part of `batch` that the CRC covers.
///
/// # Panics
/// On fewer bytes than a header.
pub fn compute_crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[ATTRIBUTES_AT..])
}

/// The part of `batch` that its CRC covers, for a checksum taken in steps.
pub(super) fn crc_part(batch: &[u8]) -> &[u8] {
    &batch[ATTRIBUTES_AT..]
}

/// The first 16 bytes of `batch` with base offset and leader epoch filled in. Written in front of `batch[16..]`, they number
/// a batch that is shared and so cannot be changed in place.
///
/// # Panics
/// On fewer bytes than a header.
pub fn numbered_head(batch: &[u8], base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; BATCH_HEAD_BYTES] {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "a batch has a header");
    let mut head: [u8; BATCH_HEAD_BYTES] = at(batch, 0);
    head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    head[LEADER_EPOCH_AT..].copy_from_slice(&leader_epoch.0.to_be_bytes());
    head
}

/// Writes the base offset into `batch`; the CRC stays valid.
pub fn patch_base_offset(batch: &mut [u8], base_offset: Offset) {
    batch[..8].copy_from_slice(&base_offset.0.to_be_bytes());
}

/// Writes the leader epoch into `batch`; the CRC stays valid.
pub fn patch_leader_epoch(batch: &mut [u8], leader_epoch: LeaderEpoch) {
    batch[LEADER_EPOCH_AT..BATCH_HEAD_BYTES].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Writes timestamp type and max timestamp into one whole batch and computes its CRC anew, unless both are there already.
///
/// # Panics
/// On fewer bytes than a header.
pub fn patch_max_timestamp(batch: &mut [u8], timestamp_type: TimestampType, max_timestamp: i64) {
    let attributes = Attributes(i16::from_be_bytes(at(batch, ATTRIBUTES_AT)));
    if attributes.timestamp_type() == timestamp_type && i64::from_be_bytes(at(batch, MAX_TIMESTAMP_AT)) == max_timestamp {
        return;
    }
    let patched = attributes.with_timestamp_type(timestamp_type).known();
    batch[ATTRIBUTES_AT..LAST_OFFSET_DELTA_AT].copy_from_slice(&patched.0.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..PRODUCER_ID_AT].copy_from_slice(&max_timestamp.to_be_bytes());
    patch_crc(batch);
}

/// Writes length and CRC of `batch` (one finished batch, header included).
///
/// # Panics
/// On fewer bytes than a header or more than a batch length can say.
pub fn seal(batch: &mut [u8]) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "a batch has a header");
    let length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES).expect("a batch is smaller than 2 GiB");
    batch[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&length.to_be_bytes());
    patch_crc(batch);
}

fn patch_crc(batch: &mut [u8]) {
    let crc = compute_crc(batch);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}
