//! A follower: where it fetches from, what it makes of answers, where it cuts.

use super::*;

const LEADER: BrokerId = BrokerId(2);

/// A log with the last epoch 3.
fn log_of(start: i64, hw: i64, end: i64) -> LogState {
    LogState { last_epoch: LeaderEpoch(3), ..log(start, hw, end) }
}

fn position(epoch: i32, offset: i64, last_epoch: i32) -> FetchPosition {
    FetchPosition {
        leader: LEADER,
        leader_epoch: LeaderEpoch(epoch),
        offset: Offset(offset),
        last_fetched_epoch: LeaderEpoch(last_epoch),
        log_start: Offset(0),
    }
}

fn fetch(epoch: i32, offset: i64, last_epoch: i32) -> Effect {
    Effect::Fetch(position(epoch, offset, last_epoch))
}

fn answered(asked: FetchPosition, answer: FetchAnswer) -> Input {
    Input::Fetched { asked, answer }
}

fn nothing(high_watermark: i64) -> FetchAnswer {
    FetchAnswer { high_watermark: Offset(high_watermark), log_start: Offset(0), ..FetchAnswer::failed(OK) }
}

fn records(high_watermark: i64, first: i64, end: i64) -> FetchAnswer {
    let records = Some(FetchedRecords { batches: 1, first: Offset(first), end: Offset(end) });
    FetchAnswer { records, ..nothing(high_watermark) }
}

fn end_of(epoch: i32, end_offset: i64) -> EpochEndOffset {
    EpochEndOffset { epoch: LeaderEpoch(epoch), end_offset: Offset(end_offset) }
}

fn diverging(leader: EpochEndOffset, own: EpochEndOffset) -> FetchAnswer {
    FetchAnswer { divergence: Some(Divergence { leader, own }), ..nothing(100) }
}

fn replicated(end: i64, last_epoch: i32) -> Input {
    Input::Replicated { end: Offset(end), last_epoch: LeaderEpoch(last_epoch) }
}

fn truncated(log_start: i64, end: i64, last_epoch: i32) -> Input {
    Input::Truncated { log_start: Offset(log_start), end: Offset(end), last_epoch: LeaderEpoch(last_epoch) }
}

/// Follows broker 2 in epoch 5.
fn following(log: LogState) -> (Replica, Vec<Effect>) {
    let mut replica = Replica::new(ME, log);
    let effects = feed(&mut replica, Input::Metadata(assignment(2, 5, 7, &[1, 2, 3], &[1, 2, 3])), 0);
    (replica, effects)
}

/// The same with a log of 10 records, 4 of them known to be committed; it has asked for more.
fn asking() -> Replica {
    let (replica, effects) = following(log_of(0, 4, 10));
    assert_eq!(effects, [BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(5) }, fetch(5, 10, 3)]);
    replica
}

#[test]
fn a_log_without_epochs_is_cut_to_what_is_committed() {
    let (mut replica, effects) = following(log(0, 4, 10));
    let began = BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(5) };
    assert_eq!(effects, [began.clone(), Effect::Truncate { to: Offset(4) }]);
    assert_eq!(feed(&mut replica, truncated(0, 4, -1), 0), [fetch(5, 4, -1)]);
    assert_eq!(following(log(0, 0, 0)).1, [began, fetch(5, 0, -1)], "an empty log has nothing to cut");
}

#[test]
fn nobody_is_followed_without_a_leader_or_without_a_replica() {
    let mut replica = Replica::new(ME, log_of(0, 4, 10));
    let none = feed(&mut replica, Input::Metadata(assignment(-1, 5, 7, &[1, 2], &[1])), 0);
    assert_eq!(none, [BecameFollower { leader: None, epoch: LeaderEpoch(5) }]);
    let gone = feed(&mut replica, Input::Metadata(assignment(2, 6, 8, &[2, 3], &[2])), 0);
    assert_eq!(gone, [BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(6) }]);
}

