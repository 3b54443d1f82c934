//! AlterPartitionResponse, versions 2 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterPartitionResponse {
    /// Versions 2 to 3.
    pub throttle_time_ms: i32,
    /// Versions 2 to 3.
    pub error_code: i16,
    /// Versions 2 to 3.
    pub topics: Vec<TopicData>,
}

impl AlterPartitionResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.topics = r.array(true, 18, |r| TopicData::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicData {
    /// Versions 2 to 3.
    pub topic_id: TopicId,
    /// Versions 2 to 3.
    pub partitions: Vec<PartitionData>,
}

impl TopicData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(true, 21, |r| PartitionData::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.uuid(self.topic_id);
        w.array(true, &self.partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionData {
    /// Versions 2 to 3.
    pub partition_index: i32,
    /// Versions 2 to 3.
    pub error_code: i16,
    /// Versions 2 to 3.
    pub leader_id: i32,
    /// Versions 2 to 3.
    pub leader_epoch: i32,
    /// Versions 2 to 3.
    pub isr: Vec<i32>,
    /// Versions 2 to 3.
    pub leader_recovery_state: i8,
    /// Versions 2 to 3.
    pub partition_epoch: i32,
}

impl PartitionData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.i16()?;
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.isr = r.array(true, 4, |r| r.i32())?;
        m.leader_recovery_state = r.i8()?;
        m.partition_epoch = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array(true, &self.isr, |w, x| Ok(w.i32(*x)))?;
        w.i8(self.leader_recovery_state);
        w.i32(self.partition_epoch);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for AlterPartitionResponse {
    const NAME: &'static str = "AlterPartitionResponse";
    const MIN_VERSION: i16 = 2;
    const MAX_VERSION: i16 = 3;
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
