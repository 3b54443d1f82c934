//! ElectLeaders: a partition gets its preferred leader, or any where there is none.

use super::image::{MetadataImage, Partition, Topic};
use super::{Decision, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::protocol::generated::{ElectLeadersRequest, ElectLeadersResponse, PartitionChangeRecord};

/// Types of elections (KIP-460).
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Recovery state of a partition whose leader may have lost records.
const RECOVERING: i8 = 1;

/// Things that a request names; all partitions are very many.
pub(super) fn size(request: &ElectLeadersRequest) -> usize {
    request.topic_partitions.as_ref().map_or(usize::MAX, |topics| topics.iter().map(|topic| 1 + topic.partitions.len()).sum())
}

/// Decides on ElectLeaders. Each partition fails or succeeds by itself.
pub(super) fn elect_leaders(image: &MetadataImage, request: &ElectLeadersRequest) -> Decision {
    let is_about_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    if !is_about_nothing && !matches!(request.election_type, PREFERRED | UNCLEAN) {
        return Decision { batches: vec![], reply: Reply::ElectLeaders(refuse_all(request)) };
    }
    let mut records = vec![];
    let mut elect = |topic: &str, index: i32| match elect(image, topic, index, request.election_type) {
        Ok(record) => {
            records.push(record);
            result(index, None)
        }
        Err(refusal) => result(index, Some(refusal)),
    };
    let results = match &request.topic_partitions {
        // Those that have the leader they should have are left out.
        None => {
            let of = |topic: &Topic| {
                let all = topic.partitions.keys().map(|index| elect(&topic.name, index.0));
                let told = all.filter(|result| result.error_code != ErrorCode::ElectionNotNeeded.code());
                ReplicaElectionResult { topic: (&*topic.name).into(), partition_result: told.collect() }
            };
            image.topics().map(|topic| &**topic).map(of).collect()
        }
        Some(topics) => {
            let of = |topic: &crate::protocol::generated::elect_leaders_request::TopicPartitions| ReplicaElectionResult {
                topic: topic.topic.clone(),
                partition_result: topic.partitions.iter().map(|index| elect(&topic.topic, *index)).collect(),
            };
            topics.iter().map(of).collect()
        }
    };
    let response = ElectLeadersResponse { replica_election_results: results, ..ElectLeadersResponse::default() };
    Decision { batches: batches(records), reply: Reply::ElectLeaders(response) }
}

/// The answer to a type of election that nobody knows.
fn refuse_all(request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let text = format!("Unknown election type {}", request.election_type);
    let refusal = || Some(Refusal::new(ErrorCode::InvalidRequest, text.clone()));
    let results = request.topic_partitions.iter().flatten().map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic.partitions.iter().map(|index| result(*index, refusal())).collect(),
    });
    ElectLeadersResponse {
        error_code: ErrorCode::InvalidRequest.code(),
        replica_election_results: results.collect(),
        ..ElectLeadersResponse::default()
    }
}

fn result(index: i32, refusal: Option<Refusal>) -> PartitionResult {
    let Refusal(code, text) = refusal.unwrap_or(Refusal(ErrorCode::None, None));
    PartitionResult { partition_id: index, error_code: code.code(), error_message: text.map(Into::into) }
}

fn elect(image: &MetadataImage, name: &str, index: i32, election: i8) -> Result<MetadataRecord, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = image.topic_by_name(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic.partitions.get(&PartitionIndex(index));
    let partition = partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let preferred = partition.replicas.first().copied();
    let is_needed = match election {
        PREFERRED => partition.leader != preferred,
        _ => partition.leader.is_none(),
    };
    if !is_needed {
        return Err(Refusal::new(ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition."));
    }
    let change =
        PartitionChangeRecord { partition_id: index, topic_id: topic.id, leader: -1, ..PartitionChangeRecord::default() };
    match (choose(image, partition, election), election) {
        (Some((leader, true)), _) => Ok(PartitionChangeRecord { leader: leader.0, ..change }.into()),
        // It leads with what it has, which may be less than what others had.
        (Some((leader, false)), _) => {
            let (isr, leader_recovery_state) = (Some(vec![leader.0]), RECOVERING);
            Ok(PartitionChangeRecord { leader: leader.0, isr, leader_recovery_state, ..change }.into())
        }
        (None, PREFERRED) => Err(Refusal::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.")),
        (None, _) => {
            let text = "Eligible topic partition leaders are not available.";
            Err(Refusal::new(ErrorCode::EligibleLeadersNotAvailable, text))
        }
    }
}

/// Who shall lead, and whether it is in sync.
fn choose(image: &MetadataImage, partition: &Partition, election: i8) -> Option<(BrokerId, bool)> {
    let active = || partition.replicas.iter().copied().filter(|id| image.is_active(*id));
    // A partition that is led stays so unless the preferred leader can take over; without a leader anybody in sync will do.
    let candidates = if partition.leader.is_some() { 1 } else { partition.replicas.len() };
    let preferred = &partition.replicas[..candidates.min(partition.replicas.len())];
    let in_sync = active().find(|id| partition.isr.contains(id) && preferred.contains(id));
    match in_sync {
        Some(id) => Some((id, true)),
        None if election == UNCLEAN => active().next().map(|id| (id, false)),
        None => None,
    }
}
