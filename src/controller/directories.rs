//! AssignReplicasToDirs (73): a broker tells in which of its log directories replicas are (KIP-858).
//!
//! A broker of several directories chooses one for a new replica and moves replicas between them; only it knows. A replica in a directory
//! that is not online is lost to the partition, so its broker leaves the ISR by the same change; unless it is alone.

use super::fencing::check_broker_epoch;
use super::image::{Broker, MetadataImage};
use super::partition_change::{PartitionChange, TopicRules};
use super::{Command, Context, Decision, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, TopicIdPartition};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::assign_replicas_to_dirs_request as request;
use crate::protocol::generated::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use crate::protocol::generated::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, PartitionChangeRecord};
use std::collections::{BTreeMap, BTreeSet};

/// The command by which a broker says in which of its log directories, by their ids, replicas are.
pub fn assign_dirs(broker: BrokerId, epoch: i64, places: &[(TopicIdPartition, TopicId)]) -> Command {
    let mut by_dir: BTreeMap<TopicId, BTreeMap<TopicId, Vec<request::PartitionData>>> = BTreeMap::new();
    for (id, directory) in places {
        let partitions = by_dir.entry(*directory).or_default().entry(id.topic_id).or_default();
        partitions.push(request::PartitionData { partition_index: id.partition.0 });
    }
    let topic = |(topic_id, partitions)| request::TopicData { topic_id, partitions };
    let directory =
        |(id, topics): (TopicId, BTreeMap<_, _>)| request::DirectoryData { id, topics: topics.into_iter().map(topic).collect() };
    Command::AssignReplicasToDirs(AssignReplicasToDirsRequest {
        broker_id: broker.0,
        broker_epoch: epoch,
        directories: by_dir.into_iter().map(directory).collect(),
    })
}

/// Things that a request names.
pub(super) fn size(request: &AssignReplicasToDirsRequest) -> usize {
    let topics = request.directories.iter().flat_map(|directory| &directory.topics);
    topics.map(|topic| 1 + topic.partitions.len()).sum()
}

/// Decides on AssignReplicasToDirs. Each partition fails or succeeds by itself.
pub(super) fn assign_replicas_to_dirs(
    image: &MetadataImage,
    request: &AssignReplicasToDirsRequest,
    context: &Context<'_>,
) -> Decision {
    let broker = match check_broker_epoch(image, request.broker_id, request.broker_epoch) {
        Ok(broker) => broker,
        Err(Refusal(code, _)) => {
            let response = AssignReplicasToDirsResponse { error_code: code.code(), ..AssignReplicasToDirsResponse::default() };
            return Decision { batches: vec![], reply: Reply::AssignReplicasToDirs(response) };
        }
    };
    let mut records: Vec<MetadataRecord> = vec![];
    // A replica is in one directory, and a second change would not know of the first.
    let mut changed: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    let mut assign = |directory: TopicId, topic: TopicId, partition_index: i32| {
        let error = match assign(image, broker, directory, topic, PartitionIndex(partition_index), context) {
            Ok(Some(_)) if !changed.insert((topic, partition_index)) => ErrorCode::InvalidRequest,
            Ok(record) => {
                records.extend(record.map(MetadataRecord::from));
                ErrorCode::None
            }
            Err(error) => error,
        };
        PartitionData { partition_index, error_code: error.code() }
    };
    let mut directories = Vec::with_capacity(request.directories.len());
    for directory in &request.directories {
        let mut topics = Vec::with_capacity(directory.topics.len());
        for topic in &directory.topics {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
            let partitions = indexes.map(|index| assign(directory.id, topic.topic_id, index)).collect();
            topics.push(TopicData { topic_id: topic.topic_id, partitions });
        }
        directories.push(DirectoryData { id: directory.id, topics });
    }
    let response = AssignReplicasToDirsResponse { directories, ..AssignReplicasToDirsResponse::default() };
    Decision { batches: batches(records), reply: Reply::AssignReplicasToDirs(response) }
}

fn assign(
    image: &MetadataImage,
    broker: &Broker,
    directory: TopicId,
    topic: TopicId,
    index: PartitionIndex,
    context: &Context<'_>,
) -> Result<Option<PartitionChangeRecord>, ErrorCode> {
    let topic = image.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.replicas.contains(&broker.id) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let rules = TopicRules::of(image, topic, context);
    let mut change = PartitionChange::new(image, rules, topic.id, index, partition);
    change.place(broker.id, directory);
    if !rules.is_alone && !broker.has_online_dir(directory) {
        change.election = rules.election();
        change.remove(broker.id);
    }
    Ok(change.build())
}
