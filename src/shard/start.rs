//! From log dirs on a disk to partitions that take requests.
//!
//! Every core answers messages from its first moment; core 0 leads the start by them, step by step: log dirs are opened by their
//! homes, metadata are recovered on core 0 (of a node that is alone; a broker of a cluster gets them from the controller), every core opens
//! its partitions, and only then any core returns from [`Shards::ready`].

use super::Shards;
use super::control::Control;
use super::core::{Core, FIRST_CORE};
use super::dirs::{DirReport, OpenDirError, home_of};
use super::load::LoadReport;
use super::message::Message;
use crate::config::BrokerConfig;
use crate::controller::MetadataImage;
use crate::io::{Handover, Io, Receiver, Sender, mailbox, reply};
use crate::log::{LogDir, MetaProperties};
use crate::model::TopicId;
use crate::quorum;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The mailboxes of all cores, and the partitions that they count together, made before they start; each core takes its own with [`Shards::open`].
#[derive(Clone)]
pub struct Seats {
    inner: Arc<SeatsInner>,
}

struct SeatsInner {
    senders: Vec<Sender<Message>>,
    receivers: Handover<Receiver<Message>>,
    /// Partitions in each log dir, over all cores.
    partitions: Vec<AtomicUsize>,
}

/// Why the broker cannot start; the text says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// Log dirs that are counted at most; more of them are filled in turn.
const MAX_COUNTED_DIRS: usize = 64;

