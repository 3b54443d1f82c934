use super::*;
use crate::model::{LeaderEpoch, Offset, PartitionIndex};
use crate::protocol::generated::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use crate::protocol::generated::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use crate::protocol::generated::delete_topics_request::DeleteTopicState;
use crate::protocol::generated::*;
use proptest::prelude::*;
use std::sync::Arc;

/// A controller with its log: commits each decision at once. It controls a cluster if it has heartbeats, else itself alone.
#[derive(Default)]
pub(super) struct World {
    loader: Loader,
    pub(super) log: Vec<Vec<MetadataRecord>>,
    seed: u8,
    validated: bool,
    pub(super) allowance: Allowance,
    pub(super) heartbeats: Option<Heartbeats>,
    pub(super) now_ms: u64,
    /// `unclean.leader.election.enable` of the controller.
    pub(super) allows_unclean: bool,
    /// `min.insync.replicas` of the controller; 0 counts as 1.
    pub(super) min_isr: usize,
    pub(super) believes_successors: bool,
}

/// What the brokers of a [`World`] with heartbeats have to say.
pub(super) const CLUSTER_ID: &str = "cluster";
/// How long they may be silent.
pub(super) const SESSION_MS: u64 = 9_000;

/// A broker that is not fenced, of no rack and without log directories.
pub(super) fn plain_broker(id: i32) -> Broker {
    Broker {
        id: BrokerId(id),
        epoch: id.into(),
        incarnation: TopicId([1; 16]),
        endpoints: vec![],
        features: vec![],
        rack: None,
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: vec![],
    }
}

fn judge(configs: &[(&str, Option<&str>)]) -> Result<(), String> {
    match configs.iter().find(|(name, _)| *name == "bad") {
        Some(_) => Err("Unknown topic config name: bad".to_owned()),
        None => Ok(()),
    }
}

fn judge_subscription(configs: &[(&str, &str)]) -> Result<(), (ErrorCode, String)> {
    match configs.iter().find(|(name, _)| *name == "bad") {
        Some(_) => Err((ErrorCode::InvalidRequest, "Unknown client metrics configuration: bad".to_owned())),
        None => Ok(()),
    }
}

impl World {
    /// Brokers 1 to `brokers`, registered and unfenced.
    pub(super) fn new(brokers: i32) -> Self {
        let mut world = Self::default();
        world.commit(bootstrap_records());
        for id in 1..=brokers {
            world.start(id, true);
        }
        world
    }

    pub(super) fn image(&self) -> &MetadataImage {
        self.loader.image()
    }

    pub(super) fn commit(&mut self, batch: Vec<MetadataRecord>) -> MetadataDelta {
        let next = self.image().next_offset().plus(batch.len() as i64);
        let delta = self.loader.load(&batch, next, 1).unwrap();
        self.log.push(batch);
        delta
    }

    pub(super) fn decide(&mut self, command: &Command) -> Decision {
        let mut random = || {
            self.seed = self.seed.wrapping_add(1);
            [self.seed; 16]
        };
        let cluster = self.heartbeats.as_ref().map(|heartbeats| Cluster {
            cluster_id: CLUSTER_ID,
            heartbeats,
            now_ms: self.now_ms,
            kraft_version: 1,
            believes_successors: self.believes_successors,
        });
        let mut context = Context {
            node: BrokerId(1),
            num_partitions: 3,
            default_replication_factor: 1,
            min_insync_replicas: self.min_isr.max(1),
            unclean_leader_election: self.allows_unclean,
            cluster,
            judge_configs: &judge,
            judge_subscription: &judge_subscription,
            list_default: &|_, name| (name == "list").then_some("a"),
            random: &mut random,
            allowance: self.allowance,
        };
        let decision = decide(self.loader.image(), command, &mut context);
        self.allowance = context.allowance;
        decision
    }

