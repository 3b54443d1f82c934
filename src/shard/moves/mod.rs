//! Partitions on their way to another log dir of this broker (KIP-113, AlterReplicaLogDirs).
//!
//! **The problem.** A partition moves while clients go on, and a stop at any moment, or a device that fails at any step, must leave one
//! log with every record that was acked.
//!
//! **The design that follows.** A request makes a directory `…-future` in the log dir that is wanted, which also a start finds; one
//! task a core then copies one log after the other, no faster than `replica.alter.log.dirs.io.max.bytes.per.second` says, and puts the
//! copy in the place of the log (`run`; what is copied and renamed, in which order, stands in `log::future`). Appends of that
//! partition wait for the last step, as they wait for each other; reads do not wait at all.
//!
//! | A stop after | has in the old log dir | in the new one | and a start |
//! |---|---|---|---|
//! | the directory was made | the log | `-future`, a part | begins the copy anew |
//! | everything was copied and synced | the log | `-future`, all | begins the copy anew |
//! | `-future` was renamed | the log | the log, or after a power loss `-future` | takes the one that has gone further, or begins anew |
//! | that log dir was synced | the log | the log | takes the one that has gone further |
//! | the old directory was renamed | `-delete`, or after a power loss the log | the log | as above, removes `-delete` |
//! | the old log dir was synced, records are appended | `-delete` | the log | removes `-delete`, says where the log is |
//! | the metadata say it | nothing | the log | |
//!
//! **Why "the one that has gone further" is right.** Further is a later leader epoch, or in the same one a later end. From the rename of
//! `-future` to the sync of the old log dir nothing is appended, and the new one is on its device: both are equal, or the old one has
//! lost an end that was never synced. Only if a log dir fails in between is one of them written on, and that one is ahead: if the old
//! directory cannot be renamed, the new one; if the new log dir cannot be renamed or synced, the old one. The other log dir is taken
//! offline then. Of equals the one is taken that the metadata do not name: where it was moving to. The directory that is not taken is
//! set aside as a stray, not deleted: whoever has copied it there by hand has it still.
//!
//! **When a log dir is missing at a start**, only one of the two may be seen, and it need not be the right one. So the metadata name the
//! log dir of each partition that moves (AssignReplicasToDirs, KIP-858), before it begins and after it has moved, and what is in a log
//! dir that cannot be read is not opened elsewhere (`load`). What a stop kept from them the next start tells, which looks where the log
//! is. They are not told in advance: where a move fails since the new log dir does, they would keep the log from being opened.
//!
//! **The checkpoints of a log dir** name partitions, and a start goes by those beside the log that it opens. Before `-future` is renamed
//! those of the new log dir have the log start, high watermark, cleaner's offset and a recovery point up to which the copy is on the
//! device; from there on both log dirs get them ([`Moves::listed_in`]), and a DeleteRecords is answered when the checkpoint of whichever
//! log dir the log is in has it ([`Core::checkpoint_log_start`]). Producer snapshots, the epochs' checkpoint and indexes lie in the
//! partition's directory and move with it.
//!
//! **What ends a move.** A request for the log dir where the partition is, or for a third one; the deletion of the topic; a device that
//! fails. A stop of the broker only interrupts it. With a log dir offline no move begins, as in Kafka: its `-future` directories are
//! not known.

#[cfg(all(test, feature = "sim"))]
mod crash_tests;
mod pace;
mod run;
#[cfg(test)]
mod tests;

use super::core::Core;
use super::dirs::home_of;
use super::message::Message;
use super::partition::Partition;
use super::requests::LogSize;
use crate::io::Notify;
use crate::log::{FutureLog, LogError};
use crate::model::{ErrorCode, Offset, TopicIdPartition};
use pace::Pace;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The moves of one core.
#[derive(Default)]
pub(super) struct Moves {
    all: RefCell<BTreeMap<TopicIdPartition, Rc<Move>>>,
    /// Copies that an earlier life of the broker has left: whose, where to, and what is to be removed once the move goes on.
    found: RefCell<Vec<(TopicIdPartition, usize, PathBuf)>>,
    is_running: Cell<bool>,
    pace: RefCell<Pace>,
    /// Notified when a move is over, or can be given up again.
    changed: Notify,
}

