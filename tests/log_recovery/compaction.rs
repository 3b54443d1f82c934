//! Compaction against a model: for random histories with tombstones, idempotent producers and crashes at every step, a reader from the
//! start ends with the model's map, records keep their offsets, and nothing that is newest is lost.

use super::support::{DIR, EPOCH_MS, Random, enter_producers, how, open_dir, partition, small, to_append};
use bytes::Bytes;
use flumen::io::Io;
use flumen::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use flumen::log::{
    CheckpointKind, CleanReport, Cleaner, CleanerLimits, CleanupPolicy, Log, LogConfig, LogDir, LogError, OffsetCheckpoint,
    OpenLog, ReadRequest,
};
use flumen::model::{LeaderEpoch, Offset, ProducerId};
use flumen::producer::{Origin, ProducerBatch, Verdict};
use flumen::record::{BatchBuilder, BatchHeader, Batches, Codec, Compression, EndTransactionMarker, NO_SEQUENCE, Records};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Random histories.
const SEEDS: u64 = 100;
/// Virtual time between two moments at which a round is stopped.
const STEP: Duration = Duration::from_micros(60);

const LIMITS: CleanerLimits =
    CleanerLimits { dedupe_bytes: 1 << 20, load_factor: 0.9, chunk_bytes: 0, bytes_per_second: f64::MAX };

fn compacted() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        delete_retention_ms: 15,
        file_delete_delay_ms: 3,
        ..small()
    }
}

type Key = u16;
/// Offset of the newest record of each key, and its value.
type Map = BTreeMap<Key, (i64, Vec<u8>)>;

#[derive(Clone, PartialEq, Debug)]
struct Record {
    key: Key,
    value: Option<Vec<u8>>,
}

/// Everything that was appended, by offset, and the batches of the producers.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<i64, Record>,
    /// Last batch of each producer by log end offset: producer, batch.
    producers: BTreeMap<i64, ProducerBatch>,
    written: i64,
    flushed: i64,
}

impl Model {
    fn map(&self) -> Map {
        self.map_below(i64::MAX)
    }

    fn map_below(&self, end: i64) -> Map {
        let mut map = Map::new();
        for (offset, record) in self.records.range(..end) {
            put(&mut map, *offset, record);
        }
        map
    }

    /// The log has turned out to end here.
    fn cut(&mut self, end: i64) {
        self.records.retain(|&offset, _| offset < end);
        self.producers.retain(|&offset, _| offset < end);
        (self.written, self.flushed) = (end, self.flushed.min(end));
    }

    fn last_of(&self, producer: ProducerId) -> Option<ProducerBatch> {
        self.producers.values().rev().find(|batch| batch.producer_id == producer).copied()
    }
}

fn put(map: &mut Map, offset: i64, record: &Record) {
    match &record.value {
        Some(value) => drop(map.insert(record.key, (offset, value.clone()))),
        None => drop(map.remove(&record.key)),
    }
}

/// Everything that the log serves to a reader from its start, aborted records left out, by offset.
async fn read_all(io: &Io, log: &Log, max_bytes: u64) -> Result<BTreeMap<i64, Record>, LogError> {
    let (mut found, mut next, end) = (BTreeMap::new(), log.log_start_offset(), log.log_end_offset());
    while next < end {
        let plan = log.read(ReadRequest { offset: next, max_bytes, upper: end, at_least_one_batch: true }).await?;
        let mut bytes = Vec::new();
        for slice in &plan.slices {
            let part = slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap();
            assert_eq!(part.len() as u64, slice.len, "a plan never leads past the end");
            bytes.extend_from_slice(&part);
        }
        assert!(!bytes.is_empty(), "nothing is left from {next} to {end}");
        let listed = log.aborted_transactions(next, end).await?;
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.crc_is_valid() && batch.header.last_offset() >= next, "offsets go up");
            next = batch.header.last_offset().plus(1);
            let header = &batch.header;
            let is_aborted = listed.iter().any(|txn| {
                let inside = txn.first_offset <= header.base_offset && header.last_offset() < txn.last_offset;
                inside && txn.producer_id == header.producer_id && header.attributes.is_transactional()
            });
            if header.attributes.is_control() || is_aborted {
                continue;
            }
            let payload = batch.uncompressed_payload(1 << 20).unwrap();
            for record in Records::new(&payload, batch.header.records_count) {
                let record = record.unwrap();
                let key = Key::from_be_bytes(record.key.unwrap().try_into().unwrap());
                found.insert(batch.offset_of(&record).0, Record { key, value: record.value.map(<[u8]>::to_vec) });
            }
        }
    }
    assert_eq!(next, end, "a reader gets to the end");
    Ok(found)
}

