//! Two brokers in a simulated world: one leads, the other copies its log over a connection.
//!
//! Each has a controller of its own that does not know the topic; what they are to do comes from an image that the test makes. What a
//! leader's api does is done here by a small server that keeps no sessions.

use super::*;
use crate::controller::{MetadataDelta, MetadataImage};
use crate::io::sim::{HostId, Options, World};
use crate::io::{Io, Piece, Socket};
use crate::model::TopicId;
use crate::protocol::frame::RequestFrame;
use crate::protocol::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};
use crate::protocol::generated::fetch_response::EpochEndOffset;
use crate::protocol::generated::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::protocol::generated::register_broker_record::BrokerEndpoint;
use crate::protocol::generated::{ApiKey, ConfigRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord};
use crate::protocol::{Chunk, Message, MetadataRecord, Records};
use crate::shard::tests::{batch, config, values};
use crate::shard::{
    CurrentLeader, FetchRead, FetchResult, FetchingReplica, Isolation, ListOffset, ProduceResult, ProduceSlice, Seats, Shards,
    WatchPartition,
};
use bytes::{Bytes, BytesMut};
use std::path::Path;
use std::sync::Arc;

mod beside;
mod cuts;

const TOPIC: TopicId = TopicId([9; 16]);
const PORT: u16 = 9092;
const PARTITION: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(0) };

/// What the metadata say of the partition, whose replicas are 1 and 2.
#[derive(Clone, Copy)]
struct State<'a> {
    leader: i32,
    epoch: i32,
    version: i32,
    isr: &'a [i32],
    partitions: i32,
}

/// What the servers do, and what they were asked.
#[derive(Default)]
struct Script {
    /// Fetch answers that get a flipped bit.
    damaged: Cell<usize>,
    /// Fetches are not answered.
    is_silent: Cell<bool>,
    asked: RefCell<Vec<(Mono, FetchRequest)>>,
}

/// Two brokers.
struct Pair {
    world: World,
    hosts: [HostId; 2],
    shards: Rc<RefCell<BTreeMap<HostId, Shards>>>,
    script: Rc<Script>,
    min_isr: &'static str,
    settings: Vec<(String, String)>,
    /// Configs in the metadata: of the topic, or of all brokers.
    configs: RefCell<Vec<(bool, &'static str, &'static str)>>,
}

impl Pair {
    fn new(seed: u64, min_isr: &'static str) -> Self {
        Self::with(seed, min_isr, &[])
    }

    fn with(seed: u64, min_isr: &'static str, settings: &[(&str, &str)]) -> Self {
        let world = World::new(seed, Options::default());
        let hosts = [world.add_host("one", 1), world.add_host("two", 1)];
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let pair =
            Self { world, hosts, shards: Rc::default(), script: Rc::default(), min_isr, settings, configs: RefCell::default() };
        pair.start(1);
        pair.start(2);
        pair
    }

    /// Starts a broker. Its own controller does not know the topic, so that a start sets the log aside: it is put back.
    fn start(&self, broker: usize) {
        let (host, id) = (self.hosts[broker - 1], broker.to_string());
        let own = [("node.id", &*id), ("replica.lag.time.max.ms", "5000"), ("replica.fetch.backoff.ms", "100")];
        let set = self.settings.iter().map(|(key, value)| (&**key, &**value));
        let config = config(Path::new("/data"), &own.into_iter().chain(set).collect::<Vec<_>>());
        let (opened, script) = (self.shards.clone(), self.script.clone());
        opened.borrow_mut().remove(&host);
        self.world.start(host, move |io| {
            let (config, opened, script) = (config.clone(), opened.clone(), script.clone());
            async move {
                let shards = Shards::open(io.clone(), Seats::new(1), config, &[]).await.expect("the broker starts");
                for entry in io.read_dir(Path::new("/data")).await.unwrap() {
                    if entry.name.starts_with("events-0.") && entry.name.ends_with("-stray") {
                        io.rename(&Path::new("/data").join(&entry.name), Path::new("/data/events-0")).await.unwrap();
                    }
                }
                opened.borrow_mut().insert(host, shards.clone());
                serve(io, shards, script).await;
            }
        });
        let is_open = || self.shards.borrow().contains_key(&host);
        assert!(self.world.run_until(Duration::from_secs(60), is_open), "broker {broker} starts");
    }

