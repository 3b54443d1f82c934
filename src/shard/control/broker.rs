//! This node as a broker of a cluster: what `lifecycle` decides is carried out here.
//!
//! The order of a start is Kafka's: register, get the metadata up to that registration, open the logs, tell the controller, and serve when
//! it has let this broker lead.

use super::channel::Line;
use super::lifecycle::{Effect, Heard, Input, Lifecycle, Phase, Timing};
use crate::controller::{BrokerRegistration, Command, Endpoint, Reply, supported_features};
use crate::io::Io;
use crate::model::{ErrorCode, TopicId};
use crate::protocol::generated::BrokerHeartbeatRequest;
use crate::shard::core::Core;
use crate::shard::dirs::DirReport;
use crate::shard::load::LoadReport;
use futures_util::future::select;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Kafka's number of the protocol PLAINTEXT, the only one that is served.
const PLAINTEXT: i16 = 0;

/// Where the kernel tells this machine's name.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// How long leaderships may take to move before this broker goes, as with Kafka.
const SHUTDOWN_LIMIT_MS: u64 = 5 * 60_000;

/// What this incarnation of the broker registers with.
pub(super) async fn registration(
    core: &Core,
    dirs: &[Option<DirReport>],
    bound: &[SocketAddr],
    cluster_id: &str,
) -> BrokerRegistration {
    BrokerRegistration {
        broker: core.broker_id(),
        cluster_id: cluster_id.to_owned(),
        incarnation: core.fresh_id(),
        endpoints: endpoints(core, bound).await,
        rack: core.config.broker_rack().map(Into::into),
        // Not that of the metadata, if it is a dir of its own: no replica is in there.
        log_dirs: dirs[..core.settings.partition_dirs].iter().flatten().map(|report| report.meta.directory_id).collect(),
        features: supported_features(),
        previous_epoch: previous_epoch(dirs),
    }
}

/// Epoch of the incarnation that has left the marker of a clean stop in every log dir; -1 if one lacks it.
fn previous_epoch(dirs: &[Option<DirReport>]) -> i64 {
    let mut epochs = dirs.iter().map(|dir| dir.as_ref().and_then(|report| report.clean_shutdown));
    let first = epochs.next().flatten();
    if epochs.all(|epoch| epoch == first) { first.unwrap_or(-1) } else { -1 }
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
    let hostname = hostname(&core.io).await;
    core.config.advertised_listeners(&hostname, port).into_iter().map(endpoint).collect()
}

/// Needed only where a listener names no host; what cannot be read is this machine for itself alone.
pub(super) async fn hostname(io: &Io) -> String {
    let hostname = io.read_file(Path::new(HOSTNAME_FILE)).await.unwrap_or_default();
    let hostname = String::from_utf8_lossy(&hostname).trim().to_owned();
    if hostname.is_empty() { "localhost".to_owned() } else { hostname }
}

impl Core {
    /// From a node that follows the metadata to a broker that serves. Returns the number of its logs.
    ///
    /// # Errors
    /// It is not let in, its logs cannot be loaded, or the node is to stop.
    pub(super) async fn start_broker(
        self: &Rc<Self>,
        dirs: Arc<Vec<Option<DirReport>>>,
        bound: &[SocketAddr],
    ) -> Result<usize, String> {
        let cluster = self.in_cluster().clone();
        let registration = registration(self, &dirs, bound, &cluster.id).await;
        let machine = Lifecycle::new(self.timing(), registration.previous_epoch, self.now_ms());
        *cluster.life.borrow_mut() = Some(machine);
        let core = self.clone();
        self.io.spawn(async move { core.live(registration).await });
        self.until_phase(Phase::Recovery).await?;
        let image = cluster.take_first();
        let LoadReport { logs, misplaced, damaged } = self.load_all(image.clone(), dirs).await?;
        cluster.can_publish(image.next_offset());
        self.tell_places(misplaced);
        self.give_up_damaged(&damaged).await?;
        self.live_on(Input::Loaded);
        for dir in self.offline.borrow().keys() {
            self.tell_dir_failed(*dir);
        }
        self.until_phase(Phase::Running).await?;
        Ok(logs)
    }

