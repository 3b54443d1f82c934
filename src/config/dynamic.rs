//! Broker configs that change while the broker runs (KIP-226): which keys may, at which level, and what is wrong with a change.
//!
//! A change is judged by everything that would then be set at its level, as in Kafka, and what is wrong with it is told with
//! `INVALID_REQUEST`. Two things are stricter than Kafka, since an operator who is told "done" has to find it done: keys that nobody
//! knows are refused (Kafka keeps them for its plugins; there are none here), and so are keys that this broker would not obey.

use super::addresses::parse_address_counts;
use super::broker::BrokerConfig;
use super::key::Kind::Long;
use super::key::Rule::Min;
use super::key::{KeyDef, Kind, Status, Value};
use super::keys::find;
use super::listener::{LISTENER_PREFIX, ListenerLimits, creation_rate, limit_of_listener};
use super::topic::{DynamicConfigs, TOPIC_KEYS};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Keys that may be set for one broker or for all of them, beside those that topics inherit.
#[rustfmt::skip]
const CLUSTER_WIDE: &[&str] = &[
    "background.threads", "config.providers", "log.cleaner.backoff.ms", "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor", "log.cleaner.io.buffer.size", "log.cleaner.io.max.bytes.per.second", "log.cleaner.threads",
    "max.connection.creation.rate", "max.connections", "max.connections.per.ip", "max.connections.per.ip.overrides",
    "metric.reporters", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers",
    "producer.id.expiration.ms", "remote.fetch.max.wait.ms", "remote.list.offsets.request.timeout.ms",
    "remote.log.index.file.cache.total.size.bytes", "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.copy.max.bytes.per.second", "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.fetch.max.bytes.per.second", "remote.log.manager.follower.thread.pool.size", "remote.log.reader.threads",
    "transaction.partition.verification.enable",
];

/// Keys that may be set for one broker only.
#[rustfmt::skip]
const PER_BROKER: &[&str] = &[
    "listener.security.protocol.map", "listeners", "principal.builder.class", "sasl.enabled.mechanisms", "sasl.jaas.config",
    "sasl.kerberos.kinit.cmd", "sasl.kerberos.min.time.before.relogin", "sasl.kerberos.principal.to.local.rules",
    "sasl.kerberos.service.name", "sasl.kerberos.ticket.renew.jitter", "sasl.kerberos.ticket.renew.window.factor",
    "sasl.login.refresh.buffer.seconds", "sasl.login.refresh.min.period.seconds", "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter", "sasl.mechanism.inter.broker.protocol", "ssl.cipher.suites", "ssl.client.auth",
    "ssl.enabled.protocols", "ssl.endpoint.identification.algorithm", "ssl.engine.factory.class", "ssl.keymanager.algorithm",
    "ssl.protocol", "ssl.provider", "ssl.secure.random.implementation", "ssl.trustmanager.algorithm",
];

/// Keys that may be set for one listener of one broker only, by `listener.name.<name>.<key>`.
#[rustfmt::skip]
const PER_LISTENER: &[&str] = &[
    "ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password",
    "ssl.keystore.type", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type",
];

/// Sizes of thread pools, which Kafka lets at most double or halve at once.
const THREAD_POOLS: &[&str] =
    &["background.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers"];

/// Keys that change at run time in Kafka, and here only with the next start.
const AT_THE_START_ONLY: &[&str] = &["listener.security.protocol.map", "listeners"];

/// Keys that [`LiveConfig`] holds.
#[cfg(test)]
#[rustfmt::skip]
pub(super) const LIVE_KEYS: &[&str] = &[
    "log.cleaner.backoff.ms", "log.cleaner.dedupe.buffer.size", "log.cleaner.io.buffer.load.factor", "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second", "max.connection.creation.rate", "max.connections", "max.connections.per.ip",
    "max.connections.per.ip.overrides", "producer.id.expiration.ms",
];

