//! What one core has done to its devices, for telemetry and for tests that prove how bytes travel.

use std::cell::Cell;
use std::fmt;

/// Totals of one core since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that went from page cache to socket by `sendfile`.
    pub sendfile_bytes: u64,
    /// `sendfile` calls that moved bytes.
    pub sendfile_calls: u64,
    /// Bytes of file slices that were read into memory first, because they were cold or to wait for a full socket.
    pub file_copied_bytes: u64,
    /// Bytes sent from memory that were not part of a file slice.
    pub memory_bytes: u64,
    /// `sendmsg` calls that moved bytes.
    pub send_calls: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Receive calls that returned.
    pub receive_calls: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Write calls.
    pub write_calls: u64,
    /// Write calls that went to the helper, because the dirty budget was used up.
    pub helper_writes: u64,
    /// Bytes read from files by `read_at`.
    pub read_bytes: u64,
    /// Reads that found a page missing and went to the helper.
    pub cold_reads: u64,
    /// `fdatasync` calls.
    pub syncs: u64,
    /// Times that other cores woke this one for messages; many messages may wait by then.
    pub mail_calls: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Microseconds that one task held the core, at worst.
    pub longest_stall_us: u64,
    /// Microseconds that one write call held up the core, at worst.
    pub longest_write_us: u64,
}

/// How long tasks held a core, each time one got it: what everybody else on the core had to wait for at least. Shown as
/// `below:count ...`, microseconds that so many turns took less than, the empty classes left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls([u64; STALL_CLASSES]);

/// Powers of two of microseconds: below 2, below 4, and so on; the last has everything from 4 s on.
const STALL_CLASSES: usize = 23;

impl Stalls {
    /// The class of a turn's length in microseconds.
    fn class(turn_us: u64) -> usize {
        (turn_us.max(1).ilog2() as usize).min(STALL_CLASSES - 1)
    }

    /// The classes in order: microseconds that a class is below, and its turns.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().enumerate().map(|(class, count)| (2 << class, *count))
    }
}

impl fmt::Display for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (below, count) in self.classes().filter(|(_, count)| *count > 0) {
            write!(f, "{between}{below}:{count}")?;
            between = " ";
        }
        Ok(())
    }
}

/// The counters of a core, to be added to in place. What each turn of a task counts lies beside the totals, because whoever adds to them
/// copies them.
#[derive(Default)]
pub(super) struct Counting {
    totals: Cell<Counters>,
    longest_stall_us: Cell<u64>,
    stalls: [Cell<u64>; STALL_CLASSES],
}

impl Counting {
    pub(super) fn get(&self) -> Counters {
        Counters { longest_stall_us: self.longest_stall_us.get(), ..self.totals.get() }
    }

    #[inline]
    pub(super) fn add(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.totals.get();
        change(&mut counters);
        self.totals.set(counters);
    }

    pub(super) fn stalls(&self) -> Stalls {
        Stalls(std::array::from_fn(|class| self.stalls[class].get()))
    }

    /// Counts a turn of such a length.
    #[inline]
    pub(super) fn turned(&self, turn_us: u64) {
        self.longest_stall_us.set(self.longest_stall_us.get().max(turn_us));
        let class = &self.stalls[Stalls::class(turn_us)];
        class.set(class.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_in_powers_of_two_of_microseconds() {
        let counting = Counting::default();
        for turn in [0, 1, 2, 3, 4, 1_023, 1_024, 5_000_000, u64::MAX] {
            counting.turned(turn);
        }
        let found: Vec<_> = counting.stalls().classes().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(2, 2), (4, 2), (8, 1), (1_024, 1), (2_048, 1), (1 << STALL_CLASSES, 2)]);
        assert_eq!(counting.stalls().to_string(), "2:2 4:2 8:1 1024:1 2048:1 8388608:2");
        assert_eq!(counting.get().longest_stall_us, u64::MAX);
        assert_eq!(Stalls::default().to_string(), "");
    }

    #[test]
    fn a_class_is_below_its_bound_and_not_below_the_one_before() {
        for (class, (below, _)) in Stalls::default().classes().enumerate() {
            assert_eq!(Stalls::class(below - 1), class);
            assert_eq!(Stalls::class(below), (class + 1).min(STALL_CLASSES - 1));
        }
    }
}
