//! From what the log dirs hold to this core's partitions, at start.

use super::apply::LOGS_AT_ONCE;
use super::core::Core;
use super::dirs::{DirReport, home_of};
use super::metadata::Assigned;
use crate::controller::{MetadataDelta, MetadataImage, is_directory};
use crate::io::{Io, Mono};
use crate::log::{Log, LogError, OpenLog, PartitionDirKind, RecoveryProgress};
use crate::model::{Offset, TopicId, TopicIdPartition, TopicPartition};
use crate::quorum::METADATA_TOPIC;
use futures_util::StreamExt as _;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often progress is logged.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// Longest file name that file systems take.
const MAX_FILE_NAME: usize = 255;

/// A partition and the id of the log dir that it is in.
pub(super) type Placed = (TopicIdPartition, TopicId);

/// What came of loading partitions.
#[derive(Default)]
pub(super) struct LoadReport {
    /// Logs that were opened.
    pub(super) logs: usize,
    /// Partitions of which the metadata name another log dir than the one that they are in.
    pub(super) misplaced: Vec<Placed>,
    /// Damaged replicas, which are to be given up before this broker leads.
    pub(super) damaged: Vec<Placed>,
}

impl Core {
    /// Opens this core's partitions of `image`, recovering those that were not closed cleanly, and sets aside what the image does not
    /// know in the log dirs of which this core is the home.
    pub(super) async fn load(self: Rc<Self>, image: Arc<MetadataImage>, dirs: Arc<Vec<Option<DirReport>>>) -> LoadReport {
        self.set_strays_aside(&image, &dirs).await;
        *self.dir_ids.borrow_mut() = dirs.iter().map(|report| report.as_ref().map(|report| report.meta.directory_id)).collect();
        let places = places(&dirs);
        let assigned = self.assigned(&image);
        let progress = Progress::new(self.io.clone(), assigned.len());
        let any_offline = dirs.iter().any(Option::is_none);
        let opens = assigned.iter().map(|assigned| {
            let found = places.get(&(assigned.name.clone(), assigned.id.topic_id)).map_or(&[][..], Vec::as_slice);
            self.load_one(assigned, found, &dirs, any_offline, &progress)
        });
        futures_util::stream::iter(opens).buffer_unordered(LOGS_AT_ONCE).collect::<Vec<()>>().await;
        self.show(image.clone());
        self.assign(&assigned);
        self.start_repairs();
        // The homes can write checkpoints from here on.
        self.send_last_offsets();
        self.find_copies(&assigned, &dirs);
        let (logs, misplaced) = (self.partitions.borrow().len(), self.misplaced(&assigned));
        LoadReport { logs, misplaced, damaged: self.damaged(&image) }
    }

    /// `found` are the log dirs that have a directory of it.
    async fn load_one(
        self: &Rc<Self>,
        assigned: &Assigned,
        found: &[usize],
        dirs: &[Option<DirReport>],
        any_offline: bool,
        progress: &Rc<Progress>,
    ) {
        let name = &assigned.name;
        if any_offline && (found.is_empty() || self.is_missing(assigned.directory)) {
            // It may be in the dir that failed: an empty log elsewhere, or an old one, would take the place of the real one.
            tracing::error!(partition = %name, "not found in the log dirs that are left");
            return;
        }
        let dir = match found {
            [] => self.seats.choose_dir(self.settings.partition_dirs, |dir| !self.is_offline(dir)),
            [dir] => {
                self.seats.enter_dir(*dir);
                Some(*dir)
            }
            several => return self.load_the_furthest(assigned, several, dirs, progress).await,
        };
        let Some((dir, report)) = dir.and_then(|dir| Some((dir, dirs[dir].as_ref()?))) else { return };
        match self.open_log(assigned, dir, report, progress).await {
            Ok((log, high_watermark)) => self.insert(assigned, dir, log, high_watermark),
            Err(error) => self.open_failed(assigned, dir, &error),
        }
    }

    /// A move was stopped at its last step, or somebody has copied a directory: the log that has gone further is right, see `moves`. The
    /// others are set aside. Without a look at all of them nothing is decided.
    async fn load_the_furthest(
        self: &Rc<Self>,
        assigned: &Assigned,
        found: &[usize],
        dirs: &[Option<DirReport>],
        progress: &Rc<Progress>,
    ) {
        let mut opened = Vec::with_capacity(found.len());
        for &dir in found {
            let Some(report) = &dirs[dir] else { return };
            self.seats.enter_dir(dir);
            match self.open_log(assigned, dir, report, progress).await {
                Ok((log, high_watermark)) => {
                    // Of equals the one that the metadata do not name yet is where it was moving to.
                    let is_new = report.meta.directory_id != assigned.directory;
                    opened.push(((log.latest_epoch(), log.log_end_offset(), is_new), dir, log, high_watermark));
                }
                Err(error) => return self.open_failed(assigned, dir, &error),
            }
        }
        opened.sort_by_key(|(how_far, ..)| *how_far);
        let Some((_, dir, log, high_watermark)) = opened.pop() else { return };
        for ((epoch, end, _), other, left, _) in opened {
            let path = left.dir();
            tracing::warn!(path = %path.display(), to = %log.dir().display(), %epoch, log_end = %end, "another one has gone further");
            self.seats.leave_dir(other);
            self.set_aside(other, &assigned.name, &path).await;
        }
        self.insert(assigned, dir, log, high_watermark);
    }

