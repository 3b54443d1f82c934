//! A host's disk from outside: what a test reads, checks and damages.

use super::state::{HostId, Shared};
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

/// A look at a host's disk. Paths are the host's own; contents are what a process there would read.
pub struct DiskView {
    shared: Shared,
    host: HostId,
}

impl DiskView {
    pub(super) fn new(shared: Shared, host: HostId) -> Self {
        Self { shared, host }
    }

    /// All files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared.lock().hosts[self.host.0].disk.files(Path::new("/"))
    }

    /// A file's bytes.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut state = self.shared.lock();
        let disk = &mut state.hosts[self.host.0].disk;
        let inode = disk.file(path.as_ref()).ok()?;
        Some(disk.node(inode).live.clone())
    }

    /// Whether the first `len` bytes of a file, and its name, would survive any power loss now.
    pub fn is_synced(&self, path: impl AsRef<Path>, len: u64) -> bool {
        let state = self.shared.lock();
        let disk = &state.hosts[self.host.0].disk;
        disk.file(path.as_ref()).is_ok_and(|inode| disk.is_synced(inode, len) && disk.names_are_synced(path.as_ref()))
    }

    /// Like [`DiskView::is_synced`], for the bytes only.
    pub fn is_data_synced(&self, path: impl AsRef<Path>, len: u64) -> bool {
        let state = self.shared.lock();
        let disk = &state.hosts[self.host.0].disk;
        disk.file(path.as_ref()).is_ok_and(|inode| disk.is_synced(inode, len))
    }

    /// Changes a file's bytes, cache and device alike; false if there is no such file.
    pub fn edit(&self, path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.shared.lock();
        let disk = &mut state.hosts[self.host.0].disk;
        let Ok(inode) = disk.file(path.as_ref()) else { return false };
        let mut content = disk.node(inode).live.clone();
        change(&mut content);
        disk.set_content(inode, content);
        true
    }

    /// Puts a file there, with the directories above it, all of it durable.
    pub fn put(&self, path: impl AsRef<Path>, content: Vec<u8>) {
        let path = path.as_ref();
        let mut state = self.shared.lock();
        let disk = &mut state.hosts[self.host.0].disk;
        if let Some(parent) = path.parent() {
            disk.create_directory(parent).expect("a directory can be made");
        }
        let inode = disk.file(path).or_else(|_| disk.create(path)).expect("its directory is there");
        disk.set_content(inode, content);
        for directory in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            disk.sync_names(directory).expect("it was made above");
        }
    }

    /// Removes a file from cache and device; false if there is no such file.
    pub fn remove(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        let mut state = self.shared.lock();
        let disk = &mut state.hosts[self.host.0].disk;
        disk.remove(path).and_then(|()| disk.sync_names(path.parent().unwrap_or(Path::new("")))).is_ok()
    }

    /// Bytes that the files take.
    pub fn used(&self) -> u64 {
        self.shared.lock().hosts[self.host.0].disk.used()
    }

    /// Copies everything below `from` into a directory of the real machine, for tools that read the format.
    ///
    /// # Errors
    /// Those of the real file system.
    pub fn copy_out(&self, from: impl AsRef<Path>, to: &Path) -> Result<()> {
        let from = from.as_ref();
        for path in self.files() {
            let Ok(rest) = path.strip_prefix(from) else { continue };
            let target = to.join(rest);
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::write(target, self.read(&path).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Copies a directory of the real machine onto the disk, durable.
    ///
    /// # Errors
    /// Those of the real file system.
    pub fn copy_in(&self, from: &Path, to: impl AsRef<Path>) -> Result<()> {
        let to = to.as_ref();
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy_in(&entry.path(), target)?;
            } else {
                self.put(target, fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}
