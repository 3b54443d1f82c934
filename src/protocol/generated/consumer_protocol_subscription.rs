//! ConsumerProtocolSubscription, versions 0 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerProtocolSubscription {
    /// Versions 0 to 3.
    pub topics: Vec<StrBytes>,
    /// Versions 0 to 3.
    pub user_data: Option<Bytes>,
    /// Versions 1 to 3.
    pub owned_partitions: Vec<TopicPartition>,
    /// Versions 2 to 3.
    pub generation_id: i32,
    /// Version 3.
    pub rack_id: Option<StrBytes>,
}

impl Default for ConsumerProtocolSubscription {
    fn default() -> Self {
        Self { topics: Vec::new(), user_data: None, owned_partitions: Vec::new(), generation_id: -1, rack_id: None }
    }
}

impl ConsumerProtocolSubscription {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = r.array(false, 2, |r| r.string(false))?;
        m.user_data = r.nullable_bytes(false)?;
        if v >= 1 {
            m.owned_partitions = r.array(false, 6, |r| TopicPartition::read(r, v))?;
        }
        if v >= 2 {
            m.generation_id = r.i32()?;
        }
        if v >= 3 {
            m.rack_id = r.nullable_string(false)?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(false, &self.topics, |w, x| w.string(false, x))?;
        w.nullable_bytes(false, self.user_data.as_ref())?;
        if v >= 1 {
            w.array(false, &self.owned_partitions, |w, x| x.write(w, v))?;
        }
        if v >= 2 {
            w.i32(self.generation_id);
        }
        if v >= 3 {
            w.nullable_string(false, self.rack_id.as_ref())?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartition {
    /// Versions 1 to 3.
    pub topic: StrBytes,
    /// Versions 1 to 3.
    pub partitions: Vec<i32>,
}

impl TopicPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string(false)?;
        m.partitions = r.array(false, 4, |r| r.i32())?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(false, &self.topic)?;
        w.array(false, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        Ok(())
    }
}

impl Message for ConsumerProtocolSubscription {
    const NAME: &'static str = "ConsumerProtocolSubscription";
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
}
