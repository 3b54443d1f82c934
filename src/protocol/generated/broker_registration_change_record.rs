//! BrokerRegistrationChangeRecord, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct BrokerRegistrationChangeRecord {
    /// Versions 0 to 2.
    pub broker_id: i32,
    /// Versions 0 to 2.
    pub broker_epoch: i64,
    /// Versions 0 to 2, tag 0.
    pub fenced: i8,
    /// Versions 1 to 2, tag 1.
    pub in_controlled_shutdown: i8,
    /// Version 2, tag 2.
    pub log_dirs: Vec<TopicId>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl BrokerRegistrationChangeRecord {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.broker_epoch = r.i64()?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.fenced = r.i8()?;
                }
                1 if v >= 1 => {
                    m.in_controlled_shutdown = r.i8()?;
                }
                2 if v >= 2 => {
                    m.log_dirs = r.array(true, 16, |r| r.uuid())?;
                }
                _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        w.i64(self.broker_epoch);
        if !(v >= 1) && self.in_controlled_shutdown != 0 {
            return lost("BrokerRegistrationChangeRecord.InControlledShutdown", v);
        }
        if !(v >= 2) && !self.log_dirs.is_empty() {
            return lost("BrokerRegistrationChangeRecord.LogDirs", v);
        }
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if self.fenced != 0 {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.i8(self.fenced);
            w.end_tag(&t);
        }
        if v >= 1 && self.in_controlled_shutdown != 0 {
            w.unknown_tags(&mut t, &mut unknown, Some(1))?;
            w.begin_tag(&mut t, 1);
            w.i8(self.in_controlled_shutdown);
            w.end_tag(&t);
        }
        if v >= 2 && !self.log_dirs.is_empty() {
            w.unknown_tags(&mut t, &mut unknown, Some(2))?;
            w.begin_tag(&mut t, 2);
            w.array(true, &self.log_dirs, |w, x| Ok(w.uuid(*x)))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for BrokerRegistrationChangeRecord {
    const NAME: &'static str = "BrokerRegistrationChangeRecord";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 2;
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
