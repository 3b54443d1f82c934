//! Batches that break the rules, and batches that are bombs.

use super::client::{Client, PRODUCE, batch, produce_request};
use super::support::broker::Kind;
use super::{Attack, SHORT, corpus};
use flumen::protocol::generated::ProduceRequest;
use flumen::record::varint::write_varint;
use flumen::record::{BATCH_HEADER_BYTES, Codec, Compression, Compressor, seal};
use std::time::Duration;

const TOPIC: &str = "attacked";

fn good() -> Vec<u8> {
    batch(Compression::NONE, &[b"one", b"two"]).to_vec()
}

/// A good batch with some bytes replaced, and its checksum made to hold again.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = good();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut batch);
    batch
}

/// A good batch that says another length; the checksum does not cover it.
fn with_length(length: i32) -> Vec<u8> {
    let mut batch = good();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch
}

/// Kafka 4.2.0's codes: what it answered to these, in the same order of checks, is in the record room's test data.
fn broken() -> Vec<(&'static str, i16, Vec<u8>)> {
    const CORRUPT_MESSAGE: i16 = 2;
    const INVALID_TIMESTAMP: i16 = 32;
    const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
    const INVALID_RECORD: i16 = 87;
    let mut bad_crc = good();
    *bad_crc.last_mut().unwrap() ^= 1;
    let two = [good(), good()].concat();
    let mut no_end = good();
    no_end.truncate(70);
    let far_ahead = i64::MAX.to_be_bytes();
    vec![
        ("the checksum", CORRUPT_MESSAGE, bad_crc),
        ("a length beyond the bytes", INVALID_RECORD, with_length(1000)),
        ("a negative length", CORRUPT_MESSAGE, with_length(-1)),
        ("a length shorter than a header", CORRUPT_MESSAGE, with_length(20)),
        ("cut", INVALID_RECORD, no_end),
        ("an unknown codec", UNSUPPORTED_COMPRESSION_TYPE, with(21, &[0, 5])),
        ("more records than there are", INVALID_RECORD, with(57, &3_i32.to_be_bytes())),
        ("a negative count", INVALID_RECORD, with(57, &(-1_i32).to_be_bytes())),
        ("a last offset that does not fit", INVALID_RECORD, with(23, &5_i32.to_be_bytes())),
        ("a base offset", INVALID_RECORD, with(0, &7_i64.to_be_bytes())),
        ("a control batch", INVALID_RECORD, with(21, &[0, 0x20])),
        ("a timestamp far ahead", INVALID_TIMESTAMP, with(27, &far_ahead)),
        ("two batches", INVALID_RECORD, two),
    ]
}

#[test]
fn batches_that_break_a_rule() {
    Attack { settings: &[], ceiling_mib: 64, patience: SHORT }.run(|broker| {
        let mut client = Client::connect(broker.address());
        client.create_topic(TOPIC, 1, &[]);
        let mut others = Vec::new();
        for (what, code, records) in broken() {
            let answer = client.produce(TOPIC, 0, records.into()).unwrap_or_else(|error| panic!("{what}: {error}"));
            // Kafka stumbles over a codec that it does not know, and says UNKNOWN_SERVER_ERROR; here the answer has a reason.
            let code = if (broker.kind, what) == (Kind::Kafka, "an unknown codec") { -1 } else { code };
            if answer.0 != code {
                others.push((what, code, answer.0));
            }
        }
        assert!(others.is_empty(), "(what, expected, answered): {others:?}");
        let too_large = batch(Compression::NONE, &[&[7; 1_100_000]]);
        assert_eq!(client.produce(TOPIC, 0, too_large).unwrap().0, 10, "MESSAGE_TOO_LARGE");
        assert_eq!(client.produce(TOPIC, 0, good().into()).unwrap(), (0, 0), "nothing of them was taken");
        // Old formats, as Kafka itself wrote them.
        let old = corpus::parse(include_str!("../../src/record/testdata/batches.txt"));
        for case in old.into_iter().filter(|case| case.kind.starts_with("magic")) {
            let answer = client.produce(TOPIC, 0, case.bytes.into()).unwrap();
            assert_eq!(answer.0, 87, "{}: INVALID_RECORD", case.kind);
        }
        // acks outside -1, 0, 1: INVALID_REQUIRED_ACKS.
        let answer = client.call(PRODUCE, &produce_request(TOPIC, 0, 2, good().into())).unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 21);
        // acks=0 has no answer that could carry an error, so the connection is closed, as by Kafka.
        let mut silent = Client::connect(broker.address());
        silent.send(PRODUCE, &produce_request(TOPIC, 0, 0, with(57, &3_i32.to_be_bytes()).into())).unwrap();
        assert!(silent.is_closed_within(Duration::from_secs(10)));
        super::logged(broker, &["closing", &silent.local()]);
    });
}

