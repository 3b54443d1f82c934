//! Where a group goes on is said with Kafka's own tools: each way to reset offsets, plans in files, and what the tools tell of groups then.

use super::tools::{groups, rows};
use super::{LIMIT, PARTITIONS, create, produce, wait_until_read};
use crate::support::administration::{file_with, lines};
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::members::{Member, wait_until_shared};
use crate::support::peers::Peer;
use crate::support::records::base_timestamp;
use crate::support::tools;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use serde_json::Value;
use std::collections::BTreeMap;

const GROUP: &str = "resetters";
/// 2023-11-14T22:13:20Z.
const DATE: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;

/// What is committed, or -1, of the partitions `aged-0`, `aged-1` and `dated-0`.
fn committed(client: &mut Client) -> [i64; 3] {
    let topic = |name: &str, partitions: &[i32]| {
        let mut topic = OffsetFetchRequestTopic::default();
        (topic.name, topic.partition_indexes) = (StrBytes::from(name), partitions.to_vec());
        topic
    };
    let mut request = OffsetFetchRequest::default();
    request.group_id = StrBytes::from(GROUP);
    request.topics = Some(vec![topic("aged", &[0, 1]), topic("dated", &[0])]);
    let answer = client.call(&request, 7, true).unwrap();
    assert_eq!(answer.error_code, 0);
    let mut offsets = BTreeMap::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            offsets.insert((topic.name.to_string(), partition.partition_index), partition.committed_offset);
        }
    }
    [("aged", 0), ("aged", 1), ("dated", 0)].map(|(topic, partition)| offsets[&(topic.to_owned(), partition)])
}

/// The topics: `aged` with two partitions of records that are minutes old, `dated` with records at 22:13:20 and every 10 s after.
fn prepare(client: &mut Client) {
    let kept = [("retention.ms", "-1")];
    client.create_and_await("aged", 2, &kept);
    client.create_and_await("dated", 1, &kept);
    // An hour ago.
    let hour = base_timestamp();
    let at = |minutes: i64| (hour - minutes * MINUTE_MS, "old");
    client.write("aged", 0, &[at(120), at(60), at(0), (hour + 50 * MINUTE_MS, "young")]);
    client.write("aged", 1, &[at(120), at(60)]);
    let dated: Vec<(i64, &str)> = (0..4).map(|number| (DATE + 10_000 * number, "dated")).collect();
    client.write("dated", 0, &dated);
}

#[test]
fn offsets_are_reset_in_every_way() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false"), ("offsets.topic.num.partitions", "1")]);
    let mut client = Client::connect(broker.address()).unwrap();
    prepare(&mut client);
    // The new offset of each partition, as the tool tells it.
    let reset = |arguments: &[&str]| -> BTreeMap<String, i64> {
        let told = rows(&groups(&broker, &[&["--group", GROUP, "--reset-offsets"], arguments].concat()));
        assert!(told.iter().all(|row| row[0] == GROUP), "{told:?}");
        told.iter().map(|row| (format!("{}-{}", row[1], row[2]), row[3].parse().expect("an offset"))).collect()
    };
    let offsets = |list: &[(&str, i64)]| -> BTreeMap<String, i64> {
        list.iter().map(|(partition, offset)| ((*partition).to_owned(), *offset)).collect()
    };

    // A group that nobody has ever seen may be given offsets; a plan changes nothing.
    let told = reset(&["--to-offset", "0", "--topic", "aged", "--topic", "dated", "--execute"]);
    assert_eq!(told, offsets(&[("aged-0", 0), ("aged-1", 0), ("dated-0", 0)]));
    assert_eq!(reset(&["--to-latest", "--topic", "aged", "--dry-run"]), offsets(&[("aged-0", 4), ("aged-1", 2)]));
    assert_eq!(committed(&mut client), [0, 0, 0]);

    // Of the records of the last two and a half hours the first is the second one.
    let told = reset(&["--by-duration", "PT2H30M", "--topic", "aged", "--execute"]);
    assert_eq!(told, offsets(&[("aged-0", 1), ("aged-1", 1)]));
    assert_eq!(reset(&["--shift-by", "2", "--topic", "aged:0", "--execute"]), offsets(&[("aged-0", 3)]));
    let told = reset(&["--to-datetime", "2023-11-14T22:13:35.000Z", "--topic", "dated", "--execute"]);
    assert_eq!(told, offsets(&[("dated-0", 2)]));
    assert_eq!(committed(&mut client), [3, 1, 2]);

    // The plan to leave all as it is, in a file; and back to it when all was lost.
    let plan = groups(&broker, &["--group", GROUP, "--reset-offsets", "--to-current", "--all-topics", "--dry-run", "--export"]);
    let mut planned: Vec<String> = plan.lines().filter(|line| !line.is_empty()).map(|line| line.replace('"', "")).collect();
    planned.sort();
    assert_eq!(planned, ["aged,0,3", "aged,1,1", "dated,0,2"]);
    let told = reset(&["--to-earliest", "--all-topics", "--execute"]);
    assert_eq!(told, offsets(&[("aged-0", 0), ("aged-1", 0), ("dated-0", 0)]));
    assert_eq!(committed(&mut client), [0, 0, 0]);
    let file = file_with(&format!("{}\n", planned.join("\n")));
    let told = reset(&["--from-file", file.path().to_str().unwrap(), "--execute"]);
    assert_eq!(told, offsets(&[("aged-0", 3), ("aged-1", 1), ("dated-0", 2)]));
    assert_eq!(committed(&mut client), [3, 1, 2]);

    // Neither before the start nor behind the end.
    assert_eq!(reset(&["--shift-by", "-10", "--topic", "aged:0", "--execute"]), offsets(&[("aged-0", 0)]));
    assert_eq!(reset(&["--shift-by", "10", "--topic", "aged:1", "--execute"]), offsets(&[("aged-1", 2)]));
    assert_eq!(committed(&mut client), [0, 2, 2]);
    the_console_consumer_decodes_offsets(&broker);
}

