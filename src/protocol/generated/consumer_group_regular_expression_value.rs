//! ConsumerGroupRegularExpressionValue, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConsumerGroupRegularExpressionValue {
    /// Version 0.
    pub topics: Vec<StrBytes>,
    /// Version 0.
    pub version: i64,
    /// Version 0.
    pub timestamp: i64,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl ConsumerGroupRegularExpressionValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = r.array(true, 1, |r| r.string(true))?;
        m.version = r.i64()?;
        m.timestamp = r.i64()?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.topics, |w, x| w.string(true, x))?;
        w.i64(self.version);
        w.i64(self.timestamp);
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for ConsumerGroupRegularExpressionValue {
    const NAME: &'static str = "ConsumerGroupRegularExpressionValue";
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
