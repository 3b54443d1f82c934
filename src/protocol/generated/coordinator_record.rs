//! The keys and values of the coordinators' logs, as enums. A key is its kind in 16 bits and the key's version 0; a value
//! is its version in 16 bits and the value. A kind that is not known is an error of its own, since readers must ignore it.

use super::prelude::*;
use super::*;

/// A record key of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerOffsetsKey {
    LegacyOffsetCommit(LegacyOffsetCommitKey),
    OffsetCommit(OffsetCommitKey),
    GroupMetadata(GroupMetadataKey),
    ConsumerGroupMetadata(ConsumerGroupMetadataKey),
    ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey),
    ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey),
    ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataKey),
    ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberKey),
    ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentKey),
    ShareGroupMemberMetadata(ShareGroupMemberMetadataKey),
    ShareGroupMetadata(ShareGroupMetadataKey),
    ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataKey),
    ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey),
    ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentKey),
    ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataKey),
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey),
    StreamsGroupMetadata(StreamsGroupMetadataKey),
    StreamsGroupMemberMetadata(StreamsGroupMemberMetadataKey),
    StreamsGroupTargetAssignmentMetadata(StreamsGroupTargetAssignmentMetadataKey),
    StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberKey),
    StreamsGroupCurrentMemberAssignment(StreamsGroupCurrentMemberAssignmentKey),
    StreamsGroupTopology(StreamsGroupTopologyKey),
}

impl ConsumerOffsetsKey {
    /// Number of the record's kind.
    pub fn kind(&self) -> i16 {
        match self {
            Self::LegacyOffsetCommit(_) => 0,
            Self::OffsetCommit(_) => 1,
            Self::GroupMetadata(_) => 2,
            Self::ConsumerGroupMetadata(_) => 3,
            Self::ConsumerGroupPartitionMetadata(_) => 4,
            Self::ConsumerGroupMemberMetadata(_) => 5,
            Self::ConsumerGroupTargetAssignmentMetadata(_) => 6,
            Self::ConsumerGroupTargetAssignmentMember(_) => 7,
            Self::ConsumerGroupCurrentMemberAssignment(_) => 8,
            Self::ShareGroupMemberMetadata(_) => 10,
            Self::ShareGroupMetadata(_) => 11,
            Self::ShareGroupTargetAssignmentMetadata(_) => 12,
            Self::ShareGroupTargetAssignmentMember(_) => 13,
            Self::ShareGroupCurrentMemberAssignment(_) => 14,
            Self::ShareGroupStatePartitionMetadata(_) => 15,
            Self::ConsumerGroupRegularExpression(_) => 16,
            Self::StreamsGroupMetadata(_) => 17,
            Self::StreamsGroupMemberMetadata(_) => 19,
            Self::StreamsGroupTargetAssignmentMetadata(_) => 20,
            Self::StreamsGroupTargetAssignmentMember(_) => 21,
            Self::StreamsGroupCurrentMemberAssignment(_) => 22,
            Self::StreamsGroupTopology(_) => 23,
        }
    }

    /// Reads a record's key. [`DecodeError::UnknownKind`] for a kind of a later Kafka, which is to be ignored.
    pub fn from_bytes(key: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(key);
        Ok(match r.i16()? {
            0 => Self::LegacyOffsetCommit(LegacyOffsetCommitKey::decode(r, 0)?),
            1 => Self::OffsetCommit(OffsetCommitKey::decode(r, 0)?),
            2 => Self::GroupMetadata(GroupMetadataKey::decode(r, 0)?),
            3 => Self::ConsumerGroupMetadata(ConsumerGroupMetadataKey::decode(r, 0)?),
            4 => Self::ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey::decode(r, 0)?),
            5 => Self::ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey::decode(r, 0)?),
            6 => Self::ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataKey::decode(r, 0)?),
            7 => Self::ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberKey::decode(r, 0)?),
            8 => Self::ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentKey::decode(r, 0)?),
            10 => Self::ShareGroupMemberMetadata(ShareGroupMemberMetadataKey::decode(r, 0)?),
            11 => Self::ShareGroupMetadata(ShareGroupMetadataKey::decode(r, 0)?),
            12 => Self::ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataKey::decode(r, 0)?),
            13 => Self::ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey::decode(r, 0)?),
            14 => Self::ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentKey::decode(r, 0)?),
            15 => Self::ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataKey::decode(r, 0)?),
            16 => Self::ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey::decode(r, 0)?),
            17 => Self::StreamsGroupMetadata(StreamsGroupMetadataKey::decode(r, 0)?),
            19 => Self::StreamsGroupMemberMetadata(StreamsGroupMemberMetadataKey::decode(r, 0)?),
            20 => Self::StreamsGroupTargetAssignmentMetadata(StreamsGroupTargetAssignmentMetadataKey::decode(r, 0)?),
            21 => Self::StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberKey::decode(r, 0)?),
            22 => Self::StreamsGroupCurrentMemberAssignment(StreamsGroupCurrentMemberAssignmentKey::decode(r, 0)?),
            23 => Self::StreamsGroupTopology(StreamsGroupTopologyKey::decode(r, 0)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's key.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(self.kind());
        match self {
            Self::LegacyOffsetCommit(m) => m.encode(w, 0)?,
            Self::OffsetCommit(m) => m.encode(w, 0)?,
            Self::GroupMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupPartitionMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupMemberMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupTargetAssignmentMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupTargetAssignmentMember(m) => m.encode(w, 0)?,
            Self::ConsumerGroupCurrentMemberAssignment(m) => m.encode(w, 0)?,
            Self::ShareGroupMemberMetadata(m) => m.encode(w, 0)?,
            Self::ShareGroupMetadata(m) => m.encode(w, 0)?,
            Self::ShareGroupTargetAssignmentMetadata(m) => m.encode(w, 0)?,
            Self::ShareGroupTargetAssignmentMember(m) => m.encode(w, 0)?,
            Self::ShareGroupCurrentMemberAssignment(m) => m.encode(w, 0)?,
            Self::ShareGroupStatePartitionMetadata(m) => m.encode(w, 0)?,
            Self::ConsumerGroupRegularExpression(m) => m.encode(w, 0)?,
            Self::StreamsGroupMetadata(m) => m.encode(w, 0)?,
            Self::StreamsGroupMemberMetadata(m) => m.encode(w, 0)?,
            Self::StreamsGroupTargetAssignmentMetadata(m) => m.encode(w, 0)?,
            Self::StreamsGroupTargetAssignmentMember(m) => m.encode(w, 0)?,
            Self::StreamsGroupCurrentMemberAssignment(m) => m.encode(w, 0)?,
            Self::StreamsGroupTopology(m) => m.encode(w, 0)?,
        }
        Ok(writer.into_bytes())
    }
}