impl Seats {
    /// One seat for each of `cores` cores.
    pub fn new(cores: usize) -> Self {
        assert!(cores > 0, "a broker has a core");
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..cores).map(|_| mailbox()).unzip();
        Self {
            inner: Arc::new(SeatsInner {
                senders,
                receivers: Handover::new(receivers),
                partitions: (0..MAX_COUNTED_DIRS).map(|_| AtomicUsize::new(0)).collect(),
            }),
        }
    }

    pub(super) fn send(&self, core: usize, message: Message) {
        self.inner.senders[core].send(message);
    }

    pub(super) fn cores(&self) -> usize {
        self.inner.senders.len()
    }

    /// The log dir with the fewest partitions out of those that are usable, counted in already; Kafka's rule.
    pub(super) fn choose_dir(&self, dirs: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let dirs = (0..dirs.min(MAX_COUNTED_DIRS)).filter(|&dir| usable(dir));
        let dir = dirs.min_by_key(|&dir| self.inner.partitions[dir].load(Ordering::Relaxed))?;
        self.enter_dir(dir);
        Some(dir)
    }

    pub(super) fn enter_dir(&self, dir: usize) {
        if let Some(count) = self.inner.partitions.get(dir) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn leave_dir(&self, dir: usize) {
        if let Some(count) = self.inner.partitions.get(dir) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Shards {
    /// Joins this core to the others, and waits until all partitions are ready: [`Shards::join`], then [`Shards::ready`].
    ///
    /// # Errors
    /// See there.
    pub async fn open(io: Io, seats: Seats, config: Arc<BrokerConfig>, bound: &[SocketAddr]) -> Result<Self, OpenError> {
        let shards = Self::join(io, seats, config, bound).await?;
        shards.ready().await?;
        Ok(shards)
    }

    /// Joins this core to the others: opens log dirs (shared out over the cores) and, on a controller, the quorum. When this returns, other
    /// nodes can be answered; clients are to wait for [`Shards::ready`]. To be called once on every core. `bound` are the addresses that the
    /// configured listeners for clients have in fact, in their order: what clients are told.
    ///
    /// # Errors
    /// A log dir that is locked by another process or belongs to another broker, no log dir left, unreadable metadata: every core
    /// returns an error then.
    pub async fn join(io: Io, seats: Seats, config: Arc<BrokerConfig>, bound: &[SocketAddr]) -> Result<Self, OpenError> {
        let receiver = seats.inner.receivers.take(io.core());
        let core = Core::new(io.clone(), seats, config);
        io.spawn(core.clone().serve(receiver));
        if core.index == FIRST_CORE {
            io.spawn(core.clone().lead_start(bound.to_vec()));
        }
        loop {
            let changed = core.changed.notified();
            if let Some(outcome) = core.joined.take() {
                return match outcome {
                    Ok(cluster_id) => Ok(Self::new(core, &cluster_id)),
                    Err(error) => Err(core.not_started(error)),
                };
            }
            changed.await;
        }
    }

    /// Returns when all cores are ready, so that what is served afterwards sees every partition. A broker of a cluster waits for the
    /// controller here, which has to let it in.
    ///
    /// # Errors
    /// A log dir or the metadata cannot be used, the controller does not let this broker in, or the start was given up: on every core.
    pub async fn ready(&self) -> Result<(), OpenError> {
        let core = self.core();
        loop {
            let changed = core.changed.notified();
            if let Some(outcome) = core.ready.take() {
                return outcome.map_err(|error| core.not_started(error));
            }
            changed.await;
        }
    }

    /// Gives the start up, of which somebody waits for the end by [`Shards::ready`]. To be called on the first core.
    pub fn give_up_start(&self) {
        self.core().giving_up.set(true);
        self.core().changed.notify_all();
    }
}

/// What a start that is given up says.
const GIVEN_UP: &str = "the start was given up";

/// How long a start that has failed waits for the metadata log to be closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

impl OpenError {
    /// Whether nothing is wrong, but somebody wanted it to stop.
    pub fn is_given_up(&self) -> bool {
        self.0 == GIVEN_UP
    }
}

/// A node whose log dirs and quorum are open.
struct Opened {
    cluster_id: String,
    dirs: Arc<Vec<Option<DirReport>>>,
    /// The controller of a node that is alone.
    control: Option<Control>,
}

impl Core {
    fn not_started(&self, error: String) -> OpenError {
        self.halted.set(true);
        self.send(self.index, Message::Halt);
        OpenError(error)
    }

    async fn lead_start(self: Rc<Self>, bound: Vec<SocketAddr>) {
        let begun = self.io.now();
        let Opened { cluster_id, dirs, control } = match self.open_node(&bound).await {
            Ok(opened) => opened,
            Err(error) => return self.tell_all(|| Message::Joined(Err(error.clone()))),
        };
        self.tell_all(|| Message::Joined(Ok(cluster_id.clone())));
        let loaded = match control {
            Some(control) => self.load_alone(control, dirs).await,
            None => self.load_in_cluster(dirs, &bound).await,
        };
        let outcome = loaded.map(|logs| {
            let seconds = self.io.now().since(begun).as_secs_f64();
            tracing::info!(cluster_id, logs, cores = self.cores(), seconds, "all partitions are ready");
        });
        self.tell_all(|| Message::Ready(outcome.clone()));
    }

    fn tell_all(&self, message: impl Fn() -> Message) {
        for core in 0..self.cores() {
            self.send(core, message());
        }
    }

    async fn open_node(self: &Rc<Self>, bound: &[SocketAddr]) -> Result<Opened, String> {
        let cluster_id = self.format_where_needed().await?;
        let dirs = Arc::new(self.take_dirs(&cluster_id).await?);
        let control = match self.settings.is_alone {
            true => Some(Control::open(self, &dirs, bound).await?),
            false => {
                self.open_cluster(&cluster_id, &dirs).await?;
                None
            }
        };
        Ok(Opened { cluster_id, dirs, control })
    }

    /// Loads the partitions of a node that is alone; how many logs there are.
    async fn load_alone(self: &Rc<Self>, mut control: Control, dirs: Arc<Vec<Option<DirReport>>>) -> Result<usize, String> {
        let LoadReport { logs, misplaced, .. } = self.load_all(control.image(), dirs).await?;
        control.assign_dirs(&misplaced).await?;
        control.unfence().await?;
        self.io.spawn(control.run());
        Ok(logs)
    }

    /// Loads the partitions of a node of a cluster when the controller has let it in; how many logs there are.
    async fn load_in_cluster(self: &Rc<Self>, dirs: Arc<Vec<Option<DirReport>>>, bound: &[SocketAddr]) -> Result<usize, String> {
        let started = self.start_in_cluster(dirs, bound).await;
        if started.is_err() {
            // A controller was serving others meanwhile.
            self.begin_stop();
            let until = self.io.now().after(CLOSE_LIMIT);
            while !self.control_ended.get() && self.io.now() < until {
                self.io.sleep(Duration::from_millis(1)).await;
            }
        }
        started
    }

    /// Why the start cannot go on, if it cannot.
    pub(super) fn why_not_to_start(&self) -> Option<String> {
        let given_up = self.giving_up.get() || self.is_stopping();
        self.fatal.borrow().clone().or_else(|| given_up.then(|| GIVEN_UP.to_owned()))
    }

    /// The cluster's id, out of the log dirs that have one; dirs without `meta.properties` are formatted for it, if this node is its
    /// cluster's only one. Any other has to be told which cluster it belongs to.
    async fn format_where_needed(&self) -> Result<String, String> {
        let mut cluster_id = None;
        let mut fresh = Vec::new();
        for (index, path) in self.settings.log_dirs.iter().enumerate() {
            match LogDir::read_meta(&self.io, path).await {
                Ok(Some(meta)) => {
                    cluster_id.get_or_insert(meta.cluster_id);
                }
                Ok(None) => fresh.push(index),
                // Met again, and judged, when the dir is opened.
                Err(error) => tracing::warn!(dir = %path.display(), %error, "cannot read meta.properties"),
            }
        }
        if !self.settings.is_alone {
            if let Some(&index) = fresh.first() {
                let dir = self.settings.log_dirs[index].display();
                return Err(format!("No `meta.properties` found in {dir} (have you run `flumen storage format` for it?)"));
            }
            return cluster_id.ok_or_else(|| "No readable meta.properties files found.".to_owned());
        }
        let cluster_id = cluster_id.unwrap_or_else(|| self.fresh_id().to_string());
        for index in fresh {
            let path = &self.settings.log_dirs[index];
            let meta = MetaProperties {
                cluster_id: cluster_id.clone(),
                node_id: self.settings.node_id.0,
                directory_id: self.fresh_id(),
            };
            if index == self.settings.metadata_dir && !self.config.quorum_bootstrap_servers().is_empty() {
                let node = self.settings.node_id;
                quorum::write_alone(&self.io, path, node).await.map_err(|error| error.to_string())?;
            }
            match LogDir::format(&self.io, path, &meta).await {
                Ok(()) => tracing::info!(dir = %path.display(), cluster_id, directory_id = %meta.directory_id, "formatted"),
                Err(error) => tracing::error!(dir = %path.display(), %error, "cannot be formatted"),
            }
        }
        Ok(cluster_id)
    }

    /// A random id in Kafka's form.
    pub(super) fn fresh_id(&self) -> TopicId {
        loop {
            if let Some(id) = TopicId::from_random(self.io.random()) {
                return id;
            }
        }
    }

    /// Opens every log dir at its home. One that has failed is `None` and offline; without the metadata's there is no start.
    async fn open_dirs(self: &Rc<Self>, cluster_id: &str) -> Result<Vec<Option<DirReport>>, String> {
        let mut reports = Vec::new();
        let mut ids = BTreeSet::new();
        for dir in 0..self.settings.log_dirs.len() {
            let (sender, answer) = reply();
            self.send(home_of(dir, self.cores()), Message::OpenDir { dir, cluster_id: cluster_id.to_owned(), reply: sender });
            match answer.await {
                Ok(Ok(report)) => {
                    if !ids.insert(report.meta.directory_id) {
                        return Err(format!("two log dirs have the directory id {}: one is a copy", report.meta.directory_id));
                    }
                    reports.push(Some(report));
                }
                Ok(Err(OpenDirError::Refused(error))) => return Err(error),
                Ok(Err(OpenDirError::Offline(error))) => {
                    self.dir_failed(dir, &error);
                    reports.push(None);
                }
                Err(_) => return Err("a core ended during the start".to_owned()),
            }
        }
        self.check_dirs_left()?;
        Ok(reports)
    }

    /// Opens the log dirs and takes away the markers of a clean stop, when all dirs have been judged and before anything is written: a
    /// start that fails from here on is no clean stop (as with Kafka, KAFKA-10471).
    async fn take_dirs(self: &Rc<Self>, cluster_id: &str) -> Result<Vec<Option<DirReport>>, String> {
        let mut reports = self.open_dirs(cluster_id).await?;
        for failed in self.ask_all(|reply| Message::InUse { reply }).await {
            for (dir, error) in failed.ok_or("a core ended during the start")? {
                self.dir_failed(dir, &error);
                reports[dir] = None;
            }
        }
        self.check_dirs_left()?;
        Ok(reports)
    }

    /// Whether the log dirs that have not failed are enough to go on.
    fn check_dirs_left(&self) -> Result<(), String> {
        match self.fatal.borrow().clone() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// What came of it on all cores.
    pub(super) async fn load_all(
        &self,
        image: Arc<MetadataImage>,
        dirs: Arc<Vec<Option<DirReport>>>,
    ) -> Result<LoadReport, String> {
        let reports = self.ask_all(|reply| Message::Load { image: image.clone(), dirs: dirs.clone(), reply }).await;
        let mut all = LoadReport::default();
        for report in reports {
            let report = report.ok_or("a core ended during the start")?;
            all.logs += report.logs;
            all.misplaced.extend(report.misplaced);
            all.damaged.extend(report.damaged);
        }
        Ok(all)
    }
}
