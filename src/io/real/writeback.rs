//! Starting write-back early, so that the kernel never has to hold up a core to get rid of dirty pages, and closing files.
//!
//! Both may block, so both happen on one thread per core that is not the reactor: it starts the write-back of every window that has
//! been written in full ([`libc::sync_file_range`]), then waits for them in turn. What is on its way and not yet on the device counts
//! against [`BUDGET`]; while that is used up, writes go through the helpers, which may be throttled while the core is not.

use super::STEP;
use super::bell::Bell;
use super::machine::stand_back;
use crossbeam_queue::SegQueue;
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of one file that are written before their write-back starts.
pub(super) const WINDOW: u64 = 8 << 20;
/// Bytes of a core on their way to the device before its writes leave the executor.
const BUDGET: u64 = 128 << 20;
const _: () = assert!(BUDGET >= 4 * WINDOW);

enum Job {
    Range { fd: Arc<OwnedFd>, position: u64, len: u64 },
    Close(#[allow(dead_code)] Arc<OwnedFd>),
}

/// What core and thread share. The thread sleeps in a read of an eventfd, so a core that hands it work takes no lock.
struct Desk {
    jobs: SegQueue<Job>,
    bell: Bell,
    under_way: AtomicU64,
    closed: AtomicBool,
}

impl Desk {
    fn give(&self, job: Job) {
        self.jobs.push(job);
        self.bell.ring(1);
    }
}

/// One core's handle to its write-back thread, which ends with the last handle.
#[derive(Clone)]
pub(super) struct WriteBack(Arc<Handle>);

struct Handle(Arc<Desk>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.bell.ring(1);
    }
}

impl WriteBack {
    pub(super) fn start(core: usize) -> Result<Self> {
        let bell = Bell::new(0)?;
        let desk = Arc::new(Desk { jobs: SegQueue::new(), bell, under_way: AtomicU64::new(0), closed: AtomicBool::new(false) });
        let its = desk.clone();
        std::thread::Builder::new().name(format!("flumen-wb-{core}")).spawn(move || run(&its))?;
        Ok(Self(Arc::new(Handle(desk))))
    }

    /// Whether so much is on its way that a write could be throttled.
    pub(super) fn used_up(&self) -> bool {
        self.0.0.under_way.load(Ordering::Relaxed) >= BUDGET
    }

    /// Starts to write back a range that has just been written.
    pub(super) fn write_back(&self, fd: &Arc<OwnedFd>, position: u64, len: u64) {
        self.0.0.under_way.fetch_add(len, Ordering::Relaxed);
        self.0.0.give(Job::Range { fd: fd.clone(), position, len });
    }

    /// Drops a descriptor away from the core.
    pub(super) fn close(&self, fd: Arc<OwnedFd>) {
        self.0.0.give(Job::Close(fd));
    }
}

fn run(desk: &Desk) {
    stand_back();
    let mut started = Vec::new();
    loop {
        // Before the look at the queue, so that what came before the end is still done.
        let closed = desk.closed.load(Ordering::Acquire);
        while let Some(job) = desk.jobs.pop() {
            match job {
                Job::Range { fd, position, len } => {
                    start_write_back(&fd, position, len);
                    started.push((fd, position, len));
                }
                Job::Close(fd) => drop(fd),
            }
        }
        for (fd, position, len) in started.drain(..) {
            wait(&fd, position, len);
            desk.under_way.fetch_sub(len, Ordering::Relaxed);
        }
        if closed {
            return;
        }
        desk.bell.wait();
    }
}

/// Starts to write back a range, in steps: the kernel hands all pages of a call to the device in one go, and where it does not preempt
/// itself a core on the same processor waits for that.
fn start_write_back(fd: &OwnedFd, position: u64, len: u64) {
    for done in (0..len).step_by(STEP) {
        range(fd, position + done, (len - done).min(STEP as u64), libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// Waits until a range is on the device, or lost.
///
/// The kernel tells a failed write-back once to each *open file*, to whoever asks first: had this wait the same one as `fdatasync`, it
/// would take the error away, and the next `fdatasync` would report as durable what is lost. So it asks through an open file of its own,
/// and leaves the error for `fdatasync` to find. Where there can be none (no descriptor left), nothing is waited for.
fn wait(fd: &OwnedFd, position: u64, len: u64) {
    if let Ok(own) = std::fs::File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
        range(&own.into(), position, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER);
    }
}

/// What this call says is of no matter: it promises nothing.
fn range(fd: &OwnedFd, position: u64, len: u64, flags: libc::c_uint) {
    // SAFETY: the descriptor is live; the call touches no memory of ours.
    unsafe { libc::sync_file_range(fd.as_raw_fd(), position as i64, len as i64, flags) };
}
