//! Which records stay, and the batches that hold them: pure work on chunks of whole batches, which a helper thread does.
//!
//! The rules, Kafka's (KIP-58, KIP-280, KIP-534):
//! - Of each key the newest record stays. What lies behind the end of the map is not judged. Records without a key go.
//! - A tombstone stays until its *delete horizon*: the pass that keeps one for the first time writes now + `delete.retention.ms` into
//!   the batch, and a pass after that time drops it. So a reader that needs no longer than that sees every deletion.
//! - Data of aborted transactions goes at once. A marker stays while there is data before it, then it gets a horizon, too.
//! - What is left keeps its offset. Of the last batch of each producer (which tells what it sent last) and of the last batch of a round
//!   (which tells where the log ends) a header without records stays.

use super::map::OffsetMap;
use super::transactions::CleanedTransactions;
use crate::log::segment::Located;
use crate::model::{Offset, ProducerId};
use crate::record::{
    Batch, BatchBuilder, BatchHeader, Batches, Compression, Header, NO_TIMESTAMP, Record, Records, TimestampType, empty_batch,
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Most bytes that a batch is decompressed to.
const DECOMPRESSED_LIMIT: usize = 256 << 20;

/// What tells of a producer whether a batch is its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastRecord {
    /// Last offset of its last batch of data, if one is known.
    pub(super) data: Option<Offset>,
    /// Its epoch.
    pub(super) epoch: i16,
}

/// What is read of the dirty part before anything is written: the newest offset of each key.
pub(super) struct Indexing {
    pub(super) map: OffsetMap,
    pub(super) transactions: CleanedTransactions,
    /// Where the dirty part begins.
    pub(super) from: Offset,
}

impl Indexing {
    /// Enters the records of `chunk`; false if the map is full, so that the round ends at its last offset.
    ///
    /// # Errors
    /// What is wrong with a batch.
    pub(super) fn index(&mut self, chunk: &Bytes) -> Result<bool, String> {
        for batch in whole_batches(chunk) {
            let batch = batch?;
            let is_aborted = self.transactions.meets(&batch);
            if batch.header.last_offset() < self.from {
                continue;
            }
            if !batch.header.attributes.is_control() && !is_aborted && !self.enter(&batch, chunk)? {
                return Ok(false);
            }
            self.map.looked_at(batch.header.last_offset());
        }
        Ok(true)
    }

