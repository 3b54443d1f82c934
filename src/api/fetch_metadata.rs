//! Fetch (1), versions 4 to 18, and FetchSnapshot (59), versions 0 and 1, on controller listeners: the committed metadata, for nodes that
//! follow them without being voters (KIP-595, KIP-630). Voters get them in another way.
//!
//! There is one partition, and every answer about it says who leads. A request about anything else is refused as Kafka's controllers do.

use super::context::text;
use super::{Answer, Call};
use crate::config::QuorumVoter;
use crate::model::{BrokerId, ErrorCode, Offset, TopicId};
use crate::protocol::generated::fetch_request::{FetchPartition, FetchRequest};
use crate::protocol::generated::fetch_response::{
    self as fetched, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use crate::protocol::generated::fetch_snapshot_request::FetchSnapshotRequest;
use crate::protocol::generated::fetch_snapshot_response::{self as snapshot, FetchSnapshotResponse};
use crate::protocol::{Records, StrBytes};
use crate::shard::{FetchedMetadata, FetchedSnapshot, MetadataFetch, SnapshotFetch, SnapshotId, WhatIsFetched};
use std::rc::Rc;
use std::time::Duration;

/// Who leads, where logs part, and that a snapshot is to be fetched, can be said since this version (KIP-595).
const QUORUM_SINCE: i16 = 12;
/// Topics are named by id since this version (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// The replica id is in a tagged field of its own since this version (KIP-903).
const REPLICA_STATE_SINCE: i16 = 15;
/// Where the leader is, is told since this version.
const ENDPOINTS_SINCE: i16 = 16;
/// The same of FetchSnapshot.
const SNAPSHOT_ENDPOINTS_SINCE: i16 = 1;

const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;
/// "Nobody" in an answer.
const NO_LEADER: i32 = -1;

pub(super) async fn answer(call: Call) -> Answer {
    let answer = match call.decode::<FetchRequest>().await {
        Ok(request) => {
            let response = fetch(&call, request).await;
            call.respond(response).await
        }
        Err(answer) => answer,
    };
    call.end();
    answer
}

async fn fetch(call: &Call, request: FetchRequest) -> FetchResponse {
    let version = call.version();
    let Some(partition) = metadata_partition(&request, version) else {
        return FetchResponse { error_code: ErrorCode::InvalidRequest.code(), ..FetchResponse::default() };
    };
    let (Ok(max_wait_ms), Ok(max_bytes)) = (u64::try_from(request.max_wait_ms), usize::try_from(request.max_bytes)) else {
        return FetchResponse { error_code: ErrorCode::InvalidRequest.code(), ..FetchResponse::default() };
    };
    let asked = MetadataFetch {
        cluster_id: request.cluster_id.as_deref().map(str::to_owned),
        replica: BrokerId(if version < REPLICA_STATE_SINCE { request.replica_id } else { request.replica_state.replica_id }),
        directory: partition.replica_directory_id,
        current_leader_epoch: partition.current_leader_epoch,
        from: Offset(partition.fetch_offset),
        last_fetched_epoch: partition.last_fetched_epoch,
        max_bytes,
        max_wait: Duration::from_millis(max_wait_ms),
    };
    let found = call.context.shards.fetch_metadata(asked).await;
    respond(version, found, &call.context.shards.quorum_voters().await)
}

/// The one partition that may be asked for, if it is the only one.
fn metadata_partition(request: &FetchRequest, version: i16) -> Option<&FetchPartition> {
    let [topic] = &request.topics[..] else { return None };
    let is_metadata = match version >= TOPIC_IDS_SINCE {
        true => topic.topic_id == TopicId::METADATA,
        false => &*topic.topic == METADATA_TOPIC,
    };
    match &topic.partitions[..] {
        [partition] if is_metadata && partition.partition == METADATA_PARTITION => Some(partition),
        _ => None,
    }
}

fn respond(version: i16, found: FetchedMetadata, voters: &[QuorumVoter]) -> FetchResponse {
    if found.error == ErrorCode::InconsistentClusterId {
        return FetchResponse { error_code: found.error.code(), ..FetchResponse::default() };
    }
    let says_quorum = version >= QUORUM_SINCE;
    if !says_quorum && !matches!(found.what, WhatIsFetched::Batches(_)) {
        return FetchResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..FetchResponse::default() };
    }
    let (leader, epoch) = if says_quorum { found.leader } else { (None, -1) };
    let mut partition = PartitionData {
        partition_index: METADATA_PARTITION,
        error_code: found.error.code(),
        high_watermark: found.high_watermark.0,
        last_stable_offset: -1,
        log_start_offset: found.log_start.0,
        current_leader: LeaderIdAndEpoch { leader_id: leader.map_or(NO_LEADER, |id| id.0), leader_epoch: epoch },
        records: Records::Bytes(bytes::Bytes::new()),
        ..PartitionData::default()
    };
    match found.what {
        WhatIsFetched::Batches(batches) => partition.records = Records::Bytes(batches),
        WhatIsFetched::Diverging { epoch, end } => partition.diverging_epoch = EpochEndOffset { epoch, end_offset: end.0 },
        WhatIsFetched::Snapshot(SnapshotId { end, epoch }) => {
            partition.snapshot_id = fetched::SnapshotId { end_offset: end.0, epoch };
        }
    }
    let (topic, topic_id) = match version >= TOPIC_IDS_SINCE {
        true => (StrBytes::EMPTY, TopicId::METADATA),
        false => (text(METADATA_TOPIC), TopicId::ZERO),
    };
    let endpoint =
        leader.filter(|_| version >= ENDPOINTS_SINCE).and_then(|leader| voters.iter().find(|voter| voter.id == leader));
    let node = |voter: &QuorumVoter| fetched::NodeEndpoint {
        node_id: voter.id.0,
        host: text(&voter.host),
        port: i32::from(voter.port),
        rack: None,
    };
    FetchResponse {
        responses: vec![FetchableTopicResponse { topic, topic_id, partitions: vec![partition] }],
        node_endpoints: endpoint.into_iter().map(node).collect(),
        ..FetchResponse::default()
    }
}

