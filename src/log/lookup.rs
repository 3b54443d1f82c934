//! From a timestamp to an offset, and the aborted transactions of a range.

use super::log::LogState;
use super::scan::{LOOKUP_CHUNK, RECOVERY_CHUNK, Scanned, Scanner, Step};
use super::segment::{LOG_SUFFIX, LargestTimestamp, Located, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX};
use super::time_index::{TimeEntry, TimeIndex};
use super::types::{AbortedTxn, TimestampAndOffset};
use super::{LogError, txn_index};
use crate::io::Io;
use crate::model::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, Records, TimestampType, decompress};
use bytes::Bytes;
use std::rc::Rc;

/// Most bytes that a batch is decompressed to in order to find a record in it.
const DECOMPRESSED_LIMIT: usize = 256 << 20;

impl LogState {
    /// First record (in offset order) whose timestamp is at least `timestamp`, at or above the log start offset and below `upper`.
    pub async fn offset_for_timestamp(&self, timestamp: i64, upper: Offset) -> Result<Option<TimestampAndOffset>, LogError> {
        self.consistent(async || self.find_timestamp(timestamp, upper).await).await
    }

    async fn find_timestamp(&self, timestamp: i64, upper: Offset) -> Result<Option<TimestampAndOffset>, LogError> {
        let start = self.log_start.get();
        for segment in self.segments_from(start) {
            if segment.base >= upper || segment.size.get() == 0 {
                continue;
            }
            let found = self.find_in_segment(&segment, timestamp, start).await;
            match found.map_err(|error| self.gone(&segment, start, error)) {
                Ok(Some(found)) => return Ok((found.offset < upper).then_some(found)),
                Ok(None) | Err(LogError::OffsetOutOfRange { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn find_in_segment(
        &self,
        segment: &Rc<Segment>,
        timestamp: i64,
        start: Offset,
    ) -> Result<Option<TimestampAndOffset>, LogError> {
        if self.largest_timestamp(segment).await?.0 < timestamp {
            return Ok(None);
        }
        let below = self.time_index_of(segment).await?.and_then(|index| index.below(timestamp));
        let behind = below.map_or(segment.base, |entry| segment.base.plus(i64::from(entry.relative) + 1));
        // An entry that is not true could lead past the record; it is true if the batch that it names has its timestamp.
        let trusted = match below {
            Some(entry) => self.is_true(segment, entry).await?,
            None => true,
        };
        let from = if trusted { behind.max(start) } else { start.max(segment.base) };
        let Some(first) = self.locate(segment, from).await? else { return Ok(None) };
        let file = segment.file(&self.io).await?;
        let mut scanner = Scanner::headers(file, first.position, segment.size.get(), first.base, LOOKUP_CHUNK);
        while let Some(batch) = next_batch(&mut scanner, &self.io, segment).await? {
            if batch.header.max_timestamp < timestamp || batch.last_offset() < start {
                continue;
            }
            let found = self.first_record(segment, &batch, |at, offset| at >= timestamp && offset >= start).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// First record with the greatest timestamp of the log; `None` if the log is empty.
    pub async fn offset_of_max_timestamp(&self) -> Result<Option<TimestampAndOffset>, LogError> {
        self.consistent(async || self.find_max_timestamp().await).await
    }

    async fn find_max_timestamp(&self) -> Result<Option<TimestampAndOffset>, LogError> {
        loop {
            match self.find_max_timestamp_once().await {
                // Retention was faster: there are fewer segments now.
                Err(LogError::OffsetOutOfRange { .. }) => {}
                found => return found,
            }
        }
    }

    async fn find_max_timestamp_once(&self) -> Result<Option<TimestampAndOffset>, LogError> {
        let start = self.log_start.get();
        let mut best: Option<(LargestTimestamp, Rc<Segment>)> = None;
        for segment in self.segments_from(start) {
            if segment.size.get() == 0 {
                continue;
            }
            let largest = self.largest_timestamp(&segment).await.map_err(|error| self.gone(&segment, start, error))?;
            if best.as_ref().is_none_or(|(other, _)| largest.0 > other.0) {
                best = Some((largest, segment));
            }
        }
        let Some(((timestamp, offset), segment)) = best.filter(|&((timestamp, _), _)| timestamp >= 0) else { return Ok(None) };
        let found = self.first_at(&segment, timestamp, offset).await;
        found.map_err(|error| self.gone(&segment, start, error))
    }

    /// The first record of the batch at `offset` that is as late as `timestamp`.
    async fn first_at(
        &self,
        segment: &Rc<Segment>,
        timestamp: i64,
        offset: Offset,
    ) -> Result<Option<TimestampAndOffset>, LogError> {
        let Some(place) = self.locate(segment, offset).await? else { return Ok(None) };
        let file = segment.file(&self.io).await?;
        let mut scanner = Scanner::headers(file, place.position, segment.size.get(), place.base, LOOKUP_CHUNK);
        let Some(batch) = next_batch(&mut scanner, &self.io, segment).await? else { return Ok(None) };
        self.first_record(segment, &batch, |at, _| at >= timestamp).await
    }

    /// The first record of the batch that `wanted(timestamp, offset)` accepts.
    async fn first_record(
        &self,
        segment: &Segment,
        batch: &Scanned,
        wanted: impl Fn(i64, Offset) -> bool,
    ) -> Result<Option<TimestampAndOffset>, LogError> {
        let path = segment.path(LOG_SUFFIX);
        let bytes = match &batch.bytes {
            Some(bytes) => bytes.clone(),
            None => {
                let file = segment.file(&self.io).await?;
                let read = file.read_at(&self.io, batch.position, batch.size as usize).await;
                read.map_err(|e| LogError::storage(&path, "read", &e))?
            }
        };
        let found = find_record(&batch.header, &bytes, wanted)
            .map_err(|reason| LogError::corrupt(&path, format!("batch at offset {}: {reason}", batch.header.base_offset)))?;
        let leader_epoch = batch.header.partition_leader_epoch;
        Ok(found.map(|(timestamp, offset)| TimestampAndOffset { timestamp, offset, leader_epoch }))
    }

    /// Greatest timestamp of a segment. For an old one, the last entry of its time index if that is true, else what the log says.
    pub(super) async fn largest_timestamp(&self, segment: &Rc<Segment>) -> Result<LargestTimestamp, LogError> {
        if let Some(largest) = segment.largest_timestamp.get() {
            return Ok(largest);
        }
        let last = self.time_index_of(segment).await?.and_then(|index| index.last());
        let entry = match last {
            Some(entry) if self.is_true(segment, entry).await? => Some(entry),
            _ => None,
        };
        let largest = self.scan_largest_timestamp(segment, entry).await?;
        Ok(segment.largest_timestamp.get().unwrap_or_else(|| {
            segment.largest_timestamp.set(Some(largest));
            largest
        }))
    }

    /// Greatest timestamp by the log itself, from the batch of a true index entry on (where a segment ends, as a rule).
    async fn scan_largest_timestamp(&self, segment: &Rc<Segment>, from: Option<TimeEntry>) -> Result<LargestTimestamp, LogError> {
        let mut largest =
            from.map_or((-1, segment.base), |entry| (entry.timestamp, segment.base.plus(i64::from(entry.relative))));
        let position = match from {
            Some(_) => self.locate(segment, largest.1).await?.map_or(0, |batch| batch.position),
            None => 0,
        };
        let file = segment.file(&self.io).await?;
        self.touch(segment);
        let chunk = if from.is_some() { LOOKUP_CHUNK } else { RECOVERY_CHUNK };
        let mut scanner = Scanner::headers(file, position, segment.size.get(), segment.base, chunk);
        while let Some(batch) = next_batch(&mut scanner, &self.io, segment).await? {
            let timestamp = Located::from(&batch).max_timestamp;
            if timestamp > largest.0 {
                largest = (timestamp, batch.last_offset());
            }
        }
        Ok(largest)
    }

    /// The batch that a time index entry names has the entry's timestamp.
    async fn is_true(&self, segment: &Rc<Segment>, entry: TimeEntry) -> Result<bool, LogError> {
        let offset = segment.base.plus(i64::from(entry.relative));
        let found = self.locate(segment, offset).await?;
        Ok(found.is_some_and(|batch: Located| batch.last == offset && batch.max_timestamp == entry.timestamp))
    }

    /// The time index; of an old segment read from its file, `None` if that is not a time index.
    async fn time_index_of(&self, segment: &Segment) -> Result<Option<TimeIndex>, LogError> {
        if segment.base == self.active().base {
            return Ok(Some(segment.time_index.borrow().clone()));
        }
        let path = segment.path(TIME_INDEX_SUFFIX);
        match self.io.read_file(&path).await {
            Ok(content) => Ok(TimeIndex::parse(&content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::storage(&path, "read", &error)),
        }
    }

    /// Aborted transactions that overlap `from..upper`, for a `read_committed` fetch.
    pub async fn aborted_transactions(&self, from: Offset, upper: Offset) -> Result<Vec<AbortedTxn>, LogError> {
        self.consistent(async || {
            // These files are found by their names.
            while self.swapping.get() {
                self.swapped.notified().await;
            }
            self.find_aborted(from, upper).await
        })
        .await
    }

    async fn find_aborted(&self, from: Offset, upper: Offset) -> Result<Vec<AbortedTxn>, LogError> {
        let mut found = Vec::new();
        for segment in self.segments_from(from) {
            let path = segment.path(TXN_INDEX_SUFFIX);
            let content = match self.io.read_file(&path).await {
                Ok(content) => content,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LogError::storage(&path, "read", &error)),
            };
            let entries = txn_index::parse(&content).ok_or_else(|| LogError::corrupt(&path, "not a transaction index"))?;
            for txn in entries {
                if txn.last_offset >= from && txn.first_offset < upper {
                    found.push(txn);
                }
                if txn.last_stable_offset >= upper {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

/// The next batch of a walk over bytes that have been found good.
async fn next_batch(scanner: &mut Scanner, io: &Io, segment: &Segment) -> Result<Option<Scanned>, LogError> {
    let path = || segment.path(LOG_SUFFIX);
    match scanner.next(io).await.map_err(|e| LogError::storage(&path(), "read", &e))? {
        Step::Batch(batch) => Ok(Some(batch)),
        Step::End => Ok(None),
        Step::Bad(reason) => Err(LogError::corrupt(&path(), format!("position {}: {reason}", scanner.position()))),
    }
}

/// Timestamp and offset of the first record that `wanted` accepts, or what is wrong with the batch.
fn find_record(
    header: &BatchHeader,
    batch: &Bytes,
    wanted: impl Fn(i64, Offset) -> bool,
) -> Result<Option<(i64, Offset)>, String> {
    if batch.len() < BATCH_HEADER_BYTES {
        return Err("cut".into());
    }
    let payload = batch.slice(BATCH_HEADER_BYTES..);
    let codec = header.attributes.codec().map_err(|error| error.to_string())?;
    let decompressed;
    let payload: &[u8] = if header.attributes.is_compressed() {
        decompressed = decompress(codec, payload, DECOMPRESSED_LIMIT).map_err(|error| error.to_string())?;
        &decompressed
    } else {
        &payload
    };
    let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    for record in Records::new(payload, header.records_count) {
        let record = record.map_err(|error| error.to_string())?;
        let own = header.base_timestamp.wrapping_add(record.timestamp_delta);
        let timestamp = if append_time { header.max_timestamp } else { own };
        let offset = Offset(header.base_offset.0.wrapping_add(i64::from(record.offset_delta)));
        if wanted(timestamp, offset) {
            return Ok(Some((timestamp, offset)));
        }
    }
    Ok(None)
}
