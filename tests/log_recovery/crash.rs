//! Random work, crashes at random moments, and what is left.

use super::support::{Model, Random, batch, check, enter_producers, how, open_dir, partition, small, to_append};
use bytes::Bytes;
use flumen::io::Io;
use flumen::io::sim::{Crash, HostId, Options, World};
use flumen::log::{CheckpointKind, Log, LogConfig, LogDir, OffsetCheckpoint};
use flumen::model::{LeaderEpoch, Offset, ProducerId};
use flumen::record::{BatchHeader, Codec};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

struct Run {
    model: Model,
    random: Random,
    crashed: Option<Crash>,
    epoch: i32,
    appends: u64,
    truncations: u64,
    closes: u64,
    recoveries: u64,
}

type Shared = Rc<RefCell<Run>>;

async fn checkpoint(dir: &LogDir, log: &Log) {
    let one = |offset| OffsetCheckpoint::from([(partition(), offset)]);
    dir.write_checkpoint(CheckpointKind::RecoveryPoint, &one(log.recovery_point())).await.unwrap();
    dir.write_checkpoint(CheckpointKind::LogStart, &one(log.log_start_offset())).await.unwrap();
}

/// Opens the log as a broker does and checks it against what was promised.
async fn start(io: &Io, dir: &LogDir, run: &Shared) -> Log {
    let clean = dir.clean_shutdown().is_some();
    dir.clear_clean_shutdown().await.unwrap();
    let point = dir.read_checkpoint(CheckpointKind::RecoveryPoint).await.unwrap();
    let starts = dir.read_checkpoint(CheckpointKind::LogStart).await.unwrap();
    let of = |offsets: &OffsetCheckpoint| offsets.get(&partition()).copied().unwrap_or(Offset::ZERO);
    let log = Log::open(io.clone(), how(config(), of(&point), of(&starts), clean)).await.unwrap();
    let crashed = run.borrow().crashed;
    let (written, flushed, start) = (run.borrow().model.written, run.borrow().model.flushed, run.borrow().model.start);
    let (from, end) = (log.log_start_offset().0, log.log_end_offset().0);
    match crashed {
        Some(Crash::Kill) => assert!(end >= written, "killed at {written}, ends at {end}"),
        _ => assert!(end >= flushed, "flushed up to {flushed}, ends at {end}"),
    }
    assert!(from <= start, "starts at {from}, above {start}");
    let model = run.borrow().model.clone(); // A crash may come in the middle of the check.
    let found = check(io, &log, &model).await.unwrap();
    check_lookups(io, &log, &found, run).await;
    let mut run = run.borrow_mut();
    run.model.settle(&found, end);
    run.model.start = from;
    let remembered = log.producers().borrow().get(ProducerId(4)).map_or(0, |entry| entry.last_sequence() + 1);
    assert_eq!(remembered, run.model.next_sequence(), "the producer's next sequence");
    run.recoveries += 1;
    log
}

/// Offsets inside of batches, and timestamps, lead to the right batch.
async fn check_lookups(io: &Io, log: &Log, found: &std::collections::BTreeMap<i64, Bytes>, run: &Shared) {
    let headers: Vec<BatchHeader> = found.values().map(|bytes| BatchHeader::parse(bytes).unwrap()).collect();
    for _ in 0..4.min(headers.len()) {
        let at = run.borrow_mut().random.below(headers.len() as u64) as usize;
        let header = &headers[at];
        if header.last_offset() < log.log_start_offset() {
            continue;
        }
        let got = super::support::read(io, log, header.last_offset(), 1).await.unwrap();
        assert_eq!((got.len(), got[0].0), (1, header.base_offset.0));
        let time = header.max_timestamp;
        let wanted = headers.iter().find(|h| h.max_timestamp >= time && h.last_offset() >= log.log_start_offset());
        let got = log.offset_for_timestamp(time, log.log_end_offset()).await.unwrap().expect("it is there");
        let wanted = wanted.expect("this one at least");
        assert!(
            (wanted.base_offset..=wanted.last_offset()).contains(&got.offset),
            "timestamp {time}: {got:?}, not in {wanted:?}"
        );
    }
}

