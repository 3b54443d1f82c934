use super::*;
use crate::clock::SECOND;

const PAUSE: u64 = 5_000_000;
const SILENCE: u64 = 50_000_000;
const MS: u64 = 1_000_000;

fn leader(id: i32, epoch: i32) -> Leader {
    Leader { id: Some(id), epoch }
}

/// A hundred records a second, led by broker 1 in epoch 3.
fn line() -> Line {
    let mut line = Line::new(leader(1, 3), Schedule::open(100.0, 0.0));
    line.begin(SECOND);
    line
}

/// Sends the next record to the leader and has it acknowledged a millisecond later.
fn step(line: &mut Line) -> u64 {
    let due = line.due(0, true).unwrap();
    line.sent(line.leader.id.unwrap(), due);
    line.answered(0, None, due + MS, PAUSE).unwrap()
}

#[test]
fn records_leave_by_the_timetable_one_at_a_time() {
    let mut line = line();
    assert_eq!((line.due(0, true), line.due(0, false)), (Some(SECOND), None));
    assert_eq!(step(&mut line), MS);
    assert_eq!(line.due(0, true), Some(SECOND + 10 * MS));
    line.sent(1, SECOND + 10 * MS);
    assert_eq!(line.due(2 * SECOND, true), None, "one is under way");
    assert_eq!(line.answered(0, None, 2 * SECOND, PAUSE), Some(990 * MS));
    assert_eq!(line.due(2 * SECOND, true), Some(SECOND + 20 * MS), "what could not leave is late, and not forgotten");
    assert_eq!((line.acked, line.retries, line.undecided()), (2, 0, None));
}

#[test]
fn the_longest_gaps_are_kept_and_nothing_before_the_first_ack() {
    let mut line = line();
    line.close_gap(SECOND);
    assert_eq!(line.gaps(), []);
    let mut now = SECOND;
    for late in [1, 1, 300, 1, 700, 1, 20, 1] {
        line.sent(1, now);
        now += late * MS;
        line.answered(0, None, now, PAUSE).unwrap();
    }
    let lengths = |line: &Line| -> Vec<u64> { line.gaps().iter().map(|gap| gap.length() / MS).collect() };
    assert_eq!(lengths(&line), [700, 300, 20, 1, 1]);
    line.close_gap(now + 500 * MS);
    assert_eq!(lengths(&line), [700, 500, 300, 20, 1], "the time up to the end counts");
}

#[test]
fn a_hint_lets_it_send_at_once_and_any_other_error_after_a_pause() {
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    let mut line = line();
    line.sent(1, SECOND);
    assert_eq!(line.answered(not_leader, Some(leader(2, 4)), SECOND + MS, PAUSE), None);
    assert_eq!((line.state, line.leader), (State::Wanting { not_before: SECOND + MS }, leader(2, 4)));
    assert!(!line.needs_leader(SECOND + MS, SILENCE));
    line.sent(2, SECOND + MS);
    assert_eq!(line.answered(not_leader, None, SECOND + 2 * MS, PAUSE), None);
    assert_eq!(line.due(0, false), Some(SECOND + 2 * MS + PAUSE), "what is under way goes on after the end");
    assert!(line.needs_leader(SECOND + 2 * MS, SILENCE));
    // A hint that is older than what is known.
    line.learned(leader(1, 3), SECOND + 3 * MS);
    assert_eq!(line.leader, leader(2, 4));
    assert!(line.needs_leader(SECOND + 3 * MS, SILENCE));
    // The same leader again: it is asked again after the pause.
    line.learned(leader(2, 4), SECOND + 3 * MS);
    assert!(!line.needs_leader(SECOND + 3 * MS, SILENCE));
    assert_eq!(line.due(0, false), Some(SECOND + 2 * MS + PAUSE));
    line.sent(2, SECOND + 8 * MS);
    assert!(line.answered(0, None, SECOND + 9 * MS, PAUSE).is_some());
    assert_eq!((line.acked, line.retries), (1, 2));
}

