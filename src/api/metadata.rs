//! Metadata (3), versions 0 to 13: who leads what. Clients start here, and topics may be created by asking for them.

use super::Call;
use super::context::text;
use super::internal_topics::{creatable, create};
use crate::config::BrokerConfig;
use crate::controller::{MetadataImage, Partition, Topic};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, validate_topic_name};
use crate::protocol::generated::create_topics_request::CreateTopicsRequest;
use crate::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use crate::protocol::generated::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What everybody may do on a topic where nothing is forbidden, as bits of Kafka's operation codes: read, write, create, delete,
/// alter, describe, describe and alter configs (KIP-430).
pub(super) const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same on the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
/// "Not asked for" in a response.
pub(super) const NO_OPERATIONS: i32 = i32::MIN;

/// Topics and partitions that are described in one go.
const MANY: usize = 1000;

pub(super) async fn handle(call: Rc<Call>, request: MetadataRequest) -> MetadataResponse {
    let version = call.version();
    let context = &call.context;
    let MetadataRequest { topics, allow_auto_topic_creation, .. } = request;
    let mut wanted = match call.compute(false, move || what_is_wanted(version, topics)).await {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    if (version < 4 || allow_auto_topic_creation) && context.config.auto_create_topics_enable() {
        wanted = create_missing(&call, wanted).await;
    }
    let image = context.shards.image();
    let broker = |node: super::context::Node| MetadataResponseBroker {
        node_id: node.id.0,
        host: node.host,
        port: node.port,
        rack: node.rack,
    };
    let asked = (8..=10).contains(&version) && request.include_cluster_authorized_operations;
    let response = MetadataResponse {
        brokers: context.nodes(&image, &call.connection).into_iter().map(broker).collect(),
        cluster_id: Some(text(context.shards.cluster_id())),
        controller_id: context.controller_id(&image),
        cluster_authorized_operations: if asked { CLUSTER_OPERATIONS } else { NO_OPERATIONS },
        ..Default::default()
    };
    let with_operations = request.include_topic_authorized_operations;
    let is_long = call.is_long() || has_many(&image, wanted.as_deref());
    let describe = move || MetadataResponse { topics: describe_all(&image, wanted.as_deref(), with_operations), ..response };
    call.compute(is_long, describe).await
}

/// The topics that are asked for, each once, `None` for all of them; or what a request gets that misuses ids.
fn what_is_wanted(
    version: i16,
    topics: Option<Vec<MetadataRequestTopic>>,
) -> Result<Option<Vec<MetadataRequestTopic>>, MetadataResponse> {
    let Some(topics) = topics else { return Ok(None) };
    // Since version 12 a topic may be named by its id alone.
    let misused = |topic: &MetadataRequestTopic| version < 12 && (!topic.topic_id.is_zero() || topic.name.is_none());
    if topics.iter().any(misused) {
        // A name is never null in these versions, in the answer neither.
        let name = |topic: &MetadataRequestTopic| topic.name.as_deref().unwrap_or_default().to_owned();
        let refuse = |topic: &MetadataRequestTopic| nothing(ErrorCode::InvalidRequest, Some(&name(topic)), topic.topic_id);
        return Err(MetadataResponse { topics: topics.iter().map(refuse).collect(), ..Default::default() });
    }
    if version == 0 && topics.is_empty() {
        return Ok(None);
    }
    Ok(Some(without_repetitions(topics)))
}

/// Whether the answer is about more than a core may describe in one go.
fn has_many(image: &MetadataImage, wanted: Option<&[MetadataRequestTopic]>) -> bool {
    let mut described = 0;
    let mut is_too_much = |topic: &Topic| {
        described += 1 + topic.partitions.len();
        described > MANY
    };
    match wanted {
        None => image.topics().any(|topic| is_too_much(topic)),
        Some(topics) => topics.iter().filter_map(|topic| lookup(image, topic)).any(is_too_much),
    }
}

fn describe_all(
    image: &MetadataImage,
    wanted: Option<&[MetadataRequestTopic]>,
    with_operations: bool,
) -> Vec<MetadataResponseTopic> {
    let describe = |topic: &Topic| {
        let mut described = describe_topic(image, topic);
        if with_operations {
            described.topic_authorized_operations = TOPIC_OPERATIONS;
        }
        described
    };
    match wanted {
        None => image.topics().map(|topic| describe(topic)).collect(),
        Some(topics) => topics
            .iter()
            .map(|topic| find(image, topic).map_or_else(|missing| refused(missing, with_operations), describe))
            .collect(),
    }
}

/// What may be done is told of names whatever there is by them.
fn refused(mut missing: MetadataResponseTopic, with_operations: bool) -> MetadataResponseTopic {
    if with_operations && missing.name.is_some() {
        missing.topic_authorized_operations = TOPIC_OPERATIONS;
    }
    missing
}

/// Each topic once. As in Kafka, a request that names any topic by its id is about ids only.
fn without_repetitions(topics: Vec<MetadataRequestTopic>) -> Vec<MetadataRequestTopic> {
    let by_id = topics.iter().any(|topic| !topic.topic_id.is_zero());
    let mut seen = BTreeSet::new();
    let is_first = |topic: &MetadataRequestTopic| match by_id {
        true => !topic.topic_id.is_zero() && seen.insert((topic.topic_id, None)),
        false => seen.insert((TopicId::ZERO, topic.name.clone())),
    };
    let mut topics = topics;
    topics.retain(is_first);
    topics
}

/// Creates the topics that are asked for by legal names and do not exist, with the broker's defaults, and gives back what was
/// wanted. What cannot be created shows as missing in the answer.
async fn create_missing(call: &Rc<Call>, wanted: Option<Vec<MetadataRequestTopic>>) -> Option<Vec<MetadataRequestTopic>> {
    let topics = wanted?;
    let (image, config) = (call.context.shards.image(), call.context.config.clone());
    let (topics, request) = call
        .compute(false, move || {
            let request = creation_of_missing(&config, &image, &topics);
            (topics, request)
        })
        .await;
    if let Some(request) = request {
        create(&call.context, request).await;
    }
    Some(topics)
}

fn creation_of_missing(
    config: &BrokerConfig,
    image: &MetadataImage,
    topics: &[MetadataRequestTopic],
) -> Option<CreateTopicsRequest> {
    let missing: BTreeSet<&str> = topics
        .iter()
        .filter(|topic| topic.topic_id.is_zero())
        .filter_map(|topic| topic.name.as_deref())
        .filter(|name| image.topic_by_name(name).is_none() && validate_topic_name(name).is_ok())
        .collect();
    let topics: Vec<_> = missing.into_iter().map(|name| creatable(config, name)).collect();
    (!topics.is_empty()).then(|| CreateTopicsRequest { topics, ..Default::default() })
}

/// The topic that is meant, if it exists.
fn lookup<'a>(image: &'a MetadataImage, wanted: &MetadataRequestTopic) -> Option<&'a Topic> {
    let found = match wanted.topic_id.is_zero() {
        true => image.topic_by_name(wanted.name.as_deref().unwrap_or_default()),
        false => image.topic_by_id(wanted.topic_id),
    };
    found.map(|topic| &**topic)
}

