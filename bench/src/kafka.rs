//! Everything asked of a broker before the load begins, over blocking connections: versions, topics, leaders, producer ids, offsets.

use crate::worker::Failure;
use bytes::Bytes;
use flumen::model::{ErrorCode, TopicId};
use flumen::protocol::frame::{decode_response, encode_request};
use flumen::protocol::generated::api_versions_request::ApiVersionsRequest;
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use flumen::protocol::generated::init_producer_id_request::InitProducerIdRequest;
use flumen::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::{ApiKey, Request, StrBytes};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The name that the broker logs for our connections.
pub const CLIENT_ID: StrBytes = StrBytes::from_static("flumen-bench");
/// Longest wait for an answer here, and for a topic to have its leaders.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for the first answer of a broker that others can stand in for.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);
/// ListOffsets: the offset after the last record that can be read.
pub const LATEST: i64 = -1;
/// ListOffsets: the first offset that the log has.
pub const EARLIEST: i64 = -2;

/// The first error of Kafka's in words.
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("ERROR_{code}"), |error| error.name().to_owned())
}

/// Whether a client would send the same again.
pub fn is_retriable(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable)
}

/// A failure of that kind.
pub fn fail<T>(what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(what.into()))
}

/// One partition of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    /// Its leader's `node.id`, and since which epoch.
    pub leader: i32,
    pub epoch: i32,
}

/// The topic and who leads it.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    /// Ascending by index, without gaps.
    pub partitions: Vec<Partition>,
    /// Addresses of the brokers, by `node.id`.
    pub brokers: BTreeMap<i32, String>,
}

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Vec<(String, String)>,
}

/// A request as a whole frame.
pub fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Result<Bytes, Failure> {
    encode_request(version, correlation, Some(CLIENT_ID), request).map_err(|error| Failure(format!("{}: {error}", R::NAME)))
}

/// The answer to a request of that kind and number; `frame` is without its size prefix.
pub fn answer<R: Request>(frame: Bytes, version: i16, correlation: i32) -> Result<R::Response, Failure> {
    match decode_response::<R>(frame, version) {
        Ok((found, answer)) if found == correlation => Ok(answer),
        Ok((found, _)) => fail(format!("{}: answer {found} is not the one that comes next", R::NAME)),
        Err(error) => fail(format!("{}: {error}", R::NAME)),
    }
}

/// What is tried of several addresses, separated by commas, one after the other: the first that succeeds, or else the last failure.
fn first<T>(addresses: &str, mut attempt: impl FnMut(&str) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut failure = Failure("there is no address".to_owned());
    for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        match attempt(address) {
            Ok(found) => return Ok(found),
            Err(why) => failure = why,
        }
    }
    Err(failure)
}

/// Opens a connection to the first of these addresses that takes one; each is `host:port`.
pub fn connect(addresses: &str) -> Result<TcpStream, Failure> {
    first(addresses, connect_to)
}

