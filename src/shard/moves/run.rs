//! One move after the other: copy, follow, take the place.

use super::{Move, Phase};
use crate::controller;
use crate::io::reply;
use crate::log::{CheckpointKind, CopyError, FutureLog, LogError};
use crate::shard::core::{Core, FIRST_CORE};
use crate::shard::message::Message;
use crate::shard::partition::Partition;
use std::rc::Rc;
use std::time::Duration;

/// Every checkpoint of a log dir.
const ALL_KINDS: [CheckpointKind; 4] =
    [CheckpointKind::RecoveryPoint, CheckpointKind::LogStart, CheckpointKind::HighWatermark, CheckpointKind::Cleaner];
/// How often a log may get away from its copy while that is synced, before its appends wait for as long as it takes.
const PATIENCE: usize = 10;
/// How long to wait for a descriptor.
const RETRY: Duration = Duration::from_secs(1);

impl Core {
    /// Begins to work off the moves of this core.
    pub(in crate::shard) fn start_moving(self: &Rc<Self>) {
        if self.moves.is_running.replace(true) {
            return;
        }
        let core = self.clone();
        self.io.spawn(async move {
            while let Some(next) = core.next_move() {
                core.carry_out_move(&next).await;
            }
            core.moves.is_running.set(false);
        });
    }

    fn next_move(&self) -> Option<Rc<Move>> {
        let all = self.moves.all.borrow();
        all.values().find(|moving| moving.future.borrow().is_some() && self.goes_on(moving)).cloned()
    }

    /// Whether a move is to be carried out, or interrupted as it is.
    fn goes_on(&self, moving: &Move) -> bool {
        let partition = &moving.partition;
        let is_wanted = moving.phase.get() == Phase::Copying && !partition.is_closed() && !self.is_stopping();
        // What is known of damage lies in the directory.
        let is_wanted = is_wanted && partition.log.damage().is_none();
        is_wanted && partition.log.failure().is_none() && !self.is_offline(moving.target) && !self.is_offline(partition.dir())
    }

    async fn carry_out_move(self: &Rc<Self>, moving: &Rc<Move>) {
        let future = moving.future.borrow().clone().expect("only a move with a copy is carried out");
        let (partition, begun) = (&moving.partition, self.io.now());
        // So that a start knows, if it comes before the metadata have heard of the new place, that they are not up to date.
        self.report_place(partition).await;
        partition.log.pause_cleaning().await;
        let done = self.copy_and_take_place(moving, &future).await;
        partition.log.resume_cleaning();
        match done {
            Ok(true) => {
                let (ms, dir) = (self.io.now().since(begun).as_millis() as u64, partition.log.dir());
                tracing::info!(partition = %partition.name, path = %dir.display(), bytes = future.size(), ms, "has moved");
            }
            Ok(false) => {}
            // Its files have gone away under it.
            Err(_) if moving.phase.get() == Phase::Over => {}
            Err(CopyError::Source(error)) => {
                partition.device_failed(self, "copy to another log dir", &error);
                // After a failed sync, what is read may be what the device has: the next start sees whether it is damaged.
                if !error.is_storage() && partition.log.failure().is_none() {
                    self.give_up(moving).await;
                }
            }
            Err(CopyError::Target(error)) => {
                self.copy_failed(moving, &error);
                // If the log dir is offline now, the move is over already.
                if moving.phase.get() != Phase::Over {
                    self.give_up(moving).await;
                }
            }
        }
    }

    /// Whether it has moved; if not, it was interrupted or given up.
    async fn copy_and_take_place(self: &Rc<Self>, moving: &Rc<Move>, future: &FutureLog) -> Result<bool, CopyError> {
        let log = &moving.partition.log;
        for attempt in 1.. {
            if !self.copy(moving, future).await? {
                return Ok(false);
            }
            future.settle(log).await?;
            moving.is_listed.set(true);
            if !self.write_all_checkpoints(moving.target).await {
                return Ok(false);
            }
            if future.is_near(log) || attempt >= PATIENCE {
                break;
            }
        }
        // From here on it cannot be given up, and a device that fails is met by whoever uses it.
        if !self.goes_on(moving) {
            return Ok(false);
        }
        let source = moving.partition.dir();
        moving.phase.set(Phase::TakingPlace);
        let taken = self.take_place(moving, future).await;
        if !matches!(taken, Ok(true)) {
            moving.phase.set(Phase::Copying);
            self.moves.changed.notify_all();
            return taken;
        }
        self.write_all_checkpoints(moving.target).await;
        self.write_all_checkpoints(source).await;
        self.report_place(&moving.partition).await;
        Ok(true)
    }

