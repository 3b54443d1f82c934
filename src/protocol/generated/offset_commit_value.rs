//! OffsetCommitValue, versions 0 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitValue {
    /// Versions 0 to 4.
    pub offset: i64,
    /// Versions 3 to 4.
    pub leader_epoch: i32,
    /// Versions 0 to 4.
    pub metadata: StrBytes,
    /// Versions 0 to 4.
    pub commit_timestamp: i64,
    /// Version 1.
    pub expire_timestamp: i64,
    /// Version 4, tag 0.
    pub topic_id: TopicId,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for OffsetCommitValue {
    fn default() -> Self {
        Self {
            offset: 0,
            leader_epoch: -1,
            metadata: StrBytes::EMPTY,
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: TopicId::ZERO,
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl OffsetCommitValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 4;
        let mut m = Self::default();
        m.offset = r.i64()?;
        if v >= 3 {
            m.leader_epoch = r.i32()?;
        }
        m.metadata = r.string(flex)?;
        m.commit_timestamp = r.i64()?;
        if v >= 1 && v <= 1 {
            m.expire_timestamp = r.i64()?;
        }
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.topic_id = r.uuid()?;
                    }
                    _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 4;
        w.i64(self.offset);
        if v >= 3 {
            w.i32(self.leader_epoch);
        }
        w.string(flex, &self.metadata)?;
        w.i64(self.commit_timestamp);
        if v >= 1 && v <= 1 {
            w.i64(self.expire_timestamp);
        }
        if flex {
            let mut t = w.begin_tags();
            let mut unknown = self.unknown_tagged_fields.as_slice();
            if !self.topic_id.is_zero() {
                w.unknown_tags(&mut t, &mut unknown, Some(0))?;
                w.begin_tag(&mut t, 0);
                w.uuid(self.topic_id);
                w.end_tag(&t);
            }
            w.unknown_tags(&mut t, &mut unknown, None)?;
            w.end_tags(t);
        }
        Ok(())
    }
}

impl Message for OffsetCommitValue {
    const NAME: &'static str = "OffsetCommitValue";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 4;
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
