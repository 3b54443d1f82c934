//! Whether a broker is gone, found out sooner than by its silence.
//!
//! **The problem.** A broker that is not heard of may be dead, paused, slow, or cut off. Its session gives it seconds to be heard of again,
//! for which nobody can write to what it leads. Where its process has ended, waiting gains nothing: it will not come back as who it was.
//!
//! **The design that follows.** The kernel says that a process has ended, in two ways that together are hard to come by otherwise: it closes
//! the connection by which the heartbeats came, and it refuses connections to where the process was listening. So when such a connection is
//! closed by its other end, the controller that leads connects to the broker. Refusals in a row over [a while](PAUSES_MS), and no heartbeat by
//! another connection meanwhile: the broker is gone, its session is over, and it is fenced as if it had been silent for too long. Anything
//! else says nothing, and the session decides:
//! - a paused process closes nothing, and its kernel takes connections for it;
//! - a cut link closes nothing, and what is sent into it is neither taken nor refused;
//! - a broker that lives and whose address refuses (it is that of a translator or of a proxy) goes on with its heartbeats by a new connection
//!   at once; so does one whose connection was merely broken, and it takes ours;
//! - a process that ends may take connections while it is being taken down, so one that was taken is followed by another look;
//! - who was started in its place registers under another epoch, and what was found out about the old one does not touch it. It may do so
//!   as soon as the old one is gone: whoever registers while a session lasts has to wait for its end, unless he is where the old one was,
//!   whose log directories and address one process has at a time (`controller::brokers`). That is what a process that is started again
//!   at once does, before anybody is refused.
//!
//! A controller that begins to lead knows no connections. It looks at every broker once, for the node of the controller before it may have
//! died as a broker, too. Being wrong would cost little: who is fenced by mistake loses what it leads and no record, and its next
//! heartbeat brings it back.

use crate::controller::MetadataImage;
use crate::io::{Mono, Notify};
use crate::model::BrokerId;
use crate::shard::Shards;
use crate::shard::core::{Core, FIRST_CORE};
use crate::shard::message::Message;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Pauses before each look.
const PAUSES_MS: [u64; 5] = [0, 50, 50, 50, 100];
/// Refusals in a row that say that a process is gone. They leave a broker that lives the time to be heard of again.
const REFUSALS: u32 = 3;
/// How long a connection may take to be made or refused. Whoever needs longer is not found out by refusals.
const LOOK_LIMIT: Duration = Duration::from_millis(200);
/// Connections that are being tried at once: each takes a descriptor.
const MOST_LOOKS: usize = 16;

/// Brokers whose connections are remembered: many more than a cluster has, whatever somebody says of himself.
const MOST_LINES: usize = 10_000;

/// A connection by which heartbeats come: the core that it is on, and its number there.
pub type HeartbeatLine = (usize, u64);

/// Brokers that are looked at.
#[derive(Default)]
pub(in crate::shard) struct Suspects {
    /// The newest connection of each broker. The end of an older one says nothing.
    lines: RefCell<BTreeMap<BrokerId, HeartbeatLine>>,
    under_way: RefCell<BTreeSet<Suspect>>,
    looks: Cell<usize>,
    one_less: Notify,
}

/// One that may be gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    broker: BrokerId,
    epoch: i64,
    /// How often it had been heard of when there was reason to look; a heartbeat after that clears it.
    contacts: u64,
}

/// What a look at a broker has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    /// Nobody listens, at none of its addresses.
    Refused,
    /// A connection was made.
    Taken,
    /// Neither.
    Nothing,
}

impl Shards {
    /// A heartbeat of a broker comes by a connection by which none came before.
    pub fn heartbeats_begin(&self, broker: BrokerId, line: HeartbeatLine) {
        self.core().send(FIRST_CORE, Message::HeartbeatsBegin { broker, line });
    }

    /// The connection by which the heartbeats of a broker came was closed by its other end.
    pub fn heartbeats_ended(&self, broker: BrokerId, epoch: i64, line: HeartbeatLine) {
        self.core().send(FIRST_CORE, Message::HeartbeatsEnded { broker, epoch, line });
    }
}

impl Core {
    pub(in crate::shard) fn heartbeats_begin(&self, broker: BrokerId, line: HeartbeatLine) {
        let Some(cluster) = self.cluster.get() else { return };
        let mut lines = cluster.suspects.lines.borrow_mut();
        if lines.len() < MOST_LINES || lines.contains_key(&broker) {
            lines.insert(broker, line);
        }
    }

