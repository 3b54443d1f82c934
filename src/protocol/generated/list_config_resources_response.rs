//! ListConfigResourcesResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListConfigResourcesResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub config_resources: Vec<ConfigResource>,
}

impl ListConfigResourcesResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.config_resources = r.array(true, 2, |r| ConfigResource::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.array(true, &self.config_resources, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigResource {
    /// Versions 0 to 1.
    pub resource_name: StrBytes,
    /// Version 1.
    pub resource_type: i8,
}

impl Default for ConfigResource {
    fn default() -> Self {
        Self { resource_name: StrBytes::EMPTY, resource_type: 16 }
    }
}

impl ConfigResource {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_name = r.string(true)?;
        if v >= 1 {
            m.resource_type = r.i8()?;
        }
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.resource_name)?;
        if v >= 1 {
            w.i8(self.resource_type);
        }
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ListConfigResourcesResponse {
    const NAME: &'static str = "ListConfigResourcesResponse";
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
