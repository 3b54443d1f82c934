//! Three voters and whatever may happen to them, in any order: links cut one way or both, connections that break or stall, slow hosts,
//! processes killed, machines and whole clusters that lose power, clocks that jump. [`Watched`](super::cluster_tests::Watched) sees
//! each step; at the end the faults are over, and then it must go on.

use super::cluster_tests::{Three, Work, often};
use super::tests::how;
use super::*;
use crate::io::sim::{Crash, Faults, Options};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A small generator, so that the faults of a seed stay the same whatever else draws.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    fn voter(&mut self) -> i32 {
        self.below(3) as i32 + 1
    }

    fn crash(&mut self) -> Crash {
        if self.below(2) == 0 { Crash::Kill } else { Crash::PowerLoss }
    }
}

/// Something goes wrong, or is over.
fn one_fault(three: &Three, draw: &mut Draw) {
    let world = &three.world;
    let (a, b) = (draw.voter(), draw.voter());
    match draw.below(12) {
        0 | 1 if a != b => world.cut(three.host(a), three.host(b)),
        2 => (1..=3).filter(|id| *id != a).for_each(|id| world.partition(three.host(a), three.host(id))),
        3..=5 => heal_all(three),
        6 | 7 => three.crash(a, draw.crash()),
        8 => {
            // All at once.
            let how = draw.crash();
            (1..=3).for_each(|id| three.crash(id, how));
        }
        9 => world.pause(three.host(a), Duration::from_millis(100 + draw.below(4_000))),
        10 => {
            world.reset_connections(three.host(a), three.host(b));
        }
        _ => world.jump_clock(three.host(a), draw.below(10_000) as i64 - 5_000),
    }
    for id in 1..=3 {
        if !world.is_running(three.host(id)) && draw.below(2) == 0 {
            three.start(id, Work::Decide);
        }
    }
}

fn heal_all(three: &Three) {
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        three.world.heal(three.host(a), three.host(b));
    }
}

/// What a world has seen.
struct Lived {
    told: usize,
    given_up: usize,
    epochs: usize,
    compared: usize,
    faults: Faults,
}

/// Some minutes of a quorum's life.
fn life(seed: u64, rounds: usize, planted: Option<&'static str>) -> Lived {
    let mut options = Options { planted, ..Options::default() };
    options.net.resets = 200;
    options.net.stalls = 500;
    options.net.give_up = Duration::from_secs(5);
    let snapshots = if seed % 2 == 0 { often() } else { how(Path::new("/data")).snapshots };
    let three = Three::new(seed, options, snapshots);
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    for _ in 0..rounds {
        one_fault(&three, &mut draw);
        three.world.run_for(Duration::from_millis(50 + draw.below(2_500)));
    }
    heal_all(&three);
    three.world.set_options(|options| (options.net.resets, options.net.stalls) = (0, 0));
    for id in (1..=3).filter(|id| !three.world.is_running(three.host(*id))) {
        three.start(id, Work::Decide);
    }
    three.progress("the faults are over");
    three.settle();
    let compared = three.compare_logs();
    let watched = three.watched.borrow();
    let (told, given_up, epochs) = (watched.told.len(), watched.given_up, watched.epochs());
    Lived { told, given_up, epochs, compared, faults: three.world.faults() }
}

#[test]
fn whatever_happens_to_three_voters_what_was_decided_stays() {
    let mut all = Lived { told: 0, given_up: 0, epochs: 0, compared: 0, faults: Faults::default() };
    for seed in 0..6 {
        let lived = life(seed, 40, None);
        all.told += lived.told;
        all.given_up += lived.given_up;
        all.epochs += lived.epochs;
        all.compared += lived.compared;
        all.faults.power_losses += lived.faults.power_losses;
        all.faults.partitions += lived.faults.partitions;
    }
    assert!(all.told > 500 && all.given_up > 5 && all.epochs > 30, "{} {} {}", all.told, all.given_up, all.epochs);
    assert!(
        all.compared > 500 && all.faults.power_losses > 25 && all.faults.partitions > 25,
        "{} {:?}",
        all.compared,
        all.faults
    );
}

/// Whether a life with a bug fails, within some seeds.
fn is_found(bug: &'static str) -> bool {
    (0..20).any(|seed| catch_unwind(AssertUnwindSafe(|| life(seed, 40, Some(bug)))).is_err())
}

#[test]
fn a_decision_told_before_a_majority_has_it_is_found() {
    assert!(is_found("a decision told before a majority has it"));
}

#[test]
fn entries_told_before_they_are_on_the_device_are_found() {
    assert!(is_found("metadata told before they are flushed"));
}
