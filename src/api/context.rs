//! What requests share: the context of a core, the connection, and what becomes of a request.

use crate::io::Piece;
use crate::shard::Shards;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

/// What the requests of one core share.
pub struct ApiContext {
    /// The partitions of all cores.
    pub(super) shards: Shards,
    /// Where the broker listens, one address for each of the configured listeners.
    pub(super) addresses: Vec<SocketAddr>,
}

impl ApiContext {
    /// A core's context; `addresses` are those that the listeners of the configuration are bound to.
    pub fn new(shards: Shards, addresses: Vec<SocketAddr>) -> Rc<Self> {
        Rc::new(Self { shards, addresses })
    }
}

/// What is known of a client's connection.
pub struct Connection {
    /// Address of the client.
    pub peer: SocketAddr,
    /// Name of the listener that it came in by.
    pub listener: Box<str>,
    /// Name and version that the client gave with ApiVersions (KIP-511).
    pub(super) software: RefCell<Option<(String, String)>>,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(peer: SocketAddr, listener: &str) -> Self {
        Self { peer, listener: listener.into(), software: RefCell::new(None) }
    }
}

/// What becomes of a request.
pub enum Answer {
    /// The whole frame, with its length.
    Send(Vec<Piece>),
    /// The client wants no answer (acks=0).
    Nothing,
    /// The connection is to be closed; the text says why, for the log.
    Close(String),
}

/// The rest of a request.
pub type Finish = Pin<Box<dyn Future<Output = Answer>>>;
