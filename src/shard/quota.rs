//! Client quotas: one rate for a client over all cores.
//!
//! A client's connections are on any core, and what it may do in a second is one number. So each rate has a home core, found by the
//! hash of whom it is for; a core that has served such a client tells the home what it took, and the answer says how long the client
//! has to wait. Partitions that are created and deleted are counted where that is decided, on the controller's core. Clients without a
//! quota, which is nearly all of them, cost a look at a map that is empty.

use super::Shards;
use super::core::{Core, FIRST_CORE};
use super::message::Message;
use crate::access::quota::{Bucket, Rate};
use crate::controller::{Allowance, CLIENT_ID, Command, MetadataImage, QuotaEntity, Reply, USER};
use crate::io::reply;
use crate::quorum::Executed;
use crate::shard::Stopping;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Everybody, where nobody has to say who he is.
const ANONYMOUS: &str = "ANONYMOUS";
/// Rates, or buckets, beyond which those are looked for that hold nothing.
const MANY: usize = 10_000;
/// Longest wait for time of a processor, as in Kafka.
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
    /// Partitions that are created and deleted.
    ControllerMutation,
}

impl QuotaKind {
    fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
            Self::ControllerMutation => "controller_mutation_rate",
        }
    }
}

/// Whose rate it is: hashes of the user and of the client id, as far as the quota tells them apart. A name may be as long as a client
/// likes, and who wants to share somebody's quota can as well use his name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Sharer {
    kind: QuotaKind,
    user: Option<u64>,
    client: Option<u64>,
}

/// A quota that somebody has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    sharer: Sharer,
    /// Amount a second.
    bound: f64,
}

/// What somebody took, told to the home of the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    quota: Quota,
    amount: f64,
}

/// What a request may change that creates or deletes partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mutations {
    quota: Quota,
    /// Whether it is refused what it may not, or done and made to wait.
    is_strict: bool,
}

/// The rates and buckets of which a core is the home.
#[derive(Default)]
pub(super) struct Rates {
    rates: RefCell<BTreeMap<Sharer, Rate>>,
    /// Each with the bound that it is filled by.
    buckets: RefCell<BTreeMap<Sharer, (Bucket, f64)>>,
}

/// Milliseconds as the field of an answer has them.
pub fn in_field(wait_ms: u64) -> i32 {
    i32::try_from(wait_ms).unwrap_or(i32::MAX)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The quota of a client, in Kafka's order of precedence, and who shares it.
fn quota_of(image: &MetadataImage, kind: QuotaKind, client: &str) -> Option<Quota> {
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
        let sharer = Sharer { kind, user: of_user.map(|_| hash(&user)), client: of_client.map(|_| hash(&client)) };
        Some(Quota { sharer, bound })
    })
}

impl Shards {
    /// Whether anybody has a quota.
    pub fn has_quotas(&self) -> bool {
        !self.core().image.borrow().quotas().is_empty()
    }

    /// A client took so much; milliseconds that it has to wait, 0 if it has no quota or is below it. What is fetched is not sent when
    /// there is a wait, and so is not counted then.
    pub async fn charge(&self, kind: QuotaKind, client: &str, amount: f64) -> u64 {
        let Some(quota) = quota_of(&self.image(), kind, client) else { return 0 };
        let mut hasher = DefaultHasher::new();
        quota.sharer.hash(&mut hasher);
        let home = (hasher.finish() % self.core().cores() as u64) as usize;
        let charge = Charge { quota, amount };
        if home == self.core().index {
            return self.core().take_charge(charge);
        }
        let (sender, answer) = reply();
        self.core().send(home, Message::Charge { charge, reply: sender });
        // A core that stops lets everybody go.
        answer.await.unwrap_or(0)
    }

    /// The most that a client may take in one go: what its quota allows over all windows. `None`: it has no quota.
    pub fn most_at_once(&self, kind: QuotaKind, client: &str) -> Option<f64> {
        let whole_ms = self.core().settings.quota_windows.whole_ms();
        quota_of(&self.image(), kind, client).map(|quota| quota.bound * whole_ms as f64 / 1e3)
    }

    /// As [`Shards::controller`], for a client whose changes of partitions are counted. A strict request is refused what is too much
    /// (`THROTTLING_QUOTA_EXCEEDED`, of each topic); otherwise it is done. The answer says how long the client has to wait.
    pub fn controller_for(
        &self,
        client: &str,
        is_strict: bool,
        command: Command,
    ) -> impl Future<Output = Result<Reply, Stopping>> + use<> {
        let mutations = self.mutations(client, is_strict);
        let (reply, answer) = reply();
        self.core().send(FIRST_CORE, Message::Controller { command, mutations, reply });
        async move { answer.await.unwrap_or(Err(Stopping)) }
    }

    /// The same for what other nodes ask of this one's controller: it is decided here or not at all.
    pub fn controller_here(
        &self,
        client: &str,
        is_strict: bool,
        command: Command,
    ) -> impl Future<Output = Result<Reply, Stopping>> + use<> {
        let mutations = self.mutations(client, is_strict);
        let (reply, answer) = reply();
        self.core().send(FIRST_CORE, Message::ControllerHere { command, mutations, reply });
        async move { answer.await.unwrap_or(Err(Stopping)) }
    }

    fn mutations(&self, client: &str, is_strict: bool) -> Option<Mutations> {
        quota_of(&self.image(), QuotaKind::ControllerMutation, client).map(|quota| Mutations { quota, is_strict })
    }
}