    pub(in crate::shard) fn heartbeats_ended(self: &Rc<Self>, broker: BrokerId, epoch: i64, line: HeartbeatLine) {
        let Some(cluster) = self.cluster.get() else { return };
        let is_newest = cluster.suspects.lines.borrow().get(&broker) == Some(&line);
        if is_newest {
            cluster.suspects.lines.borrow_mut().remove(&broker);
            self.suspect(broker, epoch);
        }
    }

    /// This node begins to lead: whoever is not there any more has not told it.
    pub(super) fn suspect_all(self: &Rc<Self>, image: &MetadataImage) {
        for broker in image.brokers().filter(|broker| !broker.fenced) {
            self.suspect(broker.id, broker.epoch);
        }
    }

    /// There is reason to look whether a broker is there.
    fn suspect(self: &Rc<Self>, broker: BrokerId, epoch: i64) {
        let cluster = self.in_cluster();
        let contacts = self.contacts(broker, epoch);
        let Some(contacts) = contacts.filter(|_| self.config.fence_on_refusal_enable() && broker != cluster.node) else { return };
        let suspect = Suspect { broker, epoch, contacts };
        if cluster.suspects.under_way.borrow_mut().insert(suspect) {
            let core = self.clone();
            self.io.spawn(async move {
                core.look_after(suspect).await;
                core.in_cluster().suspects.under_way.borrow_mut().remove(&suspect);
            });
        }
    }

    /// How often a broker was heard of that has a session, if this node decides.
    fn contacts(&self, broker: BrokerId, epoch: i64) -> Option<u64> {
        self.in_cluster().heartbeats.borrow().as_ref()?.contacts(broker, epoch)
    }

    async fn look_after(self: &Rc<Self>, suspect: Suspect) {
        let Suspect { broker, epoch, contacts } = suspect;
        let (began, mut refusals) = (self.io.now(), 0);
        for pause_ms in PAUSES_MS {
            self.io.sleep(Duration::from_millis(pause_ms)).await;
            if self.is_stopping() || self.contacts(broker, epoch) != Some(contacts) {
                return;
            }
            match self.look_at(broker).await {
                Seen::Refused => refusals += 1,
                Seen::Taken => refusals = 0,
                Seen::Nothing => return,
            }
            if refusals == REFUSALS {
                break;
            }
        }
        let mut heartbeats = self.in_cluster().heartbeats.borrow_mut();
        if refusals == REFUSALS && heartbeats.as_mut().is_some_and(|heartbeats| heartbeats.is_gone(broker, epoch, contacts)) {
            let found_ms = self.io.now().since(began).as_millis() as u64;
            tracing::warn!(%broker, epoch, found_ms, "a broker is gone: it has closed its connection, and nobody listens where it was");
            self.controller.changed.notify_all();
        }
    }

    /// Connects to where other brokers reach this one; a controller that does not know which of its listeners that is tries all.
    async fn look_at(&self, broker: BrokerId) -> Seen {
        let _look = self.begin_look().await;
        let image = self.in_cluster().image();
        let Some(broker) = image.broker(broker) else { return Seen::Nothing };
        let endpoints: Vec<_> = match broker.endpoint(&self.settings.inter_broker_listener) {
            Some(endpoint) => vec![endpoint],
            None => broker.endpoints.iter().collect(),
        };
        let until = self.io.now().after(LOOK_LIMIT);
        let mut seen = Seen::Nothing;
        for endpoint in endpoints {
            let addresses =
                match select(pin!(self.io.resolve(&endpoint.host, endpoint.port)), pin!(self.io.sleep_until(until))).await {
                    Either::Left((Ok(addresses), _)) => addresses,
                    _ => return Seen::Nothing,
                };
            for address in addresses {
                seen = self.knock(address, until).await;
                if seen != Seen::Refused {
                    return seen;
                }
            }
        }
        seen
    }

    async fn knock(&self, address: SocketAddr, until: Mono) -> Seen {
        match select(pin!(self.io.connect(address)), pin!(self.io.sleep_until(until))).await {
            Either::Left((Ok(_), _)) => Seen::Taken,
            Either::Left((Err(error), _)) if error.kind() == ErrorKind::ConnectionRefused => Seen::Refused,
            _ => Seen::Nothing,
        }
    }

    async fn begin_look(&self) -> Look<'_> {
        let suspects = &self.in_cluster().suspects;
        while suspects.looks.get() >= MOST_LOOKS {
            suspects.one_less.notified().await;
        }
        suspects.looks.set(suspects.looks.get() + 1);
        Look(suspects)
    }
}

/// One of [`MOST_LOOKS`].
struct Look<'a>(&'a Suspects);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.looks.set(self.0.looks.get() - 1);
        self.0.one_less.notify_all();
    }
}
