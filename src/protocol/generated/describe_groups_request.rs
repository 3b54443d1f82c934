//! DescribeGroupsRequest, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeGroupsRequest {
    /// Versions 0 to 6.
    pub groups: Vec<StrBytes>,
    /// Versions 3 to 6.
    pub include_authorized_operations: bool,
}

impl DescribeGroupsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.groups = r.array(flex, 1, |r| r.string(flex))?;
        if v >= 3 {
            m.include_authorized_operations = r.bool()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.array(flex, &self.groups, |w, x| w.string(flex, x))?;
        if !(v >= 3) && self.include_authorized_operations {
            return lost("DescribeGroupsRequest.IncludeAuthorizedOperations", v);
        }
        if v >= 3 {
            w.bool(self.include_authorized_operations);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeGroupsRequest {
    const NAME: &'static str = "DescribeGroupsRequest";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 6;
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

impl Request for DescribeGroupsRequest {
    const API_KEY: ApiKey = ApiKey::DescribeGroups;
    type Response = super::describe_groups_response::DescribeGroupsResponse;
}
