//! Generated from Apache Kafka 4.2.0's message schemas by `tests/codegen`; not edited by hand.
//!
//! `FLUMEN_REGENERATE=1 cargo test --test codegen` writes it anew.

#![allow(clippy::all, unused_variables, unused_mut, unused_imports, unused_parens)]

mod api_key;
pub use api_key::*;
mod metadata_record;
pub use metadata_record::*;
mod coordinator_record;
pub use coordinator_record::*;
pub mod abort_transaction_record;
pub use abort_transaction_record::AbortTransactionRecord;
pub mod access_control_entry_record;
pub use access_control_entry_record::AccessControlEntryRecord;
pub mod add_offsets_to_txn_request;
pub use add_offsets_to_txn_request::AddOffsetsToTxnRequest;
pub mod add_offsets_to_txn_response;
pub use add_offsets_to_txn_response::AddOffsetsToTxnResponse;
pub mod add_partitions_to_txn_request;
pub use add_partitions_to_txn_request::AddPartitionsToTxnRequest;
pub mod add_partitions_to_txn_response;
pub use add_partitions_to_txn_response::AddPartitionsToTxnResponse;
pub mod add_raft_voter_request;
pub use add_raft_voter_request::AddRaftVoterRequest;
pub mod add_raft_voter_response;
pub use add_raft_voter_response::AddRaftVoterResponse;
pub mod allocate_producer_ids_request;
pub use allocate_producer_ids_request::AllocateProducerIdsRequest;
pub mod allocate_producer_ids_response;
pub use allocate_producer_ids_response::AllocateProducerIdsResponse;
pub mod alter_client_quotas_request;
pub use alter_client_quotas_request::AlterClientQuotasRequest;
pub mod alter_client_quotas_response;
pub use alter_client_quotas_response::AlterClientQuotasResponse;
pub mod alter_configs_request;
pub use alter_configs_request::AlterConfigsRequest;
pub mod alter_configs_response;
pub use alter_configs_response::AlterConfigsResponse;
pub mod alter_partition_reassignments_request;
pub use alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
pub mod alter_partition_reassignments_response;
pub use alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
pub mod alter_partition_request;
pub use alter_partition_request::AlterPartitionRequest;
pub mod alter_partition_response;
pub use alter_partition_response::AlterPartitionResponse;
pub mod alter_replica_log_dirs_request;
pub use alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
pub mod alter_replica_log_dirs_response;
pub use alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
pub mod alter_share_group_offsets_request;
pub use alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
pub mod alter_share_group_offsets_response;
pub use alter_share_group_offsets_response::AlterShareGroupOffsetsResponse;
pub mod alter_user_scram_credentials_request;
pub use alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
pub mod alter_user_scram_credentials_response;
pub use alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;
pub mod api_versions_request;
pub use api_versions_request::ApiVersionsRequest;
pub mod api_versions_response;
pub use api_versions_response::ApiVersionsResponse;
pub mod assign_replicas_to_dirs_request;
pub use assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
pub mod assign_replicas_to_dirs_response;
pub use assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
pub mod begin_transaction_record;
pub use begin_transaction_record::BeginTransactionRecord;
pub mod broker_heartbeat_request;
pub use broker_heartbeat_request::BrokerHeartbeatRequest;
pub mod broker_heartbeat_response;
pub use broker_heartbeat_response::BrokerHeartbeatResponse;
pub mod broker_registration_change_record;
pub use broker_registration_change_record::BrokerRegistrationChangeRecord;
pub mod broker_registration_request;
pub use broker_registration_request::BrokerRegistrationRequest;
pub mod broker_registration_response;
pub use broker_registration_response::BrokerRegistrationResponse;
pub mod clear_elr_record;
pub use clear_elr_record::ClearElrRecord;
pub mod client_quota_record;
pub use client_quota_record::ClientQuotaRecord;
pub mod config_record;
pub use config_record::ConfigRecord;
pub mod consumer_group_current_member_assignment_key;
pub use consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
pub mod consumer_group_current_member_assignment_value;
pub use consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
pub mod consumer_group_describe_request;
pub use consumer_group_describe_request::ConsumerGroupDescribeRequest;
pub mod consumer_group_describe_response;
pub use consumer_group_describe_response::ConsumerGroupDescribeResponse;
pub mod consumer_group_heartbeat_request;
pub use consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
pub mod consumer_group_heartbeat_response;
pub use consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
pub mod consumer_group_member_metadata_key;
pub use consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
pub mod consumer_group_member_metadata_value;
pub use consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue;
pub mod consumer_group_metadata_key;
pub use consumer_group_metadata_key::ConsumerGroupMetadataKey;
pub mod consumer_group_metadata_value;
pub use consumer_group_metadata_value::ConsumerGroupMetadataValue;
pub mod consumer_group_partition_metadata_key;
pub use consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey;
pub mod consumer_group_partition_metadata_value;
pub use consumer_group_partition_metadata_value::ConsumerGroupPartitionMetadataValue;
pub mod consumer_group_regular_expression_key;
pub use consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
pub mod consumer_group_regular_expression_value;
pub use consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
pub mod consumer_group_target_assignment_member_key;
pub use consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
pub mod consumer_group_target_assignment_member_value;
pub use consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue;
pub mod consumer_group_target_assignment_metadata_key;
pub use consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
pub mod consumer_group_target_assignment_metadata_value;
pub use consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
pub mod consumer_protocol_assignment;
pub use consumer_protocol_assignment::ConsumerProtocolAssignment;
pub mod consumer_protocol_subscription;
pub use consumer_protocol_subscription::ConsumerProtocolSubscription;
pub mod controller_registration_request;
pub use controller_registration_request::ControllerRegistrationRequest;
pub mod controller_registration_response;
pub use controller_registration_response::ControllerRegistrationResponse;
pub mod create_acls_request;
pub use create_acls_request::CreateAclsRequest;
pub mod create_acls_response;
pub use create_acls_response::CreateAclsResponse;
pub mod create_delegation_token_request;
pub use create_delegation_token_request::CreateDelegationTokenRequest;
pub mod create_delegation_token_response;
pub use create_delegation_token_response::CreateDelegationTokenResponse;
pub mod create_partitions_request;
pub use create_partitions_request::CreatePartitionsRequest;
pub mod create_partitions_response;
pub use create_partitions_response::CreatePartitionsResponse;
pub mod create_topics_request;
pub use create_topics_request::CreateTopicsRequest;
pub mod create_topics_response;
pub use create_topics_response::CreateTopicsResponse;
pub mod default_principal_data;
pub use default_principal_data::DefaultPrincipalData;
pub mod delegation_token_record;
pub use delegation_token_record::DelegationTokenRecord;
pub mod delete_acls_request;
pub use delete_acls_request::DeleteAclsRequest;
pub mod delete_acls_response;
pub use delete_acls_response::DeleteAclsResponse;
pub mod delete_groups_request;
pub use delete_groups_request::DeleteGroupsRequest;
pub mod delete_groups_response;
pub use delete_groups_response::DeleteGroupsResponse;
pub mod delete_records_request;
pub use delete_records_request::DeleteRecordsRequest;
pub mod delete_records_response;
pub use delete_records_response::DeleteRecordsResponse;
pub mod delete_share_group_offsets_request;
pub use delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
pub mod delete_share_group_offsets_response;
pub use delete_share_group_offsets_response::DeleteShareGroupOffsetsResponse;
pub mod delete_share_group_state_request;
pub use delete_share_group_state_request::DeleteShareGroupStateRequest;
pub mod delete_share_group_state_response;
pub use delete_share_group_state_response::DeleteShareGroupStateResponse;
pub mod delete_topics_request;
pub use delete_topics_request::DeleteTopicsRequest;
pub mod delete_topics_response;
pub use delete_topics_response::DeleteTopicsResponse;
pub mod describe_acls_request;
pub use describe_acls_request::DescribeAclsRequest;
pub mod describe_acls_response;
pub use describe_acls_response::DescribeAclsResponse;
pub mod describe_client_quotas_request;
pub use describe_client_quotas_request::DescribeClientQuotasRequest;
pub mod describe_client_quotas_response;
pub use describe_client_quotas_response::DescribeClientQuotasResponse;
pub mod describe_cluster_request;
pub use describe_cluster_request::DescribeClusterRequest;
pub mod describe_cluster_response;
pub use describe_cluster_response::DescribeClusterResponse;
pub mod describe_configs_request;
pub use describe_configs_request::DescribeConfigsRequest;
pub mod describe_configs_response;
pub use describe_configs_response::DescribeConfigsResponse;
pub mod describe_delegation_token_request;
pub use describe_delegation_token_request::DescribeDelegationTokenRequest;
pub mod describe_delegation_token_response;
pub use describe_delegation_token_response::DescribeDelegationTokenResponse;
pub mod describe_groups_request;
pub use describe_groups_request::DescribeGroupsRequest;
pub mod describe_groups_response;
pub use describe_groups_response::DescribeGroupsResponse;
pub mod describe_log_dirs_request;
pub use describe_log_dirs_request::DescribeLogDirsRequest;
pub mod describe_log_dirs_response;
pub use describe_log_dirs_response::DescribeLogDirsResponse;
pub mod describe_producers_request;
pub use describe_producers_request::DescribeProducersRequest;
pub mod describe_producers_response;
pub use describe_producers_response::DescribeProducersResponse;
pub mod describe_quorum_request;
pub use describe_quorum_request::DescribeQuorumRequest;
pub mod describe_quorum_response;
pub use describe_quorum_response::DescribeQuorumResponse;
pub mod describe_share_group_offsets_request;
pub use describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest;
pub mod describe_share_group_offsets_response;
pub use describe_share_group_offsets_response::DescribeShareGroupOffsetsResponse;
pub mod describe_topic_partitions_request;
pub use describe_topic_partitions_request::DescribeTopicPartitionsRequest;
pub mod describe_topic_partitions_response;
pub use describe_topic_partitions_response::DescribeTopicPartitionsResponse;
pub mod describe_transactions_request;
pub use describe_transactions_request::DescribeTransactionsRequest;
pub mod describe_transactions_response;
pub use describe_transactions_response::DescribeTransactionsResponse;
pub mod describe_user_scram_credentials_request;
pub use describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
pub mod describe_user_scram_credentials_response;
pub use describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;
pub mod elect_leaders_request;
pub use elect_leaders_request::ElectLeadersRequest;
pub mod elect_leaders_response;
pub use elect_leaders_response::ElectLeadersResponse;
pub mod end_transaction_record;
pub use end_transaction_record::EndTransactionRecord;
pub mod end_txn_marker;
pub use end_txn_marker::EndTxnMarker;
pub mod end_txn_request;
pub use end_txn_request::EndTxnRequest;
pub mod end_txn_response;
pub use end_txn_response::EndTxnResponse;
pub mod envelope_request;
pub use envelope_request::EnvelopeRequest;
pub mod envelope_response;
pub use envelope_response::EnvelopeResponse;
pub mod expire_delegation_token_request;
pub use expire_delegation_token_request::ExpireDelegationTokenRequest;
pub mod expire_delegation_token_response;
pub use expire_delegation_token_response::ExpireDelegationTokenResponse;
pub mod feature_level_record;
pub use feature_level_record::FeatureLevelRecord;
pub mod fence_broker_record;
pub use fence_broker_record::FenceBrokerRecord;
pub mod fetch_request;
pub use fetch_request::FetchRequest;
pub mod fetch_response;
pub use fetch_response::FetchResponse;
pub mod fetch_snapshot_request;
pub use fetch_snapshot_request::FetchSnapshotRequest;
pub mod fetch_snapshot_response;
pub use fetch_snapshot_response::FetchSnapshotResponse;
pub mod find_coordinator_request;
pub use find_coordinator_request::FindCoordinatorRequest;
pub mod find_coordinator_response;
pub use find_coordinator_response::FindCoordinatorResponse;
pub mod get_telemetry_subscriptions_request;
pub use get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
pub mod get_telemetry_subscriptions_response;
pub use get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
pub mod group_metadata_key;
pub use group_metadata_key::GroupMetadataKey;
pub mod group_metadata_value;
pub use group_metadata_value::GroupMetadataValue;
pub mod heartbeat_request;
pub use heartbeat_request::HeartbeatRequest;
pub mod heartbeat_response;
pub use heartbeat_response::HeartbeatResponse;
pub mod incremental_alter_configs_request;
pub use incremental_alter_configs_request::IncrementalAlterConfigsRequest;
pub mod incremental_alter_configs_response;
pub use incremental_alter_configs_response::IncrementalAlterConfigsResponse;
pub mod init_producer_id_request;
pub use init_producer_id_request::InitProducerIdRequest;
pub mod init_producer_id_response;
pub use init_producer_id_response::InitProducerIdResponse;
pub mod initialize_share_group_state_request;
pub use initialize_share_group_state_request::InitializeShareGroupStateRequest;
pub mod initialize_share_group_state_response;
pub use initialize_share_group_state_response::InitializeShareGroupStateResponse;
pub mod join_group_request;
pub use join_group_request::JoinGroupRequest;
pub mod join_group_response;
pub use join_group_response::JoinGroupResponse;
pub mod kraft_version_record;
pub use kraft_version_record::KRaftVersionRecord;
pub mod leader_change_message;
pub use leader_change_message::LeaderChangeMessage;
pub mod leave_group_request;
pub use leave_group_request::LeaveGroupRequest;
pub mod leave_group_response;
pub use leave_group_response::LeaveGroupResponse;
pub mod legacy_offset_commit_key;
pub use legacy_offset_commit_key::LegacyOffsetCommitKey;
pub mod legacy_offset_commit_value;
pub use legacy_offset_commit_value::LegacyOffsetCommitValue;
pub mod list_config_resources_request;
pub use list_config_resources_request::ListConfigResourcesRequest;
pub mod list_config_resources_response;
pub use list_config_resources_response::ListConfigResourcesResponse;
pub mod list_groups_request;
pub use list_groups_request::ListGroupsRequest;
pub mod list_groups_response;
pub use list_groups_response::ListGroupsResponse;
pub mod list_offsets_request;
pub use list_offsets_request::ListOffsetsRequest;
pub mod list_offsets_response;
pub use list_offsets_response::ListOffsetsResponse;
pub mod list_partition_reassignments_request;
pub use list_partition_reassignments_request::ListPartitionReassignmentsRequest;
pub mod list_partition_reassignments_response;
pub use list_partition_reassignments_response::ListPartitionReassignmentsResponse;
pub mod list_transactions_request;
pub use list_transactions_request::ListTransactionsRequest;
pub mod list_transactions_response;
pub use list_transactions_response::ListTransactionsResponse;
pub mod metadata_request;
pub use metadata_request::MetadataRequest;
pub mod metadata_response;
pub use metadata_response::MetadataResponse;
pub mod no_op_record;
pub use no_op_record::NoOpRecord;
pub mod offset_commit_key;
pub use offset_commit_key::OffsetCommitKey;
pub mod offset_commit_request;
pub use offset_commit_request::OffsetCommitRequest;
pub mod offset_commit_response;
pub use offset_commit_response::OffsetCommitResponse;
pub mod offset_commit_value;
pub use offset_commit_value::OffsetCommitValue;
pub mod offset_delete_request;
pub use offset_delete_request::OffsetDeleteRequest;
pub mod offset_delete_response;
pub use offset_delete_response::OffsetDeleteResponse;
pub mod offset_fetch_request;
pub use offset_fetch_request::OffsetFetchRequest;
pub mod offset_fetch_response;
pub use offset_fetch_response::OffsetFetchResponse;
pub mod offset_for_leader_epoch_request;
pub use offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
pub mod offset_for_leader_epoch_response;
pub use offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
pub mod partition_change_record;
pub use partition_change_record::PartitionChangeRecord;
pub mod partition_record;
pub use partition_record::PartitionRecord;
pub mod produce_request;
pub use produce_request::ProduceRequest;
pub mod produce_response;
pub use produce_response::ProduceResponse;
pub mod producer_ids_record;
pub use producer_ids_record::ProducerIdsRecord;
pub mod producer_snapshot;
pub use producer_snapshot::ProducerSnapshot;
pub mod push_telemetry_request;
pub use push_telemetry_request::PushTelemetryRequest;
pub mod push_telemetry_response;
pub use push_telemetry_response::PushTelemetryResponse;
pub mod read_share_group_state_request;
pub use read_share_group_state_request::ReadShareGroupStateRequest;
pub mod read_share_group_state_response;
pub use read_share_group_state_response::ReadShareGroupStateResponse;
pub mod read_share_group_state_summary_request;
pub use read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
pub mod read_share_group_state_summary_response;
pub use read_share_group_state_summary_response::ReadShareGroupStateSummaryResponse;
pub mod register_broker_record;
pub use register_broker_record::RegisterBrokerRecord;
pub mod register_controller_record;
pub use register_controller_record::RegisterControllerRecord;
pub mod remove_access_control_entry_record;
pub use remove_access_control_entry_record::RemoveAccessControlEntryRecord;
pub mod remove_delegation_token_record;
pub use remove_delegation_token_record::RemoveDelegationTokenRecord;
pub mod remove_raft_voter_request;
pub use remove_raft_voter_request::RemoveRaftVoterRequest;
pub mod remove_raft_voter_response;
pub use remove_raft_voter_response::RemoveRaftVoterResponse;
pub mod remove_topic_record;
pub use remove_topic_record::RemoveTopicRecord;
pub mod remove_user_scram_credential_record;
pub use remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
pub mod renew_delegation_token_request;
pub use renew_delegation_token_request::RenewDelegationTokenRequest;
pub mod renew_delegation_token_response;
pub use renew_delegation_token_response::RenewDelegationTokenResponse;
pub mod request_header;
pub use request_header::RequestHeader;
pub mod response_header;
pub use response_header::ResponseHeader;
pub mod sasl_authenticate_request;
pub use sasl_authenticate_request::SaslAuthenticateRequest;
pub mod sasl_authenticate_response;
pub use sasl_authenticate_response::SaslAuthenticateResponse;
pub mod sasl_handshake_request;
pub use sasl_handshake_request::SaslHandshakeRequest;
pub mod sasl_handshake_response;
pub use sasl_handshake_response::SaslHandshakeResponse;
pub mod share_acknowledge_request;
pub use share_acknowledge_request::ShareAcknowledgeRequest;
pub mod share_acknowledge_response;
pub use share_acknowledge_response::ShareAcknowledgeResponse;
pub mod share_fetch_request;
pub use share_fetch_request::ShareFetchRequest;
pub mod share_fetch_response;
pub use share_fetch_response::ShareFetchResponse;
pub mod share_group_current_member_assignment_key;
pub use share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey;
pub mod share_group_current_member_assignment_value;
pub use share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue;
pub mod share_group_describe_request;
pub use share_group_describe_request::ShareGroupDescribeRequest;
pub mod share_group_describe_response;
pub use share_group_describe_response::ShareGroupDescribeResponse;
pub mod share_group_heartbeat_request;
pub use share_group_heartbeat_request::ShareGroupHeartbeatRequest;
pub mod share_group_heartbeat_response;
pub use share_group_heartbeat_response::ShareGroupHeartbeatResponse;
pub mod share_group_member_metadata_key;
pub use share_group_member_metadata_key::ShareGroupMemberMetadataKey;
pub mod share_group_member_metadata_value;
pub use share_group_member_metadata_value::ShareGroupMemberMetadataValue;
pub mod share_group_metadata_key;
pub use share_group_metadata_key::ShareGroupMetadataKey;
pub mod share_group_metadata_value;
pub use share_group_metadata_value::ShareGroupMetadataValue;
pub mod share_group_state_partition_metadata_key;
pub use share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey;
pub mod share_group_state_partition_metadata_value;
pub use share_group_state_partition_metadata_value::ShareGroupStatePartitionMetadataValue;
pub mod share_group_target_assignment_member_key;
pub use share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey;
pub mod share_group_target_assignment_member_value;
pub use share_group_target_assignment_member_value::ShareGroupTargetAssignmentMemberValue;
pub mod share_group_target_assignment_metadata_key;
pub use share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey;
pub mod share_group_target_assignment_metadata_value;
pub use share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue;
pub mod share_snapshot_key;
pub use share_snapshot_key::ShareSnapshotKey;
pub mod share_snapshot_value;
pub use share_snapshot_value::ShareSnapshotValue;
pub mod share_update_key;
pub use share_update_key::ShareUpdateKey;
pub mod share_update_value;
pub use share_update_value::ShareUpdateValue;
pub mod snapshot_footer_record;
pub use snapshot_footer_record::SnapshotFooterRecord;
pub mod snapshot_header_record;
pub use snapshot_header_record::SnapshotHeaderRecord;
pub mod streams_group_current_member_assignment_key;
pub use streams_group_current_member_assignment_key::StreamsGroupCurrentMemberAssignmentKey;
pub mod streams_group_current_member_assignment_value;
pub use streams_group_current_member_assignment_value::StreamsGroupCurrentMemberAssignmentValue;
pub mod streams_group_describe_request;
pub use streams_group_describe_request::StreamsGroupDescribeRequest;
pub mod streams_group_describe_response;
pub use streams_group_describe_response::StreamsGroupDescribeResponse;
pub mod streams_group_heartbeat_request;
pub use streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
pub mod streams_group_heartbeat_response;
pub use streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
pub mod streams_group_member_metadata_key;
pub use streams_group_member_metadata_key::StreamsGroupMemberMetadataKey;
pub mod streams_group_member_metadata_value;
pub use streams_group_member_metadata_value::StreamsGroupMemberMetadataValue;
pub mod streams_group_metadata_key;
pub use streams_group_metadata_key::StreamsGroupMetadataKey;
pub mod streams_group_metadata_value;
pub use streams_group_metadata_value::StreamsGroupMetadataValue;
pub mod streams_group_target_assignment_member_key;
pub use streams_group_target_assignment_member_key::StreamsGroupTargetAssignmentMemberKey;
pub mod streams_group_target_assignment_member_value;
pub use streams_group_target_assignment_member_value::StreamsGroupTargetAssignmentMemberValue;
pub mod streams_group_target_assignment_metadata_key;
pub use streams_group_target_assignment_metadata_key::StreamsGroupTargetAssignmentMetadataKey;
pub mod streams_group_target_assignment_metadata_value;
pub use streams_group_target_assignment_metadata_value::StreamsGroupTargetAssignmentMetadataValue;
pub mod streams_group_topology_key;
pub use streams_group_topology_key::StreamsGroupTopologyKey;
pub mod streams_group_topology_value;
pub use streams_group_topology_value::StreamsGroupTopologyValue;
pub mod sync_group_request;
pub use sync_group_request::SyncGroupRequest;
pub mod sync_group_response;
pub use sync_group_response::SyncGroupResponse;
pub mod topic_record;
pub use topic_record::TopicRecord;
pub mod transaction_log_key;
pub use transaction_log_key::TransactionLogKey;
pub mod transaction_log_value;
pub use transaction_log_value::TransactionLogValue;
pub mod txn_offset_commit_request;
pub use txn_offset_commit_request::TxnOffsetCommitRequest;
pub mod txn_offset_commit_response;
pub use txn_offset_commit_response::TxnOffsetCommitResponse;
pub mod unfence_broker_record;
pub use unfence_broker_record::UnfenceBrokerRecord;
pub mod unregister_broker_record;
pub use unregister_broker_record::UnregisterBrokerRecord;
pub mod unregister_broker_request;
pub use unregister_broker_request::UnregisterBrokerRequest;
pub mod unregister_broker_response;
pub use unregister_broker_response::UnregisterBrokerResponse;
pub mod update_features_request;
pub use update_features_request::UpdateFeaturesRequest;
pub mod update_features_response;
pub use update_features_response::UpdateFeaturesResponse;
pub mod user_scram_credential_record;
pub use user_scram_credential_record::UserScramCredentialRecord;
pub mod voters_record;
pub use voters_record::VotersRecord;
pub mod write_share_group_state_request;
pub use write_share_group_state_request::WriteShareGroupStateRequest;
pub mod write_share_group_state_response;
pub use write_share_group_state_response::WriteShareGroupStateResponse;
pub mod write_txn_markers_request;
pub use write_txn_markers_request::WriteTxnMarkersRequest;
pub mod write_txn_markers_response;
pub use write_txn_markers_response::WriteTxnMarkersResponse;
pub mod zk_migration_state_record;
pub use zk_migration_state_record::ZkMigrationStateRecord;