/// A partition on its way.
struct Move {
    partition: Rc<Partition>,
    /// Index in `log.dirs` of where it goes.
    target: usize,
    /// Its copy, once its directory is there.
    future: RefCell<Option<Rc<FutureLog>>>,
    phase: Cell<Phase>,
    /// The checkpoints of the target name the partition, too.
    is_listed: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It can be given up.
    Copying,
    /// It will be over soon, one way or the other.
    TakingPlace,
    /// The copy has become the log, or is on its way out.
    Over,
}

impl Moves {
    fn get(&self, id: TopicIdPartition) -> Option<Rc<Move>> {
        self.all.borrow().get(&id).cloned()
    }

    fn remove(&self, moving: &Rc<Move>) {
        moving.phase.set(Phase::Over);
        let mut all = self.all.borrow_mut();
        if all.get(&moving.partition.id).is_some_and(|other| Rc::ptr_eq(other, moving)) {
            all.remove(&moving.partition.id);
        }
        drop(all);
        self.changed.notify_all();
    }

    /// Partitions that the checkpoints of a log dir have to name although their logs are not there yet, and up to where their copies
    /// are on the device.
    pub(super) fn listed_in(&self, dir: usize) -> Vec<(Rc<Partition>, Offset)> {
        let all = self.all.borrow();
        let listed =
            all.values().filter(|moving| moving.is_listed.get() && moving.target == dir && moving.partition.dir() != dir);
        let with_offset = |moving: &Rc<Move>| Some((moving.partition.clone(), moving.future.borrow().as_ref()?.synced_offset()));
        listed.filter_map(with_offset).collect()
    }

    /// The other log dir whose checkpoints name a partition.
    pub(super) fn listed_target(&self, id: TopicIdPartition) -> Option<usize> {
        self.get(id).filter(|moving| moving.is_listed.get()).map(|moving| moving.target)
    }

    /// A start has found a copy.
    pub(super) fn found(&self, id: TopicIdPartition, dir: usize, path: PathBuf) {
        self.found.borrow_mut().push((id, dir, path));
    }

    /// A log dir has failed: nothing goes there.
    pub(super) fn on_dir_failed(&self, dir: usize) {
        let going: Vec<_> = self.all.borrow().values().filter(|moving| moving.target == dir).cloned().collect();
        // One that is taking its place will meet the failure, or is there already.
        for moving in going.iter().filter(|moving| moving.phase.get() == Phase::Copying) {
            self.remove(moving);
        }
    }
}

impl Move {
    /// What DescribeLogDirs says of the copy.
    fn size(&self) -> LogSize {
        let log = &self.partition.log;
        let (bytes, end) = match &*self.future.borrow() {
            Some(future) => (future.size(), future.end_offset()),
            None => (0, log.log_start_offset()),
        };
        LogSize {
            id: self.partition.id,
            log_dir: self.target,
            bytes,
            is_future: true,
            offset_lag: (log.log_end_offset().0 - end.0).max(0),
        }
    }
}

impl Core {
    /// Lets partitions of this core move to log dirs, given by their places in `log.dirs`; the answers are in the order of the questions.
    pub(super) async fn alter_log_dirs(self: &Rc<Self>, partitions: Vec<(TopicIdPartition, usize)>) -> Vec<ErrorCode> {
        let mut results = Vec::with_capacity(partitions.len());
        for (id, dir) in partitions {
            results.push(self.alter_log_dir(id, dir).await);
            self.io.yield_if_needed().await;
        }
        results
    }

    /// Without an error the partition is in the log dir `target` or on its way there, also after a restart, and nowhere else to.
    async fn alter_log_dir(self: &Rc<Self>, id: TopicIdPartition, target: usize) -> ErrorCode {
        let partition = loop {
            let Some(partition) = self.partition(id) else { return self.missing(id) };
            if self.is_offline(partition.dir()) || self.is_offline(target) {
                return ErrorCode::KafkaStorageError;
            }
            match self.moves.get(id) {
                Some(pending) if pending.target == target && pending.phase.get() == Phase::Copying => return ErrorCode::None,
                // It may have got there meanwhile.
                Some(pending) => self.give_up(&pending).await,
                None => break partition,
            }
        };
        if partition.dir() == target {
            return ErrorCode::None;
        }
        if partition.is_closed() {
            return ErrorCode::NotLeaderOrFollower;
        }
        // In the log dir that is offline there may be another copy of it.
        if !self.offline.borrow().is_empty() {
            return ErrorCode::KafkaStorageError;
        }
        self.begin_move(partition, target).await
    }

