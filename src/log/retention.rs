//! Making the log shorter at its head: by age, by size, by DeleteRecords; and removing files without holding anybody up.
//!
//! Files of a segment are renamed to `.deleted` at once and removed `file.delete.delay.ms` later. Plans that were handed out hold
//! descriptors, so they stay good.

use super::LogError;
use super::log::LogState;
use super::segment::{DELETED_SUFFIX, SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, Segment, file_path};
use crate::io::Io;
use crate::model::Offset;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

impl LogState {
    /// Moves the log start offset up (DeleteRecords, or a leader's), after what lies below it has been synced; whole segments below
    /// it go at the next retention pass. The caller has checked it against the high watermark and checkpoints it before it answers.
    /// Returns the log start offset, which never goes back.
    pub async fn delete_records(&self, new_log_start: Offset) -> Result<Offset, LogError> {
        self.check_usable()?;
        let (start, end) = (self.log_start.get(), self.log_end.get());
        if new_log_start > end || new_log_start < Offset::ZERO {
            return Err(LogError::OffsetOutOfRange { offset: new_log_start, start, end });
        }
        self.flush(new_log_start).await?;
        // Looked at again: another call may have been faster.
        if new_log_start > self.log_start.get() && new_log_start <= self.log_end.get() {
            self.log_start.set(new_log_start);
            // The checkpoint of the epochs follows when the segments go; a restart cuts it at the log start offset anyway.
            self.epochs.borrow_mut().truncate_from_start(new_log_start);
            self.producers.borrow_mut().log_start_advanced(new_log_start);
        }
        Ok(self.log_start.get())
    }

    /// Deletes segments by `retention.ms`, `retention.bytes` and log start offset, none that reaches above the high watermark.
    /// Returns how many went.
    pub async fn apply_retention(&self, high_watermark: Offset) -> Result<usize, LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        let config = self.config();
        let mut surplus = match config.retention_bytes {
            limit if limit >= 0 && config.cleanup_policy.delete => self.size() as i64 - limit,
            _ => -1,
        };
        let now_ms = self.io.wall_clock_ms();
        let candidates: Vec<_> = self.segments.borrow().values().cloned().collect();
        let mut going = Vec::new();
        for segment in candidates {
            let end = self.end_of(&segment);
            let is_active = end == self.log_end.get() && segment.base == self.active().base;
            if end > high_watermark || (is_active && segment.size.get() == 0) {
                break;
            }
            let size = segment.size.get() as i64;
            let too_much = surplus >= size && size > 0;
            let below_start = !is_active && end <= self.log_start.get();
            if !too_much && !below_start && !self.is_too_old(&segment, now_ms).await? {
                break;
            }
            surplus -= size;
            going.push(segment);
        }
        let Some(last) = going.last() else { return Ok(0) };
        let new_start = self.end_of(last);
        if last.base == self.active().base {
            self.roll(self.log_end.get(), &config).await?;
        }
        let count = going.len();
        // The log start never gets ahead of what a power loss leaves.
        self.flush(new_start).await?;
        let _no_flush = self.keep_flushes_out().await;
        self.drop_segments(going, new_start).await?;
        Ok(count)
    }

    async fn is_too_old(&self, segment: &Rc<Segment>, now_ms: i64) -> Result<bool, LogError> {
        let config = self.config();
        if config.retention_ms < 0 || !config.cleanup_policy.delete {
            return Ok(false);
        }
        // Without an answer from the clock of the records, the time since the segment was made or found counts.
        let (timestamp, _) = self.largest_timestamp(segment).await?;
        let timestamp = if timestamp >= 0 { timestamp } else { segment.created_ms };
        Ok(now_ms.saturating_sub(timestamp) > config.retention_ms)
    }

    /// Takes segments out of the log, whose start moves up to `new_start`, and their files away.
    async fn drop_segments(&self, going: Vec<Rc<Segment>>, new_start: Offset) -> Result<(), LogError> {
        for segment in &going {
            self.segments.borrow_mut().remove(&segment.base);
            segment.removed.set(true);
        }
        self.open_segments.borrow_mut().retain(|segment| !segment.removed.get());
        let start = self.log_start.get().max(new_start);
        self.log_start.set(start);
        self.epochs.borrow_mut().truncate_from_start(start);
        self.producers.borrow_mut().log_start_advanced(start);
        let delay = self.config().file_delete_delay();
        for segment in &going {
            discard(&self.io, &self.dir(), segment, delay).await?;
        }
        // A power loss may bring segments back as long as this has not happened; their epochs must be known then.
        self.io.sync_dir(&self.dir()).await.map_err(|e| LogError::storage(&self.dir(), "fsync", &e))?;
        self.save_epochs().await
    }
}

/// Renames the files of a segment, with the producer snapshot at its base offset, and removes them after `delay`.
pub(super) async fn discard(io: &Io, dir: &Path, segment: &Segment, delay: Duration) -> Result<(), LogError> {
    segment.removed.set(true);
    segment.release();
    discard_files(io, dir, segment.base, SEGMENT_SUFFIXES.into_iter().chain([SNAPSHOT_SUFFIX]), delay).await
}

/// Renames the files at `base` that have one of the suffixes, and removes them after `delay`.
pub(super) async fn discard_files(
    io: &Io,
    dir: &Path,
    base: Offset,
    suffixes: impl Iterator<Item = &'static str>,
    delay: Duration,
) -> Result<(), LogError> {
    let mut renamed: Vec<PathBuf> = Vec::new();
    for suffix in suffixes {
        let from = file_path(dir, base, suffix);
        let to = file_path(dir, base, &format!("{suffix}.{DELETED_SUFFIX}"));
        match io.rename(&from, &to).await {
            Ok(()) => renamed.push(to),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::storage(&from, "rename", &error)),
        }
    }
    let later = io.clone();
    io.spawn(async move {
        later.sleep(delay).await;
        for path in renamed {
            // Gone already: the log was deleted as a whole.
            if let Err(error) = later.remove_file(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a deleted segment's file");
            }
        }
    });
    Ok(())
}
