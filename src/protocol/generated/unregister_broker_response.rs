//! UnregisterBrokerResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct UnregisterBrokerResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub error_message: Option<StrBytes>,
}

impl Default for UnregisterBrokerResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, error_message: Some(StrBytes::EMPTY) }
    }
}

impl UnregisterBrokerResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for UnregisterBrokerResponse {
    const NAME: &'static str = "UnregisterBrokerResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 0;
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
