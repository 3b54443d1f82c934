//! Brokers come, go for good, and get producer ids. For what is between, see `fencing`.

use super::fencing::{Event, partition_changes};
use super::image::{Broker, Endpoint, MetadataImage, Partition};
use super::partition_change::has_elr;
use super::{
    Cluster, Context, Decision, KRAFT_VERSION, METADATA_VERSION, Refusal, Reply, SUPPORTED_FEATURES, batches, is_directory,
};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::protocol::generated::{
    BrokerRegistrationChangeRecord, BrokerRegistrationRequest, PartitionChangeRecord, ProducerIdsRecord, RegisterBrokerRecord,
    UnregisterBrokerRecord,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Producer ids that a broker is given at once.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

/// Producer ids that belong to one broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    /// The first of them.
    pub first: i64,
    /// How many.
    pub count: i64,
}

/// A broker that has started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRegistration {
    /// Its `node.id`.
    pub broker: BrokerId,
    /// The cluster that it was formatted for.
    pub cluster_id: String,
    /// Random, chosen by this process.
    pub incarnation: TopicId,
    /// What it tells clients of each listener.
    pub endpoints: Vec<Endpoint>,
    /// Feature names with the lowest and the highest level that it supports.
    pub features: Vec<(Arc<str>, i16, i16)>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Ids of its log directories.
    pub log_dirs: Vec<TopicId>,
    /// Epoch of the incarnation whose clean stop it has found in all its log directories; -1 if there was none. Requests below version 3
    /// cannot say.
    pub previous_epoch: i64,
}

impl Default for BrokerRegistration {
    fn default() -> Self {
        Self {
            broker: BrokerId(0),
            cluster_id: String::new(),
            incarnation: TopicId::ZERO,
            endpoints: vec![],
            features: vec![],
            rack: None,
            log_dirs: vec![],
            previous_epoch: -1,
        }
    }
}

impl From<&BrokerRegistrationRequest> for BrokerRegistration {
    fn from(request: &BrokerRegistrationRequest) -> Self {
        let endpoint = |listener: &crate::protocol::generated::broker_registration_request::Listener| Endpoint {
            name: Arc::from(&*listener.name),
            host: Arc::from(&*listener.host),
            port: listener.port,
            security_protocol: listener.security_protocol,
        };
        let features = request.features.iter();
        Self {
            broker: BrokerId(request.broker_id),
            cluster_id: request.cluster_id.to_string(),
            incarnation: request.incarnation_id,
            endpoints: request.listeners.iter().map(endpoint).collect(),
            features: features.map(|f| (Arc::from(&*f.name), f.min_supported_version, f.max_supported_version)).collect(),
            rack: request.rack.as_deref().map(Arc::from),
            log_dirs: request.log_dirs.clone(),
            previous_epoch: request.previous_broker_epoch,
        }
    }
}

/// What a broker of this version registers with.
pub fn supported_features() -> Vec<(Arc<str>, i16, i16)> {
    SUPPORTED_FEATURES.iter().map(|&(name, min, max)| (Arc::from(name), min, max)).collect()
}

/// Registers a broker, fenced. Its epoch is the next offset of the log. What its last incarnation was in sync with comes first, its own
/// record last: if not all of it is committed, the broker tries again, and it is all done again. The same incarnation changes what it
/// told before and stays as it is.
pub(super) fn register(image: &MetadataImage, registration: &BrokerRegistration, context: &Context<'_>) -> Decision {
    let known = image.broker(registration.broker).map(|broker| &**broker);
    let Some(cluster) = &context.cluster else {
        let record = register_record(registration, image.next_offset().0, None);
        return Decision { reply: Reply::Registered(Ok(record.broker_epoch)), batches: vec![vec![record.into()]] };
    };
    if let Err(refusal) = check_registration(image, registration, known, cluster) {
        return Decision { batches: vec![], reply: Reply::Registered(Err(refusal)) };
    }
    let amended = known.filter(|broker| broker.incarnation == registration.incarnation);
    let mut records = match amended {
        Some(_) => vec![],
        None => clean_up(image, registration, known, context),
    };
    let record = register_record(registration, image.next_offset().0, amended);
    let epoch = record.broker_epoch;
    records.push(record.into());
    Decision { batches: batches(records), reply: Reply::Registered(Ok(epoch)) }
}

/// What was the last incarnation's: the new one is in no ISR until it has fetched again. If the last one's stop is not known to be clean,
/// its logs may lack their ends, and it may not be elected for what they held.
fn clean_up(
    image: &MetadataImage,
    registration: &BrokerRegistration,
    known: Option<&Broker>,
    context: &Context<'_>,
) -> Vec<MetadataRecord> {
    let id = registration.broker;
    let is_clean = known.is_some_and(|broker| broker.epoch == registration.previous_epoch);
    if has_elr(image) && !is_clean {
        return partition_changes(image, Event::StoppedUncleanly(id), context, |partition| is_in_sync_or_eligible(partition, id));
    }
    partition_changes(image, Event::Leaves(id), context, |partition| partition.isr.contains(&id))
}

