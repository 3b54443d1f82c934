//! What one Kafka client wrote, every other one reads the same: offsets, timestamps, keys, values and headers.
//!
//! A broker that gets one byte of a batch wrong may still satisfy the client that wrote it, or one that counts. So ten foreign
//! writers (the Java client, librdkafka through Python, franz-go, aiokafka, sarama, kafka-python, kafkajs, kcat, Kafka's console
//! producer and its verifiable producer) each write with each codec into topics of their own, the Java consumer's dump is compared
//! with what was planned, and the dumps of all other readers are compared with the Java consumer's.
//! Every client is configured as its users do; consumers are assigned partitions where they can be. `journeys` asks each client for
//! everything else that an application needs. `admin`, `tools`, `tool_clients` and `directory_tools` call the tools of Kafka 4.2.0, and
//! `old_tools` those of Kafka 3.5.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod admin_wire;
mod directory_tools;
mod features;
mod journeys;
mod log_dirs;
mod old_tools;
mod quotas;
mod readers;
mod tool_clients;
mod tools;
mod writers;

use std::sync::OnceLock;
use support::broker::Broker;
use support::peers::{Dump, Peer, Range};
use support::records::Record;

pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
pub const PARTITIONS: i32 = 3;

/// A topic with what its writer knows of it.
pub struct Topic {
    pub name: String,
    pub codec: &'static str,
    /// In the order in which they were handed to the client; offsets are those of the acks, -1 where the writer does not see them.
    pub written: Vec<Record>,
    /// The writer chooses the partition itself, so that only the order within a key is known.
    pub partitioned_by_key: bool,
    /// The writer stamps the records with its own clock.
    pub knows_timestamps: bool,
}

pub struct World {
    pub broker: Broker,
    pub topics: Vec<Topic>,
    /// What the Java consumer read: the dump that all others are compared with.
    pub dump: Dump,
}

impl World {
    pub fn ranges(&self) -> Vec<Range> {
        let range = |((topic, partition), records): (&(String, i32), &Vec<Record>)| Range {
            topic: topic.clone(),
            partition: *partition,
            from: 0,
            end: records.len() as i64,
        };
        self.dump.iter().map(range).collect()
    }
}

/// One broker and one round of writing serve all tests of this binary.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let broker = Broker::start(&[("num.partitions", "3"), ("auto.create.topics.enable", "true")]);
        let topics = writers::write_all(&broker.bootstrap());
        let ranges: Vec<Range> = topics.iter().flat_map(|topic| ranges_of(topic, &broker.bootstrap())).collect();
        let dump = Peer::Java.consume(&broker.bootstrap(), &ranges);
        World { broker, topics, dump }
    })
}

/// The whole of each partition of a topic. Where the writer chose the partition, kcat asks the broker for the ends.
fn ranges_of(topic: &Topic, bootstrap: &str) -> Vec<Range> {
    let end = |partition: i32| {
        if topic.partitioned_by_key {
            readers::end_offset(bootstrap, &topic.name, partition)
        } else {
            topic.written.iter().filter(|record| record.partition == partition).count() as i64
        }
    };
    (0..PARTITIONS).map(|partition| Range { topic: topic.name.clone(), partition, from: 0, end: end(partition) }).collect()
}
