//! InitProducerIdResponse, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct InitProducerIdResponse {
    /// Versions 0 to 6.
    pub throttle_time_ms: i32,
    /// Versions 0 to 6.
    pub error_code: i16,
    /// Versions 0 to 6.
    pub producer_id: i64,
    /// Versions 0 to 6.
    pub producer_epoch: i16,
    /// Version 6.
    pub ongoing_txn_producer_id: i64,
    /// Version 6.
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: -1,
            producer_epoch: 0,
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl InitProducerIdResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        if v >= 6 {
            m.ongoing_txn_producer_id = r.i64()?;
        }
        if v >= 6 {
            m.ongoing_txn_producer_epoch = r.i16()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if !(v >= 6) && self.ongoing_txn_producer_id != -1 {
            return lost("InitProducerIdResponse.OngoingTxnProducerId", v);
        }
        if v >= 6 {
            w.i64(self.ongoing_txn_producer_id);
        }
        if !(v >= 6) && self.ongoing_txn_producer_epoch != -1 {
            return lost("InitProducerIdResponse.OngoingTxnProducerEpoch", v);
        }
        if v >= 6 {
            w.i16(self.ongoing_txn_producer_epoch);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for InitProducerIdResponse {
    const NAME: &'static str = "InitProducerIdResponse";
    const MIN_VERSION: i16 = 0;
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
