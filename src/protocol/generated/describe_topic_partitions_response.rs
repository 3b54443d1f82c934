//! DescribeTopicPartitionsResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeTopicPartitionsResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Version 0.
    pub next_cursor: Option<Cursor>,
}

impl DescribeTopicPartitionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(true, 26, |r| DescribeTopicPartitionsResponseTopic::read(r, v))?;
        m.next_cursor = r.nullable_struct(|r| Cursor::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.nullable_struct(self.next_cursor.as_ref(), |w, x: &Cursor| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub name: Option<StrBytes>,
    /// Version 0.
    pub topic_id: TopicId,
    /// Version 0.
    pub is_internal: bool,
    /// Version 0.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// Version 0.
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
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

impl DescribeTopicPartitionsResponseTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.name = r.nullable_string(true)?;
        m.topic_id = r.uuid()?;
        m.is_internal = r.bool()?;
        m.partitions = r.array(true, 20, |r| DescribeTopicPartitionsResponsePartition::read(r, v))?;
        m.topic_authorized_operations = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i16(self.error_code);
        w.nullable_string(true, self.name.as_ref())?;
        w.uuid(self.topic_id);
        w.bool(self.is_internal);
        w.array(true, &self.partitions, |w, x| x.write(w, v))?;
        w.i32(self.topic_authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub partition_index: i32,
    /// Version 0.
    pub leader_id: i32,
    /// Version 0.
    pub leader_epoch: i32,
    /// Version 0.
    pub replica_nodes: Vec<i32>,
    /// Version 0.
    pub isr_nodes: Vec<i32>,
    /// Version 0.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Version 0.
    pub last_known_elr: Option<Vec<i32>>,
    /// Version 0.
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.replica_nodes = r.array(true, 4, |r| r.i32())?;
        m.isr_nodes = r.array(true, 4, |r| r.i32())?;
        m.eligible_leader_replicas = r.nullable_array(true, 4, |r| r.i32())?;
        m.last_known_elr = r.nullable_array(true, 4, |r| r.i32())?;
        m.offline_replicas = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i16(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array(true, &self.replica_nodes, |w, x| Ok(w.i32(*x)))?;
        w.array(true, &self.isr_nodes, |w, x| Ok(w.i32(*x)))?;
        w.nullable_array(true, self.eligible_leader_replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
        w.nullable_array(true, self.last_known_elr.as_deref(), |w, x| Ok(w.i32(*x)))?;
        w.array(true, &self.offline_replicas, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Cursor {
    /// Version 0.
    pub topic_name: StrBytes,
    /// Version 0.
    pub partition_index: i32,
}

impl Cursor {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string(true)?;
        m.partition_index = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.topic_name)?;
        w.i32(self.partition_index);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DescribeTopicPartitionsResponse {
    const NAME: &'static str = "DescribeTopicPartitionsResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 0;
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
