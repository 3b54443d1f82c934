//! TxnOffsetCommitRequest, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitRequest {
    /// Versions 0 to 5.
    pub transactional_id: StrBytes,
    /// Versions 0 to 5.
    pub group_id: StrBytes,
    /// Versions 0 to 5.
    pub producer_id: i64,
    /// Versions 0 to 5.
    pub producer_epoch: i16,
    /// Versions 3 to 5.
    pub generation_id: i32,
    /// Versions 3 to 5.
    pub member_id: StrBytes,
    /// Versions 3 to 5.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 0 to 5.
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

impl Default for TxnOffsetCommitRequest {
    fn default() -> Self {
        Self {
            transactional_id: StrBytes::EMPTY,
            group_id: StrBytes::EMPTY,
            producer_id: 0,
            producer_epoch: 0,
            generation_id: -1,
            member_id: StrBytes::EMPTY,
            group_instance_id: None,
            topics: Vec::new(),
        }
    }
}

impl TxnOffsetCommitRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.transactional_id = r.string(flex)?;
        m.group_id = r.string(flex)?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        if v >= 3 {
            m.generation_id = r.i32()?;
        }
        if v >= 3 {
            m.member_id = r.string(flex)?;
        }
        if v >= 3 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        m.topics = r.array(flex, 3, |r| TxnOffsetCommitRequestTopic::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.string(flex, &self.transactional_id)?;
        w.string(flex, &self.group_id)?;
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if !(v >= 3) && self.generation_id != -1 {
            return lost("TxnOffsetCommitRequest.GenerationId", v);
        }
        if v >= 3 {
            w.i32(self.generation_id);
        }
        if !(v >= 3) && !self.member_id.is_empty() {
            return lost("TxnOffsetCommitRequest.MemberId", v);
        }
        if v >= 3 {
            w.string(flex, &self.member_id)?;
        }
        if !(v >= 3) && self.group_instance_id.is_some() {
            return lost("TxnOffsetCommitRequest.GroupInstanceId", v);
        }
        if v >= 3 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TxnOffsetCommitRequestTopic {
    /// Versions 0 to 5.
    pub name: StrBytes,
    /// Versions 0 to 5.
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

impl TxnOffsetCommitRequestTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partitions = r.array(flex, 14, |r| TxnOffsetCommitRequestPartition::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.string(flex, &self.name)?;
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TxnOffsetCommitRequestPartition {
    /// Versions 0 to 5.
    pub partition_index: i32,
    /// Versions 0 to 5.
    pub committed_offset: i64,
    /// Versions 2 to 5.
    pub committed_leader_epoch: i32,
    /// Versions 0 to 5.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for TxnOffsetCommitRequestPartition {
    fn default() -> Self {
        Self { partition_index: 0, committed_offset: 0, committed_leader_epoch: -1, committed_metadata: Some(StrBytes::EMPTY) }
    }
}

impl TxnOffsetCommitRequestPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if v >= 2 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.committed_metadata = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if v >= 2 {
            w.i32(self.committed_leader_epoch);
        }
        w.nullable_string(flex, self.committed_metadata.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for TxnOffsetCommitRequest {
    const NAME: &'static str = "TxnOffsetCommitRequest";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 5;
    fn decode(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&v) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version: v });
        }
        Self::read(r, v)
    }
    fn encode(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&v) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version: v });
        }
        self.write(w, v)
    }
}

impl Request for TxnOffsetCommitRequest {
    const API_KEY: ApiKey = ApiKey::TxnOffsetCommit;
    type Response = super::txn_offset_commit_response::TxnOffsetCommitResponse;
}
