//! Accepting: every core listens on the same port, and the kernel's hash decides which of them sees a new connection. Hashing
//! alone leaves some cores with many more connections than others, so each goes to the least loaded one.
//!
//! On its way it passes the core that counts the connections of its address (`max.connections.per.ip`): a number of each address has
//! one core, found by the address, and no lock.

use super::registry::Registry;
use crate::config::LiveConfig;
use crate::io::{Accepted, Io, Listener, Mono, Sender};
use crate::shard::Shards;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Pause after a failed accept: out of descriptors, most likely, and the connection stays in the kernel's queue meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many failed accepts, or refused connections, are passed over between two log lines.
const QUIET_FAILURES: u64 = 100;
/// How often an accepting core that waits looks whether the broker stops, or the rate has changed.
const PACE_STEP: Duration = Duration::from_millis(100);
/// Time of which connections that were not made may be made later, at once.
const SAVED_UP: u64 = 1_000_000_000;

/// What cores tell each other of connections.
pub(super) enum Handoff {
    /// One was accepted, by core `by`: to the core that counts those of its address.
    Arrived {
        accepted: Accepted,
        /// Name of the listener that it came in by.
        listener: Arc<str>,
        by: usize,
    },
    /// It may be served: to the core that will do so.
    Placed { accepted: Accepted, listener: Arc<str> },
    /// One from this address has ended: to the core that counts them.
    Ended(IpAddr),
}

/// The core that counts the connections of an address.
fn counting_core(address: IpAddr, cores: usize) -> usize {
    let number = match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        // Networks differ in the first half, machines of one in the second.
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64 ^ u128::from(address) as u64,
    };
    (number % cores as u64) as usize
}

/// What a peer is counted by; an IPv4 address stays one on a socket of IPv6.
fn address_of(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Connections of each core and listener, and when the next may be made: the only numbers that cores share.
pub(super) struct Loads {
    per_core: Vec<AtomicUsize>,
    /// Nanoseconds of the clock.
    next: AtomicU64,
    listeners: BTreeMap<String, OfListener>,
}

/// The same of one listener.
#[derive(Default)]
struct OfListener {
    open: AtomicUsize,
    next: AtomicU64,
}

impl Loads {
    pub(super) fn new<'a>(cores: usize, listeners: impl Iterator<Item = &'a str>) -> Arc<Self> {
        Arc::new(Self {
            per_core: (0..cores).map(|_| AtomicUsize::new(0)).collect(),
            next: AtomicU64::new(0),
            listeners: listeners.map(|name| (name.to_owned(), OfListener::default())).collect(),
        })
    }

    fn of(&self, listener: &str) -> &OfListener {
        self.listeners.get(listener).expect("a connection comes in by a listener of the configuration")
    }

    /// Counts a new connection for the least loaded core, the accepting one if it is among them.
    ///
    /// # Errors
    /// Which limit is reached: that of the broker, or that of the listener.
    fn place(&self, here: usize, listener: &str, max_connections: usize, max_of_listener: usize) -> Result<usize, &'static str> {
        let loads: Vec<usize> = self.per_core.iter().map(|load| load.load(Ordering::Relaxed)).collect();
        if loads.iter().sum::<usize>() >= max_connections {
            return Err("max.connections");
        }
        let one_more = |open: usize| (open < max_of_listener).then(|| open + 1);
        if self.of(listener).open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err("max.connections of its listener");
        }
        let least = *loads.iter().min().expect("a broker has cores");
        let is_least = |core: &usize| loads[*core] == least;
        let core = Some(here).filter(is_least).or_else(|| (0..loads.len()).find(is_least)).expect("one of them is the least");
        self.per_core[core].fetch_add(1, Ordering::Relaxed);
        Ok(core)
    }

    /// A connection of `core` has ended.
    fn left(&self, core: usize, listener: &str) {
        for open in [&self.per_core[core], &self.of(listener).open] {
            let before = open.fetch_sub(1, Ordering::Relaxed);
            assert!(before > 0, "more connections ended than began");
        }
    }
}