/// A reader of the log ends with the model's map, and sees nothing that was not appended there.
async fn check(io: &Io, log: &Log, model: &Model) {
    for max_bytes in [1, 5000] {
        let found = read_all(io, log, max_bytes).await.unwrap();
        let mut map = Map::new();
        for (offset, record) in &found {
            assert_eq!(model.records.get(offset), Some(record), "at offset {offset}");
            put(&mut map, *offset, record);
        }
        assert_eq!(map, model.map(), "the map of a reader");
    }
}

fn check_producers(log: &Log, model: &Model) {
    for producer in PRODUCERS.map(ProducerId) {
        let Some(last) = model.last_of(producer) else { continue };
        let states = log.producers().borrow();
        let again = states.check(&last, Origin::Client);
        let is_duplicate = matches!(again, Ok(Verdict::Duplicate(first)) if first.last_offset == last.last_offset);
        assert!(is_duplicate, "the last batch of {producer:?} again: {again:?}, was {last:?}");
        let next = ProducerBatch {
            base_sequence: last.last_sequence + 1,
            last_sequence: last.last_sequence + 1,
            base_offset: log.log_end_offset(),
            last_offset: log.log_end_offset(),
            ..last
        };
        assert_eq!(states.check(&next, Origin::Client), Ok(Verdict::Append));
        let gap = ProducerBatch { base_sequence: last.last_sequence + 2, last_sequence: last.last_sequence + 2, ..next };
        assert!(states.check(&gap, Origin::Client).is_err());
    }
}

const PRODUCERS: [i64; 3] = [4, 5, 6];

struct Run {
    model: Model,
    random: Random,
    crashed: Option<Crash>,
    appends: i64,
    /// Below, nothing is ever cut: what a high watermark is.
    stable: i64,
    rounds: u64,
    records_dropped: u64,
    recoveries: u64,
    truncations: u64,
}

type Shared = Rc<RefCell<Run>>;

fn new_run(seed: u64) -> Shared {
    Rc::new(RefCell::new(Run {
        model: Model::default(),
        random: Random::new(seed),
        crashed: None,
        appends: 0,
        stable: 0,
        rounds: 0,
        records_dropped: 0,
        recoveries: 0,
        truncations: 0,
    }))
}

async fn checkpoint(dir: &LogDir, log: &Log) {
    let one = |offset| OffsetCheckpoint::from([(partition(), offset)]);
    dir.write_checkpoint(CheckpointKind::RecoveryPoint, &one(log.recovery_point())).await.unwrap();
    let cleaned = log.clean_up_to().map(one).unwrap_or_default();
    dir.write_checkpoint(CheckpointKind::Cleaner, &cleaned).await.unwrap();
}

/// Opens the log as a broker does and checks it against what was promised.
async fn start(io: &Io, dir: &LogDir, run: &Shared) -> Log {
    let of = async |kind| dir.read_checkpoint(kind).await.unwrap().get(&partition()).copied();
    let point = of(CheckpointKind::RecoveryPoint).await.unwrap_or(Offset::ZERO);
    let cleaned = of(CheckpointKind::Cleaner).await;
    let open = OpenLog { cleaned, ..how(compacted(), point, Offset::ZERO, false) };
    let log = Log::open(io.clone(), open).await.unwrap();
    let end = log.log_end_offset().0;
    let mut model = {
        let run = run.borrow();
        match run.crashed {
            Some(Crash::Kill) => assert!(end >= run.model.written, "killed at {}, ends at {end}", run.model.written),
            _ => assert!(end >= run.model.flushed, "flushed up to {}, ends at {end}", run.model.flushed),
        }
        run.model.clone()
    };
    model.cut(end);
    check(io, &log, &model).await;
    check_producers(&log, &model);
    let mut run = run.borrow_mut();
    run.model = model;
    run.stable = run.stable.min(end);
    run.recoveries += 1;
    log
}

