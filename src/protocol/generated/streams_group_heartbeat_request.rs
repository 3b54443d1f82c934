//! StreamsGroupHeartbeatRequest, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct StreamsGroupHeartbeatRequest {
    /// Version 0.
    pub group_id: StrBytes,
    /// Version 0.
    pub member_id: StrBytes,
    /// Version 0.
    pub member_epoch: i32,
    /// Version 0.
    pub endpoint_information_epoch: i32,
    /// Version 0.
    pub instance_id: Option<StrBytes>,
    /// Version 0.
    pub rack_id: Option<StrBytes>,
    /// Version 0.
    pub rebalance_timeout_ms: i32,
    /// Version 0.
    pub topology: Option<Topology>,
    /// Version 0.
    pub active_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub standby_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub warmup_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub process_id: Option<StrBytes>,
    /// Version 0.
    pub user_endpoint: Option<Endpoint>,
    /// Version 0.
    pub client_tags: Option<Vec<KeyValue>>,
    /// Version 0.
    pub task_offsets: Option<Vec<TaskOffset>>,
    /// Version 0.
    pub task_end_offsets: Option<Vec<TaskOffset>>,
    /// Version 0.
    pub shutdown_application: bool,
}

impl Default for StreamsGroupHeartbeatRequest {
    fn default() -> Self {
        Self {
            group_id: StrBytes::EMPTY,
            member_id: StrBytes::EMPTY,
            member_epoch: 0,
            endpoint_information_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            topology: None,
            active_tasks: None,
            standby_tasks: None,
            warmup_tasks: None,
            process_id: None,
            user_endpoint: None,
            client_tags: None,
            task_offsets: None,
            task_end_offsets: None,
            shutdown_application: false,
        }
    }
}

impl StreamsGroupHeartbeatRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string(true)?;
        m.member_id = r.string(true)?;
        m.member_epoch = r.i32()?;
        m.endpoint_information_epoch = r.i32()?;
        m.instance_id = r.nullable_string(true)?;
        m.rack_id = r.nullable_string(true)?;
        m.rebalance_timeout_ms = r.i32()?;
        m.topology = r.nullable_struct(|r| Topology::read(r, v))?;
        m.active_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.standby_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.warmup_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.process_id = r.nullable_string(true)?;
        m.user_endpoint = r.nullable_struct(|r| Endpoint::read(r, v))?;
        m.client_tags = r.nullable_array(true, 3, |r| KeyValue::read(r, v))?;
        m.task_offsets = r.nullable_array(true, 14, |r| TaskOffset::read(r, v))?;
        m.task_end_offsets = r.nullable_array(true, 14, |r| TaskOffset::read(r, v))?;
        m.shutdown_application = r.bool()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.group_id)?;
        w.string(true, &self.member_id)?;
        w.i32(self.member_epoch);
        w.i32(self.endpoint_information_epoch);
        w.nullable_string(true, self.instance_id.as_ref())?;
        w.nullable_string(true, self.rack_id.as_ref())?;
        w.i32(self.rebalance_timeout_ms);
        w.nullable_struct(self.topology.as_ref(), |w, x: &Topology| x.write(w, v))?;
        w.nullable_array(true, self.active_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.standby_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.warmup_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_string(true, self.process_id.as_ref())?;
        w.nullable_struct(self.user_endpoint.as_ref(), |w, x: &Endpoint| x.write(w, v))?;
        w.nullable_array(true, self.client_tags.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.task_offsets.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.task_end_offsets.as_deref(), |w, x| x.write(w, v))?;
        w.bool(self.shutdown_application);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Topology {
    /// Version 0.
    pub epoch: i32,
    /// Version 0.
    pub subtopologies: Vec<Subtopology>,
}

impl Topology {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.epoch = r.i32()?;
        m.subtopologies = r.array(true, 8, |r| Subtopology::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.epoch);
        w.array(true, &self.subtopologies, |w, x| x.write(w, v))?;
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
    pub source_topic_regex: Vec<StrBytes>,
    /// Version 0.
    pub state_changelog_topics: Vec<TopicInfo>,
    /// Version 0.
    pub repartition_sink_topics: Vec<StrBytes>,
    /// Version 0.
    pub repartition_source_topics: Vec<TopicInfo>,
    /// Version 0.
    pub copartition_groups: Vec<CopartitionGroup>,
}

impl Subtopology {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = r.string(true)?;
        m.source_topics = r.array(true, 1, |r| r.string(true))?;
        m.source_topic_regex = r.array(true, 1, |r| r.string(true))?;
        m.state_changelog_topics = r.array(true, 9, |r| TopicInfo::read(r, v))?;
        m.repartition_sink_topics = r.array(true, 1, |r| r.string(true))?;
        m.repartition_source_topics = r.array(true, 9, |r| TopicInfo::read(r, v))?;
        m.copartition_groups = r.array(true, 4, |r| CopartitionGroup::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.subtopology_id)?;
        w.array(true, &self.source_topics, |w, x| w.string(true, x))?;
        w.array(true, &self.source_topic_regex, |w, x| w.string(true, x))?;
        w.array(true, &self.state_changelog_topics, |w, x| x.write(w, v))?;
        w.array(true, &self.repartition_sink_topics, |w, x| w.string(true, x))?;
        w.array(true, &self.repartition_source_topics, |w, x| x.write(w, v))?;
        w.array(true, &self.copartition_groups, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CopartitionGroup {
    /// Version 0.
    pub source_topics: Vec<i16>,
    /// Version 0.
    pub source_topic_regex: Vec<i16>,
    /// Version 0.
    pub repartition_source_topics: Vec<i16>,
}

impl CopartitionGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.source_topics = r.array(true, 2, |r| r.i16())?;
        m.source_topic_regex = r.array(true, 2, |r| r.i16())?;
        m.repartition_source_topics = r.array(true, 2, |r| r.i16())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.source_topics, |w, x| Ok(w.i16(*x)))?;
        w.array(true, &self.source_topic_regex, |w, x| Ok(w.i16(*x)))?;
        w.array(true, &self.repartition_source_topics, |w, x| Ok(w.i16(*x)))?;
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

impl Message for StreamsGroupHeartbeatRequest {
    const NAME: &'static str = "StreamsGroupHeartbeatRequest";
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
}

impl Request for StreamsGroupHeartbeatRequest {
    const API_KEY: ApiKey = ApiKey::StreamsGroupHeartbeat;
    type Response = super::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
}
