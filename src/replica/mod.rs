//! One partition's replica on this broker: who leads, how far the log is safe, who waits for that, and how a copy stays a copy.
//!
//! An ack promises that a record outlives what `acks`, the ISR and the flush policy say it outlives; a consumer must never see a
//! record that a failover could take back. Both hang on one number, the high watermark: the end of what every in-sync replica
//! has. So this machine is told where the ends of the logs are and answers with what follows: the high watermark, the produces
//! that may now be answered, the ISR to propose, what to fetch, what to cut. It owns no bytes and no clock: [`Replica::on_event`]
//! takes an [`Input`] and the time and appends [`Effect`]s in the order in which they must be carried out.
//!
//! - Leadership comes from the metadata ([`Input::Metadata`]), fenced by leader epochs (KIP-101) and ordered by partition epochs.
//!   A new epoch begins at the end of the log, so it waits until nothing is being written or cut.
//! - `leader`: the high watermark is the least log end over the ISR, the leader's own end counting only as far as it is durable:
//!   written, or flushed too where `flush.messages=1` ([`Input::SetPolicy`]). It does not move while the ISR is smaller than
//!   `min.insync.replicas` and never falls (asserted). With one replica it follows that replica's durable end.
//! - `isr`: the leader says who is in sync, the controller decides (KIP-497).
//! - `follower`: fetches from the log's end; the leader tells it where its log parts from the leader's, and there it is cut
//!   (KIP-595).
//! - `waiting`: a produce is admitted by [`Replica::admit_produce`], written by the log, and then handed over with
//!   [`Input::Produced`]; it is answered at once if nothing is left to wait for.
//! - `reads`: who may read what; a consumer near a follower is sent there (KIP-392).
//!
//! Why committed records stay. A leader commits what its whole maximal ISR has: the ISR that the controller knows, and a replica
//! that it asked the controller to add. The controller elects only out of the ISR that it knows. So whoever is elected has all
//! that was committed, though its high watermark may not say so yet; and a replica joins the ISR only when it has everything up
//! to where the leader's epoch began, which is at least that.
//!
//! A replica without followers is the special case of a leader whose ISR is itself, and the only one that a node has that is alone:
//! there nobody sends what comes of other brokers, and no effect asks one.

mod follower;
mod isr;
mod leader;
mod reads;
mod repair;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

pub use follower::accept_batches;
pub use reads::check_position;
pub use repair::{Condition, Patient, RepairStep};
pub use types::{
    Acks, Assignment, BatchSpan, BrokerStatus, CommittedIsr, Divergence, Effect, EpochEndOffset, FetchAnswer, FetchPosition,
    FetchedRecords, FollowerFetch, Input, Isolation, IsrProposal, LeaderOffsets, LeaderRecovery, LogState, NO_BROKER_EPOCH,
    Timing,
};
pub use waiting::Ticket;

use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use follower::Follower;
use leader::Leader;
use std::collections::BTreeMap;
use waiting::Waiting;

#[derive(Clone, Debug)]
enum Role {
    /// No metadata yet.
    Unassigned,
    Leader(Leader),
    Follower(Follower),
    /// The log is unusable.
    Offline,
    /// The replica is gone from here.
    Stopped,
}

/// Rules that tests take away one at a time, to show that they would notice; what is said of each is what it keeps from happening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// "high watermark of the leader alone"
    Isr,
    /// "high watermark ignores who has not fetched"
    WholeIsr,
    /// "min.insync.replicas ignored"
    MinIsr,
    /// "ISR grows by who lags"
    CaughtUp,
    /// "ISR grows by who is behind the epoch"
    EpochStart,
    /// "ISR shrinks before the controller agrees"
    MaximalIsr,
    /// "fetch of an earlier incarnation counts"
    Incarnation,
    /// "older epochs are taken"
    NewestEpoch,
    /// "divergence ignored"
    Divergence,
    /// "follower cuts at its high watermark"
    CutWhereLogsPart,
}

