//! What a core reads out of the metadata: which partitions are on this broker, and how they are to be run.

use super::core::Core;
use super::partition::{NO_BROKER, Partition};
use super::requests::CurrentLeader;
use super::settings::cleaner_limits;
use super::throttle::Throttled;
use crate::config::{DynamicConfigs, LiveConfig, TopicConfig};
use crate::controller::{self, ConfigResource, DIRECTORY_UNASSIGNED, MetadataDelta, MetadataImage};
use crate::log::{CleanupPolicy, LogConfig};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId, TopicIdPartition, TopicPartition};
use crate::replica::{Assignment, BrokerStatus, LeaderRecovery};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A partition that has a replica on this broker.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) id: TopicIdPartition,
    pub(super) name: TopicPartition,
    pub(super) assignment: Assignment,
    /// The brokers that have its replicas.
    pub(super) brokers: Vec<BrokerStatus>,
    /// Id of the log dir in which the metadata say that it is; a reserved one if they say nothing.
    pub(super) directory: TopicId,
    pub(super) log_config: LogConfig,
    pub(super) min_insync_replicas: usize,
    pub(super) throttled: Throttled,
}

impl Core {
    /// From here on the image is what clients of this core see, and the broker's settings are those that it has.
    pub(super) fn show(&self, image: Arc<MetadataImage>) {
        let live = LiveConfig::resolve(&self.config, &self.dynamic_configs(&image));
        let has_changed = live != *self.live.borrow();
        if has_changed {
            self.cleaning.set_limits(cleaner_limits(&live, self.cores()));
            *self.live.borrow_mut() = live;
            // Who sleeps for as long as a setting says looks at it again.
            self.changed.notify_all();
        }
        *self.image.borrow_mut() = image;
    }

    /// Every partition of the image that is this core's.
    pub(super) fn assigned(&self, image: &MetadataImage) -> Vec<Assigned> {
        let all = image.topics().flat_map(|topic| topic.partitions.keys().map(|index| (topic.id, *index)));
        self.assigned_of(image, all)
    }

    /// Those of `wanted` that are this core's; neighbours of one topic are best named one after the other.
    pub(super) fn assigned_of(
        &self,
        image: &MetadataImage,
        wanted: impl Iterator<Item = (TopicId, PartitionIndex)>,
    ) -> Vec<Assigned> {
        let dynamic = self.dynamic_configs(image);
        let live = LiveConfig::resolve(&self.config, &dynamic);
        let mut config: Option<(TopicId, TopicConfig)> = None;
        let mut found = Vec::new();
        for (topic_id, index) in wanted {
            let id = TopicIdPartition { topic_id, partition: index };
            let Some((topic, partition)) = image.topic_by_id(topic_id).and_then(|t| Some((t, t.partitions.get(&index)?))) else {
                continue;
            };
            if self.owner(id) != self.index || !partition.replicas.contains(&self.broker_id()) {
                continue;
            }
            let resolved = match config.take() {
                Some((of, resolved)) if of == topic_id => resolved,
                _ => TopicConfig::resolve(&self.config, &dynamic, &image.topic_configs(&topic.name)),
            };
            found.push(Assigned {
                id,
                name: TopicPartition::new(topic.name.clone(), index),
                assignment: assignment(partition),
                brokers: partition.replicas.iter().filter_map(|id| image.broker(*id)).map(|broker| status(broker)).collect(),
                directory: directory(partition, self.broker_id()),
                log_config: log_config(&resolved, &live),
                min_insync_replicas: resolved.min_insync_replicas,
                throttled: Throttled {
                    as_leader: resolved.leader_replication_throttled_replicas.contains(index, self.broker_id()),
                    as_follower: resolved.follower_replication_throttled_replicas.contains(index, self.broker_id()),
                },
            });
            config = Some((topic_id, resolved));
        }
        found
    }

