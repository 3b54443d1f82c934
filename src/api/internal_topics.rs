//! The topics that only the broker itself writes to, and what they are like when they are created.

use super::context::{ApiContext, text};
use crate::config::BrokerConfig;
use crate::controller::{Command, MetadataImage, Reply};
use crate::model::ErrorCode;
use crate::protocol::generated::CreateTopicsResponse;
use crate::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::shard::OFFSETS_TOPIC;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a client waits for a topic that is created because it asks for it.
const CREATION_LIMIT: Duration = Duration::from_secs(5);

const INTERNAL_TOPICS: [&str; 3] = [OFFSETS_TOPIC, "__transaction_state", "__share_group_state"];

/// Whether a topic is the broker's own.
pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// What a topic is to be like that is created because somebody needs it.
pub(super) fn creatable(config: &BrokerConfig, name: &str) -> CreatableTopic {
    if name != OFFSETS_TOPIC {
        return CreatableTopic { name: text(name), num_partitions: -1, replication_factor: -1, ..Default::default() };
    }
    let set = |name: &str, value: &str| CreatableTopicConfig { name: text(name), value: Some(text(value)), ..Default::default() };
    CreatableTopic {
        name: text(name),
        num_partitions: config.offsets_topic_num_partitions(),
        replication_factor: config.offsets_topic_replication_factor() as i16,
        configs: vec![
            set("cleanup.policy", "compact"),
            set("compression.type", "producer"),
            set("segment.bytes", &config.offsets_topic_segment_bytes().to_string()),
        ],
        ..Default::default()
    }
}

/// Has topics created because somebody needs them. Who needs them asks again, and others wait behind him: if it takes long, in a cluster
/// without a controller, it goes on without him.
pub(super) async fn create(context: &ApiContext, request: CreateTopicsRequest) -> Option<CreateTopicsResponse> {
    let created = pin!(context.shards.controller(Command::CreateTopics(request)));
    match select(created, pin!(context.io.sleep(CREATION_LIMIT))).await {
        Either::Left((Ok(Reply::CreateTopics(response)), _)) => Some(response),
        Either::Left((undecided, _)) => {
            tracing::debug!(?undecided, "topics that somebody needs are not created");
            None
        }
        Either::Right(_) => {
            tracing::warn!("topics that somebody needs are not created yet: the controller is slow, or there is none");
            None
        }
    }
}

/// The metadata with the topic of group offsets, which is created if it is not there; without it if that cannot be.
pub(super) async fn with_offsets_topic(context: &ApiContext) -> Arc<MetadataImage> {
    let image = context.shards.image();
    if image.topic_by_name(OFFSETS_TOPIC).is_some() {
        return image;
    }
    let request = CreateTopicsRequest { topics: vec![creatable(&context.config, OFFSETS_TOPIC)], ..Default::default() };
    if let Some(response) = create(context, request).await {
        let created = [ErrorCode::None, ErrorCode::TopicAlreadyExists].map(ErrorCode::code);
        for refused in response.topics.iter().filter(|topic| !created.contains(&topic.error_code)) {
            let (code, why) = (refused.error_code, refused.error_message.as_deref().unwrap_or_default());
            tracing::error!(topic = OFFSETS_TOPIC, code, why, "groups cannot be served: their topic cannot be created");
        }
    }
    context.shards.image()
}
