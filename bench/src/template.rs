//! Produce requests that are built once and sent many times.
//!
//! Building a request of 1 MiB costs as much as a broker needs to take it, so a generator that built each one would measure itself.
//! A [`Template`] is a whole frame with sealed batches; where nothing in it may vary, all connections send the same bytes. Where
//! something must vary (a stamp, a sequence of an idempotent producer), the frame is copied, patched at known places and sealed
//! again; and only stamped records inside a compressed batch have to be compressed for each request.

use crate::kafka::CLIENT_ID;
use crate::link::{Body, HEAD_BYTES};
use crate::payload;
use crate::random::Random;
use crate::stamp::{STAMP_BYTES, Stamp, topic_number};
use bytes::Bytes;
use flumen::model::{ProducerId, TopicId};
use flumen::protocol::generated::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen::protocol::generated::request_header::RequestHeader;
use flumen::protocol::{ApiKey, Chunk, Message, Records, StrBytes, Writer};
use flumen::record::{self, BATCH_HEADER_BYTES, Batch, BatchBuilder, Codec, Compression};
use std::ops::Range;
use std::rc::Rc;

/// Produce versions from which the topic is named by its id.
const TOPIC_ID_VERSION: i16 = 13;
/// Where a batch has base and max timestamp, and producer id, epoch and base sequence.
const TIMESTAMPS: Range<usize> = 27..43;
const PRODUCER: Range<usize> = 43..57;
const CORRELATION: Range<usize> = 8..12;

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub topic: String,
    pub id: TopicId,
    pub version: i16,
    pub acks: i16,
    /// Milliseconds that the broker may wait for replicas.
    pub timeout_ms: i32,
    /// Bytes of a value.
    pub record_size: usize,
    pub records_per_batch: usize,
    pub codec: Codec,
    /// Share of a value that is repeated text, 0 to 1.
    pub compressible: f64,
    /// Whether values carry stamps.
    pub stamped: bool,
    /// The keys that belong to each partition; none without keys.
    pub keys: Option<Vec<Vec<u64>>>,
    pub seed: u64,
}

/// What may vary from one sending of a batch to the next.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Milliseconds since 1970, of all its records.
    pub timestamp: i64,
    /// Id, epoch and base sequence of an idempotent producer.
    pub producer: Option<(i64, i16, i32)>,
    /// For stamped records: the producer's number, the first record's sequence, the intended send time.
    pub stamp: Option<(u32, u64, u64)>,
}

/// One batch inside a template.
#[derive(Clone, Debug)]
pub struct Place {
    pub partition: i32,
    pub records: u32,
    /// Where it lies in the body.
    at: Range<usize>,
    /// Where its values begin in it, when they are to be stamped in place.
    values: Vec<usize>,
    /// Its records, when they have to be compressed anew.
    records_to_compress: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

/// A request that is there already.
#[derive(Clone, Debug)]
pub struct Template {
    recipe: Rc<Recipe>,
    head: [u8; HEAD_BYTES],
    body: Rc<Vec<u8>>,
    pub places: Vec<Place>,
}

impl Place {
    /// Bytes of the batch.
    pub fn bytes(&self) -> u64 {
        self.at.len() as u64
    }
}

impl Recipe {
    /// The frame of a Produce with these batches: head, body, and where in the body each batch lies.
    fn frame(&self, partitions: &[i32], batches: &[Bytes]) -> ([u8; HEAD_BYTES], Vec<u8>, Vec<Range<usize>>) {
        let data = |(index, (partition, batch)): (usize, (&i32, &Bytes))| PartitionProduceData {
            index: *partition,
            records: Records::External { len: batch.len(), index },
        };
        let mut topic = TopicProduceData {
            partition_data: partitions.iter().zip(batches).enumerate().map(data).collect(),
            ..TopicProduceData::default()
        };
        if self.version >= TOPIC_ID_VERSION {
            topic.topic_id = self.id;
        } else {
            topic.name = StrBytes::from(&self.topic);
        }
        let request =
            ProduceRequest { transactional_id: None, acks: self.acks, timeout_ms: self.timeout_ms, topic_data: vec![topic] };
        let header = RequestHeader {
            request_api_key: ApiKey::Produce as i16,
            request_api_version: self.version,
            correlation_id: 0,
            client_id: Some(CLIENT_ID),
        };
        let mut writer = Writer::new();
        writer.i32(0);
        let encoded = header.encode(&mut writer, ApiKey::Produce.request_header_version(self.version));
        encoded.and_then(|()| request.encode(&mut writer, self.version)).expect("every served version can carry the request");
        let size = i32::try_from(writer.len() - 4).expect("a request is smaller than 2 GiB");
        writer.set_first_i32(size);
        let (mut frame, mut places) = (Vec::with_capacity(writer.len()), Vec::new());
        for chunk in writer.into_chunks() {
            match chunk {
                Chunk::Bytes(bytes) => frame.extend_from_slice(&bytes),
                Chunk::External { index, .. } => {
                    places.push(frame.len() - HEAD_BYTES..frame.len() - HEAD_BYTES + batches[index].len());
                    frame.extend_from_slice(&batches[index]);
                }
            }
        }
        let body = frame.split_off(HEAD_BYTES);
        (frame.try_into().expect("a head's bytes"), body, places)
    }

