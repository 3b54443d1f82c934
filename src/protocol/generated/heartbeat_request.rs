//! HeartbeatRequest, versions 0 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeartbeatRequest {
    /// Versions 0 to 4.
    pub group_id: StrBytes,
    /// Versions 0 to 4.
    pub generation_id: i32,
    /// Versions 0 to 4.
    pub member_id: StrBytes,
    /// Versions 3 to 4.
    pub group_instance_id: Option<StrBytes>,
}

impl HeartbeatRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        m.generation_id = r.i32()?;
        m.member_id = r.string(flex)?;
        if v >= 3 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
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
            return lost("HeartbeatRequest.GroupInstanceId", v);
        }
        if v >= 3 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for HeartbeatRequest {
    const NAME: &'static str = "HeartbeatRequest";
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

impl Request for HeartbeatRequest {
    const API_KEY: ApiKey = ApiKey::Heartbeat;
    type Response = super::heartbeat_response::HeartbeatResponse;
}
