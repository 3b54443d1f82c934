//! The high watermark that readers are told: nothing read is at or above it, it does not fall within a life of the broker, and
//! nothing that is produced later lands below it.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct HighWatermark {
    told: BTreeMap<Tp, i64>,
}

impl HighWatermark {
    pub fn on_fetch(&mut self, tp: &Tp, high_watermark: i64, last_read: Option<i64>) {
        hold!(last_read.is_none_or(|last| last < high_watermark), "{tp:?} served {last_read:?} at {high_watermark}");
        let told = self.told.entry(tp.clone()).or_default();
        *told = (*told).max(high_watermark);
    }

    /// The greatest that was told so far; ask before a request is sent.
    pub fn told(&self, tp: &Tp) -> i64 {
        self.told.get(tp).copied().unwrap_or(0)
    }

    /// A fetch that was sent when `told_before` had been told.
    pub fn on_later_fetch(&self, tp: &Tp, told_before: i64, high_watermark: i64) {
        hold!(high_watermark >= told_before, "the high watermark of {tp:?} fell from {told_before} to {high_watermark}");
    }

    /// A new record that was sent when `told_before` had been told.
    pub fn on_append(&self, tp: &Tp, told_before: i64, offset: i64) {
        hold!(offset >= told_before, "{tp:?} appended at {offset}, below the high watermark {told_before}");
    }
}