    /// Opens the log of a partition in a log dir, with what the checkpoints there say; also the high watermark.
    async fn open_log(
        self: &Rc<Self>,
        assigned: &Assigned,
        dir: usize,
        report: &DirReport,
        progress: &Rc<Progress>,
    ) -> Result<(Log, Offset), LogError> {
        let name = &assigned.name;
        let checkpoint = |from: &crate::log::OffsetCheckpoint| from.get(name).copied().unwrap_or(Offset::ZERO);
        let slot = progress.begin();
        let told = progress.clone();
        let open = OpenLog {
            dir: self.settings.log_dirs[dir].join(name.to_string()),
            partition: name.clone(),
            topic_id: assigned.id.topic_id,
            config: assigned.log_config.clone(),
            recovery_point: checkpoint(&report.recovery_points),
            log_start_offset: checkpoint(&report.log_starts),
            high_watermark: checkpoint(&report.high_watermarks),
            cleaned: report.cleaned.get(name).copied(),
            clean_shutdown: report.clean_shutdown.is_some(),
            progress: Some(Rc::new(move |state| told.update(slot, state))),
        };
        let opened = async {
            let log = Log::open(self.io.clone(), open).await?;
            if log.config().sync_every_append() {
                // What a crash left unflushed counts only once it is on the device, and readers are not to see less than before.
                log.flush(log.log_end_offset()).await?;
            }
            self.rest_if_many(&log).await?;
            if self.io.planted("producers forgotten at a start") {
                log.producers().borrow_mut().reset(log.log_end_offset());
            }
            Ok(log)
        };
        let opened = opened.await;
        progress.finish();
        opened.map(|log| (log, checkpoint(&report.high_watermarks)))
    }

    /// Whether the metadata mean a log dir that was not opened.
    fn is_missing(&self, directory: TopicId) -> bool {
        is_directory(directory) && !self.dir_ids.borrow().contains(&Some(directory))
    }

    /// Where the metadata name a log dir, and it is not the one that the partition is in: a move was stopped before they were told, or
    /// somebody has moved a directory by hand.
    fn misplaced(&self, assigned: &[Assigned]) -> Vec<Placed> {
        let ids = self.dir_ids.borrow();
        // Who is alone has nobody to whom it matters that a replica is yet to be placed.
        let is_told = |directory: TopicId| is_directory(directory) || !self.settings.is_alone;
        let place = |assigned: &Assigned| {
            let partition = self.partition(assigned.id)?;
            // Where a damaged one is, is told when it is whole.
            let id = ids[partition.dir()].filter(|_| partition.log.damage().is_none())?;
            (is_told(assigned.directory) && assigned.directory != id).then_some((assigned.id, id))
        };
        assigned.iter().filter_map(place).collect()
    }

    /// The same of the partitions that have changed.
    pub(super) fn misplaced_of(&self, image: &MetadataImage, delta: &MetadataDelta) -> Vec<Placed> {
        self.misplaced(&self.assigned_of(image, delta.partitions.iter().copied()))
    }

    /// Notes the copies that moves of this core's partitions have left which did not come to their end: they begin anew.
    fn find_copies(&self, assigned: &[Assigned], dirs: &[Option<DirReport>]) {
        let copies = dirs[..self.settings.partition_dirs].iter().enumerate().flat_map(|(dir, report)| {
            let all = report.iter().flat_map(|report| &report.partitions);
            all.filter(|found| found.kind == PartitionDirKind::Future).map(move |found| (dir, found))
        });
        let copies: Vec<_> = copies.collect();
        if copies.is_empty() {
            return;
        }
        let ids: BTreeMap<_, _> = assigned.iter().map(|assigned| (&assigned.name, assigned.id)).collect();
        for (dir, found) in copies {
            let id = ids.get(&found.partition).filter(|id| found.topic_id.is_none_or(|topic_id| topic_id == id.topic_id));
            if let Some(&id) = id.filter(|id| self.partition(**id).is_some()) {
                self.moves.found(id, dir, found.path.clone());
            }
        }
    }

