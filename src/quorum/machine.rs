//! The metadata as the committed entries make them: openraft's state machine, and its snapshots, which are Kafka's.
//!
//! Nothing of it is kept but snapshots: a start reads the newest one and applies the entries behind it again.

use super::entry::{epoch_of, offsets_of};
use super::journal::Journal;
use super::position::Position;
use super::snapshot::{self, SnapshotFile};
use super::types::{Applied, Entry, LogId, MetadataBatch, Payload, Snapshot, SnapshotMeta, StoredMembership, Types, term_of};
use super::{QuorumError, batch};
use crate::controller::{Loader, MetadataDelta, MetadataImage};
use crate::io::Notify;
use crate::model::Offset;
use crate::record::Batch;
use futures_util::{Stream, TryStreamExt as _};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use std::cell::RefCell;
use std::io::Result as IoResult;
use std::rc::Rc;
use std::sync::Arc;

/// What has been applied so far.
pub(super) struct Metadata {
    journal: Rc<Journal>,
    loader: RefCell<Loader>,
    applied: RefCell<Option<LogId>>,
    membership: RefCell<StoredMembership>,
    /// What has changed since somebody took it last; none where nobody does.
    untaken: RefCell<Option<Untaken>>,
    /// Rings when an entry was applied.
    changed: Notify,
    /// Rings when a snapshot that was asked for cannot be written now.
    put_off: Notify,
}

/// The sum of what has changed.
struct Untaken {
    delta: MetadataDelta,
    /// Whether the image is another one, even if only in its offset.
    is_new: bool,
}

/// openraft's handle to it.
pub(super) struct Machine(pub(super) Rc<Metadata>);

/// Writes a snapshot of the metadata as they were when it was made.
pub(super) struct SnapshotBuilder {
    metadata: Rc<Metadata>,
    /// None if a snapshot would lose something.
    view: Option<View>,
}

struct View {
    image: Arc<MetadataImage>,
    applied: LogId,
    membership: StoredMembership,
    /// Bytes of batches that the snapshot stands for.
    bytes: u64,
}

impl Metadata {
    /// Nothing yet.
    pub(super) fn new(journal: Rc<Journal>) -> Rc<Self> {
        let membership = RefCell::new(journal.first_membership());
        Rc::new(Self {
            journal,
            loader: RefCell::default(),
            applied: RefCell::new(None),
            membership,
            untaken: RefCell::new(None),
            changed: Notify::new(),
            put_off: Notify::new(),
        })
    }

