//! CreateTopics (19), DeleteTopics (20) and CreatePartitions (37): the controller decides, and the answer comes when every core has
//! applied the decision.

use super::Call;
use super::call::Undecided;
use super::context::text;
use crate::config::{BrokerConfig, ConfigSource, DynamicConfigs, describe_topic};
use crate::controller::{Command, Refusal, Reply};
use crate::model::{ErrorCode, TopicId};
use crate::protocol::StrBytes;
use crate::protocol::generated::create_partitions_request::CreatePartitionsRequest;
use crate::protocol::generated::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};
use crate::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::protocol::generated::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse};
use crate::protocol::generated::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use crate::protocol::generated::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a request gets that meets a broker on its way out: the client tries another, or again.
pub(super) const STOPPING: ErrorCode = ErrorCode::NotController;

/// Topics whose configs are described in one go; each has some thirty.
const MANY: usize = 16;

impl Call {
    /// Lets the controller create or delete partitions, as far as the client's quota allows. Since version `strict_since` what is too
    /// much is refused (KIP-599); before, it is done, and the client waits.
    async fn controller(&self, strict_since: i16, command: Command) -> Result<Reply, Undecided> {
        let is_strict = self.version() >= strict_since;
        let reply = self.decide_for_client(is_strict, command).await?;
        self.hold_off(u64::try_from(reply.throttle_time_ms()).unwrap_or(0));
        Ok(reply)
    }
}

/// Configs that a client wants of each new topic.
type WantedConfigs = BTreeMap<String, BTreeMap<String, String>>;

pub(super) async fn create_topics(call: Rc<Call>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let (request, wanted, names) = call
        .compute(false, move || {
            let (wanted, names) = (configs_wanted(&request), request.topics.iter().map(|topic| topic.name.clone()));
            let names: Vec<_> = names.collect();
            (request, wanted, names)
        })
        .await;
    let context = &call.context;
    match call.controller(6, Command::CreateTopics(request)).await {
        Ok(Reply::CreateTopics(mut response)) => {
            // Clients learn of configs since this version (KIP-525).
            let tells_configs = call.version() >= 5;
            let is_long = wanted.len() > MANY;
            let image = call.image().await;
            let (config, dynamic) = (context.config.clone(), context.dynamic_configs(&image));
            let describe = move || {
                drop(names);
                for topic in response.topics.iter_mut().filter(|topic| tells_configs && topic.error_code == 0) {
                    topic.configs = Some(configs_of(&config, &dynamic, wanted.get(&*topic.name)));
                }
                response
            };
            call.compute(is_long, describe).await
        }
        Ok(other) => unreachable!("CreateTopics was answered with {other:?}"),
        Err(undecided) => {
            let Refusal(error, text) = undecided.refusal();
            let error_message: Option<StrBytes> = text.map(StrBytes::from);
            let result = move |name| CreatableTopicResult {
                name,
                error_code: error.code(),
                error_message: error_message.clone(),
                ..Default::default()
            };
            let refuse = move || CreateTopicsResponse { topics: names.into_iter().map(result).collect(), ..Default::default() };
            call.compute(false, refuse).await
        }
    }
}

fn configs_wanted(request: &CreateTopicsRequest) -> WantedConfigs {
    let value = |config: &CreatableTopicConfig| config.value.as_ref().map(|value| (config.name.to_string(), value.to_string()));
    let topic = |topic: &CreatableTopic| (topic.name.to_string(), topic.configs.iter().filter_map(value).collect());
    request.topics.iter().map(topic).collect()
}

/// The configs in force of a topic that was (or, with validate_only, would be) created (KIP-525).
fn configs_of(
    config: &BrokerConfig,
    dynamic: &DynamicConfigs,
    own: Option<&BTreeMap<String, String>>,
) -> Vec<CreatableTopicConfigs> {
    let entries = describe_topic(config, dynamic, own.unwrap_or(&BTreeMap::new()));
    let described = |entry: crate::config::ConfigEntry| CreatableTopicConfigs {
        name: text(entry.name),
        value: entry.value.as_deref().filter(|_| !entry.is_sensitive).map(text),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.is_sensitive,
        ..Default::default()
    };
    entries.into_iter().map(described).collect()
}

/// Number of a config source on the wire.
pub(super) fn source_code(source: ConfigSource) -> i8 {
    source as i8
}

pub(super) async fn delete_topics(call: Rc<Call>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let (request, wanted) = call
        .compute(false, move || {
            let mut request = request;
            // Before version 6 topics are named in a list of their own.
            let named = std::mem::take(&mut request.topic_names);
            request.topics.extend(named.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() }));
            let wanted: Vec<_> = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)).collect();
            (request, wanted)
        })
        .await;
    if !call.context.config.delete_topic_enable() {
        let error = if call.version() < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        let refuse = move || {
            drop(request);
            refuse_deletion(wanted, error, Some("Topic deletion is disabled."))
        };
        return call.compute(false, refuse).await;
    }
    match call.controller(5, Command::DeleteTopics(request)).await {
        Ok(Reply::DeleteTopics(response)) => {
            call.compute(false, move || drop(wanted)).await;
            response
        }
        Ok(other) => unreachable!("DeleteTopics was answered with {other:?}"),
        Err(undecided) => call.compute(false, move || refuse_deletion(wanted, undecided.error(), None)).await,
    }
}

fn refuse_deletion(
    wanted: Vec<(Option<StrBytes>, TopicId)>,
    error: ErrorCode,
    message: Option<&'static str>,
) -> DeleteTopicsResponse {
    let result = |(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        error_code: error.code(),
        error_message: message.map(StrBytes::from_static),
    };
    DeleteTopicsResponse { responses: wanted.into_iter().map(result).collect(), ..Default::default() }
}

pub(super) async fn create_partitions(call: Rc<Call>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let (request, names) = call
        .compute(false, move || {
            let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
            (request, names)
        })
        .await;
    match call.controller(3, Command::CreatePartitions(request)).await {
        Ok(Reply::CreatePartitions(response)) => {
            call.compute(false, move || drop(names)).await;
            response
        }
        Ok(other) => unreachable!("CreatePartitions was answered with {other:?}"),
        Err(undecided) => {
            let error_code = undecided.error().code();
            let result = move |name| CreatePartitionsTopicResult { name, error_code, error_message: None };
            let refuse =
                move || CreatePartitionsResponse { results: names.into_iter().map(result).collect(), ..Default::default() };
            call.compute(false, refuse).await
        }
    }
}
