//! `flumen cluster`: changes a running cluster by the requests that Kafka's own tools use, against any broker of it. `drain N` empties a
//! broker, `balance` evens out what brokers have to do.
//!
//! Nothing is kept: each step asks the cluster what there is, says what it is about to do and why (the decisions are pure, in `placement`
//! and in `balance`), has a few partitions reassigned, and waits until they are. So either command can be stopped at any time and goes on
//! where it was when it is run again, and what others change meanwhile is seen with the next step. Nothing here is in a hurry: a call whose
//! answer is lost is made again, which is safe, since reading changes nothing and a reassignment that is asked for twice is the same one.
//!
//! What is copied is held back to a number of bytes per second (`mover`), and whatever ends the command, nothing of that stays behind: what
//! is under way when it is interrupted is cancelled, and the throttles are taken away.

mod admin;
mod balancing;
mod draining;
mod measure;
mod mover;
#[cfg(test)]
mod tests;

use super::on_a_core;
use crate::config::parse_servers;
use admin::Admin;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Moves all replicas away from a broker, some partitions at a time, so that it can be taken out. Says what it moves and why. May be
    /// stopped and run again.
    Drain(DrainArguments),
    /// Moves leaderships and replicas from brokers with much to do to those with little. Measures first, says what it moves, why and what
    /// comes of it. May be stopped and run again.
    Balance(BalanceArguments),
}

/// What both take.
#[derive(Args, Clone)]
pub(super) struct Movement {
    /// Brokers of the cluster that can be asked: host:port, separated by commas.
    #[arg(short, long, value_name = "SERVERS")]
    bootstrap_server: String,
    /// Only says what would be moved.
    #[arg(long)]
    dry_run: bool,
    /// How many partitions are moved at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    partitions_at_once: u16,
    /// How many bytes per second a broker may copy for it, each way; 0 for no bound.
    #[arg(long, value_name = "BYTES", default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    bandwidth: u64,
}

#[derive(Args, Clone)]
pub(super) struct DrainArguments {
    /// node.id of the broker.
    broker: i32,
    #[command(flatten)]
    how: Movement,
}

#[derive(Args, Clone)]
pub(super) struct BalanceArguments {
    #[command(flatten)]
    how: Movement,
    /// Moves leaderships only: nothing is copied.
    #[arg(long)]
    leaders_only: bool,
    /// For how many seconds it is measured what is written to each partition.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    measure: u16,
    /// How many partitions are moved in all; the more there are, the longer what was measured has to stay true.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
}

pub(super) fn run(command: Command) -> Result<(), String> {
    let (Command::Drain(DrainArguments { how, .. }) | Command::Balance(BalanceArguments { how, .. })) = &command;
    let items: Vec<String> = how.bootstrap_server.split(',').map(|item| item.trim().to_owned()).collect();
    let servers = parse_servers(&items).map_err(|error| format!("--bootstrap-server: {error}"))?;
    match command {
        Command::Drain(arguments) => on_a_core(move |io| {
            let (admin, arguments) = (Admin::new(io, servers.clone()), arguments.clone());
            async move { draining::drain(&admin, &arguments).await }
        }),
        Command::Balance(arguments) => on_a_core(move |io| {
            let (admin, arguments) = (Admin::new(io, servers.clone()), arguments.clone());
            async move { balancing::balance(&admin, &arguments).await }
        }),
    }
}
