//! What a newcomer to Kafka is taught, with Kafka's own tools on three hosts: format, start three brokers, create a topic, produce with and
//! without keys, consume with one to four members, kill a consumer, kill a broker, bring it back, add a fourth broker, move partitions to
//! it, remove it again. All the while the checker's producers and consumers run on a topic of their own, which goes through the same.

use crate::checker::Checker;
use crate::nodes::{Cluster, Layout, Roles, SESSION_TIMEOUT};
use crate::support::members::{Member, Place, wait_until, wait_until_shared};
use crate::support::peers::Peer;
use crate::support::tools;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TOPIC: &str = "walk";
/// The checker's.
const WATCHED: &str = "watched";
const GROUP: &str = "walkers";
const PARTITIONS: i32 = 3;
const KEYS: usize = 12;
const NEW_BROKER: i32 = 4;
/// `key:value` on each line.
const KEYED: [&str; 4] = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
/// The console producer's own limit is 1.5 s, three times; then it drops what it has and is content.
const PATIENT: [&str; 4] = ["--topic", TOPIC, "--request-timeout-ms", "20000"];
/// Tools, members and brokers are JVMs that share two cores.
const LIMIT: Duration = Duration::from_secs(120);

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
const ELECT: &str = "org.apache.kafka.tools.LeaderElectionCommand";
const QUORUM: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
const CLUSTER: &str = "org.apache.kafka.tools.ClusterTool";

struct Walk {
    cluster: Cluster,
    checker: Checker,
    members: Vec<Member>,
    /// What members who are gone have read.
    read_before: Vec<(Place, i64)>,
}

#[test]
fn a_newcomer_walks_through_a_cluster() {
    let layout = Layout { spare_hosts: 1, as_service: true, ..Layout::THREE };
    let cluster = Cluster::start("walk", &layout);
    for topic in [TOPIC, WATCHED] {
        create(&cluster, topic);
    }
    let checker = Checker::start("walk", &cluster, WATCHED);
    let mut walk = Walk { cluster, checker, members: Vec::new(), read_before: Vec::new() };
    walk.step("the quorum is described", Walk::look_at_the_quorum);
    walk.step("records with keys are produced and read", Walk::produce_with_keys);
    walk.step("records without keys are produced", Walk::produce_without_keys);
    walk.step("one to four members consume", Walk::consume);
    walk.step("a consumer is killed", Walk::kill_a_consumer);
    walk.step("a broker is killed and comes back", Walk::kill_a_broker);
    walk.step("a fourth broker is added and gets partitions", Walk::add_a_broker);
    walk.step("it is emptied and removed", Walk::remove_the_broker);
    for member in walk.members.drain(..) {
        member.leave();
    }
    walk.checker.finish(&walk.cluster).unwrap_or_else(|wrong| panic!("at the end: {wrong}"));
}

/// Runs a tool against a cluster; what it printed.
fn tool(cluster: &Cluster, main: &str, arguments: &[&str], input: &str) -> String {
    let bootstrap = cluster.bootstrap();
    let arguments = [&["--bootstrap-server", bootstrap.as_str()][..], arguments].concat();
    String::from_utf8(tools::kafka_tool(main, &arguments, input.as_bytes())).expect("text")
}

fn create(cluster: &Cluster, topic: &str) {
    let arguments = ["--create", "--topic", topic, "--partitions", "3", "--replication-factor", "3"];
    tool(cluster, TOPICS, &[&arguments[..], &["--config", "min.insync.replicas=2"]].concat(), "");
    cluster.await_in_sync(topic);
    let described = tool(cluster, TOPICS, &["--describe", "--topic", topic], "");
    let rows: Vec<&str> = described.lines().filter(|line| line.contains("Partition: ")).collect();
    assert_eq!(rows.len(), 3, "{described}");
    let partitions = cluster.partitions(topic);
    let leaders: BTreeSet<i32> = partitions.iter().map(|partition| partition.leader_id).collect();
    assert_eq!(leaders, BTreeSet::from([1, 2, 3]), "leaders are spread over the brokers");
    for partition in &partitions {
        let replicas: BTreeSet<i32> = partition.replica_nodes.iter().copied().collect();
        assert_eq!(replicas, BTreeSet::from([1, 2, 3]), "{partition:?}");
        let row = format!("Partition: {}\tLeader: {}", partition.partition_index, partition.leader_id);
        assert!(rows.iter().any(|line| line.contains(&row)), "{row} is not in {described}");
    }
}

