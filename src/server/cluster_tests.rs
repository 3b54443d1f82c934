//! Whole nodes of a cluster in a simulated world: controllers that agree, brokers that come and go, and clients that ask any of them.

mod failover;
mod repair;

use super::Broker;
use crate::config::BrokerConfig;
use crate::io::sim::{Crash, HostId, Options, World};
use crate::io::{Io, Piece, Signal, Socket};
use crate::protocol::Request;
use crate::protocol::frame::{decode_response, encode_request};
use crate::protocol::generated::create_topics_request::CreatableTopic;
use crate::protocol::generated::describe_quorum_request::{PartitionData, TopicData};
use crate::protocol::generated::{
    ApiVersionsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest, CreateTopicsResponse,
    DescribeClusterRequest, DescribeQuorumRequest, DescribeQuorumResponse, MetadataRequest, MetadataResponse,
    UnregisterBrokerRequest,
};
use bytes::{Buf as _, Bytes, BytesMut};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

mod settings;
mod voters;

const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
const CLIENTS: u16 = 9092;
const CONTROLLERS: u16 = 9093;
const CLOSED: i16 = -99;
/// Who is not ready takes connections and does not answer; and an answer may wait for another leader.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(90);

/// A node, its machine, and how it ended.
struct Node {
    id: i32,
    host: HostId,
    config: BrokerConfig,
    ended: Rc<RefCell<Option<Result<(), String>>>>,
}

struct Stage {
    world: World,
    nodes: Vec<Node>,
    client: HostId,
}

impl Stage {
    /// Formatted nodes; `roles` of node 1, 2 and so on.
    fn new(seed: u64, roles: &[&str]) -> Self {
        Self::with(seed, roles, &[])
    }

    /// The same, with more settings: the node's id (0 for all of them), key and value.
    fn with(seed: u64, roles: &[&str], settings: &[(i32, &str, &str)]) -> Self {
        let world = World::new(seed, Options::default());
        let voters: Vec<String> = (1..)
            .zip(roles)
            .filter(|(_, roles)| roles.contains("controller"))
            .map(|(id, _)| format!("{id}@node{id}:{CONTROLLERS}"))
            .collect();
        let node = |(id, roles)| {
            let more = settings.iter().filter(|(of, ..)| *of == id || *of == 0).map(|(_, key, value)| (*key, *value));
            Self::node(&world, id, roles, &voters.join(","), &more.collect::<Vec<_>>())
        };
        let nodes = (1..).zip(roles.iter().copied()).map(node).collect();
        let client = world.add_host("client", 1);
        Self { world, nodes, client }
    }

