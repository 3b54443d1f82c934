//! This node as a controller of a cluster: it decides while it leads the quorum.
//!
//! One decision at a time, each on the metadata that hold the one before; what is due by time (brokers that are not heard of, preferred
//! leaders) stands in the same line, ahead of what is asked. Who was heard of is known to the leader alone: a new one gives every broker a
//! new session. When another leads, whoever waits here is told so, and asks that one; a decision that was under way may hold or not, which
//! whoever asked finds out by asking again.

use super::{Cluster, Waiting};
use crate::config::Listener;
use crate::controller::{Command, Heartbeats, Intervals, Reply, Schedule};
use crate::io::Mono;
use crate::model::{Offset, PartitionIndex, TopicId};
use crate::protocol::generated::{AlterPartitionRequest, BrokerHeartbeatRequest};
use crate::quorum::{Executed, Member, MemberEndpoint, OfCluster, OpenQuorum, Quorum, QuorumError, QuorumHandle};
use crate::shard::Stopping;
use crate::shard::core::Core;
use crate::shard::dirs::DirReport;
use futures_util::future::select;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a leader that stops waits until another leads.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// The controller.
pub(super) struct Leader {
    pub(super) core: Rc<Core>,
    quorum: Quorum,
    pub(super) member: QuorumHandle,
    cluster_id: String,
}

/// What is to be done next by who leads.
enum Next {
    /// Somebody asks.
    Asked(Waiting),
    /// It is time.
    Due(Command),
    /// A snapshot may be due.
    KeepShort,
    /// This node leads no more, or not in the same epoch, or it stops.
    Over,
}

/// What became of a command.
enum Outcome {
    /// It is decided and committed.
    Decided(Box<Executed>),
    /// It can never be committed.
    TooLarge,
    /// This node does not lead (any more).
    NotLeading,
}

/// The metadata log cannot be gone on with, and everybody was told.
struct Failed;

impl Core {
    /// Starts to decide whenever this node leads.
    pub(super) fn start_controller(self: &Rc<Self>, quorum: Quorum, member: QuorumHandle) {
        let cluster_id = self.in_cluster().id.clone();
        let leader = Leader { core: self.clone(), quorum, member, cluster_id };
        self.io.spawn(leader.run());
    }

    fn intervals(&self) -> Intervals {
        let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
        let balance_ms = ms(self.config.leader_imbalance_check_interval_seconds()).saturating_mul(1_000);
        Intervals {
            session_timeout_ms: ms(self.config.broker_session_timeout_ms()),
            balance_ms: self.config.auto_leader_rebalance_enable().then_some(balance_ms),
            unclean_ms: ms(self.config.unclean_leader_election_interval_ms()),
        }
    }
}

impl Core {
    /// Opens this node's member of the quorum, if it is a voter, and starts to follow the metadata.
    pub(in crate::shard) async fn open_cluster(
        self: &Rc<Self>,
        cluster_id: &str,
        dirs: &[Option<DirReport>],
    ) -> Result<(), String> {
        let of_metadata = dirs[self.settings.metadata_dir].as_ref().ok_or("the log dir of the metadata is offline")?;
        let mut quorum = None;
        if self.config.process_roles().controller {
            let clean_shutdown = of_metadata.clean_shutdown.is_some();
            let how = self.how_to_open(cluster_id, of_metadata.meta.directory_id, clean_shutdown).await?;
            quorum = Some(Quorum::open(self.io.clone(), how).await.map_err(|error| error.to_string())?);
        }
        let member = quorum.as_ref().map(Quorum::handle);
        let cluster = Cluster::new(&self.config, cluster_id, of_metadata.meta.directory_id, member.clone());
        assert!(self.cluster.set(Rc::new(cluster)).is_ok(), "a node starts once");
        match quorum.zip(member) {
            Some((quorum, member)) => self.start_controller(quorum, member),
            // There is nothing to wait for at the stop.
            None => self.control_ended.set(true),
        }
        self.start_following();
        Ok(())
    }