fn connect_to(address: &str) -> Result<TcpStream, Failure> {
    let told = |error: std::io::Error| Failure(format!("{address}: {error}"));
    let addresses: Vec<_> = address.to_socket_addrs().map_err(told)?.collect();
    let Some(first) = addresses.first() else { return fail(format!("{address} has no address")) };
    let socket = TcpStream::connect_timeout(first, PATIENCE).map_err(told)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A connection that asks one thing at a time.
pub struct Client {
    socket: TcpStream,
    address: String,
    versions: BTreeMap<i16, (i16, i16)>,
    correlation: i32,
}

impl Client {
    /// Connects to the first of these addresses whose broker tells its versions.
    pub fn connect(addresses: &str) -> Result<Self, Failure> {
        let patience = if addresses.contains(',') { SHORT_PATIENCE } else { PATIENCE };
        first(addresses, |address| Self::connect_to(address, patience))
    }

    fn connect_to(address: &str, patience: Duration) -> Result<Self, Failure> {
        let socket = connect_to(address)?;
        socket.set_read_timeout(Some(patience))?;
        let mut client = Self { socket, address: address.to_owned(), versions: BTreeMap::new(), correlation: 0 };
        // Version 0 is the one that every broker answers.
        let answer = client.exchange(&ApiVersionsRequest::default(), 0)?;
        if answer.error_code != 0 {
            return fail(format!("{address}: ApiVersions: {}", error_name(answer.error_code)));
        }
        client.versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        client.socket.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    /// The highest version up to `most` that the broker has too.
    pub fn version(&self, api: ApiKey, most: i16) -> Result<i16, Failure> {
        match self.versions.get(&(api as i16)) {
            Some((min, max)) if *min <= most => Ok(most.min(*max)),
            _ => fail(format!("{} has no {} of version {most} or lower", self.address, api.name())),
        }
    }

    fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Failure> {
        self.correlation += 1;
        let told = |what: String| Failure(format!("{}: {}: {what}", self.address, R::NAME));
        let frame =
            encode_request(version, self.correlation, Some(CLIENT_ID), request).map_err(|error| told(error.to_string()))?;
        self.socket.write_all(&frame).map_err(|error| told(error.to_string()))?;
        let mut size = [0; 4];
        self.socket.read_exact(&mut size).map_err(|error| told(error.to_string()))?;
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| told("an answer of negative size".to_owned()))?;
        let mut answer = Vec::new();
        Read::by_ref(&mut self.socket).take(size as u64).read_to_end(&mut answer).map_err(|error| told(error.to_string()))?;
        let (correlation, answer) =
            decode_response::<R>(Bytes::from(answer), version).map_err(|error| told(error.to_string()))?;
        if correlation != self.correlation { Err(told("an answer to another request".to_owned())) } else { Ok(answer) }
    }

    /// Asks in the highest version up to `most` that the broker has too.
    pub fn call<R: Request>(&mut self, request: &R, most: i16) -> Result<R::Response, Failure> {
        let version = self.version(R::API_KEY, most)?;
        self.exchange(request, version)
    }

    /// Creates the topic; one that is there already, with any configuration, is an error.
    pub fn create_topic(&mut self, name: &str, new: &NewTopic) -> Result<(), Failure> {
        let config = |(key, value): &(String, String)| CreatableTopicConfig {
            name: StrBytes::from(key),
            value: Some(StrBytes::from(value)),
        };
        let topic = CreatableTopic {
            name: StrBytes::from(name),
            num_partitions: new.partitions,
            replication_factor: new.replication_factor,
            configs: new.configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer = self.call(&request, 7)?;
        match answer.topics.first() {
            Some(topic) if topic.error_code == 0 => Ok(()),
            Some(topic) => {
                let said = topic.error_message.as_ref().map_or("", |message| message.as_str());
                fail(format!("creating {name}: {} {said}", error_name(topic.error_code)))
            }
            None => fail(format!("creating {name}: an empty answer")),
        }
    }

    /// The topic, once all its partitions have a leader.
    pub fn topic(&mut self, name: &str) -> Result<Topic, Failure> {
        let asked = MetadataRequestTopic { name: Some(StrBytes::from(name)), ..MetadataRequestTopic::default() };
        let request =
            MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let deadline = crate::clock::now() + PATIENCE.as_nanos() as u64;
        loop {
            let answer = self.call(&request, 12)?;
            let Some(found) = answer.topics.first() else { return fail(format!("{name}: an empty answer")) };
            let led = found.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id >= 0);
            if found.error_code == 0 && !found.partitions.is_empty() && led {
                let mut partitions: Vec<_> = (found.partitions.iter())
                    .map(|partition| Partition {
                        index: partition.partition_index,
                        leader: partition.leader_id,
                        epoch: partition.leader_epoch,
                    })
                    .collect();
                partitions.sort_by_key(|partition| partition.index);
                let brokers = answer.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect();
                return Ok(Topic { name: name.to_owned(), id: found.topic_id, partitions, brokers });
            }
            if found.error_code != 0 && !is_retriable(found.error_code) || crate::clock::now() > deadline {
                return fail(format!("{name}: {} (--create makes the topic)", error_name(found.error_code)));
            }
            if found.error_code == ErrorCode::UnknownTopicOrPartition.code() && self.correlation > 20 {
                return fail(format!("the topic {name} is not there (--create makes it)"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A fresh id for an idempotent producer, with its epoch.
    pub fn init_producer_id(&mut self) -> Result<(i64, i16), Failure> {
        let request = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
        let deadline = crate::clock::now() + PATIENCE.as_nanos() as u64;
        loop {
            let answer = self.call(&request, 4)?;
            match answer.error_code {
                0 => return Ok((answer.producer_id, answer.producer_epoch)),
                code if is_retriable(code) && crate::clock::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                code => return fail(format!("InitProducerId: {}", error_name(code))),
            }
        }
    }

    /// Offsets of partitions that this broker leads, at [`EARLIEST`] or [`LATEST`], by partition.
    ///
    /// A leader that does not know yet that it is one is asked again: in a new topic Kafka's metadata are ahead of its partitions.
    pub fn offsets(&mut self, topic: &str, partitions: &[i32], at: i64) -> Result<BTreeMap<i32, i64>, Failure> {
        let asked = |index: &i32| ListOffsetsPartition { partition_index: *index, timestamp: at, ..Default::default() };
        let asked = ListOffsetsTopic { name: StrBytes::from(topic), partitions: partitions.iter().map(asked).collect() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked], timeout_ms: 30_000, ..Default::default() };
        let deadline = crate::clock::now() + PATIENCE.as_nanos() as u64;
        loop {
            let answer = self.call(&request, 9)?;
            let answers = || answer.topics.iter().flat_map(|topic| &topic.partitions);
            match answers().find(|partition| partition.error_code != 0) {
                None => return Ok(answers().map(|partition| (partition.partition_index, partition.offset)).collect()),
                Some(wrong) if is_retriable(wrong.error_code) && crate::clock::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some(wrong) => {
                    return fail(format!("offsets of {topic}-{}: {}", wrong.partition_index, error_name(wrong.error_code)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::protocol::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};
    use flumen::protocol::generated::list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
    };
    use flumen::protocol::{Chunk, RequestFrame};
    use std::net::TcpListener;

    /// A broker that answers ApiVersions, and then one ListOffsets for each of the errors.
    fn broker(errors: Vec<i16>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut sender = socket.try_clone().unwrap();
            let mut request = || {
                let mut size = [0; 4];
                socket.read_exact(&mut size).ok()?;
                let mut frame = vec![0; u32::from_be_bytes(size) as usize];
                socket.read_exact(&mut frame).unwrap();
                Some(RequestFrame::parse(Bytes::from(frame)).unwrap())
            };
            let versions = request().unwrap();
            let api = ApiVersion { api_key: ApiKey::ListOffsets as i16, min_version: 1, max_version: 11 };
            let mut answers =
                vec![versions.answers().encode(&ApiVersionsResponse { api_keys: vec![api], ..Default::default() }).unwrap()];
            let mut errors = errors.into_iter();
            loop {
                for chunk in answers.drain(..).flatten() {
                    let Chunk::Bytes(bytes) = chunk else { unreachable!("no records in these answers") };
                    sender.write_all(&bytes).unwrap();
                }
                let (Some(asked), Some(error_code)) = (request(), errors.next()) else { return };
                let partition = ListOffsetsPartitionResponse { partition_index: 3, error_code, offset: 42, ..Default::default() };
                let topic = ListOffsetsTopicResponse { partitions: vec![partition], ..Default::default() };
                answers.push(asked.answers().encode(&ListOffsetsResponse { topics: vec![topic], ..Default::default() }).unwrap());
            }
        });
        address
    }

    #[test]
    fn a_leader_that_does_not_know_yet_is_asked_again() {
        let not_leader = ErrorCode::NotLeaderOrFollower.code();
        let mut client = Client::connect(&broker(vec![not_leader, not_leader, 0])).unwrap();
        assert_eq!(client.offsets("t", &[3], LATEST).unwrap(), BTreeMap::from([(3, 42)]));
    }

    #[test]
    fn of_several_brokers_the_first_that_answers_is_asked() {
        // One that refuses, and one that takes the connection and closes it.
        let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let closes = TcpListener::bind("127.0.0.1:0").unwrap();
        let closing = closes.local_addr().unwrap().to_string();
        std::thread::spawn(move || closes.incoming().for_each(drop));
        let mut client = Client::connect(&format!("{refuses},{closing}, {}", broker(vec![0]))).unwrap();
        assert_eq!(client.offsets("t", &[3], LATEST).unwrap(), BTreeMap::from([(3, 42)]));
        let Err(failure) = Client::connect(&format!("{closing},{refuses}")) else { panic!("nobody answers") };
        assert!(failure.0.contains(&refuses), "{failure:?}");
        assert!(Client::connect(",").is_err());
    }

    #[test]
    fn other_errors_are_told() {
        let mut client = Client::connect(&broker(vec![ErrorCode::TopicAuthorizationFailed.code()])).unwrap();
        assert!(client.offsets("t", &[3], LATEST).unwrap_err().0.contains("t-3: TOPIC_AUTHORIZATION_FAILED"));
        assert!(client.version(ApiKey::Fetch, 17).unwrap_err().0.contains("Fetch"));
        assert_eq!(client.version(ApiKey::ListOffsets, 9).unwrap(), 9);
    }
}
