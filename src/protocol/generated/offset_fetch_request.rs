//! OffsetFetchRequest, versions 1 to 10.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequest {
    /// Versions 1 to 7.
    pub group_id: StrBytes,
    /// Versions 1 to 7; null in versions 2 to 7.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// Versions 8 to 10.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Versions 7 to 10.
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self { group_id: StrBytes::EMPTY, topics: Some(Vec::new()), groups: Vec::new(), require_stable: false }
    }
}

impl OffsetFetchRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        if v <= 7 {
            m.group_id = r.string(flex)?;
        }
        if v <= 7 {
            m.topics = if v >= 2 {
                r.nullable_array(flex, 3, |r| OffsetFetchRequestTopic::read(r, v))?
            } else {
                Some(r.array(flex, 3, |r| OffsetFetchRequestTopic::read(r, v))?)
            };
        }
        if v >= 8 {
            m.groups = r.array(flex, 3, |r| OffsetFetchRequestGroup::read(r, v))?;
        }
        if v >= 7 {
            m.require_stable = r.bool()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        if !(v <= 7) && !self.group_id.is_empty() {
            return lost("OffsetFetchRequest.GroupId", v);
        }
        if v <= 7 {
            w.string(flex, &self.group_id)?;
        }
        if !(v <= 7) && self.topics.as_ref().is_none_or(|x| !x.is_empty()) {
            return lost("OffsetFetchRequest.Topics", v);
        }
        if v <= 7 {
            if v >= 2 {
                w.nullable_array(flex, self.topics.as_deref(), |w, x| x.write(w, v))?;
            } else {
                let Some(x) = &self.topics else { return null("OffsetFetchRequest.Topics", v) };
                w.array(flex, x, |w, x| x.write(w, v))?;
            }
        }
        if !(v >= 8) && !self.groups.is_empty() {
            return lost("OffsetFetchRequest.Groups", v);
        }
        if v >= 8 {
            w.array(flex, &self.groups, |w, x| x.write(w, v))?;
        }
        if !(v >= 7) && self.require_stable {
            return lost("OffsetFetchRequest.RequireStable", v);
        }
        if v >= 7 {
            w.bool(self.require_stable);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchRequestTopic {
    /// Versions 1 to 7.
    pub name: StrBytes,
    /// Versions 1 to 7.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partition_indexes = r.array(flex, 4, |r| r.i32())?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.string(flex, &self.name)?;
        w.array(flex, &self.partition_indexes, |w, x| Ok(w.i32(*x)))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestGroup {
    /// Versions 8 to 10.
    pub group_id: StrBytes,
    /// Versions 9 to 10.
    pub member_id: Option<StrBytes>,
    /// Versions 9 to 10.
    pub member_epoch: i32,
    /// Versions 8 to 10.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self { group_id: StrBytes::EMPTY, member_id: None, member_epoch: -1, topics: Some(Vec::new()) }
    }
}

impl OffsetFetchRequestGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string(true)?;
        if v >= 9 {
            m.member_id = r.nullable_string(true)?;
        }
        if v >= 9 {
            m.member_epoch = r.i32()?;
        }
        m.topics = r.nullable_array(true, 3, |r| OffsetFetchRequestTopics::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.group_id)?;
        if v >= 9 {
            w.nullable_string(true, self.member_id.as_ref())?;
        }
        if v >= 9 {
            w.i32(self.member_epoch);
        }
        w.nullable_array(true, self.topics.as_deref(), |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct OffsetFetchRequestTopics {
    /// Versions 8 to 9.
    pub name: StrBytes,
    /// Version 10.
    pub topic_id: TopicId,
    /// Versions 8 to 10.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopics {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 9 {
            m.name = r.string(true)?;
        }
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.partition_indexes = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        if v <= 9 {
            w.string(true, &self.name)?;
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(true, &self.partition_indexes, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetchRequest";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 10;
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

impl Request for OffsetFetchRequest {
    const API_KEY: ApiKey = ApiKey::OffsetFetch;
    type Response = super::offset_fetch_response::OffsetFetchResponse;
}
