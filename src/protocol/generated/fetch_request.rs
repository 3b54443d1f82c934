//! FetchRequest, versions 4 to 18.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    /// Versions 12 to 18, tag 0.
    pub cluster_id: Option<StrBytes>,
    /// Versions 4 to 14.
    pub replica_id: i32,
    /// Versions 15 to 18, tag 1.
    pub replica_state: ReplicaState,
    /// Versions 4 to 18.
    pub max_wait_ms: i32,
    /// Versions 4 to 18.
    pub min_bytes: i32,
    /// Versions 4 to 18.
    pub max_bytes: i32,
    /// Versions 4 to 18.
    pub isolation_level: i8,
    /// Versions 7 to 18.
    pub session_id: i32,
    /// Versions 7 to 18.
    pub session_epoch: i32,
    /// Versions 4 to 18.
    pub topics: Vec<FetchTopic>,
    /// Versions 7 to 18.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Versions 11 to 18.
    pub rack_id: StrBytes,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 0x7fffffff,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: StrBytes::EMPTY,
        }
    }
}

impl FetchRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        if v <= 14 {
            m.replica_id = r.i32()?;
        }
        m.max_wait_ms = r.i32()?;
        m.min_bytes = r.i32()?;
        m.max_bytes = r.i32()?;
        m.isolation_level = r.i8()?;
        if v >= 7 {
            m.session_id = r.i32()?;
        }
        if v >= 7 {
            m.session_epoch = r.i32()?;
        }
        m.topics = r.array(flex, 3, |r| FetchTopic::read(r, v))?;
        if v >= 7 {
            m.forgotten_topics_data = r.array(flex, 3, |r| ForgottenTopic::read(r, v))?;
        }
        if v >= 11 {
            m.rack_id = r.string(flex)?;
        }
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.cluster_id = r.nullable_string(flex)?;
                    }
                    1 if v >= 15 => {
                        m.replica_state = ReplicaState::read(r, v)?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        if !(v <= 14) && self.replica_id != -1 {
            return lost("FetchRequest.ReplicaId", v);
        }
        if v <= 14 {
            w.i32(self.replica_id);
        }
        if !(v >= 15) && self.replica_state != ReplicaState::default() {
            return lost("FetchRequest.ReplicaState", v);
        }
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if v >= 7 {
            w.i32(self.session_id);
        }
        if v >= 7 {
            w.i32(self.session_epoch);
        }
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if !(v >= 7) && !self.forgotten_topics_data.is_empty() {
            return lost("FetchRequest.ForgottenTopicsData", v);
        }
        if v >= 7 {
            w.array(flex, &self.forgotten_topics_data, |w, x| x.write(w, v))?;
        }
        if v >= 11 {
            w.string(flex, &self.rack_id)?;
        }
        if flex {
            let mut t = w.begin_tags();
            if self.cluster_id.is_some() {
                w.begin_tag(&mut t, 0);
                w.nullable_string(flex, self.cluster_id.as_ref())?;
                w.end_tag(&t);
            }
            if v >= 15 && self.replica_state != ReplicaState::default() {
                w.begin_tag(&mut t, 1);
                self.replica_state.write(w, v)?;
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    /// Versions 15 to 18.
    pub replica_id: i32,
    /// Versions 15 to 18.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl ReplicaState {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        m.replica_epoch = r.i64()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.replica_id);
        w.i64(self.replica_epoch);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchTopic {
    /// Versions 4 to 12.
    pub topic: StrBytes,
    /// Versions 13 to 18.
    pub topic_id: TopicId,
    /// Versions 4 to 18.
    pub partitions: Vec<FetchPartition>,
}

impl FetchTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string(flex)?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(flex, 16, |r| FetchPartition::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        if v <= 12 {
            w.string(flex, &self.topic)?;
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    /// Versions 4 to 18.
    pub partition: i32,
    /// Versions 9 to 18.
    pub current_leader_epoch: i32,
    /// Versions 4 to 18.
    pub fetch_offset: i64,
    /// Versions 12 to 18.
    pub last_fetched_epoch: i32,
    /// Versions 5 to 18.
    pub log_start_offset: i64,
    /// Versions 4 to 18.
    pub partition_max_bytes: i32,
    /// Versions 17 to 18, tag 0.
    pub replica_directory_id: TopicId,
    /// Version 18, tag 1.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: TopicId::ZERO,
            high_watermark: 9223372036854775807,
        }
    }
}

impl FetchPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        m.partition = r.i32()?;
        if v >= 9 {
            m.current_leader_epoch = r.i32()?;
        }
        m.fetch_offset = r.i64()?;
        if v >= 12 {
            m.last_fetched_epoch = r.i32()?;
        }
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.partition_max_bytes = r.i32()?;
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 if v >= 17 => {
                        m.replica_directory_id = r.uuid()?;
                    }
                    1 if v >= 18 => {
                        m.high_watermark = r.i64()?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        w.i32(self.partition);
        if v >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if !(v >= 12) && self.last_fetched_epoch != -1 {
            return lost("FetchPartition.LastFetchedEpoch", v);
        }
        if v >= 12 {
            w.i32(self.last_fetched_epoch);
        }
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        if flex {
            let mut t = w.begin_tags();
            if v >= 17 && !self.replica_directory_id.is_zero() {
                w.begin_tag(&mut t, 0);
                w.uuid(self.replica_directory_id);
                w.end_tag(&t);
            }
            if v >= 18 && self.high_watermark != 9223372036854775807 {
                w.begin_tag(&mut t, 1);
                w.i64(self.high_watermark);
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ForgottenTopic {
    /// Versions 7 to 12.
    pub topic: StrBytes,
    /// Versions 13 to 18.
    pub topic_id: TopicId,
    /// Versions 7 to 18.
    pub partitions: Vec<i32>,
}

impl ForgottenTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string(flex)?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(flex, 4, |r| r.i32())?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        if v <= 12 {
            w.string(flex, &self.topic)?;
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for FetchRequest {
    const NAME: &'static str = "FetchRequest";
    const MIN_VERSION: i16 = 4;
    const MAX_VERSION: i16 = 18;
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

impl Request for FetchRequest {
    const API_KEY: ApiKey = ApiKey::Fetch;
    type Response = super::fetch_response::FetchResponse;
}
