//! Looks at the clock and does nothing else: what a machine takes away from a thread that asks for no more than its processor (other
//! threads, interrupts, a hypervisor) is a floor under the longest time that a broker's core can be held up.

use crate::args::GapsArgs;
use crate::clock;
use crate::report;
use crate::worker::Failure;
use serde_json::json;
use std::collections::BTreeMap;

/// Shorter times between two looks are those of the looks themselves.
const SHORTEST_US: u64 = 100;

/// Times between two looks at a clock, which `read` tells in nanoseconds, until it says `end`: the longest in µs, and how many there
/// were below which power of two.
fn watch(end: u64, mut read: impl FnMut() -> u64) -> (u64, BTreeMap<u64, u64>) {
    let (mut longest, mut below) = (0, BTreeMap::new());
    let mut last = read();
    while last < end {
        let now = read();
        let gap = (now - last) / 1_000;
        longest = longest.max(gap);
        if gap >= SHORTEST_US {
            *below.entry((gap + 1).next_power_of_two()).or_default() += 1;
        }
        last = now;
    }
    (longest, below)
}

/// Watches for so many seconds, and prints and writes what was found.
pub fn gaps(args: &GapsArgs) -> Result<(), Failure> {
    let (longest, below) = watch(clock::now() + clock::seconds(args.seconds), clock::now);
    println!("longest {longest} µs");
    if let Some(path) = &args.json {
        let result = json!({
            "command": "gaps", "version": env!("CARGO_PKG_VERSION"), "seconds": args.seconds, "longest_us": longest, "gaps_us_below": below,
        });
        report::write_json(path, &result)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_and_classes_are_those_of_the_clock() {
        let mut times = [0, 50, 150_050, 150_060, 5_150_060, 5_400_060].into_iter();
        let (longest, below) = watch(5_300_000, || times.next().unwrap());
        assert_eq!(longest, 5_000);
        assert_eq!(below, BTreeMap::from([(256, 2), (8_192, 1)]));
    }

    #[test]
    fn it_ends_when_it_was_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let json = dir.path().join("json");
        gaps(&GapsArgs { seconds: 0.05, json: Some(json.clone()) }).unwrap();
        let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        assert!(result["longest_us"].is_u64());
    }
}
