//! What the settings of a cluster do, each seen on whole nodes: a test fails if its keys are not obeyed.

use super::*;
use crate::io::Mono;
use crate::io::sim::{DiskFault, DiskOp};
use crate::model::TopicId;
use crate::protocol::api::Audience;
use crate::protocol::frame::RequestFrame;
use crate::protocol::generated::api_versions_response::ApiVersion;
use crate::protocol::generated::create_topics_request::{CreatableReplicaAssignment, CreatableTopicConfig};
use crate::protocol::generated::fetch_response::{FetchableTopicResponse, LeaderIdAndEpoch, PartitionData as FetchedPartition};
use crate::protocol::generated::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::protocol::generated::metadata_response::MetadataResponsePartition;
use crate::protocol::generated::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::generated::{
    ApiKey, ApiVersionsResponse, BrokerRegistrationRequest, FetchRequest, FetchResponse, IncrementalAlterConfigsRequest,
    ProduceRequest,
};
use crate::protocol::{Chunk, Message as _, Records};
use crate::record::{BatchBuilder, Compression};

const SECOND: Duration = Duration::from_secs(1);

/// A controller, and brokers 2, 3 and so on.
pub(super) fn brokers(seed: u64, count: usize, settings: &[(i32, &str, &str)]) -> Stage {
    let roles: Vec<&str> = std::iter::once("controller").chain(std::iter::repeat_n("broker", count)).collect();
    let stage = Stage::with(seed, &roles, settings);
    stage.start_all();
    stage
}

impl Stage {
    /// Creates a topic of one partition on these brokers, the first of which leads.
    pub(super) fn create_on(&self, asked: i32, name: &str, replicas: &[i32], configs: &[(&'static str, &'static str)]) {
        let assignments = vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas.to_vec() }];
        let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
        };
        let configs = configs.iter().map(config).collect();
        let topic = CreatableTopic { name: name.into(), num_partitions: -1, replication_factor: -1, assignments, configs };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        assert_eq!(self.ask(asked, CLIENTS, 7, request).unwrap().topics[0].error_code, 0);
    }

    /// Waits until a broker tells of the first partition of a topic what is wanted; how long it took.
    pub(super) fn await_partition(
        &self,
        asked: i32,
        topic: &str,
        is_wanted: impl Fn(&MetadataResponsePartition) -> bool,
    ) -> Duration {
        let (began, request) = (self.world.now(), MetadataRequest { topics: None, ..MetadataRequest::default() });
        self.await_answer(asked, CLIENTS, 12, &request, |answer| {
            let topic = answer.topics.iter().find(|one| one.name.as_deref() == Some(topic));
            topic.is_some_and(|topic| is_wanted(&topic.partitions[0]))
        });
        self.world.now().since(began)
    }

    pub(super) fn leader_of_partition(&self, asked: i32, topic: &str) -> i32 {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let answer = self.ask(asked, CLIENTS, 12, request).unwrap();
        answer.topics.iter().find(|one| one.name.as_deref() == Some(topic)).unwrap().partitions[0].leader_id
    }

    /// Sets a config of one broker, or of all ("").
    pub(super) fn set(&self, asked: i32, broker: &'static str, name: &'static str, value: &'static str) {
        let config = AlterableConfig { name: name.into(), config_operation: 0, value: Some(value.into()) };
        let resource = AlterConfigsResource { resource_type: 4, resource_name: broker.into(), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = self.ask(asked, CLIENTS, 1, request).unwrap();
        assert_eq!((answer.responses[0].error_code, answer.responses[0].error_message.as_deref()), (0, None));
    }

    /// Produces one record with acks=all.
    fn produce(&self, asked: i32, topic: &'static str) -> i16 {
        let address = self.address(asked, CLIENTS);
        let answer = self.world.run(self.client, move |io| async move {
            let mut builder = BatchBuilder::new(Compression::NONE);
            builder.append(io.wall_clock_ms(), None, Some(b"value"));
            let partition = PartitionProduceData { index: 0, records: Records::Bytes(builder.build()) };
            let topic = TopicProduceData { name: topic.into(), topic_id: TopicId::ZERO, partition_data: vec![partition] };
            let request = ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 20_000, topic_data: vec![topic] };
            ask(io, LONG, address, 9, request).await
        });
        answer.map_or(CLOSED, |answer| answer.responses[0].partition_responses[0].error_code)
    }

    /// Which of these controllers leads, as soon as one does: it alone can say how far the others are.
    fn await_leader_among(&self, controllers: &[i32]) -> i32 {
        let partitions = vec![PartitionData { partition_index: 0, ..PartitionData::default() }];
        let request = DescribeQuorumRequest { topics: vec![TopicData { topic_name: "__cluster_metadata".into(), partitions }] };
        for _ in 0..1_000 {
            let answer_of = |id| self.ask_within(SHORT, id, CONTROLLERS, 2, request.clone());
            let leads = |id: &i32| answer_of(*id).is_some_and(|answer| answer.topics[0].partitions[0].error_code == 0);
            if let Some(leader) = controllers.iter().find(|id| leads(id)) {
                return *leader;
            }
            self.world.run_for(SECOND / 20);
        }
        panic!("no controller leads");
    }

    /// How long a node goes on before it ends with an error, and which.
    fn await_failure(&self, id: i32) -> (Duration, String) {
        let (began, ended) = (self.world.now(), self.get(id).ended.clone());
        assert!(self.world.run_until(Duration::from_secs(90), || ended.borrow().is_some()), "node {id} goes on");
        let why = ended.borrow().clone().unwrap().expect_err("it fails");
        (self.world.now().since(began), why)
    }
}

