//! Commits the controller's decisions to `__cluster_metadata`, and gives the images that the committed records make.
//!
//! **The problem.** A topic that was acknowledged must be there after any crash, also of the machine that acknowledged it; there is one
//! order of decisions, whoever decides; and Apache Kafka's tools must be able to read it.
//!
//! **The design that follows.** A decision's records go, as one finished batch of Kafka's format (each record a framed metadata record, no
//! keys), to the log `__cluster_metadata-0` of every voter; they are on the devices of a majority before they are applied, and applied
//! before the caller learns of it. Who decides, and what a majority has, is openraft's to find out.
//!
//! **Where to enter.** [`Quorum::open`] makes this node one of the voters, or the only one. [`Quorum::execute`] decides on the newest image
//! and commits what comes of it: **one decision is in flight at a time**, and each sees the image that holds the one before. Everybody
//! else uses a [`QuorumHandle`]: who leads ([`QuorumHandle::state`]), what was committed ([`QuorumHandle::take_committed`]), what other
//! voters say ([`QuorumHandle::receive`]), reads for brokers that do not vote. From a decision to the other voters and back it is
//! `mod` (execute) → `node` (commit) → openraft → `store` and `journal` (this log), `network` → there `receive` → `store` and `journal`;
//! when a majority has it → `machine` (the image).
//!
//! **One raft entry is one batch of the Kafka log**, and nothing is stored twice:
//!
//! | raft | on disk |
//! | --- | --- |
//! | entry of index i | the i-th batch since the log began, from 0 |
//! | term | the batch's leader epoch |
//! | normal entry | a batch of metadata records, with the time at which it was decided |
//! | a leader's blank entry | its leader-change batch; each election writes one |
//! | membership entry | a batch of a voters record; with a fixed set of voters (`kraft.version` 0) there are none |
//! | vote | `quorum-state` |
//! | snapshot | Kafka's `<end offset>-<epoch>.checkpoint` and, beside it, `<end offset>-<epoch>.raft` with its index |
//! | purge | nothing: what raft need not know any more stays as long as Kafka's rules for snapshots want it |
//!
//! So directories of older versions and of Apache Kafka open, and theirs are the only files, but for the `.raft` ones, which Kafka passes over.
//! A leader sends the batches themselves, its leader change included: all logs are the same to the byte.
//!
//! **What several voters add** (`controller.quorum.voters`, `kraft.version` 0):
//! - A leader is one only when it has applied all of its log and a majority answers it (`lead`). [`QuorumError::NotLeader`] says that it is
//!   none, or stopped being one in the middle of a decision, which is then committed or not: the next leader knows.
//! - A leader tries the records on the metadata before it proposes them, in a term and at an offset, and openraft takes them in that term
//!   only. The state machine takes what came of the trial with the very entry; an entry of another leader in its place, everybody
//!   else's and a start's are read out of the batch.
//! - A follower cuts off what its leader does not have (never what was committed), and takes a snapshot where the leader's log begins later
//!   than its own ends (`reception`).
//! - What openraft is to know of a peer's message is judged before (`receive`): it ends the process over what cannot be.
//! - A voter with nothing on its disk does not stand for election before somebody has given it something, or all others have said that they
//!   have nothing either (`lead`): so a single node's directory can become that of one of three. A new cluster begins when all voters
//!   are there, which Kafka does not ask for.
//!
//! **What voters that can change add** (`kraft.version` 1, KIP-853): whether they can is what the directory was formatted for (`formatted`).
//! - The log names the voters, each with the directory of its disk and with its listeners (`members`). A message is for such a directory,
//!   so that a voter whose disk is new is none, and it need not wait for anybody before it stands for election.
//! - A controller that does not vote asks the leader for the log, as Kafka's observers fetch it; openraft has it as a learner. It has to have
//!   everything before it is made a voter. `change` is what is asked of the leader, one change after the other; `announce` is what a
//!   controller asks for itself.
//!
//! What was found out about openraft 0.10.0-alpha.37 (of 0.10 there are pre-releases only):
//! - It runs on one thread (feature `single-threaded`: no `Send`) and without tokio (no default features): its runtime is a type, ours
//!   is [`crate::io::RaftRuntime`]. That has functions without `self`, so every call of openraft is made inside `Io::enter`.
//! - Clock and chance come from the runtime only (chance: the first tick, and how long to wait for an election), and it selects by fixed
//!   order. But its log lines at `info` and below read the machine's clock and time zone; the broker shows those from `error` on; `network`
//!   says what matters of the calls without an answer, which are its warnings.
//! - Its terms have one leader with `leader_id_std`, not by default. A committed entry's id is then term and index.
//! - It needs no `initialize`: the membership that the state machine reports is enough, so the first entry is the leader change, as it
//!   always was. A lone voter's `trigger().elect()` and its own vote make it lead; ticks, timeouts and heartbeats are switched off.
//! - By default whoever led before a restart leads again in the same term. That is switched off, and no start finds a leader's vote.
//! - A leader that no majority answers stays one until it hears of another, and what was proposed waits: `lead` watches the last answers.
//! - A receiver of its metrics says at once that they have changed, however often one is made, until it has looked.
//! - It drops the future of a call that takes too long; the calls here are tasks of their own.
//! - A follower that has lost what it had ends the leader, unless `allow_log_reversion` is set.
//! - It applies by reading entries back from the log, so the last ones are remembered.
//! - When storage fails it stops for good and keeps a text of the error; the error itself is kept here ([`QuorumError`]).
//! - At a start it installs the snapshot and applies what is committed, 64 entries at a time. That is everything where one voter is
//!   alone; it is told so instead of keeping a commit index on disk. Among others it is nothing, until a leader says.
//!
//! Files: `settings` what a quorum is opened with, `timing` Kafka's timeouts as openraft has them; `bootstrap` what a new cluster begins
//! with, `formatted` and who votes in it first; `members` voters as records; `node` openraft with its parts, `lead` who leads, `change` who
//! votes, `announce` who says so of itself, `lookout` a leader that is gone, `handle` the face to others; `types` what openraft is told of ours;
//! `journal` the log, the vote and the numbers of entries, with `places` in memory, `store` openraft's view of it; `entry` entries to
//! batches and back, `batch` batches to bytes; `machine` the metadata; `snapshot` and `position` what a start begins with and lets the
//! log be short; `state` the file `quorum-state`; `network` the way to other voters, `codec` what is said, `receive` and `reception`
//! what comes; `reads` and `observers` brokers that read along.