fn random_batch(run: &mut Run, keys: u64) -> Bytes {
    let count = 1 + run.random.below(5) as i64;
    let codec = [Codec::None, Codec::None, Codec::Lz4, Codec::Zstd, Codec::Gzip, Codec::Snappy][run.random.below(6) as usize];
    let mut builder = BatchBuilder::new(Compression::of(codec));
    if run.random.below(3) > 0 {
        let producer = ProducerId(PRODUCERS[run.random.below(3) as usize]);
        let sequence = run.model.last_of(producer).map_or(0, |batch| batch.last_sequence + 1);
        builder = builder.producer(producer, 0, sequence);
    }
    for at in 0..count {
        let key = run.random.below(keys) as Key;
        let length = run.random.below(120) as usize;
        let value = (run.random.below(4) > 0).then(|| vec![run.random.below(256) as u8; length]);
        builder.append(EPOCH_MS + run.appends * 10 + at, Some(&key.to_be_bytes()), value.as_deref());
    }
    run.appends += 1;
    builder.build()
}

async fn append(log: &Log, run: &Shared, keys: u64) {
    let batches = {
        let mut run = run.borrow_mut();
        let bytes = random_batch(&mut run, keys);
        let batches = to_append(&[bytes], log.log_end_offset(), LeaderEpoch(0));
        // A crash in the middle may leave it there or not.
        let mut model = std::mem::take(&mut run.model);
        note(&mut model, &batches[0].bytes, batches[0].base_offset);
        run.model = model;
        batches
    };
    enter_producers(log, &batches);
    let appended = log.append(batches).await.unwrap();
    run.borrow_mut().model.written = appended.log_end_offset.0;
}

fn note(model: &mut Model, bytes: &Bytes, base: Offset) {
    let batch = Batches::new(bytes).next().unwrap().unwrap();
    let payload = batch.uncompressed_payload(1 << 20).unwrap();
    for record in Records::new(&payload, batch.header.records_count) {
        let record = record.unwrap();
        let key = Key::from_be_bytes(record.key.unwrap().try_into().unwrap());
        let value = record.value.map(<[u8]>::to_vec);
        model.records.insert(base.0 + i64::from(record.offset_delta), Record { key, value });
    }
    if batch.header.has_producer_id() {
        let header = BatchHeader { base_offset: base, ..batch.header };
        model.producers.insert(header.last_offset().0, ProducerBatch::from(&header));
    }
}

async fn clean(log: &Log, limit: Offset) -> Option<CleanReport> {
    let part = log.cleanable(limit).await.unwrap()?;
    Some(log.clean(&part, &Cleaner::new(LIMITS)).await.unwrap())
}

