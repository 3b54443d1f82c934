use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerId};
use bytes::Bytes;
use proptest::prelude::*;

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders);

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), (any::<u8>(), 0usize..3000).prop_map(|(byte, n)| vec![byte; n])]
}

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let headers = prop::collection::vec((any_bytes(), prop::option::of(any_bytes())), 0..3);
    (0..4_000_000_000_000i64, prop::option::of(any_bytes()), prop::option::of(any_bytes()), headers)
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

fn build(codec: Codec, records: &[OwnedRecord]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::of(codec)).producer(ProducerId(7), 3, i32::MAX);
    for (timestamp, key, value, headers) in records {
        let headers: Vec<Header<'_>> = headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        builder.append_with_headers(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.build()
}

fn read_back(batch: &Bytes) -> Vec<OwnedRecord> {
    let header = BatchHeader::parse(batch).unwrap();
    let payload = batch.slice(BATCH_HEADER_BYTES..);
    let plain = decompress(header.attributes.codec().unwrap(), payload, 1 << 20).unwrap();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let read = |(index, record): (i32, Result<Record<'_>, RecordFormatError>)| {
        let record = record.unwrap();
        assert_eq!(record.offset_delta, index);
        let headers = record.headers.map(|(key, value)| (key.to_vec(), owned(value))).collect();
        (header.base_timestamp + record.timestamp_delta, owned(record.key), owned(record.value), headers)
    };
    (0..).zip(Records::new(&plain, header.records_count)).map(read).collect()
}

proptest! {
    #[test]
    fn records_survive_every_codec(codec in any_codec(), records in prop::collection::vec(any_record(), 1..20)) {
        let batch = build(codec, &records);
        let header = BatchHeader::parse(&batch).unwrap();
        prop_assert!(crc_is_valid(&batch));
        prop_assert_eq!(header.size_in_bytes(), batch.len());
        prop_assert_eq!(header.records_count as usize, records.len());
        prop_assert_eq!(header.last_offset(), Offset(records.len() as i64 - 1));
        prop_assert_eq!(header.max_timestamp, records.iter().map(|record| record.0).max().unwrap());
        let last_sequence = if records.len() == 1 { i32::MAX } else { records.len() as i32 - 2 };
        prop_assert_eq!(header.last_sequence(), last_sequence);
        prop_assert_eq!(read_back(&batch), records);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count: i32) {
        let mut batches = Batches::new(&bytes);
        for batch in batches.by_ref() {
            if let Ok(batch) = batch && let Some(records) = batch.records() {
                for record in records.flatten() {
                    record.headers.for_each(drop);
                }
            }
        }
        prop_assert_eq!(batches.position() + batches.remaining(), bytes.len());
        for record in Records::new(&bytes, count).flatten() {
            record.headers.for_each(drop);
        }
        for codec in Codec::ALL {
            drop(decompress(codec, Bytes::from(bytes.clone()), 10_000));
        }
    }

    #[test]
    fn numbering_keeps_the_crc(base: i64, epoch: i32, records in prop::collection::vec(any_record(), 1..4)) {
        let batch = build(Codec::None, &records);
        let mut patched = batch.to_vec();
        patch_base_offset(&mut patched, Offset(base));
        patch_leader_epoch(&mut patched, LeaderEpoch(epoch));
        prop_assert!(crc_is_valid(&patched));
        let header = BatchHeader::parse(&patched).unwrap();
        prop_assert_eq!((header.base_offset, header.partition_leader_epoch), (Offset(base), LeaderEpoch(epoch)));
        let head = numbered_head(&batch, Offset(base), LeaderEpoch(epoch));
        prop_assert_eq!(&head[..], &patched[..BATCH_HEAD_BYTES]);
        prop_assert_eq!(&batch[BATCH_HEAD_BYTES..], &patched[BATCH_HEAD_BYTES..]);
    }
}

#[test]
fn a_buffer_of_batches_ends_before_the_partial_one() {
    let one = build(Codec::None, &[(1, None, Some(b"a".to_vec()), vec![])]);
    let two = build(Codec::Zstd, &[(1, None, Some(vec![b'b'; 300]), vec![])]);
    let buffer = [&one[..], &two[..]].concat();
    for cut in 0..=buffer.len() {
        let mut batches = Batches::new(&buffer[..cut]);
        let whole: Vec<_> = batches.by_ref().map(|batch| batch.unwrap().position).collect();
        let expected: &[usize] = if cut < one.len() {
            &[]
        } else if cut < buffer.len() {
            &[0]
        } else {
            &[0, one.len()]
        };
        assert_eq!(whole, expected);
        assert_eq!(batches.remaining(), cut - if whole.len() == 2 { buffer.len() } else { whole.len() * one.len() });
    }
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(increment_sequence(i32::MAX, 0), i32::MAX);
    assert_eq!(increment_sequence(i32::MAX, 1), 0);
    assert_eq!(increment_sequence(i32::MAX - 2, 10), 7);
    let mut header = BatchHeader::parse(&build(Codec::None, &[(1, None, None, vec![])])).unwrap();
    header.base_sequence = NO_SEQUENCE;
    header.last_offset_delta = 5;
    assert_eq!(header.last_sequence(), NO_SEQUENCE);
}

