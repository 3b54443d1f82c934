//! The order of calls on the broker's side: an ack leaves behind an `fdatasync` that began behind the write.
//!
//! What a client sees bounds the sync from outside only: one that began after the request was sent may still have begun before its
//! batch was written. Here each partition has one client, which waits for every ack, so that the last write to a log before an ack is
//! the batch that it acks.

use super::strace::{Call, Strace};
use super::{PARTITIONS, TOPIC, batch, produce, topic};
use crate::support::broker::Broker;
use crate::support::client::Client;

const EACH: i32 = 60;

/// Acks that were traced, and what is wrong with some. `clients` are the ports of the clients, in the order of their partitions.
fn acks_without_sync(calls: &[Call], clients: &[u16]) -> (usize, Vec<String>) {
    let (mut acks, mut wrong) = (0, Vec::new());
    for (port, partition) in clients.iter().zip(0..PARTITIONS) {
        let peer = format!(":{port}]");
        let file = format!("/{TOPIC}-{partition}/00000000000000000000.log>");
        let of_file: Vec<&Call> = calls.iter().filter(|call| call.arguments.contains(&file)).collect();
        for ack in calls.iter().filter(|call| call.name.starts_with("send") && call.arguments.contains(&peer)) {
            let writes = of_file.iter().filter(|call| call.name.starts_with("pwrite") && call.returned <= ack.entered);
            // An ack whose write came before the trace began says nothing.
            let Some(write) = writes.max_by_key(|write| write.returned) else { continue };
            acks += 1;
            let covers = |sync: &&&Call| sync.entered >= write.returned && sync.returned <= ack.entered && sync.result == 0;
            if !of_file.iter().filter(|call| call.name == "fdatasync").any(|sync| covers(&sync)) {
                wrong.push(format!("partition {partition}: written at {}, acked at {}", write.returned, ack.entered));
            }
        }
    }
    (acks, wrong)
}

fn trace_acks(settings: &[(&str, &str)]) -> (usize, Vec<String>) {
    let broker = Broker::start(&[&[("num.partitions", "4")], settings].concat());
    let id = topic(&broker);
    let mut clients: Vec<Client> = (0..PARTITIONS).map(|_| Client::connect(broker.address()).unwrap()).collect();
    let ports: Vec<u16> = clients.iter().map(Client::local_port).collect();
    let payload = batch(300, 1);
    // Files are open before the trace begins.
    for (client, partition) in clients.iter_mut().zip(0..) {
        produce(client, id, partition, &payload);
    }
    let strace = Strace::attach(broker.pid(), "pwritev,pwritev2,pwrite64,fdatasync,sendmsg,sendto");
    std::thread::scope(|scope| {
        for (client, partition) in clients.iter_mut().zip(0..) {
            let payload = &payload;
            scope.spawn(move || (0..EACH).map(|_| produce(client, id, partition, payload)).count());
        }
    });
    acks_without_sync(&strace.detach(), &ports)
}

#[test]
fn each_ack_is_sent_after_a_sync_that_began_after_its_write() {
    let (acks, wrong) = trace_acks(&[("log.flush.interval.messages", "1")]);
    println!("{acks} acks");
    assert!(acks as i32 >= PARTITIONS * EACH * 9 / 10, "only {acks} acks were traced");
    assert!(wrong.is_empty(), "{} of {acks} acks: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}

/// The same look at a broker that need not sync finds what there is to be found.
#[test]
fn an_ack_without_a_sync_is_seen() {
    let (acks, wrong) = trace_acks(&[]);
    assert!(acks > 100 && wrong.len() * 10 > acks * 9, "{} of {acks}", wrong.len());
}
