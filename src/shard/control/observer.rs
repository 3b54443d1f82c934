//! The metadata as a node gets them that is no voter: by Fetch (1) and FetchSnapshot (59) from the leading controller, as Kafka's brokers
//! do (KIP-595, KIP-630).
//!
//! Every answer says who leads, errors too; as long as nobody is known to, the voters and the bootstrap servers are asked in turn.

use super::channel::{ASK_AROUND_LIMIT, Line, Unanswered};
use super::tail::Tail;
use crate::client::{CallError, Connection};
use crate::model::{BrokerId, ErrorCode, Offset, TopicId};
use crate::protocol::Records;
use crate::protocol::generated::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use crate::protocol::generated::fetch_response::PartitionData;
use crate::protocol::generated::fetch_snapshot_request::{PartitionSnapshot, SnapshotId, TopicSnapshot};
use crate::protocol::generated::{FetchRequest, FetchResponse, FetchSnapshotRequest};
use crate::quorum::METADATA_TOPIC;
use crate::shard::core::Core;
use bytes::BytesMut;
use std::rc::Rc;
use std::time::Duration;

/// Most bytes of one answer, and how many it is at least whatever the links are like.
const FETCH_BYTES: i32 = 8 << 20;
const LEAST_FETCH_BYTES: i32 = 64 << 10;
/// Bytes of a piece of a snapshot.
const PIECE_BYTES: i32 = 1 << 20;
/// How long the leader may wait for something new.
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// Largest snapshot that is taken.
const MOST_SNAPSHOT_BYTES: usize = 1 << 30;
/// Version of Fetch from which on metadata are read: topics have ids, and who fetches says so where Kafka looks for it.
const LEAST_FETCH_VERSION: i16 = 15;
/// Pause after a failure.
const BACKOFF: Duration = Duration::from_millis(100);
/// A batch or snapshot of more bytes is read away from the core.
const LONG_BYTES: usize = 64 << 10;

/// Whom to ask next while nobody is known to lead, and for how much.
struct Asking {
    contact: usize,
    bytes: i32,
    /// The connection to the leader has ended just now: it may be no more than that.
    has_ended: bool,
}

/// Why a round has brought nothing.
enum Missed {
    /// It is worth another try.
    Again(String),
    /// Somebody contradicts what was committed: this node cannot go on.
    Fatal(String),
}

impl From<Unanswered> for Missed {
    fn from(error: Unanswered) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<CallError> for Missed {
    fn from(error: CallError) -> Self {
        Self::Again(error.to_string())
    }
}

impl Core {
    /// Follows the metadata until the node stops.
    pub(super) async fn observe_quorum(self: Rc<Self>) {
        let mut tail = Tail::default();
        let mut asking = Asking { contact: 0, bytes: FETCH_BYTES, has_ended: false };
        while !self.is_stopping() {
            let missed = match self.fetch_metadata_once(&mut tail, &mut asking).await {
                Ok(()) => continue,
                Err(missed) => missed,
            };
            match missed {
                Missed::Again(why) => {
                    tracing::debug!(why, "the metadata are not told");
                    // Whoever led answers no more, or another leads: ask around.
                    let (_, epoch) = self.in_cluster().leader();
                    self.in_cluster().learn_leader(None, epoch);
                    self.sleep(|_| BACKOFF).await;
                }
                Missed::Fatal(why) => return self.fail(&format!("the metadata cannot be followed: {why}")),
            }
        }
    }