impl Rule {
    /// Each with the name of the bug that it is to do without it.
    const NAMES: &[(Self, &str)] = &[
        (Self::Isr, "high watermark of the leader alone"),
        (Self::WholeIsr, "high watermark ignores who has not fetched"),
        (Self::MinIsr, "min.insync.replicas ignored"),
        (Self::CaughtUp, "ISR grows by who lags"),
        (Self::EpochStart, "ISR grows by who is behind the epoch"),
        (Self::MaximalIsr, "ISR shrinks before the controller agrees"),
        (Self::Incarnation, "fetch of an earlier incarnation counts"),
        (Self::NewestEpoch, "older epochs are taken"),
        (Self::Divergence, "divergence ignored"),
        (Self::CutWhereLogsPart, "follower cuts at its high watermark"),
    ];
}

/// One partition's replica on this broker.
#[derive(Clone, Debug)]
pub struct Replica {
    broker: BrokerId,
    assignment: Assignment,
    role: Role,
    log: LogState,
    brokers: BTreeMap<BrokerId, BrokerStatus>,
    min_insync_replicas: usize,
    flush_gated: bool,
    timing: Timing,
    /// Produced records are being written.
    busy: bool,
    /// Another epoch, for when nothing is being written or cut.
    deferred: Option<Assignment>,
    next_proposal: u64,
    waiting: Waiting,
    #[cfg(any(test, feature = "sim"))]
    broken: Option<Rule>,
}

impl Replica {
    /// A replica on `broker` whose log has been recovered, without a leader so far.
    ///
    /// # Panics
    /// If the log's offsets contradict each other.
    pub fn new(broker: BrokerId, mut log: LogState) -> Self {
        assert!(log.log_start <= log.log_end && log.flushed <= log.log_end, "offsets of a log: {log:?}");
        log.high_watermark = log.high_watermark.clamp(log.log_start, log.log_end);
        let nothing = Assignment {
            leader: None,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: -1,
            replicas: vec![],
            isr: vec![],
            recovery: LeaderRecovery::Recovered,
        };
        Self {
            broker,
            assignment: nothing,
            role: Role::Unassigned,
            log,
            brokers: BTreeMap::new(),
            min_insync_replicas: 1,
            flush_gated: false,
            timing: Timing::default(),
            busy: false,
            deferred: None,
            next_proposal: 0,
            waiting: Waiting::default(),
            #[cfg(any(test, feature = "sim"))]
            broken: None,
        }
    }

    /// The same with other than Kafka's default times.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// The same with the bug that `is_planted` names, if any; only in simulations.
    #[must_use]
    pub fn with_planted(self, is_planted: impl Fn(&str) -> bool) -> Self {
        let broken = Rule::NAMES.iter().find(|(_, name)| is_planted(name)).map(|(rule, _)| *rule);
        #[cfg(any(test, feature = "sim"))]
        return Self { broken, ..self };
        #[cfg(not(any(test, feature = "sim")))]
        {
            assert!(broken.is_none() && self.keeps(Rule::Isr), "bugs are planted in simulations");
            self
        }
    }

