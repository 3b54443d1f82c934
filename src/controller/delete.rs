//! DeleteTopics. Whether deletion is allowed at all (`delete.topic.enable`) is checked at the edge, with the request's version.

use super::image::{MetadataImage, Topic};
use super::{Context, Decision, Refusal, Reply, batches};
use crate::model::{ErrorCode, TopicId};
use crate::protocol::generated::delete_topics_response::DeletableTopicResult;
use crate::protocol::generated::{DeleteTopicsRequest, DeleteTopicsResponse, RemoveTopicRecord};
use crate::protocol::{MetadataRecord, StrBytes};
use std::collections::{BTreeMap, BTreeSet};

/// Decides on DeleteTopics. Topics are named in `topic_names` (up to version 5) or, each by name or id, in `topics`.
pub(super) fn delete_topics(image: &MetadataImage, request: &DeleteTopicsRequest, context: &mut Context<'_>) -> Decision {
    let (mut names, mut ids): (BTreeMap<&str, usize>, BTreeMap<TopicId, usize>) = Default::default();
    let mut responses = vec![];
    request.topic_names.iter().for_each(|name| *names.entry(name).or_default() += 1);
    for topic in &request.topics {
        match (&topic.name, topic.topic_id.is_zero()) {
            (None, true) => responses.push(refused(None, TopicId::ZERO, ErrorCode::InvalidRequest, NEITHER)),
            (None, false) => *ids.entry(topic.topic_id).or_default() += 1,
            (Some(name), true) => *names.entry(name).or_default() += 1,
            (Some(name), false) => responses.push(refused(Some(name), topic.topic_id, ErrorCode::InvalidRequest, BOTH)),
        }
    }
    // The same topic may have been asked for by name and by id: it goes once.
    let mut doomed: BTreeSet<TopicId> = BTreeSet::new();
    let mut found = |topic: &Topic| {
        let name: StrBytes = (&*topic.name).into();
        let partitions = if doomed.contains(&topic.id) { 0 } else { topic.partitions.len() };
        match context.allowance.take(partitions) {
            Ok(()) => {
                doomed.insert(topic.id);
                DeletableTopicResult { name: Some(name), topic_id: topic.id, error_code: 0, error_message: None }
            }
            Err(Refusal(error, text)) => DeletableTopicResult {
                name: Some(name),
                topic_id: topic.id,
                error_code: error.code(),
                error_message: text.map(StrBytes::from),
            },
        }
    };
    for (name, count) in names {
        responses.push(match image.topic_by_name(name) {
            _ if count > 1 => refused(Some(name), TopicId::ZERO, ErrorCode::InvalidRequest, "Duplicate topic name."),
            Some(topic) => found(topic),
            None => refused(Some(name), TopicId::ZERO, ErrorCode::UnknownTopicOrPartition, UNKNOWN_NAME),
        });
    }
    for (id, count) in ids {
        responses.push(match image.topic_by_id(id) {
            _ if count > 1 => refused(None, id, ErrorCode::InvalidRequest, "Duplicate topic id."),
            Some(topic) => found(topic),
            None => refused(None, id, ErrorCode::UnknownTopicId, UNKNOWN_ID),
        });
    }
    let remove = |topic_id: TopicId| MetadataRecord::from(RemoveTopicRecord { topic_id, ..RemoveTopicRecord::default() });
    Decision {
        batches: batches(doomed.into_iter().map(remove).collect()),
        reply: Reply::DeleteTopics(DeleteTopicsResponse { throttle_time_ms: 0, responses }),
    }
}

const NEITHER: &str = "Neither topic name nor id were specified.";
const BOTH: &str = "You may not specify both topic name and topic id.";
const UNKNOWN_NAME: &str = "This server does not host this topic-partition.";
const UNKNOWN_ID: &str = "This server does not host this topic ID.";

fn refused(name: Option<&str>, topic_id: TopicId, error: ErrorCode, text: &'static str) -> DeletableTopicResult {
    let error_message = Some(StrBytes::from_static(text));
    DeletableTopicResult { name: name.map(Into::into), topic_id, error_code: error.code(), error_message }
}
