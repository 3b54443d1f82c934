//! DescribeConfigs (32), versions 1 to 4: what is set, where it comes from, and what it would be otherwise.

use super::Call;
use super::admin::source_code;
use super::context::text;
use crate::config::{
    BrokerConfig, ConfigEntry, ConfigSource, DynamicConfigs, describe_broker, describe_client_metrics, describe_cluster,
    describe_topic,
};
use crate::controller::{ConfigResource, MetadataImage, Refusal};
use crate::model::{BrokerId, ErrorCode, validate_topic_name};
use crate::protocol::StrBytes;
use crate::protocol::generated::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::protocol::generated::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Resource types on the wire.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = crate::controller::CLIENT_METRICS;
pub(super) const GROUP: i8 = 32;

/// "Unknown" as the type of a config.
const NO_TYPE: i8 = 0;

/// Every type of resource that Kafka 4.2 knows: topics, brokers, their loggers, client metrics, groups.
const RESOURCE_TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Resources that are described in one go; each has some fifty configs.
const MANY: usize = 16;

pub(super) async fn handle(call: Rc<Call>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let context = &call.context;
    let (image, config, id) = (call.image().await, context.config.clone(), context.broker_id());
    let (dynamic, loggers) = (context.dynamic_configs(&image), context.log_levels.all());
    let known = Known { image, config, dynamic, id, loggers };
    call.compute(request.resources.len() > MANY, move || answer(&known, &request)).await
}

/// What there is to describe.
struct Known {
    image: Arc<MetadataImage>,
    config: Arc<BrokerConfig>,
    dynamic: DynamicConfigs,
    id: BrokerId,
    loggers: Vec<(&'static str, &'static str)>,
}

fn answer(known: &Known, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let result = |resource: &DescribeConfigsResource| {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        let keys = resource.configuration_keys.as_deref();
        let described = match resource.resource_type {
            BROKER_LOGGER => check_logger_resource(known, &resource.resource_name).map(|()| describe_loggers(known, keys)),
            _ => entries(known, resource).map(|entries| {
                let chosen = choose(entries, keys, |entry| entry.name);
                chosen.into_iter().map(|entry| describe(entry, request.include_synonyms)).collect()
            }),
        };
        match described {
            Ok(configs) => result.configs = configs,
            Err(Refusal(error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(text(message.as_deref().unwrap_or_default()));
            }
        }
        result
    };
    // A resource that is named twice is described once: a short request must not have an answer without bounds.
    let mut seen = BTreeSet::new();
    let resources = request.resources.iter().filter(|r| seen.insert((r.resource_type, &*r.resource_name)));
    let mut response = DescribeConfigsResponse { results: resources.map(result).collect(), ..Default::default() };
    if request.resources.iter().any(|resource| !RESOURCE_TYPES.contains(&resource.resource_type)) {
        // Kafka takes nothing of a request that names what no Kafka has.
        for result in &mut response.results {
            result.error_code = ErrorCode::InvalidRequest.code();
            result.error_message = Some(text("the request names an unknown type of resource"));
            result.configs.clear();
        }
    }
    response
}

/// The entries that are asked for; no list, or an empty one, asks for all of them. The list is a client's and may be long, the entries are not.
fn choose<T>(mut entries: Vec<T>, keys: Option<&[StrBytes]>, name: impl Fn(&T) -> &'static str) -> Vec<T> {
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return entries };
    let names: BTreeSet<&'static str> = entries.iter().map(&name).collect();
    let wanted: BTreeSet<&'static str> = keys.iter().filter_map(|key| names.get(&**key).copied()).collect();
    entries.retain(|entry| wanted.contains(name(entry)));
    entries
}

fn invalid_request(text: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, text)
}

/// The number of a broker.
fn number(name: &str) -> Result<BrokerId, Refusal> {
    name.parse().map(BrokerId).map_err(|_| invalid_request(format!("Broker id must be an integer, but it is: {name}")))
}

fn entries(known: &Known, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Refusal> {
    let Known { image, config, dynamic, id, .. } = known;
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => {
            if let Err(why) = validate_topic_name(name) {
                return Err(Refusal::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {why}")));
            }
            let topic = image.topic_by_name(name).ok_or(Refusal(ErrorCode::UnknownTopicOrPartition, None))?;
            Ok(describe_topic(config, dynamic, &image.topic_configs(&topic.name)))
        }
        // No name stands for all brokers: what was set for them at run time.
        BROKER if name.is_empty() => Ok(describe_cluster(config, dynamic)),
        BROKER if number(name)? == *id => Ok(describe_broker(config, dynamic)),
        BROKER => {
            let message = format!("Unexpected broker id, expected {id} or empty string, but received {name}");
            Err(invalid_request(message))
        }
        CLIENT_METRICS if name.is_empty() => {
            Err(invalid_request("Client metrics subscription name must not be empty".to_owned()))
        }
        CLIENT_METRICS => {
            let set = image.configs(&ConfigResource::Other(CLIENT_METRICS, Arc::from(name))).cloned().unwrap_or_default();
            Ok(describe_client_metrics(&set))
        }
        other => Err(invalid_request(format!("Unsupported resource type: {other}"))),
    }
}

/// Whether these are the loggers of this broker.
fn check_logger_resource(known: &Known, name: &str) -> Result<(), Refusal> {
    let id = known.id;
    if name.is_empty() {
        return Err(invalid_request("Broker id must not be empty".to_owned()));
    }
    match number(name)? == id {
        true => Ok(()),
        false => Err(invalid_request(format!("Unexpected broker id, expected {id} but received {name}"))),
    }
}

fn describe_loggers(known: &Known, keys: Option<&[StrBytes]>) -> Vec<DescribeConfigsResourceResult> {
    let chosen = choose(known.loggers.clone(), keys, |(logger, _)| *logger);
    let described = |(logger, level): (&str, &str)| DescribeConfigsResourceResult {
        name: text(logger),
        value: Some(text(level)),
        read_only: false,
        config_source: source_code(ConfigSource::DynamicBrokerLogger),
        is_sensitive: false,
        synonyms: Vec::new(),
        config_type: NO_TYPE,
        documentation: None,
    };
    chosen.into_iter().map(described).collect()
}

fn describe(entry: ConfigEntry, include_synonyms: bool) -> DescribeConfigsResourceResult {
    let hide = |value: Option<String>| value.filter(|_| !entry.is_sensitive).map(|value| text(&value));
    let synonyms = entry.synonyms.iter().filter(|_| include_synonyms).map(|synonym| DescribeConfigsSynonym {
        name: text(&synonym.name),
        value: hide(synonym.value.clone()),
        source: source_code(synonym.source),
    });
    DescribeConfigsResourceResult {
        name: text(entry.name),
        value: hide(entry.value.clone()),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind as i8,
        documentation: None,
    }
}
