//! QuorumStateData, versions 0 to 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct QuorumStateData {
    /// Version 0.
    pub cluster_id: StrBytes,
    /// Versions 0 to 1.
    pub leader_id: i32,
    /// Versions 0 to 1.
    pub leader_epoch: i32,
    /// Versions 0 to 1.
    pub voted_id: i32,
    /// Version 1.
    pub voted_directory_id: TopicId,
    /// Version 0.
    pub applied_offset: i64,
    /// Version 0.
    pub current_voters: Option<Vec<Voter>>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for QuorumStateData {
    fn default() -> Self {
        Self {
            cluster_id: StrBytes::EMPTY,
            leader_id: -1,
            leader_epoch: -1,
            voted_id: -1,
            voted_directory_id: TopicId::ZERO,
            applied_offset: 0,
            current_voters: Some(Vec::new()),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl QuorumStateData {
    pub(super) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 0 {
            m.cluster_id = r.string(true)?;
        }
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.voted_id = r.i32()?;
        if v >= 1 {
            m.voted_directory_id = r.uuid()?;
        }
        if v <= 0 {
            m.applied_offset = r.i64()?;
        }
        if v <= 0 {
            m.current_voters = r.nullable_array(true, 5, |r| Voter::read(r, v))?;
        }
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(super) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        if !(v <= 0) && !self.cluster_id.is_empty() {
            return lost("QuorumStateData.ClusterId", v);
        }
        if v <= 0 {
            w.string(true, &self.cluster_id)?;
        }
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.i32(self.voted_id);
        if !(v >= 1) && !self.voted_directory_id.is_zero() {
            return lost("QuorumStateData.VotedDirectoryId", v);
        }
        if v >= 1 {
            w.uuid(self.voted_directory_id);
        }
        if !(v <= 0) && self.applied_offset != 0 {
            return lost("QuorumStateData.AppliedOffset", v);
        }
        if v <= 0 {
            w.i64(self.applied_offset);
        }
        if !(v <= 0) && self.current_voters.as_ref().is_none_or(|x| !x.is_empty()) {
            return lost("QuorumStateData.CurrentVoters", v);
        }
        if v <= 0 {
            w.nullable_array(true, self.current_voters.as_deref(), |w, x| x.write(w, v))?;
        }
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Voter {
    /// Version 0.
    pub voter_id: i32,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Voter {
    pub(super) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.voter_id = r.i32()?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(super) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.voter_id);
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for QuorumStateData {
    const NAME: &'static str = "QuorumStateData";
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
