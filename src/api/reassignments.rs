//! AlterPartitionReassignments (45), versions 0 and 1, and ListPartitionReassignments (46), version 0: which brokers hold a partition.

use super::Call;
use super::admin::STOPPING;
use super::context::text;
use crate::controller::{Command, MetadataImage, Partition, Reply, Topic};
use crate::model::{BrokerId, PartitionIndex};
use crate::protocol::generated::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use crate::protocol::generated::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use crate::protocol::generated::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use crate::protocol::generated::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Partitions that are looked at in one go.
const MANY: usize = 5000;

pub(super) async fn alter(call: Rc<Call>, request: AlterPartitionReassignmentsRequest) -> AlterPartitionReassignmentsResponse {
    match call.decide(Command::AlterPartitionReassignments(request)).await {
        Ok(Reply::AlterPartitionReassignments(response)) => response,
        Ok(other) => unreachable!("AlterPartitionReassignments was answered with {other:?}"),
        Err(undecided) => AlterPartitionReassignmentsResponse {
            error_code: undecided.error().code(),
            error_message: None,
            ..Default::default()
        },
    }
}

pub(super) async fn list(call: Rc<Call>, request: ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
    if call.is_for_controllers() && !call.context.shards.describe_quorum().await.leads {
        // Others may know of more.
        call.connection.miss_controller();
        return ListPartitionReassignmentsResponse { error_code: STOPPING.code(), error_message: None, ..Default::default() };
    }
    let image = call.image().await;
    let mut partitions = 0;
    let mut is_too_much = |topic: &Topic| {
        partitions += topic.partitions.len();
        partitions > MANY
    };
    let is_long = request.topics.is_none() && image.topics().any(|topic| is_too_much(topic));
    call.compute(is_long, move || ongoing(&image, &request)).await
}

/// The partitions whose replicas are changing, all or those that are named.
fn ongoing(image: &MetadataImage, request: &ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
    let all = |topic: &Topic| describe(topic, |_| true);
    let topics = match &request.topics {
        None => image.topics().filter_map(|topic| all(topic)).collect(),
        Some(topics) => {
            let named = topics.iter().filter_map(|wanted| {
                let indexes: BTreeSet<i32> = wanted.partition_indexes.iter().copied().collect();
                describe(image.topic_by_name(&wanted.name)?, |index| indexes.contains(&index.0))
            });
            named.collect()
        }
    };
    ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
}

fn describe(topic: &Topic, is_wanted: impl Fn(&PartitionIndex) -> bool) -> Option<OngoingTopicReassignment> {
    let is_ongoing = |partition: &Partition| !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty();
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
    let found = topic.partitions.iter().filter(|(index, partition)| is_wanted(index) && is_ongoing(partition));
    let partitions: Vec<_> = found
        .map(|(index, partition)| OngoingPartitionReassignment {
            partition_index: index.0,
            replicas: ids(&partition.replicas),
            adding_replicas: ids(&partition.adding_replicas),
            removing_replicas: ids(&partition.removing_replicas),
        })
        .collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: text(&topic.name), partitions })
}
