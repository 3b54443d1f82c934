//! Brokers, controller and network, and the next step of a life.

use super::super::*;
use super::controller::Controller;
use super::ledger::Ledger;
use super::node::{Node, Produce, Record, Task};
use super::{Config, Planted, Random, Seen};

/// Short, so that a life has many of each.
const TIMING: Timing =
    Timing { replica_lag_time_max_ms: 600, fetch_backoff_ms: 50, leader_behind_ms: 50, alter_partition_retry_ms: 50 };
/// Records of one fetch: few, so that followers are behind now and then.
const FETCH_RECORDS: usize = 3;
/// Produces that come together, at most.
const MAX_PRODUCES: usize = 4;
const PRODUCE_TIMEOUT_MS: u64 = 2_000;
/// Rounds in which everything becomes equal once nothing fails any more.
const QUIET_ROUNDS: usize = 800;

/// What is on its way. Each names the incarnation that asked: a new one has new connections.
enum Message {
    Fetch { from: BrokerId, incarnation: i64, asked: FetchPosition },
    Fetched { to: BrokerId, incarnation: i64, asked: FetchPosition, answer: FetchAnswer, content: Content },
    AskOffsets { from: BrokerId, incarnation: i64, leader: BrokerId, leader_epoch: LeaderEpoch },
    Offsets { to: BrokerId, incarnation: i64, leader_epoch: LeaderEpoch, result: Result<LeaderOffsets, ErrorCode> },
    Alter { from: BrokerId, incarnation: i64, proposal: IsrProposal },
    Altered { to: BrokerId, incarnation: i64, number: u64, result: Result<CommittedIsr, ErrorCode> },
}

/// What a fetch brings.
enum Content {
    Nothing,
    Records(Vec<Record>),
    Diverging(EpochEndOffset),
}

pub(super) struct World {
    config: Config,
    random: Random,
    now: u64,
    nodes: Vec<Node>,
    controller: Controller,
    network: Vec<Message>,
    ledger: Ledger,
    seen: Seen,
    next_value: u64,
}

impl World {
    pub(super) fn new(config: Config, random: Random) -> Self {
        let controller = Controller::new(config.replicas);
        let nodes = (1..=config.replicas).map(|id| Node::new(BrokerId(id))).collect();
        let (network, ledger, seen) = (Vec::new(), Ledger::default(), Seen::default());
        let mut world = Self { config, random, now: 1_000, nodes, controller, network, ledger, seen, next_value: 0 };
        for at in 0..world.nodes.len() {
            world.nodes[at].broker_epoch = world.controller.broker_epoch(world.nodes[at].id);
            world.start(at, 0);
        }
        world
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen
    }

    pub(super) fn verdict(&self) -> Result<(), String> {
        self.ledger.fault.clone().map_or(Ok(()), Err)
    }

    /// One thing happens, somewhere.
    pub(super) fn step(&mut self) {
        let at = self.random.below(self.nodes.len());
        match self.random.below(203) {
            0..90 => self.deliver_some(),
            90..108 => self.work(at),
            108..126 => self.write(at),
            126..138 => self.ask_to_write(at, Acks::All),
            138..144 => self.ask_to_write(at, Acks::Leader),
            144..158 => self.tell(at),
            158..162 => self.tell_again(at),
            162..172 => self.pass(60),
            172..174 => self.pass(500),
            174..182 => self.flush(at),
            182..184 => self.checkpoint(at),
            184..186 => self.crash(at),
            186..190 => self.restart(at),
            190..191 => self.fence(at),
            191..197 => self.unfence(at),
            _ if self.config.is_calm && self.random.chance(90) => {}
            _ => self.move_leadership(at),
        }
    }

    fn at(&self, id: BrokerId) -> usize {
        id.0 as usize - 1
    }

    // ---- machines ----------------------------------------------------------------------------------------------------------

    /// A machine begins, and is told the metadata of `version`.
    fn start(&mut self, at: usize, version: usize) {
        let node = &mut self.nodes[at];
        let mut replica = Replica::new(node.id, node.log_state()).with_timing(TIMING);
        if let Planted::Broken(rule) = self.config.planted {
            replica.broken = Some(rule);
        }
        node.replica = Some(replica);
        node.versions = (version, version);
        let Config { min_insync_replicas, flush_gated, .. } = self.config;
        self.feed(at, Input::SetPolicy { min_insync_replicas, flush_gated });
        self.show(at, version);
    }

