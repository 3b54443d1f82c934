//! Why a log or a log dir refuses.

use crate::model::{ErrorCode, Offset, TopicId};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Why a log cannot do what it was asked. Cheap to clone, since one failed write answers many waiters.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The device failed. The log takes no more appends and its log dir has to be taken offline.
    #[error("{path}: {message}", path = .0.path.display(), message = .0.message)]
    Storage(Rc<StorageFailure>),
    /// The process or the machine has no file descriptor left. The device is fine: try again later.
    #[error("{path}: {message}", path = .0.path.display(), message = .0.message)]
    NoDescriptor(Rc<StorageFailure>),
    /// The offset is outside of the log.
    #[error("offset {offset} is outside of {start}..{end}")]
    OffsetOutOfRange {
        /// Offset that was asked for.
        offset: Offset,
        /// Log start offset.
        start: Offset,
        /// First offset that may not be asked for.
        end: Offset,
    },
    /// The batches of one append are larger than a segment may be.
    #[error("{bytes} bytes are more than a segment of {limit} bytes may hold")]
    RecordListTooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// `segment.bytes`.
        limit: u32,
    },
    /// The batches do not follow the log end offset (or each other).
    #[error("batch at offset {offset} does not follow log end offset {expected}")]
    UnexpectedAppendOffset {
        /// First offset of the batch.
        offset: Offset,
        /// Where it would have to begin.
        expected: Offset,
    },
    /// What is on disk cannot be what this broker or Kafka wrote, and cannot be repaired without losing acked records.
    #[error("{path}: {reason}", path = .path.display())]
    Corrupt {
        /// File or directory.
        path: Rc<PathBuf>,
        /// What is wrong.
        reason: String,
    },
    /// The records are known to be damaged.
    #[error("the records at offset {offset} are damaged{}", to.map_or_else(String::new, |to| format!("; what follows from {to} on is good")))]
    Damaged {
        /// Offset that was asked for.
        offset: Offset,
        /// First offset behind them that is good.
        to: Option<Offset>,
    },
    /// `partition.metadata` names another topic.
    #[error("the directory belongs to topic id {found}, not to {expected}")]
    InconsistentTopicId {
        /// Id in the file.
        found: TopicId,
        /// Id that the log was opened with.
        expected: TopicId,
    },
    /// The log was closed or deleted.
    #[error("the log is closed")]
    Closed,
}

/// "Too many open files", of the machine and of the process.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Where and how the device failed.
#[derive(Debug)]
pub struct StorageFailure {
    /// File or directory.
    pub path: PathBuf,
    /// The operation and the system's error.
    pub message: String,
}

impl LogError {
    /// A failed operation of the device on `path`; [`LogError::NoDescriptor`] where it is not the device that fails.
    pub fn storage(path: &Path, operation: &str, error: &std::io::Error) -> Self {
        let failure = Rc::new(StorageFailure { path: path.to_owned(), message: format!("{operation}: {error}") });
        match error.raw_os_error() {
            Some(ENFILE | EMFILE) => Self::NoDescriptor(failure),
            _ => Self::Storage(failure),
        }
    }

    /// What is on disk at `path` cannot be used.
    pub fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: Rc::new(path.to_owned()), reason: reason.into() }
    }

    /// The code that a client gets.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Storage(_) | Self::NoDescriptor(_) | Self::Corrupt { .. } => ErrorCode::KafkaStorageError,
            Self::Damaged { .. } => ErrorCode::CorruptMessage,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
            Self::UnexpectedAppendOffset { .. } => ErrorCode::UnknownServerError,
            Self::InconsistentTopicId { .. } => ErrorCode::InconsistentTopicId,
            Self::Closed => ErrorCode::NotLeaderOrFollower,
        }
    }

    /// Whether the log dir has to be taken offline.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Storage(_))
    }
}

impl From<&LogError> for ErrorCode {
    fn from(error: &LogError) -> Self {
        error.code()
    }
}
