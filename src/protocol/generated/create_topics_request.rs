//! CreateTopicsRequest, versions 2 to 7.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopicsRequest {
    /// Versions 2 to 7.
    pub topics: Vec<CreatableTopic>,
    /// Versions 2 to 7.
    pub timeout_ms: i32,
    /// Versions 2 to 7.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self { topics: Vec::new(), timeout_ms: 60000, validate_only: false }
    }
}

impl CreateTopicsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.topics = r.array(flex, 10, |r| CreatableTopic::read(r, v))?;
        m.timeout_ms = r.i32()?;
        m.validate_only = r.bool()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableTopic {
    /// Versions 2 to 7.
    pub name: StrBytes,
    /// Versions 2 to 7.
    pub num_partitions: i32,
    /// Versions 2 to 7.
    pub replication_factor: i16,
    /// Versions 2 to 7.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// Versions 2 to 7.
    pub configs: Vec<CreatableTopicConfig>,
}

impl CreatableTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.num_partitions = r.i32()?;
        m.replication_factor = r.i16()?;
        m.assignments = r.array(flex, 6, |r| CreatableReplicaAssignment::read(r, v))?;
        m.configs = r.array(flex, 3, |r| CreatableTopicConfig::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.string(flex, &self.name)?;
        w.i32(self.num_partitions);
        w.i16(self.replication_factor);
        w.array(flex, &self.assignments, |w, x| x.write(w, v))?;
        w.array(flex, &self.configs, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableReplicaAssignment {
    /// Versions 2 to 7.
    pub partition_index: i32,
    /// Versions 2 to 7.
    pub broker_ids: Vec<i32>,
}

impl CreatableReplicaAssignment {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.broker_ids = r.array(flex, 4, |r| r.i32())?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.i32(self.partition_index);
        w.array(flex, &self.broker_ids, |w, x| Ok(w.i32(*x)))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfig {
    /// Versions 2 to 7.
    pub name: StrBytes,
    /// Versions 2 to 7.
    pub value: Option<StrBytes>,
}

impl Default for CreatableTopicConfig {
    fn default() -> Self {
        Self { name: StrBytes::EMPTY, value: Some(StrBytes::EMPTY) }
    }
}

impl CreatableTopicConfig {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.value = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.string(flex, &self.name)?;
        w.nullable_string(flex, self.value.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for CreateTopicsRequest {
    const NAME: &'static str = "CreateTopicsRequest";
    const MIN_VERSION: i16 = 2;
    const MAX_VERSION: i16 = 7;
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

impl Request for CreateTopicsRequest {
    const API_KEY: ApiKey = ApiKey::CreateTopics;
    type Response = super::create_topics_response::CreateTopicsResponse;
}
