//! The broker's own settings: loaded, checked key by key, then against each other.

use super::dynamic::check_connections_per_ip;
use super::key::{KeyDef, Status, Value};
use super::keys::{BROKER_KEYS, HIDDEN_KEYS, find};
use super::listener::{LISTENER_PREFIX, Listener, ListenerLimits, limit_of_listener};
use super::{ConfigError, InvalidValue, parse_properties};
use std::collections::BTreeMap;
use std::fmt;

/// What a start without a file assumes: one node that is broker and controller, reachable from this machine only.
const STANDALONE: &[(&str, &str)] = &[
    ("node.id", "1"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("log.dirs", "./flumen-data"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// A setting that does not do what it says; to be logged at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The key.
    pub key: String,
    /// What does not happen, and why.
    pub message: String,
}

/// How the message ends of a controller's listener on a node that is alone.
pub(super) const NOT_OPENED: &str = "is not opened: no other node can join this one yet";

impl Warning {
    /// Whether it is wrong as soon as others can be added to the node, see [`BrokerConfig::set_voters_can_change`].
    pub fn is_of_a_node_that_is_alone(&self) -> bool {
        self.message.ends_with(NOT_OPENED)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// The broker's settings, checked. Values are read by the methods named after the keys.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// What was set, as it was written.
    explicit: BTreeMap<&'static str, String>,
    /// What was set, checked.
    values: BTreeMap<&'static str, Value>,
    /// The listeners for clients and other brokers; none on a node that is just a controller.
    pub listeners: Vec<Listener>,
    /// The listeners for other nodes of a controller, in the order of `controller.listener.names`; none on a node that is just a broker.
    pub controller_listeners: Vec<Listener>,
    /// What `advertised.listeners` says for clients, if it was set.
    pub(super) advertised: Option<Vec<Listener>>,
    /// `controller_listeners` as other nodes are told.
    pub(super) advertised_controllers: Vec<Listener>,
    /// Name of the listener that other brokers use; on a broker one of `listeners`.
    pub inter_broker_listener: String,
    /// The quorum's voters can change, as the disk says.
    pub(super) voters_can_change: bool,
    /// What is set for single listeners, by their names in small letters.
    pub(super) listener_limits: BTreeMap<String, ListenerLimits>,
}

impl BrokerConfig {
    /// Reads `file` (the content of a `server.properties`; without one, a single broker on 127.0.0.1:9092 with its data in
    /// `./flumen-data`) and then `overrides`, the later entry of a key winning. The warnings are for the log.
    ///
    /// # Errors
    /// Everything that is wrong with single keys, or else the first combination that cannot be.
    pub fn load(file: Option<&[u8]>, overrides: &[(String, String)]) -> Result<(Self, Vec<Warning>), ConfigError> {
        let entries = file.map(parse_properties).transpose()?;
        let built_in = if entries.is_some() { &[] } else { STANDALONE };
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        given.extend(entries.into_iter().flatten());
        given.extend(overrides.iter().cloned());

        let mut config = Self {
            explicit: BTreeMap::new(),
            values: BTreeMap::new(),
            listeners: vec![],
            controller_listeners: vec![],
            advertised: None,
            advertised_controllers: vec![],
            inter_broker_listener: String::new(),
            voters_can_change: false,
            listener_limits: BTreeMap::new(),
        };
        let (mut warnings, mut errors) = (vec![], vec![]);
        for (name, value) in built_in.iter().filter(|(name, _)| !given.contains_key(*name)) {
            let key = find(name).expect("a built-in setting is a key");
            config.set(key, value).expect("a built-in setting is valid");
        }
        for (name, value) in &given {
            match config.take(name, value) {
                Ok(warning) => warnings.extend(warning),
                Err(error) => errors.push(error),
            }
        }
        if errors.len() > 1 {
            return Err(ConfigError::Several(errors));
        }
        if let Some(error) = errors.pop() {
            return Err(error);
        }
        config.check_node()?;
        config.check_listeners(&mut warnings)?;
        config.check_limits()?;
        config.check_replication(&mut warnings)?;
        Ok((config, warnings))
    }

    /// Takes one setting; the warning says if it does nothing.
    fn take(&mut self, name: &str, value: &str) -> Result<Option<Warning>, ConfigError> {
        let warning = |message: String| Ok(Some(Warning { key: name.to_owned(), message }));
        let Some(key) = find(name) else { return self.take_for_listener(name, value) };
        let parsed = self.set(key, value)?;
        if Some(&parsed) == key.default_value().as_ref() {
            return Ok(None);
        }
        match key.status {
            Status::Honoured => Ok(None),
            Status::NoEffect(why) => warning(format!("has no effect: {why}")),
            Status::NotYet(why) => warning(format!("is not honoured: {why}")),
            Status::Refused(why) => Err(ConfigError::Refused {
                key: name.to_owned(),
                value: if key.is_sensitive() { "[hidden]".to_owned() } else { value.to_owned() },
                reason: why.to_owned(),
            }),
        }
    }

    /// Takes a limit of a single listener; what else is in no table does nothing.
    fn take_for_listener(&mut self, name: &str, value: &str) -> Result<Option<Warning>, ConfigError> {
        let warning = |message: &str| Ok(Some(Warning { key: name.to_owned(), message: message.to_owned() }));
        let Some((listener, key)) = limit_of_listener(name) else {
            return match name.starts_with(LISTENER_PREFIX) {
                true => warning("is not honoured: single listeners have no settings yet but limits of their connections"),
                false => warning("unknown configuration"),
            };
        };
        let value = key.parse(value).map_err(|error| InvalidValue { key: name.to_owned(), ..error })?;
        self.listener_limits.entry(listener.to_ascii_lowercase()).or_default().set(key, &value);
        Ok(None)
    }

    fn set(&mut self, key: &'static KeyDef, text: &str) -> Result<Value, ConfigError> {
        let value = key.parse(text)?;
        self.explicit.insert(key.name, text.to_owned());
        self.values.insert(key.name, value.clone());
        Ok(value)
    }

    /// What was set, as written.
    pub fn explicit(&self, key: &str) -> Option<&str> {
        self.explicit.get(key).map(String::as_str)
    }

    /// The value in force: what was set, else the default; `None` is null.
    ///
    /// # Panics
    /// On a key that is in no table.
    pub fn value(&self, name: &str) -> Option<Value> {
        let key = find(name).unwrap_or_else(|| panic!("{name} is not a key"));
        self.values.get(name).cloned().or_else(|| key.default_value())
    }

    pub(super) fn text_list(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::List(items)) => items,
            _ => vec![],
        }
    }

    pub(super) fn refuse(&self, key: &str, reason: &str) -> ConfigError {
        let value = self.value(key).map(|value| value.to_string()).unwrap_or_default();
        ConfigError::Refused { key: key.to_owned(), value, reason: reason.to_owned() }
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let http = self.http_listener().filter(|address| !address.is_empty());
        if http.is_some_and(|address| address.parse::<std::net::SocketAddr>().is_err()) {
            return Err(self.refuse("flumen.http.listener", "an address and a port, such as 127.0.0.1:9644 or [::]:9644"));
        }
        let queued = self.queued_max_request_bytes();
        if queued > 0 && queued < i64::from(self.socket_request_max_bytes()) {
            return Err(self.refuse("queued.max.request.bytes", "must be at least socket.request.max.bytes"));
        }
        for key in ["socket.send.buffer.bytes", "socket.receive.buffer.bytes"] {
            if matches!(self.value(key), Some(Value::Int(bytes)) if bytes == 0 || bytes < -1) {
                return Err(self.refuse(key, "must be at least 1, or -1 for the system's choice"));
            }
        }
        let in_force = |key: &str| self.value(key).map(|value| value.to_string()).unwrap_or_default();
        check_connections_per_ip(&in_force).map_err(ConfigError::Conflict)?;
        for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            if self.value(key) == Some(Value::Int(0)) {
                return Err(self.refuse(key, "must be at least 1, or -1 to keep for ever"));
            }
        }
        Ok(())
    }

    /// Times of a cluster against each other.
    fn check_replication(&self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        let ms = |key: &str| match self.value(key) {
            Some(Value::Int(ms)) => ms,
            other => unreachable!("{key} is {other:?}"),
        };
        for key in ["broker.heartbeat.interval.ms", "broker.session.timeout.ms", "replica.lag.time.max.ms"] {
            if ms(key) < 1 {
                return Err(self.refuse(key, "must be at least 1"));
            }
        }
        let wait = ms("replica.fetch.wait.max.ms");
        for (key, why) in [
            ("replica.socket.timeout.ms", "or a follower gives up while its leader still waits"),
            ("replica.lag.time.max.ms", "or a follower with nothing to fetch is taken out of the ISR"),
        ] {
            if ms(key) < wait {
                return Err(self.refuse(key, &format!("must be at least replica.fetch.wait.max.ms, which is {wait}, {why}")));
            }
        }
        let (interval, session) = (ms("broker.heartbeat.interval.ms"), ms("broker.session.timeout.ms"));
        if interval > session / 2 {
            warnings.push(Warning {
                key: "broker.heartbeat.interval.ms".to_owned(),
                message: format!(
                    "is more than half of broker.session.timeout.ms, which is {session} here and counts on the controllers: a broker \
                     whose heartbeat is late loses its leaderships"
                ),
            });
        }
        Ok(())
    }

    /// What clients are told to connect to. `hostname` stands in where no host was given, and `bound` gives the port that the system
    /// chose for a listener with port 0.
    pub fn advertised_listeners(&self, hostname: &str, bound: impl Fn(&str) -> Option<u16>) -> Vec<Listener> {
        completed(self.advertised.clone().unwrap_or_else(|| self.listeners.clone()), hostname, bound)
    }

    /// Every public key with the value in force, by name.
    pub(super) fn keys() -> impl Iterator<Item = &'static KeyDef> {
        debug_assert!(HIDDEN_KEYS.iter().all(|key| BROKER_KEYS.iter().all(|public| public.name != key.name)));
        BROKER_KEYS.iter()
    }
}

/// Listeners with the host and the port that others are to use.
pub(super) fn completed(mut listeners: Vec<Listener>, hostname: &str, bound: impl Fn(&str) -> Option<u16>) -> Vec<Listener> {
    for listener in &mut listeners {
        if listener.host.is_empty() {
            listener.host = hostname.to_owned();
        }
        if listener.port == 0 {
            listener.port = bound(&listener.name).unwrap_or(0);
        }
    }
    listeners
}
