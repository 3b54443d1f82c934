//! The command line: arguments in, exit code out.
//!
//! `flumen server` without a file is a working broker, so that trying it needs one command; everything else is said in Kafka's
//! `server.properties`, by file or by `--override`.

use crate::config::BrokerConfig;
use crate::io::{self, Finding, Severity};
use crate::server;
use crate::telemetry::{self, LogLevels};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

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
    let arguments = Arguments::parse();
    let log_levels = telemetry::init_log();
    match arguments.command {
        Command::Server(arguments) => serve(&arguments, log_levels),
        Command::Check(arguments) => check(&arguments),
    }
}

fn check(arguments: &ServerArguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let findings = io::survey(&server::topology(&config), &config.log_dirs());
    for Finding { severity, what, found, advice } in &findings {
        let word = match severity {
            Severity::Good => "good",
            Severity::Poor => "POOR",
            Severity::Bad => "BAD ",
        };
        println!("{word}  {what}: {found}");
        if !advice.is_empty() {
            println!("      {advice}");
        }
    }
    match findings.iter().any(|finding| finding.severity == Severity::Bad) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn serve(arguments: &ServerArguments, log_levels: LogLevels) -> ExitCode {
    match load(arguments) {
        Ok(config) => match server::run(config, log_levels) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Err(error) => fail(&error),
    }
}

/// Reads the file and the overrides; what does not stop the broker is logged.
fn load(arguments: &ServerArguments) -> Result<BrokerConfig, String> {
    let file = match &arguments.config {
        Some(path) => Some(io::read_at_start(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?),
        None => None,
    };
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("--override {text}: expected KEY=VALUE")),
    };
    let overrides = arguments.overrides.iter().map(split).collect::<Result<Vec<_>, _>>()?;
    let (config, warnings) = BrokerConfig::load(file.as_deref(), &overrides).map_err(|error| error.to_string())?;
    for warning in warnings {
        tracing::warn!(key = warning.key, "{}", warning.message);
    }
    Ok(config)
}

/// Kafka exits with 1 when it cannot start.
fn fail(error: &str) -> ExitCode {
    eprintln!("flumen: {error}");
    ExitCode::FAILURE
}
