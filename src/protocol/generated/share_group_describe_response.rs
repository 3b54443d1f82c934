//! ShareGroupDescribeResponse, version 1.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShareGroupDescribeResponse {
    /// Version 1.
    pub throttle_time_ms: i32,
    /// Version 1.
    pub groups: Vec<DescribedGroup>,
}

impl ShareGroupDescribeResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.groups = r.array(true, 20, |r| DescribedGroup::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.throttle_time_ms);
        w.array(true, &self.groups, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    /// Version 1.
    pub error_code: i16,
    /// Version 1.
    pub error_message: Option<StrBytes>,
    /// Version 1.
    pub group_id: StrBytes,
    /// Version 1.
    pub group_state: StrBytes,
    /// Version 1.
    pub group_epoch: i32,
    /// Version 1.
    pub assignment_epoch: i32,
    /// Version 1.
    pub assignor_name: StrBytes,
    /// Version 1.
    pub members: Vec<Member>,
    /// Version 1.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: StrBytes::EMPTY,
            group_state: StrBytes::EMPTY,
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: StrBytes::EMPTY,
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl DescribedGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.error_message = r.nullable_string(true)?;
        m.group_id = r.string(true)?;
        m.group_state = r.string(true)?;
        m.group_epoch = r.i32()?;
        m.assignment_epoch = r.i32()?;
        m.assignor_name = r.string(true)?;
        m.members = r.array(true, 12, |r| Member::read(r, v))?;
        m.authorized_operations = r.i32()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i16(self.error_code);
        w.nullable_string(true, self.error_message.as_ref())?;
        w.string(true, &self.group_id)?;
        w.string(true, &self.group_state)?;
        w.i32(self.group_epoch);
        w.i32(self.assignment_epoch);
        w.string(true, &self.assignor_name)?;
        w.array(true, &self.members, |w, x| x.write(w, v))?;
        w.i32(self.authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Member {
    /// Version 1.
    pub member_id: StrBytes,
    /// Version 1.
    pub rack_id: Option<StrBytes>,
    /// Version 1.
    pub member_epoch: i32,
    /// Version 1.
    pub client_id: StrBytes,
    /// Version 1.
    pub client_host: StrBytes,
    /// Version 1.
    pub subscribed_topic_names: Vec<StrBytes>,
    /// Version 1.
    pub assignment: Assignment,
}

impl Member {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string(true)?;
        m.rack_id = r.nullable_string(true)?;
        m.member_epoch = r.i32()?;
        m.client_id = r.string(true)?;
        m.client_host = r.string(true)?;
        m.subscribed_topic_names = r.array(true, 1, |r| r.string(true))?;
        m.assignment = Assignment::read(r, v)?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.member_id)?;
        w.nullable_string(true, self.rack_id.as_ref())?;
        w.i32(self.member_epoch);
        w.string(true, &self.client_id)?;
        w.string(true, &self.client_host)?;
        w.array(true, &self.subscribed_topic_names, |w, x| w.string(true, x))?;
        self.assignment.write(w, v)?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    /// Version 1.
    pub topic_id: TopicId,
    /// Version 1.
    pub topic_name: StrBytes,
    /// Version 1.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.topic_name = r.string(true)?;
        m.partitions = r.array(true, 4, |r| r.i32())?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.uuid(self.topic_id);
        w.string(true, &self.topic_name)?;
        w.array(true, &self.partitions, |w, x| Ok(w.i32(*x)))?;
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Assignment {
    /// Version 1.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_partitions = r.array(true, 19, |r| TopicPartitions::read(r, v))?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.array(true, &self.topic_partitions, |w, x| x.write(w, v))?;
        w.uvarint(0);
        Ok(())
    }
}

impl Message for ShareGroupDescribeResponse {
    const NAME: &'static str = "ShareGroupDescribeResponse";
    const MIN_VERSION: i16 = 1;
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
