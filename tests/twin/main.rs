//! The twin test: the same requests to Flumen and to a running Apache Kafka 4.2.0, and their answers compared field by field.
//!
//! Requests are generated from Kafka's schemas (`generate`), for every API and version that is served, with values that mean something,
//! null, boundary and invalid ones. They are written and read by a codec that knows only the schemas (`tree`), so that no error of ours is
//! on both sides. What belongs to one side, such as a topic's id, has a symbol (`sides`). What may differ is in `differences`, with
//! the reason; everything else must not. After single requests come whole stories, and requests at the same time (`sequences`).
//!
//! `TWIN_ROUNDS=100` asks more, `TWIN_API=Metadata` only one API, `TWIN_API=sequences` only the stories.

#[path = "../codegen/maven.rs"]
mod maven;
#[allow(dead_code, reason = "the generator of code needs more of it")]
#[path = "../codegen/schema.rs"]
mod schema;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "it writes whole messages too")]
#[path = "../protocol_differential/wire.rs"]
mod wire;

mod differences;
mod generate;
mod sequences;
mod sides;
mod tree;

use differences::KNOWN;
use flumen::protocol::ApiKey;
use flumen::protocol::api::{SERVED, ServedApi};
use generate::Generator;
use schema::{Kind as MessageKind, Message};
use sides::{Question, Side};
use std::collections::BTreeMap;
use std::time::Duration;
use support::broker::Kind;
use tree::Tree;
use wire::Random;

const ROUNDS: u64 = 25;
/// How often a question is asked again before a difference counts: Apache Kafka applies metadata a moment after it has answered.
const PATIENCE: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Requests that change something that other requests see.
const CHANGING: [ApiKey; 4] = [ApiKey::CreateTopics, ApiKey::DeleteTopics, ApiKey::CreatePartitions, ApiKey::FindCoordinator];
/// Requests that come after those that look at what they change; some of it changes later than they are answered.
const LAST: [ApiKey; 5] =
    [ApiKey::DeleteRecords, ApiKey::CreateTopics, ApiKey::DeleteTopics, ApiKey::CreatePartitions, ApiKey::UpdateFeatures];
/// Requests that Apache Kafka answers with UNKNOWN_SERVER_ERROR where something cannot be.
const MAY_FAIL_INSIDE: [ApiKey; 5] =
    [ApiKey::Metadata, ApiKey::Fetch, ApiKey::DescribeTopicPartitions, ApiKey::AlterConfigs, ApiKey::IncrementalAlterConfigs];
/// Requests that must not be asked twice: the second answer is another one.
const ONCE: [ApiKey; 8] = [
    ApiKey::Produce,
    ApiKey::JoinGroup,
    ApiKey::DeleteRecords,
    ApiKey::OffsetCommit,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
];

struct Twins {
    messages: BTreeMap<String, Message>,
    flumen: Side,
    kafka: Side,
    /// What differs, with an example of each and how often.
    found: BTreeMap<String, (String, usize)>,
    asked: usize,
}

impl Twins {
    fn start() -> Twins {
        let settings = [
            ("group.initial.rebalance.delay.ms", "0"),
            ("auto.create.topics.enable", "false"),
            ("offsets.topic.num.partitions", "5"),
            ("num.partitions", "2"),
            // Records have old timestamps, and the two do not look at their age at the same time.
            ("log.retention.ms", "-1"),
        ];
        let messages = schema::load(&maven::schemas()).into_iter().map(|message| (message.name.clone(), message)).collect();
        let flumen = Side::start(Kind::Flumen, &settings);
        let kafka = Side::start(Kind::Kafka, &settings);
        Twins { messages, flumen, kafka, found: BTreeMap::new(), asked: 0 }
    }

    fn request(&self, api: ApiKey) -> &Message {
        let of_api = |message: &&Message| message.kind == MessageKind::Request && message.api_key == Some(api as i16);
        self.messages.values().find(of_api).unwrap_or_else(|| panic!("no schema of {}", api.name()))
    }

    fn ask_once(&mut self, api: ApiKey, version: i16, tree: &Tree) -> (Tree, Tree) {
        let (flumen, kafka) = self.answers(api, version, std::slice::from_ref(tree));
        let only = |mut answers: Vec<Tree>| answers.remove(0);
        (only(flumen), only(kafka))
    }

