//! FindCoordinator (10), versions 0 to 6: which broker coordinates a group. For transactions and share groups there is none yet, and that
//! is the answer.

use super::Call;
use super::context::text;
use super::internal_topics::with_offsets_topic;
use crate::controller::{MetadataImage, Partition};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::find_coordinator_request::FindCoordinatorRequest;
use crate::protocol::generated::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use crate::shard::{OFFSETS_TOPIC, group_partition};
use std::rc::Rc;

/// Kinds of keys: group, transaction, share group (KIP-932).
const GROUP: i8 = 0;
const SHARE: i8 = 2;
/// Share groups may be asked for from this version on.
const SHARE_VERSION: i16 = 6;
/// Several keys a request from this version on (KIP-699).
const BATCH_VERSION: i16 = 4;
/// "None" in the answer.
const NO_NODE: i32 = -1;
/// "None" in the answer.
const NO_PORT: i32 = -1;

pub(super) async fn handle(call: Rc<Call>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (version, kind) = (call.version(), request.key_type);
    let keys = if version < BATCH_VERSION { vec![request.key] } else { request.coordinator_keys };
    let found: Vec<Coordinator> = if kind == GROUP {
        let image = with_offsets_topic(&call.context).await;
        let places = places(&call, &image);
        call.compute(false, move || keys.into_iter().map(|key| find(&places, key)).collect()).await
    } else {
        let is_known = (GROUP..=SHARE).contains(&kind) && (kind < SHARE || version >= SHARE_VERSION);
        let error = if is_known { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::InvalidRequest };
        call.compute(false, move || keys.into_iter().map(|key| nobody(key, error)).collect()).await
    };
    respond(version, found)
}

/// Who leads each partition of the topic of groups: node id, host and port, if somebody does.
type Places = Vec<Option<(i32, StrBytes, i32)>>;

fn places(call: &Call, image: &MetadataImage) -> Places {
    let Some(topic) = image.topic_by_name(OFFSETS_TOPIC) else { return Places::new() };
    let place = |partition: &Partition| {
        let leader = partition.leader.filter(|id| image.broker(*id).is_some_and(|broker| !broker.fenced))?;
        call.context.node(image, leader, &call.connection).map(|node| (node.id.0, node.host, node.port))
    };
    topic.partitions.values().map(place).collect()
}

fn find(places: &Places, group: StrBytes) -> Coordinator {
    let partition = group_partition(&group, places.len()).0 as usize;
    match places.get(partition).cloned().flatten() {
        Some((node_id, host, port)) => Coordinator { key: group, node_id, host, port, ..Default::default() },
        None => nobody(group, ErrorCode::CoordinatorNotAvailable),
    }
}

fn nobody(key: StrBytes, error: ErrorCode) -> Coordinator {
    let error_message = Some(text(error.name()));
    Coordinator { key, node_id: NO_NODE, port: NO_PORT, error_code: error.code(), error_message, ..Default::default() }
}

fn respond(version: i16, mut found: Vec<Coordinator>) -> FindCoordinatorResponse {
    if version >= BATCH_VERSION {
        return FindCoordinatorResponse { coordinators: found, ..Default::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = found.pop().expect("old versions ask for one key");
    // Old versions say something in any case.
    let error_message = error_message.filter(|words| !words.is_empty()).or_else(|| Some(text(ErrorCode::None.name())));
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    #[test]
    fn every_version_can_say_who_it_is() {
        for version in 0..=6 {
            let one = Coordinator { key: "g".into(), node_id: 3, host: "h".into(), port: 9, ..Default::default() };
            let bytes = respond(version, vec![one]).to_bytes(version).expect("an answer that the version can carry");
            let read = FindCoordinatorResponse::from_bytes(bytes, version).unwrap();
            let told = match version < BATCH_VERSION {
                true => (read.node_id, read.host, read.port),
                false => {
                    let one = read.coordinators[0].clone();
                    (one.node_id, one.host, one.port)
                }
            };
            assert_eq!(told, (3, "h".into(), 9), "version {version}");
        }
    }
}