    async fn how_to_open(&self, cluster_id: &str, directory: TopicId, clean_shutdown: bool) -> Result<OpenQuorum, String> {
        let config = &self.config;
        let endpoint = |listener: &Listener| MemberEndpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        };
        let hostname = super::broker::hostname(&self.io).await;
        let endpoints = config.advertised_controller_listeners(&hostname, |_| None).iter().map(endpoint).collect();
        Ok(OpenQuorum {
            member: Some(Member::new(directory, endpoints)),
            cluster_id: cluster_id.to_owned(),
            voters: self.config.quorum_voters(),
            ..OpenQuorum::new(&self.config, clean_shutdown)
        })
    }

    /// From an open node of a cluster to one that serves, as its roles say. Returns the number of its logs.
    pub(in crate::shard) async fn start_in_cluster(
        self: &Rc<Self>,
        dirs: Arc<Vec<Option<DirReport>>>,
        bound: &[SocketAddr],
    ) -> Result<usize, String> {
        if self.config.process_roles().broker {
            return self.start_broker(dirs, bound).await;
        }
        self.in_cluster().can_publish(Offset::ZERO);
        Ok(0)
    }

    /// Lets another voter lead before this one stops, so that nobody has to find out by waiting.
    pub(super) async fn hand_over_quorum(&self) {
        let Some(member) = self.in_cluster().member.clone() else { return };
        let Some(next) = member.successor() else { return };
        if let Err(error) = member.give_leadership_to(next).await {
            return tracing::warn!(%error, "the leadership of the quorum could not be handed over");
        }
        let until = self.io.now().after(HAND_OVER_LIMIT);
        while self.io.now() < until {
            let changed = member.changed();
            if member.state().leader.is_some_and(|leader| leader != self.in_cluster().node) {
                return;
            }
            select(pin!(changed), pin!(self.io.sleep_until(until))).await;
        }
    }
}

impl Leader {
    async fn run(mut self) {
        let core = self.core.clone();
        while !core.is_stopping() {
            let outcome = match self.member.state().leads {
                true => self.lead().await,
                false => self.follow().await,
            };
            if outcome.is_err() {
                break;
            }
        }
        self.dismiss();
        if let Err(error) = self.quorum.close().await {
            tracing::error!(%error, "the metadata log was not closed cleanly");
            core.closed_clean.set(false);
        }
        core.control_ended.set(true);
        core.changed.notify_all();
    }

    /// Waits until this node may lead; meanwhile its log is kept short.
    async fn follow(&mut self) -> Result<(), Failed> {
        let core = self.core.clone();
        let (changed, stopping) = (self.member.changed(), core.changed.notified());
        if let Some(why) = self.member.failure() {
            core.fail(&format!("the metadata quorum: {why}"));
            return Err(Failed);
        }
        if core.is_stopping() || self.member.state().leads {
            return Ok(());
        }
        let due = sleep_until(&core, self.quorum.snapshot_due());
        select(select(pin!(changed), pin!(stopping)), pin!(due)).await;
        self.keep_short().await
    }

