//! Commits the controller's decisions to `__cluster_metadata`, and gives the images that the committed records make.
//!
//! A topic that was acknowledged must be there after any crash, and Apache Kafka's tools must be able to read why. So a decision's
//! records go, as one finished batch of Kafka's format (each record a framed metadata record, no keys), to the log
//! `__cluster_metadata-0`; they are on the device before they are applied, and applied before the caller learns of it.
//!
//! **Consensus is openraft's** ([`Quorum::execute`] hides it), so far with one voter, which is elected at once and asks nobody. One raft
//! entry is one batch of the Kafka log, and nothing is stored twice:
//!
//! | raft | on disk |
//! | --- | --- |
//! | entry of index i | the i-th batch since the log began, from 0 |
//! | term | the batch's leader epoch |
//! | normal entry | a batch of metadata records, with the time at which it was decided |
//! | a leader's blank entry | its leader-change batch; each start is elected anew and writes one |
//! | membership entry | a batch of voters records; with a fixed set of voters (`kraft.version` 0) there are none |
//! | vote | `quorum-state` |
//! | snapshot | Kafka's `<end offset>-<epoch>.checkpoint` and, beside it, `<end offset>-<epoch>.raft` with its index |
//! | purge | nothing: what raft need not know any more stays as long as Kafka's rules for snapshots want it |
//!
//! So directories of older versions and of Apache Kafka open, and theirs are the only files, but for the `.raft` ones, which Kafka passes over.
//!
//! [`Quorum::execute`] takes `&mut self`: **one decision is in flight at a time**, and each sees the image that holds the one before. A
//! leader tries the records on the metadata before it proposes them, and the state machine takes what came of it; everybody else, and a
//! start, reads them out of the batch. A batch that was decided for another place than it gets is refused.
//!
//! What was found out about openraft 0.10.0-alpha.37 (of 0.10 there are pre-releases only):
//! - It runs on one thread (feature `single-threaded`: no `Send`) and without tokio (no default features): its runtime is a type, ours
//!   is [`crate::io::RaftRuntime`]. That has functions without `self`, so every call of openraft is made inside `Io::enter`.
//! - Clock and chance come from the runtime only (chance: the first tick, and how long to wait for an election), and it selects by fixed
//!   order. But its log lines at `info` and below read the machine's clock and time zone; the broker shows those from `warn` on.
//! - Its terms have one leader with `leader_id_std`, not by default. A committed entry's id is then term and index.
//! - A lone voter needs no `initialize`: the membership that the state machine reports is enough, so the first entry is the leader
//!   change, as it always was. `trigger().elect()` and the voter's own vote make it lead; ticks, timeouts and heartbeats are switched off.
//! - By default whoever led before a restart leads again in the same term. That is switched off, and no start finds a leader's vote.
//! - It applies by reading entries back from the log, so the last ones are remembered.
//! - When storage fails it stops for good and keeps a text of the error; the error itself is kept here ([`QuorumError`]).
//! - At a start it installs the snapshot and applies what is committed, 64 entries at a time. That is everything where one voter is
//!   alone; it is told so instead of keeping a commit index on disk.
//!
//! Files: `bootstrap` what a new cluster begins with; `node` openraft with its parts; `types` what it is told of ours; `journal` the log,
//! the vote and the numbers of entries, `store` openraft's view of it; `entry` entries to batches and back, `batch` batches to bytes;
//! `machine` the metadata; `snapshot` and `position` what a start begins with and lets the log be short; `state` the file
//! `quorum-state`; `network` the way to other voters.

mod batch;
mod bootstrap;
#[cfg(all(test, feature = "sim"))]
mod crash_tests;
mod entry;
mod journal;
mod machine;
mod network;
mod node;
mod position;
mod snapshot;
mod state;
mod store;
#[cfg(all(test, feature = "sim"))]
mod store_tests;
#[cfg(test)]
mod tests;
mod types;

pub use crate::controller::{Command, Reply};

use crate::config::{
    BrokerConfig, DynamicConfigs, TopicConfig, broker_list_default, client_metrics_list_default, dynamic_config_warning,
    topic_config_warnings, topic_list_default, validate_client_metrics, validate_topic_configs,
};
use crate::controller::{
    Allowance, ApplyError, CLIENT_METRICS, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, Context,
    MetadataDelta, MetadataImage, decide,
};
use crate::io::{Io, Mono};
use crate::log::LogError;
use crate::model::BrokerId;
use crate::protocol::MetadataRecord;
use crate::protocol::generated::CreateTopicsRequest;
use node::Node;
pub use snapshot::SnapshotPolicy;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Topic of the metadata log.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// Largest batch that is committed; Kafka's brokers fetch no larger ones.
pub const MAX_BATCH_BYTES: usize = 8 << 20;

