//! AlterPartitionReassignments: other replicas for a partition (KIP-455).
//!
//! The replicas that are wanted are added to those that are there. Once all of the wanted ones are in sync, the next change of the
//! partition takes the others away, see [`PartitionChange`]; what needs no copying ends at once. Where this broker is alone there is
//! nobody to copy to, so what would have to be copied is refused rather than begun.

use super::image::{MetadataImage, Partition, Topic};
use super::partition_change::{PartitionChange, TopicRules};
use super::partitions::check_replicas;
use super::{Context, Decision, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::StrBytes;
use crate::protocol::generated::alter_partition_reassignments_request::ReassignablePartition;
use crate::protocol::generated::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::protocol::generated::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, PartitionChangeRecord,
};
use std::collections::BTreeSet;

/// Decides on AlterPartitionReassignments. Each partition fails or succeeds by itself.
pub(super) fn alter_partition_reassignments(
    image: &MetadataImage,
    request: &AlterPartitionReassignmentsRequest,
    context: &Context<'_>,
) -> Decision {
    let mut records: Vec<MetadataRecord> = vec![];
    let mut responses = Vec::with_capacity(request.topics.len());
    // Every wish is judged by what was before the request, as in Kafka; so a second change of a partition would not know of the first.
    let mut changed: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let refusal = match reassign(image, &topic.name, wanted, request.allow_replication_factor_change, context) {
                Ok(Some(record)) if !changed.insert((record.topic_id, record.partition_id)) => {
                    Refusal::new(ErrorCode::InvalidRequest, "The request changes this partition already.")
                }
                Ok(record) => {
                    records.extend(record.map(MetadataRecord::from));
                    Refusal(ErrorCode::None, None)
                }
                Err(refusal) => refusal,
            };
            partitions.push(ReassignablePartitionResponse {
                partition_index: wanted.partition_index,
                error_code: refusal.0.code(),
                error_message: refusal.1.map(Into::into),
            });
        }
        responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions });
    }
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        // As in Kafka, which has words for nothing.
        error_message: responses.is_empty().then_some(StrBytes::EMPTY),
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    };
    Decision { batches: batches(records), reply: Reply::AlterPartitionReassignments(response) }
}

fn reassign(
    image: &MetadataImage,
    name: &str,
    wanted: &ReassignablePartition,
    may_change_factor: bool,
    context: &Context<'_>,
) -> Result<Option<PartitionChangeRecord>, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = image.topic_by_name(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let index = PartitionIndex(wanted.partition_index);
    let partition = topic.partitions.get(&index);
    let partition = partition.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let rules = TopicRules::of(image, topic, context);
    let change = PartitionChange::new(image, rules, topic.id, index, partition);
    let Some(target) = &wanted.replicas else { return cancel(change, rules, topic, index, partition) };
    let target = check_replicas(image, target, None)?;
    let factor = partition.replicas.len() - partition.removing_replicas.len().min(partition.replicas.len());
    if !may_change_factor && factor != target.len() {
        let text = format!("The replication factor is changed from {factor} to {}", target.len());
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text));
    }
    let is_copied = target != partition.replicas && target.iter().any(|id| !partition.isr.contains(id));
    if is_copied && context.cluster.is_none() {
        let text = "a replica cannot be copied to another broker: this broker is alone";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    Ok(begin(change, partition, target))
}

/// The partition shall have the replicas `target` and no others. A reassignment that is under way is replaced, and as in Kafka what it has
/// added so far counts as if it had been there before: a cancel keeps it, unless nothing more is to be added.
fn begin(mut change: PartitionChange<'_>, partition: &Partition, target: Vec<BrokerId>) -> Option<PartitionChangeRecord> {
    let adding: BTreeSet<BrokerId> = target.iter().copied().filter(|id| !partition.replicas.contains(id)).collect();
    let removing: BTreeSet<BrokerId> = partition.replicas.iter().copied().filter(|id| !target.contains(id)).collect();
    change.replicas = target;
    change.replicas.extend(&removing);
    // Nothing to add, or to remove, leaves what is known of the reassignment under way.
    if !adding.is_empty() {
        change.adding = adding.into_iter().collect();
    }
    if !removing.is_empty() {
        change.removing = removing.into_iter().collect();
    }
    change.build()
}

/// The partition keeps the replicas that it had before the reassignment.
fn cancel(
    mut change: PartitionChange<'_>,
    rules: TopicRules,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
) -> Result<Option<PartitionChangeRecord>, Refusal> {
    if !partition.is_reassigning() {
        return Err(Refusal(ErrorCode::NoReassignmentInProgress, None));
    }
    let invalid = |reason: &str| {
        let text = format!("Unable to revert partition assignment for {}:{index} because {reason}.", topic.name);
        Refusal::new(ErrorCode::InvalidReplicaAssignment, text)
    };
    let is_added = |id: &BrokerId| partition.adding_replicas.contains(id);
    change.replicas.retain(|id| !is_added(id));
    change.isr.retain(|id| !is_added(id));
    let first = *change.replicas.first().ok_or_else(|| invalid("all replicas were added by it"))?;
    if change.isr.is_empty() {
        // Nobody who would be left is in sync, so this is as good as an unclean election.
        if !rules.allows_unclean {
            return Err(invalid("it would require an unclean leader election"));
        }
        change.isr.push(first);
    }
    change.election = rules.election();
    change.adding.clear();
    change.removing.clear();
    Ok(change.build())
}
