//! SIGKILL at random moments under load: nothing acked is lost, nothing of an idempotent producer is doubled, no offset ever has
//! two values, and the order of each producer stays.
//!
//! The broker dies by SIGKILL while eight producers write (idempotent and plain, acks 1 and all, every codec, five requests under
//! way each) and a consumer reads along; sometimes it dies again while it recovers. After each start everything new is read, now and then
//! everything from offset 0. [`support::history`] holds all acks and all reads ever made and compares them. At the end Kafka's own
//! `kafka-dump-log` judges the directory that all those deaths left.
//!
//! `FLUMEN_TEST_SEED` repeats the random choices of a run (not its timing), `FLUMEN_TEST_ROUNDS` sets the number of deaths.

#[path = "../support/mod.rs"]
mod support;

mod writer;

use flumen::model::TopicId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::broker::{Broker, Kind};
use support::client::{Client, FetchedRecord};
use support::history::{Ack, History, Identity, Order};
use support::records::Random;
use support::{dump_log, process};
use writer::Writer;

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 3;
const WRITERS: u32 = 8;
const FETCH_BYTES: i32 = 1 << 20;
/// Limits so small that a few seconds of load roll segments and checkpoint several times.
const SETTINGS: [(&str, &str); 5] = [
    ("num.partitions", "3"),
    ("log.segment.bytes", "1048576"),
    ("log.retention.ms", "-1"),
    ("log.flush.offset.checkpoint.interval.ms", "500"),
    ("log.roll.ms", "3000"),
];

fn rounds() -> u32 {
    match std::env::var("FLUMEN_TEST_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("FLUMEN_TEST_ROUNDS is a number"),
        Err(_) if process::is_long() => 200,
        Err(_) => 40,
    }
}

fn seed() -> u64 {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    std::env::var("FLUMEN_TEST_SEED").map_or_else(|_| clock() as u64, |seed| seed.parse().expect("FLUMEN_TEST_SEED is a number"))
}

/// Even writers are idempotent and retry, the others send each record once.
fn order(writer: u32) -> Order {
    if writer % 2 == 0 { Order::Gapless } else { Order::Ascending }
}

/// Asks until it gets an answer that serves: a broker that has just started may still be loading.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(address: SocketAddr) -> Client {
    eventually("a connection", || Client::connect(address).ok())
}

/// Reads each partition from `from` to its end; the log ends.
fn read_to_end(
    address: SocketAddr,
    id: TopicId,
    from: impl Fn(i32) -> i64,
    history: &mut History,
) -> Result<BTreeMap<i32, i64>, String> {
    let mut client = connect(address);
    let mut ends = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut offset = from(partition);
        let end = eventually("the log end", || match client.list_offset(TOPIC, partition, -1) {
            Ok((0, end)) => Some(end),
            _ => None,
        });
        while offset < end {
            let answer = client.fetch(id, &[(partition, offset)], FETCH_BYTES, 100).map_err(|error| error.to_string())?;
            let fetched = &answer[0];
            if fetched.error != 0 {
                return Err(format!("partition {partition} at offset {offset} of {end}: error {}", fetched.error));
            }
            history.saw(partition, offset, &fetched.records)?;
            offset += fetched.records.len() as i64;
        }
        ends.insert(partition, end);
    }
    Ok(ends)
}

/// A consumer that reads along until the broker is gone. What it saw counts like any other read.
fn read_along(address: SocketAddr, id: TopicId, gone: &AtomicBool, history: &mut History) -> Result<(), String> {
    let Ok(mut client) = Client::connect(address) else { return Ok(()) };
    while !gone.load(Ordering::Relaxed) {
        let places: Vec<(i32, i64)> = (0..PARTITIONS).map(|partition| (partition, history.end(partition))).collect();
        let Ok(answer) = client.fetch(id, &places, FETCH_BYTES, 20) else { return Ok(()) };
        for fetched in answer.iter().filter(|fetched| fetched.error == 0) {
            let from = places.iter().find(|place| place.0 == fetched.partition).unwrap().1;
            history.saw(fetched.partition, from, &fetched.records)?;
        }
    }
    Ok(())
}

