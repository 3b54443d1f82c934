//! What a leader checks before it appends what a client produced to one partition, in Kafka's order, with Kafka's codes.
//!
//! The common case (not compressed, timestamps in range) is one pass for the CRC and one light walk over the records' heads;
//! nothing is copied or allocated and the answer is a slice of what came in. A compressed batch is walked while it is
//! decompressed. Only a batch whose max timestamp or timestamp type has to change is patched (copied, if the buffer is
//! shared), and only one whose codec or inner offsets are wrong is rebuilt.
//!
//! All of it can take long on a core that has other work, so a [`Validator`] goes in steps; [`validate`] runs it to the end.

use super::batches::Batches;
use super::compression::{Compression, CompressionError};
use super::header::{BATCH_HEADER_BYTES, BatchHeader, CURRENT_MAGIC, Codec, TimestampType, crc_part, patch_max_timestamp};
use super::rebuild::Rebuild;
use super::records::{RecordFormatError, read_shape};
use super::rules::RecordRules;
use super::stream::{RecordStream, StreamError};
use super::{BatchError, LOG_OVERHEAD_BYTES};
use crate::model::{ErrorCode, Offset};
use bytes::{Bytes, BytesMut};

/// Produce version from which zstd may be sent (KIP-110).
const ZSTD_MIN_PRODUCE_VERSION: i16 = 7;
/// Default of [`ValidateOptions::max_decompressed_bytes`].
pub const DEFAULT_MAX_DECOMPRESSED_BYTES: usize = 128 * 1024 * 1024;
/// Most that the limit can be set to, so that the size of a record, numbered anew, still fits its field.
const MAX_RECORDS_BYTES: usize = i32::MAX as usize - 64;
const _: () = assert!(DEFAULT_MAX_DECOMPRESSED_BYTES < MAX_RECORDS_BYTES);
/// Bytes of checksum that count as one byte of walking, roughly: the CRC instruction is that much faster.
const CRC_SPEED: usize = 8;

/// What a topic asks of produced records, and the circumstances of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValidateOptions {
    /// `max.message.bytes`: of a whole batch, header included.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// Whether `cleanup.policy` has `compact`, so that every record needs a key.
    pub compacted: bool,
    /// `compression.type` with its level; `None` is `producer`.
    pub compression: Option<Compression>,
    /// Version of the Produce request.
    pub produce_version: i16,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Uncompressed bytes that one batch may hold; beyond, it is taken for a bomb and refused as too large. Bounds time, not
    /// memory: no more than a window is held. Kafka has no such limit.
    pub max_decompressed_bytes: usize,
}

impl ValidateOptions {
    /// Kafka 4.2's defaults, at the newest Produce version.
    pub const fn new(now_ms: i64) -> Self {
        Self {
            max_message_bytes: 1024 * 1024 + LOG_OVERHEAD_BYTES,
            segment_bytes: 1024 * 1024 * 1024,
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 60 * 60 * 1000,
            compacted: false,
            compression: None,
            produce_version: 13,
            now_ms,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED_BYTES,
        }
    }
}

/// A batch that may be appended. Its offsets still count from 0 and its leader epoch is the client's word: number it with
/// [`super::numbered_head`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatedBatch {
    /// The batch and nothing else: a slice of the input, unless it had to be changed.
    pub bytes: Bytes,
    /// Its header: producer id and epoch, sequences, record count, transactional flag.
    pub header: BatchHeader,
    /// Greatest timestamp, as found in the records; the append time under LogAppendTime; -1 if no record has one.
    pub max_timestamp: i64,
    /// Where an index says that the greatest timestamp is: the last offset of the batch (0-based), -1 without a timestamp.
    pub offset_of_max_timestamp: i64,
    /// The time of this append under LogAppendTime, else -1: what the produce response carries.
    pub log_append_time: i64,
}

impl ValidatedBatch {
    /// Records in the batch: as many offsets as it takes.
    pub fn records_count(&self) -> i32 {
        self.header.records_count
    }

    /// Offset of the last record, counted from 0.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }
}

/// One record that broke a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Its position in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong.
    pub message: String,
}

/// Why nothing of the record set is appended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RecordsError {
    /// The code for the partition's response.
    pub code: ErrorCode,
    /// The message for it.
    pub message: String,
    /// The records at fault, if the fault lies in records (Produce v8, KIP-467); at most [`super::MAX_RECORD_ERRORS`].
    pub record_errors: Vec<RecordError>,
}

