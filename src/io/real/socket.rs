//! Connections: system calls at once, and the stream's own poll when the socket is empty or full.
//!
//! glommio has no public wait for a writable socket, so a full one gets the next few KiB through the stream's own write, which waits,
//! and `sendfile` goes on from there.

use super::core::RealCore;
use super::directory::short_file;
use super::file::RealFile;
use super::{STEP, check_count};
use crate::io::file::FileKind;
use crate::io::{FileSlice, Piece};
use bytes::{Buf, Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::Socket;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Pieces gathered into one `sendmsg`.
const MAX_PIECES: usize = 64;
/// Bytes of a file that are copied to wait for a full socket.
const WAIT_COPY: usize = 16 * 1024;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// `cachestat` of Linux 6.5, the same number on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;
const PAGE: u64 = 4096;

pub(in crate::io) struct RealSocket {
    stream: RefCell<TcpStream>,
    raw: i32,
    peer: SocketAddr,
    local: SocketAddr,
    core: Rc<RealCore>,
    shut: Cell<bool>,
}

impl Drop for RealSocket {
    fn drop(&mut self) {
        // A poll may still hold the connection in the kernel; the other end must not wait for it.
        self.shutdown();
    }
}

impl RealCore {
    pub(in crate::io) async fn connect(self: &Rc<Self>, address: SocketAddr) -> Result<Rc<RealSocket>> {
        let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await.map_err(Error::from)?;
        // SAFETY: borrows the descriptor for this block only; the stream goes on owning it.
        let socket = ManuallyDrop::new(unsafe { Socket::from_raw_fd(stream.as_raw_fd()) });
        socket.set_nonblocking(true)?;
        RealSocket::wrap(&socket, stream, address, self)
    }
}

impl RealSocket {
    pub(super) fn new(socket: Socket, peer: SocketAddr, core: &Rc<RealCore>) -> Result<Rc<Self>> {
        // SAFETY: the stream becomes the only owner of the descriptor; the other handle is never dropped.
        let stream = unsafe { TcpStream::from_raw_fd(socket.as_raw_fd()) };
        Self::wrap(&ManuallyDrop::new(socket), stream, peer, core)
    }

    fn wrap(socket: &Socket, stream: TcpStream, peer: SocketAddr, core: &Rc<RealCore>) -> Result<Rc<Self>> {
        socket.set_tcp_nodelay(true)?;
        let local = socket.local_addr()?.as_socket().ok_or_else(|| Error::other("not an internet address"))?;
        let raw = socket.as_raw_fd();
        Ok(Rc::new(Self { stream: RefCell::new(stream), raw, peer, local, core: core.clone(), shut: Cell::new(false) }))
    }

    pub(in crate::io) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(in crate::io) fn shutdown(&self) {
        if !self.shut.replace(true) {
            // SAFETY: the descriptor lives as long as the stream. Ends pending polls in both directions.
            unsafe { libc::shutdown(self.raw, libc::SHUT_RDWR) };
        }
    }

    pub(in crate::io) async fn read(&self, buffer: &mut BytesMut) -> Result<usize> {
        let read = poll_fn(|context| {
            let room = buffer.spare_capacity_mut();
            // SAFETY: the stream hands the room to `recv`, which only writes to it.
            let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), room.len()) };
            Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, room)
        })
        .await?;
        // SAFETY: `recv` has filled that many bytes of the room.
        unsafe { buffer.set_len(buffer.len() + read) };
        self.core.rouse();
        self.core.counting.add(|all| {
            all.receive_calls += 1;
            all.received_bytes += read as u64;
        });
        Ok(read)
    }

    pub(in crate::io) async fn send(&self, pieces: &[Piece]) -> Result<()> {
        let mut run: Vec<Bytes> = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Bytes(bytes) if bytes.is_empty() => {}
                Piece::Bytes(bytes) => run.push(bytes.clone()),
                Piece::File(slice) if slice.len == 0 => {}
                Piece::File(slice) => {
                    self.send_bytes(&mut run, true).await?;
                    self.send_file(slice, index + 1 < pieces.len()).await?;
                }
            }
        }
        self.send_bytes(&mut run, false).await
    }

    /// Waits until the socket takes some bytes of `bytes`.
    async fn push(&self, bytes: &[u8]) -> Result<usize> {
        let sent = poll_fn(|context| Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes)).await?;
        if sent == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(sent) }
    }

    /// Sends `run` and empties it.
    async fn send_bytes(&self, run: &mut Vec<Bytes>, more: bool) -> Result<()> {
        let mut first = 0;
        while first < run.len() {
            let sent = match self.gather(&run[first..], more) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.push(&run[first]).await?,
                result => result?,
            };
            self.core.counting.add(|all| {
                all.send_calls += 1;
                all.memory_bytes += sent as u64;
            });
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
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MAX_PIECES];
        let count = run.len().min(MAX_PIECES);
        let mut left = STEP;
        for (vector, bytes) in vectors.iter_mut().zip(run) {
            let len = bytes.len().min(left);
            left -= len;
            *vector = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: len };
        }
        // More follows only if not all of the run fits here: a flag on the last bytes would hold them back for 200 ms.
        let cut = run.iter().map(Bytes::len).sum::<usize>() > STEP - left;
        let more = if more || cut { libc::MSG_MORE } else { 0 };
        // SAFETY: each vector points into bytes that the caller holds; the kernel only reads them.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = vectors.as_mut_ptr();
            message.msg_iovlen = count as _;
            check_count(libc::sendmsg(self.raw, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more))
        }
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
            let step = (end - position).min(STEP as u64) as usize;
            if slice.hot || is_cached(file, position, step) {
                position += self.send_hot(file, position, step).await?;
            } else {
                let bytes = file.read_slice(&self.core, position, step).await?;
                self.core.counting.add(|all| all.file_copied_bytes += step as u64);
                self.send_copied(bytes, more || position + (step as u64) < end).await?;
                position += step as u64;
            }
            if position < end {
                self.core.yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// Sends up to `step` bytes that are in the page cache; how many.
    async fn send_hot(&self, file: &RealFile, position: u64, step: usize) -> Result<u64> {
        let mut offset = position as i64;
        // SAFETY: both descriptors are live; the offset is a live integer.
        match check_count(unsafe { libc::sendfile(self.raw, file.raw(), &raw mut offset, step) }) {
            Ok(0) => Err(short_file(position)),
            Ok(sent) => {
                self.core.counting.add(|all| {
                    all.sendfile_calls += 1;
                    all.sendfile_bytes += sent as u64;
                });
                Ok(sent as u64)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let bytes = file.read_slice(&self.core, position, step.min(WAIT_COPY)).await?;
                let sent = self.push(&bytes).await?;
                self.core.counting.add(|all| all.file_copied_bytes += sent as u64);
                Ok(sent as u64)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn send_copied(&self, mut bytes: Bytes, more: bool) -> Result<()> {
        while !bytes.is_empty() {
            let sent = match self.gather(std::slice::from_ref(&bytes), more) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.push(&bytes).await?,
                result => result?,
            };
            bytes.advance(sent);
        }
        Ok(())
    }
}

/// Whether all pages of the range are in the page cache, so that `sendfile` will not wait for the device.
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