struct Run {
    broker: Broker,
    id: TopicId,
    writers: Vec<Writer>,
    history: History,
    random: Random,
    deaths_in_recovery: u32,
}

impl Run {
    fn new(seed: u64) -> Run {
        let broker = Broker::start(&SETTINGS);
        let id = eventually("the topic", || connect(broker.address()).topic_id(TOPIC).ok().flatten());
        let writers = (0..WRITERS).map(|number| Writer::new(number, (TOPIC.to_owned(), id), PARTITIONS, seed)).collect();
        Run { broker, id, writers, history: History::default(), random: Random(seed), deaths_in_recovery: 0 }
    }

    /// Load, and SIGKILL in the middle of it; or, with no `kill_after`, a second of load that ends in peace.
    fn load(&mut self, kill_after: Option<Duration>) -> Result<(), String> {
        let (stop, gone) = (AtomicBool::new(false), AtomicBool::new(false));
        let (address, id) = (self.broker.address(), self.id);
        let Run { broker, writers, history, .. } = self;
        std::thread::scope(|scope| {
            for writer in writers.iter_mut() {
                scope.spawn(|| writer.run(address, &stop, &gone));
            }
            let reader = scope.spawn(|| read_along(address, id, &gone, history));
            std::thread::sleep(kill_after.unwrap_or(Duration::from_secs(1)));
            if kill_after.is_some() {
                broker.kill();
            } else {
                stop.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(500));
            }
            gone.store(true, Ordering::Relaxed);
            reader.join().expect("the reader")
        })?;
        for writer in &mut self.writers {
            self.history.acked(writer.acked.drain(..));
        }
        Ok(())
    }

    fn start_again(&mut self) {
        // Dying while recovering must cost nothing either.
        while self.random.below(6) == 0 {
            self.broker.start_without_waiting();
            std::thread::sleep(Duration::from_millis(self.random.below(60)));
            self.broker.kill();
            self.deaths_in_recovery += 1;
        }
        self.broker.restart();
    }

    fn check(&mut self, from_the_start: bool) -> Result<(), String> {
        // Some of what was read before is read again, all of it now and then.
        let starts: Vec<i64> = (0..PARTITIONS)
            .map(|partition| if from_the_start { 0 } else { (self.history.end(partition) - 500).max(0) })
            .collect();
        let from = |partition: i32| starts[usize::try_from(partition).unwrap()];
        let ends = read_to_end(self.broker.address(), self.id, from, &mut self.history)?;
        self.history.check_nothing_lost(&ends)?;
        self.history.check_order(order)
    }
}

#[test]
fn sigkill_under_load_loses_doubles_and_changes_nothing() {
    let (seed, rounds) = (seed(), rounds());
    println!("FLUMEN_TEST_SEED={seed} FLUMEN_TEST_ROUNDS={rounds}");
    let mut run = Run::new(seed);
    for round in 0..rounds {
        let kill_after = Duration::from_millis(20 + run.random.below(if round % 5 == 0 { 1500 } else { 250 }));
        let verdict = run.load(Some(kill_after)).and_then(|()| {
            run.start_again();
            run.check(round % 10 == 9)
        });
        if let Err(wrong) = verdict {
            panic!("FLUMEN_TEST_SEED={seed}: round {round} of {rounds}, killed after {kill_after:?}: {wrong}");
        }
    }
    // Everybody retries what is under way and ends in peace; then every record is read once more.
    let verdict = run.load(None).and_then(|()| run.check(true));
    verdict.unwrap_or_else(|wrong| panic!("FLUMEN_TEST_SEED={seed}: after the last round: {wrong}"));
    let duplicates: usize = run.writers.iter().map(|writer| writer.duplicates_answered).sum();
    let forgotten: usize = run.writers.iter().map(|writer| writer.answered_without_offset).sum();
    println!(
        "{rounds} deaths under load, {} while recovering, {} acks, {} records, {duplicates} duplicates answered with their offset, \
         {forgotten} retries known to be written but not where",
        run.deaths_in_recovery,
        run.history.acks(),
        run.history.records()
    );
    assert!(run.history.acks() as u64 > 20 * u64::from(rounds), "the load was one: {} acks", run.history.acks());
    assert!(duplicates > 0, "a duplicate was sent and answered");
    run.broker.stop();
    let judged =
        dump_log::check(&run.broker.data_dir()).unwrap_or_else(|complaints| panic!("kafka-dump-log:\n{}", complaints.join("\n")));
    let dumped: usize = (0..PARTITIONS).map(|partition| judged.records[&format!("{TOPIC}-{partition}")]).sum();
    assert_eq!(dumped, run.history.records(), "kafka-dump-log sees as many records as were read");
}