#[test]
fn brokers_are_heard_of_as_often_and_missed_as_soon_as_the_settings_say() {
    let settings = [
        (1, "broker.session.timeout.ms", "3000"),
        (2, "broker.heartbeat.interval.ms", "500"),
        (3, "broker.heartbeat.interval.ms", "5000"),
    ];
    let stage = brokers(101, 2, &settings);
    stage.await_brokers(2, &[2, 3]);
    let (mut was_there, mut gone) = (true, 0);
    for _ in 0..250 {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let answer = stage.ask(2, CLIENTS, 12, request).unwrap();
        let is_there = |id| answer.brokers.iter().any(|broker| broker.node_id == id);
        assert!(is_there(2), "it is heard of six times within a session");
        gone += i32::from(was_there && !is_there(3));
        was_there = is_there(3);
        stage.world.run_for(SECOND / 10);
    }
    // Its session is over 3 s after each of its heartbeats, of which there is one every 5 s.
    assert!((4..=6).contains(&gone), "{gone} times within 25 s");
}

#[test]
fn a_broker_waits_for_its_registration_as_long_as_the_settings_say() {
    let stage = Stage::with(102, &["controller", "broker"], &[(2, "initial.broker.registration.timeout.ms", "5000")]);
    stage.start(2);
    let (took, why) = stage.await_failure(2);
    assert!(why.contains("5000 ms") && took >= 5 * SECOND && took < 6 * SECOND, "{took:?}: {why}");
}

#[test]
fn a_broker_takes_its_leave_if_the_settings_say_so() {
    for (value, takes_leave) in [("true", true), ("false", false)] {
        let stage = brokers(103, 2, &[(2, "controlled.shutdown.enable", value)]);
        stage.await_brokers(2, &[2, 3]);
        // A controller that says nothing is waited for, until it must have fenced this broker.
        stage.world.partition(stage.get(1).host, stage.get(2).host);
        let took = stage.stop(2);
        assert_eq!(took > 8 * SECOND, takes_leave, "{took:?}");
        assert!(takes_leave || took < 3 * SECOND, "{took:?}");
    }
}

#[test]
fn leaderships_go_back_to_the_preferred_replicas_when_the_settings_say() {
    for (value, go_back) in [("true", true), ("false", false)] {
        let settings = [(1, "auto.leader.rebalance.enable", value), (1, "leader.imbalance.check.interval.seconds", "40")];
        let stage = brokers(104, 2, &settings);
        stage.await_brokers(3, &[2, 3]);
        stage.create_on(3, "events", &[2, 3], &[]);
        stage.await_partition(3, "events", |partition| partition.leader_id == 2);
        stage.stop(2);
        stage.await_partition(3, "events", |partition| partition.leader_id == 3);
        stage.start(2);
        stage.await_partition(3, "events", |partition| partition.isr_nodes.len() == 2);
        assert_eq!(stage.leader_of_partition(3, "events"), 3, "not before somebody looks");
        stage.world.run_for(41 * SECOND);
        assert_eq!(stage.leader_of_partition(3, "events") == 2, go_back);
    }
}

