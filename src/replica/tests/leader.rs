//! A leader with followers: who joins and leaves the ISR, what the controller's answers do, who may read.

use super::*;

/// Brokers that are neither fenced nor shutting down, with their epochs.
fn alive(brokers: &[(i32, i64)]) -> Input {
    let status = |&(id, epoch): &(i32, i64)| BrokerStatus { id: BrokerId(id), epoch, fenced: false, shutting_down: false };
    Input::Brokers(brokers.iter().map(status).collect())
}

fn fetched_by(follower: i32, broker_epoch: i64, end: i64) -> Input {
    Input::FollowerFetched { follower: BrokerId(follower), broker_epoch, log_end: Offset(end), log_start: Offset(0) }
}

fn proposal(number: u64, leader_epoch: i32, partition_epoch: i32, isr: &[(i32, i64)]) -> Effect {
    Effect::AlterPartition(IsrProposal {
        number,
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch,
        isr: isr.iter().map(|&(id, epoch)| (BrokerId(id), epoch)).collect(),
        recovery: LeaderRecovery::Recovered,
    })
}

fn committed(number: u64, leader_epoch: i32, partition_epoch: i32, isr: &[i32]) -> Input {
    let isr = isr.iter().copied().map(BrokerId).collect();
    let leader_epoch = LeaderEpoch(leader_epoch);
    let recovery = LeaderRecovery::Recovered;
    Input::AlterPartitionAnswered { number, result: Ok(CommittedIsr { leader_epoch, partition_epoch, isr, recovery }) }
}

fn refused(number: u64, error: ErrorCode) -> Input {
    Input::AlterPartitionAnswered { number, result: Err(error) }
}

/// A leader elected at offset 10 with the high watermark 4, in sync with broker 2; broker 3 is behind.
fn elected() -> Replica {
    let mut replica = Replica::new(ME, log(0, 4, 10));
    feed(&mut replica, alive(&[(1, 11), (2, 12), (3, 13)]), 0);
    let effects = feed(&mut replica, Input::Metadata(assignment(1, 5, 7, &[1, 2, 3], &[1, 2])), 0);
    assert_eq!(effects, [LeaderEpochStarted { epoch: LeaderEpoch(5), start: Offset(10) }]);
    replica
}

/// The same, and broker 3 has been proposed for the ISR.
fn expanding() -> Replica {
    let mut replica = elected();
    let effects = feed(&mut replica, fetched_by(3, 13, 10), 0);
    assert_eq!(effects, [proposal(0, 5, 7, &[(1, 11), (2, NO_BROKER_EPOCH), (3, 13)])]);
    replica
}

#[test]
fn a_follower_joins_once_it_has_reached_the_leaders_epoch() {
    let mut replica = elected();
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 6), 0), [], "above the high watermark, but it may lack what is committed");
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 9), 0), []);
    assert_eq!(
        feed(&mut replica, fetched_by(3, 13, 10), 0),
        [proposal(0, 5, 7, &[(1, 11), (2, NO_BROKER_EPOCH), (3, 13)])],
        "broker 2 has not fetched, so its incarnation is not known"
    );
    assert_eq!(replica.isr(), [BrokerId(1), BrokerId(2)], "not before the controller says so");
}

#[test]
fn a_follower_joins_only_as_the_incarnation_that_the_controller_knows() {
    for (list, epoch) in [(vec![(1, 11), (2, 12)], 13), (vec![(1, 11), (2, 12), (3, 14)], 13), (vec![(1, 11), (3, 13)], 14)] {
        let mut replica = elected();
        feed(&mut replica, alive(&list), 0);
        assert_eq!(feed(&mut replica, fetched_by(3, epoch, 10), 0), [], "{list:?} {epoch}");
    }
    let mut replica = elected();
    for (fenced, shutting_down) in [(true, false), (false, true)] {
        feed(&mut replica, Input::Brokers(vec![BrokerStatus { id: BrokerId(3), epoch: 13, fenced, shutting_down }]), 0);
        assert_eq!(feed(&mut replica, fetched_by(3, 13, 10), 0), []);
    }
    feed(&mut replica, alive(&[(3, 13)]), 0);
    let without_epochs = [(1, NO_BROKER_EPOCH), (2, NO_BROKER_EPOCH), (3, 13)];
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 10), 0), [proposal(0, 5, 7, &without_epochs)]);
}

