//! The cluster's metadata and the decisions that change them.
//!
//! Topics, partitions, leaders, brokers and configs must be agreed upon, survive restarts, and be readable by Apache Kafka's tools. So
//! they are KRaft's records in a log, and what a broker serves is the [`MetadataImage`] that the committed records give, immutable and
//! shared by all cores. A decision ([`decide`]) is a pure function of an image and a [`Command`]: it says which records to commit
//! and what to answer once they are; [`Loader`] turns committed records into the next image, live and at start alike.
//!
//! Kafka's controller decides on state that is not committed yet, and rolls back when it loses its leadership. Here **one decision is in
//! flight at a time**: the next one sees an image that holds the last one's records. That costs latency under a flood of admin calls,
//! which batching inside a request absorbs, and saves the roll-back. A broker's epoch is the offset at which its registration is
//! committed, which is known beforehand for the same reason.
//!
//! What brokers tell by the way and nobody commits, when each was heard of and how far it has read the metadata, is in [`Heartbeats`],
//! beside the image; [`Schedule`] says when the controller acts by itself. Both are pure: time comes in as milliseconds.
//!
//! Randomness (topic ids, where placement begins), the judgement of topic configs and the controller's own settings come from the
//! caller, see [`Context`].
//!
//! Where to enter: [`image`](MetadataImage) what is known; `apply` what each record does, `export` the records of an image; `topics`,
//! `partitions`, `delete`, `configs`, `quotas` and `features` the decisions on topics and settings; `brokers`, `heartbeats` and `fencing`
//! those on brokers; `alter_partition`, `directories`, `elections` and `reassignment` those on single partitions, all by way of the one
//! builder in `partition_change`; `placement` which brokers get replicas. Not here yet: access control.
//!
//! Where broker and controller are one process and alone (`cluster` of [`Context`] is `None`) nobody calls what concerns other brokers:
//! [`Heartbeats`], [`Schedule`], and the commands BrokerHeartbeat, FenceBroker, AlterPartition, BalanceLeaders and ElectUncleanLeaders.

#[cfg(test)]
mod admin_tests;
mod allowance;
mod alter_partition;
mod apply;
#[cfg(test)]
mod broker_tests;
mod brokers;
#[cfg(test)]
mod cluster_tests;
mod configs;
mod delete;
mod delta;
mod directories;
mod elections;
mod export;
mod features;
mod fencing;
mod heartbeats;
mod image;
mod loader;
mod partition_change;
#[cfg(test)]
mod partition_change_tests;
mod partitions;
mod placement;
mod quotas;
mod reassignment;
mod schedule;
#[cfg(test)]
mod tests;
mod topics;

pub use allowance::Allowance;
pub use apply::{ApplyError, MetadataDelta};
pub use brokers::{BrokerRegistration, PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock, supported_features};
pub use configs::{CLIENT_METRICS, ConfigAlteration, ConfigChange, ConfigOperation, ListDefault};
pub use directories::assign_dirs;
pub use heartbeats::Heartbeats;
pub use image::{Broker, ConfigResource, Endpoint, MetadataImage, Partition, Topic};
pub use loader::Loader;
pub use quotas::{CLIENT_ID, IP, QuotaEntity, QuotaValues, USER};
pub use schedule::{Intervals, Schedule};

use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::{
    AlterClientQuotasRequest, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, ConfigRecord, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    FeatureLevelRecord, UpdateFeaturesRequest,
};

/// Directory of a replica whose broker has several and has not said which: partition records without directories.
pub const DIRECTORY_MIGRATING: TopicId = TopicId::ZERO;
/// Directory of a replica that its broker is yet to place.
pub const DIRECTORY_UNASSIGNED: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// Directory of a replica whose log directory has failed.
pub const DIRECTORY_LOST: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/// Whether this can be the id of a log directory; the first hundred are reserved, as they are among topic ids.
pub fn is_directory(id: TopicId) -> bool {
    id.0[..15] != [0; 15] || id.0[15] >= 100
}

/// The feature that says which records may be written.
pub const METADATA_VERSION: &str = "metadata.version";
/// 3.7-IV2: partitions know their directories. Older metadata are refused: their records would need other versions.
pub const MIN_METADATA_VERSION: i16 = 17;
/// 4.2-IV1, the newest of Kafka 4.2.
pub const MAX_METADATA_VERSION: i16 = 29;
/// Metadata version from which partition records carry eligible leader replicas (4.0-IV1).
const ELR_METADATA_VERSION: i16 = 23;
const _: () = assert!(MIN_METADATA_VERSION < ELR_METADATA_VERSION && ELR_METADATA_VERSION < MAX_METADATA_VERSION);