impl Walk {
    /// One step, after which everything that was acked meanwhile is there and the load goes on.
    fn step(&mut self, what: &str, walk: fn(&mut Walk)) {
        self.checker.report.inject(what, "");
        walk(self);
        let checked = self.checker.await_progress(&self.cluster, LIMIT).and_then(|_| self.checker.check());
        checked.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    }

    fn tool(&self, main: &str, arguments: &[&str], input: &str) -> String {
        tool(&self.cluster, main, arguments, input)
    }

    fn produce(&self, options: &[&str], input: &str) {
        self.tool(PRODUCER, &[&PATIENT[..], options].concat(), input);
    }

    /// How many records each partition has.
    fn ends(&self) -> Vec<i64> {
        (0..PARTITIONS).map(|partition| self.cluster.log_end(TOPIC, partition)).collect()
    }

    fn look_at_the_quorum(&mut self) {
        let status = self.tool(QUORUM, &["describe", "--status"], "");
        let leader = format!("LeaderId:{}", self.cluster.active_controller());
        assert!(status.lines().any(|line| line.split_whitespace().collect::<String>() == leader), "{leader} is not in {status}");
    }

    /// A key's records are all in one partition, that of its hash, in the order in which they were produced.
    fn produce_with_keys(&mut self) {
        let count = 25 * KEYS;
        let input: String = (0..count).map(|number| format!("key{}:{number}\n", number % KEYS)).collect();
        self.produce(&KEYED, &input);
        let count_text = count.to_string();
        let mut arguments = vec!["--topic", TOPIC, "--from-beginning", "--max-messages", &count_text];
        for property in ["print.partition=true", "print.key=true", "print.value=true"] {
            arguments.extend(["--formatter-property", property]);
        }
        let output = self.tool(CONSUMER, &arguments, "");
        let mut numbers: BTreeMap<(String, i32), Vec<usize>> = BTreeMap::new();
        for line in output.lines().filter(|line| line.starts_with("Partition:")) {
            let mut words = line.split('\t');
            let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
            let (partition, key, number) =
                (word()["Partition:".len()..].parse().unwrap(), word().to_owned(), word().parse().unwrap());
            numbers.entry((key, partition)).or_default().push(number);
        }
        for ((key, partition), numbers) in &numbers {
            assert_eq!(*partition, partition_of(key), "the partition of {key}");
            let first: usize = key["key".len()..].parse().unwrap();
            assert_eq!(*numbers, (first..count).step_by(KEYS).collect::<Vec<_>>(), "what {key} has, in order");
        }
        assert_eq!(numbers.len(), KEYS, "each key is in one partition");
        let used: BTreeSet<i32> = numbers.keys().map(|(_, partition)| *partition).collect();
        assert_eq!(used.len(), 3, "the keys are spread over all partitions");
    }

    /// A few records without keys stick together in one partition; by round-robin all get their share.
    fn produce_without_keys(&mut self) {
        let input: String = (0..90).map(|number| format!("{number}\n")).collect();
        let more = |settings: &[&str]| {
            let before = self.ends();
            self.produce(settings, &input);
            self.ends().iter().zip(before).map(|(end, before)| end - before).collect::<Vec<i64>>()
        };
        let mut sticky = more(&[]);
        sticky.sort_unstable();
        assert_eq!(sticky, [0, 0, 90], "less than a batch stays together");
        let partitioner = "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner";
        let spread = more(&["--command-property", partitioner]);
        assert!(spread.iter().sum::<i64>() == 90 && spread.iter().all(|count| *count >= 20), "{spread:?} by round-robin");
    }