    fn shards(&self, broker: usize) -> Shards {
        self.shards.borrow()[&self.hosts[broker - 1]].clone()
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, broker: usize, task: impl FnOnce(Shards) -> F + 'static) -> T {
        let shards = self.shards(broker);
        self.world.run(self.hosts[broker - 1], move |_| task(shards))
    }

    fn image(&self, state: State<'_>) -> (Arc<MetadataImage>, Arc<MetadataDelta>) {
        let endpoint = |host: HostId| BrokerEndpoint {
            name: "PLAINTEXT".into(),
            host: self.world.address(host).to_string().into(),
            port: PORT,
            ..BrokerEndpoint::default()
        };
        let broker = |(host, broker_id): (HostId, i32)| RegisterBrokerRecord {
            broker_id,
            broker_epoch: 70 + i64::from(broker_id),
            end_points: vec![endpoint(host)],
            rack: Some(format!("rack {broker_id}").into()),
            fenced: false,
            ..RegisterBrokerRecord::default()
        };
        let topic = TopicRecord { name: "events".into(), topic_id: TOPIC, ..TopicRecord::default() };
        let min_isr = ConfigRecord {
            resource_type: 2,
            resource_name: "events".into(),
            name: "min.insync.replicas".into(),
            value: Some(self.min_isr.into()),
            ..ConfigRecord::default()
        };
        let partition = |partition_id| PartitionRecord {
            partition_id,
            topic_id: TOPIC,
            replicas: vec![1, 2],
            isr: state.isr.to_vec(),
            leader: state.leader,
            leader_epoch: state.epoch,
            partition_epoch: state.version,
            ..PartitionRecord::default()
        };
        let brokers = self.hosts.into_iter().zip(1..).map(broker).map(MetadataRecord::from);
        let partitions = (0..state.partitions).map(partition).map(MetadataRecord::from);
        let config = |(is_topics, name, value): (bool, &str, &str)| ConfigRecord {
            resource_type: if is_topics { 2 } else { 4 },
            resource_name: if is_topics { "events".into() } else { "".into() },
            name: name.into(),
            value: Some(value.into()),
            ..ConfigRecord::default()
        };
        let configs: Vec<_> = self.configs.borrow().iter().copied().map(config).map(MetadataRecord::from).collect();
        let records = brokers.chain([topic.into(), min_isr.into()]).chain(partitions).chain(configs);
        let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
        for record in records {
            image.apply(&record, &mut delta).expect("a record that fits");
        }
        image.advance_to(Offset(100 + i64::from(state.version)), 1);
        (Arc::new(image), Arc::new(delta))
    }

    /// Lets a broker know.
    fn tell(&self, broker: usize, state: State<'_>) {
        let (image, delta) = self.image(state);
        self.run(broker, |shards| async move { shards.core().publish(image, delta).await });
    }

    fn tell_both(&self, state: State<'_>) {
        self.tell(1, state);
        self.tell(2, state);
    }

    fn produce(&self, broker: usize, value: &'static str, acks: i16) -> ProduceResult {
        self.run(broker, move |shards| async move { produce(&shards, 0, value, acks).await })
    }

    /// Log start, high watermark and log end.
    fn ends(&self, broker: usize) -> (i64, i64, i64) {
        let partition = self.shards(broker).core().partition(PARTITION).expect("it has a replica");
        let state = partition.state();
        (state.replica.log_start().0, state.replica.high_watermark().0, state.replica.log_end().0)
    }

    fn wait_for(&self, broker: usize, ends: (i64, i64, i64)) {
        let reached = self.world.run_until(Duration::from_secs(20), || self.ends(broker) == ends);
        assert!(reached, "broker {broker} is at {:?}, not at {ends:?}", self.ends(broker));
    }

