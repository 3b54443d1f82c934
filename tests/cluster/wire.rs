//! The wires between hosts: a switch in this process, to which each host's network interface, a TUN device, is plugged.
//!
//! What a packet meets is decided for each direction between two hosts by a [`Link`]: the link may be cut, long, lossy or slow, and some
//! packets may overtake others. The kernel's own emulator, `tc netem`, does the same where it is built in; the kernels of small virtual
//! machines leave it out, and a test that needs it could not run there. TUN is in all of them, wants no further program, rules over
//! single directions without classes and filters, counts what it did, and its devices are gone with the process. The TCP at
//! both ends is the kernel's.

use crate::support::records::Random;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Of an IPv4 header: the version in the upper half of the first byte, the destination in the last four.
const HEADER: usize = 20;
const DESTINATION: std::ops::Range<usize> = 16..20;
/// The first three bytes of every address; the last is the host's number plus one.
pub const SUBNET: [u8; 3] = [10, 77, 0];
pub const INTERFACE: &str = "eth0";
/// Packets taken from one host before the next has its turn.
const BURST: usize = 64;
/// What waits for a slow line; more is dropped, as the buffer of a router does.
const LINE_BUFFER: Duration = Duration::from_millis(500);
/// The longest sleep, after which the switch looks whether it is to end.
const NAP: Duration = Duration::from_millis(20);
/// Per thousand.
const WHOLE: u64 = 1000;

/// What packets from one host to another meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Nothing comes through.
    pub cut: bool,
    pub delay: Duration,
    /// Packets in a thousand that are lost.
    pub loss: u64,
    /// Packets in a thousand that take `late_by` longer, so that others overtake them.
    pub late: u64,
    pub late_by: Duration,
    /// Bits in a second; 0: no limit.
    pub rate: u64,
}

/// What became of the packets since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    /// On links that are cut.
    pub cut: u64,
    pub lost: u64,
    pub late: u64,
    /// Found the buffer of a slow line full.
    pub overflowed: u64,
}

#[derive(Default)]
struct Rules {
    links: BTreeMap<(usize, usize), Link>,
    counts: Counts,
}

/// The running switch; it ends when dropped.
pub struct Wires {
    rules: Arc<Mutex<Rules>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes the interface of a host. The calling thread must be in its namespace; the device is there until the file is closed.
pub fn plug() -> File {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .unwrap_or_else(|error| panic!("/dev/net/tun (as root? `modprobe tun`?): {error}"));
    // SAFETY: zeroes are a valid ifreq; the kernel reads a name and flags from it and writes the name back.
    let made = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(INTERFACE.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request)
    };
    assert_eq!(made, 0, "a TUN device: {}", Error::last_os_error());
    device
}

impl Wires {
    /// Connects the interfaces; the host's number is its place in the list.
    pub fn connect(devices: Vec<File>, seed: u64) -> Wires {
        let (rules, stop) = (Arc::new(Mutex::new(Rules::default())), Arc::new(AtomicBool::new(false)));
        let switch = Switch {
            devices,
            rules: rules.clone(),
            waiting: BinaryHeap::new(),
            line_free: BTreeMap::new(),
            taken: 0,
            random: Random(seed),
        };
        let ends = stop.clone();
        let thread = std::thread::Builder::new().name("switch".to_owned()).spawn(move || switch.run(&ends)).expect("a thread");
        Wires { rules, stop, thread: Some(thread) }
    }

    /// What packets meet from now on. What is under way already keeps its time, but does not pass a link that was cut.
    pub fn set(&self, from: usize, to: usize, link: Link) {
        self.rules.lock().unwrap().links.insert((from, to), link);
    }

    /// All links are good again.
    pub fn heal(&self) {
        self.rules.lock().unwrap().links.clear();
    }

    pub fn counts(&self) -> Counts {
        self.rules.lock().unwrap().counts
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the switch has panicked");
        }
    }
}

