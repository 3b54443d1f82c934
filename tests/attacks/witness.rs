//! The client that must notice nothing: it writes numbered records and reads them back, all the time, on connections that it never
//! has to open again.

use super::client::{Client, FETCH, batch, fetch_request};
use flumen::protocol::generated::FetchRequest;
use flumen::record::{Batches, Compression};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const TOPIC: &str = "witness";
/// A topic that is not there.
pub const TOPIC_OF_OTHERS: &str = "nobodys";
/// Pause between two rounds: it is there to see, not to load.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Shared {
    rounds: AtomicU64,
    slowest_micros: AtomicU64,
    stop: AtomicBool,
}

pub struct Witness {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Starts on a topic that is there.
    pub fn start(address: SocketAddr, partition: i32) -> Witness {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || watch(address, partition, &of_thread));
        let witness = Witness { shared, thread: Some(thread) };
        witness.sees_progress();
        witness
    }

    /// Waits for some further rounds.
    pub fn sees_progress(&self) {
        let (before, deadline) = (self.shared.rounds.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(60));
        while self.shared.rounds.load(Ordering::Relaxed) < before + 3 {
            let lives = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(lives && Instant::now() < deadline, "the well-behaved client makes no progress");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it; rounds and the slowest one. Panics if it noticed anything.
    pub fn stop(mut self) -> (u64, Duration) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("stopped once").join();
        assert!(ended.is_ok(), "the well-behaved client noticed something");
        (self.shared.rounds.load(Ordering::Relaxed), Duration::from_micros(self.shared.slowest_micros.load(Ordering::Relaxed)))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(address: SocketAddr, partition: i32, shared: &Shared) {
    let (mut producer, mut consumer) = (Client::connect(address), Client::connect(address));
    let mut expected: Option<i64> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let number = shared.rounds.load(Ordering::Relaxed);
        let value = format!("record {number}");
        let (code, offset) = producer.produce(TOPIC, partition, batch(Compression::NONE, &[value.as_bytes()])).expect("an ack");
        assert_eq!(code, 0, "a good batch is taken");
        assert_eq!(offset, expected.unwrap_or(offset), "the next offset");
        let answer: <FetchRequest as flumen::protocol::Request>::Response =
            consumer.call(FETCH, &fetch_request(TOPIC, partition, offset, 1 << 20)).expect("an answer");
        let data = &answer.responses[0].partitions[0];
        assert_eq!((answer.error_code, data.error_code), (0, 0), "a good fetch is answered");
        let records = data.records.bytes().expect("records");
        let found = Batches::new(records).map(|batch| batch.expect("a batch")).find(|batch| batch.header.base_offset.0 == offset);
        let found = found.expect("what was acked is there");
        assert!(found.crc_is_valid());
        let record = found.records().unwrap().next().unwrap().unwrap();
        assert_eq!(record.value, Some(value.as_bytes()), "what was written is read");
        expected = Some(offset + 1);
        shared.slowest_micros.fetch_max(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        shared.rounds.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
}
