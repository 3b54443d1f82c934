//! What this core's followers get from their leaders: one task and one connection for each broker that leads any of them, and a second
//! of each while somebody is in a hurry.
//!
//! What is followed anew, or comes late, while the first waits at the leader, is asked for over the second, until the session takes it over:
//! a partition whose leader has just changed must not wait for one that has nothing new.
//!
//! `plan` says what to ask and whose the answers are, `answer` what they mean, `replica` what a partition makes of that; here it is sent.
//! One question is under way at a time. The next one goes out when all that came is in the logs, since it tells the leader so, and acks
//! wait for that; only if a device is slow the others go on without it, and come back soon.
//!
//! Memory: an answer is no longer than `replica.fetch.response.max.bytes` (or one batch), and no new one is asked for while
//! [`MAX_HELD`] answers are not in the logs yet. A partition that gets an error has a pause of its own, see `replica`; so has each
//! partition of a leader that cannot be reached. Nobody is connected to in vain all the time.

mod answer;
mod plan;
#[cfg(all(test, feature = "sim"))]
mod tests;

use super::core::Core;
use super::follow::Fetched;
use super::settings::Fetching;
use crate::client::Connection;
use crate::io::{Mono, Notify};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicIdPartition};
use crate::protocol::StrBytes;
use crate::protocol::generated::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use crate::protocol::generated::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::generated::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};
use crate::replica::{FetchAnswer, FetchPosition, Input, LeaderOffsets};
use futures_util::future::{Either, select};
use plan::{Answered, Plan, Request};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Version of Fetch that is spoken; a later one says nothing that followers of partitions need.
const MAX_FETCH_VERSION: i16 = 17;
/// Topics are named by id since this version (KIP-516); nothing older is spoken.
const MIN_FETCH_VERSION: i16 = 13;
/// The replica id is in a tagged field of its own since this version (KIP-903).
const REPLICA_STATE_SINCE: i16 = 15;
/// How long the next question waits for what came to be in the logs.
const SETTLE: Duration = Duration::from_millis(50);
/// How long the leader waits, in milliseconds, while there are partitions that will have something to say soon.
const SHORT_WAIT_MS: i32 = 20;
/// How long those wait at the leader at first that are asked for beside the session's request, and twice as long after each time that there
/// was nothing new: who comes meanwhile waits for their answer, and a client's ack with it.
const HURRY: Duration = Duration::from_millis(10);
/// Answers that are not in the logs yet.
const MAX_HELD: usize = 3;
/// A connection that nobody has needed for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// ListOffsets' special timestamps.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// The brokers that one core's followers fetch from.
#[derive(Default)]
pub(super) struct Fetchers {
    by_leader: RefCell<BTreeMap<BrokerId, Rc<Fetcher>>>,
}

/// One of them.
struct Fetcher {
    leader: BrokerId,
    plan: RefCell<Plan>,
    /// Answers that are not in the logs yet.
    held: Cell<usize>,
    /// Until when the session's request may wait at the leader, if it does.
    waits_until: Cell<Option<Mono>>,
    /// There is a task for those who do not wait for that.
    has_hurry: Cell<bool>,
    /// Notified when there is more to ask, less to wait for, or less that is held.
    changed: Notify,
}

/// Says that an answer is in memory, as long as any clone lives.
#[derive(Clone)]
pub(super) struct Held(#[expect(dead_code, reason = "what counts is when it is dropped")] Rc<HeldAnswer>);

struct HeldAnswer(Rc<Fetcher>);

impl Held {
    fn new(fetcher: &Rc<Fetcher>) -> Self {
        fetcher.held.set(fetcher.held.get() + 1);
        Self(Rc::new(HeldAnswer(fetcher.clone())))
    }
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
        self.0.changed.notify_all();
    }
}

impl Fetchers {
    /// The broker stops: nobody waits for a leader any more.
    pub(super) fn stop(&self) {
        for fetcher in self.by_leader.borrow().values() {
            fetcher.changed.notify_all();
        }
    }
}

