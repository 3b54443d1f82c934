//! ExpireDelegationTokenResponse, versions 1 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExpireDelegationTokenResponse {
    /// Versions 1 to 2.
    pub error_code: i16,
    /// Versions 1 to 2.
    pub expiry_timestamp_ms: i64,
    /// Versions 1 to 2.
    pub throttle_time_ms: i32,
}

impl ExpireDelegationTokenResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.expiry_timestamp_ms = r.i64()?;
        m.throttle_time_ms = r.i32()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i16(self.error_code);
        w.i64(self.expiry_timestamp_ms);
        w.i32(self.throttle_time_ms);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ExpireDelegationTokenResponse {
    const NAME: &'static str = "ExpireDelegationTokenResponse";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 2;
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
