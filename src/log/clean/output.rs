//! The segment that takes the place of others, while it is written: files with the suffix `.cleaned`, which a start removes.

use super::filter::Filtered;
use crate::io::{File, Io, OpenOptions};
use crate::log::offset_index::{OffsetIndex, relative_offset};
use crate::log::segment::{
    INDEX_SUFFIX, LOG_SUFFIX, Located, SEGMENT_SUFFIXES, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_path,
};
use crate::log::startup::CLEANED_SUFFIX;
use crate::log::{AbortedTxn, LogConfig, LogError, txn_index};
use crate::model::Offset;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A segment in the making.
pub(super) struct Output {
    dir: Rc<PathBuf>,
    base: Offset,
    file: File,
    /// Bytes that were written.
    size: u64,
    /// Collects what a segment knows of its batches; its files are not touched.
    notes: Segment,
    index_interval_bytes: u64,
}

/// Path of one of its files.
pub(super) fn cleaned_path(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    file_path(dir, base, &format!("{suffix}.{CLEANED_SUFFIX}"))
}

const NEW: OpenOptions = OpenOptions { write: true, create: true, exclusive: false, truncate: true };

impl Output {
    /// Begins the segment that starts at `base`; what an earlier attempt has left is removed.
    pub(super) async fn create(io: &Io, dir: Rc<PathBuf>, base: Offset, config: &LogConfig) -> Result<Self, LogError> {
        remove(io, &dir, base).await?;
        let path = cleaned_path(&dir, base, LOG_SUFFIX);
        let file = io.open(&path, NEW).await.map_err(|e| LogError::storage(&path, "create", &e))?;
        let notes = Segment::new(dir.clone(), base, 0, 0, 0);
        *notes.index.borrow_mut() = Some(OffsetIndex::default());
        notes.largest_timestamp.set(Some((-1, base)));
        Ok(Self { dir, base, file, size: 0, notes, index_interval_bytes: u64::from(config.index_interval_bytes) })
    }

    /// Writes what is left of a chunk.
    pub(super) async fn append(&mut self, io: &Io, filtered: Filtered) -> Result<(), LogError> {
        if filtered.bytes.is_empty() {
            return Ok(());
        }
        let path = || cleaned_path(&self.dir, self.base, LOG_SUFFIX);
        for batch in &filtered.batches {
            let position = self.size + batch.position;
            // Recompression may make a batch larger than it was, and positions are 32 bits.
            let fits = position + batch.size <= i32::MAX as u64 && relative_offset(batch.last, self.base).is_some();
            if !fits {
                return Err(LogError::corrupt(&path(), format!("no room for the batch at offset {}", batch.base)));
            }
            self.notes.note(Located { position, ..*batch }, self.index_interval_bytes);
        }
        let bytes = Bytes::from(filtered.bytes);
        let written = bytes.len() as u64;
        self.file.write_at(io, self.size, &[bytes]).await.map_err(|e| LogError::storage(&path(), "write", &e))?;
        self.size += written;
        Ok(())
    }

    /// Writes the indexes and syncs everything. The segment is ready to be swapped in; `created_ms` is when its youngest part was made.
    pub(super) async fn finish(self, io: &Io, aborted: &[AbortedTxn], created_ms: i64) -> Result<Rc<Segment>, LogError> {
        let Self { dir, base, file, size, notes, .. } = self;
        notes.note_largest_timestamp();
        let mut index = notes.index.take().expect("set when it was made");
        let mut times = notes.time_index.take();
        let txns: Vec<u8> = aborted.iter().flat_map(txn_index::encode).collect();
        if !io.planted("cleaned segment not flushed") {
            let path = cleaned_path(&dir, base, LOG_SUFFIX);
            file.sync_data(io).await.map_err(|e| LogError::storage(&path, "fdatasync", &e))?;
        }
        for (suffix, content) in
            [(INDEX_SUFFIX, index.pending().1), (TIME_INDEX_SUFFIX, times.pending().1), (TXN_INDEX_SUFFIX, txns)]
        {
            if suffix == TXN_INDEX_SUFFIX && content.is_empty() {
                continue;
            }
            let path = cleaned_path(&dir, base, suffix);
            let file = io.open(&path, NEW).await.map_err(|e| LogError::storage(&path, "create", &e))?;
            if !content.is_empty() {
                file.write_at(io, 0, &[content.into()]).await.map_err(|e| LogError::storage(&path, "write", &e))?;
            }
            file.sync_data(io).await.map_err(|e| LogError::storage(&path, "fdatasync", &e))?;
        }
        index.mark_written(usize::MAX);
        times.mark_written(usize::MAX);
        let segment = Segment::new(dir, base, size, created_ms, 0);
        *segment.index.borrow_mut() = Some(index);
        *segment.time_index.borrow_mut() = times;
        segment.first_timestamp.set(notes.first_timestamp.get());
        segment.largest_timestamp.set(notes.largest_timestamp.get());
        segment.synced.set(true);
        segment.adopt(file);
        Ok(Rc::new(segment))
    }
}

/// Removes the files of an attempt.
pub(super) async fn remove(io: &Io, dir: &Path, base: Offset) -> Result<(), LogError> {
    for suffix in SEGMENT_SUFFIXES {
        let path = cleaned_path(dir, base, suffix);
        match io.remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::storage(&path, "remove", &error));
            }
            _ => {}
        }
    }
    Ok(())
}