    /// What a consumer that may read from followers finds.
    fn values(&self, broker: usize, from: i64) -> Vec<(i64, String)> {
        self.run(broker, move |shards| async move {
            let result = read(&shards, from, false).await;
            assert_eq!(result.error, ErrorCode::None);
            values(shards.io(), &result).await
        })
    }

    fn partition(&self) {
        self.world.partition(self.hosts[0], self.hosts[1]);
        self.world.reset_connections(self.hosts[0], self.hosts[1]);
    }

    fn heal(&self) {
        self.world.heal(self.hosts[0], self.hosts[1]);
    }
}

async fn produce(shards: &Shards, partition: i32, value: &str, acks: i16) -> ProduceResult {
    let batch = batch(shards.io(), &[value], None);
    let slice = ProduceSlice { topic_id: TOPIC, partition: PartitionIndex(partition), batch };
    let deadline = shards.io().now().after(Duration::from_secs(1));
    shards.produce(vec![slice], acks, deadline).await.remove(0)
}

async fn read(shards: &Shards, offset: i64, leader_only: bool) -> FetchResult {
    let mut read = crate::shard::tests::read(TOPIC, &[(0, offset)], 1 << 20);
    read.leader_only = leader_only;
    shards.fetch(read).await.remove(0)
}

// ---- what a leader's api does --------------------------------------------------------------------------------------------------

async fn serve(io: Io, shards: Shards, script: Rc<Script>) {
    let listener = io.listen(format!("0.0.0.0:{PORT}").parse().unwrap(), true).unwrap();
    while let Ok(accepted) = listener.accept().await {
        let socket = accepted.attach(&io).unwrap();
        let (shards, script) = (shards.clone(), script.clone());
        io.spawn(async move { serve_one(socket, shards, script).await });
    }
}

async fn serve_one(socket: Socket, shards: Shards, script: Rc<Script>) {
    let mut buffer = BytesMut::new();
    loop {
        let length = buffer.first_chunk::<4>().map(|prefix| i32::from_be_bytes(*prefix) as usize);
        if length.is_none_or(|length| buffer.len() < 4 + length) {
            buffer.reserve(64 << 10);
            if socket.read(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        }
        let frame = buffer.split_to(4 + length.unwrap()).freeze().slice(4..);
        let request = RequestFrame::parse(frame).unwrap();
        let answer = match request.api_key {
            ApiKey::ApiVersions => encoded(&request, &versions()),
            ApiKey::Fetch => {
                let asked: FetchRequest = request.decode().unwrap();
                script.asked.borrow_mut().push((shards.io().now(), asked.clone()));
                if script.is_silent.get() {
                    continue;
                }
                encoded(&request, &fetch(&shards, asked, &script.damaged).await)
            }
            ApiKey::ListOffsets => encoded(&request, &list(&shards, request.decode().unwrap()).await),
            other => panic!("{} was not to be asked", other.name()),
        };
        if socket.send(&[Piece::Bytes(answer)]).await.is_err() {
            return;
        }
    }
}

fn versions() -> ApiVersionsResponse {
    let served = [(ApiKey::Fetch, 4, 18), (ApiKey::ListOffsets, 1, 11), (ApiKey::ApiVersions, 0, 4)];
    let api = |(api, min_version, max_version): (ApiKey, i16, i16)| ApiVersion {
        api_key: api as i16,
        min_version,
        max_version,
        ..Default::default()
    };
    ApiVersionsResponse { api_keys: served.into_iter().map(api).collect(), ..Default::default() }
}

fn encoded<M: Message>(request: &RequestFrame, response: &M) -> Bytes {
    let mut all = BytesMut::new();
    for chunk in request.answers().encode(response).unwrap() {
        let Chunk::Bytes(bytes) = chunk else { panic!("all is in memory") };
        all.extend_from_slice(&bytes);
    }
    all.freeze()
}

async fn fetch(shards: &Shards, request: FetchRequest, damaged: &Cell<usize>) -> FetchResponse {
    let partition = |(topic_id, asked): (TopicId, &FetchPartition)| crate::shard::FetchPartition {
        topic_id,
        partition: PartitionIndex(asked.partition),
        fetch_offset: Offset(asked.fetch_offset),
        max_bytes: asked.partition_max_bytes as u64,
        current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
        log_start_offset: Offset(asked.log_start_offset),
    };
    let asked = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|asked| (topic.topic_id, asked)));
    let ReplicaState { replica_id, replica_epoch } = request.replica_state;
    let mut read = FetchRead {
        partitions: asked.map(partition).collect(),
        isolation: Isolation::Replica,
        max_bytes: request.max_bytes as u64,
        replica: Some(FetchingReplica { id: BrokerId(replica_id), broker_epoch: replica_epoch }),
        leader_only: true,
        near: None,
        is_repeated: false,
    };
    let deadline = shards.io().now().after(Duration::from_millis(request.max_wait_ms as u64));
    loop {
        let results = shards.fetch(read.clone()).await;
        let is_told = |result: &FetchResult| result.bytes > 0 || result.error.is_error() || result.diverging_epoch.is_some();
        if results.iter().any(is_told) || shards.io().now() >= deadline {
            let mut responses = Vec::new();
            for (asked, result) in read.partitions.iter().zip(results) {
                let data = described(shards.io(), asked.partition.0, result, damaged).await;
                responses.push(FetchableTopicResponse {
                    topic_id: asked.topic_id,
                    partitions: vec![data],
                    ..FetchableTopicResponse::default()
                });
            }
            return FetchResponse { responses, ..FetchResponse::default() };
        }
        let watched = read.partitions.iter().zip(&results).map(|(asked, result)| WatchPartition {
            id: TopicIdPartition { topic_id: asked.topic_id, partition: asked.partition },
            seen: result.readable_end,
            current_leader_epoch: asked.current_leader_epoch,
        });
        let watched = watched.collect();
        drop(results);
        read.is_repeated = true;
        shards.watch(watched, Isolation::Replica).await.wait(1, deadline).await;
    }
}

