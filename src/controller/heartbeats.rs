//! What brokers tell by the way: when each was heard of, and how far it has read the metadata.
//!
//! A heartbeat every two seconds from every broker is too much to commit, so this stands beside the image, in the memory of the
//! controller that leads. A new leader knows nothing of it and gives every broker a new session: a dead one is found out later, a living
//! one never loses its leaderships by the change.
//!
//! It is pure. Whoever runs the controller calls [`Heartbeats::contact`] as soon as a heartbeat is read, so that a long queue of decisions
//! fences nobody, [`Heartbeats::heard`] once the heartbeat is decided and committed, [`Heartbeats::follow`] after every commit, and
//! [`Heartbeats::tick`] from time to time.

use super::apply::MetadataDelta;
use super::image::{Broker, MetadataImage};
use crate::model::BrokerId;
use crate::protocol::generated::BrokerHeartbeatRequest;
use std::collections::BTreeMap;

/// The brokers of a cluster as the leading controller hears of them. Times are milliseconds of a clock that does not go back.
#[derive(Clone, PartialEq, Debug)]
pub struct Heartbeats {
    session_timeout_ms: u64,
    /// The registered brokers.
    brokers: BTreeMap<BrokerId, Heard>,
}

#[derive(Clone, PartialEq, Debug)]
struct Heard {
    epoch: i64,
    fenced: bool,
    /// Offset of the registration, or a later one.
    registered_at: i64,
    /// Start of the session; none if it has ended, or never began.
    contact_ms: Option<u64>,
    /// How often it was heard of.
    contacts: u64,
    /// Its process is known to be gone: the session is over, and nobody was told yet.
    is_gone: bool,
    /// Offset of the last record that the broker has applied; -1 if it has not told.
    metadata_offset: i64,
    /// In controlled shutdown: the offset that all others must have read before it goes.
    shutdown_offset: Option<i64>,
}

impl Heard {
    fn of(broker: &Broker, last_offset: i64) -> Self {
        Self {
            epoch: broker.epoch,
            fenced: broker.fenced,
            registered_at: last_offset,
            contact_ms: None,
            contacts: 0,
            is_gone: false,
            metadata_offset: -1,
            shutdown_offset: None,
        }
    }
}

/// What a broker does, as the controller sees it (KIP-631).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BrokerState {
    /// It may not lead.
    Fenced,
    /// It serves.
    Unfenced,
    /// It gives its leaderships away before it goes.
    ControlledShutdown,
    /// It may go; it is fenced.
    ShutdownNow,
}

impl BrokerState {
    pub(super) fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }

    /// The state that follows from a heartbeat. `leads` is asked only where it matters.
    ///
    /// | State | Heartbeat | Next |
    /// |---|---|---|
    /// | fenced | wants to stop | may go |
    /// | fenced | is ready and has read its registration | unfenced |
    /// | unfenced | is not ready | fenced; may go, if it wants to stop |
    /// | unfenced | wants to stop | may go if it leads nothing, else controlled shutdown |
    /// | controlled shutdown | any, leads nothing, and the others know of it | may go |
    pub(super) fn next(self, request: &BrokerHeartbeatRequest, news: &News, leads: impl Fn() -> bool) -> Self {
        match (self, request.want_fence, request.want_shut_down) {
            (Self::Fenced, _, true) | (Self::Unfenced, true, true) | (Self::ShutdownNow, ..) => Self::ShutdownNow,
            (Self::Fenced, false, false) if news.is_caught_up => Self::Unfenced,
            (Self::Fenced, ..) | (Self::Unfenced, true, false) => Self::Fenced,
            (Self::Unfenced, false, false) => Self::Unfenced,
            (Self::Unfenced, false, true) if leads() => Self::ControlledShutdown,
            (Self::Unfenced, false, true) => Self::ShutdownNow,
            (Self::ControlledShutdown, ..) if leads() || !news.others_know => Self::ControlledShutdown,
            (Self::ControlledShutdown, ..) => Self::ShutdownNow,
        }
    }
}

/// What a heartbeat means beside what is known of the broker that sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct News {
    /// The broker's state before it.
    pub(super) state: BrokerState,
    /// The broker has applied its own registration.
    pub(super) is_caught_up: bool,
    /// Every active broker has applied what moved this one's leaderships away.
    pub(super) others_know: bool,
}

impl Heartbeats {
    /// Begins to lead at `now_ms`: every broker that is not fenced has a new session.
    pub fn new(image: &MetadataImage, session_timeout_ms: u64, now_ms: u64) -> Self {
        let last_offset = image.next_offset().0 - 1;
        let heard = |broker: &Broker| Heard { contact_ms: (!broker.fenced).then_some(now_ms), ..Heard::of(broker, last_offset) };
        let brokers = image.brokers().map(|broker| (broker.id, heard(broker))).collect();
        Self { session_timeout_ms, brokers }
    }

    /// The broker was heard of.
    pub fn contact(&mut self, broker: BrokerId, epoch: i64, now_ms: u64) {
        if let Some(heard) = self.of(broker, epoch) {
            (heard.contact_ms, heard.is_gone) = (Some(now_ms), false);
            heard.contacts += 1;
        }
    }

