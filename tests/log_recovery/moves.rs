//! A log moves to another log dir while it is written, read, shortened at its head and cut at its end: it is the same log there, for
//! whoever has it open and for a start, clean or not.

use super::crash::check_files;
use super::support::{Model, Random, batch, check, enter_producers, how, open_dir, small, to_append};
use bytes::Bytes;
use flumen::io::Io;
use flumen::io::sim::{Options, World};
use flumen::log::{CopyError, FutureLog, Log, LogConfig, OpenLog};
use flumen::model::{LeaderEpoch, Offset, ProducerId};
use flumen::record::Codec;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const OTHER: &str = "/other";

fn config() -> LogConfig {
    LogConfig { retention_bytes: 30_000, ..small() }
}

/// How often something happened while the log was on its way.
#[derive(Default)]
struct Counts {
    cuts: u64,
    deleted: usize,
    rolls: u64,
}

struct Run {
    io: Io,
    log: Log,
    model: Model,
    random: Random,
    epoch: i32,
    appends: i64,
}

impl Run {
    async fn append(&mut self) -> bool {
        self.epoch += i32::from(self.random.below(20) == 0);
        let mut sequence = self.model.next_sequence();
        let mut batches = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let records = 1 + self.random.below(5) as i64;
            let codec = [Codec::None, Codec::Lz4][self.random.below(2) as usize];
            let idempotent = self.random.below(3) > 0;
            let (time, size) = (super::support::EPOCH_MS + self.appends * 10, self.random.below(200) as usize);
            batches.push(batch(codec, records, time, size, idempotent.then_some(sequence)));
            sequence += if idempotent { records as i32 } else { 0 };
            self.appends += 1;
        }
        let batches = to_append(&batches, self.log.log_end_offset(), LeaderEpoch(self.epoch));
        enter_producers(&self.log, &batches);
        self.model.begin(&batches);
        let appended = self.log.append(batches).await.unwrap();
        self.model.written = appended.log_end_offset.0;
        appended.rolled
    }

    async fn cut(&mut self) {
        let span = (self.log.log_end_offset().0 - self.log.log_start_offset().0) as u64;
        let target = self.log.log_end_offset().plus(-(self.random.below(span.clamp(1, 60)) as i64));
        let end = self.log.truncate_to(target).await.unwrap().0;
        self.model.batches.retain(|&base, _| base < end);
        self.model.sequences.retain(|&at, _| at <= end);
        self.model.written = end;
    }

    async fn work(&mut self, counts: &mut Counts) {
        match self.random.below(100) {
            0..75 => counts.rolls += u64::from(self.append().await),
            75..80 => self.log.flush(self.log.log_end_offset()).await.unwrap(),
            80..84 => counts.deleted += self.log.apply_retention(self.log.log_end_offset()).await.unwrap(),
            84..86 => {
                self.cut().await;
                counts.cuts += 1;
            }
            86..88 => self.log.rest().await.unwrap(),
            88..92 => drop(check(&self.io, &self.log, &self.model).await.unwrap()),
            _ => self.io.sleep(Duration::from_micros(300)).await,
        }
    }

    async fn check(&self) {
        check(&self.io, &self.log, &self.model).await.unwrap();
        assert_eq!(self.log.log_end_offset().0, self.model.written);
        let remembered = self.log.producers().borrow().get(ProducerId(4)).map_or(0, |entry| entry.last_sequence() + 1);
        assert_eq!(remembered, self.model.next_sequence(), "the producer's next sequence");
    }
}

/// Copies, follows and takes the place, as a broker does.
async fn carry_over(io: &Io, log: &Log) {
    let future = FutureLog::begin(log, Path::new(OTHER)).await.unwrap();
    for attempt in 0.. {
        while future.advance(log).await.unwrap().is_some() {
            io.sleep(Duration::from_micros(200)).await;
        }
        future.settle(log).await.unwrap();
        let pause = log.pause().await.unwrap();
        if !future.is_near(log) && attempt < 3 {
            continue;
        }
        future.complete(log, &pause).await.unwrap();
        assert_eq!((future.end_offset(), future.size()), (log.log_end_offset(), log.size()));
        let left = future.take_place(log, &pause).await.unwrap();
        assert_eq!(*log.dir(), Path::new(OTHER).join("t-0"));
        let left = future.put_aside(&left).await.unwrap();
        io.remove_dir_all(&left).await.unwrap();
        return;
    }
}

