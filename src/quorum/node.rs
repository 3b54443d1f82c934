//! This node in its quorum: openraft with its parts, told what to commit and when to write a snapshot. Who leads, and may act as the leader,
//! is said in `lead`.

use super::entry::{Voters, broker_id, epoch_of, raft_id};
use super::journal::Journal;
use super::machine::{Machine, Metadata};
use super::network::Peers;
use super::reception::Reception;
use super::snapshot::{self, SnapshotPolicy};
use super::store::LogStore;
use super::types::{Applied, Judged, LeaderId, Membership, MetadataBatch, Types};
use super::{OpenQuorum, QuorumError, batch, formatted, lead, observers, position, timing};
use crate::controller::{Loader, MAX_METADATA_VERSION, MIN_METADATA_VERSION, MetadataDelta, MetadataImage};
use crate::io::{Io, Mono, Notify, Turnstile};
use crate::model::{BrokerId, Offset};
use crate::protocol::MetadataRecord;
use crate::record::BatchHeader;
use futures_util::future::{Either, select};
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::vote::RaftLeaderId;
use openraft::{Raft, RaftMetrics};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Metadata that cannot be written down now are not tried more often, whatever the policy says.
const LEAST_INTERVAL_MS: u64 = 1_000;

/// openraft with what it works on.
pub(super) struct Node {
    pub(super) io: Io,
    pub(super) how: OpenQuorum,
    pub(super) raft: Raft<Types, Machine>,
    pub(super) journal: Rc<Journal>,
    pub(super) metadata: Rc<Metadata>,
    pub(super) peers: Peers,
    policy: SnapshotPolicy,
    /// When the last look at the clock of snapshots was.
    snapped_at: Cell<Mono>,
    /// What a new cluster begins with.
    pub(super) bootstrap: Vec<MetadataRecord>,
    /// The term in which this node has done what a leader does first.
    pub(super) active: Cell<Option<u64>>,
    /// Rings when who leads has changed, or this node cannot go on.
    pub(super) changed: Notify,
    /// Whoever writes to the log, so that nothing comes between a decision and its entry.
    pub(super) deciding: Turnstile,
    /// The voters are being changed.
    pub(super) changing: Cell<bool>,
    /// When it became the leader that it is.
    pub(super) active_since: Cell<Mono>,
    /// When a leader was heard of.
    pub(super) heard: Cell<Mono>,
    /// It may stand for election.
    pub(super) stands: Cell<bool>,
    /// It was told to end.
    pub(super) is_closed: Cell<bool>,
    /// Why it cannot go on, although openraft could.
    pub(super) broken: RefCell<Option<String>>,
    /// The snapshot that is coming.
    pub(super) reception: Reception,
    pub(super) observers: observers::Observers,
}

impl Node {
    /// Opens and reads the log. Nobody leads yet.
    pub(super) async fn open(io: &Io, how: OpenQuorum, bootstrap: Vec<MetadataRecord>) -> Result<Rc<Self>, QuorumError> {
        let first = if how.member.is_some() { formatted::read(io, &how.log_dir).await? } else { None };
        let voters = match first {
            Some(first) => Voters::InLog(first),
            None if how.member.is_some() && how.voters.is_empty() => Voters::InLog(Membership::default()),
            None => Voters::Fixed(how.voter_ids().map_err(QuorumError::Consensus)?),
        };
        let journal = Journal::open(io, &how, voters).await?;
        let metadata = Metadata::new(journal.clone());
        let (store, machine) = (LogStore(journal.clone()), Machine(metadata.clone()));
        // Who has nothing does not know whether the others have something; but the log says with which disk somebody votes.
        let stands = journal.are_voters_in_log() || !journal.is_blank();
        let config = if journal.is_alone() { timing::alone() } else { timing::among_others(&how.timeouts, stands) };
        let config = config.map_err(|error| QuorumError::Consensus(error.to_string()))?;
        let peers = Peers::new(io.clone(), &how);
        peers.learn(&journal.members());
        let raft = Raft::<Types, Machine>::new(raft_id(how.node), Arc::new(config), peers.clone(), store, machine);
        let raft = io.enter(raft).await.map_err(|fatal| journal.stopped(&fatal))?;
        Ok(Rc::new(Self {
            io: io.clone(),
            stands: Cell::new(stands),
            active_since: Cell::new(Mono(0)),
            heard: Cell::new(io.now()),
            deciding: Turnstile::default(),
            changing: Cell::new(false),
            policy: how.snapshots,
            snapped_at: Cell::new(io.now()),
            how,
            raft,
            journal,
            metadata,
            peers,
            bootstrap,
            active: Cell::new(None),
            changed: Notify::new(),
            is_closed: Cell::new(false),
            broken: RefCell::default(),
            reception: Reception::default(),
            observers: observers::Observers::default(),
        }))
    }

    /// Whether this node is the only voter for ever.
    pub(super) fn is_alone(&self) -> bool {
        self.journal.is_alone()
    }

    /// Who is in the quorum by this node's log, committed or not.
    pub(super) fn members(&self) -> Membership {
        self.journal.members()
    }

    /// Who votes, likewise.
    pub(super) fn voters(&self) -> Vec<BrokerId> {
        self.members().voter_ids().map(broker_id).collect()
    }

