//! What is set on topics, brokers and other resources, changed key by key or as a whole.
//!
//! Each resource fails or succeeds by itself and as a whole; all that succeed are one batch. What may be set on a broker is judged at
//! the edge, where the broker's own settings are known, as Kafka's brokers do before they ask the controller.

use super::image::{ConfigResource, MetadataImage};
use super::partition_change::has_elr;
use super::{Context, Decision, MAX_RECORDS_PER_BATCH, Refusal, Reply};
use crate::model::{ErrorCode, validate_topic_name};
use crate::protocol::generated::{ClearElrRecord, ConfigRecord};
use crate::protocol::{MetadataRecord, StrBytes};
use std::collections::BTreeMap;

/// Resource types in config records.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Subscriptions of client metrics, as a type of resource.
pub const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Most bytes of the config records of one decision: they are committed as one batch.
const MAX_BYTES: usize = 7 << 20;
/// Bytes of a config record beside its texts, generously.
const RECORD_OVERHEAD: usize = 64;
/// Most bytes of a value: older versions of DescribeConfigs could not tell a longer one.
const MAX_VALUE_BYTES: usize = i16::MAX as usize;

/// With this feature finalized, the in-sync replicas that a topic needs are the cluster's to say, for a topic and for all (KIP-966).
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// What becomes of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigOperation {
    /// It has this value.
    Set(String),
    /// It has none: what the resource inherits, or the default, is in force.
    Delete,
    /// These items, separated by commas, are added to the list if they are not in it.
    Append(String),
    /// These items are taken out of the list.
    Subtract(String),
}

impl ConfigOperation {
    /// What a key is set to afterwards. `list_default` is the default of a key whose type is LIST, which APPEND and SUBTRACT start from
    /// where nothing is set.
    ///
    /// # Errors
    /// The key is no list; the word is the operation's name.
    pub fn apply(&self, current: Option<&str>, list_default: Option<&str>) -> Result<Option<String>, &'static str> {
        match self {
            Self::Set(value) => Ok(Some(value.clone())),
            Self::Delete => Ok(None),
            Self::Append(more) => {
                let mut list = list(current, list_default.ok_or("APPEND")?);
                for item in items(more) {
                    if !list.contains(&item) {
                        list.push(item);
                    }
                }
                Ok(Some(list.join(",")))
            }
            Self::Subtract(less) => {
                let mut list = list(current, list_default.ok_or("SUBTRACT")?);
                for item in items(less) {
                    if let Some(at) = list.iter().position(|other| *other == item) {
                        list.remove(at);
                    }
                }
                Ok(Some(list.join(",")))
            }
        }
    }
}

/// What a list holds now.
fn list<'a>(current: Option<&'a str>, default: &'a str) -> Vec<&'a str> {
    items(current.unwrap_or(default)).filter(|item| !item.is_empty()).collect()
}

/// The items of a list, as Java splits it: nothing behind the last comma is no item, but nothing at all is one.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let trimmed = text.trim_end_matches(',');
    let is_nothing = trimmed.is_empty() && !text.is_empty();
    trimmed.split(',').filter(move |_| !is_nothing)
}

/// How a resource's configs change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigChange {
    /// Key by key (IncrementalAlterConfigs).
    Incremental(Vec<(String, ConfigOperation)>),
    /// These keys are set, and no others (AlterConfigs).
    Replace(Vec<(String, String)>),
}

/// A change of one resource. No resource is named twice in a command, and no key in a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAlteration {
    /// What is changed.
    pub resource: ConfigResource,
    /// How.
    pub change: ConfigChange,
}

impl ConfigAlteration {
    /// Things that it names.
    pub(super) fn size(&self) -> usize {
        1 + match &self.change {
            ConfigChange::Incremental(operations) => operations.len(),
            ConfigChange::Replace(configs) => configs.len(),
        }
    }
}

/// The default of a key of this resource whose type is LIST; `None` if it is no list.
pub type ListDefault<'a> = &'a dyn Fn(&ConfigResource, &str) -> Option<&'static str>;

