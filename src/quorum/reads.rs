//! The committed metadata for those who only read them: brokers that do not vote, by Kafka's Fetch and FetchSnapshot (KIP-595, KIP-630).
//!
//! They get committed batches only, so what they have never has to be taken back; a log that has something else than this one has it
//! from elsewhere. Which position fits is judged as Kafka's leader does.

use super::QuorumError;
use super::node::Node;
use super::snapshot;
use crate::io::OpenOptions;
use crate::model::Offset;
use bytes::Bytes;
use std::io::ErrorKind;

/// Which snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotId {
    /// Offset behind the last record that is in it.
    pub end: Offset,
    /// Epoch of that record.
    pub epoch: i32,
}

/// The answer to a read of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedRead {
    /// What is there.
    pub found: Found,
    /// Where the committed records end; no batch behind it is given.
    pub high_watermark: Offset,
    /// Where the log begins.
    pub log_start: Offset,
}

/// What is to be read at a position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Batches, one at least if there is one; the first may begin before the offset.
    Batches(Bytes),
    /// What is before this snapshot's end is not to be had otherwise.
    Snapshot(SnapshotId),
    /// The reader's log is another one: it has this in common with ours up to the end of an epoch, none for nothing.
    Diverging {
        /// The epoch.
        epoch: i32,
        /// Where it ends here.
        end: Offset,
    },
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotBytes {
    /// Bytes of the whole of it.
    pub size: u64,
    /// From the position on that was asked for; none where it ends.
    pub bytes: Bytes,
}

impl Node {
    /// Reads from `offset` on for somebody whose last record has `last_epoch` (-1 if it has none).
    pub(super) async fn read_committed(
        &self,
        offset: Offset,
        last_epoch: i32,
        max_bytes: u64,
    ) -> Result<CommittedRead, QuorumError> {
        let (log_start, high_watermark) = (self.journal.start_offset(), self.metadata.image().next_offset());
        let answer = |found| Ok(CommittedRead { found, high_watermark, log_start });
        let snapshots = snapshot::list(&self.io, &self.journal.dir).await?;
        let id = |file: &snapshot::SnapshotFile| SnapshotId { end: file.end, epoch: file.epoch };
        if let Some(newest) = snapshots.last().filter(|newest| newest.end <= high_watermark) {
            let before_log = snapshots.iter().find(|one| one.end >= log_start).unwrap_or(newest);
            let begins_here = offset == log_start && log_start > Offset::ZERO;
            let needs_it = offset <= Offset::ZERO
                || offset < log_start
                || (begins_here && last_epoch != before_log.epoch)
                || (last_epoch >= 0 && last_epoch < before_log.epoch);
            if needs_it {
                return answer(Found::Snapshot(id(newest)));
            }
            if begins_here {
                return answer(Found::Batches(self.batches(offset, high_watermark, max_bytes).await?));
            }
        }
        if offset > Offset::ZERO {
            let known = self.journal.end_of_epoch(last_epoch);
            if known.epoch.0 != last_epoch || known.end_offset < offset || offset > high_watermark {
                let (epoch, end) = (known.epoch.0, known.end_offset.min(high_watermark).min(offset));
                return answer(Found::Diverging { epoch, end });
            }
        }
        answer(Found::Batches(self.batches(offset, high_watermark, max_bytes).await?))
    }

    async fn batches(&self, offset: Offset, upper: Offset, max_bytes: u64) -> Result<Bytes, QuorumError> {
        if offset >= upper {
            return Ok(Bytes::new());
        }
        self.journal.read_up_to(offset, upper, max_bytes.max(1)).await
    }

    /// Reads a snapshot; none if there is no such snapshot (any more).
    pub(super) async fn read_snapshot(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: usize,
    ) -> Result<Option<SnapshotBytes>, QuorumError> {
        let snapshots = snapshot::list(&self.io, &self.journal.dir).await?;
        let Some(file) = snapshots.into_iter().find(|file| file.end == id.end && file.epoch == id.epoch) else {
            return Ok(None);
        };
        let failed = |error| QuorumError::File { path: file.path.clone(), error };
        let open = match self.io.open(&file.path, OpenOptions::READ).await {
            Ok(open) => open,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = open.len(&self.io).await.map_err(failed)?;
        let len = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX).min(max_bytes);
        let bytes = if len == 0 { Bytes::new() } else { open.read_at(&self.io, position, len).await.map_err(failed)? };
        Ok(Some(SnapshotBytes { size, bytes }))
    }
}
