//! Producer ids: each core hands out those of its block, and a new block is a controller's decision.

use super::Waiting;
use crate::controller::{Command, Reply};
use crate::io::{Notify, ReplySender, reply};
use crate::model::ProducerId;
use crate::shard::Stopping;
use crate::shard::core::{Core, FIRST_CORE};
use crate::shard::message::Message;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// What this core has left of its block of producer ids.
#[derive(Default)]
pub(in crate::shard) struct ProducerIds {
    next: Cell<i64>,
    end: Cell<i64>,
    /// A task is fetching a block; the others wait for it.
    fetching: Cell<bool>,
    changed: Notify,
}

impl Core {
    /// Gives out a block of producer ids, which the controller has to decide; to be called on the first core.
    pub(in crate::shard) fn enqueue_producer_ids(self: &Rc<Self>, reply: ReplySender<Result<Range<ProducerId>, Stopping>>) {
        if self.cluster.get().is_none() {
            return self.enqueue(Waiting::ProducerIds(reply));
        }
        let core = self.clone();
        self.io.spawn(async move {
            let (broker, epoch) = (core.broker_id(), core.broker_epoch.get());
            let decided = core.carry_out(Command::AllocateProducerIds { broker, epoch }, None).await;
            reply.send(decided.and_then(block));
        });
    }

    /// The next producer id of this core's block; one task fetches a new block, the others wait for it.
    pub(in crate::shard) async fn next_producer_id(self: Rc<Self>) -> Result<ProducerId, Stopping> {
        let block = &self.producer_ids;
        loop {
            let changed = block.changed.notified();
            if block.next.get() < block.end.get() {
                return Ok(ProducerId(block.next.replace(block.next.get() + 1)));
            }
            if block.fetching.replace(true) {
                changed.await;
                continue;
            }
            let (sender, answer) = reply();
            self.send(FIRST_CORE, Message::ProducerIds { reply: sender });
            let fetched = answer.await.unwrap_or(Err(Stopping));
            block.fetching.set(false);
            block.changed.notify_all();
            let mut ids = fetched?;
            if self.io.planted("producer ids given twice") {
                ids = ProducerId(0)..ProducerId(2);
            }
            assert!(ids.start < ids.end, "a block of producer ids has some");
            block.next.set(ids.start.0);
            block.end.set(ids.end.0);
        }
    }
}

/// The producer ids that the controller has given. Another node's controller says how many: none are a refusal.
pub(super) fn block(reply: Reply) -> Result<Range<ProducerId>, Stopping> {
    match reply {
        Reply::ProducerIds(Ok(block)) if block.first >= 0 && block.count > 0 => {
            let end = block.first.checked_add(block.count).ok_or(Stopping)?;
            Ok(ProducerId(block.first)..ProducerId(end))
        }
        refused => {
            tracing::error!(?refused, "no producer ids");
            Err(Stopping)
        }
    }
}
