//! The records of `__cluster_metadata`, as one enum.

use super::prelude::*;
use super::*;

/// A record of `__cluster_metadata`; [`crate::protocol::metadata`] frames it.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord {
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    FenceBroker(FenceBrokerRecord),
    UnfenceBroker(UnfenceBrokerRecord),
    RemoveTopic(RemoveTopicRecord),
    DelegationToken(DelegationTokenRecord),
    UserScramCredential(UserScramCredentialRecord),
    FeatureLevel(FeatureLevelRecord),
    ClientQuota(ClientQuotaRecord),
    ProducerIds(ProducerIdsRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    AccessControlEntry(AccessControlEntryRecord),
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    NoOp(NoOpRecord),
    ZkMigrationState(ZkMigrationStateRecord),
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    RemoveDelegationToken(RemoveDelegationTokenRecord),
    RegisterController(RegisterControllerRecord),
    ClearElr(ClearElrRecord),
}

impl MetadataRecord {
    /// Number of the record's kind.
    pub fn api_key(&self) -> u32 {
        match self {
            Self::RegisterBroker(_) => 0,
            Self::UnregisterBroker(_) => 1,
            Self::Topic(_) => 2,
            Self::Partition(_) => 3,
            Self::Config(_) => 4,
            Self::PartitionChange(_) => 5,
            Self::FenceBroker(_) => 7,
            Self::UnfenceBroker(_) => 8,
            Self::RemoveTopic(_) => 9,
            Self::DelegationToken(_) => 10,
            Self::UserScramCredential(_) => 11,
            Self::FeatureLevel(_) => 12,
            Self::ClientQuota(_) => 14,
            Self::ProducerIds(_) => 15,
            Self::BrokerRegistrationChange(_) => 17,
            Self::AccessControlEntry(_) => 18,
            Self::RemoveAccessControlEntry(_) => 19,
            Self::NoOp(_) => 20,
            Self::ZkMigrationState(_) => 21,
            Self::RemoveUserScramCredential(_) => 22,
            Self::BeginTransaction(_) => 23,
            Self::EndTransaction(_) => 24,
            Self::AbortTransaction(_) => 25,
            Self::RemoveDelegationToken(_) => 26,
            Self::RegisterController(_) => 27,
            Self::ClearElr(_) => 28,
        }
    }

    /// Highest version of the record's kind.
    pub fn max_version(&self) -> i16 {
        match self {
            Self::RegisterBroker(_) => RegisterBrokerRecord::MAX_VERSION,
            Self::UnregisterBroker(_) => UnregisterBrokerRecord::MAX_VERSION,
            Self::Topic(_) => TopicRecord::MAX_VERSION,
            Self::Partition(_) => PartitionRecord::MAX_VERSION,
            Self::Config(_) => ConfigRecord::MAX_VERSION,
            Self::PartitionChange(_) => PartitionChangeRecord::MAX_VERSION,
            Self::FenceBroker(_) => FenceBrokerRecord::MAX_VERSION,
            Self::UnfenceBroker(_) => UnfenceBrokerRecord::MAX_VERSION,
            Self::RemoveTopic(_) => RemoveTopicRecord::MAX_VERSION,
            Self::DelegationToken(_) => DelegationTokenRecord::MAX_VERSION,
            Self::UserScramCredential(_) => UserScramCredentialRecord::MAX_VERSION,
            Self::FeatureLevel(_) => FeatureLevelRecord::MAX_VERSION,
            Self::ClientQuota(_) => ClientQuotaRecord::MAX_VERSION,
            Self::ProducerIds(_) => ProducerIdsRecord::MAX_VERSION,
            Self::BrokerRegistrationChange(_) => BrokerRegistrationChangeRecord::MAX_VERSION,
            Self::AccessControlEntry(_) => AccessControlEntryRecord::MAX_VERSION,
            Self::RemoveAccessControlEntry(_) => RemoveAccessControlEntryRecord::MAX_VERSION,
            Self::NoOp(_) => NoOpRecord::MAX_VERSION,
            Self::ZkMigrationState(_) => ZkMigrationStateRecord::MAX_VERSION,
            Self::RemoveUserScramCredential(_) => RemoveUserScramCredentialRecord::MAX_VERSION,
            Self::BeginTransaction(_) => BeginTransactionRecord::MAX_VERSION,
            Self::EndTransaction(_) => EndTransactionRecord::MAX_VERSION,
            Self::AbortTransaction(_) => AbortTransactionRecord::MAX_VERSION,
            Self::RemoveDelegationToken(_) => RemoveDelegationTokenRecord::MAX_VERSION,
            Self::RegisterController(_) => RegisterControllerRecord::MAX_VERSION,
            Self::ClearElr(_) => ClearElrRecord::MAX_VERSION,
        }
    }

