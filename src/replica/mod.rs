//! One partition's replica on this broker: who leads, how far the log is safe, and who waits for that.
//!
//! An ack promises that a record outlives what `acks`, the ISR and the flush policy say it outlives; a consumer must never see a record
//! that a failover could take back. Both hang on one number, the high watermark: the end of what every in-sync replica has. So this
//! machine is told where the ends of the logs are and answers with two things, the high watermark and the produces that may now be
//! answered. It owns no bytes and no clock: [`Replica::on_event`] takes an [`Input`] and the time and appends [`Effect`]s in the order
//! in which they must be carried out.
//!
//! - The high watermark is the least log end over the ISR, the leader's own end counting only as far as it is durable: written, or
//!   flushed too where `flush.messages=1` ([`Input::SetPolicy`]). It does not move while the ISR is smaller than `min.insync.replicas`
//!   and never falls (asserted). With one replica it follows that replica's durable end.
//! - Leadership comes from the metadata ([`Input::Metadata`]), fenced by leader epochs (KIP-101) and ordered by partition epochs.
//! - A produce is admitted by [`Replica::admit_produce`], written by the log, and then handed over with [`Input::Produced`]; it is
//!   answered at once if nothing is left to wait for.
//!
//! Not here yet: proposing ISR changes (`AlterPartition`) and following another broker's log. Followers' log ends are taken in
//! ([`Input::FollowerFetched`]), so that the high watermark needs no change when they come.

#[cfg(test)]
mod tests;
mod waiting;

pub use waiting::Ticket;

use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use std::collections::BTreeMap;
use waiting::Waiting;

/// How many replicas a produce waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// `acks=0`: there is no answer.
    None,
    /// `acks=1`: the leader's own write (and flush, where the policy asks for it).
    Leader,
    /// `acks=all` (-1): the whole ISR.
    All,
}

impl Acks {
    /// The `acks` of a produce request.
    ///
    /// # Errors
    /// `INVALID_REQUIRED_ACKS` for anything but -1, 0 and 1.
    pub fn from_wire(acks: i16) -> Result<Self, ErrorCode> {
        match acks {
            0 => Ok(Self::None),
            1 => Ok(Self::Leader),
            -1 => Ok(Self::All),
            _ => Err(ErrorCode::InvalidRequiredAcks),
        }
    }
}

/// Which records a reader may see (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Everything in the log: followers.
    Replica,
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// What the metadata say of this partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Broker that leads, or none.
    pub leader: Option<BrokerId>,
    /// Rises with each leader.
    pub leader_epoch: LeaderEpoch,
    /// Rises with each change of the partition's record.
    pub partition_epoch: i32,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// The replicas that an acked record is on.
    pub isr: Vec<BrokerId>,
}

/// Where this replica's log stands when the machine starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// First offset that may be read.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    /// End of what is on the device.
    pub flushed: Offset,
    /// From the checkpoint; taken into `[log_start, log_end]`.
    pub high_watermark: Offset,
}

/// What may happen to a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The metadata have changed.
    Metadata(Assignment),
    /// Topic configs: `min.insync.replicas`, and whether `flush.messages` is 1, so that acks wait for the device.
    SetPolicy {
        /// As configured; never taken as more than there are replicas.
        min_insync_replicas: usize,
        /// Whether a write counts only once it is flushed.
        flush_gated: bool,
    },
    /// The log has been written up to `end`.
    Appended {
        /// The new log end offset.
        end: Offset,
    },
    /// The log is on the device up to `end`.
    Flushed {
        /// End of the flushed part.
        end: Offset,
    },
    /// A produce that was admitted is in the log (or was there already), up to `end`, exclusive. Comes after its
    /// [`Input::Appended`].
    Produced {
        /// Returned with the answer.
        ticket: Ticket,
        /// What it waits for.
        acks: Acks,
        /// Offset behind its last record.
        end: Offset,
        /// When `acks=all` gives up, on the clock of `now_ms`.
        deadline_ms: u64,
    },
    /// A follower has fetched, and so has everything before `log_end`.
    FollowerFetched {
        /// The follower.
        follower: BrokerId,
        /// Its log end offset.
        log_end: Offset,
        /// Its log start offset.
        log_start: Offset,
    },
    /// Records before `offset` are gone (retention or DeleteRecords).
    LogStartMoved {
        /// The new log start offset.
        offset: Offset,
    },
    /// A write or flush failed, or the log dir is gone: nobody leads here any more until a restart.
    StorageFailed,
    /// Time has passed; see [`Replica::next_deadline_ms`].
    Tick,
}

