//! What the tasks of a node of a cluster share, on the first core.

use super::channel::Lines;
use super::lifecycle::Lifecycle;
use super::suspects::Suspects;
use crate::config::{BrokerConfig, QuorumVoter};
use crate::controller::{BrokerRegistration, Heartbeats, MetadataDelta, MetadataImage};
use crate::io::Notify;
use crate::model::{BrokerId, Offset, TopicId};
use crate::protocol::generated::BrokerHeartbeatRequest;
use crate::quorum::{Member, QuorumHandle};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A node's part in its cluster.
pub(in crate::shard) struct Cluster {
    pub(super) id: String,
    pub(super) node: BrokerId,
    /// Directory id of the metadata log; of a node that keeps none that of its metadata log dir.
    pub(super) directory: TopicId,
    /// `controller.quorum.voters`
    fixed_voters: Vec<QuorumVoter>,
    /// `controller.quorum.bootstrap.servers`
    pub(super) servers: Vec<(String, u16)>,
    /// `socket.connection.setup.timeout.ms`: how long a connection may take.
    pub(super) connect_limit: Duration,
    /// `controller.socket.timeout.ms`: how long one answer is waited for.
    pub(super) answer_limit: Duration,
    /// This node's member of the quorum, if it is a voter.
    pub(super) member: Option<QuorumHandle>,
    /// Who was heard of, while this node decides.
    pub(super) heartbeats: RefCell<Option<Heartbeats>>,
    /// Who of them may be gone.
    pub(super) suspects: Suspects,
    /// Leader and epoch of the quorum, as a node that is no voter has learned them.
    learned: Cell<(Option<BrokerId>, i32)>,
    /// Where controllers can be reached beside what the voters' setting says.
    endpoints: RefCell<BTreeMap<BrokerId, (String, u16)>>,
    /// Another may lead, or nobody.
    pub(super) leader_changed: Notify,
    pub(super) lines: Lines,
    known: RefCell<Known>,
    /// End of the metadata that every core of this node has.
    published: Cell<Offset>,
    /// The logs are open: the cores can take changes.
    may_publish: Cell<bool>,
    /// There is more to publish, or more is published.
    pub(super) metadata_changed: Notify,
    /// This node as a broker, once it is one.
    pub(super) life: RefCell<Option<Lifecycle>>,
    /// What this incarnation registers with.
    pub(super) registration: RefCell<Option<BrokerRegistration>>,
    pub(super) life_changed: Notify,
}

/// The committed metadata, and what of them the cores have not got yet.
#[derive(Default)]
struct Known {
    image: Arc<MetadataImage>,
    delta: MetadataDelta,
}

impl Cluster {
    pub(super) fn new(config: &BrokerConfig, id: &str, directory: TopicId, member: Option<QuorumHandle>) -> Self {
        let at_least_one = |ms: i64| Duration::from_millis(ms.max(1) as u64);
        Self {
            id: id.to_owned(),
            node: config.node_id(),
            directory,
            fixed_voters: config.quorum_voters(),
            servers: config.quorum_bootstrap_servers(),
            connect_limit: at_least_one(config.socket_connection_setup_timeout_ms()),
            answer_limit: at_least_one(config.controller_socket_timeout_ms()),
            member,
            heartbeats: RefCell::new(None),
            suspects: Suspects::default(),
            learned: Cell::new((None, -1)),
            endpoints: RefCell::default(),
            leader_changed: Notify::new(),
            lines: Lines::default(),
            known: RefCell::default(),
            published: Cell::new(Offset::ZERO),
            may_publish: Cell::new(false),
            metadata_changed: Notify::new(),
            life: RefCell::new(None),
            registration: RefCell::new(None),
            life_changed: Notify::new(),
        }
    }

    // ---- who votes -----------------------------------------------------------------------------------------------------------

    /// The voters: those of the settings, or those that the quorum's log names, as far as this node has it.
    pub(super) fn voters(&self) -> Vec<QuorumVoter> {
        let Some(member) = self.member.as_ref().filter(|member| member.kraft_version() > 0) else {
            return self.fixed_voters.clone();
        };
        let place = |(id, member): (BrokerId, Member)| {
            let endpoint = member.endpoints.into_iter().next()?;
            Some(QuorumVoter { id, host: endpoint.host, port: endpoint.port })
        };
        member.voters().into_iter().filter_map(place).collect()
    }

