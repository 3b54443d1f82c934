//! What the people who run a broker see of it: `flumen check`, the systemd unit, metrics and health, and what becomes of its settings.

mod identity;
mod limits;
mod settings;
mod storage;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::broker::{Broker, Kind, free_port};
use support::client::Client;
use support::process;

const LIMIT: Duration = Duration::from_secs(30);

fn flumen() -> Command {
    Command::new(env!("CARGO_BIN_EXE_flumen"))
}

#[test]
fn check_tells_good_from_poor_and_fails_for_bad() {
    let good = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log_dirs = format!("log.dirs={},/dev/shm/flumen-check", good.path().display());
    let finished = process::run(flumen().args(["check", "--override", &log_dirs]), b"", LIMIT);
    let said = String::from_utf8(finished.stdout).unwrap();
    assert!(finished.status.success(), "{said}{}", finished.stderr);
    assert!(said.contains("good  io_uring and limits: allowed"), "{said}");
    assert!(said.contains(&format!("log dir {}", good.path().display())), "{said}");
    assert!(said.contains("POOR  log dir /dev/shm/flumen-check: tmpfs"), "{said}");
    assert!(said.contains("gone after a restart"), "{said}");
    assert!(!Path::new("/dev/shm/flumen-check").exists(), "it only looks");

    let finished = process::run(flumen().args(["check", "--override", "flumen.cores=1000"]), b"", LIMIT);
    let said = String::from_utf8(finished.stdout).unwrap();
    assert!(!finished.status.success() && said.contains("BAD "), "{said}");
    let finished = process::run(flumen().args(["check", "--override", "no-equals-sign"]), b"", LIMIT);
    assert!(!finished.status.success() && finished.stderr.contains("KEY=VALUE"), "{}", finished.stderr);
}

/// The lines of the unit that say how the program is started and watched.
fn unit() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/flumen.service")).unwrap()
}

#[test]
fn systemd_takes_the_unit() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("flumen.service");
    // It complains about a program that is not installed.
    let installed = unit().replace("/usr/local/bin/flumen", env!("CARGO_BIN_EXE_flumen"));
    std::fs::write(&path, installed).unwrap();
    let finished = process::run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path), b"", LIMIT);
    let said = format!("{}{}", String::from_utf8_lossy(&finished.stdout), finished.stderr);
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("flumen.service")).collect();
    assert!(finished.status.success() && about_us.is_empty(), "{said}");
}

/// What systemd would hear of the program that the unit starts.
#[test]
fn a_supervisor_hears_when_the_broker_serves_lives_and_stops() {
    assert!(unit().contains("Type=notify") && unit().contains("WatchdogSec="), "the unit waits for what is tested here");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let socket = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&socket).unwrap();
    supervisor.set_read_timeout(Some(LIMIT)).unwrap();
    let (listeners, log_dirs) =
        (format!("listeners=PLAINTEXT://127.0.0.1:{}", free_port()), format!("log.dirs={}", dir.path().join("data").display()));
    let mut command = flumen();
    command
        .args(["server", "--override", &listeners, "--override", &log_dirs])
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "400000")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut child = process::spawn_kept(command);
    let hear = || {
        let mut buffer = [0; 200];
        let length = supervisor.recv(&mut buffer).expect("the broker says something");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert!(hear().starts_with("READY=1"));
    let begun = Instant::now();
    for _ in 0..6 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(begun.elapsed() < Duration::from_secs(6 * 4), "often enough for the watchdog");
    process::signal(&child, libc::SIGTERM);
    let mut last = hear();
    while last == "WATCHDOG=1" {
        last = hear();
    }
    assert!(last.starts_with("STOPPING=1"), "{last}");
    assert!(process::wait(&mut child, LIMIT).is_some_and(|status| status.success()));
}

/// Status and body.
fn get(port: u16, method: &str, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    assert_eq!(length.parse::<usize>().unwrap(), body.len());
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Lines of metrics by what stands before the value.
fn metrics(port: u16) -> BTreeMap<String, f64> {
    let (status, text) = get(port, "GET", "/metrics");
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    lines.map(parse).collect()
}

/// The sum over all cores of the lines that have all these parts.
fn sum(metrics: &BTreeMap<String, f64>, parts: &[&str]) -> f64 {
    metrics.iter().filter(|(name, _)| parts.iter().all(|part| name.contains(part))).map(|(_, value)| value).sum()
}

#[test]
fn metrics_count_what_clients_do_and_health_follows_the_broker() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut broker = Broker::start_kind(Kind::Flumen, &[("flumen.http.listener", &address)]);
    assert_eq!(get(port, "GET", "/health/live"), (200, "alive\n".to_owned()));
    assert_eq!(get(port, "GET", "/health/ready"), (200, "ready\n".to_owned()));
    assert_eq!(get(port, "GET", "/else").0, 404);
    assert_eq!(get(port, "POST", "/metrics").0, 405);

    let before = metrics(port);
    let mut client = Client::connect(broker.address()).unwrap();
    assert_eq!(client.create_topic("counted", 2, &[]).unwrap(), 0);
    for _ in 0..5 {
        client.list_offset("counted", 0, -1).unwrap();
    }
    let after = metrics(port);
    let asked = |metrics: &_, what: &str| sum(metrics, &[what, "api=\"ListOffsets\""]);
    assert_eq!(asked(&after, "flumen_requests_total{") - asked(&before, "flumen_requests_total{"), 5.0);
    assert!(asked(&after, "flumen_request_bytes_total{") > 0.0);
    let count = "flumen_request_duration_seconds_count{";
    assert_eq!(sum(&after, &[count, "api=\"ListOffsets\"", "stage=\"handled\""]), 5.0);
    assert_eq!(sum(&after, &[count, "api=\"ListOffsets\"", "stage=\"answered\""]), 5.0);
    assert_eq!(sum(&after, &["flumen_log_size_bytes{", "topic=\"counted\""]), 0.0);
    assert!(after.keys().filter(|name| name.contains("topic=\"counted\"")).count() == 2, "{after:?}");
    assert!(sum(&after, &["flumen_received_bytes_total"]) > sum(&before, &["flumen_received_bytes_total"]));
    assert_eq!(sum(&after, &["flumen_offline_log_dirs"]), 0.0);

    // Somebody who says nothing holds up nobody.
    let silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(get(port, "GET", "/health/live").0, 200);
    drop(silent);
    broker.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port goes with the broker");
}
