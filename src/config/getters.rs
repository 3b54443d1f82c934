//! The broker's settings as typed values, one method a key. A test holds this list against the table: each honoured key is read by
//! a method here, by the topic configs, or by the checks of listeners and roles.

use super::BrokerConfig;
use super::key::Value;
use crate::model::BrokerId;
use std::path::PathBuf;

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $key:literal;)*) => {
        impl BrokerConfig {
            $(
                #[doc = concat!("`", $key, "`")]
                $(#[$doc])*
                pub fn $name(&self) -> getters!(@type $kind) {
                    getters!(@read $kind, self.value($key), $key)
                }
            )*
        }

        /// Keys that a method reads.
        #[cfg(test)]
        pub(super) const READ_KEYS: &[&str] = &[$($key,)*];

        #[cfg(test)]
        pub(super) fn read_all(config: &BrokerConfig) {
            $(let _ = config.$name();)*
        }
    };
    (@type Bool) => { bool };
    (@type I32) => { i32 };
    (@type I64) => { i64 };
    (@type Count) => { usize };
    (@type OptionalI64) => { Option<i64> };
    (@type OptionalText) => { Option<String> };
    (@read Bool, $value:expr, $key:literal) => {
        match $value { Some(Value::Bool(value)) => value, other => unreachable!("{} is {other:?}", $key) }
    };
    (@read I32, $value:expr, $key:literal) => {
        match $value { Some(Value::Int(value)) => value as i32, other => unreachable!("{} is {other:?}", $key) }
    };
    (@read I64, $value:expr, $key:literal) => {
        match $value { Some(Value::Int(value)) => value, other => unreachable!("{} is {other:?}", $key) }
    };
    (@read OptionalI64, $value:expr, $key:literal) => {
        match $value { Some(Value::Int(value)) => Some(value), None => None, other => unreachable!("{} is {other:?}", $key) }
    };
    (@read Count, $value:expr, $key:literal) => {
        match $value {
            Some(Value::Int(value)) => usize::try_from(value).expect("the rule of the key excludes negative numbers"),
            other => unreachable!("{} is {other:?}", $key),
        }
    };
    (@read OptionalText, $value:expr, $key:literal) => {
        match $value { Some(Value::Text(value)) => Some(value), None => None, other => unreachable!("{} is {other:?}", $key) }
    };
}