    /// Level of `kraft.version` here: whether voters can change.
    pub(super) fn kraft_version(&self) -> i16 {
        self.member.as_ref().map_or(0, QuorumHandle::kraft_version)
    }

    // ---- who leads -----------------------------------------------------------------------------------------------------------

    /// Whether this node decides: it leads, and knows what was committed before.
    pub(super) fn decides(&self) -> bool {
        self.heartbeats.borrow().is_some()
    }

    /// Who leads the quorum, and in which epoch, as far as this node knows.
    pub(super) fn leader(&self) -> (Option<BrokerId>, i32) {
        match &self.member {
            Some(member) => {
                let state = member.state();
                (state.leader, state.epoch)
            }
            None => self.learned.get(),
        }
    }

    /// Another node says who leads. What is older than what is known is passed over; somebody who does not answer any more is forgotten
    /// by `None` in the same epoch.
    pub(super) fn learn_leader(&self, leader: Option<BrokerId>, epoch: i32) {
        let (known, known_epoch) = self.learned.get();
        if epoch >= known_epoch && (leader, epoch) != (known, known_epoch) {
            self.learned.set((leader, epoch));
            self.leader_changed.notify_all();
        }
    }

    /// Another node says where a controller can be reached.
    pub(super) fn learn_endpoint(&self, id: BrokerId, host: &str, port: u16) {
        // Who are the voters is a setting; more than that nobody has to name.
        if self.fixed_voters.iter().any(|voter| voter.id == id) || host.is_empty() || port == 0 {
            return;
        }
        let mut endpoints = self.endpoints.borrow_mut();
        if endpoints.len() < MOST_CONTROLLERS || endpoints.contains_key(&id) {
            endpoints.insert(id, (host.to_owned(), port));
        }
    }

    /// Host and port of a controller.
    pub(super) fn endpoint_of(&self, id: BrokerId) -> Option<(String, u16)> {
        let voter = self.voters().into_iter().find(|voter| voter.id == id).map(|voter| (voter.host, voter.port));
        voter.or_else(|| self.endpoints.borrow().get(&id).cloned())
    }

    /// Whom to ask for the metadata as long as no leader is known.
    pub(super) fn contacts(&self) -> Vec<(String, u16)> {
        let voters = self.voters().into_iter().map(|voter| (voter.host, voter.port));
        let known = self.endpoints.borrow().values().cloned().collect::<Vec<_>>();
        let mut all: Vec<(String, u16)> = voters.chain(self.servers.iter().cloned()).chain(known).collect();
        all.sort();
        all.dedup();
        all
    }

    /// A broker was heard of, if this node decides.
    pub(super) fn contact(&self, request: &BrokerHeartbeatRequest, now_ms: u64) {
        if let Some(heartbeats) = self.heartbeats.borrow_mut().as_mut() {
            heartbeats.contact(BrokerId(request.broker_id), request.broker_epoch, now_ms);
        }
    }

    // ---- metadata ------------------------------------------------------------------------------------------------------------

    /// More is committed: `delta` is what is new in `image`.
    pub(super) fn learn(&self, image: Arc<MetadataImage>, delta: MetadataDelta) {
        let mut known = self.known.borrow_mut();
        assert!(image.next_offset() >= known.image.next_offset(), "the metadata went back");
        known.image = image;
        known.delta.merge(delta);
        drop(known);
        self.metadata_changed.notify_all();
    }

