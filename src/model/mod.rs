//! The words that every other room speaks: newtypes for Kafka's identifiers and Kafka's error codes.
//!
//! Kafka passes most of these around as bare integers; mixing up an offset with an epoch or a broker with a partition then
//! compiles. Here each has a type of its own that is the same size and orders the same way, and `.0` is the number on the wire.

mod error_code;
mod topic_id;

pub use error_code::ErrorCode;
pub use topic_id::{ParseTopicIdError, TopicId};

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// Index of a partition within its topic, from 0.
    PartitionIndex(i32)
}
number! {
    /// Position of a record in a partition's log, from 0.
    Offset(i64)
}
number! {
    /// Incarnation of a partition's leadership; each new leader raises it (KIP-101).
    LeaderEpoch(i32)
}
number! {
    /// `node.id` of a broker or controller.
    BrokerId(i32)
}
number! {
    /// Identity that the broker gives an idempotent or transactional producer (KIP-98); -1 is none.
    ProducerId(i64)
}

impl Offset {
    /// First offset of a fresh log.
    pub const ZERO: Self = Self(0);

    /// The offset `records` after this one.
    #[must_use]
    pub const fn plus(self, records: i64) -> Self {
        Self(self.0 + records)
    }
}

impl LeaderEpoch {
    /// "No epoch known" on the wire.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// "Not idempotent" in a record batch.
    pub const NONE: Self = Self(-1);
}

/// A partition as clients name it: topic name and index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// Topic name, 1 to 249 of `[a-zA-Z0-9._-]`.
    pub topic: std::sync::Arc<str>,
    /// Index within the topic.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<std::sync::Arc<str>>, partition: PartitionIndex) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition as the broker names it inside: the topic's id survives a delete and re-create under the same name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicIdPartition {
    /// Id of the topic (KIP-516).
    pub topic_id: TopicId,
    /// Index within the topic.
    pub partition: PartitionIndex,
}

/// Longest topic name that Kafka accepts.
pub const MAX_TOPIC_NAME_LENGTH: usize = 249;

/// Why a topic name is not legal (Kafka's `Topic.validate`), or `Ok`.
pub fn validate_topic_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the empty string is not allowed");
    }
    if name == "." || name == ".." {
        return Err("'.' and '..' are not allowed");
    }
    if name.len() > MAX_TOPIC_NAME_LENGTH {
        return Err("the length is longer than the max allowed length 249");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err("it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'");
    }
    Ok(())
}
