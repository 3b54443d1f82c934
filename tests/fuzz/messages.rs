//! Every message of Kafka's schemas in every version: requests, responses, records of the internal logs and their envelopes.

use super::mutate::Random;
use super::{Case, Target, corpus, every_message, fuzz, mutate};
use bytes::Bytes;
use flumen::protocol::generated::*;
use flumen::protocol::{Message, MetadataRecord, Reader};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

struct Kind {
    name: &'static str,
    versions: RangeInclusive<i16>,
    run: fn(Bytes, i16) -> Option<Bytes>,
}

/// What must hold for any bytes. What they say as the encoder says it, if they are the message.
fn round_trip<M: Message>(input: Bytes, version: i16) -> Option<Bytes> {
    let mut reader = Reader::new(input.clone());
    let message = M::decode(&mut reader, version).ok()?;
    assert!(reader.position() <= input.len(), "read past the end");
    // A string that is not UTF-8 may grow beyond what the wire can carry; nothing else that was read cannot be written.
    let written = match message.to_bytes(version) {
        Ok(written) => written,
        Err(error) => {
            assert!(matches!(error, flumen::protocol::EncodeError::StringTooLong(_)), "was read and cannot be written: {error}");
            return None;
        }
    };
    let again = M::from_bytes(written.clone(), version).expect("what was written can be read");
    assert_eq!(again.to_bytes(version).expect("and written again"), written, "reading and writing again changes it");
    Some(written)
}

macro_rules! kinds {
    ($($message:ident),* $(,)?) => {
        &[$(Kind {
            name: stringify!($message),
            versions: <$message as Message>::MIN_VERSION..=<$message as Message>::MAX_VERSION,
            run: round_trip::<$message>,
        }),*]
    };
}

const KINDS: &[Kind] = every_message::for_every_message!(kinds);

fn parse_kind(kind: &str) -> (&'static Kind, i16) {
    let (name, version) = kind.split_once(' ').expect("message and version");
    let at = KINDS.binary_search_by(|kind| kind.name.cmp(name)).unwrap_or_else(|_| panic!("no message {name}"));
    (&KINDS[at], version.parse().expect("a version"))
}

/// Bytes that are broken, and at times read as another version of the message.
fn mutate_message(random: &mut Random, cases: &[Case], case: &mut Case) {
    mutate::bytes(random, cases, case);
    if random.one_in(8) {
        let (kind, _) = parse_kind(&case.kind);
        let (least, most) = (*kind.versions.start(), *kind.versions.end());
        case.kind = format!("{} {}", kind.name, least - 1 + random.below((most - least + 3) as usize) as i16);
    }
}

fn run_message(case: &Case) -> bool {
    let (kind, version) = parse_kind(&case.kind);
    (kind.run)(Bytes::copy_from_slice(&case.bytes), version).is_some()
}

/// The tightest arrays: elements of a few bytes on the wire that take some hundred in memory, and the message is held twice.
fn ceiling(input: usize) -> usize {
    64 * 1024 + 600 * input
}

fn cases_of(suffix: fn(&str) -> bool) -> Vec<Case> {
    corpus::read("messages").into_iter().filter(|case| suffix(parse_kind(&case.kind).0.name)).collect()
}

#[test]
fn requests() {
    let cases = cases_of(|name| name.ends_with("Request") || name == "RequestHeader");
    fuzz(&Target { name: "requests", executions: 1_000_000, cases: &cases, mutate: mutate_message, run: run_message, ceiling });
}

#[test]
fn responses() {
    let cases = cases_of(|name| name.ends_with("Response") || name == "ResponseHeader");
    fuzz(&Target { name: "responses", executions: 500_000, cases: &cases, mutate: mutate_message, run: run_message, ceiling });
}

#[test]
fn log_records() {
    let cases =
        cases_of(|name| !["Request", "Response", "RequestHeader", "ResponseHeader"].iter().any(|end| name.ends_with(end)));
    fuzz(&Target { name: "log_records", executions: 400_000, cases: &cases, mutate: mutate_message, run: run_message, ceiling });
}

fn run_envelope(case: &Case) -> bool {
    let bytes = Bytes::copy_from_slice(&case.bytes);
    match case.kind.as_str() {
        "metadata" => {
            let Ok((record, version)) = MetadataRecord::from_bytes(bytes) else { return false };
            match record.to_bytes(version) {
                Ok(written) => {
                    assert_eq!(MetadataRecord::from_bytes(written).unwrap().0.to_bytes(version), record.to_bytes(version))
                }
                Err(error) => assert!(matches!(error, flumen::protocol::EncodeError::StringTooLong(_)), "{error}"),
            }
            true
        }
        "offsets-key" => ConsumerOffsetsKey::from_bytes(bytes).is_ok(),
        "transaction-key" => TransactionStateKey::from_bytes(bytes).is_ok(),
        "share-key" => ShareGroupStateKey::from_bytes(bytes).is_ok(),
        kind => {
            let (value, number) = kind.split_once(' ').expect("a kind of value and its number");
            let number: i16 = number.parse().unwrap();
            match value {
                "offsets-value" => ConsumerOffsetsValue::from_bytes(number, bytes).is_ok(),
                "transaction-value" => TransactionStateValue::from_bytes(number, bytes).is_ok(),
                "share-value" => ShareGroupStateValue::from_bytes(number, bytes).is_ok(),
                other => panic!("no envelope {other}"),
            }
        }
    }
}