/// The feature that says how the quorum's voters are kept (KIP-853); at level 0 they are fixed by the configuration. The quorum keeps
/// its level for itself, in control records.
pub const KRAFT_VERSION: &str = "kraft.version";

/// The feature by which replicas that have fallen out of the ISR below `min.insync.replicas` may still be elected (KIP-966).
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";

/// Features with the levels that this broker serves, for registration and ApiVersions. `kraft.version` is at level 1 where the
/// quorum was formatted so; it is not raised later.
pub const SUPPORTED_FEATURES: &[(&str, i16, i16)] =
    &[(METADATA_VERSION, MIN_METADATA_VERSION, MAX_METADATA_VERSION), (KRAFT_VERSION, 0, 1), (ELR_VERSION, 0, 1)];

/// Features of Kafka 4.2 that are not served. A client that reads `transaction.version` 2 or `group.version` 1 uses protocols that are
/// not here, so none of these may be named or put in force before it is; one that Apache Kafka has left in force can be turned off.
const UNSERVED_FEATURES: &[&str] = &["group.version", "share.version", "streams.version", "transaction.version"];

/// Most records of one decision, as in Kafka: they are committed as one batch.
pub const MAX_RECORDS_PER_BATCH: usize = 10_000;
/// Most partitions that one CreateTopics may ask for.
pub const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;

/// What can be asked of the controller.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Create topics. Configs are not in the answer: the caller adds what the client may see.
    CreateTopics(CreateTopicsRequest),
    /// Delete topics by name or id.
    DeleteTopics(DeleteTopicsRequest),
    /// Add partitions to topics.
    CreatePartitions(CreatePartitionsRequest),
    /// Change what is set on resources.
    AlterConfigs {
        /// The resources, each once.
        alterations: Vec<ConfigAlteration>,
        /// Say only what would come of it.
        validate_only: bool,
    },
    /// Change what users, client ids and addresses may do in a second.
    AlterClientQuotas(AlterClientQuotasRequest),
    /// Change the ISR of partitions, as their leader sees it.
    AlterPartition(AlterPartitionRequest),
    /// Give partitions their preferred leader, or any where there is none.
    ElectLeaders(ElectLeadersRequest),
    /// Give partitions other replicas, or stop doing so.
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    /// Note in which of its log directories a broker has replicas.
    AssignReplicasToDirs(AssignReplicasToDirsRequest),
    /// Give a broker the next block of producer ids.
    AllocateProducerIds {
        /// Who asks.
        broker: BrokerId,
        /// Its epoch.
        epoch: i64,
    },
    /// Change which levels of features are in force.
    UpdateFeatures(UpdateFeaturesRequest),
    /// A broker has started. It comes in fenced.
    RegisterBroker(BrokerRegistration),
    /// A broker tells how it is and what it wants. [`Heartbeats::contact`] before, [`Heartbeats::heard`] once it is decided.
    BrokerHeartbeat(BrokerHeartbeatRequest),
    /// A broker is gone or was not heard of for too long, see [`Heartbeats::tick`].
    FenceBroker {
        /// The broker.
        broker: BrokerId,
        /// The epoch in which it was not heard of.
        epoch: i64,
    },
    /// A broker does not come back.
    UnregisterBroker {
        /// The broker.
        broker: BrokerId,
    },
    /// Give partitions back to their preferred leaders, some at a time.
    BalanceLeaders,
    /// Find a leader, whatever is lost, where there is none and the topic allows it; some partitions at a time.
    ElectUncleanLeaders,
    /// A broker that is its own controller has recovered its logs: it may lead. Other brokers are unfenced by their heartbeats.
    UnfenceBroker {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        epoch: i64,
        /// Whether its last stop was clean. If not, its logs may have lost their ends, and whatever it leads gets a new leader epoch, by
        /// which consumers find out (KIP-320).
        clean_restart: bool,
    },
}

impl Command {
    /// Topics, or other things, that it names or has to look through: what deciding on it takes grows with them. All partitions are
    /// very many.
    pub fn size(&self, image: &MetadataImage) -> usize {
        let if_scanned = |is_scanned: bool| if is_scanned { usize::MAX } else { 0 };
        match self {
            Self::CreateTopics(request) => request.topics.len(),
            Self::DeleteTopics(request) => request.topics.len() + request.topic_names.len(),
            Self::CreatePartitions(request) => request.topics.len(),
            Self::AlterClientQuotas(request) => request.entries.iter().map(|entry| 1 + entry.ops.len()).sum(),
            Self::AlterConfigs { alterations, .. } => alterations.iter().map(ConfigAlteration::size).sum(),
            Self::ElectLeaders(request) => elections::size(request),
            Self::AlterPartitionReassignments(request) => request.topics.iter().map(|topic| 1 + topic.partitions.len()).sum(),
            Self::UpdateFeatures(request) => request.feature_updates.len(),
            Self::AlterPartition(request) => request.topics.iter().map(|topic| 1 + topic.partitions.len()).sum(),
            Self::AssignReplicasToDirs(request) => directories::size(request),
            Self::BrokerHeartbeat(request) => if_scanned(fencing::is_a_change(image, request)),
            // With one broker, nothing moves.
            Self::RegisterBroker(_) => if_scanned(image.brokers().len() > 1),
            Self::FenceBroker { .. } | Self::UnregisterBroker { .. } | Self::BalanceLeaders | Self::ElectUncleanLeaders => {
                usize::MAX
            }
            Self::AllocateProducerIds { .. } | Self::UnfenceBroker { .. } => 0,
        }
    }
}

