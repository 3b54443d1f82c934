//! `bootstrap.checkpoint`: a snapshot with the records that a new cluster begins with, which `kafka-storage format` writes too.

use super::{QuorumError, snapshot};
use crate::controller::{ELR_VERSION, MAX_METADATA_VERSION, METADATA_VERSION, bootstrap_records, minimum_in_sync};
use crate::io::Io;
use crate::protocol::MetadataRecord;
use crate::protocol::generated::FeatureLevelRecord;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

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
            write(io, path, &records, MAX_METADATA_VERSION).await?;
            Ok(records)
        }
        Err(error) => Err(QuorumError::File { path, error }),
    }
}

/// Writes the file of a log dir that is being formatted: its cluster, if it is new, begins with this level of `metadata.version`, and with
/// a number of `min.insync.replicas` it keeps eligible leader replicas (KIP-966), which need one for all brokers. What was there is
/// replaced.
///
/// # Errors
/// The device fails.
pub async fn write_bootstrap(io: &Io, log_dir: &Path, metadata_version: i16, eligible: Option<usize>) -> Result<(), QuorumError> {
    let level = |name: &str, feature_level| {
        FeatureLevelRecord { name: name.into(), feature_level, ..FeatureLevelRecord::default() }.into()
    };
    let mut records: Vec<MetadataRecord> = vec![level(METADATA_VERSION, metadata_version)];
    if let Some(minimum) = eligible {
        records.extend([level(ELR_VERSION, 1), minimum_in_sync(minimum).into()]);
    }
    write(io, log_dir.join(BOOTSTRAP_FILE), &records, metadata_version).await
}

async fn write(io: &Io, path: PathBuf, records: &[MetadataRecord], metadata_version: i16) -> Result<(), QuorumError> {
    let content = snapshot::encode(records, metadata_version, NO_EPOCH, NO_TIMESTAMP, io.wall_clock_ms())
        .map_err(|bytes| QuorumError::TooLarge { bytes })?;
    io.replace_file(&path, content).await.map_err(|error| QuorumError::File { path, error })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{how, on_a_core};
    use super::super::{Quorum, write_bootstrap};
    use super::ELR_VERSION;
    use crate::controller::ConfigResource;

    #[test]
    fn a_new_cluster_begins_once_as_it_was_formatted() {
        on_a_core(|io, dir| async move {
            for (level, in_force) in [(20, 20), (29, 20)] {
                write_bootstrap(&io, &dir, level, None).await.unwrap();
                let mut quorum = Quorum::open(io.clone(), how(&dir)).await.unwrap();
                assert_eq!(quorum.image().metadata_version(), Some(in_force), "formatted for {level}");
                quorum.close().await.unwrap();
            }
        });
    }

    #[test]
    fn a_new_cluster_that_keeps_eligible_leaders_has_one_minimum_for_all() {
        on_a_core(|io, dir| async move {
            write_bootstrap(&io, &dir, 29, Some(2)).await.unwrap();
            let mut quorum = Quorum::open(io.clone(), how(&dir)).await.unwrap();
            let image = quorum.image();
            assert_eq!(image.features().get(ELR_VERSION), Some(&1));
            let set = image.configs(&ConfigResource::Broker(None)).expect("something is set for all brokers");
            assert_eq!(set.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), [("min.insync.replicas", "2")]);
            quorum.close().await.unwrap();
        });
    }
}
