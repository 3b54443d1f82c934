//! One producer in one partition: its epoch, its last batches, its open transaction; and the rules that judge the next batch.

use super::{EndTxnMarker, Origin, ProducerBatch, ProducerError};
use crate::model::Offset;
use crate::record::{NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP};

/// Batches that are remembered to recognise a duplicate: as many as an idempotent producer may have in flight.
pub const RETAINED_BATCHES: usize = 5;
/// Coordinator epoch before the first marker.
const NO_COORDINATOR_EPOCH: i32 = -1;

/// A batch that was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchMetadata {
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Last minus first offset, and so records minus one.
    pub offset_delta: i32,
    /// Max timestamp of the batch, or its append time, in milliseconds since 1970.
    pub timestamp: i64,
}

impl BatchMetadata {
    /// Sequence of the first record.
    pub fn base_sequence(&self) -> i32 {
        // Behind i32::MAX sequences go on at 0, so before 0 comes i32::MAX.
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        (if first < 0 && self.last_sequence >= 0 { first + i64::from(i32::MAX) + 1 } else { first }) as i32
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

const NO_BATCH: BatchMetadata =
    BatchMetadata { last_sequence: NO_SEQUENCE, last_offset: Offset(-1), offset_delta: 0, timestamp: NO_TIMESTAMP };

/// What a partition remembers of one producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    epoch: i16,
    coordinator_epoch: i32,
    last_timestamp: i64,
    current_txn_first_offset: Option<Offset>,
    /// The last batches of `epoch`, oldest first; only the first `batch_count` count.
    batches: [BatchMetadata; RETAINED_BATCHES],
    batch_count: u8,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: NO_TIMESTAMP,
            current_txn_first_offset: None,
            batches: [NO_BATCH; RETAINED_BATCHES],
            batch_count: 0,
        }
    }
}

impl ProducerEntry {
    /// An entry out of a snapshot, which holds at most the last batch.
    pub(super) fn restored(
        epoch: i16,
        coordinator_epoch: i32,
        last_timestamp: i64,
        current_txn_first_offset: Option<Offset>,
        last_batch: Option<BatchMetadata>,
    ) -> Self {
        let mut entry = Self { epoch, coordinator_epoch, last_timestamp, current_txn_first_offset, ..Self::default() };
        if let Some(batch) = last_batch {
            entry.push(batch);
        }
        entry
    }

    /// Epoch of the last batch or marker, -1 before.
    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    /// Epoch of the coordinator that wrote the last marker, -1 before.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Timestamp of the last batch or marker.
    pub fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }

    /// First offset of the open transaction.
    pub fn current_txn_first_offset(&self) -> Option<Offset> {
        self.current_txn_first_offset
    }

    /// The last batches of the current epoch, oldest first; five at most.
    pub fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// The last batch of the current epoch.
    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches().last()
    }

    /// Sequence of the last record of the current epoch, -1 if there is none.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(super) fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.current_txn_first_offset.is_none() && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }

    /// The remembered batch with exactly this epoch and these sequences.
    pub(super) fn find_duplicate(&self, epoch: i16, base_sequence: i32, last_sequence: i32) -> Option<BatchMetadata> {
        if epoch != self.epoch {
            return None;
        }
        self.batches().iter().find(|b| b.base_sequence() == base_sequence && b.last_sequence == last_sequence).copied()
    }

    pub(super) fn check(&self, batch: &ProducerBatch, origin: Origin) -> Result<(), ProducerError> {
        self.check_epoch(batch.producer_id, batch.producer_epoch)?;
        if origin == Origin::Client {
            self.check_sequence(batch)?;
        }
        if self.current_txn_first_offset.is_some() && !batch.transactional {
            let (producer_id, offset) = (batch.producer_id, batch.base_offset);
            return Err(ProducerError::ExpectedTransactional { producer_id, offset });
        }
        Ok(())
    }

    fn check_epoch(&self, producer_id: crate::model::ProducerId, epoch: i16) -> Result<(), ProducerError> {
        if epoch < self.epoch {
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current: self.epoch });
        }
        Ok(())
    }

    fn check_sequence(&self, batch: &ProducerBatch) -> Result<(), ProducerError> {
        let (producer_id, sequence) = (batch.producer_id, batch.base_sequence);
        // No epoch known: the records of the producer were deleted, or it is new here. Any sequence goes.
        if self.epoch == NO_PRODUCER_EPOCH {
            return Ok(());
        }
        if batch.producer_epoch != self.epoch {
            if sequence != 0 {
                let (epoch, current) = (batch.producer_epoch, self.epoch);
                return Err(ProducerError::InvalidFirstSequence { producer_id, epoch, current, sequence });
            }
            return Ok(());
        }
        let current = self.last_sequence();
        let in_sequence = i64::from(sequence) == i64::from(current) + 1 || (sequence == 0 && current == i32::MAX);
        if !in_sequence {
            return Err(ProducerError::OutOfOrderSequence { producer_id, sequence, current });
        }
        Ok(())
    }

    pub(super) fn check_marker(&self, marker: &EndTxnMarker) -> Result<(), ProducerError> {
        self.check_epoch(marker.producer_id, marker.producer_epoch)?;
        if self.coordinator_epoch > marker.coordinator_epoch {
            let (producer_id, epoch) = (marker.producer_id, marker.coordinator_epoch);
            return Err(ProducerError::CoordinatorFenced { producer_id, epoch, current: self.coordinator_epoch });
        }
        Ok(())
    }

    pub(super) fn add_batch(&mut self, batch: &ProducerBatch) {
        self.set_epoch(batch.producer_epoch);
        self.push(BatchMetadata {
            last_sequence: batch.last_sequence,
            last_offset: batch.last_offset,
            offset_delta: (batch.last_offset.0 - batch.base_offset.0) as i32,
            timestamp: batch.max_timestamp,
        });
        self.last_timestamp = batch.max_timestamp;
        if batch.transactional && self.current_txn_first_offset.is_none() {
            self.current_txn_first_offset = Some(batch.base_offset);
        }
    }

    pub(super) fn end_transaction(&mut self, marker: &EndTxnMarker) {
        self.set_epoch(marker.producer_epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = marker.timestamp;
        self.current_txn_first_offset = None;
    }

    /// Sequences belong to an epoch, so a new one forgets the batches of the old.
    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }

    fn push(&mut self, batch: BatchMetadata) {
        let mut count = usize::from(self.batch_count);
        if count == RETAINED_BATCHES {
            self.batches.rotate_left(1);
            count -= 1;
        }
        self.batches[count] = batch;
        self.batch_count = (count + 1) as u8;
    }
}
