//! InitProducerId (22), versions 0 to 5: an identity for an idempotent producer. Transactional producers need a coordinator, which
//! this broker does not have yet, and are told so.

use super::Call;
use crate::model::ErrorCode;
use crate::protocol::generated::init_producer_id_request::InitProducerIdRequest;
use crate::protocol::generated::init_producer_id_response::InitProducerIdResponse;
use std::rc::Rc;

/// "None" in request and answer.
const NO_PRODUCER_ID: i64 = -1;
/// "None" in request and answer.
const NO_PRODUCER_EPOCH: i16 = -1;

pub(super) async fn handle(call: Rc<Call>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let answer = match check(&request) {
        Some(error) => Err(error),
        // A producer that asks to have its epoch raised gets a new id at epoch 0, as from Kafka: without a transactional id
        // nothing is known of the old one.
        None => call.context.shards.producer_id().await.map_err(|_| ErrorCode::CoordinatorNotAvailable),
    };
    match answer {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            ..Default::default()
        },
    }
}

/// What is wrong with the request, in Kafka's order.
fn check(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    let has_id = request.producer_id != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    if has_id != has_epoch {
        return Some(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        None => None,
        Some("") => Some(ErrorCode::InvalidRequest),
        Some(_) => Some(ErrorCode::CoordinatorNotAvailable),
    }
}
