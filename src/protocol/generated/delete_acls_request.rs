//! DeleteAclsRequest, versions 1 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteAclsRequest {
    /// Versions 1 to 3.
    pub filters: Vec<DeleteAclsFilter>,
}

impl DeleteAclsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.filters = r.array(flex, 8, |r| DeleteAclsFilter::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.array(flex, &self.filters, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteAclsFilter {
    /// Versions 1 to 3.
    pub resource_type_filter: i8,
    /// Versions 1 to 3.
    pub resource_name_filter: Option<StrBytes>,
    /// Versions 1 to 3.
    pub pattern_type_filter: i8,
    /// Versions 1 to 3.
    pub principal_filter: Option<StrBytes>,
    /// Versions 1 to 3.
    pub host_filter: Option<StrBytes>,
    /// Versions 1 to 3.
    pub operation: i8,
    /// Versions 1 to 3.
    pub permission_type: i8,
}

impl Default for DeleteAclsFilter {
    fn default() -> Self {
        Self {
            resource_type_filter: 0,
            resource_name_filter: Some(StrBytes::EMPTY),
            pattern_type_filter: 3,
            principal_filter: Some(StrBytes::EMPTY),
            host_filter: Some(StrBytes::EMPTY),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl DeleteAclsFilter {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.resource_type_filter = r.i8()?;
        m.resource_name_filter = r.nullable_string(flex)?;
        m.pattern_type_filter = r.i8()?;
        m.principal_filter = r.nullable_string(flex)?;
        m.host_filter = r.nullable_string(flex)?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i8(self.resource_type_filter);
        w.nullable_string(flex, self.resource_name_filter.as_ref())?;
        w.i8(self.pattern_type_filter);
        w.nullable_string(flex, self.principal_filter.as_ref())?;
        w.nullable_string(flex, self.host_filter.as_ref())?;
        w.i8(self.operation);
        w.i8(self.permission_type);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DeleteAclsRequest {
    const NAME: &'static str = "DeleteAclsRequest";
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
}

impl Request for DeleteAclsRequest {
    const API_KEY: ApiKey = ApiKey::DeleteAcls;
    type Response = super::delete_acls_response::DeleteAclsResponse;
}
