use super::*;
use crate::model::{ErrorCode, Offset, ProducerId};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;

fn options() -> ValidateOptions {
    ValidateOptions::new(NOW)
}

/// Timestamp, key, value.
type Plain<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>);

fn batch_of(compression: Compression, records: &[Plain<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for (timestamp, key, value) in records {
        builder.append(*timestamp, *key, *value);
    }
    builder.build()
}

fn simple(codec: Codec) -> Bytes {
    batch_of(Compression::of(codec), &[(NOW, Some(b"a"), Some(b"1")), (NOW + 5, None, Some(b"2")), (NOW - 5, Some(b"c"), None)])
}

/// The batch with another header and a CRC that fits.
fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    let mut changed = [&header.encode()[..], &batch[BATCH_HEADER_BYTES..]].concat();
    seal(&mut changed);
    Bytes::from(changed)
}

fn with_payload(batch: &Bytes, codec: Codec, payload: &[u8]) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    header.attributes = header.attributes.with_codec(codec);
    let mut changed = [&header.encode()[..], payload].concat();
    seal(&mut changed);
    Bytes::from(changed)
}

fn code(records: &Bytes, options: &ValidateOptions) -> ErrorCode {
    validate(records.clone(), options).map_or_else(|error| error.code, |_| ErrorCode::None)
}

fn value_of(batch: &Bytes, index: usize) -> Option<Vec<u8>> {
    let header = BatchHeader::parse(batch).unwrap();
    let plain = decompress(header.attributes.codec().unwrap(), batch.slice(BATCH_HEADER_BYTES..), 1 << 24).unwrap();
    let record = Records::new(&plain, header.records_count).nth(index).unwrap().unwrap();
    record.value.map(<[u8]>::to_vec)
}

#[test]
fn a_good_batch_is_not_copied() {
    for codec in Codec::ALL {
        let frame = Bytes::from([&b"before"[..], &simple(codec), b"after"].concat());
        let records = frame.slice(6..frame.len());
        let validated = validate(records.clone(), &options()).unwrap();
        assert_eq!(validated.bytes.as_ptr(), records.as_ptr());
        assert_eq!(validated.bytes.len(), simple(codec).len(), "what follows is cut off");
        assert_eq!((validated.max_timestamp, validated.offset_of_max_timestamp), (NOW + 5, 2));
        assert_eq!((validated.records_count(), validated.last_offset()), (3, Offset(2)));
        assert_eq!(validated.log_append_time, NO_TIMESTAMP);
    }
}

