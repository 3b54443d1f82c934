//! How much has been checked: what writers were told and readers have seen, and what of it was compared.

use std::fmt;
use std::ops::Sub;

/// Sums over all clients since the load began; the difference of two is what came between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were acked, by acks=all or acks=1, and the batches in which they were sent.
    pub acked: u64,
    pub batches: u64,
    /// Answers that asked to try again.
    pub refused: u64,
    /// Batches of producers that do not retry, whose answer never came or was an error: they may be there or not.
    pub given_up: u64,
    /// Records that were found, each once.
    pub found: u64,
    /// Acked records whose promise was compared with what is at their offsets.
    pub promises: u64,
    /// Records that were read again, perhaps of another replica, and compared with what was at their offset before.
    pub compared: u64,
    /// High watermarks that were compared with the highest of their leader epoch.
    pub high_watermarks: u64,
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, before: Counts) -> Counts {
        Counts {
            acked: self.acked - before.acked,
            batches: self.batches - before.batches,
            refused: self.refused - before.refused,
            given_up: self.given_up - before.given_up,
            found: self.found - before.found,
            promises: self.promises - before.promises,
            compared: self.compared - before.compared,
            high_watermarks: self.high_watermarks - before.high_watermarks,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { acked, batches, refused, given_up, found, promises, compared, high_watermarks } = self;
        write!(
            formatter,
            "{acked} records acked in {batches} batches, {refused} answers asked to try again, {given_up} batches given up, {found} records \
             found, {promises} acks and {compared} offsets compared, {high_watermarks} high watermarks compared"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_between_is_the_difference() {
        let before = Counts { acked: 5, batches: 2, found: 4, ..Counts::default() };
        let after = Counts { acked: 9, batches: 3, found: 9, high_watermarks: 7, ..Counts::default() };
        assert_eq!(after - before, Counts { acked: 4, batches: 1, found: 5, high_watermarks: 7, ..Counts::default() });
    }
}
