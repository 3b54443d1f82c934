//! The rules that each record of a produced batch must meet, and what the walk over them finds out about the batch.

use super::header::{BatchHeader, NO_TIMESTAMP, TimestampType};
use super::stream::{RecordHead, RecordSink};
use super::validate::{RecordError, RecordsError, ValidateOptions};
use crate::model::ErrorCode;

/// Record errors that an answer names; the others are only counted, since a client chooses how many there are.
pub const MAX_RECORD_ERRORS: usize = 1000;

/// Judges records one after another.
pub(super) struct RecordRules {
    timestamp_type: TimestampType,
    before_max_ms: i64,
    after_max_ms: i64,
    now_ms: i64,
    compacted: bool,
    base_timestamp: i64,
    /// The batch says LogAppendTime: its max timestamp holds for all records.
    stamped: Option<i64>,
    index: i32,
    pub(super) max_timestamp: i64,
    /// Whether the offset deltas are 0, 1, 2, …
    pub(super) offsets_in_order: bool,
    errors: Vec<RecordError>,
    error_count: usize,
    invalid_timestamp: bool,
}

/// The timestamp that holds for every record of a batch, if the batch says LogAppendTime.
pub(super) fn stamp_of(header: &BatchHeader) -> Option<i64> {
    (header.attributes.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp)
}

impl RecordRules {
    pub(super) fn new(options: &ValidateOptions, header: &BatchHeader) -> Self {
        Self {
            timestamp_type: options.timestamp_type,
            before_max_ms: options.before_max_ms,
            after_max_ms: options.after_max_ms,
            now_ms: options.now_ms,
            compacted: options.compacted,
            base_timestamp: header.base_timestamp,
            stamped: stamp_of(header),
            index: 0,
            max_timestamp: NO_TIMESTAMP,
            offsets_in_order: true,
            errors: Vec::new(),
            error_count: 0,
            invalid_timestamp: false,
        }
    }

    /// Judges the next record. Additions wrap, as in Kafka: a lying delta must not bring the broker down.
    #[inline]
    pub(super) fn record(&mut self, timestamp_delta: i64, offset_delta: i32, has_key: bool) {
        let timestamp = self.stamped.unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta));
        if self.compacted && !has_key {
            self.no_key();
        } else if self.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            let age = self.now_ms.wrapping_sub(timestamp);
            if age > self.before_max_ms || age.wrapping_neg() > self.after_max_ms {
                self.out_of_range(timestamp, offset_delta);
            }
        } else if self.stamped.is_some() {
            self.not_the_producers_type();
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.offsets_in_order &= offset_delta == self.index;
        self.index = self.index.wrapping_add(1);
    }

    #[cold]
    fn error(&mut self, message: String) {
        self.error_count += 1;
        if self.errors.len() < MAX_RECORD_ERRORS {
            self.errors.push(RecordError { batch_index: self.index, message });
        }
    }

    #[cold]
    fn no_key(&mut self) {
        self.error("a compacted topic takes no record without a key".into());
    }

    #[cold]
    fn out_of_range(&mut self, timestamp: i64, offset_delta: i32) {
        self.invalid_timestamp = true;
        let first = self.now_ms.wrapping_sub(self.before_max_ms);
        let last = self.now_ms.wrapping_add(self.after_max_ms);
        self.error(format!(
            "timestamp {timestamp} of the record with offset {offset_delta} is out of range, it should be within [{first}, {last}]"
        ));
    }

    #[cold]
    fn not_the_producers_type(&mut self) {
        self.invalid_timestamp = true;
        self.error("a producer does not set the timestamp type to LogAppendTime".into());
    }

    /// The verdict once all records have been judged: any failed record fails the batch, and a bad timestamp decides the
    /// code over other errors.
    pub(super) fn verdict(&mut self) -> Result<(), RecordsError> {
        if self.error_count == 0 {
            return Ok(());
        }
        let (code, why) = if self.invalid_timestamp {
            (ErrorCode::InvalidTimestamp, "invalid timestamps")
        } else {
            (ErrorCode::InvalidRecord, "record errors")
        };
        let message = format!("{} records have been rejected, due to {why}", self.error_count);
        Err(RecordsError { code, message, record_errors: std::mem::take(&mut self.errors) })
    }
}

impl RecordSink for RecordRules {
    #[inline]
    fn head(&mut self, head: &RecordHead) {
        self.record(head.timestamp_delta, head.offset_delta, head.has_key);
    }

    fn rest(&mut self, _: &[u8]) {}
}
