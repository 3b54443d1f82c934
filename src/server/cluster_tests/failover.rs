//! How long a broker that does not answer goes on to lead: no time to speak of if its process is gone, a session in any other case.

use super::*;

/// All that a client may wait for a new leader when a process is gone.
const AT_ONCE: Duration = Duration::from_millis(500);
/// `broker.session.timeout.ms` by default, and the heartbeat interval before its last heartbeat.
const SESSION: Duration = Duration::from_secs(9);
const INTERVAL: Duration = Duration::from_secs(2);

/// A controller and three brokers; the topic has its replicas on all.
fn stage(more: &[(i32, &str, &str)]) -> Stage {
    let stage = Stage::with(21, &["controller", "broker", "broker", "broker"], more);
    stage.start_all();
    for asked in [2, 3, 4] {
        stage.await_brokers(asked, &[2, 3, 4]);
    }
    replicated(&stage, 2, &[2, 3, 4]);
    stage
}

/// Has a topic of six partitions whose replicas are on `brokers`, all in sync.
fn replicated(stage: &Stage, asked: i32, brokers: &[i32]) {
    let topic = CreatableTopic { name: "t".into(), num_partitions: 6, replication_factor: 3, ..CreatableTopic::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    assert_eq!(stage.ask(asked, CLIENTS, 7, request).unwrap().topics[0].error_code, 0);
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    stage.await_answer(asked, CLIENTS, 12, &request, |answer| {
        let topic = answer.topics.iter().find(|one| one.name.as_deref() == Some("t"));
        topic.is_some_and(|topic| topic.partitions.iter().all(|partition| partition.isr_nodes.len() == brokers.len()))
    });
}

/// Time until a broker tells clients that `gone` leads nothing.
fn until_others_lead(stage: &Stage, asked: i32, gone: i32) -> Duration {
    let began = stage.world.now();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    for _ in 0..10_000 {
        let answer = stage.ask_within(SHORT, asked, CLIENTS, 12, request.clone()).expect("it is alive");
        let topic = answer.topics.iter().find(|one| one.name.as_deref() == Some("t")).unwrap();
        if topic.partitions.iter().all(|partition| partition.leader_id >= 1 && partition.leader_id != gone) {
            return stage.world.now().since(began);
        }
        stage.world.run_for(Duration::from_millis(5));
    }
    panic!("broker {gone} leads on");
}

fn is_by_session(took: Duration) -> bool {
    (SESSION - INTERVAL..SESSION + INTERVAL).contains(&took)
}

#[test]
fn who_is_killed_is_fenced_at_once_and_may_come_back_at_once() {
    let stage = stage(&[]);
    stage.world.crash(stage.get(2).host, Crash::Kill);
    let took = until_others_lead(&stage, 3, 2);
    assert!(took < AT_ONCE, "{took:?}");
    // The next incarnation does not wait for the end of a session either.
    let began = stage.world.now();
    stage.start(2);
    stage.await_brokers(3, &[2, 3, 4]);
    let took = stage.world.now().since(began);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn all_brokers_but_one_may_go_at_once() {
    let stage = stage(&[]);
    stage.world.crash(stage.get(2).host, Crash::Kill);
    stage.world.crash(stage.get(4).host, Crash::Kill);
    let took = until_others_lead(&stage, 3, 2) + until_others_lead(&stage, 3, 4);
    assert!(took < AT_ONCE, "{took:?}");
}

/// Kills a broker, starts it again before anybody has looked whether its address refuses, and waits until the others take its place: each
/// partition has another epoch or another leader than before.
fn until_it_is_replaced(stage: &Stage) -> Duration {
    let before: Vec<(i32, i32)> = leaders(stage, 3);
    stage.world.crash(stage.get(2).host, Crash::Kill);
    stage.start(2);
    let began = stage.world.now();
    let lags = |now: &(i32, i32), before: &(i32, i32)| before.0 == 2 && (now == before || now.0 < 2);
    while leaders(stage, 3).iter().zip(&before).any(|(now, before)| lags(now, before)) {
        assert!(stage.world.now().since(began) < Duration::from_secs(60), "broker 2 leads on");
        stage.world.run_for(Duration::from_millis(5));
    }
    stage.await_brokers(3, &[2, 3, 4]);
    stage.await_leaders(3, "t", |leader| leader >= 2);
    stage.world.now().since(began)
}

#[test]
fn who_is_started_again_before_anybody_has_looked_is_replaced_at_once() {
    let took = until_it_is_replaced(&stage(&[]));
    assert!(took < Duration::from_secs(2), "{took:?}");
    // Where that is turned off, its registration waits for the end of the session.
    let took = until_it_is_replaced(&stage(&[(0, "flumen.fence.on.refusal.enable", "false")]));
    assert!(took > SESSION - INTERVAL && took < SESSION + 2 * INTERVAL, "{took:?}");
}

#[test]
fn a_pause_is_judged_by_the_session() {
    let stage = stage(&[]);
    stage.world.pause(stage.get(2).host, Duration::from_secs(60));
    let took = until_others_lead(&stage, 3, 2);
    assert!(is_by_session(took), "{took:?}");
}

#[test]
fn a_partition_is_judged_by_the_session() {
    let stage = stage(&[]);
    for other in [1, 3, 4] {
        stage.world.partition(stage.get(2).host, stage.get(other).host);
    }
    let took = until_others_lead(&stage, 3, 2);
    assert!(is_by_session(took), "{took:?}");
}

#[test]
fn a_machine_without_power_is_judged_by_the_session() {
    let stage = stage(&[]);
    stage.world.crash(stage.get(2).host, Crash::PowerLoss);
    let took = until_others_lead(&stage, 3, 2);
    assert!(is_by_session(took), "{took:?}");
}

#[test]
fn nobody_is_fenced_at_once_where_it_is_turned_off() {
    let stage = stage(&[(0, "flumen.fence.on.refusal.enable", "false")]);
    stage.world.crash(stage.get(2).host, Crash::Kill);
    let took = until_others_lead(&stage, 3, 2);
    assert!(is_by_session(took), "{took:?}");
}

/// Leaders of the topic, as a broker tells them.
fn leaders(stage: &Stage, asked: i32) -> Vec<(i32, i32)> {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let answer = stage.ask_within(SHORT, asked, CLIENTS, 12, request).unwrap();
    let topic = answer.topics.into_iter().find(|one| one.name.as_deref() == Some("t")).unwrap();
    topic.partitions.iter().map(|partition| (partition.leader_id, partition.leader_epoch)).collect()
}

#[test]
fn a_connection_that_breaks_says_nothing() {
    let stage = stage(&[]);
    let before = leaders(&stage, 3);
    for _ in 0..5 {
        assert!(stage.world.reset_connections(stage.get(1).host, stage.get(2).host) > 0);
        stage.world.run_for(Duration::from_secs(2));
    }
    assert_eq!(leaders(&stage, 3), before);
}

/// Where broker 3 says that it is, nobody listens; it lives all the same.
#[test]
fn who_lives_behind_an_address_that_refuses_is_heard_of_in_time() {
    let mut stage = Stage::new(22, &["controller", "broker"]);
    let elsewhere = [("advertised.listeners", "PLAINTEXT://node1:9092")];
    let third = Stage::node(&stage.world, 3, "broker", &format!("1@node1:{CONTROLLERS}"), &elsewhere);
    stage.nodes.push(third);
    stage.start_all();
    stage.await_brokers(2, &[2, 3]);
    assert_eq!(stage.create_topic(2, "t", 6), 0);
    stage.await_leaders(2, "t", |leader| leader >= 2);
    let before = leaders(&stage, 2);
    assert!(before.iter().any(|(leader, _)| *leader == 3));
    for _ in 0..20 {
        stage.world.reset_connections(stage.get(1).host, stage.get(3).host);
        stage.world.run_for(Duration::from_millis(700));
    }
    assert_eq!(leaders(&stage, 2), before);
}

#[test]
fn a_new_controller_finds_out_who_went_with_the_old_one() {
    let stage = combined(23);
    replicated(&stage, 1, &[1, 2, 3]);
    let dead = leader_of(&stage, 1);
    let asked = [1, 2, 3].into_iter().find(|id| *id != dead).unwrap();
    stage.world.crash(stage.get(dead).host, Crash::Kill);
    let began = stage.world.now();
    stage.describe_quorum(asked, CLIENTS, |answer| {
        let partition = &answer.topics[0].partitions[0];
        partition.error_code == 0 && partition.leader_id != dead
    });
    let elected = stage.world.now().since(began);
    let took = until_others_lead(&stage, asked, dead);
    assert!(took < AT_ONCE, "{took:?} after an election of {elected:?}");
}
