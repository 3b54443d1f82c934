//! The APIs of Kafka 4.2 and the versions in which their messages exist.

use super::prelude::*;

/// An API, by Kafka's name and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ApiKey {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    AlterReplicaLogDirs = 34,
    DescribeLogDirs = 35,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    CreateDelegationToken = 38,
    RenewDelegationToken = 39,
    ExpireDelegationToken = 40,
    DescribeDelegationToken = 41,
    DeleteGroups = 42,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    AlterPartitionReassignments = 45,
    ListPartitionReassignments = 46,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    DescribeQuorum = 55,
    AlterPartition = 56,
    UpdateFeatures = 57,
    Envelope = 58,
    FetchSnapshot = 59,
    DescribeCluster = 60,
    DescribeProducers = 61,
    BrokerRegistration = 62,
    BrokerHeartbeat = 63,
    UnregisterBroker = 64,
    DescribeTransactions = 65,
    ListTransactions = 66,
    AllocateProducerIds = 67,
    ConsumerGroupHeartbeat = 68,
    ConsumerGroupDescribe = 69,
    ControllerRegistration = 70,
    GetTelemetrySubscriptions = 71,
    PushTelemetry = 72,
    AssignReplicasToDirs = 73,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
    ShareGroupHeartbeat = 76,
    ShareGroupDescribe = 77,
    ShareFetch = 78,
    ShareAcknowledge = 79,
    AddRaftVoter = 80,
    RemoveRaftVoter = 81,
    UpdateRaftVoter = 82,
    InitializeShareGroupState = 83,
    ReadShareGroupState = 84,
    WriteShareGroupState = 85,
    DeleteShareGroupState = 86,
    ReadShareGroupStateSummary = 87,
    StreamsGroupHeartbeat = 88,
    StreamsGroupDescribe = 89,
    DescribeShareGroupOffsets = 90,
    AlterShareGroupOffsets = 91,
    DeleteShareGroupOffsets = 92,
}

/// What the schemas say of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersions {
    /// Lowest version.
    pub min: i16,
    /// Highest version.
    pub max: i16,
    /// First version with compact lengths and tagged fields (KIP-482).
    pub flexible_from: i16,
    /// The highest version may still change and is not to be advertised.
    pub latest_unstable: bool,
    /// Kafka's brokers answer it.
    pub broker: bool,
    /// Kafka's controllers answer it.
    pub controller: bool,
}

impl ApiKey {
    /// Every API, ascending.
    pub const ALL: &[Self] = &[
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::JoinGroup,
        Self::Heartbeat,
        Self::LeaveGroup,
        Self::SyncGroup,
        Self::DescribeGroups,
        Self::ListGroups,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::DeleteRecords,
        Self::InitProducerId,
        Self::OffsetForLeaderEpoch,
        Self::AddPartitionsToTxn,
        Self::AddOffsetsToTxn,
        Self::EndTxn,
        Self::WriteTxnMarkers,
        Self::TxnOffsetCommit,
        Self::DescribeAcls,
        Self::CreateAcls,
        Self::DeleteAcls,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::AlterReplicaLogDirs,
        Self::DescribeLogDirs,
        Self::SaslAuthenticate,
        Self::CreatePartitions,
        Self::CreateDelegationToken,
        Self::RenewDelegationToken,
        Self::ExpireDelegationToken,
        Self::DescribeDelegationToken,
        Self::DeleteGroups,
        Self::ElectLeaders,
        Self::IncrementalAlterConfigs,
        Self::AlterPartitionReassignments,
        Self::ListPartitionReassignments,
        Self::OffsetDelete,
        Self::DescribeClientQuotas,
        Self::AlterClientQuotas,
        Self::DescribeUserScramCredentials,
        Self::AlterUserScramCredentials,
        Self::DescribeQuorum,
        Self::AlterPartition,
        Self::UpdateFeatures,
        Self::Envelope,
        Self::FetchSnapshot,
        Self::DescribeCluster,
        Self::DescribeProducers,
        Self::BrokerRegistration,
        Self::BrokerHeartbeat,
        Self::UnregisterBroker,
        Self::DescribeTransactions,
        Self::ListTransactions,
        Self::AllocateProducerIds,
        Self::ConsumerGroupHeartbeat,
        Self::ConsumerGroupDescribe,
        Self::ControllerRegistration,
        Self::GetTelemetrySubscriptions,
        Self::PushTelemetry,
        Self::AssignReplicasToDirs,
        Self::ListConfigResources,
        Self::DescribeTopicPartitions,
        Self::ShareGroupHeartbeat,
        Self::ShareGroupDescribe,
        Self::ShareFetch,
        Self::ShareAcknowledge,
        Self::AddRaftVoter,
        Self::RemoveRaftVoter,
        Self::UpdateRaftVoter,
        Self::InitializeShareGroupState,
        Self::ReadShareGroupState,
        Self::WriteShareGroupState,
        Self::DeleteShareGroupState,
        Self::ReadShareGroupStateSummary,
        Self::StreamsGroupHeartbeat,
        Self::StreamsGroupDescribe,
        Self::DescribeShareGroupOffsets,
        Self::AlterShareGroupOffsets,
        Self::DeleteShareGroupOffsets,
    ];

