//! Levels of features, with Kafka's own tool (which asks through the Java client's Admin) and as they are on the wire.
//!
//! Every test here passes against Apache Kafka 4.2.0 too (`FLUMEN_TEST_TARGET=kafka`), but for what only Flumen has to say.

use crate::admin::eventually;
use crate::support::administration::{complaint, has, lines};
use crate::support::broker::{Broker, Kind};
use crate::support::client::Client;
use flumen::protocol::generated::UpdateFeaturesRequest;
use flumen::protocol::generated::update_features_request::FeatureUpdateKey;

const FEATURES: &str = "org.apache.kafka.tools.FeatureCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const INVALID_UPDATE_VERSION: i16 = 95;

/// A line of `describe`: supported from and to, in force, and the epoch.
struct Described {
    feature: String,
    least: String,
    most: String,
    level: String,
    epoch: i64,
}

fn describe(broker: &Broker) -> Vec<Described> {
    let parse = |line: &String| {
        let values: Vec<&str> = line.split('\t').map(|part| part.split_once(": ").expect("a name and a value").1).collect();
        let [feature, least, most, level, epoch] = values[..] else { panic!("{line}") };
        let [feature, least, most, level] = [feature, least, most, level].map(str::to_owned);
        Described { feature, least, most, level, epoch: epoch.parse().expect("an epoch") }
    };
    lines(broker, FEATURES, &["describe"]).iter().filter(|line| line.starts_with("Feature: ")).map(parse).collect()
}

fn of(broker: &Broker, feature: &str) -> Described {
    describe(broker).into_iter().find(|described| described.feature == feature).expect("it is described")
}

#[test]
fn levels_are_described_lowered_and_raised() {
    let mut broker = Broker::start(&[]);
    let before = of(&broker, "metadata.version");
    assert_eq!((&*before.most, &*before.level), ("4.2-IV1", "4.2-IV1"));
    assert_eq!((&*of(&broker, "kraft.version").least, &*of(&broker, "kraft.version").level), ("0", "0"));

    let downgrade = ["downgrade", "--feature", "metadata.version=25"];
    let said = lines(&broker, FEATURES, &[&downgrade[..], &["--dry-run"]].concat());
    has(&said, "metadata.version can be downgraded to 25.");
    assert_eq!(of(&broker, "metadata.version").level, "4.2-IV1");
    has(&lines(&broker, FEATURES, &downgrade), "metadata.version was downgraded to 25.");
    eventually("the lower level", || of(&broker, "metadata.version").level == "4.0-IV3");
    assert!(of(&broker, "metadata.version").epoch > before.epoch);

    broker.stop();
    broker.restart();
    assert_eq!(of(&broker, "metadata.version").level, "4.0-IV3");
    assert_eq!(Client::connect(broker.address()).unwrap().create_topic("below", 2, &[]).unwrap(), 0);
    let upgrade = ["upgrade", "--feature", "metadata.version=29"];
    has(&lines(&broker, FEATURES, &upgrade), "metadata.version was upgraded to 29.");
    eventually("the higher level", || of(&broker, "metadata.version").level == "4.2-IV1");
    broker.stop();
    broker.restart();
    eventually("the topic", || Client::connect(broker.address()).unwrap().list_offset("below", 1, -1).unwrap() == (0, 0));
}

