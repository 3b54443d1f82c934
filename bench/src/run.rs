//! One run: workers are built, started together, sampled at the ends of the phases, and their intervals added up.

use crate::args::RunArgs;
use crate::clock::{self, SECOND};
use crate::process::{self, Cpu};
use crate::report::progress;
use crate::stats::{Interval, Phase};
use crate::worker::{Failure, Report, Role, Times, Worker};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// The connections of one thread, made on that thread.
pub type Build = Box<dyn FnOnce() -> Result<Vec<(TcpStream, Box<dyn Role>)>, Failure> + Send>;

/// Between the last connection and the first request, in nanoseconds.
const LEAD: u64 = SECOND / 50;
/// A worker that says nothing for so long after the end hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured of the broker's process.
#[derive(Clone, Copy, Debug)]
pub struct BrokerUse {
    pub cpu: Cpu,
    pub rss_bytes: u64,
    pub max_rss_bytes: u64,
}

/// Everything that is known after a run.
pub struct Outcome {
    /// Length of the measured phase.
    pub seconds: f64,
    /// Counts of the measured phase; histograms, errors and what was not answered also of the answers that came late.
    pub total: Interval,
    /// All workers together, second by second, in order.
    pub intervals: Vec<Interval>,
    /// Of this process, in the measured phase.
    pub own_cpu: Cpu,
    /// Seconds that a hypervisor took away from all processors together in the measured phase, if the kernel tells.
    pub stolen: Option<f64>,
    pub broker: Option<BrokerUse>,
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Adds up the seconds of a run, which was measured from `measure` on and sampled at both ends. `is_watched`: the broker was to be.
    pub fn new(
        intervals: Vec<Interval>,
        measure: u64,
        (before, after): (Sample, Sample),
        is_watched: bool,
        mut failure: Option<Failure>,
    ) -> Self {
        let mut total = Interval::new(Phase::Measured, measure);
        let measured = || intervals.iter().filter(|interval| interval.phase == Phase::Measured);
        total.end = measured().map(|interval| interval.end).max().unwrap_or(measure);
        measured().for_each(|interval| total.add(interval));
        let (produced, consumed) = (total.produced, total.consumed);
        intervals.iter().filter(|interval| interval.phase == Phase::Late).for_each(|interval| total.add(interval));
        (total.produced, total.consumed) = (produced, consumed);
        let broker = after.broker_since(&before);
        if total.unanswered > 0 {
            failure.get_or_insert(Failure(format!("{} requests were never answered", total.unanswered)));
        }
        if is_watched && broker.is_none() {
            failure.get_or_insert(Failure("the broker's process could not be watched to the end".to_owned()));
        }
        let seconds = (total.end - total.start) as f64 / SECOND as f64;
        let (own_cpu, stolen) = (after.own.since(before.own), after.stolen_since(&before));
        Self { seconds, total, intervals, own_cpu, stolen, broker, failure }
    }
}

/// Runs the workers. `ends_by_itself`: the roles say when they are done, so that no duration is assumed.
pub fn run(builds: Vec<Build>, args: &RunArgs, ends_by_itself: bool) -> Result<Outcome, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (report, reports) = mpsc::channel();
    let (ready, readies) = mpsc::channel();
    let mut starts = Vec::new();
    let workers = builds.len();
    for build in builds {
        let (start, started) = mpsc::channel::<Times>();
        starts.push(start);
        let (ready, report, stop) = (ready.clone(), report.clone(), stop.clone());
        std::thread::spawn(move || {
            let built = build().and_then(|links| Ok(Worker::new(links)?));
            match built {
                Ok(worker) => {
                    ready.send(Ok(())).ok();
                    if let Ok(times) = started.recv() {
                        worker.run(times, &stop, &report);
                    }
                }
                Err(failure) => {
                    ready.send(Err(failure)).ok();
                }
            }
        });
    }
    drop(report);
    for _ in 0..workers {
        readies.recv().map_err(|_| Failure("a worker ended before it began".to_owned()))??;
    }
    let duration = args.duration.or((!ends_by_itself).then_some(10.0));
    let start = clock::now() + LEAD;
    let measure = start + clock::seconds(args.warmup);
    let times = Times { start, measure, end: duration.map(|duration| measure + clock::seconds(duration)) };
    for start in starts {
        start.send(times).ok();
    }
    Ok(Collector::new(args, times, workers).collect(&reports, &stop))
}

/// CPU times and memory at one moment.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Of this process.
    pub own: Cpu,
    stolen: Option<f64>,
    broker: Option<Cpu>,
    memory: Option<(u64, u64)>,
}

impl Sample {
    /// `pids` are the brokers', if they are watched, whose sums are taken.
    pub fn take(pids: &[u32]) -> Self {
        Self {
            own: process::own_cpu(),
            stolen: process::stolen(),
            broker: sum(pids, process::cpu_of, |a, b| Cpu { user: a.user + b.user, system: a.system + b.system }),
            memory: sum(pids, process::memory_of, |a, b| (a.0 + b.0, a.1 + b.1)),
        }
    }

