//! TCP sockets: whole answers go out as a list of pieces, memory or file.

use super::{FileSlice, Io};
use bytes::{Bytes, BytesMut};
use std::io::Result;
use std::net::SocketAddr;

/// A listening socket of one core.
pub struct Listener {
    _todo: std::rc::Rc<()>,
}

/// A connection that no core has taken yet; may be handed to another core. Dropping it closes it.
pub struct Accepted {
    _todo: (),
}

/// A connection on its core. Clones share it: one task may read while another sends (one of each at a time).
#[derive(Clone)]
pub struct Socket {
    _todo: std::rc::Rc<()>,
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
        todo!()
    }

    /// Waits for the next connection. Never drop this future while it is pending.
    pub async fn accept(&self) -> Result<Accepted> {
        todo!()
    }

    /// Stops listening: a pending and every later [`Listener::accept`] fails.
    pub fn close(&self) {
        todo!()
    }
}

impl Accepted {
    /// Address of the other end.
    pub fn peer_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Binds the connection to this core (TCP_NODELAY set).
    pub fn attach(self, io: &Io) -> Result<Socket> {
        let _ = io;
        todo!()
    }
}

impl Socket {
    /// Address of the other end.
    pub fn peer_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Address of this end.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Appends what has arrived to `buffer`, within its spare capacity (at least 1); 0 when the other end has closed.
    pub async fn read(&self, buffer: &mut BytesMut) -> Result<usize> {
        let _ = buffer;
        todo!()
    }

    /// Sends all pieces in order, gathered where that saves calls. After an error (a file that turned out short is one) part of it
    /// may have left: the only thing to do is [`Socket::shutdown`].
    pub async fn send(&self, pieces: &[Piece]) -> Result<()> {
        let _ = pieces;
        todo!()
    }

    /// Ends both directions; pending and later calls return an error or 0. The descriptor closes with the last clone.
    pub fn shutdown(&self) {
        todo!()
    }
}
