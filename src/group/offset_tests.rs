//! Committed offsets: who may commit, what counts, what is forgotten.

use super::tests::{World, caller, dynamic, rejoin};
use super::*;
use crate::model::{PartitionIndex, TopicId};
use std::sync::Arc;

const DAY: i64 = 24 * 3_600_000;

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("topic", PartitionIndex(partition))
}

fn commit_of(caller: Caller, offsets: &[(i32, i64)]) -> CommitOffsets {
    let one = |&(partition, offset): &(i32, i64)| CommitPartition {
        partition: at(partition),
        topic_id: TopicId::ZERO,
        offset,
        leader_epoch: 5,
        metadata: Arc::from("mine"),
    };
    let partitions = offsets.iter().map(one).collect();
    CommitOffsets { caller, partitions, error_without_group: ErrorCode::GroupIdNotFound, retention_ms: None }
}

fn nobody() -> Caller {
    caller(&"".into(), -1)
}

/// Metadata of a consumer, as Kafka's clients write it.
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

impl World {
    fn commit(&mut self, request: CommitOffsets) -> Vec<ErrorCode> {
        let ticket = self.ask(Request::Commit(request));
        self.committed(ticket)
    }

    fn committed(&self, ticket: Ticket) -> Vec<ErrorCode> {
        match &self.answers[&ticket] {
            Answer::Committed(errors) => errors.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn offset(&self, partition: i32) -> Option<i64> {
        self.coordinator.committed("g", &at(partition)).map(|committed| committed.offset)
    }

    fn delete(&mut self, group: &str) -> ErrorCode {
        let ticket = self.ask(Request::DeleteGroup(group.into()));
        match self.answers[&ticket] {
            Answer::Done(error) => error,
            ref other => panic!("{other:?}"),
        }
    }

    fn delete_offsets(&mut self, group: &str, partitions: &[i32]) -> Result<Vec<ErrorCode>, ErrorCode> {
        let partitions = partitions.iter().map(|&partition| at(partition)).collect();
        let ticket = self.ask(Request::DeleteOffsets { group: group.into(), partitions });
        match &self.answers[&ticket] {
            Answer::OffsetsDeleted(deleted) => deleted.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// One member of a stable group that reads `topics`.
    fn reading(topics: &[&str]) -> (Self, MemberId) {
        let mut world = Self::new(Config::default());
        let protocols = vec![Protocol { name: Arc::from("range"), metadata: subscription(topics) }];
        let join = world.join(JoinGroup { needs_member_id: false, protocols, session_timeout_ms: 1_800_000, ..dynamic() });
        world.pass(3_000);
        let member = world.joined(join).member;
        world.sync(&member, 1, &[(&member, "all")]);
        (world, member)
    }
}

#[test]
fn an_offset_counts_once_it_is_written() {
    let mut world = World::new(Config::default());
    world.writes = false;
    let ticket = world.ask(Request::Commit(commit_of(nobody(), &[(0, 7), (1, 9)])));
    assert_eq!((world.answers.contains_key(&ticket), world.offset(0)), (false, None));
    world.report(ErrorCode::None);
    assert_eq!((world.committed(ticket), world.offset(0), world.offset(1)), (vec![ErrorCode::None; 2], Some(7), Some(9)));
    let description = world.coordinator.describe("g").unwrap();
    assert_eq!((description.state, &*description.protocol_type), (State::Empty, ""), "a group that has only offsets");
    let failing = world.ask(Request::Commit(commit_of(nobody(), &[(0, 8)])));
    world.report(ErrorCode::NotEnoughReplicas);
    assert_eq!((world.committed(failing), world.offset(0)), (vec![ErrorCode::CoordinatorNotAvailable], Some(7)));
    let restarted = world.restarted();
    assert_eq!(restarted.coordinator.committed_after("g", None).count(), 2);
    let committed = restarted.coordinator.committed("g", &at(1)).unwrap();
    assert_eq!((committed.offset, committed.leader_epoch, &*committed.metadata), (9, 5, "mine"));
}

#[test]
fn only_members_of_the_generation_commit() {
    let (mut world, a, _) = World::with_two();
    let mut refusal = |caller: Caller| world.commit(commit_of(caller, &[(0, 1)]))[0];
    assert_eq!(refusal(nobody()), ErrorCode::UnknownMemberId);
    assert_eq!(refusal(caller(&"other".into(), 1)), ErrorCode::UnknownMemberId);
    assert_eq!(refusal(caller(&a, 0)), ErrorCode::IllegalGeneration);
    assert_eq!(refusal(Caller { instance: Some("x".into()), ..caller(&a, 1) }), ErrorCode::UnknownMemberId);
    assert_eq!(refusal(Caller { group: "none".into(), ..caller(&a, 1) }), ErrorCode::GroupIdNotFound);
    assert_eq!(refusal(caller(&a, 1)), ErrorCode::None);
    // Also while others join again, but not before there is an assignment.
    let join = world.join(JoinGroup { needs_member_id: false, ..dynamic() });
    assert_eq!(world.commit(commit_of(caller(&a, 1), &[(0, 2)])), [ErrorCode::None]);
    world.join(rejoin(&a));
    // The other one is not heard of.
    world.pass(10_000);
    assert_eq!(world.joined(join).generation, 2);
    assert_eq!(world.commit(commit_of(caller(&a, 2), &[(0, 3)])), [ErrorCode::RebalanceInProgress]);
    assert_eq!(world.offset(0), Some(2));
}

#[test]
fn a_commit_keeps_a_member_alive() {
    let (mut world, a, _) = World::with_two();
    for _ in 0..5 {
        world.pass(9_000);
        world.commit(commit_of(caller(&a, 1), &[(0, 1)]));
    }
    assert_eq!(world.members(), [a]);
}

#[test]
fn metadata_that_is_too_long_fails_alone() {
    let mut world = World::new(Config { offset_metadata_max_bytes: 4, ..Config::default() });
    let mut request = commit_of(nobody(), &[(0, 1), (1, 2)]);
    request.partitions[0].metadata = Arc::from("5 bytes");
    assert_eq!(world.commit(request), [ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]);
    assert_eq!((world.offset(0), world.offset(1)), (None, Some(2)));
}

#[test]
fn a_group_without_members_is_deleted_with_its_offsets() {
    let (mut world, a) = World::reading(&["topic"]);
    world.commit(commit_of(caller(&a, 1), &[(0, 1)]));
    assert_eq!((world.delete("g"), world.delete("none")), (ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound));
    world.leave(&a, None).unwrap();
    world.writes = false;
    let ticket = world.ask(Request::DeleteGroup("g".into()));
    world.report(ErrorCode::NotLeaderOrFollower);
    assert_eq!(world.answers[&ticket], Answer::Done(ErrorCode::NotCoordinator));
    assert_eq!((world.state().0, world.offset(0)), (State::Empty, Some(1)), "nothing is lost");
    world.writes = true;
    assert_eq!(world.delete("g"), ErrorCode::None);
    assert_eq!((world.coordinator.describe("g"), world.offset(0)), (None, None));
    let restarted = world.restarted();
    assert_eq!((restarted.coordinator.describe("g"), restarted.offset(0)), (None, None));
}

#[test]
fn offsets_of_topics_that_are_read_are_not_deleted() {
    let (mut world, a) = World::reading(&["topic"]);
    world.commit(commit_of(caller(&a, 1), &[(0, 1), (1, 1)]));
    assert_eq!(world.delete_offsets("g", &[0]), Ok(vec![ErrorCode::GroupSubscribedToTopic]));
    assert_eq!(world.delete_offsets("none", &[0]), Err(ErrorCode::GroupIdNotFound));
    let (mut world, a) = World::reading(&["other"]);
    world.commit(commit_of(caller(&a, 1), &[(0, 1), (1, 1)]));
    assert_eq!(world.delete_offsets("g", &[0, 5]), Ok(vec![ErrorCode::None; 2]));
    assert_eq!((world.offset(0), world.offset(1)), (None, Some(1)));
    let mut world = World::new(Config::default());
    world.join(JoinGroup { protocol_type: Arc::from("connect"), needs_member_id: false, ..dynamic() });
    world.pass(3_000);
    assert_eq!(world.delete_offsets("g", &[0]), Err(ErrorCode::NonEmptyGroup));
    // Metadata that are no consumer's may be about any topic.
    let (mut world, ..) = World::with_two();
    assert_eq!(world.delete_offsets("g", &[0]), Ok(vec![ErrorCode::GroupSubscribedToTopic]));
}

#[test]
fn offsets_are_forgotten_when_nobody_has_needed_them_for_long() {
    let pass_days = |world: &mut World, days: i64| {
        world.now.wall_ms += days * DAY;
        world.input(Input::ExpireOffsets);
    };
    // A group that has only offsets: since each was committed.
    let mut world = World::new(Config::default());
    world.commit(commit_of(nobody(), &[(0, 1)]));
    pass_days(&mut world, 6);
    world.commit(commit_of(nobody(), &[(1, 1)]));
    pass_days(&mut world, 1);
    assert_eq!((world.offset(0), world.offset(1)), (None, Some(1)));
    pass_days(&mut world, 6);
    assert_eq!(world.coordinator.describe("g"), None, "nothing is left of it");
    assert_eq!(world.restarted().coordinator.list().count(), 0);
    // With members: those of topics that nobody reads.
    let (mut world, a) = World::reading(&["topic"]);
    world.commit(commit_of(caller(&a, 1), &[(0, 1)]));
    pass_days(&mut world, 8);
    assert_eq!(world.offset(0), Some(1));
    // Since the last member left.
    world.leave(&a, None).unwrap();
    pass_days(&mut world, 6);
    assert_eq!(world.offset(0), Some(1));
    pass_days(&mut world, 1);
    assert_eq!(world.coordinator.describe("g"), None);
    let (mut world, a) = World::reading(&["other"]);
    world.commit(commit_of(caller(&a, 1), &[(0, 1)]));
    pass_days(&mut world, 7);
    assert_eq!((world.offset(0), world.state().0), (None, State::Stable));
}

#[test]
fn offsets_go_with_their_topic() {
    let mut world = World::new(Config::default());
    world.commit(commit_of(nobody(), &[(0, 1)]));
    world.input(Input::TopicsDeleted(vec![Arc::from("other")]));
    assert_eq!(world.offset(0), Some(1));
    world.input(Input::TopicsDeleted(vec![Arc::from("topic")]));
    assert_eq!((world.offset(0), world.state().0), (None, State::Empty));
}
