//! Against Apache Kafka 4.2.0 itself: batches that its client built, and what its broker code makes of good and mutated
//! ones. `testdata/Fixtures.java` wrote the files.

use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerId};
use bytes::Bytes;

const NOW: i64 = 1_700_000_000_000;
const BATCHES: &str = include_str!("testdata/batches.txt");
const VERDICTS: &str = include_str!("testdata/verdicts.txt");

fn unhex(text: &str) -> Bytes {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn fixture(name: &str) -> Bytes {
    let line = BATCHES.lines().find(|line| line.split(' ').next() == Some(name)).expect("a fixture of this name");
    unhex(line.split(' ').nth(1).unwrap())
}

type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// The records with their timestamps, offset deltas left out, or why they cannot be read. Header keys are text to
/// Kafka, which turns what is not UTF-8 into U+FFFD when it rebuilds a batch; we keep the bytes.
fn contents(batch: &Bytes) -> Result<Vec<Owned>, String> {
    let header = BatchHeader::parse(batch).map_err(|error| error.to_string())?;
    let codec = header.attributes.codec().map_err(|error| error.to_string())?;
    let plain = decompress(codec, batch.slice(BATCH_HEADER_BYTES..), 1 << 24).map_err(|error| error.to_string())?;
    let stamp = (header.attributes.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp);
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    Records::new(&plain, header.records_count)
        .map(|record| {
            let record = record.map_err(|error| error.to_string())?;
            let timestamp = stamp.unwrap_or(header.base_timestamp.wrapping_add(record.timestamp_delta));
            let headers = record.headers.map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), owned(value))).collect();
            Ok((timestamp, owned(record.key), owned(record.value), headers))
        })
        .collect()
}

fn deltas(batch: &Bytes) -> Vec<i32> {
    let header = BatchHeader::parse(batch).unwrap();
    let plain = decompress(header.attributes.codec().unwrap(), batch.slice(BATCH_HEADER_BYTES..), 1 << 24).unwrap();
    Records::new(&plain, header.records_count).map(|record| record.unwrap().offset_delta).collect()
}

#[test]
fn batches_of_kafkas_client_are_read() {
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let headers = vec![("trace".to_string(), some("abc")), ("none".to_string(), None)];
    let expected: Vec<Owned> = vec![
        (NOW - 1000, some("key"), some("value"), headers),
        (NOW, None, some("without a key"), vec![]),
        (NOW - 5000, some("tombstone"), None, vec![]),
        (NOW + 7, some("big"), some(&"0123456789".repeat(30)), vec![]),
    ];
    for codec in Codec::ALL {
        let batch = fixture(&format!("codec_{}", codec.name()));
        assert!(crc_is_valid(&batch));
        let header = BatchHeader::parse(&batch).unwrap();
        assert_eq!(header.attributes.codec(), Ok(codec));
        assert_eq!((header.max_timestamp, header.base_timestamp), (NOW + 7, NOW - 1000));
        assert_eq!(contents(&batch).unwrap(), expected);
        if codec != Codec::None {
            let many = contents(&fixture(&format!("blocks_{}", codec.name()))).unwrap();
            assert_eq!(many.len(), 300);
            assert_eq!(many[299].2, some(&format!("{}299", "0123456789".repeat(50))));
        }
    }
}

#[test]
fn the_builder_writes_what_kafkas_client_writes() {
    let keyed = |builder: &mut BatchBuilder, count: i64| {
        for i in 0..count {
            builder.append(NOW + i, Some(format!("k{i}").as_bytes()), Some(format!("v{i}").as_bytes()));
        }
    };
    let mut plain = BatchBuilder::new(Compression::NONE);
    plain.append(NOW, None, Some(b"hello"));
    assert_eq!(plain.build(), fixture("plain"));

    let mut idempotent = BatchBuilder::new(Compression::NONE).producer(ProducerId(4711), 5, 10);
    keyed(&mut idempotent, 3);
    assert_eq!(idempotent.build(), fixture("idempotent"));

    let mut stamped = BatchBuilder::new(Compression::NONE).log_append_time(NOW);
    keyed(&mut stamped, 2);
    assert_eq!(stamped.build(), fixture("log_append_time"));

    let mut big = BatchBuilder::new(Compression::NONE);
    big.append_with_headers(NOW - 1000, Some(b"key"), Some(b"value"), &[(b"trace", Some(b"abc")), (b"none", None)])
        .append(NOW, None, Some(b"without a key"))
        .append(NOW - 5000, Some(b"tombstone"), None)
        .append(NOW + 7, Some(b"big"), Some("0123456789".repeat(30).as_bytes()));
    assert_eq!(big.build(), fixture("codec_none"));

    let header = BatchHeader::parse(&fixture("transactional")).unwrap();
    assert!(header.attributes.is_transactional() && !header.attributes.is_control());
    assert_eq!((header.producer_id, header.producer_epoch), (ProducerId(4711), 5));
    assert_eq!((header.base_sequence, header.last_sequence()), (10, 12));
}

