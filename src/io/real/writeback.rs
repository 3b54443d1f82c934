//! Starting write-back early, so that the kernel never has to hold up a core to get rid of dirty pages, and closing files.
//!
//! Both may block, so both happen on one thread per core that is not the reactor: it starts the write-back of every window that has
//! been written in full ([`libc::sync_file_range`]), then waits for them in turn. What is on its way and not yet on the device counts
//! against [`BUDGET`]; while that is used up, writes go through the helpers, which may be throttled while the core is not.

use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of one file that are written before their write-back starts.
pub(super) const WINDOW: u64 = 8 << 20;
/// Bytes of a core on their way to the device before its writes leave the executor.
const BUDGET: u64 = 128 << 20;
const _: () = assert!(BUDGET >= 4 * WINDOW);

enum Job {
    Range { fd: Arc<OwnedFd>, position: u64, len: u64 },
    Close(#[allow(dead_code)] Arc<OwnedFd>),
}

/// One core's handle to its write-back thread.
#[derive(Clone)]
pub(super) struct WriteBack {
    jobs: Sender<Job>,
    under_way: Arc<AtomicU64>,
}

impl WriteBack {
    pub(super) fn start(core: usize) -> Result<Self> {
        let (jobs, queue) = channel();
        let under_way = Arc::new(AtomicU64::new(0));
        let done = under_way.clone();
        std::thread::Builder::new().name(format!("flumen-wb-{core}")).spawn(move || run(&queue, &done))?;
        Ok(Self { jobs, under_way })
    }

    /// Whether so much is on its way that a write could be throttled.
    pub(super) fn used_up(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) >= BUDGET
    }

    /// Starts to write back a range that has just been written.
    pub(super) fn write_back(&self, fd: &Arc<OwnedFd>, position: u64, len: u64) {
        self.under_way.fetch_add(len, Ordering::Relaxed);
        let _ = self.jobs.send(Job::Range { fd: fd.clone(), position, len });
    }

    /// Drops a descriptor away from the core.
    pub(super) fn close(&self, fd: Arc<OwnedFd>) {
        let _ = self.jobs.send(Job::Close(fd));
    }
}

fn run(queue: &Receiver<Job>, under_way: &AtomicU64) {
    let mut started = Vec::new();
    while let Ok(first) = queue.recv() {
        for job in std::iter::once(first).chain(queue.try_iter()) {
            match job {
                Job::Range { fd, position, len } => {
                    range(&fd, position, len, libc::SYNC_FILE_RANGE_WRITE);
                    started.push((fd, position, len));
                }
                Job::Close(fd) => drop(fd),
            }
        }
        for (fd, position, len) in started.drain(..) {
            range(&fd, position, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER);
            under_way.fetch_sub(len, Ordering::Relaxed);
        }
    }
}

/// An error is left for `fdatasync` to find and report: this call promises nothing.
fn range(fd: &OwnedFd, position: u64, len: u64, flags: libc::c_uint) {
    // SAFETY: the descriptor is live; the call touches no memory of ours.
    unsafe { libc::sync_file_range(fd.as_raw_fd(), position as i64, len as i64, flags) };
}
