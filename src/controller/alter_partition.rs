//! AlterPartition (56), versions 2 and 3: the ISR of partitions, as their leader sees it (KIP-497).
//!
//! The leader alone knows who keeps up, the controller alone knows who is there; so the leader proposes, and the controller takes it if
//! the leader speaks of the partition as it is now (leader epoch and partition epoch) and of brokers as they are (KIP-903). With the ISR
//! a reassignment may be complete, by which the leader itself may go; then the change is made and the sender is told to look for the new
//! one.

use super::fencing::check_broker_epoch;
use super::image::{MetadataImage, Partition};
use super::partition_change::{NO_LEADER_CHANGE, PartitionChange, RECOVERING, TopicRules};
use super::{Context, Decision, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::alter_partition_request::PartitionData as Proposal;
use crate::protocol::generated::alter_partition_response::{PartitionData, TopicData};
use crate::protocol::generated::{AlterPartitionRequest, AlterPartitionResponse, PartitionChangeRecord};
use std::collections::BTreeSet;

/// A broker epoch that is not checked: the leader does not know it, or cannot say.
const ANY_EPOCH: i64 = -1;

const RECOVERED: i8 = 0;

/// Decides on AlterPartition. Each partition fails or succeeds by itself.
pub(super) fn alter_partition(image: &MetadataImage, request: &AlterPartitionRequest, context: &Context<'_>) -> Decision {
    if let Err(Refusal(code, _)) = check_broker_epoch(image, request.broker_id, request.broker_epoch) {
        let response = AlterPartitionResponse { error_code: code.code(), ..AlterPartitionResponse::default() };
        return Decision { batches: vec![], reply: Reply::AlterPartition(response) };
    }
    let sender = BrokerId(request.broker_id);
    let mut records: Vec<MetadataRecord> = vec![];
    let mut changed: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for proposal in &topic.partitions {
            let decided = match changed.contains(&(topic.topic_id, proposal.partition_index)) {
                // It speaks of an epoch that has just passed.
                true => Err(ErrorCode::InvalidUpdateVersion),
                false => alter(image, sender, topic.topic_id, proposal, context),
            };
            partitions.push(match decided {
                Ok((partition, None)) => tell(proposal, partition, &PartitionChangeRecord::default()),
                Ok((partition, Some(record))) => {
                    changed.insert((topic.topic_id, proposal.partition_index));
                    let told = match record.leader {
                        leader if leader == NO_LEADER_CHANGE || leader == sender.0 => tell(proposal, partition, &record),
                        _ => refuse(proposal, ErrorCode::NewLeaderElected),
                    };
                    records.push(record.into());
                    told
                }
                Err(code) => refuse(proposal, code),
            });
        }
        topics.push(TopicData { topic_id: topic.topic_id, partitions });
    }
    let response = AlterPartitionResponse { topics, ..AlterPartitionResponse::default() };
    Decision { batches: batches(records), reply: Reply::AlterPartition(response) }
}

fn refuse(proposal: &Proposal, code: ErrorCode) -> PartitionData {
    PartitionData { partition_index: proposal.partition_index, error_code: code.code(), ..PartitionData::default() }
}

/// The partition as it is after `record`, which may be an empty one.
fn tell(proposal: &Proposal, partition: &Partition, record: &PartitionChangeRecord) -> PartitionData {
    let is_changed = *record != PartitionChangeRecord::default();
    let is_elected = record.leader != NO_LEADER_CHANGE;
    let before = || partition.isr.iter().map(|id| id.0).collect();
    PartitionData {
        partition_index: proposal.partition_index,
        error_code: ErrorCode::None.code(),
        // Of its own leadership only: see above.
        leader_id: partition.leader.map_or(-1, |leader| leader.0),
        leader_epoch: partition.leader_epoch.0 + i32::from(is_elected),
        isr: record.isr.clone().unwrap_or_else(before),
        leader_recovery_state: match record.leader_recovery_state {
            RECOVERED | RECOVERING => record.leader_recovery_state,
            _ => i8::from(partition.recovering),
        },
        partition_epoch: partition.partition_epoch + i32::from(is_changed),
    }
}

/// The partition, and how it changes.
fn alter<'a>(
    image: &'a MetadataImage,
    sender: BrokerId,
    topic: TopicId,
    proposal: &Proposal,
    context: &Context<'_>,
) -> Result<(&'a Partition, Option<PartitionChangeRecord>), ErrorCode> {
    let topic = image.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let index = PartitionIndex(proposal.partition_index);
    let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let isr = proposed_isr(proposal);
    let brokers: Vec<BrokerId> = isr.iter().map(|(broker, _)| *broker).collect();
    check_epochs(partition, sender, proposal)?;
    check_isr(partition, &brokers, proposal.leader_recovery_state)?;
    if !isr.iter().all(|(broker, epoch)| is_eligible(image, *broker, *epoch)) {
        return Err(ErrorCode::IneligibleReplica);
    }
    let rules = TopicRules::of(image, topic, context);
    let mut change = PartitionChange::new(image, rules, topic.id, index, partition);
    change.election = rules.election();
    change.isr = brokers;
    change.recovering = proposal.leader_recovery_state == RECOVERING;
    Ok((partition, change.build()))
}

/// The members of the new ISR with their broker epochs, which version 2 does not have.
fn proposed_isr(proposal: &Proposal) -> Vec<(BrokerId, i64)> {
    let with_epochs = proposal.new_isr_with_epochs.iter().map(|member| (BrokerId(member.broker_id), member.broker_epoch));
    let without = proposal.new_isr.iter().map(|id| (BrokerId(*id), ANY_EPOCH));
    with_epochs.chain(without).collect()
}

/// Whether the sender leads the partition and speaks of it as it is now.
fn check_epochs(partition: &Partition, sender: BrokerId, proposal: &Proposal) -> Result<(), ErrorCode> {
    let (leader_epoch, partition_epoch) = (partition.leader_epoch.0, partition.partition_epoch);
    // Whoever knows more than the controller has it from another controller.
    if proposal.leader_epoch > leader_epoch || proposal.partition_epoch > partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if partition.leader != Some(sender) {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.partition_epoch < partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    Ok(())
}

/// An ISR is a set of replicas with the leader in it. A leader that may lack records has nobody beside it until it has recovered, and it
/// does not begin to lack any by itself.
fn check_isr(partition: &Partition, isr: &[BrokerId], recovery_state: i8) -> Result<(), ErrorCode> {
    let is_set = isr.iter().collect::<BTreeSet<_>>().len() == isr.len();
    let is_legal = is_set
        && isr.iter().all(|id| partition.replicas.contains(id))
        && partition.leader.is_some_and(|leader| isr.contains(&leader))
        && match recovery_state {
            RECOVERED => true,
            RECOVERING => isr.len() == 1 && partition.recovering,
            _ => false,
        };
    if is_legal { Ok(()) } else { Err(ErrorCode::InvalidRequest) }
}

/// Whether a broker may be in sync: it serves, and it is the incarnation whose fetches the leader has seen.
fn is_eligible(image: &MetadataImage, id: BrokerId, epoch: i64) -> bool {
    image.broker(id).is_some_and(|broker| broker.is_active() && (epoch == ANY_EPOCH || epoch == broker.epoch))
}
