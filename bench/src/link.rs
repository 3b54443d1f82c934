//! One non-blocking connection: frames out by `writev` without copying them, frames in as slices of one reused buffer.
//!
//! Both Kafka's protocol and that of the floor programs put a 32-bit size in front of each frame.

use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

/// Bytes of a request that are its own: size, API key, version, correlation id. What follows may be shared by many requests.
pub const HEAD_BYTES: usize = 12;
/// Bytes read by one call. Most kernels of servers do not preempt a call, so a longer one would keep the processor from other workers and
/// generators on it, who would measure that.
const READ_BYTES: usize = 64 * 1024;
/// Largest frame that is read: the greatest answer that a broker can be asked for, and more than a mistaken size should cost.
const MAX_FRAME_BYTES: usize = 1 << 30;
/// Buffers of one `writev`.
const VECTORS: usize = 32;

/// What follows the head of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// The same bytes as in other requests.
    Shared(Rc<Vec<u8>>),
    /// Bytes of this request alone.
    Own(Vec<u8>),
}

impl Body {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// Requests that are to leave, in order.
#[derive(Default)]
pub struct Outbox {
    frames: VecDeque<([u8; HEAD_BYTES], Body)>,
    /// Bytes of the first frame that have left.
    sent: usize,
    /// Buffers of requests that have left, to be filled again.
    spare: Vec<Vec<u8>>,
}

impl Outbox {
    pub fn push(&mut self, head: [u8; HEAD_BYTES], body: Body) {
        self.frames.push_back((head, body));
    }

    /// Puts in a whole frame, size and head included.
    pub fn push_frame(&mut self, frame: &[u8]) {
        let (head, body) = frame.split_first_chunk::<HEAD_BYTES>().expect("a request has at least its head");
        let mut buffer = self.buffer();
        buffer.clear();
        buffer.extend_from_slice(body);
        self.push(*head, Body::Own(buffer));
    }

    /// A buffer for [`Body::Own`], with whatever it held before.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes until everything has left or the socket is full.
    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        while !self.frames.is_empty() {
            let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; VECTORS];
            let (mut count, mut skip, mut total) = (0, self.sent, 0);
            for (head, body) in self.frames.iter().take(VECTORS / 2) {
                for part in [&head[..], body.bytes()] {
                    let rest = &part[skip.min(part.len())..];
                    skip -= part.len() - rest.len();
                    if !rest.is_empty() {
                        vectors[count] = libc::iovec { iov_base: rest.as_ptr() as *mut _, iov_len: rest.len() };
                        count += 1;
                        total += rest.len();
                    }
                }
            }
            // SAFETY: the first `count` vectors point into frames that live and do not change until the call returns.
            let written = unsafe { libc::writev(fd, vectors.as_ptr(), count as i32) };
            if written < 0 {
                let error = io::Error::last_os_error();
                return match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(()),
                    io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                };
            }
            self.advance(written as usize);
            if (written as usize) < total {
                return Ok(());
            }
        }
        Ok(())
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        while let Some((head, body)) = self.frames.front() {
            let size = head.len() + body.bytes().len();
            if self.sent < size {
                return;
            }
            self.sent -= size;
            if let Some((_, Body::Own(buffer))) = self.frames.pop_front() {
                self.spare.push(buffer);
            }
        }
    }
}

/// A connection with what is under way on it.
pub struct Link {
    socket: TcpStream,
    pub outbox: Outbox,
    inbox: BytesMut,
    /// Whether the poller watches for writability.
    pub watches_writes: bool,
}

