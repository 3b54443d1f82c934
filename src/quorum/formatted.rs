//! The checkpoint 0-0: what a directory is formatted with where the voters can change (KIP-853). It names the first voters and holds no
//! metadata, so it is a snapshot of nothing; `kafka-storage format` writes the same, with `--standalone` or `--initial-controllers`.
//!
//! That it is there, or that a later snapshot names voters, is what makes a quorum one of `kraft.version` 1.

use super::QuorumError;
use super::journal::partition_dir;
use super::members::{self, Member};
use super::snapshot::{self, Stamp};
use super::state::{self, Elected};
use super::types::Membership;
use crate::controller::MAX_METADATA_VERSION;
use crate::io::{Io, OpenOptions};
use crate::model::{BrokerId, TopicId};
use crate::record::Batches;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes that surely hold the first batch of a checkpoint.
const HEAD_BYTES: usize = 256 << 10;
/// What every formatted log dir has.
const META_FILE: &str = "meta.properties";
const FIRST_CHECKPOINT: &str = "00000000000000000000-0000000000.checkpoint";

fn path_of(log_dir: &Path) -> PathBuf {
    partition_dir(log_dir).join(FIRST_CHECKPOINT)
}

/// Who the first voters are, if the directory says so.
pub(super) async fn read(io: &Io, log_dir: &Path) -> Result<Option<Membership>, QuorumError> {
    let path = path_of(log_dir);
    match io.read_file(&path).await {
        Ok(content) => match snapshot::read_with_members(&content) {
            Ok((_, members)) => Ok(members),
            Err(reason) => Err(QuorumError::Invalid { path, reason }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(QuorumError::File { path, error }),
    }
}

/// Whether the quorum of a log dir is one whose voters can change: its checkpoints name them, or its `quorum-state` is of that kind.
///
/// # Errors
/// The device fails, or a checkpoint cannot be read.
pub async fn is_dynamic(io: &Io, log_dir: &Path) -> Result<bool, QuorumError> {
    if read(io, log_dir).await?.is_some() {
        return Ok(true);
    }
    let dir = partition_dir(log_dir);
    if !io.exists(&dir).await.map_err(|error| QuorumError::File { path: dir.clone(), error })? {
        return Ok(false);
    }
    if state::is_dynamic(io, &dir).await? {
        return Ok(true);
    }
    let Some(newest) = snapshot::list(io, &dir).await?.pop() else { return Ok(false) };
    // The first batch says it, and the rest may be long.
    let path = newest.path;
    let failed = |error| QuorumError::File { path: path.clone(), error };
    let file = io.open(&path, OpenOptions::READ).await.map_err(failed)?;
    let head = file.read_at(io, 0, HEAD_BYTES).await.map_err(failed)?;
    let first = Batches::new(&head).next().and_then(Result::ok);
    Ok(first.is_some_and(|batch| matches!(members::named_in(&batch), Ok(Some(_)))))
}

/// Whether a log dir is formatted and nothing in it says who votes. So Kafka's tool leaves that of a controller that is yet to be added
/// (`--no-initial-controllers`). A node that is alone has said so ([`write_alone`]), or has a log.
///
/// # Errors
/// The device fails.
pub async fn names_nobody(io: &Io, log_dir: &Path) -> Result<bool, QuorumError> {
    let exists = async |path: PathBuf| io.exists(&path).await.map_err(|error| QuorumError::File { path, error });
    Ok(exists(log_dir.join(META_FILE)).await? && !exists(partition_dir(log_dir)).await?)
}

/// Notes, durably, in a log dir that is being formatted, that its node is the only voter for ever, although its settings name a server that
/// could be another controller.
///
/// # Errors
/// The device fails.
pub async fn write_alone(io: &Io, log_dir: &Path, node: BrokerId) -> Result<(), QuorumError> {
    let dir = partition_dir(log_dir);
    let failed = |error| QuorumError::File { path: dir.clone(), error };
    io.create_dir_all(&dir).await.map_err(failed)?;
    state::write(io, &dir, &[node], Elected { epoch: 0, node: BrokerId(-1), leads: false }).await?;
    io.sync_dir(log_dir).await.map_err(failed)
}

/// Notes, durably, in a log dir that is being formatted, that its node joins a quorum whose voters can change: nobody has its vote. Kafka
/// writes the same file when such a node starts.
///
/// # Errors
/// The device fails.
pub async fn write_joining(io: &Io, log_dir: &Path) -> Result<(), QuorumError> {
    let dir = partition_dir(log_dir);
    let failed = |error| QuorumError::File { path: dir.clone(), error };
    io.create_dir_all(&dir).await.map_err(failed)?;
    state::write_dynamic(io, &dir, TopicId::default(), Elected { epoch: 0, node: BrokerId(-1), leads: false }).await?;
    io.sync_dir(log_dir).await.map_err(failed)
}

/// Writes, durably, who the first voters are, into a log dir that is being formatted.
///
/// # Errors
/// The device fails, or there is no voter.
pub async fn write_voters(io: &Io, log_dir: &Path, voters: Vec<(BrokerId, Member)>) -> Result<(), QuorumError> {
    let (dir, path) = (partition_dir(log_dir), path_of(log_dir));
    let members = members::of_voters(voters).map_err(|reason| QuorumError::Invalid { path: path.clone(), reason })?;
    let now_ms = io.wall_clock_ms();
    let stamp = Stamp { metadata_version: MAX_METADATA_VERSION, epoch: 0, last_timestamp: now_ms, now_ms };
    let content = snapshot::encode_with(&[], Some(&members), stamp).map_err(|bytes| QuorumError::TooLarge { bytes })?;
    let failed = |error| QuorumError::File { path: path.clone(), error };
    io.create_dir_all(&dir).await.map_err(failed)?;
    io.replace_file(&path, content).await.map_err(failed)?;
    io.sync_dir(log_dir).await.map_err(failed)
}
