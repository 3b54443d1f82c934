//! How far the others are, for DescribeQuorum: the other voters, by what openraft knows of them, and brokers that only read along.

use super::entry::{broker_id, raft_id};
use super::node::Node;
use super::types::Types;
use crate::io::Mono;
use crate::model::{BrokerId, Offset, TopicId};
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver as _;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who was not heard of for so long is forgotten, as in Kafka.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// Nobody has more brokers; more are not remembered.
const MOST_OBSERVERS: usize = 10_000;

/// The quorum as its leader sees it (KIP-595, KIP-836).
#[derive(Clone, PartialEq, Debug)]
pub struct QuorumDescription {
    /// Who leads.
    pub leader: BrokerId,
    /// In which epoch.
    pub epoch: i32,
    /// Where the committed metadata end.
    pub high_watermark: Offset,
    /// The voters, this node among them.
    pub voters: Vec<ReplicaProgress>,
    /// Brokers that fetch the metadata and do not vote.
    pub observers: Vec<ReplicaProgress>,
}

/// How far somebody is.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaProgress {
    /// Its `node.id`.
    pub id: BrokerId,
    /// The directory of its metadata log; zero if it is not known.
    pub directory: TopicId,
    /// Where its log ends; none if that is not known.
    pub log_end: Option<Offset>,
    /// When it was last heard of, in milliseconds since 1970; none for never.
    pub last_fetch_ms: Option<i64>,
    /// When it last had everything, likewise.
    pub last_caught_up_ms: Option<i64>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    directory: TopicId,
    log_end: Option<Offset>,
    heard: Option<Mono>,
    /// Where the log ended when it was last heard of.
    end_then: Offset,
    caught_up: Option<Mono>,
}

impl Seen {
    /// It was heard of `at`, when it had everything up to `log_end` and this log ended at `end`. Who has all that was there at the time
    /// before had everything then.
    fn hear(&mut self, at: Mono, log_end: Offset, end: Offset) {
        if log_end >= end {
            self.caught_up = self.caught_up.max(Some(at));
        } else if log_end >= self.end_then {
            self.caught_up = self.caught_up.max(self.heard);
        }
        self.log_end = Some(log_end);
        if self.heard < Some(at) {
            (self.heard, self.end_then) = (Some(at), end);
        }
    }
}

/// What is remembered of others.
#[derive(Default)]
pub(super) struct Observers {
    voters: RefCell<BTreeMap<BrokerId, Seen>>,
    others: RefCell<BTreeMap<BrokerId, Seen>>,
}

impl Node {
    /// Takes over what openraft knows of the other voters.
    pub(super) fn note_progress(&self) {
        let metrics = self.raft.metrics();
        let now: &RaftMetrics<Types> = &metrics.borrow_watched();
        let (Some(replication), Some(heartbeat)) = (&now.replication, &now.heartbeat) else {
            self.observers.voters.borrow_mut().clear();
            return;
        };
        let end = self.end_offset();
        let mut voters = self.observers.voters.borrow_mut();
        for (id, matching) in replication {
            let Some(at) = heartbeat.get(id).copied().flatten() else { continue };
            let log_end = match matching {
                Some(last) => self.journal.end_of_known(last.index()),
                None => Some(Offset::ZERO),
            };
            if let Some(log_end) = log_end {
                voters.entry(broker_id(*id)).or_default().hear(at.mono(), log_end, end);
            }
        }
    }

    /// A broker that does not vote has fetched from `log_end` on.
    pub(super) fn note_observer(&self, id: BrokerId, directory: TopicId, log_end: Offset) {
        let (now, end) = (self.io.now(), self.end_offset());
        let mut others = self.observers.others.borrow_mut();
        others.retain(|_, seen| seen.heard.is_some_and(|at| now.since(at) < FORGOTTEN_AFTER));
        if others.len() < MOST_OBSERVERS || others.contains_key(&id) {
            let seen = others.entry(id).or_default();
            seen.directory = directory;
            seen.hear(now, log_end, end);
        }
    }

    /// None if this node does not act as the leader.
    pub(super) fn describe(&self) -> Option<QuorumDescription> {
        let state = self.state();
        if !state.leads {
            return None;
        }
        self.note_progress();
        let (now, now_ms) = (self.io.now(), self.io.wall_clock_ms());
        let to_ms = |at: Mono| now_ms - now.since(at).as_millis() as i64;
        let tell = |id: BrokerId, seen: &Seen| ReplicaProgress {
            id,
            directory: seen.directory,
            log_end: seen.log_end,
            last_fetch_ms: seen.heard.map(to_ms),
            last_caught_up_ms: seen.caught_up.map(to_ms),
        };
        let own = Seen { log_end: Some(self.end_offset()), heard: Some(now), caught_up: Some(now), ..Seen::default() };
        let known = self.observers.voters.borrow();
        let members = self.members();
        let directory = |id: BrokerId| members.get_node(&raft_id(id)).map_or(TopicId::default(), |member| member.directory);
        let voter = |id: BrokerId| {
            let seen = known.get(&id).copied().unwrap_or_default();
            let seen = if id == self.how.node { own } else { seen };
            tell(id, &Seen { directory: directory(id), ..seen })
        };
        let others = self.observers.others.borrow();
        let is_recent = |seen: &Seen| seen.heard.is_some_and(|at| now.since(at) < FORGOTTEN_AFTER);
        let learners = members.learner_ids().map(broker_id).map(voter);
        let others = others.iter().filter(|(_, seen)| is_recent(seen)).map(|(id, seen)| tell(*id, seen));
        Some(QuorumDescription {
            leader: self.how.node,
            epoch: state.epoch,
            high_watermark: self.metadata.image().next_offset(),
            voters: self.voters().into_iter().map(voter).collect(),
            observers: learners.chain(others).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lags_a_little_was_caught_up_when_it_was_heard_of_before() {
        let mut seen = Seen::default();
        seen.hear(Mono(10), Offset(5), Offset(9));
        assert_eq!((seen.log_end, seen.heard, seen.caught_up), (Some(Offset(5)), Some(Mono(10)), None));
        seen.hear(Mono(20), Offset(9), Offset(12));
        assert_eq!(seen.caught_up, Some(Mono(10)), "at 10 the log ended at 9");
        seen.hear(Mono(30), Offset(12), Offset(12));
        assert_eq!((seen.log_end, seen.heard, seen.caught_up), (Some(Offset(12)), Some(Mono(30)), Some(Mono(30))));
        seen.hear(Mono(40), Offset(12), Offset(20));
        assert_eq!(seen.caught_up, Some(Mono(30)));
    }
}
