//! Names: opening, listing, renaming, removing, locking. All of it runs on a helper.

use super::super::file::{DirEntry, DiskSpace, FoundFile, OpenOptions, SMALL_FILE};
use super::check;
use super::core::RealCore;
use super::file::RealFile;
use bytes::Bytes;
use std::ffi::CString;
use std::fs;
use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A held lock: an open-file-description lock, which excludes the process-wide locks that Java takes as well, and a second
/// broker in this process. It goes with the descriptor.
pub(in crate::io) struct RealLock {
    _fd: OwnedFd,
}

impl RealCore {
    pub(in crate::io) async fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<RealFile>> {
        let path = path.to_owned();
        let opened = self.blocking(move || {
            fs::OpenOptions::new()
                .read(true)
                .write(options.write)
                .create(options.create && !options.exclusive)
                .create_new(options.create && options.exclusive)
                .truncate(options.truncate)
                .open(path)
        });
        Ok(Arc::new(RealFile::new(opened.await?.into(), self)))
    }

    pub(in crate::io) async fn read_file(&self, path: &Path) -> Result<Bytes> {
        let path = path.to_owned();
        self.blocking(move || fs::read(path).map(Bytes::from)).await
    }

    pub(in crate::io) async fn replace_file(&self, path: &Path, content: Bytes) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || {
            let mut name = path.clone().into_os_string();
            name.push(".tmp");
            let temporary = PathBuf::from(name);
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&content)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, &path)?;
            sync_directory(parent(&path))
        })
        .await
    }

    pub(in crate::io) async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let path = path.to_owned();
        self.blocking(move || {
            let mut entries = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    pub(in crate::io) async fn read_small_files(&self, path: &Path, wanted: fn(&str) -> bool) -> Result<Vec<FoundFile>> {
        let path = path.to_owned();
        self.blocking(move || {
            let mut found = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let is_dir = entry.file_type()?.is_dir();
                let content = if is_dir || !wanted(&name) { None } else { small_content(&entry.path()).ok().flatten() };
                found.push(FoundFile { name, is_dir, content });
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
        .await
    }

    pub(in crate::io) async fn exists(&self, path: &Path) -> Result<bool> {
        let path = path.to_owned();
        self.blocking(move || path.try_exists()).await
    }

    pub(in crate::io) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || fs::create_dir_all(path)).await
    }

    pub(in crate::io) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.blocking(move || fs::rename(from, to)).await
    }

    pub(in crate::io) async fn remove_file(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.toil(move || fs::remove_file(path)).await
    }

    pub(in crate::io) async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.toil(move || fs::remove_dir_all(path)).await
    }

    pub(in crate::io) async fn disk_space(&self, path: &Path) -> Result<DiskSpace> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        self.blocking(move || {
            // SAFETY: plain data, filled by the call below.
            let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
            // SAFETY: the path ends with a zero byte and both outlive the call.
            check(unsafe { libc::statvfs(path.as_ptr(), &raw mut found) })?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Ok(DiskSpace { total: bytes(found.f_blocks), usable: bytes(found.f_bavail) })
        })
        .await
    }

    pub(in crate::io) async fn sync_dir(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || sync_directory(&path)).await
    }

    pub(in crate::io) async fn lock_file(&self, path: &Path) -> Result<Option<RealLock>> {
        let path = path.to_owned();
        self.blocking(move || {
            let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            // SAFETY: plain data, filled in full below.
            let mut whole: libc::flock = unsafe { std::mem::zeroed() };
            whole.l_type = libc::F_WRLCK as libc::c_short;
            whole.l_whence = libc::SEEK_SET as libc::c_short;
            // SAFETY: the descriptor is live and the struct outlives the call.
            match check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const whole) }) {
                Ok(_) => Ok(Some(RealLock { _fd: file.into() })),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// The content of a file unless it is long.
fn small_content(path: &Path) -> Result<Option<Bytes>> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > SMALL_FILE {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(length as usize);
    file.read_to_end(&mut content)?;
    Ok(Some(content.into()))
}

fn sync_directory(path: &Path) -> Result<()> {
    fs::File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The error for a file that ended before bytes that were promised.
pub(super) fn short_file(position: u64) -> Error {
    Error::new(
        std::io::ErrorKind::UnexpectedEof,
        format!("the file ends at or before byte {position}, inside what was to be sent"),
    )
}
