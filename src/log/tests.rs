//! A log on the real disk: what comes back is what was appended, over rolls, restarts, truncation and retention.

use super::*;
use crate::io::{Io, Topology, start};
use crate::model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicPartition};
use crate::producer::{Origin, ProducerBatch, Verdict};
use crate::record::{BatchBuilder, BatchHeader, Batches, Codec, Compression};
use bytes::Bytes;
use std::future::Future;
use std::path::{Path, PathBuf};

pub(super) fn on_a_core<F: Future<Output = ()> + 'static>(body: impl Fn(Io, PathBuf) -> F + Send + Sync + Clone + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let topology = Topology { cores: 1, busy_poll: std::time::Duration::ZERO };
    start(&topology, move |io| body(io, path.clone())).unwrap().join().unwrap();
}

pub(super) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 256,
        segment_index_bytes: 4096,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

pub(super) fn how(dir: &Path, config: LogConfig, clean_shutdown: bool) -> OpenLog {
    OpenLog {
        dir: dir.join("t-0"),
        partition: TopicPartition::new("t", PartitionIndex(0)),
        topic_id: TopicId([7; 16]),
        config,
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown,
        progress: None,
    }
}

async fn open(io: &Io, dir: &Path, clean_shutdown: bool) -> Log {
    Log::open(io.clone(), how(dir, small(), clean_shutdown)).await.unwrap()
}

/// `count` records of timestamp `first_timestamp`, +1, ...
pub(super) fn batch(codec: Codec, count: i64, first_timestamp: i64) -> Bytes {
    let compression = Compression::of(codec);
    let mut builder = BatchBuilder::new(compression);
    for at in 0..count {
        builder.append(first_timestamp + at, Some(b"key"), Some(format!("value {}", first_timestamp + at).as_bytes()));
    }
    builder.build()
}

pub(super) async fn append(log: &Log, batches: &[Bytes], epoch: i32) -> Appended {
    let mut next = log.log_end_offset();
    let numbered = batches.iter().map(|bytes| {
        let header = BatchHeader::parse(bytes).unwrap();
        let batch = AppendBatch::new(bytes.clone(), &header, next, LeaderEpoch(epoch));
        next = batch.last_offset.plus(1);
        batch
    });
    let numbered = numbered.collect();
    log.append(numbered).await.unwrap()
}

/// Appends `count` batches of three records; the timestamp of a record is 1000 + its offset.
async fn fill(log: &Log, count: usize) {
    for _ in 0..count {
        let codec = if log.log_end_offset().0 % 2 == 0 { Codec::None } else { Codec::Lz4 };
        append(log, &[batch(codec, 3, 1000 + log.log_end_offset().0)], 1).await;
    }
}

async fn bytes_of(io: &Io, plan: &ReadPlan) -> Vec<u8> {
    let mut out = Vec::new();
    for slice in &plan.slices {
        out.extend_from_slice(&slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap());
    }
    assert_eq!(out.len() as u64, plan.bytes);
    out
}

/// Offsets that one read gives, after checking every batch.
async fn read(io: &Io, log: &Log, offset: Offset, max_bytes: u64) -> std::ops::Range<i64> {
    let request = ReadRequest { offset, max_bytes, upper: log.log_end_offset(), at_least_one_batch: true };
    let plan = log.read(request).await.unwrap();
    let bytes = bytes_of(io, &plan).await;
    let mut end = plan.base_offset;
    for batch in Batches::new(&bytes) {
        let batch = batch.unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!(batch.header.base_offset, end);
        end = batch.header.last_offset().plus(1);
    }
    plan.base_offset.0..end.0
}

async fn check_all(io: &Io, log: &Log) {
    for max_bytes in [1, 300, 5000, 50 << 20] {
        let mut next = log.log_start_offset();
        while next < log.log_end_offset() {
            let got = read(io, log, next, max_bytes).await;
            assert!(got.start <= next.0 && got.end > next.0, "read at {next} gave {got:?}");
            next = Offset(got.end);
        }
    }
}

#[test]
fn a_log_at_rest_has_no_file_open_and_goes_on_where_it_was() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, false).await;
        for number in 0..100 {
            append(&log, &[batch(Codec::None, 5, number * 10)], 1).await;
        }
        assert!(log.segments().len() > 3, "several segments");
        assert!(log.open_files() >= 3, "the active segment and its indexes");
        log.rest().await.unwrap();
        assert_eq!(log.open_files(), 0);
        assert_eq!(log.recovery_point(), log.log_end_offset(), "what is closed is on the device");
        let at_rest = log.log_end_offset();
        let read = async |offset: i64| {
            let request =
                ReadRequest { offset: Offset(offset), max_bytes: 1, upper: log.log_end_offset(), at_least_one_batch: true };
            log.read(request).await.unwrap().base_offset.0
        };
        for offset in 0..at_rest.0 {
            assert_eq!(read(offset).await, offset / 5 * 5);
        }
        log.rest().await.unwrap();
        append(&log, &[batch(Codec::None, 5, 2000), batch(Codec::None, 5, 2010)], 1).await;
        assert_eq!(read(at_rest.0 + 7).await, at_rest.0 + 5);
        log.rest().await.unwrap();
        log.rest().await.unwrap();
        log.close().await.unwrap();
        assert!(matches!(log.rest().await, Err(LogError::Closed)));
        let again = open(&io, &dir, true).await;
        assert_eq!(again.log_end_offset(), at_rest.plus(10));
        assert!(again.offset_for_timestamp(2005, again.log_end_offset()).await.unwrap().is_some());
    });
}