    fn enter(&mut self, batch: &Batch<'_>, chunk: &Bytes) -> Result<bool, String> {
        let payload = payload(batch, chunk)?;
        for record in Records::new(&payload, batch.header.records_count) {
            let record = record.map_err(|error| wrong(batch, error))?;
            let offset = batch.offset_of(&record);
            if let Some(key) = record.key.filter(|_| offset >= self.from)
                && !self.map.put(key, offset)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What holds for all segments of a round.
pub(super) struct Round {
    pub(super) map: OffsetMap,
    pub(super) transactions: CleanedTransactions,
    pub(super) producers: BTreeMap<ProducerId, LastRecord>,
    /// Where the round may go to at most; a batch that ends there leaves its header at least.
    pub(super) upper: Offset,
    /// How often the log had been cut when the map was begun. After another cut the map may know of records that are gone.
    pub(super) cuts: u64,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
}

/// What is left of a chunk.
#[derive(Default)]
pub(super) struct Filtered {
    /// Batches, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// Where each of them is in `bytes`.
    pub(super) batches: Vec<Located>,
    /// Nothing was changed.
    pub(super) is_whole: bool,
    /// Records that were looked at, and that are left.
    pub(super) records: (u64, u64),
}

impl Round {
    /// What stays of the batches in `chunk`.
    ///
    /// # Errors
    /// What is wrong with a batch.
    pub(super) fn filter(&mut self, chunk: &Bytes) -> Result<Filtered, String> {
        let mut filtered = Filtered { is_whole: true, ..Filtered::default() };
        for batch in whole_batches(chunk) {
            self.filter_batch(&batch?, chunk, &mut filtered)?;
        }
        Ok(filtered)
    }

    fn filter_batch(&mut self, batch: &Batch<'_>, chunk: &Bytes, filtered: &mut Filtered) -> Result<(), String> {
        let header = &batch.header;
        let is_control = header.attributes.is_control();
        let nobody_needs_it = self.transactions.meets(batch);
        // A marker outlives its data by the time that a slow reader may take.
        let over = header.delete_horizon_ms().is_some_and(|horizon| horizon <= self.now_ms);
        let discard = nobody_needs_it && (!is_control || over);
        filtered.records.0 += u64::try_from(header.records_count).unwrap_or(0);
        let payload = if discard { Bytes::new() } else { payload(batch, chunk)? };
        let mut kept: Vec<Record<'_>> = Vec::new();
        if !discard {
            let mut before = -1;
            for record in Records::new(&payload, header.records_count) {
                let record = record.map_err(|error| wrong(batch, error))?;
                if record.offset_delta <= before || record.offset_delta > header.last_offset_delta {
                    return Err(wrong(batch, format!("offset delta {} behind {before}", record.offset_delta)));
                }
                before = record.offset_delta;
                if is_control || self.keeps(batch, &record) {
                    kept.push(record);
                }
            }
        }
        if kept.is_empty() {
            if self.keeps_header(header) {
                filtered.is_whole &= header.records_count == 0;
                filtered.push(&empty_batch(header));
            } else {
                filtered.is_whole = false;
            }
            return Ok(());
        }
        filtered.records.1 += kept.len() as u64;
        let waits_to_go = kept.iter().any(|record| record.value.is_none()) || (is_control && nobody_needs_it);
        let new_horizon = (waits_to_go && header.delete_horizon_ms().is_none())
            .then(|| self.now_ms.saturating_add(self.delete_retention_ms.max(0)));
        if kept.len() == header.records_count as usize && new_horizon.is_none() {
            filtered.push(batch.bytes);
            return Ok(());
        }
        filtered.is_whole = false;
        filtered.push(&rebuild(header, &kept, new_horizon.or(header.delete_horizon_ms()))?);
        Ok(())
    }

    /// Whether a record of a client stays.
    fn keeps(&self, batch: &Batch<'_>, record: &Record<'_>) -> bool {
        let offset = batch.offset_of(record);
        if offset > self.map.latest() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_newest = self.map.get(key).is_none_or(|newest| offset >= newest);
        let horizon = batch.header.delete_horizon_ms();
        is_newest && (record.value.is_some() || horizon.is_none_or(|horizon| horizon > self.now_ms))
    }

    /// Whether a batch of which no record stays leaves its header.
    fn keeps_header(&self, header: &BatchHeader) -> bool {
        let is_last_of_producer = match self.producers.get(&header.producer_id) {
            _ if !header.has_producer_id() => false,
            Some(LastRecord { data: Some(data), .. }) => header.last_offset() == *data,
            Some(LastRecord { data: None, epoch }) => header.attributes.is_control() && header.producer_epoch == *epoch,
            None => false,
        };
        is_last_of_producer || header.next_offset() == self.upper
    }
}

impl Filtered {
    fn push(&mut self, batch: &[u8]) {
        let header = BatchHeader::parse(batch).expect("a batch that was read or made here");
        self.batches.push(Located {
            base: header.base_offset,
            last: header.last_offset(),
            position: self.bytes.len() as u64,
            size: batch.len() as u64,
            // Without records it has no time that anybody could look for.
            max_timestamp: if header.records_count == 0 { NO_TIMESTAMP } else { header.max_timestamp },
        });
        self.bytes.extend_from_slice(batch);
    }
}

/// The batch with the records that are kept; everything else of it stays, so that sequences and offsets do.
fn rebuild(header: &BatchHeader, kept: &[Record<'_>], horizon: Option<i64>) -> Result<Bytes, String> {
    let codec = header.attributes.codec().map_err(|error| error.to_string())?;
    let appended = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut builder = BatchBuilder::new(Compression::of(codec))
        .base_offset(header.base_offset)
        .leader_epoch(header.partition_leader_epoch)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.attributes.is_transactional())
        .control(header.attributes.is_control());
    if appended {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    for record in kept {
        let own = header.base_timestamp.wrapping_add(record.timestamp_delta);
        let timestamp = if appended { header.max_timestamp } else { own };
        let headers: Vec<Header<'_>> = record.headers.collect();
        builder.append_at(record.offset_delta, timestamp, record.key, record.value, &headers);
    }
    Ok(builder.build_until(header.last_offset_delta))
}

/// The batches of a chunk, each of them checked: a checksum that is made anew would hide damage for ever.
fn whole_batches(chunk: &Bytes) -> impl Iterator<Item = Result<Batch<'_>, String>> {
    Batches::new(chunk).map(|batch| {
        let batch = batch.map_err(|error| error.to_string())?;
        if batch.crc_is_valid() { Ok(batch) } else { Err(wrong(&batch, "the CRC does not hold")) }
    })
}

/// The uncompressed records of a batch of `chunk`.
fn payload(batch: &Batch<'_>, chunk: &Bytes) -> Result<Bytes, String> {
    let from = batch.position + (batch.bytes.len() - batch.payload().len());
    let stored = chunk.slice(from..batch.position + batch.bytes.len());
    if !batch.header.attributes.is_compressed() || batch.header.records_count == 0 {
        return Ok(stored);
    }
    let codec = batch.header.attributes.codec().map_err(|error| wrong(batch, error))?;
    let plain = crate::record::decompress(codec, stored, DECOMPRESSED_LIMIT);
    plain.map(Bytes::from).map_err(|error| wrong(batch, error))
}

fn wrong(batch: &Batch<'_>, what: impl std::fmt::Display) -> String {
    format!("batch at offset {}: {what}", batch.header.base_offset)
}
