//! ListConfigResources (74), versions 0 and 1: what there is to describe with DescribeConfigs.

use super::Call;
use super::context::text;
use super::describe_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::controller::{ConfigResource, MetadataImage};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::list_config_resources_request::ListConfigResourcesRequest;
use crate::protocol::generated::list_config_resources_response::{ConfigResource as Listed, ListConfigResourcesResponse};
use std::rc::Rc;

/// What may be asked for since version 1, in the order of the answer; before, only client metrics (KIP-1142).
const TYPES: &[i8] = &[GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

/// Topics that are listed in one go.
const MANY: usize = 1000;

pub(super) async fn handle(call: Rc<Call>, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let context = &call.context;
    let image = context.shards.image();
    let brokers = context.nodes(&image, &call.connection).into_iter().map(|node| text(&node.id.to_string())).collect();
    let is_long = image.topic_count() > MANY;
    let version = call.version();
    call.compute(is_long, move || answer(&image, brokers, version, &request.resource_types)).await
}

fn answer(image: &MetadataImage, brokers: Vec<StrBytes>, version: i16, asked: &[i8]) -> ListConfigResourcesResponse {
    let supported: &[i8] = if version == 0 { &[CLIENT_METRICS] } else { TYPES };
    if asked.iter().any(|kind| !supported.contains(kind)) {
        return ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() };
    }
    let configured = |kind: i8| {
        image.configured().filter_map(move |resource| match resource {
            ConfigResource::Other(of, name) if *of == kind => Some(text(name)),
            _ => None,
        })
    };
    let names = |kind: i8| -> Vec<StrBytes> {
        match kind {
            TOPIC => image.topics().map(|topic| text(&topic.name)).collect(),
            BROKER | BROKER_LOGGER => brokers.clone(),
            other => configured(other).collect(),
        }
    };
    // None asks for all.
    let wanted = supported.iter().copied().filter(|kind| asked.is_empty() || asked.contains(kind));
    let listed = |kind: i8| names(kind).into_iter().map(move |resource_name| Listed { resource_name, resource_type: kind });
    ListConfigResourcesResponse { config_resources: wanted.flat_map(listed).collect(), ..Default::default() }
}
