//! CreateTopicsResponse, versions 2 to 7.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateTopicsResponse {
    /// Versions 2 to 7.
    pub throttle_time_ms: i32,
    /// Versions 2 to 7.
    pub topics: Vec<CreatableTopicResult>,
}

impl CreateTopicsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(flex, 6, |r| CreatableTopicResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicResult {
    /// Versions 2 to 7.
    pub name: StrBytes,
    /// Version 7.
    pub topic_id: TopicId,
    /// Versions 2 to 7.
    pub error_code: i16,
    /// Versions 2 to 7.
    pub error_message: Option<StrBytes>,
    /// Versions 5 to 7, tag 0.
    pub topic_config_error_code: i16,
    /// Versions 5 to 7.
    pub num_partitions: i32,
    /// Versions 5 to 7.
    pub replication_factor: i16,
    /// Versions 5 to 7.
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: StrBytes::EMPTY,
            topic_id: TopicId::ZERO,
            error_code: 0,
            error_message: Some(StrBytes::EMPTY),
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Vec::new()),
        }
    }
}

impl CreatableTopicResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        if v >= 7 {
            m.topic_id = r.uuid()?;
        }
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        if v >= 5 {
            m.num_partitions = r.i32()?;
        }
        if v >= 5 {
            m.replication_factor = r.i16()?;
        }
        if v >= 5 {
            m.configs = r.nullable_array(flex, 6, |r| CreatableTopicConfigs::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.topic_config_error_code = r.i16()?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.string(flex, &self.name)?;
        if v >= 7 {
            w.uuid(self.topic_id);
        }
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        if v >= 5 {
            w.i32(self.num_partitions);
        }
        if v >= 5 {
            w.i16(self.replication_factor);
        }
        if v >= 5 {
            w.nullable_array(flex, self.configs.as_deref(), |w, x| x.write(w, v))?;
        }
        if flex {
            let mut t = w.begin_tags();
            if self.topic_config_error_code != 0 {
                w.begin_tag(&mut t, 0);
                w.i16(self.topic_config_error_code);
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfigs {
    /// Versions 5 to 7.
    pub name: StrBytes,
    /// Versions 5 to 7.
    pub value: Option<StrBytes>,
    /// Versions 5 to 7.
    pub read_only: bool,
    /// Versions 5 to 7.
    pub config_source: i8,
    /// Versions 5 to 7.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self { name: StrBytes::EMPTY, value: Some(StrBytes::EMPTY), read_only: false, config_source: -1, is_sensitive: false }
    }
}

impl CreatableTopicConfigs {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.value = r.nullable_string(true)?;
        m.read_only = r.bool()?;
        m.config_source = r.i8()?;
        m.is_sensitive = r.bool()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.nullable_string(true, self.value.as_ref())?;
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for CreateTopicsResponse {
    const NAME: &'static str = "CreateTopicsResponse";
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
