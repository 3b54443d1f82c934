//! The controller's core: one decision at a time, committed, then applied by every core before it is answered.
//!
//! So a client that has created a topic finds it on whatever core its next request meets, and a decision always sees the records of
//! the one before.

use super::core::{Core, FIRST_CORE};
use super::dirs::DirReport;
use super::handle::Stopping;
use super::load::Placed;
use super::message::Message;
use super::quota::Mutations;
use crate::controller::{
    self, BrokerRegistration, Command, Endpoint, MetadataDelta, MetadataImage, Refusal, Reply, supported_features,
};
use crate::io::{Notify, ReplySender, reply};
use crate::model::ProducerId;
use crate::quorum::{OpenQuorum, Quorum, QuorumError, is_clean_restart};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Kafka's number of the protocol PLAINTEXT, the only one that is served.
const PLAINTEXT: i16 = 0;

/// Where the kernel tells this machine's name.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

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

/// What this core has left of its block of producer ids.
#[derive(Default)]
pub(super) struct ProducerIds {
    next: Cell<i64>,
    end: Cell<i64>,
    /// A task is fetching a block; the others wait for it.
    fetching: Cell<bool>,
    changed: Notify,
}

/// The controller on its core.
pub(super) struct Control {
    core: Rc<Core>,
    quorum: Quorum,
    /// The last stop of this broker was clean.
    clean_restart: bool,
}

impl Control {
    /// Recovers the metadata and makes this incarnation of the broker known, fenced. Nothing is published yet.
    pub(super) async fn open(core: &Rc<Core>, dirs: &[Option<DirReport>], bound: &[SocketAddr]) -> Result<Self, String> {
        let of_metadata = dirs[core.settings.metadata_dir].as_ref();
        let closed_cleanly = of_metadata.is_some_and(|report| report.clean_shutdown.is_some());
        let how = OpenQuorum::new(&core.config, closed_cleanly);
        let quorum = Quorum::open(core.io.clone(), how).await.map_err(|error| error.to_string())?;
        let marked = |report: &DirReport| is_clean_restart(quorum.image(), core.broker_id(), report.clean_shutdown);
        let clean_restart = dirs.iter().flatten().all(marked);
        let registration = BrokerRegistration {
            broker: core.broker_id(),
            incarnation: core.fresh_id(),
            endpoints: endpoints(core, bound).await,
            rack: core.config.broker_rack().map(Into::into),
            log_dirs: dirs.iter().flatten().map(|report| report.meta.directory_id).collect(),
            features: supported_features(),
            ..BrokerRegistration::default()
        };
        let mut control = Self { core: core.clone(), quorum, clean_restart };
        let registered = control.quorum.execute(Command::RegisterBroker(registration)).await;
        match registered.map_err(|error| error.to_string())?.reply {
            Reply::Registered(Ok(epoch)) => core.broker_epoch.set(epoch),
            Reply::Registered(Err(Refusal(code, text))) => {
                return Err(format!("this broker may not register: {code} {}", text.unwrap_or_default()));
            }
            other => unreachable!("a registration is not answered with {other:?}"),
        }
        Ok(control)
    }

