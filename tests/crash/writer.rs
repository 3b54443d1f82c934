//! A producer that lives through the deaths of its broker: up to five requests under way, and an exact record of what was acked.

use crate::support::client::{Client, produce_answer, produce_request};
use crate::support::history::{Ack, Identity};
use crate::support::records::Random;
use bytes::Bytes;
use flumen::model::{ProducerId, TopicId};
use flumen::record::{BatchBuilder, Codec, Compression};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What an idempotent producer may have under way for a broker to recognise a retry (Kafka's limit).
const IN_FLIGHT: usize = 5;
/// OUT_OF_ORDER_SEQUENCE_NUMBER and DUPLICATE_SEQUENCE_NUMBER.
const SEQUENCE_ERRORS: [i16; 2] = [45, 46];
/// Errors that say "not written, ask again": the broker has just started.
const RETRIABLE: [i16; 5] = [3, 5, 6, 7, 100];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Retries what was not acked until it is: each record exactly once.
    Idempotent,
    /// Sends each record once: it is there once if it was acked, and at most once if not.
    Plain,
}

struct Pending {
    first: Identity,
    count: u32,
    batch: Bytes,
    /// A batch that was acked and is sent again on purpose: the answer must be the offset of the first time.
    duplicate_of: Option<i64>,
    /// It was sent on a connection that ended: whether it was written is not known.
    in_doubt: bool,
}

pub struct Writer {
    pub number: u32,
    pub kind: Kind,
    acks: i16,
    version: i16,
    partitions: i32,
    topic: (String, TopicId),
    producer: Option<(i64, i16)>,
    /// Next record's number, by partition.
    next: Vec<u32>,
    pending: VecDeque<Pending>,
    /// A batch that was just acked and is to be sent once more.
    again: Option<Pending>,
    random: Random,
    pub acked: Vec<Ack>,
    pub duplicates_answered: usize,
    pub answered_without_offset: usize,
}

impl Writer {
    pub fn new(number: u32, topic: (String, TopicId), partitions: i32, seed: u64) -> Writer {
        // All mixtures of idempotence, acks and naming the topic by name or by id.
        let kind = if number % 2 == 0 { Kind::Idempotent } else { Kind::Plain };
        let acks = if number % 4 < 2 { -1 } else { 1 };
        let version = if number % 3 == 0 { 13 } else { 9 };
        Writer {
            number,
            kind,
            acks,
            version,
            partitions,
            topic,
            producer: None,
            next: vec![0; usize::try_from(partitions).unwrap()],
            pending: VecDeque::new(),
            again: None,
            random: Random(seed ^ u64::from(number).wrapping_mul(0x1234_5678_9abc_def1)),
            acked: Vec::new(),
            duplicates_answered: 0,
            answered_without_offset: 0,
        }
    }

