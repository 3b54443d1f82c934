//! How much a client may do in a second, and how long it has to wait when it has done more (KIP-13, KIP-124, KIP-599).
//!
//! Two rules. A [`Rate`] lets everything happen first and then asks for a pause that brings the average over the last windows back to the
//! bound: bytes produced and fetched, and time of the processor. A [`Bucket`] admits while it is not in debt: changes of the metadata.
//! Neither knows a clock, or who it is about.

/// What an average is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// How many windows count, the one under way included (`quota.window.num`).
    pub count: usize,
    /// Length of one in milliseconds (`quota.window.size.seconds`).
    pub length_ms: u64,
}

impl Windows {
    /// All windows but the one under way, in milliseconds: no average is over less.
    pub fn whole_ms(self) -> u64 {
        (self.count.max(2) as u64 - 1) * self.length_ms
    }
}

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
    /// Adds what was done at `now_ms`; a negative amount takes back what was not done after all.
    pub fn record(&mut self, amount: f64, windows: Windows, now_ms: u64) {
        self.forget(windows, now_ms);
        match self.windows.back_mut().filter(|last| now_ms < last.begun_ms + windows.length_ms) {
            Some(last) => last.amount += amount,
            None => self.windows.push_back(Window { begun_ms: now_ms, amount }),
        }
    }

    fn forget(&mut self, windows: Windows, now_ms: u64) {
        let oldest = now_ms.saturating_sub(windows.count as u64 * windows.length_ms);
        while self.windows.len() >= windows.count.max(1)
            && self.windows.back().is_some_and(|last| now_ms >= last.begun_ms + windows.length_ms)
            || self.windows.front().is_some_and(|first| first.begun_ms < oldest)
        {
            self.windows.pop_front();
        }
    }

    /// Whether nothing is remembered, so that a new one would be the same.
    pub fn is_blank(&mut self, windows: Windows, now_ms: u64) -> bool {
        self.forget(windows, now_ms);
        self.windows.is_empty()
    }

    /// Amount a second, as of `now_ms`. A young rate is taken to have been nothing before it began, so that a first burst is not taken for a
    /// habit.
    pub fn per_second(&mut self, windows: Windows, now_ms: u64) -> f64 {
        self.forget(windows, now_ms);
        let amount: f64 = self.windows.iter().map(|window| window.amount).sum();
        amount * 1e3 / self.elapsed_ms(windows, now_ms) as f64
    }

    /// The time that the average is over.
    fn elapsed_ms(&self, windows: Windows, now_ms: u64) -> u64 {
        let begun = self.windows.front().map_or(now_ms, |first| first.begun_ms);
        let elapsed_ms = now_ms - begun.min(now_ms);
        // Whole windows are missing, not parts of them: so it is in Kafka.
        elapsed_ms + windows.whole_ms().saturating_sub(elapsed_ms / windows.length_ms * windows.length_ms)
    }

    /// Milliseconds that the client has to wait until the average is back at `bound` a second; 0 if it is not above.
    pub fn throttle_ms(&mut self, bound: f64, windows: Windows, now_ms: u64) -> u64 {
        let rate = self.per_second(windows, now_ms);
        if rate <= bound {
            return 0;
        }
        let elapsed_ms = self.elapsed_ms(windows, now_ms) as f64;
        ((rate - bound) / bound.max(f64::MIN_POSITIVE) * elapsed_ms).round().min(MOST_MS) as u64
    }
}

/// No wait is longer than the field of an answer can say.
const MOST_MS: f64 = i32::MAX as f64;

