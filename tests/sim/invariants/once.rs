//! What a producer sends over one connection, or an idempotent one however often, is in its partition once and in the order in which
//! it was sent; what was never sent, and what was refused, is not there at all.

use crate::history::Tp;
use std::collections::BTreeMap;

/// What was sent.
struct Sent {
    tp: Tp,
    /// Who keeps an order, and the place in it.
    order: Option<(u64, u64)>,
}

#[derive(Default)]
pub struct Once {
    /// By value.
    sent: BTreeMap<String, Sent>,
    /// Values that were refused with an error that promises that they are not in the log.
    refused: BTreeMap<String, &'static str>,
    orders: u64,
}

impl Once {
    /// A number for a producer that keeps an order.
    pub fn new_order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// A value goes out whose place among others is not promised.
    pub fn on_send(&mut self, value: &str, tp: &Tp) {
        self.sent.insert(value.to_owned(), Sent { tp: tp.clone(), order: None });
    }

    /// A value goes out as the `position`th of `order`.
    pub fn on_send_in_order(&mut self, value: &str, tp: &Tp, order: u64, position: u64) {
        self.sent.insert(value.to_owned(), Sent { tp: tp.clone(), order: Some((order, position)) });
    }

    #[allow(dead_code, reason = "where a refusal promises that much")]
    pub fn on_refused(&mut self, value: &str, why: &'static str) {
        self.refused.insert(value.to_owned(), why);
    }

    /// Everything that a partition holds.
    pub fn on_read_all(&self, tp: &Tp, values: &BTreeMap<i64, String>) {
        let mut at: BTreeMap<&str, i64> = BTreeMap::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (offset, value) in values {
            let refused = self.refused.get(value);
            hold!(refused.is_none(), "{value} was refused ({}) and is in {tp:?}", refused.unwrap_or(&""));
            let sent = self.sent.get(value);
            hold!(sent.is_some_and(|sent| sent.tp == *tp), "{value} is in {tp:?} and was never sent there");
            let other = at.insert(value, *offset);
            hold!(other.is_none(), "{value} is in {tp:?} twice, at {other:?} and {offset}");
            let Some((order, position)) = sent.and_then(|sent| sent.order) else { continue };
            let before = last.insert(order, position);
            hold!(before.is_none_or(|b| b < position), "{before:?} was sent before {position}, {tp:?} has them otherwise");
        }
    }
}
