//! DescribeClientQuotasResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClientQuotasResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 1.
    pub entries: Option<Vec<EntryData>>,
}

impl Default for DescribeClientQuotasResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: 0, error_message: Some(StrBytes::EMPTY), entries: Some(Vec::new()) }
    }
}

impl DescribeClientQuotasResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        m.entries = r.nullable_array(flex, 3, |r| EntryData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        w.nullable_array(flex, self.entries.as_deref(), |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct EntryData {
    /// Versions 0 to 1.
    pub entity: Vec<EntityData>,
    /// Versions 0 to 1.
    pub values: Vec<ValueData>,
}

impl EntryData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.entity = r.array(flex, 3, |r| EntityData::read(r, v))?;
        m.values = r.array(flex, 10, |r| ValueData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.array(flex, &self.entity, |w, x| x.write(w, v))?;
        w.array(flex, &self.values, |w, x| x.write(w, v))?;
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

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ValueData {
    /// Versions 0 to 1.
    pub key: StrBytes,
    /// Versions 0 to 1.
    pub value: f64,
}

impl ValueData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 1;
        let mut m = Self::default();
        m.key = r.string(flex)?;
        m.value = r.f64()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 1;
        w.string(flex, &self.key)?;
        w.f64(self.value);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeClientQuotasResponse {
    const NAME: &'static str = "DescribeClientQuotasResponse";
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