    /// What the broker took since `before`, if it was watched and there all the time.
    pub fn broker_since(&self, before: &Self) -> Option<BrokerUse> {
        let (rss_bytes, max_rss_bytes) = self.memory?;
        Some(BrokerUse { cpu: self.broker?.since(before.broker?), rss_bytes, max_rss_bytes })
    }

    /// Seconds that a hypervisor took away since `before`, of all processors together, if the kernel tells.
    pub fn stolen_since(&self, before: &Self) -> Option<f64> {
        Some(self.stolen? - before.stolen?)
    }
}

/// What all of these processes have together; `None` if one is not there, or there is none.
fn sum<T>(pids: &[u32], of: impl Fn(u32) -> Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    let mut all = pids.iter().map(|pid| of(*pid));
    let first = all.next()??;
    all.try_fold(first, |sum, one| Some(add(sum, one?)))
}

struct Collector<'a> {
    args: &'a RunArgs,
    times: Times,
    workers: usize,
    /// By their start: how many workers have reported it, and the sum.
    seconds: BTreeMap<(u64, bool), (usize, Interval)>,
    before: Option<Sample>,
    after: Option<Sample>,
    failure: Option<Failure>,
}

impl<'a> Collector<'a> {
    fn new(args: &'a RunArgs, times: Times, workers: usize) -> Self {
        Self { args, times, workers, seconds: BTreeMap::new(), before: None, after: None, failure: None }
    }

    fn sample(&self) -> Sample {
        Sample::take(&self.args.broker_pid)
    }

    fn collect(mut self, reports: &Receiver<Report>, stop: &AtomicBool) -> Outcome {
        let mut running = self.workers;
        let mut heard = clock::now();
        while running > 0 {
            let now = clock::now();
            if self.before.is_none() && now >= self.times.measure {
                self.before = Some(self.sample());
            }
            if self.after.is_none() && self.times.end.is_some_and(|end| now >= end) {
                self.after = Some(self.sample());
            }
            match reports.recv_timeout(Duration::from_nanos(self.until_sample(now))) {
                Ok(report) => {
                    heard = clock::now();
                    running -= usize::from(self.take(report, stop));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.failure.get_or_insert(Failure("a worker ended without a report".to_owned()));
                    break;
                }
                Err(RecvTimeoutError::Timeout) if clock::now() > heard + PATIENCE.as_nanos() as u64 => {
                    self.failure.get_or_insert(Failure("a worker hangs".to_owned()));
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.outcome()
    }

    /// Nanoseconds until something has to be sampled.
    fn until_sample(&self, now: u64) -> u64 {
        let next = match (self.before, self.after, self.times.end) {
            (None, _, _) => self.times.measure,
            (_, None, Some(end)) => end,
            _ => now + SECOND,
        };
        next.saturating_sub(now).clamp(1, SECOND)
    }

    /// Whether this was the last report of a worker.
    fn take(&mut self, report: Report, stop: &AtomicBool) -> bool {
        match report {
            Report::Interval(interval) => {
                let key = (interval.start, interval.phase == Phase::Late);
                let fresh = || (0, Interval { end: interval.end, ..Interval::new(interval.phase, interval.start) });
                let (workers, sum) = self.seconds.entry(key).or_insert_with(fresh);
                *workers += 1;
                sum.end = sum.end.max(interval.end);
                sum.add(&interval);
                if *workers == self.workers && interval.phase != Phase::Late && !self.args.quiet {
                    progress(sum, self.times.start);
                }
                false
            }
            Report::Ended(result) => {
                if let Err(failure) = result {
                    stop.store(true, Ordering::Relaxed);
                    self.failure.get_or_insert(failure);
                }
                // Without a fixed end the measured phase is over when the last worker is done.
                if self.times.end.is_none() {
                    self.after = Some(self.sample());
                }
                true
            }
        }
    }

    fn outcome(self) -> Outcome {
        let now = self.sample();
        let samples = (self.before.unwrap_or(now), self.after.unwrap_or(now));
        let intervals = self.seconds.into_values().map(|(_, interval)| interval).collect();
        Outcome::new(intervals, self.times.measure, samples, !self.args.broker_pid.is_empty(), self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_summed_and_none_may_be_missing() {
        let of = |pid: u32| (pid < 10).then_some(pid);
        let total = |pids: &[u32]| sum(pids, of, |a, b| a + b);
        assert_eq!((total(&[]), total(&[3]), total(&[1, 2, 4])), (None, Some(3), Some(7)));
        assert_eq!((total(&[1, 20, 4]), total(&[20])), (None, None));
        let own = std::process::id();
        assert!(Sample::take(&[own, own]).broker_since(&Sample::take(&[own, own])).is_some());
        assert!(Sample::take(&[own, u32::MAX]).broker_since(&Sample::take(&[own])).is_none());
    }
}