    pub(super) fn call(&mut self, command: Command) -> Reply {
        let decision = self.decide(&command);
        self.validated = decision.batches.is_empty();
        let mut delta = MetadataDelta::default();
        for batch in decision.batches {
            delta.merge(self.commit(batch));
        }
        if let Some(heartbeats) = &mut self.heartbeats {
            heartbeats.follow(self.loader.image(), &delta);
            if let Command::BrokerHeartbeat(request) = &command {
                heartbeats.heard(self.loader.image(), request);
            }
        }
        decision.reply
    }

    pub(super) fn start(&mut self, id: i32, clean_restart: bool) -> i64 {
        let registration = BrokerRegistration {
            broker: BrokerId(id),
            incarnation: TopicId([id as u8; 16]),
            endpoints: vec![Endpoint { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 }],
            log_dirs: vec![TopicId([id as u8 + 100; 16])],
            features: supported_features(),
            ..BrokerRegistration::default()
        };
        let offset = self.image().next_offset().0;
        let Reply::Registered(Ok(epoch)) = self.call(Command::RegisterBroker(registration)) else { panic!() };
        assert_eq!(epoch, offset, "the epoch is the offset of the registration");
        assert!(!self.image().is_active(BrokerId(id)));
        let unfence = Command::UnfenceBroker { broker: BrokerId(id), epoch, clean_restart };
        assert_eq!(self.call(unfence), Reply::Unfenced(Ok(())));
        assert!(self.image().is_active(BrokerId(id)));
        epoch
    }

    pub(super) fn create(&mut self, topics: Vec<CreatableTopic>) -> Vec<(i16, Option<String>)> {
        let request = CreateTopicsRequest { topics, timeout_ms: 1, validate_only: false };
        let Reply::CreateTopics(response) = self.call(Command::CreateTopics(request)) else { panic!() };
        response.topics.iter().map(|t| (t.error_code, t.error_message.as_ref().map(ToString::to_string))).collect()
    }

    pub(super) fn code(&mut self, topic: CreatableTopic) -> i16 {
        self.create(vec![topic])[0].0
    }
}

pub(super) fn topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: factor, ..CreatableTopic::default() }
}

pub(super) fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, ids): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *index,
        broker_ids: ids.to_vec(),
        ..CreatableReplicaAssignment::default()
    };
    CreatableTopic { assignments: partitions.iter().map(assignment).collect(), ..topic(name, -1, -1) }
}

pub(super) fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: value.map(Into::into), ..CreatableTopicConfig::default() }
}

#[test]
fn new_topic_is_topic_configs_partitions_in_one_batch() {
    let mut world = World::new(1);
    let with_configs = CreatableTopic {
        configs: vec![config("retention.ms", Some("5")), config("cleanup.policy", Some("compact"))],
        ..topic("t", 2, 1)
    };
    assert_eq!(world.create(vec![with_configs]), [(0, None)]);
    let id = world.image().topic_by_name("t").unwrap().id;
    let partition = |index| PartitionRecord {
        partition_id: index,
        topic_id: id,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![TopicId([101; 16])],
        ..PartitionRecord::default()
    };
    let config = |name: &str, value: &str| ConfigRecord {
        resource_type: 2,
        resource_name: "t".into(),
        name: name.into(),
        value: Some(value.into()),
        ..ConfigRecord::default()
    };
    let expected: Vec<MetadataRecord> = vec![
        TopicRecord { name: "t".into(), topic_id: id, ..TopicRecord::default() }.into(),
        config("cleanup.policy", "compact").into(),
        config("retention.ms", "5").into(),
        partition(0).into(),
        partition(1).into(),
    ];
    assert_eq!(world.log.last(), Some(&expected));
    assert_eq!(world.image().topic_configs("t")["retention.ms"], "5");
    assert_eq!(world.image().partition(id, PartitionIndex(1)).unwrap().leader, Some(BrokerId(1)));
}

