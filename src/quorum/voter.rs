//! The only voter of its quorum: whatever it has written and flushed is committed.

use super::snapshot::{self, SnapshotFile, SnapshotPolicy};
use super::{METADATA_TOPIC, OpenQuorum, QuorumError, batch, state};
use crate::controller::{Loader, MAX_METADATA_VERSION, MIN_METADATA_VERSION, MetadataDelta, MetadataImage};
use crate::io::{Io, Mono};
use crate::log::{AppendBatch, CleanupPolicy, Log, LogConfig, OpenLog, ReadRequest};
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::protocol::generated::LeaderChangeMessage;
use crate::protocol::generated::leader_change_message::Voter;
use crate::protocol::{Message, MetadataRecord};
use crate::record::{BatchHeader, Batches, ControlRecordType};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Log bytes read at once when the metadata are loaded.
const READ_BYTES: u64 = 1 << 20;

/// Metadata that cannot be written down now are not tried more often, whatever the policy says.
const LEAST_INTERVAL_MS: u64 = 1_000;

/// Path of the metadata log's directory.
pub(super) fn partition_dir(log_dir: &Path) -> PathBuf {
    log_dir.join(format!("{METADATA_TOPIC}-0"))
}

/// The metadata log and the epoch in which this node leads.
pub(super) struct SingleVoter {
    io: Io,
    node: BrokerId,
    dir: PathBuf,
    log: Log,
    epoch: i32,
    policy: SnapshotPolicy,
    /// Bytes of records behind the newest snapshot, and when the last look at the clock of snapshots was.
    unsnapped_bytes: u64,
    snapped_at: Mono,
    /// Append time of the last batch.
    last_timestamp: i64,
}

impl SingleVoter {
    /// Opens and reads the log.
    pub(super) async fn open(io: &Io, how: &OpenQuorum) -> Result<(Self, Loader), QuorumError> {
        let dir = partition_dir(&how.log_dir);
        let log = Log::open(io.clone(), open_log(&dir, how)).await?;
        snapshot::remove_parts(io, &dir).await?;
        let epoch = state::read_epoch(io, &dir).await?.max(log.latest_epoch().0).max(0);
        let mut voter = Self {
            io: io.clone(),
            node: how.node,
            dir,
            log,
            epoch,
            policy: how.snapshots,
            unsnapped_bytes: 0,
            snapped_at: io.now(),
            last_timestamp: 0,
        };
        let loader = voter.load().await?;
        Ok((voter, loader))
    }

    pub(super) fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// Where the log begins.
    #[cfg(test)]
    pub(super) fn start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Everything in the log, from the last snapshot on if there is one.
    async fn load(&mut self) -> Result<Loader, QuorumError> {
        let mut loader = Loader::default();
        let mut next = self.log.log_start_offset();
        match self.last_snapshot().await? {
            Some(SnapshotFile { end, epoch, path }) => {
                let content = self.io.read_file(&path).await.map_err(|error| QuorumError::File { path: path.clone(), error })?;
                let records = snapshot::read(&content).map_err(|reason| QuorumError::Invalid { path, reason })?;
                loader.load(&records, end, epoch)?;
                next = end;
            }
            None if next > Offset::ZERO => {
                return Err(self.invalid(format!("the log begins at {next} and no snapshot says what was before")));
            }
            None => {}
        }
        while next < self.end_offset() {
            let bytes = self.read(next).await?;
            let before = next;
            for found in Batches::new(&bytes) {
                let found = found.map_err(|error| self.invalid(error.to_string()))?;
                if found.header.next_offset() <= next {
                    continue;
                }
                next = found.header.next_offset();
                let records = batch::decode(&found).map_err(|reason| self.invalid(reason))?;
                self.unsnapped_bytes += found.bytes.len() as u64;
                self.last_timestamp = found.header.max_timestamp;
                loader.load(&records, next, found.header.partition_leader_epoch.0)?;
            }
            if next == before {
                return Err(self.invalid(format!("no batch can be read at {next}")));
            }
            self.io.yield_if_needed().await;
        }
        Ok(loader)
    }