pub(super) async fn snapshot(call: Rc<Call>, request: FetchSnapshotRequest) -> FetchSnapshotResponse {
    let asked = match &request.topics[..] {
        [topic] if &*topic.name == METADATA_TOPIC => match &topic.partitions[..] {
            [partition] if partition.partition == METADATA_PARTITION => Some(partition),
            _ => None,
        },
        _ => None,
    };
    let (Some(asked), Ok(max_bytes)) = (asked, usize::try_from(request.max_bytes)) else {
        return FetchSnapshotResponse { error_code: ErrorCode::InvalidRequest.code(), ..FetchSnapshotResponse::default() };
    };
    let id = SnapshotId { end: Offset(asked.snapshot_id.end_offset), epoch: asked.snapshot_id.epoch };
    let wanted = SnapshotFetch {
        cluster_id: request.cluster_id.as_deref().map(str::to_owned),
        current_leader_epoch: asked.current_leader_epoch,
        snapshot: id,
        position: asked.position,
        max_bytes,
    };
    let (position, version) = (asked.position, call.version());
    let found = call.context.shards.fetch_snapshot(wanted).await;
    respond_snapshot(version, id, position, found, &call.context.shards.quorum_voters().await)
}

fn respond_snapshot(
    version: i16,
    id: SnapshotId,
    position: i64,
    found: FetchedSnapshot,
    voters: &[QuorumVoter],
) -> FetchSnapshotResponse {
    if found.error == ErrorCode::InconsistentClusterId {
        return FetchSnapshotResponse { error_code: found.error.code(), ..FetchSnapshotResponse::default() };
    }
    let (leader, epoch) = found.leader;
    let partition = snapshot::PartitionSnapshot {
        index: METADATA_PARTITION,
        error_code: found.error.code(),
        snapshot_id: snapshot::SnapshotId { end_offset: id.end.0, epoch: id.epoch },
        current_leader: snapshot::LeaderIdAndEpoch { leader_id: leader.map_or(NO_LEADER, |id| id.0), leader_epoch: epoch },
        size: found.size,
        position,
        unaligned_records: Records::Bytes(found.bytes),
    };
    let is_told = version >= SNAPSHOT_ENDPOINTS_SINCE;
    let endpoint = leader.filter(|_| is_told).and_then(|leader| voters.iter().find(|voter| voter.id == leader));
    let node = |voter: &QuorumVoter| snapshot::NodeEndpoint { node_id: voter.id.0, host: text(&voter.host), port: voter.port };
    FetchSnapshotResponse {
        topics: vec![snapshot::TopicSnapshot { name: text(METADATA_TOPIC), partitions: vec![partition] }],
        node_endpoints: endpoint.into_iter().map(node).collect(),
        ..FetchSnapshotResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;
    use bytes::Bytes;

    fn voters() -> Vec<QuorumVoter> {
        vec![QuorumVoter { id: BrokerId(3), host: "three".to_owned(), port: 9093 }]
    }

    #[test]
    fn every_version_says_who_leads_and_the_newer_ones_where() {
        for version in 4..=18 {
            let found = FetchedMetadata::refused(ErrorCode::NotLeaderOrFollower, (Some(BrokerId(3)), 7));
            let bytes = respond(version, found, &voters()).to_bytes(version).expect("an answer that the version can carry");
            let read = FetchResponse::from_bytes(bytes, version).unwrap();
            let partition = &read.responses[0].partitions[0];
            assert_eq!((partition.error_code, partition.high_watermark), (6, -1));
            if version >= QUORUM_SINCE {
                assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (3, 7), "{version}");
            }
            let told: Vec<_> = read.node_endpoints.iter().map(|node| (node.node_id, &*node.host, node.port)).collect();
            assert_eq!(told, if version < 16 { vec![] } else { vec![(3, "three", 9093)] }, "{version}");
        }
    }

    #[test]
    fn batches_a_divergence_and_a_snapshot_are_told_apart() {
        let told = |what| {
            let found = FetchedMetadata {
                error: ErrorCode::None,
                leader: (Some(BrokerId(3)), 7),
                high_watermark: Offset(9),
                log_start: Offset(2),
                what,
            };
            let mut response = respond(17, found, &voters());
            let partition = response.responses.remove(0).partitions.remove(0);
            (partition.records.len(), partition.diverging_epoch.end_offset, partition.snapshot_id.end_offset)
        };
        let snapshot = WhatIsFetched::Snapshot(SnapshotId { end: Offset(4), epoch: 1 });
        let found = FetchedMetadata { error: ErrorCode::None, what: snapshot, ..FetchedMetadata::nobody() };
        assert_eq!(respond(11, found, &voters()).error_code, ErrorCode::UnsupportedVersion.code());
        assert_eq!(told(WhatIsFetched::Batches(Bytes::from_static(b"abc"))), (3, -1, -1));
        assert_eq!(told(WhatIsFetched::Diverging { epoch: 2, end: Offset(5) }), (0, 5, -1));
        assert_eq!(told(WhatIsFetched::Snapshot(SnapshotId { end: Offset(4), epoch: 1 })), (0, -1, 4));
    }

    #[test]
    fn only_the_metadata_partition_may_be_asked_for() {
        use crate::protocol::generated::fetch_request::FetchTopic;
        let request = |topic_id, partitions: &[i32]| {
            let partition = |partition: &i32| FetchPartition { partition: *partition, ..FetchPartition::default() };
            let topic = FetchTopic { topic_id, partitions: partitions.iter().map(partition).collect(), ..FetchTopic::default() };
            FetchRequest { topics: vec![topic], ..FetchRequest::default() }
        };
        assert!(metadata_partition(&request(TopicId::METADATA, &[0]), 17).is_some());
        for other in [request(TopicId::METADATA, &[1]), request(TopicId::METADATA, &[0, 0]), request(TopicId([7; 16]), &[0])] {
            assert!(metadata_partition(&other, 17).is_none());
        }
        assert!(metadata_partition(&FetchRequest::default(), 17).is_none());
    }

    #[test]
    fn a_piece_of_a_snapshot_says_where_it_belongs() {
        let found = FetchedSnapshot {
            error: ErrorCode::None,
            leader: (Some(BrokerId(3)), 7),
            size: 10,
            bytes: Bytes::from_static(b"xyz"),
        };
        let id = SnapshotId { end: Offset(5), epoch: 2 };
        let response = respond_snapshot(1, id, 4, found, &voters());
        let part = &response.topics[0].partitions[0];
        assert_eq!((part.size, part.position, part.unaligned_records.len()), (10, 4, 3));
        assert_eq!(response.node_endpoints[0].node_id, 3);
    }
}
