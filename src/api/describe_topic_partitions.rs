//! DescribeTopicPartitions (75), version 0: topics in pages of partitions (KIP-966).

use super::Call;
use super::context::text;
use super::metadata::{self, TOPIC_OPERATIONS};
use crate::controller::{MetadataImage, Partition, Topic};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, validate_topic_name};
use crate::protocol::StrBytes;
use crate::protocol::generated::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use crate::protocol::generated::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Topics that are gone through in one go.
const MANY: usize = 1000;

pub(super) async fn handle(call: Rc<Call>, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let (image, limit) = (call.context.shards.image(), call.context.config.max_request_partition_size_limit());
    let is_long = request.topics.is_empty() && image.topic_count() > MANY;
    call.compute(is_long, move || answer(&image, limit, &request)).await
}

/// `most` is `max.request.partition.size.limit`.
fn answer(image: &MetadataImage, most: usize, request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let (start_topic, start_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    // No topics named: all of them, and those that are gone meanwhile are not missed.
    let fetch_all = request.topics.is_empty();
    let names: BTreeSet<String> = match fetch_all {
        true => image.topics_from(&start_topic).map(|topic| topic.name.to_string()).collect(),
        false => request.topics.iter().map(|topic| topic.name.to_string()).filter(|name| *name >= start_topic).collect(),
    };
    if request.cursor.is_some() && (start_partition < 0 || !(fetch_all || names.contains(&start_topic))) {
        return refuse(request);
    }
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = limit.clamp(1, most.max(1));
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let first = if name == start_topic { PartitionIndex(start_partition) } else { PartitionIndex(0) };
        if left == 0 {
            response.next_cursor = Some(cursor(&name, first));
            break;
        }
        let Some(topic) = image.topic_by_name(&name) else {
            response.topics.push(missing(&name));
            continue;
        };
        let mut described = describe(topic);
        for (index, partition) in topic.partitions.range(first..) {
            if left == 0 {
                response.next_cursor = Some(cursor(&name, *index));
                break;
            }
            described.partitions.push(describe_partition(image, *index, partition));
            left -= 1;
        }
        response.topics.push(described);
        if response.next_cursor.is_some() {
            break;
        }
    }
    response
}

/// A cursor has to be one that an answer gave out: a partition of one of the topics that are asked for.
fn refuse(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topic = |name: &StrBytes| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(name.clone()),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|wanted| topic(&wanted.name)).collect();
    DescribeTopicPartitionsResponse { topics, ..Default::default() }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(text(name)),
        is_internal: super::is_internal(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn cursor(topic: &str, partition: PartitionIndex) -> Cursor {
    Cursor { topic_name: StrBytes::from(topic), partition_index: partition.0 }
}

fn describe(topic: &Topic) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(text(&topic.name)),
        topic_id: topic.id,
        is_internal: super::is_internal(&topic.name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn describe_partition(
    image: &MetadataImage,
    index: PartitionIndex,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
    // All but the eligible leaders is what Metadata says of a partition.
    let common = metadata::describe_partition(image, index, partition);
    DescribeTopicPartitionsResponsePartition {
        error_code: common.error_code,
        partition_index: common.partition_index,
        leader_id: common.leader_id,
        leader_epoch: common.leader_epoch,
        replica_nodes: common.replica_nodes,
        isr_nodes: common.isr_nodes,
        eligible_leader_replicas: Some(ids(&partition.eligible_leader_replicas)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: common.offline_replicas,
    }
}
