//! The state of a world: clock, events to come, hosts, disks, connections. Tasks reach it through a lock that nobody contends for,
//! because one thread runs them all; it is there because files and accepted connections may travel in messages.

use super::disk::Disk;
use super::net::Net;
use super::options::{Faults, Options};
use super::rng::{Happened, Rng, Trace};
use crate::io::Signal;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

type Event = Box<dyn FnOnce(&mut State) + Send>;

/// Index of a host in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

pub(super) struct Host {
    pub(super) name: String,
    pub(super) cores: usize,
    /// Counts starts; what carries an older number belongs to a process that is gone.
    pub(super) epoch: u64,
    /// Without power nothing answers; a killed process leaves a kernel that does.
    pub(super) powered: bool,
    pub(super) paused_until: u64,
    pub(super) wall_offset_ms: i64,
    pub(super) disk: Disk,
    pub(super) signal: Option<Signal>,
    pub(super) signal_waker: Option<Waker>,
    pub(super) refuse_accepts: u32,
}

pub(super) struct State {
    pub(super) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(super) schedule: Rng,
    pub(super) disk_rng: Rng,
    pub(super) net_rng: Rng,
    pub(super) app_rng: Rng,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    pub(super) hosts: Vec<Host>,
    pub(super) net: Net,
    pub(super) options: Options,
}

impl State {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        Self {
            now: 0,
            events: BTreeMap::new(),
            sequence: 0,
            schedule: Rng::new(seed, 1),
            disk_rng: Rng::new(seed, 2),
            net_rng: Rng::new(seed, 3),
            app_rng: Rng::new(seed, 4),
            trace: Trace::new(options.keep_trace),
            faults: Faults::default(),
            hosts: Vec::new(),
            net: Net::default(),
            options,
        }
    }

    pub(super) fn add_host(&mut self, name: &str, cores: usize) -> HostId {
        assert!(cores > 0 && self.hosts.len() < 250);
        self.hosts.push(Host {
            name: name.to_owned(),
            cores,
            epoch: 0,
            powered: false,
            paused_until: 0,
            wall_offset_ms: 0,
            disk: Disk::new(self.options.disk.capacity),
            signal: None,
            signal_waker: None,
            refuse_accepts: 0,
        });
        HostId(self.hosts.len() - 1)
    }

    pub(super) fn fold(&mut self, what: Happened, values: &[u64]) {
        self.trace.fold(self.now, what, values);
    }

    /// Does `event` at time `at`, or now if that has passed.
    pub(super) fn at(&mut self, at: u64, event: impl FnOnce(&mut State) + Send + 'static) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), Box::new(event));
    }

    pub(super) fn wake_at(&mut self, at: u64, waker: Waker) {
        self.at(at, move |_| waker.wake());
    }

    /// Time of the next event.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.events.keys().next().map(|&(at, _)| at)
    }

    /// Moves the clock to `to` and does what falls due.
    pub(super) fn advance(&mut self, to: u64) {
        while let Some(at) = self.next_event()
            && at <= to
        {
            self.now = self.now.max(at);
            let (_, event) = self.events.pop_first().expect("seen above");
            event(self);
        }
        self.now = self.now.max(to);
    }

    pub(super) fn draw(rng: &mut Rng, range: (Duration, Duration)) -> u64 {
        rng.between(range.0.as_nanos() as u64, range.1.as_nanos() as u64)
    }

    pub(super) fn host_of(&self, ip: IpAddr, from: HostId) -> Option<HostId> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.hosts.len()).map(HostId).find(|&host| address_of(host) == ip)
    }
}

/// The address of a host.
pub(super) fn address_of(host: HostId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host.0 as u8 + 1))
}

/// Everybody's handle to the state.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// The state. Never hold it across an await, and never drop a task while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A task that panicked while it held the lock ends the run; destructors still come by.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