impl Core {
    /// The clock in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.io.now().0 / 1_000_000
    }

    pub(super) fn take_charge(&self, charge: Charge) -> u64 {
        let (now_ms, windows) = (self.now_ms(), self.settings.quota_windows);
        let mut rates = self.rates.rates.borrow_mut();
        if rates.len() >= MANY && !rates.contains_key(&charge.quota.sharer) {
            rates.retain(|_, rate| !rate.is_blank(windows, now_ms));
        }
        let Charge { quota: Quota { sharer, bound }, amount } = charge;
        let rate = rates.entry(sharer).or_default();
        rate.record(amount, windows, now_ms);
        let wait_ms = rate.throttle_ms(bound, windows, now_ms);
        match sharer.kind {
            QuotaKind::Fetch if wait_ms > 0 => rate.record(-amount, windows, now_ms),
            QuotaKind::Request => return wait_ms.min(MOST_REQUEST_WAIT_MS),
            _ => {}
        }
        wait_ms
    }

    /// What a client may change now.
    pub(super) fn allowance(&self, mutations: Option<Mutations>) -> Allowance {
        let Some(Mutations { quota, is_strict }) = mutations else { return Allowance::default() };
        self.with_bucket(quota, |bucket, now_ms| {
            Allowance::new(bucket.tokens(quota.bound, self.settings.mutation_windows, now_ms), is_strict)
        })
    }

    /// Counts what a client has changed; the answer says for how long it has to wait.
    pub(super) fn take_mutations(&self, mutations: Option<Mutations>, executed: &mut Executed) {
        let Some(Mutations { quota, .. }) = mutations else { return };
        let (windows, allowance) = (self.settings.mutation_windows, executed.allowance);
        let wait_ms = self.with_bucket(quota, |bucket, now_ms| {
            bucket.spend(allowance.spent() as f64, quota.bound, windows, now_ms);
            if allowance.is_to_wait() { bucket.throttle_ms(quota.bound, windows, now_ms) } else { 0 }
        });
        executed.reply.set_throttle_time_ms(in_field(wait_ms));
    }

    fn with_bucket<T>(&self, Quota { sharer, bound }: Quota, work: impl FnOnce(&mut Bucket, u64) -> T) -> T {
        let (now_ms, windows) = (self.now_ms(), self.settings.mutation_windows);
        let mut buckets = self.rates.buckets.borrow_mut();
        if buckets.len() >= MANY && !buckets.contains_key(&sharer) {
            buckets.retain(|_, (bucket, bound)| !bucket.is_blank(*bound, windows, now_ms));
        }
        let (bucket, filled_by) = buckets.entry(sharer).or_insert_with(|| (Bucket::new(bound, windows, now_ms), bound));
        *filled_by = bound;
        work(bucket, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Loader;
    use crate::model::Offset;
    use crate::protocol::MetadataRecord;
    use crate::protocol::generated::ClientQuotaRecord;
    use crate::protocol::generated::client_quota_record::EntityData;

    fn image(quotas: &[(&[(&str, Option<&str>)], f64)]) -> MetadataImage {
        let record = |(entity, value): &(&[(&str, Option<&str>)], f64)| {
            let part = |(kind, name): &(&str, Option<&str>)| EntityData {
                entity_type: (*kind).into(),
                entity_name: name.map(Into::into),
                ..EntityData::default()
            };
            let entity = entity.iter().map(part).collect();
            let key = QuotaKind::Produce.key().into();
            MetadataRecord::from(ClientQuotaRecord { entity, key, value: *value, ..ClientQuotaRecord::default() })
        };
        let records: Vec<_> = quotas.iter().map(record).collect();
        let mut loader = Loader::default();
        loader.load(&records, Offset(records.len() as i64), 1).unwrap();
        (**loader.image()).clone()
    }

    #[test]
    fn the_most_precise_quota_counts_and_tells_clients_apart_by_what_it_names() {
        let bound = |quotas: &[(&[(&str, Option<&str>)], f64)]| {
            quota_of(&image(quotas), QuotaKind::Produce, "c")
                .map(|quota| (quota.bound, quota.sharer.user.is_some(), quota.sharer.client.is_some()))
        };
        let all: [(&[(&str, Option<&str>)], f64); 8] = [
            (&[(CLIENT_ID, None)], 1.0),
            (&[(CLIENT_ID, Some("c"))], 2.0),
            (&[(USER, None)], 3.0),
            (&[(USER, None), (CLIENT_ID, None)], 4.0),
            (&[(USER, None), (CLIENT_ID, Some("c"))], 5.0),
            (&[(USER, Some(ANONYMOUS))], 6.0),
            (&[(USER, Some(ANONYMOUS)), (CLIENT_ID, None)], 7.0),
            (&[(USER, Some(ANONYMOUS)), (CLIENT_ID, Some("c"))], 8.0),
        ];
        assert_eq!(bound(&[]), None);
        for (count, (entity, value)) in (1..).zip(all) {
            let shared = (entity.iter().any(|(kind, _)| *kind == USER), entity.iter().any(|(kind, _)| *kind == CLIENT_ID));
            assert_eq!(bound(&all[..count]), Some((value, shared.0, shared.1)), "{entity:?}");
        }
        assert_eq!(bound(&[(&[(CLIENT_ID, Some("other"))], 1.0), (&[(USER, Some("somebody"))], 1.0)]), None);
        let image = image(&[(&[(CLIENT_ID, None)], 1.0)]);
        let of = |client| quota_of(&image, QuotaKind::Produce, client).unwrap().sharer;
        assert_ne!(of("a"), of("b"), "each client has the default for itself");
        assert!(quota_of(&image, QuotaKind::Fetch, "a").is_none());
    }
}
