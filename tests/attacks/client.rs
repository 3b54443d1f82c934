//! A small blocking client, which can also say things that no client says.

use bytes::Bytes;
use flumen::protocol::frame::{decode_response, encode_request};
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchTopic};
use flumen::protocol::generated::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use flumen::protocol::generated::produce_request::{PartitionProduceData, TopicProduceData};
use flumen::protocol::generated::{
    CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest, ProduceRequest,
};
use flumen::protocol::{Records, Request};
use flumen::record::{BatchBuilder, Compression};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The newest versions that name topics.
pub const PRODUCE: i16 = 11;
pub const FETCH: i16 = 11;

/// Longest wait for an answer, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Client {
    pub socket: TcpStream,
    correlation: i32,
}

#[allow(dead_code)] // not every test that has a client does all of this
impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    pub fn try_connect(address: SocketAddr) -> Result<Client> {
        Client::of(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// From another address of this machine, so that the ports of one do not run out.
    pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Result<Client> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Client::of(socket.into())
    }

    fn of(socket: TcpStream) -> Result<Client> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { socket, correlation: 0 })
    }

    pub fn local(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes)
    }

    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.correlation += 1;
        let frame =
            encode_request(version, self.correlation, Some("attack".into()), request).expect("a request that can be said");
        self.send_bytes(&frame)
    }

    /// The next frame, without its length.
    pub fn receive_frame(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = i32::from_be_bytes(length);
        assert!((4..1 << 30).contains(&length), "an answer of {length} bytes");
        let mut frame = vec![0; length as usize];
        self.socket.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let frame = self.receive_frame()?;
        let (_, response) = decode_response::<R>(frame, version).expect("a well-formed answer");
        Ok(response)
    }

    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Whether the broker closes the connection within the time, whatever it says before.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut sink = [0; 65536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.read(&mut sink) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Leaves without a word: the kernel forgets the connection, and the other end is not told (TCP_REPAIR; needs root).
    pub fn vanish(self) {
        use std::os::fd::AsRawFd;
        const TCP_REPAIR: libc::c_int = 19;
        let on: libc::c_int = 1;
        // SAFETY: the option takes an int, which lives as long as the call.
        let done = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                TCP_REPAIR,
                (&raw const on).cast(),
                size_of_val(&on) as u32,
            )
        };
        assert_eq!(done, 0, "TCP_REPAIR: {}", std::io::Error::last_os_error());
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let answer = self.call(5, &request).expect("an answer to CreateTopics");
        assert_eq!(answer.topics[0].error_code, 0, "creating {name}: {:?}", answer.topics[0]);
        // Every core knows it a moment later.
        let deadline = Instant::now() + PATIENCE;
        while self.leaderless(name) {
            assert!(Instant::now() < deadline, "{name} gets no leaders");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn leaderless(&mut self, topic: &str) -> bool {
        let topics = vec![flumen::protocol::generated::metadata_request::MetadataRequestTopic {
            name: Some(topic.into()),
            ..Default::default()
        }];
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        let answer = self.call(9, &request).expect("an answer to Metadata");
        let topic = &answer.topics[0];
        topic.error_code != 0 || topic.partitions.iter().any(|partition| partition.error_code != 0 || partition.leader_id < 0)
    }

    /// Error code and base offset.
    /// Lets a group without members commit offset 0 of partition 1, once its coordinator is there.
    pub fn commit(&mut self, group: &str, topic: &str) {
        let find = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
        let partition =
            OffsetCommitRequestPartition { partition_index: 1, committed_metadata: Some("".into()), ..Default::default() };
        let topics = vec![OffsetCommitRequestTopic { name: topic.into(), partitions: vec![partition], ..Default::default() }];
        let commit =
            OffsetCommitRequest { group_id: group.into(), generation_id_or_member_epoch: -1, topics, ..Default::default() };
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.call(4, &find).expect("an answer");
            let answer = self.call(9, &commit).expect("an answer");
            let error = answer.topics[0].partitions[0].error_code;
            if error == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "a commit is refused with {error}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> Result<(i16, i64)> {
        let answer = self.call(PRODUCE, &produce_request(topic, partition, -1, records))?;
        let partition = &answer.responses[0].partition_responses[0];
        Ok((partition.error_code, partition.base_offset))
    }
}

pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Records::Bytes(records), ..Default::default() };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let partition = FetchPartition { partition, fetch_offset: offset, partition_max_bytes: max_bytes, ..Default::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes,
        session_id: 0,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// One batch with one value in each record.
pub fn batch(compression: Compression, values: &[&[u8]]) -> Bytes {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.append(now, None, Some(value));
    }
    builder.build()
}