    pub(crate) fn decode_body(r: &mut Reader, api_key: u32, version: i16) -> Result<Self, DecodeError> {
        Ok(match api_key {
            0 => Self::RegisterBroker(RegisterBrokerRecord::decode(r, version)?),
            1 => Self::UnregisterBroker(UnregisterBrokerRecord::decode(r, version)?),
            2 => Self::Topic(TopicRecord::decode(r, version)?),
            3 => Self::Partition(PartitionRecord::decode(r, version)?),
            4 => Self::Config(ConfigRecord::decode(r, version)?),
            5 => Self::PartitionChange(PartitionChangeRecord::decode(r, version)?),
            7 => Self::FenceBroker(FenceBrokerRecord::decode(r, version)?),
            8 => Self::UnfenceBroker(UnfenceBrokerRecord::decode(r, version)?),
            9 => Self::RemoveTopic(RemoveTopicRecord::decode(r, version)?),
            10 => Self::DelegationToken(DelegationTokenRecord::decode(r, version)?),
            11 => Self::UserScramCredential(UserScramCredentialRecord::decode(r, version)?),
            12 => Self::FeatureLevel(FeatureLevelRecord::decode(r, version)?),
            14 => Self::ClientQuota(ClientQuotaRecord::decode(r, version)?),
            15 => Self::ProducerIds(ProducerIdsRecord::decode(r, version)?),
            17 => Self::BrokerRegistrationChange(BrokerRegistrationChangeRecord::decode(r, version)?),
            18 => Self::AccessControlEntry(AccessControlEntryRecord::decode(r, version)?),
            19 => Self::RemoveAccessControlEntry(RemoveAccessControlEntryRecord::decode(r, version)?),
            20 => Self::NoOp(NoOpRecord::decode(r, version)?),
            21 => Self::ZkMigrationState(ZkMigrationStateRecord::decode(r, version)?),
            22 => Self::RemoveUserScramCredential(RemoveUserScramCredentialRecord::decode(r, version)?),
            23 => Self::BeginTransaction(BeginTransactionRecord::decode(r, version)?),
            24 => Self::EndTransaction(EndTransactionRecord::decode(r, version)?),
            25 => Self::AbortTransaction(AbortTransactionRecord::decode(r, version)?),
            26 => Self::RemoveDelegationToken(RemoveDelegationTokenRecord::decode(r, version)?),
            27 => Self::RegisterController(RegisterControllerRecord::decode(r, version)?),
            28 => Self::ClearElr(ClearElrRecord::decode(r, version)?),
            _ => return Err(DecodeError::UnknownKind(api_key as i32)),
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        match self {
            Self::RegisterBroker(m) => m.encode(w, version),
            Self::UnregisterBroker(m) => m.encode(w, version),
            Self::Topic(m) => m.encode(w, version),
            Self::Partition(m) => m.encode(w, version),
            Self::Config(m) => m.encode(w, version),
            Self::PartitionChange(m) => m.encode(w, version),
            Self::FenceBroker(m) => m.encode(w, version),
            Self::UnfenceBroker(m) => m.encode(w, version),
            Self::RemoveTopic(m) => m.encode(w, version),
            Self::DelegationToken(m) => m.encode(w, version),
            Self::UserScramCredential(m) => m.encode(w, version),
            Self::FeatureLevel(m) => m.encode(w, version),
            Self::ClientQuota(m) => m.encode(w, version),
            Self::ProducerIds(m) => m.encode(w, version),
            Self::BrokerRegistrationChange(m) => m.encode(w, version),
            Self::AccessControlEntry(m) => m.encode(w, version),
            Self::RemoveAccessControlEntry(m) => m.encode(w, version),
            Self::NoOp(m) => m.encode(w, version),
            Self::ZkMigrationState(m) => m.encode(w, version),
            Self::RemoveUserScramCredential(m) => m.encode(w, version),
            Self::BeginTransaction(m) => m.encode(w, version),
            Self::EndTransaction(m) => m.encode(w, version),
            Self::AbortTransaction(m) => m.encode(w, version),
            Self::RemoveDelegationToken(m) => m.encode(w, version),
            Self::RegisterController(m) => m.encode(w, version),
            Self::ClearElr(m) => m.encode(w, version),
        }
    }
}

impl From<RegisterBrokerRecord> for MetadataRecord {
    fn from(m: RegisterBrokerRecord) -> Self {
        Self::RegisterBroker(m)
    }
}

impl From<UnregisterBrokerRecord> for MetadataRecord {
    fn from(m: UnregisterBrokerRecord) -> Self {
        Self::UnregisterBroker(m)
    }
}

impl From<TopicRecord> for MetadataRecord {
    fn from(m: TopicRecord) -> Self {
        Self::Topic(m)
    }
}

impl From<PartitionRecord> for MetadataRecord {
    fn from(m: PartitionRecord) -> Self {
        Self::Partition(m)
    }
}

impl From<ConfigRecord> for MetadataRecord {
    fn from(m: ConfigRecord) -> Self {
        Self::Config(m)
    }
}

impl From<PartitionChangeRecord> for MetadataRecord {
    fn from(m: PartitionChangeRecord) -> Self {
        Self::PartitionChange(m)
    }
}

impl From<FenceBrokerRecord> for MetadataRecord {
    fn from(m: FenceBrokerRecord) -> Self {
        Self::FenceBroker(m)
    }
}

impl From<UnfenceBrokerRecord> for MetadataRecord {
    fn from(m: UnfenceBrokerRecord) -> Self {
        Self::UnfenceBroker(m)
    }
}

impl From<RemoveTopicRecord> for MetadataRecord {
    fn from(m: RemoveTopicRecord) -> Self {
        Self::RemoveTopic(m)
    }
}

impl From<DelegationTokenRecord> for MetadataRecord {
    fn from(m: DelegationTokenRecord) -> Self {
        Self::DelegationToken(m)
    }
}

impl From<UserScramCredentialRecord> for MetadataRecord {
    fn from(m: UserScramCredentialRecord) -> Self {
        Self::UserScramCredential(m)
    }
}

impl From<FeatureLevelRecord> for MetadataRecord {
    fn from(m: FeatureLevelRecord) -> Self {
        Self::FeatureLevel(m)
    }
}

impl From<ClientQuotaRecord> for MetadataRecord {
    fn from(m: ClientQuotaRecord) -> Self {
        Self::ClientQuota(m)
    }
}

impl From<ProducerIdsRecord> for MetadataRecord {
    fn from(m: ProducerIdsRecord) -> Self {
        Self::ProducerIds(m)
    }
}

impl From<BrokerRegistrationChangeRecord> for MetadataRecord {
    fn from(m: BrokerRegistrationChangeRecord) -> Self {
        Self::BrokerRegistrationChange(m)
    }
}

impl From<AccessControlEntryRecord> for MetadataRecord {
    fn from(m: AccessControlEntryRecord) -> Self {
        Self::AccessControlEntry(m)
    }
}

impl From<RemoveAccessControlEntryRecord> for MetadataRecord {
    fn from(m: RemoveAccessControlEntryRecord) -> Self {
        Self::RemoveAccessControlEntry(m)
    }
}

impl From<NoOpRecord> for MetadataRecord {
    fn from(m: NoOpRecord) -> Self {
        Self::NoOp(m)
    }
}

impl From<ZkMigrationStateRecord> for MetadataRecord {
    fn from(m: ZkMigrationStateRecord) -> Self {
        Self::ZkMigrationState(m)
    }
}

impl From<RemoveUserScramCredentialRecord> for MetadataRecord {
    fn from(m: RemoveUserScramCredentialRecord) -> Self {
        Self::RemoveUserScramCredential(m)
    }
}

impl From<BeginTransactionRecord> for MetadataRecord {
    fn from(m: BeginTransactionRecord) -> Self {
        Self::BeginTransaction(m)
    }
}

impl From<EndTransactionRecord> for MetadataRecord {
    fn from(m: EndTransactionRecord) -> Self {
        Self::EndTransaction(m)
    }
}

impl From<AbortTransactionRecord> for MetadataRecord {
    fn from(m: AbortTransactionRecord) -> Self {
        Self::AbortTransaction(m)
    }
}

impl From<RemoveDelegationTokenRecord> for MetadataRecord {
    fn from(m: RemoveDelegationTokenRecord) -> Self {
        Self::RemoveDelegationToken(m)
    }
}

impl From<RegisterControllerRecord> for MetadataRecord {
    fn from(m: RegisterControllerRecord) -> Self {
        Self::RegisterController(m)
    }
}

impl From<ClearElrRecord> for MetadataRecord {
    fn from(m: ClearElrRecord) -> Self {
        Self::ClearElr(m)
    }
}
