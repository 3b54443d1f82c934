//! ConsumerGroupMemberMetadataValue, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGroupMemberMetadataValue {
    /// Version 0.
    pub instance_id: Option<StrBytes>,
    /// Version 0.
    pub rack_id: Option<StrBytes>,
    /// Version 0.
    pub client_id: StrBytes,
    /// Version 0.
    pub client_host: StrBytes,
    /// Version 0.
    pub subscribed_topic_names: Vec<StrBytes>,
    /// Version 0.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// Version 0.
    pub rebalance_timeout_ms: i32,
    /// Version 0.
    pub server_assignor: Option<StrBytes>,
    /// Version 0, tag 0.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for ConsumerGroupMemberMetadataValue {
    fn default() -> Self {
        Self {
            instance_id: Some(StrBytes::EMPTY),
            rack_id: Some(StrBytes::EMPTY),
            client_id: StrBytes::EMPTY,
            client_host: StrBytes::EMPTY,
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: Some(StrBytes::EMPTY),
            rebalance_timeout_ms: -1,
            server_assignor: Some(StrBytes::EMPTY),
            classic_member_metadata: Some(ClassicMemberMetadata::default()),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl ConsumerGroupMemberMetadataValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.instance_id = r.nullable_string(true)?;
        m.rack_id = r.nullable_string(true)?;
        m.client_id = r.string(true)?;
        m.client_host = r.string(true)?;
        m.subscribed_topic_names = r.array(true, 1, |r| r.string(true))?;
        m.subscribed_topic_regex = r.nullable_string(true)?;
        m.rebalance_timeout_ms = r.i32()?;
        m.server_assignor = r.nullable_string(true)?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.classic_member_metadata = r.nullable_tagged_struct(|r| ClassicMemberMetadata::read(r, v))?;
                }
                _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.nullable_string(true, self.instance_id.as_ref())?;
        w.nullable_string(true, self.rack_id.as_ref())?;
        w.string(true, &self.client_id)?;
        w.string(true, &self.client_host)?;
        w.array(true, &self.subscribed_topic_names, |w, x| w.string(true, x))?;
        w.nullable_string(true, self.subscribed_topic_regex.as_ref())?;
        w.i32(self.rebalance_timeout_ms);
        w.nullable_string(true, self.server_assignor.as_ref())?;
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if self.classic_member_metadata != Some(ClassicMemberMetadata::default()) {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.nullable_tagged_struct(self.classic_member_metadata.as_ref(), |w, x: &ClassicMemberMetadata| x.write(w, v))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClassicMemberMetadata {
    /// Version 0.
    pub session_timeout_ms: i32,
    /// Version 0.
    pub supported_protocols: Vec<ClassicProtocol>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl ClassicMemberMetadata {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.session_timeout_ms = r.i32()?;
        m.supported_protocols = r.array(true, 3, |r| ClassicProtocol::read(r, v))?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.session_timeout_ms);
        w.array(true, &self.supported_protocols, |w, x| x.write(w, v))?;
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClassicProtocol {
    /// Version 0.
    pub name: StrBytes,
    /// Version 0.
    pub metadata: Bytes,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl ClassicProtocol {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.metadata = r.bytes(true)?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.bytes(true, &self.metadata)?;
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for ConsumerGroupMemberMetadataValue {
    const NAME: &'static str = "ConsumerGroupMemberMetadataValue";
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