    fn show(&mut self, at: usize, version: usize) {
        let version = self.controller.versions[version].clone();
        self.feed(at, Input::Brokers(version.brokers));
        self.feed(at, Input::Metadata(version.assignment));
        self.seen.deferred += u64::from(self.nodes[at].replica.as_ref().is_some_and(|replica| replica.deferred.is_some()));
    }

    fn feed(&mut self, at: usize, input: Input) {
        let Some(replica) = &mut self.nodes[at].replica else { return };
        let mut effects = Vec::new();
        replica.on_event(input, self.now, &mut effects);
        for effect in effects {
            self.carry_out(at, effect);
        }
        let node = &self.nodes[at];
        if let Some(replica) = &node.replica {
            self.ledger.observed(node.id, replica, &node.log);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let node = &mut self.nodes[at];
        let (from, incarnation, leads) = (node.id, node.broker_epoch, node.leads());
        match effect {
            Effect::LeaderEpochStarted { epoch, start } => {
                assert!(node.writing.is_empty() && node.task.is_none(), "an epoch begins when the log is at rest");
                node.log.assign(epoch, start);
                self.ledger.elected(from, epoch, &node.log);
                self.seen.elections += 1;
            }
            Effect::BecameFollower { .. } => assert!(node.writing.is_empty() && node.task.is_none()),
            Effect::HighWatermark(end) => self.ledger.committed(from, leads, end, &node.log),
            Effect::Answer { ticket, error } => {
                let (produce, offset) = node.waiting.remove(&ticket).expect("answered once");
                if !error.is_error() && produce.acks == Acks::All {
                    self.ledger.acked(produce.record, offset, self.config.min_insync_replicas);
                    self.seen.acked += 1;
                }
            }
            Effect::AlterPartition(proposal) => self.network.push(Message::Alter { from, incarnation, proposal }),
            Effect::Fetch(asked) => self.network.push(Message::Fetch { from, incarnation, asked }),
            Effect::AskOffsets { leader, leader_epoch } => {
                self.network.push(Message::AskOffsets { from, incarnation, leader, leader_epoch });
            }
            Effect::Append { restart_at } => {
                assert!(restart_at.is_none() && node.task.is_none(), "logs begin at 0");
                node.task = Some(Task::Append(std::mem::take(&mut node.arrived)));
            }
            Effect::Truncate { to } => {
                assert!(node.task.is_none(), "one thing is under way");
                node.task = Some(Task::Cut(to));
                self.seen.cuts += 1;
            }
            Effect::RestartAt { .. } | Effect::MoveLogStart { .. } => panic!("logs begin at 0: {effect:?}"),
        }
    }

    // ---- logs --------------------------------------------------------------------------------------------------------------

    /// A client has some records. Most clients know who leads.
    fn ask_to_write(&mut self, at: usize, acks: Acks) {
        let knows = self.random.chance(80);
        let at = self.controller.leader().filter(|_| knows).map_or(at, |leader| self.at(leader));
        for _ in 0..1 + self.random.below(MAX_PRODUCES) {
            self.produce(at, acks);
        }
    }

    /// A client produces, if this broker lets it.
    fn produce(&mut self, at: usize, acks: Acks) {
        let Some(replica) = &self.nodes[at].replica else { return };
        let Ok(epoch) = replica.admit_produce(acks) else { return };
        let record = Record { epoch, value: self.next_value };
        self.next_value += 1;
        self.nodes[at].writing.push(Produce { record, acks });
        if self.nodes[at].writing.len() == 1 {
            self.feed(at, Input::Busy(true));
        }
    }

    /// The write that is under way ends.
    fn write(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let written = std::mem::take(&mut node.writing);
        if written.is_empty() {
            return;
        }
        let first = node.log.end();
        for produce in &written {
            node.log.append(produce.record);
            self.ledger.appended(node.id, produce.record);
        }
        let end = node.log.end();
        self.feed(at, Input::Appended { end });
        let deadline_ms = self.now + PRODUCE_TIMEOUT_MS;
        for (offset, produce) in (first.0..).map(Offset).zip(written) {
            let ticket = Ticket(produce.record.value);
            self.nodes[at].waiting.insert(ticket, (produce, offset));
            self.feed(at, Input::Produced { ticket, acks: produce.acks, end: offset.plus(1), deadline_ms });
        }
        self.feed(at, Input::Busy(false));
    }

    /// What a follower's log was asked for is done, in full or in part, or refused.
    fn work(&mut self, at: usize) {
        let refused = self.random.chance(5);
        let in_part = self.random.chance(10);
        let node = &mut self.nodes[at];
        let Some(task) = node.task.take() else { return };
        if refused {
            return self.feed(at, Input::LogRefused);
        }
        match task {
            Task::Append(records) => {
                let count = if in_part { records.len() / 2 } else { records.len() };
                for record in records.into_iter().take(count) {
                    node.log.append(record);
                    self.ledger.appended(node.id, record);
                }
                let (end, last_epoch) = (node.log.end(), node.log.last_epoch());
                self.feed(at, Input::Replicated { end, last_epoch });
            }
            Task::Cut(to) => {
                node.log.cut(to);
                let (end, last_epoch) = (node.log.end(), node.log.last_epoch());
                self.feed(at, Input::Truncated { log_start: Offset::ZERO, end, last_epoch });
            }
        }
    }

    fn flush(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.is_up() {
            node.log.flushed = node.log.records.len();
            let end = node.log.end();
            self.feed(at, Input::Flushed { end });
        }
    }

    fn checkpoint(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if let Some(replica) = &node.replica {
            node.checkpoint = replica.high_watermark();
        }
    }

    // ---- faults and the controller -----------------------------------------------------------------------------------------

    fn pass(&mut self, at_most_ms: usize) {
        self.now += 1 + self.random.below(at_most_ms) as u64;
        for at in 0..self.nodes.len() {
            self.feed(at, Input::Tick);
        }
    }

    fn crash(&mut self, at: usize) {
        let node = &self.nodes[at];
        if !node.is_up() {
            return;
        }
        let (id, flushed, end) = (node.id, node.log.flushed, node.log.records.len());
        let isr = self.controller.isr();
        let others_have_it = !isr.contains(&id) || isr.len() > 1;
        let page_cache_goes = self.config.loses_page_cache && others_have_it && self.random.chance(70);
        let kept = if page_cache_goes || self.config.flush_gated { flushed + self.random.below(end - flushed + 1) } else { end };
        self.nodes[at].crash(kept);
        if page_cache_goes {
            self.controller.fence(id);
        }
        self.seen.crashes += 1;
        self.seen.lost_records += (end - kept) as u64;
    }

    fn restart(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            return;
        }
        let (epoch, version) = self.controller.register(self.nodes[at].id);
        self.nodes[at].broker_epoch = epoch;
        self.start(at, version);
    }

