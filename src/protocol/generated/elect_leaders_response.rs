//! ElectLeadersResponse, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ElectLeadersResponse {
    /// Versions 0 to 2.
    pub throttle_time_ms: i32,
    /// Versions 1 to 2.
    pub error_code: i16,
    /// Versions 0 to 2.
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

impl ElectLeadersResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 1 {
            m.error_code = r.i16()?;
        }
        m.replica_election_results = r.array(flex, 3, |r| ReplicaElectionResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        if !(v >= 1) && self.error_code != 0 {
            return lost("ElectLeadersResponse.ErrorCode", v);
        }
        if v >= 1 {
            w.i16(self.error_code);
        }
        w.array(flex, &self.replica_election_results, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ReplicaElectionResult {
    /// Versions 0 to 2.
    pub topic: StrBytes,
    /// Versions 0 to 2.
    pub partition_result: Vec<PartitionResult>,
}

impl ReplicaElectionResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.topic = r.string(flex)?;
        m.partition_result = r.array(flex, 8, |r| PartitionResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.string(flex, &self.topic)?;
        w.array(flex, &self.partition_result, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionResult {
    /// Versions 0 to 2.
    pub partition_id: i32,
    /// Versions 0 to 2.
    pub error_code: i16,
    /// Versions 0 to 2.
    pub error_message: Option<StrBytes>,
}

impl Default for PartitionResult {
    fn default() -> Self {
        Self { partition_id: 0, error_code: 0, error_message: Some(StrBytes::EMPTY) }
    }
}

impl PartitionResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.partition_id = r.i32()?;
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.partition_id);
        w.i16(self.error_code);
        w.nullable_string(flex, self.error_message.as_ref())?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for ElectLeadersResponse {
    const NAME: &'static str = "ElectLeadersResponse";
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
