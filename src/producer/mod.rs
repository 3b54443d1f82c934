//! What one partition knows of its idempotent and transactional producers.
//!
//! A producer that gets no answer sends its batch again, so the partition must tell "again" from "next" (KIP-98). It also must know
//! which transactions are open, since `read_committed` consumers may not read past the first of them, and which were aborted, since
//! they skip those. All of it must survive a restart, from the snapshot files that Kafka writes or from the log itself.
//!
//! So [`ProducerStates`] keeps, for each producer id, the last five batches, the epoch and the open transaction ([`ProducerEntry`]):
//! - A client's batch is judged by [`ProducerStates::check`]. A batch that is accepted is entered *tentatively* at its base offset
//!   ([`ProducerStates::append`]) while its write is under way; what follows is judged as if it were there. A duplicate of a batch that
//!   is still being written is [`Verdict::DuplicateInFlight`]: its answer must wait for that write.
//! - The write ends with [`ProducerStates::commit`], or [`ProducerStates::rollback`], after which nothing tentative is left.
//! - Recovery uses [`ProducerStates::load_snapshot`], then [`ProducerStates::replay`] and [`ProducerStates::replay_marker`] for
//!   what the log holds behind the snapshot. An aborted transaction comes out as a [`CompletedTxn`] for the transaction index.
//!
//! Not here: verification of transactional writes with the coordinator (KIP-890); transactional produce is refused at the edge until
//! there is a coordinator.

mod entry;
mod snapshot;
#[cfg(test)]
mod tests;

pub use entry::{BatchMetadata, ProducerEntry, RETAINED_BATCHES};
pub use snapshot::{SnapshotError, decode_snapshot, encode_snapshot};

use crate::model::{ErrorCode, Offset, ProducerId};
use crate::record::BatchHeader;
use std::collections::{BTreeMap, VecDeque};

/// What the producer state needs to know of one record batch that carries a producer id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerBatch {
    /// Not [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// Epoch of the producer.
    pub producer_epoch: i16,
    /// Sequence of the first record; -1 in batches that a coordinator writes for a producer.
    pub base_sequence: i32,
    /// Sequence of the last record; from `i32::MAX` sequences go on at 0.
    pub last_sequence: i32,
    /// Offset of the first record, assigned already.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Greatest timestamp of the batch in milliseconds since 1970, or its append time.
    pub max_timestamp: i64,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

impl From<&BatchHeader> for ProducerBatch {
    fn from(header: &BatchHeader) -> Self {
        Self {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            transactional: header.attributes.is_transactional(),
        }
    }
}

/// A commit or abort marker: the control record that ends a producer's transaction in this partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTxnMarker {
    /// Producer whose transaction ends.
    pub producer_id: ProducerId,
    /// Producer epoch in the header of the control batch.
    pub producer_epoch: i16,
    /// Epoch of the transaction coordinator, from the marker's value.
    pub coordinator_epoch: i32,
    /// Whether the transaction was committed; else aborted.
    pub commit: bool,
    /// Offset of the marker.
    pub offset: Offset,
    /// Timestamp of the marker in milliseconds since 1970.
    pub timestamp: i64,
}

/// A transaction that had data in this partition and has ended. The aborted ones belong into the segment's transaction index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletedTxn {
    /// Producer of the transaction.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its marker.
    pub last_offset: Offset,
    /// First offset of the next transaction that is still open, else the offset behind the marker. A reader of the index that has
    /// passed this offset need not look for further entries.
    pub last_stable_offset: Offset,
    /// Whether it was aborted.
    pub aborted: bool,
}

/// Who appends, and so what is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A producer: epoch and sequence.
    Client,
    /// A coordinator writing for a producer (transactional offset commits): epoch only, there are no sequences.
    Coordinator,
}

/// What becomes of a batch that breaks no rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is new: append it.
    Append,
    /// It is in the log already: answer as its first append was answered, and append nothing.
    Duplicate(BatchMetadata),
    /// The same batch, with this base offset, is being written: answer when that write has ended, as that one is answered.
    DuplicateInFlight(BatchMetadata),
}