    /// Takes one input at `now_ms` (any clock that does not go back) and appends what follows from it to `effects`.
    pub fn on_event(&mut self, input: Input, now_ms: u64, effects: &mut Vec<Effect>) {
        match input {
            Input::Metadata(assignment) => self.on_metadata(assignment, now_ms, effects),
            Input::Brokers(list) => {
                self.brokers = list.into_iter().map(|status| (status.id, status)).collect();
                self.advance(now_ms, effects);
            }
            Input::SetPolicy { min_insync_replicas, flush_gated } => {
                (self.min_insync_replicas, self.flush_gated) = (min_insync_replicas, flush_gated);
                self.advance(now_ms, effects);
            }
            Input::Busy(busy) => self.busy = busy,
            Input::Appended { end } => self.on_appended(end, now_ms, effects),
            Input::Flushed { end } => self.on_flushed(end, now_ms, effects),
            Input::Produced { ticket, acks, end, deadline_ms } => self.on_produced(ticket, acks, end, deadline_ms, effects),
            Input::FollowerFetched { follower, broker_epoch, log_end, log_start } => {
                self.on_follower_fetched((follower, broker_epoch), log_end, log_start, now_ms, effects);
            }
            Input::AlterPartitionAnswered { number, result } => {
                self.on_alter_partition_answered(number, result, now_ms, effects);
            }
            Input::Fetched { asked, answer } => self.on_fetched(asked, answer, now_ms, effects),
            Input::LeaderOffsets { leader_epoch, result } => self.on_leader_offsets(leader_epoch, result, now_ms, effects),
            Input::Replicated { end, last_epoch } => self.on_replicated(end, last_epoch, effects),
            Input::Truncated { log_start, end, last_epoch } => self.on_truncated(log_start, end, last_epoch, effects),
            Input::Repair { to, whole } => self.on_repair(to, whole, effects),
            Input::LogRefused => self.on_log_refused(now_ms),
            Input::LogStartMoved { offset } => self.on_log_start(offset),
            Input::StorageFailed => self.end(Role::Offline, ErrorCode::KafkaStorageError, effects),
            Input::Stopped => self.end(Role::Stopped, ErrorCode::NotLeaderOrFollower, effects),
            Input::Tick => {}
        }
        self.settle(now_ms, effects);
        self.follow_on(now_ms, effects);
        self.lead_on(now_ms, effects);
        self.waiting.time_out(now_ms, effects);
        assert!(self.log.log_start <= self.log.high_watermark && self.log.high_watermark <= self.log.log_end);
    }

    fn on_appended(&mut self, end: Offset, now_ms: u64, effects: &mut Vec<Effect>) {
        assert!(end >= self.log.log_end, "the log end went back from {} to {end}", self.log.log_end);
        self.log.log_end = end;
        self.advance(now_ms, effects);
    }

    fn on_flushed(&mut self, end: Offset, now_ms: u64, effects: &mut Vec<Effect>) {
        assert!(end <= self.log.log_end, "flushed up to {end}, behind the log end {}", self.log.log_end);
        self.log.flushed = self.log.flushed.max(end);
        self.advance(now_ms, effects);
    }

    fn on_metadata(&mut self, next: Assignment, now_ms: u64, effects: &mut Vec<Effect>) {
        let newest = self.deferred.as_ref().unwrap_or(&self.assignment);
        let stale = next.partition_epoch < newest.partition_epoch && self.keeps(Rule::NewestEpoch);
        if matches!(self.role, Role::Offline | Role::Stopped) || stale {
            return;
        }
        if next.leader_epoch != self.assignment.leader_epoch && self.uses_log() {
            self.deferred = Some(next);
        } else {
            self.assign(next, now_ms, effects);
        }
    }

    /// Whether something is being written or cut.
    fn uses_log(&self) -> bool {
        self.busy || matches!(&self.role, Role::Follower(follower) if follower.uses_log())
    }

    /// The epoch that had to wait begins, when nothing stands in its way any more.
    fn settle(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if !self.uses_log()
            && let Some(next) = self.deferred.take()
        {
            self.assign(next, now_ms, effects);
        }
    }

    fn assign(&mut self, mut next: Assignment, now_ms: u64, effects: &mut Vec<Effect>) {
        let known = self.assignment.leader_epoch;
        let forward = next.leader_epoch >= known || !self.keeps(Rule::NewestEpoch);
        assert!(forward, "leader epoch went back from {known} to {}", next.leader_epoch);
        let new_epoch = next.leader_epoch != known;
        let known_role = matches!(self.role, Role::Leader(_) | Role::Follower(_));
        if known_role && !new_epoch && next.partition_epoch == self.assignment.partition_epoch {
            // The same again, or what an AlterPartition has told before. It says nothing of a proposal that was made since.
            return self.advance(now_ms, effects);
        }
        let leads = next.leader == Some(self.broker);
        if leads {
            next.recovery = LeaderRecovery::Recovered;
        }
        self.assignment = next;
        match &mut self.role {
            Role::Leader(leader) if leads && !new_epoch => {
                leader.set_replicas(&self.assignment.replicas, &self.assignment.isr, self.broker, now_ms);
                leader.change = None;
            }
            _ if leads => self.lead(known, now_ms, effects),
            Role::Follower(_) if !new_epoch => {}
            _ => self.follow(effects),
        }
        self.advance(now_ms, effects);
    }

