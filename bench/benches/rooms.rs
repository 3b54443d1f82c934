//! Micro-benchmarks of what a broker does for each batch: checksum, parse and validation, codecs, append, read plan, message to another
//! core. `cargo bench -p flumen-bench -- FILTER`.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::io::{self, Io, Topology};
use flumen::log::{AppendBatch, Log, LogConfig, OpenLog, ReadRequest};
use flumen::model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use flumen::record::{BatchBuilder, BatchHeader, Codec, Compression, ValidateOptions, decompress, validate};
use flumen_bench::clock;
use flumen_bench::payload;
use flumen_bench::random::Random;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

/// A batch of `count` records of `size` bytes, half of them compressible.
fn batch(codec: Codec, count: usize, size: usize) -> Bytes {
    let mut random = Random::new(7);
    let mut builder = BatchBuilder::new(Compression::of(codec));
    for _ in 0..count {
        let mut value = vec![0; size];
        payload::fill(&mut value, 0.5, &mut random);
        builder.append(1_000, None, Some(&value));
    }
    builder.build()
}

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for size in [100, 1 << 10, 16 << 10, 1 << 20] {
        let bytes = vec![0xa5u8; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &bytes, |b, bytes| b.iter(|| crc32c::crc32c(black_box(bytes))));
    }
    group.finish();
}

fn parse(c: &mut Criterion) {
    let one = batch(Codec::None, 1, 100);
    c.bench_function("batch_header/parse", |b| b.iter(|| BatchHeader::parse(black_box(&one)).unwrap()));
    let mut group = c.benchmark_group("validate");
    for (name, codec, count, size) in [
        ("1x100B", Codec::None, 1, 100),
        ("100x100B", Codec::None, 100, 100),
        ("900x1KiB", Codec::None, 900, 1024),
        ("100x1KiB lz4", Codec::Lz4, 100, 1024),
    ] {
        let batch = batch(codec, count, size);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &batch, |b, batch| {
            b.iter(|| validate(black_box(batch.clone()), &ValidateOptions::new(2_000)).unwrap());
        });
    }
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let plain = batch(Codec::None, 64, 1024).slice(61..);
    for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
        let mut group = c.benchmark_group(codec.name());
        group.throughput(Throughput::Bytes(plain.len() as u64));
        let compress = || {
            let mut compressor = flumen::record::Compressor::new(Compression::of(codec), Vec::new());
            compressor.write(black_box(&plain));
            compressor.finish()
        };
        group.bench_function("compress 64 KiB", |b| b.iter(compress));
        let packed = Bytes::from(compress());
        group.bench_function("decompress 64 KiB", |b| b.iter(|| decompress(codec, black_box(packed.clone()), 1 << 20).unwrap()));
        group.finish();
    }
}

/// Runs `body` on the broker's own executors, with its real files, and returns what it says.
fn on_cores<T: Send + 'static, F: Future<Output = T> + 'static>(
    cores: usize,
    body: impl Fn(Io) -> F + Send + Sync + Clone + 'static,
) -> Vec<T> {
    let (said, hear) = mpsc::channel();
    let topology = Topology { cores, busy_poll: Duration::ZERO };
    let main = move |io: Io| {
        let (said, body) = (said.clone(), body.clone());
        async move {
            let value = body(io).await;
            said.send(value).unwrap();
        }
    };
    io::start(&topology, main).unwrap().join().unwrap();
    hear.iter().collect()
}

async fn open(io: &Io, dir: &std::path::Path) -> Log {
    let open = OpenLog {
        dir: dir.join("t-0"),
        partition: TopicPartition::new("t", PartitionIndex(0)),
        topic_id: TopicId([7; 16]),
        config: LogConfig::default(),
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown: true,
        progress: None,
    };
    Log::open(io.clone(), open).await.unwrap()
}

async fn append(log: &Log, batch: &Bytes, times: u64) {
    let header = BatchHeader::parse(batch).unwrap();
    for _ in 0..times {
        let batch = AppendBatch::new(batch.clone(), &header, log.log_end_offset(), LeaderEpoch(0));
        log.append(vec![batch]).await.unwrap();
    }
}

/// One iteration of what needs an executor is so many operations: starting one for each would be all that is measured.
const OPERATIONS: u64 = 1_000;
/// Appends that much at most to one log, so that a long benchmark does not fill the disk.
const LOG_BYTES: u64 = 256 << 20;