/// As a start opens it there.
async fn reopen(run: &mut Run, is_clean: bool) {
    let (recovery_point, log_start) = (run.log.recovery_point(), run.log.log_start_offset());
    if is_clean {
        run.log.close().await.unwrap();
    }
    let dir = Path::new(OTHER).join("t-0");
    let again = OpenLog { dir, ..how(config(), recovery_point, log_start, is_clean) };
    run.log = Log::open(run.io.clone(), again).await.unwrap();
    assert_eq!(run.log.log_start_offset(), log_start);
    run.check().await;
}

fn one_seed(seed: u64) -> Counts {
    let world = World::new(seed, Options::default());
    let host = world.add_host("broker", 1);
    let counts = world.run(host, move |io| async move {
        let _dir = open_dir(&io).await;
        io.create_dir_all(Path::new(OTHER)).await.unwrap();
        let log = Log::open(io.clone(), how(config(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        let (model, random) = (Model::default(), Random::new(seed + 1));
        let mut run = Run { io: io.clone(), log: log.clone(), model, random, epoch: 0, appends: 0 };
        for _ in 0..100 {
            run.append().await;
        }
        let has_moved = Rc::new(Cell::new(false));
        let (mover, done) = (io.clone(), has_moved.clone());
        io.spawn(async move {
            carry_over(&mover, &log).await;
            done.set(true);
        });
        let mut counts = Counts::default();
        while !has_moved.get() {
            run.work(&mut counts).await;
        }
        run.check().await;
        for _ in 0..100 {
            run.work(&mut Counts::default()).await;
        }
        run.check().await;
        reopen(&mut run, seed % 2 == 0).await;
        for _ in 0..20 {
            run.append().await;
        }
        reopen(&mut run, true).await;
        counts
    });
    check_files(&world, host);
    counts
}

#[test]
fn a_log_is_the_same_where_it_has_moved_to_whatever_happens_to_it_meanwhile() {
    let mut all = Counts::default();
    for seed in 0..60 {
        let counts = one_seed(seed);
        all.cuts += counts.cuts;
        all.deleted += counts.deleted;
        all.rolls += counts.rolls;
    }
    assert!(all.cuts > 10 && all.deleted > 10 && all.rolls > 100, "{} {} {}", all.cuts, all.deleted, all.rolls);
}

#[test]
fn damage_is_not_copied_and_the_log_stays_where_it_is() {
    let world = World::new(3, Options::default());
    let host = world.add_host("broker", 1);
    let outside = world.clone();
    world.run(host, move |io| async move {
        let _dir = open_dir(&io).await;
        io.create_dir_all(Path::new(OTHER)).await.unwrap();
        let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        for number in 0..60 {
            let batches: [Bytes; 1] = [batch(Codec::None, 3, super::support::EPOCH_MS + number, 100, None)];
            log.append(to_append(&batches, log.log_end_offset(), LeaderEpoch(0))).await.unwrap();
        }
        let second = log.segments()[1].base_offset;
        let path = Path::new(super::support::DIR).join(format!("{:020}.log", second.0));
        assert!(outside.disk(host).edit(&path, |bytes| bytes[200] ^= 1));
        let future = FutureLog::begin(&log, Path::new(OTHER)).await.unwrap();
        let failed = loop {
            match future.advance(&log).await {
                Ok(copied) => assert!(copied.is_some(), "the damage was copied"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&failed, CopyError::Source(error) if error.to_string().contains("CRC")), "{failed:?}");
        assert_eq!(future.end_offset(), second);
        let gone = future.discard().await.unwrap();
        io.remove_dir_all(&gone).await.unwrap();
        assert!(log.failure().is_none() && io.read_dir(Path::new(OTHER)).await.unwrap().is_empty());
    });
}