/// The answer to a [`Command`], to be given once the records are committed.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// To [`Command::CreateTopics`].
    CreateTopics(CreateTopicsResponse),
    /// To [`Command::DeleteTopics`].
    DeleteTopics(DeleteTopicsResponse),
    /// To [`Command::CreatePartitions`].
    CreatePartitions(CreatePartitionsResponse),
    /// To [`Command::AlterConfigs`]: what became of each resource.
    AlterConfigs(Vec<Result<(), Refusal>>),
    /// To [`Command::AlterClientQuotas`]: what became of each entry.
    AlterClientQuotas(Vec<crate::protocol::generated::alter_client_quotas_response::EntryData>),
    /// To [`Command::ElectLeaders`].
    ElectLeaders(ElectLeadersResponse),
    /// To [`Command::AlterPartitionReassignments`].
    AlterPartitionReassignments(AlterPartitionReassignmentsResponse),
    /// To [`Command::AssignReplicasToDirs`].
    AssignReplicasToDirs(AssignReplicasToDirsResponse),
    /// To [`Command::AllocateProducerIds`]: `STALE_BROKER_EPOCH` or `BROKER_ID_NOT_REGISTERED` if it may not have one.
    ProducerIds(Result<ProducerIdBlock, ErrorCode>),
    /// To [`Command::UpdateFeatures`]: whether all of them hold, or else none.
    UpdateFeatures(Result<(), Refusal>),
    /// To [`Command::RegisterBroker`]: the broker's epoch.
    Registered(Result<i64, Refusal>),
    /// To [`Command::BrokerHeartbeat`].
    BrokerHeartbeat(BrokerHeartbeatResponse),
    /// To [`Command::UnregisterBroker`].
    Unregistered(Result<(), Refusal>),
    /// To [`Command::AlterPartition`].
    AlterPartition(AlterPartitionResponse),
    /// To what the controller asks of itself, see [`Schedule`].
    Ticked {
        /// There may be more to do at once.
        more: bool,
    },
    /// To [`Command::UnfenceBroker`].
    Unfenced(Result<(), ErrorCode>),
    /// To any: nothing is committed, since it would be more at once than the metadata log takes. Kafka says `POLICY_VIOLATION`.
    TooLarge,
}

impl Reply {
    /// Says for how long the client is held off that changed partitions.
    pub fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        match self {
            Self::CreateTopics(response) => response.throttle_time_ms = milliseconds,
            Self::DeleteTopics(response) => response.throttle_time_ms = milliseconds,
            Self::CreatePartitions(response) => response.throttle_time_ms = milliseconds,
            _ => {}
        }
    }

    /// For how long the client is held off that changed partitions.
    pub fn throttle_time_ms(&self) -> i32 {
        match self {
            Self::CreateTopics(response) => response.throttle_time_ms,
            Self::DeleteTopics(response) => response.throttle_time_ms,
            Self::CreatePartitions(response) => response.throttle_time_ms,
            _ => 0,
        }
    }
}

/// What to commit, and then to answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// Batches to commit one after the other, each of them as a whole; none if nothing changes.
    pub batches: Vec<Vec<MetadataRecord>>,
    /// The answer.
    pub reply: Reply,
}

/// Judges the configs `(name, value)` of a new topic; the text goes with `INVALID_CONFIG`.
pub type JudgeConfigs<'a> = &'a dyn Fn(&[(&str, Option<&str>)]) -> Result<(), String>;

/// Judges everything that would then be set on a subscription of client metrics.
pub type JudgeSubscription<'a> = &'a dyn Fn(&[(&str, &str)]) -> Result<(), (ErrorCode, String)>;

/// What the controller of a cluster knows beside the image.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// `cluster.id`, as every broker has to say it.
    pub cluster_id: &'a str,
    /// Who was heard of, and when.
    pub heartbeats: &'a Heartbeats,
    /// The time, on the clock of `heartbeats`.
    pub now_ms: u64,
    /// Level of `kraft.version`, which the quorum keeps for itself.
    pub kraft_version: i16,
    /// `flumen.fence.on.refusal.enable`: who has taken the place of a broker need not wait for the end of its session.
    pub believes_successors: bool,
}