/// Topics of one command on which is decided in one go; with more it is done away from the core.
const MANY_TOPICS: usize = 500;

/// Why the metadata cannot be read or committed. All but [`QuorumError::TooLarge`] are fatal: the broker no longer knows whether its
/// last decision holds, so it has to stop.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// The metadata log failed.
    #[error("metadata log: {0}")]
    Log(#[from] LogError),
    /// A file beside the log failed.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The log or a file holds what it cannot hold.
    #[error("{path}: {reason}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The quorum has stopped, or does not follow this node any more.
    #[error("the metadata quorum: {0}")]
    Consensus(String),
    /// The records contradict each other.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The records of one decision are more than a batch may hold; nothing was committed.
    #[error("the records of one decision take {bytes} bytes, more than {MAX_BATCH_BYTES}")]
    TooLarge {
        /// Their size.
        bytes: usize,
    },
}

/// What the quorum is opened with.
#[derive(Clone, Debug)]
pub struct OpenQuorum {
    /// The formatted log dir that holds the metadata log, `metadata.log.dir` or the first of `log.dirs`; the caller holds its lock.
    pub log_dir: PathBuf,
    /// This node.
    pub node: BrokerId,
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
    /// As the settings say.
    pub fn new(config: &BrokerConfig, clean_shutdown: bool) -> Self {
        let of_topics = TopicConfig::resolve(config, &DynamicConfigs::default(), &BTreeMap::new());
        Self {
            log_dir: config.metadata_log_dir(),
            node: config.node_id(),
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
}

/// A decision that is committed.
#[derive(Clone, Debug)]
pub struct Executed {
    /// What to answer, once every core has `image`.
    pub reply: Reply,
    /// The metadata with the decision in them.
    pub image: Arc<MetadataImage>,
    /// What the decision changed; empty if it committed nothing.
    pub delta: MetadataDelta,
    /// What is left of the allowance that it was decided with.
    pub allowance: Allowance,
}

/// The controller of this cluster, on its core.
pub struct Quorum {
    io: Io,
    node: Node,
    image: Arc<MetadataImage>,
    num_partitions: i32,
    default_replication_factor: i32,
    min_insync_replicas: usize,
    unclean_leader_election: bool,
}

impl Quorum {
    /// Opens the metadata log (a new cluster's is begun with the records of `bootstrap.checkpoint`), reads it, and begins to lead in a
    /// new epoch.
    ///
    /// # Errors
    /// Metadata that cannot be read, or of a version that is not supported.
    pub async fn open(io: Io, how: OpenQuorum) -> Result<Self, QuorumError> {
        let bootstrap = bootstrap::read_or_write(&io, &how.log_dir).await?;
        let mut node = Node::open(&io, &how).await?;
        let is_new = node.end_offset() == crate::model::Offset::ZERO;
        node.lead().await?;
        if node.loader().in_transaction() {
            // Its leader died before it could end it; nobody ever saw these records.
            let abort = crate::protocol::generated::AbortTransactionRecord::default();
            node.commit(&[abort.into()]).await?;
        }
        if is_new || node.image().metadata_version().is_none() {
            node.commit(&bootstrap).await?;
        }
        let image = Arc::new(node.image());
        node.check_metadata_version(&image)?;
        for (kind, count) in image.not_understood() {
            tracing::warn!(count, "the metadata hold {kind}, which this broker does not act upon");
        }
        Ok(Self {
            io,
            node,
            image,
            num_partitions: how.num_partitions,
            default_replication_factor: how.default_replication_factor,
            min_insync_replicas: how.min_insync_replicas,
            unclean_leader_election: how.unclean_leader_election,
        })
    }

    /// The metadata as committed.
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// Epoch in which this node leads.
    pub fn epoch(&self) -> i32 {
        self.node.epoch()
    }

    /// Directory of the metadata log; not a partition that a client may see.
    pub fn log_path(log_dir: &Path) -> PathBuf {
        journal::partition_dir(log_dir)
    }

    /// Decides on `command`, commits its records, and returns when they are on the device and in [`Quorum::image`]. Everything is in
    /// the image before the caller tells anybody.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn execute(&mut self, command: Command) -> Result<Executed, QuorumError> {
        self.execute_within(command, Allowance::default()).await
    }

    /// As [`Quorum::execute`], with an allowance of partitions that may change.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn execute_within(&mut self, command: Command, allowance: Allowance) -> Result<Executed, QuorumError> {
        let (image, randomness) = (self.image.clone(), self.io.randomness());
        let (num_partitions, default_replication_factor) = (self.num_partitions, self.default_replication_factor);
        let (min_insync_replicas, unclean_leader_election) = (self.min_insync_replicas, self.unclean_leader_election);
        let is_long = command.size(&image) > MANY_TOPICS;
        let decide_and_warn = move || {
            let judge = |configs: &[(&str, Option<&str>)]| validate_topic_configs(configs.iter().copied());
            let mut context = Context {
                num_partitions,
                default_replication_factor,
                min_insync_replicas,
                unclean_leader_election,
                cluster: None,
                judge_configs: &judge,
                judge_subscription: &validate_client_metrics,
                list_default: &list_default,
                random: &mut || randomness.bytes::<16>(),
                allowance,
            };
            let decision = decide(&image, &command, &mut context);
            match &command {
                Command::CreateTopics(request) => warn_of_configs(request),
                Command::AlterConfigs { alterations, .. } if !decision.batches.is_empty() => {
                    alterations.iter().for_each(warn_of_change)
                }
                _ => {}
            }
            (decision, context.allowance)
        };
        let (decision, allowance) = self.io.compute(is_long, decide_and_warn).await;
        let mut delta = MetadataDelta::default();
        for records in decision.batches {
            delta.merge(self.commit(&records).await?);
        }
        Ok(Executed { reply: decision.reply, image: Arc::clone(&self.image), delta, allowance })
    }

