//! Whole nodes of a cluster in a simulated world, under every fault of the list in `nemesis.rs`, alone and combined; one seed decides all of it.
//!
//! `cluster.rs` are the nodes, `topics.rs` says what is promised of which topic, `producers.rs`, `consumers.rs` and the groups of the
//! simulator of one broker use them, `recovery.rs` says how soon all must be well again after a fault, and `invariants/` what must hold
//! always; `transitions.rs` counts the states that were reached. That all of this can fail is shown by `bugs.rs`: bugs are planted one by
//! one, each has to be found by a check, and the seed or the script (`scripts/`) that finds it has to hold without it.
//!
//! `SIM_SECONDS=300` runs seeds for so long (of the clock on the wall), `SIM_FIRST=3 SIM_STEP=4` others, `SIM_SEEDS=20` so many,
//! `SIM_SEED=17` one of them; `SIM_BUG=name` plants one of the bugs in them, and looks for this one only; `SIM_TALK=1` tells
//! what strikes when, `SIM_LOG=info` lets the nodes talk.

#![cfg(feature = "sim")]

#[macro_use]
#[path = "../sim/verdict.rs"]
mod verdict;

mod admin;
mod bugs;
mod client;
mod cluster;
#[path = "../sim/client.rs"]
mod connection;
mod consumers;
#[path = "../sim/groups.rs"]
mod groups;
mod history;
mod invariants;
mod nemesis;
mod producers;
mod recovery;
#[allow(dead_code, reason = "some are for one broker")]
#[path = "../sim/requests.rs"]
mod requests;
mod scripts;
mod seed;
mod topics;
mod transitions;

use bugs::{Bug, FoundBy, SEEDS_OF_A_SCRIPT};
use flumen::io::sim::World;
use nemesis::Kind;
use seed::Outcome;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use verdict::{Failure, judge, judge_clean, judge_run, on_two_threads};

/// Virtual time of a seed.
const MINUTE: Duration = Duration::from_secs(60);
/// What a run does that is told nothing else.
const SECONDS: u64 = 120;
/// What a seed must have done to count.
const LEAST_ACKED: usize = 500;
const LEAST_FAULTS: u64 = 3;
/// Of what begins so the greatest counts, of all else the sum.
const SLOWEST: &str = "slowest";

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The bug that is asked for by name, to look at it closely.
fn planted() -> Option<&'static str> {
    let name = std::env::var("SIM_BUG").ok()?;
    bugs::BUGS.iter().map(|bug| bug.name).find(|known| *known == name)
}

thread_local! {
    /// The world that this thread runs.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Milliseconds since the world began.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let now = WORLD.with_borrow(|world| world.as_ref().map_or(0, |world| world.now().0 / 1_000_000));
        write!(w, "{now}")
    }
}

/// What the nodes say of themselves, at the level of `SIM_LOG`.
fn listen() {
    if let Some(level) = std::env::var("SIM_LOG").ok().map(|text| text.parse::<tracing::Level>().expect("SIM_LOG is a level")) {
        let _ = tracing_subscriber::fmt().with_max_level(level).with_timer(VirtualTime).with_ansi(false).try_init();
    }
}

fn run_seed(seed: u64) -> Result<Outcome, Failure> {
    listen();
    let began = Instant::now();
    let result = match planted() {
        Some(bug) => judge(seed, Some(bug)),
        None => judge_clean(seed).get().expect("it was run").clone(),
    };
    let took = began.elapsed().as_secs_f64();
    match &result {
        Ok(outcome) => {
            println!("seed {seed}: {took:.1} s, {} acked; {:?}; {:?}", outcome.acked, outcome.faults, outcome.counts);
        }
        Err(failure) => println!("seed {seed} FAILED after {took:.1} s: {failure}"),
    }
    result
}

/// Adds up what the seeds have reached, and finds what was wrong with them.
#[derive(Default)]
struct Sum {
    reached: BTreeMap<&'static str, u64>,
    seeds: usize,
    failed: Vec<String>,
}

