//! What a core takes from the broker's configuration, as plain values.

use crate::config::BrokerConfig;
use crate::model::BrokerId;
use std::path::PathBuf;
use std::time::Duration;

/// Kafka looks at `flush.ms` only every `log.flush.scheduler.interval.ms`, by default never, so that a topic that sets it gets
/// nothing. Here it is looked at this often at least.
const FLUSH_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The settings that cores go by, with Kafka's names.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `log.dirs`, and behind them `metadata.log.dir` if it is a dir of its own.
    pub log_dirs: Vec<PathBuf>,
    /// How many of `log_dirs` take partitions.
    pub partition_dirs: usize,
    /// Which of `log_dirs` holds the metadata log.
    pub metadata_dir: usize,
    /// `log.flush.offset.checkpoint.interval.ms`: recovery points.
    pub recovery_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`: log start offsets.
    pub log_start_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// How often `flush.ms` is looked at: `log.flush.scheduler.interval.ms`, or sooner.
    pub flush_check_interval: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
}

impl From<&BrokerConfig> for Settings {
    fn from(config: &BrokerConfig) -> Self {
        let mut log_dirs = config.log_dirs();
        let partition_dirs = log_dirs.len();
        let metadata_dir = config.metadata_log_dir();
        let metadata_dir = log_dirs.iter().position(|dir| *dir == metadata_dir).unwrap_or_else(|| {
            log_dirs.push(metadata_dir);
            partition_dirs
        });
        let duty = |ms: i64| Duration::from_millis(ms.max(1) as u64);
        Self {
            node_id: config.node_id(),
            log_dirs,
            partition_dirs,
            metadata_dir,
            recovery_checkpoint_interval: duty(config.log_flush_offset_checkpoint_interval_ms()),
            log_start_checkpoint_interval: duty(config.log_flush_start_offset_checkpoint_interval_ms()),
            high_watermark_checkpoint_interval: duty(config.replica_high_watermark_checkpoint_interval_ms()),
            flush_check_interval: duty(config.log_flush_scheduler_interval_ms()).min(FLUSH_CHECK_INTERVAL),
            retention_check_interval: duty(config.log_retention_check_interval_ms()),
            producer_id_expiration_check_interval: duty(config.producer_id_expiration_check_interval_ms()),
        }
    }
}
