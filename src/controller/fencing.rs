//! Heartbeats of brokers, and what becomes of partitions when a broker is fenced, unfenced, goes, or loses a log directory.
//!
//! Whoever may not serve any more leaves every ISR and gives up what it leads. Fencing writes the changes of the partitions first and
//! the broker's own last, unfencing the reverse: if only the first batches of many are committed, the broker is still seen as what it
//! was, or as unfenced with partitions left to do, and the next heartbeat or check goes on from there.

use super::heartbeats::BrokerState;
use super::image::{Broker, MetadataImage, Partition};
use super::partition_change::{PartitionChange, TopicRules};
use super::{Context, Decision, MetadataDelta, Refusal, Reply, batches};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationChangeRecord};

/// What happens to a broker, as far as partitions are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// It may not lead or be in an ISR any more.
    Leaves(BrokerId),
    /// As `Leaves`, and its logs may have lost their ends.
    StoppedUncleanly(BrokerId),
    /// It may lead.
    Comes(BrokerId),
}

/// The changes of all partitions that `concerns` picks.
pub(super) fn partition_changes(
    image: &MetadataImage,
    event: Event,
    context: &Context<'_>,
    concerns: impl Fn(&Partition) -> bool,
) -> Vec<MetadataRecord> {
    let mut records = vec![];
    for topic in image.topics() {
        let mut rules = None;
        for (index, partition) in topic.partitions.iter().filter(|(_, partition)| concerns(partition)) {
            let rules = *rules.get_or_insert_with(|| TopicRules::of(image, topic, context));
            let mut change = PartitionChange::new(image, rules, topic.id, *index, partition);
            change.election = rules.election();
            match event {
                Event::Leaves(broker) => change.remove(broker),
                Event::StoppedUncleanly(broker) => change.remove_unclean(broker),
                Event::Comes(broker) => change.accept(broker),
            }
            records.extend(change.build().map(MetadataRecord::from));
        }
    }
    records
}

/// Checks that a broker speaks in the epoch in which it is registered, as Kafka's controller checks every request of a broker.
pub(super) fn check_broker_epoch(image: &MetadataImage, id: i32, epoch: i64) -> Result<&Broker, Refusal> {
    let stale = |text: String| Refusal::new(ErrorCode::StaleBrokerEpoch, text);
    let broker = image.broker(BrokerId(id)).ok_or_else(|| stale(format!("broker {id} is not registered")))?;
    match broker.epoch == epoch {
        true => Ok(&**broker),
        false => Err(stale(format!("broker {id} has epoch {}, not {epoch}", broker.epoch))),
    }
}

/// Whether a heartbeat may change the state of a broker, for which all partitions are looked through.
pub(super) fn is_a_change(image: &MetadataImage, request: &BrokerHeartbeatRequest) -> bool {
    let is_fenced = image.broker(BrokerId(request.broker_id)).is_some_and(|broker| broker.fenced);
    request.want_fence != is_fenced || request.want_shut_down || !request.offline_log_dirs.is_empty()
}

/// Decides on BrokerHeartbeat.
pub(super) fn heartbeat(image: &MetadataImage, request: &BrokerHeartbeatRequest, context: &Context<'_>) -> Decision {
    match hear(image, request, context) {
        Ok((records, response)) => Decision { batches: batches(records), reply: Reply::BrokerHeartbeat(response) },
        Err(Refusal(code, _)) => {
            let response = BrokerHeartbeatResponse { error_code: code.code(), ..BrokerHeartbeatResponse::default() };
            Decision { batches: vec![], reply: Reply::BrokerHeartbeat(response) }
        }
    }
}

