//! This node in its quorum: openraft with its parts, told when to stand for election, what to commit and when to write a snapshot.

use super::entry::{Voters, epoch_of, raft_id};
use super::journal::Journal;
use super::machine::{Machine, Metadata};
use super::network::NoPeers;
use super::snapshot::{self, SnapshotPolicy};
use super::store::LogStore;
use super::types::{Judged, MetadataBatch, Types, term_of};
use super::{OpenQuorum, QuorumError, batch, position};
use crate::controller::{Loader, MAX_METADATA_VERSION, MIN_METADATA_VERSION, MetadataDelta, MetadataImage};
use crate::io::{Io, Mono};
use crate::model::Offset;
use crate::protocol::MetadataRecord;
use crate::record::BatchHeader;
use openraft::{Config, Raft, RaftMetrics, ServerState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A day in milliseconds: openraft has a clock that ticks for elections and heartbeats, and who is alone needs neither.
const SELDOM_MS: u64 = 24 * 3600 * 1000;

/// Metadata that cannot be written down now are not tried more often, whatever the policy says.
const LEAST_INTERVAL_MS: u64 = 1_000;

/// openraft with what it works on.
pub(super) struct Node {
    io: Io,
    raft: Raft<Types, Machine>,
    journal: Rc<Journal>,
    metadata: Rc<Metadata>,
    policy: SnapshotPolicy,
    /// When the last look at the clock of snapshots was.
    snapped_at: Mono,
}

impl Node {
    /// Opens and reads the log. Nobody leads yet.
    pub(super) async fn open(io: &Io, how: &OpenQuorum) -> Result<Self, QuorumError> {
        let journal = Journal::open(io, how, Voters::Fixed(vec![how.node])).await?;
        let metadata = Metadata::new(journal.clone());
        let (store, machine) = (LogStore(journal.clone()), Machine(metadata.clone()));
        let config = config().map_err(|error| QuorumError::Consensus(error.to_string()))?;
        let raft = Raft::<Types, Machine>::new(raft_id(how.node), Arc::new(config), NoPeers, store, machine);
        let raft = io.enter(raft).await.map_err(|fatal| journal.stopped(&fatal))?;
        let (policy, snapped_at) = (how.snapshots, io.now());
        Ok(Self { io: io.clone(), raft, journal, metadata, policy, snapped_at })
    }

    /// Has this node elected in a new epoch, which opens with a control batch that says who leads. When this returns, everything in the
    /// log is committed and applied.
    pub(super) async fn lead(&mut self) -> Result<(), QuorumError> {
        let (journal, metadata) = (self.journal.clone(), self.metadata.clone());
        let leads = move |now: &RaftMetrics<Types>| {
            let all = journal.log_state().last_log_id;
            now.state == ServerState::Leader
                && all.is_some_and(|last| term_of(&last) == now.current_term)
                && metadata.applied() == all
        };
        let elected = async {
            self.raft.trigger().elect(false).await.map_err(|fatal| self.journal.stopped(&fatal))?;
            self.wait_until("this node leads", leads).await
        };
        self.io.enter(elected).await
    }

    /// Waits for something to become true of openraft; to be called inside [`Io::enter`].
    async fn wait_until(&self, what: &str, is: impl Fn(&RaftMetrics<Types>) -> bool) -> Result<(), QuorumError> {
        let waited = self.raft.wait(None).metrics(|now| now.running_state.is_err() || is(now), what).await;
        match waited.map(|now| now.running_state) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fatal)) => Err(self.journal.stopped(&fatal)),
            Err(error) => Err(self.journal.stopped(&error)),
        }
    }

    pub(super) fn end_offset(&self) -> Offset {
        self.journal.end_offset()
    }

    /// Where the log begins.
    #[cfg(test)]
    pub(super) fn start_offset(&self) -> Offset {
        self.journal.start_offset()
    }

    /// The batches that raft knows, with their numbers.
    #[cfg(all(test, feature = "sim"))]
    pub(super) fn numbers(&self) -> Vec<(Offset, u64)> {
        self.journal.numbers()
    }

    /// The epoch in which this node leads.
    pub(super) fn epoch(&self) -> i32 {
        epoch_of(self.journal.term()).expect("a vote is kept only if its epoch fits")
    }

    /// The metadata as committed.
    pub(super) fn image(&self) -> MetadataImage {
        self.metadata.image()
    }

    /// The same, and what of a transaction is open.
    pub(super) fn loader(&self) -> Loader {
        self.metadata.loader()
    }

    /// Commits one batch and applies it. When this returns, the records are on the device and in [`Node::loader`].
    pub(super) async fn commit(&mut self, records: &[MetadataRecord]) -> Result<MetadataDelta, QuorumError> {
        let (end, epoch) = (self.end_offset(), self.epoch());
        let mut loader = self.loader();
        assert!(loader.image().next_offset() == end, "a decision sees everything that is committed");
        let version = loader.image().metadata_version().unwrap_or(MAX_METADATA_VERSION);
        let now = self.io.wall_clock_ms();
        let bytes = batch::encode(records, version, end, epoch, now).map_err(|bytes| QuorumError::TooLarge { bytes })?;
        // A record that does not fit must not get into the log, where it would be fatal at each start.
        let delta = loader.load(records, end.plus(records.len() as i64), epoch)?;
        let batch = MetadataBatch::judged(bytes, Judged { loader, delta });
        let written = self.io.enter(self.raft.client_write(batch)).await;
        let written = written.map_err(|error| self.journal.stopped(&error))?;
        assert!(self.metadata.next_offset() == self.end_offset(), "the log holds what was applied");
        Ok(written.data.delta)
    }

    /// Writes a snapshot if one is due, and removes what the newest one makes superfluous as far as the policy says.
    pub(super) async fn keep_short(&mut self) -> Result<(), QuorumError> {
        let unsnapped = self.journal.unsnapped_bytes();
        let waited_ms = self.io.now().since(self.snapped_at).as_millis() as u64;
        let by_time = self.policy.interval_ms > 0 && waited_ms >= self.policy.interval_ms;
        let is_due = unsnapped > 0 && (unsnapped >= self.policy.bytes_between || by_time);
        if !is_due {
            return Ok(());
        }
        self.snapped_at = self.io.now();
        if !self.metadata.can_be_snapped() {
            return Ok(());
        }
        let all = self.metadata.applied();
        let written = async {
            self.raft.trigger().snapshot().await.map_err(|fatal| self.journal.stopped(&fatal))?;
            self.wait_until("a snapshot is written", |now| now.snapshot >= all).await
        };
        self.io.enter(written).await?;
        self.remove_superfluous().await
    }

    /// When a snapshot is due by time.
    pub(super) fn snapshot_due(&self) -> Option<Mono> {
        let is_wanted = self.policy.interval_ms > 0 && self.journal.unsnapped_bytes() > 0;
        is_wanted.then(|| self.snapped_at.after(Duration::from_millis(self.policy.interval_ms.max(LEAST_INTERVAL_MS))))
    }

    async fn remove_superfluous(&self) -> Result<(), QuorumError> {
        let snapshots = snapshot::list(&self.io, &self.journal.dir).await?;
        let mut sizes_and_ages = Vec::new();
        for one in &snapshots {
            let content =
                self.io.read_file(&one.path).await.map_err(|error| QuorumError::File { path: one.path.clone(), error })?;
            // The first batch says when it was written.
            let written_ms = BatchHeader::parse(&content).map_or(0, |header| header.max_timestamp);
            sizes_and_ages.push((content.len() as u64, self.io.wall_clock_ms() - written_ms));
        }
        let going = snapshot::to_remove(&sizes_and_ages, self.journal.size(), &self.policy);
        for one in &snapshots[..going] {
            self.io.remove_file(&one.path).await.map_err(|error| QuorumError::File { path: one.path.clone(), error })?;
        }
        if going > 0 {
            // A snapshot that comes back has its position.
            let dir = &self.journal.dir;
            self.io.sync_dir(dir).await.map_err(|error| QuorumError::File { path: dir.clone(), error })?;
        }
        for one in &snapshots[..going] {
            position::remove(&self.io, one).await?;
        }
        // The log begins where the oldest snapshot that is left ends: whoever has that one can go on with it.
        if let Some(oldest) = snapshots.get(going)
            && going > 0
        {
            self.journal.forget_before(oldest.end).await?;
        }
        Ok(())
    }

    /// Refuses metadata whose version is not served.
    pub(super) fn check_metadata_version(&self, image: &MetadataImage) -> Result<(), QuorumError> {
        match image.metadata_version() {
            Some(version) if (MIN_METADATA_VERSION..=MAX_METADATA_VERSION).contains(&version) => Ok(()),
            Some(version) => Err(self.journal.invalid(format!(
                "metadata.version {version} is not supported, only {MIN_METADATA_VERSION} to {MAX_METADATA_VERSION}"
            ))),
            None => Err(self.journal.invalid("metadata.version is missing".to_owned())),
        }
    }

    /// Ends openraft's tasks and closes the log.
    pub(super) async fn close(&self) -> Result<(), QuorumError> {
        // It says no more than that a task's core is gone, and this is that core.
        let _ = self.io.enter(self.raft.shutdown()).await;
        self.journal.close().await
    }
}

/// For a voter that is alone: it stands for election when it is told to (each start anew), and writes snapshots when it is told to; what a
/// snapshot holds, raft need not know.
fn config() -> Result<Config, openraft::ConfigError> {
    let config = Config {
        cluster_name: super::METADATA_TOPIC.to_owned(),
        heartbeat_interval: SELDOM_MS,
        election_timeout_min: 2 * SELDOM_MS,
        election_timeout_max: 3 * SELDOM_MS,
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate()
}
