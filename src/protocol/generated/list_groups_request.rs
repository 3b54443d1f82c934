//! ListGroupsRequest, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListGroupsRequest {
    /// Versions 4 to 5.
    pub states_filter: Vec<StrBytes>,
    /// Version 5.
    pub types_filter: Vec<StrBytes>,
}

impl ListGroupsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        if v >= 4 {
            m.states_filter = r.array(flex, 1, |r| r.string(flex))?;
        }
        if v >= 5 {
            m.types_filter = r.array(flex, 1, |r| r.string(flex))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        if !(v >= 4) && !self.states_filter.is_empty() {
            return lost("ListGroupsRequest.StatesFilter", v);
        }
        if v >= 4 {
            w.array(flex, &self.states_filter, |w, x| w.string(flex, x))?;
        }
        if !(v >= 5) && !self.types_filter.is_empty() {
            return lost("ListGroupsRequest.TypesFilter", v);
        }
        if v >= 5 {
            w.array(flex, &self.types_filter, |w, x| w.string(flex, x))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ListGroupsRequest {
    const NAME: &'static str = "ListGroupsRequest";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 5;
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

impl Request for ListGroupsRequest {
    const API_KEY: ApiKey = ApiKey::ListGroups;
    type Response = super::list_groups_response::ListGroupsResponse;
}
