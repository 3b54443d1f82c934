//! What the broker answers: one file a request kind.
//!
//! **The problem.** A request names partitions of any core, may be hostile, and its answer has to be what Apache Kafka 4.2 would
//! have said, error code by error code.
//!
//! **The design that follows.** [`dispatch`] takes a frame apart and calls the handler of its API. A handler gets a decoded message,
//! asks [`Shards`] (which splits by owner core), and returns the response message; encoding, framing and closing are done in `call`,
//! so that a handler is about its own rules only; what grows with the size of a request it does in [`Call::compute`]. Two handlers see more: `produce`, whose first stage runs in the order of requests
//! and whose answer comes later, and `fetch`, whose answer has pieces that leave by `sendfile`.
//!
//! **Controllers.** What a client asks of the controller is handed on to the node that leads the quorum ([`Call::at_controller`]), or
//! answered here if this one does. A listener of controllers has a table of its own ([`dispatch_at_controller`]), where nothing is handed
//! on: a node that does not lead says so.
//!
//! A new error code in Produce goes to `produce.rs`; a new API gets a file, a line in [`dispatch`]'s table and one in
//! `protocol::api::SERVED`.

mod admin;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod call;
mod client_quotas;
mod context;
mod delete_records;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod envelope;
mod fetch;
mod fetch_metadata;
mod find_coordinator;
mod groups;
mod init_producer_id;
mod internal_topics;
mod list_config_resources;
mod list_offsets;
mod metadata;
mod of_brokers;
mod offset_for_leader_epoch;
mod produce;
mod quorum_message;
mod raft_voters;
mod reassignments;
mod unregister_broker;
mod update_features;

pub use context::{ApiContext, Connection};

use crate::io::Piece;
use crate::model::ErrorCode;
use crate::protocol::api::Audience;
use crate::protocol::frame::{FrameError, RequestFrame};
use crate::protocol::{ApiKey, DecodeError};
use crate::shard::RAFT_API_KEY;
use bytes::Bytes;
use call::Call;
use internal_topics::is_internal;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// What becomes of a request.
pub enum Answer {
    /// A whole frame, length included.
    Send(Vec<Piece>),
    /// The client wants no answer (acks=0).
    Nothing,
    /// The connection cannot go on; the text says why, for the log.
    Close(String),
}

/// A dispatched request: completes with its answer, and has to be polled to the end.
pub type Finish = Pin<Box<dyn Future<Output = Answer>>>;

/// Number of the API of a frame; -1 of one that is too short to have any.
pub fn number_of(frame: &Bytes) -> i16 {
    frame.first_chunk::<2>().map_or(-1, |bytes| i16::from_be_bytes(*bytes))
}

/// Whether requests of this kind may be dispatched while earlier ones are unfinished: produces only, whose order in each partition
/// is the order of dispatch. Everything else could see or be seen out of order.
pub fn may_overlap(frame: &Bytes) -> bool {
    number_of(frame) == ApiKey::Produce as i16
}

/// Takes a request (a frame without its length). What has to happen in the order of requests has happened when this returns.
pub async fn dispatch(context: &Rc<ApiContext>, connection: &Rc<Connection>, frame: Bytes) -> Finish {
    let audience = connection.audience;
    if audience == Audience::Controllers && number_of(&frame) == RAFT_API_KEY {
        return Box::pin(quorum_message::answer(context.clone(), frame));
    }
    let parsed = match RequestFrame::parse_short(audience, &frame) {
        Err(FrameError::Header(DecodeError::Long)) => parse_long(context, audience, frame.clone()).await,
        parsed => parsed,
    };
    let request = match parsed {
        Ok(request) => request,
        Err(error) => return close(describe(connection, &error)),
    };
    let call = Call::new(context, connection, request);
    match (audience, call.request.api_key) {
        (Audience::Controllers, _) => dispatch_at_controller(call),
        (Audience::Clients, ApiKey::Produce) => produce::dispatch(call).await,
        (Audience::Clients, _) => dispatch_at_broker(call, frame),
    }
}