    fn timing(&self) -> Timing {
        let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
        Timing {
            heartbeat_interval_ms: ms(self.config.broker_heartbeat_interval_ms()),
            session_timeout_ms: ms(self.config.broker_session_timeout_ms()),
            registration_timeout_ms: ms(self.config.initial_broker_registration_timeout_ms()),
            shutdown_limit_ms: SHUTDOWN_LIMIT_MS,
            dir_failure_timeout_ms: ms(self.config.log_dir_failure_timeout_ms()),
        }
    }

    /// Waits for a phase of this broker's life.
    async fn until_phase(&self, phase: Phase) -> Result<(), String> {
        let cluster = self.in_cluster();
        loop {
            let (changed, stopping) = (cluster.life_changed.notified(), self.changed.notified());
            if let Some(why) = self.why_not_to_start() {
                return Err(why);
            }
            let now = cluster.life.borrow().as_ref().map(Lifecycle::phase);
            if now.is_some_and(|now| now >= phase) {
                return Ok(());
            }
            select(pin!(changed), pin!(stopping)).await;
        }
    }

    /// Gives this broker's life its time, until it is over.
    async fn live(self: Rc<Self>, registration: BrokerRegistration) {
        *self.in_cluster().registration.borrow_mut() = Some(registration);
        let mut told = None;
        loop {
            let (changed, stopping) = (self.in_cluster().life_changed.notified(), self.changed.notified());
            let another = self.in_cluster().leader_changed.notified();
            let leader = self.in_cluster().leader().0;
            let is_another = leader.is_some() && leader != told;
            told = leader.or(told);
            let has_ended = self.take_ended(Line::Life);
            self.live_on(if is_another || has_ended { Input::Unheard } else { Input::Tick });
            let life = self.in_cluster().life.borrow().as_ref().map(|life| (life.is_over(), life.next_ms()));
            let Some((false, next_ms)) = life.filter(|_| !self.is_stopping()) else { return };
            let due = async {
                match next_ms {
                    // An answer comes first.
                    u64::MAX => std::future::pending().await,
                    due => self.io.sleep(Duration::from_millis(due.saturating_sub(self.now_ms()))).await,
                }
            };
            let (another, ended) = (pin!(another), pin!(self.until_ended(Line::Life)));
            select(select(select(pin!(changed), pin!(stopping)), select(another, ended)), pin!(due)).await;
        }
    }

    /// Something has happened to this broker. Nothing, if it is not one of a cluster.
    pub(super) fn live_on(self: &Rc<Self>, input: Input) {
        let Some(cluster) = self.cluster.get() else { return };
        let is_news = !matches!(input, Input::Tick | Input::Unheard);
        let mut effects = vec![];
        {
            let mut life = cluster.life.borrow_mut();
            let Some(life) = life.as_mut() else { return };
            let before = life.phase();
            life.on_input(input, self.now_ms(), &mut effects);
            if life.phase() != before {
                tracing::info!(from = ?before, to = ?life.phase(), "this broker goes on");
            }
        }
        for effect in effects {
            self.carry_out_life(effect);
        }
        if is_news {
            cluster.life_changed.notify_all();
        }
    }

    fn carry_out_life(self: &Rc<Self>, effect: Effect) {
        let core = self.clone();
        match effect {
            Effect::GiveUp(why) => self.fail(&why),
            Effect::Register { previous_epoch } => self.io.spawn(async move {
                let outcome = core.register(previous_epoch).await;
                core.live_on(Input::Registered(outcome));
            }),
            Effect::Heartbeat { epoch, want_fence, want_shut_down, offline_log_dirs } => {
                let request = BrokerHeartbeatRequest {
                    broker_id: self.broker_id().0,
                    broker_epoch: epoch,
                    current_metadata_offset: self.in_cluster().applied_offset(),
                    want_fence,
                    want_shut_down,
                    offline_log_dirs,
                };
                self.io.spawn(async move {
                    let outcome = core.heartbeat(request).await;
                    core.live_on(Input::Heard(outcome));
                });
            }
        }
    }