impl Sum {
    fn add(&mut self, seed: u64, result: Result<Outcome, Failure>) {
        self.seeds += 1;
        match result {
            Ok(outcome) => {
                let faults: u64 = outcome.faults.iter().map(|(_, count)| *count).sum();
                if outcome.acked < LEAST_ACKED || faults < LEAST_FAULTS {
                    let Outcome { acked, faults, .. } = &outcome;
                    self.failed.push(format!("seed {seed} has not done enough: {acked} acked; {faults:?}"));
                }
                for (name, count) in outcome.faults.into_iter().chain(outcome.counts) {
                    let reached = self.reached.entry(name).or_default();
                    *reached = if name.starts_with(SLOWEST) { count.max(*reached) } else { *reached + count };
                }
            }
            Err(failure) => self.failed.push(format!("seed {seed}: {failure}")),
        }
    }

    fn judge(self, every_kind: bool) {
        println!("{} seeds: {:?}", self.seeds, self.reached);
        assert!(self.failed.is_empty(), "{:#?}", self.failed);
        let wanted = Kind::ALL.iter().map(|kind| kind.name()).chain(transitions::ALL.iter().copied());
        let missing: Vec<&str> = wanted.filter(|name| !self.reached.contains_key(name)).collect();
        assert!(!every_kind || missing.is_empty(), "never injected or never reached: {missing:?}");
        assert!(!every_kind || self.seeds as u64 >= seed::SEEDS_OF_ALL_KINDS, "only {} seeds were run", self.seeds);
    }
}

/// Seeds for as long as the run may take, two at a time, and at least as many as owe every kind of fault.
#[test]
fn every_seed_holds() {
    let sum = Mutex::new(Sum::default());
    if let Some(seed) = setting("SIM_SEED") {
        let result = run_seed(seed);
        sum.lock().expect("nobody panics here").add(seed, result);
        return sum.into_inner().expect("nobody panics here").judge(false);
    }
    let (first, step) = (setting("SIM_FIRST").unwrap_or(0), setting("SIM_STEP").unwrap_or(1));
    let (most, seconds) = (setting("SIM_SEEDS"), setting("SIM_SECONDS").unwrap_or(SECONDS));
    let until = Instant::now() + Duration::from_secs(seconds);
    let least = seed::SEEDS_OF_ALL_KINDS;
    let next = Mutex::new(0..most.unwrap_or(u64::MAX));
    on_two_threads(&[0, 1], |_| {
        loop {
            let number = next.lock().expect("nobody panics here").next();
            let Some(number) = number.filter(|number| most.is_some() || *number < least || Instant::now() < until) else {
                return;
            };
            let seed = first + number * step;
            let result = run_seed(seed);
            sum.lock().expect("nobody panics here").add(seed, result);
        }
    });
    sum.into_inner().expect("nobody panics here").judge(most.is_none());
}

#[test]
fn a_seed_replays_exactly() {
    let time = Duration::from_secs(10);
    let (first, second) = (seed::run(5, None, time), seed::run(5, None, time));
    assert_eq!((first.trace, first.acked, first.counts), (second.trace, second.acked, second.counts));
}

/// Looks for a bug where it has to be found: what found it, or why that does not count.
fn look_for(bug: &Bug) -> Result<String, String> {
    listen();
    match bug.found_by {
        FoundBy::Days => {
            look_in(bug.name, "seed", 0..bugs::SEEDS_OF_DAYS, judge, |seed| judge_clean(seed).get().expect("it was run").clone())
        }
        FoundBy::Script(script) => {
            let run = |seed, planted| judge_run(|| scripts::run(script, seed, planted));
            look_in(bug.name, script.name, 0..SEEDS_OF_A_SCRIPT, run, |seed| run(seed, None))
        }
    }
}

fn look_in(
    bug: &'static str,
    place: &str,
    seeds: impl Iterator<Item = u64>,
    run: impl Fn(u64, Option<&'static str>) -> Result<Outcome, Failure>,
    run_clean: impl Fn(u64) -> Result<Outcome, Failure>,
) -> Result<String, String> {
    for seed in seeds {
        match run(seed, Some(bug)) {
            Ok(_) => {}
            Err(Failure::Harness(text)) => return Err(format!("{bug:?}: {place} {seed} only broke the harness: {text}")),
            Err(failure) => {
                if let Err(other) = run_clean(seed) {
                    return Err(format!("{bug:?}: {place} {seed} does not hold without it either: {other}"));
                }
                return Ok(format!("FOUND {bug:?} by {place} {seed}, which holds without it; {failure}"));
            }
        }
    }
    Err(format!("{bug:?}: nothing found it"))
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