    async fn commit(&mut self, records: &[MetadataRecord]) -> Result<MetadataDelta, QuorumError> {
        let delta = self.node.commit(records).await?;
        self.image = Arc::new(self.node.image());
        Ok(delta)
    }

    /// Writes a snapshot if one is due, and removes what is not needed beside the newest. To be called between decisions.
    ///
    /// # Errors
    /// The device fails.
    pub async fn keep_short(&mut self) -> Result<(), QuorumError> {
        self.node.keep_short().await
    }

    /// When [`Quorum::keep_short`] is to be called even if nothing is decided until then.
    pub fn snapshot_due(&self) -> Option<Mono> {
        self.node.snapshot_due()
    }

    /// Closes the log; nothing can be committed afterwards.
    ///
    /// # Errors
    /// The device fails.
    pub async fn close(&mut self) -> Result<(), QuorumError> {
        self.node.close().await
    }
}

/// Logs what the configs of new topics will not do.
fn warn_of_configs(request: &CreateTopicsRequest) {
    for topic in &request.topics {
        for warning in topic_config_warnings(topic.configs.iter().map(|config| (&*config.name, config.value.as_deref()))) {
            tracing::warn!(topic = &*topic.name, "{warning}");
        }
    }
}

/// Logs what a change of configs will not do.
fn warn_of_change(alteration: &ConfigAlteration) {
    let warn = |name: &str, value: &str| match &alteration.resource {
        ConfigResource::Topic(topic) => {
            for warning in topic_config_warnings([(name, Some(value))].into_iter()) {
                tracing::warn!(topic = &**topic, "{warning}");
            }
        }
        ConfigResource::Broker(_) => {
            if let Some(why) = dynamic_config_warning(name, value) {
                tracing::warn!(key = name, "has no effect: {why}");
            }
        }
        ConfigResource::Other(CLIENT_METRICS, subscription) => {
            let why = "nothing receives what clients would report";
            tracing::warn!(subscription = &**subscription, key = name, "is kept and described, and has no effect: {why}");
        }
        ConfigResource::Other(..) => {}
    };
    match &alteration.change {
        ConfigChange::Replace(configs) => configs.iter().for_each(|(name, value)| warn(name, value)),
        ConfigChange::Incremental(operations) => {
            for (name, operation) in operations {
                if let ConfigOperation::Set(value) | ConfigOperation::Append(value) = operation {
                    warn(name, value);
                }
            }
        }
    }
}

/// The default of a key that is a list.
fn list_default(resource: &ConfigResource, name: &str) -> Option<&'static str> {
    match resource {
        ConfigResource::Topic(_) => topic_list_default(name),
        ConfigResource::Broker(_) => broker_list_default(name),
        ConfigResource::Other(CLIENT_METRICS, _) => client_metrics_list_default(name),
        ConfigResource::Other(..) => None,
    }
}

/// Whether the broker's last stop was clean: the marker of a log dir (`brokerEpoch` of `.kafka_cleanshutdown`) names the epoch in which
/// the broker is registered. To be asked before it registers anew.
pub fn is_clean_restart(image: &MetadataImage, broker: BrokerId, marker: Option<i64>) -> bool {
    image.broker(broker).is_some_and(|registered| marker == Some(registered.epoch))
}