    /// Has this node, which is alone, elected in a new epoch, which opens with a control batch that says who leads. When this returns,
    /// everything in the log is committed and applied.
    pub(super) async fn lead(&self) -> Result<(), QuorumError> {
        let (journal, metadata) = (self.journal.clone(), self.metadata.clone());
        let leads = move |now: &RaftMetrics<Types>| lead::has_applied_all(now, &journal, &metadata);
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

    /// The metadata as committed, and what of a transaction is open.
    pub(super) fn loader(&self) -> Loader {
        self.metadata.loader()
    }

    /// Commits one batch, decided in `term` on all that is in the log, and applies it. When this returns, the records are on the devices
    /// of a majority and in [`Node::loader`].
    ///
    /// # Errors
    /// [`QuorumError::NotLeader`]: this node does not lead in the term any more. The batch may be committed all the same.
    pub(super) async fn commit(&self, term: u64, records: &[MetadataRecord]) -> Result<MetadataDelta, QuorumError> {
        let (end, epoch) = (self.end_offset(), epoch_of(term)?);
        let mut loader = self.loader();
        let on = (loader.image().next_offset(), loader.image().epoch());
        if on.0 != end {
            // Another leader has written meanwhile, or nobody knows what became of the last decision.
            assert!(!self.is_alone(), "a decision sees everything that is committed");
            return Err(self.not_leader());
        }
        let version = loader.image().metadata_version().unwrap_or(MAX_METADATA_VERSION);
        let now = self.io.wall_clock_ms();
        let bytes = batch::encode(records, version, end, epoch, now).map_err(|bytes| QuorumError::TooLarge { bytes })?;
        // A record that does not fit must not get into the log, where it would be fatal at each start.
        let delta = loader.load(records, end.plus(records.len() as i64), epoch)?;
        let batch = MetadataBatch::judged(bytes, Judged { on, loader, delta });
        let written = self.io.enter(self.write(term, end, batch)).await?;
        assert!(!self.is_alone() || self.metadata.next_offset() == self.end_offset(), "the log holds what was applied");
        Ok(written.delta)
    }

    /// Proposes a batch, which is to come to `end`.
    async fn write(&self, term: u64, end: Offset, batch: MetadataBatch) -> Result<Applied, QuorumError> {
        let (responder, answer) = ProgressResponder::complete_only();
        // Only in this term: the batch has its epoch and its offset, and with another leader's entries before it, it has another.
        let leader = LeaderId::new(term, raft_id(self.how.node)).to_committed();
        let asked = self.raft.write(batch).responder(responder).with_leader(leader).await;
        asked.map_err(|fatal| self.journal.stopped(&fatal))?;
        if self.io.planted("a decision told before a majority has it") {
            while self.end_offset() == end && self.leads_in() == Some(term) {
                self.next_look().await;
            }
            return Ok(Applied::default());
        }
        if self.is_alone() {
            // Nobody else can lead: it is written, or the disk fails.
            return match answer.await {
                Ok(Ok(written)) => Ok(written.data),
                Ok(Err(error)) => Err(self.journal.stopped(&error)),
                Err(dropped) => Err(self.journal.stopped(&dropped)),
            };
        }
        match select(answer, pin!(self.until_lost(term))).await {
            Either::Left((Ok(Ok(written)), _)) => Ok(written.data),
            Either::Left((Ok(Err(ClientWriteError::ForwardToLeader(_) | ClientWriteError::LogEntryDiscarded(_))), _)) => {
                Err(self.not_leader())
            }
            Either::Left((Ok(Err(error)), _)) => Err(self.journal.stopped(&error)),
            Either::Left((Err(dropped), _)) => Err(self.journal.stopped(&dropped)),
            Either::Right((lost, _)) => Err(lost),
        }
    }

    /// Writes a snapshot if one is due, and removes what the newest one makes superfluous as far as the policy says.
    pub(super) async fn keep_short(&self) -> Result<(), QuorumError> {
        let unsnapped = self.journal.unsnapped_bytes();
        let waited_ms = self.io.now().since(self.snapped_at.get()).as_millis() as u64;
        let by_time = self.policy.interval_ms > 0 && waited_ms >= self.policy.interval_ms;
        let is_due = unsnapped > 0 && (unsnapped >= self.policy.bytes_between || by_time);
        if !is_due {
            return Ok(());
        }
        self.snapped_at.set(self.io.now());
        if !self.metadata.can_be_snapped() {
            return Ok(());
        }
        let (all, put_off) = (self.metadata.applied(), self.metadata.put_off().notified());
        let written = async {
            self.raft.trigger().snapshot().await.map_err(|fatal| self.journal.stopped(&fatal))?;
            // A leader's entries may come in between, and open a transaction.
            let waiting = self.wait_until("a snapshot is written", |now| now.snapshot >= all);
            match select(pin!(waiting), pin!(put_off)).await {
                Either::Left((written, _)) => written,
                Either::Right(_) => Ok(()),
            }
        };
        self.io.enter(written).await?;
        self.remove_superfluous().await
    }

    /// When a snapshot is due by time.
    pub(super) fn snapshot_due(&self) -> Option<Mono> {
        let is_wanted = self.policy.interval_ms > 0 && self.journal.unsnapped_bytes() > 0;
        is_wanted.then(|| self.snapped_at.get().after(Duration::from_millis(self.policy.interval_ms.max(LEAST_INTERVAL_MS))))
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
        self.is_closed.set(true);
        // It says no more than that a task's core is gone, and this is that core.
        let _ = self.io.enter(self.raft.shutdown()).await;
        self.journal.close().await
    }
}