#[test]
fn a_silent_leader_is_left_when_another_is_known() {
    let mut line = line();
    line.sent(1, SECOND);
    assert!(!line.needs_leader(SECOND + SILENCE - 1, SILENCE) && line.needs_leader(SECOND + SILENCE, SILENCE));
    line.learned(leader(1, 3), 2 * SECOND);
    assert_eq!(line.state, State::Sent { broker: 1, at: SECOND }, "it still leads");
    line.learned(Leader { id: None, epoch: 4 }, 2 * SECOND);
    assert!(line.needs_leader(2 * SECOND, SILENCE));
    line.learned(leader(1, 5), 2 * SECOND);
    assert_eq!(line.state, State::Sent { broker: 1, at: SECOND }, "it leads again, and may answer");
    line.learned(leader(3, 6), 3 * SECOND);
    assert_eq!(line.state, State::Wanting { not_before: 3 * SECOND });
}

#[test]
fn a_lost_connection_concerns_only_what_is_under_way_on_it() {
    let mut line = line();
    line.lost(1, SECOND, PAUSE);
    assert_eq!(line.state, State::Resting);
    line.sent(1, SECOND);
    line.lost(2, SECOND + MS, PAUSE);
    assert_eq!(line.state, State::Sent { broker: 1, at: SECOND });
    line.lost(1, SECOND + MS, PAUSE);
    assert_eq!(line.state, State::Wanting { not_before: SECOND + MS + PAUSE });
    assert!(line.needs_leader(SECOND + MS, SILENCE));
    line.learned(leader(1, 3), SECOND + 2 * MS);
    line.unreachable();
    assert!(line.needs_leader(SECOND + 2 * MS, SILENCE));
    assert_eq!(line.undecided(), Some(0));
}

#[test]
fn what_an_application_would_see_ends_it() {
    let mut line = line();
    let code = ErrorCode::OutOfOrderSequenceNumber.code();
    line.sent(1, SECOND);
    assert_eq!(line.answered(code, None, SECOND + MS, PAUSE), None);
    assert_eq!((line.state, line.due(2 * SECOND, true), line.undecided()), (State::Ended { code }, None, Some(0)));
    line.learned(leader(2, 9), 2 * SECOND);
    line.lost(1, 2 * SECOND, PAUSE);
    assert_eq!(line.state, State::Ended { code });
    assert!(!line.needs_leader(9 * SECOND, SILENCE));
}

#[test]
fn an_answer_to_a_sending_that_was_given_up_says_nothing() {
    let mut line = line();
    line.sent(1, SECOND);
    let first = line.attempt;
    assert!(line.awaits(first));
    line.learned(leader(2, 4), SECOND + MS);
    assert!(!line.awaits(first));
    line.sent(2, SECOND + MS);
    assert!(!line.awaits(first) && line.awaits(line.attempt));
    line.learned(leader(1, 5), SECOND + 2 * MS);
    line.sent(1, SECOND + 2 * MS);
    assert!(!line.awaits(first), "though it was sent to the same broker");
    line.answered(0, None, SECOND + 3 * MS, PAUSE);
    assert!(!line.awaits(line.attempt));
}

#[test]
fn a_record_fails_when_its_time_is_up() {
    let mut line = line();
    assert!(!line.expire(9 * SECOND, SECOND), "none is under way");
    line.sent(1, SECOND);
    assert!(!line.expire(2 * SECOND, SECOND));
    line.lost(1, 2 * SECOND, PAUSE);
    assert!(line.expire(2 * SECOND + 1, SECOND));
    assert_eq!(line.state, State::Ended { code: ErrorCode::RequestTimedOut.code() });
}

#[test]
fn a_record_that_was_written_before_is_acknowledged() {
    let mut line = line();
    line.sent(1, SECOND);
    line.lost(1, SECOND + MS, PAUSE);
    line.sent(2, SECOND + 9 * MS);
    let latency = line.answered(ErrorCode::DuplicateSequenceNumber.code(), None, SECOND + 10 * MS, PAUSE);
    assert_eq!((latency, line.acked), (Some(10 * MS), 1), "from when it was meant to leave");
}
