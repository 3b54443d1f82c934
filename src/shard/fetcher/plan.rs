//! What to ask one leader next, and whose the answers are: no I/O, no clock.
//!
//! A partition says what it wants ([`Plan::want`]) and gets one answer for that, or hears no more of it ([`Plan::forget`]). What is said to
//! the leader goes by a fetch session (KIP-227): after the first request only what has changed is named, and only what has news is
//! answered. So a partition that has nothing new costs nothing in a round; it stays wanted.
//!
//! A leader that has nothing new lets the session's request wait. What is wanted first in that time, by a partition that has just been
//! given this leader, or whose device was slow, would wait with it, and acks and clients for that; so it is asked for beside, without a
//! session, again and again ([`Plan::hurry`]), until the next request of the session takes it over.
//!
//! An answer counts for what was asked. A partition that has been given another leader epoch meanwhile, or is not followed any more, is
//! passed over, and the next request corrects the session.

use crate::model::{ErrorCode, LeaderEpoch, TopicIdPartition};
use crate::replica::FetchPosition;
use std::collections::{BTreeMap, BTreeSet};

/// "No session" in requests and answers.
const NO_SESSION: i32 = 0;
/// Epoch by which a new session is asked for.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that wants no session.
const FINAL_EPOCH: i32 = -1;

/// What a fetch names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Request {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    /// In order; neighbours mostly are of one topic.
    pub(super) partitions: Vec<(TopicIdPartition, FetchPosition)>,
    pub(super) forgotten: Vec<TopicIdPartition>,
}

/// What becomes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answered<T> {
    /// These partitions have news; each was asked for at that position.
    News(Vec<(TopicIdPartition, FetchPosition, T)>),
    /// The leader does not know the session: everything is asked anew.
    Again,
    /// No partition gets an answer.
    Failed(ErrorCode, Vec<(TopicIdPartition, FetchPosition)>),
}

/// What the leader knows of our partitions.
#[derive(Default)]
struct Session {
    id: i32,
    /// Of the next request.
    epoch: i32,
    asked: BTreeMap<TopicIdPartition, FetchPosition>,
}

/// One leader's partitions.
#[derive(Default)]
pub(super) struct Plan {
    /// Partitions that wait for an answer. One that works on what has come is not among them.
    wanted: BTreeMap<TopicIdPartition, FetchPosition>,
    /// Partitions of which the session may say something else than `wanted`.
    changed: BTreeSet<TopicIdPartition>,
    session: Session,
    /// What is asked for beside the session's request.
    hurried: BTreeMap<TopicIdPartition, FetchPosition>,
    /// Partitions that want to know where the leader's log begins and ends.
    questions: BTreeMap<TopicIdPartition, LeaderEpoch>,
}

impl Plan {
    /// A partition waits for what comes at `position`.
    pub(super) fn want(&mut self, id: TopicIdPartition, position: FetchPosition) {
        self.wanted.insert(id, position);
        self.changed.insert(id);
    }

    /// A partition wants to know where the leader's log begins and ends.
    pub(super) fn ask(&mut self, id: TopicIdPartition, leader_epoch: LeaderEpoch) {
        self.questions.insert(id, leader_epoch);
    }

    /// A partition is not fetched from this leader any more.
    pub(super) fn forget(&mut self, id: TopicIdPartition) {
        self.questions.remove(&id);
        if self.wanted.remove(&id).is_some() {
            self.changed.insert(id);
        }
    }

