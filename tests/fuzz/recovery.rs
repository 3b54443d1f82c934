//! A partition's directory with anything in it: segments, indexes, producer snapshots, checkpoints.
//!
//! Opening it succeeds or says what is wrong; it does not panic and does not believe a length. What was opened can be read from
//! end to end, holds only batches whose checksum holds, takes a new batch, and is the same when it is opened again.

use super::mutate::Random;
use super::{Case, Target, corpus, fuzz, mutate};
use flumen::io::Io;
use flumen::io::sim::{HostId, Options, World};
use flumen::log::{AppendBatch, Log, LogConfig, OpenLog, ReadRequest, parse_offsets};
use flumen::model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicPartition};
use flumen::producer::{decode_snapshot, encode_snapshot};
use flumen::record::{BatchBuilder, BatchHeader, Batches, Codec, Compression, ControlRecordType, seal};
use std::collections::BTreeMap;
use std::path::Path;

const DIR: &str = "/data/t-0";
const TOPIC_ID: TopicId = TopicId([7; 16]);

/// Files by name, as they stand in a case: for each the length of the name in a byte, the name, the length of the content in four
/// bytes, the content.
type Files = BTreeMap<String, Vec<u8>>;

fn pack(files: &Files) -> Vec<u8> {
    let one = |(name, content): (&String, &Vec<u8>)| {
        let length = (content.len() as u32).to_be_bytes();
        [&[name.len() as u8][..], name.as_bytes(), &length, content].concat()
    };
    files.iter().flat_map(one).collect()
}

fn unpack(mut bytes: &[u8]) -> Files {
    let mut files = Files::new();
    let take = |bytes: &mut &[u8], count: usize| {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken.to_vec()
    };
    while !bytes.is_empty() {
        let length = take(&mut bytes, 1)[0];
        let name = String::from_utf8(take(&mut bytes, usize::from(length))).unwrap();
        let length = u32::from_be_bytes(take(&mut bytes, 4).try_into().unwrap());
        files.insert(name, take(&mut bytes, length as usize));
    }
    files
}

/// Breaks one file or two, removes one, or puts the content of one into another; checksums often hold afterwards.
fn mutate_files(random: &mut Random, cases: &[Case], case: &mut Case) {
    let mut files = unpack(&case.bytes);
    let names: Vec<String> = files.keys().cloned().collect();
    let parts: Vec<Case> = files.values().map(|content| Case { kind: String::new(), bytes: content.clone() }).collect();
    for _ in 0..random.below(3) {
        let name = &names[random.below(names.len())];
        match random.below(12) {
            0 => drop(files.remove(name)),
            1 => drop(files.insert(name.clone(), parts[random.below(parts.len())].bytes.clone())),
            2 => {
                let (_, suffix) = name.split_once('.').unwrap_or(("", "log"));
                let base = random.next() >> random.below(64);
                files.insert(format!("{base:020}.{suffix}"), parts[random.below(parts.len())].bytes.clone());
            }
            _ => {
                let mut part = Case { kind: String::new(), bytes: files.get(name).cloned().unwrap_or_default() };
                mutate::bytes(random, &parts, &mut part);
                if name.ends_with(".log") && random.one_in(2) {
                    reseal(&mut part.bytes);
                } else if name.ends_with(".snapshot") && random.one_in(2) {
                    mend_snapshot(&mut part.bytes);
                }
                files.insert(name.clone(), part.bytes);
            }
        }
    }
    if random.one_in(3) {
        case.kind = cases[random.below(cases.len())].kind.clone();
    }
    case.bytes = pack(&files);
}

/// Makes the checksum of every batch hold whose size is plausible.
fn reseal(log: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = log.get(at..at + 61) {
        let length = u32::from_be_bytes(head[8..12].try_into().unwrap()) as usize;
        let Some(batch) = log.get_mut(at..at + 12 + length).filter(|batch| batch.len() >= 61) else { return };
        let size = batch.len();
        seal(batch);
        at += size;
    }
}