mod announce;
mod batch;
mod bootstrap;
mod change;
#[cfg(all(test, feature = "sim"))]
mod cluster_tests;
mod codec;
#[cfg(all(test, feature = "sim"))]
mod crash_tests;
#[cfg(all(test, feature = "sim"))]
mod dynamic_tests;
mod entry;
#[cfg(all(test, feature = "sim"))]
mod fault_tests;
mod formatted;
mod handle;
mod journal;
mod lead;
mod lookout;
mod machine;
mod members;
mod network;
mod node;
mod observers;
mod places;
mod position;
mod reads;
mod receive;
mod reception;
mod settings;
mod snapshot;
mod state;
mod store;
#[cfg(all(test, feature = "sim"))]
mod store_tests;
#[cfg(test)]
mod tests;
mod timing;
mod types;

pub use crate::controller::{Command, Reply};

pub use batch::decode as decode_batch;
pub use change::VoterChangeError;
pub use formatted::{is_dynamic, names_nobody, write_alone, write_joining, write_voters};
pub use handle::{QuorumHandle, QuorumState};
pub use members::{KRAFT_VERSION_DYNAMIC, Member, MemberEndpoint};
pub use observers::{QuorumDescription, ReplicaProgress};
pub use reads::{CommittedRead, Found, SnapshotBytes, SnapshotId};
pub use settings::{OpenQuorum, QuorumTimeouts};
pub use snapshot::{SnapshotPolicy, encode as encode_snapshot, read as decode_snapshot};

use crate::config::{
    broker_list_default, client_metrics_list_default, dynamic_config_warning, topic_config_warnings, topic_list_default,
    validate_client_metrics, validate_topic_configs,
};
use crate::controller::{
    Allowance, ApplyError, CLIENT_METRICS, Cluster, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, Context,
    Heartbeats, MetadataDelta, MetadataImage, decide,
};
use crate::io::{Io, Mono};
use crate::log::LogError;
use crate::model::BrokerId;
#[cfg(test)]
use crate::protocol::MetadataRecord;
use crate::protocol::generated::CreateTopicsRequest;
pub use bootstrap::write_bootstrap;
use node::Node;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// API key of what voters say to each other: a request of version 0 behind a request header of version 2, an answer behind a response
/// header of version 1, both of bytes that only [`QuorumHandle::receive`] reads. No key of Kafka's; to be served on controller listeners
/// only, and advertised nowhere.
pub const RAFT_API_KEY: i16 = 30001;

/// Topic of the metadata log.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// Largest batch that is committed; Kafka's brokers fetch no larger ones.
pub const MAX_BATCH_BYTES: usize = 8 << 20;

/// Topics of one command on which is decided in one go; with more it is done away from the core.
const MANY_TOPICS: usize = 500;

/// Why the metadata cannot be read or committed. All but [`QuorumError::TooLarge`] and [`QuorumError::NotLeader`] are fatal: the broker no
/// longer knows whether its last decision holds, so it has to stop.
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
    /// This node does not lead, or does not any more. Of a decision that was under way nobody knows: it may be committed or not.
    #[error("this node does not lead the metadata quorum")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<BrokerId>,
    },
    /// The quorum has stopped.
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

