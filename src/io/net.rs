//! TCP sockets: whole answers go out as a list of pieces, memory or file.

use super::core::Kind;
use super::real::{RealAccepted, RealListener, RealSocket};
use super::{FileSlice, Io};
use bytes::{Bytes, BytesMut};
use std::io::Result;
use std::net::SocketAddr;
use std::rc::Rc;

/// How to listen. What is not said is the system's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListenOptions {
    /// SO_REUSEPORT, so that each core can listen on the same port.
    pub shared: bool,
    /// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
    pub backlog: Option<i32>,
    /// Bytes that each connection may have on their way out (SO_SNDBUF). The kernel doubles it for its own needs and lowers it to
    /// `net.core.wmem_max`; a size that is set stays, where the system's choice follows the connection.
    pub send_buffer: Option<usize>,
    /// The same of what has arrived and was not read (SO_RCVBUF, `net.core.rmem_max`).
    pub receive_buffer: Option<usize>,
}

/// A listening socket of one core.
pub struct Listener {
    kind: ListenerKind,
}

enum ListenerKind {
    Real(RealListener),
    #[cfg(feature = "sim")]
    Sim(super::sim::SimListener),
}

#[cfg(feature = "sim")]
impl From<super::sim::SimListener> for Listener {
    fn from(it: super::sim::SimListener) -> Self {
        Self { kind: ListenerKind::Sim(it) }
    }
}

impl From<RealListener> for Listener {
    fn from(listener: RealListener) -> Self {
        Self { kind: ListenerKind::Real(listener) }
    }
}

/// A connection that no core has taken yet; may be handed to another core. Dropping it closes it.
pub struct Accepted {
    kind: AcceptedKind,
}

enum AcceptedKind {
    Real(RealAccepted),
    #[cfg(feature = "sim")]
    Sim(super::sim::SimAccepted),
}

#[cfg(feature = "sim")]
impl From<super::sim::SimAccepted> for Accepted {
    fn from(it: super::sim::SimAccepted) -> Self {
        Self { kind: AcceptedKind::Sim(it) }
    }
}

impl From<RealAccepted> for Accepted {
    fn from(accepted: RealAccepted) -> Self {
        Self { kind: AcceptedKind::Real(accepted) }
    }
}

/// A connection on its core. Clones share it: one task may read while another sends (one of each at a time).
#[derive(Clone)]
pub struct Socket {
    kind: SocketKind,
}

#[derive(Clone)]
enum SocketKind {
    Real(Rc<RealSocket>),
    #[cfg(feature = "sim")]
    Sim(Rc<super::sim::SimSocket>),
}

#[cfg(feature = "sim")]
impl From<Rc<super::sim::SimSocket>> for Socket {
    fn from(it: Rc<super::sim::SimSocket>) -> Self {
        Self { kind: SocketKind::Sim(it) }
    }
}

impl From<Rc<RealSocket>> for Socket {
    fn from(socket: Rc<RealSocket>) -> Self {
        Self { kind: SocketKind::Real(socket) }
    }
}

/// A part of what is sent.
#[derive(Clone)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a file: by `sendfile` when they are in the page cache, else read into bounded buffers first.
    File(FileSlice),
}

impl Listener {
    /// The address it listens on (with the port that the kernel chose for port 0).
    pub fn local_addr(&self) -> Result<SocketAddr> {
        each!(&self.kind, ListenerKind, it => it.local_addr())
    }

    /// Waits for the next connection. An error does not end the listener unless it was closed: when descriptors run out, one
    /// connection has been refused (its other end sees it closed) and the caller should say so and go on after a pause.
    pub async fn accept(&self) -> Result<Accepted> {
        each!(&self.kind, ListenerKind, it => it.accept().await.map(Accepted::from))
    }

    /// Stops listening: a pending and every later [`Listener::accept`] fails with `NotConnected`.
    pub fn close(&self) {
        each!(&self.kind, ListenerKind, it => it.close());
    }
}

impl Accepted {
    /// Address of the other end.
    pub fn peer_addr(&self) -> SocketAddr {
        each!(&self.kind, AcceptedKind, it => it.peer_addr())
    }

    /// Binds the connection to this core (TCP_NODELAY set).
    pub fn attach(self, io: &Io) -> Result<Socket> {
        match (self.kind, &io.kind) {
            (AcceptedKind::Real(it), Kind::Real(core)) => it.attach(core).map(Socket::from),
            #[cfg(feature = "sim")]
            (AcceptedKind::Sim(it), Kind::Sim(core)) => it.attach(core).map(Socket::from),
            #[cfg(feature = "sim")]
            _ => unreachable!("a connection of one kind, a core of the other"),
        }
    }
}

impl Socket {
    /// Address of the other end.
    pub fn peer_addr(&self) -> SocketAddr {
        each!(&self.kind, SocketKind, it => it.peer_addr())
    }

    /// Address of this end.
    pub fn local_addr(&self) -> SocketAddr {
        each!(&self.kind, SocketKind, it => it.local_addr())
    }

    /// Appends what has arrived to `buffer`, within its spare capacity (at least 1); 0 when the other end has closed.
    pub async fn read(&self, buffer: &mut BytesMut) -> Result<usize> {
        assert!(buffer.capacity() > buffer.len(), "a read needs room");
        each!(&self.kind, SocketKind, it => it.read(buffer).await)
    }

    /// Sends all pieces in order, gathered where that saves calls. After an error (a file that turned out short is one) part of it
    /// may have left: the only thing to do is [`Socket::shutdown`].
    pub async fn send(&self, pieces: &[Piece]) -> Result<()> {
        each!(&self.kind, SocketKind, it => it.send(pieces).await)
    }

    /// Ends both directions; pending and later calls return an error or 0. The descriptor closes with the last clone.
    pub fn shutdown(&self) {
        each!(&self.kind, SocketKind, it => it.shutdown());
    }
}