    /// The broker has not been heard of for too long, dead or not.
    fn fence(&mut self, at: usize) {
        self.controller.fence(self.nodes[at].id);
    }

    fn unfence(&mut self, at: usize) {
        let node = &self.nodes[at];
        if node.is_up() && self.controller.is_fenced(node.id) {
            self.controller.unfence(node.id);
        }
    }

    fn move_leadership(&mut self, at: usize) {
        self.controller.move_leadership(self.nodes[at].id);
    }

    /// A broker hears of newer metadata; it may miss what was in between.
    fn tell(&mut self, at: usize) {
        let newest = self.controller.versions.len() - 1;
        let (first, known) = self.nodes[at].versions;
        if !self.nodes[at].is_up() || known == newest {
            return;
        }
        let next = (known + 1 + self.random.below(3)).min(newest);
        self.nodes[at].versions = (first, next);
        self.show(at, next);
    }

    /// A broker hears of metadata that it has heard of, or of older ones.
    fn tell_again(&mut self, at: usize) {
        let (first, known) = self.nodes[at].versions;
        if self.nodes[at].is_up() {
            let version = first + self.random.below(known - first + 1);
            let assignment = self.controller.versions[version].assignment.clone();
            self.feed(at, Input::Metadata(assignment));
        }
    }

    // ---- network -----------------------------------------------------------------------------------------------------------

    /// A message arrives, or does not.
    fn deliver_some(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.random.below(self.network.len());
        let message = self.network.swap_remove(at);
        if self.random.chance(6) {
            self.lose(message);
        } else {
            self.deliver(message);
        }
    }

