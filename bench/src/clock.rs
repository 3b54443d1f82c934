//! The one clock of a run: CLOCK_MONOTONIC in nanoseconds, the same for all threads, and the time of day for record timestamps.

use std::time::Duration;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec, and the two clocks used here exist on every Linux.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "the clock can be read");
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Milliseconds since 1970.
pub fn wall_ms() -> i64 {
    (read(libc::CLOCK_REALTIME) / 1_000_000) as i64
}

/// Nanoseconds of a duration given in seconds on the command line.
pub fn seconds(seconds: f64) -> u64 {
    Duration::from_secs_f64(seconds).as_nanos() as u64
}
