//! What Flumen has beyond Kafka's tools: a balancer, and a command that empties a broker. Both go by Kafka's own requests, so that they
//! do the same for Apache Kafka's brokers.

use crate::checker::Checker;
use crate::nodes::{Cluster, Layout, Roles, SETTLE_LIMIT};
use crate::scene;
use crate::support::process;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

const TOPIC: &str = "uneven";
/// All on three brokers of four, and the first leads all.
const PLACES: [&[i32]; 6] = [&[1, 2, 3]; 6];
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// What `flumen cluster` prints.
fn flumen(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.arg("cluster").args(arguments).args(["--bootstrap-server", &cluster.bootstrap()]);
    String::from_utf8(process::run_ok(&mut command, b"", COMMAND_LIMIT)).expect("text")
}

fn replicas(cluster: &Cluster) -> Vec<Vec<i32>> {
    cluster.partitions(TOPIC).iter().map(|partition| partition.replica_nodes.clone()).collect()
}

/// How many lines say what becomes of a partition.
fn explained(said: &str) -> usize {
    said.lines().filter(|line| line.contains(" becomes ") && line.contains("broker ")).count()
}

#[test]
fn a_cluster_is_balanced_and_a_broker_emptied_under_load() {
    let roles = [Roles::Both, Roles::Both, Roles::Both, Roles::Broker];
    let cluster = Cluster::start("balancing", &Layout { roles: &roles, ..Layout::THREE });
    scene::create(&cluster, TOPIC, &PLACES, &[("min.insync.replicas", "2")]);
    let mut checker = Checker::start("balancing", &cluster, TOPIC);
    let go_on = |when: &str, checker: &mut Checker| {
        let checked = checker.await_progress(&cluster, SETTLE_LIMIT).and_then(|_| checker.check());
        checked.unwrap_or_else(|wrong| panic!("{when}: {wrong}"));
    };
    go_on("at first", &mut checker);

    let said = flumen(&cluster, &["balance", "--measure", "3", "--dry-run"]);
    assert!(explained(&said) > 0 && said.contains("B/s"), "{said}");
    assert_eq!(replicas(&cluster), PLACES, "nothing is done: {said}");

    checker.report.inject("balance", "");
    let said = flumen(&cluster, &["balance", "--measure", "3"]);
    cluster.await_in_sync(TOPIC);
    let now = replicas(&cluster);
    let moved = now.iter().filter(|replicas| replicas[..] != PLACES[0][..]).count();
    assert!(explained(&said) >= moved, "each move is explained: {said}");
    let preferred: BTreeSet<i32> = now.iter().map(|replicas| replicas[0]).collect();
    assert!(preferred.len() >= 3, "no broker leads nearly all any more: {now:?} {said}");
    assert!(now.iter().flatten().any(|broker| *broker == 4), "the new broker has its share: {now:?} {said}");
    go_on("after the balancing", &mut checker);

    checker.report.inject("drain", "broker 4");
    let said = flumen(&cluster, &["drain", "4"]);
    assert!(said.contains("Broker 4 has no replicas."), "{said}");
    cluster.await_everywhere("no replica is on the broker", &[TOPIC], |answer| {
        answer.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| !partition.replica_nodes.contains(&4))
    });
    cluster.await_in_sync(TOPIC);
    go_on("after the drain", &mut checker);
    checker.finish(&cluster).unwrap_or_else(|wrong| panic!("at the end: {wrong}"));
}