#[test]
fn records_are_appended_and_then_the_next_are_asked_for() {
    let mut replica = asking();
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0), [Effect::Append { restart_at: None }]);
    assert_eq!(replica.high_watermark(), Offset(4), "not before the records are here");
    assert_eq!(feed(&mut replica, replicated(12, 5), 0), [HighWatermark(Offset(12)), fetch(5, 12, 5)]);
    assert_eq!(feed(&mut replica, answered(position(5, 12, 5), nothing(12)), 0), [fetch(5, 12, 5)]);
    assert_eq!(feed(&mut replica, answered(position(5, 12, 5), nothing(11)), 0), [fetch(5, 12, 5)]);
    assert_eq!(replica.high_watermark(), Offset(12), "a new leader knows less than was safe before");
}

#[test]
fn the_log_start_follows_the_leaders() {
    let mut replica = asking();
    let answer = FetchAnswer { log_start: Offset(6), ..nothing(8) };
    assert_eq!(
        feed(&mut replica, answered(position(5, 10, 3), answer), 0),
        [HighWatermark(Offset(8)), Effect::MoveLogStart { offset: Offset(6) }, fetch(5, 10, 3)]
    );
    assert_eq!(feed(&mut replica, Input::LogStartMoved { offset: Offset(6) }, 0), []);
    assert_eq!(replica.log_start(), Offset(6));
}

#[test]
fn only_the_answer_to_the_open_question_counts() {
    let mut replica = asking();
    for asked in [position(4, 10, 3), position(5, 9, 3), FetchPosition { leader: BrokerId(3), ..position(5, 10, 3) }] {
        assert_eq!(feed(&mut replica, answered(asked, records(14, 10, 12)), 0), []);
    }
    feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0);
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0), [], "it is being appended");
}

#[test]
fn logs_that_part_are_cut() {
    let cases = [
        // Both have the epoch: they agree up to where it ends first.
        (end_of(3, 8), end_of(3, 10), 8),
        (end_of(2, 8), end_of(2, 6), 6),
        // Ours has only earlier ones: the next fetch names the last of them.
        (end_of(2, 8), end_of(1, 5), 5),
        // Ours has nothing that early.
        (end_of(2, 8), EpochEndOffset::UNKNOWN, 8),
        // Nothing to cut but an epoch that was begun at the end.
        (end_of(2, 12), end_of(2, 10), 10),
    ];
    for (leader, own, to) in cases {
        let mut replica = asking();
        let effects = feed(&mut replica, answered(position(5, 10, 3), diverging(leader, own)), 0);
        assert_eq!(effects, [Effect::Truncate { to: Offset(to) }], "{leader:?} {own:?}");
        assert_eq!(replica.high_watermark(), Offset(4), "that of such an answer is ignored");
        assert_eq!(feed(&mut replica, truncated(0, to, 2), 0), [fetch(5, to, 2)]);
    }
}

#[test]
fn a_divergence_without_an_end_is_an_error() {
    let mut replica = asking();
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), diverging(end_of(2, -1), end_of(2, 6))), 0), []);
    assert_eq!(replica.next_tick_ms(), Some(1_000));
}

#[test]
fn a_cut_below_the_high_watermark_takes_it_along() {
    let mut replica = asking();
    feed(&mut replica, answered(position(5, 10, 3), diverging(end_of(3, 2), end_of(3, 10))), 0);
    assert_eq!(feed(&mut replica, truncated(0, 2, 3), 0), [fetch(5, 2, 3)]);
    assert_eq!((replica.high_watermark(), replica.log_end()), (Offset(2), Offset(2)));
}

