//! Files and names of a simulated core. Calls take effect at one moment, after a delay; a write may be seen in two parts.

use super::core::SimCore;
use super::disk::{Entry, errno};
use super::options::DiskOp;
use super::rng::{Happened, sum};
use super::state::{HostId, Shared, State};
use crate::io::file::{DirEntry, DiskSpace, FoundFile, OpenOptions, SMALL_FILE};
use bytes::Bytes;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that one write call moves, as on a real core.
const STEP: usize = 256 * 1024;

/// An open file of a simulated host.
pub(in crate::io) struct SimFile {
    shared: Shared,
    pub(super) host: HostId,
    epoch: u64,
    pub(super) inode: u64,
    path: PathBuf,
    writable: bool,
    /// The open files of the core that opened it.
    open_files: Arc<AtomicUsize>,
}

/// A held lock file.
pub(in crate::io) struct SimLock {
    shared: Shared,
    host: HostId,
    epoch: u64,
    path: PathBuf,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.shared.lock();
        let host = &mut state.hosts[self.host.0];
        if host.epoch == self.epoch {
            host.disk.close(self.inode);
        }
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let host = &mut state.hosts[self.host.0];
        if host.epoch == self.epoch {
            host.disk.locks.remove(&self.path);
        }
    }
}

fn path_sum(path: &Path) -> u64 {
    sum(path.as_os_str().as_bytes())
}

impl SimCore {
    /// The planned or drawn failure of a call.
    fn failure(&self, state: &mut State, op: DiskOp, path: &Path) -> Option<Error> {
        let rates = &state.options.disk;
        let rate = match op {
            DiskOp::Read => rates.read_errors,
            DiskOp::Write => rates.write_errors,
            DiskOp::Sync => rates.sync_errors,
            _ => 0,
        };
        let drawn = state.disk_rng.per_million(rate);
        let planned = state.hosts[self.host.0].disk.planned_error(op, path);
        let error = planned.or_else(|| drawn.then(|| errno(5)))?;
        let faults = &mut state.faults;
        let count = match op {
            DiskOp::Read => &mut faults.read_errors,
            DiskOp::Write | DiskOp::Resize => &mut faults.write_errors,
            DiskOp::Sync | DiskOp::SyncNames => &mut faults.sync_errors,
            DiskOp::Open | DiskOp::Name => &mut faults.name_errors,
        };
        *count += 1;
        state.fold(Happened::Failed, &[op as u64, path_sum(path)]);
        Some(error)
    }

    /// A call on names: a delay, then its failure or its effect at one moment.
    async fn names<T>(&self, op: DiskOp, path: &Path, effect: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        let mut state = self.shared.lock();
        if let Some(error) = self.failure(&mut state, op, path) {
            return Err(error);
        }
        let result = effect(&mut state)?;
        state.fold(Happened::Named, &[op as u64, path_sum(path)]);
        Ok(result)
    }

