//! SIGTERM and SIGINT as an event of a core: the handler only stores the number and rings an eventfd.

use super::super::core::Signal;
use super::check;
use super::core::RealCore;
use super::reactor::{Readiness, Side};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

static BELL: OnceLock<OwnedFd> = OnceLock::new();
static BELL_NUMBER: AtomicI32 = AtomicI32::new(-1);
static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn ring(signal: libc::c_int) {
    LAST.store(signal, Ordering::SeqCst);
    let one: u64 = 1;
    // SAFETY: write is allowed in a handler; the descriptor lives as long as the process.
    unsafe { libc::write(BELL_NUMBER.load(Ordering::SeqCst), (&raw const one).cast(), 8) };
}

fn bell() -> &'static OwnedFd {
    BELL.get_or_init(|| {
        // SAFETY: plain system calls with live arguments; the handler does only what a handler may.
        unsafe {
            let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)).expect("an eventfd for signals");
            BELL_NUMBER.store(fd, Ordering::SeqCst);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ring as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            for signal in [libc::SIGTERM, libc::SIGINT] {
                check(libc::sigaction(signal, &raw const action, std::ptr::null_mut())).expect("a signal handler");
            }
            OwnedFd::from_raw_fd(fd)
        }
    })
}

pub(super) async fn next(core: &RealCore) -> Signal {
    let bell = bell();
    let readiness = Readiness::new(&core.reactor, bell, true);
    loop {
        readiness.ready(Side::Read).await.expect("a descriptor to wait for signals");
        let mut count: u64 = 0;
        // SAFETY: reads 8 bytes into a live integer.
        if unsafe { libc::read(bell.as_raw_fd(), (&raw mut count).cast(), 8) } == 8 {
            return if LAST.load(Ordering::SeqCst) == libc::SIGINT { Signal::Interrupt } else { Signal::Terminate };
        }
        readiness.used_up(Side::Read);
    }
}

/// Runs `make` with all signals blocked, so that the threads it starts never get one.
pub(super) fn without_signals<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are initialised by the calls that fill them.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        // A fault of the thread itself must still end the process.
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP] {
            libc::sigdelset(&raw mut all, signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let made = make();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        made
    }
}
