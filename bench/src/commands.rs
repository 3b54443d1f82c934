//! From a command line to roles: who connects to which leader, and what for.

use crate::args::{
    Assign, Cli, Command, ConsumeArgs, E2eArgs, FloorClientArgs, FloorKind, LoadArgs, ProduceArgs, ReadArgs, RunArgs, TopicArgs,
};
use crate::clock;
use crate::cluster;
use crate::commits;
use crate::compaction;
use crate::consume::{Consumer, ConsumerOptions, From};
use crate::floor;
use crate::floor::client::{FloorClient, FloorOptions};
use crate::groups;
use crate::kafka::{self, Client, EARLIEST, LATEST, NewTopic, Topic};
use crate::metadata;
use crate::outage;
use crate::payload::keys_by_partition;
use crate::process;
use crate::produce::{Producer, ProducerOptions, Shared};
use crate::random::Random;
use crate::report;
use crate::run::{self, Build, Outcome};
use crate::schedule::Schedule;
use crate::stamp::STAMP_BYTES;
use crate::template::{Recipe, Template};
use crate::worker::{Failure, Role};
use flumen::protocol::ApiKey;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Highest versions that are spoken.
const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;
/// Templates of the same partitions with different payload: as many as fit these bytes, and no more than this.
const VARIANT_BYTES: usize = 64 << 20;
const MAX_VARIANTS: usize = 16;
/// Requests in flight of an idempotent producer, at most (KIP-679).
const IDEMPOTENT_IN_FLIGHT: usize = 5;

type Links = Vec<(TcpStream, Box<dyn Role>)>;

/// Does what the command line says.
pub fn execute(cli: Cli) -> Result<(), Failure> {
    process::raise_nofile();
    match cli.command {
        Command::Produce(args) => produce(&args),
        Command::Consume(args) => consume(&args),
        Command::E2e(args) => e2e(&args),
        Command::Floor(args) => floor::run(&args),
        Command::Checksum(args) => floor::checksum(&args),
        Command::Gaps(args) => floor::gaps(&args),
        Command::Echo(args) => floor_client(&args, FloorKind::Echo, "echo"),
        Command::FloorProduce(args) => floor_client(&args, FloorKind::Produce, "floor-produce"),
        Command::FloorFetch(args) => floor_client(&args, FloorKind::Fetch, "floor-fetch"),
        Command::Groups(args) => groups::run(&args),
        Command::Commits(args) => commits::run(&args),
        Command::Metadata(args) => metadata::run(&args),
        Command::Compaction(args) => compaction::run(&args),
        Command::Outage(args) => outage::run(&args),
        Command::InSync(args) => cluster::in_sync(&args),
        Command::Reorder(args) => cluster::reorder(&args),
        Command::Controller(args) => cluster::controller(&args),
    }
}

/// Writes what a run found to where it was asked for; a failed run is an error.
pub(crate) fn finish(command: &str, parameters: &impl Serialize, args: &RunArgs, outcome: &Outcome) -> Result<(), Failure> {
    finish_with(command, parameters, args, outcome, &[])
}

/// The same with more that was found, which the JSON has under these names.
pub(crate) fn finish_with(
    command: &str,
    parameters: &impl Serialize,
    args: &RunArgs,
    outcome: &Outcome,
    more: &[(&str, Value)],
) -> Result<(), Failure> {
    let parameters = serde_json::to_value(parameters).map_err(|error| Failure(error.to_string()))?;
    print!("{}", report::to_table(outcome));
    if let Some(path) = &args.json {
        let mut result = report::to_json(command, parameters, outcome);
        for (name, value) in more {
            result[*name] = value.clone();
        }
        report::write_json(path, &result)?;
    }
    if let Some(path) = &args.hdr {
        report::write_hdr(path, outcome).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
    }
    outcome.failure.clone().map_or(Ok(()), Err)
}

/// An option that makes no sense is an error.
pub(crate) fn check(condition: bool, why: &str) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(Failure(why.to_owned())) }
}

pub(crate) fn check_run(args: &RunArgs) -> Result<(), Failure> {
    check(args.threads > 0, "--threads is at least 1")?;
    check(args.warmup >= 0.0 && args.duration.is_none_or(|duration| duration > 0.0), "times are positive")
}

