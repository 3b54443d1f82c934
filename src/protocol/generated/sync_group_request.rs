//! SyncGroupRequest, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupRequest {
    /// Versions 0 to 5.
    pub group_id: StrBytes,
    /// Versions 0 to 5.
    pub generation_id: i32,
    /// Versions 0 to 5.
    pub member_id: StrBytes,
    /// Versions 3 to 5.
    pub group_instance_id: Option<StrBytes>,
    /// Version 5.
    pub protocol_type: Option<StrBytes>,
    /// Version 5.
    pub protocol_name: Option<StrBytes>,
    /// Versions 0 to 5.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl SyncGroupRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        m.generation_id = r.i32()?;
        m.member_id = r.string(flex)?;
        if v >= 3 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        if v >= 5 {
            m.protocol_type = r.nullable_string(flex)?;
        }
        if v >= 5 {
            m.protocol_name = r.nullable_string(flex)?;
        }
        m.assignments = r.array(flex, 3, |r| SyncGroupRequestAssignment::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.group_id)?;
        w.i32(self.generation_id);
        w.string(flex, &self.member_id)?;
        if !(v >= 3) && self.group_instance_id.is_some() {
            return lost("SyncGroupRequest.GroupInstanceId", v);
        }
        if v >= 3 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        if v >= 5 {
            w.nullable_string(flex, self.protocol_type.as_ref())?;
        }
        if v >= 5 {
            w.nullable_string(flex, self.protocol_name.as_ref())?;
        }
        w.array(flex, &self.assignments, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupRequestAssignment {
    /// Versions 0 to 5.
    pub member_id: StrBytes,
    /// Versions 0 to 5.
    pub assignment: Bytes,
}

impl SyncGroupRequestAssignment {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        m.assignment = r.bytes(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.member_id)?;
        w.bytes(flex, &self.assignment)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for SyncGroupRequest {
    const NAME: &'static str = "SyncGroupRequest";
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

impl Request for SyncGroupRequest {
    const API_KEY: ApiKey = ApiKey::SyncGroup;
    type Response = super::sync_group_response::SyncGroupResponse;
}
