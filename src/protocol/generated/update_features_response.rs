//! UpdateFeaturesResponse, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct UpdateFeaturesResponse {
    /// Versions 0 to 2.
    pub throttle_time_ms: i32,
    /// Versions 0 to 2.
    pub error_code: i16,
    /// Versions 0 to 2.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 1.
    pub results: Vec<UpdatableFeatureResult>,
}

impl Default for UpdateFeaturesResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, error_message: Some(StrBytes::EMPTY), results: Vec::new() }
    }
}

impl UpdateFeaturesResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        if v <= 1 {
            m.results = r.array(true, 5, |r| UpdatableFeatureResult::read(r, v))?;
        }
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        if v <= 1 {
            w.array(true, &self.results, |w, x| x.write(w, v))?;
        }
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct UpdatableFeatureResult {
    /// Versions 0 to 1.
    pub feature: StrBytes,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
}

impl Default for UpdatableFeatureResult {
    fn default() -> Self {
        Self { feature: StrBytes::EMPTY, error_code: 0, error_message: Some(StrBytes::EMPTY) }
    }
}

impl UpdatableFeatureResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.feature = r.string(true)?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.feature)?;
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for UpdateFeaturesResponse {
    const NAME: &'static str = "UpdateFeaturesResponse";
    const MIN_VERSION: i16 = 0;
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
