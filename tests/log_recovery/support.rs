//! What was appended, and whether a log has it.

use bytes::Bytes;
use flumen::io::Io;
use flumen::log::{AppendBatch, Log, LogConfig, LogDir, LogError, MetaProperties, OpenLog, ReadRequest};
use flumen::model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicPartition};
use flumen::producer::ProducerBatch;
use flumen::record::{BatchBuilder, BatchHeader, Batches, Codec, Compression, numbered_head};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the log lives on the simulated disk.
pub const LOG_DIR: &str = "/data";
pub const DIR: &str = "/data/t-0";
/// A time in the future of the simulated clock, so that nothing is old.
pub const EPOCH_MS: i64 = 1_780_000_000_000;

/// Numbers that follow from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

pub fn partition() -> TopicPartition {
    TopicPartition::new("t", PartitionIndex(0))
}

/// Small enough that everything happens within a few hundred batches.
pub fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 200,
        segment_index_bytes: 4096,
        retention_ms: -1,
        file_delete_delay_ms: 10,
        ..LogConfig::default()
    }
}

pub fn how(config: LogConfig, recovery_point: Offset, log_start_offset: Offset, clean_shutdown: bool) -> OpenLog {
    OpenLog {
        dir: PathBuf::from(DIR),
        partition: partition(),
        topic_id: TopicId([7; 16]),
        config,
        recovery_point,
        log_start_offset,
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown,
        progress: None,
    }
}

/// A batch of `count` records, of an idempotent producer if `sequence` says so; timestamps from `timestamp` on.
pub fn batch(codec: Codec, count: i64, timestamp: i64, value: usize, sequence: Option<i32>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::of(codec));
    if let Some(sequence) = sequence {
        builder = builder.producer(ProducerId(4), 0, sequence);
    }
    for at in 0..count {
        let value: Vec<u8> = (0..value).map(|byte| (timestamp + at * 31 + byte as i64 * 7) as u8).collect();
        builder.append(timestamp + at, Some(format!("key {at}").as_bytes()), Some(&value));
    }
    builder.build()
}

/// As it has to lie in the file.
pub fn numbered(batch: &AppendBatch) -> Bytes {
    let mut whole = numbered_head(&batch.bytes, batch.base_offset, batch.leader_epoch).to_vec();
    whole.extend_from_slice(&batch.bytes[16..]);
    whole.into()
}

pub fn to_append(bytes: &[Bytes], mut next: Offset, epoch: LeaderEpoch) -> Vec<AppendBatch> {
    let number = |bytes: &Bytes| {
        let batch = AppendBatch::new(bytes.clone(), &BatchHeader::parse(bytes).unwrap(), next, epoch);
        next = batch.last_offset.plus(1);
        batch
    };
    bytes.iter().map(number).collect()
}

/// Enters the batches as a partition does before it appends them.
pub fn enter_producers(log: &Log, batches: &[AppendBatch]) {
    for batch in batches {
        let header = BatchHeader::parse(&batch.bytes).unwrap();
        if header.producer_id > ProducerId::NONE {
            log.producers().borrow_mut().append(ProducerBatch {
                producer_id: header.producer_id,
                producer_epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                base_offset: batch.base_offset,
                last_offset: batch.last_offset,
                max_timestamp: header.max_timestamp,
                transactional: false,
            });
        }
    }
}

/// Every batch that an append was begun for, by base offset; several where a crash or a truncation left it open which one counts.
#[derive(Clone, Default, Debug)]
pub struct Model {
    pub batches: BTreeMap<i64, Vec<Bytes>>,
    /// Log end offset of the last append that succeeded.
    pub written: i64,
    /// Everything below was flushed.
    pub flushed: i64,
    /// The log start offset was moved up to here at most.
    pub start: i64,
    /// The next sequence of the producer, by log end offset.
    pub sequences: BTreeMap<i64, i32>,
    /// Do not compare the epochs that the log knows with those of the batches.
    pub any_epoch: bool,
}

impl Model {
    pub fn begin(&mut self, batches: &[AppendBatch]) {
        for batch in batches {
            self.batches.entry(batch.base_offset.0).or_default().push(numbered(batch));
            let header = BatchHeader::parse(&batch.bytes).unwrap();
            if header.producer_id > ProducerId::NONE {
                self.sequences.insert(batch.last_offset.0 + 1, header.last_sequence() + 1);
            }
        }
    }

