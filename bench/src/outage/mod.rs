//! `outage`: a producer that rides out whatever happens to the brokers of a cluster, and tells for how long none of its records was
//! acknowledged.
//!
//! Every partition gets paced single records with acks=all, one at a time ([`line`]), over one connection to each broker ([`nodes`]). Errors
//! that Kafka's clients retry are retried, leaders are followed, connections are made again; any other error is counted as one that an
//! application would have seen. At the end each partition is read, and each record that was acknowledged must be there, once ([`check`]).

mod check;
mod line;
mod nodes;

use crate::args::OutageArgs;
use crate::clock::{self, SECOND};
use crate::commands::{check, topic};
use crate::kafka::{self, Topic, error_name};
use crate::process::{self, Cpu};
use crate::random::Random;
use crate::report;
use crate::schedule::Schedule;
use crate::stamp::{STAMP_BYTES, Stamp, topic_number};
use crate::stats::histogram;
use crate::worker::Failure;
use bytes::Bytes;
use check::Checked;
use flumen::model::ProducerId;
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen::protocol::{ApiKey, Records, StrBytes};
use flumen::record::{BatchBuilder, Compression};
use hdrhistogram::Histogram;
use line::{Leader, Line, State};
use nodes::{Asked, News, Nodes};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Highest versions that are spoken.
const PRODUCE_VERSION: i16 = 13;
const METADATA_VERSION: i16 = 12;
/// Produce versions from which the topic is named by its id.
const TOPIC_ID_VERSION: i16 = 13;
/// Another broker is asked who leads when one has not said it within so many nanoseconds.
const LOOKUP_PATIENCE: u64 = SECOND / 10;
/// Longest wait for something to happen, in nanoseconds, and while something could leave if there were a connection.
const LONGEST_WAIT: u64 = SECOND / 10;
const BLOCKED_WAIT: u64 = SECOND / 1_000;

/// Who looks up leaders, and when.
#[derive(Default)]
struct Lookup {
    /// The broker that was asked last, and when.
    asked: Option<(i32, u64)>,
    /// Whether its answer is still awaited.
    is_waiting: bool,
}

/// The producer.
struct Outage<'a> {
    args: &'a OutageArgs,
    topic: Topic,
    produce_version: i16,
    metadata_version: i16,
    /// Of each partition: the id and epoch of its own idempotent producer.
    producers: Vec<(i64, i16)>,
    /// Its number in stamps; no other run has it.
    number: u32,
    lines: Vec<Line>,
    nodes: Nodes,
    lookup: Lookup,
    pause: u64,
    silence: u64,
    /// By Kafka's code: what was answered and retried.
    errors: BTreeMap<i16, u64>,
    lost_connections: u64,
    latencies: Histogram<u64>,
}

fn milliseconds(milliseconds: u64) -> u64 {
    milliseconds * 1_000_000
}

impl<'a> Outage<'a> {
    fn new(args: &'a OutageArgs) -> Result<Self, Failure> {
        let (mut client, topic) = topic(&args.topic)?;
        let mut nodes = Nodes::new(milliseconds(args.backoff_ms), milliseconds(args.request_timeout_ms))?;
        for (id, address) in &topic.brokers {
            let (host, port) = address.rsplit_once(':').expect("host and port");
            nodes.know(*id, host, port.parse().expect("a port is a number"));
        }
        let mut phases = Random::new(1);
        let mut line = |partition: &kafka::Partition| {
            let leader = Leader { id: Some(partition.leader), epoch: partition.epoch };
            Line::new(leader, Schedule::open(args.rate, phases.fraction()))
        };
        let lines: Vec<Line> = topic.partitions.iter().map(&mut line).collect();
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        check(indexes.iter().enumerate().all(|(place, index)| place as i32 == *index), "partitions are numbered without gaps")?;
        Ok(Self {
            args,
            produce_version: client.version(ApiKey::Produce, PRODUCE_VERSION)?,
            metadata_version: client.version(ApiKey::Metadata, METADATA_VERSION)?,
            producers: lines.iter().map(|_| client.init_producer_id()).collect::<Result<_, _>>()?,
            number: Random::new(clock::now() ^ u64::from(std::process::id()) << 32).next() as u32,
            topic,
            lines,
            nodes,
            lookup: Lookup::default(),
            pause: milliseconds(args.backoff_ms),
            silence: milliseconds(args.silence_ms),
            errors: BTreeMap::new(),
            lost_connections: 0,
            latencies: histogram(),
        })
    }

