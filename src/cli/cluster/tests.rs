use super::admin::{is_passing, view};
use super::*;
use crate::model::ErrorCode;
use crate::protocol::generated::list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment};
use crate::protocol::generated::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use crate::protocol::generated::{ListPartitionReassignmentsResponse, MetadataResponse};
use std::collections::BTreeMap;

fn told() -> (MetadataResponse, ListPartitionReassignmentsResponse) {
    let broker =
        |node_id: i32, rack: Option<&str>| MetadataResponseBroker { node_id, rack: rack.map(Into::into), ..Default::default() };
    let partition = |partition_index: i32, replicas: &[i32]| MetadataResponsePartition {
        partition_index,
        replica_nodes: replicas.to_vec(),
        ..Default::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        partitions: vec![partition(0, &[1, 2]), partition(1, &[2, 3, 1])],
        ..Default::default()
    };
    let brokers = vec![broker(1, Some("a")), broker(2, None), broker(3, Some(""))];
    let metadata = MetadataResponse { brokers, topics: vec![topic], ..Default::default() };
    let change = OngoingPartitionReassignment {
        partition_index: 1,
        replicas: vec![2, 3, 1],
        adding_replicas: vec![2],
        removing_replicas: vec![1],
        ..Default::default()
    };
    let topic = OngoingTopicReassignment { name: "t".into(), partitions: vec![change], ..Default::default() };
    (metadata, ListPartitionReassignmentsResponse { topics: vec![topic], ..Default::default() })
}

#[test]
fn answers_make_a_view() {
    let (mut metadata, ongoing) = told();
    let seen = view(&metadata, &ongoing).unwrap();
    assert_eq!(seen.brokers, BTreeMap::from([(1, Some("a".to_owned())), (2, None), (3, None)]));
    let targets: Vec<(String, Vec<i32>, bool)> =
        seen.partitions.iter().map(|partition| (partition.name(), partition.target(), partition.is_moving())).collect();
    assert_eq!(targets, [("t-0".to_owned(), vec![1, 2], false), ("t-1".to_owned(), vec![2, 3], true)]);
    metadata.topics[0].error_code = ErrorCode::TopicAuthorizationFailed.code();
    assert!(view(&metadata, &ongoing).unwrap_err().contains("topic t"));
}

#[test]
fn only_what_may_pass_is_asked_again() {
    assert!(is_passing(Some(ErrorCode::NotController)));
    assert!(!is_passing(Some(ErrorCode::ClusterAuthorizationFailed)) && !is_passing(Some(ErrorCode::None)) && !is_passing(None));
}

