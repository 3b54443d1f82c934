//! Crashes at random moments under load, in the simulated world: what was acked is there, once, at its offset.

use super::settings_tests::{Stage, commit, done, with_offsets_topic};
use super::tests::{batch, config, produce, read, soon, topic_id, values, with_topic};
use super::*;
use crate::config::BrokerConfig;
use crate::io::Io;
use crate::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::log::{CheckpointKind, LogDir};
use crate::model::{ErrorCode, Offset, PartitionIndex};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const CORES: usize = 2;
const PARTITIONS: i32 = 3;

/// What the clients of all lives of the broker know.
#[derive(Default)]
struct History {
    /// Value that was acked at (partition, offset).
    acked: BTreeMap<(i32, i64), String>,
    /// Value that was ever read at (partition, offset).
    seen: BTreeMap<(i32, i64), String>,
    /// For each idempotent producer, one a partition: its next sequence and the value that it does not know the fate of.
    pending: BTreeMap<i32, (i32, Option<String>)>,
    written: u64,
}

type Shared = Rc<RefCell<History>>;

/// Every core produces to every partition; core 0's producers are idempotent and repeat what was not answered.
async fn load(shards: Shards, history: Shared, acks: i16) {
    let io = shards.io().clone();
    if io.core() == 0 && shards.image().topic_count() == 0 {
        let configs: &[(&str, &str)] = if acks == -1 { &[("flush.messages", "1")] } else { &[] };
        with_topic(&shards, PARTITIONS, configs).await;
    }
    while shards.image().topic_count() == 0 {
        io.sleep(Duration::from_millis(1)).await;
    }
    for partition in 0..PARTITIONS {
        let (shards, history) = (shards.clone(), history.clone());
        io.spawn(async move {
            loop {
                let idempotent = shards.io().core() == 0;
                let (value, producer) = next_value(&history, partition, idempotent);
                let slice = ProduceSlice {
                    topic_id: topic_id(&shards),
                    partition: PartitionIndex(partition),
                    batch: batch(shards.io(), &[&value], producer),
                };
                let result = shards.produce(vec![slice], acks, soon(shards.io())).await.remove(0);
                assert_eq!(result.error, ErrorCode::None, "{result:?}");
                let mut history = history.borrow_mut();
                let before = history.acked.insert((partition, result.base_offset.0), value.clone());
                assert!(before.is_none_or(|before| before == value), "one offset was acked for two values");
                if idempotent {
                    let (sequence, _) = history.pending[&partition];
                    history.pending.insert(partition, (sequence + 1, None));
                }
                drop(history);
                let pause = u64::from(shards.io().random::<1>()[0]);
                shards.io().sleep(Duration::from_micros(pause)).await;
            }
        });
    }
}

fn next_value(history: &Shared, partition: i32, idempotent: bool) -> (String, Option<(i64, i16, i32)>) {
    let mut history = history.borrow_mut();
    history.written += 1;
    let value = format!("v{}", history.written);
    if !idempotent {
        return (value, None);
    }
    let (sequence, pending) = history.pending.entry(partition).or_default();
    let value = pending.get_or_insert(value).clone();
    (value, Some((100 + i64::from(partition), 0, *sequence)))
}

/// Reads all partitions from the start and holds them against the history.
async fn check(shards: &Shards, history: &Shared) {
    for partition in 0..PARTITIONS {
        // The other core writes on meanwhile: what it gets acked from here on may come too late for these reads.
        let acked: Vec<_> = {
            let history = history.borrow();
            let acked = history.acked.range((partition, 0)..(partition + 1, 0));
            acked.map(|((_, offset), value)| (*offset, value.clone())).collect()
        };
        let mut found = BTreeMap::new();
        let mut next = 0;
        loop {
            let result = shards.fetch(read(topic_id(shards), &[(partition, next)], 4096)).await.remove(0);
            assert_eq!(result.error, ErrorCode::None);
            assert!(result.high_watermark >= Offset(next));
            let part = values(shards.io(), &result).await;
            let Some((last, _)) = part.last() else { break };
            next = last + 1;
            found.extend(part);
        }
        let mut history = history.borrow_mut();
        for (offset, value) in &acked {
            assert_eq!(found.get(offset), Some(value), "acked at {partition}/{offset}");
        }
        let mut once = BTreeMap::new();
        for (offset, value) in found {
            assert!(once.insert(value.clone(), offset).is_none(), "{value} is in partition {partition} twice");
            let before = history.seen.insert((partition, offset), value.clone());
            assert!(before.is_none_or(|before| before == value), "offset {partition}/{offset} has two values");
        }
    }
}

