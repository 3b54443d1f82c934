//! The command line: arguments in, exit code out.
//!
//! `flumen server` without a file is a working broker, so that trying it needs one command; everything else is said in Kafka's
//! `server.properties`, by file or by `--override`. `flumen storage` is Kafka's `kafka-storage`, with its options and words; `flumen
//! cluster` does what Kafka has no tool for, by Kafka's own requests.
//!
//! What a command decides is plain code with tests of its own (`storage::plan`, `release`, `placement`); what it does to disks and
//! brokers runs on one core, as a broker does.

mod balance;
mod check;
mod cluster;
mod placement;
mod release;
mod storage;

use crate::config::{BrokerConfig, Warning};
use crate::io::{self, Io, Topology, mailbox};
use crate::quorum;
use crate::server;
use crate::telemetry::{self, LogLevels};
use clap::{Parser, Subcommand};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// An Apache Kafka-compatible broker: one static binary, a core per reactor, no JVM.
#[derive(Parser)]
#[command(name = "flumen", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a broker; SIGTERM or SIGINT stops it cleanly.
    Server(ServerArguments),
    /// Looks at this machine as a broker with these settings would, and says what to change. Fails if the broker would not start, or could
    /// lose acked records.
    Check(ServerArguments),
    /// Prepares the log dirs of a node of a cluster, and tells of them, as kafka-storage does.
    #[command(subcommand)]
    Storage(storage::Command),
    /// Changes a running cluster by Kafka's own requests.
    #[command(subcommand)]
    Cluster(cluster::Command),
}

/// What `flumen server` and `flumen check` take.
#[derive(clap::Args)]
struct ServerArguments {
    /// Kafka's server.properties. Without it: one broker on 127.0.0.1:9092 with its data in ./flumen-data.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key, over the file; may be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    io::do_without_huge_pages();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version are no errors; what cannot be read is one, and 1 as with Kafka's tools.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let log_levels = telemetry::init_log();
    let done = match arguments.command {
        Command::Server(arguments) => serve(&arguments, log_levels),
        Command::Check(arguments) => load(&arguments).and_then(check::run),
        Command::Storage(command) => storage::run(command),
        Command::Cluster(command) => cluster::run(command).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flumen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &ServerArguments, log_levels: LogLevels) -> Result<bool, String> {
    server::run(load(arguments)?, log_levels).map(|()| true).map_err(|error| error.to_string())
}

/// Reads the file and the overrides; what does not stop the broker is logged.
fn load(arguments: &ServerArguments) -> Result<BrokerConfig, String> {
    let file = arguments.config.as_deref().map(read).transpose()?;
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("--override {text}: expected KEY=VALUE")),
    };
    let overrides = arguments.overrides.iter().map(split).collect::<Result<Vec<_>, _>>()?;
    let (mut config, mut warnings) = BrokerConfig::load(file.as_deref(), &overrides).map_err(|error| error.to_string())?;
    if config.is_alone() && !config.quorum_bootstrap_servers().is_empty() {
        let dir = config.metadata_log_dir();
        let can_change = move |io: Io| {
            let dir = dir.clone();
            async move { voters_can_change(&io, &dir).await }
        };
        if on_a_core(can_change)? {
            config.set_voters_can_change();
            warnings.retain(|warning| !warning.is_of_a_node_that_is_alone());
        }
    }
    for Warning { key, message } in warnings {
        tracing::warn!(key, "{message}");
    }
    Ok(config)
}

/// Whether the disk of a node whose settings name a server and no voters says that it is one of several controllers, or is yet to be.
async fn voters_can_change(io: &Io, dir: &Path) -> Result<bool, String> {
    let can_change = quorum::is_dynamic(io, dir).await.map_err(|error| error.to_string())?;
    Ok(can_change || quorum::names_nobody(io, dir).await.map_err(|error| error.to_string())?)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    io::read_at_start(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Runs `work` on one core of this machine, and gives what it returns.
fn on_a_core<T, F>(work: impl Fn(Io) -> F + Send + Sync + Clone + 'static) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + 'static,
{
    let topology = Topology { cores: 1, busy_poll: Duration::ZERO };
    io::check_machine(&topology).map_err(|error| error.to_string())?;
    let (sender, mut receiver) = mailbox();
    let cores = io::start(&topology, move |io| {
        let (work, sender) = (work.clone(), sender.clone());
        async move { sender.send(work(io).await) }
    });
    cores.and_then(io::Cores::join).map_err(|error| error.to_string())?;
    receiver.try_recv().unwrap_or_else(|| Err("the core ended without a word".to_owned()))
}
