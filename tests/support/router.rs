//! A client of a cluster, for what foreign clients hide: it asks the brokers in turn who leads a partition, goes there, and believes
//! no answer that is older than what it knows, as Kafka's clients do (KIP-320). It makes one attempt; the caller decides when to try again.

use super::client::{CREATE_TOPICS_VERSION, Client, FETCH_VERSION, Fetched, METADATA_VERSION, fetched};
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::generated::UnregisterBrokerRequest;
use flumen::protocol::generated::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen::protocol::generated::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use flumen::protocol::generated::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use flumen::protocol::generated::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::protocol::generated::fetch_response::FetchResponse;
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::generated::metadata_response::MetadataResponse;
use flumen::protocol::{Records, StrBytes};
use flumen::record::{BatchHeader, Batches};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const DESCRIBE_QUORUM_VERSION: i16 = 2;
const DESCRIBE_CONFIGS_VERSION: i16 = 4;
const ALTER_PARTITION_REASSIGNMENTS_VERSION: i16 = 0;
const UNREGISTER_BROKER_VERSION: i16 = 0;
const TOPIC_RESOURCE: i8 = 2;
const NO_EPOCH: i32 = -1;
/// For a handshake, and for who leads: any broker answers that from memory. One that does not is passed over.
const ASK_LIMIT: Duration = Duration::from_millis(1500);

/// Who leads a partition, and since which election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub broker: i32,
    pub epoch: i32,
}

/// Where a fetch reads. With a leader epoch the broker refuses when it does not lead in just that epoch; -1 asks for no such check.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl Place {
    /// A fetch that a follower answers too.
    pub fn anywhere(partition: i32, offset: i64) -> Place {
        Place { partition, offset, leader_epoch: NO_EPOCH }
    }
}

pub struct Router {
    bootstrap: Vec<SocketAddr>,
    /// Whose turn it is to be asked.
    turn: usize,
    /// Longest wait for an answer.
    limit: Duration,
    brokers: BTreeMap<i32, SocketAddr>,
    leaders: BTreeMap<(String, i32), Leader>,
}

impl Router {
    /// `turn`: which of the brokers is asked first, so that several clients do not all ask the same one.
    pub fn new(bootstrap: Vec<SocketAddr>, turn: usize, limit: Duration) -> Router {
        assert!(!bootstrap.is_empty(), "a cluster has brokers");
        Router { bootstrap, turn, limit, brokers: BTreeMap::new(), leaders: BTreeMap::new() }
    }

    /// A connection to whoever's turn it is; the next call goes to another broker.
    pub fn connect_to_any(&mut self) -> io::Result<Client> {
        let address = self.bootstrap[self.turn % self.bootstrap.len()];
        self.turn += 1;
        self.connect(address)
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Client> {
        let mut client = Client::connect_within(address, ASK_LIMIT)?;
        client.limit(self.limit);
        Ok(client)
    }

    /// Asks one broker for the leaders of a topic and takes over what is not older than what it knew.
    ///
    /// # Errors
    /// The broker cannot be reached, does not answer in time or does not know the topic.
    pub fn look(&mut self, topic: &str) -> io::Result<()> {
        let mut client = self.connect_to_any()?;
        client.limit(ASK_LIMIT);
        let answer = client.metadata(Some(&[topic]))?;
        for broker in &answer.brokers {
            let address: IpAddr = broker.host.parse().map_err(|_| io::Error::other(format!("{} is no address", broker.host)))?;
            let port = u16::try_from(broker.port).map_err(io::Error::other)?;
            self.brokers.insert(broker.node_id, (address, port).into());
        }
        let found = answer.topics.first().filter(|found| found.error_code == 0);
        let found = found.ok_or_else(|| io::Error::other(format!("{topic} is not known")))?;
        for partition in found.partitions.iter().filter(|partition| partition.leader_id >= 0) {
            let new = Leader { broker: partition.leader_id, epoch: partition.leader_epoch };
            let known = self.leaders.entry((topic.to_owned(), partition.partition_index)).or_insert(new);
            if new.epoch >= known.epoch {
                *known = new;
            }
        }
        Ok(())
    }

    /// A connection to the leader of a partition, after asking who it is.
    ///
    /// # Errors
    /// Nobody could be asked, there is no leader, or it cannot be reached.
    pub fn connect_to_leader(&mut self, topic: &str, partition: i32) -> io::Result<(Leader, Client)> {
        self.look(topic)?;
        let leader = self.leaders.get(&(topic.to_owned(), partition)).copied();
        let leader = leader.ok_or_else(|| io::Error::other(format!("{topic}-{partition} has no leader")))?;
        let address = self.brokers.get(&leader.broker).copied();
        let address = address.ok_or_else(|| io::Error::other(format!("broker {} has no address", leader.broker)))?;
        Ok((leader, self.connect(address)?))
    }
}

/// What clients ask of a cluster.
impl Client {
    /// All brokers that are there, and the topics asked for (`None`: all).
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> io::Result<MetadataResponse> {
        let named = |name: &&str| {
            let mut topic = MetadataRequestTopic::default();
            topic.name = Some(StrBytes::from(*name));
            topic
        };
        let topics = topics.map(|topics| topics.iter().map(named).collect());
        let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        self.call(&request, METADATA_VERSION, true)
    }

    /// The node that leads the controller quorum, if the one that was asked knows.
    pub fn active_controller(&mut self) -> io::Result<Option<i32>> {
        let partitions = vec![PartitionData { partition_index: 0 }];
        let topics = vec![TopicData { topic_name: "__cluster_metadata".into(), partitions }];
        let answer = self.call(&DescribeQuorumRequest { topics }, DESCRIBE_QUORUM_VERSION, true)?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        let good = partition.filter(|found| answer.error_code == 0 && found.error_code == 0 && found.leader_id >= 0);
        Ok(good.map(|found| found.leader_id))
    }