    /// Who asked is told that there will be no answer. A fetch may arrive nevertheless; the controller may have carried out a
    /// proposal, but says so to nobody.
    fn lose(&mut self, message: Message) {
        let late = self.random.chance(50);
        let notice = match &message {
            Message::Fetch { from: to, incarnation, asked } | Message::Fetched { to, incarnation, asked, .. } => {
                no_answer(*to, *incarnation, *asked, ErrorCode::NetworkException)
            }
            Message::AskOffsets { from: to, incarnation, leader_epoch, .. }
            | Message::Offsets { to, incarnation, leader_epoch, .. } => {
                let (to, incarnation, leader_epoch) = (*to, *incarnation, *leader_epoch);
                Message::Offsets { to, incarnation, leader_epoch, result: Err(ErrorCode::NetworkException) }
            }
            Message::Alter { from, incarnation, proposal } => {
                if late {
                    let _ = self.controller.alter(*from, *incarnation, proposal);
                }
                let (to, incarnation, number) = (*from, *incarnation, proposal.number);
                Message::Altered { to, incarnation, number, result: Err(ErrorCode::NetworkException) }
            }
            Message::Altered { to, incarnation, number, .. } => {
                let (to, incarnation, number) = (*to, *incarnation, *number);
                Message::Altered { to, incarnation, number, result: Err(ErrorCode::NetworkException) }
            }
        };
        if late && matches!(message, Message::Fetch { .. } | Message::Fetched { .. }) {
            self.network.push(message);
        }
        self.network.push(notice);
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Fetch { from, incarnation, asked } => self.serve_fetch(from, incarnation, asked),
            Message::Fetched { to, incarnation, asked, answer, content } => {
                if let Some(at) = self.of_incarnation(to, incarnation) {
                    self.fetched(at, asked, answer, content);
                }
            }
            Message::AskOffsets { from, incarnation, leader, leader_epoch } => {
                let node = &self.nodes[self.at(leader)];
                let offsets = LeaderOffsets { log_start: Offset::ZERO, log_end: node.log.end() };
                let result = match &node.replica {
                    Some(replica) => replica.check_leader(leader_epoch).map(|()| offsets),
                    None => Err(ErrorCode::NetworkException),
                };
                self.network.push(Message::Offsets { to: from, incarnation, leader_epoch, result });
            }
            Message::Offsets { to, incarnation, leader_epoch, result } => {
                if let Some(at) = self.of_incarnation(to, incarnation) {
                    self.feed(at, Input::LeaderOffsets { leader_epoch, result });
                }
            }
            Message::Alter { from, incarnation, proposal } => {
                let before = self.controller.isr().len();
                let result = self.controller.alter(from, incarnation, &proposal);
                self.seen.joins += u64::from(self.controller.isr().len() > before);
                self.seen.leaves += u64::from(self.controller.isr().len() < before);
                self.network.push(Message::Altered { to: from, incarnation, number: proposal.number, result });
            }
            Message::Altered { to, incarnation, number, result } => {
                if let Some(at) = self.of_incarnation(to, incarnation) {
                    self.feed(at, Input::AlterPartitionAnswered { number, result });
                }
            }
        }
    }

    fn of_incarnation(&self, id: BrokerId, incarnation: i64) -> Option<usize> {
        let at = self.at(id);
        (self.nodes[at].is_up() && self.nodes[at].broker_epoch == incarnation).then_some(at)
    }

    fn serve_fetch(&mut self, from: BrokerId, incarnation: i64, asked: FetchPosition) {
        let at = self.at(asked.leader);
        let node = &self.nodes[at];
        let Some(replica) = &node.replica else {
            return self.network.push(no_answer(from, incarnation, asked, ErrorCode::NetworkException));
        };
        let mut fetch = FollowerFetch {
            follower: from,
            broker_epoch: incarnation,
            current_leader_epoch: asked.leader_epoch,
            offset: asked.offset,
            last_fetched_epoch: asked.last_fetched_epoch,
        };
        match self.config.planted {
            Planted::Broken(Rule::NewestEpoch) => fetch.current_leader_epoch = LeaderEpoch::NONE,
            Planted::NoDivergence => fetch.last_fetched_epoch = LeaderEpoch::NONE,
            Planted::Broken(_) | Planted::Nothing => {}
        }
        let (high_watermark, log_start) = (replica.high_watermark(), replica.log_start());
        let answer = FetchAnswer { high_watermark, log_start, ..FetchAnswer::failed(ErrorCode::None) };
        let content = match replica.check_follower_fetch(&fetch, node.log.end_of(asked.last_fetched_epoch)) {
            Err(error) => return self.network.push(no_answer(from, incarnation, asked, error)),
            Ok(Some(diverging)) => Content::Diverging(diverging),
            Ok(None) => Content::Records(node.log.read(asked.offset, FETCH_RECORDS)),
        };
        if matches!(content, Content::Records(_)) {
            let (log_end, log_start) = (asked.offset, asked.log_start);
            self.feed(at, Input::FollowerFetched { follower: from, broker_epoch: incarnation, log_end, log_start });
        }
        self.network.push(Message::Fetched { to: from, incarnation, asked, answer, content });
    }

    fn fetched(&mut self, at: usize, asked: FetchPosition, mut answer: FetchAnswer, content: Content) {
        let node = &mut self.nodes[at];
        match content {
            Content::Nothing => {}
            Content::Diverging(leader) => {
                answer.divergence = Some(Divergence { leader, own: node.log.end_of(leader.epoch) });
            }
            Content::Records(mut records) => {
                let span = |(offset, record): (i64, &Record)| BatchSpan {
                    base: Offset(offset),
                    last: Offset(offset),
                    leader_epoch: record.epoch,
                };
                let spans = (asked.offset.0..).zip(&records).map(span);
                answer.records = accept_batches(asked.leader_epoch, spans).expect("offsets of a log");
                records.truncate(answer.records.map_or(0, |accepted| accepted.batches));
                node.arrived = records;
            }
        }
        self.feed(at, Input::Fetched { asked, answer });
        self.nodes[at].arrived.clear();
    }

    // ---- the end -----------------------------------------------------------------------------------------------------------

    /// Nothing fails any more: all replicas get equal, in sync, and take records again.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for at in 0..self.nodes.len() {
            self.restart(at);
            self.unfence(at);
        }
        self.quiet(|world| world.compare().is_ok())?;
        self.compare()?;
        let Some(leader) = self.controller.leader() else { return Err("nobody leads in the end".to_owned()) };
        let (acked, value) = (self.seen.acked, self.next_value);
        self.produce(self.at(leader), Acks::All);
        if self.next_value == value {
            return Err("the leader takes no records in the end".to_owned());
        }
        self.quiet(|world| world.seen.acked > acked && world.compare().is_ok())?;
        if self.seen.acked == acked {
            return Err("a record is not acked in the end".to_owned());
        }
        self.compare()
    }

    /// Rounds without faults until it is enough.
    fn quiet(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..QUIET_ROUNDS {
            for at in 0..self.nodes.len() {
                self.work(at);
                self.write(at);
                self.flush(at);
                self.tell(at);
            }
            for message in std::mem::take(&mut self.network) {
                self.deliver(message);
            }
            self.pass(20);
            self.verdict()?;
            if enough(self) {
                break;
            }
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), String> {
        let newest = self.controller.versions.len() - 1;
        let end = self.ledger.committed_end();
        let first = &self.nodes[0].log.records;
        for node in &self.nodes {
            let hw = node.replica.as_ref().map(Replica::high_watermark);
            if node.versions.1 != newest {
                return Err(format!("broker {} knows no newer metadata than {} of {newest}", node.id, node.versions.1));
            }
            if node.log.records != *first || hw != Some(end) || node.log.end() != end {
                let (id, log_end) = (node.id, node.log.end());
                return Err(format!("broker {id} ends at {log_end} with {hw:?}, {end} records are committed"));
            }
        }
        if self.controller.isr().len() != self.nodes.len() {
            return Err(format!("not everybody is in sync in the end: {:?}", self.controller.isr()));
        }
        Ok(())
    }
}

/// A fetch that brings an error.
fn no_answer(to: BrokerId, incarnation: i64, asked: FetchPosition, error: ErrorCode) -> Message {
    Message::Fetched { to, incarnation, asked, answer: FetchAnswer::failed(error), content: Content::Nothing }
}
