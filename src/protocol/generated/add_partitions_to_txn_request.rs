//! AddPartitionsToTxnRequest, versions 0 to 5.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnRequest {
    /// Versions 4 to 5.
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// Versions 0 to 3.
    pub v3_and_below_transactional_id: StrBytes,
    /// Versions 0 to 3.
    pub v3_and_below_producer_id: i64,
    /// Versions 0 to 3.
    pub v3_and_below_producer_epoch: i16,
    /// Versions 0 to 3.
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl AddPartitionsToTxnRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        if v >= 4 {
            m.transactions = r.array(flex, 14, |r| AddPartitionsToTxnTransaction::read(r, v))?;
        }
        if v <= 3 {
            m.v3_and_below_transactional_id = r.string(flex)?;
        }
        if v <= 3 {
            m.v3_and_below_producer_id = r.i64()?;
        }
        if v <= 3 {
            m.v3_and_below_producer_epoch = r.i16()?;
        }
        if v <= 3 {
            m.v3_and_below_topics = r.array(flex, 3, |r| AddPartitionsToTxnTopic::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        if !(v >= 4) && !self.transactions.is_empty() {
            return lost("AddPartitionsToTxnRequest.Transactions", v);
        }
        if v >= 4 {
            w.array(flex, &self.transactions, |w, x| x.write(w, v))?;
        }
        if !(v <= 3) && !self.v3_and_below_transactional_id.is_empty() {
            return lost("AddPartitionsToTxnRequest.V3AndBelowTransactionalId", v);
        }
        if v <= 3 {
            w.string(flex, &self.v3_and_below_transactional_id)?;
        }
        if !(v <= 3) && self.v3_and_below_producer_id != 0 {
            return lost("AddPartitionsToTxnRequest.V3AndBelowProducerId", v);
        }
        if v <= 3 {
            w.i64(self.v3_and_below_producer_id);
        }
        if !(v <= 3) && self.v3_and_below_producer_epoch != 0 {
            return lost("AddPartitionsToTxnRequest.V3AndBelowProducerEpoch", v);
        }
        if v <= 3 {
            w.i16(self.v3_and_below_producer_epoch);
        }
        if !(v <= 3) && !self.v3_and_below_topics.is_empty() {
            return lost("AddPartitionsToTxnRequest.V3AndBelowTopics", v);
        }
        if v <= 3 {
            w.array(flex, &self.v3_and_below_topics, |w, x| x.write(w, v))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTransaction {
    /// Versions 4 to 5.
    pub transactional_id: StrBytes,
    /// Versions 4 to 5.
    pub producer_id: i64,
    /// Versions 4 to 5.
    pub producer_epoch: i16,
    /// Versions 4 to 5.
    pub verify_only: bool,
    /// Versions 4 to 5.
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl AddPartitionsToTxnTransaction {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = r.string(true)?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.verify_only = r.bool()?;
        m.topics = r.array(true, 3, |r| AddPartitionsToTxnTopic::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.transactional_id)?;
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.bool(self.verify_only);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AddPartitionsToTxnTopic {
    /// Versions 0 to 5.
    pub name: StrBytes,
    /// Versions 0 to 5.
    pub partitions: Vec<i32>,
}

impl AddPartitionsToTxnTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partitions = r.array(flex, 4, |r| r.i32())?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        w.string(flex, &self.name)?;
        w.array(flex, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for AddPartitionsToTxnRequest {
    const NAME: &'static str = "AddPartitionsToTxnRequest";
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
}

impl Request for AddPartitionsToTxnRequest {
    const API_KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    type Response = super::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
}