    /// The metadata as of the last decision.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.quorum.image().clone()
    }

    /// The logs are loaded: this broker may lead, on every core. After an unclean stop a log may have lost its end, and what is led
    /// gets a new leader epoch, by which consumers find out.
    pub(super) async fn unfence(&mut self) -> Result<(), String> {
        let (broker, epoch) = (self.core.broker_id(), self.core.broker_epoch.get());
        let command = Command::UnfenceBroker { broker, epoch, clean_restart: self.clean_restart };
        let executed = self.quorum.execute(command).await.map_err(|error| error.to_string())?;
        match executed.reply {
            Reply::Unfenced(Ok(())) => {
                self.core.publish(executed.image, Arc::new(executed.delta)).await;
                Ok(())
            }
            other => Err(format!("this broker may not lead: {other:?}")),
        }
    }

    /// Tells where replicas are that are not where the metadata have them.
    pub(super) async fn assign_dirs(&mut self, misplaced: &[Placed]) -> Result<(), String> {
        if misplaced.is_empty() {
            return Ok(());
        }
        let command = controller::assign_dirs(self.core.broker_id(), self.core.broker_epoch.get(), misplaced);
        let executed = self.quorum.execute(command).await.map_err(|error| error.to_string())?;
        if !executed.delta.is_empty() {
            self.core.publish(executed.image, Arc::new(executed.delta)).await;
        }
        Ok(())
    }

    /// Decides what comes, until the broker stops.
    pub(super) async fn run(mut self) {
        let core = self.core.clone();
        while let Some(waiting) = self.next_decision().await {
            let (command, mutations, asker) = waiting.into_command(&core);
            let mut decided = self.quorum.execute_within(command, core.allowance(mutations)).await;
            if let Ok(executed) = &mut decided {
                core.take_mutations(mutations, executed);
            }
            match decided {
                Ok(executed) if core.io.planted("topic told before it is there") => {
                    asker.answer(executed.reply);
                    core.io.sleep(std::time::Duration::from_millis(5)).await;
                    core.publish(executed.image, Arc::new(executed.delta)).await;
                }
                Ok(executed) => {
                    if !executed.delta.is_empty() {
                        core.publish(executed.image, Arc::new(executed.delta)).await;
                    }
                    asker.answer(executed.reply);
                    if !self.keep_short().await {
                        break;
                    }
                }
                // Nothing was committed.
                Err(error @ QuorumError::TooLarge { .. }) => tracing::error!(%error, "a decision was dropped"),
                // What is in the log is not known any more.
                Err(error) => {
                    core.fail(&format!("the metadata cannot be committed: {error}"));
                    break;
                }
            }
        }
        core.controller.waiting.borrow_mut().clear();
        if let Err(error) = self.quorum.close().await {
            tracing::error!(%error, "the metadata log was not closed cleanly");
            core.closed_clean.set(false);
        }
        core.control_ended.set(true);
        core.changed.notify_all();
    }

    /// The next thing to decide. What is due by time is done while nothing comes. `None` when the broker stops, or cannot go on.
    async fn next_decision(&mut self) -> Option<Waiting> {
        let core = self.core.clone();
        loop {
            let Some(due) = self.quorum.snapshot_due() else { return core.next_decision().await };
            let (decision, due) = (pin!(core.next_decision()), pin!(core.io.sleep_until(due)));
            if let Either::Left((decision, _)) = select(decision, due).await {
                return decision;
            }
            if !self.keep_short().await {
                return None;
            }
        }
    }

    /// Whether the broker can go on.
    async fn keep_short(&mut self) -> bool {
        let kept = self.quorum.keep_short().await;
        if let Err(error) = &kept {
            self.core.fail(&format!("a snapshot of the metadata cannot be written: {error}"));
        }
        kept.is_ok()
    }
}

/// Who gets the answer to a command.
enum Answering {
    Command(ReplySender<Result<Reply, Stopping>>),
    ProducerIds(ReplySender<Result<Range<ProducerId>, Stopping>>),
}

impl Waiting {
    fn into_command(self, core: &Core) -> (Command, Option<Mutations>, Answering) {
        match self {
            Self::Command(command, mutations, to) => (command, mutations, Answering::Command(to)),
            Self::ProducerIds(to) => {
                let (broker, epoch) = (core.broker_id(), core.broker_epoch.get());
                (Command::AllocateProducerIds { broker, epoch }, None, Answering::ProducerIds(to))
            }
        }
    }
}

impl Answering {
    fn answer(self, reply: Reply) {
        match (self, reply) {
            (Self::ProducerIds(to), Reply::ProducerIds(Ok(block))) => {
                to.send(Ok(ProducerId(block.first)..ProducerId(block.first + block.count)));
            }
            (Self::ProducerIds(to), refused) => {
                tracing::error!(?refused, "no producer ids");
                to.send(Err(Stopping));
            }
            (Self::Command(to), reply) => to.send(Ok(reply)),
        }
    }
}

/// What this broker tells clients of its listeners. `bound` are the addresses that they have in fact.
async fn endpoints(core: &Core, bound: &[SocketAddr]) -> Vec<Endpoint> {
    let listeners = &core.config.listeners;
    let port = |name: &str| listeners.iter().zip(bound).find(|(listener, _)| listener.name == name).map(|(_, at)| at.port());
    let endpoint = |listener: crate::config::Listener| Endpoint {
        name: listener.name.into(),
        host: listener.host.into(),
        port: listener.port,
        security_protocol: PLAINTEXT,
    };
    // Needed only where a listener names no host; what cannot be read is this machine for itself alone.
    let hostname = core.io.read_file(Path::new(HOSTNAME_FILE)).await.unwrap_or_default();
    let hostname = String::from_utf8_lossy(&hostname).trim().to_owned();
    let hostname = if hostname.is_empty() { "localhost" } else { &hostname };
    core.config.advertised_listeners(hostname, port).into_iter().map(endpoint).collect()
}

impl Core {
    pub(super) fn enqueue_command(
        &self,
        command: Command,
        mutations: Option<Mutations>,
        reply: ReplySender<Result<Reply, Stopping>>,
    ) {
        self.enqueue(Waiting::Command(command, mutations, reply));
    }

    pub(super) fn enqueue_producer_ids(&self, reply: ReplySender<Result<Range<ProducerId>, Stopping>>) {
        self.enqueue(Waiting::ProducerIds(reply));
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
