//! Durations in classes that Prometheus can add up over cores and brokers.

/// Upper bounds of the classes in microseconds; one more class has everything above.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000,
];

/// How many durations were in which class, and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, micros: u64) {
        self.counts[BOUNDS_US.partition_point(|&bound| bound < micros)] += 1;
        self.sum_us += micros;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Bounds in microseconds, and how many durations were not above.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS_US.iter().zip(&self.counts).scan(0, |sum, (&bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_class_that_it_is_not_above() {
        let mut histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000, 20_000_000] {
            histogram.record(micros);
        }
        assert_eq!((histogram.count(), histogram.sum_us()), (5, 20_001_101));
        let cumulative: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
    }
}
