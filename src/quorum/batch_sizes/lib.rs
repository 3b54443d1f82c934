//! How often values of each size came, for openraft's own statistics, in as much of the interface of the crate `base2histogram` as
//! openraft uses. `Cargo.toml` says why it is here.
//!
//! A value is counted by its number of bits, so a percentile is exact to a factor of two. Flumen does not switch these statistics on;
//! they stay true for somebody who does to look for a fault.

use std::fmt;
use std::marker::PhantomData;

/// One bucket for zero and one for each position of the highest bit.
const BUCKETS: usize = u64::BITS as usize + 1;

/// Counts of values by their number of bits. `T` is the label of a time slot in the original; openraft has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    slot: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    pub fn new() -> Self {
        Self { counts: [0; BUCKETS], slot: PhantomData }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value as if it had come `times` times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        self.counts[bucket(value)] += times;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smallest value of the bucket in which the share `part` of 1,000 of all values is reached; 0 when none was counted.
    fn permille(&self, part: u64) -> u64 {
        let wanted = (u128::from(self.total()) * u128::from(part)).div_ceil(1000);
        let mut seen = 0u128;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u128::from(count);
            if count > 0 && seen >= wanted {
                return least(index);
            }
        }
        0
    }

    /// The percentiles that openraft shows.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.permille(1),
            p1: self.permille(10),
            p5: self.permille(50),
            p10: self.permille(100),
            p50: self.permille(500),
            p90: self.permille(900),
            p99: self.permille(990),
            p99_9: self.permille(999),
        }
    }
}

fn bucket(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

fn least(bucket: usize) -> u64 {
    match bucket {
        0 => 0,
        bits => 1 << (bits - 1),
    }
}

/// Percentiles of a [`Histogram`], each the smallest value of its bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} samples: 0.1 %: {}, 1 %: {}, 5 %: {}, 10 %: {}, 50 %: {}, 90 %: {}, 99 %: {}, 99.9 %: {}",
            self.samples, self.p0_1, self.p1, self.p5, self.p10, self.p50, self.p90, self.p99, self.p99_9
        )
    }
}

/// Several histograms under their names, a line each.
#[derive(Debug, Clone, Default)]
pub struct AsciiChart {
    rows: Vec<(String, Histogram)>,
}

impl AsciiChart {
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more histogram.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.rows.push((name.into(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.rows {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_a_factor_of_two() {
        let mut sizes = Histogram::<()>::new();
        assert_eq!(sizes.percentile_stats(), PercentileStats::default());
        for value in 0..1000 {
            sizes.record(value);
        }
        let stats = sizes.percentile_stats();
        assert_eq!((stats.samples, stats.p0_1, stats.p1, stats.p50, stats.p99_9), (1000, 0, 8, 256, 512));
        sizes.record(u64::MAX);
        assert_eq!(sizes.percentile_stats().samples, 1001);
        assert_eq!(sizes.permille(1000), 1 << 63);
        assert!(AsciiChart::new().add("sizes", sizes).to_string().starts_with("sizes: 1001 samples: "));
    }
}