fn check_load(args: &LoadArgs, stamped: bool) -> Result<(), Failure> {
    let counts = [args.connections, args.records_per_batch, args.batches_per_request, args.in_flight];
    check(counts.iter().all(|count| *count > 0), "counts are at least 1")?;
    check((0.0..=1.0).contains(&args.compressible), "--compressible is from 0 to 1")?;
    check(!stamped || args.record_size >= STAMP_BYTES, &format!("a stamped record has at least {STAMP_BYTES} bytes"))?;
    check(!args.idempotent || args.in_flight <= IDEMPOTENT_IN_FLIGHT, "--idempotent allows 5 requests in flight")?;
    check(!args.idempotent || args.acks == crate::args::Acks::All, "--idempotent needs --acks all")?;
    check(args.rate.or(args.request_rate).is_none_or(|rate| rate > 0.0), "a rate is positive")
}

/// Creates the topic if asked to, and looks up its leaders.
pub(crate) fn topic(args: &TopicArgs) -> Result<(Client, Topic), Failure> {
    let mut client = Client::connect(&args.bootstrap)?;
    if args.create {
        let new =
            NewTopic { partitions: args.partitions, replication_factor: args.replication_factor, configs: args.config.clone() };
        client.create_topic(&args.topic, &new)?;
    }
    let topic = client.topic(&args.topic)?;
    if args.create {
        // Answered only once every leader leads.
        offsets(&topic, LATEST)?;
    }
    Ok((client, topic))
}

/// The partitions of each leader, in order.
pub(crate) fn by_leader(topic: &Topic) -> BTreeMap<i32, Vec<i32>> {
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in &topic.partitions {
        leaders.entry(partition.leader).or_default().push(partition.index);
    }
    leaders
}

/// Where a leader listens.
pub(crate) fn address(topic: &Topic, leader: i32) -> Result<&str, Failure> {
    topic.brokers.get(&leader).map(String::as_str).ok_or_else(|| Failure(format!("the leader {leader} has no address")))
}

/// What each producer connects to: a leader, and `each` of its partitions, spread evenly over the producers.
fn spread(topic: &Topic, connections: usize, each: Option<usize>) -> Vec<(i32, Vec<i32>)> {
    let leaders: Vec<(i32, Vec<i32>)> = by_leader(topic).into_iter().collect();
    let assigned = |connection: usize| {
        let (leader, partitions) = &leaders[connection % leaders.len()];
        let (place, count) = (connection / leaders.len(), each.unwrap_or(partitions.len()).clamp(1, partitions.len()));
        let partitions = (0..count).map(|i| partitions[(place * count + i) % partitions.len()]).collect();
        (*leader, partitions)
    };
    (0..connections).map(assigned).collect()
}

/// The sets of partitions of one producer's requests, in turn: `each` at a time until all have had the same number of turns.
fn turns(partitions: &[i32], each: usize) -> Vec<Vec<i32>> {
    let each = each.min(partitions.len());
    let (mut a, mut b) = (partitions.len(), each);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (0..partitions.len() / a).map(|turn| (0..each).map(|i| partitions[(turn * each + i) % partitions.len()]).collect()).collect()
}

/// The producers of a run: what they share, and which connection each has.
struct Producers {
    recipe: Recipe,
    args: LoadArgs,
    records: Option<u64>,
    topic: Topic,
    spread: Vec<(i32, Vec<i32>)>,
    shared: Option<Arc<Shared>>,
    /// Number of the first producer in stamps; no other run has it.
    first_number: u32,
}

impl Producers {
    fn new(
        client: &Client,
        topic: &Topic,
        args: &LoadArgs,
        stamped: bool,
        records: Option<u64>,
        shared: Option<Arc<Shared>>,
    ) -> Result<Arc<Self>, Failure> {
        check_load(args, stamped)?;
        let keys = args.keys.map(|keys| keys_by_partition(keys, topic.partitions.len()));
        let has_keys = keys.iter().flatten().all(|keys| !keys.is_empty());
        check(has_keys, "--keys are so few that a partition gets none")?;
        let recipe = Recipe {
            topic: topic.name.clone(),
            id: topic.id,
            version: client.version(ApiKey::Produce, PRODUCE_VERSION)?,
            acks: args.acks.wire(),
            timeout_ms: args.timeout_ms,
            record_size: args.record_size,
            records_per_batch: args.records_per_batch,
            codec: args.codec.into(),
            compressible: args.compressible,
            stamped,
            keys,
            seed: args.seed,
        };
        let first_number = Random::new(clock::now() ^ u64::from(std::process::id()) << 32).next() as u32;
        let spread = spread(topic, args.connections, args.partitions_per_connection);
        Ok(Arc::new(Self { recipe, args: args.clone(), records, topic: topic.clone(), spread, shared, first_number }))
    }

