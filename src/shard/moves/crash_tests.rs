//! Moves in the simulated world: a stop at any moment, a device that fails at any call. What was acked is there, once, in one log.

use crate::config::BrokerConfig;
use crate::io::Io;
use crate::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::model::{ErrorCode, PartitionIndex};
use crate::shard::tests::{config, id, produce, read, topic_id, values, with_topic};
use crate::shard::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Two of them fill half of the smallest segment.
const LARGE: usize = 250 << 10;
/// Virtual time within which a start has ended, and a move.
const LIMIT: Duration = Duration::from_secs(60);

/// What clients know.
#[derive(Default)]
struct Known {
    acked: BTreeMap<i64, String>,
    written: u64,
    /// Log dir where the partition was.
    source: usize,
    /// The move was asked for, and it was answered that it goes on.
    is_asked: bool,
    is_accepted: bool,
    /// The second life has seen everything.
    is_checked: bool,
}

type Shared = Rc<RefCell<Known>>;

/// The metadata are in a log dir of their own, so that the broker outlives the failure of another one.
fn settings() -> Arc<BrokerConfig> {
    config(Path::new("/data/a,/data/b"), &[("metadata.log.dir", "/data/m")])
}

/// Writes one record; whether it was acked.
async fn write(shards: &Shards, known: &Shared, size: usize) -> bool {
    let value = {
        let mut known = known.borrow_mut();
        known.written += 1;
        format!("{}{}", known.written, "x".repeat(size))
    };
    let result = produce(shards, 0, &[&value], None, -1).await;
    if result.error == ErrorCode::None {
        let before = known.borrow_mut().acked.insert(result.base_offset.0, value);
        assert_eq!(before, None, "an offset is given once");
    }
    result.error == ErrorCode::None
}

/// Everything that was acked is there, at its offset.
async fn check(shards: &Shards, known: &Shared) {
    let acked = known.borrow().acked.clone();
    let mut found = BTreeMap::new();
    let mut next = 0;
    loop {
        let result = shards.fetch(read(topic_id(shards), &[(0, next)], 1 << 20)).await.remove(0);
        assert_eq!(result.error, ErrorCode::None);
        let part = values(shards.io(), &result).await;
        let Some((last, _)) = part.last() else { break };
        next = last + 1;
        found.extend(part);
    }
    for (offset, value) in &acked {
        assert!(found.get(offset) == Some(value), "what was acked at {offset} of {} is not there", acked.len());
    }
}

/// The first life: a topic, and a move while a producer goes on.
async fn begin(shards: Shards, known: Shared, is_flushed: bool) {
    let flush: &[(&str, &str)] = if is_flushed { &[("flush.messages", "1")] } else { &[] };
    with_topic(&shards, 1, &[&[("segment.bytes", "1048576")], flush].concat()).await;
    for _ in 0..5 {
        assert!(write(&shards, &known, LARGE).await);
    }
    known.borrow_mut().source = place(&shards).await;
    let (writer, of_writer) = (shards.clone(), known.clone());
    shards.io().spawn(async move {
        while write(&writer, &of_writer, 100).await {
            writer.io().sleep(Duration::from_micros(300)).await;
        }
    });
    known.borrow_mut().is_asked = true;
    let target = 1 - known.borrow().source;
    let error = shards.alter_log_dirs(vec![(id(&shards, 0), target)]).await.remove(0);
    known.borrow_mut().is_accepted = error == ErrorCode::None;
}

async fn place(shards: &Shards) -> usize {
    shards.log_sizes().await.iter().find(|size| !size.is_future).expect("it is there").log_dir
}

