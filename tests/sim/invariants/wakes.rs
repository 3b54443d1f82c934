//! A fetch that waits is answered soon after what it waits for was acked; as long as nobody disturbs the broker.

use crate::history::Tp;
use flumen::io::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time from an ack to the end of a fetch that could have seen the record; many times what a calm world takes.
pub const LATEST: Duration = Duration::from_millis(400);

#[derive(Default)]
pub struct Wakes {
    /// When the newest record of a partition was acked, and its offset.
    acked: BTreeMap<Tp, (Mono, i64)>,
}

impl Wakes {
    pub fn on_ack(&mut self, tp: &Tp, offset: i64, now: Mono) {
        self.acked.insert(tp.clone(), (now, offset));
    }

    /// A fetch from `position` has come back with nothing.
    pub fn on_empty_fetch(&self, tp: &Tp, position: i64, now: Mono) {
        let Some(&(at, offset)) = self.acked.get(tp) else { return };
        let late = offset >= position && now.since(at) > LATEST;
        assert!(!late, "{tp:?}: {offset} was acked {:?} before a fetch from {position} found nothing", now.since(at));
    }
}
