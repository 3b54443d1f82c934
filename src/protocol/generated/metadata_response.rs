//! MetadataResponse, versions 0 to 13.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponse {
    /// Versions 3 to 13.
    pub throttle_time_ms: i32,
    /// Versions 0 to 13.
    pub brokers: Vec<MetadataResponseBroker>,
    /// Versions 2 to 13.
    pub cluster_id: Option<StrBytes>,
    /// Versions 1 to 13.
    pub controller_id: i32,
    /// Versions 0 to 13.
    pub topics: Vec<MetadataResponseTopic>,
    /// Versions 8 to 10.
    pub cluster_authorized_operations: i32,
    /// Version 13.
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: -2147483648,
            error_code: 0,
        }
    }
}

impl MetadataResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        if v >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        m.brokers = r.array(flex, 10, |r| MetadataResponseBroker::read(r, v))?;
        if v >= 2 {
            m.cluster_id = r.nullable_string(flex)?;
        }
        if v >= 1 {
            m.controller_id = r.i32()?;
        }
        m.topics = r.array(flex, 8, |r| MetadataResponseTopic::read(r, v))?;
        if v >= 8 && v <= 10 {
            m.cluster_authorized_operations = r.i32()?;
        }
        if v >= 13 {
            m.error_code = r.i16()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        if v >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(flex, &self.brokers, |w, x| x.write(w, v))?;
        if v >= 2 {
            w.nullable_string(flex, self.cluster_id.as_ref())?;
        }
        if v >= 1 {
            w.i32(self.controller_id);
        }
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if !(v >= 8 && v <= 10) && self.cluster_authorized_operations != -2147483648 {
            return lost("MetadataResponse.ClusterAuthorizedOperations", v);
        }
        if v >= 8 && v <= 10 {
            w.i32(self.cluster_authorized_operations);
        }
        if v >= 13 {
            w.i16(self.error_code);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MetadataResponseBroker {
    /// Versions 0 to 13.
    pub node_id: i32,
    /// Versions 0 to 13.
    pub host: StrBytes,
    /// Versions 0 to 13.
    pub port: i32,
    /// Versions 1 to 13.
    pub rack: Option<StrBytes>,
}

impl MetadataResponseBroker {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string(flex)?;
        m.port = r.i32()?;
        if v >= 1 {
            m.rack = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i32(self.node_id);
        w.string(flex, &self.host)?;
        w.i32(self.port);
        if v >= 1 {
            w.nullable_string(flex, self.rack.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponseTopic {
    /// Versions 0 to 13.
    pub error_code: i16,
    /// Versions 0 to 13; null in versions 12 to 13.
    pub name: Option<StrBytes>,
    /// Versions 10 to 13.
    pub topic_id: TopicId,
    /// Versions 1 to 13.
    pub is_internal: bool,
    /// Versions 0 to 13.
    pub partitions: Vec<MetadataResponsePartition>,
    /// Versions 8 to 13.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: Some(StrBytes::EMPTY),
            topic_id: TopicId::ZERO,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2147483648,
        }
    }
}

impl MetadataResponseTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.name = if v >= 12 { r.nullable_string(flex)? } else { Some(r.string(flex)?) };
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        if v >= 1 {
            m.is_internal = r.bool()?;
        }
        m.partitions = r.array(flex, 18, |r| MetadataResponsePartition::read(r, v))?;
        if v >= 8 {
            m.topic_authorized_operations = r.i32()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i16(self.error_code);
        if v >= 12 {
            w.nullable_string(flex, self.name.as_ref())?;
        } else {
            let Some(x) = &self.name else { return null("MetadataResponseTopic.Name", v) };
            w.string(flex, x)?;
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        if v >= 1 {
            w.bool(self.is_internal);
        }
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if !(v >= 8) && self.topic_authorized_operations != -2147483648 {
            return lost("MetadataResponseTopic.TopicAuthorizedOperations", v);
        }
        if v >= 8 {
            w.i32(self.topic_authorized_operations);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponsePartition {
    /// Versions 0 to 13.
    pub error_code: i16,
    /// Versions 0 to 13.
    pub partition_index: i32,
    /// Versions 0 to 13.
    pub leader_id: i32,
    /// Versions 7 to 13.
    pub leader_epoch: i32,
    /// Versions 0 to 13.
    pub replica_nodes: Vec<i32>,
    /// Versions 0 to 13.
    pub isr_nodes: Vec<i32>,
    /// Versions 5 to 13.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl MetadataResponsePartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        if v >= 7 {
            m.leader_epoch = r.i32()?;
        }
        m.replica_nodes = r.array(flex, 4, |r| r.i32())?;
        m.isr_nodes = r.array(flex, 4, |r| r.i32())?;
        if v >= 5 {
            m.offline_replicas = r.array(flex, 4, |r| r.i32())?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i16(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        if v >= 7 {
            w.i32(self.leader_epoch);
        }
        w.array(flex, &self.replica_nodes, |w, x| Ok(w.i32(*x)))?;
        w.array(flex, &self.isr_nodes, |w, x| Ok(w.i32(*x)))?;
        if v >= 5 {
            w.array(flex, &self.offline_replicas, |w, x| Ok(w.i32(*x)))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for MetadataResponse {
    const NAME: &'static str = "MetadataResponse";
    const MIN_VERSION: i16 = 0;
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
