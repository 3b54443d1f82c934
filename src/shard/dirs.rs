//! Log dirs: each has a home core, which holds its lock, gathers and writes its checkpoints, and removes what was deleted in it.
//!
//! Partitions of one log dir live on all cores, but its checkpoint files are one each. So every core sends the offsets of its
//! partitions, complete each time, to the dir's home, which remembers the last list of every core and writes what they say together: a
//! deleted partition vanishes with the next list. A failed device is announced to all cores by whoever met it; from there its
//! partitions answer KAFKA_STORAGE_ERROR and the other dirs go on. Without any dir left, or without that of the metadata, the broker
//! ends.

use super::core::Core;
use super::message::Message;
use super::partition::Partition;
use crate::io::{Io, ReplySender};
use crate::log::{CheckpointKind, DirError, LogDir, LogError, MetaProperties, OffsetCheckpoint, PartitionDir};
use crate::model::{Offset, TopicPartition};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the checkpoints of a log dir say of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PartitionOffsets {
    pub(super) recovery_point: Offset,
    /// Only when it is above the base offset of the first segment, as in Kafka.
    pub(super) log_start: Option<Offset>,
    pub(super) high_watermark: Offset,
    /// Up to where the log is compacted, if it ever was.
    pub(super) cleaned: Option<Offset>,
}

/// What a log dir held when it was opened.
#[derive(Clone, Debug)]
pub(super) struct DirReport {
    pub(super) meta: MetaProperties,
    /// Broker epoch in the clean-shutdown marker, if it is there.
    pub(super) clean_shutdown: Option<i64>,
    pub(super) partitions: Vec<PartitionDir>,
    pub(super) recovery_points: OffsetCheckpoint,
    pub(super) log_starts: OffsetCheckpoint,
    pub(super) high_watermarks: OffsetCheckpoint,
    pub(super) cleaned: OffsetCheckpoint,
}

/// Why a log dir was not opened.
#[derive(Debug)]
pub(super) enum OpenDirError {
    /// Its device fails: the other dirs go on.
    Offline(String),
    /// It belongs to somebody else, or says what cannot be: the broker must not start.
    Refused(String),
}

