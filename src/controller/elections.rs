//! ElectLeaders: a partition gets its preferred leader, or any where there is none; and the elections that the controller holds by
//! itself from time to time.

use super::image::{MetadataImage, Partition, Topic};
use super::partition_change::{Election, PartitionChange, TopicRules};
use super::{Context, Decision, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::protocol::generated::{ElectLeadersRequest, ElectLeadersResponse};

/// Types of elections (KIP-460).
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Most elections of one tick, as in Kafka.
pub(super) const MAX_ELECTIONS: usize = 1000;

/// Things that a request names; all partitions are very many.
pub(super) fn size(request: &ElectLeadersRequest) -> usize {
    request.topic_partitions.as_ref().map_or(usize::MAX, |topics| topics.iter().map(|topic| 1 + topic.partitions.len()).sum())
}

/// Decides on ElectLeaders. Each partition fails or succeeds by itself.
pub(super) fn elect_leaders(image: &MetadataImage, request: &ElectLeadersRequest, context: &Context<'_>) -> Decision {
    let is_about_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    if !is_about_nothing && !matches!(request.election_type, PREFERRED | UNCLEAN) {
        return Decision { batches: vec![], reply: Reply::ElectLeaders(refuse_all(request)) };
    }
    let mut records = vec![];
    let mut elect = |topic: &str, index: i32| match elect(image, topic, index, request.election_type, context) {
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

fn elect(image: &MetadataImage, name: &str, index: i32, election: i8, context: &Context<'_>) -> Result<MetadataRecord, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = image.topic_by_name(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let index = PartitionIndex(index);
    let partition = topic.partitions.get(&index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let is_needed = match election {
        PREFERRED => !has_preferred_leader(partition),
        _ => partition.leader.is_none(),
    };
    if !is_needed {
        return Err(Refusal::new(ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition."));
    }
    let mut change = PartitionChange::new(image, TopicRules::of(image, topic, context), topic.id, index, partition);
    change.election = if election == PREFERRED { Election::Preferred } else { Election::Unclean };
    match change.build() {
        Some(record) => Ok(record.into()),
        None if election == PREFERRED => {
            Err(Refusal::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available."))
        }
        None => {
            let text = "Eligible topic partition leaders are not available.";
            Err(Refusal::new(ErrorCode::EligibleLeadersNotAvailable, text))
        }
    }
}

fn has_preferred_leader(partition: &Partition) -> bool {
    partition.leader.is_some() && partition.leader == partition.replicas.first().copied()
}

/// Gives partitions back to their preferred leaders (`auto.leader.rebalance.enable`), as far as these are in sync.
pub(super) fn balance_leaders(image: &MetadataImage, context: &Context<'_>) -> Decision {
    let is_preferable = |partition: &Partition| !has_preferred_leader(partition) && has_candidate(image, partition);
    elect_some(image, context, Election::Preferred, |_| true, is_preferable)
}

/// Whether a preferred election can come to anything: the first replica is active and in sync, or anybody may be looked for.
fn has_candidate(image: &MetadataImage, partition: &Partition) -> bool {
    let is_in_sync = |id: &BrokerId| partition.isr.contains(id) && image.is_active(*id);
    partition.leader.is_none() || partition.replicas.first().is_some_and(is_in_sync)
}

/// Finds leaders for partitions that have none and whose topic would rather lose records than wait for who has them.
pub(super) fn elect_unclean_leaders(image: &MetadataImage, context: &Context<'_>) -> Decision {
    let allows = |rules: TopicRules| rules.allows_unclean;
    elect_some(image, context, Election::Unclean, allows, |partition| partition.leader.is_none())
}

fn elect_some(
    image: &MetadataImage,
    context: &Context<'_>,
    election: Election,
    is_allowed: impl Fn(TopicRules) -> bool,
    is_needed: impl Fn(&Partition) -> bool,
) -> Decision {
    let mut records: Vec<MetadataRecord> = vec![];
    for topic in image.topics() {
        let needed = topic.partitions.iter().filter(|(_, partition)| is_needed(partition));
        let mut rules = None;
        for (index, partition) in needed {
            let rules = *rules.get_or_insert_with(|| TopicRules::of(image, topic, context));
            if !is_allowed(rules) || records.len() == MAX_ELECTIONS {
                break;
            }
            let mut change = PartitionChange::new(image, rules, topic.id, *index, partition);
            change.election = election;
            records.extend(change.build().map(MetadataRecord::from));
        }
    }
    let more = records.len() == MAX_ELECTIONS;
    Decision { batches: batches(records), reply: Reply::Ticked { more } }
}
