//! The life of the broker: check the machine, start the cores, take the ports, open the partitions, serve, stop.

use super::budget::Budget;
use super::connection::{Host, serve};
use super::listener::{Accepting, Door, Handoff, Loads, accept};
use super::registry::Registry;
use crate::admin::Admin;
use crate::api::{ApiContext, Connection};
use crate::config::{BrokerConfig, Listener as ListenerConfig};
use crate::io::{
    self, Accepted, Finding, Handover, Io, ListenOptions, Listener, Receiver, Sender, Severity, Signal, StartError, Supervisor,
    Topology, mailbox,
};
use crate::shard::{OpenError, Seats, Shards};
use crate::telemetry::LogLevels;
use futures_util::future::{Either, select};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// How long a clean stop waits for requests that are under way.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a start asks again for a port that is taken: the kernel lets go of a killed broker's rings, and of the sockets in them, a
/// moment after its end.
const PORT_PATIENCE: Duration = Duration::from_secs(1);
const PORT_RETRY: Duration = Duration::from_millis(10);

/// Memory for requests in flight over all cores where `queued.max.request.bytes` does not say, in bytes. Kafka's default is no
/// limit; a bound is what keeps slow disks and hostile clients from filling the memory.
const DEFAULT_REQUEST_MEMORY: usize = 512 << 20;

/// Why the broker did not start, or has ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The machine refuses something that is needed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A log dir or the metadata cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A listener's address cannot be had.
    #[error(
        "cannot listen on {listener}: {error}; another program may hold the port (`ss -ltnp` shows which), or the host may not be \
         this machine's: change `listeners`"
    )]
    Listen {
        /// The listener as configured.
        listener: String,
        /// What the kernel or the resolver said.
        error: std::io::Error,
    },
    /// It served, and something has failed that it needs: its last log dir, or that of the metadata.
    #[error("the broker cannot go on: {0}")]
    CannotGoOn(String),
}

/// The cores that a broker with these settings has.
pub fn topology(config: &BrokerConfig) -> Topology {
    let cores = match config.cores() {
        0 => io::affinity_cores(),
        cores => cores,
    };
    Topology { cores, busy_poll: Duration::from_micros(config.busy_poll_us() as u64) }
}

/// Refuses a machine on which acked records could be lost, and says what will slow the broker.
fn judge_machine(topology: &Topology, config: &BrokerConfig) -> Result<(), StartError> {
    for Finding { severity, what, found, advice } in io::survey(topology, &config.log_dirs()) {
        match severity {
            Severity::Good => {}
            Severity::Poor => tracing::warn!(what, found, "{advice}"),
            Severity::Bad => return Err(StartError(format!("{what}: {found}: {advice}"))),
        }
    }
    Ok(())
}

