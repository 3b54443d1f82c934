//! Who the broker is, where it listens, and what it takes of the machine: what is set is found.

use crate::support::broker::{Broker, Kind, free_port};
use crate::support::client::Client;
use flumen::protocol::generated::MetadataRequest;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The one broker that a client of this address is told of: its id, host and port.
fn told(address: SocketAddr) -> (i32, String, i32) {
    let mut client = Client::connect(address).unwrap();
    let request = MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() };
    let brokers = client.call(&request, 12, true).unwrap().brokers;
    assert_eq!(brokers.len(), 1);
    (brokers[0].node_id, brokers[0].host.to_string(), brokers[0].port)
}

#[test]
fn clients_are_told_of_the_broker_what_its_listener_advertises() {
    let mut broker = Broker::start_kind(Kind::Flumen, &[("node.id", "7")]);
    let port = i32::from(broker.port);
    assert_eq!(told(broker.address()), (7, "127.0.0.1".to_owned(), port));
    broker.stop();
    let (other, controller) = (free_port(), free_port());
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},INSIDE://127.0.0.1:{other},CONTROLLER://127.0.0.1:{controller}");
    for (key, value) in [
        ("listeners", listeners.as_str()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "INSIDE"),
        ("advertised.listeners", "PLAINTEXT://here.example:1111,INSIDE://there.example:2222"),
    ] {
        broker.set(key, value);
    }
    broker.restart();
    assert_eq!(told(broker.address()), (7, "here.example".to_owned(), 1111));
    let inside = SocketAddr::from(([127, 0, 0, 1], other));
    assert_eq!(told(inside), (7, "there.example".to_owned(), 2222));
    assert!(TcpStream::connect(("127.0.0.1", controller)).is_err(), "nobody listens for controllers");
    broker.stop();
    // A directory belongs to the node that it was formatted for.
    broker.set("node.id", "8");
    broker.start_without_waiting();
    let refused = |broker: &mut Broker| !broker.is_running() && broker.log().contains("belongs to node 7");
    crate::settings::eventually("a refusal", || refused(&mut broker));
}

/// Hundredths of a second that the broker has had of the processors.
fn processor_time(broker: &Broker) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).expect("the broker runs");
    // Behind the name, which may have blanks, come the state and ten numbers, and then the time of its own and of the kernel for it.
    let numbers: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    numbers[11].parse::<u64>().unwrap() + numbers[12].parse::<u64>().unwrap()
}

#[test]
fn an_idle_core_spins_only_if_the_settings_say_so() {
    let of_a_second = |settings: &[(&str, &str)]| {
        let broker = Broker::start_kind(Kind::Flumen, settings);
        std::thread::sleep(Duration::from_millis(200));
        let before = processor_time(&broker);
        std::thread::sleep(Duration::from_secs(1));
        processor_time(&broker) - before
    };
    let still = of_a_second(&[("flumen.cores", "1")]);
    let spinning = of_a_second(&[("flumen.cores", "1"), ("flumen.busy.poll.us", "200000")]);
    assert!(spinning >= 10 && still < spinning / 2, "{spinning} hundredths of a second, and {still} without");
}

#[test]
fn there_are_as_many_cores_as_the_settings_say() {
    for cores in 1..=2 {
        let (port, text) = (free_port(), cores.to_string());
        let http = format!("127.0.0.1:{port}");
        let _broker = Broker::start_kind(Kind::Flumen, &[("flumen.cores", &text), ("flumen.http.listener", &http)]);
        let metrics = crate::metrics(port);
        let core = |number: i32| metrics.keys().any(|name| name.contains(&format!("core=\"{number}\"")));
        assert_eq!([core(0), core(1), core(2)], [true, cores == 2, false], "{cores}");
    }
}