    /// The log is exactly what these bytes are, up to `end`.
    pub fn settle(&mut self, found: &BTreeMap<i64, Bytes>, end: i64) {
        self.batches.retain(|&base, _| base < end);
        for (base, bytes) in found {
            self.batches.insert(*base, vec![bytes.clone()]);
        }
        self.sequences.retain(|&at, _| at <= end);
        (self.written, self.flushed) = (end, self.flushed.min(end));
    }

    pub fn next_sequence(&self) -> i32 {
        self.sequences.last_key_value().map_or(0, |(_, &sequence)| sequence)
    }
}

/// The batches of one read, each checked by itself.
pub async fn read(io: &Io, log: &Log, offset: Offset, max_bytes: u64) -> Result<Vec<(i64, i64, Bytes)>, LogError> {
    let request = ReadRequest { offset, max_bytes, upper: log.log_end_offset(), at_least_one_batch: true };
    let plan = log.read(request).await?;
    assert!(plan.bytes <= max_bytes.max(plan.first_batch_bytes), "more than the budget");
    let mut bytes = Vec::new();
    for slice in &plan.slices {
        let got = slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap();
        assert_eq!(got.len() as u64, slice.len, "a plan never leads past the end");
        bytes.extend_from_slice(&got);
    }
    let bytes = Bytes::from(bytes);
    let mut found = Vec::new();
    for batch in Batches::new(&bytes) {
        let batch = batch.expect("a batch where the plan says");
        assert!(batch.crc_is_valid(), "a corrupt batch is served");
        let (base, end) = (batch.header.base_offset.0, batch.header.last_offset().0 + 1);
        found.push((base, end, bytes.slice(batch.position..batch.position + batch.bytes.len())));
    }
    assert_eq!(found.first().map_or(offset.0, |first| first.0), plan.base_offset.0);
    assert_eq!(found.first().map_or(0, |first| first.2.len() as u64), plan.first_batch_bytes);
    Ok(found)
}

/// Everything that the log serves, by base offset; checks that it has no holes and ends where it says.
pub async fn read_all(io: &Io, log: &Log, max_bytes: u64) -> Result<BTreeMap<i64, Bytes>, LogError> {
    let mut all = BTreeMap::new();
    let mut next = log.log_start_offset();
    while next < log.log_end_offset() {
        let found = read(io, log, next, max_bytes).await?;
        assert!(found.first().is_some_and(|first| first.0 <= next.0 && first.1 > next.0), "nothing at offset {next}");
        for (base, end, bytes) in found {
            assert!(base <= next.0, "a hole before offset {base}");
            assert!(end > next.0, "offset {base} comes twice");
            all.insert(base, bytes);
            next = Offset(end);
        }
    }
    assert_eq!(next, log.log_end_offset().max(log.log_start_offset()));
    Ok(all)
}

/// The log holds nothing but what was appended.
pub async fn check(io: &Io, log: &Log, model: &Model) -> Result<BTreeMap<i64, Bytes>, LogError> {
    let all = read_all(io, log, 3000).await?;
    for (base, bytes) in &all {
        let wanted = model.batches.get(base).unwrap_or_else(|| panic!("a batch at offset {base} that nobody has appended"));
        assert!(wanted.contains(bytes), "other bytes at offset {base} than were appended");
    }
    for (base, bytes) in all.iter().filter(|&(&base, _)| base >= log.log_start_offset().0) {
        let header = BatchHeader::parse(bytes).unwrap();
        if model.any_epoch {
            continue;
        }
        assert_eq!(log.epoch_for_offset(Offset(*base)), header.partition_leader_epoch, "epoch at offset {base}");
    }
    Ok(all)
}

/// The log directory, formatted if it was not yet.
pub async fn open_dir(io: &Io) -> LogDir {
    let path = Path::new(LOG_DIR);
    if LogDir::read_meta(io, path).await.unwrap().is_none() {
        let meta = MetaProperties { cluster_id: "c".into(), node_id: 1, directory_id: TopicId([3; 16]) };
        LogDir::format(io, path, &meta).await.unwrap();
    }
    LogDir::open(io.clone(), path, 1, Some("c")).await.unwrap()
}
