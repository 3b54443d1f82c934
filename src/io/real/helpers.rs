//! Helper threads of a core, for calls that block, and for work that takes a core too long.

use super::bell::Bell;
use super::machine::stand_back;
use crossbeam_queue::SegQueue;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Job = Box<dyn FnOnce() + Send>;

/// What core and helpers share. The bell is a semaphore: each job lets one helper go on, so a core that hands out work takes no lock.
struct Desk {
    jobs: SegQueue<Job>,
    bell: Bell,
    closed: AtomicBool,
}

/// One core's helpers, which end with this, after what they were given.
pub(super) struct Helpers {
    desk: Arc<Desk>,
    count: usize,
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::Release);
        self.desk.bell.ring(self.count as u64);
    }
}

impl Helpers {
    /// `count` threads named after `kind`. Those that have much to move `stand_back`: they let the cores go first.
    pub(super) fn start(core: usize, kind: &str, count: usize, stands_back: bool) -> Result<Self> {
        let bell = Bell::new(libc::EFD_SEMAPHORE)?;
        let desk = Arc::new(Desk { jobs: SegQueue::new(), bell, closed: AtomicBool::new(false) });
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
        self.desk.bell.ring(1);
    }
}

fn run(desk: &Desk) {
    loop {
        // Before the look at the queue, so that what came before the end is still done.
        let closed = desk.closed.load(Ordering::Acquire);
        match desk.jobs.pop() {
            Some(job) => job(),
            None if closed => return,
            None => desk.bell.wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

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