/// Partitions whose last in-sync replica, broker 2, is gone, and whose other one, broker 3, is back. Broker 4 tells.
fn only_an_old_replica_is_left(
    seed: u64,
    settings: &[(i32, &str, &str)],
    topics: &[(&str, &[(&'static str, &'static str)])],
) -> Stage {
    let stage = brokers(seed, 3, settings);
    stage.await_brokers(4, &[2, 3, 4]);
    for (name, configs) in topics {
        stage.create_on(4, name, &[2, 3], configs);
    }
    stage.world.crash(stage.get(3).host, Crash::PowerLoss);
    for (name, _) in topics {
        stage.await_partition(4, name, |partition| partition.isr_nodes == [2]);
    }
    stage.world.crash(stage.get(2).host, Crash::PowerLoss);
    for (name, _) in topics {
        stage.await_partition(4, name, |partition| partition.leader_id == -1);
    }
    stage.start(3);
    stage.await_brokers(4, &[3, 4]);
    stage
}

#[test]
fn a_replica_that_lacks_records_leads_only_if_the_settings_say_so() {
    // What the controller's file says holds where a topic says nothing; nobody waits for the schedule.
    let key = "unclean.leader.election.enable";
    let topics: &[(&str, &[(&str, &str)])] = &[("loses", &[]), ("waits", &[("unclean.leader.election.enable", "false")])];
    let stage = only_an_old_replica_is_left(105, &[(1, key, "true")], topics);
    let took = stage.await_partition(4, "loses", |partition| partition.leader_id == 3 && partition.isr_nodes == [3]);
    assert!(took < SECOND, "{took:?}");
    stage.world.run_for(5 * SECOND);
    assert_eq!(stage.leader_of_partition(4, "waits"), -1);

    // What is set while it runs is taken into use by the schedule.
    let topics: &[(&str, &[(&str, &str)])] = &[("waits", &[]), ("loses", &[("unclean.leader.election.enable", "true")])];
    let settings = [(1, "unclean.leader.election.interval.ms", "20000")];
    let stage = only_an_old_replica_is_left(106, &settings, topics);
    stage.await_partition(4, "loses", |partition| partition.leader_id == 3);
    stage.world.run_for(25 * SECOND);
    assert_eq!(stage.leader_of_partition(4, "waits"), -1);
    stage.set(4, "", key, "true");
    let took = stage.await_partition(4, "waits", |partition| partition.leader_id == 3);
    assert!(took < 21 * SECOND, "{took:?}");
}

#[test]
fn a_failed_log_dir_ends_a_broker_that_cannot_tell_the_controller_as_soon_as_the_settings_say() {
    let settings = [
        (2, "log.dirs", "/data,/more"),
        (2, "log.flush.offset.checkpoint.interval.ms", "1000"),
        (2, "log.dir.failure.timeout.ms", "5000"),
    ];
    let stage = brokers(107, 1, &settings);
    stage.await_brokers(2, &[2]);
    assert_eq!(stage.create_topic(2, "events", 4), 0);
    let host = stage.get(2).host;
    stage.world.partition(stage.get(1).host, host);
    stage.world.fail_disk(host, DiskFault { path_contains: "/more".into(), times: u32::MAX, ..DiskFault::next(DiskOp::Write) });
    let (took, why) = stage.await_failure(2);
    assert!(why.contains("within 5000 ms") && took >= 5 * SECOND && took < 8 * SECOND, "{took:?}: {why}");
}