    /// Writes until `stop` or until the broker is gone. At a `stop` it first waits for what is under way.
    pub fn run(&mut self, address: SocketAddr, stop: &AtomicBool, gone: &AtomicBool) {
        while !gone.load(Ordering::Relaxed) {
            match self.session(address, stop) {
                Ok(true) => return,
                Ok(false) => std::thread::sleep(Duration::from_millis(20)),
                Err(_) => {
                    self.forget_what_is_in_doubt();
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            if stop.load(Ordering::Relaxed) && self.pending.is_empty() {
                return;
            }
        }
    }

    /// One connection. `Ok(true)`: stopped with nothing under way. `Ok(false)`: the broker asked to try again.
    fn session(&mut self, address: SocketAddr, stop: &AtomicBool) -> io::Result<bool> {
        let mut client = Client::connect(address)?;
        if self.kind == Kind::Idempotent && self.producer.is_none() {
            let (error, id, epoch) = client.init_producer_id()?;
            if error != 0 {
                return Ok(false);
            }
            self.producer = Some((id, epoch));
        }
        // A broker takes any first sequence of a producer that it does not know: were the first batch answered "not the leader yet"
        // and the second taken, the first could never be written. So the first waits until the partition is led.
        for partition in 0..self.partitions {
            if client.list_offset(&self.topic.0, partition, -1)?.0 != 0 {
                return Ok(false);
            }
        }
        for index in 0..self.pending.len() {
            self.send(&mut client, index)?;
        }
        loop {
            while self.pending.len() < IN_FLIGHT && !stop.load(Ordering::Relaxed) {
                let pending = self.make_batch();
                self.pending.push_back(pending);
                self.send(&mut client, self.pending.len() - 1)?;
            }
            if self.pending.is_empty() {
                return Ok(true);
            }
            let (_, body) = client.receive(true)?;
            let (error, base_offset) = produce_answer(body, self.version);
            if !self.answered(error, base_offset) {
                return Ok(false);
            }
            if let Some(duplicate) = self.again.take() {
                self.pending.push_back(duplicate);
                self.send(&mut client, self.pending.len() - 1)?;
            }
        }
    }

    fn send(&self, client: &mut Client, index: usize) -> io::Result<()> {
        let Pending { first, batch, .. } = &self.pending[index];
        let request = produce_request(&self.topic.0, self.topic.1, first.partition, self.acks, batch.clone(), self.version);
        client.send(&request, self.version, true).map(|_| ())
    }

    /// The answer to the oldest request. False: not written, and everything after it has to be sent again too.
    fn answered(&mut self, error: i16, base_offset: i64) -> bool {
        if RETRIABLE.contains(&error) {
            if self.kind == Kind::Plain {
                self.pending.clear();
            }
            return false;
        }
        let done = self.pending.pop_front().expect("an answer to a request");
        let (writer, first) = (self.number, done.first);
        if SEQUENCE_ERRORS.contains(&error) && done.in_doubt {
            // A producer snapshot holds the last batch of a producer only. When one was taken between this batch and the death, the
            // broker knows that it has newer ones but no longer where this one is. That it is there is checked by reading.
            self.answered_without_offset += 1;
            return true;
        }
        assert_eq!(error, 0, "writer {writer}: the broker refused {} records from {first:?}", done.count);
        match done.duplicate_of {
            Some(original) => {
                assert_eq!(base_offset, original, "writer {writer}: a duplicate is answered with the offset of the first time");
                self.duplicates_answered += 1;
            }
            None => {
                self.acked.push(Ack { first, count: done.count, base_offset });
                if self.kind == Kind::Idempotent && self.random.below(20) == 0 {
                    // At most four later batches are under way, so that this one is still among the five that a broker remembers.
                    self.again = Some(Pending { duplicate_of: Some(base_offset), in_doubt: false, ..done });
                }
            }
        }
        true
    }

    /// A plain producer does not retry: what was under way may or may not be there.
    fn forget_what_is_in_doubt(&mut self) {
        if self.kind == Kind::Plain {
            self.pending.clear();
        }
        // Retries may fill the five batches that a broker remembers, and a duplicate from before would no longer be one.
        self.pending.retain(|pending| pending.duplicate_of.is_none());
        for pending in &mut self.pending {
            pending.in_doubt = true;
        }
    }

    fn make_batch(&mut self) -> Pending {
        let partition = i32::try_from(self.random.below(u64::try_from(self.partitions).unwrap())).unwrap();
        let count =
            1 + u32::try_from(if self.random.below(8) == 0 { self.random.below(60) } else { self.random.below(6) }).unwrap();
        let codec =
            [Codec::None, Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][self.random.below(6) as usize];
        let next = &mut self.next[usize::try_from(partition).unwrap()];
        let first = Identity { writer: self.number, partition, number: *next };
        *next += count;
        let mut builder = BatchBuilder::new(Compression::of(codec));
        if let Some((id, epoch)) = self.producer {
            builder = builder.producer(ProducerId(id), epoch, i32::try_from(first.number).unwrap());
        }
        for number in first.number..first.number + count {
            let identity = Identity { number, ..first };
            builder.append(identity.timestamp(), Some(&identity.key()), Some(&identity.value()));
        }
        Pending { first, count, batch: builder.build(), duplicate_of: None, in_doubt: false }
    }
}
