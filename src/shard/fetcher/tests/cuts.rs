//! Logs that are cut, and crashes meanwhile.

use super::*;
use crate::io::sim::Crash;
use crate::log::{CheckpointKind, Log, LogConfig, LogDir, OpenLog};
use crate::model::TopicPartition;

/// Opens the log of a broker that is not there any more as its next start would. Log start and log end.
async fn open_after_crash(io: Io) -> Result<(i64, i64), String> {
    let dir = LogDir::open(io.clone(), Path::new("/data"), 1, None).await.map_err(|error| error.to_string())?;
    let partition = TopicPartition::new("events", PartitionIndex(0));
    let mut found = Vec::new();
    for kind in [CheckpointKind::RecoveryPoint, CheckpointKind::LogStart] {
        let checkpoint = dir.read_checkpoint(kind).await.map_err(|error| error.to_string())?;
        found.push(checkpoint.get(&partition).copied().unwrap_or(Offset::ZERO));
    }
    let how = OpenLog {
        dir: Path::new("/data/events-0").to_owned(),
        partition,
        topic_id: TOPIC,
        config: LogConfig::default(),
        recovery_point: found[0],
        log_start_offset: found[1],
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown: false,
        progress: None,
    };
    let log = Log::open(io, how).await.map_err(|error| error.to_string())?;
    Ok((log.log_start_offset().0, log.log_end_offset().0))
}

/// An old leader that has deleted records is about to cut them and more: the new one, which was elected uncleanly, has yet to write them.
fn about_to_cut_below_its_start() -> Pair {
    let pair = Pair::new(70, "1");
    pair.partition();
    pair.tell_both(State { isr: &[1], ..FIRST });
    for value in ["a", "b", "c", "d"] {
        assert_eq!(pair.produce(1, value, -1).error, ErrorCode::None);
    }
    let deleted = pair.run(1, |shards| async move { shards.delete_records(vec![(PARTITION, Offset(3))]).await });
    assert_eq!(deleted[0].error, ErrorCode::None);
    pair.tell_both(SECOND);
    assert_eq!(pair.produce(2, "x", -1).base_offset, Offset(0));
    pair.heal();
    assert!(pair.world.run_until(Duration::from_secs(20), || is_cutting(&pair)));
    pair
}

fn is_cutting(pair: &Pair) -> bool {
    pair.shards(1).core().partition(PARTITION).unwrap().state().following.cuts_to().is_some()
}

#[test]
fn whenever_a_log_crashes_that_is_cut_below_its_start_the_next_start_opens_it() {
    let pair = about_to_cut_below_its_start();
    let begun = pair.world.now();
    assert!(pair.world.run_until(Duration::from_secs(20), || !is_cutting(&pair)));
    let takes = pair.world.now().since(begun);
    let mut ends = BTreeMap::new();
    for step in 0..60 {
        let pair = about_to_cut_below_its_start();
        pair.world.run_for(takes * step / 50);
        pair.world.crash(pair.hosts[0], if step % 2 == 0 { Crash::Kill } else { Crash::PowerLoss });
        let opened = Rc::new(RefCell::new(None));
        let slot = opened.clone();
        pair.world.start(pair.hosts[0], move |io| {
            let slot = slot.clone();
            async move {
                let outcome = open_after_crash(io).await;
                *slot.borrow_mut() = Some(outcome);
            }
        });
        assert!(pair.world.run_until(Duration::from_secs(20), || opened.borrow().is_some()));
        let (start, end) = opened.take().unwrap().unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert!(start <= end, "step {step}: {start}..{end}");
        *ends.entry(end).or_insert(0) += 1;
    }
    assert!(ends[&4] > 1 && ends[&0] > 1, "crashes before and after the cut: {ends:?}");
}

#[test]
fn a_leader_that_was_replaced_cuts_what_nobody_else_has() {
    let pair = Pair::new(3, "1");
    pair.tell_both(FIRST);
    for value in ["a", "b"] {
        assert_eq!(pair.produce(1, value, -1).error, ErrorCode::None);
    }
    pair.wait_for(2, (0, 2, 2));
    pair.partition();
    for value in ["lost", "lost too"] {
        assert_eq!(pair.produce(1, value, 1).error, ErrorCode::None);
    }
    pair.tell(2, SECOND);
    assert_eq!(pair.produce(2, "c", -1).base_offset, Offset(2));
    // The old leader hears of it while somebody waits for it.
    let shards = pair.shards(1);
    let waiting = Rc::new(Cell::new(None));
    let (asker, answered) = (shards.clone(), waiting.clone());
    shards.io().spawn(async move { answered.set(Some(produce(&asker, 0, "lost as well", -1).await.error)) });
    pair.world.run_for(Duration::from_millis(50));
    assert_eq!((waiting.get(), pair.ends(1)), (None, (0, 2, 5)));
    pair.tell(1, SECOND);
    pair.world.run_for(Duration::from_millis(1));
    assert_eq!(waiting.get(), Some(ErrorCode::NotLeaderOrFollower));
    pair.heal();
    pair.wait_for(1, (0, 3, 3));
    assert_eq!(pair.values(1, 0), owned(&[(0, "a"), (1, "b"), (2, "c")]));
    let log = &pair.shards(1).core().partition(PARTITION).unwrap().log;
    let end = log.end_offset_for_epoch(LeaderEpoch(0));
    assert_eq!((end.epoch, end.end_offset, log.latest_epoch()), (LeaderEpoch(0), Offset(2), LeaderEpoch(1)));
    // And back again.
    pair.tell_both(State { epoch: 2, version: 2, ..FIRST });
    assert_eq!(pair.produce(1, "d", -1).base_offset, Offset(3));
    pair.wait_for(2, (0, 4, 4));
    assert_eq!(pair.values(2, 2), owned(&[(2, "c"), (3, "d")]));
}

#[test]
fn after_an_unclean_election_what_the_new_leader_lacks_goes() {
    let pair = Pair::new(5, "1");
    pair.partition();
    pair.tell_both(State { isr: &[1], ..FIRST });
    for value in ["a", "b", "c"] {
        assert_eq!(pair.produce(1, value, -1).error, ErrorCode::None);
    }
    pair.tell_both(SECOND);
    assert_eq!(pair.produce(2, "x", -1).base_offset, Offset(0));
    pair.heal();
    pair.wait_for(1, (0, 1, 1));
    assert_eq!(pair.values(1, 0), owned(&[(0, "x")]));
}

#[test]
fn a_follower_that_crashes_again_and_again_becomes_equal() {
    for seed in 20..24 {
        let pair = Pair::new(seed, "1");
        pair.tell_both(FIRST);
        let mut written = 0;
        for round in 0..6 {
            written += 30;
            pair.run(1, move |shards| async move {
                for n in written - 30..written {
                    let produced = produce(&shards, 0, &format!("v{n}"), 1).await;
                    assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, Offset(n)));
                    shards.io().sleep(Duration::from_micros(u64::from(shards.io().random::<1>()[0]))).await;
                }
            });
            pair.world.run_for(Duration::from_micros(seed * 7919 % 3_000 + round * 500));
            let how = if round % 2 == 0 { Crash::Kill } else { Crash::PowerLoss };
            pair.world.crash(pair.hosts[1], how);
            pair.start(2);
            pair.tell(2, FIRST);
        }
        pair.wait_for(2, (0, written, written));
        assert_eq!(pair.values(2, 0), pair.values(1, 0), "seed {seed}");
        assert_eq!(pair.values(2, 0).len() as i64, written);
    }
}