/// The second life: all is there, the move comes to its end, all is there still, and the metadata know it.
async fn go_on(shards: Shards, known: Shared) {
    let io = shards.io().clone();
    check(&shards, &known).await;
    let (source, is_accepted) = (known.borrow().source, known.borrow().is_accepted);
    io.sleep(Duration::from_millis(1)).await;
    while shards.log_sizes().await.len() > 1 || (is_accepted && place(&shards).await == source) {
        io.sleep(Duration::from_millis(1)).await;
    }
    assert!(write(&shards, &known, 100).await);
    check(&shards, &known).await;
    let now_at = place(&shards).await;
    let expected = shards.core().dir_ids.borrow()[now_at];
    let named = || shards.image().partition(topic_id(&shards), PartitionIndex(0)).unwrap().directories[0];
    while is_accepted && Some(named()) != expected {
        io.sleep(Duration::from_millis(1)).await;
    }
    known.borrow_mut().is_checked = true;
}

fn start(world: &World, host: HostId, known: &Shared, life: fn(Shards, Shared) -> std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    let (seats, config, known) = (Seats::new(1), settings(), known.clone());
    world.start(host, move |io: Io| {
        let (seats, config, known) = (seats.clone(), config.clone(), known.clone());
        async move {
            let shards = Shards::open(io.clone(), seats, config, &[]).await.expect("the broker starts");
            life(shards, known).await;
            io.sleep(Duration::from_secs(3600)).await;
        }
    });
}

/// What a log dir has of the partition.
fn kinds(world: &World, host: HostId, dir: usize) -> BTreeSet<&'static str> {
    let prefix = ["/data/a/events-0", "/data/b/events-0"][dir];
    let kind = |path: &Path| {
        let rest = path.to_str()?.strip_prefix(prefix)?;
        let name = rest.split('/').next()?;
        let kinds = [("-future", "future"), ("-delete", "delete"), ("-stray", "stray")];
        Some(kinds.iter().find(|(suffix, _)| name.ends_with(suffix)).map_or("log", |(_, kind)| *kind))
    };
    world.disk(host).files().iter().filter_map(|path| kind(path)).collect()
}

/// Restarts the broker and lets it look; then there is one log.
fn restart_and_check(world: &World, host: HostId, known: &Shared, what: &str) {
    start(world, host, known, |shards, known| Box::pin(go_on(shards, known)));
    assert!(world.run_until(LIMIT, || known.borrow().is_checked), "{what}: the second life does not come to its end");
    let logs = [0, 1].map(|dir| kinds(world, host, dir).contains("log"));
    assert!(logs[0] != logs[1], "{what}: {logs:?}");
}

#[test]
fn a_stop_at_any_moment_of_a_move_leaves_one_log_with_all_that_was_acked() {
    let mut met = BTreeMap::<(BTreeSet<&str>, BTreeSet<&str>), usize>::new();
    for (how, is_flushed) in [(Crash::Kill, false), (Crash::PowerLoss, true)] {
        for step in 0..120 {
            let what = format!("{how:?} at step {step}");
            let world = World::new(step % 7, Options::default());
            let (host, known) = (world.add_host("broker", 1), Shared::default());
            if is_flushed {
                start(&world, host, &known, |shards, known| Box::pin(begin(shards, known, true)));
            } else {
                start(&world, host, &known, |shards, known| Box::pin(begin(shards, known, false)));
            }
            assert!(world.run_until(LIMIT, || known.borrow().is_asked), "{what}: the first life does not begin");
            world.run_for(Duration::from_micros(step * 600));
            world.crash(host, how);
            let source = known.borrow().source;
            let seen = (kinds(&world, host, source), kinds(&world, host, 1 - source));
            *met.entry(seen).or_default() += 1;
            restart_and_check(&world, host, &known, &what);
        }
    }
    let was_met = |old: &[&'static str], new: &[&'static str]| {
        let key: (BTreeSet<&str>, BTreeSet<&str>) = (old.iter().copied().collect(), new.iter().copied().collect());
        assert!(met.contains_key(&key), "{key:?} was not met: {met:?}");
    };
    was_met(&["log"], &[]);
    was_met(&["log"], &["future"]);
    was_met(&["log"], &["log"]);
    was_met(&["delete"], &["log"]);
}