/// Why a batch or marker of a producer is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProducerError {
    /// A newer incarnation of the producer has written here.
    #[error("epoch {epoch} of producer {producer_id} is smaller than the last seen epoch {current}")]
    InvalidEpoch { producer_id: ProducerId, epoch: i16, current: i16 },
    /// A new epoch starts anew, at sequence 0.
    #[error("producer {producer_id} opens epoch {epoch} (current {current}) with sequence {sequence} instead of 0")]
    InvalidFirstSequence { producer_id: ProducerId, epoch: i16, current: i16, sequence: i32 },
    /// Records between the last batch and this one are missing, or it is an old batch that is no longer remembered.
    #[error("out of order sequence number for producer {producer_id}: {sequence} (incoming), {current} (current end)")]
    OutOfOrderSequence { producer_id: ProducerId, sequence: i32, current: i32 },
    /// A batch outside a transaction while the producer has one open.
    #[error("expected a transactional write from producer {producer_id} at offset {offset}")]
    ExpectedTransactional { producer_id: ProducerId, offset: Offset },
    /// A marker of a coordinator that has been replaced.
    #[error("coordinator epoch {epoch} for producer {producer_id} is older than {current}")]
    CoordinatorFenced { producer_id: ProducerId, epoch: i32, current: i32 },
}

impl ProducerError {
    /// The code that a produce request gets. A stale epoch is not `PRODUCER_FENCED`: since Kafka 2.7 the client may abort and retry.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::InvalidFirstSequence { .. } | Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::ExpectedTransactional { .. } => ErrorCode::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}

impl From<ProducerError> for ErrorCode {
    fn from(error: ProducerError) -> Self {
        error.code()
    }
}

/// The producers of one partition: committed state, the batches that are being written, and the transactions.
#[derive(Clone, Debug, Default)]
pub struct ProducerStates {
    /// State as of `end_offset`, everything before it being written.
    committed: BTreeMap<ProducerId, ProducerEntry>,
    /// State as it will be when all tentative batches are written; only producers that have some.
    tentative: BTreeMap<ProducerId, TentativeEntry>,
    /// Batches that are being written, in offset order.
    pending: VecDeque<ProducerBatch>,
    /// Open transactions by (first offset, producer).
    ongoing: BTreeMap<(Offset, ProducerId), ()>,
    /// Ended transactions whose marker is not below the high watermark yet: (first offset, producer) to the marker's offset.
    unreplicated: BTreeMap<(Offset, ProducerId), Offset>,
    /// Offset behind the last record that the committed state has seen.
    end_offset: Offset,
}

#[derive(Clone, Debug)]
struct TentativeEntry {
    entry: ProducerEntry,
    /// Batches of this producer in `pending`.
    batches: usize,
}

impl ProducerStates {
    /// The state of an empty log that starts at `start`.
    pub fn new(start: Offset) -> Self {
        Self { end_offset: start, ..Self::default() }
    }

    /// Offset behind the last record that this state has seen; a snapshot of it is named by this offset.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Number of producers remembered.
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    /// Whether no producer is remembered.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// The committed state of a producer.
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.committed.get(&producer_id)
    }

