//! What DescribeConfigs shows of a key: the value in force, where it comes from, and everything that could have given it.

use super::broker::BrokerConfig;
use super::dynamic::{RUN_TIME_ONLY, find_dynamic, is_dynamic};
use super::key::{KeyDef, Kind};
use super::keys::find;
use super::topic::{DynamicConfigs, TOPIC_KEYS, TopicKeyDef};
use std::collections::BTreeMap;

/// Where a value comes from; the numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set on this broker at run time.
    DynamicBroker = 2,
    /// Set on all brokers at run time.
    DynamicDefaultBroker = 3,
    /// From `server.properties` or an override.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
    /// Level of a broker's logger.
    DynamicBrokerLogger = 6,
    /// Set on a subscription of client metrics.
    ClientMetrics = 7,
}

/// A key that could give the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it is secret.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: ConfigSource,
}

/// One key of a topic or broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Its name.
    pub name: &'static str,
    /// The value in force; `None` is null, or secret.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: ConfigSource,
    /// Everything that could have given it, the one that did first.
    pub synonyms: Vec<ConfigSynonym>,
    /// Type.
    pub kind: Kind,
    /// Whether the value is kept secret.
    pub is_sensitive: bool,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
}

/// All configs of a topic whose own are `topic`.
pub fn describe_topic(broker: &BrokerConfig, dynamic: &DynamicConfigs, topic: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    TOPIC_KEYS.iter().map(|def| describe_topic_key(def, broker, dynamic, topic.get(def.key.name))).collect()
}

fn describe_topic_key(def: &TopicKeyDef, broker: &BrokerConfig, dynamic: &DynamicConfigs, own: Option<&String>) -> ConfigEntry {
    let mut synonyms = vec![];
    let own = own.and_then(|text| def.key.parse(text).ok());
    if let Some(value) = &own {
        let name = def.key.name.to_owned();
        synonyms.push(ConfigSynonym { name, value: Some(value.to_string()), source: ConfigSource::Topic });
    }
    if let Some(&(first, _)) = def.synonyms.first() {
        let names: Vec<&str> = def.synonyms.iter().map(|(name, _)| *name).collect();
        let key = find(first).expect("a broker key");
        synonyms.extend(broker_synonyms(key, &names, broker, dynamic));
    }
    ConfigEntry {
        name: def.key.name,
        value: Some(own.unwrap_or_else(|| def.inherited(broker, dynamic)).to_string()),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        synonyms,
        kind: def.key.kind,
        is_sensitive: false,
        read_only: false,
    }
}

/// All public configs of this broker; those that no file may set only while they are set.
pub fn describe_broker(broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Vec<ConfigEntry> {
    let of_run_time = RUN_TIME_ONLY.iter().filter(|key| dynamic.get(key).is_some());
    BrokerConfig::keys().chain(of_run_time).map(|key| describe_broker_key(key, broker, dynamic)).collect()
}

fn describe_broker_key(key: &'static KeyDef, broker: &BrokerConfig, dynamic: &DynamicConfigs) -> ConfigEntry {
    let value = dynamic.get(key).or_else(|| broker.value(key.name));
    let value = match key.name {
        // Either name of the node's id answers for both, as in Kafka.
        "node.id" | "broker.id" => Some(broker.node_id().to_string()),
        _ => value.map(|value| value.to_string()),
    };
    broker_entry(key, value, broker_synonyms(key, unit_synonyms(key.name), broker, dynamic))
}

/// What was set for all brokers at run time.
pub fn describe_cluster(broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Vec<ConfigEntry> {
    let set = dynamic.cluster.iter().filter_map(|(name, value)| Some((find_dynamic(name)?, value)));
    let entry = |(key, value): (&'static KeyDef, &String)| {
        let mut synonyms = broker_synonyms(key, unit_synonyms(key.name), broker, dynamic);
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        broker_entry(key, Some(value.clone()), synonyms)
    };
    set.map(entry).collect()
}

fn broker_entry(key: &'static KeyDef, value: Option<String>, synonyms: Vec<ConfigSynonym>) -> ConfigEntry {
    ConfigEntry {
        name: key.name,
        value: value.filter(|_| !key.is_sensitive()),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        synonyms,
        kind: key.kind,
        is_sensitive: key.is_sensitive(),
        read_only: !is_dynamic(key.name),
    }
}

/// Groups of keys that say the same in several units, finest first.
fn unit_synonyms(name: &'static str) -> &'static [&'static str] {
    const GROUPS: &[&[&str]] = &[
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    ];
    match GROUPS.iter().find(|group| group.contains(&name)) {
        Some(group) => group,
        None => &[],
    }
}

/// What was set under any of `names`, and their defaults, strongest source first. As in Kafka, what stands before the first that has
/// the name of `key` itself is left out.
fn broker_synonyms(key: &KeyDef, names: &[&str], broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Vec<ConfigSynonym> {
    let names = if names.is_empty() { &[key.name] } else { names };
    let set = |configs: &BTreeMap<String, String>, name: &str| configs.get(name).cloned();
    let mut synonyms = vec![];
    let mut add = |source: ConfigSource, value: &dyn Fn(&str) -> Option<String>| {
        let synonym = |name: &&str| {
            let value = value(name)?;
            Some(ConfigSynonym { name: (*name).to_owned(), value: (!key.is_sensitive()).then_some(value), source })
        };
        synonyms.extend(names.iter().filter_map(synonym));
    };
    add(ConfigSource::DynamicBroker, &|name| set(&dynamic.broker, name));
    add(ConfigSource::DynamicDefaultBroker, &|name| set(&dynamic.cluster, name));
    add(ConfigSource::StaticBroker, &|name| broker.explicit(name).map(str::to_owned));
    add(ConfigSource::Default, &|name| find(name).and_then(|key| key.default).map(str::to_owned));
    synonyms.into_iter().skip_while(|synonym| synonym.name != key.name).collect()
}
