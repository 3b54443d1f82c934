//! Clients that lie, stall, flood and vanish, and machines that run out: the broker stays up, says who and why, keeps its memory
//! under a ceiling, and a well-behaved client beside them notices nothing.
//!
//! Every attack runs on a broker of its own, in a process of its own, between two looks at a [`witness::Witness`], and states the
//! most memory that the broker may have been resident with at any time (the kernel's own high-water mark). With
//! `FLUMEN_TEST_TARGET=kafka` the rules for batches and lengths (`batches_that_break`, `lengths_that`, `frames_longer`) are put to
//! Apache Kafka, whose memory and log are its own affair, to show that the codes and closed connections demanded here are Kafka's.
//! It differs in this: a null array may have any negative length there, and is refused here unless it is -1.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod client;
#[path = "../fuzz/corpus.rs"]
mod corpus;
mod devices;
mod frames;
mod groups;
mod idle;
#[path = "../fuzz/mutate.rs"]
mod mutate;
mod requests;
mod witness;

use client::Client;
use std::time::{Duration, Instant};
use support::broker::{Broker, Kind};
use witness::Witness;

/// What `corpus` and `mutate` are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub kind: String,
    pub bytes: Vec<u8>,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Longest time that the witness may wait for a round during an attack that does not fill the machine: two cores run the broker,
/// the attackers, and whatever else the machine has to do.
pub const SHORT: Duration = Duration::from_secs(3);

pub struct Attack<'a> {
    pub settings: &'a [(&'a str, &'a str)],
    /// Most resident memory at any time, in MiB.
    pub ceiling_mib: u64,
    /// Longest round of the witness.
    pub patience: Duration,
}

impl Attack<'_> {
    /// Runs an attack and checks what must hold during and after it.
    pub fn run(&self, attack: impl FnOnce(&Broker)) {
        self.run_beside(1, attack);
    }

    /// As [`Attack::run`], with a witness on each of so many neighbouring partitions: of two, each core owns one.
    /// Returns the slowest round of any of them.
    pub fn run_beside(&self, witnesses: i32, attack: impl FnOnce(&Broker)) -> Duration {
        let mut settings = vec![("flumen.cores", "2"), ("auto.create.topics.enable", "false")];
        settings.extend_from_slice(self.settings);
        let mut broker = Broker::start(&settings);
        Client::connect(broker.address()).create_topic(witness::TOPIC, witnesses, &[]);
        let witnesses = (0..witnesses).map(|partition| Witness::start(broker.address(), partition)).collect();
        self.between(&mut broker, witnesses, attack)
    }

    /// As [`Attack::run`], with a broker and witnesses that are there.
    pub fn between(&self, broker: &mut Broker, witnesses: Vec<Witness>, attack: impl FnOnce(&Broker)) -> Duration {
        let before = memory_mib(broker, "VmRSS");
        // Resets the kernel's high-water mark to what is resident now.
        std::fs::write(format!("/proc/{}/clear_refs", broker.pid()), "5").expect("the mark can be reset");
        attack(broker);
        witnesses.iter().for_each(Witness::sees_progress);
        let peak = memory_mib(broker, "VmHWM");
        let ceiling = if broker.kind == Kind::Flumen { self.ceiling_mib } else { u64::MAX };
        let seen: Vec<(u64, Duration)> = witnesses.into_iter().map(Witness::stop).collect();
        println!("rounds and the slowest: {seen:?}; {before} MiB resident before, at most {peak}");
        assert!(broker.is_running(), "the broker is up");
        assert!(!broker.log().contains("panicked"), "nothing panicked");
        assert!(peak <= ceiling, "{peak} MiB were resident where {ceiling} are allowed");
        let slowest = seen.into_iter().map(|(_, slowest)| slowest).max().expect("a witness");
        assert!(slowest <= self.patience, "a round of a witness took {slowest:?}");
        Client::connect(broker.address()).create_topic("afterwards", 1, &[]);
        broker.stop();
        slowest
    }
}

/// A line of /proc/<pid>/status, in MiB.
fn memory_mib(broker: &Broker, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("the broker runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of memory");
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Waits until a line of the broker's log has all of these.
pub fn logged(broker: &Broker, words: &[&str]) {
    if broker.kind == Kind::Kafka {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if broker.log().lines().any(|line| words.iter().all(|word| line.contains(word))) {
            return;
        }
        assert!(Instant::now() < deadline, "no line of the log has {words:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
