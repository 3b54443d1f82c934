//! The state of one core, and what it does with each message.

use super::clean::Cleaning;
use super::coordinator::Coordination;
use super::dirs::Homes;
use super::fetcher::Fetchers;
use super::gather::{Asker, slots};
use super::isr::Proposals;
use super::message::Message;
use super::moves::Moves;
use super::partition::Partition;
use super::placement;
use super::read::is_short;
use super::repair::Repairs;
use super::requests::{ProduceResult, ProduceSlice};
use super::settings::{Settings, cleaner_limits};
use super::start::Seats;
use super::throttle::Throttles;
use super::timers::Timers;
use super::watch::Watches;
use crate::config::{BrokerConfig, DynamicConfigs, LiveConfig};
use crate::controller::MetadataImage;
use crate::io::{Io, Mono, Notify, Receiver};
use crate::model::{BrokerId, ErrorCode, TopicId, TopicIdPartition};
use crate::telemetry::RequestStatistics;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The core that runs the controller and the start and stop of all.
pub(super) const FIRST_CORE: usize = 0;

/// One core. Nothing in it is borrowed across an await.
pub(super) struct Core {
    pub(super) io: Io,
    pub(super) index: usize,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) settings: Settings,
    pub(super) seats: Seats,
    pub(super) image: RefCell<Arc<MetadataImage>>,
    /// The broker's settings that may change, as of that image.
    pub(super) live: RefCell<LiveConfig>,
    pub(super) partitions: RefCell<BTreeMap<TopicIdPartition, Rc<Partition>>>,
    /// Log dirs that are offline, by index.
    pub(super) offline: RefCell<BTreeMap<usize, String>>,
    /// `directory.id` of the log dirs, by index; none of one that was offline at the start.
    pub(super) dir_ids: RefCell<Vec<Option<TopicId>>>,
    /// The log dirs of which this core is the home.
    pub(super) homes: Homes,
    pub(super) cleaning: Cleaning,
    pub(super) moves: Moves,
    /// What is damaged of this core's logs.
    pub(super) repairs: Repairs,
    pub(super) watches: RefCell<Watches>,
    pub(super) next_watch: Cell<u64>,
    pub(super) requests: Rc<RequestStatistics>,
    /// What clients with a quota took.
    pub(super) rates: super::quota::Rates,
    pub(super) coordinations: RefCell<BTreeMap<TopicIdPartition, Rc<Coordination>>>,
    /// No coordinator begins any more.
    pub(super) coordinations_over: Cell<bool>,
    /// When partitions do something by themselves.
    pub(super) timers: Timers,
    /// The brokers that this core's followers fetch from.
    pub(super) fetchers: Fetchers,
    /// What replicas that are held back have copied.
    pub(super) throttles: Throttles,
    /// What leaders of all cores propose; used on the controller's core.
    pub(super) proposals: Proposals,
    /// Whether a log of this core may ask for flushes at a time or number of records.
    pub(super) flushes_asked: Cell<bool>,
    stopping: Cell<bool>,
    /// Notified when something that start or stop waits for has changed.
    pub(super) changed: Notify,
    /// Where the start is: the cluster's id once the log dirs and the quorum are open, then that all partitions are.
    pub(super) joined: RefCell<Option<Result<String, String>>>,
    pub(super) ready: RefCell<Option<Result<(), String>>>,
    /// The start is to be given up.
    pub(super) giving_up: Cell<bool>,
    pub(super) closed_cores: Cell<usize>,
    pub(super) closed_clean: Cell<bool>,
    pub(super) halted: Cell<bool>,
    pub(super) control_ended: Cell<bool>,
    /// Epoch of this broker's registration; known on the controller's core.
    pub(super) broker_epoch: Cell<i64>,
    pub(super) fatal: RefCell<Option<String>>,
    pub(super) controller: super::control::ControllerQueue,
    /// This node's part in a cluster of several, on the first core.
    pub(super) cluster: OnceCell<Rc<super::control::Cluster>>,
    pub(super) producer_ids: super::control::ProducerIds,
}

