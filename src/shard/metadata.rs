//! What a core reads out of a metadata image: which partitions are on this broker, and how they are to be run.

use crate::log::LogConfig;
use crate::model::{BrokerId, TopicIdPartition, TopicPartition};
use crate::replica::Assignment;

/// A partition that has a replica on this broker.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) id: TopicIdPartition,
    pub(super) name: TopicPartition,
    pub(super) assignment: Assignment,
    pub(super) log_config: LogConfig,
    pub(super) min_insync_replicas: usize,
}

/// What the metadata know of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leadership {
    UnknownTopic,
    UnknownPartition,
    Leader(Option<BrokerId>),
}
