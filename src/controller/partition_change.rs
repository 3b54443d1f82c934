//! One builder for every change of a partition.
//!
//! A caller says what it wants of a partition: other members of the ISR, other replicas, a directory, an election. What follows from
//! that is decided here, always in the same order, so that no caller can forget a part: a reassignment ends once its new replicas are in
//! sync, eligible leader replicas are counted (KIP-966), a leader is chosen, a new leader epoch begins where the old one must not be
//! believed any more, and the directories follow the replicas. A record says only what is different from before.

use super::Context;
use super::configs::MIN_INSYNC_REPLICAS;
use super::image::{ConfigResource, MetadataImage, Partition, Topic};
use super::placement::directory;
use super::{DIRECTORY_LOST, ELR_VERSION};
use crate::model::{BrokerId, PartitionIndex, TopicId};
use crate::protocol::generated::PartitionChangeRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The leader field of a change that leaves leader and leader epoch alone.
pub(super) const NO_LEADER_CHANGE: i32 = -2;
/// Recovery state of a leader that may lack records.
pub(super) const RECOVERING: i8 = 1;
/// Nobody leads.
pub(super) const NO_LEADER: i32 = -1;

const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

/// How a leader is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Election {
    /// The leader stays if it can; else the first replica that has all records.
    Online,
    /// As `Online`, but the first replica of the list takes over if it can.
    Preferred,
    /// As `Online`; if nobody has all records, the first replica that is there.
    Unclean,
}

/// The rules in force for the partitions of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TopicRules {
    /// Eligible leader replicas are kept: `eligible.leader.replicas.version` is finalized.
    pub(super) has_elr: bool,
    /// Members of the ISR without which nothing is acknowledged to `acks=all`.
    pub(super) min_isr: usize,
    /// `unclean.leader.election.enable`
    pub(super) allows_unclean: bool,
    /// The broker is alone. Nobody could lead in its place, so it keeps what it leads, also where a directory of it has failed.
    pub(super) is_alone: bool,
}

impl TopicRules {
    /// What is set on the topic, else on the node that decides, else on all brokers, else what that node's own settings say.
    pub(super) fn of(image: &MetadataImage, topic: &Topic, context: &Context<'_>) -> Self {
        let of_topic = ConfigResource::Topic(Arc::clone(&topic.name));
        let value = |key: &str| {
            let set = |resource: &ConfigResource| image.configs(resource)?.get(key).map(|value| value.trim().to_owned());
            let of_nodes = || [Some(context.node), None].into_iter().find_map(|node| set(&ConfigResource::Broker(node)));
            set(&of_topic).or_else(of_nodes)
        };
        let min_isr = value(MIN_INSYNC_REPLICAS).and_then(|text| text.parse().ok()).unwrap_or(context.min_insync_replicas);
        // More than there are replicas would never be reached.
        let replicas = topic.partitions.values().next().map_or(usize::MAX, |partition| partition.replicas.len());
        Self {
            has_elr: has_elr(image),
            min_isr: min_isr.min(replicas),
            allows_unclean: value(UNCLEAN_LEADER_ELECTION)
                .map_or(context.unclean_leader_election, |text| text.eq_ignore_ascii_case("true")),
            is_alone: context.cluster.is_none(),
        }
    }

    /// The election that goes with a change of the ISR.
    pub(super) fn election(self) -> Election {
        if self.allows_unclean { Election::Unclean } else { Election::Online }
    }
}

/// Whether eligible leader replicas are kept.
pub(super) fn has_elr(image: &MetadataImage) -> bool {
    image.features().get(ELR_VERSION).is_some_and(|level| *level > 0)
}

/// What is wanted of a partition; it begins as what there is.
pub(super) struct PartitionChange<'a> {
    image: &'a MetadataImage,
    rules: TopicRules,
    topic: TopicId,
    index: PartitionIndex,
    before: &'a Partition,
    pub(super) election: Election,
    pub(super) isr: Vec<BrokerId>,
    pub(super) replicas: Vec<BrokerId>,
    pub(super) adding: Vec<BrokerId>,
    pub(super) removing: Vec<BrokerId>,
    pub(super) recovering: bool,
    elr: Vec<BrokerId>,
    placed: BTreeMap<BrokerId, TopicId>,
    /// Who may not lead from now on, though the image does not say so yet.
    unacceptable: Option<BrokerId>,
    /// Who may lead from now on, likewise.
    acceptable: Option<BrokerId>,
    /// Whose log may have lost its end.
    unclean: Option<BrokerId>,
}