async fn described(io: &Io, partition_index: i32, result: FetchResult, damaged: &Cell<usize>) -> PartitionData {
    let mut bytes = Vec::new();
    for slice in &result.slices {
        bytes.extend_from_slice(&slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap());
    }
    if damaged.get() > 0 && !bytes.is_empty() {
        damaged.set(damaged.get() - 1);
        *bytes.last_mut().unwrap() ^= 1;
    }
    let diverging = result.diverging_epoch;
    PartitionData {
        partition_index,
        error_code: result.error.code(),
        high_watermark: result.high_watermark.0,
        last_stable_offset: result.last_stable_offset.0,
        log_start_offset: result.log_start_offset.0,
        diverging_epoch: diverging
            .map_or_else(EpochEndOffset::default, |end| EpochEndOffset { epoch: end.epoch.0, end_offset: end.end_offset.0 }),
        records: Records::Bytes(bytes.into()),
        ..PartitionData::default()
    }
}

async fn list(shards: &Shards, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::new();
        for asked in topic.partitions {
            let query = ListOffset {
                id: TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(asked.partition_index) },
                current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                timestamp: asked.timestamp,
            };
            let found =
                shards.list_offsets(vec![query], Isolation::ReadUncommitted, BrokerId(request.replica_id)).await.remove(0);
            partitions.push(ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                error_code: found.error.code(),
                offset: found.offset.0,
                ..ListOffsetsPartitionResponse::default()
            });
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

// ---- tests ---------------------------------------------------------------------------------------------------------------------

/// Broker 1 leads.
const FIRST: State<'_> = State { leader: 1, epoch: 0, version: 0, isr: &[1, 2], partitions: 1 };
/// The other one does.
const SECOND: State<'_> = State { leader: 2, epoch: 1, version: 1, isr: &[2], partitions: 1 };

fn owned(values: &[(i64, &str)]) -> Vec<(i64, String)> {
    values.iter().map(|&(offset, value)| (offset, value.to_owned())).collect()
}

