//! DescribeConfigsResponse, versions 1 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsResponse {
    /// Versions 1 to 4.
    pub throttle_time_ms: i32,
    /// Versions 1 to 4.
    pub results: Vec<DescribeConfigsResult>,
}

impl DescribeConfigsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(flex, 7, |r| DescribeConfigsResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.results, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsResult {
    /// Versions 1 to 4.
    pub error_code: i16,
    /// Versions 1 to 4.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 4.
    pub resource_type: i8,
    /// Versions 1 to 4.
    pub resource_name: StrBytes,
    /// Versions 1 to 4.
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Default for DescribeConfigsResult {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: Some(StrBytes::EMPTY),
            resource_type: 0,
            resource_name: StrBytes::EMPTY,
            configs: Vec::new(),
        }
    }
}

impl DescribeConfigsResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.resource_type = r.i8()?;
        m.resource_name = r.string(flex)?;
        m.configs = r.array(flex, 9, |r| DescribeConfigsResourceResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.i8(self.resource_type);
        w.string(flex, &self.resource_name)?;
        w.array(flex, &self.configs, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsResourceResult {
    /// Versions 1 to 4.
    pub name: StrBytes,
    /// Versions 1 to 4.
    pub value: Option<StrBytes>,
    /// Versions 1 to 4.
    pub read_only: bool,
    /// Versions 1 to 4.
    pub config_source: i8,
    /// Versions 1 to 4.
    pub is_sensitive: bool,
    /// Versions 1 to 4.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// Versions 3 to 4.
    pub config_type: i8,
    /// Versions 3 to 4.
    pub documentation: Option<StrBytes>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: StrBytes::EMPTY,
            value: Some(StrBytes::EMPTY),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: Some(StrBytes::EMPTY),
        }
    }
}

impl DescribeConfigsResourceResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.value = r.nullable_string(flex)?;
        m.read_only = r.bool()?;
        m.config_source = r.i8()?;
        m.is_sensitive = r.bool()?;
        m.synonyms = r.array(flex, 4, |r| DescribeConfigsSynonym::read(r, v))?;
        if v >= 3 {
            m.config_type = r.i8()?;
        }
        if v >= 3 {
            m.documentation = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.name)?;
        w.nullable_string(flex, self.value.as_ref())?;
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.array(flex, &self.synonyms, |w, x| x.write(w, v))?;
        if v >= 3 {
            w.i8(self.config_type);
        }
        if v >= 3 {
            w.nullable_string(flex, self.documentation.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsSynonym {
    /// Versions 1 to 4.
    pub name: StrBytes,
    /// Versions 1 to 4.
    pub value: Option<StrBytes>,
    /// Versions 1 to 4.
    pub source: i8,
}

impl Default for DescribeConfigsSynonym {
    fn default() -> Self {
        Self { name: StrBytes::EMPTY, value: Some(StrBytes::EMPTY), source: 0 }
    }
}

impl DescribeConfigsSynonym {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.value = r.nullable_string(flex)?;
        m.source = r.i8()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.string(flex, &self.name)?;
        w.nullable_string(flex, self.value.as_ref())?;
        w.i8(self.source);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeConfigsResponse {
    const NAME: &'static str = "DescribeConfigsResponse";
    const MIN_VERSION: i16 = 1;
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
