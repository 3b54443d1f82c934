//! OffsetCommit (8), versions 2 to 10: how far a group has read.

use super::{MANY, caller};
use crate::api::Call;
use crate::controller::{MetadataImage, Topic};
use crate::group::{Answer, CommitOffsets, CommitPartition, Request};
use crate::model::{ErrorCode, PartitionIndex, TopicId, TopicPartition};
use crate::protocol::generated::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::protocol::generated::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use std::rc::Rc;
use std::sync::Arc;

/// Topics are named by their ids from this version on (KIP-848).
const TOPIC_IDS: i16 = 10;
/// Bytes of the records of one commit, and of a record beside its texts: it is one batch, which is no larger than others may be.
const MAX_BYTES: usize = 1 << 20;
/// See above.
const RECORD_BYTES: usize = 60;
/// What a member of a group that is not there is told differs from this version on.
const GROUP_NOT_FOUND: i16 = 9;

pub(in crate::api) async fn handle(call: Rc<Call>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let (version, image) = (call.version(), call.context.shards.image());
    let (group, member) = (request.group_id.clone(), request.member_id.clone());
    let caller = caller(&group, &member, request.group_instance_id.as_ref(), request.generation_id_or_member_epoch);
    let retention_ms = Some(request.retention_time_ms).filter(|&retention_ms| retention_ms >= 0);
    let Plan { mut response, partitions, places, bytes } = call.compute(false, move || plan(version, &image, request)).await;
    if partitions.is_empty() {
        return response;
    }
    let error_without_group = if version >= GROUP_NOT_FOUND { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
    if partitions.len() > MANY && bytes > MAX_BYTES {
        let fill = move || {
            for (topic, partition) in places {
                response.topics[topic].partitions[partition].error_code = ErrorCode::InvalidCommitOffsetSize.code();
            }
            response
        };
        return call.compute(false, fill).await;
    }
    let request = Request::Commit(CommitOffsets { caller, partitions, error_without_group, retention_ms });
    let errors = match call.context.shards.ask_group(&group, request).await {
        Ok(Answer::Committed(errors)) => errors,
        Ok(other) => unreachable!("a commit was answered with {other:?}"),
        Err(error) => vec![error; places.len()],
    };
    for ((topic, partition), error) in places.into_iter().zip(errors) {
        response.topics[topic].partitions[partition].error_code = error.code();
    }
    response
}

/// What to commit, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: OffsetCommitResponse,
    partitions: Vec<CommitPartition>,
    places: Vec<(usize, usize)>,
    /// Of the records that are to be written, about.
    bytes: usize,
}

/// As in Kafka, the answer begins with what is refused at once.
fn plan(version: i16, image: &MetadataImage, request: OffsetCommitRequest) -> Plan {
    let Plan { mut response, mut partitions, mut places, .. } = Plan::default();
    let known = |topic: &OffsetCommitRequestTopic| match version >= TOPIC_IDS {
        true => image.topic_by_id(topic.topic_id),
        false => image.topic_by_name(&topic.name),
    };
    for topic in &request.topics {
        let known = known(topic);
        if known.is_none() {
            // It is in the answer also without partitions.
            topic_place(&mut response, topic);
        }
        let error = match known {
            None if version >= TOPIC_IDS => ErrorCode::UnknownTopicId,
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        for refused in topic.partitions.iter().filter(|one| !exists(known.map(|topic| &**topic), one)) {
            add(&mut response, topic, refused.partition_index, error);
        }
    }
    // If there is none of that, it mirrors the request; else topics of one name share a place.
    let mirrors = response.topics.is_empty();
    for topic in &request.topics {
        let Some(known) = known(topic) else { continue };
        if mirrors && topic.partitions.iter().any(|one| exists(Some(known), one)) {
            response.topics.push(place_of(topic));
        }
        for one in topic.partitions.iter().filter(|one| exists(Some(known), one)) {
            places.push(add(&mut response, topic, one.partition_index, ErrorCode::None));
            partitions.push(CommitPartition {
                partition: TopicPartition::new(known.name.clone(), PartitionIndex(one.partition_index)),
                // As in Kafka: who names a topic may mean the next one of that name as well.
                topic_id: if version >= TOPIC_IDS { known.id } else { TopicId::ZERO },
                offset: one.committed_offset,
                leader_epoch: one.committed_leader_epoch,
                metadata: Arc::from(one.committed_metadata.as_deref().unwrap_or_default()),
            });
        }
    }
    let size = |one: &CommitPartition| RECORD_BYTES + request.group_id.len() + one.partition.topic.len() + one.metadata.len();
    let bytes = partitions.iter().map(size).sum();
    Plan { response, partitions, places, bytes }
}

fn exists(topic: Option<&Topic>, partition: &OffsetCommitRequestPartition) -> bool {
    topic.is_some_and(|topic| topic.partitions.contains_key(&PartitionIndex(partition.partition_index)))
}

fn topic_place(response: &mut OffsetCommitResponse, topic: &OffsetCommitRequestTopic) -> usize {
    let is_it = |one: &OffsetCommitResponseTopic| one.name == topic.name && one.topic_id == topic.topic_id;
    response.topics.iter().rposition(is_it).unwrap_or_else(|| {
        response.topics.push(place_of(topic));
        response.topics.len() - 1
    })
}

fn place_of(topic: &OffsetCommitRequestTopic) -> OffsetCommitResponseTopic {
    OffsetCommitResponseTopic { name: topic.name.clone(), topic_id: topic.topic_id, ..Default::default() }
}

/// Adds a result; topics that follow each other in the request are one in the answer.
fn add(response: &mut OffsetCommitResponse, topic: &OffsetCommitRequestTopic, index: i32, error: ErrorCode) -> (usize, usize) {
    let at = topic_place(response, topic);
    let partitions = &mut response.topics[at].partitions;
    partitions.push(OffsetCommitResponsePartition { partition_index: index, error_code: error.code(), ..Default::default() });
    (at, partitions.len() - 1)
}
