//! The brokers of a cluster and one connection to each, which is made again when it is lost. Nothing here waits.

use crate::clock::SECOND;
use crate::link::Link;
use crate::poll::Poller;
use crate::worker::Failure;
use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

/// A connection that is not there after so many nanoseconds is given up.
const CONNECT_PATIENCE: u64 = SECOND;

/// What a request that awaits its answer was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A record of the line with this place, in this one of its sendings.
    Record(usize, u64),
    Metadata,
}

/// A connection and what is under way on it.
struct Connection {
    link: Link,
    since: u64,
    is_open: bool,
    /// By correlation id, with the time of asking; the oldest first.
    pending: BTreeMap<i32, (Asked, u64)>,
}

struct Node {
    address: SocketAddr,
    connection: Option<Connection>,
    /// No other connection is tried before.
    not_before: u64,
}

/// What has happened at a broker.
#[derive(Debug)]
pub enum News {
    /// The answer to a request, without its size prefix.
    Answer { asked: Asked, correlation: i32, frame: Bytes },
    /// The connection is gone, with everything under way on it.
    Lost,
}

/// All brokers by `node.id`.
pub struct Nodes {
    poller: Poller,
    nodes: BTreeMap<i32, Node>,
    correlation: i32,
    /// Nanoseconds between two tries to connect.
    pause: u64,
    /// A connection whose oldest request has waited for so many nanoseconds is given up.
    patience: u64,
}

fn connect(address: SocketAddr) -> std::io::Result<Link> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Link::new(TcpStream::from(socket)),
    }
}

impl Nodes {
    pub fn new(pause: u64, patience: u64) -> Result<Self, Failure> {
        Ok(Self { poller: Poller::new()?, nodes: BTreeMap::new(), correlation: 0, pause, patience })
    }

    /// Takes up a broker that metadata tell of. One that is known keeps its connection, unless it has moved.
    pub fn know(&mut self, id: i32, host: &str, port: i32) {
        let Some(address) = (host, port as u16).to_socket_addrs().ok().and_then(|mut all| all.next()) else { return };
        let node = self.nodes.entry(id).or_insert(Node { address, connection: None, not_before: 0 });
        node.address = address;
    }

    pub fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Whether requests can leave for this broker now. If there is no connection one is begun.
    pub fn is_ready(&mut self, id: i32, now: u64) -> bool {
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        if let Some(connection) = &node.connection {
            return connection.is_open;
        }
        if now < node.not_before {
            return false;
        }
        node.not_before = now + self.pause;
        let Ok(mut link) = connect(node.address) else { return false };
        link.watches_writes = true;
        let watched =
            self.poller.add(link.fd(), id as usize).and_then(|()| self.poller.watch_writes(link.fd(), id as usize, true));
        if watched.is_ok() {
            node.connection = Some(Connection { link, since: now, is_open: false, pending: BTreeMap::new() });
        }
        false
    }

    /// How long the oldest request to this broker has been waiting.
    pub fn silence(&self, id: i32, now: u64) -> u64 {
        let connection = self.nodes.get(&id).and_then(|node| node.connection.as_ref());
        let oldest = connection.and_then(|connection| connection.pending.first_key_value());
        oldest.map_or(0, |(_, (_, at))| now.saturating_sub(*at))
    }

    /// Sends a request, made for its number, to a broker that is ready.
    pub fn send(
        &mut self,
        id: i32,
        asked: Asked,
        now: u64,
        request: impl FnOnce(i32) -> Result<Bytes, Failure>,
    ) -> Result<(), Failure> {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let frame = request(self.correlation)?;
        let connection = self.nodes.get_mut(&id).and_then(|node| node.connection.as_mut()).expect("the caller looked");
        connection.link.outbox.push_frame(&frame);
        connection.pending.insert(self.correlation, (asked, now));
        Ok(())
    }

    /// Writes what is to leave, takes what has come within `timeout` nanoseconds, and gives up what has been silent for too long.
    pub fn turn(&mut self, now: u64, timeout: u64) -> Result<Vec<(i32, News)>, Failure> {
        let mut news = Vec::new();
        for id in self.ids() {
            self.flush(id, now, &mut news);
        }
        let timeout = if news.is_empty() { timeout } else { 0 };
        for index in 0..self.poller.wait(Some(timeout))? {
            let event = self.poller.event(index);
            let id = event.token as i32;
            if event.readable {
                self.take(id, now, &mut news);
            }
            if event.writable {
                let connection = self.nodes.get_mut(&id).and_then(|node| node.connection.as_mut());
                connection.into_iter().for_each(|connection| connection.is_open = true);
                self.flush(id, now, &mut news);
            }
        }
        Ok(news)
    }

    fn flush(&mut self, id: i32, now: u64, news: &mut Vec<(i32, News)>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(connection) = &mut node.connection else { return };
        let oldest = connection.pending.first_key_value().map(|(_, (_, at))| *at);
        let is_late = oldest.is_some_and(|at| now.saturating_sub(at) > self.patience)
            || !connection.is_open && now.saturating_sub(connection.since) > CONNECT_PATIENCE;
        let flushed = if connection.is_open { connection.link.flush() } else { Ok(()) };
        let wanted = !connection.is_open || !connection.link.outbox.is_empty();
        let (fd, watches) = (connection.link.fd(), &mut connection.link.watches_writes);
        let mut watched = Ok(());
        if *watches != wanted {
            *watches = wanted;
            watched = self.poller.watch_writes(fd, id as usize, wanted);
        }
        if is_late || flushed.is_err() || watched.is_err() {
            self.lose(id, now, news);
        }
    }

    fn lose(&mut self, id: i32, now: u64, news: &mut Vec<(i32, News)>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.connection = None;
            node.not_before = now + self.pause;
            news.push((id, News::Lost));
        }
    }

    /// Takes all whole answers of a connection.
    fn take(&mut self, id: i32, now: u64, news: &mut Vec<(i32, News)>) {
        loop {
            let Some(connection) = self.nodes.get_mut(&id).and_then(|node| node.connection.as_mut()) else { return };
            let filled = connection.link.fill();
            while let Ok(Some(frame)) = connection.link.frame() {
                let correlation = frame.first_chunk::<4>().map_or(-1, |bytes| i32::from_be_bytes(*bytes));
                if let Some((asked, _)) = connection.pending.remove(&correlation) {
                    news.push((id, News::Answer { asked, correlation, frame }));
                }
            }
            match filled {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return self.lose(id, now, news),
            }
        }
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
