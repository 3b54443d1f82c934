//! One partition on the core that owns it: decide, append, commit.
//!
//! A batch is judged at the offset that it will get, while earlier ones are still being written: `producer` checks its sequence and
//! remembers it tentatively, `replica` gives the leader epoch and, once the write has ended, says when it may be answered. Everything
//! between the decision and the end of the write is in [`State::in_flight`], in offset order; when a write fails all of it fails, so
//! that nothing tentative survives.
//!
//! What another broker leads comes by way of `follow` instead; never both at once, since the leader epoch changes only between writes.
//!
//! Nothing here waits: `write` moves the queue into the log, `read` looks into it.

use super::core::{Core, FIRST_CORE};
use super::follow::Following;
use super::gather::Slot;
use super::message::Message;
use super::metadata::Assigned;
use super::requests::{CurrentLeader, ProduceResult};
use super::throttle::Throttled;
use super::watch::Watchers;
use crate::io::Mono;
use crate::log::{AppendBatch, Log};
use crate::model::{ErrorCode, LeaderEpoch, Offset, TopicIdPartition, TopicPartition};
use crate::producer::{Origin, ProducerBatch, ProducerError, Verdict};
use crate::record::ValidatedBatch;
use crate::replica::{Acks, Assignment, Effect, Input, LogState, Replica, Ticket};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Writes above the high watermark whose ends are remembered one by one; of more the last ones count as one.
const MAX_GROWTH: usize = 512;
/// How late metadata come that were overtaken, where that bug is planted.
const LATE: Duration = Duration::from_millis(300);

/// A partition and everything that belongs to it.
pub(super) struct Partition {
    pub(super) id: TopicIdPartition,
    pub(super) name: TopicPartition,
    /// Index of its log dir in `log.dirs`; another one once it has moved.
    dir: Cell<usize>,
    pub(super) log: Rc<Log>,
    state: RefCell<State>,
    /// Which of its traffic is held back.
    pub(super) throttled: Cell<Throttled>,
    /// Clones of the handle must not keep a deleted partition answering.
    deleted: Cell<bool>,
}

/// What changes; never borrowed across an await.
pub(super) struct State {
    pub(super) replica: Replica,
    pub(super) watchers: Watchers,
    /// Offset that the next batch gets: the log end offset and all that is queued or being written.
    pub(super) next_offset: Offset,
    /// Batches that wait for the next write.
    pub(super) queue: VecDeque<AppendBatch>,
    /// Produces whose batches are queued or being written, by the offset behind their last record.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Produces that are in the log and wait for replica's word.
    waiting: BTreeMap<Ticket, Waiter>,
    next_ticket: u64,
    /// A task is writing, and goes on while there is something in the queue.
    pub(super) writing: bool,
    /// A task is flushing, and goes on while something is to be flushed.
    pub(super) flushing: bool,
    /// Ends of writes above the high watermark and their bytes: by how much the readable part will grow.
    growth: VecDeque<(Offset, u64)>,
    /// Last readable ends that watchers know.
    high_watermark: Offset,
    last_stable: Offset,
    /// What is under way of copying another broker's log.
    pub(super) following: Following,
    /// When it is woken next; never, if [`u64::MAX`].
    wakes_at_ms: u64,
    effects: Vec<Effect>,
}

/// A produce that is on its way into the log.
pub(super) struct InFlight {
    /// Offset behind its last record.
    end: Offset,
    acks: Acks,
    waiter: Waiter,
}

struct Waiter {
    base_offset: Offset,
    log_append_time: i64,
    deadline: Mono,
    slot: Slot,
}

impl Partition {
    /// A partition whose log has been opened; it leads nothing before [`Partition::assign`].
    pub(super) fn new(
        core: &Core,
        id: TopicIdPartition,
        name: TopicPartition,
        dir: usize,
        log: Rc<Log>,
        high_watermark: Offset,
    ) -> Rc<Self> {
        let log_state = LogState {
            log_start: log.log_start_offset(),
            log_end: log.log_end_offset(),
            flushed: log.recovery_point().min(log.log_end_offset()),
            high_watermark,
            last_epoch: log.latest_epoch(),
        };
        let replica = Replica::new(core.broker_id(), log_state).with_timing(core.settings.replica_timing);
        let replica = replica.with_planted(|bug| core.io.planted(bug));
        let (next_offset, high_watermark) = (replica.log_end(), replica.high_watermark());
        let state = State {
            replica,
            watchers: Watchers::default(),
            next_offset,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            writing: false,
            flushing: false,
            growth: VecDeque::new(),
            high_watermark,
            last_stable: high_watermark,
            following: Following::default(),
            wakes_at_ms: u64::MAX,
            effects: Vec::new(),
        };
        let (dir, throttled, deleted) = (Cell::new(dir), Cell::default(), Cell::new(false));
        Rc::new(Self { id, name, dir, log, state: RefCell::new(state), throttled, deleted })
    }

