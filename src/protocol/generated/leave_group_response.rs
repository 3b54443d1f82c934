//! LeaveGroupResponse, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct LeaveGroupResponse {
    /// Versions 1 to 5.
    pub throttle_time_ms: i32,
    /// Versions 0 to 5.
    pub error_code: i16,
    /// Versions 3 to 5.
    pub members: Vec<MemberResponse>,
}

impl LeaveGroupResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.i16()?;
        if v >= 3 {
            m.members = r.array(flex, 5, |r| MemberResponse::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        if !(v >= 3) && !self.members.is_empty() {
            return lost("LeaveGroupResponse.Members", v);
        }
        if v >= 3 {
            w.array(flex, &self.members, |w, x| x.write(w, v))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MemberResponse {
    /// Versions 3 to 5.
    pub member_id: StrBytes,
    /// Versions 3 to 5.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 3 to 5.
    pub error_code: i16,
}

impl Default for MemberResponse {
    fn default() -> Self {
        Self { member_id: StrBytes::EMPTY, group_instance_id: Some(StrBytes::EMPTY), error_code: 0 }
    }
}

impl MemberResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        m.group_instance_id = r.nullable_string(flex)?;
        m.error_code = r.i16()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.member_id)?;
        w.nullable_string(flex, self.group_instance_id.as_ref())?;
        w.i16(self.error_code);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for LeaveGroupResponse {
    const NAME: &'static str = "LeaveGroupResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 5;
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
