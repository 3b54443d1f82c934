//! DescribeProducers (61), version 0: who writes to a partition with a producer id, and whose transaction is open.

use super::Call;
use super::context::text;
use crate::controller::MetadataImage;
use crate::model::{ErrorCode, PartitionIndex, TopicIdPartition, validate_topic_name};
use crate::protocol::generated::describe_producers_request::DescribeProducersRequest;
use crate::protocol::generated::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::shard::{ActiveProducer, ActiveProducers};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Producers that are told in one go.
const MANY: usize = 1000;

pub(super) async fn handle(call: Rc<Call>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = call.context.shards.image();
    let Plan { mut response, wanted, places } = call.compute(false, move || plan(&image, request)).await;
    let found = call.context.shards.active_producers(wanted).await;
    let count: usize = found.iter().flatten().map(Vec::len).sum();
    let fill = move || {
        for ((topic, partition), found) in places.into_iter().zip(found) {
            tell(&mut response.topics[topic].partitions[partition], found);
        }
        response
    };
    call.compute(count > MANY, fill).await
}

fn tell(partition: &mut PartitionResponse, found: ActiveProducers) {
    let state = |producer: ActiveProducer| ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_start_offset.0,
    };
    match found {
        Ok(producers) => partition.active_producers = producers.into_iter().map(state).collect(),
        Err(error) => partition.error_code = super::for_names(error).code(),
    }
}

/// Whom to ask, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: DescribeProducersResponse,
    wanted: Vec<TopicIdPartition>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, request: DescribeProducersRequest) -> Plan {
    let Plan { mut response, mut wanted, mut places } = Plan::default();
    // A partition that is named twice is described once: a short request must not have an answer without bounds.
    let mut seen = BTreeSet::new();
    for topic_request in &request.topics {
        let name = &*topic_request.name;
        let (topic, error) = match (validate_topic_name(name), image.topic_by_name(name)) {
            (Err(why), _) => (None, Some((ErrorCode::InvalidTopicException, format!("Topic name is invalid: {why}")))),
            (Ok(()), None) => {
                let text = "This server does not host this topic-partition.".to_owned();
                (None, Some((ErrorCode::UnknownTopicOrPartition, text)))
            }
            (Ok(()), topic) => (topic, None),
        };
        let mut partitions = Vec::with_capacity(topic_request.partition_indexes.len());
        for &index in topic_request.partition_indexes.iter().filter(|index| seen.insert((name, **index))) {
            let mut partition = PartitionResponse { partition_index: index, error_message: None, ..Default::default() };
            match (&error, topic.filter(|topic| topic.partitions.contains_key(&PartitionIndex(index)))) {
                (Some((code, message)), _) => {
                    (partition.error_code, partition.error_message) = (code.code(), Some(text(message)));
                }
                (None, Some(topic)) => {
                    places.push((response.topics.len(), partitions.len()));
                    wanted.push(TopicIdPartition { topic_id: topic.id, partition: PartitionIndex(index) });
                }
                (None, None) => partition.error_code = ErrorCode::UnknownTopicOrPartition.code(),
            }
            partitions.push(partition);
        }
        response.topics.push(TopicResponse { name: topic_request.name.clone(), partitions });
    }
    Plan { response, wanted, places }
}