impl Core {
    /// A partition of this core waits for what its leader has at `position`.
    pub(super) fn fetch_from(self: &Rc<Self>, position: FetchPosition, id: TopicIdPartition) {
        let fetcher = self.fetcher(position.leader);
        fetcher.plan.borrow_mut().want(id, position);
        fetcher.changed.notify_all();
        if fetcher.waits_until.get().is_some() && !fetcher.has_hurry.replace(true) {
            let core = self.clone();
            self.io.spawn(async move { core.run_hurry(fetcher).await });
        }
    }

    /// A partition of this core wants to know where its leader's log begins and ends.
    pub(super) fn ask_offsets_of(self: &Rc<Self>, leader: BrokerId, leader_epoch: LeaderEpoch, id: TopicIdPartition) {
        let fetcher = self.fetcher(leader);
        fetcher.plan.borrow_mut().ask(id, leader_epoch);
        fetcher.changed.notify_all();
    }

    /// A partition of this core does not listen to `leader` any more.
    pub(super) fn do_not_fetch(&self, leader: BrokerId, id: TopicIdPartition) {
        if let Some(fetcher) = self.fetchers.by_leader.borrow().get(&leader) {
            fetcher.plan.borrow_mut().forget(id);
            fetcher.changed.notify_all();
        }
    }

    fn fetcher(self: &Rc<Self>, leader: BrokerId) -> Rc<Fetcher> {
        let mut by_leader = self.fetchers.by_leader.borrow_mut();
        let fetcher = by_leader.entry(leader).or_insert_with(|| {
            let fetcher = Rc::new(Fetcher {
                leader,
                plan: RefCell::default(),
                held: Cell::new(0),
                waits_until: Cell::new(None),
                has_hurry: Cell::new(false),
                changed: Notify::new(),
            });
            let (core, running) = (self.clone(), fetcher.clone());
            self.io.spawn(async move { core.run_fetcher(running).await });
            fetcher
        });
        fetcher.clone()
    }

    /// Asks one leader for all that this core wants of it, until that is nothing for a while, or the broker stops.
    async fn run_fetcher(self: Rc<Self>, fetcher: Rc<Fetcher>) {
        let mut connection: Option<Connection> = None;
        while !self.is_stopping() {
            let changed = fetcher.changed.notified();
            let questions = fetcher.plan.borrow_mut().take_questions();
            if !questions.is_empty() {
                self.ask_offsets(&fetcher, &mut connection, questions).await;
                continue;
            }
            let request = fetcher.plan.borrow_mut().request();
            if let Some(request) = request {
                self.fetch_once(&fetcher, &mut connection, request).await;
                self.settle(&fetcher).await;
                continue;
            }
            if let Either::Right(_) = select(pin!(changed), pin!(self.io.sleep(IDLE))).await
                && fetcher.plan.borrow().is_idle()
            {
                self.fetchers.by_leader.borrow_mut().remove(&fetcher.leader);
                return;
            }
        }
    }

    /// Asks for what is wanted first while the session's request waits at the leader, until there is nothing of that for a while.
    async fn run_hurry(self: Rc<Self>, fetcher: Rc<Fetcher>) {
        let mut connection: Option<Connection> = None;
        let mut wait = HURRY;
        while !self.is_stopping() {
            let changed = fetcher.changed.notified();
            let Some((request, left)) = self.hurry(&fetcher) else {
                wait = HURRY;
                match select(pin!(changed), pin!(self.io.sleep(IDLE))).await {
                    Either::Left(_) => continue,
                    Either::Right(_) => break,
                }
            };
            let max_wait_ms = i32::try_from(wait.min(left).as_millis()).unwrap_or(i32::MAX);
            let answered = match self.send_fetch(&fetcher, &mut connection, request, max_wait_ms).await {
                Ok(response) => {
                    let (error, told) = (error_of(&response), told(response));
                    let has_records = |data: &PartitionData| data.records.bytes().is_some_and(|records| !records.is_empty());
                    wait = if told.iter().any(|(_, data)| has_records(data)) { HURRY } else { wait.saturating_mul(2) };
                    fetcher.plan.borrow_mut().hurry_answered(error, told)
                }
                Err(why) => {
                    connection = None;
                    let waiting = fetcher.plan.borrow_mut().hurry_failed();
                    tracing::debug!(leader = %fetcher.leader, partitions = waiting.len(), why, "nothing was fetched in a hurry");
                    Answered::Failed(ErrorCode::NetworkException, waiting)
                }
            };
            self.hand_out(&fetcher, answered).await;
            // The session may wait for nothing but this.
            fetcher.changed.notify_all();
        }
        fetcher.has_hurry.set(false);
    }