    /// The answers to requests that are all under way at the same time.
    fn answers(&mut self, api: ApiKey, version: i16, trees: &[Tree]) -> (Vec<Tree>, Vec<Tree>) {
        let request = self.request(api).clone();
        let response = self.messages[&request.name.replace("Request", "Response")].clone();
        let questions: Vec<_> =
            trees.iter().map(|tree| Question { api, version, request: &request, response: &response, tree }).collect();
        let ask = |side: &mut Side| {
            let kind = side.broker.kind;
            let fail = |error| panic!("{kind:?}: {} version {version}: {error}\n{trees:?}", api.name());
            let answers: Vec<Tree> = side.ask_at_once(&questions).into_iter().map(|answer| answer.unwrap_or_else(fail)).collect();
            answers.iter().for_each(|answer| side.learn(answer));
            answers
        };
        (ask(&mut self.flumen), ask(&mut self.kafka))
    }

    /// Asks both for many things at the same time; the answers may come to whom they like.
    fn ask_at_once(&mut self, api: ApiKey, version: i16, trees: &[Tree]) {
        self.asked += trees.len();
        let (flumen, kafka) = self.answers(api, version, trees);
        self.note(api, version, &Tree::list(trees.to_vec()), &(Tree::List(flumen), Tree::List(kafka)));
        if CHANGING.contains(&api) {
            self.wait_for_metadata();
        }
    }

    fn note(&mut self, api: ApiKey, version: i16, tree: &Tree, answers: &(Tree, Tree)) {
        for (path, (flumen, kafka)) in self.differences(api, answers) {
            let what = format!("{} {path}: {} where Kafka says {}", api.name(), short(&flumen), short(&kafka));
            let example = format!("version {version}, {tree:?}\n    flumen {:?}\n    kafka  {:?}", answers.0, answers.1);
            self.found.entry(what).or_insert((example, 0)).1 += 1;
        }
    }

    /// Asks both and compares; their answers as they came.
    fn ask(&mut self, api: ApiKey, version: i16, tree: &Tree) -> (Tree, Tree) {
        self.asked += 1;
        let mut answers = self.ask_once(api, version, tree);
        let mut differences = self.differences(api, &answers);
        let mut patience = if ONCE.contains(&api) { 0 } else { PATIENCE };
        while !differences.is_empty() && patience > 0 {
            std::thread::sleep(PAUSE);
            answers = self.ask_once(api, version, tree);
            differences = self.differences(api, &answers);
            patience -= 1;
        }
        self.note(api, version, tree, &answers);
        if CHANGING.contains(&api) {
            self.wait_for_metadata();
        }
        answers
    }

    /// The differences that are not known, by path.
    fn differences(&self, api: ApiKey, (flumen, kafka): &(Tree, Tree)) -> BTreeMap<String, (Tree, Tree)> {
        let mut all = BTreeMap::new();
        if MAY_FAIL_INSIDE.contains(&api) && differences::has_failed_inside(kafka) && !differences::has_failed_inside(flumen) {
            return all;
        }
        compare("", &self.flumen.masked("", flumen), &self.kafka.masked("", kafka), &mut all);
        all.retain(|path, (flumen, kafka)| {
            let is_known = |known: &differences::Known| {
                (known.request.is_empty() || known.request == api.name())
                    && path.contains(known.path)
                    && (known.is_it)(flumen, kafka)
            };
            !KNOWN.iter().any(is_known)
        });
        all
    }

