//! DeleteAclsResponse, versions 1 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteAclsResponse {
    /// Versions 1 to 3.
    pub throttle_time_ms: i32,
    /// Versions 1 to 3.
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

impl DeleteAclsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.filter_results = r.array(flex, 5, |r| DeleteAclsFilterResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.filter_results, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteAclsFilterResult {
    /// Versions 1 to 3.
    pub error_code: i16,
    /// Versions 1 to 3.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 3.
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

impl Default for DeleteAclsFilterResult {
    fn default() -> Self {
        Self { error_code: 0, error_message: Some(StrBytes::EMPTY), matching_acls: Vec::new() }
    }
}

impl DeleteAclsFilterResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.matching_acls = r.array(flex, 11, |r| DeleteAclsMatchingAcl::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.array(flex, &self.matching_acls, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteAclsMatchingAcl {
    /// Versions 1 to 3.
    pub error_code: i16,
    /// Versions 1 to 3.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 3.
    pub resource_type: i8,
    /// Versions 1 to 3.
    pub resource_name: StrBytes,
    /// Versions 1 to 3.
    pub pattern_type: i8,
    /// Versions 1 to 3.
    pub principal: StrBytes,
    /// Versions 1 to 3.
    pub host: StrBytes,
    /// Versions 1 to 3.
    pub operation: i8,
    /// Versions 1 to 3.
    pub permission_type: i8,
}

impl Default for DeleteAclsMatchingAcl {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: Some(StrBytes::EMPTY),
            resource_type: 0,
            resource_name: StrBytes::EMPTY,
            pattern_type: 3,
            principal: StrBytes::EMPTY,
            host: StrBytes::EMPTY,
            operation: 0,
            permission_type: 0,
        }
    }
}

impl DeleteAclsMatchingAcl {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.resource_type = r.i8()?;
        m.resource_name = r.string(flex)?;
        m.pattern_type = r.i8()?;
        m.principal = r.string(flex)?;
        m.host = r.string(flex)?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.i8(self.resource_type);
        w.string(flex, &self.resource_name)?;
        w.i8(self.pattern_type);
        w.string(flex, &self.principal)?;
        w.string(flex, &self.host)?;
        w.i8(self.operation);
        w.i8(self.permission_type);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DeleteAclsResponse {
    const NAME: &'static str = "DeleteAclsResponse";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 3;
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
