//! What was acked for all replicas, or read by anybody, has its offset for ever: on every broker, under every leader.

use crate::history::Tp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Committed {
    /// Value by partition and offset, and how it is known.
    values: BTreeMap<Tp, BTreeMap<i64, (String, &'static str)>>,
    acked: usize,
}

impl Committed {
    fn know(&mut self, tp: &Tp, offset: i64, value: &str, how: &'static str) {
        hold!(offset >= 0, "a record has an offset");
        let of = self.values.entry(tp.clone()).or_default();
        let (known, before) = of.entry(offset).or_insert_with(|| (value.to_owned(), how));
        hold!(known == value, "offset {offset} of {tp:?} has two values: {before} {known}, {how} {value}");
        if how == ACKED {
            *before = how;
        }
    }

    /// An ack that promises to keep the record.
    pub fn on_ack(&mut self, tp: &Tp, offset: i64, value: &str) {
        self.acked += 1;
        self.know(tp, offset, value, ACKED);
    }

    /// A reader has gone from `from` to `to` and found `values` there.
    pub fn on_read(&mut self, tp: &Tp, from: i64, to: i64, values: &BTreeMap<i64, String>) {
        for (offset, (value, how)) in self.values.get(tp).into_iter().flat_map(|known| known.range(from..to)) {
            let found = values.get(offset);
            hold!(found == Some(value), "{value} was {how} at offset {offset} of {tp:?}, and now there is {found:?}");
        }
        for (offset, value) in values.range(from..to) {
            self.know(tp, *offset, value, "read");
        }
    }

    /// The topic promises nothing any more.
    pub fn forgive(&mut self, tp: &Tp) {
        self.values.remove(tp);
    }

    /// Acks that promised to keep the record.
    pub fn acked(&self) -> usize {
        self.acked
    }
}

const ACKED: &str = "acked";
