//! Committed metadata on their way to all cores of this node.
//!
//! One task takes them from this node's member of the quorum as they are committed (a node without one: `observer`); another brings them
//! to the cores, one image at a time, while the next ones gather. So a flood of changes costs each core few images, and a heartbeat can
//! tell how far the slowest core is.

use crate::controller::{self, MetadataDelta, MetadataImage};
use crate::model::{ErrorCode, Offset};
use crate::quorum::QuorumHandle;
use crate::shard::core::Core;
use crate::shard::load::Placed;
use crate::shard::message::Message;
use futures_util::future::{join, select};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

impl Core {
    /// Takes what this node's member of the quorum has committed, until the node stops.
    pub(super) async fn follow_member(self: Rc<Self>, member: QuorumHandle) {
        let cluster = self.in_cluster();
        let mut leader = member.state().leader;
        while !self.is_stopping() {
            let (changed, stopping) = (member.changed(), self.changed.notified());
            if let Some((image, delta)) = member.take_committed() {
                cluster.learn(image, Arc::unwrap_or_clone(delta));
            }
            let now = member.state().leader;
            if now != leader {
                leader = now;
                cluster.leader_changed.notify_all();
            }
            select(pin!(changed), pin!(stopping)).await;
        }
    }

    /// Brings what is new to all cores, until the node stops.
    pub(super) async fn publish_changes(self: Rc<Self>) {
        let cluster = self.in_cluster();
        while !self.is_stopping() {
            let (changed, stopping) = (cluster.metadata_changed.notified(), self.changed.notified());
            let Some((image, delta)) = cluster.take_unpublished() else {
                select(pin!(changed), pin!(stopping)).await;
                continue;
            };
            let delta = Arc::new(delta);
            self.publish(image.clone(), delta.clone()).await;
            cluster.is_published(image.next_offset());
            self.tell_new_places(&image, delta).await;
        }
    }

    /// Returns when every core has the metadata up to `end`, or the node stops.
    pub(super) async fn until_published(&self, end: Offset) {
        let cluster = self.in_cluster();
        loop {
            let (changed, stopping) = (cluster.metadata_changed.notified(), self.changed.notified());
            if cluster.has_published(end) || self.is_stopping() {
                return;
            }
            select(pin!(changed), pin!(stopping)).await;
        }
    }

    /// A broker of several log dirs chooses one for each new replica, and the controller has to know which.
    async fn tell_new_places(self: &Rc<Self>, image: &Arc<MetadataImage>, delta: Arc<MetadataDelta>) {
        if self.settings.partition_dirs < 2 || delta.partitions.is_empty() {
            return;
        }
        let found = self.ask_all(|reply| Message::Misplaced { image: image.clone(), delta: delta.clone(), reply }).await;
        self.tell_places(found.into_iter().flatten().flatten().collect());
    }

    /// Tells the controller in which log dirs replicas are that it believes elsewhere, until it knows.
    pub(super) fn tell_places(self: &Rc<Self>, places: Vec<Placed>) {
        if places.is_empty() {
            return;
        }
        let core = self.clone();
        self.io.spawn(async move {
            for places in places.chunks(MOST_PLACES) {
                let command = controller::assign_dirs(core.broker_id(), core.broker_epoch.get(), places);
                match core.carry_out(command, None).await {
                    Ok(controller::Reply::AssignReplicasToDirs(response)) if response.error_code == ErrorCode::None.code() => {}
                    other => tracing::warn!(?other, "the controller was not told in which log dirs replicas are"),
                }
            }
        });
    }

    /// Tells the controller of replicas that are damaged, and returns when it knows: a broker that may lead must not be elected for them.
    ///
    /// # Errors
    /// The start is given up.
    pub(super) async fn give_up_damaged(self: &Rc<Self>, damaged: &[Placed]) -> Result<(), String> {
        for places in damaged.chunks(MOST_PLACES) {
            loop {
                let command = controller::assign_dirs(self.broker_id(), self.broker_epoch.get(), places);
                match self.carry_out(command, None).await {
                    Ok(controller::Reply::AssignReplicasToDirs(response)) if response.error_code == ErrorCode::None.code() => {
                        break;
                    }
                    other => tracing::warn!(?other, "the controller was not told yet which replicas are damaged"),
                }
                if let Some(why) = self.why_not_to_start() {
                    return Err(why);
                }
                self.io.sleep(super::door::RETRY_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Starts the tasks by which this node's cores get the metadata.
    pub(super) fn start_following(self: &Rc<Self>) {
        let core = self.clone();
        let member = self.in_cluster().member.clone();
        self.io.spawn(async move {
            match member {
                Some(member) => {
                    join(core.clone().follow_member(member), core.publish_changes()).await;
                }
                None => {
                    join(core.clone().observe_quorum(), core.publish_changes()).await;
                }
            }
        });
    }
}

/// Replicas that are told of in one request, as many as Kafka's brokers put into one.
const MOST_PLACES: usize = 2_250;
