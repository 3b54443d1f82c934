//! AlterPartitionReassignments: other replicas for a partition.
//!
//! Records cannot be copied to another broker yet, so what is decided at once is all there is: a partition has the replicas that are
//! wanted already, or keeps some that are in sync and gives up the others. What would have to be copied is refused.

use super::image::{MetadataImage, Partition};
use super::partitions::check_manual_assignment;
use super::{DIRECTORY_UNASSIGNED, Decision, Refusal, Reply, batches};
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
pub(super) fn alter_partition_reassignments(image: &MetadataImage, request: &AlterPartitionReassignmentsRequest) -> Decision {
    let mut records = vec![];
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let refusal = match reassign(image, &topic.name, wanted, request.allow_replication_factor_change) {
                Ok(record) => {
                    records.extend(record);
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
) -> Result<Option<MetadataRecord>, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = image.topic_by_name(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let index = PartitionIndex(wanted.partition_index);
    let partition = topic.partitions.get(&index);
    let partition = partition.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let is_moving = !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty();
    let Some(target) = &wanted.replicas else {
        if !is_moving {
            return Err(Refusal(ErrorCode::NoReassignmentInProgress, None));
        }
        let mut before = partition.replicas.clone();
        before.retain(|id| !partition.adding_replicas.contains(id));
        return settle(image, topic.id, index, partition, &before).map(Some);
    };
    let target = check_manual_assignment(image, target, None, index.0)?;
    let factor = partition.replicas.len() - partition.removing_replicas.len().min(partition.replicas.len());
    if !may_change_factor && factor != target.len() {
        let text = format!("The replication factor is changed from {factor} to {}", target.len());
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text));
    }
    if target == partition.replicas && !is_moving {
        return Ok(None);
    }
    if target.iter().any(|id| !partition.isr.contains(id)) {
        let text = "a replica cannot be copied to another broker: clusters of several brokers are not served yet";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    settle(image, topic.id, index, partition, &target).map(Some)
}

/// The partition has these of its replicas from now on, and no others.
fn settle(
    image: &MetadataImage,
    topic: TopicId,
    index: PartitionIndex,
    partition: &Partition,
    target: &[BrokerId],
) -> Result<MetadataRecord, Refusal> {
    let isr: Vec<BrokerId> = partition.isr.iter().copied().filter(|id| target.contains(id)).collect();
    let leader = partition.leader.filter(|id| target.contains(id));
    let leader = leader.or_else(|| target.iter().copied().find(|id| isr.contains(id) && image.is_active(*id)));
    if isr.is_empty() {
        let text = "none of the replicas that would be left is in sync";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    let directory = |id: &BrokerId| {
        let at = partition.replicas.iter().position(|other| other == id);
        at.and_then(|at| partition.directories.get(at)).copied().unwrap_or(DIRECTORY_UNASSIGNED)
    };
    let numbers = |ids: &[BrokerId]| Some(ids.iter().map(|id| id.0).collect::<Vec<_>>());
    // A replica that leaves must not be believed any more, so the leader begins a new epoch even if it is the same.
    let loses_some = partition.replicas.iter().collect::<BTreeSet<_>>() != target.iter().collect::<BTreeSet<_>>();
    let mut change = PartitionChangeRecord {
        partition_id: index.0,
        topic_id: topic,
        replicas: numbers(target),
        isr: numbers(&isr),
        directories: Some(target.iter().map(directory).collect()),
        ..PartitionChangeRecord::default()
    };
    if !partition.adding_replicas.is_empty() {
        change.adding_replicas = Some(vec![]);
    }
    if !partition.removing_replicas.is_empty() {
        change.removing_replicas = Some(vec![]);
    }
    if loses_some || leader != partition.leader {
        change.leader = leader.map_or(-1, |id| id.0);
    }
    Ok(change.into())
}