    /// Index of its log dir in `log.dirs`.
    pub(super) fn dir(&self) -> usize {
        self.dir.get()
    }

    /// Its log has moved.
    pub(super) fn moved_to(&self, dir: usize) {
        self.dir.set(dir);
    }

    pub(super) fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    pub(super) fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Decides about a batch and queues it; `slot` is answered now or when acks are fulfilled.
    pub(super) fn produce(self: &Rc<Self>, core: &Rc<Core>, batch: ValidatedBatch, acks: i16, deadline: Mono, slot: Slot) {
        match self.decide(core, &batch, acks) {
            Err((error, message)) => {
                let current_leader = self.leader_hint(error);
                // As in Kafka, where the log refuses a batch that came to the right broker.
                let is_logs = matches!(
                    error,
                    ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch | ErrorCode::UnknownProducerId
                );
                let log_start_offset = if is_logs { self.log.log_start_offset() } else { Offset(-1) };
                slot.answer(ProduceResult { current_leader, log_start_offset, ..ProduceResult::failed(error, message) });
            }
            Ok(Decision::Append { acks, leader_epoch }) => self.enqueue(core, batch, acks, leader_epoch, deadline, slot),
            Ok(Decision::Duplicate { acks, base_offset, end, timestamp }) => {
                // As in Kafka, whatever the timestamps of the topic are.
                let waiter = Waiter { base_offset, log_append_time: timestamp, deadline, slot };
                self.enter_duplicate(core, InFlight { end, acks, waiter });
            }
        }
    }

    fn decide(&self, core: &Core, batch: &ValidatedBatch, acks: i16) -> Result<Decision, (ErrorCode, Option<String>)> {
        if self.deleted.get() {
            return Err((ErrorCode::UnknownTopicOrPartition, None));
        }
        let plain = |error| (error, None);
        let acks = Acks::from_wire(acks).map_err(plain)?;
        let state = self.state();
        let leader_epoch = state.replica.admit_produce(acks).map_err(plain)?;
        if let Some(failure) = self.log.failure() {
            return Err((failure.code(), Some(failure.to_string())));
        }
        // There is no transaction coordinator yet, so no producer can be in a transaction.
        if batch.header.attributes.is_transactional() {
            let message = "transactional writes need a transaction that was begun with a coordinator".to_owned();
            return Err((ErrorCode::InvalidTxnState, Some(message)));
        }
        let segment_bytes = self.log.config().segment_bytes;
        if batch.bytes.len() > segment_bytes as usize {
            let message = format!("{} bytes are more than segment.bytes {segment_bytes}", batch.bytes.len());
            return Err((ErrorCode::RecordListTooLarge, Some(message)));
        }
        if !batch.header.has_producer_id() {
            return Ok(Decision::Append { acks, leader_epoch });
        }
        let tentative = producer_batch(batch, state.next_offset);
        match self.log.producers().borrow().check(&tentative, Origin::Client) {
            Ok(Verdict::Append) => Ok(Decision::Append { acks, leader_epoch }),
            Ok(_) if core.io.planted("duplicate appended") => Ok(Decision::Append { acks, leader_epoch }),
            Ok(_) if core.io.planted("duplicate told another offset") => {
                Ok(Decision::Duplicate { acks, base_offset: state.next_offset, end: state.replica.log_end(), timestamp: -1 })
            }
            Err(ProducerError::OutOfOrderSequence { .. }) if core.io.planted("sequence gap accepted") => {
                Ok(Decision::Append { acks, leader_epoch })
            }
            Ok(Verdict::Duplicate(first) | Verdict::DuplicateInFlight(first)) => {
                let (base_offset, end) = (first.base_offset(), first.last_offset.plus(1));
                Ok(Decision::Duplicate { acks, base_offset, end, timestamp: first.timestamp })
            }
            Err(error) => Err((error.code(), Some(error.to_string()))),
        }
    }

