//! FindCoordinatorRequest, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FindCoordinatorRequest {
    /// Versions 0 to 3.
    pub key: StrBytes,
    /// Versions 1 to 6.
    pub key_type: i8,
    /// Versions 4 to 6.
    pub coordinator_keys: Vec<StrBytes>,
}

impl FindCoordinatorRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        if v <= 3 {
            m.key = r.string(flex)?;
        }
        if v >= 1 {
            m.key_type = r.i8()?;
        }
        if v >= 4 {
            m.coordinator_keys = r.array(flex, 1, |r| r.string(flex))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        if !(v <= 3) && !self.key.is_empty() {
            return lost("FindCoordinatorRequest.Key", v);
        }
        if v <= 3 {
            w.string(flex, &self.key)?;
        }
        if !(v >= 1) && self.key_type != 0 {
            return lost("FindCoordinatorRequest.KeyType", v);
        }
        if v >= 1 {
            w.i8(self.key_type);
        }
        if !(v >= 4) && !self.coordinator_keys.is_empty() {
            return lost("FindCoordinatorRequest.CoordinatorKeys", v);
        }
        if v >= 4 {
            w.array(flex, &self.coordinator_keys, |w, x| w.string(flex, x))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for FindCoordinatorRequest {
    const NAME: &'static str = "FindCoordinatorRequest";
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

impl Request for FindCoordinatorRequest {
    const API_KEY: ApiKey = ApiKey::FindCoordinator;
    type Response = super::find_coordinator_response::FindCoordinatorResponse;
}
