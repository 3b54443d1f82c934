//! A device that fails, arbitrary bytes, and what an answer promises.

use super::support::{DIR, EPOCH_MS, LOG_DIR, Model, Random, batch, check, how, small, to_append};
use flumen::io::sim::{Crash, DiskFault, DiskOp, Options, World};
use flumen::log::{Log, LogConfig, LogError, fuzz_recovery};
use flumen::model::{ErrorCode, LeaderEpoch, Offset};
use flumen::record::Codec;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

async fn append(log: &Log, model: &mut Model, at: i64) -> Result<(), LogError> {
    let one = batch(Codec::None, 3, EPOCH_MS + at, 300, None);
    let batches = to_append(&[one], log.log_end_offset(), LeaderEpoch(0));
    let before = model.clone();
    model.begin(&batches);
    let result = log.append(batches).await;
    if result.is_err() {
        *model = before;
    }
    result.map(|_| ())
}

fn failed_writes(planted: Option<&'static str>) {
    for seed in 0..20 {
        let world = World::new(seed, Options { planted, ..Options::default() });
        let host = world.add_host("broker", 1);
        let inside = world.clone();
        world.run(host, move |io| async move {
            let mut model = Model::default();
            let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
            for at in 0..40 {
                if at % 3 == 2 {
                    let fault = DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Write) };
                    inside.fail_disk(host, fault);
                    let error = append(&log, &mut model, at).await.unwrap_err();
                    assert_eq!(error.code(), ErrorCode::KafkaStorageError);
                    inside.repair_disk(host);
                    let size = inside.disk(host).read(format!("{DIR}/{:020}.log", log.segments().last().unwrap().base_offset.0));
                    assert_eq!(size.unwrap().len() as u64, log.segments().last().unwrap().bytes, "cut back");
                }
                append(&log, &mut model, at).await.unwrap();
            }
            check(&io, &log, &model).await.unwrap();
            assert_eq!(log.log_end_offset(), Offset(120));
            assert!(log.failure().is_none());
            drop(log);
            let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
            assert_eq!(log.log_end_offset(), Offset(120));
            check(&io, &log, &model).await.unwrap();
        });
    }
}

#[test]
fn a_failed_write_leaves_nothing() {
    failed_writes(None);
    let bug = || failed_writes(Some("failed write left in the file"));
    assert!(std::panic::catch_unwind(bug).is_err(), "a planted bug that was not found");
}

#[test]
fn a_log_that_cannot_be_cut_back_takes_and_gives_no_more() {
    let world = World::new(3, Options::default());
    let host = world.add_host("broker", 1);
    let inside = world.clone();
    world.run(host, move |io| async move {
        let mut model = Model::default();
        let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        append(&log, &mut model, 0).await.unwrap();
        inside.fail_disk(host, DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Write) });
        inside.fail_disk(host, DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Resize) });
        append(&log, &mut model, 1).await.unwrap_err();
        if log.failure().is_none() {
            // The reservation failed first; the log is as it was.
            append(&log, &mut model, 1).await.unwrap_err();
        }
        inside.repair_disk(host);
        // Nor gives any: what its files hold is not certain. The next start looks.
        check(&io, &log, &model).await.unwrap_err();
        drop(log);
        let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
        check(&io, &log, &model).await.unwrap();
    });
}

/// What the device refused stays in the page cache as if it were there: the next start must not take its own sync for a proof.
#[test]
fn a_start_after_a_failed_sync_makes_durable_what_it_found() {
    let config = || LogConfig { flush_messages: 1, ..small() };
    let mut kept = 0;
    for seed in 0..20 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        let inside = world.clone();
        world.run(host, move |io| async move {
            io.create_dir_all(Path::new(LOG_DIR)).await.unwrap();
            io.sync_dir(Path::new("/")).await.unwrap();
            let mut model = Model::default();
            let log = Log::open(io.clone(), how(config(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
            append(&log, &mut model, 0).await.unwrap();
            log.flush(log.log_end_offset()).await.unwrap();
            append(&log, &mut model, 1).await.unwrap();
            inside.fail_disk(host, DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Sync) });
            log.flush(log.log_end_offset()).await.unwrap_err();
            inside.repair_disk(host);
        });
        world.crash(host, Crash::Kill);
        // Three or six records: the page cache may have lost what the device refused, and what is found then is what counts.
        let found = world.run(host, move |io| async move {
            let log = Log::open(io, how(config(), Offset(3), Offset::ZERO, false)).await.unwrap();
            log.flush(log.log_end_offset()).await.unwrap();
            log.log_end_offset()
        });
        assert!(found == Offset(3) || found == Offset(6), "seed {seed}: {found}");
        kept += usize::from(found == Offset(6));
        world.crash(host, Crash::PowerLoss);
        let left = world.run(host, move |io| async move {
            Log::open(io, how(config(), found, Offset::ZERO, false)).await.unwrap().log_end_offset()
        });
        assert_eq!(left, found, "seed {seed}: flushed after the restart, lost with the power");
    }
    assert!(kept > 0, "no page cache kept what the device refused");
}

#[test]
fn a_failed_sync_is_final() {
    let world = World::new(4, Options::default());
    let host = world.add_host("broker", 1);
    let inside = world.clone();
    world.run(host, move |io| async move {
        let mut model = Model::default();
        let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        append(&log, &mut model, 0).await.unwrap();
        log.flush(Offset(3)).await.unwrap();
        append(&log, &mut model, 1).await.unwrap();
        inside.fail_disk(host, DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Sync) });
        assert!(log.flush(Offset(6)).await.unwrap_err().is_storage());
        assert!(log.flush(Offset(6)).await.is_err(), "never retried as if it had not happened");
        assert_eq!(log.recovery_point(), Offset(3));
        assert!(append(&log, &mut model, 2).await.is_err());
        assert!(log.failure().is_some());
    });
}

