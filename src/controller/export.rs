//! An image as records that give it again: what a snapshot holds.

use super::METADATA_VERSION;
use super::image::{Broker, ConfigResource, Endpoint, MetadataImage, Partition, Topic};
use crate::model::{BrokerId, PartitionIndex};
use crate::protocol::generated::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::protocol::generated::{
    ConfigRecord, FeatureLevelRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::protocol::{MetadataRecord, StrBytes};

/// Nobody, in a record.
const NONE: i32 = -1;

impl MetadataImage {
    /// Whether [`Self::to_records`] gives all that the log has said: what is not understood would be lost.
    pub fn can_be_exported(&self) -> bool {
        self.not_understood.is_empty()
    }

    /// The records that make this image out of an empty one, in Kafka's order.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let level = |name: &str, feature_level: i16| {
            FeatureLevelRecord { name: text(name), feature_level, ..FeatureLevelRecord::default() }.into()
        };
        let mut records: Vec<MetadataRecord> = Vec::new();
        records.extend(self.metadata_version().map(|version| level(METADATA_VERSION, version)));
        let others = self.features.iter().filter(|(name, _)| *name != METADATA_VERSION);
        records.extend(others.map(|(name, feature_level)| level(name, *feature_level)));
        records.extend(self.brokers.values().map(|broker| broker_record(broker).into()));
        for topic in self.topics() {
            records.push(TopicRecord { name: text(&topic.name), topic_id: topic.id, ..TopicRecord::default() }.into());
            records.extend(topic.partitions.iter().map(|(index, partition)| partition_record(topic, *index, partition).into()));
        }
        for (resource, values) in &*self.configs {
            records.extend(values.iter().map(|(name, value)| config_record(resource, name, value).into()));
        }
        records.extend(self.quota_records().map(MetadataRecord::from));
        if self.next_producer_id > 0 {
            let next_producer_id = self.next_producer_id;
            let nobody =
                ProducerIdsRecord { broker_id: NONE, broker_epoch: -1, next_producer_id, ..ProducerIdsRecord::default() };
            records.push(nobody.into());
        }
        records
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from(text)
}

fn ids(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn broker_record(broker: &Broker) -> RegisterBrokerRecord {
    let endpoint = |endpoint: &Endpoint| BrokerEndpoint {
        name: text(&endpoint.name),
        host: text(&endpoint.host),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..BrokerEndpoint::default()
    };
    let feature = |(name, min, max): &(std::sync::Arc<str>, i16, i16)| BrokerFeature {
        name: text(name),
        min_supported_version: *min,
        max_supported_version: *max,
        ..BrokerFeature::default()
    };
    RegisterBrokerRecord {
        broker_id: broker.id.0,
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch,
        end_points: broker.endpoints.iter().map(endpoint).collect(),
        features: broker.features.iter().map(feature).collect(),
        rack: broker.rack.as_deref().map(text),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}

fn partition_record(topic: &Topic, index: PartitionIndex, partition: &Partition) -> PartitionRecord {
    let some = |brokers: &[BrokerId]| (!brokers.is_empty()).then(|| ids(brokers));
    PartitionRecord {
        partition_id: index.0,
        topic_id: topic.id,
        replicas: ids(&partition.replicas),
        isr: ids(&partition.isr),
        removing_replicas: ids(&partition.removing_replicas),
        adding_replicas: ids(&partition.adding_replicas),
        leader: partition.leader.map_or(NONE, |leader| leader.0),
        leader_recovery_state: i8::from(partition.recovering),
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        directories: partition.directories.clone(),
        eligible_leader_replicas: some(&partition.eligible_leader_replicas),
        last_known_elr: some(&partition.last_known_elr),
        ..PartitionRecord::default()
    }
}

fn config_record(resource: &ConfigResource, name: &str, value: &str) -> ConfigRecord {
    let (resource_type, resource_name) = match resource {
        ConfigResource::Topic(topic) => (2, text(topic)),
        ConfigResource::Broker(None) => (4, StrBytes::EMPTY),
        ConfigResource::Broker(Some(id)) => (4, StrBytes::from(id.0.to_string())),
        ConfigResource::Other(kind, name) => (*kind, text(name)),
    };
    ConfigRecord { resource_type, resource_name, name: text(name), value: Some(text(value)), ..ConfigRecord::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{Loader, MetadataDelta, MetadataImage};
    use crate::model::{LeaderEpoch, Offset, TopicId};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Everything that an image can hold, none of it by default.
    fn full() -> MetadataImage {
        let mut image = MetadataImage::default();
        let features: Vec<(String, i16)> = vec![("metadata.version".to_owned(), 27), ("group.version".to_owned(), 1)];
        image.features = Arc::new(features.into_iter().collect());
        let broker = |id: i32| Broker {
            id: BrokerId(id),
            epoch: i64::from(id) + 10,
            incarnation: TopicId([7; 16]),
            endpoints: vec![Endpoint { name: "A".into(), host: "h".into(), port: 65_000, security_protocol: 2 }],
            features: vec![("metadata.version".into(), 7, 29)],
            rack: (id == 1).then(|| "r".into()),
            fenced: id == 2,
            in_controlled_shutdown: id == 1,
            log_dirs: vec![TopicId([3; 16]), TopicId([4; 16])],
        };
        image.brokers = Arc::new([1, 2].map(|id| (BrokerId(id), Arc::new(broker(id)))).into());
        let partition = Partition {
            replicas: vec![BrokerId(1), BrokerId(2)],
            directories: vec![TopicId([3; 16]), TopicId([9; 16])],
            isr: vec![BrokerId(2)],
            removing_replicas: vec![BrokerId(1)],
            adding_replicas: vec![BrokerId(2)],
            eligible_leader_replicas: vec![BrokerId(1)],
            last_known_elr: vec![BrokerId(2)],
            leader: Some(BrokerId(2)),
            recovering: true,
            leader_epoch: LeaderEpoch(5),
            partition_epoch: 8,
        };
        let without = Partition { leader: None, recovering: false, ..partition.clone() };
        let id = TopicId([1; 16]);
        let partitions = BTreeMap::from([(PartitionIndex(0), partition), (PartitionIndex(1), without)]);
        image.topics = Arc::new([(id, Arc::new(Topic { id, name: "t".into(), partitions }))].into());
        image.names = Arc::new([(Arc::from("t"), id)].into());
        let values =
            |value: &str| Arc::new(BTreeMap::from([("k".to_owned(), value.to_owned()), ("l".to_owned(), String::new())]));
        let resources = [
            ConfigResource::Topic("t".into()),
            ConfigResource::Broker(None),
            ConfigResource::Broker(Some(BrokerId(1))),
            ConfigResource::Other(32, "g".into()),
        ];
        image.configs = Arc::new(resources.map(|resource| (resource, values("v"))).into());
        image.next_producer_id = 3_000;
        image.advance_to(Offset(44), 3);
        image
    }

    #[test]
    fn the_records_of_an_image_give_it_again() {
        let image = full();
        assert!(image.can_be_exported());
        let records = image.to_records();
        let mut loader = Loader::default();
        loader.load(&records, Offset(44), 3).unwrap();
        assert_eq!(**loader.image(), image);
        assert_eq!(MetadataImage::default().to_records(), []);
    }

    #[test]
    fn what_is_not_understood_keeps_an_image_from_being_exported() {
        let mut image = full();
        let credential = crate::protocol::generated::UserScramCredentialRecord::default();
        image.apply(&credential.into(), &mut MetadataDelta::default()).unwrap();
        assert!(!image.can_be_exported());
    }
}