    /// Kafka's rules: a directory that the metadata do not know (or know under another topic id) is renamed to `-stray` and left for
    /// the operator; one that was being deleted goes on being deleted.
    async fn set_strays_aside(self: &Rc<Self>, image: &MetadataImage, dirs: &[Option<DirReport>]) {
        for (dir, report) in dirs.iter().enumerate().filter(|(dir, _)| home_of(*dir, self.cores()) == self.index) {
            for found in report.iter().flat_map(|report| &report.partitions) {
                match found.kind {
                    PartitionDirKind::Delete => self.homes.remove_later(dir, found.path.clone(), Duration::ZERO),
                    PartitionDirKind::Live if &*found.partition.topic == METADATA_TOPIC => {}
                    PartitionDirKind::Live if !self.is_known(image, &found.partition, found.topic_id) => {
                        self.set_aside(dir, &found.partition, &found.path).await;
                    }
                    // A copy of what is not there any more.
                    PartitionDirKind::Future if !self.is_known(image, &found.partition, found.topic_id) => {
                        self.homes.remove_later(dir, found.path.clone(), Duration::ZERO);
                    }
                    PartitionDirKind::Live | PartitionDirKind::Future | PartitionDirKind::Stray => {}
                }
            }
        }
    }

    /// Without `partition.metadata` a directory belongs to the topic of its name: the file comes before any data, so it is empty.
    fn is_known(&self, image: &MetadataImage, partition: &TopicPartition, topic_id: Option<TopicId>) -> bool {
        let topic = image.topic_by_name(&partition.topic).filter(|topic| topic_id.is_none_or(|found| found == topic.id));
        topic.and_then(|topic| topic.partitions.get(&partition.partition)).is_some_and(|p| p.replicas.contains(&self.broker_id()))
    }

    async fn set_aside(self: &Rc<Self>, dir: usize, partition: &TopicPartition, path: &Path) {
        let unique: String = self.io.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let suffix = format!(".{unique}-stray");
        let mut name = partition.to_string();
        name.truncate(MAX_FILE_NAME - suffix.len());
        let target = path.with_file_name(name + &suffix);
        tracing::warn!(path = %path.display(), to = %target.display(), "the metadata do not know this partition, it is set aside");
        let parent = &self.settings.log_dirs[dir];
        let renamed = async {
            self.io.rename(path, &target).await?;
            self.io.sync_dir(parent).await
        };
        if let Err(error) = renamed.await {
            self.dir_failed(dir, &format!("rename of a stray partition: {error}"));
        }
    }
}

/// The log dirs of every live partition directory; mostly one, see `moves`. One name may be there twice with different topic ids: a log dir
/// that was offline when its topic was deleted and made anew still has the old one, which is set aside.
fn places(dirs: &[Option<DirReport>]) -> BTreeMap<(TopicPartition, TopicId), Vec<usize>> {
    let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (dir, report) in dirs.iter().enumerate() {
        for found in report.iter().flat_map(|report| &report.partitions).filter(|p| p.kind == PartitionDirKind::Live) {
            let Some(topic_id) = found.topic_id else { continue };
            places.entry((found.partition.clone(), topic_id)).or_default().push(dir);
        }
    }
    places
}

/// How far this core's logs are, told from time to time.
struct Progress {
    io: Io,
    begun: Mono,
    told: Cell<Mono>,
    logs: usize,
    finished: Cell<usize>,
    states: RefCell<Vec<RecoveryProgress>>,
}

impl Progress {
    fn new(io: Io, logs: usize) -> Rc<Self> {
        let now = io.now();
        Rc::new(Self { io, begun: now, told: Cell::new(now), logs, finished: Cell::new(0), states: RefCell::default() })
    }

    fn begin(&self) -> usize {
        let mut states = self.states.borrow_mut();
        states.push(RecoveryProgress::default());
        states.len() - 1
    }

    fn update(&self, slot: usize, state: RecoveryProgress) {
        self.states.borrow_mut()[slot] = state;
        self.tell();
    }

    fn finish(&self) {
        self.finished.set(self.finished.get() + 1);
        self.tell();
    }

    fn tell(&self) {
        let now = self.io.now();
        if now.since(self.told.get()) < PROGRESS_INTERVAL {
            return;
        }
        self.told.set(now);
        let states = self.states.borrow();
        let done: u64 = states.iter().map(|state| state.done_bytes).sum();
        let total: u64 = states.iter().map(|state| state.total_bytes).sum();
        let seconds = now.since(self.begun).as_secs_f64();
        // By bytes for the logs that have begun; the others are taken to be like them.
        let begun = states.len().max(1);
        let all = total as f64 * self.logs as f64 / begun as f64;
        let left = if done > 0 { seconds * (all - done as f64) / done as f64 } else { 0.0 };
        tracing::info!(
            core = self.io.core(),
            logs = self.finished.get(),
            of = self.logs,
            checked_mib = done >> 20,
            seconds = seconds.round(),
            seconds_left = left.round(),
            "loading logs"
        );
    }
}