    /// The connections of one thread: every `threads`th, from `thread` on.
    fn links(&self, thread: usize, threads: usize) -> Result<Links, Failure> {
        let recipe = Rc::new(self.recipe.clone());
        let mut cache: BTreeMap<(Vec<i32>, u64), Rc<Template>> = BTreeMap::new();
        let timestamp = clock::wall_ms();
        let mut phases = Random::new(self.args.seed ^ thread as u64);
        let mut links: Links = Vec::new();
        for connection in (thread..self.spread.len()).step_by(threads) {
            let (leader, partitions) = &self.spread[connection];
            let turns = turns(partitions, self.args.batches_per_request);
            let mut template = |partitions: &Vec<i32>, variant| {
                let made = || Rc::new(Template::new(&recipe, partitions, variant, timestamp));
                cache.entry((partitions.clone(), variant)).or_insert_with(made).clone()
            };
            let bytes = template(&turns[0], 0).frame_bytes() * turns.len();
            let variants = (VARIANT_BYTES / bytes.max(1)).clamp(1, MAX_VARIANTS) as u64;
            let templates: Vec<_> = (0..variants)
                .flat_map(|variant| turns.iter().map(move |turn| (turn, variant)))
                .map(|(turn, variant)| template(turn, variant))
                .collect();
            let address = address(&self.topic, *leader)?;
            let options = self.options(connection, templates, &mut phases, address)?;
            links.push((kafka::connect(address)?, Box::new(Producer::new(options))));
        }
        Ok(links)
    }

    fn options(
        &self,
        connection: usize,
        templates: Vec<Rc<Template>>,
        phases: &mut Random,
        address: &str,
    ) -> Result<ProducerOptions, Failure> {
        let args = &self.args;
        let per_request = templates[0].records();
        let rate = args.request_rate.or(args.rate.map(|rate| rate / per_request as f64));
        let connections = self.spread.len() as u64;
        let schedule = rate.map_or(Schedule::Closed, |rate| Schedule::open(rate / connections as f64, phases.fraction()));
        let producer_id = if args.idempotent { Some(Client::connect(address)?.init_producer_id()?) } else { None };
        let requests = self.records.map(|records| {
            let requests = records.div_ceil(per_request);
            requests / connections + u64::from((connection as u64) < requests % connections)
        });
        Ok(ProducerOptions {
            templates,
            version: self.recipe.version,
            acks: self.recipe.acks,
            in_flight: args.in_flight,
            requests,
            schedule,
            producer_id,
            stamp: self.recipe.stamped.then(|| self.first_number.wrapping_add(connection as u32)),
            shared: self.shared.clone(),
        })
    }
}

fn produce(args: &ProduceArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    let (client, topic) = topic(&args.topic)?;
    let producers = Producers::new(&client, &topic, &args.load, args.stamped, args.records, None)?;
    let threads = args.run.threads;
    let build = |thread| -> Build {
        let producers = producers.clone();
        Box::new(move || producers.links(thread, threads))
    };
    let outcome = run::run((0..threads).map(build).collect(), &args.run, args.records.is_some())?;
    finish("produce", args, &args.run, &outcome)
}

/// One fetching connection: a leader and where to begin in each of its partitions.
type Reader = (i32, Vec<From>);

/// The connections of all consumers.
fn readers(topic: &Topic, args: &ReadArgs, from: &BTreeMap<i32, From>) -> Vec<Reader> {
    let mut readers = Vec::new();
    for consumer in 0..args.consumers {
        for (leader, partitions) in by_leader(topic) {
            let mine = |index: &&i32| args.assign == Assign::All || **index as usize % args.consumers == consumer;
            let partitions: Vec<From> = partitions.iter().filter(mine).map(|index| from[index]).collect();
            if !partitions.is_empty() {
                readers.push((leader, partitions));
            }
        }
    }
    readers
}

