//! Settings: `server.properties` and topic configs, under Kafka's names.
//!
//! A setting that is read, accepted and not obeyed is worse than one that is refused: the operator believes in a retention, a limit or
//! a lock that is not there. So every key that Kafka 4.2 knows is in one table ([`BROKER_KEYS`]) with type, default, range and a word on
//! what this broker does about it ([`Status`]); a key that is set to something else than its default and is not honoured gives a
//! warning, or a refusal to start where going on would be unsafe. An unknown key gives a warning, as in Kafka.
//!
//! - [`BrokerConfig::load`] turns a file ([`parse_properties`]) and `--override`s into checked values and warnings; with no file it is a
//!   working single broker. Read values by its methods, once, at start: they look up a map.
//! - A node of a cluster says by `process.roles` what it is; [`BrokerConfig::process_roles`], [`BrokerConfig::quorum_voters`] and the rules
//!   of roles, listeners and voters are in `roles`.
//! - [`TOPIC_KEYS`] are the topic configs with the broker keys that they inherit from; [`TopicConfig::resolve`] gives typed values,
//!   [`validate_topic_configs`] judges what a client sets.
//! - [`validate_dynamic`] judges what a client sets on a broker while it runs, [`LiveConfig`] is what of that is in force.
//! - [`describe_broker`], [`describe_cluster`] and [`describe_topic`] give what DescribeConfigs shows: value, source, synonyms.
//! - [`CLIENT_METRICS_KEYS`] are the configs of subscriptions of client metrics, which are kept and described, see `client_metrics`.

mod addresses;
mod broker;
mod client_metrics;
mod describe;
mod dynamic;
mod getters;
mod key;
mod keys;
mod listener;
mod properties;
mod roles;
#[cfg(test)]
mod tests;
mod topic;
mod voters;

pub use broker::{BrokerConfig, Warning};
pub use client_metrics::{CLIENT_METRICS_KEYS, client_metrics_list_default, describe_client_metrics, validate_client_metrics};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym, describe_broker, describe_cluster, describe_topic};
pub use dynamic::{LiveConfig, broker_list_default, dynamic_config_warning, is_dynamic, topic_list_default, validate_dynamic};
pub use key::{InvalidValue, KeyDef, Kind, Rule, Status, Value};
pub use keys::{BROKER_KEYS, HIDDEN_KEYS};
pub use listener::{Listener, ListenerLimits, SecurityProtocol};
pub use properties::{PropertiesError, parse_properties};
pub use topic::{
    CompressionType, DynamicConfigs, TOPIC_KEYS, Throttled, TopicConfig, TopicKeyDef, topic_config_warnings,
    validate_topic_configs,
};
pub use voters::{ProcessRoles, QuorumVoter, parse_servers};

/// Why the broker does not start with these settings; the text says which one and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not a properties file.
    #[error("server.properties: {0}")]
    Syntax(#[from] PropertiesError),
    /// A value of the wrong type or range.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// A key that this broker cannot honour and must not ignore.
    #[error("{key}={value} is refused: {reason}")]
    Refused {
        /// The key.
        key: String,
        /// What it was set to; secrets are left out.
        value: String,
        /// Why.
        reason: String,
    },
    /// A listener or a map of listeners.
    #[error("invalid listener {value:?} in {key}: {reason}")]
    Listener {
        /// The key.
        key: String,
        /// The item.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// Two settings that do not go together, or one that is missing.
    #[error("{0}")]
    Conflict(String),
    /// Several of these.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<ConfigError>),
}
