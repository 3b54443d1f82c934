//! FindCoordinatorResponse, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct FindCoordinatorResponse {
    /// Versions 1 to 6.
    pub throttle_time_ms: i32,
    /// Versions 0 to 3.
    pub error_code: i16,
    /// Versions 1 to 3.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 3.
    pub node_id: i32,
    /// Versions 0 to 3.
    pub host: StrBytes,
    /// Versions 0 to 3.
    pub port: i32,
    /// Versions 4 to 6.
    pub coordinators: Vec<Coordinator>,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: Some(StrBytes::EMPTY),
            node_id: 0,
            host: StrBytes::EMPTY,
            port: 0,
            coordinators: Vec::new(),
        }
    }
}

impl FindCoordinatorResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 3;
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        if v <= 3 {
            m.error_code = r.i16()?;
        }
        if v >= 1 && v <= 3 {
            m.error_message = r.nullable_string(flex)?;
        }
        if v <= 3 {
            m.node_id = r.i32()?;
        }
        if v <= 3 {
            m.host = r.string(flex)?;
        }
        if v <= 3 {
            m.port = r.i32()?;
        }
        if v >= 4 {
            m.coordinators = r.array(flex, 14, |r| Coordinator::read(r, v))?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 3;
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if !(v <= 3) && self.error_code != 0 {
            return lost("FindCoordinatorResponse.ErrorCode", v);
        }
        if v <= 3 {
            w.i16(self.error_code);
        }
        if v >= 1 && v <= 3 {
            w.nullable_string(flex, self.error_message.as_ref())?;
        }
        if !(v <= 3) && self.node_id != 0 {
            return lost("FindCoordinatorResponse.NodeId", v);
        }
        if v <= 3 {
            w.i32(self.node_id);
        }
        if !(v <= 3) && !self.host.is_empty() {
            return lost("FindCoordinatorResponse.Host", v);
        }
        if v <= 3 {
            w.string(flex, &self.host)?;
        }
        if !(v <= 3) && self.port != 0 {
            return lost("FindCoordinatorResponse.Port", v);
        }
        if v <= 3 {
            w.i32(self.port);
        }
        if !(v >= 4) && !self.coordinators.is_empty() {
            return lost("FindCoordinatorResponse.Coordinators", v);
        }
        if v >= 4 {
            w.array(flex, &self.coordinators, |w, x| x.write(w, v))?;
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Coordinator {
    /// Versions 4 to 6.
    pub key: StrBytes,
    /// Versions 4 to 6.
    pub node_id: i32,
    /// Versions 4 to 6.
    pub host: StrBytes,
    /// Versions 4 to 6.
    pub port: i32,
    /// Versions 4 to 6.
    pub error_code: i16,
    /// Versions 4 to 6.
    pub error_message: Option<StrBytes>,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            key: StrBytes::EMPTY,
            node_id: 0,
            host: StrBytes::EMPTY,
            port: 0,
            error_code: 0,
            error_message: Some(StrBytes::EMPTY),
        }
    }
}

impl Coordinator {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.key = r.string(true)?;
        m.node_id = r.i32()?;
        m.host = r.string(true)?;
        m.port = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.key)?;
        w.i32(self.node_id);
        w.string(true, &self.host)?;
        w.i32(self.port);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for FindCoordinatorResponse {
    const NAME: &'static str = "FindCoordinatorResponse";
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
