//! The role of a consumer: one connection to one leader, fetching a few of its partitions over and over.

use crate::kafka::{CLIENT_ID, error_name, is_retriable};
use crate::link::Outbox;
use crate::produce::Shared;
use crate::stamp::{Stamp, Verifier};
use crate::stats::{Counts, Interval, Metric};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::frame::{decode_response, encode_request};
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::protocol::generated::fetch_response::PartitionData;
use flumen::protocol::{Records, StrBytes};
use flumen::record::{self, Batch, Batches};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Fetch versions from which the topic is named by its id.
const TOPIC_ID_VERSION: i16 = 13;
/// Most that one batch may unpack to, in bytes.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// How a consumer was asked to be.
#[derive(Clone)]
pub struct ConsumerOptions {
    pub topic: String,
    pub id: TopicId,
    pub version: i16,
    /// `fetch.max.bytes`: of one answer.
    pub max_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_max_bytes: i32,
    pub min_bytes: i32,
    pub max_wait_ms: i32,
    /// Whether it uses incremental fetch sessions (KIP-227).
    pub sessions: bool,
    /// Whether the records are read and their stamps checked, instead of the batch headers alone.
    pub verify: bool,
    /// Whether a partition that was read to its end is read again from its start.
    pub rewind: bool,
    /// Records left to all consumers together; unlimited without it.
    pub records: Option<Arc<AtomicU64>>,
    /// The other side of an end-to-end run, and how often each record is read in it.
    pub shared: Option<(Arc<Shared>, u64)>,
}

/// A partition that a consumer begins to read.
#[derive(Clone, Copy, Debug)]
pub struct From {
    pub partition: i32,
    /// First offset to read.
    pub offset: i64,
    /// Whether nothing was produced before that offset.
    pub from_start: bool,
    /// Reading it ends before this offset.
    pub until: Option<i64>,
}

struct Place {
    from: From,
    offset: i64,
    verifier: Option<Verifier>,
    /// The offset that the fetch session has.
    announced: Option<i64>,
}

/// One fetching connection.
pub struct Consumer {
    options: ConsumerOptions,
    places: BTreeMap<i32, Place>,
    correlation: i32,
    /// When the fetch under way was sent.
    asked: Option<u64>,
    session_id: i32,
    session_epoch: i32,
    stopped: bool,
}

impl Consumer {
    pub fn new(options: ConsumerOptions, partitions: &[From]) -> Self {
        let place = |from: &From| {
            let verifier = options.verify.then(|| Verifier::new(&options.topic, from.partition, from.offset, from.from_start));
            (from.partition, Place { from: *from, offset: from.offset, verifier, announced: None })
        };
        let places = partitions.iter().map(place).collect();
        Self { options, places, correlation: 0, asked: None, session_id: 0, session_epoch: 0, stopped: false }
    }

    /// Whether everything that the producers of an end-to-end run sent has been read; `None` outside of such a run.
    fn has_read_all(&self) -> Option<bool> {
        let (shared, readers) = self.options.shared.as_ref()?;
        let produced = shared.producing.load(Ordering::Acquire) == 0;
        Some(produced && shared.consumed.load(Ordering::Relaxed) >= readers * shared.sent.load(Ordering::Relaxed))
    }

    fn request(&mut self) -> FetchRequest {
        let incremental = self.session_id != 0;
        let partition = |(index, place): (&i32, &mut Place)| {
            if incremental && place.announced == Some(place.offset) {
                return None;
            }
            place.announced = Some(place.offset);
            Some(FetchPartition {
                partition: *index,
                fetch_offset: place.offset,
                partition_max_bytes: self.options.partition_max_bytes,
                ..FetchPartition::default()
            })
        };
        let partitions: Vec<_> = self.places.iter_mut().filter_map(partition).collect();
        let mut topic = FetchTopic { partitions, ..FetchTopic::default() };
        if self.options.version >= TOPIC_ID_VERSION {
            topic.topic_id = self.options.id;
        } else {
            topic.topic = StrBytes::from(&self.options.topic);
        }
        FetchRequest {
            max_wait_ms: self.options.max_wait_ms,
            min_bytes: self.options.min_bytes,
            max_bytes: self.options.max_bytes,
            session_id: self.session_id,
            session_epoch: if self.options.sessions { self.session_epoch } else { -1 },
            topics: if topic.partitions.is_empty() { Vec::new() } else { vec![topic] },
            ..FetchRequest::default()
        }
    }

    /// The answer as a whole: its session, or the error that ends it.
    fn session(&mut self, error: i16, session_id: i32, counted: &mut Interval) -> Result<bool, Failure> {
        if error != 0 {
            counted.error(error);
            if !is_retriable(error) {
                return Err(Failure(format!("fetch: {}", error_name(error))));
            }
            // Whatever is wrong with the session, a new one repairs it.
            (self.session_id, self.session_epoch) = (0, 0);
            return Ok(false);
        }
        if self.options.sessions {
            self.session_id = session_id;
            // Without a session every request is a full one; with one, epochs go from the greatest back to 1.
            self.session_epoch = if session_id == 0 { 0 } else { self.session_epoch.checked_add(1).unwrap_or(1) };
        }
        Ok(true)
    }