#[test]
fn an_earlier_incarnation_says_nothing() {
    let mut replica = elected();
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 10), 0), [HighWatermark(Offset(10))]);
    feed(&mut replica, appended(12), 0);
    assert_eq!(feed(&mut replica, fetched_by(2, 15, 10), 0), [], "it has registered anew, the metadata are not here yet");
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 12), 0), [], "what it had then may be gone");
    assert_eq!(feed(&mut replica, fetched_by(2, 15, 12), 0), [HighWatermark(Offset(12))]);
}

#[test]
fn a_follower_that_joins_is_waited_for_at_once() {
    let mut replica = expanding();
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 10), 0), [HighWatermark(Offset(10))]);
    assert_eq!(feed(&mut replica, appended(12), 0), []);
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 12), 0), [], "the controller may have taken broker 3 in");
    assert_eq!(feed(&mut replica, committed(0, 5, 8, &[1, 2, 3]), 0), []);
    assert_eq!(replica.isr(), [1, 2, 3].map(BrokerId));
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 12), 0), [HighWatermark(Offset(12))]);
}

#[test]
fn a_refusal_that_says_so_brings_the_committed_isr_back() {
    for error in [ErrorCode::IneligibleReplica, ErrorCode::OperationNotAttempted] {
        let mut replica = expanding();
        feed(&mut replica, fetched_by(2, 12, 10), 0);
        feed(&mut replica, appended(12), 0);
        feed(&mut replica, fetched_by(2, 12, 12), 0);
        assert_eq!(feed(&mut replica, refused(0, error), 0), [], "broker 3 was just caught up: it is waited for to get in");
        assert_eq!(feed(&mut replica, alive(&[(1, 11), (2, 12)]), 0), [HighWatermark(Offset(12))], "and not when it is gone");
    }
}

#[test]
fn a_refused_proposal_is_made_again_with_the_next_fetch() {
    let mut replica = expanding();
    feed(&mut replica, refused(0, ErrorCode::IneligibleReplica), 0);
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 10), 0), [proposal(1, 5, 7, &[(1, 11), (2, NO_BROKER_EPOCH), (3, 13)])]);
}

#[test]
fn what_only_metadata_can_tell_is_waited_for() {
    let errors = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidRequest,
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::InvalidUpdateVersion,
        ErrorCode::UnknownTopicId,
        ErrorCode::NewLeaderElected,
    ];
    for error in errors {
        let mut replica = expanding();
        feed(&mut replica, fetched_by(2, 12, 10), 0);
        feed(&mut replica, appended(12), 0);
        feed(&mut replica, fetched_by(2, 12, 12), 0);
        assert_eq!(feed(&mut replica, refused(0, error), 0), []);
        assert_eq!(feed(&mut replica, alive(&[(1, 11), (2, 12)]), 0), [], "broker 3 may be in the ISR: {error:?}");
        assert_eq!(feed(&mut replica, Input::Tick, 1_000), [], "and nothing is sent: {error:?}");
        let news = Input::Metadata(assignment(1, 5, 8, &[1, 2, 3], &[1, 2]));
        assert_eq!(feed(&mut replica, news, 1_000), [HighWatermark(Offset(12))]);
    }
}

#[test]
fn other_failures_are_sent_again_after_a_pause() {
    let mut replica = expanding();
    assert_eq!(feed(&mut replica, refused(0, ErrorCode::NotController), 100), []);
    assert_eq!(replica.next_tick_ms(), Some(150));
    assert_eq!(feed(&mut replica, Input::Tick, 149), []);
    let again = proposal(0, 5, 7, &[(1, 11), (2, NO_BROKER_EPOCH), (3, 13)]);
    assert_eq!(feed(&mut replica, Input::Tick, 150), [again]);
    assert_eq!(feed(&mut replica, Input::Tick, 300), [], "once");
    assert_eq!(feed(&mut replica, refused(9, ErrorCode::NotController), 300), [], "not the one that is open");
    assert_eq!(replica.next_tick_ms(), Some(15_000), "the next look at the ISR");
}

