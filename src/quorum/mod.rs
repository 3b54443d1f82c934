//! Commits the controller's decisions to `__cluster_metadata`, and gives the images that the committed records make.
//!
//! A topic that was acknowledged must be there after any crash, and Apache Kafka's tools must be able to read why. So a decision's
//! records go, as one finished batch of Kafka's format (each record a framed metadata record, no keys), to the log
//! `__cluster_metadata-0`; they are on the device before they are applied, and applied before the caller learns of it.
//!
//! Consensus hides behind [`Quorum::execute`]. So far there is one voter, which is elected at once: each start begins a new epoch with a
//! leader-change control batch, as a KRaft leader does. A raft engine will take the place of [`SingleVoter`]: what it
//! commits is appended to the same log, and nothing above notices.
//!
//! [`Quorum::execute`] takes `&mut self`: **one decision is in flight at a time**, and each sees the image that holds the one before.
//!
//! Files: `bootstrap` what a new cluster begins with; `batch` batches to and from bytes; `snapshot` what a start
//! begins with and lets the log be short; `state` the file `quorum-state`; `voter` the log and its
//! epochs.

mod batch;
mod bootstrap;
#[cfg(all(test, feature = "sim"))]
mod crash_tests;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod voter;

pub use crate::controller::{Command, Reply};

use crate::config::{
    BrokerConfig, broker_list_default, client_metrics_list_default, dynamic_config_warning, topic_config_warnings,
    topic_list_default, validate_client_metrics, validate_topic_configs,
};
use crate::controller::{
    Allowance, ApplyError, CLIENT_METRICS, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, Context, Loader,
    MetadataDelta, MetadataImage, decide,
};
use crate::io::{Io, Mono};
use crate::log::LogError;
use crate::model::BrokerId;
use crate::protocol::MetadataRecord;
use crate::protocol::generated::CreateTopicsRequest;
pub use snapshot::SnapshotPolicy;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use voter::SingleVoter;

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
        Self {
            log_dir: config.metadata_log_dir(),
            node: config.node_id(),
            clean_shutdown,
            num_partitions: config.num_partitions(),
            default_replication_factor: config.default_replication_factor(),
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
    voter: SingleVoter,
    loader: Loader,
    image: Arc<MetadataImage>,
    num_partitions: i32,
    default_replication_factor: i32,
}

impl Quorum {
    /// Opens the metadata log (a new cluster's is begun with the records of `bootstrap.checkpoint`), reads it, and begins to lead in a
    /// new epoch.
    ///
    /// # Errors
    /// Metadata that cannot be read, or of a version that is not supported.
    pub async fn open(io: Io, how: OpenQuorum) -> Result<Self, QuorumError> {
        let bootstrap = bootstrap::read_or_write(&io, &how.log_dir).await?;
        let (mut voter, mut loader) = SingleVoter::open(&io, &how).await?;
        let is_new = voter.end_offset() == crate::model::Offset::ZERO;
        voter.begin_epoch(&mut loader).await?;
        if loader.in_transaction() {
            // Its leader died before it could end it; nobody ever saw these records.
            let abort = crate::protocol::generated::AbortTransactionRecord::default();
            voter.commit(&mut loader, &[abort.into()]).await?;
        }
        if is_new || loader.image().metadata_version().is_none() {
            voter.commit(&mut loader, &bootstrap).await?;
        }
        voter.check_metadata_version(loader.image())?;
        for (kind, count) in loader.image().not_understood() {
            tracing::warn!(count, "the metadata hold {kind}, which this broker does not act upon");
        }
        let image = Arc::new(loader.image().clone());
        let (num_partitions, default_replication_factor) = (how.num_partitions, how.default_replication_factor);
        Ok(Self { io, voter, loader, image, num_partitions, default_replication_factor })
    }

    /// The metadata as committed.
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// Epoch in which this node leads.
    pub fn epoch(&self) -> i32 {
        self.voter.epoch()
    }

    /// Directory of the metadata log; not a partition that a client may see.
    pub fn log_path(log_dir: &Path) -> PathBuf {
        voter::partition_dir(log_dir)
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
        let is_long = command.size() > MANY_TOPICS;
        let decide_and_warn = move || {
            let judge = |configs: &[(&str, Option<&str>)]| validate_topic_configs(configs.iter().copied());
            let mut context = Context {
                num_partitions,
                default_replication_factor,
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
        let delta = self.voter.commit(&mut self.loader, records).await?;
        self.image = Arc::new(self.loader.image().clone());
        Ok(delta)
    }

    /// Writes a snapshot if one is due, and removes what is not needed beside the newest. To be called between decisions.
    ///
    /// # Errors
    /// The device fails.
    pub async fn keep_short(&mut self) -> Result<(), QuorumError> {
        self.voter.keep_short(&self.image).await
    }

    /// When [`Quorum::keep_short`] is to be called even if nothing is decided until then.
    pub fn snapshot_due(&self) -> Option<Mono> {
        self.voter.snapshot_due()
    }

    /// Closes the log; nothing can be committed afterwards.
    ///
    /// # Errors
    /// The device fails.
    pub async fn close(&mut self) -> Result<(), QuorumError> {
        self.voter.close().await
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
