//! A log dir: one entry of `log.dirs`, with its identity, its lock, its checkpoints and its partitions.

use super::LogError;
use super::checkpoint::{self, OffsetCheckpoint};
use crate::io::{FileLock, Io};
use crate::model::{MAX_TOPIC_NAME_LENGTH, PartitionIndex, TopicId, TopicPartition, validate_topic_name};
use bytes::Bytes;
use std::cell::Cell;
use std::io::ErrorKind;
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

impl CheckpointKind {
    /// Name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

const META_PROPERTIES_FILE: &str = "meta.properties";
const LOCK_FILE: &str = ".lock";
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Longest directory name that every file system takes.
const MAX_FILE_NAME: usize = 255;
const _: () = assert!(MAX_TOPIC_NAME_LENGTH < MAX_FILE_NAME);
/// `brokerEpoch` when the marker does not say.
const NO_BROKER_EPOCH: i64 = -1;

impl MetaProperties {
    fn format(&self) -> String {
        let Self { cluster_id, node_id, directory_id } = self;
        format!("#\nnode.id={node_id}\ndirectory.id={directory_id}\nversion=1\ncluster.id={cluster_id}\n")
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "not text".to_owned())?;
        let value = |key: &str| -> Result<Option<&str>, String> {
            let mut found = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!'])).filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then_some(value.trim())
            });
            let first = found.next();
            if found.next().is_some() { Err(format!("{key} is there twice")) } else { Ok(first) }
        };
        let required = |key: &str| value(key)?.filter(|text| !text.is_empty()).ok_or_else(|| format!("no {key}"));
        let version = required("version")?;
        if version != "1" {
            return Err(format!("version {version} is not supported, only 1"));
        }
        let node_id = required("node.id")?;
        let directory_id = required("directory.id")?;
        Ok(Self {
            cluster_id: required("cluster.id")?.to_owned(),
            node_id: node_id.parse().ok().filter(|&id| id >= 0).ok_or_else(|| format!("node.id {node_id:?} is not a node id"))?,
            directory_id: directory_id.parse().map_err(|error| format!("directory.id {directory_id:?}: {error}"))?,
        })
    }
}

/// A locked, validated log dir. Lives on its home core; the lock is released when it is dropped.
pub struct LogDir {
    io: Io,
    path: PathBuf,
    meta: MetaProperties,
    clean_shutdown: Cell<Option<i64>>,
    offline: Cell<bool>,
    _lock: FileLock,
}

fn failed(path: &Path, operation: &'static str) -> impl FnOnce(std::io::Error) -> DirError {
    let path = path.to_owned();
    move |error| DirError::Io { path, operation, error }
}

fn invalid(path: &Path, reason: impl Into<String>) -> DirError {
    DirError::Invalid { path: path.to_owned(), reason: reason.into() }
}

async fn read_optional(io: &Io, path: &Path) -> Result<Option<Bytes>, DirError> {
    match io.read_file(path).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "read")(error)),
    }
}

