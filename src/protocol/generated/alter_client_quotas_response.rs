//! AlterClientQuotasResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AlterClientQuotasResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub entries: Vec<EntryData>,
}

impl AlterClientQuotasResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.entries = r.array(flex, 5, |r| EntryData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i32(self.throttle_time_ms);
        w.array(flex, &self.entries, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EntryData {
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 1.
    pub entity: Vec<EntityData>,
}

impl Default for EntryData {
    fn default() -> Self {
        Self { error_code: 0, error_message: Some(StrBytes::EMPTY), entity: Vec::new() }
    }
}

impl EntryData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.entity = r.array(flex, 3, |r| EntityData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.array(flex, &self.entity, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EntityData {
    /// Versions 0 to 1.
    pub entity_type: StrBytes,
    /// Versions 0 to 1.
    pub entity_name: Option<StrBytes>,
}

impl Default for EntityData {
    fn default() -> Self {
        Self { entity_type: StrBytes::EMPTY, entity_name: Some(StrBytes::EMPTY) }
    }
}

impl EntityData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.entity_type = r.string(flex)?;
        m.entity_name = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.string(flex, &self.entity_type)?;
        w.nullable_string(flex, self.entity_name.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for AlterClientQuotasResponse {
    const NAME: &'static str = "AlterClientQuotasResponse";
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
    fn set_throttle_time_ms(&mut self, milliseconds: i32) {
        self.throttle_time_ms = milliseconds;
    }
}