    /// Sends for the whole duration, and then waits for what is under way.
    fn run(&mut self) -> Result<(), Failure> {
        let start = clock::now();
        self.lines.iter_mut().for_each(|line| line.begin(start));
        let end = start + clock::seconds(self.args.duration);
        loop {
            let now = clock::now();
            let is_open = now < end;
            if !is_open && self.lines.iter().all(|line| matches!(line.state, State::Resting | State::Ended { .. })) {
                return Ok(());
            }
            let timeout = self.send(now, is_open)?;
            self.look_up(now)?;
            for (id, news) in self.nodes.turn(now, timeout)? {
                self.hear(id, news)?;
            }
        }
    }

    /// Sends all that is due: for how long nothing else will be.
    fn send(&mut self, now: u64, is_open: bool) -> Result<u64, Failure> {
        let mut timeout = LONGEST_WAIT;
        for place in 0..self.lines.len() {
            if self.lines[place].expire(now, milliseconds(self.args.delivery_timeout_ms)) {
                continue;
            }
            let Some(due) = self.lines[place].due(now, is_open) else { continue };
            if due > now {
                timeout = timeout.min(due - now);
                continue;
            }
            timeout = timeout.min(BLOCKED_WAIT);
            match self.lines[place].leader.id {
                Some(leader) if self.nodes.is_ready(leader, now) => self.send_record(place, leader, now)?,
                _ => self.lines[place].unreachable(),
            }
        }
        Ok(timeout)
    }

    fn send_record(&mut self, place: usize, leader: i32, now: u64) -> Result<(), Failure> {
        let line = &mut self.lines[place];
        line.sent(leader, now);
        let attempt = line.attempt;
        let mut value = vec![b'.'; self.args.record_size];
        let stamp = Stamp {
            topic: topic_number(&self.topic.name),
            partition: place as u32,
            producer: self.number,
            sequence: line.acked,
            intended: line.intended(),
        };
        stamp.write(&mut value);
        let (id, epoch) = self.producers[place];
        let mut builder = BatchBuilder::new(Compression::NONE).producer(ProducerId(id), epoch, (line.acked & 0x7fff_ffff) as i32);
        builder.append(clock::wall_ms(), None, Some(&value));
        let data = PartitionProduceData { index: place as i32, records: Records::Bytes(builder.build()) };
        let mut topic = TopicProduceData { partition_data: vec![data], ..TopicProduceData::default() };
        if self.produce_version >= TOPIC_ID_VERSION {
            topic.topic_id = self.topic.id;
        } else {
            topic.name = StrBytes::from(&self.topic.name);
        }
        let timeout_ms = self.args.request_timeout_ms as i32;
        let request = ProduceRequest { transactional_id: None, acks: -1, timeout_ms, topic_data: vec![topic] };
        let version = self.produce_version;
        self.nodes.send(leader, Asked::Record(place, attempt), now, |correlation| kafka::frame(&request, version, correlation))
    }

