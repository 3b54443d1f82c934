//! JoinGroupResponse, versions 0 to 9.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupResponse {
    /// Versions 2 to 9.
    pub throttle_time_ms: i32,
    /// Versions 0 to 9.
    pub error_code: i16,
    /// Versions 0 to 9.
    pub generation_id: i32,
    /// Versions 7 to 9.
    pub protocol_type: Option<StrBytes>,
    /// Versions 0 to 9; null in versions 7 to 9.
    pub protocol_name: Option<StrBytes>,
    /// Versions 0 to 9.
    pub leader: StrBytes,
    /// Version 9.
    pub skip_assignment: bool,
    /// Versions 0 to 9.
    pub member_id: StrBytes,
    /// Versions 0 to 9.
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(StrBytes::EMPTY),
            leader: StrBytes::EMPTY,
            skip_assignment: false,
            member_id: StrBytes::EMPTY,
            members: Vec::new(),
        }
    }
}

impl JoinGroupResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        if v >= 2 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.i16()?;
        m.generation_id = r.i32()?;
        if v >= 7 {
            m.protocol_type = r.nullable_string(flex)?;
        }
        m.protocol_name = if v >= 7 { r.nullable_string(flex)? } else { Some(r.string(flex)?) };
        m.leader = r.string(flex)?;
        if v >= 9 {
            m.skip_assignment = r.bool()?;
        }
        m.member_id = r.string(flex)?;
        m.members = r.array(flex, 4, |r| JoinGroupResponseMember::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        if v >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        w.i32(self.generation_id);
        if v >= 7 {
            w.nullable_string(flex, self.protocol_type.as_ref())?;
        }
        if v >= 7 {
            w.nullable_string(flex, self.protocol_name.as_ref())?;
        } else {
            let Some(x) = &self.protocol_name else { return null("JoinGroupResponse.ProtocolName", v) };
            w.string(flex, x)?;
        }
        w.string(flex, &self.leader)?;
        if !(v >= 9) && self.skip_assignment {
            return lost("JoinGroupResponse.SkipAssignment", v);
        }
        if v >= 9 {
            w.bool(self.skip_assignment);
        }
        w.string(flex, &self.member_id)?;
        w.array(flex, &self.members, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct JoinGroupResponseMember {
    /// Versions 0 to 9.
    pub member_id: StrBytes,
    /// Versions 5 to 9.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 0 to 9.
    pub metadata: Bytes,
}

impl JoinGroupResponseMember {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        if v >= 5 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        m.metadata = r.bytes(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.string(flex, &self.member_id)?;
        if v >= 5 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        w.bytes(flex, &self.metadata)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for JoinGroupResponse {
    const NAME: &'static str = "JoinGroupResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 9;
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
