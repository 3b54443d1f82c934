//! What a node is in its cluster, and which listeners, names and voters go with that: Kafka's rules of KRaft, in the order of Kafka's
//! checks.
//!
//! A node that is alone (broker and controller in one, no other voter: [`BrokerConfig::is_alone`]) need not say so, while Kafka wants to
//! be told of roles, voters and listeners even then: whatever starts with Kafka starts here, and less is enough.

use super::ConfigError;
use super::broker::{BrokerConfig, NOT_OPENED, Warning};
use super::key::Value;
use super::keys::RACK_AWARE_SELECTOR;
use super::listener::{LISTENER_PREFIX, Listener, SecurityProtocol, parse_listeners, parse_protocol_map};
use super::voters::{ProcessRoles, QuorumVoter, parse_servers, parse_voters};
use std::collections::BTreeMap;

const NAMES: &str = "controller.listener.names";

impl BrokerConfig {
    /// `process.roles`; a node that does not say is both.
    pub fn process_roles(&self) -> ProcessRoles {
        let roles = self.text_list("process.roles");
        let has = |role: &str| roles.iter().any(|one| one == role);
        ProcessRoles { broker: has("broker"), controller: has("controller") }
    }

    /// `controller.quorum.voters`: who decides on the metadata. Empty where a node that is a controller is the only one, and where a
    /// broker asks [`BrokerConfig::quorum_bootstrap_servers`] instead.
    pub fn quorum_voters(&self) -> Vec<QuorumVoter> {
        parse_voters(&self.text_list("controller.quorum.voters")).expect("the rule of the key has read it")
    }

    /// `controller.quorum.bootstrap.servers`: host and port of controllers that can be asked for the others.
    pub fn quorum_bootstrap_servers(&self) -> Vec<(String, u16)> {
        parse_servers(&self.text_list("controller.quorum.bootstrap.servers")).expect("the rule of the key has read it")
    }

    /// `controller.listener.names`, in capitals. A controller has listeners of these names; a broker calls controllers by the first.
    pub fn controller_listener_names(&self) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        for name in self.text_list(NAMES).iter().map(|name| name.to_ascii_uppercase()) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether a listener of this name, in any case, is for controllers and not for clients.
    pub fn is_controller_listener(&self, name: &str) -> bool {
        self.controller_listener_names().iter().any(|one| one.eq_ignore_ascii_case(name))
    }

    /// Name of the listener by which brokers call each other, in capitals (`inter.broker.listener.name`, or the one named like
    /// `security.inter.broker.protocol`).
    pub fn inter_broker_listener_name(&self) -> String {
        self.inter_broker_listener.clone()
    }

    /// Whether this node is a cluster by itself: broker and controller in one, and no other voter. Only such a node formats its log dirs
    /// by itself; any other is formatted before it starts (`flumen storage format`), for the cluster that it belongs to.
    pub fn is_alone(&self) -> bool {
        let (ProcessRoles { broker, controller }, voters) = (self.process_roles(), self.quorum_voters());
        let is_only_voter = !self.voters_can_change
            && match voters.is_empty() {
                true => self.quorum_bootstrap_servers().len() <= 1,
                false => voters.iter().all(|voter| voter.id == self.node_id()),
            };
        broker && controller && is_only_voter
    }

    /// The disk says that this controller's quorum is one whose voters can change (KIP-853), so that it is not alone for ever, even if it is
    /// the only voter now.
    pub fn set_voters_can_change(&mut self) {
        self.voters_can_change = true;
    }

    /// Whether consumers are sent to a replica in their own rack (`replica.selector.class`, KIP-392).
    pub fn selects_replicas_by_rack(&self) -> bool {
        self.value("replica.selector.class") == Some(Value::Text(RACK_AWARE_SELECTOR.to_owned()))
    }