/// Takes the place of a connection at a rate; how long to wait for it. `next` is when the next may be made.
fn pace(next: &AtomicU64, now: Mono, per_second: u32) -> Duration {
    let interval = 1_000_000_000 / u64::from(per_second.max(1));
    let place = |next: u64| next.max(now.0.saturating_sub(SAVED_UP));
    let taken = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| Some(place(next).saturating_add(interval)));
    Duration::from_nanos(place(taken.unwrap_or_default()).saturating_sub(now.0))
}

/// How many connections each address has, of those that this core counts.
#[derive(Default)]
struct Addresses {
    open: BTreeMap<IpAddr, usize>,
    refused: u64,
}

impl Addresses {
    /// Counts one more; false if that is more than `limit`.
    fn enter(&mut self, address: IpAddr, limit: usize) -> bool {
        let open = self.open.get(&address).copied().unwrap_or(0);
        if open >= limit {
            return false;
        }
        self.open.insert(address, open + 1);
        true
    }

    fn leave(&mut self, address: IpAddr) {
        let open = self.open.remove(&address).expect("more connections of an address ended than began");
        if open > 1 {
            self.open.insert(address, open - 1);
        }
    }
}

/// Where a core lets in, or sends away, the connections that it counts.
pub(super) struct Door {
    /// Knows the limits of the moment.
    shards: Shards,
    loads: Arc<Loads>,
    cores: Vec<Sender<Handoff>>,
    addresses: RefCell<Addresses>,
}

impl Door {
    pub(super) fn new(shards: Shards, loads: Arc<Loads>, cores: Vec<Sender<Handoff>>) -> Rc<Self> {
        Rc::new(Self { shards, loads, cores, addresses: RefCell::default() })
    }

    /// Hands a connection that core `by` has accepted to the core that will serve it, or closes it.
    pub(super) fn arrived(&self, accepted: Accepted, listener: Arc<str>, by: usize) {
        let peer = accepted.peer_addr();
        let (address, live) = (address_of(peer), self.shards.live_config());
        let limit = live.connections_of(address);
        let mut addresses = self.addresses.borrow_mut();
        if !addresses.enter(address, limit) {
            if addresses.refused.is_multiple_of(QUIET_FAILURES) {
                let refused = addresses.refused;
                tracing::warn!(%peer, limit, refused, "refusing a connection: its address has max.connections.per.ip already");
            }
            addresses.refused += 1;
            return;
        }
        match self.loads.place(by, &listener, live.max_connections, live.limits_of(&listener).max_connections) {
            Ok(core) => self.cores[core].send(Handoff::Placed { accepted, listener }),
            Err(limit) => {
                addresses.leave(address);
                tracing::warn!(%peer, "refusing a connection: {limit} is reached");
            }
        }
    }

    /// A connection that `core`, this one, has served has ended.
    pub(super) fn served(&self, core: usize, peer: SocketAddr, listener: &str) {
        self.loads.left(core, listener);
        let address = address_of(peer);
        self.cores[counting_core(address, self.cores.len())].send(Handoff::Ended(address));
    }

    /// A connection from an address that this core counts has ended.
    pub(super) fn ended(&self, address: IpAddr) {
        self.addresses.borrow_mut().leave(address);
    }
}

/// What an accepting task needs.
pub(super) struct Accepting {
    pub(super) io: Io,
    pub(super) listener: Rc<Listener>,
    /// Name of the listener.
    pub(super) name: Arc<str>,
    pub(super) registry: Rc<Registry>,
    /// Knows the limit of the moment.
    pub(super) shards: Shards,
    pub(super) loads: Arc<Loads>,
    /// Where each core hears of connections.
    pub(super) cores: Vec<Sender<Handoff>>,
}

