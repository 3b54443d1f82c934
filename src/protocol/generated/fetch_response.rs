//! FetchResponse, versions 4 to 18.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchResponse {
    /// Versions 4 to 18.
    pub throttle_time_ms: i32,
    /// Versions 7 to 18.
    pub error_code: i16,
    /// Versions 7 to 18.
    pub session_id: i32,
    /// Versions 4 to 18.
    pub responses: Vec<FetchableTopicResponse>,
    /// Versions 16 to 18, tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl FetchResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 7 {
            m.error_code = r.i16()?;
        }
        if v >= 7 {
            m.session_id = r.i32()?;
        }
        m.responses = r.array(flex, 3, |r| FetchableTopicResponse::read(r, v))?;
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 if v >= 16 => {
                        m.node_endpoints = r.array(flex, 11, |r| NodeEndpoint::read(r, v))?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        w.i32(self.throttle_time_ms);
        if v >= 7 {
            w.i16(self.error_code);
        }
        if !(v >= 7) && self.session_id != 0 {
            return lost("FetchResponse.SessionId", v);
        }
        if v >= 7 {
            w.i32(self.session_id);
        }
        w.array(flex, &self.responses, |w, x| x.write(w, v))?;
        if !(v >= 16) && !self.node_endpoints.is_empty() {
            return lost("FetchResponse.NodeEndpoints", v);
        }
        if flex {
            let mut t = w.begin_tags();
            if v >= 16 && !self.node_endpoints.is_empty() {
                w.begin_tag(&mut t, 0);
                w.array(flex, &self.node_endpoints, |w, x| x.write(w, v))?;
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchableTopicResponse {
    /// Versions 4 to 12.
    pub topic: StrBytes,
    /// Versions 13 to 18.
    pub topic_id: TopicId,
    /// Versions 4 to 18.
    pub partitions: Vec<PartitionData>,
}

impl FetchableTopicResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string(flex)?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(flex, 30, |r| PartitionData::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        if v <= 12 {
            w.string(flex, &self.topic)?;
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData {
    /// Versions 4 to 18.
    pub partition_index: i32,
    /// Versions 4 to 18.
    pub error_code: i16,
    /// Versions 4 to 18.
    pub high_watermark: i64,
    /// Versions 4 to 18.
    pub last_stable_offset: i64,
    /// Versions 5 to 18.
    pub log_start_offset: i64,
    /// Versions 12 to 18, tag 0.
    pub diverging_epoch: EpochEndOffset,
    /// Versions 12 to 18, tag 1.
    pub current_leader: LeaderIdAndEpoch,
    /// Versions 12 to 18, tag 2.
    pub snapshot_id: SnapshotId,
    /// Versions 4 to 18.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Versions 11 to 18.
    pub preferred_read_replica: i32,
    /// Versions 4 to 18.
    pub records: Records,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: Records::Null,
        }
    }
}

impl PartitionData {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.i16()?;
        m.high_watermark = r.i64()?;
        m.last_stable_offset = r.i64()?;
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.aborted_transactions = r.nullable_array(flex, 16, |r| AbortedTransaction::read(r, v))?;
        if v >= 11 {
            m.preferred_read_replica = r.i32()?;
        }
        m.records = r.nullable_records(flex)?;
        if flex {
            r.tags(|tag, r| {
                match tag {
                    0 => {
                        m.diverging_epoch = EpochEndOffset::read(r, v)?;
                    }
                    1 => {
                        m.current_leader = LeaderIdAndEpoch::read(r, v)?;
                    }
                    2 => {
                        m.snapshot_id = SnapshotId::read(r, v)?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        if !(v >= 12) && self.diverging_epoch != EpochEndOffset::default() {
            return lost("PartitionData.DivergingEpoch", v);
        }
        if !(v >= 12) && self.current_leader != LeaderIdAndEpoch::default() {
            return lost("PartitionData.CurrentLeader", v);
        }
        if !(v >= 12) && self.snapshot_id != SnapshotId::default() {
            return lost("PartitionData.SnapshotId", v);
        }
        w.nullable_array(flex, self.aborted_transactions.as_deref(), |w, x| x.write(w, v))?;
        if !(v >= 11) && self.preferred_read_replica != -1 {
            return lost("PartitionData.PreferredReadReplica", v);
        }
        if v >= 11 {
            w.i32(self.preferred_read_replica);
        }
        w.records(flex, &self.records)?;
        if flex {
            let mut t = w.begin_tags();
            if self.diverging_epoch != EpochEndOffset::default() {
                w.begin_tag(&mut t, 0);
                self.diverging_epoch.write(w, v)?;
                w.end_tag(&t);
            }
            if self.current_leader != LeaderIdAndEpoch::default() {
                w.begin_tag(&mut t, 1);
                self.current_leader.write(w, v)?;
                w.end_tag(&t);
            }
            if self.snapshot_id != SnapshotId::default() {
                w.begin_tag(&mut t, 2);
                self.snapshot_id.write(w, v)?;
                w.end_tag(&t);
            }
            w.end_tags(t);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    /// Versions 12 to 18.
    pub epoch: i32,
    /// Versions 12 to 18.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl EpochEndOffset {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.epoch = r.i32()?;
        m.end_offset = r.i64()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.epoch);
        w.i64(self.end_offset);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// Versions 12 to 18.
    pub leader_id: i32,
    /// Versions 12 to 18.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl LeaderIdAndEpoch {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotId {
    /// Versions 12 to 18.
    pub end_offset: i64,
    /// Versions 12 to 18.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl SnapshotId {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.end_offset = r.i64()?;
        m.epoch = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i64(self.end_offset);
        w.i32(self.epoch);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct AbortedTransaction {
    /// Versions 4 to 18.
    pub producer_id: i64,
    /// Versions 4 to 18.
    pub first_offset: i64,
}

impl AbortedTransaction {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 12;
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.first_offset = r.i64()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 12;
        w.i64(self.producer_id);
        w.i64(self.first_offset);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct NodeEndpoint {
    /// Versions 16 to 18.
    pub node_id: i32,
    /// Versions 16 to 18.
    pub host: StrBytes,
    /// Versions 16 to 18.
    pub port: i32,
    /// Versions 16 to 18.
    pub rack: Option<StrBytes>,
}

impl NodeEndpoint {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string(true)?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.node_id);
        w.string(true, &self.host)?;
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_ref())?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for FetchResponse {
    const NAME: &'static str = "FetchResponse";
    const MIN_VERSION: i16 = 4;
    const MAX_VERSION: i16 = 18;
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
