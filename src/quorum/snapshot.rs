//! Snapshots of the metadata: one file that holds what all records before it have made, so that a start need not read them, and the log
//! can begin later.
//!
//! A snapshot is named after the offset at which it ends and the epoch of the record before. First the place where it stands in the raft
//! log is written beside it (`position`), then the snapshot under another name; that is synced and renamed, and only when its name is on
//! the device may the log lose what it holds. What a crash leaves is a file that nobody knows, or a snapshot beside records that are in
//! it too: a start begins with the newest snapshot and passes over the records before its end.

use super::members;
use super::position::{self, Position};
use super::types::Membership;
use super::{QuorumError, batch};
use crate::controller::{MAX_METADATA_VERSION, MAX_RECORDS_PER_BATCH, MetadataImage};
use crate::io::Io;
use crate::model::Offset;
use crate::protocol::generated::{SnapshotFooterRecord, SnapshotHeaderRecord};
use crate::protocol::{Message, MetadataRecord};
use crate::record::{Batches, ControlRecordType};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ends the name of a snapshot, `<end offset, 20 digits>-<epoch, 10 digits>.checkpoint`.
const SUFFIX: &str = ".checkpoint";
/// Ends the name of one that is being written.
const PART_SUFFIX: &str = ".checkpoint.part";
/// And of what is moved there when it is whole.
const PART_OF_PART_SUFFIX: &str = ".checkpoint.part.tmp";
/// And of one that comes from another voter.
const INCOMING_SUFFIX: &str = ".incoming.checkpoint.part";
/// Records whose batch surely is small enough.
const RECORDS_IN_A_BATCH: usize = if MAX_RECORDS_PER_BATCH < 2_000 { MAX_RECORDS_PER_BATCH } else { 2_000 };

/// A snapshot in the directory of the metadata log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SnapshotFile {
    /// Offset behind the last record that is in it.
    pub(super) end: Offset,
    /// Epoch of that record.
    pub(super) epoch: i32,
    /// Where it is.
    pub(super) path: PathBuf,
}

impl SnapshotFile {
    /// Whether it is in its place in `dir`, and neither a part of one nor that of another node.
    pub(super) fn is_in_place(&self, dir: &Path) -> bool {
        self.path == dir.join(name_of(self.end, self.epoch, SUFFIX))
    }
}

fn name_of(end: Offset, epoch: i32, suffix: &str) -> String {
    format!("{:020}-{epoch:010}{suffix}", end.0)
}

/// Where a snapshot of another voter is written as it comes. A start removes it, as all parts.
pub(super) fn incoming(dir: &Path, end: Offset, epoch: i32) -> SnapshotFile {
    SnapshotFile { end, epoch, path: dir.join(name_of(end, epoch, INCOMING_SUFFIX)) }
}

/// When a snapshot is due, and how much may be kept (KIP-630).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPolicy {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub bytes_between: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for never by time.
    pub interval_ms: u64,
    /// `metadata.max.retention.bytes`: of log and snapshots together; negative for no limit.
    pub retention_bytes: i64,
    /// `metadata.max.retention.ms`: how long a snapshot is kept that has a successor; negative for ever.
    pub retention_ms: i64,
}

/// The snapshots of a directory, oldest first. 0-0 holds the voters of a dynamic quorum, no metadata, and is none of them.
pub(super) async fn list(io: &Io, dir: &Path) -> Result<Vec<SnapshotFile>, QuorumError> {
    let entries = io.read_dir(dir).await.map_err(|error| QuorumError::File { path: dir.to_owned(), error })?;
    let parse = |name: &str| {
        let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        Some(SnapshotFile { end: Offset(end.parse().ok()?), epoch: epoch.parse().ok()?, path: dir.join(name) })
    };
    let mut found: Vec<_> = entries.iter().filter_map(|entry| parse(&entry.name)).filter(|one| one.end > Offset::ZERO).collect();
    found.sort();
    Ok(found)
}