/// Leaders that write nothing cost no sync at the next start, and none of their epochs claims what another one's leader writes later.
#[test]
fn an_epoch_without_records_is_forgotten_before_anything_is_appended_in_its_place() {
    on_a_core(|io, dir| async move {
        let saved = || std::fs::read_to_string(dir.join("t-0").join(checkpoint::EPOCH_FILE)).unwrap();
        let log = open(&io, &dir, true).await;
        append(&log, &[batch(Codec::None, 3, 0)], 1).await;
        log.assign_epoch_start(LeaderEpoch(4), Offset(3)).await.unwrap();
        log.close().await.unwrap();
        let with_it = saved();
        let log = open(&io, &dir, true).await;
        assert_eq!(log.latest_epoch(), LeaderEpoch(1));
        assert_eq!(saved(), with_it, "nothing is written at a start");
        // A follower gets the next batch of the old epoch.
        append(&log, &[batch(Codec::None, 3, 10)], 1).await;
        assert_ne!(saved(), with_it);
        drop(log);
        let log = open(&io, &dir, false).await;
        assert_eq!((log.log_end_offset(), log.latest_epoch()), (Offset(6), LeaderEpoch(1)));
        assert_eq!(log.epoch_for_offset(Offset(4)), LeaderEpoch(1));
    });
}

#[test]
fn records_come_back_over_rolls_and_restarts() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 300).await;
        assert!(log.segments().len() > 5);
        assert_eq!(log.log_end_offset(), Offset(900));
        check_all(&io, &log).await;
        log.flush(Offset(900)).await.unwrap();
        assert_eq!(log.recovery_point(), Offset(900));
        log.close().await.unwrap();
        assert!(matches!(log.flush_if_due().await, Ok(false)));
        for clean in [true, false, true] {
            let log = open(&io, &dir, clean).await;
            assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(900)));
            assert_eq!(log.latest_epoch(), LeaderEpoch(1));
            check_all(&io, &log).await;
            log.close().await.unwrap();
        }
        // Without a clean stop, and more behind.
        let log = open(&io, &dir, true).await;
        fill(&log, 10).await;
        drop(log);
        let log = open(&io, &dir, false).await;
        assert_eq!(log.log_end_offset(), Offset(930));
        fill(&log, 10).await;
        check_all(&io, &log).await;
    });
}

#[test]
fn timestamps_lead_to_records() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 200).await;
        let check = async |log: &Log| {
            for target in [0i64, 1, 2, 77, 301, 599] {
                let found = log.offset_for_timestamp(1000 + target, log.log_end_offset()).await.unwrap().unwrap();
                assert_eq!((found.offset, found.timestamp), (Offset(target), 1000 + target));
            }
            assert_eq!(log.offset_for_timestamp(0, log.log_end_offset()).await.unwrap().unwrap().offset, Offset(0));
            assert_eq!(log.offset_for_timestamp(1600, log.log_end_offset()).await.unwrap(), None);
            assert_eq!(log.offset_for_timestamp(1500, Offset(500)).await.unwrap(), None);
            assert_eq!(log.offset_of_max_timestamp().await.unwrap().unwrap().offset, Offset(599));
        };
        check(&log).await;
        log.close().await.unwrap();
        check(&open(&io, &dir, true).await).await;
        check(&open(&io, &dir, false).await).await;
    });
}

#[test]
fn truncation_leaves_a_log_that_goes_on() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 200).await;
        assert_eq!(log.truncate_to(Offset(451)).await.unwrap(), Offset(450), "the batch goes whole");
        check_all(&io, &log).await;
        fill(&log, 100).await;
        check_all(&io, &log).await;
        assert_eq!(log.offset_for_timestamp(1460, log.log_end_offset()).await.unwrap().unwrap().offset, Offset(460));
        drop(log);
        let log = open(&io, &dir, false).await;
        assert_eq!(log.log_end_offset(), Offset(750));
        log.truncate_fully_and_start_at(Offset(5000)).await.unwrap();
        fill(&log, 10).await;
        check_all(&io, &log).await;
        assert_eq!(log.log_start_offset(), Offset(5000));
        log.close().await.unwrap();
        let log = open(&io, &dir, true).await;
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(5000), Offset(5030)));
    });
}

