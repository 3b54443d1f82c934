mod cluster;
mod follower;
mod leader;

use super::*;
use Effect::{Answer, BecameFollower, HighWatermark, LeaderEpochStarted};
use proptest::prelude::*;

const ME: BrokerId = BrokerId(1);
const OK: ErrorCode = ErrorCode::None;

fn assignment(leader: i32, leader_epoch: i32, partition_epoch: i32, replicas: &[i32], isr: &[i32]) -> Assignment {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    Assignment {
        leader: (leader >= 0).then_some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch,
        replicas: ids(replicas),
        isr: ids(isr),
        recovery: LeaderRecovery::Recovered,
    }
}

fn feed(replica: &mut Replica, input: Input, now_ms: u64) -> Vec<Effect> {
    let mut effects = vec![];
    replica.on_event(input, now_ms, &mut effects);
    effects
}

fn log(start: i64, hw: i64, end: i64) -> LogState {
    LogState {
        log_start: Offset(start),
        log_end: Offset(end),
        flushed: Offset(end),
        high_watermark: Offset(hw),
        last_epoch: LeaderEpoch::NONE,
    }
}

/// A leader of the only replica.
fn single() -> Replica {
    let mut replica = Replica::new(ME, log(0, 0, 0));
    feed(&mut replica, Input::Metadata(assignment(1, 0, 0, &[1], &[1])), 0);
    replica
}

/// A leader of three replicas that are all in sync, with `min.insync.replicas` 2.
fn of_three() -> Replica {
    let mut replica = Replica::new(ME, log(0, 0, 0));
    feed(&mut replica, Input::SetPolicy { min_insync_replicas: 2, flush_gated: false }, 0);
    feed(&mut replica, Input::Metadata(assignment(1, 0, 0, &[1, 2, 3], &[1, 2, 3])), 0);
    replica
}

fn appended(end: i64) -> Input {
    Input::Appended { end: Offset(end) }
}

fn produced(ticket: u64, acks: Acks, end: i64, deadline_ms: u64) -> Input {
    Input::Produced { ticket: Ticket(ticket), acks, end: Offset(end), deadline_ms }
}

fn fetched(follower: i32, end: i64) -> Input {
    let broker_epoch = NO_BROKER_EPOCH;
    Input::FollowerFetched { follower: BrokerId(follower), broker_epoch, log_end: Offset(end), log_start: Offset(0) }
}

fn answer(ticket: u64, error: ErrorCode) -> Effect {
    Answer { ticket: Ticket(ticket), error }
}

#[test]
fn recovered_log_is_readable_once_its_only_replica_leads() {
    let mut replica = Replica::new(ME, log(5, 7, 10));
    assert_eq!(replica.check_leader(LeaderEpoch::NONE), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(
        feed(&mut replica, Input::Metadata(assignment(1, 4, 9, &[1], &[1])), 0),
        [LeaderEpochStarted { epoch: LeaderEpoch(4), start: Offset(10) }, HighWatermark(Offset(10))]
    );
    assert_eq!(replica.admit_produce(Acks::All), Ok(LeaderEpoch(4)));
}

#[test]
fn single_replica_answers_after_its_write() {
    let mut replica = single();
    assert_eq!(feed(&mut replica, appended(3), 0), [HighWatermark(Offset(3))]);
    assert_eq!(feed(&mut replica, produced(1, Acks::All, 3, 10), 0), [answer(1, OK)]);
    assert_eq!(feed(&mut replica, produced(2, Acks::Leader, 3, 10), 0), [answer(2, OK)]);
    assert_eq!(replica.waiting(), 0);
}

#[test]
fn flush_gate_holds_acks_and_the_high_watermark_back() {
    let mut replica = single();
    feed(&mut replica, Input::SetPolicy { min_insync_replicas: 1, flush_gated: true }, 0);
    assert_eq!(feed(&mut replica, appended(3), 0), []);
    assert_eq!(feed(&mut replica, produced(1, Acks::Leader, 2, 10), 0), []);
    assert_eq!(feed(&mut replica, produced(2, Acks::All, 3, 10), 0), []);
    assert_eq!(feed(&mut replica, Input::Flushed { end: Offset(2) }, 0), [HighWatermark(Offset(2)), answer(1, OK)]);
    assert_eq!(feed(&mut replica, Input::Flushed { end: Offset(3) }, 0), [HighWatermark(Offset(3)), answer(2, OK)]);
}

#[test]
fn acks_all_waits_for_the_slowest_of_the_isr() {
    let mut replica = of_three();
    assert_eq!(feed(&mut replica, appended(5), 0), []);
    assert_eq!(feed(&mut replica, produced(1, Acks::All, 5, 100), 0), []);
    assert_eq!(feed(&mut replica, produced(2, Acks::Leader, 5, 100), 0), [answer(2, OK)]);
    assert_eq!(feed(&mut replica, fetched(2, 5), 0), []);
    assert_eq!(feed(&mut replica, fetched(3, 4), 0), [HighWatermark(Offset(4))]);
    assert_eq!(feed(&mut replica, fetched(3, 5), 0), [HighWatermark(Offset(5)), answer(1, OK)]);
}

#[test]
fn waiting_produce_times_out_at_its_deadline() {
    let mut replica = of_three();
    feed(&mut replica, appended(1), 0);
    feed(&mut replica, produced(1, Acks::All, 1, 100), 0);
    assert_eq!(replica.next_deadline_ms(), Some(100));
    assert_eq!(feed(&mut replica, Input::Tick, 99), []);
    assert_eq!(feed(&mut replica, Input::Tick, 100), [answer(1, ErrorCode::RequestTimedOut)]);
    assert_eq!((replica.next_deadline_ms(), replica.waiting()), (None, 0));
}

#[test]
fn small_isr_refuses_acks_all_and_freezes_the_high_watermark() {
    let mut replica = of_three();
    feed(&mut replica, appended(2), 0);
    feed(&mut replica, produced(1, Acks::All, 2, 100), 0);
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 0, 1, &[1, 2, 3], &[1])), 0), []);
    assert_eq!(replica.admit_produce(Acks::All), Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(replica.admit_produce(Acks::Leader), Ok(LeaderEpoch(0)));
    assert_eq!(replica.high_watermark(), Offset(0), "one replica of min.insync.replicas 2 makes nothing safe");
    assert_eq!(feed(&mut replica, fetched(2, 2), 0), []);
    let back = Input::Metadata(assignment(1, 0, 2, &[1, 2, 3], &[1, 2]));
    assert_eq!(feed(&mut replica, back, 0), [HighWatermark(Offset(2)), answer(1, OK)]);
}

