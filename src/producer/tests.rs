use super::*;
use proptest::prelude::*;

const P: ProducerId = ProducerId(7);

fn batch(epoch: i16, sequence: i32, records: i32, offset: i64) -> ProducerBatch {
    let last = i64::from(sequence) + i64::from(records) - 1;
    ProducerBatch {
        producer_id: P,
        producer_epoch: epoch,
        base_sequence: sequence,
        last_sequence: (if last > i64::from(i32::MAX) { last - i64::from(i32::MAX) - 1 } else { last }) as i32,
        base_offset: Offset(offset),
        last_offset: Offset(offset + i64::from(records) - 1),
        max_timestamp: 1000 + offset,
        transactional: false,
    }
}

fn txn(mut batch: ProducerBatch, producer: i64) -> ProducerBatch {
    batch.producer_id = ProducerId(producer);
    batch.transactional = true;
    batch
}

fn marker(producer: i64, epoch: i16, offset: i64, commit: bool) -> EndTxnMarker {
    let (producer_id, offset) = (ProducerId(producer), Offset(offset));
    EndTxnMarker { producer_id, producer_epoch: epoch, coordinator_epoch: 3, commit, offset, timestamp: 9000 }
}

fn code(states: &ProducerStates, batch: ProducerBatch) -> Result<Verdict, ErrorCode> {
    states.check(&batch, Origin::Client).map_err(ProducerError::code)
}

/// State after the appends were written.
fn written(batches: &[ProducerBatch]) -> ProducerStates {
    let mut states = ProducerStates::new(Offset::ZERO);
    for b in batches {
        assert_eq!(states.check(b, Origin::Client), Ok(Verdict::Append));
        states.append(*b);
        states.commit(b.last_offset.plus(1));
    }
    states
}

#[test]
fn unknown_producer_may_start_anywhere() {
    let states = ProducerStates::new(Offset::ZERO);
    assert_eq!(code(&states, batch(3, 42, 5, 0)), Ok(Verdict::Append));
}