#[test]
fn broker_defaults_stand_in_for_minus_one() {
    let mut world = World::new(1);
    let request = CreateTopicsRequest { topics: vec![topic("t", -1, -1)], timeout_ms: 1, validate_only: false };
    let Reply::CreateTopics(response) = world.call(Command::CreateTopics(request)) else { panic!() };
    assert_eq!((response.topics[0].num_partitions, response.topics[0].replication_factor), (3, 1));
    assert_eq!(response.topics[0].topic_id, world.image().topic_by_name("t").unwrap().id);
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut world = World::new(1);
    let topics = vec![topic("t", 1, 1), topic("u", 0, 1)];
    let request = CreateTopicsRequest { topics, timeout_ms: 1, validate_only: true };
    let Reply::CreateTopics(response) = world.call(Command::CreateTopics(request)) else { panic!() };
    assert_eq!(response.topics.iter().map(|t| t.error_code).collect::<Vec<_>>(), [0, 37]);
    assert!(world.validated && world.image().topic_count() == 0);
}

#[test]
fn every_rule_for_new_topics() {
    let mut world = World::new(2);
    assert_eq!(world.code(topic("a.b", 1, 1)), 0);
    for (asked, code, part) in [
        (topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists, "already exists"),
        (topic("a_b", 1, 1), ErrorCode::InvalidTopicException, "collides with existing topic: a.b"),
        (topic("", 1, 1), ErrorCode::InvalidTopicException, "empty"),
        (topic("..", 1, 1), ErrorCode::InvalidTopicException, "not allowed"),
        (topic("a b", 1, 1), ErrorCode::InvalidTopicException, "alphanumerics"),
        (topic("__cluster_metadata", 1, 1), ErrorCode::InvalidRequest, "prohibited"),
        (topic("t", 0, 1), ErrorCode::InvalidPartitions, "non-positive"),
        (topic("t", -2, 1), ErrorCode::InvalidPartitions, "non-positive"),
        (topic("t", 1, 0), ErrorCode::InvalidReplicationFactor, "larger than 0"),
        (topic("t", 1, 3), ErrorCode::InvalidReplicationFactor, "only 2 broker(s) are registered"),
        (topic("t", 10_001, 1), ErrorCode::PolicyViolation, "Excessively large"),
        (topic("t", 10_000, 1), ErrorCode::PolicyViolation, "excessively large batch"),
        (
            CreatableTopic { configs: vec![config("bad", Some("1"))], ..topic("t", 1, 1) },
            ErrorCode::InvalidConfig,
            "Unknown topic config name: bad",
        ),
        (
            CreatableTopic { replication_factor: 1, ..assigned("t", &[(0, &[1])]) },
            ErrorCode::InvalidRequest,
            "replication factor was not set to -1",
        ),
        (
            CreatableTopic { num_partitions: 1, ..assigned("t", &[(0, &[1])]) },
            ErrorCode::InvalidRequest,
            "numPartitions was not set to -1",
        ),
        (assigned("t", &[(0, &[1]), (0, &[2])]), ErrorCode::InvalidReplicaAssignment, "multiple manual"),
        (assigned("t", &[(0, &[1]), (2, &[2])]), ErrorCode::InvalidReplicaAssignment, "consecutive 0-based"),
        (assigned("t", &[(0, &[])]), ErrorCode::InvalidReplicaAssignment, "empty replica list"),
        (assigned("t", &[(0, &[9])]), ErrorCode::InvalidReplicaAssignment, "no such broker is registered"),
        (assigned("t", &[(0, &[1, 1])]), ErrorCode::InvalidReplicaAssignment, "more than once"),
        (assigned("t", &[(0, &[1]), (1, &[1, 2])]), ErrorCode::InvalidReplicaAssignment, "not consistent"),
    ] {
        let shown = format!("{:?} {}", asked.name, part);
        let (got, text) = world.create(vec![asked]).remove(0);
        assert_eq!(got, code.code(), "{shown}: {text:?}");
        assert!(text.as_ref().is_some_and(|text| text.contains(part)), "{shown}: {text:?}");
    }
    assert_eq!(world.image().topic_count(), 1);
}

