//! An offset that was read never gets another value, in any life of the broker.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneValue {
    seen: BTreeMap<Tp, BTreeMap<i64, String>>,
}

impl OneValue {
    pub fn on_read(&mut self, tp: &Tp, values: &BTreeMap<i64, String>) {
        let seen = self.seen.entry(tp.clone()).or_default();
        for (offset, value) in values {
            if let Some(before) = seen.insert(*offset, value.clone()) {
                hold!(&before == value, "offset {offset} of {tp:?} has two values");
            }
        }
    }
}
