//! Taking a metadata image into use: logs are opened before anybody sees the image, and deleted after.

use super::core::Core;
use super::dirs::home_of;
use super::message::Message;
use super::metadata::Assigned;
use super::partition::Partition;
use crate::controller::{MetadataDelta, MetadataImage};
use crate::log::{Log, LogError, OpenLog};
use crate::model::{ErrorCode, Offset, PartitionIndex, TopicId, TopicIdPartition};
use futures_util::StreamExt as _;
use std::rc::Rc;
use std::sync::Arc;

/// Logs that a core opens at once: enough that a slow device has something to do, few enough that progress means something.
pub(super) const LOGS_AT_ONCE: usize = 8;
/// Kafka's `file.delete.delay.ms` for the directory of a deleted partition when the topic says nothing.
const DELETE_DELAY_MS: u64 = 60_000;

impl Core {
    /// First half of a change: the logs of new partitions are created, on every core, before any core shows the image to a client.
    pub(super) async fn prepare(self: Rc<Self>, image: Arc<MetadataImage>, delta: Arc<MetadataDelta>) {
        let mut assigned = self.assigned_of(&image, delta.partitions.iter().copied());
        // A partition of the image before that is not open here could not be opened, or its log dir is offline: an empty log elsewhere
        // would take the place of the real one.
        let before = self.image.borrow().clone();
        let is_new =
            |id: TopicIdPartition| self.partition(id).is_none() && !self.is_replica(&before, (id.topic_id, id.partition));
        assigned.retain(|assigned| is_new(assigned.id));
        let creations = assigned.iter().map(|assigned| self.create(assigned));
        futures_util::stream::iter(creations).buffer_unordered(LOGS_AT_ONCE).collect::<Vec<()>>().await;
    }

    /// Creates the log of a new partition in the log dir with the fewest.
    async fn create(self: &Rc<Self>, assigned: &Assigned) {
        let Some(dir) = self.seats.choose_dir(self.settings.partition_dirs, |dir| !self.is_offline(dir)) else {
            tracing::error!(partition = %assigned.name, "no log dir is left for a new partition");
            return;
        };
        let path = self.settings.log_dirs[dir].join(assigned.name.to_string());
        let open = OpenLog {
            dir: path,
            partition: assigned.name.clone(),
            topic_id: assigned.id.topic_id,
            config: assigned.log_config.clone(),
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            cleaned: None,
            clean_shutdown: false,
            progress: None,
        };
        let opened = async {
            let log = Log::open(self.io.clone(), open).await?;
            self.rest_if_many(&log).await?;
            Ok(log)
        };
        match opened.await {
            Ok(log) => self.insert(assigned, dir, log, Offset::ZERO),
            Err(error) => self.open_failed(assigned, dir, &error),
        }
    }

    /// A log that has been opened becomes a partition.
    pub(super) fn insert(self: &Rc<Self>, assigned: &Assigned, dir: usize, log: Log, high_watermark: Offset) {
        let partition = Partition::new(self, assigned.id, assigned.name.clone(), dir, Rc::new(log), high_watermark);
        let (core, of) = (Rc::downgrade(self), Rc::downgrade(&partition));
        partition.log.on_failure(move |error| {
            if let (Some(core), Some(partition)) = (core.upgrade(), of.upgrade()) {
                partition.device_failed(&core, "write-back", error);
            }
        });
        self.flushes_asked.set(true);
        let before = self.partitions.borrow_mut().insert(assigned.id, partition);
        assert!(before.is_none(), "partition {} is opened once", assigned.name);
    }

    pub(super) fn open_failed(self: &Rc<Self>, assigned: &Assigned, dir: usize, error: &LogError) {
        self.seats.leave_dir(dir);
        tracing::error!(partition = %assigned.name, %error, "the log cannot be opened");
        if error.is_storage() {
            self.dir_failed(dir, &error.to_string());
        }
    }

    /// Second half of a change: the image is what clients see; roles and configurations follow it; what it lacks is deleted.
    pub(super) async fn apply(self: Rc<Self>, image: Arc<MetadataImage>, delta: Arc<MetadataDelta>) {
        if self.index > 0 && !delta.deleted_topics.is_empty() && self.io.planted("deletion kept from other cores") {
            return;
        }
        self.show(image.clone());
        let mut touched = self.touched(&image, &delta);
        touched.extend(self.with_replicas_on(&delta.brokers));
        self.assign(&self.assigned_of(&image, touched.iter().copied()));
        let of_deleted = delta.deleted_topics.iter().flat_map(|(id, topic)| topic.partitions.keys().map(|index| (*id, *index)));
        let gone: Vec<_> = of_deleted.chain(touched.iter().copied()).filter(|id| !self.is_replica(&image, *id)).collect();
        for (topic_id, partition) in gone {
            if let Some(partition) = self.partition(TopicIdPartition { topic_id, partition }) {
                let error = match image.partition(topic_id, partition.id.partition) {
                    Some(_) => ErrorCode::NotLeaderOrFollower,
                    None => ErrorCode::UnknownTopicOrPartition,
                };
                self.delete(&partition, error).await;
            }
        }
        let names: Vec<_> = delta.deleted_topics.values().map(|topic| topic.name.clone()).collect();
        if !names.is_empty() {
            self.forget_group_offsets(&names);
        }
    }

    /// Roles and configurations of partitions that are there.
    pub(super) fn assign(self: &Rc<Self>, assigned: &[Assigned]) {
        for assigned in assigned {
            if let Some(partition) = self.partition(assigned.id) {
                partition.log.set_config(assigned.log_config.clone());
                self.flushes_asked.set(true);
                if assigned.log_config.cleanup_policy.compact {
                    self.start_cleaner();
                }
                partition.assign(self, assigned);
            }
        }
    }

    fn is_replica(&self, image: &MetadataImage, (topic, index): (TopicId, PartitionIndex)) -> bool {
        image.partition(topic, index).is_some_and(|partition| partition.replicas.contains(&self.broker_id()))
    }

    /// Deletes a replica; `error` is what whoever waits for it is told.
    async fn delete(self: &Rc<Self>, partition: &Rc<Partition>, error: ErrorCode) {
        self.partitions.borrow_mut().remove(&partition.id);
        self.end_coordination(partition.id);
        partition.on_deleted(self, error);
        self.end_move(partition.id).await;
        self.seats.leave_dir(partition.dir());
        let delay_ms = u64::try_from(partition.log.config().file_delete_delay_ms).unwrap_or(DELETE_DELAY_MS);
        if self.io.planted("deleted records stay") {
            let _ = partition.log.close().await;
            return;
        }
        match partition.log.delete().await {
            Ok(path) => {
                tracing::info!(partition = %partition.name, path = %path.display(), "deleted");
                let home = home_of(partition.dir(), self.cores());
                self.send(home, Message::RemoveDir { dir: partition.dir(), path, delay_ms });
            }
            Err(error) => {
                tracing::error!(partition = %partition.name, %error, "the log cannot be deleted");
                if error.is_storage() {
                    self.dir_failed(partition.dir(), &error.to_string());
                }
            }
        }
    }
}
