//! Listening and accepting.
//!
//! We poll the listener and take connections with `accept4`, close-on-exec and non-blocking from their first moment. When descriptors
//! run out, a spare one lets us accept and close the connection, so that its other end learns of it instead of waiting in the queue,
//! and so that the queue does not stay full.

use super::check;
use super::core::RealCore;
use super::reactor::{Readiness, Side};
use super::socket::RealSocket;
use crate::io::ListenOptions;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

/// Connections that may wait to be accepted where nobody says how many.
const BACKLOG: i32 = 4096;

pub(in crate::io) struct RealListener {
    /// Before the socket, which it watches.
    readiness: Readiness,
    socket: Socket,
    core: Rc<RealCore>,
    closed: Cell<bool>,
    spare: RefCell<Option<File>>,
}

/// A connection before it has a core.
pub(in crate::io) struct RealAccepted {
    fd: OwnedFd,
    peer: SocketAddr,
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn bind(address: SocketAddr, options: ListenOptions) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.shared)?;
    // Connections have the sizes of their listener, and what they can receive is agreed on while they are made (RFC 7323).
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(options.backlog.unwrap_or(BACKLOG))?;
    Ok(socket)
}

impl RealCore {
    pub(in crate::io) fn probe_port(&self, address: SocketAddr) -> Result<()> {
        bind(address, ListenOptions::default()).map(drop)
    }

    pub(in crate::io) fn listen(self: &Rc<Self>, address: SocketAddr, options: ListenOptions) -> Result<RealListener> {
        let socket = bind(address, options)?;
        let readiness = Readiness::new(&self.reactor, &socket, true);
        Ok(RealListener { readiness, socket, core: self.clone(), closed: Cell::new(false), spare: RefCell::new(spare()) })
    }
}

impl RealListener {
    pub(in crate::io) fn local_addr(&self) -> Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(|| Error::other("not an internet address"))
    }

    pub(in crate::io) fn close(&self) {
        if !self.closed.replace(true) {
            // Ends a pending poll; the descriptor itself closes with the listener.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(in crate::io) async fn accept(&self) -> Result<RealAccepted> {
        loop {
            if self.closed.get() {
                return Err(Error::new(ErrorKind::NotConnected, "the listener is closed"));
            }
            self.readiness.ready(Side::Read).await?;
            match self.take() {
                Ok(accepted) => {
                    self.core.counting.add(|all| all.accepts += 1);
                    return Ok(accepted);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => self.readiness.used_up(Side::Read),
                    // The other end has gone already, or the network says why it will: neither is about the listener.
                    Some(
                        libc::EINTR | libc::ECONNABORTED | libc::EPROTO | libc::ENETDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH,
                    ) => {}
                    Some(libc::EMFILE | libc::ENFILE) => {
                        self.refuse_one();
                        return Err(error);
                    }
                    _ if self.closed.get() => {}
                    _ => return Err(error),
                },
            }
        }
    }

    fn take(&self) -> Result<RealAccepted> {
        // SAFETY: `accept4` fills the address it is given; on success the descriptor has no other owner.
        let (fd, peer) = unsafe {
            SockAddr::try_init(|address, len| {
                let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
                check(libc::accept4(self.socket.as_raw_fd(), address.cast(), len, flags)).map(|fd| OwnedFd::from_raw_fd(fd))
            })
        }?;
        let peer = peer.as_socket().ok_or_else(|| Error::other("not an internet address"))?;
        Ok(RealAccepted { fd, peer })
    }

    fn refuse_one(&self) {
        let mut reserve = self.spare.borrow_mut();
        drop(reserve.take());
        drop(self.take());
        *reserve = spare();
    }
}

impl RealAccepted {
    pub(in crate::io) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn attach(self, core: &Rc<RealCore>) -> Result<Rc<RealSocket>> {
        RealSocket::attach(self.fd.into(), self.peer, core)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(options: ListenOptions) -> (Socket, SocketAddr) {
        let socket = bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        socket.set_nonblocking(false).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    /// What the kernel says of a listener's queue: how many may wait.
    fn backlog(socket: &Socket) -> u32 {
        // SAFETY: the structure is all integers, and the kernel fills as much of it as it is told there is.
        unsafe {
            let mut info: libc::tcp_info = std::mem::zeroed();
            let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
            let (level, option) = (libc::IPPROTO_TCP, libc::TCP_INFO);
            check(libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut info).cast(), &raw mut len)).unwrap();
            info.tcpi_sacked
        }
    }

    #[test]
    fn connections_have_the_buffers_of_their_listener() {
        let options = ListenOptions { send_buffer: Some(30_000), receive_buffer: Some(20_000), ..ListenOptions::default() };
        let sizes = |options| {
            let (listener, address) = listen(options);
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.connect(&address.into()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            (accepted.send_buffer_size().unwrap(), accepted.recv_buffer_size().unwrap())
        };
        // The kernel doubles what it is told, to have room for its own.
        assert_eq!(sizes(options), (60_000, 40_000));
        let (send, receive) = sizes(ListenOptions::default());
        assert!(send != 60_000 && receive != 40_000, "the system's choice is {send} and {receive}");
    }

    #[test]
    fn as_many_may_wait_as_was_said() {
        let (few, _) = listen(ListenOptions { backlog: Some(7), ..ListenOptions::default() });
        let (many, _) = listen(ListenOptions::default());
        assert_eq!(backlog(&few), 7);
        assert!(backlog(&many) > 7);
    }
}