#[test]
fn a_leader_of_the_quorum_is_missed_as_soon_as_the_settings_say() {
    let (fetch, election) = ("controller.quorum.fetch.timeout.ms", "controller.quorum.election.timeout.ms");
    for (settings, is_soon) in [
        (&[][..], true),
        (&[(0, fetch, "12000"), (0, election, "60000")], false),
        (&[(0, fetch, "60000"), (0, election, "6000")], false),
    ] {
        let stage = Stage::with(108, &["controller"; 3], settings);
        stage.start_all();
        let gone = stage.await_leader_among(&[1, 2, 3]);
        stage.world.run_for(30 * SECOND);
        assert_eq!(stage.await_leader_among(&[1, 2, 3]), gone);
        stage.world.crash(stage.get(gone).host, Crash::PowerLoss);
        let began = stage.world.now();
        stage.await_leader_among(&[1, 2, 3].into_iter().filter(|id| *id != gone).collect::<Vec<_>>());
        let took = stage.world.now().since(began);
        assert!(if is_soon { took < 4 * SECOND } else { took > 5 * SECOND }, "{settings:?}: {took:?}");
    }
}

#[test]
fn what_is_set_for_a_broker_or_for_all_holds_from_then_on() {
    const TOO_LARGE: i16 = 10;
    let stage = brokers(113, 2, &[]);
    stage.await_brokers(2, &[2, 3]);
    stage.await_brokers(3, &[2, 3]);
    for (name, leader) in [("two", 2), ("three", 3)] {
        stage.create_on(2, name, &[leader], &[]);
        stage.await_partition(leader, name, |partition| partition.leader_id == leader);
    }
    let produced = || (stage.produce(2, "two"), stage.produce(3, "three"));
    assert_eq!(produced(), (0, 0));
    stage.set(2, "2", "message.max.bytes", "20");
    stage.world.run_for(SECOND);
    assert_eq!(produced(), (TOO_LARGE, 0));
    stage.set(2, "", "message.max.bytes", "30");
    stage.world.run_for(SECOND);
    assert_eq!(produced(), (TOO_LARGE, TOO_LARGE));
    stage.set(2, "2", "message.max.bytes", "2000");
    stage.world.run_for(SECOND);
    assert_eq!(produced(), (0, TOO_LARGE));
}

// ---- who is asked and does not answer ----------------------------------------------------------------------------------------

/// What was asked of [`Fake`], and when.
type Asked = Rc<RefCell<Vec<(Mono, i16)>>>;

/// Something in the place of node 1 that takes connections and answers what it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Fake {
    /// Nothing.
    Mute,
    /// That it is the leading controller, whose log is empty; nothing else.
    Leading,
}

impl Stage {
    fn start_fake(&self, fake: Fake) -> Asked {
        let asked = Asked::default();
        let told = asked.clone();
        self.world.start(self.get(1).host, move |io: Io| {
            let told = told.clone();
            async move {
                let listener = io.listen(format!("0.0.0.0:{CONTROLLERS}").parse().unwrap(), true).unwrap();
                while let Ok(accepted) = listener.accept().await {
                    let socket = accepted.attach(&io).unwrap();
                    io.spawn(pretend(io.clone(), socket, fake, told.clone()));
                }
            }
        });
        asked
    }
}

async fn pretend(io: Io, socket: Socket, fake: Fake, asked: Asked) {
    let mut buffer = BytesMut::new();
    loop {
        let length = buffer.first_chunk::<4>().map(|prefix| i32::from_be_bytes(*prefix) as usize);
        if length.is_none_or(|length| buffer.len() < 4 + length) {
            buffer.reserve(64 << 10);
            if socket.read(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        }
        let frame = buffer.split_to(4 + length.unwrap()).freeze().slice(4..);
        asked.borrow_mut().push((io.now(), i16::from_be_bytes(*frame.first_chunk().unwrap())));
        if fake == Fake::Mute {
            continue;
        }
        let request = RequestFrame::parse_for(Audience::Controllers, frame).unwrap();
        let chunks = match request.api_key {
            ApiKey::ApiVersions => request.answers().encode(&versions()),
            ApiKey::Fetch => {
                io.sleep(SECOND / 4).await;
                request.answers().encode(&nothing_new())
            }
            _ => continue,
        };
        for chunk in chunks.unwrap() {
            let Chunk::Bytes(bytes) = chunk else { panic!("all is in memory") };
            let _ = socket.send(&[Piece::Bytes(bytes)]).await;
        }
    }
}

fn versions() -> ApiVersionsResponse {
    let latest =
        |api: ApiKey, max_version| ApiVersion { api_key: api as i16, min_version: 0, max_version, ..ApiVersion::default() };
    let api_keys = vec![
        latest(ApiKey::Fetch, FetchRequest::MAX_VERSION),
        latest(ApiKey::BrokerRegistration, BrokerRegistrationRequest::MAX_VERSION),
    ];
    ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() }
}

