//! ShareGroupHeartbeatResponse, version 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShareGroupHeartbeatResponse {
    /// Version 1.
    pub throttle_time_ms: i32,
    /// Version 1.
    pub error_code: i16,
    /// Version 1.
    pub error_message: Option<StrBytes>,
    /// Version 1.
    pub member_id: Option<StrBytes>,
    /// Version 1.
    pub member_epoch: i32,
    /// Version 1.
    pub heartbeat_interval_ms: i32,
    /// Version 1.
    pub assignment: Option<Assignment>,
}

impl ShareGroupHeartbeatResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.member_id = r.nullable_string(true)?;
        m.member_epoch = r.i32()?;
        m.heartbeat_interval_ms = r.i32()?;
        m.assignment = r.nullable_struct(|r| Assignment::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.nullable_string(true, self.member_id.as_ref())?;
        w.i32(self.member_epoch);
        w.i32(self.heartbeat_interval_ms);
        w.nullable_struct(self.assignment.as_ref(), |w, x: &Assignment| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Assignment {
    /// Version 1.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_partitions = r.array(true, 18, |r| TopicPartitions::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.topic_partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    /// Version 1.
    pub topic_id: TopicId,
    /// Version 1.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.uuid(self.topic_id);
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ShareGroupHeartbeatResponse {
    const NAME: &'static str = "ShareGroupHeartbeatResponse";
    const MIN_VERSION: i16 = 1;
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