#[test]
fn out_of_range_asks_for_the_leaders_offsets() {
    let ask = [Effect::AskOffsets { leader: LEADER, leader_epoch: LeaderEpoch(5) }];
    let offsets = |log_start, log_end| Input::LeaderOffsets {
        leader_epoch: LeaderEpoch(5),
        result: Ok(LeaderOffsets { log_start: Offset(log_start), log_end: Offset(log_end) }),
    };
    let out_of_range = || {
        let mut replica = asking();
        let answer = FetchAnswer::failed(ErrorCode::OffsetOutOfRange);
        assert_eq!(feed(&mut replica, answered(position(5, 10, 3), answer), 0), ask);
        replica
    };
    let mut shorter = out_of_range();
    assert_eq!(feed(&mut shorter, offsets(0, 7), 0), [Effect::Truncate { to: Offset(7) }]);
    let mut later = out_of_range();
    assert_eq!(feed(&mut later, offsets(20, 30), 0), [Effect::RestartAt { offset: Offset(20) }]);
    let restarted = FetchPosition { log_start: Offset(20), ..position(5, 20, -1) };
    assert_eq!(feed(&mut later, truncated(20, 20, -1), 0), [Effect::Fetch(restarted)]);
    assert_eq!((later.high_watermark(), later.log_start()), (Offset(20), Offset(20)));
    let mut in_range = out_of_range();
    assert_eq!(feed(&mut in_range, offsets(0, 30), 0), []);
    assert_eq!(feed(&mut in_range, Input::Tick, 1_000), [fetch(5, 10, 3)], "not in a hurry");
    let mut failed = out_of_range();
    let error = Input::LeaderOffsets { leader_epoch: LeaderEpoch(5), result: Err(ErrorCode::NotLeaderOrFollower) };
    assert_eq!(feed(&mut failed, error, 0), []);
    assert_eq!(failed.next_tick_ms(), Some(1_000));
    let mut stale = out_of_range();
    let other = Input::LeaderOffsets { leader_epoch: LeaderEpoch(4), result: Err(ErrorCode::NotLeaderOrFollower) };
    assert_eq!(feed(&mut stale, other, 0), []);
    assert_eq!(stale.next_tick_ms(), None, "it still waits for its own");
}

#[test]
fn a_batch_that_the_leaders_log_starts_within_is_taken_whole_by_an_empty_log() {
    let (mut replica, _) = following(log(10, 10, 10));
    let asked = FetchPosition { log_start: Offset(10), ..position(5, 10, -1) };
    let answer = FetchAnswer { log_start: Offset(10), ..records(14, 8, 12) };
    assert_eq!(feed(&mut replica, answered(asked, answer), 0), [Effect::Append { restart_at: Some(Offset(8)) }]);
    assert_eq!(
        feed(&mut replica, replicated(12, 5), 0),
        [
            HighWatermark(Offset(12)),
            Effect::MoveLogStart { offset: Offset(10) },
            Effect::Fetch(FetchPosition { log_start: Offset(8), ..position(5, 12, 5) })
        ]
    );
}

#[test]
fn a_batch_that_is_here_already_is_refused() {
    let mut replica = asking();
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), records(14, 8, 12)), 0), []);
    assert_eq!(replica.next_tick_ms(), Some(1_000));
}

#[test]
fn errors_of_the_leader() {
    let transient = [ErrorCode::InconsistentTopicId, ErrorCode::NetworkException, ErrorCode::CorruptMessage];
    for error in transient {
        let mut replica = asking();
        assert_eq!(feed(&mut replica, answered(position(5, 10, 3), FetchAnswer::failed(error)), 500), []);
        assert_eq!(replica.next_tick_ms(), Some(1_500));
        assert_eq!(feed(&mut replica, Input::Tick, 1_499), []);
        assert_eq!(feed(&mut replica, Input::Tick, 1_500), [fetch(5, 10, 3)], "{error:?}");
    }
    let mut replica = asking();
    let fenced = FetchAnswer::failed(ErrorCode::FencedLeaderEpoch);
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), fenced), 0), []);
    assert_eq!(feed(&mut replica, Input::Tick, 1_000_000), [], "until the metadata tell of the later epoch");
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(2, 5, 8, &[1, 2, 3], &[1, 2])), 0), [], "which these do not");
    assert_eq!(
        feed(&mut replica, Input::Metadata(assignment(2, 6, 9, &[1, 2, 3], &[1, 2])), 1_000_000),
        [BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(6) }, fetch(6, 10, 3)]
    );
}

#[test]
fn a_leader_that_does_not_know_yet_is_asked_again_soon_and_then_less_often() {
    let behind = [
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
    ];
    for error in behind {
        let mut replica = asking();
        let mut now = 500;
        for pause in [20, 40, 80, 160, 320, 640, 1_000, 1_000] {
            assert_eq!(feed(&mut replica, answered(position(5, 10, 3), FetchAnswer::failed(error)), now), []);
            now += pause;
            assert_eq!(replica.next_tick_ms(), Some(now));
            assert_eq!(feed(&mut replica, Input::Tick, now), [fetch(5, 10, 3)], "{error:?}");
        }
        feed(&mut replica, answered(position(5, 10, 3), nothing(4)), now);
        feed(&mut replica, answered(position(5, 10, 3), FetchAnswer::failed(error)), now);
        assert_eq!(replica.next_tick_ms(), Some(now + 20), "from the start");
    }
}

