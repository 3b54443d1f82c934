//! The broker's own settings: loaded, checked key by key, then against each other.

use super::dynamic::check_connections_per_ip;
use super::key::{KeyDef, Status, Value};
use super::keys::{BROKER_KEYS, HIDDEN_KEYS, find};
use super::listener::{
    LISTENER_PREFIX, Listener, ListenerLimits, SecurityProtocol, limit_of_listener, parse_listeners, parse_protocol_map,
};
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
    /// The listeners for clients.
    pub listeners: Vec<Listener>,
    /// What `advertised.listeners` says, if it was set.
    advertised: Option<Vec<Listener>>,
    /// Name of the listener that other brokers would use; one of `listeners`.
    pub inter_broker_listener: String,
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
            advertised: None,
            inter_broker_listener: String::new(),
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

    fn text_list(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::List(items)) => items,
            _ => vec![],
        }
    }

    fn refuse(&self, key: &str, reason: &str) -> ConfigError {
        let value = self.value(key).map(|value| value.to_string()).unwrap_or_default();
        ConfigError::Refused { key: key.to_owned(), value, reason: reason.to_owned() }
    }

    fn check_node(&self) -> Result<(), ConfigError> {
        let id = |key: &str| self.explicit(key).and_then(|text| text.trim().parse::<i32>().ok());
        match (id("node.id"), id("broker.id")) {
            (Some(node), Some(broker)) if node != broker => {
                return Err(ConfigError::Conflict(format!("node.id is {node} but broker.id is {broker}: set node.id only")));
            }
            (None, None) => {
                return Err(ConfigError::Conflict(
                    "node.id is missing: give this node a number of its own, from 0 on".to_owned(),
                ));
            }
            (Some(node), _) | (None, Some(node)) if node < 0 => {
                return Err(ConfigError::Conflict(format!("node.id={node}: must be at least 0")));
            }
            _ => {}
        }
        let roles = self.text_list("process.roles");
        if roles.len() < 2 {
            let why = "a node is broker and controller in one so far; set process.roles=broker,controller";
            return Err(self.refuse("process.roles", why));
        }
        let alone = "this node would have to share the metadata with others, which is not served yet";
        let voters = self.text_list("controller.quorum.voters");
        let own = format!("{}@", self.node_id().0);
        if voters.len() > 1 || voters.iter().any(|voter| !voter.starts_with(&own)) {
            return Err(self.refuse("controller.quorum.voters", alone));
        }
        if self.text_list("controller.quorum.bootstrap.servers").len() > 1 {
            return Err(self.refuse("controller.quorum.bootstrap.servers", alone));
        }
        if self.log_dirs().is_empty() {
            return Err(ConfigError::Conflict("log.dirs names no directory".to_owned()));
        }
        Ok(())
    }

    fn check_listeners(&mut self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        let controllers: Vec<String> =
            self.text_list("controller.listener.names").iter().map(|name| name.to_ascii_uppercase()).collect();
        let all = parse_listeners("listeners", &self.text_list("listeners"))?;
        let map = match self.value("listener.security.protocol.map") {
            Some(Value::Text(text)) => parse_protocol_map(&text)?,
            _ => BTreeMap::new(),
        };
        let map_is_default = self.explicit("listener.security.protocol.map").is_none();
        for listener in &all {
            let is_controller = controllers.contains(&listener.name);
            let protocol = map.get(&listener.name).copied();
            // Without a map of its own, a controller's listener is plaintext whatever its name (KIP-797).
            let protocol = protocol.or((is_controller && map_is_default).then_some(SecurityProtocol::Plaintext));
            check_protocol(listener, protocol)?;
        }
        let (closed, clients): (Vec<_>, Vec<_>) = all.into_iter().partition(|listener| controllers.contains(&listener.name));
        warnings.extend(closed.iter().map(|listener| Warning {
            key: "listeners".to_owned(),
            message: format!("{listener} is not opened: no other node can join this one yet"),
        }));
        if clients.is_empty() {
            return Err(ConfigError::Conflict("listeners names no listener for clients".to_owned()));
        }
        self.listeners = clients;
        let is_known = |name: &str| self.listeners.iter().any(|listener| listener.name.eq_ignore_ascii_case(name));
        warnings.extend(self.listener_limits.keys().filter(|name| !is_known(name)).map(|name| Warning {
            key: format!("{LISTENER_PREFIX}{name}"),
            message: "no listener for clients has this name".to_owned(),
        }));
        self.check_advertised(&controllers)?;
        self.check_inter_broker()
    }

    fn check_advertised(&mut self, controllers: &[String]) -> Result<(), ConfigError> {
        let key = "advertised.listeners";
        let explicit = match self.value(key) {
            Some(Value::List(items)) if !items.is_empty() => Some(parse_listeners(key, &items)?),
            _ => None,
        };
        // Since KIP-853 controllers advertise their listeners too, in the same list; clients are not told those.
        let explicit = explicit.map(|all| all.into_iter().filter(|l| !controllers.contains(&l.name)).collect::<Vec<_>>());
        for listener in explicit.as_ref().unwrap_or(&self.listeners) {
            let wrong = |reason: &str| {
                Err(ConfigError::Listener { key: key.to_owned(), value: listener.to_string(), reason: reason.to_owned() })
            };
            if !self.listeners.iter().any(|bound| bound.name == listener.name) {
                return wrong("no listener of this name is in listeners");
            }
            if matches!(listener.host.as_str(), "0.0.0.0" | "::") {
                return wrong("clients cannot reach this address: advertise a host name or an address of this machine");
            }
        }
        self.advertised = explicit;
        Ok(())
    }

    fn check_inter_broker(&mut self) -> Result<(), ConfigError> {
        let protocol = self.value("security.inter.broker.protocol").map(|value| value.to_string()).unwrap_or_default();
        if let Some(Value::Text(name)) = self.value("inter.broker.listener.name") {
            if self.explicit("security.inter.broker.protocol").is_some() {
                let text = "set inter.broker.listener.name or security.inter.broker.protocol, not both";
                return Err(ConfigError::Conflict(text.to_owned()));
            }
            self.inter_broker_listener = name.to_ascii_uppercase();
            if !self.listeners.iter().any(|listener| listener.name == self.inter_broker_listener) {
                return Err(self.refuse("inter.broker.listener.name", "no listener of this name is in listeners"));
            }
            return Ok(());
        }
        if protocol != "PLAINTEXT" {
            return Err(self.refuse("security.inter.broker.protocol", "only PLAINTEXT is served so far"));
        }
        // Kafka takes the listener named like the protocol and refuses to start without one. A single node talks to no
        // other, so any listener will do.
        let named = self.listeners.iter().find(|listener| listener.name == protocol).unwrap_or(&self.listeners[0]);
        self.inter_broker_listener = named.name.clone();
        Ok(())
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

    /// What clients are told to connect to. `hostname` stands in where no host was given, and `bound` gives the port that the system
    /// chose for a listener with port 0.
    pub fn advertised_listeners(&self, hostname: &str, bound: impl Fn(&str) -> Option<u16>) -> Vec<Listener> {
        let mut listeners = self.advertised.clone().unwrap_or_else(|| self.listeners.clone());
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

    /// Every public key with the value in force, by name.
    pub(super) fn keys() -> impl Iterator<Item = &'static KeyDef> {
        debug_assert!(HIDDEN_KEYS.iter().all(|key| BROKER_KEYS.iter().all(|public| public.name != key.name)));
        BROKER_KEYS.iter()
    }
}

fn check_protocol(listener: &Listener, protocol: Option<SecurityProtocol>) -> Result<(), ConfigError> {
    let reason = match protocol {
        Some(SecurityProtocol::Plaintext) => return Ok(()),
        Some(other) => format!("{} is not served yet, only PLAINTEXT is", other.name()),
        None => format!("no protocol for it in listener.security.protocol.map; add {}:PLAINTEXT", listener.name),
    };
    Err(ConfigError::Listener { key: "listeners".to_owned(), value: listener.to_string(), reason })
}