impl Link {
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, outbox: Outbox::default(), inbox: BytesMut::new(), watches_writes: false })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.outbox.flush(self.socket.as_raw_fd())
    }

    /// Bytes that the frame at the front of the inbox takes, its size prefix included.
    fn frame_bytes(&self) -> io::Result<Option<usize>> {
        let Some(prefix) = self.inbox.first_chunk::<4>() else { return Ok(None) };
        let size = i32::from_be_bytes(*prefix);
        match usize::try_from(size) {
            Ok(size) if size <= MAX_FRAME_BYTES => Ok(Some(size + 4)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer claims to have {size} bytes"))),
        }
    }

    /// Reads what the socket has, one call, into a buffer that holds the frame under way: whether there may be more.
    pub fn fill(&mut self) -> io::Result<bool> {
        let wanted = self.frame_bytes()?.unwrap_or(0).max(READ_BYTES);
        if self.inbox.capacity() < wanted || self.inbox.capacity() == self.inbox.len() {
            self.inbox.reserve(wanted.max(self.inbox.len() + 1) - self.inbox.len());
        }
        let spare = self.inbox.spare_capacity_mut();
        let room = spare.len().min(READ_BYTES);
        // SAFETY: the kernel writes at most `room` bytes into memory that this buffer owns.
        let read = unsafe { libc::recv(self.socket.as_raw_fd(), spare.as_mut_ptr().cast(), room, 0) };
        match read {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection")),
            1.. => {
                // SAFETY: so many bytes were just written there.
                unsafe { self.inbox.advance_mut(read as usize) };
                Ok(read as usize == room)
            }
            _ => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
                    _ => Err(error),
                }
            }
        }
    }

    /// The next whole frame, without its size prefix.
    pub fn frame(&mut self) -> io::Result<Option<Bytes>> {
        match self.frame_bytes()? {
            Some(size) if size <= self.inbox.len() => Ok(Some(self.inbox.split_to(size).freeze().slice(4..))),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        (link, listener.accept().unwrap().0)
    }

    #[test]
    fn frames_leave_whole_and_in_order_however_the_socket_takes_them() {
        let (mut link, mut peer) = pair();
        let body = Rc::new((0..3_000_000u32).map(|i| i as u8).collect::<Vec<u8>>());
        let mut wanted: Vec<u8> = Vec::new();
        for i in 0..20u8 {
            let own = vec![i; usize::from(i) * 1_000];
            wanted.extend([i; HEAD_BYTES].iter().chain(&own));
            link.outbox.push([i; HEAD_BYTES], Body::Own(own));
            wanted.extend([i; HEAD_BYTES].iter().chain(body.iter()));
            link.outbox.push([i; HEAD_BYTES], Body::Shared(body.clone()));
        }
        let length = wanted.len();
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; length];
            peer.read_exact(&mut got).unwrap();
            got
        });
        while !link.outbox.is_empty() {
            link.flush().unwrap();
        }
        assert!(reader.join().unwrap() == wanted);
        assert!(!link.outbox.buffer().is_empty(), "buffers are used again");
    }

    #[test]
    fn a_whole_frame_leaves_as_it_is() {
        let (mut link, mut peer) = pair();
        let frames: [&[u8]; 2] = [b"a head alone", b"a head alone, and a body"];
        for frame in frames {
            link.outbox.push_frame(frame);
            link.flush().unwrap();
            let mut got = vec![0; frame.len()];
            peer.read_exact(&mut got).unwrap();
            assert_eq!(got, frame);
        }
    }

    #[test]
    fn frames_come_in_whole_however_they_were_cut() {
        let (mut link, mut peer) = pair();
        let frames: Vec<Vec<u8>> = (0..50u32).map(|i| vec![i as u8; (i * i * 100) as usize]).collect();
        let sent = frames.clone();
        let writer = std::thread::spawn(move || {
            for frame in &sent {
                peer.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
                for part in frame.chunks(70_001) {
                    peer.write_all(part).unwrap();
                }
            }
            peer
        });
        let mut got = Vec::new();
        while got.len() < frames.len() {
            link.fill().unwrap();
            while let Some(frame) = link.frame().unwrap() {
                got.push(frame.to_vec());
            }
        }
        assert!(got == frames);
        drop(writer.join().unwrap());
        let ended = loop {
            if let Err(error) = link.fill() {
                break error;
            }
        };
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }
}
