//! BrokerHeartbeatResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct BrokerHeartbeatResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub is_caught_up: bool,
    /// Versions 0 to 1.
    pub is_fenced: bool,
    /// Versions 0 to 1.
    pub should_shut_down: bool,
}

impl Default for BrokerHeartbeatResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, is_caught_up: false, is_fenced: true, should_shut_down: false }
    }
}

impl BrokerHeartbeatResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.is_caught_up = r.bool()?;
        m.is_fenced = r.bool()?;
        m.should_shut_down = r.bool()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.bool(self.is_caught_up);
        w.bool(self.is_fenced);
        w.bool(self.should_shut_down);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for BrokerHeartbeatResponse {
    const NAME: &'static str = "BrokerHeartbeatResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 1;
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