#[test]
fn markers_are_kafkas() {
    for (name, commit) in [("marker_commit", true), ("marker_abort", false)] {
        let marker = EndTransactionMarker { commit, coordinator_epoch: 12 };
        let mut builder = BatchBuilder::new(Compression::NONE)
            .base_offset(Offset(9))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(4711), 5, NO_SEQUENCE)
            .transactional(true)
            .control(true);
        builder.append(NOW, Some(&marker.control_type().key()), Some(&marker.value()));
        let expected = fixture(name);
        assert_eq!(builder.build(), expected);

        let batch = Batch::parse(&expected).unwrap();
        let record = batch.records().unwrap().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::parse(record.key, record.value), Some(marker));
        assert_eq!(batch.offset_of(&record), Offset(9));
        assert_eq!(validate_code(&expected), ErrorCode::InvalidRecord);
    }
    let leader_change = fixture("leader_change");
    let batch = Batch::parse(&leader_change).unwrap();
    assert!(batch.header.attributes.is_control() && batch.crc_is_valid());
    let record = batch.records().unwrap().next().unwrap().unwrap();
    assert_eq!(ControlRecordType::parse_key(record.key), Ok(Some(ControlRecordType::LeaderChange)));
    assert_eq!(record.key, Some(&ControlRecordType::LeaderChange.key()[..]));
}

fn validate_code(records: &Bytes) -> ErrorCode {
    validate(records.clone(), &ValidateOptions::new(NOW)).map_or_else(|error| error.code, |_| ErrorCode::None)
}

#[test]
fn old_formats_are_recognised_and_refused() {
    for (name, magic) in [("magic_0", 0), ("magic_1", 1)] {
        let set = fixture(name);
        assert_eq!(next_batch_size(&set), Ok(Some(set.len())));
        let mut batches = Batches::new(&set);
        assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::UnsupportedMagic(magic));
        assert!(batches.next().is_none());
        assert_eq!(validate_code(&set), ErrorCode::InvalidRecord);
    }
}

fn options(text: &str) -> ValidateOptions {
    let fields: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| -> i64 { fields[at].parse().unwrap() };
    let timestamp_type = if fields[3] == "LogAppendTime" { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
    let codec = match fields[7] {
        "producer" => None,
        "uncompressed" => Some(Codec::None),
        name => Some(Codec::ALL.into_iter().find(|codec| codec.name() == name).unwrap()),
    };
    ValidateOptions {
        produce_version: number(0) as i16,
        max_message_bytes: number(1) as usize,
        segment_bytes: number(2) as usize,
        timestamp_type,
        before_max_ms: number(4),
        after_max_ms: number(5),
        compacted: fields[6] == "true",
        compression: codec.map(Compression::of),
        ..ValidateOptions::new(NOW)
    }
}

/// Header and records of ours against Kafka's. The bytes of a rebuilt batch may differ, where codecs differ and where Kafka
/// writes odd lengths anew; so may the leader epoch, which comes later.
fn assert_same_batch(ours: &ValidatedBatch, kafkas: &Bytes, line: &str) {
    assert!(crc_is_valid(&ours.bytes), "{line}");
    let (mut header, theirs) = (ours.header, BatchHeader::parse(kafkas).unwrap());
    let in_order: Vec<i32> = (0..theirs.records_count).collect();
    assert_eq!(deltas(&ours.bytes), in_order, "{line}");
    let (mut ours_read, mut kafkas_read) = (contents(&ours.bytes).unwrap(), contents(kafkas).unwrap());
    if deltas(kafkas) == in_order {
        header.partition_leader_epoch = theirs.partition_leader_epoch;
        if ours.bytes[BATCH_HEADER_BYTES..] != kafkas[BATCH_HEADER_BYTES..] {
            header.batch_length = theirs.batch_length;
            header.crc = theirs.crc;
        }
        assert_eq!(header, theirs, "{line}");
    } else {
        // Kafka leaves uncompressed records misnumbered, we rebuild the batch: with its own time, if it had one for all.
        let untimed = |records: &mut Vec<Owned>| records.iter_mut().for_each(|record| record.0 = 0);
        untimed(&mut ours_read);
        untimed(&mut kafkas_read);
    }
    assert_eq!(ours_read, kafkas_read, "{line}");
}

/// Where we refuse what Kafka takes: a batch that no consumer could read, since Kafka skips over the sizes of compressed
/// records without checking that they fit.
fn unreadable(kafkas: &Bytes) -> bool {
    contents(kafkas).is_err()
}

fn check(line: &str) -> i16 {
    let fields: Vec<&str> = line.split('|').collect();
    let (settings, input, kafkas) = (options(fields[0]), unhex(fields[1]), unhex(fields[3]));
    let code: i16 = fields[2].parse().unwrap();
    // In steps of one byte the answer is the same.
    let mut stepped = Validator::new(input.clone(), settings);
    let answer = std::iter::repeat_with(|| stepped.step(1)).find_map(|answer| answer).unwrap();
    assert_eq!(answer, validate(input.clone(), &settings), "{line}");
    match answer {
        Ok(ours) if code == 0 => assert_same_batch(&ours, &kafkas, line),
        // Kafka fails in a way it did not mean to; we answer what the rules say.
        _ if code == ErrorCode::UnknownServerError.code() => {}
        Ok(_) => panic!("Kafka refuses with {code}: {line}"),
        Err(error) => {
            let same = error.code.code() == code;
            // Nor need the code be the same where Kafka stumbles over another fault of an unreadable batch.
            let unread = error.code == ErrorCode::InvalidRecord && contents(&input).is_err();
            assert!(same || unread && (code != 0 || unreadable(&kafkas)), "Kafka answers {code}, we {error}: {line}");
        }
    }
    code
}

#[test]
fn verdicts_are_kafkas() {
    let mut seen: Vec<i16> = VERDICTS.lines().map(check).collect();
    assert!(seen.len() >= 200);
    seen.sort_unstable();
    seen.dedup();
    for code in [0, 2, 10, 18, 32, 76, 87] {
        assert!(seen.contains(&code), "no case has the code {code}");
    }
}