fn is_in_sync_or_eligible(partition: &Partition, id: BrokerId) -> bool {
    partition.isr.contains(&id) || partition.eligible_leader_replicas.contains(&id)
}

/// The record; `amended` is what is registered of the same incarnation.
fn register_record(registration: &BrokerRegistration, next_offset: i64, amended: Option<&Broker>) -> RegisterBrokerRecord {
    let endpoint = |e: &Endpoint| BrokerEndpoint {
        name: (&*e.name).into(),
        host: (&*e.host).into(),
        port: e.port,
        security_protocol: e.security_protocol,
        ..BrokerEndpoint::default()
    };
    let feature = |(name, min, max): &(Arc<str>, i16, i16)| BrokerFeature {
        name: (&**name).into(),
        min_supported_version: *min,
        max_supported_version: *max,
        ..BrokerFeature::default()
    };
    RegisterBrokerRecord {
        broker_id: registration.broker.0,
        incarnation_id: registration.incarnation,
        broker_epoch: amended.map_or(next_offset, |broker| broker.epoch),
        end_points: registration.endpoints.iter().map(endpoint).collect(),
        features: registration.features.iter().map(feature).collect(),
        rack: registration.rack.as_deref().map(Into::into),
        fenced: amended.is_none_or(|broker| broker.fenced),
        in_controlled_shutdown: amended.is_some_and(|broker| broker.in_controlled_shutdown),
        log_dirs: registration.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}

/// Every rule for a broker that wants to come in, in Kafka's order.
fn check_registration(
    image: &MetadataImage,
    registration: &BrokerRegistration,
    known: Option<&Broker>,
    cluster: &Cluster<'_>,
) -> Result<(), Refusal> {
    let id = registration.broker;
    if registration.cluster_id != cluster.cluster_id {
        let text = format!("the cluster is {}, not {}", cluster.cluster_id, registration.cluster_id);
        return Err(Refusal::new(ErrorCode::InconsistentClusterId, text));
    }
    if id.0 < 0 {
        return Err(Refusal::new(ErrorCode::InvalidRegistration, format!("{id} is no id of a broker")));
    }
    // It tries again; by then the session of a broker that is dead has ended.
    let is_alive = |broker: &&Broker| {
        cluster.heartbeats.has_session(id, broker.epoch, cluster.now_ms)
            && !(cluster.believes_successors && is_in_its_place(registration, broker))
    };
    if known.filter(is_alive).is_some_and(|broker| broker.incarnation != registration.incarnation) {
        let text = format!("another broker {id} is registered and was heard of lately");
        return Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, text));
    }
    check_log_dirs(image, registration)?;
    check_features(image, registration, cluster.kraft_version)
}

/// The process that was this broker has ended: one process at a time has the lock of a log directory, and listens at an address.
/// (Kafka waits for the end of the session all the same.)
fn is_in_its_place(registration: &BrokerRegistration, broker: &Broker) -> bool {
    let dirs = &registration.log_dirs;
    registration.endpoints == broker.endpoints && !dirs.is_empty() && dirs.iter().all(|dir| broker.log_dirs.contains(dir))
}

fn check_log_dirs(image: &MetadataImage, registration: &BrokerRegistration) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRegistration, text));
    let dirs: BTreeSet<&TopicId> = registration.log_dirs.iter().collect();
    if dirs.is_empty() {
        return invalid("no log directory is named".to_owned());
    }
    if let Some(dir) = dirs.iter().find(|dir| !is_directory(***dir)) {
        return invalid(format!("{dir} is reserved and no log directory's id"));
    }
    if dirs.len() != registration.log_dirs.len() {
        return invalid("a log directory is named twice".to_owned());
    }
    for other in image.brokers().filter(|broker| broker.id != registration.broker) {
        if let Some(dir) = other.log_dirs.iter().find(|dir| dirs.contains(dir)) {
            return invalid(format!("log directory {dir} is that of broker {}", other.id));
        }
    }
    Ok(())
}