/// The next calls of a kind in one of the log dirs fail; then the broker is killed, and the device is good again.
#[test]
fn a_device_that_fails_at_any_call_of_a_move_takes_nothing_that_was_acked() {
    let mut ends = BTreeMap::<(&str, bool), usize>::new();
    for op in [DiskOp::Open, DiskOp::Write, DiskOp::Sync, DiskOp::Name, DiskOp::SyncNames] {
        for of_target in [true, false] {
            for after in 0..24 {
                let what = format!("{op:?} after {after}, target {of_target}");
                let world = World::new(u64::from(after) % 5, Options::default());
                let (host, known) = (world.add_host("broker", 1), Shared::default());
                // What a failed sync leaves unflushed may be lost whoever moves.
                match op {
                    DiskOp::Sync => start(&world, host, &known, |shards, known| Box::pin(begin(shards, known, true))),
                    _ => start(&world, host, &known, |shards, known| Box::pin(begin(shards, known, false))),
                }
                assert!(world.run_until(LIMIT, || known.borrow().is_asked), "{what}: the first life does not begin");
                let source = known.borrow().source;
                // Once, or for as long as the broker lives.
                let times = if after % 2 == 0 { 1 } else { u32::MAX };
                let failing = if of_target { 1 - source } else { source };
                let path_contains = ["/data/a", "/data/b"][failing].to_owned();
                world.fail_disk(host, DiskFault { path_contains, after, times, ..DiskFault::next(op) });
                world.run_for(Duration::from_millis(400));
                let end = if kinds(&world, host, 1 - source).contains("log") { "moved" } else { "not moved" };
                *ends.entry((end, of_target)).or_default() += 1;
                world.crash(host, Crash::Kill);
                world.repair_disk(host);
                restart_and_check(&world, host, &known, &what);
            }
        }
    }
    for of_target in [true, false] {
        assert!(ends.contains_key(&("not moved", of_target)) && ends.contains_key(&("moved", of_target)), "{ends:?}");
    }
}

/// One of two log dirs is gone, and the other one has what the partition was before it moved: that is not opened in its place.
#[test]
fn what_is_left_in_the_old_log_dir_does_not_stand_in_for_the_log_in_a_missing_one() {
    for seed in 0..3 {
        let world = World::new(seed, Options::default());
        let (host, known) = (world.add_host("broker", 1), Shared::default());
        start(&world, host, &known, |shards, known| Box::pin(begin(shards, known, false)));
        assert!(world.run_until(LIMIT, || known.borrow().is_asked));
        let source = known.borrow().source;
        let dirs = ["/data/a", "/data/b"];
        // The old directory cannot be renamed, and keeps the partition's name.
        let path_contains = format!("{}/events-0", dirs[source]);
        world.fail_disk(host, DiskFault { path_contains, times: u32::MAX, ..DiskFault::next(DiskOp::Name) });
        world.run_for(Duration::from_secs(1));
        assert!([0, 1].iter().all(|&dir| kinds(&world, host, dir).contains("log")), "seed {seed}");
        assert!(known.borrow().acked.len() > 100, "seed {seed}: the producer goes on");
        world.crash(host, Crash::Kill);
        world.repair_disk(host);
        // Now the new one cannot be read.
        let path_contains = format!("{}/meta.properties", dirs[1 - source]);
        world.fail_disk(host, DiskFault { path_contains, times: u32::MAX, ..DiskFault::next(DiskOp::Open) });
        let config = settings();
        world.run(host, move |io| async move {
            let shards = Shards::open(io.clone(), Seats::new(1), config, &[]).await.expect("the broker starts");
            let result = shards.fetch(read(topic_id(&shards), &[(0, 0)], 1 << 20)).await.remove(0);
            assert_eq!(result.error, ErrorCode::KafkaStorageError, "seed {seed}");
        });
        world.crash(host, Crash::Kill);
        world.repair_disk(host);
        restart_and_check(&world, host, &known, &format!("seed {seed}"));
    }
}
