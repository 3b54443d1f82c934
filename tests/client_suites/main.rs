//! Clients' own integration tests, which their authors run against Apache Kafka, run against Flumen.
//!
//! They come with the clients' Go modules. What is expected of each test stands in a list (`franz-go.txt`, `sarama.txt`); a test that
//! does something else makes this suite fail, also when it passes where it should not: then something has come, and the list is old.
//! `FLUMEN_TEST_TARGET=kafka` runs them against Apache Kafka, where nothing may be lacking.
//!
//! The tests of kafka-python and aiokafka are not in their distributions.

#[path = "../support/mod.rs"]
mod support;

mod expected;
mod toxiproxy;

use expected::{Expected, Found};
use std::path::Path;
use std::time::Duration;
use support::broker::{Broker, Kind};
use support::{process, tools};

/// For all tests of a suite that run together: several times what they take on two busy cores. Three of these, and the tests that run alone,
/// fit into the minutes of this suite.
const LIMIT: Duration = Duration::from_secs(1000);
/// For a test that would wait for what never comes. sarama's tests need a few seconds before they begin.
const LIMIT_ALONE: Duration = Duration::from_secs(30);
/// sarama's tests ask for these ports.
const PROXY_PORTS: std::ops::RangeInclusive<u16> = 29_091..=29_095;

struct Suite {
    name: &'static str,
    list: &'static str,
    environment: Vec<(&'static str, String)>,
    /// The only test of the list that runs; without one, all do.
    only: Option<&'static str>,
    /// Of the list as it is now: a list that was emptied proves nothing.
    least_passing: usize,
}

impl Suite {
    fn run(&self) {
        let mut expected = Expected::parse(self.list, Kind::under_test());
        if let Some(test) = self.only {
            expected = expected.only(test);
        }
        assert!(expected.passing() >= self.least_passing, "{} tests are expected to pass", expected.passing());
        let mut found = self.run_tests(&expected.together(), LIMIT, self.only.unwrap_or("together"));
        for test in expected.alone() {
            found.add(self.run_tests(&[test], LIMIT_ALONE, test));
        }
        let complaints = expected.complaints(&found);
        assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        println!("{}: {}", self.name, expected.summary());
    }

    /// How each of the tests ended, and their subtests. What they said is kept in a file.
    fn run_tests(&self, tests: &[&str], limit: Duration, part: &str) -> Found {
        let mut command = tools::client_suite(self.name);
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        // Some of sarama's tests run docker, which is no broker of ours: they shall not find one anywhere.
        command.env("PATH", "");
        command.args(["-test.v=test2json", "-test.count=1", &format!("-test.run=^({})$", tests.join("|"))]);
        command.arg(format!("-test.timeout={}s", limit.as_secs()));
        let finished = process::run(&mut command, b"", limit + LIMIT_ALONE);
        let output = String::from_utf8_lossy(&finished.stdout).into_owned();
        let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-logs");
        std::fs::create_dir_all(&logs).expect("a directory for logs");
        let log = logs.join(format!("client_suites-{}-{part}.log", self.name));
        let mut found = expected::read(&output);
        let all = format!("{output}\n---- standard error:\n{}", finished.stderr);
        std::fs::write(&log, &all).expect("the log is written");
        if let [test] = tests {
            found.all_said_by(test, all);
        }
        found
    }
}

fn franz_go_against(broker: &Broker, records: usize) -> Suite {
    Suite {
        name: "franz-go",
        list: include_str!("franz-go.txt"),
        environment: vec![
            ("KGO_SEEDS", broker.bootstrap()),
            ("KGO_TEST_RF", "1".to_owned()),
            ("KGO_TEST_RECORDS", records.to_string()),
            ("KGO_LOG_LEVEL", "none".to_owned()),
        ],
        only: None,
        least_passing: 26,
    }
}

#[test]
fn franz_go() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false")]);
    // With more, Apache Kafka on two busy cores does not hand out all records of TestShareGroupETL in time.
    franz_go_against(&broker, 50_000).run();
}

/// Members of groups move half a million records from topic to topic while no connection of theirs lives longer than 1.5 s: every record has
/// to arrive once and in order.
#[test]
fn franz_go_whose_connections_die() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false")]);
    let mut suite = franz_go_against(&broker, 500_000);
    suite.environment.push(("KGO_TEST_CHAOS", "1".to_owned()));
    Suite { only: Some("TestGroupETL"), least_passing: 1, ..suite }.run();
}

/// Its tests think that there are five brokers behind a toxiproxy; here the five addresses lead to one.
#[test]
fn sarama() {
    let advertised = format!("PLAINTEXT://127.0.0.1:{}", PROXY_PORTS.start());
    let broker = Broker::start(&[
        ("advertised.listeners", &*advertised),
        ("auto.create.topics.enable", "false"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let proxies = toxiproxy::start(broker.address(), PROXY_PORTS);
    let suite = Suite {
        name: "sarama",
        list: include_str!("sarama.txt"),
        only: None,
        environment: vec![("TOXIPROXY_ADDR", format!("http://{proxies}")), ("KAFKA_VERSION", "4.2.0".to_owned())],
        least_passing: 49,
    };
    suite.run();
}
