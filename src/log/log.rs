//! The state of one partition's log, and what can be asked of it without touching a file.

use super::epochs::Epochs;
use super::segment::Segment;
use super::{Damage, EpochEndOffset, LogConfig, LogError, SegmentInfo};
use crate::io::{Io, Mono, Notify, Turnstile};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::producer::ProducerStates;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

/// One partition's log on the core that owns it. Clones are the same log; reads plan while an append waits.
///
/// What is durable when: `append` returns when the bytes are in the page cache (they survive SIGKILL); `flush(up_to)` returns when
/// everything below `up_to` is on the device. The recovery point moves only by flush.
#[derive(Clone)]
pub struct Log {
    state: Rc<LogState>,
}

impl std::ops::Deref for Log {
    type Target = LogState;

    fn deref(&self) -> &LogState {
        &self.state
    }
}

/// Is told why the log has failed.
type FailureListener = Box<dyn FnOnce(&LogError)>;

/// What a [`Log`] consists of; only this room sees the fields.
pub struct LogState {
    /// For tasks that outlive the call that starts them.
    this: Weak<LogState>,
    pub(super) io: Io,
    pub(super) partition: TopicPartition,
    pub(super) topic_id: TopicId,
    /// Another one once it has moved.
    dir: RefCell<Rc<PathBuf>>,
    pub(super) config: RefCell<Rc<LogConfig>>,
    /// By base offset; never empty. The last one is active.
    pub(super) segments: RefCell<BTreeMap<Offset, Rc<Segment>>>,
    /// Inactive segments whose descriptors are open, least recently used first.
    pub(super) open_segments: RefCell<VecDeque<Rc<Segment>>>,
    pub(super) log_start: Cell<Offset>,
    pub(super) log_end: Cell<Offset>,
    pub(super) epochs: RefCell<Epochs>,
    /// The checkpoint of the epochs has some that begin at the log end or behind it, which must go before anything is appended.
    pub(super) epochs_unsaved: Cell<bool>,
    pub(super) producers: RefCell<ProducerStates>,
    /// Held by whoever changes the log.
    pub(super) writer: Turnstile,
    pub(super) recovery_point: Cell<Offset>,
    /// Compaction has cleaned everything below.
    pub(super) cleaned: Cell<Option<Offset>>,
    /// Below, offsets may be missing: compaction has been there.
    pub(super) gaps_below: Cell<Offset>,
    /// How often compaction has put a segment in the place of others, or the log has moved.
    pub(super) replacements: Cell<u64>,
    /// How often the log was cut at its end.
    pub(super) cuts: Cell<u64>,
    /// Files of a segment that compaction made are on the way to their names.
    pub(super) swapping: Cell<bool>,
    pub(super) swapped: Notify,
    /// It is being compacted, or looked at for that.
    pub(super) cleaning: Cell<bool>,
    pub(super) cleaning_ended: Notify,
    /// It is on its way to another log dir and is not compacted meanwhile.
    pub(super) moving: Cell<bool>,
    pub(super) flushing: Cell<bool>,
    pub(super) flushed: Notify,
    pub(super) last_flush: Cell<Mono>,
    /// Bytes that were appended since the last flush began.
    pub(super) unflushed_bytes: Cell<u64>,
    /// When it was last written to or read.
    pub(super) last_used: Cell<Mono>,
    /// Files were made since the directory was last synced.
    pub(super) dir_unsynced: Cell<bool>,
    pub(super) failure: RefCell<Option<LogError>>,
    /// Whom the failure is told, once.
    on_failure: RefCell<Option<FailureListener>>,
    /// Committed records that are missing, if it is known of any.
    pub(super) damage: RefCell<Option<Rc<Damage>>>,
    pub(super) closed: Cell<bool>,
}

/// What recovery found, and a log begins with.
pub(super) struct Recovered {
    pub(super) segments: BTreeMap<Offset, Rc<Segment>>,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) recovery_point: Offset,
    pub(super) cleaned: Option<Offset>,
    pub(super) epochs: Epochs,
    pub(super) epochs_unsaved: bool,
    pub(super) producers: ProducerStates,
    pub(super) damage: Option<Damage>,
}

