//! Questions that change nothing: who may write, who may read, and up to where.

use super::leader::FollowerState;
use super::{Acks, EpochEndOffset, FollowerFetch, Isolation, Replica, Role, Rule};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};

/// KIP-595: whether a reader may read on at `offset`, or where its log and this one part.
///
/// `known` is the end of `last_fetched_epoch` in this log; both are not looked at if the reader does not say an epoch (-1).
///
/// # Errors
/// `OFFSET_OUT_OF_RANGE` outside the log, or if the log knows nothing of the reader's epoch.
pub fn check_position(
    offset: Offset,
    last_fetched_epoch: LeaderEpoch,
    known: EpochEndOffset,
    log_start: Offset,
    log_end: Offset,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if last_fetched_epoch != LeaderEpoch::NONE {
        let unknown = known.epoch == LeaderEpoch::NONE || known.end_offset < Offset::ZERO;
        if unknown || offset < log_start {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if known.epoch < last_fetched_epoch || known.end_offset < offset {
            return Ok(Some(known));
        }
    }
    if offset < log_start || offset > log_end {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(None)
}

impl Replica {
    /// Whether this broker may answer a request of a client that knows the leader epoch `client` (-1: does not say; KIP-320).
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH` if the client is behind, `UNKNOWN_LEADER_EPOCH` if it is ahead, else `NOT_LEADER_OR_FOLLOWER` or
    /// `KAFKA_STORAGE_ERROR` if this broker does not lead.
    pub fn check_leader(&self, client: LeaderEpoch) -> Result<(), ErrorCode> {
        self.check_replica(client)?;
        if self.is_leader() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// The same for a consumer that may read from a follower (KIP-392: Fetch version 11 and later).
    ///
    /// # Errors
    /// As [`Replica::check_leader`], but a follower is no error.
    pub fn check_replica(&self, client: LeaderEpoch) -> Result<(), ErrorCode> {
        if matches!(self.role, Role::Offline) {
            return Err(ErrorCode::KafkaStorageError);
        }
        if client != LeaderEpoch::NONE && client < self.assignment.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if client > self.assignment.leader_epoch {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        match self.role {
            Role::Leader(_) | Role::Follower(_) => Ok(()),
            Role::Unassigned | Role::Offline | Role::Stopped => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Whether another broker's fetch may read, or where its log and ours part; `known` is the end of its last epoch in our log.
    /// If there is nothing against it, [`super::Input::FollowerFetched`] follows in the same turn.
    ///
    /// # Errors
    /// Not the leader or another epoch; `UNKNOWN_LEADER_EPOCH` if it is not a replica as far as is known here (it may be ahead of
    /// us); `OFFSET_OUT_OF_RANGE`; `NOT_LEADER_OR_FOLLOWER` from an incarnation that is no more.
    pub fn check_follower_fetch(
        &self,
        fetch: &FollowerFetch,
        known: EpochEndOffset,
    ) -> Result<Option<EpochEndOffset>, ErrorCode> {
        self.check_leader(fetch.current_leader_epoch)?;
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        if !leader.followers.contains_key(&fetch.follower) {
            let says_epoch = fetch.current_leader_epoch != LeaderEpoch::NONE;
            return Err(if says_epoch { ErrorCode::UnknownLeaderEpoch } else { ErrorCode::NotLeaderOrFollower });
        }
        let (log_start, log_end) = (self.log.log_start, self.log.log_end);
        let last_fetched_epoch = if self.keeps(Rule::Divergence) { fetch.last_fetched_epoch } else { LeaderEpoch::NONE };
        let diverging = check_position(fetch.offset, last_fetched_epoch, known, log_start, log_end)?;
        let is_earlier = self.is_earlier_incarnation(fetch.follower, fetch.broker_epoch) && self.keeps(Rule::Incarnation);
        if diverging.is_none() && is_earlier {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        Ok(diverging)
    }

    /// Whether a produce may be appended, and in which epoch.
    ///
    /// # Errors
    /// Not the leader (or not for long), or `NOT_ENOUGH_REPLICAS`: `acks=all` with an ISR smaller than `min.insync.replicas`.
    pub fn admit_produce(&self, acks: Acks) -> Result<LeaderEpoch, ErrorCode> {
        self.check_leader(LeaderEpoch::NONE)?;
        if self.deferred.is_some() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if acks == Acks::All && self.is_under_min_isr() && self.keeps(Rule::MinIsr) {
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

    /// Least log start offset over the replicas that are alive: DeleteRecords answers with it.
    pub fn low_watermark(&self) -> Offset {
        let Role::Leader(leader) = &self.role else { return self.log.log_start };
        let alive = leader.followers.iter().filter(|&(id, _)| self.brokers.get(id).is_none_or(|status| !status.fenced));
        alive.map(|(_, follower)| follower.log_start).min().map_or(self.log.log_start, |low| low.min(self.log.log_start))
    }

    /// KIP-392: the replica that a consumer in `rack` should read `offset` from, or `None` if from this leader.
    ///
    /// `rack_of` tells the rack of a broker that has an endpoint for the consumer. Of the replicas in the consumer's rack that
    /// are in sync and have the offset, the one that is furthest, and then the one that was last caught up; the leader if it is
    /// in that rack.
    pub fn preferred_read_replica<'a>(
        &self,
        rack: Option<&str>,
        offset: Offset,
        rack_of: impl Fn(BrokerId) -> Option<&'a str>,
    ) -> Option<BrokerId> {
        let Role::Leader(leader) = &self.role else { return None };
        let rack = rack.filter(|rack| !rack.is_empty())?;
        if rack_of(self.broker) == Some(rack) {
            return None;
        }
        let has_it = |id: BrokerId, follower: &FollowerState| {
            self.assignment.isr.contains(&id) && follower.log_start <= offset && offset <= follower.log_end
        };
        let near = leader.followers.iter().filter(|&(&id, follower)| has_it(id, follower) && rack_of(id) == Some(rack));
        let best = near.max_by_key(|&(&id, follower)| (follower.log_end, follower.caught_up_ms, id));
        best.map(|(&id, _)| id)
    }
}