    /// Whether there is nothing to ask.
    pub(super) fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.questions.is_empty()
    }

    /// Whether anybody waits for the answer to what was asked last.
    pub(super) fn is_awaited(&self) -> bool {
        self.session.asked.iter().any(|(id, asked)| self.wanted.get(id) == Some(asked))
    }

    /// Partitions whose leader's first and last offset are to be asked for, and in which leader epoch.
    pub(super) fn take_questions(&mut self) -> Vec<(TopicIdPartition, LeaderEpoch)> {
        std::mem::take(&mut self.questions).into_iter().collect()
    }

    /// What to ask now; `None` if there is nothing. Its outcome is told to [`Plan::answered`] or [`Plan::failed`] before the next.
    pub(super) fn request(&mut self) -> Option<Request> {
        // What is being asked for beside waits for nothing else.
        if self.wanted.keys().all(|id| self.hurried.contains_key(id)) {
            return None;
        }
        let (session_id, session_epoch) = (self.session.id, self.session.epoch);
        let changed = std::mem::take(&mut self.changed);
        // What is being asked for already comes with the next request.
        self.changed.extend(self.hurried.keys());
        if session_epoch == INITIAL_EPOCH {
            let free = self.wanted.iter().filter(|(id, _)| !self.hurried.contains_key(id));
            let partitions: Vec<_> = free.map(|(&id, &position)| (id, position)).collect();
            self.session.asked = partitions.iter().copied().collect();
            return Some(Request { session_id, session_epoch, partitions, forgotten: Vec::new() });
        }
        let (mut partitions, mut forgotten) = (Vec::new(), Vec::new());
        for id in changed {
            match self.wanted.get(&id).filter(|_| !self.hurried.contains_key(&id)) {
                Some(position) if self.session.asked.get(&id) == Some(position) => {}
                Some(&position) => {
                    self.session.asked.insert(id, position);
                    partitions.push((id, position));
                }
                None if self.session.asked.remove(&id).is_some() => forgotten.push(id),
                None => {}
            }
        }
        Some(Request { session_id, session_epoch, partitions, forgotten })
    }

    /// What to ask for beside the session's request, which is waiting at the leader; `None` if there is nothing. Its outcome is told to
    /// [`Plan::hurry_answered`] or [`Plan::hurry_failed`] before the next.
    pub(super) fn hurry(&mut self) -> Option<Request> {
        assert!(self.hurried.is_empty(), "one at a time");
        let is_new = |id: &TopicIdPartition, position: &FetchPosition| self.session.asked.get(id) != Some(position);
        let wanted = self.changed.iter().filter_map(|id| Some((*id, *self.wanted.get(id)?)));
        let partitions: Vec<_> = wanted.filter(|(id, position)| is_new(id, position)).collect();
        if partitions.is_empty() {
            return None;
        }
        self.hurried.extend(partitions.iter().copied());
        Some(Request { session_id: NO_SESSION, session_epoch: FINAL_EPOCH, partitions, forgotten: Vec::new() })
    }

    /// The leader has answered to what was asked for beside.
    pub(super) fn hurry_answered<T>(&mut self, error: ErrorCode, told: Vec<(TopicIdPartition, T)>) -> Answered<T> {
        if error.is_error() {
            return Answered::Failed(error, self.hurry_failed());
        }
        let hurried = std::mem::take(&mut self.hurried);
        let mut news = Vec::with_capacity(told.len());
        for (id, told) in told {
            let asked = hurried.get(&id).copied();
            if let Some(asked) = asked.filter(|asked| self.wanted.get(&id) == Some(asked)) {
                self.wanted.remove(&id);
                self.changed.insert(id);
                news.push((id, asked, told));
            }
        }
        Answered::News(news)
    }

    /// There is no answer to what was asked for beside: who waits for one, and what was asked of whom.
    pub(super) fn hurry_failed(&mut self) -> Vec<(TopicIdPartition, FetchPosition)> {
        let waiting = std::mem::take(&mut self.hurried).into_iter();
        let waiting: Vec<_> = waiting.filter(|(id, asked)| self.wanted.get(id) == Some(asked)).collect();
        for (id, _) in &waiting {
            self.wanted.remove(id);
        }
        waiting
    }

    /// The leader has answered: with an error, or with the id of the session and what is new of partitions, each named once.
    pub(super) fn answered<T>(&mut self, error: ErrorCode, session_id: i32, told: Vec<(TopicIdPartition, T)>) -> Answered<T> {
        match error {
            ErrorCode::None => {}
            // It was restarted, or has given the session up.
            ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError
                if self.session.epoch != INITIAL_EPOCH =>
            {
                self.session = Session::default();
                return Answered::Again;
            }
            error => return Answered::Failed(error, self.failed()),
        }
        match self.session.epoch {
            INITIAL_EPOCH => self.session.id = session_id,
            _ if session_id != self.session.id => self.session.id = NO_SESSION,
            _ => {}
        }
        self.session.epoch = match self.session.id {
            NO_SESSION => INITIAL_EPOCH,
            _ => next_epoch(self.session.epoch),
        };
        let mut news = Vec::with_capacity(told.len());
        for (id, told) in told {
            let asked = self.session.asked.get(&id).copied();
            if let Some(asked) = asked.filter(|asked| self.wanted.get(&id) == Some(asked)) {
                self.wanted.remove(&id);
                self.changed.insert(id);
                news.push((id, asked, told));
            }
        }
        Answered::News(news)
    }

    /// There is no answer: who waits for one, and what was asked of whom. What the leader knows is forgotten with the connection.
    pub(super) fn failed(&mut self) -> Vec<(TopicIdPartition, FetchPosition)> {
        let asked = std::mem::take(&mut self.session).asked;
        let waiting: Vec<_> = asked.into_iter().filter(|(id, asked)| self.wanted.get(id) == Some(asked)).collect();
        for (id, _) in &waiting {
            self.wanted.remove(id);
        }
        waiting
    }
}

