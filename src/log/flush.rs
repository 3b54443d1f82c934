//! Making records durable. Whoever needs it waits for one `fdatasync` that all share; an error of it is final, since the kernel may
//! have dropped the pages that it could not write.

use super::LogError;
use super::log::LogState;
use super::segment::{LOG_SUFFIX, Segment};
use crate::model::Offset;
use std::rc::Rc;
use std::time::Duration;

/// While this lives, no flush begins.
pub(super) struct FlushesOut<'a>(&'a LogState);

impl Drop for FlushesOut<'_> {
    fn drop(&mut self) {
        self.0.flushing.set(false);
        self.0.flushed.notify_all();
    }
}

impl LogState {
    /// Returns when everything below `up_to` (at most the log end offset) is on the device. Many callers share one `fdatasync`.
    /// A failed one is never retried: the log fails for good.
    ///
    /// # Errors
    /// The device fails, or the log is closed or deleted while this waits.
    pub async fn flush(&self, up_to: Offset) -> Result<(), LogError> {
        // A truncation meanwhile lowers both.
        while self.recovery_point.get() < up_to.min(self.log_end.get()) {
            self.failure.borrow().clone().map_or(Ok(()), Err)?;
            if self.flushing.get() {
                self.flushed.notified().await;
                continue;
            }
            let flushing = self.keep_flushes_out().await;
            // A deletion may have been next in line: the files have other names now, which is no failure of the device.
            if self.closed.get() {
                return Err(LogError::Closed);
            }
            let result = self.sync().await;
            drop(flushing);
            result?;
        }
        Ok(())
    }

    /// Waits for the flush that is under way and lets no other begin: for whoever syncs, or takes segments away.
    pub(super) async fn keep_flushes_out(&self) -> FlushesOut<'_> {
        while self.flushing.get() {
            self.flushed.notified().await;
        }
        self.flushing.set(true);
        FlushesOut(self)
    }

    /// Flushes if `flush.messages` or `flush.ms` say that it is time; called at ticks. Returns whether it flushed.
    pub async fn flush_if_due(&self) -> Result<bool, LogError> {
        let (end, unflushed) = (self.log_end.get(), self.log_end.get().0 - self.recovery_point.get().0);
        let config = self.config();
        let age = self.io.now().since(self.last_flush.get());
        let due = unflushed >= config.flush_messages || age >= Duration::from_millis(config.flush_ms.max(0) as u64);
        if unflushed <= 0 || !due || self.closed.get() {
            return Ok(false);
        }
        self.flush(end).await?;
        Ok(true)
    }

    /// Syncs what lies between recovery point and log end, then moves the recovery point. The log fails for good if the device does. To be
    /// called by whoever keeps flushes out.
    pub(super) async fn sync(&self) -> Result<(), LogError> {
        let synced = self.sync_unflushed().await;
        synced.inspect_err(|error| {
            if error.is_storage() {
                self.fail(error);
            }
        })
    }

    async fn sync_unflushed(&self) -> Result<(), LogError> {
        loop {
            let target = self.log_end.get();
            let active = self.active();
            self.unflushed_bytes.set(0);
            for segment in self.segments_from(self.recovery_point.get()) {
                self.sync_segment(&segment, &active).await?;
            }
            if self.dir_unsynced.replace(false) {
                let synced = self.io.sync_dir(&self.dir()).await;
                synced.inspect_err(|_| self.dir_unsynced.set(true)).map_err(|e| LogError::storage(&self.dir(), "fsync", &e))?;
            }
            // The recovery point may stand at the beginning of a segment only when those before it are synced with their indexes:
            // they are not looked at again.
            if active.base == self.active().base {
                self.recovery_point.set(self.recovery_point.get().max(target));
                self.last_flush.set(self.io.now());
                return Ok(());
            }
        }
    }

    async fn sync_segment(&self, segment: &Rc<Segment>, active: &Rc<Segment>) -> Result<(), LogError> {
        if segment.base != active.base {
            return segment.sync_all(&self.io).await;
        }
        let file = segment.file(&self.io).await?;
        let synced = file.sync_data(&self.io).await;
        if self.io.planted("failed fdatasync ignored") {
            return Ok(());
        }
        synced.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "fdatasync", &e))
    }

    /// Flushes, trims the files, writes the producer snapshot and closes. The log answers [`LogError::Closed`] afterwards.
    pub async fn close(&self) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        if self.closed.get() {
            return Ok(());
        }
        self.check_usable()?;
        let end = self.log_end.get();
        self.active().finish(&self.io).await?;
        let snapshot = self.write_snapshot(end).await?;
        let sync = |e: std::io::Error| LogError::storage(&self.dir(), "fdatasync of a snapshot", &e);
        snapshot.sync_data(&self.io).await.map_err(sync)?;
        self.flush(end).await?;
        self.active().sync_all(&self.io).await?;
        self.io.sync_dir(&self.dir()).await.map_err(|e| LogError::storage(&self.dir(), "fsync", &e))?;
        self.closed.set(true);
        for segment in self.segments.borrow().values() {
            segment.release();
        }
        self.open_segments.borrow_mut().clear();
        Ok(())
    }
}