impl LogDir {
    /// Writes `meta.properties` into `path` (created if absent).
    ///
    /// # Errors
    /// The device fails, or the dir is formatted already.
    pub async fn format(io: &Io, path: &Path, meta: &MetaProperties) -> Result<(), DirError> {
        io.create_dir_all(path).await.map_err(failed(path, "create directory"))?;
        let file = path.join(META_PROPERTIES_FILE);
        if read_optional(io, &file).await?.is_some() {
            return Err(invalid(&file, "the log dir is formatted already"));
        }
        // First the directory itself, up to the root: once meta.properties is there nobody asks any more.
        for (depth, parent) in path.ancestors().skip(1).enumerate() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match io.sync_dir(parent).await {
                Err(error) if depth == 0 => return Err(failed(parent, "fsync")(error)),
                _ => {} // Further up it need not be ours.
            }
        }
        io.replace_file(&file, Bytes::from(meta.format())).await.map_err(failed(&file, "replace"))
    }

    /// Reads `meta.properties` without locking; `None` if absent.
    ///
    /// # Errors
    /// The device fails, or the file is not what it should be.
    pub async fn read_meta(io: &Io, path: &Path) -> Result<Option<MetaProperties>, DirError> {
        let file = path.join(META_PROPERTIES_FILE);
        let content = read_optional(io, &file).await?;
        content.map(|content| MetaProperties::parse(&content).map_err(|reason| invalid(&file, reason))).transpose()
    }

    /// Locks and validates `path`: it must be formatted for this node, and for `cluster_id` if that is known.
    ///
    /// # Errors
    /// See [`DirError`].
    pub async fn open(io: Io, path: &Path, node_id: i32, cluster_id: Option<&str>) -> Result<Self, DirError> {
        let meta_file = path.join(META_PROPERTIES_FILE);
        let Some(meta) = Self::read_meta(&io, path).await? else { return Err(DirError::NotFormatted(path.to_owned())) };
        if meta.node_id != node_id {
            return Err(invalid(&meta_file, format!("belongs to node {}, not to node {node_id}", meta.node_id)));
        }
        if let Some(expected) = cluster_id.filter(|&expected| expected != meta.cluster_id) {
            return Err(invalid(&meta_file, format!("belongs to cluster {}, not to {expected}", meta.cluster_id)));
        }
        let lock_file = path.join(LOCK_FILE);
        let lock = io.lock_file(&lock_file).await.map_err(failed(&lock_file, "lock"))?;
        let Some(lock) = lock else { return Err(DirError::Locked(path.to_owned())) };
        let marker = read_optional(&io, &path.join(CLEAN_SHUTDOWN_FILE)).await?;
        let clean_shutdown = Cell::new(marker.map(|content| broker_epoch(&content)));
        Ok(Self { io, path: path.to_owned(), meta, clean_shutdown, offline: Cell::new(false), _lock: lock })
    }

    /// Refuses two dirs of different clusters or with the same directory id.
    ///
    /// # Errors
    /// [`DirError::Invalid`] with the second of the two.
    pub fn check_all(dirs: &[&LogDir]) -> Result<(), DirError> {
        for (at, dir) in dirs.iter().enumerate() {
            let file = dir.path.join(META_PROPERTIES_FILE);
            for other in &dirs[..at] {
                if other.meta.directory_id == dir.meta.directory_id {
                    return Err(invalid(&file, format!("same directory.id as {}", other.path.display())));
                }
                if other.meta.cluster_id != dir.meta.cluster_id {
                    return Err(invalid(&file, format!("another cluster.id than {}", other.path.display())));
                }
            }
        }
        Ok(())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its identity.
    pub fn meta(&self) -> &MetaProperties {
        &self.meta
    }

    /// `brokerEpoch` of `.kafka_cleanshutdown` if the broker stopped cleanly (-1 if the marker does not say). Call
    /// [`LogDir::clear_clean_shutdown`] once this is read and before anything is written.
    pub fn clean_shutdown(&self) -> Option<i64> {
        self.clean_shutdown.get()
    }

    /// Removes `.kafka_cleanshutdown`, durably; [`LogDir::clean_shutdown`] keeps its answer.
    ///
    /// # Errors
    /// The device fails.
    pub async fn clear_clean_shutdown(&self) -> Result<(), DirError> {
        let file = self.path.join(CLEAN_SHUTDOWN_FILE);
        match self.io.remove_file(&file).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&file, "remove")(error)),
            _ => {}
        }
        self.io.sync_dir(&self.path).await.map_err(failed(&self.path, "fsync"))
    }

    /// Writes `.kafka_cleanshutdown`, after all logs are closed and checkpoints written.
    ///
    /// # Errors
    /// The device fails.
    pub async fn mark_clean_shutdown(&self, broker_epoch: i64) -> Result<(), DirError> {
        let file = self.path.join(CLEAN_SHUTDOWN_FILE);
        let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        self.io.replace_file(&file, Bytes::from(content)).await.map_err(failed(&file, "replace"))
    }

    /// Partition directories, sorted by name, and what the cleaner checkpoint says, which is there once a topic was compacted. Other
    /// entries are ignored, unparsable ones logged.
    ///
    /// # Errors
    /// The device fails, or a `partition.metadata` or the checkpoint is damaged.
    pub async fn partitions(&self) -> Result<(Vec<PartitionDir>, OffsetCheckpoint), DirError> {
        let (mut found, mut cleaned) = (Vec::new(), OffsetCheckpoint::new());
        for entry in self.io.read_dir(&self.path).await.map_err(failed(&self.path, "read directory"))? {
            if !entry.is_dir {
                if entry.name == CheckpointKind::Cleaner.file_name() {
                    cleaned = self.read_checkpoint(CheckpointKind::Cleaner).await?;
                }
                continue;
            }
            let path = self.path.join(&entry.name);
            let Some((partition, kind)) = parse_dir_name(&entry.name) else {
                tracing::warn!(path = %path.display(), "not the directory of a partition; ignored");
                continue;
            };
            let file = path.join(checkpoint::PARTITION_METADATA_FILE);
            let topic_id = match read_optional(&self.io, &file).await? {
                Some(content) if kind == PartitionDirKind::Live => {
                    Some(checkpoint::parse_partition_metadata(&content).map_err(|reason| invalid(&file, reason))?)
                }
                content => content.and_then(|content| checkpoint::parse_partition_metadata(&content).ok()),
            };
            found.push(PartitionDir { path, partition, kind, topic_id });
        }
        Ok((found, cleaned))
    }

    /// Where the log of `partition` lives.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// Reads a checkpoint; empty if the file is absent.
    ///
    /// # Errors
    /// The device fails, or the file is damaged: a wrong offset would lose records, so nothing is guessed.
    pub async fn read_checkpoint(&self, kind: CheckpointKind) -> Result<OffsetCheckpoint, DirError> {
        let file = self.path.join(kind.file_name());
        match read_optional(&self.io, &file).await? {
            Some(content) => checkpoint::parse_offsets(&content).map_err(|reason| invalid(&file, reason)),
            None => Ok(OffsetCheckpoint::new()),
        }
    }

    /// Replaces a checkpoint durably.
    ///
    /// # Errors
    /// The device fails.
    pub async fn write_checkpoint(&self, kind: CheckpointKind, offsets: &OffsetCheckpoint) -> Result<(), DirError> {
        let file = self.path.join(kind.file_name());
        let content = Bytes::from(checkpoint::format_offsets(offsets));
        self.io.replace_file(&file, content).await.map_err(failed(&file, "replace"))
    }

    /// Removes a `-delete` directory after `delay`, in the background.
    pub fn remove_later(&self, path: PathBuf, delay: std::time::Duration) {
        let io = self.io.clone();
        self.io.spawn(async move {
            io.sleep(delay).await;
            if let Err(error) = io.remove_dir_all(&path).await
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a deleted partition's directory");
            }
        });
    }

    /// Takes the dir offline; logs why, once.
    pub fn fail(&self, error: &LogError) {
        if !self.offline.replace(true) {
            tracing::error!(path = %self.path.display(), %error, "the log dir goes offline");
        }
    }

    /// Whether it was taken offline.
    pub fn is_offline(&self) -> bool {
        self.offline.get()
    }
}

