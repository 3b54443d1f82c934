//! A device gives back another bit than it got, of a record that was committed long ago: the broker notices by itself, gives the replica up,
//! and copies it from the others, while Kafka's clients write and read.

use crate::administration::{CONSUMER, create, fill, tool};
use crate::nodes::{Cluster, Layout};
use crate::support::members::wait_until;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

/// Of 1,000 bytes: three segments of 1 MiB, of which the scrubber reads two.
const RECORDS: usize = 3_000;
/// A scrubber that has looked at everything within a second or two.
const SETTINGS: &[(&str, &str)] = &[("flumen.log.scrub.bytes.per.second", "104857600"), ("flumen.log.scrub.interval.ms", "1000")];
const LIMIT: Duration = Duration::from_secs(60);

/// Turns one bit in the middle of the file, on the device too.
fn damage(file: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("the first segment");
    let (at, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn what_a_device_has_damaged_comes_back_from_the_others() {
    let cluster = Cluster::start("damage", &Layout { settings: SETTINGS, ..Layout::THREE });
    create(&cluster, "kept", &["--replica-assignment", "1:2:3", "--config", "segment.bytes=1048576"]);
    fill(&cluster, "kept", RECORDS);
    let segment = |id: i32| cluster.replica_dir(id, "kept", 0).join(format!("{:020}.log", 0));
    let good = std::fs::read(segment(1)).expect("the first segment");
    let epoch = || cluster.partitions("kept")[0].leader_epoch;
    for (id, leads) in [(2, false), (1, true)] {
        let (before, told) = (epoch(), cluster.log(id).matches("committed records are damaged").count());
        assert_eq!(cluster.leader("kept", 0) == id, leads);
        damage(&segment(id));
        let is_noticed = || cluster.log(id).matches("committed records are damaged").count() > told;
        wait_until(&format!("node {id} notices"), LIMIT, is_noticed);
        fill(&cluster, "kept", 10);
        wait_until(&format!("node {id} has what it had"), LIMIT, || std::fs::read(segment(id)).is_ok_and(|now| now == good));
        cluster.await_in_sync("kept");
        assert!(!leads || (epoch() > before && cluster.leader("kept", 0) != id), "who is damaged does not lead");
    }
    let count = (RECORDS + 20).to_string();
    let read = tool(&cluster, CONSUMER, &["--topic", "kept", "--from-beginning", "--max-messages", &count]);
    assert_eq!(read.lines().count(), RECORDS + 20);
    for id in cluster.brokers() {
        assert_eq!(std::fs::read(segment(id)).unwrap(), good, "node {id}");
    }
}