/// Works until the host crashes.
async fn work(io: Io, run: Shared) {
    let dir = open_dir(&io).await;
    let mut log = start(&io, &dir, &run).await;
    loop {
        let what = run.borrow_mut().random.below(100);
        match what {
            0..70 => append(&log, &run, 30).await,
            70..76 => {
                let end = log.log_end_offset();
                log.flush(end).await.unwrap();
                let mut run = run.borrow_mut();
                run.model.flushed = run.model.flushed.max(end.0);
            }
            76..80 => checkpoint(&dir, &log).await,
            80..90 => {
                let limit = {
                    let mut run = run.borrow_mut();
                    run.stable = run.stable.max(log.log_end_offset().0 - run.random.below(10) as i64);
                    Offset(run.stable)
                };
                if let Some(report) = clean(&log, limit).await {
                    let mut run = run.borrow_mut();
                    run.rounds += 1;
                    run.records_dropped += report.records - report.records_kept;
                    // What was swapped in had to be on the device.
                    run.model.flushed = run.model.flushed.max(report.clean_up_to.map_or(0, |end| end.0));
                }
            }
            90..92 => {
                let (target, model) = {
                    let mut run = run.borrow_mut();
                    let span = (log.log_end_offset().0 - run.stable).max(1) as u64;
                    let target = log.log_end_offset().0 - run.random.below(span) as i64;
                    run.model.flushed = run.model.flushed.min(target - 4);
                    run.model.written = run.model.written.min(target - 4);
                    run.truncations += 1;
                    (target, run.model.clone())
                };
                let end = log.truncate_to(Offset(target)).await.unwrap();
                let mut model = model;
                model.cut(end.0);
                run.borrow_mut().model = model;
                checkpoint(&dir, &log).await;
            }
            92..96 => io.sleep(Duration::from_millis(12)).await,
            96..98 => {
                let model = run.borrow().model.clone();
                check(&io, &log, &model).await;
            }
            _ => {
                log.close().await.unwrap();
                checkpoint(&dir, &log).await;
                let end = log.log_end_offset();
                run.borrow_mut().model.flushed = end.0;
                let open = OpenLog { cleaned: log.clean_up_to(), ..how(compacted(), end, Offset::ZERO, true) };
                log = Log::open(io.clone(), open).await.unwrap();
                assert_eq!(log.log_end_offset(), end);
                let model = run.borrow().model.clone();
                check(&io, &log, &model).await;
            }
        }
    }
}

/// What a history did: appends, rounds, records dropped, recoveries, truncations.
type Totals = [u64; 5];

/// A random history with six crashes.
fn history(seed: u64, planted: Option<&'static str>) -> Totals {
    let world = World::new(seed, Options { planted, ..Options::default() });
    let host = world.add_host("broker", 1);
    let run = new_run(seed + 1000);
    for _ in 0..6 {
        let inside = run.clone();
        world.start(host, move |io| work(io, inside.clone()));
        let time = run.borrow_mut().random.below(250_000);
        world.run_for(Duration::from_micros(5_000 + time));
        let how = if run.borrow_mut().random.below(2) == 0 { Crash::Kill } else { Crash::PowerLoss };
        world.crash(host, how);
        let mut run = run.borrow_mut();
        run.crashed = Some(if run.crashed == Some(Crash::PowerLoss) { Crash::PowerLoss } else { how });
    }
    let last = run.clone();
    world.run(host, move |io| async move {
        let dir = open_dir(&io).await;
        let log = start(&io, &dir, &last).await;
        log.close().await.unwrap();
    });
    check_files(&world, host);
    let run = run.borrow();
    [run.appends as u64, run.rounds, run.records_dropped, run.recoveries, run.truncations]
}

#[test]
fn a_compacted_log_is_the_models_map_over_crashes_at_any_moment() {
    let mut totals = Totals::default();
    for seed in 0..SEEDS {
        totals.iter_mut().zip(history(seed, None)).for_each(|(total, more)| *total += more);
    }
    let [appends, rounds, dropped, recoveries, truncations] = totals;
    assert!(
        appends > 2_000 && rounds > 100 && dropped > 2_000 && recoveries > 150 && truncations > 50,
        "{appends} {rounds} {dropped} {recoveries} {truncations}"
    );
}

