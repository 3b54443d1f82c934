//! Kafka's own tools for groups.

use super::{LIMIT, PARTITIONS, broker, create, produce, wait_until_read};
use crate::support::broker::Broker;
use crate::support::dump_log;
use crate::support::members::{Member, wait_until, wait_until_shared};
use crate::support::peers::Peer;
use crate::support::tools;

const MAIN: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

pub fn groups(broker: &Broker, arguments: &[&str]) -> String {
    let bootstrap = broker.bootstrap();
    let arguments = [&["--bootstrap-server", &bootstrap], arguments].concat();
    String::from_utf8(tools::kafka_tool(MAIN, &arguments, b"")).unwrap()
}

/// The lines of a table, each as its words; without the header.
pub fn rows(table: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = table.lines().filter(|line| !line.trim().is_empty()).map(words);
    lines.skip_while(|words| words[0] != "GROUP").skip(1).collect()
}

#[test]
fn the_tool_describes_resets_and_deletes_groups() {
    let mut broker = broker();
    create(&broker, "read", PARTITIONS);
    produce(&broker, "read", PARTITIONS, 20);
    let member = |name: &str| Member::join(Peer::Librdkafka, &broker.bootstrap(), "readers", name, "read", None);
    let members = vec![member("one"), member("two")];
    wait_until_shared(&members, "read", PARTITIONS, LIMIT);
    wait_until_read(&members, &[], 20);

    assert_eq!(groups(&broker, &["--list"]).trim(), "readers");
    let state = rows(&groups(&broker, &["--list", "--state"]));
    assert!(state.is_empty() || state[0][1] == "Stable", "{state:?}");
    let described = rows(&groups(&broker, &["--describe", "--group", "readers"]));
    assert_eq!(described.len(), PARTITIONS as usize, "{described:?}");
    for row in &described {
        assert_eq!(row[..2], ["readers", "read"]);
        assert_eq!(row[3..6], ["20", "20", "0"], "offset, end and lag of {row:?}");
        assert!(row[6].starts_with("one-") || row[6].starts_with("two-"), "a member of {row:?}");
        assert_eq!(row[7], "/127.0.0.1");
    }
    let described = rows(&groups(&broker, &["--describe", "--group", "readers", "--members", "--verbose"]));
    assert_eq!(described.iter().map(|row| &*row[4]).collect::<Vec<_>>(), ["4", "4"], "{described:?}");
    let described = rows(&groups(&broker, &["--describe", "--group", "readers", "--state"]));
    assert_eq!(described[0][described[0].len() - 3..], ["range", "Stable", "2"], "{described:?}");

    // What members read cannot be reset, deleted or forgotten.
    let refused = |arguments: &[&str]| {
        let bootstrap = broker.bootstrap();
        let arguments = [&["--bootstrap-server", &bootstrap, "--group", "readers"], arguments].concat();
        let finished = tools::kafka_tool_finished(MAIN, &arguments, b"");
        format!("{}{}", String::from_utf8_lossy(&finished.stdout), finished.stderr)
    };
    assert!(refused(&["--reset-offsets", "--to-earliest", "--topic", "read", "--execute"]).contains("inactive"));
    assert!(refused(&["--delete"]).contains("GroupNotEmptyException"));
    assert!(refused(&["--delete-offsets", "--topic", "read"]).contains("GroupSubscribedToTopic"));

    for member in members {
        member.leave();
    }
    wait_until("the group to be empty", LIMIT, || {
        groups(&broker, &["--describe", "--group", "readers", "--state"]).contains("Empty")
    });
    let arguments = ["--group", "readers", "--topic", "read:0,1", "--to-offset", "5"];
    let reset = rows(&groups(&broker, &[&["--reset-offsets", "--execute"], &arguments[..]].concat()));
    assert_eq!(reset.iter().map(|row| &*row[3]).collect::<Vec<_>>(), ["5", "5"], "{reset:?}");
    groups(&broker, &["--delete-offsets", "--group", "readers", "--topic", "read:2"]);
    let described = rows(&groups(&broker, &["--describe", "--group", "readers"]));
    let mut offsets: Vec<(i32, &str)> = described.iter().map(|row| (row[2].parse().unwrap(), &*row[3])).collect();
    offsets.sort();
    let committed = |partition: i32| if partition < 2 { "5" } else { "20" };
    let expected: Vec<_> = (0..PARTITIONS).filter(|&partition| partition != 2).map(|one| (one, committed(one))).collect();
    assert_eq!(offsets, expected);

    groups(&broker, &["--delete", "--group", "readers"]);
    assert_eq!(groups(&broker, &["--list"]).trim(), "");
    broker.stop();
    the_log_of_groups_is_kafkas(&broker);
}

/// Kafka's own decoder reads what groups have written.
fn the_log_of_groups_is_kafkas(broker: &Broker) {
    let partition = (0..50)
        .map(|partition| broker.partition_dir("__consumer_offsets", partition))
        .find(|dir| std::fs::metadata(dir.join("00000000000000000000.log")).is_ok_and(|log| log.len() > 0));
    let log = partition.expect("the group is somewhere").join("00000000000000000000.log");
    let arguments = ["--offsets-decoder", "--files", log.to_str().unwrap()];
    let dumped = String::from_utf8(tools::kafka_tool("kafka.tools.DumpLogSegments", &arguments, b"")).unwrap();
    let payloads = |text: &str| dumped.lines().filter(|line| line.contains(text)).count();
    assert!(payloads("\"group\":\"readers\"") >= 12, "groups, offsets and tombstones:\n{dumped}");
    assert!(dumped.contains("\"protocolType\":\"consumer\""), "{dumped}");
    assert!(dumped.contains("\"topic\":\"read\",\"partition\":0"), "{dumped}");
    assert!(!dumped.contains("rror"), "{dumped}");
    dump_log::check(&broker.data_dir()).unwrap_or_else(|complaints| panic!("{complaints:#?}"));
}