const fn throttle(name: &'static str) -> KeyDef {
    KeyDef { name, kind: Long, default: Some("9223372036854775807"), rule: Min(0), status: Status::Honoured }
}

/// Keys that stand in no file: they can only be set at run time.
pub(super) static RUN_TIME_ONLY: &[KeyDef] = &[
    throttle("follower.replication.throttled.rate"),
    throttle("leader.replication.throttled.rate"),
    throttle("replica.alter.log.dirs.io.max.bytes.per.second"),
];

/// Whether a broker key may change while the broker runs, as Kafka says it.
pub fn is_dynamic(name: &str) -> bool {
    let is_inherited = || TOPIC_KEYS.iter().any(|def| def.synonyms.first().is_some_and(|(first, _)| *first == name));
    CLUSTER_WIDE.contains(&name) || PER_BROKER.contains(&name) || PER_LISTENER.contains(&name) || is_inherited()
}

/// Finds a broker key that may be set at run time.
pub(super) fn find_dynamic(name: &str) -> Option<&'static KeyDef> {
    RUN_TIME_ONLY.iter().find(|key| key.name == name).or_else(|| find(name).filter(|key| is_dynamic(key.name)))
}

/// Finds any broker key.
fn find_any(name: &str) -> Option<&'static KeyDef> {
    find_dynamic(name).or_else(|| find(name))
}

/// The default of a broker key whose type is LIST, to which APPEND and SUBTRACT add; `None` if it is no list.
pub fn broker_list_default(name: &str) -> Option<&'static str> {
    find_any(name).filter(|key| key.kind == Kind::List).map(|key| key.default.unwrap_or_default())
}

/// The same of a topic config.
pub fn topic_list_default(name: &str) -> Option<&'static str> {
    let def = super::topic::find_topic_key(name).filter(|def| def.key.kind == Kind::List)?;
    Some(def.key.default.unwrap_or_default())
}

/// Judges `configs`, everything that would then be set for this broker (`per_broker`) or for all. `dynamic` is what is set now.
///
/// # Errors
/// What is wrong, in Kafka's words where it has some.
pub fn validate_dynamic(
    broker: &BrokerConfig,
    dynamic: &DynamicConfigs,
    configs: &BTreeMap<String, String>,
    per_broker: bool,
) -> Result<(), String> {
    let now = if per_broker { &dynamic.broker } else { &dynamic.cluster };
    // What is set already, by another version of this broker or another controller, must not be in the way of everything else.
    let new: Vec<(&str, &str)> = configs
        .iter()
        .filter(|(name, text)| now.get(*name) != Some(*text))
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let refuse = |what: &str, is_wrong: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = new.iter().map(|(name, _)| *name).filter(|name| is_wrong(name)).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("{what}: Set({})", names.join(", "))) }
    };
    refuse("Cannot update these configs dynamically", &|name| find(name).is_some() && !is_dynamic(name))?;
    let what = "These security configs can be dynamically updated only per-listener using the listener prefix";
    refuse(what, &|name| PER_LISTENER.contains(&name))?;
    let mut values = BTreeMap::new();
    for (name, text) in &new {
        if let Some(key) = find_any(name).or_else(|| limit_of_listener(name).map(|(_, key)| key)) {
            values.insert(*name, key.parse(text).map_err(|error| error.to_string())?);
        }
    }
    let what = "Cannot update these configs at default cluster level, broker id must be specified";
    refuse(what, &|name| !per_broker && (PER_BROKER.contains(&name) || name.starts_with(LISTENER_PREFIX)))?;
    new.iter().try_for_each(|(name, _)| judge_new(broker, dynamic, name, values.get(name)))?;
    let in_force = |name: &str| dynamic.value(broker, name).map(|value| value.to_string()).unwrap_or_default();
    check_connections_per_ip(&|name| configs.get(name).cloned().unwrap_or_else(|| in_force(name)))
}

