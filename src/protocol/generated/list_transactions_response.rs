//! ListTransactionsResponse, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ListTransactionsResponse {
    /// Versions 0 to 2.
    pub throttle_time_ms: i32,
    /// Versions 0 to 2.
    pub error_code: i16,
    /// Versions 0 to 2.
    pub unknown_state_filters: Vec<StrBytes>,
    /// Versions 0 to 2.
    pub transaction_states: Vec<TransactionState>,
}

impl ListTransactionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.unknown_state_filters = r.array(true, 1, |r| r.string(true))?;
        m.transaction_states = r.array(true, 11, |r| TransactionState::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.array(true, &self.unknown_state_filters, |w, x| w.string(true, x))?;
        w.array(true, &self.transaction_states, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TransactionState {
    /// Versions 0 to 2.
    pub transactional_id: StrBytes,
    /// Versions 0 to 2.
    pub producer_id: i64,
    /// Versions 0 to 2.
    pub transaction_state: StrBytes,
}

impl TransactionState {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = r.string(true)?;
        m.producer_id = r.i64()?;
        m.transaction_state = r.string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.transactional_id)?;
        w.i64(self.producer_id);
        w.string(true, &self.transaction_state)?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ListTransactionsResponse {
    const NAME: &'static str = "ListTransactionsResponse";
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
