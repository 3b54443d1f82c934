//! A small Kafka client of our own, for what foreign clients hide: which answer came to which request, and a connection that ends
//! in the middle. Blocking, one connection, no retries: the test decides what an error means.

use super::members::wait_until;
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::generated::api_versions_request::ApiVersionsRequest;
use flumen::protocol::generated::api_versions_response::ApiVersionsResponse;
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::protocol::generated::fetch_response::PartitionData;
use flumen::protocol::generated::init_producer_id_request::InitProducerIdRequest;
use flumen::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen::protocol::generated::produce_response::ProduceResponse;
use flumen::protocol::{Message, Records, Request, StrBytes, Writer};
use flumen::record::{BatchBuilder, Batches, Compression};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any pause of a healthy broker on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Topic ids instead of names in Fetch from this version on.
pub(super) const FETCH_VERSION: i16 = 13;
/// The last one that names topics.
const PRODUCE_VERSION: i16 = 12;
const API_VERSIONS_VERSION: i16 = 4;
pub(super) const METADATA_VERSION: i16 = 12;
const INIT_PRODUCER_ID_VERSION: i16 = 5;
const LIST_OFFSETS_VERSION: i16 = 9;
pub(super) const CREATE_TOPICS_VERSION: i16 = 7;

pub struct Client {
    socket: TcpStream,
    correlation: i32,
    client_id: String,
}

/// A partition's answer to a fetch.
#[derive(Debug)]
pub struct Fetched {
    pub partition: i32,
    pub error: i16,
    pub high_watermark: i64,
    pub log_start: i64,
    pub records: Vec<FetchedRecord>,
    /// Bytes of record batches that came, whole ones and a cut one at the end.
    pub bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedRecord {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Client::connect_within(address, Duration::from_secs(2))
    }