#[test]
fn gap_and_forgotten_batch_are_out_of_order() {
    let batches: Vec<_> = (0..6).map(|i| batch(0, i, 1, i64::from(i))).collect();
    let states = written(&batches);
    assert_eq!(code(&states, batch(0, 7, 1, 6)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(code(&states, batch(0, 0, 1, 6)), Err(ErrorCode::OutOfOrderSequenceNumber), "only five are remembered");
    assert_eq!(code(&states, batch(0, 1, 2, 6)), Err(ErrorCode::OutOfOrderSequenceNumber), "another range is no duplicate");
    assert_eq!(code(&states, batch(0, 6, 1, 6)), Ok(Verdict::Append));
}

#[test]
fn duplicate_tells_the_first_append() {
    let states = written(&[batch(0, 0, 3, 0), batch(0, 3, 2, 3)]);
    let Ok(Verdict::Duplicate(first)) = code(&states, batch(0, 0, 3, 5)) else { panic!("not a duplicate") };
    assert_eq!((first.base_offset(), first.last_offset, first.timestamp), (Offset(0), Offset(2), 1000));
}

#[test]
fn sequences_wrap_to_zero() {
    let states = written(&[batch(0, i32::MAX - 1, 2, 0)]);
    assert_eq!(code(&states, batch(0, 0, 1, 2)), Ok(Verdict::Append));
    assert_eq!(code(&states, batch(0, 1, 1, 2)), Err(ErrorCode::OutOfOrderSequenceNumber));
    let across = written(&[batch(0, i32::MAX - 1, 4, 0)]);
    assert_eq!(across.get(P).unwrap().last_sequence(), 1);
    assert_eq!(across.get(P).unwrap().last_batch().unwrap().base_sequence(), i32::MAX - 1);
    assert!(matches!(code(&across, batch(0, i32::MAX - 1, 4, 4)), Ok(Verdict::Duplicate(_))));
    assert_eq!(code(&across, batch(0, 2, 1, 4)), Ok(Verdict::Append));
}

#[test]
fn epochs_only_rise_and_start_at_zero() {
    let states = written(&[batch(1, 0, 2, 0)]);
    assert_eq!(code(&states, batch(0, 2, 1, 2)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(code(&states, batch(0, 0, 2, 2)), Err(ErrorCode::InvalidProducerEpoch), "an old epoch is no duplicate");
    assert_eq!(code(&states, batch(2, 2, 1, 2)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(code(&states, batch(2, 0, 1, 2)), Ok(Verdict::Append));
}

#[test]
fn duplicate_of_a_batch_in_flight_waits() {
    let mut states = written(&[batch(0, 0, 1, 0)]);
    states.append(batch(0, 1, 1, 1));
    assert!(matches!(code(&states, batch(0, 1, 1, 2)), Ok(Verdict::DuplicateInFlight(b)) if b.base_offset() == Offset(1)));
    assert!(matches!(code(&states, batch(0, 0, 1, 2)), Ok(Verdict::Duplicate(_))));
    assert_eq!(code(&states, batch(0, 2, 1, 2)), Ok(Verdict::Append), "judged as if the batch in flight were written");
    states.commit(Offset(2));
    assert!(matches!(code(&states, batch(0, 1, 1, 2)), Ok(Verdict::Duplicate(_))));
}

#[test]
fn rollback_leaves_nothing_tentative() {
    let mut states = written(&[batch(0, 0, 1, 0)]);
    states.append(batch(0, 1, 1, 1));
    states.append(batch(1, 0, 1, 2));
    states.rollback();
    assert_eq!(code(&states, batch(0, 1, 1, 1)), Ok(Verdict::Append));
    assert_eq!(states.end_offset(), Offset(1));
}

#[test]
fn open_transaction_holds_the_last_stable_offset() {
    let mut states = ProducerStates::new(Offset::ZERO);
    states.replay(&txn(batch(0, 0, 2, 0), 1));
    states.replay(&txn(batch(0, 0, 2, 2), 2));
    assert_eq!(states.last_stable_offset(Offset(0), Offset(4)), Offset(0));
    let first = states.replay_marker(&marker(1, 0, 4, false)).unwrap();
    let expected = CompletedTxn {
        producer_id: ProducerId(1),
        first_offset: Offset(0),
        last_offset: Offset(4),
        last_stable_offset: Offset(2),
        aborted: true,
    };
    assert_eq!(first, expected);
    assert_eq!(states.last_stable_offset(Offset(0), Offset(4)), Offset(0), "the marker is not below the high watermark");
    assert_eq!(states.last_stable_offset(Offset(0), Offset(5)), Offset(2));
    assert_eq!(states.last_stable_offset(Offset(3), Offset(5)), Offset(3), "not below the log start");
    let second = states.replay_marker(&marker(2, 0, 5, true)).unwrap();
    assert_eq!((second.aborted, second.last_stable_offset), (false, Offset(6)));
    assert_eq!(states.last_stable_offset(Offset(0), Offset(6)), Offset(6));
    assert_eq!(states.replay_marker(&marker(2, 0, 6, false)), None, "nothing was open");
}

#[test]
fn writes_outside_the_open_transaction_are_refused() {
    let mut states = ProducerStates::new(Offset::ZERO);
    states.replay(&txn(batch(0, 0, 1, 0), P.0));
    assert_eq!(code(&states, batch(0, 1, 1, 1)), Err(ErrorCode::InvalidTxnState));
    assert_eq!(code(&states, txn(batch(0, 1, 1, 1), P.0)), Ok(Verdict::Append));
    let mut no_sequence = txn(batch(0, 0, 1, 1), P.0);
    (no_sequence.base_sequence, no_sequence.last_sequence) = (-1, -1);
    assert_eq!(states.check(&no_sequence, Origin::Coordinator), Ok(Verdict::Append));
}

#[test]
fn markers_of_replaced_coordinators_and_producers_are_refused() {
    let mut states = ProducerStates::new(Offset::ZERO);
    states.replay(&txn(batch(4, 0, 1, 0), 1));
    states.replay_marker(&marker(1, 4, 1, true));
    let old_coordinator = EndTxnMarker { coordinator_epoch: 2, ..marker(1, 4, 2, true) };
    assert_eq!(states.check_marker(&old_coordinator).map_err(ProducerError::code), Err(ErrorCode::TransactionCoordinatorFenced));
    let old_producer = states.check_marker(&marker(1, 3, 2, true));
    assert_eq!(old_producer.map_err(ProducerError::code), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(states.check_marker(&marker(1, 4, 2, true)), Ok(()));
}

#[test]
fn marker_with_a_new_epoch_restarts_the_sequence() {
    let mut states = ProducerStates::new(Offset::ZERO);
    states.replay(&txn(batch(0, 0, 4, 0), P.0));
    states.replay_marker(&marker(P.0, 1, 4, true));
    assert_eq!(code(&states, txn(batch(1, 4, 1, 5), P.0)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(code(&states, txn(batch(1, 0, 1, 5), P.0)), Ok(Verdict::Append));
}

#[test]
fn silent_producers_expire_unless_a_transaction_is_open() {
    let mut states = written(&[batch(0, 0, 1, 0)]);
    states.replay(&txn(batch(0, 0, 1, 1), 8));
    states.expire(1000 + 99, 100);
    assert_eq!(states.len(), 2);
    states.expire(1001 + 100, 100);
    assert_eq!(states.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [8]);
}

#[test]
fn snapshot_keeps_the_last_batch_and_the_open_transaction() {
    let mut states = written(&[batch(0, 0, 1, 0), batch(0, 1, 4, 1)]);
    states.replay(&txn(batch(2, 0, 1, 5), 9));
    let mut restored = ProducerStates::default();
    restored.load_snapshot(&states.snapshot(), states.end_offset(), 2000, 10_000).unwrap();
    assert_eq!(restored.end_offset(), Offset(6));
    assert_eq!(restored.first_undecided_offset(), Some(Offset(5)));
    assert!(matches!(code(&restored, batch(0, 1, 4, 6)), Ok(Verdict::Duplicate(b)) if b.base_offset() == Offset(1)));
    assert_eq!(code(&restored, batch(0, 0, 1, 6)), Err(ErrorCode::OutOfOrderSequenceNumber), "older batches are not in it");
    assert_eq!(restored.snapshot(), states.snapshot());
}

#[test]
fn empty_snapshot_has_kafkas_ten_bytes() {
    assert_eq!(ProducerStates::default().snapshot().len(), 10);
    assert!(decode_snapshot(&ProducerStates::default().snapshot()).unwrap().is_empty());
}

#[test]
fn every_flipped_or_missing_byte_of_a_snapshot_is_noticed() {
    let file = written(&[batch(0, 0, 1, 0)]).snapshot();
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        assert!(decode_snapshot(&bad).is_err(), "flip at {at}");
        assert!(decode_snapshot(&file[..at]).is_err(), "cut at {at}");
    }
}

/// Written by the `ProducerStateManager.writeSnapshot` of Apache Kafka 4.2.0: producer 36 with a batch of one record, 40 with an open
/// transaction, 41 after a marker that raised its epoch.
const KAFKAS_SNAPSHOT: &str = "0001555e9db60000000300000000000000240000000000090000000000000009000000000000\
    01a1fc132470ffffffffffffffffffffffff000000000000002800030000000b000000000000001500000004000001a1fc133680\
    ffffffff000000000000001100000000000000290001ffffffffffffffffffffffff00000000000001a1fc13368200000007ffffffffffffffff";

#[test]
fn kafkas_own_snapshot_is_read_and_written_byte_for_byte() {
    let file: Vec<u8> =
        (0..KAFKAS_SNAPSHOT.len() / 2).map(|i| u8::from_str_radix(&KAFKAS_SNAPSHOT[2 * i..2 * i + 2], 16).unwrap()).collect();
    let mut states = ProducerStates::default();
    states.load_snapshot(&file, Offset(26), 1_795_230_490_000, 86_400_000).unwrap();
    let plain = states.get(ProducerId(36)).unwrap();
    assert_eq!((plain.epoch(), plain.last_sequence(), plain.last_timestamp()), (0, 9, 1_795_230_475_376));
    let open = states.get(ProducerId(40)).unwrap();
    assert_eq!((open.epoch(), open.current_txn_first_offset()), (3, Some(Offset(17))));
    assert_eq!((open.last_batch().unwrap().base_offset(), open.last_batch().unwrap().base_sequence()), (Offset(17), 7));
    let marked = states.get(ProducerId(41)).unwrap();
    assert_eq!((marked.epoch(), marked.coordinator_epoch(), marked.last_batch()), (1, 7, None));
    assert_eq!(states.snapshot(), file);
}

/// The rules once more, as a history of what was accepted.
#[derive(Default)]
struct Model {
    history: Vec<ProducerBatch>,
    committed: usize,
}

impl Model {
    fn judge(&self, b: &ProducerBatch) -> Result<Option<(Offset, bool)>, ErrorCode> {
        let Some(last) = self.history.last() else { return Ok(None) };
        let epoch = last.producer_epoch;
        let of_epoch = self.history.iter().enumerate().filter(|(_, h)| h.producer_epoch == epoch).collect::<Vec<_>>();
        let same = |h: &ProducerBatch| (h.base_sequence, h.last_sequence) == (b.base_sequence, b.last_sequence);
        if b.producer_epoch == epoch
            && let Some((at, h)) = of_epoch.iter().rev().take(5).find(|(_, h)| same(h))
        {
            return Ok(Some((h.base_offset, *at >= self.committed)));
        }
        if b.producer_epoch < epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let next = if b.producer_epoch > epoch { 0 } else { last.last_sequence.wrapping_add(1) & i32::MAX };
        if b.base_sequence == next { Ok(None) } else { Err(ErrorCode::OutOfOrderSequenceNumber) }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Epoch and sequence, relative to the last batch of the model.
    Produce {
        epoch: i16,
        back: i32,
        records: i32,
    },
    Commit(usize),
    Rollback,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop_oneof![9 => Just(0i16), 1 => -1i16..=1], prop_oneof![3 => Just(0), 1 => -1i32..9], 1i32..4)
            .prop_map(|(epoch, back, records)| Step::Produce { epoch, back, records }),
        4 => (0usize..4).prop_map(Step::Commit),
        1 => Just(Step::Rollback),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_keeps_everything(start in prop_oneof![Just(0), Just(i32::MAX - 9)], steps in prop::collection::vec(step(), 1..80)) {
        let (mut states, mut model, mut next) = (ProducerStates::new(Offset::ZERO), Model::default(), 0);
        for step in steps {
            match step {
                Step::Produce { epoch, back, records } => {
                    let last = model.history.last();
                    let (at, e) = last.map_or((start, 0), |l| (l.last_sequence.wrapping_add(1) & i32::MAX, l.producer_epoch));
                    let sequence = if epoch == 1 && back == 0 { 0 } else { at.wrapping_sub(back) & i32::MAX };
                    let b = batch((e + epoch).max(0), sequence, records, next);
                    let expected = model.judge(&b).map(|found| found.map(|(offset, in_flight)| (offset, in_flight)));
                    let got = code(&states, b).map(|verdict| match verdict {
                        Verdict::Append => None,
                        Verdict::Duplicate(m) => Some((m.base_offset(), false)),
                        Verdict::DuplicateInFlight(m) => Some((m.base_offset(), true)),
                    });
                    prop_assert_eq!(&got, &expected, "{:?}", b);
                    if got == Ok(None) {
                        states.append(b);
                        model.history.push(b);
                        next = b.last_offset.0 + 1;
                    }
                }
                Step::Commit(batches) => {
                    model.committed = (model.committed + batches).min(model.history.len());
                    if model.committed > 0 {
                        states.commit(model.history[model.committed - 1].last_offset.plus(1));
                    }
                }
                Step::Rollback => {
                    states.rollback();
                    model.history.truncate(model.committed);
                    next = model.history.last().map_or(0, |b| b.last_offset.0 + 1);
                }
            }
        }
        // What was committed is what a replay of the log gives.
        let mut replayed = ProducerStates::new(Offset::ZERO);
        model.history[..model.committed].iter().for_each(|b| replayed.replay(b));
        prop_assert_eq!(replayed.get(P), states.get(P));
        prop_assert_eq!(replayed.snapshot(), states.snapshot());
    }
}