/// Offsets of all partitions, each asked of its leader.
pub(crate) fn offsets(topic: &Topic, at: i64) -> Result<BTreeMap<i32, i64>, Failure> {
    let mut found = BTreeMap::new();
    for (leader, partitions) in by_leader(topic) {
        found.extend(Client::connect(address(topic, leader)?)?.offsets(&topic.name, &partitions, at)?);
    }
    Ok(found)
}

fn consumer_options(client: &Client, topic: &Topic, args: &ReadArgs) -> Result<ConsumerOptions, Failure> {
    check(args.consumers > 0, "--consumers is at least 1")?;
    Ok(ConsumerOptions {
        topic: topic.name.clone(),
        id: topic.id,
        version: client.version(ApiKey::Fetch, FETCH_VERSION)?,
        max_bytes: args.max_bytes,
        partition_max_bytes: args.partition_max_bytes,
        min_bytes: args.min_bytes,
        max_wait_ms: args.max_wait_ms,
        sessions: args.sessions,
        verify: false,
        rewind: false,
        records: None,
        shared: None,
    })
}

fn consumer_links(
    topic: &Topic,
    readers: &[Reader],
    options: &ConsumerOptions,
    thread: usize,
    threads: usize,
) -> Result<Links, Failure> {
    let link = |(leader, from): &Reader| -> Result<(TcpStream, Box<dyn Role>), Failure> {
        Ok((kafka::connect(address(topic, *leader)?)?, Box::new(Consumer::new(options.clone(), from))))
    };
    readers.iter().skip(thread).step_by(threads).map(link).collect()
}

/// Where to begin in each partition.
fn beginnings(topic: &Topic, from: &str, until_end: bool) -> Result<BTreeMap<i32, From>, Failure> {
    let (earliest, latest) = (offsets(topic, EARLIEST)?, offsets(topic, LATEST)?);
    let mut beginnings = BTreeMap::new();
    for (partition, first) in earliest {
        let end = latest[&partition];
        let offset = match from {
            "earliest" => first,
            "latest" => end,
            number => number.parse().map_err(|_| Failure(format!("--from {number}: earliest, latest or an offset")))?,
        };
        check(offset >= first && offset <= end, &format!("partition {partition} has offsets {first} to {end}"))?;
        beginnings.insert(partition, From { partition, offset, from_start: offset == 0, until: until_end.then_some(end) });
    }
    Ok(beginnings)
}

fn consume(args: &ConsumeArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    let (client, topic) = topic(&args.topic)?;
    let readers = Arc::new(readers(&topic, &args.read, &beginnings(&topic, &args.from, args.until_end)?));
    let options = ConsumerOptions {
        verify: args.verify,
        rewind: args.rewind,
        records: args.records.map(|records| Arc::new(AtomicU64::new(records))),
        ..consumer_options(&client, &topic, &args.read)?
    };
    let threads = args.run.threads;
    let build = |thread| -> Build {
        let (topic, readers, options) = (topic.clone(), readers.clone(), options.clone());
        Box::new(move || consumer_links(&topic, &readers, &options, thread, threads))
    };
    let mut outcome = run::run((0..threads).map(build).collect(), &args.run, args.records.is_some() || args.until_end)?;
    if let Some(left) = options.records.map(|left| left.load(Ordering::Relaxed)).filter(|left| *left > 0) {
        outcome.failure.get_or_insert(Failure(format!("{left} records were not read in time")));
    }
    finish("consume", args, &args.run, &outcome)
}

fn e2e(args: &E2eArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    let (client, topic) = topic(&args.topic)?;
    let shared = Arc::new(Shared::default());
    let producers = Producers::new(&client, &topic, &args.load, true, args.records, Some(shared.clone()))?;
    let times = if args.read.assign == Assign::All { args.read.consumers as u64 } else { 1 };
    // The stamps of this run's producers begin at 0, wherever in the log that is.
    let mut from = beginnings(&topic, "latest", false)?;
    from.values_mut().for_each(|from| from.from_start = true);
    let readers = Arc::new(readers(&topic, &args.read, &from));
    let options =
        ConsumerOptions { verify: true, shared: Some((shared.clone(), times)), ..consumer_options(&client, &topic, &args.read)? };
    let threads = args.run.threads;
    let build = |thread| -> Build {
        let (topic, readers, options, producers) = (topic.clone(), readers.clone(), options.clone(), producers.clone());
        Box::new(move || {
            let mut links = consumer_links(&topic, &readers, &options, thread, threads)?;
            links.extend(producers.links(thread, threads)?);
            Ok(links)
        })
    };
    let mut outcome = run::run((0..threads).map(build).collect(), &args.run, args.records.is_some())?;
    let (sent, read) = (shared.sent.load(Ordering::Relaxed), shared.consumed.load(Ordering::Relaxed));
    if read != times * sent {
        outcome.failure.get_or_insert(Failure(format!("{sent} records were sent and {read} read, each {times} times")));
    }
    finish("e2e", args, &args.run, &outcome)
}

