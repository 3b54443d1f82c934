//! FetchSnapshotRequest, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct FetchSnapshotRequest {
    /// Versions 0 to 1, tag 0.
    pub cluster_id: Option<StrBytes>,
    /// Versions 0 to 1.
    pub replica_id: i32,
    /// Versions 0 to 1.
    pub max_bytes: i32,
    /// Versions 0 to 1.
    pub topics: Vec<TopicSnapshot>,
}

impl Default for FetchSnapshotRequest {
    fn default() -> Self {
        Self { cluster_id: None, replica_id: -1, max_bytes: 0x7fffffff, topics: Vec::new() }
    }
}

impl FetchSnapshotRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        m.max_bytes = r.i32()?;
        m.topics = r.array(true, 3, |r| TopicSnapshot::read(r, v))?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.cluster_id = r.nullable_string(true)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.replica_id);
        w.i32(self.max_bytes);
        w.array(true, &self.topics, |w, x| x.write(w, v))?;
        let mut t = w.begin_tags();
        if self.cluster_id.is_some() {
            w.begin_tag(&mut t, 0);
            w.nullable_string(true, self.cluster_id.as_ref())?;
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
        m.partitions = r.array(true, 30, |r| PartitionSnapshot::read(r, v))?;
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
    pub partition: i32,
    /// Versions 0 to 1.
    pub current_leader_epoch: i32,
    /// Versions 0 to 1.
    pub snapshot_id: SnapshotId,
    /// Versions 0 to 1.
    pub position: i64,
    /// Version 1, tag 0.
    pub replica_directory_id: TopicId,
}

impl PartitionSnapshot {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = r.i32()?;
        m.current_leader_epoch = r.i32()?;
        m.snapshot_id = SnapshotId::read(r, v)?;
        m.position = r.i64()?;
        r.tags(|tag, r| {
            match tag {
                0 if v >= 1 => {
                    m.replica_directory_id = r.uuid()?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition);
        w.i32(self.current_leader_epoch);
        self.snapshot_id.write(w, v)?;
        w.i64(self.position);
        let mut t = w.begin_tags();
        if v >= 1 && !self.replica_directory_id.is_zero() {
            w.begin_tag(&mut t, 0);
            w.uuid(self.replica_directory_id);
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

impl Message for FetchSnapshotRequest {
    const NAME: &'static str = "FetchSnapshotRequest";
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

impl Request for FetchSnapshotRequest {
    const API_KEY: ApiKey = ApiKey::FetchSnapshot;
    type Response = super::fetch_snapshot_response::FetchSnapshotResponse;
}
