//! DeleteRecords (21), versions 0 to 2: moves the start of a log.

use super::Call;
use crate::controller::MetadataImage;
use crate::io::Mono;
use crate::model::{ErrorCode, Offset, PartitionIndex, TopicIdPartition};
use crate::protocol::generated::delete_records_request::DeleteRecordsRequest;
use crate::protocol::generated::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::shard::DeletedRecords;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How often followers are looked at that have not deleted yet.
const FOLLOWERS_INTERVAL: Duration = Duration::from_millis(100);
/// "Unknown" in an answer.
const NO_WATERMARK: i64 = -1;

pub(super) async fn handle(call: Rc<Call>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let image = call.context.shards.image();
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = call.context.io.now().after(timeout);
    let planned = move || {
        let plan = plan(&image, request);
        let named: Vec<_> = plan.wanted.iter().map(|(id, _)| *id).collect();
        (plan, named)
    };
    let (Plan { mut response, wanted, places }, named) = call.compute(false, planned).await;
    let deleted = call.context.shards.delete_records(wanted).await;
    let deleted = wait_for_followers(&call, named, deleted, deadline).await;
    let fill = move || {
        for ((topic, partition), deleted) in places.into_iter().zip(deleted) {
            let partition = &mut response.topics[topic].partitions[partition];
            partition.error_code = super::for_names(deleted.error).code();
            partition.low_watermark = deleted.low_watermark.0;
        }
        response
    };
    call.compute(false, fill).await
}

/// Deleted is what no replica has that is alive. Followers hear of it with the next answer to their fetches.
async fn wait_for_followers(
    call: &Call,
    named: Vec<TopicIdPartition>,
    mut deleted: Vec<DeletedRecords>,
    deadline: Mono,
) -> Vec<DeletedRecords> {
    let is_behind = |deleted: &DeletedRecords| !deleted.error.is_error() && deleted.low_watermark < deleted.log_start;
    loop {
        let behind: Vec<usize> = (0..deleted.len()).filter(|&at| is_behind(&deleted[at])).collect();
        if behind.is_empty() {
            return deleted;
        }
        if call.context.io.now() >= deadline {
            for at in behind {
                deleted[at].error = ErrorCode::RequestTimedOut;
            }
            return deleted;
        }
        call.rest();
        call.context.io.sleep(FOLLOWERS_INTERVAL).await;
        // To the same offsets once more, which says how far the followers are.
        let again = behind.iter().map(|&at| (named[at], deleted[at].log_start)).collect();
        for (at, result) in behind.into_iter().zip(call.context.shards.delete_records(again).await) {
            deleted[at] = result;
        }
    }
}

/// What to delete, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: DeleteRecordsResponse,
    wanted: Vec<(TopicIdPartition, Offset)>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, request: DeleteRecordsRequest) -> Plan {
    let Plan { mut response, mut wanted, mut places } = Plan::default();
    // What is named twice is deleted once, up to the offset that comes last, as in Kafka.
    let named = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (&*topic.name, partition)));
    let offsets: BTreeMap<(&str, i32), i64> =
        named.map(|(name, partition)| ((name, partition.partition_index), partition.offset)).collect();
    let mut seen = BTreeSet::new();
    for topic_request in &request.topics {
        let topic = image.topic_by_name(&topic_request.name);
        // A topic that is named twice is in the answer once, and one without partitions not at all: in Kafka it is made of those.
        let known = response.topics.iter().position(|known| known.name == topic_request.name);
        let at = known.unwrap_or(response.topics.len());
        let mut partitions = known.map_or_else(Vec::new, |at| std::mem::take(&mut response.topics[at].partitions));
        for partition in &topic_request.partitions {
            let place = (&*topic_request.name, partition.partition_index);
            if !seen.insert(place) {
                continue;
            }
            let index = PartitionIndex(partition.partition_index);
            let error = match topic.filter(|topic| topic.partitions.contains_key(&index)) {
                // Nobody may cut the broker's own state.
                Some(topic) if super::is_internal(&topic.name) => ErrorCode::InvalidTopicException,
                Some(topic) => {
                    places.push((at, partitions.len()));
                    wanted.push((TopicIdPartition { topic_id: topic.id, partition: index }, Offset(offsets[&place])));
                    ErrorCode::None
                }
                None => ErrorCode::UnknownTopicOrPartition,
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: NO_WATERMARK,
                error_code: error.code(),
            });
        }
        match known {
            Some(at) => response.topics[at].partitions = partitions,
            None if partitions.is_empty() => {}
            None => response.topics.push(DeleteRecordsTopicResult { name: topic_request.name.clone(), partitions }),
        }
    }
    Plan { response, wanted, places }
}