fn config() -> LogConfig {
    LogConfig { retention_bytes: 30_000, ..small() }
}

async fn append(log: &Log, run: &Shared) {
    let (batches, epoch) = {
        let mut run = run.borrow_mut();
        run.epoch += i32::from(run.random.below(20) == 0);
        let mut sequence = run.model.next_sequence();
        let count = 1 + run.random.below(4);
        let mut batches = Vec::new();
        for _ in 0..count {
            let records = 1 + run.random.below(5) as i64;
            let codec = [Codec::None, Codec::None, Codec::Lz4, Codec::Zstd][run.random.below(4) as usize];
            let time = super::support::EPOCH_MS + run.appends as i64 * 10 - run.random.below(40) as i64;
            let idempotent = run.random.below(3) > 0;
            let size = run.random.below(200) as usize;
            batches.push(batch(codec, records, time, size, idempotent.then_some(sequence)));
            sequence += if idempotent { records as i32 } else { 0 };
            run.appends += 1;
        }
        (batches, LeaderEpoch(run.epoch))
    };
    let batches = to_append(&batches, log.log_end_offset(), epoch);
    enter_producers(log, &batches);
    run.borrow_mut().model.begin(&batches);
    let appended = log.append(batches).await.unwrap();
    run.borrow_mut().model.written = appended.log_end_offset.0;
}

async fn truncate(dir: &LogDir, log: &Log, run: &Shared) {
    let target = {
        let mut run = run.borrow_mut();
        let span = (log.log_end_offset().0 - log.log_start_offset().0) as u64;
        let back = run.random.below(span.clamp(1, 60)) as i64;
        let target = log.log_end_offset().0 - back;
        // Where the batch begins that the target lies in is not known here; at most five records before.
        run.model.flushed = run.model.flushed.min(target - 4);
        run.model.written = run.model.written.min(target - 4);
        run.truncations += 1;
        target
    };
    let end = log.truncate_to(Offset(target)).await.unwrap().0;
    checkpoint(dir, log).await;
    let mut run = run.borrow_mut();
    assert!(end <= target && end > target - 5);
    run.model.batches.retain(|&base, _| base < end);
    run.model.sequences.retain(|&at, _| at <= end);
    run.model.written = end;
    let remembered = log.producers().borrow().get(ProducerId(4)).map_or(0, |entry| entry.last_sequence() + 1);
    assert_eq!(remembered, run.model.next_sequence(), "the producer's next sequence after a truncation to {end}");
}

/// Works until it is killed.
async fn work(io: Io, run: Shared) {
    let dir = open_dir(&io).await;
    let mut log = start(&io, &dir, &run).await;
    loop {
        let what = run.borrow_mut().random.below(100);
        match what {
            0..70 => append(&log, &run).await,
            70..80 => {
                let end = log.log_end_offset();
                log.flush(end).await.unwrap();
                let mut run = run.borrow_mut();
                run.model.flushed = run.model.flushed.max(end.0);
            }
            80..88 => checkpoint(&dir, &log).await,
            88..93 => {
                // Before the call: a crash in the middle may leave either.
                run.borrow_mut().model.start = log.log_end_offset().0;
                log.apply_retention(log.log_end_offset()).await.unwrap();
            }
            93..96 => truncate(&dir, &log, &run).await,
            96..98 => io.sleep(Duration::from_millis(2)).await,
            _ => {
                log.close().await.unwrap();
                checkpoint(&dir, &log).await;
                dir.mark_clean_shutdown(1).await.unwrap();
                {
                    let mut run = run.borrow_mut();
                    (run.model.flushed, run.crashed) = (log.log_end_offset().0, Some(Crash::Kill));
                    run.closes += 1;
                }
                // Somebody else might hold the old lock for as long as `dir` lives, so the marker is read by hand.
                let clean = how(config(), log.recovery_point(), log.log_start_offset(), true);
                dir.clear_clean_shutdown().await.unwrap();
                log = Log::open(io.clone(), clean).await.unwrap();
                let model = run.borrow().model.clone();
                check(&io, &log, &model).await.unwrap();
                assert_eq!(log.log_end_offset().0, model.written);
            }
        }
    }
}

