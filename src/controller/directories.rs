//! AssignReplicasToDirs (KIP-858): a broker says in which of its log directories replicas are.
//!
//! Clusters are not there yet, so nobody leaves the ISR because the directory is one that is offline.

use super::brokers::check_epoch;
use super::image::MetadataImage;
use super::{Command, DIRECTORY_UNASSIGNED, Decision, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, TopicIdPartition};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use crate::protocol::generated::assign_replicas_to_dirs_response as response;
use crate::protocol::generated::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, PartitionChangeRecord};
use std::collections::BTreeMap;

/// Decides on AssignReplicasToDirs. Each partition fails or succeeds by itself; what is so already makes no record.
pub(super) fn assign_replicas_to_dirs(image: &MetadataImage, request: &AssignReplicasToDirsRequest) -> Decision {
    let broker = BrokerId(request.broker_id);
    if let Err(error) = check_epoch(image, broker, request.broker_epoch) {
        let refused = AssignReplicasToDirsResponse { error_code: error.code(), ..AssignReplicasToDirsResponse::default() };
        return Decision { batches: vec![], reply: Reply::AssignReplicasToDirs(refused) };
    }
    let mut records = vec![];
    let mut answer = |directory: TopicId, topic: TopicId, partition_index: i32| {
        let error = match assign(image, broker, directory, topic, partition_index) {
            Ok(record) => {
                records.extend(record);
                ErrorCode::None
            }
            Err(error) => error,
        };
        response::PartitionData { partition_index, error_code: error.code() }
    };
    let mut of_topic = |directory: TopicId, topic: &TopicData| response::TopicData {
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|p| answer(directory, topic.topic_id, p.partition_index)).collect(),
    };
    let of_directory = |directory: &DirectoryData| response::DirectoryData {
        id: directory.id,
        topics: directory.topics.iter().map(|topic| of_topic(directory.id, topic)).collect(),
    };
    let directories = request.directories.iter().map(of_directory).collect();
    let told = AssignReplicasToDirsResponse { directories, ..AssignReplicasToDirsResponse::default() };
    Decision { batches: batches(records), reply: Reply::AssignReplicasToDirs(told) }
}

/// The command by which a broker says in which of its log directories, by their ids, replicas are.
pub fn assign_dirs(broker: BrokerId, epoch: i64, places: &[(TopicIdPartition, TopicId)]) -> Command {
    let mut by_dir: BTreeMap<TopicId, BTreeMap<TopicId, Vec<PartitionData>>> = BTreeMap::new();
    for (id, directory) in places {
        let partitions = by_dir.entry(*directory).or_default().entry(id.topic_id).or_default();
        partitions.push(PartitionData { partition_index: id.partition.0 });
    }
    let topic = |(topic_id, partitions)| TopicData { topic_id, partitions };
    let directory =
        |(id, topics): (TopicId, BTreeMap<_, _>)| DirectoryData { id, topics: topics.into_iter().map(topic).collect() };
    Command::AssignReplicasToDirs(AssignReplicasToDirsRequest {
        broker_id: broker.0,
        broker_epoch: epoch,
        directories: by_dir.into_iter().map(directory).collect(),
    })
}

/// How many partitions a request names.
pub(super) fn size(request: &AssignReplicasToDirsRequest) -> usize {
    request.directories.iter().flat_map(|directory| &directory.topics).map(|topic| 1 + topic.partitions.len()).sum()
}

fn assign(
    image: &MetadataImage,
    broker: BrokerId,
    directory: TopicId,
    topic: TopicId,
    index: i32,
) -> Result<Option<MetadataRecord>, ErrorCode> {
    let topic = image.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let partition = topic.partitions.get(&PartitionIndex(index)).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let place = partition.replicas.iter().position(|id| *id == broker).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let mut directories = partition.directories.clone();
    directories.resize(partition.replicas.len(), DIRECTORY_UNASSIGNED);
    if std::mem::replace(&mut directories[place], directory) == directory {
        return Ok(None);
    }
    let change = PartitionChangeRecord {
        partition_id: index,
        topic_id: topic.id,
        directories: Some(directories),
        ..PartitionChangeRecord::default()
    };
    Ok(Some(change.into()))
}
