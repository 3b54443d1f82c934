//! A broker in a process of its own, on a free loopback port, with its data in a directory that goes away with the test.

use super::process;
use super::tools;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flumen,
    /// Apache Kafka 4.2.0: broker and controller in one process.
    Kafka,
}

impl Kind {
    /// The broker that the tests are about, unless `FLUMEN_TEST_TARGET=kafka`.
    pub fn under_test() -> Kind {
        match std::env::var("FLUMEN_TEST_TARGET").as_deref() {
            Err(_) | Ok("flumen") => Kind::Flumen,
            Ok("kafka") => Kind::Kafka,
            Ok(other) => panic!("FLUMEN_TEST_TARGET={other}: flumen or kafka"),
        }
    }

    fn ready_limit(self) -> Duration {
        match self {
            Kind::Flumen => Duration::from_secs(30),
            Kind::Kafka => Duration::from_secs(90),
        }
    }
}

/// Any cluster id of the right form; a directory that moves between brokers keeps it.
const CLUSTER_ID: &str = "Zmx1bWVuLXRlc3RzLTEyMw";
/// Apache Kafka's log line when it serves.
const READY: &str = "Kafka Server started";
const STOP_LIMIT: Duration = Duration::from_secs(60);

pub struct Broker {
    pub kind: Kind,
    pub port: u16,
    controller_port: u16,
    settings: Vec<(String, String)>,
    home: tempfile::TempDir,
    child: Option<Child>,
    /// How often its log had said that it was ready before this start.
    said_ready: usize,
}

/// A port that was free a moment ago. Not in the range that outgoing connections use, or one of them could take it while the
/// broker is down between two starts.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 500).unwrap() * 20;
    for _ in 0..2000 {
        let port = 12_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

impl Broker {
    /// Starts the broker under test and waits until it answers.
    pub fn start(settings: &[(&str, &str)]) -> Broker {
        Broker::start_kind(Kind::under_test(), settings)
    }

    pub fn start_kind(kind: Kind, settings: &[(&str, &str)]) -> Broker {
        let mut broker = Broker {
            kind,
            port: free_port(),
            controller_port: free_port(),
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            home: tempfile::Builder::new()
                .prefix("flumen-test-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .expect("a temporary directory"),
            child: None,
            said_ready: 0,
        };
        fs::create_dir(broker.data_dir()).unwrap();
        broker.restart();
        broker
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        self.data_dir().join(format!("{topic}-{partition}"))
    }

    /// The process id, for tools that watch it.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker runs").id()
    }

    /// Everything that the broker has said since it was first started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("broker.log")
    }

    /// Changes a setting from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(old, _)| old != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts it on the same directory and port, and waits until it answers.
    pub fn restart(&mut self) {
        self.start_without_waiting();
        self.wait_until_ready();
    }

    /// Starts it on the same directory and port, for a test that kills it before it is ready.
    pub fn start_without_waiting(&mut self) {
        assert!(self.child.is_none(), "the broker runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = match self.kind {
            Kind::Flumen => self.flumen(),
            Kind::Kafka => self.kafka(),
        };
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(self.home.path());
        self.said_ready = self.log().matches(READY).count();
        self.child = Some(process::spawn_kept(command));
    }

    fn flumen(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        command.arg("server");
        let own = [
            ("listeners".to_owned(), format!("PLAINTEXT://{}", self.bootstrap())),
            ("log.dirs".to_owned(), self.data_dir().display().to_string()),
        ];
        for (key, value) in own.iter().chain(&self.settings) {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        command
    }

    fn kafka(&self) -> Command {
        let (port, controller) = (self.port, self.controller_port);
        let mut text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n",
            self.data_dir().display()
        );
        for (key, value) in self.settings.iter().filter(|(key, _)| !key.starts_with("flumen.")) {
            text.push_str(&format!("{key}={value}\n"));
        }
        let file = self.home.path().join("server.properties");
        fs::write(&file, text).unwrap();
        let mut command = tools::java("TestBroker", 512, "info");
        command.arg(file).arg(CLUSTER_ID);
        command
    }

    /// Ready is when it answers ApiVersions; Apache Kafka listens before it is, so its log line is awaited first.
    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + self.kind.ready_limit();
        loop {
            let said_so = self.kind == Kind::Flumen || self.log().matches(READY).count() > self.said_ready;
            if said_so && answers(self.address()) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(ended.is_none() && !late, "the broker did not start ({ended:?}):\n{}", process::tail(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL: nothing is flushed, closed or said.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the broker runs");
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the broker runs");
        process::signal(&child, libc::SIGTERM);
        let status = process::wait(&mut child, STOP_LIMIT);
        let ended_well = status.is_some_and(|status| status.success() || status.code() == Some(128 + libc::SIGTERM));
        assert!(ended_well, "the broker did not stop cleanly ({status:?}):\n{}", process::tail(&self.log()));
    }

    /// True while the process lives: a broker that a request brought down is a failure of its own.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Creates a topic with Kafka's own tool.
    pub fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let bootstrap = self.bootstrap();
        let partitions = partitions.to_string();
        let mut arguments = vec![
            "--bootstrap-server",
            &bootstrap,
            "--create",
            "--topic",
            topic,
            "--partitions",
            &partitions,
            "--replication-factor",
            "1",
        ];
        let configs: Vec<String> = configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for config in &configs {
            arguments.extend(["--config", config]);
        }
        tools::kafka_tool("org.apache.kafka.tools.TopicCommand", &arguments, b"");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("---- last lines of the broker on port {}:\n{}", self.port, process::tail(&self.log()));
        }
    }
}

/// One ApiVersions request (version 0, header version 1), and whether an answer with its correlation id comes back.
pub fn answers(address: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut socket) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 77, 0xff, 0xff];
    let mut head = [0; 8];
    socket.write_all(&request).is_ok() && socket.read_exact(&mut head).is_ok() && head[4..] == [0, 0, 0, 77]
}

/// All files below a directory, as paths relative to it, in order.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("a readable directory"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(directory).unwrap().to_owned())
        .collect()
}