/// What is to be done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// This broker leads from here: the log notes the epoch before it appends anything.
    LeaderEpochStarted {
        /// The new epoch.
        epoch: LeaderEpoch,
        /// Offset of its first record: the log end offset.
        start: Offset,
    },
    /// This broker does not lead: another does, or nobody.
    BecameFollower {
        /// The leader to fetch from.
        leader: Option<BrokerId>,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// The high watermark has risen to this offset: more may be read.
    HighWatermark(Offset),
    /// A produce can be answered.
    Answer {
        /// As given in [`Input::Produced`].
        ticket: Ticket,
        /// `None` is success; the records stay in the log either way.
        error: ErrorCode,
    },
}

#[derive(Clone, Debug)]
struct Leader {
    /// Log end offset when this broker began to lead.
    epoch_start: Offset,
    followers: BTreeMap<BrokerId, Follower>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Follower {
    /// What it is known to have; nothing, until it fetches in this epoch.
    log_end: Offset,
    log_start: Offset,
}

#[derive(Clone, Debug)]
enum Role {
    /// No metadata yet.
    Unassigned,
    Leader(Leader),
    Follower,
    /// The log is unusable.
    Offline,
}

/// One partition's replica on this broker.
#[derive(Clone, Debug)]
pub struct Replica {
    broker: BrokerId,
    assignment: Assignment,
    role: Role,
    log: LogState,
    min_insync_replicas: usize,
    flush_gated: bool,
    waiting: Waiting,
}

impl Replica {
    /// A replica on `broker` whose log has been recovered, without a leader so far.
    ///
    /// # Panics
    /// If the log's offsets contradict each other.
    pub fn new(broker: BrokerId, mut log: LogState) -> Self {
        assert!(log.log_start <= log.log_end && log.flushed <= log.log_end, "offsets of a log: {log:?}");
        log.high_watermark = log.high_watermark.clamp(log.log_start, log.log_end);
        let nothing =
            Assignment { leader: None, leader_epoch: LeaderEpoch::NONE, partition_epoch: -1, replicas: vec![], isr: vec![] };
        Self {
            broker,
            assignment: nothing,
            role: Role::Unassigned,
            log,
            min_insync_replicas: 1,
            flush_gated: false,
            waiting: Waiting::default(),
        }
    }

    /// Takes one input at `now_ms` (any clock that does not go back) and appends what follows from it to `effects`.
    pub fn on_event(&mut self, input: Input, now_ms: u64, effects: &mut Vec<Effect>) {
        match input {
            Input::Metadata(assignment) => self.on_metadata(assignment, effects),
            Input::SetPolicy { min_insync_replicas, flush_gated } => {
                (self.min_insync_replicas, self.flush_gated) = (min_insync_replicas, flush_gated);
                self.advance(effects);
            }
            Input::Appended { end } => {
                assert!(end >= self.log.log_end, "the log end went back from {} to {end}", self.log.log_end);
                self.log.log_end = end;
                self.advance(effects);
            }
            Input::Flushed { end } => {
                assert!(end <= self.log.log_end, "flushed up to {end}, behind the log end {}", self.log.log_end);
                self.log.flushed = self.log.flushed.max(end);
                self.advance(effects);
            }
            Input::Produced { ticket, acks, end, deadline_ms } => self.on_produced(ticket, acks, end, deadline_ms, effects),
            Input::FollowerFetched { follower, log_end, log_start } => {
                self.on_follower_fetched(follower, Follower { log_end, log_start });
                self.advance(effects);
            }
            Input::LogStartMoved { offset } => self.on_log_start(offset),
            Input::StorageFailed => {
                self.role = Role::Offline;
                self.waiting.fail_all(ErrorCode::KafkaStorageError, effects);
            }
            Input::Tick => {}
        }
        self.waiting.time_out(now_ms, effects);
        assert!(self.log.log_start <= self.log.high_watermark && self.log.high_watermark <= self.log.log_end);
    }

