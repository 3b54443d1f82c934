//! `bootstrap.checkpoint`: a snapshot with the records that a new cluster begins with, which `kafka-storage format` writes too.

use super::{QuorumError, batch};
use crate::controller::{MAX_METADATA_VERSION, bootstrap_records};
use crate::io::Io;
use crate::model::Offset;
use crate::protocol::generated::{SnapshotFooterRecord, SnapshotHeaderRecord};
use crate::protocol::{Message, MetadataRecord};
use crate::record::{Batches, ControlRecordType};
use bytes::Bytes;
use std::io::ErrorKind;
use std::path::Path;

const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
/// Nobody leads when a directory is formatted.
const NO_EPOCH: i32 = 0;

/// The records of the file; if there is none, ours, and the file is written.
pub(super) async fn read_or_write(io: &Io, log_dir: &Path) -> Result<Vec<MetadataRecord>, QuorumError> {
    let path = log_dir.join(BOOTSTRAP_FILE);
    match io.read_file(&path).await {
        Ok(content) => read_snapshot(&content).map_err(|reason| QuorumError::Invalid { path, reason }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let records = bootstrap_records();
            let content = write_snapshot(&records, io.wall_clock_ms())?;
            io.replace_file(&path, content).await.map_err(|error| QuorumError::File { path, error })?;
            Ok(records)
        }
        Err(error) => Err(QuorumError::File { path, error }),
    }
}

/// A snapshot: a header, the records, a footer.
fn write_snapshot(records: &[MetadataRecord], now_ms: i64) -> Result<Bytes, QuorumError> {
    let header = SnapshotHeaderRecord::default().to_bytes(0).expect("a default has every field of version 0");
    let footer = SnapshotFooterRecord::default().to_bytes(0).expect("a default has every field of version 0");
    let end = Offset(1).plus(records.len() as i64);
    let parts = [
        batch::encode_control(ControlRecordType::SnapshotHeader, &header, Offset::ZERO, NO_EPOCH, now_ms),
        batch::encode(records, MAX_METADATA_VERSION, Offset(1), NO_EPOCH, now_ms)?,
        batch::encode_control(ControlRecordType::SnapshotFooter, &footer, end, NO_EPOCH, now_ms),
    ];
    Ok(Bytes::from(parts.concat()))
}

/// The records of a snapshot, which must be whole.
pub(super) fn read_snapshot(content: &[u8]) -> Result<Vec<MetadataRecord>, String> {
    let mut batches = Batches::new(content);
    let (mut records, mut ends) = (vec![], false);
    for found in batches.by_ref() {
        let found = found.map_err(|error| error.to_string())?;
        records.extend(batch::decode(&found)?);
        ends = batch::control_type(&found) == Some(ControlRecordType::SnapshotFooter);
    }
    if batches.remaining() > 0 || !ends {
        return Err("the snapshot has no end".to_owned());
    }
    Ok(records)
}
