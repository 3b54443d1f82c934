//! Whole lives of a partition: several machines, a network that loses, delays and reorders, a controller that elects out of the
//! ISR, and crashes that take what was not flushed.
//!
//! Everything is drawn from a seed, one step after the other, so a seed that fails fails again. What must hold is in `ledger`.
//! That it would be noticed if it did not is shown by taking rules away, one at a time: each must be missed within
//! [`SEEDS_WITHOUT_A_RULE`] lives.
//!
//! What is legal: a message is late, overtaken or lost, and then who asked is told so. A fetch that was given up may still arrive, and
//! its answer, too; a proposal that was given up may have been carried out, but its answer never comes (it had a connection of its
//! own). A crash keeps what was flushed. Where acks do not wait for flushes it keeps the page cache, too, or
//! (`Config::loses_page_cache`) not, if others are in the ISR and the broker is fenced before anything befalls them: more is not
//! promised, see KIP-966.

mod controller;
mod ledger;
mod node;
mod world;

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

const SEEDS: u64 = 300;
const STEPS: usize = 900;
const SEEDS_WITHOUT_A_RULE: u64 = 3_000;

/// A generator of numbers (splitmix64): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Planted {
    Nothing,
    /// The machine breaks a rule.
    Broken(Rule),
    /// Leaders do not look where a follower's log parts from theirs, so nothing is ever cut for it.
    NoDivergence,
}

/// How a life is lived; drawn from its seed.
#[derive(Clone, Copy, Debug)]
struct Config {
    replicas: i32,
    min_insync_replicas: usize,
    flush_gated: bool,
    loses_page_cache: bool,
    /// Leaders last, so that it comes to light who lags.
    is_calm: bool,
    planted: Planted,
}

/// What has happened in a life, to show that the lives are not dull.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    elections: u64,
    cuts: u64,
    joins: u64,
    leaves: u64,
    crashes: u64,
    lost_records: u64,
    acked: u64,
    deferred: u64,
}

/// Lives one life to its end; an error is what did not hold.
fn live(seed: u64, planted: Planted) -> Result<Seen, String> {
    let mut random = Random(seed);
    let flush_gated = random.chance(40);
    let config = Config {
        replicas: if random.chance(80) { 3 } else { 2 + 2 * i32::from(random.chance(50)) },
        min_insync_replicas: 1 + random.below(2),
        flush_gated,
        loses_page_cache: !flush_gated && random.chance(50),
        is_calm: random.chance(50),
        planted,
    };
    let mut world = World::new(config, random);
    for _ in 0..STEPS {
        world.step();
        world.verdict()?;
    }
    world.settle()?;
    Ok(world.seen())
}

#[test]
fn committed_records_stay_and_all_replicas_become_equal() {
    let mut all = Seen::default();
    for seed in 0..SEEDS {
        let seen = live(seed, Planted::Nothing).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        all.elections += seen.elections;
        all.cuts += seen.cuts;
        all.joins += seen.joins;
        all.leaves += seen.leaves;
        all.crashes += seen.crashes;
        all.lost_records += seen.lost_records;
        all.acked += seen.acked;
        all.deferred += seen.deferred;
    }
    println!("{all:?}");
    let counts = [all.elections, all.cuts, all.joins, all.leaves, all.crashes, all.lost_records, all.acked, all.deferred];
    assert!(counts.iter().all(|&count| count > SEEDS / 10), "{all:?}");
}

/// A rule is missed when something does not hold, or the machine itself notices (an assertion).
fn is_missed(planted: Planted) {
    let found = (0..SEEDS_WITHOUT_A_RULE).find_map(|seed| {
        let lived = catch_unwind(AssertUnwindSafe(|| live(seed, planted)));
        match lived {
            Ok(Ok(_)) => None,
            Ok(Err(fault)) => Some((seed, fault)),
            Err(_) => Some((seed, "an assertion of the machine".to_owned())),
        }
    });
    let (seed, fault) = found.unwrap_or_else(|| panic!("{planted:?} was not noticed in {SEEDS_WITHOUT_A_RULE} lives"));
    println!("{planted:?}: seed {seed}: {fault}");
}

#[test]
fn a_high_watermark_over_those_that_have_fetched_is_noticed() {
    is_missed(Planted::Broken(Rule::WholeIsr));
}

#[test]
fn min_insync_replicas_that_are_ignored_are_noticed() {
    is_missed(Planted::Broken(Rule::MinIsr));
}

#[test]
fn an_isr_that_takes_in_who_has_not_reached_the_epoch_is_noticed() {
    is_missed(Planted::Broken(Rule::EpochStart));
}

#[test]
fn epochs_that_go_back_are_noticed() {
    is_missed(Planted::Broken(Rule::NewestEpoch));
}

#[test]
fn logs_that_are_never_cut_are_noticed() {
    is_missed(Planted::NoDivergence);
}
