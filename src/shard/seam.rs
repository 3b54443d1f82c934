//! Names of other rooms that are still on their way; each becomes a re-export.

use super::control::Decision;
use super::core::Core;
use super::metadata::{Assigned, Leadership};
use crate::model::ProducerId;
use crate::model::{BrokerId, TopicIdPartition};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The cluster's metadata as of one offset of the metadata log.
#[derive(Debug, Default, Clone)]
pub struct MetadataImage {
    pub(super) partitions: BTreeMap<TopicIdPartition, Assigned>,
}

impl MetadataImage {
    pub(super) fn partition_leader(&self, id: TopicIdPartition) -> Leadership {
        match self.partitions.get(&id) {
            Some(assigned) => Leadership::Leader(assigned.assignment.leader),
            None if self.partitions.keys().any(|other| other.topic_id == id.topic_id) => Leadership::UnknownPartition,
            None => Leadership::UnknownTopic,
        }
    }

    pub(super) fn assigned_to(&self, broker: BrokerId) -> impl Iterator<Item = Assigned> {
        self.partitions.values().filter(move |p| p.assignment.replicas.contains(&broker)).cloned()
    }
}

/// What an admin call asks of the controller: an image that replaces the one before.
#[derive(Debug)]
pub struct ControllerCommand(pub MetadataImage);

/// The controller's decision, committed.
#[derive(Debug)]
pub struct ControllerReply;

/// The controller on its core.
pub(super) struct Control {
    next_producer_id: i64,
}

impl Control {
    pub(super) async fn open(_: &Rc<Core>, _: &str) -> Result<(Self, MetadataImage), String> {
        Ok((Self { next_producer_id: 0 }, MetadataImage::default()))
    }

    pub(super) async fn run(mut self, core: Rc<Core>) {
        while let Some(decision) = core.next_decision().await {
            match decision {
                Decision::Command(ControllerCommand(image), reply) => {
                    core.publish(Arc::new(image)).await;
                    reply.send(Ok(ControllerReply));
                }
                Decision::ProducerIds(reply) => {
                    let start = self.next_producer_id;
                    self.next_producer_id += 1000;
                    reply.send(Ok(ProducerId(start)..ProducerId(start + 1000)));
                }
            }
        }
        core.control_ended.set(true);
        core.changed.notify_all();
    }
}
