//! DescribeQuorum (55), versions 0 to 2: who votes on the metadata, who leads, and how far each voter is. One node is its own quorum, and
//! what it has written is committed.

use super::Call;
use super::context::text;
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::describe_quorum_request::DescribeQuorumRequest;
use crate::protocol::generated::describe_quorum_response::{
    DescribeQuorumResponse, Node, PartitionData, ReplicaState, TopicData,
};
use std::rc::Rc;

/// The one topic, with one partition, that a quorum decides on.
const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;

pub(super) async fn handle(call: Rc<Call>, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let is_metadata = match &request.topics[..] {
        [topic] => {
            &*topic.topic_name == METADATA_TOPIC
                && matches!(&topic.partitions[..], [partition] if partition.partition_index == METADATA_PARTITION)
        }
        _ => false,
    };
    if !is_metadata {
        return call.compute(false, move || refuse(request)).await;
    }
    let context = &call.context;
    let (image, now_ms) = (context.shards.image(), context.io.wall_clock_ms());
    let id = context.broker_id().0;
    let voter = ReplicaState {
        replica_id: id,
        log_end_offset: image.next_offset().0,
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
        ..Default::default()
    };
    let partition = PartitionData {
        partition_index: METADATA_PARTITION,
        error_message: None,
        leader_id: id,
        leader_epoch: image.epoch(),
        high_watermark: image.next_offset().0,
        current_voters: vec![voter],
        ..Default::default()
    };
    // They are told since this version (KIP-853). No other node can reach this one's controller yet: it has no listener.
    let nodes = if call.version() < 2 { vec![] } else { vec![Node { node_id: id, listeners: Vec::new() }] };
    DescribeQuorumResponse {
        error_message: Some(StrBytes::EMPTY),
        topics: vec![TopicData { topic_name: text(METADATA_TOPIC), partitions: vec![partition] }],
        nodes,
        ..Default::default()
    }
}

/// The answer to who asks for something else than the metadata.
fn refuse(request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let error = ErrorCode::UnknownTopicOrPartition.code();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| PartitionData {
            partition_index: partition.partition_index,
            error_code: error,
            error_message: Some(text("This server does not host this topic-partition.")),
            ..Default::default()
        });
        TopicData { topic_name: topic.topic_name, partitions: partitions.collect() }
    });
    DescribeQuorumResponse { error_message: Some(StrBytes::EMPTY), topics: topics.collect(), ..Default::default() }
}