#[test]
fn timestamps_are_patched_with_the_crc() {
    let batch = build(Codec::Gzip, &[(5, None, None, vec![]), (9, None, None, vec![])]);
    let mut patched = batch.to_vec();
    patch_max_timestamp(&mut patched, TimestampType::CreateTime, 9);
    assert_eq!(patched, batch);
    patch_max_timestamp(&mut patched, TimestampType::LogAppendTime, 1000);
    assert!(crc_is_valid(&patched));
    let header = BatchHeader::parse(&patched).unwrap();
    assert_eq!((header.attributes.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, 1000));
    assert_eq!(header.attributes.codec(), Ok(Codec::Gzip));
}

#[test]
fn compaction_leaves_gaps_and_empty_batches() {
    let mut builder = BatchBuilder::new(Compression::of(Codec::Lz4)).base_offset(Offset(100)).delete_horizon(77);
    builder.append_at(3, 1000, Some(b"k"), None, &[]).append_at(8, 900, Some(b"l"), Some(b"v"), &[]);
    let bytes = builder.build_until(9);
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!((batch.header.last_offset(), batch.header.next_offset()), (Offset(109), Offset(110)));
    assert_eq!((batch.header.delete_horizon_ms(), batch.header.records_count), (Some(77), 2));
    assert!(batch.records().is_none(), "compressed");
    let payload = batch.uncompressed_payload(1000).unwrap();
    let read: Vec<_> = Records::new(&payload, 2).map(|record| record.unwrap()).collect();
    assert_eq!(read.iter().map(|record| batch.offset_of(record)).collect::<Vec<_>>(), [Offset(103), Offset(108)]);
    assert_eq!(read.iter().map(|record| 77 + record.timestamp_delta).collect::<Vec<_>>(), [1000, 900]);

    let last = BatchHeader::parse(&build(Codec::Zstd, &[(5, None, None, vec![])])).unwrap();
    let empty = empty_batch(&last);
    assert!(crc_is_valid(&empty));
    let header = BatchHeader::parse(&empty).unwrap();
    assert_eq!((empty.len(), header.records_count), (BATCH_HEADER_BYTES, 0));
    assert_eq!((header.last_offset(), header.producer_id), (last.last_offset(), last.producer_id));
    assert_eq!((header.base_timestamp, header.max_timestamp), (NO_TIMESTAMP, 5));
    assert_eq!((header.producer_epoch, header.last_sequence()), (last.producer_epoch, last.last_sequence()));
}

#[test]
fn control_keys() {
    for id in 0..=6 {
        let kind = ControlRecordType::from_id(id).unwrap();
        assert_eq!(ControlRecordType::parse_key(Some(&kind.key())), Ok(Some(kind)));
    }
    assert_eq!(ControlRecordType::parse_key(Some(&[0, 9, 0, 1, 5])), Ok(Some(ControlRecordType::Commit)), "a newer key");
    assert_eq!(ControlRecordType::parse_key(Some(&[0, 0, 0, 7])), Ok(None));
    assert_eq!(ControlRecordType::parse_key(Some(&[0xff, 0xff, 0, 1])), Err(ControlKeyError::Version(-1)));
    assert_eq!(ControlRecordType::parse_key(None), Err(ControlKeyError::Size(0)));
    let key = ControlRecordType::Commit.key();
    assert_eq!(EndTransactionMarker::parse(Some(&key), Some(&[0, 0, 0, 0, 0])), None);
    assert_eq!(EndTransactionMarker::parse(Some(&ControlRecordType::KRaftVoters.key()), Some(&[0; 6])), None);
}

#[test]
fn a_corrupt_size_ends_the_walk_with_one_error() {
    let one = build(Codec::None, &[(1, None, Some(b"a".to_vec()), vec![])]);
    for (at, byte) in [(8, 0xff), (11, 13), (16, 9), (16, 0)] {
        let mut second = one.to_vec();
        second[at] = byte;
        if at == 11 {
            second[8..11].fill(0);
        }
        let buffer = [&one[..], &second, &one].concat();
        let mut batches = Batches::new(&buffer);
        assert!(batches.next().unwrap().is_ok());
        assert!(batches.next().unwrap().is_err());
        assert!(batches.next().is_none());
        assert_eq!(batches.position(), one.len());
    }
}
