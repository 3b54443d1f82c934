//! ListTransactionsRequest, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct ListTransactionsRequest {
    /// Versions 0 to 2.
    pub state_filters: Vec<StrBytes>,
    /// Versions 0 to 2.
    pub producer_id_filters: Vec<i64>,
    /// Versions 1 to 2.
    pub duration_filter: i64,
    /// Version 2.
    pub transactional_id_pattern: Option<StrBytes>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self { state_filters: Vec::new(), producer_id_filters: Vec::new(), duration_filter: -1, transactional_id_pattern: None }
    }
}

impl ListTransactionsRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.state_filters = r.array(true, 1, |r| r.string(true))?;
        m.producer_id_filters = r.array(true, 8, |r| r.i64())?;
        if v >= 1 {
            m.duration_filter = r.i64()?;
        }
        if v >= 2 {
            m.transactional_id_pattern = r.nullable_string(true)?;
        }
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.state_filters, |w, x| w.string(true, x))?;
        w.array(true, &self.producer_id_filters, |w, x| Ok(w.i64(*x)))?;
        if !(v >= 1) && self.duration_filter != -1 {
            return lost("ListTransactionsRequest.DurationFilter", v);
        }
        if v >= 1 {
            w.i64(self.duration_filter);
        }
        if !(v >= 2) && self.transactional_id_pattern.is_some() {
            return lost("ListTransactionsRequest.TransactionalIdPattern", v);
        }
        if v >= 2 {
            w.nullable_string(true, self.transactional_id_pattern.as_ref())?;
        }
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ListTransactionsRequest {
    const NAME: &'static str = "ListTransactionsRequest";
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

impl Request for ListTransactionsRequest {
    const API_KEY: ApiKey = ApiKey::ListTransactions;
    type Response = super::list_transactions_response::ListTransactionsResponse;
}