#[test]
fn acks_wait_for_the_follower_and_consumers_read_from_it() {
    let pair = Pair::new(1, "1");
    pair.tell_both(FIRST);
    for (offset, value) in (0..).zip(["a", "b", "c"]) {
        let produced = pair.produce(1, value, -1);
        assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, Offset(offset)));
        assert!(pair.ends(2).2 > offset, "acked before the follower had it");
    }
    pair.wait_for(2, (0, 3, 3));
    assert_eq!(pair.values(2, 1), owned(&[(1, "b"), (2, "c")]));
    assert_eq!(pair.values(1, 0), owned(&[(0, "a"), (1, "b"), (2, "c")]));
    // Whoever needs the leader is told where it is.
    let hint = Some(CurrentLeader { leader_id: BrokerId(1), leader_epoch: LeaderEpoch(0) });
    let refused = pair.produce(2, "d", 1);
    assert_eq!((refused.error, refused.current_leader), (ErrorCode::NotLeaderOrFollower, hint));
    let refused = pair.run(2, |shards| async move { read(&shards, 0, true).await });
    assert_eq!((refused.error, refused.current_leader), (ErrorCode::NotLeaderOrFollower, hint));
    assert_eq!(pair.produce(1, "d", 1).base_offset, Offset(3), "acks=1 waits for nobody");
    pair.wait_for(2, (0, 4, 4));
}

#[test]
fn a_follower_that_is_gone_holds_acks_up_until_it_leaves_the_isr_and_catches_up_later() {
    let pair = Pair::new(2, "2");
    pair.tell_both(FIRST);
    assert_eq!(pair.produce(1, "a", -1).error, ErrorCode::None);
    pair.partition();
    assert_eq!(pair.produce(1, "b", -1).error, ErrorCode::RequestTimedOut);
    assert_eq!(pair.ends(1), (0, 1, 2), "b is not safe");
    // The controller takes the follower out of the ISR, which is too small then.
    pair.tell(1, State { version: 1, isr: &[1], ..FIRST });
    let refused = pair.produce(1, "c", -1);
    assert_eq!((refused.error, refused.base_offset), (ErrorCode::NotEnoughReplicas, Offset(-1)));
    assert_eq!(pair.produce(1, "c", 1).base_offset, Offset(2));
    assert_eq!(pair.ends(1), (0, 1, 3), "a smaller ISR makes nothing safe");
    pair.heal();
    let caught_up = pair.world.run_until(Duration::from_secs(30), || pair.ends(2).2 == 3);
    assert!(caught_up, "{:?}", pair.ends(2));
    pair.tell_both(State { version: 2, ..FIRST });
    pair.wait_for(1, (0, 3, 3));
    pair.wait_for(2, (0, 3, 3));
    assert_eq!(pair.produce(1, "d", -1).base_offset, Offset(3));
}

#[test]
fn a_follower_that_was_away_for_too_long_begins_where_its_leader_begins() {
    let pair = Pair::new(4, "1");
    pair.partition();
    pair.tell_both(State { isr: &[1], ..FIRST });
    for value in ["a", "b", "c", "d"] {
        assert_eq!(pair.produce(1, value, -1).error, ErrorCode::None);
    }
    let deleted = pair.run(1, |shards| async move { shards.delete_records(vec![(PARTITION, Offset(3))]).await });
    assert_eq!(deleted[0].error, ErrorCode::None);
    pair.heal();
    pair.wait_for(2, (3, 4, 4));
    assert_eq!(pair.values(2, 3), owned(&[(3, "d")]));
    // What goes later goes here, too.
    assert_eq!(pair.produce(1, "e", -1).base_offset, Offset(4));
    pair.run(1, |shards| async move { shards.delete_records(vec![(PARTITION, Offset(4))]).await });
    pair.wait_for(2, (4, 5, 5));
}

