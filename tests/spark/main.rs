//! A job of Spark's Structured Streaming reads a topic and writes another one, ends, goes on from its checkpoint, and dies in the middle.
//!
//! Spark keeps the offsets itself and asks brokers for them with admin calls. What it writes to Kafka is there at least once, and exactly
//! once as long as the job does not die; then at most its last batch is there twice.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::broker::Broker;
use support::client::Client;
use support::members::wait_until;
use support::{process, tools};

const FROM: &str = "spark-in";
const TO: &str = "spark-out";
const PARTITIONS: i32 = 4;
/// Of each partition and round: several batches of the job.
const RECORDS: usize = 1000;
/// The job's own limit.
const BATCH: usize = 1000;
/// Spark's start, and its batches on two busy cores.
const LIMIT: Duration = Duration::from_secs(300);

/// Writes the records of a round; their values say which they are.
fn write(client: &mut Client, round: usize) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    for partition in 0..PARTITIONS {
        let values: Vec<String> = (0..RECORDS).map(|number| format!("{round}/{partition}/{number}")).collect();
        let records: Vec<(i64, &str)> = values.iter().map(|value| (now, value.as_str())).collect();
        for part in records.chunks(100) {
            client.write(FROM, partition, part);
        }
    }
}

/// How many records each partition of the copy has.
fn ends(client: &mut Client) -> Vec<i64> {
    let end = |partition: i32| {
        let (error, end) = client.list_offset(TO, partition, -1).unwrap();
        assert_eq!(error, 0);
        end
    };
    (0..PARTITIONS).map(end).collect()
}

/// How often each record was copied.
fn copies(client: &mut Client) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for (partition, end) in (0..PARTITIONS).zip(ends(client)) {
        for record in client.read(TO, partition, 0, end) {
            let value = String::from_utf8(record.value.expect("a value")).unwrap();
            let original = value.strip_prefix("copy of ").unwrap_or_else(|| panic!("{value} is no copy"));
            *copies.entry(original.to_owned()).or_default() += 1;
        }
    }
    copies
}

/// What the rounds before `rounds` have written, in order.
fn all(rounds: usize) -> Vec<String> {
    let of_partition = |round: usize, partition: i32| (0..RECORDS).map(move |number| format!("{round}/{partition}/{number}"));
    let of_round = |round: usize| (0..PARTITIONS).flat_map(move |partition| of_partition(round, partition));
    let mut all: Vec<String> = (0..rounds).flat_map(of_round).collect();
    all.sort();
    all
}

fn job(broker: &Broker, checkpoint: &Path, mode: &str) -> Command {
    let mut command = tools::spark("copy_topic.py");
    command.args([&*broker.bootstrap(), FROM, TO]).arg(checkpoint).arg(mode);
    command
}

#[test]
fn a_job_copies_every_record_and_goes_on_from_its_checkpoint() {
    let mut broker = Broker::start(&[("auto.create.topics.enable", "false")]);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let checkpoint = directory.path().join("checkpoint");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_and_await(FROM, PARTITIONS, &[]);
    client.create_and_await(TO, PARTITIONS, &[]);
    for rounds in 1..=2 {
        write(&mut client, rounds - 1);
        process::run_ok(&mut job(&broker, &checkpoint, "until-the-end"), b"", LIMIT);
        let copied = copies(&mut client);
        assert_eq!(copied.keys().cloned().collect::<Vec<_>>(), all(rounds), "round {rounds}");
        assert!(copied.values().all(|&times| times == 1), "a record was copied twice though the job ended well");
    }

    // The checkpoint is good for a broker that has died, too.
    broker.kill();
    broker.restart();
    client = Client::connect(broker.address()).unwrap();
    write(&mut client, 2);
    let before: i64 = ends(&mut client).iter().sum();
    let mut command = job(&broker, &checkpoint, "for-ever");
    command.process_group(0);
    let mut running = process::spawn_kept(command);
    wait_until("the first batch of the third round", LIMIT, || ends(&mut client).iter().sum::<i64>() > before);
    // The group is the interpreter and its JVM.
    // SAFETY: a signal to a group that this test has made, whose leader has not been waited for.
    unsafe { libc::kill(-i32::try_from(running.id()).unwrap(), libc::SIGKILL) };
    running.wait().unwrap();
    process::run_ok(&mut job(&broker, &checkpoint, "until-the-end"), b"", LIMIT);

    let copied = copies(&mut client);
    assert_eq!(copied.keys().cloned().collect::<Vec<_>>(), all(3), "every record was copied");
    let twice: Vec<(&String, &usize)> = copied.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.len() <= BATCH, "{} records were copied again, more than one batch", twice.len());
    assert!(twice.iter().all(|(original, times)| original.starts_with("2/") && **times == 2), "{twice:?}");
    broker.stop();
}