    fn on_metadata(&mut self, next: Assignment, effects: &mut Vec<Effect>) {
        if matches!(self.role, Role::Offline) || next.partition_epoch < self.assignment.partition_epoch {
            return;
        }
        let known = self.assignment.leader_epoch;
        assert!(next.leader_epoch >= known, "leader epoch went back from {known} to {}", next.leader_epoch);
        let leads = next.leader == Some(self.broker);
        let new_epoch = next.leader_epoch > known;
        self.assignment = next;
        match &mut self.role {
            Role::Leader(leader) if leads && !new_epoch => leader.set_replicas(&self.assignment.replicas, self.broker),
            _ if leads => self.lead(effects),
            Role::Follower if !new_epoch => {}
            _ => {
                self.role = Role::Follower;
                self.waiting.fail_all(ErrorCode::NotLeaderOrFollower, effects);
                let (leader, epoch) = (self.assignment.leader, self.assignment.leader_epoch);
                effects.push(Effect::BecameFollower { leader, epoch });
            }
        }
        self.advance(effects);
    }

    /// A produce that waits since an earlier epoch of our own goes on waiting: its records are still there.
    fn lead(&mut self, effects: &mut Vec<Effect>) {
        let mut leader = Leader { epoch_start: self.log.log_end, followers: BTreeMap::new() };
        leader.set_replicas(&self.assignment.replicas, self.broker);
        self.role = Role::Leader(leader);
        let epoch = self.assignment.leader_epoch;
        effects.push(Effect::LeaderEpochStarted { epoch, start: self.log.log_end });
    }

