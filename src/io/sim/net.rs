//! The network between hosts: connections of two directions, each a queue of segments that arrive in order.
//!
//! Legal faults:
//! - A segment takes any time of the configured range; a stalled one holds up those behind it.
//! - A cut link delivers nothing and tells nobody. Segments go on when it heals; a sender gives up after `give_up`, and the other end
//!   may never learn of it (half-open). The same while a host is without power; after its restart it answers with a reset.
//! - A connection may break at any segment: both ends see a reset, what was on its way is lost.
//! - A killed process's connections are closed by its kernel: in order where nothing was unread, else by a reset.
//! - A read returns any part of what has arrived, a write takes any part of what fits.
//! - Bytes are never lost, doubled, changed or reordered within a connection that lives.

use super::rng::{Happened, sum};
use super::state::{HostId, State, address_of};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::task::Waker;

/// How long a sender waits before it tries a dead link again.
const RETRY: u64 = 200_000_000;
const BACKLOG: usize = 4096;

#[derive(Default)]
pub(super) struct Net {
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) listeners: BTreeMap<u64, Listening>,
    pub(super) connecting: BTreeMap<u64, Connecting>,
    /// Directions that deliver nothing.
    cut: BTreeSet<(HostId, HostId)>,
    next: u64,
}

pub(super) struct Listening {
    pub(super) host: HostId,
    pub(super) address: SocketAddr,
    pub(super) shared: bool,
    pub(super) queue: VecDeque<u64>,
    pub(super) waker: Option<Waker>,
}

pub(super) struct Connecting {
    host: HostId,
    pub(super) result: Option<Result<u64>>,
    pub(super) waker: Option<Waker>,
}

/// End 0 connected, end 1 was accepted.
pub(super) struct Connection {
    pub(super) ends: [End; 2],
}

