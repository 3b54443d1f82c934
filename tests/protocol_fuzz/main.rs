//! Whatever bytes arrive, a decoder answers with a message or an error: it does not panic, and it takes memory in proportion to
//! the bytes that are there, not to the numbers in them.
//!
//! Every message in every version gets random bytes, every truncation of valid ones, and mutations that aim at lengths and tags.
//! What decodes must also encode, and come back the same. `FLUMEN_FUZZ_ROUNDS` multiplies the work.

mod allocations;
#[path = "../codegen/every_message.rs"]
mod every_message;
#[path = "../codegen/maven.rs"]
mod maven;
#[allow(dead_code, reason = "the generator needs more of it")]
#[path = "../codegen/schema.rs"]
mod schema;
#[path = "../protocol_differential/wire.rs"]
mod wire;

use bytes::{BufMut, Bytes, BytesMut};
use flumen::protocol::codec::MAX_DECODED_BYTES;
use flumen::protocol::generated::{self, MetadataRequest, metadata_request::MetadataRequestTopic};
use flumen::protocol::{DecodeError, Message, RequestFrame};
use std::collections::BTreeMap;
use wire::Random;

/// Random frames, and as many mutated ones twice over, for each message and version.
const ROUNDS: usize = 400;
/// Longest frame of random bytes.
const LONGEST_RANDOM: usize = 256;
/// Heap that a decoder may hold for each byte of its frame: an element of one byte on the wire is a 32-byte string in memory.
const HEAP_PER_BYTE: usize = 64;
/// And on top of it, for an error or a first small vector.
const HEAP_AT_LEAST: usize = 1024;
/// Decodes that one run promises at the least.
const EXECUTIONS: usize = 1_000_000;

fn rounds() -> usize {
    let factor = std::env::var("FLUMEN_FUZZ_ROUNDS").ok().map_or(1, |text| text.parse().expect("a number"));
    ROUNDS * factor
}

/// Decodes; when that works, encodes and decodes again. Says how much heap the first step held.
type Attempt = fn(&Bytes, i16) -> usize;

fn attempt<M: Message>(frame: &Bytes, version: i16) -> usize {
    let (result, held) = allocations::peak(|| M::from_bytes(frame.clone(), version));
    if let Ok(message) = result {
        let again = message.to_bytes(version).unwrap_or_else(|e| panic!("{} v{version}: {e} after {frame:?}", M::NAME));
        let second = M::from_bytes(again.clone(), version).unwrap_or_else(|e| panic!("{} v{version}: {e} in {again:?}", M::NAME));
        assert_eq!(second.to_bytes(version).as_ref(), Ok(&again), "{} v{version} changes when written twice", M::NAME);
    }
    held
}

macro_rules! table {
    ($($message:ident,)*) => {
        BTreeMap::from([$((generated::$message::NAME, attempt::<generated::$message> as Attempt),)*])
    };
}

/// Changes a few bytes: a bit, an extreme value, a lying 32-bit or varint length, a piece left out or doubled.
fn mutate(frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
            2 => {
                let lie = [i32::MAX, i32::MIN, -1, -2, bytes.len() as i32, 0x00ff_ffff][random.below(6)];
                bytes.splice(at..(at + 4).min(bytes.len()), lie.to_be_bytes());
            }
            3 => drop(bytes.splice(at..=at, [0xff, 0xff, 0xff, 0xff, [0x07, 0x0f, 0xff][random.below(3)]])),
            4 => drop(bytes.drain(at..(at + 1 + random.below(4)).min(bytes.len()))),
            5 => {
                let piece = bytes[at..(at + 8).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes[at] = random.next() as u8,
        }
    }
    bytes
}

#[test]
fn no_decoder_panics_or_takes_memory_for_a_lie() {
    let decoders: BTreeMap<&str, Attempt> = every_message::for_every_message!(table);
    let (mut executions, mut worst) = (0, (0, String::new()));
    for message in schema::load(&maven::schemas()) {
        let decoder = decoders[message.name.as_str()];
        for version in message.versions.low..=message.versions.high {
            let mut random = Random((version as u64) << 32 | message.name.len() as u64);
            let mut run = |frame: Vec<u8>| {
                let held = decoder(&Bytes::from(frame.clone()), version);
                let bound = HEAP_AT_LEAST + HEAP_PER_BYTE * frame.len();
                assert!(held <= bound, "{} v{version} held {held} bytes for {frame:02x?}", message.name);
                executions += 1;
                if held / (frame.len() + 16) > worst.0 {
                    worst = (held / (frame.len() + 16), format!("{} v{version}, {held} for {}", message.name, frame.len()));
                }
            };
            for _ in 0..rounds() {
                let length = random.below(LONGEST_RANDOM);
                run((0..length).map(|_| random.next() as u8).collect());
                // Small numbers get further: they are plausible lengths.
                run((0..length).map(|_| [0, 1, 2, 3, random.next() as u8][random.below(5)]).collect());
                let valid = wire::write_message(&message, version, &mut random);
                run(mutate(&valid, &mut random));
                run(mutate(&valid, &mut random));
            }
            let valid = wire::write_message(&message, version, &mut random);
            (0..valid.len().min(500)).for_each(|end| run(valid[..end].to_vec()));
        }
    }
    println!("{executions} decodes; most heap for a byte: {} times ({})", worst.0, worst.1);
    assert!(executions >= EXECUTIONS);
}