    /// As [`Client::connect`], for a host that may not be there.
    pub fn connect_within(address: SocketAddr, limit: Duration) -> io::Result<Client> {
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Client { socket, correlation: 0, client_id: "tests".to_owned() })
    }

    /// Calls itself otherwise from now on (`client.id`).
    pub fn named(mut self, client_id: &str) -> Client {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// How long an answer may take from now on.
    pub fn limit(&mut self, time: Duration) {
        self.socket.set_read_timeout(Some(time)).unwrap();
    }

    /// The port that the broker knows this connection by.
    pub fn local_port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Sends a request; its correlation id. `flexible`: whether this version has the headers with tagged fields.
    pub fn send<R: Request>(&mut self, request: &R, version: i16, flexible: bool) -> io::Result<i32> {
        self.correlation += 1;
        let mut writer = Writer::contiguous();
        writer.i32(0);
        writer.i16(R::API_KEY as i16);
        writer.i16(version);
        writer.i32(self.correlation);
        writer.i16(self.client_id.len() as i16);
        writer.raw(self.client_id.as_bytes());
        if flexible {
            writer.uvarint(0);
        }
        request.encode(&mut writer, version).expect("a request that the version can carry");
        let mut frame = writer.into_bytes().to_vec();
        let length = i32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.socket.write_all(&frame)?;
        Ok(self.correlation)
    }

    /// The next answer on the connection: its correlation id and what follows the header.
    pub fn receive(&mut self, flexible: bool) -> io::Result<(i32, Bytes)> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.socket.read_exact(&mut frame)?;
        let correlation = i32::from_be_bytes(frame[..4].try_into().unwrap());
        let header = if flexible { 5 } else { 4 };
        assert!(!flexible || frame[4] == 0, "no tagged fields in the answer's header");
        Ok((correlation, Bytes::from(frame).slice(header..)))
    }

    /// One request and its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16, flexible: bool) -> io::Result<R::Response> {
        let sent = self.send(request, version, flexible)?;
        let (correlation, body) = self.receive(flexible)?;
        assert_eq!(correlation, sent, "answers come in the order of the requests");
        Ok(R::Response::from_bytes(body, version).expect("an answer of its version"))
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> io::Result<i16> {
        let config = |(key, value): &(&str, &str)| {
            let mut config = CreatableTopicConfig::default();
            config.name = StrBytes::from(*key);
            config.value = Some(StrBytes::from(*value));
            config
        };
        let mut topic = CreatableTopic::default();
        topic.name = StrBytes::from(name);
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        topic.configs = configs.iter().map(config).collect();
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        Ok(self.call(&request, CREATE_TOPICS_VERSION, true)?.topics[0].error_code)
    }

    /// What the broker says that it serves. The header of the answer never has tagged fields (KIP-511).
    pub fn api_versions(&mut self) -> io::Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest { client_software_name: "tests".into(), client_software_version: "1".into() };
        self.send(&request, API_VERSIONS_VERSION, true)?;
        let (_, body) = self.receive(false)?;
        Ok(ApiVersionsResponse::from_bytes(body, API_VERSIONS_VERSION).expect("an answer of its version"))
    }

    /// Creates a topic and waits until its partitions are led: Kafka answers before its broker has them.
    pub fn create_and_await(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        assert_eq!(self.create_topic(topic, partitions, configs).unwrap(), 0, "{topic} is created");
        for partition in 0..partitions {
            wait_until(&format!("{topic}-{partition} to be led"), ANSWER_LIMIT, || {
                self.list_offset(topic, partition, -1).unwrap().0 == 0
            });
        }
    }

    /// Appends a batch with acks=all: error and base offset.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> io::Result<(i16, i64)> {
        let request = produce_request(topic, TopicId::ZERO, partition, -1, batch, PRODUCE_VERSION);
        self.send(&request, PRODUCE_VERSION, true)?;
        Ok(produce_answer(self.receive(true)?.1, PRODUCE_VERSION))
    }

    /// Appends records, each a time and a value, as one batch.
    pub fn write(&mut self, topic: &str, partition: i32, records: &[(i64, &str)]) {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for (time, value) in records {
            builder.append(*time, None, Some(value.as_bytes()));
        }
        let (error, _) = self.produce(topic, partition, builder.build()).unwrap();
        assert_eq!(error, 0, "{topic}-{partition} takes records");
    }

    /// The records of a partition, from offset `from` to before `end`.
    pub fn read(&mut self, topic: &str, partition: i32, from: i64, end: i64) -> Vec<FetchedRecord> {
        let id = self.topic_id(topic).unwrap().unwrap_or_else(|| panic!("{topic} has leaders"));
        let mut records: Vec<FetchedRecord> = Vec::new();
        loop {
            let next = records.last().map_or(from, |record| record.offset + 1);
            if next >= end {
                records.retain(|record| record.offset < end);
                return records;
            }
            let fetched = self.fetch(id, &[(partition, next)], 1 << 20, 1000).unwrap().remove(0);
            assert_eq!((fetched.error, fetched.records.is_empty()), (0, false), "{topic}-{partition} at {next} of {end}");
            records.extend(fetched.records);
        }
    }

    /// The topic's id, once all its partitions have a leader.
    pub fn topic_id(&mut self, name: &str) -> io::Result<Option<TopicId>> {
        let mut topic = MetadataRequestTopic::default();
        topic.name = Some(StrBytes::from(name));
        let request =
            MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: true, ..MetadataRequest::default() };
        let answer = self.call(&request, METADATA_VERSION, true)?;
        let topic = answer.topics.first().filter(|topic| topic.error_code == 0 && !topic.partitions.is_empty());
        let led =
            topic.filter(|topic| topic.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id >= 0));
        Ok(led.map(|topic| topic.topic_id))
    }

    pub fn init_producer_id(&mut self) -> io::Result<(i16, i64, i16)> {
        let request = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
        let answer = self.call(&request, INIT_PRODUCER_ID_VERSION, true)?;
        Ok((answer.error_code, answer.producer_id, answer.producer_epoch))
    }

    /// ListOffsets for one partition: error and offset.
    pub fn list_offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> io::Result<(i16, i64)> {
        let mut asked = ListOffsetsPartition::default();
        (asked.partition_index, asked.timestamp) = (partition, timestamp);
        let mut asked_topic = ListOffsetsTopic::default();
        (asked_topic.name, asked_topic.partitions) = (StrBytes::from(topic), vec![asked]);
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked_topic], timeout_ms: 30_000, ..Default::default() };
        let answer = self.call(&request, LIST_OFFSETS_VERSION, true)?;
        let found = &answer.topics[0].partitions[0];
        Ok((found.error_code, found.offset))
    }

    /// Fetches partitions `(index, offset)` of one topic. Records below an asked offset are dropped, as clients do.
    pub fn fetch(&mut self, topic: TopicId, places: &[(i32, i64)], max_bytes: i32, max_wait_ms: i32) -> io::Result<Vec<Fetched>> {
        let partition = |(index, offset): &(i32, i64)| {
            let mut partition = FetchPartition::default();
            (partition.partition, partition.fetch_offset, partition.partition_max_bytes) = (*index, *offset, max_bytes);
            partition
        };
        let mut asked = FetchTopic::default();
        (asked.topic_id, asked.partitions) = (topic, places.iter().map(partition).collect());
        let request = FetchRequest { max_wait_ms, min_bytes: 1, max_bytes, topics: vec![asked], ..FetchRequest::default() };
        let answer = self.call(&request, FETCH_VERSION, true)?;
        assert_eq!(answer.error_code, 0, "the fetch as a whole");
        let partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
        let from = |partition: i32| places.iter().find(|place| place.0 == partition).expect("a partition that was asked for").1;
        Ok(partitions.map(|partition| fetched(partition.partition_index, from(partition.partition_index), &partition)).collect())
    }
}

