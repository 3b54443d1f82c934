//! Several hosts on one machine: network namespaces, connected by [`crate::wire`].
//!
//! Host `n` has the address 10.77.0.(n + 1) and a loopback of its own; the last one is for the clients. A network shares nothing with
//! the machine's own and nothing with another test's. It is removed when dropped; what a killed run left (a name and an empty namespace:
//! devices and processes have gone with the run) is removed by the next. While a test is stopped, `ip netns exec flumen-PID-N-HOST bash`
//! looks around.

use crate::wire::{self, Counts, INTERFACE, Link, SUBNET, Wires};
use std::fs::File;
use std::io::Error;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The start of every namespace's name; the process id of its owner follows.
const PREFIX: &str = "flumen-";
const NAMESPACES: &str = "/run/netns";
/// Packets that an interface keeps while the switch has no core to run on.
const QUEUE: &str = "2000";
/// That of Ethernet, so that a lost packet is what it is elsewhere.
const MTU: &str = "1500";

struct Host {
    name: String,
    namespace: File,
}

pub struct Network {
    hosts: Vec<Host>,
    /// Dropped before the namespaces are removed.
    wires: Option<Wires>,
    /// Where the thread that made this network was before.
    before: File,
}

impl Network {
    /// A network of so many hosts and the clients' one; from now on the calling thread, and all threads and processes that it starts,
    /// are on the clients' host.
    pub fn new(hosts: usize) -> Network {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_those_of_the_dead();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let before = File::open("/proc/thread-self/ns/net").expect("the thread's own namespace");
        let mut network = Network { hosts: Vec::new(), wires: None, before };
        let mut devices = Vec::new();
        for host in 0..=hosts {
            let name = format!("{PREFIX}{}-{number}-{host}", std::process::id());
            ip(&["netns", "add", &name]);
            let namespace = File::open(Path::new(NAMESPACES).join(&name)).expect("the namespace");
            network.hosts.push(Host { name: name.clone(), namespace });
            enter(&network.hosts[host].namespace).expect("the host's namespace");
            devices.push(wire::plug());
            let address = format!("{}/24", address(host));
            ip(&["link", "set", "lo", "up"]);
            ip(&["link", "set", "dev", INTERFACE, "addrgenmode", "none", "txqueuelen", QUEUE, "mtu", MTU]);
            ip(&["addr", "add", &address, "dev", INTERFACE]);
            ip(&["link", "set", INTERFACE, "up"]);
        }
        network.wires = Some(Wires::connect(devices, u64::from(number)));
        network
    }

    /// The number of the clients' host.
    pub fn clients(&self) -> usize {
        self.hosts.len() - 1
    }

    /// Lets a command run on a host.
    pub fn on(&self, host: usize, mut command: Command) -> Command {
        let namespace = self.hosts[host].namespace.try_clone().expect("another descriptor");
        // SAFETY: setns is async-signal-safe; the descriptor lives in the closure, which the command keeps.
        unsafe { command.pre_exec(move || enter(&namespace)) };
        command
    }

    /// Runs something on a host, in a thread of its own.
    pub fn at<T: Send>(&self, host: usize, run: impl FnOnce() -> T + Send) -> T {
        let namespace = &self.hosts[host].namespace;
        let there = move || {
            enter(namespace).expect("the host's namespace");
            run()
        };
        std::thread::scope(|scope| scope.spawn(there).join().expect("what runs on the host"))
    }

    fn wires(&self) -> &Wires {
        self.wires.as_ref().expect("the switch runs")
    }

    /// What packets from one host to another meet from now on.
    pub fn set(&self, from: usize, to: usize, link: Link) {
        self.wires().set(from, to, link);
    }

    /// The same for all pairs of hosts, in both directions.
    pub fn set_all(&self, link: Link) {
        for from in 0..self.hosts.len() {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                self.set(from, to, link);
            }
        }
    }

    /// Nothing comes from `from` to `to` any more; the other direction stays.
    pub fn cut(&self, from: usize, to: usize) {
        self.set(from, to, Link { cut: true, ..Link::default() });
    }

    /// Everything is as at the beginning.
    pub fn heal(&self) {
        self.wires().heal();
    }

    pub fn counts(&self) -> Counts {
        self.wires().counts()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.wires = None;
        if let Err(error) = enter(&self.before) {
            eprintln!("the test's thread cannot go back: {error}");
        }
        for host in &self.hosts {
            remove(&host.name);
        }
    }
}

pub fn address(host: usize) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, u8::try_from(host + 1).expect("a small network"))
}

/// The calling thread is in the namespace from now on.
fn enter(namespace: &File) -> std::io::Result<()> {
    // SAFETY: changes the calling thread only.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap_or_else(|error| panic!("ip: {error}"));
    assert!(output.status.success(), "ip {arguments:?} (as root?): {}", String::from_utf8_lossy(&output.stderr));
}