/// A topic that exists, or the answer that says it does not.
fn find<'a>(image: &'a MetadataImage, wanted: &MetadataRequestTopic) -> Result<&'a Topic, MetadataResponseTopic> {
    if !wanted.topic_id.is_zero() {
        return lookup(image, wanted).ok_or_else(|| nothing(ErrorCode::UnknownTopicId, None, wanted.topic_id));
    }
    let name = wanted.name.as_deref().unwrap_or_default();
    if validate_topic_name(name).is_err() {
        return Err(nothing(ErrorCode::InvalidTopicException, Some(name), TopicId::ZERO));
    }
    lookup(image, wanted).ok_or_else(|| nothing(ErrorCode::UnknownTopicOrPartition, Some(name), TopicId::ZERO))
}

fn nothing(error: ErrorCode, name: Option<&str>, topic_id: TopicId) -> MetadataResponseTopic {
    let (is_internal, name) = (name.is_some_and(super::is_internal), name.map(text));
    MetadataResponseTopic { error_code: error.code(), name, topic_id, is_internal, ..Default::default() }
}

fn describe_topic(image: &MetadataImage, topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(text(&topic.name)),
        topic_id: topic.id,
        is_internal: super::is_internal(&topic.name),
        partitions: topic.partitions.iter().map(|(index, partition)| describe_partition(image, *index, partition)).collect(),
        ..Default::default()
    }
}

pub(super) fn describe_partition(
    image: &MetadataImage,
    index: PartitionIndex,
    partition: &Partition,
) -> MetadataResponsePartition {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
    let alive = |id: &BrokerId| image.broker(*id).is_some_and(|broker| !broker.fenced);
    let leader = partition.leader.filter(alive);
    MetadataResponsePartition {
        error_code: if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }.code(),
        partition_index: index.0,
        leader_id: leader.map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        offline_replicas: partition.replicas.iter().filter(|id| !alive(id)).map(|id| id.0).collect(),
    }
}
