//! DescribeClusterResponse, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterResponse {
    /// Versions 0 to 2.
    pub throttle_time_ms: i32,
    /// Versions 0 to 2.
    pub error_code: i16,
    /// Versions 0 to 2.
    pub error_message: Option<StrBytes>,
    /// Versions 1 to 2.
    pub endpoint_type: i8,
    /// Versions 0 to 2.
    pub cluster_id: StrBytes,
    /// Versions 0 to 2.
    pub controller_id: i32,
    /// Versions 0 to 2.
    pub brokers: Vec<DescribeClusterBroker>,
    /// Versions 0 to 2.
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: StrBytes::EMPTY,
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: -2147483648,
        }
    }
}

impl DescribeClusterResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        if v >= 1 {
            m.endpoint_type = r.i8()?;
        }
        m.cluster_id = r.string(true)?;
        m.controller_id = r.i32()?;
        m.brokers = r.array(true, 11, |r| DescribeClusterBroker::read(r, v))?;
        m.cluster_authorized_operations = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        if !(v >= 1) && self.endpoint_type != 1 {
            return lost("DescribeClusterResponse.EndpointType", v);
        }
        if v >= 1 {
            w.i8(self.endpoint_type);
        }
        w.string(true, &self.cluster_id)?;
        w.i32(self.controller_id);
        w.array(true, &self.brokers, |w, x| x.write(w, v))?;
        w.i32(self.cluster_authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeClusterBroker {
    /// Versions 0 to 2.
    pub broker_id: i32,
    /// Versions 0 to 2.
    pub host: StrBytes,
    /// Versions 0 to 2.
    pub port: i32,
    /// Versions 0 to 2.
    pub rack: Option<StrBytes>,
    /// Version 2.
    pub is_fenced: bool,
}

impl DescribeClusterBroker {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.host = r.string(true)?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        if v >= 2 {
            m.is_fenced = r.bool()?;
        }
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        w.string(true, &self.host)?;
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_ref())?;
        if !(v >= 2) && self.is_fenced {
            return lost("DescribeClusterBroker.IsFenced", v);
        }
        if v >= 2 {
            w.bool(self.is_fenced);
        }
        w.uvarint(0);
        Ok(())
    }
}

impl Message for DescribeClusterResponse {
    const NAME: &'static str = "DescribeClusterResponse";
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
