//! Bytes that no well-meaning peer sends: nothing may panic, and nothing may take more memory than the bytes pay for.
//!
//! Every input that comes from outside the process has a target here. A target starts from valid inputs (the corpus: text files
//! with one case a line, so that a failing input can be pasted in), breaks them in the ways of [`mutate`], and checks what must
//! hold for any bytes. An execution is a pure function of target, seed and number, so a failure is repeated by
//!
//! ```text
//! FLUMEN_FUZZ_SEED=<seed> FLUMEN_FUZZ_ONLY=<number> cargo test --features sim --test fuzz <target>
//! ```
//!
//! The tiers `test` and `ci` run the stated number of executions with a fixed seed: the verdict on a commit does not depend on luck. The
//! tier `long` runs [`LONG_FACTOR`] times as many with a seed from the clock, printed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test harness: files, clock, environment

mod batches;
mod config;
mod corpus;
#[path = "../codegen/every_message.rs"]
mod every_message;
mod memory;
mod messages;
mod mutate;
mod recovery;

use mutate::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many times the executions of CI the tier `long` makes.
const LONG_FACTOR: u64 = 50;
const FIXED_SEED: u64 = 0xf10e;

/// One input: what kind it is (a message and its version, a codec, ...) and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub kind: String,
    pub bytes: Vec<u8>,
}

pub struct Target<'a> {
    pub name: &'static str,
    /// Executions in CI.
    pub executions: u64,
    pub cases: &'a [Case],
    /// Breaks a case; [`mutate::bytes`] unless the target knows better.
    pub mutate: fn(&mut Random, &[Case], &mut Case),
    /// Panics when something does not hold. True when the bytes were accepted.
    pub run: fn(&Case) -> bool,
    /// Heap bytes that a run may hold at once, for an input of so many bytes.
    pub ceiling: fn(usize) -> usize,
}

pub struct Plan {
    seed: u64,
    numbers: std::ops::Range<u64>,
}

impl Plan {
    /// What the environment asks of a target with this many executions in CI.
    pub fn new(executions: u64) -> Plan {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
        };
        let is_long = std::env::var("FLUMEN_TEST_TIER").is_ok_and(|tier| tier == "long");
        let clock = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = number("FLUMEN_FUZZ_SEED").unwrap_or_else(|| if is_long { clock() } else { FIXED_SEED });
        let numbers = match number("FLUMEN_FUZZ_ONLY") {
            Some(only) => only..only + 1,
            None => 0..number("FLUMEN_FUZZ_EXECUTIONS").unwrap_or(executions * if is_long { LONG_FACTOR } else { 1 }),
        };
        Plan { seed, numbers }
    }
}

/// The case of one execution.
pub fn case(target: &Target<'_>, seed: u64, number: u64) -> Case {
    let mut random = Random::of(seed, number);
    let mut case = target.cases[random.below(target.cases.len())].clone();
    (target.mutate)(&mut random, target.cases, &mut case);
    case
}

/// Runs the corpus as it is, which must be accepted whole, and then its mutations.
pub fn fuzz(target: &Target<'_>) {
    let Plan { seed, numbers } = Plan::new(target.executions);
    assert!(!target.cases.is_empty(), "{}: no corpus", target.name);
    for case in target.cases {
        assert!((target.run)(case), "{}: the corpus has a case that is refused: {} {}", target.name, case.kind, hex(&case.bytes));
    }
    let started = std::time::Instant::now();
    let (mut accepted, mut largest, count) = (0_u64, 0, numbers.end - numbers.start);
    for number in numbers {
        let case = case(target, seed, number);
        memory::begin(seed, number);
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&case)));
        let peak = memory::end();
        largest = largest.max(peak);
        let ceiling = (target.ceiling)(case.bytes.len());
        if outcome.is_err() || peak > ceiling {
            let Case { kind, bytes } = &case;
            let what = if outcome.is_err() { "panics".into() } else { format!("takes {peak} bytes where {ceiling} are allowed") };
            panic!("{} {what}: seed {seed}, number {number}\n{kind} {}", target.name, hex(bytes));
        }
        accepted += u64::from(outcome.unwrap());
    }
    println!(
        "{}: {count} executions, seed {seed}, {accepted} accepted, at most {largest} bytes of heap, {:?}",
        target.name,
        started.elapsed()
    );
    // A mutation that is always refused tests the first check of a decoder and nothing behind it.
    assert!(count == 1 || accepted * 50 > count, "{}: only {accepted} of {count} were accepted", target.name);
    assert!(count == 1 || accepted < count, "{}: nothing was refused", target.name);
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
