//! Clients that do too little: slow ones, silent ones, those that vanish, those that never read, and ten thousand that only sit.

use super::client::{Client, FETCH, batch, fetch_request};
use super::support::broker::Broker;
use super::{Attack, SHORT, logged, witness};
use flumen::protocol::frame::encode_request;
use flumen::protocol::generated::MetadataRequest;
use flumen::record::Compression;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

fn metadata() -> Vec<u8> {
    encode_request(9, 1, None, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() }).unwrap().to_vec()
}

/// One byte a second each, some within a frame that claims 100 MiB.
#[test]
fn slow_clients() {
    Attack { settings: &[], ceiling_mib: 64, patience: SHORT }.run(|broker| {
        let whole = metadata();
        let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(broker.address())).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            if number % 2 == 0 {
                client.send_bytes(&104_857_600_i32.to_be_bytes()).unwrap();
                client.send_bytes(&[0; 100]).unwrap();
            }
        }
        for second in 0..whole.len().min(20) {
            let next = Instant::now() + Duration::from_secs(1);
            for (number, client) in clients.iter_mut().enumerate() {
                let byte = if number % 2 == 0 { 0 } else { whole[second] };
                client.send_bytes(&[byte]).expect("a slow client is no reason to close");
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        // However long it took, the request is answered.
        for client in clients.iter_mut().skip(1).step_by(2) {
            client.send_bytes(&whole[whole.len().min(20)..]).unwrap();
            assert!(client.receive::<MetadataRequest>(9).is_ok());
        }
    });
}

/// Frames that never end must not take all the memory for requests: who sits on it longest is closed, and says so in the log.
///
/// The ceiling is what an idle broker has (32 MiB) and twice `queued.max.request.bytes`: a frame's buffer is doubled as its bytes come,
/// and the allocator keeps the smaller ones for up to a tenth of a second, which together are no more than the last.
#[test]
fn clients_that_sit_on_unfinished_frames() {
    let settings = &[("socket.request.max.bytes", "8388608"), ("queued.max.request.bytes", "67108864")];
    Attack { settings, ceiling_mib: 32 + 2 * 64, patience: Duration::from_secs(20) }.run(|broker| {
        let mut clients: Vec<Client> = (0..48).map(|_| Client::connect(broker.address())).collect();
        let half = vec![0; 3 << 20];
        for client in &mut clients {
            client.socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            client.send_bytes(&(8_i32 << 20).to_be_bytes()).unwrap();
            // What does not fit waits in the kernel.
            client.send_bytes(&half).ok();
        }
        logged(broker, &["closing a connection that holds memory", "127.0.0.1"]);
        // Somebody new with a large request is served.
        let mut client = Client::connect(broker.address());
        let large = batch(Compression::NONE, &[&vec![1; 900_000]]);
        assert_eq!(client.produce(witness::TOPIC_OF_OTHERS, 0, large).unwrap().0, 3, "UNKNOWN_TOPIC_OR_PARTITION, but an answer");
    });
}

/// `connections.max.idle.ms`: whoever neither asks nor reads is closed, also in the middle of a frame, and also when the other end
/// is not there any more and nobody has told us.
#[test]
fn silent_and_vanished_clients() {
    Attack { settings: &[("connections.max.idle.ms", "3000")], ceiling_mib: 64, patience: SHORT }.run(|broker| {
        let before = descriptors(broker);
        let mut silent: Vec<Client> = (0..100).map(|_| Client::connect(broker.address())).collect();
        for client in silent.iter_mut().step_by(2) {
            client.send_bytes(&[0, 0, 1, 0, 0, 3]).unwrap();
        }
        descriptors_become(broker, |count| count >= before + 100);
        for client in silent.drain(..50) {
            client.vanish();
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(descriptors(broker) >= before + 100, "the broker knows that they have gone");
        for client in &mut silent {
            assert!(client.is_closed_within(Duration::from_secs(15)), "still open");
        }
        descriptors_become(broker, |count| count <= before);
    });
}

fn descriptors_become(broker: &Broker, wanted: impl Fn(usize) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !wanted(descriptors(broker)) {
        assert!(Instant::now() < deadline, "the broker has {} descriptors open", descriptors(broker));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn descriptors(broker: &Broker) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", broker.pid())).expect("the broker runs").count()
}

/// Clients that ask for 100 times 50 MB each and never read.
#[test]
fn clients_that_never_read_their_answers() {
    Attack { settings: &[("connections.max.idle.ms", "8000")], ceiling_mib: 64, patience: SHORT }.run(|broker| {
        let mut client = Client::connect(broker.address());
        let before = descriptors(broker);
        client.create_topic("large", 1, &[]);
        let megabyte = batch(Compression::NONE, &[&vec![9; 900_000]]);
        for _ in 0..60 {
            assert_eq!(client.produce("large", 0, megabyte.clone()).unwrap().0, 0);
        }
        let request = encode_request(FETCH, 1, None, &fetch_request("large", 0, 0, 50 << 20)).unwrap();
        let pipeline = request.repeat(100);
        let mut deaf: Vec<Client> = (0..40).map(|_| Client::connect(broker.address())).collect();
        for client in &mut deaf {
            socket2::SockRef::from(&client.socket).set_recv_buffer_size(4096).unwrap();
            client.socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            client.send_bytes(&pipeline).ok();
        }
        std::thread::sleep(Duration::from_secs(4));
        // Whoever reads is served meanwhile, whole.
        let mut reader = Client::connect(broker.address());
        let answer = reader.call(FETCH, &fetch_request("large", 0, 0, 50 << 20)).unwrap();
        assert!(answer.responses[0].partitions[0].records.len() > 40 << 20);
        std::thread::sleep(Duration::from_secs(8));
        // Their connections are closed; what the kernel still holds for them is its own affair.
        descriptors_become(broker, |count| count <= before + 5);
        drop(deaf);
    });
}

/// 10,000 connections that say nothing; both ends are on this machine, each within its 20,000 descriptors.
#[test]
fn ten_thousand_idle_connections() {
    const COUNT: usize = 10_000;
    flumen::io::raise_nofile().expect("the limit on open files can be raised");
    Attack { settings: &[], ceiling_mib: 320, patience: Duration::from_secs(5) }.run(|broker| {
        let mut clients = Vec::with_capacity(COUNT);
        for number in 0..COUNT {
            let source = Ipv4Addr::new(127, 0, 1, (number % 8) as u8 + 1);
            clients.push(
                Client::connect_from(source, broker.address()).unwrap_or_else(|error| panic!("connection {number}: {error}")),
            );
        }
        // A part of them has asked something once.
        for client in clients.iter_mut().step_by(10) {
            client.send_bytes(&metadata()).unwrap();
            assert!(client.receive::<MetadataRequest>(9).is_ok());
        }
        std::thread::sleep(Duration::from_secs(2));
        let started = Instant::now();
        let mut new = Client::connect(broker.address());
        new.send_bytes(&metadata()).unwrap();
        assert!(new.receive::<MetadataRequest>(9).is_ok());
        assert!(started.elapsed() < SHORT, "a new client waited {:?}", started.elapsed());
    });
}