/// No connections from anywhere make sense only if there are exceptions. `value` is what would be in force.
pub(super) fn check_connections_per_ip(value: &dyn Fn(&str) -> String) -> Result<(), String> {
    let (limit, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    if value(limit).trim() == "0" && value(overrides).trim().is_empty() {
        return Err(format!("{limit} can be set to zero only if {overrides} property is set."));
    }
    Ok(())
}

/// Judges a value that changes.
fn judge_new(broker: &BrokerConfig, dynamic: &DynamicConfigs, name: &str, value: Option<&Value>) -> Result<(), String> {
    if limit_of_listener(name).is_some() {
        return Ok(());
    }
    let (Some(key), Some(value)) = (find_any(name), value) else {
        return Err(match name.starts_with(LISTENER_PREFIX) {
            true => format!("{name} cannot be set: settings of single listeners are not honoured yet"),
            false => format!("{name} is no key that this broker knows"),
        });
    };
    if AT_THE_START_ONLY.contains(&name) {
        return Err(format!("{name} cannot change while this broker runs: it is taken into use at its start"));
    }
    let in_force = dynamic.value(broker, name);
    if let (Some(Value::Int(now)), Value::Int(new)) = (&in_force, value)
        && THREAD_POOLS.contains(&name)
    {
        let failed = format!("Dynamic thread count update validation failed for {name}={new}");
        if *new < now / 2 {
            return Err(format!("{failed}, value should be at least half the current value {now}"));
        }
        if *new > now * 2 {
            return Err(format!("{failed}, value should not be greater than double the current value {now}"));
        }
    }
    if name == "log.retention.ms" && *value == Value::Int(0) {
        return Err("log.retention.ms must be unlimited (-1) or, equal or greater than 1".to_owned());
    }
    // Setting what is so anyway pretends nothing.
    if DynamicConfigs::default().value(broker, name).as_ref() == Some(value) {
        return Ok(());
    }
    match key.status {
        Status::Honoured | Status::NoEffect(_) => Ok(()),
        Status::NotYet(why) => Err(format!("{name} is not honoured: {why}")),
        Status::Refused(why) => Err(format!("{name} is refused: {why}")),
    }
}

/// Why setting a key at run time does nothing, if so; for the log.
pub fn dynamic_config_warning(name: &str, value: &str) -> Option<&'static str> {
    let key = find_dynamic(name)?;
    match key.status {
        Status::NoEffect(why) if key.parse(value).ok() != key.default_value() => Some(why),
        _ => None,
    }
}

impl DynamicConfigs {
    /// What was set under `name`, if it can be read: what another controller has accepted may be beyond us.
    pub(super) fn get(&self, key: &KeyDef) -> Option<Value> {
        let set = [&self.broker, &self.cluster].into_iter().find_map(|configs| configs.get(key.name));
        set.and_then(|text| key.parse(text).ok())
    }

    /// The value in force of a broker key: what was set at run time, else what the file says, else the default.
    fn value(&self, broker: &BrokerConfig, name: &str) -> Option<Value> {
        let key = find_any(name)?;
        let fixed = || find(name).map_or_else(|| key.default_value(), |_| broker.value(name));
        self.get(key).or_else(fixed)
    }
}