    fn node(world: &World, id: i32, roles: &str, voters: &str, more: &[(&str, &str)]) -> Node {
        let host = world.add_host(&format!("node{id}"), 1 + (id as usize % 2));
        let mut listeners = vec![];
        if roles.contains("broker") {
            listeners.push(format!("PLAINTEXT://node{id}:{CLIENTS}"));
        }
        if roles.contains("controller") {
            listeners.push(format!("CONTROLLER://node{id}:{CONTROLLERS}"));
        }
        let settings = [
            ("process.roles", roles.to_owned()),
            ("node.id", id.to_string()),
            ("controller.quorum.voters", voters.to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listeners", listeners.join(",")),
            ("log.dirs", "/data".to_owned()),
        ];
        let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let settings: Vec<_> = settings.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value)).collect();
        let config = BrokerConfig::load(None, &settings).expect("the settings are valid").0;
        let dirs = config.log_dirs();
        world.run(host, move |io| async move {
            for (number, dir) in (10..).zip(dirs) {
                let directory = crate::model::TopicId([10 * number + id as u8; 16]);
                let meta = format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={id}\ndirectory.id={directory}\n");
                io.create_dir_all(&dir).await.unwrap();
                io.sync_dir(Path::new("/")).await.unwrap();
                io.replace_file(&dir.join("meta.properties"), Bytes::from(meta)).await.unwrap();
            }
        });
        Node { id, host, config, ended: Rc::default() }
    }

    fn get(&self, id: i32) -> &Node {
        self.nodes.iter().find(|node| node.id == id).unwrap()
    }

    fn start(&self, id: i32) {
        let Node { host, config, ended, .. } = self.get(id);
        let (broker, ended) = (Broker::new(config.clone(), 1 + (id as usize % 2)), ended.clone());
        *ended.borrow_mut() = None;
        self.world.start(*host, move |io: Io| {
            let (broker, ended, core) = (broker.clone(), ended.clone(), io.core());
            async move {
                let outcome = broker.run_core(io).await.map_err(|error| error.to_string());
                if core == 0 {
                    *ended.borrow_mut() = Some(outcome);
                }
            }
        });
    }

    fn start_all(&self) {
        self.nodes.iter().for_each(|node| self.start(node.id));
    }

    fn address(&self, id: i32, port: u16) -> SocketAddr {
        SocketAddr::new(self.world.address(self.get(id).host), port)
    }

    /// Asks once; [`None`] if there is no answer.
    fn ask<R: Request<Response: 'static> + 'static>(&self, id: i32, port: u16, version: i16, request: R) -> Option<R::Response> {
        self.ask_within(LONG, id, port, version, request)
    }

    fn ask_within<R: Request<Response: 'static> + 'static>(
        &self,
        limit: Duration,
        id: i32,
        port: u16,
        version: i16,
        request: R,
    ) -> Option<R::Response> {
        let address = self.address(id, port);
        self.world.run(self.client, move |io| async move { ask(io, limit, address, version, request).await })
    }

    /// Asks again and again until the answer is as wanted.
    fn await_answer<R: Request<Response: 'static> + Clone + 'static>(
        &self,
        id: i32,
        port: u16,
        version: i16,
        request: &R,
        is_wanted: impl Fn(&R::Response) -> bool,
    ) -> R::Response {
        for _ in 0..600 {
            if let Some(answer) = self.ask_within(SHORT, id, port, version, request.clone())
                && is_wanted(&answer)
            {
                return answer;
            }
            self.world.run_for(Duration::from_millis(100));
        }
        let ends: Vec<_> = self.nodes.iter().map(|node| (node.id, node.ended.borrow().clone())).collect();
        panic!("node {id} does not answer {} as wanted; ended: {ends:?}", R::NAME);
    }

    /// Waits until a broker tells clients of exactly these brokers.
    fn await_brokers(&self, asked: i32, brokers: &[i32]) -> MetadataResponse {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        self.await_answer(asked, CLIENTS, 12, &request, |answer| {
            let mut ids: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
            ids.sort();
            ids == brokers
        })
    }

    fn create_topic(&self, asked: i32, name: &str, partitions: i32) -> i16 {
        let topic =
            CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: 1, ..CreatableTopic::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer: Option<CreateTopicsResponse> = self.ask(asked, CLIENTS, 7, request);
        answer.map_or(CLOSED, |answer| answer.topics[0].error_code)
    }

    /// Leaders of the partitions of a topic, once a broker knows it and all of them are as wanted.
    fn await_leaders(&self, asked: i32, topic: &str, is_wanted: impl Fn(i32) -> bool) -> Vec<i32> {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let leaders = |answer: &MetadataResponse| {
            let topic = answer.topics.iter().find(|one| one.name.as_deref() == Some(topic))?;
            let leaders: Vec<i32> = topic.partitions.iter().map(|partition| partition.leader_id).collect();
            leaders.iter().all(|leader| is_wanted(*leader)).then_some(leaders)
        };
        let answer = self.await_answer(asked, CLIENTS, 12, &request, |answer| leaders(answer).is_some());
        leaders(&answer).unwrap()
    }

    fn describe_quorum(
        &self,
        asked: i32,
        port: u16,
        is_wanted: impl Fn(&DescribeQuorumResponse) -> bool,
    ) -> DescribeQuorumResponse {
        let partitions = vec![PartitionData { partition_index: 0, ..PartitionData::default() }];
        let topics = vec![TopicData { topic_name: "__cluster_metadata".into(), partitions }];
        self.await_answer(asked, port, 2, &DescribeQuorumRequest { topics }, is_wanted)
    }

    /// Ends a node as SIGTERM does; how long it took.
    fn stop(&self, id: i32) -> Duration {
        let (began, ended) = (self.world.now(), self.get(id).ended.clone());
        self.world.signal(self.get(id).host, Signal::Terminate);
        let is_over = self.world.run_until(Duration::from_secs(60), || ended.borrow().is_some());
        assert!(is_over, "node {id} does not stop");
        assert_eq!(*ended.borrow(), Some(Ok(())), "node {id}");
        self.world.now().since(began)
    }
}

