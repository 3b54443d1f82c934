//! A partition that another broker leads: what was fetched goes into the log, and where the logs part ours is cut.
//!
//! `replica` says what to do, one thing at a time: an append or a cut is under way, or the leader is asked, by way of `fetcher`. Only
//! the log start moves beside that.

use super::core::Core;
use super::fetcher::Held;
use super::partition::{Partition, State};
use super::throttle::Side;
use crate::log::{AppendBatch, CheckpointKind, LogError};
use crate::model::{BrokerId, Offset, TopicIdPartition};
use crate::replica::{Divergence, Effect, EpochEndOffset, FetchAnswer, FetchPosition, Input};
use std::rc::Rc;
use std::time::Duration;

/// How soon a checkpoint is tried again.
const CHECKPOINT_RETRY: Duration = Duration::from_millis(20);

/// Fetched batches that may be appended.
pub(super) struct Fetched {
    pub(super) batches: Vec<AppendBatch>,
    /// Says that they are in memory, and that their fetch is not over.
    pub(super) held: Held,
}

/// What is under way of copying another broker's log.
#[derive(Default)]
pub(super) struct Following {
    /// Who was asked last.
    leader: Option<BrokerId>,
    /// What has just come.
    fetched: Option<Fetched>,
    /// As long as what came last is not in the log, and, where that counts, on the device.
    held: Option<Held>,
    /// An append or a cut is under way.
    uses_log: bool,
    /// The log start moves.
    moves_start: bool,
    /// Where the log is being cut, or is to be: checkpoints say no more than what will be left.
    cuts_to: Option<Offset>,
}

impl Following {
    /// Whether something of the log is being changed.
    pub(super) fn is_busy(&self) -> bool {
        self.uses_log || self.moves_start
    }

    /// Where the log is being cut, if it is.
    pub(super) fn cuts_to(&self) -> Option<Offset> {
        self.cuts_to
    }

    /// Whoever was asked is not listened to any more.
    pub(super) fn end(&mut self, core: &Core, id: TopicIdPartition) {
        self.held = None;
        if let Some(leader) = self.leader.take() {
            core.do_not_fetch(leader, id);
            core.do_not_fetch_later(id);
        }
    }
}

/// How a log becomes shorter.
#[derive(Clone, Copy)]
enum Cut {
    To(Offset),
    /// All of it goes.
    RestartAt(Offset),
}

impl Partition {
    /// Carries out what `replica` decided as a follower.
    pub(super) fn follow(self: &Rc<Self>, core: &Rc<Core>, state: &mut State, effect: Effect) {
        match effect {
            Effect::Fetch(position) => {
                state.following.held = None;
                // A fetch would say that everything before its offset is here.
                if self.log.has_holes() {
                    return;
                }
                state.following.leader = Some(position.leader);
                let is_held_back = self.throttled.get().as_follower && !state.replica.isr().contains(&core.broker_id());
                if self.is_closed() {
                    return;
                }
                match is_held_back && core.is_over_rate(Side::Follower) {
                    true => core.fetch_later(position, self.id),
                    false => core.fetch_from(position, self.id),
                }
            }
            Effect::AskOffsets { leader, leader_epoch } => {
                state.following.held = None;
                state.following.leader = Some(leader);
                core.ask_offsets_of(leader, leader_epoch, self.id);
            }
            Effect::Append { restart_at } => {
                let Some(Fetched { batches, held }) = state.following.fetched.take().filter(|_| !self.is_closed()) else {
                    return;
                };
                state.following.held = Some(held);
                state.following.uses_log = true;
                let (partition, core) = (self.clone(), core.clone());
                core.io.clone().spawn(async move { partition.append_fetched(&core, batches, restart_at).await });
            }
            Effect::Truncate { to } => self.start_cut(core, state, Cut::To(to)),
            Effect::RestartAt { offset } => self.start_cut(core, state, Cut::RestartAt(offset)),
            // Should it be moving already, the next answer of the leader says so again.
            Effect::MoveLogStart { offset } if !state.following.moves_start && !self.is_closed() => {
                state.following.moves_start = true;
                let (partition, core) = (self.clone(), core.clone());
                core.io.clone().spawn(async move { partition.move_log_start(&core, offset).await });
            }
            Effect::MoveLogStart { .. } => {}
            other => unreachable!("not a follower's: {other:?}"),
        }
    }

    /// What the leader has answered to `asked`.
    pub(super) fn on_fetched(
        self: &Rc<Self>,
        core: &Rc<Core>,
        asked: FetchPosition,
        answer: FetchAnswer,
        fetched: Option<Fetched>,
    ) {
        let mut state = self.state_mut();
        state.following.fetched = fetched;
        state.on_event(core.io.now(), Input::Fetched { asked, answer });
        self.carry_out(core, state);
        // Of an answer that came too late.
        self.state_mut().following.fetched = None;
    }

    /// Where the leader says that the logs part, with what our own log knows of that epoch.
    pub(super) fn divergence(&self, leader: EpochEndOffset) -> Divergence {
        let own = self.log.end_offset_for_epoch(leader.epoch);
        Divergence { leader, own: EpochEndOffset { epoch: own.epoch, end_offset: own.end_offset } }
    }

