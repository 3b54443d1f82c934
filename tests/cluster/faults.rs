//! The fault matrix on real processes: each row on a cluster under load, checked after each fault, read from every replica at the end.
//! [`short`](crate::short) has the smaller one that every change must pass.

use crate::checker::Checker;
use crate::nodes::{Cluster, Layout, Roles, SESSION_TIMEOUT};
use crate::scene::{Fault, How, Scene, Way, Who, create};
use std::time::{Duration, Instant};

/// Log dirs of their own, which can be filled.
const WITH_DISKS: Layout<'static> = Layout { disk_mib: Some(512), ..Layout::THREE };

/// Kafka's replication matrix: {clean, hard} x {stop, bounce} of leader, follower and controller.
#[test]
fn the_replication_matrix() {
    let mut matrix = Vec::new();
    for who in [Who::Leader, Who::Follower, Who::Controller] {
        for how in [How::Clean, How::Hard] {
            matrix.extend([Fault::Stop(who, how), Fault::Bounce(who, how)]);
        }
    }
    Scene::play("matrix", &Layout::THREE, matrix);
}

#[test]
fn pauses() {
    Scene::play("pauses", &Layout::THREE, [Who::Leader, Who::Follower, Who::Controller].map(Fault::Pause));
}

#[test]
fn partitions() {
    let mut faults = Vec::new();
    for who in [Who::Leader, Who::Controller] {
        faults.extend([Way::Both, Way::Out, Way::In].map(|way| Fault::Partition(who, way)));
    }
    faults.extend([Fault::Quarrel, Fault::Alone(Who::Leader), Fault::Alone(Who::Controller)]);
    Scene::play("partitions", &Layout::THREE, faults);
}

#[test]
fn bad_links() {
    Scene::play("links", &Layout::THREE, [Fault::SlowLinks, Fault::LossyLinks]);
}

#[test]
fn disks() {
    let faults = [
        Fault::FullDisk(Who::Leader),
        Fault::FullDisk(Who::Follower),
        Fault::WipedDisk(Who::Leader),
        Fault::WipedDisk(Who::Follower),
    ];
    Scene::play("disks", &WITH_DISKS, faults);
}

#[test]
fn most_nodes_and_all_nodes() {
    Scene::play("most", &Layout::THREE, [Fault::TwoDown, Fault::AllKilled]);
}

/// With controllers on machines of their own: the brokers go on without them, and when they are back, they decide again.
#[test]
fn two_of_three_controllers_down_and_back() {
    let roles = [[Roles::Broker; 3], [Roles::Controller; 3]].concat();
    let mut scene = Scene::new("controllers", &Layout { roles: &roles, ..Layout::THREE });
    let active = scene.find(Who::Controller);
    let other = scene.cluster.controllers().into_iter().find(|node| *node != active).expect("another controller");
    scene.checker.report.inject("two of three controllers are killed", &format!("{active} (active) and {other}"));
    [active, other].iter().for_each(|node| scene.down(*node, How::Hard));
    scene.progress_for(Duration::from_secs(15), "without controllers").unwrap_or_else(|wrong| panic!("{wrong}"));
    scene.come_back(Fault::TwoDown, &[active, other]).unwrap_or_else(|wrong| panic!("with controllers again: {wrong}"));
    create(&scene.cluster, "afterwards", &[&[3, 2, 1]], &[]);
    for fault in [Fault::Stop(Who::Leader, How::Hard), Fault::Bounce(Who::Controller, How::Hard)] {
        scene.strike(fault).unwrap_or_else(|wrong| panic!("{fault:?}: {wrong}"));
    }
    scene.end();
}

/// A broker joins and gets replicas, another dies while they move; then it is emptied and leaves.
#[test]
fn members_come_and_go() {
    let mut scene = Scene::new("members", &Layout { spare_hosts: 1, ..Layout::THREE });
    for fault in [Fault::Guest(None), Fault::Guest(Some(How::Clean)), Fault::Guest(Some(How::Hard))] {
        scene.strike(fault).unwrap_or_else(|wrong| panic!("{fault:?}: {wrong}"));
    }
    scene.end();
}

/// The checker can fail: a topic with one replica, whose log is taken away behind its back.
#[test]
fn the_checker_notices_a_log_that_is_lost() {
    let mut cluster = Cluster::start("loss", &Layout::THREE);
    create(&cluster, "single", &[&[3]], &[("min.insync.replicas", "1")]);
    let mut checker = Checker::start("loss", &cluster, "single");
    assert_eq!(checker.promise.disks(), 0, "no replica may be lost");
    checker.await_progress(&cluster, Duration::from_secs(60)).unwrap();
    checker.check().unwrap();
    cluster.kill(3);
    cluster.lose_replica(3, "single", 0);
    cluster.start_again(3);
    let deadline = Instant::now() + Duration::from_secs(90);
    let wrong = loop {
        match checker.check() {
            Err(wrong) => break wrong,
            Ok(()) => assert!(Instant::now() < deadline, "the checker is content with a log that was lost"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    // By the reader, by the acks, or because another record is where one was.
    let losses = ["out of range", "was acked at offset", "and is served up to", "and is Identity"];
    assert!(losses.iter().any(|loss| wrong.contains(loss)), "another complaint: {wrong}");
    checker.report.inject("a log is taken away from its only replica", "");
    checker.report.end(&format!("it is noticed: {wrong}"));
}

/// The check of time can fail: a broker that led is gone, and is not missed for longer than is allowed.
#[test]
fn the_checker_notices_a_cluster_that_goes_on_too_late() {
    let settings = [("broker.session.timeout.ms", "60000"), ("flumen.fence.on.refusal.enable", "false")];
    let mut cluster = Cluster::start("late", &Layout { settings: &settings, ..Layout::THREE });
    create(&cluster, "late", &[&[1, 2, 3], &[2, 3, 1]], &[("min.insync.replicas", "2")]);
    let mut checker = Checker::start("late", &cluster, "late");
    checker.await_progress(&cluster, Duration::from_secs(60)).unwrap();
    let leader = cluster.leader("late", 0);
    cluster.kill(leader);
    let since = Instant::now();
    let wrong = checker.await_newcomers(&cluster, since, SESSION_TIMEOUT).expect_err("nobody leads partition 0");
    assert!(since.elapsed() >= SESSION_TIMEOUT && wrong.contains("no progress of partitions [0"), "another complaint: {wrong}");
    checker.report.inject("a broker is gone and not missed for a minute", "");
    checker.report.end(&format!("it is noticed: {wrong}"));
}
