//! What brokers ask the controller for themselves, on controller listeners only: BrokerRegistration (62), versions 0 to 4, BrokerHeartbeat
//! (63), 0 and 1, AlterPartition (56), 2 and 3, AllocateProducerIds (67), 0, and AssignReplicasToDirs (73), 0.
//!
//! Whether the broker is who it says, in the epoch in which it is registered, is for the decision to check. A node that does not lead
//! says so, and the broker asks the one that does.

use super::Call;
use crate::controller::{BrokerRegistration, Command, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::generated::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest, AlterPartitionResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use std::rc::Rc;

pub(super) async fn register(call: Rc<Call>, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let answer = |error: ErrorCode, broker_epoch| BrokerRegistrationResponse {
        error_code: error.code(),
        broker_epoch,
        ..BrokerRegistrationResponse::default()
    };
    if request.is_migrating_zk_broker {
        // There is no ZooKeeper to come from.
        return answer(ErrorCode::BrokerIdNotRegistered, NO_EPOCH);
    }
    let (id, registration) = (request.broker_id, BrokerRegistration::from(&request));
    match call.decide(Command::RegisterBroker(registration)).await {
        Ok(Reply::Registered(Ok(epoch))) => {
            tracing::info!(broker = id, epoch, "a broker is registered");
            answer(ErrorCode::None, epoch)
        }
        Ok(Reply::Registered(Err(refusal))) => {
            tracing::warn!(broker = id, error = refusal.0.name(), why = refusal.1.as_deref(), "a broker is not registered");
            answer(refusal.0, NO_EPOCH)
        }
        Ok(other) => unreachable!("BrokerRegistration was answered with {other:?}"),
        Err(undecided) => answer(undecided.error(), NO_EPOCH),
    }
}

/// "No epoch" in an answer.
const NO_EPOCH: i64 = -1;

pub(super) async fn heartbeat(call: Rc<Call>, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let (broker, epoch) = (BrokerId(request.broker_id), request.broker_epoch);
    call.context.note_heartbeat(&call.connection, broker, epoch);
    match call.decide(Command::BrokerHeartbeat(request)).await {
        Ok(Reply::BrokerHeartbeat(response)) => response,
        Ok(other) => unreachable!("BrokerHeartbeat was answered with {other:?}"),
        Err(undecided) => BrokerHeartbeatResponse { error_code: undecided.error().code(), ..BrokerHeartbeatResponse::default() },
    }
}

pub(super) async fn alter_partition(call: Rc<Call>, request: AlterPartitionRequest) -> AlterPartitionResponse {
    match call.decide(Command::AlterPartition(request)).await {
        Ok(Reply::AlterPartition(response)) => response,
        Ok(other) => unreachable!("AlterPartition was answered with {other:?}"),
        Err(undecided) => AlterPartitionResponse { error_code: undecided.error().code(), ..AlterPartitionResponse::default() },
    }
}

pub(super) async fn assign_replicas_to_dirs(
    call: Rc<Call>,
    request: AssignReplicasToDirsRequest,
) -> AssignReplicasToDirsResponse {
    match call.decide(Command::AssignReplicasToDirs(request)).await {
        Ok(Reply::AssignReplicasToDirs(response)) => response,
        Ok(other) => unreachable!("AssignReplicasToDirs was answered with {other:?}"),
        Err(undecided) => {
            AssignReplicasToDirsResponse { error_code: undecided.error().code(), ..AssignReplicasToDirsResponse::default() }
        }
    }
}

pub(super) async fn allocate_producer_ids(call: Rc<Call>, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    let refuse = |error: ErrorCode| AllocateProducerIdsResponse { error_code: error.code(), ..Default::default() };
    let (broker, epoch) = (BrokerId(request.broker_id), request.broker_epoch);
    match call.decide(Command::AllocateProducerIds { broker, epoch }).await {
        Ok(Reply::ProducerIds(Ok(block))) => AllocateProducerIdsResponse {
            producer_id_start: block.first,
            producer_id_len: i32::try_from(block.count).unwrap_or(i32::MAX),
            ..Default::default()
        },
        Ok(Reply::ProducerIds(Err(error))) => refuse(error),
        Ok(other) => unreachable!("AllocateProducerIds was answered with {other:?}"),
        Err(undecided) => refuse(undecided.error()),
    }
}
