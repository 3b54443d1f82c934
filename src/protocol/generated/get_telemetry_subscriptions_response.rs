//! GetTelemetrySubscriptionsResponse, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct GetTelemetrySubscriptionsResponse {
    /// Version 0.
    pub throttle_time_ms: i32,
    /// Version 0.
    pub error_code: i16,
    /// Version 0.
    pub client_instance_id: TopicId,
    /// Version 0.
    pub subscription_id: i32,
    /// Version 0.
    pub accepted_compression_types: Vec<i8>,
    /// Version 0.
    pub push_interval_ms: i32,
    /// Version 0.
    pub telemetry_max_bytes: i32,
    /// Version 0.
    pub delta_temporality: bool,
    /// Version 0.
    pub requested_metrics: Vec<StrBytes>,
}

impl GetTelemetrySubscriptionsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.client_instance_id = r.uuid()?;
        m.subscription_id = r.i32()?;
        m.accepted_compression_types = r.array(true, 1, |r| r.i8())?;
        m.push_interval_ms = r.i32()?;
        m.telemetry_max_bytes = r.i32()?;
        m.delta_temporality = r.bool()?;
        m.requested_metrics = r.array(true, 1, |r| r.string(true))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.uuid(self.client_instance_id);
        w.i32(self.subscription_id);
        w.array(true, &self.accepted_compression_types, |w, x| Ok(w.i8(*x)))?;
        w.i32(self.push_interval_ms);
        w.i32(self.telemetry_max_bytes);
        w.bool(self.delta_temporality);
        w.array(true, &self.requested_metrics, |w, x| w.string(true, x))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for GetTelemetrySubscriptionsResponse {
    const NAME: &'static str = "GetTelemetrySubscriptionsResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 0;
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