/// What clients and other brokers ask. `frame` is the request as it was written: what the controller is to answer is handed on so.
fn dispatch_at_broker(call: Call, frame: Bytes) -> Finish {
    match call.request.api_key {
        ApiKey::Fetch => Box::pin(fetch::answer(call)),
        ApiKey::ApiVersions => Box::pin(api_versions::answer(call)),
        ApiKey::ListOffsets => call.run(list_offsets::handle),
        ApiKey::Metadata => call.run(metadata::handle),
        ApiKey::CreateTopics => call.at_controller(frame, admin::create_topics),
        ApiKey::DeleteTopics => call.at_controller(frame, admin::delete_topics),
        ApiKey::CreatePartitions => call.at_controller(frame, admin::create_partitions),
        ApiKey::DeleteRecords => call.run(delete_records::handle),
        ApiKey::InitProducerId => call.run(init_producer_id::handle),
        ApiKey::OffsetCommit => call.run(groups::offset_commit::handle),
        ApiKey::OffsetFetch => call.run(groups::offset_fetch::handle),
        ApiKey::JoinGroup => call.run(groups::join_group::handle),
        ApiKey::Heartbeat => call.run(groups::heartbeat::handle),
        ApiKey::LeaveGroup => call.run(groups::leave_group::handle),
        ApiKey::SyncGroup => call.run(groups::sync_group::handle),
        ApiKey::DescribeGroups => call.run(groups::describe_groups::handle),
        ApiKey::ListGroups => call.run(groups::list_groups::handle),
        ApiKey::DeleteGroups => call.run(groups::delete_groups::handle),
        ApiKey::OffsetDelete => call.run(groups::offset_delete::handle),
        ApiKey::FindCoordinator => call.run(find_coordinator::handle),
        ApiKey::OffsetForLeaderEpoch => call.run(offset_for_leader_epoch::handle),
        ApiKey::DescribeClientQuotas => call.run(client_quotas::describe),
        ApiKey::AlterClientQuotas => call.at_controller(frame, client_quotas::alter),
        ApiKey::DescribeCluster => call.run(describe_cluster::handle),
        ApiKey::DescribeConfigs => call.run(describe_configs::handle),
        // The broker that is asked looks first, see there.
        ApiKey::AlterConfigs => call.run(alter_configs::legacy),
        ApiKey::IncrementalAlterConfigs => call.run(alter_configs::incremental),
        ApiKey::ListConfigResources => call.run(list_config_resources::handle),
        ApiKey::AlterReplicaLogDirs => call.run(alter_replica_log_dirs::handle),
        ApiKey::DescribeLogDirs => call.run(describe_log_dirs::handle),
        ApiKey::DescribeProducers => call.run(describe_producers::handle),
        ApiKey::DescribeQuorum => call.at_controller(frame, describe_quorum::handle),
        ApiKey::ElectLeaders => call.at_controller(frame, elect_leaders::handle),
        ApiKey::AlterPartitionReassignments => call.at_controller(frame, reassignments::alter),
        ApiKey::ListPartitionReassignments => call.at_controller(frame, reassignments::list),
        ApiKey::DescribeTopicPartitions => call.run(describe_topic_partitions::handle),
        ApiKey::UpdateFeatures => call.at_controller(frame, update_features::handle),
        ApiKey::UnregisterBroker => call.at_controller(frame, unregister_broker::handle),
        ApiKey::AddRaftVoter => call.at_controller(frame, raft_voters::add),
        ApiKey::RemoveRaftVoter => call.at_controller(frame, raft_voters::remove),
        other => close(format!("{} has no handler", other.name())),
    }
}

/// What other nodes ask this one's controller, what they hand on for clients, and what tools ask it (`--bootstrap-controller`).
fn dispatch_at_controller(call: Call) -> Finish {
    match call.request.api_key {
        ApiKey::Fetch => Box::pin(fetch_metadata::answer(call)),
        ApiKey::FetchSnapshot => call.run(fetch_metadata::snapshot),
        ApiKey::ApiVersions => Box::pin(api_versions::answer(call)),
        ApiKey::CreateTopics => call.run(admin::create_topics),
        ApiKey::DeleteTopics => call.run(admin::delete_topics),
        ApiKey::CreatePartitions => call.run(admin::create_partitions),
        ApiKey::AlterClientQuotas => call.run(client_quotas::alter),
        ApiKey::DescribeCluster => call.run(describe_cluster::of_controllers),
        ApiKey::DescribeConfigs => call.run(describe_configs::handle),
        ApiKey::AlterConfigs => call.run(alter_configs::legacy),
        ApiKey::IncrementalAlterConfigs => call.run(alter_configs::incremental),
        ApiKey::DescribeQuorum => call.run(describe_quorum::handle),
        ApiKey::ElectLeaders => call.run(elect_leaders::handle),
        ApiKey::AlterPartitionReassignments => call.run(reassignments::alter),
        ApiKey::ListPartitionReassignments => call.run(reassignments::list),
        ApiKey::UpdateFeatures => call.run(update_features::handle),
        ApiKey::UnregisterBroker => call.run(unregister_broker::handle),
        ApiKey::AddRaftVoter => call.run(raft_voters::add),
        ApiKey::RemoveRaftVoter => call.run(raft_voters::remove),
        ApiKey::UpdateRaftVoter => call.run(raft_voters::update),
        ApiKey::Envelope => call.run(envelope::handle),
        ApiKey::BrokerRegistration => call.run(of_brokers::register),
        ApiKey::BrokerHeartbeat => call.run(of_brokers::heartbeat),
        ApiKey::AlterPartition => call.run(of_brokers::alter_partition),
        ApiKey::AllocateProducerIds => call.run(of_brokers::allocate_producer_ids),
        ApiKey::AssignReplicasToDirs => call.run(of_brokers::assign_replicas_to_dirs),
        other => close(format!("{} has no handler", other.name())),
    }
}

/// Takes apart a header with more tagged fields than a core has time for.
async fn parse_long(context: &ApiContext, audience: Audience, frame: Bytes) -> Result<RequestFrame, FrameError> {
    let _turn = context.long_requests.enter().await;
    context.io.compute(true, move || RequestFrame::parse_for(audience, frame)).await
}

fn describe(connection: &Connection, error: &FrameError) -> String {
    format!("a request on listener {} cannot be answered: {error}", connection.listener)
}

fn close(why: String) -> Finish {
    Box::pin(std::future::ready(Answer::Close(why)))
}

/// Shards know topics by id; a client that named a topic gets an answer about a name.
fn for_names(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicId => ErrorCode::UnknownTopicOrPartition,
        other => other,
    }
}
