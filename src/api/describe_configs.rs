//! DescribeConfigs (32), versions 1 to 4: what is set, where it comes from, and what it would be otherwise.

use super::Call;
use super::admin::source_code;
use super::context::text;
use crate::config::{BrokerConfig, ConfigEntry, DynamicConfigs, describe_broker, describe_topic};
use crate::controller::MetadataImage;
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
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Resources that are described in one go; each has some fifty configs.
const MANY: usize = 16;

pub(super) async fn handle(call: Rc<Call>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let context = &call.context;
    let (image, config, id) = (context.shards.image(), context.config.clone(), context.broker_id());
    let dynamic = context.dynamic_configs(&image);
    let known = Known { image, config, dynamic, id };
    call.compute(request.resources.len() > MANY, move || answer(&known, &request)).await
}

/// What there is to describe.
struct Known {
    image: Arc<MetadataImage>,
    config: Arc<BrokerConfig>,
    dynamic: DynamicConfigs,
    id: BrokerId,
}

fn answer(known: &Known, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let result = |resource: &DescribeConfigsResource| {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        match entries(known, resource) {
            Ok(entries) => {
                let chosen = choose(entries, resource.configuration_keys.as_deref());
                result.configs = chosen.into_iter().map(|entry| describe(entry, request.include_synonyms)).collect();
            }
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(text(&message));
            }
        }
        result
    };
    // A resource that is named twice is described once: a short request must not have an answer without bounds.
    let mut seen = BTreeSet::new();
    let resources = request.resources.iter().filter(|r| seen.insert((r.resource_type, &*r.resource_name)));
    DescribeConfigsResponse { results: resources.map(result).collect(), ..Default::default() }
}

/// The entries that are asked for; no list asks for all of them. The list is a client's and may be long, the entries are not.
fn choose(mut entries: Vec<ConfigEntry>, keys: Option<&[StrBytes]>) -> Vec<ConfigEntry> {
    let Some(keys) = keys else { return entries };
    let names: BTreeSet<&'static str> = entries.iter().map(|entry| entry.name).collect();
    let wanted: BTreeSet<&'static str> = keys.iter().filter_map(|key| names.get(&**key).copied()).collect();
    entries.retain(|entry| wanted.contains(entry.name));
    entries
}

fn entries(known: &Known, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let Known { image, config, dynamic, id } = known;
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => {
            if let Err(why) = validate_topic_name(name) {
                return Err((ErrorCode::InvalidTopicException, format!("Topic name is invalid: {why}")));
            }
            let topic = image
                .topic_by_name(name)
                .ok_or((ErrorCode::UnknownTopicOrPartition, "this broker has no such topic".to_owned()))?;
            Ok(describe_topic(config, dynamic, &image.topic_configs(&topic.name)))
        }
        // No name is the default of all brokers: what was set for the cluster, and nothing can be yet.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER if name == id.to_string() => Ok(describe_broker(config, dynamic)),
        BROKER => {
            let message = format!("Unexpected broker id, expected {id} or empty string, but received {name}");
            Err((ErrorCode::InvalidRequest, message))
        }
        other => Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
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