/// Decides on IncrementalAlterConfigs and AlterConfigs.
pub(super) fn alter_configs(
    image: &MetadataImage,
    alterations: &[ConfigAlteration],
    validate_only: bool,
    context: &Context<'_>,
) -> Decision {
    let mut records: Vec<MetadataRecord> = vec![];
    let mut bytes = 0;
    let mut results = Vec::with_capacity(alterations.len());
    for alteration in alterations {
        let changed = alter(image, alteration, context);
        results.push(changed.map(|changed| {
            let of_texts = |record: &ConfigRecord| record.name.len() + record.value.as_ref().map_or(0, |value| value.len());
            let of_record = |r: &ConfigRecord| RECORD_OVERHEAD + r.resource_name.len() + of_texts(r);
            bytes += changed.iter().map(of_record).sum::<usize>();
            records.extend(changed.into_iter().map(MetadataRecord::from));
        }));
    }
    records.extend(clear_eligible(image, &records));
    let too_large = records.len() > MAX_RECORDS_PER_BATCH || bytes > MAX_BYTES;
    if too_large {
        let refusal = Refusal::new(ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation.");
        results = vec![Err(refusal); alterations.len()];
    }
    let nothing = too_large || validate_only || records.is_empty();
    Decision { batches: if nothing { vec![] } else { vec![records] }, reply: Reply::AlterConfigs(results) }
}

/// Who is eligible was counted against the old number of replicas that must be in sync; with another one, nobody is until the next change
/// of the ISR (KIP-966).
fn clear_eligible(image: &MetadataImage, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let cleared = records.iter().filter_map(|record| match record {
        MetadataRecord::Config(config) if &*config.name == MIN_INSYNC_REPLICAS && has_elr(image) => Some(config),
        _ => None,
    });
    let clear = |config: &ConfigRecord| {
        let topic_name = if config.resource_type == TOPIC { config.resource_name.clone() } else { StrBytes::EMPTY };
        MetadataRecord::from(ClearElrRecord { topic_name, ..ClearElrRecord::default() })
    };
    cleared.map(clear).collect()
}

fn alter(image: &MetadataImage, alteration: &ConfigAlteration, context: &Context<'_>) -> Result<Vec<ConfigRecord>, Refusal> {
    let resource = &alteration.resource;
    let current = image.configs(resource).cloned().unwrap_or_default();
    let mut all: BTreeMap<&str, String> = current.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut records = vec![];
    let mut put = |name: &str, value: Option<String>| -> Result<(), Refusal> {
        // An unchanged value is written for a broker all the same, as in Kafka: it makes the broker look again.
        if current.get(name) != value.as_ref() || matches!(resource, ConfigResource::Broker(_)) {
            check_value(image, resource, name, value.as_deref())?;
            records.push(record(resource, name, value.as_deref()));
        }
        Ok(())
    };
    match &alteration.change {
        ConfigChange::Incremental(operations) => {
            for (name, operation) in operations {
                let list_default = (context.list_default)(resource, name);
                let value = operation.apply(current.get(name).map(String::as_str), list_default).map_err(|what| {
                    let text = format!("Can't {what} to key {name} because its type is not LIST.");
                    Refusal::new(ErrorCode::InvalidConfig, text)
                })?;
                put(name, value.clone())?;
                match value {
                    Some(value) => drop(all.insert(name, value)),
                    None => drop(all.remove(name.as_str())),
                }
            }
        }
        ConfigChange::Replace(configs) => {
            let new: BTreeMap<&str, String> = configs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            for (name, value) in &new {
                put(name, Some(value.clone()))?;
            }
            for name in all.keys().filter(|name| !new.contains_key(*name)) {
                put(name, None)?;
            }
            all = new;
        }
    }
    check_resource(image, resource, &all, &records, context)?;
    Ok(records)
}

fn check_value(image: &MetadataImage, resource: &ConfigResource, name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidConfig, text));
    if value.is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
        return invalid(format!(
            "The configuration value cannot be added because it exceeds the maximum value size of {MAX_VALUE_BYTES} bytes."
        ));
    }
    if name == MIN_INSYNC_REPLICAS && has_elr(image) {
        match resource {
            ConfigResource::Broker(Some(_)) => {
                return invalid("Broker-level min.insync.replicas cannot be altered while ELR is enabled.".to_owned());
            }
            ConfigResource::Broker(None) if value.is_none() => {
                return invalid("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Judges everything that would then be set on a resource, and whether there is one.
fn check_resource(
    image: &MetadataImage,
    resource: &ConfigResource,
    all: &BTreeMap<&str, String>,
    records: &[ConfigRecord],
    context: &Context<'_>,
) -> Result<(), Refusal> {
    let refuse = |code, text: String| Err(Refusal::new(code, text));
    match resource {
        ConfigResource::Topic(name) => {
            if name.is_empty() {
                return refuse(ErrorCode::InvalidRequest, "Default topic resources are not allowed.".to_owned());
            }
            if let Err(reason) = validate_topic_name(name) {
                return refuse(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}"));
            }
            let configs: Vec<(&str, Option<&str>)> = all.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
            (context.judge_configs)(&configs).map_err(|text| Refusal::new(ErrorCode::InvalidConfig, text))?;
            match image.topic_by_name(name) {
                Some(_) => Ok(()),
                None => refuse(ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist.")),
            }
        }
        ConfigResource::Broker(Some(id)) if image.broker(*id).is_none() => {
            refuse(ErrorCode::BrokerIdNotRegistered, format!("No node with id {id} found."))
        }
        ConfigResource::Broker(_) => Ok(()),
        ConfigResource::Other(CLIENT_METRICS, name) => {
            if name.is_empty() {
                return refuse(ErrorCode::InvalidRequest, "Subscription name can't be empty".to_owned());
            }
            let configs: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
            (context.judge_subscription)(&configs).map_err(|(code, text)| Refusal::new(code, text))
        }
        // Only groups of protocols that are not served yet would obey these: no key of them is known. What another controller has
        // written can be deleted.
        ConfigResource::Other(GROUP, name) => {
            if name.is_empty() {
                return refuse(ErrorCode::InvalidRequest, "Default group resources are not allowed.".to_owned());
            }
            match records.iter().find(|record| record.value.is_some()) {
                Some(set) => refuse(ErrorCode::InvalidConfig, format!("Unknown group config name: {}", set.name)),
                None => Ok(()),
            }
        }
        ConfigResource::Other(other, _) => refuse(ErrorCode::InvalidRequest, format!("Unknown resource type {other}")),
    }
}

/// The record that sets or deletes (`None`) one key.
pub(super) fn record(resource: &ConfigResource, name: &str, value: Option<&str>) -> ConfigRecord {
    let (resource_type, resource_name) = match resource {
        ConfigResource::Topic(name) => (TOPIC, name.to_string()),
        ConfigResource::Broker(id) => (BROKER, id.map(|id| id.to_string()).unwrap_or_default()),
        ConfigResource::Other(kind, name) => (*kind, name.to_string()),
    };
    ConfigRecord {
        resource_type,
        resource_name: resource_name.into(),
        name: name.into(),
        value: value.map(Into::into),
        ..ConfigRecord::default()
    }
}
