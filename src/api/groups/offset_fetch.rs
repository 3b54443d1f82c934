//! OffsetFetch (9), versions 1 to 10: how far groups have read.
//!
//! There are no transactions yet, so no offset waits for the end of one, and `require_stable` asks for nothing more.

use super::{give_way, parts};
use crate::api::Call;
use crate::api::context::text;
use crate::controller::MetadataImage;
use crate::group::{Committed, GroupId};
use crate::model::{ErrorCode, PartitionIndex, TopicId, TopicPartition};
use crate::protocol::StrBytes;
use crate::protocol::generated::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::protocol::generated::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::shard::WantedOffsets;
use std::rc::Rc;

/// Several groups a request from this version on (KIP-709).
const SEVERAL_GROUPS: i16 = 8;
/// Topics are named by their ids from this version on (KIP-848).
const TOPIC_IDS: i16 = 10;
/// The answer has an error for all from this version on.
const TOP_ERROR: i16 = 2;
/// "Nothing was committed."
const NO_OFFSET: i64 = -1;

/// What was committed, in the order of what was asked for, or all of it.
type Found = Vec<(TopicPartition, Option<Committed>)>;

pub(in crate::api) async fn handle(call: Rc<Call>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let (version, image) = (call.version(), call.context.shards.image());
    let mut groups = Vec::new();
    for (index, group) in groups_of(version, request).into_iter().enumerate() {
        let known = image.clone();
        let (plan, wanted) = call.compute(false, move || Plan::new(version, &known, group)).await;
        let found = find(&call, &plan.group, wanted).await;
        let known = image.clone();
        groups.push(call.compute(false, move || plan.tell(version, &known, found)).await);
        give_way(&call, index).await;
    }
    match version < SEVERAL_GROUPS {
        true => single(version, groups.pop().expect("old versions ask for one group")),
        false => OffsetFetchResponse { groups, ..Default::default() },
    }
}

/// What a group has committed for `wanted`, or all of it.
async fn find(call: &Call, group: &str, wanted: Option<Vec<TopicPartition>>) -> Result<Found, ErrorCode> {
    let (shards, group) = (&call.context.shards, GroupId::from(group));
    let Some(wanted) = wanted else { return shards.all_group_offsets(&group).await };
    let mut found = Found::with_capacity(wanted.len());
    for part in parts(&wanted) {
        found.extend(shards.group_offsets(&group, WantedOffsets::Of(part.to_vec())).await?);
    }
    Ok(found)
}

/// The groups that are asked for, as the newer versions have them.
fn groups_of(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchRequestGroup> {
    if version >= SEVERAL_GROUPS {
        return request.groups;
    }
    let topics =
        request.topics.map(|topics| {
            let topic = |topic: crate::protocol::generated::offset_fetch_request::OffsetFetchRequestTopic| {
                OffsetFetchRequestTopics { name: topic.name, partition_indexes: topic.partition_indexes, ..Default::default() }
            };
            topics.into_iter().map(topic).collect()
        });
    vec![OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() }]
}

