//! Who is in sync: proposed by the leader, decided by the controller (KIP-497).
//!
//! One proposal is under way at a time. Until its outcome is certain the leader acts as if the larger of the two sets were the
//! ISR: a replica to be added is waited for at once, a replica to be removed until the controller has agreed. An outcome is
//! certain when the controller says what the ISR is now, says that it did nothing, or new metadata come; an answer that got lost
//! leaves it uncertain.

use super::leader::Leader;
use super::{CommittedIsr, Effect, IsrProposal, NO_BROKER_EPOCH, Replica, Role, Rule};
use crate::model::{BrokerId, ErrorCode};

#[derive(Clone, Debug)]
pub(super) struct IsrChange {
    pub(super) proposal: IsrProposal,
    /// The replica that joins; `None` if some leave.
    pub(super) added: Option<BrokerId>,
    progress: Progress,
}

impl IsrChange {
    /// Whether the replica is to leave.
    pub(super) fn removes(&self, id: BrokerId) -> bool {
        self.added.is_none() && !self.proposal.isr.iter().any(|(member, _)| *member == id)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// An answer will come.
    Sent,
    /// Only new metadata can tell.
    AwaitsMetadata,
    /// It is sent again then.
    RetryAt(u64),
}

impl Replica {
    /// Proposes a follower that has fetched for the ISR, if it belongs there.
    ///
    /// It must have reached the high watermark, and the start of the leader's epoch: a new leader's high watermark may lag behind
    /// what was committed before, never behind more than where its own epoch begins.
    pub(super) fn expand_isr(&mut self, id: BrokerId, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(follower) = leader.followers.get(&id) else { return };
        let free = leader.change.is_none() && self.deferred.is_none();
        if !free || self.assignment.isr.contains(&id) || !self.is_isr_eligible(id, follower) {
            return;
        }
        let in_epoch = follower.log_end >= leader.epoch_start || !self.keeps(Rule::EpochStart);
        let caught_up = follower.log_end >= self.log.high_watermark && in_epoch;
        if caught_up || !self.keeps(Rule::CaughtUp) {
            let isr = self.assignment.isr.iter().copied().chain([id]).collect();
            self.propose(isr, Some(id), effects);
        }
    }

    /// Proposes an ISR without those that have not been caught up for `replica.lag.time.max.ms`.
    fn shrink_isr(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        if leader.change.is_some() || self.deferred.is_some() {
            return;
        }
        let stays = |id: &BrokerId| *id == self.broker || !self.lags(leader, *id, now_ms);
        let isr: Vec<_> = self.assignment.isr.iter().copied().filter(stays).collect();
        if isr.len() < self.assignment.isr.len() {
            self.propose(isr, None, effects);
        }
    }

    fn lags(&self, leader: &Leader, id: BrokerId, now_ms: u64) -> bool {
        let max_lag_ms = self.timing.replica_lag_time_max_ms;
        leader.followers.get(&id).is_none_or(|follower| !follower.is_caught_up(self.log.log_end, now_ms, max_lag_ms))
    }

    fn propose(&mut self, isr: Vec<BrokerId>, added: Option<BrokerId>, effects: &mut Vec<Effect>) {
        let isr = isr.into_iter().map(|id| (id, self.broker_epoch_of(id))).collect();
        let proposal = IsrProposal {
            number: self.next_proposal,
            leader_epoch: self.assignment.leader_epoch,
            partition_epoch: self.assignment.partition_epoch,
            isr,
            recovery: self.assignment.recovery,
        };
        self.next_proposal += 1;
        effects.push(Effect::AlterPartition(proposal.clone()));
        if let Role::Leader(leader) = &mut self.role {
            leader.change = Some(IsrChange { proposal, added, progress: Progress::Sent });
        }
    }

    /// The incarnation that was seen in sync. A member of the ISR that has not fetched from this leader has none; should it have
    /// registered anew, the controller has taken it out of the ISR and refuses this partition epoch.
    fn broker_epoch_of(&self, id: BrokerId) -> i64 {
        if id == self.broker {
            return self.brokers.get(&id).map_or(NO_BROKER_EPOCH, |status| status.epoch);
        }
        let Role::Leader(leader) = &self.role else { return NO_BROKER_EPOCH };
        leader.followers.get(&id).and_then(|follower| follower.broker_epoch).unwrap_or(NO_BROKER_EPOCH)
    }

    pub(super) fn on_alter_partition_answered(
        &mut self,
        number: u64,
        result: Result<CommittedIsr, ErrorCode>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let retry_at = now_ms + self.timing.alter_partition_retry_ms;
        let Role::Leader(leader) = &mut self.role else { return };
        // Metadata or another epoch have overtaken the answer.
        let Some(change) = leader.change.as_mut().filter(|change| change.proposal.number == number) else { return };
        match result {
            Ok(committed) => {
                let known = &self.assignment;
                if committed.leader_epoch == known.leader_epoch && committed.partition_epoch >= known.partition_epoch {
                    leader.change = None;
                    self.assignment.isr = committed.isr;
                    self.assignment.partition_epoch = committed.partition_epoch;
                    self.assignment.recovery = committed.recovery;
                } else {
                    change.progress = Progress::AwaitsMetadata;
                }
            }
            // The controller says that the partition epoch is right and that it did nothing; no other controller can have.
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => leader.change = None,
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::InvalidRequest
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::NewLeaderElected,
            ) => change.progress = Progress::AwaitsMetadata,
            Err(_) => change.progress = Progress::RetryAt(retry_at),
        }
        self.advance(now_ms, effects);
    }

    /// What a leader does because time has passed.
    pub(super) fn lead_on(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let period_ms = self.timing.replica_lag_time_max_ms / 2;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.followers.is_empty() {
            return;
        }
        if let Some(change) = &mut leader.change
            && matches!(change.progress, Progress::RetryAt(at) if at <= now_ms)
        {
            change.progress = Progress::Sent;
            effects.push(Effect::AlterPartition(change.proposal.clone()));
        }
        if leader.next_scan_ms <= now_ms {
            leader.next_scan_ms = now_ms + period_ms.max(1);
            self.shrink_isr(now_ms, effects);
            // Who was waited for without being in the ISR may be too late now.
            self.advance(now_ms, effects);
        }
    }

    /// When [`Replica::lead_on`] has something to do.
    pub(super) fn next_leader_tick_ms(&self) -> Option<u64> {
        let Role::Leader(leader) = &self.role else { return None };
        let retry = leader.change.as_ref().and_then(|change| match change.progress {
            Progress::RetryAt(at) => Some(at),
            Progress::Sent | Progress::AwaitsMetadata => None,
        });
        let scan = (!leader.followers.is_empty()).then_some(leader.next_scan_ms);
        retry.into_iter().chain(scan).min()
    }
}
