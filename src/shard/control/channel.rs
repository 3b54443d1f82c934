//! Connections to the controller that leads.
//!
//! A connection answers in the order of requests, so what must not wait for other things has one of its own ([`Line`]): a heartbeat
//! behind the creation of a thousand topics would end a session. Whoever calls learns that there is no answer, and decides himself
//! whether and when to ask again: by then the leader may be another.

use super::Cluster;
use crate::client::{CallError, Connection};
use crate::io::Turnstile;
use crate::model::BrokerId;
use crate::protocol::Request;
use crate::shard::core::Core;
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How long a connection may take at most to somebody who is one of several that may know more.
pub(super) const ASK_AROUND_LIMIT: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// Registration and heartbeats.
    Life,
    /// The metadata.
    Metadata,
    /// In-sync replicas and directories of partitions, producer ids.
    Partitions,
    /// What clients ask.
    Clients,
}

/// A connection for each [`Line`], as far as there are some.
#[derive(Default)]
pub(in crate::shard) struct Lines([OneLine; 4]);

#[derive(Default)]
struct OneLine {
    open: RefCell<Option<(BrokerId, Connection)>>,
    opening: Turnstile,
}

/// Why there is no answer. What was asked may have been done or not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nobody is known to lead, or this node does so itself.
    #[error("no other controller is known to lead")]
    NoLeader,
    /// Where the leader is, nobody has said.
    #[error("controller {0} leads, and nobody has said where it is")]
    NoEndpoint(BrokerId),
    /// The name of its host cannot be resolved.
    #[error("{host}: {error}")]
    NoAddress {
        /// The name.
        host: String,
        /// What the resolver said.
        error: std::io::Error,
    },
    /// It does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

impl Core {
    pub(super) fn in_cluster(&self) -> &Rc<Cluster> {
        self.cluster.get().expect("this node is in a cluster")
    }

    /// Asks the leading controller once, in the newest version that it knows. Both to connect and to be answered may take so long.
    pub(super) async fn call_leader<R: Request>(
        &self,
        line: Line,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response, Unanswered> {
        let leader = self.another_leader()?;
        let asked = async {
            let connection = self.line_to(leader, line, limit).await?;
            let version = connection.version_of::<R>()?;
            Ok(connection.call(version, request, limit).await?)
        };
        match select(pin!(asked), pin!(self.until_led_by_another(leader))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                // Whoever led may never answer: it may be paused, or cut off. The connection ends with the last who waits for it.
                let open = &self.in_cluster().lines.0[line as usize].open;
                let is_to_the_old = open.borrow().as_ref().is_some_and(|(to, _)| *to == leader);
                if is_to_the_old {
                    open.take();
                }
                Err(Unanswered::NoLeader)
            }
        }
    }

    /// Forgets a connection that was closed. Whether there was one.
    pub(super) fn take_ended(&self, line: Line) -> bool {
        let open = &self.in_cluster().lines.0[line as usize].open;
        let has_ended = open.borrow().as_ref().is_some_and(|(_, connection)| connection.closed().is_some());
        if has_ended {
            open.take();
        }
        has_ended
    }

    /// Returns when the connection that is open now is closed.
    pub(super) async fn until_ended(&self, line: Line) {
        let end = self.in_cluster().lines.0[line as usize].open.borrow().as_ref().map(|(_, connection)| connection.end());
        match end {
            Some(end) => end.await,
            None => std::future::pending().await,
        }
    }

    async fn until_led_by_another(&self, leader: BrokerId) {
        let cluster = self.in_cluster();
        loop {
            let changed = cluster.leader_changed.notified();
            if cluster.leader().0.is_some_and(|now| now != leader) {
                return;
            }
            changed.await;
        }
    }

    /// Who leads, if that is another node.
    fn another_leader(&self) -> Result<BrokerId, Unanswered> {
        let cluster = self.in_cluster();
        cluster.leader().0.filter(|leader| *leader != cluster.node).ok_or(Unanswered::NoLeader)
    }

    /// An open connection to the leader, which is made within `limit`.
    pub(super) async fn line_to_leader(&self, line: Line, limit: Duration) -> Result<Connection, Unanswered> {
        self.line_to(self.another_leader()?, line, limit).await
    }

    async fn line_to(&self, leader: BrokerId, line: Line, limit: Duration) -> Result<Connection, Unanswered> {
        let cluster = self.in_cluster();
        let one = &cluster.lines.0[line as usize];
        let _turn = one.opening.enter().await;
        if self.is_stopping() {
            return Err(Unanswered::Stopping);
        }
        let open = one.open.borrow().as_ref().filter(|(to, found)| *to == leader && found.closed().is_none()).cloned();
        if let Some((_, open)) = open {
            return Ok(open);
        }
        one.open.take();
        let (host, port) = cluster.endpoint_of(leader).ok_or(Unanswered::NoEndpoint(leader))?;
        let connection = self.connect(&host, port, limit).await?;
        *one.open.borrow_mut() = Some((leader, connection.clone()));
        Ok(connection)
    }

    /// Connects to the first address of a host that answers. All of them together may take `limit`, and what the settings grant.
    pub(super) async fn connect(&self, host: &str, port: u16, limit: Duration) -> Result<Connection, Unanswered> {
        let unknown = |error| Unanswered::NoAddress { host: host.to_owned(), error };
        let addresses = self.io.resolve(host, port).await.map_err(unknown)?;
        let limit = limit.min(self.in_cluster().connect_limit) / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut failed = unknown(std::io::Error::other("the name has no address"));
        // As Kafka's nodes do, it calls itself by its number.
        let client_id = self.broker_id().to_string();
        for address in addresses {
            match Connection::open(&self.io, address, &client_id, limit).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }
}