    async fn begin_move(self: &Rc<Self>, partition: Rc<Partition>, target: usize) -> ErrorCode {
        let moving = Rc::new(Move {
            partition: partition.clone(),
            target,
            future: RefCell::default(),
            phase: Cell::new(Phase::Copying),
            is_listed: Cell::new(false),
        });
        self.moves.all.borrow_mut().insert(partition.id, moving.clone());
        let future = match FutureLog::begin(&partition.log, &self.settings.log_dirs[target]).await {
            Ok(future) => Rc::new(future),
            Err(error) => {
                self.moves.remove(&moving);
                self.copy_failed(&moving, &error);
                return error.code();
            }
        };
        if moving.phase.get() == Phase::Over {
            // Somebody else has decided otherwise.
            self.remove_copy(&moving, &future).await;
            return ErrorCode::None;
        }
        tracing::info!(partition = %partition.name, to = %self.settings.log_dirs[target].display(), "moves to another log dir");
        *moving.future.borrow_mut() = Some(future);
        self.start_moving();
        ErrorCode::None
    }

    /// The move is over when this returns, and no start goes on with it; it may have come to its end.
    async fn give_up(self: &Rc<Self>, moving: &Rc<Move>) {
        loop {
            let changed = self.moves.changed.notified();
            match moving.phase.get() {
                Phase::Copying => break,
                Phase::TakingPlace => changed.await,
                Phase::Over => return self.moves.remove(moving),
            }
        }
        self.moves.remove(moving);
        let future = moving.future.borrow().clone();
        if let Some(future) = future {
            tracing::info!(partition = %moving.partition.name, "does not move to another log dir any more");
            self.remove_copy(moving, &future).await;
        }
    }

    /// The partition is deleted: no copy of it is left when this returns.
    pub(super) async fn end_move(self: &Rc<Self>, id: TopicIdPartition) {
        while let Some(moving) = self.moves.get(id) {
            self.give_up(&moving).await;
        }
    }

    async fn remove_copy(self: &Rc<Self>, moving: &Move, future: &FutureLog) {
        match future.discard().await {
            Ok(path) => self.remove_dir(moving.target, path, Duration::ZERO),
            Err(error) => self.copy_failed(moving, &error),
        }
    }

    /// A directory that was renamed to `-delete` is removed by the home of its log dir.
    fn remove_dir(&self, dir: usize, path: PathBuf, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.send(home_of(dir, self.cores()), Message::RemoveDir { dir, path, delay_ms });
    }

    /// The log dir that a partition was to move to has failed it.
    fn copy_failed(self: &Rc<Self>, moving: &Move, error: &LogError) {
        tracing::error!(partition = %moving.partition.name, %error, "it cannot move to another log dir");
        if error.is_storage() {
            self.dir_failed(moving.target, &error.to_string());
        }
    }

    /// Goes on with the moves that an earlier life of the broker had begun.
    pub(super) fn resume_moves(self: &Rc<Self>) {
        let found = self.moves.found.take();
        if found.is_empty() {
            return;
        }
        let core = self.clone();
        self.io.spawn(async move {
            for (id, dir, path) in found {
                match core.alter_log_dir(id, dir).await {
                    ErrorCode::None => core.remove_dir(dir, path, Duration::ZERO),
                    error => tracing::warn!(path = %path.display(), ?error, "this move does not go on before the next start"),
                }
            }
        });
    }

    /// Waits for the moves that are at their last step.
    pub(super) async fn wait_for_moves(&self) {
        loop {
            let changed = self.moves.changed.notified();
            if !self.moves.all.borrow().values().any(|moving| moving.phase.get() == Phase::TakingPlace) {
                return;
            }
            changed.await;
        }
    }

    /// Sizes of the copies.
    pub(super) fn copy_sizes(&self) -> Vec<LogSize> {
        let all = self.moves.all.borrow();
        all.values().filter(|moving| moving.partition.dir() != moving.target).map(|moving| moving.size()).collect()
    }
}