fn one_seed(seed: u64) -> (u64, Vec<(&'static str, u64)>, Shared, World, HostId) {
    let world = World::new(seed, Options::default());
    let host = world.add_host("broker", 1);
    let run = Rc::new(RefCell::new(Run {
        model: Model::default(),
        random: Random::new(seed + 1),
        crashed: None,
        epoch: 0,
        appends: 0,
        truncations: 0,
        closes: 0,
        recoveries: 0,
    }));
    for round in 0..6 {
        let inside = run.clone();
        world.start(host, move |io| work(io, inside.clone()));
        let time = run.borrow_mut().random.below(if round == 0 { 30_000 } else { 200_000 });
        world.run_for(Duration::from_micros(2_000 + time));
        let how = if run.borrow_mut().random.below(2) == 0 { Crash::Kill } else { Crash::PowerLoss };
        world.crash(host, how);
        let mut run = run.borrow_mut();
        // A power loss after a kill that was not recovered from: what the first one has kept may go, too.
        run.crashed = Some(if how == Crash::PowerLoss || run.crashed == Some(Crash::PowerLoss) { Crash::PowerLoss } else { how });
    }
    let appends = run.borrow().appends;
    (appends, world.faults().seen(), run, world, host)
}

#[test]
fn a_log_keeps_what_it_promised_over_crashes_at_any_moment() {
    let (mut appends, mut truncations, mut closes, mut recoveries) = (0, 0, 0, 0);
    for seed in 0..60 {
        let (count, _, run, world, host) = one_seed(seed);
        let last = run.clone();
        world.run(host, move |io| async move {
            let dir = open_dir(&io).await;
            start(&io, &dir, &last).await.close().await.unwrap();
        });
        check_files(&world, host);
        let run = run.borrow();
        appends += count;
        truncations += run.truncations;
        closes += run.closes;
        recoveries += run.recoveries;
    }
    assert!(
        appends > 5_000 && truncations > 100 && closes > 50 && recoveries > 200,
        "{appends} {truncations} {closes} {recoveries}"
    );
}

/// What Kafka's dump tool checks of closed files: each index entry is true, and entries grow.
pub fn check_files(world: &World, host: HostId) {
    let disk = world.disk(host);
    let mut entries = 0;
    for path in disk.files() {
        if path.extension().is_none_or(|kind| kind != "log") {
            continue;
        }
        let base: i64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let log = disk.read(&path).unwrap();
        let batches: Vec<_> = flumen::record::Batches::new(&log).map(|batch| batch.unwrap()).collect();
        assert_eq!(batches.iter().map(|batch| batch.bytes.len()).sum::<usize>(), log.len(), "only whole batches");
        let (mut last, mut time) = ((-1, -1), -1);
        for entry in disk.read(path.with_extension("index")).unwrap().chunks(8) {
            let offset = i64::from(i32::from_be_bytes(entry[..4].try_into().unwrap())) + base;
            let position = i32::from_be_bytes(entry[4..].try_into().unwrap()) as usize;
            let batch = batches.iter().find(|batch| batch.position == position).expect("a batch begins there");
            assert_eq!(batch.header.last_offset().0, offset);
            assert!((offset, position as i64) > last);
            last = (offset, position as i64);
            entries += 1;
        }
        for entry in disk.read(path.with_extension("timeindex")).unwrap().chunks(12) {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().unwrap());
            let offset = i64::from(i32::from_be_bytes(entry[8..].try_into().unwrap())) + base;
            let batch = batches.iter().find(|batch| batch.header.last_offset().0 == offset).expect("a batch ends there");
            assert_eq!(batch.header.max_timestamp, timestamp);
            assert!(timestamp > time);
            time = timestamp;
        }
        let greatest = batches.iter().map(|batch| batch.header.max_timestamp).max();
        assert_eq!(greatest.unwrap_or(-1), time, "the last entry has the greatest timestamp");
    }
    assert!(entries > 0 || disk.files().is_empty() || disk.files().len() < 20);
}