#[test]
fn isr_that_shrank_after_the_append_is_said() {
    let mut replica = of_three();
    feed(&mut replica, appended(2), 0);
    feed(&mut replica, fetched(2, 2), 0);
    assert_eq!(feed(&mut replica, fetched(3, 2), 0), [HighWatermark(Offset(2))]);
    feed(&mut replica, Input::Metadata(assignment(1, 0, 1, &[1, 2, 3], &[1])), 0);
    let late = feed(&mut replica, produced(1, Acks::All, 2, 100), 0);
    assert_eq!(late, [answer(1, ErrorCode::NotEnoughReplicasAfterAppend)]);
}

#[test]
fn losing_the_leadership_fails_who_waits() {
    let mut replica = of_three();
    feed(&mut replica, appended(1), 0);
    feed(&mut replica, produced(1, Acks::All, 1, 100), 0);
    assert_eq!(
        feed(&mut replica, Input::Metadata(assignment(2, 1, 1, &[1, 2, 3], &[2, 3])), 0),
        [
            answer(1, ErrorCode::NotLeaderOrFollower),
            BecameFollower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(1) },
            Effect::Fetch(FetchPosition {
                leader: BrokerId(2),
                leader_epoch: LeaderEpoch(1),
                offset: Offset(1),
                last_fetched_epoch: LeaderEpoch(0),
                log_start: Offset(0),
            }),
        ]
    );
    assert_eq!(feed(&mut replica, produced(2, Acks::Leader, 1, 100), 0), [answer(2, ErrorCode::NotLeaderOrFollower)]);
}

#[test]
fn storage_failure_is_final() {
    let mut replica = of_three();
    feed(&mut replica, appended(1), 0);
    feed(&mut replica, produced(1, Acks::All, 1, 100), 0);
    assert_eq!(feed(&mut replica, Input::StorageFailed, 0), [answer(1, ErrorCode::KafkaStorageError)]);
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 5, 5, &[1], &[1])), 0), []);
    assert_eq!(replica.admit_produce(Acks::Leader), Err(ErrorCode::KafkaStorageError));
}

#[test]
fn epochs_of_clients_are_fenced() {
    let mut replica = single();
    feed(&mut replica, Input::Metadata(assignment(1, 3, 1, &[1], &[1])), 0);
    assert_eq!(replica.check_leader(LeaderEpoch(-1)), Ok(()));
    assert_eq!(replica.check_leader(LeaderEpoch(3)), Ok(()));
    assert_eq!(replica.check_leader(LeaderEpoch(2)), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(replica.check_leader(LeaderEpoch(4)), Err(ErrorCode::UnknownLeaderEpoch));
    feed(&mut replica, Input::Metadata(assignment(-1, 4, 2, &[1], &[1])), 0);
    assert_eq!(replica.check_leader(LeaderEpoch(3)), Err(ErrorCode::FencedLeaderEpoch), "the epoch is judged first");
    assert_eq!(replica.check_leader(LeaderEpoch(4)), Err(ErrorCode::NotLeaderOrFollower));
}

#[test]
fn older_metadata_are_skipped() {
    let mut replica = single();
    feed(&mut replica, Input::Metadata(assignment(1, 3, 7, &[1], &[1])), 0);
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(2, 2, 6, &[2], &[2])), 0), []);
    assert!(replica.is_leader());
    assert_eq!(feed(&mut replica, Input::Metadata(assignment(1, 3, 7, &[1], &[1])), 0), [], "the same again says nothing");
}