    pub(super) fn check_node(&self) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        let id = |key: &str| self.explicit(key).and_then(|text| text.trim().parse::<i32>().ok());
        match (id("node.id"), id("broker.id")) {
            (Some(node), Some(broker)) if node != broker => {
                return conflict(format!("node.id is {node} but broker.id is {broker}: set node.id only"));
            }
            (None, None) => return conflict("node.id is missing: give this node a number of its own, from 0 on".to_owned()),
            (Some(node), _) | (None, Some(node)) if node < 0 => {
                return conflict(format!("node.id={node}: must be at least 0"));
            }
            _ => {}
        }
        self.check_quorum()?;
        if self.log_dirs().is_empty() {
            return conflict("log.dirs names no directory".to_owned());
        }
        Ok(())
    }

    fn check_quorum(&self) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        let (roles, id) = (self.process_roles(), self.node_id());
        let (voters, servers) = (self.quorum_voters(), self.quorum_bootstrap_servers());
        let ids: Vec<String> = voters.iter().map(|voter| voter.id.to_string()).collect();
        let (is_voter, ids) = (voters.iter().any(|voter| voter.id == id), ids.join(","));
        if voters.is_empty() && servers.is_empty() && !(roles.broker && roles.controller) {
            return conflict(
                "process.roles needs a quorum: name its voters in controller.quorum.voters, or, on a broker, controllers that know \
                 them in controller.quorum.bootstrap.servers"
                    .to_owned(),
            );
        }
        if roles.controller && !voters.is_empty() && !is_voter {
            return conflict(format!(
                "process.roles contains controller, so node.id={id} must be one of controller.quorum.voters, which are {ids}"
            ));
        }
        if !roles.controller && is_voter {
            return conflict(format!(
                "process.roles is just broker, so node.id={id} must not be one of controller.quorum.voters, which are {ids}"
            ));
        }
        if !roles.controller && self.value("controller.quorum.auto.join.enable") == Some(Value::Bool(true)) {
            return conflict(
                "controller.quorum.auto.join.enable is for nodes whose process.roles contains controller".to_owned(),
            );
        }
        Ok(())
    }

    pub(super) fn check_listeners(&mut self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        let all = parse_listeners("listeners", &self.text_list("listeners"))?;
        let protocols = self.protocols()?;
        for listener in &all {
            check_protocol(listener, protocols.get(&listener.name).copied())?;
        }
        self.check_controller_names(&all, &protocols, warnings)?;
        let (closed, clients): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| self.is_controller_listener(&one.name));
        if self.is_alone() {
            warnings.extend(
                closed
                    .iter()
                    .map(|listener| Warning { key: "listeners".to_owned(), message: format!("{listener} {NOT_OPENED}") }),
            );
        }
        let named = |name: &String| closed.iter().find(|one| one.name == *name).cloned();
        self.controller_listeners = self.controller_listener_names().iter().filter_map(named).collect();
        self.listeners = clients;
        if self.process_roles().broker && self.listeners.is_empty() {
            return Err(ConfigError::Conflict("listeners names no listener for clients".to_owned()));
        }
        let opened: &[Listener] = if self.is_alone() { &[] } else { self.controller_listeners.as_slice() };
        let is_known = |name: &str| self.listeners.iter().chain(opened).any(|one| one.name.eq_ignore_ascii_case(name));
        warnings.extend(self.listener_limits.keys().filter(|name| !is_known(name)).map(|name| Warning {
            key: format!("{LISTENER_PREFIX}{name}"),
            message: "no listener that is opened has this name".to_owned(),
        }));
        self.check_advertised()?;
        self.check_inter_broker()
    }

    /// What each listener name speaks. Without a map of its own, a controller's listener is plaintext whatever its name (KIP-797).
    fn protocols(&self) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
        let mut map = match self.value("listener.security.protocol.map") {
            Some(Value::Text(text)) => parse_protocol_map(&text)?,
            _ => BTreeMap::new(),
        };
        if self.explicit("listener.security.protocol.map").is_none() {
            for name in self.controller_listener_names() {
                map.entry(name).or_insert(SecurityProtocol::Plaintext);
            }
        }
        Ok(map)
    }

    /// `controller.listener.names` against the roles and `listeners`.
    fn check_controller_names(
        &self,
        all: &[Listener],
        protocols: &BTreeMap<String, SecurityProtocol>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        let (roles, names) = (self.process_roles(), self.controller_listener_names());
        let is_there = |name: &String| all.iter().any(|listener| listener.name == *name);
        if names.is_empty() && !self.is_alone() {
            return conflict(format!("{NAMES} must name the listener of the controllers"));
        }
        if roles.controller {
            if let Some(name) = names.iter().find(|name| !is_there(name)) {
                return conflict(format!("{NAMES}: a controller has all of these listeners, but {name} is not in listeners"));
            }
            if let Some(other) = all.iter().find(|listener| !roles.broker && !names.contains(&listener.name)) {
                return conflict(format!("{other}: process.roles=controller has listeners of {NAMES} only"));
            }
            return Ok(());
        }
        if let Some(name) = names.iter().find(|name| is_there(name)) {
            return conflict(format!("{NAMES}: {name} must not be in listeners when process.roles is just broker"));
        }
        for name in &names {
            let listener = Listener { name: name.clone(), host: String::new(), port: 0 };
            check_protocol(&listener, protocols.get(name).copied())?;
        }
        if names.len() > 1 {
            let message = format!("only {} is used, by which this broker calls the controllers", names[0]);
            warnings.push(Warning { key: NAMES.to_owned(), message });
        }
        Ok(())
    }

    fn check_advertised(&mut self) -> Result<(), ConfigError> {
        let key = "advertised.listeners";
        let wrong = |listener: &Listener, reason: &str| {
            Err(ConfigError::Listener { key: key.to_owned(), value: listener.to_string(), reason: reason.to_owned() })
        };
        let explicit = match self.value(key) {
            Some(Value::List(items)) if !items.is_empty() => Some(parse_listeners(key, &items)?),
            _ => None,
        };
        // Since KIP-853 controllers advertise their listeners too, in the same list; clients are not told those.
        let (for_controllers, for_clients) = match explicit {
            Some(all) => {
                let (some, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| self.is_controller_listener(&one.name));
                (some, Some(rest))
            }
            None => (vec![], None),
        };
        if for_clients.as_ref().is_some_and(Vec::is_empty) && self.process_roles().broker {
            return Err(ConfigError::Conflict(format!("{key} names no listener for clients")));
        }
        for listener in for_clients.as_ref().unwrap_or(&self.listeners) {
            if !self.listeners.iter().any(|bound| bound.name == listener.name) {
                return wrong(listener, "no listener of this name is in listeners");
            }
            if is_anywhere(&listener.host) {
                return wrong(listener, "clients cannot reach this address: advertise a host name or an address of this machine");
            }
        }
        let advertised = |bound: &Listener| for_controllers.iter().find(|one| one.name == bound.name).unwrap_or(bound).clone();
        self.advertised_controllers = self.controller_listeners.iter().map(advertised).collect();
        let unreachable = self.advertised_controllers.iter().find(|listener| is_anywhere(&listener.host));
        if let Some(listener) = unreachable.filter(|_| !self.is_alone()) {
            return wrong(listener, "other nodes cannot reach this address: advertise a host name or an address of this machine");
        }
        self.advertised = for_clients;
        Ok(())
    }

    fn check_inter_broker(&mut self) -> Result<(), ConfigError> {
        let (key, protocol_key) = ("inter.broker.listener.name", "security.inter.broker.protocol");
        let protocol = self.value(protocol_key).map(|value| value.to_string()).unwrap_or_default();
        let explicit = match self.value(key) {
            Some(Value::Text(name)) => Some(name.to_ascii_uppercase()),
            _ => None,
        };
        if explicit.is_some() && self.explicit(protocol_key).is_some() {
            let text = "set inter.broker.listener.name or security.inter.broker.protocol, not both";
            return Err(ConfigError::Conflict(text.to_owned()));
        }
        if explicit.is_none() && protocol != "PLAINTEXT" {
            return Err(self.refuse(protocol_key, "only PLAINTEXT is served so far"));
        }
        let name = explicit.clone().unwrap_or(protocol);
        if !self.process_roles().broker {
            if explicit.is_some() && self.is_controller_listener(&name) {
                return Err(self.refuse(key, "a listener of controller.listener.names is not for brokers"));
            }
            self.inter_broker_listener = name;
            return Ok(());
        }
        let told = self.advertised.as_ref().unwrap_or(&self.listeners);
        let is_there = |listeners: &[Listener]| listeners.iter().any(|listener| listener.name == name);
        let options: Vec<&str> = told.iter().map(|listener| listener.name.as_str()).collect();
        self.inter_broker_listener = match (&explicit, self.is_alone()) {
            (Some(_), true) if !is_there(&self.listeners) => {
                return Err(self.refuse(key, "no listener of this name is in listeners"));
            }
            (Some(_), true) => name,
            // A single node talks to no other, so any listener will do.
            (None, true) if !is_there(&self.listeners) => self.listeners[0].name.clone(),
            (None, true) => name,
            (_, false) if is_there(told) => name,
            (_, false) => {
                return Err(ConfigError::Conflict(format!(
                    "{key} is {name}, by which other brokers would call this one, and advertised.listeners does not have it: there are \
                     {}",
                    options.join(", ")
                )));
            }
        };
        Ok(())
    }

    /// What other nodes are told of this controller's listeners, in the order of `controller.listener.names`; none on a node that is no
    /// controller. See [`BrokerConfig::advertised_listeners`].
    pub fn advertised_controller_listeners(&self, hostname: &str, bound: impl Fn(&str) -> Option<u16>) -> Vec<Listener> {
        super::broker::completed(self.advertised_controllers.clone(), hostname, bound)
    }
}

/// Whether a host is every address of a machine, to which nobody else can connect.
fn is_anywhere(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::")
}

fn check_protocol(listener: &Listener, protocol: Option<SecurityProtocol>) -> Result<(), ConfigError> {
    let reason = match protocol {
        Some(SecurityProtocol::Plaintext) => return Ok(()),
        Some(other) => format!("{} is not served yet, only PLAINTEXT is", other.name()),
        None => format!("no protocol for it in listener.security.protocol.map; add {}:PLAINTEXT", listener.name),
    };
    Err(ConfigError::Listener { key: "listeners".to_owned(), value: listener.to_string(), reason })
}
