//! One thread that drives many connections: an epoll loop and a timetable.
//!
//! What is sent and what an answer means is a [`Role`]'s business; the loop knows sockets, time and phases. Producers, consumers and
//! the clients of the floor programs are roles, so that all of them are measured by the same loop.

use crate::clock::{self, SECOND};
use crate::link::{Link, Outbox};
use crate::poll::{self, Poller};
use crate::stats::{Interval, Phase};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// How long answers are awaited after the end, in nanoseconds.
const DRAIN: u64 = 10 * SECOND;
/// The loop looks at the stop flag at least so often, in nanoseconds.
const LONGEST_WAIT: u64 = SECOND / 10;

/// Why a run is worth nothing: said to the user, exit code 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

fn lost(error: io::Error) -> Failure {
    Failure(format!("a connection was lost: {error}"))
}

/// What one connection does.
pub trait Role {
    /// The run begins at this time.
    fn begin(&mut self, _start: u64) {}

    /// When its next request is meant to leave (at most `now` if at once); `None` while it has to wait for an answer, or for ever.
    fn due(&self, now: u64) -> Option<u64>;

    /// Puts that request into the outbox.
    fn send(&mut self, now: u64, outbox: &mut Outbox, counted: &mut Interval) -> Result<(), Failure>;

    /// Takes an answer, without its size prefix.
    fn receive(&mut self, now: u64, frame: Bytes, counted: &mut Interval) -> Result<(), Failure>;

    /// The kernel has taken everything in the outbox.
    fn flushed(&mut self, _now: u64, _counted: &mut Interval) {}

    /// The time is up: nothing new is sent. Counts what an open loop was meant to have sent before `end`.
    fn stop(&mut self, end: u64, counted: &mut Interval);

    /// Requests without an answer that a run waits for at its end.
    fn unanswered(&self) -> u64;

    /// Whether it has done all that it was asked for.
    fn is_done(&self) -> bool;
}

/// When a run begins and ends, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub start: u64,
    /// End of the warm-up, from which on things count.
    pub measure: u64,
    /// When sending stops; without it the roles say when they are done.
    pub end: Option<u64>,
}

/// What a worker tells the main thread.
pub enum Report {
    Interval(Interval),
    /// The last report of a worker.
    Ended(Result<(), Failure>),
}

/// The connections of one thread.
pub struct Worker {
    poller: Poller,
    links: Vec<(Link, Box<dyn Role>)>,
    /// When connections want to send, the earliest first; may hold entries that are no longer true.
    timetable: BinaryHeap<Reverse<(u64, usize)>>,
    /// The entry of each connection in the timetable.
    noted: Vec<Option<u64>>,
    counted: Interval,
}

impl Worker {
    pub fn new(links: Vec<(TcpStream, Box<dyn Role>)>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let links = links.into_iter().map(|(socket, role)| Ok((Link::new(socket)?, role))).collect::<io::Result<Vec<_>>>()?;
        for (token, (link, _)) in links.iter().enumerate() {
            poller.add(link.fd(), token)?;
        }
        let noted = vec![None; links.len()];
        Ok(Self { poller, links, timetable: BinaryHeap::new(), noted, counted: Interval::new(Phase::Warmup, 0) })
    }

    /// Runs from `times.start` to the end, reporting each second and at each change of phase.
    pub fn run(mut self, times: Times, stop: &AtomicBool, reports: &Sender<Report>) {
        poll::exact_timers();
        let result = self.drive(times, stop, reports);
        self.report(clock::now(), reports);
        // The main thread may have given up already.
        reports.send(Report::Ended(result)).ok();
    }

