//! Producer state out of snapshots and the log.

use super::LogError;
use super::recovery::Loader;
use super::scan::{Scanned, Scanner, Step};
use super::segment::{LOG_SUFFIX, SNAPSHOT_SUFFIX, Segment, file_path, parse_file_name};
use super::types::AbortedTxn;
use crate::model::{Offset, ProducerId};
use crate::producer::{EndTxnMarker, ProducerBatch, ProducerStates};
use crate::record::{Batch, EndTransactionMarker};
use std::rc::Rc;

impl Loader {
    /// Offsets of the snapshot files, in order.
    pub(super) async fn snapshots(&self) -> Result<Vec<Offset>, LogError> {
        let snapshot =
            |name: &String| parse_file_name(name).filter(|&(_, suffix)| suffix == SNAPSHOT_SUFFIX).map(|(offset, _)| offset);
        Ok(self.file_names().await?.iter().filter_map(snapshot).collect())
    }

    pub(super) async fn remove_snapshot(&self, offset: Offset) -> Result<(), LogError> {
        self.remove_optional(&file_path(&self.dir, offset, SNAPSHOT_SUFFIX)).await
    }

    /// The producer state as of `at`: the newest good snapshot that is not newer, and what the log holds behind it. Snapshots that
    /// are damaged are removed.
    pub(super) async fn producers_at(
        &self,
        at: Offset,
        log_start: Offset,
        segments: &[Rc<Segment>],
    ) -> Result<ProducerStates, LogError> {
        let first = segments.first().map_or(log_start, |segment| segment.base);
        let mut states = ProducerStates::new(first.min(at));
        for offset in self.snapshots().await?.into_iter().rev().filter(|&offset| offset <= at) {
            let path = file_path(&self.dir, offset, SNAPSHOT_SUFFIX);
            let Some(content) = self.read_optional(&path).await? else { continue };
            match states.load_snapshot(&content, offset, self.io.wall_clock_ms(), self.config.producer_id_expiration_ms) {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "removing a damaged producer snapshot");
                    self.remove_snapshot(offset).await?;
                }
            }
        }
        let from = states.end_offset();
        for (place, segment) in segments.iter().enumerate() {
            let ends_before = segments.get(place + 1).is_some_and(|next| next.base <= from);
            if ends_before || segment.base >= at {
                continue;
            }
            self.replay_segment(segment, from, at, &mut states).await?;
        }
        states.advance_end(at);
        Ok(states)
    }

    async fn replay_segment(
        &self,
        segment: &Rc<Segment>,
        from: Offset,
        to: Offset,
        states: &mut ProducerStates,
    ) -> Result<(), LogError> {
        let path = segment.path(LOG_SUFFIX);
        let file = segment.file(&self.io).await?;
        let mut scanner = Scanner::headers(file, 0, segment.size.get(), segment.base, super::scan::RECOVERY_CHUNK);
        loop {
            match scanner.next(&self.io).await.map_err(|e| LogError::storage(&path, "read", &e))? {
                Step::Batch(batch) if batch.header.base_offset >= to => return Ok(()),
                Step::Batch(batch) if batch.last_offset() < from => {}
                Step::Batch(batch) if batch.last_offset() >= to => {
                    let reason =
                        format!("offset {} at position {} lies behind the log end {to}", batch.last_offset(), batch.position);
                    return Err(LogError::corrupt(&path, reason));
                }
                Step::Batch(batch) => {
                    replay(states, &batch);
                }
                Step::End => return Ok(()),
                // What is known to be damaged was told of when it was found.
                Step::Bad(reason) => {
                    let next = scanner.skip_damage(&self.io, None).await.map_err(|e| LogError::storage(&path, "read", &e))?;
                    if next.is_none() {
                        return Err(LogError::corrupt(&path, format!("position {}: {reason}", scanner.position())));
                    }
                }
            }
        }
    }
}

/// Enters a batch of the log into the producer state; an aborted transaction that ends with it comes out.
pub(super) fn replay(states: &mut ProducerStates, batch: &Scanned) -> Option<AbortedTxn> {
    let header = &batch.header;
    if header.producer_id <= ProducerId::NONE || batch.last_offset() < states.end_offset() {
        states.advance_end(batch.last_offset().plus(1));
        return None;
    }
    if header.attributes.is_control() {
        let completed = marker(batch).and_then(|marker| states.replay_marker(&marker));
        states.advance_end(batch.last_offset().plus(1));
        return completed.filter(|txn| txn.aborted).map(|txn| AbortedTxn {
            producer_id: txn.producer_id,
            first_offset: txn.first_offset,
            last_offset: txn.last_offset,
            last_stable_offset: txn.last_stable_offset,
        });
    }
    states.replay(&ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        base_offset: header.base_offset,
        last_offset: batch.last_offset(),
        max_timestamp: header.max_timestamp,
        transactional: header.attributes.is_transactional(),
    });
    None
}

/// The end-of-transaction marker in a control batch, if it has one.
fn marker(batch: &Scanned) -> Option<EndTxnMarker> {
    let whole = Batch::parse(batch.bytes.as_deref()?).ok()?;
    let record = whole.records()?.next()?.ok()?;
    let marker = EndTransactionMarker::parse(record.key, record.value)?;
    Some(EndTxnMarker {
        producer_id: batch.header.producer_id,
        producer_epoch: batch.header.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        commit: marker.commit,
        offset: batch.header.base_offset,
        timestamp: batch.header.max_timestamp,
    })
}