#[test]
fn levels_that_cannot_be_are_refused() {
    let broker = Broker::start(&[]);
    for (arguments, texts) in [
        (&["downgrade", "--feature", "metadata.version=22"][..], ["Could not downgrade metadata.version to 22.", "Refusing"]),
        (
            &["downgrade", "--feature", "metadata.version=22", "--unsafe"],
            ["Could not downgrade metadata.version to 22.", "Unsafe metadata downgrade is not supported in this version."],
        ),
        (
            &["upgrade", "--feature", "metadata.version=28"],
            ["Could not upgrade metadata.version", "without setting the upgrade type"],
        ),
        (&["downgrade", "--feature", "metadata.version=30"], ["metadata.version to 30", "only supports versions"]),
        (&["upgrade", "--feature", "no.such=1", "--dry-run"], ["Can not upgrade no.such to 1.", "does not support this feature"]),
        (
            &["downgrade", "--feature", "metadata.version=28", "--feature", "no.such=3"],
            ["Could not downgrade metadata.version to 28. The update failed for all features", "2 out of 2 operation(s) failed."],
        ),
    ] {
        let said = complaint(&broker, FEATURES, arguments);
        assert!(texts.iter().all(|text| said.contains(text)), "{arguments:?}: {said}");
    }
    assert_eq!(of(&broker, "metadata.version").level, "4.2-IV1");
}

/// Who may lead when nobody is in sync depends on one minimum for all brokers, which comes with the feature (KIP-966).
#[test]
fn eligible_leader_replicas_are_turned_on_and_off() {
    let broker = Broker::start(&[]);
    let name = "eligible.leader.replicas.version";
    let minimum = || lines(&broker, CONFIGS, &["--entity-type", "brokers", "--entity-default", "--describe"]).concat();
    for round in 0..2 {
        if of(&broker, name).level == "0" {
            let said = lines(&broker, FEATURES, &["upgrade", "--feature", &format!("{name}=1")]);
            has(&said, &format!("{name} was upgraded to 1."));
        }
        eventually("the feature", || of(&broker, name).level == "1");
        assert!(minimum().contains("min.insync.replicas=1"), "{round}: {}", minimum());
        let delete = ["--entity-type", "brokers", "--entity-default", "--alter", "--delete-config", "min.insync.replicas"];
        let said = complaint(&broker, CONFIGS, &delete);
        assert!(said.contains("cannot be removed while ELR is enabled"), "{said}");
        let said = lines(&broker, FEATURES, &["downgrade", "--feature", &format!("{name}=0")]);
        has(&said, &format!("{name} was downgraded to 0."));
        eventually("no feature", || of(&broker, name).level == "0");
    }
}

/// A client that reads of a feature uses what it promises.
#[test]
fn what_is_not_served_is_neither_told_nor_turned_on() {
    let broker = Broker::start_kind(Kind::Flumen, &[]);
    let told: Vec<String> = describe(&broker).into_iter().map(|described| described.feature).collect();
    assert_eq!(told, ["eligible.leader.replicas.version", "kraft.version", "metadata.version"]);
    for (feature, why) in [
        ("group.version=1", "does not support this feature"),
        ("transaction.version=2", "does not support this feature"),
        ("kraft.version=1", "keeps the level with which it was formatted"),
    ] {
        let said = complaint(&broker, FEATURES, &["upgrade", "--feature", feature]);
        assert!(said.contains(why), "{feature}: {said}");
    }
}

#[test]
fn a_success_is_told_of_each_feature_before_version_2() {
    let broker = Broker::start(&[]);
    let mut client = Client::connect(broker.address()).unwrap();
    for version in 0..=2 {
        let mut ask = |feature: &str, max_version_level: i16| {
            let update = FeatureUpdateKey { feature: feature.into(), max_version_level, ..FeatureUpdateKey::default() };
            let request = UpdateFeaturesRequest { feature_updates: vec![update], ..UpdateFeaturesRequest::default() };
            let answer = client.call(&request, version, true).unwrap();
            let results: Vec<_> = answer.results.iter().map(|result| (result.feature.to_string(), result.error_code)).collect();
            let has_words = answer.error_message.is_some_and(|words| !words.is_empty());
            (answer.error_code, has_words, results)
        };
        let expected = if version < 2 { vec![("metadata.version".to_owned(), 0)] } else { vec![] };
        assert_eq!(ask("metadata.version", 29), (0, false, expected), "version {version}");
        assert_eq!(ask("no.such", 1), (INVALID_UPDATE_VERSION, true, vec![]), "version {version}");
    }
}
