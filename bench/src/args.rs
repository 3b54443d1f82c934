//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use flumen::record::Codec;
use serde::Serialize;
use std::path::PathBuf;

/// Loads a Kafka broker and measures it.
#[derive(Debug, Parser)]
#[command(name = "flumen-bench", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send records
    Produce(ProduceArgs),
    /// Read records
    Consume(ConsumeArgs),
    /// Send records and read them back, in one process
    E2e(E2eArgs),
    /// Let members of many groups join, come and go, and send heartbeats
    Groups(GroupsArgs),
    /// Commit offsets, as consumers do that assign themselves
    Commits(CommitsArgs),
    /// Ask for the metadata of all topics
    Metadata(MetadataArgs),
    /// Let a broker compact a topic, and check what remains
    Compaction(CompactionArgs),
    /// Send records to every partition of a cluster while its brokers come and go, and tell for how long none was acknowledged
    Outage(OutageArgs),
    /// Wait until all replicas of a topic are in sync
    InSync(InSyncArgs),
    /// Turn the order of all replicas of topics round, and wait until every broker tells so
    Reorder(ReorderArgs),
    /// Tell which node is the active controller
    Controller(ControllerArgs),
    /// Serve one of the floor programs that a broker is compared with
    Floor(FloorArgs),
    /// Read files and print the CRC-32C of each: the floor of a recovery
    Checksum(ChecksumArgs),
    /// Look at the clock all the time and tell the longest time between two looks: the floor of a core's stalls
    Gaps(GapsArgs),
    /// Load `floor echo`
    Echo(FloorClientArgs),
    /// Load `floor produce`
    FloorProduce(FloorClientArgs),
    /// Load `floor fetch`
    FloorFetch(FloorClientArgs),
}

/// Which topic.
#[derive(Clone, Debug, Args, Serialize)]
pub struct TopicArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    /// Create the topic first; it must not be there
    #[arg(long)]
    pub create: bool,
    /// Partitions of the created topic
    #[arg(long, default_value_t = 1, requires = "create")]
    pub partitions: i32,
    /// Replicas of the created topic
    #[arg(long, default_value_t = 1, requires = "create")]
    pub replication_factor: i16,
    /// A config of the created topic; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "create")]
    pub config: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    /// No answer; latency is the time until the kernel has taken the request
    #[value(name = "0")]
    Zero,
    /// The leader's
    #[value(name = "1")]
    One,
    /// All in-sync replicas'
    All,
}

impl Acks {
    /// The number on the wire.
    pub fn wire(self) -> i16 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::All => -1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::None => Self::None,
            CodecName::Gzip => Self::Gzip,
            CodecName::Snappy => Self::Snappy,
            CodecName::Lz4 => Self::Lz4,
            CodecName::Zstd => Self::Zstd,
        }
    }
}

/// What is sent, and how.
#[derive(Clone, Debug, Args, Serialize)]
pub struct LoadArgs {
    /// Producers, each with a connection of its own
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Partitions that each producer sends to, in turn; all of its leader by default
    #[arg(long)]
    pub partitions_per_connection: Option<usize>,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 1024)]
    pub record_size: usize,
    #[arg(long, default_value_t = 100)]
    pub records_per_batch: usize,
    /// Batches of one request, each for another partition
    #[arg(long, default_value_t = 1)]
    pub batches_per_request: usize,
    /// Requests of a connection that wait for their answers, at most; more than 5 cannot be idempotent
    #[arg(long, default_value_t = 5)]
    pub in_flight: usize,
    #[arg(long, value_enum, default_value_t = Acks::One)]
    pub acks: Acks,
    #[arg(long, value_enum, default_value_t = CodecName::None)]
    pub codec: CodecName,
    /// Share of each value that is repeated text, the rest being random: 0 to 1
    #[arg(long, default_value_t = 0.5)]
    pub compressible: f64,
    /// Give records one of so many keys, and send them where Kafka's partitioner would
    #[arg(long)]
    pub keys: Option<u64>,
    /// Idempotent producers (KIP-98)
    #[arg(long)]
    pub idempotent: bool,
    /// Open loop: records per second of all producers together
    #[arg(long, conflicts_with = "request_rate")]
    pub rate: Option<f64>,
    /// Open loop: requests per second of all producers together
    #[arg(long)]
    pub request_rate: Option<f64>,
    /// Milliseconds that the broker may wait for replicas
    #[arg(long, default_value_t = 30_000)]
    pub timeout_ms: i32,
    /// Of payloads, keys and the phases of open loops
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Assign {
    /// Every consumer reads every partition
    All,
    /// Each partition has one consumer
    Share,
}