/// The broker's own settings that may change while it runs, as they are in force. Those that topics inherit are in
/// [`super::TopicConfig`].
#[derive(Clone, PartialEq, Debug)]
pub struct LiveConfig {
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`, for addresses without a number of their own.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_connections_per_ip_overrides: Arc<BTreeMap<IpAddr, usize>>,
    /// `max.connection.creation.rate`, in connections per second; `None`: as fast as they come.
    pub max_connection_creation_rate: Option<u32>,
    /// Limits of single listeners, by their names in small letters.
    pub listener_limits: Arc<BTreeMap<String, ListenerLimits>>,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, of all cores together.
    pub log_cleaner_dedupe_buffer_size: usize,
    /// `log.cleaner.io.buffer.load.factor`.
    pub log_cleaner_io_buffer_load_factor: f64,
    /// `log.cleaner.io.buffer.size`, of all cores together.
    pub log_cleaner_io_buffer_size: usize,
    /// `log.cleaner.io.max.bytes.per.second`, of all cores together.
    pub log_cleaner_io_max_bytes_per_second: f64,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`: what may be copied between log dirs.
    pub alter_log_dirs_bytes_per_second: u64,
    /// `leader.replication.throttled.rate`: what followers may fetch from here of throttled replicas.
    pub leader_replication_bytes_per_second: u64,
    /// `follower.replication.throttled.rate`: what may be fetched for throttled replicas here.
    pub follower_replication_bytes_per_second: u64,
}

impl LiveConfig {
    /// Resolves them.
    pub fn resolve(broker: &BrokerConfig, dynamic: &DynamicConfigs) -> Self {
        let int = |name: &str| match dynamic.value(broker, name) {
            Some(Value::Int(value)) => value,
            other => unreachable!("{name} is {other:?}"),
        };
        let count = |name: &str| usize::try_from(int(name)).unwrap_or(0);
        let rate = |name: &str| u64::try_from(int(name)).expect("the rule of the key excludes negative numbers");
        let double = |name: &str| match dynamic.value(broker, name) {
            Some(Value::Double(value)) => value,
            other => unreachable!("{name} is {other:?}"),
        };
        let overrides = match dynamic.value(broker, "max.connections.per.ip.overrides") {
            Some(Value::Text(text)) => parse_address_counts(&text).expect("the rule of the key has read it"),
            other => unreachable!("max.connections.per.ip.overrides is {other:?}"),
        };
        let mut listener_limits = broker.listener_limits.clone();
        for (name, text) in &dynamic.broker {
            if let Some((listener, key)) = limit_of_listener(name)
                && let Ok(value) = key.parse(text)
            {
                listener_limits.entry(listener.to_ascii_lowercase()).or_default().set(key, &value);
            }
        }
        Self {
            max_connections: count("max.connections"),
            max_connections_per_ip: count("max.connections.per.ip"),
            max_connections_per_ip_overrides: Arc::new(overrides),
            max_connection_creation_rate: creation_rate(int("max.connection.creation.rate")),
            listener_limits: Arc::new(listener_limits),
            producer_id_expiration_ms: int("producer.id.expiration.ms"),
            log_cleaner_backoff_ms: int("log.cleaner.backoff.ms"),
            log_cleaner_dedupe_buffer_size: count("log.cleaner.dedupe.buffer.size"),
            log_cleaner_io_buffer_load_factor: double("log.cleaner.io.buffer.load.factor"),
            log_cleaner_io_buffer_size: count("log.cleaner.io.buffer.size"),
            log_cleaner_io_max_bytes_per_second: double("log.cleaner.io.max.bytes.per.second"),
            alter_log_dirs_bytes_per_second: rate("replica.alter.log.dirs.io.max.bytes.per.second"),
            leader_replication_bytes_per_second: rate("leader.replication.throttled.rate"),
            follower_replication_bytes_per_second: rate("follower.replication.throttled.rate"),
        }
    }

    /// Limits of the connections that come in by this listener, beside those of all.
    pub fn limits_of(&self, listener: &str) -> ListenerLimits {
        let limits = self.listener_limits.iter().find(|(name, _)| name.eq_ignore_ascii_case(listener));
        limits.map_or_else(ListenerLimits::default, |(_, limits)| *limits)
    }