/// Accepts until the broker stops.
pub(super) async fn accept(Accepting { io, listener, name, registry, shards, loads, cores }: Accepting) {
    let mut failures = 0_u64;
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                wait_for_place(&io, &shards, &loads, &registry, &name).await;
                let to = counting_core(address_of(accepted.peer_addr()), cores.len());
                cores[to].send(Handoff::Arrived { accepted, listener: name.clone(), by: io.core() });
            }
            Err(_) if registry.is_stopping() => return,
            Err(error) => {
                if failures.is_multiple_of(QUIET_FAILURES) {
                    tracing::error!(listener = %name, %error, failures, "cannot accept a connection");
                }
                failures += 1;
                io.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns when another connection may be made (`max.connection.creation.rate`, of the broker and of the listener). Those that come
/// meanwhile wait in the kernel's queue.
async fn wait_for_place(io: &Io, shards: &Shards, loads: &Loads, registry: &Registry, listener: &str) {
    let of_all = |live: &LiveConfig| live.max_connection_creation_rate;
    keep_pace(io, shards, registry, &loads.next, of_all).await;
    let of_listener = |live: &LiveConfig| live.limits_of(listener).max_connection_creation_rate;
    keep_pace(io, shards, registry, &loads.of(listener).next, of_listener).await;
}

async fn keep_pace(io: &Io, shards: &Shards, registry: &Registry, next: &AtomicU64, rate: impl Fn(&LiveConfig) -> Option<u32>) {
    loop {
        match rate(&shards.live_config()) {
            _ if registry.is_stopping() => return,
            None => return,
            // Nobody, until it says something else.
            Some(0) => io.sleep(PACE_STEP).await,
            Some(rate) => {
                let until = io.now().after(pace(next, io.now(), rate));
                while io.now() < until && !registry.is_stopping() {
                    io.sleep(until.since(io.now()).min(PACE_STEP)).await;
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_connections_as_it_may() {
        let mut addresses = Addresses::default();
        let [one, other] = ["10.0.0.1", "::2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(addresses.enter(one, 2) && addresses.enter(one, 2) && !addresses.enter(one, 2));
        assert!(addresses.enter(other, 1) && !addresses.enter(other, 0));
        addresses.leave(one);
        assert!(addresses.enter(one, 2) && addresses.enter(one, 3), "a limit may change");
        for address in [one, one, one, other] {
            addresses.leave(address);
        }
        assert!(addresses.open.is_empty(), "nothing is kept of who has gone");
        let mapped = SocketAddr::new("::ffff:10.0.0.1".parse().unwrap(), 5);
        assert_eq!(address_of(mapped), one);
        let cores: Vec<usize> = (0..4).map(|host| counting_core(IpAddr::from([10, 0, 0, host]), 4)).collect();
        assert_eq!(cores, [0, 1, 2, 3], "neighbours are spread");
        assert_eq!(counting_core(other, 1), 0);
    }

    #[test]
    fn connections_are_made_at_a_rate_with_a_second_saved_up() {
        let next = AtomicU64::new(0);
        let at = |ms: u64| Mono(ms * 1_000_000);
        let waits = |now: u64, count: usize| (0..count).map(|_| pace(&next, at(now), 10).as_millis()).collect::<Vec<_>>();
        assert_eq!(waits(5_000, 13), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(waits(5_300, 1), [0], "what was waited for has come");
        assert_eq!(waits(5_300, 2), [100, 200]);
        assert_eq!(waits(60_000, 12).iter().filter(|wait| **wait == 0).count(), 11, "no more than a second's is saved up");
    }

    #[test]
    fn new_connections_go_to_the_least_loaded_core() {
        let loads = Loads::new(3, ["A", "B"].into_iter());
        let place = |here: usize, most: usize| loads.place(here, "A", most, usize::MAX).ok();
        assert_eq!(place(1, 5), Some(1));
        assert_eq!(place(1, 5), Some(0));
        assert_eq!(place(1, 5), Some(2));
        loads.left(2, "A");
        assert_eq!(place(0, 5), Some(2));
        assert_eq!(place(2, 5), Some(2), "among equals the accepting core");
        assert_eq!(place(0, 5), Some(0));
        assert_eq!(place(0, 5), None, "max.connections");
        assert_eq!(place(0, 6), Some(1), "which may change");
        assert_eq!(loads.place(0, "B", 9, 1), Ok(0));
        assert_eq!(loads.place(0, "B", 9, 1), Err("max.connections of its listener"));
        assert_eq!(loads.place(0, "A", 9, 7), Ok(1), "the other one has limits of its own");
        loads.left(0, "B");
        assert_eq!(loads.place(0, "B", 9, 1), Ok(0));
    }
}
