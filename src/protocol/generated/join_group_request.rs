//! JoinGroupRequest, versions 0 to 9.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupRequest {
    /// Versions 0 to 9.
    pub group_id: StrBytes,
    /// Versions 0 to 9.
    pub session_timeout_ms: i32,
    /// Versions 1 to 9.
    pub rebalance_timeout_ms: i32,
    /// Versions 0 to 9.
    pub member_id: StrBytes,
    /// Versions 5 to 9.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 0 to 9.
    pub protocol_type: StrBytes,
    /// Versions 0 to 9.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Versions 8 to 9.
    pub reason: Option<StrBytes>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: StrBytes::EMPTY,
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: StrBytes::EMPTY,
            group_instance_id: None,
            protocol_type: StrBytes::EMPTY,
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl JoinGroupRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        m.session_timeout_ms = r.i32()?;
        if v >= 1 {
            m.rebalance_timeout_ms = r.i32()?;
        }
        m.member_id = r.string(flex)?;
        if v >= 5 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        m.protocol_type = r.string(flex)?;
        m.protocols = r.array(flex, 3, |r| JoinGroupRequestProtocol::read(r, v))?;
        if v >= 8 {
            m.reason = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.string(flex, &self.group_id)?;
        w.i32(self.session_timeout_ms);
        if v >= 1 {
            w.i32(self.rebalance_timeout_ms);
        }
        w.string(flex, &self.member_id)?;
        if !(v >= 5) && self.group_instance_id.is_some() {
            return lost("JoinGroupRequest.GroupInstanceId", v);
        }
        if v >= 5 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        w.string(flex, &self.protocol_type)?;
        w.array(flex, &self.protocols, |w, x| x.write(w, v))?;
        if v >= 8 {
            w.nullable_string(flex, self.reason.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct JoinGroupRequestProtocol {
    /// Versions 0 to 9.
    pub name: StrBytes,
    /// Versions 0 to 9.
    pub metadata: Bytes,
}

impl JoinGroupRequestProtocol {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 6;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.metadata = r.bytes(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 6;
        w.string(flex, &self.name)?;
        w.bytes(flex, &self.metadata)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for JoinGroupRequest {
    const NAME: &'static str = "JoinGroupRequest";
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
}

impl Request for JoinGroupRequest {
    const API_KEY: ApiKey = ApiKey::JoinGroup;
    type Response = super::join_group_response::JoinGroupResponse;
}