    /// How often a broker that has a session was heard of in it.
    pub fn contacts(&self, broker: BrokerId, epoch: i64) -> Option<u64> {
        let heard = self.brokers.get(&broker).filter(|heard| heard.epoch == epoch && heard.contact_ms.is_some())?;
        Some(heard.contacts)
    }

    /// The process of the broker was found to be gone by somebody who had reason to look when it had been heard of so often: its session is
    /// over, unless it was heard of again. Whether it is.
    pub fn is_gone(&mut self, broker: BrokerId, epoch: i64, contacts: u64) -> bool {
        let is_missing = self.contacts(broker, epoch) == Some(contacts);
        if let Some(heard) = self.of(broker, epoch).filter(|_| is_missing) {
            heard.is_gone = true;
        }
        is_missing
    }

    /// Whether [`Heartbeats::tick`] has something to say before any session is over by time.
    pub(super) fn is_any_gone(&self) -> bool {
        self.brokers.values().any(|heard| heard.is_gone)
    }

    /// Takes in what has been committed: `delta` is what it has changed in `image`.
    pub fn follow(&mut self, image: &MetadataImage, delta: &MetadataDelta) {
        let last_offset = image.next_offset().0 - 1;
        for id in &delta.brokers {
            let Some(broker) = image.broker(*id) else {
                self.brokers.remove(id);
                continue;
            };
            let heard = self.brokers.entry(*id).or_insert_with(|| Heard::of(broker, last_offset));
            if heard.epoch != broker.epoch {
                // Another incarnation: the registration is the last record of what was committed.
                *heard = Heard::of(broker, last_offset);
            }
            heard.fenced = broker.fenced;
            if broker.fenced {
                // It has left controlled shutdown: its next wish to stop is granted at once.
                heard.shutdown_offset = None;
            }
        }
    }

    /// Takes in a heartbeat whose decision is in `image`, together with [`Heartbeats::follow`].
    pub fn heard(&mut self, image: &MetadataImage, request: &BrokerHeartbeatRequest) {
        let id = BrokerId(request.broker_id);
        let Some(heard) = self.of(id, request.broker_epoch) else { return };
        heard.metadata_offset = request.current_metadata_offset;
        let is_leaving = image.broker(id).is_some_and(|broker| !broker.fenced && broker.in_controlled_shutdown);
        if is_leaving && request.want_shut_down && heard.shutdown_offset.is_none() {
            heard.shutdown_offset = Some(image.next_offset().0 - 1);
        }
        if heard.fenced && request.want_shut_down {
            // It goes, and whoever is started in its place need not wait for the end of a session.
            (heard.contact_ms, heard.is_gone) = (None, false);
        }
    }

    /// A broker that is gone, or was not heard of for too long, with its epoch, to be fenced. One at a time, so that the next is decided on with
    /// this one's leaderships moved; with one there may be more.
    pub fn tick(&mut self, now_ms: u64) -> Option<(BrokerId, i64)> {
        let timeout = self.session_timeout_ms;
        for (id, heard) in &mut self.brokers {
            if heard.is_gone || heard.contact_ms.is_some_and(|contact| is_over(contact, timeout, now_ms)) {
                (heard.contact_ms, heard.is_gone) = (None, false);
                if !heard.fenced {
                    return Some((*id, heard.epoch));
                }
            }
        }
        None
    }

    /// Whether the broker was heard of lately.
    pub fn has_session(&self, broker: BrokerId, epoch: i64, now_ms: u64) -> bool {
        let heard = self.brokers.get(&broker).filter(|heard| heard.epoch == epoch && !heard.is_gone);
        heard.and_then(|heard| heard.contact_ms).is_some_and(|contact| !is_over(contact, self.session_timeout_ms, now_ms))
    }

    /// What a heartbeat says; `None` if the broker or its epoch is not known.
    pub(super) fn news(&self, request: &BrokerHeartbeatRequest) -> Option<News> {
        let heard = self.brokers.get(&BrokerId(request.broker_id)).filter(|heard| heard.epoch == request.broker_epoch)?;
        let state = match heard.shutdown_offset {
            _ if heard.fenced => BrokerState::Fenced,
            None => BrokerState::Unfenced,
            Some(_) => BrokerState::ControlledShutdown,
        };
        Some(News {
            state,
            is_caught_up: request.current_metadata_offset >= heard.registered_at,
            others_know: heard.shutdown_offset.is_none_or(|offset| offset <= self.lowest_active_offset()),
        })
    }

    /// What every broker has read that serves and is not about to stop.
    fn lowest_active_offset(&self) -> i64 {
        let active = self.brokers.values().filter(|heard| !heard.fenced && heard.shutdown_offset.is_none());
        active.map(|heard| heard.metadata_offset).min().unwrap_or(i64::MAX)
    }

    fn of(&mut self, broker: BrokerId, epoch: i64) -> Option<&mut Heard> {
        self.brokers.get_mut(&broker).filter(|heard| heard.epoch == epoch)
    }
}

fn is_over(contact_ms: u64, timeout_ms: u64, now_ms: u64) -> bool {
    contact_ms.saturating_add(timeout_ms) < now_ms
}