    fn partition(&mut self, now: u64, answer: &PartitionData, counted: &mut Interval) -> Result<Counts, Failure> {
        let index = answer.partition_index;
        if answer.error_code != 0 {
            counted.error(answer.error_code);
            if !is_retriable(answer.error_code) {
                return Err(Failure(format!("fetch of partition {index}: {}", error_name(answer.error_code))));
            }
            return Ok(Counts::default());
        }
        let Some(place) = self.places.get_mut(&index) else {
            return Err(Failure(format!("fetch: an answer for partition {index}, which was not asked for")));
        };
        let Records::Bytes(bytes) = &answer.records else { return Ok(Counts::default()) };
        let mut counts = Counts { requests: 0, records: 0, bytes: bytes.len() as u64 };
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| Failure(format!("partition {index} at offset {}: {error}", place.offset)))?;
            let next = batch.header.next_offset().0;
            if next <= place.offset {
                continue;
            }
            if place.verifier.is_some() {
                counts.records += check(place, &batch, now, self.options.shared.is_some(), counted).map_err(Failure)?;
            } else {
                let before = place.offset.saturating_sub(batch.header.base_offset.0).max(0);
                counts.records += (i64::from(batch.header.records_count) - before).max(0) as u64;
            }
            place.offset = next;
        }
        if self.options.rewind && place.offset >= answer.high_watermark {
            place.offset = place.from.offset;
        }
        Ok(counts)
    }
}

/// Reads the records of a batch from the partition's offset on and checks each: how many there were.
fn check(place: &mut Place, batch: &Batch<'_>, now: u64, timed: bool, counted: &mut Interval) -> Result<u64, String> {
    let told = |what: String| format!("partition {} batch at offset {}: {what}", place.from.partition, batch.header.base_offset);
    if !batch.crc_is_valid() {
        return Err(told("the CRC does not hold".to_owned()));
    }
    if batch.header.attributes.is_control() {
        return Err(told("a control batch in a topic of stamped records".to_owned()));
    }
    let payload = batch.uncompressed_payload(MAX_BATCH_BYTES).map_err(|error| told(error.to_string()))?;
    let verifier = place.verifier.as_mut().expect("the caller looked");
    let mut count = 0;
    for record in record::Records::new(&payload, batch.header.records_count) {
        let record = record.map_err(|error| error.to_string())?;
        let offset = batch.offset_of(&record).0;
        // A fetch from the middle of a batch gets the whole batch.
        if offset < place.offset {
            continue;
        }
        let stamp: Stamp = verifier.check(offset, record.value.unwrap_or_default())?;
        count += 1;
        if timed {
            counted.record(Metric::EndToEnd, now.saturating_sub(stamp.intended), 1);
        }
    }
    Ok(count)
}

impl Role for Consumer {
    fn due(&self, now: u64) -> Option<u64> {
        let wanted = match self.has_read_all() {
            Some(all) => !all,
            None => !self.stopped,
        };
        (wanted && self.asked.is_none() && !self.is_done()).then_some(now)
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox, _: &mut Interval) -> Result<(), Failure> {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let request = self.request();
        let frame = encode_request(self.options.version, self.correlation, Some(CLIENT_ID), &request)
            .map_err(|error| Failure(format!("Fetch: {error}")))?;
        outbox.push_frame(&frame);
        self.asked = Some(now);
        Ok(())
    }

    fn receive(&mut self, now: u64, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let (correlation, answer) =
            decode_response::<FetchRequest>(frame, self.options.version).map_err(|error| Failure(format!("Fetch: {error}")))?;
        let Some(asked) = self.asked.take().filter(|_| correlation == self.correlation) else {
            return Err(Failure(format!("Fetch: answer {correlation} was not asked for")));
        };
        if !self.session(answer.error_code, answer.session_id, counted)? {
            return Ok(());
        }
        let mut total = Counts { requests: 1, ..Counts::default() };
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            total.add(self.partition(now, partition, counted)?);
        }
        counted.consumed.add(total);
        counted.record(Metric::Fetch, now.saturating_sub(asked), 1);
        if let Some((shared, _)) = &self.options.shared {
            shared.consumed.fetch_add(total.records, Ordering::Relaxed);
        }
        if let Some(left) = &self.options.records {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(total.records))).ok();
        }
        Ok(())
    }

    fn stop(&mut self, _: u64, _: &mut Interval) {
        self.stopped = true;
    }

    /// A fetch that waits for records is not waited for; records that an end-to-end run has sent are.
    fn unanswered(&self) -> u64 {
        u64::from(self.has_read_all() == Some(false))
    }

    fn is_done(&self) -> bool {
        if let Some(all) = self.has_read_all() {
            return all;
        }
        if self.options.records.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0) {
            return true;
        }
        let ended = |place: &Place| place.from.until.is_some_and(|until| place.offset >= until);
        self.places.values().all(ended)
    }
}

#[cfg(test)]
#[path = "consume_tests.rs"]
mod tests;
