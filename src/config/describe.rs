//! What DescribeConfigs shows of a key: the value in force, where it comes from, and everything that could have given it.

use super::broker::BrokerConfig;
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
        synonyms.extend(broker_synonyms(first, &names, broker, dynamic));
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

/// All public configs of this broker.
pub fn describe_broker(broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Vec<ConfigEntry> {
    BrokerConfig::keys().map(|key| describe_broker_key(key, broker, dynamic)).collect()
}

fn describe_broker_key(key: &'static KeyDef, broker: &BrokerConfig, dynamic: &DynamicConfigs) -> ConfigEntry {
    let synonyms = broker_synonyms(key.name, unit_synonyms(key.name), broker, dynamic);
    let dynamic_value = [&dynamic.broker, &dynamic.cluster].into_iter().find_map(|configs| configs.get(key.name));
    let value = dynamic_value.and_then(|text| key.parse(text).ok()).or_else(|| broker.value(key.name));
    let value = match key.name {
        // Either name of the node's id answers for both, as in Kafka.
        "node.id" | "broker.id" => Some(broker.node_id().to_string()),
        _ => value.map(|value| value.to_string()),
    };
    ConfigEntry {
        name: key.name,
        value: value.filter(|_| !key.is_sensitive()),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        synonyms,
        kind: key.kind,
        is_sensitive: key.is_sensitive(),
        // Nothing changes broker configs at run time yet, whatever Kafka allows.
        read_only: true,
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

/// What was set under any of `names`, strongest source first, and the default of `name`. (Kafka lists no other default.)
fn broker_synonyms(name: &str, names: &[&str], broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Vec<ConfigSynonym> {
    let names = if names.is_empty() { &[name] } else { names };
    let key = find(name).expect("a broker key");
    let shown = |text: &str| (!key.is_sensitive()).then(|| text.to_owned());
    let mut synonyms = vec![];
    let mut add = |name: &str, text: Option<&str>, source: ConfigSource| {
        if let Some(text) = text {
            synonyms.push(ConfigSynonym { name: name.to_owned(), value: shown(text), source });
        }
    };
    names.iter().for_each(|n| add(n, dynamic.broker.get(*n).map(String::as_str), ConfigSource::DynamicBroker));
    names.iter().for_each(|n| add(n, dynamic.cluster.get(*n).map(String::as_str), ConfigSource::DynamicDefaultBroker));
    names.iter().for_each(|n| add(n, broker.explicit(n), ConfigSource::StaticBroker));
    add(name, key.default, ConfigSource::Default);
    synonyms
}
