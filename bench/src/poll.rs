//! Level-triggered epoll with timeouts in nanoseconds.
//!
//! Open-loop load asks for sends at times that lie microseconds apart; `epoll_wait`, and the crates on top of it, round a timeout up to
//! the next millisecond, which would be measured as latency of the broker. So this calls `epoll_pwait2` (Linux 5.11), which takes
//! a timespec. The echo floor runs on the same loop.

use crate::clock::SECOND;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// What happened to a descriptor. An error or hang-up makes it readable, so that the read reports it.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub token: usize,
    pub readable: bool,
    pub writable: bool,
}

/// An epoll descriptor and the events that it gave last.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just made and that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    fn control(&self, operation: i32, fd: RawFd, token: usize, writable: bool) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLRDHUP | if writable { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: interest as u32, u64: token as u64 };
        // SAFETY: both descriptors are open and `event` is valid for the call.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Watches `fd` for reading; closing it ends that.
    pub fn add(&self, fd: RawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, false)
    }

    /// Whether writability is of interest too.
    pub fn watch_writes(&self, fd: RawFd, token: usize, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, writable)
    }

    /// Waits for events, `timeout` nanoseconds at most (for ever without one): how many there are. A signal ends the wait early.
    pub fn wait(&mut self, timeout: Option<u64>) -> io::Result<usize> {
        let time = timeout.map(|ns| libc::timespec { tv_sec: (ns / SECOND) as i64, tv_nsec: (ns % SECOND) as i64 });
        let time: *const libc::timespec = time.as_ref().map_or(std::ptr::null(), |time| time);
        // SAFETY: the buffer has room for EVENTS events; `time` is null or points to a timespec that outlives the call; no signal mask.
        let found = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as i32,
                time,
                std::ptr::null::<libc::sigset_t>(),
                8usize,
            )
        };
        if found >= 0 {
            return Ok(found as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
    }

    /// One of the events that the last wait found.
    pub fn event(&self, index: usize) -> Event {
        let event = self.events[index];
        let (bits, token) = (event.events as i32, event.u64 as usize);
        let read = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLERR | libc::EPOLLHUP;
        Event { token, readable: bits & read != 0, writable: bits & libc::EPOLLOUT != 0 }
    }
}

/// Lets timeouts of this thread end when they are due, not up to 50 µs later, which is the kernel's default.
pub fn exact_timers() {
    // SAFETY: no pointers; a kernel that refuses leaves the default.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}