#[test]
fn damaged_records_are_not_taken() {
    let pair = Pair::new(6, "1");
    pair.script.damaged.set(3);
    pair.tell_both(FIRST);
    assert_eq!(pair.produce(1, "a", 1).error, ErrorCode::None);
    pair.wait_for(2, (0, 1, 1));
    assert_eq!((pair.script.damaged.get(), pair.values(2, 0)), (0, owned(&[(0, "a")])));
    // Each time there was a pause.
    let asked = pair.script.asked.borrow();
    let pauses = asked.windows(2).filter(|pair| pair[1].0.since(pair[0].0) >= Duration::from_millis(99)).count();
    assert!((3..6).contains(&pauses), "{pauses} pauses of replica.fetch.backoff.ms");
}

#[test]
fn as_much_is_fetched_in_one_go_as_the_settings_say() {
    let settings = [
        ("replica.fetch.max.bytes", "5000"),
        ("replica.fetch.min.bytes", "3"),
        ("replica.fetch.response.max.bytes", "70000"),
        ("replica.fetch.wait.max.ms", "400"),
    ];
    let pair = Pair::with(8, "1", &settings);
    pair.tell_both(FIRST);
    pair.world.run_for(Duration::from_secs(2));
    let asked = pair.script.asked.borrow();
    let (_, request) = asked.last().expect("it fetches");
    assert_eq!((request.min_bytes, request.max_bytes, request.max_wait_ms), (3, 70_000, 400));
    assert_eq!(request.topics[0].partitions[0].partition_max_bytes, 5_000);
    assert_eq!((request.replica_state.replica_id, request.replica_state.replica_epoch), (2, 72));
}

#[test]
fn replicas_are_as_patient_as_the_settings_say() {
    // An answer may take as long as the shorter of these.
    for answer in ["replica.socket.timeout.ms", "request.timeout.ms"] {
        let settings = [(answer, "3000"), ("replica.fetch.backoff.ms", "200"), ("replica.lag.time.max.ms", "8000")];
        let pair = Pair::with(9, "1", &settings);
        pair.script.is_silent.set(true);
        pair.tell_both(FIRST);
        let partition = pair.shards(1).core().partition(PARTITION).unwrap();
        let now_ms = pair.world.now().0 / 1_000_000;
        let look_ms = partition.state().replica.next_tick_ms().expect("it looks at its ISR") - now_ms;
        assert!((3_900..=4_000).contains(&look_ms), "every half of replica.lag.time.max.ms, not in {look_ms}");
        pair.world.run_for(Duration::from_secs(10));
        let asked = pair.script.asked.borrow();
        assert!(asked.len() >= 3, "{} questions", asked.len());
        for pair in asked.windows(2) {
            let between = pair[1].0.since(pair[0].0);
            assert!(between >= Duration::from_millis(3_198) && between < Duration::from_millis(3_300), "{between:?}");
        }
    }
}

#[test]
fn consumers_are_sent_to_the_replica_in_their_rack_if_the_settings_say_so() {
    let aware = ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector");
    for (settings, is_aware) in [(&[aware][..], true), (&[], false)] {
        let pair = Pair::with(11, "1", settings);
        pair.tell_both(FIRST);
        assert_eq!(pair.shards(1).is_rack_aware(), is_aware);
        assert_eq!(pair.produce(1, "a", -1).error, ErrorCode::None);
        let sent_to = |broker, rack: &'static str| {
            pair.run(broker, move |shards| async move {
                let mut read = crate::shard::tests::read(TOPIC, &[(0, 0)], 1 << 20);
                read.leader_only = false;
                read.near = Some(crate::shard::Near { rack: rack.into(), listener: "PLAINTEXT".into() });
                let result = shards.fetch(read).await.remove(0);
                (result.error, result.preferred_read_replica.map(|broker| broker.0), result.bytes > 0)
            })
        };
        let none = ErrorCode::None;
        assert_eq!(sent_to(1, "rack 1"), (none, None, true), "the leader is there");
        assert_eq!(sent_to(1, "rack 2"), (none, Some(2), false));
        assert_eq!(sent_to(1, "rack 3"), (none, None, true), "nobody is there");
        pair.wait_for(2, (0, 1, 1));
        assert_eq!(sent_to(2, "rack 2"), (none, None, true), "it is there");
    }
}