#[test]
fn the_record_set_is_one_whole_v2_batch() {
    let good = simple(Codec::None);
    for empty in [Bytes::new(), good.slice(..10), good.slice(..good.len() - 1)] {
        assert_eq!(code(&empty, &options()), ErrorCode::InvalidRecord);
    }
    assert_eq!(code(&Bytes::from([&good[..], &good].concat()), &options()), ErrorCode::InvalidRecord);
    let garbage_behind = Bytes::from([&good[..], &[0xff; 40]].concat());
    assert_eq!(code(&garbage_behind, &options()), ErrorCode::CorruptMessage);
    for (magic, expected) in [(0u8, ErrorCode::InvalidRecord), (1, ErrorCode::InvalidRecord), (3, ErrorCode::CorruptMessage)] {
        let mut other = BytesMut::from(&good[..]);
        other[16] = magic;
        assert_eq!(code(&other.freeze(), &options()), expected);
    }
    let mut short = BytesMut::from(&good[..]);
    short[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(code(&short.freeze(), &options()), ErrorCode::CorruptMessage);
    let mut huge = BytesMut::from(&good[..]);
    huge[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(code(&huge.freeze(), &options()), ErrorCode::InvalidRecord, "a partial batch");
}

#[test]
fn rules_of_the_header() {
    let good = simple(Codec::None);
    let mut numbered = BytesMut::from(&good[..]);
    patch_base_offset(&mut numbered, Offset(1));
    assert_eq!(code(&numbered.freeze(), &options()), ErrorCode::InvalidRecord);

    let exact = ValidateOptions { max_message_bytes: good.len(), segment_bytes: good.len(), ..options() };
    assert_eq!(code(&good, &exact), ErrorCode::None);
    let less = good.len() - 1;
    assert_eq!(code(&good, &ValidateOptions { max_message_bytes: less, ..exact }), ErrorCode::MessageTooLarge);
    assert_eq!(code(&good, &ValidateOptions { segment_bytes: less, ..exact }), ErrorCode::RecordListTooLarge);

    let cases: [fn(&mut BatchHeader); 8] = [
        |header| header.last_offset_delta = -1,
        |header| header.last_offset_delta = i32::MAX,
        |header| header.records_count = 0,
        |header| header.records_count = -1,
        |header| header.records_count = 2,
        |header| header.last_offset_delta = 1,
        |header| header.attributes = header.attributes.with_control(true),
        |header| header.producer_id = ProducerId(1),
    ];
    for change in cases {
        assert_eq!(code(&with_header(&good, change), &options()), ErrorCode::InvalidRecord);
    }
    let unknown_codec = with_header(&good, |header| header.attributes = Attributes(header.attributes.0 | 5));
    assert_eq!(code(&unknown_codec, &options()), ErrorCode::UnsupportedCompressionType);
}

#[test]
fn a_wrong_size_is_told_before_a_wrong_crc() {
    let mut bad = BytesMut::from(&simple(Codec::None)[..]);
    bad[30] ^= 1;
    let bad = bad.freeze();
    assert_eq!(code(&bad, &options()), ErrorCode::CorruptMessage);
    assert_eq!(code(&bad, &ValidateOptions { max_message_bytes: 61, ..options() }), ErrorCode::MessageTooLarge);
}

#[test]
fn zstd_needs_produce_v7() {
    let old = ValidateOptions { produce_version: 6, ..options() };
    assert_eq!(code(&simple(Codec::Zstd), &old), ErrorCode::UnsupportedCompressionType);
    assert_eq!(code(&simple(Codec::Zstd), &ValidateOptions { produce_version: 7, ..old }), ErrorCode::None);
    assert_eq!(code(&simple(Codec::Lz4), &old), ErrorCode::None);
}

#[test]
fn compacted_topics_need_keys_and_name_the_records() {
    for codec in Codec::ALL {
        let error = validate(simple(codec), &ValidateOptions { compacted: true, ..options() }).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRecord);
        let indexes: Vec<i32> = error.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(indexes, [1]);
    }
}

#[test]
fn timestamps_have_a_range_and_decide_the_code() {
    for codec in Codec::ALL {
        let batch = simple(codec);
        let range = |before_max_ms, after_max_ms| ValidateOptions { before_max_ms, after_max_ms, ..options() };
        assert_eq!(code(&batch, &range(5, 5)), ErrorCode::None);
        assert_eq!(code(&batch, &range(4, 5)), ErrorCode::InvalidTimestamp);
        assert_eq!(code(&batch, &range(5, 4)), ErrorCode::InvalidTimestamp);
        // The second record has no key and is too new: the key is told, the third's age decides the code.
        let both = validate(batch, &ValidateOptions { compacted: true, ..range(4, 4) }).unwrap_err();
        assert_eq!(both.code, ErrorCode::InvalidTimestamp);
        assert_eq!(both.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1, 2]);
        assert!(both.record_errors[0].message.contains("key"));
    }
    let timeless = batch_of(Compression::NONE, &[(NO_TIMESTAMP, None, None)]);
    let validated = validate(timeless, &ValidateOptions { before_max_ms: 1, ..options() }).unwrap();
    assert_eq!((validated.max_timestamp, validated.offset_of_max_timestamp), (-1, -1));
}

#[test]
fn the_number_of_record_errors_is_bounded() {
    let records = vec![(NOW, None, None); MAX_RECORD_ERRORS + 5];
    let error = validate(batch_of(Compression::NONE, &records), &ValidateOptions { compacted: true, ..options() }).unwrap_err();
    assert_eq!(error.record_errors.len(), MAX_RECORD_ERRORS);
    assert!(error.message.contains(&(MAX_RECORD_ERRORS + 5).to_string()));
}

