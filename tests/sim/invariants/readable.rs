//! A fetch brings what was acked before it was sent: something of each partition that has it, or of one at least where its limit
//! leaves no room for all.

use super::AckedIsKept;
use crate::history::Tp;
use std::collections::BTreeMap;

/// What a fetch has to bring, taken when it is sent.
pub struct Readable {
    /// The first acked offset at or behind the reader's position, for each partition that has one.
    waiting: BTreeMap<Tp, i64>,
    room_for_all: bool,
}

impl Readable {
    pub fn before<'a>(acked: &AckedIsKept, at: impl Iterator<Item = (&'a Tp, i64)>, room_for_all: bool) -> Self {
        let waiting = at.filter_map(|(tp, position)| Some((tp.clone(), acked.next(tp, position)?))).collect();
        Self { waiting, room_for_all }
    }

    /// The answer told `brought` of records or an error.
    pub fn on_answer(&self, brought: &[Tp]) {
        for (tp, offset) in &self.waiting {
            let enough = brought.contains(tp) || (!self.room_for_all && !brought.is_empty());
            hold!(enough, "offset {offset} of {tp:?} was acked before a fetch was sent, and its answer has nothing of it");
        }
    }
}
