//! Giving a log's descriptors back: a broker may have many more partitions than a process may have files open.
//!
//! A log opens the files that it needs when it needs them, so any log can be put to rest at any time between two appends. Nothing is
//! closed that is not on the device: the kernel tells a failed write-back to each file that was open then, and an `fdatasync` of one
//! that is opened later may say that all is well.

use super::LogError;
use super::log::LogState;
use crate::io::Mono;
use std::time::Duration;

/// How long an append waits for descriptors at most; then it tries, and may fail.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const WAIT_STEP: Duration = Duration::from_millis(10);

impl LogState {
    /// Files that this log has open; slices that were handed out keep theirs beside them.
    pub fn open_files(&self) -> usize {
        let inactive: usize = self.open_segments.borrow().iter().map(|segment| segment.open_files()).sum();
        self.active().open_files() + inactive
    }

    /// When it was last written to or read.
    pub fn last_used(&self) -> Mono {
        self.last_used.get()
    }

    /// Waits, for a while, until others were put to rest if this core has many more files open than is its share: a burst of first
    /// appends opens faster than a device syncs.
    pub(super) async fn wait_for_descriptors(&self) {
        let until = self.io.now().after(LONGEST_WAIT);
        let share = self.io.open_files_share();
        while self.io.open_files() > share + share / 2 && self.io.now() < until {
            self.io.sleep(WAIT_STEP).await;
        }
    }

    /// Closes all its files, after syncing what is not on the device yet: the recovery point may have moved when this returns. The next
    /// append or read opens what it needs.
    ///
    /// # Errors
    /// The device fails, or the log has failed or is closed already.
    pub async fn rest(&self) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        if self.open_files() == 0 {
            return Ok(());
        }
        let active = self.active();
        active.write_indexes(&self.io, true).await?;
        // With the turn taken nothing is appended meanwhile.
        self.flush(self.log_end.get()).await?;
        let _no_flush = self.keep_flushes_out().await;
        let synced = active.sync_indexes(&self.io).await;
        synced.inspect_err(|error| self.fail(error))?;
        active.close_files();
        for segment in self.open_segments.borrow_mut().drain(..) {
            segment.release();
        }
        Ok(())
    }
}
