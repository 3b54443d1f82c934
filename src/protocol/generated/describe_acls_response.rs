//! DescribeAclsResponse, versions 1 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeAclsResponse {
    /// Versions 1 to 3.
    pub throttle_time_ms: i32,
    /// Versions 1 to 3.
    pub error_code: i16,
    /// Versions 1 to 3.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 3.
    pub resources: Vec<DescribeAclsResource>,
}

impl Default for DescribeAclsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, error_message: Some(StrBytes::EMPTY), resources: Vec::new() }
    }
}

impl DescribeAclsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.resources = r.array(flex, 5, |r| DescribeAclsResource::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.array(flex, &self.resources, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeAclsResource {
    /// Versions 1 to 3.
    pub resource_type: i8,
    /// Versions 1 to 3.
    pub resource_name: StrBytes,
    /// Versions 1 to 3.
    pub pattern_type: i8,
    /// Versions 1 to 3.
    pub acls: Vec<AclDescription>,
}

impl Default for DescribeAclsResource {
    fn default() -> Self {
        Self { resource_type: 0, resource_name: StrBytes::EMPTY, pattern_type: 3, acls: Vec::new() }
    }
}

impl DescribeAclsResource {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.string(flex)?;
        m.pattern_type = r.i8()?;
        m.acls = r.array(flex, 5, |r| AclDescription::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i8(self.resource_type);
        w.string(flex, &self.resource_name)?;
        w.i8(self.pattern_type);
        w.array(flex, &self.acls, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AclDescription {
    /// Versions 1 to 3.
    pub principal: StrBytes,
    /// Versions 1 to 3.
    pub host: StrBytes,
    /// Versions 1 to 3.
    pub operation: i8,
    /// Versions 1 to 3.
    pub permission_type: i8,
}

impl AclDescription {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
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

impl Message for DescribeAclsResponse {
    const NAME: &'static str = "DescribeAclsResponse";
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