impl Log {
    pub(super) fn assemble(
        io: Io,
        partition: TopicPartition,
        topic_id: TopicId,
        dir: Rc<PathBuf>,
        config: LogConfig,
        recovered: Recovered,
    ) -> Self {
        assert!(!recovered.segments.is_empty(), "a log has a segment");
        assert!(recovered.log_start <= recovered.log_end, "a log does not start behind its end");
        let now = io.now();
        let state = Rc::new_cyclic(|this| LogState {
            this: this.clone(),
            io,
            partition,
            topic_id,
            dir: RefCell::new(dir),
            config: RefCell::new(Rc::new(config)),
            segments: RefCell::new(recovered.segments),
            open_segments: RefCell::new(VecDeque::new()),
            log_start: Cell::new(recovered.log_start),
            log_end: Cell::new(recovered.log_end),
            epochs: RefCell::new(recovered.epochs),
            epochs_unsaved: Cell::new(recovered.epochs_unsaved),
            producers: RefCell::new(recovered.producers),
            writer: Turnstile::default(),
            recovery_point: Cell::new(recovered.recovery_point),
            cleaned: Cell::new(recovered.cleaned.filter(|&offset| offset <= recovered.log_end)),
            gaps_below: Cell::new(recovered.cleaned.unwrap_or(Offset::ZERO)),
            replacements: Cell::new(0),
            cuts: Cell::new(0),
            swapping: Cell::new(false),
            swapped: Notify::new(),
            cleaning: Cell::new(false),
            cleaning_ended: Notify::new(),
            moving: Cell::new(false),
            flushing: Cell::new(false),
            flushed: Notify::new(),
            last_flush: Cell::new(now),
            unflushed_bytes: Cell::new(0),
            last_used: Cell::new(now),
            dir_unsynced: Cell::new(true),
            failure: RefCell::new(None),
            on_failure: RefCell::new(None),
            damage: RefCell::new(recovered.damage.map(Rc::new)),
            closed: Cell::new(false),
        });
        Self { state }
    }
}

impl LogState {
    pub(super) fn clone_handle(&self) -> Log {
        Log { state: self.this.upgrade().expect("whoever calls holds the log") }
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Id of the topic.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Its directory; another one once it has moved.
    pub fn dir(&self) -> Rc<PathBuf> {
        self.dir.borrow().clone()
    }

    /// All of the log is on the device in `dir` too, and that is where it is from here on. Whoever is in the middle of a look looks again,
    /// and what is open of the old files is closed. Only for whoever has paused the log.
    pub(super) fn moved(&self, dir: PathBuf) {
        let (dir, active) = (Rc::new(dir), self.active().base);
        for segment in self.segments.borrow().values() {
            segment.moved(dir.clone(), segment.base == active);
        }
        self.open_segments.borrow_mut().clear();
        *self.dir.borrow_mut() = dir;
        self.replacements.set(self.replacements.get() + 1);
        self.recovery_point.set(self.log_end.get());
        self.last_flush.set(self.io.now());
        self.epochs_unsaved.set(false);
        self.dir_unsynced.set(true);
    }

    /// Current topic configuration.
    pub fn config(&self) -> Rc<LogConfig> {
        self.config.borrow().clone()
    }

    /// Takes a changed topic configuration into use.
    pub fn set_config(&self, config: LogConfig) {
        *self.config.borrow_mut() = Rc::new(config);
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start.get()
    }

    /// Offset behind the last record that was written. Moves after the write.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end.get()
    }