#[test]
fn a_replica_that_moves_away_is_deleted_and_what_waits_for_it_looks_elsewhere() {
    let pair = Pair::new(7, "1");
    pair.tell_both(FIRST);
    assert_eq!(pair.produce(1, "a", -1).error, ErrorCode::None);
    let (image, _) = pair.image(SECOND);
    let mut image = (*image).clone();
    let change = crate::protocol::generated::PartitionChangeRecord {
        topic_id: TOPIC,
        partition_id: 0,
        replicas: Some(vec![2]),
        ..Default::default()
    };
    let mut delta = MetadataDelta::default();
    image.apply(&change.into(), &mut delta).unwrap();
    let (image, delta) = (Arc::new(image), Arc::new(delta));
    pair.run(1, |shards| async move {
        shards.core().publish(image, delta).await;
        assert!(shards.core().partition(PARTITION).is_none());
        let refused = read(&shards, 0, true).await;
        assert_eq!(refused.error, ErrorCode::NotLeaderOrFollower);
        assert_eq!(refused.current_leader.map(|leader| leader.leader_id), Some(BrokerId(2)), "from the metadata");
    });
}

#[test]
fn replicas_that_are_held_back_copy_as_slowly_as_the_settings_say() {
    /// Milliseconds that broker 2, out of the ISR or in it, takes to copy 20 records of 1,000 bytes.
    fn copy(settings: &[(&str, &str)], configs: &[(bool, &'static str, &'static str)], isr: &[i32]) -> u64 {
        let settings: Vec<_> = settings.iter().copied().chain([("replica.fetch.max.bytes", "1000")]).collect();
        let pair = Pair::with(30, "1", &settings);
        *pair.configs.borrow_mut() = configs.to_vec();
        pair.partition();
        pair.tell(1, State { isr, ..FIRST });
        pair.run(1, |shards| async move {
            for _ in 0..20 {
                assert_eq!(produce(&shards, 0, &"x".repeat(1_000), 1).await.error, ErrorCode::None);
            }
        });
        pair.heal();
        let begun = pair.world.now();
        pair.tell(2, State { isr, ..FIRST });
        assert!(pair.world.run_until(Duration::from_secs(120), || pair.ends(2).2 == 20), "{:?}", pair.ends(2));
        pair.world.now().since(begun).as_millis() as u64
    }
    let windows = [("replication.quota.window.num", "3"), ("replication.quota.window.size.seconds", "1")];
    let (leader, follower) = ("leader.replication.throttled", "follower.replication.throttled");
    for side in [leader, follower] {
        let [rate, replicas]: [&'static str; 2] = match side == leader {
            true => ["leader.replication.throttled.rate", "leader.replication.throttled.replicas"],
            false => ["follower.replication.throttled.rate", "follower.replication.throttled.replicas"],
        };
        let broker = if side == leader { "0:1" } else { "0:2" };
        let (rate, all, other) = ((false, rate, "2000"), (true, replicas, "*"), (true, replicas, "0:3"));
        let named = (true, replicas, broker);
        for configs in [[rate, all], [rate, named]] {
            let ms = copy(&windows, &configs, &[1]);
            assert!((5_000..20_000).contains(&ms), "{side}: 20,000 bytes at 2,000 a second take {ms} ms");
        }
        assert!(copy(&windows, &[rate, other], &[1]) < 2_000, "{side}: another replica is held back");
        assert!(copy(&windows, &[rate, all], &[1, 2]) < 2_000, "{side}: a replica in sync does not wait");
        assert!(copy(&windows, &[all], &[1]) < 2_000, "{side}: without a rate");
    }
    // Over more windows more may come at once.
    let wide = [("replication.quota.window.num", "11"), ("replication.quota.window.size.seconds", "10")];
    let throttled = [(false, "leader.replication.throttled.rate", "2000"), (true, "leader.replication.throttled.replicas", "*")];
    assert!(copy(&wide, &throttled, &[1]) < 2_000);
}