/// Time of `count` appends on a core, the log being deleted and begun anew now and then.
fn time_appends(batch: &Bytes, count: u64) -> Duration {
    let each = LOG_BYTES / batch.len() as u64;
    let batch = batch.clone();
    let body = move |io: Io| {
        let batch = batch.clone();
        async move {
            let (mut left, mut total) = (count, 0);
            while left > 0 {
                let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                let log = open(&io, dir.path()).await;
                // The first append makes the segment's files.
                append(&log, &batch, 1).await;
                let count = left.min(each);
                let start = clock::now();
                append(&log, &batch, count).await;
                total += clock::now() - start;
                left -= count;
                log.close().await.unwrap();
            }
            Duration::from_nanos(total)
        }
    };
    on_cores(1, body)[0]
}

fn log(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_append");
    group.sample_size(10);
    for (name, records, size, times) in
        [("1000 of 1x100B", 1, 100, OPERATIONS), ("1000 of 16x1KiB", 16, 1024, OPERATIONS), ("20 of 900x1KiB", 900, 1024, 20)]
    {
        let batch = batch(Codec::None, records, size);
        group.throughput(Throughput::Bytes(batch.len() as u64 * times));
        group.bench_function(name, |b| b.iter_custom(|iterations| time_appends(&batch, iterations * times)));
    }
    group.finish();
    let mut group = c.benchmark_group("log_read_plan");
    group.sample_size(10).throughput(Throughput::Elements(OPERATIONS));
    // A read plan is an offset index look-up and a short scan of batch headers from there.
    group.bench_function("1000 random offsets of 64 MiB", |b| b.iter_custom(|iterations| time_look_ups(iterations * OPERATIONS)));
    group.finish();
}

/// Time of `count` read plans from random offsets of a log on a core.
fn time_look_ups(count: u64) -> Duration {
    let batch = batch(Codec::None, 4, 1024);
    let body = move |io: Io| {
        let batch = batch.clone();
        async move {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let log = open(&io, dir.path()).await;
            append(&log, &batch, (64 << 20) / batch.len() as u64).await;
            let (end, mut random) = (log.log_end_offset(), Random::new(3));
            let start = clock::now();
            for _ in 0..count {
                let offset = Offset(random.below(end.0 as u64) as i64);
                let request = ReadRequest { offset, max_bytes: 1 << 20, upper: end, at_least_one_batch: true };
                black_box(log.read(request).await.unwrap());
            }
            let took = clock::now() - start;
            log.close().await.unwrap();
            Duration::from_nanos(took)
        }
    };
    on_cores(1, body)[0]
}

/// Time of `count` messages to another core and back, one after the other.
fn time_messages(count: u64) -> Duration {
    let (ask, asked) = io::mailbox::<io::ReplySender<u64>>();
    // Handed to whichever core comes for its half.
    let ends = std::sync::Arc::new(halves(ask, asked));
    let body = move |io: Io| {
        let ends = ends.clone();
        async move {
            if io.core() == 0 {
                let ask = ends.0.lock().unwrap().take().unwrap();
                let start = clock::now();
                for _ in 0..count {
                    let (answer, answered) = io::reply();
                    ask.send(answer);
                    black_box(answered.await.unwrap());
                }
                Duration::from_nanos(clock::now() - start)
            } else {
                let mut asked = ends.1.lock().unwrap().take().unwrap();
                while let Some(answer) = asked.recv().await {
                    answer.send(1);
                }
                Duration::ZERO
            }
        }
    };
    on_cores(2, body).into_iter().max().unwrap()
}

type Half<T> = std::sync::Mutex<Option<T>>;

fn halves<A, B>(a: A, b: B) -> (Half<A>, Half<B>) {
    (std::sync::Mutex::new(Some(a)), std::sync::Mutex::new(Some(b)))
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("message");
    group.sample_size(10).throughput(Throughput::Elements(OPERATIONS));
    group.bench_function("1000 to another core and back", |b| b.iter_custom(|iterations| time_messages(iterations * OPERATIONS)));
    group.finish();
}

criterion_group!(benches, checksum, parse, codecs, log, messages);
criterion_main!(benches);