    /// One Fetch, and all that follows from its answer.
    async fn fetch_metadata_once(self: &Rc<Self>, tail: &mut Tail, asking: &mut Asking) -> Result<(), Missed> {
        let cluster = self.in_cluster().clone();
        let before = cluster.leader();
        let leader = before.0;
        // Whoever leads and does not answer for so long is not waited for: another may lead by now.
        let limit = u64::try_from(self.config.quorum_fetch_timeout_ms()).unwrap_or(0);
        let limit = Duration::from_millis(limit).max(2 * FETCH_WAIT);
        let connection = match leader {
            Some(_) => self.line_to_leader(Line::Metadata, limit).await?,
            None => {
                let contacts = cluster.contacts();
                let (host, port) = contacts.get(asking.contact % contacts.len().max(1)).cloned().unwrap_or_default();
                asking.contact += 1;
                self.connect(&host, port, ASK_AROUND_LIMIT).await?
            }
        };
        let version = connection.version_of::<FetchRequest>()?;
        if version < LEAST_FETCH_VERSION {
            return Err(Missed::Again(format!("Fetch is served in version {version} only")));
        }
        let request = self.metadata_request(tail, asking.bytes);
        let asked = self.io.now();
        let response = match connection.call(version, &request, limit).await {
            Ok(response) => response,
            Err(CallError::Closed(..)) if leader.is_some() && self.io.now().since(asked) < limit && !asking.has_ended => {
                // At once and the same again: if only the connection broke, the controller has reason to believe that this node is gone.
                asking.has_ended = true;
                return Ok(());
            }
            Err(error) => {
                // It may be that the answer is long and the way is slow.
                asking.bytes = (asking.bytes / 2).max(LEAST_FETCH_BYTES);
                return Err(error.into());
            }
        };
        asking.bytes = asking.bytes.saturating_mul(2).min(FETCH_BYTES);
        asking.has_ended = false;
        let answer = self.read_answer(response)?;
        let is_leading = leader.is_some();
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            Some(
                ErrorCode::NotLeaderOrFollower
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::UnknownLeaderEpoch
                | ErrorCode::BrokerNotAvailable,
            ) if !is_leading || cluster.leader() != before => {
                // Whoever was asked has said who leads, if he knows; if not, he is not asked again at once.
                let is_known = cluster.leader().0.is_some() && cluster.leader() != before;
                return if is_known { Ok(()) } else { Err(Missed::Again("nobody is known to lead".to_owned())) };
            }
            _ => return Err(Missed::Again(format!("error {}", answer.error_code))),
        }
        if !is_leading {
            // Somebody was asked who may lead: from here on by the connection that is for it.
            return Ok(());
        }
        self.take_answer(tail, &connection, answer).await
    }

    fn metadata_request(&self, tail: &Tail, bytes: i32) -> FetchRequest {
        let cluster = self.in_cluster();
        let ((end, last_epoch), (_, epoch)) = (tail.end(), cluster.leader());
        let partition = FetchPartition {
            partition: 0,
            current_leader_epoch: epoch.max(last_epoch),
            fetch_offset: end.0,
            last_fetched_epoch: last_epoch,
            partition_max_bytes: bytes,
            replica_directory_id: cluster.directory,
            ..FetchPartition::default()
        };
        FetchRequest {
            cluster_id: Some((&*cluster.id).into()),
            replica_state: ReplicaState { replica_id: cluster.node.0, replica_epoch: -1 },
            max_wait_ms: FETCH_WAIT.as_millis() as i32,
            min_bytes: 0,
            max_bytes: bytes,
            topics: vec![FetchTopic { topic_id: TopicId::METADATA, partitions: vec![partition], ..FetchTopic::default() }],
            ..FetchRequest::default()
        }
    }

