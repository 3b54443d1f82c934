//! The controller, and this node's way to it.
//!
//! **The problem.** Somebody has to decide who leads what, for all nodes, one thing after the other; whoever decides may go away in the
//! middle of it; and a client may ask any node.
//!
//! **The design that follows.** All of it is on the first core. A decision is a [`Command`], and the door to whoever decides is
//! [`Core::enqueue_command`](super::core::Core::enqueue_command), on every node: the queue of this node's controller if that one leads the
//! quorum, Kafka's request to the leader if it does not, and again at the next leader if the last one has gone meanwhile (`door`). Who
//! asks need not know where the controller is. What clients ask of it is handed on as they wrote it, in an envelope (`forward`).
//!
//! A node that is **alone** (`alone`: broker and controller in one, nobody else votes) decides, lets every core apply the decision, and
//! answers. In a **cluster** the parts of a node are tasks of the first core:
//! - a controller runs the quorum and decides while it leads it (`leader`); what others ask of it is in `serve`;
//! - every node follows the committed metadata, from its own member of the quorum or by Fetch from the leader (`observer`, whose pure part
//!   is `tail`), and brings them to all its cores, one image after the other, several changes as one (`follow`);
//! - a broker registers, waits until it has the metadata, loads its logs, tells the controller how it is, and takes its leave before it
//!   stops (`broker`, whose pure part is `lifecycle`).
//!
//! A broker that is no controller keeps nothing of the metadata on its disk: what is committed is kept by the quorum, and a start fetches
//! its newest snapshot. Kafka's brokers keep a copy, which spares them that fetch and is not read by anything else.
//!
//! `kraft.version` is no record of the metadata, and raised by whoever leads (`kraft_version`).
//!
//! A controller that decides finds out whether a broker whose connection has ended is gone (`suspects`).
//!
//! `cluster` is what these tasks share, `channel` the connections to the leading controller, `producer_ids` the blocks of producer ids
//! that cores hand out.

mod alone;
mod broker;
mod channel;
mod cluster;
mod door;
mod follow;
mod forward;
mod kraft_version;
mod leader;
mod lifecycle;
mod observer;
mod producer_ids;
mod serve;
mod suspects;
mod tail;

pub(super) use alone::Control;
pub(super) use cluster::Cluster;
pub(super) use producer_ids::ProducerIds;
pub(super) use serve::QuorumCall;

pub use forward::Forwarded;
pub use serve::{
    FetchedMetadata, FetchedSnapshot, MetadataFetch, ObservedReplica, QuorumView, SnapshotFetch, SnapshotId, VoterChange,
    WhatIsFetched,
};
pub use suspects::HeartbeatLine;

use super::core::{Core, FIRST_CORE};
use super::handle::Stopping;
use super::message::Message;
use super::quota::Mutations;
use crate::controller::{Command, MetadataDelta, MetadataImage, Reply};
use crate::io::{Notify, ReplySender, reply};
use crate::model::ProducerId;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Most that waits for a controller that others ask too. Whoever comes then is told to come again.
const MOST_WAITING: usize = 10_000;

/// What waits for the controller.
enum Waiting {
    Command(Command, Option<Mutations>, ReplySender<Result<Reply, Stopping>>),
    ProducerIds(ReplySender<Result<Range<ProducerId>, Stopping>>),
}

/// The queue of the controller; used on its core only.
#[derive(Default)]
pub(super) struct ControllerQueue {
    waiting: RefCell<VecDeque<Waiting>>,
    changed: Notify,
}

impl Core {
    /// Has a command decided, wherever the controller is.
    pub(super) fn enqueue_command(
        self: &Rc<Self>,
        command: Command,
        mutations: Option<Mutations>,
        reply: ReplySender<Result<Reply, Stopping>>,
    ) {
        if self.cluster.get().is_none() {
            return self.enqueue(Waiting::Command(command, mutations, reply));
        }
        let core = self.clone();
        self.io.spawn(async move { reply.send(core.carry_out(command, mutations).await) });
    }

    /// Has a command decided if this node leads the quorum: what comes from others is not sent on.
    pub(super) fn enqueue_command_here(
        &self,
        command: Command,
        mutations: Option<Mutations>,
        reply: ReplySender<Result<Reply, Stopping>>,
    ) {
        match self.cluster.get() {
            Some(cluster) if !cluster.decides() => reply.send(Err(Stopping)),
            Some(_) if self.controller.waiting.borrow().len() >= MOST_WAITING => reply.send(Err(Stopping)),
            Some(cluster) => {
                if let Command::BrokerHeartbeat(request) = &command {
                    // Before it waits: a long queue is not to fence anybody.
                    cluster.contact(request, self.now_ms());
                }
                self.enqueue(Waiting::Command(command, mutations, reply));
            }
            None => self.enqueue(Waiting::Command(command, mutations, reply)),
        }
    }

    fn enqueue(&self, waiting: Waiting) {
        assert!(self.index == FIRST_CORE, "the controller is on one core");
        // Dropping it tells the asker that the broker is stopping.
        if !self.control_ended.get() {
            self.controller.waiting.borrow_mut().push_back(waiting);
            self.controller.changed.notify_all();
        }
    }

    /// The next thing to decide; `None` when the broker is stopping.
    async fn next_decision(&self) -> Option<Waiting> {
        loop {
            let (changed, stopping) = (self.controller.changed.notified(), self.changed.notified());
            if self.is_stopping() {
                return None;
            }
            if let Some(decision) = self.controller.waiting.borrow_mut().pop_front() {
                return Some(decision);
            }
            futures_util::future::select(std::pin::pin!(changed), std::pin::pin!(stopping)).await;
        }
    }

    /// Brings a committed image to every core: first all logs are there, then all clients see it.
    pub(super) async fn publish(&self, image: Arc<MetadataImage>, delta: Arc<MetadataDelta>) {
        self.ask_all(|reply| Message::Prepare { image: image.clone(), delta: delta.clone(), reply }).await;
        self.ask_all(|reply| Message::Image { image: image.clone(), delta: delta.clone(), reply }).await;
    }

    /// Sends a message to every core and waits for all answers; a core that is gone has none.
    pub(super) async fn ask_all<T: Send + 'static>(&self, message: impl Fn(ReplySender<T>) -> Message) -> Vec<Option<T>> {
        let answers: Vec<_> = (0..self.cores())
            .map(|core| {
                let (sender, answer) = reply();
                self.send(core, message(sender));
                answer
            })
            .collect();
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.push(answer.await.ok());
        }
        all
    }
}
