//! Files: positioned reads and gathered writes through the page cache, and slices that a socket can send without copying.

use super::Io;
use super::core::Kind;
use super::real::{RealFile, RealLock};
use bytes::Bytes;
use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to open a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Open for writing as well as reading.
    pub write: bool,
    /// Create the file if it is absent.
    pub create: bool,
    /// Fail if it exists already (with `create`).
    pub exclusive: bool,
    /// Cut an existing file to nothing.
    pub truncate: bool,
}

impl OpenOptions {
    /// Reading only.
    pub const READ: Self = Self { write: false, create: false, exclusive: false, truncate: false };
    /// Reading and writing of a file that exists.
    pub const WRITE: Self = Self { write: true, create: false, exclusive: false, truncate: false };
    /// Reading and writing, created if absent, content kept.
    pub const CREATE: Self = Self { write: true, create: true, exclusive: false, truncate: false };
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// File name without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Longest file whose content [`super::Io::read_small_files`] gives.
pub const SMALL_FILE: u64 = 64 << 10;

/// One entry of a directory, with its content if that was wanted and is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// File name without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// What is in it.
    pub content: Option<Bytes>,
}

/// Room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total: u64,
    /// What this process may still take.
    pub usable: u64,
}

/// An open file. Clones share one descriptor, which is closed off the core when the last clone goes; may cross cores.
#[derive(Clone)]
pub struct File {
    pub(super) kind: FileKind,
    /// A sync of it has failed.
    lost: Arc<AtomicBool>,
}

#[derive(Clone)]
pub(super) enum FileKind {
    Real(Arc<RealFile>),
    #[cfg(feature = "sim")]
    Sim(Arc<super::sim::SimFile>),
}

#[cfg(feature = "sim")]
impl From<Arc<super::sim::SimFile>> for File {
    fn from(file: Arc<super::sim::SimFile>) -> Self {
        Self { kind: FileKind::Sim(file), lost: Arc::default() }
    }
}

impl From<Arc<RealFile>> for File {
    fn from(file: Arc<RealFile>) -> Self {
        Self { kind: FileKind::Real(file), lost: Arc::default() }
    }
}

/// Bytes of a file that a socket sends from the page cache; keeps the descriptor open.
#[derive(Clone)]
pub struct FileSlice {
    /// The file.
    pub file: File,
    /// First byte.
    pub position: u64,
    /// Number of bytes; all of them have been written.
    pub len: u64,
    /// The owner knows that the bytes were just written, so they are in the page cache; otherwise the sender asks the kernel.
    pub hot: bool,
}

/// An exclusive lock on a lock file, released on drop.
pub struct FileLock {
    _kind: LockKind,
}

enum LockKind {
    Real {
        _held: RealLock,
    },
    #[cfg(feature = "sim")]
    Sim {
        _held: super::sim::SimLock,
    },
}

#[cfg(feature = "sim")]
impl From<super::sim::SimLock> for FileLock {
    fn from(lock: super::sim::SimLock) -> Self {
        Self { _kind: LockKind::Sim { _held: lock } }
    }
}

impl From<RealLock> for FileLock {
    fn from(lock: RealLock) -> Self {
        Self { _kind: LockKind::Real { _held: lock } }
    }
}

/// Runs a call on the implementation that file and core share.
macro_rules! file_each {
    ($file:expr, $io:expr, $it:ident, $core:ident => $call:expr) => {
        match (&$file.kind, &$io.kind) {
            (FileKind::Real($it), Kind::Real($core)) => $call.await,
            #[cfg(feature = "sim")]
            (FileKind::Sim($it), Kind::Sim($core)) => $call.await,
            #[cfg(feature = "sim")]
            _ => unreachable!("a file of one kind, a core of the other"),
        }
    };
}

impl File {
    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub async fn len(&self, io: &Io) -> Result<u64> {
        file_each!(self, io, it, core => it.len(core))
    }

    /// Reads `len` bytes at `position`; fewer only where the file ends.
    ///
    /// # Errors
    /// The device fails, or a sync has failed before: the kernel may have dropped what it could not write, and tells what was there earlier.
    pub async fn read_at(&self, io: &Io, position: u64, len: usize) -> Result<Bytes> {
        let bytes = file_each!(self, io, it, core => it.read_at(core, position, len))?;
        // Afterwards, since the sync may fail meanwhile.
        self.check_kept()?;
        Ok(bytes)
    }

    /// What was written is what is read: no sync has failed.
    pub(super) fn check_kept(&self) -> Result<()> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Error::other("an earlier fdatasync of this file failed: what it holds is not certain"));
        }
        Ok(())
    }

    /// Writes the pieces one after the other at `position`, in one sequential write (in steps of at most 256 KiB between yields).
    /// On an error an unknown part of them has been written.
    pub async fn write_at(&self, io: &Io, position: u64, pieces: &[Bytes]) -> Result<()> {
        file_each!(self, io, it, core => it.write_at(core, position, pieces))
    }

    /// Returns when all that was written before the call is on the device (`fdatasync`). After an error the kernel may have dropped
    /// the bytes: never call it again in the hope that it succeeds. Nothing is read or sent from the file any more.
    pub async fn sync_data(&self, io: &Io) -> Result<()> {
        let synced = file_each!(self, io, it, core => it.sync_data(core));
        synced.inspect_err(|_| self.lost.store(true, Ordering::Release))
    }

    /// Cuts or extends (with zeros) to `len`.
    pub async fn set_len(&self, io: &Io, len: u64) -> Result<()> {
        file_each!(self, io, it, core => it.set_len(core, len))
    }

    /// Reserves blocks for `len` bytes from `position` without changing the length; not an error where the file system cannot.
    pub async fn preallocate(&self, io: &Io, position: u64, len: u64) -> Result<()> {
        file_each!(self, io, it, core => it.preallocate(core, position, len))
    }
}
