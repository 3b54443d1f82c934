//! StreamsGroupHeartbeatResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct StreamsGroupHeartbeatResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub error_message: Option<StrBytes>,
    /// Version 0.
    pub member_id: StrBytes,
    /// Version 0.
    pub member_epoch: i32,
    /// Version 0.
    pub heartbeat_interval_ms: i32,
    /// Version 0.
    pub acceptable_recovery_lag: i32,
    /// Version 0.
    pub task_offset_interval_ms: i32,
    /// Version 0.
    pub status: Option<Vec<Status>>,
    /// Version 0.
    pub active_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub standby_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub warmup_tasks: Option<Vec<TaskIds>>,
    /// Version 0.
    pub endpoint_information_epoch: i32,
    /// Version 0.
    pub partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>>,
}

impl Default for StreamsGroupHeartbeatResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            member_id: StrBytes::EMPTY,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            acceptable_recovery_lag: 0,
            task_offset_interval_ms: 0,
            status: Some(Vec::new()),
            active_tasks: None,
            standby_tasks: None,
            warmup_tasks: None,
            endpoint_information_epoch: 0,
            partitions_by_user_endpoint: None,
        }
    }
}

impl StreamsGroupHeartbeatResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.member_id = r.string(true)?;
        m.member_epoch = r.i32()?;
        m.heartbeat_interval_ms = r.i32()?;
        m.acceptable_recovery_lag = r.i32()?;
        m.task_offset_interval_ms = r.i32()?;
        m.status = r.nullable_array(true, 3, |r| Status::read(r, v))?;
        m.active_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.standby_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.warmup_tasks = r.nullable_array(true, 3, |r| TaskIds::read(r, v))?;
        m.endpoint_information_epoch = r.i32()?;
        m.partitions_by_user_endpoint = r.nullable_array(true, 7, |r| EndpointToPartitions::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.string(true, &self.member_id)?;
        w.i32(self.member_epoch);
        w.i32(self.heartbeat_interval_ms);
        w.i32(self.acceptable_recovery_lag);
        w.i32(self.task_offset_interval_ms);
        w.nullable_array(true, self.status.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.active_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.standby_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.nullable_array(true, self.warmup_tasks.as_deref(), |w, x| x.write(w, v))?;
        w.i32(self.endpoint_information_epoch);
        w.nullable_array(true, self.partitions_by_user_endpoint.as_deref(), |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct EndpointToPartitions {
    /// Version 0.
    pub user_endpoint: Endpoint,
    /// Version 0.
    pub active_partitions: Vec<TopicPartition>,
    /// Version 0.
    pub standby_partitions: Vec<TopicPartition>,
}

impl EndpointToPartitions {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.user_endpoint = Endpoint::read(r, v)?;
        m.active_partitions = r.array(true, 3, |r| TopicPartition::read(r, v))?;
        m.standby_partitions = r.array(true, 3, |r| TopicPartition::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        self.user_endpoint.write(w, v)?;
        w.array(true, &self.active_partitions, |w, x| x.write(w, v))?;
        w.array(true, &self.standby_partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Status {
    /// Version 0.
    pub status_code: i8,
    /// Version 0.
    pub status_detail: StrBytes,
}

impl Status {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.status_code = r.i8()?;
        m.status_detail = r.string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i8(self.status_code);
        w.string(true, &self.status_detail)?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartition {
    /// Version 0.
    pub topic: StrBytes,
    /// Version 0.
    pub partitions: Vec<i32>,
}

impl TopicPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string(true)?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.topic)?;
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
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

impl Message for StreamsGroupHeartbeatResponse {
    const NAME: &'static str = "StreamsGroupHeartbeatResponse";
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
