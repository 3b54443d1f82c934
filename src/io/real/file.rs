//! Files: system calls on the executor while they are sure not to block, a helper otherwise.

use super::core::RealCore;
use super::directory::short_file;
use super::writeback::{WINDOW, WriteBack};
use super::{STEP, check, check_count, to_step_end};
use bytes::{Bytes, BytesMut};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// Pieces of one gathered write.
const MAX_PIECES: usize = 256;
/// Reads at least this long are of somebody who goes through the file: they do not leave their pages in the page cache when they had to
/// be fetched from the device.
const PASSING_READ: usize = 128 * 1024;
/// `preadv2` flag of Linux 6.14: drop the pages after the read if it brought them in.
const RWF_DONTCACHE: libc::c_int = 0x80;

/// An open file.
pub(in crate::io) struct RealFile {
    /// Taken only by drop.
    fd: Option<Arc<OwnedFd>>,
    write_back: WriteBack,
    /// The open files of the core that opened it.
    open_files: Arc<AtomicUsize>,
    /// Start and end of what was written in sequence and is not on its way to the device. Only the owner core writes them; atomics
    /// because the file may be read and dropped elsewhere.
    window_start: AtomicU64,
    window_end: AtomicU64,
    /// Reads that helpers have under way.
    cold_reads: Arc<AtomicUsize>,
}

impl Drop for RealFile {
    fn drop(&mut self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
        if let Some(fd) = self.fd.take() {
            self.write_back.close(fd);
        }
    }
}

impl RealFile {
    /// The kernel reads nothing ahead: it would begin to in the middle of a read that finds all it wants in the page cache, and so in the
    /// core, which then makes room for 8 MiB and hands them to the device.
    pub(super) fn new(fd: OwnedFd, core: &RealCore) -> Self {
        core.open_files.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the descriptor is live; the call touches no memory of ours. A file system that does not care refuses, which changes nothing.
        unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
        Self {
            fd: Some(Arc::new(fd)),
            write_back: core.write_back.clone(),
            open_files: core.open_files.clone(),
            window_start: AtomicU64::new(0),
            window_end: AtomicU64::new(0),
            cold_reads: Arc::default(),
        }
    }

    /// Whether pages may be in the cache that have no content yet, since they are on their way from the device. Who meets such a page
    /// waits for it.
    pub(super) fn is_being_read(&self) -> bool {
        self.cold_reads.load(Ordering::Relaxed) > 0
    }

    fn shared(&self) -> &Arc<OwnedFd> {
        self.fd.as_ref().expect("open until dropped")
    }

    pub(super) fn raw(&self) -> i32 {
        self.shared().as_raw_fd()
    }

