//! A record that was acked is read at its offset ever after, unless it was deleted.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct AckedIsKept {
    /// Value and timestamp by partition and offset.
    acked: BTreeMap<Tp, BTreeMap<i64, (String, i64)>>,
}

impl AckedIsKept {
    pub fn on_ack(&mut self, tp: &Tp, offset: i64, value: &str, timestamp: i64) {
        hold!(offset >= 0, "an ack has an offset");
        let of = self.acked.entry(tp.clone()).or_default();
        let before = of.insert(offset, (value.to_owned(), timestamp));
        hold!(before.is_none_or(|(before, _)| before == value), "offset {offset} of {tp:?} was acked for two values");
    }

    /// A reader has gone from `from` to `to` and found `values` there.
    pub fn on_read(&self, tp: &Tp, from: i64, to: i64, values: &BTreeMap<i64, String>) {
        let Some(acked) = self.acked.get(tp) else { return };
        for (offset, (value, _)) in acked.range(from..to) {
            hold!(values.get(offset) == Some(value), "acked at offset {offset} of {tp:?}");
        }
    }

    /// A reader was told that the log ends at `end`, and asked after everything here was acked.
    pub fn on_end(&self, tp: &Tp, end: i64, last_acked_before: Option<i64>) {
        hold!(last_acked_before.is_none_or(|last| last < end), "{tp:?} ends at {end}, but {last_acked_before:?} was acked");
    }

    /// The first acked offset from `position` on.
    pub fn next(&self, tp: &Tp, position: i64) -> Option<i64> {
        self.acked.get(tp)?.range(position..).next().map(|(offset, _)| *offset)
    }

    pub fn last(&self, tp: &Tp) -> Option<i64> {
        self.acked.get(tp).and_then(|acked| acked.last_key_value()).map(|(offset, _)| *offset)
    }

    /// The acked record behind `skip` others, and its timestamp.
    pub fn some(&self, tp: &Tp, skip: usize) -> Option<(i64, i64)> {
        let acked = self.acked.get(tp)?;
        acked.iter().nth(skip % acked.len().max(1)).map(|(offset, (_, timestamp))| (*offset, *timestamp))
    }

    /// The offset that was found for the timestamp of the record at `of`: not behind it, and not too early for it.
    pub fn on_found_by_time(&self, tp: &Tp, timestamp: i64, of: i64, found: i64) {
        hold!(found >= 0 && found <= of, "offset {of} of {tp:?} has timestamp {timestamp}, but {found} was found");
        let known = self.acked.get(tp).and_then(|acked| acked.get(&found));
        hold!(known.is_none_or(|(_, at)| *at >= timestamp), "offset {found} of {tp:?} is too old for {timestamp}");
    }

    pub fn len(&self) -> usize {
        self.acked.values().map(BTreeMap::len).sum()
    }
}
