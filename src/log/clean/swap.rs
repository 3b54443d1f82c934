//! Putting a cleaned segment in the place of those that it was made of, so that a stop at any moment leaves one or the other.
//!
//! 1. The files of the new segment are on the device, as `.cleaned`. A start removes them.
//! 2. They are renamed to `.swap`, and the directory is synced. As long as one is still `.cleaned`, a start removes both kinds. From
//!    the last rename on, a start goes on where this ended.
//! 3. In memory the new segment takes the place of the old ones, all at once. It is read through the descriptor that it was written
//!    with. Plans that were handed out hold those of the old files.
//! 4. The old files are renamed to `.deleted`.
//! 5. The suffix `.swap` is taken off. The directory is synced before the next swap begins.

use super::output::{self, cleaned_path};
use crate::log::LogError;
use crate::log::log::LogState;
use crate::log::retention::discard_files;
use crate::log::segment::{SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, Segment, file_path};
use crate::log::startup::SWAP_SUFFIX;
use crate::model::Offset;
use std::rc::Rc;

/// An old segment and how large it was when it was read.
pub(super) type Source = (Rc<Segment>, u64);

impl LogState {
    /// Takes `new` into the log instead of `old`, which end before `end`. False, with nothing done, if the old ones are not what they
    /// were: retention came in between, or the log was cut for another time than the `cuts`th.
    pub(super) async fn swap(&self, old: &[Source], new: &Rc<Segment>, end: Offset, cuts: u64) -> Result<bool, LogError> {
        {
            let _turn = self.writer.enter().await;
            self.check_usable()?;
            let _no_flush = self.keep_flushes_out().await;
            if self.cuts.get() != cuts || !self.are_unchanged(old) {
                output::remove(&self.io, &self.dir(), new.base).await?;
                return Ok(false);
            }
            self.rename_to_swap(new).await?;
            self.replace(old, new, end);
            let renamed = self.rename_into_place(old, new).await;
            self.swapping.set(false);
            self.swapped.notify_all();
            renamed.inspect_err(|error| self.fail(error))?;
            self.touch(new);
        }
        // Without the turn: appends need not wait for it.
        self.sync_names().await.map(|()| true)
    }

    /// Nobody knows which names are on a device that fails here, so nothing more may be done to the log.
    async fn sync_names(&self) -> Result<(), LogError> {
        match self.io.sync_dir(&self.dir()).await {
            Err(_) if self.closed.get() => Err(LogError::Closed),
            Err(error) => {
                let error = LogError::storage(&self.dir(), "fsync", &error);
                self.fail(&error);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// The old segments are neighbours in the log, none is active, and none has grown or shrunk.
    fn are_unchanged(&self, old: &[Source]) -> bool {
        let segments = self.segments.borrow();
        let active = self.active().base;
        let first = old.first().expect("a segment is made of others").0.base;
        let there = segments.range(first..).map(|(_, segment)| segment);
        there
            .take(old.len())
            .zip(old)
            .filter(|(there, (segment, size))| {
                Rc::ptr_eq(there, segment) && there.base < active && there.size.get() == *size && !there.removed.get()
            })
            .count()
            == old.len()
    }

    /// Step 2. A rename that fails is undone: with the old segments still there, a swap that a later start completed would be a lie.
    async fn rename_to_swap(&self, new: &Rc<Segment>) -> Result<(), LogError> {
        for suffix in SEGMENT_SUFFIXES {
            let from = cleaned_path(&self.dir(), new.base, suffix);
            let to = file_path(&self.dir(), new.base, &format!("{suffix}.{SWAP_SUFFIX}"));
            let Err(error) = self.io.rename(&from, &to).await else { continue };
            if error.kind() == std::io::ErrorKind::NotFound && suffix == crate::log::segment::TXN_INDEX_SUFFIX {
                continue;
            }
            let error = LogError::storage(&from, "rename", &error);
            self.undo_swap(new.base).await;
            return Err(error);
        }
        // Before the old names go: a power loss that kept only their going would leave a hole.
        self.sync_names().await
    }

    async fn undo_swap(&self, base: Offset) {
        for suffix in SEGMENT_SUFFIXES {
            let path = file_path(&self.dir(), base, &format!("{suffix}.{SWAP_SUFFIX}"));
            if let Err(left) = self.io.remove_file(&path).await
                && left.kind() != std::io::ErrorKind::NotFound
            {
                self.fail(&LogError::storage(&path, "remove", &left));
            }
        }
    }

    /// Step 3. Whoever is in the middle of a look sees by `replacements` that it has to look again.
    fn replace(&self, old: &[Source], new: &Rc<Segment>, end: Offset) {
        self.swapping.set(true);
        self.replacements.set(self.replacements.get() + 1);
        let mut segments = self.segments.borrow_mut();
        for (segment, _) in old {
            segments.remove(&segment.base);
            segment.removed.set(true);
        }
        segments.insert(new.base, new.clone());
        drop(segments);
        self.open_segments.borrow_mut().retain(|segment| !segment.removed.get());
        self.gaps_below.set(self.gaps_below.get().max(end));
    }

    /// Steps 4 and 5.
    async fn rename_into_place(&self, old: &[Source], new: &Rc<Segment>) -> Result<(), LogError> {
        let delay = self.config().file_delete_delay();
        for (segment, _) in old {
            segment.release();
            // The producer snapshot at its base offset is still true of a segment that is there.
            let snapshot = (segment.base != new.base).then_some(SNAPSHOT_SUFFIX);
            discard_files(&self.io, &self.dir(), segment.base, SEGMENT_SUFFIXES.into_iter().chain(snapshot), delay).await?;
        }
        for suffix in SEGMENT_SUFFIXES {
            let from = file_path(&self.dir(), new.base, &format!("{suffix}.{SWAP_SUFFIX}"));
            let to = file_path(&self.dir(), new.base, suffix);
            match self.io.rename(&from, &to).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LogError::storage(&from, "rename", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
