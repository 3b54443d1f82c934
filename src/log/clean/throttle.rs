//! `log.cleaner.io.max.bytes.per.second`: what compaction reads and writes, it pays for with time.

use crate::io::{Io, Mono};
use std::cell::Cell;
use std::time::Duration;

/// Longest time that one payment takes, whatever the rate.
const LONGEST: Duration = Duration::from_secs(600);
/// A debt of less than this is not slept for at once: sleeping has a price, too.
const SHORTEST: Duration = Duration::from_millis(5);
/// Longest sleep in one piece.
const STEP: Duration = Duration::from_secs(1);

/// A rate of bytes.
pub(super) struct Throttle {
    bytes_per_second: Cell<f64>,
    /// When all that was paid for so far is over.
    paid_until: Cell<Mono>,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: f64) -> Self {
        Self { bytes_per_second: Cell::new(bytes_per_second), paid_until: Cell::new(Mono::default()) }
    }

    /// What is moved from now on has another price; what is owed for the time before is forgiven.
    pub(super) fn set_rate(&self, bytes_per_second: f64) {
        let before = self.bytes_per_second.replace(bytes_per_second);
        if before != bytes_per_second {
            self.paid_until.set(Mono::default());
        }
    }

    /// How long to wait at `now` after moving `bytes`.
    fn owed(&self, now: Mono, bytes: u64) -> Duration {
        let seconds = bytes as f64 / self.bytes_per_second.get().max(1.0);
        let time = Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()));
        let until = self.paid_until.get().max(now).after(time);
        self.paid_until.set(until);
        until.since(now)
    }

    /// Returns when `bytes` more may be moved.
    pub(super) async fn pay(&self, io: &Io, bytes: u64) {
        if self.owed(io.now(), bytes) <= SHORTEST {
            return;
        }
        // In steps, since the price may change meanwhile.
        loop {
            let left = self.paid_until.get().since(io.now());
            if left.is_zero() {
                return;
            }
            io.sleep(left.min(STEP)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_bytes_and_idle_time_is_not_saved_up() {
        let throttle = Throttle::new(1000.0);
        let at = |ms: u64| Mono(ms * 1_000_000);
        assert_eq!(throttle.owed(at(5000), 100), Duration::from_millis(100));
        assert_eq!(throttle.owed(at(5000), 100), Duration::from_millis(200));
        assert_eq!(throttle.owed(at(5150), 100), Duration::from_millis(150));
        assert_eq!(throttle.owed(at(9000), 100), Duration::from_millis(100));
        assert_eq!(Throttle::new(f64::MAX).owed(at(1), 1 << 40), Duration::ZERO);
        assert_eq!(Throttle::new(0.0).owed(at(1), 1 << 40), LONGEST);
        let slow = Throttle::new(1.0);
        assert_eq!(slow.owed(at(1), 1000), LONGEST);
        slow.set_rate(1000.0);
        assert_eq!(slow.owed(at(1), 1000), Duration::from_secs(1), "the old debt is gone");
        slow.set_rate(1000.0);
        assert_eq!(slow.owed(at(1), 1000), Duration::from_secs(2), "nothing has changed");
    }
}