    /// The API of this number, if there is one.
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => Self::Produce,
            1 => Self::Fetch,
            2 => Self::ListOffsets,
            3 => Self::Metadata,
            8 => Self::OffsetCommit,
            9 => Self::OffsetFetch,
            10 => Self::FindCoordinator,
            11 => Self::JoinGroup,
            12 => Self::Heartbeat,
            13 => Self::LeaveGroup,
            14 => Self::SyncGroup,
            15 => Self::DescribeGroups,
            16 => Self::ListGroups,
            17 => Self::SaslHandshake,
            18 => Self::ApiVersions,
            19 => Self::CreateTopics,
            20 => Self::DeleteTopics,
            21 => Self::DeleteRecords,
            22 => Self::InitProducerId,
            23 => Self::OffsetForLeaderEpoch,
            24 => Self::AddPartitionsToTxn,
            25 => Self::AddOffsetsToTxn,
            26 => Self::EndTxn,
            27 => Self::WriteTxnMarkers,
            28 => Self::TxnOffsetCommit,
            29 => Self::DescribeAcls,
            30 => Self::CreateAcls,
            31 => Self::DeleteAcls,
            32 => Self::DescribeConfigs,
            33 => Self::AlterConfigs,
            34 => Self::AlterReplicaLogDirs,
            35 => Self::DescribeLogDirs,
            36 => Self::SaslAuthenticate,
            37 => Self::CreatePartitions,
            38 => Self::CreateDelegationToken,
            39 => Self::RenewDelegationToken,
            40 => Self::ExpireDelegationToken,
            41 => Self::DescribeDelegationToken,
            42 => Self::DeleteGroups,
            43 => Self::ElectLeaders,
            44 => Self::IncrementalAlterConfigs,
            45 => Self::AlterPartitionReassignments,
            46 => Self::ListPartitionReassignments,
            47 => Self::OffsetDelete,
            48 => Self::DescribeClientQuotas,
            49 => Self::AlterClientQuotas,
            50 => Self::DescribeUserScramCredentials,
            51 => Self::AlterUserScramCredentials,
            55 => Self::DescribeQuorum,
            56 => Self::AlterPartition,
            57 => Self::UpdateFeatures,
            58 => Self::Envelope,
            59 => Self::FetchSnapshot,
            60 => Self::DescribeCluster,
            61 => Self::DescribeProducers,
            62 => Self::BrokerRegistration,
            63 => Self::BrokerHeartbeat,
            64 => Self::UnregisterBroker,
            65 => Self::DescribeTransactions,
            66 => Self::ListTransactions,
            67 => Self::AllocateProducerIds,
            68 => Self::ConsumerGroupHeartbeat,
            69 => Self::ConsumerGroupDescribe,
            70 => Self::ControllerRegistration,
            71 => Self::GetTelemetrySubscriptions,
            72 => Self::PushTelemetry,
            73 => Self::AssignReplicasToDirs,
            74 => Self::ListConfigResources,
            75 => Self::DescribeTopicPartitions,
            76 => Self::ShareGroupHeartbeat,
            77 => Self::ShareGroupDescribe,
            78 => Self::ShareFetch,
            79 => Self::ShareAcknowledge,
            80 => Self::AddRaftVoter,
            81 => Self::RemoveRaftVoter,
            82 => Self::UpdateRaftVoter,
            83 => Self::InitializeShareGroupState,
            84 => Self::ReadShareGroupState,
            85 => Self::WriteShareGroupState,
            86 => Self::DeleteShareGroupState,
            87 => Self::ReadShareGroupStateSummary,
            88 => Self::StreamsGroupHeartbeat,
            89 => Self::StreamsGroupDescribe,
            90 => Self::DescribeShareGroupOffsets,
            91 => Self::AlterShareGroupOffsets,
            92 => Self::DeleteShareGroupOffsets,
            _ => return None,
        })
    }

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::ListOffsets => "ListOffsets",
            Self::Metadata => "Metadata",
            Self::OffsetCommit => "OffsetCommit",
            Self::OffsetFetch => "OffsetFetch",
            Self::FindCoordinator => "FindCoordinator",
            Self::JoinGroup => "JoinGroup",
            Self::Heartbeat => "Heartbeat",
            Self::LeaveGroup => "LeaveGroup",
            Self::SyncGroup => "SyncGroup",
            Self::DescribeGroups => "DescribeGroups",
            Self::ListGroups => "ListGroups",
            Self::SaslHandshake => "SaslHandshake",
            Self::ApiVersions => "ApiVersions",
            Self::CreateTopics => "CreateTopics",
            Self::DeleteTopics => "DeleteTopics",
            Self::DeleteRecords => "DeleteRecords",
            Self::InitProducerId => "InitProducerId",
            Self::OffsetForLeaderEpoch => "OffsetForLeaderEpoch",
            Self::AddPartitionsToTxn => "AddPartitionsToTxn",
            Self::AddOffsetsToTxn => "AddOffsetsToTxn",
            Self::EndTxn => "EndTxn",
            Self::WriteTxnMarkers => "WriteTxnMarkers",
            Self::TxnOffsetCommit => "TxnOffsetCommit",
            Self::DescribeAcls => "DescribeAcls",
            Self::CreateAcls => "CreateAcls",
            Self::DeleteAcls => "DeleteAcls",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::AlterConfigs => "AlterConfigs",
            Self::AlterReplicaLogDirs => "AlterReplicaLogDirs",
            Self::DescribeLogDirs => "DescribeLogDirs",
            Self::SaslAuthenticate => "SaslAuthenticate",
            Self::CreatePartitions => "CreatePartitions",
            Self::CreateDelegationToken => "CreateDelegationToken",
            Self::RenewDelegationToken => "RenewDelegationToken",
            Self::ExpireDelegationToken => "ExpireDelegationToken",
            Self::DescribeDelegationToken => "DescribeDelegationToken",
            Self::DeleteGroups => "DeleteGroups",
            Self::ElectLeaders => "ElectLeaders",
            Self::IncrementalAlterConfigs => "IncrementalAlterConfigs",
            Self::AlterPartitionReassignments => "AlterPartitionReassignments",
            Self::ListPartitionReassignments => "ListPartitionReassignments",
            Self::OffsetDelete => "OffsetDelete",
            Self::DescribeClientQuotas => "DescribeClientQuotas",
            Self::AlterClientQuotas => "AlterClientQuotas",
            Self::DescribeUserScramCredentials => "DescribeUserScramCredentials",
            Self::AlterUserScramCredentials => "AlterUserScramCredentials",
            Self::DescribeQuorum => "DescribeQuorum",
            Self::AlterPartition => "AlterPartition",
            Self::UpdateFeatures => "UpdateFeatures",
            Self::Envelope => "Envelope",
            Self::FetchSnapshot => "FetchSnapshot",
            Self::DescribeCluster => "DescribeCluster",
            Self::DescribeProducers => "DescribeProducers",
            Self::BrokerRegistration => "BrokerRegistration",
            Self::BrokerHeartbeat => "BrokerHeartbeat",
            Self::UnregisterBroker => "UnregisterBroker",
            Self::DescribeTransactions => "DescribeTransactions",
            Self::ListTransactions => "ListTransactions",
            Self::AllocateProducerIds => "AllocateProducerIds",
            Self::ConsumerGroupHeartbeat => "ConsumerGroupHeartbeat",
            Self::ConsumerGroupDescribe => "ConsumerGroupDescribe",
            Self::ControllerRegistration => "ControllerRegistration",
            Self::GetTelemetrySubscriptions => "GetTelemetrySubscriptions",
            Self::PushTelemetry => "PushTelemetry",
            Self::AssignReplicasToDirs => "AssignReplicasToDirs",
            Self::ListConfigResources => "ListConfigResources",
            Self::DescribeTopicPartitions => "DescribeTopicPartitions",
            Self::ShareGroupHeartbeat => "ShareGroupHeartbeat",
            Self::ShareGroupDescribe => "ShareGroupDescribe",
            Self::ShareFetch => "ShareFetch",
            Self::ShareAcknowledge => "ShareAcknowledge",
            Self::AddRaftVoter => "AddRaftVoter",
            Self::RemoveRaftVoter => "RemoveRaftVoter",
            Self::UpdateRaftVoter => "UpdateRaftVoter",
            Self::InitializeShareGroupState => "InitializeShareGroupState",
            Self::ReadShareGroupState => "ReadShareGroupState",
            Self::WriteShareGroupState => "WriteShareGroupState",
            Self::DeleteShareGroupState => "DeleteShareGroupState",
            Self::ReadShareGroupStateSummary => "ReadShareGroupStateSummary",
            Self::StreamsGroupHeartbeat => "StreamsGroupHeartbeat",
            Self::StreamsGroupDescribe => "StreamsGroupDescribe",
            Self::DescribeShareGroupOffsets => "DescribeShareGroupOffsets",
            Self::AlterShareGroupOffsets => "AlterShareGroupOffsets",
            Self::DeleteShareGroupOffsets => "DeleteShareGroupOffsets",
        }
    }

    /// The versions of its messages.
    pub const fn schema(self) -> SchemaVersions {
        match self {
            Self::Produce => {
                SchemaVersions { min: 3, max: 13, flexible_from: 9, latest_unstable: false, broker: true, controller: false }
            }
            Self::Fetch => {
                SchemaVersions { min: 4, max: 18, flexible_from: 12, latest_unstable: false, broker: true, controller: true }
            }
            Self::ListOffsets => {
                SchemaVersions { min: 1, max: 11, flexible_from: 6, latest_unstable: false, broker: true, controller: false }
            }
            Self::Metadata => {
                SchemaVersions { min: 0, max: 13, flexible_from: 9, latest_unstable: false, broker: true, controller: false }
            }
            Self::OffsetCommit => {
                SchemaVersions { min: 2, max: 10, flexible_from: 8, latest_unstable: false, broker: true, controller: false }
            }
            Self::OffsetFetch => {
                SchemaVersions { min: 1, max: 10, flexible_from: 6, latest_unstable: false, broker: true, controller: false }
            }
            Self::FindCoordinator => {
                SchemaVersions { min: 0, max: 6, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::JoinGroup => {
                SchemaVersions { min: 0, max: 9, flexible_from: 6, latest_unstable: false, broker: true, controller: false }
            }
            Self::Heartbeat => {
                SchemaVersions { min: 0, max: 4, flexible_from: 4, latest_unstable: false, broker: true, controller: false }
            }
            Self::LeaveGroup => {
                SchemaVersions { min: 0, max: 5, flexible_from: 4, latest_unstable: false, broker: true, controller: false }
            }
            Self::SyncGroup => {
                SchemaVersions { min: 0, max: 5, flexible_from: 4, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeGroups => {
                SchemaVersions { min: 0, max: 6, flexible_from: 5, latest_unstable: false, broker: true, controller: false }
            }
            Self::ListGroups => {
                SchemaVersions { min: 0, max: 5, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::SaslHandshake => {
                SchemaVersions { min: 0, max: 1, flexible_from: 32767, latest_unstable: false, broker: true, controller: true }
            }
            Self::ApiVersions => {
                SchemaVersions { min: 0, max: 4, flexible_from: 3, latest_unstable: false, broker: true, controller: true }
            }
            Self::CreateTopics => {
                SchemaVersions { min: 2, max: 7, flexible_from: 5, latest_unstable: false, broker: true, controller: true }
            }
            Self::DeleteTopics => {
                SchemaVersions { min: 1, max: 6, flexible_from: 4, latest_unstable: false, broker: true, controller: true }
            }
            Self::DeleteRecords => {
                SchemaVersions { min: 0, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: false }
            }
            Self::InitProducerId => {
                SchemaVersions { min: 0, max: 6, flexible_from: 2, latest_unstable: true, broker: true, controller: false }
            }
            Self::OffsetForLeaderEpoch => {
                SchemaVersions { min: 2, max: 4, flexible_from: 4, latest_unstable: false, broker: true, controller: false }
            }
            Self::AddPartitionsToTxn => {
                SchemaVersions { min: 0, max: 5, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::AddOffsetsToTxn => {
                SchemaVersions { min: 0, max: 4, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::EndTxn => {
                SchemaVersions { min: 0, max: 5, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::WriteTxnMarkers => {
                SchemaVersions { min: 1, max: 2, flexible_from: 1, latest_unstable: false, broker: true, controller: false }
            }
            Self::TxnOffsetCommit => {
                SchemaVersions { min: 0, max: 5, flexible_from: 3, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeAcls => {
                SchemaVersions { min: 1, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::CreateAcls => {
                SchemaVersions { min: 1, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::DeleteAcls => {
                SchemaVersions { min: 1, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeConfigs => {
                SchemaVersions { min: 1, max: 4, flexible_from: 4, latest_unstable: false, broker: true, controller: true }
            }
            Self::AlterConfigs => {
                SchemaVersions { min: 0, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::AlterReplicaLogDirs => {
                SchemaVersions { min: 1, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeLogDirs => {
                SchemaVersions { min: 1, max: 4, flexible_from: 2, latest_unstable: false, broker: true, controller: false }
            }
            Self::SaslAuthenticate => {
                SchemaVersions { min: 0, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::CreatePartitions => {
                SchemaVersions { min: 0, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::CreateDelegationToken => {
                SchemaVersions { min: 1, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::RenewDelegationToken => {
                SchemaVersions { min: 1, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::ExpireDelegationToken => {
                SchemaVersions { min: 1, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeDelegationToken => {
                SchemaVersions { min: 1, max: 3, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::DeleteGroups => {
                SchemaVersions { min: 0, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: false }
            }
            Self::ElectLeaders => {
                SchemaVersions { min: 0, max: 2, flexible_from: 2, latest_unstable: false, broker: true, controller: true }
            }
            Self::IncrementalAlterConfigs => {
                SchemaVersions { min: 0, max: 1, flexible_from: 1, latest_unstable: false, broker: true, controller: true }
            }
            Self::AlterPartitionReassignments => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::ListPartitionReassignments => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::OffsetDelete => {
                SchemaVersions { min: 0, max: 0, flexible_from: 32767, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeClientQuotas => {
                SchemaVersions { min: 0, max: 1, flexible_from: 1, latest_unstable: false, broker: true, controller: false }
            }
            Self::AlterClientQuotas => {
                SchemaVersions { min: 0, max: 1, flexible_from: 1, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeUserScramCredentials => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::AlterUserScramCredentials => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeQuorum => {
                SchemaVersions { min: 0, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::AlterPartition => {
                SchemaVersions { min: 2, max: 3, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::UpdateFeatures => {
                SchemaVersions { min: 0, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::Envelope => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::FetchSnapshot => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::DescribeCluster => {
                SchemaVersions { min: 0, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeProducers => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::BrokerRegistration => {
                SchemaVersions { min: 0, max: 4, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::BrokerHeartbeat => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::UnregisterBroker => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::DescribeTransactions => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ListTransactions => {
                SchemaVersions { min: 0, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::AllocateProducerIds => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::ConsumerGroupHeartbeat => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ConsumerGroupDescribe => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ControllerRegistration => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::GetTelemetrySubscriptions => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::PushTelemetry => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::AssignReplicasToDirs => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::ListConfigResources => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeTopicPartitions => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ShareGroupHeartbeat => {
                SchemaVersions { min: 1, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ShareGroupDescribe => {
                SchemaVersions { min: 1, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ShareFetch => {
                SchemaVersions { min: 1, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ShareAcknowledge => {
                SchemaVersions { min: 1, max: 2, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::AddRaftVoter => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::RemoveRaftVoter => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: true }
            }
            Self::UpdateRaftVoter => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: false, controller: true }
            }
            Self::InitializeShareGroupState => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ReadShareGroupState => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::WriteShareGroupState => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::DeleteShareGroupState => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::ReadShareGroupStateSummary => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::StreamsGroupHeartbeat => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::StreamsGroupDescribe => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::DescribeShareGroupOffsets => {
                SchemaVersions { min: 0, max: 1, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::AlterShareGroupOffsets => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
            Self::DeleteShareGroupOffsets => {
                SchemaVersions { min: 0, max: 0, flexible_from: 0, latest_unstable: false, broker: true, controller: false }
            }
        }
    }
}