    /// What to ask for beside, if anything, and how long that may wait: the session's next request is to take it over.
    fn hurry(&self, fetcher: &Fetcher) -> Option<(Request, Duration)> {
        let until = fetcher.waits_until.get().filter(|_| fetcher.held.get() < MAX_HELD)?;
        let left = match until.since(self.io.now()) {
            // The leader is late.
            Duration::ZERO => HURRY,
            left if left < 2 * HURRY => return None,
            left => left - HURRY,
        };
        Some((fetcher.plan.borrow_mut().hurry()?, left))
    }

    /// Waits until what came is in the logs, unless that takes long.
    async fn settle(&self, fetcher: &Fetcher) {
        if fetcher.held.get() == 0 {
            return;
        }
        let until = self.io.now().after(SETTLE);
        let mut sleep = pin!(self.io.sleep_until(until));
        loop {
            let changed = fetcher.changed.notified();
            let is_over = self.io.now() >= until;
            if fetcher.held.get() == 0 || (is_over && fetcher.held.get() < MAX_HELD) || self.is_stopping() {
                return;
            }
            if is_over {
                changed.await;
            } else {
                select(pin!(changed), sleep.as_mut()).await;
            }
        }
    }

    /// One question, its answer, and what the partitions make of that.
    async fn fetch_once(self: &Rc<Self>, fetcher: &Rc<Fetcher>, connection: &mut Option<Connection>, request: Request) {
        let answer = {
            let max_wait_ms = match fetcher.held.get() {
                0 => self.settings.fetching.max_wait_ms,
                _ => SHORT_WAIT_MS.min(self.settings.fetching.max_wait_ms),
            };
            let wait = Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0));
            fetcher.waits_until.set(Some(self.io.now().after(wait)));
            let call = pin!(self.send_fetch(fetcher, connection, request, max_wait_ms));
            match select(call, pin!(self.until_abandoned(fetcher))).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err("nobody needs the answer any more".to_owned()),
            }
        };
        fetcher.waits_until.set(None);
        let answered = match answer {
            Ok(response) => {
                let (error, session_id, told) = (error_of(&response), response.session_id, told(response));
                fetcher.plan.borrow_mut().answered(error, session_id, told)
            }
            Err(why) => {
                // It may be in the middle of an answer.
                *connection = None;
                let waiting = fetcher.plan.borrow_mut().failed();
                if !waiting.is_empty() {
                    tracing::warn!(leader = %fetcher.leader, partitions = waiting.len(), why, "nothing was fetched");
                }
                Answered::Failed(ErrorCode::NetworkException, waiting)
            }
        };
        self.hand_out(fetcher, answered).await;
    }

    async fn hand_out(self: &Rc<Self>, fetcher: &Rc<Fetcher>, answered: Answered<PartitionData>) {
        match answered {
            Answered::Again => {}
            Answered::Failed(error, waiting) => {
                for (id, asked) in waiting {
                    if let Some(partition) = self.partition(id) {
                        partition.on_fetched(self, asked, FetchAnswer::failed(error), None);
                    }
                    self.io.yield_if_needed().await;
                }
            }
            Answered::News(news) => {
                let held = Held::new(fetcher);
                for (id, asked, data) in news {
                    let Some(partition) = self.partition(id) else { continue };
                    let (answer, batches) = answer::judge(asked.leader_epoch, &data, |leader| partition.divergence(leader));
                    if answer.error.is_error() {
                        tracing::debug!(partition = %partition.name, leader = %fetcher.leader, error = %answer.error, "not fetched");
                    }
                    let fetched = (!batches.is_empty()).then(|| Fetched { batches, held: held.clone() });
                    partition.on_fetched(self, asked, answer, fetched);
                    self.io.yield_if_needed().await;
                }
            }
        }
    }

    /// Returns when nobody waits for what was asked last, or the broker stops.
    async fn until_abandoned(&self, fetcher: &Fetcher) {
        loop {
            let changed = fetcher.changed.notified();
            if self.is_stopping() || !fetcher.plan.borrow().is_awaited() {
                return;
            }
            changed.await;
        }
    }

    async fn send_fetch(
        &self,
        fetcher: &Fetcher,
        connection: &mut Option<Connection>,
        request: Request,
        max_wait_ms: i32,
    ) -> Result<FetchResponse, String> {
        let connection = self.connected(fetcher.leader, connection).await?;
        let version = connection.version_of::<FetchRequest>().map_err(|error| error.to_string())?.min(MAX_FETCH_VERSION);
        if version < MIN_FETCH_VERSION {
            return Err(format!("it serves Fetch up to version {version} only"));
        }
        let broker_epoch = self.image.borrow().broker(self.broker_id()).map_or(-1, |broker| broker.epoch);
        let request = message(version, request, (self.broker_id(), broker_epoch), max_wait_ms, &self.settings.fetching);
        let limit = self.settings.fetching.answer_timeout;
        connection.call(version, &request, limit).await.map_err(|error| error.to_string())
    }

    /// The open connection, or a new one to where the metadata have the broker.
    async fn connected(&self, leader: BrokerId, connection: &mut Option<Connection>) -> Result<Connection, String> {
        if let Some(open) = connection.as_ref().filter(|open| open.closed().is_none()) {
            return Ok(open.clone());
        }
        *connection = None;
        let listener = &self.settings.inter_broker_listener;
        let endpoint = self.image.borrow().broker(leader).and_then(|broker| broker.endpoint(listener).cloned());
        let endpoint = endpoint.ok_or_else(|| format!("the metadata have no {listener} listener of the broker"))?;
        let (host, port) = (&*endpoint.host, endpoint.port);
        let addresses = self.io.resolve(host, port).await.map_err(|error| format!("{host}: {error}"))?;
        let limit = self.settings.fetching.connect_timeout;
        let client_id = format!("broker-{}-fetcher-{}", self.broker_id(), self.index);
        let mut failure = format!("{host} has no address");
        for address in addresses {
            match Connection::open(&self.io, address, &client_id, limit).await {
                Ok(open) => return Ok(connection.insert(open).clone()),
                Err(error) => failure = error.to_string(),
            }
        }
        Err(failure)
    }

    /// Asks where the leader's logs begin and end.
    async fn ask_offsets(
        self: &Rc<Self>,
        fetcher: &Fetcher,
        connection: &mut Option<Connection>,
        questions: Vec<(TopicIdPartition, LeaderEpoch)>,
    ) {
        let named: Vec<_> = questions
            .into_iter()
            .filter_map(|(id, leader_epoch)| Some((self.partition(id)?, leader_epoch)))
            .map(|(partition, leader_epoch)| (partition.name.clone(), leader_epoch, partition))
            .collect();
        let list = |timestamp| {
            let mut topics: Vec<ListOffsetsTopic> = Vec::new();
            for (name, leader_epoch, _) in &named {
                let partition =
                    ListOffsetsPartition { partition_index: name.partition.0, current_leader_epoch: leader_epoch.0, timestamp };
                match topics.last_mut().filter(|topic| *topic.name == *name.topic) {
                    Some(topic) => topic.partitions.push(partition),
                    None => topics.push(ListOffsetsTopic { name: StrBytes::from(&name.topic), partitions: vec![partition] }),
                }
            }
            ListOffsetsRequest { replica_id: self.broker_id().0, topics, ..ListOffsetsRequest::default() }
        };
        let asked = async {
            let first = self.send_list(fetcher, connection, list(EARLIEST)).await?;
            let last = self.send_list(fetcher, connection, list(LATEST)).await?;
            Ok::<_, String>((first, last))
        };
        let answer = asked.await;
        if let Err(why) = &answer {
            *connection = None;
            tracing::warn!(leader = %fetcher.leader, why, "the leader's offsets are not known");
        }
        for (name, leader_epoch, partition) in named {
            let result = match &answer {
                Ok((first, last)) => offset_in(first, &name.topic, name.partition).and_then(|log_start| {
                    let log_end = offset_in(last, &name.topic, name.partition)?;
                    Ok(LeaderOffsets { log_start, log_end })
                }),
                Err(_) => Err(ErrorCode::NetworkException),
            };
            partition.on_event(self, Input::LeaderOffsets { leader_epoch, result });
            self.io.yield_if_needed().await;
        }
    }

    async fn send_list(
        &self,
        fetcher: &Fetcher,
        connection: &mut Option<Connection>,
        request: ListOffsetsRequest,
    ) -> Result<ListOffsetsResponse, String> {
        let connection = self.connected(fetcher.leader, connection).await?;
        let version = connection.version_of::<ListOffsetsRequest>().map_err(|error| error.to_string())?;
        let limit = self.settings.fetching.answer_timeout;
        connection.call(version, &request, limit).await.map_err(|error| error.to_string())
    }
}

