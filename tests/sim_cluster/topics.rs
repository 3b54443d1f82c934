//! The topics, and what is promised of each.

use crate::history::Tp;

/// A topic and what its configuration promises.
pub struct Topic {
    pub name: &'static str,
    pub partitions: i32,
    pub replicas: i16,
    pub min_insync: &'static str,
    /// A replica that is not in sync may be elected: what was acked may be lost.
    pub unclean: bool,
}

const fn topic(name: &'static str, partitions: i32, replicas: i16, min_insync: &'static str) -> Topic {
    Topic { name, partitions, replicas, min_insync, unclean: false }
}

pub const TOPICS: &[Topic] = &[
    topic(crate::producers::TOPIC, crate::producers::PARTITIONS, 3, "2"),
    topic("eager", 2, 3, "1"),
    topic("pair", 1, 2, "1"),
    topic("single", 2, 1, "1"),
    Topic { unclean: true, ..topic("unclean", 2, 3, "1") },
];

pub fn find(name: &str) -> &'static Topic {
    TOPICS.iter().find(|topic| topic.name == name).expect("there is no other topic")
}

/// All partitions.
pub fn all() -> impl Iterator<Item = Tp> {
    TOPICS.iter().flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.to_owned(), partition)))
}
