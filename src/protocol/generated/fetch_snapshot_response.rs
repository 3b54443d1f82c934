//! FetchSnapshotResponse, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FetchSnapshotResponse {
    /// Versions 0 to 1.
    pub throttle_time_ms: i32,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub topics: Vec<TopicSnapshot>,
    /// Version 1, tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl FetchSnapshotResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.i16()?;
        m.topics = r.array(true, 3, |r| TopicSnapshot::read(r, v))?;
        r.tags(|tag, r| {
            match tag {
                0 if v >= 1 => {
                    m.node_endpoints = r.array(true, 8, |r| NodeEndpoint::read(r, v))?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        if !(v >= 1) && !self.node_endpoints.is_empty() {
            return lost("FetchSnapshotResponse.NodeEndpoints", v);
        }
        let mut t = w.begin_tags();
        if v >= 1 && !self.node_endpoints.is_empty() {
            w.begin_tag(&mut t, 0);
            w.array(true, &self.node_endpoints, |w, x| x.write(w, v))?;
            w.end_tag(&t);
        }
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicSnapshot {
    /// Versions 0 to 1.
    pub name: StrBytes,
    /// Versions 0 to 1.
    pub partitions: Vec<PartitionSnapshot>,
}

impl TopicSnapshot {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.partitions = r.array(true, 37, |r| PartitionSnapshot::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.array(true, &self.partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionSnapshot {
    /// Versions 0 to 1.
    pub index: i32,
    /// Versions 0 to 1.
    pub error_code: i16,
    /// Versions 0 to 1.
    pub snapshot_id: SnapshotId,
    /// Versions 0 to 1, tag 0.
    pub current_leader: LeaderIdAndEpoch,
    /// Versions 0 to 1.
    pub size: i64,
    /// Versions 0 to 1.
    pub position: i64,
    /// Versions 0 to 1.
    pub unaligned_records: Records,
}

impl PartitionSnapshot {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.index = r.i32()?;
        m.error_code = r.i16()?;
        m.snapshot_id = SnapshotId::read(r, v)?;
        m.size = r.i64()?;
        m.position = r.i64()?;
        m.unaligned_records = r.records(true)?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.current_leader = LeaderIdAndEpoch::read(r, v)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.index);
        w.i16(self.error_code);
        self.snapshot_id.write(w, v)?;
        w.i64(self.size);
        w.i64(self.position);
        if self.unaligned_records == Records::Null {
            return null("PartitionSnapshot.UnalignedRecords", v);
        }
        w.records(true, &self.unaligned_records)?;
        let mut t = w.begin_tags();
        if self.current_leader != LeaderIdAndEpoch::default() {
            w.begin_tag(&mut t, 0);
            self.current_leader.write(w, v)?;
            w.end_tag(&t);
        }
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SnapshotId {
    /// Versions 0 to 1.
    pub end_offset: i64,
    /// Versions 0 to 1.
    pub epoch: i32,
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
pub struct LeaderIdAndEpoch {
    /// Versions 0 to 1.
    pub leader_id: i32,
    /// Versions 0 to 1.
    pub leader_epoch: i32,
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

#[derive(Clone, Debug, PartialEq, Default)]
pub struct NodeEndpoint {
    /// Version 1.
    pub node_id: i32,
    /// Version 1.
    pub host: StrBytes,
    /// Version 1.
    pub port: u16,
}

impl NodeEndpoint {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string(true)?;
        m.port = r.u16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.node_id);
        w.string(true, &self.host)?;
        w.u16(self.port);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for FetchSnapshotResponse {
    const NAME: &'static str = "FetchSnapshotResponse";
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