#[test]
fn no_frame_panics_the_header_parser() {
    let mut random = Random(7);
    let valid: &[u8] = b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x062.0.2\x00";
    let executions = 100 * rounds();
    for round in 0..executions {
        let frame = match round % 2 {
            0 => mutate(valid, &mut random),
            _ => (0..random.below(40)).map(|_| [0, random.next() as u8][random.below(2)]).collect(),
        };
        let bound = HEAP_AT_LEAST + HEAP_PER_BYTE * frame.len();
        let (_, held) = allocations::peak(|| RequestFrame::parse(Bytes::from(frame)).is_ok());
        assert!(held <= bound, "{held}");
    }
}

/// Frames that broke other brokers or decoders, or were made to: a name, the frame in hex, and the outcome.
#[test]
fn known_attacks_are_answered_with_an_error() {
    let mut seen = 0;
    for line in include_str!("corpus.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [name, expected, hex] = line.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{line}") };
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
        let frame = Bytes::from(digits.chunks(2).map(byte).collect::<Vec<u8>>());
        let bound = HEAP_AT_LEAST + HEAP_PER_BYTE * frame.len();
        let (outcome, held) = allocations::peak(|| outcome(frame));
        assert_eq!(outcome, expected, "{name}");
        assert!(held <= bound, "{name}: {held}");
        seen += 1;
    }
    assert!(seen >= 12, "the corpus shrank to {seen}");
}

/// What becomes of a whole request frame, in one word.
fn outcome(frame: Bytes) -> &'static str {
    use flumen::protocol::ApiKey;
    let request = match RequestFrame::parse(frame) {
        Ok(request) if request.is_version_served() => request,
        Ok(_) => return "answered",
        Err(_) => return "closed",
    };
    let result = match request.api_key {
        ApiKey::Metadata => request.decode::<MetadataRequest>().map(drop),
        ApiKey::Produce => request.decode::<generated::ProduceRequest>().map(drop),
        ApiKey::Fetch => request.decode::<generated::FetchRequest>().map(drop),
        ApiKey::ApiVersions => request.decode::<generated::ApiVersionsRequest>().map(drop),
        ApiKey::CreateTopics => request.decode::<generated::CreateTopicsRequest>().map(drop),
        other => panic!("the corpus has no {other:?} yet"),
    };
    result.map_or_else(name_of, |()| "decoded")
}

fn name_of(error: DecodeError) -> &'static str {
    match error {
        DecodeError::Truncated { .. } => "truncated",
        DecodeError::InvalidLength(_) => "length",
        DecodeError::ArrayTooLong { .. } => "array",
        DecodeError::TooLarge => "large",
        DecodeError::UnexpectedNull => "null",
        DecodeError::VarintTooLong => "varint",
        DecodeError::TagSize { .. } => "tag",
        _ => "other",
    }
}

/// An honest but huge array is refused before it is allocated, whatever the frame's size.
#[test]
fn one_frame_cannot_take_more_than_its_budget() {
    let topics = MAX_DECODED_BYTES / size_of::<MetadataRequestTopic>() + 1;
    let mut frame = BytesMut::new();
    frame.put_i32(topics as i32);
    frame.put_bytes(0, 2 * topics); // empty names
    let frame = frame.freeze();
    let (result, held) = allocations::peak(|| MetadataRequest::from_bytes(frame.clone(), 0));
    assert_eq!(result, Err(DecodeError::TooLarge));
    assert!(held < HEAP_AT_LEAST, "{held}");

    // One topic less fits, to the byte.
    let fewer = [&(topics as i32 - 1).to_be_bytes()[..], &frame[4..]].concat();
    let (result, held) = allocations::peak(|| MetadataRequest::from_bytes(Bytes::from(fewer), 0));
    assert_eq!(result.expect("within the budget").topics.expect("not null").len(), topics - 1);
    assert!(held <= MAX_DECODED_BYTES + HEAP_AT_LEAST + frame.len(), "{held}");
}
