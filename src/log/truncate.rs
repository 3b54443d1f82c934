//! Making the log shorter at its end, or deleting it.

use super::LogError;
use super::dir::{deleted_dir_name, unique_id};
use super::log::LogState;
use super::recovery::{Found, Loader};
use super::retention::discard;
use super::segment::{LOG_SUFFIX, Segment};
use crate::model::Offset;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

impl LogState {
    /// Cuts everything at and above `offset`, durably; a batch that `offset` lies in goes whole. Returns the new log end offset. The
    /// caller checkpoints the recovery point before anything is appended, since it may have gone back.
    pub async fn truncate_to(&self, offset: Offset) -> Result<Offset, LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        let log_end = self.log_end.get();
        if offset >= log_end {
            // An epoch that was begun here and got no record: the leader that this log follows now may not know it, and would be
            // asked about it forever.
            let before = self.epochs.borrow().clone();
            if self.epochs.borrow_mut().truncate_from_end(log_end) {
                let saved = self.save_epochs().await;
                if saved.is_err() {
                    *self.epochs.borrow_mut() = before;
                }
                saved?;
            }
            return Ok(log_end);
        }
        if offset < self.log_start.get() {
            self.restart_at(offset).await?;
            return Ok(offset);
        }
        let result = self.cut(offset).await;
        if let Err(error) = &result {
            self.fail(error); // Half cut: what is in memory and what is on disk may differ.
        }
        result
    }

    async fn cut(&self, offset: Offset) -> Result<Offset, LogError> {
        let segment = self.segment_of(offset).expect("an offset at or above the log start has a segment");
        let place = self.locate(&segment, offset).await?;
        let _no_flush = self.keep_flushes_out().await;
        let end = place.map_or(offset, |batch| batch.base.min(offset));
        let behind: Vec<_> = self.segments_from(offset).into_iter().filter(|other| other.base > segment.base).collect();
        // All that a read looks at, before anything is waited for: what is cut is not served up to the end of a file that still has it.
        self.log_end.set(end);
        if let Some(batch) = place {
            segment.forget_from(batch.position, batch.base);
        }
        self.recovery_point.set(self.recovery_point.get().min(end));
        self.cleaned.set(self.cleaned.get().map(|cleaned| cleaned.min(end)));
        self.cuts.set(self.cuts.get() + 1);
        // First what lies behind goes, durably: then whatever recovery point a restart finds, it walks the segment that is cut next.
        for other in behind {
            self.segments.borrow_mut().remove(&other.base);
            discard(&self.io, &self.dir(), &other, self.config().file_delete_delay()).await?;
        }
        self.open_segments.borrow_mut().retain(|other| !other.removed.get() && !Rc::ptr_eq(other, &segment));
        self.io.sync_dir(&self.dir()).await.map_err(|e| LogError::storage(&self.dir(), "fsync", &e))?;
        self.reload_active(&segment).await?;
        if self.epochs.borrow_mut().truncate_from_end(end) {
            self.save_epochs().await?;
        }
        self.reload_producers(end).await?;
        Ok(end)
    }

    /// The segment is active (again): indexes in memory, files cut and open.
    async fn reload_active(&self, segment: &Rc<Segment>) -> Result<(), LogError> {
        segment.trim_log(&self.io).await?;
        // What was cut must not come back with a power loss, in front of what is appended from now on. Before the walk, which opens
        // the file anew: an error of an earlier write-back is told only to a file that was open then.
        let path = segment.path(LOG_SUFFIX);
        segment.file(&self.io).await?.sync_data(&self.io).await.map_err(|e| LogError::storage(&path, "fdatasync", &e))?;
        let loader = self.loader();
        let epochs = self.epochs.borrow().clone();
        loader.rescan(segment, epochs).await?;
        segment.open_indexes(&self.io).await
    }

    async fn reload_producers(&self, end: Offset) -> Result<(), LogError> {
        let loader = self.loader();
        for snapshot in loader.snapshots().await?.into_iter().filter(|&snapshot| snapshot > end) {
            loader.remove_snapshot(snapshot).await?;
        }
        let segments: Vec<_> = self.segments.borrow().values().cloned().collect();
        let states = loader.producers_at(end, self.log_start.get(), &segments).await?;
        *self.producers.borrow_mut() = states;
        Ok(())
    }

    /// Drops everything and begins again at `offset`.
    pub async fn truncate_fully_and_start_at(&self, offset: Offset) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        self.restart_at(offset).await
    }

    async fn restart_at(&self, offset: Offset) -> Result<(), LogError> {
        let result = self.try_restart_at(offset).await;
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    async fn try_restart_at(&self, offset: Offset) -> Result<(), LogError> {
        let config = self.config();
        let _no_flush = self.keep_flushes_out().await;
        let old: Vec<_> = self.segments.borrow().values().cloned().collect();
        for segment in &old {
            discard(&self.io, &self.dir(), segment, config.file_delete_delay()).await?;
        }
        let new = Segment::create(&self.io, self.dir(), offset, &config, self.jitter(&config)).await?;
        {
            let mut segments = self.segments.borrow_mut();
            segments.clear();
            segments.insert(offset, Rc::new(new));
        }
        self.open_segments.borrow_mut().clear();
        self.log_start.set(offset);
        self.log_end.set(offset);
        self.recovery_point.set(offset.min(self.recovery_point.get()));
        self.cleaned.set(None);
        self.cuts.set(self.cuts.get() + 1);
        self.io.sync_dir(&self.dir()).await.map_err(|e| LogError::storage(&self.dir(), "fsync", &e))?;
        self.producers.borrow_mut().reset(offset);
        let loader = self.loader();
        for snapshot in loader.snapshots().await? {
            loader.remove_snapshot(snapshot).await?;
        }
        if self.epochs.borrow_mut().clear() {
            self.save_epochs().await?;
        }
        Ok(())
    }

    /// Closes the log without keeping anything and renames its directory to `<topic>-<partition>.<uuid>-delete`; returns the new
    /// path, which [`super::LogDir::remove_later`] removes.
    pub async fn delete(&self) -> Result<PathBuf, LogError> {
        let _turn = self.writer.enter().await;
        if self.closed.replace(true) {
            return Err(LogError::Closed);
        }
        let _no_flush = self.keep_flushes_out().await;
        let dir = self.dir();
        let parent = dir.parent().expect("a partition's directory lies in a log dir");
        let to = parent.join(deleted_dir_name(&self.partition, &unique_id(&self.io)));
        self.io.rename(&dir, &to).await.map_err(|e| LogError::storage(&dir, "rename", &e))?;
        for segment in self.segments.borrow().values() {
            segment.removed.set(true);
            segment.release();
        }
        self.open_segments.borrow_mut().clear();
        self.io.sync_dir(parent).await.map_err(|e| LogError::storage(parent, "fsync", &e))?;
        Ok(to)
    }

    fn loader(&self) -> Loader {
        let (dir, config, gaps_below) = (self.dir(), (*self.config()).clone(), self.gaps_below.get());
        Loader { io: self.io.clone(), dir, config, gaps_below, found: RefCell::new(Found::Changing) }
    }
}
