//! DescribeGroupsResponse, versions 0 to 6.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeGroupsResponse {
    /// Versions 1 to 6.
    pub throttle_time_ms: i32,
    /// Versions 0 to 6.
    pub groups: Vec<DescribedGroup>,
}

impl DescribeGroupsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.groups = r.array(flex, 12, |r| DescribedGroup::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.array(flex, &self.groups, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    /// Versions 0 to 6.
    pub error_code: i16,
    /// Version 6.
    pub error_message: Option<StrBytes>,
    /// Versions 0 to 6.
    pub group_id: StrBytes,
    /// Versions 0 to 6.
    pub group_state: StrBytes,
    /// Versions 0 to 6.
    pub protocol_type: StrBytes,
    /// Versions 0 to 6.
    pub protocol_data: StrBytes,
    /// Versions 0 to 6.
    pub members: Vec<DescribedGroupMember>,
    /// Versions 3 to 6.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: StrBytes::EMPTY,
            group_state: StrBytes::EMPTY,
            protocol_type: StrBytes::EMPTY,
            protocol_data: StrBytes::EMPTY,
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl DescribedGroup {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        if v >= 6 {
            m.error_message = r.nullable_string(flex)?;
        }
        m.group_id = r.string(flex)?;
        m.group_state = r.string(flex)?;
        m.protocol_type = r.string(flex)?;
        m.protocol_data = r.string(flex)?;
        m.members = r.array(flex, 7, |r| DescribedGroupMember::read(r, v))?;
        if v >= 3 {
            m.authorized_operations = r.i32()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.i16(self.error_code);
        if !(v >= 6) && self.error_message.is_some() {
            return lost("DescribedGroup.ErrorMessage", v);
        }
        if v >= 6 {
            w.nullable_string(flex, self.error_message.as_ref())?;
        }
        w.string(flex, &self.group_id)?;
        w.string(flex, &self.group_state)?;
        w.string(flex, &self.protocol_type)?;
        w.string(flex, &self.protocol_data)?;
        w.array(flex, &self.members, |w, x| x.write(w, v))?;
        if !(v >= 3) && self.authorized_operations != -2147483648 {
            return lost("DescribedGroup.AuthorizedOperations", v);
        }
        if v >= 3 {
            w.i32(self.authorized_operations);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribedGroupMember {
    /// Versions 0 to 6.
    pub member_id: StrBytes,
    /// Versions 4 to 6.
    pub group_instance_id: Option<StrBytes>,
    /// Versions 0 to 6.
    pub client_id: StrBytes,
    /// Versions 0 to 6.
    pub client_host: StrBytes,
    /// Versions 0 to 6.
    pub member_metadata: Bytes,
    /// Versions 0 to 6.
    pub member_assignment: Bytes,
}

impl DescribedGroupMember {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 5;
        let mut m = Self::default();
        m.member_id = r.string(flex)?;
        if v >= 4 {
            m.group_instance_id = r.nullable_string(flex)?;
        }
        m.client_id = r.string(flex)?;
        m.client_host = r.string(flex)?;
        m.member_metadata = r.bytes(flex)?;
        m.member_assignment = r.bytes(flex)?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 5;
        w.string(flex, &self.member_id)?;
        if v >= 4 {
            w.nullable_string(flex, self.group_instance_id.as_ref())?;
        }
        w.string(flex, &self.client_id)?;
        w.string(flex, &self.client_host)?;
        w.bytes(flex, &self.member_metadata)?;
        w.bytes(flex, &self.member_assignment)?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeGroupsResponse {
    const NAME: &'static str = "DescribeGroupsResponse";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 6;
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