#[test]
fn a_log_that_refuses_is_tried_again_later() {
    let mut replica = asking();
    feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0);
    assert_eq!(feed(&mut replica, Input::LogRefused, 0), []);
    assert_eq!(feed(&mut replica, Input::Tick, 1_000), [fetch(5, 10, 3)]);
}

#[test]
fn only_what_is_on_the_device_is_said_to_be_here() {
    let mut replica = asking();
    feed(&mut replica, Input::SetPolicy { min_insync_replicas: 1, flush_gated: true }, 0);
    feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0);
    assert_eq!(feed(&mut replica, replicated(12, 5), 0), [HighWatermark(Offset(12))]);
    assert_eq!(feed(&mut replica, Input::Flushed { end: Offset(11) }, 0), []);
    assert_eq!(feed(&mut replica, Input::Flushed { end: Offset(12) }, 0), [fetch(5, 12, 5)]);
    let unflushed = LogState { flushed: Offset(8), ..log_of(0, 4, 10) };
    let mut replica = Replica::new(ME, unflushed);
    feed(&mut replica, Input::SetPolicy { min_insync_replicas: 1, flush_gated: true }, 0);
    let began = feed(&mut replica, Input::Metadata(assignment(2, 5, 7, &[1, 2], &[1, 2])), 0);
    assert_eq!(began, [BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(5) }]);
    let lax = Input::SetPolicy { min_insync_replicas: 1, flush_gated: false };
    assert_eq!(feed(&mut replica, lax, 0), [fetch(5, 10, 3)]);
}

#[test]
fn a_new_epoch_waits_for_the_append_that_is_under_way() {
    for leads in [false, true] {
        let mut replica = asking();
        feed(&mut replica, answered(position(5, 10, 3), records(14, 10, 12)), 0);
        let next = assignment(if leads { 1 } else { 2 }, 6, 8, &[1, 2, 3], &[1, 2, 3]);
        assert_eq!(feed(&mut replica, Input::Metadata(next), 0), []);
        let effects = feed(&mut replica, replicated(12, 5), 0);
        let begun = if leads {
            vec![LeaderEpochStarted { epoch: LeaderEpoch(6), start: Offset(12) }]
        } else {
            vec![BecameFollower { leader: Some(LEADER), epoch: LeaderEpoch(6) }, fetch(6, 12, 5)]
        };
        assert_eq!(effects, [vec![HighWatermark(Offset(12))], begun].concat());
    }
}

