//! From one image to the next: what each metadata record does. The same code serves live operation and loading.

use super::image::{Broker, ConfigResource, Endpoint, MetadataImage, Partition, Topic};
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::{
    BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What has changed between two images, so that each core looks at that only.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MetadataDelta {
    /// Partitions that are new or have changed.
    pub partitions: BTreeSet<(TopicId, PartitionIndex)>,
    /// Topics that are gone, as they were.
    pub deleted_topics: BTreeMap<TopicId, Arc<Topic>>,
    /// Resources whose configs have changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that are new, have changed or are gone.
    pub brokers: BTreeSet<BrokerId>,
    /// Whether a finalized feature has changed.
    pub features: bool,
    /// Whether a client quota has changed.
    pub quotas: bool,
}

impl MetadataDelta {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what has changed after this.
    pub fn merge(&mut self, later: Self) {
        self.partitions.retain(|(topic, _)| !later.deleted_topics.contains_key(topic));
        self.partitions.extend(later.partitions);
        self.deleted_topics.extend(later.deleted_topics);
        self.configs.extend(later.configs);
        self.brokers.extend(later.brokers);
        self.features |= later.features;
        self.quotas |= later.quotas;
    }
}

/// A record that does not fit the metadata before it. The log is not what a controller wrote, or a decision was wrong: nothing that
/// follows can be trusted, so this is fatal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("metadata record does not fit: {0}")]
pub struct ApplyError(pub String);

fn misfit<T>(text: String) -> Result<T, ApplyError> {
    Err(ApplyError(text))
}

/// No change, in a partition change record.
const NO_LEADER_CHANGE: i32 = -2;

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn leader(id: i32) -> Option<BrokerId> {
    (id >= 0).then_some(BrokerId(id))
}

impl MetadataImage {
    /// Moves the image behind the batch that ends before `next_offset`, written in `epoch`.
    pub fn advance_to(&mut self, next_offset: Offset, epoch: i32) {
        assert!(next_offset >= self.next_offset, "the metadata went back from {} to {next_offset}", self.next_offset);
        (self.next_offset, self.epoch) = (next_offset, epoch);
    }

    /// Applies one record to this image and notes in `delta` what it changed. Transaction markers change nothing here, see
    /// [`super::Loader`].
    ///
    /// # Errors
    /// A record that contradicts the image, which is then torn and must not be used.
    pub fn apply(&mut self, record: &MetadataRecord, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::Topic(topic) => self.apply_topic(topic),
            MetadataRecord::Partition(partition) => self.apply_partition(partition, delta),
            MetadataRecord::PartitionChange(change) => self.apply_partition_change(change, delta),
            MetadataRecord::RemoveTopic(removed) => self.apply_remove_topic(removed.topic_id, delta),
            MetadataRecord::Config(config) => self.apply_config(config, delta),
            MetadataRecord::ClearElr(clear) => self.apply_clear_elr(clear, delta),
            MetadataRecord::RegisterBroker(registration) => {
                self.apply_register_broker(registration, delta);
                Ok(())
            }
            MetadataRecord::UnregisterBroker(gone) => {
                let id = BrokerId(gone.broker_id);
                self.registered(id, gone.broker_epoch)?;
                Arc::make_mut(&mut self.brokers).remove(&id);
                delta.brokers.insert(id);
                Ok(())
            }
            MetadataRecord::BrokerRegistrationChange(change) => self.apply_registration_change(change, delta),
            MetadataRecord::FenceBroker(fence) => self.set_fenced(BrokerId(fence.id), fence.epoch, true, delta),
            MetadataRecord::UnfenceBroker(unfence) => self.set_fenced(BrokerId(unfence.id), unfence.epoch, false, delta),
            MetadataRecord::FeatureLevel(level) => {
                self.apply_feature_level(level, delta);
                Ok(())
            }
            MetadataRecord::ClientQuota(quota) => {
                self.apply_quota(quota);
                delta.quotas = true;
                Ok(())
            }
            MetadataRecord::ProducerIds(block) => self.apply_producer_ids(block),
            MetadataRecord::NoOp(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Ok(()),
            other => {
                *Arc::make_mut(&mut self.not_understood).entry(kind_of(other)).or_default() += 1;
                Ok(())
            }
        }
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut Topic, ApplyError> {
        match Arc::make_mut(&mut self.topics).get_mut(&id) {
            Some(topic) => Ok(Arc::make_mut(topic)),
            None => misfit(format!("topic id {id} is unknown")),
        }
    }

    fn apply_topic(&mut self, record: &TopicRecord) -> Result<(), ApplyError> {
        let (id, name): (TopicId, Arc<str>) = (record.topic_id, Arc::from(&*record.name));
        if Arc::make_mut(&mut self.names).insert(Arc::clone(&name), id).is_some() {
            return misfit(format!("topic {name} exists already"));
        }
        let topic = Arc::new(Topic { id, name, partitions: BTreeMap::new() });
        if Arc::make_mut(&mut self.topics).insert(id, topic).is_some() {
            return misfit(format!("topic id {id} exists already"));
        }
        Ok(())
    }

    fn apply_partition(&mut self, record: &PartitionRecord, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        let index = PartitionIndex(record.partition_id);
        let mut directories = record.directories.clone();
        if directories.is_empty() {
            directories = vec![super::DIRECTORY_MIGRATING; record.replicas.len()];
        }
        if directories.len() != record.replicas.len() {
            return misfit(format!("partition {index} of {} has other numbers of directories and replicas", record.topic_id));
        }
        let partition = Partition {
            replicas: ids(&record.replicas),
            directories,
            isr: ids(&record.isr),
            removing_replicas: ids(&record.removing_replicas),
            adding_replicas: ids(&record.adding_replicas),
            eligible_leader_replicas: ids(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: ids(record.last_known_elr.as_deref().unwrap_or_default()),
            leader: leader(record.leader),
            recovering: record.leader_recovery_state == 1,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        };
        self.topic_mut(record.topic_id)?.partitions.insert(index, partition);
        delta.partitions.insert((record.topic_id, index));
        Ok(())
    }

    fn apply_partition_change(&mut self, record: &PartitionChangeRecord, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        let index = PartitionIndex(record.partition_id);
        let Some(partition) = self.topic_mut(record.topic_id)?.partitions.get_mut(&index) else {
            return misfit(format!("partition {index} of {} is unknown", record.topic_id));
        };
        let set = |field: &mut Vec<BrokerId>, change: &Option<Vec<i32>>| {
            if let Some(change) = change {
                *field = ids(change);
            }
        };
        set(&mut partition.isr, &record.isr);
        set(&mut partition.replicas, &record.replicas);
        set(&mut partition.removing_replicas, &record.removing_replicas);
        set(&mut partition.adding_replicas, &record.adding_replicas);
        set(&mut partition.eligible_leader_replicas, &record.eligible_leader_replicas);
        set(&mut partition.last_known_elr, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            partition.directories = directories.clone();
        }
        if record.leader_recovery_state >= 0 {
            partition.recovering = record.leader_recovery_state == 1;
        }
        // The leader epoch rises whenever a leader is named, even if it is the same: that is how an election without a change of
        // leader is told.
        if record.leader != NO_LEADER_CHANGE {
            partition.leader = leader(record.leader);
            partition.leader_epoch.0 += 1;
        }
        partition.partition_epoch += 1;
        delta.partitions.insert((record.topic_id, index));
        Ok(())
    }

    fn apply_remove_topic(&mut self, id: TopicId, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        let Some(topic) = Arc::make_mut(&mut self.topics).remove(&id) else {
            return misfit(format!("topic id {id} is unknown"));
        };
        Arc::make_mut(&mut self.names).remove(&topic.name);
        let resource = ConfigResource::Topic(Arc::clone(&topic.name));
        if Arc::make_mut(&mut self.configs).remove(&resource).is_some() {
            delta.configs.insert(resource);
        }
        delta.partitions.retain(|(topic, _)| *topic != id);
        delta.deleted_topics.insert(id, topic);
        Ok(())
    }

    fn apply_config(&mut self, record: &ConfigRecord, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        let name = &*record.resource_name;
        let resource = match record.resource_type {
            2 => ConfigResource::Topic(Arc::from(name)),
            4 if name.is_empty() => ConfigResource::Broker(None),
            4 => match name.parse() {
                Ok(id) => ConfigResource::Broker(Some(BrokerId(id))),
                Err(_) => return misfit(format!("config of a broker called {name:?}")),
            },
            other => ConfigResource::Other(other, Arc::from(name)),
        };
        let all = Arc::make_mut(&mut self.configs);
        let own = Arc::make_mut(all.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => drop(own.insert(record.name.to_string(), value.to_string())),
            None => drop(own.remove(&*record.name)),
        }
        if own.is_empty() {
            all.remove(&resource);
        }
        delta.configs.insert(resource);
        Ok(())
    }

    fn apply_clear_elr(&mut self, record: &ClearElrRecord, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        let name = &*record.topic_name;
        let topics: Vec<TopicId> = match self.names.get(name) {
            Some(id) => vec![*id],
            None if name.is_empty() => self.topics.keys().copied().collect(),
            None => return misfit(format!("topic {name} is unknown")),
        };
        for id in topics {
            for (index, partition) in &mut self.topic_mut(id)?.partitions {
                if !partition.eligible_leader_replicas.is_empty() || !partition.last_known_elr.is_empty() {
                    partition.eligible_leader_replicas.clear();
                    partition.last_known_elr.clear();
                    partition.partition_epoch += 1;
                    delta.partitions.insert((id, *index));
                }
            }
        }
        Ok(())
    }

    fn apply_register_broker(&mut self, record: &RegisterBrokerRecord, delta: &mut MetadataDelta) {
        let id = BrokerId(record.broker_id);
        let endpoint = |e: &crate::protocol::generated::register_broker_record::BrokerEndpoint| Endpoint {
            name: Arc::from(&*e.name),
            host: Arc::from(&*e.host),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let features = record.features.iter();
        let broker = Broker {
            id,
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: features.map(|f| (Arc::from(&*f.name), f.min_supported_version, f.max_supported_version)).collect(),
            rack: record.rack.as_deref().map(Arc::from),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
        };
        Arc::make_mut(&mut self.brokers).insert(id, Arc::new(broker));
        delta.brokers.insert(id);
    }

    fn registered(&self, id: BrokerId, epoch: i64) -> Result<(), ApplyError> {
        match self.brokers.get(&id) {
            Some(broker) if broker.epoch == epoch => Ok(()),
            Some(broker) => misfit(format!("broker {id} has epoch {}, not {epoch}", broker.epoch)),
            None => misfit(format!("broker {id} is not registered")),
        }
    }

    fn broker_mut(&mut self, id: BrokerId, epoch: i64) -> Result<&mut Broker, ApplyError> {
        self.registered(id, epoch)?;
        let broker = Arc::make_mut(&mut self.brokers).get_mut(&id).expect("it is registered");
        Ok(Arc::make_mut(broker))
    }

    fn set_fenced(&mut self, id: BrokerId, epoch: i64, fenced: bool, delta: &mut MetadataDelta) -> Result<(), ApplyError> {
        self.broker_mut(id, epoch)?.fenced = fenced;
        delta.brokers.insert(id);
        Ok(())
    }

    fn apply_registration_change(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        let id = BrokerId(record.broker_id);
        let broker = self.broker_mut(id, record.broker_epoch)?;
        match record.fenced {
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs = record.log_dirs.clone();
        }
        delta.brokers.insert(id);
        Ok(())
    }

    fn apply_feature_level(&mut self, record: &FeatureLevelRecord, delta: &mut MetadataDelta) {
        // The quorum keeps this one for itself, in control records.
        if record.name == super::KRAFT_VERSION {
            return;
        }
        let features = Arc::make_mut(&mut self.features);
        match record.feature_level {
            0 => drop(features.remove(&*record.name)),
            level => drop(features.insert(record.name.to_string(), level)),
        }
        delta.features = true;
    }

    fn apply_producer_ids(&mut self, record: &ProducerIdsRecord) -> Result<(), ApplyError> {
        if record.next_producer_id <= self.next_producer_id {
            return misfit(format!("producer ids go back from {} to {}", self.next_producer_id, record.next_producer_id));
        }
        self.next_producer_id = record.next_producer_id;
        Ok(())
    }
}

fn kind_of(record: &MetadataRecord) -> &'static str {
    match record {
        MetadataRecord::AccessControlEntry(_) | MetadataRecord::RemoveAccessControlEntry(_) => "access control entries",
        MetadataRecord::UserScramCredential(_) | MetadataRecord::RemoveUserScramCredential(_) => "SCRAM credentials",
        MetadataRecord::DelegationToken(_) | MetadataRecord::RemoveDelegationToken(_) => "delegation tokens",
        MetadataRecord::RegisterController(_) => "controller registrations",
        _ => "other records",
    }
}
