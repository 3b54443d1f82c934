//! What a core takes from the broker's configuration, as plain values.

use std::path::PathBuf;
use std::time::Duration;

/// The settings that cores go by, with Kafka's names.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.id`.
    pub node_id: i32,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, by default the first of `log.dirs`; its index there if it is one of them.
    pub metadata_log_dir: PathBuf,
    /// `log.flush.offset.checkpoint.interval.ms`: recovery points.
    pub recovery_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`: log start offsets.
    pub log_start_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `log.flush.scheduler.interval.ms`: how often `flush.ms` is looked at.
    pub flush_check_interval: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
    /// Bytes that the requests of one core may hold (`queued.max.request.bytes` over all cores, or our default).
    pub request_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_id: 1,
            log_dirs: vec![PathBuf::from("./flumen-data")],
            metadata_log_dir: PathBuf::from("./flumen-data"),
            recovery_checkpoint_interval: Duration::from_secs(60),
            log_start_checkpoint_interval: Duration::from_secs(60),
            high_watermark_checkpoint_interval: Duration::from_secs(5),
            flush_check_interval: Duration::from_millis(100),
            retention_check_interval: Duration::from_secs(300),
            producer_id_expiration: Duration::from_secs(86_400),
            producer_id_expiration_check_interval: Duration::from_secs(600),
            request_bytes: 256 << 20,
        }
    }
}