/// 1 to the greatest number, then 1 again.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { INITIAL_EPOCH + 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BrokerId, Offset, PartitionIndex, TopicId};

    const OK: ErrorCode = ErrorCode::None;

    fn id(partition: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId([7; 16]), partition: PartitionIndex(partition) }
    }

    fn at(epoch: i32, offset: i64) -> FetchPosition {
        FetchPosition {
            leader: BrokerId(2),
            leader_epoch: LeaderEpoch(epoch),
            offset: Offset(offset),
            last_fetched_epoch: LeaderEpoch(epoch),
            log_start: Offset(0),
        }
    }

    fn plan(partitions: &[i32]) -> Plan {
        let mut plan = Plan::default();
        for &partition in partitions {
            plan.want(id(partition), at(1, 10));
        }
        plan
    }

    fn named(session: (i32, i32), partitions: &[(i32, FetchPosition)], forgotten: &[i32]) -> Option<Request> {
        Some(Request {
            session_id: session.0,
            session_epoch: session.1,
            partitions: partitions.iter().map(|&(partition, position)| (id(partition), position)).collect(),
            forgotten: forgotten.iter().copied().map(id).collect(),
        })
    }

    fn news(partitions: &[(i32, FetchPosition)]) -> Answered<()> {
        Answered::News(partitions.iter().map(|&(partition, position)| (id(partition), position, ())).collect())
    }

    fn told(partitions: &[i32]) -> Vec<(TopicIdPartition, ())> {
        partitions.iter().map(|&partition| (id(partition), ())).collect()
    }

    /// Partitions 0 to 2 in session 5.
    fn in_session() -> Plan {
        let mut plan = plan(&[0, 1, 2]);
        assert_eq!(plan.request(), named((0, 0), &[(0, at(1, 10)), (1, at(1, 10)), (2, at(1, 10))], &[]));
        assert_eq!(plan.answered(OK, 5, told(&[])), news(&[]));
        plan
    }

    #[test]
    fn after_the_first_request_only_changes_are_named() {
        let mut plan = in_session();
        assert_eq!(plan.request(), named((5, 1), &[], &[]), "nobody has had news, everybody waits on");
        assert_eq!(plan.answered(OK, 5, told(&[1])), news(&[(1, at(1, 10))]));
        plan.want(id(1), at(1, 14));
        plan.want(id(3), at(4, 0));
        plan.forget(id(2));
        assert_eq!(plan.request(), named((5, 2), &[(1, at(1, 14)), (3, at(4, 0))], &[2]));
        assert_eq!(plan.answered(OK, 5, told(&[1, 3])), news(&[(1, at(1, 14)), (3, at(4, 0))]));
        plan.want(id(1), at(1, 14));
        assert_eq!(plan.request(), named((5, 3), &[], &[3]), "one asks for the same again, one works on what has come");
    }

    #[test]
    fn an_answer_counts_for_what_was_asked() {
        let mut plan = in_session();
        plan.request();
        plan.want(id(0), at(2, 10));
        plan.forget(id(1));
        assert!(plan.is_awaited(), "by partition 2");
        assert_eq!(plan.answered(OK, 5, told(&[0, 1, 2, 9])), news(&[(2, at(1, 10))]));
        assert_eq!(plan.request(), named((5, 2), &[(0, at(2, 10))], &[1, 2]));
        plan.forget(id(0));
        assert!(!plan.is_awaited() && plan.is_idle());
        assert_eq!((plan.answered(OK, 5, told(&[0])), plan.request()), (news(&[]), None));
    }

    #[test]
    fn a_session_that_the_leader_does_not_know_is_begun_anew() {
        let lost = [ErrorCode::FetchSessionIdNotFound, ErrorCode::InvalidFetchSessionEpoch, ErrorCode::FetchSessionTopicIdError];
        for error in lost {
            let mut plan = in_session();
            plan.request();
            assert_eq!(plan.answered(error, 0, told(&[])), Answered::Again);
            assert_eq!(plan.request(), named((0, 0), &[(0, at(1, 10)), (1, at(1, 10)), (2, at(1, 10))], &[]));
            let all = (0..3).map(|partition| (id(partition), at(1, 10))).collect();
            assert_eq!(plan.answered(error, 0, told(&[])), Answered::Failed(error, all), "not for ever");
            assert!(plan.is_idle());
        }
    }

    #[test]
    fn without_a_session_everything_is_named_each_time() {
        let mut plan = plan(&[0, 1]);
        for _ in 0..2 {
            assert_eq!(plan.request(), named((0, 0), &[(0, at(1, 10)), (1, at(1, 10))], &[]));
            assert_eq!(plan.answered(OK, 0, told(&[])), news(&[]));
        }
        let mut plan = in_session();
        plan.request();
        assert_eq!(plan.answered(OK, 0, told(&[2])), news(&[(2, at(1, 10))]), "the leader has ended it");
        assert_eq!(plan.request(), named((0, 0), &[(0, at(1, 10)), (1, at(1, 10))], &[]));
    }

    #[test]
    fn who_waits_for_an_answer_that_does_not_come_is_told() {
        let mut plan = in_session();
        plan.request();
        plan.forget(id(0));
        plan.want(id(1), at(2, 10));
        plan.want(id(3), at(1, 0));
        assert_eq!(plan.failed(), [(id(2), at(1, 10))]);
        assert_eq!(plan.request(), named((0, 0), &[(1, at(2, 10)), (3, at(1, 0))], &[]), "those were not asked for yet");
        assert_eq!(plan.answered(ErrorCode::UnknownServerError, 0, told(&[])), {
            Answered::Failed(ErrorCode::UnknownServerError, vec![(id(1), at(2, 10)), (id(3), at(1, 0))])
        });
    }

    #[test]
    fn what_is_wanted_while_the_leader_waits_is_asked_for_beside() {
        let mut plan = in_session();
        plan.request();
        assert_eq!(plan.hurry(), None);
        plan.want(id(3), at(1, 0));
        plan.want(id(0), at(2, 10));
        plan.forget(id(1));
        assert_eq!(plan.hurry(), named((0, -1), &[(0, at(2, 10)), (3, at(1, 0))], &[]));
        plan.want(id(0), at(3, 10));
        assert_eq!(plan.hurry_answered(OK, told(&[0, 3])), news(&[(3, at(1, 0))]), "0 has another leader epoch");
        // Nothing new at first, then records.
        for _ in 0..2 {
            assert_eq!(plan.hurry(), named((0, -1), &[(0, at(3, 10))], &[]));
            assert_eq!(plan.hurry_answered(OK, told(&[])), news(&[]));
        }
        assert_eq!(plan.hurry(), named((0, -1), &[(0, at(3, 10))], &[]));
        assert_eq!(plan.hurry_answered(OK, told(&[0])), news(&[(0, at(3, 10))]));
        plan.want(id(0), at(3, 12));
        assert_eq!(plan.hurry(), named((0, -1), &[(0, at(3, 12))], &[]));
        // The session goes on while that is under way.
        plan.want(id(3), at(1, 0));
        assert_eq!(plan.answered(OK, 5, told(&[2])), news(&[(2, at(1, 10))]));
        assert_eq!(plan.request(), named((5, 2), &[(3, at(1, 0))], &[0, 1, 2]));
        assert_eq!(plan.hurry_answered(OK, told(&[0])), news(&[(0, at(3, 12))]));
        plan.want(id(0), at(3, 12));
        assert_eq!(plan.answered(OK, 5, told(&[])), news(&[]));
        assert_eq!(plan.request(), named((5, 3), &[(0, at(3, 12))], &[]));
        // When only that is left, nobody would wait for the session.
        plan.forget(id(3));
        plan.want(id(0), at(3, 15));
        plan.hurry();
        assert_eq!((plan.answered(OK, 5, told(&[])), plan.request(), plan.is_idle()), (news(&[]), None, false));
    }

    #[test]
    fn who_was_in_a_hurry_in_vain_is_told() {
        let mut plan = in_session();
        plan.request();
        plan.want(id(3), at(1, 0));
        plan.want(id(4), at(1, 0));
        plan.hurry();
        plan.forget(id(4));
        assert_eq!(plan.hurry_failed(), [(id(3), at(1, 0))]);
        plan.want(id(3), at(1, 0));
        plan.hurry();
        assert_eq!(plan.hurry_answered(OK, told(&[])), news(&[]));
        plan.want(id(3), at(2, 0));
        assert!(plan.hurry().is_some(), "there was nothing new, and the session does not ask for it yet");
        let waiting = vec![(id(3), at(2, 0))];
        assert_eq!(plan.hurry_answered(ErrorCode::UnknownServerError, told(&[])), {
            Answered::Failed(ErrorCode::UnknownServerError, waiting)
        });
        // A connection that is lost does not take what is under way beside.
        plan.want(id(5), at(1, 0));
        plan.hurry();
        assert_eq!(plan.failed().len(), 3);
        assert_eq!(plan.request(), None, "5 is being asked for");
    }

    #[test]
    fn questions_are_asked_once() {
        let mut plan = Plan::default();
        plan.ask(id(0), LeaderEpoch(3));
        plan.ask(id(1), LeaderEpoch(4));
        plan.forget(id(0));
        assert!(!plan.is_idle() && plan.request().is_none());
        assert_eq!(plan.take_questions(), [(id(1), LeaderEpoch(4))]);
        assert!(plan.is_idle());
    }

    #[test]
    fn session_epochs_go_round_without_the_first() {
        assert_eq!((next_epoch(0), next_epoch(7), next_epoch(i32::MAX)), (1, 8, 1));
    }
}