pub(super) struct End {
    pub(super) host: HostId,
    pub(super) epoch: u64,
    pub(super) address: SocketAddr,
    /// What travels towards this end.
    wire: VecDeque<(u64, Segment)>,
    wire_bytes: usize,
    last_arrival: u64,
    inbox: VecDeque<Bytes>,
    inbox_bytes: usize,
    finished: bool,
    reset: bool,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

enum Segment {
    Data(Bytes),
    End,
}

impl End {
    fn new(host: HostId, epoch: u64, address: SocketAddr) -> Self {
        Self {
            host,
            epoch,
            address,
            wire: VecDeque::new(),
            wire_bytes: 0,
            last_arrival: 0,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            finished: false,
            reset: false,
            closed: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Net {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn free_port(&self, host: HostId, mut wanted: u16) -> u16 {
        while self.listeners.values().any(|listening| listening.host == host && listening.address.port() == wanted) {
            wanted += 1;
        }
        wanted
    }
}

impl State {
    // ---- links -----------------------------------------------------------------------------------------------------------------

    pub(super) fn cut(&mut self, from: HostId, to: HostId) {
        if self.net.cut.insert((from, to)) {
            self.faults.partitions += 1;
            self.fold(Happened::Linked, &[from.0 as u64, to.0 as u64, 0]);
        }
    }

    pub(super) fn heal(&mut self, from: HostId, to: HostId) {
        if self.net.cut.remove(&(from, to)) {
            self.fold(Happened::Linked, &[from.0 as u64, to.0 as u64, 1]);
        }
    }

    fn delivers(&self, from: HostId, to: HostId) -> bool {
        !self.net.cut.contains(&(from, to)) && self.hosts[to.0].powered
    }

    fn latency(&mut self, from: HostId, to: HostId) -> u64 {
        if from == to {
            return self.net_rng.between(5_000, 30_000);
        }
        State::draw(&mut self.net_rng, self.options.net.latency)
    }

    // ---- listening and connecting ------------------------------------------------------------------------------------------------

    pub(super) fn listen(&mut self, host: HostId, mut address: SocketAddr, shared: bool) -> Result<u64> {
        if address.port() == 0 {
            address.set_port(self.net.free_port(host, 20_000));
        }
        let clash = |other: &Listening| {
            other.host == host
                && other.address.port() == address.port()
                && (other.address.ip() == address.ip() || other.address.ip().is_unspecified() || address.ip().is_unspecified())
                && !(shared && other.shared)
        };
        if self.net.listeners.values().any(clash) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let id = self.net.number();
        self.net.listeners.insert(id, Listening { host, address, shared, queue: VecDeque::new(), waker: None });
        Ok(id)
    }

    pub(super) fn close_listener(&mut self, id: u64) {
        if let Some(mut listening) = self.net.listeners.remove(&id) {
            for connection in std::mem::take(&mut listening.queue) {
                if self.hosts[listening.host.0].powered {
                    self.reset_end(connection, 0);
                }
                self.drop_end(connection, 1);
            }
            if let Some(waker) = listening.waker {
                waker.wake();
            }
        }
    }

    /// Starts to connect; the result comes into [`Net::connecting`].
    pub(super) fn connect(&mut self, from: HostId, epoch: u64, to: SocketAddr) -> u64 {
        let id = self.net.number();
        self.net.connecting.insert(id, Connecting { host: from, result: None, waker: None });
        let deadline = self.now + self.options.net.give_up.as_nanos() as u64;
        match self.host_of(to.ip(), from) {
            Some(host) => self.knock(id, from, epoch, host, to, deadline),
            None => self.at(deadline, move |state| state.connected(id, Err(ErrorKind::TimedOut.into()))),
        }
        id
    }

    /// Whoever was connecting does not wait any more.
    pub(super) fn give_up_connecting(&mut self, id: u64) {
        if let Some(Connecting { result: Some(Ok(connection)), .. }) = self.net.connecting.remove(&id) {
            self.drop_end(connection, 0);
        }
    }

    fn knock(&mut self, id: u64, from: HostId, epoch: u64, host: HostId, to: SocketAddr, deadline: u64) {
        let arrival = self.now + self.latency(from, host);
        self.at(arrival, move |state| {
            if !state.delivers(from, host) || !state.delivers(host, from) {
                if state.now >= deadline {
                    return state.connected(id, Err(ErrorKind::TimedOut.into()));
                }
                let again = state.now + 5 * RETRY;
                return state.at(again, move |state| state.knock(id, from, epoch, host, to, deadline));
            }
            let result = state.answer(from, epoch, host, to);
            let arrival = state.now + state.latency(host, from);
            state.at(arrival, move |state| state.connected(id, result));
        });
    }

    /// The listening host takes or refuses a connection.
    fn answer(&mut self, from: HostId, epoch: u64, host: HostId, to: SocketAddr) -> Result<u64> {
        let open: Vec<u64> = self
            .net
            .listeners
            .iter()
            .filter(|(_, it)| {
                let ip = it.address.ip();
                it.host == host
                    && it.address.port() == to.port()
                    && it.queue.len() < BACKLOG
                    && (ip.is_unspecified() || to.ip().is_unspecified() || ip == to.ip())
            })
            .map(|(&id, _)| id)
            .collect();
        if open.is_empty() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let chosen = open[self.net_rng.below(open.len() as u64) as usize];
        let id = self.net.number();
        let port = 32_768 + (id % 28_000) as u16;
        let ip = if to.ip().is_loopback() { to.ip() } else { address_of(from) };
        let to = if to.ip().is_unspecified() { SocketAddr::new(address_of(host), to.port()) } else { to };
        let there = self.hosts[host.0].epoch;
        let ends = [End::new(from, epoch, SocketAddr::new(ip, port)), End::new(host, there, to)];
        self.net.connections.insert(id, Connection { ends });
        let listening = self.net.listeners.get_mut(&chosen).expect("chosen among the open ones");
        listening.queue.push_back(id);
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        Ok(id)
    }

    fn connected(&mut self, id: u64, result: Result<u64>) {
        let outcome = if result.is_ok() { Happened::Connected } else { Happened::Refused };
        self.fold(outcome, &[id]);
        match (self.net.connecting.get_mut(&id), result) {
            (Some(connecting), result) => {
                connecting.result = Some(result);
                if let Some(waker) = connecting.waker.take() {
                    waker.wake();
                }
            }
            // The process that connected is gone.
            (None, Ok(connection)) => self.drop_end(connection, 0),
            (None, Err(_)) => {}
        }
    }

    // ---- segments ----------------------------------------------------------------------------------------------------------------

    fn end(&mut self, connection: u64, end: usize) -> Option<&mut End> {
        self.net.connections.get_mut(&connection).map(|connection| &mut connection.ends[end])
    }

    /// Takes a part of `data`; `None` when the window is full, and `waker` is woken when it opens.
    pub(super) fn send(&mut self, connection: u64, from: usize, data: &[u8], waker: &Waker) -> Result<Option<usize>> {
        let window = self.options.net.window;
        let Some(there) = self.end(connection, 1 - from) else { return Err(ErrorKind::BrokenPipe.into()) };
        let room = window.saturating_sub(there.inbox_bytes + there.wire_bytes);
        let here = self.end(connection, from).expect("both ends or none");
        if here.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if here.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if room == 0 {
            here.writer = Some(waker.clone());
            return Ok(None);
        }
        let mut len = data.len().min(room);
        if len > 1 && self.net_rng.one_in(8) {
            len = self.net_rng.between(1, len as u64) as usize;
        }
        self.transmit(connection, 1 - from, Segment::Data(Bytes::copy_from_slice(&data[..len])), len);
        Ok(Some(len))
    }

    fn transmit(&mut self, connection: u64, to: usize, segment: Segment, len: usize) {
        let Some(both) = self.net.connections.get(&connection) else { return };
        let (from_host, to_host) = (both.ends[1 - to].host, both.ends[to].host);
        let mut latency = self.latency(from_host, to_host);
        if self.net_rng.per_million(self.options.net.stalls) {
            self.faults.stalls += 1;
            latency += self.net_rng.below(self.options.net.stall.as_nanos() as u64 + 1);
        }
        let breaks = self.net_rng.per_million(self.options.net.resets);
        let wire_time = len as u64 * 1_000_000_000 / self.options.net.bandwidth;
        let now = self.now;
        let end = self.end(connection, to).expect("looked up above");
        let arrival = (now + latency).max(end.last_arrival) + wire_time;
        end.last_arrival = arrival;
        end.wire_bytes += len;
        end.wire.push_back((arrival, segment));
        if breaks {
            self.at(arrival, move |state| state.break_connection(connection));
        } else {
            self.at(arrival, move |state| state.arrive(connection, to));
        }
    }

    /// Takes off the wire what has arrived at an end.
    fn arrive(&mut self, connection: u64, to: usize) {
        let Some(both) = self.net.connections.get(&connection) else { return };
        let (from_host, to_host, epoch) = (both.ends[1 - to].host, both.ends[to].host, both.ends[to].epoch);
        let Some(&(sent_for, _)) = both.ends[to].wire.front() else { return };
        if sent_for > self.now {
            return; // it was retried already, and its successor has an event of its own
        }
        if !self.delivers(from_host, to_host) {
            if self.now - sent_for >= self.options.net.give_up.as_nanos() as u64 {
                return self.reset_end(connection, 1 - to);
            }
            let again = self.now + RETRY;
            return self.at(again, move |state| state.arrive(connection, to));
        }
        if self.hosts[to_host.0].epoch != epoch {
            // Another process, or another boot: it knows no such connection.
            return self.reset_end(connection, 1 - to);
        }
        loop {
            let now = self.now;
            let end = self.end(connection, to).expect("looked up above");
            if end.wire.front().is_none_or(|(arrival, _)| *arrival > now) {
                return self.forget_connection(connection);
            }
            let (_, segment) = end.wire.pop_front().expect("looked at above");
            match segment {
                Segment::Data(data) => {
                    end.wire_bytes -= data.len();
                    if end.closed {
                        return self.reset_end(connection, 1 - to);
                    }
                    end.inbox_bytes += data.len();
                    let check = sum(&data);
                    end.inbox.push_back(data);
                    if let Some(waker) = end.reader.take() {
                        waker.wake();
                    }
                    self.fold(Happened::Arrived, &[connection, to as u64, check]);
                }
                Segment::End => {
                    end.finished = true;
                    if let Some(waker) = end.reader.take() {
                        waker.wake();
                    }
                    self.fold(Happened::Arrived, &[connection, to as u64, 0]);
                }
            }
        }
    }

    /// Appends what has arrived; `None` when nothing has, and `waker` is woken when something does.
    pub(super) fn receive(&mut self, connection: u64, at: usize, buffer: &mut BytesMut, waker: &Waker) -> Result<Option<usize>> {
        let short = self.net_rng.one_in(8);
        let draw = self.net_rng.next();
        let Some(end) = self.end(connection, at) else { return Ok(Some(0)) };
        if end.closed {
            return Ok(Some(0));
        }
        if end.inbox_bytes == 0 {
            return match (end.reset, end.finished) {
                (true, _) => Err(ErrorKind::ConnectionReset.into()),
                (_, true) => Ok(Some(0)),
                _ => {
                    end.reader = Some(waker.clone());
                    Ok(None)
                }
            };
        }
        let mut room = buffer.capacity() - buffer.len();
        if short {
            room = room.min(1 + (draw % end.inbox_bytes as u64) as usize);
        }
        let mut taken = 0;
        while room > 0
            && let Some(first) = end.inbox.front_mut()
        {
            let len = first.len().min(room);
            buffer.extend_from_slice(&first[..len]);
            first.advance(len);
            if first.is_empty() {
                end.inbox.pop_front();
            }
            taken += len;
            room -= len;
        }
        end.inbox_bytes -= taken;
        if let Some(writer) = self.end(connection, 1 - at).and_then(|end| end.writer.take()) {
            writer.wake();
        }
        Ok(Some(taken))
    }

    // ---- ends --------------------------------------------------------------------------------------------------------------------

    /// An end sees a reset; what it has not read is gone.
    fn reset_end(&mut self, connection: u64, at: usize) {
        let Some(end) = self.end(connection, at) else { return };
        if end.reset {
            return;
        }
        end.reset = true;
        end.inbox.clear();
        end.inbox_bytes = 0;
        end.wake();
        if let Some(other) = self.end(connection, 1 - at) {
            other.wire.clear();
            other.wire_bytes = 0;
        }
        self.fold(Happened::Reset, &[connection, at as u64]);
    }

    /// Both ends see a reset.
    pub(super) fn break_connection(&mut self, connection: u64) {
        if self.net.connections.contains_key(&connection) {
            self.faults.resets += 1;
            self.reset_end(connection, 0);
            self.reset_end(connection, 1);
        }
    }

    /// Ends both directions of an end, as a process or its kernel does.
    pub(super) fn shut_end(&mut self, connection: u64, at: usize) {
        let Some(end) = self.end(connection, at) else { return };
        if std::mem::replace(&mut end.closed, true) {
            return;
        }
        let (unread, host, epoch) = (end.inbox_bytes > 0, end.host, end.epoch);
        end.inbox.clear();
        end.inbox_bytes = 0;
        end.wake();
        if !self.hosts[host.0].powered || self.hosts[host.0].epoch != epoch {
            return; // nobody is left to send anything
        }
        if unread {
            let arrival = self.now + self.options.net.latency.0.as_nanos() as u64;
            self.at(arrival, move |state| state.reset_end(connection, 1 - at));
        } else {
            self.transmit(connection, 1 - at, Segment::End, 0);
        }
    }

    /// The last handle of an end is gone.
    pub(super) fn drop_end(&mut self, connection: u64, at: usize) {
        self.shut_end(connection, at);
        self.forget_connection(connection);
    }

    fn forget_connection(&mut self, connection: u64) {
        let gone = |end: &End| end.closed && end.wire.is_empty();
        if let Some(both) = self.net.connections.get(&connection)
            && both.ends.iter().all(|end| gone(end) || (end.closed && end.reset))
        {
            self.net.connections.remove(&connection);
        }
    }

    /// A host's process is gone: its kernel closes what it held; without power nobody does.
    pub(super) fn drop_host(&mut self, host: HostId) {
        let listeners: Vec<u64> = self.net.listeners.iter().filter(|(_, it)| it.host == host).map(|(&id, _)| id).collect();
        for id in listeners {
            self.close_listener(id);
        }
        let mine: Vec<(u64, usize)> = self
            .net
            .connections
            .iter()
            .flat_map(|(&id, both)| [(id, 0), (id, 1)].into_iter().filter(move |&(_, at)| both.ends[at].host == host))
            .collect();
        for (connection, at) in mine {
            self.drop_end(connection, at);
        }
        self.net.connecting.retain(|_, connecting| connecting.host != host);
    }
}

/// The error of an accept that found no descriptor.
pub(super) fn no_descriptor() -> Error {
    Error::from_raw_os_error(24) // EMFILE
}
