//! What one core has done to its devices, for telemetry and for tests that prove how bytes travel.

use std::cell::Cell;

/// Totals of one core since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that went from page cache to socket by `sendfile`.
    pub sendfile_bytes: u64,
    /// `sendfile` calls that moved bytes.
    pub sendfile_calls: u64,
    /// Bytes of file slices that were read into memory first, because they were cold or to wait for a full socket.
    pub file_copied_bytes: u64,
    /// Bytes sent from memory that were not part of a file slice.
    pub memory_bytes: u64,
    /// `sendmsg` calls that moved bytes.
    pub send_calls: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Receive calls that returned.
    pub receive_calls: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Write calls.
    pub write_calls: u64,
    /// Write calls that went to the helper, because the dirty budget was used up.
    pub helper_writes: u64,
    /// Bytes read from files by `read_at`.
    pub read_bytes: u64,
    /// Reads that found a page missing and went to the helper.
    pub cold_reads: u64,
    /// `fdatasync` calls.
    pub syncs: u64,
    /// Times that other cores woke this one for messages; many messages may wait by then.
    pub mail_calls: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Microseconds by which the core's tick came too late, at worst.
    pub longest_stall_us: u64,
    /// Microseconds that one write call held up the core, at worst.
    pub longest_write_us: u64,
}

/// The counters of a core, to be added to in place.
#[derive(Default)]
pub(super) struct Counting(Cell<Counters>);

impl Counting {
    pub(super) fn get(&self) -> Counters {
        self.0.get()
    }

    #[inline]
    pub(super) fn add(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.0.get();
        change(&mut counters);
        self.0.set(counters);
    }
}