#[test]
fn producers_do_not_set_log_append_time() {
    let stamped = |batch: &Bytes| {
        with_header(batch, |header| {
            header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        })
    };
    for codec in Codec::ALL {
        let batch = stamped(&simple(codec));
        let appending = ValidateOptions { timestamp_type: TimestampType::LogAppendTime, ..options() };
        assert_eq!(code(&batch, &appending), ErrorCode::InvalidTimestamp);
        // On a CreateTime topic only the range counts, the bit is cleared.
        let validated = validate(batch, &options()).unwrap();
        assert_eq!(validated.header.attributes.timestamp_type(), TimestampType::CreateTime);
        assert!(crc_is_valid(&validated.bytes));
        assert_eq!(
            code(&stamped(&batch_of(Compression::of(codec), &[(-1, None, None)])), &options()),
            ErrorCode::InvalidTimestamp
        );
    }
}

#[test]
fn log_append_time_is_stamped() {
    for codec in Codec::ALL {
        let settings = ValidateOptions { timestamp_type: TimestampType::LogAppendTime, now_ms: NOW + 99, ..options() };
        let validated = validate(simple(codec), &settings).unwrap();
        assert_eq!(validated.header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(
            (validated.header.max_timestamp, validated.max_timestamp, validated.log_append_time),
            (NOW + 99, NOW + 99, NOW + 99)
        );
        assert_eq!(validated.bytes[BATCH_HEADER_BYTES..], simple(codec)[BATCH_HEADER_BYTES..]);
        assert!(crc_is_valid(&validated.bytes));
    }
}

#[test]
fn max_timestamp_is_not_believed() {
    for codec in Codec::ALL {
        for lie in [-1, 0, NOW + 4, i64::MAX] {
            let lying = with_header(&simple(codec), |header| header.max_timestamp = lie);
            let validated = validate(lying.clone(), &options()).unwrap();
            assert_eq!(validated.bytes, simple(codec));
            assert_eq!(BatchHeader::parse(&lying).unwrap().max_timestamp, lie, "a shared buffer stays as it is");
        }
    }
}

#[test]
fn misnumbered_records_are_numbered_anew() {
    for codec in Codec::ALL {
        let mut payload = Compressor::new(Compression::of(codec), Vec::new());
        for (offset_delta, value) in [(3, b"a"), (3, b"b"), (-7, b"c")] {
            let mut record = Vec::new();
            write_record(&mut record, i64::from(offset_delta), offset_delta, None, Some(value), Headers::EMPTY);
            payload.write(&record);
        }
        let batch = with_payload(&simple(Codec::None), codec, &payload.finish());
        let validated = validate(batch, &options()).unwrap();
        assert_eq!(validated.header.attributes.codec(), Ok(codec));
        assert_eq!(validated.max_timestamp, NOW + 3);
        assert_eq!(validate(validated.bytes.clone(), &options()).unwrap().bytes.as_ptr(), validated.bytes.as_ptr());
        for (index, value) in [b"a", b"b", b"c"].into_iter().enumerate() {
            assert_eq!(value_of(&validated.bytes, index), Some(value.to_vec()));
        }
    }
}

#[test]
fn the_topics_codec_is_applied() {
    for source in Codec::ALL {
        for target in Codec::ALL {
            let settings = ValidateOptions { compression: Some(Compression::of(target)), ..options() };
            let validated = validate(simple(source), &settings).unwrap();
            assert_eq!(validated.header.attributes.codec(), Ok(target));
            assert_eq!(validated.bytes, if source == target { simple(source) } else { simple(target) });
        }
    }
    // Growing by it counts against the limit.
    let big = batch_of(Compression::of(Codec::Gzip), &[(NOW, None, Some(&[7; 100_000]))]);
    let settings = ValidateOptions { compression: Some(Compression::NONE), max_message_bytes: 100_000, ..options() };
    assert_eq!(code(&big, &settings), ErrorCode::MessageTooLarge);
    assert_eq!(code(&big, &ValidateOptions { max_message_bytes: 101_000, ..settings }), ErrorCode::None);
}

/// One record whose value is `size` zeros.
fn bomb(codec: Codec, size: usize) -> Bytes {
    let mut payload = Compressor::new(Compression::of(codec), Vec::new());
    let mut head = Vec::new();
    let mut value = Vec::new();
    varint::write_varint(&mut value, size as i32);
    varint::write_varint(&mut head, (4 + value.len() + size + 1) as i32);
    head.extend_from_slice(&[0, 0, 0, 1]);
    payload.write(&head);
    payload.write(&value);
    for _ in 0..size / 4096 {
        payload.write(&[0; 4096]);
    }
    payload.write(&vec![0; size % 4096]);
    payload.write(&[0]);
    with_payload(&batch_of(Compression::NONE, &[(NOW, None, None)]), codec, &payload.finish())
}

#[test]
fn bombs_are_refused_at_the_limit() {
    const SIZE: usize = 3_000_000;
    for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
        let bomb = bomb(codec, SIZE);
        assert!(bomb.len() < SIZE / 15, "{} bytes of {}", bomb.len(), codec.name());
        let total = SIZE + 13;
        let limited = |max_decompressed_bytes| ValidateOptions { max_decompressed_bytes, ..options() };
        assert_eq!(code(&bomb, &limited(total)), ErrorCode::None);
        assert_eq!(code(&bomb, &limited(total - 1)), ErrorCode::MessageTooLarge);
        assert_eq!(code(&bomb, &limited(1000)), ErrorCode::MessageTooLarge);
        let payload = bomb.slice(BATCH_HEADER_BYTES..);
        assert!(matches!(decompress(codec, payload.clone(), total - 1), Err(CompressionError::TooLarge { .. })));
        assert_eq!(decompress(codec, payload, total).unwrap().len(), total);
    }
}

