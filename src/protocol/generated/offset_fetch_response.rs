//! OffsetFetchResponse, versions 1 to 10.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponse {
    /// Versions 3 to 10.
    pub throttle_time_ms: i32,
    /// Versions 1 to 7.
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// Versions 2 to 7.
    pub error_code: i16,
    /// Versions 8 to 10.
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl OffsetFetchResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        if v >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        if v <= 7 {
            m.topics = r.array(flex, 3, |r| OffsetFetchResponseTopic::read(r, v))?;
        }
        if v >= 2 && v <= 7 {
            m.error_code = r.i16()?;
        }
        if v >= 8 {
            m.groups = r.array(flex, 5, |r| OffsetFetchResponseGroup::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        if v >= 3 {
            w.i32(self.throttle_time_ms);
        }
        if !(v <= 7) && !self.topics.is_empty() {
            return lost("OffsetFetchResponse.Topics", v);
        }
        if v <= 7 {
            w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        }
        if v >= 2 && v <= 7 {
            w.i16(self.error_code);
        }
        if !(v >= 8) && !self.groups.is_empty() {
            return lost("OffsetFetchResponse.Groups", v);
        }
        if v >= 8 {
            w.array(flex, &self.groups, |w, x| x.write(w, v))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseTopic {
    /// Versions 1 to 7.
    pub name: StrBytes,
    /// Versions 1 to 7.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl OffsetFetchResponseTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partitions = r.array(flex, 16, |r| OffsetFetchResponsePartition::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.string(flex, &self.name)?;
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartition {
    /// Versions 1 to 7.
    pub partition_index: i32,
    /// Versions 1 to 7.
    pub committed_offset: i64,
    /// Versions 5 to 7.
    pub committed_leader_epoch: i32,
    /// Versions 1 to 7.
    pub metadata: Option<StrBytes>,
    /// Versions 1 to 7.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(StrBytes::EMPTY),
            error_code: 0,
        }
    }
}

impl OffsetFetchResponsePartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if v >= 5 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.metadata = r.nullable_string(flex)?;
        m.error_code = r.i16()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if v >= 5 {
            w.i32(self.committed_leader_epoch);
        }
        w.nullable_string(flex, self.metadata.as_ref())?;
        w.i16(self.error_code);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseGroup {
    /// Versions 8 to 10.
    pub group_id: StrBytes,
    /// Versions 8 to 10.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// Versions 8 to 10.
    pub error_code: i16,
}

impl OffsetFetchResponseGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string(true)?;
        m.topics = r.array(true, 3, |r| OffsetFetchResponseTopics::read(r, v))?;
        m.error_code = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.group_id)?;
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.i16(self.error_code);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchResponseTopics {
    /// Versions 8 to 9.
    pub name: StrBytes,
    /// Version 10.
    pub topic_id: TopicId,
    /// Versions 8 to 10.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl OffsetFetchResponseTopics {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 9 {
            m.name = r.string(true)?;
        }
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(true, 20, |r| OffsetFetchResponsePartitions::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        if v <= 9 {
            w.string(true, &self.name)?;
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(true, &self.partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartitions {
    /// Versions 8 to 10.
    pub partition_index: i32,
    /// Versions 8 to 10.
    pub committed_offset: i64,
    /// Versions 8 to 10.
    pub committed_leader_epoch: i32,
    /// Versions 8 to 10.
    pub metadata: Option<StrBytes>,
    /// Versions 8 to 10.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(StrBytes::EMPTY),
            error_code: 0,
        }
    }
}

impl OffsetFetchResponsePartitions {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        m.committed_leader_epoch = r.i32()?;
        m.metadata = r.nullable_string(true)?;
        m.error_code = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        w.i32(self.committed_leader_epoch);
        w.nullable_string(true, self.metadata.as_ref())?;
        w.i16(self.error_code);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for OffsetFetchResponse {
    const NAME: &'static str = "OffsetFetchResponse";
    const MIN_VERSION: i16 = 1;
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