impl RecordsError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), record_errors: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRecord, message)
    }
}

impl From<BatchError> for RecordsError {
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
            _ => ErrorCode::CorruptMessage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RecordFormatError> for RecordsError {
    fn from(error: RecordFormatError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<CompressionError> for RecordsError {
    fn from(error: CompressionError) -> Self {
        let code = match error {
            CompressionError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            CompressionError::UnknownCodec => ErrorCode::UnsupportedCompressionType,
            CompressionError::Malformed { .. } => ErrorCode::InvalidRecord,
        };
        Self::new(code, error.to_string())
    }
}

impl From<StreamError> for RecordsError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Compression(error) => error.into(),
            StreamError::Format(error) => error.into(),
        }
    }
}

enum Stage {
    Shape,
    Crc {
        position: usize,
        crc: u32,
    },
    /// Records in place: where the walk is, and how many it has seen.
    Plain {
        position: usize,
        seen: i32,
    },
    Stream(Box<RecordStream>),
    Rebuild(Box<Rebuild>),
    Done,
}

/// A validation under way: call [`Validator::step`] until it answers.
///
/// Memory: nothing for batches that are not compressed, else a window and the codec's own, which for zstd follows what has
/// been decompressed, up to 128 MiB for a hostile batch. So a core should have few of them under way at a time. A rebuild
/// takes `max.message.bytes` more.
pub struct Validator {
    records: Bytes,
    options: ValidateOptions,
    stage: Stage,
    /// The one batch, once its shape is known.
    header: Option<BatchHeader>,
    rules: Option<RecordRules>,
}

/// Validates the records of one partition in a Produce request.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(records: Bytes, options: &ValidateOptions) -> Result<ValidatedBatch, RecordsError> {
    let mut validator = Validator::new(records, *options);
    loop {
        if let Some(answer) = validator.step(usize::MAX) {
            return answer;
        }
    }
}

impl Validator {
    /// Begins with the record set of one partition, as it stands in the request.
    pub fn new(records: Bytes, options: ValidateOptions) -> Self {
        Self { records, options, stage: Stage::Shape, header: None, rules: None }
    }

    /// Does work worth about `budget` bytes of records, a codec's block more at most; the answer once there is one. 64 KiB
    /// of records take some tens of microseconds.
    ///
    /// # Panics
    /// When called again after the answer.
    pub fn step(&mut self, budget: usize) -> Option<Result<ValidatedBatch, RecordsError>> {
        let mut left = budget.max(1);
        loop {
            match self.turn(&mut left) {
                Ok(None) if left == 0 => return None,
                Ok(None) => {}
                Ok(Some(batch)) => return Some(Ok(batch)),
                Err(error) => {
                    self.stage = Stage::Done;
                    return Some(Err(error));
                }
            }
        }
    }

