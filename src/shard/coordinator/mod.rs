//! The group coordinators of a core: one for each partition of `__consumer_offsets` that this core owns and this broker leads.
//!
//! The machine ([`crate::group`]) decides. Here its records are appended to the partition like anybody's, and it is told in the order
//! of the log when they are below the high watermark, which is when what it said of them is answered. It begins with what the log
//! holds: while that is being read requests get COORDINATOR_LOAD_IN_PROGRESS. When the leadership ends, whoever waits gets
//! NOT_COORDINATOR and looks for the coordinator anew.
//!
//! `handle` what the api calls; `records` from the machine's records to batches and back.

mod handle;
mod records;

pub(super) use handle::{GroupOffsets, Offsets};
pub use handle::{ListedGroup, WantedOffsets, group_partition};

use super::core::Core;
use super::gather::{Asker, slots};
use super::partition::Partition;
use super::requests::ProduceResult;
use crate::group::{Answer, Coordinator, Effect, Input, Now, Record, Request, Ticket, WriteId};
use crate::io::{LocalReceiver, Mono, Notify, ReplySender, local_reply};
use crate::log::ReadRequest;
use crate::model::{ErrorCode, LeaderEpoch, TopicIdPartition};
use crate::record::Batches;
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// The topic of groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// `acks` of the coordinator's own writes.
const ALL_IN_SYNC: i16 = -1;

/// What a coordinator says, or why it says nothing: it is loading, or somewhere else.
pub(super) type Said<T> = Result<T, ErrorCode>;

enum Phase {
    /// With the topics that were deleted meanwhile.
    Loading(Vec<Arc<str>>),
    Ready(Box<Coordinator>),
    /// It could not be loaded, or the leadership is over.
    Over,
}

/// One coordinator and its devices.
pub(super) struct Coordination {
    partition: Rc<Partition>,
    epoch: LeaderEpoch,
    phase: RefCell<Phase>,
    parked: RefCell<BTreeMap<Ticket, ReplySender<Said<Answer>>>>,
    next_ticket: Cell<u64>,
    /// Appends whose end is waited for, in the order of the log.
    under_way: RefCell<VecDeque<(WriteId, LocalReceiver<Vec<ProduceResult>>)>>,
    /// A task waits for the first of them.
    reporting: Cell<bool>,
    /// Until when the task of the deadlines sleeps.
    sleeps_until_ms: Cell<u64>,
    sooner: Notify,
}

impl Core {
    /// Begins or ends the coordinator of a partition as its leadership has changed.
    pub(super) fn coordinate(self: &Rc<Self>, partition: &Rc<Partition>) {
        if &*partition.name.topic != OFFSETS_TOPIC {
            return;
        }
        let (leads, epoch) = {
            let state = partition.state();
            (state.replica.leader() == Some(self.broker_id()), state.replica.leader_epoch())
        };
        let known = self.coordinations.borrow().get(&partition.id).map(|known| known.epoch);
        if leads && known == Some(epoch) {
            return;
        }
        self.end_coordination(partition.id);
        if !leads || self.coordinations_over.get() || self.is_offline(partition.dir()) {
            return;
        }
        let coordination = Rc::new(Coordination {
            partition: partition.clone(),
            epoch,
            phase: RefCell::new(Phase::Loading(Vec::new())),
            parked: RefCell::default(),
            next_ticket: Cell::new(0),
            under_way: RefCell::default(),
            reporting: Cell::new(false),
            sleeps_until_ms: Cell::new(0),
            sooner: Notify::new(),
        });
        self.coordinations.borrow_mut().insert(partition.id, coordination.clone());
        let core = self.clone();
        self.io.spawn(async move { coordination.live(&core).await });
    }

    /// The partition is gone or led by somebody else.
    pub(super) fn end_coordination(&self, id: TopicIdPartition) {
        let known = self.coordinations.borrow_mut().remove(&id);
        if let Some(known) = known {
            known.end();
        }
    }

    /// The broker stops: nobody who waits for others is to hold it up.
    pub(super) fn end_coordinations(&self) {
        self.coordinations_over.set(true);
        for known in std::mem::take(&mut *self.coordinations.borrow_mut()).into_values() {
            known.end();
        }
    }