/// Bugs of the cleaner, and who has to find them.
const BUGS: [(&str, fn(u64, &'static str)); 3] = [
    ("cleaned segment not flushed", stop_in_a_round),
    ("last batch of a producer not flushed", |seed, bug| loss_behind_a_round(seed, Some(bug))),
    ("new segment before the old one is on the device", |seed, bug| _ = history(1640 + seed, Some(bug))),
];

/// Every step of one round, with the `seed`th choice of what a power loss takes.
fn stop_in_a_round(seed: u64, bug: &'static str) {
    for how in [Crash::PowerLoss, Crash::Kill] {
        let _ = (0..2_000).find(|&step| crash_in_round(step + 2_000 * seed, STEP * step as u32, how, Some(bug)));
    }
}

#[test]
fn planted_bugs_are_found() {
    for (bug, work) in BUGS {
        let fails = |seed| std::panic::catch_unwind(|| work(seed, bug)).is_err();
        let found = (0..400).position(fails);
        println!("{bug}: found by seed {found:?}");
        assert!(found.is_some(), "{bug}");
    }
}

/// Each index entry is true, entries grow, and nothing of a swap is left.
fn check_files(world: &World, host: HostId) {
    let disk = world.disk(host);
    for path in disk.files().into_iter().filter(|path| path.starts_with(DIR)) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!name.ends_with(".cleaned") && !name.ends_with(".swap"), "{name} is left");
        if path.extension().is_none_or(|kind| kind != "log") {
            continue;
        }
        let base: i64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let log = disk.read(&path).unwrap();
        let batches: Vec<_> = Batches::new(&log).map(|batch| batch.unwrap()).collect();
        assert_eq!(batches.iter().map(|batch| batch.bytes.len()).sum::<usize>(), log.len(), "only whole batches");
        let (mut last, mut time) = (-1, -1);
        for entry in disk.read(path.with_extension("index")).unwrap_or_default().chunks(8) {
            let offset = i64::from(i32::from_be_bytes(entry[..4].try_into().unwrap())) + base;
            let position = i32::from_be_bytes(entry[4..].try_into().unwrap()) as usize;
            let batch = batches.iter().find(|batch| batch.position == position).expect("a batch begins there");
            assert!(batch.header.last_offset().0 == offset && offset > last);
            last = offset;
        }
        for entry in disk.read(path.with_extension("timeindex")).unwrap_or_default().chunks(12) {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().unwrap());
            let offset = i64::from(i32::from_be_bytes(entry[8..].try_into().unwrap())) + base;
            let batch = batches.iter().find(|batch| batch.header.last_offset().0 == offset).expect("a batch ends there");
            assert!(batch.header.max_timestamp == timestamp && batch.header.records_count > 0 && timestamp > time);
            time = timestamp;
        }
    }
}