#[test]
fn topics_of_one_request_fail_alone_and_duplicates_together() {
    let mut world = World::new(1);
    let results = world.create(vec![topic("a", 1, 1), topic("b", 0, 1), topic("c", 1, 1), topic("d", 1, 1), topic("d", 2, 1)]);
    assert_eq!(results.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [0, 37, 0, 42]);
    let names: Vec<&str> = world.image().topics().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn chosen_replicas_are_kept_and_fenced_ones_are_not_in_sync() {
    let mut world = World::new(2);
    let registration = BrokerRegistration {
        broker: BrokerId(3),
        incarnation: TopicId([3; 16]),
        log_dirs: vec![TopicId([1; 16]), TopicId([2; 16])],
        ..BrokerRegistration::default()
    };
    world.call(Command::RegisterBroker(registration));
    assert_eq!(world.code(assigned("t", &[(1, &[2, 1]), (0, &[3, 2])])), 0);
    let topic = Arc::clone(world.image().topic_by_name("t").unwrap());
    let first = &topic.partitions[&PartitionIndex(0)];
    assert_eq!(
        (first.leader, &*first.replicas, &*first.isr),
        (Some(BrokerId(2)), &[BrokerId(3), BrokerId(2)][..], &[BrokerId(2)][..])
    );
    assert_eq!(first.directories, [DIRECTORY_UNASSIGNED, TopicId([102; 16])], "a broker of several directories chooses itself");
    assert_eq!(world.code(assigned("u", &[(0, &[3])])), ErrorCode::InvalidReplicaAssignment.code(), "nobody could lead");
}

#[test]
fn leaders_spread_over_brokers() {
    let mut world = World::new(3);
    assert_eq!(world.code(topic("t", 30, 3)), 0);
    let topic = world.image().topic_by_name("t").unwrap();
    for id in 1..=3 {
        let led = topic.partitions.values().filter(|partition| partition.leader == Some(BrokerId(id))).count();
        assert_eq!(led, 10);
    }
    let followers: std::collections::BTreeSet<_> =
        topic.partitions.values().filter(|p| p.replicas[0] == BrokerId(1)).map(|p| p.replicas[1]).collect();
    assert_eq!(followers.len(), 2, "not always the same neighbour");
}

#[test]
fn without_an_active_broker_nothing_is_created() {
    let mut world = World::default();
    assert_eq!(world.code(topic("t", 1, 1)), ErrorCode::InvalidReplicationFactor.code());
}

#[test]
fn partitions_are_added_by_the_rules() {
    let mut world = World::new(2);
    world.code(topic("t", 2, 1));
    let mut add = |name: &str, count: i32, assignments: Option<Vec<Vec<i32>>>, validate_only: bool| {
        let assignment = |broker_ids| CreatePartitionsAssignment { broker_ids, ..CreatePartitionsAssignment::default() };
        let assignments = assignments.map(|lists| lists.into_iter().map(assignment).collect());
        let topic = CreatePartitionsTopic { name: name.into(), count, assignments, ..CreatePartitionsTopic::default() };
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1, validate_only };
        let Reply::CreatePartitions(response) = world.call(Command::CreatePartitions(request)) else { panic!() };
        let count = world.image().topic_by_name("t").unwrap().partitions.len();
        (ErrorCode::from_code(response.results[0].error_code).unwrap(), count)
    };
    assert_eq!(add("u", 3, None, false), (ErrorCode::UnknownTopicOrPartition, 2));
    assert_eq!(add("t", 2, None, false), (ErrorCode::InvalidPartitions, 2));
    assert_eq!(add("t", -1, None, false), (ErrorCode::InvalidPartitions, 2));
    assert_eq!(add("t", i32::MAX, None, false), (ErrorCode::PolicyViolation, 2));
    assert_eq!(add("t", 4, Some(vec![vec![1]]), false), (ErrorCode::InvalidReplicaAssignment, 2));
    assert_eq!(add("t", 3, Some(vec![vec![1, 2]]), false), (ErrorCode::InvalidReplicaAssignment, 2));
    assert_eq!(add("t", 3, None, true), (ErrorCode::None, 2));
    assert_eq!(add("t", 4, Some(vec![vec![2], vec![1]]), false), (ErrorCode::None, 4));
    assert_eq!(add("t", 5, None, false), (ErrorCode::None, 5));
    let t = world.image().topic_by_name("t").unwrap();
    assert_eq!(t.partitions[&PartitionIndex(2)].leader, Some(BrokerId(2)));
}