impl Core {
    pub(super) fn new(io: Io, seats: Seats, config: Arc<BrokerConfig>) -> Rc<Self> {
        let index = io.core();
        assert!(index < seats.cores() && seats.cores() == io.cores(), "one mailbox a core");
        let settings = Settings::from(&*config);
        let live = LiveConfig::resolve(&config, &DynamicConfigs::default());
        Rc::new(Self {
            index,
            cleaning: Cleaning::new(cleaner_limits(&live, io.cores())),
            settings,
            live: RefCell::new(live),
            config,
            seats,
            image: RefCell::default(),
            partitions: RefCell::default(),
            offline: RefCell::default(),
            homes: Homes::default(),
            dir_ids: RefCell::default(),
            moves: Moves::default(),
            repairs: Repairs::default(),
            watches: RefCell::default(),
            next_watch: Cell::new(0),
            requests: Rc::default(),
            rates: super::quota::Rates::default(),
            coordinations: RefCell::default(),
            coordinations_over: Cell::new(false),
            timers: Timers::default(),
            fetchers: Fetchers::default(),
            throttles: Throttles::default(),
            proposals: Proposals::default(),
            flushes_asked: Cell::new(false),
            stopping: Cell::new(false),
            changed: Notify::new(),
            joined: RefCell::default(),
            ready: RefCell::default(),
            giving_up: Cell::new(false),
            closed_cores: Cell::new(0),
            closed_clean: Cell::new(true),
            halted: Cell::new(false),
            control_ended: Cell::new(false),
            broker_epoch: Cell::new(-1),
            fatal: RefCell::default(),
            controller: super::control::ControllerQueue::default(),
            cluster: OnceCell::new(),
            producer_ids: super::control::ProducerIds::default(),
            io,
        })
    }

    pub(super) fn cores(&self) -> usize {
        self.seats.cores()
    }

    pub(super) fn owner(&self, id: TopicIdPartition) -> usize {
        placement::owner(id.topic_id, id.partition, self.cores())
    }

    pub(super) fn broker_id(&self) -> BrokerId {
        self.settings.node_id
    }

    /// A message to another core, or to this one by way of its mailbox.
    pub(super) fn send(&self, core: usize, message: Message) {
        self.seats.send(core, message);
    }

    pub(super) fn partition(&self, id: TopicIdPartition) -> Option<Rc<Partition>> {
        self.partitions.borrow().get(&id).cloned()
    }

