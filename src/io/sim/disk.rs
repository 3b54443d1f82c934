//! A host's disk behind its page cache: what the process sees (`live`), and what a power loss leaves (`durable` and a choice of what
//! is pending).
//!
//! Legal faults:
//! - A killed process loses nothing that a write call has taken.
//! - At a power loss each unsynced write may be kept, lost, or torn at sectors of 512 bytes, whatever happened to earlier and later
//!   ones; where an extension survives without its bytes, zeros stand there. Among writes of the same bytes a later one wins if kept.
//! - Unsynced creations, renames and removals of one directory survive up to some point in their order; directories are independent.
//!   Syncing a file does not make its name durable.
//! - A failed sync loses what was dirty: the bytes may still be read for a while, but no later sync writes them.
//! - A failed write has written a prefix. A full disk takes a prefix of a write.
//! - Synced bytes and names stay. Bits do not rot by themselves ([`super::DiskView::edit`] does that).

use super::options::{DiskFault, DiskOp, Faults};
use super::rng::Rng;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::path::{Component, Path, PathBuf};

const SECTOR: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory(u64),
    File(u64),
}

/// The directory at the top.
const ROOT: u64 = 0;

#[derive(Clone)]
enum Change {
    Write { position: u64, data: Bytes },
    Resize(u64),
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Unsynced changes, each with its number.
    pending: Vec<(u64, Change)>,
    opens: u64,
    reserved: u64,
}

/// A name in a directory.
type Name = (u64, String);
type Names = BTreeMap<Name, Entry>;

enum NameChange {
    Link(Name, Entry),
    Move(Name, Name, Entry),
    Unlink(Name),
}

pub(super) struct Disk {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) live: Names,
    pub(super) durable: Names,
    pending_names: Vec<NameChange>,
    /// Lock files that are held.
    pub(super) locks: BTreeSet<PathBuf>,
    pub(super) planned: Vec<DiskFault>,
    /// Syncs of paths that contain the text take so many nanoseconds more.
    pub(super) slow: Option<(String, u64)>,
    /// There may be nodes that nothing leads to.
    litter: bool,
    next_inode: u64,
    next_change: u64,
    pub(super) capacity: u64,
}

pub(super) fn errno(number: i32) -> Error {
    Error::from_raw_os_error(number)
}

fn put(content: &mut Vec<u8>, position: u64, data: &[u8]) {
    let (start, end) = (position as usize, position as usize + data.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(data);
}

/// The parts of a path below the top.
fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_str().expect("paths are UTF-8")),
        _ => None,
    })
}

fn find(names: &Names, path: &Path) -> Option<Entry> {
    parts(path).try_fold(Entry::Directory(ROOT), |at, name| match at {
        Entry::Directory(inode) => names.get(&(inode, name.to_owned())).copied(),
        Entry::File(_) => None,
    })
}

impl NameChange {
    fn touches(&self, directory: u64) -> bool {
        match self {
            Self::Link(name, _) | Self::Unlink(name) => name.0 == directory,
            Self::Move(from, to, _) => from.0 == directory || to.0 == directory,
        }
    }

    fn directories(&self) -> BTreeSet<u64> {
        match self {
            Self::Link(name, _) | Self::Unlink(name) => BTreeSet::from([name.0]),
            Self::Move(from, to, _) => BTreeSet::from([from.0, to.0]),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link(name, entry) => {
                names.insert(name.clone(), *entry);
            }
            Self::Move(from, to, entry) => {
                if names.get(from) == Some(entry) {
                    names.remove(from);
                }
                names.insert(to.clone(), *entry);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            nodes: BTreeMap::new(),
            live: Names::new(),
            durable: Names::new(),
            pending_names: Vec::new(),
            locks: BTreeSet::new(),
            planned: Vec::new(),
            slow: None,
            litter: false,
            next_inode: ROOT,
            next_change: 1,
            capacity,
        }
    }

    /// The error that was planned for this call, if it is its turn.
    pub(super) fn planned_error(&mut self, op: DiskOp, path: &Path) -> Option<Error> {
        let text = path.to_string_lossy();
        for fault in &mut self.planned {
            if fault.op != op || fault.times == 0 || !text.contains(&fault.path_contains) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times -= 1;
            return Some(errno(fault.errno));
        }
        None
    }

    /// How much longer a sync of `path` takes than on a good day.
    pub(super) fn slowness(&self, path: &Path) -> u64 {
        let slow = self.slow.as_ref().filter(|(text, _)| path.to_string_lossy().contains(text));
        slow.map_or(0, |(_, time)| *time)
    }

    // ---- names -----------------------------------------------------------------------------------------------------------------

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending_names.push(change);
    }

