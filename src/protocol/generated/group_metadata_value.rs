//! GroupMetadataValue, versions 0 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct GroupMetadataValue {
    /// Versions 0 to 4.
    pub protocol_type: StrBytes,
    /// Versions 0 to 4.
    pub generation: i32,
    /// Versions 0 to 4.
    pub protocol: Option<StrBytes>,
    /// Versions 0 to 4.
    pub leader: Option<StrBytes>,
    /// Versions 2 to 4.
    pub current_state_timestamp: i64,
    /// Versions 0 to 4.
    pub members: Vec<MemberMetadata>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for GroupMetadataValue {
    fn default() -> Self {
        Self {
            protocol_type: StrBytes::EMPTY,
            generation: 0,
            protocol: Some(StrBytes::EMPTY),
            leader: Some(StrBytes::EMPTY),
            current_state_timestamp: -1,
            members: Vec::new(),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl GroupMetadataValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.protocol_type = r.string(flex)?;
        m.generation = r.i32()?;
        m.protocol = r.nullable_string(flex)?;
        m.leader = r.nullable_string(flex)?;
        if v >= 2 {
            m.current_state_timestamp = r.i64()?;
        }
        m.members = r.array(flex, 15, |r| MemberMetadata::read(r, v))?;
        if flex {
            r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.protocol_type)?;
        w.i32(self.generation);
        w.nullable_string(flex, self.protocol.as_ref())?;
        w.nullable_string(flex, self.leader.as_ref())?;
        if v >= 2 {
            w.i64(self.current_state_timestamp);
        }
        w.array(flex, &self.members, |w, x| x.write(w, v))?;
        if flex {
            let mut t = w.begin_tags();
            let mut unknown = self.unknown_tagged_fields.as_slice();
            w.unknown_tags(&mut t, &mut unknown, None)?;
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MemberMetadata {
    /// Versions 0 to 4.
    pub member_id: StrBytes,
    /// Versions 3 to 4.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 0 to 4.
    pub client_id: StrBytes,
    /// Versions 0 to 4.
    pub client_host: StrBytes,
    /// Versions 1 to 4.
    pub rebalance_timeout: i32,
    /// Versions 0 to 4.
    pub session_timeout: i32,
    /// Versions 0 to 4.
    pub subscription: Bytes,
    /// Versions 0 to 4.
    pub assignment: Bytes,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            member_id: StrBytes::EMPTY,
            group_instance_id: None,
            client_id: StrBytes::EMPTY,
            client_host: StrBytes::EMPTY,
            rebalance_timeout: -1,
            session_timeout: 0,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl MemberMetadata {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        if v >= 3 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        m.client_id = r.string(flex)?;
        m.client_host = r.string(flex)?;
        if v >= 1 {
            m.rebalance_timeout = r.i32()?;
        }
        m.session_timeout = r.i32()?;
        m.subscription = r.bytes(flex)?;
        m.assignment = r.bytes(flex)?;
        if flex {
            r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.member_id)?;
        if v >= 3 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        w.string(flex, &self.client_id)?;
        w.string(flex, &self.client_host)?;
        if v >= 1 {
            w.i32(self.rebalance_timeout);
        }
        w.i32(self.session_timeout);
        w.bytes(flex, &self.subscription)?;
        w.bytes(flex, &self.assignment)?;
        if flex {
            let mut t = w.begin_tags();
            let mut unknown = self.unknown_tagged_fields.as_slice();
            w.unknown_tags(&mut t, &mut unknown, None)?;
            w.end_tags(t);
        }
        Ok(())
    }
}

impl Message for GroupMetadataValue {
    const NAME: &'static str = "GroupMetadataValue";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 4;
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
