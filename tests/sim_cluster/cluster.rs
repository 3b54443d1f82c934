//! The nodes: their machines, settings and processes.

use crate::client::Brokers;
use crate::verdict::violated;
use flumen::config::BrokerConfig;
use flumen::controller::MAX_METADATA_VERSION;
use flumen::io::sim::{Crash, HostId, World};
use flumen::io::{Io, Signal};
use flumen::model::TopicId;
use flumen::quorum::write_bootstrap;
use flumen::server::Broker;
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
const CLIENTS: u16 = 9092;
const CONTROLLERS: u16 = 9093;
pub const SESSION_TIMEOUT: Duration = Duration::from_millis(3000);
const SETTINGS: &[(&str, &str)] = &[
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", "/data"),
    ("auto.create.topics.enable", "false"),
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("replica.lag.time.max.ms", "3000"),
    ("replica.fetch.wait.max.ms", "300"),
    ("log.index.interval.bytes", "256"),
    ("log.flush.offset.checkpoint.interval.ms", "500"),
    ("replica.high.watermark.checkpoint.interval.ms", "700"),
    ("log.segment.delete.delay.ms", "1000"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.initial.rebalance.delay.ms", "300"),
    ("offsets.topic.num.partitions", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("min.insync.replicas", "2"),
];

/// A node, its machine, and what is known of its process.
pub struct Node {
    pub id: i32,
    pub host: HostId,
    roles: &'static str,
    pub is_broker: bool,
    pub is_controller: bool,
    cores: usize,
    config: BrokerConfig,
    /// It was told to stop.
    stops: Rc<Cell<bool>>,
    /// Its disk failed, so it may end by itself.
    pub may_fail: Rc<Cell<bool>>,
    /// Directories that it has had.
    formatted: Cell<u8>,
}

pub struct Cluster {
    pub world: World,
    pub nodes: Vec<Node>,
    voters: String,
    durable: bool,
    /// `bootstrap.checkpoint` of every node, if it is formatted with one.
    bootstrap: Option<Vec<u8>>,
    /// Those that are members.
    pub brokers: Brokers,
}

/// What the nodes of a seed are, in the order of their ids, from 1 on.
pub fn roles(shape: u64) -> &'static [&'static str] {
    const BOTH: &str = "broker,controller";
    match shape {
        0 | 1 => &[BOTH, BOTH, BOTH, "broker"],
        2 => &["controller", "controller", "controller", "broker", "broker", "broker", "broker"],
        _ => &[BOTH, BOTH, BOTH, "broker", "broker", "broker"],
    }
}

/// The file as `flumen storage format` writes it, with `min.insync.replicas` of the settings.
fn bootstrap_with_eligible(world: &World) -> Vec<u8> {
    let host = world.add_host("format", 1);
    world.run(host, |io| async move {
        io.create_dir_all(Path::new("/data")).await.expect("a directory can be made");
        write_bootstrap(&io, Path::new("/data"), MAX_METADATA_VERSION, Some(2)).await.expect("it can be written");
    });
    world.disk(host).read("/data/bootstrap.checkpoint").expect("it was written")
}

impl Cluster {
    /// Formatted nodes, of which none runs. The last broker is a spare one. With `eligible` the cluster keeps eligible leader replicas
    /// (KIP-966), as one does that is formatted for this release.
    pub fn new(world: World, roles: &[&'static str], durable: bool, eligible: bool) -> Self {
        let voters: Vec<String> = (1..)
            .zip(roles)
            .filter(|(_, roles)| roles.contains("controller"))
            .map(|(id, _)| format!("{id}@node{id}:{CONTROLLERS}"))
            .collect();
        let voters = voters.join(",");
        let node = |(id, roles): (i32, &&'static str)| Node::new(&world, &format!("node{id}"), (id, roles), &voters, durable);
        let nodes = (1..).zip(roles).map(node).collect();
        let bootstrap = eligible.then(|| bootstrap_with_eligible(&world));
        let cluster = Self { world, nodes, voters, durable, bootstrap, brokers: Brokers::default() };
        cluster.nodes.iter().for_each(|node| cluster.format(node));
        cluster
    }

    pub fn get(&self, id: i32) -> &Node {
        self.nodes.iter().find(|node| node.id == id).expect("nodes are asked for by their ids")
    }

    /// Another machine with an empty disk takes the place of a broker's; the old one, which knows nothing of it.
    pub fn replace(&mut self, id: i32) -> Node {
        let at = self.nodes.iter().position(|node| node.id == id).expect("nodes are asked for by their ids");
        let old = &self.nodes[at];
        let new = Node::new(&self.world, &format!("other{id}"), (id, old.roles), &self.voters, self.durable);
        new.formatted.set(old.formatted.get());
        self.format(&new);
        std::mem::replace(&mut self.nodes[at], new)
    }

    /// As `flumen storage format` does it, with a directory id of its own each time.
    pub fn format(&self, node: &Node) {
        node.formatted.set(node.formatted.get() + 1);
        let directory = TopicId([100 + 10 * node.formatted.get() + node.id as u8; 16]);
        let meta = format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={}\ndirectory.id={directory}\n", node.id);
        let disk = self.world.disk(node.host);
        if let Some(bootstrap) = &self.bootstrap {
            disk.put("/data/bootstrap.checkpoint", bootstrap.clone());
        }
        disk.put("/data/meta.properties", meta.into_bytes());
    }

    /// Takes everything from a node's disk.
    pub fn wipe(&self, node: &Node) {
        let disk = self.world.disk(node.host);
        for path in disk.files() {
            assert!(disk.remove(&path), "{path:?} was there");
        }
    }

    pub fn is_running(&self, node: &Node) -> bool {
        self.world.is_running(node.host)
    }

    /// Starts a node's process, if it does not run; a broker is a member from then on.
    pub fn start(&self, node: &Node) {
        if self.is_running(node) {
            return;
        }
        if node.is_broker {
            self.brokers.borrow_mut().insert(node.id, SocketAddr::new(self.world.address(node.host), CLIENTS));
        }
        node.stops.set(false);
        let broker = Broker::new(node.config.clone(), node.cores);
        let (id, stops, may_fail, seed) = (node.id, node.stops.clone(), node.may_fail.clone(), self.world.seed());
        self.world.start(node.host, move |io: Io| {
            let (broker, stops, may_fail, core) = (broker.clone(), stops.clone(), may_fail.clone(), io.core());
            async move {
                let ended = broker.run_core(io).await;
                if core != 0 || may_fail.get() {
                    return;
                }
                match ended {
                    Ok(()) if stops.get() => {}
                    ended => violated(format!("seed {seed}: node {id} ends by itself: {ended:?}")),
                }
            }
        });
    }

    /// Tells a node to stop, as SIGTERM does.
    pub fn stop(&self, node: &Node) {
        if self.is_running(node) {
            node.stops.set(true);
            self.world.signal(node.host, Signal::Terminate);
        }
    }

    /// Tells a node to stop and waits until it has.
    pub fn stop_and_wait(&self, node: &Node) {
        self.stop(node);
        let stopped = self.world.run_until(Duration::from_secs(30), || !self.is_running(node));
        hold!(stopped, "seed {}: node {} does not stop", self.world.seed(), node.id);
    }

    pub fn crash(&self, node: &Node, how: Crash) {
        self.world.crash(node.host, how);
    }

    /// Brokers that are members, in the order of their ids.
    pub fn members(&self) -> Vec<&Node> {
        let brokers = self.brokers.borrow();
        self.nodes.iter().filter(|node| brokers.contains_key(&node.id)).collect()
    }

    /// Nodes that belong to the cluster now: controllers, and brokers that are members.
    pub fn present(&self) -> Vec<&Node> {
        let brokers = self.brokers.borrow();
        self.nodes.iter().filter(|node| node.is_controller || brokers.contains_key(&node.id)).collect()
    }
}

impl Node {
    pub fn is_told_to_stop(&self) -> bool {
        self.stops.get()
    }

    fn new(world: &World, name: &str, (id, roles): (i32, &'static str), voters: &str, durable: bool) -> Self {
        let cores = 1 + (id as usize % 2);
        let host = world.add_host(name, cores);
        let (is_broker, is_controller) = (roles.contains("broker"), roles.contains("controller"));
        let listeners: Vec<String> = [
            is_broker.then(|| format!("PLAINTEXT://{name}:{CLIENTS}")),
            is_controller.then(|| format!("CONTROLLER://{name}:{CONTROLLERS}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let of_node = [
            ("process.roles", roles.to_owned()),
            ("node.id", id.to_string()),
            ("controller.quorum.voters", voters.to_owned()),
            ("listeners", listeners.join(",")),
        ];
        let flushed = durable.then_some(("log.flush.interval.messages", "1"));
        let of_all = SETTINGS.iter().copied().chain(flushed).map(|(key, value)| (key, value.to_owned()));
        let settings: Vec<_> = of_node.into_iter().chain(of_all).map(|(key, value)| (key.to_owned(), value)).collect();
        let config = BrokerConfig::load(None, &settings).expect("the settings are valid").0;
        let (stops, may_fail) = (Rc::default(), Rc::default());
        Self { id, host, roles, is_broker, is_controller, cores, config, stops, may_fail, formatted: Cell::new(0) }
    }
}
