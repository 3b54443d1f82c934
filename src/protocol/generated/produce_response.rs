//! ProduceResponse, versions 3 to 13.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProduceResponse {
    /// Versions 3 to 13.
    pub responses: Vec<TopicProduceResponse>,
    /// Versions 3 to 13.
    pub throttle_time_ms: i32,
    /// Versions 10 to 13, tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl ProduceResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.responses = r.array(flex, 3, |r| TopicProduceResponse::read(r, v))?;
        m.throttle_time_ms = r.i32()?;
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 if v >= 10 => {
                        m.node_endpoints = r.array(flex, 11, |r| NodeEndpoint::read(r, v))?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.array(flex, &self.responses, |w, x| x.write(w, v))?;
        w.i32(self.throttle_time_ms);
        if !(v >= 10) && !self.node_endpoints.is_empty() {
            return lost("ProduceResponse.NodeEndpoints", v);
        }
        if flex {
            let mut t = w.begin_tags();
            if v >= 10 && !self.node_endpoints.is_empty() {
                w.begin_tag(&mut t, 0);
                w.array(flex, &self.node_endpoints, |w, x| x.write(w, v))?;
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicProduceResponse {
    /// Versions 3 to 12.
    pub name: StrBytes,
    /// Version 13.
    pub topic_id: TopicId,
    /// Versions 3 to 13.
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl TopicProduceResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        if v <= 12 {
            m.name = r.string(flex)?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partition_responses = r.array(flex, 22, |r| PartitionProduceResponse::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        if v <= 12 {
            w.string(flex, &self.name)?;
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partition_responses, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProduceResponse {
    /// Versions 3 to 13.
    pub index: i32,
    /// Versions 3 to 13.
    pub error_code: i16,
    /// Versions 3 to 13.
    pub base_offset: i64,
    /// Versions 3 to 13.
    pub log_append_time_ms: i64,
    /// Versions 5 to 13.
    pub log_start_offset: i64,
    /// Versions 8 to 13.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// Versions 8 to 13.
    pub error_message: Option<StrBytes>,
    /// Versions 10 to 13, tag 0.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl PartitionProduceResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.index = r.i32()?;
        m.error_code = r.i16()?;
        m.base_offset = r.i64()?;
        m.log_append_time_ms = r.i64()?;
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        if v >= 8 {
            m.record_errors = r.array(flex, 6, |r| BatchIndexAndErrorMessage::read(r, v))?;
        }
        if v >= 8 {
            m.error_message = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 if v >= 10 => {
                        m.current_leader = LeaderIdAndEpoch::read(r, v)?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i32(self.index);
        w.i16(self.error_code);
        w.i64(self.base_offset);
        w.i64(self.log_append_time_ms);
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        if v >= 8 {
            w.array(flex, &self.record_errors, |w, x| x.write(w, v))?;
        }
        if v >= 8 {
            w.nullable_string(flex, self.error_message.as_ref())?;
        }
        if !(v >= 10) && self.current_leader != LeaderIdAndEpoch::default() {
            return lost("PartitionProduceResponse.CurrentLeader", v);
        }
        if flex {
            let mut t = w.begin_tags();
            if v >= 10 && self.current_leader != LeaderIdAndEpoch::default() {
                w.begin_tag(&mut t, 0);
                self.current_leader.write(w, v)?;
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct BatchIndexAndErrorMessage {
    /// Versions 8 to 13.
    pub batch_index: i32,
    /// Versions 8 to 13.
    pub batch_index_error_message: Option<StrBytes>,
}

impl BatchIndexAndErrorMessage {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.batch_index = r.i32()?;
        m.batch_index_error_message = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i32(self.batch_index);
        w.nullable_string(flex, self.batch_index_error_message.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// Versions 10 to 13.
    pub leader_id: i32,
    /// Versions 10 to 13.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
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
    /// Versions 10 to 13.
    pub node_id: i32,
    /// Versions 10 to 13.
    pub host: StrBytes,
    /// Versions 10 to 13.
    pub port: i32,
    /// Versions 10 to 13.
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

impl Message for ProduceResponse {
    const NAME: &'static str = "ProduceResponse";
    const MIN_VERSION: i16 = 3;
    const MAX_VERSION: i16 = 13;
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
