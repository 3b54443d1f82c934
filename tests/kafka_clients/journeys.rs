//! One of everything that an application asks of a cluster, with each client: admin calls, seeking by time, idempotent writes, offsets
//! of a group, and what the client makes of the broker's errors.

use crate::support::broker::Broker;
use crate::support::peers::Peer;
use serde_json::{Value, json};
use std::sync::OnceLock;

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
