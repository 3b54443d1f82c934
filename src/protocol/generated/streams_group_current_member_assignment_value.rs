//! StreamsGroupCurrentMemberAssignmentValue, version 0.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct StreamsGroupCurrentMemberAssignmentValue {
    /// Version 0.
    pub member_epoch: i32,
    /// Version 0.
    pub previous_member_epoch: i32,
    /// Version 0.
    pub state: i8,
    /// Version 0.
    pub active_tasks: Vec<TaskIds>,
    /// Version 0.
    pub standby_tasks: Vec<TaskIds>,
    /// Version 0.
    pub warmup_tasks: Vec<TaskIds>,
    /// Version 0.
    pub active_tasks_pending_revocation: Vec<TaskIds>,
    /// Version 0.
    pub standby_tasks_pending_revocation: Vec<TaskIds>,
    /// Version 0.
    pub warmup_tasks_pending_revocation: Vec<TaskIds>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl StreamsGroupCurrentMemberAssignmentValue {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_epoch = r.i32()?;
        m.previous_member_epoch = r.i32()?;
        m.state = r.i8()?;
        m.active_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.standby_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.warmup_tasks = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.active_tasks_pending_revocation = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.standby_tasks_pending_revocation = r.array(true, 3, |r| TaskIds::read(r, v))?;
        m.warmup_tasks_pending_revocation = r.array(true, 3, |r| TaskIds::read(r, v))?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.member_epoch);
        w.i32(self.previous_member_epoch);
        w.i8(self.state);
        w.array(true, &self.active_tasks, |w, x| x.write(w, v))?;
        w.array(true, &self.standby_tasks, |w, x| x.write(w, v))?;
        w.array(true, &self.warmup_tasks, |w, x| x.write(w, v))?;
        w.array(true, &self.active_tasks_pending_revocation, |w, x| x.write(w, v))?;
        w.array(true, &self.standby_tasks_pending_revocation, |w, x| x.write(w, v))?;
        w.array(true, &self.warmup_tasks_pending_revocation, |w, x| x.write(w, v))?;
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskIds {
    /// Version 0.
    pub subtopology_id: StrBytes,
    /// Version 0.
    pub partitions: Vec<i32>,
    /// Version 0, tag 0.
    pub assignment_epochs: Option<Vec<i32>>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for TaskIds {
    fn default() -> Self {
        Self {
            subtopology_id: StrBytes::EMPTY,
            partitions: Vec::new(),
            assignment_epochs: Some(Vec::new()),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl TaskIds {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = r.string(true)?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| {
            match tag {
                0 => {
                    m.assignment_epochs = r.nullable_array(true, 4, |r| r.i32())?;
                }
                _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.subtopology_id)?;
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if self.assignment_epochs.as_ref().is_none_or(|x| !x.is_empty()) {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.nullable_array(true, self.assignment_epochs.as_deref(), |w, x| Ok(w.i32(*x)))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for StreamsGroupCurrentMemberAssignmentValue {
    const NAME: &'static str = "StreamsGroupCurrentMemberAssignmentValue";
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
}
