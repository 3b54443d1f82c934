use super::*;
use crate::clock;
use std::io::{Read, Write};
use std::net::TcpListener;

const MS: u64 = 1_000_000;

fn nodes(addresses: &[SocketAddr]) -> Nodes {
    let mut nodes = Nodes::new(MS, 200 * MS).unwrap();
    for (index, address) in addresses.iter().enumerate() {
        nodes.know(index as i32 + 1, &address.ip().to_string(), i32::from(address.port()));
    }
    nodes
}

/// A request of so many bytes with this number.
fn request(correlation: i32) -> Result<Bytes, Failure> {
    let mut frame = vec![0, 0, 0, 12, 0, 3, 0, 12];
    frame.extend(correlation.to_be_bytes());
    frame.extend([7; 4]);
    Ok(Bytes::from(frame))
}

/// Turns until something is new.
fn news(nodes: &mut Nodes) -> Vec<(i32, News)> {
    for _ in 0..1_000 {
        let found = nodes.turn(clock::now(), 5 * MS).unwrap();
        if !found.is_empty() {
            return found;
        }
    }
    panic!("nothing happens");
}

fn wait_until_ready(nodes: &mut Nodes, id: i32) {
    for _ in 0..1_000 {
        if nodes.is_ready(id, clock::now()) {
            return;
        }
        nodes.turn(clock::now(), MS).unwrap();
    }
    panic!("no connection");
}

#[test]
fn answers_come_in_any_order_and_a_lost_connection_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut nodes = nodes(&[listener.local_addr().unwrap()]);
    assert!(!nodes.is_ready(1, clock::now()), "it is only begun");
    wait_until_ready(&mut nodes, 1);
    let (mut broker, _) = listener.accept().unwrap();
    for asked in [Asked::Record(4, 9), Asked::Metadata] {
        nodes.send(1, asked, clock::now(), request).unwrap();
    }
    assert!(nodes.silence(1, clock::now() + 50 * MS) >= 50 * MS);
    nodes.turn(clock::now(), 0).unwrap();
    let mut requests = [0; 32];
    broker.read_exact(&mut requests).unwrap();
    for correlation in [2u8, 1] {
        broker.write_all(&[0, 0, 0, 5, 0, 0, 0, correlation, 9]).unwrap();
    }
    let mut found = Vec::new();
    while found.len() < 2 {
        found.extend(news(&mut nodes).into_iter().map(|(id, one)| match one {
            News::Answer { asked, correlation, frame } => (id, asked, correlation, frame.len()),
            News::Lost => panic!("it is there"),
        }));
    }
    assert_eq!(found, [(1, Asked::Metadata, 2, 5), (1, Asked::Record(4, 9), 1, 5)]);
    assert_eq!(nodes.silence(1, clock::now()), 0);
    drop(broker);
    assert!(matches!(news(&mut nodes)[..], [(1, News::Lost)]));
    wait_until_ready(&mut nodes, 1);
    listener.accept().unwrap();
}

#[test]
fn who_refuses_is_tried_again_and_who_is_silent_is_given_up() {
    let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut nodes = nodes(&[refuses, silent.local_addr().unwrap()]);
    for _ in 0..3 {
        assert!(!nodes.is_ready(1, clock::now()) && !nodes.is_ready(9, clock::now()));
        nodes.turn(clock::now(), MS).unwrap();
    }
    wait_until_ready(&mut nodes, 2);
    let sent = clock::now();
    nodes.send(2, Asked::Metadata, sent, request).unwrap();
    assert!(nodes.turn(sent, 0).unwrap().is_empty());
    assert!(matches!(nodes.turn(sent + 201 * MS, 0).unwrap()[..], [(2, News::Lost)]));
    let listener = TcpListener::bind(refuses).unwrap();
    wait_until_ready(&mut nodes, 1);
    drop(listener);
}
