//! What a follower appends: offsets and epochs of the leader, holes, markers of transactions, and what a start makes of them.

use super::tests::{how, on_a_core, small};
use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Compression, ControlRecordType, EndTransactionMarker};
use bytes::Bytes;

/// A batch as a leader has it.
fn batch(base: i64, epoch: i32, records: usize) -> Bytes {
    built(BatchBuilder::new(Compression::NONE), base, epoch, records)
}

fn built(builder: BatchBuilder, base: i64, epoch: i32, records: usize) -> Bytes {
    let mut builder = builder.base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
    for at in 0..records {
        builder.append(1000 + base + at as i64, Some(b"key"), Some(&[7; 50]));
    }
    builder.build()
}

fn as_it_is(bytes: &Bytes) -> AppendBatch {
    let header = BatchHeader::parse(bytes).unwrap();
    AppendBatch::new(bytes.clone(), &header, header.base_offset, header.partition_leader_epoch)
}

async fn follow(log: &Log, batches: &[Bytes]) -> Result<Offset, LogError> {
    log.append_as_follower(batches.iter().map(as_it_is).collect()).await.map(|appended| appended.log_end_offset)
}

async fn content(io: &crate::io::Io, log: &Log) -> Vec<u8> {
    let request =
        ReadRequest { offset: log.log_start_offset(), max_bytes: 1 << 30, upper: log.log_end_offset(), at_least_one_batch: true };
    let plan = log.read(request).await.unwrap();
    let mut out = Vec::new();
    for slice in &plan.slices {
        out.extend_from_slice(&slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap());
    }
    out
}

fn compacted() -> LogConfig {
    LogConfig { cleanup_policy: CleanupPolicy { delete: false, compact: true }, ..small() }
}

#[test]
fn batches_are_written_as_they_came_with_their_epochs_and_holes() {
    on_a_core(|io, dir| async move {
        let batches: Vec<Bytes> = [(0, 2, 3), (3, 2, 1), (10, 4, 2), (12, 4, 1), (40, 7, 3)]
            .into_iter()
            .map(|(base, epoch, records)| batch(base, epoch, records))
            .collect();
        let log = Log::open(io.clone(), how(&dir, compacted(), false)).await.unwrap();
        assert_eq!(follow(&log, &batches[..2]).await.unwrap(), Offset(4));
        assert_eq!(follow(&log, &batches[2..]).await.unwrap(), Offset(43));
        let told = LogError::UnexpectedAppendOffset { offset: Offset(40), expected: Offset(43) };
        assert_eq!(follow(&log, &batches[4..]).await.unwrap_err().to_string(), told.to_string());
        for clean in [true, false] {
            let log = Log::open(io.clone(), how(&dir, compacted(), clean)).await.unwrap();
            assert_eq!(log.log_end_offset(), Offset(43), "clean: {clean}");
            assert_eq!(content(&io, &log).await, batches.concat());
            let end = log.end_offset_for_epoch(LeaderEpoch(5));
            assert_eq!((end.epoch, end.end_offset), (LeaderEpoch(4), Offset(40)));
            if clean {
                log.close().await.unwrap();
            }
        }
    });
}

#[test]
fn a_hole_in_a_topic_that_is_not_compacted_any_more_survives_a_start() {
    on_a_core(|io, dir| async move {
        let log = Log::open(io.clone(), how(&dir, small(), false)).await.unwrap();
        follow(&log, &[batch(0, 0, 3), batch(7, 0, 1)]).await.unwrap();
        assert_eq!(log.clean_up_to(), Some(Offset(7)), "what the checkpoint says");
        drop(log);
        let with_checkpoint = OpenLog { cleaned: Some(Offset(7)), ..how(&dir, small(), false) };
        assert_eq!(Log::open(io.clone(), with_checkpoint).await.unwrap().log_end_offset(), Offset(8));
    });
}

#[test]
fn a_batch_larger_than_a_segment_has_one_of_its_own_and_holes_are_rolled_over() {
    on_a_core(|io, dir| async move {
        let log = Log::open(io.clone(), how(&dir, compacted(), false)).await.unwrap();
        let far = 5_000_000_000;
        let batches = [batch(0, 0, 3), batch(3, 0, 200), batch(203, 0, 2), batch(far, 0, 1)];
        assert!(batches[1].len() > 4096);
        assert_eq!(follow(&log, &batches).await.unwrap(), Offset(far + 1));
        let bases: Vec<_> = log.segments().iter().map(|segment| segment.base_offset.0).collect();
        assert_eq!(bases, [0, 3, 203, far]);
        assert_eq!(log.truncate_to(Offset(210)).await.unwrap(), Offset(210));
        assert_eq!(follow(&log, &[batch(300, 1, 1)]).await.unwrap(), Offset(301));
        drop(log);
        let log = Log::open(io.clone(), how(&dir, compacted(), false)).await.unwrap();
        assert_eq!((log.log_end_offset(), log.latest_epoch()), (Offset(301), LeaderEpoch(1)));
    });
}

#[test]
fn producers_and_transactions_are_those_of_the_leader() {
    on_a_core(|io, dir| async move {
        let log = Log::open(io.clone(), how(&dir, small(), false)).await.unwrap();
        let data = |base, sequence, records| {
            let builder = BatchBuilder::new(Compression::NONE).producer(ProducerId(5), 1, sequence).transactional(true);
            built(builder, base, 0, records)
        };
        let marker = |base: i64, commit| {
            let mut builder = BatchBuilder::new(Compression::NONE)
                .producer(ProducerId(5), 1, -1)
                .transactional(true)
                .control(true)
                .base_offset(Offset(base))
                .leader_epoch(LeaderEpoch(0));
            let marker = EndTransactionMarker { commit, coordinator_epoch: 3 };
            let key: [u8; 4] = ControlRecordType::key(marker.control_type());
            builder.append(2000, Some(&key), Some(&marker.value()));
            builder.build()
        };
        follow(&log, &[data(0, 0, 2), data(2, 2, 1)]).await.unwrap();
        assert_eq!(log.producers().borrow().first_undecided_offset(), Some(Offset(0)));
        follow(&log, &[marker(3, true), data(4, 3, 2), marker(6, false), batch(7, 0, 1)]).await.unwrap();
        let producers = || {
            let producers = log.producers().borrow();
            let entry = producers.get(ProducerId(5)).expect("it has written");
            (entry.epoch(), entry.last_sequence(), producers.first_undecided_offset(), producers.end_offset())
        };
        assert_eq!(producers(), (1, 4, None, Offset(8)));
        let aborted = log.aborted_transactions(Offset(0), Offset(8)).await.unwrap();
        assert_eq!(aborted.iter().map(|txn| (txn.first_offset.0, txn.last_offset.0)).collect::<Vec<_>>(), [(4, 6)]);
        follow(&log, &[data(8, 5, 1), marker(9, false)]).await.unwrap();
        let aborted = log.aborted_transactions(Offset(0), Offset(10)).await.unwrap();
        assert_eq!(aborted.iter().map(|txn| (txn.first_offset.0, txn.last_offset.0)).collect::<Vec<_>>(), [(4, 6), (8, 9)]);
    });
}
