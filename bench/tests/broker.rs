//! The generator against a real broker: what it sends is what the broker serves, and what it says is what happened.
//!
//! The broker is the program `flumen` of this workspace, which the suite's command builds before the tests run; it is found beside
//! this test's own binary, or where `FLUMEN_BROKER` says.

use serde_json::Value;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A busy machine with two cores.
const START_LIMIT: Duration = Duration::from_secs(30);

struct Server {
    child: Child,
    address: String,
    home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn broker_program() -> PathBuf {
    if let Some(path) = std::env::var_os("FLUMEN_BROKER") {
        return path.into();
    }
    let path = Path::new(env!("CARGO_BIN_EXE_flumen-bench")).with_file_name("flumen");
    assert!(path.exists(), "{} is missing: `cargo build --bin flumen` makes it, `tests/run bench` does both", path.display());
    path
}

fn home() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("flumen-test-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn wait_for(address: &str, child: &mut Child) {
    #[allow(clippy::disallowed_methods)] // not a time of a run
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(address).is_err() {
        #[allow(clippy::disallowed_methods)]
        let late = Instant::now() > deadline;
        assert!(child.try_wait().unwrap().is_none() && !late, "the server does not listen on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that was free a moment ago.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn broker() -> Server {
    broker_with(&[])
}

/// A broker with settings of its own, such as `key=value`.
fn broker_with(settings: &[&str]) -> Server {
    let (home, address) = (home(), free_address());
    let mut child = start(&home, &address, settings);
    wait_for(&address, &mut child);
    Server { child, address, home }
}

/// Starts a broker, which goes on with the data that are there.
fn start(home: &tempfile::TempDir, address: &str, settings: &[&str]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(home.path().join("broker.log")).unwrap();
    let mut command = Command::new(broker_program());
    command.arg("server");
    let own = [format!("listeners=PLAINTEXT://{address}"), format!("log.dirs={}", home.path().join("data").display())];
    for setting in own.iter().map(String::as_str).chain(settings.iter().copied()) {
        command.arg("--override").arg(setting);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(home.path());
    command.spawn().unwrap()
}

fn generator(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flumen-bench")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{:?}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Server {
    fn try_run(&self, command: &str, arguments: &str) -> (Output, Value) {
        let json = self.home.path().join("run.json");
        let mut all = vec![command, "--bootstrap", &self.address, "--json", json.to_str().unwrap()];
        all.extend(arguments.split_ascii_whitespace());
        let output = generator(&all);
        let found = std::fs::read(&json).map_or(Value::Null, |json| serde_json::from_slice(&json).unwrap());
        (output, found)
    }

    fn run(&self, command: &str, arguments: &str) -> Value {
        let (output, json) = self.try_run(command, arguments);
        assert!(output.status.success(), "{command} {arguments}: {}", said(&output));
        assert_eq!(json["failure"], Value::Null);
        json
    }
}

#[test]
fn every_codec_is_written_and_read_back_as_it_was_sent() {
    let broker = broker();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let load = format!(
            "--topic {codec} --create --partitions 3 --codec {codec} --stamped --records 2000 --records-per-batch 50 --record-size 200 \
             --connections 4 --acks all"
        );
        let produced = broker.run("produce", &load);
        assert_eq!(produced["produced"]["records"], 2_000, "{codec}");
        assert_eq!(produced["latency_us"]["ack"]["count"], 40);
        for sessions in ["", "--sessions"] {
            let consumed = broker.run("consume", &format!("--topic {codec} --verify --until-end {sessions}"));
            assert_eq!(consumed["consumed"]["records"], 2_000, "{codec} {sessions}");
        }
    }
}

#[test]
fn what_cannot_be_verified_fails_the_run() {
    let broker = broker();
    broker.run("produce", "--topic plain --create --records 100 --records-per-batch 10");
    let (output, json) = broker.try_run("consume", "--topic plain --verify --until-end");
    assert!(!output.status.success(), "{}", said(&output));
    assert!(json["failure"].as_str().unwrap().contains("no stamp"), "{json}");
    let (output, _) = broker.try_run("produce", "--topic plain --create --records 1");
    assert!(!output.status.success() && said(&output).contains("TOPIC_ALREADY_EXISTS"), "{}", said(&output));
    let (output, json) = broker.try_run("produce", "--topic plain --records 10 --records-per-batch 2 --record-size 600000");
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(json["errors"]["MESSAGE_TOO_LARGE"], 1);
}

#[test]
fn two_seconds_of_each_load_end_well() {
    let broker = broker();
    let pid = broker.child.id();
    let closed = "--topic t --create --partitions 4 --connections 8 --batches-per-request 2 --duration 2 --warmup 0.5";
    let produced = broker.run("produce", &format!("{closed} --idempotent --acks all --stamped --keys 100 --broker-pid {pid}"));
    let records = produced["produced"]["records"].as_u64().unwrap();
    assert!(records > 1_000, "{produced}");
    let seconds = produced["seconds"].as_f64().unwrap();
    assert!((1.99..2.01).contains(&seconds), "measured for {seconds} s");
    assert!(
        produced["broker"]["cpu_seconds"]["user"].as_f64().unwrap() > 0.0
            && produced["broker"]["rss_bytes"].as_u64().unwrap() > 1 << 20
    );
    let consumed = broker.run("consume", "--topic t --verify --until-end --consumers 2 --threads 2");
    assert!(consumed["consumed"]["records"].as_u64().unwrap() >= records, "the records of the warm-up are there too");
    let tail = broker.run("consume", "--topic t --rewind --duration 2 --consumers 3 --assign all");
    assert!(tail["consumed"]["megabytes_per_second"].as_f64().unwrap() > 1.0);
    let open =
        "--topic t --duration 2 --rate 2000 --records-per-batch 1 --record-size 100 --connections 10 --consumers 2 --assign all";
    let hdr = broker.home.path().join("run.hdr");
    let e2e = broker.run("e2e", &format!("{open} --hdr {}", hdr.display()));
    let sent = e2e["produced"]["records"].as_u64().unwrap();
    assert!((3_900..=4_001).contains(&(sent + e2e["unsent"].as_u64().unwrap())), "2,000 records a second for 2 s: {e2e}");
    assert!(e2e["latency_us"]["end_to_end"]["count"].as_u64().unwrap() >= 2 * sent - 100, "{e2e}");
    assert!(std::fs::read_to_string(hdr).unwrap().contains("Tag=end_to_end"));
    let acks0 = broker.run("produce", "--topic t --acks 0 --duration 1");
    assert!(acks0["produced"]["records"].as_u64().unwrap() > 0);
}

#[test]
fn the_floor_servers_answer_their_clients() {
    for (kind, served, client, options) in [
        ("produce", "", "floor-produce", "--request-bytes 100000"),
        ("produce", "--overwrite", "floor-produce", "--request-bytes 100000"),
        ("fetch", "", "floor-fetch", "--answer-bytes 300000 --file-mib 8"),
        ("echo", "--on epoll", "echo", "--request-bytes 150"),
        ("echo", "--on glommio", "echo", "--request-bytes 40000"),
    ] {
        let (home, address) = (home(), free_address());
        let arguments = ["floor", kind, "--listen", &address, "--file-mib", "8", "--seconds", "60"];
        let answer = if kind == "fetch" { "300000" } else { "60" };
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen-bench"));
        command.args(arguments).args(served.split_ascii_whitespace()).args(["--answer-bytes", answer]);
        command.arg("--dir").arg(home.path()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for(&address, &mut child);
        let server = Server { child, address, home };
        let json = server.home.path().join("run.json");
        let mut all = vec![client, "--target", &server.address, "--json", json.to_str().unwrap(), "--duration", "0.5"];
        all.extend(["--connections", "5", "--in-flight", "3"]);
        all.extend(options.split_ascii_whitespace());
        let output = generator(&all);
        assert!(output.status.success(), "{kind} {served}: {}", said(&output));
        let json: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert!(json["latency_us"]["ack"]["count"].as_u64().unwrap() > 50, "{kind} {served}: {json}");
    }
}

#[test]
fn members_join_leave_come_back_and_send_heartbeats() {
    let broker = broker_with(&["group.initial.rebalance.delay.ms=100"]);
    let pid = broker.child.id();
    let load = format!(
        "--groups 5 --members 4 --heartbeat-ms 200 --first-heartbeat-ms 50 --duration 1 --warmup 0.2 --hold 0.2 --broker-pid {pid}"
    );
    let found = broker.run("groups", &format!("--topic t --create --partitions 7 {load}"));
    for (stage, joins) in [("first", 5 * 2), ("joined", 5 * 7), ("left", 5 * 3), ("returned", 5 * 5)] {
        let stage = &found["stages"][stage];
        assert!(stage["seconds"].as_f64().unwrap() > 0.0 && stage["broker_cpu_seconds"]["user"].is_f64(), "{stage}");
        assert_eq!(stage["rebalance_us"]["count"], 5, "one for each group: {stage}");
        assert!(stage["joins"].as_u64().unwrap() >= joins, "{joins} are the least that there must be: {stage}");
    }
    // 20 members, five a second.
    let beats = found["latency_us"]["ack"]["count"].as_u64().unwrap();
    assert!((90..=110).contains(&beats), "{beats} heartbeats");
    assert!(found["broker"]["cpu_seconds"]["user"].is_f64());
    // All have left: a second run would otherwise wait for those of the first.
    broker.run("groups", &format!("--topic t {load}"));
}

#[test]
fn commits_are_what_the_groups_have_at_the_end() {
    let broker = broker();
    let load = "--groups 7 --connections 3 --threads 2 --partitions-per-commit 2 --rate 300 --duration 1 --warmup 0.2";
    let found = broker.run("commits", &format!("--topic t --create --partitions 3 {load}"));
    let commits = found["produced"]["requests"].as_u64().unwrap();
    assert!((280..=310).contains(&(commits + found["unsent"].as_u64().unwrap())), "300 a second: {found}");
    assert_eq!(found["produced"]["records"], 2 * commits);
    // As fast as it goes, over what is there already.
    let found = broker.run("commits", "--topic t --groups 2 --connections 2 --in-flight 3 --duration 0.5");
    assert!(found["latency_us"]["ack"]["count"].as_u64().unwrap() > 50, "{found}");
}

#[test]
fn metadata_of_all_topics_are_counted() {
    let broker = broker();
    let found = broker.run("metadata", "--create-topics 5 --partitions 4 --connections 2 --duration 0.5");
    let answers = found["consumed"]["requests"].as_u64().unwrap();
    assert!(answers > 50, "{found}");
    assert_eq!(found["consumed"]["records"], 20 * answers);
    let found = broker.run("metadata", "--request-rate 100 --duration 1");
    assert!((90..=101).contains(&found["consumed"]["requests"].as_u64().unwrap()), "{found}");
}

#[test]
fn compaction_leaves_the_newest_of_each_key() {
    let broker = broker_with(&["log.cleaner.backoff.ms=20"]);
    let configs = "--config cleanup.policy=compact --config min.cleanable.dirty.ratio=1 --config segment.bytes=1048576";
    let load = "--keys 50 --stamped --record-size 1000 --records-per-batch 20 --records 6000";
    broker.run("produce", &format!("--topic t --create --partitions 2 {configs} {load}"));
    let compact = format!("--topic t --log-dir {} --broker-pid {}", broker.home.path().join("data").display(), broker.child.id());
    let found = broker.run("compaction", &compact);
    let (dirty, clean) = (found["dirty_bytes"].as_u64().unwrap(), found["clean_bytes"].as_u64().unwrap());
    assert!(dirty > 3 << 20 && clean < dirty / 10, "{found}");
    assert_eq!(found["keys"], 50);
    assert!(found["records"].as_u64().unwrap() < 6_000 && found["broker"]["cpu_seconds"]["user"].is_f64(), "{found}");
    let (output, _) = broker.try_run("compaction", &compact);
    assert!(!output.status.success() && said(&output).contains("compacted already"), "{}", said(&output));
}

#[test]
fn an_outage_is_ridden_out_and_measured_and_loses_nothing() {
    let mut broker = broker();
    let elsewhere = free_address();
    let away = Duration::from_millis(1_500);
    let found = std::thread::scope(|scope| {
        let (home, address) = (&broker.home, broker.address.clone());
        // The first of the two does not answer, and is passed over.
        let load = scope.spawn(move || {
            let json = home.path().join("outage.json");
            let load = "--topic t --create --partitions 3 --rate 100 --duration 5";
            let bootstrap = format!("{elsewhere},{address}");
            let mut all = vec!["outage", "--bootstrap", &bootstrap, "--json", json.to_str().unwrap()];
            all.extend(load.split_ascii_whitespace());
            let output = generator(&all);
            assert!(output.status.success(), "{}", said(&output));
            serde_json::from_slice::<Value>(&std::fs::read(json).unwrap()).unwrap()
        });
        std::thread::sleep(Duration::from_secs(2));
        broker.child.kill().unwrap();
        broker.child.wait().unwrap();
        std::thread::sleep(away);
        broker.child = start(home, &broker.address, &[]);
        load.join().unwrap()
    });
    let count = |name: &str| found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"));
    let longest = found["longest_gap_ms"].as_f64().unwrap();
    assert!(longest >= away.as_millis() as f64 && longest < 20_000.0, "{found}");
    assert!(count("lost_connections") > 0 && count("lost") == 0 && count("repeated") == 0, "{found}");
    assert_eq!(found["application_errors"], serde_json::json!({}));
    assert!(count("acked") > 200 && count("records") == count("acked"), "{found}");
    for partition in found["partitions"].as_array().unwrap() {
        assert!(partition["gaps"][0]["ms"].as_f64().unwrap() >= away.as_millis() as f64, "{partition}");
    }
}

#[test]
fn a_cluster_of_one_is_in_sync_has_a_controller_and_nothing_to_turn_round() {
    let broker = broker();
    broker.run("produce", "--topic t --create --partitions 5 --records 1");
    let found = broker.run("in-sync", "--topic t");
    assert_eq!((&found["partitions"], &found["behind"]), (&Value::from(5), &Value::from(0)));
    assert_eq!(broker.run("controller", "")["controller"], 1);
    let (output, _) = broker.try_run("in-sync", "--topic nowhere --patience 0.2");
    assert!(!output.status.success() && said(&output).contains("UNKNOWN_TOPIC_OR_PARTITION"), "{}", said(&output));
    let (output, _) = broker.try_run("reorder", "--topic t");
    assert!(!output.status.success() && said(&output).contains("at least two replicas"), "{}", said(&output));
}

/// `perf/compare` shows the stalls of the cores from these lines.
#[test]
fn a_clean_stop_tells_how_long_tasks_held_each_core() {
    let mut broker = broker();
    broker.run("produce", "--topic t --create --partitions 4 --connections 4 --duration 1");
    // SAFETY: a signal to a process that this test started and has not waited for.
    assert_eq!(unsafe { libc::kill(broker.child.id() as i32, libc::SIGTERM) }, 0);
    assert!(broker.child.wait().unwrap().success());
    let log = std::fs::read_to_string(broker.home.path().join("broker.log")).unwrap();
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number in:\n{log}"));
    let serves = log.lines().find(|line| line.contains("the broker serves")).expect("the line of the start");
    let cores = number(serves.split_once(" cores=").unwrap().1);
    for core in 0..cores {
        let told = format!("how long tasks held the core core={core} longest_us=");
        let (longest, classes) = log
            .lines()
            .find_map(|line| {
                let (longest, rest) = line.split_once(&told)?.1.split_once(" longest_write_us=")?;
                Some((longest, rest.split_once(" held_us_below=")?.1))
            })
            .unwrap_or_else(|| panic!("core {core} says nothing:\n{log}"));
        let classes: Vec<_> = classes.split(' ').map(|class| class.split_once(':').unwrap()).collect();
        let turns: u64 = classes.iter().map(|(_, count)| number(count)).sum();
        assert!(turns > 50, "a busy second has thousands of turns: {classes:?}");
        let below = number(classes.last().unwrap().0);
        assert!(number(longest) < below && number(longest) * 2 >= below, "{longest} belongs to the last of {classes:?}");
    }
}