    pub(in crate::io) async fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<SimFile>> {
        let host = self.host.0;
        let inode = self
            .names(DiskOp::Open, path, |state| {
                let disk = &mut state.hosts[host].disk;
                let inode = match disk.file(path) {
                    Ok(_) if options.create && options.exclusive => return Err(ErrorKind::AlreadyExists.into()),
                    Ok(inode) => inode,
                    Err(error) if error.kind() == ErrorKind::NotFound && options.create => disk.create(path)?,
                    Err(error) => return Err(error),
                };
                if options.truncate && options.write {
                    disk.resize(inode, 0);
                }
                disk.open(inode);
                Ok(inode)
            })
            .await?;
        self.open_files.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(SimFile {
            open_files: self.open_files.clone(),
            shared: self.shared.clone(),
            host: self.host,
            epoch: self.epoch,
            inode,
            path: path.to_owned(),
            writable: options.write,
        }))
    }

    pub(in crate::io) async fn read_file(self: &Rc<Self>, path: &Path) -> Result<Bytes> {
        let file = self.open(path, OpenOptions::READ).await?;
        let len = file.len(self).await?;
        file.read_at(self, 0, len as usize).await
    }

    pub(in crate::io) async fn replace_file(self: &Rc<Self>, path: &Path, content: Bytes) -> Result<()> {
        let mut name = path.to_owned().into_os_string();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let options = OpenOptions { write: true, create: true, exclusive: false, truncate: true };
        let file = self.open(&temporary, options).await?;
        if !content.is_empty() {
            file.write_at(self, 0, &[content]).await?;
        }
        file.sync_data(self).await?;
        drop(file);
        self.rename(&temporary, path).await?;
        self.sync_dir(path.parent().unwrap_or(Path::new(""))).await
    }

    pub(in crate::io) async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        self.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        let mut state = self.shared.lock();
        if let Some(error) = self.failure(&mut state, DiskOp::Read, path) {
            return Err(error);
        }
        let disk = &state.hosts[self.host.0].disk;
        let children = disk.children(path)?;
        let is_dir = |entry| matches!(entry, Entry::Directory(_));
        Ok(children.map(|(name, entry)| DirEntry { name: name.to_owned(), is_dir: is_dir(entry) }).collect())
    }

    pub(in crate::io) async fn read_small_files(
        self: &Rc<Self>,
        path: &Path,
        wanted: fn(&str) -> bool,
    ) -> Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        for DirEntry { name, is_dir } in self.read_dir(path).await? {
            let is_wanted = !is_dir && wanted(&name);
            let content = if is_wanted { self.small_content(&path.join(&name)).await.ok().flatten() } else { None };
            found.push(FoundFile { name, is_dir, content });
        }
        Ok(found)
    }

    async fn small_content(self: &Rc<Self>, path: &Path) -> Result<Option<Bytes>> {
        let file = self.open(path, OpenOptions::READ).await?;
        let len = file.len(self).await?;
        if len > SMALL_FILE { Ok(None) } else { file.read_at(self, 0, len as usize).await.map(Some) }
    }

    /// A simulated disk never fills up.
    pub(in crate::io) async fn disk_space(&self, _path: &Path) -> Result<DiskSpace> {
        self.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        Ok(DiskSpace { total: 1 << 40, usable: 1 << 39 })
    }

    pub(in crate::io) async fn exists(&self, path: &Path) -> Result<bool> {
        self.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        Ok(self.shared.lock().hosts[self.host.0].disk.find(path).is_some())
    }

    pub(in crate::io) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        let host = self.host.0;
        self.names(DiskOp::Name, path, |state| state.hosts[host].disk.create_directory(path)).await
    }

    pub(in crate::io) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let host = self.host.0;
        self.names(DiskOp::Name, from, |state| state.hosts[host].disk.rename(from, to)).await
    }

    pub(in crate::io) async fn remove_file(&self, path: &Path) -> Result<()> {
        let host = self.host.0;
        self.names(DiskOp::Name, path, |state| state.hosts[host].disk.remove(path)).await
    }

    pub(in crate::io) async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let host = self.host.0;
        self.names(DiskOp::Name, path, |state| state.hosts[host].disk.remove_tree(path)).await
    }

    pub(in crate::io) async fn sync_dir(&self, path: &Path) -> Result<()> {
        self.delay(sync_time).await;
        let mut state = self.shared.lock();
        if let Some(error) = self.failure(&mut state, DiskOp::SyncNames, path) {
            return Err(error);
        }
        state.hosts[self.host.0].disk.sync_names(path)?;
        state.fold(Happened::SyncedNames, &[path_sum(path)]);
        Ok(())
    }

    pub(in crate::io) async fn lock_file(&self, path: &Path) -> Result<Option<SimLock>> {
        let host = self.host.0;
        let taken = self
            .names(DiskOp::Open, path, |state| {
                let disk = &mut state.hosts[host].disk;
                if disk.file(path).is_err() {
                    disk.create(path)?;
                }
                Ok(disk.locks.insert(path.to_owned()))
            })
            .await?;
        let lock = || SimLock { shared: self.shared.clone(), host: self.host, epoch: self.epoch, path: path.to_owned() };
        Ok(taken.then(lock))
    }
}

fn sync_time(state: &mut State) -> u64 {
    let time = State::draw(&mut state.disk_rng, state.options.disk.sync);
    if state.disk_rng.one_in(50) { time * 10 } else { time }
}

impl SimFile {
    pub(in crate::io) async fn len(&self, _core: &Rc<SimCore>) -> Result<u64> {
        Ok(self.shared.lock().hosts[self.host.0].disk.node(self.inode).live.len() as u64)
    }

    pub(in crate::io) async fn read_at(&self, core: &Rc<SimCore>, position: u64, len: usize) -> Result<Bytes> {
        core.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        let bytes = self.peek(core, position, len)?;
        core.counting.add(|all| all.read_bytes += bytes.len() as u64);
        core.fold(Happened::ReadFile, &[self.inode, position, sum(&bytes)]);
        Ok(bytes)
    }

