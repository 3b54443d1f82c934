//! What one thread sleeps by and others ring: an eventfd, so that nobody takes a lock.

use super::check;
use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub(super) struct Bell(OwnedFd);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Bell {
    /// `flags` of `eventfd`, beside close-on-exec: with `EFD_SEMAPHORE` each ring lets one thread go on, else all rings so far count as one.
    pub(super) fn new(flags: libc::c_int) -> Result<Self> {
        // SAFETY: on success the descriptor has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | flags))?) }))
    }

    pub(super) fn ring(&self, times: u64) {
        // SAFETY: writes 8 bytes of a live integer.
        unsafe { libc::write(self.as_raw_fd(), (&raw const times).cast(), 8) };
    }

    /// Sleeps until it rings; an early return only makes the caller look for work once more.
    pub(super) fn wait(&self) {
        let mut count: u64 = 0;
        // SAFETY: reads 8 bytes into a live integer.
        unsafe { libc::read(self.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}