#[test]
fn topics_are_deleted_by_name_or_id() {
    let mut world = World::new(1);
    world.create(vec![
        CreatableTopic { configs: vec![config("retention.ms", Some("5"))], ..topic("a", 1, 1) },
        topic("b", 1, 1),
        topic("c", 1, 1),
    ]);
    let id = |name: &str, world: &World| world.image().topic_by_name(name).unwrap().id;
    let (a, b, c) = (id("a", &world), id("b", &world), id("c", &world));
    let by = |name: Option<&str>, topic_id: TopicId| DeleteTopicState {
        name: name.map(Into::into),
        topic_id,
        ..DeleteTopicState::default()
    };
    let none = TopicId::ZERO;
    let topics = vec![
        by(Some("a"), none),
        by(None, b),
        by(None, none),
        by(Some("c"), c),
        by(Some("x"), none),
        by(None, TopicId([99; 16])),
        by(Some("y"), none),
        by(Some("y"), none),
    ];
    let request = DeleteTopicsRequest { topics, topic_names: vec![], timeout_ms: 1 };
    let Reply::DeleteTopics(response) = world.call(Command::DeleteTopics(request)) else { panic!() };
    let mut got: Vec<(Option<String>, TopicId, i16)> =
        response.responses.iter().map(|r| (r.name.as_ref().map(ToString::to_string), r.topic_id, r.error_code)).collect();
    got.sort();
    let mut expected = vec![
        (None, none, 42),
        (Some("c".to_owned()), c, 42),
        (Some("a".to_owned()), a, 0),
        (Some("b".to_owned()), b, 0),
        (Some("x".to_owned()), none, 3),
        (Some("y".to_owned()), none, 42),
        (None, TopicId([99; 16]), 100),
    ];
    expected.sort();
    assert_eq!(got, expected);
    assert!(world.image().topic_by_name("a").is_none() && world.image().topic_by_id(b).is_none());
    assert!(world.image().topic_configs("a").is_empty(), "its configs go with it");
    let again = DeleteTopicsRequest { topics: vec![], topic_names: vec!["c".into()], timeout_ms: 1 };
    world.call(Command::DeleteTopics(again));
    assert_eq!(world.image().topic_count(), 0);
}

#[test]
fn unclean_restart_raises_leader_epochs_and_a_clean_one_does_not() {
    let mut world = World::new(1);
    world.code(topic("t", 1, 1));
    let epoch = |world: &World| world.image().topic_by_name("t").unwrap().partitions[&PartitionIndex(0)].leader_epoch;
    assert_eq!(epoch(&world), LeaderEpoch(0));
    world.start(1, true);
    assert_eq!(epoch(&world), LeaderEpoch(0));
    world.start(1, false);
    assert_eq!(epoch(&world), LeaderEpoch(1));
    let last = world.log.last().unwrap();
    assert!(matches!(last.last(), Some(MetadataRecord::BrokerRegistrationChange(_))), "the broker's change comes last");
}

#[test]
fn leaderless_partitions_are_taken_over() {
    // As Apache Kafka leaves them when its only node was stopped.
    let mut world = World::new(1);
    world.code(topic("t", 1, 1));
    let topic_id = world.image().topic_by_name("t").unwrap().id;
    let change = PartitionChangeRecord { partition_id: 0, topic_id, leader: -1, ..PartitionChangeRecord::default() };
    let delta = world.commit(vec![change.into()]);
    assert_eq!(delta.partitions.len(), 1);
    assert_eq!(world.image().partition(topic_id, PartitionIndex(0)).unwrap().leader, None);
    world.start(1, true);
    let partition = world.image().partition(topic_id, PartitionIndex(0)).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch, partition.partition_epoch), (Some(BrokerId(1)), LeaderEpoch(2), 2));
}