fn life(world: &World, host: HostId, config: &Arc<BrokerConfig>, history: &Shared, acks: i16) -> Rc<RefCell<bool>> {
    let seats = Seats::new(CORES);
    let checked = Rc::new(RefCell::new(false));
    let (config, history, done) = (config.clone(), history.clone(), checked.clone());
    world.start(host, move |io: Io| {
        let (seats, config, history, done) = (seats.clone(), config.clone(), history.clone(), done.clone());
        async move {
            let shards = Shards::open(io.clone(), seats, config, &[]).await.expect("the broker starts");
            if io.core() == 0 {
                if shards.image().topic_count() > 0 {
                    check(&shards, &history).await;
                }
                *done.borrow_mut() = true;
            }
            load(shards, history, acks).await;
            io.sleep(Duration::from_secs(3600)).await;
        }
    });
    checked
}

/// Lives of a broker that end by `how`, and a check of everything at the start of each. Returns the trace and what was acked.
fn crashes(seed: u64, how: Crash, acks: i16) -> (u64, usize) {
    let world = World::new(seed, Options::default());
    let host = world.add_host("broker", CORES);
    let config = config(Path::new("/data"), &[("replica.high.watermark.checkpoint.interval.ms", "20")]);
    let history = Shared::default();
    for round in 0..6 {
        let checked = life(&world, host, &config, &history, acks);
        assert!(world.run_until(Duration::from_secs(60), || *checked.borrow()), "seed {seed}: round {round} does not start");
        world.run_for(Duration::from_micros(20_000 + (seed * 7919 + round * 104_729) % 50_000));
        world.crash(host, how);
    }
    let acked = history.borrow().acked.len();
    (world.trace(), acked)
}

#[test]
fn a_killed_broker_keeps_every_acked_record_once() {
    let mut acked = 0;
    for seed in 0..2 {
        acked += crashes(seed, Crash::Kill, 1).1;
    }
    assert!(acked > 500, "only {acked} records were acked");
}

#[test]
fn with_a_flush_for_every_message_a_power_loss_takes_nothing_that_was_acked() {
    let mut acked = 0;
    for seed in 10..12 {
        acked += crashes(seed, Crash::PowerLoss, -1).1;
    }
    assert!(acked > 150, "only {acked} records were acked");
}

#[test]
fn a_seed_replays_exactly() {
    assert_eq!(crashes(3, Crash::Kill, 1), crashes(3, Crash::Kill, 1));
}

/// The recovery point that is on the device after unflushed records and a power loss, whatever of it was written.
fn recovery_point_of_unflushed(seed: u64, planted: Option<&'static str>) -> Offset {
    let world = World::new(seed, Options { planted, ..Options::default() });
    let host = world.add_host("broker", 1);
    let config = config(Path::new("/data"), &[("log.flush.offset.checkpoint.interval.ms", "20")]);
    world.run(host, move |io| async move {
        let shards = Shards::open(io.clone(), Seats::new(1), config, &[]).await.unwrap();
        with_topic(&shards, 1, &[]).await;
        for _ in 0..20 {
            produce(&shards, 0, &["a", "b"], None, 1).await;
        }
        io.sleep(Duration::from_millis(100)).await;
    });
    world.crash(host, Crash::PowerLoss);
    world.run(host, |io| async move {
        let dir = LogDir::open(io, Path::new("/data"), 1, None).await.unwrap();
        let points = dir.read_checkpoint(CheckpointKind::RecoveryPoint).await.unwrap();
        points.iter().find(|(partition, _)| &*partition.topic == "events").map_or(Offset::ZERO, |(_, &point)| point)
    })
}

#[test]
fn a_recovery_point_never_lies_behind_what_is_flushed() {
    assert_eq!(recovery_point_of_unflushed(1, None), Offset::ZERO, "nobody flushes");
    let bug = Some("recovery point ahead of the flush");
    assert_eq!(recovery_point_of_unflushed(1, bug), Offset(40), "a planted bug that was not found");
}

/// Whether a group is told that its offsets are committed though they cannot be written.
fn is_told_of_lost_commit(planted: Option<&'static str>) -> bool {
    let stage = Stage::with(Options { planted, ..Options::default() });
    let before = stage.run(&[], async |shards: Shards| {
        with_offsets_topic(&shards, &[]).await;
        commit(&shards).await
    });
    assert_eq!(before, done());
    let path_contains = "__consumer_offsets-0/00000000000000000000.log".to_owned();
    stage.world.fail_disk(stage.host, DiskFault { path_contains, ..DiskFault::next(DiskOp::Write) });
    stage.run(&[], async |shards: Shards| commit(&shards).await) == done()
}