    fn drive(&mut self, times: Times, stop: &AtomicBool, reports: &Sender<Report>) -> Result<(), Failure> {
        let mut now = clock::now();
        while now < times.start {
            std::thread::sleep(std::time::Duration::from_nanos(times.start - now));
            now = clock::now();
        }
        self.counted = Interval::new(if times.measure > times.start { Phase::Warmup } else { Phase::Measured }, times.start);
        for token in 0..self.links.len() {
            self.links[token].1.begin(times.start);
            self.pump(token, now)?;
        }
        let mut boundary = self.boundary(times);
        loop {
            now = clock::now();
            if now >= boundary {
                self.report(boundary, reports);
                if boundary >= times.measure {
                    self.counted.phase = Phase::Measured;
                }
                if times.end.is_some_and(|end| boundary >= end) {
                    break;
                }
                boundary = self.boundary(times);
                continue;
            }
            if stop.load(Ordering::Relaxed) || self.links.iter().all(|(_, role)| role.is_done()) {
                self.report(now, reports);
                break;
            }
            self.turn(now, boundary)?;
        }
        self.counted.phase = Phase::Late;
        let now = clock::now();
        self.drain(times.end.map_or(now, |end| end.min(now)), stop)
    }

    /// One round: what is due leaves, then what has come is taken.
    fn turn(&mut self, now: u64, until: u64) -> Result<(), Failure> {
        while let Some(&Reverse((due, token))) = self.timetable.peek() {
            if due > now {
                break;
            }
            self.timetable.pop();
            if self.noted[token] == Some(due) {
                self.noted[token] = None;
                self.pump(token, now)?;
            }
        }
        let next = self.timetable.peek().map_or(until, |Reverse((due, _))| *due).min(until);
        let timeout = next.saturating_sub(clock::now()).min(LONGEST_WAIT);
        for index in 0..self.poller.wait(Some(timeout))? {
            let event = self.poller.event(index);
            if event.readable {
                self.take(event.token)?;
            }
            self.pump(event.token, clock::now())?;
        }
        Ok(())
    }

    /// Takes all whole answers of a connection.
    fn take(&mut self, token: usize) -> Result<(), Failure> {
        let (link, role) = &mut self.links[token];
        loop {
            let more = link.fill().map_err(lost)?;
            let mut now = None;
            while let Some(frame) = link.frame().map_err(lost)? {
                let now = *now.get_or_insert_with(clock::now);
                role.receive(now, frame, &mut self.counted)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Sends what a connection has to send now, and notes when it wants to send next.
    fn pump(&mut self, token: usize, now: u64) -> Result<(), Failure> {
        let (link, role) = &mut self.links[token];
        let mut due = role.due(now);
        while due.is_some_and(|due| due <= now) {
            role.send(now, &mut link.outbox, &mut self.counted)?;
            due = role.due(now);
        }
        if !link.outbox.is_empty() {
            link.flush().map_err(lost)?;
            if link.outbox.is_empty() {
                role.flushed(clock::now(), &mut self.counted);
                // A connection that awaits no answers (acks=0) has room again, but others have their turn first.
                due = role.due(now);
            }
        }
        if link.watches_writes == link.outbox.is_empty() {
            link.watches_writes = !link.outbox.is_empty();
            self.poller.watch_writes(link.fd(), token, link.watches_writes)?;
        }
        if let Some(due) = due
            && self.noted[token] != Some(due)
        {
            self.noted[token] = Some(due);
            self.timetable.push(Reverse((due, token)));
        }
        Ok(())
    }

    /// After the end: answers are awaited for a while.
    fn drain(&mut self, end: u64, stop: &AtomicBool) -> Result<(), Failure> {
        for (_, role) in &mut self.links {
            role.stop(end, &mut self.counted);
        }
        let deadline = end + DRAIN;
        while self.links.iter().any(|(_, role)| role.unanswered() > 0) && clock::now() < deadline && !stop.load(Ordering::Relaxed)
        {
            self.turn(clock::now(), deadline)?;
        }
        self.counted.unanswered += self.links.iter().map(|(_, role)| role.unanswered()).sum::<u64>();
        Ok(())
    }

    /// The end of the interval that is being counted.
    fn boundary(&self, times: Times) -> u64 {
        let start = self.counted.start;
        let phase_end = if start < times.measure { times.measure } else { times.end.unwrap_or(u64::MAX) };
        phase_end.min(start + SECOND)
    }

    fn report(&mut self, now: u64, reports: &Sender<Report>) {
        let phase = self.counted.phase;
        let mut interval = std::mem::replace(&mut self.counted, Interval::new(phase, now));
        interval.end = now;
        // The main thread may have given up already.
        reports.send(Report::Interval(interval)).ok();
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
