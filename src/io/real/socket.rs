//! Connections: system calls at once, and a wait for readiness when the socket is empty or full.

use super::core::RealCore;
use super::directory::short_file;
use super::file::RealFile;
use super::reactor::{Readiness, Side};
use super::{STEP, check_count, to_step_end};
use crate::io::file::FileKind;
use crate::io::{FileSlice, Piece};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::{Either, select};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Pieces gathered into one `sendmsg`.
const MAX_PIECES: usize = 64;
/// Pieces of an answer that is sent without further ado.
const SMALL_PIECES: usize = 8;
const NO_VECTOR: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// `cachestat` of Linux 6.5, the same number on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;
const PAGE: u64 = 4096;

pub(in crate::io) struct RealSocket {
    /// Before the socket, which it watches.
    readiness: Readiness,
    socket: Socket,
    peer: SocketAddr,
    local: SocketAddr,
    core: Rc<RealCore>,
    shut: Cell<bool>,
}

impl Drop for RealSocket {
    fn drop(&mut self) {
        // The poll still holds the connection in the kernel; the other end must not wait for it.
        self.shutdown();
    }
}

impl RealCore {
    pub(in crate::io) async fn connect(self: &Rc<Self>, address: SocketAddr) -> Result<Rc<RealSocket>> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let readiness = Readiness::new(&self.reactor, &socket, false);
        match select(pin!(readiness.ready(Side::Write)), pin!(self.sleep(CONNECT_TIMEOUT))).await {
            Either::Left((ready, _)) => ready?,
            Either::Right(_) => return Err(ErrorKind::TimedOut.into()),
        }
        match socket.take_error()? {
            Some(error) => Err(error),
            None => RealSocket::new(socket, readiness, address, self),
        }
    }
}

impl RealSocket {
    pub(super) fn attach(socket: Socket, peer: SocketAddr, core: &Rc<RealCore>) -> Result<Rc<Self>> {
        let readiness = Readiness::new(&core.reactor, &socket, true);
        Self::new(socket, readiness, peer, core)
    }

    fn new(socket: Socket, readiness: Readiness, peer: SocketAddr, core: &Rc<RealCore>) -> Result<Rc<Self>> {
        socket.set_tcp_nodelay(true)?;
        let local = socket.local_addr()?.as_socket().ok_or_else(|| Error::other("not an internet address"))?;
        Ok(Rc::new(Self { readiness, socket, peer, local, core: core.clone(), shut: Cell::new(false) }))
    }