    /// Waits until the members, and those before them, have read every record that is there.
    fn await_all_read(&self) {
        let ends = self.ends();
        let missing = || -> i64 {
            let read = self.members.iter().flat_map(Member::read).chain(self.read_before.iter().cloned());
            let read: BTreeSet<(i32, i64)> = read.map(|((_, partition), offset)| (partition, offset)).collect();
            ends.iter().sum::<i64>() - i64::try_from(read.len()).unwrap()
        };
        wait_until(&format!("{} records to be read", missing()), LIMIT, || missing() <= 0);
    }

    fn join(&mut self, name: &str) {
        self.members.push(Member::join(Peer::Java, &self.cluster.bootstrap(), GROUP, name, TOPIC, None));
    }

    fn consume(&mut self) {
        for name in ["one", "two", "three"] {
            self.join(name);
            wait_until_shared(&self.members, TOPIC, PARTITIONS, LIMIT);
            self.await_all_read();
        }
        self.join("four");
        let shares = || -> Vec<usize> {
            let mut shares: Vec<usize> = self.members.iter().map(|member| member.owned().len()).collect();
            shares.sort_unstable();
            shares
        };
        // The group as an operator sees it: four members, one of them idle.
        wait_until("the fourth member to be idle", LIMIT, || {
            let table = tools::kafka_tool_finished(
                GROUPS,
                &["--bootstrap-server", &self.cluster.bootstrap(), "--describe", "--group", GROUP, "--members"],
                b"",
            );
            let table = String::from_utf8_lossy(&table.stdout).into_owned();
            let rows = table.lines().filter(|line| line.starts_with(GROUP));
            let mut counts: Vec<&str> = rows.filter_map(|line| line.split_whitespace().nth(4)).collect();
            counts.sort_unstable();
            counts == ["0", "1", "1", "1"] && shares() == [0, 1, 1, 1]
        });
    }

    /// The member that had nothing takes over from the one that died.
    fn kill_a_consumer(&mut self) {
        let busy = self.members.iter().position(|member| !member.owned().is_empty()).expect("a member that has a partition");
        let killed = self.members.remove(busy);
        self.read_before.extend(killed.kill());
        wait_until_shared(&self.members, TOPIC, PARTITIONS, LIMIT);
        self.produce_a_little();
        self.await_all_read();
    }

    fn produce_a_little(&self) {
        let input: String = (0..30).map(|number| format!("k{number}:later {number}\n")).collect();
        self.produce(&KEYED, &input);
    }

    /// Leaders move and nothing is lost; when it is back, it catches up and leads again what it is to lead.
    fn kill_a_broker(&mut self) {
        let node = self.cluster.leader(TOPIC, 0);
        self.cluster.kill(node);
        let took =
            self.checker.await_progress(&self.cluster, LIMIT).unwrap_or_else(|wrong| panic!("without node {node}: {wrong}"));
        self.checker.report.took(&format!("written and read without node {node}"), took);
        self.cluster.await_everywhere("its leaders have moved", &[TOPIC], |answer| {
            let leads = |leader: i32| leader >= 0 && leader != node;
            answer.topics[0].partitions.iter().all(|partition| leads(partition.leader_id) && !partition.isr_nodes.contains(&node))
        });
        let lacking = self.tool(TOPICS, &["--describe", "--topic", TOPIC, "--under-replicated-partitions"], "");
        assert_eq!(lacking.matches("Partition: ").count(), 3, "{lacking}");
        let unavailable = self.tool(TOPICS, &["--describe", "--topic", TOPIC, "--unavailable-partitions"], "");
        assert_eq!(unavailable.matches("Partition: ").count(), 0, "{unavailable}");
        self.produce_a_little();
        self.await_all_read();
        self.cluster.start_again(node);
        self.cluster.await_brokers();
        for topic in [TOPIC, WATCHED] {
            self.cluster.await_in_sync(topic);
            self.cluster.await_preferred_leaders(topic);
        }
        assert_eq!(self.cluster.leader(TOPIC, 0), node, "it leads again");
    }

