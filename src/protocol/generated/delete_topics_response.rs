//! DeleteTopicsResponse, versions 1 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeleteTopicsResponse {
    /// Versions 1 to 6.
    pub throttle_time_ms: i32,
    /// Versions 1 to 6.
    pub responses: Vec<DeletableTopicResult>,
}

impl DeleteTopicsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(flex, 4, |r| DeletableTopicResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.responses, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeletableTopicResult {
    /// Versions 1 to 6; null in version 6.
    pub name: Option<StrBytes>,
    /// Version 6.
    pub topic_id: TopicId,
    /// Versions 1 to 6.
    pub error_code: i16,
    /// Versions 5 to 6.
    pub error_message: Option<StrBytes>,
}

impl Default for DeletableTopicResult {
    fn default() -> Self {
        Self { name: Some(StrBytes::EMPTY), topic_id: TopicId::ZERO, error_code: 0, error_message: None }
    }
}

impl DeletableTopicResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.name = if v >= 6 { r.nullable_string(flex)? } else { Some(r.string(flex)?) };
        if v >= 6 {
            m.topic_id = r.uuid()?;
        }
        m.error_code = r.i16()?;
        if v >= 5 {
            m.error_message = r.nullable_string(flex)?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        if v >= 6 {
            w.nullable_string(flex, self.name.as_ref())?;
        } else {
            let Some(x) = &self.name else { return null("DeletableTopicResult.Name", v) };
            w.string(flex, x)?;
        }
        if v >= 6 {
            w.uuid(self.topic_id);
        }
        w.i16(self.error_code);
        if v >= 5 {
            w.nullable_string(flex, self.error_message.as_ref())?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DeleteTopicsResponse {
    const NAME: &'static str = "DeleteTopicsResponse";
    const MIN_VERSION: i16 = 1;
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
