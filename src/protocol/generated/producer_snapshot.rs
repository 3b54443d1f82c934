//! ProducerSnapshot, version 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProducerSnapshot {
    /// Version 1.
    pub crc: u32,
    /// Version 1.
    pub producer_entries: Vec<ProducerEntry>,
}

impl ProducerSnapshot {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.crc = r.u32()?;
        m.producer_entries = r.array(false, 46, |r| ProducerEntry::read(r, v))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.u32(self.crc);
        w.array(false, &self.producer_entries, |w, x| x.write(w, v))?;
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProducerEntry {
    /// Version 1.
    pub producer_id: i64,
    /// Version 1.
    pub epoch: i16,
    /// Version 1.
    pub last_sequence: i32,
    /// Version 1.
    pub last_offset: i64,
    /// Version 1.
    pub offset_delta: i32,
    /// Version 1.
    pub timestamp: i64,
    /// Version 1.
    pub coordinator_epoch: i32,
    /// Version 1.
    pub current_txn_first_offset: i64,
}

impl ProducerEntry {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.epoch = r.i16()?;
        m.last_sequence = r.i32()?;
        m.last_offset = r.i64()?;
        m.offset_delta = r.i32()?;
        m.timestamp = r.i64()?;
        m.coordinator_epoch = r.i32()?;
        m.current_txn_first_offset = r.i64()?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i64(self.producer_id);
        w.i16(self.epoch);
        w.i32(self.last_sequence);
        w.i64(self.last_offset);
        w.i32(self.offset_delta);
        w.i64(self.timestamp);
        w.i32(self.coordinator_epoch);
        w.i64(self.current_txn_first_offset);
        Ok(())
    }
}

impl Message for ProducerSnapshot {
    const NAME: &'static str = "ProducerSnapshot";
    const MIN_VERSION: i16 = 1;
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