    /// Creates a topic whose partition `n` has the replicas `places[n]`, the preferred leader first.
    pub fn create_placed_topic(&mut self, name: &str, places: &[&[i32]], configs: &[(&str, &str)]) -> io::Result<i16> {
        let config = |(key, value): &(&str, &str)| {
            let mut config = CreatableTopicConfig::default();
            (config.name, config.value) = (StrBytes::from(*key), Some(StrBytes::from(*value)));
            config
        };
        let assignment = |(index, brokers): (usize, &&[i32])| {
            let mut assignment = CreatableReplicaAssignment::default();
            (assignment.partition_index, assignment.broker_ids) = (i32::try_from(index).unwrap(), brokers.to_vec());
            assignment
        };
        let mut topic = CreatableTopic::default();
        topic.name = StrBytes::from(name);
        (topic.num_partitions, topic.replication_factor) = (-1, -1);
        topic.assignments = places.iter().enumerate().map(assignment).collect();
        topic.configs = configs.iter().map(config).collect();
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        Ok(self.call(&request, CREATE_TOPICS_VERSION, true)?.topics[0].error_code)
    }

    /// Asks for other replicas of partitions, the preferred leader first. The first error, 0 when the moves have begun.
    pub fn reassign(&mut self, topic: &str, targets: &[(i32, Vec<i32>)]) -> io::Result<i16> {
        let partition = |(index, replicas): &(i32, Vec<i32>)| ReassignablePartition {
            partition_index: *index,
            replicas: Some(replicas.clone()),
        };
        let topics = vec![ReassignableTopic { name: topic.into(), partitions: targets.iter().map(partition).collect() }];
        let request = AlterPartitionReassignmentsRequest { timeout_ms: 30_000, topics, ..Default::default() };
        let answer = self.call(&request, ALTER_PARTITION_REASSIGNMENTS_VERSION, true)?;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
        Ok(std::iter::once(answer.error_code).chain(partitions).find(|error| *error != 0).unwrap_or(0))
    }

    /// The cluster forgets a broker that is down.
    pub fn unregister(&mut self, broker: i32) -> io::Result<i16> {
        let request = UnregisterBrokerRequest { broker_id: broker };
        Ok(self.call(&request, UNREGISTER_BROKER_VERSION, true)?.error_code)
    }

    /// The configs of a topic that are in force, defaults included.
    pub fn topic_configs(&mut self, topic: &str) -> io::Result<BTreeMap<String, String>> {
        let resource =
            DescribeConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: topic.into(), configuration_keys: None };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let mut answer = self.call(&request, DESCRIBE_CONFIGS_VERSION, true)?;
        let result = answer.results.pop().filter(|result| result.error_code == 0);
        let result = result.ok_or_else(|| io::Error::other(format!("the configs of {topic} are not to be had")))?;
        let text = |value: Option<StrBytes>| value.map(|value| value.to_string()).unwrap_or_default();
        Ok(result.configs.into_iter().map(|config| (config.name.to_string(), text(config.value))).collect())
    }

    /// Fetches places of one topic: the error of the fetch as a whole, and what came. A follower answers too where no epoch is asked for.
    pub fn fetch_at(
        &mut self,
        topic: TopicId,
        places: &[Place],
        max_bytes: i32,
        max_wait_ms: i32,
    ) -> io::Result<(i16, Vec<Fetched>)> {
        let answer = self.fetch_answer(topic, places, max_bytes, max_wait_ms)?;
        let from =
            |index: i32| places.iter().find(|place| place.partition == index).expect("a partition that was asked for").offset;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let came = partitions.map(|found| fetched(found.partition_index, from(found.partition_index), found)).collect();
        Ok((answer.error_code, came))
    }

    /// The headers of the batches that one place has, whose checksums have been computed anew. `None`: the broker cannot say now.
    pub fn fetch_headers(
        &mut self,
        topic: TopicId,
        place: Place,
        max_bytes: i32,
        max_wait_ms: i32,
    ) -> io::Result<Option<Vec<BatchHeader>>> {
        let answer = self.fetch_answer(topic, &[place], max_bytes, max_wait_ms)?;
        let partition = answer.responses.iter().flat_map(|topic| &topic.partitions).next();
        let Some(partition) = partition.filter(|partition| answer.error_code == 0 && partition.error_code == 0) else {
            return Ok(None);
        };
        let bytes = match &partition.records {
            Records::Bytes(bytes) => bytes.clone(),
            _ => Bytes::new(),
        };
        let mut headers = Vec::new();
        // The last batch may be cut.
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            assert!(batch.crc_is_valid(), "{place:?}: a batch at offset {:?} with a bad CRC", batch.header.base_offset);
            headers.push(batch.header);
        }
        Ok(Some(headers))
    }

    fn fetch_answer(&mut self, topic: TopicId, places: &[Place], max_bytes: i32, max_wait_ms: i32) -> io::Result<FetchResponse> {
        let partition = |place: &Place| {
            let mut partition = FetchPartition::default();
            (partition.partition, partition.fetch_offset) = (place.partition, place.offset);
            (partition.current_leader_epoch, partition.partition_max_bytes) = (place.leader_epoch, max_bytes);
            partition
        };
        let mut asked = FetchTopic::default();
        (asked.topic_id, asked.partitions) = (topic, places.iter().map(partition).collect());
        let request = FetchRequest { max_wait_ms, min_bytes: 1, max_bytes, topics: vec![asked], ..FetchRequest::default() };
        self.call(&request, FETCH_VERSION, true)
    }
}