mod prelude {
    pub(super) use super::ApiKey;
    pub(super) use crate::model::TopicId;
    pub(super) use crate::protocol::{DecodeError, EncodeError, Message, Reader, Records, Request, StrBytes, Writer};
    pub(super) use bytes::Bytes;

    #[cold]
    pub(super) fn lost(field: &'static str, version: i16) -> Result<(), EncodeError> {
        Err(EncodeError::FieldNotInVersion { field, version })
    }

    #[cold]
    pub(super) fn null(field: &'static str, version: i16) -> Result<(), EncodeError> {
        Err(EncodeError::NullNotInVersion { field, version })
    }
}

/// Calls the macro `$each` with every generated message type, separated by commas.
#[macro_export]
macro_rules! for_every_message {
    ($each:ident) => {
        $each! {
        AbortTransactionRecord,
        AccessControlEntryRecord,
        AddOffsetsToTxnRequest,
        AddOffsetsToTxnResponse,
        AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse,
        AddRaftVoterRequest,
        AddRaftVoterResponse,
        AllocateProducerIdsRequest,
        AllocateProducerIdsResponse,
        AlterClientQuotasRequest,
        AlterClientQuotasResponse,
        AlterConfigsRequest,
        AlterConfigsResponse,
        AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse,
        AlterPartitionRequest,
        AlterPartitionResponse,
        AlterReplicaLogDirsRequest,
        AlterReplicaLogDirsResponse,
        AlterShareGroupOffsetsRequest,
        AlterShareGroupOffsetsResponse,
        AlterUserScramCredentialsRequest,
        AlterUserScramCredentialsResponse,
        ApiVersionsRequest,
        ApiVersionsResponse,
        AssignReplicasToDirsRequest,
        AssignReplicasToDirsResponse,
        BeginTransactionRecord,
        BrokerHeartbeatRequest,
        BrokerHeartbeatResponse,
        BrokerRegistrationChangeRecord,
        BrokerRegistrationRequest,
        BrokerRegistrationResponse,
        ClearElrRecord,
        ClientQuotaRecord,
        ConfigRecord,
        ConsumerGroupCurrentMemberAssignmentKey,
        ConsumerGroupCurrentMemberAssignmentValue,
        ConsumerGroupDescribeRequest,
        ConsumerGroupDescribeResponse,
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
        ConsumerGroupMemberMetadataKey,
        ConsumerGroupMemberMetadataValue,
        ConsumerGroupMetadataKey,
        ConsumerGroupMetadataValue,
        ConsumerGroupPartitionMetadataKey,
        ConsumerGroupPartitionMetadataValue,
        ConsumerGroupRegularExpressionKey,
        ConsumerGroupRegularExpressionValue,
        ConsumerGroupTargetAssignmentMemberKey,
        ConsumerGroupTargetAssignmentMemberValue,
        ConsumerGroupTargetAssignmentMetadataKey,
        ConsumerGroupTargetAssignmentMetadataValue,
        ConsumerProtocolAssignment,
        ConsumerProtocolSubscription,
        ControllerRegistrationRequest,
        ControllerRegistrationResponse,
        CreateAclsRequest,
        CreateAclsResponse,
        CreateDelegationTokenRequest,
        CreateDelegationTokenResponse,
        CreatePartitionsRequest,
        CreatePartitionsResponse,
        CreateTopicsRequest,
        CreateTopicsResponse,
        DefaultPrincipalData,
        DelegationTokenRecord,
        DeleteAclsRequest,
        DeleteAclsResponse,
        DeleteGroupsRequest,
        DeleteGroupsResponse,
        DeleteRecordsRequest,
        DeleteRecordsResponse,
        DeleteShareGroupOffsetsRequest,
        DeleteShareGroupOffsetsResponse,
        DeleteShareGroupStateRequest,
        DeleteShareGroupStateResponse,
        DeleteTopicsRequest,
        DeleteTopicsResponse,
        DescribeAclsRequest,
        DescribeAclsResponse,
        DescribeClientQuotasRequest,
        DescribeClientQuotasResponse,
        DescribeClusterRequest,
        DescribeClusterResponse,
        DescribeConfigsRequest,
        DescribeConfigsResponse,
        DescribeDelegationTokenRequest,
        DescribeDelegationTokenResponse,
        DescribeGroupsRequest,
        DescribeGroupsResponse,
        DescribeLogDirsRequest,
        DescribeLogDirsResponse,
        DescribeProducersRequest,
        DescribeProducersResponse,
        DescribeQuorumRequest,
        DescribeQuorumResponse,
        DescribeShareGroupOffsetsRequest,
        DescribeShareGroupOffsetsResponse,
        DescribeTopicPartitionsRequest,
        DescribeTopicPartitionsResponse,
        DescribeTransactionsRequest,
        DescribeTransactionsResponse,
        DescribeUserScramCredentialsRequest,
        DescribeUserScramCredentialsResponse,
        ElectLeadersRequest,
        ElectLeadersResponse,
        EndTransactionRecord,
        EndTxnMarker,
        EndTxnRequest,
        EndTxnResponse,
        EnvelopeRequest,
        EnvelopeResponse,
        ExpireDelegationTokenRequest,
        ExpireDelegationTokenResponse,
        FeatureLevelRecord,
        FenceBrokerRecord,
        FetchRequest,
        FetchResponse,
        FetchSnapshotRequest,
        FetchSnapshotResponse,
        FindCoordinatorRequest,
        FindCoordinatorResponse,
        GetTelemetrySubscriptionsRequest,
        GetTelemetrySubscriptionsResponse,
        GroupMetadataKey,
        GroupMetadataValue,
        HeartbeatRequest,
        HeartbeatResponse,
        IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
        InitProducerIdRequest,
        InitProducerIdResponse,
        InitializeShareGroupStateRequest,
        InitializeShareGroupStateResponse,
        JoinGroupRequest,
        JoinGroupResponse,
        KRaftVersionRecord,
        LeaderChangeMessage,
        LeaveGroupRequest,
        LeaveGroupResponse,
        LegacyOffsetCommitKey,
        LegacyOffsetCommitValue,
        ListConfigResourcesRequest,
        ListConfigResourcesResponse,
        ListGroupsRequest,
        ListGroupsResponse,
        ListOffsetsRequest,
        ListOffsetsResponse,
        ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse,
        ListTransactionsRequest,
        ListTransactionsResponse,
        MetadataRequest,
        MetadataResponse,
        NoOpRecord,
        OffsetCommitKey,
        OffsetCommitRequest,
        OffsetCommitResponse,
        OffsetCommitValue,
        OffsetDeleteRequest,
        OffsetDeleteResponse,
        OffsetFetchRequest,
        OffsetFetchResponse,
        OffsetForLeaderEpochRequest,
        OffsetForLeaderEpochResponse,
        PartitionChangeRecord,
        PartitionRecord,
        ProduceRequest,
        ProduceResponse,
        ProducerIdsRecord,
        ProducerSnapshot,
        PushTelemetryRequest,
        PushTelemetryResponse,
        ReadShareGroupStateRequest,
        ReadShareGroupStateResponse,
        ReadShareGroupStateSummaryRequest,
        ReadShareGroupStateSummaryResponse,
        RegisterBrokerRecord,
        RegisterControllerRecord,
        RemoveAccessControlEntryRecord,
        RemoveDelegationTokenRecord,
        RemoveRaftVoterRequest,
        RemoveRaftVoterResponse,
        RemoveTopicRecord,
        RemoveUserScramCredentialRecord,
        RenewDelegationTokenRequest,
        RenewDelegationTokenResponse,
        RequestHeader,
        ResponseHeader,
        SaslAuthenticateRequest,
        SaslAuthenticateResponse,
        SaslHandshakeRequest,
        SaslHandshakeResponse,
        ShareAcknowledgeRequest,
        ShareAcknowledgeResponse,
        ShareFetchRequest,
        ShareFetchResponse,
        ShareGroupCurrentMemberAssignmentKey,
        ShareGroupCurrentMemberAssignmentValue,
        ShareGroupDescribeRequest,
        ShareGroupDescribeResponse,
        ShareGroupHeartbeatRequest,
        ShareGroupHeartbeatResponse,
        ShareGroupMemberMetadataKey,
        ShareGroupMemberMetadataValue,
        ShareGroupMetadataKey,
        ShareGroupMetadataValue,
        ShareGroupStatePartitionMetadataKey,
        ShareGroupStatePartitionMetadataValue,
        ShareGroupTargetAssignmentMemberKey,
        ShareGroupTargetAssignmentMemberValue,
        ShareGroupTargetAssignmentMetadataKey,
        ShareGroupTargetAssignmentMetadataValue,
        ShareSnapshotKey,
        ShareSnapshotValue,
        ShareUpdateKey,
        ShareUpdateValue,
        SnapshotFooterRecord,
        SnapshotHeaderRecord,
        StreamsGroupCurrentMemberAssignmentKey,
        StreamsGroupCurrentMemberAssignmentValue,
        StreamsGroupDescribeRequest,
        StreamsGroupDescribeResponse,
        StreamsGroupHeartbeatRequest,
        StreamsGroupHeartbeatResponse,
        StreamsGroupMemberMetadataKey,
        StreamsGroupMemberMetadataValue,
        StreamsGroupMetadataKey,
        StreamsGroupMetadataValue,
        StreamsGroupTargetAssignmentMemberKey,
        StreamsGroupTargetAssignmentMemberValue,
        StreamsGroupTargetAssignmentMetadataKey,
        StreamsGroupTargetAssignmentMetadataValue,
        StreamsGroupTopologyKey,
        StreamsGroupTopologyValue,
        SyncGroupRequest,
        SyncGroupResponse,
        TopicRecord,
        TransactionLogKey,
        TransactionLogValue,
        TxnOffsetCommitRequest,
        TxnOffsetCommitResponse,
        UnfenceBrokerRecord,
        UnregisterBrokerRecord,
        UnregisterBrokerRequest,
        UnregisterBrokerResponse,
        UpdateFeaturesRequest,
        UpdateFeaturesResponse,
        UserScramCredentialRecord,
        VotersRecord,
        WriteShareGroupStateRequest,
        WriteShareGroupStateResponse,
        WriteTxnMarkersRequest,
        WriteTxnMarkersResponse,
        ZkMigrationStateRecord,
        }
    };
}
