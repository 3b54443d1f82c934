//! Partitions of this core whose logs lack committed records, on their way to having them again.
//!
//! Damage is found when a log is opened, by a reader, or by the scrubber (`scrub`), and is on the device (`flumen.damaged`, see
//! `log::damage`) before anything else happens. What follows `replica::repair` decides, out of the metadata and the log as they are; here
//! one task a partition carries it out, step by step, until nothing is left to do. A start goes on where the last life was: before it
//! asks to lead, every damaged replica that somebody may count on is given up ([`Core::damaged`]).
//!
//! As long as there are holes, nothing is fetched: a fetch says that everything before its offset is here.

use super::core::{Core, FIRST_CORE};
use super::load::Placed;
use super::message::Message;
use super::partition::Partition;
use crate::controller::{self, DIRECTORY_LOST, MetadataImage};
use crate::io::reply;
use crate::log::{Damage, Hole, LogError};
use crate::model::{Offset, TopicId, TopicIdPartition};
use crate::replica::{Condition, Input, Patient, RepairStep};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How often the metadata and the log are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// What one core repairs, and has counted.
#[derive(Default)]
pub(super) struct Repairs {
    running: RefCell<BTreeSet<TopicIdPartition>>,
    /// Segments that a reader found damaged and that are being looked at, or were a short while ago.
    pub(super) suspects: RefCell<BTreeSet<(TopicIdPartition, Offset)>>,
    pub(super) scrubbed_bytes: Cell<u64>,
    pub(super) damages: Cell<u64>,
    pub(super) repairs: Cell<u64>,
}

impl Core {
    /// Goes on with the repair of each damaged partition.
    pub(super) fn start_repairs(self: &Rc<Self>) {
        for partition in self.all_partitions() {
            self.start_repair(&partition);
        }
    }

    /// The damaged partitions that are to be given up before this broker may lead.
    pub(super) fn damaged(&self, image: &MetadataImage) -> Vec<Placed> {
        let is_counted_on = |partition: &Rc<Partition>| self.next_repair_step(partition, image) == RepairStep::GiveUp;
        let all = self.all_partitions().into_iter().filter(|partition| partition.log.damage().is_some());
        all.filter(is_counted_on).map(|partition| (partition.id, DIRECTORY_LOST)).collect()
    }

    fn start_repair(self: &Rc<Self>, partition: &Rc<Partition>) {
        if partition.log.damage().is_none() || !self.repairs.running.borrow_mut().insert(partition.id) {
            return;
        }
        let (core, partition) = (self.clone(), partition.clone());
        self.io.spawn(async move {
            core.repair(&partition).await;
            core.repairs.running.borrow_mut().remove(&partition.id);
        });
    }

    /// What was found to be bad is remembered and repaired.
    pub(super) async fn note_damage(self: &Rc<Self>, partition: &Rc<Partition>, holes: &[Hole]) {
        match partition.log.note_holes(holes).await {
            Ok(false) => {}
            Ok(true) => {
                for Hole { from, to, .. } in holes {
                    let to = to.unwrap_or_else(|| partition.log.log_end_offset());
                    tracing::error!(partition = %partition.name, %from, %to, "committed records are damaged");
                }
                self.repairs.damages.set(self.repairs.damages.get() + holes.len() as u64);
                partition.state_mut().following.end(self, partition.id);
                self.start_repair(partition);
            }
            Err(error) => partition.device_failed(self, "note of damage", &error),
        }
    }

    async fn repair(self: &Rc<Self>, partition: &Rc<Partition>) {
        let mut before = None;
        while self.can_look_after(partition) {
            let image = self.image.borrow().clone();
            let step = self.next_repair_step(partition, &image);
            if before.replace(step) != Some(step) {
                let damage = partition.log.damage();
                tracing::info!(partition = %partition.name, ?step, ?damage, "repair");
            }
            if step == RepairStep::Over {
                return;
            }
            if let Err(error) = self.take_repair_step(partition, step).await {
                partition.device_failed(self, "repair", &error);
            }
            self.io.sleep(INTERVAL).await;
        }
    }

    /// Whether its log is there to be looked at and repaired.
    pub(super) fn can_look_after(&self, partition: &Partition) -> bool {
        let is_there = !partition.is_closed() && partition.log.failure().is_none();
        is_there && !self.is_stopping() && !self.is_offline(partition.dir())
    }

    fn next_repair_step(&self, partition: &Partition, image: &MetadataImage) -> RepairStep {
        let (id, broker) = (partition.id, self.broker_id());
        let Some(told) = image.partition(id.topic_id, id.partition) else { return RepairStep::Wait };
        let patient = Patient {
            broker,
            leader: told.leader,
            isr: &told.isr,
            eligible: &told.eligible_leader_replicas,
            is_lost: told.directory(broker) == Some(DIRECTORY_LOST),
            condition: partition.condition(),
        };
        patient.next_step()
    }

    async fn take_repair_step(self: &Rc<Self>, partition: &Rc<Partition>, step: RepairStep) -> Result<(), LogError> {
        match step {
            RepairStep::Wait | RepairStep::Over => {}
            RepairStep::GiveUp => self.tell_place(partition, DIRECTORY_LOST).await,
            RepairStep::ComeBack => {
                let home = self.dir_ids.borrow().get(partition.dir()).copied().flatten();
                if let Some(home) = home {
                    self.tell_place(partition, home).await;
                }
            }
            RepairStep::Cut => partition.cut_for_repair(self),
            RepairStep::Accept => {
                partition.log.forget_damage().await?;
                self.repairs.repairs.set(self.repairs.repairs.get() + 1);
                tracing::info!(partition = %partition.name, log_end = %partition.log.log_end_offset(), "the log is taken for whole");
                // Moves wait for that.
                self.start_moving();
            }
        }
        Ok(())
    }

    /// Tells the controller where a replica is; what it does not hear of now is told again.
    async fn tell_place(self: &Rc<Self>, partition: &Partition, directory: TopicId) {
        let epoch = self.image.borrow().broker(self.broker_id()).map(|broker| broker.epoch);
        let Some(epoch) = epoch.filter(|_| !self.settings.is_alone) else { return };
        let command = controller::assign_dirs(self.broker_id(), epoch, &[(partition.id, directory)]);
        let (sender, answer) = reply();
        self.send(FIRST_CORE, Message::Controller { command, mutations: None, reply: sender });
        if let Ok(Err(error)) = answer.await {
            tracing::debug!(partition = %partition.name, %error, "the controller does not know yet where it is");
        }
    }
}

impl Partition {
    /// What is wrong with its log.
    fn condition(&self) -> Condition {
        match self.log.damage().as_deref() {
            None => Condition::Whole,
            Some(Damage::Holes(holes)) => Condition::Holes { only_the_end: holes.iter().all(|hole| hole.to.is_none()) },
            Some(Damage::Refetching { until, epoch }) => Condition::Refetching {
                // What another leader counts on was fetched of it.
                is_complete: self.log.log_end_offset() >= *until || self.state().replica.leader_epoch() > *epoch,
            },
        }
    }

    /// What is left of the log before its first hole stays; of one that has offsets missing by design, nothing.
    fn cut_for_repair(self: &Rc<Self>, core: &Rc<Core>) {
        let Some(first) = self.log.damage().and_then(|damage| damage.first_hole()) else { return };
        let (log_start, whole) = (self.log.log_start_offset(), self.log.may_have_gaps());
        let to = if whole { log_start } else { first.max(log_start) };
        self.on_event(core, Input::Repair { to, whole });
    }
}