/// With `flush.messages=1` an answer waits for `flush`: at its return the disk has everything, and many waiters share a sync.
#[test]
fn a_flush_returns_when_the_bytes_are_on_the_device() {
    let mut options = Options::default();
    options.disk.sync = (Duration::from_millis(1), Duration::from_millis(3));
    let world = World::new(5, options);
    let host = world.add_host("broker", 1);
    let inside = world.clone();
    let waiters = world.run(host, move |io| async move {
        io.create_dir_all(Path::new(LOG_DIR)).await.unwrap();
        io.sync_dir(Path::new("/")).await.unwrap();
        let config = LogConfig { flush_messages: 1, ..small() };
        let log = Log::open(io.clone(), how(config, Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        let (model, done) = (Rc::new(RefCell::new(Model::default())), Rc::new(RefCell::new(0)));
        for at in 0..200 {
            let mut own = model.borrow().clone();
            append(&log, &mut own, at).await.unwrap();
            *model.borrow_mut() = own;
            let (end, segment) = (log.log_end_offset(), log.segments().last().unwrap().clone());
            let (log, done, world) = (log.clone(), done.clone(), inside.clone());
            io.spawn(async move {
                log.flush(end).await.unwrap();
                let path = format!("{DIR}/{:020}.log", segment.base_offset.0);
                assert!(world.disk(host).is_synced(path, segment.bytes), "offset {end} was answered before its sync");
                *done.borrow_mut() += 1;
            });
        }
        io.sleep(Duration::from_secs(1)).await;
        let done = *done.borrow();
        done
    });
    assert_eq!(waiters, 200);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let world = World::new(6, Options::default());
    let host = world.add_host("broker", 1);
    let inside = world.clone();
    world.run(host, move |io| async move {
        let mut model = Model::default();
        let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        append(&log, &mut model, 0).await.unwrap();
        inside.set_capacity(host, inside.disk(host).used() + 500);
        let mut refused = 0;
        for at in 1..10 {
            refused += u32::from(append(&log, &mut model, at).await.is_err());
        }
        assert!(refused > 0);
        inside.set_capacity(host, u64::MAX);
        append(&log, &mut model, 11).await.unwrap();
        check(&io, &log, &model).await.unwrap();
    });
}

#[test]
fn arbitrary_bytes_never_panic_and_never_serve_a_bad_batch() {
    let mut random = Random::new(9);
    let mut good = Vec::new();
    let mut base = 0;
    for at in 0..12 {
        let one = batch([Codec::None, Codec::Lz4][at % 2], 2, EPOCH_MS + at as i64, 40, (at % 3 == 0).then_some(at as i32));
        for batch in to_append(&[one], Offset(base), LeaderEpoch(0)) {
            base = batch.last_offset.0 + 1;
            good.extend_from_slice(&super::support::numbered(&batch));
        }
    }
    fuzz_recovery(&[]);
    for round in 0..1500 {
        let mut bytes = vec![round as u8];
        if round % 5 == 0 {
            bytes.extend((0..random.below(300)).map(|_| random.below(256) as u8));
        } else {
            bytes.extend_from_slice(&good);
            for _ in 0..1 + random.below(3) {
                let at = 1 + random.below(good.len() as u64) as usize;
                match random.below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
                    2 => drop(bytes.splice(at.min(bytes.len())..(at + 9).min(bytes.len()), [])),
                    _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (round % 8)),
                }
            }
        }
        fuzz_recovery(&bytes);
    }
}

/// A roll opens half a dozen files; whichever of them finds no descriptor, nothing is lost and nothing is offline.
#[test]
fn a_roll_without_descriptors_is_tried_again() {
    for after in 0..12 {
        let world = World::new(u64::from(after), Options::default());
        let host = world.add_host("broker", 1);
        let inside = world.clone();
        world.run(host, move |io| async move {
            let mut model = Model::default();
            let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
            append(&log, &mut model, 0).await.unwrap();
            let fault = DiskFault { after, errno: 24, ..DiskFault::next(DiskOp::Open) };
            inside.fail_disk(host, fault);
            let mut refused = 0;
            for at in 1..60 {
                // Many at once, so that a segment is rolled between them.
                let batches: Vec<_> = (0..6).map(|n| batch(Codec::None, 2, EPOCH_MS + at * 10 + n, 150, None)).collect();
                let batches = to_append(&batches, log.log_end_offset(), LeaderEpoch(0));
                let (begin, end) = (log.log_end_offset(), batches.last().unwrap().last_offset.plus(1));
                model.begin(&batches);
                if let Err(error) = log.append(batches).await {
                    assert!(!error.is_storage(), "{error}");
                    refused += 1;
                }
                let reached = log.log_end_offset();
                assert!(reached == end || (begin..end).contains(&reached));
                model.batches.retain(|&base, _| base < reached.0);
            }
            assert!(refused <= 1 && log.failure().is_none());
            io.sleep(Duration::from_millis(50)).await;
            log.flush(log.log_end_offset()).await.unwrap();
            check(&io, &log, &model).await.unwrap();
            let end = log.log_end_offset();
            drop(log);
            let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, false)).await.unwrap();
            assert_eq!(log.log_end_offset(), end);
            check(&io, &log, &model).await.unwrap();
        });
    }
}