    /// The metadata as committed.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.loader.borrow().image().clone()
    }

    /// Rings when a snapshot that was asked for cannot be written now.
    pub(super) fn put_off(&self) -> &Notify {
        &self.put_off
    }

    /// Rings when the metadata have changed.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// From now on somebody takes what has changed; the first time, it is everything.
    pub(super) fn follow(&self) {
        let mut untaken = self.untaken.borrow_mut();
        if untaken.is_none() {
            let image = self.image();
            let delta = MetadataDelta::between(&MetadataImage::default(), &image);
            *untaken = Some(Untaken { delta, is_new: image.next_offset() > Offset::ZERO });
        }
    }

    /// What has changed since the last call, if anything has.
    pub(super) fn take_changes(&self) -> Option<(Arc<MetadataImage>, Arc<MetadataDelta>)> {
        let mut untaken = self.untaken.borrow_mut();
        let untaken = untaken.as_mut().filter(|untaken| untaken.is_new)?;
        untaken.is_new = false;
        Some((self.image(), Arc::new(std::mem::take(&mut untaken.delta))))
    }

    /// The loader has published something else.
    fn publish(&self, delta: &MetadataDelta) {
        if let Some(untaken) = &mut *self.untaken.borrow_mut() {
            untaken.delta.merge(delta.clone());
            untaken.is_new = true;
        }
        self.changed.notify_all();
    }

    /// Where the records end that are in them.
    pub(super) fn next_offset(&self) -> Offset {
        self.loader.borrow().image().next_offset()
    }

    /// The metadata, and what of a transaction is open.
    pub(super) fn loader(&self) -> Loader {
        self.loader.borrow().clone()
    }

    /// The last entry that is in them.
    pub(super) fn applied(&self) -> Option<LogId> {
        *self.applied.borrow()
    }

    /// What a snapshot would hold. What is not understood would be lost, and so would a transaction that is open.
    fn view(&self) -> Option<View> {
        let loader = self.loader.borrow();
        let applied = self.applied()?;
        let is_whole =
            loader.image().can_be_exported() && !loader.in_transaction() && loader.image().next_offset() > Offset::ZERO;
        is_whole.then(|| View {
            image: loader.image().clone(),
            applied,
            membership: self.membership.borrow().clone(),
            bytes: self.journal.unsnapped_bytes(),
        })
    }

    /// Whether a snapshot can be written of all that is in the log.
    pub(super) fn can_be_snapped(&self) -> bool {
        self.view().is_some_and(|view| view.image.next_offset() == self.journal.end_offset())
    }

    fn apply(&self, entry: &Entry) -> Result<MetadataDelta, QuorumError> {
        let next = self.next_offset();
        let in_log = self.journal.end_of(entry.log_id.index()).filter(|end| *end > next);
        let end = in_log.unwrap_or_else(|| next.plus(offsets_of(entry)));
        let epoch = epoch_of(term_of(&entry.log_id))?;
        let delta = match &entry.payload {
            Payload::Batch(batch) => self.apply_batch(batch, end, epoch)?,
            Payload::Blank => self.loader.borrow_mut().load(&[], end, epoch)?,
            Payload::Voters(membership, _) => {
                *self.membership.borrow_mut() = StoredMembership::new(Some(entry.log_id), membership.clone());
                self.loader.borrow_mut().load(&[], end, epoch)?
            }
        };
        *self.applied.borrow_mut() = Some(entry.log_id);
        self.publish(&delta);
        Ok(delta)
    }

    fn apply_batch(&self, batch: &MetadataBatch, end: Offset, epoch: i32) -> Result<MetadataDelta, QuorumError> {
        // Decided here, in this very entry: what another leader has put in its place comes without a judgement. It was tried on what all
        // entries before it make, and those are the same in every log that has this entry; so this is what is here, or it is not used.
        let on = (self.next_offset(), self.image().epoch());
        if let Some(judged) = batch.take_judged()
            && judged.on == on
            && judged.loader.image().next_offset() == end
            && judged.loader.image().epoch() == epoch
        {
            *self.loader.borrow_mut() = judged.loader;
            return Ok(judged.delta);
        }
        let parsed = Batch::parse(&batch.bytes).map_err(|error| self.journal.invalid(error.to_string()))?;
        let records = batch::decode(&parsed).map_err(|reason| self.journal.invalid(reason))?;
        Ok(self.loader.borrow_mut().load(&records, end, epoch)?)
    }

    /// Puts a snapshot in the place of all that is there, and keeps it if it came from elsewhere.
    async fn install(&self, meta: &SnapshotMeta, from: SnapshotFile) -> Result<(), QuorumError> {
        let io = &self.journal.io;
        let loaded = snapshot::load(io, &from).await?;
        let mut loader = Loader::default();
        loader.load(&loaded.records, from.end, from.epoch)?;
        let snapshot = if from.is_in_place(&self.journal.dir) {
            from
        } else {
            let position = position_of(meta.last_log_id.as_ref(), &meta.last_membership);
            snapshot::keep(io, &self.journal.dir, from.end, from.epoch, loaded.content, &position).await?
        };
        let delta = MetadataDelta::between(&self.image(), loader.image());
        *self.loader.borrow_mut() = loader;
        *self.applied.borrow_mut() = meta.last_log_id;
        *self.membership.borrow_mut() = meta.last_membership.clone();
        if meta.last_membership.log_id().is_some() {
            let index = meta.last_log_id.map_or(0, |last| last.index());
            self.journal.is_snapped(index, meta.last_membership.membership().clone());
        }
        self.journal.set_snapshot(Snapshot { meta: meta.clone(), snapshot });
        self.publish(&delta);
        Ok(())
    }

    async fn write_snapshot(&self, view: &View) -> Result<Snapshot, QuorumError> {
        let (io, dir) = (&self.journal.io, &self.journal.dir);
        let position = position_of(Some(&view.applied), &view.membership);
        let written = snapshot::write(io, dir, &view.image, self.journal.last_timestamp(), &position).await?;
        tracing::info!(path = %written.path.display(), "wrote a snapshot of the metadata");
        let meta = SnapshotMeta { last_log_id: Some(view.applied), last_membership: view.membership.clone() };
        let snapshot = Snapshot { meta, snapshot: written };
        self.journal.set_snapshot(snapshot.clone());
        self.journal.snapped(view.bytes);
        Ok(snapshot)
    }
}

fn position_of(last: Option<&LogId>, membership: &StoredMembership) -> Position {
    let membership = membership.log_id().is_some().then(|| membership.clone());
    Position { index: last.map_or(0, |last| last.index()), membership }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> IoResult<(Option<LogId>, StoredMembership)> {
        Ok((self.0.applied(), self.0.membership.borrow().clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> IoResult<()>
    where
        S: Stream<Item = IoResult<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let delta = self.0.apply(&entry).map_err(|error| self.0.journal.failed(error))?;
            if let Some(responder) = responder {
                responder.send(Applied { delta });
            }
            self.0.journal.io.yield_if_needed().await;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let view = self.0.view();
        if view.is_none() && (!force || self.0.applied().is_some()) {
            self.0.put_off.notify_all();
            return None;
        }
        Some(SnapshotBuilder { metadata: self.0.clone(), view })
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { metadata: self.0.clone(), view: self.0.view() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> IoResult<()> {
        self.0.install(meta, snapshot).await.map_err(|error| self.0.journal.failed(error))
    }

    async fn get_current_snapshot(&mut self) -> IoResult<Option<Snapshot>> {
        Ok(self.0.journal.snapshot())
    }
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> IoResult<Snapshot> {
        let journal = &self.metadata.journal;
        let Some(view) = &self.view else {
            if self.metadata.applied().is_none() {
                // Of nothing: no file.
                let snapshot = SnapshotFile { end: Offset::ZERO, epoch: 0, path: journal.dir.clone() };
                return Ok(Snapshot { meta: SnapshotMeta::default(), snapshot });
            }
            return Err(journal.failed(journal.invalid("a snapshot of the metadata would not be whole".to_owned())));
        };
        self.metadata.write_snapshot(view).await.map_err(|error| journal.failed(error))
    }
}