/// It may have been removed by another run that took us for dead.
fn remove(name: &str) {
    Command::new("ip").args(["netns", "del", name]).output().ok();
}

/// The process that a namespace of a test belongs to.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn remove_those_of_the_dead() {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if owner(&name).is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    const SERVER: usize = 0;
    const PORT: u16 = 7000;

    /// A server that sends back what it gets, on the first of two hosts; the test is on the clients'.
    fn network_with_echo() -> (Network, SocketAddr) {
        let network = Network::new(2);
        let address = SocketAddr::from((address(SERVER), PORT));
        let listener = network.at(SERVER, move || TcpListener::bind(address).unwrap());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &socket, &mut &socket));
            }
        });
        (network, address)
    }

    fn connect(address: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_read_timeout(Some(limit))?;
        Ok(socket)
    }

    /// Sends `bytes` and waits until they are back.
    fn round(socket: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
        let started = Instant::now();
        let mut writer = socket.try_clone()?;
        let sent = std::thread::spawn(move || writer.write_all(&vec![7; bytes]));
        let mut back = vec![0; bytes];
        socket.read_exact(&mut back)?;
        sent.join().unwrap()?;
        assert!(back.iter().all(|byte| *byte == 7));
        Ok(started.elapsed())
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(600);

    #[test]
    fn hosts_reach_each_other_and_themselves() {
        let (network, address) = network_with_echo();
        round(&mut connect(address, LONG).unwrap(), 200_000).unwrap();
        network.at(1, move || round(&mut connect(address, LONG).unwrap(), 200_000).unwrap());
        network.at(SERVER, move || round(&mut connect(address, LONG).unwrap(), 10).unwrap());
        assert!(network.counts().delivered > 400, "200 kB are many packets: {:?}", network.counts());
        let finished = network.on(1, Command::new("ip")).args(["-br", "addr", "show", INTERFACE]).output().unwrap();
        assert!(String::from_utf8_lossy(&finished.stdout).contains("10.77.0.2/24"), "a command runs on its host");
    }

    #[test]
    fn a_long_link_takes_its_time() {
        let (network, address) = network_with_echo();
        let link = Link { delay: Duration::from_millis(100), ..Link::default() };
        network.set(network.clients(), SERVER, link);
        let mut socket = connect(address, LONG).unwrap();
        let one_way = round(&mut socket, 10).unwrap();
        assert!(one_way >= Duration::from_millis(100) && one_way < Duration::from_millis(195), "{one_way:?} with one long way");
        network.set_all(link);
        let both_ways = round(&mut socket, 10).unwrap();
        assert!(both_ways >= Duration::from_millis(200), "{both_ways:?} with two");
    }

    #[test]
    fn a_slow_link_carries_what_it_can() {
        let (network, address) = network_with_echo();
        network.set(network.clients(), SERVER, Link { rate: 3_000_000, ..Link::default() });
        let took = round(&mut connect(address, LONG).unwrap(), 750_000).unwrap();
        assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(6), "6 Mbit at 3 Mbit/s took {took:?}");
    }

    #[test]
    fn a_cut_stops_one_direction_and_heals() {
        let (network, address) = network_with_echo();
        let mut socket = connect(address, SHORT).unwrap();
        round(&mut socket, 10).unwrap();
        for (from, to) in [(network.clients(), SERVER), (SERVER, network.clients())] {
            network.cut(from, to);
            assert!(connect(address, SHORT).is_err(), "no handshake with {from} to {to} cut");
            network.at(1, move || round(&mut connect(address, LONG).unwrap(), 10).unwrap());
            network.heal();
            round(&mut connect(address, LONG).unwrap(), 10).unwrap();
        }
        assert!(network.counts().cut > 0);
    }

    #[test]
    fn loss_and_overtaking_happen_and_tcp_repairs_them() {
        let (network, address) = network_with_echo();
        let delay = Duration::from_millis(1);
        network.set_all(Link { loss: 20, late: 100, late_by: Duration::from_millis(5), delay, ..Link::default() });
        round(&mut connect(address, LONG).unwrap(), 1_000_000).unwrap();
        let counts = network.counts();
        assert!(counts.lost > 5 && counts.late > 50, "{counts:?}");
    }

    #[test]
    fn what_a_dead_run_left_is_removed() {
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let (dead, living) = (format!("{PREFIX}{}-0-0", gone.id()), format!("{PREFIX}{}-trial-0", std::process::id()));
        ip(&["netns", "add", &dead]);
        ip(&["netns", "add", &living]);
        drop(Network::new(1));
        let left: Vec<String> =
            std::fs::read_dir(NAMESPACES).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        remove(&living);
        assert!(!left.contains(&dead) && left.contains(&living), "{left:?}");
    }
}
