//! CreateTopics: every rule for a new topic, and the records that make it.

use super::configs;
use super::image::{ConfigResource, MetadataImage};
use super::partitions::{check_manual_assignment, partition_record};
use super::placement::place;
use super::{Context, Decision, MAX_PARTITIONS_PER_REQUEST, MAX_RECORDS_PER_BATCH, Refusal, Reply};
use crate::model::{BrokerId, ErrorCode, TopicId, validate_topic_name};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::create_topics_request::CreatableTopic;
use crate::protocol::generated::create_topics_response::CreatableTopicResult;
use crate::protocol::generated::{CreateTopicsRequest, CreateTopicsResponse, TopicRecord};
use std::collections::{BTreeMap, BTreeSet};

/// The log of the metadata themselves, which nobody creates.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Decides on CreateTopics. Each topic fails or succeeds by itself; all that succeed are one batch.
pub(super) fn create_topics(image: &MetadataImage, request: &CreateTopicsRequest, context: &mut Context<'_>) -> Decision {
    let mut records = vec![];
    let results = match check_request(request, context) {
        Err(refusal) => request.topics.iter().map(|topic| refused(topic, &refusal)).collect(),
        Ok(duplicates) => {
            let collisions = Collisions::of(image, request);
            let mut results = vec![];
            for topic in request.topics.iter().filter(|topic| !duplicates.contains(&*topic.name)) {
                results.push(match create_topic(image, topic, &collisions, context) {
                    Ok((result, own)) => {
                        records.extend(own);
                        result
                    }
                    Err(refusal) => refused(topic, &refusal),
                });
            }
            // A name that comes twice is answered once, behind the others.
            let duplicate = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
            let named = |name: &&str| CreatableTopic { name: (*name).into(), ..CreatableTopic::default() };
            results.extend(duplicates.iter().map(|name| refused(&named(name), &duplicate)));
            results
        }
    };
    let too_large = records.len() > MAX_RECORDS_PER_BATCH;
    let results = if too_large {
        let refusal = Refusal::new(ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation.");
        request.topics.iter().map(|topic| refused(topic, &refusal)).collect()
    } else {
        results
    };
    let nothing = too_large || request.validate_only || records.is_empty();
    Decision {
        batches: if nothing { vec![] } else { vec![records] },
        reply: Reply::CreateTopics(CreateTopicsResponse { throttle_time_ms: 0, topics: results }),
    }
}

/// Names that come more than once, or why the whole request is refused.
fn check_request<'a>(request: &'a CreateTopicsRequest, context: &Context<'_>) -> Result<BTreeSet<&'a str>, Refusal> {
    let partitions = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => context.num_partitions.max(0) as usize,
        asked => asked.max(0) as usize,
    };
    let mut total = 0usize;
    let (mut seen, mut duplicates) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        total = total.saturating_add(partitions(topic));
        if !seen.insert(&*topic.name) {
            duplicates.insert(&*topic.name);
        }
    }
    if total > MAX_PARTITIONS_PER_REQUEST {
        return Err(Refusal::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request."));
    }
    Ok(duplicates)
}

/// Names that differ from others only in `.` and `_`, which metrics cannot tell apart.
struct Collisions(BTreeMap<String, String>);

impl Collisions {
    fn of(image: &MetadataImage, request: &CreateTopicsRequest) -> Self {
        if !request.topics.iter().any(|topic| has_collision_chars(&topic.name)) {
            return Self(BTreeMap::new());
        }
        let names = image.topics().map(|topic| topic.name.to_string()).filter(|name| has_collision_chars(name));
        Self(names.map(|name| (name.replace('.', "_"), name)).collect())
    }

    fn with(&self, name: &str) -> Option<&str> {
        has_collision_chars(name).then(|| self.0.get(&name.replace('.', "_")).map(String::as_str)).flatten()
    }
}

fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn create_topic(
    image: &MetadataImage,
    topic: &CreatableTopic,
    collisions: &Collisions,
    context: &mut Context<'_>,
) -> Result<(CreatableTopicResult, Vec<MetadataRecord>), Refusal> {
    let name = &*topic.name;
    check_name(image, name, collisions)?;
    let configs: Vec<(&str, Option<&str>)> = topic.configs.iter().map(|c| (&*c.name, c.value.as_deref())).collect();
    (context.judge_configs)(&configs).map_err(|text| Refusal::new(ErrorCode::InvalidConfig, text))?;
    let partitions = match topic.assignments.is_empty() {
        true => placed(image, topic, context)?,
        false => assigned(image, topic)?,
    };
    context.allowance.take(partitions.len())?;
    let id = context.topic_id();
    let mut records = vec![topic_record(name, id)];
    // A config that is named twice has the last value; one record each, before the partitions.
    let configs: BTreeMap<&str, &str> = configs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let resource = ConfigResource::Topic(name.into());
    records.extend(configs.into_iter().map(|(key, value)| configs::record(&resource, key, Some(value)).into()));
    let result = CreatableTopicResult {
        name: topic.name.clone(),
        topic_id: id,
        error_message: None,
        num_partitions: partitions.len() as i32,
        replication_factor: partitions[0].len() as i16,
        ..CreatableTopicResult::default()
    };
    records.extend((0..).zip(partitions).map(|(index, replicas)| partition_record(image, id, index, &replicas).into()));
    Ok((result, records))
}

fn check_name(image: &MetadataImage, name: &str, collisions: &Collisions) -> Result<(), Refusal> {
    if name == METADATA_TOPIC {
        let text = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    if image.topic_by_name(name).is_some() {
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    if let Err(reason) = validate_topic_name(name) {
        return Err(Refusal::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}")));
    }
    if let Some(other) = collisions.with(name) {
        let text = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Refusal::new(ErrorCode::InvalidTopicException, text));
    }
    Ok(())
}

/// Replicas where the client has chosen them.
fn assigned(image: &MetadataImage, topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if topic.replication_factor != -1 {
        let text = "A manual partition assignment was specified, but replication factor was not set to -1.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    if topic.num_partitions != -1 {
        let text = "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, text);
    let mut partitions: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if partitions.contains_key(&index) {
            return Err(invalid(format!("Found multiple manual partition assignments for partition {index}")));
        }
        let replicas = check_manual_assignment(image, &assignment.broker_ids, factor, index)?;
        factor = Some(replicas.len());
        partitions.insert(index, replicas);
    }
    if !(0..).zip(partitions.keys()).all(|(expected, index)| expected == *index) {
        return Err(invalid("partitions should be a consecutive 0-based integer sequence".to_owned()));
    }
    Ok(partitions.into_values().collect())
}

/// Replicas where the controller chooses them.
fn placed(image: &MetadataImage, topic: &CreatableTopic, context: &mut Context<'_>) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let factor = match topic.replication_factor {
        -1 => context.default_replication_factor,
        factor @ 1.. => factor.into(),
        _ => {
            let text = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text));
        }
    };
    let count = match topic.num_partitions {
        -1 => context.num_partitions,
        count @ 1.. => count,
        _ => {
            let text = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::new(ErrorCode::InvalidPartitions, text));
        }
    };
    let replicas = place(image, count as usize, factor as usize, (context.random)()).map_err(|reason| {
        let text = format!("Unable to replicate the partition {factor} time(s): {reason}");
        Refusal::new(ErrorCode::InvalidReplicationFactor, text)
    })?;
    if !replicas.iter().all(|replicas| replicas.iter().any(|id| image.is_active(*id))) {
        let text = format!(
            "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled shutdown."
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text));
    }
    Ok(replicas)
}

fn topic_record(name: &str, id: TopicId) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: id, ..TopicRecord::default() }.into()
}

fn refused(topic: &CreatableTopic, refusal: &Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: refusal.0.code(),
        error_message: refusal.1.as_deref().map(Into::into),
        ..CreatableTopicResult::default()
    }
}