fn error_of(response: &FetchResponse) -> ErrorCode {
    ErrorCode::from_code(response.error_code).unwrap_or(ErrorCode::UnknownServerError)
}

/// What an answer says of each partition.
fn told(response: FetchResponse) -> Vec<(TopicIdPartition, PartitionData)> {
    let of_topic = |topic: FetchableTopicResponse| {
        let id = move |index| TopicIdPartition { topic_id: topic.topic_id, partition: PartitionIndex(index) };
        topic.partitions.into_iter().map(move |data| (id(data.partition_index), data))
    };
    response.responses.into_iter().flat_map(of_topic).collect()
}

/// The offset that an answer has for a partition.
fn offset_in(response: &ListOffsetsResponse, topic: &str, partition: PartitionIndex) -> Result<Offset, ErrorCode> {
    let topics = response.topics.iter().filter(|told| *told.name == *topic);
    let found = topics.flat_map(|topic| &topic.partitions).find(|told| told.partition_index == partition.0);
    let found = found.ok_or(ErrorCode::UnknownServerError)?;
    match ErrorCode::from_code(found.error_code) {
        Some(ErrorCode::None) if found.offset >= 0 => Ok(Offset(found.offset)),
        Some(ErrorCode::None) | None => Err(ErrorCode::UnknownServerError),
        Some(error) => Err(error),
    }
}