    /// The committed states by producer id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.committed.iter().map(|(&id, entry)| (id, entry))
    }

    /// Judges a batch at the offsets that it would get, tentative batches taken as written. Changes nothing.
    ///
    /// # Errors
    /// The rule that it breaks, see [`ProducerError`].
    ///
    /// # Panics
    /// If the batch has no producer id.
    pub fn check(&self, batch: &ProducerBatch, origin: Origin) -> Result<Verdict, ProducerError> {
        assert!(batch.producer_id > ProducerId::NONE, "a batch without a producer id has no producer state");
        let tip = self.tentative.get(&batch.producer_id).map(|t| &t.entry).or_else(|| self.committed.get(&batch.producer_id));
        let Some(tip) = tip else { return Ok(Verdict::Append) };
        if origin == Origin::Client
            && let Some(first) = tip.find_duplicate(batch.producer_epoch, batch.base_sequence, batch.last_sequence)
        {
            let written = self.pending.front().is_none_or(|oldest| first.base_offset() < oldest.base_offset);
            return Ok(if written { Verdict::Duplicate(first) } else { Verdict::DuplicateInFlight(first) });
        }
        tip.check(batch, origin)?;
        Ok(Verdict::Append)
    }

    /// Enters a batch that [`ProducerStates::check`] let pass and whose write begins. It stays tentative until
    /// [`ProducerStates::commit`].
    ///
    /// # Panics
    /// If offsets go back, or the batch has no producer id.
    pub fn append(&mut self, batch: ProducerBatch) {
        assert!(batch.producer_id > ProducerId::NONE, "a batch without a producer id has no producer state");
        let end = self.pending.back().map_or(self.end_offset, |last| last.last_offset.plus(1));
        assert!(batch.base_offset >= end, "batch at {} is appended behind {end}", batch.base_offset);
        assert!(batch.last_offset >= batch.base_offset, "a batch covers an offset");
        let committed = &self.committed;
        let tip = self.tentative.entry(batch.producer_id).or_insert_with(|| TentativeEntry {
            entry: committed.get(&batch.producer_id).cloned().unwrap_or_default(),
            batches: 0,
        });
        tip.entry.add_batch(&batch);
        tip.batches += 1;
        self.pending.push_back(batch);
    }

    /// Everything before `end` has been written: tentative batches below it become state. Call it for batches without a producer
    /// id too, so that [`ProducerStates::end_offset`] follows the log.
    ///
    /// # Panics
    /// If `end` goes back or cuts a batch.
    pub fn commit(&mut self, end: Offset) {
        assert!(end >= self.end_offset, "the committed end went back from {} to {end}", self.end_offset);
        while let Some(batch) = self.pending.front().copied().filter(|batch| batch.base_offset < end) {
            assert!(batch.last_offset < end, "a batch is written whole");
            self.pending.pop_front();
            let tip = self.tentative.get_mut(&batch.producer_id).expect("a pending batch has a tentative entry");
            tip.batches -= 1;
            if tip.batches == 0 {
                self.tentative.remove(&batch.producer_id);
            }
            self.enter(&batch);
        }
        self.end_offset = end;
    }

    /// The write has failed: everything tentative is forgotten.
    pub fn rollback(&mut self) {
        self.pending.clear();
        self.tentative.clear();
    }

    /// Enters a batch that is in the log already (recovery, or a follower's append). Nothing is checked: the leader has.
    pub fn replay(&mut self, batch: &ProducerBatch) {
        assert!(self.pending.is_empty(), "a log is replayed before it is written to");
        if batch.producer_id > ProducerId::NONE {
            self.enter(batch);
        }
        self.advance_end(batch.last_offset.plus(1));
    }

    /// Enters a marker that is in the log already. A control batch that compaction has emptied has no marker; use
    /// [`ProducerStates::advance_end`] for it, and for batches without a producer id.
    pub fn replay_marker(&mut self, marker: &EndTxnMarker) -> Option<CompletedTxn> {
        assert!(self.pending.is_empty(), "a log is replayed before it is written to");
        let completed = self.end_transaction(marker);
        self.advance_end(marker.offset.plus(1));
        completed
    }

    /// The log goes to `end`; records up to there say nothing about producers.
    pub fn advance_end(&mut self, end: Offset) {
        self.end_offset = self.end_offset.max(end);
    }

    /// Whether a coordinator may append this marker.
    ///
    /// # Errors
    /// A stale producer or coordinator epoch.
    pub fn check_marker(&self, marker: &EndTxnMarker) -> Result<(), ProducerError> {
        let tip = self.tentative.get(&marker.producer_id).map(|t| &t.entry).or_else(|| self.committed.get(&marker.producer_id));
        tip.map_or(Ok(()), |entry| entry.check_marker(marker))
    }

    fn enter(&mut self, batch: &ProducerBatch) {
        let entry = self.committed.entry(batch.producer_id).or_default();
        let was_open = entry.current_txn_first_offset();
        entry.add_batch(batch);
        if was_open.is_none()
            && let Some(first) = entry.current_txn_first_offset()
        {
            self.ongoing.insert((first, batch.producer_id), ());
        }
    }

    fn end_transaction(&mut self, marker: &EndTxnMarker) -> Option<CompletedTxn> {
        let entry = self.committed.entry(marker.producer_id).or_default();
        let open = entry.current_txn_first_offset();
        entry.end_transaction(marker);
        let first_offset = open?;
        self.ongoing.remove(&(first_offset, marker.producer_id));
        self.unreplicated.insert((first_offset, marker.producer_id), marker.offset);
        let last_stable_offset = self.first_undecided_offset().unwrap_or(marker.offset.plus(1));
        Some(CompletedTxn {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: marker.offset,
            last_stable_offset,
            aborted: !marker.commit,
        })
    }

    /// First offset of the oldest transaction that is neither committed nor aborted.
    pub fn first_undecided_offset(&self) -> Option<Offset> {
        self.ongoing.keys().next().map(|&(first, _)| first)
    }

    /// First offset of the oldest transaction that is open, or whose marker a failover could still lose.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let unreplicated = self.unreplicated.keys().next().map(|&(first, _)| first);
        match (self.first_undecided_offset(), unreplicated) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The last stable offset: `read_committed` consumers read below it. Ended transactions below the high watermark no longer count.
    pub fn last_stable_offset(&mut self, log_start: Offset, high_watermark: Offset) -> Offset {
        self.unreplicated.retain(|_, &mut marker| marker >= high_watermark);
        self.first_unstable_offset().map_or(high_watermark, |first| first.max(log_start).min(high_watermark))
    }

    /// Records before `log_start` are gone. The producers stay: their sequences outlive their records.
    pub fn log_start_advanced(&mut self, log_start: Offset) {
        self.unreplicated.retain(|_, &mut marker| marker >= log_start);
        self.advance_end(log_start);
    }

    /// Forgets producers without an open transaction that have been silent for `expiration_ms` (`producer.id.expiration.ms`).
    /// `now_ms` is the time since 1970, as records' timestamps are.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        let tentative = &self.tentative;
        self.committed.retain(|id, entry| tentative.contains_key(id) || !entry.is_expired(now_ms, expiration_ms));
    }

    /// The committed state as the content of the file `<end offset, 20 digits>.snapshot`.
    pub fn snapshot(&self) -> Vec<u8> {
        encode_snapshot(self.iter())
    }

    /// Replaces everything by the snapshot file of `offset`; producers that have expired by `now_ms` are left out.
    ///
    /// # Errors
    /// The file is not a snapshot of version 1 or its CRC does not hold; the state is unchanged then. Kafka deletes such a file,
    /// falls back to an older one, and replays more of the log.
    pub fn load_snapshot(&mut self, file: &[u8], offset: Offset, now_ms: i64, expiration_ms: i64) -> Result<(), SnapshotError> {
        let entries = decode_snapshot(file)?;
        self.reset(offset);
        for (id, entry) in entries {
            if entry.is_expired(now_ms, expiration_ms) {
                continue;
            }
            if let Some(first) = entry.current_txn_first_offset() {
                self.ongoing.insert((first, id), ());
            }
            self.committed.insert(id, entry);
        }
        Ok(())
    }

    /// Forgets everything: the log is empty and goes on at `offset`, or will be replayed from there. A truncation in the middle is
    /// this, or [`ProducerStates::load_snapshot`], and a replay of what is left.
    pub fn reset(&mut self, offset: Offset) {
        *self = Self::new(offset);
    }
}