    fn all_coordinations(&self) -> Vec<Rc<Coordination>> {
        self.coordinations.borrow().values().cloned().collect()
    }

    /// Lets coordinators forget offsets that are too old.
    pub(super) async fn expire_group_offsets(self: &Rc<Self>) {
        for coordination in self.all_coordinations() {
            coordination.input(self, Input::ExpireOffsets);
            self.io.yield_if_needed().await;
        }
    }

    /// Topics are gone, and what groups have read of them.
    pub(super) fn forget_group_offsets(self: &Rc<Self>, topics: &[Arc<str>]) {
        for coordination in self.all_coordinations() {
            if let Phase::Loading(deleted) = &mut *coordination.phase.borrow_mut() {
                deleted.extend_from_slice(topics);
                continue;
            }
            coordination.input(self, Input::TopicsDeleted(topics.to_vec()));
        }
    }
}

impl Coordination {
    /// Loads, then keeps the deadlines until it is over.
    async fn live(self: Rc<Self>, core: &Rc<Core>) {
        match self.load(core).await {
            Ok(coordinator) if !self.is_over() => self.begin(core, coordinator),
            Ok(_) => return,
            Err(error) => {
                tracing::error!(partition = %self.partition.name, error, "the groups cannot be loaded");
                return self.end();
            }
        }
        loop {
            let sooner = self.sooner.notified();
            let deadline = match &*self.phase.borrow() {
                Phase::Ready(coordinator) => coordinator.next_deadline_ms(),
                Phase::Loading(_) | Phase::Over => return,
            };
            self.sleeps_until_ms.set(deadline.unwrap_or(u64::MAX));
            match deadline {
                Some(deadline) if deadline <= now(core).mono_ms => {
                    self.input(core, Input::Tick);
                    core.io.yield_if_needed().await;
                }
                Some(deadline) => {
                    let sleep = std::pin::pin!(core.io.sleep_until(Mono(deadline * 1_000_000)));
                    futures_util::future::select(std::pin::pin!(sooner), sleep).await;
                }
                None => sooner.await,
            }
        }
    }

    /// Reads the log to its end, also what is above the high watermark: nothing of it can be taken back by this leader.
    async fn load(&self, core: &Rc<Core>) -> Result<Coordinator, String> {
        let mut coordinator = Coordinator::new(core.settings.groups.clone());
        let log = &self.partition.log;
        let mut next = log.log_start_offset();
        if core.io.planted("groups forgotten at a start") {
            next = log.log_end_offset();
        }
        while next < log.log_end_offset() && !self.is_over() {
            let upper = log.log_end_offset();
            let max_bytes = core.settings.group_load_bytes;
            let request = ReadRequest { offset: next, max_bytes, upper, at_least_one_batch: true };
            let bytes = self.read(core, request).await?;
            let before = next;
            let mut batches = Batches::new(&bytes);
            while let Some(batch) = batches.next() {
                let batch = batch.map_err(|error| error.to_string())?;
                next = batch.header.next_offset();
                records::load(&mut coordinator, &batch, &core.io).await?;
            }
            if next == before {
                return Err(format!("there is no batch at offset {next}"));
            }
        }
        Ok(coordinator)
    }

    async fn read(&self, core: &Rc<Core>, request: ReadRequest) -> Result<Bytes, String> {
        let plan = self.partition.log.read(request).await.map_err(|error| error.to_string())?;
        let mut bytes = BytesMut::with_capacity(plan.bytes as usize);
        for slice in &plan.slices {
            let part = slice.file.read_at(&core.io, slice.position, slice.len as usize).await;
            bytes.extend_from_slice(&part.map_err(|error| error.to_string())?);
        }
        Ok(bytes.freeze())
    }

