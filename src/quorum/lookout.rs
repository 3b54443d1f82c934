//! Whether the leader's process is gone, so that nobody waits for a timeout to replace it (`flumen.elect.on.refusal.enable`).
//!
//! A leader that is silent may be slow, paused or cut off, and who does not wait then elects two in turn for ever. A process that has ended
//! is another thing: its kernel closes its connections, and refuses new ones. So each follower holds a connection to the leader's
//! controller listener, over which nothing is said. When the other end closes it **and** the next attempt is refused by every address of
//! the leader, it is gone. A pause does neither (the kernel goes on accepting), a partition and a machine without power say nothing at all,
//! and a connection that was never made, because of a wrong address or a filter, counts for nothing: then the timeouts decide, as ever.
//!
//! A follower that has seen this no longer refuses its vote to others for the leader's sake, and asks them, after a short random time,
//! whether they would vote for it (KIP-996): whoever still hears from the leader says no, so one follower that errs replaces nobody.

use super::entry::{broker_id, raft_id};
use super::node::Node;
use super::timing;
use super::types::{Types, Vote};
use crate::io::{Io, Socket};
use crate::model::BrokerId;
use bytes::BytesMut;
use futures_util::future::{Either, select};
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::TransferLeaderRequest;
use openraft::vote::RaftLeaderId as _;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long a follower waits before it asks for votes, from and to, in milliseconds: by chance, so that mostly one of them asks first. Where
/// two of them did all the same, they ask again, when the first time has surely had its answers.
const WAITS_MS: [(u64, u64); 3] = [(0, 50), (150, 300), (150, 300)];
/// A connection that has ended sooner than this is made again after this.
const SHORTEST: Duration = Duration::from_millis(20);

/// What became of an attempt to reach the leader.
enum Reached {
    /// It listens.
    Connected(Socket),
    /// Every address has refused.
    Refused,
    /// Nobody knows.
    Silent,
}

/// The leader that is looked at, by the vote with which it leads.
type Leader = (BrokerId, Vote);

impl Node {
    /// Looks after the leader for as long as somebody holds the node.
    pub(super) async fn look_out(node: Weak<Self>) {
        // Only who was connected to this very leader can see it go.
        let mut connected_to = None;
        loop {
            let Some(this) = node.upgrade().filter(|this| !this.is_closed.get()) else { return };
            let (io, look) = (this.io.clone(), timing::look(&this.how.timeouts));
            let reached = match this.other_leader() {
                Some(leader) => Some((leader, this.reach(leader.0).await)),
                None => None,
            };
            match reached {
                Some((leader, Reached::Connected(socket))) => {
                    connected_to = Some(leader);
                    drop(this);
                    let began = io.now();
                    Self::hold(&node, &io, leader, socket, look).await;
                    if io.now().since(began) < SHORTEST {
                        io.sleep(SHORTEST).await;
                    }
                }
                Some((leader, Reached::Refused)) if connected_to == Some(leader) => {
                    connected_to = None;
                    this.replace(leader).await;
                }
                _ => {
                    connected_to = None;
                    drop(this);
                    io.sleep(look).await;
                }
            }
        }
    }

    /// Another node that leads.
    fn other_leader(&self) -> Option<Leader> {
        let metrics = self.raft.metrics();
        let now: &RaftMetrics<Types> = &metrics.borrow_watched();
        let leader = now.current_leader.map(broker_id).filter(|leader| *leader != self.how.node)?;
        (now.running_state.is_ok() && now.vote.is_committed()).then_some((leader, now.vote))
    }

    async fn reach(&self, leader: BrokerId) -> Reached {
        let Ok(addresses) = self.peers.addresses_of(leader).await else { return Reached::Silent };
        let limit = Duration::from_millis(self.how.timeouts.request_ms.max(1));
        let mut refused = !addresses.is_empty();
        for address in addresses {
            match select(pin!(self.io.connect(address)), pin!(self.io.sleep(limit))).await {
                Either::Left((Ok(socket), _)) => return Reached::Connected(socket),
                Either::Left((Err(error), _)) => refused &= error.kind() == ErrorKind::ConnectionRefused,
                Either::Right(_) => refused = false,
            }
        }
        if refused { Reached::Refused } else { Reached::Silent }
    }

    /// Returns when the connection has ended, or another leads.
    async fn hold(node: &Weak<Self>, io: &Io, leader: Leader, socket: Socket, look: Duration) {
        let mut nothing = BytesMut::with_capacity(64);
        let mut ending = pin!(socket.read(&mut nothing));
        loop {
            match select(ending.as_mut(), pin!(io.sleep(look))).await {
                Either::Left(_) => return,
                Either::Right(_) if node.upgrade().is_some_and(|this| this.other_leader() == Some(leader)) => {}
                Either::Right(_) => {
                    // A read that waits is not to be dropped.
                    socket.shutdown();
                    let _ = ending.await;
                    return;
                }
            }
        }
    }

    /// Its leader is gone: this node stands for election, unless another does, until somebody leads.
    async fn replace(self: &Rc<Self>, leader: Leader) {
        let (gone, vote) = leader;
        tracing::info!(leader = gone.0, epoch = vote.leader_id().term(), "the leader's process is gone");
        // As if the leader had handed over, but to nobody: this ends its lease here.
        let request = TransferLeaderRequest::new(vote, raft_id(gone), None);
        if self.io.enter(self.raft.handle_transfer_leader(request)).await.is_err() {
            return;
        }
        for (from, to) in WAITS_MS {
            let chance = u64::from_le_bytes(self.io.random()) % (to - from);
            self.io.sleep(Duration::from_millis(from + chance)).await;
            let is_replaced = self.now(|now| now.current_leader.is_some_and(|leads| leads != raft_id(gone)));
            if is_replaced || self.is_closed.get() || !self.stands.get() {
                return;
            }
            if self.io.enter(self.raft.trigger().elect(true)).await.is_err() {
                return;
            }
        }
    }
}
