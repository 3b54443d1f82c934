//! TransactionLogValue, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct TransactionLogValue {
    /// Versions 0 to 1.
    pub producer_id: i64,
    /// Version 1, tag 0.
    pub previous_producer_id: i64,
    /// Version 1, tag 1.
    pub next_producer_id: i64,
    /// Versions 0 to 1.
    pub producer_epoch: i16,
    /// Version 1, tag 3.
    pub next_producer_epoch: i16,
    /// Versions 0 to 1.
    pub transaction_timeout_ms: i32,
    /// Versions 0 to 1.
    pub transaction_status: i8,
    /// Versions 0 to 1.
    pub transaction_partitions: Option<Vec<PartitionsSchema>>,
    /// Versions 0 to 1.
    pub transaction_last_update_timestamp_ms: i64,
    /// Versions 0 to 1.
    pub transaction_start_timestamp_ms: i64,
    /// Version 1, tag 2.
    pub client_transaction_version: i16,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for TransactionLogValue {
    fn default() -> Self {
        Self {
            producer_id: 0,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 0,
            next_producer_epoch: -1,
            transaction_timeout_ms: 0,
            transaction_status: 0,
            transaction_partitions: Some(Vec::new()),
            transaction_last_update_timestamp_ms: 0,
            transaction_start_timestamp_ms: 0,
            client_transaction_version: 0,
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl TransactionLogValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.transaction_timeout_ms = r.i32()?;
        m.transaction_status = r.i8()?;
        m.transaction_partitions = r.nullable_array(flex, 3, |r| PartitionsSchema::read(r, v))?;
        m.transaction_last_update_timestamp_ms = r.i64()?;
        m.transaction_start_timestamp_ms = r.i64()?;
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.previous_producer_id = r.i64()?;
                    }
                    1 => {
                        m.next_producer_id = r.i64()?;
                    }
                    3 => {
                        m.next_producer_epoch = r.i16()?;
                    }
                    2 => {
                        m.client_transaction_version = r.i16()?;
                    }
                    _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i64(self.producer_id);
        if !(v >= 1) && self.previous_producer_id != -1 {
            return lost("TransactionLogValue.PreviousProducerId", v);
        }
        if !(v >= 1) && self.next_producer_id != -1 {
            return lost("TransactionLogValue.NextProducerId", v);
        }
        w.i16(self.producer_epoch);
        if !(v >= 1) && self.next_producer_epoch != -1 {
            return lost("TransactionLogValue.NextProducerEpoch", v);
        }
        w.i32(self.transaction_timeout_ms);
        w.i8(self.transaction_status);
        w.nullable_array(flex, self.transaction_partitions.as_deref(), |w, x| x.write(w, v))?;
        w.i64(self.transaction_last_update_timestamp_ms);
        w.i64(self.transaction_start_timestamp_ms);
        if !(v >= 1) && self.client_transaction_version != 0 {
            return lost("TransactionLogValue.ClientTransactionVersion", v);
        }
        if flex {
            let mut t = w.begin_tags();
            let mut unknown = self.unknown_tagged_fields.as_slice();
            if self.previous_producer_id != -1 {
                w.unknown_tags(&mut t, &mut unknown, Some(0))?;
                w.begin_tag(&mut t, 0);
                w.i64(self.previous_producer_id);
                w.end_tag(&t);
            }
            if self.next_producer_id != -1 {
                w.unknown_tags(&mut t, &mut unknown, Some(1))?;
                w.begin_tag(&mut t, 1);
                w.i64(self.next_producer_id);
                w.end_tag(&t);
            }
            if self.client_transaction_version != 0 {
                w.unknown_tags(&mut t, &mut unknown, Some(2))?;
                w.begin_tag(&mut t, 2);
                w.i16(self.client_transaction_version);
                w.end_tag(&t);
            }
            if self.next_producer_epoch != -1 {
                w.unknown_tags(&mut t, &mut unknown, Some(3))?;
                w.begin_tag(&mut t, 3);
                w.i16(self.next_producer_epoch);
                w.end_tag(&t);
            }
            w.unknown_tags(&mut t, &mut unknown, None)?;
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionsSchema {
    /// Versions 0 to 1.
    pub topic: StrBytes,
    /// Versions 0 to 1.
    pub partition_ids: Vec<i32>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl PartitionsSchema {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.topic = r.string(flex)?;
        m.partition_ids = r.array(flex, 4, |r| r.i32())?;
        if flex {
            r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.string(flex, &self.topic)?;
        w.array(flex, &self.partition_ids, |w, x| Ok(w.i32(*x)))?;
        if flex {
            let mut t = w.begin_tags();
            let mut unknown = self.unknown_tagged_fields.as_slice();
            w.unknown_tags(&mut t, &mut unknown, None)?;
            w.end_tags(t);
        }
        Ok(())
    }
}

impl Message for TransactionLogValue {
    const NAME: &'static str = "TransactionLogValue";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 1;
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