    /// Asks a broker that is not silent who leads, if somebody needs to know and nobody is about to say it.
    fn look_up(&mut self, now: u64) -> Result<(), Failure> {
        if !self.lines.iter().any(|line| line.needs_leader(now, self.silence)) {
            return Ok(());
        }
        if let Some((_, at)) = self.lookup.asked {
            let wait = if self.lookup.is_waiting { LOOKUP_PATIENCE } else { self.pause };
            if now < at + wait {
                return Ok(());
            }
        }
        // In turn, from the one after the last on.
        let mut ids = self.nodes.ids();
        if let Some(last) = self.lookup.asked.and_then(|(last, _)| ids.iter().position(|id| *id == last)) {
            let count = ids.len();
            ids.rotate_left((last + 1) % count);
        }
        let mut ready: Vec<i32> = ids.into_iter().filter(|id| self.nodes.is_ready(*id, now)).collect();
        ready.sort_by_key(|id| self.nodes.silence(*id, now) >= self.silence);
        let Some(id) = ready.first() else { return Ok(()) };
        let asked = MetadataRequestTopic { name: Some(StrBytes::from(&self.topic.name)), ..MetadataRequestTopic::default() };
        let request =
            MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let version = self.metadata_version;
        self.lookup = Lookup { asked: Some((*id, now)), is_waiting: true };
        self.nodes.send(*id, Asked::Metadata, now, |correlation| kafka::frame(&request, version, correlation))
    }

    fn hear(&mut self, id: i32, news: News) -> Result<(), Failure> {
        let now = clock::now();
        match news {
            News::Lost => {
                self.lost_connections += 1;
                self.lines.iter_mut().for_each(|line| line.lost(id, now, self.pause));
                if self.lookup.asked.is_some_and(|(asked, _)| asked == id) {
                    self.lookup.is_waiting = false;
                }
                Ok(())
            }
            News::Answer { asked: Asked::Metadata, correlation, frame } => self.learn(correlation, frame, now),
            News::Answer { asked: Asked::Record(place, attempt), correlation, frame } => {
                self.produced((place, attempt), correlation, frame, now)
            }
        }
    }

    fn learn(&mut self, correlation: i32, frame: Bytes, now: u64) -> Result<(), Failure> {
        let answer = kafka::answer::<MetadataRequest>(frame, self.metadata_version, correlation)?;
        self.lookup.is_waiting = false;
        for broker in &answer.brokers {
            self.nodes.know(broker.node_id, &broker.host, broker.port);
        }
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let id = (partition.leader_id >= 0).then_some(partition.leader_id);
            let line = usize::try_from(partition.partition_index).ok().and_then(|place| self.lines.get_mut(place));
            if let Some(line) = line {
                line.learned(Leader { id, epoch: partition.leader_epoch }, now);
            }
        }
        Ok(())
    }

    /// An answer to a record. Of one that was sent again meanwhile it says nothing: that other answer counts.
    fn produced(&mut self, (place, attempt): (usize, u64), correlation: i32, frame: Bytes, now: u64) -> Result<(), Failure> {
        let answer = kafka::answer::<ProduceRequest>(frame, self.produce_version, correlation)?;
        for node in &answer.node_endpoints {
            self.nodes.know(node.node_id, &node.host, node.port);
        }
        let found = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let Some(found) = found.filter(|found| found.index == place as i32) else {
            return kafka::fail(format!("Produce: an answer without partition {place}"));
        };
        if !self.lines[place].awaits(attempt) {
            return Ok(());
        }
        if found.error_code != 0 {
            *self.errors.entry(found.error_code).or_default() += 1;
        }
        let named = &found.current_leader;
        let hint = (named.leader_id >= 0).then_some(Leader { id: Some(named.leader_id), epoch: named.leader_epoch });
        if let Some(latency) = self.lines[place].answered(found.error_code, hint, now, self.pause) {
            self.latencies.saturating_record(latency);
        }
        Ok(())
    }

    /// By Kafka's code: what ended partitions.
    fn application_errors(&self) -> BTreeMap<i16, u64> {
        let mut errors = BTreeMap::new();
        for line in &self.lines {
            if let State::Ended { code } = line.state {
                *errors.entry(code).or_default() += 1;
            }
        }
        errors
    }

    fn longest_gap(&self) -> u64 {
        self.lines.iter().filter_map(|line| line.gaps().first()).map(|gap| gap.length()).max().unwrap_or(0)
    }

    fn to_json(&self, seconds: f64, own: Cpu, stolen: Option<f64>, checked: &Checked) -> Value {
        let named = |errors: &BTreeMap<i16, u64>| -> Map<String, Value> {
            errors.iter().map(|(code, count)| (error_name(*code), json!(count))).collect()
        };
        let line = |(partition, line): (usize, &Line)| {
            let gap = |gap: &line::Gap| json!({ "from": gap.from as f64 / 1e9, "ms": gap.length() as f64 / 1e6 });
            let ended = if let State::Ended { code } = line.state { Some(error_name(code)) } else { None };
            json!({
                "partition": partition, "acked": line.acked, "retries": line.retries, "ended_by": ended,
                "gaps": line.gaps().iter().map(gap).collect::<Vec<_>>(),
            })
        };
        json!({
            "command": "outage", "version": env!("CARGO_PKG_VERSION"), "parameters": self.args, "seconds": seconds,
            "acked": self.lines.iter().map(|line| line.acked).sum::<u64>(),
            "longest_gap_ms": self.longest_gap() as f64 / 1e6,
            "partitions": self.lines.iter().enumerate().map(line).collect::<Vec<_>>(),
            "retried_errors": named(&self.errors), "lost_connections": self.lost_connections,
            "application_errors": named(&self.application_errors()),
            "latency_us": { "ack": report::latency_json(&self.latencies) },
            "records": checked.records, "lost": checked.lost, "repeated": checked.repeated, "unacknowledged": checked.undecided,
            "own_cpu_seconds": own, "stolen_seconds": stolen,
        })
    }

    fn print(&self, checked: &Checked) {
        let acked: u64 = self.lines.iter().map(|line| line.acked).sum();
        let retries: u64 = self.lines.iter().map(|line| line.retries).sum();
        println!("{acked} records acknowledged, {retries} sent again, {} connections lost", self.lost_connections);
        println!("longest time without an acknowledgement of a partition: {:.1} ms", self.longest_gap() as f64 / 1e6);
        for (code, count) in &self.errors {
            println!("answered    {count:>8} {}", error_name(*code));
        }
        for (code, count) in &self.application_errors() {
            println!("application {count:>8} {}", error_name(*code));
        }
        println!("{} records read, {} lost, {} repeated", checked.records, checked.lost, checked.repeated);
    }
}

