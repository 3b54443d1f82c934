//! A node that is broker and controller in one, and alone: one decision at a time, committed, then applied by every core before it is
//! answered.
//!
//! So a client that has created a topic finds it on whatever core its next request meets, and a decision always sees the records of
//! the one before. There is nobody who could lead in this node's place, so there are no sessions and no heartbeats: it registers, recovers
//! its logs, and may lead.

use super::super::core::Core;
use super::super::dirs::DirReport;
use super::super::handle::Stopping;
use super::super::load::Placed;
use super::super::quota::Mutations;
use super::Waiting;
use super::broker::registration;
use super::producer_ids::block;
use crate::controller::{self, Command, MetadataImage, Refusal, Reply};
use crate::io::ReplySender;
use crate::model::ProducerId;
use crate::quorum::{OpenQuorum, Quorum, QuorumError, is_clean_restart};
use futures_util::future::{Either, select};
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// The controller on its core.
pub(in crate::shard) struct Control {
    core: Rc<Core>,
    quorum: Quorum,
    /// The last stop of this broker was clean.
    clean_restart: bool,
}

impl Control {
    /// Recovers the metadata and makes this incarnation of the broker known, fenced. Nothing is published yet.
    pub(in crate::shard) async fn open(
        core: &Rc<Core>,
        dirs: &[Option<DirReport>],
        bound: &[SocketAddr],
    ) -> Result<Self, String> {
        let of_metadata = dirs[core.settings.metadata_dir].as_ref();
        let closed_cleanly = of_metadata.is_some_and(|report| report.clean_shutdown.is_some());
        let how = OpenQuorum::new(&core.config, closed_cleanly);
        let quorum = Quorum::open(core.io.clone(), how).await.map_err(|error| error.to_string())?;
        let marked = |report: &DirReport| is_clean_restart(quorum.image(), core.broker_id(), report.clean_shutdown);
        let clean_restart = dirs.iter().flatten().all(marked);
        let registration = registration(core, dirs, bound, "").await;
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
    pub(in crate::shard) fn image(&self) -> Arc<MetadataImage> {
        self.quorum.image()
    }

    /// The logs are loaded: this broker may lead, on every core. After an unclean stop a log may have lost its end, and what is led
    /// gets a new leader epoch, by which consumers find out.
    pub(in crate::shard) async fn unfence(&mut self) -> Result<(), String> {
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
    pub(in crate::shard) async fn assign_dirs(&mut self, misplaced: &[Placed]) -> Result<(), String> {
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
    pub(in crate::shard) async fn run(mut self) {
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
                Err(error @ QuorumError::TooLarge { .. }) => {
                    tracing::error!(%error, "a decision was dropped");
                    asker.answer(Reply::TooLarge);
                }
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
        match self {
            Self::ProducerIds(to) => to.send(block(reply)),
            Self::Command(to) => to.send(Ok(reply)),
        }
    }
}