fn floor_client(args: &FloorClientArgs, kind: FloorKind, command: &str) -> Result<(), Failure> {
    check_run(&args.run)?;
    check(args.connections > 0 && args.in_flight > 0, "counts are at least 1")?;
    let threads = args.run.threads;
    let build = |thread| -> Build {
        let args = args.clone();
        Box::new(move || {
            let mut phases = Random::new(args.seed ^ thread as u64);
            let mut link = |_| -> Result<(TcpStream, Box<dyn Role>), Failure> {
                let rate = args.request_rate.map(|rate| rate / args.connections as f64);
                let options = FloorOptions {
                    kind,
                    request_bytes: args.request_bytes,
                    answer_bytes: args.answer_bytes,
                    file_bytes: args.file_mib << 20,
                    in_flight: args.in_flight,
                    schedule: rate.map_or(Schedule::Closed, |rate| Schedule::open(rate, phases.fraction())),
                };
                Ok((kafka::connect(&args.target)?, Box::new(FloorClient::new(options))))
            };
            (thread..args.connections).step_by(threads).map(&mut link).collect()
        })
    };
    let outcome = run::run((0..threads).map(build).collect(), &args.run, false)?;
    finish(command, args, &args.run, &outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Partition;

    fn topic(partitions: i32, leaders: i32) -> Topic {
        let partition = |index| Partition { index, leader: 1 + index % leaders, epoch: 0 };
        let partitions = (0..partitions).map(partition).collect();
        Topic { name: "t".to_owned(), id: Default::default(), partitions, brokers: BTreeMap::new() }
    }

    #[test]
    fn producers_are_spread_over_leaders_and_partitions() {
        let spread_over = |connections, each| spread(&topic(6, 2), connections, each);
        assert_eq!(spread_over(2, None), [(1, vec![0, 2, 4]), (2, vec![1, 3, 5])]);
        assert_eq!(spread_over(4, Some(1)), [(1, vec![0]), (2, vec![1]), (1, vec![2]), (2, vec![3])]);
        assert_eq!(spread_over(3, Some(2)), [(1, vec![0, 2]), (2, vec![1, 3]), (1, vec![4, 0])]);
    }

    #[test]
    fn requests_take_turns_that_treat_partitions_alike() {
        assert_eq!(turns(&[0, 1, 2], 1), [[0], [1], [2]]);
        assert_eq!(turns(&[0, 1, 2, 3], 2), [[0, 1], [2, 3]]);
        assert_eq!(turns(&[0, 1, 2], 2), [[0, 1], [2, 0], [1, 2]]);
        assert_eq!(turns(&[5], 4), [[5]]);
    }

    #[test]
    fn consumers_share_partitions_or_read_all() {
        let args = |assign| ReadArgs {
            consumers: 2,
            assign,
            sessions: false,
            max_bytes: 1,
            partition_max_bytes: 1,
            min_bytes: 1,
            max_wait_ms: 1,
        };
        let from: BTreeMap<i32, From> =
            (0..4).map(|partition| (partition, From { partition, offset: 0, from_start: true, until: None })).collect();
        let read = |assign| -> Vec<(i32, Vec<i32>)> {
            let indexes = |(leader, from): Reader| (leader, from.iter().map(|from| from.partition).collect());
            readers(&topic(4, 1), &args(assign), &from).into_iter().map(indexes).collect()
        };
        assert_eq!(read(Assign::Share), [(1, vec![0, 2]), (1, vec![1, 3])]);
        assert_eq!(read(Assign::All), [(1, vec![0, 1, 2, 3]), (1, vec![0, 1, 2, 3])]);
    }
}
