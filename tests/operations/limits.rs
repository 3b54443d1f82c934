//! Limits of connections and sizes of sockets: what is set is felt.

use crate::LIMIT;
use crate::support::broker::{Broker, Kind, free_port};
use crate::support::client::Client;
use bytes::Bytes;
use flumen::protocol::frame::encode_request;
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::protocol::generated::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// ApiVersions, version 0.
const ASK: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 77, 0xff, 0xff];
/// The newest version of Fetch that names topics and has a header without tags.
const FETCH: i16 = 11;

/// A connection from an address of this machine, if the broker answers on it.
fn served(broker: &Broker, from: Ipv4Addr) -> Option<TcpStream> {
    served_at(broker.address(), from)
}

fn served_at(address: SocketAddr, from: Ipv4Addr) -> Option<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect_timeout(&address.into(), LIMIT).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&ASK).ok()?;
    stream.read_exact(&mut [0; 8]).ok()?;
    Some(stream)
}

/// So many connections; one that has just ended may count for a moment.
fn hold(broker: &Broker, from: Ipv4Addr, count: usize) -> Vec<TcpStream> {
    hold_at(broker.address(), from, count)
}

fn hold_at(address: SocketAddr, from: Ipv4Addr, count: usize) -> Vec<TcpStream> {
    let deadline = Instant::now() + LIMIT;
    let one = |number: usize| loop {
        if let Some(stream) = served_at(address, from) {
            return stream;
        }
        assert!(Instant::now() < deadline, "connection {number} from {from} is refused");
        std::thread::sleep(Duration::from_millis(20));
    };
    (0..count).map(one).collect()
}

/// Sets a config of all brokers, on a connection that may have to wait for its place.
fn set(broker: &Broker, name: &str, value: &str) -> Client {
    set_of(broker, "", name, value)
}