    fn on_produced(&mut self, ticket: Ticket, acks: Acks, end: Offset, deadline_ms: u64, effects: &mut Vec<Effect>) {
        assert!(end <= self.log.log_end, "a produce that ends at {end} is in the log before it waits");
        let error = match self.role {
            Role::Leader(_) => ErrorCode::None,
            Role::Offline => ErrorCode::KafkaStorageError,
            Role::Unassigned | Role::Follower(_) | Role::Stopped => ErrorCode::NotLeaderOrFollower,
        };
        if error.is_error() || acks == Acks::None {
            effects.push(Effect::Answer { ticket, error });
            return;
        }
        match acks {
            Acks::All => self.waiting.park_for_high_watermark(ticket, end, deadline_ms),
            Acks::Leader | Acks::None => self.waiting.park_for_durable(ticket, end),
        }
        self.wake(effects);
    }

    fn on_log_start(&mut self, offset: Offset) {
        let hw = self.log.high_watermark;
        assert!(offset <= hw, "records from {hw} on are not safe yet, they cannot be deleted up to {offset}");
        self.log.log_start = self.log.log_start.max(offset);
    }

    fn end(&mut self, role: Role, error: ErrorCode, effects: &mut Vec<Effect>) {
        self.role = role;
        self.deferred = None;
        self.waiting.fail_all(error, effects);
    }

    /// Whether the rule holds; outside tests and simulations all do.
    fn keeps(&self, rule: Rule) -> bool {
        #[cfg(any(test, feature = "sim"))]
        let broken = self.broken == Some(rule);
        #[cfg(not(any(test, feature = "sim")))]
        let broken = {
            let _ = rule;
            false
        };
        !broken
    }

    /// End of what this broker's own log promises to keep.
    pub fn durable_end(&self) -> Offset {
        if self.flush_gated { self.log.flushed } else { self.log.log_end }
    }

    /// Offset of the next record.
    pub fn log_end(&self) -> Offset {
        self.log.log_end
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log.log_start
    }

    /// End of what consumers may read.
    pub fn high_watermark(&self) -> Offset {
        self.log.high_watermark
    }

    /// Epoch of the leadership that is known, -1 before the first metadata.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.assignment.leader_epoch
    }

    /// Broker that leads, as far as is known here.
    pub fn leader(&self) -> Option<BrokerId> {
        self.assignment.leader
    }

    /// What the metadata say, as far as it is in use.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// The ISR that the controller has confirmed, as far as is known here.
    pub fn isr(&self) -> &[BrokerId] {
        &self.assignment.isr
    }

    /// Brokers that have a replica, as far as is known here.
    pub fn replicas(&self) -> &[BrokerId] {
        &self.assignment.replicas
    }

    /// Who leads and in which epoch by the newest metadata, which may have to wait here for a write to end.
    pub fn newest_leader(&self) -> (Option<BrokerId>, LeaderEpoch) {
        let newest = self.deferred.as_ref().unwrap_or(&self.assignment);
        (newest.leader, newest.leader_epoch)
    }

    /// Whether it was last told that a write is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether this broker leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// When the next waiting produce gives up; send [`Input::Tick`] then.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.waiting.next_deadline_ms()
    }

    /// When there is anything to do that only time brings: a produce gives up, a follower goes on after a pause, the ISR is
    /// looked at.
    pub fn next_tick_ms(&self) -> Option<u64> {
        let follower = match &self.role {
            Role::Follower(follower) => follower.next_tick_ms(),
            _ => None,
        };
        [self.waiting.next_deadline_ms(), self.next_leader_tick_ms(), follower].into_iter().flatten().min()
    }

    /// Produces that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