impl<'a> PartitionChange<'a> {
    pub(super) fn new(
        image: &'a MetadataImage,
        rules: TopicRules,
        topic: TopicId,
        index: PartitionIndex,
        before: &'a Partition,
    ) -> Self {
        Self {
            image,
            rules,
            topic,
            index,
            before,
            election: Election::Online,
            isr: before.isr.clone(),
            replicas: before.replicas.clone(),
            adding: before.adding_replicas.clone(),
            removing: before.removing_replicas.clone(),
            recovering: before.recovering,
            elr: before.eligible_leader_replicas.clone(),
            placed: BTreeMap::new(),
            unacceptable: None,
            acceptable: None,
            unclean: None,
        }
    }

    /// The broker leaves the ISR and may not lead; it stays eligible as far as it has all records.
    pub(super) fn remove(&mut self, broker: BrokerId) {
        self.isr.retain(|id| *id != broker);
        self.unacceptable = Some(broker);
    }

    /// The broker leaves the ISR, may not lead, and is not eligible: its log may have lost its end.
    pub(super) fn remove_unclean(&mut self, broker: BrokerId) {
        self.remove(broker);
        self.unclean = Some(broker);
    }

    /// The broker may lead, though it is fenced in the image.
    pub(super) fn accept(&mut self, broker: BrokerId) {
        self.acceptable = Some(broker);
    }

    /// The replica of `broker` is in `directory`.
    pub(super) fn place(&mut self, broker: BrokerId, directory: TopicId) {
        self.placed.insert(broker, directory);
    }

    /// The record, if anything is different.
    pub(super) fn build(mut self) -> Option<PartitionChangeRecord> {
        self.complete_reassignment();
        self.count_eligible();
        let nothing =
            PartitionChangeRecord { partition_id: self.index.0, topic_id: self.topic, ..PartitionChangeRecord::default() };
        let mut record = nothing.clone();
        self.elect(&mut record);
        // A replica that leaves the list must not be believed any more, so a new epoch begins even if the leader stays.
        if record.leader == NO_LEADER_CHANGE && self.before.replicas.iter().any(|id| !self.replicas.contains(id)) {
            record.leader = number(self.before.leader);
        }
        // After an unclean election nobody else has the same records.
        if record.isr.is_some() || !self.rules.has_elr {
            self.elr.clear();
        }
        record.eligible_leader_replicas = changed(&self.elr, &self.before.eligible_leader_replicas);
        // Without eligible replicas the last member of the ISR stays in it: it is all that tells who has the records.
        if record.isr.is_none() && (self.rules.has_elr || !self.isr.is_empty()) {
            record.isr = changed(&self.isr, &self.before.isr);
        }
        self.remember_leader(&mut record);
        record.replicas = changed(&self.replicas, &self.before.replicas);
        record.adding_replicas = changed(&self.adding, &self.before.adding_replicas);
        record.removing_replicas = changed(&self.removing, &self.before.removing_replicas);
        let directories: Vec<TopicId> = self.replicas.iter().map(|id| self.directory(*id)).collect();
        record.directories = (directories != self.before.directories).then_some(directories);
        if self.recovering != self.before.recovering {
            record.leader_recovery_state = i8::from(self.recovering);
        }
        (record != nothing).then_some(record)
    }

