//! Consumer groups of foreign clients, and Kafka's tools for them.
//!
//! What a group promises is seen from outside: at any time that everybody agrees on a generation each partition is one member's, each
//! record is read at least once (exactly once as long as nobody dies), and what was committed is where somebody else goes on, also after
//! the broker was killed.

#[path = "../support/mod.rs"]
mod support;

mod kcat;
mod protocol;
mod resets;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::broker::Broker;
use support::client::Client;
use support::members::{Member, Place, wait_until, wait_until_shared};
use support::peers::{Peer, Produce, all_peers};
use support::records::Record;

const PARTITIONS: i32 = 8;
/// A JVM on a busy machine, and a session that has to run out.
const LIMIT: Duration = Duration::from_secs(60);

pub fn broker() -> Broker {
    Broker::start(&[("group.initial.rebalance.delay.ms", "300"), ("auto.create.topics.enable", "false")])
}

pub fn create(broker: &Broker, topic: &str, partitions: i32) {
    let mut client = Client::connect(broker.address()).unwrap();
    assert_eq!(client.create_topic(topic, partitions, &[]).unwrap(), 0, "{topic} is created");
}

/// `count` more records to each partition of a topic.
pub fn produce(broker: &Broker, topic: &str, partitions: i32, count: usize) {
    let record = |partition: i32| Record {
        partition,
        offset: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(b"some words".to_vec()),
        headers: Vec::new(),
    };
    let records = (0..partitions).flat_map(|partition| (0..count).map(move |_| record(partition))).collect();
    let plan = Produce { topic: topic.to_owned(), codec: "none", acks: "all", idempotent: false, records };
    Peer::Librdkafka.produce(&broker.bootstrap(), vec![plan]);
}

/// How often each record of a topic was read.
fn times_read(reads: &[(Place, i64)]) -> BTreeMap<(i32, i64), usize> {
    let mut times = BTreeMap::new();
    for ((_, partition), offset) in reads {
        *times.entry((*partition, *offset)).or_default() += 1;
    }
    times
}

fn read_by(members: &[Member]) -> Vec<(Place, i64)> {
    members.iter().flat_map(Member::read).collect()
}

/// Waits until the members (and those before them, who read `before`) have read `count` records of each partition.
fn wait_until_read(members: &[Member], before: &[(Place, i64)], count: usize) -> BTreeMap<(i32, i64), usize> {
    let all = usize::try_from(PARTITIONS).unwrap() * count;
    let read = || times_read(&[before, &read_by(members)].concat());
    wait_until(&format!("{all} records to be read, of which there are {}", read().len()), LIMIT, || read().len() >= all);
    let read = read();
    let expected: BTreeSet<(i32, i64)> =
        (0..PARTITIONS).flat_map(|partition| (0..count as i64).map(move |offset| (partition, offset))).collect();
    assert_eq!(read.keys().copied().collect::<BTreeSet<_>>(), expected, "the records that were produced were read");
    read
}

/// Four members share a topic; one dies, one leaves, the broker is killed, and somebody always goes on where others have committed.
fn share(peers: [Peer; 4], name: &str) {
    let mut broker = broker();
    let topic = format!("shared-{name}");
    create(&broker, &topic, PARTITIONS);
    produce(&broker, &topic, PARTITIONS, 100);
    let join =
        |(index, peer): (usize, Peer)| Member::join(peer, &broker.bootstrap(), name, &format!("{peer:?}-{index}"), &topic, None);
    let mut members: Vec<Member> = peers.into_iter().enumerate().map(join).collect();
    wait_until_shared(&members, &topic, PARTITIONS, LIMIT);
    let times = wait_until_read(&members, &[], 100);
    assert!(times.values().all(|&times| times == 1), "nobody died, so every record was read once: {times:?}");

    let mut before = members.remove(0).kill();
    wait_until_shared(&members, &topic, PARTITIONS, LIMIT);
    produce(&broker, &topic, PARTITIONS, 50);
    wait_until_read(&members, &before, 150);

    before.extend(members.remove(0).leave());
    wait_until_shared(&members, &topic, PARTITIONS, LIMIT);
    produce(&broker, &topic, PARTITIONS, 50);
    wait_until_read(&members, &before, 200);

    broker.kill();
    broker.restart();
    produce(&broker, &topic, PARTITIONS, 50);
    wait_until_read(&members, &before, 250);
    for member in members.drain(..) {
        before.extend(member.leave());
    }
    let times = times_read(&before);
    // Offsets that were committed are never read again, whoever dies.
    assert!(times.values().all(|&times| times == 1), "a record was read twice after it was committed: {times:?}");
    broker.stop();
}

#[test]
fn java_members_share_a_topic() {
    share([Peer::Java; 4], "java");
}

#[test]
fn librdkafka_members_share_a_topic() {
    share([Peer::Librdkafka; 4], "librdkafka");
}

#[test]
fn franz_go_members_share_a_topic() {
    share([Peer::FranzGo; 4], "franz-go");
}

#[test]
fn aiokafka_members_share_a_topic() {
    share([Peer::Aiokafka; 4], "aiokafka");
}

#[test]
fn sarama_members_share_a_topic() {
    share([Peer::Sarama; 4], "sarama");
}

#[test]
fn kafka_python_members_share_a_topic() {
    share([Peer::KafkaPython; 4], "kafka-python");
}

#[test]
fn kafkajs_members_share_a_topic() {
    share([Peer::KafkaJs; 4], "kafkajs");
}

#[test]
fn members_of_several_clients_share_a_topic() {
    share([Peer::Java, Peer::Librdkafka, Peer::FranzGo, Peer::Librdkafka], "mixed");
}

/// The others, two of whom are left over when one was killed and one has left.
#[test]
fn members_of_several_more_clients_share_a_topic() {
    share([Peer::Aiokafka, Peer::KafkaJs, Peer::Sarama, Peer::KafkaPython], "mixed-more");
}

/// KIP-345: a static member that comes back in time finds its partitions, and nobody else notices.
#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let broker = broker();
    create(&broker, "static", PARTITIONS);
    produce(&broker, "static", PARTITIONS, 10);
    for peer in all_peers().filter(|peer| peer.has_static_members()) {
        let group = format!("static-{peer:?}");
        let join = |name: &str| Member::join(peer, &broker.bootstrap(), &group, name, "static", Some(name));
        let mut members = vec![join("first"), join("second")];
        wait_until_shared(&members, "static", PARTITIONS, LIMIT);
        wait_until_read(&members, &[], 10);
        let (owned, rebalances) = (members[1].owned(), members[0].rebalances());
        let before = members.pop().unwrap().kill();
        members.push(join("second"));
        wait_until("the member to be back", LIMIT, || members[1].owned() == owned);
        assert_eq!(members[0].rebalances(), rebalances, "{peer:?}: the other one noticed nothing");
        assert_eq!(members[1].read(), [], "{peer:?}: it goes on where it was");
        assert_eq!(times_read(&[before, members[0].read()].concat()).len(), 10 * PARTITIONS as usize);
    }
}
