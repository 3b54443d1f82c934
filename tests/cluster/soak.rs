//! Random faults, one after the other and combined, for a time: ten minutes by default, hours by
//! `FLUMEN_TEST_MINUTES=480 tests/run cluster_soak`. `FLUMEN_TEST_SEED` repeats the choices of a run (not its timing). The report,
//! target/test-logs/cluster-soak-flumen.txt, tells what was injected, how long the cluster took to go on, and what was checked.

use crate::nodes::Layout;
use crate::scene::{Fault, How, Scene, Way, Who};
use crate::support::records::Random;
use std::time::{Duration, Instant};

const DEFAULT_MINUTES: u64 = 10;
/// So long after the last fault everything is checked anew, on every replica, and the load begins again: what a test keeps in mind does
/// not grow for hours.
const ROUND: Duration = Duration::from_secs(15 * 60);

#[test]
fn random_faults() {
    let number =
        |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name}={text}")));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("FLUMEN_TEST_SEED").unwrap_or(clock as u64);
    let length = Duration::from_secs(60 * number("FLUMEN_TEST_MINUTES").unwrap_or(DEFAULT_MINUTES));
    println!("FLUMEN_TEST_SEED={seed}");
    let mut random = Random(seed);
    let since = Instant::now();
    let (mut rounds, mut faults) = (0, 0);
    while rounds == 0 || since.elapsed() < length {
        let name = if rounds == 0 { "soak".to_owned() } else { format!("soak-{rounds}") };
        let mut scene = Scene::new(&name, &Layout { disk_mib: Some(2048), spare_hosts: 1, ..Layout::THREE });
        scene.checker.report.say(&format!("FLUMEN_TEST_SEED={seed}, {length:?} in all, fault {faults} is next"));
        let round = Instant::now();
        while since.elapsed() < length && round.elapsed() < ROUND {
            let (fault, over_bad_links) = any(&mut random);
            let struck = if over_bad_links { scene.strike_over_bad_links(fault) } else { scene.strike(fault) };
            struck.unwrap_or_else(|wrong| panic!("FLUMEN_TEST_SEED={seed}, fault {faults}, {fault:?}: {wrong}"));
            faults += 1;
        }
        scene.end();
        rounds += 1;
    }
    println!("{faults} faults");
}

/// Any fault, and whether it comes over bad links: one in three of those that do not need the links for themselves.
fn any(random: &mut Random) -> (Fault, bool) {
    let mut below = |end: usize| usize::try_from(random.below(end as u64)).unwrap();
    let who = [Who::Leader, Who::Follower, Who::Controller][below(3)];
    let how = [How::Clean, How::Hard][below(2)];
    let way = [Way::Both, Way::Out, Way::In][below(3)];
    let faults = [
        Fault::Stop(who, how),
        Fault::Bounce(who, how),
        Fault::Pause(who),
        Fault::Partition(who, way),
        Fault::Quarrel,
        Fault::Alone(who),
        Fault::SlowLinks,
        Fault::LossyLinks,
        Fault::FullDisk(who),
        Fault::WipedDisk(who),
        Fault::TwoDown,
        Fault::AllKilled,
        Fault::RollingRestart,
        Fault::Guest([None, Some(How::Clean), Some(How::Hard)][below(3)]),
    ];
    let fault = faults[below(faults.len())];
    (fault, below(3) == 0 && !fault.has_links_of_its_own())
}

/// The same seed, the same faults; and each kind comes, alone and over bad links.
#[test]
fn a_seed_chooses_the_faults() {
    let faults = |seed| {
        let mut random = Random(seed);
        (0..500).map(|_| any(&mut random)).collect::<Vec<(Fault, bool)>>()
    };
    assert_eq!(faults(7), faults(7));
    assert_ne!(faults(7), faults(8));
    let kind = |(fault, over): &(Fault, bool)| format!("{} {over}", format!("{fault:?}").split('(').next().unwrap());
    let kinds: std::collections::BTreeSet<String> = faults(7).iter().map(kind).collect();
    assert_eq!(kinds.len(), 14 + 9, "{kinds:?}");
}
