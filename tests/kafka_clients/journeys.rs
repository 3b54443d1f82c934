//! One of everything that an application asks of a cluster, with each client: admin calls, seeking by time, idempotent writes, offsets
//! of a group, and what the client makes of the broker's errors.

use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::peers::{Peer, Produce};
use crate::support::process;
use crate::support::records::{Record, base_timestamp};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Topics are not created by accident here: what is deleted must stay so while the client still asks for it.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(&[("auto.create.topics.enable", "false"), ("group.initial.rebalance.delay.ms", "0")]))
}

fn travel(peer: Peer) {
    let (topic, group) = (format!("journey-{peer:?}"), format!("travellers-{peer:?}"));
    let task = json!({"do": "journey", "topic": topic, "group": group});
    let mut answer = peer.run(&broker().bootstrap(), &[task]).remove(0);
    // Each client has its own words; a word of the error is in all of them.
    let mut says = |mistake: &str, words: &[&str]| {
        let text = answer.as_object_mut().unwrap().remove(mistake).unwrap_or(Value::Null);
        let letters: String =
            text.as_str().unwrap_or_default().to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
        assert!(words.iter().any(|word| letters.contains(word)), "{peer:?} says to {mistake}: {text}");
    };
    says("exists", &["exist"]);
    says("absent", &["unknowntopic", "doesnotexist", "doesnothostthistopic"]);
    says("too_large", &["toolarge", "largerthan"]);
    says("out_of_range", &["outofrange", "outsidetherange"]);
    let expected = json!({
        "retention": "3600000", "by_time": 10, "value": "10", "committed": 11, "partitions": 5, "nodes": 1, "listed": true,
        "deleted": true,
    });
    assert_eq!(answer, expected, "{peer:?}");
}

#[test]
fn java_travels() {
    travel(Peer::Java);
}

#[test]
fn librdkafka_travels() {
    travel(Peer::Librdkafka);
}

#[test]
fn franz_go_travels() {
    travel(Peer::FranzGo);
}

#[test]
fn aiokafka_travels() {
    travel(Peer::Aiokafka);
}

#[test]
fn sarama_travels() {
    travel(Peer::Sarama);
}

#[test]
fn kafka_python_travels() {
    travel(Peer::KafkaPython);
}

#[test]
fn kafkajs_travels() {
    travel(Peer::KafkaJs);
}

/// kcat has no admin calls; the rest of the journey it goes.
#[test]
fn kcat_travels() {
    let bootstrap = broker().bootstrap();
    let mut admin = Client::connect(broker().address()).unwrap();
    assert_eq!(admin.create_topic("journey-kcat", 3, &[]).unwrap(), 0);
    let base = base_timestamp();
    let record = |number: i64| Record {
        partition: 0,
        offset: -1,
        timestamp: base + number,
        key: None,
        value: Some(number.to_string().into_bytes()),
        headers: Vec::new(),
    };
    let records = (0..30).map(record).collect();
    let plan = Produce { topic: "journey-kcat".to_owned(), codec: "none", acks: "all", idempotent: true, records };
    Peer::Librdkafka.produce(&bootstrap, vec![plan]);

    let kcat = |arguments: &[&str], input: &[u8]| {
        process::run(Command::new("kcat").args(["-b", &bootstrap]).args(arguments), input, Duration::from_secs(60))
    };
    let says = |arguments: &[&str]| {
        let finished = kcat(arguments, b"");
        assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
        String::from_utf8(finished.stdout).unwrap()
    };
    let listed: Value = serde_json::from_str(&says(&["-L", "-J", "-t", "journey-kcat"])).unwrap();
    assert_eq!(listed["topics"][0]["partitions"].as_array().map(Vec::len), Some(3), "{listed}");
    assert_eq!(says(&["-Q", "-t", &format!("journey-kcat:0:{}", base + 10)]).trim(), "journey-kcat [0] offset 10");
    let from = format!("s@{}", base + 10);
    assert_eq!(says(&["-C", "-q", "-t", "journey-kcat", "-p", "0", "-o", &from, "-c", "1", "-f", "%o %s\\n"]), "10 10\n");

    let fails = |arguments: &[&str], input: &[u8], words: &str| {
        let finished = kcat(arguments, input);
        assert!(!finished.status.success() && finished.stderr.contains(words), "{arguments:?}: {}", finished.stderr);
    };
    let large = ["-P", "-t", "journey-kcat", "-p", "0", "-X", "message.max.bytes=4000000"];
    fails(&large, &[b'x'; 2_000_000], "Broker: Message size too large");
    fails(&["-C", "-t", "journey-absent", "-p", "0"], b"", "Broker: Unknown topic or partition");
    let behind = ["-C", "-t", "journey-kcat", "-p", "0", "-o", "1000000", "-X", "auto.offset.reset=error"];
    fails(&behind, b"", "Broker: Offset out of range");
}
