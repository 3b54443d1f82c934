//! CreatePartitionsResponse, versions 0 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsResponse {
    /// Versions 0 to 3.
    pub throttle_time_ms: i32,
    /// Versions 0 to 3.
    pub results: Vec<CreatePartitionsTopicResult>,
}

impl CreatePartitionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(flex, 5, |r| CreatePartitionsTopicResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.results, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreatePartitionsTopicResult {
    /// Versions 0 to 3.
    pub name: StrBytes,
    /// Versions 0 to 3.
    pub error_code: i16,
    /// Versions 0 to 3.
    pub error_message: Option<StrBytes>,
}

impl CreatePartitionsTopicResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.string(flex, &self.name)?;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for CreatePartitionsResponse {
    const NAME: &'static str = "CreatePartitionsResponse";
    const MIN_VERSION: i16 = 0;
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