    /// Both know the same topics.
    fn wait_for_metadata(&mut self) {
        let all = Tree::of(&[("Topics", Tree::Null)]);
        for _ in 0..PATIENCE * 20 {
            let answers = self.ask_once(ApiKey::Metadata, 12, &all);
            if self.differences(ApiKey::Metadata, &answers).is_empty() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        self.ask(ApiKey::Metadata, 12, &all);
    }

    fn set_up(&mut self) {
        let topic = |name: &str, partitions: i64| {
            Tree::of(&[
                ("Name", Tree::text(name)),
                ("NumPartitions", Tree::Number(partitions)),
                ("ReplicationFactor", Tree::Number(1)),
            ])
        };
        let topics = [topic("one", 1), topic("three", 3), topic("growing", 1)];
        let create = Tree::of(&[("Topics", Tree::list(topics)), ("timeoutMs", Tree::Number(30_000))]);
        self.ask(ApiKey::CreateTopics, 7, &create);
        let find = Tree::of(&[("CoordinatorKeys", Tree::list([Tree::text("committers")]))]);
        let coordinated = |(flumen, kafka): &(Tree, Tree)| {
            [flumen, kafka].iter().all(|answer| format!("{answer:?}").contains("(\"ErrorCode\", Number(0))"))
        };
        let mut patience = 100;
        while !coordinated(&self.ask_once(ApiKey::FindCoordinator, 4, &find)) {
            patience -= 1;
            assert!(patience > 0, "both coordinate groups");
            std::thread::sleep(PAUSE);
        }
        self.wait_for_metadata();
        let partition = |index: i64| {
            Tree::of(&[
                ("PartitionIndex", Tree::Number(index)),
                ("CommittedOffset", Tree::Number(index + 2)),
                ("CommittedMetadata", Tree::text("words")),
            ])
        };
        let topic = Tree::of(&[("Name", Tree::text("three")), ("Partitions", Tree::list([partition(0), partition(2)]))]);
        let commit = Tree::of(&[
            ("GroupId", Tree::text("committers")),
            ("GenerationIdOrMemberEpoch", Tree::Number(-1)),
            ("Topics", Tree::list([topic])),
        ]);
        // The coordinator of Kafka may still be loading.
        let mut patience = 100;
        while self.ask_once(ApiKey::OffsetCommit, 8, &commit).1 != self.ask_once(ApiKey::OffsetCommit, 8, &commit).0 {
            patience -= 1;
            assert!(patience > 0, "both take commits");
            std::thread::sleep(PAUSE);
        }
    }

    fn report(self) {
        let differences: Vec<String> = self
            .found
            .iter()
            .map(|(what, (example, times))| format!("{what} ({times} times)\n  for example {example}"))
            .collect();
        println!("{} requests were asked of both", self.asked);
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }
}

/// Notes where two trees differ, without positions in lists.
fn compare(path: &str, flumen: &Tree, kafka: &Tree, found: &mut BTreeMap<String, (Tree, Tree)>) {
    match (flumen, kafka) {
        (Tree::List(ours), Tree::List(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).for_each(|(ours, theirs)| compare(path, ours, theirs, found));
        }
        (Tree::List(ours), Tree::List(theirs)) => {
            differ(found, path, &Tree::Number(ours.len() as i64), &Tree::Number(theirs.len() as i64));
        }
        (Tree::Struct(ours), Tree::Struct(theirs)) => {
            for (name, value) in ours {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match theirs.iter().find(|(other, _)| other == name) {
                    Some((_, other)) => compare(&path, value, other, found),
                    None => differ(found, &path, value, &Tree::text("<absent>")),
                }
            }
            for (name, value) in theirs.iter().filter(|(name, _)| ours.iter().all(|(own, _)| own != name)) {
                differ(found, &format!("{path}.{name}"), &Tree::text("<absent>"), value);
            }
        }
        (ours, theirs) if ours != theirs => differ(found, path, ours, theirs),
        _ => {}
    }
}

fn differ(found: &mut BTreeMap<String, (Tree, Tree)>, path: &str, flumen: &Tree, kafka: &Tree) {
    found.entry(path.to_owned()).or_insert_with(|| (flumen.clone(), kafka.clone()));
}

fn short(tree: &Tree) -> String {
    let text = format!("{tree:?}");
    if text.len() < 120 { text } else { text.chars().take(120).collect::<String>() + "…" }
}

#[test]
fn both_answer_every_request_alike() {
    let rounds = std::env::var("TWIN_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("TWIN_ROUNDS is a number"));
    let only = std::env::var("TWIN_API").ok();
    let mut twins = Twins::start();
    twins.set_up();
    let mut number = 0;
    // What changes topics comes last, so that the others find them as they were made.
    let (last, first): (Vec<&ServedApi>, Vec<&ServedApi>) = SERVED.iter().partition(|served| LAST.contains(&served.api_key));
    for served in first.into_iter().chain(last) {
        if only.as_deref().is_some_and(|only| only != served.api_key.name()) {
            continue;
        }
        let message = twins.request(served.api_key).clone();
        for version in served.min..=served.max {
            for round in 0..rounds {
                let mut random = Random(round << 32 | (version as u64) << 16 | served.api_key as u64);
                number += 1;
                let tree = Generator { message: &message, version, random: &mut random, number }.request();
                twins.ask(served.api_key, version, &tree);
            }
        }
    }
    if only.as_deref().is_none_or(|only| only == "sequences") {
        sequences::all(&mut twins);
    }
    twins.report();
}
