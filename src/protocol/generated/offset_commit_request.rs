//! OffsetCommitRequest, versions 2 to 10.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequest {
    /// Versions 2 to 10.
    pub group_id: StrBytes,
    /// Versions 2 to 10.
    pub generation_id_or_member_epoch: i32,
    /// Versions 2 to 10.
    pub member_id: StrBytes,
    /// Versions 7 to 10.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 2 to 4.
    pub retention_time_ms: i64,
    /// Versions 2 to 10.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: StrBytes::EMPTY,
            generation_id_or_member_epoch: -1,
            member_id: StrBytes::EMPTY,
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl OffsetCommitRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 8;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        m.generation_id_or_member_epoch = r.i32()?;
        m.member_id = r.string(flex)?;
        if v >= 7 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        if v <= 4 {
            m.retention_time_ms = r.i64()?;
        }
        m.topics = r.array(flex, 3, |r| OffsetCommitRequestTopic::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 8;
        w.string(flex, &self.group_id)?;
        w.i32(self.generation_id_or_member_epoch);
        w.string(flex, &self.member_id)?;
        if !(v >= 7) && self.group_instance_id.is_some() {
            return lost("OffsetCommitRequest.GroupInstanceId", v);
        }
        if v >= 7 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        if v <= 4 {
            w.i64(self.retention_time_ms);
        }
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetCommitRequestTopic {
    /// Versions 2 to 9.
    pub name: StrBytes,
    /// Version 10.
    pub topic_id: TopicId,
    /// Versions 2 to 10.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl OffsetCommitRequestTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 8;
        let mut m = Self::default();
        if v <= 9 {
            m.name = r.string(flex)?;
        }
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(flex, 14, |r| OffsetCommitRequestPartition::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 8;
        if v <= 9 {
            w.string(flex, &self.name)?;
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition {
    /// Versions 2 to 10.
    pub partition_index: i32,
    /// Versions 2 to 10.
    pub committed_offset: i64,
    /// Versions 6 to 10.
    pub committed_leader_epoch: i32,
    /// Versions 2 to 10.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self { partition_index: 0, committed_offset: 0, committed_leader_epoch: -1, committed_metadata: Some(StrBytes::EMPTY) }
    }
}

impl OffsetCommitRequestPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 8;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if v >= 6 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.committed_metadata = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 8;
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if v >= 6 {
            w.i32(self.committed_leader_epoch);
        }
        w.nullable_string(flex, self.committed_metadata.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommitRequest";
    const MIN_VERSION: i16 = 2;
    const MAX_VERSION: i16 = 10;
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

impl Request for OffsetCommitRequest {
    const API_KEY: ApiKey = ApiKey::OffsetCommit;
    type Response = super::offset_commit_response::OffsetCommitResponse;
}
