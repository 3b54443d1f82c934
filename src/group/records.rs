//! What of a group is in `__consumer_offsets`, and how it is read back.

use super::classic::{Group, Member, State};
use super::offsets::Committed;
use super::types::{GroupId, Protocol, Record};
use crate::model::{PartitionIndex, TopicPartition};
use crate::protocol::StrBytes;
use crate::protocol::generated::group_metadata_value::MemberMetadata;
use crate::protocol::generated::{
    ConsumerOffsetsKey, ConsumerOffsetsValue, GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use bytes::Bytes;
use std::sync::Arc;

/// `text` as the messages have it, in a buffer of its own.
fn owned(text: &str) -> StrBytes {
    StrBytes::from_utf8_lossy(Bytes::copy_from_slice(text.as_bytes()))
}

fn key(group: &str) -> ConsumerOffsetsKey {
    ConsumerOffsetsKey::GroupMetadata(GroupMetadataKey { group: owned(group) })
}

/// The group is gone.
pub(super) fn tombstone(group: &GroupId) -> Record {
    Record { key: key(group), value: None }
}

/// The group as it is, with `assignment` of each member.
pub(super) fn group(group: &Group, assignment: impl Fn(&str, &Member) -> Bytes) -> Record {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let members = group.members.iter().map(|(id, member)| MemberMetadata {
        member_id: owned(id),
        group_instance_id: member.instance.as_deref().map(owned),
        client_id: owned(&member.client_id),
        client_host: owned(&member.client_host),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.metadata(protocol),
        assignment: assignment(id, member),
        ..Default::default()
    });
    let value = GroupMetadataValue {
        protocol_type: owned(group.protocol_type.as_deref().unwrap_or_default()),
        generation: group.generation,
        protocol: group.protocol.as_deref().map(owned),
        leader: group.leader.as_deref().map(owned),
        current_state_timestamp: group.since_ms,
        members: members.collect(),
        ..Default::default()
    };
    Record { key: key(&group.id), value: Some(ConsumerOffsetsValue::GroupMetadata(value)) }
}

/// The group that a record tells of. Its members are taken to have the chosen protocol only, and to be alive.
pub(super) fn read_group(id: GroupId, value: &GroupMetadataValue) -> Group {
    let text = |text: &StrBytes| Arc::<str>::from(&**text);
    let mut group = Group::new(id, value.current_state_timestamp);
    group.generation = value.generation;
    group.protocol_type = Some(text(&value.protocol_type)).filter(|name| !name.is_empty());
    group.protocol = value.protocol.as_ref().map(text).filter(|name| !name.is_empty());
    for stored in &value.members {
        let name = group.protocol.clone().unwrap_or_else(|| Arc::from(""));
        let member = Member {
            instance: stored.group_instance_id.as_ref().map(|instance| (&**instance).into()),
            client_id: text(&stored.client_id),
            client_host: text(&stored.client_host),
            session_timeout_ms: stored.session_timeout,
            // Records of version 0 have none.
            rebalance_timeout_ms: if stored.rebalance_timeout < 0 { stored.session_timeout } else { stored.rebalance_timeout },
            protocols: vec![Protocol { name, metadata: Bytes::copy_from_slice(&stored.subscription) }],
            assignment: Bytes::copy_from_slice(&stored.assignment),
            is_new: false,
            join: None,
            sync: None,
        };
        let protocol_type = group.protocol_type.clone().unwrap_or_else(|| Arc::from(""));
        group.add((&*stored.member_id).into(), member, &protocol_type);
    }
    group.leader = value.leader.as_ref().filter(|leader| !leader.is_empty()).map(|leader| (&**leader).into());
    group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
    group
}

/// An offset of a group, or that it is forgotten.
pub(super) fn offset(group: &GroupId, partition: &TopicPartition, committed: Option<&Committed>) -> Record {
    let key = OffsetCommitKey { group: owned(group), topic: owned(&partition.topic), partition: partition.partition.0 };
    let value = committed.map(|committed| OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: owned(&committed.metadata),
        commit_timestamp: committed.commit_ms,
        expire_timestamp: committed.expire_ms.unwrap_or(-1),
        topic_id: committed.topic_id,
        ..Default::default()
    });
    Record { key: ConsumerOffsetsKey::OffsetCommit(key), value: value.map(ConsumerOffsetsValue::OffsetCommit) }
}

/// Offsets that are forgotten.
pub(super) fn forgotten(group: &GroupId, partitions: &[TopicPartition]) -> Vec<Record> {
    partitions.iter().map(|partition| offset(group, partition, None)).collect()
}

pub(super) fn read_partition(key: &OffsetCommitKey) -> TopicPartition {
    TopicPartition::new(&*key.topic, PartitionIndex(key.partition))
}

pub(super) fn read_offset(key: &OffsetCommitKey, value: &OffsetCommitValue) -> (GroupId, TopicPartition, Committed) {
    let committed = Committed {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: Arc::from(&*value.metadata),
        topic_id: value.topic_id,
        commit_ms: value.commit_timestamp,
        expire_ms: Some(value.expire_timestamp).filter(|&expire_ms| expire_ms >= 0),
    };
    (GroupId::from(&*key.group), read_partition(key), committed)
}
