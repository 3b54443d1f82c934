//! ShareAcknowledgeResponse, versions 1 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShareAcknowledgeResponse {
    /// Versions 1 to 2.
    pub throttle_time_ms: i32,
    /// Versions 1 to 2.
    pub error_code: i16,
    /// Versions 1 to 2.
    pub error_message: Option<StrBytes>,
    /// Version 2.
    pub acquisition_lock_timeout_ms: i32,
    /// Versions 1 to 2.
    pub responses: Vec<ShareAcknowledgeTopicResponse>,
    /// Versions 1 to 2.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl ShareAcknowledgeResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        if v >= 2 {
            m.acquisition_lock_timeout_ms = r.i32()?;
        }
        m.responses = r.array(true, 18, |r| ShareAcknowledgeTopicResponse::read(r, v))?;
        m.node_endpoints = r.array(true, 11, |r| NodeEndpoint::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        if v >= 2 {
            w.i32(self.acquisition_lock_timeout_ms);
        }
        w.array(true, &self.responses, |w, x| x.write(w, v))?;
        w.array(true, &self.node_endpoints, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShareAcknowledgeTopicResponse {
    /// Versions 1 to 2.
    pub topic_id: TopicId,
    /// Versions 1 to 2.
    pub partitions: Vec<PartitionData>,
}

impl ShareAcknowledgeTopicResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(true, 17, |r| PartitionData::read(r, v))?;
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
    /// Versions 1 to 2.
    pub partition_index: i32,
    /// Versions 1 to 2.
    pub error_code: i16,
    /// Versions 1 to 2.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 2.
    pub current_leader: LeaderIdAndEpoch,
}

impl PartitionData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.current_leader = LeaderIdAndEpoch::read(r, v)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        self.current_leader.write(w, v)?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct LeaderIdAndEpoch {
    /// Versions 1 to 2.
    pub leader_id: i32,
    /// Versions 1 to 2.
    pub leader_epoch: i32,
}

impl LeaderIdAndEpoch {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct NodeEndpoint {
    /// Versions 1 to 2.
    pub node_id: i32,
    /// Versions 1 to 2.
    pub host: StrBytes,
    /// Versions 1 to 2.
    pub port: i32,
    /// Versions 1 to 2.
    pub rack: Option<StrBytes>,
}

impl NodeEndpoint {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string(true)?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.node_id);
        w.string(true, &self.host)?;
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ShareAcknowledgeResponse {
    const NAME: &'static str = "ShareAcknowledgeResponse";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 2;
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
