//! The whole broker in a simulated world: from the bytes that a client sends to the bytes that it gets, with crashes, failing disks,
//! broken networks and jumping clocks in between; one seed decides all of it.
//!
//! What must hold is in `invariants/`, what is done to the broker in `nemesis.rs`, who uses it in `producers.rs`, `consumers.rs`,
//! `groups.rs`, `sessions.rs` and `admin.rs`. That all of this can fail is shown by `bugs.rs`: bugs are planted one by one, each has to be found by a
//! check (`verdict.rs`), and the seed that finds it has to hold without it.
//!
//! `SIM_SEEDS=100` runs more seeds, `SIM_FIRST=3 SIM_STEP=4` others, `SIM_SEED=17` one of them; `SIM_BUG=name` plants one of the bugs
//! in them, and looks for this one only.

#![cfg(feature = "sim")]

#[macro_use]
mod verdict;

mod admin;
mod bugs;
mod client;
mod consumers;
mod groups;
mod history;
mod invariants;
mod nemesis;
mod producers;
mod requests;
mod seed;
mod sessions;

use bugs::Bug;
use seed::Outcome;
use std::collections::BTreeMap;
use std::time::Duration;
use verdict::{Failure, judge, judge_clean, on_two_threads};

/// Virtual time of a seed.
const MINUTE: Duration = Duration::from_secs(60);
const SEEDS: u64 = 8;
/// What a seed must have done to count.
const LEAST_ACKED: usize = 1000;
const LEAST_FAULTS: u64 = 5;
const LEAST_KINDS: usize = 3;
/// What follows from a fault and is none of its own.
const CONSEQUENCES: [&str; 3] = ["lost writes", "torn writes", "lost names"];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The bug that is asked for by name, to look at it closely.
fn planted() -> Option<&'static str> {
    let name = std::env::var("SIM_BUG").ok()?;
    bugs::BUGS.iter().map(|bug| bug.name).find(|known| *known == name)
}

/// Whether a seed that held has done enough to count.
fn has_done_enough(outcome: &Outcome) -> bool {
    let kinds: Vec<u64> =
        outcome.faults.iter().filter(|(name, _)| !CONSEQUENCES.contains(name)).map(|(_, count)| *count).collect();
    outcome.acked >= LEAST_ACKED && kinds.len() >= LEAST_KINDS && kinds.iter().sum::<u64>() >= LEAST_FAULTS
}

#[test]
fn every_seed_holds() {
    let seeds: Vec<u64> = match setting("SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            let (first, step) = (setting("SIM_FIRST").unwrap_or(0), setting("SIM_STEP").unwrap_or(1));
            (0..setting("SIM_SEEDS").unwrap_or(SEEDS)).map(|n| first + n * step).collect()
        }
    };
    let results = on_two_threads(&seeds, |&seed| {
        let result = match planted() {
            Some(bug) => judge(seed, Some(bug)),
            None => judge_clean(seed).get().expect("it was run").clone(),
        };
        match &result {
            Ok(outcome) => println!("seed {seed}: {} acked; {:?}; {:?}", outcome.acked, outcome.faults, outcome.counts),
            Err(failure) => println!("seed {seed} FAILED: {failure}"),
        }
        (seed, result)
    });
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for (seed, result) in results {
        match result {
            Ok(outcome) if has_done_enough(&outcome) => {
                for (name, count) in outcome.faults.into_iter().chain(outcome.counts) {
                    *reached.entry(name).or_default() += count;
                }
            }
            Ok(outcome) => failed.push(format!("seed {seed} has not done enough: {} acked; {:?}", outcome.acked, outcome.faults)),
            Err(failure) => failed.push(format!("seed {seed}: {failure}")),
        }
    }
    println!("all seeds: {reached:?}");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_seed_replays_exactly() {
    let time = Duration::from_secs(15);
    let (first, second) = (seed::run(5, None, time), seed::run(5, None, time));
    assert_eq!((first.trace, first.acked, first.counts), (second.trace, second.acked, second.counts));
}

/// Looks for a bug in its seeds: what found it, or why that does not count.
fn look_for(bug: &Bug) -> Result<String, String> {
    for seed in (0..bug.seeds).map(|n| bug.first_seed + n * bug.step) {
        match judge(seed, Some(bug.name)) {
            Ok(_) => {}
            Err(Failure::Harness(text)) => return Err(format!("{:?}: seed {seed} only broke the harness: {text}", bug.name)),
            Err(failure) => {
                if let Some(Err(other)) = judge_clean(seed).get() {
                    return Err(format!("{:?}: seed {seed} does not hold without it either: {other}", bug.name));
                }
                return Ok(format!("FOUND {:?} by seed {seed}, which holds without it; {failure}", bug.name));
            }
        }
    }
    Err(format!("{:?}: nothing found it", bug.name))
}

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("SIM_BUG").ok();
    let bugs: Vec<&Bug> = bugs::BUGS.iter().filter(|bug| only.as_ref().is_none_or(|only| only == bug.name)).collect();
    let results = on_two_threads(&bugs, |bug| {
        let result = look_for(bug);
        match &result {
            Ok(text) => println!("{text}"),
            Err(text) => println!("MISSED {text}"),
        }
        result.err()
    });
    let missed: Vec<String> = results.into_iter().flatten().collect();
    assert!(missed.is_empty(), "planted bugs that were not found: {missed:#?}");
}
