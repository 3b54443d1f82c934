//! The follower's side: what to ask the leader for, and what to make of its answers.
//!
//! A follower copies its leader's log, so whatever it does follows from two questions: where does our log end, and is it a
//! beginning of the leader's? The leader answers the second, since a fetch names the last epoch of our log: where the logs part
//! it says so instead of sending records, and we cut there and ask again (KIP-595). Nothing else ever cuts a log that has epochs.
//!
//! One thing is under way at a time: a question, an append or a cut. An answer counts only if it is to the question that is open,
//! so what an earlier leader says, or says too late, does nothing.

use super::{
    BatchSpan, Divergence, Effect, EpochEndOffset, FetchAnswer, FetchPosition, FetchedRecords, LeaderOffsets, Replica, Role,
    Rule, Timing,
};
use crate::model::{ErrorCode, LeaderEpoch, Offset};

#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    state: State,
    /// How often in a row the leader has known less than we do.
    leader_behind: u32,
}

/// What a follower waits for.
///
/// | State | until | then |
/// |---|---|---|
/// | Idle | another leader epoch | |
/// | Fetching | the answer | Appending, Truncating, AskingOffsets, Delayed, Parked or Fetching |
/// | AskingOffsets | the answer | Truncating, Delayed or Parked |
/// | Appending | the log | Flushing or Fetching |
/// | Truncating | the log | Flushing or Fetching |
/// | Flushing | the device | Fetching |
/// | Delayed | its time | Fetching |
/// | Parked | another leader epoch | |
#[derive(Clone, Copy, Debug)]
enum State {
    /// There is nobody to fetch from.
    Idle,
    /// The leader is asked for records.
    Fetching(FetchPosition),
    /// The leader is asked for its first and last offset.
    AskingOffsets(LeaderEpoch),
    /// What came is being appended; the rest of the answer is used after that.
    Appending { high_watermark: Offset, log_start: Offset, restart_at: Option<Offset> },
    /// The log is being cut.
    Truncating,
    /// What is not on the device yet must not be said to be here.
    Flushing,
    /// After an error.
    Delayed { until_ms: u64 },
    /// The leader knows a later epoch than we do: the metadata will tell us of it.
    Parked,
}

impl Follower {
    /// Whether an append or a cut is under way.
    pub(super) fn uses_log(&self) -> bool {
        matches!(self.state, State::Appending { .. } | State::Truncating)
    }

    pub(super) fn next_tick_ms(&self) -> Option<u64> {
        match self.state {
            State::Delayed { until_ms } => Some(until_ms),
            _ => None,
        }
    }
}

/// How many of the fetched batches may be appended, or `None` if none.
///
/// Batches of a later epoch than `leader_epoch` (the one that was asked in) are left away with all behind them: their leader is
/// not ours yet, and its log may not be ours up to there (KAFKA-18723).
///
/// # Errors
/// `CORRUPT_MESSAGE` if offsets do not grow.
pub fn accept_batches(
    leader_epoch: LeaderEpoch,
    batches: impl IntoIterator<Item = BatchSpan>,
) -> Result<Option<FetchedRecords>, ErrorCode> {
    let mut accepted: Option<FetchedRecords> = None;
    for batch in batches {
        if batch.leader_epoch > leader_epoch {
            break;
        }
        let in_order = accepted.is_none_or(|before| batch.base >= before.end);
        if batch.base < Offset::ZERO || batch.last < batch.base || !in_order {
            return Err(ErrorCode::CorruptMessage);
        }
        let (count, first) = accepted.map_or((0, batch.base), |before| (before.batches, before.first));
        accepted = Some(FetchedRecords { batches: count + 1, first, end: batch.last.plus(1) });
    }
    Ok(accepted)
}

/// Where a log that ends at `log_end` is cut when the leader's says that they part, or `None` if the answer makes no sense.
///
/// KIP-279: both logs have the leader's epoch: they may agree up to where it ends first. Ours has only earlier ones (`own` is the
/// end of the last of them): cut there, and ask about that one. Ours has nothing so early: the leader's end must do.
fn truncation_offset(Divergence { leader, own }: Divergence, log_end: Offset) -> Option<Offset> {
    if leader.end_offset < Offset::ZERO {
        return None;
    }
    let to = match own {
        EpochEndOffset::UNKNOWN => leader.end_offset,
        EpochEndOffset { epoch, end_offset } if epoch == leader.epoch => end_offset.min(leader.end_offset),
        EpochEndOffset { end_offset, .. } => end_offset,
    };
    Some(to.min(log_end))
}

