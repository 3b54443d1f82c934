//! PartitionChangeRecord, versions 0 to 2.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionChangeRecord {
    /// Versions 0 to 2.
    pub partition_id: i32,
    /// Versions 0 to 2.
    pub topic_id: TopicId,
    /// Versions 0 to 2, tag 0.
    pub isr: Option<Vec<i32>>,
    /// Versions 0 to 2, tag 1.
    pub leader: i32,
    /// Versions 0 to 2, tag 2.
    pub replicas: Option<Vec<i32>>,
    /// Versions 0 to 2, tag 3.
    pub removing_replicas: Option<Vec<i32>>,
    /// Versions 0 to 2, tag 4.
    pub adding_replicas: Option<Vec<i32>>,
    /// Versions 0 to 2, tag 5.
    pub leader_recovery_state: i8,
    /// Versions 1 to 2, tag 8.
    pub directories: Option<Vec<TopicId>>,
    /// Version 2, tag 6.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Version 2, tag 7.
    pub last_known_elr: Option<Vec<i32>>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for PartitionChangeRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: TopicId::ZERO,
            isr: None,
            leader: -2,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl PartitionChangeRecord {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_id = r.i32()?;
        m.topic_id = r.uuid()?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.isr = r.nullable_array(true, 4, |r| r.i32())?;
                }
                1 => {
                    m.leader = r.i32()?;
                }
                2 => {
                    m.replicas = r.nullable_array(true, 4, |r| r.i32())?;
                }
                3 => {
                    m.removing_replicas = r.nullable_array(true, 4, |r| r.i32())?;
                }
                4 => {
                    m.adding_replicas = r.nullable_array(true, 4, |r| r.i32())?;
                }
                5 => {
                    m.leader_recovery_state = r.i8()?;
                }
                8 if v >= 1 => {
                    m.directories = r.nullable_array(true, 16, |r| r.uuid())?;
                }
                6 if v >= 2 => {
                    m.eligible_leader_replicas = r.nullable_array(true, 4, |r| r.i32())?;
                }
                7 if v >= 2 => {
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
        if !(v >= 1) && self.directories.is_some() {
            return lost("PartitionChangeRecord.Directories", v);
        }
        if !(v >= 2) && self.eligible_leader_replicas.is_some() {
            return lost("PartitionChangeRecord.EligibleLeaderReplicas", v);
        }
        if !(v >= 2) && self.last_known_elr.is_some() {
            return lost("PartitionChangeRecord.LastKnownElr", v);
        }
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if self.isr.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.nullable_array(true, self.isr.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if self.leader != -2 {
            w.unknown_tags(&mut t, &mut unknown, Some(1))?;
            w.begin_tag(&mut t, 1);
            w.i32(self.leader);
            w.end_tag(&t);
        }
        if self.replicas.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(2))?;
            w.begin_tag(&mut t, 2);
            w.nullable_array(true, self.replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if self.removing_replicas.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(3))?;
            w.begin_tag(&mut t, 3);
            w.nullable_array(true, self.removing_replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if self.adding_replicas.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(4))?;
            w.begin_tag(&mut t, 4);
            w.nullable_array(true, self.adding_replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if self.leader_recovery_state != -1 {
            w.unknown_tags(&mut t, &mut unknown, Some(5))?;
            w.begin_tag(&mut t, 5);
            w.i8(self.leader_recovery_state);
            w.end_tag(&t);
        }
        if v >= 2 && self.eligible_leader_replicas.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(6))?;
            w.begin_tag(&mut t, 6);
            w.nullable_array(true, self.eligible_leader_replicas.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if v >= 2 && self.last_known_elr.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(7))?;
            w.begin_tag(&mut t, 7);
            w.nullable_array(true, self.last_known_elr.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        if v >= 1 && self.directories.is_some() {
            w.unknown_tags(&mut t, &mut unknown, Some(8))?;
            w.begin_tag(&mut t, 8);
            w.nullable_array(true, self.directories.as_deref(), |w, x| Ok(w.uuid(*x)))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for PartitionChangeRecord {
    const NAME: &'static str = "PartitionChangeRecord";
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
