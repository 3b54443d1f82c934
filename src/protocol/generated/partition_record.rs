//! PartitionRecord, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionRecord {
    /// Versions 0 to 2.
    pub partition_id: i32,
    /// Versions 0 to 2.
    pub topic_id: TopicId,
    /// Versions 0 to 2.
    pub replicas: Vec<i32>,
    /// Versions 0 to 2.
    pub isr: Vec<i32>,
    /// Versions 0 to 2.
    pub removing_replicas: Vec<i32>,
    /// Versions 0 to 2.
    pub adding_replicas: Vec<i32>,
    /// Versions 0 to 2.
    pub leader: i32,
    /// Versions 0 to 2, tag 0.
    pub leader_recovery_state: i8,
    /// Versions 0 to 2.
    pub leader_epoch: i32,
    /// Versions 0 to 2.
    pub partition_epoch: i32,
    /// Versions 1 to 2.
    pub directories: Vec<TopicId>,
    /// Version 2, tag 1.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Version 2, tag 2.
    pub last_known_elr: Option<Vec<i32>>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for PartitionRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: TopicId::ZERO,
            replicas: Vec::new(),
            isr: Vec::new(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_recovery_state: 0,
            leader_epoch: -1,
            partition_epoch: -1,
            directories: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl PartitionRecord {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_id = r.i32()?;
        m.topic_id = r.uuid()?;
        m.replicas = r.array(true, 4, |r| r.i32())?;
        m.isr = r.array(true, 4, |r| r.i32())?;
        m.removing_replicas = r.array(true, 4, |r| r.i32())?;
        m.adding_replicas = r.array(true, 4, |r| r.i32())?;
        m.leader = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.partition_epoch = r.i32()?;
        if v >= 1 {
            m.directories = r.array(true, 16, |r| r.uuid())?;
        }
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.leader_recovery_state = r.i8()?;
                }
                1 if v >= 2 => {
                    m.eligible_leader_replicas = r.nullable_array(true, 4, |r| r.i32())?;
                }
                2 if v >= 2 => {
                    m.last_known_elr = r.nullable_array(true, 4, |r| r.i32())?;
                }
                _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_id);
        w.uuid(self.topic_id);
        w.array(true, &self.replicas, |w, x| Ok(w.i32(*x)))?;
        w.array(true, &self.isr, |w, x| Ok(w.i32(*x)))?;
        w.array(true, &self.removing_replicas, |w, x| Ok(w.i32(*x)))?;
        w.array(true, &self.adding_replicas, |w, x| Ok(w.i32(*x)))?;
        w.i32(self.leader);
        w.i32(self.leader_epoch);
        w.i32(self.partition_epoch);
        if !(v >= 1) && !self.directories.is_empty() {
            return lost("PartitionRecord.Directories", v);
        }
        if v >= 1 {
            w.array(true, &self.directories, |w, x| Ok(w.uuid(*x)))?;
        }
        if !(v >= 2) && self.eligible_leader_replicas.is_some() {
            return lost("PartitionRecord.EligibleLeaderReplicas", v);
        }
        if !(v >= 2) && self.last_known_elr.is_some() {
            return lost("PartitionRecord.LastKnownElr", v);
        }
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if self.leader_recovery_state != 0 {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.i8(self.leader_recovery_state);
            w.end_tag(&t);
        }
        if v >= 2 && self.eligible_leader_replicas.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(1))?;
            w.begin_tag(&mut t, 1);
            w.nullable_array(true, self.eligible_leader_replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if v >= 2 && self.last_known_elr.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(2))?;
            w.begin_tag(&mut t, 2);
            w.nullable_array(true, self.last_known_elr.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for PartitionRecord {
    const NAME: &'static str = "PartitionRecord";
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
}
