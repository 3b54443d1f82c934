//! DescribeLogDirsResponse, versions 1 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeLogDirsResponse {
    /// Versions 1 to 4.
    pub throttle_time_ms: i32,
    /// Versions 3 to 4.
    pub error_code: i16,
    /// Versions 1 to 4.
    pub results: Vec<DescribeLogDirsResult>,
}

impl DescribeLogDirsResponse {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 3 {
            m.error_code = r.i16()?;
        }
        m.results = r.array(flex, 5, |r| DescribeLogDirsResult::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.throttle_time_ms);
        if v >= 3 {
            w.i16(self.error_code);
        }
        w.array(flex, &self.results, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeLogDirsResult {
    /// Versions 1 to 4.
    pub error_code: i16,
    /// Versions 1 to 4.
    pub log_dir: StrBytes,
    /// Versions 1 to 4.
    pub topics: Vec<DescribeLogDirsTopic>,
    /// Version 4.
    pub total_bytes: i64,
    /// Version 4.
    pub usable_bytes: i64,
}

impl Default for DescribeLogDirsResult {
    fn default() -> Self {
        Self { error_code: 0, log_dir: StrBytes::EMPTY, topics: Vec::new(), total_bytes: -1, usable_bytes: -1 }
    }
}

impl DescribeLogDirsResult {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.error_code = r.i16()?;
        m.log_dir = r.string(flex)?;
        m.topics = r.array(flex, 3, |r| DescribeLogDirsTopic::read(r, v))?;
        if v >= 4 {
            m.total_bytes = r.i64()?;
        }
        if v >= 4 {
            m.usable_bytes = r.i64()?;
        }
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i16(self.error_code);
        w.string(flex, &self.log_dir)?;
        w.array(flex, &self.topics, |w, x| x.write(w, v))?;
        if v >= 4 {
            w.i64(self.total_bytes);
        }
        if v >= 4 {
            w.i64(self.usable_bytes);
        }
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeLogDirsTopic {
    /// Versions 1 to 4.
    pub name: StrBytes,
    /// Versions 1 to 4.
    pub partitions: Vec<DescribeLogDirsPartition>,
}

impl DescribeLogDirsTopic {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.name = r.string(flex)?;
        m.partitions = r.array(flex, 21, |r| DescribeLogDirsPartition::read(r, v))?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.string(flex, &self.name)?;
        w.array(flex, &self.partitions, |w, x| x.write(w, v))?;
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DescribeLogDirsPartition {
    /// Versions 1 to 4.
    pub partition_index: i32,
    /// Versions 1 to 4.
    pub partition_size: i64,
    /// Versions 1 to 4.
    pub offset_lag: i64,
    /// Versions 1 to 4.
    pub is_future_key: bool,
}

impl DescribeLogDirsPartition {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let flex = v >= 2;
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.partition_size = r.i64()?;
        m.offset_lag = r.i64()?;
        m.is_future_key = r.bool()?;
        if flex {
            r.tags(|tag, r| Ok(false))?;
        }
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        let flex = v >= 2;
        w.i32(self.partition_index);
        w.i64(self.partition_size);
        w.i64(self.offset_lag);
        w.bool(self.is_future_key);
        if flex {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl Message for DescribeLogDirsResponse {
    const NAME: &'static str = "DescribeLogDirsResponse";
    const MIN_VERSION: i16 = 1;
    const MAX_VERSION: i16 = 4;
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
