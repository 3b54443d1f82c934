//! SyncGroupResponse, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncGroupResponse {
    /// Versions 1 to 5.
    pub throttle_time_ms: i32,
    /// Versions 0 to 5.
    pub error_code: i16,
    /// Version 5.
    pub protocol_type: Option<StrBytes>,
    /// Version 5.
    pub protocol_name: Option<StrBytes>,
    /// Versions 0 to 5.
    pub assignment: Bytes,
}

impl SyncGroupResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.i16()?;
        if v >= 5 {
            m.protocol_type = r.nullable_string(flex)?;
        }
        if v >= 5 {
            m.protocol_name = r.nullable_string(flex)?;
        }
        m.assignment = r.bytes(flex)?;
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
        if v >= 5 {
            w.nullable_string(flex, self.protocol_type.as_ref())?;
        }
        if v >= 5 {
            w.nullable_string(flex, self.protocol_name.as_ref())?;
        }
        w.bytes(flex, &self.assignment)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for SyncGroupResponse {
    const NAME: &'static str = "SyncGroupResponse";
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
