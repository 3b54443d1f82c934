//! IncrementalAlterConfigsResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct IncrementalAlterConfigsResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl IncrementalAlterConfigsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(flex, 6, |r| AlterConfigsResourceResponse::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.responses, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterConfigsResourceResponse {
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 1.
    pub resource_type: i8,
    /// Versions 0 to 1.
    pub resource_name: StrBytes,
}

impl Default for AlterConfigsResourceResponse {
    fn default() -> Self {
        Self { error_code: 0, error_message: Some(StrBytes::EMPTY), resource_type: 0, resource_name: StrBytes::EMPTY }
    }
}

impl AlterConfigsResourceResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.resource_type = r.i8()?;
        m.resource_name = r.string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.i8(self.resource_type);
        w.string(flex, &self.resource_name)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for IncrementalAlterConfigsResponse {
    const NAME: &'static str = "IncrementalAlterConfigsResponse";
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