/// A record value of `__consumer_offsets`; its key says which kind.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerOffsetsValue {
    LegacyOffsetCommit(LegacyOffsetCommitValue),
    OffsetCommit(OffsetCommitValue),
    GroupMetadata(GroupMetadataValue),
    ConsumerGroupMetadata(ConsumerGroupMetadataValue),
    ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataValue),
    ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataValue),
    ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataValue),
    ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberValue),
    ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentValue),
    ShareGroupMemberMetadata(ShareGroupMemberMetadataValue),
    ShareGroupMetadata(ShareGroupMetadataValue),
    ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataValue),
    ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberValue),
    ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentValue),
    ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataValue),
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionValue),
    StreamsGroupMetadata(StreamsGroupMetadataValue),
    StreamsGroupMemberMetadata(StreamsGroupMemberMetadataValue),
    StreamsGroupTargetAssignmentMetadata(StreamsGroupTargetAssignmentMetadataValue),
    StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberValue),
    StreamsGroupCurrentMemberAssignment(StreamsGroupCurrentMemberAssignmentValue),
    StreamsGroupTopology(StreamsGroupTopologyValue),
}

impl ConsumerOffsetsValue {
    /// Reads the value of a record whose key is of `kind`.
    pub fn from_bytes(kind: i16, value: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(value);
        let version = r.i16()?;
        Ok(match kind {
            0 => Self::LegacyOffsetCommit(LegacyOffsetCommitValue::decode(r, version)?),
            1 => Self::OffsetCommit(OffsetCommitValue::decode(r, version)?),
            2 => Self::GroupMetadata(GroupMetadataValue::decode(r, version)?),
            3 => Self::ConsumerGroupMetadata(ConsumerGroupMetadataValue::decode(r, version)?),
            4 => Self::ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataValue::decode(r, version)?),
            5 => Self::ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataValue::decode(r, version)?),
            6 => Self::ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataValue::decode(r, version)?),
            7 => Self::ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberValue::decode(r, version)?),
            8 => Self::ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentValue::decode(r, version)?),
            10 => Self::ShareGroupMemberMetadata(ShareGroupMemberMetadataValue::decode(r, version)?),
            11 => Self::ShareGroupMetadata(ShareGroupMetadataValue::decode(r, version)?),
            12 => Self::ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataValue::decode(r, version)?),
            13 => Self::ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberValue::decode(r, version)?),
            14 => Self::ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentValue::decode(r, version)?),
            15 => Self::ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataValue::decode(r, version)?),
            16 => Self::ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionValue::decode(r, version)?),
            17 => Self::StreamsGroupMetadata(StreamsGroupMetadataValue::decode(r, version)?),
            19 => Self::StreamsGroupMemberMetadata(StreamsGroupMemberMetadataValue::decode(r, version)?),
            20 => Self::StreamsGroupTargetAssignmentMetadata(StreamsGroupTargetAssignmentMetadataValue::decode(r, version)?),
            21 => Self::StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberValue::decode(r, version)?),
            22 => Self::StreamsGroupCurrentMemberAssignment(StreamsGroupCurrentMemberAssignmentValue::decode(r, version)?),
            23 => Self::StreamsGroupTopology(StreamsGroupTopologyValue::decode(r, version)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's value in `version`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(version);
        match self {
            Self::LegacyOffsetCommit(m) => m.encode(w, version)?,
            Self::OffsetCommit(m) => m.encode(w, version)?,
            Self::GroupMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupPartitionMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupMemberMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupTargetAssignmentMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupTargetAssignmentMember(m) => m.encode(w, version)?,
            Self::ConsumerGroupCurrentMemberAssignment(m) => m.encode(w, version)?,
            Self::ShareGroupMemberMetadata(m) => m.encode(w, version)?,
            Self::ShareGroupMetadata(m) => m.encode(w, version)?,
            Self::ShareGroupTargetAssignmentMetadata(m) => m.encode(w, version)?,
            Self::ShareGroupTargetAssignmentMember(m) => m.encode(w, version)?,
            Self::ShareGroupCurrentMemberAssignment(m) => m.encode(w, version)?,
            Self::ShareGroupStatePartitionMetadata(m) => m.encode(w, version)?,
            Self::ConsumerGroupRegularExpression(m) => m.encode(w, version)?,
            Self::StreamsGroupMetadata(m) => m.encode(w, version)?,
            Self::StreamsGroupMemberMetadata(m) => m.encode(w, version)?,
            Self::StreamsGroupTargetAssignmentMetadata(m) => m.encode(w, version)?,
            Self::StreamsGroupTargetAssignmentMember(m) => m.encode(w, version)?,
            Self::StreamsGroupCurrentMemberAssignment(m) => m.encode(w, version)?,
            Self::StreamsGroupTopology(m) => m.encode(w, version)?,
        }
        Ok(writer.into_bytes())
    }
}