async fn ask<R: Request>(io: Io, limit: Duration, address: SocketAddr, version: i16, request: R) -> Option<R::Response> {
    let socket: Socket = io.connect(address).await.ok()?;
    let (clock, bell) = (io.clone(), socket.clone());
    io.spawn(async move {
        clock.sleep(limit).await;
        bell.shutdown();
    });
    let frame = encode_request(version, 7, Some("test".into()), &request).unwrap();
    socket.send(&[Piece::Bytes(frame)]).await.ok()?;
    let mut buffer = BytesMut::new();
    let answer = loop {
        if let Some(prefix) = buffer.first_chunk::<4>() {
            let size = u32::from_be_bytes(*prefix) as usize;
            if buffer.len() >= 4 + size {
                buffer.advance(4);
                break buffer.split_to(size).freeze();
            }
        }
        buffer.reserve(64 << 10);
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    };
    socket.shutdown();
    Some(decode_response::<R>(answer, version).expect("an answer in its version").1)
}

/// One controller, whose only voter it is, and two brokers, whose only source of metadata are its answers.
fn small() -> Stage {
    let stage = Stage::new(3, &["controller", "broker", "broker"]);
    stage.start_all();
    stage.await_brokers(2, &[2, 3]);
    stage.await_brokers(3, &[2, 3]);
    stage
}

#[test]
fn brokers_register_follow_the_metadata_and_hand_on_what_clients_ask() {
    let stage = small();
    assert_eq!(stage.create_topic(2, "events", 6), 0);
    assert_eq!(stage.create_topic(3, "events", 6), 36, "it exists already");
    for asked in [2, 3] {
        let mut leaders = stage.await_leaders(asked, "events", |leader| leader >= 2);
        leaders.sort();
        leaders.dedup();
        assert_eq!(leaders, [2, 3]);
    }
    let quorum = stage.describe_quorum(2, CLIENTS, |answer| answer.topics[0].partitions[0].observers.len() == 2);
    let partition = &quorum.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.error_code), (1, 0));
    assert_eq!(partition.current_voters.iter().map(|voter| voter.replica_id).collect::<Vec<_>>(), [1]);
    let mut observers: Vec<i32> = partition.observers.iter().map(|one| one.replica_id).collect();
    observers.sort();
    assert_eq!(observers, [2, 3]);
}

#[test]
fn a_broker_that_dies_is_fenced_and_leads_again_when_it_is_back() {
    let stage = small();
    assert_eq!(stage.create_topic(2, "events", 6), 0);
    stage.await_leaders(3, "events", |leader| leader >= 2);
    stage.world.crash(stage.get(2).host, Crash::Kill);
    stage.await_brokers(3, &[3]);
    stage.await_leaders(3, "events", |leader| leader == 3 || leader == -1);
    stage.start(2);
    stage.await_brokers(3, &[2, 3]);
    stage.await_leaders(3, "events", |leader| leader >= 2);
    stage.await_leaders(2, "events", |leader| leader >= 2);
}

