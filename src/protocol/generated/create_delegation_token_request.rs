//! CreateDelegationTokenRequest, versions 1 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct CreateDelegationTokenRequest {
    /// Version 3.
    pub owner_principal_type: Option<StrBytes>,
    /// Version 3.
    pub owner_principal_name: Option<StrBytes>,
    /// Versions 1 to 3.
    pub renewers: Vec<CreatableRenewers>,
    /// Versions 1 to 3.
    pub max_lifetime_ms: i64,
}

impl Default for CreateDelegationTokenRequest {
    fn default() -> Self {
        Self {
            owner_principal_type: Some(StrBytes::EMPTY),
            owner_principal_name: Some(StrBytes::EMPTY),
            renewers: Vec::new(),
            max_lifetime_ms: 0,
        }
    }
}

impl CreateDelegationTokenRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        if v >= 3 {
            m.owner_principal_type = r.nullable_string(flex)?;
        }
        if v >= 3 {
            m.owner_principal_name = r.nullable_string(flex)?;
        }
        m.renewers = r.array(flex, 3, |r| CreatableRenewers::read(r, v))?;
        m.max_lifetime_ms = r.i64()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        if !(v >= 3) && self.owner_principal_type.as_ref().is_none_or(|x| !x.is_empty()) {
            return lost("CreateDelegationTokenRequest.OwnerPrincipalType", v);
        }
        if v >= 3 {
            w.nullable_string(flex, self.owner_principal_type.as_ref())?;
        }
        if !(v >= 3) && self.owner_principal_name.as_ref().is_none_or(|x| !x.is_empty()) {
            return lost("CreateDelegationTokenRequest.OwnerPrincipalName", v);
        }
        if v >= 3 {
            w.nullable_string(flex, self.owner_principal_name.as_ref())?;
        }
        w.array(flex, &self.renewers, |w, x| x.write(w, v))?;
        w.i64(self.max_lifetime_ms);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatableRenewers {
    /// Versions 1 to 3.
    pub principal_type: StrBytes,
    /// Versions 1 to 3.
    pub principal_name: StrBytes,
}

impl CreatableRenewers {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.principal_type = r.string(flex)?;
        m.principal_name = r.string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.string(flex, &self.principal_type)?;
        w.string(flex, &self.principal_name)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for CreateDelegationTokenRequest {
    const NAME: &'static str = "CreateDelegationTokenRequest";
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

impl Request for CreateDelegationTokenRequest {
    const API_KEY: ApiKey = ApiKey::CreateDelegationToken;
    type Response = super::create_delegation_token_response::CreateDelegationTokenResponse;
}