impl Replica {
    /// Begins to follow, whoever leads.
    pub(super) fn follow(&mut self, effects: &mut Vec<Effect>) {
        self.waiting.fail_all(ErrorCode::NotLeaderOrFollower, effects);
        let (leader, epoch) = (self.assignment.leader, self.assignment.leader_epoch);
        effects.push(Effect::BecameFollower { leader, epoch });
        self.role = Role::Follower(Follower { state: State::Idle, leader_behind: 0 });
        let follows = leader.is_some_and(|leader| leader != self.broker) && self.assignment.replicas.contains(&self.broker);
        if !follows {
            return;
        }
        // Without epochs the leader cannot tell where the logs part: only what was committed is sure to be in both.
        let has_epochs = self.log.last_epoch != LeaderEpoch::NONE && self.keeps(Rule::CutWhereLogsPart);
        if !has_epochs && self.log.log_end > self.log.high_watermark {
            self.truncate(self.log.high_watermark, effects);
        } else {
            self.fetch(effects);
        }
    }

    fn set_state(&mut self, state: State) {
        if let Role::Follower(follower) = &mut self.role {
            follower.state = state;
        }
    }

    fn state(&self) -> Option<State> {
        match &self.role {
            Role::Follower(follower) => Some(follower.state),
            Role::Unassigned | Role::Leader(_) | Role::Offline | Role::Stopped => None,
        }
    }

    /// Asks the leader for what comes next.
    fn fetch(&mut self, effects: &mut Vec<Effect>) {
        let Some(leader) = self.assignment.leader.filter(|_| self.deferred.is_none()) else {
            self.set_state(State::Idle);
            return;
        };
        if self.durable_end() < self.log.log_end {
            self.set_state(State::Flushing);
            return;
        }
        let position = FetchPosition {
            leader,
            leader_epoch: self.assignment.leader_epoch,
            offset: self.log.log_end,
            last_fetched_epoch: self.log.last_epoch,
            log_start: self.log.log_start,
        };
        self.set_state(State::Fetching(position));
        effects.push(Effect::Fetch(position));
    }

    fn truncate(&mut self, to: Offset, effects: &mut Vec<Effect>) {
        self.set_state(State::Truncating);
        effects.push(Effect::Truncate { to });
    }

    fn restart_at(&mut self, offset: Offset, effects: &mut Vec<Effect>) {
        self.set_state(State::Truncating);
        effects.push(Effect::RestartAt { offset });
    }

    fn back_off(&mut self, now_ms: u64) {
        self.set_state(State::Delayed { until_ms: now_ms + self.timing.fetch_backoff_ms });
    }

    /// The metadata that the leader lacks are on their way to it: acks that wait for us should not wait much longer for that.
    fn wait_for_leader(&mut self, now_ms: u64) {
        let Timing { fetch_backoff_ms, leader_behind_ms, .. } = self.timing;
        let Role::Follower(follower) = &mut self.role else { return };
        let factor = 1u64.checked_shl(follower.leader_behind).unwrap_or(u64::MAX);
        follower.leader_behind = follower.leader_behind.saturating_add(1);
        let pause_ms = leader_behind_ms.saturating_mul(factor).min(fetch_backoff_ms);
        follower.state = State::Delayed { until_ms: now_ms + pause_ms };
    }

