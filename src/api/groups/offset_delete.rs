//! OffsetDelete (47), version 0: an administrator lets a group forget offsets of topics that it does not read.

use super::parts;
use crate::api::Call;
use crate::controller::MetadataImage;
use crate::group::{Answer, GroupId, Request};
use crate::model::{ErrorCode, PartitionIndex, TopicPartition};
use crate::protocol::generated::offset_delete_request::OffsetDeleteRequest;
use crate::protocol::generated::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use std::rc::Rc;

pub(in crate::api) async fn handle(call: Rc<Call>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let (image, group) = (call.context.shards.image(), GroupId::from(&*request.group_id));
    let Plan { mut response, partitions, places } = call.compute(false, move || plan(&image, request)).await;
    if group.is_empty() {
        return OffsetDeleteResponse { error_code: ErrorCode::InvalidGroupId.code(), ..Default::default() };
    }
    let mut errors = Vec::with_capacity(partitions.len());
    for part in parts(&partitions) {
        let request = Request::DeleteOffsets { group: group.clone(), partitions: part.to_vec() };
        match call.context.shards.ask_group(&group, request).await {
            Ok(Answer::OffsetsDeleted(Ok(more))) => errors.extend(more),
            Ok(Answer::OffsetsDeleted(Err(error))) | Err(error) => {
                return OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
            }
            Ok(other) => unreachable!("a deletion of offsets was answered with {other:?}"),
        }
    }
    let fill = move || {
        for ((topic, partition), error) in places.into_iter().zip(errors) {
            response.topics[topic].partitions[partition].error_code = error.code();
        }
        response
    };
    call.compute(false, fill).await
}

/// What to forget, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: OffsetDeleteResponse,
    partitions: Vec<TopicPartition>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, request: OffsetDeleteRequest) -> Plan {
    let Plan { mut response, mut partitions, mut places } = Plan::default();
    for topic in &request.topics {
        let known = image.topic_by_name(&topic.name);
        let mut told = Vec::with_capacity(topic.partitions.len());
        for one in &topic.partitions {
            let error = if known.is_some() { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition };
            if let Some(known) = known {
                places.push((response.topics.len(), told.len()));
                partitions.push(TopicPartition::new(known.name.clone(), PartitionIndex(one.partition_index)));
            }
            told.push(OffsetDeleteResponsePartition {
                partition_index: one.partition_index,
                error_code: error.code(),
                ..Default::default()
            });
        }
        // As in Kafka: a topic that is not there is told also without partitions.
        if known.is_none() || !told.is_empty() {
            response.topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: told, ..Default::default() });
        }
    }
    Plan { response, partitions, places }
}