    fn is_over(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Over)
    }

    /// Whoever waits looks for another coordinator.
    fn end(&self) {
        *self.phase.borrow_mut() = Phase::Over;
        for reply in std::mem::take(&mut *self.parked.borrow_mut()).into_values() {
            reply.send(Err(ErrorCode::NotCoordinator));
        }
        self.sooner.notify_all();
    }

    fn begin(self: &Rc<Self>, core: &Rc<Core>, mut coordinator: Coordinator) {
        let mut effects = Vec::new();
        coordinator.loaded(now(core), &mut effects);
        let before = self.phase.replace(Phase::Ready(Box::new(coordinator)));
        self.carry_out(core, effects);
        if let Phase::Loading(deleted) = before
            && !deleted.is_empty()
        {
            self.input(core, Input::TopicsDeleted(deleted));
        }
    }

    /// Lets the machine decide; it may answer much later.
    fn ask(self: &Rc<Self>, core: &Rc<Core>, request: Request, reply: ReplySender<Said<Answer>>) {
        let refused = match &*self.phase.borrow() {
            Phase::Ready(_) => None,
            // The member goes on as before; whether it may is found out by what it asks next.
            Phase::Loading(_) if matches!(request, Request::Heartbeat(_)) => Some(Ok(Answer::Done(ErrorCode::None))),
            Phase::Loading(_) => Some(Err(ErrorCode::CoordinatorLoadInProgress)),
            Phase::Over => Some(Err(ErrorCode::NotCoordinator)),
        };
        if let Some(answer) = refused {
            return reply.send(answer);
        }
        let ticket = Ticket(self.next_ticket.replace(self.next_ticket.get() + 1));
        self.parked.borrow_mut().insert(ticket, reply);
        self.input(core, Input::Request { ticket, request });
    }

    /// Looks at what is known of groups.
    fn look<T>(&self, look: impl FnOnce(&Coordinator) -> T) -> Said<T> {
        match &*self.phase.borrow() {
            Phase::Ready(coordinator) => Ok(look(coordinator)),
            Phase::Loading(_) => Err(ErrorCode::CoordinatorLoadInProgress),
            Phase::Over => Err(ErrorCode::NotCoordinator),
        }
    }

    fn input(self: &Rc<Self>, core: &Rc<Core>, input: Input) {
        let mut effects = Vec::new();
        let deadline = match &mut *self.phase.borrow_mut() {
            Phase::Ready(coordinator) => {
                coordinator.on_event(input, now(core), &mut effects);
                coordinator.next_deadline_ms()
            }
            Phase::Loading(_) | Phase::Over => return,
        };
        self.carry_out(core, effects);
        if deadline.is_some_and(|deadline| deadline < self.sleeps_until_ms.get()) {
            self.sooner.notify_all();
        }
    }

    fn carry_out(self: &Rc<Self>, core: &Rc<Core>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Answer { ticket, answer } => {
                    let reply = self.parked.borrow_mut().remove(&ticket);
                    // Without one it was answered when the coordination ended.
                    if let Some(reply) = reply {
                        reply.send(Ok(answer));
                    }
                }
                Effect::Append { write, records } => self.append(core, write, &records),
            }
        }
    }

    fn append(self: &Rc<Self>, core: &Rc<Core>, write: WriteId, records: &[Record]) {
        let batch = records::batch(records, core.io.wall_clock_ms(), core.settings.offsets_compression);
        let (sender, ended) = local_reply();
        if core.io.planted("groups told before they are written") {
            self.input(core, Input::Written { write, error: ErrorCode::None });
        } else {
            self.under_way.borrow_mut().push_back((write, ended));
        }
        let slot = slots(1, Asker::Local(sender)).pop().expect("one slot");
        let deadline = core.io.now().after(core.settings.offsets_commit_timeout);
        self.partition.produce(core, batch, ALL_IN_SYNC, deadline, slot);
        if !self.reporting.replace(true) {
            let (coordination, core) = (self.clone(), core.clone());
            core.io.clone().spawn(async move { coordination.report(&core).await });
        }
    }

    /// Tells the machine of each append, in the order of the log.
    async fn report(self: Rc<Self>, core: &Rc<Core>) {
        loop {
            let first = self.under_way.borrow_mut().pop_front();
            let Some((write, ended)) = first else {
                self.reporting.set(false);
                return;
            };
            let error = match ended.await {
                Ok(results) => results[0].error,
                Err(_) => ErrorCode::NotLeaderOrFollower,
            };
            self.input(core, Input::Written { write, error });
        }
    }
}

fn now(core: &Core) -> Now {
    Now { mono_ms: core.io.now().0 / 1_000_000, wall_ms: core.io.wall_clock_ms() }
}
