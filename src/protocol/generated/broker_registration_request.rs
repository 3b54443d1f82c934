//! BrokerRegistrationRequest, versions 0 to 4.

use super::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct BrokerRegistrationRequest {
    /// Versions 0 to 4.
    pub broker_id: i32,
    /// Versions 0 to 4.
    pub cluster_id: StrBytes,
    /// Versions 0 to 4.
    pub incarnation_id: TopicId,
    /// Versions 0 to 4.
    pub listeners: Vec<Listener>,
    /// Versions 0 to 4.
    pub features: Vec<Feature>,
    /// Versions 0 to 4.
    pub rack: Option<StrBytes>,
    /// Versions 1 to 4.
    pub is_migrating_zk_broker: bool,
    /// Versions 2 to 4.
    pub log_dirs: Vec<TopicId>,
    /// Versions 3 to 4.
    pub previous_broker_epoch: i64,
}

impl Default for BrokerRegistrationRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            cluster_id: StrBytes::EMPTY,
            incarnation_id: TopicId::ZERO,
            listeners: Vec::new(),
            features: Vec::new(),
            rack: Some(StrBytes::EMPTY),
            is_migrating_zk_broker: false,
            log_dirs: Vec::new(),
            previous_broker_epoch: -1,
        }
    }
}

impl BrokerRegistrationRequest {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.cluster_id = r.string(true)?;
        m.incarnation_id = r.uuid()?;
        m.listeners = r.array(true, 7, |r| Listener::read(r, v))?;
        m.features = r.array(true, 6, |r| Feature::read(r, v))?;
        m.rack = r.nullable_string(true)?;
        if v >= 1 {
            m.is_migrating_zk_broker = r.bool()?;
        }
        if v >= 2 {
            m.log_dirs = r.array(true, 16, |r| r.uuid())?;
        }
        if v >= 3 {
            m.previous_broker_epoch = r.i64()?;
        }
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        w.string(true, &self.cluster_id)?;
        w.uuid(self.incarnation_id);
        w.array(true, &self.listeners, |w, x| x.write(w, v))?;
        w.array(true, &self.features, |w, x| x.write(w, v))?;
        w.nullable_string(true, self.rack.as_ref())?;
        if !(v >= 1) && self.is_migrating_zk_broker {
            return lost("BrokerRegistrationRequest.IsMigratingZkBroker", v);
        }
        if v >= 1 {
            w.bool(self.is_migrating_zk_broker);
        }
        if v >= 2 {
            w.array(true, &self.log_dirs, |w, x| Ok(w.uuid(*x)))?;
        }
        if v >= 3 {
            w.i64(self.previous_broker_epoch);
        }
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Listener {
    /// Versions 0 to 4.
    pub name: StrBytes,
    /// Versions 0 to 4.
    pub host: StrBytes,
    /// Versions 0 to 4.
    pub port: u16,
    /// Versions 0 to 4.
    pub security_protocol: i16,
}

impl Listener {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.host = r.string(true)?;
        m.port = r.u16()?;
        m.security_protocol = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.string(true, &self.host)?;
        w.u16(self.port);
        w.i16(self.security_protocol);
        w.uvarint(0);
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Feature {
    /// Versions 0 to 4.
    pub name: StrBytes,
    /// Versions 0 to 4.
    pub min_supported_version: i16,
    /// Versions 0 to 4.
    pub max_supported_version: i16,
}

impl Feature {
    pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string(true)?;
        m.min_supported_version = r.i16()?;
        m.max_supported_version = r.i16()?;
        r.tags(|tag, r| Ok(false))?;
        Ok(m)
    }

    pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {
        w.string(true, &self.name)?;
        w.i16(self.min_supported_version);
        w.i16(self.max_supported_version);
        w.uvarint(0);
        Ok(())
    }
}

impl Message for BrokerRegistrationRequest {
    const NAME: &'static str = "BrokerRegistrationRequest";
    const MIN_VERSION: i16 = 0;
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
}

impl Request for BrokerRegistrationRequest {
    const API_KEY: ApiKey = ApiKey::BrokerRegistration;
    type Response = super::broker_registration_response::BrokerRegistrationResponse;
}
