//! ApiVersionsResponse, versions 0 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersionsResponse {
    /// Versions 0 to 4.
    pub error_code: i16,
    /// Versions 0 to 4.
    pub api_keys: Vec<ApiVersion>,
    /// Versions 1 to 4.
    pub throttle_time_ms: i32,
    /// Versions 3 to 4, tag 0.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Versions 3 to 4, tag 1.
    pub finalized_features_epoch: i64,
    /// Versions 3 to 4, tag 2.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Versions 3 to 4, tag 3.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl ApiVersionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.api_keys = r.array(flex, 6, |r| ApiVersion::read(r, v))?;
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.supported_features = r.array(flex, 6, |r| SupportedFeatureKey::read(r, v))?;
                    }
                    1 => {
                        m.finalized_features_epoch = r.i64()?;
                    }
                    2 => {
                        m.finalized_features = r.array(flex, 6, |r| FinalizedFeatureKey::read(r, v))?;
                    }
                    3 => {
                        m.zk_migration_ready = r.bool()?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.i16(self.error_code);
        w.array(flex, &self.api_keys, |w, x| x.write(w, v))?;
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if flex {
            let mut t = w.begin_tags();
            if !self.supported_features.is_empty() {
                w.begin_tag(&mut t, 0);
                w.array(flex, &self.supported_features, |w, x| x.write(w, v))?;
                w.end_tag(&t);
            }
            if self.finalized_features_epoch != -1 {
                w.begin_tag(&mut t, 1);
                w.i64(self.finalized_features_epoch);
                w.end_tag(&t);
            }
            if !self.finalized_features.is_empty() {
                w.begin_tag(&mut t, 2);
                w.array(flex, &self.finalized_features, |w, x| x.write(w, v))?;
                w.end_tag(&t);
            }
            if self.zk_migration_ready {
                w.begin_tag(&mut t, 3);
                w.bool(self.zk_migration_ready);
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ApiVersion {
    /// Versions 0 to 4.
    pub api_key: i16,
    /// Versions 0 to 4.
    pub min_version: i16,
    /// Versions 0 to 4.
    pub max_version: i16,
}

impl ApiVersion {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.api_key = r.i16()?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.i16(self.api_key);
        w.i16(self.min_version);
        w.i16(self.max_version);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SupportedFeatureKey {
    /// Versions 3 to 4.
    pub name: StrBytes,
    /// Versions 3 to 4.
    pub min_version: i16,
    /// Versions 3 to 4.
    pub max_version: i16,
}

impl SupportedFeatureKey {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FinalizedFeatureKey {
    /// Versions 3 to 4.
    pub name: StrBytes,
    /// Versions 3 to 4.
    pub max_version_level: i16,
    /// Versions 3 to 4.
    pub min_version_level: i16,
}

impl FinalizedFeatureKey {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.max_version_level = r.i16()?;
        m.min_version_level = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.i16(self.max_version_level);
        w.i16(self.min_version_level);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ApiVersionsResponse {
    const NAME: &'static str = "ApiVersionsResponse";
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
