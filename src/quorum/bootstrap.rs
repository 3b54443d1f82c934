//! `bootstrap.checkpoint`: a snapshot with the records that a new cluster begins with, which `kafka-storage format` writes too.

use super::{QuorumError, snapshot};
use crate::controller::{MAX_METADATA_VERSION, bootstrap_records};
use crate::io::Io;
use crate::protocol::MetadataRecord;
use std::io::ErrorKind;
use std::path::Path;

const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
/// Nobody leads when a directory is formatted.
const NO_EPOCH: i32 = 0;
/// Nor has anything been appended.
const NO_TIMESTAMP: i64 = 0;

/// The records of the file; if there is none, ours, and the file is written.
pub(super) async fn read_or_write(io: &Io, log_dir: &Path) -> Result<Vec<MetadataRecord>, QuorumError> {
    let path = log_dir.join(BOOTSTRAP_FILE);
    match io.read_file(&path).await {
        Ok(content) => snapshot::read(&content).map_err(|reason| QuorumError::Invalid { path, reason }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let records = bootstrap_records();
            let content = snapshot::encode(&records, MAX_METADATA_VERSION, NO_EPOCH, NO_TIMESTAMP, io.wall_clock_ms())
                .map_err(|bytes| QuorumError::TooLarge { bytes })?;
            io.replace_file(&path, content).await.map_err(|error| QuorumError::File { path, error })?;
            Ok(records)
        }
        Err(error) => Err(QuorumError::File { path, error }),
    }
}
