//! The leader's side: how far each follower is, who is in sync, and the high watermark that follows.
//!
//! A follower's fetch says that it has everything before the fetch offset. That is all a leader ever learns, so a follower that
//! has not fetched in this leadership has nothing, whatever it had before.

use super::isr::IsrChange;
use super::{BrokerStatus, Effect, NO_BROKER_EPOCH, Replica, Role, Rule};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use std::collections::BTreeMap;

/// Log end offset of a follower that has not fetched yet.
const UNKNOWN: Offset = Offset(-1);

#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// Log end offset when this broker began to lead.
    pub(super) epoch_start: Offset,
    pub(super) followers: BTreeMap<BrokerId, FollowerState>,
    /// The ISR that the controller was asked for.
    pub(super) change: Option<IsrChange>,
    /// When the ISR is looked at for replicas that lag.
    pub(super) next_scan_ms: u64,
}

/// What the leader knows of a follower.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowerState {
    pub(super) log_end: Offset,
    pub(super) log_start: Offset,
    /// When it last had all of the log; never, if it was not in sync at the election nor since.
    pub(super) caught_up_ms: Option<u64>,
    /// Its last fetch: when, and where the leader's log ended.
    last_fetch: Option<(u64, Offset)>,
    /// Its incarnation at its last fetch.
    pub(super) broker_epoch: Option<i64>,
}

impl FollowerState {
    fn new(in_sync: bool, now_ms: u64) -> Self {
        let caught_up_ms = in_sync.then_some(now_ms);
        Self { log_end: UNKNOWN, log_start: Offset::ZERO, caught_up_ms, last_fetch: None, broker_epoch: None }
    }

    /// The leader was elected again: a follower that is in sync gets time to show up.
    fn begin_again(&mut self, in_sync: bool, log_end: Offset, now_ms: u64) {
        self.caught_up_ms = in_sync.then_some(now_ms);
        self.last_fetch = in_sync.then_some((now_ms, log_end));
    }

    /// A follower that reaches today what the leader had at the fetch before was caught up then: else one that is always a little
    /// behind a busy leader would never be.
    fn fetched(&mut self, log_end: Offset, leader_end: Offset, now_ms: u64) {
        if log_end >= leader_end {
            self.caught_up_ms = self.caught_up_ms.max(Some(now_ms));
        } else if let Some((then_ms, then_end)) = self.last_fetch
            && log_end >= then_end
        {
            self.caught_up_ms = self.caught_up_ms.max(Some(then_ms));
        }
        let seen = self.last_fetch.map_or(leader_end, |(_, before)| before.max(leader_end));
        self.last_fetch = Some((now_ms, seen));
        self.log_end = log_end;
    }

    pub(super) fn is_caught_up(&self, leader_end: Offset, now_ms: u64, max_lag_ms: u64) -> bool {
        self.log_end == leader_end || self.caught_up_ms.is_some_and(|then| now_ms.saturating_sub(then) <= max_lag_ms)
    }
}

impl Leader {
    /// A leader whose epoch begins at `epoch_start`; `before` if it led the epoch before as well.
    pub(super) fn new(epoch_start: Offset, before: Option<Self>, replica: &Replica, now_ms: u64) -> Self {
        let mut followers = before.map(|leader| leader.followers).unwrap_or_default();
        for (id, follower) in &mut followers {
            follower.begin_again(replica.assignment.isr.contains(id), epoch_start, now_ms);
        }
        let next_scan_ms = now_ms + replica.timing.replica_lag_time_max_ms / 2;
        let mut leader = Self { epoch_start, followers, change: None, next_scan_ms };
        leader.set_replicas(&replica.assignment.replicas, &replica.assignment.isr, replica.broker, now_ms);
        leader
    }

    pub(super) fn set_replicas(&mut self, replicas: &[BrokerId], isr: &[BrokerId], own: BrokerId, now_ms: u64) {
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != own) {
            self.followers.entry(*id).or_insert_with(|| FollowerState::new(isr.contains(id), now_ms));
        }
    }

    /// Whether the replica is in the ISR, or will be if the controller agrees. A replica whose removal is only proposed still is,
    /// since the controller may elect it until it has agreed (KIP-497).
    pub(super) fn in_maximal_isr(&self, isr: &[BrokerId], id: BrokerId) -> bool {
        isr.contains(&id) || self.change.as_ref().is_some_and(|change| change.added == Some(id))
    }

    pub(super) fn maximal_isr_size(&self, isr: &[BrokerId]) -> usize {
        isr.len() + usize::from(self.change.as_ref().is_some_and(|change| change.added.is_some()))
    }
}