/// What a controller of several brokers knows beside the image, see [`crate::controller::Cluster`].
#[derive(Clone, Debug)]
pub struct OfCluster {
    /// The cluster's id.
    pub cluster_id: String,
    /// Who was heard of.
    pub heartbeats: Heartbeats,
    /// The time on their clock.
    pub now_ms: u64,
    /// Level of `kraft.version`.
    pub kraft_version: i16,
    /// Who has taken the place of a broker need not wait for the end of its session.
    pub believes_successors: bool,
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
    node: Rc<Node>,
    num_partitions: i32,
    default_replication_factor: i32,
    min_insync_replicas: usize,
    unclean_leader_election: bool,
}

impl Quorum {
    /// Opens the metadata log. A voter that is alone reads it (a new cluster's is begun with the records of `bootstrap.checkpoint`) and
    /// leads in a new epoch when this returns. Among others it waits for nothing: what is committed, the leader says.
    ///
    /// # Errors
    /// Metadata that cannot be read, or of a version that is not supported; voters that this node is none of.
    pub async fn open(io: Io, how: OpenQuorum) -> Result<Self, QuorumError> {
        let bootstrap = bootstrap::read_or_write(&io, &how.log_dir).await?;
        let node = Node::open(&io, how.clone(), bootstrap).await?;
        if node.is_alone() {
            node.lead().await?;
            node.activate().await?;
        } else {
            io.spawn(Node::attend(Rc::downgrade(&node)));
            if how.member.is_some() {
                io.spawn(Node::announce(Rc::downgrade(&node)));
            }
            if how.fast_failover {
                io.spawn(Node::look_out(Rc::downgrade(&node)));
            }
        }
        Ok(Self {
            io,
            node,
            num_partitions: how.num_partitions,
            default_replication_factor: how.default_replication_factor,
            min_insync_replicas: how.min_insync_replicas,
            unclean_leader_election: how.unclean_leader_election,
        })
    }

    /// What is to be had of the quorum while a decision is in flight. From the first call on, changes are gathered for
    /// [`QuorumHandle::take_committed`].
    pub fn handle(&self) -> QuorumHandle {
        QuorumHandle::new(self.node.clone())
    }

    /// The metadata as committed.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.node.metadata.image()
    }

    /// The latest epoch that is known; where this node leads, that in which it leads.
    pub fn epoch(&self) -> i32 {
        self.node.state().epoch
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
        self.execute_of(command, allowance, None).await
    }

    /// As [`Quorum::execute_within`], for a cluster of several brokers.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn execute_of(
        &mut self,
        command: Command,
        allowance: Allowance,
        of_cluster: Option<OfCluster>,
    ) -> Result<Executed, QuorumError> {
        let _turn = self.node.deciding.enter().await;
        let term = self.node.ready().await?;
        let (image, randomness) = (self.image(), self.io.randomness());
        let (num_partitions, default_replication_factor) = (self.num_partitions, self.default_replication_factor);
        let (min_insync_replicas, unclean_leader_election) = (self.min_insync_replicas, self.unclean_leader_election);
        let (is_long, node) = (command.size(&image) > MANY_TOPICS, self.node.how.node);
        let decide_and_warn = move || {
            let judge = |configs: &[(&str, Option<&str>)]| validate_topic_configs(configs.iter().copied());
            let mut context = Context {
                node,
                num_partitions,
                default_replication_factor,
                min_insync_replicas,
                unclean_leader_election,
                cluster: of_cluster.as_ref().map(OfCluster::as_seen),
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
            delta.merge(self.node.commit(term, &records).await?);
        }
        Ok(Executed { reply: decision.reply, image: self.image(), delta, allowance })
    }

    /// Waits until all that is in the log is applied, a decision that was given up among it, so that [`Quorum::image`] holds it.
    ///
    /// # Errors
    /// [`QuorumError::NotLeader`]: this node does not lead (any more).
    pub async fn ready(&self) -> Result<(), QuorumError> {
        self.node.ready().await.map(drop)
    }

    #[cfg(test)]
    async fn commit(&mut self, records: &[MetadataRecord]) -> Result<MetadataDelta, QuorumError> {
        let term = self.node.ready().await?;
        self.node.commit(term, records).await
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

impl OfCluster {
    fn as_seen(&self) -> Cluster<'_> {
        let Self { cluster_id, heartbeats, now_ms, kraft_version, believes_successors } = self;
        Cluster {
            cluster_id,
            heartbeats,
            now_ms: *now_ms,
            kraft_version: *kraft_version,
            believes_successors: *believes_successors,
        }
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
pub fn is_clean_restart(image: impl std::borrow::Borrow<MetadataImage>, broker: BrokerId, marker: Option<i64>) -> bool {
    image.borrow().broker(broker).is_some_and(|registered| marker == Some(registered.epoch))
}