/// A batch of at most a mebibyte whose one record is as many zeros as the codec can hide in it, but less than 2 GiB.
fn bomb(codec: Codec) -> Vec<u8> {
    const VALUE: u32 = 1_900_000_000;
    // The record's length, attributes, timestamp and offset deltas, no key, the value's length: all plausible.
    let mut record = Vec::new();
    write_varint(&mut record, VALUE as i32 + 20);
    record.extend_from_slice(&[0, 0, 0, 1]);
    write_varint(&mut record, VALUE as i32);
    let zeros = vec![0; 1 << 20];
    let chunks = std::iter::once(&record).chain(std::iter::repeat_n(&zeros, VALUE as usize / zeros.len()));
    let payload = if codec == Codec::Zstd { zstd_with_the_largest_window(chunks) } else { compressed(codec, chunks) };
    let mut batch = good();
    batch.truncate(BATCH_HEADER_BYTES);
    batch[21..23].copy_from_slice(&[0, codec as u8]);
    batch[23..27].copy_from_slice(&0_i32.to_be_bytes());
    batch[57..61].copy_from_slice(&1_i32.to_be_bytes());
    batch.extend_from_slice(&payload);
    seal(&mut batch);
    batch
}

fn compressed<'a>(codec: Codec, chunks: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut stream = Compressor::new(Compression::of(codec), Vec::new());
    for chunk in chunks {
        if stream.written() > 1_000_000 {
            break;
        }
        stream.write(chunk);
    }
    stream.finish()
}

/// 128 MiB, all that a decoder has to grant, filled with what it cannot forget.
fn zstd_with_the_largest_window<'a>(chunks: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    stream.window_log(27).unwrap();
    chunks.for_each(|chunk| std::io::Write::write_all(&mut stream, chunk).unwrap());
    stream.finish().unwrap()
}

/// Four connections, three bombs each, all at once. `code`: MESSAGE_TOO_LARGE where more comes out than a batch may hold; where less
/// does, the record is longer than what is there (INVALID_RECORD).
fn bombs(codec: Codec, code: i16, ceiling_mib: u64) {
    let bomb = bomb(codec);
    println!("{}: {} bytes", codec.name(), bomb.len());
    Attack { settings: &[("message.max.bytes", "2000000")], ceiling_mib, patience: SHORT }.run(|broker| {
        Client::connect(broker.address()).create_topic(TOPIC, 4, &[]);
        std::thread::scope(|scope| {
            for partition in 0..4 {
                let (bomb, address) = (&bomb, broker.address());
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let request = produce_request(TOPIC, partition, -1, bomb.clone().into());
                    (0..3).for_each(|_| client.send(PRODUCE, &request).unwrap());
                    for _ in 0..3 {
                        let answer = client.receive::<ProduceRequest>(PRODUCE).unwrap();
                        assert_eq!(answer.responses[0].partition_responses[0].error_code, code);
                    }
                });
            }
        });
    });
}

#[test]
fn a_gzip_bomb() {
    bombs(Codec::Gzip, 10, 64);
}

#[test]
fn a_snappy_bomb() {
    bombs(Codec::Snappy, 87, 64);
}

#[test]
fn an_lz4_bomb() {
    bombs(Codec::Lz4, 10, 64);
}

/// The window that a frame may ask for is 128 MiB, and each of the two cores may be at one.
#[test]
fn a_zstd_bomb() {
    bombs(Codec::Zstd, 10, 350);
}
