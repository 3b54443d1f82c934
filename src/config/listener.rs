//! Listeners: `NAME://host:port`, what protocol a name speaks, and which combinations Kafka accepts.

use super::ConfigError;
use super::key::{KeyDef, Value};
use super::keys::find;
use std::collections::BTreeMap;
use std::fmt;

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Name, in capitals.
    pub name: String,
    /// Address without brackets; empty is every address (`listeners`).
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}://[{}]:{}", self.name, self.host, self.port),
            false => write!(f, "{}://{}:{}", self.name, self.host, self.port),
        }
    }
}

/// A protocol that a listener may be mapped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL over TCP.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// Begins the name of a setting of one listener, `listener.name.<name in small letters>.<key>`.
pub(super) const LISTENER_PREFIX: &str = "listener.name.";
/// What a listener may have for itself, beside what holds for all.
const OWN_LIMITS: [&str; 2] = ["max.connections", "max.connection.creation.rate"];

/// Limits of the connections of one listener, beside those of the broker (KIP-402, KIP-612).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerLimits {
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connection.creation.rate`, in connections per second; `None`: as fast as they come.
    pub max_connection_creation_rate: Option<u32>,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self { max_connections: usize::MAX, max_connection_creation_rate: None }
    }
}

impl ListenerLimits {
    /// Takes a value of `key` into use that the rule of the key has checked.
    pub(super) fn set(&mut self, key: &KeyDef, value: &Value) {
        let Value::Int(number) = *value else { unreachable!("{} is {value:?}", key.name) };
        match key.name {
            "max.connections" => self.max_connections = usize::try_from(number).unwrap_or(0),
            _ => self.max_connection_creation_rate = creation_rate(number),
        }
    }
}

/// The greatest number is no limit.
pub(super) fn creation_rate(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|_| number < i64::from(i32::MAX))
}

/// Listener and key of a limit that is set for one listener.
pub(super) fn limit_of_listener(name: &str) -> Option<(&str, &'static KeyDef)> {
    let rest = name.strip_prefix(LISTENER_PREFIX)?;
    OWN_LIMITS.iter().find_map(|key| {
        let listener = rest.strip_suffix(*key)?.strip_suffix('.').filter(|listener| !listener.is_empty())?;
        Some((listener, find(key)?))
    })
}

/// Parses the value of `key`, a list of listeners. Names must differ, and ports too, unless the one listens on IPv4 and the other on
/// IPv6 (`listeners` only).
pub(super) fn parse_listeners(key: &str, items: &[String]) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners: Vec<Listener> = vec![];
    for item in items {
        let listener = parse_listener(item).ok_or_else(|| ConfigError::Listener {
            key: key.to_owned(),
            value: item.clone(),
            reason: "expected NAME://host:port, an IPv6 address in brackets".to_owned(),
        })?;
        let clash = listeners.iter().find_map(|other| {
            if other.name == listener.name {
                Some("each listener must have a different name")
            } else if key == "listeners" && other.port == listener.port && other.port != 0 && !differ_in_family(other, &listener)
            {
                Some("each listener must have a different port, unless one has an IPv4 and the other an IPv6 address")
            } else {
                None
            }
        });
        if let Some(reason) = clash {
            return Err(ConfigError::Listener { key: key.to_owned(), value: item.clone(), reason: reason.to_owned() });
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

fn differ_in_family(a: &Listener, b: &Listener) -> bool {
    let is_v4 = |l: &Listener| l.host.parse::<std::net::Ipv4Addr>().is_ok();
    let is_v6 = |l: &Listener| l.host.parse::<std::net::Ipv6Addr>().is_ok();
    (is_v4(a) && is_v6(b)) || (is_v6(a) && is_v4(b))
}

fn parse_listener(text: &str) -> Option<Listener> {
    let (name, address) = text.trim().split_once("://")?;
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            // A zone such as %eth0 is the resolver's business, the rest must be an address.
            host.split('%').next()?.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':')?)
        }
        None => address.rsplit_once(':')?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':');
    let name_is_legal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let bare_v6 = host.contains(':') && !address.starts_with('[');
    if !name_is_legal || !host.chars().all(plain) || bare_v6 || port.starts_with('+') {
        return None;
    }
    Some(Listener { name: name.to_ascii_uppercase(), host: host.to_owned(), port: port.parse().ok()? })
}

/// Parses `listener.security.protocol.map`.
pub(super) fn parse_protocol_map(text: &str) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
    let wrong = |item: &str, reason: &str| ConfigError::Listener {
        key: "listener.security.protocol.map".to_owned(),
        value: item.to_owned(),
        reason: reason.to_owned(),
    };
    let mut map = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, protocol) = item.rsplit_once(':').ok_or_else(|| wrong(item, "expected NAME:PROTOCOL"))?;
        let protocol = SecurityProtocol::parse(protocol.trim())
            .ok_or_else(|| wrong(item, "protocols are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"))?;
        if map.insert(name.trim().to_ascii_uppercase(), protocol).is_some() {
            return Err(wrong(item, "this listener name is mapped twice"));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, ConfigError> {
        let items: Vec<String> = text.split(',').map(str::to_owned).collect();
        Ok(parse_listeners("listeners", &items)?.iter().map(Listener::to_string).collect())
    }

    #[test]
    fn forms_of_a_listener() {
        let parsed = parse("plaintext://:9092,INT-1://[::1]:9093,V4://127.0.0.1:9093,H://host.example_1:0").unwrap();
        assert_eq!(parsed, ["PLAINTEXT://:9092", "INT-1://[::1]:9093", "V4://127.0.0.1:9093", "H://host.example_1:0"]);
    }

    #[test]
    fn malformed_or_clashing_listeners_are_refused() {
        for text in [
            "",
            "localhost:9092",
            "A://host",
            "A://host:",
            "A://host:65536",
            "A://host:-1",
            "A://host:+1",
            "://h:1",
            "A://::1:9092",
            "A://[zz]:1",
            "A://h h:1",
            "A://x:1,A://x:2",
            "A://x:1,B://y:1",
            "A://1.2.3.4:1,B://1.2.3.5:1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("A://x:0,B://y:0").is_ok(), "chosen ports differ");
    }

    #[test]
    fn protocol_map() {
        let map = parse_protocol_map("PLAINTEXT:PLAINTEXT, client:plaintext,X:SASL_SSL").unwrap();
        assert_eq!(map["CLIENT"], SecurityProtocol::Plaintext);
        assert_eq!(map["X"].name(), "SASL_SSL");
        for text in ["A", "A:B", "A:SSL,a:SSL"] {
            assert!(parse_protocol_map(text).is_err(), "{text}");
        }
    }
}
