//! UnregisterBroker (64), version 0: a broker does not come back. What it had counts no more, and it leaves the metadata.

use super::Call;
use super::context::text;
use crate::controller::{Command, Refusal, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::generated::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use std::rc::Rc;

pub(super) async fn handle(call: Rc<Call>, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let broker = BrokerId(request.broker_id);
    let outcome = if call.context.shards.is_alone() && broker == call.context.broker_id() {
        // Without heartbeats it would never be registered again.
        Err(Refusal::new(ErrorCode::UnsupportedVersion, "the only broker of a cluster cannot be unregistered while it runs"))
    } else {
        match call.decide(Command::UnregisterBroker { broker }).await {
            Ok(Reply::Unregistered(outcome)) => outcome,
            Ok(other) => unreachable!("UnregisterBroker was answered with {other:?}"),
            Err(undecided) => Err(undecided.refusal()),
        }
    };
    let Refusal(code, message) = outcome.err().unwrap_or(Refusal(ErrorCode::None, None));
    UnregisterBrokerResponse { error_code: code.code(), error_message: message.as_deref().map(text), ..Default::default() }
}