    fn leader_has_answered(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.leader_behind = 0;
        }
    }

    pub(super) fn on_fetched(&mut self, asked: FetchPosition, answer: FetchAnswer, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(State::Fetching(open)) = self.state() else { return };
        if open != asked && (self.keeps(Rule::NewestEpoch) || open.offset != asked.offset) {
            return;
        }
        match answer.error {
            ErrorCode::None => self.leader_has_answered(),
            ErrorCode::OffsetOutOfRange => {
                self.set_state(State::AskingOffsets(open.leader_epoch));
                effects.push(Effect::AskOffsets { leader: open.leader, leader_epoch: open.leader_epoch });
                return;
            }
            // It was asked in our epoch, so ours is old.
            ErrorCode::FencedLeaderEpoch => return self.set_state(State::Parked),
            // The leader knows less than we do.
            ErrorCode::UnknownLeaderEpoch
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition => return self.wait_for_leader(now_ms),
            _ => return self.back_off(now_ms),
        }
        match (answer.divergence, answer.records) {
            // What else such an answer says is about a log that is not ours.
            (Some(divergence), _) => match truncation_offset(divergence, self.log.log_end) {
                Some(to) => self.truncate(to, effects),
                None => self.back_off(now_ms),
            },
            (None, Some(records)) => self.append(records, &answer, now_ms, effects),
            (None, None) => {
                self.learn(answer.high_watermark, answer.log_start, effects);
                self.fetch(effects);
            }
        }
    }

    fn append(&mut self, records: FetchedRecords, answer: &FetchAnswer, now_ms: u64, effects: &mut Vec<Effect>) {
        let log = self.log;
        let is_empty = log.log_start == log.log_end;
        // The whole batch comes, also if the leader's log starts within it.
        let restart_at = (records.first < log.log_end).then_some(records.first);
        if (restart_at.is_some() && !is_empty) || records.end <= log.log_end {
            return self.back_off(now_ms);
        }
        let (high_watermark, log_start) = (answer.high_watermark, answer.log_start);
        self.set_state(State::Appending { high_watermark, log_start, restart_at });
        effects.push(Effect::Append { restart_at });
    }

    pub(super) fn on_replicated(&mut self, end: Offset, last_epoch: LeaderEpoch, effects: &mut Vec<Effect>) {
        assert!(end >= self.log.log_end, "the log end went back from {} to {end}", self.log.log_end);
        self.log.log_end = end;
        self.log.last_epoch = last_epoch;
        let Some(State::Appending { high_watermark, log_start, restart_at }) = self.state() else { return };
        if let Some(at) = restart_at.filter(|&at| at < self.log.log_start) {
            self.log.log_start = at;
            self.log.flushed = self.log.flushed.min(at);
        }
        self.learn(high_watermark, log_start, effects);
        self.fetch(effects);
    }

    /// What the leader says of its high watermark and log start, once its records are here.
    ///
    /// What was safe under an earlier leader is so still, though a new one may not know it yet: the high watermark does not fall.
    fn learn(&mut self, high_watermark: Offset, log_start: Offset, effects: &mut Vec<Effect>) {
        let safe = high_watermark.min(self.log.log_end);
        if safe > self.log.high_watermark {
            self.log.high_watermark = safe;
            effects.push(Effect::HighWatermark(safe));
        }
        let offset = log_start.min(self.log.high_watermark);
        if offset > self.log.log_start {
            effects.push(Effect::MoveLogStart { offset });
        }
    }

    pub(super) fn on_leader_offsets(
        &mut self,
        leader_epoch: LeaderEpoch,
        result: Result<LeaderOffsets, ErrorCode>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.state(), Some(State::AskingOffsets(open)) if open == leader_epoch) {
            return;
        }
        match result {
            // An unclean election: the leader's log is shorter than ours.
            Ok(leader) if leader.log_end < self.log.log_end => self.truncate(leader.log_end, effects),
            // We were away for so long that the leader has deleted what comes next.
            Ok(leader) if leader.log_start > self.log.log_end => self.restart_at(leader.log_start, effects),
            // In range, now: ask again, but not in a hurry.
            Ok(_) => self.back_off(now_ms),
            Err(ErrorCode::FencedLeaderEpoch) => self.set_state(State::Parked),
            Err(_) => self.back_off(now_ms),
        }
    }

    /// The log is damaged, and nobody counts on it any more.
    pub(super) fn on_repair(&mut self, to: Offset, whole: bool, effects: &mut Vec<Effect>) {
        let follows = self.assignment.leader.is_some_and(|leader| leader != self.broker);
        let is_free = matches!(self.role, Role::Follower(_)) && !self.uses_log() && self.deferred.is_none();
        match whole {
            _ if !follows || !is_free => {}
            true => self.restart_at(to, effects),
            false => self.truncate(to, effects),
        }
    }

    pub(super) fn on_log_refused(&mut self, now_ms: u64) {
        if matches!(self.state(), Some(State::Appending { .. } | State::Truncating)) {
            self.back_off(now_ms);
        }
    }

    /// Only an unclean election cuts below the high watermark; then it falls.
    pub(super) fn on_truncated(&mut self, log_start: Offset, end: Offset, last_epoch: LeaderEpoch, effects: &mut Vec<Effect>) {
        assert!(log_start <= end, "a log from {log_start} to {end}");
        assert!(!self.is_leader(), "a leader's log is never cut");
        self.log.log_start = log_start;
        self.log.log_end = end;
        // A log without records has nothing that is not on the device.
        self.log.flushed = if log_start == end { end } else { self.log.flushed.min(end) };
        self.log.last_epoch = last_epoch;
        self.log.high_watermark = self.log.high_watermark.clamp(log_start, end);
        if matches!(self.state(), Some(State::Truncating)) {
            self.fetch(effects);
        }
    }

    /// What a follower does because time has passed, or because more is on the device.
    pub(super) fn follow_on(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        match self.state() {
            Some(State::Delayed { until_ms }) if until_ms <= now_ms => self.fetch(effects),
            Some(State::Flushing) if self.durable_end() >= self.log.log_end => self.fetch(effects),
            _ => {}
        }
    }
}
