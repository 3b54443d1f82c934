//! A cluster: brokers and controllers in processes of their own, each on a host of its own, with disks that can be filled and wiped.
//!
//! Node `n` runs on host `n - 1`. Its log dir and its metadata log dir are apart, as on machines with several disks, so that the first can
//! be lost without the second. Both kinds of broker get the same configuration file.

use crate::disk::{self, Disk};
use crate::machine::Machine;
use crate::network::{self, Network};
use crate::support::broker::{Kind, answers};
use crate::support::client::Client;
use crate::support::members::wait_until;
use crate::support::router::Router;
use crate::support::{process, tools};
use flumen::protocol::generated::metadata_response::{MetadataResponse, MetadataResponsePartition};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CLUSTER_ID: &str = "Zmx1bWVuLWNsdXN0ZXItMQ";
const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
/// Apache Kafka's log line when it serves.
const READY: &str = "Kafka Server started";
/// Three JVMs that start at once on two cores, with whatever else is there.
const START_LIMIT: Duration = Duration::from_secs(600);
const STOP_LIMIT: Duration = Duration::from_secs(120);
const FORMAT_LIMIT: Duration = Duration::from_secs(120);
/// An answer of a broker that is well.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Until what all brokers are told of has reached all.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// The start of the name of every data directory; the process id of its owner follows.
const PREFIX: &str = "flumen-test-cluster-";
const FILLER: &str = "filler";

/// How long a broker may be silent before the controller fences it. Kafka's default is 9 s.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// Replicas and promises of what the brokers create themselves, and timers so short that a test does not wait long for them.
const SETTINGS: [(&str, &str); 14] = [
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("replica.lag.time.max.ms", "5000"),
    ("leader.imbalance.check.interval.seconds", "5"),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
    ("group.initial.rebalance.delay.ms", "300"),
    ("auto.create.topics.enable", "false"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    Both,
    Broker,
    Controller,
}

impl Roles {
    fn is_broker(self) -> bool {
        self != Roles::Controller
    }

    fn is_controller(self) -> bool {
        self != Roles::Broker
    }

    /// `process.roles`.
    fn name(self) -> &'static str {
        match self {
            Roles::Both => "broker,controller",
            Roles::Broker => "broker",
            Roles::Controller => "controller",
        }
    }
}

/// What a cluster is made of.
pub struct Layout<'a> {
    /// Of nodes 1, 2, ...
    pub roles: &'a [Roles],
    /// Hosts for nodes that come later.
    pub spare_hosts: usize,
    /// Over those that all clusters have.
    pub settings: &'a [(&'a str, &'a str)],
    /// The log dir of each broker is a file system of its own, of so many MiB.
    pub disk_mib: Option<u32>,
    /// Flumen is installed as a service of machines with systemd. (Apache Kafka comes without a unit and is just started.)
    pub as_service: bool,
}

impl Layout<'_> {
    /// Three nodes, each broker and controller.
    pub const THREE: Layout<'static> =
        Layout { roles: &[Roles::Both; 3], spare_hosts: 0, settings: &[], disk_mib: None, as_service: false };
}

struct Node {
    roles: Roles,
    home: PathBuf,
    child: Option<Child>,
    paused: bool,
    /// How often its log had said that it was ready before this start.
    said_ready: usize,
    disk: Option<Disk>,
    machine: Option<Machine>,
}

pub struct Cluster {
    pub kind: Kind,
    name: String,
    settings: Vec<(String, String)>,
    voters: String,
    disk_mib: Option<u32>,
    as_service: bool,
    nodes: BTreeMap<i32, Node>,
    home: tempfile::TempDir,
    pub network: Network,
}

/// The host that a node runs on.
pub fn host(node: i32) -> usize {
    usize::try_from(node - 1).expect("nodes are counted from 1")
}