    /// The newest committed metadata.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.known.borrow().image.clone()
    }

    /// The metadata, for cores that have none yet. What comes from here on is published when [`Cluster::can_publish`] was called.
    pub(super) fn take_first(&self) -> Arc<MetadataImage> {
        let mut known = self.known.borrow_mut();
        known.delta = MetadataDelta::default();
        known.image.clone()
    }

    /// Every core has the metadata up to `end`, and can take what is new.
    pub(super) fn can_publish(&self, end: Offset) {
        self.may_publish.set(true);
        self.is_published(end);
    }

    /// What the cores do not have yet, if anything.
    pub(super) fn take_unpublished(&self) -> Option<(Arc<MetadataImage>, MetadataDelta)> {
        let mut known = self.known.borrow_mut();
        let is_due = self.may_publish.get() && known.image.next_offset() > self.published.get();
        is_due.then(|| (known.image.clone(), std::mem::take(&mut known.delta)))
    }

    /// Every core has the metadata up to `end`.
    pub(super) fn is_published(&self, end: Offset) {
        self.published.set(end);
        self.metadata_changed.notify_all();
    }

    /// Whether every core has the metadata up to `end`, or has none at all yet.
    pub(super) fn has_published(&self, end: Offset) -> bool {
        !self.may_publish.get() || self.published.get() >= end
    }

    /// Offset of the last record that the slowest core has applied; of the last one that is known, as long as the cores wait for their
    /// logs. -1 if there is none.
    pub(super) fn applied_offset(&self) -> i64 {
        let end = if self.may_publish.get() { self.published.get() } else { self.known.borrow().image.next_offset() };
        end.0 - 1
    }
}

/// Controllers that are remembered beside those of the settings.
const MOST_CONTROLLERS: usize = 100;

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    fn cluster(settings: &[(&str, &str)]) -> Cluster {
        let overrides: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (config, _) = BrokerConfig::load(None, &overrides).unwrap();
        Cluster::new(&config, "c", TopicId([7; 16]), None)
    }

    const OBSERVER: &[(&str, &str)] = &[
        ("process.roles", "broker"),
        ("node.id", "4"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", "1@one:9093,2@two:9093"),
    ];

    #[test]
    fn only_news_of_the_leader_is_taken() {
        let cluster = cluster(OBSERVER);
        cluster.learn_leader(Some(BrokerId(1)), 5);
        assert_eq!(cluster.leader(), (Some(BrokerId(1)), 5));
        cluster.learn_leader(Some(BrokerId(2)), 4);
        assert_eq!(cluster.leader(), (Some(BrokerId(1)), 5));
        cluster.learn_leader(None, 5);
        assert_eq!(cluster.leader(), (None, 5));
        cluster.learn_leader(Some(BrokerId(2)), 6);
        assert_eq!(cluster.leader(), (Some(BrokerId(2)), 6));
    }

    #[test]
    fn a_voters_setting_goes_before_what_others_say_of_it() {
        let cluster = cluster(OBSERVER);
        cluster.learn_endpoint(BrokerId(1), "elsewhere", 1);
        cluster.learn_endpoint(BrokerId(3), "three", 9093);
        assert_eq!(cluster.endpoint_of(BrokerId(1)), Some(("one".to_owned(), 9093)));
        assert_eq!(cluster.endpoint_of(BrokerId(3)), Some(("three".to_owned(), 9093)));
        assert_eq!(cluster.endpoint_of(BrokerId(4)), None);
        let hosts: Vec<_> = cluster.contacts().into_iter().map(|(host, _)| host).collect();
        assert_eq!(hosts, ["one", "three", "two"]);
    }

    #[test]
    fn what_is_not_published_is_gathered_and_a_broker_tells_what_its_cores_have() {
        let cluster = cluster(OBSERVER);
        let image = |end: i64| {
            let mut image = MetadataImage::default();
            image.advance_to(Offset(end), 1);
            Arc::new(image)
        };
        let brokers = |ids: &[i32]| MetadataDelta { brokers: ids.iter().copied().map(BrokerId).collect(), ..Default::default() };
        assert_eq!(cluster.applied_offset(), -1);
        cluster.learn(image(10), brokers(&[1]));
        assert!(cluster.take_unpublished().is_none() && cluster.has_published(Offset(10)));
        assert_eq!(cluster.image().next_offset(), Offset(10), "a controller answers from it before its cores have it");
        assert_eq!(cluster.applied_offset(), 9);
        let first = cluster.take_first();
        cluster.learn(image(11), brokers(&[2]));
        cluster.learn(image(12), brokers(&[3]));
        cluster.can_publish(first.next_offset());
        assert_eq!((cluster.applied_offset(), cluster.has_published(Offset(12))), (9, false));
        let (last, delta) = cluster.take_unpublished().unwrap();
        assert_eq!((last.next_offset(), delta), (Offset(12), brokers(&[2, 3])));
        cluster.is_published(Offset(12));
        assert!(cluster.take_unpublished().is_none() && cluster.has_published(Offset(12)));
        assert_eq!(cluster.applied_offset(), 11);
    }
}
