//! DescribeConfigsRequest, versions 1 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeConfigsRequest {
    /// Versions 1 to 4.
    pub resources: Vec<DescribeConfigsResource>,
    /// Versions 1 to 4.
    pub include_synonyms: bool,
    /// Versions 3 to 4.
    pub include_documentation: bool,
}

impl DescribeConfigsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.resources = r.array(flex, 4, |r| DescribeConfigsResource::read(r, v))?;
        m.include_synonyms = r.bool()?;
        if v >= 3 {
            m.include_documentation = r.bool()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.array(flex, &self.resources, |w, x| x.write(w, v))?;
        w.bool(self.include_synonyms);
        if !(v >= 3) && self.include_documentation {
            return lost("DescribeConfigsRequest.IncludeDocumentation", v);
        }
        if v >= 3 {
            w.bool(self.include_documentation);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsResource {
    /// Versions 1 to 4.
    pub resource_type: i8,
    /// Versions 1 to 4.
    pub resource_name: StrBytes,
    /// Versions 1 to 4.
    pub configuration_keys: Option<Vec<StrBytes>>,
}

impl Default for DescribeConfigsResource {
    fn default() -> Self {
        Self { resource_type: 0, resource_name: StrBytes::EMPTY, configuration_keys: Some(Vec::new()) }
    }
}

impl DescribeConfigsResource {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.string(flex)?;
        m.configuration_keys = r.nullable_array(flex, 1, |r| r.string(flex))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.i8(self.resource_type);
        w.string(flex, &self.resource_name)?;
        w.nullable_array(flex, self.configuration_keys.as_deref(), |w, x| w.string(flex, x))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeConfigsRequest {
    const NAME: &'static str = "DescribeConfigsRequest";
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
}

impl Request for DescribeConfigsRequest {
    const API_KEY: ApiKey = ApiKey::DescribeConfigs;
    type Response = super::describe_configs_response::DescribeConfigsResponse;
}
