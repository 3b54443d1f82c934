//! What a core takes from the broker's configuration, as plain values.

use crate::access::quota::Windows;
use crate::config::{BrokerConfig, LiveConfig};
use crate::group;
use crate::log::CleanerLimits;
use crate::model::BrokerId;
use crate::record::{Attributes, Compression};
use crate::replica::Timing;
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
    /// Broker and controller in one, and nobody else votes.
    pub is_alone: bool,
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
    /// `log.initial.task.delay.ms`: when the tasks of the logs (checkpoints, flush, retention) run for the first time.
    pub initial_task_delay: Option<Duration>,
    /// `flumen.log.scrub.bytes.per.second`, of one core; 0: what was written long ago is not looked at.
    pub scrub_bytes_per_second: u64,
    /// `flumen.log.scrub.interval.ms`: a pass over everything begins so long after the one before.
    pub scrub_interval: Duration,
    /// `log.cleaner.enable`.
    pub cleaner_enable: bool,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
    /// `quota.window.num` and `quota.window.size.seconds`.
    pub quota_windows: Windows,
    /// `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub mutation_windows: Windows,
    /// What group coordinators go by.
    pub groups: group::Config,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: how long a coordinator's write may take.
    pub offsets_commit_timeout: Duration,
    /// `offsets.load.buffer.size`: bytes that a coordinator reads in one go when it begins.
    pub group_load_bytes: u64,
    /// `offsets.topic.compression.codec`, as a coordinator's batches have it.
    pub offsets_compression: Compression,
    /// `replica.lag.time.max.ms`, `replica.fetch.backoff.ms` and what else replicas wait for.
    pub replica_timing: Timing,
    /// What is fetched of other brokers.
    pub fetching: Fetching,
    /// `replication.quota.window.num` and `replication.quota.window.size.seconds`.
    pub replication_windows: Windows,
    /// `inter.broker.listener.name`: where other brokers are reached.
    pub inter_broker_listener: String,
    /// `replica.selector.class` is the one that goes by racks: consumers are sent to replicas near them.
    pub is_rack_aware: bool,
}

/// How much a broker fetches of another in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetching {
    /// `replica.fetch.max.bytes`: of one partition.
    pub max_bytes: i32,
    /// `replica.fetch.min.bytes`: before that much is there, the leader waits.
    pub min_bytes: i32,
    /// `replica.fetch.wait.max.ms`: for that long.
    pub max_wait_ms: i32,
    /// `replica.fetch.response.max.bytes`: of all partitions together.
    pub response_max_bytes: i32,
    /// `replica.socket.timeout.ms` or `request.timeout.ms`, whichever is shorter: a leader that says nothing for that long is not there.
    pub answer_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`: nor is one that a connection takes so long to.
    pub connect_timeout: Duration,
}

/// What the compaction of one core may take: each cleans its own logs.
pub(super) fn cleaner_limits(live: &LiveConfig, cores: usize) -> CleanerLimits {
    CleanerLimits {
        dedupe_bytes: live.log_cleaner_dedupe_buffer_size / cores,
        load_factor: live.log_cleaner_io_buffer_load_factor,
        chunk_bytes: live.log_cleaner_io_buffer_size / cores,
        bytes_per_second: live.log_cleaner_io_max_bytes_per_second / cores as f64,
    }
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
            is_alone: config.is_alone(),
            log_dirs,
            partition_dirs,
            metadata_dir,
            recovery_checkpoint_interval: duty(config.log_flush_offset_checkpoint_interval_ms()),
            log_start_checkpoint_interval: duty(config.log_flush_start_offset_checkpoint_interval_ms()),
            high_watermark_checkpoint_interval: duty(config.replica_high_watermark_checkpoint_interval_ms()),
            flush_check_interval: duty(config.log_flush_scheduler_interval_ms()).min(FLUSH_CHECK_INTERVAL),
            retention_check_interval: duty(config.log_retention_check_interval_ms()),
            initial_task_delay: config.log_initial_task_delay_ms().map(|ms| Duration::from_millis(ms.max(0) as u64)),
            scrub_bytes_per_second: config.log_scrub_bytes_per_second() as u64,
            scrub_interval: duty(config.log_scrub_interval_ms()),
            cleaner_enable: config.log_cleaner_enable(),
            producer_id_expiration_check_interval: duty(config.producer_id_expiration_check_interval_ms()),
            quota_windows: windows(config.quota_window_num(), config.quota_window_size_seconds()),
            mutation_windows: windows(config.controller_quota_window_num(), config.controller_quota_window_size_seconds()),
            groups: groups(config),
            offsets_retention_check_interval: duty(config.offsets_retention_check_interval_ms()),
            offsets_commit_timeout: duty(config.offsets_commit_timeout_ms()),
            group_load_bytes: config.offsets_load_buffer_size() as u64,
            offsets_compression: offsets_compression(config),
            replica_timing: Timing {
                replica_lag_time_max_ms: config.replica_lag_time_max_ms().max(1) as u64,
                fetch_backoff_ms: config.replica_fetch_backoff_ms().max(0) as u64,
                ..Timing::default()
            },
            fetching: Fetching {
                max_bytes: config.replica_fetch_max_bytes(),
                min_bytes: config.replica_fetch_min_bytes(),
                max_wait_ms: config.replica_fetch_wait_max_ms(),
                response_max_bytes: config.replica_fetch_response_max_bytes(),
                answer_timeout: duty(config.replica_socket_timeout_ms().min(config.request_timeout_ms())),
                connect_timeout: duty(config.socket_connection_setup_timeout_ms()),
            },
            replication_windows: windows(config.replication_quota_window_num(), config.replication_quota_window_size_seconds()),
            inter_broker_listener: config.inter_broker_listener_name(),
            is_rack_aware: config.selects_replicas_by_rack(),
        }
    }
}

fn windows(count: usize, seconds: i32) -> Windows {
    Windows { count, length_ms: u64::try_from(seconds).unwrap_or(0).max(1) * 1_000 }
}

fn groups(config: &BrokerConfig) -> group::Config {
    group::Config {
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms().max(0) as u64,
        min_session_timeout_ms: config.group_min_session_timeout_ms(),
        max_session_timeout_ms: config.group_max_session_timeout_ms(),
        max_size: config.group_max_size(),
        offset_metadata_max_bytes: config.offset_metadata_max_bytes().max(0) as usize,
        offsets_retention_ms: i64::from(config.offsets_retention_minutes()) * 60_000,
    }
}

fn offsets_compression(config: &BrokerConfig) -> Compression {
    let attributes = Attributes(config.offsets_topic_compression_codec() as i16);
    Compression::of(attributes.codec().expect("the rule of the key knows the codecs"))
}
