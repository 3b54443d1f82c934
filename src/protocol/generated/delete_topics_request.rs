//! DeleteTopicsRequest, versions 1 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicsRequest {
    /// Version 6.
    pub topics: Vec<DeleteTopicState>,
    /// Versions 1 to 5.
    pub topic_names: Vec<StrBytes>,
    /// Versions 1 to 6.
    pub timeout_ms: i32,
}

impl DeleteTopicsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        if v >= 6 {
            m.topics = r.array(flex, 18, |r| DeleteTopicState::read(r, v))?;
        }
        if v <= 5 {
            m.topic_names = r.array(flex, 1, |r| r.string(flex))?;
        }
        m.timeout_ms = r.i32()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        if !(v >= 6) && !self.topics.is_empty() {
            return lost("DeleteTopicsRequest.Topics", v);
        }
        if v >= 6 {
            w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        }
        if v <= 5 {
            w.array(flex, &self.topic_names, |w, x| w.string(flex, x))?;
        }
        w.i32(self.timeout_ms);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicState {
    /// Version 6.
    pub name: Option<StrBytes>,
    /// Version 6.
    pub topic_id: TopicId,
}

impl DeleteTopicState {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.nullable_string(true)?;
        m.topic_id = r.uuid()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.nullable_string(true, self.name.as_ref())?;
        w.uuid(self.topic_id);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DeleteTopicsRequest {
    const NAME: &'static str = "DeleteTopicsRequest";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 6;
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

impl Request for DeleteTopicsRequest {
    const API_KEY: ApiKey = ApiKey::DeleteTopics;
    type Response = super::delete_topics_response::DeleteTopicsResponse;
}
