//! What operators do to a cluster with Kafka's tools beyond the newcomer's walk: they look at it, change it by whichever broker answers,
//! move replicas within a throttle and call them back, delete a topic while a broker is down, and let consumers read in their own rack.

use crate::nodes::{Cluster, Layout, Roles, host};
use crate::support::client::{Client, produce_request};
use crate::support::tools;
use flumen::record::{BatchBuilder, Compression};
use serde_json::json;
use std::fs;
use std::io::Write as _;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ProducerPerformance";
pub const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
const QUORUM: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
const CLUSTER: &str = "org.apache.kafka.tools.ClusterTool";
const FEATURES: &str = "org.apache.kafka.tools.FeatureCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";

/// Records of 1,000 bytes: more than passes a throttle of 1 MB/s in the ten seconds of its windows.
const MANY: usize = 40_000;
const THROTTLE: &str = "1000000";
/// A version with the leader in its answer (KIP-951), which names topics by their ids.
const PRODUCE_VERSION: i16 = 13;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;

/// What `main` prints when it is told to ask the brokers of `bootstrap`.
fn tool_at(bootstrap: &str, main: &str, arguments: &[&str]) -> String {
    let bootstrap = &["--bootstrap-server", bootstrap][..];
    // Some tools have commands, and what is for all commands stands before or behind them.
    let arguments = if main == CLUSTER { [arguments, bootstrap].concat() } else { [bootstrap, arguments].concat() };
    String::from_utf8(tools::kafka_tool(main, &arguments, b"")).expect("text")
}

pub fn tool(cluster: &Cluster, main: &str, arguments: &[&str]) -> String {
    tool_at(&cluster.bootstrap(), main, arguments)
}

pub fn create(cluster: &Cluster, topic: &str, more: &[&str]) {
    tool(cluster, TOPICS, &[&["--create", "--topic", topic], more].concat());
    cluster.await_in_sync(topic);
}

pub fn fill(cluster: &Cluster, topic: &str, records: usize) {
    let records = records.to_string();
    let load = ["--topic", topic, "--num-records", &records, "--record-size", "1000", "--throughput", "-1"];
    tool(cluster, PRODUCER, &[&load[..], &["--command-property", "acks=all"]].concat());
}

#[test]
fn operators_administer_a_cluster() {
    let settings = [("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector")];
    let mut cluster = Cluster::start("administration", &Layout { settings: &settings, ..Layout::THREE });
    look(&cluster);
    change_settings(&cluster);
    move_within_a_throttle(&cluster);
    read_nearby(&cluster);
    tell_who_leads(&cluster);
    delete_while_a_broker_is_down(&mut cluster);
}

fn look(cluster: &Cluster) {
    let leader = cluster.active_controller();
    let replicas = tool(cluster, QUORUM, &["describe", "--replication"]);
    let rows: Vec<Vec<&str>> = replicas.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let leaders: Vec<&str> = rows.iter().filter(|row| row.last() == Some(&"Leader")).map(|row| row[0]).collect();
    assert_eq!(leaders, [leader.to_string()], "{replicas}");
    assert_eq!(rows.iter().filter(|row| row.last() == Some(&"Follower")).count(), 2, "{replicas}");
    // Any controller says the same.
    for id in cluster.controllers() {
        let at = cluster.controller_address(id);
        let status = String::from_utf8(tools::kafka_tool(QUORUM, &["--bootstrap-controller", &at, "describe", "--status"], b""));
        let status = status.expect("text");
        let wanted = format!("LeaderId:{leader}");
        assert!(status.lines().any(|line| line.split_whitespace().collect::<String>() == wanted), "controller {id}: {status}");
    }
    let brokers = tool(cluster, CLUSTER, &["list-endpoints"]);
    assert_eq!(brokers.lines().filter(|line| line.contains("unfenced") && line.contains("rack")).count(), 3, "{brokers}");
    let features = tool(cluster, FEATURES, &["describe"]);
    assert!(features.contains("metadata.version"), "{features}");
}

/// A default of all brokers is told to one of them and in force on all.
fn change_settings(cluster: &Cluster) {
    let first = cluster.address(1).to_string();
    let change = ["--entity-type", "brokers", "--entity-default", "--alter", "--add-config", "message.max.bytes=1500000"];
    tool_at(&first, CONFIGS, &change);
    for id in cluster.brokers() {
        let (at, id) = (cluster.address(id).to_string(), id.to_string());
        let seen = || tool_at(&at, CONFIGS, &["--entity-type", "brokers", "--entity-name", &id, "--describe", "--all"]);
        let mut last = String::new();
        let is_seen = (0..10).any(|_| {
            last = seen();
            last.lines().any(|line| line.trim_start().starts_with("message.max.bytes=1500000 "))
        });
        assert!(is_seen, "broker {id}: {last}");
    }
}

