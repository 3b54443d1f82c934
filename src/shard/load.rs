//! From what the log dirs hold to this core's partitions, at start.

use super::apply::LOGS_AT_ONCE;
use super::core::Core;
use super::dirs::{DirReport, home_of};
use super::metadata::Assigned;
use crate::controller::MetadataImage;
use crate::io::{Io, Mono};
use crate::log::{Log, OpenLog, PartitionDirKind, RecoveryProgress};
use crate::model::{Offset, TopicId, TopicPartition};
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

/// What came of loading one core's partitions.
pub(super) struct LoadReport {
    /// Why the broker must not start, if so.
    pub(super) error: Option<String>,
    /// Logs that were opened.
    pub(super) logs: usize,
}

impl Core {
    /// Opens this core's partitions of `image`, recovering those that were not closed cleanly, and sets aside what the image does not
    /// know in the log dirs of which this core is the home.
    pub(super) async fn load(self: Rc<Self>, image: Arc<MetadataImage>, dirs: Arc<Vec<Option<DirReport>>>) -> LoadReport {
        self.set_strays_aside(&image, &dirs).await;
        let places = match places(&dirs) {
            Ok(places) => places,
            Err(error) => return LoadReport { error: Some(error), logs: 0 },
        };
        let assigned = self.assigned(&image);
        let progress = Progress::new(self.io.clone(), assigned.len());
        let any_offline = dirs.iter().any(Option::is_none);
        let opens = assigned.iter().map(|assigned| {
            let place = places.get(&(assigned.name.clone(), assigned.id.topic_id));
            self.load_one(assigned, place.copied(), &dirs, any_offline, &progress)
        });
        futures_util::stream::iter(opens).buffer_unordered(LOGS_AT_ONCE).collect::<Vec<()>>().await;
        self.show(image);
        self.assign(&assigned);
        // The homes can write checkpoints from here on.
        self.send_last_offsets();
        LoadReport { error: None, logs: self.partitions.borrow().len() }
    }

    async fn load_one(
        self: &Rc<Self>,
        assigned: &Assigned,
        place: Option<usize>,
        dirs: &[Option<DirReport>],
        any_offline: bool,
        progress: &Rc<Progress>,
    ) {
        let name = &assigned.name;
        let dir = match place {
            Some(dir) => {
                self.seats.enter_dir(dir);
                dir
            }
            // It may be in the dir that failed: an empty log elsewhere would take the place of the real one.
            None if any_offline => {
                tracing::error!(partition = %name, "not found in the log dirs that are left");
                return;
            }
            None => match self.seats.choose_dir(self.settings.partition_dirs, |dir| !self.is_offline(dir)) {
                Some(dir) => dir,
                None => return,
            },
        };
        let Some(report) = &dirs[dir] else { return };
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
            cleaned: report.cleaned.get(name).copied(),
            clean_shutdown: report.clean_shutdown.is_some(),
            progress: Some(Rc::new(move |state| told.update(slot, state))),
        };
        let high_watermark = checkpoint(&report.high_watermarks);
        let opened = async {
            let log = Log::open(self.io.clone(), open).await?;
            if log.config().sync_every_append() {
                // What a crash left unflushed counts only once it is on the device, and readers are not to see less than before.
                log.flush(log.log_end_offset()).await?;
            }
            self.rest_if_many(&log).await?;
            Ok(log)
        };
        match opened.await {
            Ok(log) => {
                if self.io.planted("producers forgotten at a start") {
                    log.producers().borrow_mut().reset(log.log_end_offset());
                }
                self.insert(assigned, dir, log, high_watermark);
            }
            Err(error) => self.open_failed(assigned, dir, &error),
        }
        progress.finish();
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

/// Log dir of every live partition directory. One name may be there twice with different topic ids: a log dir that was offline when
/// its topic was deleted and made anew still has the old one, which is set aside.
fn places(dirs: &[Option<DirReport>]) -> Result<BTreeMap<(TopicPartition, TopicId), usize>, String> {
    let mut places = BTreeMap::new();
    for (dir, report) in dirs.iter().enumerate() {
        for found in report.iter().flat_map(|report| &report.partitions).filter(|p| p.kind == PartitionDirKind::Live) {
            let Some(topic_id) = found.topic_id else { continue };
            if let Some(other) = places.insert((found.partition.clone(), topic_id), dir) {
                return Err(format!(
                    "partition {} is in two log dirs, number {other} and {dir} of log.dirs; remove the one that is not wanted ({})",
                    found.partition,
                    found.path.display()
                ));
            }
        }
    }
    Ok(places)
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