/// The checksum of Kafka's producer snapshot: CRC-32C in bytes 2 to 6, of what follows.
fn mend_snapshot(file: &mut [u8]) {
    if let Some((head, rest)) = file.split_at_mut_checked(6) {
        head[2..6].copy_from_slice(&crc32c::crc32c(rest).to_be_bytes());
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 128,
        segment_index_bytes: 1024,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// The kind of a case is `clean` or `unclean` and the two checkpoints: recovery point and log start offset.
fn how(kind: &str) -> OpenLog {
    let words: Vec<&str> = kind.split(' ').collect();
    let [stop, recovery_point, log_start] = words[..] else { panic!("{kind}") };
    OpenLog {
        dir: DIR.into(),
        partition: TopicPartition::new("t", PartitionIndex(0)),
        topic_id: TOPIC_ID,
        config: config(),
        recovery_point: Offset(recovery_point.parse().unwrap()),
        log_start_offset: Offset(log_start.parse().unwrap()),
        high_watermark: Offset::ZERO,
        cleaned: None,
        clean_shutdown: stop == "clean",
        progress: None,
    }
}

fn world() -> (World, HostId) {
    let world = World::new(1, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move { io.create_dir_all(Path::new(DIR)).await.unwrap() });
    (world, host)
}

fn run_files(case: &Case) -> bool {
    let (world, host) = world();
    for (name, content) in unpack(&case.bytes) {
        world.disk(host).put(Path::new(DIR).join(name), content);
    }
    let kind = case.kind.clone();
    world.run(host, |io| async move {
        let Ok(log) = Log::open(io.clone(), how(&kind)).await else { return false };
        let end = log.log_end_offset();
        let recovered_all = how(&kind).recovery_point == Offset::ZERO && !how(&kind).clean_shutdown;
        check_log(&io, &log, recovered_all).await;
        let next = append(&log, records(Codec::None, 2)).await;
        assert_eq!(next, Some(end.plus(2)), "a log that was opened takes records");
        log.close().await.unwrap();
        // What lies before the recovery point was taken on trust: a look at all of it may find that records are lost, and say so.
        let again = Log::open(io.clone(), how(&format!("unclean 0 {}", log.log_start_offset()))).await;
        if recovered_all {
            let log = again.expect("opens again");
            assert_eq!(log.log_end_offset(), end.plus(2), "and is the same then");
            check_log(&io, &log, true).await;
        }
        true
    })
}

/// Reads it from start to end.
async fn check_log(io: &Io, log: &Log, checked: bool) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(start <= end, "{start} {end}");
    let mut next = start;
    while next < end {
        let request = ReadRequest { offset: next, max_bytes: 300, upper: end, at_least_one_batch: true };
        let Ok(plan) = log.read(request).await else {
            assert!(!checked, "a log that was recovered whole can be read whole");
            return;
        };
        let mut bytes = Vec::new();
        for slice in &plan.slices {
            bytes.extend_from_slice(&slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap());
        }
        if bytes.is_empty() {
            // A gap: nothing says that every offset up to the end is taken.
            assert!(plan.base_offset >= next);
            return;
        }
        let mut seen = next;
        for batch in Batches::new(&bytes) {
            let Ok(batch) = batch else {
                assert!(!checked, "recovery keeps whole batches only");
                return;
            };
            if checked {
                assert!(batch.crc_is_valid(), "recovery keeps no broken batch");
                assert!(batch.header.last_offset() >= seen && batch.header.last_offset() < end);
            }
            seen = batch.header.last_offset().plus(1);
        }
        if seen <= next {
            assert!(!checked, "a read at {next} gave nothing behind it");
            return;
        }
        next = seen;
    }
}

fn records(codec: Codec, count: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::of(codec));
    for at in 0..count {
        builder.append(1_700_000_000_000 + at, Some(b"key"), Some(b"some value"));
    }
    builder
}

async fn append(log: &Log, batch: BatchBuilder) -> Option<Offset> {
    let bytes = batch.build();
    let header = BatchHeader::parse(&bytes).unwrap();
    let epoch = LeaderEpoch(log.latest_epoch().0.max(0));
    let batch = AppendBatch::new(bytes, &header, log.log_end_offset(), epoch);
    if batch.last_offset.0 == i64::MAX {
        return Some(batch.base_offset.plus(2)); // the last offset there is; nobody gets there by writing
    }
    log.append(vec![batch]).await.ok().map(|appended| appended.log_end_offset)
}

/// A mebibyte is read at a time, twice; then indexes and state of what is there, and the world itself.
fn ceiling(input: usize) -> usize {
    (6 << 20) + 64 * input
}

#[test]
fn recovery() {
    let cases = corpus::read("recovery");
    fuzz(&Target { name: "recovery", executions: 20_000, cases: &cases, mutate: mutate_files, run: run_files, ceiling });
}

/// The log's own entry: one segment file without anything beside it. Every batch that is served is checked there.
fn run_segment(case: &Case) -> bool {
    flumen::log::fuzz_recovery(&case.bytes);
    Batches::new(&case.bytes[1.min(case.bytes.len())..]).next().is_some_and(|batch| batch.is_ok_and(|batch| batch.crc_is_valid()))
}

fn mutate_segment(random: &mut Random, cases: &[Case], case: &mut Case) {
    mutate::bytes(random, cases, case);
    if random.one_in(2) && !case.bytes.is_empty() {
        reseal(&mut case.bytes[1..]);
    }
}

