//! Topic configs: the table, how they inherit from the broker's keys, and their typed values.

use super::key::Kind::{Boolean, Double, Int, List, Long, String as Text};
use super::key::Rule::{Any, AnyOf, Between, GzipLevel, Min, OneOf, Ratio, ThrottledReplicas};
use super::key::Status::{Honoured, NoEffect, NotYet, Refused};
use super::key::{InvalidValue, KeyDef, Kind, Rule, Status, Value};
use super::keys::find;
use super::{BrokerConfig, Warning};
use crate::model::{BrokerId, PartitionIndex};
use crate::record::{Codec, TimestampType};
use std::collections::{BTreeMap, BTreeSet};

/// A topic config and the broker's keys that give its value where the topic does not.
#[derive(Clone, Copy, Debug)]
pub struct TopicKeyDef {
    /// Name, type, default and range.
    pub key: KeyDef,
    /// Broker keys in the order in which they are asked, each with the factor to the topic config's unit. The first is the one that
    /// DescribeConfigs names.
    pub synonyms: &'static [(&'static str, i64)],
}

const TIERED: &str =
    "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
const TIERED_ONLY: &str = "tiered storage is not supported";
const LZ4: &str = "the LZ4 encoder has one level";
const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    rule: Rule,
    status: Status,
    synonyms: &'static [(&'static str, i64)],
) -> TopicKeyDef {
    TopicKeyDef { key: KeyDef { name, kind, default: Some(default), rule, status }, synonyms }
}

const NEVER: &str = "9223372036854775807";

/// All of Kafka 4.2's topic configs, by name.
#[rustfmt::skip]
pub static TOPIC_KEYS: &[TopicKeyDef] = &[
    key("cleanup.policy", List, "delete", AnyOf(&["compact", "delete"]), Honoured, &[("log.cleanup.policy", 1)]),
    key("compression.gzip.level", Int, "-1", GzipLevel, Honoured, &[("compression.gzip.level", 1)]),
    key("compression.lz4.level", Int, "9", Between(1, 17), NoEffect(LZ4), &[("compression.lz4.level", 1)]),
    key("compression.type", Text, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Honoured, &[("compression.type", 1)]),
    key("compression.zstd.level", Int, "3", Between(-131_072, 22), Honoured, &[("compression.zstd.level", 1)]),
    key("delete.retention.ms", Long, "86400000", Min(0), Honoured, &[("log.cleaner.delete.retention.ms", 1)]),
    key("file.delete.delay.ms", Long, "60000", Min(0), Honoured, &[("log.segment.delete.delay.ms", 1)]),
    key("flush.messages", Long, NEVER, Min(1), Honoured, &[("log.flush.interval.messages", 1)]),
    key("flush.ms", Long, NEVER, Min(0), Honoured, &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)]),
    key("follower.replication.throttled.replicas", List, "", ThrottledReplicas, Honoured, &[]),
    key("index.interval.bytes", Int, "4096", Min(0), Honoured, &[("log.index.interval.bytes", 1)]),
    key("leader.replication.throttled.replicas", List, "", ThrottledReplicas, Honoured, &[]),
    key("local.retention.bytes", Long, "-2", Min(-2), NotYet(TIERED_ONLY), &[("log.local.retention.bytes", 1)]),
    key("local.retention.ms", Long, "-2", Min(-2), NotYet(TIERED_ONLY), &[("log.local.retention.ms", 1)]),
    key("max.compaction.lag.ms", Long, NEVER, Min(1), Honoured, &[("log.cleaner.max.compaction.lag.ms", 1)]),
    key("max.message.bytes", Int, "1048588", Min(0), Honoured, &[("message.max.bytes", 1)]),
    key("message.timestamp.after.max.ms", Long, "3600000", Min(0), Honoured, &[("log.message.timestamp.after.max.ms", 1)]),
    key("message.timestamp.before.max.ms", Long, NEVER, Min(0), Honoured, &[("log.message.timestamp.before.max.ms", 1)]),
    key("message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Honoured, &[("log.message.timestamp.type", 1)]),
    key("min.cleanable.dirty.ratio", Double, "0.5", Ratio(0.0, 1.0), Honoured, &[("log.cleaner.min.cleanable.ratio", 1)]),
    key("min.compaction.lag.ms", Long, "0", Min(0), Honoured, &[("log.cleaner.min.compaction.lag.ms", 1)]),
    key("min.insync.replicas", Int, "1", Min(1), Honoured, &[("min.insync.replicas", 1)]),
    key("preallocate", Boolean, "false", Any, Honoured, &[("log.preallocate", 1)]),
    key("remote.log.copy.disable", Boolean, "false", Any, NotYet(TIERED_ONLY), &[]),
    key("remote.log.delete.on.disable", Boolean, "false", Any, NotYet(TIERED_ONLY), &[]),
    key("remote.storage.enable", Boolean, "false", Any, Refused(TIERED), &[]),
    key("retention.bytes", Long, "-1", Any, Honoured, &[("log.retention.bytes", 1)]),
    key("retention.ms", Long, "604800000", Min(-1), Honoured, &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE), ("log.retention.hours", HOUR)]),
    key("segment.bytes", Int, "1073741824", Min(1_048_576), Honoured, &[("log.segment.bytes", 1)]),
    key("segment.index.bytes", Int, "10485760", Min(4), Honoured, &[("log.index.size.max.bytes", 1)]),
    key("segment.jitter.ms", Long, "0", Min(0), Honoured, &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)]),
    key("segment.ms", Long, "604800000", Min(1), Honoured, &[("log.roll.ms", 1), ("log.roll.hours", HOUR)]),
    key("unclean.leader.election.enable", Boolean, "false", Any, Honoured, &[("unclean.leader.election.enable", 1)]),
];

