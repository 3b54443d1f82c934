//! What a client asks of the controller, handed on by a broker that does not lead the quorum: the request as the client wrote it, in an
//! Envelope (58) with who asked and from where; the answer in the answer goes back as it is (KIP-590).

use super::channel::Line;
use super::door::{PATIENCE, RETRY_PAUSE};
use crate::model::ErrorCode;
use crate::protocol::Message as _;
use crate::protocol::StrBytes;
use crate::protocol::generated::{DefaultPrincipalData, EnvelopeRequest};
use crate::shard::core::Core;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::net::IpAddr;
use std::rc::Rc;

/// Version of the bytes that say who asks, which stands before them.
const PRINCIPAL_VERSION: i16 = 0;

/// What becomes of a client's request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forwarded {
    /// This node leads: it is for it to answer.
    Here,
    /// The controller's answer: header and message.
    Answer(Bytes),
    /// No controller could be had in time.
    Nobody,
}

impl Core {
    /// Hands a request on. `frame` is all of it but its length, `client` the address that it came from.
    pub(super) async fn forward(self: &Rc<Self>, frame: Bytes, client: IpAddr) -> Forwarded {
        let until = self.io.now().after(PATIENCE);
        let envelope =
            EnvelopeRequest { request_data: frame, request_principal: Some(anonymous()), client_host_address: address(client) };
        loop {
            let new_leader = self.in_cluster().leader_changed.notified();
            if self.in_cluster().decides() {
                return Forwarded::Here;
            }
            let limit = self.in_cluster().answer_limit.min(until.since(self.io.now())).max(RETRY_PAUSE);
            match self.call_leader(Line::Clients, &envelope, limit).await {
                Ok(response) => match (ErrorCode::from_code(response.error_code), response.response_data) {
                    (Some(ErrorCode::None), Some(answer)) => return Forwarded::Answer(answer),
                    (Some(ErrorCode::NotController), _) => {}
                    (error, _) => {
                        tracing::error!(?error, "the controller does not take what a client asks");
                        return Forwarded::Nobody;
                    }
                },
                Err(error) => tracing::debug!(%error, "no answer from the controller"),
            }
            if self.is_stopping() || self.io.now() >= until {
                return Forwarded::Nobody;
            }
            self.wait_for_controller(new_leader).await;
        }
    }
}

/// Who asks where nobody has to say who he is, as Kafka's brokers write it.
fn anonymous() -> Bytes {
    let principal = DefaultPrincipalData {
        r#type: StrBytes::from_static("User"),
        name: StrBytes::from_static("ANONYMOUS"),
        ..DefaultPrincipalData::default()
    };
    let message = principal.to_bytes(PRINCIPAL_VERSION).expect("version 0 has all of it");
    let mut bytes = BytesMut::with_capacity(2 + message.len());
    bytes.put_i16(PRINCIPAL_VERSION);
    bytes.extend_from_slice(&message);
    bytes.freeze()
}

/// An address as its bytes; one of IPv4 stays that on a socket of IPv6.
fn address(client: IpAddr) -> Bytes {
    match client.to_canonical() {
        IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
        IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principal_and_the_address_are_as_kafka_writes_them() {
        assert_eq!(anonymous()[..], *b"\0\0\x05User\x0aANONYMOUS\0\0");
        assert_eq!(address("::ffff:10.1.2.3".parse().unwrap())[..], [10, 1, 2, 3]);
        assert_eq!(address("fe80::1".parse().unwrap()).len(), 16);
    }
}
