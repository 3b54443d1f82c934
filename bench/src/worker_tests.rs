use super::*;
use crate::args::FloorKind;
use crate::floor::client::{FloorClient, FloorOptions};
use crate::schedule::Schedule;
use crate::stats::Metric;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

const REQUEST_BYTES: usize = 100;
const STALL: Duration = Duration::from_millis(400);

/// An echo server that answers `prompt` requests at once, then stalls, then goes on; and then closes if it is told to.
fn server(prompt: usize, ends: bool) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; REQUEST_BYTES];
        for request in 0.. {
            if request == prompt {
                std::thread::sleep(STALL);
                if ends {
                    // What is not read would turn the end into a reset.
                    socket.read_exact(&mut buffer).ok();
                    return;
                }
            }
            if socket.read_exact(&mut buffer).is_err() || socket.write_all(&buffer).is_err() {
                return;
            }
        }
    });
    client
}

/// Runs one connection for a second: everything that was counted, and how it ended.
fn run(socket: TcpStream, schedule: Schedule) -> (Interval, Result<(), Failure>) {
    let options = FloorOptions {
        kind: FloorKind::Echo,
        request_bytes: REQUEST_BYTES,
        answer_bytes: 0,
        file_bytes: 0,
        in_flight: 1,
        schedule,
    };
    let worker = Worker::new(vec![(socket, Box::new(FloorClient::new(options)))]).unwrap();
    let start = clock::now();
    let times = Times { start, measure: start, end: Some(start + SECOND) };
    let (report, reports) = mpsc::channel();
    worker.run(times, &AtomicBool::new(false), &report);
    let (mut total, mut ended) = (Interval::new(Phase::Measured, start), None);
    for report in reports.try_iter() {
        match report {
            Report::Interval(interval) => total.add(&interval),
            Report::Ended(result) => ended = Some(result),
        }
    }
    (total, ended.expect("a worker says that it has ended"))
}

fn slow(interval: &Interval, metric: Metric) -> u64 {
    let histogram = &interval.histograms[&metric];
    histogram.count_between(STALL.as_nanos() as u64 / 4, u64::MAX)
}

#[test]
fn a_stall_shows_in_every_request_that_it_held_up() {
    let (counted, ended) = run(server(200, false), Schedule::open(1_000.0, 0.0));
    ended.unwrap();
    assert_eq!(counted.histograms[&Metric::Ack].len(), 1_000, "no intended request is left out");
    // 400 requests were meant to leave during the stall, 300 of them at least 100 ms before its end.
    assert!(slow(&counted, Metric::Ack) >= 290, "{} requests waited long", slow(&counted, Metric::Ack));
    assert!(slow(&counted, Metric::Service) < slow(&counted, Metric::Ack) / 4, "one answer was late, not hundreds");
}

#[test]
fn a_closed_loop_counts_a_stall_once() {
    let (counted, ended) = run(server(200, false), Schedule::Closed);
    ended.unwrap();
    assert!(counted.produced.requests > 200);
    assert!((1..50).contains(&slow(&counted, Metric::Ack)), "{}", slow(&counted, Metric::Ack));
}

#[test]
fn a_connection_that_the_server_closes_fails_the_run() {
    let (_, ended) = run(server(200, true), Schedule::Closed);
    assert!(ended.unwrap_err().0.contains("a connection was lost"));
}
