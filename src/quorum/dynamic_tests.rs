//! Voters that come and go (KIP-853), in the world of `cluster_tests`.

use super::cluster_tests::{Asked, DIR, PATIENCE, Three, Work, often};
use super::members;
use super::tests::how;
use super::*;
use crate::io::sim::{Crash, Options};
use crate::record::Batch;
use std::time::Duration;

/// Far less than any follower waits for a leader that it does not hear: 500 ms and more.
const HAND_OVER: Duration = Duration::from_millis(300);

/// Nodes 1 to 3, of which these are the first voters.
fn three(seed: u64, snapshots: SnapshotPolicy, first: &[i32]) -> Three {
    Three { first_voters: Some(first.to_vec()), ..Three::new(seed, Options::default(), snapshots) }
}

impl Three {
    /// Has the voters changed by whoever leads, and what came of it.
    fn change(&self, asked: Asked) -> Result<(), String> {
        self.watched.borrow_mut().asked = Some(asked);
        let answered = || !self.watched.borrow().answers.is_empty();
        assert!(self.world.run_until(2 * PATIENCE, answered), "{asked:?} is not answered");
        self.watched.borrow_mut().answers.remove(0)
    }

    /// Runs until a node has what has been decided just now.
    fn follows(&self, id: i32) {
        let most = self.watched.borrow().ends.values().max().copied().unwrap();
        let has_it = || self.watched.borrow().ends.get(&id).is_some_and(|end| *end >= most);
        assert!(self.world.run_until(PATIENCE, has_it), "node {id} does not follow");
    }

    /// The voters that a node's log names, each time.
    fn named(&self, id: i32) -> Vec<Vec<u64>> {
        let log = self.log(id);
        let named = log.values().filter_map(|bytes| members::named_in(&Batch::parse(bytes).unwrap()).unwrap());
        named.map(|members| members.voter_ids().collect()).collect()
    }

    fn crash_and_wipe(&self, id: i32) {
        self.crash(id, Crash::Kill);
        let disk = self.world.disk(self.host(id));
        for file in disk.files() {
            assert!(disk.remove(file));
        }
        self.disks.borrow_mut().insert(id, 100 + id as u8);
    }
}

#[test]
fn a_single_controller_becomes_three_that_can_do_without_it() {
    for (seed, snapshots) in [(1, how(Path::new(DIR)).snapshots), (2, often())] {
        let three = three(seed, snapshots, &[1]);
        three.start(1, Work::Decide);
        three.progress("alone");
        assert!(three.change(Asked::Add(2, 2)).unwrap_err().contains("lagging behind"), "it does not run yet");
        for id in [2, 3] {
            three.start(id, Work::Decide);
            three.follows(id);
            assert_eq!(three.change(Asked::Add(id, id as u8)), Ok(()));
        }
        assert!(three.change(Asked::Add(2, 2)).unwrap_err().contains("already part"));
        assert!(three.change(Asked::Remove(2, 3)).unwrap_err().contains("no voter"), "it has another disk");
        if snapshots == how(Path::new(DIR)).snapshots {
            let named = three.named(2);
            assert_eq!((&named[0], named.last().unwrap()), (&vec![1], &vec![1, 2, 3]));
        }
        three.crash(1, Crash::PowerLoss);
        three.progress("without the first");
        three.start(1, Work::Decide);
        three.progress("with it");
        three.settle();
        assert!(three.compare_logs() > 0);
    }
}

#[test]
fn a_leader_that_is_taken_out_hands_over_first_and_goes_on_reading() {
    let three = three(3, how(Path::new(DIR)).snapshots, &[1, 2, 3]);
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    let old = three.leader().unwrap();
    three.watched.borrow_mut().asked = Some(Asked::Remove(old, old as u8));
    let another = || three.leader().is_some_and(|leader| leader != old);
    assert!(three.world.run_until(HAND_OVER, another), "nobody took over before a timeout");
    let answered = || !three.watched.borrow().answers.is_empty();
    assert!(three.world.run_until(PATIENCE, answered), "it is not taken out");
    assert_eq!(three.watched.borrow_mut().answers.remove(0), Ok(()));
    assert!(another(), "whoever took over leads on");
    three.progress("with two");
    three.world.run_for(Duration::from_secs(5));
    three.follows(old);
    assert_ne!(three.leader(), Some(old));
    // It does not count: of the two that are left, both are needed.
    let other = three.leader().unwrap();
    three.crash(other, Crash::Kill);
    three.world.run_for(Duration::from_secs(10));
    assert_eq!(three.leader(), None);
    three.start(other, Work::Decide);
    three.progress("both again");
    assert_eq!(three.change(Asked::Add(old, old as u8)), Ok(()));
    three.crash(three.leader().unwrap(), Crash::Kill);
    three.progress("it counts again");
    (1..=3).filter(|id| !three.world.is_running(three.host(*id))).for_each(|id| three.start(id, Work::Decide));
    three.settle();
    three.compare_logs();
}

/// A voter that has lost its disk has lost its vote with it: it could give it twice in an epoch, and its log is gone.
#[test]
fn a_voter_with_a_new_disk_is_none_until_it_is_added_again() {
    let three = three(4, how(Path::new(DIR)).snapshots, &[1, 2, 3]);
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    let leader = three.leader().unwrap();
    let (wiped, other) = ((leader % 3) + 1, (leader + 1) % 3 + 1);
    three.crash_and_wipe(wiped);
    three.start(wiped, Work::Decide);
    three.progress("two of three");
    three.crash(other, Crash::Kill);
    three.world.run_for(Duration::from_secs(10));
    assert_eq!(three.leader(), None, "one voter and one that was");
    three.start(other, Work::Decide);
    three.progress("two of three again");
    assert_eq!(three.change(Asked::Remove(wiped, wiped as u8)), Ok(()));
    three.follows(wiped);
    assert_eq!(three.change(Asked::Add(wiped, 100 + wiped as u8)), Ok(()));
    three.crash(three.leader().unwrap(), Crash::PowerLoss);
    three.progress("with the new disk");
}

/// Nobody that was formatted to join elects itself, and whole clusters come back as what they were.
#[test]
fn who_is_not_named_waits_and_who_is_named_is_after_any_restart() {
    let three = three(5, often(), &[1, 2]);
    three.start(3, Work::Decide);
    three.world.run_for(Duration::from_secs(10));
    assert_eq!(three.leader(), None);
    (1..=2).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    three.follows(3);
    for round in 0..4 {
        let changed = if round % 2 == 0 { Asked::Add(3, 3) } else { Asked::Remove(3, 3) };
        assert_eq!(three.change(changed), Ok(()));
        three.world.run_for(Duration::from_secs(1));
        (1..=3).for_each(|id| three.crash(id, Crash::PowerLoss));
        (1..=3).for_each(|id| three.start(id, Work::Decide));
        three.progress("after the power came back");
        three.follows(3);
    }
    three.settle();
    three.compare_logs();
}