/// A broker must support the level of every feature in force; what is not finalized is at level 0, and what a broker does not name it
/// supports at level 0 only.
fn check_features(image: &MetadataImage, registration: &BrokerRegistration, kraft_version: i16) -> Result<(), Refusal> {
    let check = |name: &str, min: i16, max: i16| {
        let level = match name {
            KRAFT_VERSION => kraft_version,
            _ => image.features().get(name).copied().unwrap_or(0),
        };
        if (min..=max).contains(&level) {
            return Ok(());
        }
        let text = format!("{name} is at level {level}, and the broker supports {min} to {max}");
        Err(Refusal::new(ErrorCode::UnsupportedVersion, text))
    };
    for (name, min, max) in &registration.features {
        check(name, *min, *max)?;
    }
    let is_named = |name: &str| registration.features.iter().any(|(other, ..)| &**other == name);
    if !is_named(METADATA_VERSION) {
        return Err(Refusal::new(ErrorCode::InvalidRegistration, format!("{METADATA_VERSION} is not among the features")));
    }
    let finalized = image.features().keys().map(String::as_str).chain([KRAFT_VERSION]);
    for name in finalized.filter(|name| !is_named(name)) {
        check(name, 0, 0)?;
    }
    Ok(())
}

/// Forgets a broker that does not come back. Whatever it held counts no more; it stays in the lists of replicas until partitions are
/// reassigned.
pub(super) fn unregister(image: &MetadataImage, id: BrokerId, context: &Context<'_>) -> Decision {
    let Some(broker) = image.broker(id) else {
        let refusal = Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered"));
        return Decision { batches: vec![], reply: Reply::Unregistered(Err(refusal)) };
    };
    let concerns = |partition: &Partition| is_in_sync_or_eligible(partition, id);
    let mut records = partition_changes(image, Event::StoppedUncleanly(id), context, concerns);
    let gone = UnregisterBrokerRecord { broker_id: id.0, broker_epoch: broker.epoch, ..UnregisterBrokerRecord::default() };
    records.push(gone.into());
    Decision { batches: batches(records), reply: Reply::Unregistered(Ok(())) }
}

/// Lets a broker that is alone lead: it takes over what has no leader and has it in the ISR, and, if it may have lost records, a new epoch
/// for what it leads already. The broker's own change comes last, so that a crash in between repeats rather than skips.
pub(super) fn unfence(image: &MetadataImage, id: BrokerId, epoch: i64, clean_restart: bool) -> Decision {
    if let Err(error) = check_epoch(image, id, epoch) {
        return Decision { batches: vec![], reply: Reply::Unfenced(Err(error)) };
    }
    let needs_election = |partition: &Partition| match partition.leader {
        None => partition.isr.contains(&id),
        Some(leader) => leader == id && !clean_restart,
    };
    let mut records: Vec<MetadataRecord> = vec![];
    for topic in image.topics() {
        let elected = topic.partitions.iter().filter(|(_, partition)| needs_election(partition));
        records.extend(elected.map(|(index, partition)| elect(topic.id, *index, partition, id)));
    }
    if image.broker(id).is_some_and(|broker| !broker.is_active()) {
        let change = BrokerRegistrationChangeRecord {
            broker_id: id.0,
            broker_epoch: epoch,
            fenced: -1,
            ..BrokerRegistrationChangeRecord::default()
        };
        records.push(change.into());
    }
    Decision { batches: batches(records), reply: Reply::Unfenced(Ok(())) }
}

/// A new epoch of a partition that is led by a broker that is alone: nothing but the leader can change.
fn elect(topic: TopicId, index: PartitionIndex, partition: &Partition, leader: BrokerId) -> MetadataRecord {
    let change = PartitionChangeRecord {
        partition_id: index.0,
        topic_id: topic,
        leader: leader.0,
        // A leader that was elected uncleanly has recovered what it has by the time that it may lead.
        leader_recovery_state: if partition.recovering { 0 } else { -1 },
        ..PartitionChangeRecord::default()
    };
    change.into()
}

/// Gives a broker the next block of producer ids. The record holds the start of the block after it, so an id is never given twice.
pub(super) fn allocate_producer_ids(image: &MetadataImage, id: BrokerId, epoch: i64) -> Decision {
    let first = image.next_producer_id();
    let next = match check_epoch(image, id, epoch) {
        Ok(()) => first.checked_add(PRODUCER_ID_BLOCK_SIZE).ok_or(ErrorCode::UnknownServerError),
        Err(error) => Err(error),
    };
    match next {
        Err(error) => Decision { batches: vec![], reply: Reply::ProducerIds(Err(error)) },
        Ok(next_producer_id) => {
            let record =
                ProducerIdsRecord { broker_id: id.0, broker_epoch: epoch, next_producer_id, ..ProducerIdsRecord::default() };
            let block = ProducerIdBlock { first, count: PRODUCER_ID_BLOCK_SIZE };
            Decision { batches: vec![vec![record.into()]], reply: Reply::ProducerIds(Ok(block)) }
        }
    }
}

fn check_epoch(image: &MetadataImage, id: BrokerId, epoch: i64) -> Result<(), ErrorCode> {
    match image.broker(id) {
        None => Err(ErrorCode::BrokerIdNotRegistered),
        Some(broker) if broker.epoch != epoch => Err(ErrorCode::StaleBrokerEpoch),
        Some(_) => Ok(()),
    }
}
