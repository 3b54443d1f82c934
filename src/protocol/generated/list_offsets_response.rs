//! ListOffsetsResponse, versions 1 to 11.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsResponse {
    /// Versions 2 to 11.
    pub throttle_time_ms: i32,
    /// Versions 1 to 11.
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl ListOffsetsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        if v >= 2 {
            m.throttle_time_ms = r.i32()?;
        }
        m.topics = r.array(flex, 3, |r| ListOffsetsTopicResponse::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        if v >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListOffsetsTopicResponse {
    /// Versions 1 to 11.
    pub name: StrBytes,
    /// Versions 1 to 11.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl ListOffsetsTopicResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partitions = r.array(flex, 22, |r| ListOffsetsPartitionResponse::read(r, v))?;
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
pub struct ListOffsetsPartitionResponse {
    /// Versions 1 to 11.
    pub partition_index: i32,
    /// Versions 1 to 11.
    pub error_code: i16,
    /// Versions 1 to 11.
    pub timestamp: i64,
    /// Versions 1 to 11.
    pub offset: i64,
    /// Versions 4 to 11.
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self { partition_index: 0, error_code: 0, timestamp: -1, offset: -1, leader_epoch: -1 }
    }
}

impl ListOffsetsPartitionResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.i16()?;
        m.timestamp = r.i64()?;
        m.offset = r.i64()?;
        if v >= 4 {
            m.leader_epoch = r.i32()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.i64(self.timestamp);
        w.i64(self.offset);
        if !(v >= 4) && self.leader_epoch != -1 {
            return lost("ListOffsetsPartitionResponse.LeaderEpoch", v);
        }
        if v >= 4 {
            w.i32(self.leader_epoch);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ListOffsetsResponse {
    const NAME: &'static str = "ListOffsetsResponse";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 11;
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
