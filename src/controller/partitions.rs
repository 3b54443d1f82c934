//! CreatePartitions, and what new partitions of new topics and of old ones share.

use super::image::{MetadataImage, Topic};
use super::placement::{directory, place};
use super::{Context, Decision, MAX_PARTITIONS_PER_REQUEST, Refusal, Reply};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::generated::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::generated::{CreatePartitionsRequest, CreatePartitionsResponse, PartitionRecord};
use std::collections::BTreeSet;

/// Decides on CreatePartitions. Each topic fails or succeeds by itself; all that succeed are one batch.
pub(super) fn create_partitions(image: &MetadataImage, request: &CreatePartitionsRequest, context: &mut Context<'_>) -> Decision {
    let (mut seen, mut duplicates) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        if !seen.insert(&*topic.name) {
            duplicates.insert(&*topic.name);
        }
    }
    let mut records: Vec<MetadataRecord> = vec![];
    let mut results = vec![];
    for topic in request.topics.iter().filter(|topic| !duplicates.contains(&*topic.name)) {
        let room = MAX_PARTITIONS_PER_REQUEST - records.len();
        let added = add_partitions(image, topic, room, context).map(|added| records.extend(added));
        results.push(result(&topic.name, added.err()));
    }
    let duplicate = || Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
    results.extend(duplicates.iter().map(|name| result(name, Some(duplicate()))));
    Decision {
        batches: if request.validate_only || records.is_empty() { vec![] } else { vec![records] },
        reply: Reply::CreatePartitions(CreatePartitionsResponse { throttle_time_ms: 0, results }),
    }
}

fn result(name: &str, refusal: Option<Refusal>) -> CreatePartitionsTopicResult {
    let Refusal(code, text) = refusal.unwrap_or(Refusal(ErrorCode::None, None));
    CreatePartitionsTopicResult { name: name.into(), error_code: code.code(), error_message: text.map(Into::into) }
}

fn add_partitions(
    image: &MetadataImage,
    request: &CreatePartitionsTopic,
    room: usize,
    context: &mut Context<'_>,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let Some(topic) = image.topic_by_name(&request.name) else {
        return Err(Refusal(ErrorCode::UnknownTopicOrPartition, None));
    };
    let present = topic.partitions.len();
    let asked = usize::try_from(request.count).unwrap_or(0);
    if asked == present {
        return Err(Refusal::new(ErrorCode::InvalidPartitions, format!("Topic already has {present} partition(s).")));
    }
    if asked < present {
        let text = format!(
            "The topic {} currently has {present} partition(s); {} would not be an increase.",
            request.name, request.count
        );
        return Err(Refusal::new(ErrorCode::InvalidPartitions, text));
    }
    let added = asked - present;
    if added > room {
        let text = "Unable to perform excessively large batch operation.";
        return Err(Refusal::new(ErrorCode::PolicyViolation, text));
    }
    if let Some(assignments) = request.assignments.as_ref().filter(|assignments| assignments.len() != added) {
        let text = format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    context.allowance.take(added)?;
    let replicas = match &request.assignments {
        Some(assignments) => {
            let factor = Some(replication_factor(topic));
            let check = |(index, ids): (i32, &Vec<i32>)| check_manual_assignment(image, ids, factor, index);
            let lists = assignments.iter().map(|assignment| &assignment.broker_ids);
            (present as i32..).zip(lists).map(check).collect::<Result<_, _>>()?
        }
        None => place_more(image, topic, added, context)?,
    };
    let record = |(index, replicas): (i32, Vec<BrokerId>)| partition_record(image, topic.id, index, &replicas).into();
    Ok((present as i32..).zip(replicas).map(record).collect())
}

fn replication_factor(topic: &Topic) -> usize {
    topic.partitions.values().next().map_or(1, |partition| partition.replicas.len())
}

fn place_more(
    image: &MetadataImage,
    topic: &Topic,
    added: usize,
    context: &mut Context<'_>,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let factor = replication_factor(topic);
    let refused = |text: String| Refusal::new(ErrorCode::InvalidReplicationFactor, text);
    let replicas = place(image, added, factor, (context.random)()).map_err(refused)?;
    if !replicas.iter().all(|replicas| replicas.iter().any(|id| image.is_active(*id))) {
        return Err(refused(format!(
            "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled shutdown."
        )));
    }
    Ok(replicas)
}

/// Checks the replicas that a client has chosen for the new partition `index`; `factor` is the number that the topic's other partitions
/// have.
pub(super) fn check_manual_assignment(
    image: &MetadataImage,
    broker_ids: &[i32],
    factor: Option<usize>,
    index: i32,
) -> Result<Vec<BrokerId>, Refusal> {
    let replicas = check_replicas(image, broker_ids, factor)?;
    if !replicas.iter().any(|id| image.is_active(*id)) {
        let text = format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    Ok(replicas)
}

/// Checks that replicas are different registered brokers, and `factor` of them if that is given.
pub(super) fn check_replicas(image: &MetadataImage, broker_ids: &[i32], factor: Option<usize>) -> Result<Vec<BrokerId>, Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    if broker_ids.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = broker_ids.to_vec();
    sorted.sort_unstable();
    for (at, id) in sorted.iter().enumerate() {
        if image.broker(BrokerId(*id)).is_none() {
            return invalid(format!("The manual partition assignment includes broker {id}, but no such broker is registered."));
        }
        if at > 0 && sorted[at - 1] == *id {
            return invalid(format!("The manual partition assignment includes the broker {id} more than once."));
        }
    }
    let count = broker_ids.len();
    if let Some(factor) = factor.filter(|factor| *factor != count) {
        return invalid(format!(
            "The manual partition assignment includes a partition with {count} replica(s), but this is not consistent with previous \
             partitions, which have {factor} replica(s)."
        ));
    }
    Ok(broker_ids.iter().copied().map(BrokerId).collect())
}

/// The record of a new partition: in sync is who is active, and the first of these leads.
pub(super) fn partition_record(image: &MetadataImage, topic: TopicId, index: i32, replicas: &[BrokerId]) -> PartitionRecord {
    let isr: Vec<i32> = replicas.iter().filter(|id| image.is_active(**id)).map(|id| id.0).collect();
    assert!(!isr.is_empty(), "a new partition has a leader");
    PartitionRecord {
        partition_id: index,
        topic_id: topic,
        replicas: replicas.iter().map(|id| id.0).collect(),
        leader: isr[0],
        isr,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.iter().map(|id| directory(image.broker(*id).map(|broker| &**broker))).collect(),
        ..PartitionRecord::default()
    }
}
