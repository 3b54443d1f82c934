//! StreamsGroupDescribeResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct StreamsGroupDescribeResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub groups: Vec<DescribedGroup>,
}

impl StreamsGroupDescribeResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.groups = r.array(true, 20, |r| DescribedGroup::read(r, v))?;
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

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub error_message: Option<StrBytes>,
    /// Version 0.
    pub group_id: StrBytes,
    /// Version 0.
    pub group_state: StrBytes,
    /// Version 0.
    pub group_epoch: i32,
    /// Version 0.
    pub assignment_epoch: i32,
    /// Version 0.
    pub topology: Option<Topology>,
    /// Version 0.
    pub members: Vec<Member>,
    /// Version 0.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: StrBytes::EMPTY,
            group_state: StrBytes::EMPTY,
            group_epoch: 0,
            assignment_epoch: 0,
            topology: None,
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl DescribedGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.group_id = r.string(true)?;
        m.group_state = r.string(true)?;
        m.group_epoch = r.i32()?;
        m.assignment_epoch = r.i32()?;
        m.topology = r.nullable_struct(|r| Topology::read(r, v))?;
        m.members = r.array(true, 28, |r| Member::read(r, v))?;
        m.authorized_operations = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.string(true, &self.group_id)?;
        w.string(true, &self.group_state)?;
        w.i32(self.group_epoch);
        w.i32(self.assignment_epoch);
        w.nullable_struct(self.topology.as_ref(), |w, x: &Topology| x.write(w, v))?;
        w.array(true, &self.members, |w, x| x.write(w, v))?;
        w.i32(self.authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Topology {
    /// Version 0.
    pub epoch: i32,
    /// Version 0.
    pub subtopologies: Option<Vec<Subtopology>>,
}

impl Topology {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.epoch = r.i32()?;
        m.subtopologies = r.nullable_array(true, 6, |r| Subtopology::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.epoch);
        w.nullable_array(true, self.subtopologies.as_deref(), |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Subtopology {
    /// Version 0.
    pub subtopology_id: StrBytes,
    /// Version 0.
    pub source_topics: Vec<StrBytes>,
    /// Version 0.
    pub repartition_sink_topics: Vec<StrBytes>,
    /// Version 0.
    pub state_changelog_topics: Vec<TopicInfo>,
    /// Version 0.
    pub repartition_source_topics: Vec<TopicInfo>,
}

impl Subtopology {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = r.string(true)?;
        m.source_topics = r.array(true, 1, |r| r.string(true))?;
        m.repartition_sink_topics = r.array(true, 1, |r| r.string(true))?;
        m.state_changelog_topics = r.array(true, 9, |r| TopicInfo::read(r, v))?;
        m.repartition_source_topics = r.array(true, 9, |r| TopicInfo::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.subtopology_id)?;
        w.array(true, &self.source_topics, |w, x| w.string(true, x))?;
        w.array(true, &self.repartition_sink_topics, |w, x| w.string(true, x))?;
        w.array(true, &self.state_changelog_topics, |w, x| x.write(w, v))?;
        w.array(true, &self.repartition_source_topics, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Member {
    /// Version 0.
    pub member_id: StrBytes,
    /// Version 0.
    pub member_epoch: i32,
    /// Version 0.
    pub instance_id: Option<StrBytes>,
    /// Version 0.
    pub rack_id: Option<StrBytes>,
    /// Version 0.
    pub client_id: StrBytes,
    /// Version 0.
    pub client_host: StrBytes,
    /// Version 0.
    pub topology_epoch: i32,
    /// Version 0.
    pub process_id: StrBytes,
    /// Version 0.
    pub user_endpoint: Option<Endpoint>,
    /// Version 0.
    pub client_tags: Vec<KeyValue>,
    /// Version 0.
    pub task_offsets: Vec<TaskOffset>,
    /// Version 0.
    pub task_end_offsets: Vec<TaskOffset>,
    /// Version 0.
    pub assignment: Assignment,
    /// Version 0.
    pub target_assignment: Assignment,
    /// Version 0.
    pub is_classic: bool,
}

impl Member {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string(true)?;
        m.member_epoch = r.i32()?;
        m.instance_id = r.nullable_string(true)?;
        m.rack_id = r.nullable_string(true)?;
        m.client_id = r.string(true)?;
        m.client_host = r.string(true)?;
        m.topology_epoch = r.i32()?;
        m.process_id = r.string(true)?;
        m.user_endpoint = r.nullable_struct(|r| Endpoint::read(r, v))?;
        m.client_tags = r.array(true, 3, |r| KeyValue::read(r, v))?;
        m.task_offsets = r.array(true, 14, |r| TaskOffset::read(r, v))?;
        m.task_end_offsets = r.array(true, 14, |r| TaskOffset::read(r, v))?;
        m.assignment = Assignment::read(r, v)?;
        m.target_assignment = Assignment::read(r, v)?;
        m.is_classic = r.bool()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.member_id)?;
        w.i32(self.member_epoch);
        w.nullable_string(true, self.instance_id.as_ref())?;
        w.nullable_string(true, self.rack_id.as_ref())?;
        w.string(true, &self.client_id)?;
        w.string(true, &self.client_host)?;
        w.i32(self.topology_epoch);
        w.string(true, &self.process_id)?;
        w.nullable_struct(self.user_endpoint.as_ref(), |w, x: &Endpoint| x.write(w, v))?;
        w.array(true, &self.client_tags, |w, x| x.write(w, v))?;
        w.array(true, &self.task_offsets, |w, x| x.write(w, v))?;
        w.array(true, &self.task_end_offsets, |w, x| x.write(w, v))?;
        self.assignment.write(w, v)?;
        self.target_assignment.write(w, v)?;
        w.bool(self.is_classic);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Endpoint {
    /// Version 0.
    pub host: StrBytes,
    /// Version 0.
    pub port: u16,
}

impl Endpoint {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.host = r.string(true)?;
        m.port = r.u16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.host)?;
        w.u16(self.port);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TaskOffset {
    /// Version 0.
    pub subtopology_id: StrBytes,
    /// Version 0.
    pub partition: i32,
    /// Version 0.
    pub offset: i64,
}

impl TaskOffset {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = r.string(true)?;
        m.partition = r.i32()?;
        m.offset = r.i64()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.subtopology_id)?;
        w.i32(self.partition);
        w.i64(self.offset);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Assignment {
    /// Version 0.
    pub active_tasks: Vec<TaskIds>,
    /// Version 0.
    pub standby_tasks: Vec<TaskIds>,
    /// Version 0.
    pub warmup_tasks: Vec<TaskIds>,
}

impl Assignment {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.active_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.standby_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.warmup_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.active_tasks, |w, x| x.write(w, v))?;
        w.array(true, &self.standby_tasks, |w, x| x.write(w, v))?;
        w.array(true, &self.warmup_tasks, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TaskIds {
    /// Version 0.
    pub subtopology_id: StrBytes,
    /// Version 0.
    pub partitions: Vec<i32>,
}

impl TaskIds {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = r.string(true)?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.subtopology_id)?;
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct KeyValue {
    /// Version 0.
    pub key: StrBytes,
    /// Version 0.
    pub value: StrBytes,
}

impl KeyValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.key = r.string(true)?;
        m.value = r.string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.key)?;
        w.string(true, &self.value)?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicInfo {
    /// Version 0.
    pub name: StrBytes,
    /// Version 0.
    pub partitions: i32,
    /// Version 0.
    pub replication_factor: i16,
    /// Version 0.
    pub topic_configs: Vec<KeyValue>,
}

impl TopicInfo {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.partitions = r.i32()?;
        m.replication_factor = r.i16()?;
        m.topic_configs = r.array(true, 3, |r| KeyValue::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.i32(self.partitions);
        w.i16(self.replication_factor);
        w.array(true, &self.topic_configs, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for StreamsGroupDescribeResponse {
    const NAME: &'static str = "StreamsGroupDescribeResponse";
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