#[test]
fn a_snappy_block_that_lies_about_its_size_allocates_nothing() {
    let mut block = Vec::new();
    varint::write_unsigned_varint(&mut block, u32::MAX);
    block.extend_from_slice(&[0, 1, 2, 3]);
    let error = decompress(Codec::Snappy, Bytes::from(block), usize::MAX).unwrap_err();
    assert!(matches!(error, CompressionError::Malformed { .. }));
}

#[test]
fn snappy_without_framing_is_read() {
    let raw = snap::raw::Encoder::new().compress_vec(&[b'x'; 1000]).unwrap();
    assert_eq!(decompress(Codec::Snappy, Bytes::from(raw), 1000).unwrap(), [b'x'; 1000]);
    let framed = |byte| {
        let mut out = Compressor::new(Compression::of(Codec::Snappy), Vec::new());
        out.write(&[byte; 70_000]);
        out.finish()
    };
    let both = [framed(1), framed(2)].concat();
    assert_eq!(decompress(Codec::Snappy, Bytes::from(both), 200_000).unwrap(), [[1; 70_000], [2; 70_000]].concat());
}

#[test]
fn levels_are_kafkas() {
    for (codec, good, bad) in [
        (Codec::Gzip, vec![-1, 1, 9], vec![0, 10, -2]),
        (Codec::Lz4, vec![1, 17], vec![0, 18]),
        (Codec::Zstd, vec![-131_072, 3, 22], vec![23]),
    ] {
        for level in good {
            let compression = Compression::with_level(codec, level).unwrap();
            let batch = batch_of(compression, &[(NOW, None, Some(&[b'x'; 500]))]);
            assert_eq!(value_of(&batch, 0), Some(vec![b'x'; 500]));
        }
        for level in bad {
            assert!(Compression::with_level(codec, level).is_err());
        }
    }
    assert!(Compression::with_level(Codec::Snappy, 1).is_err());
}