impl Replica {
    /// A follower has everything before `log_end`: the ISR and the high watermark may grow.
    pub(super) fn on_follower_fetched(
        &mut self,
        (id, broker_epoch): (BrokerId, i64),
        log_end: Offset,
        log_start: Offset,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let leader_end = self.log.log_end;
        let is_earlier = self.is_earlier_incarnation(id, broker_epoch) && self.keeps(Rule::Incarnation);
        if log_end > leader_end || is_earlier {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&id) else { return };
        follower.fetched(log_end, leader_end, now_ms);
        follower.log_start = log_start;
        follower.broker_epoch = Some(broker_epoch);
        self.expand_isr(id, effects);
        self.advance(now_ms, effects);
    }

    /// Whether the fetch was sent before that broker registered anew, or fetched after having done so: what it had then may be
    /// gone.
    pub(super) fn is_earlier_incarnation(&self, id: BrokerId, broker_epoch: i64) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let seen = leader.followers.get(&id).and_then(|follower| follower.broker_epoch);
        let known = self.brokers.get(&id).map(|status| status.epoch).max(seen);
        broker_epoch != NO_BROKER_EPOCH && known.is_some_and(|known| broker_epoch < known)
    }

    /// Whether the controller would take the replica into the ISR: it is alive, and it is this incarnation of it that fetches
    /// (KIP-903).
    pub(super) fn is_isr_eligible(&self, id: BrokerId, follower: &FollowerState) -> bool {
        let Some(BrokerStatus { epoch, fenced, shutting_down, .. }) = self.brokers.get(&id) else { return false };
        let same = follower.broker_epoch.is_some_and(|fetched| fetched == NO_BROKER_EPOCH || fetched == *epoch);
        !fenced && !shutting_down && same
    }

    /// Raises the high watermark as far as the rules allow and answers whoever waited for it.
    pub(super) fn advance(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        // Strict min ISR (KIP-966): a smaller ISR must not make records visible, or it could elect itself without them.
        if !self.is_under_min_isr() || !self.keeps(Rule::MinIsr) {
            let safe = self.safe_end(leader, now_ms);
            // A replica whose end is not known yet, or a stricter flush policy, gives less than was safe before: what was
            // shown stays shown.
            if safe > self.log.high_watermark {
                self.log.high_watermark = safe;
                effects.push(Effect::HighWatermark(safe));
            }
        }
        self.wake(effects);
    }

    /// What every replica has that may be elected, or could be if the controller agreed with what it was asked for.
    fn safe_end(&self, leader: &Leader, now_ms: u64) -> Offset {
        let max_lag_ms = self.timing.replica_lag_time_max_ms;
        let mut safe = self.durable_end();
        if !self.keeps(Rule::Isr) {
            return safe;
        }
        for (&id, follower) in &leader.followers {
            if follower.log_end >= safe || (follower.log_end == UNKNOWN && !self.keeps(Rule::WholeIsr)) {
                continue;
            }
            // A replica that is nearly there is waited for: the high watermark would run away from it, and it would never get in.
            let joins = || follower.is_caught_up(self.log.log_end, now_ms, max_lag_ms) && self.is_isr_eligible(id, follower);
            let is_leaving = leader.change.as_ref().is_some_and(|change| change.removes(id)) && !self.keeps(Rule::MaximalIsr);
            if (leader.in_maximal_isr(&self.assignment.isr, id) && !is_leaving) || joins() {
                safe = follower.log_end;
            }
        }
        safe
    }

    pub(super) fn wake(&mut self, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        let enough = leader.maximal_isr_size(&self.assignment.isr) >= self.effective_min_insync_replicas();
        let error = if enough || !self.keeps(Rule::MinIsr) { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
        let (durable, high_watermark) = (self.durable_end(), self.log.high_watermark);
        self.waiting.wake(durable, high_watermark, error, effects);
    }

    pub(super) fn is_under_min_isr(&self) -> bool {
        self.assignment.isr.len() < self.effective_min_insync_replicas()
    }

    fn effective_min_insync_replicas(&self) -> usize {
        self.min_insync_replicas.min(self.assignment.replicas.len())
    }

    /// Begins to lead at the log's end. A produce that waits since an earlier epoch of our own goes on waiting: its records are
    /// still there.
    pub(super) fn lead(&mut self, known: LeaderEpoch, now_ms: u64, effects: &mut Vec<Effect>) {
        let epoch = self.assignment.leader_epoch;
        let before = match std::mem::replace(&mut self.role, Role::Unassigned) {
            // Nobody else led in between, so what followers had they still have.
            Role::Leader(leader) if epoch.0 == known.0 + 1 => Some(leader),
            _ => None,
        };
        let start = self.log.log_end;
        self.role = Role::Leader(Leader::new(start, before, self, now_ms));
        self.log.last_epoch = epoch;
        effects.push(Effect::LeaderEpochStarted { epoch, start });
    }
}
