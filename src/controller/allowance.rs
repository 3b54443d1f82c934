//! How many partitions a request may create and delete (KIP-599).

use super::Refusal;
use crate::model::ErrorCode;

/// What is left of a client's quota of changes when a decision begins, and what the decision takes of it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Allowance {
    /// Partitions that may still change; below zero the client has taken more than that already. `None`: no quota.
    left: Option<f64>,
    /// Whether changes are refused that are not allowed, instead of being made and paid for later.
    is_strict: bool,
    spent: usize,
    has_refused: bool,
}

impl Allowance {
    /// An allowance of so many changes of partitions; the last one may go beyond it.
    pub fn new(left: f64, is_strict: bool) -> Self {
        Self { left: Some(left), is_strict, spent: 0, has_refused: false }
    }

    /// Takes what a change needs.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED` where nothing is left; then nothing is taken.
    pub(super) fn take(&mut self, partitions: usize) -> Result<(), Refusal> {
        if self.is_strict && self.left.is_some_and(|left| left < self.spent as f64) {
            self.has_refused = true;
            return Err(Refusal::new(ErrorCode::ThrottlingQuotaExceeded, "The throttling quota has been exceeded."));
        }
        self.spent += partitions;
        Ok(())
    }

    /// Partitions that were taken.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// Whether the client has to wait until what it took is paid for: always, but for one that is refused instead and was not.
    pub fn is_to_wait(&self) -> bool {
        self.left.is_some() && (!self.is_strict || self.has_refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_may_go_beyond_what_is_left_and_the_next_is_refused() {
        let mut strict = Allowance::new(3.0, true);
        assert_eq!((strict.take(2), strict.take(10)), (Ok(()), Ok(())));
        assert!(!strict.is_to_wait());
        assert_eq!(strict.take(1).map_err(|refusal| refusal.0), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!((strict.spent(), strict.is_to_wait()), (12, true));

        let mut lenient = Allowance::new(-5.0, false);
        assert_eq!((lenient.take(7), lenient.spent(), lenient.is_to_wait()), (Ok(()), 7, true));

        let mut none = Allowance::default();
        assert_eq!((none.take(1_000), none.is_to_wait()), (Ok(()), false));
    }
}