#[test]
fn a_group_is_told_what_is_written() {
    assert!(!is_told_of_lost_commit(None));
    assert!(is_told_of_lost_commit(Some("groups told before they are written")), "a planted bug that was not found");
}

/// The first writes of a start go to the metadata log. If their sync fails, the next start must not believe the marker of the clean
/// stop before: it would take for written what only the page cache has.
#[test]
fn a_start_whose_sync_failed_does_not_pass_for_a_clean_stop() {
    for seed in 0..20 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        let config = config(Path::new("/data"), &[]);
        let start = |outcome: fn(Shards) -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            let config = config.clone();
            world.run(host, move |io| async move {
                let opened = Shards::open(io, Seats::new(1), config, &[]).await;
                let is_open = opened.is_ok();
                if let Ok(shards) = opened {
                    outcome(shards).await;
                }
                is_open
            })
        };
        assert!(start(|shards| Box::pin(async move { shards.stop().await })));
        let (path_contains, after) = ("__cluster_metadata-0/0".to_owned(), (seed % 2) as u32);
        world.fail_disk(host, DiskFault { path_contains, after, ..DiskFault::next(DiskOp::Sync) });
        assert!(!start(|_| Box::pin(async {})), "seed {seed}: no sync failed");
        world.crash(host, Crash::Kill);
        world.repair_disk(host);
        let made = start(|shards| Box::pin(async move { _ = with_topic(&shards, 1, &[]).await }));
        assert!(made, "seed {seed}: no start after a failed sync");
        world.crash(host, Crash::PowerLoss);
        let there =
            start(|shards| Box::pin(async move { assert_eq!(shards.image().topic_count(), 1, "a topic that was acked") }));
        assert!(there, "seed {seed}: no start after the power loss");
    }
}

/// A log that cannot be opened is not there until somebody has repaired it. An empty one elsewhere would take its place, and the next
/// start would find two.
#[test]
fn a_log_that_cannot_be_opened_is_not_made_anew_elsewhere() {
    let world = World::new(3, Options::default());
    let host = world.add_host("broker", 1);
    let config = config(Path::new("/data/a,/data/b"), &[]);
    let life = |damage: Option<&'static str>, topics: usize, partitions: usize| {
        let config = config.clone();
        world.run(host, move |io| async move {
            let file = Path::new("/data/a/log-start-offset-checkpoint");
            if let Some(damage) = damage {
                io.replace_file(file, damage.into()).await.unwrap();
            }
            let shards = Shards::open(io.clone(), Seats::new(1), config, &[]).await.expect("the broker starts");
            assert_eq!(shards.image().topic_count(), topics);
            if topics == 0 {
                with_topic(&shards, 1, &[]).await;
                produce(&shards, 0, &["a", "b"], None, 1).await;
            }
            assert_eq!(shards.core().all_partitions().len(), partitions, "with {damage:?}");
            assert!(!io.exists(Path::new("/data/b/events-0")).await.unwrap(), "with {damage:?}");
            let result = shards.fetch(read(topic_id(&shards), &[(0, 0)], 4096)).await.remove(0);
            assert_eq!(values(&io, &result).await.len(), partitions * 2, "with {damage:?}");
        });
        world.crash(host, Crash::Kill);
    };
    life(None, 0, 1);
    // More was deleted than there is: nothing that this broker does, so it is left to an operator.
    life(Some("0\n1\nevents 0 100\n"), 1, 0);
    life(Some("0\n0\n"), 1, 1);
}

/// The segment that was full is synced in the background. Nobody need ask for anything for that to end the service of a device that failed.
#[test]
fn a_failed_sync_in_the_background_takes_the_log_dir_offline() {
    for seed in 0..5 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        world.fail_disk(host, DiskFault { path_contains: "events-0/0".into(), ..DiskFault::next(DiskOp::Sync) });
        world.run(host, |io| async move {
            let dirs = config(Path::new("/data/a,/data/b"), &[]);
            let shards = Shards::open(io.clone(), Seats::new(1), dirs, &[]).await.expect("the broker starts");
            with_topic(&shards, 1, &[("segment.bytes", "1048576")]).await;
            let value = "x".repeat(600 << 10);
            for _ in 0..2 {
                assert_eq!(produce(&shards, 0, &[&value], None, 1).await.error, ErrorCode::None);
            }
            io.sleep(Duration::from_secs(1)).await;
            let dir = shards.core().all_partitions()[0].dir();
            assert!(shards.core().is_offline(dir), "seed {seed}");
        });
    }
}
