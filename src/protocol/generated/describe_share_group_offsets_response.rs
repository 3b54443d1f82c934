//! DescribeShareGroupOffsetsResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeShareGroupOffsetsResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub groups: Vec<DescribeShareGroupOffsetsResponseGroup>,
}

impl DescribeShareGroupOffsetsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.groups = r.array(true, 6, |r| DescribeShareGroupOffsetsResponseGroup::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.array(true, &self.groups, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeShareGroupOffsetsResponseGroup {
    /// Versions 0 to 1.
    pub group_id: StrBytes,
    /// Versions 0 to 1.
    pub topics: Vec<DescribeShareGroupOffsetsResponseTopic>,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
}

impl DescribeShareGroupOffsetsResponseGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string(true)?;
        m.topics = r.array(true, 19, |r| DescribeShareGroupOffsetsResponseTopic::read(r, v))?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.group_id)?;
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeShareGroupOffsetsResponseTopic {
    /// Versions 0 to 1.
    pub topic_name: StrBytes,
    /// Versions 0 to 1.
    pub topic_id: TopicId,
    /// Versions 0 to 1.
    pub partitions: Vec<DescribeShareGroupOffsetsResponsePartition>,
}

impl DescribeShareGroupOffsetsResponseTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string(true)?;
        m.topic_id = r.uuid()?;
        m.partitions = r.array(true, 20, |r| DescribeShareGroupOffsetsResponsePartition::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.topic_name)?;
        w.uuid(self.topic_id);
        w.array(true, &self.partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeShareGroupOffsetsResponsePartition {
    /// Versions 0 to 1.
    pub partition_index: i32,
    /// Versions 0 to 1.
    pub start_offset: i64,
    /// Versions 0 to 1.
    pub leader_epoch: i32,
    /// Version 1.
    pub lag: i64,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
}

impl Default for DescribeShareGroupOffsetsResponsePartition {
    fn default() -> Self {
        Self { partition_index: 0, start_offset: 0, leader_epoch: 0, lag: -1, error_code: 0, error_message: None }
    }
}

impl DescribeShareGroupOffsetsResponsePartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.start_offset = r.i64()?;
        m.leader_epoch = r.i32()?;
        if v >= 1 {
            m.lag = r.i64()?;
        }
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.i64(self.start_offset);
        w.i32(self.leader_epoch);
        if !(v >= 1) && self.lag != -1 {
            return lost("DescribeShareGroupOffsetsResponsePartition.Lag", v);
        }
        if v >= 1 {
            w.i64(self.lag);
        }
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DescribeShareGroupOffsetsResponse {
    const NAME: &'static str = "DescribeShareGroupOffsetsResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 1;
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
