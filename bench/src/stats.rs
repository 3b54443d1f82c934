//! What a worker counts, in intervals of a second at most, so that progress, the HDR log and the totals come from the same numbers
//! and no counter is shared between threads.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Longest latency that is told apart: an hour, in nanoseconds.
const MAX_LATENCY: u64 = 3_600_000_000_000;
/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// What a histogram is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// From the intended send time of a request to its answer (with acks=0: until the kernel has taken it).
    Ack,
    /// From the real send time of the same request to its answer.
    Service,
    /// From a fetch to its answer.
    Fetch,
    /// From the intended send time of a record to its consumption.
    EndToEnd,
}

impl Metric {
    /// Its name in the report, and the tag of its lines in the HDR log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Service => "service",
            Self::Fetch => "fetch",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// Work of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered.
    pub requests: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their record batches; on the floor, of the frames.
    pub bytes: u64,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// Where in a run something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not part of any result.
    Warmup,
    Measured,
    /// Answers that came after the end: their latencies count, their throughput does not.
    Late,
}

/// Everything counted between two moments.
#[derive(Clone, Debug)]
pub struct Interval {
    pub phase: Phase,
    /// Nanoseconds of the monotonic clock.
    pub start: u64,
    pub end: u64,
    pub produced: Counts,
    pub consumed: Counts,
    /// Requests of an open loop that were due and had not left at the end; they are in the histogram with the time that they had waited.
    pub unsent: u64,
    /// Requests that were never answered.
    pub unanswered: u64,
    /// Answers with an error, by Kafka's code, counted by partition.
    pub errors: BTreeMap<i16, u64>,
    pub histograms: BTreeMap<Metric, Histogram<u64>>,
}

impl Interval {
    pub fn new(phase: Phase, start: u64) -> Self {
        Self {
            phase,
            start,
            end: start,
            produced: Counts::default(),
            consumed: Counts::default(),
            unsent: 0,
            unanswered: 0,
            errors: BTreeMap::new(),
            histograms: BTreeMap::new(),
        }
    }

    /// Counts `times` latencies of so many nanoseconds.
    pub fn record(&mut self, metric: Metric, nanoseconds: u64, times: u64) {
        let histogram = self.histograms.entry(metric).or_insert_with(histogram);
        histogram.saturating_record_n(nanoseconds, times);
    }

    pub fn error(&mut self, code: i16) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Adds what another worker, or another second, counted. Its times are left alone.
    pub fn add(&mut self, other: &Interval) {
        self.produced.add(other.produced);
        self.consumed.add(other.consumed);
        self.unsent += other.unsent;
        self.unanswered += other.unanswered;
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        for (metric, found) in &other.histograms {
            self.histograms.entry(*metric).or_insert_with(histogram).add(found).expect("all histograms have the same bounds");
        }
    }
}

/// An empty histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY, DIGITS).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_workers_and_seconds_add_up() {
        let mut total = Interval::new(Phase::Measured, 0);
        for second in 1..=3u64 {
            let mut interval = Interval::new(Phase::Measured, second);
            interval.produced = Counts { requests: 1, records: second, bytes: 10 };
            interval.record(Metric::Ack, second * 1_000, second);
            interval.error(3);
            interval.unsent = 2;
            total.add(&interval);
        }
        assert_eq!(total.produced, Counts { requests: 3, records: 6, bytes: 30 });
        assert_eq!(total.errors, BTreeMap::from([(3, 3)]));
        assert_eq!(total.unsent, 6);
        let acks = &total.histograms[&Metric::Ack];
        assert_eq!(acks.len(), 6);
        assert!(acks.value_at_quantile(0.5).abs_diff(2_000) <= 2 && acks.max().abs_diff(3_000) <= 4);
    }

    #[test]
    fn a_latency_beyond_the_bounds_is_not_lost() {
        let mut interval = Interval::new(Phase::Measured, 0);
        interval.record(Metric::Ack, u64::MAX, 1);
        assert_eq!(interval.histograms[&Metric::Ack].len(), 1);
    }
}
