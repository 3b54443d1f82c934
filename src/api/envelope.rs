//! Envelope (58), version 0, on controller listeners: a broker hands on what a client has asked it (KIP-590).
//!
//! What is inside is answered as if the client had asked here: by its address, its client id, in the version that it chose. The answer
//! comes back in an answer. If somebody else leads meanwhile, the broker is to ask that one, so the whole envelope is refused, whatever
//! the answer inside would have been.

use super::{Answer, ApiContext, Call, Connection};
use crate::io::Piece;
use crate::model::ErrorCode;
use crate::protocol::api::Audience;
use crate::protocol::frame::{RequestFrame, SIZE_PREFIX};
use crate::protocol::generated::{DefaultPrincipalData, EnvelopeRequest, EnvelopeResponse};
use crate::protocol::{ApiKey, Message as _};
use bytes::{Bytes, BytesMut};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// Versions of the bytes that say who asks; the version stands before them.
const PRINCIPAL_VERSION: i16 = 0;
const VERSION_BYTES: usize = 2;

pub(super) async fn handle(call: Rc<Call>, request: EnvelopeRequest) -> EnvelopeResponse {
    let refuse = |error: ErrorCode| EnvelopeResponse { error_code: error.code(), response_data: None };
    let Some(client) = address(&request.client_host_address) else { return refuse(ErrorCode::InvalidRequest) };
    if !is_principal(request.request_principal) {
        return refuse(ErrorCode::PrincipalDeserializationFailure);
    }
    let inner = match RequestFrame::parse_for(Audience::Controllers, request.request_data) {
        Ok(inner) if is_forwardable(inner.api_key) => inner,
        Ok(inner) => {
            tracing::warn!(api = inner.api_key.name(), "an envelope with something that is not to be handed on");
            return refuse(ErrorCode::InvalidRequest);
        }
        Err(error) => {
            tracing::warn!(%error, "an envelope with something that cannot be answered");
            return refuse(ErrorCode::InvalidRequest);
        }
    };
    let connection = Rc::new(Connection::handed_on(client, &call.connection));
    match answer(&call.context, &connection, inner).await {
        _ if connection.take_missed_controller() => refuse(ErrorCode::NotController),
        Some(answer) => EnvelopeResponse { error_code: ErrorCode::None.code(), response_data: Some(answer) },
        None => refuse(ErrorCode::InvalidRequest),
    }
}

/// The answer to what is inside, without its length.
async fn answer(context: &Rc<ApiContext>, connection: &Rc<Connection>, request: RequestFrame) -> Option<Bytes> {
    let finish = super::dispatch_at_controller(Call::new(context, connection, request));
    let pieces = match finish.await {
        Answer::Send(pieces) => pieces,
        Answer::Close(why) => {
            tracing::warn!(why, "what is in an envelope cannot be answered");
            return None;
        }
        Answer::Nothing => return None,
    };
    let mut whole = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
            Piece::File(_) => return None,
        }
    }
    Some(whole.freeze().split_off(SIZE_PREFIX))
}

/// What Kafka's brokers hand on, as far as it is served.
fn is_forwardable(api_key: ApiKey) -> bool {
    matches!(
        api_key,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments
            | ApiKey::AlterClientQuotas
            | ApiKey::DescribeQuorum
            | ApiKey::UpdateFeatures
            | ApiKey::UnregisterBroker
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
    )
}

/// The client's address; four or sixteen bytes.
fn address(bytes: &Bytes) -> Option<SocketAddr> {
    let v4 = <[u8; 4]>::try_from(&bytes[..]).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(&bytes[..]).map(IpAddr::from)).ok()?;
    Some(SocketAddr::new(address, 0))
}

/// Whether it is said well who asks. Everybody may do everything so far, so it does not matter who it is.
fn is_principal(bytes: Option<Bytes>) -> bool {
    let Some(mut bytes) = bytes.filter(|bytes| bytes.len() > VERSION_BYTES) else { return false };
    let version = bytes.split_to(VERSION_BYTES);
    let is_known = version[..] == PRINCIPAL_VERSION.to_be_bytes();
    is_known && DefaultPrincipalData::from_bytes(bytes, PRINCIPAL_VERSION).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_principals_are_read_as_kafka_writes_them() {
        assert_eq!(address(&Bytes::from_static(&[10, 1, 2, 3])), Some("10.1.2.3:0".parse().unwrap()));
        assert_eq!(address(&Bytes::from_static(&[0; 16])), Some("[::]:0".parse().unwrap()));
        assert_eq!(address(&Bytes::from_static(&[1, 2, 3])), None);
        let principal = |bytes: &'static [u8]| is_principal(Some(Bytes::from_static(bytes)));
        assert!(principal(b"\0\0\x05User\x0aANONYMOUS\0\0"));
        assert!(!principal(b"\0\x01\x05User\x0aANONYMOUS\0\0") && !principal(b"\0\0\x05Use") && !is_principal(None));
    }

    #[test]
    fn what_is_handed_on_is_served_by_controllers_and_is_not_an_envelope() {
        for &api_key in ApiKey::ALL.iter().filter(|api_key| is_forwardable(**api_key)) {
            assert!(Audience::Controllers.served().iter().any(|served| served.api_key == api_key), "{}", api_key.name());
        }
        assert!(!is_forwardable(ApiKey::Envelope) && !is_forwardable(ApiKey::BrokerHeartbeat));
    }
}