    /// Bytes of the batches from `offset` on.
    async fn read(&self, offset: Offset) -> Result<Bytes, QuorumError> {
        let upper = self.end_offset();
        let request = ReadRequest { offset, max_bytes: READ_BYTES, upper, at_least_one_batch: true };
        let plan = self.log.read(request).await?;
        let mut bytes = Vec::with_capacity(plan.bytes as usize);
        for slice in &plan.slices {
            let part = slice.file.read_at(&self.io, slice.position, slice.len as usize).await;
            bytes.extend_from_slice(&part.map_err(|error| QuorumError::File { path: self.dir.clone(), error })?);
        }
        Ok(Bytes::from(bytes))
    }

    /// The newest snapshot that the log goes on from.
    async fn last_snapshot(&self) -> Result<Option<SnapshotFile>, QuorumError> {
        let mut found = snapshot::list(&self.io, &self.dir).await?;
        found.retain(|one| (self.log.log_start_offset()..=self.end_offset()).contains(&one.end));
        Ok(found.pop())
    }

    /// Writes a snapshot if one is due, and removes what the newest one makes superfluous as far as the policy says.
    pub(super) async fn keep_short(&mut self, image: &Arc<MetadataImage>) -> Result<(), QuorumError> {
        let waited_ms = self.io.now().since(self.snapped_at).as_millis() as u64;
        let by_time = self.policy.interval_ms > 0 && waited_ms >= self.policy.interval_ms;
        let is_due = self.unsnapped_bytes >= self.policy.bytes_between || (by_time && self.unsnapped_bytes > 0);
        if !is_due {
            return Ok(());
        }
        self.snapped_at = self.io.now();
        if !image.can_be_exported() || image.next_offset() != self.end_offset() {
            // What is not understood would be lost, and so would a transaction that is open.
            return Ok(());
        }
        let written = snapshot::write(&self.io, &self.dir, image, self.last_timestamp).await?;
        self.unsnapped_bytes = 0;
        tracing::info!(path = %written.path.display(), "wrote a snapshot of the metadata");
        self.remove_superfluous().await
    }

    /// When a snapshot is due by time.
    pub(super) fn snapshot_due(&self) -> Option<Mono> {
        let is_wanted = self.policy.interval_ms > 0 && self.unsnapped_bytes > 0;
        is_wanted.then(|| self.snapped_at.after(Duration::from_millis(self.policy.interval_ms.max(LEAST_INTERVAL_MS))))
    }

    async fn remove_superfluous(&self) -> Result<(), QuorumError> {
        let snapshots = snapshot::list(&self.io, &self.dir).await?;
        let mut sizes_and_ages = Vec::new();
        for one in &snapshots {
            let content =
                self.io.read_file(&one.path).await.map_err(|error| QuorumError::File { path: one.path.clone(), error })?;
            // The first batch says when it was written.
            let written_ms = BatchHeader::parse(&content).map_or(0, |header| header.max_timestamp);
            sizes_and_ages.push((content.len() as u64, self.io.wall_clock_ms() - written_ms));
        }
        let going = snapshot::to_remove(&sizes_and_ages, self.log.size(), &self.policy);
        for one in &snapshots[..going] {
            self.io.remove_file(&one.path).await.map_err(|error| QuorumError::File { path: one.path.clone(), error })?;
        }
        // The log begins where the oldest snapshot that is left ends: whoever has that one can go on with it.
        if let Some(oldest) = snapshots.get(going)
            && going > 0
        {
            self.log.delete_records(oldest.end).await?;
            self.log.apply_retention(self.end_offset()).await?;
        }
        Ok(())
    }

