//! What recovery gathers on its way over the segments: which epochs the batches have, what is damaged, how far it is.

use super::damage::FoundDamage;
use super::epochs::Epochs;
use super::scan::Scanned;
use super::segment::Segment;
use super::types::RecoveryProgress;
use crate::model::{LeaderEpoch, Offset};
use std::rc::Rc;

/// Segments that were found, and what is known of the log so far.
pub(super) struct Loading {
    pub(super) segments: Vec<Rc<Segment>>,
    pub(super) epochs: Epochs,
    pub(super) epochs_changed: bool,
    /// Latest epoch of an undamaged checkpoint, which knows of an epoch before the log does.
    pub(super) epoch_limit: LeaderEpoch,
    walked: WalkedEpochs,
    pub(super) damage: FoundDamage,
    pub(super) progress: Option<Rc<dyn Fn(RecoveryProgress)>>,
    pub(super) read: RecoveryProgress,
    /// Bytes that were read when `progress` was last told.
    reported: u64,
}

/// Epochs of the batches that recovery has walked over.
#[derive(Default)]
struct WalkedEpochs {
    /// With the offsets where they begin.
    entries: Vec<(LeaderEpoch, Offset)>,
    /// The checkpoint says something else.
    differ: bool,
}

/// Bytes between two reports of progress.
const REPORT_BYTES: u64 = 1 << 20;
/// No checkpoint says which epochs there can be.
pub(super) const NO_LIMIT: LeaderEpoch = LeaderEpoch(i32::MAX);

impl Loading {
    /// Segments of which nothing has been looked at yet.
    pub(super) fn of(segments: Vec<Rc<Segment>>, epochs: Epochs) -> Self {
        Self {
            segments,
            epochs,
            epochs_changed: false,
            epoch_limit: NO_LIMIT,
            walked: WalkedEpochs::default(),
            damage: FoundDamage::default(),
            progress: None,
            read: RecoveryProgress::default(),
            reported: 0,
        }
    }

    /// The leader epoch is not under the CRC. Epochs do not go back, and none is in the log that the checkpoint does not know; if
    /// the next batch confirms it, the checkpoint is wrong.
    pub(super) fn untrue_epoch(&self, batch: &Scanned, next: Option<&Scanned>, last_segment: bool) -> Option<String> {
        let epoch = batch.header.partition_leader_epoch;
        let before = self.walked.entries.last().map_or(LeaderEpoch::NONE, |&(epoch, _)| epoch);
        if epoch < before {
            return Some(format!("leader epoch {epoch} behind {before}"));
        }
        let confirmed = next.map_or(!last_segment, |next| next.header.partition_leader_epoch >= epoch);
        let known = epoch <= self.epoch_limit.max(before);
        (!known && !confirmed).then(|| format!("leader epoch {epoch} is not known, only {} and earlier", self.epoch_limit))
    }

    pub(super) fn walked(&mut self, batch: &Scanned) {
        let (epoch, base) = (batch.header.partition_leader_epoch, batch.header.base_offset);
        self.walked.differ |= self.epochs.at(base) != epoch;
        if self.walked.entries.last().is_none_or(|&(last, _)| epoch > last) && epoch > LeaderEpoch::NONE {
            self.walked.entries.push((epoch, base));
        }
    }

    /// Where the checkpoint and the batches from `base` on say different things, the batches are right.
    pub(super) fn adopt_walked_epochs(&mut self, base: Offset) {
        let walked = std::mem::take(&mut self.walked);
        if !walked.differ {
            return;
        }
        self.epochs.truncate_from_end(base);
        for (epoch, start) in walked.entries {
            if epoch != self.epochs.latest() {
                self.epochs.assign(epoch, start);
            }
        }
        self.epochs_changed = true;
    }

    pub(super) fn report(&mut self) {
        let finished = self.read.done_bytes == self.read.total_bytes;
        if let Some(progress) = &self.progress
            && (finished || self.read.done_bytes >= self.reported + REPORT_BYTES || self.read.done_bytes == 0)
        {
            self.reported = self.read.done_bytes;
            progress(self.read);
        }
    }
}
