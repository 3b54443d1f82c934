//! ListGroupsResponse, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListGroupsResponse {
    /// Versions 1 to 5.
    pub throttle_time_ms: i32,
    /// Versions 0 to 5.
    pub error_code: i16,
    /// Versions 0 to 5.
    pub groups: Vec<ListedGroup>,
}

impl ListGroupsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.i16()?;
        m.groups = r.array(flex, 3, |r| ListedGroup::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        w.array(flex, &self.groups, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListedGroup {
    /// Versions 0 to 5.
    pub group_id: StrBytes,
    /// Versions 0 to 5.
    pub protocol_type: StrBytes,
    /// Versions 4 to 5.
    pub group_state: StrBytes,
    /// Version 5.
    pub group_type: StrBytes,
}

impl ListedGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.group_id = r.string(flex)?;
        m.protocol_type = r.string(flex)?;
        if v >= 4 {
            m.group_state = r.string(flex)?;
        }
        if v >= 5 {
            m.group_type = r.string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.string(flex, &self.group_id)?;
        w.string(flex, &self.protocol_type)?;
        if v >= 4 {
            w.string(flex, &self.group_state)?;
        }
        if v >= 5 {
            w.string(flex, &self.group_type)?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ListGroupsResponse {
    const NAME: &'static str = "ListGroupsResponse";
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
