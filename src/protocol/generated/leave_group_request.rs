//! LeaveGroupRequest, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct LeaveGroupRequest {
    /// Versions 0 to 5.
    pub group_id: StrBytes,
    /// Versions 0 to 2.
    pub member_id: StrBytes,
    /// Versions 3 to 5.
    pub members: Vec<MemberIdentity>,
}

impl LeaveGroupRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        if v <= 2 {
            m.member_id = r.string(flex)?;
        }
        if v >= 3 {
            m.members = r.array(flex, 3, |r| MemberIdentity::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.group_id)?;
        if !(v <= 2) && !self.member_id.is_empty() {
            return lost("LeaveGroupRequest.MemberId", v);
        }
        if v <= 2 {
            w.string(flex, &self.member_id)?;
        }
        if !(v >= 3) && !self.members.is_empty() {
            return lost("LeaveGroupRequest.Members", v);
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

#[derive(Clone, Debug, PartialEq, Default)]
pub struct MemberIdentity {
    /// Versions 3 to 5.
    pub member_id: StrBytes,
    /// Versions 3 to 5.
    pub group_instance_id: Option<StrBytes>,
    /// Version 5.
    pub reason: Option<StrBytes>,
}

impl MemberIdentity {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        m.group_instance_id = r.nullable_string(flex)?;
        if v >= 5 {
            m.reason = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.member_id)?;
        w.nullable_string(flex, self.group_instance_id.as_ref())?;
        if v >= 5 {
            w.nullable_string(flex, self.reason.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroupRequest";
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
}

impl Request for LeaveGroupRequest {
    const API_KEY: ApiKey = ApiKey::LeaveGroup;
    type Response = super::leave_group_response::LeaveGroupResponse;
}