    fn enqueue(
        self: &Rc<Self>,
        core: &Rc<Core>,
        batch: ValidatedBatch,
        acks: Acks,
        leader_epoch: LeaderEpoch,
        deadline: Mono,
        slot: Slot,
    ) {
        let mut state = self.state_mut();
        let base_offset = state.next_offset;
        if batch.header.has_producer_id() {
            self.log.producers().borrow_mut().append(producer_batch(&batch, base_offset));
        }
        let append = AppendBatch::new(batch.bytes, &batch.header, base_offset, leader_epoch);
        let end = append.last_offset.plus(1);
        assert!(end > base_offset, "a validated batch takes at least one offset");
        state.next_offset = end;
        state.queue.push_back(append);
        let waiter = Waiter { base_offset, log_append_time: batch.log_append_time, deadline, slot };
        if core.io.planted("ack before write") {
            self.answer(waiter, ErrorCode::None);
        } else {
            state.in_flight.push_back(InFlight { end, acks, waiter });
        }
        let start = !std::mem::replace(&mut state.writing, true);
        drop(state);
        if start {
            self.start_writing(core);
        }
    }

    /// The original is in the log, or in flight: the duplicate waits for what the original waits for.
    fn enter_duplicate(self: &Rc<Self>, core: &Rc<Core>, duplicate: InFlight) {
        let mut state = self.state_mut();
        if duplicate.end > state.replica.log_end() {
            let at = state.in_flight.partition_point(|other| other.end <= duplicate.end);
            assert!(at > 0 && state.in_flight[at - 1].end == duplicate.end, "the original is in flight");
            state.in_flight.insert(at, duplicate);
            return;
        }
        state.produced(core.io.now(), duplicate);
        self.carry_out(core, state);
    }

    /// Hands an input to `replica` and carries out what follows.
    pub(super) fn on_event(self: &Rc<Self>, core: &Rc<Core>, input: Input) {
        let mut state = self.state_mut();
        state.on_event(core.io.now(), input);
        self.carry_out(core, state);
    }

    /// The log has been written up to `end`: `bytes` more than before.
    pub(super) fn on_written(self: &Rc<Self>, core: &Rc<Core>, end: Offset, bytes: u64) {
        let now = core.io.now();
        let mut state = self.state_mut();
        state.note_growth(end, bytes);
        state.watchers.appended(core, bytes);
        state.on_event(now, Input::Appended { end });
        // A flush may have caught this write before its end was known here.
        state.on_event(now, Input::Flushed { end: self.log.recovery_point().min(end) });
        while state.in_flight.front().is_some_and(|produce| produce.end <= end) {
            let produce = state.in_flight.pop_front().expect("looked at");
            if core.io.planted("acks=all answered by the leader alone") && produce.acks == Acks::All {
                self.answer(produce.waiter, ErrorCode::None);
                continue;
            }
            state.produced(now, produce);
        }
        self.carry_out(core, state);
    }

    /// More of the log is on the device. How much is asked of the log as it is now: it may have been cut since.
    pub(super) fn on_flushed(self: &Rc<Self>, core: &Rc<Core>) {
        let mut state = self.state_mut();
        let end = self.log.recovery_point().min(state.replica.log_end());
        state.on_event(core.io.now(), Input::Flushed { end });
        self.carry_out(core, state);
    }

    /// A write has failed: everything that is queued or was being written fails, and numbering goes back to the log's end.
    pub(super) fn on_write_failed(self: &Rc<Self>, core: &Rc<Core>, error: ErrorCode, message: &str) {
        let mut state = self.state_mut();
        state.queue.clear();
        state.next_offset = self.log.log_end_offset();
        assert!(state.next_offset == state.replica.log_end(), "a failed write leaves the log where it was");
        let failed = std::mem::take(&mut state.in_flight);
        drop(state);
        for produce in failed {
            if core.io.planted("failed write acked") {
                self.answer(produce.waiter, ErrorCode::None);
                continue;
            }
            produce.waiter.slot.refuse(error, Some(message.to_owned()));
        }
        self.wake_watchers(core);
    }

    /// The log dir is offline: nobody leads here until a restart.
    pub(super) fn on_dir_failed(self: &Rc<Self>, core: &Rc<Core>) {
        self.on_event(core, Input::StorageFailed);
        self.wake_watchers(core);
    }

