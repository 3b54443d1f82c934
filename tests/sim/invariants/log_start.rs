//! A DeleteRecords that was answered holds for ever: the log never begins before its offset again.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct LogStart {
    deleted: BTreeMap<Tp, i64>,
}

impl LogStart {
    pub fn on_deleted(&mut self, tp: &Tp, low_watermark: i64) {
        let deleted = self.deleted.entry(tp.clone()).or_default();
        *deleted = (*deleted).max(low_watermark);
    }

    /// Where the log begins at least; ask before a request is sent.
    pub fn least(&self, tp: &Tp) -> i64 {
        self.deleted.get(tp).copied().unwrap_or(0)
    }

    pub fn on_told(&self, tp: &Tp, least_before: i64, log_start: i64) {
        hold!(log_start >= least_before, "{tp:?} begins at {log_start}, but records before {least_before} were deleted");
    }
}