fn nothing_new() -> FetchResponse {
    let partition = FetchedPartition {
        current_leader: LeaderIdAndEpoch { leader_id: 1, leader_epoch: 1 },
        records: Records::Bytes(Bytes::new()),
        ..FetchedPartition::default()
    };
    let topic = FetchableTopicResponse { topic_id: TopicId::METADATA, partitions: vec![partition], ..Default::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

/// The times between two questions of a kind that follow each other; there must be some.
fn between(asked: &Asked, api: ApiKey) -> Vec<Duration> {
    let times: Vec<Mono> = asked.borrow().iter().filter(|(_, key)| *key == api as i16).map(|(at, _)| *at).collect();
    assert!(times.len() > 5, "{} questions", times.len());
    times.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

#[test]
fn a_controller_that_does_not_answer_is_asked_again_when_the_settings_say() {
    let settings = [(2, "controller.socket.timeout.ms", "1500"), (0, "broker.session.timeout.ms", "60000")];
    let stage = Stage::with(109, &["controller", "broker"], &settings);
    let asked = stage.start_fake(Fake::Leading);
    stage.start(2);
    stage.world.run_for(20 * SECOND);
    for pause in between(&asked, ApiKey::BrokerRegistration) {
        assert!(pause >= Duration::from_millis(1500) && pause < Duration::from_millis(1700), "{pause:?}");
    }
}

#[test]
fn a_connection_may_take_as_long_as_the_settings_say() {
    let stage = Stage::with(110, &["controller", "broker"], &[(2, "socket.connection.setup.timeout.ms", "700")]);
    let asked = stage.start_fake(Fake::Mute);
    stage.start(2);
    stage.world.run_for(20 * SECOND);
    for pause in between(&asked, ApiKey::ApiVersions) {
        assert!(pause >= Duration::from_millis(700) && pause < Duration::from_millis(850), "{pause:?}");
    }
}

#[test]
fn a_voter_is_waited_for_as_long_as_the_settings_say() {
    let stage = Stage::with(111, &["controller"; 2], &[(2, "controller.quorum.request.timeout.ms", "3000")]);
    let asked = stage.start_fake(Fake::Mute);
    stage.start(2);
    stage.world.run_for(40 * SECOND);
    for pause in between(&asked, ApiKey::ApiVersions) {
        assert!(pause >= 3 * SECOND && pause < 4 * SECOND, "{pause:?}");
    }
}

// ---- where others are reached --------------------------------------------------------------------------------------------------

#[test]
fn nodes_find_each_other_where_the_settings_say() {
    // Node 3 knows no voters, just whom it may ask for them; what clients are told of brokers leads nowhere.
    let map = "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let mut settings = vec![
        (2, "listener.security.protocol.map", map),
        (3, "listener.security.protocol.map", map),
        (2, "inter.broker.listener.name", "INSIDE"),
        (3, "inter.broker.listener.name", "INSIDE"),
        (3, "controller.quorum.voters", ""),
        (3, "controller.quorum.bootstrap.servers", "node1:9093"),
    ];
    settings.extend([
        (2, "listeners", "PLAINTEXT://node2:9092,INSIDE://node2:9094"),
        (3, "listeners", "PLAINTEXT://node3:9092,INSIDE://node3:9094"),
        (2, "advertised.listeners", "PLAINTEXT://node1:1,INSIDE://node2:9094"),
        (3, "advertised.listeners", "PLAINTEXT://node1:1,INSIDE://node3:9094"),
    ]);
    let stage = brokers(112, 2, &settings);
    stage.await_brokers(2, &[2, 3]);
    stage.create_on(3, "events", &[2, 3], &[("min.insync.replicas", "2")]);
    stage.await_partition(2, "events", |partition| partition.leader_id == 2);
    assert_eq!(stage.produce(2, "events"), 0, "both have it");
}