#[test]
fn a_cut_at_the_end_forgets_an_epoch_without_records() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 2).await;
        let end = log.log_end_offset();
        log.assign_epoch_start(LeaderEpoch(5), end).await.unwrap();
        assert_eq!(log.latest_epoch(), LeaderEpoch(5));
        assert_eq!(log.truncate_to(end).await.unwrap(), end);
        assert_eq!((log.latest_epoch(), log.log_end_offset()), (LeaderEpoch(1), end));
        log.close().await.unwrap();
        assert_eq!(open(&io, &dir, true).await.latest_epoch(), LeaderEpoch(1), "the checkpoint has forgotten it, too");
    });
}

#[test]
fn retention_takes_the_head_and_plans_stay_good() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 200).await;
        let request = ReadRequest { offset: Offset(0), max_bytes: 5000, upper: Offset(600), at_least_one_batch: true };
        let plan = log.read(request).await.unwrap();
        log.set_config(LogConfig { retention_bytes: 8192, retention_ms: -1, ..small() });
        assert_eq!(log.apply_retention(Offset(10)).await.unwrap(), 0, "not above the high watermark");
        assert!(log.apply_retention(Offset(600)).await.unwrap() > 0);
        assert!(log.size() >= 8192 && log.size() < 8192 + 4096);
        check_all(&io, &log).await;
        assert!(matches!(log.read(request).await, Err(LogError::OffsetOutOfRange { .. })));
        io.sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(bytes_of(&io, &plan).await.len(), 5000, "a plan holds descriptors");
        log.set_config(LogConfig { retention_ms: 1000, ..small() });
        log.apply_retention(Offset(600)).await.unwrap();
        assert_eq!((log.log_start_offset(), log.size()), (Offset(600), 0), "all records are of 1970");
        fill(&log, 3).await;
        log.delete_records(Offset(605)).await.unwrap();
        assert_eq!(read(&io, &log, Offset(605), 1).await, 603..606);
        log.close().await.unwrap();
        let again = OpenLog { log_start_offset: Offset(605), ..how(&dir, small(), true) };
        let log = Log::open(io.clone(), again).await.unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(605), Offset(609)));
        let gone = log.delete().await.unwrap();
        assert!(!io.exists(&dir.join("t-0")).await.unwrap() && io.exists(&gone).await.unwrap());
    });
}

fn of_producer(sequence: i32) -> (Bytes, ProducerBatch) {
    let mut builder = BatchBuilder::new(Compression::of(Codec::None)).producer(ProducerId(9), 0, sequence);
    builder.append(crate_time(), None, Some(b"x"));
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).unwrap();
    let batch = ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: 0,
        base_sequence: sequence,
        last_sequence: header.last_sequence(),
        base_offset: Offset(i64::from(sequence)),
        last_offset: Offset(i64::from(sequence)),
        max_timestamp: header.max_timestamp,
        transactional: false,
    };
    (bytes, batch)
}

/// A time that no producer is forgotten for.
fn crate_time() -> i64 {
    4_000_000_000_000
}

#[test]
fn producers_survive_restarts() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        for sequence in 0..200 {
            let (bytes, batch) = of_producer(sequence);
            assert_eq!(log.producers().borrow().check(&batch, Origin::Client), Ok(Verdict::Append));
            log.producers().borrow_mut().append(batch);
            append(&log, &[bytes], 0).await;
        }
        let again = |log: &Log| {
            let verdict = log.producers().borrow().check(&of_producer(199).1, Origin::Client);
            assert!(matches!(verdict, Ok(Verdict::Duplicate(first)) if first.last_offset == Offset(199)), "{verdict:?}");
            let next = ProducerBatch { base_offset: Offset(200), ..of_producer(201).1 };
            assert!(log.producers().borrow().check(&next, Origin::Client).is_err());
        };
        again(&log);
        drop(log);
        let log = open(&io, &dir, false).await;
        again(&log);
        log.close().await.unwrap();
        again(&open(&io, &dir, true).await);
    });
}

#[test]
fn a_roll_moves_the_recovery_point_and_trims_files() {
    on_a_core(|io, dir| async move {
        let log = open(&io, &dir, true).await;
        fill(&log, 120).await;
        let last = log.segments().last().unwrap().base_offset;
        // It moves beside the appends, when the device is done.
        io.until(std::time::Duration::from_secs(20), "the recovery point", async || log.recovery_point() >= last).await;
        assert!(log.recovery_point() >= last);
        let first = io.read_file(&dir.join("t-0/00000000000000000000.index")).await.unwrap();
        assert!(!first.is_empty() && first.len() < 512);
        assert!(io.exists(&dir.join(format!("t-0/{:020}.snapshot", last.0))).await.unwrap());
    });
}