#[test]
fn a_broker_that_stops_takes_its_leave_and_comes_back_as_the_same() {
    let stage = small();
    assert_eq!(stage.create_topic(2, "events", 6), 0);
    let took = stage.stop(2);
    assert!(took < Duration::from_secs(9), "the controller did not have to find out: {took:?}");
    stage.await_brokers(3, &[3]);
    stage.start(2);
    stage.await_brokers(3, &[2, 3]);
    stage.await_leaders(3, "events", |leader| leader >= 2);
}

#[test]
fn brokers_outlive_their_controller_and_clients_wait_for_the_next() {
    let stage = small();
    stage.world.crash(stage.get(1).host, Crash::PowerLoss);
    stage.world.run_for(Duration::from_secs(20));
    // Nobody could find out that they are there, so nobody has fenced them.
    stage.await_brokers(2, &[2, 3]);
    stage.start(1);
    assert_eq!(stage.create_topic(3, "late", 4), 0);
    stage.await_leaders(2, "late", |leader| leader >= 2);
}

#[test]
fn a_controller_answers_its_own_questions_and_no_others() {
    let stage = small();
    let versions = |port, id| {
        let answer = stage.ask(
            id,
            port,
            4,
            ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() },
        );
        answer.unwrap().api_keys.into_iter().map(|api| api.api_key).collect::<Vec<_>>()
    };
    let (at_controller, at_broker) = (versions(CONTROLLERS, 1), versions(CLIENTS, 2));
    for api in [56, 58, 59, 62, 63, 67, 73] {
        assert!(at_controller.contains(&api) && !at_broker.contains(&api), "{api}");
    }
    assert!(!at_controller.contains(&0) && !at_controller.contains(&3));
    let describe = |endpoint_type| DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
    let voters = stage.ask(1, CONTROLLERS, 1, describe(2)).unwrap();
    assert_eq!((voters.controller_id, voters.brokers.len(), &*voters.cluster_id), (1, 1, CLUSTER_ID));
    assert_eq!(stage.ask(1, CONTROLLERS, 1, describe(1)).unwrap().error_code, 114);
    // Brokers do not answer what is for controllers.
    let heartbeat = BrokerHeartbeatRequest { broker_id: 2, broker_epoch: 1, ..BrokerHeartbeatRequest::default() };
    assert!(stage.ask(2, CLIENTS, 1, heartbeat.clone()).is_none());
    assert_eq!(stage.ask(1, CONTROLLERS, 1, heartbeat).unwrap().error_code, 77, "a stale epoch");
    let registration = |broker_id, cluster_id: &str| BrokerRegistrationRequest {
        broker_id,
        cluster_id: cluster_id.into(),
        incarnation_id: crate::model::TopicId([200; 16]),
        log_dirs: vec![crate::model::TopicId([201; 16])],
        ..BrokerRegistrationRequest::default()
    };
    assert_eq!(stage.ask(1, CONTROLLERS, 4, registration(9, "another")).unwrap().error_code, 104);
    assert_eq!(stage.ask(1, CONTROLLERS, 4, registration(2, CLUSTER_ID)).unwrap().error_code, 101, "it is alive");
}

#[test]
fn a_broker_that_was_unregistered_while_it_runs_registers_again() {
    let stage = small();
    assert_eq!(stage.ask(3, CLIENTS, 0, UnregisterBrokerRequest { broker_id: 2 }).unwrap().error_code, 0);
    assert_eq!(stage.ask(3, CLIENTS, 0, UnregisterBrokerRequest { broker_id: 77 }).unwrap().error_code, 102);
    stage.world.run_for(Duration::from_secs(5));
    stage.await_brokers(3, &[2, 3]);
}

#[test]
fn a_node_that_waits_for_its_cluster_can_be_stopped() {
    let stage = Stage::new(5, &["controller", "broker"]);
    stage.start(2);
    stage.world.run_for(Duration::from_secs(3));
    assert!(stage.stop(2) < Duration::from_secs(5));
}