    /// The partitions that a change touches: their own records, or configs that they go by.
    pub(super) fn touched(&self, image: &MetadataImage, delta: &MetadataDelta) -> BTreeSet<(TopicId, PartitionIndex)> {
        let mut touched = delta.partitions.clone();
        for resource in &delta.configs {
            match resource {
                ConfigResource::Topic(name) => {
                    let topic = image.topic_by_name(name);
                    touched.extend(topic.iter().flat_map(|topic| topic.partitions.keys().map(|index| (topic.id, *index))));
                }
                ConfigResource::Broker(broker) if broker.is_none_or(|id| id == self.broker_id()) => {
                    touched.extend(self.partitions.borrow().keys().map(|id| (id.topic_id, id.partition)));
                }
                ConfigResource::Broker(_) | ConfigResource::Other(..) => {}
            }
        }
        touched
    }

    /// Partitions of this core with replicas on these brokers and on others: their leaders go by what is known of each. A partition that
    /// has no other replica has nobody to wait for.
    pub(super) fn with_replicas_on(&self, brokers: &BTreeSet<BrokerId>) -> Vec<(TopicId, PartitionIndex)> {
        if brokers.is_empty() {
            return Vec::new();
        }
        let partitions = self.partitions.borrow();
        let is_touched = |partition: &Partition| {
            let state = partition.state();
            let replicas = state.replica.replicas();
            replicas.len() > 1 && replicas.iter().any(|id| brokers.contains(id))
        };
        let touched = partitions.values().filter(|partition| is_touched(partition));
        touched.map(|partition| (partition.id.topic_id, partition.id.partition)).collect()
    }

    fn dynamic_configs(&self, image: &MetadataImage) -> DynamicConfigs {
        let of = |broker| image.configs(&ConfigResource::Broker(broker)).map(|configs| (**configs).clone()).unwrap_or_default();
        DynamicConfigs { cluster: of(None), broker: of(Some(self.broker_id())) }
    }

    /// Why a partition that should be here is not.
    pub(super) fn missing(&self, id: TopicIdPartition) -> ErrorCode {
        let image = self.image.borrow().clone();
        match image.topic_by_id(id.topic_id).map(|topic| topic.partitions.get(&id.partition)) {
            None => ErrorCode::UnknownTopicId,
            Some(None) => ErrorCode::UnknownTopicOrPartition,
            // Its log dir is offline.
            Some(Some(partition)) if partition.leader == Some(self.broker_id()) => ErrorCode::KafkaStorageError,
            Some(Some(_)) => ErrorCode::NotLeaderOrFollower,
        }
    }

    /// KIP-951: who leads a partition that is not here, told with NOT_LEADER_OR_FOLLOWER.
    pub(super) fn leader_in_image(&self, id: TopicIdPartition, error: ErrorCode) -> Option<CurrentLeader> {
        if error != ErrorCode::NotLeaderOrFollower {
            return None;
        }
        let image = self.image.borrow();
        let partition = image.partition(id.topic_id, id.partition)?;
        Some(CurrentLeader { leader_id: partition.leader.unwrap_or(NO_BROKER), leader_epoch: partition.leader_epoch })
    }
}

fn assignment(partition: &controller::Partition) -> Assignment {
    Assignment {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        recovery: if partition.recovering { LeaderRecovery::Recovering } else { LeaderRecovery::Recovered },
    }
}

fn status(broker: &controller::Broker) -> BrokerStatus {
    BrokerStatus { id: broker.id, epoch: broker.epoch, fenced: broker.fenced, shutting_down: broker.in_controlled_shutdown }
}

fn directory(partition: &controller::Partition, broker: BrokerId) -> TopicId {
    let place = partition.replicas.iter().position(|replica| *replica == broker);
    place.and_then(|place| partition.directories.get(place)).copied().unwrap_or(DIRECTORY_UNASSIGNED)
}

/// What a log needs of its topic's configuration, and of the broker's.
fn log_config(topic: &TopicConfig, live: &LiveConfig) -> LogConfig {
    LogConfig {
        segment_bytes: topic.segment_bytes,
        segment_ms: topic.segment_ms,
        segment_jitter_ms: topic.segment_jitter_ms,
        segment_index_bytes: topic.segment_index_bytes,
        index_interval_bytes: topic.index_interval_bytes,
        max_message_bytes: topic.max_message_bytes,
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        file_delete_delay_ms: topic.file_delete_delay_ms,
        preallocate: topic.preallocate,
        cleanup_policy: CleanupPolicy { delete: topic.cleanup_delete, compact: topic.cleanup_compact },
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        producer_id_expiration_ms: live.producer_id_expiration_ms,
    }
}