    /// What stands there now.
    pub(super) fn peek(&self, core: &SimCore, position: u64, len: usize) -> Result<Bytes> {
        let mut state = self.shared.lock();
        if let Some(error) = core.failure(&mut state, DiskOp::Read, &self.path) {
            return Err(error);
        }
        let live = &state.hosts[self.host.0].disk.node(self.inode).live;
        let start = (position as usize).min(live.len());
        let end = start.saturating_add(len).min(live.len());
        Ok(Bytes::copy_from_slice(&live[start..end]))
    }

    pub(in crate::io) async fn write_at(&self, core: &Rc<SimCore>, position: u64, pieces: &[Bytes]) -> Result<()> {
        let mut at = position;
        for step in steps(pieces) {
            if at > position {
                core.yield_if_needed().await;
            }
            // A process can be killed inside a call, and a reader can look into it.
            let cut = {
                let mut state = self.shared.lock();
                if state.disk_rng.one_in(8) { state.disk_rng.below(step.len() as u64) as usize } else { 0 }
            };
            for part in [step.slice(..cut), step.slice(cut..)] {
                if !part.is_empty() {
                    self.write_part(core, at, part.clone())?;
                    at += part.len() as u64;
                    core.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.write)).await;
                }
            }
            core.counting.add(|all| all.write_calls += 1);
        }
        Ok(())
    }

    fn write_part(&self, core: &SimCore, position: u64, mut part: Bytes) -> Result<()> {
        let mut state = self.shared.lock();
        if !self.writable {
            return Err(errno(9)); // EBADF
        }
        let mut failure = core.failure(&mut state, DiskOp::Write, &self.path);
        if failure.is_some() {
            // Often all of it: a device may say no to what it has.
            let len = part.len() as u64;
            let kept = state.disk_rng.below(len + len / 2 + 1);
            part.truncate(kept.min(len) as usize);
        }
        let room = state.hosts[self.host.0].disk.room(self.inode, position, part.len() as u64);
        if room < part.len() as u64 {
            part.truncate(room as usize);
            state.faults.disk_full += 1;
            failure = Some(errno(28)); // ENOSPC
        }
        core.counting.add(|all| all.written_bytes += part.len() as u64);
        state.fold(Happened::Wrote, &[self.inode, position, sum(&part)]);
        if !part.is_empty() {
            state.hosts[self.host.0].disk.write(self.inode, position, part);
        }
        failure.map_or(Ok(()), Err)
    }

    pub(in crate::io) async fn sync_data(&self, core: &Rc<SimCore>) -> Result<()> {
        let mark = self.shared.lock().hosts[self.host.0].disk.mark();
        core.counting.add(|all| all.syncs += 1);
        core.delay(|state| {
            let slowness = state.hosts[self.host.0].disk.slowness(&self.path);
            state.faults.slow_syncs += u64::from(slowness > 0);
            sync_time(state) + slowness
        })
        .await;
        let mut state = self.shared.lock();
        if let Some(error) = core.failure(&mut state, DiskOp::Sync, &self.path) {
            let evict = state.disk_rng.one_in(2);
            state.hosts[self.host.0].disk.lose(self.inode, mark, evict);
            return Err(error);
        }
        state.hosts[self.host.0].disk.sync(self.inode, mark);
        state.fold(Happened::Synced, &[self.inode, mark]);
        Ok(())
    }

    pub(in crate::io) async fn set_len(&self, core: &Rc<SimCore>, len: u64) -> Result<()> {
        core.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        let mut state = self.shared.lock();
        if let Some(error) = core.failure(&mut state, DiskOp::Resize, &self.path) {
            return Err(error);
        }
        if !self.writable {
            return Err(errno(22)); // EINVAL
        }
        state.hosts[self.host.0].disk.resize(self.inode, len);
        state.fold(Happened::Resized, &[self.inode, len]);
        Ok(())
    }

    pub(in crate::io) async fn preallocate(&self, core: &Rc<SimCore>, position: u64, len: u64) -> Result<()> {
        core.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        let mut state = self.shared.lock();
        if let Some(error) = core.failure(&mut state, DiskOp::Resize, &self.path) {
            return Err(error);
        }
        if !state.hosts[self.host.0].disk.reserve(self.inode, position + len) {
            state.faults.disk_full += 1;
            return Err(errno(28));
        }
        Ok(())
    }
}

/// The pieces as the calls of a real core would take them.
fn steps(pieces: &[Bytes]) -> Vec<Bytes> {
    let all: Bytes = match pieces {
        [one] => one.clone(),
        _ => pieces.concat().into(),
    };
    (0..all.len()).step_by(STEP).map(|from| all.slice(from..(from + STEP).min(all.len()))).collect()
}
