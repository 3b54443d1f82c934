//! Brokers come, may lead, and get producer ids.

use super::image::{Endpoint, MetadataImage, Partition};
use super::{Decision, Reply, SUPPORTED_FEATURES, batches};
use crate::model::{BrokerId, ErrorCode, PartitionIndex, TopicId};
use crate::protocol::MetadataRecord;
use crate::protocol::generated::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::protocol::generated::{
    BrokerRegistrationChangeRecord, PartitionChangeRecord, ProducerIdsRecord, RegisterBrokerRecord,
};
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
    /// Random, chosen by this process.
    pub incarnation: TopicId,
    /// What it tells clients of each listener.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Ids of its log directories.
    pub log_dirs: Vec<TopicId>,
}

/// Registers a broker, fenced. Its epoch is the offset of this record, the first of its batch.
pub(super) fn register(image: &MetadataImage, registration: &BrokerRegistration) -> Decision {
    let epoch = image.next_offset().0;
    let endpoint = |e: &Endpoint| BrokerEndpoint {
        name: (&*e.name).into(),
        host: (&*e.host).into(),
        port: e.port,
        security_protocol: e.security_protocol,
        ..BrokerEndpoint::default()
    };
    let feature = |&(name, min, max): &(&'static str, i16, i16)| BrokerFeature {
        name: name.into(),
        min_supported_version: min,
        max_supported_version: max,
        ..BrokerFeature::default()
    };
    let record = RegisterBrokerRecord {
        broker_id: registration.broker.0,
        incarnation_id: registration.incarnation,
        broker_epoch: epoch,
        end_points: registration.endpoints.iter().map(endpoint).collect(),
        features: SUPPORTED_FEATURES.iter().map(feature).collect(),
        rack: registration.rack.as_deref().map(Into::into),
        fenced: true,
        log_dirs: registration.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    };
    Decision { batches: vec![vec![record.into()]], reply: Reply::Registered(epoch) }
}

/// Lets a broker lead: it takes over what has no leader and has it in the ISR, and, if it may have lost records, a new epoch for what it
/// leads already. The broker's own change comes last, so that a crash in between repeats rather than skips.
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

pub(super) fn check_epoch(image: &MetadataImage, id: BrokerId, epoch: i64) -> Result<(), ErrorCode> {
    match image.broker(id) {
        None => Err(ErrorCode::BrokerIdNotRegistered),
        Some(broker) if broker.epoch != epoch => Err(ErrorCode::StaleBrokerEpoch),
        Some(_) => Ok(()),
    }
}