// The harness must be able to fail: each kind of wrong, made up, is noticed.

fn record(offset: i64, identity: Identity) -> FetchedRecord {
    FetchedRecord { offset, timestamp: identity.timestamp(), key: Some(identity.key()), value: Some(identity.value()) }
}

fn identity(writer: u32, number: u32) -> Identity {
    Identity { writer, partition: 0, number }
}

fn history_of(identities: &[Identity]) -> History {
    let mut history = History::default();
    let records: Vec<FetchedRecord> =
        identities.iter().enumerate().map(|(offset, identity)| record(offset as i64, *identity)).collect();
    history.saw(0, 0, &records).unwrap();
    history
}

#[test]
fn the_harness_notices_a_lost_record() {
    let mut history = history_of(&[identity(0, 0), identity(0, 1)]);
    history.acked([Ack { first: identity(0, 0), count: 2, base_offset: 0 }]);
    assert_eq!(history.check_nothing_lost(&BTreeMap::from([(0, 2)])), Ok(()));
    assert!(history.check_nothing_lost(&BTreeMap::from([(0, 1)])).is_err(), "what was read once is gone");
    history.acked([Ack { first: identity(0, 2), count: 1, base_offset: 2 }]);
    assert!(history.check_nothing_lost(&BTreeMap::from([(0, 2)])).is_err(), "acked and not there");
}

#[test]
fn the_harness_notices_an_ack_with_the_wrong_offset() {
    let mut history = history_of(&[identity(0, 0), identity(1, 0)]);
    history.acked([Ack { first: identity(0, 0), count: 1, base_offset: 1 }]);
    assert!(history.check_nothing_lost(&BTreeMap::from([(0, 2)])).is_err());
}

#[test]
fn the_harness_notices_an_offset_with_two_values() {
    let mut history = history_of(&[identity(0, 0)]);
    assert_eq!(history.saw(0, 0, &[record(0, identity(0, 0))]), Ok(()));
    assert!(history.saw(0, 0, &[record(0, identity(1, 0))]).is_err());
    assert!(history.saw(0, 1, &[record(2, identity(1, 0))]).is_err(), "a gap");
    let changed = FetchedRecord { value: Some(b"x".to_vec()), ..record(1, identity(1, 0)) };
    assert!(history.saw(0, 1, &[changed]).is_err(), "a value that nobody wrote");
}

#[test]
fn the_harness_notices_doubled_missing_and_reordered_records() {
    let order = |writer: u32| if writer == 0 { Order::Gapless } else { Order::Ascending };
    assert_eq!(history_of(&[identity(0, 0), identity(1, 0), identity(0, 1), identity(1, 7)]).check_order(order), Ok(()));
    assert!(history_of(&[identity(0, 0), identity(0, 0)]).check_order(order).is_err(), "doubled");
    assert!(history_of(&[identity(1, 0), identity(1, 0)]).check_order(order).is_err(), "doubled, plain");
    assert!(history_of(&[identity(0, 0), identity(0, 2)]).check_order(order).is_err(), "missing");
    assert!(history_of(&[identity(1, 2), identity(1, 1)]).check_order(order).is_err(), "out of order");
}

#[test]
fn the_broker_under_test_is_the_one_that_was_asked_for() {
    let wanted =
        if std::env::var("FLUMEN_TEST_TARGET").is_ok_and(|target| target == "kafka") { Kind::Kafka } else { Kind::Flumen };
    assert_eq!(Kind::under_test(), wanted);
}