    /// A reassignment ends when what is in sync covers all replicas that shall stay.
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let without_removing =
            |ids: &[BrokerId]| -> Vec<BrokerId> { ids.iter().copied().filter(|id| !self.removing.contains(id)).collect() };
        let (isr, replicas) = (without_removing(&self.isr), without_removing(&self.replicas));
        let is_complete = !isr.is_empty() && !replicas.is_empty() && replicas.iter().all(|id| isr.contains(id));
        if is_complete {
            (self.isr, self.replicas) = (isr, replicas);
            self.adding.clear();
            self.removing.clear();
        }
    }

    /// Eligible is who was in the ISR when it fell below its minimum, or later: nothing was acknowledged without it (KIP-966).
    fn count_eligible(&mut self) {
        if !self.rules.has_elr {
            return;
        }
        if self.isr.len() >= self.rules.min_isr {
            self.elr.clear();
            return;
        }
        let candidates: BTreeSet<BrokerId> = self.elr.iter().chain(&self.before.isr).copied().collect();
        let is_eligible = |id: &BrokerId| !self.isr.contains(id) && self.unclean != Some(*id) && self.replicas.contains(id);
        let eligible: BTreeSet<BrokerId> = candidates.into_iter().filter(is_eligible).collect();
        // Another controller may have written them in another order, which is no change.
        if eligible != self.elr.iter().copied().collect::<BTreeSet<_>>() {
            self.elr = eligible.into_iter().collect();
        }
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let chosen = self.choose_leader();
        let leader = chosen.map(|(leader, _)| leader);
        if leader == self.before.leader {
            return;
        }
        record.leader = number(leader);
        let Some((leader, is_clean)) = chosen else { return };
        if let Some(at) = self.elr.iter().position(|id| *id == leader) {
            self.elr.remove(at);
            self.isr = vec![leader];
        }
        if !is_clean {
            record.isr = Some(vec![leader.0]);
            if !self.before.recovering {
                record.leader_recovery_state = RECOVERING;
            }
        }
    }

    /// Who shall lead, and whether it has all records that were acknowledged.
    fn choose_leader(&self) -> Option<(BrokerId, bool)> {
        let has_all = |id: BrokerId| self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        let is_valid = |id: &BrokerId| has_all(*id) && self.is_acceptable(*id);
        let preferred = self.replicas.first().filter(|_| self.election == Election::Preferred);
        let mut in_order = preferred.into_iter().chain(&self.before.leader).chain(&self.replicas).copied();
        if let Some(leader) = in_order.find(is_valid) {
            return Some((leader, true));
        }
        if let Some(leader) = self.last_known_leader() {
            return Some((leader, false));
        }
        if self.election != Election::Unclean {
            return None;
        }
        // A replica that its broker has given up is damaged, or lacks most: better than none, and than nothing.
        let is_damaged = |id: &BrokerId| self.is_there(*id) && self.before.directory(*id) == Some(DIRECTORY_LOST);
        let unclean = self.replicas.iter().copied().find(|id| self.is_acceptable(*id));
        unclean.or_else(|| self.replicas.iter().copied().find(is_damaged)).map(|leader| (leader, false))
    }

    /// Whom to try when neither the ISR nor an eligible replica is left: who led last.
    fn last_known_leader(&self) -> Option<BrokerId> {
        if !self.rules.has_elr || !self.isr.is_empty() || !self.elr.is_empty() {
            return None;
        }
        match *self.before.last_known_elr {
            [last] if self.replicas.contains(&last) && self.is_acceptable(last) => Some(last),
            _ => None,
        }
    }

    /// Who led last is written down once, when nobody is in sync any more, and forgotten when there is a leader again.
    fn remember_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.has_elr {
            return;
        }
        let leads_after = match record.leader {
            NO_LEADER_CHANGE => self.before.leader.is_some(),
            leader => leader != NO_LEADER,
        };
        let is_emptied = record.isr.as_ref().is_some_and(Vec::is_empty);
        match self.before.leader {
            Some(last) if is_emptied => record.last_known_elr = changed(&[last], &self.before.last_known_elr),
            _ if leads_after && !self.before.last_known_elr.is_empty() => record.last_known_elr = Some(vec![]),
            _ => {}
        }
    }

    /// Whether a broker may lead: it is there, and so is the directory of its replica.
    fn is_acceptable(&self, id: BrokerId) -> bool {
        let Some(broker) = self.image.broker(id) else { return false };
        // Whose disk was replaced has the only replica there is: nobody else could have more. Beside others it waits for the next change,
        // as in Kafka, rather than taking away from them what they have.
        let placed = self.placed.get(&id).copied().filter(|_| self.replicas == [id]);
        let directory = placed.or_else(|| self.before.directory(id));
        let has_dir = || directory.is_none_or(|directory| broker.has_online_dir(directory));
        self.is_there(id) && (self.rules.is_alone || has_dir())
    }

    fn is_there(&self, id: BrokerId) -> bool {
        let is_active = || self.image.broker(id).is_some_and(|broker| broker.is_active());
        self.unacceptable != Some(id) && (self.acceptable == Some(id) || is_active())
    }

    /// Where a replica is afterwards.
    fn directory(&self, id: BrokerId) -> TopicId {
        let placed = self.placed.get(&id).copied().or_else(|| self.before.directory(id));
        placed.unwrap_or_else(|| directory(self.image.broker(id).map(|broker| &**broker)))
    }
}

fn number(leader: Option<BrokerId>) -> i32 {
    leader.map_or(NO_LEADER, |id| id.0)
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

/// The field of a record that says a list, if it is another one than before.
fn changed(now: &[BrokerId], before: &[BrokerId]) -> Option<Vec<i32>> {
    (now != before).then(|| numbers(now))
}
