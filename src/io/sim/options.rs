//! What a world may do to those who live in it, and the count of what it has done.

use std::time::Duration;

/// How a world behaves. The default is a good day: delays and chance in the schedule, but no faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Virtual time that each turn of a task takes.
    pub turn: Duration,
    /// Milliseconds since the Unix epoch at which every host's wall clock starts.
    pub epoch_ms: i64,
    /// The disks.
    pub disk: DiskOptions,
    /// The network.
    pub net: NetOptions,
    /// The bug that the code under simulation is to have, by the name that it asks for.
    pub planted: Option<&'static str>,
    /// Files that a process may have open, as far as it asks for the limit.
    pub open_files: usize,
    /// Keep every event for [`super::World::first_difference`], not only their hash.
    pub keep_trace: bool,
}

/// How a disk behaves; rates are per million calls.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Shortest and longest time of a read or of a call on names.
    pub read: (Duration, Duration),
    /// Shortest and longest time of a write into the page cache.
    pub write: (Duration, Duration),
    /// Shortest and longest time of a sync; one in 50 takes ten times as long.
    pub sync: (Duration, Duration),
    /// Reads that fail with EIO.
    pub read_errors: u32,
    /// Writes that fail with EIO after a part was written.
    pub write_errors: u32,
    /// Syncs that fail with EIO; what was dirty is lost.
    pub sync_errors: u32,
    /// Bytes that a host's disk holds.
    pub capacity: u64,
}

/// How the network behaves; rates are per million segments.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// Shortest and longest way of a segment.
    pub latency: (Duration, Duration),
    /// Bytes per second of one direction of a connection.
    pub bandwidth: u64,
    /// Bytes of one direction that are on their way or not read yet.
    pub window: usize,
    /// Segments at which the connection breaks: both ends see a reset.
    pub resets: u32,
    /// Segments that are held up by up to [`NetOptions::stall`], and all later ones of their direction with them.
    pub stalls: u32,
    /// The longest stall.
    pub stall: Duration,
    /// After this time without an answer a sender gives its connection up.
    pub give_up: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            turn: Duration::from_nanos(500),
            epoch_ms: 1_770_000_000_000,
            disk: DiskOptions::default(),
            net: NetOptions::default(),
            planted: None,
            open_files: 1 << 20,
            keep_trace: false,
        }
    }
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            read: (Duration::from_micros(2), Duration::from_micros(200)),
            write: (Duration::from_micros(1), Duration::from_micros(20)),
            sync: (Duration::from_micros(100), Duration::from_millis(2)),
            read_errors: 0,
            write_errors: 0,
            sync_errors: 0,
            capacity: u64::MAX,
        }
    }
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            latency: (Duration::from_micros(20), Duration::from_micros(500)),
            bandwidth: 1 << 30,
            window: 256 * 1024,
            resets: 0,
            stalls: 0,
            stall: Duration::from_secs(2),
            give_up: Duration::from_secs(30),
        }
    }
}

/// How often each fault has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Processes killed.
    pub kills: u64,
    /// Hosts that lost power.
    pub power_losses: u64,
    /// Unsynced writes lost in full at a power loss.
    pub lost_writes: u64,
    /// Unsynced writes of which some sectors survived.
    pub torn_writes: u64,
    /// Unsynced creations, renames and removals lost.
    pub lost_names: u64,
    /// Failed reads.
    pub read_errors: u64,
    /// Failed writes.
    pub write_errors: u64,
    /// Failed syncs.
    pub sync_errors: u64,
    /// Syncs of a slow disk.
    pub slow_syncs: u64,
    /// Failed calls on names and opens.
    pub name_errors: u64,
    /// Writes refused because the disk was full.
    pub disk_full: u64,
    /// Connections that were broken.
    pub resets: u64,
    /// Segments held up.
    pub stalls: u64,
    /// Links cut.
    pub partitions: u64,
    /// Accepts that found no descriptor.
    pub refused_accepts: u64,
    /// Hosts paused.
    pub pauses: u64,
    /// Jumps of a wall clock.
    pub clock_jumps: u64,
}

impl Faults {
    /// Name and count of each kind that has happened.
    pub fn seen(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("kills", self.kills),
            ("power losses", self.power_losses),
            ("lost writes", self.lost_writes),
            ("torn writes", self.torn_writes),
            ("lost names", self.lost_names),
            ("read errors", self.read_errors),
            ("write errors", self.write_errors),
            ("sync errors", self.sync_errors),
            ("slow syncs", self.slow_syncs),
            ("name errors", self.name_errors),
            ("disk full", self.disk_full),
            ("resets", self.resets),
            ("stalls", self.stalls),
            ("partitions", self.partitions),
            ("refused accepts", self.refused_accepts),
            ("pauses", self.pauses),
            ("clock jumps", self.clock_jumps),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// How a host ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process gets SIGKILL: the page cache and the kernel's sockets outlive it.
    Kill,
    /// The machine loses power: of what was not synced, anything may be missing, and nobody is told.
    PowerLoss,
}

/// A kind of call that a disk can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Opening or creating.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Cutting, extending or reserving.
    Resize,
    /// `fdatasync`.
    Sync,
    /// Creating a directory, renaming, removing.
    Name,
    /// Syncing a directory.
    SyncNames,
}

/// A fault to come: the next calls of a kind on paths that contain a text fail.
#[derive(Clone, Debug)]
pub struct DiskFault {
    /// Which calls.
    pub op: DiskOp,
    /// Only paths that contain this; empty for all.
    pub path_contains: String,
    /// How many such calls still succeed.
    pub after: u32,
    /// How many then fail.
    pub times: u32,
    /// What they return: `libc`'s number, 5 for EIO, 28 for ENOSPC.
    pub errno: i32,
}

impl DiskFault {
    /// The next call of this kind fails with EIO.
    pub fn next(op: DiskOp) -> Self {
        Self { op, path_contains: String::new(), after: 0, times: 1, errno: 5 }
    }
}
