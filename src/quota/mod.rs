//! How much a client may do in a second, and how long it has to wait when it has done more (KIP-13, KIP-124, KIP-599).
//!
//! Two rules. A [`Rate`] lets everything happen first and then asks for a pause that brings the average over the last windows back to the
//! bound: bytes produced and fetched, and time of the processor. A [`Bucket`] admits while it is not in debt: changes of the metadata.
//! Neither knows a clock, or who it is about.

/// Windows that count, the one under way included (`quota.window.num`).
const WINDOWS: usize = 11;
/// Length of a window in milliseconds (`quota.window.size.seconds`).
const WINDOW_MS: u64 = 1_000;

#[derive(Clone, Copy, PartialEq, Debug)]
struct Window {
    begun_ms: u64,
    amount: f64,
}

/// An average over the last windows.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    windows: std::collections::VecDeque<Window>,
}

impl Rate {
    /// Adds what was done at `now_ms`.
    pub fn record(&mut self, amount: f64, now_ms: u64) {
        match self.windows.back_mut().filter(|last| now_ms < last.begun_ms + WINDOW_MS) {
            Some(last) => last.amount += amount,
            None => self.windows.push_back(Window { begun_ms: now_ms, amount }),
        }
        self.forget(now_ms);
    }

    fn forget(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(WINDOWS as u64 * WINDOW_MS);
        while self.windows.len() > WINDOWS || self.windows.front().is_some_and(|first| first.begun_ms < oldest) {
            self.windows.pop_front();
        }
    }

    /// Amount a second, as of `now_ms`. A young rate is taken to have been nothing before it began, so that a first burst is not taken for a
    /// habit.
    pub fn per_second(&mut self, now_ms: u64) -> f64 {
        self.forget(now_ms);
        let amount: f64 = self.windows.iter().map(|window| window.amount).sum();
        amount * 1e3 / self.elapsed_ms(now_ms) as f64
    }

    /// The time that the average is over: at least all windows but the one under way.
    fn elapsed_ms(&self, now_ms: u64) -> u64 {
        let begun = self.windows.front().map_or(now_ms, |first| first.begun_ms);
        (now_ms - begun.min(now_ms)).max((WINDOWS as u64 - 1) * WINDOW_MS)
    }

    /// Milliseconds that the client has to wait until the average is back at `bound` a second; 0 if it is not above.
    pub fn throttle_ms(&mut self, bound: f64, now_ms: u64) -> u64 {
        let rate = self.per_second(now_ms);
        if rate <= bound || bound <= 0.0 && rate <= 0.0 {
            return 0;
        }
        let window_ms = self.elapsed_ms(now_ms) as f64;
        // A bound of nothing would be a wait without end.
        ((rate - bound) / bound.max(f64::MIN_POSITIVE) * window_ms).round().min(u64::from(u32::MAX) as f64) as u64
    }
}

/// Tokens that come at a rate and are spent, into debt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    tokens: f64,
    filled_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(bound: f64, now_ms: u64) -> Self {
        Self { tokens: bound * WINDOWS as f64, filled_ms: now_ms }
    }

    fn fill(&mut self, bound: f64, now_ms: u64) {
        let grown = (now_ms - self.filled_ms.min(now_ms)) as f64 / 1e3 * bound;
        self.tokens = (self.tokens + grown).min(bound * WINDOWS as f64);
        self.filled_ms = now_ms.max(self.filled_ms);
    }

    /// Whether something may be done now.
    pub fn admits(&mut self, bound: f64, now_ms: u64) -> bool {
        self.fill(bound, now_ms);
        self.tokens >= 0.0
    }

    /// Spends tokens, also those that are not there.
    pub fn spend(&mut self, amount: f64, bound: f64, now_ms: u64) {
        self.fill(bound, now_ms);
        self.tokens -= amount;
    }

    /// Milliseconds until the debt is paid.
    pub fn throttle_ms(&mut self, bound: f64, now_ms: u64) -> u64 {
        self.fill(bound, now_ms);
        if self.tokens >= 0.0 {
            return 0;
        }
        (-self.tokens / bound.max(f64::MIN_POSITIVE) * 1e3).round().min(u64::from(u32::MAX) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_paid_for_until_the_average_is_at_the_bound() {
        let mut rate = Rate::default();
        assert_eq!(rate.throttle_ms(10.0, 0), 0);
        // 150 at once count as 15 a second over ten seconds; five seconds more and the average is 10.
        rate.record(150.0, 0);
        assert_eq!(rate.per_second(0), 15.0);
        assert_eq!(rate.throttle_ms(10.0, 0), 5_000);
        assert_eq!(rate.throttle_ms(15.0, 0), 0);
        assert_eq!(rate.throttle_ms(10.0, 10_500), 4_286, "15 over 10.5 s is 14.3");
        assert_eq!(rate.throttle_ms(10.0, 11_001), 0, "it is forgotten");
    }

    #[test]
    fn windows_are_counted_from_the_first_of_them() {
        let mut rate = Rate::default();
        for second in 0..20 {
            rate.record(10.0, second * 1_000);
            rate.record(10.0, second * 1_000 + 500);
        }
        let now = 19_500;
        assert!((rate.per_second(now) - 20.0).abs() < 2.0, "{}", rate.per_second(now));
        assert_eq!(rate.throttle_ms(25.0, now), 0);
        assert!(rate.throttle_ms(10.0, now) > 9_000);
    }

    #[test]
    fn a_bucket_admits_while_it_is_not_in_debt() {
        let mut bucket = Bucket::new(2.0, 0);
        assert!(bucket.admits(2.0, 0));
        bucket.spend(30.0, 2.0, 0);
        assert!(!bucket.admits(2.0, 0), "22 were there");
        assert_eq!(bucket.throttle_ms(2.0, 0), 4_000);
        assert_eq!(bucket.throttle_ms(2.0, 3_000), 1_000);
        assert!(bucket.admits(2.0, 4_000));
        bucket.spend(1.0, 2.0, 100_000);
        assert!((bucket.tokens - 21.0).abs() < 1e-9, "it holds no more than it takes");
    }
}
