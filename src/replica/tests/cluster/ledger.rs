//! What must hold. The first thing that does not is kept.

use super::super::*;
use super::node::{ModelLog, Record};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Ledger {
    /// What was below a leader's high watermark, by offset, and the epoch of that leader.
    committed: Vec<(Record, LeaderEpoch)>,
    /// The brokers whose log a record was ever in.
    held: BTreeMap<u64, BTreeSet<BrokerId>>,
    /// The high watermark of each leadership.
    high_watermarks: BTreeMap<(BrokerId, LeaderEpoch), Offset>,
    pub(super) fault: Option<String>,
}

impl Ledger {
    pub(super) fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    pub(super) fn appended(&mut self, node: BrokerId, record: Record) {
        self.held.entry(record.value).or_default().insert(node);
    }

    /// A high watermark says that records are committed: a leader's for the first time, a follower's what it was told.
    pub(super) fn committed(&mut self, node: BrokerId, by: Option<LeaderEpoch>, end: Offset, log: &ModelLog) {
        for (offset, &record) in log.records.iter().take(end.0 as usize).enumerate() {
            match (self.committed.get(offset), by) {
                (Some(&(known, _)), _) if known != record => {
                    self.fail(format!("offset {offset} is {known:?}, and {record:?} on broker {node}"));
                }
                (Some(_), _) => {}
                (None, Some(epoch)) => self.committed.push((record, epoch)),
                (None, None) => {
                    self.fail(format!("broker {node} follows and takes offset {offset} for committed, no leader does"))
                }
            }
        }
    }

    /// A leader has what was committed in earlier epochs. (It may be late itself: others lead by now, and have committed more.)
    pub(super) fn elected(&mut self, node: BrokerId, epoch: LeaderEpoch, log: &ModelLog) {
        let mut before = self.committed.iter().enumerate().filter(|(_, (_, committed_in))| *committed_in < epoch);
        let lost = before.find(|(offset, (record, _))| log.records.get(*offset) != Some(record));
        if let Some((offset, (record, _))) = lost {
            let fault = format!("broker {node} leads in epoch {epoch} without {record:?}, which is committed at {offset}");
            self.fail(fault);
        }
    }

    /// An `acks=all` was answered with success.
    pub(super) fn acked(&mut self, record: Record, offset: Offset, min_insync_replicas: usize) {
        if self.committed.get(offset.0 as usize).is_none_or(|(known, _)| *known != record) {
            self.fail(format!("{record:?} at {offset} was acked and is not committed"));
        }
        let copies = self.held.get(&record.value).map_or(0, BTreeSet::len);
        if copies < min_insync_replicas {
            self.fail(format!("{record:?} at {offset} was acked with {copies} copies of {min_insync_replicas}"));
        }
    }

    /// After anything has happened to a machine.
    pub(super) fn observed(&mut self, node: BrokerId, replica: &Replica, log: &ModelLog) {
        if replica.log_end() != log.end() || replica.log.last_epoch != log.last_epoch() {
            self.fail(format!("the machine of broker {node} has lost sight of its log"));
        }
        if !replica.is_leader() {
            return;
        }
        let hw = replica.high_watermark();
        let before = self.high_watermarks.insert((node, replica.leader_epoch()), hw).unwrap_or_default();
        if hw < before {
            self.fail(format!("the high watermark of broker {node} fell from {before} to {hw} in one epoch"));
        }
    }

    pub(super) fn committed_end(&self) -> Offset {
        Offset(self.committed.len() as i64)
    }
}