/// Removes what a crash has left of snapshots that were being written.
pub(super) async fn remove_parts(io: &Io, dir: &Path) -> Result<(), QuorumError> {
    let entries = io.read_dir(dir).await.map_err(|error| QuorumError::File { path: dir.to_owned(), error })?;
    let is_part = |name: &str| name.ends_with(PART_SUFFIX) || name.ends_with(PART_OF_PART_SUFFIX);
    for part in entries.iter().filter(|entry| is_part(&entry.name)) {
        let path = dir.join(&part.name);
        io.remove_file(&path).await.map_err(|error| QuorumError::File { path, error })?;
    }
    Ok(())
}

/// Writes a snapshot of `image`, which no later record is in and whose last entry is at `position`; it is on the device when this returns.
/// `last_timestamp` is that of the last batch in it.
pub(super) async fn write(
    io: &Io,
    dir: &Path,
    image: &Arc<MetadataImage>,
    last_timestamp: i64,
    position: &Position,
) -> Result<SnapshotFile, QuorumError> {
    let (end, epoch) = (image.next_offset(), image.epoch());
    let (known, now_ms) = (image.clone(), io.wall_clock_ms());
    let members = position.membership.as_ref().map(|stored| stored.membership().clone());
    let content = io.compute(true, move || {
        let metadata_version = known.metadata_version().unwrap_or(MAX_METADATA_VERSION);
        let stamp = Stamp { metadata_version, epoch, last_timestamp, now_ms };
        encode_with(&known.to_records(), members.as_ref(), stamp)
    });
    let content = content.await.map_err(|bytes| QuorumError::TooLarge { bytes })?;
    keep(io, dir, end, epoch, content, position).await
}

/// Keeps what a snapshot holds under the name of its end and epoch.
pub(super) async fn keep(
    io: &Io,
    dir: &Path,
    end: Offset,
    epoch: i32,
    content: Bytes,
    position: &Position,
) -> Result<SnapshotFile, QuorumError> {
    let path = dir.join(name_of(end, epoch, SUFFIX));
    let part = dir.join(name_of(end, epoch, PART_SUFFIX));
    let snapshot = SnapshotFile { end, epoch, path };
    position::write(io, &snapshot, position).await?;
    // Synced before it is renamed, and then the directory; a rename that replaces what was there before does no harm, it has the same end.
    let failed = |error| QuorumError::File { path: snapshot.path.clone(), error };
    io.replace_file(&part, content).await.map_err(failed)?;
    io.rename(&part, &snapshot.path).await.map_err(failed)?;
    io.sync_dir(dir).await.map_err(failed)?;
    Ok(snapshot)
}

/// A header, the records in batches, a footer; numbered from 0.
///
/// # Errors
/// The size of a batch that is too large.
pub fn encode(
    records: &[MetadataRecord],
    metadata_version: i16,
    epoch: i32,
    last_timestamp: i64,
    now_ms: i64,
) -> Result<Bytes, usize> {
    encode_with(records, None, Stamp { metadata_version, epoch, last_timestamp, now_ms })
}

/// When and for whom a snapshot is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) metadata_version: i16,
    pub(super) epoch: i32,
    pub(super) last_timestamp: i64,
    pub(super) now_ms: i64,
}

/// The same, with who is in the quorum, where the log says that: behind the header, as Kafka has it (KIP-853).
pub(super) fn encode_with(records: &[MetadataRecord], members: Option<&Membership>, stamp: Stamp) -> Result<Bytes, usize> {
    let Stamp { metadata_version, epoch, last_timestamp, now_ms } = stamp;
    let header = SnapshotHeaderRecord { last_contained_log_timestamp: last_timestamp, ..SnapshotHeaderRecord::default() };
    let header = header.to_bytes(0).expect("version 0 has all of it");
    let footer = SnapshotFooterRecord::default().to_bytes(0).expect("version 0 has all of it");
    let mut head = vec![(ControlRecordType::SnapshotHeader, header)];
    if let Some(members) = members {
        head.push((ControlRecordType::KRaftVersion, members::kraft_version_record()));
        head.extend(members::records(members).into_iter().map(|voters| (ControlRecordType::KRaftVoters, voters)));
    }
    let head: Vec<_> = head.iter().map(|(kind, value)| (*kind, &value[..])).collect();
    let mut parts = vec![batch::encode_controls(&head, Offset::ZERO, epoch, now_ms)];
    let mut next = Offset(head.len() as i64);
    for records in records.chunks(RECORDS_IN_A_BATCH) {
        parts.push(batch::encode(records, metadata_version, next, epoch, now_ms)?);
        next = next.plus(records.len() as i64);
    }
    parts.push(batch::encode_control(ControlRecordType::SnapshotFooter, &footer, next, epoch, now_ms));
    Ok(Bytes::from(parts.concat()))
}