#[test]
fn producer_ids_are_given_once() {
    let mut world = World::new(1);
    let epoch = world.image().broker(BrokerId(1)).unwrap().epoch;
    let mut ask = |broker: i32, epoch: i64| {
        let Reply::ProducerIds(block) = world.call(Command::AllocateProducerIds { broker: BrokerId(broker), epoch }) else {
            panic!()
        };
        block.map(|block| (block.first, block.count))
    };
    assert_eq!(ask(1, epoch), Ok((0, 1000)));
    assert_eq!(ask(1, epoch), Ok((1000, 1000)));
    assert_eq!(ask(1, epoch + 1), Err(ErrorCode::StaleBrokerEpoch));
    assert_eq!(ask(7, epoch), Err(ErrorCode::BrokerIdNotRegistered));
    assert_eq!(world.image().next_producer_id(), 2000);
}

#[test]
fn only_served_features_are_named() {
    let mut world = World::new(1);
    // As in a directory that Apache Kafka has formatted.
    let transactions =
        FeatureLevelRecord { name: "transaction.version".into(), feature_level: 2, ..FeatureLevelRecord::default() };
    world.commit(vec![transactions.into()]);
    assert_eq!(world.image().served_features().collect::<Vec<_>>(), [(METADATA_VERSION, MAX_METADATA_VERSION)]);
    assert_eq!(world.image().metadata_version(), Some(MAX_METADATA_VERSION));
    assert_eq!(world.image().features().len(), 2);
    let features = &world.image().broker(BrokerId(1)).unwrap().features;
    assert_eq!(features.iter().map(|f| &*f.0).collect::<Vec<_>>(), [METADATA_VERSION, KRAFT_VERSION, ELR_VERSION]);
    let partition = MetadataRecord::from(PartitionRecord::default());
    assert_eq!([22, 23].map(|mv| record_version(&partition, mv)), [1, 2]);
}

#[test]
fn transactions_are_published_whole_or_not_at_all() {
    let topic = |name: &str, id: u8| -> MetadataRecord {
        TopicRecord { name: name.into(), topic_id: TopicId([id; 16]), ..TopicRecord::default() }.into()
    };
    let begin = || MetadataRecord::from(BeginTransactionRecord::default());
    let end = || MetadataRecord::from(EndTransactionRecord::default());
    let abort = || MetadataRecord::from(AbortTransactionRecord::default());
    let mut loader = Loader::default();
    let names = |loader: &Loader| loader.image().topics().map(|t| t.name.to_string()).collect::<Vec<_>>().join(",");
    loader.load(&[topic("a", 1), begin(), topic("b", 2)], Offset(3), 1).unwrap();
    assert_eq!((names(&loader), loader.in_transaction()), ("a".into(), true));
    loader.load(&[topic("c", 3)], Offset(4), 1).unwrap();
    assert_eq!(names(&loader), "a");
    assert_eq!(loader.image().next_offset(), Offset(4), "the offset goes on");
    loader.load(&[end(), topic("d", 4)], Offset(6), 1).unwrap();
    assert_eq!((names(&loader), loader.in_transaction()), ("a,b,c,d".into(), false));
    loader.load(&[begin(), topic("e", 5), abort(), topic("f", 6)], Offset(10), 1).unwrap();
    assert_eq!(names(&loader), "a,b,c,d,f");
    loader.load(&[begin(), topic("g", 7)], Offset(12), 1).unwrap();
    loader.load(&[abort()], Offset(13), 2).unwrap();
    assert_eq!(names(&loader), "a,b,c,d,f");
    assert!(loader.load(&[end()], Offset(14), 2).is_err());
    assert!(loader.load(&[begin(), begin()], Offset(15), 2).is_err());
    assert_eq!(names(&loader), "a,b,c,d,f", "an error publishes nothing");
}

