//! Makes batches: the broker's own records (metadata log, transaction markers, offsets), rebuilt ones, and those of tests.

use super::compression::{Compression, Compressor};
use super::header::{
    Attributes, BATCH_HEADER_BYTES, BatchHeader, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, TimestampType, seal,
};
use super::records::{Header, write_record};
use crate::model::{LeaderEpoch, Offset, ProducerId};
use bytes::Bytes;

/// Builds one batch: settings first, then records in offset order, then [`BatchBuilder::build`].
///
/// Base timestamp is that of the first record, max timestamp the greatest, as Kafka's clients do it.
pub struct BatchBuilder {
    header: BatchHeader,
    payload: Payload,
    log_append_time: Option<i64>,
    delete_horizon: Option<i64>,
    last_offset_delta: Option<i32>,
    record: Vec<u8>,
}

/// The codec starts with the first record, so that settings can still change before.
enum Payload {
    Unwritten(Compression),
    Open(Compressor),
}

impl BatchBuilder {
    /// A batch at base offset 0 without a producer or leader epoch.
    pub fn new(compression: Compression) -> Self {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_length: 0,
            partition_leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: Attributes::default().with_codec(compression.codec),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: ProducerId::NONE,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            records_count: 0,
        };
        Self {
            header,
            payload: Payload::Unwritten(compression),
            log_append_time: None,
            delete_horizon: None,
            last_offset_delta: None,
            record: Vec::new(),
        }
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    /// Epoch of the leader that appends the batch.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// The idempotent producer, and the sequence of the first record (-1 for control batches).
    #[must_use]
    pub fn producer(mut self, producer_id: ProducerId, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the records as part of a transaction.
    #[must_use]
    pub fn transactional(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(on);
        self
    }

    /// Marks the records as control records.
    #[must_use]
    pub fn control(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_control(on);
        self
    }

    /// Stamps the batch with the broker's time instead of the records' (`message.timestamp.type=LogAppendTime`).
    #[must_use]
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.log_append_time = Some(now_ms);
        self
    }

    /// Sets the time after which compaction may drop tombstones and markers (KIP-534); it takes the place of the base
    /// timestamp, so that the deltas of the records count from it.
    #[must_use]
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.header.attributes = self.header.attributes.with_delete_horizon(true);
        self.delete_horizon = Some(horizon_ms);
        self
    }

    /// Appends a record at the next offset.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut Self {
        self.append_with_headers(timestamp, key, value, &[])
    }

    /// Appends a record with headers at the next offset.
    pub fn append_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> &mut Self {
        let offset_delta = self.last_offset_delta.map_or(0, |last| last + 1);
        self.append_at(offset_delta, timestamp, key, value, headers)
    }

    /// Appends a record at an offset delta of its own: compacted batches have gaps.
    ///
    /// # Panics
    /// If the delta is not greater than that of the record before.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> &mut Self {
        assert!(offset_delta > self.last_offset_delta.unwrap_or(-1), "offsets grow within a batch");
        if self.header.records_count == 0 {
            self.header.base_timestamp = self.delete_horizon.unwrap_or(timestamp);
        }
        self.record.clear();
        let timestamp_delta = timestamp.wrapping_sub(self.header.base_timestamp);
        write_record(&mut self.record, timestamp_delta, offset_delta, key, value, headers.iter().copied());
        if let Payload::Unwritten(compression) = self.payload {
            self.payload = Payload::Open(Compressor::new(compression, vec![0; BATCH_HEADER_BYTES]));
        }
        let Payload::Open(compressor) = &mut self.payload else { unreachable!("opened above") };
        compressor.write(&self.record);
        self.header.records_count += 1;
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.last_offset_delta = Some(offset_delta);
        self
    }

    /// Records so far.
    pub fn records_count(&self) -> i32 {
        self.header.records_count
    }

    /// Bytes of the batch so far; what the codec has not put out yet is not counted.
    pub fn size_in_bytes(&self) -> usize {
        match &self.payload {
            Payload::Unwritten(_) => BATCH_HEADER_BYTES,
            Payload::Open(compressor) => compressor.written(),
        }
    }

    /// The finished batch, with length and CRC.
    ///
    /// # Panics
    /// Without any record: see [`empty_batch`] for what compaction leaves behind.
    pub fn build(self) -> Bytes {
        assert!(self.header.records_count > 0, "a batch has records");
        let last_offset_delta = self.last_offset_delta.expect("a batch has records");
        self.build_until(last_offset_delta)
    }

    /// The finished batch, covering offsets up to `last_offset_delta` though the last records may have been compacted away.
    ///
    /// # Panics
    /// Without any record, or if a record lies beyond.
    pub fn build_until(mut self, last_offset_delta: i32) -> Bytes {
        assert!(self.last_offset_delta.is_some_and(|last| last <= last_offset_delta), "the last offset covers all records");
        self.header.last_offset_delta = last_offset_delta;
        if let Some(now) = self.log_append_time {
            self.header.max_timestamp = now;
        }
        let Payload::Open(compressor) = self.payload else { unreachable!("there are records") };
        let mut batch = compressor.finish();
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&self.header.encode());
        seal(&mut batch);
        Bytes::from(batch)
    }
}

/// A batch without records that keeps the offsets and the producer state of `header`: what compaction leaves of the last
/// batch of a producer. Not compressed; of the timestamps, only the greatest stays.
pub fn empty_batch(header: &BatchHeader) -> Bytes {
    let kept = Attributes::default()
        .with_timestamp_type(header.attributes.timestamp_type())
        .with_transactional(header.attributes.is_transactional())
        .with_control(header.attributes.is_control());
    let empty = BatchHeader { attributes: kept, base_timestamp: NO_TIMESTAMP, records_count: 0, ..*header };
    let mut batch = empty.encode().to_vec();
    seal(&mut batch);
    Bytes::from(batch)
}