    pub(in crate::io) async fn len(&self, _core: &Rc<RealCore>) -> Result<u64> {
        // SAFETY: fills a live struct; an open file's attributes are in memory.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            check(libc::fstat(self.raw(), &raw mut stat))?;
            Ok(stat.st_size as u64)
        }
    }

    pub(in crate::io) async fn read_at(&self, core: &Rc<RealCore>, position: u64, len: usize) -> Result<Bytes> {
        let mut buffer = BytesMut::with_capacity(len);
        let flags = libc::RWF_NOWAIT;
        while buffer.len() < len {
            let want = (len - buffer.len()).min(STEP);
            match read_some(self.raw(), position + buffer.len() as u64, &mut buffer, want, flags) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_cold(&error) => {
                    core.counting.add(|all| all.cold_reads += 1);
                    buffer = self.read_cold(core, position, len, buffer).await?;
                    break;
                }
                Err(error) => return Err(error),
            }
            core.yield_if_needed().await;
        }
        core.counting.add(|all| all.read_bytes += buffer.len() as u64);
        Ok(buffer.freeze())
    }

    /// Goes on reading on a helper until `buffer` holds `len` bytes or the file ends. It begins at once, not only when it is awaited.
    fn read_cold(
        &self,
        core: &RealCore,
        position: u64,
        len: usize,
        mut buffer: BytesMut,
    ) -> impl Future<Output = Result<BytesMut>> + use<> {
        let (fd, under_way) = (self.shared().clone(), self.cold_reads.clone());
        under_way.fetch_add(1, Ordering::Relaxed);
        core.toil(move || {
            let read = read_fully(&fd, position, len, &mut buffer);
            under_way.fetch_sub(1, Ordering::Relaxed);
            read.map(|()| buffer)
        })
    }

    /// Reads exactly `len` bytes for a socket, that are not in the page cache, on a helper. It begins at once.
    pub(super) fn read_slice(&self, core: &RealCore, position: u64, len: usize) -> impl Future<Output = Result<Bytes>> + use<> {
        core.counting.add(|all| {
            all.cold_reads += 1;
            all.file_copied_bytes += len as u64;
        });
        let reading = self.read_cold(core, position, len, BytesMut::new());
        async move {
            let bytes = reading.await?;
            if bytes.len() < len { Err(short_file(position + len as u64)) } else { Ok(bytes.freeze()) }
        }
    }

    pub(in crate::io) async fn write_at(&self, core: &Rc<RealCore>, position: u64, pieces: &[Bytes]) -> Result<()> {
        let mut rest = Cursor { pieces, index: 0, offset: 0 };
        let mut at = position;
        while !rest.is_empty() {
            let written = if core.write_back.used_up() {
                let step = rest.step(at);
                let fd = self.shared().clone();
                core.counting.add(|all| all.helper_writes += 1);
                core.toil(move || write_some(fd.as_raw_fd(), at, &step)).await
            } else {
                let begin = Instant::now();
                let written = rest.write(self.raw(), at);
                let took = begin.elapsed().as_micros() as u64;
                core.counting.add(|all| all.longest_write_us = all.longest_write_us.max(took));
                written
            }?;
            if written == 0 {
                return Err(Error::new(ErrorKind::WriteZero, "the file system took no bytes"));
            }
            core.counting.add(|all| {
                all.write_calls += 1;
                all.written_bytes += written as u64;
            });
            rest.advance(written);
            at += written as u64;
            if !rest.is_empty() {
                core.yield_if_needed().await;
            }
        }
        self.note_written(core, position, at);
        Ok(())
    }

    fn note_written(&self, core: &RealCore, from: u64, to: u64) {
        if self.window_end.load(Ordering::Relaxed) != from {
            self.window_start.store(from, Ordering::Relaxed);
        }
        self.window_end.store(to, Ordering::Relaxed);
        let start = self.window_start.load(Ordering::Relaxed);
        if to - start >= WINDOW {
            // The last page may be written to again at once: leave it out, or that write waits for the device.
            let end = to & !4095;
            core.write_back.write_back(self.shared(), start, end - start);
            self.window_start.store(end, Ordering::Relaxed);
        }
    }

    pub(in crate::io) async fn sync_data(&self, core: &Rc<RealCore>) -> Result<()> {
        let fd = self.shared().clone();
        core.counting.add(|all| all.syncs += 1);
        let end = self.window_end.load(Ordering::Relaxed);
        // SAFETY: the descriptor is live for as long as the closure.
        core.blocking(move || check(unsafe { libc::fdatasync(fd.as_raw_fd()) })).await?;
        self.window_start.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    pub(in crate::io) async fn set_len(&self, core: &Rc<RealCore>, len: u64) -> Result<()> {
        let fd = self.shared().clone();
        // SAFETY: the descriptor is live for as long as the closure.
        core.blocking(move || check(unsafe { libc::ftruncate(fd.as_raw_fd(), len as i64) })).await?;
        self.window_start.store(len, Ordering::Relaxed);
        self.window_end.store(len, Ordering::Relaxed);
        Ok(())
    }

    pub(in crate::io) async fn preallocate(&self, core: &Rc<RealCore>, position: u64, len: u64) -> Result<()> {
        let fd = self.shared().clone();
        let reserve = move || {
            // SAFETY: the descriptor is live for as long as the closure.
            check(unsafe { libc::fallocate(fd.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, position as i64, len as i64) })
        };
        match core.blocking(reserve).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A page is missing, or the file system cannot tell.
fn is_cold(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EOPNOTSUPP))
}

