//! InitProducerIdRequest, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct InitProducerIdRequest {
    /// Versions 0 to 6.
    pub transactional_id: Option<StrBytes>,
    /// Versions 0 to 6.
    pub transaction_timeout_ms: i32,
    /// Versions 3 to 6.
    pub producer_id: i64,
    /// Versions 3 to 6.
    pub producer_epoch: i16,
    /// Version 6.
    pub enable2_pc: bool,
    /// Version 6.
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Some(StrBytes::EMPTY),
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: false,
            keep_prepared_txn: false,
        }
    }
}

impl InitProducerIdRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.transactional_id = r.nullable_string(flex)?;
        m.transaction_timeout_ms = r.i32()?;
        if v >= 3 {
            m.producer_id = r.i64()?;
        }
        if v >= 3 {
            m.producer_epoch = r.i16()?;
        }
        if v >= 6 {
            m.enable2_pc = r.bool()?;
        }
        if v >= 6 {
            m.keep_prepared_txn = r.bool()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.nullable_string(flex, self.transactional_id.as_ref())?;
        w.i32(self.transaction_timeout_ms);
        if !(v >= 3) && self.producer_id != -1 {
            return lost("InitProducerIdRequest.ProducerId", v);
        }
        if v >= 3 {
            w.i64(self.producer_id);
        }
        if !(v >= 3) && self.producer_epoch != -1 {
            return lost("InitProducerIdRequest.ProducerEpoch", v);
        }
        if v >= 3 {
            w.i16(self.producer_epoch);
        }
        if !(v >= 6) && self.enable2_pc {
            return lost("InitProducerIdRequest.Enable2Pc", v);
        }
        if v >= 6 {
            w.bool(self.enable2_pc);
        }
        if !(v >= 6) && self.keep_prepared_txn {
            return lost("InitProducerIdRequest.KeepPreparedTxn", v);
        }
        if v >= 6 {
            w.bool(self.keep_prepared_txn);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for InitProducerIdRequest {
    const NAME: &'static str = "InitProducerIdRequest";
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
}

impl Request for InitProducerIdRequest {
    const API_KEY: ApiKey = ApiKey::InitProducerId;
    type Response = super::init_producer_id_response::InitProducerIdResponse;
}
