//! What handlers share on one core, and what is known of a client.

use crate::config::{BrokerConfig, DynamicConfigs, Listener, TopicConfig};
use crate::controller::{ConfigResource, MetadataImage, Topic};
use crate::io::{Io, Mono, Turnstile};
use crate::model::{BrokerId, Offset, TopicId};
use crate::protocol::StrBytes;
use crate::protocol::api::Audience;
use crate::shard::Shards;
use crate::telemetry::LogLevels;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// One core's view of the broker, for the handlers of its connections.
pub struct ApiContext {
    pub(super) io: Io,
    pub(super) shards: Shards,
    pub(super) config: Arc<BrokerConfig>,
    /// What clients are told to connect to, one for each listener.
    pub(super) advertised: Vec<Listener>,
    /// What is logged.
    pub(super) log_levels: LogLevels,
    topic_configs: RefCell<TopicConfigs>,
    /// Whose batch may be decompressed beyond its first step: what a codec holds grows with what comes out of it.
    pub(super) long_decompression: Turnstile,
    /// Whose long request is worked on: what it takes grows with what it names.
    pub(super) long_requests: Turnstile,
    /// The same for short requests with long answers, which need not wait for whoever floods the broker with names.
    pub(super) long_answers: Turnstile,
    /// Fetch sessions that live on this core.
    pub(super) sessions: super::fetch::SessionCache,
    /// Connections of this core by which heartbeats of brokers have come.
    heartbeat_lines: Cell<u64>,
}

impl ApiContext {
    /// The context of this core. `bound` are the addresses that the configured listeners have in fact, in their
    /// order; `hostname` stands in for listeners without a host.
    pub fn new(shards: Shards, bound: &[SocketAddr], hostname: &str, log_levels: LogLevels) -> Rc<Self> {
        let (io, config) = (shards.io().clone(), shards.config().clone());
        let ports: Vec<_> = config.listeners.iter().zip(bound).map(|(listener, at)| (listener.name.clone(), at.port())).collect();
        let port = |name: &str| ports.iter().find(|(listener, _)| listener == name).map(|(_, port)| *port);
        let advertised = config.advertised_listeners(hostname, port);
        let sessions = super::fetch::SessionCache::new(io.core(), io.cores(), config.max_incremental_fetch_session_cache_slots());
        Rc::new(Self {
            io,
            shards,
            config,
            advertised,
            log_levels,
            topic_configs: RefCell::default(),
            long_decompression: Turnstile::default(),
            long_requests: Turnstile::default(),
            long_answers: Turnstile::default(),
            sessions,
            heartbeat_lines: Cell::new(0),
        })
    }

    /// This broker's id.
    pub(super) fn broker_id(&self) -> BrokerId {
        self.config.node_id()
    }

    /// A broker with its endpoint of the listener that `connection` came in by; `None` if it is not registered or has no such
    /// listener.
    pub(super) fn node(&self, image: &MetadataImage, id: BrokerId, connection: &Connection) -> Option<Node> {
        if id == self.broker_id() {
            // Our own ports may have been chosen by the system at this start.
            let listener = self.advertised.iter().find(|listener| listener.name == *connection.listener)?;
            let rack = self.config.broker_rack().as_deref().map(text);
            return Some(Node { id, host: text(&listener.host), port: i32::from(listener.port), rack });
        }
        let broker = image.broker(id)?;
        let endpoint = broker.endpoint(&connection.listener)?;
        let rack = broker.rack.as_deref().map(text);
        Some(Node { id, host: text(&endpoint.host), port: i32::from(endpoint.port), rack })
    }

    /// Whom clients are to ask what the controller has to answer: as with Kafka's brokers since there is a quorum any broker that is there,
    /// which hands it on; this one, if it is. -1 if there is none.
    pub(super) fn controller_id(&self, image: &MetadataImage) -> i32 {
        let is_there = |id: BrokerId| image.broker(id).is_some_and(|broker| !broker.fenced);
        if self.shards.is_alone() || is_there(self.broker_id()) {
            return self.broker_id().0;
        }
        image.brokers().find(|broker| !broker.fenced).map_or(NOBODY, |broker| broker.id.0)
    }

    /// A heartbeat of a broker comes by a connection.
    pub(super) fn note_heartbeat(&self, connection: &Connection, broker: BrokerId, epoch: i64) {
        let is_known = connection.heartbeats_of.get().is_some_and(|(id, in_epoch, _)| (id, in_epoch) == (broker, epoch));
        if !is_known {
            let number = self.heartbeat_lines.get();
            self.heartbeat_lines.set(number + 1);
            connection.heartbeats_of.set(Some((broker, epoch, number)));
            self.shards.heartbeats_begin(broker, (self.io.core(), number));
        }
    }