/// Runs the command.
pub fn run(args: &OutageArgs) -> Result<(), Failure> {
    check(args.rate > 0.0 && args.duration > 0.0, "a rate and times are positive")?;
    check(args.record_size >= STAMP_BYTES, &format!("a record has at least {STAMP_BYTES} bytes, for its stamp"))?;
    check(args.backoff_ms > 0 && args.silence_ms > 0 && args.request_timeout_ms > 0, "times are at least 1 ms")?;
    crate::poll::exact_timers();
    let mut outage = Outage::new(args)?;
    let (own, stolen, start) = (process::own_cpu(), process::stolen(), clock::now());
    if !args.quiet {
        eprintln!("{} partitions, {} records a second each", outage.lines.len(), args.rate);
    }
    outage.run()?;
    let end = clock::now();
    // A partition that stands still to the end has stood still for so long.
    for line in outage.lines.iter_mut().filter(|line| line.state != State::Resting) {
        line.close_gap(end);
    }
    let (own, stolen) = (process::own_cpu().since(own), stolen.and_then(|before| Some(process::stolen()? - before)));
    let acked: Vec<(u64, Option<u64>)> = outage.lines.iter().map(|line| (line.acked, line.undecided())).collect();
    let checked = check::read(&args.topic.bootstrap, &outage.topic.name, outage.number, &acked)?;
    outage.print(&checked);
    if let Some(path) = &args.json {
        report::write_json(path, &outage.to_json((end - start) as f64 / SECOND as f64, own, stolen, &checked))?;
    }
    check(checked.lost == 0, &format!("{} acknowledged records are not there", checked.lost))?;
    check(checked.repeated == 0, &format!("{} records are there more than once", checked.repeated))
}
