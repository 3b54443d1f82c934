//! Client quotas: one rate for a client over all cores.
//!
//! A client's connections are on any core, and what it may do in a second is one number. So each rate has a home core, found by the hash of
//! whom it is for; a core that has served such a client tells the home what it took, and the answer says how long the client has to
//! wait. Clients without a quota, which is nearly all of them, cost a look at a map that is empty.

use super::Shards;
use super::core::Core;
use super::message::Message;
use crate::controller::{CLIENT_ID, MetadataImage, QuotaEntity, USER};
use crate::io::reply;
use crate::quota::Rate;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Everybody, where nobody has to say who he is.
const ANONYMOUS: &str = "ANONYMOUS";
/// How long a rate is kept of which nothing is heard, in milliseconds.
const IDLE_MS: u64 = 3_600_000;
/// Longest wait for time of the processor, as in Kafka.
const MOST_REQUEST_WAIT_MS: u64 = 1_000;

/// What a quota is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum QuotaKind {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of fetch answers.
    Fetch,
    /// Time of a processor, in percent.
    Request,
}

impl QuotaKind {
    fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
        }
    }
}

/// Whose rate it is: the user and the client id as far as the quota names them.
pub(super) type Sharer = (QuotaKind, Option<Arc<str>>, Option<Arc<str>>);

/// What somebody took, told to the home of the rate.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) sharer: Sharer,
    pub(super) amount: f64,
    pub(super) bound: f64,
}

/// The rates of which a core is the home, and when each was last asked for.
#[derive(Default)]
pub(super) struct Rates(RefCell<BTreeMap<Sharer, (Rate, u64)>>);

/// The quota of a client, in Kafka's order of precedence, and who shares it.
fn quota_of(image: &MetadataImage, kind: QuotaKind, client: &str) -> Option<(f64, Sharer)> {
    let quotas = image.quotas();
    if quotas.is_empty() {
        return None;
    }
    let (user, client): (Arc<str>, Arc<str>) = (Arc::from(ANONYMOUS), Arc::from(client));
    // Of each: not named, by default, by name.
    let named = |user: Option<Option<&Arc<str>>>, client: Option<Option<&Arc<str>>>| {
        let mut entity = QuotaEntity::new();
        entity.extend(user.map(|name| (Arc::from(USER), name.cloned())));
        entity.extend(client.map(|name| (Arc::from(CLIENT_ID), name.cloned())));
        entity
    };
    let (by_user, by_client) = (Some(Some(&user)), Some(Some(&client)));
    let order = [
        (by_user, by_client),
        (by_user, Some(None)),
        (by_user, None),
        (Some(None), by_client),
        (Some(None), Some(None)),
        (Some(None), None),
        (None, by_client),
        (None, Some(None)),
    ];
    order.into_iter().find_map(|(of_user, of_client)| {
        let bound = *quotas.get(&named(of_user, of_client))?.get(kind.key())?;
        Some((bound, (kind, of_user.map(|_| user.clone()), of_client.map(|_| client.clone()))))
    })
}

impl Shards {
    /// A client took so much; milliseconds that it has to wait, 0 if it has no quota or is below it.
    pub async fn charge(&self, kind: QuotaKind, client: &str, amount: f64) -> u64 {
        let Some((bound, sharer)) = quota_of(&self.image(), kind, client) else { return 0 };
        let mut hasher = DefaultHasher::new();
        sharer.hash(&mut hasher);
        let home = (hasher.finish() % self.core().cores() as u64) as usize;
        let charge = Charge { sharer, amount, bound };
        if home == self.core().index {
            return self.core().take_charge(charge);
        }
        let (sender, answer) = reply();
        self.core().send(home, Message::Charge { charge, reply: sender });
        // A core that stops lets everybody go.
        answer.await.unwrap_or(0)
    }

    /// Whether a client has a quota of a kind, and how much it allows in a second.
    pub fn quota(&self, kind: QuotaKind, client: &str) -> Option<f64> {
        quota_of(&self.image(), kind, client).map(|(bound, _)| bound)
    }
}

impl Core {
    pub(super) fn take_charge(&self, charge: Charge) -> u64 {
        let now_ms = self.io.now().0 / 1_000_000;
        let mut rates = self.rates.0.borrow_mut();
        if rates.len() > 10_000 {
            rates.retain(|_, (_, asked_ms)| now_ms - *asked_ms < IDLE_MS);
        }
        let kind = charge.sharer.0;
        let (rate, asked_ms) = rates.entry(charge.sharer).or_default();
        *asked_ms = now_ms;
        rate.record(charge.amount, now_ms);
        let wait_ms = rate.throttle_ms(charge.bound, now_ms);
        if kind == QuotaKind::Request { wait_ms.min(MOST_REQUEST_WAIT_MS) } else { wait_ms }
    }
}
