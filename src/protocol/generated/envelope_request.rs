//! EnvelopeRequest, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct EnvelopeRequest {
    /// Version 0.
    pub request_data: Bytes,
    /// Version 0.
    pub request_principal: Option<Bytes>,
    /// Version 0.
    pub client_host_address: Bytes,
}

impl Default for EnvelopeRequest {
    fn default() -> Self {
        Self { request_data: Bytes::new(), request_principal: Some(Bytes::new()), client_host_address: Bytes::new() }
    }
}

impl EnvelopeRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.request_data = r.bytes(true)?;
        m.request_principal = r.nullable_bytes(true)?;
        m.client_host_address = r.bytes(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.bytes(true, &self.request_data)?;
        w.nullable_bytes(true, self.request_principal.as_ref())?;
        w.bytes(true, &self.client_host_address)?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for EnvelopeRequest {
    const NAME: &'static str = "EnvelopeRequest";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 0;
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

impl Request for EnvelopeRequest {
    const API_KEY: ApiKey = ApiKey::Envelope;
    type Response = super::envelope_response::EnvelopeResponse;
}