#[test]
fn envelopes() {
    let cases = corpus::read("envelopes");
    fuzz(&Target { name: "envelopes", executions: 200_000, cases: &cases, mutate: mutate::bytes, run: run_envelope, ceiling });
}

/// A message that is new in the schemas must not go without a seed.
#[test]
fn the_corpus_has_every_message_in_every_version() {
    let there: BTreeSet<String> = corpus::read("messages").into_iter().map(|case| case.kind).collect();
    let wanted = KINDS.iter().flat_map(|kind| kind.versions.clone().map(move |version| format!("{} {version}", kind.name)));
    let missing: Vec<String> = wanted.filter(|kind| !there.contains(kind)).collect();
    assert!(missing.is_empty(), "run `cargo test --features sim --test fuzz -- --ignored make_corpus`: {missing:?}");
}

/// Longest seed: room for a few nested elements, and small enough for mutations to hit what matters.
const SEED_BYTES: usize = 160;

/// A decoder that is fed random bytes, mostly small ones, now and then reads a whole message with arrays in arrays; of many tries,
/// the longest one is kept. Valid by construction, and no second description of the schemas is needed.
fn find_seed(kind: &Kind, version: i16) -> Case {
    let mut best = Bytes::new();
    let mut found = false;
    for number in 0..30_000 {
        let mut random = Random::of(u64::from(version as u16), number);
        let small = 2 + random.below(4);
        let zeros = 1 + random.below(3);
        let bytes: Vec<u8> = (0..SEED_BYTES)
            .map(|_| {
                if random.below(4) < zeros {
                    0
                } else if random.one_in(12) {
                    random.byte()
                } else {
                    random.below(small) as u8
                }
            })
            .collect();
        if let Some(written) = (kind.run)(bytes.into(), version)
            && written.len() <= SEED_BYTES
            && (!found || written.len() > best.len())
        {
            (best, found) = (written, true);
        }
    }
    assert!(found, "no seed for {} {version}", kind.name);
    Case { kind: format!("{} {version}", kind.name), bytes: best.to_vec() }
}

#[test]
#[ignore = "writes the corpus anew"]
fn make_corpus() {
    let seeds = |kind: &'static Kind| kind.versions.clone().map(move |version| find_seed(kind, version));
    let all: Vec<Case> = KINDS.iter().flat_map(seeds).collect();
    let is = |suffix: &'static str| move |case: &Case| parse_kind(&case.kind).0.name.ends_with(suffix);
    let comment = "message, version, bytes";
    let pick = |wanted: &dyn Fn(&Case) -> bool| all.iter().filter(|case| wanted(case)).cloned().collect::<Vec<_>>();
    corpus::write("messages", "requests.txt", comment, &pick(&is("Request")));
    corpus::write("messages", "responses.txt", comment, &pick(&is("Response")));
    let rest = pick(&|case| !is("Request")(case) && !is("Response")(case));
    corpus::write("messages", "records.txt", comment, &rest);
    make_envelopes(&all);
}

/// Envelopes around the seeds of the records: found by trying each number, since only the decoder knows which is which.
fn make_envelopes(all: &[Case]) {
    let mut envelopes = Vec::new();
    let mut add = |kind: String, bytes: Vec<u8>| {
        let case = Case { kind, bytes };
        if run_envelope(&case) && !envelopes.contains(&case) {
            envelopes.push(case);
        }
    };
    for case in all.iter().filter(|case| !case.kind.contains("Request ") && !case.kind.contains("Response ")) {
        let (kind, version) = parse_kind(&case.kind);
        for number in 0..30_u8 {
            if kind.name.ends_with("Record") {
                add("metadata".into(), [&[1, number, version as u8][..], &case.bytes].concat());
            } else if kind.name.ends_with("Key") {
                for name in ["offsets-key", "transaction-key", "share-key"] {
                    add(name.into(), [&[0, number][..], &case.bytes].concat());
                }
            } else if kind.name.ends_with("Value") {
                for name in ["offsets-value", "transaction-value", "share-value"] {
                    add(format!("{name} {number}"), [&version.to_be_bytes()[..], &case.bytes].concat());
                }
            }
        }
    }
    // Several records have the same layout, and so the same bytes fit many numbers: a few of each will do.
    let mut seen = std::collections::BTreeMap::new();
    envelopes.retain(|case| {
        let number = if case.kind == "metadata" { case.bytes[1] } else { 0 };
        let count = seen.entry((case.kind.clone(), number)).or_insert(0);
        *count += 1;
        *count <= if case.kind.ends_with("key") { 60 } else { 2 }
    });
    corpus::write(
        "envelopes",
        "records.txt",
        "kind of envelope, number of the record where it is not in the bytes, bytes",
        &envelopes,
    );
}