impl Cluster {
    /// Formats and starts the nodes and waits until all brokers are there. The calling thread is on the clients' host from now on.
    /// `name`: what the logs of a failed test are called.
    pub fn start(name: &str, layout: &Layout<'_>) -> Cluster {
        disk::unmount_those_of_the_dead(PREFIX);
        let network = Network::new(layout.roles.len() + layout.spare_hosts);
        let ids = 1..=i32::try_from(layout.roles.len()).unwrap();
        let voter = |(id, _): (i32, &Roles)| format!("{id}@{}:{CONTROLLER_PORT}", network::address(host(id)));
        let voters: Vec<String> = ids.clone().zip(layout.roles).filter(|(_, roles)| roles.is_controller()).map(voter).collect();
        let mut settings: Vec<(String, String)> = Vec::new();
        for (key, value) in SETTINGS.iter().chain(layout.settings) {
            settings.retain(|(old, _)| old != key);
            settings.push(((*key).to_owned(), (*value).to_owned()));
        }
        let mut cluster = Cluster {
            kind: Kind::under_test(),
            name: name.to_owned(),
            settings,
            voters: voters.join(","),
            disk_mib: layout.disk_mib,
            as_service: layout.as_service && Kind::under_test() == Kind::Flumen,
            nodes: BTreeMap::new(),
            home: tempfile::Builder::new()
                .prefix(&format!("{PREFIX}{}-", std::process::id()))
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .expect("a temporary directory"),
            network,
        };
        for (id, roles) in ids.clone().zip(layout.roles) {
            cluster.prepare(id, *roles);
        }
        ids.clone().for_each(|id| cluster.start_without_waiting(id));
        ids.for_each(|id| cluster.wait_until_ready(id));
        cluster.await_brokers();
        cluster
    }

    /// A further node on the next spare host, formatted and started; it is among the brokers when this returns.
    pub fn add(&mut self, id: i32, roles: Roles) {
        assert!(host(id) < self.network.clients(), "a host for node {id}");
        self.prepare(id, roles);
        self.start_again(id);
        self.await_brokers();
    }

    fn prepare(&mut self, id: i32, roles: Roles) {
        let home = self.home.path().join(format!("node{id}"));
        fs::create_dir_all(home.join("data")).unwrap();
        fs::create_dir(home.join("meta")).unwrap();
        let disk = self.disk_mib.filter(|_| roles.is_broker()).map(|mib| Disk::mount(&home.join("data"), mib));
        let mut node = Node { roles, home, child: None, paused: false, said_ready: 0, disk, machine: None };
        let configuration = self.configuration(id, &node);
        fs::write(node.home.join("server.properties"), &configuration).unwrap();
        node.machine = self.as_service.then(|| Machine::install(&node.home.join("machine"), &configuration));
        self.nodes.insert(id, node);
        if self.as_service {
            self.power_on(id);
            let machine = self.machine(id).expect("it is installed as a service");
            machine.format(CLUSTER_ID);
            machine.enable();
        } else {
            self.format(id, &[]);
        }
    }

    fn machine(&self, id: i32) -> Option<&Machine> {
        self.nodes[&id].machine.as_ref()
    }

    fn power_on(&mut self, id: i32) {
        let command = self.machine(id).expect("a machine").power_on();
        let child = process::spawn_kept(self.network.on(host(id), command));
        let node = self.node(id);
        node.machine.as_mut().expect("a machine").await_booted(&child);
        node.child = Some(child);
    }

    fn configuration(&self, id: i32, node: &Node) -> String {
        let address = network::address(host(id));
        let broker = format!("PLAINTEXT://{address}:{PORT}");
        let controller = format!("CONTROLLER://{address}:{CONTROLLER_PORT}");
        let mut listeners = Vec::new();
        listeners.extend(node.roles.is_broker().then(|| broker.clone()));
        listeners.extend(node.roles.is_controller().then_some(controller));
        let mut text = format!(
            "process.roles={}\nnode.id={id}\ncontroller.quorum.voters={}\nlisteners={}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
            node.roles.name(),
            self.voters,
            listeners.join(","),
        );
        if self.as_service {
            text.push_str("log.dirs=/var/lib/flumen\n");
        } else {
            let (data, meta) = (node.home.join("data"), node.home.join("meta"));
            text.push_str(&format!("log.dirs={}\nmetadata.log.dir={}\n", data.display(), meta.display()));
        }
        if node.roles.is_broker() {
            text.push_str(&format!("advertised.listeners={broker}\nbroker.rack=rack{id}\n"));
        }
        for (key, value) in &self.settings {
            if self.kind == Kind::Flumen || !key.starts_with("flumen.") {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        text
    }

    fn format(&self, id: i32, options: &[&str]) {
        let mut command = match self.kind {
            Kind::Flumen => Command::new(env!("CARGO_BIN_EXE_flumen")),
            Kind::Kafka => tools::java("kafka.tools.StorageTool", 128, "warn"),
        };
        if self.kind == Kind::Flumen {
            command.arg("storage");
        }
        let file = self.nodes[&id].home.join("server.properties");
        command.arg("format").arg("--config").arg(file).args(["--cluster-id", CLUSTER_ID]).args(options);
        process::run_ok(&mut self.network.on(host(id), command), b"", FORMAT_LIMIT);
    }

    fn command(&self, id: i32) -> Command {
        let node = &self.nodes[&id];
        let file = node.home.join("server.properties");
        let mut command = match self.kind {
            Kind::Flumen => Command::new(env!("CARGO_BIN_EXE_flumen")),
            Kind::Kafka => tools::java("kafka.Kafka", if node.roles.is_broker() { 400 } else { 192 }, "info"),
        };
        match self.kind {
            Kind::Flumen => command.arg("server").arg("--config").arg(file),
            Kind::Kafka => command.arg(file),
        };
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path(id)).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(&node.home);
        self.network.on(host(id), command)
    }

    fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no node {id}"))
    }

