//! What a directory may hold after a stop at any moment, put in order before the log is looked at: deletions are finished, a
//! compaction that had got as far as its swap is completed, one that had not is forgotten.

use super::LogError;
use super::recovery::Loader;
use super::scan::{RECOVERY_CHUNK, Scanner, Step};
use super::segment::{
    DELETED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_path, parse_file_name,
};
use crate::io::OpenOptions;
use crate::model::Offset;
use std::rc::Rc;

pub(super) const CLEANED_SUFFIX: &str = "cleaned";
pub(super) const SWAP_SUFFIX: &str = "swap";
const TEMPORARY_SUFFIX: &str = ".tmp";

impl Loader {
    pub(super) async fn file_names(&self) -> Result<Vec<String>, LogError> {
        if let Some(files) = self.found_files().await? {
            return Ok(files.iter().filter(|file| !file.is_dir).map(|file| file.name.clone()).collect());
        }
        let entries = self.io.read_dir(&self.dir).await.map_err(|e| LogError::storage(&self.dir, "read directory", &e))?;
        Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
    }

    /// Finishes what renames had begun.
    pub(super) async fn complete_swaps(&self) -> Result<(), LogError> {
        let (mut swaps, mut cleaned) = (Vec::new(), Vec::new());
        let mut cleaned_from = Offset(i64::MAX);
        for name in self.file_names().await? {
            let Some((base, suffix)) = parse_file_name(&name) else {
                if name.ends_with(TEMPORARY_SUFFIX) {
                    self.remove_optional(&self.dir.join(&name)).await?;
                }
                continue;
            };
            match suffix.rsplit_once('.') {
                Some((_, CLEANED_SUFFIX)) => {
                    cleaned_from = cleaned_from.min(base);
                    cleaned.push(name);
                }
                Some((_, DELETED_SUFFIX)) => self.remove_optional(&self.dir.join(&name)).await?,
                Some((kind, SWAP_SUFFIX)) => swaps.push((base, kind.to_owned(), name)),
                _ if suffix.ends_with(TEMPORARY_SUFFIX) => self.remove_optional(&self.dir.join(&name)).await?,
                _ => {}
            }
        }
        // A swap that was not whole yet (or a split that was still making its second half): the original is still there. The cleaned
        // files, which tell so, go last.
        let (valid, forgotten): (Vec<_>, Vec<_>) = swaps.into_iter().partition(|&(base, ..)| base < cleaned_from);
        for name in forgotten.into_iter().map(|(_, _, name)| name).chain(cleaned) {
            self.remove_optional(&self.dir.join(name)).await?;
        }
        if valid.is_empty() { Ok(()) } else { self.swap_in(valid).await }
    }

    /// Replaces the segments that the swap files stand for.
    async fn swap_in(&self, swaps: Vec<(Offset, String, String)>) -> Result<(), LogError> {
        self.changing();
        let mut replaced: Vec<(Offset, Offset)> = Vec::new();
        for (base, _, name) in swaps.iter().filter(|(_, kind, _)| kind == LOG_SUFFIX) {
            let path = self.dir.join(name);
            let file = self.io.open(&path, OpenOptions::READ).await.map_err(|e| LogError::storage(&path, "open", &e))?;
            let size = file.len(&self.io).await.map_err(|e| LogError::storage(&path, "stat", &e))?;
            let mut scanner = Scanner::headers(file, 0, size, *base, RECOVERY_CHUNK);
            // An empty one replaces what is at its own name.
            let mut end = base.plus(1);
            while let Step::Batch(batch) = scanner.next(&self.io).await.map_err(|e| LogError::storage(&path, "read", &e))? {
                end = batch.last_offset().plus(1);
            }
            replaced.push((*base, end));
        }
        for name in self.file_names().await? {
            let Some((base, suffix)) = parse_file_name(&name) else { continue };
            let of_a_segment = matches!(suffix, LOG_SUFFIX | INDEX_SUFFIX | TIME_INDEX_SUFFIX | TXN_INDEX_SUFFIX);
            if of_a_segment && replaced.iter().any(|&(from, to)| (from..to).contains(&base)) {
                self.remove_optional(&self.dir.join(&name)).await?;
            }
        }
        for (base, kind, name) in swaps {
            let (from, to) = (self.dir.join(name), file_path(&self.dir, base, &kind));
            self.io.rename(&from, &to).await.map_err(|e| LogError::storage(&from, "rename", &e))?;
        }
        self.io.sync_dir(&self.dir).await.map_err(|e| LogError::storage(&self.dir, "fsync", &e))
    }

    /// The segments that are there, in offset order, with the sizes of their log files. Index files without a log are removed.
    pub(super) async fn find_segments(&self) -> Result<Vec<Rc<Segment>>, LogError> {
        let names = self.file_names().await?;
        let files: Vec<(Offset, &str)> = names.iter().filter_map(|name| parse_file_name(name)).collect();
        let mut segments = Vec::new();
        for &(base, suffix) in &files {
            match suffix {
                LOG_SUFFIX => segments.push(self.find_segment(base).await?),
                INDEX_SUFFIX | TIME_INDEX_SUFFIX | TXN_INDEX_SUFFIX if !files.contains(&(base, LOG_SUFFIX)) => {
                    self.remove_optional(&file_path(&self.dir, base, suffix)).await?;
                }
                _ => {}
            }
        }
        segments.sort_by_key(|segment| segment.base);
        Ok(segments)
    }

    async fn find_segment(&self, base: Offset) -> Result<Rc<Segment>, LogError> {
        let jitter = super::recovery::roll_jitter(&self.io, &self.config);
        let segment = Segment::new(self.dir.clone(), base, 0, self.io.wall_clock_ms(), jitter);
        let file = segment.file(&self.io).await?;
        let size = file.len(&self.io).await.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "stat", &e))?;
        let found = Segment::new(self.dir.clone(), base, size, segment.created_ms, jitter);
        Ok(Rc::new(found))
    }
}