#[test]
fn metadata_overtake_the_answer() {
    let mut replica = expanding();
    feed(&mut replica, Input::Metadata(assignment(1, 5, 9, &[1, 2, 3], &[1])), 0);
    assert_eq!(feed(&mut replica, committed(0, 5, 8, &[1, 2, 3]), 0), []);
    assert_eq!(replica.isr(), [BrokerId(1)]);
}

#[test]
fn metadata_that_are_known_do_not_end_a_proposal() {
    let mut replica = expanding();
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 5, 7, &[1, 2, 3], &[1, 2])), 0), []);
    feed(&mut replica, appended(12), 0);
    feed(&mut replica, alive(&[(1, 11), (2, 12)]), 0);
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 12), 0), [HighWatermark(Offset(10))], "broker 3 may be in the ISR");
}

#[test]
fn who_lags_is_proposed_to_leave_and_waited_for_until_it_has_left() {
    let mut replica = elected();
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 10), 0), [HighWatermark(Offset(10))]);
    feed(&mut replica, appended(12), 1);
    assert_eq!(feed(&mut replica, fetched_by(2, 12, 11), 2), [HighWatermark(Offset(11))]);
    feed(&mut replica, produced(1, Acks::All, 12, 100_000), 3);
    assert_eq!(feed(&mut replica, Input::Tick, 15_000), []);
    assert_eq!(feed(&mut replica, Input::Tick, 30_000), []);
    assert_eq!(replica.next_tick_ms(), Some(45_000));
    assert_eq!(feed(&mut replica, Input::Tick, 45_000), [proposal(0, 5, 7, &[(1, 11)])]);
    assert_eq!(feed(&mut replica, Input::Tick, 60_000), [], "one at a time");
    assert_eq!(feed(&mut replica, committed(0, 5, 8, &[1]), 60_001), [HighWatermark(Offset(12)), answer(1, OK)]);
}

#[test]
fn a_follower_a_little_behind_a_busy_leader_is_in_sync() {
    let mut replica = elected();
    feed(&mut replica, fetched_by(2, 12, 10), 0);
    feed(&mut replica, appended(12), 1);
    feed(&mut replica, fetched_by(2, 12, 11), 1_000);
    feed(&mut replica, appended(14), 2_000);
    let effects = feed(&mut replica, fetched_by(2, 12, 12), 30_500);
    assert_eq!(effects, [HighWatermark(Offset(12))], "it had by now what there was at its fetch at 1,000");
}

#[test]
fn a_follower_at_the_end_of_an_idle_log_is_in_sync() {
    let mut replica = elected();
    feed(&mut replica, fetched_by(2, 12, 10), 0);
    assert_eq!(feed(&mut replica, Input::Tick, 1_000_000), [], "though its fetch waits for long");
}

