//! AddPartitionsToTxnResponse, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnResponse {
    /// Versions 0 to 5.
    pub throttle_time_ms: i32,
    /// Versions 4 to 5.
    pub error_code: i16,
    /// Versions 4 to 5.
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// Versions 0 to 3.
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl AddPartitionsToTxnResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 4 {
            m.error_code = r.i16()?;
        }
        if v >= 4 {
            m.results_by_transaction = r.array(flex, 3, |r| AddPartitionsToTxnResult::read(r, v))?;
        }
        if v <= 3 {
            m.results_by_topic_v3_and_below = r.array(flex, 3, |r| AddPartitionsToTxnTopicResult::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.i32(self.throttle_time_ms);
        if v >= 4 {
            w.i16(self.error_code);
        }
        if !(v >= 4) && !self.results_by_transaction.is_empty() {
            return lost("AddPartitionsToTxnResponse.ResultsByTransaction", v);
        }
        if v >= 4 {
            w.array(flex, &self.results_by_transaction, |w, x| x.write(w, v))?;
        }
        if !(v <= 3) && !self.results_by_topic_v3_and_below.is_empty() {
            return lost("AddPartitionsToTxnResponse.ResultsByTopicV3AndBelow", v);
        }
        if v <= 3 {
            w.array(flex, &self.results_by_topic_v3_and_below, |w, x| x.write(w, v))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnResult {
    /// Versions 4 to 5.
    pub transactional_id: StrBytes,
    /// Versions 4 to 5.
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl AddPartitionsToTxnResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = r.string(true)?;
        m.topic_results = r.array(true, 3, |r| AddPartitionsToTxnTopicResult::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.transactional_id)?;
        w.array(true, &self.topic_results, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTopicResult {
    /// Versions 0 to 5.
    pub name: StrBytes,
    /// Versions 0 to 5.
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl AddPartitionsToTxnTopicResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.results_by_partition = r.array(flex, 6, |r| AddPartitionsToTxnPartitionResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.string(flex, &self.name)?;
        w.array(flex, &self.results_by_partition, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnPartitionResult {
    /// Versions 0 to 5.
    pub partition_index: i32,
    /// Versions 0 to 5.
    pub partition_error_code: i16,
}

impl AddPartitionsToTxnPartitionResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.partition_error_code = r.i16()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.i32(self.partition_index);
        w.i16(self.partition_error_code);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for AddPartitionsToTxnResponse {
    const NAME: &'static str = "AddPartitionsToTxnResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 5;
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