getters! {
    /// 0: as many as the process may use.
    cores: Count = "flumen.cores";
    /// Time that an idle core spins before it sleeps.
    busy_poll_us: Count = "flumen.busy.poll.us";
    /// A leader of the quorum whose process is gone is replaced at once.
    elect_on_refusal_enable: Bool = "flumen.elect.on.refusal.enable";
    /// A controller that does not vote makes itself a voter (KIP-853, KIP-1186).
    quorum_auto_join_enable: Bool = "controller.quorum.auto.join.enable";
    /// A broker whose process is gone is fenced at once.
    fence_on_refusal_enable: Bool = "flumen.fence.on.refusal.enable";
    /// Address and port of metrics and health; none: they are not served.
    http_listener: OptionalText = "flumen.http.listener";
    /// Of one core; 0: not at all.
    log_scrub_bytes_per_second: Count = "flumen.log.scrub.bytes.per.second";
    log_scrub_interval_ms: I64 = "flumen.log.scrub.interval.ms";
    broker_rack: OptionalText = "broker.rack";
    num_partitions: I32 = "num.partitions";
    default_replication_factor: I32 = "default.replication.factor";
    auto_create_topics_enable: Bool = "auto.create.topics.enable";
    delete_topic_enable: Bool = "delete.topic.enable";
    socket_request_max_bytes: I32 = "socket.request.max.bytes";
    socket_listen_backlog_size: I32 = "socket.listen.backlog.size";
    /// -1: the system's choice.
    socket_send_buffer_bytes: I32 = "socket.send.buffer.bytes";
    /// -1: the system's choice.
    socket_receive_buffer_bytes: I32 = "socket.receive.buffer.bytes";
    connections_max_idle_ms: I64 = "connections.max.idle.ms";
    /// Not positive: no limit.
    queued_max_request_bytes: I64 = "queued.max.request.bytes";
    quota_window_num: Count = "quota.window.num";
    quota_window_size_seconds: I32 = "quota.window.size.seconds";
    controller_quota_window_num: Count = "controller.quota.window.num";
    controller_quota_window_size_seconds: I32 = "controller.quota.window.size.seconds";
    fetch_max_bytes: I32 = "fetch.max.bytes";
    max_incremental_fetch_session_cache_slots: Count = "max.incremental.fetch.session.cache.slots";
    max_request_partition_size_limit: Count = "max.request.partition.size.limit";
    log_cleaner_enable: Bool = "log.cleaner.enable";
    /// None: the first time comes after one interval, as every other.
    log_initial_task_delay_ms: OptionalI64 = "log.initial.task.delay.ms";
    log_retention_check_interval_ms: I64 = "log.retention.check.interval.ms";
    log_flush_scheduler_interval_ms: I64 = "log.flush.scheduler.interval.ms";
    log_flush_offset_checkpoint_interval_ms: I64 = "log.flush.offset.checkpoint.interval.ms";
    log_flush_start_offset_checkpoint_interval_ms: I64 = "log.flush.start.offset.checkpoint.interval.ms";
    replica_high_watermark_checkpoint_interval_ms: I64 = "replica.high.watermark.checkpoint.interval.ms";
    producer_id_expiration_check_interval_ms: I64 = "producer.id.expiration.check.interval.ms";
    metadata_log_segment_bytes: I32 = "metadata.log.segment.bytes";
    metadata_log_segment_ms: I64 = "metadata.log.segment.ms";
    metadata_log_max_record_bytes_between_snapshots: I64 = "metadata.log.max.record.bytes.between.snapshots";
    /// 0: never by time.
    metadata_log_max_snapshot_interval_ms: I64 = "metadata.log.max.snapshot.interval.ms";
    metadata_max_retention_bytes: I64 = "metadata.max.retention.bytes";
    metadata_max_retention_ms: I64 = "metadata.max.retention.ms";
    /// How long a voter that is sure of no leader waits before it stands for election.
    quorum_election_timeout_ms: I64 = "controller.quorum.election.timeout.ms";
    /// How long it waits at most after an election that nobody won.
    quorum_election_backoff_max_ms: I64 = "controller.quorum.election.backoff.max.ms";
    /// Without news of the leader for so long, a voter stands for election; a leader that a majority does not ask resigns.
    quorum_fetch_timeout_ms: I64 = "controller.quorum.fetch.timeout.ms";
    quorum_request_timeout_ms: I64 = "controller.quorum.request.timeout.ms";
    quorum_retry_backoff_ms: I64 = "controller.quorum.retry.backoff.ms";
    quorum_append_linger_ms: I64 = "controller.quorum.append.linger.ms";
    broker_heartbeat_interval_ms: I64 = "broker.heartbeat.interval.ms";
    /// What a controller grants a broker without a heartbeat.
    broker_session_timeout_ms: I64 = "broker.session.timeout.ms";
    initial_broker_registration_timeout_ms: I64 = "initial.broker.registration.timeout.ms";
    /// How long a broker goes on whose controller does not know that a log dir has failed.
    log_dir_failure_timeout_ms: I64 = "log.dir.failure.timeout.ms";
    controller_socket_timeout_ms: I64 = "controller.socket.timeout.ms";
    controlled_shutdown_enable: Bool = "controlled.shutdown.enable";
    request_timeout_ms: I64 = "request.timeout.ms";
    socket_connection_setup_timeout_ms: I64 = "socket.connection.setup.timeout.ms";
    socket_connection_setup_timeout_max_ms: I64 = "socket.connection.setup.timeout.max.ms";
    auto_leader_rebalance_enable: Bool = "auto.leader.rebalance.enable";
    leader_imbalance_check_interval_seconds: I64 = "leader.imbalance.check.interval.seconds";
    unclean_leader_election_interval_ms: I64 = "unclean.leader.election.interval.ms";
    replica_lag_time_max_ms: I64 = "replica.lag.time.max.ms";
    /// Of one partition.
    replica_fetch_max_bytes: I32 = "replica.fetch.max.bytes";
    replica_fetch_min_bytes: I32 = "replica.fetch.min.bytes";
    /// Of all partitions.
    replica_fetch_response_max_bytes: I32 = "replica.fetch.response.max.bytes";
    replica_fetch_wait_max_ms: I32 = "replica.fetch.wait.max.ms";
    /// After a failure.
    replica_fetch_backoff_ms: I64 = "replica.fetch.backoff.ms";
    replica_socket_timeout_ms: I64 = "replica.socket.timeout.ms";
    replica_socket_receive_buffer_bytes: I32 = "replica.socket.receive.buffer.bytes";
    /// Has no effect: each core fetches by one connection from each leader.
    num_replica_fetchers: Count = "num.replica.fetchers";
    replication_quota_window_num: Count = "replication.quota.window.num";
    replication_quota_window_size_seconds: I32 = "replication.quota.window.size.seconds";
    group_initial_rebalance_delay_ms: I32 = "group.initial.rebalance.delay.ms";
    group_min_session_timeout_ms: I32 = "group.min.session.timeout.ms";
    group_max_session_timeout_ms: I32 = "group.max.session.timeout.ms";
    group_max_size: Count = "group.max.size";
    offset_metadata_max_bytes: I32 = "offset.metadata.max.bytes";
    offsets_commit_timeout_ms: I64 = "offsets.commit.timeout.ms";
    offsets_load_buffer_size: Count = "offsets.load.buffer.size";
    offsets_retention_minutes: I32 = "offsets.retention.minutes";
    offsets_retention_check_interval_ms: I64 = "offsets.retention.check.interval.ms";
    offsets_topic_num_partitions: I32 = "offsets.topic.num.partitions";
    offsets_topic_replication_factor: I32 = "offsets.topic.replication.factor";
    offsets_topic_segment_bytes: I32 = "offsets.topic.segment.bytes";
    /// Kafka's number of a codec.
    offsets_topic_compression_codec: I32 = "offsets.topic.compression.codec";
}

impl BrokerConfig {
    /// `node.id`, or `broker.id` if that is what was set.
    pub fn node_id(&self) -> BrokerId {
        let key = if self.explicit("node.id").is_some() { "node.id" } else { "broker.id" };
        match self.value(key) {
            Some(Value::Int(id)) => BrokerId(id as i32),
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// `log.dirs`, or `log.dir`, without repetitions.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        let items = [self.value("log.dirs"), self.value("log.dir")].into_iter().flatten().next();
        let Some(Value::List(items)) = items else { return vec![] };
        let mut dirs: Vec<PathBuf> = vec![];
        for dir in items.iter().filter(|item| !item.is_empty()).map(PathBuf::from) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs
    }

    /// `metadata.log.dir`, or the first log dir: where `__cluster_metadata-0` is.
    pub fn metadata_log_dir(&self) -> PathBuf {
        match self.value("metadata.log.dir") {
            Some(Value::Text(dir)) if !dir.is_empty() => PathBuf::from(dir),
            _ => self.log_dirs().swap_remove(0),
        }
    }
}