    /// Takes what the metadata say into use. While something is being written another leader epoch has to wait.
    pub(super) fn assign(self: &Rc<Self>, core: &Rc<Core>, assigned: &Assigned) {
        let flush_gated = self.log.config().sync_every_append() && !core.io.planted("ack before fdatasync");
        let min_insync_replicas = assigned.min_insync_replicas;
        self.throttled.set(assigned.throttled);
        let mut state = self.state_mut();
        let now = core.io.now();
        if core.io.planted("older epochs are taken") {
            self.assign_late(core, state.replica.assignment().clone());
        }
        state.on_event(now, Input::SetPolicy { min_insync_replicas, flush_gated });
        state.on_event(now, Input::Brokers(assigned.brokers.clone()));
        if state.writing != state.replica.is_busy() {
            let writing = state.writing;
            state.on_event(now, Input::Busy(writing));
        }
        state.on_event(now, Input::Metadata(assigned.assignment.clone()));
        let log_end = state.replica.log_end();
        let unflushed = flush_gated && self.log.recovery_point() < log_end;
        self.carry_out(core, state);
        if unflushed {
            self.start_flushing(core);
        }
    }

    /// A planted bug: `replica` takes older metadata than it has, and here what it had comes again, as if messages overtook each other.
    fn assign_late(self: &Rc<Self>, core: &Rc<Core>, late: Assignment) {
        if late.replicas.is_empty() {
            return;
        }
        let (partition, core) = (self.clone(), core.clone());
        core.io.clone().spawn(async move {
            core.io.sleep(LATE).await;
            partition.on_event(&core, Input::Metadata(late));
        });
    }

    /// The queue is empty: a leader epoch that had to wait begins.
    pub(super) fn on_written_all(self: &Rc<Self>, core: &Rc<Core>, mut state: RefMut<'_, State>) {
        if state.replica.is_busy() {
            state.on_event(core.io.now(), Input::Busy(false));
            self.carry_out(core, state);
        }
    }

    /// Its time has come, see [`super::timers`].
    pub(super) fn on_due(self: &Rc<Self>, core: &Rc<Core>) {
        let mut state = self.state_mut();
        state.wakes_at_ms = u64::MAX;
        state.on_event(core.io.now(), Input::Tick);
        self.carry_out(core, state);
    }

    /// The partition is deleted, or its replica here is: whoever waits is told, and nothing more is accepted.
    pub(super) fn on_deleted(self: &Rc<Self>, core: &Rc<Core>, error: ErrorCode) {
        self.deleted.set(true);
        let mut state = self.state_mut();
        state.following.end(core, self.id);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (_, waiter) in waiting {
            waiter.slot.refuse(error, None);
        }
        self.wake_watchers(core);
    }

    /// Nothing more is accepted, what is in flight goes on: the broker is stopping.
    pub(super) fn close(&self) {
        self.deleted.set(true);
    }

