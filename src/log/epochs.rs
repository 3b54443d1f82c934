//! Which leader epoch began at which offset (KIP-101): a follower, or a consumer after a leader change, finds out with it where its
//! log and the leader's part. Kept in `leader-epoch-checkpoint`.

use super::EpochEndOffset;
use crate::model::{LeaderEpoch, Offset};

/// Epochs with their first offsets; both grow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// Epochs out of a checkpoint, or `None` if they do not grow.
    pub(super) fn new(entries: Vec<(LeaderEpoch, Offset)>) -> Option<Self> {
        let legal = entries.iter().all(|&(epoch, start)| epoch.0 >= 0 && start >= Offset::ZERO);
        let grows = entries.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        (legal && grows).then_some(Self { entries })
    }

    /// The entries.
    pub(super) fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// The last epoch, -1 if there is none.
    pub(super) fn latest(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::NONE, |&(epoch, _)| epoch)
    }

    /// `epoch` begins at `start`; what contradicts it is forgotten. Returns whether anything changed.
    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch < LeaderEpoch(0) || self.entries.last().is_some_and(|&(last, first)| last == epoch && first <= start) {
            return false;
        }
        self.entries.retain(|&(other, first)| other < epoch && first < start);
        self.entries.push((epoch, start));
        true
    }

    /// The epoch of the batch at `offset`, -1 if unknown.
    pub(super) fn at(&self, offset: Offset) -> LeaderEpoch {
        let behind = self.entries.partition_point(|&(_, start)| start <= offset);
        behind.checked_sub(1).map_or(LeaderEpoch::NONE, |at| self.entries[at].0)
    }

    /// Where `epoch` ends in a log that ends at `log_end`.
    pub(super) fn end_offset(&self, epoch: LeaderEpoch, log_end: Offset) -> EpochEndOffset {
        const UNKNOWN: EpochEndOffset = EpochEndOffset { epoch: LeaderEpoch::NONE, end_offset: Offset(-1) };
        if epoch < LeaderEpoch(0) || epoch > self.latest() {
            return UNKNOWN;
        }
        if epoch == self.latest() {
            return EpochEndOffset { epoch, end_offset: log_end };
        }
        let above = self.entries.partition_point(|&(other, _)| other <= epoch);
        let end_offset = self.entries[above].1;
        // Older than all that is known: whoever asks parts from us before our first epoch began.
        let floor = above.checked_sub(1).map_or(epoch, |at| self.entries[at].0);
        EpochEndOffset { epoch: floor, end_offset }
    }

    /// The log was cut at `end`. Returns whether anything changed.
    pub(super) fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|&(_, start)| start < end);
        self.entries.len() != before
    }

    /// The log begins at `start` now: its epoch begins there. Returns whether anything changed.
    pub(super) fn truncate_from_start(&mut self, start: Offset) -> bool {
        let behind = self.entries.partition_point(|&(_, first)| first <= start);
        let Some(at) = behind.checked_sub(1) else { return false };
        if at == 0 && self.entries[0].1 == start {
            return false;
        }
        self.entries.drain(..at);
        self.entries[0].1 = start;
        true
    }

    /// Forgets all. Returns whether anything changed.
    pub(super) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.entries).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        Epochs::new(entries.iter().map(|&(e, o)| (LeaderEpoch(e), Offset(o))).collect()).unwrap()
    }

    fn end(epochs: &Epochs, epoch: i32) -> (i32, i64) {
        let end = epochs.end_offset(LeaderEpoch(epoch), Offset(100));
        (end.epoch.0, end.end_offset.0)
    }

    #[test]
    fn ends_of_epochs() {
        let epochs = epochs(&[(2, 5), (4, 20), (7, 60)]);
        assert_eq!(end(&epochs, -1), (-1, -1));
        assert_eq!(end(&epochs, 1), (1, 5), "older than all");
        assert_eq!(end(&epochs, 2), (2, 20));
        assert_eq!(end(&epochs, 3), (2, 20));
        assert_eq!(end(&epochs, 7), (7, 100));
        assert_eq!(end(&epochs, 8), (-1, -1));
        assert_eq!(end(&Epochs::default(), 0), (-1, -1));
    }

    #[test]
    fn assigning_forgets_what_contradicts() {
        let mut e = epochs(&[(1, 0), (2, 10)]);
        assert!(!e.assign(LeaderEpoch(2), Offset(12)));
        assert!(!e.assign(LeaderEpoch::NONE, Offset(12)));
        assert!(e.assign(LeaderEpoch(3), Offset(10)));
        assert_eq!(e, epochs(&[(1, 0), (3, 10)]), "an epoch without records");
        assert_eq!(e.at(Offset(9)), LeaderEpoch(1));
        assert_eq!(e.at(Offset(10)), LeaderEpoch(3));
    }

    #[test]
    fn truncation() {
        let mut e = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(e.truncate_from_end(Offset(20)));
        assert!(!e.truncate_from_end(Offset(20)));
        assert!(e.truncate_from_start(Offset(15)));
        assert_eq!(e, epochs(&[(2, 15)]));
        assert!(!e.truncate_from_start(Offset(15)));
        assert!(Epochs::new(vec![(LeaderEpoch(2), Offset(1)), (LeaderEpoch(2), Offset(3))]).is_none());
    }
}