    /// One stage, or as much of it as `left` allows.
    fn turn(&mut self, left: &mut usize) -> Result<Option<ValidatedBatch>, RecordsError> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Shape => self.check_shape()?,
            Stage::Crc { position, crc } => self.check_crc(position, crc, left)?,
            Stage::Plain { position, seen } => return self.walk(position, seen, left),
            Stage::Stream(mut stream) => {
                let rules = self.rules.as_mut().expect("rules are there since the CRC");
                if !stream.advance(std::mem::take(left), rules)? {
                    self.stage = Stage::Stream(stream);
                    return Ok(None);
                }
                return self.after_walk();
            }
            Stage::Rebuild(mut rebuild) => {
                let done = rebuild.advance(std::mem::take(left))?;
                self.check_rebuilt_size(rebuild.written())?;
                if !done {
                    self.stage = Stage::Rebuild(rebuild);
                    return Ok(None);
                }
                let bytes = rebuild.finish(self.options.timestamp_type, self.max_timestamp());
                self.check_rebuilt_size(bytes.len())?;
                return self.finish(bytes).map(Some);
            }
            Stage::Done => panic!("the validation has answered already"),
        }
        Ok(None)
    }

    fn header(&self) -> &BatchHeader {
        self.header.as_ref().expect("the shape is known by now")
    }

    fn rules(&self) -> &RecordRules {
        self.rules.as_ref().expect("rules are there since the CRC")
    }

    /// What a Produce request may carry: exactly one v2 batch, and a partial one after it is cut off.
    fn check_shape(&mut self) -> Result<(), RecordsError> {
        let mut batches = Batches::new(&self.records);
        let first = match batches.next() {
            None => return Err(RecordsError::invalid("a produce request has at least one record batch per partition")),
            Some(Err(BatchError::UnsupportedMagic(magic))) if (0..CURRENT_MAGIC).contains(&magic) => {
                return Err(RecordsError::invalid(format!("record batches have the magic 2, not {magic}")));
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(first)) => first,
        };
        if first.header.attributes.codec() == Ok(Codec::Zstd) && self.options.produce_version < ZSTD_MIN_PRODUCE_VERSION {
            let message = format!("zstd needs Produce version {ZSTD_MIN_PRODUCE_VERSION}");
            return Err(RecordsError::new(ErrorCode::UnsupportedCompressionType, message));
        }
        let header = first.header;
        match batches.next() {
            None => {}
            Some(Err(error)) if !matches!(error, BatchError::UnsupportedMagic(0 | 1)) => return Err(error.into()),
            Some(_) => return Err(RecordsError::invalid("a produce request has exactly one record batch per partition")),
        }
        if header.base_offset != Offset::ZERO {
            return Err(RecordsError::invalid(format!("the base offset should be 0, but it is {}", header.base_offset)));
        }
        self.check_message_size(header.size_in_bytes())?;
        self.records.truncate(header.size_in_bytes());
        self.header = Some(header);
        self.stage = Stage::Crc { position: 0, crc: 0 };
        Ok(())
    }

    fn check_message_size(&self, size: usize) -> Result<(), RecordsError> {
        let max = self.options.max_message_bytes;
        if size <= max {
            return Ok(());
        }
        Err(RecordsError::new(ErrorCode::MessageTooLarge, format!("the batch takes {size} bytes, the most allowed is {max}")))
    }

    /// The size counts again once a batch has been rebuilt, and bounds what rebuilding takes.
    fn check_rebuilt_size(&self, size: usize) -> Result<(), RecordsError> {
        let max = self.options.max_message_bytes;
        if size <= max {
            return Ok(());
        }
        let message = format!("compressed as the topic asks, the batch takes more than the {max} bytes that are allowed");
        Err(RecordsError::new(ErrorCode::MessageTooLarge, message))
    }

    fn check_crc(&mut self, position: usize, crc: u32, left: &mut usize) -> Result<(), RecordsError> {
        let part = &crc_part(&self.records)[position..];
        let count = part.len().min(left.saturating_mul(CRC_SPEED));
        let crc = crc32c::crc32c_append(crc, &part[..count]);
        *left -= (count / CRC_SPEED).min(*left);
        if count < part.len() {
            *left = 0;
            self.stage = Stage::Crc { position: position + count, crc };
            return Ok(());
        }
        let stored = self.header().crc;
        if crc != stored {
            return Err(BatchError::BadCrc { stored, computed: crc }.into());
        }
        self.header().attributes.codec()?;
        self.check_header()?;
        self.rules = Some(RecordRules::new(&self.options, self.header()));
        self.stage = if self.header().attributes.is_compressed() {
            Stage::Stream(Box::new(self.stream()?))
        } else {
            Stage::Plain { position: BATCH_HEADER_BYTES, seen: 0 }
        };
        Ok(())
    }

    /// What the header says must fit together, for a client.
    fn check_header(&self) -> Result<(), RecordsError> {
        let header = self.header();
        let offsets = i64::from(header.last_offset_delta) + 1;
        let count = header.records_count;
        if offsets <= 0 {
            return Err(RecordsError::invalid(format!("invalid offset range: last offset delta {}", header.last_offset_delta)));
        }
        if count <= 0 {
            return Err(RecordsError::invalid(format!("invalid count of records: {count}")));
        }
        if i64::from(count) != offsets {
            return Err(RecordsError::invalid(format!("{offsets} offsets for {count} records")));
        }
        if header.attributes.is_control() {
            return Err(RecordsError::invalid("clients do not write control records"));
        }
        if header.has_producer_id() && header.base_sequence < 0 {
            let message = format!("invalid sequence {} of producer {}", header.base_sequence, header.producer_id);
            return Err(RecordsError::invalid(message));
        }
        Ok(())
    }

    fn walk(&mut self, mut position: usize, mut seen: i32, left: &mut usize) -> Result<Option<ValidatedBatch>, RecordsError> {
        let count = self.header().records_count;
        let rules = self.rules.as_mut().expect("rules are there since the CRC");
        let until = position.saturating_add(*left);
        // The heads are what costs: a huge value is one record, but so is an empty one.
        while seen < count {
            if position >= until {
                *left = 0;
                self.stage = Stage::Plain { position, seen };
                return Ok(None);
            }
            if position == self.records.len() {
                return Err(RecordFormatError::MissingRecord(seen).into());
            }
            let shape = read_shape(&self.records, &mut position)?;
            rules.record(shape.timestamp_delta, shape.offset_delta, shape.has_key);
            seen += 1;
        }
        if position < self.records.len() {
            return Err(RecordFormatError::BytesLeftInBatch.into());
        }
        *left = until - position.min(until);
        self.after_walk()
    }

    fn stream(&self) -> Result<RecordStream, RecordsError> {
        let header = self.header();
        let codec = header.attributes.codec()?;
        let payload = self.records.slice(BATCH_HEADER_BYTES..);
        let limit = match codec {
            Codec::None => payload.len(),
            _ => self.options.max_decompressed_bytes.min(MAX_RECORDS_BYTES),
        };
        Ok(RecordStream::new(codec, payload, header.records_count, limit)?)
    }

    /// All records have been judged: take the batch as it is, patch it, or begin to rebuild it.
    ///
    /// Records that are not numbered 0, 1, 2, … are numbered anew, as Kafka does it for compressed batches; Kafka takes an
    /// uncompressed one as it is and serves wrong offsets from then on, which we do not.
    fn after_walk(&mut self) -> Result<Option<ValidatedBatch>, RecordsError> {
        self.rules.as_mut().expect("rules are there since the CRC").verdict()?;
        let source = self.header().attributes.codec()?;
        let target = self.options.compression.filter(|target| target.codec != source);
        if target.is_none() && self.rules().offsets_in_order {
            return self.take_in_place().map(Some);
        }
        let target = target.or(self.options.compression).unwrap_or(Compression::of(source));
        self.stage = Stage::Rebuild(Box::new(Rebuild::new(self.stream()?, self.header(), target)));
        Ok(None)
    }

    fn max_timestamp(&self) -> i64 {
        match self.options.timestamp_type {
            TimestampType::CreateTime => self.rules().max_timestamp,
            TimestampType::LogAppendTime => self.options.now_ms,
        }
    }

    fn take_in_place(&mut self) -> Result<ValidatedBatch, RecordsError> {
        let bytes = std::mem::take(&mut self.records);
        let (timestamp_type, max_timestamp) = (self.options.timestamp_type, self.max_timestamp());
        let header = self.header();
        if header.attributes.timestamp_type() == timestamp_type && header.max_timestamp == max_timestamp {
            return self.finish(bytes);
        }
        let mut patched = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        patch_max_timestamp(&mut patched, timestamp_type, max_timestamp);
        self.finish(patched.freeze())
    }

    fn finish(&mut self, bytes: Bytes) -> Result<ValidatedBatch, RecordsError> {
        let max = self.options.segment_bytes;
        if bytes.len() > max {
            let message = format!("the batch takes {} bytes, a segment {max}", bytes.len());
            return Err(RecordsError::new(ErrorCode::RecordListTooLarge, message));
        }
        let header = BatchHeader::parse(&bytes).expect("a validated batch has a header");
        assert_eq!(header.size_in_bytes(), bytes.len(), "a validated batch is one whole batch");
        let max_timestamp = self.max_timestamp();
        assert_eq!(header.max_timestamp, max_timestamp, "the header says what the records say");
        let log_append_time = match self.options.timestamp_type {
            TimestampType::CreateTime => super::NO_TIMESTAMP,
            TimestampType::LogAppendTime => self.options.now_ms,
        };
        let offset_of_max_timestamp = if max_timestamp > super::NO_TIMESTAMP { header.last_offset().0 } else { -1 };
        Ok(ValidatedBatch { bytes, header, max_timestamp, offset_of_max_timestamp, log_append_time })
    }
}
