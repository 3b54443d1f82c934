//! A fetch is answered soon after the first record that it waits for was acked; as long as nobody disturbs the broker.

use crate::history::Tp;
use flumen::io::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time from an ack to the answer of a fetch that waits for the record; many times what a calm world takes.
const LATEST: Duration = Duration::from_millis(400);

#[derive(Default)]
pub struct Wakes {
    /// When each record was acked first.
    acked: BTreeMap<Tp, BTreeMap<i64, Mono>>,
}

impl Wakes {
    pub fn on_ack(&mut self, tp: &Tp, offset: i64, now: Mono) {
        self.acked.entry(tp.clone()).or_default().entry(offset).or_insert(now);
    }

    /// A fetch from `position` that was sent at `sent` is answered now; the broker has been left alone since `calm_since`. Whether
    /// there was anything to judge.
    pub fn on_answer(&self, tp: &Tp, position: i64, sent: Mono, now: Mono, calm_since: Mono) -> bool {
        let next = self.acked.get(tp).and_then(|acked| acked.range(position..).next());
        let Some((offset, acked)) = next else { return false };
        // What was sent before may have had to connect to a broker that was not there.
        if calm_since > sent {
            return false;
        }
        let since = sent.max(*acked);
        let waited = now.since(since);
        hold!(waited <= LATEST, "{tp:?}: a fetch from {position} was answered {waited:?} after {offset} was there to be read");
        true
    }
}