    async fn append_fetched(self: Rc<Self>, core: &Rc<Core>, batches: Vec<AppendBatch>, restart_at: Option<Offset>) {
        let bytes = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
        let appended = async {
            if let Some(offset) = restart_at {
                self.log.truncate_fully_and_start_at(offset).await?;
            }
            self.log.append_as_follower(batches).await
        };
        let appended = appended.await;
        self.state_mut().following.uses_log = false;
        let grown = self.log.log_end_offset() > self.state().replica.log_end();
        // Where a segment was rolled in between, batches before an error are in the log.
        if grown {
            if self.throttled.get().as_follower {
                core.count_copied(Side::Follower, bytes);
            }
            self.on_replicated(core, bytes);
            self.flush_as_configured(core);
        }
        match appended {
            Ok(_) => assert!(grown || self.is_closed(), "an append makes a log longer"),
            Err(error) => self.follow_failed(core, "append of what was fetched", &error),
        }
    }

    fn on_replicated(self: &Rc<Self>, core: &Rc<Core>, bytes: u64) {
        let (end, last_epoch) = (self.log.log_end_offset(), self.log.latest_epoch());
        let now = core.io.now();
        let mut state = self.state_mut();
        state.grew(end, bytes);
        state.on_event(now, Input::Replicated { end, last_epoch });
        // A flush may have caught this write before its end was known here.
        state.on_event(now, Input::Flushed { end: self.log.recovery_point().min(end) });
        self.carry_out(core, state);
    }

    fn start_cut(self: &Rc<Self>, core: &Rc<Core>, state: &mut State, cut: Cut) {
        if self.is_closed() {
            return;
        }
        state.following.uses_log = true;
        let (partition, core) = (self.clone(), core.clone());
        core.io.clone().spawn(async move { partition.cut(&core, cut).await });
    }

    async fn cut(self: Rc<Self>, core: &Rc<Core>, cut: Cut) {
        let (log, high_watermark) = (&self.log, self.state().replica.high_watermark());
        let (Cut::To(offset) | Cut::RestartAt(offset)) = cut;
        let (until, epoch) = (log.log_end_offset(), self.state().replica.leader_epoch());
        self.state_mut().following.cuts_to = Some(offset);
        let result = match self.checkpoint_below(core, offset).await {
            true => match cut {
                Cut::To(offset) => log.truncate_to(offset).await.map(drop),
                Cut::RestartAt(offset) => log.truncate_fully_and_start_at(offset).await,
            },
            // Nobody asks how it ends: the broker stops, or the log dir has failed.
            false => Err(LogError::Closed),
        };
        // A crash before this is noted cuts once more.
        let is_repair = log.damage().and_then(|damage| damage.first_hole()).is_some_and(|hole| log.log_end_offset() <= hole);
        let result = match result {
            Ok(()) if is_repair => log.begin_refetch(until, epoch).await,
            result => result,
        };
        {
            let following = &mut self.state_mut().following;
            (following.uses_log, following.cuts_to) = (false, None);
        }
        if let Err(error) = result {
            return self.follow_failed(core, "truncation", &error);
        }
        let (log_start, end, last_epoch) = (log.log_start_offset(), log.log_end_offset(), log.latest_epoch());
        match end < high_watermark {
            true if is_repair => tracing::warn!(partition = %self.name, %log_start, log_end = %end, "cut, to be copied again"),
            // An unclean election, or a leader that has deleted what came next.
            true => {
                tracing::warn!(partition = %self.name, %high_watermark, %log_start, log_end = %end, "records that were committed go")
            }
            false => {
                tracing::info!(partition = %self.name, %log_start, log_end = %end, "the log ends where its leader's parts from it")
            }
        }
        let mut state = self.state_mut();
        state.was_cut(end);
        state.on_event(core.io.now(), Input::Truncated { log_start, end, last_epoch });
        self.carry_out(core, state);
        self.wake_watchers(core);
    }

    /// Before the log is cut at `offset`: a start after a crash must not take what comes next for synced, nor look for the log start behind
    /// the log's end. False if it cannot be written.
    async fn checkpoint_below(&self, core: &Rc<Core>, offset: Offset) -> bool {
        let recovery = (self.log.recovery_point() > offset).then_some(CheckpointKind::RecoveryPoint);
        let start = (self.log.log_start_offset() > offset).then_some(CheckpointKind::LogStart);
        for kind in recovery.into_iter().chain(start) {
            // While the broker starts, other cores may not have told yet what else belongs in there.
            while !core.checkpoint(kind, self.dir()).await {
                if core.is_offline(self.dir()) || core.is_stopping() {
                    return false;
                }
                core.io.sleep(CHECKPOINT_RETRY).await;
            }
        }
        true
    }

    async fn move_log_start(self: Rc<Self>, core: &Rc<Core>, offset: Offset) {
        let moved = self.log.delete_records(offset).await;
        self.state_mut().following.moves_start = false;
        match moved {
            Ok(_) => self.on_log_start_moved(core),
            Err(error) => self.device_failed(core, "move of the log start", &error),
        }
    }

    /// Records at the front are gone. While a cut is under way the log may start behind what `replica` knows, which is told with the cut.
    pub(super) fn on_log_start_moved(self: &Rc<Self>, core: &Rc<Core>) {
        let mut state = self.state_mut();
        let offset = self.log.log_start_offset().min(state.replica.high_watermark());
        state.on_event(core.io.now(), Input::LogStartMoved { offset });
        self.carry_out(core, state);
    }

    /// An append or a cut did not come to its end. A log that may go on is tried again after a pause.
    fn follow_failed(self: &Rc<Self>, core: &Rc<Core>, operation: &str, error: &LogError) {
        self.state_mut().following.held = None;
        if matches!(error, LogError::Closed) {
            return;
        }
        self.device_failed(core, operation, error);
        let input = if self.log.failure().is_some() { Input::StorageFailed } else { Input::LogRefused };
        self.on_event(core, input);
    }
}
