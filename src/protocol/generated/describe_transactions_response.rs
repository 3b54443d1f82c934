//! DescribeTransactionsResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeTransactionsResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub transaction_states: Vec<TransactionState>,
}

impl DescribeTransactionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.transaction_states = r.array(true, 28, |r| TransactionState::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.array(true, &self.transaction_states, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TransactionState {
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub transactional_id: StrBytes,
    /// Version 0.
    pub transaction_state: StrBytes,
    /// Version 0.
    pub transaction_timeout_ms: i32,
    /// Version 0.
    pub transaction_start_time_ms: i64,
    /// Version 0.
    pub producer_id: i64,
    /// Version 0.
    pub producer_epoch: i16,
    /// Version 0.
    pub topics: Vec<TopicData>,
}

impl TransactionState {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.transactional_id = r.string(true)?;
        m.transaction_state = r.string(true)?;
        m.transaction_timeout_ms = r.i32()?;
        m.transaction_start_time_ms = r.i64()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.topics = r.array(true, 3, |r| TopicData::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i16(self.error_code);
        w.string(true, &self.transactional_id)?;
        w.string(true, &self.transaction_state)?;
        w.i32(self.transaction_timeout_ms);
        w.i64(self.transaction_start_time_ms);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicData {
    /// Version 0.
    pub topic: StrBytes,
    /// Version 0.
    pub partitions: Vec<i32>,
}

impl TopicData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string(true)?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.topic)?;
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DescribeTransactionsResponse {
    const NAME: &'static str = "DescribeTransactionsResponse";
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
