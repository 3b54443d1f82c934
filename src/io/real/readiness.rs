//! Waiting until any descriptor can be read.
//!
//! glommio offers this only inside its own streams: a stream over a duplicate of the descriptor polls it as soon as it is made, and
//! a read of no bytes returns once the poll has completed (with an error for what is not a connected socket, which says nothing).

use futures_io::AsyncRead;
use glommio::net::TcpStream;
use std::future::poll_fn;
use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;

use super::check;

/// A duplicate of a descriptor, close-on-exec.
pub(super) fn duplicate(fd: &impl AsRawFd) -> Result<OwnedFd> {
    // SAFETY: the descriptor is live; on success the new one has no other owner.
    unsafe {
        let copy = check(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3))?;
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

/// Returns when `fd` can be read, or has an error or a hang-up to tell. May be dropped while pending.
pub(super) async fn readable(fd: &impl AsRawFd) -> Result<()> {
    let copy = duplicate(fd)?;
    // SAFETY: the stream becomes the only owner of the duplicate.
    let mut stream = unsafe { TcpStream::from_raw_fd(copy.into_raw_fd()) };
    let _ = poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut [])).await;
    Ok(())
}