    /// Begins a new epoch, which opens with a control batch that says who leads.
    pub(super) async fn begin_epoch(&mut self, loader: &mut Loader) -> Result<(), QuorumError> {
        self.epoch = self.epoch.checked_add(1).ok_or_else(|| self.invalid("the epochs are used up".to_owned()))?;
        // The epoch must never be led twice, so it is on the device before the first record of it.
        state::write(&self.io, &self.dir, self.node, self.epoch).await?;
        self.log.assign_epoch_start(LeaderEpoch(self.epoch), self.end_offset()).await?;
        let voter = || Voter { voter_id: self.node.0, ..Voter::default() };
        let message = LeaderChangeMessage {
            version: 0,
            leader_id: self.node.0,
            voters: vec![voter()],
            granting_voters: vec![voter()],
            ..LeaderChangeMessage::default()
        };
        let value = message.to_bytes(0).expect("version 0 has all of it");
        let now = self.io.wall_clock_ms();
        let bytes = batch::encode_control(ControlRecordType::LeaderChange, &value, self.end_offset(), self.epoch, now);
        self.append(bytes, now).await?;
        loader.load(&[], self.end_offset(), self.epoch)?;
        Ok(())
    }

    /// Commits one batch and applies it. When this returns, the records are on the device and in the loader's image.
    pub(super) async fn commit(&mut self, loader: &mut Loader, records: &[MetadataRecord]) -> Result<MetadataDelta, QuorumError> {
        let end = self.end_offset();
        assert!(loader.image().next_offset() == end, "a decision sees everything that is committed");
        let version = loader.image().metadata_version().unwrap_or(MAX_METADATA_VERSION);
        let now = self.io.wall_clock_ms();
        let bytes = batch::encode(records, version, end, self.epoch, now).map_err(|bytes| QuorumError::TooLarge { bytes })?;
        // A record that does not fit must not get into the log, where it would be fatal at each start.
        let mut applied = loader.clone();
        let delta = applied.load(records, end.plus(records.len() as i64), self.epoch)?;
        self.append(bytes, now).await?;
        assert!(applied.image().next_offset() == self.end_offset(), "the log holds what was applied");
        *loader = applied;
        Ok(delta)
    }

    async fn append(&mut self, bytes: Bytes, now_ms: i64) -> Result<(), QuorumError> {
        self.unsnapped_bytes += bytes.len() as u64;
        self.last_timestamp = now_ms;
        let header = BatchHeader::parse(&bytes).expect("a batch that was just built");
        let appended = AppendBatch::new(bytes, &header, self.end_offset(), LeaderEpoch(self.epoch));
        let end = self.log.append(vec![appended]).await?.log_end_offset;
        if !self.io.planted("metadata told before they are flushed") {
            self.log.flush(end).await?;
        }
        Ok(())
    }

    /// Refuses metadata whose version is not served.
    pub(super) fn check_metadata_version(&self, image: &MetadataImage) -> Result<(), QuorumError> {
        match image.metadata_version() {
            Some(version) if (MIN_METADATA_VERSION..=MAX_METADATA_VERSION).contains(&version) => Ok(()),
            Some(version) => Err(self.invalid(format!(
                "metadata.version {version} is not supported, only {MIN_METADATA_VERSION} to {MAX_METADATA_VERSION}"
            ))),
            None => Err(self.invalid("metadata.version is missing".to_owned())),
        }
    }

    pub(super) async fn close(&self) -> Result<(), QuorumError> {
        Ok(self.log.close().await?)
    }

    fn invalid(&self, reason: String) -> QuorumError {
        QuorumError::Invalid { path: self.dir.clone(), reason }
    }
}

fn open_log(dir: &Path, how: &OpenQuorum) -> OpenLog {
    // Nothing goes by size or age of the records: only what a snapshot holds may, by the log start offset.
    let cleanup_policy = CleanupPolicy { delete: false, compact: false };
    // Whatever a start finds is told, so it has to be on the device whatever became of the sync of whoever wrote it: with a flush for
    // each message, recovery writes what it finds again, and the first flush, of the batch that begins an epoch, comes before all else.
    let flush_messages = 1;
    let config = LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        flush_messages,
        cleanup_policy,
        segment_bytes: how.segment_bytes as u32,
        segment_ms: how.segment_ms,
        ..LogConfig::default()
    };
    OpenLog {
        dir: dir.to_owned(),
        partition: TopicPartition::new(METADATA_TOPIC, PartitionIndex(0)),
        topic_id: TopicId::METADATA,
        config,
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        cleaned: None,
        clean_shutdown: how.clean_shutdown,
        progress: None,
    }
}