    /// Whether something is being written or flushed.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.writing || state.flushing || state.following.is_busy()
    }

    /// Whether it was deleted or is stopping.
    pub(super) fn is_closed(&self) -> bool {
        self.deleted.get()
    }

    /// End of what `read_committed` readers may see.
    pub(super) fn last_stable_offset(&self, state: &State) -> Offset {
        let (start, hw) = (state.replica.log_start(), state.replica.high_watermark());
        self.log.producers().borrow_mut().last_stable_offset(start, hw)
    }

    /// KIP-951: with these errors the client learns who leads.
    pub(super) fn leader_hint(&self, error: ErrorCode) -> Option<CurrentLeader> {
        let told = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
        told.then(|| {
            let (leader, leader_epoch) = self.state.borrow().replica.newest_leader();
            CurrentLeader { leader_id: leader.unwrap_or(NO_BROKER), leader_epoch }
        })
    }

    /// Carries out what `replica` decided. Takes the borrow and lets go of it before anything that may come back here.
    pub(super) fn carry_out(self: &Rc<Self>, core: &Rc<Core>, mut state: RefMut<'_, State>) {
        let mut effects = std::mem::take(&mut state.effects);
        let mut answers = Vec::new();
        let (mut grown, mut has_new_role) = (false, false);
        for effect in effects.drain(..) {
            match effect {
                Effect::HighWatermark(_) => grown = true,
                Effect::Answer { ticket, error } => {
                    // A deleted partition has answered its waiters before `replica` could.
                    answers.extend(state.waiting.remove(&ticket).map(|waiter| (waiter, error)));
                }
                Effect::LeaderEpochStarted { epoch, start } => {
                    tracing::debug!(partition = %self.name, %epoch, %start, "leads");
                    has_new_role = true;
                    assert!(state.queue.is_empty(), "what is queued has an earlier epoch");
                    state.next_offset = start;
                    state.following.end(core, self.id);
                    let (partition, core) = (self.clone(), core.clone());
                    let io = core.io.clone();
                    io.spawn(async move { partition.note_epoch(&core, epoch, start).await });
                }
                Effect::BecameFollower { leader, epoch } => {
                    tracing::debug!(partition = %self.name, ?leader, %epoch, "follows");
                    has_new_role = true;
                    state.following.end(core, self.id);
                }
                Effect::AlterPartition(proposal) => {
                    core.send(FIRST_CORE, Message::ProposeIsr { id: self.id, proposal, from: core.index });
                }
                of_follower => self.follow(core, &mut state, of_follower),
            }
        }
        // Its room is used again.
        state.effects = effects;
        if grown {
            self.report_growth(core, &mut state);
        }
        if let Some(due_ms) = state.replica.next_tick_ms()
            && due_ms < state.wakes_at_ms
        {
            state.wakes_at_ms = due_ms;
            core.wake_partition_at(due_ms, self.id);
        }
        drop(state);
        for (waiter, error) in answers {
            self.answer(waiter, error);
        }
        if has_new_role {
            self.wake_watchers(core);
            core.coordinate(self);
        }
    }

    fn answer(&self, waiter: Waiter, error: ErrorCode) {
        if error.is_error() {
            let current_leader = self.leader_hint(error);
            waiter.slot.answer(ProduceResult { current_leader, ..ProduceResult::failed(error, None) });
            return;
        }
        waiter.slot.answer(ProduceResult {
            error: ErrorCode::None,
            message: None,
            base_offset: waiter.base_offset,
            log_append_time: waiter.log_append_time,
            log_start_offset: self.log.log_start_offset(),
            current_leader: None,
        });
    }

    fn report_growth(&self, core: &Core, state: &mut State) {
        let hw = state.replica.high_watermark();
        let mut bytes = 0;
        while let Some(&(end, size)) = state.growth.front().filter(|(end, _)| *end <= hw) {
            state.growth.pop_front();
            state.high_watermark = end;
            bytes += size;
        }
        // A high watermark that rises over what an earlier start wrote, or into a write, has no size that is known here.
        let exact = state.high_watermark == hw;
        state.high_watermark = hw;
        let stable = self.last_stable_offset(state);
        let committed_exact = exact && stable == hw;
        let stable_grown = stable > state.last_stable;
        state.last_stable = stable;
        state.watchers.grown(core, bytes, exact, stable_grown, committed_exact);
    }

    /// Readers that wait are to read again, whatever for.
    pub(super) fn wake_watchers(&self, core: &Core) {
        self.state_mut().watchers.wake_all(core);
    }
}

enum Decision {
    Append { acks: Acks, leader_epoch: LeaderEpoch },
    Duplicate { acks: Acks, base_offset: Offset, end: Offset, timestamp: i64 },
}

/// "No broker" on the wire.
pub(super) const NO_BROKER: crate::model::BrokerId = crate::model::BrokerId(-1);

impl State {
    pub(super) fn on_event(&mut self, now: Mono, input: Input) {
        self.replica.on_event(input, millis(now), &mut self.effects);
    }

    /// A follower's log has grown to `end` by `bytes`.
    pub(super) fn grew(&mut self, end: Offset, bytes: u64) {
        self.next_offset = end;
        self.note_growth(end, bytes);
    }

    /// Without a limit, a high watermark that stands still would let this grow with everything that is written.
    fn note_growth(&mut self, end: Offset, bytes: u64) {
        let is_full = self.growth.len() >= MAX_GROWTH;
        match self.growth.back_mut().filter(|_| is_full) {
            Some(last) => *last = (end, last.1 + bytes),
            None => self.growth.push_back((end, bytes)),
        }
    }

    /// A follower's log was cut at `end`.
    pub(super) fn was_cut(&mut self, end: Offset) {
        self.next_offset = end;
        self.growth.retain(|(written, _)| *written <= end);
        self.high_watermark = self.high_watermark.min(end);
        self.last_stable = self.last_stable.min(end);
    }

    fn produced(&mut self, now: Mono, produce: InFlight) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        // Not before it.
        let deadline_ms = produce.waiter.deadline.0.div_ceil(1_000_000);
        self.waiting.insert(ticket, produce.waiter);
        self.on_event(now, Input::Produced { ticket, acks: produce.acks, end: produce.end, deadline_ms });
    }
}

/// The clock that `replica` gets.
fn millis(instant: Mono) -> u64 {
    instant.0 / 1_000_000
}

fn producer_batch(batch: &ValidatedBatch, base_offset: Offset) -> ProducerBatch {
    let header = &batch.header;
    ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        base_offset,
        last_offset: base_offset.plus(i64::from(header.last_offset_delta)),
        max_timestamp: batch.max_timestamp,
        transactional: header.attributes.is_transactional(),
    }
}
