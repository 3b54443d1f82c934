//! What an idempotent producer sends, however often, is in its partition once and in the order in which it was sent; what was never
//! sent, and what was refused, is not there at all.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Once {
    /// For each value of an idempotent producer: producer and position.
    sent: BTreeMap<String, (u64, u64)>,
    /// Values that were refused with an error that promises that they are not in the log.
    refused: BTreeMap<String, &'static str>,
}

impl Once {
    pub fn on_send(&mut self, value: &str, producer: u64, position: u64) {
        self.sent.insert(value.to_owned(), (producer, position));
    }

    pub fn on_refused(&mut self, value: &str, why: &'static str) {
        self.refused.insert(value.to_owned(), why);
    }

    /// Everything that a partition holds.
    pub fn on_read_all(&self, tp: &Tp, values: &BTreeMap<i64, String>) {
        let mut at: BTreeMap<&str, i64> = BTreeMap::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (offset, value) in values {
            assert!(!self.refused.contains_key(value), "{value} was refused ({}) and is in {tp:?}", self.refused[value]);
            let Some((producer, position)) = self.sent.get(value) else { continue };
            if let Some(other) = at.insert(value, *offset) {
                panic!("{value} is in {tp:?} twice, at {other} and {offset}");
            }
            if let Some(before) = last.insert(*producer, *position) {
                assert!(before < *position, "producer {producer} sent {before} before {position}, {tp:?} has them otherwise");
            }
        }
    }
}