/// The same of the broker of this id.
fn set_of(broker: &Broker, id: &str, name: &str, value: &str) -> Client {
    const BROKER: i8 = 4;
    let config = AlterableConfig { name: name.into(), config_operation: 0, value: Some(value.into()) };
    let resource = AlterConfigsResource { resource_type: BROKER, resource_name: id.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut client = Client::connect(broker.address()).unwrap();
        match client.call(&request, 1, true) {
            Ok(answer) => {
                assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0]);
                return client;
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_address_has_as_many_connections_as_it_may() {
    let settings = [("flumen.cores", "2"), ("max.connections.per.ip", "3"), ("max.connections.per.ip.overrides", "127.0.0.2:5")];
    let broker = Broker::start_kind(Kind::Flumen, &settings);
    let mut held = hold(&broker, ONE, 3);
    assert!(served(&broker, ONE).is_none(), "the fourth");
    let others = hold(&broker, OTHER, 5);
    assert!(served(&broker, OTHER).is_none(), "the sixth");
    drop(held.pop());
    // Takes the place that is free; from now on there are two more.
    let client = set(&broker, "max.connections.per.ip", "5");
    held.extend(hold(&broker, ONE, 2));
    assert!(served(&broker, ONE).is_none(), "the sixth");
    drop((client, others));
    let _client = set(&broker, "max.connections.per.ip.overrides", "127.0.0.2:1");
    let _other = hold(&broker, OTHER, 1);
    assert!(served(&broker, OTHER).is_none(), "the second");
    assert!(broker.log().contains("its address has max.connections.per.ip already"), "the log says why");
}

#[test]
fn connections_are_made_at_a_rate() {
    let time = |broker: &Broker| {
        let begun = Instant::now();
        let _held = hold(broker, ONE, 60);
        begun.elapsed()
    };
    let broker = Broker::start_kind(Kind::Flumen, &[("flumen.cores", "2"), ("max.connection.creation.rate", "20")]);
    // Those of a second are there at once, the others take two.
    let limited = time(&broker);
    assert!(limited > Duration::from_millis(1500), "60 connections took {limited:?}");
    let _client = set(&broker, "max.connection.creation.rate", "2147483647");
    let free = time(&broker);
    assert!(free < limited, "60 connections took {free:?}, and {limited:?} with a limit");
}

#[test]
fn a_listener_has_limits_of_its_own() {
    let mut broker = Broker::start_kind(Kind::Flumen, &[("flumen.cores", "2")]);
    broker.stop();
    let side = SocketAddr::from((ONE, free_port()));
    let listeners = format!("PLAINTEXT://{},SIDE://{side}", broker.bootstrap());
    for (key, value) in [
        ("listeners", listeners.as_str()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,SIDE:PLAINTEXT"),
        ("listener.name.side.max.connections", "2"),
    ] {
        broker.set(key, value);
    }
    broker.restart();
    let mut held = hold_at(side, ONE, 2);
    assert!(served_at(side, ONE).is_none(), "the third");
    let others = hold(&broker, ONE, 5);
    let client = set_of(&broker, "1", "listener.name.side.max.connections", "40");
    held.extend(hold_at(side, ONE, 38));
    assert!(served_at(side, ONE).is_none(), "the next one");
    assert!(broker.log().contains("max.connections of its listener is reached"), "the log says why");
    drop((held, others, client));
    let _client = set_of(&broker, "1", "listener.name.side.max.connection.creation.rate", "20");
    let begun = Instant::now();
    let _held = hold_at(side, ONE, 40);
    let limited = begun.elapsed();
    assert!(limited > Duration::from_millis(700), "40 connections took {limited:?}");
}

/// Bytes that the kernel holds at the broker's end of a connection: to be sent, and to be read.
fn queues(broker: &Broker, client_port: u16) -> (u64, u64) {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.filter(|words| port(words[1]) == broker.port).find(|words| port(words[2]) == client_port);
    let (sending, receiving) = line.as_ref().expect("the connection is there")[4].split_once(':').unwrap();
    let bytes = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
    (bytes(sending), bytes(receiving))
}

/// What is there when it does not grow any more.
fn settled(mut queued: impl FnMut() -> u64) -> u64 {
    let deadline = Instant::now() + LIMIT;
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = queued();
        if now > 0 && now == before {
            return now;
        }
        before = now;
        assert!(Instant::now() < deadline, "the queue does not fill: {now} bytes");
    }
}

fn fetch(topic: &str, max_wait_ms: i32) -> Bytes {
    let partition = FetchPartition { partition_max_bytes: 8 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    encode_request(FETCH, 1, None, &request).expect("a request that can be said")
}

#[test]
fn sockets_have_the_buffers_that_are_set() {
    // What does not fit into the client's buffer waits in the broker's, as much of it as that takes.
    let to_be_sent = |settings: &[(&str, &str)]| {
        let broker = Broker::start_kind(Kind::Flumen, settings);
        let mut client = Client::connect(broker.address()).unwrap();
        crate::settings::create(&mut client, "large", 1, &[]);
        for _ in 0..8 {
            assert_eq!(crate::settings::produce(&mut client, "large", &[&[7; 1_000_000]]).error_code, 0);
        }
        let mut deaf = TcpStream::connect(broker.address()).unwrap();
        deaf.write_all(&fetch("large", 500)).unwrap();
        let port = deaf.local_addr().unwrap().port();
        settled(|| queues(&broker, port).0)
    };
    let (small, free) = (to_be_sent(&[("socket.send.buffer.bytes", "16384")]), to_be_sent(&[]));
    assert!(small < 256 << 10 && free > 2 * small, "{small} bytes wait, and {free} where nothing is set");

    // While a fetch waits for records, what follows it is not read.
    let to_be_read = |settings: &[(&str, &str)]| {
        let broker = Broker::start_kind(Kind::Flumen, settings);
        crate::settings::create(&mut Client::connect(broker.address()).unwrap(), "quiet", 1, &[]);
        let mut eager = TcpStream::connect(broker.address()).unwrap();
        eager.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        eager.write_all(&fetch("quiet", 20_000)).unwrap();
        // Ends with an error when nobody takes any more.
        let _ = eager.write_all(&ASK.repeat(400_000));
        let port = eager.local_addr().unwrap().port();
        settled(|| queues(&broker, port).1)
    };
    let (small, free) = (to_be_read(&[("socket.receive.buffer.bytes", "8192")]), to_be_read(&[]));
    assert!(small < 32 << 10 && free > 2 * small, "{small} bytes wait, and {free} where nothing is set");
}