/// `__consumer_offsets` read as a topic, with the formatter that Kafka has for it: the last commit of each partition is the one in force.
fn the_console_consumer_decodes_offsets(broker: &Broker) {
    let formatter = "org.apache.kafka.tools.consumer.OffsetsMessageFormatter";
    let bootstrap = broker.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--topic", "__consumer_offsets", "--from-beginning"];
    let arguments = [&arguments[..], &["--formatter", formatter, "--timeout-ms", "5000"]].concat();
    let told = tools::kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, b"");
    let mut last = BTreeMap::new();
    for commit in serde_json::Deserializer::from_slice(&told).into_iter::<Value>() {
        let commit = commit.unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&told)));
        let key = &commit["key"]["data"];
        if key["group"] == GROUP {
            let partition = format!("{}-{}", key["topic"].as_str().expect("a topic"), key["partition"]);
            last.insert(partition, commit["value"]["data"]["offset"].as_i64().expect("an offset"));
        }
    }
    let expected = [("aged-0", 0), ("aged-1", 2), ("dated-0", 2)].map(|(partition, offset)| (partition.to_owned(), offset));
    assert_eq!(last, BTreeMap::from(expected));
}

/// A group with a member, one that was left, and one that has only offsets.
#[test]
fn groups_are_listed_by_type_protocol_and_state() {
    let broker = super::broker();
    create(&broker, "listed", PARTITIONS);
    produce(&broker, "listed", PARTITIONS, 1);
    let join = |group: &str| {
        let members = vec![Member::join(Peer::Librdkafka, &broker.bootstrap(), group, group, "listed", None)];
        wait_until_shared(&members, "listed", PARTITIONS, LIMIT);
        wait_until_read(&members, &[], 1);
        members
    };
    for member in join("left") {
        member.leave();
    }
    let _members = join("alive");
    groups(&broker, &["--group", "offsets", "--reset-offsets", "--to-earliest", "--topic", "listed", "--execute"]);

    let listed = |arguments: &[&str]| -> Vec<Vec<String>> {
        let told = lines(&broker, "org.apache.kafka.tools.GroupsCommand", &[&["--list"], arguments].concat());
        let mut listed = rows(&told.join("\n"));
        listed.sort();
        listed
    };
    let (alive, left, offsets) = (["alive", "Classic", "consumer"], ["left", "Classic", "consumer"], ["offsets", "Classic"]);
    assert_eq!(listed(&[]), [&alive[..], &left, &offsets]);
    assert_eq!(listed(&["--protocol", "consumer"]), [alive, left]);
    assert_eq!(listed(&["--consumer"]), [&alive[..], &left, &offsets]);
    assert_eq!(listed(&["--share"]), [[""; 0]; 0]);

    let states = |states: &str| -> Vec<Vec<String>> {
        let mut listed = rows(&groups(&broker, &["--list", "--type", "classic", "--state", states]));
        listed.sort();
        listed
    };
    assert_eq!(states("Stable"), [["alive", "Classic", "Stable"]]);
    assert_eq!(states("Empty"), [["left", "Classic", "Empty"], ["offsets", "Classic", "Empty"]]);
    // The tool prints its header once a group.
    let told = rows(&groups(&broker, &["--describe", "--all-groups", "--state"]));
    let mut described: Vec<&str> = told.iter().map(|row| &*row[0]).filter(|name| *name != "GROUP").collect();
    described.sort_unstable();
    assert_eq!(described, ["alive", "left", "offsets"], "{told:?}");
}