/// What a snapshot holds.
pub(super) struct Loaded {
    /// Its bytes.
    pub(super) content: Bytes,
    pub(super) records: Vec<MetadataRecord>,
    /// Who is in the quorum, if it says so.
    pub(super) members: Option<Membership>,
}

/// What a snapshot holds, which must be whole.
pub(super) async fn load(io: &Io, snapshot: &SnapshotFile) -> Result<Loaded, QuorumError> {
    let path = &snapshot.path;
    let content = io.read_file(path).await.map_err(|error| QuorumError::File { path: path.clone(), error })?;
    let read = read_with_members(&content).map_err(|reason| QuorumError::Invalid { path: path.clone(), reason });
    read.map(|(records, members)| Loaded { content, records, members })
}

/// The records of a snapshot, which must be whole.
///
/// # Errors
/// It is not, or it is none.
pub fn read(content: &[u8]) -> Result<Vec<MetadataRecord>, String> {
    read_with_members(content).map(|(records, _)| records)
}

/// The same, and who is in the quorum, if it says so.
pub(super) fn read_with_members(content: &[u8]) -> Result<(Vec<MetadataRecord>, Option<Membership>), String> {
    let mut batches = Batches::new(content);
    let (mut records, mut members, mut ends) = (vec![], None, false);
    for found in batches.by_ref() {
        let found = found.map_err(|error| error.to_string())?;
        records.extend(batch::decode(&found)?);
        members = members::named_in(&found)?.or(members);
        ends = batch::control_type(&found) == Some(ControlRecordType::SnapshotFooter);
    }
    if batches.remaining() > 0 || !ends {
        return Err("the snapshot has no end".to_owned());
    }
    Ok((records, members))
}

/// Which of the snapshots, oldest first, are to go, by their sizes and ages; the newest stays.
pub(super) fn to_remove(sizes_and_ages: &[(u64, i64)], log_bytes: u64, policy: &SnapshotPolicy) -> usize {
    let mut total = log_bytes + sizes_and_ages.iter().map(|(size, _)| size).sum::<u64>();
    let mut count = 0;
    while count + 1 < sizes_and_ages.len() {
        let (size, age_ms) = sizes_and_ages[count];
        let too_much = u64::try_from(policy.retention_bytes).is_ok_and(|most| total > most);
        let too_old = policy.retention_ms >= 0 && age_ms > policy.retention_ms;
        if !too_much && !too_old {
            break;
        }
        total -= size;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_by_size_or_age_and_the_newest_stays() {
        let policy = SnapshotPolicy { bytes_between: 1, interval_ms: 0, retention_bytes: 100, retention_ms: 1_000 };
        assert_eq!(to_remove(&[(10, 0), (10, 0), (10, 0)], 50, &policy), 0);
        assert_eq!(to_remove(&[(30, 0), (30, 0), (30, 0)], 50, &policy), 2);
        assert_eq!(to_remove(&[(30, 0), (30, 0), (30, 0)], 35, &policy), 1);
        assert_eq!(to_remove(&[(1, 2_000), (1, 1_001), (1, 5_000)], 1, &policy), 2);
        assert_eq!(to_remove(&[(1_000, 5_000)], 1_000, &policy), 0);
        let for_ever = SnapshotPolicy { retention_bytes: -1, retention_ms: -1, ..policy };
        assert_eq!(to_remove(&[(1_000, 5_000), (1_000, 5_000)], 1_000, &for_ever), 0);
    }
}
