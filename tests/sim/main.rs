//! The whole broker in a simulated world: from the bytes that a client sends to the bytes that it gets, with crashes, failing disks,
//! broken networks and jumping clocks in between; one seed decides all of it.
//!
//! What must hold is in `invariants/`, what is done to the broker in `nemesis.rs`, who uses it in `producers.rs`, `consumers.rs` and
//! `admin.rs`. That all of this can fail is shown by `bugs.rs`: bugs are planted one by one, and each has to be found.
//!
//! `SIM_SEEDS=100` runs more seeds, `SIM_SEED=17` one of them, `SIM_BUG=name` one of the bugs only.

#![cfg(feature = "sim")]

mod admin;
mod bugs;
mod client;
mod consumers;
mod history;
mod invariants;
mod nemesis;
mod producers;
mod requests;
mod seed;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Virtual time of a seed.
const MINUTE: Duration = Duration::from_secs(60);
const SEEDS: u64 = 8;
/// What a seed must have done to count.
const LEAST_ACKED: usize = 1000;
const LEAST_FAULTS: u64 = 5;
const LEAST_KINDS: usize = 3;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The bug that is asked for by name, to look at it closely.
fn planted() -> Option<&'static str> {
    let name = std::env::var("SIM_BUG").ok()?;
    bugs::BUGS.iter().map(|bug| bug.name).find(|known| *known == name)
}

#[test]
fn every_seed_holds() {
    let seeds = match setting("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds {
        let outcome = seed::run(seed, planted(), MINUTE);
        println!("seed {seed}: {} acked; {:?}; {:?}", outcome.acked, outcome.faults, outcome.counts);
        assert!(outcome.acked >= LEAST_ACKED, "seed {seed}: only {} records were acked", outcome.acked);
        let faults: u64 = outcome.faults.iter().map(|(_, count)| count).sum();
        assert!(faults >= LEAST_FAULTS && outcome.faults.len() >= LEAST_KINDS, "seed {seed}: {:?}", outcome.faults);
        for (name, count) in outcome.faults.into_iter().chain(outcome.counts) {
            *reached.entry(name).or_default() += count;
        }
    }
    println!("all seeds: {reached:?}");
}

#[test]
fn a_seed_replays_exactly() {
    let time = Duration::from_secs(15);
    let (first, second) = (seed::run(5, None, time), seed::run(5, None, time));
    assert_eq!((first.trace, first.acked, first.counts), (second.trace, second.acked, second.counts));
}

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("SIM_BUG").ok();
    let mut missed = Vec::new();
    for bug in bugs::BUGS.iter().filter(|bug| only.as_ref().is_none_or(|only| only == bug.name)) {
        let mut seeds = (0..bug.seeds).map(|n| bug.first_seed + n * bug.step);
        let found = seeds.find(|&seed| catch_unwind(AssertUnwindSafe(|| seed::run(seed, Some(bug.name), MINUTE))).is_err());
        match found {
            Some(seed) => println!("FOUND {:?} by seed {seed}", bug.name),
            None => missed.push(bug.name),
        }
    }
    assert!(missed.is_empty(), "planted bugs that nothing found: {missed:?}");
}