impl From<DirError> for OpenDirError {
    fn from(error: DirError) -> Self {
        match error {
            DirError::Io { .. } => Self::Offline(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

/// The log dirs of which a core is the home.
#[derive(Default)]
pub(super) struct Homes {
    dirs: RefCell<BTreeMap<usize, Rc<Home>>>,
}

/// One log dir at its home.
struct Home {
    dir: LogDir,
    state: RefCell<HomeState>,
}

#[derive(Default)]
struct HomeState {
    /// The last list of each core.
    offsets: BTreeMap<usize, Arc<Vec<(TopicPartition, PartitionOffsets)>>>,
    /// What the files say, so that nothing is written for nothing.
    written: BTreeMap<CheckpointKind, OffsetCheckpoint>,
    /// A task is writing.
    writing: bool,
    /// What is to be written next, and who waits for it.
    wanted: Vec<(CheckpointKind, Option<ReplySender<bool>>)>,
}

/// The home core of a log dir.
pub(super) fn home_of(dir: usize, cores: usize) -> usize {
    dir % cores
}

impl Homes {
    fn get(&self, dir: usize) -> Option<Rc<Home>> {
        self.dirs.borrow().get(&dir).cloned()
    }

    fn all(&self) -> Vec<(usize, Rc<Home>)> {
        self.dirs.borrow().iter().map(|(&index, home)| (index, home.clone())).collect()
    }

    /// Removes a deleted partition's directory after a while.
    pub(super) fn remove_later(&self, dir: usize, path: PathBuf, delay: Duration) {
        if let Some(home) = self.get(dir) {
            home.dir.remove_later(path, delay);
        }
    }
}

impl Home {
    fn checkpoint(&self, kind: CheckpointKind) -> OffsetCheckpoint {
        let state = self.state.borrow();
        let mut all = OffsetCheckpoint::new();
        for list in state.offsets.values() {
            for (partition, offsets) in list.iter() {
                let offset = match kind {
                    CheckpointKind::RecoveryPoint => Some(offsets.recovery_point),
                    CheckpointKind::LogStart => offsets.log_start,
                    CheckpointKind::HighWatermark => Some(offsets.high_watermark),
                    CheckpointKind::Cleaner => offsets.cleaned,
                };
                all.extend(offset.map(|offset| (partition.clone(), offset)));
            }
        }
        all
    }

    async fn write(&self, kind: CheckpointKind) -> Result<(), DirError> {
        let offsets = self.checkpoint(kind);
        if self.state.borrow().written.get(&kind) == Some(&offsets) {
            return Ok(());
        }
        self.dir.write_checkpoint(kind, &offsets).await?;
        self.state.borrow_mut().written.insert(kind, offsets);
        Ok(())
    }
}

impl Core {
    /// Opens and locks a log dir of which this core is the home, and lists what is in it.
    pub(super) async fn open_dir(self: &Rc<Self>, dir: usize, cluster_id: &str) -> Result<DirReport, OpenDirError> {
        let path = &self.settings.log_dirs[dir];
        let opened = LogDir::open(self.io.clone(), path, self.settings.node_id.0, Some(cluster_id)).await?;
        let report = list(&opened).await?;
        // Without a compacted topic this file need not be there.
        let written = BTreeMap::from([(CheckpointKind::Cleaner, report.cleaned.clone())]);
        let home = Home { dir: opened, state: RefCell::new(HomeState { written, ..HomeState::default() }) };
        self.homes.dirs.borrow_mut().insert(dir, Rc::new(home));
        Ok(report)
    }

    /// The markers of a clean stop are read, and something will be written: a crash from here on is an unclean stop. Returns the log
    /// dirs of this home that cannot be marked so, and why.
    pub(super) async fn dirs_in_use(self: &Rc<Self>) -> Vec<(usize, String)> {
        let mut failed = Vec::new();
        for (index, home) in self.homes.all() {
            if let Err(error) = home.dir.clear_clean_shutdown().await {
                failed.push((index, error.to_string()));
            }
        }
        failed
    }

    /// The offsets of this core's partitions in a log dir.
    fn offsets_in(&self, dir: usize) -> Vec<(TopicPartition, PartitionOffsets)> {
        let partitions = self.partitions.borrow();
        let here = partitions.values().filter(|p| p.dir() == dir).map(|p| (p.name.clone(), p.offsets(&self.io)));
        let on_the_way = self.moves.listed_in(dir).into_iter().map(|(p, recovery_point)| {
            let offsets = PartitionOffsets { recovery_point, ..p.offsets(&self.io) };
            (p.name.clone(), offsets)
        });
        here.chain(on_the_way).collect()
    }

    /// Sends the offsets of this core's partitions to the homes of their log dirs, which write the checkpoint `kind`.
    pub(super) fn send_offsets(self: &Rc<Self>, kind: CheckpointKind) -> Vec<crate::io::ReplyReceiver<bool>> {
        (0..self.settings.log_dirs.len())
            .filter(|&dir| !self.is_offline(dir))
            .map(|dir| {
                let (reply, written) = crate::io::reply();
                self.send_offsets_of(dir, Some((kind, reply)));
                written
            })
            .collect()
    }

    /// Sends the last offsets of this core's partitions; [`Core::close_dirs`] writes them.
    pub(super) fn send_last_offsets(&self) {
        for dir in 0..self.settings.log_dirs.len() {
            self.send_offsets_of(dir, None);
        }
    }

    fn send_offsets_of(&self, dir: usize, write: Option<(CheckpointKind, ReplySender<bool>)>) {
        let offsets = Arc::new(self.offsets_in(dir));
        let home = home_of(dir, self.cores());
        self.send(home, Message::Offsets { dir, from: self.index, offsets, write });
    }

    /// A log start offset was moved for a client: it is in the checkpoint of the log dir of the partition when this returns, also if that
    /// is another one by then.
    pub(super) async fn checkpoint_log_start(self: &Rc<Self>, partition: &Partition) {
        if self.io.planted("log start forgotten") {
            return;
        }
        loop {
            let (dir, target) = (partition.dir(), self.moves.listed_target(partition.id));
            self.checkpoint(CheckpointKind::LogStart, dir).await;
            if let Some(target) = target.filter(|&target| target != dir) {
                self.checkpoint(CheckpointKind::LogStart, target).await;
            }
            if partition.dir() == dir || Some(partition.dir()) == target {
                return;
            }
        }
    }

    /// Returns when the offsets of this core's partitions are in the checkpoint `kind` of a log dir; false if they are not.
    pub(super) async fn checkpoint(self: &Rc<Self>, kind: CheckpointKind, dir: usize) -> bool {
        let (reply, written) = crate::io::reply();
        self.send_offsets_of(dir, Some((kind, reply)));
        // Where it is not written the dir has failed, which everybody hears of.
        written.await.unwrap_or(false)
    }

    /// Offsets from a core for a log dir of which this one is the home.
    pub(super) fn on_offsets(
        self: &Rc<Self>,
        dir: usize,
        from: usize,
        offsets: Arc<Vec<(TopicPartition, PartitionOffsets)>>,
        write: Option<(CheckpointKind, ReplySender<bool>)>,
    ) {
        let Some(home) = self.homes.get(dir) else { return };
        let mut state = home.state.borrow_mut();
        state.offsets.insert(from, offsets);
        // Before every core has sent its list, a checkpoint would lack partitions that the file has.
        let Some((kind, reply)) = write.filter(|_| state.offsets.len() == self.cores()) else { return };
        state.wanted.push((kind, Some(reply)));
        if !std::mem::replace(&mut state.writing, true) {
            drop(state);
            let core = self.clone();
            self.io.spawn(async move { core.write_checkpoints(dir, &home).await });
        }
    }

    /// One task a log dir writes, so that files are replaced in order; what is asked for meanwhile shares the next write.
    async fn write_checkpoints(self: &Rc<Self>, dir: usize, home: &Home) {
        loop {
            let mut wanted = std::mem::take(&mut home.state.borrow_mut().wanted);
            let Some(&(kind, _)) = wanted.first() else {
                home.state.borrow_mut().writing = false;
                return;
            };
            let later = wanted.extract_if(.., |(other, _)| *other != kind).collect::<Vec<_>>();
            home.state.borrow_mut().wanted.splice(0..0, later);
            let mut is_written = !self.is_offline(dir);
            if is_written && let Err(error) = home.write(kind).await {
                is_written = false;
                self.dir_failed(dir, &error.to_string());
            }
            for reply in wanted.into_iter().filter_map(|(_, reply)| reply) {
                reply.send(is_written);
            }
        }
    }

    /// The last checkpoints, and the marker that spares the next start its recovery.
    pub(super) async fn close_dirs(self: &Rc<Self>, broker_epoch: Option<i64>) {
        for (index, home) in self.homes.all() {
            while home.state.borrow().writing {
                self.io.sleep(Duration::from_millis(1)).await;
            }
            if self.is_offline(index) {
                continue;
            }
            let closed = async {
                for kind in [
                    CheckpointKind::RecoveryPoint,
                    CheckpointKind::LogStart,
                    CheckpointKind::HighWatermark,
                    CheckpointKind::Cleaner,
                ] {
                    home.write(kind).await?;
                }
                if let Some(epoch) = broker_epoch {
                    home.dir.mark_clean_shutdown(epoch).await?;
                }
                Ok::<_, DirError>(())
            };
            if let Err(error) = closed.await {
                tracing::error!(dir = %home.dir.path().display(), %error, "the log dir was not closed cleanly");
            }
            self.homes.dirs.borrow_mut().remove(&index);
        }
    }

    pub(super) fn is_offline(&self, dir: usize) -> bool {
        self.offline.borrow().contains_key(&dir)
    }

    /// A device failed on this core: every core takes the log dir offline.
    pub(super) fn dir_failed(self: &Rc<Self>, dir: usize, reason: &str) {
        if self.is_offline(dir) {
            return;
        }
        for core in (0..self.cores()).filter(|&core| core != self.index) {
            self.send(core, Message::DirFailed { dir, reason: reason.to_owned() });
        }
        self.on_dir_failed(dir, reason);
    }

    pub(super) fn on_dir_failed(self: &Rc<Self>, dir: usize, reason: &str) {
        if self.offline.borrow_mut().insert(dir, reason.to_owned()).is_some() {
            return;
        }
        let path = &self.settings.log_dirs[dir];
        tracing::error!(dir = %path.display(), reason, "log dir is offline; its partitions answer KAFKA_STORAGE_ERROR");
        self.moves.on_dir_failed(dir);
        if let Some(home) = self.homes.get(dir) {
            home.dir.fail(&LogError::storage(path, reason, &std::io::Error::other("the log dir is offline")));
        }
        for partition in self.all_partitions().into_iter().filter(|partition| partition.dir() == dir) {
            self.end_coordination(partition.id);
            partition.state_mut().following.end(self, partition.id);
            partition.on_dir_failed(self);
        }
        self.tell_dir_failed(dir);
        if dir == self.settings.metadata_dir {
            self.fail(&format!("the log dir of the metadata, {}, is offline: {reason}", path.display()));
        } else if (0..self.settings.partition_dirs).all(|dir| self.is_offline(dir)) {
            self.fail(&format!("no log dir is left; the last one failed: {reason}"));
        }
    }

    /// The broker cannot go on: whoever runs it is to stop it.
    pub(super) fn fail(&self, reason: &str) {
        self.fatal.borrow_mut().get_or_insert_with(|| reason.to_owned());
        self.changed.notify_all();
    }
}

async fn list(dir: &LogDir) -> Result<DirReport, DirError> {
    let (partitions, cleaned) = dir.partitions().await?;
    Ok(DirReport {
        meta: dir.meta().clone(),
        clean_shutdown: dir.clean_shutdown(),
        partitions,
        recovery_points: dir.read_checkpoint(CheckpointKind::RecoveryPoint).await?,
        log_starts: dir.read_checkpoint(CheckpointKind::LogStart).await?,
        high_watermarks: dir.read_checkpoint(CheckpointKind::HighWatermark).await?,
        cleaned,
    })
}

impl Partition {
    /// What the checkpoints say of it.
    fn offsets(&self, io: &Io) -> PartitionOffsets {
        let end = self.state().following.cuts_to().unwrap_or(Offset(i64::MAX));
        let log_start = self.log.log_start_offset().min(end);
        let first_segment = self.log.segments().first().map(|segment| segment.base_offset);
        PartitionOffsets {
            recovery_point: match io.planted("recovery point ahead of the flush") {
                true => self.log.log_end_offset(),
                false => self.log.recovery_point().min(end),
            },
            log_start: first_segment.is_none_or(|base| log_start > base).then_some(log_start),
            high_watermark: self.state().replica.high_watermark(),
            cleaned: self.log.clean_up_to(),
        }
    }
}