/// Finds a topic config.
pub(super) fn find_topic_key(name: &str) -> Option<&'static TopicKeyDef> {
    TOPIC_KEYS.binary_search_by(|def| def.key.name.cmp(name)).ok().map(|at| &TOPIC_KEYS[at])
}

/// Broker configs that were set at run time and are kept in the metadata.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DynamicConfigs {
    /// For all brokers.
    pub cluster: BTreeMap<String, String>,
    /// For this broker; wins.
    pub broker: BTreeMap<String, String>,
}

/// Judges the configs that a client sets on a topic, `(name, value)`, as CreateTopics does.
///
/// # Errors
/// The text that goes with `INVALID_CONFIG`.
pub fn validate_topic_configs<'a>(configs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<(), String> {
    let (mut nulls, mut values) = (vec![], BTreeMap::new());
    for (name, value) in configs {
        match value {
            Some(value) => drop(values.insert(name, value)),
            None => nulls.push(name),
        }
    }
    if !nulls.is_empty() {
        return Err(format!("Null value not supported for topic configs: {}", nulls.join(",")));
    }
    let lag = |name: &str| match values.get(name).map(|text| find_topic_key(name).expect("a topic config").key.parse(text)) {
        Some(Ok(Value::Int(lag))) => Some(lag),
        _ => None,
    };
    for (name, value) in &values {
        let Some(def) = find_topic_key(name) else { return Err(format!("Unknown topic config name: {name}")) };
        let parsed = def.key.parse(value).map_err(|error: InvalidValue| error.to_string())?;
        if let Status::Refused(reason) = def.key.status
            && Some(parsed) != def.key.default_value()
        {
            return Err(reason.to_owned());
        }
    }
    let (min, max) = (lag("min.compaction.lag.ms").unwrap_or(0), lag("max.compaction.lag.ms").unwrap_or(i64::MAX));
    if min > max {
        return Err(format!("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"));
    }
    Ok(())
}

/// What configs that a client sets on a topic will not do here; for the log, since a response has no place for it.
pub fn topic_config_warnings<'a>(configs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Vec<Warning> {
    let mut warnings = vec![];
    for (name, value) in configs {
        let (Some(def), Some(value)) = (find_topic_key(name), value) else { continue };
        let Ok(parsed) = def.key.parse(value) else { continue };
        if Some(&parsed) == def.key.default_value().as_ref() {
            continue;
        }
        let message = match def.key.status {
            Status::NotYet(reason) => format!("is not honoured: {reason}"),
            Status::NoEffect(reason) => format!("has no effect: {reason}"),
            Status::Honoured | Status::Refused(_) => continue,
        };
        warnings.push(Warning { key: name.to_owned(), message });
    }
    warnings
}

impl TopicKeyDef {
    /// The value that a topic inherits from the broker: the first synonym that is not null, in this config's unit.
    pub(super) fn inherited(&self, broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Value {
        for &(name, factor) in self.synonyms {
            let key = find(name).expect("a synonym is a broker key");
            let value = dynamic.get(key).or_else(|| broker.value(name));
            match value {
                // Kafka takes any negative retention for "for ever".
                Some(Value::Int(number)) if self.key.name == "retention.ms" && number < 0 => return Value::Int(-1),
                Some(Value::Int(number)) => return Value::Int(number.saturating_mul(factor)),
                Some(value) => return value,
                None => {}
            }
        }
        self.key.default_value().expect("topic configs have defaults")
    }
}

/// What `compression.type` asks of a produced batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// Stays as the producer sent it.
    Producer,
    /// Is stored with this codec.
    Codec(Codec),
}

/// Which replicas of a topic are replicated at no more than a set rate (KIP-73).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Throttled {
    /// All.
    All,
    /// These of partitions on brokers.
    These(BTreeSet<(PartitionIndex, BrokerId)>),
}

