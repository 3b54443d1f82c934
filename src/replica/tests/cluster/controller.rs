//! A controller that keeps the rules of the ISR: it elects out of it, takes fenced brokers out, and leaves the last one in.

use super::super::*;

/// The metadata at one moment.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) brokers: Vec<BrokerStatus>,
    pub(super) assignment: Assignment,
}

pub(super) struct Controller {
    partition: Assignment,
    brokers: BTreeMap<BrokerId, BrokerStatus>,
    next_broker_epoch: i64,
    /// Everything that was ever true, in order; brokers are told of each, or of a later one.
    pub(super) versions: Vec<Version>,
}

impl Controller {
    pub(super) fn new(replicas: i32) -> Self {
        let ids: Vec<i32> = (1..=replicas).collect();
        let status = |&id: &i32| BrokerStatus { id: BrokerId(id), epoch: i64::from(id), fenced: false, shutting_down: false };
        let brokers = ids.iter().map(status).map(|status| (status.id, status)).collect();
        let partition = assignment(1, 0, 0, &ids, &ids);
        let mut controller = Self { partition, brokers, next_broker_epoch: 100, versions: Vec::new() };
        controller.publish();
        controller
    }

    fn publish(&mut self) {
        let brokers = self.brokers.values().copied().collect();
        self.versions.push(Version { brokers, assignment: self.partition.clone() });
    }

    pub(super) fn isr(&self) -> &[BrokerId] {
        &self.partition.isr
    }

    pub(super) fn leader(&self) -> Option<BrokerId> {
        self.partition.leader
    }

    pub(super) fn is_fenced(&self, id: BrokerId) -> bool {
        self.brokers[&id].fenced
    }

    pub(super) fn broker_epoch(&self, id: BrokerId) -> i64 {
        self.brokers[&id].epoch
    }

    fn elect(&mut self, leader: Option<BrokerId>) {
        self.partition.leader = leader;
        self.partition.leader_epoch = LeaderEpoch(self.partition.leader_epoch.0 + 1);
        self.partition.partition_epoch += 1;
    }

    /// The broker is out of the ISR, unless it is the last, and leads nothing.
    fn clean_up(&mut self, id: BrokerId) {
        if self.partition.isr.len() > 1 && self.partition.isr.contains(&id) {
            self.partition.isr.retain(|other| *other != id);
            self.partition.partition_epoch += 1;
        }
        if self.partition.leader == Some(id) {
            let next = self.partition.isr.iter().copied().find(|other| *other != id && !self.is_fenced(*other));
            self.elect(next);
        }
    }

    pub(super) fn fence(&mut self, id: BrokerId) {
        self.clean_up(id);
        self.brokers.get_mut(&id).expect("a broker").fenced = true;
        self.publish();
    }

    /// A new incarnation, fenced. Returns its epoch and the version that it must know before it serves anybody.
    pub(super) fn register(&mut self, id: BrokerId) -> (i64, usize) {
        self.clean_up(id);
        let epoch = self.next_broker_epoch;
        self.next_broker_epoch += 1;
        self.brokers.insert(id, BrokerStatus { id, epoch, fenced: true, shutting_down: false });
        self.publish();
        (epoch, self.versions.len() - 1)
    }

    pub(super) fn unfence(&mut self, id: BrokerId) {
        self.brokers.get_mut(&id).expect("a broker").fenced = false;
        if self.partition.leader.is_none() && self.partition.isr.contains(&id) {
            self.elect(Some(id));
        }
        self.publish();
    }

    /// Another member of the ISR leads, or the same again.
    pub(super) fn move_leadership(&mut self, id: BrokerId) {
        if self.partition.isr.contains(&id) && !self.is_fenced(id) {
            self.elect(Some(id));
            self.publish();
        }
    }

    pub(super) fn alter(&mut self, from: BrokerId, epoch: i64, proposal: &IsrProposal) -> Result<CommittedIsr, ErrorCode> {
        let known = &self.partition;
        if epoch != self.broker_epoch(from) {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        if proposal.leader_epoch > known.leader_epoch || proposal.partition_epoch > known.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if proposal.leader_epoch < known.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if known.leader != Some(from) || !proposal.isr.iter().any(|(id, _)| *id == from) {
            return Err(ErrorCode::InvalidRequest);
        }
        if proposal.partition_epoch < known.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let eligible =
            |&(id, epoch): &(BrokerId, i64)| !self.is_fenced(id) && (epoch == NO_BROKER_EPOCH || epoch == self.broker_epoch(id));
        if !proposal.isr.iter().all(eligible) {
            return Err(ErrorCode::IneligibleReplica);
        }
        self.partition.isr = proposal.isr.iter().map(|(id, _)| *id).collect();
        self.partition.partition_epoch += 1;
        self.partition.recovery = proposal.recovery;
        self.publish();
        let Assignment { leader_epoch, partition_epoch, isr, recovery, .. } = self.partition.clone();
        Ok(CommittedIsr { leader_epoch, partition_epoch, isr, recovery })
    }
}
