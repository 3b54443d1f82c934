//! `replica.alter.log.dirs.io.max.bytes.per.second`: what is copied is paid for with time. The rate may change at any moment, also
//! while somebody waits.

use crate::io::Mono;
use std::time::Duration;

/// Longest time between two looks at the rate.
const LONGEST: Duration = Duration::from_secs(1);
/// A debt of less than this is not waited for at once: sleeping has a price, too.
const SHORTEST: Duration = Duration::from_millis(5);

/// Bytes that have been moved and not been paid for yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    bytes: f64,
    /// As of when.
    at: Mono,
}

impl Pace {
    /// `bytes` more were moved.
    pub(super) fn owe(&mut self, bytes: u64) {
        self.bytes += bytes as f64;
    }

    /// Pays with the time since the last look. How long to wait before the next one; `None` when more may be moved.
    pub(super) fn wait(&mut self, now: Mono, bytes_per_second: f64) -> Option<Duration> {
        let seconds = now.since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.bytes = (self.bytes - seconds * bytes_per_second).max(0.0);
        let left = self.bytes / bytes_per_second;
        let owes = self.bytes > 0.0 && left > SHORTEST.as_secs_f64();
        owes.then(|| Duration::from_secs_f64(left.min(LONGEST.as_secs_f64())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    fn wait_ms(pace: &mut Pace, ms: u64, rate: f64) -> Option<u128> {
        pace.wait(at(ms), rate).map(|wait| wait.as_millis())
    }

    #[test]
    fn bytes_take_their_time_and_idle_time_is_not_saved_up() {
        let mut pace = Pace::default();
        assert_eq!(wait_ms(&mut pace, 5000, 1000.0), None);
        pace.owe(300);
        assert_eq!(wait_ms(&mut pace, 5000, 1000.0), Some(300));
        assert_eq!(wait_ms(&mut pace, 5100, 1000.0), Some(200));
        pace.owe(100);
        assert_eq!(wait_ms(&mut pace, 5200, 1000.0), Some(200));
        assert_eq!(wait_ms(&mut pace, 5400, 1000.0), None);
        pace.owe(4);
        assert_eq!(wait_ms(&mut pace, 5400, 1000.0), None, "too little to sleep for, but not forgotten");
        pace.owe(4);
        assert_eq!(wait_ms(&mut pace, 5400, 1000.0), Some(8));
    }

    #[test]
    fn the_rate_may_change_while_somebody_waits_and_be_nothing_or_all() {
        let mut pace = Pace::default();
        assert_eq!(wait_ms(&mut pace, 1, 0.0), None);
        pace.owe(1 << 20);
        assert_eq!(wait_ms(&mut pace, 1, 0.0), Some(1000));
        assert_eq!(wait_ms(&mut pace, 2000, 1.0), Some(1000));
        assert_eq!(wait_ms(&mut pace, 2000, i64::MAX as f64), None);
    }
}