    /// How many connections this address may have.
    pub fn connections_of(&self, address: IpAddr) -> usize {
        self.max_connections_per_ip_overrides.get(&address).copied().unwrap_or(self.max_connections_per_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(lines: &str) -> BrokerConfig {
        BrokerConfig::load(Some(format!("node.id=1\n{lines}").as_bytes()), &[]).unwrap().0
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn judge(per_broker: bool, entries: &[(&str, &str)]) -> Result<(), String> {
        validate_dynamic(&broker(""), &DynamicConfigs::default(), &map(entries), per_broker)
    }

    #[test]
    fn every_list_names_keys_that_exist_once() {
        let all: Vec<&str> = [CLUSTER_WIDE, PER_BROKER, PER_LISTENER].concat();
        for (at, name) in all.iter().enumerate() {
            assert!(find(name).is_some(), "{name}");
            assert!(!all[..at].contains(name), "{name}");
        }
        assert!(RUN_TIME_ONLY.iter().all(|key| find(key.name).is_none() && key.default_value().is_some()));
    }

    /// What is accepted and called honoured is taken into use: by a topic that inherits it, or as a [`LiveConfig`].
    #[test]
    fn no_dynamic_key_is_called_honoured_that_nobody_follows() {
        const LIVE_ONLY: &[&str] = &[
            "follower.replication.throttled.rate",
            "leader.replication.throttled.rate",
            "replica.alter.log.dirs.io.max.bytes.per.second",
        ];
        for key in RUN_TIME_ONLY {
            assert_eq!(key.status == Status::Honoured, LIVE_ONLY.contains(&key.name), "{}", key.name);
        }
        for name in [CLUSTER_WIDE, PER_BROKER, PER_LISTENER].concat() {
            let honoured = find(name).unwrap().status == Status::Honoured;
            assert!(!honoured || LIVE_KEYS.contains(&name) || AT_THE_START_ONLY.contains(&name), "{name}");
        }
    }

    #[test]
    fn what_may_change_and_at_which_level() {
        for (name, value) in
            [("log.retention.ms", "1000"), ("message.max.bytes", "1"), ("max.connections", "7"), ("num.io.threads", "16")]
        {
            assert_eq!((judge(true, &[(name, value)]), judge(false, &[(name, value)])), (Ok(()), Ok(())), "{name}");
        }
        for (per_broker, name, value, text) in [
            (true, "log.dirs", "/x", "Cannot update these configs dynamically: Set(log.dirs)"),
            (false, "log.retention.hours", "1", "Cannot update these configs dynamically: Set(log.retention.hours)"),
            (true, "ssl.keystore.location", "/x", "These security configs can be dynamically updated only per-listener"),
            (false, "listeners", "A://:1", "Cannot update these configs at default cluster level"),
            (false, "listener.name.a.ssl.protocol", "TLSv1.3", "Cannot update these configs at default cluster level"),
            (true, "listeners", "A://:1", "it is taken into use at its start"),
            (true, "listener.name.a.ssl.protocol", "TLSv1.3", "single listeners"),
            (
                true,
                "log.retention.ms",
                "soon",
                "Invalid value soon for configuration log.retention.ms: Not a number of type LONG",
            ),
            (true, "log.retention.ms", "0", "log.retention.ms must be unlimited (-1)"),
            (true, "num.io.threads", "17", "should not be greater than double the current value 8"),
            (true, "num.io.threads", "3", "should be at least half the current value 8"),
            (true, "remote.fetch.max.wait.ms", "3", "is not honoured"),
            (true, "max.connections.per.ip", "0", "can be set to zero only if max.connections.per.ip.overrides property is set"),
            (false, "max.connections.per.ip.overrides", "me.example:3", "host names are not resolved"),
            (true, "leader.replication.throttled.rate", "-3", "Value must be at least 0"),
            (true, "config.providers", "file", "is refused"),
            (true, "no.such", "1", "no.such is no key that this broker knows"),
        ] {
            let refused = judge(per_broker, &[(name, value)]).unwrap_err();
            assert!(refused.contains(text), "{name}={value}: {refused}");
        }
        assert_eq!(judge(true, &[("remote.fetch.max.wait.ms", "500")]), Ok(()), "as it is anyway");
        let none_but_one = [("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "127.0.0.1:9")];
        assert_eq!(judge(true, &none_but_one), Ok(()));
    }

    #[test]
    fn what_is_set_already_is_not_in_the_way() {
        let dynamic = DynamicConfigs { broker: map(&[("remote.fetch.max.wait.ms", "3")]), ..DynamicConfigs::default() };
        let both = map(&[("remote.fetch.max.wait.ms", "3"), ("max.connections", "9")]);
        assert_eq!(validate_dynamic(&broker(""), &dynamic, &both, true), Ok(()));
        assert!(validate_dynamic(&broker(""), &dynamic, &both, false).is_err(), "it would be new for all brokers");
    }

    #[test]
    fn settings_in_force_are_the_brokers_then_all_brokers_then_the_files() {
        let broker = broker("max.connections=5");
        let mut dynamic = DynamicConfigs::default();
        let max = |dynamic: &DynamicConfigs| LiveConfig::resolve(&broker, dynamic).max_connections;
        assert_eq!(max(&dynamic), 5);
        dynamic.cluster = map(&[("max.connections", "6")]);
        assert_eq!(max(&dynamic), 6);
        dynamic.broker = map(&[("max.connections", "7")]);
        assert_eq!(max(&dynamic), 7);
        dynamic.broker = map(&[("max.connections", "of the future")]);
        assert_eq!(max(&dynamic), 5);
        assert_eq!(LiveConfig::resolve(&broker, &dynamic).producer_id_expiration_ms, 86_400_000);
        let rate = |dynamic: &DynamicConfigs| LiveConfig::resolve(&broker, dynamic).alter_log_dirs_bytes_per_second;
        assert_eq!(rate(&dynamic), i64::MAX as u64);
        dynamic.cluster = map(&[("replica.alter.log.dirs.io.max.bytes.per.second", "1000")]);
        assert_eq!(rate(&dynamic), 1000);
        dynamic.broker = map(&[("leader.replication.throttled.rate", "7"), ("follower.replication.throttled.rate", "8")]);
        let live = LiveConfig::resolve(&broker, &dynamic);
        assert_eq!((live.leader_replication_bytes_per_second, live.follower_replication_bytes_per_second), (7, 8));
    }

    #[test]
    fn each_address_may_have_its_own_number_of_connections() {
        let broker = broker("max.connections.per.ip=2\nmax.connections.per.ip.overrides=10.0.0.7:5");
        let of = |dynamic: &DynamicConfigs, address: &str| {
            LiveConfig::resolve(&broker, dynamic).connections_of(address.parse().unwrap())
        };
        let mut dynamic = DynamicConfigs::default();
        assert_eq!((of(&dynamic, "10.0.0.7"), of(&dynamic, "10.0.0.8")), (5, 2));
        dynamic.cluster = map(&[("max.connections.per.ip", "3"), ("max.connections.per.ip.overrides", "10.0.0.8:0,[::1]:1")]);
        assert_eq!((of(&dynamic, "10.0.0.7"), of(&dynamic, "10.0.0.8"), of(&dynamic, "::1")), (3, 0, 1));
        let rate = |dynamic: &DynamicConfigs| LiveConfig::resolve(&broker, dynamic).max_connection_creation_rate;
        assert_eq!(rate(&dynamic), None);
        dynamic.broker = map(&[("max.connection.creation.rate", "20")]);
        assert_eq!(rate(&dynamic), Some(20));
    }

    #[test]
    fn lists_know_their_defaults() {
        assert_eq!(topic_list_default("cleanup.policy"), Some("delete"));
        assert_eq!(topic_list_default("retention.ms"), None);
        assert_eq!(topic_list_default("nope"), None);
        assert_eq!(broker_list_default("log.cleanup.policy"), Some("delete"));
        assert_eq!(broker_list_default("max.connections"), None);
    }
}