/// A log with several segments, all on the device, and what is in it.
async fn filled(io: &Io, run: &Shared, batches: usize, keys: u64) -> Log {
    let log = Log::open(io.clone(), how(compacted(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
    for _ in 0..batches {
        append(&log, run, keys).await;
    }
    log.flush(log.log_end_offset()).await.unwrap();
    let mut state = run.borrow_mut();
    state.model.flushed = state.model.written;
    drop(state);
    log
}

/// One round, ended `after` its begin; whether it was over by then.
fn crash_in_round(seed: u64, after: Duration, how_it_ends: Crash, planted: Option<&'static str>) -> bool {
    let world = World::new(seed, Options { planted, ..Options::default() });
    let host = world.add_host("broker", 1);
    let (run, stage) = (new_run(77), Rc::new(Cell::new(0)));
    let (inside, at) = (run.clone(), stage.clone());
    world.start(host, move |io| {
        let (run, stage) = (inside.clone(), at.clone());
        async move {
            // The directories above the log are on the device.
            let dir = open_dir(&io).await;
            let log = filled(&io, &run, 60, 12).await;
            // A round that only gives the tombstones their horizon, then the one that is looked at.
            assert!(clean(&log, log.log_end_offset()).await.is_some());
            for _ in 0..40 {
                append(&log, &run, 12).await;
            }
            log.flush(log.log_end_offset()).await.unwrap();
            run.borrow_mut().model.flushed = log.log_end_offset().0;
            // So that a start takes the indexes as they are.
            checkpoint(&dir, &log).await;
            io.sleep(Duration::from_millis(20)).await;
            stage.set(1);
            assert!(clean(&log, log.log_end_offset()).await.is_some_and(|report| report.clean_up_to.is_some()));
            stage.set(2);
            io.sleep(Duration::from_secs(3600)).await;
        }
    });
    assert!(world.run_until(Duration::from_secs(30), || stage.get() == 1), "seed {seed}: no round begins");
    world.run_for(after);
    let over = stage.get() == 2;
    world.crash(host, how_it_ends);
    run.borrow_mut().crashed = Some(how_it_ends);
    let last = run.clone();
    world.run(host, move |io| async move {
        let dir = open_dir(&io).await;
        let log = start(&io, &dir, &last).await;
        assert_eq!(log.log_end_offset().0, last.borrow().model.written, "all of it was flushed");
        // The next round completes what that one did not.
        let end = log.log_end_offset();
        clean(&log, end).await.expect("something is dirty without a checkpoint");
        let model = last.borrow().model.clone();
        check(&io, &log, &model).await;
        check_producers(&log, &model);
        log.close().await.unwrap();
    });
    check_files(&world, host);
    over
}

#[test]
fn a_stop_at_every_step_of_a_round_leaves_what_was_or_what_is_to_be() {
    for how in [Crash::Kill, Crash::PowerLoss] {
        let mut steps = 0;
        while !crash_in_round(steps, STEP * steps as u32, how, None) {
            steps += 1;
            assert!(steps < 2_000, "a round ends");
        }
        assert!(steps > 60, "only {steps} steps with {how:?}");
    }
}

/// Appends that nobody flushes, a round, and a power loss: what the round took away for the sake of a batch that is lost must not be
/// missed.
fn loss_behind_a_round(seed: u64, planted: Option<&'static str>) {
    let world = World::new(seed, Options { planted, ..Options::default() });
    let host = world.add_host("broker", 1);
    let (run, cleaned) = (new_run(seed), Rc::new(Cell::new(false)));
    let (inside, at) = (run.clone(), cleaned.clone());
    world.start(host, move |io| {
        let (run, cleaned) = (inside.clone(), at.clone());
        async move {
            let _dir = open_dir(&io).await;
            let log = filled(&io, &run, 60, 12).await;
            for _ in 0..3 {
                append(&log, &run, 12).await;
            }
            assert!(clean(&log, log.log_end_offset()).await.is_some());
            cleaned.set(true);
            io.sleep(Duration::from_secs(3600)).await;
        }
    });
    assert!(world.run_until(Duration::from_secs(30), || cleaned.get()), "seed {seed}: no round ends");
    world.crash(host, Crash::PowerLoss);
    run.borrow_mut().crashed = Some(Crash::PowerLoss);
    let last = run.clone();
    world.run(host, move |io| async move {
        let dir = open_dir(&io).await;
        start(&io, &dir, &last).await.close().await.unwrap();
    });
    check_files(&world, host);
}

#[test]
fn a_power_loss_behind_a_round_leaves_what_producers_and_readers_need() {
    (0..SEEDS).for_each(|seed| loss_behind_a_round(seed, None));
}

#[test]
fn a_failed_call_in_a_round_leaves_a_log_that_goes_on_or_says_why_not() {
    let mut failed = [0, 0];
    for (op, count) in [(DiskOp::Open, 24), (DiskOp::Write, 12), (DiskOp::Sync, 12), (DiskOp::Name, 40), (DiskOp::SyncNames, 4)] {
        for after in 0..count {
            let world = World::new(after, Options::default());
            let host = world.add_host("broker", 1);
            let (run, outer) = (new_run(78), world.clone());
            let result = world.run(host, move |io| async move {
                let log = filled(&io, &run, 60, 12).await;
                let fault = DiskFault { path_contains: "t-0".into(), after: after as u32, ..DiskFault::next(op) };
                let part = log.cleanable(log.log_end_offset()).await.unwrap().expect("a dirty part");
                outer.fail_disk(host, fault);
                let cleaned = log.clean(&part, &Cleaner::new(LIMITS)).await;
                outer.repair_disk(host);
                let model = run.borrow().model.clone();
                let gave_up = log.failure().is_some();
                assert!(cleaned.is_err() || !gave_up, "a log that failed says so");
                if !gave_up {
                    check(&io, &log, &model).await;
                    append(&log, &run, 12).await;
                    let again = clean(&log, log.log_end_offset()).await;
                    assert!(again.is_some() || cleaned.is_ok());
                }
                drop(log);
                let log = Log::open(io.clone(), how(compacted(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
                let model = run.borrow().model.clone();
                check(&io, &log, &model).await;
                (cleaned.is_err(), gave_up)
            });
            failed[0] += usize::from(result.0);
            failed[1] += usize::from(result.1);
        }
    }
    assert!(failed[0] > 20 && failed[1] > 3 && failed[0] > failed[1], "{failed:?}");
}

#[test]
fn readers_miss_nothing_while_segments_are_replaced_under_them() {
    let world = World::new(5, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let run = new_run(79);
        let config = LogConfig { delete_retention_ms: 1 << 40, ..compacted() };
        let log = filled(&io, &run, 150, 40).await;
        log.set_config(config);
        let (passes, writing) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(true)));
        for budget in [1, 900, 20_000] {
            let (io2, log, run, passes, writing) = (io.clone(), log.clone(), run.clone(), passes.clone(), writing.clone());
            io.spawn(async move {
                while writing.get() {
                    let end = log.log_end_offset();
                    let before = run.borrow().model.map_below(end.0);
                    let found = read_all(&io2, &log, budget).await.unwrap();
                    let mut map = Map::new();
                    found.iter().for_each(|(offset, record)| put(&mut map, *offset, record));
                    if log.log_end_offset() == end {
                        assert_eq!(map, before, "a reader with a budget of {budget}");
                        passes.set(passes.get() + 1);
                    }
                    let time = log.offset_for_timestamp(EPOCH_MS + 300, log.log_end_offset()).await.unwrap().unwrap();
                    assert!(time.timestamp >= EPOCH_MS + 300);
                }
            });
        }
        let mut rounds = 0;
        for _ in 0..12 {
            rounds += usize::from(clean(&log, log.log_end_offset()).await.is_some());
            io.sleep(Duration::from_millis(30)).await;
            for _ in 0..40 {
                append(&log, &run, 40).await;
            }
        }
        writing.set(false);
        io.sleep(Duration::from_secs(1)).await;
        assert!(rounds > 8 && passes.get() > 20, "{rounds} rounds, {} passes", passes.get());
    });
}

#[test]
fn a_map_that_is_full_ends_the_round_early_and_the_next_one_goes_on() {
    let world = World::new(6, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let run = new_run(80);
        let log = filled(&io, &run, 900, 1 << 15).await;
        let limits = CleanerLimits { dedupe_bytes: 0, ..LIMITS };
        let mut ends = Vec::new();
        while let Some(part) = log.cleanable(log.log_end_offset()).await.unwrap() {
            let report = log.clean(&part, &Cleaner::new(limits)).await.unwrap();
            ends.push(report.clean_up_to.unwrap());
            assert_eq!(log.clean_up_to(), report.clean_up_to);
            let model = run.borrow().model.clone();
            check(&io, &log, &model).await;
        }
        assert!(ends.len() >= 3 && ends.is_sorted(), "{ends:?}");
        assert_eq!(ends.last(), log.segments().last().map(|active| &active.base_offset));
    });
}

#[test]
fn small_segments_become_one_and_old_files_go() {
    let world = World::new(7, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let run = new_run(81);
        let log = filled(&io, &run, 400, 20).await;
        let (segments, bytes) = (log.segments().len(), log.size());
        let report = clean(&log, log.log_end_offset()).await.unwrap();
        assert_eq!(report.clean_up_to, log.segments().last().map(|active| active.base_offset));
        assert!(log.size() < bytes / 2);
        assert_eq!(log.segments().len(), segments, "two full ones do not fit into one");
        for _ in 0..30 {
            append(&log, &run, 20).await;
        }
        clean(&log, log.log_end_offset()).await.unwrap();
        assert!(segments > 8 && log.segments().len() <= 6, "{segments} became {}", log.segments().len());
        assert_eq!(log.cleanable(log.log_end_offset()).await.unwrap(), None, "nothing is dirty");
        io.sleep(Duration::from_millis(100)).await;
        let files = io.read_dir(Path::new(DIR)).await.unwrap();
        let logs = files.iter().filter(|file| file.name.contains(".log")).count();
        assert_eq!(logs, log.segments().len(), "{files:?}");
        let model = run.borrow().model.clone();
        check(&io, &log, &model).await;
        // The topic is not compacted any more: its gaps are not taken for damage.
        let no_longer = LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: false }, ..compacted() };
        let (cleaned, end) = (log.clean_up_to(), log.log_end_offset());
        drop(log);
        let open = OpenLog { cleaned, ..how(no_longer, Offset::ZERO, Offset::ZERO, false) };
        let log = Log::open(io.clone(), open).await.unwrap();
        assert_eq!(log.log_end_offset(), end);
        check(&io, &log, &model).await;
    });
}

