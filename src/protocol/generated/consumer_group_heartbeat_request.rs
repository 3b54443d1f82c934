//! ConsumerGroupHeartbeatRequest, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGroupHeartbeatRequest {
    /// Versions 0 to 1.
    pub group_id: StrBytes,
    /// Versions 0 to 1.
    pub member_id: StrBytes,
    /// Versions 0 to 1.
    pub member_epoch: i32,
    /// Versions 0 to 1.
    pub instance_id: Option<StrBytes>,
    /// Versions 0 to 1.
    pub rack_id: Option<StrBytes>,
    /// Versions 0 to 1.
    pub rebalance_timeout_ms: i32,
    /// Versions 0 to 1.
    pub subscribed_topic_names: Option<Vec<StrBytes>>,
    /// Version 1.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// Versions 0 to 1.
    pub server_assignor: Option<StrBytes>,
    /// Versions 0 to 1.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

impl Default for ConsumerGroupHeartbeatRequest {
    fn default() -> Self {
        Self {
            group_id: StrBytes::EMPTY,
            member_id: StrBytes::EMPTY,
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
        }
    }
}

impl ConsumerGroupHeartbeatRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string(true)?;
        m.member_id = r.string(true)?;
        m.member_epoch = r.i32()?;
        m.instance_id = r.nullable_string(true)?;
        m.rack_id = r.nullable_string(true)?;
        m.rebalance_timeout_ms = r.i32()?;
        m.subscribed_topic_names = r.nullable_array(true, 1, |r| r.string(true))?;
        if v >= 1 {
            m.subscribed_topic_regex = r.nullable_string(true)?;
        }
        m.server_assignor = r.nullable_string(true)?;
        m.topic_partitions = r.nullable_array(true, 18, |r| TopicPartitions::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.group_id)?;
        w.string(true, &self.member_id)?;
        w.i32(self.member_epoch);
        w.nullable_string(true, self.instance_id.as_ref())?;
        w.nullable_string(true, self.rack_id.as_ref())?;
        w.i32(self.rebalance_timeout_ms);
        w.nullable_array(true, self.subscribed_topic_names.as_deref(), |w, x| w.string(true, x))?;
        if !(v >= 1) && self.subscribed_topic_regex.is_some() {
            return lost("ConsumerGroupHeartbeatRequest.SubscribedTopicRegex", v);
        }
        if v >= 1 {
            w.nullable_string(true, self.subscribed_topic_regex.as_ref())?;
        }
        w.nullable_string(true, self.server_assignor.as_ref())?;
        w.nullable_array(true, self.topic_partitions.as_deref(), |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    /// Versions 0 to 1.
    pub topic_id: TopicId,
    /// Versions 0 to 1.
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

impl Message for ConsumerGroupHeartbeatRequest {
    const NAME: &'static str = "ConsumerGroupHeartbeatRequest";
    const MIN_VERSION: i16 = 0;
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
}

impl Request for ConsumerGroupHeartbeatRequest {
    const API_KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    type Response = super::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
}
