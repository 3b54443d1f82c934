//! What a quorum is opened with.

use super::SnapshotPolicy;
use super::members::Member;
use crate::config::{BrokerConfig, DynamicConfigs, QuorumVoter, TopicConfig};
use crate::model::BrokerId;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Kafka's timeouts of a quorum; the file `timing` says what becomes of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuorumTimeouts {
    /// `controller.quorum.election.timeout.ms`.
    pub election_ms: u64,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_ms: u64,
    /// `controller.quorum.request.timeout.ms`.
    pub request_ms: u64,
}

impl Default for QuorumTimeouts {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { election_ms: 1_000, election_backoff_max_ms: 1_000, fetch_ms: 2_000, request_ms: 2_000 }
    }
}

impl From<&BrokerConfig> for QuorumTimeouts {
    fn from(config: &BrokerConfig) -> Self {
        let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
        Self {
            election_ms: ms(config.quorum_election_timeout_ms()),
            election_backoff_max_ms: ms(config.quorum_election_backoff_max_ms()),
            fetch_ms: ms(config.quorum_fetch_timeout_ms()),
            request_ms: ms(config.quorum_request_timeout_ms()),
        }
    }
}

/// What the quorum is opened with.
#[derive(Clone, Debug)]
pub struct OpenQuorum {
    /// The formatted log dir that holds the metadata log, `metadata.log.dir` or the first of `log.dirs`; the caller holds its lock.
    pub log_dir: PathBuf,
    /// This node.
    pub node: BrokerId,
    /// Id of the cluster, of `meta.properties`: voters of another are refused.
    pub cluster_id: String,
    /// All voters of a quorum whose voters are fixed (`kraft.version` 0), this node among them, until the log names some. None of a quorum
    /// whose voters the log names (`kraft.version` 1).
    pub voters: Vec<QuorumVoter>,
    /// This node as the log names it; none of a node that is alone, to which nobody can ever be added.
    pub member: Option<Member>,
    /// `controller.quorum.auto.join.enable`: a member that does not vote asks to be made a voter.
    pub auto_join: bool,
    /// `controller.quorum.bootstrap.servers`: whom a member asks for the others, as long as it does not know them.
    pub servers: Vec<(String, u16)>,
    /// Name of the listener by which controllers call each other, the first of `controller.listener.names`.
    pub listener: String,
    /// How long who waits for whom.
    pub timeouts: QuorumTimeouts,
    /// `flumen.elect.on.refusal.enable`: whether a leader whose process is gone is replaced before the timeouts.
    pub fast_failover: bool,
    /// Whether the log dir was closed cleanly.
    pub clean_shutdown: bool,
    /// `num.partitions`, for topics that do not say.
    pub num_partitions: i32,
    /// `default.replication.factor`, likewise.
    pub default_replication_factor: i32,
    /// `min.insync.replicas`, likewise.
    pub min_insync_replicas: usize,
    /// `unclean.leader.election.enable`, likewise.
    pub unclean_leader_election: bool,
    /// `metadata.log.segment.bytes` and `metadata.log.segment.ms`.
    pub segment_bytes: i32,
    /// See above.
    pub segment_ms: i64,
    /// When snapshots are written and removed.
    pub snapshots: SnapshotPolicy,
}

impl OpenQuorum {
    /// As the settings say, alone: who has other voters adds them and the cluster's id.
    pub fn new(config: &BrokerConfig, clean_shutdown: bool) -> Self {
        let of_topics = TopicConfig::resolve(config, &DynamicConfigs::default(), &BTreeMap::new());
        Self {
            log_dir: config.metadata_log_dir(),
            node: config.node_id(),
            cluster_id: String::new(),
            voters: vec![],
            member: None,
            auto_join: config.quorum_auto_join_enable(),
            servers: config.quorum_bootstrap_servers(),
            listener: config.controller_listener_names().into_iter().next().unwrap_or_default(),
            timeouts: config.into(),
            fast_failover: config.elect_on_refusal_enable(),
            clean_shutdown,
            num_partitions: config.num_partitions(),
            default_replication_factor: config.default_replication_factor(),
            min_insync_replicas: of_topics.min_insync_replicas,
            unclean_leader_election: of_topics.unclean_leader_election_enable,
            segment_bytes: config.metadata_log_segment_bytes(),
            segment_ms: config.metadata_log_segment_ms(),
            snapshots: SnapshotPolicy {
                bytes_between: config.metadata_log_max_record_bytes_between_snapshots() as u64,
                interval_ms: config.metadata_log_max_snapshot_interval_ms() as u64,
                retention_bytes: config.metadata_max_retention_bytes(),
                retention_ms: config.metadata_max_retention_ms(),
            },
        }
    }

    /// The ids of all voters.
    ///
    /// # Errors
    /// This node is none of them, or one is named twice.
    pub(super) fn voter_ids(&self) -> Result<Vec<BrokerId>, String> {
        if self.voters.is_empty() {
            return Ok(vec![self.node]);
        }
        let mut ids: Vec<BrokerId> = self.voters.iter().map(|voter| voter.id).collect();
        ids.sort();
        ids.dedup();
        if ids.len() != self.voters.len() {
            return Err("a voter is named twice".to_owned());
        }
        if !ids.contains(&self.node) {
            return Err(format!("node {} is none of the voters {ids:?}", self.node));
        }
        Ok(ids)
    }
}