    /// Moves both topics by `kafka-reassign-partitions`: `target` makes of a partition's replicas the new ones.
    fn reassign(&self, target: impl Fn(i32, &[i32]) -> Vec<i32>) {
        let mut moves = Vec::new();
        let mut targets = BTreeMap::new();
        for topic in [TOPIC, WATCHED] {
            for partition in self.cluster.partitions(topic) {
                let (index, replicas) = (partition.partition_index, target(partition.partition_index, &partition.replica_nodes));
                moves.push(json!({"topic": topic, "partition": index, "replicas": replicas}));
                targets.insert((topic, index), replicas);
            }
        }
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), json!({"version": 1, "partitions": moves}).to_string()).unwrap();
        let path = file.path().to_str().unwrap();
        let started = self.tool(REASSIGN, &["--reassignment-json-file", path, "--execute"], "");
        assert!(started.contains("Successfully started partition reassignment"), "{started}");
        for topic in [TOPIC, WATCHED] {
            self.cluster.await_everywhere("the partitions have moved", &[topic], |answer| {
                let there = |index: i32, replicas: &[i32]| targets[&(topic, index)] == replicas;
                answer.topics[0].partitions.iter().all(|partition| there(partition.partition_index, &partition.replica_nodes))
            });
            self.cluster.await_in_sync(topic);
        }
        let verified = self.tool(REASSIGN, &["--reassignment-json-file", path, "--verify"], "");
        assert_eq!(verified.matches("is completed.").count(), targets.len(), "{verified}");
        let left = self.tool(REASSIGN, &["--list"], "");
        assert!(left.contains("No partition reassignments found."), "{left}");
        self.tool(ELECT, &["--election-type", "preferred", "--all-topic-partitions"], "");
        for topic in [TOPIC, WATCHED] {
            self.cluster.await_preferred_leaders(topic);
        }
    }

    /// The new broker gets a replica of each partition and leads partition 0 of each topic.
    fn add_a_broker(&mut self) {
        self.cluster.add(NEW_BROKER, Roles::Broker);
        self.reassign(|index, replicas| {
            if index == 0 { vec![NEW_BROKER, replicas[0], replicas[1]] } else { vec![replicas[0], replicas[1], NEW_BROKER] }
        });
        assert_eq!((self.cluster.leader(TOPIC, 0), self.cluster.leader(WATCHED, 0)), (NEW_BROKER, NEW_BROKER));
        self.produce_a_little();
        self.await_all_read();
    }

    /// Its partitions go back to the other three; then it is stopped and forgotten.
    fn remove_the_broker(&mut self) {
        self.reassign(|_, replicas| {
            let mut left: Vec<i32> = replicas.iter().copied().filter(|node| *node != NEW_BROKER).collect();
            left.extend((1..NEW_BROKER).find(|node| !replicas.contains(node)));
            left
        });
        self.cluster.stop(NEW_BROKER);
        self.cluster.remove(NEW_BROKER);
        self.checker
            .await_progress(&self.cluster, SESSION_TIMEOUT + LIMIT)
            .unwrap_or_else(|wrong| panic!("without the fourth: {wrong}"));
        let bootstrap = self.cluster.bootstrap();
        let arguments = ["unregister", "--bootstrap-server", bootstrap.as_str(), "--id", "4"];
        let said = String::from_utf8(tools::kafka_tool(CLUSTER, &arguments, b"")).unwrap();
        assert!(said.contains("Broker 4 is no longer registered."), "{said}");
        self.cluster.await_brokers();
        self.produce_a_little();
        self.await_all_read();
    }
}

/// The partition of a key among three, as Kafka's clients choose it: its murmur2 hash without the sign.
fn partition_of(key: &str) -> i32 {
    (murmur2(key.as_bytes()) & 0x7fff_ffff).cast_signed() % PARTITIONS
}

/// MurmurHash2 of 32 bits with the seed of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap();
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (mixed ^ (mixed >> 24)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[test]
fn keys_have_the_hash_that_kafka_gives_them() {
    for (key, hash) in [("21", -973_932_308), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
    }
}