/// What a decision needs beside the image.
pub struct Context<'a> {
    /// Who decides: what is set for this node alone goes before what is set for all, as with Kafka.
    pub node: BrokerId,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i32,
    /// `min.insync.replicas` of the controller's own settings, for topics where nothing else is set.
    pub min_insync_replicas: usize,
    /// `unclean.leader.election.enable`, likewise.
    pub unclean_leader_election: bool,
    /// `None` where broker and controller are one process and alone. Then nobody else could lead in the broker's place, and it cannot
    /// be found dead by itself: it keeps what it leads when it starts again, and there are no sessions.
    pub cluster: Option<Cluster<'a>>,
    /// Rules of topic configs.
    pub judge_configs: JudgeConfigs<'a>,
    /// Rules of client metrics.
    pub judge_subscription: JudgeSubscription<'a>,
    /// Which keys are lists.
    pub list_default: ListDefault<'a>,
    /// Gives 16 random bytes.
    pub random: &'a mut dyn FnMut() -> [u8; 16],
    /// How many partitions may be created and deleted.
    pub allowance: Allowance,
}

impl Context<'_> {
    fn topic_id(&mut self) -> TopicId {
        loop {
            if let Some(id) = TopicId::from_random((self.random)()) {
                return id;
            }
        }
    }
}

/// Decides on `command`. The image must hold every record that was committed before.
pub fn decide(image: &MetadataImage, command: &Command, context: &mut Context<'_>) -> Decision {
    let decision = match command {
        Command::CreateTopics(request) => topics::create_topics(image, request, context),
        Command::DeleteTopics(request) => delete::delete_topics(image, request, context),
        Command::CreatePartitions(request) => partitions::create_partitions(image, request, context),
        Command::AlterConfigs { alterations, validate_only } => {
            configs::alter_configs(image, alterations, *validate_only, context)
        }
        Command::AlterClientQuotas(request) => quotas::alter_client_quotas(image, request),
        Command::ElectLeaders(request) => elections::elect_leaders(image, request, context),
        Command::AlterPartitionReassignments(request) => reassignment::alter_partition_reassignments(image, request, context),
        Command::UpdateFeatures(request) => features::update_features(image, request, context),
        Command::AlterPartition(request) => alter_partition::alter_partition(image, request, context),
        Command::AssignReplicasToDirs(request) => directories::assign_replicas_to_dirs(image, request, context),
        Command::AllocateProducerIds { broker, epoch } => brokers::allocate_producer_ids(image, *broker, *epoch),
        Command::RegisterBroker(registration) => brokers::register(image, registration, context),
        Command::BrokerHeartbeat(request) => fencing::heartbeat(image, request, context),
        Command::FenceBroker { broker, epoch } => fencing::fence_stale(image, *broker, *epoch, context),
        Command::UnregisterBroker { broker } => brokers::unregister(image, *broker, context),
        Command::BalanceLeaders => elections::balance_leaders(image, context),
        Command::ElectUncleanLeaders => elections::elect_unclean_leaders(image, context),
        Command::UnfenceBroker { broker, epoch, clean_restart } => brokers::unfence(image, *broker, *epoch, *clean_restart),
    };
    assert!(decision.batches.iter().all(|batch| !batch.is_empty() && batch.len() <= MAX_RECORDS_PER_BATCH));
    decision
}

/// The records that a new cluster begins with.
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let version = FeatureLevelRecord {
        name: METADATA_VERSION.into(),
        feature_level: MAX_METADATA_VERSION,
        ..FeatureLevelRecord::default()
    };
    vec![MetadataRecord::from(version)]
}

/// The record that sets `min.insync.replicas` of all brokers.
pub fn minimum_in_sync(replicas: usize) -> ConfigRecord {
    configs::record(&ConfigResource::Broker(None), configs::MIN_INSYNC_REPLICAS, Some(&replicas.to_string()))
}

/// The version in which a record is written under the metadata version in force. Before ELR (KIP-966), partition records had none.
pub fn record_version(record: &MetadataRecord, metadata_version: i16) -> i16 {
    match record {
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) if metadata_version < ELR_METADATA_VERSION => 1,
        other => other.max_version(),
    }
}

fn batches(records: Vec<MetadataRecord>) -> Vec<Vec<MetadataRecord>> {
    let mut rest = records.into_iter().peekable();
    let mut batches = vec![];
    while rest.peek().is_some() {
        batches.push(rest.by_ref().take(MAX_RECORDS_PER_BATCH).collect());
    }
    batches
}

/// An error code with its text, as it goes into the answer for one topic or other thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub ErrorCode, pub Option<String>);

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self(code, Some(text.into()))
    }
}