/// Tokens that come at a rate and are spent, into debt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    tokens: f64,
    filled_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(bound: f64, windows: Windows, now_ms: u64) -> Self {
        Self { tokens: burst(bound, windows), filled_ms: now_ms }
    }

    fn fill(&mut self, bound: f64, windows: Windows, now_ms: u64) {
        let grown = (now_ms - self.filled_ms.min(now_ms)) as f64 / 1e3 * bound;
        self.tokens = (self.tokens + grown).min(burst(bound, windows));
        self.filled_ms = now_ms.max(self.filled_ms);
    }

    /// What is in it, below zero if it is in debt.
    pub fn tokens(&mut self, bound: f64, windows: Windows, now_ms: u64) -> f64 {
        self.fill(bound, windows, now_ms);
        self.tokens
    }

    /// Whether it is full, so that a new one would be the same.
    pub fn is_blank(&mut self, bound: f64, windows: Windows, now_ms: u64) -> bool {
        self.tokens(bound, windows, now_ms) >= burst(bound, windows)
    }

    /// Spends tokens, also those that are not there.
    pub fn spend(&mut self, amount: f64, bound: f64, windows: Windows, now_ms: u64) {
        self.fill(bound, windows, now_ms);
        self.tokens -= amount;
    }

    /// Milliseconds until the debt is paid.
    pub fn throttle_ms(&mut self, bound: f64, windows: Windows, now_ms: u64) -> u64 {
        self.fill(bound, windows, now_ms);
        if self.tokens >= 0.0 {
            return 0;
        }
        (-self.tokens / bound.max(f64::MIN_POSITIVE) * 1e3).round().min(MOST_MS) as u64
    }
}

/// What a full bucket holds.
fn burst(bound: f64, windows: Windows) -> f64 {
    bound * windows.count as f64 * windows.length_ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka's defaults.
    const WINDOWS: Windows = Windows { count: 11, length_ms: 1_000 };

    #[test]
    fn a_burst_is_paid_for_until_the_average_is_at_the_bound() {
        let mut rate = Rate::default();
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 0), 0);
        // 150 at once count as 15 a second over ten seconds; five seconds more and the average is 10.
        rate.record(150.0, WINDOWS, 0);
        assert_eq!(rate.per_second(WINDOWS, 0), 15.0);
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 0), 5_000);
        assert_eq!(rate.throttle_ms(15.0, WINDOWS, 0), 0);
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 10_500), 4_500, "150 over 10.5 s; over 15 s they are the bound");
        assert!(!rate.is_blank(WINDOWS, 11_000));
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 11_001), 0, "it is forgotten");
        assert!(rate.is_blank(WINDOWS, 11_001));
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let mut rate = Rate::default();
        rate.record(100.0, WINDOWS, 0);
        rate.record(500.0, WINDOWS, 10);
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 10), 49_990);
        rate.record(-500.0, WINDOWS, 10);
        assert_eq!(rate.throttle_ms(10.0, WINDOWS, 10), 0);
    }

    #[test]
    fn no_more_windows_are_kept_than_count() {
        let mut rate = Rate::default();
        for tenth in 0..400 {
            rate.record(1.0, WINDOWS, tenth * 100);
            assert!(rate.windows.len() <= WINDOWS.count);
            let per_second = rate.per_second(WINDOWS, tenth * 100);
            assert!(per_second <= 11.0 + 1e-9, "{per_second} after {tenth}");
            assert!(tenth < 110 || per_second >= 9.5, "{per_second} after {tenth}");
        }
        assert_eq!(rate.throttle_ms(25.0, WINDOWS, 39_900), 0);
        let wait = rate.throttle_ms(5.0, WINDOWS, 39_900);
        assert!((9_000..=13_000).contains(&wait), "twice the bound is paid for by as long again: {wait}");
    }

    #[test]
    fn a_bucket_admits_while_it_is_not_in_debt() {
        let mut bucket = Bucket::new(2.0, WINDOWS, 0);
        assert_eq!(bucket.tokens(2.0, WINDOWS, 0), 22.0);
        assert!(bucket.is_blank(2.0, WINDOWS, 0));
        bucket.spend(30.0, 2.0, WINDOWS, 0);
        assert_eq!(bucket.tokens(2.0, WINDOWS, 0), -8.0);
        assert_eq!(bucket.throttle_ms(2.0, WINDOWS, 0), 4_000);
        assert_eq!(bucket.throttle_ms(2.0, WINDOWS, 3_000), 1_000);
        assert_eq!(bucket.tokens(2.0, WINDOWS, 4_000), 0.0);
        bucket.spend(1.0, 2.0, WINDOWS, 100_000);
        assert_eq!(bucket.tokens(2.0, WINDOWS, 100_000), 21.0, "it holds no more than it takes");
        assert!(!bucket.is_blank(2.0, WINDOWS, 100_000));
    }
}
