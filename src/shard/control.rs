//! The controller's core: one decision at a time, committed, then applied by every core before it is answered.

use super::core::{Core, FIRST_CORE};
use super::handle::Stopping;
use super::message::Message;
use super::seam::{ControllerCommand, ControllerReply, MetadataImage};
use crate::io::{Notify, ReplySender, reply};
use crate::model::ProducerId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// What waits for the controller.
pub(super) enum Decision {
    Command(ControllerCommand, ReplySender<Result<ControllerReply, Stopping>>),
    ProducerIds(ReplySender<Result<Range<ProducerId>, Stopping>>),
}

/// The queue of the controller; used on its core only.
#[derive(Default)]
pub(super) struct ControllerQueue {
    waiting: RefCell<VecDeque<Decision>>,
    changed: Notify,
}

/// What this core has left of its block of producer ids.
#[derive(Default)]
pub(super) struct ProducerIdBlock {
    next: Cell<i64>,
    end: Cell<i64>,
    /// A task is fetching a block; the others wait for it.
    fetching: Cell<bool>,
    changed: Notify,
}

impl Core {
    pub(super) fn enqueue_command(&self, command: ControllerCommand, reply: ReplySender<Result<ControllerReply, Stopping>>) {
        self.enqueue_decision(Decision::Command(command, reply));
    }

    pub(super) fn enqueue_producer_ids(&self, reply: ReplySender<Result<Range<ProducerId>, Stopping>>) {
        self.enqueue_decision(Decision::ProducerIds(reply));
    }

    fn enqueue_decision(&self, decision: Decision) {
        assert!(self.index == FIRST_CORE, "the controller is on one core");
        self.controller.waiting.borrow_mut().push_back(decision);
        self.controller.changed.notify_all();
    }

    /// The next thing to decide; `None` when the broker is stopping.
    pub(super) async fn next_decision(&self) -> Option<Decision> {
        loop {
            let (changed, stopping) = (self.controller.changed.notified(), self.changed.notified());
            if self.is_stopping() {
                self.controller.waiting.borrow_mut().clear();
                return None;
            }
            if let Some(decision) = self.controller.waiting.borrow_mut().pop_front() {
                return Some(decision);
            }
            futures_util::future::select(std::pin::pin!(changed), std::pin::pin!(stopping)).await;
        }
    }

    /// Brings a committed image to every core: first all logs are there, then all clients see it.
    pub(super) async fn publish(&self, image: Arc<MetadataImage>) {
        self.ask_all(|reply| Message::Prepare { image: image.clone(), reply }).await;
        self.ask_all(|reply| Message::Image { image: image.clone(), reply }).await;
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

    /// The next producer id of this core's block; one task fetches a new block, the others wait for it.
    pub(super) async fn next_producer_id(self: Rc<Self>) -> Result<ProducerId, Stopping> {
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
            let ids = fetched?;
            assert!(ids.start < ids.end, "a block of producer ids has some");
            block.next.set(ids.start.0);
            block.end.set(ids.end.0);
        }
    }
}