/// Against a cluster of one host that keeps its partitions in memory.
#[cfg(feature = "sim")]
mod against_a_broker {
    use super::*;
    use crate::cli::cluster::balancing::balance;
    use crate::cli::cluster::draining::drain;
    use crate::io::sim::{Options, World};
    use crate::io::{Io, Piece, Signal, Socket};
    use crate::protocol::Chunk;
    use crate::protocol::frame::RequestFrame;
    use crate::protocol::generated::alter_partition_reassignments_response::{
        ReassignablePartitionResponse, ReassignableTopicResponse,
    };
    use crate::protocol::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};
    use crate::protocol::generated::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
    use crate::protocol::generated::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
    };
    use crate::protocol::generated::incremental_alter_configs_response::AlterConfigsResourceResponse;
    use crate::protocol::generated::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    use crate::protocol::generated::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, DescribeConfigsRequest,
        DescribeConfigsResponse, DescribeLogDirsResponse, ElectLeadersRequest, ElectLeadersResponse,
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListOffsetsRequest, ListOffsetsResponse,
    };
    use bytes::{Buf, BytesMut};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    /// Broker 1 listens at the next, and so on.
    const FIRST_PORT: i32 = 9_090;
    /// Looks at what is under way after which a replica has its records.
    const LOOKS: u32 = 3;

    #[derive(Default)]
    struct Fake {
        /// Replicas, and what they become after so many more looks.
        partitions: BTreeMap<i32, (Vec<i32>, Option<(Vec<i32>, u32)>)>,
        /// How many partitions each request has moved.
        steps: Vec<usize>,
        /// What was asked so far: some answers get lost, and metadata are told late.
        asked: u32,
        late: Option<MetadataResponse>,
        /// Settings by the name of their resource and their own, and how many of them there were at most.
        configs: BTreeMap<(String, String), Vec<String>>,
        most_configs: usize,
        /// Who leads, if that is not the first replica.
        leaders: BTreeMap<i32, i32>,
        /// Seconds since it began; each partition takes so many KiB in each of them as its number says.
        now_s: u64,
        /// Reassignments of partitions that are held back by nothing.
        unbounded: usize,
        cancelled: usize,
    }

    impl Fake {
        fn new(partitions: i32) -> Rc<RefCell<Self>> {
            let replicas = |index: i32| vec![1 + index % 4, 1 + (index + 1) % 4];
            let partitions = (0..partitions).map(|index| (index, (replicas(index), None))).collect();
            Rc::new(RefCell::new(Self { partitions, ..Self::default() }))
        }

        fn metadata(&mut self) -> MetadataResponse {
            let at = |node_id| MetadataResponseBroker {
                node_id,
                host: "server".into(),
                port: FIRST_PORT + node_id,
                ..Default::default()
            };
            let brokers = (1..=4).map(at);
            let leaders = self.leaders.clone();
            let partition = |(index, (replicas, change)): (&i32, &(Vec<i32>, Option<(Vec<i32>, u32)>))| {
                let new = change.iter().flat_map(|(to, _)| to).filter(|new| !replicas.contains(new));
                MetadataResponsePartition {
                    partition_index: *index,
                    leader_id: leaders.get(index).copied().unwrap_or(replicas[0]),
                    isr_nodes: replicas.clone(),
                    replica_nodes: replicas.iter().chain(new).copied().collect(),
                    ..Default::default()
                }
            };
            let partitions = self.partitions.iter().map(partition).collect();
            let topic = MetadataResponseTopic { name: Some("t".into()), partitions, ..Default::default() };
            let now = MetadataResponse { brokers: brokers.collect(), topics: vec![topic], ..Default::default() };
            // Every other answer is the one before: this broker hears of things late.
            match self.late.take() {
                Some(late) => late,
                None => {
                    self.late = Some(now.clone());
                    now
                }
            }
        }

        fn ongoing(&mut self) -> ListPartitionReassignmentsResponse {
            let mut partitions = vec![];
            for (index, (replicas, change)) in &mut self.partitions {
                let Some((to, looks)) = change else { continue };
                if *looks == 0 {
                    let leader = *self.leaders.get(index).unwrap_or(&replicas[0]);
                    *replicas = to.clone();
                    if replicas.contains(&leader) {
                        self.leaders.insert(*index, leader)
                    } else {
                        self.leaders.remove(index)
                    };
                    *change = None;
                    continue;
                }
                *looks -= 1;
                let adding: Vec<i32> = to.iter().copied().filter(|new| !replicas.contains(new)).collect();
                let removing: Vec<i32> = replicas.iter().copied().filter(|old| !to.contains(old)).collect();
                partitions.push(OngoingPartitionReassignment {
                    partition_index: *index,
                    replicas: to.iter().chain(&removing).copied().collect(),
                    adding_replicas: adding,
                    removing_replicas: removing,
                    ..Default::default()
                });
            }
            let topics = vec![OngoingTopicReassignment { name: "t".into(), partitions, ..Default::default() }];
            ListPartitionReassignmentsResponse { topics, ..Default::default() }
        }

        fn reassign(&mut self, request: &AlterPartitionReassignmentsRequest) -> AlterPartitionReassignmentsResponse {
            assert!(!request.allow_replication_factor_change);
            let asked = &request.topics[0].partitions;
            self.steps.push(asked.len());
            let mut partitions = vec![];
            for one in asked {
                let Some(to) = one.replicas.clone() else {
                    self.cancelled += 1;
                    self.partitions.get_mut(&one.partition_index).expect("a partition that there is").1 = None;
                    partitions.push(ReassignablePartitionResponse { partition_index: one.partition_index, ..Default::default() });
                    continue;
                };
                let held = self.configs.get(&("t".to_owned(), "leader.replication.throttled.replicas".to_owned()));
                let is_held =
                    |held: &Vec<String>| held.iter().any(|replica| replica.starts_with(&format!("{}:", one.partition_index)));
                let known = &self.partitions[&one.partition_index].0;
                let is_copied = to.iter().any(|replica| !known.contains(replica));
                self.unbounded += usize::from(is_copied && !held.is_some_and(is_held));
                let known = self.partitions.get_mut(&one.partition_index).expect("a partition that there is");
                let error = if known.0.len() == to.len() { ErrorCode::None } else { ErrorCode::InvalidReplicationFactor };
                if error == ErrorCode::None {
                    known.1 = Some((to, LOOKS));
                }
                partitions.push(ReassignablePartitionResponse {
                    partition_index: one.partition_index,
                    error_code: error.code(),
                    ..Default::default()
                });
            }
            let responses = vec![ReassignableTopicResponse { name: "t".into(), partitions }];
            AlterPartitionReassignmentsResponse { responses, ..Default::default() }
        }

        fn size_of(&self, index: i32) -> i64 {
            (1 << 20) + index as i64 * (self.now_s as i64) * 1024
        }

        fn log_dirs(&self, broker: i32) -> DescribeLogDirsResponse {
            let held = self.partitions.iter().filter(|(_, (replicas, _))| replicas.contains(&broker));
            let log = |(index, _): (&i32, _)| DescribeLogDirsPartition {
                partition_index: *index,
                partition_size: self.size_of(*index),
                ..Default::default()
            };
            let topics = vec![DescribeLogDirsTopic { name: "t".into(), partitions: held.map(log).collect() }];
            DescribeLogDirsResponse {
                results: vec![DescribeLogDirsResult { topics, ..Default::default() }],
                ..Default::default()
            }
        }

        fn offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
            let topic = &request.topics[0];
            let told = topic.partitions.iter().map(|asked| ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                // 1 KiB each.
                offset: if asked.timestamp == -2 { 0 } else { self.size_of(asked.partition_index) >> 10 },
                ..Default::default()
            });
            let topics = vec![ListOffsetsTopicResponse { name: topic.name.clone(), partitions: told.collect() }];
            ListOffsetsResponse { topics, ..Default::default() }
        }

        fn elect(&mut self, request: &ElectLeadersRequest) -> ElectLeadersResponse {
            for index in request.topic_partitions.iter().flatten().flat_map(|topic| &topic.partitions) {
                self.leaders.remove(index);
            }
            ElectLeadersResponse::default()
        }

        /// KiB per second that each broker takes and sends on.
        fn loads(&self) -> BTreeMap<i32, i32> {
            let mut loads = BTreeMap::new();
            for (index, (replicas, _)) in &self.partitions {
                let leader = *self.leaders.get(index).unwrap_or(&replicas[0]);
                for replica in replicas {
                    let factor = if *replica == leader { replicas.len() as i32 } else { 1 };
                    *loads.entry(*replica).or_default() += factor * index;
                }
            }
            loads
        }

        fn describe(&mut self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
            let of = |resource: &crate::protocol::generated::describe_configs_request::DescribeConfigsResource| {
                let name = resource.resource_name.to_string();
                let keys = resource.configuration_keys.iter().flatten();
                let set = keys.filter_map(|key| Some((key, self.configs.get(&(name.clone(), key.to_string()))?)));
                let config = |(key, value): (&crate::protocol::StrBytes, &Vec<String>)| DescribeConfigsResourceResult {
                    name: key.clone(),
                    value: Some((&*value.join(",")).into()),
                    config_source: if resource.resource_type == 2 { 1 } else { 2 },
                    ..Default::default()
                };
                DescribeConfigsResult {
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name.clone(),
                    configs: set.map(config).collect(),
                    ..Default::default()
                }
            };
            DescribeConfigsResponse { results: request.resources.iter().map(of).collect(), ..Default::default() }
        }

        fn configure(&mut self, at: i32, request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
            let mut responses = vec![];
            for resource in &request.resources {
                assert!(resource.resource_type == 2 || *resource.resource_name == *at.to_string(), "as Kafka refuses it");
                for config in &resource.configs {
                    let key = (resource.resource_name.to_string(), config.name.to_string());
                    let items: Vec<String> = config.value.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect();
                    let known = self.configs.entry(key.clone()).or_default();
                    match config.config_operation {
                        0 => *known = items,
                        1 => {
                            self.configs.remove(&key);
                        }
                        // Whoever asks twice, since the answer was lost, changes nothing.
                        2 => items.into_iter().for_each(|item| {
                            if !known.contains(&item) {
                                known.push(item)
                            }
                        }),
                        _ => known.retain(|item| !items.contains(item)),
                    }
                }
                let (resource_type, resource_name) = (resource.resource_type, resource.resource_name.clone());
                responses.push(AlterConfigsResourceResponse { resource_type, resource_name, ..Default::default() });
            }
            self.most_configs = self.most_configs.max(self.configs.len());
            IncrementalAlterConfigsResponse { responses, ..Default::default() }
        }

        fn holders_of(&self, broker: i32) -> usize {
            self.partitions.values().filter(|(replicas, _)| replicas.contains(&broker)).count()
        }
    }

    fn versions() -> ApiVersionsResponse {
        let api = |api: ApiKey| ApiVersion { api_key: api as i16, min_version: 0, max_version: 99, ..Default::default() };
        let apis = [
            ApiKey::ApiVersions,
            ApiKey::Metadata,
            ApiKey::ListPartitionReassignments,
            ApiKey::AlterPartitionReassignments,
            ApiKey::DescribeConfigs,
            ApiKey::IncrementalAlterConfigs,
            ApiKey::DescribeLogDirs,
            ApiKey::ListOffsets,
            ApiKey::ElectLeaders,
        ];
        ApiVersionsResponse { api_keys: apis.map(api).to_vec(), ..Default::default() }
    }

    /// All four brokers.
    async fn serve(io: Io, fake: Rc<RefCell<Fake>>) {
        for broker in 1..=4 {
            let (io, fake) = (io.clone(), fake.clone());
            let address = format!("0.0.0.0:{}", FIRST_PORT + broker).parse().unwrap();
            let listener = io.listen(address, true).unwrap();
            io.clone().spawn(async move {
                while let Ok(accepted) = listener.accept().await {
                    let socket = accepted.attach(&io).unwrap();
                    io.spawn(serve_one(io.clone(), socket, broker, fake.clone()));
                }
            });
        }
        std::future::pending().await
    }

    async fn serve_one(io: Io, socket: Socket, broker: i32, fake: Rc<RefCell<Fake>>) {
        let began = crate::io::Mono::default();
        let mut buffer = BytesMut::with_capacity(1 << 16);
        loop {
            while buffer.len() < 4 || buffer.len() < 4 + u32::from_be_bytes(buffer[..4].try_into().unwrap()) as usize {
                buffer.reserve(1 << 16);
                if socket.read(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let length = buffer.get_u32() as usize;
            let request = RequestFrame::parse(buffer.split_to(length).freeze()).unwrap();
            let answers = request.answers();
            let chunks = {
                let mut fake = fake.borrow_mut();
                fake.asked += 1;
                fake.now_s = io.now().since(began).as_secs();
                match request.api_key {
                    ApiKey::ApiVersions => answers.encode(&versions()),
                    ApiKey::Metadata => answers.encode(&fake.metadata()),
                    ApiKey::ListPartitionReassignments => answers.encode(&fake.ongoing()),
                    ApiKey::AlterPartitionReassignments => answers.encode(&fake.reassign(&request.decode().unwrap())),
                    ApiKey::DescribeConfigs => answers.encode(&fake.describe(&request.decode().unwrap())),
                    ApiKey::IncrementalAlterConfigs => answers.encode(&fake.configure(broker, &request.decode().unwrap())),
                    ApiKey::DescribeLogDirs => answers.encode(&fake.log_dirs(broker)),
                    ApiKey::ListOffsets => answers.encode(&fake.offsets(&request.decode().unwrap())),
                    ApiKey::ElectLeaders => answers.encode(&fake.elect(&request.decode().unwrap())),
                    other => panic!("{} was not to be asked", other.name()),
                }
            };
            if fake.borrow().asked.is_multiple_of(7) {
                return socket.shutdown();
            }
            let pieces: Vec<Piece> = chunks
                .unwrap()
                .into_iter()
                .map(|chunk| match chunk {
                    Chunk::Bytes(bytes) => Piece::Bytes(bytes),
                    other => panic!("{other:?} is not in memory"),
                })
                .collect();
            if socket.send(&pieces).await.is_err() {
                return;
            }
        }
    }

    /// How a broker is drained.
    #[derive(Clone, Copy, Default)]
    struct How {
        dry_run: bool,
        bandwidth: u64,
        /// When it is looked whether it is done, and a signal sent just before.
        limit: Option<Duration>,
        interrupt: bool,
    }

    /// What comes of draining a broker.
    fn drained(fake: &Rc<RefCell<Fake>>, how: How) -> Option<Result<(), String>> {
        carried_out(fake, how, |admin, how| async move { drain(&admin, &DrainArguments { broker: 2, how }).await })
    }

    /// What comes of balancing.
    fn balanced(fake: &Rc<RefCell<Fake>>, how: How, leaders_only: bool) -> Option<Result<(), String>> {
        carried_out(fake, how, move |admin, how| async move {
            balance(&admin, &BalanceArguments { how, leaders_only, measure: 10, most: 100 }).await
        })
    }

    fn carried_out<F: Future<Output = Result<(), String>> + 'static>(
        fake: &Rc<RefCell<Fake>>,
        how: How,
        command: impl Fn(Admin, Movement) -> F + Clone + 'static,
    ) -> Option<Result<(), String>> {
        let world = World::new(11, Options::default());
        let (server, client) = (world.add_host("server", 1), world.add_host("client", 1));
        let served = fake.clone();
        world.start(server, move |io| serve(io, served.clone()));
        let done = Rc::new(RefCell::new(None));
        let slot = done.clone();
        world.start(client, move |io| {
            let (slot, command) = (slot.clone(), command.clone());
            async move {
                let how = Movement {
                    bootstrap_server: String::new(),
                    dry_run: how.dry_run,
                    partitions_at_once: 4,
                    bandwidth: how.bandwidth,
                };
                let servers = vec![("nobody".to_owned(), 9092), ("server".to_owned(), 9092)];
                let result = command(Admin::new(io, servers), how).await;
                *slot.borrow_mut() = Some(result);
            }
        });
        world.run_for(how.limit.unwrap_or(Duration::from_secs(600)));
        if how.interrupt {
            world.signal(client, Signal::Interrupt);
            world.run_for(Duration::from_secs(30));
        }
        done.take()
    }

    #[test]
    fn a_broker_is_emptied_some_partitions_at_a_time() {
        let fake = Fake::new(24);
        let before = fake.borrow().holders_of(2);
        assert_eq!(drained(&fake, How::default()), Some(Ok(())));
        let fake = fake.borrow();
        assert_eq!(fake.holders_of(2), 0);
        assert!(fake.steps.iter().all(|step| *step <= 4), "{:?}", fake.steps);
        // What was asked twice since its answer was lost was the same.
        assert!(fake.steps.iter().sum::<usize>() >= before);
        assert!(fake.partitions.values().all(|(replicas, _)| replicas.len() == 2), "nothing is lost");
        let held = [1, 3, 4].map(|broker| fake.holders_of(broker));
        assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
    }

    #[test]
    fn who_was_stopped_goes_on_where_he_was() {
        let fake = Fake::new(24);
        assert_eq!(drained(&fake, How { limit: Some(Duration::from_secs(4)), ..How::default() }), None, "it takes longer");
        let left = fake.borrow().holders_of(2);
        assert!(0 < left && left < 12, "{left}");
        assert_eq!(drained(&fake, How::default()), Some(Ok(())));
        assert_eq!(fake.borrow().holders_of(2), 0);
    }

    #[test]
    fn a_dry_run_changes_nothing() {
        let fake = Fake::new(8);
        assert_eq!(drained(&fake, How { dry_run: true, ..How::default() }), Some(Ok(())));
        assert!(fake.borrow().steps.is_empty() && fake.borrow().holders_of(2) == 4);
    }

    #[test]
    fn what_cannot_be_moved_is_said_before_anything_is() {
        let fake = Fake::new(4);
        fake.borrow_mut().partitions.insert(9, (vec![1, 2, 3, 4], None));
        let said = drained(&fake, How::default()).unwrap().unwrap_err();
        assert!(said.contains("of broker 2 of t-9"), "{said}");
        assert!(fake.borrow().steps.is_empty());
    }
    #[test]
    fn what_is_copied_is_held_back_and_nothing_of_that_stays() {
        let fake = Fake::new(24);
        assert_eq!(drained(&fake, How { bandwidth: 1_000, ..How::default() }), Some(Ok(())));
        let fake = fake.borrow();
        assert_eq!((fake.holders_of(2), fake.unbounded), (0, 0));
        // Two rates of each of four brokers, two lists of a topic.
        assert_eq!((fake.most_configs, fake.configs.len()), (10, 0), "{:?}", fake.configs);
    }

    #[test]
    fn what_others_have_set_stays() {
        let fake = Fake::new(24);
        let key = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        let rate = (key("3", "leader.replication.throttled.rate"), vec!["77".to_owned()]);
        let list = (key("t", "leader.replication.throttled.replicas"), vec!["99:1".to_owned()]);
        let before = BTreeMap::from([rate, list]);
        fake.borrow_mut().configs = before.clone();
        assert_eq!(drained(&fake, How { bandwidth: 1_000, ..How::default() }), Some(Ok(())));
        assert_eq!((&fake.borrow().configs, fake.borrow().most_configs), (&before, 10));
    }

    #[test]
    fn who_is_interrupted_cancels_and_leaves_nothing_behind() {
        let (mut cancelled, mut held_back) = (0, 0);
        for tenths in (12..52).step_by(5) {
            let fake = Fake::new(24);
            let limit = Some(Duration::from_millis(100 * tenths));
            let how = How { bandwidth: 1_000, limit, interrupt: true, ..How::default() };
            let said = drained(&fake, how).expect("it ends").unwrap_err();
            assert!(said.contains("interrupted"), "{said}");
            {
                let fake = fake.borrow();
                assert!(fake.configs.is_empty(), "after {tenths}: {:?}", fake.configs);
                assert!(fake.partitions.values().all(|(_, change)| change.is_none()), "nothing goes on after {tenths}");
                assert!(fake.holders_of(2) > 0);
                cancelled += fake.cancelled;
                held_back = held_back.max(fake.most_configs);
            }
            assert_eq!(drained(&fake, How::default()), Some(Ok(())));
            assert_eq!(fake.borrow().holders_of(2), 0);
        }
        assert!(cancelled > 0 && held_back == 10, "{cancelled} {held_back}");
    }

    /// All leaders on two of four brokers, and none of the load on the fourth.
    fn uneven() -> Rc<RefCell<Fake>> {
        let fake = Fake::new(0);
        let replicas = |index: i32| vec![1 + index % 2, 1 + (index + 1) % 3];
        let distinct =
            |index: i32| if replicas(index)[0] == replicas(index)[1] { vec![1 + index % 2, 3] } else { replicas(index) };
        fake.borrow_mut().partitions = (0..24).map(|index| (index, (distinct(index), None))).collect();
        fake
    }

    fn spread(loads: &BTreeMap<i32, i32>) -> (i32, i32) {
        let of = |broker: i32| loads.get(&broker).copied().unwrap_or(0);
        ((1..=4).map(of).max().unwrap(), (1..=4).map(of).min().unwrap())
    }

    #[test]
    fn loads_are_levelled_within_a_bandwidth() {
        let fake = uneven();
        let before = spread(&fake.borrow().loads());
        assert_eq!(balanced(&fake, How { bandwidth: 1_000_000, ..How::default() }, false), Some(Ok(())));
        let fake = fake.borrow();
        let (highest, lowest) = spread(&fake.loads());
        // 276 KiB come in a second, of which three are made in all.
        assert!(highest <= 207 * 11 / 10 + 3 && lowest > 150, "{before:?} became {:?}", fake.loads());
        assert_eq!((fake.unbounded, fake.configs.len()), (0, 0), "{:?}", fake.configs);
        assert!(fake.steps.iter().all(|step| *step <= 4), "{:?}", fake.steps);
        assert!(fake.partitions.values().all(|(replicas, _)| replicas.len() == 2));
        assert!((1..=4).all(|broker| (10..=14).contains(&fake.holders_of(broker))), "the fourth has its share");
    }

    #[test]
    fn leaderships_alone_copy_nothing() {
        let fake = uneven();
        let held = |fake: &Fake| (1..=4).map(|broker| fake.holders_of(broker)).collect::<Vec<_>>();
        let (before, held_before) = (spread(&fake.borrow().loads()).0, held(&fake.borrow()));
        assert_eq!(balanced(&fake, How { bandwidth: 1_000_000, ..How::default() }, true), Some(Ok(())));
        let fake = fake.borrow();
        assert!(spread(&fake.loads()).0 < before && held(&fake) == held_before && fake.most_configs == 0);
    }

    #[test]
    fn what_is_only_said_is_not_done() {
        let fake = uneven();
        assert_eq!(balanced(&fake, How { dry_run: true, ..How::default() }, false), Some(Ok(())));
        assert!(fake.borrow().steps.is_empty() && fake.borrow().leaders.is_empty());
    }
}