    /// Decides as long as this node leads in the same epoch.
    async fn lead(&mut self) -> Result<(), Failed> {
        // Who is fenced is known from the metadata, so they must be whole: of a decision that this node has given up when it lost the
        // others for a while, it may learn only now that it holds.
        match self.quorum.ready().await {
            Ok(()) => {}
            Err(QuorumError::NotLeader { .. }) => return Ok(()),
            Err(error) => {
                self.core.fail(&format!("the metadata quorum: {error}"));
                return Err(Failed);
            }
        }
        let (core, epoch, now_ms) = (self.core.clone(), self.member.state().epoch, self.core.now_ms());
        let intervals = core.intervals();
        let mut schedule = Schedule::new(&intervals, now_ms);
        let heartbeats = Heartbeats::new(&self.quorum.image(), intervals.session_timeout_ms, now_ms);
        *core.in_cluster().heartbeats.borrow_mut() = Some(heartbeats);
        core.in_cluster().leader_changed.notify_all();
        tracing::info!(epoch, "this controller leads");
        core.suspect_all(&self.quorum.image());
        let outcome = loop {
            let done = match self.next(&mut schedule, epoch).await {
                Next::Over => break Ok(()),
                Next::KeepShort => self.keep_short().await.map(|()| true),
                Next::Due(command) => self.decide_due(command, &mut schedule).await,
                Next::Asked(waiting) => self.decide_asked(waiting).await,
            };
            match done {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failed) => break Err(failed),
            }
        };
        tracing::info!(epoch, "this controller leads no more");
        self.dismiss();
        outcome
    }

    async fn next(&mut self, schedule: &mut Schedule, epoch: i32) -> Next {
        let core = self.core.clone();
        loop {
            let (queued, stopping) = (core.controller.changed.notified(), core.changed.notified());
            let changed = self.member.changed();
            let (state, now_ms) = (self.member.state(), core.now_ms());
            if core.is_stopping() || !state.leads || state.epoch != epoch {
                return Next::Over;
            }
            if let Some(heartbeats) = core.in_cluster().heartbeats.borrow_mut().as_mut()
                && let Some(command) = schedule.tick(heartbeats, now_ms)
            {
                return Next::Due(command);
            }
            if let Some(waiting) = core.controller.waiting.borrow_mut().pop_front() {
                return Next::Asked(waiting);
            }
            let snapshot = self.quorum.snapshot_due();
            if snapshot.is_some_and(|due| core.io.now() >= due) {
                return Next::KeepShort;
            }
            let tick = core.io.sleep(Duration::from_millis(schedule.next_ms().saturating_sub(now_ms)));
            let due = sleep_until(&core, snapshot);
            let (queued, stopping, changed) = (pin!(queued), pin!(stopping), pin!(changed));
            select(select(select(queued, stopping), changed), select(pin!(tick), pin!(due))).await;
        }
    }

    /// Whether this node leads on.
    async fn decide_due(&mut self, command: Command, schedule: &mut Schedule) -> Result<bool, Failed> {
        if self.core.io.planted("nobody is fenced") && matches!(command, Command::FenceBroker { .. }) {
            return Ok(true);
        }
        let outcome = self.execute(command.clone(), None, None).await?;
        let leads = !matches!(outcome, Outcome::NotLeading);
        if let Outcome::Decided(executed) = outcome {
            if let (Command::FenceBroker { broker, epoch }, false) = (&command, executed.delta.is_empty()) {
                tracing::warn!(%broker, epoch, "a broker is gone or was not heard of for too long, and is fenced");
            }
            schedule.decided(&command, &executed.reply, self.core.now_ms());
        }
        Ok(leads)
    }

    /// Whether this node leads on.
    async fn decide_asked(&mut self, waiting: Waiting) -> Result<bool, Failed> {
        // Blocks of producer ids come as commands in a cluster.
        let Waiting::Command(command, mutations, reply) = waiting else { return Ok(true) };
        let (is_broker, heartbeat) = (is_of_brokers(&command), heartbeat_of(&command));
        let rise = self.core.rise_of_kraft_version(&command);
        if let Some(Err(refused)) = self.rise(rise.map(|_| true)).await {
            reply.send(refused);
            return Ok(true);
        }
        let command = match command {
            Command::AlterPartition(request) if self.core.io.planted("stale AlterPartition accepted") => {
                Command::AlterPartition(self.as_if_fresh(request))
            }
            command => command,
        };
        match self.execute(command, mutations, heartbeat).await? {
            Outcome::NotLeading => {
                reply.send(Err(Stopping));
                Ok(false)
            }
            Outcome::TooLarge => {
                reply.send(Ok(Reply::TooLarge));
                Ok(true)
            }
            Outcome::Decided(executed) => {
                let Executed { reply: mut answer, image, delta, .. } = *executed;
                if matches!(answer, Reply::UpdateFeatures(Ok(())))
                    && let Some(Err(refused)) = self.rise(rise).await
                {
                    match refused {
                        Ok(refusal) => answer = refusal,
                        Err(Stopping) => {
                            reply.send(Err(Stopping));
                            return Ok(false);
                        }
                    }
                }
                if is_broker || delta.is_empty() {
                    reply.send(Ok(answer));
                } else {
                    // What a client was promised it finds on this node, whatever it asks next.
                    self.answer_when_published(image.next_offset(), move || reply.send(Ok(answer)));
                }
                Ok(true)
            }
        }
    }

    /// A planted bug: proposals count in whatever state of the partition.
    fn as_if_fresh(&self, mut request: AlterPartitionRequest) -> AlterPartitionRequest {
        let image = self.quorum.image();
        for topic in &mut request.topics {
            for proposed in &mut topic.partitions {
                if let Some(known) = image.partition(topic.topic_id, PartitionIndex(proposed.partition_index)) {
                    (proposed.leader_epoch, proposed.partition_epoch) = (known.leader_epoch.0, known.partition_epoch);
                }
            }
        }
        request
    }

    fn answer_when_published(&self, end: Offset, answer: impl FnOnce() + 'static) {
        let core = self.core.clone();
        self.core.io.spawn(async move {
            core.until_published(end).await;
            answer();
        });
    }

    /// Decides and commits.
    async fn execute(
        &mut self,
        command: Command,
        mutations: Option<crate::shard::quota::Mutations>,
        heartbeat: Option<BrokerHeartbeatRequest>,
    ) -> Result<Outcome, Failed> {
        let core = self.core.clone();
        let Some(heartbeats) = core.in_cluster().heartbeats.borrow().clone() else { return Ok(Outcome::NotLeading) };
        let cluster_id = self.cluster_id.clone();
        let of_cluster = OfCluster {
            cluster_id,
            heartbeats,
            now_ms: core.now_ms(),
            kraft_version: core.in_cluster().kraft_version(),
            believes_successors: core.config.fence_on_refusal_enable(),
        };
        match self.quorum.execute_of(command, core.allowance(mutations), Some(of_cluster)).await {
            Ok(mut executed) => {
                core.take_mutations(mutations, &mut executed);
                if let Some(heartbeats) = core.in_cluster().heartbeats.borrow_mut().as_mut() {
                    heartbeats.follow(&executed.image, &executed.delta);
                    if let Some(request) = heartbeat {
                        heartbeats.heard(&executed.image, &request);
                    }
                }
                self.keep_short().await?;
                Ok(Outcome::Decided(Box::new(executed)))
            }
            Err(QuorumError::NotLeader { .. }) => Ok(Outcome::NotLeading),
            Err(error @ QuorumError::TooLarge { .. }) => {
                // Nothing was committed, and nothing else would come of it if it were asked again.
                tracing::error!(%error, "a decision was dropped");
                Ok(Outcome::TooLarge)
            }
            Err(error) => {
                core.fail(&format!("the metadata cannot be committed: {error}"));
                Err(Failed)
            }
        }
    }

    /// Nobody decides here any more: whoever waits is to ask elsewhere.
    fn dismiss(&self) {
        let core = &self.core;
        core.in_cluster().heartbeats.borrow_mut().take();
        let waiting = std::mem::take(&mut *core.controller.waiting.borrow_mut());
        for waiting in waiting {
            if let Waiting::Command(_, _, reply) = waiting {
                reply.send(Err(Stopping));
            }
        }
        core.in_cluster().leader_changed.notify_all();
    }

    async fn keep_short(&mut self) -> Result<(), Failed> {
        self.quorum.keep_short().await.map_err(|error| {
            self.core.fail(&format!("a snapshot of the metadata cannot be written: {error}"));
            Failed
        })
    }
}

async fn sleep_until(core: &Core, due: Option<Mono>) {
    match due {
        Some(due) => core.io.sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Whether brokers ask this for themselves: they find out by the metadata, and need not be made to wait for this node's cores.
fn is_of_brokers(command: &Command) -> bool {
    matches!(
        command,
        Command::RegisterBroker(_)
            | Command::BrokerHeartbeat(_)
            | Command::AlterPartition(_)
            | Command::AssignReplicasToDirs(_)
            | Command::AllocateProducerIds { .. }
    )
}

fn heartbeat_of(command: &Command) -> Option<BrokerHeartbeatRequest> {
    match command {
        Command::BrokerHeartbeat(request) => Some(request.clone()),
        _ => None,
    }
}
