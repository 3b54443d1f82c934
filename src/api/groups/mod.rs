//! Groups: what members, administrators and consumers that assign themselves ask of the group coordinator.
//!
//! A handler here turns a message into what the machine understands ([`crate::group`]), asks it through the shards, and writes the
//! answer as its version has it. A request may wait for other members for minutes; what it holds meanwhile is its own connection.

pub(super) mod delete_groups;
pub(super) mod describe_groups;
pub(super) mod heartbeat;
pub(super) mod join_group;
pub(super) mod leave_group;
pub(super) mod list_groups;
pub(super) mod offset_commit;
pub(super) mod offset_delete;
pub(super) mod offset_fetch;
pub(super) mod sync_group;

use crate::api::Call;
use crate::group::{Answer, Caller, GroupId, InstanceId};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Things that one message asks of a coordinator; more are asked for one message after the other, so that nobody waits for all of them.
const MANY: usize = 1000;
/// Requests that are made in one go.
const BETWEEN_YIELDS: usize = 64;

/// Gives way to others, if it is time, now and then in a long row of requests: `index` is that of the one that was made last.
async fn give_way(call: &Call, index: usize) {
    if index % BETWEEN_YIELDS == BETWEEN_YIELDS - 1 {
        call.context.io.yield_if_needed().await;
    }
}

/// What is asked for, as one message after the other may ask for it. At least one: whether there is a group is told also to those who
/// name nothing in it.
fn parts<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    all.chunks(MANY).chain(all.is_empty().then_some(&[][..]))
}

/// Who a member says it is.
fn caller(group: &str, member: &str, instance: Option<&StrBytes>, generation: i32) -> Caller {
    Caller { group: GroupId::from(group), member: member.into(), instance: instance_id(instance), generation }
}

fn instance_id(instance: Option<&StrBytes>) -> Option<InstanceId> {
    instance.map(|instance| InstanceId::from(&**instance))
}

/// The answer to a request that is answered with nothing but an error.
fn done(answer: Result<Answer, ErrorCode>) -> ErrorCode {
    match answer {
        Ok(Answer::Done(error)) | Err(error) => error,
        Ok(other) => unreachable!("a request for an error was answered with {other:?}"),
    }
}

/// The address of a client as Java writes it.
fn client_host(peer: SocketAddr) -> Arc<str> {
    let groups = |address: Ipv6Addr| address.segments().map(|group| format!("{group:x}")).join(":");
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => format!("/{address}").into(),
        IpAddr::V6(address) => format!("/{}", groups(address)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_java_does() {
        let host = |peer: &str| client_host(peer.parse().unwrap()).to_string();
        assert_eq!(host("127.0.0.1:1"), "/127.0.0.1");
        assert_eq!(host("[::ffff:10.0.0.7]:1"), "/10.0.0.7");
        assert_eq!(host("[fe80::1:ab]:1"), "/fe80:0:0:0:0:0:1:ab");
    }
}