/// Transactions of two producers, committed and aborted; the index of the aborted ones is made by the recovery.
async fn with_transactions(io: &Io, model: &mut Model) -> Log {
    let open = || how(compacted(), Offset::ZERO, Offset::ZERO, false);
    let log = Log::open(io.clone(), open()).await.unwrap();
    let mut random = Random::new(99);
    let mut sequences = BTreeMap::from([(21, 0), (22, 0)]);
    for round in 0..120 {
        let producer = if random.below(2) == 0 { 21 } else { 22 };
        let commit = random.below(3) > 0;
        for _ in 0..1 + random.below(2) {
            let sequence = sequences[&producer];
            let mut builder = BatchBuilder::new(Compression::of(Codec::Lz4));
            builder = builder.producer(ProducerId(producer), 0, sequence).transactional(true);
            let base = log.log_end_offset().0;
            for delta in 0..3 {
                let record = Record { key: random.below(10) as Key, value: (random.below(4) > 0).then(|| vec![round as u8; 90]) };
                builder.append(EPOCH_MS + base + delta, Some(&record.key.to_be_bytes()), record.value.as_deref());
                if commit {
                    model.records.insert(base + delta, record);
                }
            }
            sequences.insert(producer, sequence + 3);
            log.append(to_append(&[builder.build()], log.log_end_offset(), LeaderEpoch(0))).await.unwrap();
        }
        let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
        let mut builder = BatchBuilder::new(Compression::NONE).producer(ProducerId(producer), 0, NO_SEQUENCE);
        builder = builder.transactional(true).control(true);
        builder.append(EPOCH_MS, Some(&marker.control_type().key()), Some(&marker.value()));
        log.append(to_append(&[builder.build()], log.log_end_offset(), LeaderEpoch(0))).await.unwrap();
    }
    log.flush(log.log_end_offset()).await.unwrap();
    drop(log);
    // No snapshot knows of the transactions, so they go.
    for file in io.read_dir(Path::new(DIR)).await.unwrap() {
        if file.name.ends_with(".snapshot") {
            io.remove_file(&Path::new(DIR).join(&file.name)).await.unwrap();
        }
    }
    Log::open(io.clone(), open()).await.unwrap()
}