impl Throttled {
    /// Whether the replica of a partition on a broker is one.
    pub fn contains(&self, partition: PartitionIndex, broker: BrokerId) -> bool {
        match self {
            Self::All => true,
            Self::These(replicas) => replicas.contains(&(partition, broker)),
        }
    }
}

/// A topic's configs, resolved. Times are milliseconds, sizes bytes; names are Kafka's.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // the fields are the topic configs of the same name
pub struct TopicConfig {
    /// `cleanup.policy` names `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` names `compact`.
    pub cleanup_compact: bool,
    pub compression_type: CompressionType,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub follower_replication_throttled_replicas: Throttled,
    pub index_interval_bytes: u32,
    pub leader_replication_throttled_replicas: Throttled,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: u32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: usize,
    pub preallocate: bool,
    /// -1: no limit.
    pub retention_bytes: i64,
    /// -1: for ever.
    pub retention_ms: i64,
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
}

impl TopicConfig {
    /// The configs in force of a topic whose own are `topic`. A value of its own that does not parse (written by a newer version)
    /// counts as not set.
    pub fn resolve(broker: &BrokerConfig, dynamic: &DynamicConfigs, topic: &BTreeMap<String, String>) -> Self {
        let resolver = Resolver { broker, dynamic, topic };
        let policies = resolver.list("cleanup.policy");
        Self {
            cleanup_delete: policies.iter().any(|policy| policy == "delete"),
            cleanup_compact: policies.iter().any(|policy| policy == "compact"),
            compression_type: compression_type(&resolver.text("compression.type")),
            compression_gzip_level: resolver.int("compression.gzip.level") as i32,
            compression_lz4_level: resolver.int("compression.lz4.level") as i32,
            compression_zstd_level: resolver.int("compression.zstd.level") as i32,
            delete_retention_ms: resolver.int("delete.retention.ms"),
            file_delete_delay_ms: resolver.int("file.delete.delay.ms"),
            flush_messages: resolver.int("flush.messages"),
            flush_ms: resolver.int("flush.ms"),
            follower_replication_throttled_replicas: throttled(&resolver.list("follower.replication.throttled.replicas")),
            index_interval_bytes: resolver.int("index.interval.bytes") as u32,
            leader_replication_throttled_replicas: throttled(&resolver.list("leader.replication.throttled.replicas")),
            max_compaction_lag_ms: resolver.int("max.compaction.lag.ms"),
            max_message_bytes: resolver.int("max.message.bytes") as u32,
            message_timestamp_after_max_ms: resolver.int("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: resolver.int("message.timestamp.before.max.ms"),
            message_timestamp_type: match resolver.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: match resolver.value("min.cleanable.dirty.ratio") {
                Value::Double(ratio) => ratio,
                other => unreachable!("min.cleanable.dirty.ratio is {other:?}"),
            },
            min_compaction_lag_ms: resolver.int("min.compaction.lag.ms"),
            min_insync_replicas: resolver.int("min.insync.replicas") as usize,
            preallocate: resolver.bool("preallocate"),
            retention_bytes: resolver.int("retention.bytes"),
            retention_ms: resolver.int("retention.ms"),
            segment_bytes: resolver.int("segment.bytes") as u32,
            segment_index_bytes: resolver.int("segment.index.bytes") as u32,
            segment_jitter_ms: resolver.int("segment.jitter.ms"),
            segment_ms: resolver.int("segment.ms"),
            unclean_leader_election_enable: resolver.bool("unclean.leader.election.enable"),
        }
    }
}

/// Reads a list that the rule of its key has checked.
fn throttled(items: &[String]) -> Throttled {
    if items.iter().any(|item| item == "*") {
        return Throttled::All;
    }
    let pair = |item: &String| {
        let (partition, broker) = item.split_once(':')?;
        Some((PartitionIndex(partition.parse().ok()?), BrokerId(broker.parse().ok()?)))
    };
    Throttled::These(items.iter().filter_map(pair).collect())
}

fn compression_type(name: &str) -> CompressionType {
    let codec = match name {
        "uncompressed" => Codec::None,
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => return CompressionType::Producer,
    };
    CompressionType::Codec(codec)
}

struct Resolver<'a> {
    broker: &'a BrokerConfig,
    dynamic: &'a DynamicConfigs,
    topic: &'a BTreeMap<String, String>,
}

impl Resolver<'_> {
    fn value(&self, name: &str) -> Value {
        let def = find_topic_key(name).expect("a topic config");
        let own = self.topic.get(name).and_then(|text| def.key.parse(text).ok());
        own.unwrap_or_else(|| def.inherited(self.broker, self.dynamic))
    }

    fn int(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Int(value) => value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Bool(value) => value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    fn text(&self, name: &str) -> String {
        self.value(name).to_string()
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::List(items) => items,
            other => unreachable!("{name} is {other:?}"),
        }
    }
}