    fn batch(&self, records: &[(Option<Vec<u8>>, Vec<u8>)], timestamp: i64, producer: Option<(i64, i16, i32)>) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::of(self.codec));
        if let Some((id, epoch, sequence)) = producer {
            builder = builder.producer(ProducerId(id), epoch, sequence);
        }
        for (key, value) in records {
            builder.append(timestamp, key.as_deref(), Some(value));
        }
        builder.build()
    }

    fn records(&self, partition: i32, random: &mut Random) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let keys = self.keys.as_ref().map(|keys| &keys[partition as usize]);
        let record = |_| {
            let key = keys.map(|keys| payload::key(keys[random.below(keys.len() as u64) as usize]));
            let mut value = vec![0; self.record_size];
            payload::fill(&mut value, self.compressible, random);
            (key, value)
        };
        (0..self.records_per_batch).map(record).collect()
    }
}

impl Template {
    /// A request with one batch for each of the partitions. Templates of different `variant` differ in their payload.
    ///
    /// Its records carry `timestamp` for as long as it is sent unpatched: the time at which the run began.
    pub fn new(recipe: &Rc<Recipe>, partitions: &[i32], variant: u64, timestamp: i64) -> Self {
        assert!(!recipe.stamped || recipe.record_size >= STAMP_BYTES, "a stamped value has room for its stamp");
        let mut random = Random::new(recipe.seed ^ variant << 40 ^ u64::from(partitions[0] as u32));
        let records: Vec<_> = partitions.iter().map(|partition| recipe.records(*partition, &mut random)).collect();
        let batches: Vec<_> = records.iter().map(|records| recipe.batch(records, timestamp, None)).collect();
        let (head, body, at) = recipe.frame(partitions, &batches);
        let in_place = recipe.stamped && recipe.codec == Codec::None;
        let place = |(i, at): (usize, Range<usize>)| Place {
            partition: partitions[i],
            records: recipe.records_per_batch as u32,
            at,
            values: if in_place { value_positions(&batches[i]) } else { Vec::new() },
            records_to_compress: if recipe.stamped && !in_place { records[i].clone() } else { Vec::new() },
        };
        let places = at.into_iter().enumerate().map(place).collect();
        Self { recipe: recipe.clone(), head, body: Rc::new(body), places }
    }

    /// Bytes of its batches. Batches that are compressed for each request vary a little around that.
    pub fn batch_bytes(&self) -> u64 {
        self.places.iter().map(Place::bytes).sum()
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> usize {
        HEAD_BYTES + self.body.len()
    }

    /// Records of all its batches.
    pub fn records(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.records)).sum()
    }

    /// The request as it is.
    pub fn plain(&self, correlation: i32) -> ([u8; HEAD_BYTES], Body) {
        (numbered(self.head, correlation), Body::Shared(self.body.clone()))
    }

    /// The request with each batch patched, in `buffer`.
    pub fn patched(
        &self,
        correlation: i32,
        mut buffer: Vec<u8>,
        mut patch: impl FnMut(&Place) -> Patch,
    ) -> ([u8; HEAD_BYTES], Body) {
        if self.recipe.stamped && self.recipe.codec != Codec::None {
            return self.compressed(correlation, patch);
        }
        buffer.clear();
        buffer.extend_from_slice(&self.body);
        for place in &self.places {
            let patch = patch(place);
            let batch = &mut buffer[place.at.clone()];
            let time = patch.timestamp.to_be_bytes();
            batch[TIMESTAMPS][..8].copy_from_slice(&time);
            batch[TIMESTAMPS][8..].copy_from_slice(&time);
            if let Some((id, epoch, sequence)) = patch.producer {
                batch[PRODUCER][..8].copy_from_slice(&id.to_be_bytes());
                batch[PRODUCER][8..10].copy_from_slice(&epoch.to_be_bytes());
                batch[PRODUCER][10..].copy_from_slice(&sequence.to_be_bytes());
            }
            if let Some(stamp) = patch.stamp {
                for (i, at) in place.values.iter().enumerate() {
                    self.stamp(place, stamp, i).write(&mut batch[*at..*at + self.recipe.record_size]);
                }
            }
            record::seal(batch);
        }
        (numbered(self.head, correlation), Body::Own(buffer))
    }

    fn stamp(&self, place: &Place, (producer, first, intended): (u32, u64, u64), record: usize) -> Stamp {
        let topic = topic_number(&self.recipe.topic);
        Stamp { topic, partition: place.partition as u32, producer, sequence: first + record as u64, intended }
    }

    fn compressed(&self, correlation: i32, mut patch: impl FnMut(&Place) -> Patch) -> ([u8; HEAD_BYTES], Body) {
        let batch = |place: &Place| {
            let patch = patch(place);
            let mut records = place.records_to_compress.clone();
            for (i, (_, value)) in records.iter_mut().enumerate() {
                self.stamp(place, patch.stamp.expect("stamped records get stamps"), i).write(value);
            }
            self.recipe.batch(&records, patch.timestamp, patch.producer)
        };
        let batches: Vec<Bytes> = self.places.iter().map(batch).collect();
        let partitions: Vec<i32> = self.places.iter().map(|place| place.partition).collect();
        let (head, body, _) = self.recipe.frame(&partitions, &batches);
        (numbered(head, correlation), Body::Own(body))
    }
}

fn numbered(mut head: [u8; HEAD_BYTES], correlation: i32) -> [u8; HEAD_BYTES] {
    head[CORRELATION].copy_from_slice(&correlation.to_be_bytes());
    head
}

/// Where the values of an uncompressed batch begin in it.
fn value_positions(batch: &Bytes) -> Vec<usize> {
    let parsed = Batch::parse(batch).expect("a batch that was just built");
    let start = parsed.payload().as_ptr() as usize;
    let position = |record: Result<record::Record<'_>, _>| {
        let value = record.expect("a record that was just built").value.expect("every record has a value");
        value.as_ptr() as usize - start + BATCH_HEADER_BYTES
    };
    parsed.records().expect("it is not compressed").map(position).collect()
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