/// Runs a broker on this machine until SIGTERM or SIGINT.
///
/// # Errors
/// What prevents the start, or what it could not go on without. A supervisor may start it again.
pub fn run(config: BrokerConfig, log_levels: LogLevels) -> Result<(), RunError> {
    if let Err(error) = io::raise_nofile() {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    let topology = topology(&config);
    io::check_machine(&topology)?;
    judge_machine(&topology, &config)?;
    let broker = Broker { log_levels, ..Broker::new(config, topology.cores) };
    let (failed, mut failure) = mailbox();
    let cores = io::start(&topology, move |io| {
        let (broker, failed) = (broker.clone(), failed.clone());
        async move {
            if let Err(error) = broker.run_core(io).await {
                failed.send(error);
            }
        }
    })?;
    cores.join()?;
    failure.try_recv().map_or(Ok(()), Err)
}

/// What the first core tells the others.
enum Order {
    /// The ports are taken: listen on these addresses too, one for each configured listener.
    Listen(Vec<SocketAddr>),
    /// The broker stops.
    Stop,
}

/// What one core gets from the others.
struct Inbox {
    orders: Receiver<Order>,
    handoffs: Receiver<Handoff>,
}

/// A broker that is about to run: what its cores share before they know each other.
#[derive(Clone)]
pub struct Broker {
    config: Arc<BrokerConfig>,
    log_levels: LogLevels,
    seats: Seats,
    hostname: Arc<str>,
    loads: Arc<Loads>,
    orders: Vec<Sender<Order>>,
    handoffs: Vec<Sender<Handoff>>,
    inboxes: Handover<Inbox>,
}

impl Broker {
    /// A broker of `cores` cores, whose loggers nobody may change.
    pub fn new(config: BrokerConfig, cores: usize) -> Self {
        let (orders, order_ends): (Vec<_>, Vec<_>) = (0..cores).map(|_| mailbox()).unzip();
        let (handoffs, handoff_ends): (Vec<_>, Vec<_>) = (0..cores).map(|_| mailbox()).unzip();
        let inboxes = order_ends.into_iter().zip(handoff_ends).map(|(orders, handoffs)| Inbox { orders, handoffs });
        Self {
            seats: Seats::new(cores),
            loads: Loads::new(cores, all_listeners(&config).map(|listener| listener.name.as_str())),
            inboxes: Handover::new(inboxes),
            config: Arc::new(config),
            log_levels: LogLevels::default(),
            hostname: io::hostname().into(),
            orders,
            handoffs,
        }
    }

    /// What one core does from its first turn to its last. To be run on every core; returns on all of them when core 0 gets a
    /// signal to stop.
    ///
    /// # Errors
    /// What prevents the start or ends the broker, on at least one core; the others return quietly.
    pub async fn run_core(self, io: Io) -> Result<(), RunError> {
        let Inbox { mut orders, handoffs } = self.inboxes.take(io.core());
        let Some(listeners) = self.ports(&io, &mut orders).await? else { return Ok(()) };
        // Those for clients come first; nobody but clients is told them.
        let addresses: Vec<_> = listeners.iter().map(|(_, address)| *address).take(self.config.listeners.len()).collect();
        let admin = Admin::new();
        let http = if io.core() == 0 { self.listen_to_http(&io, &admin)? } else { None };
        let shards = Shards::join(io.clone(), self.seats.clone(), self.config.clone(), &addresses).await?;
        let api = ApiContext::new(shards.clone(), &addresses, &self.hostname, self.log_levels.clone());
        let registry = Registry::new();
        let host = Rc::new(Host {
            io: io.clone(),
            api,
            registry: registry.clone(),
            requests: shards.requests(),
            budget: Budget::new(request_memory(&self.config) / io.cores()),
            max_frame: usize::try_from(self.config.socket_request_max_bytes()).unwrap_or(0),
        });
        let door = Door::new(shards.clone(), self.loads.clone(), self.handoffs.clone());
        io.spawn(take_handoffs(host, handoffs, Rc::downgrade(&door)));
        let idle = Duration::from_millis(u64::try_from(self.config.connections_max_idle_ms()).unwrap_or(u64::MAX / 1_000_000));
        io.spawn(registry.clone().reap_idle(io.clone(), idle));
        // Other nodes are answered before this one is ready: controllers have to agree on a leader first, and to let brokers in.
        let (for_clients, for_nodes): (Vec<_>, Vec<_>) =
            listeners.into_iter().zip(all_listeners(&self.config)).partition(|(_, configured)| self.is_for_clients(configured));
        let mut listeners = self.listen(&shards, for_nodes, &registry);
        let mut signal = pin!(io.signal());
        let early = match ready(&shards, signal.as_mut()).await {
            Ok(early) => early,
            Err(error) => return if error.is_given_up() { Ok(()) } else { Err(error.into()) },
        };
        listeners.extend(self.listen(&shards, for_clients, &registry));
        let mut failure = None;
        if io.core() == 0 {
            tracing::info!(version = env!("CARGO_PKG_VERSION"), cores = io.cores(), "the broker serves");
            let supervisor = Rc::new(Supervisor::from_environment());
            supervisor.is_ready();
            admin.is_ready(&shards);
            io.spawn(keep_alive(io.clone(), supervisor.clone(), registry.clone()));
            let reason = match early {
                Some(signal) => Ending::Wanted(signal),
                None => ending(&shards, signal).await,
            };
            supervisor.is_stopping();
            match reason {
                Ending::Wanted(signal) => {
                    tracing::info!(?signal, "stopping");
                    shards.take_leave().await;
                }
                Ending::Forced(reason) => {
                    tracing::error!(reason, "stopping: the broker cannot go on");
                    failure = Some(RunError::CannotGoOn(reason));
                }
            }
            self.tell_others(|| Order::Stop);
        } else {
            let order = orders.recv().await;
            assert!(!matches!(order, Some(Order::Listen(_))), "the ports are told once");
        }
        registry.begin_stop();
        admin.is_stopping();
        shards.end_groups();
        for listener in listeners {
            listener.close();
        }
        registry.stop(&io, STOP_GRACE).await;
        shards.stop().await;
        if let Some(http) = http {
            http.close();
        }
        tracing::info!(
            core = io.core(), longest_us = io.counters().longest_stall_us, longest_write_us = io.counters().longest_write_us,
            held_us_below = %io.stalls(), "how long tasks held the core"
        );
        if io.core() == 0 {
            tracing::info!("stopped");
        }
        failure.map_or(Ok(()), Err)
    }

    /// The listeners with the addresses that they have, before any file is touched; `None` if this core is to stop.
    async fn ports(&self, io: &Io, orders: &mut Receiver<Order>) -> Result<Option<Vec<(Listener, SocketAddr)>>, RunError> {
        if io.core() > 0 {
            return match orders.recv().await {
                Some(Order::Listen(addresses)) => join_ports(io, &self.config, addresses).map(Some),
                Some(Order::Stop) | None => Ok(None),
            };
        }
        let taken = take_ports(io, &self.config).await;
        match &taken {
            Ok(listeners) => {
                let addresses = listeners.iter().map(|(_, address)| *address).collect::<Vec<_>>();
                self.tell_others(|| Order::Listen(addresses.clone()));
            }
            Err(_) => self.tell_others(|| Order::Stop),
        }
        taken.map(Some)
    }

    fn tell_others(&self, order: impl Fn() -> Order) {
        for sender in &self.orders[1..] {
            sender.send(order());
        }
    }

    /// Answers on `flumen.http.listener`, also while the logs are being opened.
    fn listen_to_http(&self, io: &Io, admin: &Rc<Admin>) -> Result<Option<Rc<Listener>>, RunError> {
        let Some(address) = self.config.http_listener().filter(|address| !address.is_empty()) else { return Ok(None) };
        let parsed = address.parse().expect("the configuration was checked");
        let refused = |error| RunError::Listen { listener: format!("flumen.http.listener {address}"), error };
        let listener = Rc::new(io.listen(parsed, false).map_err(refused)?);
        tracing::info!(%address, "metrics and health");
        io.spawn(admin.clone().serve(io.clone(), listener.clone()));
        Ok(Some(listener))
    }

    fn is_for_clients(&self, listener: &ListenerConfig) -> bool {
        self.config.listeners.iter().any(|one| one.name == listener.name)
    }

    /// Starts to accept.
    fn listen(
        &self,
        shards: &Shards,
        listeners: Vec<((Listener, SocketAddr), &ListenerConfig)>,
        registry: &Rc<Registry>,
    ) -> Vec<Rc<Listener>> {
        let io = shards.io();
        let mut accepting = Vec::new();
        for ((listener, address), configured) in listeners {
            let listener = Rc::new(listener);
            if io.core() == 0 {
                tracing::info!(listener = %configured.name, %address, "listening");
            }
            io.spawn(accept(Accepting {
                io: io.clone(),
                listener: listener.clone(),
                name: configured.name.as_str().into(),
                registry: registry.clone(),
                shards: shards.clone(),
                loads: self.loads.clone(),
                cores: self.handoffs.clone(),
            }));
            accepting.push(listener);
        }
        accepting
    }
}

/// Tells the supervisor again and again that the first core has turns, until the broker stops.
async fn keep_alive(io: Io, supervisor: Rc<Supervisor>, registry: Rc<Registry>) {
    let Some(interval) = supervisor.alive_interval() else { return };
    while !registry.is_stopping() {
        supervisor.is_alive();
        io.sleep(interval).await;
    }
}

/// Memory for requests in flight over all cores, in bytes.
fn request_memory(config: &BrokerConfig) -> usize {
    match usize::try_from(config.queued_max_request_bytes()) {
        Ok(bytes) if bytes > 0 => bytes,
        _ => DEFAULT_REQUEST_MEMORY,
    }
}

/// How clients are listened to, on each core.
fn listen_options(config: &BrokerConfig) -> ListenOptions {
    // A size of -1 is left to the system.
    let size = |bytes: i32| usize::try_from(bytes).ok();
    ListenOptions {
        shared: true,
        backlog: Some(config.socket_listen_backlog_size()),
        send_buffer: size(config.socket_send_buffer_bytes()),
        receive_buffer: size(config.socket_receive_buffer_bytes()),
    }
}

/// The listeners that are opened: those for clients, then those of a controller. A node that is alone has no use for the latter.
fn all_listeners(config: &BrokerConfig) -> impl Iterator<Item = &ListenerConfig> {
    let for_nodes = if config.is_alone() { &[][..] } else { &config.controller_listeners[..] };
    config.listeners.iter().chain(for_nodes)
}

/// Why a broker that serves stops.
enum Ending {
    Wanted(Signal),
    Forced(String),
}

async fn ending(shards: &Shards, signal: Pin<&mut impl Future<Output = Signal>>) -> Ending {
    match select(signal, pin!(shards.fatal())).await {
        Either::Left((signal, _)) => Ending::Wanted(signal),
        Either::Right((reason, _)) => Ending::Forced(reason),
    }
}

/// Waits until everything is ready. A signal to stop, which comes on the first core, gives the start up; it is returned if that was too
/// late.
async fn ready(shards: &Shards, signal: Pin<&mut impl Future<Output = Signal>>) -> Result<Option<Signal>, OpenError> {
    if shards.io().core() > 0 {
        return shards.ready().await.map(|()| None);
    }
    match select(pin!(shards.ready()), signal).await {
        Either::Left((outcome, _)) => outcome.map(|()| None),
        Either::Right((signal, ready)) => {
            tracing::info!(?signal, "stopping before the start has come to its end");
            shards.give_up_start();
            ready.await.map(|()| Some(signal))
        }
    }
}

/// Binds every configured listener on the first core.
async fn take_ports(io: &Io, config: &BrokerConfig) -> Result<Vec<(Listener, SocketAddr)>, RunError> {
    let mut taken = Vec::new();
    for listener in all_listeners(config) {
        let refused = |error| RunError::Listen { listener: listener.to_string(), error };
        let address = resolve(io, listener).await.map_err(refused)?;
        // With SO_REUSEPORT a second broker could share the port and steal connections, so look without it first.
        probe_port(io, address).await.map_err(refused)?;
        let bound = io.listen_with(address, listen_options(config)).map_err(refused)?;
        let address = bound.local_addr().map_err(refused)?;
        taken.push((bound, address));
    }
    Ok(taken)
}

/// Whether a port can be had, after a while if need be.
async fn probe_port(io: &Io, address: SocketAddr) -> std::io::Result<()> {
    let until = io.now().after(PORT_PATIENCE);
    loop {
        match io.probe_port(address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && io.now() < until => io.sleep(PORT_RETRY).await,
            result => return result,
        }
    }
}

/// Listens on another core on the ports that the first has taken.
fn join_ports(io: &Io, config: &BrokerConfig, addresses: Vec<SocketAddr>) -> Result<Vec<(Listener, SocketAddr)>, RunError> {
    assert_eq!(addresses.len(), all_listeners(config).count(), "an address for each listener");
    let bind = |(address, listener): (SocketAddr, &ListenerConfig)| match io.listen_with(address, listen_options(config)) {
        Ok(bound) => Ok((bound, address)),
        Err(error) => Err(RunError::Listen { listener: listener.to_string(), error }),
    };
    addresses.into_iter().zip(all_listeners(config)).map(bind).collect()
}

/// The address that a listener's host stands for; no host means all of them, as in Kafka.
async fn resolve(io: &Io, listener: &ListenerConfig) -> std::io::Result<SocketAddr> {
    if listener.host.is_empty() {
        return Ok(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, listener.port)));
    }
    let addresses = io.resolve(&listener.host, listener.port).await?;
    addresses.into_iter().next().ok_or_else(|| std::io::Error::other("the host name has no address"))
}

/// Counts connections, and serves those that this core is given, as long as the broker has a door.
async fn take_handoffs(host: Rc<Host>, mut handoffs: Receiver<Handoff>, door: Weak<Door>) {
    while let Some(handoff) = handoffs.recv().await {
        let Some(door) = door.upgrade() else { return };
        match handoff {
            Handoff::Arrived { accepted, listener, by } => door.arrived(accepted, listener, by),
            Handoff::Placed { accepted, listener } => take(&host, &door, accepted, &listener),
            Handoff::Ended(address) => door.ended(address),
        }
    }
}

fn take(host: &Rc<Host>, door: &Rc<Door>, accepted: Accepted, listener: &Arc<str>) {
    let (io, peer) = (host.io.clone(), accepted.peer_addr());
    match accepted.attach(&io) {
        Ok(socket) => {
            let (host, door, listener) = (host.clone(), door.clone(), listener.clone());
            let connection = Connection::new(peer, &listener, host.api.audience_of(&listener));
            io.clone().spawn(async move {
                serve(host, socket, connection).await;
                door.served(io.core(), peer, &listener);
            });
        }
        Err(error) => {
            tracing::error!(%peer, %error, "cannot take a connection");
            door.served(io.core(), peer, listener);
        }
    }
}
