//! The cluster's metadata as of one offset: immutable, shared by every core.

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which thing a config belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigResource {
    /// A topic, by name: configs are written before the topic's partitions and under its name.
    Topic(Arc<str>),
    /// A broker; none is the default of all brokers.
    Broker(Option<BrokerId>),
    /// Another kind that Kafka 4.2 knows (16 client metrics, 32 group) or a later one, by number and name.
    Other(i8, Arc<str>),
}

/// Where a broker can be reached under one listener name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Listener name.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Security protocol as Kafka numbers it; 0 is PLAINTEXT.
    pub security_protocol: i16,
}

/// A registered broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Offset of the registration that made this incarnation known.
    pub epoch: i64,
    /// Chosen anew by each process.
    pub incarnation: TopicId,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// Feature names with the levels that it supports.
    pub features: Vec<(Arc<str>, i16, i16)>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Whether it may lead nothing, since it is starting or was not heard of.
    pub fenced: bool,
    /// Whether it is on its way out.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories.
    pub log_dirs: Vec<TopicId>,
}

impl Broker {
    /// Whether it may lead partitions and be in an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica of this broker that is in `directory` can be used. One that is yet to be placed can; a broker that registered
    /// before brokers named their directories is believed to have it.
    pub fn has_online_dir(&self, directory: TopicId) -> bool {
        match directory {
            super::DIRECTORY_MIGRATING | super::DIRECTORY_UNASSIGNED => true,
            super::DIRECTORY_LOST => false,
            other => self.log_dirs.is_empty() || self.log_dirs.contains(&other),
        }
    }

    /// Where clients of the listener `name` reach it.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == name)
    }
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partition {
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Log directory of each replica.
    pub directories: Vec<TopicId>,
    /// The replicas that are in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas on their way out.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas on their way in.
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas outside the ISR that may lead without loss (KIP-966).
    pub eligible_leader_replicas: Vec<BrokerId>,
    /// Whom to try when nobody else is left (KIP-966).
    pub last_known_elr: Vec<BrokerId>,
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Whether the leader was elected uncleanly and has not recovered yet.
    pub recovering: bool,
    /// Rises with each election.
    pub leader_epoch: LeaderEpoch,
    /// Rises with each change.
    pub partition_epoch: i32,
}

impl Partition {
    /// Log directory of the replica of `broker`, if there is one.
    pub fn directory(&self, broker: BrokerId) -> Option<TopicId> {
        let at = self.replicas.iter().position(|id| *id == broker)?;
        self.directories.get(at).copied()
    }

    /// Whether its replicas are being changed.
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions; of a committed topic, 0 to n-1.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

/// The cluster's metadata as of one offset. Cloning copies a few pointers, so every core and request can hold one; the next image
/// shares with this one whatever did not change.
#[derive(Clone, PartialEq, Debug)]
pub struct MetadataImage {
    /// Offset behind the last record that is in it.
    pub(super) next_offset: Offset,
    /// Epoch of the controller that wrote it.
    pub(super) epoch: i32,
    pub(super) features: Arc<BTreeMap<String, i16>>,
    pub(super) brokers: Arc<BTreeMap<BrokerId, Arc<Broker>>>,
    pub(super) topics: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    pub(super) names: Arc<BTreeMap<Arc<str>, TopicId>>,
    pub(super) configs: Arc<BTreeMap<ConfigResource, Arc<BTreeMap<String, String>>>>,
    pub(super) quotas: Arc<BTreeMap<super::QuotaEntity, Arc<super::QuotaValues>>>,
    pub(super) next_producer_id: i64,
    /// Kinds of records that were read but are not understood yet, with their number: access control, quotas, credentials.
    pub(super) not_understood: Arc<BTreeMap<&'static str, usize>>,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            next_offset: Offset::ZERO,
            epoch: 0,
            features: Arc::default(),
            brokers: Arc::default(),
            topics: Arc::default(),
            names: Arc::default(),
            configs: Arc::default(),
            quotas: Arc::default(),
            next_producer_id: 0,
            not_understood: Arc::default(),
        }
    }
}

impl MetadataImage {
    /// Offset behind the last record that is in it.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Epoch of the controller that wrote it.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The finalized features that this broker serves: what it may tell clients. A directory that Apache Kafka has formatted finalizes
    /// more (`transaction.version` 2, for one), and a client that read those would use protocols that are not here.
    pub fn served_features(&self) -> impl Iterator<Item = (&'static str, i16)> {
        let level = |name: &'static str| Some((name, *self.features.get(name)?));
        super::SUPPORTED_FEATURES.iter().filter_map(move |&(name, ..)| level(name))
    }

    /// Every finalized feature; not what clients may be told, see [`MetadataImage::served_features`].
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The `metadata.version` in force, if any is.
    pub fn metadata_version(&self) -> Option<i16> {
        self.features.get(super::METADATA_VERSION).copied()
    }

    /// Every registered broker, fenced ones too, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// A registered broker.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// Whether a broker is registered and may lead.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// Topics whose names are `first` or greater, by name: for pages.
    pub fn topics_from<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a Arc<Topic>> {
        let range = (std::ops::Bound::Included(first), std::ops::Bound::Unbounded);
        self.names.range::<str, _>(range).filter_map(|(_, id)| self.topics.get(id))
    }

    /// Number of topics.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// A topic by its name.
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.names.get(name).and_then(|id| self.topics.get(id))
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// A partition.
    pub fn partition(&self, topic: TopicId, index: PartitionIndex) -> Option<&Partition> {
        self.topics.get(&topic)?.partitions.get(&index)
    }

    /// What was set on a topic, broker or other resource.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(resource)
    }

    /// The resources on which something was set.
    pub fn configured(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// What was set on a topic.
    pub fn topic_configs(&self, name: &str) -> Arc<BTreeMap<String, String>> {
        self.configs.get(&ConfigResource::Topic(Arc::from(name))).cloned().unwrap_or_default()
    }

    /// First producer id that no broker has been given yet.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// Kinds of records that are in the log and that this broker does not act upon, with their number. Access control that is
    /// written down but not enforced must at least be said aloud.
    pub fn not_understood(&self) -> &BTreeMap<&'static str, usize> {
        &self.not_understood
    }
}