#[test]
fn segments() {
    let files = corpus::read("recovery").into_iter().flat_map(|case| unpack(&case.bytes));
    let logs = files.filter(|(name, content)| name.ends_with(".log") && !content.is_empty());
    let case = |(_, content): (String, Vec<u8>)| Case { kind: "log".into(), bytes: [vec![0], content].concat() };
    let cases: Vec<Case> = logs.map(case).filter(run_segment).collect();
    let run = run_segment;
    fuzz(&Target { name: "segments", executions: 20_000, cases: &cases, mutate: mutate_segment, run, ceiling });
}

fn run_checkpoint(case: &Case) -> bool {
    match case.kind.as_str() {
        "offsets" => {
            let Ok(offsets) = parse_offsets(&case.bytes) else { return false };
            assert_eq!(parse_offsets(flumen::log::format_offsets(&offsets).as_bytes()).as_ref(), Ok(&offsets));
            true
        }
        "snapshot" => {
            let Ok(entries) = decode_snapshot(&case.bytes) else { return false };
            let written = encode_snapshot(entries.iter().map(|(id, entry)| (*id, entry)));
            assert_eq!(decode_snapshot(&written).expect("what was written can be read").len(), entries.len());
            true
        }
        other => panic!("no checkpoint {other}"),
    }
}

fn mutate_checkpoint(random: &mut Random, cases: &[Case], case: &mut Case) {
    mutate::bytes(random, cases, case);
    if case.kind == "snapshot" && !random.one_in(4) {
        mend_snapshot(&mut case.bytes);
    }
}

#[test]
fn checkpoints() {
    let snapshots = corpus::read("recovery").into_iter().flat_map(|case| unpack(&case.bytes));
    let snapshots = snapshots.filter(|(name, _)| name.ends_with(".snapshot"));
    let mut cases: Vec<Case> = snapshots.map(|(_, bytes)| Case { kind: "snapshot".into(), bytes }).collect();
    for text in ["0\n0\n", "0\n1\nt 0 5\n", "0\n3\nsome-topic 0 0\nsome-topic 11 9223372036854775807\nu 2 77\n"] {
        cases.push(Case { kind: "offsets".into(), bytes: text.into() });
    }
    let run = run_checkpoint;
    fuzz(&Target { name: "checkpoints", executions: 200_000, cases: &cases, mutate: mutate_checkpoint, run, ceiling });
}

/// Transactions, one committed and one aborted, codecs and plain records over some segments.
async fn fill(log: &Log) {
    for round in 0..3 {
        append(log, records(Codec::None, 3)).await.unwrap();
        append(log, records([Codec::Lz4, Codec::Zstd, Codec::Gzip][round as usize], 5)).await.unwrap();
        append(log, records(Codec::None, 2).producer(ProducerId(7), 1, round * 2).transactional(true)).await.unwrap();
        append(log, records(Codec::None, 2).producer(ProducerId(9), 0, round * 2)).await.unwrap();
        let marker = if round == 0 { ControlRecordType::Commit } else { ControlRecordType::Abort };
        let mut end = BatchBuilder::new(Compression::NONE).producer(ProducerId(7), 1, -1).transactional(true).control(true);
        end.append(1_700_000_000_000, Some(&[0, 0, 0, u8::from(marker == ControlRecordType::Commit)]), Some(&[0, 0, 0, 0, 0, 3]));
        append(log, end).await.unwrap();
    }
}

#[test]
#[ignore = "writes the corpus anew"]
fn make_recovery_corpus() {
    let mut cases = Vec::new();
    for (name, rounds, kinds) in [("empty", 0, ["clean 0 0", "unclean 0 0"]), ("filled", 1, ["unclean 0 0", "unclean 14 3"])] {
        let (world, host) = world();
        world.run(host, |io| async move {
            let log = Log::open(io.clone(), how("clean 0 0")).await.unwrap();
            for _ in 0..rounds {
                fill(&log).await;
            }
            drop(log);
            // Recovery writes the snapshots and the transaction indexes, since nobody told the producer state of the appends.
            let log = Log::open(io, how("unclean 0 0")).await.unwrap();
            log.close().await.unwrap();
        });
        let disk = world.disk(host);
        let name_of = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = disk.files().into_iter().filter(|path| path.starts_with(DIR));
        let files: Files = files.map(|path| (name_of(&path), disk.read(&path).unwrap())).collect();
        println!("{name}: {:?}", files.iter().map(|(name, content)| (name, content.len())).collect::<Vec<_>>());
        cases.extend(kinds.map(|kind| Case { kind: kind.to_owned(), bytes: pack(&files) }));
        if rounds > 0 {
            cases.push(Case { kind: "clean 42 0".into(), bytes: pack(&files) });
        }
    }
    corpus::write("recovery", "directories.txt", "clean stop or not, recovery point, log start offset, files", &cases);
}