#[test]
fn a_broker_whose_cluster_is_not_there_gives_up_in_time() {
    let stage = Stage::new(6, &["controller", "broker"]);
    stage.start(2);
    let ended = stage.get(2).ended.clone();
    assert!(stage.world.run_until(Duration::from_secs(90), || ended.borrow().is_some()));
    let outcome = ended.borrow().clone();
    assert!(matches!(&outcome, Some(Err(why)) if why.contains("60000 ms")), "{outcome:?}");
}

/// Three nodes that are both.
fn combined(seed: u64) -> Stage {
    let stage = Stage::new(seed, &["broker,controller"; 3]);
    stage.start_all();
    for asked in [1, 2, 3] {
        stage.await_brokers(asked, &[1, 2, 3]);
    }
    stage
}

fn leader_of(stage: &Stage, asked: i32) -> i32 {
    let quorum = stage.describe_quorum(asked, CLIENTS, |answer| answer.topics[0].partitions[0].error_code == 0);
    quorum.topics[0].partitions[0].leader_id
}

#[test]
fn three_nodes_are_one_cluster_and_any_of_them_is_asked() {
    let stage = combined(8);
    for (asked, name) in [(1, "a"), (2, "b"), (3, "c")] {
        assert_eq!(stage.create_topic(asked, name, 3), 0);
    }
    for asked in [1, 2, 3] {
        for name in ["a", "b", "c"] {
            stage.await_leaders(asked, name, |leader| leader >= 1);
        }
    }
    assert_eq!(leader_of(&stage, 1), leader_of(&stage, 2));
}

#[test]
fn when_the_leader_dies_another_decides_and_the_dead_one_is_fenced() {
    let stage = combined(9);
    let dead = leader_of(&stage, 1);
    let left: Vec<i32> = [1, 2, 3].into_iter().filter(|id| *id != dead).collect();
    stage.world.crash(stage.get(dead).host, Crash::Kill);
    // A client that asks meanwhile waits for the next one.
    assert_eq!(stage.create_topic(left[0], "meanwhile", 2), 0);
    stage.await_brokers(left[1], &left);
    stage.start(dead);
    stage.await_brokers(dead, &[1, 2, 3]);
    stage.await_leaders(dead, "meanwhile", |leader| leader >= 1);
}

#[test]
fn a_broker_that_was_fenced_while_nobody_answered_the_leader_is_heard_again() {
    let stage = Stage::new(21, &["broker,controller", "broker,controller", "broker,controller", "broker"]);
    stage.start_all();
    stage.await_brokers(1, &[1, 2, 3, 4]);
    let leader = leader_of(&stage, 1);
    let host = |id| stage.get(id).host;
    stage.world.pause(host(4), Duration::from_secs(40));
    stage.world.run_for(Duration::from_secs(7));
    // The others hear the leader, so nobody stands against it, but it does not hear them: that 4 is to be fenced it gives up, and when
    // they are heard again that holds all the same.
    let others = || [1, 2, 3].into_iter().filter(|id| *id != leader);
    others().for_each(|other| stage.world.cut(host(other), host(leader)));
    stage.world.run_for(Duration::from_millis(4000));
    others().for_each(|other| stage.world.heal(host(other), host(leader)));
    stage.await_brokers(leader, &[1, 2, 3]);
    stage.await_brokers(leader, &[1, 2, 3, 4]);
}

#[test]
fn the_leader_stops_without_anybody_waiting_for_long() {
    let stage = combined(10);
    let gone = leader_of(&stage, 1);
    let left: Vec<i32> = [1, 2, 3].into_iter().filter(|id| *id != gone).collect();
    let took = stage.stop(gone);
    assert!(took < Duration::from_secs(9), "{took:?}");
    assert_eq!(stage.create_topic(left[0], "after", 2), 0);
    stage.await_brokers(left[1], &left);
}
