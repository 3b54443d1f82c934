//! DescribeUserScramCredentialsResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeUserScramCredentialsResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub error_message: Option<StrBytes>,
    /// Version 0.
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

impl Default for DescribeUserScramCredentialsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, error_message: Some(StrBytes::EMPTY), results: Vec::new() }
    }
}

impl DescribeUserScramCredentialsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.results = r.array(true, 6, |r| DescribeUserScramCredentialsResult::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.array(true, &self.results, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeUserScramCredentialsResult {
    /// Version 0.
    pub user: StrBytes,
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub error_message: Option<StrBytes>,
    /// Version 0.
    pub credential_infos: Vec<CredentialInfo>,
}

impl Default for DescribeUserScramCredentialsResult {
    fn default() -> Self {
        Self { user: StrBytes::EMPTY, error_code: 0, error_message: Some(StrBytes::EMPTY), credential_infos: Vec::new() }
    }
}

impl DescribeUserScramCredentialsResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.user = r.string(true)?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.credential_infos = r.array(true, 6, |r| CredentialInfo::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.user)?;
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.array(true, &self.credential_infos, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CredentialInfo {
    /// Version 0.
    pub mechanism: i8,
    /// Version 0.
    pub iterations: i32,
}

impl CredentialInfo {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.mechanism = r.i8()?;
        m.iterations = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i8(self.mechanism);
        w.i32(self.iterations);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DescribeUserScramCredentialsResponse {
    const NAME: &'static str = "DescribeUserScramCredentialsResponse";
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
