//! AlterReplicaLogDirs (34), versions 1 to 2: partitions move to other log dirs of this broker (KIP-113).
//!
//! Which log dir a partition that is not there yet shall have (Kafka keeps that in mind for when it comes) is not noted: it matters
//! when a replica comes from another broker, and there is none yet.

use super::Call;
use super::describe_log_dirs::name_of;
use crate::controller::MetadataImage;
use crate::model::{ErrorCode, PartitionIndex, TopicIdPartition, TopicPartition};
use crate::protocol::generated::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use crate::protocol::generated::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use crate::shard::{LogDirState, Shards};
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) async fn handle(call: Rc<Call>, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let shards = &call.context.shards;
    let (image, dirs) = (shards.image(), shards.log_dirs());
    let Plan { mut response, wanted, places } = call.compute(false, move || plan(&image, &dirs, &request)).await;
    let altered = shards.alter_log_dirs(wanted).await;
    let fill = move || {
        for ((topic, partition), error) in places.into_iter().zip(altered) {
            response.results[topic].partitions[partition].error_code = told(error).code();
        }
        response
    };
    call.compute(false, fill).await
}

/// As Kafka says it, whose tools ask again then.
fn told(error: ErrorCode) -> ErrorCode {
    match super::for_names(error) {
        ErrorCode::NotLeaderOrFollower => ErrorCode::ReplicaNotAvailable,
        other => other,
    }
}

/// What to move and where to, and where in the response each result belongs: topic and partition.
#[derive(Default)]
struct Plan {
    response: AlterReplicaLogDirsResponse,
    wanted: Vec<(TopicIdPartition, usize)>,
    places: Vec<(usize, usize)>,
}

fn plan(image: &MetadataImage, dirs: &[LogDirState], request: &AlterReplicaLogDirsRequest) -> Plan {
    // Of what is named twice the last one counts, as in Kafka.
    let mut paths: BTreeMap<(&str, i32), &str> = BTreeMap::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            paths.extend(topic.partitions.iter().map(|&partition| ((&*topic.name, partition), &*dir.path)));
        }
    }
    let names: Vec<String> = dirs.iter().map(name_of).collect();
    let mut plan = Plan::default();
    for ((name, partition_index), path) in paths {
        let results = &mut plan.response.results;
        if results.last().is_none_or(|topic| topic.topic_name != name) {
            results.push(AlterReplicaLogDirTopicResult { topic_name: name.into(), partitions: Vec::new() });
        }
        let topic = results.len() - 1;
        let partitions = &mut results[topic].partitions;
        let error_code = match judge(image, dirs, &names, (name, partition_index), path) {
            Ok(wanted) => {
                plan.wanted.push(wanted);
                plan.places.push((topic, partitions.len()));
                ErrorCode::None
            }
            Err(error) => error,
        };
        partitions.push(AlterReplicaLogDirPartitionResult { partition_index, error_code: error_code.code() });
    }
    plan
}

/// What can be said without asking the partition. `names` are those of `dirs`.
fn judge(
    image: &MetadataImage,
    dirs: &[LogDirState],
    names: &[String],
    (name, partition): (&str, i32),
    path: &str,
) -> Result<(TopicIdPartition, usize), ErrorCode> {
    let partition = PartitionIndex(partition);
    if !Shards::may_move(&TopicPartition::new(name, partition)) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let dir = names.iter().position(|known| known == path).ok_or(ErrorCode::LogDirNotFound)?;
    if dirs[dir].is_offline {
        return Err(ErrorCode::KafkaStorageError);
    }
    let topic = image.topic_by_name(name).filter(|topic| topic.partitions.contains_key(&partition));
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok((TopicIdPartition { topic_id: topic.id, partition }, dir))
}