    /// What an answer says of the metadata partition; who leads is taken note of.
    fn read_answer(&self, response: FetchResponse) -> Result<PartitionData, Missed> {
        let cluster = self.in_cluster();
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::InconsistentClusterId) => {
                return Err(Missed::Fatal(format!(
                    "the controllers are not of cluster {}, whose log dirs these are",
                    cluster.id
                )));
            }
            _ => return Err(Missed::Again(format!("error {}", response.error_code))),
        }
        for node in &response.node_endpoints {
            let port = u16::try_from(node.port).unwrap_or(0);
            cluster.learn_endpoint(BrokerId(node.node_id), &node.host, port);
        }
        let of_metadata = response.responses.into_iter().find(|topic| topic.topic_id == TopicId::METADATA);
        let partition =
            of_metadata.and_then(|topic| topic.partitions.into_iter().find(|partition| partition.partition_index == 0));
        let partition = partition.ok_or_else(|| Missed::Again("an answer about something else".to_owned()))?;
        let (leader, epoch) = (partition.current_leader.leader_id, partition.current_leader.leader_epoch);
        if epoch >= 0 {
            cluster.learn_leader((leader >= 0).then_some(BrokerId(leader)), epoch);
        }
        Ok(partition)
    }

    async fn take_answer(self: &Rc<Self>, tail: &mut Tail, connection: &Connection, answer: PartitionData) -> Result<(), Missed> {
        if answer.snapshot_id.end_offset >= 0 {
            return self.take_snapshot(tail, connection, answer.snapshot_id.end_offset, answer.snapshot_id.epoch).await;
        }
        if answer.diverging_epoch.end_offset >= 0 {
            let (epoch, end) = (answer.diverging_epoch.epoch, Offset(answer.diverging_epoch.end_offset));
            return tail.truncate(epoch, end).map_err(Missed::Fatal);
        }
        if let Records::Bytes(bytes) = &answer.records {
            tail.append(bytes).map_err(Missed::Again)?;
        }
        self.apply_committed(tail, Offset(answer.high_watermark)).await.map_err(Missed::Fatal)
    }

    async fn apply_committed(self: &Rc<Self>, tail: &mut Tail, high_watermark: Offset) -> Result<(), String> {
        let mut is_new = false;
        let mut all = crate::controller::MetadataDelta::default();
        while let Some(batch) = tail.take_committed(high_watermark) {
            let mut loader = tail.take_loader();
            let is_long = batch.size() > LONG_BYTES;
            let (loader, delta) = self.io.compute(is_long, move || batch.apply(&mut loader).map(|delta| (loader, delta))).await?;
            tail.applied(loader);
            all.merge(delta);
            is_new = true;
            self.io.yield_if_needed().await;
        }
        if is_new {
            self.in_cluster().learn(tail.image(), all);
        }
        Ok(())
    }

    /// Fetches the leader's snapshot, piece by piece, and goes on from its end.
    async fn take_snapshot(
        self: &Rc<Self>,
        tail: &mut Tail,
        connection: &Connection,
        end: i64,
        epoch: i32,
    ) -> Result<(), Missed> {
        let (version, cluster) = (connection.version_of::<FetchSnapshotRequest>()?, self.in_cluster());
        let mut content = BytesMut::new();
        loop {
            let request = self.snapshot_request(end, epoch, content.len() as i64);
            let response = connection.call(version, &request, cluster.answer_limit).await?;
            let again = |what: &str| Missed::Again(format!("the snapshot {end}-{epoch}: {what}"));
            if response.error_code != ErrorCode::None.code() {
                return Err(again(&format!("error {}", response.error_code)));
            }
            let of_metadata = response.topics.into_iter().find(|topic| &*topic.name == METADATA_TOPIC);
            let part = of_metadata.and_then(|topic| topic.partitions.into_iter().find(|partition| partition.index == 0));
            let part = part.ok_or_else(|| again("an answer about something else"))?;
            if part.error_code != ErrorCode::None.code() {
                return Err(again(&format!("error {}", part.error_code)));
            }
            let size = usize::try_from(part.size).ok().filter(|size| *size <= MOST_SNAPSHOT_BYTES);
            let size = size.ok_or_else(|| again(&format!("it has {} bytes", part.size)))?;
            match part.unaligned_records {
                Records::Bytes(bytes) if !bytes.is_empty() && part.position == content.len() as i64 => {
                    content.extend_from_slice(&bytes);
                }
                _ => return Err(again("a piece is missing")),
            }
            if content.len() >= size {
                break;
            }
        }
        let mut taken = std::mem::take(tail);
        let content = content.freeze();
        let read = move || taken.restart(&content, Offset(end), epoch).map(|delta| (taken, delta));
        let (restarted, delta) = self.io.compute(true, read).await.map_err(Missed::Fatal)?;
        *tail = restarted;
        tracing::info!(end, epoch, "read a snapshot of the metadata");
        self.in_cluster().learn(tail.image(), delta);
        Ok(())
    }

    fn snapshot_request(&self, end_offset: i64, epoch: i32, position: i64) -> FetchSnapshotRequest {
        let cluster = self.in_cluster();
        let partition = PartitionSnapshot {
            partition: 0,
            current_leader_epoch: cluster.leader().1,
            snapshot_id: SnapshotId { end_offset, epoch },
            position,
            replica_directory_id: cluster.directory,
        };
        FetchSnapshotRequest {
            cluster_id: Some((&*cluster.id).into()),
            replica_id: cluster.node.0,
            max_bytes: PIECE_BYTES,
            topics: vec![TopicSnapshot { name: METADATA_TOPIC.into(), partitions: vec![partition] }],
        }
    }
}
