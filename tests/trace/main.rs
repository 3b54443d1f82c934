//! What the kernel saw: claims about a running broker that no answer of its own can prove.
//!
//! - With `log.flush.interval.messages=1`, every ack left after an `fdatasync` of its log that began after its request was sent had ended.
//!   SIGKILL cannot show this, since the page cache survives it.
//! - A loaded broker takes no lock of its own on the request path (its cores do not wait in futex calls as requests come), and at least
//!   95 % of fetched bytes leave by `sendfile`.

#[path = "../support/mod.rs"]
mod support;

mod order;
mod strace;

use bytes::Bytes;
use flumen::model::TopicId;
use flumen::record::{BatchBuilder, Compression};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use strace::{Call, Strace};
use support::broker::{Broker, Kind};
use support::client::{Client, produce_answer, produce_request};
use support::records::{Random, base_timestamp};

const TOPIC: &str = "traced";
const PARTITIONS: i32 = 4;
const PRODUCE_VERSION: i16 = 9;
const FETCH_BYTES: i32 = 1 << 20;

/// A produce as its client saw it, in microseconds since the epoch.
#[derive(Clone, Copy, Debug)]
struct Produced {
    partition: i32,
    sent: u64,
    acked: u64,
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn batch(bytes: usize, seed: u64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(base_timestamp(), None, Some(&Random(seed).bytes(bytes)));
    builder.build()
}

fn topic(broker: &Broker) -> TopicId {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut client = Client::connect(broker.address()).unwrap();
    loop {
        let led = |client: &mut Client| (0..PARTITIONS).all(|index| client.list_offset(TOPIC, index, -1).unwrap().0 == 0);
        if let Some(id) = client.topic_id(TOPIC).unwrap().filter(|_| led(&mut client)) {
            return id;
        }
        assert!(Instant::now() < deadline, "the topic has no leaders");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn produce(client: &mut Client, id: TopicId, partition: i32, batch: &Bytes) -> Produced {
    let sent = now();
    client.send(&produce_request(TOPIC, id, partition, -1, batch.clone(), PRODUCE_VERSION), PRODUCE_VERSION, true).unwrap();
    let (_, body) = client.receive(true).unwrap();
    let acked = now();
    assert_eq!(produce_answer(body, PRODUCE_VERSION).0, 0, "the produce succeeds");
    Produced { partition, sent, acked }
}

/// Produces on `connections` connections at once, `each` requests one after the other, all partitions in turn.
fn produce_all(address: SocketAddr, id: TopicId, connections: i32, each: i32) -> Vec<Produced> {
    std::thread::scope(|scope| {
        let one = |number: i32| {
            move || {
                let mut client = Client::connect(address).unwrap();
                let batch = batch(700, u64::try_from(number).unwrap());
                (0..each).map(|index| produce(&mut client, id, (number + index) % PARTITIONS, &batch)).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..connections).map(|number| scope.spawn(one(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Syncs of partitions' logs that succeeded, by partition: when each began and ended.
fn syncs(calls: &[Call]) -> BTreeMap<i32, Vec<(u64, u64)>> {
    let mut syncs: BTreeMap<i32, Vec<(u64, u64)>> = BTreeMap::new();
    for call in calls.iter().filter(|call| (call.name == "fdatasync" || call.name == "fsync") && call.result == 0) {
        let partition = (0..PARTITIONS)
            .find(|index| call.arguments.contains(&format!("/{TOPIC}-{index}/")) && call.arguments.contains(".log"));
        if let Some(partition) = partition {
            syncs.entry(partition).or_default().push((call.entered, call.returned));
        }
    }
    syncs
}

/// The acks that no sync of their log explains: none began after the request was sent and ended before the ack came.
fn unexplained(produced: &[Produced], syncs: &BTreeMap<i32, Vec<(u64, u64)>>) -> Vec<Produced> {
    let explained = |one: &Produced| {
        syncs
            .get(&one.partition)
            .is_some_and(|syncs| syncs.iter().any(|(began, ended)| *began >= one.sent && *ended <= one.acked))
    };
    produced.iter().filter(|one| !explained(one)).copied().collect()
}

fn traced_produces(settings: &[(&str, &str)], connections: i32, each: i32) -> (Vec<Produced>, BTreeMap<i32, Vec<(u64, u64)>>) {
    let broker = Broker::start(&[&[("num.partitions", "4")], settings].concat());
    let id = topic(&broker);
    produce_all(broker.address(), id, 1, PARTITIONS);
    let strace = Strace::attach(broker.pid(), "fdatasync,fsync");
    let produced = produce_all(broker.address(), id, connections, each);
    (produced, syncs(&strace.detach()))
}

#[test]
fn with_a_flush_for_every_message_each_ack_comes_after_its_sync() {
    let (produced, syncs) = traced_produces(&[("log.flush.interval.messages", "1")], 1, 100);
    let unexplained = unexplained(&produced, &syncs);
    assert!(
        unexplained.is_empty(),
        "{} of {} acks came before a sync: {:?}",
        unexplained.len(),
        produced.len(),
        unexplained.first()
    );
}

/// Many wait for one sync (that is why it is affordable), and still each for one that began after its request.
#[test]
fn those_who_wait_together_share_a_sync_that_covers_them_all() {
    let (produced, syncs) = traced_produces(&[("log.flush.interval.messages", "1")], 32, 40);
    let unexplained = unexplained(&produced, &syncs);
    assert!(
        unexplained.is_empty(),
        "{} of {} acks came before a sync: {:?}",
        unexplained.len(),
        produced.len(),
        unexplained.first()
    );
    let count: usize = syncs.values().map(Vec::len).sum();
    println!("{} acks, {count} syncs", produced.len());
    if Kind::under_test() == Kind::Flumen {
        assert!(count < produced.len(), "{count} syncs for {} acks: none was shared", produced.len());
    }
}

/// The check can fail: with Kafka's default, acks do not wait for the disk.
#[test]
fn without_it_acks_do_not_wait_and_the_check_notices() {
    let (produced, syncs) = traced_produces(&[], 4, 50);
    assert!(unexplained(&produced, &syncs).len() > produced.len() / 2, "acks waited for syncs that nobody asked for");
}

struct Loaded {
    requests: u64,
    fetched_bytes: u64,
    calls: Vec<Call>,
}

/// Four producers and four consumers, for some seconds, after a warm-up, with `calls` traced.
fn load(broker: &Broker, id: TopicId, calls: &str) -> Loaded {
    const SECONDS: u64 = 6;
    let address = broker.address();
    produce_all(address, id, 4, 50);
    let strace = Strace::attach(broker.pid(), calls);
    let (stop, requests, fetched_bytes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (stop, requests, fetched_bytes) = (&stop, &requests, &fetched_bytes);
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                let batch = batch(16_000, number);
                while !stop.load(Ordering::Relaxed) {
                    for partition in 0..PARTITIONS {
                        produce(&mut client, id, partition, &batch);
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                let partition = i32::try_from(number).unwrap();
                let mut offset = 0;
                while !stop.load(Ordering::Relaxed) {
                    let fetched = client.fetch(id, &[(partition, offset)], FETCH_BYTES, 100).unwrap().remove(0);
                    assert_eq!(fetched.error, 0);
                    offset += fetched.records.len() as i64;
                    requests.fetch_add(1, Ordering::Relaxed);
                    fetched_bytes.fetch_add(fetched.bytes as u64, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(Duration::from_secs(SECONDS));
        stop.store(true, Ordering::Relaxed);
    });
    Loaded { requests: requests.into_inner(), fetched_bytes: fetched_bytes.into_inner(), calls: strace.detach() }
}

#[test]
fn no_lock_is_taken_on_the_request_path_and_fetched_bytes_leave_by_sendfile() {
    let broker = Broker::start(&[("num.partitions", "4"), ("flumen.cores", "2")]);
    let id = topic(&broker);
    let loaded = load(&broker, id, "futex,sendfile,sendmsg,sendto");
    let sent: Vec<&Call> = loaded.calls.iter().filter(|call| call.name == "sendfile" && call.result > 0).collect();
    let by_sendfile: u64 = sent.iter().map(|call| call.result.unsigned_abs()).sum();
    // The threads that serve requests are those that answer, also where only producers are connected.
    let answers = |call: &&Call| call.name.starts_with("send") && call.arguments.contains("<TCP");
    let cores: BTreeSet<u32> = loaded.calls.iter().filter(answers).map(|call| call.thread).collect();
    let on_cores = || loaded.calls.iter().filter(|call| call.name == "futex" && cores.contains(&call.thread));
    // Waiting is what a lock does. Waking is how a core hands a job that is not a request's (writing a checkpoint, closing a file) to
    // its helper thread.
    let waits = on_cores().filter(|call| call.arguments.contains("FUTEX_WAIT") || call.arguments.contains("FUTEX_LOCK"));
    let waits: Vec<&Call> = waits.collect();
    let wakes = (on_cores().count() - waits.len()) as u64;
    let share = by_sendfile as f64 / loaded.fetched_bytes as f64;
    println!(
        "{} requests, {} fetched bytes, {:.1} % by sendfile, {} serving threads, which waited {} times and woke {wakes} times",
        loaded.requests,
        loaded.fetched_bytes,
        share * 100.0,
        cores.len(),
        waits.len()
    );
    assert!(loaded.requests > 500 && loaded.fetched_bytes > 5 << 20, "the load was one");
    assert!(share >= 0.95, "{:.1} % of fetched bytes left by sendfile", share * 100.0);
    if broker.kind == Kind::Flumen {
        assert_eq!(cores.len(), 2, "both cores serve");
        // Not for the allocator's either: memory that is given back on another core than it came from is a list without a lock.
        assert!(waits.is_empty(), "cores waited {} times for a lock: {:?}", waits.len(), waits[0]);
        assert!(wakes <= loaded.requests / 50 + 100, "{wakes} futex wakes for {} requests", loaded.requests);
    } else {
        // Apache Kafka hands requests between threads under locks; the same count must show it.
        assert!(!waits.is_empty() && wakes > loaded.requests / 50 + 100, "the count of futex calls can fail");
    }
}
