//! Machines that run out of descriptors or room, and disks that fail.

use super::client::{Client, batch};
use super::support::broker::{Broker, Kind};
use super::witness::{self, Witness};
use super::{Attack, SHORT, logged};
use flumen::protocol::generated::MetadataRequest;
use flumen::record::Compression;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const KAFKA_STORAGE_ERROR: i16 = 56;

fn limit_descriptors(broker: &Broker, soft: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: 20_000 };
    // SAFETY: the limit lives as long as the call, the old one is not asked for.
    let done = unsafe { libc::prlimit(broker.pid() as i32, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "prlimit: {}", std::io::Error::last_os_error());
}

/// EMFILE: new connections wait, those that are there go on, and all is well when others leave.
#[test]
fn no_descriptors_left() {
    Attack { settings: &[], ceiling_mib: 64, patience: SHORT }.run(|broker| {
        let in_use = std::fs::read_dir(format!("/proc/{}/fd", broker.pid())).unwrap().count() as u64;
        limit_descriptors(broker, in_use + 30);
        let clients: Vec<Client> = (0..100).map(|_| Client::connect(broker.address())).collect();
        logged(broker, &["cannot accept a connection", "Too many open files"]);
        let mut waiting = Client::connect(broker.address());
        waiting.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        assert!(waiting.call(9, &MetadataRequest::default()).is_err(), "nobody can take it");
        drop(clients);
        waiting.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(waiting.receive::<MetadataRequest>(9).is_ok(), "it is taken when others have left");
        limit_descriptors(broker, 20_000);
    });
}

/// A file system of its own for one log dir; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, mib: u32) -> Small {
        std::fs::create_dir_all(at).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(at));
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} (as root?): {}", String::from_utf8_lossy(&output.stderr));
}

/// A broker with a log dir on a small file system beside its own, the witness on the latter; a topic with one partition on the
/// small one, and its number.
fn with_two_dirs(name: &str, mib: u32, settings: &[(&str, &str)]) -> (Broker, Witness, Small, i32) {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let (large, small) = (home.join("large"), home.join("small"));
    std::fs::create_dir_all(&large).unwrap();
    let mounted = Small::mount(&small, mib);
    let dirs = format!("{},{}", large.display(), small.display());
    let large_text = large.display().to_string();
    let mut all = vec![("flumen.cores", "2"), ("log.dirs", dirs.as_str()), ("metadata.log.dir", large_text.as_str())];
    all.extend_from_slice(settings);
    let broker = Broker::start_kind(Kind::Flumen, &all);
    let mut client = Client::connect(broker.address());
    client.create_topic(witness::TOPIC, 8, &[]);
    client.create_topic("filled", 8, &[]);
    let find = |topic: &str, dir: &Path| {
        let found = (0..8).find(|partition| dir.join(format!("{topic}-{partition}")).exists());
        found.unwrap_or_else(|| panic!("{topic} has no partition in {}", dir.display()))
    };
    let (of_witness, filled) = (find(witness::TOPIC, &large), find("filled", &small));
    let witness = Witness::start(broker.address(), of_witness);
    (broker, witness, mounted, filled)
}

/// ENOSPC: the write fails, its producer is told, the log dir goes offline, the other one stays, and what was acked is there when
/// there is room again.
#[test]
fn a_full_disk() {
    let (mut broker, witness, small, partition) = with_two_dirs("full", 24, &[("log.segment.bytes", "8388608")]);
    let attack = Attack { settings: &[], ceiling_mib: 64, patience: SHORT };
    attack.between(&mut broker, vec![witness], |broker| {
        let mut client = Client::connect(broker.address());
        let large = batch(Compression::NONE, &[&vec![3; 900_000]]);
        let mut acked = 0;
        let code = loop {
            let (code, offset) = client.produce("filled", partition, large.clone()).expect("an answer");
            if code != 0 {
                break code;
            }
            assert_eq!(offset, acked);
            acked += 1;
            assert!(acked < 40, "24 MiB hold no 40 times 900 kB");
        };
        assert_eq!(code, KAFKA_STORAGE_ERROR);
        assert!(acked > 5, "{acked} batches fit");
        logged(broker, &["No space left on device", small.0.to_str().unwrap()]);
        let (code, _) = client.produce("filled", partition, batch(Compression::NONE, &[b"x"])).expect("an answer");
        assert_ne!(code, 0, "the directory stays offline");
    });
}

/// EIO from the device, put in by `strace` where the broker writes: the produce fails, nothing is retried as if it had not happened.
#[test]
fn a_write_that_fails() {
    io_error("a_write", "pwritev,pwritev2,pwrite64:error=EIO:when=1+");
}

#[test]
fn a_sync_that_fails() {
    io_error("a_sync", "fdatasync:error=EIO:when=1");
}

/// `inject` names the call that fails.
fn io_error(name: &str, inject: &str) {
    let (mut broker, witness, small, partition) = with_two_dirs(name, 64, &[]);
    let attack = Attack { settings: &[], ceiling_mib: 64, patience: Duration::from_secs(10) };
    attack.between(&mut broker, vec![witness], |broker| {
        let mut client = Client::connect(broker.address());
        // Only this topic's acks wait for a sync.
        client.create_topic("synced", 8, &[("flush.messages", "1")]);
        let synced = (0..8).find(|partition| small.0.join(format!("synced-{partition}")).exists()).expect("one is there");
        let (topic, partition) = if name == "a_sync" { ("synced", synced) } else { ("filled", partition) };
        let one = || batch(Compression::NONE, &[b"x"]);
        assert_eq!(client.produce(topic, partition, one()).unwrap(), (0, 0));
        // Only calls on files of the small directory fail.
        let file = small.0.join(format!("{topic}-{partition}/00000000000000000000.log"));
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &broker.pid().to_string(), "-e", &format!("inject={inject}"), "-P"])
            .arg(&file)
            .spawn()
            .expect("strace runs");
        std::thread::sleep(Duration::from_secs(1));
        let (code, _) = client.produce(topic, partition, one()).expect("an answer");
        assert_eq!(code, KAFKA_STORAGE_ERROR);
        strace.kill().unwrap();
        strace.wait().unwrap();
        logged(broker, &["Input/output error", small.0.to_str().unwrap()]);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && client.produce(topic, partition, one()).expect("an answer").0 != 0 {
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!(Instant::now() >= deadline, "a log that failed takes nothing until the broker is started again");
    });
}