/// Replicas that are held back are not there when the next tool asks; called back, the partition is where it was; let go, it moves.
fn move_within_a_throttle(cluster: &Cluster) {
    create(cluster, "moved", &["--replica-assignment", "1:2"]);
    fill(cluster, "moved", MANY);
    let plan = json!({"version": 1, "partitions": [{"topic": "moved", "partition": 0, "replicas": [1, 3]}]});
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(plan.to_string().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let reassign = |arguments: &[&str]| tool(cluster, REASSIGN, arguments);
    reassign(&["--reassignment-json-file", path, "--execute", "--throttle", THROTTLE]);
    let moving = reassign(&["--list"]);
    assert!(moving.contains("moved-0:") && moving.contains("adding: 3.") && moving.contains("removing: 2."), "{moving}");
    let configs = || ["topics", "brokers"].map(|kind| tool(cluster, CONFIGS, &["--entity-type", kind, "--describe"])).concat();
    let throttled = configs();
    for key in ["leader.replication.throttled.", "follower.replication.throttled."] {
        assert!(
            throttled.contains(&format!("{key}replicas=0:")) && throttled.contains(&format!("{key}rate={THROTTLE}")),
            "{throttled}"
        );
    }
    reassign(&["--reassignment-json-file", path, "--cancel"]);
    let left = configs();
    assert!(!left.contains("replication.throttled"), "the tool takes them away: {left}");
    assert!(reassign(&["--list"]).contains("No partition reassignments found."));
    assert_eq!(cluster.partitions("moved")[0].replica_nodes, [1, 2]);
    cluster.await_in_sync("moved");
    reassign(&["--reassignment-json-file", path, "--execute"]);
    cluster
        .await_everywhere("the partition has moved", &["moved"], |answer| answer.topics[0].partitions[0].replica_nodes == [1, 3]);
    cluster.await_in_sync("moved");
    assert_eq!(cluster.log_end("moved", 0), MANY as i64);
}

/// Bytes that a node's host has sent so far.
fn sent_by(cluster: &Cluster, node: i32) -> u64 {
    let devices = cluster.network.at(host(node), || fs::read_to_string("/proc/thread-self/net/dev").expect("the devices"));
    let of_device = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        (name.trim() != "lo").then(|| counts.split_whitespace().nth(8)?.parse::<u64>().ok()).flatten()
    };
    devices.lines().filter_map(of_device).sum()
}

/// A consumer gets all records from the follower in its rack, one that has none from the leader (KIP-392).
fn read_nearby(cluster: &Cluster) {
    create(cluster, "near", &["--replica-assignment", "1:2"]);
    fill(cluster, "near", MANY / 4);
    let count = (MANY / 4).to_string();
    let all = (MANY / 4 * 1000) as u64;
    for (rack, sender, other) in [(Some("client.rack=rack2"), 2, 1), (None, 1, 2)] {
        let before = [sender, other].map(|node| sent_by(cluster, node));
        let mut arguments = vec!["--topic", "near", "--partition", "0", "--offset", "earliest", "--max-messages", &count];
        arguments.extend(rack.iter().flat_map(|rack| ["--command-property", rack]));
        let read = tool(cluster, CONSUMER, &arguments);
        assert_eq!(read.lines().count(), MANY / 4);
        let after = [sender, other].map(|node| sent_by(cluster, node));
        let (near, far) = (after[0] - before[0], after[1] - before[1]);
        assert!(near > all && far < all / 4, "{rack:?}: {near} bytes from {sender}, {far} from {other}");
    }
}

/// Who asks the wrong broker is told the leader and where it is, in the answer itself (KIP-951).
fn tell_who_leads(cluster: &Cluster) {
    let mut client = Client::connect(cluster.address(2)).expect("broker 2 takes connections");
    let id = client.topic_id("near").expect("an answer").expect("the topic is there");
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(1, None, Some(b"x"));
    let request = produce_request("near", id, 0, -1, builder.build(), PRODUCE_VERSION);
    let answer = client.call(&request, PRODUCE_VERSION, true).expect("an answer");
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.current_leader.leader_id), (NOT_LEADER_OR_FOLLOWER, 1));
    let leader = cluster.address(1);
    let told: Vec<_> = answer.node_endpoints.iter().map(|node| (node.node_id, node.host.to_string(), node.port)).collect();
    assert_eq!(told, [(1, leader.ip().to_string(), i32::from(leader.port()))]);
}

/// A broker that comes back has nothing of what was deleted meanwhile, though a topic of the same name is there again.
fn delete_while_a_broker_is_down(cluster: &mut Cluster) {
    let layout = ["--partitions", "2", "--replication-factor", "3"];
    create(cluster, "again", &layout);
    fill(cluster, "again", 100);
    cluster.kill(3);
    tool(cluster, TOPICS, &["--delete", "--topic", "again"]);
    tool(cluster, TOPICS, &[&["--create", "--topic", "again"][..], &layout[..]].concat());
    fill(cluster, "again", 7);
    cluster.start_again(3);
    cluster.await_in_sync("again");
    let ends: i64 = (0..2).map(|partition| cluster.log_end("again", partition)).sum();
    assert_eq!(ends, 7);
}

/// Replicas that were in sync below the minimum have all that was promised: one of them leads when the last leader is away (KIP-966).
#[test]
fn who_has_all_that_was_promised_may_lead() {
    let roles = [Roles::Controller, Roles::Broker, Roles::Broker, Roles::Broker];
    let mut cluster = Cluster::start("eligible", &Layout { roles: &roles, ..Layout::THREE });
    create(&cluster, "kept", &["--replica-assignment", "2:3:4"]);
    fill(&cluster, "kept", 100);
    cluster.stop(4);
    cluster.stop(3);
    let described = tool(&cluster, TOPICS, &["--describe", "--topic", "kept"]);
    assert!(described.contains("Isr: 2\tElr: 3"), "{described}");
    cluster.stop(2);
    cluster.start_without_waiting(4);
    cluster.wait_until_ready(4);
    cluster.await_everywhere("nobody leads, since it may lack something", &["kept"], |answer| {
        answer.topics[0].partitions.iter().all(|partition| partition.leader_id == -1)
    });
    cluster.start_without_waiting(3);
    cluster.wait_until_ready(3);
    cluster.await_everywhere("the eligible one leads", &["kept"], |answer| answer.topics[0].partitions[0].leader_id == 3);
    assert_eq!(cluster.log_end("kept", 0), 100);
    fill(&cluster, "kept", 5);
    cluster.start_again(2);
    cluster.await_in_sync("kept");
    assert_eq!(cluster.log_end("kept", 0), 105);
}