fn hear(
    image: &MetadataImage,
    request: &BrokerHeartbeatRequest,
    context: &Context<'_>,
) -> Result<(Vec<MetadataRecord>, BrokerHeartbeatResponse), Refusal> {
    let Some(cluster) = context.cluster else {
        return Err(Refusal::new(ErrorCode::NotController, "a broker that is alone has no heartbeats"));
    };
    let broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)?;
    let unheard = || Refusal::new(ErrorCode::StaleBrokerEpoch, "the registration is not known yet");
    let news = cluster.heartbeats.news(request).ok_or_else(unheard)?;
    let next = match news.state.next(request, &news, || leads_anything(image, broker.id)) {
        // That it goes cannot be taken back in the log: only a new registration brings it back.
        BrokerState::Unfenced if news.state == BrokerState::Fenced && broker.in_controlled_shutdown => BrokerState::Fenced,
        next => next,
    };
    let mut records = match next {
        same if same == news.state => vec![],
        BrokerState::Fenced | BrokerState::ShutdownNow => fence(image, broker, context),
        BrokerState::Unfenced => unfence(image, broker, context),
        BrokerState::ControlledShutdown => begin_controlled_shutdown(image, broker, context),
    };
    if !request.offline_log_dirs.is_empty() {
        let after = with_records(image, &records);
        records.extend(directories_offline(&after, broker, &request.offline_log_dirs, context));
    }
    let response = BrokerHeartbeatResponse {
        is_caught_up: news.is_caught_up,
        is_fenced: next.is_fenced(),
        should_shut_down: next == BrokerState::ShutdownNow,
        ..BrokerHeartbeatResponse::default()
    };
    Ok((records, response))
}

fn leads_anything(image: &MetadataImage, id: BrokerId) -> bool {
    image.topics().any(|topic| topic.partitions.values().any(|partition| partition.leader == Some(id)))
}

/// Decides on a broker that was not heard of. One that has registered anew in between is not meant.
pub(super) fn fence_stale(image: &MetadataImage, id: BrokerId, epoch: i64, context: &Context<'_>) -> Decision {
    let stale = image.broker(id).filter(|broker| broker.epoch == epoch);
    let records = stale.map(|broker| fence(image, broker, context)).unwrap_or_default();
    Decision { batches: batches(records), reply: Reply::Ticked { more: true } }
}

/// The broker may not lead or be in sync any more. Nothing is written where it is so already.
fn fence(image: &MetadataImage, broker: &Broker, context: &Context<'_>) -> Vec<MetadataRecord> {
    let id = broker.id;
    let mut records = partition_changes(image, Event::Leaves(id), context, |partition| partition.isr.contains(&id));
    if !broker.fenced {
        records.push(BrokerRegistrationChangeRecord { fenced: 1, ..change_of(broker) }.into());
    }
    records
}

/// The broker may lead: it takes over what has no leader and has it in the ISR.
fn unfence(image: &MetadataImage, broker: &Broker, context: &Context<'_>) -> Vec<MetadataRecord> {
    let mut records = vec![BrokerRegistrationChangeRecord { fenced: -1, ..change_of(broker) }.into()];
    records.extend(partition_changes(image, Event::Comes(broker.id), context, |partition| partition.leader.is_none()));
    records
}

/// The broker gives up what it leads and is in no ISR, before it goes.
fn begin_controlled_shutdown(image: &MetadataImage, broker: &Broker, context: &Context<'_>) -> Vec<MetadataRecord> {
    let id = broker.id;
    let mut records: Vec<MetadataRecord> = vec![];
    if !broker.in_controlled_shutdown {
        records.push(BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change_of(broker) }.into());
    }
    records.extend(partition_changes(image, Event::Leaves(id), context, |partition| partition.isr.contains(&id)));
    records
}

/// Log directories of the broker have failed: the replicas in them are not in sync any more. Directories that are known to have failed,
/// and such that nobody knows, change nothing.
fn directories_offline(
    image: &MetadataImage,
    broker: &Broker,
    offline: &[TopicId],
    context: &Context<'_>,
) -> Vec<MetadataRecord> {
    let (failed, online): (Vec<TopicId>, Vec<TopicId>) = broker.log_dirs.iter().partition(|dir| offline.contains(dir));
    if failed.is_empty() {
        return vec![];
    }
    let id = broker.id;
    let is_lost = |partition: &Partition| partition.directory(id).is_some_and(|directory| failed.contains(&directory));
    let mut records = partition_changes(image, Event::Leaves(id), context, is_lost);
    // A record without directories leaves them as they are: a broker whose last one has failed stops by itself.
    if !online.is_empty() {
        records.push(BrokerRegistrationChangeRecord { log_dirs: online, ..change_of(broker) }.into());
    }
    records
}

fn change_of(broker: &Broker) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        ..BrokerRegistrationChangeRecord::default()
    }
}

/// The image with these records, for what is decided in one go with them.
fn with_records(image: &MetadataImage, records: &[MetadataRecord]) -> MetadataImage {
    let mut after = image.clone();
    for record in records {
        after.apply(record, &mut MetadataDelta::default()).expect("what was decided on an image fits it");
    }
    after
}
