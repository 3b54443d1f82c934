//! BrokerHeartbeatRequest, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct BrokerHeartbeatRequest {
    /// Versions 0 to 1.
    pub broker_id: i32,
    /// Versions 0 to 1.
    pub broker_epoch: i64,
    /// Versions 0 to 1.
    pub current_metadata_offset: i64,
    /// Versions 0 to 1.
    pub want_fence: bool,
    /// Versions 0 to 1.
    pub want_shut_down: bool,
    /// Version 1, tag 0.
    pub offline_log_dirs: Vec<TopicId>,
}

impl Default for BrokerHeartbeatRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            current_metadata_offset: 0,
            want_fence: false,
            want_shut_down: false,
            offline_log_dirs: Vec::new(),
        }
    }
}

impl BrokerHeartbeatRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.broker_epoch = r.i64()?;
        m.current_metadata_offset = r.i64()?;
        m.want_fence = r.bool()?;
        m.want_shut_down = r.bool()?;
        r.tags(|tag, r| {
            match tag {
                0 if v >= 1 => {
                    m.offline_log_dirs = r.array(true, 16, |r| r.uuid())?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        w.i64(self.broker_epoch);
        w.i64(self.current_metadata_offset);
        w.bool(self.want_fence);
        w.bool(self.want_shut_down);
        if !(v >= 1) && !self.offline_log_dirs.is_empty() {
            return lost("BrokerHeartbeatRequest.OfflineLogDirs", v);
        }
        let mut t = w.begin_tags();
        if v >= 1 && !self.offline_log_dirs.is_empty() {
            w.begin_tag(&mut t, 0);
            w.array(true, &self.offline_log_dirs, |w, x| Ok(w.uuid(*x)))?;
            w.end_tag(&t);
        }
        w.end_tags(t);
        Ok(())
    }
}

impl Message for BrokerHeartbeatRequest {
    const NAME: &'static str = "BrokerHeartbeatRequest";
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

impl Request for BrokerHeartbeatRequest {
    const API_KEY: ApiKey = ApiKey::BrokerHeartbeat;
    type Response = super::broker_heartbeat_response::BrokerHeartbeatResponse;
}
