//! What a log needs of its topic's configuration, as plain values with Kafka's names and defaults.

use std::time::Duration;

/// Whether `cleanup.policy` names `delete`, `compact` or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments go by time and size.
    pub delete: bool,
    /// Only the last record of each key stays.
    pub compact: bool,
}

/// The topic configuration of one log. Bytes are bytes, times are milliseconds; `i64::MAX` and -1 mean what they mean in Kafka.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`: a segment never grows beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its first record is this old, counted in record time.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: greatest random time by which a roll comes early, so that partitions do not roll together.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: room for index entries; a full index rolls the segment.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: log bytes between two index entries.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: largest batch that is accepted.
    pub max_message_bytes: u32,
    /// `flush.messages`: records after which the log is synced; 1 makes every append wait for it.
    pub flush_messages: i64,
    /// `flush.ms`: age of unsynced records at which the log is synced.
    pub flush_ms: i64,
    /// `retention.ms`: -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: -1 is no limit.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: time between the rename to `.deleted` and the removal.
    pub file_delete_delay_ms: i64,
    /// `preallocate`: give new segments all their space at once.
    pub preallocate: bool,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`: compaction waits until more than this part of the log is dirty.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records younger than this are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: records older than this do not wait for the dirty ratio.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone is kept after the first pass that has met it.
    pub delete_retention_ms: i64,
    /// `producer.id.expiration.ms`, of the broker: producers that have been silent for longer are not loaded from a snapshot.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            producer_id_expiration_ms: 86_400_000,
        }
    }
}

impl LogConfig {
    /// Time between the rename of a segment's files and their removal.
    pub fn file_delete_delay(&self) -> Duration {
        Duration::from_millis(self.file_delete_delay_ms.max(0) as u64)
    }

    /// Age at which a segment is rolled. Only what is rolled is compacted, so `max.compaction.lag.ms` counts as well.
    pub fn max_segment_ms(&self) -> i64 {
        let caps = self.cleanup_policy.compact && self.max_compaction_lag_ms > 0;
        if caps { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// Whether the log is synced at some time or number of records, and not just as the kernel likes.
    pub fn asks_for_flushes(&self) -> bool {
        self.flush_ms < i64::MAX || self.flush_messages < i64::MAX
    }

    /// Whether an answer to a produce has to wait for `fdatasync`.
    pub fn sync_every_append(&self) -> bool {
        self.flush_messages <= 1
    }
}
