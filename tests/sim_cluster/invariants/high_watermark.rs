//! The high watermark that a leader tells does not fall within its epoch, and nothing is read at or above it.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct HighWatermark {
    /// The greatest that was told, by partition and leader epoch.
    told: BTreeMap<(Tp, i32), i64>,
}

impl HighWatermark {
    /// The greatest that was told in this epoch so far; ask before a request is sent.
    pub fn told(&self, tp: &Tp, epoch: i32) -> i64 {
        self.told.get(&(tp.clone(), epoch)).copied().unwrap_or(-1)
    }

    /// A leader's answer to a fetch that was sent when `told_before` had been told.
    pub fn on_answer(&mut self, tp: &Tp, epoch: i32, told_before: i64, high_watermark: i64) {
        hold!(
            high_watermark >= told_before,
            "the high watermark of {tp:?} fell from {told_before} to {high_watermark} within epoch {epoch}"
        );
        let told = self.told.entry((tp.clone(), epoch)).or_default();
        *told = (*told).max(high_watermark);
    }

    /// Anybody's answer.
    pub fn on_read(&self, tp: &Tp, high_watermark: i64, last_read: Option<i64>) {
        hold!(last_read.is_none_or(|last| last < high_watermark), "{tp:?} served {last_read:?} at {high_watermark}");
    }
}