/// What one group is asked for.
struct Plan {
    group: StrBytes,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Plan {
    /// And every partition of `topics` whose topic is known.
    fn new(version: i16, image: &MetadataImage, asked: OffsetFetchRequestGroup) -> (Self, Option<Vec<TopicPartition>>) {
        let wanted = asked.topics.as_ref().map(|topics| {
            let mut wanted = Vec::new();
            for topic in topics {
                let Some(name) = name_of(version, image, topic) else { continue };
                wanted.extend(topic.partition_indexes.iter().map(|&index| TopicPartition::new(&*name, PartitionIndex(index))));
            }
            wanted
        });
        (Self { group: asked.group_id, topics: asked.topics }, wanted)
    }

    fn tell(self, version: i16, image: &MetadataImage, found: Result<Found, ErrorCode>) -> OffsetFetchResponseGroup {
        let response = OffsetFetchResponseGroup { group_id: self.group, ..Default::default() };
        match (found, self.topics) {
            (Err(error), Some(topics)) if version < TOP_ERROR => {
                OffsetFetchResponseGroup { topics: topics.into_iter().map(|topic| refused(topic, error)).collect(), ..response }
            }
            (Err(error), _) => OffsetFetchResponseGroup { error_code: error.code(), ..response },
            (Ok(found), None) => OffsetFetchResponseGroup { topics: all(version, image, found), ..response },
            (Ok(found), Some(topics)) => {
                let mut found = found.into_iter();
                let tell = |topic: OffsetFetchRequestTopics| match name_of(version, image, &topic) {
                    None => refused(topic, ErrorCode::UnknownTopicId),
                    Some(_) => asked_for(topic, &mut found),
                };
                OffsetFetchResponseGroup { topics: topics.into_iter().map(tell).collect(), ..response }
            }
        }
    }
}

/// The name of a topic that may be asked for by id; `None` if the id is not known. A name need not be known.
fn name_of(version: i16, image: &MetadataImage, topic: &OffsetFetchRequestTopics) -> Option<StrBytes> {
    match version >= TOPIC_IDS {
        true => image.topic_by_id(topic.topic_id).map(|known| text(&known.name)),
        false => Some(topic.name.clone()),
    }
}

fn refused(topic: OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partition = |&index: &i32| OffsetFetchResponsePartitions { error_code: error.code(), ..nothing(index) };
    let partitions = topic.partition_indexes.iter().map(partition).collect();
    OffsetFetchResponseTopics { name: topic.name, topic_id: topic.topic_id, partitions, ..Default::default() }
}

fn asked_for(
    topic: OffsetFetchRequestTopics,
    found: &mut impl Iterator<Item = (TopicPartition, Option<Committed>)>,
) -> OffsetFetchResponseTopics {
    let id = topic.topic_id;
    // What was committed to an earlier topic of the name says nothing about this one.
    let is_meant = |committed: &Committed| id.is_zero() || committed.topic_id.is_zero() || committed.topic_id == id;
    let tell = |&index: &i32| {
        let (_, committed) = found.next().expect("an answer for each partition");
        committed.filter(is_meant).map_or_else(|| nothing(index), |committed| told(index, &committed))
    };
    let partitions = topic.partition_indexes.iter().map(tell).collect();
    OffsetFetchResponseTopics { name: topic.name, topic_id: id, partitions, ..Default::default() }
}

/// All that a group has committed, topic by topic; by ids only what is still there.
fn all(version: i16, image: &MetadataImage, found: Found) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for (partition, committed) in found {
        let Some(committed) = committed else { continue };
        let told = told(partition.partition.0, &committed);
        let name = text(&partition.topic);
        if let Some(last) = topics.last_mut().filter(|last| last.name == name) {
            last.partitions.push(told);
            continue;
        }
        let topic_id = match version >= TOPIC_IDS {
            true => image.topic_by_name(&name).map_or(TopicId::ZERO, |topic| topic.id),
            false => TopicId::ZERO,
        };
        topics.push(OffsetFetchResponseTopics { name, topic_id, partitions: vec![told], ..Default::default() });
    }
    topics.retain(|topic| version < TOPIC_IDS || !topic.topic_id.is_zero());
    topics
}

fn nothing(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        metadata: Some(StrBytes::EMPTY),
        ..Default::default()
    }
}

fn told(partition_index: i32, committed: &Committed) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch,
        metadata: Some(text(&committed.metadata)),
        ..Default::default()
    }
}

/// The answer of the versions that ask for one group.
fn single(version: i16, group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |one: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: one.error_code,
        ..Default::default()
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    let error_code = if version < TOP_ERROR { ErrorCode::None.code() } else { group.error_code };
    OffsetFetchResponse { topics: group.topics.into_iter().map(topic).collect(), error_code, ..Default::default() }
}