    fn raw(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(in crate::io) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(in crate::io) fn shutdown(&self) {
        if !self.shut.replace(true) {
            // Ends pending waits in both directions; a connection that has ended already has none.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(in crate::io) async fn read(&self, buffer: &mut BytesMut) -> Result<usize> {
        loop {
            self.readiness.ready(Side::Read).await?;
            let room = buffer.spare_capacity_mut();
            // SAFETY: `recv` writes to the spare capacity only, and what it has filled becomes part of the buffer.
            let received = unsafe {
                let received = check_count(libc::recv(self.raw(), room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT));
                let (len, more) = (buffer.len(), received.as_ref().map_or(0, |received| *received));
                if more < buffer.capacity() - len {
                    self.readiness.drained();
                }
                buffer.set_len(len + more);
                received
            };
            match received {
                Ok(received) => {
                    self.core.counting.add(|all| {
                        all.receive_calls += 1;
                        all.received_bytes += received as u64;
                    });
                    return Ok(received);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.readiness.used_up(Side::Read),
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    pub(in crate::io) async fn send(&self, pieces: &[Piece]) -> Result<()> {
        let mut sent = self.send_small(pieces)?;
        let mut run: Vec<Bytes> = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Bytes(bytes) => {
                    let done = sent.min(bytes.len());
                    sent -= done;
                    if done < bytes.len() {
                        run.push(bytes.slice(done..));
                    }
                }
                Piece::File(slice) if slice.len == 0 => {}
                Piece::File(slice) => {
                    self.send_bytes(&mut run, true).await?;
                    self.send_file(slice, index + 1 < pieces.len()).await?;
                }
            }
        }
        self.send_bytes(&mut run, false).await
    }

    /// Sends what is small and all in memory in one call, without keeping account of what is left; how much that was.
    fn send_small(&self, pieces: &[Piece]) -> Result<usize> {
        let mut vectors = [NO_VECTOR; SMALL_PIECES];
        if pieces.len() > SMALL_PIECES {
            return Ok(0);
        }
        let mut len = 0;
        for (vector, piece) in vectors.iter_mut().zip(pieces) {
            let Piece::Bytes(bytes) = piece else { return Ok(0) };
            *vector = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
            len += bytes.len();
        }
        if len > STEP {
            return Ok(0);
        }
        match self.send_vectors(&mut vectors[..pieces.len()], false) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    fn send_vectors(&self, vectors: &mut [libc::iovec], more: bool) -> Result<usize> {
        let more = if more { libc::MSG_MORE } else { 0 };
        // SAFETY: each vector points into bytes that the caller holds; the kernel only reads them.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = vectors.as_mut_ptr();
            message.msg_iovlen = vectors.len() as _;
            check_count(libc::sendmsg(self.raw(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more))?
        };
        self.core.counting.add(|all| {
            all.send_calls += 1;
            all.memory_bytes += sent as u64;
        });
        Ok(sent)
    }

    /// The socket was full: waits until it takes more.
    async fn wait_for_room(&self) -> Result<()> {
        self.readiness.used_up(Side::Write);
        self.readiness.ready(Side::Write).await
    }

    /// Sends `run` and empties it.
    async fn send_bytes(&self, run: &mut Vec<Bytes>, more: bool) -> Result<()> {
        let mut first = 0;
        while first < run.len() {
            let sent = match self.gather(&run[first..], more) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for_room().await?;
                    continue;
                }
                result => result?,
            };
            let mut left = sent;
            while left > 0 {
                let taken = left.min(run[first].len());
                run[first].advance(taken);
                left -= taken;
                first += usize::from(run[first].is_empty());
            }
            if first < run.len() {
                self.core.yield_if_needed().await;
            }
        }
        run.clear();
        Ok(())
    }

    fn gather(&self, run: &[Bytes], more: bool) -> Result<usize> {
        let mut vectors = [NO_VECTOR; MAX_PIECES];
        let count = run.len().min(MAX_PIECES);
        let mut left = STEP;
        for (vector, bytes) in vectors.iter_mut().zip(run) {
            let len = bytes.len().min(left);
            left -= len;
            *vector = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: len };
        }
        // More follows only if not all of the run fits here: a flag on the last bytes would hold them back for 200 ms.
        let cut = run.iter().map(Bytes::len).sum::<usize>() > STEP - left;
        self.send_vectors(&mut vectors[..count], more || cut)
    }

    async fn send_file(&self, slice: &FileSlice, more: bool) -> Result<()> {
        let file = match &slice.file.kind {
            FileKind::Real(file) => file,
            #[cfg(feature = "sim")]
            FileKind::Sim(_) => unreachable!("a file of one kind, a socket of the other"),
        };
        let mut position = slice.position;
        let end = slice.position + slice.len;
        while position < end {
            slice.file.check_kept()?;
            if slice.hot || is_ready(file, position, end) {
                position += self.send_hot(file, position, step(position, end)).await?;
            } else {
                position = self.send_cold(file, position, end, more).await?;
            }
            if position < end {
                // Always: who drains a backlog does nothing else, and a request of others takes several turns until it is answered.
                self.core.yield_now().await;
            }
        }
        Ok(())
    }

    /// Sends what is not in the page cache: from `position` to the first step that is, or to `end`; where that is. While one step leaves,
    /// the next is read.
    async fn send_cold(&self, file: &RealFile, mut position: u64, end: u64, more: bool) -> Result<u64> {
        let mut next = Some(file.read_slice(&self.core, position, step(position, end)));
        while let Some(reading) = next.take() {
            let bytes = reading.await?;
            position += bytes.len() as u64;
            if position < end && !is_ready(file, position, end) {
                next = Some(file.read_slice(&self.core, position, step(position, end)));
            }
            self.send_copied(bytes, more || position < end).await?;
        }
        Ok(position)
    }

    /// Sends up to `step` bytes that are in the page cache; how many.
    async fn send_hot(&self, file: &RealFile, position: u64, step: usize) -> Result<u64> {
        let mut offset = position as i64;
        // SAFETY: both descriptors are live; the offset is a live integer.
        match check_count(unsafe { libc::sendfile(self.raw(), file.raw(), &raw mut offset, step) }) {
            Ok(0) => Err(short_file(position)),
            Ok(sent) => {
                self.core.counting.add(|all| {
                    all.sendfile_calls += 1;
                    all.sendfile_bytes += sent as u64;
                });
                Ok(sent as u64)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.wait_for_room().await?;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn send_copied(&self, mut bytes: Bytes, more: bool) -> Result<()> {
        while !bytes.is_empty() {
            match self.gather(std::slice::from_ref(&bytes), more) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room().await?,
                sent => bytes.advance(sent?),
            }
        }
        Ok(())
    }
}

/// Bytes of the step at `position` of a file of which is sent what comes before `end`.
fn step(position: u64, end: u64) -> usize {
    (end - position).min(to_step_end(position) as u64) as usize
}

/// Whether `sendfile` will not wait for the device in the next step.
fn is_ready(file: &RealFile, position: u64, end: u64) -> bool {
    !file.is_being_read() && is_cached(file, position, step(position, end))
}

/// Whether all pages of the range are in the page cache, though some may still be without content.
fn is_cached(file: &RealFile, position: u64, len: usize) -> bool {
    #[repr(C)]
    struct Range {
        position: u64,
        len: u64,
    }
    let range = Range { position, len: len as u64 };
    // `struct cachestat`: cached, dirty, under write-back, evicted, recently evicted.
    let mut pages = [0_u64; 5];
    // SAFETY: reads and fills live structs of the layout that the kernel defines. Where the call is missing, nothing counts as cached.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, file.raw(), &raw const range, pages.as_mut_ptr(), 0) };
    let spanned = (position + len as u64).div_ceil(PAGE) - position / PAGE;
    result == 0 && pages[0] >= spanned
}