#[test]
fn elected_leader_that_knows_no_follower_yet_lags() {
    let mut replica = Replica::new(ME, log(0, 3, 8));
    feed(&mut replica, Input::Metadata(assignment(1, 2, 2, &[1, 2], &[1, 2])), 0);
    assert!(replica.high_watermark_lags_election());
    assert_eq!(feed(&mut replica, fetched(2, 8), 0), [HighWatermark(Offset(8))]);
    assert!(!replica.high_watermark_lags_election());
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_only() {
    let mut replica = of_three();
    feed(&mut replica, appended(9), 0);
    feed(&mut replica, fetched(2, 9), 0);
    feed(&mut replica, fetched(3, 6), 0);
    assert_eq!(replica.check_delete_records(Offset(-1)), Ok(Offset(6)));
    assert_eq!(replica.check_delete_records(Offset(7)), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(replica.check_delete_records(Offset(-2)), Err(ErrorCode::OffsetOutOfRange));
    feed(&mut replica, Input::LogStartMoved { offset: Offset(4) }, 0);
    assert_eq!(replica.check_delete_records(Offset(2)), Ok(Offset(4)), "never backwards");
    assert_eq!((replica.log_start(), replica.low_watermark()), (Offset(4), Offset(0)));
}

#[test]
fn readers_see_as_far_as_their_isolation_allows() {
    let mut replica = of_three();
    feed(&mut replica, appended(9), 0);
    feed(&mut replica, fetched(2, 9), 0);
    feed(&mut replica, fetched(3, 6), 0);
    let ends =
        [Isolation::Replica, Isolation::ReadUncommitted, Isolation::ReadCommitted].map(|i| replica.readable_end(i, Offset(2)));
    assert_eq!(ends, [Offset(9), Offset(6), Offset(2)]);
}

#[test]
#[should_panic(expected = "log end went back")]
fn log_end_never_falls() {
    let mut replica = single();
    feed(&mut replica, appended(3), 0);
    feed(&mut replica, appended(2), 0);
}

#[test]
fn acks_on_the_wire() {
    assert_eq!([-1, 0, 1].map(Acks::from_wire), [Ok(Acks::All), Ok(Acks::None), Ok(Acks::Leader)]);
    assert_eq!(Acks::from_wire(2), Err(ErrorCode::InvalidRequiredAcks));
}

proptest! {
    /// Whatever happens: the high watermark never falls nor passes what the ISR has; everybody is answered once, and nobody with
    /// success before the records are safe.
    #[test]
    fn nothing_is_acked_before_it_is_safe(gated: bool, events in prop::collection::vec((0u8..7, 0i64..4, 0u64..9), 1..120)) {
        let mut replica = of_three();
        feed(&mut replica, Input::SetPolicy { min_insync_replicas: 2, flush_gated: gated }, 0);
        let (mut now, mut ends, mut flushed, mut isr, mut epoch) = (0, [0i64; 4], 0i64, vec![1, 2, 3], 0);
        let mut open: BTreeMap<u64, (Acks, i64)> = BTreeMap::new();
        let mut last_hw = Offset(0);
        for (ticket, (kind, amount, wait)) in events.into_iter().enumerate() {
            let ticket = ticket as u64;
            let input = match kind {
                0 => { ends[1] += amount; appended(ends[1]) }
                1 => { flushed = ends[1].min(flushed + amount); Input::Flushed { end: Offset(flushed) } }
                2 | 3 => {
                    let id = usize::from(kind);
                    ends[id] = ends[1].min(ends[id] + amount);
                    fetched(i32::from(kind), ends[id])
                }
                4 | 5 => {
                    let acks = if kind == 4 { Acks::All } else { Acks::Leader };
                    open.insert(ticket, (acks, ends[1]));
                    produced(ticket, acks, ends[1], now + wait)
                }
                _ => {
                    epoch += 1;
                    isr = [vec![1, 2, 3], vec![1, 2], vec![1, 3], vec![1]][amount as usize].clone();
                    Input::Metadata(assignment(1, 0, epoch, &[1, 2, 3], &isr))
                }
            };
            now += wait / 4;
            let effects = feed(&mut replica, input, now);
            let own = if gated { flushed } else { ends[1] };
            for effect in effects {
                match effect {
                    HighWatermark(hw) => {
                        prop_assert!(hw > last_hw);
                        prop_assert!(isr.len() >= 2);
                        let safe = isr.iter().all(|&id| hw.0 <= if id == 1 { own } else { ends[id as usize] });
                        prop_assert!(safe, "{} is above an end of the ISR", hw);
                        last_hw = hw;
                    }
                    Answer { ticket, error } => {
                        let (acks, end) = open.remove(&ticket.0).expect("answered once");
                        match (acks, error) {
                            (Acks::Leader, OK) => prop_assert!(end <= own),
                            (Acks::All, OK) => prop_assert!(end <= last_hw.0 && isr.len() >= 2),
                            (Acks::All, ErrorCode::NotEnoughReplicasAfterAppend) => prop_assert!(end <= last_hw.0),
                            (Acks::All, ErrorCode::RequestTimedOut) => prop_assert!(end > last_hw.0),
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        prop_assert_eq!(replica.waiting(), open.len());
    }
}