/// A record key of `__transaction_state`.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionStateKey {
    TransactionLog(TransactionLogKey),
}

impl TransactionStateKey {
    /// Number of the record's kind.
    pub fn kind(&self) -> i16 {
        match self {
            Self::TransactionLog(_) => 0,
        }
    }

    /// Reads a record's key. [`DecodeError::UnknownKind`] for a kind of a later Kafka, which is to be ignored.
    pub fn from_bytes(key: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(key);
        Ok(match r.i16()? {
            0 => Self::TransactionLog(TransactionLogKey::decode(r, 0)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's key.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(self.kind());
        match self {
            Self::TransactionLog(m) => m.encode(w, 0)?,
        }
        Ok(writer.into_bytes())
    }
}

/// A record value of `__transaction_state`; its key says which kind.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionStateValue {
    TransactionLog(TransactionLogValue),
}

impl TransactionStateValue {
    /// Reads the value of a record whose key is of `kind`.
    pub fn from_bytes(kind: i16, value: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(value);
        let version = r.i16()?;
        Ok(match kind {
            0 => Self::TransactionLog(TransactionLogValue::decode(r, version)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's value in `version`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(version);
        match self {
            Self::TransactionLog(m) => m.encode(w, version)?,
        }
        Ok(writer.into_bytes())
    }
}

/// A record key of `__share_group_state`.
#[derive(Clone, Debug, PartialEq)]
pub enum ShareGroupStateKey {
    ShareSnapshot(ShareSnapshotKey),
    ShareUpdate(ShareUpdateKey),
}

impl ShareGroupStateKey {
    /// Number of the record's kind.
    pub fn kind(&self) -> i16 {
        match self {
            Self::ShareSnapshot(_) => 0,
            Self::ShareUpdate(_) => 1,
        }
    }

    /// Reads a record's key. [`DecodeError::UnknownKind`] for a kind of a later Kafka, which is to be ignored.
    pub fn from_bytes(key: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(key);
        Ok(match r.i16()? {
            0 => Self::ShareSnapshot(ShareSnapshotKey::decode(r, 0)?),
            1 => Self::ShareUpdate(ShareUpdateKey::decode(r, 0)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's key.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(self.kind());
        match self {
            Self::ShareSnapshot(m) => m.encode(w, 0)?,
            Self::ShareUpdate(m) => m.encode(w, 0)?,
        }
        Ok(writer.into_bytes())
    }
}

/// A record value of `__share_group_state`; its key says which kind.
#[derive(Clone, Debug, PartialEq)]
pub enum ShareGroupStateValue {
    ShareSnapshot(ShareSnapshotValue),
    ShareUpdate(ShareUpdateValue),
}

impl ShareGroupStateValue {
    /// Reads the value of a record whose key is of `kind`.
    pub fn from_bytes(kind: i16, value: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(value);
        let version = r.i16()?;
        Ok(match kind {
            0 => Self::ShareSnapshot(ShareSnapshotValue::decode(r, version)?),
            1 => Self::ShareUpdate(ShareUpdateValue::decode(r, version)?),
            kind => return Err(DecodeError::UnknownKind(i32::from(kind))),
        })
    }

    /// The record's value in `version`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        let w = &mut writer;
        w.i16(version);
        match self {
            Self::ShareSnapshot(m) => m.encode(w, version)?,
            Self::ShareUpdate(m) => m.encode(w, version)?,
        }
        Ok(writer.into_bytes())
    }
}
