//! A log dir: one entry of `log.dirs`, with its identity, its lock, its checkpoints and its partitions.

use super::LogError;
use crate::io::Io;
use crate::model::{Offset, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `meta.properties`, version 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`, unique among all log dirs of the cluster.
    pub directory_id: TopicId,
}

/// Why a log dir cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The device failed, or the path is no directory: this dir is offline, the others go on.
    #[error("log dir {path}: {operation}: {error}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another broker uses it.
    #[error("log dir {path} is locked by another process", path = .0.display())]
    Locked(PathBuf),
    /// `meta.properties` is absent: the dir has to be formatted first.
    #[error("log dir {path} has no meta.properties; format it first", path = .0.display())]
    NotFormatted(PathBuf),
    /// `meta.properties` or a checkpoint says something that cannot be, or belongs to another cluster or node.
    #[error("{path}: {reason}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a directory inside of a log dir is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PartitionDirKind {
    /// A log in use.
    Live,
    /// `-delete`: to be removed.
    Delete,
    /// `-future`: a replica on its way to this dir.
    Future,
    /// `-stray`: a replica that the metadata did not know.
    Stray,
}

/// A partition's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionDir {
    /// Its path.
    pub path: PathBuf,
    /// The partition that its name says.
    pub partition: TopicPartition,
    /// Its suffix.
    pub kind: PartitionDirKind,
    /// `topic_id` of `partition.metadata`, if the file is there.
    pub topic_id: Option<TopicId>,
}

/// Offsets by partition, as the checkpoint files hold them.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

/// The offset checkpoints of a log dir.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CheckpointKind {
    /// `recovery-point-offset-checkpoint`.
    RecoveryPoint,
    /// `log-start-offset-checkpoint`: only logs whose start is above their first segment's base offset.
    LogStart,
    /// `replication-offset-checkpoint`: high watermarks.
    HighWatermark,
    /// `cleaner-offset-checkpoint`.
    Cleaner,
}

/// A locked, validated log dir. Lives on its home core.
pub struct LogDir {
    _io: Io,
}

impl LogDir {
    /// Writes `meta.properties` into `path` (created if absent).
    pub async fn format(io: &Io, path: &Path, meta: &MetaProperties) -> Result<(), DirError> {
        let _ = (io, path, meta);
        todo!()
    }

    /// Reads `meta.properties` without locking; `None` if absent.
    pub async fn read_meta(io: &Io, path: &Path) -> Result<Option<MetaProperties>, DirError> {
        let _ = (io, path);
        todo!()
    }

    /// Locks and validates `path`: it must be formatted for this node, and for `cluster_id` if that is known.
    pub async fn open(io: Io, path: &Path, node_id: i32, cluster_id: Option<&str>) -> Result<Self, DirError> {
        let _ = (io, path, node_id, cluster_id);
        todo!()
    }

    /// Refuses two dirs of different clusters or with the same directory id.
    pub fn check_all(dirs: &[&LogDir]) -> Result<(), DirError> {
        let _ = dirs;
        todo!()
    }

    /// The path.
    pub fn path(&self) -> &Path {
        todo!()
    }

    /// Its identity.
    pub fn meta(&self) -> &MetaProperties {
        todo!()
    }

    /// `brokerEpoch` of `.kafka_cleanshutdown` if the broker stopped cleanly. Call [`LogDir::clear_clean_shutdown`] once all logs
    /// are loaded and before anything is written.
    pub fn clean_shutdown(&self) -> Option<i64> {
        todo!()
    }

    /// Removes `.kafka_cleanshutdown`.
    pub async fn clear_clean_shutdown(&self) -> Result<(), DirError> {
        todo!()
    }

    /// Writes `.kafka_cleanshutdown`, after all logs are closed and checkpoints written.
    pub async fn mark_clean_shutdown(&self, broker_epoch: i64) -> Result<(), DirError> {
        let _ = broker_epoch;
        todo!()
    }

    /// Partition directories, sorted by name; other entries are ignored, unparsable ones logged.
    pub async fn partitions(&self) -> Result<Vec<PartitionDir>, DirError> {
        todo!()
    }

    /// Where the log of `partition` lives.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        let _ = partition;
        todo!()
    }

    /// Reads a checkpoint; empty if the file is absent. A corrupt one is an error.
    pub async fn read_checkpoint(&self, kind: CheckpointKind) -> Result<OffsetCheckpoint, DirError> {
        let _ = kind;
        todo!()
    }

    /// Replaces a checkpoint durably.
    pub async fn write_checkpoint(&self, kind: CheckpointKind, offsets: &OffsetCheckpoint) -> Result<(), DirError> {
        let _ = (kind, offsets);
        todo!()
    }

    /// Removes a `-delete` directory after `delay`, in the background.
    pub fn remove_later(&self, path: PathBuf, delay: std::time::Duration) {
        let _ = (path, delay);
        todo!()
    }

    /// Takes the dir offline; logs why, once.
    pub fn fail(&self, error: &LogError) {
        let _ = error;
        todo!()
    }

    /// Whether it was taken offline.
    pub fn is_offline(&self) -> bool {
        todo!()
    }
}
