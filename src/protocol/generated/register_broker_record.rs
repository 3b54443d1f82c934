//! RegisterBrokerRecord, versions 0 to 3.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct RegisterBrokerRecord {
    /// Versions 0 to 3.
    pub broker_id: i32,
    /// Versions 2 to 3.
    pub is_migrating_zk_broker: bool,
    /// Versions 0 to 3.
    pub incarnation_id: TopicId,
    /// Versions 0 to 3.
    pub broker_epoch: i64,
    /// Versions 0 to 3.
    pub end_points: Vec<BrokerEndpoint>,
    /// Versions 0 to 3.
    pub features: Vec<BrokerFeature>,
    /// Versions 0 to 3.
    pub rack: Option<StrBytes>,
    /// Versions 0 to 3.
    pub fenced: bool,
    /// Versions 1 to 3.
    pub in_controlled_shutdown: bool,
    /// Version 3, tag 0.
    pub log_dirs: Vec<TopicId>,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl Default for RegisterBrokerRecord {
    fn default() -> Self {
        Self {
            broker_id: 0,
            is_migrating_zk_broker: false,
            incarnation_id: TopicId::ZERO,
            broker_epoch: 0,
            end_points: Vec::new(),
            features: Vec::new(),
            rack: Some(StrBytes::EMPTY),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            unknown_tagged_fields: Vec::new(),
        }
    }
}

impl RegisterBrokerRecord {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        if v >= 2 {
            m.is_migrating_zk_broker = r.bool()?;
        }
        m.incarnation_id = r.uuid()?;
        m.broker_epoch = r.i64()?;
        m.end_points = r.array(true, 7, |r| BrokerEndpoint::read(r, v))?;
        m.features = r.array(true, 6, |r| BrokerFeature::read(r, v))?;
        m.rack = r.nullable_string(true)?;
        m.fenced = r.bool()?;
        if v >= 1 {
            m.in_controlled_shutdown = r.bool()?;
        }
        r.tags(|tag, r| {
            match tag {
                0 if v >= 3 => {
                    m.log_dirs = r.array(true, 16, |r| r.uuid())?;
                }
                _ => return r.keep_tag(tag, &mut m.unknown_tagged_fields),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        if !(v >= 2) && self.is_migrating_zk_broker {
            return lost("RegisterBrokerRecord.IsMigratingZkBroker", v);
        }
        if v >= 2 {
            w.bool(self.is_migrating_zk_broker);
        }
        w.uuid(self.incarnation_id);
        w.i64(self.broker_epoch);
        w.array(true, &self.end_points, |w, x| x.write(w, v))?;
        w.array(true, &self.features, |w, x| x.write(w, v))?;
        w.nullable_string(true, self.rack.as_ref())?;
        w.bool(self.fenced);
        if !(v >= 1) && self.in_controlled_shutdown {
            return lost("RegisterBrokerRecord.InControlledShutdown", v);
        }
        if v >= 1 {
            w.bool(self.in_controlled_shutdown);
        }
        if !(v >= 3) && !self.log_dirs.is_empty() {
            return lost("RegisterBrokerRecord.LogDirs", v);
        }
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        if v >= 3 && !self.log_dirs.is_empty() {
            w.unknown_tags(&mut t, &mut unknown, Some(0))?;
            w.begin_tag(&mut t, 0);
            w.array(true, &self.log_dirs, |w, x| Ok(w.uuid(*x)))?;
            w.end_tag(&t);
        }
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct BrokerEndpoint {
    /// Versions 0 to 3.
    pub name: StrBytes,
    /// Versions 0 to 3.
    pub host: StrBytes,
    /// Versions 0 to 3.
    pub port: u16,
    /// Versions 0 to 3.
    pub security_protocol: i16,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl BrokerEndpoint {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.host = r.string(true)?;
        m.port = r.u16()?;
        m.security_protocol = r.i16()?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.string(true, &self.host)?;
        w.u16(self.port);
        w.i16(self.security_protocol);
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct BrokerFeature {
    /// Versions 0 to 3.
    pub name: StrBytes,
    /// Versions 0 to 3.
    pub min_supported_version: i16,
    /// Versions 0 to 3.
    pub max_supported_version: i16,
    /// Tagged fields of a later Kafka, ascending.
    pub unknown_tagged_fields: Vec<(u32, Bytes)>,
}

impl BrokerFeature {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.min_supported_version = r.i16()?;
        m.max_supported_version = r.i16()?;
        r.tags(|tag, r| r.keep_tag(tag, &mut m.unknown_tagged_fields))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.i16(self.min_supported_version);
        w.i16(self.max_supported_version);
        let mut t = w.begin_tags();
        let mut unknown = self.unknown_tagged_fields.as_slice();
        w.unknown_tags(&mut t, &mut unknown, None)?;
        w.end_tags(t);
        Ok(())
    }
}

impl Message for RegisterBrokerRecord {
    const NAME: &'static str = "RegisterBrokerRecord";
    const MIN_VERSION: i16 = 0;
    const MAX_VERSION: i16 = 3;
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