#[test]
fn a_step_does_about_its_budget() {
    for codec in Codec::ALL {
        let value = vec![b'v'; 500];
        let records = vec![(NOW, None, Some(&value[..])); 1000];
        let mut validator = Validator::new(batch_of(Compression::of(codec), &records), options());
        let mut steps = 1;
        while validator.step(10_000).is_none() {
            steps += 1;
        }
        assert!((40..70).contains(&steps), "{steps} steps for half a megabyte of {}", codec.name());
    }
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

fn any_target() -> impl Strategy<Value = Option<Compression>> {
    prop::option::of(any_codec().prop_map(Compression::of))
}

proptest! {
    /// Without a fitting CRC no changed byte passes, wherever it is, save those in front of the checksummed part.
    #[test]
    fn flipped_bits_do_not_pass(codec in any_codec(), at in 16usize..150, bit in 0u8..8) {
        let batch = simple(codec);
        let at = at.min(batch.len() - 1);
        let mut flipped = BytesMut::from(&batch[..]);
        flipped[at] ^= 1 << bit;
        prop_assert_ne!(code(&flipped.freeze(), &options()), ErrorCode::None);
    }

    /// With a CRC that fits, anything may be in there: an answer comes, and what is accepted can be read.
    #[test]
    fn mutated_records_never_panic(
        codec in any_codec(),
        target in any_target(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        under_the_codec: bool,
        cut in prop::option::of(0usize..40),
        budget in 1usize..200,
    ) {
        let source = if under_the_codec { Codec::None } else { codec };
        let mut payload = simple(source)[BATCH_HEADER_BYTES..].to_vec();
        for (at, byte) in edits {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload.truncate(cut.unwrap_or(payload.len()));
        if under_the_codec {
            let mut compressor = Compressor::new(Compression::of(codec), Vec::new());
            compressor.write(&payload);
            payload = compressor.finish();
        }
        let batch = with_payload(&simple(codec), codec, &payload);
        let settings = ValidateOptions { compression: target, max_decompressed_bytes: 100_000, ..options() };
        let mut stepped = Validator::new(batch.clone(), settings);
        let answer = std::iter::repeat_with(|| stepped.step(budget)).find_map(|answer| answer).unwrap();
        prop_assert_eq!(&answer, &validate(batch, &settings));
        if let Ok(validated) = answer {
            prop_assert!(crc_is_valid(&validated.bytes));
            for index in 0..3 {
                value_of(&validated.bytes, index);
            }
            prop_assert_eq!(validated.records_count(), 3);
        }
    }

    #[test]
    fn arbitrary_bytes_get_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 61..300), codec in 0u8..8, count in 0i32..5) {
        let length = bytes.len() as i32 - 12;
        bytes[..8].fill(0);
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[21..23].copy_from_slice(&[0, codec]);
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        seal(&mut bytes);
        let _ = validate(Bytes::from(bytes), &options());
    }
}

#[test]
fn cut_batches_are_refused() {
    for codec in Codec::ALL {
        let batch = simple(codec);
        for cut in 0..batch.len() {
            assert_ne!(code(&batch.slice(..cut), &options()), ErrorCode::None);
            if cut >= BATCH_HEADER_BYTES {
                let resealed = with_payload(&batch, codec, &batch[BATCH_HEADER_BYTES..cut]);
                assert_ne!(code(&resealed, &options()), ErrorCode::None, "{} cut to {cut}", codec.name());
            }
        }
    }
}

#[test]
fn lz4_that_consumers_cannot_read_is_refused() {
    let frame = |mode| {
        use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
        use std::io::Write;
        let info = FrameInfo::new().block_mode(mode).block_size(BlockSize::Max64KB).content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&simple(Codec::None)[BATCH_HEADER_BYTES..]).unwrap();
        encoder.finish().unwrap()
    };
    use lz4_flex::frame::BlockMode;
    let batch = |payload: &[u8]| with_payload(&simple(Codec::Lz4), Codec::Lz4, payload);
    let independent = frame(BlockMode::Independent);
    assert_eq!(code(&batch(&independent), &options()), ErrorCode::None);
    assert_eq!(code(&batch(&frame(BlockMode::Linked)), &options()), ErrorCode::InvalidRecord);
    // The checksum of the content cannot stand for the end mark.
    assert_eq!(code(&batch(&independent[..independent.len() - 8]), &options()), ErrorCode::InvalidRecord);
    assert_eq!(code(&batch(&[]), &options()), ErrorCode::InvalidRecord);
}
