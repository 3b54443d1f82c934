//! Files: positioned reads and gathered writes through the page cache, and slices that a socket can send without copying.

use super::Io;
use bytes::Bytes;
use std::io::Result;

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

/// An open file. Clones share one descriptor, which is closed off the core when the last clone goes; may cross cores.
#[derive(Clone)]
pub struct File {
    _todo: std::sync::Arc<()>,
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
    _todo: (),
}

impl File {
    /// Length in bytes.
    pub async fn len(&self, io: &Io) -> Result<u64> {
        let _ = io;
        todo!()
    }

    /// Reads `len` bytes at `position`; fewer only where the file ends.
    pub async fn read_at(&self, io: &Io, position: u64, len: usize) -> Result<Bytes> {
        let _ = (io, position, len);
        todo!()
    }

    /// Writes the pieces one after the other at `position`, in one sequential write (in steps of at most 256 KiB between yields).
    /// On an error an unknown part of them has been written.
    pub async fn write_at(&self, io: &Io, position: u64, pieces: &[Bytes]) -> Result<()> {
        let _ = (io, position, pieces);
        todo!()
    }

    /// Returns when all that was written before the call is on the device (`fdatasync`). After an error the kernel may have dropped
    /// the bytes: never call it again in the hope that it succeeds.
    pub async fn sync_data(&self, io: &Io) -> Result<()> {
        let _ = io;
        todo!()
    }

    /// Cuts or extends (with zeros) to `len`.
    pub async fn set_len(&self, io: &Io, len: u64) -> Result<()> {
        let _ = (io, len);
        todo!()
    }

    /// Reserves blocks for `len` bytes from `position` without changing the length; not an error where the file system cannot.
    pub async fn preallocate(&self, io: &Io, position: u64, len: u64) -> Result<()> {
        let _ = (io, position, len);
        todo!()
    }
}