/// How records are read.
#[derive(Clone, Debug, Args, Serialize)]
pub struct ReadArgs {
    /// Consumers, each with a connection to every leader that it reads from
    #[arg(long, default_value_t = 1)]
    pub consumers: usize,
    #[arg(long, value_enum, default_value_t = Assign::Share)]
    pub assign: Assign,
    /// Use incremental fetch sessions (KIP-227)
    #[arg(long)]
    pub sessions: bool,
    /// Bytes of one answer, at most
    #[arg(long, default_value_t = 50 << 20)]
    pub max_bytes: i32,
    /// Bytes of one partition in an answer, at most
    #[arg(long, default_value_t = 1 << 20)]
    pub partition_max_bytes: i32,
    /// Bytes that the broker waits for
    #[arg(long, default_value_t = 1)]
    pub min_bytes: i32,
    /// Milliseconds that the broker waits for them
    #[arg(long, default_value_t = 500)]
    pub max_wait_ms: i32,
}

/// How long a run is, and what it leaves behind.
#[derive(Clone, Debug, Args, Serialize)]
pub struct RunArgs {
    /// Seconds that are measured; 10 unless something else ends the run
    #[arg(long)]
    pub duration: Option<f64>,
    /// Seconds before that do not count
    #[arg(long, default_value_t = 0.0)]
    pub warmup: f64,
    /// Threads that drive the connections
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the latencies of each second to this file, as an HDR histogram log
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// The broker's process, to report the CPU time and memory that it takes; repeated for all brokers of a cluster, whose sums are told
    #[arg(long, value_name = "PID")]
    pub broker_pid: Vec<u32>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct ProduceArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Stamp each record, so that `consume --verify` can check it; compressed batches are then compressed one by one
    #[arg(long)]
    pub stamped: bool,
    /// End after so many records, rounded up to whole requests
    #[arg(long)]
    pub records: Option<u64>,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct ConsumeArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Where to begin: earliest, latest or an offset
    #[arg(long, default_value = "earliest")]
    pub from: String,
    /// Check that each record is the one that was sent, once and in order (needs `produce --stamped`)
    #[arg(long)]
    pub verify: bool,
    /// End after so many records, all consumers together
    #[arg(long)]
    pub records: Option<u64>,
    /// End when what is there at the start has been read
    #[arg(long)]
    pub until_end: bool,
    /// At the end of a partition begin again where reading began, so that a small log can be read for long
    #[arg(long, conflicts_with_all = ["verify", "until_end"])]
    pub rewind: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct E2eArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// End after so many records were sent and read, rounded up to whole requests
    #[arg(long)]
    pub records: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FloorKind {
    /// Receive, CRC-32C, write, acknowledge
    Produce,
    /// Sendfile from the page cache
    Fetch,
    /// Return what comes
    Echo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reactor {
    Epoll,
    Glommio,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct FloorArgs {
    #[arg(value_enum)]
    pub kind: FloorKind,
    /// What `echo` runs on
    #[arg(long, value_enum, default_value_t = Reactor::Epoll)]
    pub on: Reactor,
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Where the files of `produce` and `fetch` are; they have no names and go away by themselves
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// `produce` writes one file over and over, which is in the page cache before, instead of appending to a file of each connection
    #[arg(long)]
    pub overwrite: bool,
    /// Size of the file of `fetch` and of `produce --overwrite`
    #[arg(long, default_value_t = 512)]
    pub file_mib: u64,
    /// Bytes of an answer of `produce` or `fetch`, without its size prefix
    #[arg(long, default_value_t = 60)]
    pub answer_bytes: usize,
    /// End after so long
    #[arg(long)]
    pub seconds: Option<f64>,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct FloorClientArgs {
    /// Where the floor server listens
    #[arg(long, value_name = "HOST:PORT")]
    pub target: String,
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Bytes of a request, its size prefix included; a fetch has 12
    #[arg(long, default_value_t = 200)]
    pub request_bytes: usize,
    /// What the server of `floor-fetch` was told
    #[arg(long, default_value_t = 1 << 20)]
    pub answer_bytes: usize,
    /// What the server of `floor-fetch` was told
    #[arg(long, default_value_t = 512)]
    pub file_mib: u64,
    /// Open loop: requests per second of all connections together
    #[arg(long)]
    pub request_rate: Option<f64>,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct ChecksumArgs {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the bytes, seconds and CPU seconds to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct GapsArgs {
    #[arg(long)]
    pub seconds: f64,
    /// Write what was found to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct GroupsArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    /// Groups, whose members all want the topic
    #[arg(long, default_value_t = 1)]
    pub groups: usize,
    /// Members of each group, each with a connection of its own
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// What the names of the groups begin with
    #[arg(long, default_value = "bench-groups")]
    pub group: String,
    /// Milliseconds between two heartbeats of a member
    #[arg(long, default_value_t = 3_000)]
    pub heartbeat_ms: u64,
    /// The same of each group's first member, until the others have joined
    #[arg(long)]
    pub first_heartbeat_ms: Option<u64>,
    #[arg(long, default_value_t = 45_000)]
    pub session_timeout_ms: i32,
    #[arg(long, default_value_t = 60_000)]
    pub rebalance_timeout_ms: i32,
    /// Seconds of heartbeats that are not measured any more, after the results were written: for what is measured beside them
    #[arg(long)]
    pub hold: Option<f64>,
    /// Of when in their interval members send heartbeats
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct CommitsArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    /// Groups that commit in turn
    #[arg(long, default_value_t = 100)]
    pub groups: usize,
    /// What the names of the groups begin with
    #[arg(long, default_value = "bench-commits")]
    pub group: String,
    /// Partitions of one commit
    #[arg(long, default_value_t = 1)]
    pub partitions_per_commit: usize,
    /// Connections, at most one for each group
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Open loop: commits per second of all connections together
    #[arg(long)]
    pub rate: Option<f64>,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct MetadataArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    /// Create so many topics first; they must not be there
    #[arg(long, value_name = "TOPICS")]
    pub create_topics: Option<usize>,
    /// What the names of the created topics begin with
    #[arg(long, default_value = "bench-metadata", requires = "create_topics")]
    pub prefix: String,
    /// Partitions of each created topic
    #[arg(long, default_value_t = 1, requires = "create_topics")]
    pub partitions: i32,
    /// Replicas of the created topics
    #[arg(long, default_value_t = 1, requires = "create_topics")]
    pub replication_factor: i16,
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Open loop: requests per second of all connections together
    #[arg(long)]
    pub request_rate: Option<f64>,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct CompactionArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    /// Made with cleanup.policy=compact and min.cleanable.dirty.ratio=1, and filled with keyed records
    #[arg(long)]
    pub topic: String,
    /// Log dir of the broker, where the topic's partitions are
    #[arg(long, value_name = "DIR")]
    pub log_dir: PathBuf,
    /// What min.cleanable.dirty.ratio is set to
    #[arg(long, default_value_t = 0.01)]
    pub ratio: f64,
    /// Seconds that compaction may take
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    pub patience: f64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The broker's process, to report the CPU time that it takes
    #[arg(long, value_name = "PID")]
    pub broker_pid: Vec<u32>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct OutageArgs {
    #[command(flatten)]
    pub topic: TopicArgs,
    /// Open loop: records per second of each partition, one record a request
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 100)]
    pub record_size: usize,
    /// Seconds for which records are sent
    #[arg(long, default_value_t = 10.0)]
    pub duration: f64,
    /// Milliseconds between two tries to connect, to find a leader, or to send after an error without a hint
    #[arg(long, default_value_t = 5)]
    pub backoff_ms: u64,
    /// A leader that has not answered for so many milliseconds is looked up at other brokers
    #[arg(long, default_value_t = 50)]
    pub silence_ms: u64,
    /// A connection on which a request has waited for so many milliseconds is closed
    #[arg(long, default_value_t = 30_000)]
    pub request_timeout_ms: u64,
    /// A record that is not acknowledged within so many milliseconds has failed
    #[arg(long, default_value_t = 120_000)]
    pub delivery_timeout_ms: u64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct InSyncArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    /// Milliseconds between two looks
    #[arg(long, default_value_t = 20)]
    pub look_ms: u64,
    /// Seconds that it may take
    #[arg(long, default_value_t = 300.0)]
    pub patience: f64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct ReorderArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    /// Their partitions have at least two replicas each; may be repeated
    #[arg(long, required = true)]
    pub topic: Vec<String>,
    /// Milliseconds between two looks at each broker
    #[arg(long, default_value_t = 10)]
    pub look_ms: u64,
    /// Seconds that it may take
    #[arg(long, default_value_t = 120.0)]
    pub patience: f64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args, Serialize)]
pub struct ControllerArgs {
    /// Brokers of the cluster, separated by commas, of which the first that answers is asked
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap: String,
    /// Seconds that it may take until there is one
    #[arg(long, default_value_t = 60.0)]
    pub patience: f64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress lines
    #[arg(long)]
    pub quiet: bool,
}