    /// Copies until little is left; false if the move does not go on.
    async fn copy(&self, moving: &Move, future: &FutureLog) -> Result<bool, CopyError> {
        loop {
            if !self.goes_on(moving) {
                return Ok(false);
            }
            match future.advance(&moving.partition.log).await {
                Ok(None) => return Ok(true),
                Ok(Some(bytes)) => self.keep_pace(moving, bytes).await,
                // No matter whose: the device is fine.
                Err(CopyError::Source(LogError::NoDescriptor(_)) | CopyError::Target(LogError::NoDescriptor(_))) => {
                    self.io.sleep(RETRY).await;
                }
                Err(_) if moving.phase.get() == Phase::Over => return Ok(false),
                Err(error) => return Err(error),
            }
            self.io.yield_if_needed().await;
        }
    }

    /// Waits until what was copied has taken its time. Each core may take its part of the rate.
    async fn keep_pace(&self, moving: &Move, bytes: u64) {
        let rate = || self.live.borrow().alter_log_dirs_bytes_per_second as f64 / self.cores() as f64;
        let look = || self.moves.pace.borrow_mut().wait(self.io.now(), rate());
        look();
        self.moves.pace.borrow_mut().owe(bytes);
        while let Some(wait) = look() {
            if !self.goes_on(moving) {
                return;
            }
            self.io.sleep(wait).await;
        }
    }

    /// Puts the copy in the place of the log. Appends wait until that is done; reads go on.
    async fn take_place(self: &Rc<Self>, moving: &Rc<Move>, future: &FutureLog) -> Result<bool, CopyError> {
        let (partition, source) = (&moving.partition, moving.partition.dir());
        let log = &partition.log;
        let put_aside = {
            let pause = match log.pause().await {
                Ok(pause) => pause,
                Err(LogError::Closed) => return Ok(false),
                Err(error) => return Err(CopyError::Source(error)),
            };
            future.complete(log, &pause).await?;
            let left = future.take_place(log, &pause).await?;
            partition.moved_to(moving.target);
            // Nothing is appended before the old directory has lost the name: what a start finds there otherwise would be behind.
            future.put_aside(&left).await
        };
        self.seats.leave_dir(source);
        self.seats.enter_dir(moving.target);
        partition.on_flushed(self);
        match put_aside {
            Ok(path) => self.remove_dir(source, path, log.config().file_delete_delay()),
            Err(error) => {
                tracing::error!(partition = %partition.name, %error, "the directory that it has left cannot be put aside");
                if error.is_storage() {
                    self.dir_failed(source, &error.to_string());
                }
            }
        }
        self.moves.remove(moving);
        Ok(true)
    }

    /// Whether all checkpoints of a log dir are written.
    async fn write_all_checkpoints(self: &Rc<Self>, dir: usize) -> bool {
        let mut all = true;
        for kind in ALL_KINDS {
            all &= self.checkpoint(kind, dir).await;
        }
        all
    }

    /// The metadata say in which log dir the partition is. What the controller does not hear of now the next start tells it.
    async fn report_place(self: &Rc<Self>, partition: &Partition) {
        let id = partition.id;
        let Some(directory) = self.dir_ids.borrow().get(partition.dir()).copied().flatten() else { return };
        let image = self.image.borrow().clone();
        let assigned = self.assigned_of(&image, std::iter::once((id.topic_id, id.partition)));
        let is_known = assigned.first().is_none_or(|assigned| assigned.directory == directory);
        let Some(broker) = image.broker(self.broker_id()).filter(|_| !is_known) else { return };
        let command = controller::assign_dirs(self.broker_id(), broker.epoch, &[(id, directory)]);
        let (sender, answer) = reply();
        self.send(FIRST_CORE, Message::Controller { command, mutations: None, reply: sender });
        if let Ok(Err(error)) = answer.await {
            tracing::debug!(partition = %partition.name, %error, "the metadata do not say yet where it is");
        }
    }
}