pub(super) fn fetched(partition: i32, from: i64, answer: &PartitionData) -> Fetched {
    let bytes = match &answer.records {
        Records::Bytes(bytes) => bytes.clone(),
        _ => Bytes::new(),
    };
    let mut records = Vec::new();
    for batch in Batches::new(&bytes) {
        // The last batch of a fetch may be cut; everything before it must be whole.
        let Ok(batch) = batch else { break };
        assert!(batch.crc_is_valid(), "partition {partition}: a batch at offset {:?} with a bad CRC", batch.header.base_offset);
        let payload = batch.uncompressed_payload(64 << 20).expect("records that can be decompressed");
        for record in flumen::record::Records::new(&payload, batch.header.records_count) {
            let record = record.expect("a well-formed record");
            let offset = batch.header.base_offset.0 + i64::from(record.offset_delta);
            if offset >= from {
                records.push(FetchedRecord {
                    offset,
                    timestamp: batch.header.base_timestamp + record.timestamp_delta,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                });
            }
        }
    }
    Fetched {
        partition,
        error: answer.error_code,
        high_watermark: answer.high_watermark,
        log_start: answer.log_start_offset,
        records,
        bytes: bytes.len(),
    }
}

/// A Produce of one batch to one partition. From version 13 on the topic is named by its id.
pub fn produce_request(name: &str, id: TopicId, partition: i32, acks: i16, batch: Bytes, version: i16) -> ProduceRequest {
    let mut data = PartitionProduceData::default();
    (data.index, data.records) = (partition, Records::Bytes(batch));
    let mut topic = TopicProduceData::default();
    topic.partition_data = vec![data];
    if version >= 13 {
        topic.topic_id = id;
    } else {
        topic.name = StrBytes::from(name);
    }
    ProduceRequest { transactional_id: None, acks, timeout_ms: 30_000, topic_data: vec![topic] }
}

/// Error and base offset of the one partition that [`produce_request`] asked for.
pub fn produce_answer(body: Bytes, version: i16) -> (i16, i64) {
    let answer = ProduceResponse::from_bytes(body, version).expect("a produce answer");
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}
