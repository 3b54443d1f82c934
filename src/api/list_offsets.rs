//! ListOffsets (2), versions 1 to 11: offsets by time, and the ends of the log.

use super::Call;
use crate::controller::MetadataImage;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, PartitionIndex, TopicIdPartition};
use crate::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use crate::protocol::generated::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::shard::{Isolation, ListOffset};
use std::collections::BTreeSet;
use std::rc::Rc;

/// First version of each special timestamp: max timestamp, earliest local, latest tiered, earliest pending upload.
const SPECIAL_SINCE: [(i64, i16); 4] = [(-3, 7), (-4, 8), (-5, 9), (-6, 11)];
/// The special timestamps latest and earliest, of every version.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) async fn handle(call: Rc<Call>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let (image, version) = (call.context.shards.image(), call.version());
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let replica = BrokerId(request.replica_id);
    let Plan { mut response, queries, places } = call.compute(false, move || plan(&image, version, request)).await;
    let found = call.context.shards.list_offsets(queries, isolation, replica).await;
    let fill = move || {
        for ((topic, partition), found) in places.into_iter().zip(found) {
            let partition = &mut response.topics[topic].partitions[partition];
            partition.error_code = super::for_names(found.error).code();
            partition.timestamp = found.timestamp;
            partition.offset = found.offset.0;
            partition.leader_epoch = if version >= 4 { found.leader_epoch.0 } else { LeaderEpoch::NONE.0 };
        }
        response
    };
    call.compute(false, fill).await
}

/// What to ask, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: ListOffsetsResponse,
    queries: Vec<ListOffset>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, version: i16, request: ListOffsetsRequest) -> Plan {
    let Plan { mut response, mut queries, mut places } = Plan::default();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<(&str, i32)> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (&*topic.name, partition.partition_index)))
        .filter(|place| !seen.insert(*place))
        .collect();
    let mut refused = BTreeSet::new();
    for topic_request in &request.topics {
        let topic = image.topic_by_name(&topic_request.name);
        // A topic that is named twice is in the answer once, and one without partitions not at all: in Kafka it is made of those.
        let known = response.topics.iter().position(|known| known.name == topic_request.name);
        let at = known.unwrap_or(response.topics.len());
        let mut partitions = known.map_or_else(Vec::new, |at| std::mem::take(&mut response.topics[at].partitions));
        for wanted in &topic_request.partitions {
            let index = PartitionIndex(wanted.partition_index);
            let place = (&*topic_request.name, wanted.partition_index);
            let error = if twice.contains(&place) {
                // Kafka says once that it was asked twice.
                if !refused.insert(place) {
                    continue;
                }
                ErrorCode::InvalidRequest
            } else if !is_known_timestamp(version, wanted) {
                ErrorCode::UnsupportedVersion
            } else if let Some(topic) = topic.filter(|topic| topic.partitions.contains_key(&index)) {
                places.push((at, partitions.len()));
                queries.push(ListOffset {
                    id: TopicIdPartition { topic_id: topic.id, partition: index },
                    current_leader_epoch: LeaderEpoch(wanted.current_leader_epoch),
                    timestamp: wanted.timestamp,
                });
                ErrorCode::None
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            partitions.push(ListOffsetsPartitionResponse {
                partition_index: wanted.partition_index,
                error_code: error.code(),
                ..Default::default()
            });
        }
        match known {
            Some(at) => response.topics[at].partitions = partitions,
            None if partitions.is_empty() => {}
            None => response.topics.push(ListOffsetsTopicResponse { name: topic_request.name.clone(), partitions }),
        }
    }
    Plan { response, queries, places }
}

/// Whether this version knows a time, or special time, like the one asked for.
fn is_known_timestamp(version: i16, wanted: &ListOffsetsPartition) -> bool {
    let special = |&(timestamp, since): &(i64, i16)| timestamp == wanted.timestamp && version >= since;
    wanted.timestamp >= 0 || [LATEST, EARLIEST].contains(&wanted.timestamp) || SPECIAL_SINCE.iter().any(special)
}
