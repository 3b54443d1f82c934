//! What a producer sends as record data: batches, their records, the codecs, and the verdict on them.

use super::mutate::Random;
use super::{Case, Target, corpus, fuzz, mutate};
use bytes::Bytes;
use flumen::record::{
    BATCH_HEADER_BYTES, BatchHeader, Batches, Codec, Compression, Compressor, Decompressor, TimestampType, ValidateOptions,
    ValidatedBatch, Validator, seal, validate,
};

/// 2023-11-14, the time of the batches that Kafka made.
const NOW_MS: i64 = 1_700_000_000_000;
/// Uncompressed bytes that a run looks at.
const LIMIT: usize = 256 * 1024;

/// Kafka's own batches, of each codec and kind.
fn cases() -> Vec<Case> {
    corpus::parse(include_str!("../../src/record/testdata/batches.txt"))
}

/// Broken, and then often mended again: size and checksum are made to fit, or nothing behind those checks would be reached.
fn mutate_batch(random: &mut Random, cases: &[Case], case: &mut Case) {
    mutate::bytes(random, cases, case);
    let bytes = &mut case.bytes;
    if bytes.len() >= BATCH_HEADER_BYTES && !random.one_in(4) {
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        if !random.one_in(4) {
            bytes[16] = 2;
        }
        seal(bytes);
    }
    if random.one_in(6) {
        let other = &cases[random.below(cases.len())].bytes;
        bytes.extend_from_slice(other);
    }
    // What the topic asks for is part of the input.
    case.kind = random.below(64).to_string();
}

fn options(kind: &str) -> ValidateOptions {
    let bits: u32 = kind.parse().unwrap_or(0);
    let codecs =
        [None, None, Some(Codec::None), Some(Codec::Gzip), Some(Codec::Snappy), Some(Codec::Lz4), Some(Codec::Zstd), None];
    ValidateOptions {
        timestamp_type: if bits & 1 == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime },
        compacted: bits & 2 != 0,
        produce_version: if bits & 4 == 0 { 13 } else { 3 },
        compression: codecs[(bits >> 3) as usize & 7].map(Compression::of),
        max_decompressed_bytes: LIMIT,
        ..ValidateOptions::new(NOW_MS)
    }
}

/// A batch that was found good has what its header says.
fn check_accepted(input: &[u8], batch: &ValidatedBatch, options: &ValidateOptions) {
    let parsed: Vec<_> = Batches::new(&batch.bytes).collect();
    assert_eq!(parsed.len(), 1, "one batch is appended");
    let parsed = parsed[0].as_ref().expect("a whole batch");
    assert_eq!(parsed.bytes.len(), batch.bytes.len());
    assert!(parsed.crc_is_valid());
    assert_eq!(parsed.header, batch.header);
    let payload = parsed.uncompressed_payload(LIMIT).expect("it was decompressed before");
    let mut records = flumen::record::Records::new(&payload, batch.records_count());
    for delta in 0..batch.records_count() {
        let record = records.next().expect("as many records as the header says").expect("whole records");
        assert_eq!(record.offset_delta, delta, "offsets without a gap");
        assert!(!options.compacted || record.key.is_some(), "a compacted topic has keys");
    }
    assert!(records.next().is_none());
    // Under LogAppendTime the batch has the claim now that a producer may not make. And where a producer makes it to a topic that wants
    // CreateTime, Kafka takes the batch's time for that of every record; a second look would see the records' own times.
    let claimed =
        BatchHeader::parse(input).is_ok_and(|header| header.attributes.timestamp_type() == TimestampType::LogAppendTime);
    if options.timestamp_type == TimestampType::CreateTime && !claimed {
        let newest = ValidateOptions { produce_version: 13, ..*options };
        let again = validate(batch.bytes.clone(), &newest).expect("what is good stays good");
        assert_eq!((&again.bytes, again.header), (&batch.bytes, batch.header), "judging twice changes nothing");
    }
}

fn run_batch(case: &Case) -> bool {
    let options = options(&case.kind);
    let input = Bytes::copy_from_slice(&case.bytes);
    for batch in Batches::new(&input).take(8) {
        let Ok(batch) = batch else { break };
        batch.crc_is_valid();
        if let Ok(payload) = batch.uncompressed_payload(LIMIT) {
            assert!(payload.len() <= LIMIT);
            let records = flumen::record::Records::new(&payload, batch.header.records_count);
            for record in records {
                let Ok(record) = record else { break };
                record.headers.count();
                flumen::record::ControlRecordType::parse_key(record.key).ok();
                flumen::record::EndTransactionMarker::parse(record.key, record.value);
            }
        }
    }
    let verdict = validate(input.clone(), &options);
    let mut validator = Validator::new(input, options);
    let stepped = loop {
        if let Some(verdict) = validator.step(256) {
            break verdict;
        }
    };
    assert_eq!(stepped, verdict, "the verdict does not depend on the steps");
    if let Ok(batch) = &verdict {
        check_accepted(&case.bytes, batch, &options);
    }
    verdict.is_ok()
}

/// Some decompressed payloads and windows of the codecs; the input may be rebuilt once.
fn ceiling(input: usize) -> usize {
    6 * LIMIT + (4 << 20) + 64 * input
}

#[test]
fn batches() {
    let corpus = cases();
    let good = |case: &Case| validate(Bytes::copy_from_slice(&case.bytes), &options(&case.kind)).is_ok();
    let cases: Vec<Case> = corpus.iter().filter(|case| good(case)).cloned().collect();
    assert!(cases.len() >= 10, "Kafka's batches are good: {}", cases.len());
    fuzz(&Target { name: "batches", executions: 50_000, cases: &cases, mutate: mutate_batch, run: run_batch, ceiling });
}

fn codec(name: &str) -> Codec {
    let all = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    all.into_iter().find(|codec| codec.name() == name).expect("a codec")
}

fn run_payload(case: &Case) -> bool {
    let input = Bytes::copy_from_slice(&case.bytes);
    let Ok(mut stream) = Decompressor::new(codec(&case.kind), input, LIMIT) else { return false };
    let mut out = [0; 4096];
    loop {
        match stream.read(&mut out) {
            Ok(0) => return true,
            Ok(_) => assert!(stream.produced() <= LIMIT),
            Err(_) => return false,
        }
    }
}

#[test]
fn payloads() {
    let mut cases = Vec::new();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for length in [0, 1, 300, 5000, 100_000] {
            let mut stream = Compressor::new(Compression::of(codec), Vec::new());
            let text: Vec<u8> = (0..length).map(|at: usize| if at % 7 < 4 { b'a' } else { (at * at / 11) as u8 }).collect();
            stream.write(&text);
            cases.push(Case { kind: codec.name().to_owned(), bytes: stream.finish() });
        }
    }
    cases.retain(|case| case.bytes.len() <= mutate::MAX_BYTES);
    fuzz(&Target { name: "payloads", executions: 100_000, cases: &cases, mutate: mutate::bytes, run: run_payload, ceiling });
}
