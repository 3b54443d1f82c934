//! Making records durable. Whoever needs it waits for one `fdatasync` that all share; an error of it is final, since the kernel may
//! have dropped the pages that it could not write.

use super::LogError;
use super::log::LogState;
use super::segment::{LOG_SUFFIX, Segment};
use crate::model::Offset;
use std::rc::Rc;
use std::time::Duration;

impl LogState {
    /// Returns when everything below `up_to` (at most the log end offset) is on the device. Many callers share one `fdatasync`.
    /// A failed one is never retried: the log fails for good.
    pub async fn flush(&self, up_to: Offset) -> Result<(), LogError> {
        let up_to = up_to.min(self.log_end.get());
        let truncations = self.truncations.get();
        while self.recovery_point.get() < up_to {
            self.failure.borrow().clone().map_or(Ok(()), Err)?;
            if self.truncations.get() != truncations && self.log_end.get() < up_to {
                return Ok(()); // Cut meanwhile: nothing is left to sync.
            }
            if self.flushing.get() {
                self.flushed.notified().await;
                continue;
            }
            self.flushing.set(true);
            let result = self.sync().await;
            self.flushing.set(false);
            if let Err(error) = &result {
                self.fail(error);
            }
            self.flushed.notify_all();
            result?;
        }
        Ok(())
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

    /// Syncs what lies between recovery point and log end, then moves the recovery point.
    async fn sync(&self) -> Result<(), LogError> {
        let truncations = self.truncations.get();
        loop {
            let target = self.log_end.get();
            let active = self.active();
            for segment in self.segments_from(self.recovery_point.get()) {
                self.sync_segment(&segment, &active).await?;
            }
            if self.dir_unsynced.replace(false) {
                self.io.sync_dir(&self.dir).await.map_err(|e| LogError::storage(&self.dir, "fsync", &e))?;
            }
            if self.truncations.get() != truncations {
                return Ok(()); // The caller looks again.
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
        file.sync_data(&self.io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "fdatasync", &e))
    }

    /// Flushes, trims the files, writes the producer snapshot and closes. The log answers [`LogError::Closed`] afterwards.
    pub async fn close(&self) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        if self.closed.get() {
            return Ok(());
        }
        self.check_writable()?;
        let config = self.config();
        let end = self.log_end.get();
        self.active().finish(&self.io, &config).await?;
        let snapshot = self.write_snapshot(end).await?;
        let sync = |e: std::io::Error| LogError::storage(&self.dir, "fdatasync of a snapshot", &e);
        snapshot.sync_data(&self.io).await.map_err(sync)?;
        self.flush(end).await?;
        self.active().sync_all(&self.io).await?;
        self.io.sync_dir(&self.dir).await.map_err(|e| LogError::storage(&self.dir, "fsync", &e))?;
        self.closed.set(true);
        for segment in self.segments.borrow().values() {
            segment.release();
        }
        self.open_segments.borrow_mut().clear();
        Ok(())
    }
}
