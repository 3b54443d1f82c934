//! Subscriptions of client metrics (KIP-714): what clients are asked to report, how often, and which of them.
//!
//! They take effect in a broker that has somewhere to send what clients report, which in Apache Kafka is a plugin. Without one, there
//! as here, subscriptions are judged, kept and described, and clients are not told that there are any.

use super::describe::{ConfigEntry, ConfigSource, ConfigSynonym};
use super::key::Kind::{Int, List};
use super::key::Rule::{Any, Distinct};
use super::key::{KeyDef, Kind, Rule, Status, Value};
use crate::model::ErrorCode;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

const RECEIVER: Status = Status::NoEffect("nothing receives what clients would report");

const fn key(name: &'static str, kind: Kind, default: &'static str, rule: Rule) -> KeyDef {
    KeyDef { name, kind, default: Some(default), rule, status: RECEIVER }
}

/// Keys of a subscription, by name.
pub static CLIENT_METRICS_KEYS: &[KeyDef] =
    &[key("interval.ms", Int, "300000", Any), key("match", List, "", Distinct), key("metrics", List, "", Distinct)];

/// What `interval.ms` may be.
const INTERVALS_MS: RangeInclusive<i64> = 100..=3_600_000;

/// What an item of `match` may be about.
const SELECTORS: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

fn find(name: &str) -> Option<&'static KeyDef> {
    CLIENT_METRICS_KEYS.iter().find(|key| key.name == name)
}

/// The default of a key whose type is LIST, to which APPEND and SUBTRACT add; `None` if it is no list.
pub fn client_metrics_list_default(name: &str) -> Option<&'static str> {
    find(name).filter(|key| key.kind == Kind::List).and_then(|key| key.default)
}

/// Judges everything that would then be set on a subscription. The expressions of `match` are not read: nothing is matched with them.
///
/// # Errors
/// The code and the text that go with it.
pub fn validate_client_metrics(configs: &[(&str, &str)]) -> Result<(), (ErrorCode, String)> {
    let mut values = BTreeMap::new();
    for (name, text) in configs {
        let unknown = || (ErrorCode::InvalidRequest, format!("Unknown client metrics configuration: {name}"));
        values.insert(*name, (find(name).ok_or_else(unknown)?, *text));
    }
    let parse = |(key, text): &(&KeyDef, &str)| key.parse(text).map_err(|error| (ErrorCode::InvalidConfig, error.to_string()));
    let values: Vec<Value> = values.values().map(parse).collect::<Result<_, _>>()?;
    for value in &values {
        match value {
            Value::Int(interval) if !INTERVALS_MS.contains(interval) => {
                let text = format!("Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)");
                return Err((ErrorCode::InvalidRequest, text));
            }
            _ => {}
        }
    }
    let patterns = configs.iter().find(|(name, _)| *name == "match").map(|(_, text)| *text).unwrap_or_default();
    for pattern in patterns.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        if !is_pattern(pattern) {
            return Err((ErrorCode::InvalidConfig, format!("Illegal client matching pattern: {pattern}")));
        }
    }
    Ok(())
}

/// A selector, an equals sign, and an expression without one.
fn is_pattern(pattern: &str) -> bool {
    let mut parts: Vec<&str> = pattern.split('=').collect();
    // As Java splits: nothing behind the last sign is no part.
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    matches!(parts[..], [selector, _] if SELECTORS.contains(&selector.trim()))
}

/// All configs of a subscription on which `set` was set. Any name has the defaults.
pub fn describe_client_metrics(set: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    let entry = |key: &KeyDef| {
        let own = set.get(key.name).and_then(|text| key.parse(text).ok());
        let value = own.clone().or_else(|| key.default_value()).map(|value| value.to_string());
        let synonym =
            own.map(|_| ConfigSynonym { name: key.name.to_owned(), value: value.clone(), source: ConfigSource::ClientMetrics });
        ConfigEntry {
            name: key.name,
            source: synonym.as_ref().map_or(ConfigSource::Default, |synonym| synonym.source),
            value,
            synonyms: synonym.into_iter().collect(),
            kind: key.kind,
            is_sensitive: false,
            read_only: false,
        }
    };
    CLIENT_METRICS_KEYS.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_judged_in_kafkas_words() {
        use ErrorCode::{InvalidConfig, InvalidRequest};
        let good: [&[(&str, &str)]; 4] = [
            &[],
            &[("interval.ms", "100"), ("metrics", "*"), ("match", "")],
            &[("interval.ms", " 3600000 "), ("metrics", "org.apache.kafka.producer., org.apache.kafka.consumer.")],
            &[("match", "client_id=a.*, client_software_version = 3\\.[0-9]+,client_source_port=1=")],
        ];
        for good in good {
            assert_eq!(validate_client_metrics(good), Ok(()), "{good:?}");
        }
        let outside = "interval must be between 100 and 3600000 (1 hour)";
        for (name, value, code, text) in [
            ("retention.ms", "1", InvalidRequest, "Unknown client metrics configuration: retention.ms"),
            ("interval.ms", "99", InvalidRequest, &*format!("Invalid value 99 for interval.ms, {outside}")),
            ("interval.ms", "3600001", InvalidRequest, outside),
            ("interval.ms", "soon", InvalidConfig, "Invalid value soon for configuration interval.ms: Not a number of type INT"),
            ("match", "client_id", InvalidConfig, "Illegal client matching pattern: client_id"),
            ("match", "client_id=a=b", InvalidConfig, "Illegal client matching pattern"),
            ("match", "client_id=a,color=red", InvalidConfig, "Illegal client matching pattern: color=red"),
            ("metrics", "a,,b", InvalidConfig, "must not be empty"),
            ("metrics", "a,a", InvalidConfig, "must not be duplicated"),
        ] {
            let (told, said) = validate_client_metrics(&[(name, value)]).unwrap_err();
            assert!(told == code && said.contains(text), "{name}={value}: {told:?} {said}");
        }
    }

    #[test]
    fn what_is_not_set_has_its_default_and_no_synonym() {
        let set = BTreeMap::from([("interval.ms".to_owned(), " 500".to_owned())]);
        let described = describe_client_metrics(&set);
        let told: Vec<_> = described.iter().map(|e| (e.name, e.value.as_deref(), e.source as i8, e.synonyms.len())).collect();
        assert_eq!(told, [("interval.ms", Some("500"), 7, 1), ("match", Some(""), 5, 0), ("metrics", Some(""), 5, 0)]);
        assert_eq!((client_metrics_list_default("metrics"), client_metrics_list_default("interval.ms")), (Some(""), None));
    }
}
