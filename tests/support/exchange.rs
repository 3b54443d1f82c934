//! Puts a partition that one broker wrote under another broker.
//!
//! A broker refuses a directory whose topic id is not the one that its metadata has for the topic, so the topic is created there
//! first, and of the files that come over only `partition.metadata` stays the host's. Without the host's checkpoints and
//! clean-shutdown marker it trusts nothing and recovers what it finds.

use super::broker::Broker;
use std::fs;

/// Files of a partition's directory that belong to the broker and not to the data.
const OF_THE_HOST: &str = "partition.metadata";
const CHECKPOINTS: [&str; 5] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
    ".kafka_cleanshutdown",
];

/// Moves partitions 0 to `partitions` - 1 of `topic`. Both brokers must be down; the host must have the topic.
pub fn transplant(from: &Broker, host: &Broker, topic: &str, partitions: i32) {
    for partition in 0..partitions {
        let (source, target) = (from.partition_dir(topic, partition), host.partition_dir(topic, partition));
        assert!(target.join(OF_THE_HOST).exists(), "{} has no {OF_THE_HOST}", target.display());
        for entry in fs::read_dir(&target).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != OF_THE_HOST {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        let mut copied = 0;
        for entry in fs::read_dir(&source).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != OF_THE_HOST {
                fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
                copied += 1;
            }
        }
        assert!(copied >= 3, "{} holds a log and its indexes", source.display());
    }
    for checkpoint in CHECKPOINTS {
        fs::remove_file(host.data_dir().join(checkpoint)).ok();
    }
}