    /// How long one request may take: by then a session is half over.
    fn life_patience(&self) -> Duration {
        Duration::from_millis((self.timing().session_timeout_ms / 2).max(1))
    }

    async fn register(self: &Rc<Self>, previous_epoch: i64) -> Result<i64, ErrorCode> {
        let registration = self.in_cluster().registration.borrow().clone().expect("it is set before the first tick");
        let command = Command::RegisterBroker(BrokerRegistration { previous_epoch, ..registration });
        match self.carry_out_within(command, None, self.life_patience()).await {
            Ok(Reply::Registered(Ok(epoch))) => {
                self.broker_epoch.set(epoch);
                tracing::info!(epoch, "this broker is registered");
                Ok(epoch)
            }
            Ok(Reply::Registered(Err(refusal))) => {
                let why = refusal.1.unwrap_or_default();
                tracing::warn!(error = refusal.0.name(), why, "the controller does not register this broker yet");
                Err(refusal.0)
            }
            _ => Err(ErrorCode::NetworkException),
        }
    }

    async fn heartbeat(self: &Rc<Self>, request: BrokerHeartbeatRequest) -> Result<Heard, ErrorCode> {
        let command = Command::BrokerHeartbeat(request);
        match self.carry_out_within(command, None, self.life_patience()).await {
            Ok(Reply::BrokerHeartbeat(response)) => match ErrorCode::from_code(response.error_code) {
                Some(ErrorCode::None) => Ok(Heard {
                    is_caught_up: response.is_caught_up,
                    is_fenced: response.is_fenced,
                    should_shut_down: response.should_shut_down,
                }),
                error => {
                    let error = error.unwrap_or(ErrorCode::UnknownServerError);
                    tracing::warn!(error = error.name(), "the controller does not take this broker's heartbeat");
                    Err(error)
                }
            },
            _ => Err(ErrorCode::NetworkException),
        }
    }

    /// A log dir has failed: the controller is told of it by its id.
    pub(in crate::shard) fn tell_dir_failed(self: &Rc<Self>, dir: usize) {
        let id: Option<TopicId> = self.dir_ids.borrow().get(dir).copied().flatten();
        if let Some(id) = id {
            self.live_on(Input::DirFailed(id));
        }
    }

    /// This node is to stop: returns when what it leads is led by others, or after a while.
    pub(in crate::shard) async fn take_leave(self: &Rc<Self>) {
        let Some(cluster) = self.cluster.get() else { return };
        let is_broker = cluster.life.borrow().is_some();
        if is_broker && self.config.controlled_shutdown_enable() {
            self.live_on(Input::ShutDown);
            // What prevents it, prevents waiting.
            let _ = self.until_phase(Phase::ShuttingDown).await;
        }
        self.hand_over_quorum().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::MetaProperties;

    fn dir(clean_shutdown: Option<i64>) -> Option<DirReport> {
        let meta = MetaProperties { cluster_id: "c".to_owned(), node_id: 1, directory_id: TopicId([5; 16]) };
        Some(DirReport {
            meta,
            clean_shutdown,
            partitions: vec![],
            recovery_points: Default::default(),
            log_starts: Default::default(),
            high_watermarks: Default::default(),
            cleaned: Default::default(),
        })
    }

    #[test]
    fn a_stop_was_clean_if_every_log_dir_says_so_of_the_same_incarnation() {
        assert_eq!(previous_epoch(&[dir(Some(5)), dir(Some(5))]), 5);
        assert_eq!(previous_epoch(&[dir(Some(5)), dir(Some(4))]), -1);
        assert_eq!(previous_epoch(&[dir(Some(5)), dir(None)]), -1);
        assert_eq!(previous_epoch(&[None, dir(Some(5))]), -1);
        assert_eq!(previous_epoch(&[]), -1);
    }
}