    pub(super) fn find(&self, path: &Path) -> Option<Entry> {
        find(&self.live, path)
    }

    pub(super) fn file(&self, path: &Path) -> Result<u64> {
        match self.find(path) {
            Some(Entry::File(inode)) => Ok(inode),
            Some(Entry::Directory(_)) => Err(errno(21)), // EISDIR
            None => Err(errno(2)),                       // ENOENT
        }
    }

    fn directory(&self, path: &Path) -> Result<u64> {
        match self.find(path) {
            Some(Entry::Directory(inode)) => Ok(inode),
            Some(Entry::File(_)) => Err(errno(20)), // ENOTDIR
            None => Err(errno(2)),
        }
    }

    /// The name that a path stands for, in a directory that is there.
    fn name(&self, path: &Path) -> Result<Name> {
        let last = parts(path).last().ok_or_else(|| errno(22))?; // EINVAL
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, last.to_owned()))
    }

    fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    pub(super) fn create(&mut self, path: &Path) -> Result<u64> {
        let name = self.name(path)?;
        let inode = self.new_inode();
        self.nodes.insert(inode, Node::default());
        self.change_names(NameChange::Link(name, Entry::File(inode)));
        Ok(inode)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> Result<()> {
        match self.find(path) {
            Some(Entry::File(_)) => Err(errno(17)), // EEXIST
            Some(Entry::Directory(_)) => Ok(()),
            None => {
                self.create_directory(path.parent().unwrap_or(Path::new("")))?;
                let name = self.name(path)?;
                let inode = self.new_inode();
                self.change_names(NameChange::Link(name, Entry::Directory(inode)));
                Ok(())
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let entry = self.find(from).ok_or_else(|| errno(2))?;
        let (old, new) = (self.name(from)?, self.name(to)?);
        match (entry, self.find(to)) {
            (Entry::File(_), Some(Entry::Directory(_))) => return Err(errno(21)),
            (Entry::Directory(_), Some(Entry::File(_))) => return Err(errno(20)),
            (Entry::Directory(_), Some(Entry::Directory(_))) if self.children(to)?.next().is_some() => {
                return Err(errno(39)); // ENOTEMPTY
            }
            _ => {}
        }
        if old != new {
            self.change_names(NameChange::Move(old, new, entry));
            self.forget();
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        self.file(path)?;
        let name = self.name(path)?;
        self.change_names(NameChange::Unlink(name));
        self.forget();
        Ok(())
    }

    /// Removes a directory and all in it, the deepest first.
    pub(super) fn remove_tree(&mut self, path: &Path) -> Result<()> {
        let below: Vec<(PathBuf, Entry)> = self.children(path)?.map(|(name, entry)| (path.join(name), entry)).collect();
        for (path, entry) in below {
            match entry {
                Entry::Directory(_) => self.remove_tree(&path)?,
                Entry::File(_) => self.remove(&path)?,
            }
        }
        let name = self.name(path)?;
        self.change_names(NameChange::Unlink(name));
        Ok(())
    }

    /// Names in a directory, in order.
    pub(super) fn children(&self, path: &Path) -> Result<impl Iterator<Item = (&str, Entry)>> {
        let inode = self.directory(path)?;
        let range = (inode, String::new())..(inode + 1, String::new());
        Ok(self.live.range(range).map(|((_, name), entry)| (name.as_str(), *entry)))
    }

    /// All files below a directory, in order.
    pub(super) fn files(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (name, entry) in self.children(path).into_iter().flatten() {
            match entry {
                Entry::Directory(_) => found.append(&mut self.files(&path.join(name))),
                Entry::File(_) => found.push(path.join(name)),
            }
        }
        found
    }

    /// Makes the names of one directory durable, in their order.
    pub(super) fn sync_names(&mut self, path: &Path) -> Result<()> {
        let inode = self.directory(path)?;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending_names).into_iter().partition(|change| change.touches(inode));
        self.pending_names = later;
        for change in now {
            change.apply(&mut self.durable);
        }
        self.forget();
        Ok(())
    }

    pub(super) fn names_are_synced(&self, path: &Path) -> bool {
        find(&self.durable, path) == self.find(path)
    }

    // ---- contents --------------------------------------------------------------------------------------------------------------

    pub(super) fn node(&mut self, inode: u64) -> &mut Node {
        self.nodes.get_mut(&inode).expect("a node lives as long as a name or a descriptor")
    }

    pub(super) fn open(&mut self, inode: u64) {
        self.node(inode).opens += 1;
    }

    pub(super) fn close(&mut self, inode: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.opens = node.opens.saturating_sub(1);
            if node.opens == 0 {
                self.forget();
            }
        }
    }

    /// A name or a descriptor is gone. What it led to is dropped when somebody counts: looking for it each time would cost more than
    /// all else that a world does.
    fn forget(&mut self) {
        self.litter = true;
    }

    /// Drops nodes that neither a name nor a descriptor leads to.
    fn sweep(&mut self) {
        if !std::mem::take(&mut self.litter) {
            return;
        }
        let mut named = BTreeSet::new();
        for entry in self.live.values().chain(self.durable.values()) {
            named.extend(if let Entry::File(inode) = entry { Some(*inode) } else { None });
        }
        for change in &self.pending_names {
            named.extend(match change {
                NameChange::Link(_, Entry::File(inode)) | NameChange::Move(_, _, Entry::File(inode)) => Some(*inode),
                _ => None,
            });
        }
        self.nodes.retain(|inode, node| node.opens > 0 || named.contains(inode));
    }

    fn change(&mut self, inode: u64, change: Change) {
        let number = self.next_change;
        self.next_change += 1;
        self.node(inode).pending.push((number, change));
    }

    pub(super) fn used(&mut self) -> u64 {
        self.sweep();
        self.nodes.values().map(|node| (node.live.len() as u64).max(node.reserved)).sum()
    }

    fn free(&mut self) -> u64 {
        if self.capacity == u64::MAX { u64::MAX } else { self.capacity.saturating_sub(self.used()) }
    }

    /// How much of a write the disk has room for.
    pub(super) fn room(&mut self, inode: u64, position: u64, len: u64) -> u64 {
        let free = self.free();
        let node = &self.nodes[&inode];
        let has = (node.live.len() as u64).max(node.reserved);
        has.max(position).saturating_add(free).saturating_sub(position).min(len)
    }

    pub(super) fn write(&mut self, inode: u64, position: u64, data: Bytes) {
        put(&mut self.node(inode).live, position, &data);
        self.change(inode, Change::Write { position, data });
    }

    pub(super) fn resize(&mut self, inode: u64, len: u64) {
        let node = self.node(inode);
        node.live.resize(len as usize, 0);
        node.reserved = node.reserved.min(len);
        self.change(inode, Change::Resize(len));
    }

    /// Reserves room; false when the disk is full.
    pub(super) fn reserve(&mut self, inode: u64, end: u64) -> bool {
        let free = self.free();
        let node = &self.nodes[&inode];
        let has = (node.live.len() as u64).max(node.reserved);
        if end.saturating_sub(has) > free {
            return false;
        }
        let node = self.node(inode);
        node.reserved = node.reserved.max(end);
        true
    }

    /// The number of the newest change, for [`Disk::sync`].
    pub(super) fn mark(&self) -> u64 {
        self.next_change
    }

    /// Makes the changes before `mark` durable.
    pub(super) fn sync(&mut self, inode: u64, mark: u64) {
        let Some(node) = self.nodes.get_mut(&inode) else { return };
        let done = node.pending.partition_point(|(number, _)| *number < mark);
        for (_, change) in node.pending.drain(..done) {
            match change {
                Change::Write { position, data } => put(&mut node.durable, position, &data),
                Change::Resize(len) => node.durable.resize(len as usize, 0),
            }
        }
    }

    /// A sync failed: the changes before `mark` will never reach the disk. With `evict` the page cache has dropped them too.
    pub(super) fn lose(&mut self, inode: u64, mark: u64, evict: bool) {
        let node = self.node(inode);
        let done = node.pending.partition_point(|(number, _)| *number < mark);
        let lost: Vec<Change> = node.pending.drain(..done).map(|(_, change)| change).collect();
        if !evict || !node.pending.is_empty() {
            return;
        }
        for change in lost {
            if let Change::Write { position, data } = change {
                for at in position as usize..position as usize + data.len() {
                    let old = node.durable.get(at).copied().unwrap_or(0);
                    if let Some(byte) = node.live.get_mut(at) {
                        *byte = old;
                    }
                }
            }
        }
    }

    /// Whether a power loss now would leave exactly the bytes that are read now, up to `len`.
    pub(super) fn is_synced(&self, inode: u64, len: u64) -> bool {
        let node = &self.nodes[&inode];
        let touched = node.pending.iter().any(|(_, change)| match change {
            Change::Write { position, .. } => *position < len,
            Change::Resize(to) => *to < len,
        });
        let len = len as usize;
        !touched && node.live.len() >= len && node.durable.len() >= len && node.live[..len] == node.durable[..len]
    }

    /// Replaces a file's bytes on the device itself.
    pub(super) fn set_content(&mut self, inode: u64, content: Vec<u8>) {
        let node = self.node(inode);
        node.pending.clear();
        node.live.clone_from(&content);
        node.durable = content;
    }

    // ---- the end of a process or of the power -------------------------------------------------------------------------------------

    pub(super) fn process_died(&mut self) {
        self.locks.clear();
        for node in self.nodes.values_mut() {
            node.opens = 0;
        }
        self.forget();
        self.sweep();
    }

    /// Leaves what is durable and a choice of what is pending.
    pub(super) fn lose_power(&mut self, rng: &mut Rng, faults: &mut Faults) {
        self.process_died();
        let mood = Mood::draw(rng);
        for node in self.nodes.values_mut() {
            let cut = rng.below(node.pending.len() as u64 + 1) as usize;
            for (index, (_, change)) in std::mem::take(&mut node.pending).into_iter().enumerate() {
                survive(&mut node.durable, &change, mood.fate(rng, index < cut), rng, faults);
            }
            node.live.clone_from(&node.durable);
            node.reserved = 0;
        }
        let mut cuts: BTreeMap<u64, u64> = BTreeMap::new();
        for directory in self.pending_names.iter().flat_map(NameChange::directories) {
            *cuts.entry(directory).or_default() += 1;
        }
        for cut in cuts.values_mut() {
            *cut = match mood {
                Mood::AllKept => *cut,
                Mood::AllLost => 0,
                Mood::Prefix | Mood::Each => rng.between(0, *cut),
            };
        }
        for change in std::mem::take(&mut self.pending_names) {
            // A change survives if it comes before the cut of each directory that it touches.
            let mut kept = true;
            for directory in change.directories() {
                let left = cuts.get_mut(&directory).expect("counted above");
                kept &= *left > 0;
                *left = left.saturating_sub(1);
            }
            if kept {
                change.apply(&mut self.durable);
            } else {
                faults.lost_names += 1;
            }
        }
        self.live = self.durable.clone();
        self.forget();
    }
}

/// What kind of power loss it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    AllKept,
    AllLost,
    /// Each file keeps its changes up to some point.
    Prefix,
    /// Each change has a fate of its own.
    Each,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

impl Mood {
    fn draw(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::AllKept,
            1 => Self::AllLost,
            2 | 3 => Self::Prefix,
            _ => Self::Each,
        }
    }

    fn fate(self, rng: &mut Rng, before_cut: bool) -> Fate {
        match self {
            Self::AllKept => Fate::Kept,
            Self::AllLost => Fate::Lost,
            Self::Prefix if before_cut => Fate::Kept,
            Self::Prefix => Fate::Lost,
            Self::Each => match rng.below(3) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                _ => Fate::Torn,
            },
        }
    }
}

fn survive(durable: &mut Vec<u8>, change: &Change, fate: Fate, rng: &mut Rng, faults: &mut Faults) {
    match (change, fate) {
        (Change::Write { position, data }, Fate::Kept) => put(durable, *position, data),
        (Change::Write { position, data }, Fate::Torn) => {
            faults.torn_writes += 1;
            let end = position + data.len() as u64;
            let mut at = *position;
            while at < end {
                let next = ((at / SECTOR + 1) * SECTOR).min(end);
                if rng.one_in(2) {
                    put(durable, at, &data[(at - position) as usize..(next - position) as usize]);
                }
                at = next;
            }
        }
        (Change::Write { position, data }, Fate::Lost) => {
            faults.lost_writes += 1;
            let end = *position as usize + data.len();
            if durable.len() < end && rng.one_in(8) {
                durable.resize(end, 0);
            }
        }
        (Change::Resize(len), Fate::Kept) => durable.resize(*len as usize, 0),
        (Change::Resize(_), _) => faults.lost_writes += 1,
    }
}

#[cfg(test)]
mod tests;