/// What the marker of a clean stop says; whatever it says, it is there.
fn broker_epoch(content: &[u8]) -> i64 {
    let value: Option<serde_json::Value> = serde_json::from_slice(content).ok();
    value.and_then(|value| value.get("brokerEpoch")?.as_i64()).unwrap_or(NO_BROKER_EPOCH)
}

/// What makes the name of a directory unlike that of any other of the partition: 32 hexadecimal digits, as in Kafka.
pub(super) fn unique_id(io: &Io) -> String {
    io.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `<topic>-<partition>.<id>-future`, the topic never shortened: a start has to know whose copy it is.
pub(super) fn future_dir_name(partition: &TopicPartition, id: &str) -> String {
    format!("{partition}.{id}-future")
}

/// Whether the name of a partition leaves room for what marks its copy in another log dir (KAFKA-4893).
pub fn may_move(partition: &TopicPartition) -> bool {
    future_dir_name(partition, &"0".repeat(32)).len() <= MAX_FILE_NAME
}

/// `<topic>-<partition>.<id>-delete`, the topic shortened where the name would be too long.
pub(super) fn deleted_dir_name(partition: &TopicPartition, id: &str) -> String {
    let tail = format!("-{}.{id}-delete", partition.partition);
    let topic = &partition.topic[..partition.topic.len().min(MAX_FILE_NAME - tail.len())];
    format!("{topic}{tail}")
}

/// Partition and state that a directory's name says: `<topic>-<partition>`, `<topic>-<partition>.<id>-delete`, `-future`, `-stray`.
fn parse_dir_name(name: &str) -> Option<(TopicPartition, PartitionDirKind)> {
    let suffixes =
        [("-delete", PartitionDirKind::Delete), ("-future", PartitionDirKind::Future), ("-stray", PartitionDirKind::Stray)];
    for (suffix, kind) in suffixes {
        if let Some((live, _)) = name.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.'))
            && let Some(partition) = parse_live_name(live)
        {
            return Some((partition, kind));
        }
    }
    parse_live_name(name).map(|partition| (partition, PartitionDirKind::Live))
}

fn parse_live_name(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let legal = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    let partition: i32 = partition.parse().ok().filter(|_| legal)?;
    validate_topic_name(topic).ok()?;
    Some(TopicPartition::new(topic, PartitionIndex(partition)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories() {
        let parse = |name: &str| parse_dir_name(name).map(|(partition, kind)| (partition.to_string(), kind));
        assert_eq!(parse("my-topic.x-12"), Some(("my-topic.x-12".into(), PartitionDirKind::Live)));
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(parse(&format!("a.b-0.{id}-delete")), Some(("a.b-0".into(), PartitionDirKind::Delete)));
        assert_eq!(parse(&format!("a-3.{id}-future")), Some(("a-3".into(), PartitionDirKind::Future)));
        assert_eq!(parse(&format!("a-3.{id}-stray")), Some(("a-3".into(), PartitionDirKind::Stray)));
        for name in ["", "a", "a-", "-1", "a-x", "a-1-delete-", "a b-1", "a-+1"] {
            assert_eq!(parse(name), None, "{name:?}");
        }
        let long = TopicPartition::new("t".repeat(249), PartitionIndex(100));
        assert_eq!(deleted_dir_name(&long, id).len(), 255);
        assert!(parse(&deleted_dir_name(&long, id)).is_some());
        let short = TopicPartition::new("a.b", PartitionIndex(7));
        assert_eq!(parse(&future_dir_name(&short, id)), Some(("a.b-7".into(), PartitionDirKind::Future)));
        assert!(may_move(&short) && !may_move(&long));
        assert!(may_move(&TopicPartition::new("t".repeat(213), PartitionIndex(0))));
        assert!(!may_move(&TopicPartition::new("t".repeat(214), PartitionIndex(0))));
    }

    #[test]
    fn meta_properties_of_kafka() {
        let text = b"#\n#Sat Nov 21 02:42:42 UTC 2026\nnode.id=1\ndirectory.id=ZAhH1-Sgs7vNmTN0NcMPMg\nversion=1\ncluster.id=W8ptHkmGQTW2JPV79YgmOQ\n";
        let meta = MetaProperties::parse(text).unwrap();
        assert_eq!((meta.node_id, meta.cluster_id.as_str()), (1, "W8ptHkmGQTW2JPV79YgmOQ"));
        assert_eq!(MetaProperties::parse(meta.format().as_bytes()), Ok(meta));
        for text in [
            "",
            "version=1\nnode.id=1\n",
            "version=0\nbroker.id=1\n",
            "version=1\nnode.id=-1\ncluster.id=x\ndirectory.id=ZAhH1-Sgs7vNmTN0NcMPMg",
        ] {
            assert!(MetaProperties::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn clean_shutdown_markers() {
        assert_eq!(broker_epoch(br#"{"version":0,"brokerEpoch":19}"#), 19);
        assert_eq!(broker_epoch(b""), -1);
    }
}