#[test]
fn aborted_records_never_come_back_over_rounds_and_restarts() {
    let world = World::new(8, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let mut model = Model::default();
        let mut log = with_transactions(&io, &mut model).await;
        check(&io, &log, &model).await;
        let aborted = log.aborted_transactions(Offset::ZERO, log.log_end_offset()).await.unwrap().len();
        let before = log.size();
        for round in 0..4 {
            let limit = log.log_end_offset();
            // Everything is dirty again without the checkpoint.
            let cleaned = clean(&log, limit).await.expect("a dirty part");
            assert!(cleaned.clean_up_to.is_some());
            check(&io, &log, &model).await;
            let end = log.log_end_offset();
            let producers: Vec<_> = log.producers().borrow().iter().map(|(id, entry)| (id, entry.last_sequence())).collect();
            drop(log);
            io.sleep(Duration::from_millis(20)).await;
            log = Log::open(io.clone(), how(compacted(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
            assert_eq!(log.log_end_offset(), end, "round {round}");
            let again: Vec<_> = log.producers().borrow().iter().map(|(id, entry)| (id, entry.last_sequence())).collect();
            assert_eq!((again, log.producers().borrow().first_undecided_offset()), (producers, None), "round {round}");
            check(&io, &log, &model).await;
        }
        assert!(aborted > 20 && log.size() < before / 4, "{before} bytes became {}", log.size());
        let left = log.aborted_transactions(Offset::ZERO, log.log_end_offset()).await.unwrap().len();
        assert!(left < aborted / 2, "{left} of {aborted} entries are left");
    });
}