/// A fetch as it goes over the wire.
fn message(
    version: i16,
    request: Request,
    (broker, broker_epoch): (BrokerId, i64),
    max_wait_ms: i32,
    limits: &Fetching,
) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (id, position) in request.partitions {
        let partition = FetchPartition {
            partition: id.partition.0,
            current_leader_epoch: position.leader_epoch.0,
            fetch_offset: position.offset.0,
            last_fetched_epoch: position.last_fetched_epoch.0,
            log_start_offset: position.log_start.0,
            partition_max_bytes: limits.max_bytes,
            ..FetchPartition::default()
        };
        match topics.last_mut().filter(|topic| topic.topic_id == id.topic_id) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic { topic_id: id.topic_id, partitions: vec![partition], ..FetchTopic::default() }),
        }
    }
    let mut forgotten: Vec<ForgottenTopic> = Vec::new();
    for id in request.forgotten {
        match forgotten.last_mut().filter(|topic| topic.topic_id == id.topic_id) {
            Some(topic) => topic.partitions.push(id.partition.0),
            None => {
                let partitions = vec![id.partition.0];
                forgotten.push(ForgottenTopic { topic_id: id.topic_id, partitions, ..ForgottenTopic::default() });
            }
        }
    }
    let (replica_id, replica_state) = match version >= REPLICA_STATE_SINCE {
        true => (-1, ReplicaState { replica_id: broker.0, replica_epoch: broker_epoch }),
        false => (broker.0, ReplicaState::default()),
    };
    FetchRequest {
        replica_id,
        replica_state,
        max_wait_ms,
        min_bytes: limits.min_bytes,
        max_bytes: limits.response_max_bytes,
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        topics,
        forgotten_topics_data: forgotten,
        ..FetchRequest::default()
    }
}