#[test]
fn records_that_do_not_fit_are_fatal() {
    let mut world = World::new(1);
    world.code(topic("t", 1, 1));
    let topic_id = TopicId([9; 16]);
    let bad: Vec<MetadataRecord> = vec![
        TopicRecord { name: "t".into(), topic_id, ..TopicRecord::default() }.into(),
        PartitionRecord { topic_id, ..PartitionRecord::default() }.into(),
        PartitionChangeRecord { topic_id, ..PartitionChangeRecord::default() }.into(),
        RemoveTopicRecord { topic_id, ..RemoveTopicRecord::default() }.into(),
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: -5, ..BrokerRegistrationChangeRecord::default() }.into(),
        ProducerIdsRecord { next_producer_id: 0, ..ProducerIdsRecord::default() }.into(),
    ];
    for record in bad {
        let before = world.image().clone();
        assert!(world.loader.load(std::slice::from_ref(&record), Offset(1000), 1).is_err(), "{record:?}");
        assert_eq!(*world.image(), before);
    }
}

#[test]
fn what_is_not_understood_is_counted() {
    let mut world = World::new(1);
    world.commit(vec![AccessControlEntryRecord::default().into(), AccessControlEntryRecord::default().into()]);
    assert_eq!(world.image().not_understood().iter().collect::<Vec<_>>(), [(&"access control entries", &2)]);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, i32, i16),
    Delete(u8),
    Grow(u8, i32),
    Restart(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, 1i32..5, 1i16..4).prop_map(|(name, count, factor)| Step::Create(name, count, factor)),
        2 => (0u8..6).prop_map(Step::Delete),
        2 => (0u8..6, 1i32..8).prop_map(|(name, count)| Step::Grow(name, count)),
        1 => any::<bool>().prop_map(Step::Restart),
    ]
}

proptest! {
    /// Whatever was asked: each partition has a leader in its ISR, names and ids agree, and the log, through bytes and in one go,
    /// gives the image that live operation gave.
    #[test]
    fn the_log_gives_the_live_image(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new(2);
        for step in steps {
            match step {
                Step::Create(name, count, factor) => drop(world.create(vec![topic(&format!("t{name}"), count, factor)])),
                Step::Delete(name) => {
                    let topic_names = vec![format!("t{name}").into()];
                    world.call(Command::DeleteTopics(DeleteTopicsRequest { topics: vec![], topic_names, timeout_ms: 1 }));
                }
                Step::Grow(name, count) => {
                    let topic = CreatePartitionsTopic { name: format!("t{name}").into(), count, ..CreatePartitionsTopic::default() };
                    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1, validate_only: false };
                    world.call(Command::CreatePartitions(request));
                }
                Step::Restart(clean) => drop(world.start(2, clean)),
            }
        }
        for topic in world.image().topics() {
            prop_assert_eq!(world.image().topic_by_id(topic.id).map(|t| &t.name), Some(&topic.name));
            for (expected, (index, partition)) in (0..).zip(&topic.partitions) {
                prop_assert_eq!(index.0, expected);
                prop_assert!(partition.isr.contains(&partition.leader.unwrap()));
                prop_assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)));
                prop_assert_eq!(partition.replicas.len(), partition.directories.len());
            }
        }
        let through_bytes = |record: &MetadataRecord| {
            let value = record.to_bytes(record_version(record, MAX_METADATA_VERSION)).unwrap();
            MetadataRecord::from_bytes(value).unwrap().0
        };
        let all: Vec<MetadataRecord> = world.log.iter().flatten().map(through_bytes).collect();
        let mut replayed = Loader::default();
        let delta = replayed.load(&all, world.image().next_offset(), 1).unwrap();
        prop_assert_eq!(&**replayed.image(), world.image());
        let partitions: usize = world.image().topics().map(|topic| topic.partitions.len()).sum();
        prop_assert_eq!(delta.partitions.len(), partitions);
    }
}
