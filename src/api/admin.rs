//! CreateTopics (19), DeleteTopics (20) and CreatePartitions (37): the controller decides, and the answer comes when every core has
//! applied the decision.

use super::Call;
use super::context::text;
use crate::config::{ConfigSource, describe_topic};
use crate::controller::{Command, Reply};
use crate::model::ErrorCode;
use crate::protocol::generated::create_partitions_request::CreatePartitionsRequest;
use crate::protocol::generated::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};
use crate::protocol::generated::create_topics_request::CreateTopicsRequest;
use crate::protocol::generated::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse};
use crate::protocol::generated::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use crate::protocol::generated::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a request gets that meets a broker on its way out: the client tries another, or again.
const STOPPING: ErrorCode = ErrorCode::NotController;

pub(super) async fn create_topics(call: Rc<Call>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let wanted: BTreeMap<String, BTreeMap<String, String>> = request
        .topics
        .iter()
        .map(|topic| {
            let value = |config: &crate::protocol::generated::create_topics_request::CreatableTopicConfig| {
                config.value.as_ref().map(|value| (config.name.to_string(), value.to_string()))
            };
            (topic.name.to_string(), topic.configs.iter().filter_map(value).collect())
        })
        .collect();
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    match call.context.shards.controller(Command::CreateTopics(request)).await {
        Ok(Reply::CreateTopics(mut response)) => {
            if call.version() >= 5 {
                for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
                    topic.configs = Some(configs_of(&call, wanted.get(&*topic.name)));
                }
            }
            response
        }
        Ok(other) => unreachable!("CreateTopics was answered with {other:?}"),
        Err(_) => {
            let result = |name| CreatableTopicResult { name, error_code: STOPPING.code(), ..Default::default() };
            CreateTopicsResponse { topics: names.into_iter().map(result).collect(), ..Default::default() }
        }
    }
}

/// The configs in force of a topic that was (or, with validate_only, would be) created (KIP-525).
fn configs_of(call: &Call, own: Option<&BTreeMap<String, String>>) -> Vec<CreatableTopicConfigs> {
    let dynamic = call.context.dynamic_configs(&call.context.shards.image());
    let entries = describe_topic(&call.context.config, &dynamic, own.unwrap_or(&BTreeMap::new()));
    let config = |entry: crate::config::ConfigEntry| CreatableTopicConfigs {
        name: text(entry.name),
        value: entry.value.as_deref().filter(|_| !entry.is_sensitive).map(text),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.is_sensitive,
        ..Default::default()
    };
    entries.into_iter().map(config).collect()
}

/// Number of a config source on the wire.
pub(super) fn source_code(source: ConfigSource) -> i8 {
    source as i8
}

pub(super) async fn delete_topics(call: Rc<Call>, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    // Before version 6 topics are named in a list of their own.
    let named = std::mem::take(&mut request.topic_names);
    request.topics.extend(named.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() }));
    let wanted: Vec<_> = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)).collect();
    let refuse = |error: ErrorCode, message: Option<&str>| {
        let result = |(name, topic_id): &(Option<_>, _)| DeletableTopicResult {
            name: Option::clone(name),
            topic_id: *topic_id,
            error_code: error.code(),
            error_message: message.map(text),
        };
        DeleteTopicsResponse { responses: wanted.iter().map(result).collect(), ..Default::default() }
    };
    if !call.context.config.delete_topic_enable() {
        let error = if call.version() < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        return refuse(error, Some("Topic deletion is disabled."));
    }
    match call.context.shards.controller(Command::DeleteTopics(request)).await {
        Ok(Reply::DeleteTopics(response)) => response,
        Ok(other) => unreachable!("DeleteTopics was answered with {other:?}"),
        Err(_) => refuse(STOPPING, None),
    }
}

pub(super) async fn create_partitions(call: Rc<Call>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    match call.context.shards.controller(Command::CreatePartitions(request)).await {
        Ok(Reply::CreatePartitions(response)) => response,
        Ok(other) => unreachable!("CreatePartitions was answered with {other:?}"),
        Err(_) => {
            let result = |name| CreatePartitionsTopicResult { name, error_code: STOPPING.code(), error_message: None };
            CreatePartitionsResponse { results: names.into_iter().map(result).collect(), ..Default::default() }
        }
    }
}
