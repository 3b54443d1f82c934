//! `groups`: many members of many groups of the classic protocol join, come and go, and send heartbeats.
//!
//! **The stages**, each measured until all groups are stable, and each verified (one generation, in which the members' shares are
//! disjoint and cover all partitions):
//!
//! 1. `first`: one member of each group joins. What a broker waits for more members of an empty group
//!    (`group.initial.rebalance.delay.ms`, 3 s) is in no other stage.
//! 2. `joined`: all others join, at once: first all of a group get their ids, then all join with them, so that there is one rebalance.
//! 3. `left`: the last member of each group leaves.
//! 4. `returned`: it joins again.
//!
//! Then nobody comes or goes, and for `--duration` the heartbeats are measured, each from its intended time. Members learn of a rebalance
//! from their next heartbeat: up to an interval of the second to fourth stage is nobody's work. Therefore the first members may have an
//! interval of their own until all have joined, and of each group it is told how long it took from its last JoinGroup on.

mod assign;
mod crowd;
mod member;

use crate::args::GroupsArgs;
use crate::commands::{check, check_run, finish_with, topic};
use crate::coordinate::{coordinators, leave};
use crate::kafka::{Client, Topic, error_name};
use crate::report;
use crate::run::{Outcome, Sample};
use crate::stats::{Interval, Phase};
use crate::worker::Failure;
use crowd::{Change, Crowd, Stage};
use flumen::protocol::{ApiKey, StrBytes};
use member::{Manners, Versions};
use serde_json::{Map, Value, json};

/// Highest versions that are spoken.
const VERSIONS: Versions = Versions { join: 9, sync: 5, heartbeat: 4, leave: 5 };

fn check_args(args: &GroupsArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    check(args.run.threads == 1, "groups have one thread")?;
    check(args.groups > 0 && args.members > 1, "there is at least one group, of at least two members")?;
    check(args.heartbeat_ms > 0 && args.first_heartbeat_ms.is_none_or(|ms| ms > 0), "intervals are at least 1 ms")?;
    check(args.hold.is_none_or(|seconds| seconds > 0.0), "times are positive")
}

fn manners(client: &Client, topic: &Topic, args: &GroupsArgs) -> Result<Manners, Failure> {
    let name = StrBytes::from(&topic.name);
    Ok(Manners {
        partitions: i32::try_from(topic.partitions.len()).expect("a topic has an i32 of partitions"),
        subscription: assign::subscription(&name),
        topic: name,
        session_timeout_ms: args.session_timeout_ms,
        rebalance_timeout_ms: args.rebalance_timeout_ms,
        versions: Versions {
            join: client.version(ApiKey::JoinGroup, VERSIONS.join)?,
            sync: client.version(ApiKey::SyncGroup, VERSIONS.sync)?,
            heartbeat: client.version(ApiKey::Heartbeat, VERSIONS.heartbeat)?,
            leave: client.version(ApiKey::LeaveGroup, VERSIONS.leave)?,
        },
        interval: args.heartbeat_ms * 1_000_000,
        first_interval: args.first_heartbeat_ms.unwrap_or(args.heartbeat_ms) * 1_000_000,
    })
}

/// The stages, one after the other.
fn stages(crowd: &mut Crowd, args: &GroupsArgs) -> Result<Vec<Stage>, Failure> {
    let (brokers, last) = (&args.run.broker_pid, args.members - 1);
    let mut done = Vec::new();
    for (name, change, places) in [
        ("first", Change::Join, 0..1),
        ("joined", Change::Join, 1..args.members),
        ("left", Change::Leave, last..args.members),
        ("returned", Change::Join, last..args.members),
    ] {
        let stage = crowd.stage(name, brokers, change, places)?;
        if !args.run.quiet {
            eprintln!("{}", line(&stage));
        }
        if name == "joined" {
            crowd.level();
        }
        done.push(stage);
    }
    Ok(done)
}

/// The heartbeats of members that stay.
fn steady(crowd: &mut Crowd, args: &GroupsArgs) -> Result<Outcome, Failure> {
    let run = &args.run;
    crowd.beat(Phase::Warmup, run.warmup, |_| {})?;
    let before = Sample::take(&run.broker_pid);
    let mut start = None;
    let told = |interval: &Interval| {
        let start = *start.get_or_insert(interval.start);
        if !run.quiet {
            report::progress(interval, start);
        }
    };
    let mut intervals = crowd.beat(Phase::Measured, run.duration.unwrap_or(10.0), told)?;
    let after = Sample::take(&run.broker_pid);
    let measure = intervals.first().map_or(0, |interval| interval.start);
    intervals.push(crowd.drain()?);
    Ok(Outcome::new(intervals, measure, (before, after), !run.broker_pid.is_empty(), None))
}

/// A stage, for people.
fn line(stage: &Stage) -> String {
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let cpu = stage.broker.map_or_else(String::new, |broker| format!("  broker CPU {:.2} s", broker.cpu.total()));
    format!(
        "{:<9} stable after {:.3} s; after the last JoinGroup of a group p50 {:.1} ms, max {:.1} ms; {} joins, {} syncs{cpu}",
        stage.name,
        stage.seconds,
        ms(stage.rebalances.value_at_quantile(0.5)),
        ms(stage.rebalances.max()),
        stage.joins,
        stage.syncs
    )
}

fn stage_json(stage: &Stage) -> Value {
    let errors: Map<String, Value> = stage.errors.iter().map(|(code, count)| (error_name(*code), json!(count))).collect();
    json!({
        "seconds": stage.seconds,
        "rebalance_us": report::latency_json(&stage.rebalances),
        "joins": stage.joins,
        "syncs": stage.syncs,
        "errors": errors,
        "own_cpu_seconds": stage.own_cpu,
        "broker_cpu_seconds": stage.broker.map(|broker| broker.cpu),
    })
}

/// Everybody leaves, so that the broker has nobody to miss.
fn disband(crowd: &Crowd, coordinators: &[String]) -> Result<(), Failure> {
    let mut client: Option<(&String, Client)> = None;
    for ((group, members), address) in crowd.members().into_iter().zip(coordinators) {
        if client.as_ref().is_none_or(|(at, _)| *at != address) {
            client = Some((address, Client::connect(address)?));
        }
        if let Some((_, client)) = &mut client {
            leave(client, &group, members)?;
        }
    }
    Ok(())
}

/// Runs the command.
pub fn run(args: &GroupsArgs) -> Result<(), Failure> {
    check_args(args)?;
    let (mut client, topic) = topic(&args.topic)?;
    let names: Vec<_> = (0..args.groups).map(|number| StrBytes::from(format!("{}-{number}", args.group))).collect();
    let coordinators = coordinators(&mut client, &names)?;
    let groups = names.into_iter().zip(coordinators.iter().cloned()).collect();
    let mut crowd = Crowd::connect(groups, args.members, manners(&client, &topic, args)?, args.seed)?;
    let stages = stages(&mut crowd, args)?;
    let outcome = steady(&mut crowd, args)?;
    for stage in &stages {
        println!("{}", line(stage));
    }
    let told: Map<String, Value> = stages.iter().map(|stage| (stage.name.to_owned(), stage_json(stage))).collect();
    finish_with("groups", args, &args.run, &outcome, &[("stages", Value::Object(told))])?;
    if let Some(seconds) = args.hold {
        crowd.beat(Phase::Late, seconds, |_| {})?;
        crowd.drain()?;
    }
    disband(&crowd, &coordinators)
}
