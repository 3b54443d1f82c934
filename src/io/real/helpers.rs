//! Helper threads of a core, for calls that block, and for work that takes a core too long.

use super::bell::Bell;
use super::machine::stand_back;
use crossbeam_queue::SegQueue;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

type Job = Box<dyn FnOnce() + Send>;

/// What core and helpers share. The bell is a semaphore: each ring lets one helper go on, so a core that hands out work takes no lock.
struct Desk {
    jobs: SegQueue<Job>,
    bell: Bell,
    /// Helpers that will not look for jobs again before the bell rings for them.
    asleep: AtomicUsize,
    closed: AtomicBool,
}

impl Desk {
    /// Takes one off the helpers that sleep, if there is any.
    fn take_sleeper(&self) -> bool {
        self.asleep.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |asleep| asleep.checked_sub(1)).is_ok()
    }

    /// Sleeps until called, unless a job has come meanwhile.
    fn sleep(&self) {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        // Who gives a job or closes does so before looking at `asleep`: either that is seen here, or this is seen there.
        fence(Ordering::SeqCst);
        if (self.jobs.is_empty() && !self.closed.load(Ordering::SeqCst)) || !self.take_sleeper() {
            // In the second case somebody has taken this one, or another in its stead, and rings.
            self.bell.wait();
        }
    }
}

/// One core's helpers, which end with this, after what they were given.
pub(super) struct Helpers {
    desk: Arc<Desk>,
    count: usize,
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::SeqCst);
        // Each waits once more at most.
        self.desk.bell.ring(self.count as u64);
    }
}

impl Helpers {
    /// `count` threads named after `kind`. Those that have much to move `stand_back`: they let the cores go first.
    pub(super) fn start(core: usize, kind: &str, count: usize, stands_back: bool) -> Result<Self> {
        let bell = Bell::new(libc::EFD_SEMAPHORE)?;
        let desk = Arc::new(Desk { jobs: SegQueue::new(), bell, asleep: AtomicUsize::new(0), closed: AtomicBool::new(false) });
        for number in 0..count {
            let desk = desk.clone();
            let run = move || {
                if stands_back {
                    stand_back();
                }
                run(&desk);
            };
            std::thread::Builder::new().name(format!("{kind}-{core}-{number}")).spawn(run)?;
        }
        Ok(Self { desk, count })
    }

    /// Has `job` done soon. It must not panic.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        self.desk.jobs.push(Box::new(job));
        fence(Ordering::SeqCst);
        // Helpers that are awake look again before they sleep.
        if self.desk.take_sleeper() {
            self.desk.bell.ring(1);
        }
    }
}

fn run(desk: &Desk) {
    loop {
        // Before the look at the queue, so that what came before the end is still done.
        let closed = desk.closed.load(Ordering::SeqCst);
        match desk.jobs.pop() {
            Some(job) => job(),
            None if closed => return,
            None => desk.sleep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// A helper that falls asleep just when a job comes would let it lie for ever.
    #[test]
    fn no_job_is_left_lying_however_the_helpers_fall_asleep() {
        let helpers = Helpers::start(0, "helper", 3, false).unwrap();
        let (done, finished) = channel();
        for round in 0..20_000 {
            // At most two under way, so that some helper is always about to sleep.
            for _ in 0..1 + round % 2 {
                let done = done.clone();
                helpers.give(move || done.send(()).unwrap());
            }
            for _ in 0..1 + round % 2 {
                finished.recv_timeout(std::time::Duration::from_secs(30)).expect("the job is done");
            }
        }
    }

    #[test]
    fn every_job_is_done_also_those_given_last() {
        let (done, finished) = channel();
        let helpers = Helpers::start(0, "helper", 3, true).unwrap();
        for number in 0..1000 {
            let done = done.clone();
            helpers.give(move || done.send(number).unwrap());
        }
        drop((helpers, done));
        let mut all: Vec<u32> = finished.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }
}