#[test]
fn consumers_may_read_from_a_follower_if_they_say_so() {
    let replica = asking();
    assert_eq!(replica.check_replica(LeaderEpoch(5)), Ok(()));
    assert_eq!(replica.check_replica(LeaderEpoch(4)), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(replica.check_leader(LeaderEpoch(5)), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(replica.readable_end(Isolation::ReadUncommitted, Offset(2)), Offset(4));
}

#[test]
fn batches_are_taken_up_to_a_later_epoch() {
    let span = |base, last, epoch| BatchSpan { base: Offset(base), last: Offset(last), leader_epoch: LeaderEpoch(epoch) };
    let accept = |batches: &[BatchSpan]| accept_batches(LeaderEpoch(5), batches.iter().copied());
    assert_eq!(accept(&[]), Ok(None));
    assert_eq!(accept(&[span(0, 3, 6)]), Ok(None));
    let two = FetchedRecords { batches: 2, first: Offset(0), end: Offset(9) };
    assert_eq!(accept(&[span(0, 3, 2), span(6, 8, 5), span(9, 9, 6), span(10, 10, 5)]), Ok(Some(two)), "gaps are compaction's");
    assert_eq!(accept(&[span(0, 3, 2), span(3, 8, 5)]), Err(ErrorCode::CorruptMessage));
    assert_eq!(accept(&[span(4, 3, 2)]), Err(ErrorCode::CorruptMessage));
    assert_eq!(accept(&[span(-1, 3, 2)]), Err(ErrorCode::CorruptMessage));
}

proptest! {
    /// Whatever a leader answers, and in whatever order: nothing panics, one question at most is open, and its offset is our
    /// log's end.
    #[test]
    fn answers_in_any_order(steps in prop::collection::vec((0u8..10, 0i64..12, 0i64..12, 0u64..3_000), 1..80)) {
        let (mut replica, mut effects) = following(log_of(0, 4, 10));
        let (mut now, mut epoch, mut open) = (0, 5, None);
        let mut under_way: Option<Effect> = None;
        for (kind, a, b, wait) in steps {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Fetch(position) => {
                        prop_assert!(under_way.is_none());
                        prop_assert_eq!(position.offset, replica.log_end());
                        open = Some(position);
                    }
                    Effect::Append { .. } | Effect::Truncate { .. } | Effect::RestartAt { .. } => {
                        prop_assert!(under_way.is_none());
                        under_way = Some(effect);
                        open = None;
                    }
                    BecameFollower { .. } => open = None,
                    _ => {}
                }
            }
            now += wait;
            let end = replica.log_end().0;
            let asked = open.unwrap_or(position(epoch, end, 3));
            let ends = |at: i64| end_of((at % 6) as i32 - 1, at - 1);
            let input = match kind {
                0 => answered(asked, records(a, end, end + 1 + b)),
                1 => answered(asked, records(a, b, b + a)),
                2 => answered(asked, diverging(ends(a), ends(b))),
                3 => answered(asked, FetchAnswer { log_start: Offset(b), ..nothing(a) }),
                4 => answered(asked, FetchAnswer::failed(ErrorCode::from_code(a as i16).unwrap_or(ErrorCode::None))),
                5 => {
                    let result = Ok(LeaderOffsets { log_start: Offset(a), log_end: Offset(a + b) });
                    Input::LeaderOffsets { leader_epoch: LeaderEpoch(epoch), result }
                }
                6 if wait > 2_500 => {
                    epoch += 1;
                    Input::Metadata(assignment(2, epoch, epoch + 2, &[1, 2, 3], &[1, 2, 3]))
                }
                7 => Input::Tick,
                _ => match under_way.take() {
                    Some(Effect::Append { .. }) => replicated(end + a, epoch),
                    Some(Effect::Truncate { to }) => truncated(replica.log_start().0.min(to.0), to.0, 3),
                    Some(Effect::RestartAt { offset }) => truncated(offset.0, offset.0, -1),
                    _ => Input::Tick,
                },
            };
            effects = feed(&mut replica, input, now);
        }
    }
}

#[test]
fn a_damaged_log_is_cut_and_copied_again() {
    let mut replica = asking();
    let repair = |to, whole| Input::Repair { to: Offset(to), whole };
    assert_eq!(feed(&mut replica, repair(2, false), 0), [Effect::Truncate { to: Offset(2) }]);
    assert_eq!(feed(&mut replica, repair(2, false), 0), [], "one thing at a time");
    assert_eq!(feed(&mut replica, answered(position(5, 10, 3), records(12, 10, 12)), 0), [], "the answer comes too late");
    assert_eq!(feed(&mut replica, truncated(0, 2, 1), 0), [fetch(5, 2, 1)]);
    assert_eq!(replica.high_watermark(), Offset(2), "what is gone is not to be read here");
    assert_eq!(feed(&mut replica, repair(0, true), 0), [Effect::RestartAt { offset: Offset(0) }]);
    assert_eq!(feed(&mut replica, truncated(0, 0, -1), 0), [fetch(5, 0, -1)]);
    let mut leads = Replica::new(ME, log_of(0, 4, 10));
    feed(&mut leads, Input::Metadata(assignment(1, 5, 7, &[1, 2, 3], &[1, 2, 3])), 0);
    assert_eq!(feed(&mut leads, repair(2, false), 0), [], "a leader is never cut");
    let mut alone = Replica::new(ME, log_of(0, 4, 10));
    feed(&mut alone, Input::Metadata(assignment(-1, 5, 7, &[1, 2, 3], &[1])), 0);
    assert_eq!(feed(&mut alone, repair(2, false), 0), [], "nor who has nobody to follow");
}