    /// Everything below is on the device.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point.get()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.borrow().values().map(|segment| segment.size.get()).sum()
    }

    /// The segments in offset order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Rc<Segment>| SegmentInfo {
            base_offset: segment.base,
            bytes: segment.size.get(),
            max_timestamp: segment.largest_timestamp.get().map_or(-1, |(timestamp, _)| timestamp),
        };
        self.segments.borrow().values().map(info).collect()
    }

    /// State of the idempotent producers. The partition judges a batch with [`ProducerStates::check`] and enters it tentatively with
    /// [`ProducerStates::append`] before [`Log::append`]; the log commits it when the write has ended and rolls everything tentative
    /// back when an append has failed, so nobody else calls `commit` or `rollback`. Never keep the borrow across an await.
    pub fn producers(&self) -> &RefCell<ProducerStates> {
        &self.producers
    }

    /// Why the log takes no more appends, if the device failed.
    pub fn failure(&self) -> Option<LogError> {
        self.failure.borrow().clone()
    }

    /// Tells `listener` if the log fails, soon after: a flush in the background may be all that learns of it.
    pub fn on_failure(&self, listener: impl FnOnce(&LogError) + 'static) {
        *self.on_failure.borrow_mut() = Some(Box::new(listener));
        self.tell_failure();
    }

    /// The device failed in a way after which nothing is certain: no more appends, no more flushes, no more reads.
    pub(super) fn fail(&self, error: &LogError) {
        let mut failure = self.failure.borrow_mut();
        if failure.is_some() {
            return;
        }
        tracing::error!(partition = %self.partition, %error, "the log has failed and takes no more records");
        *failure = Some(error.clone());
        drop(failure);
        self.tell_failure();
    }

    fn tell_failure(&self) {
        let Some(error) = self.failure() else { return };
        if let Some(listener) = self.on_failure.take() {
            // Not in the middle of what has failed.
            self.io.spawn(async move { listener(&error) });
        }
    }

    /// Neither closed nor failed.
    pub(super) fn check_usable(&self) -> Result<(), LogError> {
        if self.closed.get() {
            return Err(LogError::Closed);
        }
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    pub(super) fn active(&self) -> Rc<Segment> {
        self.segments.borrow().last_key_value().expect("a log has a segment").1.clone()
    }

    /// The segment that holds `offset`, if any does.
    pub(super) fn segment_of(&self, offset: Offset) -> Option<Rc<Segment>> {
        self.segments.borrow().range(..=offset).next_back().map(|(_, segment)| segment.clone())
    }

    /// The segment behind the one that begins at `base`.
    pub(super) fn segment_after(&self, base: Offset) -> Option<Rc<Segment>> {
        let behind = (std::ops::Bound::Excluded(base), std::ops::Bound::Unbounded);
        self.segments.borrow().range(behind).next().map(|(_, segment)| segment.clone())
    }

    /// How often compaction has put a segment in the place of others, or the log has moved. Two looks at a log that have to fit together are to be repeated
    /// if this has changed in between.
    pub fn replacements(&self) -> u64 {
        self.replacements.get()
    }

    /// Looks again where compaction has replaced segments, or the log has moved, in the middle of a look.
    pub(super) async fn consistent<T>(&self, look: impl AsyncFn() -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let before = self.replacements.get();
            let seen = look().await;
            if self.replacements.get() == before {
                return seen;
            }
        }
    }

    /// First offset behind `segment`: the next one's base offset, or the log end offset.
    pub(super) fn end_of(&self, segment: &Segment) -> Offset {
        self.segment_after(segment.base).map_or(self.log_end.get(), |next| next.base)
    }

    /// All segments from the one that holds `offset` on.
    pub(super) fn segments_from(&self, offset: Offset) -> Vec<Rc<Segment>> {
        let segments = self.segments.borrow();
        let from = segments.range(..=offset).next_back().map_or(Offset::ZERO, |(&base, _)| base);
        segments.range(from..).map(|(_, segment)| segment.clone()).collect()
    }

    /// Epoch of the last batch (or assigned since); -1 if there is none.
    pub fn latest_epoch(&self) -> LeaderEpoch {
        self.epochs.borrow().latest()
    }

    /// Epoch of the batch at `offset`; -1 if unknown.
    pub fn epoch_for_offset(&self, offset: Offset) -> LeaderEpoch {
        self.epochs.borrow().at(offset)
    }

    /// Where `epoch` ends (KIP-101, KIP-279).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochEndOffset {
        self.epochs.borrow().end_offset(epoch, self.log_end.get())
    }

    /// Where `epoch` begins, if it is known.
    pub fn epoch_start_offset(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.epochs.borrow().entries().iter().find(|&&(other, _)| other == epoch).map(|&(_, start)| start)
    }

    /// A leader enters its epoch at the log end offset, before its first append.
    pub async fn assign_epoch_start(&self, epoch: LeaderEpoch, start: Offset) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        self.assign_epoch(epoch, start).await
    }

    pub(super) async fn assign_epoch(&self, epoch: LeaderEpoch, start: Offset) -> Result<(), LogError> {
        let before = self.epochs.borrow().clone();
        if !self.epochs.borrow_mut().assign(epoch, start) {
            return Ok(());
        }
        // The checkpoint knows of an epoch before the log does: recovery relies on it.
        let saved = self.save_epochs().await;
        if saved.is_err() {
            *self.epochs.borrow_mut() = before;
        }
        saved
    }

    pub(super) async fn save_epochs(&self) -> Result<(), LogError> {
        let content = super::checkpoint::format_epochs(self.epochs.borrow().entries());
        let path = self.dir().join(super::checkpoint::EPOCH_FILE);
        self.io.replace_file(&path, content.into()).await.map_err(|e| LogError::storage(&path, "replace", &e))?;
        self.epochs_unsaved.set(false);
        Ok(())
    }
}