/// Reads on, waiting for the device, until `buffer` holds what is at `position` up to `len` bytes, or the file ends.
fn read_fully(fd: &OwnedFd, position: u64, len: usize, buffer: &mut BytesMut) -> Result<()> {
    let mut flags = if len >= PASSING_READ { RWF_DONTCACHE } else { 0 };
    while buffer.len() < len {
        let want = len - buffer.len();
        match read_some(fd.as_raw_fd(), position + buffer.len() as u64, buffer, want, flags) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) && flags != 0 => flags = 0,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends up to `want` bytes at `position` to `buffer`.
fn read_some(fd: i32, position: u64, buffer: &mut BytesMut, want: usize, flags: libc::c_int) -> Result<usize> {
    buffer.reserve(want);
    let room = buffer.spare_capacity_mut();
    let piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: want.min(room.len()) };
    loop {
        // SAFETY: the piece lies in the spare capacity; the bytes that were filled become part of the buffer.
        unsafe {
            match check_count(libc::preadv2(fd, &raw const piece, 1, position as i64, flags)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    let len = buffer.len();
                    buffer.set_len(len + read);
                    return Ok(read);
                }
            }
        }
    }
}

fn write_some(fd: i32, position: u64, pieces: &[Bytes]) -> Result<usize> {
    let vectors: Vec<libc::iovec> =
        pieces.iter().map(|piece| libc::iovec { iov_base: piece.as_ptr() as *mut _, iov_len: piece.len() }).collect();
    write_vectors(fd, position, &vectors)
}

fn write_vectors(fd: i32, position: u64, vectors: &[libc::iovec]) -> Result<usize> {
    loop {
        // SAFETY: each vector points into a piece that the caller holds; the kernel only reads them.
        match check_count(unsafe { libc::pwritev(fd, vectors.as_ptr(), vectors.len() as i32, position as i64) }) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What is still to be written of a list of pieces.
struct Cursor<'a> {
    pieces: &'a [Bytes],
    index: usize,
    offset: usize,
}

impl Cursor<'_> {
    fn is_empty(&mut self) -> bool {
        while self.pieces.get(self.index).is_some_and(|piece| piece.len() == self.offset) {
            self.index += 1;
            self.offset = 0;
        }
        self.index == self.pieces.len()
    }

    /// The parts of the next step, at most [`MAX_PIECES`], to where it ends in the file: the page cache can take what is aligned as one
    /// large folio.
    fn parts(&self, position: u64) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut left = to_step_end(position);
        (self.index..self.pieces.len()).take(MAX_PIECES).map_while(move |index| {
            let from = if index == self.index { self.offset } else { 0 };
            let len = (self.pieces[index].len() - from).min(left);
            left -= len;
            (len > 0 || left > 0).then_some((index, from, len))
        })
    }

    fn step(&self, position: u64) -> Vec<Bytes> {
        self.parts(position).map(|(index, from, len)| self.pieces[index].slice(from..from + len)).collect()
    }

    fn write(&self, fd: i32, position: u64) -> Result<usize> {
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MAX_PIECES];
        let mut count = 0;
        for (index, from, len) in self.parts(position) {
            vectors[count] = libc::iovec { iov_base: self.pieces[index][from..].as_ptr() as *mut _, iov_len: len };
            count += 1;
        }
        write_vectors(fd, position, &vectors[..count])
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let left = self.pieces[self.index].len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            self.index += 1;
            self.offset = 0;
        }
    }
}
