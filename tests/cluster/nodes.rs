//! A cluster: brokers and controllers in processes of their own, each on a host of its own, with disks that can be filled and wiped.
//!
//! Node `n` runs on host `n - 1`. Its log dir and its metadata log dir are apart, as on machines with several disks, so that the first can
//! be lost without the second. Both kinds of broker get the same configuration file.

mod asked;

use crate::disk::{self, Disk};
use crate::machine::Machine;
use crate::network::{self, Network};
use crate::support::broker::{Kind, answers};
use crate::support::{process, tools};
use crate::waits::Waits;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CLUSTER_ID: &str = "Zmx1bWVuLWNsdXN0ZXItMQ";
const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
/// The node whose disk Apache Kafka's tool formats where the voters are in the log.
const FORMATTED_BY_KAFKA: i32 = 3;
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
const SETTINGS: [(&str, &str); 15] = [
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
    // A JVM that has no core for a minute must not give up.
    ("initial.broker.registration.timeout.ms", "600000"),
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

/// Who votes on the metadata, and how the nodes know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voters {
    /// All controllers, by `controller.quorum.voters`.
    Fixed,
    /// Node 1, and whoever is made one while the cluster runs (KIP-853). The others know no controller but the first; the third is formatted
    /// by Apache Kafka's tool.
    InLog,
}

/// What a cluster is made of.
pub struct Layout<'a> {
    /// Of nodes 1, 2, ...
    pub roles: &'a [Roles],
    pub voters: Voters,
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
    pub const THREE: Layout<'static> = Layout {
        roles: &[Roles::Both; 3],
        voters: Voters::Fixed,
        spare_hosts: 0,
        settings: &[],
        disk_mib: None,
        as_service: false,
    };
}

struct Node {
    roles: Roles,
    controller_port: u16,
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
    voters: Voters,
    /// The first controllers and where they are: `id@host:port`.
    controllers: Vec<String>,
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
        let controllers: Vec<String> =
            ids.clone().zip(layout.roles).filter(|(_, roles)| roles.is_controller()).map(voter).collect();
        let mut settings: Vec<(String, String)> = Vec::new();
        for (key, value) in SETTINGS.iter().chain(layout.settings) {
            settings.retain(|(old, _)| old != key);
            settings.push(((*key).to_owned(), (*value).to_owned()));
        }
        let mut cluster = Cluster {
            kind: Kind::under_test(),
            name: name.to_owned(),
            settings,
            voters: layout.voters,
            controllers,
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
        let mut node = Node {
            roles,
            controller_port: CONTROLLER_PORT,
            home,
            child: None,
            paused: false,
            said_ready: 0,
            disk,
            machine: None,
        };
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

    /// The settings that name the controllers.
    fn quorum_settings(&self, id: i32) -> String {
        let servers = self.controllers.iter().map(|controller| controller.split_once('@').expect("id@host:port").1);
        match self.voters {
            Voters::Fixed => format!("controller.quorum.voters={}\n", self.controllers.join(",")),
            Voters::InLog => {
                let known = if id == 1 { self.controllers.len() } else { 1 };
                let known: Vec<&str> = servers.take(known).collect();
                format!("controller.quorum.bootstrap.servers={}\n", known.join(","))
            }
        }
    }

    /// The controller of a node that is down listens elsewhere from the next start on.
    pub fn move_controller(&mut self, id: i32, port: u16) {
        assert!(self.nodes[&id].child.is_none(), "node {id} is down");
        self.node(id).controller_port = port;
        self.write_settings(id);
    }

    /// From now on no settings that are written name the voters.
    pub fn name_no_voters(&mut self) {
        self.voters = Voters::InLog;
    }

    /// Writes the settings of a node as they are to be at its next start.
    pub fn write_settings(&self, id: i32) {
        fs::write(self.settings_file(id), self.configuration(id, &self.nodes[&id])).unwrap();
    }

    pub fn settings_file(&self, id: i32) -> PathBuf {
        self.nodes[&id].home.join("server.properties")
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
        let controller = format!("CONTROLLER://{address}:{}", node.controller_port);
        let mut listeners = Vec::new();
        listeners.extend(node.roles.is_broker().then(|| broker.clone()));
        listeners.extend(node.roles.is_controller().then_some(controller));
        let mut text = format!(
            "process.roles={}\nnode.id={id}\n{}listeners={}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
            node.roles.name(),
            self.quorum_settings(id),
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
        self.format_as(id, options, id);
    }

    /// Formats a node as if it were the first, the second or the third of a cluster.
    fn format_as(&self, id: i32, options: &[&str], place: i32) {
        let in_log = self.voters == Voters::InLog;
        let kind = if in_log && place == FORMATTED_BY_KAFKA { Kind::Kafka } else { self.kind };
        let mut command = match kind {
            Kind::Flumen => Command::new(env!("CARGO_BIN_EXE_flumen")),
            Kind::Kafka => tools::java("kafka.tools.StorageTool", 128, "warn"),
        };
        if kind == Kind::Flumen {
            command.arg("storage");
        }
        command.arg("format").arg("--config").arg(self.settings_file(id)).args(["--cluster-id", CLUSTER_ID]).args(options);
        if in_log {
            command.arg(if place == 1 { "--standalone" } else { "--no-initial-controllers" });
        }
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
        let port = if self.nodes[&id].roles.is_broker() { PORT } else { self.nodes[&id].controller_port };
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

    /// The metadata log dir of a node that is down is empty, as on a new disk, and formatted again.
    pub fn wipe_metadata(&mut self, id: i32) {
        assert!(self.nodes[&id].child.is_none(), "node {id} is down");
        let dir = self.nodes[&id].home.join("meta");
        fs::remove_dir_all(&dir).and_then(|()| fs::create_dir(&dir)).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        self.format_as(id, &["--ignore-formatted"], 2);
    }

    /// The id of the directory of a node's metadata.
    pub fn metadata_directory(&self, id: i32) -> String {
        let file = self.nodes[&id].home.join("meta/meta.properties");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let id = text.lines().find_map(|line| line.strip_prefix("directory.id="));
        id.unwrap_or_else(|| panic!("no directory id in {text}")).to_owned()
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
        fs::remove_dir_all(self.replica_dir(id, topic, partition)).expect("the replica's directory");
    }

    /// Where a node has its files of a partition.
    pub fn replica_dir(&self, id: i32, topic: &str, partition: i32) -> PathBuf {
        self.data_dir(id).join(format!("{topic}-{partition}"))
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

impl Cluster {
    /// On a machine that has no core for them, processes are late through no fault of theirs.
    pub fn waits(&self) -> Waits {
        let ids = self.nodes.values().filter_map(|node| node.child.as_ref().map(Child::id));
        Waits::of(ids)
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