    fn on_produced(&mut self, ticket: Ticket, acks: Acks, end: Offset, deadline_ms: u64, effects: &mut Vec<Effect>) {
        assert!(end <= self.log.log_end, "a produce that ends at {end} is in the log before it waits");
        let error = match self.role {
            Role::Leader(_) => ErrorCode::None,
            Role::Offline => ErrorCode::KafkaStorageError,
            Role::Unassigned | Role::Follower => ErrorCode::NotLeaderOrFollower,
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

    fn on_follower_fetched(&mut self, id: BrokerId, state: Follower) {
        let Role::Leader(leader) = &mut self.role else { return };
        let log_end = self.log.log_end;
        assert!(state.log_end <= log_end, "follower {id} has fetched {} of a log that ends at {log_end}", state.log_end);
        if let Some(follower) = leader.followers.get_mut(&id) {
            *follower = state;
        }
    }

    fn on_log_start(&mut self, offset: Offset) {
        let hw = self.log.high_watermark;
        assert!(offset <= hw, "records from {hw} on are not safe yet, they cannot be deleted up to {offset}");
        self.log.log_start = self.log.log_start.max(offset);
    }

    /// Raises the high watermark as far as the rules allow and answers whoever waited for it.
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        let isr = &self.assignment.isr;
        // Strict min ISR (KIP-966): a smaller ISR must not make records visible, or it could elect itself without them.
        if isr.len() >= self.effective_min_insync_replicas() {
            let ends = isr.iter().map(|id| if *id == self.broker { self.durable_end() } else { leader.end_of(*id) });
            let safe = ends.min().unwrap_or(self.log.high_watermark);
            // A replica whose end is not known yet, or a stricter flush policy, gives less than was safe before: what was
            // shown stays shown.
            if safe > self.log.high_watermark {
                self.log.high_watermark = safe;
                effects.push(Effect::HighWatermark(safe));
            }
        }
        self.wake(effects);
    }

    fn wake(&mut self, effects: &mut Vec<Effect>) {
        let enough = self.assignment.isr.len() >= self.effective_min_insync_replicas();
        let error = if enough { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
        self.waiting.wake(self.durable_end(), self.log.high_watermark, error, effects);
    }

    fn effective_min_insync_replicas(&self) -> usize {
        self.min_insync_replicas.min(self.assignment.replicas.len())
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

    /// Whether this broker leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// When the next waiting produce gives up; send [`Input::Tick`] then.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.waiting.next_deadline_ms()
    }

    /// Produces that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this broker may answer a request of a client that knows the leader epoch `client` (-1: does not say; KIP-320).
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH` if the client is behind, `UNKNOWN_LEADER_EPOCH` if it is ahead, else `NOT_LEADER_OR_FOLLOWER` or
    /// `KAFKA_STORAGE_ERROR` if this broker does not lead.
    pub fn check_leader(&self, client: LeaderEpoch) -> Result<(), ErrorCode> {
        if matches!(self.role, Role::Offline) {
            return Err(ErrorCode::KafkaStorageError);
        }
        if client != LeaderEpoch::NONE && client < self.assignment.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if client > self.assignment.leader_epoch {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        if self.is_leader() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Whether a produce may be appended, and in which epoch.
    ///
    /// # Errors
    /// Not the leader, or `NOT_ENOUGH_REPLICAS`: `acks=all` with an ISR smaller than `min.insync.replicas`.
    pub fn admit_produce(&self, acks: Acks) -> Result<LeaderEpoch, ErrorCode> {
        self.check_leader(LeaderEpoch::NONE)?;
        if acks == Acks::All && self.assignment.isr.len() < self.effective_min_insync_replicas() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        Ok(self.assignment.leader_epoch)
    }

    /// End of what a reader may see; `last_stable` is the producers' last stable offset.
    pub fn readable_end(&self, isolation: Isolation, last_stable: Offset) -> Offset {
        match isolation {
            Isolation::Replica => self.log.log_end,
            Isolation::ReadUncommitted => self.log.high_watermark,
            Isolation::ReadCommitted => self.log.high_watermark.min(last_stable),
        }
    }

    /// Whether this broker was elected but does not know yet that all of its log is safe. ListOffsets must not tell consumers a
    /// latest offset then, which could be smaller than one told before: `OFFSET_NOT_AVAILABLE`.
    pub fn high_watermark_lags_election(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if self.log.high_watermark < leader.epoch_start)
    }

    /// The new log start offset of a DeleteRecords up to `offset` (-1: up to the high watermark).
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` behind the high watermark or for another negative offset; not the leader.
    pub fn check_delete_records(&self, offset: Offset) -> Result<Offset, ErrorCode> {
        self.check_leader(LeaderEpoch::NONE)?;
        let hw = self.log.high_watermark;
        let target = if offset == Offset(-1) { hw } else { offset };
        if target < Offset::ZERO || target > hw {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        Ok(target.max(self.log.log_start))
    }

    /// Least log start offset over the replicas: DeleteRecords answers with it.
    pub fn low_watermark(&self) -> Offset {
        let Role::Leader(leader) = &self.role else { return self.log.log_start };
        leader.followers.values().map(|f| f.log_start).min().map_or(self.log.log_start, |low| low.min(self.log.log_start))
    }
}

impl Leader {
    fn set_replicas(&mut self, replicas: &[BrokerId], own: BrokerId) {
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != own) {
            self.followers.entry(*id).or_default();
        }
    }

    fn end_of(&self, id: BrokerId) -> Offset {
        self.followers.get(&id).map_or(Offset::ZERO, |follower| follower.log_end)
    }
}
