//! OffsetForLeaderEpoch (23), versions 2 to 4: where an epoch ends, by which a client finds out that records it has read are gone
//! (KIP-320).

use super::Call;
use crate::controller::MetadataImage;
use crate::model::{ErrorCode, LeaderEpoch, PartitionIndex, TopicIdPartition};
use crate::protocol::generated::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use crate::protocol::generated::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use crate::shard::EpochEnd;
use std::rc::Rc;

pub(super) async fn handle(call: Rc<Call>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = call.context.shards.image();
    let Plan { mut response, queries, places } = call.compute(false, move || plan(&image, request)).await;
    let found = call.context.shards.epoch_end_offsets(queries).await;
    let fill = move || {
        for ((topic, partition), found) in places.into_iter().zip(found) {
            let partition = &mut response.topics[topic].partitions[partition];
            partition.error_code = super::for_names(found.error).code();
            partition.leader_epoch = found.leader_epoch.0;
            partition.end_offset = found.end_offset.0;
        }
        response
    };
    call.compute(false, fill).await
}

/// What to ask, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: OffsetForLeaderEpochResponse,
    queries: Vec<EpochEnd>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, request: OffsetForLeaderEpochRequest) -> Plan {
    let Plan { mut response, mut queries, mut places } = Plan::default();
    for topic_request in request.topics {
        let topic = image.topic_by_name(&topic_request.topic);
        let mut partitions = Vec::with_capacity(topic_request.partitions.len());
        for wanted in &topic_request.partitions {
            let index = PartitionIndex(wanted.partition);
            let error = match topic.filter(|topic| topic.partitions.contains_key(&index)) {
                Some(topic) => {
                    places.push((response.topics.len(), partitions.len()));
                    queries.push(EpochEnd {
                        id: TopicIdPartition { topic_id: topic.id, partition: index },
                        current_leader_epoch: LeaderEpoch(wanted.current_leader_epoch),
                        leader_epoch: LeaderEpoch(wanted.leader_epoch),
                    });
                    ErrorCode::None
                }
                None => ErrorCode::UnknownTopicOrPartition,
            };
            partitions.push(EpochEndOffset { error_code: error.code(), partition: wanted.partition, ..Default::default() });
        }
        response.topics.push(OffsetForLeaderTopicResult { topic: topic_request.topic, partitions });
    }
    Plan { response, queries, places }
}
