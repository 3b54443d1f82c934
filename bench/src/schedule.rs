//! When requests are meant to leave.
//!
//! A closed loop sends as soon as an answer makes room, so a stalled broker is asked less and its stall is counted once. An open
//! loop has a timetable that nothing moves: a request that could not leave in time still counts from its intended time, so that
//! a stall shows in every request that it held up ("coordinated omission" otherwise).

use crate::clock::SECOND;

/// The timetable of one connection.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// As soon as there is room.
    Closed,
    /// Request k is meant to leave at `first + k * interval`.
    Open {
        /// Nanoseconds of the monotonic clock.
        first: u64,
        /// Nanoseconds between two requests; not whole, so that no rate drifts.
        interval: f64,
        /// Requests taken so far.
        taken: u64,
    },
}

impl Schedule {
    /// `rate` requests per second, evenly spaced, from `phase` (0 to 1) of an interval after the beginning on.
    pub fn open(rate: f64, phase: f64) -> Self {
        let interval = SECOND as f64 / rate;
        Self::Open { first: (phase * interval) as u64, interval, taken: 0 }
    }

    /// Counts the timetable from `start` on.
    pub fn begin(&mut self, start: u64) {
        if let Self::Open { first, .. } = self {
            *first += start;
        }
    }

    /// When the next request is meant to leave; a closed loop means it now.
    pub fn next(&self, now: u64) -> u64 {
        match self {
            Self::Closed => now,
            Self::Open { first, interval, taken } => first + (*taken as f64 * interval) as u64,
        }
    }

    /// Takes the next request off the timetable: its intended time.
    pub fn take(&mut self, now: u64) -> u64 {
        let intended = self.next(now);
        if let Self::Open { taken, .. } = self {
            *taken += 1;
        }
        intended
    }

    /// The intended times before `now` that were not taken: what a broker (or a connection's limit) held up.
    pub fn overdue(&self, now: u64) -> impl Iterator<Item = u64> {
        let mut ahead = self.clone();
        let open = matches!(self, Self::Open { .. });
        std::iter::from_fn(move || (open && ahead.next(now) < now).then(|| ahead.take(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intended_times_do_not_depend_on_when_they_are_taken() {
        let mut prompt = Schedule::open(3_000.0, 0.25);
        prompt.begin(1_000);
        let mut stalled = prompt.clone();
        let on_time: Vec<u64> = (0..3_000).map(|_| prompt.take(prompt.next(0))).collect();
        // Nothing is taken for a second, then everything at once.
        let late: Vec<u64> = (0..3_000).map(|_| stalled.take(1_000 + 2 * SECOND)).collect();
        assert_eq!(on_time, late);
        assert_eq!(on_time[0], 1_000 + 83_333);
        let gaps: Vec<u64> = on_time.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (333_333..=333_334).contains(gap)), "evenly spaced");
    }

    #[test]
    fn a_rate_does_not_drift() {
        let mut schedule = Schedule::open(7.0, 0.0);
        let last = (0..=7_000).map(|_| schedule.take(0)).last().unwrap();
        assert!(last.abs_diff(1_000 * SECOND) < 10, "7,000 requests at 7/s take 1,000 s, not {last} ns");
    }

    #[test]
    fn what_was_held_up_is_known_at_the_end() {
        let mut schedule = Schedule::open(10.0, 0.0);
        schedule.take(0);
        assert_eq!(schedule.overdue(SECOND).count(), 9, "one of ten left in time");
        assert_eq!(schedule.overdue(SECOND).next(), Some(SECOND / 10));
        assert_eq!(Schedule::Closed.overdue(SECOND).count(), 0);
    }

    #[test]
    fn a_closed_loop_means_now() {
        let mut schedule = Schedule::Closed;
        assert_eq!(schedule.take(5), 5);
        assert_eq!(schedule.next(9), 9);
    }
}