struct Waiting {
    due: Instant,
    /// Packets that are due together leave in the order in which they came.
    number: u64,
    from: usize,
    to: usize,
    packet: Vec<u8>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.number == other.number
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

struct Switch {
    devices: Vec<File>,
    rules: Arc<Mutex<Rules>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// When a slow line has sent everything that was given to it.
    line_free: BTreeMap<(usize, usize), Instant>,
    taken: u64,
    random: Random,
}

impl Switch {
    fn run(mut self, stop: &AtomicBool) {
        // The brokers may keep all cores busy; a wire does not wait for a core.
        // SAFETY: the priority of the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
        let mut buffer = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            self.wait();
            for from in 0..self.devices.len() {
                for _ in 0..BURST {
                    let Ok(length) = (&self.devices[from]).read(&mut buffer) else { break };
                    self.take(from, &buffer[..length], Instant::now());
                }
            }
            self.deliver(Instant::now());
        }
    }

    /// Until a packet comes or is due.
    fn wait(&self) {
        let until_due = |first: &Reverse<Waiting>| first.0.due.saturating_duration_since(Instant::now());
        let nap = self.waiting.peek().map_or(NAP, until_due).min(NAP);
        let mut polled: Vec<libc::pollfd> =
            self.devices.iter().map(|device| libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: nap.subsec_nanos().into() };
        // SAFETY: the list and the timeout live as long as the call. An interrupted wait is a short one.
        unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &raw const timeout, std::ptr::null()) };
    }

    fn take(&mut self, from: usize, packet: &[u8], now: Instant) {
        let Some(to) = destination(packet).filter(|to| *to < self.devices.len()) else { return };
        let mut rules = self.rules.lock().unwrap();
        let link = rules.links.get(&(from, to)).copied().unwrap_or_default();
        if link.cut {
            rules.counts.cut += 1;
            return;
        }
        let mut due = now;
        if link.rate > 0 {
            let free = self.line_free.entry((from, to)).or_insert(now);
            *free = (*free).max(now);
            if free.duration_since(now) > LINE_BUFFER {
                rules.counts.overflowed += 1;
                return;
            }
            *free += Duration::from_nanos(packet.len() as u64 * 8 * 1_000_000_000 / link.rate);
            due = *free;
        }
        // What is lost has used the line.
        if self.random.below(WHOLE) < link.loss {
            rules.counts.lost += 1;
            return;
        }
        due += link.delay;
        if self.random.below(WHOLE) < link.late {
            rules.counts.late += 1;
            due += link.late_by;
        }
        self.taken += 1;
        self.waiting.push(Reverse(Waiting { due, number: self.taken, from, to, packet: packet.to_vec() }));
    }

    fn deliver(&mut self, now: Instant) {
        while self.waiting.peek().is_some_and(|first| first.0.due <= now) {
            let Some(Reverse(Waiting { from, to, packet, .. })) = self.waiting.pop() else { return };
            let mut rules = self.rules.lock().unwrap();
            if rules.links.get(&(from, to)).is_some_and(|link| link.cut) {
                rules.counts.cut += 1;
                continue;
            }
            rules.counts.delivered += 1;
            drop(rules);
            // A host whose interface is down gets nothing.
            (&self.devices[to]).write_all(&packet).ok();
        }
    }
}

/// The host that a packet is for; `None` for what is not IPv4 of this network.
fn destination(packet: &[u8]) -> Option<usize> {
    let address = packet.get(DESTINATION).filter(|_| packet.len() >= HEADER && packet[0] >> 4 == 4)?;
    if address[..3] != SUBNET {
        return None;
    }
    usize::from(address[3]).checked_sub(1)
}

#[test]
fn packets_go_to_the_host_that_they_are_for() {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[DESTINATION].copy_from_slice(&[10, 77, 0, 3]);
    assert_eq!(destination(&packet), Some(2));
    packet[19] = 0;
    assert_eq!(destination(&packet), None);
    packet[DESTINATION].copy_from_slice(&[10, 78, 0, 3]);
    assert_eq!(destination(&packet), None, "of another network");
    packet[DESTINATION].copy_from_slice(&[10, 77, 0, 3]);
    packet[0] = 0x60;
    assert_eq!(destination(&packet), None, "IPv6");
    assert_eq!(destination(&packet[..19]), None, "cut short");
}
