//! A quorum on a simulated disk that fails and loses power: what was told is there after it, whatever failed before.

use super::tests::{create_topic, how, try_start_broker};
use super::*;
use crate::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::model::ErrorCode;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

const DIR: &str = "/data";

/// What somebody knows of the metadata.
#[derive(Default)]
struct Known {
    /// Topics that were acked, or were in an image that a start gave.
    told: BTreeSet<String>,
    /// Topics whose creation failed: they may be there or not, until an image says which.
    unsure: BTreeSet<String>,
    /// The last epoch that was led in.
    epoch: i32,
    /// The last stop was clean.
    clean: bool,
    names: u64,
    /// How often it was found out that a refused topic is there after all.
    kept: usize,
}

type Shared = Rc<RefCell<Known>>;

/// One life of a controller: it opens the metadata, judges what is there and makes some topics; the first error ends it. Whether
/// there was none.
async fn live(io: Io, known: Shared, topics: u64, close: bool) -> bool {
    if io.create_dir_all(Path::new(DIR)).await.is_err() || io.sync_dir(Path::new("/")).await.is_err() {
        return false;
    }
    let clean_shutdown = std::mem::take(&mut known.borrow_mut().clean);
    let Ok(mut quorum) = Quorum::open(io.clone(), OpenQuorum { clean_shutdown, ..how(Path::new(DIR)) }).await else {
        return false;
    };
    judge(&quorum, &known);
    if try_start_broker(&mut quorum, false).await.is_err() {
        return false;
    }
    for _ in 0..topics {
        known.borrow_mut().names += 1;
        let name = format!("t{}", known.borrow().names);
        match quorum.execute(create_topic(&name, &[])).await {
            Ok(Executed { reply: Reply::CreateTopics(response), .. }) => {
                assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
                known.borrow_mut().told.insert(name);
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                known.borrow_mut().unsure.insert(name);
                return false;
            }
        }
    }
    let closed = close && quorum.close().await.is_ok();
    known.borrow_mut().clean = closed;
    closed || !close
}

fn judge(quorum: &Quorum, known: &Shared) {
    let mut known = known.borrow_mut();
    let there: BTreeSet<String> = quorum.image().topics().map(|topic| topic.name.to_string()).collect();
    let lost: Vec<_> = known.told.difference(&there).collect();
    assert!(lost.is_empty(), "told and lost: {lost:?}");
    let unknown: Vec<_> = there.difference(&known.told).filter(|name| !known.unsure.contains(*name)).collect();
    assert!(unknown.is_empty(), "there and never made: {unknown:?}");
    assert!(quorum.epoch() > known.epoch, "epoch {} is led in after {}", quorum.epoch(), known.epoch);
    known.kept += there.difference(&known.told).count();
    known.epoch = quorum.epoch();
    known.unsure.clear();
    known.told = there;
}

/// A life in the world; it ends by itself or with an error.
fn life(world: &World, host: HostId, known: &Shared, topics: u64, close: bool) -> bool {
    let known = known.clone();
    world.run(host, move |io| live(io, known, topics, close))
}

/// What the device refused stays in the page cache as if it were on it: a start that finds a topic there tells of it, so it must
/// not be gone, and nothing that was made later, when the power is.
#[test]
fn what_a_start_finds_after_a_failed_sync_outlives_the_power() {
    let mut kept = 0;
    for seed in 0..30 {
        let world = World::new(seed, Options::default());
        let (host, known) = (world.add_host("controller", 1), Shared::default());
        assert!(life(&world, host, &known, 2, false));
        world.crash(host, Crash::Kill);
        // Bring the log to the first topic of this life, and let its sync fail.
        let syncs = 3;
        world.fail_disk(host, DiskFault { path_contains: ".log".into(), after: syncs, ..DiskFault::next(DiskOp::Sync) });
        assert!(!life(&world, host, &known, 2, false), "seed {seed}: no sync failed");
        world.repair_disk(host);
        world.crash(host, Crash::Kill);
        assert!(life(&world, host, &known, 2, false), "seed {seed}: no start after a failed sync");
        world.crash(host, Crash::PowerLoss);
        assert!(life(&world, host, &known, 1, false), "seed {seed}: no start after the power loss");
        kept += known.borrow().kept;
    }
    assert!(kept > 0, "no page cache kept what the device refused");
}

/// Any call fails, at any moment of a life, and any end may follow.
#[test]
fn whatever_fails_what_was_told_stays() {
    let ops =
        [DiskOp::Sync, DiskOp::Sync, DiskOp::Sync, DiskOp::Write, DiskOp::SyncNames, DiskOp::Name, DiskOp::Open, DiskOp::Resize];
    let (mut failed, mut told) = (0, 0);
    for seed in 0..60_u64 {
        let world = World::new(seed, Options::default());
        let (host, known) = (world.add_host("controller", 1), Shared::default());
        let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = move |most: u64| {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            (draw >> 11) % most
        };
        for round in 0..8 {
            if below(3) > 0 {
                let op = ops[below(ops.len() as u64) as usize];
                world.fail_disk(host, DiskFault { after: below(12) as u32, ..DiskFault::next(op) });
            }
            let well = life(&world, host, &known, below(4), below(3) == 0);
            failed += usize::from(!well);
            world.repair_disk(host);
            world.crash(host, if below(2) == 0 { Crash::Kill } else { Crash::PowerLoss });
            if round % 3 == 2 {
                assert!(life(&world, host, &known, 1, false), "seed {seed}: a sound disk takes a topic");
                world.crash(host, Crash::PowerLoss);
            }
        }
        told += known.borrow().told.len();
    }
    assert!(failed > 100 && told > 400, "{failed} lives failed, {told} topics are there");
}
