//! ProduceRequest, versions 3 to 13.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProduceRequest {
    /// Versions 3 to 13.
    pub transactional_id: Option<StrBytes>,
    /// Versions 3 to 13.
    pub acks: i16,
    /// Versions 3 to 13.
    pub timeout_ms: i32,
    /// Versions 3 to 13.
    pub topic_data: Vec<TopicProduceData>,
}

impl ProduceRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.transactional_id = r.nullable_string(flex)?;
        m.acks = r.i16()?;
        m.timeout_ms = r.i32()?;
        m.topic_data = r.array(flex, 3, |r| TopicProduceData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.nullable_string(flex, self.transactional_id.as_ref())?;
        w.i16(self.acks);
        w.i32(self.timeout_ms);
        w.array(flex, &self.topic_data, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicProduceData {
    /// Versions 3 to 12.
    pub name: StrBytes,
    /// Version 13.
    pub topic_id: TopicId,
    /// Versions 3 to 13.
    pub partition_data: Vec<PartitionProduceData>,
}

impl TopicProduceData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        if v <= 12 {
            m.name = r.string(flex)?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partition_data = r.array(flex, 6, |r| PartitionProduceData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        if v <= 12 {
            w.string(flex, &self.name)?;
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partition_data, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionProduceData {
    /// Versions 3 to 13.
    pub index: i32,
    /// Versions 3 to 13.
    pub records: Records,
}

impl PartitionProduceData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 9;
        let mut m = Self::default();
        m.index = r.i32()?;
        m.records = r.nullable_records(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 9;
        w.i32(self.index);
        w.records(flex, &self.records)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ProduceRequest {
    const NAME: &'static str = "ProduceRequest";
    const MIN_VERSION: i16 = 3;
    const MAX_VERSION: i16 = 13;
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

impl Request for ProduceRequest {
    const API_KEY: ApiKey = ApiKey::Produce;
    type Response = super::produce_response::ProduceResponse;
}