    fn child(&self, id: i32) -> &Child {
        self.nodes[&id].child.as_ref().unwrap_or_else(|| panic!("node {id} runs"))
    }

    fn log_path(&self, id: i32) -> PathBuf {
        self.nodes[&id].home.join("node.log")
    }

    /// Everything that a node has said since it was first started.
    pub fn log(&self, id: i32) -> String {
        if let Some(machine) = self.machine(id) {
            return machine.log();
        }
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    /// Starts a node that was down, for who waits for several at once.
    pub fn start_without_waiting(&mut self, id: i32) {
        if self.as_service {
            // One that has just been installed runs, and the service with it.
            if self.nodes[&id].child.is_none() {
                self.power_on(id);
            }
            return;
        }
        assert!(self.nodes[&id].child.is_none(), "node {id} runs already");
        let said_ready = self.log(id).matches(READY).count();
        let child = process::spawn_kept(self.command(id));
        let node = self.node(id);
        (node.child, node.said_ready, node.paused) = (Some(child), said_ready, false);
    }

    /// Starts a node that was down and waits until it says that it serves.
    pub fn start_again(&mut self, id: i32) {
        self.start_without_waiting(id);
        self.wait_until_ready(id);
    }

    pub fn wait_until_ready(&mut self, id: i32) {
        let deadline = Instant::now() + START_LIMIT;
        let port = if self.nodes[&id].roles.is_broker() { PORT } else { CONTROLLER_PORT };
        let address = SocketAddr::from((network::address(host(id)), port));
        loop {
            let ready = match self.kind {
                Kind::Kafka => self.log(id).matches(READY).count() > self.nodes[&id].said_ready,
                Kind::Flumen => answers(address) && self.machine(id).is_none_or(Machine::is_active),
            };
            if ready {
                return;
            }
            let ended = self.node(id).child.as_mut().expect("it was started").try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(ended.is_none() && !late, "node {id} did not start ({ended:?}):\n{}", process::tail(&self.log(id)));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL: nothing is flushed, closed or said. A service dies with its machine, which would start it again.
    pub fn kill(&mut self, id: i32) {
        let mut child = self.node(id).child.take().unwrap_or_else(|| panic!("node {id} runs"));
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self, id: i32) {
        if let Some(machine) = self.machine(id) {
            machine.stop();
            return self.kill(id);
        }
        let mut child = self.node(id).child.take().unwrap_or_else(|| panic!("node {id} runs"));
        process::signal(&child, libc::SIGTERM);
        let status = process::wait(&mut child, STOP_LIMIT);
        let ended_well = status.is_some_and(|status| status.success() || status.code() == Some(128 + libc::SIGTERM));
        assert!(ended_well, "node {id} did not stop cleanly ({status:?}):\n{}", process::tail(&self.log(id)));
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    pub fn pause(&mut self, id: i32) {
        process::signal(self.child(id), libc::SIGSTOP);
        self.node(id).paused = true;
    }

    /// SIGCONT.
    pub fn resume(&mut self, id: i32) {
        process::signal(self.child(id), libc::SIGCONT);
        self.node(id).paused = false;
    }

    /// True while the process lives. One that ended by itself counts as down from then on.
    pub fn is_running(&mut self, id: i32) -> bool {
        let node = self.node(id);
        let alive = node.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
        if !alive {
            node.child = None;
        }
        alive
    }

    /// Takes a node that is down out of the cluster: nobody waits for it or asks it any more.
    pub fn remove(&mut self, id: i32) {
        let node = self.nodes.remove(&id).unwrap_or_else(|| panic!("there is no node {id}"));
        assert!(node.child.is_none(), "node {id} is down");
    }

    /// As [`Cluster::remove`], with everything that it had: another may come under its number.
    pub fn discard(&mut self, id: i32) {
        let home = self.nodes[&id].home.clone();
        self.remove(id);
        fs::remove_dir_all(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    }

    fn data_dir(&self, id: i32) -> PathBuf {
        self.nodes[&id].home.join("data")
    }

    /// The log dir of a node that is down is empty, as on a new disk, and formatted again. Its metadata log dir stays.
    pub fn wipe(&mut self, id: i32) {
        assert!(self.nodes[&id].child.is_none(), "node {id} is down");
        for entry in fs::read_dir(self.data_dir(id)).unwrap() {
            let path = entry.unwrap().path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        self.format(id, &["--ignore-formatted"]);
    }

    /// A replica's directory is gone from a node that is down, as if it had never been.
    pub fn lose_replica(&self, id: i32, topic: &str, partition: i32) {
        assert!(self.nodes[&id].child.is_none(), "node {id} is down");
        fs::remove_dir_all(self.data_dir(id).join(format!("{topic}-{partition}"))).expect("the replica's directory");
    }

    /// Writes to the small disk of a node until nothing more fits.
    pub fn fill_disk(&self, id: i32) {
        assert!(self.nodes[&id].disk.is_some(), "node {id} has a small disk");
        let mut filler = fs::File::create(self.data_dir(id).join(FILLER)).expect("room for one more file");
        for size in [1 << 20, 4096] {
            while filler.write_all(&vec![1u8; size]).is_ok() {}
        }
    }

    pub fn make_room(&self, id: i32) {
        fs::remove_file(self.data_dir(id).join(FILLER)).expect("the filler");
    }
}

/// How long the threads of each process have waited for a core, by process id.
#[derive(Default)]
pub struct Waits(BTreeMap<u32, Duration>);

impl Waits {
    /// How much longer each node has waited since `before`: of its threads the one that waited longest, of all nodes the sum, since one
    /// waits for the other.
    pub fn since(&self, before: &Waits) -> Duration {
        let more = |(id, wait): (&u32, &Duration)| wait.saturating_sub(before.0.get(id).copied().unwrap_or_default());
        self.0.iter().map(more).sum()
    }
}

impl Cluster {
    /// On a machine that has no core for them, processes are late through no fault of theirs.
    pub fn waits(&self) -> Waits {
        let ids = self.nodes.values().filter_map(|node| node.child.as_ref().map(Child::id));
        Waits(ids.map(|id| (id, waited_for_a_core(id))).collect())
    }
}

/// Of the threads of a process, the one that has waited longest.
fn waited_for_a_core(process: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
    let waited = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
    };
    threads.flatten().filter_map(waited).max().unwrap_or_default()
}

/// What is asked of a cluster that is well.
impl Cluster {
    /// The brokers, also those that are down.
    pub fn brokers(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.roles.is_broker()).map(|(id, _)| *id).collect()
    }

    pub fn nodes(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    pub fn controllers(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.roles.is_controller()).map(|(id, _)| *id).collect()
    }

    fn serving(&self) -> Vec<i32> {
        let serves = |node: &Node| node.roles.is_broker() && node.child.is_some() && !node.paused;
        self.nodes.iter().filter(|(_, node)| serves(node)).map(|(id, _)| *id).collect()
    }

    pub fn address(&self, id: i32) -> SocketAddr {
        (network::address(host(id)), PORT).into()
    }

    /// Where a controller is asked.
    pub fn controller_address(&self, id: i32) -> String {
        format!("{}:{CONTROLLER_PORT}", network::address(host(id)))
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.brokers().into_iter().map(|id| self.address(id)).collect()
    }

    /// `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// A client that goes to whoever leads, and waits so long for an answer.
    pub fn router(&self, turn: usize, limit: Duration) -> Router {
        Router::new(self.addresses(), turn, limit)
    }

    /// Asks the brokers in turn until one has an answer.
    pub fn ask<T>(&self, what: &str, mut ask: impl FnMut(&mut Client) -> io::Result<Option<T>>) -> T {
        let mut router = self.router(0, ANSWER_LIMIT);
        let deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            match router.connect_to_any().and_then(|mut client| ask(&mut client)) {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(error) => assert!(Instant::now() < deadline, "{what}: {error}"),
            }
            assert!(Instant::now() < deadline, "{what}: nobody knows after {SETTLE_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every broker that serves says so of the cluster and of `topics`.
    pub fn await_everywhere(&self, what: &str, topics: &[&str], so: impl Fn(&MetadataResponse) -> bool) {
        let says_so = |id: i32| {
            let answer = Client::connect(self.address(id)).and_then(|mut client| {
                client.limit(ANSWER_LIMIT);
                client.metadata(Some(topics))
            });
            answer.is_ok_and(|answer| so(&answer))
        };
        for id in self.serving() {
            wait_until(&format!("node {id}: {what}"), SETTLE_LIMIT, || says_so(id));
        }
    }

    /// Waits until all brokers that serve know of each other and of nobody else.
    pub fn await_brokers(&self) {
        let wanted = self.serving();
        self.await_everywhere(&format!("the brokers are {wanted:?}"), &[], |answer| {
            let mut found: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
            found.sort_unstable();
            found == wanted
        });
    }

    /// Waits until all replicas of a topic are in sync.
    pub fn await_in_sync(&self, topic: &str) {
        let in_sync = |partition: &MetadataResponsePartition| {
            partition.leader_id >= 0 && partition.isr_nodes.len() == partition.replica_nodes.len()
        };
        self.await_everywhere(&format!("all replicas of {topic} are in sync"), &[topic], |answer| {
            answer.topics[0].error_code == 0 && answer.topics[0].partitions.iter().all(in_sync)
        });
    }

    /// Waits until each partition is led by the first of its replicas.
    pub fn await_preferred_leaders(&self, topic: &str) {
        self.await_everywhere(&format!("the preferred leaders of {topic} lead"), &[topic], |answer| {
            let mut partitions = answer.topics[0].partitions.iter();
            answer.topics[0].error_code == 0 && partitions.all(|found| found.replica_nodes.first() == Some(&found.leader_id))
        });
    }

    /// The partitions of a topic, by index.
    pub fn partitions(&self, topic: &str) -> Vec<MetadataResponsePartition> {
        self.ask(topic, |client| {
            let mut found = client.metadata(Some(&[topic]))?.topics.remove(0);
            found.partitions.sort_by_key(|partition| partition.partition_index);
            let led = found.error_code == 0 && found.partitions.iter().all(|partition| partition.leader_id >= 0);
            Ok((led && !found.partitions.is_empty()).then_some(found.partitions))
        })
    }

    pub fn leader(&self, topic: &str, partition: i32) -> i32 {
        let partitions = self.partitions(topic);
        partitions[usize::try_from(partition).unwrap()].leader_id
    }

    /// The end of what consumers can read of a partition.
    pub fn log_end(&self, topic: &str, partition: i32) -> i64 {
        let mut router = self.router(0, ANSWER_LIMIT);
        self.ask("a log end", |_| {
            let (_, mut leader) = router.connect_to_leader(topic, partition)?;
            let (error, end) = leader.list_offset(topic, partition, -1)?;
            Ok((error == 0).then_some(end))
        })
    }

    /// The node that leads the controller quorum.
    pub fn active_controller(&self) -> i32 {
        self.ask("the active controller", Client::active_controller)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ids: Vec<i32> = self.nodes.keys().copied().collect();
        for id in &ids {
            if let Some(mut child) = self.node(*id).child.take() {
                child.kill().ok();
                child.wait().ok();
            }
        }
        if std::thread::panicking() || std::env::var_os("FLUMEN_TEST_KEEP").is_some() {
            ids.iter().for_each(|id| self.keep(*id));
        }
    }
}

impl Cluster {
    /// Copies what explains a failure to where the runner has its logs.
    fn keep(&self, id: i32) {
        let to = |file: &str| logs_dir().join(format!("cluster-{}-node{id}-{file}", self.name));
        fs::write(to("node.log"), self.log(id)).ok();
        fs::copy(self.nodes[&id].home.join("server.properties"), to("server.properties")).ok();
        eprintln!("kept {} and its settings", to("node.log").display());
    }
}

/// Where the runner keeps the logs of suites.
pub fn logs_dir() -> PathBuf {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-logs");
    fs::create_dir_all(&logs).expect("a directory for logs");
    logs
}
