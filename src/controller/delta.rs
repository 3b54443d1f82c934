//! What has changed between any two images: for those who did not see the records in between, since a snapshot stands for them.

use super::apply::MetadataDelta;
use super::image::MetadataImage;
use std::collections::BTreeMap;
use std::sync::Arc;

impl MetadataDelta {
    /// What makes `after` out of `before`. An image of nothing has no offset and no features, so the delta from it names everything.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let mut delta = Self::default();
        for (id, topic) in &*after.topics {
            let known = before.topics.get(id);
            if known.is_some_and(|known| Arc::ptr_eq(known, topic)) {
                continue;
            }
            let is_new = |index| known.and_then(|known| known.partitions.get(index)) != topic.partitions.get(index);
            delta.partitions.extend(topic.partitions.keys().filter(|index| is_new(*index)).map(|index| (*id, *index)));
        }
        let gone = before.topics.iter().filter(|(id, _)| !after.topics.contains_key(*id));
        delta.deleted_topics = gone.map(|(id, topic)| (*id, topic.clone())).collect();
        delta.configs = differing(&before.configs, &after.configs).cloned().collect();
        delta.brokers = differing(&before.brokers, &after.brokers).copied().collect();
        delta.features = before.features != after.features;
        delta.quotas = before.quotas != after.quotas;
        delta
    }
}

/// Keys whose values are not the same in both.
fn differing<'a, K: Ord, V: PartialEq>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> + use<'a, K, V> {
    let changed = after.iter().filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| key);
    changed.chain(before.keys().filter(|key| !after.contains_key(key)))
}

#[cfg(test)]
mod tests {
    use super::super::Loader;
    use super::*;
    use crate::model::{Offset, TopicId};
    use crate::protocol::MetadataRecord;
    use crate::protocol::generated::{
        ConfigRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
        UnregisterBrokerRecord,
    };

    fn topic(name: &str, id: u8) -> Vec<MetadataRecord> {
        let topic_id = TopicId([id; 16]);
        let topic = TopicRecord { name: name.into(), topic_id, ..TopicRecord::default() };
        let partition = |partition_id| PartitionRecord {
            topic_id,
            partition_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            ..PartitionRecord::default()
        };
        vec![topic.into(), partition(0).into(), partition(1).into()]
    }

    fn config(topic: &str, value: Option<&str>) -> MetadataRecord {
        let value = value.map(Into::into);
        ConfigRecord {
            resource_type: 2,
            resource_name: topic.into(),
            name: "retention.ms".into(),
            value,
            ..ConfigRecord::default()
        }
        .into()
    }

    fn broker(broker_id: i32) -> MetadataRecord {
        RegisterBrokerRecord { broker_id, broker_epoch: 5, ..RegisterBrokerRecord::default() }.into()
    }

    /// The images after each step, and what the steps say they have changed.
    #[test]
    fn the_difference_is_what_the_records_say() {
        let mut first = topic("a", 1);
        first.extend(topic("b", 2));
        first.extend([config("a", Some("5")), config("b", Some("5")), broker(1), broker(2)]);
        first.extend(super::super::bootstrap_records());
        let change = PartitionChangeRecord { topic_id: TopicId([2; 16]), partition_id: 1, leader: 2, ..Default::default() };
        let steps: Vec<Vec<MetadataRecord>> = vec![
            first,
            vec![change.into()],
            vec![RemoveTopicRecord { topic_id: TopicId([1; 16]), ..Default::default() }.into()],
            topic("a", 3),
            vec![config("b", None), config("a", Some("7"))],
            vec![UnregisterBrokerRecord { broker_id: 2, broker_epoch: 5, ..Default::default() }.into()],
            vec![],
        ];
        let mut loader = Loader::default();
        let (empty, mut all) = (loader.image().clone(), MetadataDelta::default());
        for (at, records) in steps.iter().enumerate() {
            let before = loader.image().clone();
            let delta = loader.load(records, Offset(10 * (at as i64 + 1)), 1).unwrap();
            assert_eq!(MetadataDelta::between(&before, loader.image()), delta, "step {at}");
            assert!(MetadataDelta::between(loader.image(), loader.image()).is_empty());
            all.merge(delta);
        }
        let from_nothing = MetadataDelta::between(&empty, loader.image());
        assert_eq!(from_nothing.partitions, all.partitions);
        assert!(from_nothing.deleted_topics.is_empty(), "what came and went is not missed");
    }
}
