//! DescribeQuorum (55), versions 0 to 2: who votes on the metadata, who leads, and how far everybody is.

use super::Call;
use super::context::text;
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::describe_quorum_request::DescribeQuorumRequest;
use crate::protocol::generated::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::shard::ObservedReplica;
use std::rc::Rc;

/// The one topic, with one partition, that a quorum decides on.
const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;
/// Kafka's words for the error.
const NOT_LEADER: &str = "For requests intended only for the leader, this error indicates that the broker is not the current leader. For \
                          requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.";

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
    match call.context.shards.is_alone() {
        true => alone(&call),
        false => of_cluster(&call).await,
    }
}

/// One node is its own quorum, and what it has written is committed.
fn alone(call: &Call) -> DescribeQuorumResponse {
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
    // No other node can reach this one's controller: it has no listener.
    respond(call.version(), partition, vec![Node { node_id: id, listeners: Vec::new() }])
}

/// Who votes, who follows, and how far they are, as the leader sees it. Who does not lead does not know.
async fn of_cluster(call: &Call) -> DescribeQuorumResponse {
    let view = call.context.shards.describe_quorum().await;
    if !view.leads {
        call.lose_lead();
        let error = ErrorCode::NotLeaderOrFollower;
        let partition = PartitionData {
            partition_index: METADATA_PARTITION,
            error_code: error.code(),
            error_message: Some(text(NOT_LEADER)),
            ..Default::default()
        };
        return respond(call.version(), partition, vec![]);
    }
    let replica = |one: &ObservedReplica| ReplicaState {
        replica_id: one.id.0,
        replica_directory_id: one.directory,
        log_end_offset: one.log_end_offset.0,
        last_fetch_timestamp: one.last_fetch_ms,
        last_caught_up_timestamp: one.last_caught_up_ms,
    };
    let partition = PartitionData {
        partition_index: METADATA_PARTITION,
        error_message: None,
        leader_id: view.leader.0.map_or(-1, |id| id.0),
        leader_epoch: view.leader.1,
        high_watermark: view.high_watermark.0,
        current_voters: view.voters.iter().map(replica).collect(),
        observers: view.observers.iter().map(replica).collect(),
        ..Default::default()
    };
    let config = &call.context.config;
    let name = config.controller_listener_names().into_iter().next().unwrap_or_default();
    let node = |voter: crate::config::QuorumVoter| {
        let listener = Listener { name: text(&name), host: text(&voter.host), port: voter.port };
        Node { node_id: voter.id.0, listeners: vec![listener] }
    };
    let voters = call.context.shards.quorum_voters().await;
    respond(call.version(), partition, voters.into_iter().map(node).collect())
}

fn respond(version: i16, partition: PartitionData, nodes: Vec<Node>) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_message: Some(StrBytes::EMPTY),
        topics: vec![TopicData { topic_name: text(METADATA_TOPIC), partitions: vec![partition] }],
        // They are told since this version (KIP-853).
        nodes: if version < 2 { vec![] } else { nodes },
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
