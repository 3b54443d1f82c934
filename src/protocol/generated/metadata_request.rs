//! MetadataRequest, versions 0 to 13.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequest {
    /// Versions 0 to 13; null in versions 1 to 13.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Versions 4 to 13.
    pub allow_auto_topic_creation: bool,
    /// Versions 8 to 10.
    pub include_cluster_authorized_operations: bool,
    /// Versions 8 to 13.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl MetadataRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.topics = if v >= 1 {
            r.nullable_array(flex, 2, |r| MetadataRequestTopic::read(r, v))?
        } else {
            Some(r.array(flex, 2, |r| MetadataRequestTopic::read(r, v))?)
        };
        if v >= 4 {
            m.allow_auto_topic_creation = r.bool()?;
        }
        if v >= 8 && v <= 10 {
            m.include_cluster_authorized_operations = r.bool()?;
        }
        if v >= 8 {
            m.include_topic_authorized_operations = r.bool()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        if v >= 1 {
            w.nullable_array(flex, self.topics.as_deref(), |w, x| x.write(w, v))?;
        } else {
            let Some(x) = &self.topics else { return null("MetadataRequest.Topics", v) };
            w.array(flex, x, |w, x| x.write(w, v))?;
        }
        if !(v >= 4) && !self.allow_auto_topic_creation {
            return lost("MetadataRequest.AllowAutoTopicCreation", v);
        }
        if v >= 4 {
            w.bool(self.allow_auto_topic_creation);
        }
        if !(v >= 8 && v <= 10) && self.include_cluster_authorized_operations {
            return lost("MetadataRequest.IncludeClusterAuthorizedOperations", v);
        }
        if v >= 8 && v <= 10 {
            w.bool(self.include_cluster_authorized_operations);
        }
        if !(v >= 8) && self.include_topic_authorized_operations {
            return lost("MetadataRequest.IncludeTopicAuthorizedOperations", v);
        }
        if v >= 8 {
            w.bool(self.include_topic_authorized_operations);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequestTopic {
    /// Versions 10 to 13.
    pub topic_id: TopicId,
    /// Versions 0 to 13; null in versions 10 to 13.
    pub name: Option<StrBytes>,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self { topic_id: TopicId::ZERO, name: Some(StrBytes::EMPTY) }
    }
}

impl MetadataRequestTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.name = if v >= 10 { r.nullable_string(flex)? } else { Some(r.string(flex)?) };
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        if v >= 10 {
            w.nullable_string(flex, self.name.as_ref())?;
        } else {
            let Some(x) = &self.name else { return null("MetadataRequestTopic.Name", v) };
            w.string(flex, x)?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for MetadataRequest {
    const NAME: &'static str = "MetadataRequest";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 13;
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

impl Request for MetadataRequest {
    const API_KEY: ApiKey = ApiKey::Metadata;
    type Response = super::metadata_response::MetadataResponse;
}