    pub(super) fn all_partitions(&self) -> Vec<Rc<Partition>> {
        self.partitions.borrow().values().cloned().collect()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Nothing new is accepted from here.
    pub(super) fn begin_stop(&self) {
        self.stopping.set(true);
        self.cleaning.stop();
        self.wake_all_watches();
        self.fetchers.stop();
        self.changed.notify_all();
    }

    /// Empties the mailbox until the broker has stopped.
    pub(super) async fn serve(self: Rc<Self>, mut mailbox: Receiver<Message>) {
        while !self.halted.get()
            && let Some(message) = mailbox.recv().await
        {
            self.on_message(message);
            self.io.yield_if_needed().await;
        }
    }

    pub(super) fn on_message(self: &Rc<Self>, message: Message) {
        match message {
            Message::Produce { slices, acks, deadline, reply } => self.produce(slices, acks, deadline, Asker::Remote(reply)),
            Message::Watch { watch, partitions, isolation } => self.watch(watch, partitions, isolation),
            Message::Unwatch { watch, partitions } => self.unwatch(watch, &partitions),
            Message::Growth { watch, bytes } => self.on_growth(watch, bytes),
            Message::Fetch { read, reply } => self.answer(reply, |core| async move { core.fetch(read).await }),
            Message::ListOffsets { queries, isolation, replica_id, reply } => {
                self.answer(reply, move |core| async move { core.list_offsets(queries, isolation, replica_id).await });
            }
            Message::EpochEnds { queries, reply } if is_short(&queries) => {
                reply.send(queries.iter().map(|query| self.epoch_end(query)).collect());
            }
            Message::EpochEnds { queries, reply } => self.answer(reply, |core| async move { core.epoch_ends(queries).await }),
            Message::DeleteRecords { partitions, reply } => {
                self.answer(reply, |core| async move { core.delete_records(partitions).await });
            }
            Message::Group { id, request, reply } => self.ask_coordinator(id, request, reply),
            Message::GroupOffsets { id, group, wanted, reply } => reply.send(self.offsets_of_group(id, &group, wanted)),
            Message::DescribeGroup { id, group, reply } => reply.send(self.description_of_group(id, &group)),
            Message::ListGroups { reply } => reply.send(self.listed_groups()),
            Message::Statistics { reply } => reply.send(self.statistics()),
            Message::GroupOffsetsOfAll { reply } => self.answer(reply, Core::offsets_of_all_groups),
            Message::AlterLogDirs { partitions, reply } => {
                self.answer(reply, |core| async move { core.alter_log_dirs(partitions).await });
            }
            Message::LogSizes { reply } => self.answer(reply, |core| async move { core.log_sizes().await }),
            Message::Producers { partitions, reply } => {
                self.answer(reply, |core| async move { core.active_producers(partitions).await });
            }
            Message::Controller { command, mutations, reply } => self.enqueue_command(command, mutations, reply),
            Message::ControllerHere { command, mutations, reply } => self.enqueue_command_here(command, mutations, reply),
            Message::HeartbeatsBegin { broker, line } => self.heartbeats_begin(broker, line),
            Message::HeartbeatsEnded { broker, epoch, line } => self.heartbeats_ended(broker, epoch, line),
            Message::Quorum(call) => self.on_quorum_call(call),
            Message::Charge { charge, reply } => reply.send(self.take_charge(charge)),
            Message::ProducerIds { reply } => self.enqueue_producer_ids(reply),
            Message::ProposeIsr { id, proposal, from } => self.on_isr_proposed(id, proposal, from),
            Message::IsrAnswered { id, number, result } => self.on_isr_answered(id, number, result),
            Message::Prepare { image, delta, reply } => {
                self.answer(reply, |core| async move { core.prepare(image, delta).await });
            }
            Message::Image { image, delta, reply } => self.answer(reply, |core| async move { core.apply(image, delta).await }),
            Message::Misplaced { image, delta, reply } => reply.send(self.misplaced_of(&image, &delta)),
            Message::OpenDir { dir, cluster_id, reply } => {
                self.answer(reply, move |core| async move { core.open_dir(dir, &cluster_id).await });
            }
            Message::Load { image, dirs, reply } => self.answer(reply, |core| async move { core.load(image, dirs).await }),
            Message::InUse { reply } => self.answer(reply, |core| async move { core.dirs_in_use().await }),
            Message::Joined(outcome) => {
                *self.joined.borrow_mut() = Some(outcome);
                self.changed.notify_all();
            }
            Message::Ready(outcome) => {
                if outcome.is_ok() {
                    self.start_ticks();
                    self.resume_moves();
                    self.start_scrubbing();
                }
                *self.ready.borrow_mut() = Some(outcome);
                self.changed.notify_all();
            }
            Message::Offsets { dir, from, offsets, write } => self.on_offsets(dir, from, offsets, write),
            Message::DirFailed { dir, reason } => self.on_dir_failed(dir, &reason),
            Message::RemoveDir { dir, path, delay_ms } => self.homes.remove_later(dir, path, Duration::from_millis(delay_ms)),
            Message::Closed { clean } => {
                self.closed_cores.set(self.closed_cores.get() + 1);
                self.closed_clean.set(self.closed_clean.get() && clean);
                self.changed.notify_all();
            }
            Message::CloseDirs { broker_epoch, reply } => {
                self.answer(reply, move |core| async move { core.close_dirs(broker_epoch).await });
            }
            Message::Halt => {
                self.halted.set(true);
                self.changed.notify_all();
            }
        }
    }

    /// Answers by a task of its own, so that what waits does not hold up the mailbox.
    fn answer<T: Send + 'static, F: Future<Output = T> + 'static>(
        self: &Rc<Self>,
        reply: crate::io::ReplySender<T>,
        work: impl FnOnce(Rc<Self>) -> F + 'static,
    ) {
        let core = self.clone();
        self.io.spawn(async move { reply.send(work(core).await) });
    }

    /// Hands slices to their partitions, in order.
    pub(super) fn produce(self: &Rc<Self>, slices: Vec<ProduceSlice>, acks: i16, deadline: Mono, asker: Asker) {
        let slots = slots(slices.len(), asker);
        for (slice, slot) in slices.into_iter().zip(slots) {
            let id = TopicIdPartition { topic_id: slice.topic_id, partition: slice.partition };
            match self.partition(id) {
                _ if self.is_stopping() => slot.refuse(ErrorCode::NotLeaderOrFollower, None),
                Some(partition) => partition.produce(self, slice.batch, acks, deadline, slot),
                None => {
                    let error = self.missing(id);
                    let current_leader = self.leader_in_image(id, error);
                    slot.answer(ProduceResult { current_leader, ..ProduceResult::failed(error, None) });
                }
            }
        }
    }
}