    /// The other end has closed a connection.
    pub fn was_closed(&self, connection: &Connection) {
        if let Some((broker, epoch, number)) = connection.heartbeats_of.take() {
            self.shards.heartbeats_ended(broker, epoch, (self.io.core(), number));
        }
    }

    /// For whom a listener is.
    pub fn audience_of(&self, listener: &str) -> Audience {
        match self.config.controller_listeners.iter().any(|one| one.name == listener) {
            true => Audience::Controllers,
            false => Audience::Clients,
        }
    }

    /// The brokers that clients of `connection` may talk to.
    pub(super) fn nodes(&self, image: &MetadataImage, connection: &Connection) -> Vec<Node> {
        let alive = image.brokers().filter(|broker| !broker.fenced);
        alive.filter_map(|broker| self.node(image, broker.id, connection)).collect()
    }

    /// Broker configs that were set at run time.
    pub(super) fn dynamic_configs(&self, image: &MetadataImage) -> DynamicConfigs {
        let of = |broker| image.configs(&ConfigResource::Broker(broker)).map(|configs| (**configs).clone()).unwrap_or_default();
        DynamicConfigs { cluster: of(None), broker: of(Some(self.broker_id())) }
    }

    /// The configs in force of a topic.
    pub(super) fn topic_config(&self, image: &MetadataImage, topic: &Topic) -> Rc<TopicConfig> {
        let mut configs = self.topic_configs.borrow_mut();
        if configs.as_of != image.next_offset() {
            *configs = TopicConfigs { as_of: image.next_offset(), resolved: BTreeMap::new() };
        }
        let resolve = || {
            let own = image.topic_configs(&topic.name);
            Rc::new(TopicConfig::resolve(&self.config, &self.dynamic_configs(image), &own))
        };
        configs.resolved.entry(topic.id).or_insert_with(resolve).clone()
    }
}

/// Resolved configs of the topics that were asked for, as of one image.
#[derive(Default)]
struct TopicConfigs {
    as_of: Offset,
    resolved: BTreeMap<TopicId, Rc<TopicConfig>>,
}

/// A broker as clients of one listener see it.
pub(super) struct Node {
    pub(super) id: BrokerId,
    pub(super) host: StrBytes,
    pub(super) port: i32,
    pub(super) rack: Option<StrBytes>,
}

/// Text for a message field.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from(text)
}

/// A client's connection, as far as answers depend on it.
pub struct Connection {
    /// Address of the client.
    pub peer: SocketAddr,
    /// Name of the listener that it came in by.
    pub listener: Arc<str>,
    /// For whom that listener is.
    pub audience: Audience,
    /// Its client has used up a quota: nothing more is taken from it until then.
    held_off_until: Cell<Option<Mono>>,
    /// Something was not decided, since no controller could be had.
    missed_controller: Cell<bool>,
    /// The broker whose heartbeats come by it, its epoch, and the number of the connection among those of its core.
    heartbeats_of: Cell<Option<(BrokerId, i64, u64)>>,
}

/// "Nobody" in answers.
const NOBODY: i32 = -1;

impl Connection {
    /// A new connection.
    pub fn new(peer: SocketAddr, listener: &Arc<str>, audience: Audience) -> Self {
        Self {
            peer,
            listener: listener.clone(),
            audience,
            held_off_until: Cell::new(None),
            missed_controller: Cell::new(false),
            heartbeats_of: Cell::new(None),
        }
    }

    /// The client's own connection to a broker that has handed its request on by the connection `by`.
    pub(super) fn handed_on(peer: SocketAddr, by: &Self) -> Self {
        Self::new(peer, &by.listener, by.audience)
    }

    /// Something is not decided, since no controller could be had.
    pub(super) fn miss_controller(&self) {
        self.missed_controller.set(true);
    }

    /// Whether anything was not decided.
    pub(super) fn take_missed_controller(&self) -> bool {
        self.missed_controller.take()
    }

    /// Nothing more is to be taken from the client until `until`, or later if that was said before.
    pub(super) fn hold_off(&self, until: Mono) {
        self.held_off_until.set(self.held_off_until.get().max(Some(until)));
    }

    /// Until when nothing is to be taken from the client, if that was ever said; it may be over.
    pub fn held_off_until(&self) -> Option<Mono> {
        self.held_off_until.get()
    }
}
