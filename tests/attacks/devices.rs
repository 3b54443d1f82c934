//! Machines that run out of descriptors or room, and disks that fail.

use super::client::{Client, FETCH, batch, fetch_request};
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

/// EMFILE: new connections wait or, one after the other, are closed; those that are there go on, and all is well when others leave.
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
        let taken = waiting.receive::<MetadataRequest>(9).is_ok();
        // On a busy machine its turn to be closed may have come before the others left.
        let served = taken || Client::connect(broker.address()).call(9, &MetadataRequest::default()).is_ok();
        assert!(served, "clients are served when others have left");
        limit_descriptors(broker, 20_000);
    });
}

/// More partitions than the process may have files open: all are written and read, before and after a restart.
#[test]
fn more_partitions_than_descriptors() {
    const TOPICS: usize = 10;
    const PARTITIONS: i32 = 60;
    let settings = &[("flumen.cores", "2"), ("auto.create.topics.enable", "false")];
    let mut broker = Broker::start_kind(Kind::Flumen, settings);
    let in_use = |broker: &Broker| std::fs::read_dir(format!("/proc/{}/fd", broker.pid())).unwrap().count();
    let limit = in_use(&broker) as u64 + 400;
    for round in 0..2 {
        limit_descriptors(&broker, limit);
        // It began with more files open than it may have now.
        std::thread::sleep(Duration::from_secs(2));
        let mut client = Client::connect(broker.address());
        for topic in 0..TOPICS {
            let topic = format!("many{topic}");
            if round == 0 {
                client.create_topic(&topic, PARTITIONS, &[]);
            }
            for partition in 0..PARTITIONS {
                let (code, offset) = client.produce(&topic, partition, batch(Compression::NONE, &[b"x"])).expect("an answer");
                assert_eq!((code, offset), (0, round), "{topic}-{partition}");
            }
        }
        for topic in 0..TOPICS {
            for partition in (0..PARTITIONS).step_by(7) {
                let request = fetch_request(&format!("many{topic}"), partition, 0, 1 << 20);
                let answer = client.call(FETCH, &request).expect("an answer");
                let found = &answer.responses[0].partitions[0];
                assert_eq!((found.error_code, found.high_watermark), (0, round + 1));
                assert!(found.records.len() > 0, "records");
            }
        }
        std::thread::sleep(Duration::from_secs(2));
        assert!(in_use(&broker) < 400, "{} descriptors are open for {} partitions", in_use(&broker), TOPICS as i32 * PARTITIONS);
        assert!(!broker.log().contains("Too many open files"), "there was always one left");
        broker.stop();
        broker.restart();
    }
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

/// An ext4 on a loop device over a file on a small tmpfs, in which the device can be made to lose what it is given.
struct Losing {
    home: PathBuf,
    device: String,
}

impl Losing {
    fn mount(home: PathBuf) -> Losing {
        let (back, disk) = (home.join("back"), home.join("disk"));
        std::fs::create_dir_all(&disk).unwrap();
        std::mem::forget(Small::mount(&back, 80)); // unmounted below, after the device that lies on it
        let image = back.join("image");
        std::fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
        run(Command::new("mkfs.ext4")
            .args(["-q", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"])
            .arg(&image));
        let found = Command::new("losetup").args(["-f", "--show"]).arg(&image).output().expect("losetup runs");
        assert!(found.status.success(), "losetup (as root?): {}", String::from_utf8_lossy(&found.stderr));
        let losing = Losing { home, device: String::from_utf8(found.stdout).unwrap().trim().to_owned() };
        run(Command::new("mount").arg(&losing.device).arg(&disk));
        losing
    }

    fn file(&self) -> PathBuf {
        self.home.join("disk/file")
    }

    /// From now on what is written to the blocks of `file` is lost: they are taken from the image, and no room is left for new ones.
    fn lose(&self) {
        let extents = Command::new("filefrag").arg("-v").arg(self.file()).output().expect("filefrag runs");
        let mut found = 0;
        for line in String::from_utf8_lossy(&extents.stdout).lines() {
            // "  0:        0..    8191:      34816..     43007:   8192:"
            let numbers: Vec<u64> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
            let [_, _, _, first, last, ..] = numbers[..] else { continue };
            if !line.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            let (at, len) = (first * 4096, (last - first + 1) * 4096);
            let image = self.home.join("back/image");
            run(Command::new("fallocate").args(["-p", "-o", &at.to_string(), "-l", &len.to_string()]).arg(image));
            found += 1;
        }
        assert!(found > 0, "filefrag names no extent: {}", String::from_utf8_lossy(&extents.stdout));
        let full = std::fs::write(self.home.join("back/filler"), vec![1; 80 << 20]);
        assert!(full.is_err(), "the tmpfs is full");
    }
}

impl Drop for Losing {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.home.join("disk")));
        run(Command::new("losetup").arg("-d").arg(&self.device));
        run(Command::new("umount").arg("-l").arg(self.home.join("back")));
    }
}

/// The kernel writes back before anybody syncs, and the device loses it: the next sync has to say so, whoever else has waited for the
/// write-back meanwhile.
#[test]
fn a_write_back_that_fails_is_told_by_the_next_sync() {
    use flumen::io::{OpenOptions, Topology};
    use std::sync::Arc;
    let disk = Losing::mount(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("losing-{}", std::process::id())));
    let disk = Arc::new(disk);
    let its = disk.clone();
    let topology = Topology { cores: 1, busy_poll: Duration::ZERO };
    let running = flumen::io::start(&topology, move |io| {
        let disk = its.clone();
        async move {
            let options = OpenOptions { write: true, create: true, exclusive: false, truncate: true };
            let file = io.open(&disk.file(), options).await.unwrap();
            let megabyte = bytes::Bytes::from(vec![7; 1 << 20]);
            let write = async |from: u64| {
                for number in from..from + 24 {
                    file.write_at(&io, number << 20, std::slice::from_ref(&megabyte)).await.unwrap();
                }
            };
            write(0).await;
            file.sync_data(&io).await.expect("the device keeps it");
            disk.lose();
            write(0).await;
            // Time for the write-back thread to see what became of it.
            io.sleep(Duration::from_secs(2)).await;
            file.sync_data(&io).await.expect_err("what is lost is not durable");
        }
    });
    running.expect("a core").join().unwrap();
}
