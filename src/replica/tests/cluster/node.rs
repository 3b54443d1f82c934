//! One broker: a machine, and the log that it decides about.

use super::super::*;

/// A batch of one record; its value is nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) epoch: LeaderEpoch,
    pub(super) value: u64,
}

/// A log from offset 0, with its epochs.
#[derive(Default)]
pub(super) struct ModelLog {
    pub(super) records: Vec<Record>,
    epochs: Vec<(LeaderEpoch, Offset)>,
    /// Records that a crash cannot take.
    pub(super) flushed: usize,
}

impl ModelLog {
    pub(super) fn end(&self) -> Offset {
        Offset(self.records.len() as i64)
    }

    pub(super) fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().map_or(LeaderEpoch::NONE, |&(epoch, _)| epoch)
    }

    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        self.epochs.retain(|&(other, first)| other < epoch && first < start);
        self.epochs.push((epoch, start));
    }

    pub(super) fn append(&mut self, record: Record) {
        if record.epoch != self.last_epoch() {
            self.assign(record.epoch, self.end());
        }
        self.records.push(record);
    }

    pub(super) fn end_of(&self, epoch: LeaderEpoch) -> EpochEndOffset {
        if epoch < LeaderEpoch(0) || epoch > self.last_epoch() {
            return EpochEndOffset::UNKNOWN;
        }
        let above = self.epochs.iter().position(|&(other, _)| other > epoch);
        let floor = self.epochs.iter().rev().find(|&&(other, _)| other <= epoch);
        let end_offset = above.map_or(self.end(), |at| self.epochs[at].1);
        EpochEndOffset { epoch: floor.map_or(epoch, |&(other, _)| other), end_offset }
    }

    pub(super) fn cut(&mut self, to: Offset) {
        self.records.truncate(to.0 as usize);
        let end = self.end();
        self.epochs.retain(|&(_, start)| start < end);
        self.flushed = self.flushed.min(self.records.len());
    }

    pub(super) fn read(&self, from: Offset, count: usize) -> Vec<Record> {
        self.records[from.0 as usize..].iter().take(count).copied().collect()
    }
}

/// What the log is to do for a follower.
pub(super) enum Task {
    Append(Vec<Record>),
    Cut(Offset),
}

/// A produce on its way into the log, or waiting.
#[derive(Clone, Copy)]
pub(super) struct Produce {
    pub(super) record: Record,
    pub(super) acks: Acks,
}

pub(super) struct Node {
    pub(super) id: BrokerId,
    /// Its incarnation.
    pub(super) broker_epoch: i64,
    /// None while it is down.
    pub(super) replica: Option<Replica>,
    pub(super) log: ModelLog,
    /// The high watermark on disk.
    pub(super) checkpoint: Offset,
    /// What is being written for clients.
    pub(super) writing: Vec<Produce>,
    /// What is being done for the follower.
    pub(super) task: Option<Task>,
    /// Records of the answer that the machine is told of.
    pub(super) arrived: Vec<Record>,
    /// In the log, and not answered yet; with the offset.
    pub(super) waiting: BTreeMap<Ticket, (Produce, Offset)>,
    /// The metadata that this incarnation was told first, and last.
    pub(super) versions: (usize, usize),
}

impl Node {
    pub(super) fn new(id: BrokerId) -> Self {
        Self {
            id,
            broker_epoch: NO_BROKER_EPOCH,
            replica: None,
            log: ModelLog::default(),
            checkpoint: Offset::ZERO,
            writing: Vec::new(),
            task: None,
            arrived: Vec::new(),
            waiting: BTreeMap::new(),
            versions: (0, 0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    /// The epoch that it leads in.
    pub(super) fn leads(&self) -> Option<LeaderEpoch> {
        self.replica.as_ref().filter(|replica| replica.is_leader()).map(Replica::leader_epoch)
    }

    /// Everything but the disk is gone, and of that what is behind `kept`.
    pub(super) fn crash(&mut self, kept: usize) {
        self.replica = None;
        self.writing.clear();
        self.task = None;
        self.arrived.clear();
        self.waiting.clear();
        self.log.cut(Offset(kept as i64));
    }

    pub(super) fn log_state(&self) -> LogState {
        LogState {
            log_start: Offset::ZERO,
            log_end: self.log.end(),
            flushed: Offset(self.log.flushed as i64),
            high_watermark: self.checkpoint,
            last_epoch: self.log.last_epoch(),
        }
    }
}