#[test]
fn fetches_of_followers_are_judged() {
    let replica = elected();
    let fetch = FollowerFetch {
        follower: BrokerId(3),
        broker_epoch: 13,
        current_leader_epoch: LeaderEpoch(5),
        offset: Offset(6),
        last_fetched_epoch: LeaderEpoch(4),
    };
    let end = |epoch, end| EpochEndOffset { epoch: LeaderEpoch(epoch), end_offset: Offset(end) };
    let judge = |fetch: FollowerFetch| replica.check_follower_fetch(&fetch, end(4, 10));
    assert_eq!(judge(fetch), Ok(None));
    assert_eq!(judge(FollowerFetch { current_leader_epoch: LeaderEpoch(4), ..fetch }), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(judge(FollowerFetch { current_leader_epoch: LeaderEpoch(6), ..fetch }), Err(ErrorCode::UnknownLeaderEpoch));
    let stranger = FollowerFetch { follower: BrokerId(9), ..fetch };
    assert_eq!(judge(stranger), Err(ErrorCode::UnknownLeaderEpoch), "it may know a later assignment");
    let old_stranger = FollowerFetch { current_leader_epoch: LeaderEpoch::NONE, ..stranger };
    assert_eq!(judge(old_stranger), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(judge(FollowerFetch { broker_epoch: 12, ..fetch }), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(judge(FollowerFetch { broker_epoch: NO_BROKER_EPOCH, ..fetch }), Ok(None));
    assert_eq!(judge(FollowerFetch { offset: Offset(11), ..fetch }), Ok(Some(end(4, 10))), "longer than we know");
    assert_eq!(replica.check_follower_fetch(&fetch, end(3, 5)), Ok(Some(end(3, 5))), "an epoch that we do not have");
    assert_eq!(replica.check_follower_fetch(&fetch, EpochEndOffset::UNKNOWN), Err(ErrorCode::OffsetOutOfRange));
    let no_epoch = FollowerFetch { last_fetched_epoch: LeaderEpoch::NONE, ..fetch };
    assert_eq!(judge(no_epoch), Ok(None));
    assert_eq!(judge(FollowerFetch { offset: Offset(11), ..no_epoch }), Err(ErrorCode::OffsetOutOfRange));
}

#[test]
fn a_new_epoch_waits_for_the_write_that_is_under_way() {
    let mut replica = elected();
    feed(&mut replica, Input::Busy(true), 0);
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 6, 8, &[1, 2, 3], &[1, 2])), 0), []);
    assert_eq!(replica.leader_epoch(), LeaderEpoch(5));
    assert_eq!(replica.admit_produce(Acks::Leader), Err(ErrorCode::NotLeaderOrFollower), "or the write would never end");
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 5, 7, &[1, 2, 3], &[1, 2])), 0), [], "older than what waits");
    assert_eq!(feed(&mut replica, appended(12), 0), []);
    assert_eq!(feed(&mut replica, Input::Busy(false), 0), [LeaderEpochStarted { epoch: LeaderEpoch(6), start: Offset(12) }]);
    assert_eq!(replica.admit_produce(Acks::Leader), Ok(LeaderEpoch(6)));
}

#[test]
fn an_uncleanly_elected_leader_says_that_it_has_recovered() {
    let mut replica = Replica::new(ME, log(0, 4, 10));
    feed(&mut replica, alive(&[(1, 11), (3, 13)]), 0);
    let unclean = Assignment { recovery: LeaderRecovery::Recovering, ..assignment(1, 5, 7, &[1, 3], &[1]) };
    feed(&mut replica, Input::Metadata(unclean), 0);
    assert_eq!(feed(&mut replica, fetched_by(3, 13, 10), 0), [proposal(0, 5, 7, &[(1, 11), (3, 13)])]);
}

#[test]
fn a_stopped_replica_answers_who_waits_and_ends() {
    let mut replica = elected();
    feed(&mut replica, produced(1, Acks::All, 10, 1_000), 0);
    assert_eq!(feed(&mut replica, Input::Stopped, 0), [answer(1, ErrorCode::NotLeaderOrFollower)]);
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 9, 9, &[1], &[1])), 0), []);
    assert_eq!(replica.check_leader(LeaderEpoch::NONE), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(replica.next_tick_ms(), None);
}

#[test]
fn consumers_are_sent_to_a_replica_in_their_rack() {
    let mut replica = Replica::new(ME, log(0, 0, 10));
    feed(&mut replica, alive(&[(1, 11), (2, 12), (3, 13), (4, 14)]), 0);
    feed(&mut replica, Input::Metadata(assignment(1, 0, 0, &[1, 2, 3, 4], &[1, 2, 3])), 0);
    feed(&mut replica, fetched_by(2, 12, 9), 0);
    feed(&mut replica, fetched_by(3, 13, 7), 0);
    let rack_of = |id: BrokerId| match id.0 {
        1 => Some("a"),
        2..=4 => Some("b"),
        _ => None,
    };
    let choice = |rack, offset| replica.preferred_read_replica(rack, Offset(offset), rack_of).map(|id| id.0);
    assert_eq!(choice(Some("b"), 5), Some(2), "the furthest");
    assert_eq!(choice(Some("b"), 9), Some(2));
    assert_eq!(choice(Some("b"), 10), None, "nobody there has it yet");
    assert_eq!(choice(Some("a"), 5), None, "the leader is as near");
    assert_eq!(choice(Some("c"), 5), None);
    assert_eq!(choice(Some(""), 5), None);
    assert_eq!(choice(None, 5), None);
    feed(&mut replica, fetched_by(4, 14, 10), 0);
    let choice = replica.preferred_read_replica(Some("b"), Offset(5), rack_of);
    assert_eq!(choice, Some(BrokerId(2)), "broker 4 is not in sync");
}
