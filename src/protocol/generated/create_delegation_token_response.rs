//! CreateDelegationTokenResponse, versions 1 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateDelegationTokenResponse {
    /// Versions 1 to 3.
    pub error_code: i16,
    /// Versions 1 to 3.
    pub principal_type: StrBytes,
    /// Versions 1 to 3.
    pub principal_name: StrBytes,
    /// Version 3.
    pub token_requester_principal_type: StrBytes,
    /// Version 3.
    pub token_requester_principal_name: StrBytes,
    /// Versions 1 to 3.
    pub issue_timestamp_ms: i64,
    /// Versions 1 to 3.
    pub expiry_timestamp_ms: i64,
    /// Versions 1 to 3.
    pub max_timestamp_ms: i64,
    /// Versions 1 to 3.
    pub token_id: StrBytes,
    /// Versions 1 to 3.
    pub hmac: Bytes,
    /// Versions 1 to 3.
    pub throttle_time_ms: i32,
}

impl CreateDelegationTokenResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.principal_type = r.string(flex)?;
        m.principal_name = r.string(flex)?;
        if v >= 3 {
            m.token_requester_principal_type = r.string(flex)?;
        }
        if v >= 3 {
            m.token_requester_principal_name = r.string(flex)?;
        }
        m.issue_timestamp_ms = r.i64()?;
        m.expiry_timestamp_ms = r.i64()?;
        m.max_timestamp_ms = r.i64()?;
        m.token_id = r.string(flex)?;
        m.hmac = r.bytes(flex)?;
        m.throttle_time_ms = r.i32()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i16(self.error_code);
        w.string(flex, &self.principal_type)?;
        w.string(flex, &self.principal_name)?;
        if !(v >= 3) && !self.token_requester_principal_type.is_empty() {
            return lost("CreateDelegationTokenResponse.TokenRequesterPrincipalType", v);
        }
        if v >= 3 {
            w.string(flex, &self.token_requester_principal_type)?;
        }
        if !(v >= 3) && !self.token_requester_principal_name.is_empty() {
            return lost("CreateDelegationTokenResponse.TokenRequesterPrincipalName", v);
        }
        if v >= 3 {
            w.string(flex, &self.token_requester_principal_name)?;
        }
        w.i64(self.issue_timestamp_ms);
        w.i64(self.expiry_timestamp_ms);
        w.i64(self.max_timestamp_ms);
        w.string(flex, &self.token_id)?;
        w.bytes(flex, &self.hmac)?;
        w.i32(self.throttle_time_ms);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for CreateDelegationTokenResponse {
    const NAME: &'static str = "CreateDelegationTokenResponse";
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
